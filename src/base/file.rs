//! Small files: read within a bound, replaced whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Reads a regular file of at most `largest` bytes. What is a directory, a pipe or a device, or is larger, is an error.
pub fn read(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    // Opening a pipe waits for its writer, which may never come.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file (a directory, a pipe or a device)"));
    }
    let mut bytes = Vec::new();
    file.take(largest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        return Err(io::Error::other(format!("larger than {} KiB, which none of its kind is", largest >> 10)));
    }
    Ok(bytes)
}

/// Replaces a file, whole or not at all, also when the power goes: temporary file, fsync, rename, fsync of the directory.
/// Only the owner may read it. A missing directory is made, for the owner only.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("it is no path of a file"));
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let temporary = dir.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    // Left by a killed process of the same number. Made anew, so that root does not write through a link that waits there.
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What could not be written is of no use; that it stays behind does no harm.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(dir)?.sync_all()
}

/// Makes a directory that only its owner may enter; one that is there is closed to others.
pub fn private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/file");
        for text in ["one, longer", "two"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(read(&path, 100).unwrap(), text.as_bytes());
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
        assert!(read(&path, 2).is_err_and(|e| e.to_string().starts_with("larger than")));
        assert!(read(dir.path(), 100).is_err());
        assert!(replace(&path.join("below"), b"").is_err());
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        for folder in [open, dir.path().join("new/one")] {
            private_folder(&folder).unwrap();
            assert_eq!(mode(&folder), 0o700);
        }
    }
}
