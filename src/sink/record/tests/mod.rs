mod crash;
mod eject;
mod faults;
mod faulty;
mod film;
mod journal;
mod kill;
mod live;
mod muxed;
mod players;
mod reopen;

use std::time::Duration;

use crate::base::clock::{Clock, SystemClock};

/// Waits for a state, 20 s at most: the machine may be busy.
fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let end = SystemClock.monotonic() + Duration::from_secs(20);
    while !reached() {
        assert!(SystemClock.monotonic() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
