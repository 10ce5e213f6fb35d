//! Tables of two Plans and what is different.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::base::units::{Bitrate, ByteSize};
use crate::config::controls::{ControlValue, Controls};
use crate::config::schema::FormatWish;
use crate::media::codec::Codec;
use crate::media::container::Container;
use crate::media::format::{Flip, FrameRate, PixelFormat, Size};
use crate::plan::{Chosen, HttpPlan, RecordPlan, RtspPlan, RtspsPlan, SnapshotPlan, SourcePlan};

fn id(text: &str) -> StreamId {
    StreamId::new(text).unwrap()
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn stream(name: &str) -> StreamPlan {
    StreamPlan {
        id: id(name),
        source: SourcePlan {
            kind: SourceKind::Test,
            reason: "test".into(),
            flip: Flip::None,
            controls: Controls::default(),
            frozen_after: s(1),
            timeout: s(5),
            restart_timeout: s(3),
            retry_every_max: s(1),
        },
        size: Size::new(1280, 720),
        rate: FrameRate::whole(30),
        encode: Some(EncodePlan {
            element: Chosen { value: "x264enc".into(), reason: "test".into() },
            works: true,
            convert: Chosen { value: vec!["videoconvert".into()], reason: "test".into() },
            codec: Codec::H264,
            bitrate: Bitrate::from_bps(2_000_000),
            keyframe_frames: 30,
            threads: Chosen { value: 1, reason: "test".into() },
        }),
        slate: true,
        record: Some(RecordPlan { format: Container::Mp4, segment: s(5), buffer: s(10) }),
        snapshot: Some(SnapshotPlan { every: s(1) }),
        max_viewers: None,
    }
}

fn plan(names: &[&str]) -> Plan {
    Plan {
        board: Chosen { value: "sim".into(), reason: "test".into() },
        streams: names.iter().map(|name| stream(name)).collect(),
        rtsp: Some(RtspPlan {
            listen: "[::]:8554".parse().unwrap(),
            max_viewers: 4,
            max_viewers_per_host: 2,
            login: None,
            secure: None,
        }),
        http: HttpPlan { listen: "[::]:8080".parse().unwrap(), socket: "/run/a.sock".into(), login: false },
        storage: Some(StoragePlan {
            path: "/data/video".into(),
            keep_free: ByteSize::from_bytes(1 << 30),
            max_age: Some(s(86_400)),
            min_keep: s(600),
            images: 1000,
        }),
    }
}

type Edit = fn(&mut Plan);

/// What is different after an edit, as "part: what: old -> new".
fn edited(edit: Edit) -> Vec<String> {
    let (old, mut new) = (plan(&["a", "b"]), plan(&["a", "b"]));
    edit(&mut new);
    let text = |c: &Change| format!("{}: {}: {} -> {}", c.part, c.what, c.old, c.new);
    diff(&old, &new).iter().map(text).collect()
}

fn encode(plan: &mut Plan) -> &mut EncodePlan {
    plan.streams[1].encode.as_mut().unwrap()
}

/// One edit of a Plan, and what is different after it.
const EDITS: &[(Edit, &[&str])] = &[
    (|_| (), &[]),
    (|p| p.board.value = "orin-nano".into(), &["board: board: sim -> orin-nano"]),
    (|p| encode(p).bitrate = Bitrate::from_bps(1_000_000), &["b/encode: bit rate: 2 Mbit/s -> 1 Mbit/s"]),
    (|p| encode(p).keyframe_frames = 60, &["b/encode: pictures from keyframe to keyframe: 30 -> 60"]),
    (|p| encode(p).element.value = "openh264enc".into(), &["b/encode: encoder: x264enc -> openh264enc"]),
    (|p| encode(p).convert.value.push("x".into()), &["b/encode: conversion: videoconvert -> videoconvert, x"]),
    (|p| encode(p).threads.value = 2, &["b/encode: encoder threads: 1 -> 2"]),
    (|p| p.streams[1].encode = None, &["b/source: encoder: x264enc -> none"]),
    (|p| p.streams[1].size = Size::new(640, 480), &["b/source: size: 1280x720 -> 640x480"]),
    (|p| p.streams[1].rate = FrameRate::whole(25), &["b/source: frames per second: 30 -> 25"]),
    (|p| p.streams[1].source.flip = Flip::Rotate180, &["b/source: flip: none -> rotate-180"]),
    (|p| p.streams[1].slate = false, &["b/source: slate: on -> off"]),
    (
        |p| drop(p.streams[1].source.controls.0.insert("gain".into(), ControlValue::Number(3))),
        &["b/source: controls: none -> gain 3"],
    ),
    (|p| p.streams[1].source.timeout = s(9), &["b/source: timeout: 5 s -> 9 s"]),
    (
        |p| p.streams[1].source.kind = SourceKind::File { paths: vec!["/a".into(), "/b".into()] },
        &["b/source: source: test picture -> clips /a, /b"],
    ),
    (|p| p.streams[1].record = None, &["b/record: recording: on -> off"]),
    (
        |p| p.streams[1].record = Some(RecordPlan { format: Container::Ts, segment: s(60), buffer: s(20) }),
        &["b/record: files: mp4 -> ts", "b/record: length of a file: 5 s -> 1 min", "b/record: buffer: 10 s -> 20 s"],
    ),
    (|p| p.streams[1].snapshot = None, &["b/snapshot: snapshots: every 1 s -> off"]),
    (|p| p.streams[1].max_viewers = Some(3), &["b/rtsp: viewers: no limit of its own -> at most 3"]),
    (|p| p.streams.push(stream("c")), &["c: stream: none -> test picture"]),
    (|p| drop(p.streams.pop()), &["b: stream: b -> none"]),
    (|p| p.streams.reverse(), &["streams: served as /live: a -> b"]),
    (|p| drop(p.streams.remove(0)), &["a: stream: a -> none", "streams: served as /live: a -> b"]),
    (
        |p| {
            p.rtsp.as_mut().unwrap().login = Some("/f".into());
            p.http.login = true;
        },
        &["rtsp: login: none -> /f", "http: pictures: shown -> none without a login"],
    ),
    (|p| p.rtsp.as_mut().unwrap().secure = Some(secure(1, "/a")), &["rtsps: TLS port: none -> 127.0.0.1:1"]),
    (|p| p.rtsp = None, &["rtsp: server: on -> off"]),
    (
        |p| {
            p.rtsp = Some(RtspPlan {
                listen: "127.0.0.1:1".parse().unwrap(),
                max_viewers: 9,
                max_viewers_per_host: 3,
                login: None,
                secure: None,
            })
        },
        &[
            "rtsp: address: [::]:8554 -> 127.0.0.1:1",
            "rtsp: viewers in all: at most 4 -> at most 9",
            "rtsp: viewers from one host: at most 2 -> at most 3",
        ],
    ),
    (
        |p| p.http = HttpPlan { listen: "127.0.0.1:2".parse().unwrap(), socket: "/run/b.sock".into(), login: false },
        &["http: address: [::]:8080 -> 127.0.0.1:2", "http-socket: socket: /run/a.sock -> /run/b.sock"],
    ),
    (|p| p.storage.as_mut().unwrap().path = "/mnt".into(), &["storage: place: /data/video -> /mnt"]),
    (
        |p| {
            let storage = p.storage.as_mut().unwrap();
            (storage.keep_free, storage.max_age) = (ByteSize::from_bytes(2 << 30), None);
            (storage.min_keep, storage.images) = (s(60), 5);
        },
        &[
            "storage: kept free: 1.0 GiB -> 2.0 GiB",
            "storage: kept: until 1 days old -> at any age",
            "storage: always kept: 10 min -> 1 min",
            "storage: snapshots kept: 1000 -> 5",
        ],
    ),
];

fn secure(port: u16, file: &str) -> RtspsPlan {
    RtspsPlan { listen: ([127, 0, 0, 1], port).into(), certificate: file.into(), key: "/k".into() }
}

#[test]
fn a_tls_port_moves_and_shows_something_else() {
    let (mut old, mut new) = (plan(&["a"]), plan(&["a"]));
    old.rtsp.as_mut().unwrap().secure = Some(secure(1, "/a"));
    new.rtsp.as_mut().unwrap().secure = Some(secure(2, "/b"));
    let parts: Vec<String> = diff(&old, &new).iter().map(ToString::to_string).collect();
    let want = [
        "rtsps: address: 127.0.0.1:1 -> 127.0.0.1:2 (listens there; whoever is connected stays)",
        "rtsps: certificate: /a -> /b (for whoever connects from now on; whoever is connected stays)",
    ];
    assert_eq!(parts, want);
}

#[test]
fn each_difference_concerns_its_part_alone() {
    for (edit, want) in EDITS {
        assert_eq!(edited(*edit), *want);
    }
}

#[test]
fn reasons_and_what_a_camera_offers_are_no_difference() {
    let camera = |format: Option<PixelFormat>, device: &str, why: &str| {
        let device = match device {
            "auto" => DeviceMatch::Any,
            path => DeviceMatch::Path(PathBuf::from(path)),
        };
        let chosen = format.map(|value| Chosen { value, reason: why.into() });
        let mut plan = plan(&["a"]);
        let device = Chosen { value: device, reason: why.into() };
        plan.streams[0].source.kind = SourceKind::V4l2 { device, wish: FormatWish::Auto, format: chosen };
        plan.streams[0].source.reason = why.into();
        plan.board.reason = why.into();
        encode_of(&mut plan).element.reason = why.into();
        plan
    };
    let absent = camera(None, "auto", "absent");
    assert_eq!(diff(&absent, &camera(Some(PixelFormat::MJPEG), "auto", "there")), []);
    let moved = diff(&absent, &camera(None, "/dev/video1", "absent"));
    assert_eq!(moved.len(), 1);
    let text = "a/source: source: camera auto, format auto -> camera /dev/video1, format auto \
                (the camera and its encoder restarted, viewers stay connected)";
    assert_eq!(moved[0].to_string(), text);
}

fn encode_of(plan: &mut Plan) -> &mut EncodePlan {
    plan.streams[0].encode.as_mut().unwrap()
}

#[test]
fn the_order_of_streams_behind_the_first_moves_nothing() {
    let changes = diff(&plan(&["a", "b", "c"]), &plan(&["a", "c", "b"]));
    let parts: Vec<_> = changes.iter().map(|change| (&change.part, change.old.as_str(), change.new.as_str())).collect();
    assert_eq!(parts, [(&Part::Order, "a, b, c", "a, c, b")]);
    // One that comes or goes among them is no other order.
    assert_eq!(diff(&plan(&["a", "b", "c"]), &plan(&["a", "c"])).len(), 1);
}

#[test]
fn a_bit_rate_alone_is_the_same_encoder() {
    let old = stream("a").encode.unwrap();
    assert!(old.is_same_encoder(&EncodePlan { bitrate: Bitrate::from_bps(1), ..old.clone() }));
    assert!(!old.is_same_encoder(&EncodePlan { keyframe_frames: 1, ..old.clone() }));
}
