//! A camera that is away, seen by real viewers and on a real disk.

use std::time::Duration;

use crate::support::daemon::{Daemon, Setup};
use crate::support::player::Player;
use crate::support::rtsp::Transport;
use crate::support::wait::wait_until;
use crate::support::{clips, media_file};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_camera_that_is_not_there_has_an_url_that_plays_and_says_so() {
    // Ready means here that DESCRIBE is answered.
    let daemon = Daemon::start(&Setup {
        source: "{ kind = \"v4l2\", device = \"/dev/v4l/by-id/usb-no-such-camera\" }".into(),
        size: "640x480",
        ..Setup::default()
    });
    assert_eq!(daemon.condition("live/source").as_deref(), Some("absent"));
    assert_eq!(daemon.faults("live/source"), ["CAM-001"]);
    let mut crowd = daemon.crowd();
    crowd.join(2, "/live", Transport::Tcp);
    crowd.join(2, "/live", Transport::Udp);
    crowd.everybody_sees(PATIENCE).expect("all have a picture");
    let player = Player::play(&daemon.url(), Transport::Udp);
    player.wait_pictures(10, PATIENCE).expect("pictures come");
    // Nothing of it is recorded, is a snapshot or counts as a picture of the camera.
    assert_eq!(daemon.counter("live/encode", "frames"), Some(0));
    assert!(daemon.counter("live/encode", "slates") > Some(10));
    wait_until(PATIENCE, "an idle recorder", || daemon.condition("live/record").as_deref() == Some("idle"));
    assert!(
        media_file::segments(daemon.storage()).is_empty() && media_file::open_segments(daemon.storage()).is_empty()
    );
    assert!(!daemon.storage().join("latest_image.jpg").exists());
    assert!(daemon.get("/api/v1/streams/live/snapshot.jpg").is_err());
}

#[test]
fn a_source_that_is_lost_and_back_is_one_stream_and_two_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clip = clips::make(folder.path(), "clip.mkv", "640x480", 2);
    let away = folder.path().join("away.mkv");
    let daemon = Daemon::start(&Setup {
        source: format!("{{ kind = \"file\", path = {clip:?} }}"),
        size: "640x480",
        snapshot: false,
        ..Setup::default()
    });
    let player = Player::play(&daemon.url(), Transport::Tcp);
    player.wait_pictures(20, PATIENCE).expect("pictures come");
    std::fs::rename(&clip, &away).expect("the folder is ours");
    wait_until(PATIENCE, "a slate", || daemon.counter("live/encode", "slates") > Some(5));
    assert_eq!(daemon.faults("live/source"), ["CAM-004"]);
    let seen = player.seen().pictures;
    wait_until(PATIENCE, "a slate at the viewer", || player.seen().pictures > seen + 5);
    // What was open is a finished file by now.
    wait_until(PATIENCE, "a finished segment", || !media_file::segments(daemon.storage()).is_empty());
    std::fs::rename(&away, &clip).expect("the folder is ours");
    wait_until(PATIENCE, "the source", || daemon.faults("live/source").is_empty());
    let frames = daemon.counter("live/encode", "frames");
    wait_until(PATIENCE, "a picture", || daemon.counter("live/encode", "frames") > frames);
    let slates = daemon.counter("live/encode", "slates");
    wait_until(PATIENCE, "pictures", || daemon.counter("live/encode", "frames") > frames.map(|n| n + 30));
    assert_eq!(daemon.counter("live/encode", "slates"), slates, "the live picture has taken over");
    wait_until(PATIENCE, "another file", || media_file::segments(daemon.storage()).len() >= 2);
    assert!(daemon.faults("live/record").is_empty(), "no gap: {:?}", daemon.faults("live/record"));
    for file in media_file::segments(daemon.storage()) {
        let probed = media_file::probe(&file).expect("it is whole");
        // Thirty pictures a second: no slates in it, and no hole.
        let rate = probed.frames as f64 / probed.duration_s;
        assert!(probed.begins_with_keyframe && rate > 20.0, "{}: {probed:?}", file.display());
    }
}
