use std::fs;
use std::path::Path;

use super::*;
use crate::base::clock::{SimClock, SystemClock};
use crate::base::health::BranchReport;
use crate::storage::disk::{Directory, Disk};
use crate::storage::layout::{self, Kind, Name};
use crate::storage::mark::Mark;
use crate::storage::mp4::{self, Leftover, Track};
use crate::storage::segment;

const UNIX: u64 = 1_795_161_600;
const SPS: &[u8] = &[0x67, 66, 0, 10];

struct House {
    root: tempfile::TempDir,
    health: Health,
    storage: Option<Storage>,
}

impl House {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(SimClock::at(Duration::from_secs(UNIX)));
        drop(Volume::open(root.path(), None, Some(clock.wall())).unwrap());
        Self { root, health: Health::new(clock), storage: None }
    }

    fn put(&self, path: &Path, content: &[u8]) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A segment of two fragments that plays `ms` milliseconds, made by a clock that was right or not.
    fn fragments(&self, name: &Name, clock_right: bool, ms: u64) -> (Vec<u8>, Leftover) {
        let track = Track { width: 64, height: 64, sps: SPS.into(), pps: vec![0x68].into(), period: 90 };
        let start_ns = name.unix * 1_000_000_000;
        let mark = Mark { run: name.run, seq: name.seq, start_ns, lost: 0, clock_right };
        let (mut data, reserve) = mp4::head(&track, &mark).unwrap();
        let mut samples = Vec::new();
        for (number, time) in [(1, 0), (2, 90 * (ms - 1))] {
            let picture = (vec![vec![0x65, 1].into()], time, true);
            let (fragment, added) = mp4::fragment(&track, number, data.len() as u64, &[picture]).unwrap();
            data.extend(fragment);
            samples.extend(added);
        }
        let end = data.len() as u64;
        (data, Leftover { track, mark, reserve, end, samples })
    }

    /// The same, finished, on the disk.
    fn record(&self, name: &Name, clock_right: bool, ms: u64) {
        let path = layout::finished(&live(), Kind::Video, name);
        let (data, leftover) = self.fragments(name, clock_right, ms);
        self.put(&path, &data);
        let disk = Directory::open(self.root.path()).unwrap();
        segment::close(disk.open(&path).unwrap().as_mut(), &path, &leftover).unwrap();
    }

    fn start(&mut self, keep_free: u64, max_age: Option<Duration>) -> &Storage {
        let plan = StoragePlan {
            path: self.root.path().to_owned(),
            keep_free: ByteSize::from_bytes(keep_free),
            max_age,
            min_keep: Duration::from_secs(10),
            images: 2,
        };
        let clock = Arc::new(SimClock::at(Duration::from_secs(UNIX + 200_000)));
        let setup = Setup { plan, first: Some(live()), clock, health: self.health.clone(), memory: None };
        self.storage.insert(start(setup))
    }

    fn page(&self) -> BranchReport {
        self.health.report().remove(0)
    }

    fn there(&self, name: &Name) -> bool {
        self.root.path().join(layout::finished(&live(), Kind::Video, name)).exists()
    }

    fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let end = SystemClock.monotonic() + Duration::from_secs(20);
        while !reached(self) {
            assert!(SystemClock.monotonic() < end, "waited in vain for {what}: {:?}", self.page());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        assert!(self.storage.take().is_none_or(|s| s.stop(Duration::from_secs(5))));
    }
}

fn live() -> StreamId {
    StreamId::new("live").unwrap()
}

fn has(page: &BranchReport, code: FaultCode) -> bool {
    page.faults.iter().any(|f| f.code == code)
}

