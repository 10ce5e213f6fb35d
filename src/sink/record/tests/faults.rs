//! Every fault of a disk at every step of a recording: what is told of it, and that live video and what was finished stay
//! as they were.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::faulty::{FaultyDisk, Mood, Step};
use super::live::{Rig, files, segments};
use super::until;
use crate::base::fault::FaultCode;
use crate::base::health::Condition;
use crate::base::id::StreamId;
use crate::hub::{Policy, Reader, Received};
use crate::media::container::Container;
use crate::storage::Volume;
use crate::storage::layout::{self, Completeness, Kind, Name};
use crate::storage::recover::recover;

/// What systems say, and the code of it.
const SAID: [(i32, FaultCode); 7] = [
    (libc::EIO, FaultCode::WriteFailed),
    (libc::ENOSPC, FaultCode::StorageFull),
    (libc::EROFS, FaultCode::StorageMissing),
    (libc::EDQUOT, FaultCode::StorageFull),
    (libc::EMFILE, FaultCode::WriteFailed),
    (libc::ENODEV, FaultCode::StorageMissing),
    (libc::ETIMEDOUT, FaultCode::WriteFailed),
];

/// Somebody who watches meanwhile.
struct Viewer(Reader, u64);

impl Viewer {
    fn of(rig: &Rig) -> Self {
        let policy = Policy::Live { depth: Duration::from_secs(100) };
        Self(rig.hub.subscribe(policy, false), 0)
    }

    /// Everything that was sent has arrived, and nothing was dropped.
    fn sees(&mut self, rig: &Rig) {
        while let Received::Unit(_) = self.0.recv(Duration::ZERO) {
            self.1 += 1;
        }
        assert_eq!((self.1, self.0.dropped()), (rig.hub.units(), 0), "live video noticed");
    }
}

fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let finished = files(root).into_iter().filter(|path| path.extension().is_some_and(|e| e != "part"));
    finished.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// One fault in the life of a recording. `code` is `None` where it must not be noticed.
fn suffer(container: Container, mood: Mood, code: Option<FaultCode>) {
    let case = format!("{container} {mood:?}");
    let root = tempfile::tempdir().unwrap();
    let (mut rig, disk) = Rig::on_faulty(container, root.path());
    let mut viewer = Viewer::of(&rig);
    rig.send(40);
    until(&format!("{case}: a finished segment"), || segments(root.path()).len() == 1);
    let before = contents(root.path());
    disk.set(mood);
    // Over the end of a segment and the beginning of the next, so that each step is taken.
    let fault = |rig: &Rig| code.is_none_or(|code| rig.has(code));
    until(&format!("{case}: the fault"), || {
        if rig.hub.units() < 100 {
            rig.send(10);
        }
        fault(&rig) && rig.hub.units() >= 100
    });
    if let Some(code) = code {
        let page = rig.page("live/record");
        let absent = code == FaultCode::StorageMissing;
        assert_eq!(page.condition, if absent { Condition::Absent } else { Condition::Recovering }, "{case}");
        let told: Vec<_> = page.faults.iter().map(|fault| fault.code).collect();
        assert_eq!(told, [code], "{case}: one cause, one fault");
    }
    if code.is_none() {
        assert!(rig.page("live/record").faults.is_empty(), "{case}");
    }
    viewer.sees(&rig);
    disk.set(Mood::Well);
    let durable = rig.frames();
    until(&format!("{case}: the recording to resume"), || {
        rig.send(1);
        rig.frames() > durable + 30 && rig.page("live/record").condition == Condition::Running
    });
    viewer.sees(&rig);
    assert!(rig.record.stop(Duration::from_secs(20)), "{case}");
    for (path, content) in &before {
        assert_eq!(std::fs::read(path).ok().as_ref(), Some(content), "{case}: {path:?} was finished");
    }
    let (frames, dropped) = (rig.frames(), rig.page("live/record").counters["dropped"]);
    // Nothing vanishes in silence: what is not in a file is counted. What was called durable is in a file, if need be
    // after the keeper has finished that.
    let volume = volume(&disk);
    let left = files(root.path()).into_iter().filter_map(|path| open_name(&path)).collect();
    let recovered = recover(&volume, left);
    assert_eq!((recovered.aside.len(), recovered.failed.len()), (0, 0), "{case}");
    let written: u64 = segments(root.path()).iter().map(|(_, pictures)| *pictures as u64).sum();
    assert!(written >= frames && written + dropped >= rig.hub.units(), "{case}: {written}, {frames}, {dropped}");
}

