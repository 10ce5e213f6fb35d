//! What the hardware says of the last reset: the kernel's watchdogs, and the file that a board's profile names. Nothing
//! here opens a watchdog: that would start it, and PID 1 owns it (watchdog-api in the kernel's documentation).

use std::fmt;
use std::path::{Path, PathBuf};

use crate::base::file;

/// Where the kernel shows its watchdogs.
const WATCHDOGS: &str = "sys/class/watchdog";
/// No board has more.
const MOST_WATCHDOGS: usize = 8;
/// The files hold a word or a number.
const LARGEST: u64 = 4096;

/// Bits of `bootstatus` (include/uapi/linux/watchdog.h): WDIOF_OVERHEAT, WDIOF_POWERUNDER, WDIOF_CARDRESET.
const BOOT_STATUS: [(u32, Reset); 3] = [(0x20, Reset::Watchdog), (0x01, Reset::Heat), (0x10, Reset::Power)];

/// Words of `reset_reason` of NVIDIA's power management controller (drivers/soc/tegra/pmc.c); whatever ends in WDT besides
/// these is a watchdog.
const TEGRA: [(&str, Reset); 12] = [
    ("WATCHDOG", Reset::Watchdog),
    ("SENSOR", Reset::Heat),
    ("AOTAG", Reset::Heat),
    ("FSI_THERM", Reset::Heat),
    ("VFSENSOR", Reset::Power),
    ("VREFRO_POWERBAD", Reset::Power),
    ("SYS_RESET", Reset::Power),
    ("SYS_RESET_N", Reset::Power),
    ("POWER_ON_RESET", Reset::Power),
    ("MAINSWRST", Reset::Software),
    ("SWREST", Reset::Software),
    ("SW_MAIN", Reset::Software),
];

/// What made the hardware start again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// A watchdog that nobody fed.
    Watchdog,
    /// Too hot.
    Heat,
    /// Power came, was too low, or the reset line was pulled: a switch, a battery, a button.
    Power,
    /// The kernel asked for it: a reboot, or a panic.
    Software,
}

/// What one file says of the last reset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it means.
    pub reset: Reset,
    /// Its words: `bootstatus 0x20 of i6300ESB timer`.
    pub words: String,
}

/// A hardware watchdog of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watchdog {
    /// What its driver calls itself.
    pub identity: String,
    /// It resets the board after so many seconds without food; none where the driver does not say.
    pub timeout_s: Option<u32>,
    /// Somebody has opened it: it bites.
    pub active: bool,
}

impl fmt::Display for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity)?;
        if let Some(timeout) = self.timeout_s {
            write!(f, ", {timeout} s")?;
        }
        f.write_str(if self.active { "" } else { ", not started" })
    }
}

/// The watchdogs below `root` (`/`, or a tree of a test), in the order of their numbers.
pub fn watchdogs(root: &Path) -> Vec<Watchdog> {
    let watchdog = |folder: &PathBuf| Watchdog {
        identity: word(&folder.join("identity")).unwrap_or_else(|| "watchdog".into()),
        timeout_s: number(&folder.join("timeout")),
        active: word(&folder.join("state")).is_some_and(|state| state == "active"),
    };
    folders(root).iter().map(watchdog).collect()
}

/// What is said of the last reset below `root`, by the watchdogs and by the first of the profile's files that is there.
/// What cannot be read says nothing.
pub fn told(root: &Path, reasons: &[PathBuf]) -> Vec<Told> {
    let mut all = Vec::new();
    for folder in folders(root) {
        let Some(status) = number(&folder.join("bootstatus")) else { continue };
        let identity = word(&folder.join("identity")).unwrap_or_else(|| "watchdog".into());
        let bits = BOOT_STATUS.iter().filter(|(bit, _)| status & bit != 0);
        all.extend(
            bits.map(|(_, reset)| Told { reset: *reset, words: format!("bootstatus {status:#x} of {identity}") }),
        );
    }
    let below = |path: &PathBuf| root.join(path.strip_prefix("/").unwrap_or(path));
    if let Some(reason) = reasons.iter().find_map(|path| word(&below(path)))
        && let Some(reset) = tegra(&reason)
    {
        all.push(Told { reset, words: format!("reset_reason {reason}") });
    }
    all
}

