//! Decides where segments begin and end. Pure: it is told of pictures, and sees no disk and no clock.

use std::sync::Arc;
use std::time::Duration;

use crate::media::access_unit::{AccessUnit, EncodedFormat};

/// A keyframe this much before the wanted length is good enough to cut at.
const EARLY: Duration = Duration::from_millis(100);
/// An encoder that has not answered is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Pictures further apart than this, and than three periods, belong to different runs: a camera that halves its rate
/// in the dark stays below.
const HOLE: Duration = Duration::from_secs(1);

/// What is to be done with a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It cannot be used: nothing before it to build on.
    Skip,
    /// It goes on with the open segment.
    Append,
    /// It begins the next segment of the same run: no picture is missing.
    NextSegment,
    /// It begins a new run: so many pictures are known to be missing before it.
    NewRun {
        /// How many, as far as anybody counted.
        lost: u64,
    },
}

/// Where the recording stands.
#[derive(Debug)]
pub(super) struct Cut {
    segment: Duration,
    open: Option<Open>,
    lost: u64,
    asked: Option<Duration>,
}

#[derive(Debug)]
struct Open {
    begun: Duration,
    last: Duration,
    format: Arc<EncodedFormat>,
}

impl Cut {
    /// Nothing open; segments of this length.
    pub(super) fn new(segment: Duration) -> Self {
        Self { segment, open: None, lost: 0, asked: None }
    }

    /// So many pictures are missing before the next one.
    pub(super) fn gap(&mut self, lost: u64) {
        self.lost += lost;
        self.open = None;
    }

    /// The run is over (the source fell silent, or writing failed): the next keyframe begins a new one.
    pub(super) fn end(&mut self) {
        self.open = None;
    }

    /// The next picture.
    pub(super) fn unit(&mut self, unit: &AccessUnit) -> Step {
        let step = self.step(unit);
        match step {
            Step::Skip => {
                self.lost += 1;
                self.open = None;
            }
            Step::Append => {
                if let Some(open) = &mut self.open {
                    open.last = unit.pts;
                }
            }
            Step::NextSegment | Step::NewRun { .. } => {
                self.open = Some(Open { begun: unit.pts, last: unit.pts, format: unit.format.clone() });
                (self.lost, self.asked) = (0, None);
            }
        }
        step
    }

    fn step(&self, unit: &AccessUnit) -> Step {
        let new_run = || if unit.keyframe { Step::NewRun { lost: self.lost } } else { Step::Skip };
        let Some(open) = &self.open else { return new_run() };
        let hole = HOLE.max(3 * unit.format.rate.period());
        if unit.discontinuity || unit.pts.saturating_sub(open.last) > hole {
            return new_run();
        }
        let same = Arc::ptr_eq(&open.format, &unit.format) || open.format == unit.format;
        let long = unit.pts.saturating_sub(open.begun) + EARLY >= self.segment;
        match (unit.keyframe, same) {
            (true, true) if !long => Step::Append,
            (true, _) => Step::NextSegment,
            (false, true) => Step::Append,
            // A format that changes between keyframes: nothing can be decoded before the next one.
            (false, false) => Step::Skip,
        }
    }

    /// True if the encoder is to be asked for a keyframe after the picture that `unit` was told of last: two
    /// pictures before the end, so that the answer is there in time, or because pictures are useless until one comes.
    pub(super) fn wants_keyframe(&mut self, unit: &AccessUnit) -> bool {
        let wants = match &self.open {
            None => true,
            Some(open) => unit.pts.saturating_sub(open.begun) + 2 * unit.format.rate.period() >= self.segment,
        };
        let quiet = self.asked.is_none_or(|asked| unit.pts.saturating_sub(asked) >= ASK_AGAIN);
        if wants && quiet {
            self.asked = Some(unit.pts);
        }
        wants && quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::Codec;
    use crate::media::format::{FrameRate, Size};

    fn format(width: u32) -> Arc<EncodedFormat> {
        Arc::new(EncodedFormat {
            codec: Codec::H264,
            size: Size::new(width, 64),
            rate: FrameRate::whole(10),
            sps: bytes::Bytes::new(),
            pps: bytes::Bytes::new(),
        })
    }

    fn unit(ms: u64, keyframe: bool) -> AccessUnit {
        let pts = Duration::from_millis(ms);
        AccessUnit {
            data: bytes::Bytes::new(),
            pts,
            encoded: pts,
            keyframe,
            discontinuity: false,
            slate: false,
            format: format(64),
        }
    }

    fn cut() -> Cut {
        Cut::new(Duration::from_millis(5500))
    }

    #[test]
    fn asks_for_a_keyframe_and_cuts_at_it() {
        let mut cut = cut();
        let mut asked = Vec::new();
        let mut begun = Vec::new();
        let mut answer = false;
        for i in 0..120u64 {
            // Keyframes every second, and the one that was asked for, one picture later.
            let u = unit(i * 100, i % 10 == 0 || std::mem::take(&mut answer));
            match cut.unit(&u) {
                Step::Append => {}
                Step::NextSegment => begun.push(i),
                step => assert_eq!((i, step), (0, Step::NewRun { lost: 0 })),
            }
            if cut.wants_keyframe(&u) {
                asked.push(i);
                answer = true;
            }
        }
        assert_eq!(asked, [53, 107]);
        assert_eq!(begun, [54, 108]);
    }

    #[test]
    fn a_deaf_encoder_is_asked_twice_a_second() {
        let mut cut = cut();
        let asked = (0..70u64).filter(|i| {
            let u = unit(i * 100, *i == 0);
            cut.unit(&u);
            cut.wants_keyframe(&u)
        });
        assert_eq!(asked.collect::<Vec<_>>(), [53, 58, 63, 68]);
    }

    #[test]
    fn whatever_is_missing_begins_a_new_run() {
        let mut cut = cut();
        assert_eq!(cut.unit(&unit(0, false)), Step::Skip);
        assert_eq!(cut.unit(&unit(100, true)), Step::NewRun { lost: 1 });
        cut.gap(7);
        assert_eq!(cut.unit(&unit(1000, true)), Step::NewRun { lost: 7 });
        assert_eq!(cut.unit(&unit(2000, false)), Step::Append);
        assert_eq!(cut.unit(&unit(3001, false)), Step::Skip);
        assert_eq!(cut.unit(&unit(3100, false)), Step::Skip);
        assert_eq!(cut.unit(&unit(3200, true)), Step::NewRun { lost: 2 });
        let restarted = AccessUnit { discontinuity: true, ..unit(3300, true) };
        assert_eq!(cut.unit(&restarted), Step::NewRun { lost: 0 });
        cut.end();
        assert_eq!(cut.unit(&unit(3400, true)), Step::NewRun { lost: 0 });
    }

    #[test]
    fn one_picture_a_second_is_no_hole() {
        let slow = Arc::new(EncodedFormat { rate: FrameRate::whole(1), ..(*format(64)).clone() });
        let mut cut = cut();
        for i in 0..5u64 {
            let step = cut.unit(&AccessUnit { format: slow.clone(), ..unit(i * 1050, i == 0) });
            assert_eq!(step == Step::Append, i > 0);
        }
    }

    #[test]
    fn a_new_format_begins_a_segment() {
        let mut cut = cut();
        cut.unit(&unit(0, true));
        let other = AccessUnit { format: format(128), ..unit(100, true) };
        assert_eq!(cut.unit(&other), Step::NextSegment);
        assert_eq!(cut.unit(&AccessUnit { format: format(128), ..unit(200, false) }), Step::Append);
        assert_eq!(cut.unit(&unit(300, false)), Step::Skip);
    }
}
