//! The command line: each subcommand in a file of its own, and what a child process of the probe runs.

// The command line is the one place whose output is meant for standard output.
#![allow(clippy::print_stdout)]

mod access;
mod check;
mod document;
mod factory_reset;
mod health;
mod network;
mod probe;
mod reload;
mod run;
mod self_test;
mod socket;
mod status;
mod storage;
mod update;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::app::prepare;
use crate::base::error::Chain;
use crate::config::problem::Problems;
use crate::config::{self, Config, Environment, Inputs};

/// What is wrong with configuration or command line.
pub const EXIT_CONFIG: u8 = 2;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("WINDHOVER_REVISION"), ")");

/// Camera in, RTSP and power-cut-safe recordings out.
///
/// Without a configuration file the daemon listens on the loopback address only, takes the first camera or a test picture,
/// and records into your home directory.
#[derive(Debug, Parser)]
#[command(name = "windhover", version = VERSION, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Probe(probe::ProbeArgs),
    Status(status::StatusArgs),
    Reload(reload::ReloadArgs),
    Access(access::AccessArgs),
    Health(health::HealthArgs),
    Storage(storage::StorageArgs),
    FactoryReset(factory_reset::FactoryResetArgs),
    Network(network::NetworkArgs),
    Update(update::UpdateArgs),
    Completions(document::CompletionsArgs),
    Man(document::ManArgs),
    #[command(name = crate::probe::self_test::SUBCOMMAND, hide = true)]
    SelfTestEncoder(self_test::SelfTestArgs),
}

/// Where the configuration comes from: the same for every subcommand.
// Its comments are the help text of the command line, where "<KEY>" is no HTML.
#[allow(rustdoc::invalid_html_tags)]
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// Read this file alone, in place of /usr/share/windhover/*.toml, /etc/windhover/windhover.toml and config.d/*.toml in
    /// the state directory (/var/lib/windhover of the service, else ~/.local/state/windhover).
    ///
    /// Environment variables (`WINDHOVER_<SECTION>__<KEY>`, and CAMERA, VIDEO_FPS, VIDEO_WIDTH, VIDEO_HEIGHT,
    /// VIDEO_BITRATE, ENABLE_RTSP, ENABLE_VIDEO, ENABLE_IMAGES, SSD_PATH for the first stream) override it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ConfigArgs {
    /// Where the configuration comes from, by the arguments and the environment.
    pub fn inputs(&self) -> Inputs {
        Inputs::system(self.config.clone(), environment())
    }

    /// Loads that configuration.
    pub fn load(&self) -> (Config, Problems) {
        config::load(&self.inputs())
    }
}

/// The process environment, read in this one place. Names and values that are no UTF-8 are none of ours.
#[allow(clippy::disallowed_methods)]
fn environment() -> Environment {
    let text = |s: OsString| s.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// Why a command could not do its work at all.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The daemon could not run.
    #[error("cannot run")]
    Run(#[from] crate::app::Error),
    /// The daemon could not be asked.
    #[error("cannot ask the daemon")]
    Ask(#[from] socket::Error),
    /// A credential could not be made or taken away.
    #[error("the RTSP credentials")]
    Access(#[from] crate::auth::Error),
    /// What would run could not be found out.
    #[error("cannot say what would run")]
    Prepare(#[from] prepare::Error),
    /// A disk was not formatted.
    #[error("the disk was not formatted")]
    Format(#[from] crate::storage::format::FormatError),
    /// The network settings are wrong.
    #[error("nothing is changed: the network settings are wrong")]
    Network(#[from] crate::board::network::NetworkError),
    /// The network settings could not be put in force.
    #[error("the network settings are not in force")]
    NetworkApply(#[from] crate::board::network::ApplyError),
    /// It is for root alone.
    #[error("only root may do that: run it with sudo, or on the board's console")]
    NotRoot,
    /// A program of the system could not be asked, or a file not be read or written.
    #[error("{doing} failed")]
    System {
        /// What was tried.
        doing: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The manual page could not be made.
    #[error("the manual page cannot be made")]
    Man(#[source] std::io::Error),
    /// A saved inventory cannot be used.
    #[error("the inventory {path} cannot be used")]
    Inventory {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
}

/// Parses the command line, runs the command, and says what went wrong.
pub fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(e) => {
            // Also --help and --version end here; nothing can be done about a closed terminal.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(EXIT_CONFIG));
        }
    };
    let done = match command_line.command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Probe(args) => probe::probe(&args),
        Command::Status(args) => status::status(&args).map_err(CliError::from),
        Command::Reload(args) => reload::reload(&args).map_err(CliError::from),
        Command::Access(args) => access::access(&args),
        Command::Health(args) => Ok(health::health(&args)),
        Command::Storage(args) => storage::storage(&args),
        Command::FactoryReset(args) => factory_reset::factory_reset(&args),
        Command::Network(args) => network::network(&args),
        Command::Update(args) => update::update(&args),
        Command::Completions(args) => Ok(document::completions(&args, CommandLine::command())),
        Command::Man(_) => document::man(CommandLine::command()),
        Command::SelfTestEncoder(args) => self_test::self_test(&args),
    };
    done.unwrap_or_else(|e| {
        complain(&Chain(&e).to_string());
        ExitCode::FAILURE
    })
}

/// Text for standard output. A reader that has seen enough (`windhover check | head -1`) is no error.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// One line to the person at the terminal, on standard error.
#[allow(clippy::print_stderr)]
pub fn complain(text: &str) {
    eprintln!("windhover: {text}");
}
