//! What a viewer meets: a picture at once by the defaults of every player, and clear refusals.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::support::daemon::{Daemon, Setup};
use crate::support::media_file;
use crate::support::player::Player;
use crate::support::process::thread_names;
use crate::support::rtsp::{Step, Transport};
use crate::support::wait::wait_until;
use crate::support::wire::{TCP, Wire};

const SOON: Duration = Duration::from_secs(15);

#[test]
fn players_see_video_by_their_defaults_over_udp_and_tcp() {
    let daemon = Daemon::start(&Setup::live_only());
    let file = daemon.folder().join("seen.mp4");
    for transport in [None, Some("udp"), Some("tcp")] {
        media_file::save_stream(&daemon.url(), transport, "1", &file).expect("ffmpeg plays");
        let probed = media_file::probe(&file).expect("ffprobe reads it");
        assert!(probed.frames >= 20 && probed.begins_with_keyframe, "{transport:?}: {probed:?}");
        assert_eq!((probed.size, probed.codec.as_str()), ((1280, 720), "h264"));
    }
    let player = Player::play_by_defaults(&daemon.url());
    let seen = player.wait_pictures(30, SOON).expect("GStreamer plays");
    assert_eq!(seen.error, None);
    drop(player);
    // A datagram that a busy machine drops before the player reads it damages a picture: over UDP one of three must be whole.
    for (transport, tries) in [(Transport::Udp, 3), (Transport::Tcp, 1)] {
        let play = || Player::play(&daemon.url(), transport).wait_pictures(30, SOON).expect("GStreamer plays");
        let damaged: Vec<_> = (0..tries).map(|_| play()).map(|seen| (seen.unreadable, seen.error)).collect();
        assert!(damaged.contains(&(0, None)), "{transport:?}: every picture is whole: {damaged:?}");
        assert!(damaged.iter().all(|(_, error)| error.is_none()), "{transport:?}: {damaged:?}");
    }
}

#[test]
fn a_snapshot_comes_by_http() {
    let daemon = Daemon::start(&Setup { snapshot: true, ..Setup::live_only() });
    let path = "/api/v1/streams/live/snapshot.jpg";
    wait_until(SOON, "a snapshot", || daemon.get(path).is_ok());
    let file = daemon.folder().join("snapshot.jpg");
    std::fs::write(&file, daemon.get(path).expect("it was there a moment ago")).expect("the folder is ours");
    let probed = media_file::probe(&file).expect("ffprobe reads it");
    assert_eq!((probed.size, probed.codec.as_str()), ((1280, 720), "mjpeg"));
    assert!(daemon.get("/api/v1/streams/none/snapshot.jpg").expect_err("no such stream").contains("404"));
    assert!(daemon.get("/api/v1/plan").is_ok());
}

#[test]
fn wrong_paths_and_too_many_viewers_are_refused() {
    let daemon = Daemon::start(&Setup { max_viewers: 2, ..Setup::live_only() });
    let mut crowd = daemon.crowd();
    crowd.join(1, "/elsewhere", Transport::Tcp);
    assert!(crowd.until(SOON, |v| !v[0].alive()));
    assert_eq!(crowd.viewers.remove(0).step, Step::Ended("DESCRIBE: 404".into()));
    crowd.join(2, "/live", Transport::Tcp);
    crowd.everybody_sees(SOON).expect("two may watch");
    crowd.join(1, "/live", Transport::Tcp);
    assert!(crowd.until(SOON, |v| !v[2].alive()));
    let Step::Ended(why) = &crowd.viewers[2].step else { panic!("the third one is out") };
    assert!(why.ends_with(": 453"), "{why}");
    crowd.viewers[0].leave();
    crowd.viewers[1].vanish();
    crowd.until(SOON, |v| v.iter().all(|v| !v.alive()));
    // Their places are free again: of the one who said goodbye, and of the one who did not.
    let mut next = daemon.crowd();
    wait_until(SOON, "two free places", || {
        next.join(2 - next.viewers.len(), "/live", Transport::Udp);
        let _ = next.everybody_sees(Duration::from_secs(5));
        next.forget_ended();
        next.viewers.len() == 2
    });
}

#[test]
fn one_host_does_not_take_every_place() {
    let setup = Setup { max_viewers: 4, max_viewers_per_host: 2, ..Setup::live_only() };
    let daemon = Daemon::start(&setup);
    let host = |n: u8| Wire::connect_from(Ipv4Addr::new(127, 0, 9, n), &daemon);
    let mut greedy = [host(1), host(1), host(1)];
    assert_eq!(greedy.each_mut().map(|wire| wire.ask("SETUP", "/stream=0", TCP)), [200, 200, 453]);
    assert_eq!([host(2), host(3)].each_mut().map(|wire| wire.ask("SETUP", "/stream=0", TCP)), [200, 200]);
    // A limit that changes counts from the next one on.
    daemon.configure(&Setup { max_viewers_per_host: 3, ..setup });
    let (code, said) = daemon.reload();
    assert!(code == Some(0) && said.contains("rtsp: viewers from one host: at most 2 -> at most 3"), "{said}");
    wait_until(SOON, "the places of those who left", || daemon.counter("rtsp", "viewers") == Some(2));
    assert_eq!(greedy[2].ask("SETUP", "/stream=0", TCP), 200);
}

#[test]
fn all_viewers_share_one_encode_whatever_their_url() {
    let daemon = Daemon::start(&Setup::live_only());
    let mut crowd = daemon.crowd();
    crowd.join(1, "/live", Transport::Tcp);
    crowd.everybody_sees(SOON).expect("the first one sees");
    let before = threads(&daemon);
    for number in 1..=8 {
        crowd.join(1, &format!("/live?x={number}"), Transport::Tcp);
    }
    crowd.join(20, "/live", Transport::Tcp);
    crowd.everybody_sees(SOON).expect("all see");
    let after = threads(&daemon);
    assert_eq!(before, after, "one viewer, then 29");
    assert_eq!(crowd.lost(), 0);
}

/// With the time of sending in the reports, as is the library's default, no picture would be nearer than the time that
/// encoding takes, some 4 ms.
#[test]
fn sender_reports_carry_the_time_of_capture() {
    let daemon = Daemon::start(&Setup::live_only());
    let player = Player::play(&daemon.url(), Transport::Udp);
    let nearest = || player.seen().report_errors.iter().map(|e| e.abs()).reduce(f64::min);
    wait_until(Duration::from_secs(30), "a picture with its time of capture", || nearest().is_some_and(|e| e < 0.001));
}

/// The threads that carry video, by name. GLib's pools and the workers of control come and go with work, not viewers.
fn threads(daemon: &Daemon) -> Vec<String> {
    let mut names = thread_names(daemon.pid());
    names.retain(|name| !["pool-", "tokio-"].iter().any(|pool| name.starts_with(pool)));
    names
}
