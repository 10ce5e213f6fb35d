//! The real daemon as a child process: its own folder, configuration and ports, and an end that cannot be forgotten.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;

use super::binary::command;
use super::crowd::Crowd;
use super::http::{find_branch, http_get};
use super::process::{self, Usage, collect};
use super::wait::{now, wait_for, wait_until};

/// Nobody waits longer than this for a daemon to be ready, on a machine where two cores do ten things.
const READY: Duration = Duration::from_secs(20);

/// What a test wants of its daemon. The defaults are the product's own, but for a smaller disk reserve.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// `source = ...`
    pub(crate) source: String,
    /// `size = ...`; the stamp in the picture needs a width of 896.
    pub(crate) size: &'static str,
    /// `fps = ...`
    pub(crate) fps: u32,
    /// `[stream.encode] keyframe_every`
    pub(crate) keyframe_every: &'static str,
    /// `[stream.encode] bitrate`
    pub(crate) bitrate: &'static str,
    /// `[stream.record] enabled`
    pub(crate) record: bool,
    /// `[stream.record] format`
    pub(crate) format: &'static str,
    /// `[stream.snapshot] enabled`
    pub(crate) snapshot: bool,
    /// `[limits] max_viewers`
    pub(crate) max_viewers: u32,
    /// `[limits] max_viewers_per_host`; here all viewers come from one.
    pub(crate) max_viewers_per_host: u32,
    /// `[storage] path`, if not in the daemon's own folder.
    pub(crate) storage: Option<PathBuf>,
    /// Where both servers listen.
    pub(crate) host: IpAddr,
    /// More lines for the stream, before its tables.
    pub(crate) stream_keys: String,
    /// More tables behind the first stream's, such as further streams.
    pub(crate) more: String,
    /// More keys of `[rtsp]`.
    pub(crate) rtsp_keys: String,
    /// `[access] watch`
    pub(crate) watch: &'static str,
    /// Start as on a new machine: no GStreamer registry, no results of encoder tests.
    pub(crate) cold: bool,
    /// Further variables.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Start as a service does: with the last known good configuration, in a state directory of its own.
    pub(crate) last_good: bool,
    /// The tree in which it finds the board's watchdogs, in place of this machine's.
    pub(crate) machine: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            source: "{ kind = \"test\" }".into(),
            size: "1280x720",
            fps: 30,
            keyframe_every: "1s",
            bitrate: "2 Mbit/s",
            record: true,
            format: "mp4",
            snapshot: true,
            max_viewers: 256,
            max_viewers_per_host: 256,
            storage: None,
            host: Ipv4Addr::LOCALHOST.into(),
            stream_keys: String::new(),
            more: String::new(),
            rtsp_keys: String::new(),
            watch: "open",
            cold: false,
            environment: Vec::new(),
            last_good: false,
            machine: None,
        }
    }
}

impl Setup {
    /// Live video only, small enough for many daemons at once.
    pub(crate) fn live_only() -> Self {
        Self { record: false, snapshot: false, ..Self::default() }
    }

    fn config(&self, folder: &Path, ports: Ports) -> String {
        let storage = self.storage.clone().unwrap_or_else(|| folder.join("video"));
        let Self { rtsp_keys, stream_keys, max_viewers, max_viewers_per_host, .. } = self;
        format!(
            "[access]\nwatch = {:?}\n[storage]\npath = {storage:?}\nkeep_free = \"64 MiB\"\nmin_keep = \"10s\"\n\
             [rtsp]\nlisten = \"{}\"\n{rtsp_keys}\n[http]\nlisten = \"{}\"\n\
             [limits]\nmax_viewers = {max_viewers}\nmax_viewers_per_host = {max_viewers_per_host}\n\
             [[stream]]\nid = \"live\"\nsource = {}\nsize = \"{}\"\nfps = {}\n{stream_keys}\n\
             [stream.encode]\nbitrate = \"{}\"\nkeyframe_every = \"{}\"\n\
             [stream.record]\nenabled = {}\nformat = \"{}\"\n[stream.snapshot]\nenabled = {}\n{}",
            self.watch,
            SocketAddr::new(self.host, ports.rtsp),
            SocketAddr::new(self.host, ports.http),
            self.source,
            self.size,
            self.fps,
            self.bitrate,
            self.keyframe_every,
            self.record,
            self.format,
            self.snapshot,
            self.more,
        )
    }
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    rtsp: u16,
    http: u16,
}

