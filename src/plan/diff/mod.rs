//! What changes from one Plan to another: in words, and which part of the daemon it concerns. Pure.

use std::fmt::{self, Display};

use serde::{Serialize, Serializer};

use crate::base::id::StreamId;
use crate::media::csi::Memory;

use super::show::human;
use super::{DeviceMatch, EncodePlan, Plan, RtspPlan, RtspsPlan, SourceKind, SourcePlan, StoragePlan, StreamPlan};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What has to follow it.
    pub part: Part,
    /// What is different.
    pub what: &'static str,
    /// What it was.
    pub old: String,
    /// What it is to be.
    pub new: String,
    /// What following it means for those who watch and for the recording.
    pub effect: &'static str,
}

/// A part of the daemon that can be changed by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The board. Encoders and limits hang on it: nothing follows while the daemon runs.
    Board,
    /// Which stream is `/live`.
    First,
    /// The order of the other streams.
    Order,
    /// A stream that is new.
    Added(StreamId),
    /// A stream that goes.
    Removed(StreamId),
    /// The camera of a stream, and with it the encoder.
    Camera(StreamId),
    /// The encoder of a stream.
    Encoder(StreamId),
    /// The bit rate of a stream alone.
    Bitrate(StreamId),
    /// The recorder of a stream.
    Recorder(StreamId),
    /// The snapshots of a stream.
    Snapshots(StreamId),
    /// How many may watch one stream.
    StreamViewers(StreamId),
    /// Where recordings and snapshots go.
    Storage,
    /// What is deleted when.
    Retention,
    /// The RTSP server, as a whole.
    Rtsp,
    /// The address of the RTSP server.
    RtspListen,
    /// Whether there is a TLS port.
    Rtsps,
    /// The address of the TLS port.
    RtspsListen,
    /// What the TLS port shows.
    Certificate,
    /// How many may watch in all.
    Viewers,
    /// Whether HTTP shows pictures.
    Pictures,
    /// The address of the HTTP door.
    HttpListen,
    /// The unix socket.
    Socket,
}

impl Part {
    fn effect(&self) -> &'static str {
        match self {
            Part::Board => "needs a restart",
            Part::First => "viewers of both streams connect again, recordings begin a new file",
            Part::Order | Part::Retention | Part::Viewers | Part::StreamViewers(_) | Part::Pictures => {
                "changed while running"
            }
            Part::Added(_) => "started",
            Part::Removed(_) => "ended; its recordings stay",
            Part::Camera(_) => "the camera and its encoder restarted, viewers stay connected",
            Part::Encoder(_) => "the encoder restarted, viewers stay connected",
            Part::Bitrate(_) => "changed while running, viewers see no break",
            Part::Recorder(_) => "the open file is finished; live video goes on",
            Part::Snapshots(_) => "snapshots restarted",
            Part::Storage => "open files are finished; recording and snapshots go on there",
            Part::Rtsp => "the server begins anew, viewers connect again",
            Part::Rtsps => "viewers over plain RTSP do not notice",
            Part::Certificate => "for whoever connects from now on; whoever is connected stays",
            Part::RtspListen | Part::RtspsListen | Part::HttpListen => "listens there; whoever is connected stays",
            Part::Socket => "listens there",
        }
    }
}

impl Display for Part {
    /// Its name, as in the health report where there is such a page: `live/encode`, `storage`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Board => f.write_str("board"),
            Part::First | Part::Order => f.write_str("streams"),
            Part::Added(id) | Part::Removed(id) => write!(f, "{id}"),
            Part::Camera(id) => write!(f, "{id}/source"),
            Part::Encoder(id) | Part::Bitrate(id) => write!(f, "{id}/encode"),
            Part::Recorder(id) => write!(f, "{id}/record"),
            Part::Snapshots(id) => write!(f, "{id}/snapshot"),
            Part::StreamViewers(id) => write!(f, "{id}/rtsp"),
            Part::Storage | Part::Retention => f.write_str("storage"),
            Part::Rtsp | Part::RtspListen | Part::Viewers => f.write_str("rtsp"),
            Part::Rtsps | Part::RtspsListen | Part::Certificate => f.write_str("rtsps"),
            Part::HttpListen | Part::Pictures => f.write_str("http"),
            Part::Socket => f.write_str("http-socket"),
        }
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {} -> {} ({})", self.part, self.what, self.old, self.new, self.effect)
    }
}

