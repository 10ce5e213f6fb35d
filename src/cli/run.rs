//! `windhover run`: makes the Plan, prints it with the URLs, and runs it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use crate::app::{self, prepare};
use crate::base::clock::SystemClock;
use crate::base::error::Chain;
use crate::base::log;
use crate::gst;
use crate::plan::{self, Plan};
use crate::supervise::memory;
use crate::supervise::systemd::Systemd;

use super::{CliError, ConfigArgs, EXIT_CONFIG, complain, environment, say};

/// Run the daemon: camera in, RTSP, recordings and snapshots out.
///
/// Refuses to start (exit 2) only for what the configuration itself gets wrong; as a service (STATE_DIRECTORY is set, as
/// systemd does) it runs the last known good configuration then, with fault SYS-002. A camera, disk, port or encoder that
/// is not there is a fault: it is shown, tried again, and live video starts as soon as it can. SIGTERM or Ctrl-C finishes
/// the open recording and ends within two seconds; a second one ends at once. SIGHUP reads the configuration again, as
/// "windhover reload" does.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// What to log: off, error, warn, info, debug, trace, or by module as in "info,windhover::hub=debug".
    #[arg(long, value_name = "FILTER", default_value = "info", env = "WINDHOVER_LOG")]
    log: String,
    /// Keep the configuration once it runs, and run the last one that was kept where this one is wrong, as a service does.
    #[arg(long)]
    last_good: bool,
    /// Look for the board's /sys, /proc and /run below this folder, but not for its cameras: for tests.
    #[arg(long, value_name = "DIRECTORY", default_value = "/", hide = true)]
    machine: PathBuf,
}

pub(super) fn run(args: &RunArgs) -> Result<ExitCode, CliError> {
    // First of all, while this is the only thread: it takes systemd's variables out of the environment.
    let systemd = Systemd::from_environment().unwrap_or_else(|e| {
        complain(&Chain(&e).to_string());
        Systemd::default()
    });
    log::install(&args.log);
    memory::share_heaps();
    let inputs = args.config.inputs();
    let last_good = args.last_good || inputs.is_service();
    let prepared = match prepare::prepare(&inputs, last_good)? {
        Ok(prepared) => prepared,
        Err(problems) => {
            complain(&problems.to_string());
            return Ok(ExitCode::from(EXIT_CONFIG));
        }
    };
    if let Some(fallback) = &prepared.fallback {
        fallback.problems.iter().for_each(|problem| tracing::error!("{problem}"));
    }
    prepared.resolved.problems.iter().for_each(|problem| tracing::warn!("{problem}"));
    allow_descriptors();
    prepare::make_home(&prepared.config);
    announce(&prepared.resolved.plan);
    app::run(app::Setup {
        prepared,
        inputs,
        last_good,
        clock: Arc::new(SystemClock),
        systemd,
        machine: args.machine.clone(),
    })?;
    if environment().contains_key("GST_TRACERS") {
        gst::end();
    }
    Ok(ExitCode::SUCCESS)
}

/// Each viewer takes a few descriptors. systemd's and most shells' soft limit of 1,024, kept for programs that use
/// select(2), is too few for 256 viewers; the hard limit is there to be used (systemd.exec(5), LimitNOFILE=).
fn allow_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!("the limit of open files stays at {:?}: {e}", limit.current);
    }
}

/// The Plan, and under it the URLs to open, with an address that works from this machine.
fn announce(plan: &Plan) {
    let mut urls = Vec::new();
    for (i, stream) in plan.streams.iter().enumerate() {
        // The first stream answers under both names; /live is the one to hand out.
        let path = if i == 0 { "live" } else { stream.id.as_str() };
        urls.extend(plan.rtsp.as_ref().map(|rtsp| format!("rtsp://{}/{path}", reachable(rtsp.listen))));
        let secure = plan.rtsp.as_ref().and_then(|rtsp| rtsp.secure.as_ref());
        urls.extend(secure.map(|secure| format!("rtsps://{}/{path}", reachable(secure.listen))));
        urls.push(format!("http://{}/api/v1/streams/{}/snapshot.jpg", reachable(plan.http.listen), stream.id));
    }
    urls.push(format!("http://{}/api/v1/health    or: windhover status", reachable(plan.http.listen)));
    urls.extend(plan.storage.as_ref().map(|storage| storage.path.display().to_string()));
    say(&format!("{}\n\n  {}\n\n", plan::text(plan).trim_end(), urls.join("\n  ")));
}

/// With port 0 the kernel chooses one, which is known only when the server listens.
fn reachable(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        // `[::]` answers IPv4 too.
        _ => IpAddr::from([127, 0, 0, 1]),
    };
    match listen.port() {
        0 => format!("{}<port: see `windhover status`>", SocketAddr::new(ip, 0).to_string().trim_end_matches('0')),
        port => SocketAddr::new(ip, port).to_string(),
    }
}
