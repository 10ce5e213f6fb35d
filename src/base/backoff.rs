//! How long to wait before the next attempt: grows by doubling to a bound, starts anew after a good run.

use std::time::Duration;

/// Pure: it is told how long the last run lasted and answers with the next wait.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
    attempts: u32,
}

impl Backoff {
    /// Waits `first` after the first failure, then twice as long each time, at most `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        let first = first.min(max);
        Self { first, max, next: first, attempts: 0 }
    }

    /// The wait before the next attempt, after a run that lasted `ran`. A run longer than ten times the bound counts
    /// as healthy and starts the series anew.
    pub fn after(&mut self, ran: Duration) -> Duration {
        if ran > self.max * 10 {
            self.next = self.first;
        }
        self.attempts += 1;
        let wait = self.next;
        self.next = (self.next * 2).min(self.max);
        wait
    }

    /// Starts the series anew: what was waited for has changed.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// Attempts so far, for the health report.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_bound_and_starts_anew_after_a_good_run() {
        let ms = Duration::from_millis;
        let mut b = Backoff::new(ms(100), ms(1000));
        let waits: Vec<_> = (0..6).map(|_| b.after(ms(5)).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(b.after(ms(10_001)), ms(100));
        assert_eq!(b.after(ms(5)), ms(200));
        b.reset();
        assert_eq!((b.after(ms(5)), b.attempts()), (ms(100), 9));
    }
}
