//! Making a disk one for recordings: what would be lost is said first, and nothing is lost that was not named.
//!
//! Root does this from a console, the daemon never. `lsblk`, `blkid`, `wipefs` and `mkfs.ext4` do the work: what they know of
//! partitions and file systems is not to be known twice.

mod block;
mod contents;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::base::units::ByteSize;

use super::disk::Directory;
use super::marker;
use block::{Block, find};

pub use block::Refusal;

/// The label by which `data.mount` and `70-windhover.rules` know the disk: `tests/firmware` compares them.
pub const LABEL: &str = "windhover-data";
/// Where `data.mount` mounts it.
pub const MOUNT: &str = "/data";

/// A smaller one holds no recordings to speak of: keep_free alone is 2 GiB by default.
const SMALLEST: u64 = 256 << 20;
/// One inode for so many bytes. A segment of 5.5 s at 95 kbit/s has this size, so that the space ends before the inodes do;
/// they take 0.4 % of the disk.
const BYTES_PER_INODE: &str = "65536";
/// Where root's programs are, whatever the shell's PATH says.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a disk was not formatted.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It must not be, or not without a word.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A program is missing, or failed.
    #[error("{program} failed: {said}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// Something on the way failed.
    #[error("{doing} failed")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The directory for recordings could not be prepared.
    #[error("the directory for recordings cannot be prepared")]
    Marker(#[source] super::Error),
}

/// What is to be made.
pub struct Wish {
    /// A disk or partition, by any of its names below /dev.
    pub device: PathBuf,
    /// The label or serial number of what may be lost, as a person typed it.
    pub erase: Option<String>,
    /// The storage directory, below [`MOUNT`].
    pub storage: PathBuf,
    /// User and group of the daemon.
    pub owner: (u32, u32),
    /// The time, since the Unix epoch.
    pub wall: Duration,
}

/// What was made.
#[derive(Debug, PartialEq, Eq)]
pub struct Made {
    /// The device.
    pub device: PathBuf,
    /// Its size.
    pub size: ByteSize,
    /// What is gone, by line.
    pub lost: Vec<String>,
}

/// Makes the disk one for recordings, or says why not.
pub fn format(wish: &Wish) -> Result<Made, FormatError> {
    let device =
        wish.device.canonicalize().map_err(|source| FormatError::Io { doing: "finding the device", source })?;
    let all = blocks()?;
    let found = find(&all, &device).ok_or_else(|| Refusal::NotADisk { device: device.clone(), known: known(&all) })?;
    found.may_be_formatted()?;
    let lost = found.contents(|block| contents::recordings(Path::new(&block.name)));
    found.may_be_lost(&lost, wish.erase.as_deref())?;
    let size = found.block.size;
    if size < SMALLEST {
        return Err(Refusal::TooSmall { device, size: ByteSize::from_bytes(size) }.into());
    }
    claim(&device)?;
    // The inner ones first: a partition that is forgotten keeps its file system.
    for block in found.block.children.iter().chain([found.block]) {
        run("wipefs", Command::new("wipefs").args(["--all", "--force", "--quiet"]).arg(&block.name))?;
    }
    make(&device, wish)?;
    Ok(Made { device, size: ByteSize::from_bytes(size), lost })
}

/// Makes the file system with the storage directory and its marker in it: a daemon that has recorded on another disk before
/// makes no directory on a new one by itself. `device` may be a file, too, as in tests.
fn make(device: &Path, wish: &Wish) -> Result<(), FormatError> {
    let io = |doing| move |source| FormatError::Io { doing, source };
    let staging = contents::folder("windhover-format").map_err(io("making a temporary folder"))?;
    let made = fill(staging.path(), wish).and_then(|()| {
        let mut mkfs = Command::new("mkfs.ext4");
        // No reserve for root: nothing of the system lies there.
        mkfs.args(["-q", "-F", "-m", "0", "-L", LABEL, "-i", BYTES_PER_INODE, "-d"]).arg(staging.path()).arg(device);
        run("mkfs.ext4", &mut mkfs)
    });
    made.map(drop)
}

