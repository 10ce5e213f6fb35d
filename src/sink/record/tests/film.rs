//! Real H.264 from x264, with time stamps of our choice.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gst::prelude::*;

use crate::media::access_unit::{AccessUnit, EncodedFormat};
use crate::media::codec::Codec;
use crate::media::format::{FrameRate, Size};
use crate::media::nal;

pub(super) const FPS: u32 = 30;

/// `frames` pictures at 30 fps with a keyframe every `gop`, the first one taken at `start`.
pub(super) fn shoot(frames: u32, gop: u32, start: Duration) -> Vec<Arc<AccessUnit>> {
    gst::init().unwrap();
    let text = format!(
        "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,format=I420,width=128,height=96,framerate={FPS}/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 bitrate=300 key-int-max={gop} aud=true \
         ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au \
         ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let out = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut units = Vec::new();
    let mut format = None;
    while let Ok(sample) = out.pull_sample() {
        let buffer = sample.buffer().unwrap();
        let data = Bytes::copy_from_slice(&buffer.map_readable().unwrap());
        let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let format = format.get_or_insert_with(|| format_of(&data)).clone();
        let pts = start + Duration::from_secs(units.len() as u64) / FPS;
        units.push(Arc::new(AccessUnit {
            data,
            pts,
            encoded: pts,
            keyframe,
            discontinuity: false,
            slate: false,
            format,
        }));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(units.len(), frames as usize);
    units
}

fn format_of(data: &Bytes) -> Arc<EncodedFormat> {
    let nals = nal::split(data);
    let find = |kind| nals.iter().find(|n| nal::kind(n) == kind).unwrap().clone();
    Arc::new(EncodedFormat {
        codec: Codec::H264,
        size: Size::new(128, 96),
        rate: FrameRate::whole(FPS),
        sps: find(nal::SPS),
        pps: find(nal::PPS),
    })
}

/// The bytes of a picture as an MP4 file holds them.
pub(super) fn stored(unit: &AccessUnit) -> Vec<u8> {
    let mut out = Vec::new();
    for nal in nal::split(&unit.data).iter().filter(|n| !matches!(nal::kind(n), nal::SPS | nal::PPS | nal::AUD)) {
        out.extend(u32::try_from(nal.len()).unwrap().to_be_bytes());
        out.extend_from_slice(nal);
    }
    out
}
