//! Puts the git revision into the version text, so that a running board can name its source.
use std::process::Command;

fn main() {
    // A source archive or the Yocto recipe has no .git: they pass the revision in the environment.
    println!("cargo:rerun-if-env-changed=WINDHOVER_REVISION");
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-changed=.git/logs/HEAD");
    let given = std::env::var("WINDHOVER_REVISION").ok();
    let revision = given.or_else(from_git).unwrap_or_else(|| "unknown".into());
    println!("cargo:rustc-env=WINDHOVER_REVISION={revision}");
}

fn from_git() -> Option<String> {
    let out = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    (out.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
