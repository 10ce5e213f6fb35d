//! The last known good configuration: the texts of the files that the daemon ran with, kept in the state directory.
//!
//! Variables of the environment are not kept: they are not in a file that a mistake can spoil, and may hold secrets.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::crc::crc32;
use crate::base::file;

use super::environment::{self, Environment};
use super::layers::ConfigFile;
use super::load::{Config, read};
use super::problem::{Place, Problems};

/// Its name in the state directory.
pub const NAME: &str = "last-known-good";
/// What the first line begins with; the sum of the rest follows.
const HEAD: &str = "windhover last known good 1 ";
/// Sixteen files of the largest size: no configuration comes near.
const LARGEST: u64 = 16 << 20;

/// A configuration that was good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastGood {
    /// When it was kept, in seconds since the Unix epoch.
    pub kept_unix: u64,
    /// Its files, lowest layer first.
    pub files: Vec<ConfigFile>,
}

/// Why a kept configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is torn, altered, or of another version.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: &'static str,
    },
}

impl LastGood {
    /// Keeps `files`, atomically. Nothing is written where the same is kept already: flash wears.
    pub fn keep(state: &Path, files: &[ConfigFile], now: Duration) -> io::Result<()> {
        if Self::find(state).is_ok_and(|kept| kept.is_some_and(|kept| kept.files == files)) {
            return Ok(());
        }
        let body = serde_json::to_string_pretty(&Self { kept_unix: now.as_secs(), files: files.to_vec() })?;
        if body.len() as u64 > LARGEST / 2 {
            return Err(io::Error::other("larger than any configuration"));
        }
        let sum = crc32(&[body.as_bytes()]);
        file::replace(&state.join(NAME), format!("{HEAD}{sum:08x}\n{body}").as_bytes())
    }

    /// What was kept, if anything was.
    pub fn find(state: &Path) -> Result<Option<Self>, Error> {
        let path = state.join(NAME);
        let bytes = match file::read(&path, LARGEST) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Read { path, source }),
        };
        parse(&bytes).map(Some).map_err(|why| Error::Damaged { path, why })
    }

    /// The configuration, without problems of its own: with the whole environment if that is good, else without the
    /// variables that have problems, else without any. `None` if even that is not good, because the daemon is newer and
    /// knows better.
    pub fn config(&self, environment: &Environment) -> Option<Config> {
        let (config, problems) = self.read(environment.clone());
        if !problems.refuse() {
            return Some(config);
        }
        let blamed = |name: &String| problems.iter().any(|p| p.place == Place::Variable(name.clone()));
        let good = environment.iter().filter(|(name, _)| !blamed(name));
        let without = environment.iter().filter(|(name, _)| !environment::is_ours(name));
        let tries = [good.map(own).collect::<Environment>(), without.map(own).collect()];
        tries.into_iter().map(|environment| self.read(environment)).find(|(_, p)| !p.refuse()).map(|(config, _)| config)
    }

    fn read(&self, environment: Environment) -> (Config, Problems) {
        read(self.files.clone(), environment, Problems::default())
    }
}

fn own((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

fn parse(bytes: &[u8]) -> Result<LastGood, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8 text")?;
    let (head, body) = text.split_once('\n').ok_or("it is cut off")?;
    let sum = head.strip_prefix(HEAD).ok_or("not of this version")?;
    if u32::from_str_radix(sum, 16) != Ok(crc32(&[body.as_bytes()])) {
        return Err("its sum is wrong");
    }
    serde_json::from_str(body).map_err(|_| "not of this version")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<ConfigFile> {
        vec![ConfigFile { path: "/etc/windhover/windhover.toml".into(), text: text.into() }]
    }

    #[test]
    fn what_was_kept_is_found_and_not_written_twice() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(LastGood::find(dir.path()).unwrap(), None);
        LastGood::keep(dir.path(), &files("board = \"sim\"\n"), Duration::from_secs(7)).unwrap();
        LastGood::keep(dir.path(), &files("board = \"sim\"\n"), Duration::from_secs(9)).unwrap();
        let found = LastGood::find(dir.path()).unwrap().unwrap();
        assert_eq!((found.kept_unix, found.files.clone()), (7, files("board = \"sim\"\n")));
        LastGood::keep(dir.path(), &[], Duration::from_secs(9)).unwrap();
        assert_eq!(LastGood::find(dir.path()).unwrap().unwrap().kept_unix, 9);
    }

    #[test]
    fn every_torn_or_altered_file_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        LastGood::keep(dir.path(), &files("fps = 30"), Duration::from_secs(7)).unwrap();
        let path = dir.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(LastGood::find(dir.path()), Err(Error::Damaged { .. })), "cut to {length}");
        }
        for at in 0..whole.len() {
            let mut other = whole.clone();
            other[at] ^= 1;
            std::fs::write(&path, &other).unwrap();
            // In the head, the sum may be written in other letters.
            let same = LastGood::find(dir.path()).is_ok_and(|kept| kept.unwrap().files == files("fps = 30"));
            assert!(same || LastGood::find(dir.path()).is_err(), "altered at {at}");
        }
        // It is replaced by the next good one, not repaired.
        LastGood::keep(dir.path(), &files("fps = 25"), Duration::from_secs(8)).unwrap();
        assert_eq!(LastGood::find(dir.path()).unwrap().unwrap().files, files("fps = 25"));
    }

    #[test]
    fn a_bad_variable_is_left_out() {
        let env = |pairs: &[(&str, &str)]| -> Environment {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let good = LastGood { kept_unix: 0, files: files("[limits]\nmax_viewers = 5\n") };
        let viewers = |config: &Config| (config.settings.limits.max_viewers, config.settings.stream[0].fps.to_string());
        let config = good.config(&env(&[("VIDEO_FPS", "25"), ("HOME", "/u")])).unwrap();
        assert_eq!(viewers(&config), (5, "25".into()));
        let config = good.config(&env(&[("VIDEO_FPS", "25"), ("VIDEO_WIDTH", "wide"), ("HOME", "/u")])).unwrap();
        assert_eq!(viewers(&config), (5, "25".into()));
        // Blamed on a file although a variable is to blame: then all are left out, but not where home is.
        let both = env(&[("WINDHOVER_HTTP__LISTEN", "127.0.0.1:8554"), ("WINDHOVER_RTSP__LISTEN", "127.0.0.1:8554")]);
        let config = good.config(&both).unwrap();
        assert_eq!(config.settings.http.listen.port(), 8080);
        let bad = LastGood { kept_unix: 0, files: files("unknown = 5\n") };
        assert!(bad.config(&env(&[])).is_none());
    }
}
