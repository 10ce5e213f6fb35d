//! What no single value can say about itself: ranges, duplicates, and keys that do not fit each other.

use std::net::SocketAddr;
use std::time::Duration;

use crate::base::units::{Bitrate, Span};
use crate::media::format::Flip;

use super::csi::CameraName;
use super::problem::{Problem, Problems};
use super::reader::Origins;
use super::schema::{Device, FormatWish, Settings, Source, SourceKind, Stream};

struct Check<'a> {
    origins: &'a Origins,
    problems: &'a mut Problems,
}

impl Check<'_> {
    /// A value that could not be read has its problem already; what its stand-in does wrong would only mislead.
    fn problem(&mut self, key: &str, message: impl Into<String>, advice: &str) {
        if self.problems.iter().any(|p| p.key == key) {
            return;
        }
        self.problems.push(Problem::config(self.origins.place(key), key, message).advise(advice));
    }

    fn number(&mut self, key: &str, value: u32, low: u32, high: u32) {
        if !(low..=high).contains(&value) {
            self.problem(key, format!("expected {low} to {high}, found {value}"), "");
        }
    }

    fn span(&mut self, key: &str, value: Span, low_ms: u64, high_ms: u64) {
        let (low, high) = (Span::from_millis(low_ms), Span::from_millis(high_ms));
        if !(low..=high).contains(&value) {
            self.problem(key, format!("expected {low} to {high}, found {value}"), "");
        }
    }
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// Checks everything and reports it all.
pub(crate) fn validate(settings: &Settings, origins: &Origins, problems: &mut Problems) {
    let mut check = Check { origins, problems };
    let s = settings;
    check.number("limits.max_viewers", s.limits.max_viewers, 1, 1000);
    check.number("limits.max_viewers_per_host", s.limits.max_viewers_per_host, 1, 1000);
    check.number("storage.images", s.storage.images, 1, 100_000);
    check.span("storage.min_keep", s.storage.min_keep, 0, 10 * 365 * 24 * HOUR);
    if s.storage.max_age.0.is_some_and(|age| age < Duration::from_secs(60)) {
        check.problem("storage.max_age", "expected at least 1 min: younger segments are still being watched", "");
    }
    check.span("stream_defaults.frozen_after", s.stream_defaults.frozen_after, 200, 10 * MINUTE);
    check.span("stream_defaults.timeout", s.stream_defaults.timeout, 200, 10 * MINUTE);
    check.span("stream_defaults.restart_timeout", s.stream_defaults.restart_timeout, 200, 10 * MINUTE);
    check.span("stream_defaults.retry_every_max", s.stream_defaults.retry_every_max, 100, 10 * MINUTE);
    check.span("stream_defaults.buffer", s.stream_defaults.buffer, 1000, MINUTE);
    listeners(s, &mut check);
    for (n, stream) in s.stream.iter().enumerate() {
        one_stream(stream, &format!("stream[{n}]"), &mut check);
    }
    names(s, &mut check);
    cameras(s, &mut check);
}

fn listeners(s: &Settings, check: &mut Check<'_>) {
    let rtsp = s.rtsp.enabled.then_some(("rtsp.listen", s.rtsp.listen));
    let secure = s.rtsp.tls_listen.filter(|_| s.rtsp.enabled).map(|address| ("rtsp.tls_listen", address));
    let open =
        [rtsp, secure, Some(("http.listen", s.http.listen))].into_iter().flatten().find(|(_, a)| !a.ip().is_loopback());
    if let (Some((key, address)), None) = (open, s.access.watch)
        && !check.problems.iter().any(|p| p.key == "access.watch")
    {
        check.problem(
            key,
            format!("{address} can be reached from other machines, but access.watch is not stated"),
            "write [access] watch = \"open\" to let everybody watch who reaches it, \"login\" to ask for a password, or \
             listen on 127.0.0.1",
        );
    }
    let meet = |a: SocketAddr, b: SocketAddr| {
        let place = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
        a.port() != 0 && a.port() == b.port() && place
    };
    for (key, address) in [("http.listen", Some(s.http.listen)), ("rtsp.tls_listen", s.rtsp.tls_listen)] {
        if let Some(address) = address.filter(|address| s.rtsp.enabled && meet(s.rtsp.listen, *address)) {
            let message = format!("port {} is also the one of rtsp.listen", address.port());
            check.problem(key, message, "use another port");
        }
    }
    if let Some((key, address)) = secure.filter(|(_, address)| meet(s.http.listen, *address)) {
        check.problem(key, format!("port {} is also the one of http.listen", address.port()), "use another port");
    }
    certificate(s, check);
}

/// RTSP over TLS needs its address, a certificate and a key, or none of them.
fn certificate(s: &Settings, check: &mut Check<'_>) {
    let files = [("rtsp.tls_certificate", &s.rtsp.tls_certificate), ("rtsp.tls_key", &s.rtsp.tls_key)];
    for (key, file) in files {
        match file {
            Some(_) if s.rtsp.tls_listen.is_none() => {
                check.problem(
                    key,
                    "nothing listens with it",
                    "write rtsp.tls_listen = \"[::]:8322\", or leave this out",
                );
            }
            None if s.rtsp.tls_listen.is_some() => {
                check.problem("rtsp.tls_listen", format!("RTSP over TLS needs {key} too"), "name the PEM file");
            }
            _ => {}
        }
    }
}

