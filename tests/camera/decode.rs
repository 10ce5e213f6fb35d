//! Decodes what a viewer gets, to look at the picture.

use gst::prelude::*;
use windhover::media::access_unit::AccessUnit;

pub(crate) struct Decoder {
    pipeline: gst::Pipeline,
    input: gst_app::AppSrc,
    output: gst_app::AppSink,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        let line = "appsrc name=in format=time caps=video/x-h264,stream-format=byte-stream,alignment=au ! h264parse ! \
                    openh264dec ! videoconvert ! video/x-raw,format=GRAY8 ! \
                    appsink name=out sync=false wait-on-eos=false max-buffers=1 drop=true";
        let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let input = pipeline.by_name("in").and_downcast().unwrap();
        let output = pipeline.by_name("out").and_downcast().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, input, output }
    }

    pub(crate) fn push(&mut self, unit: &AccessUnit) {
        let mut buffer = gst::Buffer::from_slice(unit.data.clone());
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::try_from(unit.pts).ok());
        self.input.push_buffer(buffer).unwrap();
    }

    /// The last of the pictures: which part of it is dark, and which bright.
    pub(crate) fn newest(self) -> (f64, f64) {
        self.input.end_of_stream().unwrap();
        let end = [gst::MessageType::Eos, gst::MessageType::Error];
        let said = self.pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(20), &end).unwrap();
        assert_eq!(said.type_(), gst::MessageType::Eos, "{said:?}");
        let sample = self.output.pull_sample().unwrap();
        let data = sample.buffer().unwrap().map_readable().unwrap();
        let part = |of: fn(u8) -> bool| data.iter().filter(|luma| of(**luma)).count() as f64 / data.len() as f64;
        (part(|luma| luma < 40), part(|luma| luma > 160))
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).unwrap();
    }
}
