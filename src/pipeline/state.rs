//! When a branch counts as running and when as stuck. Pure.

use std::time::Duration;

use crate::media::format::FrameRate;
use crate::plan::SourcePlan;

/// The time limits of a branch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The first frame must come within this time from the start of opening.
    pub(super) first: Duration,
    /// Two frames further apart than this, and the picture stands still.
    pub(super) frozen: Duration,
    /// No two frames may be further apart than this.
    pub(super) between: Duration,
}

impl Limits {
    /// Those of the plan; at low rates at least three frames, because one frame late is no fault.
    pub(super) fn of(source: &SourcePlan, rate: FrameRate) -> Self {
        let three = rate.period() * 3;
        Self {
            first: source.restart_timeout.max(three),
            frozen: source.frozen_after.max(three),
            between: source.timeout.max(three),
        }
    }
}

/// What is to be thought of a branch now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No frame yet, and still time.
    Opening,
    /// Frames flow.
    Running,
    /// Frames came and then paused. They may go on by themselves.
    Frozen,
    /// No first frame came.
    NeverStarted,
    /// Frames came and then stopped for too long.
    Stalled,
}

/// Judges a branch that was opened `open` ago and whose last frame since then, if any, is `last` old.
pub(super) fn judge(open: Duration, last: Option<Duration>, limits: Limits) -> Verdict {
    match last {
        // A frame older than the opening belongs to the run before.
        Some(age) if age < open => {
            if age > limits.between {
                Verdict::Stalled
            } else if age > limits.frozen {
                Verdict::Frozen
            } else {
                Verdict::Running
            }
        }
        _ if open > limits.first => Verdict::NeverStarted,
        _ => Verdict::Opening,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let s = Duration::from_secs;
        let limits = Limits { first: s(3), frozen: s(2), between: s(5) };
        let table = [
            (s(1), None, Verdict::Opening),
            (s(4), None, Verdict::NeverStarted),
            (s(1), Some(s(2)), Verdict::Opening),
            (s(4), Some(s(5)), Verdict::NeverStarted),
            (s(9), Some(s(2)), Verdict::Running),
            (s(9), Some(s(3)), Verdict::Frozen),
            (s(9), Some(s(5)), Verdict::Frozen),
            (s(9), Some(s(6)), Verdict::Stalled),
        ];
        for (open, last, want) in table {
            assert_eq!(judge(open, last, limits), want, "{open:?} {last:?}");
        }
    }
}
