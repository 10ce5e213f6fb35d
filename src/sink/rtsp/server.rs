//! The server itself: its streams, its viewers and their limits, on the thread of the main loop.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gst::glib;
use gst_rtsp_server::prelude::*;

use crate::auth::{Login, Store};
use crate::base::clock::Clock;
use crate::base::error::Chain;
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Health, Reporter};
use crate::base::id::StreamId;
use crate::base::shutdown::Shutdown;
use crate::plan::RtspsPlan;

use super::connections::Connections;
use super::door::Door;
use super::guard::Guard;
use super::offenders::Offenders;
use super::port::{self, Port};
use super::reports::Reports;
use super::secure::Secure;
use super::viewers::Viewers;
use super::{Error, Listening, Served, Setup};

/// The page of the TLS port in the book of health.
const SECURE_PAGE: &str = "rtsps";
/// The library's default of 5 refuses connections when tens of viewers join at once.
const BACKLOG: i32 = 128;
/// Connections beside those of viewers: players that ask and leave, tunnels that use two, viewers on their way out.
const SPARE_CONNECTIONS: u32 = 64;
/// How often sessions are collected, slow viewers are looked for and the state is reported.
const TICK: Duration = Duration::from_millis(500);
/// How often what clients send is looked at: so long one flood can keep the library's thread busy.
const POLICE_EVERY: Duration = Duration::from_millis(25);
/// Members of a media's RTP session beside its viewers: those who just left, players that use two.
const SPARE_MEMBERS: u32 = 64;

/// Shared by the handle, the thread of the main loop and the keepers of the media.
pub(super) struct Server {
    server: gst_rtsp_server::RTSPServer,
    pub(super) port: Arc<Port>,
    /// The TLS port, where one is configured.
    secure: Mutex<Option<Secure>>,
    pub(super) streams: Streams,
    viewers: Viewers,
    connections: Connections,
    offenders: Offenders,
    login: Option<Login>,
    max_viewers: Arc<AtomicU32>,
    max_viewers_per_host: Arc<AtomicU32>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Health,
    report: Reporter,
    shutdown: Shutdown,
}

/// A stream as the server's callbacks see it.
pub(super) struct Entry {
    pub(super) stream: Served,
    pub(super) paths: Paths,
    /// Of this stream, at most; 0 for no limit of its own.
    max_viewers: AtomicU32,
}

impl Entry {
    pub(super) fn max_viewers(&self) -> Option<u32> {
        Some(self.max_viewers.load(Ordering::Relaxed)).filter(|max| *max > 0)
    }

    pub(super) fn set_max_viewers(&self, max: Option<u32>) {
        self.max_viewers.store(max.unwrap_or(0), Ordering::Relaxed);
    }
}

/// The streams that are served now. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<Mutex<Vec<Arc<Entry>>>>);

impl Streams {
    pub(super) fn add(&self, stream: Served) -> Arc<Entry> {
        let paths = Paths::new(&stream.id, stream.first);
        let entry = Arc::new(Entry { paths, max_viewers: AtomicU32::new(stream.max_viewers.unwrap_or(0)), stream });
        self.lock().push(entry.clone());
        entry
    }

    pub(super) fn remove(&self, id: &StreamId) {
        self.lock().retain(|entry| entry.stream.id != *id);
    }

    pub(super) fn get(&self, id: &StreamId) -> Option<Arc<Entry>> {
        self.lock().iter().find(|entry| entry.stream.id == *id).cloned()
    }

