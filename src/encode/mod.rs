//! Raw pictures to an encoded stream, in a pipeline of its own: an encoder that fails is rebuilt without touching the
//! camera.

mod framer;
mod software;

use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;

use crate::base::error::{Coded, Kind};
use crate::base::fault::FaultCode;
use crate::base::request::RequestKeyframe;
use crate::gst::{Fault, Pipeline};
use crate::media::format::FrameRate;
use crate::plan::EncodePlan;

pub use framer::{Deliver, Framer};

/// What can go wrong with an encoder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be built or started.
    #[error("the encoder {element} cannot be started")]
    Start {
        /// The element.
        element: String,
        /// Why.
        #[source]
        cause: crate::gst::Error,
    },
    /// The table has no entry for it.
    #[error("{0} is not an encoder this version knows how to set up")]
    Unknown(String),
}

impl Coded for Error {
    fn kind(&self) -> Kind {
        Kind::Failed
    }

    fn fault(&self) -> Option<FaultCode> {
        Some(match self {
            // The Plan names an encoder that is not installed only when none works.
            Error::Start { cause: crate::gst::Error::Missing { .. }, .. } => FaultCode::EncoderMissing,
            _ => FaultCode::EncoderFailed,
        })
    }
}

/// Raw pictures waiting for the encoder; older ones are dropped. Two are enough to bridge a late wake-up and small
/// enough that latency never accumulates.
const QUEUE_PICTURES: u64 = 2;

/// A running encoder. Dropping it stops it.
#[derive(Debug)]
pub struct Encoder {
    pipeline: Pipeline,
    output: gst::Pad,
}

/// Where raw pictures enter a running encoder.
#[derive(Debug)]
pub struct Input {
    source: gst_app::AppSrc,
    caps: Option<gst::Caps>,
}

/// Builds and starts the encoder of `plan`; what it encodes goes through `framer`.
pub fn start(plan: &EncodePlan, rate: FrameRate, framer: Framer) -> Result<(Encoder, Input), Error> {
    let failed = |cause| Error::Start { element: plan.element.value.clone(), cause };
    let element = build_element(plan, rate)?;
    assemble(&element, framer).map_err(failed)
}

fn assemble(encoder: &gst::Element, framer: Framer) -> Result<(Encoder, Input), crate::gst::Error> {
    let pipeline = Pipeline::new("encode");
    let source = gst_app::AppSrc::builder()
        .name("encode-input")
        .format(gst::Format::Time)
        .is_live(true)
        .max_buffers(QUEUE_PICTURES)
        .max_bytes(0)
        .leaky_type(gst_app::AppLeakyType::Downstream)
        .build();
    let convert = crate::gst::make("videoconvert", "encode-convert")?;
    let profile = caps_filter("encode-profile", "video/x-h264,profile=constrained-baseline")?;
    let parse = crate::gst::make("h264parse", "encode-parse")?;
    // -1: SPS and PPS before every keyframe, whatever the encoder does by itself.
    crate::gst::set(&parse, "config-interval", -1i32)?;
    let form = caps_filter("encode-form", "video/x-h264,stream-format=byte-stream,alignment=au")?;
    let sink = gst_app::AppSink::builder().name("encode-output").sync(false).max_buffers(8).build();
    let output = framer.watch(encoder);
    crate::gst::connect_frames(&sink, framer.into_callback());
    pipeline.chain(&[source.upcast_ref(), &convert, encoder, &profile, &parse, &form, sink.upcast_ref()])?;
    pipeline.play(Duration::from_secs(5))?;
    Ok((Encoder { pipeline, output }, Input { source, caps: None }))
}

impl Input {
    /// Hands the encoder one raw picture, taken at `pts` on the monotonic clock; never blocks. Called on the source's
    /// streaming thread.
    pub fn push(&mut self, sample: &gst::Sample, pts: Duration) {
        let Some(buffer) = sample.buffer_owned() else { return };
        if let Some(caps) = sample.caps_owned()
            && self.caps.as_ref() != Some(&caps)
        {
            self.source.set_caps(Some(&caps));
            self.caps = Some(caps);
        }
        // Refused only while the pipeline stops; the bus says why.
        let _ = self.source.push_buffer(on_the_common_clock(buffer, pts));
    }
}

impl Encoder {
    /// Waits up to `timeout` for something that ends it; `None` may come early.
    pub fn wait_fault(&self, timeout: Duration) -> Option<Fault> {
        self.pipeline.wait_fault(timeout)
    }

    /// What answers keyframe requests while this encoder lives.
    pub fn keyframes(&self) -> Arc<dyn RequestKeyframe> {
        Arc::new(KeyframeRequests(self.output.clone()))
    }
}

/// Live sources are on the common clock already and their buffers pass unchanged; a clip's are not.
fn on_the_common_clock(mut buffer: gst::Buffer, pts: Duration) -> gst::Buffer {
    let pts = gst::ClockTime::try_from(pts).ok();
    if buffer.pts() != pts {
        let buffer = buffer.make_mut();
        buffer.set_pts(pts);
        buffer.set_dts(None);
    }
    buffer
}

fn caps_filter(name: &str, caps: &str) -> Result<gst::Element, crate::gst::Error> {
    let filter = crate::gst::make("capsfilter", name)?;
    crate::gst::set_from_text(&filter, "caps", caps)?;
    Ok(filter)
}

fn build_element(plan: &EncodePlan, rate: FrameRate) -> Result<gst::Element, Error> {
    let element = plan.element.value.as_str();
    let failed = |cause| Error::Start { element: element.to_owned(), cause };
    match element {
        "x264enc" => software::x264(plan, rate).map_err(failed),
        "openh264enc" => software::openh264(plan).map_err(failed),
        other => Err(Error::Unknown(other.to_owned())),
    }
}

/// Software encoders answer the GStreamer event.
struct KeyframeRequests(gst::Pad);

impl RequestKeyframe for KeyframeRequests {
    fn request_keyframe(&self, why: &'static str) {
        tracing::trace!(why, "keyframe requested");
        self.0.send_event(gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
    }
}
