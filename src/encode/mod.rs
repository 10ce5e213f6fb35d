//! Raw pictures to an encoded stream, in a pipeline of its own: an encoder that fails is rebuilt without touching the
//! camera.

mod follow;
mod framer;
mod keyframes;
mod nvidia;
mod row;
mod self_test;
mod software;
mod v4l2m2m;
mod va;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gst::prelude::*;

use crate::base::error::{Coded, Kind};
use crate::base::fault::FaultCode;
use crate::base::request::RequestKeyframe;
use crate::base::units::Bitrate;
use crate::gst::{Fault, Pipeline};
use crate::media::format::FrameRate;
use crate::plan::EncodePlan;

use keyframes::KeyframeRequests;
use row::{Chain, Wish};

pub use follow::{Follow, Followed};
pub use framer::{Deliver, Framer};
pub use self_test::encode_ten;

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
    /// The table has no entry for it, or none with the properties that it has.
    #[error("{0} is not an encoder this version knows how to set up")]
    Unknown(String),
    /// It failed while it encoded the frames of the self-test.
    #[error("{0}")]
    SelfTest(String),
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
/// The same where pictures lie in surfaces of the camera's own pool (4 to 10 of them). One, because that one is the newest
/// picture, which is held for snapshots anyway: with two, a camera could be left without a surface to fill.
const QUEUE_SURFACES: u64 = 1;

/// A running encoder. Dropping it stops it.
#[derive(Debug)]
pub struct Encoder {
    pipeline: Pipeline,
    chain: Chain,
    wish: Wish,
    bytes: Arc<AtomicU64>,
}

/// What became of another bit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// The running encoder was told. Drivers are known that take it and do not follow.
    Live,
    /// This encoder takes another bit rate only when it is built anew.
    NeedsRebuild,
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
    let wish = Wish { bitrate: plan.bitrate, keyframe_frames: plan.keyframe_frames, threads: plan.threads.value, rate };
    let chain = Chain::build(&plan.element.value, &wish, &plan.convert.value)?;
    // What nothing converts lies in the camera's surfaces.
    let queue = if plan.convert.value.is_empty() { QUEUE_SURFACES } else { QUEUE_PICTURES };
    let (pipeline, input) = assemble(&chain, queue, framer).map_err(failed)?;
    let bytes = count_bytes(&chain.encoder);
    Ok((Encoder { pipeline, chain, wish, bytes }, input))
}

/// Counts what leaves the encoder.
fn count_bytes(encoder: &gst::Element) -> Arc<AtomicU64> {
    let bytes = Arc::new(AtomicU64::new(0));
    let pad = encoder.static_pad("src").expect("every encoder has a source pad");
    let counter = bytes.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        let size = probe.buffer().map_or(0, |buffer| buffer.size() as u64);
        counter.fetch_add(size, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    bytes
}

fn assemble(chain: &Chain, queue: u64, framer: Framer) -> Result<(Pipeline, Input), crate::gst::Error> {
    let pipeline = Pipeline::new("encode");
    let source = gst_app::AppSrc::builder()
        .name("encode-input")
        .format(gst::Format::Time)
        .is_live(true)
        .max_buffers(queue)
        .max_bytes(0)
        .leaky_type(gst_app::AppLeakyType::Downstream)
        .build();
    let sink = gst_app::AppSink::builder().name("encode-output").sync(false).max_buffers(8).build();
    framer.watch(&chain.encoder);
    crate::gst::connect_frames(&sink, framer.into_callback());
    let mut elements = vec![source.upcast_ref()];
    elements.extend(&chain.elements);
    elements.push(sink.upcast_ref());
    pipeline.chain(&elements)?;
    pipeline.play(Duration::from_secs(5))?;
    Ok((pipeline, Input { source, caps: None }))
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
        Arc::new(KeyframeRequests::new(self.chain.encoder.clone(), self.chain.row.force))
    }

    /// Bytes that it has given out.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Asks for another target bit rate while it runs. Whether it follows shows in [`Follow`].
    pub fn set_bitrate(&mut self, bitrate: Bitrate) -> Changed {
        let (row, wish) = (self.chain.row, Wish { bitrate, ..self.wish });
        if row.live.is_empty() {
            return Changed::NeedsRebuild;
        }
        if let Err(e) = row.change(&self.chain.encoder, bitrate > self.wish.bitrate, &wish) {
            tracing::debug!("the bit rate cannot be changed while it runs: {e}");
            return Changed::NeedsRebuild;
        }
        self.wish = wish;
        Changed::Live
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
