//! Why the board started the last time, kept over boots: a watchdog that bit in the air is found out on the ground.
//!
//! Three witnesses, the surest first: the hardware (see [`crate::board::reset`]), a note that a program left before it
//! rebooted the board on purpose (`reboot-reason` in the state directory), and whether the daemon was ended in order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::fault::FaultCode;
use crate::base::file;
use crate::base::health::{Condition, Health, Reporter};
use crate::base::shutdown::Shutdown;
use crate::base::task;
use crate::board::reset::{self, Reset, Told};

/// What is kept, in the state directory.
const NAME: &str = "resets.toml";
/// What whoever reboots the board on purpose leaves there (`systemd/libexec`): one line.
const REASON: &str = "reboot-reason";
const LARGEST: u64 = 16 << 10;
/// A watchdog whose driver is a module may come after the daemon: it is looked for during the first minute.
const LOOKS: u32 = 12;
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same for every process until the next boot (random(4)).
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";

/// Why the board started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Nothing is known of what was before: the first start with this state directory.
    Unknown,
    /// It was restarted or switched off, and the daemon ended before.
    Ordered,
    /// The hardware watchdog reset it: the kernel or PID 1 hung.
    Watchdog,
    /// It was too hot.
    Heat,
    /// It restarted by itself and nobody ended the daemon: the kernel crashed.
    Crash,
    /// The power went, or what reset it left no trace.
    PowerCut,
}

impl Cause {
    const ALL: [Cause; 6] =
        [Cause::Unknown, Cause::Ordered, Cause::Watchdog, Cause::Heat, Cause::Crash, Cause::PowerCut];

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Cause::Unknown => "not known",
            Cause::Ordered => "restarted or switched off in order",
            Cause::Watchdog => "watchdog",
            Cause::Heat => "too hot",
            Cause::Crash => "crash of the kernel",
            Cause::PowerCut => "power cut",
        }
    }

    /// The counter of the page `board`, and the key in the file.
    const fn counter(self) -> &'static str {
        match self {
            Cause::Unknown => "boots_unknown",
            Cause::Ordered => "boots_ordered",
            Cause::Watchdog => "boots_watchdog",
            Cause::Heat => "boots_heat",
            Cause::Crash => "boots_crash",
            Cause::PowerCut => "boots_power_cut",
        }
    }

    /// Nobody wanted it, and it was not the battery.
    const fn is_fault(self) -> bool {
        matches!(self, Cause::Watchdog | Cause::Heat | Cause::Crash)
    }
}

/// What is kept over boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// The boot that was counted last.
    boot: String,
    /// Why it began.
    cause: Cause,
    /// Who says so.
    #[serde(default)]
    detail: String,
    /// The daemon was ended in order in that boot, and has not begun again.
    #[serde(default)]
    ended: bool,
    /// Boots by their cause.
    #[serde(default)]
    count: BTreeMap<String, u64>,
}

/// What is looked at.
pub struct Setup {
    /// The state directory.
    pub state: PathBuf,
    /// Where the machine's /sys and /proc are: `/`, or a tree of a test.
    pub machine: PathBuf,
    /// Files in which the board says why it was reset, by its profile.
    pub reasons: Vec<PathBuf>,
    /// The book in which it has the page `board`.
    pub health: Health,
    /// Ends it.
    pub shutdown: Shutdown,
}

/// Takes note of the end.
#[derive(Clone)]
pub struct Handle {
    file: PathBuf,
    record: Arc<Mutex<Option<Record>>>,
}

/// Finds out why the board started, on a thread of its own (a state partition may hang), and writes it on the page `board`.
pub fn start(setup: Setup) -> Handle {
    let handle = Handle { file: setup.state.join(NAME), record: Arc::default() };
    let (ours, page) = (handle.clone(), setup.health.reporter("board"));
    task::thread("resets", move || {
        let kept = Kept::take(&setup);
        for _ in 0..LOOKS {
            let new = kept.as_ref().map(|kept| kept.next(&setup));
            tell(&page, &setup.machine, new.as_ref());
            ours.keep(new, &setup.shutdown);
            let known = !reset::watchdogs(&setup.machine).is_empty();
            if known || setup.shutdown.wait(LOOK_EVERY) {
                return;
            }
        }
    });
    handle
}

