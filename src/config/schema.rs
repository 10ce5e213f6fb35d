//! Every key of the configuration. The doc comment of a key is its reference: the commented default file
//! (`windhover.toml` beside this file, `windhover check --print-defaults`) is generated from here.

// The comments below are the reference of the keys, also as text in windhover.toml: "[::]" is no link, "<id>" no HTML.
#![allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::base::id::StreamId;
use crate::base::redact;
use crate::base::units::{Bitrate, ByteSize, Span};
use crate::media::codec::Codec;
use crate::media::container::Container;
use crate::media::csi::CameraStack;
use crate::media::format::{Flip, FrameRate, Size};

use super::controls::Controls;
use super::csi::{CameraName, Effort, Exposure, Gain, WhiteBalance};
use super::section::section;
use super::value::{Clips, MaxAge, readable, words};

section! {
    /// The whole configuration.
    pub struct Settings {
        /// The board profile: "auto" recognises the board by its device tree, or the name of a profile
        /// ("laptop", "sim", "orin-nano").
        board: BoardName = "\"auto\"",
        /// Who may do what.
        access: Access = "",
        /// Where recordings and snapshots go, and when the oldest are deleted.
        storage: Storage = "",
        /// The RTSP server.
        rtsp: Rtsp = "",
        /// Limits of the whole daemon.
        limits: Limits = "",
        /// The HTTP door: health, plan, snapshots.
        http: Http = "",
        /// What all streams have in common.
        stream_defaults: StreamDefaults = "",
        /// The streams, 1 to 16. The first one is `rtsp://<host>:8554/live`, the others are `/<id>`. Without any, there is
        /// one stream with the defaults below. A layer above changes the keys of a stream with the same id, and adds one
        /// with another id behind the others.
        stream: Vec<Stream> = "",
    }
}

section! {
    /// Who may do what.
    pub struct Access {
        /// Who may watch: "open" means everybody who can reach the listeners. "login": by RTSP only who has a name and
        /// password made by `windhover access rtsp add`, and no pictures by HTTP but over the unix socket. Must be stated
        /// when any listener is not on the loopback address. No default.
        watch: Option<Watch> = "",
    }
}

section! {
    /// Where recordings and snapshots go.
    pub struct Storage {
        /// The directory that bears our marker; made at the first start if it is absent or empty. Absolute.
        /// Default: windhover/video in the user's XDG data directory (~/.local/share).
        path: Option<PathBuf> = "",
        /// The oldest segments are deleted when less than this is free, but not where that does not help, because other
        /// data fills the disk. Less than half of the file system.
        keep_free: ByteSize = "\"2 GiB\"",
        /// Segments older than this are deleted, while the clock is known to be right; "never" to keep them until space
        /// is short. At least 1 minute.
        max_age: MaxAge = "\"30 days\"",
        /// The newest recordings of each stream that are never deleted.
        min_keep: Span = "\"10 min\"",
        /// Newest snapshots kept per stream, 1 to 100,000.
        images: u32 = "1000",
    }
}

section! {
    /// The RTSP server.
    pub struct Rtsp {
        /// Switches the RTSP server on or off.
        enabled: bool = "true",
        /// Address and port. `[::]:8554` serves all addresses of both IP versions. Port 0 lets the kernel choose.
        listen: SocketAddr = "\"127.0.0.1:8554\"",
        /// Address and port of RTSP over TLS, such as "[::]:8322": the same streams at `rtsps://<host>:8322/live`, media
        /// in the same connection. Unset: none. Needs the package glib-networking.
        tls_listen: Option<SocketAddr> = "",
        /// For tls_listen: the file of the certificate in PEM form, first its own, then those between it and one that
        /// viewers trust. Absolute. A changed file is taken by itself, for whoever connects from then on.
        tls_certificate: Option<PathBuf> = "",
        /// For tls_listen: the file of the certificate's key in PEM form, without a password, readable by the daemon and
        /// by nobody but its owner and group. Absolute.
        tls_key: Option<PathBuf> = "",
    }
}

section! {
    /// Limits of the whole daemon.
    pub struct Limits {
        /// Viewers over all streams and protocols, 1 to 1000; one more is answered with 453.
        max_viewers: u32 = "256",
        /// Viewers from one address (of IPv6, from one /64), 1 to 1000, this machine's own included; one more is answered
        /// with 453. So one host does not take every place. Raise it where many watch from behind one router or relay.
        max_viewers_per_host: u32 = "32",
    }
}

section! {
    /// The HTTP door.
    pub struct Http {
        /// Address and port. `[::]:8080` serves all addresses of both IP versions. Port 0 lets the kernel choose.
        listen: SocketAddr = "\"127.0.0.1:8080\"",
        /// The unix socket of local administration. Absolute, at most 100 bytes.
        /// Default: api.sock in systemd's runtime directory (/run/windhover) or windhover/api.sock in the user's.
        socket: Option<PathBuf> = "",
    }
}

