//! Signals: the first one asks for a clean end, the second one for an immediate one.

use tokio::signal::unix::{SignalKind, signal};

use crate::base::shutdown::{Shutdown, Stop};
use crate::base::task;

/// Listens for SIGTERM and SIGINT. Needs the context of the runtime.
pub(super) fn listen(shutdown: &Shutdown) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = shutdown.clone();
    task::task("signals", async move {
        for stop in [Stop::Graceful, Stop::Now] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "{name}: {}", if stop == Stop::Graceful { "ending" } else { "ending now" });
            shutdown.trigger(stop);
        }
    });
    Ok(())
}
