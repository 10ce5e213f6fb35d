//! The floors: a room uses only rooms on lower floors. rustc orders crates, not modules, so this test does it.

use super::lexer::{code_of, is_word, line_of, words};
use super::{assert_clean, tree};

/// The house, lowest floor first. A folder of `src/` that is not here fails: put it on its floor, on purpose.
const FLOORS: &[&[&str]] = &[
    &["base"],
    &["media"],
    &["config", "board", "event", "auth"],
    &["plan", "gst"],
    &["probe", "source", "encode", "hub", "infer", "storage"],
    &["pipeline", "sink", "supervise"],
    &["control"],
    &["http", "diag"],
    &["app"],
    &["cli"],
];

/// Folders and files of `src/` that are no rooms.
const NOT_ROOMS: &[&str] = &["docs", "lib.rs", "main.rs"];

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The room a file of `src/` lies in, or `None` for the files at its top.
pub(crate) fn room_of(path: &str) -> Option<&str> {
    let first = path.strip_prefix("src/")?.split('/').next()?;
    (!NOT_ROOMS.contains(&first)).then(|| first.strip_suffix(".rs").unwrap_or(first))
}

/// What is wrong with the way one file of `src/` uses rooms.
fn breaches(path: &str, source: &str) -> Vec<String> {
    let code = code_of(source);
    let mut found: Vec<String> = code
        .match_indices("super::super")
        .map(|(at, _)| format!("{path}:{}: say `crate::room`, not `super::super`", line_of(&code, at)))
        .collect();
    let Some(room) = room_of(path) else { return found };
    let Some(own) = floor(room) else {
        found.push(format!("{path}: room `{room}` stands on no floor: add it to tests/tidy/floors.rs"));
        return found;
    };
    for (at, used) in rooms_used(path, &code) {
        let line = line_of(&code, at);
        match floor(&used) {
            None => found.push(format!("{path}:{line}: `crate::{used}` is no room of the table")),
            Some(theirs) if used != room && theirs >= own => {
                found.push(format!("{path}:{line}: `{room}` on floor {own} uses `{used}` on floor {theirs}"));
            }
            Some(_) => {}
        }
    }
    found
}

/// The rooms that code names, with the position: `crate::room`, each branch of `crate::{..}`, and `super::room` where
/// `super` is the crate itself.
fn rooms_used(path: &str, code: &str) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for at in words(code, "crate") {
        let Some(rest) = code[at + 5..].trim_start().strip_prefix("::") else { continue };
        let branches = heads(rest.trim_start());
        used.extend(branches.into_iter().map(|head| (at, head)));
    }
    let top = path.ends_with("/mod.rs") && path.matches('/').count() == 2 || path.matches('/').count() == 1;
    for at in words(code, "super").into_iter().filter(|_| top) {
        let Some(rest) = code[at + 5..].trim_start().strip_prefix("::") else { continue };
        let branches = heads(rest.trim_start()).into_iter().filter(|head| floor(head).is_some());
        used.extend(branches.map(|head| (at, head)));
    }
    used
}

/// The first names of a path or of every branch of a group: `{a::{X, Y}, b}` gives `a` and `b`.
pub(crate) fn heads(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        let head: String = path.chars().take_while(|&c| is_word(c)).collect();
        return if head.is_empty() || head == "self" { Vec::new() } else { vec![head] };
    };
    let (mut depth, mut start, mut found) = (0usize, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.extend(heads(group[start..at].trim_start()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

#[test]
fn every_room_uses_lower_floors_only() {
    let sources = tree::texts("src", ".rs");
    assert!(!sources.is_empty());
    let found: Vec<String> = sources.iter().flat_map(|(path, source)| breaches(path, source)).collect();
    assert_clean("A room uses only rooms on lower floors", &found);
}

#[test]
fn planted_faults_are_seen() {
    let sees = |path: &str, source: &str| breaches(path, source).len();
    assert_eq!(sees("src/hub/mod.rs", "use crate::{base::{clock::Clock, id}, media::nal};"), 0);
    assert_eq!(sees("src/hub/mod.rs", "use crate::hub::reader;\n// use crate::sink::x\n/* crate::app */"), 0);
    assert_eq!(sees("src/hub/mod.rs", "use crate::sink::rtsp;"), 1, "above");
    assert_eq!(sees("src/hub/mod.rs", "use crate::source::test;"), 1, "a neighbour");
    assert_eq!(sees("src/hub/mod.rs", "use crate::{base::x, sink::{self, y}, source};"), 2, "in a group");
    assert_eq!(sees("src/hub/mod.rs", "use crate::\n    {\n  base,\n  app\n};"), 1, "on other lines");
    assert_eq!(sees("src/hub/mod.rs", "fn f() { crate::app::run(); $crate::cli::x!() }"), 2, "in a body");
    assert_eq!(sees("src/hub/mod.rs", "use super::app;"), 1, "by super");
    assert_eq!(sees("src/hub/reader.rs", "use super::picture;"), 0);
    assert_eq!(sees("src/hub/reader.rs", "use super::super::base;"), 1, "super::super");
    assert_eq!(sees("src/attic/mod.rs", ""), 1, "an unknown room");
    assert_eq!(sees("src/attic.rs", ""), 1, "an unknown room of one file");
    assert_eq!(sees("src/hub/mod.rs", "use crate::attic::x;"), 1, "use of an unknown room");
    assert_eq!(sees("src/main.rs", "use windhover::cli;"), 0);
}
