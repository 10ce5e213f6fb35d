//! `windhover check`: what will run, or everything that is wrong.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::config::default_file;
use crate::config::problem::Problems;
use crate::plan::inventory::Inventory;
use crate::plan::{self, Plan};
use crate::probe::Depth;

use super::{CliError, ConfigArgs, EXIT_CONFIG, complain, resolve, say, world};

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
    let resolution = resolve(&config, given, Depth::All)?;
    problems.add_unless_known(resolution.problems);
    if here {
        problems.add_unless_known(world::problems(&config, &resolution.plan));
    }
    if args.json {
        let answer = Answer { plan: &resolution.plan, problems: &problems, not_shown: problems.not_shown() };
        say(&format!("{}\n", serde_json::to_string_pretty(&answer).expect("a Plan is plain data")));
    } else if problems.is_empty() {
        say(&plan::text(&resolution.plan));
    } else {
        say(&format!("{problems}\n"));
        complain(&format!("{} found", count(problems.len() + problems.not_shown())));
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) })
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
