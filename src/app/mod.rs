//! From a Plan to a running daemon: the only room that knows every other one.

pub mod prepare;
mod signals;
mod stream;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::base::clock::Clock;
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Health};
use crate::base::heartbeat::Heartbeat;
use crate::base::shutdown::{Shutdown, Stop};
use crate::base::task;
use crate::config::Config;
use crate::config::last_good::LastGood;
use crate::control::{self, Control};
use crate::http::{Door, Limits};
use crate::plan::Plan;
use crate::sink::{record, rtsp};
use crate::storage::memory::Memory;
use crate::storage::{self, Storage};
use crate::supervise::systemd::Systemd;
use crate::supervise::{self, CONTROL_LIMIT, watchdog};

use prepare::{Fallback, Prepared};
use stream::Stream;

/// From the first signal to the end: the open segment is finished within this time, or given up to the recovery at
/// the next start.
const END_WITHIN: Duration = Duration::from_millis(1300);

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// GStreamer does not start.
    #[error("the daemon cannot start")]
    Media(#[from] crate::gst::Error),
    /// No control runtime.
    #[error("the control runtime cannot start")]
    Runtime(#[source] std::io::Error),
}

/// What the daemon is built from.
pub struct Setup {
    /// What to run.
    pub prepared: Prepared,
    /// Keep the configuration as the last known good one when the daemon is ready.
    pub last_good: bool,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The line to systemd.
    pub systemd: Systemd,
}

/// Runs the plan until a signal asks it to end. A second signal ends it at once.
pub fn run(setup: Setup) -> Result<(), Error> {
    crate::gst::init()?;
    // Control is small: two workers, so that one that is busy does not stop the other.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Error::Runtime)?;
    let shutdown = Shutdown::new();
    runtime.block_on(async { signals::listen(&shutdown) }).map_err(Error::Runtime)?;
    let daemon = Daemon::start(setup, &runtime, shutdown.clone());
    runtime.block_on(shutdown.asked_async());
    daemon.end(&shutdown);
    // Connections that still drain are left to the grace of the HTTP door, and not waited for longer.
    runtime.shutdown_timeout(if shutdown.asked() == Some(Stop::Now) { Duration::ZERO } else { END_WITHIN / 3 });
    Ok(())
}

/// Everything that runs.
struct Daemon {
    storage: Option<Storage>,
    streams: Vec<Stream>,
    rtsp: Option<rtsp::Handle>,
}

impl Daemon {
    fn start(setup: Setup, runtime: &tokio::runtime::Runtime, shutdown: Shutdown) -> Self {
        let Setup { prepared, last_good, clock, systemd } = setup;
        let Prepared { config, resolved, fallback } = prepared;
        let plan = resolved.plan;
        let health = Health::new(clock.clone());
        let parts = Parts { clock, health, shutdown };
        parts.tell_configuration(&config, fallback.as_ref());
        let state = config.directories.state.clone();
        let keep = (last_good && fallback.is_none()).then_some(config);
        let storage = plan.storage.as_ref().map(|storage| parts.storage(storage.clone(), &plan, &state));
        let start = |plan| Stream::start(plan, &parts, storage.as_ref());
        let streams: Vec<Stream> = plan.streams.iter().map(start).collect();
        let rtsp = plan.rtsp.as_ref().map(|rtsp| parts.rtsp(rtsp.clone(), &streams));
        let heartbeat = Heartbeat::new();
        let watched = streams.iter().flat_map(|s| s.watched(&parts)).chain([control_watched(&heartbeat)]).collect();
        watchdog::start(systemd.clone(), parts.clock.clone(), watched, parts.shutdown.clone());
        let _context = runtime.enter();
        parts.open_doors(plan, &streams, storage.clone(), heartbeat, rtsp.as_ref(), (systemd, keep));
        Self { storage, streams, rtsp }
    }

    /// Ends in the order of the frame's walk, each part within what is left of the time.
    fn end(self, shutdown: &Shutdown) {
        let shutdown = shutdown.clone();
        let (done, ended) = std::sync::mpsc::sync_channel(1);
        task::thread("end", move || {
            // All at once: two recorders on one stuck disk must not wait one after the other.
            self.streams.iter().for_each(Stream::ask_to_finish);
            self.streams.iter().for_each(|stream| stream.finish_recording(END_WITHIN / 2));
            if let Some(storage) = &self.storage {
                storage.stop(END_WITHIN / 3);
            }
            self.rtsp.into_iter().for_each(rtsp::Handle::stop);
            self.streams.into_iter().for_each(Stream::join);
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

/// What every part gets.
struct Parts {
    clock: Arc<dyn Clock>,
    health: Health,
    shutdown: Shutdown,
}

impl Parts {
    fn storage(&self, plan: crate::plan::StoragePlan, whole: &Plan, state: &Path) -> Storage {
        storage::start(storage::Setup {
            memory: Some(Memory::new(state, &plan.path)),
            plan,
            first: whole.streams.first().map(|s| s.id.clone()),
            clock: self.clock.clone(),
            health: self.health.clone(),
        })
    }

    fn rtsp(&self, plan: crate::plan::RtspPlan, streams: &[Stream]) -> rtsp::Handle {
        rtsp::start(rtsp::Setup {
            plan,
            streams: streams.iter().enumerate().map(|(i, s)| s.served(i == 0)).collect(),
            clock: self.clock.clone(),
            health: self.health.clone(),
            shutdown: self.shutdown.clone(),
        })
    }

    /// Says on the page `config` what the configuration was made from, and what is wrong with it.
    fn tell_configuration(&self, config: &Config, fallback: Option<&Fallback>) {
        let page = self.health.reporter("config");
        let files: Vec<String> = config.files.iter().map(|file| file.path.display().to_string()).collect();
        let files = if files.is_empty() { "built-in defaults".to_owned() } else { files.join(", ") };
        match fallback {
            None => page.set(Condition::Running, files),
            Some(fallback) => {
                let detail = format!("running the configuration of {}", prepare::date(fallback.kept_unix));
                page.raise(FaultCode::ConfigRefused, format!("{detail}: {}", prepare::in_short(&fallback.problems)));
                page.set(Condition::Running, detail);
            }
        }
    }

    /// Starts control, its doors and what systemd is told. Needs the context of the runtime.
    fn open_doors(
        &self,
        plan: Plan,
        streams: &[Stream],
        storage: Option<Storage>,
        heartbeat: Heartbeat,
        rtsp: Option<&rtsp::Handle>,
        (systemd, keep): (Systemd, Option<Config>),
    ) {
        let http = plan.http.clone();
        // Nothing replaces the plan while the daemon runs; reload will.
        let (_, plan) = watch::channel(Arc::new(plan));
        let control = Control::new(control::Parts {
            clock: self.clock.clone(),
            health: self.health.clone(),
            plan,
            snapshots: Arc::new(stream::Snapshots::of(streams)),
            heartbeat: heartbeat.clone(),
        });
        let writers = Writers { storage, recorders: streams.iter().filter_map(Stream::recorder).collect() };
        let (health, shutdown) = (self.health.clone(), self.shutdown.clone());
        let door = Door { control: control.clone(), health, plan: http, shutdown, limits: Limits::default() };
        task::task("http", crate::http::serve(door));
        task::task("record-watch", watch_writers(writers, self.clock.clone(), self.shutdown.clone()));
        task::task("control", supervise::beat(self.clock.clone(), heartbeat, self.shutdown.clone()));
        // A port that another program holds is a fault; it keeps nothing else from starting.
        let (listening, health) = (rtsp.map(rtsp::Handle::listening), self.health.clone());
        let ready = move || listening.as_ref().is_none_or(|rtsp| rtsp.was_tried()) && !health.is_starting("http");
        let line = move || control.health().line();
        let (clock, shutdown) = (self.clock.clone(), self.shutdown.clone());
        let when_ready = move || {
            if let Some(config) = keep {
                task::blocking("keep", move || keep_last_good(&config, clock.as_ref()));
            }
        };
        task::task("announce", supervise::announce(systemd, shutdown, ready, when_ready, line));
    }
}

/// Keeps the texts that the daemon became ready with. A disk that does not take them is no reason to end.
fn keep_last_good(config: &Config, clock: &dyn Clock) {
    let state = &config.directories.state;
    match LastGood::keep(state, &config.files, clock.wall()) {
        Ok(()) => tracing::debug!("kept as the last known good configuration in {}", state.display()),
        Err(e) => tracing::warn!("the last known good configuration cannot be kept in {}: {e}", state.display()),
    }
}

/// What may hang in a disk.
struct Writers {
    storage: Option<Storage>,
    recorders: Vec<record::Handle>,
}

/// A thread whose disk does not answer cannot say so itself.
async fn watch_writers(writers: Writers, clock: Arc<dyn Clock>, shutdown: Shutdown) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    while shutdown.asked().is_none() {
        interval.tick().await;
        let now = clock.monotonic();
        writers.storage.iter().for_each(|storage| storage.watch(now));
        writers.recorders.iter().for_each(|recorder| recorder.watch(now));
    }
}

fn control_watched(heartbeat: &Heartbeat) -> watchdog::Watched {
    let heartbeat = heartbeat.clone();
    watchdog::Watched { name: "control".into(), heartbeat, limit: CONTROL_LIMIT, running: Box::new(|| true) }
}
