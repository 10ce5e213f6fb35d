//! The server itself: its port, its viewers and their limits, on the thread of the main loop.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gst::glib;
use gst_rtsp_server::prelude::*;

use crate::auth::{Login, Store};
use crate::base::backoff::Backoff;
use crate::base::clock::Clock;
use crate::base::error::Chain;
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Reporter};
use crate::base::id::StreamId;
use crate::base::shutdown::Shutdown;
use crate::plan::RtspPlan;

use super::connections::Connections;
use super::door::Door;
use super::guard::Guard;
use super::offenders::Offenders;
use super::reports::Reports;
use super::viewers::Viewers;
use super::{Error, Listening, Served, Setup};

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

/// What runs on the main context. Each holds the server, and the context holds each until it is removed.
type Sources = Rc<RefCell<Vec<glib::SourceId>>>;

pub(super) struct Server {
    plan: RtspPlan,
    server: gst_rtsp_server::RTSPServer,
    streams: Arc<Vec<Entry>>,
    viewers: Viewers,
    connections: Connections,
    offenders: Offenders,
    login: Option<Login>,
    clock: Arc<dyn Clock>,
    report: Reporter,
    listening: Arc<Listening>,
}

/// A stream as the server's callbacks see it.
pub(super) struct Entry {
    pub(super) stream: Served,
    pub(super) paths: Paths,
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
        server.set_address(&setup.plan.listen.ip().to_string());
        server.set_service(&setup.plan.listen.port().to_string());
        server.set_backlog(BACKLOG);
        let entry = |s: &Served| Entry { stream: s.clone(), paths: Paths::new(&s.id, s.first) };
        let streams = Arc::new(setup.streams.iter().map(entry).collect());
        let report = setup.health.reporter("rtsp");
        let (plan, clock) = (setup.plan.clone(), setup.clock.clone());
        let max = plan.max_viewers.saturating_mul(2).saturating_add(SPARE_CONNECTIONS);
        let connections = Connections::new(usize::try_from(max).unwrap_or(usize::MAX));
        let (viewers, offenders) = (Viewers::default(), Offenders::default());
        let login = plan.login.clone().map(|file| Login::new(Store::at(file)));
        Self { plan, server, streams, viewers, connections, offenders, login, clock, report, listening }
    }

    /// Disconnects the viewers of a stream whose media failed: they come back to the new one.
    pub(super) fn disconnector(&self, stream: &StreamId) -> impl Fn() + Send + use<> {
        let (viewers, connections, stream) = (self.viewers.clone(), self.connections.clone(), stream.clone());
        move || viewers.connections_of(&stream).into_iter().for_each(|id| connections.end(id))
    }

    /// Who judges what viewers report of a media.
    pub(super) fn reports(&self) -> Reports {
        let members = self.plan.max_viewers.saturating_add(SPARE_MEMBERS);
        Reports::new(self.connections.clone(), self.clock.clone(), usize::try_from(members).unwrap_or(usize::MAX))
    }

    pub(super) fn mounts(&self) -> gst_rtsp_server::RTSPMountPoints {
        self.server.mount_points().expect("a new server has mount points")
    }

    pub(super) fn paths(&self, stream: &Served) -> Paths {
        let own = self.streams.iter().find(|e| e.stream.id == stream.id);
        own.expect("the server was made from the same list of streams").paths.clone()
    }

    /// Runs the main loop until `quit`. All media of the library report to the default context, so this thread owns it.
    pub(super) fn run(self, main_loop: &glib::MainLoop, shutdown: &Shutdown) {
        let context = glib::MainContext::default();
        let Ok(_owner) = context.acquire() else {
            self.report.raise(FaultCode::TaskFailed, "another thread runs the default main context");
            return;
        };
        self.admit_viewers();
        let sources = Sources::default();
        self.police(&sources);
        self.collect_sessions(&sources);
        self.listen(shutdown.clone(), &sources);
        // A stop that came before the loop ran would be missed by `quit`.
        if shutdown.asked().is_none() {
            main_loop.run();
        }
        self.server.client_filter(Some(&mut |_, _| gst_rtsp_server::RTSPFilterResult::Remove));
        sources.take().into_iter().for_each(glib::SourceId::remove);
        self.report.set(Condition::Stopped, "");
    }

    /// Opens the port, and tries again for as long as another program holds it.
    fn listen(&self, shutdown: Shutdown, sources: &Sources) {
        let (server, report, listening) = (self.server.clone(), self.report.clone(), self.listening.clone());
        let (address, sources) = (self.plan.listen, sources.clone());
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let mut attempt = move || match server.attach(None) {
            Ok(source) => {
                sources.borrow_mut().push(source);
                let port = u16::try_from(server.bound_port()).unwrap_or(address.port());
                listening.set(Some(port));
                report.gauge("port", port.into());
                report.set(Condition::Running, format!("listens on {}", std::net::SocketAddr::new(address.ip(), port)));
                report.clear(FaultCode::RtspListen);
                None
            }
            Err(cause) => {
                listening.set(None);
                let error = Error::Listen { address, cause };
                report.set(Condition::Recovering, error.to_string());
                report.raise(FaultCode::RtspListen, Chain(&error).to_string());
                Some(backoff.after(Duration::ZERO))
            }
        };
        if let Some(wait) = attempt() {
            retry(wait, Box::new(attempt), shutdown);
        }
    }

    fn admit_viewers(&self) {
        let pool = self.server.session_pool().expect("a new server has a session pool");
        let (viewers, connections) = (self.viewers.clone(), self.connections.clone());
        pool.connect_session_removed(move |_, session| {
            if let Some(id) = session.sessionid() {
                viewers.remove_session(&id);
                connections.disown(&id);
            }
        });
        let guard = Guard {
            streams: self.streams.clone(),
            viewers: self.viewers.clone(),
            connections: self.connections.clone(),
            offenders: self.offenders.clone(),
            login: self.login.clone(),
            clock: self.clock.clone(),
            max_viewers: self.plan.max_viewers,
            report: self.report.clone(),
        };
        self.server.set_auth(Some(&Door::kept_by(guard.clone())));
        self.server.connect_client_connected(move |_, client| guard.receive(client));
    }

    fn police(&self, sources: &Sources) {
        let (connections, offenders) = (self.connections.clone(), self.offenders.clone());
        let (report, clock) = (self.report.clone(), self.clock.clone());
        let source = glib::timeout_add_local(POLICE_EVERY, move || {
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
        });
        sources.borrow_mut().push(source);
    }

    fn collect_sessions(&self, sources: &Sources) {
        let (server, viewers, connections) = (self.server.clone(), self.viewers.clone(), self.connections.clone());
        let (report, clock, login) = (self.report.clone(), self.clock.clone(), self.login.clone());
        let source = glib::timeout_add_local(TICK, move || {
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
        });
        sources.borrow_mut().push(source);
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

/// Calls `attempt` again and again, each time after the wait it asks for, until it asks for none.
fn retry(wait: Duration, mut attempt: Box<dyn FnMut() -> Option<Duration>>, shutdown: Shutdown) {
    glib::timeout_add_local_once(wait, move || {
        if shutdown.asked().is_none()
            && let Some(wait) = attempt()
        {
            retry(wait, attempt, shutdown);
        }
    });
}