fn fill(staging: &Path, wish: &Wish) -> Result<(), FormatError> {
    let Ok(below) = wish.storage.strip_prefix(MOUNT) else { return Ok(()) };
    let folder = staging.join(below);
    let io = |source| FormatError::Io { doing: "preparing the directory for recordings", source };
    std::fs::create_dir_all(&folder).map_err(io)?;
    let directory = Directory::open(&folder).map_err(io)?;
    marker::make(&wish.storage, &directory, wish.wall).map_err(FormatError::Marker)?;
    let (user, group) = wish.owner;
    for path in [folder.join(super::layout::MARKER), folder] {
        std::os::unix::fs::chown(path, Some(user), Some(group)).map_err(io)?;
    }
    Ok(())
}

/// Whatever uses it, mounted in another namespace for example, holds it exclusively (open(2), O_EXCL).
fn claim(device: &Path) -> Result<(), FormatError> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_EXCL).open(device);
    match opened.and_then(|file| file.metadata()) {
        Ok(meta) if meta.file_type().is_block_device() && meta.rdev() != 0 => Ok(()),
        Ok(_) => Err(Refusal::NotADisk { device: device.to_owned(), known: Vec::new() }.into()),
        Err(e) if e.kind() == io::ErrorKind::ResourceBusy => {
            Err(Refusal::InUse { device: device.to_owned(), by: "something that lsblk does not show".into() }.into())
        }
        Err(source) => Err(FormatError::Io { doing: "opening the device", source }),
    }
}

/// Every disk, with what lies on it. What udev's notes do not say is looked up on the device itself.
fn blocks() -> Result<Vec<Block>, FormatError> {
    let columns = "NAME,TYPE,SIZE,MODEL,SERIAL,FSTYPE,LABEL,PARTLABEL,PTTYPE,MOUNTPOINTS,RO";
    let said = run("lsblk", Command::new("lsblk").args(["--json", "--bytes", "--paths", "--output", columns]))?;
    let mut all = block::parse(&said).map_err(|e| FormatError::Program { program: "lsblk", said: e.to_string() })?;
    all.iter_mut().for_each(|block| block.look_up(&probe));
    Ok(all)
}

/// `TYPE=ext4` and the like of one device; nothing for an empty one.
fn probe(device: &str) -> String {
    let mut blkid = Command::new("blkid");
    // 2: nothing was found.
    run("blkid", blkid.args(["--probe", "--output", "export", device])).unwrap_or_default()
}

fn known(all: &[Block]) -> Vec<String> {
    all.iter().filter(|block| block.size > 0).map(|block| block.name.clone()).collect()
}

/// Runs a program to its end; its standard output.
fn run(program: &'static str, command: &mut Command) -> Result<String, FormatError> {
    let failed = |said: String| FormatError::Program { program, said };
    let out = command.env("PATH", PATH).env("LC_ALL", "C").output().map_err(|e| failed(e.to_string()))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    Err(failed(if said.trim().is_empty() { out.status.to_string() } else { said.trim().to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_made_with_its_directory_and_no_reserve() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("disk");
        std::fs::File::create(&device).unwrap().set_len(64 << 20).unwrap();
        let owner = std::fs::metadata(folder.path()).map(|meta| (meta.uid(), meta.gid())).unwrap();
        let storage = PathBuf::from("/data/video");
        let wall = Duration::from_secs(1_795_161_600);
        make(&device, &Wish { device: device.clone(), erase: None, storage, owner, wall }).unwrap();
        let shown = run("dumpe2fs", Command::new("dumpe2fs").arg("-h").arg(&device)).unwrap();
        let field = |name: &str| {
            let line = shown.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
            line.trim().to_owned()
        };
        assert_eq!((field("Filesystem volume name:"), field("Reserved block count:")), (LABEL.into(), "0".into()));
        assert_eq!(field("Inode count:"), (64 * 1024 / 64).to_string());
        assert!(field("Filesystem features:").contains("has_journal"));
        let file =
            run("debugfs", Command::new("debugfs").args(["-R", "cat /video/windhover-storage.toml"]).arg(&device));
        assert!(file.unwrap().contains("layout = 1\n"));
        run("e2fsck", Command::new("e2fsck").arg("-fn").arg(&device)).unwrap();
    }

    #[test]
    fn what_is_no_device_is_not_claimed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = claim(file.path()).unwrap_err().to_string();
        assert!(refused.contains("is no disk or partition"), "{refused}");
        assert!(claim(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let e = run("lsblk", Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"])).unwrap_err();
        assert_eq!(e.to_string(), "lsblk failed: no such thing");
        assert!(run("lsblk", &mut Command::new("no-such-program-here")).is_err());
    }
}