impl Handle {
    /// Writes down what was found, unless the end was written down already.
    fn keep(&self, new: Option<Record>, shutdown: &Shutdown) {
        let mut record = self.record.lock().expect("nothing panics while it holds this lock");
        if new.is_some() && *record != new && shutdown.asked().is_none() {
            new.iter().for_each(|new| save(&self.file, new));
            *record = new;
        }
    }

    /// The daemon ends in order: what resets the board from now on costs nothing. Blocks as long as the disk does.
    pub fn ended(&self) {
        let mut record = self.record.lock().expect("nothing panics while it holds this lock");
        if let Some(record) = record.as_mut() {
            record.ended = true;
            save(&self.file, record);
        }
    }
}

/// What was there when the daemon started.
struct Kept {
    boot: String,
    before: Option<Record>,
    reason: Option<String>,
}

impl Kept {
    /// None where the kernel does not say which boot this is.
    fn take(setup: &Setup) -> Option<Self> {
        let boot = file::read(&setup.machine.join(BOOT_ID), 64).ok().and_then(|id| String::from_utf8(id).ok())?;
        let (before, reason) = (read(&setup.state.join(NAME)), take_reason(&setup.state));
        Some(Self { boot: boot.trim().to_owned(), before, reason })
    }

    /// The record of this boot, by what the hardware says now.
    fn next(&self, setup: &Setup) -> Record {
        let told = reset::told(&setup.machine, &setup.reasons);
        next(self.before.clone(), &self.boot, &told, self.reason.as_deref())
    }
}

/// Pure: what is to be kept now, from what was kept, and from what the witnesses say.
fn next(before: Option<Record>, boot: &str, told: &[Told], reason: Option<&str>) -> Record {
    if let Some(same) = before.as_ref().filter(|before| before.boot == boot) {
        return Record { ended: false, ..same.clone() };
    }
    let by = |reset: Reset| told.iter().find(|told| told.reset == reset).map(|told| told.words.clone());
    let ended = before.as_ref().map(|before| before.ended);
    let (cause, detail) = match (by(Reset::Watchdog), by(Reset::Heat), reason, ended) {
        (Some(words), ..) => (Cause::Watchdog, words),
        (None, Some(words), ..) => (Cause::Heat, words),
        (None, None, Some(reason), _) => (Cause::Ordered, reason.to_owned()),
        (None, None, None, Some(true)) => (Cause::Ordered, String::new()),
        (None, None, None, None) => (Cause::Unknown, "the first start that is on record".into()),
        (None, None, None, Some(false)) => match by(Reset::Software) {
            Some(words) => (Cause::Crash, words),
            None => (Cause::PowerCut, by(Reset::Power).unwrap_or_else(|| "or a reset that left no trace".into())),
        },
    };
    let mut count = before.map(|before| before.count).unwrap_or_default();
    // A damaged file must not make the sum jump over.
    let of_cause = count.entry(cause.counter().to_owned()).or_default();
    *of_cause = of_cause.saturating_add(1);
    Record { boot: boot.to_owned(), cause, detail, ended: false, count }
}

fn tell(page: &Reporter, machine: &Path, record: Option<&Record>) {
    let mut detail = String::new();
    if let Some(record) = record {
        for cause in Cause::ALL {
            page.gauge(cause.counter(), record.count.get(cause.counter()).copied().unwrap_or(0));
        }
        let why = if record.detail.is_empty() { String::new() } else { format!(" ({})", record.detail) };
        let _ = write!(detail, "last reset: {}{why}; ", record.cause.words());
        if record.cause.is_fault() {
            page.raise(FaultCode::BoardReset, format!("{}{why}", record.cause.words()));
        } else {
            page.clear(FaultCode::BoardReset);
        }
    }
    let watchdogs: Vec<String> = reset::watchdogs(machine).iter().map(ToString::to_string).collect();
    let watchdogs = if watchdogs.is_empty() { "none".to_owned() } else { watchdogs.join("; ") };
    let _ = write!(detail, "watchdog: {watchdogs}");
    page.set(Condition::Running, detail);
}

