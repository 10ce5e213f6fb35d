//! Measures the daemon from the outside, with real clients. `tools/bench --help` says how to run it.

// Its output is what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod disk;
mod load;
mod loop_disk;
mod soak;
mod table;
mod watching;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use support::soak as crowds;
use support::wait::now;
use table::{Measured, Table};

/// One thing to measure.
struct Row {
    name: &'static str,
    what: &'static str,
    measure: fn(u64) -> Result<Vec<Measured>, String>,
}

const ROWS: &[Row] = &[
    Row { name: "latency", what: "frame creation to decoded picture, UDP and TCP", measure: watching::latency },
    Row { name: "first-packet", what: "encoder output to first RTP packet", measure: watching::first_packet },
    Row { name: "connect", what: "connect to first picture, keyframe every 1 s and 10 s", measure: watching::connect },
    Row { name: "start", what: "exec to DESCRIBE answered, warm and cold", measure: watching::start },
    Row { name: "cpu", what: "capture, encode, record, snapshots and one viewer", measure: load::whole },
    Row { name: "viewers", what: "processor time per further TCP viewer at 50 and 200", measure: load::viewers },
    Row { name: "memory", what: "with 50 viewers; after 1,000 connects, a third abrupt", measure: load::memory },
    Row { name: "one-encode", what: "threads at 1 and 50 viewers, /live?x=1..8", measure: load::one_encode },
    Row { name: "kill", what: "kill -9 at a random moment, 30 times", measure: disk::kill },
    Row { name: "stuck", what: "a stuck TCP viewer and a disk blocked for 20 s", measure: disk::stuck },
];

/// What the command line asks for.
struct Wish {
    words: Vec<String>,
    repeat: u64,
    seed: u64,
    /// Where the result goes for a machine to read; "-" is the standard output.
    json: Option<PathBuf>,
    /// The faults of a soak; empty for all.
    only: Vec<String>,
}

fn wish() -> Result<Wish, String> {
    let mut wish = Wish { words: Vec::new(), repeat: 5, seed: 1, json: None, only: Vec::new() };
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
    let mut table = Table::default();
    for row in ROWS.iter().filter(|row| wish.words.is_empty() || wish.words.iter().any(|word| word == row.name)) {
        // Thirty kills are a sample already.
        let repeat = if row.name == "kill" { 1 } else { wish.repeat };
        for run in 0..repeat {
            let begun = now();
            match (row.measure)(wish.seed.wrapping_add(run)) {
                Ok(measured) => table.add(measured),
                Err(e) => table.skip(row.name, &e),
            }
            eprintln!("{} {}/{repeat}: {:.0} s", row.name, run + 1, (now() - begun).as_secs_f64());
        }
    }
    println!("{}", table.text(wish.repeat));
    keep_json(wish.json.as_deref(), &table.json())?;
    Ok(!table.has_skips())
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
