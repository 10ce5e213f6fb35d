//! What a soak does to the daemon. One more kind of fault is one more row.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::loop_disk::LoopDisk;
use crate::support::crowd::Crowd;
use crate::support::http::http_get;
use crate::support::process;
use crate::support::rtsp::{Step, Transport};
use crate::support::wait::{Dice, now};

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As in the log and the result.
    pub(crate) name: &'static str,
    /// What it must not share with another at the same time.
    pub(crate) lane: Lane,
    /// How often it comes.
    pub(crate) often: Often,
    /// How long it takes, at most, on an idle machine.
    pub(crate) lasts_s: u64,
    /// The faults that the daemon may report of it; any other is a breach, at any time.
    pub(crate) reports: &'static [&'static str],
    /// Does it, and undoes it. The error says what of it could not be done, or what the daemon did that it must not.
    pub(crate) inject: fn(&Ground, &mut Dice) -> Result<(), String>,
}

/// One fault at a time in each lane but the free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// As many at once as come.
    Free,
    /// The disk, and the process that may hang on it.
    Disk,
    /// The camera.
    Camera,
}

/// How often a fault comes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Often {
    /// Every few seconds one is drawn; this is its share.
    Weight(u64),
    /// At these parts of the run.
    At(&'static [f64]),
}

impl Often {
    pub(super) fn weight(self) -> u64 {
        match self {
            Self::Weight(weight) => weight,
            Self::At(_) => 0,
        }
    }
}

/// What there is to be broken.
pub(crate) struct Ground {
    pub(crate) rtsp: SocketAddr,
    pub(crate) http: SocketAddr,
    /// The daemon's process of the moment.
    pub(crate) pid: AtomicU32,
    /// How often it was killed: as often may it end.
    pub(crate) kills: AtomicU32,
    /// A kill was a moment ago: who finds nobody there has no complaint.
    pub(crate) killing: AtomicBool,
    /// None where this is not root.
    pub(crate) disk: Option<LoopDisk>,
    /// What the file source plays.
    pub(crate) clip: PathBuf,
    /// From when to when the clip was away.
    pub(crate) absences: Mutex<Vec<(Duration, Duration)>>,
}

const NAMES_DISK: &[&str] = &["REC-001", "REC-003", "REC-004", "REC-005", "IMG-001"];

/// All there is. The kills leave the long middle of a run to one process, so that it can be seen to grow.
pub(crate) const KINDS: &[Kind] = &[
    row("viewers", Lane::Free, Often::Weight(5), 8, &[], viewers),
    row("viewers-in-setup", Lane::Free, Often::Weight(4), 2, &[], viewers_in_setup),
    row("viewer-never-reads", Lane::Free, Often::Weight(3), 13, &[], never_reads),
    row("viewer-stopped", Lane::Free, Often::Weight(2), 12, &[], viewer_stopped),
    row("viewer-killed", Lane::Free, Often::Weight(3), 4, &[], viewer_killed),
    row("garbage", Lane::Free, Often::Weight(3), 3, &[], garbage),
    row("half-open", Lane::Free, Often::Weight(2), 12, &[], half_open),
    row("http-flood", Lane::Free, Often::Weight(2), 6, &[], http_flood),
    row("disk-full", Lane::Disk, Often::Weight(2), 14, NAMES_DISK, disk_full),
    row("disk-frozen", Lane::Disk, Often::Weight(2), 16, NAMES_DISK, disk_frozen),
    row("disk-read-only", Lane::Disk, Often::Weight(2), 20, NAMES_DISK, disk_read_only),
    row("disk-gone", Lane::Disk, Often::Weight(2), 20, NAMES_DISK, disk_gone),
    row("camera-gone", Lane::Camera, Often::Weight(2), 9, &["CAM-002", "CAM-003", "CAM-004"], camera_gone),
    row("camera-broken", Lane::Camera, Often::Weight(1), 9, &["CAM-002", "CAM-003", "CAM-004"], camera_broken),
    row("kill", Lane::Disk, Often::At(&[1.0 / 12.0, 2.0 / 12.0, 11.0 / 12.0]), 5, &[], kill),
];

