//! One stream with all its parts: camera, recorder, snapshots. Each begins, is replaced and ends alone; the hub and the
//! newest picture stay, so that those who read them do not notice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::base::error::Chain;
use crate::base::id::StreamId;
use crate::base::shutdown::{Shutdown, Stop};
use crate::base::task;
use crate::control::{NoSnapshot, Snapshot, TakeSnapshot};
use crate::hub::{Hub, PictureSlot};
use crate::pipeline;
use crate::plan::StreamPlan;
use crate::probe::v4l2::Kernel;
use crate::sink::snapshot::NotKept;
use crate::sink::{record, rtsp, snapshot};
use crate::storage::Storage;
use crate::supervise::watchdog::Watched;

use super::daemon::Parts;

/// A branch that is running and silent for so long has not helped itself. Its own deadlines are shorter: 3 s for an
/// encoder, `timeout` for a source, which may be configured longer.
const STUCK_AFTER: Duration = Duration::from_secs(20);
/// A thread that keeps a source or encoder alive goes round in less than a second; a driver that holds it for so long
/// will not let go before the process ends.
const HELD_AFTER: Duration = Duration::from_secs(60);
/// A driver may take so long to let go of a camera; what takes longer is left behind.
const CAMERA_ENDS_WITHIN: Duration = Duration::from_secs(5);
/// A recorder that makes way for another one may take so long to finish its segment; what takes longer is a disk that
/// does not answer, and the segment is recovered later.
const RECORDER_ENDS_WITHIN: Duration = Duration::from_secs(3);

/// A running stream.
pub(super) struct Stream {
    plan: StreamPlan,
    hub: Hub,
    pictures: PictureSlot,
    camera: Option<Camera>,
    record: Option<record::Handle>,
    snapshots: Option<Snapshotting>,
}

struct Camera {
    stop: Shutdown,
    handle: pipeline::Handle,
}

struct Snapshotting {
    stop: Shutdown,
    handle: snapshot::Handle,
    threads: Vec<JoinHandle<Option<()>>>,
}

impl Stream {
    /// Starts the camera and its outlets.
    pub(super) fn start(plan: StreamPlan, parts: &Parts, storage: Option<&Storage>) -> Self {
        let (hub, pictures) = (Hub::new(parts.clock.clone()), PictureSlot::new());
        let mut stream = Self { plan, hub, pictures, camera: None, record: None, snapshots: None };
        stream.begin(parts, storage);
        stream
    }

    /// Its name.
    pub(super) fn id(&self) -> &StreamId {
        &self.plan.id
    }

    /// Is another plan from now on. What the difference concerns was stopped before and begins now; an encoder that runs
    /// on is told.
    pub(super) fn change(&mut self, plan: StreamPlan, parts: &Parts, storage: Option<&Storage>) {
        if let (Some(camera), Some(encode)) = (&self.camera, &plan.encode)
            && self.plan.encode.as_ref() != Some(encode)
        {
            camera.handle.set_encode(encode.clone());
        }
        self.plan = plan;
        let id = self.plan.id.as_str();
        let gone = [("encode", self.plan.encode.is_none()), ("record", self.plan.record.is_none())];
        for (branch, _) in gone.into_iter().filter(|(_, gone)| *gone) {
            parts.health.forget(|page| page.split_once('/') == Some((id, branch)));
        }
        self.begin(parts, storage);
    }

    /// Starts what is planned and does not run.
    fn begin(&mut self, parts: &Parts, storage: Option<&Storage>) {
        if self.camera.is_none() {
            self.camera = Some(self.start_camera(parts));
        }
        if self.record.is_none() {
            self.record = self.plan.record.clone().zip(storage).map(|(record, storage)| {
                record::start(record::Setup {
                    stream: self.plan.id.clone(),
                    plan: record,
                    storage: storage.clone(),
                    hub: self.hub.clone(),
                    clock: parts.clock.clone(),
                    health: parts.health.clone(),
                })
            });
        }
        if self.snapshots.is_none() {
            self.snapshots = Some(self.start_snapshots(parts, storage));
        }
    }

    fn start_camera(&self, parts: &Parts) -> Camera {
        let stop = parts.shutdown.child();
        let handle = pipeline::start(pipeline::Setup {
            plan: self.plan.clone(),
            hub: self.hub.clone(),
            pictures: self.pictures.clone(),
            devices: Arc::new(Kernel),
            clock: parts.clock.clone(),
            health: parts.health.clone(),
            shutdown: stop.clone(),
        });
        Camera { stop, handle }
    }

    fn start_snapshots(&self, parts: &Parts, storage: Option<&Storage>) -> Snapshotting {
        let stop = parts.shutdown.child();
        let (handle, threads) = snapshot::start(snapshot::Setup {
            stream: self.plan.id.clone(),
            plan: self.plan.snapshot.clone(),
            pictures: self.pictures.clone(),
            carrier: self.plan.carrier().map(str::to_owned),
            keep: keep(self.plan.id.clone(), storage.cloned()),
            clock: parts.clock.clone(),
            health: parts.health.clone(),
            shutdown: stop.clone(),
        });
        Snapshotting { stop, handle, threads }
    }

