//! What is on the disk: it plays, whatever ended the daemon, and belongs to one daemon.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::daemon::{Daemon, Setup};
use crate::support::wait::{now, wait_until};
use crate::support::{kills, media_file};

fn recording() -> Setup {
    Setup { snapshot: false, ..Setup::default() }
}

#[test]
fn a_killed_daemon_leaves_recordings_that_play() {
    for format in ["mp4", "ts", "mkv"] {
        let cost =
            kills::once(&Setup { format, ..recording() }, Duration::from_millis(7300)).expect("everything plays");
        assert!(cost.finished >= 1 && cost.pictures > 150, "{format}: {cost:?}");
        // Half a second is what a fragment holds; the rest is what a busy machine takes to write it.
        assert!(cost.lost < Duration::from_millis(900), "{format}: {cost:?}");
    }
}

#[test]
fn links_lead_to_what_the_container_is() {
    for format in ["ts", "mkv"] {
        let daemon = Daemon::start(&Setup { format, ..recording() });
        let link = daemon.storage().join(format!("latest_video.{format}"));
        wait_until(Duration::from_secs(20), "the link", || link.exists());
        let played = media_file::probe(&link).expect("it plays");
        assert!(played.frames > 100 && played.begins_with_keyframe, "{format}: {played:?}");
        assert!(!daemon.storage().join("latest_video.mp4").exists(), "{format}");
    }
}

#[test]
fn a_terminated_daemon_finishes_its_segment_within_two_seconds() {
    let mut daemon = Daemon::start(&recording());
    wait_until(Duration::from_secs(10), "a segment", || !media_file::open_segments(daemon.storage()).is_empty());
    std::thread::sleep(Duration::from_millis(1500));
    let asked = now();
    daemon.signal(Signal::TERM);
    let status = daemon.wait_exit(Duration::from_secs(5)).expect("it ends");
    let took = now() - asked;
    assert!(status.success() && took < Duration::from_secs(2), "{status} after {took:?}; {}", daemon.log());
    assert_eq!(media_file::open_segments(daemon.storage()).len(), 0);
    let segments = media_file::segments(daemon.storage());
    let stamps = media_file::stamps(segments.last().expect("it was finished")).expect("it plays");
    let lost = asked.saturating_sub(*stamps.last().expect("it has pictures"));
    assert!(lost < Duration::from_millis(300), "the last picture is {lost:?} older than the signal");
    let latest = std::fs::canonicalize(daemon.storage().join("latest_video.mp4")).expect("the link points somewhere");
    assert_eq!(Some(latest), segments.last().and_then(|path| path.canonicalize().ok()));
}

#[test]
fn a_second_daemon_streams_but_does_not_record() {
    let daemon = Daemon::start(&recording());
    let mut second = daemon.spawn_beside(&recording());
    second.wait_ready();
    let raised = || second.health().to_string().contains("REC-006");
    wait_until(Duration::from_secs(10), "REC-006 on the second daemon", raised);
    assert!(!daemon.health().to_string().contains("REC-006"));
    let open = || media_file::open_segments(daemon.storage());
    wait_until(Duration::from_secs(10), "the first daemon to record", || !open().is_empty());
    assert!(open().len() <= 1, "only one writes: {:?}", open());
}