    /// The stream that a path leads to.
    pub(super) fn at(&self, path: &str) -> Option<Arc<Entry>> {
        self.lock().iter().find(|entry| entry.paths.covers(path)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

/// The paths of one stream, and whether its media is up.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    all: Vec<String>,
    ready: Arc<AtomicBool>,
}

impl Paths {
    fn new(id: &StreamId, first: bool) -> Self {
        let mut all = vec![format!("/{id}")];
        if first && id.as_str() != "live" {
            all.push("/live".into());
        }
        Self { all, ready: Arc::default() }
    }

    pub(super) fn all(&self) -> &[String] {
        &self.all
    }

    pub(super) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// The path itself or a control URL below it.
    pub(super) fn covers(&self, path: &str) -> bool {
        self.all.iter().any(|own| path.strip_prefix(own.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/')))
    }
}

impl Server {
    pub(super) fn new(setup: &Setup, listening: Arc<Listening>) -> Self {
        let server = super::client::Server::make();
        server.set_backlog(BACKLOG);
        let report = setup.health.reporter("rtsp");
        let port = Port::new(port::of_library(server.clone()), setup.plan.listen, report.clone(), listening);
        let max = setup.plan.max_viewers;
        let this = Self {
            server,
            port,
            secure: Mutex::default(),
            streams: Streams::default(),
            viewers: Viewers::default(),
            connections: Connections::new(connections_for(max)),
            offenders: Offenders::default(),
            login: setup.plan.login.clone().map(|file| Login::new(Store::at(file))),
            max_viewers: Arc::new(AtomicU32::new(max)),
            max_viewers_per_host: Arc::new(AtomicU32::new(setup.plan.max_viewers_per_host)),
            clock: setup.clock.clone(),
            health: setup.health.clone(),
            report,
            shutdown: setup.shutdown.clone(),
        };
        // Before anybody can connect, by whichever port.
        this.server.set_auth(Some(&Door::kept_by(this.guard())));
        this
    }

    /// Opens, changes or closes the TLS port. Whoever came by the plain one does not notice.
    pub(super) fn set_secure(&self, plan: Option<&RtspsPlan>) {
        let mut slot = self.secure.lock().expect("nothing panics while it holds this lock");
        match (slot.take(), plan) {
            (None, None) => {}
            (Some(secure), None) => {
                secure.stop();
                self.health.forget(|page| page == SECURE_PAGE);
            }
            (None, Some(plan)) => {
                let guard = Guard { report: self.health.reporter(SECURE_PAGE), ..self.guard() };
                let secure = Secure::start(self.server.clone(), guard, plan, self.shutdown.child());
                *slot = Some(secure);
            }
            (Some(secure), Some(plan)) => {
                secure.show(plan);
                *slot = Some(secure);
            }
        }
    }

    /// Has the TLS port, if there is one, listen on another address.
    pub(super) fn listen_secure(&self, address: SocketAddr) -> Result<(), Error> {
        let slot = self.secure.lock().expect("nothing panics while it holds this lock");
        slot.as_ref().map_or(Ok(()), |secure| secure.listen(address))
    }

    fn guard(&self) -> Guard {
        Guard {
            streams: self.streams.clone(),
            viewers: self.viewers.clone(),
            connections: self.connections.clone(),
            offenders: self.offenders.clone(),
            login: self.login.clone(),
            clock: self.clock.clone(),
            max_viewers: self.max_viewers.clone(),
            max_viewers_per_host: self.max_viewers_per_host.clone(),
            report: self.report.clone(),
        }
    }

    /// Viewers in all and from one host, at most. Who is one too many already stays.
    pub(super) fn set_max_viewers(&self, max: u32, per_host: u32) {
        self.max_viewers_per_host.store(per_host, Ordering::Relaxed);
        self.max_viewers.store(max, Ordering::Relaxed);
        self.connections.set_max(connections_for(max));
    }

    /// Disconnects the viewers of a stream that is gone, or whose media failed: they come back to the new one.
    pub(super) fn disconnect(&self, stream: &StreamId) {
        self.viewers.connections_of(stream).into_iter().for_each(|id| self.connections.end(id));
    }

    /// Waits until the viewers of a stream have gone, for at most a second, unless the whole server ends: the library is
    /// at its worst where a media goes while somebody still comes to it.
    pub(super) fn wait_for_goodbyes(&self, stream: &StreamId) {
        for _ in 0..100 {
            if self.viewers.connections_of(stream).is_empty() || self.shutdown.wait(Duration::from_millis(10)) {
                return;
            }
        }
    }

    /// Who judges what viewers report of a media.
    pub(super) fn reports(&self) -> Reports {
        let members = self.max_viewers.load(Ordering::Relaxed).saturating_add(SPARE_MEMBERS);
        Reports::new(self.connections.clone(), self.clock.clone(), usize::try_from(members).unwrap_or(usize::MAX))
    }

    pub(super) fn mounts(&self) -> gst_rtsp_server::RTSPMountPoints {
        self.server.mount_points().expect("a new server has mount points")
    }

    /// Runs the main loop until `quit`. All media of the library report to the default context, so this thread owns it.
    pub(super) fn run(&self, main_loop: &glib::MainLoop) {
        let context = glib::MainContext::default();
        let Ok(_owner) = context.acquire() else {
            self.report.raise(FaultCode::TaskFailed, "another thread runs the default main context");
            return;
        };
        let connected = self.admit_viewers();
        let timers = [self.police(), self.collect_sessions(main_loop)];
        self.port.open();
        main_loop.run();
        // The context outlives this server: nothing of it may stay behind there.
        timers.into_iter().for_each(glib::SourceId::remove);
        self.port.close();
        self.server.disconnect(connected);
        self.server.client_filter(Some(&mut |_, _| gst_rtsp_server::RTSPFilterResult::Remove));
        self.report.set(Condition::Stopped, "");
    }

    fn admit_viewers(&self) -> glib::SignalHandlerId {
        let pool = self.server.session_pool().expect("a new server has a session pool");
        let (viewers, connections) = (self.viewers.clone(), self.connections.clone());
        pool.connect_session_removed(move |_, session| {
            if let Some(id) = session.sessionid() {
                viewers.remove_session(&id);
                connections.disown(&id);
            }
        });
        let guard = self.guard();
        self.server.connect_client_connected(move |_, client| guard.receive(client))
    }

    fn police(&self) -> glib::SourceId {
        let (connections, offenders) = (self.connections.clone(), self.offenders.clone());
        let (report, clock) = (self.report.clone(), self.clock.clone());
        glib::timeout_add(POLICE_EVERY, move || {
            let now = clock.monotonic();
            let policed = connections.police(now);
            for peer in &policed.floods {
                if !offenders.is_out(*peer, now) {
                    tracing::info!(%peer, "{peer} sends far more than a viewer does: disconnected and kept out for a while");
                }
                offenders.note(*peer, now);
            }
            for (counter, ended) in [("floods", policed.floods.len() as u64), ("slow_requests", policed.slow)] {
                if ended > 0 {
                    report.count(counter, ended);
                }
            }
            glib::ControlFlow::Continue
        })
    }

    fn collect_sessions(&self, main_loop: &glib::MainLoop) -> glib::SourceId {
        let (shutdown, main_loop) = (self.shutdown.clone(), main_loop.clone());
        let (server, viewers, connections) = (self.server.clone(), self.viewers.clone(), self.connections.clone());
        let (report, clock, login) = (self.report.clone(), self.clock.clone(), self.login.clone());
        glib::timeout_add(TICK, move || {
            // A stop that came before the loop ran was missed by `quit`.
            if shutdown.asked().is_some() {
                main_loop.quit();
            }
            if let Some(login) = &login {
                look_at_credentials(login, &report);
            }
            if let Some(pool) = server.session_pool() {
                pool.cleanup();
            }
            let slow = connections.end_slow(clock.monotonic());
            if slow > 0 {
                tracing::info!(slow, "disconnected {slow} viewers whose link is slower than the stream");
                report.count("slow_viewers", slow);
            }
            report.gauge("viewers", viewers.count());
            report.gauge("connections", connections.count() as u64);
            glib::ControlFlow::Continue
        })
    }
}

/// Without a credential a login shuts everybody out: that is a fault, with what to do.
fn look_at_credentials(login: &Login, report: &Reporter) {
    match login.credentials() {
        Ok(credentials) if credentials.is_empty() => {
            report.raise(FaultCode::NoCredential, "make one: windhover access rtsp add <name>");
        }
        Ok(_) => report.clear(FaultCode::NoCredential),
        Err(e) => report.raise(FaultCode::NoCredential, Chain(&e).to_string()),
    }
}

fn connections_for(viewers: u32) -> usize {
    usize::try_from(viewers.saturating_mul(2).saturating_add(SPARE_CONNECTIONS)).unwrap_or(usize::MAX)
}
