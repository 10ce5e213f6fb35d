//! What makes firmware of the daemon: units, scripts, the install manifest, the partition layouts, the update bundle. All
//! from the outside: staged by `tools/install`, read by systemd, sh, RAUC and Python.

mod bundle;
mod crates;
mod names;
mod scripts;
mod staged;
mod states;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the repository.
fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
fn text(path: &str) -> String {
    std::fs::read_to_string(top().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What a finished program said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }
}

/// Runs a program to its end. One that is not there is named: `tools/test` installs what these tests need.
fn run(command: &mut Command) -> Said {
    let out = command.output().unwrap_or_else(|e| panic!("{:?} (tools/test installs it): {e}", command.get_program()));
    let said = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: out.status.code(), out: said(out.stdout), err: said(out.stderr) }
}

/// Makes a program in `folder` that stands in for one that is not here, as a shell script.
fn stand_in(folder: &Path, name: &str, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("the folder of the test can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it was just made");
    path
}
