//! Tables of files and environments with everything that is wrong in them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::problem::{Place, Problem};
use super::*;
use crate::base::clock::{Clock as _, SystemClock};
use crate::base::units::{Bitrate, Span};
use crate::config::schema::{Device, SourceKind, Watch};
use crate::media::format::{FrameRate, Size};

pub(super) struct Files {
    pub(super) dir: tempfile::TempDir,
}

impl Files {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

pub(super) fn env(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Problems of one file, each as "line:column key: message | advice".
fn problems_of(text: &str) -> Vec<String> {
    let files = Files::new();
    let (_, problems) = load(&Inputs { named: Some(files.write("w.toml", text)), ..Inputs::default() });
    let short = |p: &Problem| match &p.place {
        Place::File { line, column, .. } => format!("{line}:{column} {}: {} | {}", p.key, p.message, p.advice),
        other => format!("{other} {}: {} | {}", p.key, p.message, p.advice),
    };
    problems.iter().map(short).collect()
}

#[test]
fn nothing_configured_is_a_laptop() {
    let (config, problems) = load(&Inputs { environment: env(&[("HOME", "/u/ann")]), ..Inputs::default() });
    assert_eq!(problems.to_string(), "");
    assert!(config.settings.rtsp.listen.ip().is_loopback() && config.settings.http.listen.ip().is_loopback());
    assert_eq!(config.settings.stream.len(), 1);
    assert_eq!(config.settings.stream[0].source.kind, SourceKind::Auto);
    assert_eq!(config.storage_path(), Path::new("/u/ann/.local/share/windhover/video"));
    assert_eq!(config.socket(), Path::new("/u/ann/.local/state/windhover/api.sock"));
}

#[test]
fn systemd_says_where_state_and_socket_are() {
    let environment = env(&[("STATE_DIRECTORY", "/var/lib/windhover:/x"), ("RUNTIME_DIRECTORY", "/run/windhover")]);
    let (config, _) = load(&Inputs { environment, ..Inputs::default() });
    assert_eq!(config.directories.state, Path::new("/var/lib/windhover"));
    assert_eq!(config.socket(), Path::new("/run/windhover/api.sock"));
}

#[test]
fn every_problem_at_once_with_its_place() {
    let text = r#"
bord = "auto"
[rtsp]
listn = "[::]:8554"
listen = "everywhere"
[storage]
keep_free = "2000"
max_age = 30
images = 0
[recording]
segment_duration = 5
[[stream]]
size = "1281x720"
fps = 0
flip = "left"
source = { kind = "ip", url = "rtsp://cam" }
[stream.encode]
bitrate = 2000000
codec = "h265"
[stream.link]
fps = 10
[[stream]]
id = "live"
source = { kind = "test", device = "auto" }
"#;
    let want = [
        "2:1 bord: unknown key | the nearest key is board",
        "4:1 rtsp.listn: unknown key | the nearest key is listen",
        "5:10 rtsp.listen: \"everywhere\" is no address and port: write \"[::]:8554\" for all addresses, \
         \"127.0.0.1:8554\" for this machine only; host names are not looked up | ",
        "7:13 storage.keep_free: \"2000\" is no size: write it like \"2 GiB\", \"500 MB\" or \"0 B\" | ",
        "8:11 storage.max_age: expected a length of time such as \"30 days\", or \"never\", found the number 30 | ",
        "9:10 storage.images: expected 1 to 100000, found 0 | ",
        "11:1 recording.segment_duration: unknown key, known from other systems | it is called stream.record.segment here",
        "13:8 stream[0].size: \"1281x720\" is no picture size: write it like \"1280x720\", even numbers from 16 to 8192 | ",
        "14:7 stream[0].fps: \"0\" is no frame rate: write it like 30 or \"30000/1001\", from 1 to 240 | ",
        "15:8 stream[0].flip: \"left\" is not known here: use \"none\", \"horizontal\", \"vertical\", \"rotate-90\", \
         \"rotate-180\", \"rotate-270\" | ",
        "16:19 stream[0].source.kind: \"ip\" comes with a later version of Windhover; this one knows \"auto\", \"test\", \
         \"v4l2\", \"csi\", \"file\" | ",
        "16:25 stream[0].source.url: the network camera comes with a later version of Windhover | leave the key out",
        "18:11 stream[0].encode.bitrate: expected a bit rate with its unit such as \"2 Mbit/s\", found the number 2000000 | ",
        "19:9 stream[0].encode.codec: \"h265\" comes with a later version of Windhover; this one knows \"h264\" | ",
        "20:9 stream[0].link: the second encode for the radio link comes with a later version of Windhover | leave the key out",
        "23:6 stream[1].id: only the first stream may be called \"live\": /live is always the first one | give it another id",
        "24:36 stream[1].source.device: only a v4l2 camera has this key | write kind = \"v4l2\", or leave the key out",
    ];
    assert_eq!(problems_of(text), want);
}

#[test]
fn what_rtsp_over_tls_needs() {
    let table = [
        (
            "[rtsp]\ntls_listen = \"127.0.0.1:8554\"\ntls_certificate = \"/c\"\ntls_key = \"/k\"",
            "2:14 rtsp.tls_listen: port 8554 is also the one of rtsp.listen | use another port",
        ),
        (
            "[rtsp]\ntls_listen = \"127.0.0.1:8080\"\ntls_certificate = \"/c\"\ntls_key = \"/k\"",
            "2:14 rtsp.tls_listen: port 8080 is also the one of http.listen | use another port",
        ),
        (
            "[rtsp]\ntls_listen = \"127.0.0.1:8322\"\ntls_certificate = \"/c\"",
            "2:14 rtsp.tls_listen: RTSP over TLS needs rtsp.tls_key too | name the PEM file",
        ),
        ("[rtsp]\ntls_key = \"/k\"", "2:11 rtsp.tls_key: nothing listens with it | write rtsp.tls_listen = "),
        (
            "[rtsp]\ntls_listen = \"[::]:8322\"\ntls_certificate = \"/c\"\ntls_key = \"/k\"",
            "2:14 rtsp.tls_listen: [::]:8322 can be reached from other machines",
        ),
    ];
    for (text, want) in table {
        let found = problems_of(text);
        let hit = matches!(found.as_slice(), [one] if one.starts_with(want));
        assert!(hit, "{text}\nwant {want}\nfound {found:#?}");
    }
}

#[test]
fn what_does_not_fit_together() {
    let table = [
        (
            "[rtsp]\nlisten = \"[::]:8554\"",
            "2:10 rtsp.listen: [::]:8554 can be reached from other machines, but access.watch is not stated | write \
             [access] watch = \"open\" to let everybody watch who reaches it, \"login\" to ask for a password, or listen on \
             127.0.0.1",
        ),
        (
            "[rtsp]\nlisten = \"[::]:8554\"\n[access]\nwatch = \"closed\"",
            "4:9 access.watch: \"closed\" is not known here: use \"open\", \"login\" | ",
        ),
        (
            "[http]\nlisten = \"127.0.0.1:8554\"",
            "2:10 http.listen: port 8554 is also the one of rtsp.listen | use another port",
        ),
        (
            "[[stream]]\nid = \"a\"\n[[stream]]\nid = \"a\"\nsource = { kind = \"test\" }",
            "4:6 stream[1].id: the id \"a\" is taken by the stream at ",
        ),
        (
            "[[stream]]\n[[stream]]\nsource = { kind = \"test\" }",
            "2:1 stream[1]: only the first stream may be called \"live\"",
        ),
        (
            "[[stream]]\n[[stream]]\nid = \"b\"",
            "2:1 stream[1].source.device: the stream \"live\" uses the same camera | name another camera for one of them, \
             or write kind = \"test\"",
        ),
        ("[[stream]]\n[[stream]]\nid = \"b\"\nsource = { kind = \"ip\" }", "4:19 stream[1].source.kind: \"ip\" "),
        ("stream = []", "1:10 stream: expected 1 to 16 of [[stream]], found 0 | "),
        ("[stream]\nid = \"a\"", "1:1 stream: expected tables headed [[stream]], found a table | write [[stream]]"),
        (
            "[[stream]]\nsource = { kind = \"file\" }",
            "2:10 stream[0].source.path: a source of kind \"file\" needs a path | ",
        ),
        (
            "[[stream]]\nsource = { kind = \"file\", path = \"a.mp4\" }",
            "2:34 stream[0].source.path: \"a.mp4\" is no absolute path",
        ),
        (
            "[[stream]]\nencode = { codec = \"h265\" }",
            "2:20 stream[0].encode.codec: \"h265\" comes with a later version",
        ),
        (
            "[[stream]]\nrecord = { segment = \"0.5s\" }",
            "2:22 stream[0].record.segment: expected 1s to 1h, found 500ms",
        ),
        (
            "[[stream]]\n[stream.encode]\nbitrate = \"1 kbit/s\"",
            "3:11 stream[0].encode.bitrate: expected 64 kbit/s to 100 Mbit/s",
        ),
        ("keep_free = \"1 GiB\"", "1:1 keep_free: unknown key | there is storage.keep_free"),
        (
            "[[stream]]\nrecording = { segment = \"5s\" }",
            "2:1 stream[0].recording: unknown key | the nearest key is record",
        ),
        ("[[stream]]\n\"a\\u001B\" = 1", "2:1 stream[0].a"),
        ("rtsp = 3", "1:8 rtsp: expected a table of keys, found the number 3 | "),
        ("[[streams]]\nid = \"a\"", "1:3 streams: unknown key | the nearest key is stream"),
        ("[limits]\nmax_viewers = -1", "2:15 limits.max_viewers: expected a whole number, found the number -1"),
    ];
    for (text, want) in table {
        let found = problems_of(text);
        let hit = matches!(found.as_slice(), [one] if one.starts_with(want));
        assert!(hit, "{text}\nwant {want}\nfound {found:#?}");
    }
}

#[test]
fn broken_toml_is_reported_with_what_else_is_wrong() {
    let found = problems_of("board = \"auto\nfoo = 1\n[rtsp]\nport = 8554\n");
    assert!(found[0].starts_with("1:") && found[0].contains("not valid TOML"), "{found:#?}");
    assert!(found.iter().any(|p| p.starts_with("4:1 rtsp.port")), "{found:#?}");
}

#[test]
fn short_names_act_on_the_first_stream() {
    let environment = env(&[
        ("CAMERA", "2"),
        ("VIDEO_FPS", "25"),
        ("VIDEO_WIDTH", "640"),
        ("VIDEO_HEIGHT", "480"),
        ("VIDEO_BITRATE", "800000"),
        ("ENABLE_RTSP", "1"),
        ("ENABLE_VIDEO", "no"),
        ("ENABLE_IMAGES", "off"),
        ("SSD_PATH", "/mnt/ssd/"),
        ("WINDHOVER_RTSP__LISTEN", "[::]:9000"),
        ("WINDHOVER_ACCESS__WATCH", "open"),
        ("WINDHOVER_STREAM_DEFAULTS__RESTART_TIMEOUT", "4s"),
        ("WINDHOVER_STORAGE__IMAGES", "7"),
        ("WINDHOVER_BOARD", "sim"),
        ("WINDHOVER_LOG", "debug"),
        ("PATH", "/bin"),
    ]);
    let (config, problems) = load(&Inputs { environment, ..Inputs::default() });
    assert_eq!(problems.to_string(), "");
    let s = &config.settings;
    assert_eq!(s.stream[0].source.kind, SourceKind::V4l2);
    assert_eq!(s.stream[0].source.device, Some(Device::Path("/dev/video2".into())));
    assert_eq!(s.stream[0].fps, FrameRate::whole(25));
    assert_eq!(s.stream[0].size, Size::new(640, 480));
    assert_eq!(s.stream[0].encode.bitrate, Bitrate::from_bps(800_000));
    assert!(s.rtsp.enabled && !s.stream[0].record.enabled && !s.stream[0].snapshot.enabled);
    assert_eq!(config.storage_path(), Path::new("/mnt/ssd/drone_temp"));
    assert_eq!(s.rtsp.listen.port(), 9000);
    assert_eq!(s.access.watch, Some(Watch::Open));
    assert_eq!(s.stream_defaults.restart_timeout, Span::from_millis(4000));
    assert_eq!(s.storage.images, 7);
    assert_eq!(config.origins.place("stream[0].fps"), Place::Variable("VIDEO_FPS".into()));
}

#[test]
fn cameras_of_the_environment() {
    let table = [
        ("test", SourceKind::Test, None),
        ("auto", SourceKind::Auto, None),
        ("csi", SourceKind::Csi, None),
        ("/dev/v4l/by-id/usb-cam", SourceKind::V4l2, Some("/dev/v4l/by-id/usb-cam")),
        ("/clips/a.mp4", SourceKind::File, None),
    ];
    for (value, kind, device) in table {
        let (config, problems) = load(&Inputs { environment: env(&[("CAMERA", value)]), ..Inputs::default() });
        assert_eq!(problems.to_string(), "", "{value}");
        let source = &config.settings.stream[0].source;
        assert_eq!(source.kind, kind, "{value}");
        assert_eq!(source.device, device.map(|d| Device::Path(d.into())), "{value}");
    }
}

#[test]
fn a_bad_variable_is_a_problem_in_its_name() {
    let table = [
        ("VIDEO_FPS", "fast", "\"fast\" is no frame rate"),
        ("VIDEO_WIDTH", "641", "\"641\" is no even number from 16 to 8192"),
        ("VIDEO_BITRATE", "2 MB", "\"2 MB\" is no bit rate"),
        ("VIDEO_BITRATE", "5", "expected 64 kbit/s"),
        ("ENABLE_VIDEO", "maybe", "neither true nor false"),
        ("SSD_PATH", "ssd", "\"ssd/drone_temp\" is no absolute path"),
        ("CAMERA", "rtsp://u:secret@cam", "network cameras come with a later version"),
        ("CAMERA", "front", "\"front\" is no source"),
        ("WINDHOVER_RTSP__LISTN", "[::]:1", "unknown key"),
        ("WINDHOVER_RTPS__LISTEN", "[::]:1", "unknown key"),
        ("WINDHOVER_LIMITS__MAX_VIEWERS", "many", "is no whole number"),
        ("WINDHOVER_STREAM__FPS", "3", "streams cannot be set by the environment"),
    ];
    for (name, value, want) in table {
        let (_, problems) = load(&Inputs { environment: env(&[(name, value)]), ..Inputs::default() });
        let text = problems.to_string();
        assert_eq!(problems.len(), 1, "{name}: {text}");
        assert!(text.starts_with(&format!("environment variable {name}: ")) && text.contains(want), "{name}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn the_nearest_section_is_named() {
    let (_, problems) =
        load(&Inputs { environment: env(&[("WINDHOVER_RTPS__LISTEN", "[::]:1")]), ..Inputs::default() });
    assert!(problems.to_string().contains("the nearest key is rtsp"), "{problems}");
}

#[test]
fn files_that_are_none() {
    let files = Files::new();
    let big = files.write("big.toml", &"#".repeat((1 << 20) + 1));
    let missing = files.dir.path().join("missing.toml");
    for (path, want) in
        [(big, "larger than 1024 KiB"), (missing, "cannot be read"), (files.dir.path().to_owned(), "cannot be read")]
    {
        let (_, problems) = load(&Inputs { named: Some(path), ..Inputs::default() });
        assert!(problems.len() == 1 && problems.to_string().contains(want), "{problems}");
    }
}

#[test]
fn a_file_of_another_kind_is_refused_at_once() {
    let files = Files::new();
    let numbered = |key: &str, end: &str| (0..60_000).map(|n| format!("{key}{n} = 1{end}")).collect::<String>();
    let lines = numbered("key", "\n");
    let one_line = format!("rtsp = {{ {} }}\n", numbered("k", ",").trim_end_matches(','));
    let table = [("lines", lines, 59_800), ("line", one_line, 59_800), ("errors", "= 1\n".repeat(60_000), 59_800)];
    for (name, text, not_shown) in table {
        let began = SystemClock.monotonic();
        let (_, problems) = load(&Inputs { named: Some(files.write(name, &text)), ..Inputs::default() });
        assert_eq!((problems.refuse(), problems.len()), (true, 200), "{name}");
        assert!(problems.not_shown() >= not_shown, "{name}: {}", problems.not_shown());
        // It took 45 s when each place was found by walking through the text; now some 0.1 s.
        let took = SystemClock.monotonic().saturating_sub(began);
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
    }
}

#[test]
fn a_pipe_is_not_waited_for() {
    let files = Files::new();
    let pipe = files.dir.path().join("pipe.toml");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (done, loaded) = std::sync::mpsc::channel();
    crate::base::task::thread("load", move || {
        let (_, problems) = load(&Inputs { named: Some(pipe), ..Inputs::default() });
        done.send(problems.to_string()).unwrap();
    });
    let said = loaded.recv_timeout(Duration::from_secs(10)).expect("nobody writes into the pipe");
    assert!(said.contains("cannot be read: it is no regular file"), "{said}");
}
