//! What a disk of ours holds, found by mounting it for reading where nobody else looks.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::base::units::ByteSize;
use crate::storage::catalog::{self, Catalog};
use crate::storage::disk::Directory;
use crate::storage::layout::{self, Kind, Name};

use super::run;

/// A folder that goes with the value.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Below /run, or /tmp: what stays behind goes with the next boot.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A new folder that only its owner may enter. Root's is in memory.
pub(super) fn folder(name: &str) -> io::Result<Folder> {
    use std::os::unix::fs::DirBuilderExt;
    let make = |place: &str| {
        let path = Path::new(place).join(format!("{name}.{}", std::process::id()));
        // What a killed process of this number left behind, and nobody else could enter.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::DirBuilder::new().mode(0o700).create(&path).map(|()| Folder(path))
    };
    make("/run").or_else(|_| make("/tmp"))
}

/// The recordings on a disk with our label, a line for each stream. A disk that cannot be read says so.
pub(super) fn recordings(device: &Path) -> Vec<String> {
    look(device).unwrap_or_else(|e| vec![format!("its recordings cannot be counted: {e}")])
}

fn look(device: &Path) -> Result<Vec<String>, String> {
    let mount = folder("windhover-look").map_err(|e| e.to_string())?;
    let mut command = Command::new("mount");
    // noload: the journal is not replayed, so nothing at all is written.
    command.args(["-t", "ext4", "-o", "ro,noload,nosuid,nodev,noexec"]).arg(device).arg(mount.path());
    run("mount", &mut command).map_err(|e| e.to_string())?;
    let lines = lines(mount.path());
    run("umount", Command::new("umount").arg("--lazy").arg(mount.path())).map_err(|e| e.to_string())?;
    lines.map_err(|e| e.to_string())
}

fn lines(mount: &Path) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    let folders = std::fs::read_dir(mount)?.flatten().map(|entry| entry.path());
    for folder in folders.chain([mount.to_owned()]).filter(|folder| folder.join(layout::MARKER).is_file()) {
        let directory = Directory::open(&folder)?;
        let (catalog, open) = catalog::scan(&directory).map_err(io::Error::other)?;
        lines.extend(streams(&catalog));
        if !open.is_empty() {
            lines.push(format!("files that were not finished: {}", open.len()));
        }
    }
    let space = rustix::fs::statvfs(mount)?;
    let used = space.f_blocks.saturating_sub(space.f_bfree).saturating_mul(space.f_frsize);
    lines.push(format!("{} in use in all", ByteSize::from_bytes(used)));
    Ok(lines)
}

fn streams(catalog: &Catalog) -> Vec<String> {
    let line = |(id, shelf): (&crate::base::id::StreamId, &catalog::Shelf)| {
        let videos = shelf.files(Kind::Video);
        let dates = || videos.iter().map(|name: &Name| layout::date(name));
        let span = dates().min().zip(dates().max()).map(|(first, last)| format!(", {first} to {last}"));
        let (span, images) = (span.unwrap_or_default(), shelf.files(Kind::Image).len());
        format!("stream {id}: {} recordings{span}, {images} snapshots", videos.len())
    };
    catalog.streams.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_counted_by_stream() {
        let root = tempfile::tempdir().unwrap();
        let video = root.path().join("video");
        let day = video.join("live/video/2026-11-20");
        std::fs::create_dir_all(&day).unwrap();
        std::fs::write(video.join(layout::MARKER), "").unwrap();
        for (seq, ending) in [(1, ""), (2, ""), (3, ".part")] {
            std::fs::write(day.join(format!("live_1795161600_r0042-000{seq}.mp4{ending}")), "x").unwrap();
        }
        let lines = lines(root.path()).unwrap();
        assert_eq!(lines[0], "stream live: 2 recordings, 2026-11-20 to 2026-11-20, 0 snapshots");
        assert_eq!(lines[1], "files that were not finished: 1");
        assert!(lines[2].ends_with(" in use in all"), "{lines:?}");
        assert!(look(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn a_folder_goes_with_its_value() {
        let folder = folder("windhover-test-folder").unwrap();
        let path = folder.path().to_owned();
        std::fs::write(path.join("file"), "").unwrap();
        drop(folder);
        assert!(!path.exists());
    }
}
