//! Opens the volume and keeps it in order, on a thread of its own: nothing here ever holds up a writer.

mod hand_over;
mod retain;
mod shared;

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::base::backoff::Backoff;
use crate::base::clock::Clock;
use crate::base::error::{Chain, Coded};
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Health, Reporter};
use crate::base::heartbeat::Heartbeat;
use crate::base::id::StreamId;
use crate::base::shutdown::{Shutdown, Stop};
use crate::base::task;
use crate::base::units::ByteSize;
use crate::plan::StoragePlan;

use crate::storage::catalog::OpenFiles;
use crate::storage::error::Error;
use crate::storage::memory::Memory;
use crate::storage::recover;
use crate::storage::retention::Limits;
use crate::storage::volume::Volume;

use shared::{Ended, Shared, Woken};

/// Looks at the disk so often. A stream of 100 Mbit/s writes 12 MB in this time, less than the reserve below which
/// recording stops.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A segment that could not be recovered is tried again so often.
const RECOVER_EVERY: Duration = Duration::from_secs(60);
/// Faults that keep the storage from being used; at most one of them is present.
const UNUSABLE: [FaultCode; 4] =
    [FaultCode::StorageMissing, FaultCode::StorageForeign, FaultCode::StorageBusy, FaultCode::WriteFailed];
/// A disk that has not answered for so long is reported: more than it takes to look again or to try to open it again.
const BLOCKED_AFTER: Duration = Duration::from_secs(5);
/// Attempts to open a volume that is away: a disk that comes back is in use within two seconds.
const OPEN_FIRST: Duration = Duration::from_millis(250);
const OPEN_MAX: Duration = Duration::from_secs(2);

/// What the storage needs.
pub struct Setup {
    /// Where, and what to keep.
    pub plan: StoragePlan,
    /// The stream whose newest files are linked from the storage directory itself.
    pub first: Option<StreamId>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The book in which it has the page `storage`.
    pub health: Health,
    /// On which mount point it lay; `None` to look only at what is there now.
    pub memory: Option<Memory>,
}

/// The storage of the daemon. Cheap to clone.
#[derive(Clone)]
pub struct Storage(Arc<Shared>);

/// Starts the keeper. Returns at once; the volume is there when [`Storage::volume`] says so.
pub fn start(setup: Setup) -> Storage {
    let reporter = setup.health.reporter("storage");
    let storage = Storage(Arc::new(Shared {
        reporter: reporter.clone(),
        path: setup.plan.path.clone(),
        plan: Mutex::new(setup.plan),
        heartbeat: Heartbeat::new(),
        stop: Shutdown::new(),
        slot: Mutex::default(),
        changed: Condvar::new(),
    }));
    let mut keeper = Keeper {
        limits: storage.0.limits(),
        shared: storage.0.clone(),
        first: setup.first,
        memory: setup.memory,
        clock: setup.clock,
        reporter,
        cleaning: false,
        hopeless: None,
        leftovers: OpenFiles::new(),
        recover_at: Duration::ZERO,
        given_up: Vec::new(),
        aside: Vec::new(),
        may_make: true,
    };
    let (stop, ended) = (storage.0.stop.clone(), Ended(storage.0.clone()));
    task::kept("storage", keeper.reporter.clone(), stop, move || {
        // Owned by the body, which ends with the thread and not with a panic.
        let _ended = &ended;
        keeper.run();
    });
    storage
}

impl Storage {
    /// A storage that is always there, kept by nobody.
    #[cfg(test)]
    pub(crate) fn for_test(volume: Arc<Volume>) -> Self {
        Self(Arc::new(Shared {
            reporter: Health::new(Arc::new(crate::base::clock::SystemClock)).reporter("storage"),
            path: volume.path().to_owned(),
            plan: Mutex::new(StoragePlan {
                path: volume.path().to_owned(),
                keep_free: ByteSize::from_bytes(0),
                max_age: None,
                min_keep: Duration::ZERO,
                images: 3,
            }),
            heartbeat: Heartbeat::new(),
            stop: Shutdown::new(),
            slot: Mutex::new(shared::Slot { volume: Some(volume), stopped: true, ..Default::default() }),
            changed: Condvar::new(),
        }))
    }

    /// How often the keeper has looked at its disk.
    #[cfg(test)]
    pub(crate) fn looks(&self) -> u64 {
        self.0.heartbeat.count()
    }

    /// The volume, if it is there now.
    pub fn volume(&self) -> Option<Arc<Volume>> {
        self.0.lock().volume.clone()
    }