fn tegra(reason: &str) -> Option<Reset> {
    let known = TEGRA.iter().find(|(word, _)| *word == reason).map(|(_, reset)| *reset);
    known.or_else(|| reason.ends_with("WDT").then_some(Reset::Watchdog))
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root.join(WATCHDOGS)).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).take(MOST_WATCHDOGS).collect();
    folders.sort();
    folders
}

/// The first line of a file, cut to what fits on a line of a report.
fn word(path: &Path) -> Option<String> {
    let text = String::from_utf8(file::read(path, LARGEST).ok()?).ok()?;
    let line: String = text.lines().next()?.trim().chars().filter(|c| !c.is_control()).take(60).collect();
    (!line.is_empty()).then_some(line)
}

fn number(path: &Path) -> Option<u32> {
    let word = word(path)?;
    match word.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree as the kernel shows it, constructed from its documentation.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn said(files: &[(&str, &str)], reasons: &[&str]) -> Vec<(Reset, String)> {
        let reasons: Vec<PathBuf> = reasons.iter().map(PathBuf::from).collect();
        let root = tree(files);
        told(root.path(), &reasons).into_iter().map(|told| (told.reset, told.words)).collect()
    }

    #[test]
    fn the_watchdog_says_that_it_bit() {
        let at = |name: &str| format!("sys/class/watchdog/watchdog0/{name}");
        for (status, want) in [
            ("32\n", vec![(Reset::Watchdog, "bootstatus 0x20 of i6300ESB timer".to_owned())]),
            ("0\n", vec![]),
            ("0x1\n", vec![(Reset::Heat, "bootstatus 0x1 of i6300ESB timer".into())]),
            ("512\n", vec![]),
            ("yes\n", vec![]),
            ("", vec![]),
        ] {
            let found = said(&[(&at("bootstatus"), status), (&at("identity"), "i6300ESB timer\n")], &[]);
            assert_eq!(found, want, "{status:?}");
        }
        let both = said(&[(&at("bootstatus"), "48")], &[]);
        assert_eq!(both.iter().map(|(reset, _)| *reset).collect::<Vec<_>>(), [Reset::Watchdog, Reset::Power]);
        assert_eq!(said(&[], &["/nowhere"]), [], "a machine without watchdogs");
    }

    #[test]
    fn jetson_says_why_by_a_word() {
        let (first, second) =
            ("sys/devices/platform/bus@0/c360000.pmc/reset_reason", "sys/devices/c360000/reset_reason");
        let reasons = [format!("/{first}"), format!("/{second}")];
        for (word, want) in [
            ("LCCPLEXWDT", Some(Reset::Watchdog)),
            ("FSI_R52C3WDT", Some(Reset::Watchdog)),
            ("WATCHDOG", Some(Reset::Watchdog)),
            ("SENSOR", Some(Reset::Heat)),
            ("SYS_RESET_N", Some(Reset::Power)),
            ("MAINSWRST", Some(Reset::Software)),
            ("HSM", None),
            ("\u{1b}[2J", None),
        ] {
            for path in [first, second] {
                let found = said(&[(path, &format!("{word}\n"))], &[&reasons[0], &reasons[1]]);
                let want: Vec<_> = want.map(|reset| (reset, format!("reset_reason {word}"))).into_iter().collect();
                assert_eq!(found, want, "{word}");
            }
        }
    }

    #[test]
    fn watchdogs_are_named_and_never_opened() {
        let root = tree(&[
            ("sys/class/watchdog/watchdog0/identity", "Broadcom BCM2835 Watchdog timer\n"),
            ("sys/class/watchdog/watchdog0/timeout", "15\n"),
            ("sys/class/watchdog/watchdog0/state", "active\n"),
            ("sys/class/watchdog/watchdog1/bootstatus", "0\n"),
        ]);
        let found: Vec<_> = watchdogs(root.path()).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["Broadcom BCM2835 Watchdog timer, 15 s", "watchdog, not started"]);
        assert_eq!(watchdogs(Path::new("/nonexistent")), []);
    }
}
