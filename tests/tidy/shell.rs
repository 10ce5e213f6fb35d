//! What a person runs: every command in tools/ says what it does, and can be run.

use std::os::unix::fs::PermissionsExt;

use super::{assert_clean, tree};

/// Shell code that commands share; sourced, never run.
const SHARED: &str = "tools/lib/";

fn breaches(path: &str, text: &str, mode: u32) -> Vec<String> {
    let mut lines = text.lines();
    let mut found = Vec::new();
    let mut say = |what: &str| found.push(format!("{path}: {what}"));
    if path.starts_with(SHARED) {
        if mode & 0o111 != 0 {
            say("is sourced, so it must not be executable");
        }
    } else {
        if mode & 0o111 == 0 {
            say("is not executable");
        }
        if lines.next() != Some("#!/usr/bin/env bash") {
            say("does not begin with #!/usr/bin/env bash");
        }
        if !text.contains("--help") {
            say("does not answer --help");
        }
    }
    if !lines.next().is_some_and(|line| line.starts_with("# ") && line.len() > 10) {
        say("does not begin with a comment that says what it is for");
    }
    if !path.starts_with(SHARED) && !text.contains("\nset -euo pipefail\n") {
        say("lacks `set -euo pipefail`");
    }
    found
}

#[test]
fn every_tool_can_be_run_and_explains_itself() {
    let tools = tree::texts("tools", "");
    assert!(!tools.is_empty());
    let mode = |path: &str| std::fs::metadata(tree::root().join(path)).expect("just listed").permissions().mode();
    let found: Vec<String> = tools.iter().flat_map(|(path, text)| breaches(path, text, mode(path))).collect();
    assert_clean("Every tool can be run and explains itself", &found);
}

#[test]
fn ci_runs_what_readme_promises() {
    let script = std::fs::read_to_string(tree::root().join(".ci/run")).expect(".ci/run is there");
    assert!(script.lines().any(|line| line.contains("./tools/test")), "{script}");
}

#[test]
fn planted_faults_are_seen() {
    let good = "#!/usr/bin/env bash\n# Does one thing well.\n# --help\nset -euo pipefail\n";
    assert_eq!(breaches("tools/x", good, 0o755).len(), 0);
    assert_eq!(breaches("tools/x", good, 0o644).len(), 1, "not executable");
    assert_eq!(breaches("tools/x", &good.replace("# Does one thing well.\n", ""), 0o755).len(), 1, "no help");
    assert_eq!(breaches("tools/x", &good.replace("--help", ""), 0o755).len(), 1, "no --help");
    assert_eq!(breaches("tools/x", &good.replace("set -euo pipefail", ""), 0o755).len(), 1, "careless");
    assert_eq!(breaches("tools/lib/x.sh", "# What commands share.\n", 0o644).len(), 0);
    assert_eq!(breaches("tools/lib/x.sh", "echo\n", 0o755).len(), 2);
}
