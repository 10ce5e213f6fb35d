//! Time as an argument: the real clocks of the machine, and one that tests move by hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Two clocks read together. Intervals are always measured on the monotonic one; the wall clock only names things,
/// because on a vehicle it may jump by years when GPS or NTP arrives.
pub trait Clock: Send + Sync {
    /// `CLOCK_MONOTONIC`, the clock that GStreamer's system clock and every access unit's `pts` use.
    fn monotonic(&self) -> Duration;
    /// `CLOCK_REALTIME` as time since the Unix epoch.
    fn wall(&self) -> Duration;
    /// True while the wall clock is known to be right (the kernel says that NTP or PTP keeps it).
    fn wall_is_right(&self) -> bool;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        read(rustix::time::ClockId::Monotonic)
    }

    fn wall(&self) -> Duration {
        read(rustix::time::ClockId::Realtime)
    }

    fn wall_is_right(&self) -> bool {
        kernel_clock_is_synchronised()
    }
}

fn read(id: rustix::time::ClockId) -> Duration {
    let t = rustix::time::clock_gettime(id);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

/// adjtimex(2) returns `TIME_ERROR` until a time daemon has set the clock and cleared `STA_UNSYNC`.
#[allow(unsafe_code)]
fn kernel_clock_is_synchronised() -> bool {
    // SAFETY: all-zero is a valid `timex` (plain integers); with `modes` = 0 the call only fills the struct.
    let state = unsafe {
        let mut request: libc::timex = std::mem::zeroed();
        libc::adjtimex(&mut request)
    };
    (0..libc::TIME_ERROR).contains(&state)
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct SimClock {
    monotonic_ns: AtomicU64,
    wall_ns: AtomicU64,
}

impl SimClock {
    /// Starts at `wall` since the Unix epoch, known to be right, with the monotonic clock at one hour.
    pub fn at(wall: Duration) -> Self {
        Self { monotonic_ns: AtomicU64::new(nanos(Duration::from_secs(3600))), wall_ns: AtomicU64::new(nanos(wall)) }
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        self.monotonic_ns.fetch_add(nanos(by), Ordering::SeqCst);
        self.wall_ns.fetch_add(nanos(by), Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.monotonic_ns.load(Ordering::SeqCst))
    }

    fn wall(&self) -> Duration {
        Duration::from_nanos(self.wall_ns.load(Ordering::SeqCst))
    }

    fn wall_is_right(&self) -> bool {
        true
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).expect("584 years of nanoseconds fit in u64")
}
