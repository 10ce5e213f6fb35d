//! RTSP over TLS: real players with real certificates, and those who do no good.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use windhover::base::task;

use crate::support::authority::{Authority, Files};
use crate::support::binary::command;
use crate::support::daemon::{Daemon, Setup};
use crate::support::encrypted::{Encrypted, another_certificate, port_of};
use crate::support::media_file;
use crate::support::player::Player;
use crate::support::wait::{now, wait_until};
use crate::support::wire::{TCP, UDP, Wire, connection_from};
use crate::support::witness::Witnesses;

const SOON: Duration = Duration::from_secs(15);

fn with(files: &Files) -> Setup {
    Setup { rtsp_keys: files.listen(), ..Setup::live_only() }
}

fn url(port: SocketAddr) -> String {
    format!("rtsps://{port}/live")
}

#[test]
fn players_see_the_stream_over_tls() {
    let authority = Authority::new();
    let daemon = Daemon::start(&with(&authority.sign("drone")));
    let (port, file) = (port_of(&daemon), daemon.folder().join("seen.mp4"));
    let players = ["protocols=tcp", ""].map(|with| Player::play_encrypted(&url(port), with, &authority.file()));
    for player in &players {
        let seen = player.wait_pictures(30, SOON).expect("GStreamer plays");
        assert_eq!(seen.error, None);
    }
    assert_eq!(daemon.counter("rtsp", "viewers"), Some(2), "they are counted like any other");
    media_file::save_stream(&url(port), Some("tcp"), "1", &file).expect("ffmpeg plays");
    assert!(media_file::probe(&file).expect("ffprobe reads it").frames >= 5);
    let stranger = Player::play_encrypted(&url(port), "", &Authority::new().file()).wait_pictures(1, SOON);
    assert!(stranger.is_err(), "who trusts another authority sees nothing");
    let streams = String::from_utf8(daemon.get("/api/v1/streams").expect("it is answered")).expect("JSON is text");
    assert!(streams.contains(&format!("rtsps://127.0.0.1:{}/live", port.port())), "{streams}");
    assert!(daemon.log().contains("rtsps://127.0.0.1:"), "said at the start: {}", daemon.log());
    assert!(daemon.faults("rtsps").is_empty(), "{}", daemon.health());
}

#[test]
fn media_stays_inside_the_connection() {
    let authority = Authority::new();
    let daemon = Daemon::start(&Setup { max_viewers: 2, ..with(&authority.sign("drone")) });
    let port = port_of(&daemon);
    let connect = || Encrypted::connect(port, &authority.file()).expect("it is trusted");
    let mut wire = connect();
    assert_eq!(wire.ask("DESCRIBE", "", ""), 200);
    for udp in [
        UDP,
        "Transport: RTP/AVP;multicast\r\n",
        "Transport: RTP/AVP;client_port=50000-50001,RTP/AVP/TCP;interleaved=0-1\r\n",
    ] {
        assert_eq!(wire.ask("SETUP", "/stream=0", udp), 461, "{udp}");
    }
    assert_eq!(wire.ask("SETUP", "/stream=0", TCP), 200);
    assert_eq!(wire.ask("PLAY", "", ""), 200);
    assert_eq!(wire.read(2), Some(vec![b'$', 0]), "packets follow");
    // One limit for both ports.
    let mut plain = Wire::connect(&daemon);
    plain.play(UDP);
    assert_eq!(connect().ask("SETUP", "/stream=0", TCP), 453);
    // What is somebody's over TLS is nobody's over TCP.
    let session = format!("Session: {}\r\n", wire.session().expect("it plays"));
    assert_eq!(Wire::connect(&daemon).ask("TEARDOWN", "", &session), 454);
}

#[test]
fn a_login_is_asked_over_tls_too() {
    let (authority, state) = (Authority::new(), tempfile::tempdir().expect("a temporary folder"));
    let environment = vec![("XDG_STATE_HOME", state.path().display().to_string())];
    let mut daemon = Daemon::spawn(&Setup { watch: "login", environment, ..with(&authority.sign("drone")) });
    wait_until(Duration::from_secs(30), "the stream to be up", || {
        daemon.assert_running();
        daemon.get("/healthz").is_ok() && daemon.condition("live/rtsp").is_some_and(|what| what == "running")
    });
    let mut add = command(daemon.folder(), &["access", "rtsp", "add", "pilot", "--state"]);
    let said = add.arg(state.path().join("windhover")).output().expect("cargo built it").stdout;
    let said = String::from_utf8(said).expect("it speaks UTF-8");
    let password = said.lines().find_map(|line| line.strip_prefix("password  ")).expect("it shows the password");
    let port = port_of(&daemon);
    let as_pilot = |password: &str| {
        let with = format!("user-id=pilot user-pw={password}");
        Player::play_encrypted(&url(port), &with, &authority.file()).wait_pictures(10, SOON)
    };
    as_pilot(password).expect("the password opens");
    assert_eq!(Encrypted::connect(port, &authority.file()).expect("it is trusted").ask("DESCRIBE", "", ""), 401);
    assert!(as_pilot("wrong").is_err());
}

