//! The whole daemon for hours, under faults of every kind that can be had without hardware, while real clients watch.
//!
//! What is injected when follows from the seed alone ([`schedule`]); what it is, is a table ([`faults`]); what is held
//! against what, is in [`verdict`].

pub(crate) mod faults;
mod gaps;
pub(crate) mod schedule;
pub(crate) mod verdict;
pub(crate) mod watchers;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use windhover::base::task;

use crate::loop_disk::LoopDisk;
use crate::support::daemon::{Daemon, Setup};
use crate::support::wait::{Dice, now};
use crate::support::{clips, media_file};
use faults::{Ground, KINDS, Kind, Lane};
use schedule::{Planned, Schedule};
use verdict::{Account, Injected, Verdict};
use watchers::Watchers;

/// Enough for half an hour of both streams: retention works, and each segment is looked at before it is deleted.
const DISK_MIB: u64 = 1024;

/// A daemon that goes on dying is not worth two hours.
const DEATHS: usize = 10;

/// What is asked of a soak.
pub(crate) struct Wish {
    pub(crate) minutes: u64,
    pub(crate) seed: u64,
    /// Only these kinds of fault; empty for all.
    pub(crate) only: Vec<String>,
    /// Where the log of events, the daemon's log and the result go.
    pub(crate) folder: PathBuf,
}

/// Runs it. The error says why it could not be run at all.
pub(crate) fn run(wish: &Wish) -> Result<Verdict, String> {
    let unknown = wish.only.iter().find(|name| !KINDS.iter().any(|kind| kind.name == name.as_str()));
    if let Some(name) = unknown {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        return Err(format!("no fault is called {name:?}; there are {}", known.join(", ")));
    }
    std::fs::create_dir_all(&wish.folder).map_err(|e| format!("{}: {e}", wish.folder.display()))?;
    let mut soak = Soak::prepare(wish)?;
    soak.note(format_args!("{} min, seed {}, {} faults", wish.minutes, wish.seed, soak.schedule.planned.len()));
    soak.go()?;
    let account = soak.end();
    Ok(account.verdict())
}

struct Soak {
    folder: PathBuf,
    // Declared before its disk, which it writes to until it is gone.
    daemon: Daemon,
    ground: Arc<Ground>,
    schedule: Schedule,
    watchers: Watchers,
    running: Vec<(Lane, JoinHandle<Option<Injected>>)>,
    sweep: Option<JoinHandle<Option<Sweep>>>,
    account: Account,
    events: File,
    daemon_log: File,
    kills: u32,
    noted: usize,
    _clips: tempfile::TempDir,
}

/// Which recordings were looked at, and what was wrong with them.
#[derive(Default)]
struct Sweep {
    seen: BTreeSet<PathBuf>,
    unplayable: Vec<String>,
}

impl Soak {
    fn prepare(wish: &Wish) -> Result<Self, String> {
        let create = |name: &str| {
            let path = wish.folder.join(name);
            File::create(&path).map_err(|e| format!("{}: {e}", path.display()))
        };
        let (events, daemon_log) = (create("events.log")?, create("daemon.log")?);
        let mut account = Account { seed: wish.seed, ..Account::default() };
        let disk = LoopDisk::new(DISK_MIB).map_err(|e| account.skipped.push(format!("disk faults ({e})"))).ok();
        let wanted = |kind: &&'static Kind| wish.only.is_empty() || wish.only.iter().any(|name| name == kind.name);
        // A kill needs no disk of ours.
        let possible = |kind: &&'static Kind| kind.lane != Lane::Disk || kind.name == "kill" || disk.is_some();
        let kinds: Vec<&'static Kind> = KINDS.iter().filter(wanted).filter(possible).collect();
        let schedule = Schedule::new(&kinds, wish.minutes * 60, wish.seed);
        create("schedule.txt")?.write_all(schedule.text().as_bytes()).map_err(|e| e.to_string())?;
        let clips = tempfile::tempdir().map_err(|e| e.to_string())?;
        let clip = clips::make(clips.path(), "clip.mp4", "640x360", 5);
        let more =
            format!("[[stream]]\nid = \"clip\"\nsource = {{ kind = \"file\", path = {clip:?} }}\nsize = \"640x360\"\n");
        let storage = disk.as_ref().map(|disk| disk.path().join("video"));
        let daemon = Daemon::start(&Setup { storage, more, ..Setup::default() });
        let ground = Arc::new(Ground {
            rtsp: daemon.rtsp(),
            http: daemon.http(),
            pid: AtomicU32::new(daemon.pid()),
            kills: AtomicU32::new(0),
            killing: AtomicBool::new(false),
            disk,
            clip,
            absences: Mutex::default(),
        });
        let watchers = Watchers::start(&ground);
        Ok(Self {
            folder: wish.folder.clone(),
            daemon,
            ground,
            schedule,
            watchers,
            running: Vec::new(),
            sweep: None,
            account,
            events,
            daemon_log,
            kills: 0,
            noted: 0,
            _clips: clips,
        })
    }

