//! From a Plan to a running daemon: the only room that knows every other one.
//!
//! `prepare` makes the Plan, `daemon` holds everything that runs, `stream` what runs of one stream; each of them says in
//! one place how its parts begin, are replaced and end. `reload` reads the configuration again, decides what is
//! different, and has `daemon` follow.

mod daemon;
mod eject;
pub mod prepare;
mod reload;
mod signals;
mod stream;
pub mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::base::clock::Clock;
use crate::base::shutdown::{Shutdown, Stop};
use crate::config::Inputs;
use crate::control::{Reload, Reloads};
use crate::supervise::systemd::Systemd;

use daemon::{Daemon, END_WITHIN};
use prepare::Prepared;

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// GStreamer does not start.
    #[error("the daemon cannot start")]
    Media(#[from] crate::gst::Error),
    /// No control runtime.
    #[error("the control runtime cannot start")]
    Runtime(#[source] std::io::Error),
}

/// What the daemon is built from.
pub struct Setup {
    /// What to run.
    pub prepared: Prepared,
    /// Where the configuration comes from, for reading it again.
    pub inputs: Inputs,
    /// Keep the configuration as the last known good one when the daemon is ready.
    pub last_good: bool,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The line to systemd.
    pub systemd: Systemd,
    /// Where /sys, /proc and /run of the board are: `/`, or a tree of a test.
    pub machine: PathBuf,
}

/// Runs until a signal asks it to end. A second signal ends it at once.
pub fn run(setup: Setup) -> Result<(), Error> {
    crate::gst::init()?;
    // Control is small: two workers, so that one that is busy does not stop the other.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Error::Runtime)?;
    let shutdown = Shutdown::new();
    let (reloads, mut asked) = Reloads::channel();
    runtime.block_on(async { signals::listen(&shutdown, reloads.clone()) }).map_err(Error::Runtime)?;
    let mut daemon = Daemon::start(setup, &runtime, shutdown.clone(), reloads);
    // One after the other, on the thread that also ends everything: neither meets the other half done.
    while let Some(reload) = runtime.block_on(next(&shutdown, &mut asked)) {
        reload.answer(daemon.reload(&runtime));
    }
    drop(asked);
    daemon.end(&shutdown);
    // Connections that still drain are left to the grace of the HTTP door, and not waited for longer.
    runtime.shutdown_timeout(if shutdown.asked() == Some(Stop::Now) { Duration::ZERO } else { END_WITHIN / 3 });
    Ok(())
}

/// The next reload that somebody asks for; `None` when the daemon is to end.
async fn next(shutdown: &Shutdown, asked: &mut mpsc::Receiver<Reload>) -> Option<Reload> {
    tokio::select! {
        biased;
        () = shutdown.asked_async() => None,
        Some(reload) = asked.recv() => Some(reload),
    }
}
