//! Disks and partitions as `lsblk --json` lists them, and what of them may be formatted. Pure.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::base::units::ByteSize;

use super::{LABEL, MOUNT};

/// What of the system lies on its own disk. Whatever shares a disk with one of these is spared, but for our partition.
const SYSTEM: [&str; 6] = ["/", "/usr", "/boot", "/boot/efi", "/efi", "/var/lib/windhover"];

/// A disk, a partition, or what is made of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Block {
    /// `/dev/sda1`
    pub(super) name: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    pub(super) size: u64,
    model: Option<String>,
    serial: Option<String>,
    fstype: Option<String>,
    label: Option<String>,
    partlabel: Option<String>,
    pttype: Option<String>,
    #[serde(default)]
    mountpoints: Vec<Option<String>>,
    #[serde(default)]
    ro: bool,
    #[serde(default)]
    pub(super) children: Vec<Block>,
}

/// Why a device is not formatted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No disk.
    #[error("{} is no disk or partition{}", device.display(), list(known))]
    NotADisk {
        /// What was named.
        device: PathBuf,
        /// What there is.
        known: Vec<String>,
    },
    /// Write-protected.
    #[error("{} cannot be written: it is write-protected", .0.display())]
    ReadOnly(PathBuf),
    /// Mounted, or part of something else.
    #[error("{} is in use by {by}: nothing was changed", device.display())]
    InUse {
        /// What was named.
        device: PathBuf,
        /// What uses it.
        by: String,
    },
    /// The system runs from it.
    #[error("{} lies on the disk {disk} that this system runs from ({mount}). Only a partition named {LABEL} is formatted there", device.display())]
    System {
        /// What was named.
        device: PathBuf,
        /// The disk.
        disk: String,
        /// What of the system is there.
        mount: String,
    },
    /// Too little room for recordings.
    #[error("{} has {size} only, which holds no recordings to speak of", device.display())]
    TooSmall {
        /// What was named.
        device: PathBuf,
        /// Its size.
        size: ByteSize,
    },
    /// It holds something, and nobody said that this may go.
    #[error("{}", holds(device, lost, names, typed.as_deref()))]
    Holds {
        /// What was named.
        device: PathBuf,
        /// What would be lost, by line.
        lost: Vec<String>,
        /// What must be typed: one of these.
        names: Vec<String>,
        /// What was typed.
        typed: Option<String>,
    },
}

fn list(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!(": there is {}", known.join(", ")) }
}

fn holds(device: &Path, lost: &[String], names: &[String], typed: Option<&str>) -> String {
    let device = device.display();
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let names = names.join(" or ");
    let how = match typed {
        Some(typed) => format!("\"{typed}\" is not its name: --erase takes {names}"),
        None => format!("to lose it, say --erase and its name: {names}"),
    };
    format!("{device} holds something. It would be lost:\n  {}\nNothing was changed; {how}", lost.join("\n  "))
}

/// A device in its tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) block: &'a Block,
    /// The whole disk that it lies on, or is.
    disk: &'a Block,
}

#[derive(Deserialize)]
struct Listing {
    blockdevices: Vec<Block>,
}

/// Reads what `lsblk --json --bytes --paths` printed.
pub(super) fn parse(text: &str) -> Result<Vec<Block>, serde_json::Error> {
    serde_json::from_str::<Listing>(text).map(|listing| listing.blockdevices)
}

/// The device of this name, wherever in the trees it stands.
pub(super) fn find<'a>(all: &'a [Block], device: &Path) -> Option<Found<'a>> {
    all.iter().find_map(|disk| {
        let block = disk.all().into_iter().find(|block| Path::new(&block.name) == device)?;
        Some(Found { block, disk })
    })
}

impl Block {
    /// Itself and all that is made of it.
    fn all(&self) -> Vec<&Block> {
        let mut all = vec![self];
        all.extend(self.children.iter().flat_map(Block::all));
        all
    }

