//! The recorder with its threads, on real files: slow, full, failing and absent disks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::faulty::{FaultyDisk, Mood};
use super::{film, until};
use crate::base::clock::{Clock, SystemClock};
use crate::base::fault::FaultCode;
use crate::base::health::{BranchReport, Condition, Health};
use crate::base::id::StreamId;
use crate::base::request::RequestKeyframe;
use crate::base::units::ByteSize;
use crate::hub::Hub;
use crate::media::access_unit::AccessUnit;
use crate::media::container::Container;
use crate::plan::{RecordPlan, StoragePlan};
use crate::sink::record::{Handle, Setup, start};
use crate::storage::disk::{Directory, Disk};
use crate::storage::mark::Mark;
use crate::storage::mux::{self, Wrap};
use crate::storage::{self, Storage, Volume, mp4};

pub(super) struct Rig {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Health,
    pub(super) hub: Hub,
    pub(super) storage: Storage,
    pub(super) record: Handle,
    sent: u32,
    film: Vec<Arc<AccessUnit>>,
    origin: Duration,
}

pub(super) fn plan(path: &Path) -> StoragePlan {
    StoragePlan {
        path: path.to_owned(),
        keep_free: ByteSize::from_bytes(0),
        max_age: None,
        min_keep: Duration::from_secs(60),
        images: 3,
    }
}

impl Rig {
    /// Segments of 1 s, a queue of 2 s.
    pub(super) fn new(format: Container, open: impl FnOnce(Arc<dyn Clock>, Health) -> Storage) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let health = Health::new(clock.clone());
        let hub = Hub::new(clock.clone());
        let storage = open(clock.clone(), health.clone());
        let record = start(Setup {
            stream: StreamId::new("live").unwrap(),
            plan: RecordPlan { format, segment: Duration::from_secs(1), buffer: Duration::from_secs(2) },
            storage: storage.clone(),
            hub: hub.clone(),
            clock: clock.clone(),
            health: health.clone(),
        });
        let origin = clock.monotonic();
        Self { film: film::shoot(60, 30, Duration::ZERO), clock, health, hub, storage, record, sent: 0, origin }
    }

    pub(super) fn on(path: &Path) -> Self {
        Self::making(Container::Mp4, path)
    }

    pub(super) fn making(format: Container, path: &Path) -> Self {
        let plan = plan(path);
        Self::new(format, |clock, health| {
            storage::start(storage::Setup { plan, first: StreamId::new("live").ok(), clock, health, memory: None })
        })
    }

    pub(super) fn on_faulty(format: Container, path: &Path) -> (Self, FaultyDisk) {
        let disk = FaultyDisk::open(path);
        let volume = Volume::for_test(Arc::new(disk.clone()), None);
        (Self::new(format, |_, _| Storage::for_test(volume)), disk)
    }

    /// Publishes so many pictures, 1/30 s apart by their time stamps, at once.
    pub(super) fn send(&mut self, count: u32) {
        for _ in 0..count {
            let picture = &self.film[self.sent as usize % self.film.len()];
            let pts = self.origin + Duration::from_secs(1) * self.sent / film::FPS;
            assert!(self.hub.publish(AccessUnit { pts, ..(**picture).clone() }));
            self.sent += 1;
        }
    }

    pub(super) fn page(&self, name: &str) -> BranchReport {
        self.health.report().into_iter().find(|b| b.name == name).unwrap()
    }

    pub(super) fn frames(&self) -> u64 {
        self.page("live/record").counters.get("frames").copied().unwrap_or(0)
    }

    pub(super) fn has(&self, code: FaultCode) -> bool {
        self.page("live/record").faults.iter().any(|f| f.code == code)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.record.stop(Duration::from_secs(5));
        self.storage.stop(Duration::from_secs(5));
    }
}

/// The finished segments below a directory, in order of run and place, each with its mark and its pictures.
pub(super) fn segments(root: &Path) -> Vec<(Mark, usize)> {
    let mut found: Vec<_> = files(root).iter().filter_map(|path| segment(path)).collect();
    found.sort_by_key(|(mark, _)| (mark.run, mark.seq));
    found
}

/// The mark and the pictures of a finished segment.
pub(super) fn segment(path: &Path) -> Option<(Mark, usize)> {
    let wrap = match path.extension()?.to_str()? {
        "mp4" => {
            let data = std::fs::read(path).unwrap();
            return Some((mp4::mark_of(&data).unwrap(), mp4::plain::samples(&data).unwrap().len()));
        }
        "ts" => Wrap::Ts,
        "mkv" => Wrap::Mkv,
        _ => return None,
    };
    let file = Directory::open(path.parent().unwrap()).unwrap().open(path.file_name().unwrap().as_ref()).unwrap();
    let mux::Found::Plays { pictures, .. } = mux::read(file.as_ref(), wrap).unwrap() else { panic!("{path:?}") };
    Some((mux::mark(file.as_ref()).unwrap().unwrap(), pictures))
}

