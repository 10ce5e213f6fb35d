//! The HTTP door: a face of control on TCP and on the unix socket of local administration. Over TCP it only reads.
//!
//! Everything a client can do is bounded: how many connect, how long they take to say what they want, how much they
//! say, how long they take to listen. A port in use is a fault that is shown and tried again, never an exit.

mod connection;
mod gate;
mod listen;
mod problem;
mod routes;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::base::health::Health;
use crate::base::shutdown::Shutdown;
use crate::control::Control;
use crate::plan::HttpPlan;

use connection::Guest;
use gate::{Gate, Move};
use listen::Entrance;

/// What a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections over TCP at the same time; one more is answered with 503 and closed.
    pub tcp_connections: usize,
    /// Connections over the unix socket, counted apart: a flood on the network must not lock out local
    /// administration.
    pub socket_connections: usize,
    /// From connecting, or from the last answer, to the end of the next request's header; then the connection is
    /// closed. Bounds slow clients and idle keep-alive connections.
    pub header: Duration,
    /// From the request to the answer.
    pub request: Duration,
    /// The same for what changes the running daemon: a camera may take seconds to close.
    pub change: Duration,
    /// A client that takes no byte of an answer for so long is disconnected.
    pub write: Duration,
    /// When the daemon ends, open requests have so long to finish.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tcp_connections: 224,
            socket_connections: 32,
            header: Duration::from_secs(10),
            request: Duration::from_secs(5),
            change: Duration::from_secs(60),
            write: Duration::from_secs(10),
            grace: Duration::from_millis(800),
        }
    }
}

/// What the door is built from.
#[derive(Clone)]
pub struct Door {
    /// Who answers.
    pub control: Control,
    /// The book: the door writes the pages `http` and `http-socket`.
    pub health: Health,
    /// Where to listen.
    pub plan: HttpPlan,
    /// Ends the door.
    pub shutdown: Shutdown,
    /// What clients may take.
    pub limits: Limits,
}

/// Why a door is not where it was to be moved to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The new place cannot be opened; the old one is still in use.
    #[error("{0}")]
    NotMoved(String),
    /// The door is gone, because the daemon ends.
    #[error("the door does not answer")]
    Gone,
}

/// Moves the doors of a running daemon. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    tcp: mpsc::Sender<Move>,
    socket: mpsc::Sender<Move>,
    login: Arc<AtomicBool>,
}

impl Handle {
    /// Listens on another address; where that cannot be, still on the one before. Whoever is connected stays.
    pub async fn listen(&self, address: SocketAddr) -> Result<(), Error> {
        Move::ask(&self.tcp, Entrance::Tcp(address)).await
    }

    /// From the next request on, pictures are shown over TCP, or not, because watching needs a login.
    pub fn set_login(&self, login: bool) {
        self.login.store(login, Ordering::Release);
    }

    /// Listens on another unix socket, as with the address.
    pub async fn listen_socket(&self, path: PathBuf) -> Result<(), Error> {
        Move::ask(&self.socket, Entrance::Socket(path)).await
    }
}

/// Opens the doors. The future serves until a stop is asked, and then at most the grace time longer. It never fails: what
/// cannot be opened is a fault (NET-003) in the book and is tried again.
pub fn open(door: Door) -> (Handle, impl Future<Output = ()>) {
    let ((tcp, move_tcp), (socket, move_socket)) = (mpsc::channel(1), mpsc::channel(1));
    let login = Arc::new(AtomicBool::new(door.plan.login));
    let login_of_gates = login.clone();
    let serving = async move {
        let gate = |entrance, page, connections| Gate::new(&door, entrance, login_of_gates.clone(), page, connections);
        let listen = gate(Entrance::Tcp(door.plan.listen), "http", door.limits.tcp_connections);
        let local = gate(Entrance::Socket(door.plan.socket.clone()), "http-socket", door.limits.socket_connections);
        tokio::join!(listen.keep_open(move_tcp), local.keep_open(move_socket));
    };
    (Handle { tcp, socket, login }, serving)
}

#[cfg(test)]
pub(crate) mod tests;
