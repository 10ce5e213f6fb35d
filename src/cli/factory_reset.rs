//! `windhover factory-reset`: has the next start of the board forget what was set on it.

use std::io::{BufRead, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{CliError, complain, say};
use crate::base::file;

/// Left in the state directory; `systemd/libexec/factory-reset` follows it before anything else starts.
const ORDER: &str = "factory-reset";
/// What must be typed.
const WORDS: &str = "factory reset";

/// Forget what was set on this board: configuration (config.d), users and keys, network.
///
/// Done at the next start, before anything else. Recordings stay, unless --recordings is given. What the image or an
/// administrator put into /usr and /etc stays, too. The words "factory reset" must be typed, or given with --confirm.
///
/// Without a console: an empty file windhover-factory-reset on the boot partition does the same, without --recordings.
#[derive(Debug, Args)]
pub(super) struct FactoryResetArgs {
    /// Remove the recordings, too.
    #[arg(long)]
    recordings: bool,
    /// The words, for where nobody can type them.
    #[arg(long, value_name = "WORDS")]
    confirm: Option<String>,
    /// The daemon's state directory.
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/lib/windhover")]
    state: PathBuf,
}

pub(super) fn factory_reset(args: &FactoryResetArgs) -> Result<ExitCode, CliError> {
    let state = &args.state;
    if !state.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(CliError::System { doing: format!("looking for the state directory {}", state.display()), source });
    }
    let recordings =
        if args.recordings { "AND ALL RECORDINGS on the disk that is plugged in" } else { "recordings stay" };
    say(&format!(
        "The next start forgets what was set on this board, below {}: configuration, users and keys, network; \
         {recordings}.\n",
        state.display()
    ));
    if !is_confirmed(args.confirm.as_deref(), std::io::stdin().is_terminal(), &mut std::io::stdin().lock()) {
        complain(&format!("nothing is changed: \"{WORDS}\" was not typed (or given with --confirm)"));
        return Ok(ExitCode::FAILURE);
    }
    let order = state.join(ORDER);
    let text = if args.recordings { "recordings\n" } else { "state\n" };
    file::replace(&order, text.as_bytes())
        .map_err(|source| CliError::System { doing: format!("writing {}", order.display()), source })?;
    say(&format!("It is done at the next start: systemctl reboot. To take it back: rm {}\n", order.display()));
    Ok(ExitCode::SUCCESS)
}

/// A pipe is nobody who types.
fn is_confirmed(given: Option<&str>, terminal: bool, typed: &mut impl BufRead) -> bool {
    if let Some(given) = given {
        return given == WORDS;
    }
    if !terminal {
        return false;
    }
    say(&format!("Type \"{WORDS}\" to go on: "));
    let mut line = String::new();
    let read = typed.take(100).read_line(&mut line);
    read.is_ok() && line.trim() == WORDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reset(state: PathBuf, confirm: &str) -> Result<bool, CliError> {
        let args = FactoryResetArgs { recordings: true, confirm: Some(confirm.into()), state };
        factory_reset(&args).map(|code| format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS))
    }

    #[test]
    fn only_the_words_confirm() {
        for (given, terminal, typed, want) in [
            (None, true, "factory reset\n", true),
            (None, true, "yes\n", false),
            (None, true, "", false),
            (None, false, "factory reset\n", false),
            (Some("factory reset"), false, "", true),
            (Some("Factory Reset"), true, "factory reset\n", false),
        ] {
            assert_eq!(is_confirmed(given, terminal, &mut typed.as_bytes()), want, "{given:?} {terminal} {typed:?}");
        }
    }

    #[test]
    fn an_order_is_left_or_nothing() {
        let state = tempfile::tempdir().unwrap();
        let order = state.path().join(ORDER);
        assert!(!reset(state.path().into(), "no").unwrap() && !order.exists());
        assert!(reset(state.path().into(), WORDS).unwrap());
        assert_eq!(std::fs::read_to_string(order).unwrap(), "recordings\n");
        assert!(reset(state.path().join("absent"), WORDS).is_err());
    }
}