    /// The run itself.
    fn go(&mut self) -> Result<(), String> {
        self.everybody_watches()?;
        let begun = now();
        self.account.span = (begun, begun + self.schedule.end());
        self.account.lives.push((begun, Vec::new()));
        let mut coming = self.schedule.planned.clone().into_iter().peekable();
        let mut second = 0;
        while now() < self.account.span.1 {
            std::thread::sleep(Duration::from_millis(50));
            self.collect();
            self.restart_if_ended()?;
            let passed = (now() - begun).as_secs();
            while let Some(planned) =
                coming.next_if(|planned| planned.second <= passed && !self.busy(planned.kind.lane))
            {
                self.inject(planned);
            }
            if passed != second {
                second = passed;
                self.each_second(second);
            }
        }
        Ok(())
    }

    fn everybody_watches(&self) -> Result<(), String> {
        let books = [&self.watchers.player, &self.watchers.udp, &self.watchers.clip];
        let seen = || books.iter().all(|book| book.lock().is_ok_and(|book| book.pictures.len() > 30));
        let all = crate::support::wait::wait_for(Duration::from_secs(30), || seen().then_some(()));
        all.ok_or(format!("not every watcher sees pictures after 30 s; the daemon says:\n{}", self.daemon.log()))
    }

    fn busy(&self, lane: Lane) -> bool {
        lane != Lane::Free && self.running.iter().any(|(other, _)| *other == lane)
    }

    fn inject(&mut self, planned: Planned) {
        self.note(format_args!("{} begins", planned.kind.name));
        let ground = self.ground.clone();
        let thread = task::thread("soak-fault", move || {
            let kind = planned.kind;
            let begun = now();
            let error = (kind.inject)(&ground, &mut Dice::new(planned.seed)).err();
            Injected { name: kind.name, reports: kind.reports, span: (begun, now()), error }
        });
        self.running.push((planned.kind.lane, thread));
    }

    /// Takes the injections that are over.
    fn collect(&mut self) {
        let (over, running) = self.running.drain(..).partition(|(_, thread)| thread.is_finished());
        self.running = running;
        let over: Vec<(Lane, JoinHandle<Option<Injected>>)> = over;
        for (_, thread) in over {
            match thread.join().ok().flatten() {
                Some(injected) => {
                    let time = injected.span.1 - injected.span.0;
                    let outcome = injected.error.as_deref().unwrap_or("as planned").to_owned();
                    self.note(format_args!("{} is over after {time:.1?}: {outcome}", injected.name));
                    self.account.injected.push(injected);
                }
                None => self.account.deaths.push("an injection of the harness panicked".into()),
            }
        }
    }

    fn restart_if_ended(&mut self) -> Result<(), String> {
        let Some(status) = self.daemon.ended() else { return Ok(()) };
        let kills = self.ground.kills.load(Ordering::Relaxed);
        if kills == self.kills {
            let second = (now() - self.account.span.0).as_secs();
            self.account.deaths.push(format!("{status} at {second} s"));
        }
        self.kills = kills;
        self.daemon.restart();
        self.ground.pid.store(self.daemon.pid(), Ordering::Relaxed);
        self.note(format_args!("the daemon ended ({status}) and is started again"));
        self.account.lives.push((now(), Vec::new()));
        if self.account.deaths.len() < DEATHS { Ok(()) } else { Err(self.account.deaths.join("; ")) }
    }

