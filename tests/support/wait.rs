//! Waiting for a state with a deadline, never for a time to pass.

use std::time::Duration;

use windhover::base::clock::{Clock, SystemClock};

/// `CLOCK_MONOTONIC`: the clock of the stamps in the picture.
pub(crate) fn now() -> Duration {
    SystemClock.monotonic()
}

/// Asks again and again until there is an answer; `None` when the limit has passed.
pub(crate) fn wait_for<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Like [`wait_for`] for a condition; panics with `what` when it does not come true in time.
pub(crate) fn wait_until(limit: Duration, what: &str, mut ask: impl FnMut() -> bool) {
    assert!(wait_for(limit, || ask().then_some(())).is_some(), "waited {limit:?} for {what}");
}

/// Milliseconds with a fraction, for tables.
pub(crate) fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

/// Numbers that look random and repeat with their seed (a 64-bit linear congruence, Knuth's constants).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The same seed gives the same numbers.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// True one time in `n`.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