section! {
    /// What all streams have in common.
    pub struct StreamDefaults {
        /// No frame for so long: the source counts as frozen, and viewers are told so. 200 ms to 10 min, and never less
        /// than three frames.
        frozen_after: Span = "\"1s\"",
        /// No frame for so long: the source counts as lost and is opened again. 200 ms to 10 min, and never less than
        /// three frames. Much less than the default of 5 s cuts off cameras that pause by themselves, such as while they
        /// change their exposure or the kernel resets their port.
        timeout: Span = "\"5s\"",
        /// One attempt to open the source may take so long. 200 ms to 10 min.
        restart_timeout: Span = "\"3s\"",
        /// The pause between attempts grows to this. 100 ms to 10 min.
        retry_every_max: Span = "\"1s\"",
        /// Depth of the queue between the stream and the disk: so long may the disk stand still before the recording
        /// has a gap. 1 s to 60 s; at 2 Mbit/s 10 s are 2.5 MB of memory.
        buffer: Span = "\"10s\"",
    }
}

section! {
    /// One stream: a source, its encode, and where the frames go.
    pub struct Stream {
        /// Its name in URLs and directories: 1 to 32 characters a-z, 0-9, '-' and '_'. "live" is for the first stream.
        id: StreamId = "\"live\"",
        /// Where the pictures come from. Written on one line: source = { kind = "v4l2", device = "auto" }
        source: Source = "",
        /// Size of the picture as the camera delivers it, even numbers from 16 to 8192. Nothing is scaled: a clip keeps
        /// its own size and rate.
        size: Size = "\"1280x720\"",
        /// Frames per second, 1 to 240, a whole number or a fraction such as "30000/1001".
        fps: FrameRate = "30",
        /// Turns the picture: "none", "horizontal", "vertical", "rotate-90" (clockwise), "rotate-180", "rotate-270".
        /// A camera that delivers H.264 cannot be turned.
        flip: Flip = "\"none\"",
        /// While the source delivers nothing for longer than stream_defaults.frozen_after, viewers see a slate: a dark
        /// picture that says what is wrong and since when. It is never recorded. A camera that delivers H.264 has none:
        /// nothing is encoded here.
        slate: bool = "true",
        /// Viewers of this stream, 1 to 1000; unset: only limits.max_viewers counts.
        max_viewers: Option<u32> = "",
        /// How the pictures are encoded.
        encode: Encode = "",
        /// Recording.
        record: Record = "",
        /// Snapshots.
        snapshot: Snapshot = "",
    }
}

section! {
    /// Where the pictures of a stream come from. A layer that gives a kind says all of it: other keys of the layers
    /// below it are forgotten.
    pub struct Source begun by "kind" {
        /// "auto": the sensor on the board's camera connector if one is found at the start, else a v4l2 camera, else the
        /// test picture. "test": a moving test picture with clock and frame number. "v4l2": a USB camera, or any other
        /// that delivers finished pictures. "csi": a sensor on the board's connector (Jetson, Raspberry Pi). "file": clips
        /// in a loop, in real time.
        kind: SourceKind = "\"auto\"",
        /// For v4l2: "auto" takes the first camera that can do what is asked, and when it was unplugged waits 5 s for the
        /// same one (by serial number and port) before it takes another; or a node or link such as
        /// "/dev/v4l/by-id/...", which stays the same when cameras are plugged in again.
        device: Option<Device> = "",
        /// For v4l2: what is asked of the camera: "auto", "raw", "mjpeg", or "h264" for a camera that encodes by itself.
        /// Default "auto": raw, unless only MJPEG reaches the size and rate; h264 where no encoder works.
        format: Option<FormatWish> = "",
        /// For v4l2: what is set on the camera each time it is opened, as a table: exposure = "auto", "5ms" or "1/200";
        /// gain, focus = "auto" or a number; white_balance = "auto" or 4500 (kelvin); power_line = "50 Hz", "60 Hz" or
        /// "off"; brightness and every other control by the name and range that `windhover probe` shows. A value
        /// switches its automatic off. Unset controls are left as they are.
        controls: Option<Controls> = "",
        /// For file: one clip or an array of clips, absolute paths, played one after the other and again from the first.
        path: Option<Clips> = "",
        /// For csi: whose software drives the sensor: "argus" (NVIDIA Jetson) or "libcamera" (Raspberry Pi and others).
        /// Default: the board's.
        stack: Option<CameraStack> = "",
        /// For csi: which sensor, by its number from 0 to 15 as `windhover probe` lists them; with argus its sensor-id.
        /// Default: the first that can do what is asked.
        sensor: Option<u32> = "",
        /// For csi: which sensor, by its name or a part of it, such as "imx708". Instead of its number.
        camera: Option<CameraName> = "",
        /// For csi with argus: the number of the sensor's mode, 0 to 31. Default: Argus takes the one that fits best.
        mode: Option<u32> = "",
        /// For csi: the exposure time, 1us to 1s: one value such as "4ms"; with argus also the bounds of the automatic, such
        /// as "100us to 8ms", which keeps the picture of a moving drone sharp. Default: automatic.
        exposure: Option<Exposure> = "",
        /// For csi: the gain, 1 to 256: one value such as 2; with argus also bounds such as "1 to 8". Default: automatic.
        gain: Option<Gain> = "",
        /// For csi: what white is: "auto", "off", "incandescent", "fluorescent", "daylight", "cloudy". Default: automatic.
        white_balance: Option<WhiteBalance> = "",
        /// For csi with argus: noise reduction: "off" (lowest latency), "fast", "best". Default: Argus' own, "fast".
        denoise: Option<Effort> = "",
        /// For csi with argus: edge enhancement: "off" (lowest latency), "fast", "best". Default: Argus' own, "fast".
        sharpen: Option<Effort> = "",
    }
}

