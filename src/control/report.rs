//! What control says: how everything fares, and each stream with its URLs. Pure functions of the plan and the book.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::base::fault::FaultCode;
use crate::base::health::{BranchReport, Condition, FaultReport};
use crate::base::id::StreamId;
use crate::media::codec::Codec;
use crate::media::format::{FrameRate, Size};
use crate::plan::{Plan, SourceKind, StreamPlan};

/// The branches of a stream that carry its live video, cause before effect: `live/source`, `live/encode`. A stream
/// runs while they do; its other branches (recorder, snapshots) have their own conditions.
const VIDEO: [&str; 2] = ["source", "encode"];

/// The branch of the RTSP server. It runs (or idles) while the port is open; its counter `port` is the real port.
const RTSP: &str = "rtsp";
/// The branch of the TLS port; its counter `port` is the real port.
const RTSPS: &str = "rtsps";
/// The branch of the HTTP door on TCP; its counter `port` is the real port.
const HTTP: &str = "http";
/// The counter that holds a port, for ports that the system chose.
const PORT: &str = "port";

/// How the daemon fares, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing is wrong. (Starting and idle count as ok.)
    Ok,
    /// A fault is present, or something is absent or recovering, but the daemon does its main work or waits for a
    /// camera that is not there.
    Degraded,
    /// There are streams, none of them runs or idles, and at least one has failed: it is recovering, stopped, or has
    /// a fault other than an absent camera.
    Failed,
}

/// How everything fares.
#[derive(Debug, Clone, Serialize)]
pub struct HealthReport {
    /// In one word.
    pub status: Status,
    /// Control answers and RTSP is listening, camera or not.
    pub ready: bool,
    /// Version and source revision.
    pub version: &'static str,
    /// Since the daemon started, in seconds.
    pub uptime_s: f64,
    /// The wall clock is known to be right.
    pub clock_is_right: bool,
    /// Each stream, in the order of the plan.
    pub streams: Vec<StreamHealth>,
    /// Each branch, by name.
    pub branches: Vec<BranchReport>,
}

/// What a stream is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamHealth {
    /// Its name.
    pub id: StreamId,
    /// What its live video is doing.
    pub condition: Condition,
}

/// One stream.
#[derive(Debug, Clone, Serialize)]
pub struct StreamReport {
    /// Its name.
    pub id: StreamId,
    /// What its live video is doing.
    pub condition: Condition,
    /// One line for people.
    pub detail: String,
    /// The kind of source.
    pub source: &'static str,
    /// Size of the picture.
    pub size: Size,
    /// Frames per second.
    pub fps: FrameRate,
    /// The codec, where the daemon encodes.
    pub codec: Option<Codec>,
    /// What the recorder is doing, if there is one.
    pub recording: Option<Condition>,
    /// Present faults of all its branches.
    pub faults: Vec<FaultReport>,
    /// Where it can be had.
    pub urls: Urls,
}

/// Every URL of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Urls {
    /// Live video, unless RTSP is switched off.
    pub rtsp: Option<String>,
    /// The same over TLS, where that is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtsps: Option<String>,
    /// A picture of now.
    pub snapshot: String,
    /// This description.
    pub stream: String,
}

/// How the asker reached the daemon: URLs are of use only with a host name that works from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Host name or address, an IPv6 address in brackets.
    pub host: String,
    /// The HTTP port the asker used, if he came that way; else the one that is open.
    pub http_port: Option<u16>,
}

impl HealthReport {
    /// One line for `systemctl status`: `degraded: live absent; CAM-001 the camera is not there`.
    pub fn line(&self) -> String {
        let word = match self.status {
            Status::Ok => "ok",
            Status::Degraded => "degraded",
            Status::Failed => "failed",
        };
        let streams = self.streams.iter().map(|s| format!("{} {}", s.id, format!("{:?}", s.condition).to_lowercase()));
        let streams: Vec<String> = streams.collect();
        let faults = self.branches.iter().flat_map(|b| &b.faults).map(|f| format!("; {} {}", f.code, f.title));
        format!("{word}: {}{}", streams.join(", "), faults.collect::<String>())
    }
}

pub(super) fn health(plan: &Plan, branches: Vec<BranchReport>, uptime: Duration, clock_is_right: bool) -> HealthReport {
    let of = |s: &StreamPlan| StreamHealth { id: s.id.clone(), condition: condition(&video(&branches, &s.id)) };
    let streams: Vec<StreamHealth> = plan.streams.iter().map(of).collect();
    HealthReport {
        status: status(&streams, &branches),
        ready: rtsp_listens(plan, &branches),
        version: concat!(env!("CARGO_PKG_VERSION"), " (", env!("WINDHOVER_REVISION"), ")"),
        uptime_s: uptime.as_secs_f64(),
        clock_is_right,
        streams,
        branches,
    }
}

