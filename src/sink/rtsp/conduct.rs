//! What one connection may send, and how long it may take to say what it wants.
//!
//! The library takes requests apart byte by byte, one system call each, some 1.4 MB/s, on one thread for all clients,
//! and does not let go of a connection while bytes of it are there. Its only limit is the body's length: lines,
//! headers, requests and packets may go on for ever. So what comes is counted by the kernel and judged from outside.

use std::time::Duration;

/// A viewer says hello in some 2 KB, and then 100 bytes every few seconds.
const BURST_BYTES: f64 = 16.0 * 1024.0;
/// Interleaved receiver reports and requests to keep a session alive, many times over.
const BYTES_PER_S: f64 = 4.0 * 1024.0;
/// A connection on which nothing is said.
const SILENT_AFTER: Duration = Duration::from_secs(10);
/// A request that is begun and not finished.
const UNFINISHED_AFTER: Duration = Duration::from_secs(5);

/// What is known of one connection's manners.
#[derive(Debug)]
pub(super) struct Conduct {
    opened: Duration,
    seen: Duration,
    allowance: f64,
    received: u64,
    heard: u64,
    unfinished_since: Option<Duration>,
}

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// It sends more than any viewer would: to be closed, and its host to be kept out for a while.
    Flood,
    /// It does not say what it wants: to be closed.
    Slow,
}

impl Conduct {
    pub(super) fn new(now: Duration) -> Self {
        Self { opened: now, seen: now, allowance: BURST_BYTES, received: 0, heard: 0, unfinished_since: None }
    }

    /// A whole request has come, `received` bytes after the connection was opened.
    pub(super) fn heard(&mut self, received: u64) {
        self.heard = self.heard.max(received);
        self.unfinished_since = None;
    }

    /// Judges by the bytes that have come since it was opened. With a session, bytes need not be requests: receiver
    /// reports come over TCP too, and the session has a time limit of its own.
    pub(super) fn judge(&mut self, received: u64, has_session: bool, now: Duration) -> Verdict {
        let passed = now.saturating_sub(std::mem::replace(&mut self.seen, now));
        let fresh = received.saturating_sub(std::mem::replace(&mut self.received, received));
        self.allowance = (self.allowance + passed.as_secs_f64() * BYTES_PER_S).min(BURST_BYTES) - fresh as f64;
        if self.allowance < 0.0 {
            return Verdict::Flood;
        }
        if has_session || received <= self.heard {
            self.heard = received;
            self.unfinished_since = None;
        } else if now.saturating_sub(*self.unfinished_since.get_or_insert(now)) >= UNFINISHED_AFTER {
            return Verdict::Slow;
        }
        let silent = received == 0 && now.saturating_sub(self.opened) >= SILENT_AFTER;
        if silent { Verdict::Slow } else { Verdict::Fine }
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Fine, Flood, Slow};
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_viewer_may_talk_for_ever_and_a_flood_may_not() {
        let mut viewer = Conduct::new(S(0));
        for second in 1..1000 {
            viewer.heard(second * 1000);
            assert_eq!(viewer.judge(second * 1000, second > 1, S(second)), Fine);
        }
        assert_eq!(Conduct::new(S(0)).judge(16 << 10, false, S(0)), Fine);
        assert_eq!(Conduct::new(S(0)).judge((16 << 10) + 1, false, S(0)), Flood);
        let mut steady = Conduct::new(S(0));
        let first = (1..100).find(|second| steady.judge(second * 5000, true, S(*second)) == Flood);
        assert_eq!(first, Some(14), "5,000 bytes a second is more than it may");
    }

    #[test]
    fn who_says_nothing_or_does_not_finish_is_slow() {
        let mut silent = Conduct::new(S(1));
        assert_eq!([5, 10, 11].map(|at| silent.judge(0, false, S(at))), [Fine, Fine, Slow]);
        let mut dripping = Conduct::new(S(0));
        assert_eq!([1, 3, 5, 6].map(|at| dripping.judge(at, false, S(at))), [Fine, Fine, Fine, Slow]);
        let mut talking = Conduct::new(S(0));
        assert_eq!(talking.judge(50, false, S(1)), Fine);
        talking.heard(100);
        assert_eq!([100, 100, 101].map(|bytes| talking.judge(bytes, false, S(bytes))), [Fine, Fine, Fine]);
        assert_eq!(talking.judge(102, true, S(200)), Fine, "a receiver report is no request");
    }
}
