//! The clients themselves, against GStreamer's own RTSP server: they must see what is there before they are believed
//! about the daemon.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gst::prelude::*;
use gst_rtsp_server::prelude::*;
use windhover::base::task;
use windhover::media::stamp;

use crate::support::crowd::Crowd;
use crate::support::media_file;
use crate::support::player::Player;
use crate::support::rtsp::{Step, Transport};
use crate::support::wait::now;

/// GStreamer's server with a stamped test picture, in this process.
struct TestServer {
    address: SocketAddr,
    main_loop: gst::glib::MainLoop,
    thread: Option<std::thread::JoinHandle<Option<()>>>,
}

impl TestServer {
    fn start() -> Self {
        gst::init().expect("GStreamer is installed");
        let context = gst::glib::MainContext::new();
        let server = gst_rtsp_server::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service("0");
        let factory = gst_rtsp_server::RTSPMediaFactory::new();
        factory.set_launch(
            "( videotestsrc is-live=true name=cam ! video/x-raw,format=I420,width=960,height=540,framerate=30/1 \
             ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=15 \
             ! rtph264pay name=pay0 pt=96 config-interval=-1 )",
        );
        factory.set_shared(true);
        factory.connect_media_configure(|_, media| stamp_pictures(&media.element()));
        server.mount_points().expect("a new server has mount points").add_factory("/live", factory);
        let source = server.attach(Some(&context)).expect("loopback has a free port");
        let port = u16::try_from(server.bound_port()).expect("a bound port");
        let main_loop = gst::glib::MainLoop::new(Some(&context), false);
        let running = main_loop.clone();
        let thread = task::thread("test-server", move || {
            running.run();
            if let Some(source) = context.find_source_by_id(&source) {
                source.destroy();
            }
        });
        Self { address: (Ipv4Addr::LOCALHOST, port).into(), main_loop, thread: Some(thread) }
    }

    fn url(&self) -> String {
        format!("rtsp://{}/live", self.address)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.main_loop.quit();
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Draws the present time into each picture as it leaves the source.
fn stamp_pictures(bin: &gst::Element) {
    let bin = bin.downcast_ref::<gst::Bin>().expect("a launched factory makes a bin");
    let pad = bin.by_name("cam").and_then(|cam| cam.static_pad("src")).expect("it is in the description");
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(buffer) = info.buffer_mut() {
            let mut map = buffer.make_mut().map_writable().expect("system memory can be written");
            stamp::burn(&mut map, 960, now());
        }
        gst::PadProbeReturn::Ok
    });
}

#[test]
fn raw_viewers_see_keyframes_over_tcp_and_udp() {
    let server = TestServer::start();
    let mut crowd = Crowd::new(server.address);
    crowd.join(3, "/live", Transport::Tcp);
    crowd.join(3, "/live", Transport::Udp);
    crowd.everybody_sees(Duration::from_secs(10)).expect("all have a picture");
    assert!(crowd.until(Duration::from_secs(10), |v| v.iter().all(|v| v.received.keyframes >= 2)));
    for viewer in &crowd.viewers {
        assert_eq!((&viewer.step, viewer.received.lost), (&Step::Playing, 0));
        assert!(viewer.received.frames >= 15 && viewer.received.packets >= viewer.received.frames);
        assert!(viewer.described.is_some() && viewer.first_picture_after().is_some());
    }
    crowd.viewers[0].vanish();
    crowd.viewers[3].leave();
    assert!(crowd.until(Duration::from_secs(5), |v| !v[3].alive()), "TEARDOWN is answered");
    assert_eq!(crowd.viewers[3].step, Step::Ended("left".into()));
    crowd.forget_ended();
    assert_eq!(crowd.viewers.len(), 4);
    crowd.leave(2);
}

#[test]
fn raw_viewers_report_refusals() {
    let server = TestServer::start();
    let mut crowd = Crowd::new(server.address);
    crowd.join(1, "/nothing", Transport::Tcp);
    assert!(crowd.until(Duration::from_secs(5), |v| !v[0].alive()));
    assert_eq!(crowd.viewers[0].step, Step::Ended("DESCRIBE: 404".into()));
    let mut nobody = Crowd::new((Ipv4Addr::LOCALHOST, 9).into());
    nobody.join(1, "/live", Transport::Tcp);
    assert!(nobody.until(Duration::from_secs(5), |v| !v[0].alive()));
    assert!(nobody.everybody_sees(Duration::ZERO).is_err());
}

#[test]
fn players_read_the_stamp_over_tcp_and_udp() {
    let server = TestServer::start();
    for transport in [Transport::Tcp, Transport::Udp] {
        let player = Player::play(&server.url(), transport);
        let seen = player.wait_pictures(20, Duration::from_secs(15)).expect("pictures come");
        assert!(seen.latencies.len() as u64 * 10 >= seen.pictures * 9, "{transport:?}: {} unreadable", seen.unreadable);
        assert!(seen.latencies.iter().all(|latency| *latency < Duration::from_secs(5)));
        assert!(seen.first.expect("there are pictures") > player.begun);
    }
    let lost = Player::play("rtsp://127.0.0.1:9/live", Transport::Tcp);
    assert!(lost.wait_pictures(1, Duration::from_secs(15)).is_err());
}

#[test]
fn files_are_probed_and_decoded() {
    let server = TestServer::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("video/x.mp4");
    std::fs::create_dir(folder.path().join("video")).expect("the folder is ours");
    media_file::save_stream(&server.url(), Some("tcp"), "1", &file).expect("ffmpeg saves a second");
    let probed = media_file::probe(&file).expect("the file is whole");
    assert!(probed.begins_with_keyframe && probed.frames >= 20, "{probed:?}");
    assert_eq!((probed.size, probed.codec.as_str()), ((960, 540), "h264"));
    assert!((0.5..2.0).contains(&probed.duration_s), "{probed:?}");
    assert_eq!(media_file::decode(&file), Ok(probed.frames));
    assert_eq!(media_file::segments(folder.path()), [file.as_path()]);
    let whole = std::fs::read(&file).expect("it is there");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("the folder is ours");
    assert!(media_file::probe(&file).is_err(), "half a plain MP4 has no index");
}
