//! What depends on the world and what does not.

use super::*;
use crate::config::{Inputs, load};
use crate::plan::inventory::{Camera, CsiCamera, Encoder, Mode, SelfTest, Unreadable};

fn camera(n: u32, formats: &[PixelFormat]) -> Camera {
    let (size, rates) = (Size::new(1280, 720), vec![FrameRate::whole(30)]);
    let mode = |format: &PixelFormat| Mode { format: *format, size, range: None, rates: rates.clone() };
    Camera {
        node: format!("/dev/video{n}").into(),
        by_id: Some(format!("/dev/v4l/by-id/cam{n}").into()),
        by_path: Some(format!("/dev/v4l/by-path/port{n}").into()),
        links: vec![],
        name: format!("Cam {n}"),
        driver: "uvcvideo".into(),
        bus: format!("usb-{n}"),
        modes: formats.iter().map(mode).collect(),
        controls: vec![],
    }
}

fn inventory(cameras: Vec<Camera>) -> Inventory {
    let test = SelfTest::Passed { first_frame_ms: 20 };
    Inventory { cores: 2, cameras, encoders: vec![Encoder { element: "x264enc".into(), test }], ..Inventory::default() }
}

/// The Plan of a configuration, and all problems of both.
fn plan(text: &str, inventory: &Inventory) -> Resolution {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.toml");
    std::fs::write(&path, text).unwrap();
    let (config, mut problems) = load(&Inputs { named: Some(path), ..Inputs::default() });
    let (board, more) = board(&config, &[]);
    problems.add_unless_known(more);
    let resolution = resolve(&config, &board, inventory);
    problems.add_unless_known(resolution.problems);
    Resolution { plan: resolution.plan, problems }
}

#[test]
fn a_camera_that_may_not_be_opened_is_said() {
    let closed = Unreadable { node: "/dev/video0".into(), links: vec![], error: "denied".into(), denied: true };
    let found = Inventory { unreadable: vec![closed], ..inventory(vec![]) };
    for (source, camera) in [("", false), ("source = { kind = \"v4l2\" }", true)] {
        let Resolution { plan, problems } = plan(&format!("[[stream]]\n{source}\n"), &found);
        assert_eq!(matches!(plan.streams[0].source.kind, SourceKind::V4l2 { .. }), camera, "{source}");
        assert!(!problems.refuse() && problems.len() == 1, "{source}: {problems}");
        assert!(problems.to_string().contains("/dev/video0: there, but cannot be opened"), "{source}: {problems}");
        assert!(problems.to_string().contains("sudo usermod -aG video $USER"), "{source}: {problems}");
    }
}

#[test]
fn what_a_later_camera_is_asked_for_depends_on_the_encoder() {
    use PixelFormat::{H264, YUY2};
    let (encodes, raw) = (camera(0, &[YUY2, H264]), camera(0, &[YUY2]));
    let works = inventory(vec![]);
    let none = Inventory { encoders: vec![], ..works.clone() };
    let (auto, native) = ("", "format = \"h264\"");
    let table = [
        (auto, &works, None, &encodes, Some(YUY2)),
        // No encoder works and no camera is there at the start.
        (auto, &none, None, &encodes, Some(H264)),
        (auto, &none, None, &raw, Some(YUY2)),
        // The camera at the start encodes: there is no encode for the pictures of another one.
        (auto, &none, Some(&encodes), &encodes, Some(H264)),
        (auto, &none, Some(&encodes), &raw, None),
        (native, &works, None, &raw, None),
    ];
    for (wish, encoders, before, later, want) in table {
        let found = Inventory { cameras: before.into_iter().cloned().collect(), ..encoders.clone() };
        let comma = if wish.is_empty() { "" } else { ", " };
        let text = format!("[[stream]]\nsource = {{ kind = \"v4l2\"{comma}{wish} }}\n");
        let stream = plan(&text, &found).plan.streams.remove(0);
        let SourceKind::V4l2 { device, wish, .. } = &stream.source.kind else { panic!("{stream:?}") };
        let ask = Ask::while_running(&stream, *wish);
        let cameras = [later.clone()];
        let choice = choose_mode(&cameras, &[], &device.value, &ask).map(|choice| choice.format.value);
        assert!(want.is_some() || matches!(choice, Err(NoMode::Cannot { .. })), "{choice:?}");
        assert_eq!(choice.ok(), want, "{text} {before:?} {later:?}");
    }
}
#[test]
fn whether_run_refuses_does_not_depend_on_what_is_plugged_in() {
    let device = |device: &str| format!("source = {{ kind = \"v4l2\", device = \"{device}\" }}");
    let (node, link) = (device("/dev/video0"), device("/dev/v4l/by-id/cam0"));
    let csi = |more: &str| format!("source = {{ kind = \"csi\"{more} }}");
    let (auto, test) = (device("auto"), "source = { kind = \"test\" }".to_owned());
    let table = [
        ("", "", true, true),
        ("", &auto, true, true),
        (&auto, &auto, true, true),
        (&node, &node, true, true),
        // One camera by two names: only looking at it tells.
        (&node, &link, false, true),
        (&node, &auto, false, true),
        (&node, &device("/dev/video1"), false, false),
        ("", &test, false, false),
        (&csi(""), &csi(""), true, true),
        (&csi(", sensor = 1"), &csi(", sensor = 1"), true, true),
        (&csi(", sensor = 0"), &csi(", sensor = 1"), false, false),
        (&csi(""), &auto, false, false),
    ];
    let raw = [PixelFormat::YUY2];
    for (one, two, refused, shared) in table {
        let text = format!("[[stream]]\nid = \"a\"\n{one}\n[[stream]]\nid = \"b\"\n{two}\n");
        let bare = plan(&text, &inventory(vec![]));
        let seen = plan(&text, &inventory(vec![camera(0, &raw), camera(1, &raw)]));
        assert_eq!((bare.problems.refuse(), seen.problems.refuse()), (refused, refused), "{text}\n{}", seen.problems);
        assert_eq!(seen.problems.to_string().contains("the same camera"), shared, "{text}\n{}", seen.problems);
    }
}

