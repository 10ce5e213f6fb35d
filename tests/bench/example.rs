//! GStreamer's RTSP example server (`test-launch`) with the same picture: what somebody gets who takes the library and a
//! launch line. It is a peer in the table, and what the peers that relay take their stream from.

use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::{RTSPMediaFactory, RTSPServer};
use gst_video::prelude::*;
use windhover::media::stamp;

use crate::support::wait::now;

/// The first word of the command line by which the bench runs itself as this server.
pub(crate) const WORD: &str = "serve-example";

/// Serves `/live` on this port of the loopback address until it is killed.
pub(crate) fn serve(port: &str, keyframe_every: &str) -> Result<(), String> {
    gst::init().map_err(|e| e.to_string())?;
    let frames: u32 = keyframe_every.parse().map_err(|_| format!("{keyframe_every:?} is no number of frames"))?;
    let server = RTSPServer::new();
    server.set_address("127.0.0.1");
    server.set_service(port);
    let factory = RTSPMediaFactory::new();
    // As the daemon's own test source and its settings of x264enc, down to the buffer of six frames.
    factory.set_launch(&format!(
        "( videotestsrc is-live=true pattern=smpte horizontal-speed=2 \
         ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1 ! identity name=stamp \
         ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=2000 key-int-max={frames} bframes=0 threads=1 \
         sliced-threads=false vbv-buf-capacity=200 ! video/x-h264,profile=baseline ! rtph264pay name=pay0 pt=96 )"
    ));
    factory.set_shared(true);
    factory.connect_media_configure(|_, media| {
        let stamped = media.element().downcast::<gst::Bin>().ok().and_then(|bin| bin.by_name("stamp"));
        if let Some(pad) = stamped.and_then(|element| element.static_pad("src")) {
            pad.add_probe(gst::PadProbeType::BUFFER, burn);
        }
    });
    server.mount_points().ok_or("a server has mount points")?.add_factory("/live", factory);
    let _listens = server.attach(None).map_err(|e| e.to_string())?;
    glib::MainLoop::new(None, false).run();
    Ok(())
}

/// The time of the picture's making, as the daemon's test source draws it.
fn burn(_: &gst::Pad, probe: &mut gst::PadProbeInfo) -> gst::PadProbeReturn {
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 1280, 720).build();
    if let (Some(buffer), Ok(info)) = (probe.buffer_mut(), info)
        && let Ok(mut frame) = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), &info)
    {
        let stride = usize::try_from(frame.plane_stride()[0]).unwrap_or(0);
        if let Ok(luma) = frame.plane_data_mut(0) {
            stamp::burn(luma, stride, now());
        }
    }
    gst::PadProbeReturn::Ok
}
