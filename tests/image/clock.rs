//! A clock that is wrong, then right, then set back: nothing recorded is overwritten, lost, deleted or reordered.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::machine::{Machine, Setup, condition, figure, say};
use crate::support::wait::now;

/// Names of the finished segments, as the disk has them.
fn segments(board: &mut Machine) -> BTreeSet<String> {
    let said = board.sh("find /data/video/live/video -name '*.mp4' -printf '%f %i %s\\n'");
    said.lines().map(str::to_owned).collect()
}

fn wait_more(board: &mut Machine, than: usize) {
    let more = format!("test $(find /data/video/live/video -name '*.mp4' | wc -l) -gt {than}");
    board.wait(Duration::from_secs(60), "more segments", &more);
}

#[test]
fn a_clock_that_jumps_costs_no_recording() {
    let folder = crate::folder();
    let options = vec!["-rtc".into(), "base=1970-01-01T00:00:00".into()];
    let mut board = Machine::boot(folder.path(), &Setup { options, ..Setup::default() });
    let (pid, boot) = (board.pid(), board.boot_id());
    let (player, _) = board.watch(15, Duration::from_secs(60));
    let began = now();
    let mut all = BTreeSet::new();
    let real = "2026-11-20 12:00:00";
    for (what, set) in [
        ("in 1970", "date --set '1970-01-01 06:00:00'"),
        ("set right", &format!("date --set '{real}'") as &str),
        ("back an hour", "date --set '1 hour ago'"),
    ] {
        board.sh(set);
        let have = segments(&mut board).len();
        wait_more(&mut board, have + 1);
        let now_there = segments(&mut board);
        assert!(now_there.is_superset(&all), "{what}: {:?} are gone or changed", all.difference(&now_there));
        all = now_there;
        say(&format!("{what}: {} segments", all.len()));
    }
    // Run and number keep the order that names by the clock do not.
    let number = |line: &String| line.rsplit_once("_r").map(|(_, rest)| rest.to_owned()).expect("a run in the name");
    let numbers: BTreeSet<String> = all.iter().map(number).collect();
    assert_eq!(numbers.len(), all.len(), "{all:?}");
    assert_eq!(condition(&board.branch("live/record")), "running");
    assert_eq!((board.pid(), board.restarts(), board.boot_id()), (pid, 0, boot), "no watchdog barked");
    assert_eq!(player.seen().error, None, "the viewer stays connected");
    figure("segments over three jumps", all.len() as f64, "");
    let _ = began;
}