    /// Waits up to `timeout` for the volume.
    pub fn wait(&self, timeout: Duration) -> Option<Arc<Volume>> {
        let wait = self.0.changed.wait_timeout_while(self.0.lock(), timeout, |s| s.volume.is_none() && !s.stop);
        wait.expect("nothing panics while it holds this lock").0.volume.clone()
    }

    /// A writer had an error: the volume is looked at now, and given up if it is no longer what it was.
    pub fn look_now(&self) {
        self.0.lock().poked = true;
        self.0.changed.notify_all();
    }

    /// Changes what is kept, from the next look on. The place stays what it is, whatever `plan` says.
    pub fn set_limits(&self, plan: StoragePlan) {
        *self.0.plan.lock().expect("nothing panics while it holds this lock") = plan;
        self.look_now();
    }

    /// Stores one snapshot of `stream`, taken at `taken` since the Unix epoch: atomically, linked as the latest, the
    /// oldest beyond `images` of the plan removed. Blocks as long as the disk does: call it on a thread of its own.
    pub fn write_image(&self, stream: &StreamId, jpeg: &[u8], taken: Duration) -> Result<PathBuf, Error> {
        let absent = || Error::missing(&self.0.path, "it is not open; see the faults of \"storage\"", None);
        let volume = self.volume().ok_or_else(absent)?;
        let written = volume.write_image(stream, jpeg, taken, self.0.plan().images);
        if written.is_err() {
            self.look_now();
        }
        written
    }

    /// Says "Recovering" and raises `REC-004` if the keeper is stuck in a disk that does not answer: it cannot say so
    /// itself. To be called about once a second; the keeper takes it back when the disk has answered.
    pub fn watch(&self, now: Duration) {
        let Some(age) = self.0.heartbeat.age(now).filter(|age| *age > BLOCKED_AFTER) else { return };
        let ended = {
            let slot = self.0.lock();
            slot.stop || slot.stopped
        };
        if !ended {
            let detail = format!("the disk has not answered for {} s", age.as_secs());
            self.0.reporter.raise(FaultCode::WriteFailed, detail.as_str());
            self.0.reporter.set(Condition::Recovering, detail);
        }
    }

    /// Ends the keeper and gives the lock back. Writers must have ended before. False if a disk that does not answer
    /// held it longer than `deadline`.
    pub fn stop(&self, deadline: Duration) -> bool {
        self.0.lock().stop = true;
        self.0.stop.trigger(Stop::Graceful);
        self.0.changed.notify_all();
        let wait = self.0.changed.wait_timeout_while(self.0.lock(), deadline, |s| !s.stopped);
        wait.expect("nothing panics while it holds this lock").0.stopped
    }
}

struct Keeper {
    shared: Arc<Shared>,
    limits: Limits,
    first: Option<StreamId>,
    memory: Option<Memory>,
    clock: Arc<dyn Clock>,
    reporter: Reporter,
    cleaning: bool,
    /// Deleting would not make the room that is missing.
    hopeless: Option<retain::Hopeless>,
    /// Open segments that nobody writes any more.
    leftovers: OpenFiles,
    recover_at: Duration,
    /// Volumes that were given up while a writer may still be stuck in them.
    given_up: Vec<Arc<Volume>>,
    /// Set aside since the start.
    aside: Vec<PathBuf>,
    /// False once there was a disk: an empty place where it was is its mount point, and belongs to the root file system.
    may_make: bool,
}

impl Keeper {
    /// Until the daemon ends; begun anew after a panic.
    fn run(&mut self) {
        let mut backoff = Backoff::new(OPEN_FIRST, OPEN_MAX);
        self.give_up();
        loop {
            let since = self.clock.monotonic();
            self.let_go(None);
            self.shared.heartbeat.tick(since);
            if self.shared.is_released() && self.wait_for_return() {
                break;
            }
            match self.open() {
                Ok((volume, open)) => {
                    self.may_make = false;
                    if self.keep(volume, open) {
                        break;
                    }
                    if self.shared.is_released() {
                        continue;
                    }
                }
                Err(e) => self.absent(&e),
            }
            if self.shared.sleep(backoff.after(self.clock.monotonic().saturating_sub(since))) == Woken::Stop {
                break;
            }
        }
        self.reporter.set(Condition::Stopped, "");
    }

