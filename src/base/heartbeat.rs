//! Counters by which a branch shows that it advances. Reading one never waits for the branch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Ticks with every frame, fragment or loop; a watcher compares the time of the last tick with its own clock.
#[derive(Clone, Default)]
pub struct Heartbeat(Arc<Inner>);

#[derive(Default)]
struct Inner {
    count: AtomicU64,
    last_ns: AtomicU64,
}

impl Heartbeat {
    /// A heart that has not beaten yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one beat at `now` on the monotonic clock.
    pub fn tick(&self, now: Duration) {
        let ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.0.last_ns.store(ns, Ordering::Relaxed);
        self.0.count.fetch_add(1, Ordering::Release);
    }

    /// Beats so far.
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::Acquire)
    }

    /// Time since the last beat, or `None` before the first.
    pub fn age(&self, now: Duration) -> Option<Duration> {
        (self.count() > 0).then(|| now.saturating_sub(Duration::from_nanos(self.0.last_ns.load(Ordering::Relaxed))))
    }
}