#[test]
fn what_cannot_be_played_is_set_aside_and_reported() {
    let mut house = House::new();
    let name = |run| Name::new(UNIX, run, 0);
    house.put(&layout::open(&live(), Kind::Video, &name(3)), b"");
    house.put(&layout::open(&live(), Kind::Video, &name(4)), &[0x55; 5000]);
    // Fragments were flushed, and then its beginning was lost.
    let mut damaged = house.fragments(&name(6), true, 5000).0;
    damaged[..100].fill(0);
    house.put(&layout::open(&live(), Kind::Video, &name(6)), &damaged);
    house.put(&layout::open(&live(), Kind::Image, &name(5)), b"half a picture");
    house.put(&layout::finished(&live(), Kind::Video, &name(2)), b"x");
    let volume = house.start(0, None).wait(Duration::from_secs(20)).unwrap();
    assert_eq!(volume.next_run(), 7);
    house.until("the report", |h| has(&h.page(), FaultCode::SegmentQuarantined));
    house.until("running", |h| h.page().condition == Condition::Running);
    for run in [3, 4, 6] {
        assert!(house.root.path().join(layout::quarantined(&live(), &name(run))).exists());
    }
    assert!(!house.root.path().join(layout::open(&live(), Kind::Image, &name(5))).exists());
    assert!(house.there(&name(2)));
    let detail = &house.page().faults[0].detail;
    assert!(detail.starts_with("1 in all") && detail.contains("r0006"), "{detail}");
}

#[test]
fn a_disk_filled_by_others_is_no_reason_to_delete() {
    let mut house = House::new();
    let names: Vec<_> = (0..100).map(|i| Name::new(UNIX + u64::from(i) * 5, 1, i)).collect();
    for name in &names {
        house.put(&layout::finished(&live(), Kind::Video, name), b"x");
    }
    // More than any disk has: as if it were full of other things.
    house.start(1 << 60, None);
    house.until("the fault", |h| has(&h.page(), FaultCode::StorageFull));
    let detail = house.page().faults[0].detail.clone();
    assert!(detail.contains("other data fills it") && detail.contains("nothing is deleted"), "{detail}");
    let storage = house.storage.as_ref().unwrap();
    let looks = storage.looks();
    house.until("two more looks", |_| storage.looks() >= looks + 2);
    assert!(names.iter().all(|name| house.there(name)));
    // There is room to record all the same: the fault is an early one.
    assert!(storage.volume().unwrap().room().is_ok());
}

