//! A door on its own runtime, as the daemon has it, and a client that speaks plain HTTP/1.1.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use crate::base::health::{BranchReport, Condition};
use crate::base::shutdown::{Shutdown, Stop};
use crate::control::tests::{Bench, bench, picture};
use crate::control::{NoSnapshot, Snapshot};
use crate::http::{Door, Handle, Limits, open};
use crate::plan::HttpPlan;

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A door on its own runtime, as the daemon has it.
pub(crate) struct House {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) served: Option<tokio::task::JoinHandle<()>>,
    pub(crate) bench: Bench,
    pub(crate) shutdown: Shutdown,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) handle: Handle,
}

impl House {
    pub(crate) fn new(limits: Limits, make: impl Fn() -> Result<Snapshot, NoSnapshot> + Send + Sync + 'static) -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into(), tempfile::tempdir().unwrap(), limits, make)
    }

    /// Where watching needs a login.
    pub(crate) fn closed() -> Self {
        let (listen, dir) = ((Ipv4Addr::LOCALHOST, 0).into(), tempfile::tempdir().unwrap());
        let house = Self::built(listen, dir, Limits::default(), true, || Ok(picture()));
        house.await_condition("http", Condition::Running);
        house.await_condition("http-socket", Condition::Running);
        house
    }

    pub(crate) fn at(
        listen: SocketAddr,
        dir: tempfile::TempDir,
        limits: Limits,
        make: impl Fn() -> Result<Snapshot, NoSnapshot> + Send + Sync + 'static,
    ) -> Self {
        Self::built(listen, dir, limits, false, make)
    }

    fn built(
        listen: SocketAddr,
        dir: tempfile::TempDir,
        limits: Limits,
        login: bool,
        make: impl Fn() -> Result<Snapshot, NoSnapshot> + Send + Sync + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (bench, shutdown) = (bench(&["live"], make), Shutdown::new());
        let plan = HttpPlan { listen, socket: dir.path().join("run/api.sock"), login };
        let (control, health) = (bench.control.clone(), bench.health.clone());
        let door = Door { control, health, plan, shutdown: shutdown.clone(), limits };
        let (handle, serving) = open(door);
        let served = Some(runtime.spawn(serving));
        Self { runtime, served, bench, shutdown, dir, handle }
    }

    pub(crate) fn open() -> Self {
        let house = Self::new(Limits::default(), || Ok(picture()));
        house.await_condition("http", Condition::Running);
        house.await_condition("http-socket", Condition::Running);
        house
    }

    pub(crate) fn branch(&self, name: &str) -> Option<BranchReport> {
        self.bench.health.report().into_iter().find(|b| b.name == name)
    }

    pub(crate) fn await_condition(&self, name: &str, condition: Condition) {
        wait_for(name, || self.branch(name).is_some_and(|b| b.condition == condition));
    }

    pub(crate) fn counter(&self, name: &str, counter: &str) -> u64 {
        self.branch(name).and_then(|b| b.counters.get(counter).copied()).unwrap_or(0)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let port = u16::try_from(self.counter("http", "port")).unwrap();
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The whole answer to one request, the connection closed after it.
    pub(crate) fn ask(&self, head: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        Answer::read(&mut stream)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: drone:8080"))
    }

    /// True when a newcomer gets an answer, false when the house is full.
    pub(crate) fn lets_in(&self) -> bool {
        let mut stream = self.connect();
        let sent = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        sent.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.contains("200 OK")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("run/api.sock")
    }

    pub(crate) fn stop(&mut self) {
        self.shutdown.trigger(Stop::Graceful);
        if let Some(served) = self.served.take() {
            self.runtime.block_on(async { tokio::time::timeout(PATIENCE, served).await }).unwrap().unwrap();
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.trigger(Stop::Now);
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn read(stream: &mut impl Read) -> Self {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("the connection is closed within the patience of the test");
        let end = all.windows(4).position(|w| w == b"\r\n\r\n").expect("an HTTP answer");
        let head = String::from_utf8(all[..end].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: all[end + 4..].to_vec() }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let mut left = PATIENCE;
    let step = Duration::from_millis(10);
    while !done() {
        left = left.checked_sub(step).unwrap_or_else(|| panic!("{what}: not within {PATIENCE:?}"));
        std::thread::sleep(step);
    }
}
