//! How many pictures a second really come: cameras halve their rate in the dark. Pure.

use std::time::Duration;

use crate::media::format::FrameRate;

/// Pictures are counted over this time.
const WINDOW: Duration = Duration::from_secs(2);
/// Per cent by which the rate may differ from the one that was asked for before it is said.
const TOLERANCE: f64 = 10.0;

/// The rate of one source.
#[derive(Debug, Default)]
pub(super) struct Rate {
    window: Option<(Duration, u64)>,
    measured: Option<f64>,
}

impl Rate {
    /// `count` pictures have come until `now`. True when a new measurement is there.
    pub(super) fn look(&mut self, now: Duration, count: u64) -> bool {
        let &mut (began, before) = self.window.get_or_insert((now, count));
        let took = now.saturating_sub(began);
        if took < WINDOW {
            return false;
        }
        self.window = Some((now, count));
        #[expect(clippy::cast_precision_loss, reason = "pictures of a few seconds")]
        let rate = count.saturating_sub(before) as f64 / took.as_secs_f64();
        self.measured = Some(rate);
        true
    }

    /// Frames per second in the last window, as a whole number.
    pub(super) fn rounded(&self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "no camera reaches 2^53, nor less than 0"
        )]
        let whole = self.measured.unwrap_or_default().round() as u64;
        whole
    }

    /// The measured rate, if it is not the one that was asked for. A window begins and ends anywhere, so one picture more
    /// or less says nothing.
    pub(super) fn off(&self, asked: FrameRate) -> Option<f64> {
        let asked = asked.as_f64();
        let slack = (asked * TOLERANCE / 100.0).max(1.5 / WINDOW.as_secs_f64());
        self.measured.filter(|rate| (rate - asked).abs() > slack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_rate_is_said_and_a_picture_more_or_less_is_not() {
        let asked = FrameRate::whole(30);
        let mut rate = Rate::default();
        let (mut now, mut count) = (Duration::from_secs(9), 100);
        assert!(!rate.look(now, count));
        assert_eq!(rate.off(asked), None, "not known yet");
        for (pictures, off) in [(60, false), (59, false), (61, false), (30, true), (75, true), (56, false), (0, true)] {
            now += Duration::from_secs(1);
            assert!(!rate.look(now, count));
            now += Duration::from_secs(1);
            count += pictures;
            assert!(rate.look(now, count));
            assert_eq!(rate.off(asked).is_some(), off, "{pictures} in 2 s: {rate:?}");
        }
        let slow = FrameRate::whole(1);
        now += Duration::from_secs(2);
        rate.look(now, count + 1);
        assert_eq!(rate.off(slow), None, "one picture in two seconds of one a second");
    }
}
