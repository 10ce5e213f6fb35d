//! Puts the pictures of one stream into segments of one volume: the part of the recorder that a test drives without
//! threads.

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Clock;
use crate::base::id::StreamId;
use crate::media::access_unit::AccessUnit;
use crate::media::container::Container;
use crate::media::timeline::Timeline;
use crate::plan::RecordPlan;
use crate::storage::mark::Mark;
use crate::storage::segment::{Finished, Segment};
use crate::storage::{Error, Volume};

use super::cut::{Cut, Step};

/// A fragment is written when it holds pictures for this long. With 0.15 s for the picture on its way, a write and a
/// fdatasync, a killed process loses half a second at most (measured with 0.4 s, 2026-11-20, two busy cores: 3 to 13
/// pictures at 30 fps in 12 kills, which left too little room).
pub(super) const FRAGMENT: Duration = Duration::from_millis(350);
/// ... or so many bytes, which bounds the memory: 0.35 s at 190 Mbit/s.
const FRAGMENT_BYTES: usize = 8 << 20;

/// What came of a step.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Pictures that became durable.
    pub(super) durable: u64,
    /// Pictures that could not be used.
    pub(super) skipped: u64,
    /// The longest fdatasync with its write.
    pub(super) sync: Duration,
    /// Segments that were finished.
    pub(super) finished: Vec<Finished>,
}

/// One writer on one volume.
pub(super) struct Session {
    stream: StreamId,
    volume: Arc<Volume>,
    clock: Arc<dyn Clock>,
    container: Container,
    cut: Cut,
    open: Option<Segment>,
    run: Option<u32>,
    seq: u32,
    pending: Vec<Arc<AccessUnit>>,
    pending_bytes: usize,
}

impl Session {
    /// Nothing open yet. `lost` pictures are missing before the first.
    pub(super) fn new(
        stream: StreamId,
        volume: Arc<Volume>,
        clock: Arc<dyn Clock>,
        plan: &RecordPlan,
        lost: u64,
    ) -> Self {
        let mut cut = Cut::new(plan.segment);
        cut.gap(lost);
        let container = plan.format;
        Self {
            stream,
            volume,
            clock,
            container,
            cut,
            open: None,
            run: None,
            seq: 0,
            pending: Vec::new(),
            pending_bytes: 0,
        }
    }

    /// Takes the next picture; says whether the encoder is to be asked for a keyframe.
    pub(super) fn unit(&mut self, unit: &Arc<AccessUnit>, progress: &mut Progress) -> Result<bool, Error> {
        match self.cut.unit(unit) {
            Step::Skip => {
                progress.skipped += 1;
                self.finish(progress)?;
            }
            Step::Append => self.push(unit, progress)?,
            Step::NextSegment => {
                self.finish(progress)?;
                self.begin(unit, None)?;
                self.push(unit, progress)?;
            }
            Step::NewRun { lost } => {
                self.finish(progress)?;
                self.begin(unit, Some(lost))?;
                self.push(unit, progress)?;
            }
        }
        Ok(self.cut.wants_keyframe(unit))
    }

    /// So many pictures are missing before the next one.
    pub(super) fn gap(&mut self, lost: u64, progress: &mut Progress) -> Result<(), Error> {
        self.cut.gap(lost);
        self.finish(progress)
    }

    /// The source has fallen silent: what is there becomes a finished file.
    pub(super) fn pause(&mut self, progress: &mut Progress) -> Result<(), Error> {
        self.cut.end();
        self.finish(progress)
    }

    /// True while a segment is open.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Pictures taken but not yet durable: lost if the session is given up now.
    pub(super) fn pending(&self) -> u64 {
        self.pending.len() as u64
    }

    /// Gives up what is not yet durable.
    pub(super) fn forget_pending(&mut self) {
        self.pending.clear();
        self.pending_bytes = 0;
    }

    /// Makes what was taken so far durable.
    pub(super) fn flush(&mut self, progress: &mut Progress) -> Result<(), Error> {
        let Some(segment) = self.open.as_mut().filter(|_| !self.pending.is_empty()) else { return Ok(()) };
        self.volume.room()?;
        let begun = self.clock.monotonic();
        segment.append(&self.pending)?;
        progress.sync = progress.sync.max(self.clock.monotonic().saturating_sub(begun));
        progress.durable += self.pending.len() as u64;
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }

    /// Finishes the open segment, in spite of a full disk: for that there is a reserve.
    pub(super) fn finish(&mut self, progress: &mut Progress) -> Result<(), Error> {
        let flushed = self.flush(progress);
        if let Some(segment) = self.open.take() {
            progress.finished.extend(segment.finish()?);
        }
        flushed
    }

    fn begin(&mut self, unit: &AccessUnit, new_run: Option<u64>) -> Result<(), Error> {
        self.volume.check()?;
        self.volume.room()?;
        match (self.run, new_run) {
            (Some(_), None) => self.seq += 1,
            _ => (self.run, self.seq) = (Some(self.volume.next_run()), 0),
        }
        let run = self.run.expect("a run was begun above");
        let mark = self.mark(unit.pts, run, new_run.unwrap_or(0));
        let (volume, stream) = (self.volume.clone(), &self.stream);
        self.open = Some(Segment::new(volume, stream, mark, &unit.format, unit.pts, self.container));
        Ok(())
    }

    fn mark(&self, pts: Duration, run: u32, lost: u64) -> Mark {
        // Asked before the time: a clock that is set between the two is not called right by mistake.
        let clock_right = self.clock.wall_is_right();
        let start = Timeline::new(self.clock.monotonic(), self.clock.wall()).wall(pts);
        let start_ns = u64::try_from(start.as_nanos()).unwrap_or(u64::MAX);
        Mark { run, seq: self.seq, start_ns, lost, clock_right }
    }

    fn push(&mut self, unit: &Arc<AccessUnit>, progress: &mut Progress) -> Result<(), Error> {
        let oldest = self.pending.first().map_or(unit.pts, |first| first.pts);
        let old = unit.pts.saturating_sub(oldest) + unit.format.rate.period() > FRAGMENT;
        let large = self.pending_bytes + unit.data.len() > FRAGMENT_BYTES;
        if unit.keyframe || old || large {
            self.flush(progress)?;
        }
        self.pending_bytes += unit.data.len();
        self.pending.push(unit.clone());
        Ok(())
    }
}