const fn row(
    name: &'static str,
    lane: Lane,
    often: Often,
    lasts_s: u64,
    reports: &'static [&'static str],
    inject: fn(&Ground, &mut Dice) -> Result<(), String>,
) -> Kind {
    Kind { name, lane, often, lasts_s, reports, inject }
}

fn either(dice: &mut Dice) -> Transport {
    if dice.one_in(2) { Transport::Udp } else { Transport::Tcp }
}

/// 5 to 40 join by both transports, watch, and leave, a third without a word.
fn viewers(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    let killing = || ground.killing.load(Ordering::Relaxed);
    let before = killing();
    let mut crowd = Crowd::new(ground.rtsp);
    for number in 0..5 + dice.below(36) {
        let path = if number % 8 == 7 { format!("/live?x={number}") } else { "/live".to_owned() };
        crowd.join(1, &path, either(dice));
        crowd.turn(Duration::ZERO);
    }
    let blind = crowd.everybody_sees(Duration::from_secs(5));
    crowd.watch(Duration::from_millis(dice.below(2000)));
    crowd.leave(3);
    if before || killing() { Ok(()) } else { blind }
}

/// 20 that are gone at any point between connecting and playing.
fn viewers_in_setup(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    let mut crowd = Crowd::new(ground.rtsp);
    for _ in 0..20 {
        crowd.join(1, "/live", either(dice));
    }
    let begun = now();
    while now() - begun < Duration::from_secs(1) {
        crowd.turn(Duration::from_millis(1 + dice.below(3)));
        let at = dice.below(20) as usize;
        if dice.one_in(3) && crowd.viewers[at].step != Step::Connecting {
            crowd.viewers[at].vanish();
        }
    }
    Ok(())
}

/// Three that ask for the stream over TCP and never read a byte of it.
fn never_reads(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    let mut crowd = Crowd::new(ground.rtsp);
    crowd.join(3, "/live", Transport::Tcp);
    crowd.until(Duration::from_secs(2), |viewers| viewers.iter().all(|viewer| viewer.step == Step::Playing));
    std::thread::sleep(Duration::from_millis(6000 + dice.below(5000)));
    Ok(())
}

/// A real player that is stopped, goes on, and is killed.
fn viewer_stopped(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    let player = Player::start(ground, "tcp")?;
    std::thread::sleep(Duration::from_millis(1000 + dice.below(1000)));
    process::signal(player.0.id(), Signal::STOP);
    std::thread::sleep(Duration::from_millis(2000 + dice.below(5000)));
    process::signal(player.0.id(), Signal::CONT);
    std::thread::sleep(Duration::from_millis(dice.below(2000)));
    Ok(())
}

/// A real player that is killed at any moment.
fn viewer_killed(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    let player = Player::start(ground, if dice.one_in(2) { "tcp" } else { "udp" })?;
    std::thread::sleep(Duration::from_millis(dice.below(3000)));
    drop(player);
    Ok(())
}

/// ffmpeg; killed when dropped.
struct Player(Child);

