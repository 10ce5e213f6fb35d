//! `windhover access`: who may watch where `access.watch = "login"`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::auth::{Name, Store};
use crate::config::Config;
use crate::config::schema::Watch;

use super::{CliError, ConfigArgs, complain, say};

/// Say who may watch, where the configuration has `[access] watch = "login"`.
#[derive(Debug, Args)]
pub(super) struct AccessArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Names and passwords for RTSP players.
    Rtsp(RtspArgs),
}

#[derive(Debug, Args)]
struct RtspArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a credential and show its password, this once.
    Add {
        /// 1 to 32 of a-z, 0-9, '-', '_' and '.'.
        name: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// List the names.
    List {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Take a credential away. Who watches with it stays until he disconnects.
    Remove {
        /// The name it was made for.
        name: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

#[derive(Debug, Args)]
struct PlaceArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The daemon's state directory, if it runs as another user (as a service: /var/lib/windhover).
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
}

impl PlaceArgs {
    fn open(&self) -> (Config, Store) {
        let config = self.config.load().0;
        let store = Store::in_directory(self.state.as_ref().unwrap_or(&config.directories.state));
        (config, store)
    }
}

pub(super) fn access(args: &AccessArgs) -> Result<ExitCode, CliError> {
    let What::Rtsp(rtsp) = &args.what;
    match &rtsp.action {
        Action::Add { name, place } => add(&Name::new(name)?, place)?,
        Action::List { place } => {
            let names: Vec<String> = place.open().1.read()?.names().map(|name| format!("{name}\n")).collect();
            say(&names.concat());
        }
        Action::Remove { name, place } => place.open().1.remove(&Name::new(name)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn add(name: &Name, place: &PlaceArgs) -> Result<(), CliError> {
    let (config, store) = place.open();
    let password = store.add(name)?;
    let port = config.settings.rtsp.listen.port();
    let secret = password.reveal();
    say(&format!(
        "name      {name}\npassword  {secret}\nurl       rtsp://{name}:{secret}@<host>:{port}/live\n\n\
         The password is not kept and cannot be shown again. What proves it is in {}\n",
        store.path().display()
    ));
    if config.settings.access.watch != Some(Watch::Login) {
        complain("nobody is asked for it yet: write [access] watch = \"login\" into the configuration");
    }
    Ok(())
}
