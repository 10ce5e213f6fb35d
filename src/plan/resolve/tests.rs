//! What depends on the world and what does not.

use super::*;
use crate::config::{Inputs, load};
use crate::plan::inventory::{Camera, Encoder, SelfTest, Unreadable};

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
