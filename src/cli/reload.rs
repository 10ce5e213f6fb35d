//! `windhover reload`: has the running daemon read its configuration again.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::EXIT_CONFIG;
use super::socket::{DaemonArgs, Error, not_running, print};

/// The daemon itself takes no longer: a camera may need seconds to close.
const LIMIT: Duration = Duration::from_secs(65);

/// Have the running daemon read its configuration again; says what has changed, or everything that is wrong.
///
/// Only what is different is touched: a bit rate changes while viewers watch, a stream comes or goes without the others
/// noticing. Where anything is wrong, nothing changes. To be run as root or as the daemon's own user. Exit codes: 0 done,
/// 1 it could not be done, 2 the configuration is wrong, 3 no daemon answers.
#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Print JSON, as POST /api/v1/reload does.
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Deserialize)]
struct Reloaded {
    changes: Vec<Change>,
}

#[derive(Debug, Deserialize)]
struct Change {
    part: String,
    what: String,
    old: String,
    new: String,
    effect: String,
}

/// Why nothing came of it.
#[derive(Debug, Deserialize)]
struct Refusal {
    detail: String,
    #[serde(default)]
    problems: Vec<String>,
}

pub(super) fn reload(args: &ReloadArgs) -> Result<ExitCode, Error> {
    let Some(answer) = args.daemon.ask(Method::POST, "/api/v1/reload", LIMIT)? else {
        return not_running(&args.daemon);
    };
    let (text, code) = told(answer.status, &answer.body)?;
    if args.json {
        print(&mut io::stdout().lock(), &format!("{}\n", String::from_utf8_lossy(&answer.body).trim_end()))?;
    } else if code == 0 {
        print(&mut io::stdout().lock(), &text)?;
    } else {
        print(&mut io::stderr().lock(), &text)?;
    }
    Ok(ExitCode::from(code))
}

/// What to say to the person, and the exit code.
fn told(status: StatusCode, body: &[u8]) -> Result<(String, u8), Error> {
    if status == StatusCode::OK {
        let reloaded: Reloaded = serde_json::from_slice(body).map_err(Error::NotAReport)?;
        let line = |c: &Change| format!("{}: {}: {} -> {} ({})\n", c.part, c.what, c.old, c.new, c.effect);
        let lines: String = reloaded.changes.iter().map(line).collect();
        return Ok((if lines.is_empty() { "nothing is different\n".into() } else { lines }, 0));
    }
    let refusal: Refusal = serde_json::from_slice(body).map_err(|_| Error::Refused { status })?;
    let lines: String = refusal.problems.iter().map(|problem| format!("{problem}\n")).collect();
    let code = if status == StatusCode::BAD_REQUEST { EXIT_CONFIG } else { 1 };
    Ok((format!("{lines}windhover: {}\n", refusal.detail), code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said() {
        let change = "{\"part\":\"live/encode\",\"what\":\"bit rate\",\"old\":\"2 Mbit/s\",\"new\":\"1 Mbit/s\",\"effect\":\"e\"}";
        let table = [
            (200, "{\"changes\":[]}".to_owned(), "nothing is different\n", 0),
            (200, format!("{{\"changes\":[{change}]}}"), "live/encode: bit rate: 2 Mbit/s -> 1 Mbit/s (e)\n", 0),
            (
                400,
                "{\"detail\":\"1 problem\",\"problems\":[\"w.toml:1:1: no\"]}".into(),
                "w.toml:1:1: no\nwindhover: 1 problem\n",
                2,
            ),
            (403, "{\"detail\":\"only root\"}".into(), "windhover: only root\n", 1),
        ];
        for (status, body, text, code) in table {
            let found = told(StatusCode::from_u16(status).unwrap(), body.as_bytes()).unwrap();
            assert_eq!(found, (text.to_owned(), code), "{body}");
        }
        assert!(matches!(told(StatusCode::OK, b"{}"), Err(Error::NotAReport(_))));
        assert!(matches!(told(StatusCode::BAD_GATEWAY, b"<html>"), Err(Error::Refused { .. })));
    }
}