#[test]
fn our_own_recordings_make_room_and_nothing_else_goes() {
    let mut house = House::new();
    let names: Vec<_> = (0..100).map(|i| Name::new(UNIX + u64::from(i) * 5, 1, i)).collect();
    for name in &names {
        let path = house.root.path().join(layout::finished(&live(), Kind::Video, name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // As long as it takes, and on the disk a hole.
        fs::File::create(path).unwrap().set_len(1 << 40).unwrap();
    }
    house.put("live/video/2026-11-20/holiday.mp4".as_ref(), b"x");
    house.put("thesis.tex".as_ref(), b"x");
    let free = Directory::open(house.root.path()).unwrap().free().unwrap();
    house.start(free + (20 << 40), None);
    house.until("deletion", |h| !h.there(&names[0]));
    assert!(names[97..].iter().all(|name| house.there(name)));
    assert!(house.root.path().join("live/video/2026-11-20/holiday.mp4").exists());
    assert!(house.root.path().join("thesis.tex").exists());
}

#[test]
fn runs_of_one_file_make_room_too() {
    let mut house = House::new();
    let names: Vec<_> = (1..100).map(|run| Name::new(UNIX + u64::from(run) * 60, run, 0)).collect();
    for name in &names {
        house.record(name, true, 2500);
    }
    house.start(0, Some(Duration::from_secs(1000)));
    // The newest 10 s stay, at 2.5 s each.
    house.until("cleaning", |h| names.iter().filter(|name| h.there(name)).count() == 4);
    assert!(names[95..].iter().all(|name| house.there(name)));
}

#[test]
fn a_disk_that_does_not_answer_is_reported_until_it_does() {
    let mut house = House::new();
    let storage = house.start(0, None).clone();
    house.until("running", |h| h.page().condition == Condition::Running);
    // The clock of the house stands still.
    let now = SimClock::at(Duration::ZERO).monotonic();
    storage.watch(now + Duration::from_secs(4));
    assert!(!has(&house.page(), FaultCode::WriteFailed));
    house.until("the fault", |h| {
        storage.watch(now + Duration::from_secs(7));
        has(&h.page(), FaultCode::WriteFailed)
    });
    house.until("the disk's answer", |h| !has(&h.page(), FaultCode::WriteFailed));
    house.until("running", |h| h.page().condition == Condition::Running);
    assert!(storage.stop(Duration::from_secs(5)));
    storage.watch(now + Duration::from_secs(60));
    assert_eq!(house.page().condition, Condition::Stopped);
}

#[test]
fn old_segments_go_and_snapshots_are_limited() {
    let mut house = House::new();
    let names: Vec<_> = (0..10).map(|i| Name::new(UNIX + u64::from(i) * 30_000, 1, i)).collect();
    for name in &names {
        house.record(name, true, 5000);
    }
    let storage = house.start(0, Some(Duration::from_secs(100_000))).clone();
    storage.wait(Duration::from_secs(20)).unwrap();
    // Now is 200,000 s after the first: those before 100,000 s go.
    house.until("cleaning", |h| h.page().counters.get("deleted") == Some(&4));
    assert!(!house.there(&names[3]) && house.there(&names[4]));
    assert!(!house.root.path().join("live/video/2026-11-20").exists(), "an empty directory goes");
    for i in 0..4 {
        storage.write_image(&live(), b"jpeg", Duration::from_secs(UNIX + i)).unwrap();
    }
    let images = house.root.path().join("live/images/2026-11-20");
    assert_eq!(fs::read_dir(images).unwrap().count(), 2);
    assert!(storage.stop(Duration::from_secs(5)));
    assert!(storage.write_image(&live(), b"jpeg", Duration::ZERO).is_err());
    // The lock was given back.
    Volume::open(house.root.path(), None, None).unwrap();
}

#[test]
fn what_a_wrong_clock_dated_stays_until_a_later_right_time_is_old() {
    let mut house = House::new();
    // The drone's clock began half a year behind, as it was built, and was set in the middle of run 2. Max age: 1 day.
    let wrong = |run, seq| Name::new(UNIX - 15_000_000 + u64::from(run * 100 + seq * 5), run, seq);
    let right = |run, seq, age| Name::new(UNIX + 200_000 - age, run, seq);
    let names = [
        (wrong(1, 0), false, true),
        (right(2, 0, 90_000), true, true),
        (wrong(3, 0), false, false),
        (wrong(4, 0), false, false),
        (right(4, 1, 3000), true, false),
    ];
    // What this boot records before its clock is set has no right time behind it; its last 10 s stay in any case.
    let unset = (0..6).map(|seq| (wrong(5, seq), false, false));
    let names: Vec<_> = names.into_iter().chain(unset).collect();
    for (name, clock_right, _) in &names {
        house.record(name, *clock_right, 5000);
    }
    house.start(0, Some(Duration::from_secs(86_400)));
    house.until("the old to go", |h| h.page().counters.get("deleted") == Some(&2));
    let storage = house.storage.as_ref().unwrap();
    let looks = storage.looks();
    house.until("two more looks", |_| storage.looks() >= looks + 2);
    for (name, _, goes) in &names {
        assert_eq!(house.there(name), !goes, "{name:?}");
    }
}

#[test]
fn somebody_elses_directory_is_a_fault_until_it_is_empty() {
    let mut house = House::new();
    fs::remove_file(house.root.path().join(layout::MARKER)).unwrap();
    house.put("thesis.tex".as_ref(), b"x");
    house.start(0, None);
    house.until("the fault", |h| has(&h.page(), FaultCode::StorageForeign));
    assert_eq!(house.page().condition, Condition::Absent);
    fs::remove_file(house.root.path().join("thesis.tex")).unwrap();
    house.until("running", |h| h.page().condition == Condition::Running && h.page().faults.is_empty());
}

#[test]
fn the_mount_point_of_a_pulled_disk_is_not_written_to() {
    let mut house = House::new();
    house.start(0, None);
    house.until("running", |h| h.page().condition == Condition::Running);
    // As a mount point shows what lies below it when the disk is gone: nothing.
    let (path, pulled) = (house.root.path().to_owned(), house.root.path().with_extension("pulled"));
    for empty in [false, true] {
        fs::rename(&path, &pulled).unwrap();
        if empty {
            fs::create_dir(&path).unwrap();
        }
        house.until("absent", |h| h.page().condition == Condition::Absent);
        assert!(house.storage.as_ref().unwrap().volume().is_none());
        // The keeper has tried to open it at least once more.
        house.until("a closer look", |h| h.page().faults.iter().any(|f| f.detail.contains("after a restart only")));
        assert_eq!(path.exists(), empty);
        if empty {
            fs::remove_dir(&path).unwrap();
        }
        fs::rename(&pulled, &path).unwrap();
        house.until("running", |h| h.page().condition == Condition::Running && h.page().faults.is_empty());
    }
}

/// A clock that finds a bug in the keeper, once.
#[derive(Debug)]
struct Buggy(std::sync::atomic::AtomicBool);

impl Clock for Buggy {
    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }

    fn wall(&self) -> Duration {
        SystemClock.wall()
    }

    fn wall_is_right(&self) -> bool {
        assert!(!self.0.swap(false, std::sync::atomic::Ordering::SeqCst), "a bug, as this test wants it");
        false
    }
}

#[test]
fn a_keeper_with_a_bug_begins_anew() {
    let house = House::new();
    let clock = Arc::new(Buggy(true.into()));
    let limits = StoragePlan {
        path: house.root.path().to_owned(),
        keep_free: ByteSize::from_bytes(0),
        max_age: None,
        min_keep: Duration::ZERO,
        images: 2,
    };
    let setup = Setup { plan: limits, first: None, clock, health: house.health.clone(), memory: None };
    let storage = start(setup);
    house.until("the bug", |h| h.page().counters.get("panics") == Some(&1));
    // It lets go of its own lock.
    house.until("running", |h| h.page().condition == Condition::Running && h.page().faults.is_empty());
    storage.write_image(&live(), b"jpeg", Duration::from_secs(UNIX)).unwrap();
    assert!(storage.stop(Duration::from_secs(5)));
}

#[test]
fn the_disk_of_the_last_time_is_waited_for_until_somebody_says_otherwise() {
    let (house, state) = (House::new(), tempfile::tempdir().unwrap());
    let file = state.path().join("storage.toml");
    fs::write(&file, format!("path = {:?}\nmount = \"/no/such/disk\"\n", house.root.path())).unwrap();
    let plan = StoragePlan {
        path: house.root.path().to_owned(),
        keep_free: ByteSize::from_bytes(0),
        max_age: None,
        min_keep: Duration::ZERO,
        images: 2,
    };
    let memory = Some(Memory::new(state.path(), house.root.path()));
    let storage =
        start(Setup { plan, first: None, clock: Arc::new(SystemClock), health: house.health.clone(), memory });
    house.until("the fault", |h| {
        h.page().faults.iter().any(|f| f.detail.contains("nothing is mounted on /no/such/disk"))
    });
    assert!(storage.volume().is_none() && has(&house.page(), FaultCode::StorageMissing));
    fs::remove_file(&file).unwrap();
    house.until("running", |h| h.page().condition == Condition::Running && h.page().faults.is_empty());
    assert!(file.exists(), "it is remembered anew");
    assert!(storage.stop(Duration::from_secs(5)));
}

#[test]
fn a_disk_that_is_given_up_is_used_again_when_it_was_away() {
    let mut house = House::new();
    house.start(0, None);
    house.until("running", |h| h.page().condition == Condition::Running);
    let storage = house.storage.clone().unwrap();
    let writer = storage.volume().unwrap();
    // A writer that hears of it lets go; one that hangs is waited for in vain.
    let heard = crate::base::task::thread("writer", move || {
        while !writer.is_asked_back() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    assert!(storage.release(Duration::from_secs(10)));
    heard.join().unwrap();
    assert!(storage.volume().is_none() && house.page().faults.is_empty());
    assert_eq!(house.page().condition, Condition::Absent);
    // Nothing holds the directory any more: another may lock it.
    drop(Volume::open(house.root.path(), None, None).unwrap());
    let looks = storage.looks();
    house.until("looking", |_| storage.looks() > looks + 2);
    assert!(storage.volume().is_none(), "it is still there, and was not away");
    let aside = house.root.path().with_extension("pulled");
    fs::rename(house.root.path(), &aside).unwrap();
    let looks = storage.looks();
    house.until("looking", |_| storage.looks() > looks + 2);
    fs::rename(&aside, house.root.path()).unwrap();
    house.until("running again", |h| h.page().condition == Condition::Running);
    // Nobody unmounts it after all.
    assert!(storage.release(Duration::from_secs(10)));
    storage.resume();
    house.until("running at once", |h| h.page().condition == Condition::Running);
    let hangs = storage.volume().unwrap();
    assert!(!storage.release(Duration::from_secs(5)), "its files may still be open");
    assert!(hangs.room().is_err(), "cut off");
    drop(hangs);
    storage.resume();
    house.until("running at last", |h| h.page().condition == Condition::Running);
    assert!(storage.stop(Duration::from_secs(5)));
}
