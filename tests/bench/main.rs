//! Measures the daemon from the outside, with real clients. `tools/bench --help` says how to run it.

// Its output is what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod disk;
mod example;
mod load;
mod loop_disk;
mod machine;
mod soak;
mod subject;
mod table;
mod watching;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use machine::Machine;
use subject::Subject;
use support::soak as crowds;
use support::wait::now;
use table::{Found, Table};

/// One thing to measure.
struct Row {
    name: &'static str,
    what: &'static str,
    measure: Measure,
}

/// Of whom.
#[derive(Clone, Copy)]
enum Measure {
    /// Of this daemon only.
    Ours(fn(u64) -> Result<Found, String>),
    /// Of everybody who is here, one after the other.
    Each(fn(&Subject, u64, &mut Found) -> Result<(), String>),
}

use Measure::{Each, Ours};

const ROWS: &[Row] = &[
    Row { name: "latency", what: "frame creation to decoded picture, UDP and TCP", measure: Each(watching::latency) },
    Row { name: "first-packet", what: "encoder output to first RTP packet", measure: Ours(watching::first_packet) },
    Row {
        name: "connect",
        what: "connect to first picture, keyframe every 1 s and 10 s",
        measure: Each(watching::connect),
    },
    Row { name: "start", what: "exec to DESCRIBE answered and to a picture", measure: Each(watching::start) },
    Row { name: "cpu", what: "capture, encode, record, snapshots and one viewer", measure: Ours(load::whole) },
    Row {
        name: "viewers",
        what: "processor and memory per TCP viewer at 10, 50 and 200",
        measure: Each(load::viewers),
    },
    Row { name: "memory", what: "with 50 viewers; after 1,000 connects, a third abrupt", measure: Ours(load::memory) },
    Row { name: "one-encode", what: "threads at 1 and 50 viewers, /live?x=1..8", measure: Ours(load::one_encode) },
    Row { name: "kill", what: "kill -9 at a random moment, 30 times", measure: Ours(disk::kill) },
    Row { name: "formats", what: "kill -9, 10 times each as mp4, ts and mkv", measure: Ours(disk::formats) },
    Row { name: "power-cut", what: "what was not flushed is gone, 10 times; as root", measure: Ours(disk::power_cut) },
    Row { name: "stuck", what: "a stuck TCP viewer and a disk blocked for 20 s; as root", measure: Ours(disk::stuck) },
];

/// What the command line asks for.
#[derive(Default)]
struct Wish {
    words: Vec<String>,
    repeat: u64,
    seed: u64,
    /// Where the result goes for a machine to read; "-" is the standard output.
    json: Option<PathBuf>,
    /// The table as README has it.
    markdown: bool,
    /// Peers that are not on the PATH.
    peers: Vec<(String, PathBuf)>,
    /// The faults of a soak; empty for all.
    only: Vec<String>,
}

fn wish() -> Result<Wish, String> {
    let mut wish = Wish { repeat: 5, seed: 1, ..Wish::default() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut text = || arguments.next().ok_or(format!("{argument} wants a value"));
        let mut number = || {
            let text = text()?;
            text.parse::<u64>().map_err(|_| format!("{argument} wants a number, not {text:?}"))
        };
        match argument.as_str() {
            // cargo tells every bench that it is one.
            "--bench" => {}
            "--json" => wish.json = Some(text()?.into()),
            "--markdown" => wish.markdown = true,
            "--peer" => {
                let text = text()?;
                let (name, path) = text.split_once('=').ok_or(format!("--peer wants name=path, not {text:?}"))?;
                wish.peers.push((name.to_owned(), path.into()));
            }
            "--only" => wish.only = text()?.split(',').map(str::to_owned).collect(),
            "--repeat" => wish.repeat = number()?.clamp(1, 100),
            "--seed" => wish.seed = number()?,
            word if word.starts_with('-') => return Err(format!("unknown option {word}")),
            word => wish.words.push(word.to_owned()),
        }
    }
    Ok(wish)
}

fn main() -> ExitCode {
    let done = wish().and_then(|wish| match wish.words.first().map(String::as_str) {
        Some("list") => {
            ROWS.iter().for_each(|row| println!("{:14}{}", row.name, row.what));
            println!("{:14}the whole daemon for 120 minutes under faults; not part of the table", "soak");
            println!("{:14}50 viewers leave while 50 join; not part of the table", "soak rtsp");
            Ok(true)
        }
        // The bench as its own peer: see `example`.
        Some(example::WORD) => match &wish.words[1..] {
            [port, frames] => example::serve(port, frames).map(|()| true),
            _ => Err("a port and the frames between keyframes".into()),
        },
        Some("soak") if wish.words.get(1).is_some_and(|word| word == "rtsp") => soak_rtsp(&wish),
        Some("soak") => soak_all(&wish),
        _ => measure(&wish),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::from(2)
        }
    }
}

