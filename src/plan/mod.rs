//! The Plan: a plain, comparable value that says what will run and why. `check` prints it, `run` executes it.
//!
//! Made by a pure function from wishes (Config), facts (board profile) and findings (Inventory), so that the choice
//! for any board can be tested on any laptop.

pub mod camera;
pub mod control;
pub mod csi;
pub mod diff;
mod encoder;
pub mod identity;
pub mod inventory;
mod resolve;
mod show;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

pub use resolve::{Resolution, board, resolve, stack};
pub use show::text;

use crate::base::id::StreamId;
use crate::base::units::{Bitrate, ByteSize};
use crate::config::controls::Controls;
use crate::config::schema::FormatWish;
use crate::media::codec::Codec;
use crate::media::container::Container;
use crate::media::csi::Memory;
use crate::media::format::{Flip, FrameRate, PixelFormat, Size};

/// Everything the daemon will run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The board profile in use, and how it was found.
    pub board: Chosen<String>,
    /// The streams, in the order of the configuration. The first one is `/live`.
    pub streams: Vec<StreamPlan>,
    /// The RTSP server, unless switched off.
    pub rtsp: Option<RtspPlan>,
    /// The HTTP door.
    pub http: HttpPlan,
    /// Where recordings and snapshots go; present if any stream records or takes snapshots.
    pub storage: Option<StoragePlan>,
}

/// A choice and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chosen<T> {
    /// What was chosen.
    pub value: T,
    /// Why, in one sentence for `check`.
    pub reason: String,
}

/// One stream: a source, its encode, and where the frames go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamPlan {
    /// Its name.
    pub id: StreamId,
    /// Where frames enter.
    pub source: SourcePlan,
    /// Size of the encoded picture, after `flip`. What is asked of the source is the same with `flip` undone.
    pub size: Size,
    /// Frames per second.
    pub rate: FrameRate,
    /// The encode; `None` where the source already delivers an encoded stream.
    pub encode: Option<EncodePlan>,
    /// Show viewers a slate while the source delivers nothing; only with an encode that takes pictures from the
    /// processor's memory, where slates are drawn.
    pub slate: bool,
    /// Recording, if enabled.
    pub record: Option<RecordPlan>,
    /// Snapshots, if enabled.
    pub snapshot: Option<SnapshotPlan>,
    /// At most so many viewers of this stream.
    pub max_viewers: Option<u32>,
}

/// Where frames enter, and what to do when they stop.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourcePlan {
    /// The kind of source and what it needs.
    pub kind: SourceKind,
    /// Why this kind.
    pub reason: String,
    /// Turns the picture.
    pub flip: Flip,
    /// What is set on the camera each time it is opened.
    #[serde(skip_serializing_if = "Controls::is_empty")]
    pub controls: Controls,
    /// No frame for so long: the source counts as frozen.
    #[serde(serialize_with = "span")]
    pub frozen_after: Duration,
    /// No frame for so long: the source counts as lost and is opened again.
    #[serde(serialize_with = "span")]
    pub timeout: Duration,
    /// One attempt to open may take so long.
    #[serde(serialize_with = "span")]
    pub restart_timeout: Duration,
    /// Backoff between attempts grows to this.
    #[serde(serialize_with = "span")]
    pub retry_every_max: Duration,
}

/// The kinds of source.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum SourceKind {
    /// A moving test picture with clock, frame number and machine-readable time stamp.
    Test,
    /// A v4l2 camera.
    V4l2 {
        /// How the device is found again after it was unplugged.
        device: Chosen<DeviceMatch>,
        /// What the configuration asks for; the pipeline chooses by it each time the camera appears.
        wish: FormatWish,
        /// What is asked of the camera that is there now; `None` while none is.
        format: Option<Chosen<PixelFormat>>,
    },
    /// A sensor on the board's own connector.
    Csi(Box<csi::CsiPlan>),
    /// Clips, played one after the other and again from the first, in real time.
    File {
        /// The clips, absolute.
        paths: Vec<PathBuf>,
    },
}

