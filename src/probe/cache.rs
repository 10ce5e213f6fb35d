//! Results of self-tests, kept over restarts: a test takes a good part of a second, and a start should not.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gst::prelude::*;
use serde::{Deserialize, Serialize};

use crate::base::file;
use crate::plan::inventory::SelfTest;

use super::self_test::Command;

const NAME: &str = "encoder-tests.json";
/// A larger file is none of ours.
const LARGEST: u64 = 1 << 16;
/// Old entries go when there are more: each update of a library leaves one behind.
const MOST: usize = 64;

/// What a result depends on: the element, its plugin's file, GStreamer, and this program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn of(element: &str, factory: &gst::ElementFactory, command: &Command) -> Self {
        let plugin = factory.plugin().and_then(|plugin| plugin.filename());
        let plugin = plugin.map_or_else(String::new, |path| identity(&path));
        let version = gst::version_string();
        let program = identity(&command.program);
        Self(format!("{element} | {plugin} | {version} | {program} {}", env!("WINDHOVER_REVISION")))
    }
}

/// Size and time of change of a file: a new build or a new package changes them.
fn identity(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(m) => format!("{} bytes {}.{:09}", m.len(), m.mtime(), m.mtime_nsec()),
        Err(_) => "unknown".into(),
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    passed: BTreeMap<String, SelfTest>,
}

/// The file. Only passed tests are kept: a test can fail because the machine was busy, and is cheap to repeat then.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    entries: Entries,
    changed: bool,
}

impl Cache {
    /// Reads the file; one that is missing or damaged counts as empty, because everything in it can be found out again.
    pub(super) fn open(state_dir: &Path) -> Self {
        let path = state_dir.join(NAME);
        let entries = match read(&path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Entries::default(),
            Err(e) => {
                tracing::warn!("{} is not readable and is made anew: {e}", path.display());
                Entries::default()
            }
        };
        Self { path, entries, changed: false }
    }

    pub(super) fn get(&self, key: &Key) -> Option<SelfTest> {
        self.entries.passed.get(&key.0).cloned()
    }

    pub(super) fn put(&mut self, key: Key, test: &SelfTest) {
        if matches!(test, SelfTest::Failed { .. }) {
            return;
        }
        if self.entries.passed.len() >= MOST {
            self.entries.passed.clear();
        }
        self.entries.passed.insert(key.0, test.clone());
        self.changed = true;
    }

    /// Writes the file if anything changed. A failure costs the next start a second, so it is a line in the log.
    pub(super) fn save(&mut self) {
        if std::mem::take(&mut self.changed)
            && let Err(e) = self.write()
        {
            tracing::warn!("{} cannot be written, encoders are tested again next time: {e}", self.path.display());
        }
    }

    fn write(&self) -> io::Result<()> {
        file::replace(&self.path, &serde_json::to_vec_pretty(&self.entries)?)
    }
}

fn read(path: &Path) -> io::Result<Entries> {
    Ok(serde_json::from_slice(&file::read(path, LARGEST)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: SelfTest = SelfTest::Passed { first_frame_ms: 12 };

    #[test]
    fn passed_tests_are_kept_and_failed_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state/windhover");
        let mut cache = Cache::open(&state);
        cache.put(Key("a".into()), &PASSED);
        cache.put(Key("b".into()), &SelfTest::Failed { reason: "busy".into() });
        cache.save();
        let again = Cache::open(&state);
        assert_eq!(again.get(&Key("a".into())), Some(PASSED));
        assert_eq!(again.get(&Key("b".into())), None);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "no temporary file is left");
        assert_eq!(fs::metadata(&state).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_damaged_file_counts_as_empty_and_is_replaced() {
        for damage in ["", "{", "{\"passed\": 3}", "{\"more\": {}}", "\0\0\0", &" ".repeat(70_000)] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(NAME), damage).unwrap();
            let mut cache = Cache::open(dir.path());
            assert_eq!(cache.get(&Key("a".into())), None);
            cache.put(Key("a".into()), &PASSED);
            cache.save();
            assert_eq!(Cache::open(dir.path()).get(&Key("a".into())), Some(PASSED));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let mut cache = Cache::open(&dir.path().join("file/below"));
        cache.put(Key("a".into()), &PASSED);
        cache.save();
    }

    #[test]
    fn stays_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(dir.path());
        for n in 0..MOST * 3 {
            cache.put(Key(n.to_string()), &PASSED);
        }
        assert!(cache.entries.passed.len() <= MOST);
    }
}
