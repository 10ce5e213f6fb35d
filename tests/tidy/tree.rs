//! The files of the repository: what git tracks, or, in a source archive, what lies there.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository that exists, relative to its top, in order. New files that git does not ignore count
/// too: a rule should speak before the commit, not after it.
pub(crate) fn files() -> Vec<PathBuf> {
    let mut files = from_git().unwrap_or_else(from_disk);
    files.retain(|path| root().join(path).is_file());
    files.sort();
    files
}

/// The files below `folder` whose names end in `ending`, with their text.
pub(crate) fn texts(folder: &str, ending: &str) -> Vec<(String, String)> {
    let names = files().into_iter().filter(|path| path.starts_with(folder));
    let names = names.map(|path| path.to_string_lossy().into_owned()).filter(|name| name.ends_with(ending));
    names.filter_map(|name| std::fs::read_to_string(root().join(&name)).ok().map(|text| (name, text))).collect()
}

fn from_git() -> Option<Vec<PathBuf>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let out = Command::new("git").args(arguments).current_dir(root()).output().ok()?;
    let names = String::from_utf8(out.stdout).ok()?;
    let names: Vec<PathBuf> = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
    (out.status.success() && !names.is_empty()).then_some(names)
}

fn from_disk() -> Vec<PathBuf> {
    let skip = |name: &str| name == ".git" || name.starts_with("target");
    let walk = walkdir::WalkDir::new(root()).into_iter();
    let entries = walk.filter_entry(|entry| !skip(&entry.file_name().to_string_lossy())).filter_map(Result::ok);
    entries.filter_map(|entry| entry.path().strip_prefix(root()).map(PathBuf::from).ok()).collect()
}

#[test]
fn both_ways_of_listing_see_this_file() {
    let this = Path::new("tests/tidy/tree.rs");
    assert!(files().iter().any(|path| path == this));
    assert!(from_disk().iter().any(|path| path == this));
    assert!(texts("tests/tidy", ".rs").iter().any(|(name, _)| Path::new(name) == this));
}
