//! `windhover status`: asks the running daemon how everything fares and prints it as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use super::socket::{DaemonArgs, Error, not_running, print};

/// The whole question may take so long: the daemon answers from memory, in milliseconds.
const LIMIT: Duration = Duration::from_secs(3);

/// Ask the running daemon how it fares: every branch, its state and its faults.
///
/// Exit codes: 0 all is well, 1 a fault is present, 3 no daemon answers.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Print JSON, as /api/v1/health does.
    #[arg(long)]
    json: bool,
}

/// The part of the report that is printed. Tolerant of additions: a status command may be older than the daemon.
#[derive(Debug, Deserialize)]
struct Report {
    status: String,
    ready: bool,
    version: String,
    uptime_s: f64,
    branches: Vec<Branch>,
}

#[derive(Debug, Deserialize)]
struct Branch {
    name: String,
    condition: String,
    since_s: f64,
    detail: String,
    faults: Vec<Fault>,
    counters: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    code: String,
    title: String,
    detail: String,
}

/// Prints how the daemon fares, as a table or as its own JSON.
pub(super) fn status(args: &StatusArgs) -> Result<ExitCode, Error> {
    let Some(answer) = args.daemon.ask(Method::GET, "/api/v1/health", LIMIT)? else {
        return not_running(&args.daemon);
    };
    if answer.status != StatusCode::OK {
        return Err(Error::Refused { status: answer.status });
    }
    let report: Report = serde_json::from_slice(&answer.body).map_err(Error::NotAReport)?;
    let own = || format!("{}\n", String::from_utf8_lossy(&answer.body).trim_end());
    print(&mut io::stdout().lock(), &if args.json { own() } else { table(&report) })?;
    Ok(if report.status == "ok" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(report: &Report) -> String {
    let mut out = format!("windhover {}: {}, up {}", report.version, report.status, age(report.uptime_s));
    out.push_str(if report.ready { "\n" } else { ", not ready: the RTSP port is not open\n" });
    let width = |of: fn(&Branch) -> usize, least| report.branches.iter().map(of).max().unwrap_or(0).max(least);
    let name = width(|b| b.name.chars().count(), "BRANCH".len());
    let state = width(|b| b.condition.chars().count(), "STATE".len());
    let since = width(|b| age(b.since_s).len(), "SINCE".len());
    let mut line = |a: &str, b: &str, c: &str, d: &str| {
        let text = format!("{a:name$}  {b:state$}  {c:>since$}  {d}");
        let _ = writeln!(out, "{}", text.trim_end());
    };
    line("BRANCH", "STATE", "SINCE", "DETAIL");
    for branch in &report.branches {
        line(&branch.name, &branch.condition, &age(branch.since_s), &branch.detail);
        for fault in &branch.faults {
            let sep = if fault.detail.is_empty() { "" } else { ": " };
            line("", "", "", &format!("{} {}{sep}{}", fault.code, fault.title, fault.detail));
        }
        let counters: Vec<String> = branch.counters.iter().map(|(name, n)| format!("{name} {n}")).collect();
        if !counters.is_empty() {
            line("", "", "", &counters.join(", "));
        }
    }
    out
}

/// Whole seconds, or parts of the first one as 0s: `3m 4s`.
fn age(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds.floor()).unwrap_or_default();
    humantime::format_duration(whole).to_string()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;
    use crate::base::error::Chain;
    use crate::base::fault::FaultCode;
    use crate::base::health::Condition;
    use crate::base::task;
    use crate::cli::socket::MAX_BYTES;
    use crate::http::tests::house::House;

    fn ask(socket: &Path, json: bool) -> Result<ExitCode, Error> {
        status(&StatusArgs { daemon: DaemonArgs::at(socket), json })
    }

    fn is(code: &ExitCode, number: u8) -> bool {
        format!("{code:?}") == format!("{:?}", ExitCode::from(number))
    }

    #[test]
    fn a_running_daemon_is_shown_and_judged() {
        let house = House::open();
        assert!(is(&ask(&house.socket(), false).unwrap(), 0));
        let source = house.bench.health.reporter("live/source");
        source.set(Condition::Absent, "waiting for a \x1b[2Jcamera");
        source.raise(FaultCode::CameraAbsent, "unplugged");
        source.count("frames", 300);
        assert!(is(&ask(&house.socket(), true).unwrap(), 1));
        let daemon = DaemonArgs::at(&house.socket());
        let body = daemon.ask(Method::GET, "/api/v1/health", LIMIT).unwrap().expect("a report").body;
        let mut printed = Vec::new();
        print(&mut printed, &table(&serde_json::from_slice(&body).unwrap())).unwrap();
        let text = String::from_utf8(printed).unwrap();
        let first = text.lines().next().unwrap();
        assert!(first.ends_with("degraded, up 0s, not ready: the RTSP port is not open"), "{first}");
        let at = text.lines().position(|l| l.starts_with("live/source")).expect("the branch is listed");
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[at], ["live/source", "absent", "0s", "waiting", "for", "a", "\u{fffd}[2Jcamera"]);
        assert_eq!(lines[at + 1].join(" "), "CAM-001 the camera is not there: unplugged");
        assert_eq!(lines[at + 2].join(" "), "frames 300");
    }

    #[test]
    fn no_daemon_is_told_from_one_that_is_broken() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api.sock");
        assert!(is(&ask(&socket, false).unwrap(), 3), "no socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let error = ask(&socket, false).unwrap_err();
        assert!(matches!(error, Error::Late { .. }), "{}", Chain(&error));
        drop(listener);
        assert!(is(&ask(&socket, false).unwrap(), 3), "a stale socket");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(is(&ask(&file, false).unwrap(), 3), "a file that nobody serves");
    }

    /// Answers one connection with these bytes.
    fn answer(bytes: Vec<u8>) -> Error {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = task::thread("stand-in", move || {
            let (mut stream, _) = listener.accept().unwrap();
            io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
            // The client may leave in the middle: that is the point.
            let _ = stream.write_all(&bytes);
        });
        let error = ask(&socket, false).unwrap_err();
        server.join().unwrap();
        error
    }

    #[test]
    fn strange_answers_are_errors() {
        let http = |status: &str, body: &[u8]| {
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            [head.as_bytes(), body].concat()
        };
        assert!(matches!(answer(http("200 OK", b"{}")), Error::NotAReport(_)));
        assert!(matches!(answer(http("503 Service Unavailable", b"")), Error::Refused { .. }));
        assert!(matches!(answer(http("200 OK", &vec![b' '; MAX_BYTES + 1])), Error::Body(_)));
        assert!(matches!(answer(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), Error::Http(_)));
    }
}
