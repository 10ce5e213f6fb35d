//! Signals: SIGTERM and SIGINT ask for a clean end, and a second time for an immediate one; SIGHUP reads the
//! configuration again.

use std::fs::File;

use tokio::signal::unix::{SignalKind, signal};

use crate::base::shutdown::{Shutdown, Stop};
use crate::base::task;
use crate::control::Reloads;

/// Listens for signals. Needs the context of the runtime.
pub(super) fn listen(shutdown: &Shutdown, reloads: Reloads) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let ending = shutdown.clone();
    task::task("signals", async move {
        for stop in [Stop::Graceful, Stop::Now] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "{name}: {}", if stop == Stop::Graceful { "ending" } else { "ending now" });
            ending.trigger(stop);
        }
    });
    // Under nohup it is ignored, and stays so: "windhover reload" does the same.
    if is_ignored() {
        return Ok(());
    }
    let (mut hangup, shutdown) = (signal(SignalKind::hangup())?, shutdown.clone());
    let terminal = has_terminal();
    task::task("hangup", async move {
        while hangup.recv().await.is_some() {
            // A terminal that is closed sends the same signal to what runs in it, which then has none any more.
            if terminal && !has_terminal() {
                tracing::info!("the terminal was closed: ending");
                return shutdown.trigger(Stop::Graceful);
            }
            tracing::info!("SIGHUP: reading the configuration again");
            reloads.ask();
        }
    });
    Ok(())
}

/// The controlling terminal opens only for those who have one (tty(4)).
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Whether whoever started the daemon had it ignore SIGHUP: bit 0 of `SigIgn` (proc_pid_status(5)).
fn is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}