fn volume(disk: &FaultyDisk) -> Arc<Volume> {
    Volume::for_test(Arc::new(disk.clone()), None)
}

/// The name of a segment that was left open.
fn open_name(path: &Path) -> Option<(StreamId, Kind, Name)> {
    let live = StreamId::new("live").unwrap();
    let day = path.parent()?.file_name()?.to_str()?;
    let (name, completeness) = layout::parse(&live, Kind::Video, day, path.file_name()?.to_str()?)?;
    (completeness == Completeness::Open).then_some((live, Kind::Video, name))
}

#[test]
fn each_error_has_its_code_and_live_video_does_not_notice() {
    for (errno, code) in SAID {
        suffer(Container::Mp4, Mood::Fails(errno), Some(code));
    }
}

#[test]
fn an_error_at_any_step_costs_no_finished_segment() {
    for step in Step::ALL {
        for (errno, code) in [SAID[0], SAID[1]] {
            // A file system without links records all the same.
            suffer(Container::Mp4, Mood::FailsAt(step, errno), (step != Step::Link).then_some(code));
        }
    }
    for step in [Step::Write, Step::Sync, Step::Rename] {
        suffer(Container::Ts, Mood::FailsAt(step, libc::EIO), Some(FaultCode::WriteFailed));
        suffer(Container::Mkv, Mood::FailsAt(step, libc::ENOSPC), Some(FaultCode::StorageFull));
    }
}

#[test]
fn a_write_that_stops_in_the_middle_is_cut_off() {
    for container in Container::ALL {
        suffer(container, Mood::Short(libc::ENOSPC), Some(FaultCode::StorageFull));
        suffer(container, Mood::Short(libc::EIO), Some(FaultCode::WriteFailed));
    }
}

#[test]
fn a_disk_of_200_ms_a_step_delays_nobody_else() {
    for container in Container::ALL {
        let root = tempfile::tempdir().unwrap();
        let (mut rig, disk) = Rig::on_faulty(container, root.path());
        let mut viewer = Viewer::of(&rig);
        disk.set(Mood::Slow(Duration::from_millis(200)));
        rig.send(35);
        until("a fragment", || rig.frames() > 0);
        viewer.sees(&rig);
        disk.set(Mood::Well);
        until("all of it", || rig.frames() >= 30);
        assert!(rig.record.stop(Duration::from_secs(20)));
        let page = rig.page("live/record");
        assert!(page.faults.is_empty() && page.counters["fdatasync_ms"] < 60_000, "{page:?}");
        assert_eq!(segments(root.path()).iter().map(|(_, n)| n).sum::<usize>(), 35, "{container}");
    }
}

#[test]
fn a_recorder_with_a_bug_begins_anew() {
    let root = tempfile::tempdir().unwrap();
    let (mut rig, disk) = Rig::on_faulty(Container::Mp4, root.path());
    let mut viewer = Viewer::of(&rig);
    rig.send(40);
    until("a finished segment", || segments(root.path()).len() == 1);
    disk.set(Mood::Bug);
    rig.send(30);
    until("the fault", || rig.has(FaultCode::TaskFailed));
    viewer.sees(&rig);
    disk.set(Mood::Well);
    until("the recording to resume", || {
        rig.send(1);
        rig.page("live/record").condition == Condition::Running && !rig.has(FaultCode::TaskFailed)
    });
    assert!(rig.record.stop(Duration::from_secs(20)));
    assert!(segments(root.path()).iter().any(|(mark, _)| mark.run > 1));
}
