//! Limits how often the encoder is asked for a keyframe, so that any number of newcomers costs a few keyframes.

use std::time::Duration;

/// Requests closer together than this are served by one keyframe. At 30 fps it allows five keyframes a second, and a
/// newcomer waits at most this long plus a frame.
const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// An encoder that has not answered by then is asked again.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// Pure: it is told the time with every question.
#[derive(Debug, Default)]
pub(super) struct KeyframeGate {
    /// Somebody waits for a keyframe.
    wanted: bool,
    /// When the encoder was asked last, and when a keyframe came last.
    asked: Option<Duration>,
    came: Option<Duration>,
}

impl KeyframeGate {
    /// Somebody needs a keyframe: the next one that comes will do.
    pub(super) fn ask(&mut self) {
        self.wanted = true;
    }

    /// A keyframe came, by request or by itself: whoever waited has it.
    pub(super) fn keyframe(&mut self, now: Duration) {
        self.came = Some(now);
        self.wanted = false;
    }

    /// True when the encoder is to be asked now; the caller then asks it.
    pub(super) fn due(&mut self, now: Duration) -> bool {
        let quiet = |since: Option<Duration>, time: Duration| since.is_none_or(|t| now.saturating_sub(t) >= time);
        let answered = self.came > self.asked;
        let pause = if answered { MIN_INTERVAL } else { ANSWER_WITHIN };
        let due = self.wanted && quiet(self.asked, pause);
        if due {
            self.asked = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn fifty_newcomers_cost_one_keyframe() {
        let mut gate = KeyframeGate::default();
        let asked = (0..50).filter(|i| {
            gate.ask();
            gate.due(ms(1000 + i))
        });
        assert_eq!(asked.count(), 1);
        gate.keyframe(ms(1060));
        assert!(!gate.due(ms(1061)));
    }

    #[test]
    fn a_request_too_early_is_kept_not_lost() {
        let mut gate = KeyframeGate::default();
        gate.ask();
        assert!(gate.due(ms(1000)));
        gate.keyframe(ms(1030));
        gate.ask();
        assert!(!gate.due(ms(1040)));
        assert!(!gate.due(ms(1199)));
        assert!(gate.due(ms(1200)));
    }

    #[test]
    fn a_deaf_encoder_is_asked_again() {
        let mut gate = KeyframeGate::default();
        gate.ask();
        assert!(gate.due(ms(1000)));
        assert!(!gate.due(ms(1400)));
        assert!(gate.due(ms(1500)));
    }
}