fn status(streams: &[StreamHealth], branches: &[BranchReport]) -> Status {
    let flows = |s: &StreamHealth| matches!(s.condition, Condition::Running | Condition::Idle);
    let failed = |s: &StreamHealth| {
        let faults = video(branches, &s.id).into_iter().flat_map(|b| &b.faults);
        matches!(s.condition, Condition::Frozen | Condition::Recovering | Condition::Stopped)
            || faults.into_iter().any(|f| f.code != FaultCode::CameraAbsent)
    };
    if !streams.iter().any(flows) && streams.iter().any(failed) {
        return Status::Failed;
    }
    let wrong = |b: &BranchReport| {
        let stands = matches!(b.condition, Condition::Absent | Condition::Frozen | Condition::Recovering);
        stands || !b.faults.is_empty()
    };
    if branches.iter().any(wrong) { Status::Degraded } else { Status::Ok }
}

fn rtsp_listens(plan: &Plan, branches: &[BranchReport]) -> bool {
    let open = |b: &BranchReport| matches!(b.condition, Condition::Running | Condition::Idle);
    plan.rtsp.is_none() || branches.iter().any(|b| b.name == RTSP && open(b))
}

/// The branches that carry the live video of `id`, cause before effect.
pub(super) fn video<'a>(branches: &'a [BranchReport], id: &StreamId) -> Vec<&'a BranchReport> {
    VIDEO.iter().filter_map(|part| branch(branches, id, part)).collect()
}

fn branch<'a>(branches: &'a [BranchReport], id: &StreamId, part: &str) -> Option<&'a BranchReport> {
    let of = |b: &&BranchReport| b.name.split_once('/') == Some((id.as_str(), part));
    branches.iter().find(of)
}

/// A stream does what the first of its branches does that does not run: without a source the encoder is no news.
fn condition(video: &[&BranchReport]) -> Condition {
    let Some(source) = video.first() else { return Condition::Starting };
    video.iter().map(|b| b.condition).find(|c| *c != Condition::Running).unwrap_or(source.condition)
}

pub(super) fn stream(plan: &Plan, stream: &StreamPlan, branches: &[BranchReport], at: &Reached) -> StreamReport {
    let id = &stream.id;
    let video = video(branches, id);
    let condition = condition(&video);
    let detail = video.iter().find(|b| b.condition == condition).map(|b| b.detail.clone()).unwrap_or_default();
    let ours = |b: &&BranchReport| b.name.split_once('/').is_some_and(|(of, _)| of == id.as_str());
    StreamReport {
        condition,
        detail,
        source: match stream.source.kind {
            SourceKind::Test => "test",
            SourceKind::V4l2 { .. } => "v4l2",
            SourceKind::Csi(_) => "csi",
            SourceKind::File { .. } => "file",
        },
        size: stream.size,
        fps: stream.rate,
        codec: stream.encode.as_ref().map(|e| e.codec),
        recording: stream.record.as_ref().and_then(|_| branch(branches, id, "record")).map(|b| b.condition),
        faults: branches.iter().filter(ours).flat_map(|b| b.faults.clone()).collect(),
        urls: urls(plan, id, branches, at),
        id: id.clone(),
    }
}

fn urls(plan: &Plan, id: &StreamId, branches: &[BranchReport], at: &Reached) -> Urls {
    let port = |name: &str, planned: u16| {
        let open = branches.iter().find(|b| b.name == name).and_then(|b| b.counters.get(PORT));
        open.and_then(|p| u16::try_from(*p).ok()).unwrap_or(planned)
    };
    let host = &at.host;
    // `/live` is the name to hand out: it stays when the first stream is renamed.
    let mount = if plan.streams.first().is_some_and(|s| s.id == *id) { "live" } else { id.as_str() };
    let rtsp = plan.rtsp.as_ref().map(|r| format!("rtsp://{host}:{}/{mount}", port(RTSP, r.listen.port())));
    let secure = plan.rtsp.as_ref().and_then(|r| r.secure.as_ref());
    let rtsps = secure.map(|s| format!("rtsps://{host}:{}/{mount}", port(RTSPS, s.listen.port())));
    let http = at.http_port.unwrap_or_else(|| port(HTTP, plan.http.listen.port()));
    let base = format!("http://{host}:{http}/api/v1/streams/{id}");
    Urls { rtsp, rtsps, snapshot: format!("{base}/snapshot.jpg"), stream: base }
}

pub(super) fn shared<T: Serialize, S: Serializer>(value: &Arc<T>, s: S) -> Result<S::Ok, S::Error> {
    value.as_ref().serialize(s)
}
