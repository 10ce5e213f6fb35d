//! The disk is given up on order, in the middle of a recording.

use std::time::Duration;

use super::live::{Rig, files, segments};
use super::until;
use crate::base::health::Condition;

#[test]
fn a_recording_ends_whole_when_its_disk_is_given_up_and_goes_on_after() {
    let root = tempfile::tempdir().unwrap();
    let mut rig = Rig::on(root.path());
    rig.send(40);
    until("all of it on the disk", || rig.frames() == 40);
    assert!(rig.storage.release(Duration::from_secs(10)));
    let told: Vec<_> = segments(root.path()).iter().map(|(m, n)| (m.run, m.seq, m.lost, *n)).collect();
    assert_eq!(told, [(1, 0, 0, 30), (1, 1, 0, 10)], "the open one is finished, too");
    assert!(files(root.path()).iter().all(|path| path.extension().is_none_or(|e| e != "part")));
    until("absent", || rig.page("live/record").condition == Condition::Absent);
    assert!(rig.page("live/record").faults.is_empty() && rig.page("storage").faults.is_empty());
    rig.storage.resume();
    until("the storage again", || rig.page("storage").condition == Condition::Running);
    // From the next keyframe, the 61st picture, on.
    rig.send(50);
    until("recording", || rig.frames() > 40 && rig.page("live/record").condition == Condition::Running);
}
