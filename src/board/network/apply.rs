//! Puts the settings in force: finds the file that counts, keeps it when it is good, and writes what systemd-networkd reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::error::Chain;
use crate::base::file;

use super::settings::{self, Network};

/// No network.toml has so much; a damaged card may claim anything.
const LARGEST: u64 = 64 << 10;
const NAME: &str = "network.toml";
const LAST_GOOD: &str = "last-good.toml";
/// Why the settings are not in force, for the daemon: below the root.
pub const PROBLEM: &str = "run/windhover-network/problem";

/// Why the network could not be set at all.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written", path.display())]
pub struct ApplyError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Where everything is: below `/`, or the tree of a test.
#[derive(Debug, Clone)]
pub struct Places {
    /// Files for systemd-networkd go there.
    pub units: PathBuf,
    /// The daemon's own: what was set over the network or a console, and the last good one.
    pub state: PathBuf,
    /// The boot partition's, the first that has the file. It counts more than what was set over a network that is lost now.
    pub boot: Vec<PathBuf>,
    /// The kernel's hostname.
    pub hostname: PathBuf,
    /// Where the problem is told.
    pub problem: PathBuf,
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The settings.
    pub network: Network,
    /// The file they are from; none if there is none, and the image's own are in force.
    pub from: Option<PathBuf>,
    /// Why they are not those of the file that counts.
    pub problem: Option<String>,
}

impl Places {
    /// Those of a board whose root is `root`.
    pub fn below(root: &Path) -> Self {
        Self {
            units: root.join("run/systemd/network"),
            state: root.join("var/lib/windhover/network"),
            boot: ["boot/windhover", "boot/efi/windhover"].map(|path| root.join(path)).into(),
            hostname: root.join("proc/sys/kernel/hostname"),
            problem: root.join(PROBLEM),
        }
    }

    /// Where `windhover network set` puts its file.
    pub fn own_file(&self) -> PathBuf {
        self.state.join(NAME)
    }

    /// What is to be in force, without putting it in force.
    pub fn look(&self) -> Applied {
        let boot = self.boot.iter().map(|folder| folder.join(NAME));
        let chosen = boot.chain([self.own_file()]).find(|path| path.symlink_metadata().is_ok());
        let Some(path) = chosen else {
            return Applied { network: Network::default(), from: None, problem: None };
        };
        match read(&path) {
            Ok(network) => Applied { network, from: Some(path), problem: None },
            Err(why) => {
                let kept = self.state.join(LAST_GOOD);
                let problem = Some(format!("{}: {why}", path.display()));
                match read(&kept) {
                    Ok(network) => Applied { network, from: Some(kept), problem },
                    Err(_) => Applied { network: Network::default(), from: None, problem },
                }
            }
        }
    }
}

fn read(path: &Path) -> Result<Network, String> {
    let bytes = file::read(path, LARGEST).map_err(|e| e.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    settings::parse(&text).map_err(|e| e.to_string().trim_end().to_owned())
}

/// Puts in force what [`Places::look`] finds. What it cannot keep for the next time is a line in the log.
pub fn apply(places: &Places) -> Result<Applied, ApplyError> {
    let applied = places.look();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ApplyError { path, source }
    };
    fs::create_dir_all(&places.units).map_err(failed(&places.units))?;
    remove_ours(&places.units).map_err(failed(&places.units))?;
    for (name, text) in applied.network.files() {
        let path = places.units.join(name);
        // Read by systemd-networkd, which is not root.
        fs::write(&path, text).map_err(failed(&path))?;
    }
    if let Some(hostname) = &applied.network.hostname {
        fs::write(&places.hostname, hostname).map_err(failed(&places.hostname))?;
    }
    if applied.problem.is_none() && applied.from.is_some() {
        let kept = places.state.join(LAST_GOOD);
        if let Err(e) = file::replace(&kept, settings::text(&applied.network).as_bytes()) {
            tracing::warn!("{} cannot be written: {}", kept.display(), Chain(&e));
        }
    }
    tell(&places.problem, applied.problem.as_deref()).map_err(failed(&places.problem))?;
    Ok(applied)
}

/// What an earlier start left is no longer meant.
fn remove_ours(units: &Path) -> io::Result<()> {
    for entry in fs::read_dir(units)?.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.contains("-windhover-") && name.starts_with('1')) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn tell(path: &Path, problem: Option<&str>) -> io::Result<()> {
    let Some(problem) = problem else {
        return match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
    };
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    fs::write(path, problem)
}

/// What is wrong with the settings below `root`, if anything is, on one line.
pub fn problem(root: &Path) -> Option<String> {
    let text = file::read(&root.join(PROBLEM), LARGEST).ok()?;
    let text: String = String::from_utf8_lossy(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then(|| text.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> (tempfile::TempDir, Places) {
        let root = tempfile::tempdir().unwrap();
        let places = Places::below(root.path());
        for folder in [&places.state, &places.boot[0], &places.boot[1], places.hostname.parent().unwrap()] {
            fs::create_dir_all(folder).unwrap();
        }
        (root, places)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_card_in_the_hand_counts_and_a_bad_file_changes_nothing() {
        let (root, places) = board();
        assert_eq!(apply(&places).unwrap().from, None, "nothing is set");
        assert!(names(&places.units).is_empty());
        fs::write(places.own_file(), "[[port]]\naddress = [\"10.0.0.7/8\"]").unwrap();
        assert_eq!(apply(&places).unwrap().from, Some(places.own_file()));
        let card = places.boot[1].join(NAME);
        fs::write(&card, "hostname = \"kestrel\"\n[[port]]\nname = \"eth1\"").unwrap();
        let good = apply(&places).unwrap();
        assert_eq!(good.from, Some(card.clone()));
        assert_eq!(names(&places.units), ["10-windhover-00.network"], "the one before is gone");
        assert_eq!(fs::read_to_string(&places.hostname).unwrap(), "kestrel");
        assert_eq!(problem(root.path()), None);
        for bad in ["hostname = 7", "\0\0", &"#".repeat(70_000)] {
            fs::write(&card, bad).unwrap();
            let applied = apply(&places).unwrap();
            assert_eq!((applied.network, applied.from), (good.network.clone(), Some(places.state.join(LAST_GOOD))));
            let told = problem(root.path()).unwrap();
            assert!(told.contains("boot/efi/windhover/network.toml: ") && !told.contains('\n'), "{told}");
        }
        assert_eq!(names(&places.units), ["10-windhover-00.network"]);
        fs::remove_file(&card).unwrap();
        assert_eq!(apply(&places).unwrap().from, Some(places.own_file()));
        assert_eq!(problem(root.path()), None, "it is over");
    }

    #[test]
    fn without_a_good_one_the_image_decides() {
        let (root, places) = board();
        fs::write(places.boot[0].join(NAME), "hostname = 7").unwrap();
        let applied = apply(&places).unwrap();
        assert_eq!((applied.network, applied.from), (Network::default(), None));
        assert!(problem(root.path()).unwrap().contains("invalid type"));
        // A folder of that name, or a pipe, is no settings.
        fs::remove_file(places.boot[0].join(NAME)).unwrap();
        fs::create_dir(places.boot[0].join(NAME)).unwrap();
        assert!(apply(&places).unwrap().problem.unwrap().contains("no regular file"));
        fs::write(places.units.join("20-mine.network"), "").unwrap();
        apply(&places).unwrap();
        assert_eq!(names(&places.units), ["20-mine.network"], "what is not ours stays");
    }
}
