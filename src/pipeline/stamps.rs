//! Holds a source to the clock: time stamps that jump must neither stop the stream nor lie to whoever reads them. Pure.

use std::time::Duration;

/// A picture from the future by more than this bears a wrong time. Clips are handed out up to a tenth of a second early.
const AHEAD: Duration = Duration::from_millis(250);
/// A picture older than this too: no camera and no decoder in front of us takes so long.
const BEHIND: Duration = Duration::from_secs(3);

/// The time stamps of one source.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    last: Option<Duration>,
}

/// What a picture is to be stamped with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    /// Its own time.
    Own(Duration),
    /// The time at which it came: its own is wrong.
    Arrival(Duration),
}

impl Stamps {
    /// Judges the time `own` of a picture that arrives at `now`, both on the monotonic clock.
    pub(super) fn judge(&mut self, own: Duration, now: Duration) -> Stamp {
        let plausible = own <= now + AHEAD && own + BEHIND >= now && self.last.is_none_or(|last| own > last);
        let stamp = if plausible { Stamp::Own(own) } else { Stamp::Arrival(now) };
        self.last = self.last.max(Some(stamp.time()));
        stamp
    }
}

impl Stamp {
    pub(super) fn time(self) -> Duration {
        match self {
            Stamp::Own(time) | Stamp::Arrival(time) => time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_times_are_replaced_and_the_stream_goes_on() {
        use Stamp::{Arrival, Own};
        let ms = Duration::from_millis;
        let hour = 3_600_000;
        let mut stamps = Stamps::default();
        // Time of arrival, the picture's own time, what it gets.
        let table = [
            (hour, hour - 30, Own(ms(hour - 30))),
            (hour + 33, hour + 3, Own(ms(hour + 3))),
            // It jumps ahead by an hour, and back.
            (hour + 66, 2 * hour, Arrival(ms(hour + 66))),
            (hour + 100, hour + 70, Own(ms(hour + 70))),
            // It stands still, goes back, counts from nothing.
            (hour + 133, hour + 70, Arrival(ms(hour + 133))),
            (hour + 166, hour + 20, Arrival(ms(hour + 166))),
            (hour + 200, 200, Arrival(ms(hour + 200))),
            (hour + 233, hour + 210, Own(ms(hour + 210))),
            // A decoder that is slow, a clip that is early.
            (hour + 2300, hour + 300, Own(ms(hour + 300))),
            (hour + 2400, hour + 2500, Own(ms(hour + 2500))),
        ];
        for (now, own, want) in table {
            assert_eq!(stamps.judge(ms(own), ms(now)), want, "{own} at {now}");
        }
    }
}
