//! Takes out pictures that are not whole before anything decodes or encodes them: a torn one costs itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gst::prelude::*;

/// Drops what is spoiled right behind `source`, and counts it.
pub fn drop_spoiled(source: &gst::Element) -> Arc<AtomicU64> {
    let spoiled = Arc::new(AtomicU64::new(0));
    let Some(pad) = source.static_pad("src") else { return spoiled };
    let (count, ends) = (spoiled.clone(), AtomicBool::new(false));
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, probe| {
        let Some(buffer) = probe.buffer() else { return gst::PadProbeReturn::Ok };
        if is_whole(buffer, pad.current_caps().as_ref(), &ends) {
            return gst::PadProbeReturn::Ok;
        }
        count.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Drop
    });
    spoiled
}

/// A driver marks what it knows to be damaged (`V4L2_BUF_FLAG_ERROR`, which v4l2src hands on as CORRUPTED). uvcvideo does
/// not look into JPEG, so that a picture cut short by the bus bears no mark.
fn is_whole(buffer: &gst::BufferRef, caps: Option<&gst::Caps>, ends: &AtomicBool) -> bool {
    if buffer.flags().contains(gst::BufferFlags::CORRUPTED) || buffer.size() == 0 {
        return false;
    }
    let Some(caps) = caps else { return true };
    match caps.structure(0).map(|caps| caps.name().as_str()) {
        Some("image/jpeg") => buffer.map_readable().is_ok_and(|data| is_whole_jpeg(&data, ends)),
        // In other memory the size of a buffer is not that of the picture.
        Some("video/x-raw") if caps.features(0).is_none_or(|f| f.contains("memory:SystemMemory")) => {
            gst_video::VideoInfo::from_caps(caps).map_or(true, |info| buffer.size() >= info.size())
        }
        _ => true,
    }
}

/// From SOI to EOI (ITU-T T.81, B.1.1.3). Within the compressed data 0xFF is followed by 0, so that the end marker stands
/// nowhere else. Some cameras never write it, so it is asked only of one that did.
fn is_whole_jpeg(data: &[u8], ends: &AtomicBool) -> bool {
    if !data.starts_with(&[0xFF, 0xD8]) {
        return false;
    }
    // Padding may follow. A thumbnail with an end of its own stands in the first half.
    let ended = data[data.len() / 2..].windows(2).rev().any(|pair| pair == [0xFF, 0xD9]);
    if ended {
        ends.store(true, Ordering::Relaxed);
    }
    ended || !ends.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(data: &[u8]) -> gst::Buffer {
        gst::init().unwrap();
        gst::Buffer::from_slice(data.to_vec())
    }

    #[test]
    fn short_and_marked_pictures_are_not_whole() {
        gst::init().unwrap();
        let caps: gst::Caps = "video/x-raw,format=I420,width=16,height=16,framerate=30/1".parse().unwrap();
        let ends = AtomicBool::new(false);
        for (bytes, whole) in [(384, true), (400, true), (383, false), (0, false)] {
            assert_eq!(is_whole(&buffer(&vec![9; bytes]), Some(&caps), &ends), whole, "{bytes}");
        }
        let mut marked = buffer(&[9; 384]);
        marked.get_mut().unwrap().set_flags(gst::BufferFlags::CORRUPTED);
        assert!(!is_whole(&marked, Some(&caps), &ends));
        let surface: gst::Caps = "video/x-raw(memory:NVMM),format=NV12,width=16,height=16".parse().unwrap();
        assert!(is_whole(&buffer(&[9; 64]), Some(&surface), &ends));
    }

    #[test]
    fn a_jpeg_cut_short_is_told_from_one_that_never_has_an_end() {
        let ends = AtomicBool::new(false);
        let cut = [0xFF, 0xD8, 1, 2, 3, 4, 5, 6];
        assert!(is_whole_jpeg(&cut, &ends), "this camera may write no ends");
        assert!(is_whole_jpeg(&[0xFF, 0xD8, 1, 2, 3, 0xFF, 0xD9, 0, 0], &ends), "padded");
        assert!(!is_whole_jpeg(&cut, &ends), "but it does");
        let thumbnail = [0xFF, 0xD8, 0xFF, 0xD8, 0xFF, 0xD9, 1, 2, 3, 4, 5, 6, 7, 8];
        assert!(!is_whole_jpeg(&thumbnail, &ends));
        for garbage in [&[][..], &[0xFF], &[0, 0, 0, 0, 0xFF, 0xD9]] {
            assert!(!is_whole_jpeg(garbage, &ends), "{garbage:?}");
        }
    }
}