section! {
    /// How the pictures of a stream are encoded.
    pub struct Encode {
        /// The codec: "h264".
        codec: Codec = "\"h264\"",
        /// Target bit rate, "64 kbit/s" to "100 Mbit/s".
        bitrate: Bitrate = "\"2 Mbit/s\"",
        /// The longest time from one keyframe to the next, 100 ms to 60 s. Newcomers do not wait for it: they ask.
        keyframe_every: Span = "\"1s\"",
    }
}

section! {
    /// Recording of a stream.
    pub struct Record {
        /// Switches recording on or off.
        enabled: bool = "true",
        /// The container: "mp4", played by everything. "ts" (MPEG transport stream) and "mkv" (Matroska) need the GStreamer
        /// elements mpegtsmux and matroskamux and lose as little at a power cut; what a crash left of them has no
        /// checked pictures, and of mkv no index.
        format: Container = "\"mp4\"",
        /// Length of a file, 1 s to 1 hour; cut at a keyframe.
        segment: Span = "\"5.5s\"",
    }
}

section! {
    /// Snapshots of a stream.
    pub struct Snapshot {
        /// Switches snapshots on or off.
        enabled: bool = "true",
        /// One JPEG each so often, 100 ms to 1 hour.
        every: Span = "\"1s\"",
    }
}

/// `board`: which profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoardName {
    /// Recognise the board.
    Auto,
    /// This one; whether it exists is found out by `plan`.
    Named(String),
}

impl super::value::Setting for BoardName {
    const FORM: &'static str = "the name of a board profile, or \"auto\"";
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(match text {
            "auto" => Self::Auto,
            _ => Self::Named(redact::short(text)),
        })
    }
}

/// `access.watch`: who may watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Everybody who can reach the listeners.
    Open,
    /// Who has a credential.
    Login,
}
words!(Watch, "who may watch, such as \"open\"", {
    "open" => Watch::Open,
    "login" => Watch::Login,
}, later []);

/// `stream.source.kind`: where frames enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A camera if there is one, else the test picture.
    Auto,
    /// A moving test picture.
    Test,
    /// A v4l2 camera.
    V4l2,
    /// A sensor on the board's own connector.
    Csi,
    /// Clips in a loop.
    File,
}
words!(SourceKind, "a kind of source such as \"v4l2\"", {
    "auto" => SourceKind::Auto,
    "test" => SourceKind::Test,
    "v4l2" => SourceKind::V4l2,
    "csi" => SourceKind::Csi,
    "file" => SourceKind::File,
}, later ["ip"]);

/// `stream.source.device`: which camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// The first that can do what is asked.
    Auto,
    /// This node or link.
    Path(PathBuf),
}

impl super::value::Setting for Device {
    const FORM: &'static str = "\"auto\" or a device such as \"/dev/video0\"";
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ if text.starts_with("/dev/") => Ok(Self::Path(text.into())),
            _ => Err(format!("\"{}\" is no device: write \"auto\" or a path below /dev", redact::short(text))),
        }
    }
}

/// `stream.source.format`: what is asked of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FormatWish {
    /// Raw, unless only MJPEG reaches size and rate; H.264 where no encoder works.
    Auto,
    /// Any raw format.
    Raw,
    /// Motion JPEG.
    Mjpeg,
    /// H.264 from the camera, passed through.
    H264,
}
words!(FormatWish, "what is asked of the camera, such as \"raw\"", {
    "auto" => FormatWish::Auto,
    "raw" => FormatWish::Raw,
    "mjpeg" => FormatWish::Mjpeg,
    "h264" => FormatWish::H264,
}, later ["h265"]);

readable!(BoardName, Watch, SourceKind, Device, FormatWish);
