//! Tells whether the storage directory lies below a mount point on which nothing is mounted: what is written there
//! would fill the root file system and vanish when the disk comes back.

use std::path::{Path, PathBuf};

/// Where systemd looks for mount units, the most important first (systemd.unit(5)).
const UNIT_FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// What the system says of its mount points.
#[derive(Debug, Default)]
pub struct Mounts {
    /// Mount points that are meant to be there.
    wanted: Vec<PathBuf>,
    /// Mount points that are there.
    present: Vec<PathBuf>,
}

impl Mounts {
    /// Asks the running system. What cannot be read counts as empty.
    pub(super) fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let entries = UNIT_FOLDERS.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
        let units: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        Self::of(&text("/etc/fstab"), units.iter().map(String::as_str), &text("/proc/self/mountinfo"))
    }

    /// From an fstab(5), the file names of systemd units, and a proc_pid_mountinfo(5). Lines and names of another form
    /// are passed over.
    pub fn of<'a>(fstab: &str, units: impl Iterator<Item = &'a str>, mountinfo: &str) -> Self {
        let mut wanted = fstab_points(fstab);
        wanted.extend(units.filter_map(unit_mount_point));
        Self { wanted, present: mountinfo_points(mountinfo) }
    }

    /// True if something is mounted there.
    pub(super) fn is_present(&self, point: &Path) -> bool {
        point == Path::new("/") || self.present.iter().any(|present| present == point)
    }

    /// The mount point on which `path` lies, which is absolute and has no links in it.
    pub(super) fn point_of(&self, path: &Path) -> Option<&Path> {
        let above = self.present.iter().filter(|point| path.starts_with(point));
        above.max_by_key(|point| point.components().count()).map(PathBuf::as_path)
    }

    /// The innermost mount point at or above `path` that is meant to be mounted and is not. `path` is absolute and
    /// has no links in it.
    pub fn missing_for(&self, path: &Path) -> Option<&Path> {
        let above = self.wanted.iter().filter(|point| path.starts_with(point) && !self.present.contains(point));
        above.max_by_key(|point| point.components().count()).map(PathBuf::as_path)
    }
}

/// Mount points in an fstab(5). Those with `noauto` count too: who puts the storage below one wants the disk that is
/// mounted there by hand or on demand.
fn fstab_points(text: &str) -> Vec<PathBuf> {
    let fields = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let points = fields.filter_map(|line| line.split_ascii_whitespace().nth(1)).filter(|point| point.starts_with('/'));
    points.map(unescape_octal).collect()
}

/// Mount points in a proc_pid_mountinfo(5). An autofs is only the promise of a mount.
fn mountinfo_points(text: &str) -> Vec<PathBuf> {
    let mut points = Vec::new();
    for line in text.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        if after.split(' ').next() != Some("autofs") {
            points.extend(before.split(' ').nth(4).map(unescape_octal));
        }
    }
    points
}

/// `\040` is a space (getmntent(3)).
fn unescape_octal(text: &str) -> PathBuf {
    unescape(text, |rest| {
        let code = rest.strip_prefix('\\')?.get(..3)?;
        Some((u8::from_str_radix(code, 8).ok()?, 4))
    })
}

/// The mount point that the name of a unit says (systemd.mount(5), "escaped path"): `mnt-my\x2ddisk.mount` is
/// `/mnt/my-disk`.
fn unit_mount_point(name: &str) -> Option<PathBuf> {
    // A distribution ships tmp.mount and mounts it or not as it likes; nobody's disk is there.
    let name = name.strip_suffix(".mount").filter(|name| !name.is_empty() && *name != "tmp")?;
    if name == "-" {
        return Some("/".into());
    }
    let path = unescape(name, |rest| match rest.strip_prefix("\\x") {
        Some(code) => Some((u8::from_str_radix(code.get(..2)?, 16).ok()?, 4)),
        None => rest.starts_with('-').then_some((b'/', 1)),
    });
    Some(Path::new("/").join(path))
}

fn unescape(text: &str, escape: impl Fn(&str) -> Option<(u8, usize)>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let found = text.get(at..).and_then(&escape);
        let (byte, length) = found.unwrap_or((text.as_bytes()[at], 1));
        out.push(byte);
        at += length;
    }
    std::ffi::OsString::from_vec(out).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FSTAB: &str = "# comment /x\n\
        UUID=1 / ext4 defaults 0 1\n\
        LABEL=data\t/data ext4 noauto,nofail 0 2\n\
        LABEL=d2 /mnt/my\\040disk exfat defaults 0 0\n\
        /swap none swap sw 0 0\n\
        broken\n";
    const MOUNTED: &str = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        30 27 8:1 / /data rw shared:1 master:2 - ext4 /dev/sda1 rw\n\
        31 27 8:2 / /mnt/my\\040disk rw - autofs systemd-1 rw\n\
        short line\n";

    fn missing(wanted: &str, present: &str, path: &str) -> Option<String> {
        let mounts = Mounts::of(wanted, std::iter::empty(), present);
        mounts.missing_for(Path::new(path)).map(|p| p.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_mount_point_without_its_disk() {
        let none = MOUNTED.lines().next().unwrap();
        for (present, path, want) in [
            (MOUNTED, "/data/video", None),
            (none, "/data/video", Some("/data")),
            (none, "/data", Some("/data")),
            (none, "/database", None),
            (none, "/srv/me", None),
            (MOUNTED, "/mnt/my disk/x", Some("/mnt/my disk")),
            ("", "/srv/me", Some("/")),
        ] {
            assert_eq!(missing(FSTAB, present, path).as_deref(), want, "{path}");
        }
        assert_eq!(missing("", "", "/data"), None);
        let mounts = Mounts::of("", std::iter::empty(), MOUNTED);
        for (path, point) in [("/data/video", "/data"), ("/database", "/"), ("/data", "/data")] {
            assert_eq!(mounts.point_of(Path::new(path)), Some(Path::new(point)));
            assert!(mounts.is_present(Path::new(point)) && !mounts.is_present(Path::new("/mnt/my disk")));
        }
    }

    #[test]
    fn names_of_mount_units() {
        for (name, want) in [
            ("data.mount", Some("/data")),
            ("mnt-my\\x2ddisk.mount", Some("/mnt/my-disk")),
            ("-.mount", Some("/")),
            ("tmp.mount", None),
            ("data.automount", None),
            (".mount", None),
            ("a\\x2", None),
            ("a\\xzz.mount", Some("/a\\xzz")),
            ("ä-\\xc3\\xa4.mount", Some("/ä/ä")),
        ] {
            assert_eq!(unit_mount_point(name), want.map(PathBuf::from), "{name}");
        }
    }
}
