//! The RTSP server: one shared media per stream, held prepared for the daemon's life.
//!
//! Why it is held: gst-rtsp-server 1.22 takes a shared media down when its last viewer leaves and lets new viewers in
//! while it does so; one of them then meets a stream that counts as complete and has no segment event, and an
//! assertion ends the process. Here the media always has one viewer, ourselves (`viewer_zero`), so it is never taken
//! down. The whole story: `src/docs/decisions/0003-rtsp-media-held.md`.

mod client;
mod conduct;
mod connections;
mod delay;
mod door;
mod factory;
mod feed;
mod guard;
mod mount;
mod offenders;
mod reports;
mod request;
mod server;
mod socket;
mod viewer_zero;
mod viewers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::JoinHandle;

use crate::base::clock::Clock;
use crate::base::health::Health;
use crate::base::id::StreamId;
use crate::base::shutdown::Shutdown;
use crate::base::task;
use crate::hub::Hub;
use crate::plan::RtspPlan;

/// What can go wrong with the RTSP server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be opened.
    #[error("cannot listen on {address}: is another program using the port?")]
    Listen {
        /// The address of the plan.
        address: std::net::SocketAddr,
        /// What the library says.
        #[source]
        cause: gst::glib::BoolError,
    },
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
    /// When to end.
    pub shutdown: Shutdown,
}

/// The running server.
pub struct Handle {
    listening: Arc<Listening>,
    main_loop: gst::glib::MainLoop,
    threads: Vec<JoinHandle<Option<()>>>,
}

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
    let server = server::Server::new(&setup, listening.clone());
    let mut threads = Vec::new();
    for stream in &setup.streams {
        let keeper = mount::Keeper::new(stream.clone(), &server, &setup);
        let page = setup.health.reporter(format!("{}/rtsp", stream.id));
        threads.push(task::kept("rtsp-mount", page, setup.shutdown.clone(), move || keeper.run()));
    }
    let (run_loop, shutdown) = (main_loop.clone(), setup.shutdown);
    threads.push(task::thread("rtsp", move || server.run(&run_loop, &shutdown)));
    Handle { listening, main_loop, threads }
}

impl Handle {
    /// Whether the server listens.
    pub fn listening(&self) -> Arc<Listening> {
        self.listening.clone()
    }

    /// Ends the server: viewers are disconnected.
    pub fn stop(self) {
        self.main_loop.quit();
        for thread in self.threads {
            // A panic was logged where it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
