//! `windhover update`: installs an update bundle, and says how the last one ended.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{Args, Subcommand};
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::socket::{DaemonArgs, Error, not_running};
use super::{CliError, complain, say};
use crate::base::file;

/// The daemon answers from memory, in milliseconds.
const LIMIT: Duration = Duration::from_secs(3);
/// Notes of one line each.
const LARGEST: u64 = 4096;

/// Install an update into the other slot, or say how the last one ended.
///
/// RAUC verifies the bundle and writes it beside the running system; the next start tries it. It is kept only if video flows
/// then: a camera that is absent counts as flowing only if it was absent before the update. Otherwise the board goes back by
/// itself. Refused while something is recorded. To be run as root. Exit codes: 0 installed, 1 not, 3 no daemon answers.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct UpdateArgs {
    #[command(subcommand)]
    what: Option<What>,
    /// The bundle (*.raucb), or a URL that RAUC can read.
    #[arg(required = true)]
    bundle: Option<PathBuf>,
    /// Also while something is recorded. Recording goes on until the restart.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    daemon: DaemonArgs,
    /// The program that installs.
    #[arg(long, value_name = "PROGRAM", default_value = "rauc", hide = true)]
    rauc: PathBuf,
}

#[derive(Debug, Subcommand)]
enum What {
    Status(StatusArgs),
}

/// Say whether an update is on trial, how the last one ended, and what RAUC says of the slots.
#[derive(Debug, Args)]
struct StatusArgs {
    /// Where the notes of updates are.
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/lib/windhover/update")]
    state: PathBuf,
    /// The program that is asked for the slots.
    #[arg(long, value_name = "PROGRAM", default_value = "rauc", hide = true)]
    rauc: PathBuf,
}

/// The part of the daemon's report that says what is recorded.
#[derive(Debug, Deserialize)]
struct Report {
    branches: Vec<Branch>,
}

#[derive(Debug, Deserialize)]
struct Branch {
    name: String,
    condition: String,
}

pub(super) fn update(args: &UpdateArgs) -> Result<ExitCode, CliError> {
    match (&args.what, &args.bundle) {
        (Some(What::Status(args)), _) => status(args),
        (None, Some(bundle)) => install(args, bundle),
        (None, None) => unreachable!("clap wants one of the two"),
    }
}

fn install(args: &UpdateArgs, bundle: &Path) -> Result<ExitCode, CliError> {
    let url = bundle.to_str().is_some_and(|text| text.contains("://"));
    if !url && !bundle.is_file() {
        let source = io::Error::new(io::ErrorKind::NotFound, "there is no such file");
        return Err(CliError::System { doing: format!("reading the bundle {}", bundle.display()), source });
    }
    let Some(answer) = args.daemon.ask(Method::GET, "/api/v1/health", LIMIT)? else {
        // What works now would not be known, and so not whether the update keeps it.
        return Ok(not_running(&args.daemon)?);
    };
    if answer.status != StatusCode::OK {
        return Err(Error::Refused { status: answer.status }.into());
    }
    let report: Report = serde_json::from_slice(&answer.body).map_err(Error::NotAReport)?;
    let recorded = recorded(&report);
    if !recorded.is_empty() && !args.force {
        complain(&format!(
            "nothing is installed while {} is recorded: stop that, or say --force; recording goes on until the restart then",
            recorded.join(", ")
        ));
        return Ok(ExitCode::FAILURE);
    }
    // Its progress is for whoever waits here.
    let status = Command::new(&args.rauc).arg("install").arg(bundle).status().map_err(|e| no_rauc(&args.rauc, e))?;
    if !status.success() {
        complain(&format!("rauc ended with {status}: nothing has changed for the next start"));
        return Ok(ExitCode::FAILURE);
    }
    say("the update is in the other slot: \"systemctl reboot\" tries it, and it is kept if video flows then\n");
    Ok(ExitCode::SUCCESS)
}

fn no_rauc(program: &Path, source: io::Error) -> CliError {
    let doing = match source.kind() {
        io::ErrorKind::NotFound => format!(
            "looking for {}: this system is not updated by bundles (an image with two slots has RAUC); running it",
            program.display()
        ),
        _ => format!("running {}", program.display()),
    };
    CliError::System { doing, source }
}

/// The streams whose recorder writes now.
fn recorded(report: &Report) -> Vec<String> {
    let recorder = |branch: &Branch| {
        let stream = branch.name.strip_suffix("/record")?;
        (branch.condition == "running").then(|| format!("stream {stream}"))
    };
    report.branches.iter().filter_map(recorder).collect()
}