/// Every difference, in the order of the Plan. Reasons are no difference, nor is what a camera offers: the two Plans are
/// to be made from one inventory.
pub fn diff(old: &Plan, new: &Plan) -> Vec<Change> {
    let mut list = List(Vec::new());
    list.text(Part::Board, "board", &old.board.value, &new.board.value);
    streams(old, new, &mut list);
    servers(old, new, &mut list);
    storage(old.storage.as_ref(), new.storage.as_ref(), &mut list);
    list.0
}

impl EncodePlan {
    /// True when at most the bit rate differs, which an encoder may follow while it runs.
    pub fn is_same_encoder(&self, other: &Self) -> bool {
        let key = |e: &Self| (e.element.value.clone(), e.codec, e.keyframe_frames, e.threads.value);
        key(self) == key(other) && self.convert.value == other.convert.value
    }
}

struct List(Vec<Change>);

impl List {
    fn text(&mut self, part: Part, what: &'static str, old: impl Display, new: impl Display) {
        let (old, new) = (old.to_string(), new.to_string());
        if old != new {
            let effect = part.effect();
            self.0.push(Change { part, what, old, new, effect });
        }
    }
}

fn streams(old: &Plan, new: &Plan, list: &mut List) {
    let ids = |plan: &Plan| plan.streams.iter().map(|s| s.id.clone()).collect::<Vec<_>>();
    let (before, after) = (ids(old), ids(new));
    for gone in before.iter().filter(|id| !after.contains(id)) {
        list.text(Part::Removed(gone.clone()), "stream", gone, "none");
    }
    for stream in &new.streams {
        match old.streams.iter().find(|s| s.id == stream.id) {
            Some(same) => one_stream(same, stream, list),
            None => list.text(Part::Added(stream.id.clone()), "stream", "none", source(&stream.source.kind)),
        }
    }
    let names = |ids: &[StreamId], others: &[StreamId]| {
        let common = ids.iter().filter(|id| others.contains(id));
        common.map(StreamId::as_str).collect::<Vec<_>>().join(", ")
    };
    match (before.first(), after.first()) {
        (Some(before), Some(after)) if before != after => list.text(Part::First, "served as /live", before, after),
        _ => list.text(Part::Order, "order", names(&before, &after), names(&after, &before)),
    }
}

fn one_stream(old: &StreamPlan, new: &StreamPlan, list: &mut List) {
    let id = || new.id.clone();
    let camera = || Part::Camera(id());
    list.text(camera(), "source", source(&old.source.kind), source(&new.source.kind));
    list.text(camera(), "flip", old.source.flip, new.source.flip);
    list.text(camera(), "size", old.size, new.size);
    list.text(camera(), "frames per second", old.rate, new.rate);
    list.text(camera(), "controls", controls(&old.source), controls(&new.source));
    list.text(camera(), "slate", on(&old.slate.then_some(())), on(&new.slate.then_some(())));
    list.text(camera(), "frozen after", human(old.source.frozen_after), human(new.source.frozen_after));
    list.text(camera(), "timeout", human(old.source.timeout), human(new.source.timeout));
    list.text(camera(), "time to open", human(old.source.restart_timeout), human(new.source.restart_timeout));
    list.text(camera(), "longest pause", human(old.source.retry_every_max), human(new.source.retry_every_max));
    match (&old.encode, &new.encode) {
        (Some(old), Some(new)) => encode(&id(), old, new, list),
        (old, new) => {
            let name = |e: &Option<EncodePlan>| e.as_ref().map_or("none".to_owned(), |e| e.element.value.clone());
            list.text(camera(), "encoder", name(old), name(new));
        }
    }
    let recorder = || Part::Recorder(id());
    match (&old.record, &new.record) {
        (Some(old), Some(new)) => {
            list.text(recorder(), "files", old.format, new.format);
            list.text(recorder(), "length of a file", human(old.segment), human(new.segment));
            list.text(recorder(), "buffer", human(old.buffer), human(new.buffer));
        }
        (old, new) => list.text(recorder(), "recording", on(old), on(new)),
    }
    let every = |stream: &StreamPlan| {
        stream.snapshot.as_ref().map_or("off".to_owned(), |snapshot| format!("every {}", human(snapshot.every)))
    };
    list.text(Part::Snapshots(id()), "snapshots", every(old), every(new));
    list.text(Part::StreamViewers(id()), "viewers", at_most(old.max_viewers), at_most(new.max_viewers));
}