/// Two ports that nobody has at the moment.
fn free_ports() -> Ports {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let port = |listener: &TcpListener| listener.local_addr().expect("it is bound").port();
    let (rtsp, http) = (bind(), bind());
    Ports { rtsp: port(&rtsp), http: port(&http) }
}

/// A running daemon. Dropping it kills it and removes its folder.
pub(crate) struct Daemon {
    child: Child,
    folder: Arc<tempfile::TempDir>,
    host: IpAddr,
    ports: Ports,
    config: PathBuf,
    log: Arc<Mutex<String>>,
    storage: PathBuf,
    /// When it was started.
    pub(crate) started: Duration,
}

impl Daemon {
    /// Starts a daemon in a folder of its own and waits until it serves a picture.
    pub(crate) fn start(setup: &Setup) -> Self {
        let mut daemon = Self::spawn(setup);
        daemon.wait_ready();
        daemon
    }

    /// Starts a daemon in a folder of its own.
    pub(crate) fn spawn(setup: &Setup) -> Self {
        let folder = tempfile::Builder::new().prefix("windhover-").tempdir().expect("a temporary folder");
        Self::spawn_in(setup, Arc::new(folder))
    }

    /// Starts another daemon in the same folder, on the same storage, and on ports of its own.
    pub(crate) fn spawn_beside(&self, setup: &Setup) -> Self {
        Self::spawn_in(setup, self.folder.clone())
    }

    fn spawn_in(setup: &Setup, folder: Arc<tempfile::TempDir>) -> Self {
        let ports = free_ports();
        let config = folder.path().join(format!("windhover-{}.toml", ports.rtsp));
        std::fs::write(&config, setup.config(folder.path(), ports)).expect("the temporary folder can be written");
        let started = now();
        let log = Arc::new(Mutex::new(String::new()));
        let child = launch(setup, folder.path(), &config, &log);
        let storage = setup.storage.clone().unwrap_or_else(|| folder.path().join("video"));
        Self { child, folder, host: setup.host, config, ports, log, storage, started }
    }