fn status(args: &StatusArgs) -> Result<ExitCode, CliError> {
    say(&notes(&args.state)?);
    match Command::new(&args.rauc).arg("status").status() {
        Ok(status) if status.success() => Ok(ExitCode::SUCCESS),
        Ok(status) => {
            complain(&format!("rauc status ended with {status}"));
            Ok(ExitCode::FAILURE)
        }
        Err(e) => Err(no_rauc(&args.rauc, e)),
    }
}

/// What `systemd/libexec/before-update` and `after-update` wrote down.
fn notes(state: &Path) -> Result<String, CliError> {
    let note = |name: &str| {
        let path = state.join(name);
        match file::read(&path, LARGEST) {
            Ok(bytes) => {
                let line = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().trim().to_owned();
                Ok((!line.is_empty()).then_some(line))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CliError::System { doing: format!("reading {}", path.display()), source }),
        }
    };
    let mut out = match note("from")? {
        Some(from) => format!("an update is on trial, or waits for the restart; before it {from} ran\n"),
        None => "no update is on trial\n".into(),
    };
    if let Some(last) = note("last")? {
        out.push_str(&format!("the last one: {last}\n"));
    }
    Ok(out.chars().filter(|c| !c.is_control() || *c == '\n').collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::base::error::Chain;
    use crate::base::health::Condition;
    use crate::http::tests::house::House;

    struct Bench {
        folder: tempfile::TempDir,
        house: House,
    }

    impl Bench {
        /// RAUC is a stand-in, constructed from its manual page; what it is called with is in the file `calls`.
        fn new(rauc: &str) -> Self {
            let bench = Self { folder: tempfile::tempdir().unwrap(), house: House::open() };
            let (program, calls) = (bench.folder.path().join("rauc"), bench.folder.path().join("calls"));
            std::fs::write(&program, format!("#!/bin/sh\necho \"$@\" >>{}\n{rauc}\n", calls.display())).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            std::fs::write(bench.folder.path().join("good.raucb"), "").unwrap();
            bench
        }

        fn update(&self, bundle: &str, force: bool) -> Result<ExitCode, CliError> {
            update(&UpdateArgs {
                what: None,
                bundle: Some(self.folder.path().join(bundle)),
                force,
                daemon: DaemonArgs::at(&self.house.socket()),
                rauc: self.folder.path().join("rauc"),
            })
        }

        fn calls(&self) -> String {
            let path = self.folder.path().join("calls");
            let calls = std::fs::read_to_string(&path).unwrap_or_default();
            let _ = std::fs::remove_file(path);
            calls.replace(&self.folder.path().display().to_string(), "")
        }
    }

    fn is(code: &ExitCode, number: u8) -> bool {
        format!("{code:?}") == format!("{:?}", ExitCode::from(number))
    }

    #[test]
    fn nothing_is_installed_while_something_is_recorded() {
        let bench = Bench::new("");
        assert!(is(&bench.update("good.raucb", false).unwrap(), 0));
        assert_eq!(bench.calls(), "install /good.raucb\n");
        bench.house.bench.health.reporter("live/record").set(Condition::Running, "");
        assert!(is(&bench.update("good.raucb", false).unwrap(), 1));
        assert_eq!(bench.calls(), "");
        assert!(is(&bench.update("good.raucb", true).unwrap(), 0));
        bench.house.bench.health.reporter("live/record").set(Condition::Idle, "no pictures come");
        assert!(is(&bench.update("good.raucb", false).unwrap(), 0));
        bench.calls();
        assert!(bench.update("absent.raucb", false).is_err());
        assert_eq!(bench.calls(), "");
    }

    #[test]
    fn what_fails_is_said() {
        let bench = Bench::new("echo 'signature verification failed' >&2; exit 1");
        assert!(is(&bench.update("good.raucb", false).unwrap(), 1));
        std::fs::remove_file(bench.folder.path().join("rauc")).unwrap();
        let e = bench.update("good.raucb", false).unwrap_err();
        assert!(Chain(&e).to_string().contains("this system is not updated by bundles"), "{}", Chain(&e));
    }

    #[test]
    fn how_the_last_one_ended() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(notes(folder.path()).unwrap(), "no update is on trial\n");
        std::fs::write(folder.path().join("from"), "APP\n").unwrap();
        std::fs::write(folder.path().join("last"), "2026-11-20: confirmed\u{1b}[2J\n").unwrap();
        let told = notes(folder.path()).unwrap();
        assert_eq!(
            told,
            "an update is on trial, or waits for the restart; before it APP ran\nthe last one: 2026-11-20: confirmed[2J\n"
        );
    }
}
