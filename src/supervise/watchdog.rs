//! The watchdog: systemd hears `WATCHDOG=1` only while the control loop and every running branch advance.
//!
//! It has its own thread and takes no lock of the data path, so that nothing it judges can silence or excuse it.
//! An absent camera is a known state and is not judged: unplugging one must never restart a flying drone's daemon.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::systemd::Systemd;
use crate::base::clock::Clock;
use crate::base::heartbeat::Heartbeat;
use crate::base::shutdown::Shutdown;
use crate::base::task;

/// How often to look where no systemd waits for an answer: a hang is still logged.
const UNWATCHED_PERIOD: Duration = Duration::from_secs(5);

/// Something that has to advance while it runs.
pub struct Watched {
    /// What it is called: `control`, `live/source`.
    pub name: String,
    /// Ticks while it advances.
    pub heartbeat: Heartbeat,
    /// While running it may be silent for so long. Choose it longer than the branch's own recovery takes, so that
    /// the daemon is restarted only when the branch cannot help itself.
    pub limit: Duration,
    /// True while it should advance: false while it is absent, backing off, idle or stopped. Must not block.
    pub running: Box<dyn Fn() -> bool + Send>,
}

/// Everything that is watched now. Cheap to clone; replaced as a whole when parts come and go.
#[derive(Clone, Default)]
pub struct Watchlist(Arc<Mutex<Vec<Watched>>>);

impl Watchlist {
    /// Watches these from the next look on, and no others.
    pub fn set(&self, watched: Vec<Watched>) {
        // What is dropped is dropped after the lock is free.
        let _old = std::mem::replace(&mut *self.lock(), watched);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

/// What was seen of one watched thing at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it should advance.
    pub running: bool,
    /// Beats so far.
    pub beats: u64,
    /// It may be silent for so long.
    pub limit: Duration,
}

/// Judges pulses. Pure: it is told the time.
#[derive(Debug, Default)]
pub struct Judge {
    /// Beats of each running thing, and when they last changed (or when it began to run).
    seen: BTreeMap<String, (u64, Duration)>,
}

impl Judge {
    /// The names of those that should have advanced and did not; empty when the watchdog may be fed. A thing that
    /// (again) begins to run has its whole limit for the first beat.
    pub fn stuck<'a>(&mut self, now: Duration, pulses: &[Pulse<'a>]) -> Vec<&'a str> {
        self.seen.retain(|name, _| pulses.iter().any(|pulse| pulse.name == name));
        pulses.iter().filter(|pulse| self.is_stuck(now, pulse)).map(|pulse| pulse.name).collect()
    }

    fn is_stuck(&mut self, now: Duration, pulse: &Pulse<'_>) -> bool {
        if !pulse.running {
            self.seen.remove(pulse.name);
            return false;
        }
        match self.seen.get(pulse.name) {
            Some((beats, since)) if *beats == pulse.beats => now.saturating_sub(*since) > pulse.limit,
            _ => {
                self.seen.insert(pulse.name.to_owned(), (pulse.beats, now));
                false
            }
        }
    }
}

/// Starts the watchdog's thread; it ends when a stop is asked.
pub fn start(
    systemd: Systemd,
    clock: Arc<dyn Clock>,
    watched: Watchlist,
    shutdown: Shutdown,
) -> JoinHandle<Option<()>> {
    task::thread("watchdog", move || {
        let period = systemd.watchdog_period().map_or(UNWATCHED_PERIOD, |p| p / 2);
        let mut watchdog = Watchdog { systemd, watched, judge: Judge::default(), was_stuck: false };
        loop {
            watchdog.look(clock.monotonic());
            if shutdown.wait(period) {
                return;
            }
        }
    })
}

/// The actor, one look at a time.
pub(super) struct Watchdog {
    pub(super) systemd: Systemd,
    pub(super) watched: Watchlist,
    pub(super) judge: Judge,
    pub(super) was_stuck: bool,
}

impl Watchdog {
    /// Feeds the watchdog if everything advances; a change is one line in the log.
    pub(super) fn look(&mut self, now: Duration) {
        let pulse = |w: &Watched| (w.name.clone(), w.heartbeat.count(), (w.running)(), w.limit);
        let seen: Vec<(String, u64, bool, Duration)> = self.watched.lock().iter().map(pulse).collect();
        let pulses: Vec<Pulse<'_>> = seen
            .iter()
            .map(|(name, beats, running, limit)| Pulse { name, running: *running, beats: *beats, limit: *limit })
            .collect();
        let stuck = self.judge.stuck(now, &pulses);
        if stuck.is_empty() {
            self.systemd.watchdog();
        }
        match (stuck.is_empty(), self.was_stuck) {
            (false, false) => {
                let what = stuck.join(", ");
                tracing::error!(stuck = %what, "{what} does not advance: the watchdog is no longer fed");
            }
            (true, true) => tracing::info!("everything advances again: the watchdog is fed"),
            _ => {}
        }
        self.was_stuck = !stuck.is_empty();
    }
}
