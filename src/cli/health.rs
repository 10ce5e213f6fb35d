//! `windhover health`: waits until video flows, and says what does not. The gate before a boot counts as good.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use crate::base::clock::{Clock, SystemClock};
use crate::base::error::Chain;

use super::socket::{DaemonArgs, MAX_BYTES};
use super::{complain, say};

/// One question may take so long: the daemon answers from memory, in milliseconds.
const LIMIT: Duration = Duration::from_secs(3);
/// Between two questions. Each costs the daemon less than a millisecond.
const PAUSE: Duration = Duration::from_millis(500);
/// Video must flow for so long without a break: a stream that starts, fails and starts again does not flow.
const STEADY: Duration = Duration::from_secs(5);

/// Wait until video flows: RTSP listens and every stream runs, for five seconds on end.
///
/// For windhover-health.service, which stands before boot-complete.target: an update that does not get there is not kept.
/// A stream whose camera is absent counts as flowing, unless its camera was there before the update.
///
/// Exit codes: 0 video flows, 1 it did not within the time.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Wait at most so long.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// How the daemon fared before the update, as `windhover status --json` printed it. Without the file, or if it is not
    /// there, every camera may be absent.
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
}

/// The part of the daemon's report that says whether video flows.
#[derive(Debug, Deserialize)]
struct Report {
    ready: bool,
    streams: Vec<Stream>,
}

#[derive(Debug, Deserialize)]
struct Stream {
    id: String,
    condition: String,
}

/// What each stream did before the update.
type Before = BTreeMap<String, String>;

pub(super) fn health(args: &HealthArgs) -> ExitCode {
    let before = args.before.as_deref().map(before).unwrap_or_default();
    match wait(args.wait, &SystemClock, std::thread::sleep, || missing(&args.daemon, &before)) {
        Ok(()) => {
            say("video flows\n");
            ExitCode::SUCCESS
        }
        Err(missing) => {
            complain(&format!("no steady video within {}: {missing}", humantime::format_duration(args.wait)));
            ExitCode::FAILURE
        }
    }
}

/// A file that is damaged excuses every absent camera, as one that is not there: it must not undo a good update.
fn before(path: &Path) -> Before {
    match read(path) {
        Ok(report) => report.streams.into_iter().map(|s| (s.id, s.condition)).collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Before::new(),
        Err(e) => {
            complain(&format!("{} is not used: {}", path.display(), Chain(&e)));
            Before::new()
        }
    }
}

fn read(path: &Path) -> io::Result<Report> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_BYTES as u64).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Asks until nothing was missing for as long as `STEADY`. The last thing that was missing, when the time is up.
fn wait(
    limit: Duration,
    clock: &dyn Clock,
    pause: impl Fn(Duration),
    missing: impl Fn() -> Option<String>,
) -> Result<(), String> {
    let begin = clock.monotonic();
    let mut flows_since: Option<Duration> = None;
    loop {
        let last = missing();
        let now = clock.monotonic();
        flows_since = if last.is_none() { flows_since.or(Some(now)) } else { None };
        if flows_since.is_some_and(|since| now.saturating_sub(since) >= STEADY) {
            return Ok(());
        }
        if now.saturating_sub(begin) + PAUSE > limit {
            return Err(last.unwrap_or_else(|| "it began only just now".into()));
        }
        pause(PAUSE);
    }
}

/// What keeps video from flowing now.
fn missing(daemon: &DaemonArgs, before: &Before) -> Option<String> {
    match daemon.ask(Method::GET, "/api/v1/health", LIMIT) {
        Ok(None) => Some("nobody answers: the daemon does not run".into()),
        Ok(Some(answer)) if answer.status != StatusCode::OK => Some(format!("the daemon answers {}", answer.status)),
        Ok(Some(answer)) => match serde_json::from_slice(&answer.body) {
            Ok(report) => judge(&report, before),
            Err(e) => Some(format!("the answer is no health report of this version: {e}")),
        },
        Err(e) => Some(Chain(&e).to_string()),
    }
}

