//! Where guests come in: a TCP port, or the unix socket of local administration.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::Guest;
use crate::base::error::{Coded, Kind};
use crate::base::fault::FaultCode;

/// Owner and group may connect: the group is who may administer the daemon without a password.
const SOCKET_MODE: u32 = 0o660;

/// Why a door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("cannot listen on {address}{}", advice(source))]
    Bind { address: String, source: io::Error },
    #[error("{} exists and is not a socket: move it away, or set another http.socket", path.display())]
    NotASocket { path: PathBuf },
    #[error("another daemon answers on {}: stop it, or set another http.socket", path.display())]
    Taken { path: PathBuf },
    #[error("cannot make way for the socket {}", path.display())]
    Prepare { path: PathBuf, source: io::Error },
}

impl Coded for Error {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn fault(&self) -> Option<FaultCode> {
        Some(FaultCode::HttpListen)
    }
}

fn advice(e: &io::Error) -> &'static str {
    match e.kind() {
        io::ErrorKind::AddrInUse => " (another program has it: stop that, or set another address)",
        io::ErrorKind::PermissionDenied => {
            " (not allowed: ports below 1024 need a privilege, paths a writable directory)"
        }
        _ => "",
    }
}

/// A place to listen.
pub(super) enum Entrance {
    Tcp(SocketAddr),
    Socket(PathBuf),
}

/// A place that is open.
pub(super) enum Listener {
    Tcp(TcpListener),
    Socket(UnixListener, SocketFile),
}

impl Entrance {
    /// True when this one and `other`, which is open on `port` (where the kernel chose it), cannot be open at once.
    pub(super) fn is_same_port(&self, other: &Entrance, port: Option<u16>) -> bool {
        match (self, other) {
            (Entrance::Tcp(to), Entrance::Tcp(from)) => to.port() == port.unwrap_or(from.port()),
            _ => false,
        }
    }

    pub(super) async fn open(&self) -> Result<Listener, Error> {
        match self {
            Entrance::Tcp(address) => {
                let bound = open_tcp(*address).await;
                bound.map_err(|source| Error::Bind { address: address.to_string(), source }).map(Listener::Tcp)
            }
            Entrance::Socket(path) => open_socket(path).await,
        }
    }
}

async fn open_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        // A kernel without IPv6 (ipv6.disable=1) knows no [::]; what was meant is "everywhere".
        Err(e) if address.ip().is_unspecified() && address.is_ipv6() && lacks_ipv6(&e) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

fn lacks_ipv6(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

async fn open_socket(path: &Path) -> Result<Listener, Error> {
    let prepare = |source| Error::Prepare { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(prepare)?;
    }
    remove_stale(path).await?;
    let bind = |source| Error::Bind { address: path.display().to_string(), source };
    let listener = UnixListener::bind(path).map_err(bind)?;
    let file = SocketFile::of(path).map_err(bind)?;
    // Until here the umask decides; the usual 022 lets only the owner connect, so nothing was open too wide.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE)).map_err(bind)?;
    Ok(Listener::Socket(listener, file))
}

/// Removes the socket that a killed daemon left. What is not a socket, and a socket that somebody answers, stay.
async fn remove_stale(path: &Path) -> Result<(), Error> {
    let prepare = |source| Error::Prepare { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(prepare(e)),
        Ok(found) if !found.file_type().is_socket() => return Err(Error::NotASocket { path: path.to_owned() }),
        Ok(_) => {}
    }
    // A daemon that lives but is too busy to answer is alive all the same: only a refusal proves that nobody listens.
    match tokio::time::timeout(Duration::from_millis(500), UnixStream::connect(path)).await {
        Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(prepare),
        Ok(Err(e)) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(Err(e)) if e.kind() == io::ErrorKind::PermissionDenied => Err(prepare(e)),
        _ => Err(Error::Taken { path: path.to_owned() }),
    }
}

/// The file of our socket; removed when we stop listening, unless another one lies there by then.
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(e) = std::fs::remove_file(&self.path)
        {
            tracing::debug!("{} stays behind: {e}", self.path.display());
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|m| (m.dev(), m.ino()))
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Guest> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are written in one go; waiting to fill a packet would only add 40 ms.
                stream.set_nodelay(true)?;
                Ok(Guest::Tcp(stream))
            }
            Listener::Socket(listener, _) => Ok(Guest::Socket(listener.accept().await?.0)),
        }
    }

    pub(super) fn port(&self) -> Option<u16> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok().map(|a| a.port()),
            Listener::Socket(..) => None,
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listener::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(_) => f.write_str("a closed port"),
            },
            Listener::Socket(_, file) => write!(f, "{}", file.path.display()),
        }
    }
}
