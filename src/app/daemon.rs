//! Everything that runs: how it begins and ends, and what others see of it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::base::clock::Clock;
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Health};
use crate::base::heartbeat::Heartbeat;
use crate::base::shutdown::{Shutdown, Stop};
use crate::base::task;
use crate::board::{Board, network};
use crate::config::last_good::LastGood;
use crate::config::problem::Problems;
use crate::config::{Config, Inputs};
use crate::control::{self, Control, Reloads};
use crate::http::{self, Door, Limits};
use crate::plan::inventory::Inventory;
use crate::plan::{Plan, RtspPlan, StoragePlan};
use crate::sink::{record, rtsp};
use crate::storage::memory::Memory;
use crate::storage::{self, Storage};
use crate::supervise::systemd::Systemd;
use crate::supervise::watchdog::{Watched, Watchlist};
use crate::supervise::{self, CONTROL_LIMIT, kept_clock, resets, watchdog};

use super::eject::Ejector;
use super::prepare::{self, Prepared};
use super::stream::{Snapshots, Stream};
use super::{Setup, prepare::Resolved};

/// From the first signal to the end: the open segment is finished within this time, or given up to the recovery at
/// the next start.
pub(super) const END_WITHIN: Duration = Duration::from_millis(1300);

/// Everything that runs.
pub(super) struct Daemon {
    pub(super) parts: Parts,
    pub(super) running: Arc<Running>,
    pub(super) inputs: Inputs,
    pub(super) storage: Option<Storage>,
    pub(super) streams: Vec<Stream>,
    pub(super) rtsp: Option<rtsp::Handle>,
    pub(super) doors: http::Handle,
    pub(super) systemd: Systemd,
    pub(super) last_good: bool,
    /// Kept on a board only: nobody asks a laptop why it was restarted.
    resets: Option<resets::Handle>,
    seen: Seen,
}

/// The configuration that runs, and what it means here.
pub(super) struct Running {
    pub(super) config: Config,
    pub(super) board: Board,
    pub(super) inventory: Inventory,
    pub(super) plan: Plan,
    /// Since when it is good, in seconds since the Unix epoch.
    pub(super) since_unix: u64,
}

/// What others see of the parts that come and go.
struct Seen {
    plan: watch::Sender<Arc<Plan>>,
    snapshots: Arc<Snapshots>,
    writers: Arc<Mutex<Writers>>,
    watched: Watchlist,
    heartbeat: Heartbeat,
}

impl Daemon {
    pub(super) fn start(setup: Setup, runtime: &tokio::runtime::Runtime, shutdown: Shutdown, reloads: Reloads) -> Self {
        let Setup { prepared, inputs, last_good, clock, systemd, machine } = setup;
        let Prepared { config, resolved: Resolved { board, inventory, plan, .. }, fallback } = prepared;
        let parts = Parts { health: Health::new(clock.clone()), clock, shutdown, machine };
        let since_unix = fallback.as_ref().map_or(parts.clock.wall().as_secs(), |fallback| fallback.kept_unix);
        let running = Arc::new(Running { config, board, inventory, plan, since_unix });
        parts.tell_configuration(&running, fallback.as_ref().map(|fallback| &fallback.problems));
        let resets = last_good.then(|| parts.resets(&running));
        let plan = &running.plan;
        let storage = plan.storage.clone().map(|storage| parts.storage(storage, plan, &running.config));
        let start = |plan| Stream::start(plan, &parts, storage.as_ref());
        let streams: Vec<Stream> = plan.streams.iter().cloned().map(start).collect();
        let rtsp = plan.rtsp.clone().map(|rtsp| parts.rtsp(rtsp, &streams));
        let seen = Seen {
            plan: watch::channel(Arc::new(plan.clone())).0,
            snapshots: Arc::default(),
            writers: Arc::default(),
            watched: Watchlist::default(),
            heartbeat: Heartbeat::new(),
        };
        let _context = runtime.enter();
        let keep = (last_good && fallback.is_none()).then(|| running.clone());
        let doors = parts.open_doors(&running, &seen, reloads, rtsp.as_ref(), systemd.clone(), keep);
        if last_good {
            let state = running.config.directories.state.clone();
            task::task("clock", kept_clock::keep(state, parts.clock.clone(), parts.shutdown.clone()));
            task::task("network", watch_network(parts.health.clone(), parts.machine.clone(), parts.shutdown.clone()));
        }
        watchdog::start(systemd.clone(), parts.clock.clone(), seen.watched.clone(), parts.shutdown.clone());
        let daemon = Self { parts, running, inputs, storage, streams, rtsp, doors, systemd, last_good, resets, seen };
        daemon.show();
        daemon
    }