    /// Keeps an open volume until it is gone (false) or the daemon ends (true).
    fn keep(&mut self, volume: Arc<Volume>, open: OpenFiles) -> bool {
        self.leftovers = open;
        self.recover_at = Duration::ZERO;
        self.cleaning = false;
        self.hopeless = None;
        self.shared.lock().volume = Some(volume.clone());
        self.shared.changed.notify_all();
        let mut woken = Woken::Time;
        let stop = loop {
            let writable = if woken == Woken::Poked { volume.touch() } else { Ok(()) };
            if let Err(e) = writable.and_then(|()| volume.check()).and_then(|()| self.look(&volume)) {
                self.absent(&e);
                break false;
            }
            self.shared.heartbeat.tick(self.clock.monotonic());
            UNUSABLE.into_iter().chain([FaultCode::TaskFailed]).for_each(|code| self.reporter.clear(code));
            woken = self.shared.sleep(if self.cleaning { LOOK_EVERY / 10 } else { LOOK_EVERY });
            if woken == Woken::Stop {
                break true;
            }
            if self.shared.is_released() {
                self.hand_over(volume);
                return false;
            }
        };
        drop(volume);
        self.give_up();
        stop
    }

    fn open(&self) -> Result<(Arc<Volume>, OpenFiles), Error> {
        self.memory.as_ref().map_or(Ok(()), Memory::check)?;
        let make = self.may_make.then(|| self.clock.wall());
        let opened = Volume::open(&self.shared.path, self.first.clone(), make)?;
        self.memory.iter().for_each(Memory::remember);
        Ok(opened)
    }

    /// Takes the volume away from the writers.
    fn give_up(&mut self) {
        let volume = self.shared.lock().volume.take();
        if let Some(volume) = volume {
            volume.close();
            self.given_up.push(volume);
        }
    }

    fn absent(&self, e: &Error) {
        let detail = Chain(e).to_string();
        let code = e.fault().unwrap_or(FaultCode::StorageMissing);
        for other in UNUSABLE {
            if other != code {
                self.reporter.clear(other);
            }
        }
        self.reporter.raise(code, detail.as_str());
        self.reporter.set(Condition::Absent, detail);
    }

    fn look(&mut self, volume: &Arc<Volume>) -> Result<(), Error> {
        self.recover(volume);
        let limits = self.shared.limits();
        if limits != self.limits {
            // What was found out about the old ones says nothing about the new.
            (self.limits, self.hopeless) = (limits, None);
        }
        let free = volume.disk().free().map_err(Error::io("examine", "".as_ref()))?;
        self.retain(volume, free);
        let left = ByteSize::from_bytes(free);
        self.reporter.gauge("free_bytes", free);
        self.reporter.set(Condition::Running, format!("{left} free on {}", volume.path().display()));
        Ok(())
    }

    /// Forgets the volumes that no writer holds any more. A write that hung in one may come to its end long after the
    /// same directory was opened anew: until then its file is not finished by anybody else.
    fn let_go(&mut self, volume: Option<&Volume>) {
        for old in std::mem::take(&mut self.given_up) {
            match Arc::try_unwrap(old) {
                Err(old) => self.given_up.push(old),
                Ok(old) if volume.is_some_and(|volume| old.is_same_place(volume)) => {
                    // Most of them were found when the directory was opened anew.
                    let late = old.take_abandoned();
                    self.leftovers.retain(|left| !late.contains(left));
                    self.leftovers.extend(late);
                }
                Ok(_) => {}
            }
        }
    }

    fn recover(&mut self, volume: &Volume) {
        self.let_go(Some(volume));
        if self.given_up.iter().any(|old| old.is_same_place(volume)) {
            return;
        }
        let abandoned = volume.take_abandoned();
        let now = self.clock.monotonic();
        if abandoned.is_empty() && (self.leftovers.is_empty() || now < self.recover_at) {
            return;
        }
        self.leftovers.extend(abandoned);
        self.recover_at = now + RECOVER_EVERY;
        let open = std::mem::take(&mut self.leftovers);
        if !open.is_empty() {
            tracing::info!("{} files were left open: finishing them", open.len());
        }
        let recovered = recover::recover(volume, open);
        self.leftovers = recovered.failed;
        self.reporter.count("recovered", recovered.finished);
        if !recovered.aside.is_empty() {
            self.aside.extend(recovered.aside);
            let names: Vec<_> = self.aside.iter().rev().take(3).map(|p| p.display().to_string()).collect();
            let detail = format!("{} in all, the last: {}", self.aside.len(), names.join(", "));
            self.reporter.raise(FaultCode::SegmentQuarantined, detail);
        }
    }
}

#[cfg(test)]
mod tests;
