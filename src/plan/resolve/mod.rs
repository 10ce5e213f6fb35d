//! Wishes, facts and findings become the Plan. Pure.

mod csi;

use std::time::Duration;

use crate::auth::Store;
use crate::base::id::StreamId;
use crate::board::{Board, detect};
use crate::config::Config;
use crate::config::problem::{Problem, Problems};
use crate::config::schema::{self, BoardName, Device, FormatWish, Watch};
use crate::media::csi::{CameraStack, Memory};
use crate::media::format::{Flip, FrameRate, PixelFormat, Size};

use super::camera::{Ask, NoMode, choose_mode};
use super::control::settle;
use super::encoder::{self, EncoderChoice};
use super::inventory::{Control, Inventory};
use super::{
    Chosen, DeviceMatch, EncodePlan, HttpPlan, Plan, RecordPlan, RtspPlan, RtspsPlan, SnapshotPlan, SourceKind,
    SourcePlan, StoragePlan, StreamPlan,
};

pub use csi::stack;

/// What will run, and what is wrong with the world or the configuration. A Plan can always be made: what is absent now
/// may come later, and the daemon tries.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// What will run.
    pub plan: Plan,
    /// What is wrong.
    pub problems: Problems,
}

/// The board that the configuration names or the device tree says; the recognised one where the name is wrong.
pub fn board(config: &Config, compatible: &[String]) -> (Board, Problems) {
    let mut problems = Problems::default();
    let named = match &config.settings.board {
        BoardName::Auto => None,
        BoardName::Named(name) => Some(name.as_str()),
    };
    let board = detect(named, compatible).or_else(|e| {
        problems.push(Problem::config(config.origins.place("board"), "board", e.to_string()));
        detect(None, compatible)
    });
    (board.expect("a board that is not named is always found"), problems)
}

/// Makes the Plan.
pub fn resolve(config: &Config, board: &Board, inventory: &Inventory) -> Resolution {
    let s = &config.settings;
    let mut one = Resolver { config, board, inventory, taken: Vec::new(), problems: Problems::default() };
    let streams: Vec<_> = s.stream.iter().enumerate().map(|(n, stream)| one.stream(stream, n)).collect();
    let stores = streams.iter().any(|stream| stream.record.is_some() || stream.snapshot.is_some());
    let storage = stores.then(|| StoragePlan {
        path: config.storage_path().to_owned(),
        keep_free: s.storage.keep_free,
        max_age: s.storage.max_age.0,
        min_keep: s.storage.min_keep.get(),
        images: s.storage.images,
    });
    let login = s.access.watch == Some(Watch::Login);
    let credentials = login.then(|| Store::in_directory(&config.directories.state).path().to_owned());
    let (listen, max_viewers, max_viewers_per_host) =
        (s.rtsp.listen, s.limits.max_viewers, s.limits.max_viewers_per_host);
    let files = s.rtsp.tls_certificate.clone().zip(s.rtsp.tls_key.clone());
    let secure = s.rtsp.tls_listen.zip(files);
    let secure = secure.map(|(listen, (certificate, key))| RtspsPlan { listen, certificate, key });
    let plan = Plan {
        board: Chosen { value: board.profile.name.clone(), reason: board.reason.clone() },
        streams,
        rtsp: s.rtsp.enabled.then_some(RtspPlan {
            listen,
            max_viewers,
            max_viewers_per_host,
            login: credentials,
            secure,
        }),
        http: HttpPlan { listen: s.http.listen, socket: config.socket().to_owned(), login },
        storage,
    };
    Resolution { plan, problems: one.problems }
}

struct Resolver<'a> {
    config: &'a Config,
    board: &'a Board,
    inventory: &'a Inventory,
    /// The cameras in use, each with the stream that has it.
    taken: Vec<(String, StreamId)>,
    problems: Problems,
}

