//! Walls: a few things may be done in a few rooms only.

use super::lexer::{code_of, line_of, words};
use super::{assert_clean, floors, tree};

/// Rooms that may name the GStreamer crates. The others see access units, pictures and plans.
const GSTREAMER: &[&str] = &["source", "encode", "infer", "hub", "pipeline", "sink", "probe", "gst"];

/// Ways to start a thread or task, and the only file that may.
const SPAWNS: &[&str] =
    &["thread::spawn", "thread::Builder", "tokio::spawn", "tokio::task::spawn", "task::spawn_blocking", "JoinSet"];
const SPAWNER: &str = "src/base/task.rs";

/// Ways to print, and the only room that may. Everybody else logs.
const PRINTS: &[&str] = &["println!", "print!", "eprintln!", "eprint!"];
const PRINTERS: &[&str] = &["src/main.rs", "src/cli.rs", "src/cli/"];

fn breaches(path: &str, source: &str) -> Vec<String> {
    let code = code_of(source);
    let mut found = Vec::new();
    let mut say = |at: usize, what: &str| found.push(format!("{path}:{}: {what}", line_of(&code, at)));
    if floors::room_of(path).is_some_and(|room| !GSTREAMER.contains(&room)) {
        gstreamer_crates(&code).into_iter().for_each(|at| say(at, "names a GStreamer crate; use the room `gst`"));
    }
    if path != SPAWNER {
        let spawns = SPAWNS.iter().flat_map(|word| words(&code, word));
        spawns.for_each(|at| say(at, "starts a thread or task; use base::task"));
    }
    if !PRINTERS.iter().any(|printer| path.starts_with(printer)) {
        PRINTS.iter().flat_map(|word| words(&code, word)).for_each(|at| say(at, "prints; only cli prints, others log"));
    }
    found
}

/// Where paths begin with a crate named `gst` or `gst_*`. The room of the same name is reached as `crate::gst`; where a
/// file imports the room itself, `gst::` means the room.
fn gstreamer_crates(code: &str) -> Vec<usize> {
    let room_imported = words(code, "crate").into_iter().any(|at| {
        let path: String = code[at..].chars().take_while(|&c| c != ';').filter(|c| !c.is_whitespace()).collect();
        let path = path.trim_start_matches("crate::");
        path == "gst"
            || path.starts_with("gst::{self")
            || path.starts_with('{')
                && path.trim_matches(['{', '}']).split(',').any(|x| x == "gst" || x == "gst::{self")
    });
    let mut found = Vec::new();
    for (at, _) in code.match_indices("gst") {
        let before = code[..at].trim_end();
        let inside = before.ends_with("::") || code[..at].ends_with(super::lexer::is_word) || in_crate_group(before);
        let name: String = code[at..].chars().take_while(|&c| super::lexer::is_word(c)).collect();
        let rest = code[at + name.len()..].trim_start();
        let used = rest.starts_with("::") || before.ends_with("use") || before.ends_with("extern crate");
        let bare = name == "gst" && !room_imported;
        if used && !inside && (bare || name.starts_with("gst_")) {
            found.push(at);
        }
    }
    found
}

/// True if the text ends inside an open `crate::{`.
fn in_crate_group(before: &str) -> bool {
    let open = before.rfind("crate::{").map(|at| &before[at..]);
    open.is_some_and(|group| !group.contains(';') && group.matches('{').count() > group.matches('}').count())
}

#[test]
fn rooms_keep_to_their_walls() {
    let sources = tree::texts("src", ".rs");
    let found: Vec<String> = sources.iter().flat_map(|(path, source)| breaches(path, source)).collect();
    assert_clean("Only some rooms name GStreamer, only base::task spawns, only cli prints", &found);
}

#[test]
fn planted_faults_are_seen() {
    let sees = |path: &str, source: &str| breaches(path, source).len();
    assert_eq!(sees("src/sink/rtsp.rs", "use gst_rtsp_server::prelude::*; fn f(x: &gst::Caps) {}"), 0);
    assert_eq!(sees("src/storage/mod.rs", "use gst::prelude::*;"), 1);
    assert_eq!(sees("src/storage/mod.rs", "fn f(x: &gst_app::AppSink) -> ::gst::Caps {}"), 1);
    assert_eq!(sees("src/app/mod.rs", "use crate::gst::init; use crate::{base::x, gst::bus};"), 0);
    assert_eq!(sees("src/app/mod.rs", "use crate::gst; fn f() { gst::init() }"), 0, "the room");
    assert_eq!(sees("src/app/mod.rs", "fn f() { gst::init() }"), 1, "the crate");
    assert_eq!(sees("src/hub/mod.rs", "fn f() { std::thread::spawn(|| ()); thread::Builder::new(); }"), 2);
    assert_eq!(sees("src/http/mod.rs", "tokio::spawn(x); // tokio::spawn"), 1);
    assert_eq!(sees("src/base/task.rs", "std::thread::Builder::new(); tokio::spawn(x)"), 0);
    assert_eq!(sees("src/hub/mod.rs", "println!(\"x\"); let s = \"println!\"; eprint!(\"y\")"), 2);
    assert_eq!(sees("src/cli/check.rs", "println!(\"x\")"), 0);
}
