//! What stands on the slate. Pure.

use std::time::Duration;

use crate::base::health::BranchReport;
use crate::base::id::StreamId;

/// What is known when a slate is drawn.
pub(super) struct Known<'a> {
    /// Whose picture is missing.
    pub(super) stream: &'a StreamId,
    /// The page of its source.
    pub(super) source: Option<&'a BranchReport>,
    /// For how long there has been no picture.
    pub(super) lost: Duration,
    /// Unix time, and whether the clock is known to be right.
    pub(super) wall: Duration,
    pub(super) wall_is_right: bool,
}

/// The lines of the slate, the heading first.
pub(super) fn words(known: &Known<'_>) -> Vec<String> {
    let fault = known.source.and_then(|source| source.faults.first());
    let what =
        fault.map_or_else(|| "the camera is being opened".into(), |fault| format!("{} {}", fault.code, fault.title));
    vec!["no signal".into(), what, since(known), format!("for {}", length(known.lost)), known.stream.to_string()]
}

fn since(known: &Known<'_>) -> String {
    let seconds = known.wall.saturating_sub(known.lost).as_secs();
    let time = i64::try_from(seconds).ok().and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok());
    let (date, time) = time.map_or((time::Date::MIN, time::Time::MIDNIGHT), |t| (t.date(), t.time()));
    let clock = format!("{:02}:{:02}:{:02} UTC", time.hour(), time.minute(), time.second());
    // The date of a clock that nobody has set is that of the image's making.
    if known.wall_is_right { format!("since {date} {clock}") } else { format!("since {clock}, clock not set") }
}

fn length(d: Duration) -> String {
    let s = d.as_secs();
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s:02} s"),
        (h, min, s) => format!("{h} h {min:02} min {s:02} s"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::clock::SimClock;
    use crate::base::fault::FaultCode;
    use crate::base::health::{Condition, Health};

    #[test]
    fn says_what_since_when_and_for_how_long() {
        let health = Health::new(Arc::new(SimClock::at(Duration::ZERO)));
        let source = health.reporter("live/source");
        let stream = StreamId::new("live").unwrap();
        let lines = |lost: u64, right: bool| {
            let source = health.report().remove(0);
            let wall = Duration::from_secs(1_795_161_600);
            let lost = Duration::from_secs(lost);
            words(&Known { stream: &stream, source: Some(&source), lost, wall, wall_is_right: right }).join("|")
        };
        assert_eq!(lines(2, true), "no signal|the camera is being opened|since 2026-11-20 07:59:58 UTC|for 2 s|live");
        source.set(Condition::Absent, "");
        source.raise(FaultCode::CameraAbsent, "");
        assert_eq!(
            lines(75, true),
            "no signal|CAM-001 the camera is not there|since 2026-11-20 07:58:45 UTC|for 1 min 15 s|live"
        );
        assert!(lines(7384, false).contains("|since 05:56:56 UTC, clock not set|for 2 h 03 min 04 s|"));
    }
}
