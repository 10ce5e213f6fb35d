//! Every path below the storage directory is built and understood here, and nowhere else.
//!
//! A name is `<stream>_<unix>_r<run>-<seq>`: unix seconds of its beginning, the run (numbered through the life of the
//! storage directory; a new one begins wherever frames are missing) and its place in the run. Order is that of run
//! and place, so a clock that jumps neither overwrites nor reorders. An open segment or picture ends in `.part`.

use std::path::{Path, PathBuf};

use crate::base::id::StreamId;
use crate::media::container::Container;

/// The file that says that a directory is ours.
pub const MARKER: &str = "windhover-storage.toml";
/// What a marker is called until it is complete.
pub const NEW_MARKER: &str = "windhover-storage.toml.new";
/// Last second that has a date with a year of four digits; a clock beyond it is cut off there.
const LAST_UNIX: u64 = 253_402_300_799;

/// The two kinds of file we keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A segment of a recording, `.mp4`, `.ts` or `.mkv`.
    Video,
    /// A snapshot, `.jpg`.
    Image,
}

impl Kind {
    /// Both kinds.
    pub const ALL: [Kind; 2] = [Kind::Video, Kind::Image];

    /// The directory of this kind in a stream's directory.
    pub const fn folder(self) -> &'static str {
        match self {
            Kind::Video => "video",
            Kind::Image => "images",
        }
    }

    /// What the names of such files end in, without the dot.
    const fn ending(self, name: &Name) -> &'static str {
        match self {
            Kind::Video => name.container.name(),
            Kind::Image => "jpg",
        }
    }
}

/// What distinguishes one file of a stream from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    /// Unix seconds of its beginning, by the clock of then.
    pub unix: u64,
    /// Number of the run: 1 and up.
    pub run: u32,
    /// Place in the run: 0 and up.
    pub seq: u32,
    /// What a segment is; says nothing of a snapshot.
    pub container: Container,
}

impl Name {
    /// The name of an MP4 segment or of a snapshot; a time later than the year 9999 is cut off.
    pub fn new(unix: u64, run: u32, seq: u32) -> Self {
        Self { unix: unix.min(LAST_UNIX), run, seq, container: Container::Mp4 }
    }

    /// The same in another container.
    pub fn of(self, container: Container) -> Self {
        Self { container, ..self }
    }

    /// The order in which files were made, whatever the clock said.
    pub fn order(&self) -> (u32, u32) {
        (self.run, self.seq)
    }
}

/// `<stream>_1795161600_r0042-0007.mp4`.
fn file_name(stream: &StreamId, kind: Kind, name: &Name) -> String {
    format!("{stream}_{}_r{:04}-{:04}.{}", name.unix, name.run, name.seq, kind.ending(name))
}

/// The date directory of a name, UTC: `2026-11-20`.
pub fn date(name: &Name) -> String {
    let seconds = i64::try_from(name.unix.min(LAST_UNIX)).expect("the year 9999 fits in 63 bits");
    let date = time::OffsetDateTime::from_unix_timestamp(seconds).expect("every second up to 9999 has a date").date();
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// The directory of a file: `<stream>/video/<date>`.
pub fn folder(stream: &StreamId, kind: Kind, name: &Name) -> PathBuf {
    kind_folder(stream, kind).join(date(name))
}

/// `<stream>/video` or `<stream>/images`.
pub fn kind_folder(stream: &StreamId, kind: Kind) -> PathBuf {
    Path::new(stream.as_str()).join(kind.folder())
}

/// A finished file.
pub fn finished(stream: &StreamId, kind: Kind, name: &Name) -> PathBuf {
    folder(stream, kind, name).join(file_name(stream, kind, name))
}

/// The same file while it is written.
pub fn open(stream: &StreamId, kind: Kind, name: &Name) -> PathBuf {
    folder(stream, kind, name).join(file_name(stream, kind, name) + ".part")
}

/// Where a damaged segment is set aside: `<stream>/quarantine`.
pub fn quarantine_folder(stream: &StreamId) -> PathBuf {
    Path::new(stream.as_str()).join("quarantine")
}

/// A damaged segment, set aside under the name that it had.
pub fn quarantined(stream: &StreamId, name: &Name) -> PathBuf {
    quarantine_folder(stream).join(file_name(stream, Kind::Video, name) + ".part")
}

/// The link to the newest finished file of a stream, and its target.
pub fn latest(stream: &StreamId, kind: Kind, name: &Name) -> Link {
    let file = finished(stream, kind, name);
    let target = file.strip_prefix(stream.as_str()).expect("a stream's file lies below its directory").to_owned();
    Link { at: Path::new(stream.as_str()).join(latest_name(kind, name)), target }
}

/// The same in the storage directory itself, for the first stream.
pub fn latest_of_all(stream: &StreamId, kind: Kind, name: &Name) -> Link {
    Link { at: latest_name(kind, name).into(), target: finished(stream, kind, name) }
}

fn latest_name(kind: Kind, name: &Name) -> String {
    let what = match kind {
        Kind::Video => "latest_video",
        Kind::Image => "latest_image",
    };
    format!("{what}.{}", kind.ending(name))
}

/// The links to segments in other containers that may stand beside `link`, the one to the segment `name`: the newest is
/// none of those.
pub fn other_links(link: &Link, name: &Name) -> Vec<PathBuf> {
    let others = Container::ALL.into_iter().filter(|container| *container != name.container);
    others.map(|container| link.at.with_extension(container.name())).collect()
}

/// A relative symlink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it is.
    pub at: PathBuf,
    /// What it says, relative to its own directory.
    pub target: PathBuf,
}