fn judge(report: &Report, before: &Before) -> Option<String> {
    if !report.ready {
        return Some("the RTSP port is not open".into());
    }
    if report.streams.is_empty() {
        return Some("there is no stream".into());
    }
    let wrong = |s: &Stream| match s.condition.as_str() {
        "running" | "idle" => None,
        "absent" => match before.get(&s.id).map(String::as_str) {
            None | Some("absent") => None,
            Some(was) => Some(format!("{} is absent, and was {was} before the update", s.id)),
        },
        other => Some(format!("{} is {other}", s.id)),
    };
    let wrong: Vec<String> = report.streams.iter().filter_map(wrong).collect();
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SimClock;
    use crate::base::health::Condition;
    use crate::http::tests::house::House;

    fn report(ready: bool, streams: &[(&str, &str)]) -> Report {
        let stream = |&(id, condition): &(&str, &str)| Stream { id: id.into(), condition: condition.into() };
        Report { ready, streams: streams.iter().map(stream).collect() }
    }

    #[test]
    fn an_absent_camera_counts_unless_it_was_there_before() {
        let was = |condition: &str| Before::from([("live".into(), condition.into())]);
        let table = [
            (report(true, &[("live", "running"), ("rear", "idle")]), Before::new(), None),
            (report(false, &[("live", "running")]), Before::new(), Some("the RTSP port is not open")),
            (report(true, &[]), Before::new(), Some("there is no stream")),
            (report(true, &[("live", "absent")]), Before::new(), None),
            (report(true, &[("live", "absent")]), was("absent"), None),
            (
                report(true, &[("live", "absent")]),
                was("running"),
                Some("live is absent, and was running before the update"),
            ),
            (
                report(true, &[("live", "starting"), ("rear", "recovering")]),
                was("absent"),
                Some("live is starting, rear is recovering"),
            ),
        ];
        for (report, before, want) in table {
            assert_eq!(judge(&report, &before).as_deref(), want, "{report:?}");
        }
    }

    /// Waits 60 s of a simulated clock; `missing` is told how many seconds have passed.
    fn wait_a_minute(missing: impl Fn(u64) -> Option<&'static str>) -> (Result<(), String>, u64) {
        let clock = SimClock::at(Duration::ZERO);
        let begin = clock.monotonic();
        let passed = || (clock.monotonic() - begin).as_secs();
        let verdict =
            wait(Duration::from_secs(60), &clock, |pause| clock.advance(pause), || missing(passed()).map(Into::into));
        (verdict, passed())
    }

    #[test]
    fn video_must_flow_for_five_seconds_on_end() {
        assert_eq!(wait_a_minute(|_| None), (Ok(()), 5));
        assert_eq!(wait_a_minute(|s| (s < 30).then_some("starting")), (Ok(()), 35));
        assert_eq!(wait_a_minute(|_| Some("no port")), (Err("no port".into()), 60));
        let flickers = |s: u64| s.is_multiple_of(4).then_some("recovering");
        assert!(wait_a_minute(flickers).0.is_err(), "it never flows for five seconds");
        let late = wait_a_minute(|s| (s < 58).then_some("starting"));
        assert_eq!(late, (Err("it began only just now".into()), 60));
    }

    #[test]
    fn the_daemon_is_asked_and_the_report_from_before_is_read() {
        let house = House::open();
        let nobody = missing(&DaemonArgs::at(Path::new("/nonexistent/api.sock")), &Before::new());
        assert_eq!(nobody.as_deref(), Some("nobody answers: the daemon does not run"));
        let daemon = DaemonArgs::at(&house.socket());
        for name in ["rtsp", "live/source", "live/encode"] {
            house.bench.health.reporter(name).set(Condition::Running, "");
        }
        let body = daemon.ask(Method::GET, "/api/v1/health", LIMIT).unwrap().expect("it runs").body;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("before.json");
        assert!(before(&file).is_empty(), "no file");
        std::fs::write(&file, &body).unwrap();
        let was = before(&file);
        assert_eq!(was.get("live").map(String::as_str), Some("running"));
        assert_eq!(missing(&daemon, &was), None);
        house.bench.health.reporter("live/source").set(Condition::Absent, "unplugged");
        let why = missing(&daemon, &was).expect("the camera was there before");
        assert!(why.contains("live is absent"), "{why}");
        std::fs::write(&file, &body[..body.len() / 2]).unwrap();
        assert!(before(&file).is_empty(), "cut off");
        assert_eq!(missing(&daemon, &before(&file)), None);
    }
}