impl Player {
    fn start(ground: &Ground, transport: &str) -> Result<Self, String> {
        let url = format!("rtsp://{}/live", ground.rtsp);
        let child = Command::new("ffmpeg")
            .args(["-v", "quiet", "-rtsp_transport", transport, "-i", &url, "-c", "copy", "-f", "null", "-"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.map(Self).map_err(|e| format!("ffmpeg: {e}"))
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// 20 connections to either port that say something else, some of it nearly right.
fn garbage(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    for _ in 0..20 {
        let server = if dice.one_in(3) { ground.http } else { ground.rtsp };
        let Ok(mut stream) = TcpStream::connect_timeout(&server, Duration::from_secs(1)) else { continue };
        let mut bytes: Vec<u8> = match dice.below(3) {
            0 => Vec::new(),
            1 => format!("DESCRIBE rtsp://{server}/live RTSP/1.0\r\nCSeq: 1\r\n").into_bytes(),
            _ => b"$\0\xff\xff".to_vec(),
        };
        bytes.extend((0..dice.below(3000)).map(|_| dice.below(256) as u8));
        // It may close as early as it likes.
        let _ = stream.write_all(&bytes);
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        let _ = stream.read(&mut [0; 512]);
    }
    Ok(())
}

/// 60 connections that say nothing, or half of a request, and stay.
fn half_open(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    let mut open = Vec::new();
    for _ in 0..60 {
        let server = if dice.one_in(4) { ground.http } else { ground.rtsp };
        let Ok(mut stream) = TcpStream::connect_timeout(&server, Duration::from_secs(1)) else { continue };
        if dice.one_in(2) {
            let _ = stream.write_all(b"OPTIONS * RTS");
        }
        open.push(stream);
    }
    std::thread::sleep(Duration::from_millis(3000 + dice.below(7000)));
    Ok(())
}

/// Four clients that ask as fast as they are answered.
fn http_flood(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    let time = Duration::from_millis(1000 + dice.below(3000));
    let end = now() + time;
    std::thread::scope(|scope| {
        for path in ["/healthz", "/api/v1/health", "/api/v1/streams/live/snapshot.jpg", "/nothing"] {
            scope.spawn(move || {
                while now() < end {
                    // 404 and 503 are answers, and too many connections may be refused.
                    let _ = http_get(ground.http, path);
                }
            });
        }
    });
    Ok(())
}

fn disk(ground: &Ground) -> Result<&LoopDisk, String> {
    ground.disk.as_ref().ok_or("no disk".into())
}

/// Foreign data takes all but 8 MiB, which is less than the daemon records with, and is deleted again.
fn disk_full(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    let foreign = disk(ground)?.fill(8)?;
    std::thread::sleep(Duration::from_millis(6000 + dice.below(6000)));
    std::fs::remove_file(&foreign).map_err(|e| format!("the foreign data cannot be deleted: {e}"))
}

/// Writes do not return.
fn disk_frozen(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    let disk = disk(ground)?;
    disk.freeze()?;
    std::thread::sleep(Duration::from_millis(3000 + dice.below(12_000)));
    disk.thaw();
    Ok(())
}

/// The kernel finds the file system damaged; somebody repairs it.
fn disk_read_only(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    let disk = disk(ground)?;
    disk.fail()?;
    std::thread::sleep(Duration::from_millis(3000 + dice.below(6000)));
    disk.pull_out()?;
    disk.put_in()
}

/// The disk is pulled and put back. Nothing may be written where it was.
fn disk_gone(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    let disk = disk(ground)?;
    disk.pull_out()?;
    std::thread::sleep(Duration::from_millis(3000 + dice.below(6000)));
    let below = std::fs::read_dir(disk.path()).map_err(|e| e.to_string())?.count();
    disk.put_in()?;
    if below == 0 { Ok(()) } else { Err(format!("{below} things lay below the mount point of a disk that was out")) }
}

/// The clip is not there when it is wanted next.
fn camera_gone(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    absent(ground, dice, |_| Ok(()))
}

/// In its place is what is no clip.
fn camera_broken(ground: &Ground, dice: &mut Dice) -> Result<(), String> {
    absent(ground, dice, |clip| std::fs::write(clip, vec![0x47; 100_000]))
}

fn absent(ground: &Ground, dice: &mut Dice, put: fn(&PathBuf) -> std::io::Result<()>) -> Result<(), String> {
    let away = ground.clip.with_extension("away");
    let begun = now();
    std::fs::rename(&ground.clip, &away).and_then(|()| put(&ground.clip)).map_err(|e| e.to_string())?;
    std::thread::sleep(Duration::from_millis(5000 + dice.below(4000)));
    std::fs::rename(&away, &ground.clip).map_err(|e| e.to_string())?;
    // Two seconds to notice that it is back are the daemon's own; beyond them it is late.
    let absence = (begun, now() + Duration::from_secs(2));
    ground.absences.lock().expect("nobody panics while holding it").push(absence);
    Ok(())
}

/// `kill -9`. The soak starts it again.
fn kill(ground: &Ground, _: &mut Dice) -> Result<(), String> {
    ground.killing.store(true, Ordering::Relaxed);
    ground.kills.fetch_add(1, Ordering::Relaxed);
    process::signal(ground.pid.load(Ordering::Relaxed), Signal::KILL);
    std::thread::sleep(Duration::from_secs(4));
    ground.killing.store(false, Ordering::Relaxed);
    Ok(())
}
