//! Puts the git revision into the version text, so that a running board can name its source.
use std::path::Path;
use std::process::Command;

fn main() {
    // A source archive or the Yocto recipe has no .git: they pass the revision in the environment.
    println!("cargo:rerun-if-env-changed=WINDHOVER_REVISION");
    // In a worktree they lie elsewhere; a path that does not exist would count as changed at every build.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]).filter(|path| Path::new(path).exists()) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let given = std::env::var("WINDHOVER_REVISION").ok();
    let revision = given.or_else(|| git(&["rev-parse", "--short=12", "HEAD"])).unwrap_or_else(|| "unknown".into());
    println!("cargo:rustc-env=WINDHOVER_REVISION={revision}");
}

fn git(arguments: &[&str]) -> Option<String> {
    let out = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    (out.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
