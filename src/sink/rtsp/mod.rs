//! The RTSP server: one shared media per stream, held prepared for the daemon's life.
//!
//! Why it is held: gst-rtsp-server 1.22 takes a shared media down when its last viewer leaves and lets new viewers in
//! while it does so; one of them then meets a stream that counts as complete and has no segment event, and an
//! assertion ends the process. Here the media always has one viewer, ourselves (`viewer_zero`), so it is never taken
//! down. The whole story: `src/docs/decisions/0003-rtsp-media-held.md`.

pub mod certificate;
mod client;
mod conduct;
mod connections;
mod delay;
mod door;
mod factory;
mod feed;
mod guard;
mod lobby;
mod mount;
mod offenders;
mod port;
mod reports;
mod request;
mod secure;
mod server;
mod shown;
mod socket;
mod tls;
mod viewer_zero;
mod viewers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::base::clock::Clock;
use crate::base::health::Health;
use crate::base::id::StreamId;
use crate::base::shutdown::{Shutdown, Stop};
use crate::base::task;
use crate::hub::Hub;
use crate::plan::{RtspPlan, RtspsPlan};

/// What can go wrong with the RTSP server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be opened.
    #[error("cannot listen on {address}: is another program using the port?")]
    Listen {
        /// The address of the plan.
        address: SocketAddr,
        /// What the library or the system says.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server's thread did not answer.
    #[error("the RTSP server does not answer")]
    Silent,
    /// A step of making the media failed.
    #[error("the RTSP media does not come up: {0} failed")]
    Media(&'static str),
}

/// A stream to serve.
#[derive(Clone)]
pub struct Served {
    /// Its name: the path is `/<id>`.
    pub id: StreamId,
    /// The first stream is also `/live`.
    pub first: bool,
    /// Its frames.
    pub hub: Hub,
    /// At most so many viewers.
    pub max_viewers: Option<u32>,
}

/// What the server needs from the rest of the house.
pub struct Setup {
    /// Address and limits.
    pub plan: RtspPlan,
    /// The streams.
    pub streams: Vec<Served>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The book of conditions and faults.
    pub health: Health,
    /// Ends the server. It is asked to stop by this token; [`Handle::stop`] does so and waits.
    pub shutdown: Shutdown,
}

/// The running server.
pub struct Handle {
    listening: Arc<Listening>,
    main_loop: gst::glib::MainLoop,
    server: Arc<server::Server>,
    shutdown: Shutdown,
    thread: JoinHandle<Option<()>>,
    mounted: Vec<Mounted>,
}

/// A stream that is served, with the thread that keeps its media up.
struct Mounted {
    id: StreamId,
    stop: Shutdown,
    thread: JoinHandle<Option<()>>,
}

/// Taking a media down takes milliseconds; a thread that hangs in it is left behind.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Whether, and on which port, the server listens.
#[derive(Debug, Default)]
pub struct Listening {
    tried: AtomicBool,
    open: AtomicBool,
    port: AtomicU16,
}

impl Listening {
    /// The port, while the server listens.
    pub fn port(&self) -> Option<u16> {
        self.open.load(Ordering::Acquire).then(|| self.port.load(Ordering::Relaxed))
    }

    /// True once the port was opened or found taken: a taken port is a fault, which keeps nothing else from starting.
    pub fn was_tried(&self) -> bool {
        self.tried.load(Ordering::Acquire)
    }

    fn set(&self, port: Option<u16>) {
        if let Some(port) = port {
            self.port.store(port, Ordering::Relaxed);
            self.open.store(true, Ordering::Release);
        }
        self.tried.store(true, Ordering::Release);
    }
}

/// Starts the server and, for each stream, the thread that keeps its media up.
pub fn start(setup: Setup) -> Handle {
    let listening = Arc::new(Listening::default());
    let main_loop = gst::glib::MainLoop::new(None, false);
    let server = Arc::new(server::Server::new(&setup, listening.clone()));
    let (runner, run_loop) = (server.clone(), main_loop.clone());
    let thread = task::thread("rtsp", move || runner.run(&run_loop));
    server.set_secure(setup.plan.secure.as_ref());
    let mut handle = Handle { listening, main_loop, server, shutdown: setup.shutdown, thread, mounted: Vec::new() };
    setup.streams.into_iter().for_each(|stream| handle.add(stream));
    handle
}

impl Handle {
    /// Whether the server listens.
    pub fn listening(&self) -> Arc<Listening> {
        self.listening.clone()
    }

    /// Serves one more stream.
    pub fn add(&mut self, stream: Served) {
        let (id, stop) = (stream.id.clone(), self.shutdown.child());
        let entry = self.server.streams.add(stream);
        let keeper = mount::Keeper::new(&entry, self.server.clone(), stop.clone());
        let page = self.server.health.reporter(format!("{id}/rtsp"));
        let thread = task::kept("rtsp-mount", page, stop.clone(), move || keeper.run());
        self.mounted.push(Mounted { id, stop, thread });
    }

    /// Serves a stream no longer: its viewers are disconnected, those of others do not notice.
    pub fn remove(&mut self, id: &StreamId) {
        let Some(at) = self.mounted.iter().position(|mounted| mounted.id == *id) else { return };
        let mounted = self.mounted.remove(at);
        mounted.stop.trigger(Stop::Graceful);
        task::join([mounted.thread], END_WITHIN);
        self.server.streams.remove(id);
    }

    /// Listens on another address; where that cannot be, on the one before. Whoever is connected stays.
    pub fn listen(&self, address: SocketAddr) -> Result<(), Error> {
        self.server.port.change(address)
    }

    /// Has the TLS port listen on another address; where that cannot be, on the one before. Whoever is connected stays.
    pub fn listen_secure(&self, address: SocketAddr) -> Result<(), Error> {
        self.server.listen_secure(address)
    }

    /// Opens or closes the TLS port, or has it show what the files of its certificate hold now. Closing disconnects those
    /// who came by it; nobody else notices anything.
    pub fn set_secure(&self, plan: Option<&RtspsPlan>) {
        self.server.set_secure(plan);
    }

    /// Changes how many may watch in all, and from one host. Whoever watches stays.
    pub fn set_max_viewers(&self, max: u32, per_host: u32) {
        self.server.set_max_viewers(max, per_host);
    }

    /// Changes how many may watch one stream. Whoever watches stays.
    pub fn set_stream_viewers(&self, id: &StreamId, max: Option<u32>) {
        if let Some(entry) = self.server.streams.get(id) {
            entry.set_max_viewers(max);
        }
    }

    /// Ends the server: viewers are disconnected.
    pub fn stop(self) {
        // While the main loop runs: handshakes end there.
        self.server.set_secure(None);
        self.shutdown.trigger(Stop::Graceful);
        self.main_loop.quit();
        let mounts = self.mounted.into_iter().map(|mounted| mounted.thread);
        task::join(mounts.chain([self.thread]), END_WITHIN);
    }
}

#[cfg(test)]
mod tests;
