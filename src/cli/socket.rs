//! Asking the running daemon, over its unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::ConfigArgs;
use crate::base::task;

/// Where the service listens (RuntimeDirectory= of systemd), whoever asks.
const SERVICE: &str = "/run/windhover/api.sock";
/// The answer may have so many bytes; a report of ten streams has about 20 KiB.
pub(super) const MAX_BYTES: usize = 1 << 20;
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
    #[error("the daemon at {} did not answer within {limit:?}: it hangs; its log may say why", socket.display())]
    Late {
        /// Where.
        socket: PathBuf,
        /// How long it had.
        limit: Duration,
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
    #[error("the answer is none of this version")]
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

/// Which daemon is asked.
#[derive(Debug, Args)]
pub(super) struct DaemonArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The daemon's unix socket. Without it: the one of the configuration, or where nobody answers there, the one of the
    /// service.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// What a daemon answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl DaemonArgs {
    /// Where it is looked for, one after the other.
    fn sockets(&self) -> Vec<PathBuf> {
        match &self.socket {
            Some(socket) => vec![socket.clone()],
            None => vec![self.config.load().0.socket().to_owned(), SERVICE.into()],
        }
    }

    /// Asks, and waits at most `limit`; `None` when no daemon is there.
    pub(super) fn ask(&self, method: Method, path: &str, limit: Duration) -> Result<Option<Answer>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Output)?;
        for socket in self.sockets() {
            let late = |_| Error::Late { socket: socket.clone(), limit };
            let asking = async { tokio::time::timeout(limit, ask(&socket, method.clone(), path)).await.map_err(late)? };
            if let Some(answer) = runtime.block_on(asking)? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }
}

async fn ask(socket: &Path, method: Method, path: &str) -> Result<Option<Answer>, Error> {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(source) => return Err(Error::Connect { socket: socket.to_owned(), source }),
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Error::Http)?;
    // Its error is the sender's error too.
    task::task("daemon connection", async move { drop(connection.await) });
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    let request = request.body(Empty::<Bytes>::new()).expect("a constant request is well formed");
    let response = sender.send_request(request).await.map_err(Error::Http)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await.map_err(Error::Body)?;
    Ok(Some(Answer { status, body: body.to_bytes() }))
}

/// Says that nobody answers, and how that is changed.
pub(super) fn not_running(daemon: &DaemonArgs) -> Result<ExitCode, Error> {
    let looked: Vec<_> = daemon.sockets().iter().map(|socket| socket.display().to_string()).collect();
    let text = format!(
        "windhover is not running: nobody answers at {}.\nStart it with \"systemctl start windhover\", or \
         \"windhover run\" on a terminal; \"journalctl -u windhover\" says why it ended.\n",
        looked.join(" or ")
    );
    print(&mut io::stderr().lock(), &text)?;
    Ok(ExitCode::from(NOT_RUNNING))
}

/// Control characters (of a camera's name, say) must not reach the terminal.
pub(super) fn print(to: &mut impl io::Write, text: &str) -> Result<(), Error> {
    let clean: String = text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    match to.write_all(clean.as_bytes()).and_then(|()| to.flush()) {
        // `windhover status | head -1` has read enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::Output),
    }
}

#[cfg(test)]
impl DaemonArgs {
    /// A daemon behind this socket.
    pub(super) fn at(socket: &Path) -> Self {
        Self { config: ConfigArgs { config: None }, socket: Some(socket.to_owned()) }
    }
}
