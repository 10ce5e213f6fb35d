//! The file of RTSP credentials: one line `name:realm:HA1` each, as htdigest(1) writes them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::REALM;
use super::digest::{Credentials, Ha1, hex, random};

/// Its name in the state directory.
const NAME: &str = "rtsp-credentials";
/// More would be another kind of installation.
const MOST: usize = 100;
/// A hundred lines have 8 KB.
const LARGEST: u64 = 64 << 10;
/// Letters and digits that nobody mistakes for each other, and that need no escape in a URL.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 5 bits each: 100 bits.
const PASSWORD_LETTERS: usize = 20;

/// What goes wrong with credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name cannot be one.
    #[error("\"{0}\" is no name: take 1 to 32 of a-z, 0-9, '-', '_' and '.'")]
    Name(String),
    /// The name is in use.
    #[error("\"{0}\" has a credential already: remove it first, its password cannot be shown again")]
    Exists(Name),
    /// Nobody has this name.
    #[error("\"{0}\" has no credential")]
    Unknown(Name),
    /// The file is full.
    #[error("there are {MOST} credentials already: remove one first")]
    TooMany,
    /// Others than its owner may read or write the file.
    #[error("{path} may be used by others than its owner (mode {mode:o}): chmod 600, then make new credentials")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A line is none of ours.
    #[error("{path}: line {line} is no credential: remove the line, or the file, and make new ones")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("{path} cannot be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The name of a credential.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// 1 to 32 of a-z, 0-9, '-', '_' and '.'.
    pub fn new(text: &str) -> Result<Self, Error> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        if (1..=32).contains(&text.len()) && text.chars().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::Name(text.chars().filter(|c| !c.is_control()).take(64).collect()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A new password. There is no other way to see it than `reveal`, and no second time.
pub struct Password(String);

impl Password {
    fn generate() -> Self {
        let letters = random::<PASSWORD_LETTERS>().map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
        Self(letters.iter().collect())
    }

    /// The password itself, for the person who asked for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Where the credentials lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    /// The store in this state directory.
    pub fn in_directory(state: &Path) -> Self {
        Self { path: state.join(NAME) }
    }

    /// The store in this file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All credentials; none while there is no file.
    pub fn read(&self) -> Result<Credentials, Error> {
        let failed = |source| Error::Read { path: self.path.clone(), source };
        let file = match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Credentials::default()),
            Err(e) => return Err(failed(e)),
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::other("it is no regular file")));
        }
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::Exposed { path: self.path.clone(), mode });
        }
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text).map_err(failed)?;
        let mut entries = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let damaged = || Error::Damaged { path: self.path.clone(), line: number + 1 };
            let (name, ha1) = entry(line).ok_or_else(damaged)?;
            entries.insert(name, ha1);
        }
        Ok(Credentials(entries))
    }

    /// Makes a credential. The password exists only in what this returns.
    pub fn add(&self, name: &Name) -> Result<Password, Error> {
        let password = Password::generate();
        self.change(|entries| {
            if entries.contains_key(name) {
                return Err(Error::Exists(name.clone()));
            }
            if entries.len() >= MOST {
                return Err(Error::TooMany);
            }
            entries.insert(name.clone(), Ha1::of(name, &password.0));
            Ok(())
        })?;
        Ok(password)
    }

    /// Takes a credential away.
    pub fn remove(&self, name: &Name) -> Result<(), Error> {
        self.change(|entries| entries.remove(name).map(drop).ok_or_else(|| Error::Unknown(name.clone())))
    }

    /// One change at a time, whole or not at all, also when the power goes.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<Name, Ha1>) -> Result<(), Error>) -> Result<(), Error> {
        let failed = |source| Error::Write { path: self.path.clone(), source };
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
        // Released when it is closed.
        let directory = File::open(parent).map_err(failed)?;
        rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockExclusive).map_err(|e| failed(e.into()))?;
        let mut credentials = self.read()?;
        change(&mut credentials.0)?;
        self.write(&credentials, &directory).map_err(failed)
    }

    fn write(&self, credentials: &Credentials, directory: &File) -> io::Result<()> {
        let lines = credentials.0.iter().map(|(name, ha1)| format!("{name}:{REALM}:{}\n", hex(&ha1.0)));
        let text: String = lines.collect();
        let temporary = self.path.with_file_name(format!(".{NAME}.new"));
        // What a power cut left of it, with whatever mode, is none of the new one.
        match fs::remove_file(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let written = own_like(&file, directory)
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&temporary, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written?;
        directory.sync_all()
    }
}

