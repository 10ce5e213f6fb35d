//! The crates in the firmware, against `.deny.toml`: licences, names, where they come from. `cargo deny check` asks more
//! (advisories, duplicates); this needs nothing but cargo, so it runs everywhere and always.

use std::iter::Peekable;
use std::process::Command;

use serde_json::Value;

use super::{assert_clean, tree};

/// What `.deny.toml` says.
struct Rules {
    licences: Vec<String>,
    denied: Vec<String>,
}

impl Rules {
    fn of(text: &str) -> Self {
        let rules: toml::Table = text.parse().expect(".deny.toml is TOML");
        let list = |section: &str, key: &str| rules[section][key].as_array().expect("a list").clone();
        let text = |value: &toml::Value| value.as_str().expect("a text").to_owned();
        Self {
            licences: list("licenses", "allow").iter().map(text).collect(),
            denied: list("bans", "deny").iter().map(|entry| text(&entry["crate"])).collect(),
        }
    }

    fn breaches(&self, name: &str, licence: &str, source: Option<&str>) -> Vec<String> {
        let registry = source.is_none_or(|source| source == "registry+https://github.com/rust-lang/crates.io-index");
        let rules = [
            (!self.allow(licence), format!("{name}: the licence \"{licence}\" is not one of those allowed")),
            (self.denied.iter().any(|denied| denied == name), format!("{name} is denied")),
            (!registry, format!("{name} comes from {source:?}, not from cargo's own registry")),
        ];
        rules.into_iter().filter_map(|(broken, what)| broken.then_some(what)).collect()
    }

    /// An SPDX expression: AND binds tighter than OR, and WITH belongs to its licence. Older crates write "/" for OR.
    fn allow(&self, expression: &str) -> bool {
        let spaced =
            expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "+WITH+");
        let mut words = spaced.split_whitespace().peekable();
        self.any(&mut words) && words.next().is_none()
    }

    fn any<'a>(&self, words: &mut Peekable<impl Iterator<Item = &'a str>>) -> bool {
        let mut fits = self.all(words);
        while words.next_if_eq(&"OR").is_some() {
            fits |= self.all(words);
        }
        fits
    }

    fn all<'a>(&self, words: &mut Peekable<impl Iterator<Item = &'a str>>) -> bool {
        let mut fits = self.one(words);
        while words.next_if_eq(&"AND").is_some() {
            fits &= self.one(words);
        }
        fits
    }

    fn one<'a>(&self, words: &mut Peekable<impl Iterator<Item = &'a str>>) -> bool {
        match words.next() {
            Some("(") => {
                let fits = self.any(words);
                words.next() == Some(")") && fits
            }
            Some(licence) => self.licences.contains(&licence.replace("+WITH+", " WITH ")),
            None => false,
        }
    }
}

fn rules() -> Rules {
    Rules::of(&std::fs::read_to_string(tree::root().join(".deny.toml")).expect(".deny.toml is there"))
}

#[test]
fn every_crate_may_be_in_the_firmware() {
    let arguments = ["metadata", "--locked", "--offline", "--format-version", "1"];
    let here = format!("--filter-platform={}-unknown-linux-gnu", std::env::consts::ARCH);
    let out = Command::new(env!("CARGO")).args(arguments).arg(here).current_dir(tree::root()).output();
    let out = out.expect("cargo runs this test");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("cargo's own JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 50);
    let rules = rules();
    let text = |package: &Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let found: Vec<String> = packages
        .iter()
        .flat_map(|p| rules.breaches(&text(p, "name"), &text(p, "license"), p["source"].as_str()))
        .collect();
    assert_clean("Every crate has an allowed licence and a known origin", &found);
}

#[test]
fn planted_faults_are_seen() {
    let rules = rules();
    for good in
        ["MIT", "GPL-3.0-only OR MIT", "Unlicense/MIT", "(MIT OR X) AND Unicode-3.0", "Apache-2.0 WITH LLVM-exception"]
    {
        assert!(rules.allow(good), "{good}");
    }
    for bad in
        ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "MIT AND (X OR Y)", "(MIT", "ISC WITH LLVM-exception", "MIT MIT"]
    {
        assert!(!rules.allow(bad), "{bad}");
    }
    assert_eq!(rules.breaches("openssl-sys", "MIT", None).len(), 1);
    assert_eq!(rules.breaches("x", "MIT", Some("git+https://example.org/x")).len(), 1);
    assert_eq!(rules.breaches("x", "", None).len(), 1, "none stated");
}
