//! How long a frame takes inside the daemon, from the encoder's output to its first RTP packet on the way to the TCP
//! viewers' sockets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Thirty seconds at 30 fps.
const SAMPLES: usize = 900;
/// Frames between the feed and the payloader.
const IN_FLIGHT: usize = 64;

/// Shared by the feed, which notes what goes in, and viewer zero, who notes what comes out.
#[derive(Debug, Clone, Default)]
pub(super) struct Delay(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    in_flight: VecDeque<(Duration, Duration)>,
    samples: VecDeque<Duration>,
}

impl Delay {
    /// A frame of this `pts`, which left the encoder at `encoded`, goes into the payloader.
    pub(super) fn enters(&self, pts: Duration, encoded: Duration) {
        let mut inner = self.0.lock().expect("nothing panics while it holds this lock");
        if inner.in_flight.len() >= IN_FLIGHT {
            inner.in_flight.pop_front();
        }
        inner.in_flight.push_back((pts, encoded));
    }

    /// A packet of the frame of this `pts` comes out at `now`. Only a frame's first packet counts.
    pub(super) fn leaves(&self, pts: Duration, now: Duration) {
        let mut inner = self.0.lock().expect("nothing panics while it holds this lock");
        while let Some(&(entered, encoded)) = inner.in_flight.front() {
            if entered > pts {
                return;
            }
            inner.in_flight.pop_front();
            if entered == pts {
                if inner.samples.len() >= SAMPLES {
                    inner.samples.pop_front();
                }
                inner.samples.push_back(now.saturating_sub(encoded));
            }
        }
    }

    /// Median and 99th percentile of the last samples, in microseconds.
    pub(super) fn percentiles_us(&self) -> Option<(u64, u64)> {
        let mut samples: Vec<Duration> = {
            let inner = self.0.lock().expect("nothing panics while it holds this lock");
            inner.samples.iter().copied().collect()
        };
        samples.sort_unstable();
        let last = samples.len().checked_sub(1)?;
        let us = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        Some((us(samples[last / 2]), us(samples[last * 99 / 100])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_first_packet_of_each_frame() {
        let us = Duration::from_micros;
        let delay = Delay::default();
        assert_eq!(delay.percentiles_us(), None);
        for i in 1..=100 {
            delay.enters(us(1000 * i), us(1000 * i + 10));
            delay.leaves(us(1000 * i), us(1000 * i + 10 + i));
            delay.leaves(us(1000 * i), us(1000 * i + 900));
        }
        assert_eq!(delay.percentiles_us(), Some((50, 99)));
    }
}
