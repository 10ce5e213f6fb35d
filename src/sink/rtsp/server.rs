//! The server itself: its port, its viewers and their limits, on the thread of the main loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gst::glib;
use gst_rtsp_server::prelude::*;

use crate::base::backoff::Backoff;
use crate::base::error::Chain;
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Reporter};
use crate::base::id::StreamId;
use crate::base::request::RequestKeyframe;
use crate::base::shutdown::Shutdown;
use crate::plan::RtspPlan;

use super::viewers::Viewers;
use super::{Error, Listening, Served, Setup, socket};

/// The library's default of 5 refuses connections when tens of viewers join at once.
const BACKLOG: i32 = 128;
/// A connection whose session is over is closed after so long.
const AFTER_SESSION_S: i32 = 10;
/// How often sessions are collected and the state is reported.
const TICK: Duration = Duration::from_secs(1);

pub(super) struct Server {
    plan: RtspPlan,
    server: gst_rtsp_server::RTSPServer,
    streams: Arc<Vec<Entry>>,
    viewers: Viewers,
    report: Reporter,
    listening: Arc<Listening>,
}

/// A stream as the server's callbacks see it.
struct Entry {
    stream: Served,
    paths: Paths,
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

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// The path itself or a control URL below it.
    fn covers(&self, path: &str) -> bool {
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
        Self { plan: setup.plan.clone(), server, streams, viewers: Viewers::default(), report, listening }
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
        self.collect_sessions();
        self.listen(shutdown.clone());
        // A stop that came before the loop ran would be missed by `quit`.
        if shutdown.asked().is_none() {
            main_loop.run();
        }
        self.server.client_filter(Some(&mut |_, _| gst_rtsp_server::RTSPFilterResult::Remove));
        self.report.set(Condition::Stopped, "");
    }

    /// Opens the port, and tries again for as long as another program holds it.
    fn listen(&self, shutdown: Shutdown) {
        let (server, report, listening) = (self.server.clone(), self.report.clone(), self.listening.clone());
        let address = self.plan.listen;
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let mut attempt = move || match server.attach(None) {
            Ok(_) => {
                let port = u16::try_from(server.bound_port()).unwrap_or(address.port());
                listening.set(port);
                report.gauge("port", port.into());
                report.set(Condition::Running, format!("listens on {}", std::net::SocketAddr::new(address.ip(), port)));
                report.clear(FaultCode::RtspListen);
                None
            }
            Err(cause) => {
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
        let viewers = self.viewers.clone();
        pool.connect_session_removed(move |_, session| {
            if let Some(id) = session.sessionid() {
                viewers.remove(&id);
            }
        });
        let (streams, viewers, max) = (self.streams.clone(), self.viewers.clone(), self.plan.max_viewers);
        self.server.connect_client_connected(move |_, client| {
            socket::tune(client);
            client.set_post_session_timeout(AFTER_SESSION_S);
            guard(client, &streams, &viewers, max);
            end_sessions_with(client, &viewers);
        });
    }

    fn collect_sessions(&self) {
        let (server, viewers, report) = (self.server.clone(), self.viewers.clone(), self.report.clone());
        glib::timeout_add_local(TICK, move || {
            if let Some(pool) = server.session_pool() {
                pool.cleanup();
            }
            report.gauge("viewers", viewers.count());
            glib::ControlFlow::Continue
        });
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

/// The answers that depend on us: 503 while a stream has no frames yet, 453 when there are too many viewers, and a
/// keyframe for everyone who begins to play.
fn guard(client: &gst_rtsp_server::RTSPClient, streams: &Arc<Vec<Entry>>, viewers: &Viewers, max: u32) {
    use gst_rtsp::RTSPStatusCode as Code;
    let list = streams.clone();
    client.connect_pre_describe_request(move |_, context| match find(&list, context) {
        Some(entry) if !entry.paths.is_ready() => Code::ServiceUnavailable,
        _ => Code::Ok,
    });
    let (list, watching) = (streams.clone(), viewers.clone());
    client.connect_pre_setup_request(move |_, context| match find(&list, context) {
        Some(entry) if context.session().is_none() => {
            let admitted = watching.admits(&entry.stream.id, entry.stream.max_viewers, max);
            if admitted { Code::Ok } else { Code::NotEnoughBandwidth }
        }
        _ => Code::Ok,
    });
    let (list, watching) = (streams.clone(), viewers.clone());
    client.connect_setup_request(move |client, context| {
        let session = context.session().and_then(|s| s.sessionid());
        if let (Some(entry), Some(session)) = (find(&list, context), session) {
            watching.add(&session, &entry.stream.id, connection(client));
        }
    });
    let list = streams.clone();
    client.connect_play_request(move |_, context| {
        if let Some(entry) = find(&list, context) {
            entry.stream.hub.request_keyframe("play");
        }
    });
}

/// The library keeps a session for a minute after its connection broke, which would count as a viewer all the while.
fn end_sessions_with(client: &gst_rtsp_server::RTSPClient, viewers: &Viewers) {
    let viewers = viewers.clone();
    client.connect_closed(move |client| {
        let Some(pool) = client.session_pool() else { return };
        for id in viewers.of_connection(connection(client)) {
            // Removing it calls `session-removed`, where the viewer is taken from the list.
            let _ = pool.find(&id).map(|session| pool.remove(&session));
        }
    });
}

/// Tells connections apart while they live.
fn connection(client: &gst_rtsp_server::RTSPClient) -> usize {
    client.as_ptr() as usize
}

fn find<'a>(streams: &'a [Entry], context: &gst_rtsp_server::RTSPContext) -> Option<&'a Entry> {
    let uri = context.uri()?;
    let request = uri.request_uri();
    let path = request.strip_prefix("rtsp://").and_then(|r| r.find('/').map(|at| &r[at..]))?;
    let path = path.split('?').next()?;
    streams.iter().find(|entry| entry.paths.covers(path))
}
