//! The power goes while the board records: what the disk had not flushed is lost, and nothing else may be.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::machine::{Machine, Setup, condition, counter, faults, figure, say};
use crate::pictures::{self, Witness};
use crate::support::media_file;
use crate::support::wait::{Dice, now};
use crate::write_log::WriteLog;

/// Cuts in one run; each is another moment of the same recording.
const CUTS: usize = 3;
const SEED: u64 = 20_261_120;

/// How long the log of writes was at which time.
type Growth = Vec<(Duration, u64)>;

#[test]
fn a_power_cut_costs_at_most_a_second() {
    let folder = crate::folder();
    let (disk, blank, log) =
        (folder.path().join("data.img"), folder.path().join("blank"), folder.path().join("writes"));
    run(Command::new("mke2fs").args(["-q", "-t", "ext4", "-L", "windhover-data"]).arg(&disk).arg("4G"));
    copy(&disk, &blank);
    let mut board = Machine::boot(folder.path(), &Setup { write_log: Some(log.clone()), ..Setup::default() });
    board.wait_branch(Duration::from_secs(60), "live/record", "running", |b| condition(b) == "running");
    let witness = Witness::of(&board.url());
    let growth = watch(&log, Duration::from_secs(25));
    let seen = witness.seen();
    board.cut_power();

    let writes = WriteLog::open(&log).expect("QEMU wrote it");
    let mut dice = Dice::new(SEED);
    // From when the viewer saw pictures that are to be found again.
    let early = writes.entry_at(growth[growth.len() / 3].1);
    for cut in 0..CUTS {
        let count = early + 1 + usize::try_from(dice.below((writes.len() - early) as u64)).expect("64 bits");
        let grown = growth.iter().find(|(_, length)| *length >= writes.length_at(count));
        let moment = grown.unwrap_or(&growth[growth.len() - 1]).0;
        copy(&blank, &disk);
        let lost = writes.replay(&disk, count, &mut dice).expect("the log can be replayed");
        let looked_at = folder.path().join("looked-at");
        copy(&disk, &looked_at);
        let files = everything_plays(&looked_at, &folder.path().join(format!("cut-{cut}")));
        let kept = files.iter().flat_map(|file| pictures::of_file(file)).filter_map(|p| seen.get(&p)).max();
        let kept = *kept.unwrap_or_else(|| panic!("cut {cut}: nothing that the viewer saw is on the disk: {files:?}"));
        let cost = moment.saturating_sub(kept);
        figure(&format!("power cut after {count} writes, {lost} lost or torn: video lost"), cost.as_secs_f64(), "s");
        assert!(cost < Duration::from_secs(1), "cut {cut}: {cost:?} are lost");
    }
    recovers_at_the_next_boot(folder.path());
}

/// Looks how long the log is, as often as is cheap.
fn watch(log: &Path, time: Duration) -> Growth {
    let (begin, mut growth) = (now(), Growth::new());
    while now() - begin < time {
        growth.push((now(), std::fs::metadata(log).map_or(0, |meta| meta.len())));
        std::thread::sleep(Duration::from_millis(5));
    }
    growth
}

/// The file system is whole, finished segments play, links point at one of them. Answers all recordings on the disk.
fn everything_plays(disk: &Path, to: &Path) -> Vec<PathBuf> {
    run(Command::new("e2fsck").args(["-E", "journal_only", "-p"]).arg(disk));
    run(Command::new("e2fsck").args(["-f", "-n"]).arg(disk));
    std::fs::create_dir(to).expect("the folder is ours");
    run(Command::new("debugfs").arg("-R").arg(format!("rdump /video {}", to.display())).arg(disk));
    let storage = to.join("video");
    let finished = media_file::segments(&storage);
    for file in &finished {
        media_file::decode(file).unwrap_or_else(|e| panic!("{e}"));
    }
    let link = storage.join("latest_video.mp4");
    if link.symlink_metadata().is_ok() {
        let target = link.canonicalize().unwrap_or_else(|e| panic!("latest_video.mp4 leads nowhere: {e}"));
        assert!(
            finished.iter().any(|file| file.canonicalize().is_ok_and(|file| file == target)),
            "{}",
            target.display()
        );
    }
    [finished, media_file::open_segments(&storage)].concat()
}

/// The disk of the last cut, in a board that is switched on again.
fn recovers_at_the_next_boot(folder: &Path) {
    let mut board = Machine::boot(folder, &Setup::default());
    let record = |b: &_| condition(b) == "running" && faults(b).is_empty();
    let branch = board.wait_branch(Duration::from_secs(60), "live/record", "recording without a fault", record);
    say(&format!("recovered after the cut: {branch}"));
    assert!(counter(&branch, "recovered") <= 1, "{branch}");
    let log = board.sh("journalctl --boot --unit windhover --no-pager --output cat");
    assert!(log.contains("were left open: finishing them"), "recovery is not reported:\n{log}");
    assert_eq!(board.sh("find /data/video -path '*quarantine*' -size +64k"), "", "pictures were set aside");
    board.wait(Duration::from_secs(60), "the link to a new segment", "test -s /data/video/latest_video.mp4");
    assert_eq!(board.sh("systemctl --failed --no-legend --plain"), "");
}

/// A copy that takes no more space than the file.
fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("--sparse=always").arg(from).arg(to));
}

fn run(command: &mut Command) {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    // e2fsck -p: 1 says that it mended what a replayed journal leaves to mend.
    assert!(out.status.success(), "{command:?}: {}: {said}", out.status);
}
