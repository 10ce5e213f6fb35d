//! Every input that a fuzzer kept or that once broke something, through the same checks as the fuzz targets: on any
//! compiler, in a second. `tools/fuzz` looks for new ones.

#[allow(unreachable_pub, reason = "the crate of the fuzz targets exports them")]
mod check;

use std::path::{Path, PathBuf};

/// Small inputs that reach as much code as all that a fuzzer tried (`seeds`), and those that found a fault (`found`).
const FOLDERS: [&str; 2] = ["seeds", "found"];

fn inputs(folder: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(folder).join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.sort();
    files
}

#[test]
fn kept_inputs_hold_their_promises() {
    let mut broken = Vec::new();
    for (target, check) in check::TARGETS {
        assert!(!inputs("seeds", target).is_empty(), "{target} has no seeds");
        for path in FOLDERS.iter().flat_map(|folder| inputs(folder, target)) {
            let data = std::fs::read(&path).expect("a file that was just listed");
            if std::panic::catch_unwind(|| check(&data)).is_err() {
                broken.push(path);
            }
        }
    }
    assert!(broken.is_empty(), "these inputs break {broken:#?}");
}

#[test]
fn every_target_is_built_and_every_folder_belongs_to_one() {
    let manifest = include_str!("Cargo.toml");
    for (target, _) in check::TARGETS {
        assert!(manifest.contains(&format!("path = \"targets/{target}.rs\"")), "{target} is not built");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), check::TARGETS.len());
    for folder in FOLDERS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(folder);
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            assert!(check::TARGETS.iter().any(|(target, _)| *target == name), "{name:?} is the folder of no target");
        }
    }
}

#[test]
fn no_input_is_large() {
    let all = check::TARGETS.iter().flat_map(|(target, _)| FOLDERS.iter().flat_map(|folder| inputs(folder, target)));
    let bytes: u64 = all.map(|path| path.metadata().expect("a file that was just listed").len()).sum();
    assert!(bytes < 300 << 10, "{bytes} bytes of inputs; minimise them (see tools/fuzz)");
}
