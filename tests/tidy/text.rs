//! What no tracked file may say: work left open, places of one machine, a package registry other than cargo's own.

use super::lexer::{code_of, is_word, line_of, words};
use super::{assert_clean, tree};

/// The words are put together here, so that this file does not say them.
const OPEN_WORK: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
const OPEN_CODE: &[&str] = &[concat!("to", "do!"), concat!("unimple", "mented!")];
const OPEN_FOLDERS: &[&str] = &["src", "tests", "tools", "board", "yocto", "systemd", ".ci"];

/// Folders of whoever built this, not of whoever reads it.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// A repository that names a registry or mirror works only where that one answers.
const REGISTRIES: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("sh.", "rustup.rs"),
    concat!("static.", "rust-lang.org"),
    concat!("py", "pi.org"),
    concat!("registry.", "npmjs"),
    concat!("proxy.", "golang.org"),
    concat!("deb.", "debian.org"),
    concat!("archive.", "ubuntu.com"),
];

/// What cargo writes into Cargo.lock wherever the crates came from.
const LOCK_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

fn open_work(path: &str, text: &str) -> Vec<String> {
    let mut found: Vec<usize> = OPEN_WORK.iter().flat_map(|word| words(text, word)).collect();
    if path.ends_with(".rs") {
        let code = code_of(text);
        // Positions in the code are not positions in the text (one space per character): only the line is kept.
        let lines = OPEN_CODE.iter().flat_map(|word| words(&code, word)).map(|at| line_of(&code, at));
        found.extend(lines.filter_map(|line| text.match_indices('\n').nth(line - 1).map(|(at, _)| at)));
    }
    found.into_iter().map(|at| format!("{path}:{}: work left open", line_of(text, at))).collect()
}

fn places(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for place in MACHINE_PATHS {
        for (at, _) in text.match_indices(place) {
            // `framework/x` and `https://host/home/` are no folders of this machine.
            if !text[..at].ends_with(|c: char| is_word(c) || ".$}>~".contains(c)) {
                found.push(format!("{path}:{}: a path of one machine: {place}", line_of(text, at)));
            }
        }
    }
    for host in REGISTRIES {
        let hits = text.match_indices(host);
        found.extend(hits.map(|(at, _)| format!("{path}:{}: names a package registry: {host}", line_of(text, at))));
    }
    if path == "Cargo.lock" {
        let other = text.lines().filter(|line| line.starts_with("source = ") && *line != LOCK_SOURCE);
        found.extend(other.map(|line| format!("{path}: not cargo's own registry: {line}")));
    }
    if path.starts_with(".cargo/") && text.contains("[source") {
        found.push(format!("{path}: replaces the registry; that belongs into the user's own cargo configuration"));
    }
    found
}

#[test]
fn no_work_is_left_open() {
    let all = OPEN_FOLDERS.iter().flat_map(|folder| tree::texts(folder, ""));
    let found: Vec<String> = all.flat_map(|(path, text)| open_work(&path, &text)).collect();
    assert_clean("No work is left open in the tree", &found);
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    let found: Vec<String> = tree::texts("", "").iter().flat_map(|(path, text)| places(path, text)).collect();
    assert_clean("No file names a folder of one machine or a package registry", &found);
}

#[test]
fn planted_faults_are_seen() {
    for word in OPEN_WORK {
        assert_eq!(open_work("tools/x", &format!("a\n# {word}: later")).len(), 1, "{word}");
    }
    for code in OPEN_CODE {
        assert_eq!(open_work("src/x.rs", &format!("fn f() {{ {code}() }}\n")).len(), 1, "{code}");
        assert_eq!(open_work("src/x.rs", &format!("// {code}\n")).len(), 0, "{code} in a comment");
    }
    for place in MACHINE_PATHS {
        assert_eq!(places("README.md", &format!("see {place}x")).len(), 1, "{place}");
    }
    assert_eq!(places("README.md", &format!("https://example.org{}x", MACHINE_PATHS[2])).len(), 0);
    for host in REGISTRIES {
        assert_eq!(places("tools/x", &format!("curl https://{host}/")).len(), 1, "{host}");
    }
    assert_eq!(places("Cargo.lock", LOCK_SOURCE).len(), 0);
    assert_eq!(places("Cargo.lock", "source = \"registry+https://mirror.example/index\"").len(), 1);
    assert_eq!(places(".cargo/config.toml", "[source.crates-io]").len(), 1);
}
