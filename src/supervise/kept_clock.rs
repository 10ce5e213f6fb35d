//! The time, kept over boots for a board without a battery-backed clock: a file in the state directory whose time of change
//! is the last time that was known. `windhover-clock.service` sets the clock forward to it before anything else asks for
//! the time, so that a drone without a network goes on days after its last flight, not in 1970 or at the build of its image.
//!
//! The clock is no more right by that (`Clock::wall_is_right`): nothing is deleted for its age.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::base::clock::Clock;
use crate::base::shutdown::Shutdown;
use crate::base::task;

const NAME: &str = "clock";
/// A power cut sets the clock back by at most this, as systemd-timesyncd's SaveIntervalSec= does.
const EVERY: Duration = Duration::from_secs(60);

/// Takes note of the time every minute, and when a stop is asked. A disk that does not take it is a line in the log.
pub async fn keep(state: PathBuf, clock: Arc<dyn Clock>, shutdown: Shutdown) {
    let mut interval = tokio::time::interval(EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let ends = tokio::select! {
            _ = interval.tick() => false,
            () = shutdown.asked_async() => true,
        };
        let (file, clock) = (state.join(NAME), clock.clone());
        let noted = task::blocking("clock", move || note(&file, clock.as_ref())).await;
        if let Ok(Err(e)) = noted {
            tracing::warn!("the time is not kept for the next boot: {e}");
        }
        if ends {
            return;
        }
    }
}

/// Writes the time down. One that may be wrong never takes a later one back: an hour that was known to have passed has.
fn note(file: &Path, clock: &dyn Clock) -> io::Result<()> {
    let now = SystemTime::UNIX_EPOCH + clock.wall();
    let kept = std::fs::symlink_metadata(file).and_then(|meta| meta.modified()).ok();
    if kept.is_some_and(|kept| kept >= now) && !clock.wall_is_right() {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(file)?;
    file.set_modified(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Wall(Duration, bool);

    impl Clock for Wall {
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
        fn wall(&self) -> Duration {
            self.0
        }
        fn wall_is_right(&self) -> bool {
            self.1
        }
    }

    #[test]
    fn only_a_right_clock_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(NAME);
        const NOW: u64 = 1_795_161_600;
        // 1970, then NTP, then an hour back by hand, then by NTP, then the power was cut and the clock begins anew.
        for (seconds, right, kept) in [
            (40, false, 40),
            (NOW, true, NOW),
            (NOW - 3600, false, NOW),
            (NOW - 3600, true, NOW - 3600),
            (50, false, NOW - 3600),
            (NOW + 5, false, NOW + 5),
        ] {
            note(&file, &Wall(Duration::from_secs(seconds), right)).unwrap();
            let found = std::fs::metadata(&file).unwrap().modified().unwrap();
            assert_eq!(found, SystemTime::UNIX_EPOCH + Duration::from_secs(kept), "{seconds} {right}");
        }
        assert!(note(&folder.path().join("absent/clock"), &Wall(Duration::ZERO, true)).is_err());
    }
}
