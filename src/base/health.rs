//! What every branch says of itself, in one book that anyone may read without waiting for a branch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;

use super::clock::Clock;
use super::fault::FaultCode;

/// What a branch is doing. "Running" is never said while nothing flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Not yet doing its work.
    Starting,
    /// Doing its work.
    Running,
    /// Has nothing to do, by configuration or because nobody asks.
    Idle,
    /// What it needs is not there (a camera unplugged, a disk pulled): a known state, tried again.
    Absent,
    /// Open and delivering nothing: live video stands still. It may go on by itself; else it is opened again.
    Frozen,
    /// Failed, and waiting for the next attempt.
    Recovering,
    /// Ended, because the daemon ends.
    Stopped,
}

/// A fault that is present now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultReport {
    /// The code to look up in `src/docs/faults.md`.
    pub code: FaultCode,
    /// What the code means.
    pub title: &'static str,
    /// The particulars, with the whole chain of causes.
    pub detail: String,
}

/// What one branch says of itself.
#[derive(Debug, Clone, Serialize)]
pub struct BranchReport {
    /// The branch: `live/source`, `live/encode`, `live/record`, `rtsp`.
    pub name: String,
    /// What it is doing.
    pub condition: Condition,
    /// For how long, in seconds.
    pub since_s: f64,
    /// One line for people.
    pub detail: String,
    /// Present faults, in order of their code.
    pub faults: Vec<FaultReport>,
    /// Counters since the daemon started (frames, drops, restarts ...).
    pub counters: BTreeMap<&'static str, u64>,
}

struct Entry {
    condition: Condition,
    since: Duration,
    detail: String,
    faults: BTreeMap<FaultCode, String>,
    counters: BTreeMap<&'static str, u64>,
}

/// The book of all branches. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    clock: Arc<dyn Clock>,
    book: Arc<Mutex<BTreeMap<String, Entry>>>,
}

/// The pen of one branch.
#[derive(Clone)]
pub struct Reporter {
    health: Health,
    name: String,
}

impl Health {
    /// An empty book.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, book: Arc::default() }
    }

    /// Opens a page for the branch `name`, in condition Starting, or goes on with the one that is there.
    pub fn reporter(&self, name: impl Into<String>) -> Reporter {
        let name = name.into();
        let since = self.clock.monotonic();
        let entry = Entry {
            condition: Condition::Starting,
            since,
            detail: String::new(),
            faults: BTreeMap::new(),
            counters: BTreeMap::new(),
        };
        self.lock().entry(name.clone()).or_insert(entry);
        Reporter { health: self.clone(), name }
    }

    /// Every branch, by name.
    pub fn report(&self) -> Vec<BranchReport> {
        let now = self.clock.monotonic();
        let fault = |(code, detail): (&FaultCode, &String)| FaultReport {
            code: *code,
            title: code.title(),
            detail: detail.clone(),
        };
        let branch = |(name, e): (&String, &Entry)| BranchReport {
            name: name.clone(),
            condition: e.condition,
            since_s: now.saturating_sub(e.since).as_secs_f64(),
            detail: e.detail.clone(),
            faults: e.faults.iter().map(fault).collect(),
            counters: e.counters.clone(),
        };
        self.lock().iter().map(branch).collect()
    }

    /// True while this branch does its work and therefore must advance.
    pub fn is_running(&self, name: &str) -> bool {
        self.lock().get(name).is_some_and(|e| e.condition == Condition::Running)
    }

    /// True while this branch has not said yet what it does.
    pub fn is_starting(&self, name: &str) -> bool {
        self.lock().get(name).is_none_or(|e| e.condition == Condition::Starting)
    }

    /// Tears out the pages of parts that are gone for good. What their threads still write is lost.
    pub fn forget(&self, gone: impl Fn(&str) -> bool) {
        self.lock().retain(|name, _| !gone(name));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Entry>> {
        self.book.lock().expect("nothing panics while it holds this lock")
    }
}

