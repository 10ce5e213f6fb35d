//! What the disk keeps when the daemon is killed, and what everybody else notices when the disk stands still.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::loop_disk::LoopDisk;
use crate::support::daemon::{Daemon, Setup};
use crate::support::rtsp::Transport;
use crate::support::wait::{Dice, ms, now};
use crate::support::{kills, process};
use crate::table::{Measured, Reach, measured, percentile};

const BLOCKED: Duration = Duration::from_secs(20);

/// 30 kills at random moments.
pub(crate) fn kill(seed: u64) -> Result<Vec<Measured>, String> {
    let setup = Setup { snapshot: false, ..Setup::default() };
    let mut dice = Dice::new(seed);
    let (mut worst, mut finished, mut pictures) = (Duration::ZERO, 0, 0);
    for number in 1..=30 {
        let time = Duration::from_millis(1000 + dice.below(9000));
        let cost = kills::once(&setup, time).map_err(|e| format!("kill {number} after {time:?}: {e}"))?;
        worst = worst.max(cost.lost);
        finished += cost.finished;
        pictures += cost.pictures;
    }
    Ok(vec![
        // The last picture before the kill is up to one frame old, and so is the one before it at the encoder.
        measured("30 x kill -9: most of the open segment lost", ms(worst), "ms", Reach::Most(500.0 + 2.0 * 33.4)),
        measured("30 x kill -9: finished segments, all whole", finished as f64, "", Reach::Seen),
        measured("30 x kill -9: pictures, all there after restart", pictures as f64, "", Reach::Seen),
    ])
}

/// What each container costs at a kill: 10 kills at random moments, counted from the last picture on the disk.
pub(crate) fn formats(seed: u64) -> Result<Vec<Measured>, String> {
    let mut dice = Dice::new(seed);
    let mut found = Vec::new();
    for format in ["mp4", "ts", "mkv"] {
        let setup = Setup { snapshot: false, format, ..Setup::default() };
        let mut lost = Vec::new();
        for number in 1..=10 {
            let time = Duration::from_millis(1500 + dice.below(6000));
            let cost = kills::once(&setup, time).map_err(|e| format!("{format} {number} after {time:?}: {e}"))?;
            lost.push(ms(cost.lost));
        }
        let name = |what: &str| format!("10 x kill -9, {format}: {what} lost");
        found.push(measured(name("median"), percentile(&lost, 50.0), "ms", Reach::Most(500.0)));
        found.push(measured(name("most"), percentile(&lost, 100.0), "ms", Reach::Most(500.0)));
    }
    Ok(found)
}

/// 10 power cuts at random moments: what the file system had not flushed is gone, as after pulling the plug.
pub(crate) fn power_cut(seed: u64) -> Result<Vec<Measured>, String> {
    let mut dice = Dice::new(seed);
    let (mut worst, mut finished, mut pictures) = (Duration::ZERO, 0, 0);
    for number in 1..=10 {
        let time = Duration::from_millis(1000 + dice.below(12_000));
        let disk = LoopDisk::new(256)?;
        let setup = Setup { snapshot: false, storage: Some(disk.path().join("video")), ..Setup::default() };
        let cut = |daemon: &mut Daemon| {
            disk.cut_power()?;
            daemon.kill();
            disk.pull_out()?;
            disk.put_in()
        };
        let cost = kills::once_by(&setup, time, cut).map_err(|e| format!("cut {number} after {time:?}: {e}"))?;
        worst = worst.max(cost.lost);
        finished += cost.finished;
        pictures += cost.pictures;
    }
    Ok(vec![
        measured("10 power cuts: most of the open segment lost", ms(worst), "ms", Reach::Most(1000.0)),
        measured("10 power cuts: finished segments, all whole", finished as f64, "", Reach::Seen),
        measured("10 power cuts: pictures, all there after restart", pictures as f64, "", Reach::Seen),
    ])
}

/// A real client that stops reading, and a disk that stops writing, at the same time.
pub(crate) fn stuck(_: u64) -> Result<Vec<Measured>, String> {
    let disk = LoopDisk::new(256)?;
    let setup = Setup { storage: Some(disk.path().join("video")), ..Setup::default() };
    let daemon = Daemon::start(&setup);
    let mut crowd = daemon.crowd();
    crowd.join(1, "/live", Transport::Tcp);
    crowd.everybody_sees(Duration::from_secs(5))?;
    let client = Stopped::start(&daemon.url())?;
    crowd.watch(Duration::from_secs(3));
    let frames = |daemon: &Daemon| daemon.counter("live/encode", "frames").ok_or("live/encode counts no frames");
    let (begin, camera) = (now(), frames(&daemon)?);
    let healthy = crowd.viewers[0].received.frames;
    process::signal(client.0.id(), Signal::STOP);
    let blocked = disk.freeze();
    crowd.watch(BLOCKED);
    let seconds = (now() - begin).as_secs_f64();
    let camera = (frames(&daemon)? - camera) as f64 / seconds;
    let healthy = (crowd.viewers[0].received.frames - healthy) as f64 / seconds;
    let reported = daemon.condition("live/record").as_deref() == Some("recovering");
    disk.thaw();
    blocked?;
    let mut reported_after = false;
    for _ in 0..10 {
        crowd.watch(Duration::from_millis(500));
        reported_after |= daemon.faults("live/record").iter().any(|code| code == "REC-005");
    }
    let gaps = daemon.counter("live/record", "gaps").unwrap_or(0);
    let lost = crowd.lost() as f64;
    let longest = ms(crowd.viewers[0].received.longest_gap);
    drop(client);
    // The daemon goes before its disk.
    drop(daemon);
    Ok(vec![
        measured("stuck viewer and disk: camera", camera, "1/s", Reach::Least(29.9)),
        measured("stuck viewer and disk: healthy viewer gets", healthy, "1/s", Reach::Least(29.9)),
        measured("stuck viewer and disk: healthy viewer loses", lost, "", Reach::Most(0.0)),
        measured("stuck viewer and disk: longest gap at that viewer", longest, "ms", Reach::Seen),
        measured("stuck viewer and disk: reported while blocked", f64::from(reported), "", Reach::Least(1.0)),
        measured("stuck viewer and disk: REC-005 after it", f64::from(reported_after), "", Reach::Least(1.0)),
        measured("stuck viewer and disk: gaps counted", gaps as f64, "", Reach::Least(1.0)),
    ])
}

/// ffmpeg as a viewer that can be stopped; killed when dropped.
struct Stopped(Child);

impl Stopped {
    fn start(url: &str) -> Result<Self, String> {
        let child = Command::new("ffmpeg")
            .args(["-v", "quiet", "-rtsp_transport", "tcp", "-i", url, "-f", "null", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.map(Self).map_err(|e| format!("ffmpeg: {e}"))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
