//! The daemon's crates as the Yocto layer sees them: exactly those of Cargo.lock, and none too new for its Rust.

use std::collections::BTreeSet;
use std::process::Command;

use crate::{run, text, top};

/// The Rust of Yocto 6.0 "wrynose" (openembedded-core at the commit of yocto/kas/include/windhover.yml).
const YOCTO_RUST: [u32; 3] = [1, 94, 1];

fn version(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or_else(|e| panic!("{text}: {e}")));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

#[test]
fn the_layer_fetches_exactly_the_locked_crates() {
    let mut python = Command::new("python3");
    python.env("PYTHONDONTWRITEBYTECODE", "1").args([
        "-c",
        "import sys; sys.path.insert(0, sys.argv[1]); import cargo_lock\n\
        for crate in cargo_lock.crates(sys.argv[2]): print(*crate)",
    ]);
    python.arg(top().join("yocto/meta-windhover/lib/windhover")).arg(top().join("Cargo.lock"));
    let said = run(&mut python).ok();
    let found: BTreeSet<String> = said.lines().map(Into::into).collect();
    let lock: toml::Table = text("Cargo.lock").parse().expect("cargo wrote it");
    let packages = lock["package"].as_array().expect("a lock has packages");
    let field = |package: &toml::Value, name: &str| package.get(name).and_then(|v| v.as_str()).map(str::to_owned);
    let locked = packages.iter().filter_map(|package| {
        field(package, "source")?;
        let (name, version) = (field(package, "name")?, field(package, "version")?);
        Some(format!("crate://crates.io/{name}/{version} {name}-{version} {}", field(package, "checksum")?))
    });
    let locked: BTreeSet<String> = locked.collect();
    assert!(locked.len() > 100, "{}", locked.len());
    assert_eq!(found, locked);
    assert_eq!(said.lines().count(), found.len(), "none twice");
}

#[test]
fn a_crate_from_elsewhere_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let lock = folder.path().join("Cargo.lock");
    let package = "[[package]]\nname = \"x\"\nversion = \"1.0.0\"\nsource = \"git+https://example.org/x#1\"\n";
    std::fs::write(&lock, package).expect("the folder is ours");
    let mut python = Command::new("python3");
    let code = "import sys; sys.path.insert(0, sys.argv[1]); import cargo_lock; cargo_lock.crates(sys.argv[2])";
    python.env("PYTHONDONTWRITEBYTECODE", "1").args(["-c", code]);
    let said = run(python.arg(top().join("yocto/meta-windhover/lib/windhover")).arg(&lock));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("which bitbake does not fetch"), "{}", said.err);
}

#[test]
fn every_crate_builds_with_the_rust_of_yocto() {
    let mut cargo = Command::new(env!("CARGO"));
    // What another processor or system would need is not compiled there.
    cargo.args(["metadata", "--locked", "--format-version", "1", "--filter-platform", "aarch64-unknown-linux-gnu"]);
    let said = run(cargo.current_dir(top())).ok();
    let metadata: serde_json::Value = serde_json::from_str(&said).expect("cargo speaks JSON");
    let packages = metadata["packages"].as_array().expect("it lists packages");
    let too_new = packages.iter().filter_map(|package| {
        let wanted = package["rust_version"].as_str()?;
        (version(wanted) > YOCTO_RUST).then(|| format!("{} wants Rust {wanted}", package["name"]))
    });
    assert_eq!(too_new.collect::<Vec<_>>(), Vec::<String>::new());
    let own = packages.iter().find(|p| p["name"] == "windhover").and_then(|p| p["rust_version"].as_str());
    assert_eq!(own.map(version).map(|v| v[..2].to_vec()), Some(YOCTO_RUST[..2].to_vec()), "Cargo.toml names it too");
}

#[test]
fn the_recipe_has_the_version_of_the_crate() {
    let version = env!("CARGO_PKG_VERSION");
    let recipe = format!("yocto/meta-windhover/recipes-multimedia/windhover/windhover_{version}.bb");
    let recipe = text(&recipe);
    // The crate is built from these; a new folder that the build reads must be named.
    for source in ["Cargo.toml", "Cargo.lock", "build.rs", "src", "board"] {
        assert!(recipe.contains(&format!("file://{source};subdir=${{BP}}")), "{source}");
    }
}
