//! The keeper's hands for [`retention`]: reads what it must know, and deletes what it decides.

use std::time::Duration;

use crate::base::fault::FaultCode;
use crate::base::units::ByteSize;
use crate::storage::catalog::Catalog;
use crate::storage::layout::{self, Kind, Name};
use crate::storage::volume::Volume;
use crate::storage::{retention, segment};

use super::Keeper;

/// So often is measured again whether deleting would help: it takes some seconds with half a million files.
const MEASURE_EVERY: Duration = Duration::from_secs(60);

/// What was found when it was measured whether deleting helps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hopeless {
    /// Until when that stands.
    until: Duration,
    /// So much free space ends it.
    enough: u64,
    /// Bytes of ours that might be deleted.
    ours: u64,
}

impl Keeper {
    pub(super) fn retain(&mut self, volume: &Volume, free: u64) {
        let now = self.clock.wall_is_right().then(|| self.clock.wall());
        let too_old = retention::too_old(&self.limits, now);
        if let Some(too_old) = too_old {
            read_marks(volume, too_old);
        }
        let by_age = too_old.is_some();
        let low = retention::is_low(&self.limits, free, self.cleaning);
        for (stream, name) in volume.catalog(|catalog| retention::unmeasured(catalog, &self.limits, low, by_age)) {
            let file = volume.disk().open(&layout::finished(&stream, Kind::Video, &name));
            let length =
                file.and_then(|file| segment::length(file.as_ref(), name.container)).ok().flatten().unwrap_or_default();
            volume.learn(|catalog| {
                catalog.streams.get_mut(&stream).map(|shelf| shelf.lengths.insert(name.order(), length))
            });
        }
        let mut candidates = volume.catalog(|catalog| retention::candidates(catalog, &self.limits, by_age));
        for candidate in candidates.iter_mut().filter(|_| low) {
            let path = layout::finished(&candidate.stream, Kind::Video, &candidate.name);
            // A file that somebody removed by hand frees nothing, and is forgotten when it is "deleted".
            candidate.bytes = volume.disk().size(&path).unwrap_or(0);
        }
        let today = layout::date(&Name::new(self.clock.wall().as_secs(), 0, 0));
        let helps = low && self.helps(volume, free);
        let decision = retention::decide(&candidates, &self.limits, free, self.cleaning, helps);
        for (stream, name) in &decision.delete {
            volume.delete(stream, Kind::Video, name);
            // Never today's directory, in which a writer may be about to make a file.
            if layout::date(name) != today {
                volume.remove_if_empty(&layout::folder(stream, Kind::Video, name));
            }
        }
        self.reporter.count("deleted", decision.delete.len() as u64);
        self.cleaning = decision.cleaning;
        volume.set_full(decision.full.then_some(free));
        if decision.stuck {
            self.reporter.raise(FaultCode::StorageFull, self.why_stuck(free, decision.full));
        } else if !self.cleaning {
            self.reporter.clear(FaultCode::StorageFull);
        }
    }
}

impl Keeper {
    fn why_stuck(&self, free: u64, full: bool) -> String {
        let (left, keep) = (ByteSize::from_bytes(free), ByteSize::from_bytes(self.limits.keep_free));
        let why = match self.hopeless.map_or(0, |found| found.ours) {
            0 => "what fills it is not ours or lies within storage.min_keep".to_owned(),
            ours => {
                let ours = ByteSize::from_bytes(ours);
                format!("other data fills it: to delete all {ours} of recordings beyond storage.min_keep would not do")
            }
        };
        let then = if full { "; recording waits" } else { "" };
        format!("{left} are free, {keep} are to be; {why}, so nothing is deleted{then}")
    }

    /// Whether deleting what may go would free what is missing. A "no" took a look at every file and stands for a
    /// minute, unless others make room before: recording itself changes nothing about it.
    fn helps(&mut self, volume: &Volume, free: u64) -> bool {
        let missing = retention::missing(&self.limits, free);
        let now = self.clock.monotonic();
        if self.hopeless.is_some_and(|found| now < found.until && free < found.enough) {
            return false;
        }
        let mut found = 0u64;
        for (stream, names) in volume.catalog(|catalog| retention::spare(catalog, &self.limits)) {
            for (number, name) in names.iter().enumerate() {
                if found >= missing {
                    break;
                }
                if number % 64 == 0 {
                    self.shared.heartbeat.tick(self.clock.monotonic());
                }
                let path = layout::finished(&stream, Kind::Video, name);
                found = found.saturating_add(volume.disk().size(&path).unwrap_or(0));
            }
        }
        let short = missing.saturating_sub(found);
        let enough = free.saturating_add(short);
        self.hopeless = (short > 0).then_some(Hopeless { until: now + MEASURE_EVERY, enough, ours: found });
        self.hopeless.is_none()
    }
}

/// Asks the oldest segments, each once in its life here, whether the clock was right that named them.
fn read_marks(volume: &Volume, too_old: u64) {
    for (stream, names) in volume.learn(|catalog| retention::undated(catalog, too_old)) {
        for name in names {
            let file = volume.disk().open(&layout::finished(&stream, Kind::Video, &name));
            // What cannot be read proves nothing, and stays.
            let mark = file.and_then(|file| segment::mark(file.as_ref(), name.container));
            let right = mark.is_ok_and(|mark| mark.is_some_and(|mark| mark.clock_right));
            let shelf = |catalog: &mut Catalog| {
                catalog.streams.get_mut(&stream).is_none_or(|shelf| shelf.ages.learn(&name, right, too_old))
            };
            if volume.learn(shelf) {
                break;
            }
        }
    }
}