    fn mounts(&self) -> impl Iterator<Item = &str> {
        self.mountpoints.iter().flatten().map(String::as_str)
    }

    /// Fills in what the listing does not know, from lines `TYPE=ext4` that `probe` gives for a device.
    pub(super) fn look_up(&mut self, probe: &dyn Fn(&str) -> String) {
        if self.fstype.is_none() && self.size > 0 && matches!(self.kind.as_str(), "disk" | "part" | "loop") {
            let said = probe(&self.name);
            let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned);
            self.fstype = value("TYPE=");
            self.label = self.label.take().or_else(|| value("LABEL="));
            self.pttype = self.pttype.take().or_else(|| value("PTTYPE="));
        }
        self.children.iter_mut().for_each(|child| child.look_up(probe));
    }

    /// True for what [`super::make`] makes.
    fn is_ours(&self) -> bool {
        self.fstype.as_deref() == Some("ext4") && self.label.as_deref() == Some(LABEL)
    }

    fn text(&self) -> String {
        let of = |word: &Option<String>, before: &str| word.as_ref().map(|word| format!("{before}{}", word.trim()));
        let what = match (&self.fstype, &self.pttype) {
            (Some(fs), _) => fs.clone(),
            (None, Some(table)) => format!("partitions ({table})"),
            (None, None) => "nothing known".into(),
        };
        let label = self.label.as_ref().map(|label| format!(" \"{label}\"")).unwrap_or_default();
        let model = of(&self.model, ", ").unwrap_or_default();
        format!("{}: {what}{label}, {}{model}", self.name, ByteSize::from_bytes(self.size))
    }
}

