//! The disk for recordings: pulled out and put back while the board streams.

use std::time::Duration;

use serde_json::json;

use crate::machine::{Machine, Setup, condition, faults, figure};
use crate::support::wait::{now, wait_for};

#[test]
fn an_ssd_that_is_pulled_and_put_back_disturbs_no_viewer() {
    let folder = crate::folder();
    let mut board = Machine::boot(folder.path(), &Setup::default());
    board.wait_branch(Duration::from_secs(60), "live/record", "running", |b| condition(b) == "running");
    let (pid, (player, _)) = (board.pid(), board.watch(30, Duration::from_secs(60)));

    board.qmp.execute("device_del", json!({"id": "ssd"})).expect("it is there");
    board.qmp.event("DEVICE_DELETED", Duration::from_secs(60)).expect("it is pulled");
    let pulled = now();
    let before = player.seen().pictures;
    board.wait_branch(Duration::from_secs(60), "live/record", "at fault", |b| !faults(b).is_empty());
    figure("disk pulled to the fault", (now() - pulled).as_secs_f64(), "s");
    board.wait(Duration::from_secs(60), "the mount to go", "! findmnt /data");
    assert_eq!(board.sh("find /data -mindepth 1"), "", "something lies under the mount point");
    let flowing = wait_for(Duration::from_secs(30), || (player.seen().pictures > before + 60).then_some(()));
    assert!(flowing.is_some() && player.seen().error.is_none(), "live video stopped: {:?}", player.seen().error);

    board
        .qmp
        .execute("device_add", json!({"driver": "scsi-hd", "id": "ssd", "drive": "disk", "bus": "scsi.0"}))
        .expect("it fits");
    let put_back = now();
    board.wait_branch(Duration::from_secs(60), "live/record", "recording", |b| {
        condition(b) == "running" && faults(b).is_empty()
    });
    figure("disk put back to recording", (now() - put_back).as_secs_f64(), "s");
    board.wait(
        Duration::from_secs(60),
        "a finished segment on the disk that is back",
        "find /data/video/live/video -name '*.mp4' -newermt '15 seconds ago' | grep -q .",
    );
    assert_eq!(player.seen().error, None, "the viewer stays connected");
    assert_eq!((board.pid(), board.restarts()), (pid, 0), "the daemon runs on");
    assert_eq!(board.sh("systemctl --failed --no-legend --plain"), "");
    // What lay on the disk before is there too, and below the mount nothing is.
    board.sh("mkdir -p /run/under && mount --bind / /run/under");
    assert_eq!(board.sh("find /run/under/data -mindepth 1"), "");
}
