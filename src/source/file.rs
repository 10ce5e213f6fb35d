//! A clip as a camera: decoded, in real time. The pipeline opens the next clip, or this one again, at its end.

use std::path::Path;

use gst::prelude::*;

use super::{Chain, Error, Wanted, push_flip};

/// The size of the picture is the clip's own: a clip of another size is how a change of size is tested.
pub(super) fn build(path: &Path, wanted: Wanted) -> Result<Chain, Error> {
    std::fs::File::open(path).map_err(|cause| Error::Clip { path: path.to_owned(), cause })?;
    let source = crate::gst::make("filesrc", "clip")?;
    crate::gst::set(&source, "location", path.to_string_lossy().into_owned())?;
    let decoder = crate::gst::make("decodebin3", "clip-decoder")?;
    let convert = crate::gst::make("videoconvert", "clip-convert")?;
    let raw = super::filter("clip-raw", gst::Caps::builder("video/x-raw").field("format", "I420").build())?;
    link_video_when_it_appears(&decoder, &convert);
    let mut elements = vec![source, decoder, convert, raw];
    push_flip(&mut elements, wanted.flip)?;
    Ok(Chain { elements, late: 2, encoded: false, paced: true })
}

/// The first video track is the camera; sound and further tracks are not decoded into anything.
fn link_video_when_it_appears(decoder: &gst::Element, convert: &gst::Element) {
    let sink = convert.static_pad("sink").expect("videoconvert has a sink pad");
    decoder.connect_pad_added(move |_, pad| {
        let is_video = pad.query_caps(None).structure(0).is_some_and(|s| s.name().starts_with("video/"));
        if is_video
            && !sink.is_linked()
            && let Err(e) = pad.link(&sink)
        {
            tracing::warn!("the clip's video track does not link: {e}");
        }
    });
}
