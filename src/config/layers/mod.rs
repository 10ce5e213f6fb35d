//! Which files there are, lowest layer first, and their texts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::file;

use super::load::Inputs;
use super::problem::{Place, Problem, Problems};

/// What the package ships: every `*.toml` in it.
pub(super) const VENDOR_FOLDER: &str = "/usr/share/windhover";
/// What the administrator writes.
pub(super) const ADMIN_FILE: &str = "/etc/windhover/windhover.toml";
/// Below the state directory: what is changed while the daemon runs, every `*.toml` in it.
pub(super) const CHANGES_FOLDER: &str = "config.d";

/// A larger file is none of ours.
const LARGEST_FILE: u64 = 1 << 20;
/// More files in one folder are none of ours.
const MOST_FILES: usize = 64;

/// A place where configuration may lie. One that does not exist is no problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layer {
    /// One file.
    File(PathBuf),
    /// Every `*.toml` in a folder, in the order of their names; names that begin with a dot are left out.
    Folder(PathBuf),
}

/// A file of the configuration as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Where it lay.
    pub path: PathBuf,
    /// What it said.
    pub text: String,
}

/// Reads every file that there is; what cannot be read is a problem.
pub(super) fn gather(inputs: &Inputs, problems: &mut Problems) -> Vec<ConfigFile> {
    if let Some(path) = &inputs.named {
        return read(path, true, problems).into_iter().collect();
    }
    let mut files = Vec::new();
    for layer in &inputs.layers {
        match layer {
            Layer::File(path) => files.extend(read(path, false, problems)),
            Layer::Folder(folder) => {
                let paths = list(folder, problems);
                files.extend(paths.iter().filter_map(|path| read(path, true, problems)));
            }
        }
    }
    files
}

fn list(folder: &Path, problems: &mut Problems) -> Vec<PathBuf> {
    let ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".toml") && !name.starts_with('.')
    };
    let entries = fs::read_dir(folder).and_then(|entries| {
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<io::Result<Vec<PathBuf>>>()
    });
    let mut paths = match entries {
        Ok(paths) => paths,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(e) => {
            problem(folder, &e, problems);
            return Vec::new();
        }
    };
    paths.retain(ours);
    paths.sort();
    if paths.len() > MOST_FILES {
        let e = io::Error::other(format!("{} files, of at most {MOST_FILES}", paths.len()));
        problem(folder, &e, problems);
        paths.truncate(MOST_FILES);
    }
    paths
}

fn read(path: &Path, must_exist: bool, problems: &mut Problems) -> Option<ConfigFile> {
    let text = file::read(path, LARGEST_FILE)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8 text")));
    match text {
        Ok(text) => return Some(ConfigFile { path: path.to_owned(), text }),
        Err(e) if e.kind() == io::ErrorKind::NotFound && !must_exist => {}
        Err(e) => problem(path, &e, problems),
    }
    None
}

fn problem(path: &Path, e: &io::Error, problems: &mut Problems) {
    let place = Place::File { path: path.to_owned(), line: 0, column: 0 };
    problems.push(Problem::config(place, "", format!("cannot be read: {e}")));
}

#[cfg(test)]
mod tests;
