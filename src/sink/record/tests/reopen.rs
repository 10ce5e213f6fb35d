//! What becomes of a file that its writer could not bring to its end: after an error behind the last step.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::faulty::{FaultyDisk, Mood};
use super::film;
use crate::base::id::StreamId;
use crate::media::access_unit::AccessUnit;
use crate::storage::layout::{self, Kind};
use crate::storage::mp4::Mark;
use crate::storage::recover::recover;
use crate::storage::segment::Segment;
use crate::storage::Volume;

fn live() -> StreamId {
    StreamId::new("live").unwrap()
}

/// A segment with its first pictures on the disk.
fn begin(volume: &Arc<Volume>, film: &[Arc<AccessUnit>]) -> Segment {
    let start_ns = 1_795_161_600_000_000_000;
    let mark = Mark { run: volume.next_run(), seq: 0, start_ns, lost: 0, clock_right: true };
    let mut segment = Segment::new(volume.clone(), &live(), mark, &film[0].format, film[0].pts);
    segment.append(film).unwrap();
    segment
}

#[test]
fn a_name_that_was_not_made_durable_is_made_so_later() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::open(root.path());
    let volume = Volume::for_test(Arc::new(disk.clone()), Some(live()));
    let film = film::shoot(10, 10, Duration::ZERO);
    let segment = begin(&volume, &film);
    let name = segment.name();
    disk.set(Mood::Nameless);
    assert!(segment.finish().is_err());
    let left = || vec![(live(), Kind::Video, name)];
    assert_eq!(recover(&volume, left()).failed, left());
    disk.set(Mood::Well);
    let recovered = recover(&volume, left());
    assert_eq!((recovered.finished, recovered.failed.len()), (1, 0));
    assert_eq!(volume.catalog(|catalog| catalog.newest(&live(), Kind::Video)), Some(name));
    assert!(root.path().join("latest_video.mp4").exists());
    // And what somebody removed is not looked for again.
    std::fs::remove_file(root.path().join(layout::finished(&live(), Kind::Video, &name))).unwrap();
    let recovered = recover(&volume, left());
    assert_eq!((recovered.finished, recovered.aside.len(), recovered.failed.len()), (0, 0, 0));
    assert!(!root.path().join(Path::new("live/quarantine")).exists());
}