/// Whether a file is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Finished.
    Finished,
    /// Being written, or left by a crash.
    Open,
}

/// Understands the name of a file that lies in the date directory `day` of `stream`; `None` for anything that we
/// would not have named exactly so, there.
pub fn parse(stream: &StreamId, kind: Kind, day: &str, file: &str) -> Option<(Name, Completeness)> {
    let rest = file.strip_prefix(stream.as_str())?.strip_prefix('_')?;
    let (rest, completeness) = match rest.strip_suffix(".part") {
        Some(rest) => (rest, Completeness::Open),
        None => (rest, Completeness::Finished),
    };
    let (rest, ending) = rest.rsplit_once('.')?;
    let (unix, rest) = rest.split_once("_r")?;
    let (run, seq) = rest.split_once('-')?;
    let container = Container::ALL.into_iter().find(|container| container.name() == ending).unwrap_or_default();
    let name = Name { unix: unix.parse().ok()?, run: run.parse().ok()?, seq: seq.parse().ok()?, container };
    let path = match completeness {
        Completeness::Open => open(stream, kind, &name),
        Completeness::Finished => finished(stream, kind, &name),
    };
    // "+7", "007" and the like parse as numbers, but we never write them.
    (name.unix <= LAST_UNIX && date(&name) == day && path.file_name()? == file).then_some((name, completeness))
}

/// The run number in the name of a quarantined segment.
pub fn parse_quarantined(stream: &StreamId, file: &str) -> Option<Name> {
    let unix = file.strip_prefix(stream.as_str())?.strip_prefix('_')?.split_once("_r")?.0.parse().ok()?;
    let day = date(&Name::new(unix, 0, 0));
    parse(stream, Kind::Video, &day, file).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> StreamId {
        StreamId::new("live").unwrap()
    }

    #[test]
    fn the_tree_of_the_design() {
        let name = Name::new(1_795_161_600, 42, 7);
        let text = |p: PathBuf| p.to_str().unwrap().to_owned();
        assert_eq!(text(finished(&live(), Kind::Video, &name)), "live/video/2026-11-20/live_1795161600_r0042-0007.mp4");
        assert_eq!(
            text(open(&live(), Kind::Image, &name)),
            "live/images/2026-11-20/live_1795161600_r0042-0007.jpg.part"
        );
        assert_eq!(text(quarantined(&live(), &name)), "live/quarantine/live_1795161600_r0042-0007.mp4.part");
        let link = latest(&live(), Kind::Video, &name);
        assert_eq!(text(link.at), "live/latest_video.mp4");
        assert_eq!(text(link.target), "video/2026-11-20/live_1795161600_r0042-0007.mp4");
        let link = latest_of_all(&live(), Kind::Image, &name);
        assert_eq!(text(link.at), "latest_image.jpg");
        assert_eq!(text(link.target), "live/images/2026-11-20/live_1795161600_r0042-0007.jpg");
    }

    #[test]
    fn what_is_built_is_understood() {
        for stream in ["live", "0", "cam_1", "a_1795161600_r0001-0001"] {
            let stream = StreamId::new(stream).unwrap();
            for name in
                [Name::new(0, 1, 0), Name::new(u64::MAX, u32::MAX, u32::MAX), Name::new(1_795_161_600, 99_999, 7)]
                    .into_iter()
                    .flat_map(|name| Container::ALL.map(|container| name.of(container)))
            {
                for kind in Kind::ALL {
                    let name = if kind == Kind::Image { name.of(Container::Mp4) } else { name };
                    let path = finished(&stream, kind, &name);
                    let file = path.file_name().unwrap().to_str().unwrap();
                    assert_eq!(parse(&stream, kind, &date(&name), file), Some((name, Completeness::Finished)));
                    let path = open(&stream, kind, &name);
                    let file = path.file_name().unwrap().to_str().unwrap();
                    assert_eq!(parse(&stream, kind, &date(&name), file), Some((name, Completeness::Open)));
                }
                let file = quarantined(&stream, &name);
                assert_eq!(parse_quarantined(&stream, file.file_name().unwrap().to_str().unwrap()), Some(name));
            }
        }
    }

    #[test]
    fn only_our_own_names() {
        let day = "2026-11-20";
        assert!(parse(&live(), Kind::Video, day, "live_1795161600_r0042-0007.mp4").is_some());
        for bad in [
            "live_1795161600_r42-7.mp4",
            "live_1795161600_r00042-0007.mp4",
            "live_+1795161600_r0042-0007.mp4",
            "live_01795161600_r0042-0007.mp4",
            "live_1795161600_r0042-0007.jpg",
            "live_1795161600_r0042-0007.avi",
            "live_1795161600_r0042-0007ts",
            "live_1795161600_r0042-0007.mp4.part.part",
            "live_1795161600_r0042-0007.MP4",
            "live_1795161600_r0042-0007 (copy).mp4",
            "other_1795161600_r0042-0007.mp4",
            "live_1795161600_r0042--007.mp4",
            "live_1795161600_r0042-99999999999.mp4",
            "live_99999999999999999999_r0042-0007.mp4",
            "live_253402300800_r0042-0007.mp4",
            "live_1795248000_r0042-0007.mp4",
            "holiday.mp4",
            "",
        ] {
            assert_eq!(parse(&live(), Kind::Video, day, bad), None, "{bad}");
        }
    }
}
