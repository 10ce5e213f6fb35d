//! What other people's players make of a file.

use std::path::Path;
use std::process::Command;

use gst::prelude::*;

/// Pictures that ffmpeg decodes, and the duration in seconds that it shows (0 if it knows none).
pub(super) fn ffprobe(path: &Path) -> (usize, f64) {
    let out = Command::new("ffprobe")
        .args(["-v", "quiet", "-count_frames", "-select_streams", "v", "-of", "csv=p=0:s=|"])
        .args(["-show_entries", "stream=nb_read_frames:format=duration"])
        .arg(path)
        .output()
        .expect("ffmpeg is installed");
    let text = String::from_utf8(out.stdout).unwrap();
    // Of a transport stream it says the pictures twice: once in its program.
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let frames = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    (frames, lines.next_back().and_then(|line| line.parse().ok()).unwrap_or(0.0))
}

/// Pictures that GStreamer decodes before the end or an error, with this demuxer.
pub(super) fn gstreamer(path: &Path, demuxer: &str) -> usize {
    gst::init().unwrap();
    let text =
        format!("filesrc name=in ! {demuxer} ! h264parse ! avdec_h264 max-threads=1 ! appsink name=out sync=false");
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    pipeline.by_name("in").unwrap().set_property("location", path.to_str().unwrap());
    let out = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    let bus = pipeline.bus().unwrap();
    let mut frames = 0;
    if pipeline.set_state(gst::State::Playing).is_ok() {
        loop {
            if out.try_pull_sample(gst::ClockTime::from_mseconds(50)).is_some() {
                frames += 1;
            } else if out.is_eos() || bus.pop_filtered(&[gst::MessageType::Error]).is_some() {
                // What was decoded before an error is still in the sink.
                while out.try_pull_sample(gst::ClockTime::ZERO).is_some() {
                    frames += 1;
                }
                break;
            }
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    frames
}