impl Found<'_> {
    fn device(&self) -> PathBuf {
        PathBuf::from(&self.block.name)
    }

    /// An error if it is in use, belongs to the system, or cannot be written: nothing that is typed changes that.
    pub(super) fn may_be_formatted(&self) -> Result<(), Refusal> {
        let block = self.block;
        if !matches!(block.kind.as_str(), "disk" | "part" | "loop") || block.size == 0 {
            return Err(Refusal::NotADisk { device: self.device(), known: Vec::new() });
        }
        let in_use = |by: String| Err(Refusal::InUse { device: self.device(), by });
        for part in block.all() {
            if let Some(mount) = part.mounts().next() {
                let how = if mount == MOUNT { " (\"windhover storage eject\" frees it)" } else { "" };
                return in_use(format!("{}, mounted at {mount}{how}", part.name));
            }
            if !std::ptr::eq(part, block) && part.kind != "part" {
                return in_use(format!("{} ({})", part.name, part.kind));
            }
        }
        let system = self.disk.all().into_iter().flat_map(Block::mounts).find(|mount| SYSTEM.contains(mount));
        if let Some(mount) = system.filter(|_| block.partlabel.as_deref() != Some(LABEL)) {
            let (disk, mount) = (self.disk.name.clone(), mount.to_owned());
            return Err(Refusal::System { device: self.device(), disk, mount });
        }
        if block.all().iter().any(|part| part.ro) {
            return Err(Refusal::ReadOnly(self.device()));
        }
        Ok(())
    }

    /// What lies on it, a line for each; `recordings` says what one of our own disks holds.
    pub(super) fn contents(&self, recordings: impl Fn(&Block) -> Vec<String>) -> Vec<String> {
        let mut lines = Vec::new();
        for part in self.block.all() {
            let partition = !std::ptr::eq(part, self.block);
            if partition || part.fstype.is_some() || part.pttype.is_some() {
                lines.push(part.text());
            }
            if part.is_ours() {
                lines.extend(recordings(part).into_iter().map(|line| format!("  {line}")));
            }
        }
        lines
    }

    /// An error if something would be lost and the one who asks did not type its name.
    pub(super) fn may_be_lost(&self, lost: &[String], typed: Option<&str>) -> Result<(), Refusal> {
        let names = self.names();
        if lost.is_empty() || typed.is_some_and(|typed| names.iter().any(|name| name == typed)) {
            return Ok(());
        }
        let (lost, typed) = (lost.to_vec(), typed.map(str::to_owned));
        Err(Refusal::Holds { device: self.device(), lost, names, typed })
    }

    /// Its label and the serial number of its disk; where it has neither, the last part of its name.
    fn names(&self) -> Vec<String> {
        let given = [&self.block.label, &self.disk.serial].into_iter().flatten().map(|name| name.trim().to_owned());
        let given: Vec<String> = given.filter(|name| !name.is_empty()).collect();
        match self.block.name.rsplit('/').next() {
            Some(last) if given.is_empty() => vec![last.to_owned()],
            _ => given,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A board as lsblk of util-linux 2.38 prints one, constructed: eMMC with the system, an SSD, a stick, a locked card, and
    /// a disk that is part of a volume group.
    const BOARD: &str = r#"{"blockdevices": [
      {"name":"/dev/mmcblk0","type":"disk","size":31268536320,"model":null,"serial":"0x1","fstype":null,"label":null,
       "partlabel":null,"pttype":"gpt","mountpoints":[null],"ro":false,"children":[
        {"name":"/dev/mmcblk0p1","type":"part","size":8589934592,"fstype":"ext4","label":"rootfs_a","partlabel":"rootfs_a","mountpoints":["/"],"ro":false},
        {"name":"/dev/mmcblk0p2","type":"part","size":8589934592,"fstype":"ext4","label":"rootfs_b","partlabel":"rootfs_b","mountpoints":[null],"ro":false},
        {"name":"/dev/mmcblk0p5","type":"part","size":8589934592,"fstype":"ext4","label":"windhover-data","partlabel":"windhover-data","mountpoints":[null],"ro":false}]},
      {"name":"/dev/sda","type":"disk","size":1000204886016,"model":"Samsung SSD 990 ","serial":"S6Z2NJ0T","fstype":null,"label":null,
       "partlabel":null,"pttype":"gpt","mountpoints":[null],"ro":false,"children":[
        {"name":"/dev/sda1","type":"part","size":1000203837440,"fstype":"ext4","label":"windhover-data","partlabel":"windhover-data","mountpoints":["/data"],"ro":false}]},
      {"name":"/dev/sdb","type":"disk","size":16008609792,"model":"Ultra Fit","serial":"4C53","fstype":null,"label":null,"pttype":"dos",
       "partlabel":null,"mountpoints":[null],"ro":false,"children":[
        {"name":"/dev/sdb1","type":"part","size":16007561216,"fstype":"vfat","label":"HOLIDAY","partlabel":null,"mountpoints":[null],"ro":false}]},
      {"name":"/dev/sdc","type":"disk","size":16008609792,"model":null,"serial":null,"fstype":null,"label":null,"pttype":null,
       "partlabel":null,"mountpoints":[null],"ro":false},
      {"name":"/dev/sdd","type":"disk","size":16008609792,"fstype":null,"mountpoints":[null],"ro":true},
      {"name":"/dev/sde","type":"disk","size":16008609792,"fstype":"LVM2_member","mountpoints":[],"ro":false,"children":[
        {"name":"/dev/mapper/vg-lv","type":"lvm","size":16008609792,"fstype":"xfs","mountpoints":[null],"ro":false}]},
      {"name":"/dev/sdf","type":"disk","size":16008609792,"fstype":"ext4","label":"windhover-data","mountpoints":[null],"ro":false},
      {"name":"/dev/zram0","type":"disk","size":0,"mountpoints":[null],"ro":false}]}"#;

    fn judge(device: &str, typed: Option<&str>) -> Result<Vec<String>, Refusal> {
        let all = parse(BOARD).unwrap();
        let found = find(&all, Path::new(device))
            .ok_or(Refusal::NotADisk { device: device.into(), known: vec!["/dev/sda".into()] })?;
        found.may_be_formatted()?;
        let lost = found.contents(|_| vec!["1,240 recordings".into()]);
        found.may_be_lost(&lost, typed).map(|()| lost)
    }

    #[test]
    fn nothing_is_formatted_that_is_in_use_or_the_systems() {
        for (device, want) in [
            (
                "/dev/sda",
                "/dev/sda is in use by /dev/sda1, mounted at /data (\"windhover storage eject\" frees it): nothing",
            ),
            ("/dev/sda1", "/dev/sda1 is in use by /dev/sda1, mounted at /data ("),
            ("/dev/mmcblk0", "/dev/mmcblk0 is in use by /dev/mmcblk0p1, mounted at /: nothing was changed"),
            ("/dev/mmcblk0p2", "/dev/mmcblk0p2 lies on the disk /dev/mmcblk0 that this system runs from (/)."),
            ("/dev/sdd", "/dev/sdd cannot be written"),
            ("/dev/sde", "/dev/sde is in use by /dev/mapper/vg-lv (lvm): nothing"),
            ("/dev/mapper/vg-lv", "/dev/mapper/vg-lv is no disk or partition"),
            ("/dev/zram0", "/dev/zram0 is no disk or partition"),
            ("/dev/sdx", "/dev/sdx is no disk or partition: there is /dev/sda"),
        ] {
            // Whatever is typed.
            for typed in [None, Some("windhover-data"), Some("S6Z2NJ0T")] {
                let refused = judge(device, typed).unwrap_err().to_string();
                assert!(refused.starts_with(want), "{refused}");
            }
        }
    }

    #[test]
    fn what_would_be_lost_is_named_and_must_be_typed() {
        let refused = judge("/dev/sdb", None).unwrap_err().to_string();
        assert_eq!(
            refused,
            "/dev/sdb holds something. It would be lost:\n  /dev/sdb: partitions (dos), 14.9 GiB, Ultra Fit\n  \
             /dev/sdb1: vfat \"HOLIDAY\", 14.9 GiB\nNothing was changed; to lose it, say --erase and its name: \"4C53\""
        );
        let refused = judge("/dev/sdb1", Some("holiday")).unwrap_err().to_string();
        assert!(refused.ends_with("\"holiday\" is not its name: --erase takes \"HOLIDAY\" or \"4C53\""), "{refused}");
        assert_eq!(judge("/dev/sdb1", Some("HOLIDAY")).unwrap(), ["/dev/sdb1: vfat \"HOLIDAY\", 14.9 GiB"]);
        // Recordings of ours are no less.
        let refused = judge("/dev/sdf", None).unwrap_err().to_string();
        assert!(refused.contains("\n    1,240 recordings\n") && refused.ends_with("\"windhover-data\""), "{refused}");
        assert!(judge("/dev/mmcblk0p5", Some("windhover-data")).is_ok(), "our partition on the system's disk");
        assert_eq!(judge("/dev/sdc", None), Ok(vec![]), "an empty disk asks for nothing");
    }

    #[test]
    fn what_udev_does_not_know_is_looked_up() {
        let mut all = parse(BOARD).unwrap();
        let probe = |device: &str| match device {
            "/dev/sdc" => "DEVNAME=/dev/sdc\nLABEL=old\nTYPE=ntfs\n".to_owned(),
            other => panic!("{other} is known, or nothing to look at"),
        };
        let sdc = all.iter_mut().find(|block| block.name == "/dev/sdc").unwrap();
        sdc.look_up(&probe);
        assert_eq!(sdc.text(), "/dev/sdc: ntfs \"old\", 14.9 GiB");
        all.iter_mut().find(|block| block.name == "/dev/zram0").unwrap().look_up(&probe);
        assert!(parse("{}").is_err() && parse("").is_err());
    }
}