/// A handshake record that promises more than it brings, and what is no handshake at all.
const BEGINNINGS: [&[u8]; 4] =
    [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], b"\x16", b"DESCRIBE rtsp://x/live RTSP/1.0\r\n\r\n", &[0xff; 4000]];

/// A host that always has so many connections that do not get beyond their beginning.
struct Siege {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Option<Vec<TcpStream>>>,
}

impl Siege {
    fn begin(host: Ipv4Addr, port: SocketAddr, connections: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let begin = move |n: usize| {
            let mut stream = connection_from(host, port);
            // Most say nothing more, and do not go.
            let _ = stream.write_all(BEGINNINGS[if n % 10 == 9 { 2 + n / 10 % 2 } else { n % 2 }]);
            stream.set_nonblocking(true).expect("a socket needs not block");
            stream
        };
        let mut wires: Vec<TcpStream> = (0..connections).map(begin).collect();
        let end = over.clone();
        let thread = task::thread("siege", move || {
            while !end.load(Ordering::Relaxed) {
                for (n, wire) in wires.iter_mut().enumerate() {
                    if is_closed(wire) {
                        *wire = begin(n);
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            wires
        });
        Self { over, thread }
    }

    /// Connects no more; what is open.
    fn end(self) -> Vec<TcpStream> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("it does not panic").expect("it does not panic")
    }
}

fn is_closed(wire: &mut TcpStream) -> bool {
    match wire.read(&mut [0; 1024]) {
        Ok(bytes) => bytes == 0,
        Err(e) => e.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn half_a_handshake_keeps_nobody_out() {
    let authority = Authority::new();
    let mut daemon = Daemon::start(&with(&authority.sign("drone")));
    let port = port_of(&daemon);
    let witnesses = Witnesses::of(&daemon);
    let before = daemon.usage();
    let siege = Siege::begin(Ipv4Addr::new(127, 0, 9, 1), port, 200);
    // Nobody waits longer for a handshake than five seconds: behind the 200, and those who follow them, nobody would get in.
    wait_until(SOON, "another host to get in", || {
        Encrypted::connect(port, &authority.file()).is_ok_and(|mut other| other.ask("DESCRIBE", "", "") == 200)
    });
    Player::play_encrypted(&url(port), "", &authority.file()).wait_pictures(10, SOON).expect("and sees");
    let after = daemon.usage();
    assert!(after.memory_kib < before.memory_kib + (40 << 10), "{before:?}, then {after:?}");
    assert!(after.threads < before.threads + 20, "{before:?}, then {after:?}");
    assert!(daemon.counter("rtsps", "failed_handshakes") > Some(0));
    let mut left = siege.end();
    wait_until(SOON, "half a handshake to be closed", || left.iter_mut().all(is_closed));
    wait_until(SOON, "only the witnesses", || daemon.counter("rtsp", "connections") <= Some(2));
    witnesses.missed_nothing();
    daemon.assert_running();
}

#[test]
fn an_encrypted_flood_is_cut_off() {
    let authority = Authority::new();
    let mut daemon = Daemon::start(&with(&authority.sign("drone")));
    let port = port_of(&daemon);
    let witnesses = Witnesses::of(&daemon);
    let mut flood = Encrypted::connect(port, &authority.file()).expect("it is trusted");
    let begun = now();
    while flood.send(&[b'a'; 60_000]) {
        assert!(now() - begun < SOON, "a line without end is still read");
    }
    wait_until(SOON, "it to be counted", || daemon.counter("rtsp", "floods") >= Some(1));
    assert!(Wire::connect(&daemon).closes_within(Duration::from_secs(5)), "the host is kept out by both ports");
    witnesses.missed_nothing();
    daemon.assert_running();
}

#[test]
fn old_tls_is_refused() {
    let authority = Authority::new();
    let daemon = Daemon::start(&with(&authority.sign("drone")));
    let port = port_of(&daemon).to_string();
    let agrees_on = |version: &str| {
        let arguments = ["s_client", "-connect", &port, version, "-cipher", "ALL@SECLEVEL=0"];
        let mut client = Command::new("openssl");
        client.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut client = client.spawn().expect("openssl is installed: tools/test does it");
        // OpenSSL takes the handshake for done before the answer to a request shows whether it is.
        let mut request = client.stdin.take().expect("piped");
        let _ = request.write_all(format!("OPTIONS rtsps://{port}/live RTSP/1.0\r\nCSeq: 1\r\n\r\n").as_bytes());
        let mut out = client.stdout.take().expect("piped");
        let (mut said, mut some) = (String::new(), [0; 4096]);
        while let Ok(bytes @ 1..) = out.read(&mut some) {
            said.push_str(&String::from_utf8_lossy(&some[..bytes]));
            if said.contains("RTSP/1.0 200 OK") {
                break;
            }
        }
        let _ = client.kill();
        let _ = client.wait();
        said.contains("RTSP/1.0 200 OK")
    };
    assert!(agrees_on("-tls1_3") && agrees_on("-tls1_2"));
    assert!(!agrees_on("-tls1_1") && !agrees_on("-tls1"));
}

/// What `check` says of a configuration with these files, without its place.
fn checked(folder: &Path, files: &Files) -> String {
    let config = folder.join("checked.toml");
    let keys = files.listen();
    let text = format!(
        "[rtsp]\nlisten = \"127.0.0.1:0\"\n{keys}[http]\nlisten = \"127.0.0.1:0\"\n\
         [[stream]]\nsource = {{ kind = \"test\" }}\n"
    );
    std::fs::write(&config, text).expect("the folder is ours");
    let out = command(folder, &["check", "--config"]).arg(&config).output().expect("cargo built it");
    assert_eq!(out.status.code() == Some(0), out.stderr.is_empty());
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn check_says_what_is_wrong_with_a_certificate() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a temporary folder"));
    let good = authority.sign("good");
    assert!(checked(folder.path(), &good).contains("rtsps         127.0.0.1:0"));
    let nowhere = authority.folder().join("nowhere");
    let other = authority.sign("other");
    let open = authority.sign("open");
    std::fs::set_permissions(&open.key, PermissionsExt::from_mode(0o644)).expect("the file is ours");
    let broken = authority.sign("broken");
    std::fs::write(&broken.certificate, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
        .expect("ours");
    let swapped = Files { certificate: good.key.clone(), key: good.certificate.clone() };
    let table = [
        (Files { certificate: nowhere.clone(), ..good.clone() }, "rtsp.tls_certificate: ", "cannot be read"),
        (Files { key: nowhere, ..good.clone() }, "rtsp.tls_key: ", "cannot be read"),
        (swapped, "rtsp.tls_certificate: ", "holds no certificate in PEM form"),
        (Files { key: good.certificate.clone(), ..good.clone() }, "rtsp.tls_key: ", "holds no private key in PEM form"),
        (Files { key: other.key, ..good.clone() }, "rtsp.tls_key: ", "the key belongs to another certificate"),
        (open, "rtsp.tls_key: ", "(mode 644): chmod 600"),
        (broken, "rtsp.tls_certificate: ", "is no certificate that can be used"),
        (authority.sign_for("old", 2001, 2002), "rtsp.tls_certificate: ", "is not valid: expired 2002-01-01"),
        (authority.sign_for("early", 2080, 2081), "rtsp.tls_certificate: ", "is not valid: valid from 2080-01-01"),
    ];
    for (files, key, what) in table {
        let said = checked(folder.path(), &files);
        assert!(said.contains(key) && said.contains(what), "no {key:?} with {what:?} in: {said}");
    }
}

#[test]
fn trouble_with_tls_never_costs_plain_video() {
    let authority = Authority::new();
    let shown = authority.sign("shown");
    let (good, other) = (authority.sign("good"), authority.sign("other"));
    std::fs::copy(&other.key, &shown.key).expect("the folder is ours");
    // Ready, with plain video, whatever is wrong with the certificate.
    let daemon = Daemon::start(&with(&shown));
    wait_until(SOON, "TLS-001", || daemon.faults("rtsps") == ["TLS-001"]);
    assert_eq!(daemon.counter("rtsps", "port"), None, "nothing listens without a certificate");
    let witnesses = Witnesses::of(&daemon);
    shown.become_like(&good);
    wait_until(SOON, "the end of TLS-001", || daemon.faults("rtsps").is_empty());
    let port = port_of(&daemon);
    let first = Encrypted::connect(port, &authority.file()).expect("it is trusted").certificate();
    // A clock that is wrong at boot must not keep viewers out: what is not valid is shown, and told of.
    shown.become_like(&authority.sign_for("old", 2001, 2002));
    wait_until(SOON, "TLS-002", || daemon.faults("rtsps") == ["TLS-002"]);
    let refused = Encrypted::connect(port, &authority.file()).err().expect("who checks does not accept it");
    assert!(refused.contains("certificate"), "{refused}");
    let file = daemon.folder().join("seen.mp4");
    media_file::save_stream(&url(port), Some("tcp"), "1", &file).expect("ffmpeg does not check by default");
    shown.become_like(&other);
    assert!(another_certificate(port, &authority.file(), &first).is_some(), "new ones are shown without a restart");
    wait_until(SOON, "the end of TLS-002", || daemon.faults("rtsps").is_empty());
    std::fs::write(&shown.key, "").expect("the folder is ours");
    wait_until(SOON, "TLS-001", || daemon.faults("rtsps") == ["TLS-001"]);
    assert!(Encrypted::connect(port, &authority.file()).is_ok(), "the one before is still shown");
    witnesses.missed_nothing();
}

#[test]
fn without_a_tls_library_there_is_a_fault_and_video() {
    let authority = Authority::new();
    // As on a system without glib-networking: GIO finds none of its modules.
    let environment = vec![("GIO_MODULE_DIR", authority.folder().display().to_string())];
    let daemon = Daemon::start(&Setup { environment, ..with(&authority.sign("drone")) });
    wait_until(SOON, "TLS-003", || daemon.faults("rtsps") == ["TLS-003"]);
    assert!(daemon.health().to_string().contains("glib-networking"), "{}", daemon.health());
    Witnesses::of(&daemon).missed_nothing();
}

#[test]
fn a_reload_changes_tls_and_plain_viewers_stay() {
    let authority = Authority::new();
    let (first, second) = (authority.sign("first"), authority.sign("second"));
    let plain = Setup::live_only();
    let daemon = Daemon::start(&plain);
    let witnesses = Witnesses::of(&daemon);
    let reloaded = |setup: &Setup, what: &str| {
        daemon.configure(setup);
        let (code, said) = daemon.reload();
        assert!(code == Some(0) && said.contains(what), "no {what:?} in {said}");
    };
    reloaded(&with(&first), "rtsps: TLS port: none -> 127.0.0.1:0");
    let port = port_of(&daemon);
    let viewer = Player::play_encrypted(&url(port), "", &authority.file());
    viewer.wait_pictures(10, SOON).expect("it plays");
    let before = Encrypted::connect(port, &authority.file()).expect("it is trusted").certificate();
    reloaded(&with(&second), "rtsps: certificate: ");
    let after = Encrypted::connect(port, &authority.file()).expect("it is trusted").certificate();
    assert_ne!(before, after, "at once");
    // A wrong certificate changes nothing.
    daemon.configure(&with(&Files { key: first.key.clone(), ..second.clone() }));
    let (code, said) = daemon.reload();
    assert!(code == Some(2) && said.contains("rtsp.tls_key: a handshake"), "{said}");
    // Another address: who is connected stays.
    let moved = Setup { rtsp_keys: second.listen_at("127.0.0.2:0"), ..plain.clone() };
    reloaded(&moved, "rtsps: address: 127.0.0.1:0 -> 127.0.0.2:0");
    assert!(TcpStream::connect(port).is_err(), "nobody listens at {port} any more");
    let pictures = viewer.seen().pictures;
    viewer.wait_pictures(pictures + 30, SOON).expect("it goes on");
    reloaded(&plain, "rtsps: TLS port: 127.0.0.2:0 -> none (viewers over plain RTSP do not notice)");
    wait_until(SOON, "who came over TLS to be disconnected", || viewer.seen().error.is_some());
    assert_eq!(daemon.condition("rtsps"), None);
    reloaded(&with(&first), "rtsps: TLS port: none -> 127.0.0.1:0");
    assert!(Encrypted::connect(port_of(&daemon), &authority.file()).is_ok(), "and on again");
    witnesses.missed_nothing();
}