/// Regular files below a directory.
pub(super) fn files(root: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
    walk.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

struct Encoder(AtomicU32);

impl RequestKeyframe for Encoder {
    fn request_keyframe(&self, _: &'static str) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn records_links_and_stops_cleanly_though_no_more_pictures_come() {
    let root = tempfile::tempdir().unwrap();
    let mut rig = Rig::on(root.path());
    assert_eq!(rig.page("live/record").condition, Condition::Starting);
    let encoder = Arc::new(Encoder(AtomicU32::new(0)));
    rig.hub.set_encoder(Some(encoder.clone()));
    rig.send(50);
    until("a segment", || root.path().join("latest_video.mp4").exists());
    until("running", || rig.page("live/record").condition == Condition::Running);
    let begun = rig.clock.monotonic();
    assert!(rig.record.stop(Duration::from_secs(2)));
    assert!(rig.clock.monotonic() - begun < Duration::from_secs(1));
    let told: Vec<_> = segments(root.path()).iter().map(|(m, n)| (m.run, m.seq, m.lost, *n)).collect();
    assert_eq!(told, [(1, 0, 0, 30), (1, 1, 0, 20)]);
    for link in ["latest_video.mp4", "live/latest_video.mp4"] {
        assert_eq!(mp4::mark_of(&std::fs::read(root.path().join(link)).unwrap()).unwrap().seq, 1);
    }
    let page = rig.page("live/record");
    assert_eq!(page.condition, Condition::Stopped);
    assert_eq!((page.counters["frames"], page.counters["segments"], page.counters["dropped"]), (50, 2, 0));
    assert!(page.faults.is_empty() && rig.record.heartbeat().count() >= 4);
    assert!(encoder.0.load(Ordering::SeqCst) >= 1);
}

#[test]
fn a_silent_source_leaves_a_finished_file_and_an_idle_recorder() {
    let root = tempfile::tempdir().unwrap();
    let mut rig = Rig::on(root.path());
    rig.send(20);
    until("idle", || rig.page("live/record").condition == Condition::Idle);
    assert_eq!(segments(root.path())[0].1, 20);
    // It comes back: a new run, because nobody knows what was missed.
    rig.sent = 90;
    rig.send(20);
    until("running", || rig.page("live/record").condition == Condition::Running);
    rig.record.stop(Duration::from_secs(2));
    assert_eq!(segments(root.path())[1].0.run, 2);
}

#[test]
fn a_blocked_disk_fills_the_queue_and_the_gap_is_marked_and_reported() {
    let root = tempfile::tempdir().unwrap();
    let (mut rig, disk) = Rig::on_faulty(Container::Mp4, root.path());
    rig.send(20);
    until("the first fragment", || rig.frames() > 0);
    disk.set(Mood::Blocked);
    rig.send(10);
    until("the writer to be stuck", || disk.waiting());
    rig.record.watch(rig.clock.monotonic() + Duration::from_secs(20));
    assert_eq!(rig.page("live/record").condition, Condition::Recovering);
    assert!(rig.has(FaultCode::WriteFailed));
    rig.send(150);
    disk.set(Mood::Well);
    until("the disk's answer", || !rig.has(FaultCode::WriteFailed));
    // The queue takes pictures again when it has drained; each sending begins at a keyframe.
    until("the gap", || {
        rig.send(30);
        rig.has(FaultCode::RecordingGap)
    });
    until("running", || rig.page("live/record").condition == Condition::Running);
    assert!(rig.record.stop(Duration::from_secs(2)));
    let segments = segments(root.path());
    let resumed = segments.iter().find(|(m, _)| m.run == 2).unwrap();
    assert!(resumed.0.seq == 0 && resumed.0.lost >= 30, "{segments:?}");
    let written: usize = segments.iter().map(|(_, n)| n).sum();
    let lost: u64 = segments.iter().map(|(m, _)| m.lost).sum();
    let page = rig.page("live/record");
    // Nothing vanishes in silence; what is missing at the very end has no file after it that could say so.
    assert!(written as u64 + page.counters["dropped"] == u64::from(rig.sent) && lost <= page.counters["dropped"]);
    assert_eq!(written as u64, page.counters["frames"]);
}

#[test]
fn an_absent_disk_is_a_state_and_the_queue_waits_for_it() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("ssd/video");
    let mut rig = Rig::on(&path);
    rig.send(40);
    until("absent", || rig.page("live/record").condition == Condition::Absent);
    assert_eq!(rig.page("storage").faults[0].code, FaultCode::StorageMissing);
    std::fs::create_dir(root.path().join("ssd")).unwrap();
    until("all of it", || rig.frames() >= 30);
    assert!(rig.page("storage").faults.is_empty());
    // The disk is pulled, and comes back.
    std::fs::rename(root.path().join("ssd"), root.path().join("pulled")).unwrap();
    until("pulled", || rig.page("storage").condition == Condition::Absent);
    assert!(!root.path().join("ssd").exists());
    rig.send(60);
    until("absent", || rig.page("live/record").condition == Condition::Absent);
    std::fs::rename(root.path().join("pulled"), root.path().join("ssd")).unwrap();
    rig.send(40);
    until("running", || rig.page("live/record").condition == Condition::Running);
    assert!(rig.record.stop(Duration::from_secs(2)) && rig.storage.stop(Duration::from_secs(2)));
    let all = segments(&path);
    assert!(all.iter().any(|(m, _)| m.run > 1) && all.iter().map(|(_, n)| n).sum::<usize>() > 60, "{all:?}");
}

#[test]
fn a_stop_during_a_blocked_write_does_not_hang_the_daemon() {
    let root = tempfile::tempdir().unwrap();
    let (mut rig, disk) = Rig::on_faulty(Container::Mp4, root.path());
    rig.send(20);
    until("the first fragment", || rig.frames() > 0);
    disk.set(Mood::Blocked);
    rig.send(20);
    until("the writer to be stuck", || disk.waiting());
    assert!(!rig.record.stop(Duration::from_millis(50)));
    disk.set(Mood::Well);
    assert!(rig.record.stop(Duration::from_secs(2)));
    assert_eq!(segments(root.path()).iter().map(|(_, n)| n).sum::<usize>(), 40);
}