/// What is kept. A file that is missing, damaged or of another kind is none.
fn read(path: &Path) -> Option<Record> {
    match file::read(path, LARGEST) {
        Ok(bytes) => {
            let text = String::from_utf8(bytes).ok();
            let record = text.and_then(|text| toml::from_str(&text).ok());
            if record.is_none() {
                tracing::warn!("{} is damaged: the resets are counted anew", path.display());
            }
            record
        }
        Err(e) => {
            if e.kind() != io::ErrorKind::NotFound {
                tracing::warn!("{} cannot be read: {e}", path.display());
            }
            None
        }
    }
}

fn save(path: &Path, record: &Record) {
    let text = toml::to_string(record).expect("a record is a plain table");
    if let Err(e) = file::replace(path, text.as_bytes()) {
        tracing::warn!("{} cannot be written: the next start will not know of this one: {e}", path.display());
    }
}

/// The note of whoever rebooted the board on purpose; it counts once.
fn take_reason(state: &Path) -> Option<String> {
    let path = state.join(REASON);
    let text = String::from_utf8_lossy(&file::read(&path, LARGEST).ok()?).into_owned();
    if let Err(e) = std::fs::remove_file(&path) {
        tracing::warn!("{} cannot be removed: {e}", path.display());
    }
    let line: String = text.lines().next()?.chars().filter(|c| !c.is_control()).take(200).collect();
    (!line.trim().is_empty()).then(|| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SimClock;

    fn told(reset: Reset) -> Told {
        Told { reset, words: format!("{reset:?} says the hardware") }
    }

    #[test]
    fn the_surest_witness_counts() {
        use Reset::{Heat, Power, Software, Watchdog};
        let before = |ended| Some(Record { ended, ..next(None, "a", &[], None) });
        /// Kept, hardware, note, cause.
        type Row<'a> = (Option<Record>, &'a [Reset], Option<&'a str>, Cause);
        let table: [Row<'_>; 11] = [
            (None, &[], None, Cause::Unknown),
            (None, &[Watchdog], None, Cause::Watchdog),
            (before(false), &[Power, Watchdog], Some("an update"), Cause::Watchdog),
            (before(true), &[Watchdog], None, Cause::Watchdog),
            (before(false), &[Heat], None, Cause::Heat),
            (before(false), &[Software], Some("five crashes"), Cause::Ordered),
            (before(true), &[Software], None, Cause::Ordered),
            (before(true), &[], None, Cause::Ordered),
            (before(false), &[Software], None, Cause::Crash),
            (before(false), &[Power], None, Cause::PowerCut),
            (before(false), &[], None, Cause::PowerCut),
        ];
        for (kept, hardware, note, cause) in table {
            let hardware: Vec<_> = hardware.iter().map(|reset| told(*reset)).collect();
            let record = next(kept.clone(), "b", &hardware, note);
            assert_eq!((record.cause, record.ended), (cause, false), "{kept:?} {hardware:?} {note:?}");
        }
    }

    #[test]
    fn a_boot_is_counted_once_however_often_the_daemon_starts() {
        let first = next(None, "a", &[told(Reset::Watchdog)], None);
        let again = next(Some(Record { ended: true, ..first.clone() }), "a", &[], None);
        assert_eq!(again, first, "the same boot, whatever is said later");
        let second = next(Some(again), "b", &[told(Reset::Watchdog)], None);
        assert_eq!(second.count["boots_watchdog"], 2);
        let full = Record { count: [("boots_watchdog".to_owned(), u64::MAX)].into(), ..second };
        assert_eq!(next(Some(full), "c", &[told(Reset::Watchdog)], None).count["boots_watchdog"], u64::MAX);
    }

    /// One boot: the daemon starts, and its page says this; then it ends in order, or not.
    fn boot(state: &Path, machine: &Path, id: &str, ends: bool) -> (String, Vec<FaultCode>) {
        let path = machine.join(BOOT_ID);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{id}\n")).unwrap();
        let health = Health::new(Arc::new(SimClock::at(Duration::ZERO)));
        let (health, shutdown) = (health.clone(), Shutdown::new());
        let setup = Setup { state: state.into(), machine: machine.into(), reasons: vec![], health, shutdown };
        let record = Kept::take(&setup).map(|kept| kept.next(&setup));
        tell(&setup.health.reporter("board"), machine, record.as_ref());
        let handle = Handle { file: state.join(NAME), record: Arc::default() };
        handle.keep(record, &setup.shutdown);
        if ends {
            handle.ended();
        }
        let page = setup.health.report().remove(0);
        (page.detail, page.faults.iter().map(|fault| fault.code).collect())
    }

    #[test]
    fn what_is_found_late_counts_once_and_never_after_the_end() {
        let state = tempfile::tempdir().unwrap();
        let shutdown = Shutdown::new();
        let handle = Handle { file: state.path().join(NAME), record: Arc::default() };
        let at_first = next(None, "a", &[], None);
        handle.keep(Some(at_first), &shutdown);
        // The watchdog's module came later.
        let later = next(None, "a", &[told(Reset::Watchdog)], None);
        handle.keep(Some(later.clone()), &shutdown);
        assert_eq!(read(&handle.file), Some(later.clone()));
        assert_eq!((later.cause, later.count.values().sum::<u64>()), (Cause::Watchdog, 1));
        shutdown.trigger(crate::base::shutdown::Stop::Graceful);
        handle.ended();
        handle.keep(Some(later), &shutdown);
        assert!(read(&handle.file).unwrap().ended);
    }

    #[test]
    fn what_is_kept_is_told_at_the_next_boot() {
        let (state, machine) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = |id: &str, ends: bool| boot(state.path(), machine.path(), id, ends);
        assert_eq!(run("1", true).0, "last reset: not known (the first start that is on record); watchdog: none");
        assert_eq!(run("2", false), ("last reset: restarted or switched off in order; watchdog: none".into(), vec![]));
        assert_eq!(run("3", true).0, "last reset: power cut (or a reset that left no trace); watchdog: none");
        std::fs::write(state.path().join(REASON), "\u{1b}the update brings no video\nmore").unwrap();
        let told = "last reset: restarted or switched off in order (the update brings no video); watchdog: none";
        assert_eq!(run("4", true).0, told);
        assert!(!state.path().join(REASON).exists(), "it counts once");
        let watchdog = machine.path().join("sys/class/watchdog/watchdog0");
        std::fs::create_dir_all(&watchdog).unwrap();
        for (name, text) in
            [("identity", "i6300ESB timer"), ("bootstatus", "32"), ("timeout", "15"), ("state", "active")]
        {
            std::fs::write(watchdog.join(name), text).unwrap();
        }
        let told = "last reset: watchdog (bootstatus 0x20 of i6300ESB timer); watchdog: i6300ESB timer, 15 s";
        for _ in 0..2 {
            assert_eq!(run("5", true), (told.into(), vec![FaultCode::BoardReset]));
        }
        let counts = read(&state.path().join(NAME)).unwrap().count;
        let counts: Vec<_> = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let want = [("boots_ordered", 2), ("boots_power_cut", 1), ("boots_unknown", 1), ("boots_watchdog", 1)];
        assert_eq!(counts, want);
        for damaged in ["boot = 3", "\u{fffd}", "[count]\nboots_heat = -1"] {
            std::fs::write(state.path().join(NAME), damaged).unwrap();
            assert!(run("6", true).0.starts_with("last reset: watchdog"), "{damaged}");
        }
    }
}