    /// The stream as the RTSP server sees it.
    pub(super) fn served(&self, first: bool) -> rtsp::Served {
        let (id, hub, max_viewers) = (self.plan.id.clone(), self.hub.clone(), self.plan.max_viewers);
        rtsp::Served { id, first, hub, max_viewers }
    }

    /// The recorder, if the stream has one.
    pub(super) fn recorder(&self) -> Option<record::Handle> {
        self.record.clone()
    }

    /// What the watchdog watches. A branch that waits for its camera or its disk says so and is not judged.
    pub(super) fn watched(&self, parts: &Parts) -> Vec<Watched> {
        let source = &self.plan.source;
        let stuck_after = STUCK_AFTER.max(source.timeout * 2 + source.restart_timeout);
        let watched = |branch: &str, heartbeat| {
            let name = format!("{}/{branch}", self.plan.id);
            let (health, page) = (parts.health.clone(), name.clone());
            let running = Box::new(move || health.is_running(&page));
            Watched { name, heartbeat, limit: stuck_after, running }
        };
        let always = |name: &str, heartbeat| {
            let name = format!("{}/{name}", self.plan.id);
            Watched { name, heartbeat, limit: HELD_AFTER.max(stuck_after * 2), running: Box::new(|| true) }
        };
        let mut list = Vec::new();
        if let Some(beats) = self.camera.as_ref().map(|camera| camera.handle.beats.clone()) {
            list.extend([watched("source", beats.frames), always("source's keeper", beats.camera_alive)]);
            if self.plan.encode.is_some() {
                list.extend([watched("encode", beats.encoded), always("encoder's keeper", beats.encoder_alive)]);
            }
        }
        list.extend(self.record.as_ref().map(|record| watched("record", record.heartbeat())));
        list
    }

    /// Asks the recorder to finish the open segment.
    pub(super) fn ask_to_finish(&self) {
        if let Some(record) = &self.record {
            record.stop(Duration::ZERO);
        }
    }

    /// Waits for the open segment to be finished, at most `within`.
    pub(super) fn finish_recording(&self, within: Duration) {
        if let Some(record) = &self.record
            && !record.stop(within)
        {
            tracing::warn!(stream = %self.plan.id, "the open segment is left to the recovery");
        }
    }

    /// Ends the recorder, its segment finished.
    pub(super) fn stop_recorder(&mut self) {
        self.finish_recording(RECORDER_ENDS_WITHIN);
        self.record = None;
    }

    /// Ends the camera and its encoder. Those who read the hub wait for the next one.
    pub(super) fn stop_camera(&mut self) {
        if let Some(camera) = self.camera.take() {
            camera.stop.trigger(Stop::Graceful);
            camera.handle.join(CAMERA_ENDS_WITHIN);
        }
    }

    /// Ends the making of snapshots.
    pub(super) fn stop_snapshots(&mut self) {
        if let Some(snapshots) = self.snapshots.take() {
            snapshots.stop.trigger(Stop::Graceful);
            task::join(snapshots.threads, CAMERA_ENDS_WITHIN);
        }
    }

    /// Ends all of it.
    pub(super) fn stop(mut self) {
        self.stop_recorder();
        self.stop_camera();
        self.stop_snapshots();
    }
}

fn keep(stream: StreamId, storage: Option<Storage>) -> snapshot::Keep {
    Box::new(move |snapshot| match &storage {
        Some(storage) => {
            let written = storage.write_image(&stream, &snapshot.jpeg, snapshot.taken);
            written.map(drop).map_err(|e| {
                let detail = Chain(&e).to_string();
                if e.is_refusal() { NotKept::Refused(detail) } else { NotKept::Failed(detail) }
            })
        }
        None => Ok(()),
    })
}

/// Snapshots on request, by stream.
#[derive(Default)]
pub(super) struct Snapshots(Mutex<BTreeMap<StreamId, snapshot::Handle>>);

impl Snapshots {
    /// Asks these from now on.
    pub(super) fn set(&self, streams: &[Stream]) {
        let handles = streams.iter().filter_map(|s| Some((s.plan.id.clone(), s.snapshots.as_ref()?.handle.clone())));
        *self.0.lock().expect("nothing panics while it holds this lock") = handles.collect();
    }
}

impl TakeSnapshot for Snapshots {
    fn snapshot(&self, stream: &StreamId) -> Result<Snapshot, NoSnapshot> {
        let handle = self.0.lock().expect("nothing panics while it holds this lock").get(stream).cloned();
        match handle.ok_or(NoSnapshot::NoPicture)?.take(Duration::from_secs(1)) {
            Ok(taken) => Ok(Snapshot { jpeg: taken.jpeg, taken_wall: taken.taken }),
            Err(snapshot::Error::NoPicture) => Err(NoSnapshot::NoPicture),
            Err(snapshot::Error::NoAnswer(_)) => Err(NoSnapshot::Late),
            Err(e) => Err(NoSnapshot::Failed(Box::new(e))),
        }
    }
}
