//! A wrong configuration does not keep a service down, and does not start on a laptop.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::daemon::{Daemon, Setup};
use crate::support::wait::wait_until;

const SOON: Duration = Duration::from_secs(15);

fn service() -> Setup {
    Setup { last_good: true, ..Setup::live_only() }
}

fn kept(daemon: &Daemon) -> PathBuf {
    daemon.folder().join("state/windhover/last-known-good")
}

fn fault(daemon: &Daemon) -> String {
    let health = daemon.health();
    let pages = health["branches"].as_array().expect("branches are listed");
    let page = pages.iter().find(|page| page["name"] == "config").expect("the configuration has a page");
    page["faults"].to_string()
}

#[test]
fn a_service_runs_the_last_known_good_configuration() {
    let mut daemon = Daemon::start(&service());
    wait_until(SOON, "the configuration to be kept", || kept(&daemon).exists());
    assert_eq!(fault(&daemon), "[]");
    daemon.kill();
    std::fs::write(daemon.config(), "[rtsp]\nlistn = 1\n[[stream]]\nfps = 0\n").expect("the folder is ours");
    daemon.start_again(&service());
    daemon.wait_ready();
    let said = fault(&daemon);
    for part in ["SYS-002", "running the configuration of 20", ":2:1: rtsp.listn: unknown key", ":4:7: stream[0].fps: "]
    {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert_eq!(daemon.health()["status"], "degraded");
    // What is wrong is not kept, however well the daemon runs.
    let before = std::fs::read(kept(&daemon)).expect("it is there");
    daemon.configure(&service());
    daemon.start_again(&service());
    daemon.wait_ready();
    assert_eq!(fault(&daemon), "[]");
    assert_eq!(std::fs::read(kept(&daemon)).expect("it is there"), before);
}

#[test]
fn without_a_good_one_a_wrong_configuration_ends_with_2() {
    let mut daemon = Daemon::start(&service());
    wait_until(SOON, "the configuration to be kept", || kept(&daemon).exists());
    std::fs::write(daemon.config(), "board = 3\n").expect("the folder is ours");
    // On a laptop: nobody asked for the last known good one.
    daemon.start_again(&Setup::live_only());
    assert_eq!(daemon.wait_exit(SOON).and_then(|status| status.code()), Some(2));
    let whole = std::fs::read(kept(&daemon)).expect("it is there");
    for damaged in [&whole[..whole.len() / 2], b"", b"\xff\xfe"] {
        std::fs::write(kept(&daemon), damaged).expect("the folder is ours");
        daemon.start_again(&service());
        assert_eq!(daemon.wait_exit(SOON).and_then(|status| status.code()), Some(2), "{damaged:?}");
    }
    let log = daemon.log();
    assert!(log.contains("last-known-good is damaged") && log.contains(":1:9: board: expected"), "{log}");
    // The next good start makes it anew.
    daemon.configure(&service());
    daemon.start_again(&service());
    wait_until(SOON, "the configuration to be kept anew", || {
        std::fs::read(kept(&daemon)).is_ok_and(|now| now.len() == whole.len())
    });
}
