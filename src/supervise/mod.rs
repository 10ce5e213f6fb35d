//! Supervision: what the daemon tells systemd, the watchdog that is fed only while everything advances, and why the board
//! was reset.

pub mod kept_clock;
pub mod memory;
pub mod resets;
pub mod systemd;
pub mod watchdog;

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Clock;
use crate::base::heartbeat::Heartbeat;
use crate::base::shutdown::Shutdown;

/// The control loop shows once per second that it advances.
const CONTROL_BEAT: Duration = Duration::from_secs(1);

/// A control loop that was silent for so long is stuck: five missed beats, so that one slow second on a busy board
/// is not taken for a hang.
pub const CONTROL_LIMIT: Duration = Duration::from_secs(5);

/// The heart of the control loop: a task on the control runtime that ticks `heartbeat` each second until a stop is
/// asked. If every worker of the runtime is blocked, it falls silent, and the watchdog with it.
pub async fn beat(clock: Arc<dyn Clock>, heartbeat: Heartbeat, shutdown: Shutdown) {
    let mut interval = tokio::time::interval(CONTROL_BEAT);
    // After a pause, one beat is as good as the missed ones.
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => heartbeat.tick(clock.monotonic()),
            () = shutdown.asked_async() => return,
        }
    }
}

/// Tells systemd how the daemon fares: READY once `ready` says so (and `when_ready` is called), a STATUS line whenever `line` changes, STOPPING
/// when a stop is asked. Returns after STOPPING.
pub async fn announce(
    systemd: systemd::Systemd,
    shutdown: Shutdown,
    ready: impl Fn() -> bool + Send,
    when_ready: impl FnOnce() + Send,
    line: impl Fn() -> String + Send,
) {
    // Short until READY, because systemd starts what waits for us only then.
    let mut interval = tokio::time::interval(Duration::from_millis(100));
    let (mut when_ready, mut said) = (Some(when_ready), String::new());
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = shutdown.asked_async() => return systemd.stopping(),
        }
        if when_ready.is_some() && ready() {
            systemd.ready();
            when_ready.take().into_iter().for_each(|tell| tell());
            interval = tokio::time::interval(Duration::from_secs(1));
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        let now = line();
        if now != said {
            systemd.status(&now);
            said = now;
        }
    }
}

#[cfg(test)]
mod tests;
