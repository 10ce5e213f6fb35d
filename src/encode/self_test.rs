//! Does an encoder encode, with the very settings it would run with? Ten frames tell. Done in a child process.

use std::time::Duration;

use gst::prelude::*;

use crate::base::clock::Clock;
use crate::base::units::Bitrate;
use crate::gst::{Fault, Pipeline, make, set_from_text};
use crate::media::format::FrameRate;
use crate::plan::inventory::SelfTestReport;

use super::Error;
use super::row::{Chain, Wish};

/// A stream as most are.
const WISH: Wish =
    Wish { bitrate: Bitrate::from_bps(2_000_000), keyframe_frames: 30, threads: 1, rate: FrameRate::whole(30) };
/// Hardware takes up to 2 s to open. Whoever started the child waits no longer either.
const PATIENCE: Duration = Duration::from_secs(5);

/// Encodes ten frames of 640x480 with `element`. May hang or crash where a vendor's library does. `converter` carries
/// them into surfaces, where the element takes no others.
pub fn encode_ten(element: &str, converter: Option<&str>, clock: &dyn Clock) -> Result<SelfTestReport, Error> {
    let failed = |cause| Error::Start { element: element.to_owned(), cause };
    crate::gst::init().map_err(failed)?;
    let start = clock.monotonic();
    let convert: Vec<String> = ["videoconvert"].into_iter().chain(converter).map(str::to_owned).collect();
    let chain = Chain::build(element, &WISH, &convert)?;
    let sink = gst_app::AppSink::builder().name("self-test-output").sync(false).build();
    let pipeline = assemble(&chain, &sink).map_err(failed)?;
    let mut report = SelfTestReport { access_units: 0, starts_with_keyframe: false, first_frame_ms: 0 };
    let patience = gst::ClockTime::try_from(PATIENCE).expect("it is a few seconds");
    while let Some(sample) = sink.try_pull_sample(patience) {
        if report.access_units == 0 {
            let delta = sample.buffer().is_none_or(|b| b.flags().contains(gst::BufferFlags::DELTA_UNIT));
            report.starts_with_keyframe = !delta;
            let taken = clock.monotonic().saturating_sub(start);
            report.first_frame_ms = u64::try_from(taken.as_millis()).unwrap_or(u64::MAX);
        }
        report.access_units += 1;
    }
    match pipeline.wait_fault(Duration::ZERO) {
        Some(fault @ Fault::Error { .. }) => Err(Error::SelfTest(fault.to_string())),
        _ => Ok(report),
    }
}

fn assemble(chain: &Chain, sink: &gst_app::AppSink) -> Result<Pipeline, crate::gst::Error> {
    let source = make("videotestsrc", "self-test-input")?;
    set_from_text(&source, "num-buffers", &SelfTestReport::FRAMES.to_string())?;
    let picture = make("capsfilter", "self-test-picture")?;
    set_from_text(&picture, "caps", "video/x-raw,format=I420,width=640,height=480,framerate=30/1")?;
    let pipeline = Pipeline::new("self-test");
    let mut elements = vec![&source, &picture];
    elements.extend(&chain.elements);
    elements.push(sink.upcast_ref());
    pipeline.chain(&elements)?;
    pipeline.play(PATIENCE)?;
    Ok(pipeline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;
    use crate::plan::inventory::SelfTest;

    #[test]
    fn software_encoders_work_here_and_nonsense_does_not() {
        for element in ["x264enc", "openh264enc"] {
            let report = encode_ten(element, None, &SystemClock).unwrap();
            assert_eq!((report.access_units, report.starts_with_keyframe), (SelfTestReport::FRAMES, true), "{element}");
            assert!(matches!(report.verdict(), SelfTest::Passed { .. }));
        }
        for element in ["no-such-encoder", "avenc_h264_omx"] {
            assert!(matches!(encode_ten(element, None, &SystemClock), Err(Error::Unknown(name)) if name == element));
        }
        if gst::ElementFactory::find("nvv4l2h264enc").is_none() {
            assert!(matches!(encode_ten("nvv4l2h264enc", None, &SystemClock), Err(Error::Start { .. })));
        }
    }
}
