//! What is wrong in a configuration is said at once, all of it, and nothing starts.

use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::binary::command;
use crate::support::daemon::{Daemon, Setup};
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
    let mut daemon = Daemon::start(&Setup::live_only());
    // The second daemon gets the first one's configuration, so its ports are taken.
    let config = std::fs::read_dir(daemon.folder()).expect("it is there").filter_map(Result::ok);
    let config = config.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "toml"));
    let log = daemon.folder().join("second.log");
    let output = std::fs::File::create(&log).expect("the folder is ours");
    let mut second = command(daemon.folder(), &["run", "--config"]);
    second.arg(config.expect("it was written")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
    let mut second = Killed(second.spawn().expect("cargo built it"));
    let said = |what: &str| std::fs::read_to_string(&log).is_ok_and(|text| text.contains(what));
    wait_until(Duration::from_secs(15), "NET-001 in the log", || said("NET-001"));
    assert_eq!(second.0.try_wait().expect("it is our child"), None, "it goes on");
    daemon.signal(Signal::TERM);
    assert!(daemon.wait_exit(Duration::from_secs(5)).is_some(), "the first one ends");
    wait_until(Duration::from_secs(15), "the end of NET-001", || said("NET-001 is over"));
    assert!(TcpListener::bind(daemon.rtsp()).is_err(), "the second one has the port");
}

/// A child that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