fn one_stream(stream: &Stream, at: &str, check: &mut Check<'_>) {
    let key = |name: &str| format!("{at}.{name}");
    if let Some(viewers) = stream.max_viewers {
        check.number(&key("max_viewers"), viewers, 1, 1000);
    }
    let bitrate = stream.encode.bitrate;
    let (low, high) = (Bitrate::from_bps(64_000), Bitrate::from_bps(100_000_000));
    if !(low..=high).contains(&bitrate) {
        check.problem(&key("encode.bitrate"), format!("expected {low} to {high}, found {bitrate}"), "");
    }
    check.span(&key("encode.keyframe_every"), stream.encode.keyframe_every, 100, MINUTE);
    check.span(&key("record.segment"), stream.record.segment, 1000, HOUR);
    check.span(&key("snapshot.every"), stream.snapshot.every, 100, HOUR);
    source(stream, at, check);
}

fn source(stream: &Stream, at: &str, check: &mut Check<'_>) {
    let source = &stream.source;
    let camera = matches!(source.kind, SourceKind::V4l2 | SourceKind::Auto);
    let of_cameras = [
        ("device", source.device.is_some()),
        ("format", source.format.is_some()),
        ("controls", source.controls.is_some()),
    ];
    for (name, set) in of_cameras {
        if set && !camera {
            let key = format!("{at}.source.{name}");
            check.problem(&key, "only a v4l2 camera has this key", "write kind = \"v4l2\", or leave the key out");
        }
    }
    sensor(source, at, check);
    let key = format!("{at}.source.path");
    match (source.kind, &source.path) {
        (SourceKind::File, None) => {
            check.problem(&key, "a source of kind \"file\" needs a path", "write path = \"/where/it/is/clip.mp4\"");
        }
        (SourceKind::File, Some(_)) | (_, None) => {}
        (_, Some(_)) => {
            check.problem(&key, "only a clip has this key", "write kind = \"file\", or leave the key out");
        }
    }
    if source.format == Some(FormatWish::H264) && stream.flip != Flip::None {
        let advice = "take format = \"raw\" or \"mjpeg\", or mount the camera upright";
        check.problem(&format!("{at}.flip"), "what a camera has encoded cannot be turned", advice);
    }
}

/// What only a sensor on the board's connector has.
fn sensor(source: &Source, at: &str, check: &mut Check<'_>) {
    let of_sensors = [
        ("stack", source.stack.is_some()),
        ("sensor", source.sensor.is_some()),
        ("camera", source.camera.is_some()),
        ("mode", source.mode.is_some()),
        ("exposure", source.exposure.is_some()),
        ("gain", source.gain.is_some()),
        ("white_balance", source.white_balance.is_some()),
        ("denoise", source.denoise.is_some()),
        ("sharpen", source.sharpen.is_some()),
    ];
    let key = |name: &str| format!("{at}.source.{name}");
    for (name, _) in of_sensors.iter().filter(|(_, set)| *set && source.kind != SourceKind::Csi) {
        let advice = "write kind = \"csi\", or leave the key out";
        check.problem(&key(name), "only a sensor on the board's camera connector has this key", advice);
    }
    if let Some(number) = source.sensor {
        check.number(&key("sensor"), number, 0, 15);
    }
    if let Some(number) = source.mode {
        check.number(&key("mode"), number, 0, 31);
    }
    if source.sensor.is_some() && source.camera.is_some() {
        check.problem(&key("camera"), "the sensor is named twice, by number and by name", "leave one of them out");
    }
}

fn names(s: &Settings, check: &mut Check<'_>) {
    for (n, stream) in s.stream.iter().enumerate() {
        let key = format!("stream[{n}].id");
        // A stream without an id of its own is called "live", which is right for the first one only.
        let key = if check.origins.is_set(&key) { key } else { format!("stream[{n}]") };
        // An id that could not be read stands as "live" here: what that one does wrong is no news.
        if check.problems.iter().any(|p| p.key == format!("stream[{n}].id")) {
            continue;
        }
        if n > 0 && stream.id.as_str() == "live" {
            let message = "only the first stream may be called \"live\": /live is always the first one";
            check.problem(&key, message, "give it another id");
        } else if let Some(first) = s.stream[..n].iter().position(|earlier| earlier.id == stream.id) {
            let place = check.origins.place(&format!("stream[{first}].id"));
            let message = format!("the id \"{}\" is taken by the stream at {place}", stream.id);
            check.problem(&key, message, "give it another id");
        }
    }
}

/// By what a configuration names a camera.
#[derive(PartialEq)]
enum Camera {
    V4l2(Device),
    Csi(Option<u32>, Option<CameraName>),
}

/// A camera delivers to one pipeline only. "auto" counts as a camera, so that the answer does not depend on what is
/// plugged in; one camera under two names is found when the Plan is made.
fn cameras(s: &Settings, check: &mut Check<'_>) {
    let device = |stream: &Stream| match stream.source.kind {
        SourceKind::V4l2 | SourceKind::Auto => Some(Camera::V4l2(stream.source.device.clone().unwrap_or(Device::Auto))),
        SourceKind::Csi => Some(Camera::Csi(stream.source.sensor, stream.source.camera.clone())),
        SourceKind::Test | SourceKind::File => None,
    };
    // A source that could not be read stands as "auto" here.
    let unread = |n: usize, check: &Check<'_>| {
        let at = format!("stream[{n}].source");
        check.problems.iter().any(|p| p.key.starts_with(&at))
    };
    for (n, stream) in s.stream.iter().enumerate() {
        let same = |earlier: &Stream| device(earlier).is_some_and(|own| Some(own) == device(stream));
        let Some(first) = s.stream[..n].iter().position(same) else { continue };
        if unread(first, check) || unread(n, check) {
            continue;
        }
        let message = format!("the stream \"{}\" uses the same camera", s.stream[first].id);
        let advice = "name another camera for one of them, or write kind = \"test\" for a test picture";
        let key = if stream.source.kind == SourceKind::Csi { "source" } else { "source.device" };
        check.problem(&format!("stream[{n}].{key}"), message, advice);
    }
}
