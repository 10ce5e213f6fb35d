//! File access below the storage directory, behind a trait, so that a test can cut the power between any two steps.
//!
//! All paths are relative to a directory that was opened once: after an SSD was pulled they fail, and can never land
//! on the file system below its mount point. A link on the way is never followed: what lies behind it would be neither
//! listed nor deleted, and may be on another disk.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

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

    /// Opens a directory below this one, step by step: none of them may be a link, which could lead anywhere.
    fn open_dir(&self, dir: &Path) -> io::Result<OwnedFd> {
        let mut at = open_dir(&self.0, Path::new("."))?;
        for (depth, name) in (1..).zip(dir.iter()) {
            at = step(&at, name).map_err(|e| named(e, &at, dir, depth))?;
        }
        Ok(at)
    }

    /// The directory of a file, and its name there.
    fn place<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let name = path.file_name().ok_or(rustix::io::Errno::INVAL)?;
        Ok((self.open_dir(path.parent().unwrap_or(Path::new("")))?, name))
    }
}

/// A link where a directory of ours should be.
#[derive(Debug, thiserror::Error)]
#[error("{} is a link, which is not followed; put a directory in its place, or point storage.path at the disk", .0.display())]
pub struct Linked(PathBuf);

fn open_dir(at: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn step(at: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// The error of a step to the component `depth` of `dir`: the kernel says of a link only that it is no directory.
fn named(e: rustix::io::Errno, at: &OwnedFd, dir: &Path, depth: usize) -> io::Error {
    let path: PathBuf = dir.iter().take(depth).collect();
    let stat = rustix::fs::statat(at, path.file_name().unwrap_or_default(), AtFlags::SYMLINK_NOFOLLOW);
    let linked = stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
    if linked { io::Error::other(Linked(path)) } else { e.into() }
}

impl Disk for Directory {
    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        let mut at = open_dir(&self.0, Path::new("."))?;
        for (depth, name) in (1..).zip(dir.iter()) {
            match rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o755)) {
                Err(rustix::io::Errno::EXIST) => {}
                made => {
                    made?;
                    rustix::fs::fsync(&at)?;
                }
            }
            at = step(&at, name).map_err(|e| named(e, &at, dir, depth))?;
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (dir, name) = self.place(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&dir, name, flags, Mode::from_raw_mode(0o644))?;
        Ok(Box::new(RealFile(file.into())))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (dir, name) = self.place(path)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&dir, name, flags, Mode::empty())?;
        Ok(Box::new(RealFile(file.into())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from, old), (to, new)) = (self.place(from)?, self.place(to)?);
        Ok(rustix::fs::renameat(&from, old, &to, new)?)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.open_dir(dir)?)?)
    }

    fn switch_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        let new = link.with_extension("new");
        let (dir, name) = self.place(&new)?;
        match rustix::fs::unlinkat(&dir, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
        rustix::fs::symlinkat(target, &dir, name)?;
        self.rename(&new, link)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.place(path)?;
        Ok(rustix::fs::unlinkat(&dir, name, AtFlags::empty())?)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let (parent, name) = self.place(dir)?;
        Ok(rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)?)
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
                FileType::Directory => true,
                // Some file systems do not tell the type with the name.
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&dir_fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
                }
                _ => false,
            };
            items.push(Item { name: name.to_owned(), is_dir });
        }
        Ok(items)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let (dir, name) = self.place(path)?;
        let stat = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
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

    #[test]
    fn links_on_the_way_are_not_followed() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let disk = Directory::open(root.path()).unwrap();
        std::fs::create_dir(other.path().join("video")).unwrap();
        std::fs::write(other.path().join("video/f"), "x").unwrap();
        std::os::unix::fs::symlink(other.path(), root.path().join("live")).unwrap();
        let p = Path::new;
        disk.make_dirs(p("b")).unwrap();
        let all = [
            disk.make_dirs(p("live/video/2026-11-20")),
            disk.create(p("live/video/g")).map(drop),
            disk.open(p("live/video/f")).map(drop),
            disk.rename(p("live/video/f"), p("b/f")),
            disk.sync_dir(p("live")),
            disk.switch_link(p("video/f"), p("live/latest.x")),
            disk.remove(p("live/video/f")),
            disk.remove_dir(p("live/video")),
            disk.list(p("live/video")).map(drop),
            disk.size(p("live/video/f")).map(drop),
        ];
        for (number, result) in all.into_iter().enumerate() {
            let text = result.map_err(|e| e.to_string());
            assert!(text.as_ref().is_err_and(|e| e.starts_with("live is a link")), "{number}: {text:?}");
        }
        assert_eq!(std::fs::read_dir(other.path().join("video")).unwrap().count(), 1);
    }
}
