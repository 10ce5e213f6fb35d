//! What is wrong in a configuration is said at once, all of it, and nothing starts.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::daemon::{Daemon, Setup, command};
use crate::support::wait::wait_until;

const BAD: &str = r#"
[storage]
pathh = "/tmp/x"
[[stream]]
id = "live"
source = { kind = "test" }
fps = "fast"
[stream.encode]
bitrate = "2 parsec"
"#;

#[test]
fn every_problem_of_a_configuration_is_said_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("bad.toml");
    std::fs::write(&config, BAD).expect("the folder is ours");
    for what in ["check", "run"] {
        let out = command(folder.path(), &[what, "--config"]).arg(&config).output().expect("cargo built it");
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert_eq!(out.status.code(), Some(2), "{what}: {said}");
        for problem in ["3:1", "path", "7:7", "fast", "9:11", "parsec"] {
            assert!(said.contains(problem), "{what} does not say {problem:?}:\n{said}");
        }
    }
}

#[test]
fn a_good_configuration_is_checked_with_reasons() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("good.toml");
    std::fs::write(&config, "[[stream]]\nid = \"live\"\nsource = { kind = \"test\" }\n").expect("the folder is ours");
    let out = command(folder.path(), &["check", "--config"]).arg(&config).output().expect("cargo built it");
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&out.stderr));
    assert!(said.contains("x264enc") && said.contains("test picture"), "{said}");
}

#[test]
fn a_port_in_use_is_a_fault_and_is_taken_when_it_is_free() {
    let daemon = Daemon::start(&Setup::live_only());
    // The second daemon gets the first one's configuration, so its ports are taken.
    let config = std::fs::read_dir(daemon.folder()).expect("it is there").filter_map(Result::ok);
    let config = config.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "toml"));
    let log = daemon.folder().join("second.log");
    let output = std::fs::File::create(&log).expect("the folder is ours");
    let mut second = command(daemon.folder(), &["run", "--config"]);
    let mut second = second.arg(config.expect("it was written")).stderr(output).spawn().expect("cargo built it");
    let said = |what: &str| std::fs::read_to_string(&log).is_ok_and(|text| text.contains(what));
    wait_until(Duration::from_secs(15), "NET-001 in the log", || said("NET-001"));
    assert_eq!(second.try_wait().expect("it is our child"), None, "it goes on");
    let port = daemon.rtsp().port();
    drop(daemon_without_its_folder(daemon, || {
        wait_until(Duration::from_secs(15), "the end of NET-001", || said("NET-001 is over"));
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err(), "the second one has it");
    }));
    second.kill().expect("it runs");
    second.wait().expect("it is our child");
}

/// Ends the daemon, but keeps its folder until `then` is done.
fn daemon_without_its_folder(mut daemon: Daemon, then: impl FnOnce()) -> Daemon {
    daemon.signal(Signal::TERM);
    assert!(daemon.wait_exit(Duration::from_secs(5)).is_some(), "it ends");
    then();
    daemon
}
