//! Draws the slate in the format of the camera's pictures, so that the encoder goes on as it is.

use gst_video::prelude::*;

use crate::source::lettering;

/// Black and no colour, in the limited range of video.
const BLACK: u8 = 16;
const GREY: u8 = 128;

/// Draws slates of one format.
pub(super) struct Painter {
    caps: gst::Caps,
    info: gst_video::VideoInfo,
    canvas: gst_video::VideoInfo,
    /// From the canvas to the format of the camera.
    convert: Option<gst_video::VideoConverter>,
}

impl Painter {
    /// `None` where nothing can be drawn: pictures in another memory than the processor's (NVMM), or of a format that is
    /// not known here.
    pub(super) fn new(caps: &gst::Caps) -> Option<Self> {
        if caps.features(0).is_some_and(|features| !features.contains("memory:SystemMemory")) {
            return None;
        }
        let info = gst_video::VideoInfo::from_caps(caps).ok()?;
        let canvas = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, info.width(), info.height());
        let canvas = canvas.fps(info.fps()).interlace_mode(info.interlace_mode()).build().ok()?;
        let same = info.format() == canvas.format();
        let convert = (!same).then(|| gst_video::VideoConverter::new(&canvas, &info, None)).transpose().ok()?;
        Some(Self { caps: caps.clone(), info, canvas, convert })
    }

    /// True if it draws pictures that look like this.
    pub(super) fn fits(&self, caps: &gst::Caps) -> bool {
        self.caps == *caps
    }

    /// A slate with these lines, the first one large.
    pub(super) fn paint(&self, lines: &[String]) -> Option<gst::Sample> {
        let drawn = draw(&self.canvas, lines)?;
        let picture = match &self.convert {
            None => drawn,
            Some(convert) => {
                let from = gst_video::VideoFrame::from_buffer_readable(drawn, &self.canvas).ok()?;
                let buffer = gst::Buffer::with_size(self.info.size()).ok()?;
                let mut to = gst_video::VideoFrame::from_buffer_writable(buffer, &self.info).ok()?;
                convert.frame(&from, &mut to);
                to.into_buffer()
            }
        };
        Some(gst::Sample::builder().buffer(&picture).caps(&self.caps).build())
    }
}

fn draw(canvas: &gst_video::VideoInfo, lines: &[String]) -> Option<gst::Buffer> {
    let buffer = gst::Buffer::with_size(canvas.size()).ok()?;
    let mut frame = gst_video::VideoFrame::from_buffer_writable(buffer, canvas).ok()?;
    for plane in [1, 2] {
        frame.plane_data_mut(plane).ok()?.fill(GREY);
    }
    let stride = usize::try_from(frame.plane_stride()[0]).ok()?;
    let (width, height) = (canvas.width() as usize, canvas.height() as usize);
    let luma = frame.plane_data_mut(0).ok()?;
    luma.fill(BLACK);
    // A margin of a sixteenth on the left; the heading takes half the width, a line of 40 letters all of it.
    let (left, mut top) = (width / 16, height / 6);
    let largest = [width / (2 * 9 * lettering::CELL.0), width / (40 * lettering::CELL.0)];
    for (n, line) in lines.iter().enumerate() {
        let high = lettering::write(luma, stride, (left, top), line, largest[n.min(1)].max(1));
        top += high + high / 2;
    }
    Some(frame.into_buffer())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(format: &str, size: (i32, i32)) -> gst::Caps {
        gst::init().unwrap();
        let (width, height) = size;
        format!("video/x-raw,format={format},width={width},height={height},framerate=30/1").parse().unwrap()
    }

    fn lines() -> Vec<String> {
        ["no signal", "CAM-001 the camera is not there", "since 2026-11-20 07:58:45 UTC", "for 15 s", "live"]
            .map(Into::into)
            .into()
    }

    /// How many bytes of the picture are bright.
    fn bright(sample: &gst::Sample) -> usize {
        sample.buffer().unwrap().map_readable().unwrap().iter().filter(|byte| **byte > 200).count()
    }

    #[test]
    fn every_format_and_size_gets_its_words() {
        for format in ["I420", "NV12", "YUY2", "UYVY", "RGB"] {
            for size in [(16, 16), (320, 240), (640, 480), (1280, 720), (720, 1280), (1920, 1080), (322, 242)] {
                let caps = caps(format, size);
                let painter = Painter::new(&caps).unwrap_or_else(|| panic!("{caps}"));
                let sample = painter.paint(&lines()).unwrap_or_else(|| panic!("{caps}"));
                let (dark, lit) = (painter.paint(&[]).unwrap(), bright(&sample));
                assert_eq!((sample.caps().unwrap(), bright(&dark)), (caps.as_ref(), 0), "{caps}");
                let pixels = size.0 * size.1;
                assert!(size == (16, 16) || lit as i32 * 200 > pixels, "{caps}: {lit} of {pixels}");
                assert!(painter.fits(&caps));
            }
        }
    }

    #[test]
    fn surfaces_are_left_alone() {
        gst::init().unwrap();
        for caps in ["video/x-raw(memory:NVMM),format=NV12,width=640,height=480,framerate=30/1", "video/x-h264"] {
            assert!(Painter::new(&caps.parse().unwrap()).is_none(), "{caps}");
        }
    }
}
