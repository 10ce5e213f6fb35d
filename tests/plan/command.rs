//! The commands from the outside: what they print, and with what they exit.

use std::path::Path;
use std::process::{Command, Output};

use windhover::plan::inventory::{Inventory, SelfTest};

/// Runs windhover in a home of its own.
fn windhover(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windhover"));
    command.env_clear().args(arguments).env("HOME", home).env("PATH", "/usr/bin:/bin");
    // Ports of a daemon that runs on this machine are none of our business here.
    command.env("WINDHOVER_RTSP__LISTEN", "127.0.0.1:0").env("WINDHOVER_HTTP__LISTEN", "127.0.0.1:0");
    command.envs(variables.iter().copied()).output().expect("the command is built")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("windhover prints UTF-8")
}

#[test]
fn check_says_what_will_run() {
    let home = tempfile::tempdir().unwrap();
    let checked = windhover(home.path(), &["check"], &[("CAMERA", "test"), ("VIDEO_FPS", "25")]);
    let text = out(&checked);
    assert_eq!(checked.status.code(), Some(0), "{text}");
    for part in ["test picture", "1280x720 at 25 frames per second", "its self-test passed", "mp4 files of 5.5 s"] {
        assert!(text.contains(part), "no \"{part}\" in\n{text}");
    }
    let json = out(&windhover(home.path(), &["check", "--json"], &[("CAMERA", "test")]));
    let answer: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(answer["plan"]["streams"][0]["id"], "live");
    assert_eq!(answer["problems"], serde_json::json!([]));
}

#[test]
fn check_says_which_layer_set_what() {
    let home = tempfile::tempdir().unwrap();
    let changes = home.path().join(".local/state/windhover/config.d");
    std::fs::create_dir_all(&changes).unwrap();
    let file = changes.join("10-test.toml");
    std::fs::write(&file, "[[stream]]\nid = \"live\"\nfps = 20\n[stream.encode]\nbitrate = \"1 Mbit/s\"\n").unwrap();
    let checked = windhover(home.path(), &["check", "--sources"], &[("CAMERA", "test"), ("VIDEO_FPS", "25")]);
    let text = out(&checked);
    let file = file.display();
    for line in [
        format!("config        {file}"),
        "              environment: CAMERA, VIDEO_FPS, WINDHOVER_HTTP__LISTEN, WINDHOVER_RTSP__LISTEN".into(),
        format!("stream[0].encode.bitrate  {file}:5:11"),
        "stream[0].fps             environment variable VIDEO_FPS".into(),
    ] {
        assert!(text.lines().any(|have| have == line), "no \"{line}\" in\n{text}");
    }
    assert!(!text.lines().any(|line| line.starts_with("stream[0] ")), "tables are left out:\n{text}");
    let json = out(&windhover(home.path(), &["check", "--json"], &[]));
    let answer: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(answer["files"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["sources"]["stream[0].fps"]["file"]["line"], 3);
}

#[test]
fn check_says_everything_that_is_wrong_at_once() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("bad.toml");
    let text = "[rtsp]\nlistn = 1\n[[stream]]\nfps = 0\nsource = { kind = \"file\", path = \"/nowhere/a.mp4\" }\n";
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let storage = home.path().join("not/there").display().to_string();
    let variables = [("VIDEO_BITRATE", "2 MB"), ("WINDHOVER_STORAGE__PATH", &*storage)];
    let checked = windhover(home.path(), &["check", "--config", &file], &variables);
    assert_eq!(checked.status.code(), Some(2));
    let text = out(&checked);
    let parts = [
        format!("{file}:2:1: rtsp.listn: unknown key"),
        format!("{file}:4:7: stream[0].fps: "),
        "environment variable VIDEO_BITRATE: stream[0].encode.bitrate: ".into(),
        "stream[0].source.path: the clip /nowhere/a.mp4 is not found".into(),
        "environment variable WINDHOVER_STORAGE__PATH: storage.path: ".into(),
    ];
    for part in parts {
        assert!(text.contains(&part), "no \"{part}\" in\n{text}");
    }
    let run = windhover(home.path(), &["run", "--config", &file], &[]);
    assert_eq!(run.status.code(), Some(2), "run refuses what the configuration gets wrong");
}

#[test]
fn check_takes_the_inventory_of_another_machine() {
    let home = tempfile::tempdir().unwrap();
    let inventory = super::folder("inventories").join("orin-nano.json").display().to_string();
    let checked = windhover(home.path(), &["check", "--inventory", &inventory], &[]);
    assert_eq!(checked.status.code(), Some(0), "{}", out(&checked));
    assert!(out(&checked).starts_with("board         orin-nano\n"));
    let bad = windhover(home.path(), &["check", "--inventory", "/nowhere.json"], &[]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("/nowhere.json"));
}

#[test]
fn probe_prints_an_inventory_and_keeps_the_self_tests() {
    let home = tempfile::tempdir().unwrap();
    let json = out(&windhover(home.path(), &["probe", "--json"], &[]));
    let inventory: Inventory = serde_json::from_str(&json).unwrap();
    let x264 = inventory.encoders.iter().find(|e| e.element == "x264enc").unwrap();
    assert!(matches!(x264.test, SelfTest::Passed { .. }), "{x264:?}");
    let cache = home.path().join(".local/state/windhover/encoder-tests.json");
    assert!(std::fs::read_to_string(&cache).unwrap().contains("x264enc"));
    // A damaged cache is no reason to fail, and is made anew.
    std::fs::write(&cache, "{").unwrap();
    let text = out(&windhover(home.path(), &["probe"], &[]));
    assert!(text.contains("encoder       x264enc: passed"), "{text}");
    assert!(std::fs::read_to_string(&cache).unwrap().contains("x264enc"));
}

#[test]
fn the_default_file_and_the_version_are_printed() {
    let home = tempfile::tempdir().unwrap();
    let defaults = out(&windhover(home.path(), &["check", "--print-defaults"], &[]));
    assert!(defaults.contains("\nsegment = \"5.5s\"\n"), "{defaults}");
    let version = out(&windhover(home.path(), &["--version"], &[]));
    assert!(version.starts_with(concat!("windhover ", env!("CARGO_PKG_VERSION"), " (")), "{version}");
    let wrong = windhover(home.path(), &["chek"], &[]);
    assert_eq!(wrong.status.code(), Some(2));
}
