//! `windhover storage`: the disk for recordings, in the hands of a person.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{Args, Subcommand};
use hyper::{Method, StatusCode};
use serde::Deserialize;

use crate::base::clock::{Clock, SystemClock};
use crate::storage::format::{self, MOUNT, Wish};

use super::socket::{DaemonArgs, Error, not_running, print};
use super::{CliError, ConfigArgs, complain, say};

/// The daemon itself takes no longer: a slow disk has much to write down.
const LIMIT: Duration = Duration::from_secs(58);
/// What mounts a disk with our label (systemd/system).
const UNIT: &str = "data.mount";

/// The disk for recordings: make one, take one out.
#[derive(Debug, Args)]
pub(super) struct StorageArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Eject(EjectArgs),
    Format(FormatArgs),
}

/// Finish what is recorded, unmount the disk, and say when it may be pulled.
///
/// Live video goes on. Recording goes on by itself when the disk, or another one, is plugged in. To be run as root or as the
/// daemon's own user. Exit codes: 0 it may be pulled, 1 it may not, 3 no daemon answers.
#[derive(Debug, Args)]
struct EjectArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Make a disk or partition one for recordings: ext4, labelled windhover-data, mounted at /data wherever it is plugged in.
///
/// Everything on it is lost, so it is refused where something is on it, unless --erase names that by its label or by the
/// serial number of the disk; what would be lost is said first. Refused in any case: what is in use, and the disk that the
/// system runs from, but for its partition windhover-data. To be run as root.
#[derive(Debug, Args)]
struct FormatArgs {
    /// The disk or partition, such as /dev/sda or a name below /dev/disk/by-id.
    device: PathBuf,
    /// What may be lost: the label of the file system or the serial number of the disk.
    #[arg(long, value_name = "NAME")]
    erase: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    /// The daemon's state directory: its owner gets the directory for recordings.
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/lib/windhover")]
    state: PathBuf,
}

/// What came of it.
#[derive(Debug, Deserialize)]
struct Ejected {
    mount: PathBuf,
    safe: bool,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    detail: String,
}

pub(super) fn storage(args: &StorageArgs) -> Result<ExitCode, CliError> {
    match &args.what {
        What::Eject(args) => eject(args).map_err(CliError::from),
        What::Format(args) => format(args),
    }
}

fn eject(args: &EjectArgs) -> Result<ExitCode, Error> {
    let Some(answer) = args.daemon.ask(Method::POST, "/api/v1/storage/eject", LIMIT)? else {
        return not_running(&args.daemon);
    };
    let (text, safe) = told(answer.status, &answer.body)?;
    if safe {
        print(&mut io::stdout().lock(), &text)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&mut io::stderr().lock(), &text)?;
    Ok(ExitCode::FAILURE)
}

/// What to say to the person, and whether the disk may be pulled.
fn told(status: StatusCode, body: &[u8]) -> Result<(String, bool), Error> {
    if status != StatusCode::OK {
        let refusal: Refusal = serde_json::from_slice(body).map_err(|_| Error::Refused { status })?;
        return Ok((format!("windhover: {}\n", refusal.detail), false));
    }
    let ejected: Ejected = serde_json::from_slice(body).map_err(Error::NotAReport)?;
    let mount = ejected.mount.display();
    Ok(match ejected.safe {
        true => {
            (format!("{mount} is unmounted: the disk may be pulled. Recording goes on when one is plugged in.\n"), true)
        }
        false => (
            format!(
                "everything is written, and recording waits; nobody unmounts {mount} here: \"sudo umount {mount}\", then \
                 pull the disk. Recording goes on when it is mounted again.\n"
            ),
            false,
        ),
    })
}

fn format(args: &FormatArgs) -> Result<ExitCode, CliError> {
    if !rustix::process::geteuid().is_root() {
        return Err(CliError::NotRoot);
    }
    let storage = args.config.load().0.storage_path().to_owned();
    let made = format::format(&Wish {
        device: args.device.clone(),
        erase: args.erase.clone(),
        owner: owner(&args.state)?,
        wall: SystemClock.wall(),
        storage: storage.clone(),
    })?;
    let device = made.device.display();
    if !made.lost.is_empty() {
        say(&format!("gone:\n  {}\n", made.lost.join("\n  ")));
    }
    say(&format!("{device}, {}, is a disk for recordings now, labelled {}\n", made.size, format::LABEL));
    if !storage.starts_with(MOUNT) {
        complain(&format!(
            "the configuration records into {}, which is not below {MOUNT}: mount the disk there yourself, and give its \
             directory to the daemon's user",
            storage.display()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    mount();
    Ok(ExitCode::SUCCESS)
}

/// The daemon's user and group: the owner of its state.
fn owner(state: &Path) -> Result<(u32, u32), CliError> {
    let doing = || format!("looking for the owner of the daemon's state directory {}", state.display());
    let meta = std::fs::metadata(state).map_err(|source| CliError::System { doing: doing(), source })?;
    Ok((meta.uid(), meta.gid()))
}

/// udev mounts it as soon as it sees the label; where it was mounted and failed before, it is asked once more.
fn mount() {
    let done = Command::new("systemctl").args(["start", UNIT]).output();
    match done {
        Ok(out) if out.status.success() => say(&format!("it is mounted at {MOUNT}; recording begins\n")),
        Ok(out) => complain(&format!("{UNIT} does not start: {}", String::from_utf8_lossy(&out.stderr).trim())),
        Err(e) => complain(&format!("mount it at {MOUNT} yourself, systemd does not: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_disk() {
        let table = [
            (200, "{\"mount\":\"/data\",\"safe\":true}", "/data is unmounted: the disk may be pulled.", true),
            (200, "{\"mount\":\"/media/x\",\"safe\":false}", "everything is written, and recording waits;", false),
            (
                500,
                "{\"detail\":\"the disk was not given up: busy\"}",
                "windhover: the disk was not given up: busy\n",
                false,
            ),
        ];
        for (status, body, text, safe) in table {
            let found = told(StatusCode::from_u16(status).unwrap(), body.as_bytes()).unwrap();
            assert!(found.0.starts_with(text) && found.1 == safe, "{found:?}");
        }
        assert!(matches!(told(StatusCode::OK, b"{}"), Err(Error::NotAReport(_))));
        assert!(matches!(told(StatusCode::BAD_GATEWAY, b"<html>"), Err(Error::Refused { .. })));
    }
}