    fn each_second(&mut self, second: u64) {
        let said = self.daemon.take_log();
        // The log is for people; without it the result is the same.
        let _ = self.daemon_log.write_all(said.as_bytes());
        self.note_outages();
        if second.is_multiple_of(60) {
            let pictures = self.watchers.player.lock().map_or(0, |book| book.pictures.len());
            let memory = crate::support::process::usage(self.daemon.pid()).map_or(0, |usage| usage.memory_kib);
            self.note(format_args!("{pictures} pictures so far, {memory} KiB"));
        }
        if self.schedule.ends_calm(second) {
            let usage = crate::support::process::usage(self.daemon.pid());
            if let (Some(usage), Some((_, calms))) = (usage, self.account.lives.last_mut()) {
                calms.push((now(), usage));
                self.note(format_args!("calm: {usage:?}"));
            }
            self.look_at_recordings();
        }
    }

    /// The outages of live video since the last call, so that the log shows them beside what was injected.
    fn note_outages(&mut self) {
        let new = self.watchers.player.lock().map_or_else(|_| Vec::new(), |book| book.pictures[self.noted..].to_vec());
        self.noted += new.len().saturating_sub(1);
        for gap in new.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).filter(|gap| *gap > verdict::OUTAGE) {
            self.note(format_args!("no live picture for {:.2} s", gap.as_secs_f64()));
        }
    }

    /// Begins to look at the recordings that came since the last time, beside everything else.
    fn look_at_recordings(&mut self) {
        let Some(mut swept) = self.take_sweep() else { return };
        let storage = self.daemon.storage().to_owned();
        self.sweep = Some(task::thread("soak-sweep", move || {
            look(&storage, &mut swept);
            swept
        }));
    }

    /// What the last sweep found; none while it is under way.
    fn take_sweep(&mut self) -> Option<Sweep> {
        match self.sweep.take() {
            None => Some(Sweep::default()),
            Some(thread) if thread.is_finished() => thread.join().ok().flatten(),
            under_way => {
                self.sweep = under_way;
                None
            }
        }
    }

    /// Lets the daemon end, looks at what it left, and closes the account.
    fn end(mut self) -> Account {
        while !self.running.is_empty() {
            std::thread::sleep(Duration::from_millis(50));
            self.collect();
        }
        self.watchers.stop();
        let asked = now();
        self.daemon.signal(Signal::TERM);
        let status = self.daemon.wait_exit(Duration::from_secs(10));
        let took = now() - asked;
        self.account.ended_well = status.is_some_and(|status| status.success()) && took < Duration::from_secs(3);
        self.account.end = status.map_or("it does not end".into(), |status| format!("{status} after {took:.1?}"));
        self.each_second(1);
        let thread = self.sweep.take();
        let mut swept = thread.and_then(|thread| thread.join().ok().flatten()).unwrap_or_default();
        look(self.daemon.storage(), &mut swept);
        for path in media_file::open_segments(self.daemon.storage()) {
            swept.unplayable.push(format!("{} was left open", path.display()));
        }
        self.account.segments = swept.seen.len() as u64;
        self.account.unplayable = swept.unplayable;
        let take = |book: &Mutex<watchers::Book>| book.lock().expect("nobody panics while holding it").clone();
        self.account.player = take(&self.watchers.player);
        self.account.udp = take(&self.watchers.udp);
        self.account.clip = take(&self.watchers.clip);
        self.account.report = self.watchers.report.lock().expect("nobody panics while holding it").clone();
        self.account.absences = self.ground.absences.lock().expect("nobody panics while holding it").clone();
        let folder = self.folder.display().to_string();
        self.note(format_args!("over; results in {folder}"));
        std::mem::take(&mut self.account)
    }

    /// One line for people, on the screen and in the log of events.
    fn note(&mut self, what: impl Display) {
        let begun = self.account.span.0;
        let second = if begun.is_zero() { 0.0 } else { (now() - begun).as_secs_f64() };
        let line = format!("{second:8.1} s  {what}");
        eprintln!("{line}");
        let _ = writeln!(self.events, "{line}");
    }
}

/// Decodes every finished recording that was not seen before. One that is gone meanwhile was deleted by retention, or its
/// disk was pulled: it is looked at again if it comes back, and one that came back already a second time.
fn look(storage: &Path, swept: &mut Sweep) {
    for path in media_file::segments(storage) {
        if swept.seen.contains(&path) {
            continue;
        }
        let Err(_) = media_file::decode(&path) else {
            swept.seen.insert(path);
            continue;
        };
        if path.exists()
            && let Err(e) = media_file::decode(&path)
            && path.exists()
        {
            swept.unplayable.push(format!("{}: {e}", path.display()));
            swept.seen.insert(path);
        }
    }
}
