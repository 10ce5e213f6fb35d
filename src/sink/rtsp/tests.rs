//! The held media on the library itself, without a network.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;

use super::connections::Connections;
use super::delay::Delay;
use super::factory::OneMediaFactory;
use super::reports::Reports;
use super::*;
use crate::base::clock::SystemClock;
use crate::media::access_unit::{AccessUnit, EncodedFormat};
use crate::media::codec::Codec;
use crate::media::format::{FrameRate, Size};

/// A small stream of 30 pictures a second into `hub`, one packet each.
fn feed(hub: &Hub) -> gst::Pipeline {
    let line = "videotestsrc is-live=true ! video/x-raw,format=I420,width=160,height=120,framerate=30/1 \
                ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 threads=1 bitrate=100 \
                ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au \
                ! appsink name=out sync=false";
    let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    let (size, rate) = (Size::new(160, 120), FrameRate::whole(30));
    let format = EncodedFormat { codec: Codec::H264, size, rate, sps: Bytes::new(), pps: Bytes::new() };
    let (hub, format) = (hub.clone(), Arc::new(format));
    crate::gst::connect_frames(&sink, move |sample, _| {
        let buffer = sample.buffer_owned().unwrap();
        let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let data = Bytes::from_owner(buffer.into_mapped_buffer_readable().unwrap());
        let pts = SystemClock.monotonic();
        let unit = AccessUnit {
            data,
            pts,
            encoded: pts,
            keyframe,
            discontinuity: false,
            slate: false,
            format: format.clone(),
        };
        hub.publish(unit);
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline
}

/// The library's sending thread handles one waiting packet per turn, RTCP first. When it was slow as the first sender
/// report came, RTP stayed behind for good until viewer zero reported its packets as sent.
#[test]
fn a_slow_sender_does_not_stop_the_media_at_the_first_sender_report() {
    crate::gst::init().unwrap();
    let main_loop = gst::glib::MainLoop::new(None, false);
    let running = main_loop.clone();
    let thread = task::thread("test-loop", move || running.run());
    let hub = Hub::new(Arc::new(SystemClock));
    let camera = feed(&hub);
    let factory = OneMediaFactory::new();
    let (inlet, over) = (hub.clone(), Arc::new(AtomicBool::new(false)));
    let ended = over.clone();
    let reports = Reports::new(Connections::new(1), Arc::new(SystemClock), 1);
    factory.connect_media_configure(move |_, media| {
        mount::configure(media, &inlet, &Delay::default(), &Arc::default(), &ended, &reports);
    });
    let media = factory.media().unwrap();
    media.prepare(None).unwrap();
    let packets = Arc::new(AtomicU64::new(0));
    let count = packets.clone();
    let viewer_zero = viewer_zero::admit(&media, move |_| {
        // Longer than the time between two packets, so that one always waits when the thread looks again.
        Shutdown::new().wait(Duration::from_millis(40));
        count.fetch_add(1, Ordering::Relaxed);
    });
    let viewer_zero = viewer_zero.unwrap();
    let pause = |s: u64| Shutdown::new().wait(Duration::from_secs(s));
    // Sender reports begin within five seconds (RFC 3550, 6.2).
    pause(8);
    let before = packets.load(Ordering::Relaxed);
    pause(2);
    let after = packets.load(Ordering::Relaxed);
    over.store(true, Ordering::Release);
    media.set_state(gst::State::Null, std::slice::from_ref(&viewer_zero));
    media.unprepare().unwrap();
    camera.set_state(gst::State::Null).unwrap();
    main_loop.quit();
    thread.join().unwrap();
    assert!(after > before + 10, "{before} packets after 8 s, {after} after 10 s");
}