fn encode(id: &StreamId, old: &EncodePlan, new: &EncodePlan, list: &mut List) {
    let encoder = || Part::Encoder(id.clone());
    list.text(encoder(), "encoder", &old.element.value, &new.element.value);
    list.text(encoder(), "conversion", old.convert.value.join(", "), new.convert.value.join(", "));
    list.text(encoder(), "codec", old.codec, new.codec);
    list.text(encoder(), "pictures from keyframe to keyframe", old.keyframe_frames, new.keyframe_frames);
    list.text(encoder(), "encoder threads", old.threads.value, new.threads.value);
    list.text(Part::Bitrate(id.clone()), "bit rate", old.bitrate, new.bitrate);
}

fn servers(old: &Plan, new: &Plan, list: &mut List) {
    match (&old.rtsp, &new.rtsp) {
        (Some(old), Some(new)) => {
            list.text(Part::RtspListen, "address", old.listen, new.listen);
            let login =
                |plan: &RtspPlan| plan.login.as_ref().map_or("none".to_owned(), |file| file.display().to_string());
            list.text(Part::Rtsp, "login", login(old), login(new));
            list.text(Part::Viewers, "viewers in all", at_most(Some(old.max_viewers)), at_most(Some(new.max_viewers)));
            let host = |plan: &RtspPlan| at_most(Some(plan.max_viewers_per_host));
            list.text(Part::Viewers, "viewers from one host", host(old), host(new));
            secure(old.secure.as_ref(), new.secure.as_ref(), list);
        }
        (old, new) => list.text(Part::Rtsp, "server", on(old), on(new)),
    }
    let pictures = |login: bool| if login { "none without a login" } else { "shown" };
    list.text(Part::Pictures, "pictures", pictures(old.http.login), pictures(new.http.login));
    list.text(Part::HttpListen, "address", old.http.listen, new.http.listen);
    list.text(Part::Socket, "socket", old.http.socket.display(), new.http.socket.display());
}

fn secure(old: Option<&RtspsPlan>, new: Option<&RtspsPlan>, list: &mut List) {
    match (old, new) {
        (Some(old), Some(new)) => {
            list.text(Part::RtspsListen, "address", old.listen, new.listen);
            list.text(Part::Certificate, "certificate", old.certificate.display(), new.certificate.display());
            list.text(Part::Certificate, "key", old.key.display(), new.key.display());
        }
        (old, new) => {
            let address = |plan: Option<&RtspsPlan>| plan.map_or("none".to_owned(), |plan| plan.listen.to_string());
            list.text(Part::Rtsps, "TLS port", address(old), address(new));
        }
    }
}

fn storage(old: Option<&StoragePlan>, new: Option<&StoragePlan>, list: &mut List) {
    let path = |plan: Option<&StoragePlan>| plan.map_or("none".to_owned(), |s| s.path.display().to_string());
    list.text(Part::Storage, "place", path(old), path(new));
    let (Some(old), Some(new)) = (old, new) else { return };
    let age =
        |plan: &StoragePlan| plan.max_age.map_or("at any age".to_owned(), |age| format!("until {} old", human(age)));
    list.text(Part::Retention, "kept free", old.keep_free, new.keep_free);
    list.text(Part::Retention, "kept", age(old), age(new));
    list.text(Part::Retention, "always kept", human(old.min_keep), human(new.min_keep));
    list.text(Part::Retention, "snapshots kept", old.images, new.images);
}

fn source(kind: &SourceKind) -> String {
    match kind {
        SourceKind::Test => "test picture".into(),
        SourceKind::Csi(csi) => {
            let mode = csi.mode.value.map_or("auto".to_owned(), |mode| mode.to_string());
            let memory = match csi.memory.value {
                Memory::Surfaces => "in surfaces",
                Memory::System => "in memory",
            };
            let settings: String = csi.settings.list().iter().map(|setting| format!(", {setting}")).collect();
            format!("sensor {}, by {}, mode {mode}, {memory}{settings}", csi.sensor.value, csi.stack.value)
        }
        SourceKind::File { paths } => {
            let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
            format!("clips {}", paths.join(", "))
        }
        SourceKind::V4l2 { device, wish, .. } => {
            let device = match &device.value {
                DeviceMatch::Any => "auto".to_owned(),
                DeviceMatch::Path(path) => path.display().to_string(),
            };
            format!("camera {device}, format {}", format!("{wish:?}").to_lowercase())
        }
    }
}

fn controls(source: &SourcePlan) -> String {
    if source.controls.is_empty() { "none".into() } else { source.controls.to_string() }
}

fn on<T>(plan: &Option<T>) -> &'static str {
    if plan.is_some() { "on" } else { "off" }
}

fn at_most(viewers: Option<u32>) -> String {
    viewers.map_or_else(|| "no limit of its own".to_owned(), |n| format!("at most {n}"))
}

#[cfg(test)]
mod tests;
