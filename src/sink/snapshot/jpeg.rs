//! One raw picture to one JPEG, through a pipeline that stays up between pictures.

use std::time::Duration;

use bytes::Bytes;
use gst::prelude::*;

use crate::gst::Pipeline;

/// The usual trade of size against blocks, and the field's default.
const QUALITY: i32 = 85;
/// 720p takes 5 ms; 4K on a slow board some 150 ms.
const ENCODE_WITHIN: Duration = Duration::from_secs(2);

/// Why a picture does not become a JPEG.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline cannot be built.
    #[error("the JPEG encoder cannot be started")]
    Start(#[source] crate::gst::Error),
    /// The pipeline gave nothing out.
    #[error("the JPEG encoder gave out nothing: {0}")]
    Encode(String),
}

pub(super) struct Encoder {
    pipeline: Pipeline,
    input: gst_app::AppSrc,
    output: gst_app::AppSink,
}

impl Encoder {
    /// `carrier` brings pictures to the processor's memory, where they lie elsewhere.
    pub(super) fn new(carrier: Option<&str>) -> Result<Self, Error> {
        Self::build(carrier).map_err(Error::Start)
    }

    fn build(carrier: Option<&str>) -> Result<Self, crate::gst::Error> {
        let pipeline = Pipeline::new("snapshot");
        let input = gst_app::AppSrc::builder().name("snapshot-input").format(gst::Format::Time).build();
        let convert = crate::gst::make(carrier.unwrap_or("videoconvert"), "snapshot-convert")?;
        let here = crate::gst::make("capsfilter", "snapshot-raw")?;
        if carrier.is_some() {
            // JPEG's own form, so that nothing is converted twice.
            crate::gst::set_from_text(&here, "caps", "video/x-raw,format=I420")?;
        }
        let encoder = crate::gst::make("jpegenc", "snapshot-jpeg")?;
        crate::gst::set(&encoder, "quality", QUALITY)?;
        let output = gst_app::AppSink::builder().name("snapshot-output").sync(false).async_(false).max_buffers(1);
        let output = output.drop(true).build();
        pipeline.chain(&[input.upcast_ref(), &convert, &here, &encoder, output.upcast_ref()])?;
        pipeline.play(ENCODE_WITHIN)?;
        Ok(Self { pipeline, input, output })
    }

    pub(super) fn encode(&mut self, sample: &gst::Sample) -> Result<Bytes, Error> {
        self.input.push_sample(sample).map_err(|e| self.failed(&e.to_string()))?;
        let within = gst::ClockTime::try_from(ENCODE_WITHIN).ok();
        let jpeg = self.output.try_pull_sample(within).ok_or_else(|| self.failed("it took too long"))?;
        let buffer = jpeg.buffer_owned().ok_or_else(|| self.failed("an empty sample"))?;
        let mapped = buffer.into_mapped_buffer_readable().map_err(|_| self.failed("unreadable memory"))?;
        // Copied: a snapshot may be kept long after the pipeline that owns this memory is gone.
        Ok(Bytes::copy_from_slice(&mapped))
    }

    fn failed(&self, what: &str) -> Error {
        let fault = self.pipeline.wait_fault(Duration::ZERO);
        Error::Encode(fault.map_or_else(|| what.to_owned(), |fault| fault.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_pictures_of_any_size_become_jpegs() {
        gst::init().unwrap();
        let mut encoder = Encoder::new(None).unwrap();
        for (width, height, format) in [(64, 48, "I420"), (128, 96, "YUY2"), (64, 48, "NV12")] {
            let info = format!("video/x-raw,format={format},width={width},height={height},framerate=30/1");
            let caps: gst::Caps = info.parse().unwrap();
            let bytes = gst_video::VideoInfo::from_caps(&caps).unwrap().size();
            let sample = gst::Sample::builder().buffer(&gst::Buffer::from_slice(vec![90; bytes])).caps(&caps).build();
            let jpeg = encoder.encode(&sample).unwrap();
            assert_eq!((&jpeg[..2], &jpeg[jpeg.len() - 2..]), (&[0xff, 0xd8][..], &[0xff, 0xd9][..]));
        }
    }
}
