//! The file that says that a directory is ours. Without it nothing is written or deleted there.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::disk::{Directory, Disk, DiskFile};
use super::error::Error;
use super::layout::{MARKER, NEW_MARKER};

/// The layout of names and directories that this version reads and writes.
const LAYOUT: u32 = 1;
/// A marker is some 200 bytes.
const MAX_BYTES: u64 = 4096;

/// The content of the marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    layout: u32,
    id: String,
    created: String,
}

/// The marker of a directory, `None` if it has none.
pub(super) fn read(path: &Path, directory: &Directory) -> Result<Option<Marker>, Error> {
    let file = match directory.open(MARKER.as_ref()) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::missing(path, format!("{MARKER} in it cannot be opened"), Some(e))),
    };
    let text =
        content(file.as_ref()).map_err(|e| Error::missing(path, format!("{MARKER} in it cannot be read"), Some(e)))?;
    match toml::from_str::<Marker>(&text) {
        Ok(marker) if marker.layout == LAYOUT => Ok(Some(marker)),
        Ok(marker) => Err(foreign(
            path,
            format!(
                "its layout is version {}, this daemon knows version {LAYOUT}; give it a directory of its own",
                marker.layout
            ),
        )),
        Err(_) => Err(foreign(path, format!("{MARKER} in it is damaged; restore it, or use another directory"))),
    }
}

fn content(file: &dyn DiskFile) -> std::io::Result<String> {
    let len = usize::try_from(file.size()?.min(MAX_BYTES)).expect("at most 4096");
    let mut data = vec![0; len];
    file.read_at(&mut data, 0)?;
    Ok(String::from_utf8_lossy(&data).into_owned())
}

/// Makes a marker in an empty directory.
pub(super) fn make(path: &Path, directory: &Directory, wall: Duration) -> Result<Marker, Error> {
    require_empty(path, directory)?;
    let failed = |e| Error::missing(path, "its marker cannot be written", Some(e));
    let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").map_err(failed)?.trim().to_owned();
    let created = i64::try_from(wall.as_secs()).ok().and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok());
    let created = created.and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok());
    let marker = Marker { layout: LAYOUT, id, created: created.unwrap_or_default() };
    let fields = toml::to_string(&marker).expect("three plain fields are always TOML");
    let text = format!(
        "# Windhover keeps recordings and snapshots here. Without this file it neither writes nor deletes\n\
         # anything in this directory.\n{fields}"
    );
    write(directory, text.as_bytes()).map_err(failed)?;
    tracing::info!(id = marker.id, "made the storage directory {}", path.display());
    Ok(marker)
}

fn write(directory: &Directory, text: &[u8]) -> std::io::Result<()> {
    match directory.remove(NEW_MARKER.as_ref()) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = directory.create(NEW_MARKER.as_ref())?;
    file.write_at(text, 0)?;
    file.datasync()?;
    directory.rename(NEW_MARKER.as_ref(), MARKER.as_ref())?;
    directory.sync_dir("".as_ref())
}

/// What a file system or desktop puts into a fresh disk by itself does not make it somebody's.
pub(super) fn require_empty(path: &Path, directory: &Directory) -> Result<(), Error> {
    let items = directory.list("".as_ref()).map_err(|e| Error::missing(path, "it cannot be read", Some(e)))?;
    let own = |name: &str| {
        matches!(name, "lost+found" | "System Volume Information" | NEW_MARKER) || name.starts_with(".Trash-")
    };
    match items.iter().find(|item| !own(&item.name)) {
        Some(item) => Err(foreign(
            path,
            format!(
                "it has no {MARKER} and is not empty (\"{}\"); name an empty or absent directory",
                item.name.chars().take(64).collect::<String>()
            ),
        )),
        None => Ok(()),
    }
}

fn foreign(path: &Path, why: String) -> Error {
    Error::Foreign { path: path.to_owned(), why }
}
