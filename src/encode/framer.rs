//! At the end of a pipeline: samples become access units.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gst::prelude::*;

use crate::base::clock::Clock;
use crate::media::access_unit::{AccessUnit, EncodedFormat};
use crate::media::codec::Codec;
use crate::media::format::{FrameRate, Size};
use crate::media::nal;

/// When the encoder gave out its last few pictures, by running time.
type Outputs = Arc<Mutex<VecDeque<(Duration, Duration)>>>;

/// Takes finished access units, on the streaming thread. Must not block.
pub type Deliver = Box<dyn FnMut(AccessUnit) + Send>;

/// Turns samples of H.264 byte stream into access units, on the streaming thread.
pub struct Framer {
    deliver: Deliver,
    rate: FrameRate,
    clock: Arc<dyn Clock>,
    outputs: Outputs,
    format: Option<(Option<gst::Caps>, Arc<EncodedFormat>)>,
    discontinuity: bool,
}

impl Framer {
    /// Access units go to `deliver`; the first one is marked as a discontinuity if `resumes`.
    pub fn new(rate: FrameRate, clock: Arc<dyn Clock>, resumes: bool, deliver: Deliver) -> Self {
        let discontinuity = resumes;
        Self { deliver, rate, clock, outputs: Outputs::default(), format: None, discontinuity }
    }

    /// Notes the time of everything that leaves `encoder`, from where the daemon's own delay is measured.
    pub(super) fn watch(&self, encoder: &gst::Element) {
        let pad = encoder.static_pad("src").expect("every encoder has a source pad");
        let (outputs, clock) = (self.outputs.clone(), self.clock.clone());
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, probe| {
            if let Some(pts) = probe.buffer().and_then(|b| running_time(pad, b)) {
                let mut outputs = outputs.lock().expect("nothing panics while it holds this lock");
                // A parser holds back one picture at most; more would mean that they never arrive.
                if outputs.len() >= 8 {
                    outputs.pop_front();
                }
                outputs.push_back((pts, clock.monotonic()));
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// The callback for an appsink.
    pub fn into_callback(mut self) -> impl FnMut(gst::Sample, Duration) + Send + 'static {
        move |sample, pts| self.frame(&sample, pts)
    }

    fn frame(&mut self, sample: &gst::Sample, pts: Duration) {
        let Some(buffer) = sample.buffer_owned() else { return };
        let intra = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let Ok(mapped) = buffer.into_mapped_buffer_readable() else { return };
        let data = Bytes::from_owner(mapped);
        let units = if intra { nal::split(&data) } else { Vec::new() };
        // h264parse calls every intra picture a keyframe. Only after an IDR picture (H.264 3.69) does nothing refer back.
        let keyframe = units.iter().any(|unit| nal::kind(unit) == nal::IDR);
        let Some(format) = self.format(sample, &units) else { return };
        let encoded = self.output_time(pts);
        let discontinuity = std::mem::take(&mut self.discontinuity);
        (self.deliver)(AccessUnit { data, pts, encoded, keyframe, discontinuity, slate: false, format });
    }

    /// The format changes with the parameter sets, which come with keyframes.
    fn format(&mut self, sample: &gst::Sample, units: &[Bytes]) -> Option<Arc<EncodedFormat>> {
        let find = |kind| units.iter().find(|unit| nal::kind(unit) == kind);
        if let (Some(sps), Some(pps)) = (find(nal::SPS), find(nal::PPS)) {
            let caps = sample.caps_owned();
            let same = self.format.as_ref().is_some_and(|(c, f)| *c == caps && f.sps == *sps && f.pps == *pps);
            if !same {
                let size = size_of(sample)?;
                // Copied out: a slice would hold the whole keyframe in memory for as long as the format lives.
                let (sps, pps) = (Bytes::copy_from_slice(sps), Bytes::copy_from_slice(pps));
                let format = EncodedFormat { codec: Codec::H264, size, rate: self.rate, sps, pps };
                self.format = Some((caps, Arc::new(format)));
            }
        }
        self.format.as_ref().map(|(_, format)| format.clone())
    }

    fn output_time(&self, pts: Duration) -> Duration {
        let mut outputs = self.outputs.lock().expect("nothing panics while it holds this lock");
        while let Some((output, time)) = outputs.pop_front() {
            if output == pts {
                return time;
            }
        }
        self.clock.monotonic()
    }
}

fn running_time(pad: &gst::Pad, buffer: &gst::Buffer) -> Option<Duration> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = segment.segment().downcast_ref::<gst::ClockTime>()?;
    Some(segment.to_running_time(buffer.pts()?)?.into())
}

fn size_of(sample: &gst::Sample) -> Option<Size> {
    let caps = sample.caps()?.structure(0)?;
    let side = |name| caps.get::<i32>(name).ok().and_then(|n| u32::try_from(n).ok());
    Some(Size::new(side("width")?, side("height")?))
}
