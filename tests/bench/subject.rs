//! Who is measured: this daemon, and beside it every peer that this machine has, with the same picture from the same
//! encoder.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::example;
use crate::support::binary::binary;
use crate::support::crowd::Crowd;
use crate::support::daemon::{Daemon, Setup};
use crate::support::process::{self, Usage};
use crate::support::rtsp::Transport;
use crate::support::wait::{now, wait_for};

/// A server that pulls a stream over RTSP and serves it to many: one more is one more row.
pub(crate) struct Relay {
    name: &'static str,
    version: &'static [&'static str],
    /// What is between the name of the program and its configuration file.
    option: &'static [&'static str],
    /// It sends over UDP, too.
    udp: bool,
    config: fn(Ports) -> String,
}

/// The ports of a relay: its own, a pair for UDP, and where its stream comes from.
#[derive(Clone, Copy)]
struct Ports {
    rtsp: u16,
    rtp: u16,
    source: u16,
}

const RELAYS: &[Relay] = &[
    Relay { name: "go2rtc", version: &["-version"], option: &["-config"], udp: false, config: go2rtc },
    Relay { name: "mediamtx", version: &["--version"], option: &[], udp: true, config: mediamtx },
];

/// All but RTSP is switched off.
fn go2rtc(ports: Ports) -> String {
    let Ports { rtsp, source, .. } = ports;
    format!(
        "api:\n  listen: \"\"\nwebrtc:\n  listen: \"\"\nsrtp:\n  listen: \"\"\nrtsp:\n  listen: \"127.0.0.1:{rtsp}\"\n\
         streams:\n  live: rtsp://127.0.0.1:{source}/live\n"
    )
}

/// All but RTSP is switched off.
fn mediamtx(ports: Ports) -> String {
    let Ports { rtsp, rtp, source } = ports;
    let rtcp = rtp + 1;
    format!(
        "logLevel: warn\nrtmp: no\nhls: no\nwebrtc: no\nsrt: no\nrtspTransports: [udp, tcp]\n\
         rtspAddress: 127.0.0.1:{rtsp}\nrtpAddress: 127.0.0.1:{rtp}\nrtcpAddress: 127.0.0.1:{rtcp}\n\
         paths:\n  live:\n    source: rtsp://127.0.0.1:{source}/live\n    rtspTransport: tcp\n"
    )
}

/// One of those who are measured.
pub(crate) struct Subject {
    /// As in the table.
    pub(crate) name: &'static str,
    /// Where its picture comes from, and what it does besides.
    pub(crate) note: &'static str,
    /// It sends over UDP, too.
    pub(crate) udp: bool,
    /// Its program and what that says of its version.
    pub(crate) version: String,
    start: Start,
}