    /// Shows what runs now to whoever asks, watches or saves.
    pub(super) fn show(&self) {
        self.seen.plan.send_replace(Arc::new(self.running.plan.clone()));
        self.seen.snapshots.set(&self.streams);
        let writers = Writers {
            storage: self.storage.clone(),
            recorders: self.streams.iter().filter_map(Stream::recorder).collect(),
        };
        *self.seen.writers.lock().expect("nothing panics while it holds this lock") = writers;
        let watched = self.streams.iter().flat_map(|stream| stream.watched(&self.parts));
        self.seen.watched.set(watched.chain([control_watched(&self.seen.heartbeat)]).collect());
    }

    /// Ends in the order of the frame's walk, each part within what is left of the time.
    pub(super) fn end(self, shutdown: &Shutdown) {
        let shutdown = shutdown.clone();
        let (done, ended) = std::sync::mpsc::sync_channel(1);
        task::thread("end", move || {
            // All at once: two recorders on one stuck disk must not wait one after the other.
            self.streams.iter().for_each(Stream::ask_to_finish);
            self.streams.iter().for_each(|stream| stream.finish_recording(END_WITHIN / 2));
            if let Some(storage) = &self.storage {
                storage.stop(END_WITHIN / 3);
            }
            self.resets.iter().for_each(resets::Handle::ended);
            self.rtsp.into_iter().for_each(rtsp::Handle::stop);
            self.streams.into_iter().for_each(Stream::stop);
            let _ = done.send(());
        });
        // A part that hangs (a driver, a dead disk) must not keep the daemon from ending; nor a second signal wait.
        let looks = END_WITHIN.as_millis() / 20;
        for _ in 0..looks {
            let answer = ended.recv_timeout(Duration::from_millis(20));
            if answer.is_ok() || shutdown.asked() == Some(Stop::Now) {
                return;
            }
        }
        tracing::warn!("a part of the daemon did not end in {END_WITHIN:?}: left behind");
    }
}

impl Running {
    /// Keeps the texts of its files. A disk that does not take them is no reason to end.
    pub(super) fn keep(&self, clock: &dyn Clock) {
        let state = &self.config.directories.state;
        match LastGood::keep(state, &self.config.files, clock.wall()) {
            Ok(()) => tracing::debug!("kept as the last known good configuration in {}", state.display()),
            Err(e) => tracing::warn!("the last known good configuration cannot be kept in {}: {e}", state.display()),
        }
    }
}

/// What every part gets.
pub(super) struct Parts {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Health,
    pub(super) shutdown: Shutdown,
    /// Where /sys, /proc and /run of the board are.
    machine: PathBuf,
}

impl Parts {
    pub(super) fn storage(&self, plan: StoragePlan, whole: &Plan, config: &Config) -> Storage {
        storage::start(storage::Setup {
            memory: Some(Memory::new(&config.directories.state, &plan.path)),
            plan,
            first: whole.streams.first().map(|s| s.id.clone()),
            clock: self.clock.clone(),
            health: self.health.clone(),
        })
    }

    fn resets(&self, running: &Running) -> resets::Handle {
        resets::start(resets::Setup {
            state: running.config.directories.state.clone(),
            machine: self.machine.clone(),
            reasons: running.board.profile.watchdog.reset_reason.clone(),
            health: self.health.clone(),
            shutdown: self.shutdown.clone(),
        })
    }

    pub(super) fn rtsp(&self, plan: RtspPlan, streams: &[Stream]) -> rtsp::Handle {
        rtsp::start(rtsp::Setup {
            plan,
            streams: streams.iter().enumerate().map(|(i, s)| s.served(i == 0)).collect(),
            clock: self.clock.clone(),
            health: self.health.clone(),
            shutdown: self.shutdown.child(),
        })
    }

