//! What is on the disk, found by looking. There is no database that could disagree with it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::base::id::StreamId;

use super::age::Ages;
use super::disk::Disk;
use super::error::{Error, is_linked};
use super::layout::{self, Completeness, Kind, Name};

/// Finished files of every stream, oldest first in the order of their making.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// By stream; streams that are configured no more are among them.
    pub streams: BTreeMap<StreamId, Shelf>,
    /// Highest run number in any name, 0 if there is none.
    pub highest_run: u32,
}

/// The finished files of one stream, and what was read in them. 24 bytes for each: 30 days of 5.5 s segments take
/// 11.3 MB.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Shelf {
    /// Segments.
    pub videos: VecDeque<Name>,
    /// Snapshots.
    pub images: VecDeque<Name>,
    /// Which segments are known to be too old.
    pub ages: Ages,
    /// How long the last segments of runs play, by their order, as far as it was read: no later name tells it.
    pub lengths: BTreeMap<(u32, u32), Duration>,
}

impl Shelf {
    /// The files of one kind.
    pub fn files(&self, kind: Kind) -> &VecDeque<Name> {
        match kind {
            Kind::Video => &self.videos,
            Kind::Image => &self.images,
        }
    }

    /// The files of one kind.
    pub fn files_mut(&mut self, kind: Kind) -> &mut VecDeque<Name> {
        match kind {
            Kind::Video => &mut self.videos,
            Kind::Image => &mut self.images,
        }
    }
}

/// Files that were being written when something ended.
pub type OpenFiles = Vec<(StreamId, Kind, Name)>;

impl Catalog {
    /// Adds a finished file in its place.
    pub fn add(&mut self, stream: &StreamId, kind: Kind, name: Name) {
        self.highest_run = self.highest_run.max(name.run);
        let files = self.streams.entry(stream.clone()).or_default().files_mut(kind);
        // Nearly always the newest of all.
        let at = files.iter().rposition(|n| n.order() < name.order()).map_or(0, |before| before + 1);
        files.insert(at, name);
    }

    /// Forgets a file.
    pub fn forget(&mut self, stream: &StreamId, kind: Kind, name: &Name) {
        let Some(shelf) = self.streams.get_mut(stream) else { return };
        if kind == Kind::Video {
            shelf.lengths.remove(&name.order());
        }
        let files = shelf.files_mut(kind);
        // Nearly always the oldest of all.
        if files.front() == Some(name) {
            files.pop_front();
        } else {
            files.retain(|n| n != name);
        }
    }

    /// The newest finished file.
    pub fn newest(&self, stream: &StreamId, kind: Kind) -> Option<Name> {
        self.streams.get(stream)?.files(kind).back().copied()
    }
}

/// Looks at every directory that is ours. Anything that does not bear our names is passed over in silence.
pub fn scan(disk: &dyn Disk) -> Result<(Catalog, OpenFiles), Error> {
    let mut catalog = Catalog::default();
    let mut open = OpenFiles::new();
    for item in list(disk, "".as_ref())? {
        let Ok(stream) = StreamId::new(&item.name) else { continue };
        if !item.is_dir {
            continue;
        }
        let mut shelf = Shelf::default();
        for kind in Kind::ALL {
            scan_kind(disk, &stream, kind, &mut shelf, &mut open)?;
            shelf.files_mut(kind).make_contiguous().sort_unstable_by_key(Name::order);
            let newest = shelf.files(kind).back().map_or(0, |n| n.run);
            catalog.highest_run = catalog.highest_run.max(newest);
        }
        for item in list(disk, &layout::quarantine_folder(&stream))? {
            let run = layout::parse_quarantined(&stream, &item.name).map_or(0, |n| n.run);
            catalog.highest_run = catalog.highest_run.max(run);
        }
        catalog.streams.insert(stream, shelf);
    }
    let highest = open.iter().map(|(.., name)| name.run).max().unwrap_or(0);
    catalog.highest_run = catalog.highest_run.max(highest);
    Ok((catalog, open))
}

fn scan_kind(
    disk: &dyn Disk,
    stream: &StreamId,
    kind: Kind,
    shelf: &mut Shelf,
    open: &mut OpenFiles,
) -> Result<(), Error> {
    let folder = layout::kind_folder(stream, kind);
    for day in list(disk, &folder)? {
        if !day.is_dir {
            continue;
        }
        for file in list(disk, &folder.join(&day.name))? {
            match layout::parse(stream, kind, &day.name, &file.name) {
                Some((name, Completeness::Finished)) if !file.is_dir => shelf.files_mut(kind).push_back(name),
                Some((name, Completeness::Open)) if !file.is_dir => open.push((stream.clone(), kind, name)),
                _ => {}
            }
        }
    }
    Ok(())
}

fn list(disk: &dyn Disk, dir: &std::path::Path) -> Result<Vec<super::disk::Item>, Error> {
    match disk.list(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        // Whoever is to write there says so; the other streams are not to suffer for it.
        Err(e) if is_linked(&e) => Ok(Vec::new()),
        listed => listed.map_err(Error::io("read", dir)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::Directory;

    #[test]
    fn finds_ours_in_order_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &std::path::Path| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        let live = StreamId::new("live").unwrap();
        // The clock jumped back by years between run 2 and run 3.
        let names = [Name::new(1_795_161_600, 2, 0), Name::new(1_795_161_605, 2, 1), Name::new(7, 3, 0)];
        for name in names.iter().rev() {
            put(&layout::finished(&live, Kind::Video, name));
        }
        let open = Name::new(1_795_161_700, 5, 0);
        put(&layout::open(&live, Kind::Video, &open));
        put(&layout::quarantined(&live, &Name::new(1_795_161_700, 9, 0)));
        put("live/video/2026-11-20/holiday.mp4".as_ref());
        put("live/video/2026-11-21/live_1795161600_r0077-0000.mp4".as_ref());
        put("Not ours/video/2026-11-20/x.mp4".as_ref());
        put("lost+found/x".as_ref());
        put("dusk/x".as_ref());
        std::os::unix::fs::symlink(root.path().join("live/video"), root.path().join("dusk/video")).unwrap();
        let (mut catalog, left) = scan(&Directory::open(root.path()).unwrap()).unwrap();
        assert_eq!(catalog.streams[&live].videos, names);
        assert_eq!(left, [(live.clone(), Kind::Video, open)]);
        assert_eq!(catalog.highest_run, 9);
        catalog.add(&live, Kind::Video, Name::new(1_795_161_650, 2, 2));
        assert_eq!(catalog.streams[&live].videos[2].seq, 2);
        assert_eq!(catalog.newest(&live, Kind::Video), Some(names[2]));
        catalog.forget(&live, Kind::Video, &names[2]);
        assert_eq!(catalog.newest(&live, Kind::Video).unwrap().seq, 2);
    }
}