    /// Starts it again, as `setup` says but for the configuration, which stays as it lies there; kills what still runs.
    pub(crate) fn start_again(&mut self, setup: &Setup) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.started = now();
        self.child = launch(setup, self.folder.path(), &self.config, &self.log);
    }

    /// Has it read its configuration again; the exit code and what was said.
    pub(crate) fn reload(&self) -> (Option<i32>, String) {
        let mut command = command(self.folder(), &["reload", "--socket"]);
        let out =
            command.arg(self.config.with_extension("run").join("windhover/api.sock")).output().expect("cargo built it");
        let said = [out.stdout, out.stderr].concat();
        (out.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Will listen on other ports once it is configured and reads that; those before are answered.
    pub(crate) fn choose_other_ports(&mut self) -> (SocketAddr, SocketAddr) {
        let before = std::mem::replace(&mut self.ports, free_ports());
        ((Ipv4Addr::LOCALHOST, before.rtsp).into(), (Ipv4Addr::LOCALHOST, before.http).into())
    }

    /// Its configuration file.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Writes what `setup` says into its configuration file, with the ports it has; nobody is told.
    pub(crate) fn configure(&self, setup: &Setup) {
        std::fs::write(&self.config, setup.config(self.folder.path(), self.ports)).expect("the folder is ours");
    }

    /// Starts it again after its end: the same configuration, folder and ports, one log.
    pub(crate) fn restart(&mut self) {
        assert!(self.ended().is_some(), "it still runs");
        self.started = now();
        self.child = launch(&Setup::default(), self.folder.path(), &self.config, &self.log);
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Waits until RTSP describes the stream, so there are frames behind it, and HTTP answers.
    pub(crate) fn wait_ready(&mut self) {
        let described = wait_for(READY, || {
            self.assert_running();
            self.describes().then_some(())
        });
        assert!(described.is_some(), "RTSP describes nothing in {READY:?}; the log:\n{}", self.log());
        wait_until(READY, "HTTP to answer", || self.get("/healthz").is_ok());
    }

    /// True if DESCRIBE of `/live` is answered with a video stream, asked once.
    pub(crate) fn describes(&self) -> bool {
        let mut crowd = self.crowd();
        crowd.join(1, "/live", super::rtsp::Transport::Tcp);
        crowd.until(Duration::from_secs(5), |v| v[0].described.is_some() || !v[0].alive());
        let described = crowd.viewers[0].described.is_some();
        crowd.viewers[0].vanish();
        described
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its RTSP port.
    pub(crate) fn rtsp(&self) -> SocketAddr {
        (self.host, self.ports.rtsp).into()
    }

    /// Its HTTP port.
    pub(crate) fn http(&self) -> SocketAddr {
        (self.host, self.ports.http).into()
    }

    /// The URL that a person would open.
    pub(crate) fn url(&self) -> String {
        format!("rtsp://{}/live", self.rtsp())
    }

    /// Viewers for it.
    pub(crate) fn crowd(&self) -> Crowd {
        Crowd::new(self.rtsp())
    }

    /// Where it records.
    pub(crate) fn storage(&self) -> &Path {
        &self.storage
    }

    /// Its own folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it said so far, on both outputs.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("the collector does not panic").clone()
    }

    /// What the kernel says of it.
    pub(crate) fn usage(&self) -> Usage {
        process::usage(self.pid()).unwrap_or_else(|| panic!("the daemon is gone; its log:\n{}", self.log()))
    }

    /// Asks its HTTP port; the body of a reply 200, or the first line of any other.
    pub(crate) fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        http_get(self.http(), path)
    }

    /// `/api/v1/health` as JSON.
    pub(crate) fn health(&self) -> serde_json::Value {
        let body = self.get("/api/v1/health").expect("health is always answered");
        serde_json::from_slice(&body).expect("health is JSON")
    }

    /// A counter of one branch in the health report, wherever in the report the branches are.
    pub(crate) fn counter(&self, branch: &str, counter: &str) -> Option<u64> {
        find_branch(&self.health(), branch)?.get("counters")?.get(counter)?.as_u64()
    }

    /// The codes of the faults that one branch has now.
    pub(crate) fn faults(&self, branch: &str) -> Vec<String> {
        let health = self.health();
        let faults = find_branch(&health, branch).and_then(|report| report.get("faults")?.as_array().cloned());
        let codes = faults.unwrap_or_default().into_iter().filter_map(|f| f.get("code")?.as_str().map(str::to_owned));
        codes.collect()
    }

    /// What one branch says it is doing: "running", "recovering" ...
    pub(crate) fn condition(&self, branch: &str) -> Option<String> {
        Some(find_branch(&self.health(), branch)?.get("condition")?.as_str()?.to_owned())
    }

    /// What it said since the last call, for a log that is kept elsewhere.
    pub(crate) fn take_log(&self) -> String {
        std::mem::take(&mut *self.log.lock().expect("the collector does not panic"))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        process::signal(self.pid(), signal);
    }

    /// Waits for its end.
    pub(crate) fn wait_exit(&mut self, limit: Duration) -> Option<ExitStatus> {
        wait_for(limit, || self.ended())
    }

    /// Kills it as `kill -9` does and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        assert!(self.wait_exit(Duration::from_secs(10)).is_some(), "SIGKILL ends every process");
    }

    /// Panics, with its log, if it ended.
    pub(crate) fn assert_running(&mut self) {
        let ended = self.ended();
        assert!(ended.is_none(), "the daemon ended: {}; its log:\n{}", ended.expect("checked"), self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A stopped process takes SIGKILL too.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = format!("---- log of the daemon on port {} ----\n{}", self.ports.rtsp, self.log());
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

fn launch(setup: &Setup, folder: &Path, config: &Path, log: &Arc<Mutex<String>>) -> Child {
    let mut command = command(folder, &["run", "--config"]);
    command.arg(config).env("XDG_RUNTIME_DIR", config.with_extension("run"));
    if setup.cold {
        command.env("GST_REGISTRY", folder.join("registry.bin")).env("XDG_STATE_HOME", folder.join("state"));
    }
    command.envs(setup.environment.iter().cloned());
    if setup.last_good {
        command.arg("--last-good").env("XDG_STATE_HOME", folder.join("state"));
    }
    if let Some(machine) = &setup.machine {
        command.arg("--machine").arg(machine);
    }
    let outputs = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = outputs.spawn().expect("cargo built the daemon");
    collect(child.stdout.take().expect("piped"), log);
    collect(child.stderr.take().expect("piped"), log);
    child
}
