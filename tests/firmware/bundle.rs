//! An update bundle as `windhover-bundle` describes it, made and read by RAUC with a key that lives as long as this test.

use std::path::Path;
use std::process::Command;

use crate::{run, text};

fn key(folder: &Path, name: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=throw-away"]);
    openssl.arg("-keyout").arg(folder.join(format!("{name}.key"))).arg("-out").arg(folder.join(format!("{name}.crt")));
    run(&mut openssl).ok();
}

#[test]
fn a_signed_bundle_is_taken_and_a_foreign_one_is_not() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let at = |name: &str| folder.path().join(name);
    let recipe = text("yocto/meta-windhover/dynamic-layers/rauc/recipes-core/bundles/windhover-bundle.bb");
    let field = |name: &str| {
        let line = recipe
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} = \"")))
            .unwrap_or_else(|| panic!("{name}"));
        line.trim_end_matches('"').replace("${MACHINE}", "qemuarm64").replace("${DISTRO_VERSION}", "0.1.0")
    };
    let compatible = field("RAUC_BUNDLE_COMPATIBLE");
    let manifest = format!(
        "[update]\ncompatible={compatible}\nversion={}\n\n[bundle]\nformat={}\n\n[image.{}]\nfilename=root.ext4\n",
        field("RAUC_BUNDLE_VERSION"),
        field("RAUC_BUNDLE_FORMAT"),
        field("RAUC_BUNDLE_SLOTS"),
    );
    std::fs::create_dir(at("content")).expect("the folder is new");
    std::fs::write(at("content/manifest.raucm"), manifest).expect("the folder is ours");
    // RAUC looks at the name of an image, not into it; one that squashfs shrinks to nothing is too small for it.
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    std::fs::write(at("content/root.ext4"), noise.take(1 << 16).collect::<Vec<u8>>()).expect("the folder is ours");
    key(folder.path(), "ours");
    key(folder.path(), "foreign");
    let mut rauc = Command::new("rauc");
    rauc.arg("bundle")
        .arg(format!("--cert={}", at("ours.crt").display()))
        .arg(format!("--key={}", at("ours.key").display()));
    run(rauc.arg(at("content")).arg(at("update.raucb"))).ok();
    let info = |keyring: &str| {
        let mut rauc = Command::new("rauc");
        run(rauc.arg("info").arg(format!("--keyring={}", at(keyring).display())).arg(at("update.raucb")))
    };
    let said = info("ours.crt").ok();
    assert!(said.contains(&compatible) && said.contains("rootfs"), "{said}");
    assert_ne!(info("foreign.crt").code, Some(0), "signed by somebody else");
    let mut bytes = std::fs::read(at("update.raucb")).expect("just made");
    bytes[100] ^= 1;
    let middle = bytes.len() - 700;
    bytes[middle] ^= 1;
    std::fs::write(at("update.raucb"), bytes).expect("the folder is ours");
    assert_ne!(info("ours.crt").code, Some(0), "changed after it was signed");
}