enum Start {
    Windhover,
    Example,
    Relay(&'static Relay, PathBuf),
}

/// The name of this daemon in the table.
pub(crate) const OURS: &str = "windhover";

/// Everybody who is here, ourselves first, and a line for each who is not. `named` are programs by their peer's name;
/// others are looked for on the PATH.
pub(crate) fn all(named: &[(String, PathBuf)]) -> Result<(Vec<Subject>, Vec<String>), String> {
    if let Some((name, _)) = named.iter().find(|(name, _)| !RELAYS.iter().any(|relay| relay.name == name)) {
        return Err(format!("no peer is called {name:?}"));
    }
    let ours = Subject {
        name: OURS,
        note: "records and takes snapshots meanwhile",
        udp: true,
        version: said(&binary(), &["--version"]),
        start: Start::Windhover,
    };
    let example = Subject {
        name: "gst-rtsp-server",
        note: "GStreamer's example (a shared factory of a launch line); encodes with the same settings",
        udp: true,
        version: gst::version_string().to_string(),
        start: Start::Example,
    };
    let (mut subjects, mut absent) = (vec![ours, example], Vec::new());
    for relay in RELAYS {
        let given = named.iter().find(|(name, _)| name == relay.name).map(|(_, path)| path.clone());
        match given.or_else(|| on_path(relay.name)) {
            Some(path) => subjects.push(Subject {
                name: relay.name,
                note: "relays gst-rtsp-server's stream, pulled over TCP; does not encode",
                udp: relay.udp,
                version: said(&path, relay.version),
                start: Start::Relay(relay, path),
            }),
            None => absent.push(format!("{}: not found, skipped", relay.name)),
        }
    }
    Ok((subjects, absent))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The first line that a program says.
fn said(program: &Path, arguments: &[&str]) -> String {
    let out = Command::new("timeout").arg("10").arg(program).args(arguments).stdin(Stdio::null()).output();
    let said = out.map(|out| [out.stdout, out.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&said).lines().next().unwrap_or("unknown").to_owned()
}

impl Subject {
    /// Starts it with a keyframe each so many seconds, and waits until it describes its stream.
    pub(crate) fn start(&self, keyframe_every_s: u32) -> Result<Running, String> {
        let running = self.spawn(keyframe_every_s, false)?;
        let described = wait_for(Duration::from_secs(20), || running.describes().then_some(()));
        described.map(|()| running).ok_or(format!("{} describes nothing in 20 s", self.name))
    }

    /// Starts it; `cold` for the daemon means without what earlier starts found out about this machine.
    pub(crate) fn spawn(&self, keyframe_every_s: u32, cold: bool) -> Result<Running, String> {
        match &self.start {
            Start::Windhover => {
                let every = if keyframe_every_s == 10 { "10s" } else { "1s" };
                let daemon = Daemon::spawn(&Setup { keyframe_every: every, cold, ..Setup::default() });
                Ok(Running { rtsp: daemon.rtsp(), started: daemon.started, server: Server::Daemon(daemon) })
            }
            Start::Example => {
                let (port, started) = (ports().rtsp, now());
                let server =
                    Server::Peer { child: serve_example(port, keyframe_every_s)?, _source: None, _folder: None };
                Ok(Running { rtsp: local(port), started, server })
            }
            Start::Relay(relay, program) => relay.spawn(program, keyframe_every_s),
        }
    }
}

impl Relay {
    fn spawn(&self, program: &Path, keyframe_every_s: u32) -> Result<Running, String> {
        let ports = ports();
        let source = serve_example(ports.source, keyframe_every_s)?;
        let ready = wait_for(Duration::from_secs(20), || describes(local(ports.source)).then_some(()));
        ready.ok_or("the example server describes nothing in 20 s")?;
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let config = folder.path().join("peer.yml");
        std::fs::write(&config, (self.config)(ports)).map_err(|e| e.to_string())?;
        let started = now();
        let mut command = Command::new(program);
        command.args(self.option).arg(&config).current_dir(folder.path());
        let child = Reaped::spawn(&mut command)?;
        let server = Server::Peer { child, _source: Some(source), _folder: Some(folder) };
        Ok(Running { rtsp: local(ports.rtsp), started, server })
    }
}

fn serve_example(port: u16, keyframe_every_s: u32) -> Result<Reaped, String> {
    let this = std::env::current_exe().map_err(|e| e.to_string())?;
    let frames = keyframe_every_s * 30;
    Reaped::spawn(Command::new(this).args([example::WORD, &port.to_string(), &frames.to_string()]))
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Ports that nobody has at the moment; the one for RTP is even, with an odd one behind it.
fn ports() -> Ports {
    let free = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        listener.local_addr().expect("it is bound").port()
    };
    // The kernel gives out odd ports first (it keeps the even ones for outgoing connections).
    let rtp = free().next_multiple_of(2);
    Ports { rtsp: free(), rtp, source: free() }
}

fn describes(server: SocketAddr) -> bool {
    let mut crowd = Crowd::new(server);
    crowd.join(1, "/live", Transport::Tcp);
    crowd.until(Duration::from_secs(5), |v| v[0].described.is_some() || !v[0].alive());
    let described = crowd.viewers[0].described.is_some();
    crowd.viewers[0].vanish();
    described
}

/// A server that runs; dropping it ends it.
pub(crate) struct Running {
    rtsp: SocketAddr,
    /// When its process was started.
    pub(crate) started: Duration,
    server: Server,
}

enum Server {
    Daemon(Daemon),
    Peer { child: Reaped, _source: Option<Reaped>, _folder: Option<tempfile::TempDir> },
}

impl Running {
    /// True if DESCRIBE of `/live` is answered with a video stream, asked once.
    pub(crate) fn describes(&self) -> bool {
        describes(self.rtsp)
    }

    /// Viewers for it.
    pub(crate) fn crowd(&self) -> Crowd {
        Crowd::new(self.rtsp)
    }

    /// The URL that a person would open.
    pub(crate) fn url(&self) -> String {
        format!("rtsp://{}/live", self.rtsp)
    }

    /// What the kernel says of the server, without the one a relay's stream comes from.
    pub(crate) fn usage(&self) -> Result<Usage, String> {
        let pid = match &self.server {
            Server::Daemon(daemon) => daemon.pid(),
            Server::Peer { child, .. } => child.0.id(),
        };
        process::usage(pid).ok_or("the server is gone".into())
    }
}

/// A child that is killed when dropped.
struct Reaped(Child);

impl Reaped {
    fn spawn(command: &mut Command) -> Result<Self, String> {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.spawn().map(Self).map_err(|e| format!("{}: {e}", command.get_program().display()))
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
