//! Control: the one operations surface. Whatever asks (HTTP, later the cable) asks a `Query` and gets a `Reply`.
//!
//! Nobody waits for a worker here: health is read from the book, the plan from its slot. Only a snapshot does work,
//! on a thread of its own, with a deadline.

mod eject;
mod error;
mod reload;
mod report;
mod snapshot;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};

use crate::base::clock::Clock;
use crate::base::health::Health;
use crate::base::heartbeat::Heartbeat;
use crate::base::id::StreamId;
use crate::plan::{Plan, StreamPlan};
use crate::supervise::CONTROL_LIMIT;

pub use eject::{EjectDisk, Ejected, NotEjected};
pub use error::Error;
pub use reload::{Reload, Reloaded, Reloads};
pub use report::{HealthReport, Reached, Status, StreamHealth, StreamReport, Urls};
pub use snapshot::{NoSnapshot, Snapshot, TakeSnapshot};

/// What one may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "query")]
pub enum Query {
    /// How everything fares.
    Health,
    /// What runs and why.
    Plan,
    /// All streams with their URLs.
    Streams {
        /// How the asker reached us, for the URLs.
        reached: Reached,
    },
    /// One stream with its URLs.
    Stream {
        /// Which.
        stream: StreamId,
        /// How the asker reached us, for the URLs.
        reached: Reached,
    },
    /// A picture of now.
    Snapshot {
        /// Of which stream.
        stream: StreamId,
    },
}

/// What one may order. Whoever passes it on has made sure that the one who orders may do so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum Command {
    /// Read the configuration again and change what is different.
    Reload,
    /// Finish what is recorded, and give the disk up, to be pulled.
    Eject,
}

/// What came of a `Command`.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Done {
    /// Another configuration runs, or the same one.
    Reloaded(Reloaded),
    /// The disk was given up.
    Ejected(Ejected),
}

/// The answer to a `Query`.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// How everything fares.
    Health(HealthReport),
    /// What runs and why.
    Plan(#[serde(serialize_with = "report::shared")] Arc<Plan>),
    /// All streams, the first one is `/live`.
    Streams(Vec<StreamReport>),
    /// One stream.
    Stream(Box<StreamReport>),
    /// A picture.
    Snapshot(Snapshot),
}

/// What control is built from.
pub struct Parts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The book of all branches.
    pub health: Health,
    /// The plan that runs; a reload puts another into the slot.
    pub plan: watch::Receiver<Arc<Plan>>,
    /// Makes snapshots.
    pub snapshots: Arc<dyn TakeSnapshot>,
    /// Gives up the disk for recordings.
    pub disk: Arc<dyn EjectDisk>,
    /// The heart of the control loop (`supervise::beat`).
    pub heartbeat: Heartbeat,
    /// Whoever changes the running daemon.
    pub reloads: Reloads,
}

/// The handle: cheap to clone, usable from any task.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    parts: Parts,
    started: Duration,
    snapshots: Arc<Semaphore>,
    ejecting: Arc<Semaphore>,
}

impl Control {
    /// Control over these parts; the uptime counts from now.
    pub fn new(parts: Parts) -> Self {
        let started = parts.clock.monotonic();
        let (snapshots, ejecting) = (Semaphore::new(snapshot::AT_ONCE), Semaphore::new(1));
        Self(Arc::new(Inner { parts, started, snapshots: Arc::new(snapshots), ejecting: Arc::new(ejecting) }))
    }

    /// Answers a query. Only a snapshot takes time, at most about a second.
    pub async fn ask(&self, query: Query) -> Result<Reply, Error> {
        match query {
            Query::Health => Ok(Reply::Health(self.health())),
            Query::Plan => Ok(Reply::Plan(self.plan())),
            Query::Streams { reached } => {
                let (plan, branches) = (self.plan(), self.0.parts.health.report());
                let streams = plan.streams.iter();
                Ok(Reply::Streams(streams.map(|s| report::stream(&plan, s, &branches, &reached)).collect()))
            }
            Query::Stream { stream, reached } => {
                let (plan, branches) = (self.plan(), self.0.parts.health.report());
                let stream = find(&plan, &stream)?;
                Ok(Reply::Stream(Box::new(report::stream(&plan, stream, &branches, &reached))))
            }
            Query::Snapshot { stream } => {
                find(&self.plan(), &stream)?;
                self.snapshot(stream).await.map(Reply::Snapshot)
            }
        }
    }

    /// Carries out a command. A reload takes as long as the parts take that it restarts, some seconds at worst.
    pub async fn order(&self, command: Command) -> Result<Done, Error> {
        match command {
            Command::Reload => self.0.parts.reloads.reload().await.map(Done::Reloaded),
            Command::Eject => self.eject().await.map(Done::Ejected),
        }
    }

    /// How everything fares, without waiting for anybody.
    pub fn health(&self) -> HealthReport {
        let parts = &self.0.parts;
        let uptime = parts.clock.monotonic().saturating_sub(self.0.started);
        report::health(&self.plan(), parts.health.report(), uptime, parts.clock.wall_is_right())
    }

    /// False when the control loop has not advanced for five seconds. (Before its first beat it counts as alive.)
    pub fn alive(&self) -> bool {
        let parts = &self.0.parts;
        parts.heartbeat.age(parts.clock.monotonic()).is_none_or(|age| age <= CONTROL_LIMIT)
    }

    fn plan(&self) -> Arc<Plan> {
        self.0.parts.plan.borrow().clone()
    }
}

fn find<'a>(plan: &'a Plan, id: &StreamId) -> Result<&'a StreamPlan, Error> {
    plan.streams.iter().find(|s| s.id == *id).ok_or_else(|| Error::UnknownStream {
        stream: id.clone(),
        known: plan.streams.iter().map(|s| s.id.clone()).collect(),
    })
}

#[cfg(test)]
pub(crate) mod tests;
