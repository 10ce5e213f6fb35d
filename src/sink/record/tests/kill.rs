//! Kills a recording process at random moments. The child is this test binary, run again.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::live::{Rig, files};
use super::{film, until};
use crate::base::clock::{Clock, SystemClock};
use crate::base::health::Condition;
use crate::storage::mp4;

const WHERE: &str = "WINDHOVER_TEST_KILL";
/// Half a second.
const MAY_LOSE: usize = film::FPS as usize / 2;

/// Does nothing unless it is started by the test below: then it records until it is killed.
#[test]
fn child() {
    #[allow(clippy::disallowed_methods)]
    let Some(path) = std::env::var_os(WHERE).map(PathBuf::from) else { return };
    let mut rig = Rig::on(&path);
    let begun = rig.clock.monotonic();
    for i in 1.. {
        rig.send(1);
        // The test harness prints on the same line.
        writeln!(std::io::stdout(), "\nsent {i}").unwrap();
        let next = begun + Duration::from_secs(1) * i / film::FPS;
        std::thread::sleep(next.saturating_sub(rig.clock.monotonic()));
    }
}

/// Runs a child for `time`, kills it, and says how many pictures it had published.
fn run(path: &Path, time: Duration) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sink::record::tests::kill::child", "--nocapture", "--test-threads", "1"])
        .env(WHERE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut sent = 0;
    let mut end = None;
    for line in lines.by_ref() {
        let line = line.unwrap();
        let Some(number) = line.strip_prefix("sent ") else { continue };
        sent = number.parse().unwrap();
        let now = SystemClock.monotonic();
        if now >= *end.get_or_insert(now + time) {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said between the last line read and its death.
    let rest = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("sent ")?.parse().ok()).last();
    rest.unwrap_or(sent)
}

/// Pictures in every file of the newest run, finished or not, as they were left by the killed process.
fn left(path: &Path) -> (usize, usize) {
    let (mut finished, mut open) = (Vec::new(), Vec::new());
    for file in files(path) {
        let data = std::fs::read(&file).unwrap();
        match file.extension().unwrap().to_str().unwrap() {
            "mp4" => finished.push((mp4::mark_of(&data).unwrap(), mp4::plain::samples(&data).unwrap().len())),
            "part" => open.push((mp4::mark_of(&data).unwrap(), super::players::ffprobe(&file).0)),
            _ => {}
        }
    }
    let run = finished.iter().chain(&open).map(|(m, _)| m.run).max().unwrap_or(0);
    let sum = |all: &[(mp4::Mark, usize)]| all.iter().filter(|(m, _)| m.run == run).map(|(_, n)| n).sum();
    (sum(&finished), sum(&open))
}

#[test]
fn a_killed_process_loses_half_a_second_at_most() {
    // In memory where there is such a place: a killed process leaves the page cache behind, and the time that a busy
    // test machine's disk takes for an fdatasync is not what is tested here.
    let shm = Path::new("/dev/shm");
    let root = tempfile::tempdir_in(if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() }).unwrap();
    let mut total = 0;
    for round in 0..6u64 {
        let random = SystemClock.monotonic().as_nanos() as u64 % 900;
        let sent = run(root.path(), Duration::from_millis(600 + 300 * round + random / 2));
        let (finished, open) = left(root.path());
        assert!(finished + open + MAY_LOSE >= sent, "round {round}: {sent} sent, {finished} + {open} there");
        total += finished + open;
    }
    // The next start finishes what was left open.
    let rig = Rig::on(root.path());
    until("recovery", || rig.page("storage").condition == Condition::Running);
    until("no open files", || !files(root.path()).iter().any(|f| f.extension().is_some_and(|e| e == "part")));
    assert!(rig.page("storage").faults.is_empty());
    let segments = super::live::segments(root.path());
    assert_eq!(segments.iter().map(|(_, n)| n).sum::<usize>(), total);
    let runs: Vec<_> = segments.iter().map(|(m, _)| m.run).collect();
    assert!(runs.is_sorted() && *runs.last().unwrap() == 6, "{runs:?}");
    for file in files(root.path()).iter().filter(|f| f.extension().is_some_and(|e| e == "mp4")) {
        let want = mp4::plain::samples(&std::fs::read(file).unwrap()).unwrap().len();
        assert_eq!(super::players::ffprobe(file).0, want, "{file:?}");
    }
}