/// A Jetson with a sensor, and besides it these cameras.
fn jetson(cameras: Vec<Camera>) -> Inventory {
    let (size, rates) = (Size::new(1920, 1080), vec![FrameRate::whole(60)]);
    let modes = vec![Mode { format: PixelFormat::NV12, size, range: None, rates }];
    let node = Some("/dev/video0".into());
    let sensor =
        CsiCamera { stack: CameraStack::Argus, number: 0, name: "vi-output, imx477 9-001a".into(), node, modes };
    let elements = vec!["nvarguscamerasrc".into(), "nvvidconv".into()];
    Inventory { csi: vec![sensor], elements, ..inventory(cameras) }
}

#[test]
fn auto_takes_the_sensor_on_the_connector_before_any_other_camera() {
    let usb = || vec![camera(1, &[PixelFormat::YUY2])];
    let with =
        |elements: &[&str]| Inventory { elements: elements.iter().map(|e| (*e).to_owned()).collect(), ..jetson(usb()) };
    let (hd, full) = ("size = \"1280x720\"", "size = \"1920x1080\"");
    let device = "source = { device = \"/dev/video1\" }";
    let table = [
        (full, jetson(vec![]), "argus sensor 0", 0),
        (full, jetson(usb()), "argus sensor 0", 0),
        // It cannot; the other one can.
        (hd, jetson(usb()), "v4l2", 0),
        (hd, jetson(vec![]), "test", 1),
        // What is named is meant.
        (device, jetson(usb()), "v4l2", 0),
        // No use without the element.
        (hd, with(&["nvvidconv"]), "v4l2", 0),
        (full, with(&["nvarguscamerasrc"]), "argus sensor 0", 1),
    ];
    for (text, found, want, wrong) in table {
        let Resolution { plan, problems } = plan(&format!("board = \"orin-nano\"\n[[stream]]\n{text}\n"), &found);
        let kind = match &plan.streams[0].source.kind {
            SourceKind::Csi(csi) => format!("{} {}", csi.stack.value, csi.sensor.value),
            SourceKind::V4l2 { .. } => "v4l2".into(),
            _ => "test".into(),
        };
        assert_eq!(kind, want, "{text}: {problems}");
        // No encoder of this board passed its test here, which is of no interest.
        let about_cameras = problems.iter().filter(|problem| !problem.key.ends_with("encode")).count();
        assert_eq!(about_cameras, wrong, "{text}: {problems}");
    }
}

#[test]
fn argus_is_left_the_time_to_say_what_is_wrong() {
    let text = "board = \"orin-nano\"\n[[stream]]\nsource = { kind = \"csi\" }\nsize = \"1920x1080\"\n";
    let opens = |text: &str| plan(text, &jetson(vec![])).plan.streams[0].source.restart_timeout;
    assert_eq!(opens(text), Duration::from_secs(8));
    let stated = "[stream_defaults]\nrestart_timeout = \"2s\"\n";
    assert_eq!(opens(&text.replace("[[stream]]", &format!("{stated}[[stream]]"))), Duration::from_secs(2));
}
