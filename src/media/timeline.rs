//! Maps capture time on the monotonic clock to wall-clock time. Pure.

use std::time::Duration;

/// A mapping from `CLOCK_MONOTONIC` to the Unix time of one moment. Made once per segment or session: a wall clock
/// that jumps later neither reorders nor stretches what was recorded under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    monotonic: Duration,
    wall: Duration,
}

impl Timeline {
    /// From one reading of both clocks.
    pub const fn new(monotonic: Duration, wall: Duration) -> Self {
        Self { monotonic, wall }
    }

    /// Unix time of a capture time.
    pub fn wall(&self, pts: Duration) -> Duration {
        if pts >= self.monotonic {
            self.wall + (pts - self.monotonic)
        } else {
            self.wall.saturating_sub(self.monotonic - pts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Timeline;
    use std::time::Duration;

    #[test]
    fn maps_before_and_after_the_reading() {
        let s = Duration::from_secs;
        let line = Timeline::new(s(100), s(1_795_161_600));
        assert_eq!(line.wall(s(103)), s(1_795_161_603));
        assert_eq!(line.wall(s(99)), s(1_795_161_599));
    }
}
