//! Transport stream and Matroska: power cuts, players, faults and links, as for MP4.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::crash::{Reels, live, name_of, promises, record, recover_all};
use super::journal::{Files, Journal, states};
use super::live::{Rig, segments};
use super::{players, until};
use crate::media::container::Container;
use crate::storage::disk::Disk;
use crate::storage::layout::{self, Completeness, Kind};
use crate::storage::mark::Plate;
use crate::storage::mux::{self, Found, Wrap};

const BOTH: [(Container, Wrap, &str); 2] =
    [(Container::Ts, Wrap::Ts, "tsdemux"), (Container::Mkv, Wrap::Mkv, "matroskademux")];

fn pictures(files: &Files, path: &Path, wrap: Wrap) -> usize {
    match mux::read(Journal::with(files.clone()).open(path).unwrap().as_ref(), wrap).unwrap() {
        Found::Plays { pictures, .. } => pictures,
        Found::Nothing | Found::Damaged => 0,
    }
}

/// What a state becomes when it is recovered.
fn recovered(files: &Files) -> Files {
    let disk = Journal::with(files.clone());
    recover_all(&disk);
    disk.files()
}

fn check(files: &Files, promised: &dyn Fn(usize) -> usize, reels: &Reels, wrap: Wrap) {
    for (path, file) in &files.names {
        let promised = promised(*file);
        if path.starts_with("live/quarantine") {
            assert_eq!(promised, 0, "{path:?}");
            continue;
        }
        assert_eq!(name_of(path).1, Completeness::Finished, "{path:?}");
        let found = pictures(files, path, wrap);
        assert!((promised.max(1)..=reels[file].len()).contains(&found), "{path:?}: {found}, promised {promised}");
    }
}

#[test]
fn every_power_cut_leaves_what_was_promised() {
    for (container, wrap, _) in BOTH {
        let (disk, reels) = record(container);
        let ops = disk.ops();
        let (mut seen, mut count) = (BTreeSet::new(), 0);
        for after in 0..=ops.len() {
            let promises = promises(&ops, after);
            states(&Files::default(), &ops, after, |state| {
                if seen.insert((state.files.clone(), promises.clone())) {
                    let promised = |file| promises.get(&file).copied().unwrap_or(0);
                    check(&recovered(&state.files), &promised, &reels, wrap);
                    count += 1;
                }
            });
        }
        assert!(count > 800, "{container}: {count} states");
        let end = disk.files();
        let found: Vec<_> = end.names.keys().map(|path| pictures(&end, path, wrap)).collect();
        assert_eq!(found, [30, 30, 30], "{container}");
    }
}

/// What is left at each step, and what recovery makes of it, as two players see it.
#[test]
fn ffmpeg_and_gstreamer_play_what_is_left() {
    let root = tempfile::tempdir().unwrap();
    for (container, _, demuxer) in BOTH {
        let (disk, _) = record(container);
        let ops = disk.ops();
        let path = root.path().join("state").with_extension(container.name());
        let play = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            (players::ffprobe(&path), players::gstreamer(&path, demuxer))
        };
        let (mut before, mut count) = (Vec::new(), 0);
        let first = disk.files().names.into_iter().find(|(_, file)| *file == 0).unwrap().0;
        for after in 1..=ops.len() {
            let Some(promised) = promises(&ops, after).get(&0).copied().filter(|n| *n > 0) else { continue };
            let mut files = Files::default();
            ops[..after].iter().for_each(|op| files.apply(op));
            let content = files.contents[&0].clone();
            if content == before {
                continue;
            }
            let ((ffprobe, _), gstreamer) = play(&content);
            assert!(ffprobe.min(gstreamer) >= promised, "{container} {after}: {ffprobe}, {gstreamer} of {promised}");
            let files = recovered(&files);
            let name = files.names.iter().find(|(_, file)| **file == 0).unwrap().0;
            let ((ffprobe, _), gstreamer) = play(files.content(name));
            assert!(ffprobe.min(gstreamer) >= promised, "{container} {after}: {ffprobe}, {gstreamer} of {promised}");
            (before, count) = (content, count + 1);
        }
        // Three fragments and the end.
        assert!(count >= 4, "{container}: {count} states");
        let ((ffprobe, seconds), gstreamer) = play(disk.files().content(&first));
        assert_eq!((ffprobe, gstreamer), (30, 30), "{container}");
        assert!((seconds - 1.0).abs() < 0.05, "{container}: {seconds}");
    }
}

