//! One connection: hyper's HTTP/1 with every limit set, around the router.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Sleep;

use super::Limits;
use super::problem::Problem;
use super::routes::{CHANGES, Pictures};
use crate::base::shutdown::Shutdown;
use crate::control::Reached;

/// Request line and headers together, in bytes; more is answered with 431. Browsers with cookies need 4 KiB.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Header fields; more is answered with 431.
const MAX_HEADERS: usize = 64;

const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Somebody who came in.
pub(super) enum Guest {
    Tcp(TcpStream),
    Socket(UnixStream),
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Somebody on a network, loopback included: a reverse proxy or a page in a browser may speak for anyone.
    Remote,
    /// A process of this user on this machine, by word of the kernel.
    Local {
        /// Its user.
        uid: u32,
    },
}

impl Peer {
    /// Root and the daemon's own user may change what runs.
    pub(super) fn may_change(self) -> bool {
        matches!(self, Peer::Local { uid } if uid == 0 || uid == rustix::process::geteuid().as_raw())
    }
}

impl Guest {
    /// Serves until the guest leaves, breaks a limit, or a stop is asked (and the grace time is over).
    pub(super) async fn serve(self, router: Router, limits: Limits, login: Arc<AtomicBool>, shutdown: Shutdown) {
        match self {
            Guest::Tcp(stream) => {
                let local = stream.local_addr().ok();
                serve(stream, Asker { local, peer: Peer::Remote, login: Some(login) }, router, limits, shutdown).await;
            }
            Guest::Socket(stream) => {
                let peer = stream.peer_cred().map_or(Peer::Remote, |who| Peer::Local { uid: who.uid() });
                serve(stream, Asker { local: None, peer, login: None }, router, limits, shutdown).await;
            }
        }
    }

    /// Says that the house is full, if the guest can take it at once, and closes.
    pub(super) fn refuse(self) {
        // A guest that cannot take 90 bytes now hears nothing; the count in the book remains.
        let _ = match self {
            Guest::Tcp(stream) => stream.try_write(FULL),
            Guest::Socket(stream) => stream.try_write(FULL),
        };
    }
}

/// What is known of a guest for each of his requests.
#[derive(Clone)]
struct Asker {
    /// The address he came to, over TCP.
    local: Option<SocketAddr>,
    peer: Peer,
    /// Whether watching needs a login; `None` over the socket: whoever may use it may administrate.
    login: Option<Arc<AtomicBool>>,
}

async fn serve<S>(stream: S, asker: Asker, router: Router, limits: Limits, shutdown: Shutdown)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let (router, asker) = (router.clone(), asker.clone());
        async move { Ok::<_, Infallible>(answer(&router, request, asker, limits).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(Impatient { stream, limit: limits.write, deadline: None }), service);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = shutdown.asked_async() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(limits.grace, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(e) = result {
        tracing::debug!("a connection ended: {}", crate::base::error::Chain(&e));
    }
}

async fn answer(
    router: &TowerToHyperService<Router>,
    mut request: Request<Incoming>,
    asker: Asker,
    limits: Limits,
) -> Response<Body> {
    let changes = CHANGES.contains(&request.uri().path());
    let limit = if changes { limits.change } else { limits.request };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let may = reads || changes && *request.method() == Method::POST;
    let mut response = if !may {
        let refusal = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "only reading is possible here: use GET");
        ([(header::ALLOW, "GET, HEAD")], refusal).into_response()
    } else if has_body(request.headers()) {
        let refusal = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "no request here takes a body: send it without");
        ([(header::CONNECTION, "close")], refusal).into_response()
    } else {
        let reached = reached(request.headers(), asker.local);
        request.extensions_mut().insert(reached);
        request.extensions_mut().insert(asker.peer);
        let closed = asker.login.is_some_and(|login| login.load(Ordering::Acquire));
        request.extensions_mut().insert(Pictures(!closed));
        match tokio::time::timeout(limit, router.call(request)).await {
            Ok(Ok(response)) => response,
            Err(_) => {
                let detail = format!("there was no answer within {limit:?}: try again");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
            }
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING) || headers.get(header::CONTENT_LENGTH).is_some_and(|n| n != "0")
}

/// The name by which the guest knows us: from `Host`, else the address he came to.
pub(super) fn reached(headers: &HeaderMap, local: Option<SocketAddr>) -> Reached {
    let Some(local) = local else { return Reached { host: "localhost".into(), http_port: None } };
    let host = headers.get(header::HOST).and_then(|h| Authority::try_from(h.as_bytes()).ok());
    match host.filter(|a| !a.host().is_empty()) {
        Some(host) => Reached { host: host.host().to_owned(), http_port: Some(host.port_u16().unwrap_or(80)) },
        None => {
            let host = match local.ip().to_canonical() {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => format!("[{v6}]"),
            };
            Reached { host, http_port: Some(local.port()) }
        }
    }
}

/// A stream that fails when the other side takes nothing for too long: hyper has no limit for that, and a client
/// that never reads would hold its place for ever.
struct Impatient<S> {
    stream: S,
    limit: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.deadline = None;
            return poll;
        }
        let limit = self.limit;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes no data")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sockets have nothing to flush: this is always ready and must not reset the deadline of a write.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, poll)
    }
}