/// What root writes into the daemon's directory must be the daemon's.
fn own_like(file: &File, directory: &File) -> io::Result<()> {
    let (is, should) = (file.metadata()?, directory.metadata()?);
    if is.uid() == should.uid() {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(should.uid()), Some(should.gid()))
}

fn entry(line: &str) -> Option<(Name, Ha1)> {
    let mut parts = line.split(':');
    let (name, realm, hash) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || realm != REALM || hash.len() != 32 || !hash.is_ascii() {
        return None;
    }
    let mut ha1 = [0; 16];
    for (n, byte) in ha1.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hash[2 * n..2 * n + 2], 16).ok()?;
    }
    Some((Name::new(name).ok()?, Ha1(ha1)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(store: &Store) -> Vec<String> {
        store.read().unwrap().names().map(ToString::to_string).collect()
    }

    #[test]
    fn credentials_are_added_listed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::in_directory(&dir.path().join("state"));
        assert_eq!(names(&store), [""; 0]);
        let (pilot, ground) = (Name::new("pilot").unwrap(), Name::new("ground-1").unwrap());
        let password = store.add(&pilot).unwrap();
        assert_eq!(password.reveal().len(), 20);
        assert_ne!(store.add(&ground).unwrap().reveal(), password.reveal());
        assert!(matches!(store.add(&pilot), Err(Error::Exists(_))));
        assert_eq!(names(&store), ["ground-1", "pilot"]);
        let text = fs::read_to_string(store.path()).unwrap();
        assert!(!text.contains(password.reveal()) && text.lines().all(|line| line.contains(":windhover:")), "{text}");
        assert_eq!(fs::metadata(store.path()).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(dir.path().join("state")).unwrap().mode() & 0o777, 0o700);
        store.remove(&pilot).unwrap();
        assert!(matches!(store.remove(&pilot), Err(Error::Unknown(_))));
        assert_eq!(names(&store), ["ground-1"]);
        assert_eq!(fs::read_dir(dir.path().join("state")).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_others_may_read_or_nobody_wrote_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::in_directory(dir.path());
        store.add(&Name::new("pilot").unwrap()).unwrap();
        fs::set_permissions(store.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(store.read(), Err(Error::Exposed { mode: 0o640, .. })));
        fs::set_permissions(store.path(), fs::Permissions::from_mode(0o600)).unwrap();
        for bad in
            ["x", "a:windhover:12", "a:other:0123456789abcdef0123456789abcdef", "A:windhover:0", "\u{e4}:windhover:é"]
        {
            fs::write(store.path(), format!("a:windhover:{}\n{bad}\n", "0".repeat(32))).unwrap();
            assert!(matches!(store.read(), Err(Error::Damaged { line: 2, .. })), "{bad}");
            assert!(store.add(&Name::new("b").unwrap()).is_err(), "nothing damaged is written over");
        }
    }

    #[test]
    fn names_and_their_number_are_bounded() {
        for bad in ["", "Pilot", "a:b", "a b", "\u{e4}", &"x".repeat(33)] {
            assert!(matches!(Name::new(bad), Err(Error::Name(_))), "{bad}");
        }
        let dir = tempfile::tempdir().unwrap();
        let store = Store::in_directory(dir.path());
        let lines = (0..MOST).map(|n| format!("n{n}:windhover:{}\n", "0".repeat(32)));
        fs::write(store.path(), lines.collect::<String>()).unwrap();
        fs::set_permissions(store.path(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(store.add(&Name::new("one-more").unwrap()), Err(Error::TooMany)));
    }
}
