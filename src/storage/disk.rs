//! File access below the storage directory, behind a trait, so that a test can cut the power between any two steps.
//!
//! All paths are relative to a directory that was opened once: after an SSD was pulled they fail, and can never land
//! on the file system below its mount point.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// What a directory holds under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The name, without the directory. Names that are not UTF-8 are never ours and are left out.
    pub name: String,
    /// True for a directory (not for a link to one).
    pub is_dir: bool,
}

/// The operations that recording needs. Nothing reaches the medium for certain before a `datasync` of the file, or
/// for names a `sync_dir` of the directory, has returned.
pub trait Disk: Send + Sync {
    /// Makes `dir` and its missing parents; each new name is durable when this returns.
    fn make_dirs(&self, dir: &Path) -> io::Result<()>;
    /// Makes a new file; one that exists already is an error.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file for reading and writing. A symlink is refused.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Renames atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes or replaces, atomically, the symlink `link`. `target` is relative to the directory of the link.
    fn switch_link(&self, target: &Path, link: &Path) -> io::Result<()>;
    /// Removes one file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes one directory, if it is empty.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// The entries of a directory, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<Item>>;
    /// Size of a file in bytes.
    fn size(&self, path: &Path) -> io::Result<u64>;
    /// Bytes that may still be written by us.
    fn free(&self) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Send {
    /// Writes all of `data` at the byte position `at`.
    fn write_at(&mut self, data: &[u8], at: u64) -> io::Result<()>;
    /// Fills `data` from the byte position `at`; a shorter file is an error of kind `UnexpectedEof`.
    fn read_at(&self, data: &mut [u8], at: u64) -> io::Result<()>;
    /// Size in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Cuts the file off at `len` bytes.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
    /// Returns when content and size are on the medium.
    fn datasync(&mut self) -> io::Result<()>;
}

/// A directory of the machine.
pub struct Directory(OwnedFd);

impl Directory {
    /// Opens the directory at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open_dir(CWD, path)?))
    }

    /// The descriptor, for locks and for asking which device it is on.
    pub fn fd(&self) -> &OwnedFd {
        &self.0
    }

    fn open_dir(&self, dir: &Path) -> io::Result<OwnedFd> {
        open_dir(&self.0, here(dir))
    }
}

fn open_dir(at: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The directory itself has no name relative to itself but ".".
fn here(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() { Path::new(".") } else { dir }
}

impl Disk for Directory {
    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.0, dir, Mode::from_raw_mode(0o755)) {
            Err(rustix::io::Errno::EXIST) => return Ok(()),
            Err(rustix::io::Errno::NOENT) => {
                let parent = dir.parent().filter(|p| !p.as_os_str().is_empty());
                self.make_dirs(parent.ok_or(rustix::io::Errno::NOENT)?)?;
                rustix::fs::mkdirat(&self.0, dir, Mode::from_raw_mode(0o755))?;
            }
            made => made?,
        }
        self.sync_dir(dir.parent().unwrap_or(Path::new("")))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, path, flags, Mode::from_raw_mode(0o644))?;
        Ok(Box::new(RealFile(file.into())))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, path, flags, Mode::empty())?;
        Ok(Box::new(RealFile(file.into())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.open_dir(dir)?)?)
    }

    fn switch_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        let new = link.with_extension("new");
        match rustix::fs::unlinkat(&self.0, &new, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
        rustix::fs::symlinkat(target, &self.0, &new)?;
        self.rename(&new, link)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, path, AtFlags::empty())?)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, dir, AtFlags::REMOVEDIR)?)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Item>> {
        let dir_fd = self.open_dir(dir)?;
        let mut items = Vec::new();
        for entry in rustix::fs::Dir::read_from(&dir_fd)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let is_dir = match entry.file_type() {
                rustix::fs::FileType::Directory => true,
                // Some file systems do not tell the type with the name.
                rustix::fs::FileType::Unknown => {
                    let stat = rustix::fs::statat(&dir_fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory
                }
                _ => false,
            };
            items.push(Item { name: name.to_owned(), is_dir });
        }
        Ok(items)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statat(&self.0, path, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn free(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.0)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn write_at(&mut self, data: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(data, at)
    }

    fn read_at(&self, data: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read_exact_at(data, at)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn datasync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_files_and_links_below_one_root() {
        let root = tempfile::tempdir().unwrap();
        let disk = Directory::open(root.path()).unwrap();
        let p = Path::new;
        disk.make_dirs(p("a/b/c")).unwrap();
        disk.make_dirs(p("a/b/c")).unwrap();
        let mut file = disk.create(p("a/b/c/f")).unwrap();
        assert!(disk.create(p("a/b/c/f")).is_err());
        file.write_at(b"hello", 3).unwrap();
        file.datasync().unwrap();
        assert_eq!(file.size().unwrap(), 8);
        file.set_len(4).unwrap();
        assert_eq!(disk.size(p("a/b/c/f")).unwrap(), 4);
        disk.rename(p("a/b/c/f"), p("a/b/c/g")).unwrap();
        disk.sync_dir(p("a/b/c")).unwrap();
        for _ in 0..2 {
            disk.switch_link(p("b/c/g"), p("a/latest.x")).unwrap();
        }
        assert_eq!(std::fs::read(root.path().join("a/latest.x")).unwrap().len(), 4);
        assert!(disk.open(p("a/latest.x")).is_err(), "a link is not followed");
        let mut names: Vec<_> = disk.list(p("a")).unwrap().into_iter().map(|i| (i.name, i.is_dir)).collect();
        names.sort();
        assert_eq!(names, [("b".to_owned(), true), ("latest.x".to_owned(), false)]);
        assert!(disk.remove_dir(p("a/b/c")).is_err());
        disk.remove(p("a/b/c/g")).unwrap();
        disk.remove_dir(p("a/b/c")).unwrap();
        assert!(disk.list(p("")).is_ok() && disk.free().unwrap() > 0);
    }
}
