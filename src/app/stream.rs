//! One stream with all its parts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::base::error::Chain;
use crate::base::id::StreamId;
use crate::control::{NoSnapshot, Snapshot, TakeSnapshot};
use crate::hub::{Hub, PictureSlot};
use crate::pipeline;
use crate::plan::StreamPlan;
use crate::probe::v4l2::Kernel;
use crate::sink::snapshot::NotKept;
use crate::sink::{record, rtsp, snapshot};
use crate::storage::Storage;
use crate::supervise::watchdog::Watched;

use super::Parts;

/// A branch that is running and silent for so long has not helped itself. Its own deadlines are shorter: 3 s for an
/// encoder, `timeout` for a source, which may be configured longer.
const STUCK_AFTER: Duration = Duration::from_secs(20);
/// A thread that keeps a source or encoder alive goes round in less than a second; a driver that holds it for so long
/// will not let go before the process ends.
const HELD_AFTER: Duration = Duration::from_secs(60);

/// A running stream.
pub(super) struct Stream {
    id: StreamId,
    max_viewers: Option<u32>,
    hub: Hub,
    stuck_after: Duration,
    encodes: bool,
    camera: pipeline::Handle,
    record: Option<record::Handle>,
    snapshot: snapshot::Handle,
    snapshot_threads: Vec<JoinHandle<Option<()>>>,
}

impl Stream {
    /// Starts the camera and its outlets.
    pub(super) fn start(plan: &StreamPlan, parts: &Parts, storage: Option<&Storage>) -> Self {
        let hub = Hub::new(parts.clock.clone());
        let pictures = PictureSlot::new();
        let camera = pipeline::start(pipeline::Setup {
            plan: plan.clone(),
            hub: hub.clone(),
            pictures: pictures.clone(),
            devices: Arc::new(Kernel),
            clock: parts.clock.clone(),
            health: parts.health.clone(),
            shutdown: parts.shutdown.clone(),
        });
        let record = plan.record.clone().zip(storage).map(|(record, storage)| {
            record::start(record::Setup {
                stream: plan.id.clone(),
                plan: record,
                storage: storage.clone(),
                hub: hub.clone(),
                clock: parts.clock.clone(),
                health: parts.health.clone(),
            })
        });
        let (snapshot, snapshot_threads) = snapshot::start(snapshot::Setup {
            stream: plan.id.clone(),
            plan: plan.snapshot.clone(),
            pictures,
            carrier: plan.carrier().map(str::to_owned),
            keep: keep(plan.id.clone(), storage.cloned()),
            clock: parts.clock.clone(),
            health: parts.health.clone(),
            shutdown: parts.shutdown.clone(),
        });
        let (id, max_viewers) = (plan.id.clone(), plan.max_viewers);
        let stuck_after = STUCK_AFTER.max(plan.source.timeout * 2 + plan.source.restart_timeout);
        let encodes = plan.encode.is_some();
        Self { id, max_viewers, hub, stuck_after, encodes, camera, record, snapshot, snapshot_threads }
    }

    /// The stream as the RTSP server sees it.
    pub(super) fn served(&self, first: bool) -> rtsp::Served {
        rtsp::Served { id: self.id.clone(), first, hub: self.hub.clone(), max_viewers: self.max_viewers }
    }

    /// The recorder, if the stream has one.
    pub(super) fn recorder(&self) -> Option<record::Handle> {
        self.record.clone()
    }

    /// What the watchdog watches. A branch that waits for its camera or its disk says so and is not judged.
    pub(super) fn watched(&self, parts: &Parts) -> Vec<Watched> {
        let watched = |branch: &str, heartbeat| {
            let name = format!("{}/{branch}", self.id);
            let (health, page) = (parts.health.clone(), name.clone());
            let running = Box::new(move || health.is_running(&page));
            Watched { name, heartbeat, limit: self.stuck_after, running }
        };
        let always = |name: &str, heartbeat| {
            let name = format!("{}/{name}", self.id);
            Watched { name, heartbeat, limit: HELD_AFTER.max(self.stuck_after * 2), running: Box::new(|| true) }
        };
        let beats = self.camera.beats.clone();
        let mut list = vec![watched("source", beats.frames), always("source's keeper", beats.camera_alive)];
        if self.encodes {
            list.extend([watched("encode", beats.encoded), always("encoder's keeper", beats.encoder_alive)]);
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
            tracing::warn!(stream = %self.id, "the open segment is left to the recovery at the next start");
        }
    }

    /// Waits for the threads to end.
    pub(super) fn join(self) {
        self.camera.join();
        for thread in self.snapshot_threads {
            // A panic was logged where it happened.
            let _ = thread.join();
        }
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
pub(super) struct Snapshots(BTreeMap<StreamId, snapshot::Handle>);

impl Snapshots {
    pub(super) fn of(streams: &[Stream]) -> Self {
        Self(streams.iter().map(|s| (s.id.clone(), s.snapshot.clone())).collect())
    }
}

impl TakeSnapshot for Snapshots {
    fn snapshot(&self, stream: &StreamId) -> Result<Snapshot, NoSnapshot> {
        let handle = self.0.get(stream).ok_or(NoSnapshot::NoPicture)?;
        match handle.take(Duration::from_secs(1)) {
            Ok(taken) => Ok(Snapshot { jpeg: taken.jpeg, taken_wall: taken.taken }),
            Err(snapshot::Error::NoPicture) => Err(NoSnapshot::NoPicture),
            Err(snapshot::Error::NoAnswer(_)) => Err(NoSnapshot::Late),
            Err(e) => Err(NoSnapshot::Failed(Box::new(e))),
        }
    }
}
