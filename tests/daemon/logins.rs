//! Where watching needs a login: real players with a password, without one, and with a wrong one.

use std::net::Ipv4Addr;
use std::process::Output;
use std::time::Duration;

use crate::support::binary::command;
use crate::support::daemon::{Daemon, Setup};
use crate::support::media_file;
use crate::support::player::Player;
use crate::support::wait::{wait_for, wait_until};
use crate::support::wire::{TCP, Wire};

const SOON: Duration = Duration::from_secs(15);

/// A daemon that asks for passwords, and its own state directory: credentials belong to one daemon.
struct Closed {
    daemon: Daemon,
    state: tempfile::TempDir,
}

impl Closed {
    /// Starts one that nobody may watch yet.
    fn start() -> Self {
        let state = tempfile::tempdir().expect("a temporary folder");
        let environment = vec![("XDG_STATE_HOME", state.path().display().to_string())];
        let setup = Setup { watch: "login", environment, snapshot: true, record: false, ..Setup::default() };
        let mut daemon = Daemon::spawn(&setup);
        wait_until(Duration::from_secs(30), "the stream to be up", || {
            daemon.assert_running();
            daemon.get("/healthz").is_ok() && daemon.condition("live/rtsp").is_some_and(|what| what == "running")
        });
        Self { daemon, state }
    }

    /// `windhover access rtsp ...` for its state directory.
    fn access(&self, arguments: &[&str]) -> Output {
        let mut command = command(self.daemon.folder(), &["access", "rtsp"]);
        command
            .args(arguments)
            .arg("--state")
            .arg(self.state.path().join("windhover"))
            .output()
            .expect("cargo built it")
    }

    /// Makes a credential as an operator does; its password.
    fn add_credential(&self, name: &str) -> String {
        let out = self.access(&["add", name]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let said = String::from_utf8(out.stdout).expect("it speaks UTF-8");
        let password = said.lines().find_map(|line| line.strip_prefix("password  "));
        password.expect("it shows the password").to_owned()
    }
}

fn with_user(url: &str, name: &str, password: &str) -> String {
    url.replace("rtsp://", &format!("rtsp://{name}:{password}@"))
}

#[test]
fn players_with_a_password_see_and_others_do_not() {
    let closed = Closed::start();
    let daemon = &closed.daemon;
    wait_until(SOON, "NET-004", || daemon.faults("rtsp") == ["NET-004"]);
    let mut wire = Wire::connect(daemon);
    assert_eq!(wire.ask("OPTIONS", "", ""), 200);
    assert_eq!(wire.ask("DESCRIBE", "", ""), 401);
    let challenge = wire.header("WWW-Authenticate").expect("401 says how").to_owned();
    assert!(challenge.starts_with("Digest realm=\"windhover\", nonce=\""), "{challenge}");
    assert_eq!(wire.ask("SETUP", "/stream=0", TCP), 401);

    // No restart: the file is seen by the next request.
    let password = closed.add_credential("pilot");
    wait_until(SOON, "the end of NET-004", || daemon.faults("rtsp").is_empty());
    let seen = Player::play_as(&daemon.url(), "pilot", &password).wait_pictures(30, SOON).expect("GStreamer plays");
    assert_eq!(seen.error, None);
    let file = daemon.folder().join("seen.mp4");
    for transport in [Some("udp"), Some("tcp")] {
        let url = with_user(&daemon.url(), "pilot", &password);
        media_file::save_stream(&url, transport, "1", &file).expect("ffmpeg plays");
        assert!(media_file::probe(&file).expect("ffprobe reads it").frames >= 20);
    }

    let wrong = Player::play_as(&daemon.url(), "pilot", "wrong").wait_pictures(1, SOON);
    assert!(wrong.is_err(), "a wrong password shows nothing");
    assert!(media_file::save_stream(&with_user(&daemon.url(), "pilot", "wrong"), Some("tcp"), "1", &file).is_err());
    assert!(daemon.counter("rtsp", "wrong_credentials") >= Some(2));

    assert!(closed.access(&["remove", "pilot"]).status.success());
    let gone = Player::play_as(&daemon.url(), "pilot", &password).wait_pictures(1, SOON);
    assert!(gone.is_err(), "a credential that is gone shows nothing");
    for text in [daemon.log(), daemon.health().to_string()] {
        assert!(!text.contains(&password) && !text.contains("wrong\""), "a password is written down: {text}");
    }
}

#[test]
fn passwords_cannot_be_tried_out() {
    let closed = Closed::start();
    let daemon = &closed.daemon;
    let villain = Ipv4Addr::new(127, 0, 9, 1);
    let guess = |wire: &mut Wire| {
        let nonsense =
            "Authorization: Digest username=\"pilot\", realm=\"windhover\", nonce=\"n\", uri=\"u\", response=\"r\"\r\n";
        wire.ask("DESCRIBE", "", nonsense)
    };
    let mut wire = Wire::connect_from(villain, daemon);
    assert_eq!([guess(&mut wire), guess(&mut wire), guess(&mut wire), guess(&mut wire)], [401; 4]);
    // The fifth closes the door, whether its answer still goes out or not.
    let url = daemon.url();
    wire.send(format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 9\r\nAuthorization: Digest x=y\r\n\r\n").as_bytes());
    assert!(wire.closes_within(Duration::from_secs(5)));
    assert!(Wire::connect_from(villain, daemon).closes_within(Duration::from_secs(5)), "the host is kept out");
    assert_eq!(Wire::connect(daemon).ask("DESCRIBE", "", ""), 401, "others are asked");
    let back = wait_for(Duration::from_secs(20), || {
        let mut again = Wire::connect_from(villain, daemon);
        (!again.closes_within(Duration::from_millis(300))).then_some(())
    });
    assert!(back.is_some(), "it may come back after a while");
}

#[test]
fn without_a_login_http_shows_no_pictures() {
    let closed = Closed::start();
    let daemon = &closed.daemon;
    for path in ["/api/v1/streams/live/snapshot.jpg", "/streams/live/snapshot.jpg"] {
        assert!(daemon.get(path).expect_err("no picture").contains("403"), "{path}");
    }
    assert!(daemon.get("/api/v1/health").is_ok());
}

#[test]
fn credentials_are_made_listed_and_removed() {
    let closed = Closed::start();
    let password = closed.add_credential("ground-1");
    assert!(password.len() >= 20, "{password}");
    assert_eq!(closed.access(&["list"]).stdout, b"ground-1\n");
    let twice = closed.access(&["add", "ground-1"]);
    let said = String::from_utf8_lossy(&twice.stderr).into_owned();
    assert!(!twice.status.success() && said.contains("already"), "{said}");
    assert!(!closed.access(&["add", "Bad Name"]).status.success());
    assert!(closed.access(&["remove", "ground-1"]).status.success());
    assert!(!closed.access(&["remove", "ground-1"]).status.success());
    assert_eq!(closed.access(&["list"]).stdout, b"");
}

#[test]
fn check_says_that_a_credential_is_missing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("closed.toml");
    let text = "[access]\nwatch = \"login\"\n[rtsp]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
                [[stream]]\nid = \"live\"\nsource = { kind = \"test\" }\n";
    std::fs::write(&config, text).expect("the folder is ours");
    let mut check = command(folder.path(), &["check", "--config"]);
    let out = check.arg(&config).env("XDG_STATE_HOME", folder.path().join("state")).output().expect("cargo built it");
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.contains("2:9: access.watch") && said.contains("windhover access rtsp add"), "{said}");
}
