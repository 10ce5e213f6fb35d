//! `windhover check`: what will run, or everything that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::app::{prepare, world};
use crate::config::problem::{Place, Problems};
use crate::config::{Config, default_file};
use crate::plan::inventory::Inventory;
use crate::plan::{self, Plan};
use crate::probe::Depth;

use super::{CliError, ConfigArgs, EXIT_CONFIG, complain, say};

/// Say what would run and why, or everything that is wrong, each with its place. Exit 0 or 2.
///
/// Looks at the configuration and at the world: cameras, encoders, ports, clips, storage. Starts nothing.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print Plan and problems as JSON.
    #[arg(long)]
    json: bool,
    /// Take this saved inventory (from `windhover probe --json`) in place of looking at this machine.
    #[arg(long, value_name = "FILE")]
    inventory: Option<PathBuf>,
    /// Print every key that is set, with the file and line, or the variable, that set it last.
    #[arg(long)]
    sources: bool,
    /// Print the commented default configuration and do nothing else.
    #[arg(long)]
    print_defaults: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    plan: &'a Plan,
    problems: &'a Problems,
    /// Problems beyond the first 200.
    not_shown: usize,
    /// The files that were read, lowest layer first.
    files: Vec<&'a Path>,
    /// Every key that is set, and where.
    sources: BTreeMap<&'a str, &'a Place>,
}

pub(super) fn check(args: &CheckArgs) -> Result<ExitCode, CliError> {
    if args.print_defaults {
        say(&default_file::text());
        return Ok(ExitCode::SUCCESS);
    }
    let (config, mut problems) = args.config.load();
    let given = args.inventory.as_deref().map(read_inventory).transpose()?;
    // The saved inventory of another machine says nothing about the ports and disks of this one.
    let here = given.is_none();
    let resolution = prepare::resolve(&config, given, Depth::All)?;
    problems.add_unless_known(resolution.problems);
    if here {
        problems.add_unless_known(world::problems(&config, &resolution.plan));
    }
    if args.json {
        let answer = Answer {
            plan: &resolution.plan,
            problems: &problems,
            not_shown: problems.not_shown(),
            files: config.files.iter().map(|file| file.path.as_path()).collect(),
            sources: config.origins.iter().collect(),
        };
        say(&format!("{}\n", serde_json::to_string_pretty(&answer).expect("a Plan is plain data")));
    } else if problems.is_empty() {
        say(&format!("{}{}", plan::text(&resolution.plan), layers(&config)));
    } else {
        say(&format!("{problems}\n"));
        complain(&format!("{} found", count(problems.len() + problems.not_shown())));
    }
    if args.sources && !args.json {
        say(&sources(&config));
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) })
}

/// What the configuration was made from, lowest layer first.
fn layers(config: &Config) -> String {
    let mut names: Vec<String> = config.files.iter().map(|file| file.path.display().to_string()).collect();
    let variables: BTreeSet<&str> = config.origins.iter().filter_map(|(_, place)| variable(place)).collect();
    if !variables.is_empty() {
        names.push(format!("environment: {}", variables.into_iter().collect::<Vec<_>>().join(", ")));
    }
    let names = if names.is_empty() { "built-in defaults alone".to_owned() } else { names.join("\n              ") };
    format!("config        {names}\n")
}

fn variable(place: &Place) -> Option<&str> {
    match place {
        Place::Variable(name) => Some(name),
        _ => None,
    }
}

/// Each key that is set and its place. Tables are left out: their keys say it.
fn sources(config: &Config) -> String {
    let keys: Vec<(&str, &Place)> = config.origins.iter().collect();
    let leaf = |n: usize| keys.get(n + 1).is_none_or(|(next, _)| !is_below(next, keys[n].0));
    let leaves = || (0..keys.len()).filter(|n| leaf(*n)).map(|n| keys[n]);
    let width = leaves().map(|(key, _)| key.len()).max().unwrap_or(0);
    leaves().map(|(key, place)| format!("{key:width$}  {place}\n")).collect()
}

fn is_below(key: &str, table: &str) -> bool {
    key.strip_prefix(table).is_some_and(|rest| rest.starts_with(['.', '[']))
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".into() } else { format!("{problems} problems") }
}

/// An inventory of a machine with many cameras has some 100 KiB.
const LARGEST_INVENTORY: u64 = 4 << 20;

fn read_inventory(path: &Path) -> Result<Inventory, CliError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(LARGEST_INVENTORY + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST_INVENTORY {
            return Err(io::Error::other("larger than 4 MiB, which no inventory is"));
        }
        Ok(serde_json::from_slice(&bytes)?)
    };
    read().map_err(|source| CliError::Inventory { path: path.to_owned(), source })
}
