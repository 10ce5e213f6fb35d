//! Kills a recording process at random moments. The child is this test binary, run again.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::live::{files, segment, segments};
use super::{film, players};
use crate::base::clock::{Clock, SystemClock};
use crate::base::id::StreamId;
use crate::media::container::Container;
use crate::plan::RecordPlan;
use crate::sink::record::session::{FRAGMENT, Progress, Session};
use crate::storage::Volume;
use crate::storage::layout::{self, Kind};
use crate::storage::recover::recover;

const WHERE: &str = "WINDHOVER_TEST_KILL";
/// Pictures of a fragment, and the one that closes it: what the writer holds of the half second. The rest of it is for the
/// way from the camera to the writer, which takes as long as the machine is busy and is not tested here.
const HOLDS: usize = FRAGMENT.as_millis() as usize * film::FPS as usize / 1000 + 1;

fn open(path: &Path) -> (Arc<Volume>, Vec<(StreamId, Kind, layout::Name)>) {
    Volume::open(path, StreamId::new("live").ok(), Some(SystemClock.wall())).unwrap()
}

/// Does nothing unless it is started by the test below: then it records until it is killed. Without threads: a picture
/// that it has sent has been written, or is held by the writer.
#[test]
fn child() {
    #[allow(clippy::disallowed_methods)]
    let Some(path) = std::env::var_os(WHERE).map(PathBuf::from) else { return };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let film = film::shoot(60, 30, Duration::ZERO);
    let format = path.file_name().and_then(|name| name.to_str());
    let format = Container::ALL.into_iter().find(|container| Some(container.name()) == format).unwrap();
    let plan = RecordPlan { format, segment: Duration::from_secs(1), buffer: Duration::ZERO };
    let mut session = Session::new(StreamId::new("live").unwrap(), open(&path).0, clock.clone(), &plan, 0);
    let (begun, mut progress) = (clock.monotonic(), Progress::default());
    for i in 0u32.. {
        let pts = Duration::from_secs(1) * i / film::FPS;
        let mut unit = (*film[i as usize % film.len()]).clone();
        unit.pts = pts;
        session.unit(&Arc::new(unit), &mut progress).unwrap();
        // The test harness prints on the same line.
        writeln!(std::io::stdout(), "\nsent {} {}", i + 1, progress.durable).unwrap();
        std::thread::sleep((begun + pts).saturating_sub(clock.monotonic()));
    }
}

/// Runs a child for so many pictures, kills it, and says how many it had sent, and called durable.
fn run(path: &Path, pictures: usize) -> (usize, usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sink::record::tests::kill::child", "--nocapture", "--test-threads", "1"])
        .env(WHERE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = lines.map_while(Result::ok).filter_map(|line| {
        let (sent, durable) = line.strip_prefix("sent ")?.split_once(' ')?;
        Some((sent.parse().unwrap(), durable.parse().unwrap()))
    });
    let mut last = said.next().expect("the child records");
    while last.0 < pictures {
        last = said.next().expect("the child records until it is killed");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said between the last line read and its death.
    said.last().unwrap_or(last)
}

/// The files that killed processes left open. One that was killed in the first write of a segment leaves one that is set
/// aside.
fn left_open(root: &Path) -> Vec<PathBuf> {
    let is_open = |file: &PathBuf| file.extension().is_some_and(|e| e == "part");
    files(root).into_iter().filter(|file| is_open(file) && !file.starts_with(root.join("live/quarantine"))).collect()
}

#[test]
fn a_killed_process_loses_what_it_held_and_no_more() {
    // In memory where there is such a place: a killed process leaves the page cache behind, and the time that a busy
    // test machine's disk takes for an fdatasync is not what is tested here.
    let shm = Path::new("/dev/shm");
    let root = tempfile::tempdir_in(if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() }).unwrap();
    for container in Container::ALL {
        kill(&root.path().join(container.name()));
    }
}

fn kill(root: &Path) {
    let mut before = 0;
    for round in 1..=4 {
        let random = SystemClock.monotonic().as_nanos() as usize % 14;
        let (sent, durable) = run(root, 10 + 15 * round + random);
        let open_files = left_open(root);
        assert!(open_files.len() <= 1, "one writer has one open file");
        let played = open_files.first().map(|file| players::ffprobe(file).0);
        let finished: usize = segments(root).iter().map(|(_, n)| n).sum();
        let (volume, left) = open(root);
        let recovered = recover(&volume, left);
        assert_eq!((recovered.aside.len(), recovered.failed.len()), (0, 0), "round {round}");
        let there = segments(root).iter().map(|(_, n)| n).sum::<usize>() - before;
        assert!(
            there >= durable && there + HOLDS >= sent,
            "round {round}: {sent} sent, {durable} durable, {there} there"
        );
        // It played before it was recovered; whether the picture is shown in which a write was torn is up to the player.
        let recovered = there + before - finished;
        assert!(played.is_none_or(|n| n.abs_diff(recovered) <= 1), "{played:?}, then {recovered}");
        before += there;
    }
    assert!(left_open(root).is_empty() && before > 0);
    for file in files(root) {
        let Some((_, pictures)) = segment(&file) else { continue };
        // Only MP4 has a sum over each picture; of the others the last one may be torn.
        let torn = usize::from(file.extension().is_some_and(|e| e != "mp4"));
        assert!(players::ffprobe(&file).0.abs_diff(pictures) <= torn, "{file:?}");
    }
}