/// Measures the rows asked for, or all. True if nothing failed; a number that is not reached is no failure.
fn measure(wish: &Wish) -> Result<bool, String> {
    let known = |word: &String| ROWS.iter().any(|row| row.name == word);
    if let Some(word) = wish.words.iter().find(|word| !known(word)) {
        return Err(format!("nothing called {word:?} can be measured; see `tools/bench list`"));
    }
    gst::init().map_err(|e| e.to_string())?;
    let (subjects, absent) = subject::all(&wish.peers)?;
    absent.iter().for_each(|line| eprintln!("{line}"));
    let machine = Machine::look(&subjects[0].version);
    let mut table = Table::default();
    for row in ROWS.iter().filter(|row| wish.words.is_empty() || wish.words.iter().any(|word| word == row.name)) {
        // Thirty kills are a sample already, and so are ten cuts.
        let repeat = if ["kill", "power-cut"].contains(&row.name) { 1 } else { wish.repeat };
        for run in 0..repeat {
            measure_once(row, &subjects, wish.seed.wrapping_add(run), &mut table);
        }
    }
    let peers = subjects.get(1..).unwrap_or_default();
    println!("{}medians of {}\n", machine.text(), wish.repeat);
    println!("{}", if wish.markdown { table.markdown(peers) } else { table.text(peers) });
    peers.iter().for_each(|peer| println!("{} ({}): {}", peer.name, peer.version, peer.note));
    table.skips().iter().chain(&absent).for_each(|line| println!("{line}"));
    keep_json(wish.json.as_deref(), &table.json(&machine, peers, &absent, wish.repeat).to_string())?;
    Ok(!table.failed())
}

/// One run of one row: everybody in turn, so that all meet the same machine.
fn measure_once(row: &Row, subjects: &[Subject], seed: u64, table: &mut Table) {
    for subject in subjects {
        let begun = now();
        let mut found = Found::new();
        let done = match row.measure {
            Ours(measure) if subject.name == subject::OURS => measure(seed).map(|measured| found = measured),
            Ours(_) => continue,
            Each(measure) => measure(subject, seed, &mut found),
        };
        table.add(subject.name, found);
        if let Err(e) = done {
            table.skip(row.name, subject.name, &e);
        }
        eprintln!("{} of {}: {:.0} s", row.name, subject.name, (now() - begun).as_secs_f64());
    }
}

/// Writes what a machine reads to where it is wanted, if it is.
fn keep_json(path: Option<&Path>, json: &str) -> Result<(), String> {
    match path {
        None => Ok(()),
        Some(path) if path == Path::new("-") => {
            println!("{json}");
            Ok(())
        }
        Some(path) => std::fs::write(path, json).map_err(|e| format!("{}: {e}", path.display())),
    }
}

/// Two hours by default. True if no limit was broken.
fn soak_all(wish: &Wish) -> Result<bool, String> {
    let minutes = match wish.words.get(1..).unwrap_or_default() {
        [] => 120,
        [minutes] => {
            minutes.parse::<u64>().map_err(|_| format!("{minutes:?} is no number of minutes"))?.clamp(1, 10_000)
        }
        _ => return Err("soak what? `soak [minutes]` or `soak rtsp [rounds]`".into()),
    };
    let folder = match wish.json.as_deref().and_then(Path::parent) {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("soak-{}", std::process::id())),
    };
    let json = wish.json.clone().unwrap_or_else(|| folder.join("soak.json"));
    let verdict = soak::run(&soak::Wish { minutes, seed: wish.seed, only: wish.only.clone(), folder })?;
    println!("{}", verdict.text());
    keep_json(Some(&json), &verdict.json().to_string())?;
    println!("{}", json.display());
    Ok(verdict.breaches.is_empty())
}

/// 1,000 rounds by default. True if every joiner got a picture and the server stayed the same process.
fn soak_rtsp(wish: &Wish) -> Result<bool, String> {
    let rounds = match wish.words.get(1..).unwrap_or_default() {
        [what] if what == "rtsp" => 1000,
        [what, rounds] if what == "rtsp" => rounds.parse().map_err(|_| format!("{rounds:?} is no number of rounds"))?,
        _ => return Err("soak what? `soak rtsp [rounds]`".into()),
    };
    let begun = now();
    let outcome = crowds::run(rounds, wish.seed, |outcome| {
        if outcome.rounds % 20 == 0 {
            eprintln!("{} rounds, {} joined, {} restarts", outcome.rounds, outcome.joined, outcome.restarts);
        }
    });
    match outcome {
        Ok(outcome) => {
            let [p50, p99] = [50.0, 99.0].map(|p| table::percentile(&outcome.first_pictures_ms, p));
            let took = (now() - begun).as_secs_f64();
            println!(
                "{} rounds in {took:.0} s: {} joined, {} restarts of the source, connect to first picture p50 {p50:.0} ms, p99 {p99:.0} ms, worst {:.0} ms",
                outcome.rounds,
                outcome.joined,
                outcome.restarts,
                table::percentile(&outcome.first_pictures_ms, 100.0)
            );
            Ok(true)
        }
        Err(e) => {
            println!("soak rtsp FAILED: {e}");
            Ok(false)
        }
    }
}
