//! The clients themselves: they must see what is there, and what is missing, before they are believed about the daemon.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::support::crowd::Crowd;
use crate::support::daemon::{Daemon, Setup};
use crate::support::media_file;
use crate::support::player::Player;
use crate::support::rtsp::{Step, Transport};

#[test]
fn raw_viewers_see_keyframes_over_tcp_and_udp() {
    let daemon = Daemon::start(&Setup::live_only());
    let mut crowd = daemon.crowd();
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
    let daemon = Daemon::start(&Setup::live_only());
    let mut crowd = daemon.crowd();
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
    let daemon = Daemon::start(&Setup::live_only());
    for transport in [Transport::Tcp, Transport::Udp] {
        let player = Player::play(&daemon.url(), transport);
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
    let daemon = Daemon::start(&Setup::live_only());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("video/x.mp4");
    std::fs::create_dir(folder.path().join("video")).expect("the folder is ours");
    media_file::save_stream(&daemon.url(), Some("tcp"), "1", &file).expect("ffmpeg saves a second");
    let probed = media_file::probe(&file).expect("the file is whole");
    assert!(probed.begins_with_keyframe && probed.frames >= 20, "{probed:?}");
    assert_eq!((probed.size, probed.codec.as_str()), ((1280, 720), "h264"));
    assert!((0.5..2.0).contains(&probed.duration_s), "{probed:?}");
    assert_eq!(media_file::decode(&file), Ok(probed.frames));
    assert_eq!(media_file::segments(folder.path()), [file.as_path()]);
    let whole = std::fs::read(&file).expect("it is there");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("the folder is ours");
    assert!(media_file::probe(&file).is_err(), "half a plain MP4 has no index");
}
