//! A v4l2 camera: raw, MJPEG or already H.264.

use std::path::Path;

use crate::media::format::PixelFormat;

use super::{Chain, Error, Wanted, filter, push_flip, raw_filter};

pub(super) fn build(node: &Path, format: PixelFormat, wanted: Wanted) -> Result<Chain, Error> {
    let source = crate::gst::make("v4l2src", "camera")?;
    crate::gst::set(&source, "device", node.to_string_lossy().into_owned())?;
    let mut elements = vec![source];
    match format {
        PixelFormat::MJPEG => push_mjpeg(&mut elements, wanted)?,
        PixelFormat::H264 => push_h264(&mut elements, wanted)?,
        raw => {
            elements.push(raw_filter("camera-format", wanted, Some(raw))?);
            push_flip(&mut elements, wanted.flip)?;
        }
    }
    Ok(Chain { elements, late: 0, encoded: format == PixelFormat::H264, paced: false })
}

fn encoded_filter(media: &str, wanted: Wanted) -> Result<gst::Element, Error> {
    let rate = gst::Fraction::new(wanted.rate.num.cast_signed(), wanted.rate.den.cast_signed());
    let caps = gst::Caps::builder(media)
        .field("width", wanted.size.width.cast_signed())
        .field("height", wanted.size.height.cast_signed())
        .field("framerate", rate);
    filter("camera-format", caps.build())
}

/// USB cameras send 4:2:2 JPEG; everything behind the source expects 4:2:0.
fn push_mjpeg(elements: &mut Vec<gst::Element>, wanted: Wanted) -> Result<(), Error> {
    elements.push(encoded_filter("image/jpeg", wanted)?);
    let decoder = crate::gst::make("jpegdec", "camera-jpeg")?;
    // A torn frame on a bad cable costs itself, not the camera. -1: any number of them.
    crate::gst::set(&decoder, "max-errors", -1i32)?;
    elements.push(decoder);
    elements.push(crate::gst::make("videoconvert", "camera-convert")?);
    elements.push(filter("camera-raw", gst::Caps::builder("video/x-raw").field("format", "I420").build())?);
    push_flip(elements, wanted.flip)
}

/// Passed through: only put into the form that every stream has here, with parameter sets before each keyframe.
fn push_h264(elements: &mut Vec<gst::Element>, wanted: Wanted) -> Result<(), Error> {
    elements.push(encoded_filter("video/x-h264", wanted)?);
    let parse = crate::gst::make("h264parse", "camera-parse")?;
    crate::gst::set(&parse, "config-interval", -1i32)?;
    elements.push(parse);
    let caps = gst::Caps::builder("video/x-h264").field("stream-format", "byte-stream").field("alignment", "au");
    elements.push(filter("camera-stream", caps.build())?);
    Ok(())
}