#[test]
fn the_mark_and_the_length_stand_in_the_file() {
    for (container, ..) in BOTH {
        let files = record(container).0.files();
        let plates: Vec<_> = files.names.keys().map(|path| Plate::find(&files.content(path)[..512]).unwrap()).collect();
        let told: Vec<_> = plates.iter().map(|p| (p.mark.run, p.mark.seq, p.mark.lost)).collect();
        assert_eq!(told, [(1, 0, 0), (1, 1, 0), (2, 0, 30)]);
        for plate in plates {
            let length = plate.length.unwrap();
            assert!(length.abs_diff(Duration::from_secs(1)) < Duration::from_millis(1), "{length:?}");
        }
    }
}

#[test]
fn only_proven_damage_is_called_damage() {
    for (container, wrap, _) in BOTH {
        let files = record(container).0.files();
        let (path, file) = files.names.first_key_value().unwrap();
        let whole = files.content(path).to_vec();
        let first = Plate::find(&whole[..512]).unwrap().first as usize;
        let found = |content: Vec<u8>| {
            let mut files = files.clone();
            files.contents.insert(*file, content);
            mux::read(Journal::with(files).open(path).unwrap().as_ref(), wrap).unwrap()
        };
        let holed = |len: usize| {
            let mut content = whole[..len].to_vec();
            // The sync byte, or what makes the file a Matroska file; not the plate.
            content[..4].fill(0);
            content
        };
        assert_eq!(found(Vec::new()), Found::Nothing, "{container}");
        assert_eq!(found(vec![0; 5000]), Found::Nothing, "{container}");
        assert_eq!(found(holed(first)), Found::Nothing, "{container}");
        assert_eq!(found(holed(first + 1)), Found::Damaged, "{container}");
    }
}

#[test]
fn records_links_and_stops_and_the_link_of_another_container_goes() {
    let root = tempfile::tempdir().unwrap();
    let link = |container: Container| root.path().join("latest_video").with_extension(container.name());
    for (number, format) in (1..).zip([Container::Mp4, Container::Ts, Container::Mkv]) {
        let mut rig = Rig::making(format, root.path());
        rig.send(50);
        until("a segment", || link(format).exists());
        assert!(rig.record.stop(Duration::from_secs(10)) && rig.storage.stop(Duration::from_secs(5)));
        let told: Vec<_> = segments(root.path()).iter().map(|(m, n)| (m.run, m.seq, *n)).collect();
        assert_eq!(told[told.len() - 2..], [(number, 0, 30), (number, 1, 20)]);
        let links = Container::ALL.into_iter().filter(|container| link(*container).symlink_metadata().is_ok());
        assert_eq!(links.collect::<Vec<_>>(), [format]);
        let newest = std::fs::read_link(link(format)).unwrap();
        assert!(newest.to_str().unwrap().ends_with(&format!("-0001.{format}")), "{newest:?}");
    }
    // One catalog for all of them.
    let disk = crate::storage::disk::Directory::open(root.path()).unwrap();
    let (catalog, open) = crate::storage::catalog::scan(&disk).unwrap();
    assert_eq!((catalog.streams[&live()].videos.len(), open.len(), catalog.highest_run), (6, 0, 3));
    let names = catalog.streams[&live()].videos.iter().map(|name| layout::finished(&live(), Kind::Video, name));
    assert!(names.into_iter().all(|name| root.path().join(name).exists()));
}
