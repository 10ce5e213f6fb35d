//! Sizes and names of files: what a reader can hold, and words that say something.

use std::path::Path;

use super::{assert_clean, tree};

/// More lines than this and a file holds more than one idea. Functions (70 lines) are clippy's to count.
const MAX_LINES: usize = 400;

/// Names under which anything could lie, so nothing is found.
const EMPTY_NAMES: &[&str] = &["helper", "helpers", "util", "utils", "common", "manager", "types", "misc"];

fn too_long(path: &str, source: &str) -> Option<String> {
    let lines = source.lines().count();
    (lines > MAX_LINES).then(|| format!("{path}: {lines} lines, at most {MAX_LINES}"))
}

fn badly_named(path: &Path) -> Option<String> {
    let empty =
        |name: &str| name.split(['_', '-', '.']).any(|word| EMPTY_NAMES.contains(&word.to_lowercase().as_str()));
    let bad = path.iter().find(|name| empty(&name.to_string_lossy()))?;
    Some(format!("{}: `{}` says nothing; name what it does", path.display(), bad.to_string_lossy()))
}

#[test]
fn files_are_short() {
    let all = ["src", "tests"].iter().flat_map(|folder| tree::texts(folder, ".rs")).chain([(
        "build.rs".to_owned(),
        std::fs::read_to_string(tree::root().join("build.rs")).expect("build.rs is there"),
    )]);
    let found: Vec<String> = all.filter_map(|(path, source)| too_long(&path, &source)).collect();
    assert_clean("A file has at most 400 lines", &found);
    assert!(too_long("x.rs", &"\n".repeat(401)).is_some());
    assert!(too_long("x.rs", &"\n".repeat(400)).is_none());
}

#[test]
fn names_say_something() {
    let found: Vec<String> = tree::files().iter().filter_map(|path| badly_named(path)).collect();
    assert_clean("No file or folder has an empty name", &found);
    for bad in ["src/utils/x.rs", "src/string_helper.rs", "tests/common/mod.rs", "src/hub/Types.rs"] {
        assert!(badly_named(Path::new(bad)).is_some(), "{bad}");
    }
    assert!(badly_named(Path::new("src/sink/record.rs")).is_none());
}
