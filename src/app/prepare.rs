//! From the layers of the configuration to a Plan that may run; where they are wrong, from the last known good ones.

use std::sync::Arc;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::base::clock::SystemClock;
use crate::base::error::Chain;
use crate::base::file;
use crate::board::Board;
use crate::config::last_good::LastGood;
use crate::config::problem::Problems;
use crate::config::{self, Config, Inputs};
use crate::plan::inventory::Inventory;
use crate::plan::{self, Plan};
use crate::probe::self_test::Command as SelfTestCommand;
use crate::probe::{Depth, Probe, ProbeError};

/// Why it cannot be found out what would run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine could not be looked at.
    #[error("the machine cannot be probed")]
    Probe(#[from] ProbeError),
    /// The path of this program is not known.
    #[error("this program does not find itself for the encoder self-test")]
    Executable(#[source] std::io::Error),
}

/// What a configuration means on this machine.
pub struct Resolved {
    /// The board.
    pub board: Board,
    /// What was found.
    pub inventory: Inventory,
    /// What would run.
    pub plan: Plan,
    /// What is wrong.
    pub problems: Problems,
}

/// A configuration that may run, with its Plan.
pub struct Prepared {
    /// The configuration.
    pub config: Config,
    /// What it means here. Its problems are those of the world: none keeps the daemon from starting.
    pub resolved: Resolved,
    /// Present when it is the last known good one.
    pub fallback: Option<Fallback>,
}

/// Why an earlier configuration runs, and which.
#[derive(Debug, Clone)]
pub struct Fallback {
    /// When it was kept, in seconds since the Unix epoch.
    pub kept_unix: u64,
    /// What is wrong with the one in the files.
    pub problems: Problems,
}

/// Loads and resolves the configuration. With `last_good`, a wrong one is replaced by the last known good one; the
/// problems come back where there is none, and without `last_good`.
pub fn prepare(inputs: &Inputs, last_good: bool) -> Result<Result<Prepared, Problems>, Error> {
    let (config, mut problems) = config::load(inputs);
    if !problems.refuse() {
        let resolved = resolve(&config, None, Depth::UntilOneWorks)?;
        if !resolved.problems.refuse() {
            return Ok(Ok(Prepared { config, resolved, fallback: None }));
        }
        problems.add_unless_known(resolved.problems);
    }
    if !last_good {
        return Ok(Err(problems));
    }
    let kept = LastGood::find(&config.directories.state).unwrap_or_else(|e| {
        tracing::error!("there is no last known good configuration: {}", Chain(&e));
        None
    });
    let Some((kept, config)) = kept.and_then(|kept| kept.config(&inputs.environment).map(|config| (kept, config)))
    else {
        return Ok(Err(problems));
    };
    let resolved = resolve(&config, None, Depth::UntilOneWorks)?;
    if resolved.problems.refuse() {
        return Ok(Err(problems));
    }
    Ok(Ok(Prepared { config, resolved, fallback: Some(Fallback { kept_unix: kept.kept_unix, problems }) }))
}

/// From the configuration to what will run: board, probe, Plan, with everything that is wrong.
pub fn resolve(config: &Config, given: Option<Inventory>, depth: Depth) -> Result<Resolved, Error> {
    let compatible = given.as_ref().map_or_else(crate::probe::compatible, |inventory| inventory.compatible.clone());
    let (board, mut problems) = plan::board(config, &compatible);
    let inventory = match given {
        Some(inventory) => inventory,
        None => Probe {
            profile: &board.profile,
            stack: plan::stack(config, &board),
            compatible,
            state_dir: &config.directories.state,
            command: SelfTestCommand::own().map_err(Error::Executable)?,
            clock: Arc::new(SystemClock),
            depth,
        }
        .inventory()?,
    };
    let resolution = plan::resolve(config, &board, &inventory);
    resolution.problems.into_iter().for_each(|p| problems.push(p));
    Ok(Resolved { board, inventory, plan: resolution.plan, problems })
}

/// The state directory and the user's own data directory may be made whole; of a configured storage only the last
/// directory is made, because a missing parent is most likely a disk that is not mounted.
pub fn make_home(config: &Config) {
    let state = &config.directories.state;
    if let Err(e) = file::private_folder(state) {
        tracing::warn!("{} cannot be made and closed to others: {e}", state.display());
    }
    if config.settings.storage.path.is_some() {
        return;
    }
    if let Some(parent) = config.directories.video.parent()
        && let Err(e) = std::fs::create_dir_all(parent)
    {
        tracing::warn!("{} cannot be made: {e}", parent.display());
    }
}

/// A time for people: `2026-11-20 13:00:00 UTC`.
pub(super) fn date(unix: u64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let time = i64::try_from(unix).ok().and_then(|unix| OffsetDateTime::from_unix_timestamp(unix).ok());
    time.and_then(|time| time.format(format).ok()).unwrap_or_else(|| format!("second {unix} of Unix time"))
}

/// Problems in a fault, at most: the log has them all.
const SHOWN: usize = 5;

/// Problems on one line.
pub(super) fn in_short(problems: &Problems) -> String {
    let shown: Vec<String> = problems.iter().take(SHOWN).map(|p| p.to_string().replace("\n    ", "; ")).collect();
    let more = problems.len() + problems.not_shown() - shown.len();
    let more = if more > 0 { format!(" | and {more} more, see the log") } else { String::new() };
    format!("{}{more}", shown.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::{Place, Problem};

    #[test]
    fn problems_and_dates_in_short() {
        let mut problems = Problems::default();
        for n in 0..7 {
            problems.push(Problem::config(Place::Machine, "k", format!("bad {n}")).advise("do this"));
        }
        let text = in_short(&problems);
        assert!(text.starts_with("this machine: k: bad 0; do this | this machine: k: bad 1"), "{text}");
        assert!(text.ends_with("bad 4; do this | and 2 more, see the log"), "{text}");
        assert_eq!(date(1_795_161_600), "2026-11-20 08:00:00 UTC");
    }
}