    /// Says on the page `config` what the configuration was made from, and what is wrong with the one in the files.
    pub(super) fn tell_configuration(&self, running: &Running, wrong: Option<&Problems>) {
        let page = self.health.reporter("config");
        let files: Vec<String> = running.config.files.iter().map(|file| file.path.display().to_string()).collect();
        let files = if files.is_empty() { "built-in defaults".to_owned() } else { files.join(", ") };
        match wrong {
            None => {
                page.clear(FaultCode::ConfigRefused);
                page.set(Condition::Running, files);
            }
            Some(problems) => {
                let detail = format!("running the configuration of {}", prepare::date(running.since_unix));
                page.raise(FaultCode::ConfigRefused, format!("{detail}: {}", prepare::in_short(problems)));
                page.set(Condition::Running, detail);
            }
        }
    }

    /// Starts control, its doors and what systemd is told. Needs the context of the runtime.
    fn open_doors(
        &self,
        running: &Running,
        seen: &Seen,
        reloads: Reloads,
        rtsp: Option<&rtsp::Handle>,
        systemd: Systemd,
        keep: Option<Arc<Running>>,
    ) -> http::Handle {
        let control = Control::new(control::Parts {
            clock: self.clock.clone(),
            health: self.health.clone(),
            plan: seen.plan.subscribe(),
            snapshots: seen.snapshots.clone(),
            disk: Arc::new(Ejector::new(seen.writers.clone(), &self.machine)),
            heartbeat: seen.heartbeat.clone(),
            reloads,
        });
        let (health, shutdown, plan) = (self.health.clone(), self.shutdown.clone(), running.plan.http.clone());
        let (doors, serving) =
            http::open(Door { control: control.clone(), health, plan, shutdown, limits: Limits::default() });
        task::task("http", serving);
        task::task("record-watch", watch_writers(seen.writers.clone(), self.clock.clone(), self.shutdown.clone()));
        task::task("control", supervise::beat(self.clock.clone(), seen.heartbeat.clone(), self.shutdown.clone()));
        task::task("memory", supervise::memory::give_back(self.shutdown.clone()));
        // A port that another program holds is a fault; it keeps nothing else from starting.
        let (listening, health) = (rtsp.map(rtsp::Handle::listening), self.health.clone());
        let ready = move || listening.as_ref().is_none_or(|rtsp| rtsp.was_tried()) && !health.is_starting("http");
        let line = move || control.health().line();
        let (clock, shutdown) = (self.clock.clone(), self.shutdown.clone());
        let when_ready = move || {
            if let Some(running) = keep {
                task::blocking("keep", move || running.keep(clock.as_ref()));
            }
        };
        task::task("announce", supervise::announce(systemd, shutdown, ready, when_ready, line));
        doors
    }
}

/// What may hang in a disk.
#[derive(Default)]
pub(super) struct Writers {
    pub(super) storage: Option<Storage>,
    recorders: Vec<record::Handle>,
}

/// A thread whose disk does not answer cannot say so itself.
async fn watch_writers(writers: Arc<Mutex<Writers>>, clock: Arc<dyn Clock>, shutdown: Shutdown) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    while shutdown.asked().is_none() {
        interval.tick().await;
        let now = clock.monotonic();
        let writers = writers.lock().expect("nothing panics while it holds this lock");
        writers.storage.iter().for_each(|storage| storage.watch(now));
        writers.recorders.iter().for_each(|recorder| recorder.watch(now));
    }
}

/// Says on the page `network` what is wrong with its settings. They are read by root before the daemon starts, and when a
/// person changes them.
async fn watch_network(health: Health, machine: PathBuf, shutdown: Shutdown) {
    let page = health.reporter("network");
    let mut interval = tokio::time::interval(Duration::from_secs(5));
    while shutdown.asked().is_none() {
        match network::problem(&machine) {
            Some(problem) => page.raise(FaultCode::NetworkRefused, problem),
            None => page.clear(FaultCode::NetworkRefused),
        }
        page.set(Condition::Running, "");
        tokio::select! {
            _ = interval.tick() => {}
            () = shutdown.asked_async() => {}
        }
    }
}

fn control_watched(heartbeat: &Heartbeat) -> Watched {
    let heartbeat = heartbeat.clone();
    Watched { name: "control".into(), heartbeat, limit: CONTROL_LIMIT, running: Box::new(|| true) }
}
