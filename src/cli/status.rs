//! `windhover status`: asks the running daemon how everything fares and prints it as a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;

use crate::base::task;

/// The whole question may take so long: the daemon answers from memory, in milliseconds.
const LIMIT: Duration = Duration::from_secs(3);
/// The answer may have so many bytes; a report of ten streams has about 20 KiB.
const MAX_BYTES: usize = 1 << 20;
/// Exit code when no daemon answers.
const NOT_RUNNING: u8 = 3;

/// Why the state of the daemon is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket is there but cannot be used.
    #[error("cannot connect to {}{}", socket.display(), advice(source))]
    Connect {
        /// Where the daemon was looked for.
        socket: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The daemon took the question and did not answer in time.
    #[error("the daemon at {} did not answer within {LIMIT:?}: it hangs; its log may say why", socket.display())]
    Late {
        /// Where.
        socket: PathBuf,
    },
    /// The conversation broke off.
    #[error("the conversation with the daemon failed")]
    Http(#[source] hyper::Error),
    /// The answer is longer than 1 MiB, or broke off.
    #[error("the daemon's answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The daemon refused.
    #[error("the daemon answered {status} instead of a report")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
    },
    /// The answer is no report: another program, or another version.
    #[error("the answer is no health report of this version")]
    NotAReport(#[source] serde_json::Error),
    /// The control runtime or standard output failed.
    #[error("cannot print the report")]
    Output(#[source] io::Error),
}

fn advice(e: &io::Error) -> &'static str {
    match e.kind() {
        io::ErrorKind::PermissionDenied => " (not allowed: run it with sudo, or join the group that owns the socket)",
        _ => "",
    }
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

/// Prints how the daemon behind `socket` fares, as a table or as its own JSON. Exit 0: ok; 1: degraded or failed;
/// 3: not running, with how to start it on standard error.
pub(super) fn status(socket: &Path, json: bool) -> Result<ExitCode, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Output)?;
    let Some(body) = runtime.block_on(fetch(socket))? else {
        let text = format!(
            "windhover is not running: nobody answers at {}.\nStart it with \"systemctl start windhover\", or \
             \"windhover run\" on a terminal; \"journalctl -u windhover\" says why it ended.\n",
            socket.display()
        );
        print(&mut io::stderr().lock(), &text)?;
        return Ok(ExitCode::from(NOT_RUNNING));
    };
    let report: Report = serde_json::from_slice(&body).map_err(Error::NotAReport)?;
    let text = if json { format!("{}\n", String::from_utf8_lossy(&body).trim_end()) } else { table(&report) };
    print(&mut io::stdout().lock(), &text)?;
    Ok(if report.status == "ok" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The report as JSON, or `None` when no daemon is there.
async fn fetch(socket: &Path) -> Result<Option<Bytes>, Error> {
    let late = || Error::Late { socket: socket.to_owned() };
    tokio::time::timeout(LIMIT, ask(socket)).await.map_err(|_| late())?
}

async fn ask(socket: &Path) -> Result<Option<Bytes>, Error> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(source) => return Err(Error::Connect { socket: socket.to_owned(), source }),
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Error::Http)?;
    // Its error is the sender's error too.
    task::task("status connection", async move { drop(connection.await) });
    let request = Request::get("/api/v1/health").header(header::HOST, "localhost").body(Empty::<Bytes>::new());
    let request = request.expect("a constant request is well formed");
    let response = sender.send_request(request).await.map_err(Error::Http)?;
    if response.status() != StatusCode::OK {
        return Err(Error::Refused { status: response.status() });
    }
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await.map_err(Error::Body)?;
    Ok(Some(body.to_bytes()))
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

/// Control characters (of a camera's name, say) must not reach the terminal.
fn print(to: &mut impl io::Write, text: &str) -> Result<(), Error> {
    let clean: String = text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    match to.write_all(clean.as_bytes()).and_then(|()| to.flush()) {
        // `windhover status | head -1` has read enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::Output),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::base::error::Chain;
    use crate::base::fault::FaultCode;
    use crate::base::health::Condition;
    use crate::http::tests::house::House;

    fn is(code: &ExitCode, number: u8) -> bool {
        format!("{code:?}") == format!("{:?}", ExitCode::from(number))
    }

    #[test]
    fn a_running_daemon_is_shown_and_judged() {
        let house = House::open();
        assert!(is(&status(&house.socket(), false).unwrap(), 0));
        let source = house.bench.health.reporter("live/source");
        source.set(Condition::Absent, "waiting for a \x1b[2Jcamera");
        source.raise(FaultCode::CameraAbsent, "unplugged");
        source.count("frames", 300);
        assert!(is(&status(&house.socket(), true).unwrap(), 1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let body = runtime.block_on(fetch(&house.socket())).unwrap().expect("a report");
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
        assert!(is(&status(&socket, false).unwrap(), 3), "no socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let error = status(&socket, false).unwrap_err();
        assert!(matches!(error, Error::Late { .. }), "{}", Chain(&error));
        drop(listener);
        assert!(is(&status(&socket, false).unwrap(), 3), "a stale socket");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(is(&status(&file, false).unwrap(), 3), "a file that nobody serves");
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
        let error = status(&socket, false).unwrap_err();
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
