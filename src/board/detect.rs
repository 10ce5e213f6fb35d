//! Which board this is, from the strings of its device tree. Pure: the strings are given.

use super::profile::{Profile, profiles};

/// A board and how it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    /// The facts.
    pub profile: Profile,
    /// How it was found, for `check`.
    pub reason: String,
}

/// The configuration names a board that there is no profile of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no board \"{name}\": use \"auto\" or one of {known}")]
pub struct UnknownBoard {
    name: String,
    known: String,
}

/// The board that the configuration names, or the one whose strings `compatible` holds, or the fallback.
pub fn detect(named: Option<&str>, compatible: &[String]) -> Result<Board, UnknownBoard> {
    let mut all = profiles();
    if let Some(name) = named {
        let Some(index) = all.iter().position(|p| p.name == name) else {
            let known: Vec<_> = all.iter().map(|p| format!("\"{}\"", p.name)).collect();
            return Err(UnknownBoard { name: name.to_owned(), known: known.join(", ") });
        };
        return Ok(Board { profile: all.swap_remove(index), reason: "named by the configuration".into() });
    }
    // The device tree lists the most specific string first: its order decides, not ours.
    for string in compatible {
        if let Some(index) = all.iter().position(|p| p.detect.compatible.contains(string)) {
            return Ok(Board { profile: all.swap_remove(index), reason: format!("its device tree says {string}") });
        }
    }
    let reason = match compatible.first() {
        None => "this machine has no device tree".into(),
        Some(first) => format!("no profile knows {first}"),
    };
    let fallback = all.into_iter().find(|p| p.detect.fallback).expect("one profile is the fallback: tested");
    Ok(Board { profile: fallback, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards() {
        let table: [(Option<&str>, &[&str], &str, &str); 12] = [
            (None, &[], "laptop", "this machine has no device tree"),
            (
                None,
                &["nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234"],
                "orin-nano",
                "its device tree says nvidia,p3767-0005",
            ),
            (None, &["acme,carrier", "nvidia,p3767-0003"], "orin-nano", "its device tree says nvidia,p3767-0003"),
            // The Orin NX sits on the same carriers and has an encoder.
            (
                None,
                &["nvidia,p3768-0000+p3767-0000", "nvidia,p3767-0000", "nvidia,tegra234"],
                "orin-nx",
                "its device tree says nvidia,p3767-0000",
            ),
            (None, &["nvidia,p3701-0005", "nvidia,tegra234"], "agx-orin", "its device tree says nvidia,p3701-0005"),
            (None, &["nvidia,p9999-0000", "nvidia,tegra234"], "laptop", "no profile knows nvidia,p9999-0000"),
            (None, &["acme,carrier", "nvidia,tegra264"], "thor", "its device tree says nvidia,tegra264"),
            (None, &["raspberrypi,400", "brcm,bcm2711"], "raspberry-pi-4", "its device tree says brcm,bcm2711"),
            (
                None,
                &["raspberrypi,5-model-b", "brcm,bcm2712"],
                "raspberry-pi-5",
                "its device tree says raspberrypi,5-model-b",
            ),
            (None, &["linux,dummy-virt"], "qemuarm64", "its device tree says linux,dummy-virt"),
            (Some("sim"), &["nvidia,p3767-0005"], "sim", "named by the configuration"),
            (Some("laptop"), &[], "laptop", "named by the configuration"),
        ];
        for (named, compatible, board, reason) in table {
            let compatible: Vec<_> = compatible.iter().map(|s| (*s).to_owned()).collect();
            let found = detect(named, &compatible).unwrap();
            assert_eq!((found.profile.name.as_str(), found.reason.as_str()), (board, reason), "{compatible:?}");
        }
        let e = detect(Some("toaster"), &[]).unwrap_err().to_string();
        assert!(e.starts_with("there is no board \"toaster\": use \"auto\" or one of \"laptop\", \"sim\", "), "{e}");
    }
}
