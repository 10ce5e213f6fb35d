//! The credentials as the daemon uses them: read again when their file has changed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};

use super::{Credentials, Error, Store};

/// What tells one version of a file from another: its number, size, and when it was changed.
type Stamp = (u64, u64, i64, i64);

/// The file as it was read last.
type Read = (Stamp, Arc<Credentials>);

/// Shared by whoever asks for a login. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Login {
    store: Store,
    last: Arc<Mutex<Option<Read>>>,
}

impl Login {
    /// By the credentials of this store.
    pub fn new(store: Store) -> Self {
        Self { store, last: Arc::default() }
    }

    /// The credentials of this moment. Where they cannot be read, nobody has one.
    pub fn credentials(&self) -> Result<Arc<Credentials>, Error> {
        let stamp = match fs::metadata(self.store.path()) {
            Ok(m) => Some((m.ino(), m.size() ^ u64::from(m.mode()), m.ctime(), m.ctime_nsec())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(Error::Read { path: self.store.path().to_owned(), source }),
        };
        let mut last = self.last.lock().expect("nothing panics while it holds this lock");
        if let (Some((known, credentials)), Some(stamp)) = (&*last, stamp)
            && *known == stamp
        {
            return Ok(credentials.clone());
        }
        *last = None;
        let credentials = Arc::new(self.store.read()?);
        *last = stamp.map(|stamp| (stamp, credentials.clone()));
        Ok(credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Name;

    #[test]
    fn a_change_is_seen_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::in_directory(dir.path());
        let login = Login::new(store.clone());
        assert!(login.credentials().unwrap().is_empty());
        let name = Name::new("pilot").unwrap();
        store.add(&name).unwrap();
        let first = login.credentials().unwrap();
        assert_eq!(first.names().collect::<Vec<_>>(), [&name]);
        assert!(Arc::ptr_eq(&first, &login.credentials().unwrap()), "not read again");
        store.remove(&name).unwrap();
        assert!(login.credentials().unwrap().is_empty());
        fs::remove_file(store.path()).unwrap();
        assert!(login.credentials().unwrap().is_empty());
        fs::create_dir(store.path()).unwrap();
        assert!(login.credentials().is_err());
    }
}
