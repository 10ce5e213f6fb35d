//! The test source: colour bars that move, with the wall clock and the frame number as text, and the capture time as a
//! machine-readable stamp that the latency bench reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gst_video::prelude::*;

use crate::base::clock::Clock;
use crate::media::format::PixelFormat;
use crate::media::stamp;

use super::{Chain, Error, Wanted, lettering, push_flip, raw_filter};

pub(super) fn build(wanted: Wanted, clock: Arc<dyn Clock>) -> Result<Chain, Error> {
    let source = crate::gst::make("videotestsrc", "camera")?;
    crate::gst::set(&source, "is-live", true)?;
    // Bars with a patch of noise: cheap to make (3 % of a core at 720p30) and they fill a bit rate of 2 Mbit/s, where
    // the ball pattern fills a tenth of it.
    crate::gst::set_from_text(&source, "pattern", "smpte")?;
    crate::gst::set(&source, "horizontal-speed", 2i32)?;
    // It counts its own time from 0; on our clock, whose base is 0, its first frame is due now.
    let now = i64::try_from(clock.monotonic().as_nanos()).unwrap_or(i64::MAX);
    crate::gst::set(&source, "timestamp-offset", now)?;
    let filter = raw_filter("camera-format", wanted, Some(PixelFormat::I420))?;
    draw_on_every_frame(&filter, wanted, clock);
    let mut elements = vec![source, filter];
    push_flip(&mut elements, wanted.flip)?;
    Ok(Chain { elements, late: 0, encoded: false, paced: false })
}

/// The band of stamp and text at the top has no colour: black and white must stay black and white in 4:2:0.
const BAND_LINES: usize = 68;
/// Pixels to a dot of the text: legible from across a room at 720p.
const MOST_PIXELS: usize = 4;

/// Draws in a pad probe behind the source: text elements (Pango) would cost more than the encoder.
fn draw_on_every_frame(filter: &gst::Element, wanted: Wanted, clock: Arc<dyn Clock>) {
    let size = wanted.size;
    let Ok(info) = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, size.width, size.height).build() else {
        return;
    };
    let pad = filter.static_pad("src").expect("a capsfilter has a source pad");
    let frames = AtomicU64::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, probe| {
        if let Some(buffer) = probe.buffer_mut() {
            let number = frames.fetch_add(1, Ordering::Relaxed) + 1;
            draw(buffer.make_mut(), &info, number, &*clock);
        }
        gst::PadProbeReturn::Ok
    });
}

fn draw(buffer: &mut gst::BufferRef, info: &gst_video::VideoInfo, number: u64, clock: &dyn Clock) {
    let Ok(mut frame) = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, info) else { return };
    let stride = usize::try_from(frame.plane_stride()[0]).unwrap_or(0);
    let Ok(luma) = frame.plane_data_mut(0) else { return };
    let text = format!("{} #{number:06}", wall_text(clock));
    lettering::write(luma, stride, (16, 32), &text, MOST_PIXELS);
    stamp::burn(luma, stride, clock.monotonic());
    for plane in [1, 2] {
        let lines = usize::try_from(frame.plane_stride()[plane as usize]).unwrap_or(0) * BAND_LINES / 2;
        if let Ok(chroma) = frame.plane_data_mut(plane) {
            let end = lines.min(chroma.len());
            chroma[..end].fill(128);
        }
    }
}

fn wall_text(clock: &dyn Clock) -> String {
    let wall = clock.wall();
    let seconds = i64::try_from(wall.as_secs()).unwrap_or(0);
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let (date, clock) = (time.date(), time.time());
    format!("{date} {:02}:{:02}:{:02}.{:03}", clock.hour(), clock.minute(), clock.second(), wall.subsec_millis())
}