impl SourceKind {
    /// Where raw pictures lie when they leave the source.
    pub fn memory(&self) -> Memory {
        match self {
            SourceKind::Csi(csi) => csi.memory.value,
            SourceKind::Test | SourceKind::V4l2 { .. } | SourceKind::File { .. } => Memory::System,
        }
    }
}

impl StreamPlan {
    /// The element that carries a raw picture to the processor's memory, where it lies elsewhere.
    pub fn carrier(&self) -> Option<&str> {
        match &self.source.kind {
            SourceKind::Csi(csi) if csi.memory.value == Memory::Surfaces => csi.converter.as_deref(),
            _ => None,
        }
    }
}

/// How to find a v4l2 device. Numbers change when a camera is plugged in again; names by port or serial do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceMatch {
    /// The first camera that can do what is asked (`device = "auto"`).
    Any,
    /// This node or link: `/dev/video0`, `/dev/v4l/by-id/...`, `/dev/v4l/by-path/...`.
    Path(PathBuf),
}

/// How raw pictures become a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EncodePlan {
    /// The GStreamer element, and why this one.
    pub element: Chosen<String>,
    /// True when it passed its self-test; if none did, this is the best one, which is tried again and again.
    pub works: bool,
    /// The elements that make pictures of the source fit for the encoder, in order, and why these.
    pub convert: Chosen<Vec<String>>,
    /// The codec.
    pub codec: Codec,
    /// Target bit rate.
    pub bitrate: Bitrate,
    /// Pictures from one keyframe to the next, at most.
    pub keyframe_frames: u32,
    /// Encoder threads (slices); 1 unless the picture is too much for one core.
    pub threads: Chosen<u32>,
}

/// The RTSP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RtspPlan {
    /// Address and port; `[::]` serves IPv4 too.
    pub listen: SocketAddr,
    /// Viewers over all streams and protocols, 1 to 1000.
    pub max_viewers: u32,
    /// Viewers from one host, 1 to 1000.
    pub max_viewers_per_host: u32,
    /// The file of credentials, where watching needs a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<PathBuf>,
    /// The TLS port, where one is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure: Option<RtspsPlan>,
}

/// RTSP over TLS: the same streams, viewers and limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RtspsPlan {
    /// Address and port.
    pub listen: SocketAddr,
    /// The file of the certificate, with those between it and a trusted one.
    pub certificate: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
}

/// The HTTP door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpPlan {
    /// Address and port.
    pub listen: SocketAddr,
    /// The unix socket of local administration.
    pub socket: PathBuf,
    /// Watching needs a login, which HTTP over TCP does not have: it shows no pictures.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub login: bool,
}

/// The storage volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoragePlan {
    /// The directory that bears our marker.
    pub path: PathBuf,
    /// Oldest segments go when less than this is free.
    pub keep_free: ByteSize,
    /// Segments older than this go, while the clock is known to be right; `None` for never.
    #[serde(serialize_with = "span_option")]
    pub max_age: Option<Duration>,
    /// The newest recordings of each stream that are never deleted.
    #[serde(serialize_with = "span")]
    pub min_keep: Duration,
    /// Newest snapshots kept per stream.
    pub images: u32,
}

/// The recorder of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordPlan {
    /// What the files are.
    pub format: Container,
    /// Length of a segment file, cut at the next keyframe.
    #[serde(serialize_with = "span")]
    pub segment: Duration,
    /// Depth of the queue between stream and disk, in time.
    #[serde(serialize_with = "span")]
    pub buffer: Duration,
}

/// Snapshots of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotPlan {
    /// One JPEG each so often.
    #[serde(serialize_with = "span")]
    pub every: Duration,
}

fn span<S: serde::Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&humantime::format_duration(*d))
}

fn span_option<S: serde::Serializer>(d: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    match d {
        Some(d) => span(d, s),
        None => s.serialize_str("never"),
    }
}