impl Resolver<'_> {
    fn world(&mut self, key: &str, message: String, advice: &str) {
        let place = self.config.origins.place(key);
        self.problems.push(Problem::world(place, key, message).advise(advice));
    }

    fn stream(&mut self, stream: &schema::Stream, n: usize) -> StreamPlan {
        let at = format!("stream[{n}]");
        let (size, rate) = self.size_and_rate(stream, &at);
        let encoder = encoder::choose(&self.board.profile, &self.inventory.encoders, stream.flip.apply(size), rate);
        let ask = Ask {
            size,
            rate,
            wish: stream.source.format.unwrap_or(FormatWish::Auto),
            encoder: encoder.works,
            turned: stream.flip != Flip::None,
        };
        let (kind, reason) = self.source(stream, &ask, &encoder, &at);
        let native = match &kind {
            SourceKind::V4l2 { wish: FormatWish::H264, .. } => true,
            SourceKind::V4l2 { format: Some(format), .. } => format.value == PixelFormat::H264,
            _ => false,
        };
        let memory = kind.memory();
        let encode = (!native).then(|| self.encode(stream, &encoder, (size, rate), memory, &at));
        let snapshot = self.snapshot(stream, native, &at);
        let common = &self.config.settings.stream_defaults;
        let record = stream.record.enabled.then(|| RecordPlan {
            format: stream.record.format,
            segment: stream.record.segment.get(),
            buffer: common.buffer.get(),
        });
        let restart_timeout = self.restart_timeout(&kind);
        StreamPlan {
            id: stream.id.clone(),
            source: SourcePlan {
                kind,
                reason,
                flip: stream.flip,
                controls: stream.source.controls.clone().unwrap_or_default(),
                frozen_after: common.frozen_after.get(),
                timeout: common.timeout.get(),
                restart_timeout,
                retry_every_max: common.retry_every_max.get(),
            },
            size: stream.flip.apply(size),
            rate,
            slate: stream.slate && encode.is_some() && memory == Memory::System,
            encode,
            record,
            snapshot,
            max_viewers: stream.max_viewers,
        }
    }

    /// What the configuration states; without that, Argus is left the time that it needs to say by itself what is wrong.
    fn restart_timeout(&self, kind: &SourceKind) -> Duration {
        /// It waits 3 s for events and 5 s for a picture.
        const ARGUS: Duration = Duration::from_secs(8);
        let stated = self.config.origins.is_set("stream_defaults.restart_timeout");
        let common = self.config.settings.stream_defaults.restart_timeout.get();
        match kind {
            SourceKind::Csi(csi) if csi.stack.value == CameraStack::Argus && !stated => common.max(ARGUS),
            _ => common,
        }
    }

    /// What the configuration states, else what the board's profile says, else the built-in default.
    fn size_and_rate(&self, stream: &schema::Stream, at: &str) -> (Size, FrameRate) {
        let (origins, camera) = (&self.config.origins, &self.board.profile.camera);
        let stated = |key: &str| origins.is_set(&format!("{at}.{key}"));
        let size = camera.size.filter(|_| !stated("size")).unwrap_or(stream.size);
        let rate = camera.fps.filter(|_| !stated("fps")).unwrap_or(stream.fps);
        (size, rate)
    }

    fn source(
        &mut self,
        stream: &schema::Stream,
        ask: &Ask,
        encoder: &EncoderChoice,
        at: &str,
    ) -> (SourceKind, String) {
        let configured = || "configured".to_owned();
        match stream.source.kind {
            schema::SourceKind::Test => (SourceKind::Test, configured()),
            schema::SourceKind::File => {
                let paths = stream.source.path.as_ref().map(|clips| clips.0.clone()).unwrap_or_default();
                (SourceKind::File { paths }, configured())
            }
            schema::SourceKind::V4l2 => (self.camera(stream, ask, at), configured()),
            schema::SourceKind::Csi => (self.csi(stream, ask, encoder, at), configured()),
            schema::SourceKind::Auto => self.auto(stream, ask, encoder, at),
        }
    }

    /// What is on the board's own connector was put there to be used; a USB camera may be there for something else.
    fn auto(&mut self, stream: &schema::Stream, ask: &Ask, encoder: &EncoderChoice, at: &str) -> (SourceKind, String) {
        let cannot = || "the camera that is there cannot do what is asked".to_owned();
        let others = !self.inventory.cameras.is_empty() || !self.inventory.unreadable.is_empty();
        match self.auto_csi(stream, ask, encoder, at) {
            Some(Ok(kind)) => return (kind, "a sensor is on this board's camera connector".into()),
            Some(Err(no)) if !others => {
                self.world(&format!("{at}.size"), no.to_string(), "take a size and rate from this list");
                return (SourceKind::Test, cannot());
            }
            Some(Err(_)) | None => {}
        }
        if !others {
            return (SourceKind::Test, "no camera is there and none is configured".into());
        }
        let kind = self.camera(stream, ask, at);
        match &kind {
            SourceKind::V4l2 { format: None, .. } if self.inventory.cameras.is_empty() => {
                (SourceKind::Test, "what may be a camera cannot be opened".into())
            }
            SourceKind::V4l2 { format: None, .. } => (SourceKind::Test, cannot()),
            _ => (kind, "a camera is there".into()),
        }
    }

    fn camera(&mut self, stream: &schema::Stream, ask: &Ask, at: &str) -> SourceKind {
        let mut device = match &stream.source.device {
            Some(Device::Path(path)) => {
                Chosen { value: DeviceMatch::Path(path.clone()), reason: "configured".to_owned() }
            }
            Some(Device::Auto) | None => {
                Chosen { value: DeviceMatch::Any, reason: "the first that can do what is asked".to_owned() }
            }
        };
        let format = match choose_mode(&self.inventory.cameras, &self.inventory.unreadable, &device.value, ask) {
            Ok(choice) => {
                device.reason =
                    format!("{}; now {} ({})", device.reason, choice.camera.node.display(), choice.camera.name);
                let (node, offered) = (choice.camera.node.display().to_string(), &choice.camera.controls);
                let format = choice.format;
                self.controls(stream, offered, at);
                self.taken(&node, "source.device", stream, at);
                Some(format)
            }
            Err(no) => {
                let (key, advice) = match &no {
                    NoMode::Absent { .. } => ("source.device", "plug it in: it is looked for again and again"),
                    NoMode::Cannot { .. } => ("size", "take a size and rate from this list"),
                    NoMode::Unreadable(_) => ("source.device", "it is tried again and again"),
                };
                device.reason = format!("{}; now {no}", device.reason);
                self.world(&format!("{at}.{key}"), no.to_string(), advice);
                None
            }
        };
        SourceKind::V4l2 { device, wish: ask.wish, format }
    }

    /// What the camera that is there now does not take.
    fn controls(&mut self, stream: &schema::Stream, offered: &[Control], at: &str) {
        let Some(wishes) = &stream.source.controls else { return };
        for refused in settle(wishes, offered).1 {
            self.world(&format!("{at}.source.controls.{}", refused.key), refused.message, &refused.advice);
        }
    }

    fn encode(
        &mut self,
        stream: &schema::Stream,
        encoder: &EncoderChoice,
        (size, rate): (Size, FrameRate),
        memory: Memory,
        at: &str,
    ) -> EncodePlan {
        if !encoder.works {
            self.world(&format!("{at}.encode"), encoder.failures.clone(), &encoder.advice);
        }
        let every = stream.encode.keyframe_every.get().as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 60 s of 240 frames, positive"
        )]
        let keyframe_frames = (rate.as_f64() * every).round().max(1.0) as u32;
        EncodePlan {
            element: encoder.element.clone(),
            works: encoder.works,
            convert: self.convert(memory, encoder.surfaces),
            codec: stream.encode.codec,
            bitrate: stream.encode.bitrate,
            keyframe_frames,
            threads: encoder::threads(size, rate, self.inventory.cores, encoder.hardware),
        }
    }

    /// From where the source's pictures lie to where the encoder takes them.
    fn convert(&self, from: Memory, surfaces: bool) -> Chosen<Vec<String>> {
        let processor = || "videoconvert".to_owned();
        let (value, reason) = match (from, surfaces) {
            (Memory::Surfaces, _) => (vec![], "the camera's surfaces are the encoder's"),
            (Memory::System, true) => {
                (vec![processor(), self.converter()], "into surfaces, which the encoder takes alone")
            }
            (Memory::System, false) => (vec![processor()], "in the processor; what fits already passes untouched"),
        };
        Chosen { value, reason: reason.into() }
    }

    fn snapshot(&mut self, stream: &schema::Stream, native: bool, at: &str) -> Option<SnapshotPlan> {
        let key = format!("{at}.snapshot.enabled");
        if native && stream.snapshot.enabled && self.config.origins.is_set(&key) {
            let message =
                "a camera that delivers H.264 has no raw picture for snapshots; they come with a later version";
            self.world(&key, message.into(), "take format = \"raw\" or \"mjpeg\", or leave snapshots off");
        }
        (stream.snapshot.enabled && !native).then(|| SnapshotPlan { every: stream.snapshot.every.get() })
    }

    /// A camera delivers to one pipeline only. The same name twice is a problem of the configuration; two names of one
    /// camera are one of the world, because only looking at it tells.
    fn taken(&mut self, camera: &str, key: &str, stream: &schema::Stream, at: &str) {
        match self.taken.iter().find(|(taken, _)| taken == camera).map(|(_, first)| first.clone()) {
            Some(first) => {
                let message = format!("the stream \"{first}\" uses the same camera: {camera}");
                self.world(&format!("{at}.{key}"), message, "name another camera for one of them");
            }
            None => self.taken.push((camera.to_owned(), stream.id.clone())),
        }
    }
}

#[cfg(test)]
mod tests;