impl Reporter {
    /// Says what the branch is doing. A change of condition is one line in the log; a change of detail is none.
    pub fn set(&self, condition: Condition, detail: impl Into<String>) {
        let detail = detail.into();
        let now = self.health.clock.monotonic();
        let changed = self.with(|e| {
            let changed = e.condition != condition;
            if changed {
                (e.condition, e.since) = (condition, now);
            }
            e.detail.clone_from(&detail);
            changed
        });
        if changed == Some(true) {
            let state = format!("{condition:?}").to_lowercase();
            tracing::info!(branch = %self.name, state, "{} is {state}{}{detail}", self.name, sep(&detail));
        }
    }

    /// Raises a fault, once: repeating it only renews the particulars.
    pub fn raise(&self, code: FaultCode, detail: impl Into<String>) {
        let detail = detail.into();
        let new = self.with(|e| e.faults.insert(code, detail.clone()).is_none());
        if new == Some(true) {
            tracing::warn!(branch = %self.name, fault = %code, "{code} {}{}{detail}", code.title(), sep(&detail));
        }
    }

    /// Raises a fault in place of every other one of the branch, where only one thing can be wrong at a time.
    pub fn only(&self, code: FaultCode, detail: impl Into<String>) {
        let others: Option<Vec<FaultCode>> =
            self.with(|e| e.faults.keys().filter(|other| **other != code).copied().collect());
        others.into_iter().flatten().for_each(|other| self.clear(other));
        self.raise(code, detail);
    }

    /// Takes a fault back.
    pub fn clear(&self, code: FaultCode) {
        if self.with(|e| e.faults.remove(&code).is_some()) == Some(true) {
            tracing::info!(branch = %self.name, fault = %code, "{code} is over: {}", code.title());
        }
    }

    /// Takes all faults back.
    pub fn clear_all(&self) {
        let codes: Option<Vec<FaultCode>> = self.with(|e| e.faults.keys().copied().collect());
        codes.into_iter().flatten().for_each(|code| self.clear(code));
    }

    /// Adds to a counter.
    pub fn count(&self, counter: &'static str, by: u64) {
        self.with(|e| *e.counters.entry(counter).or_default() += by);
    }

    /// Sets a counter or gauge.
    pub fn gauge(&self, counter: &'static str, value: u64) {
        self.with(|e| e.counters.insert(counter, value));
    }

    /// `None` when the page was torn out: the part is gone, and this is the last that its threads say.
    fn with<R>(&self, change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        self.health.lock().get_mut(&self.name).map(change)
    }
}

fn sep(detail: &str) -> &'static str {
    if detail.is_empty() { "" } else { ": " }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SimClock;

    #[test]
    fn a_branch_keeps_its_condition_faults_and_counters() {
        let clock = Arc::new(SimClock::at(Duration::ZERO));
        let health = Health::new(clock.clone());
        let source = health.reporter("live/source");
        source.set(Condition::Running, "30 fps");
        clock.advance(Duration::from_secs(2));
        source.set(Condition::Running, "29 fps");
        source.raise(FaultCode::CameraStalled, "no frame for 1 s");
        source.raise(FaultCode::CameraStalled, "no frame for 2 s");
        source.count("frames", 3);
        let report = health.report().remove(0);
        assert_eq!((report.condition, report.since_s, report.detail.as_str()), (Condition::Running, 2.0, "29 fps"));
        assert_eq!(report.faults.len(), 1);
        assert_eq!(report.faults[0].detail, "no frame for 2 s");
        assert_eq!(report.counters["frames"], 3);
        source.only(FaultCode::CameraAbsent, "unplugged");
        let report = health.report().remove(0);
        assert_eq!((report.faults.len(), report.faults[0].code), (1, FaultCode::CameraAbsent));
        source.clear_all();
        assert!(health.report()[0].faults.is_empty());
        health.forget(|name| name.starts_with("live/"));
        source.raise(FaultCode::CameraStalled, "too late");
        assert!(health.report().is_empty());
    }
}
