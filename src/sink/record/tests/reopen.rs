//! What becomes of a file that its writer could not bring to its end: in a directory that was given up and opened anew,
//! and after an error behind the last step.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::faulty::{FaultyDisk, Mood, Step};
use super::live::{Rig, plan, segments};
use super::{film, until};
use crate::base::clock::{Clock, SystemClock};
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Health};
use crate::base::id::StreamId;
use crate::media::access_unit::AccessUnit;
use crate::media::container::Container;
use crate::storage::layout::{self, Kind};
use crate::storage::mark::Mark;
use crate::storage::recover::recover;
use crate::storage::segment::Segment;
use crate::storage::{self, Volume};

fn live() -> StreamId {
    StreamId::new("live").unwrap()
}

/// A segment with its first pictures on the disk.
fn begin(volume: &Arc<Volume>, film: &[Arc<AccessUnit>]) -> Segment {
    let start_ns = 1_795_161_600_000_000_000;
    let mark = Mark { run: volume.next_run(), seq: 0, start_ns, lost: 0, clock_right: true };
    let mut segment = Segment::new(volume.clone(), &live(), mark, &film[0].format, film[0].pts, Container::Mp4);
    segment.append(film).unwrap();
    segment
}

#[test]
fn nobody_finishes_a_file_that_its_writer_still_holds() {
    let root = tempfile::tempdir().unwrap();
    let (path, away) = (root.path().join("video"), root.path().join("away"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let health = Health::new(clock.clone());
    let storage =
        storage::start(storage::Setup { plan: plan(&path), first: None, clock, health: health.clone(), memory: None });
    let film = film::shoot(30, 30, Duration::ZERO);
    let old = storage.wait(Duration::from_secs(10)).unwrap();
    let mut segment = begin(&old, &film[..20]);
    let is = |condition| health.report()[0].condition == condition;
    std::fs::rename(&path, &away).unwrap();
    until("absent", || is(Condition::Absent));
    std::fs::rename(&away, &path).unwrap();
    until("running", || is(Condition::Running));
    let new = storage.volume().unwrap();
    assert!(!Arc::ptr_eq(&old, &new));
    let other = begin(&new, &film[..10]);
    let looks = storage.looks();
    until("two more looks", || storage.looks() >= looks + 2);
    let open = |segment: &Segment| path.join(layout::open(&live(), Kind::Video, &segment.name()));
    assert!(open(&segment).exists() && open(&other).exists());
    // It may not go on: the name belongs to the volume that was opened after it.
    assert!(segment.append(&film[20..]).is_err());
    let part = open(&segment);
    assert!(segment.finish().is_err() && part.exists());
    drop(old);
    until("recovery", || !part.exists());
    assert!(open(&other).exists(), "another writer still holds it");
    other.finish().unwrap();
    let found: Vec<_> = segments(&path).iter().map(|(mark, pictures)| (mark.run, *pictures)).collect();
    assert_eq!(found, [(1, 20), (2, 10)]);
    drop(new);
    assert!(storage.stop(Duration::from_secs(5)));
}

#[test]
fn a_link_in_place_of_a_streams_directory_is_named_until_it_is_gone() {
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(Volume::open(root.path(), None, Some(Duration::ZERO)).unwrap());
    let link = root.path().join("live");
    std::os::unix::fs::symlink(other.path(), &link).unwrap();
    let mut rig = Rig::on(root.path());
    rig.send(40);
    let foreign = |rig: &Rig| rig.page("live/record").faults.into_iter().find(|f| f.code == FaultCode::StorageForeign);
    until("the fault", || foreign(&rig).is_some());
    let detail = foreign(&rig).unwrap().detail;
    assert!(detail.contains("live is a link"), "{detail}");
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0);
    std::fs::remove_file(&link).unwrap();
    until("running", || {
        rig.send(30);
        rig.page("live/record").condition == Condition::Running && foreign(&rig).is_none()
    });
}

#[test]
fn a_name_that_was_not_made_durable_is_made_so_later() {
    let root = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::open(root.path());
    let volume = Volume::for_test(Arc::new(disk.clone()), Some(live()));
    let film = film::shoot(10, 10, Duration::ZERO);
    let segment = begin(&volume, &film);
    let name = segment.name();
    disk.set(Mood::FailsAt(Step::SyncDir, libc::EIO));
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
