use std::fs;

use super::*;
use crate::base::error::Coded;
use crate::base::fault::FaultCode;

const WALL: Duration = Duration::from_secs(1_795_161_600);

fn open(path: &Path) -> Result<Arc<Volume>, Error> {
    Volume::open(path, StreamId::new("live").ok(), Some(WALL)).map(|(volume, _)| volume)
}

fn code(result: Result<impl Sized, Error>) -> FaultCode {
    result.err().and_then(|e| e.fault()).expect("it must not be opened")
}

#[test]
fn an_absent_directory_is_made_and_found_again() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("video");
    Volume::inspect(&path).unwrap();
    assert!(!path.exists());
    let volume = open(&path).unwrap();
    volume.check().unwrap();
    let marker = fs::read_to_string(path.join(layout::MARKER)).unwrap();
    assert!(marker.contains("layout = 1") && marker.contains("2026-11-20T"), "{marker}");
    drop(volume);
    open(&path).unwrap();
    assert_eq!(fs::read_to_string(path.join(layout::MARKER)).unwrap(), marker);
}

#[test]
fn somebody_elses_directory_is_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("lost+found")).unwrap();
    Volume::inspect(root.path()).unwrap();
    fs::write(root.path().join("thesis.tex"), "x").unwrap();
    assert_eq!(code(Volume::inspect(root.path())), FaultCode::StorageForeign);
    assert_eq!(code(open(root.path())), FaultCode::StorageForeign);
    assert!(!root.path().join(layout::MARKER).exists());
    for bad in ["", "layout = 1", "layout = 2\nid = \"x\"\ncreated = \"\"", "\0\0\0"] {
        fs::write(root.path().join(layout::MARKER), bad).unwrap();
        assert_eq!(code(open(root.path())), FaultCode::StorageForeign, "{bad:?}");
    }
}

#[test]
fn missing_parents_and_odd_paths() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "x").unwrap();
    for bad in ["a/b", "file", "file/x"] {
        assert_eq!(code(open(&root.path().join(bad))), FaultCode::StorageMissing, "{bad}");
        assert_eq!(code(Volume::inspect(&root.path().join(bad))), FaultCode::StorageMissing, "{bad}");
    }
    assert_eq!(code(open(Path::new("video"))), FaultCode::StorageMissing);
    assert_eq!(code(open(Path::new("/proc"))), FaultCode::StorageForeign, "root may write there, but it is not empty");
}

#[test]
fn one_daemon_for_a_directory() {
    let root = tempfile::tempdir().unwrap();
    let first = open(root.path()).unwrap();
    assert_eq!(code(open(root.path())), FaultCode::StorageBusy);
    assert_eq!(code(Volume::inspect(root.path())), FaultCode::StorageBusy);
    // Given up, though somebody still holds it.
    first.close();
    open(root.path()).unwrap();
    assert_eq!(code(first.room()), FaultCode::StorageMissing);
    assert_eq!(code(first.check()), FaultCode::StorageMissing);
}

#[test]
fn a_disk_that_was_pulled_or_exchanged_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("video");
    let volume = open(&path).unwrap();
    fs::rename(&path, root.path().join("pulled")).unwrap();
    assert_eq!(code(volume.check()), FaultCode::StorageMissing);
    fs::create_dir(&path).unwrap();
    fs::copy(root.path().join("pulled").join(layout::MARKER), path.join(layout::MARKER)).unwrap();
    assert_eq!(code(volume.check()), FaultCode::StorageMissing);
    fs::remove_dir_all(&path).unwrap();
    fs::rename(root.path().join("pulled"), &path).unwrap();
    volume.check().unwrap();
    fs::remove_file(path.join(layout::MARKER)).unwrap();
    assert_eq!(code(volume.check()), FaultCode::StorageMissing);
}

#[test]
fn snapshots_are_numbered_linked_and_limited() {
    let root = tempfile::tempdir().unwrap();
    let volume = open(root.path()).unwrap();
    let live = StreamId::new("live").unwrap();
    let mut last = PathBuf::new();
    for i in 0..5u64 {
        last = volume.write_image(&live, &[i as u8; 10], WALL + Duration::from_secs(i), 3).unwrap();
    }
    let day = root.path().join("live/images/2026-11-20");
    let mut names: Vec<_> =
        fs::read_dir(&day).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let name = |i| format!("live_{}_r0001-000{i}.jpg", 1_795_161_600 + i);
    assert_eq!(names, [name(2), name(3), name(4)]);
    assert_eq!(last, day.join(name(4)));
    for link in ["latest_image.jpg", "live/latest_image.jpg"] {
        let link = root.path().join(link);
        assert!(fs::read_link(&link).unwrap().is_relative());
        assert_eq!(fs::read(link).unwrap(), [4; 10]);
    }
    // The next start goes on with a new run; the count of old ones is known.
    drop(volume);
    let volume = open(root.path()).unwrap();
    volume.write_image(&live, b"x", WALL, 3).unwrap();
    assert!(day.join("live_1795161600_r0002-0000.jpg").exists());
    assert_eq!(fs::read_dir(&day).unwrap().count(), 3);
    volume.set_full(Some(0));
    assert_eq!(code(volume.write_image(&live, b"x", WALL, 3)), FaultCode::StorageFull);
}
