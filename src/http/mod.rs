//! The HTTP door: a face of control on TCP and on the unix socket of local administration. Reads only.
//!
//! Everything a client can do is bounded: how many connect, how long they take to say what they want, how much they
//! say, how long they take to listen. A port in use is a fault that is shown and tried again, never an exit.

mod connection;
mod listen;
mod problem;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::base::backoff::Backoff;
use crate::base::error::Chain;
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Health, Reporter};
use crate::base::shutdown::Shutdown;
use crate::base::task;
use crate::control::Control;
use crate::plan::HttpPlan;

use connection::Guest;
use listen::{Entrance, Listener};

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

/// Serves until a stop is asked, and then at most the grace time longer. Never fails: what cannot be opened is a
/// fault (NET-003) in the book and is tried again.
pub async fn serve(door: Door) {
    let (tcp, socket) = (Entrance::Tcp(door.plan.listen), Entrance::Socket(door.plan.socket.clone()));
    let (limits, health) = (door.limits, door.health.clone());
    tokio::join!(
        keep_open(&door, &tcp, health.reporter("http"), limits.tcp_connections),
        keep_open(&door, &socket, health.reporter("http-socket"), limits.socket_connections),
    );
}

async fn keep_open(door: &Door, entrance: &Entrance, reporter: Reporter, connections: usize) {
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
    loop {
        match entrance.open().await {
            Ok(listener) => {
                reporter.clear(FaultCode::HttpListen);
                if let Some(port) = listener.port() {
                    reporter.gauge("port", u64::from(port));
                }
                reporter.set(Condition::Running, format!("listens on {listener}"));
                accept(door, listener, &reporter, connections).await;
                return reporter.set(Condition::Stopped, "");
            }
            Err(e) => {
                reporter.raise(FaultCode::HttpListen, Chain(&e).to_string());
                reporter.set(Condition::Recovering, "tries again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.after(Duration::ZERO)) => {}
            () = door.shutdown.asked_async() => return reporter.set(Condition::Stopped, ""),
        }
    }
}

async fn accept(door: &Door, listener: Listener, reporter: &Reporter, connections: usize) {
    let places = Arc::new(Semaphore::new(connections));
    // Whoever may use the socket may administrate.
    let pictures = !door.plan.login || listener.port().is_none();
    let router = routes::router(door.control.clone(), pictures);
    loop {
        let guest = tokio::select! {
            guest = listener.accept() => guest,
            () = door.shutdown.asked_async() => break,
        };
        match guest {
            Ok(guest) => match places.clone().try_acquire_owned() {
                Ok(place) => {
                    reporter.count("connections", 1);
                    let serving = guest.serve(router.clone(), door.limits, door.shutdown.clone());
                    task::task("http connection", async move {
                        serving.await;
                        drop(place);
                    });
                }
                Err(_) => {
                    reporter.count("refused", 1);
                    guest.refuse();
                }
            },
            Err(e) => {
                // Out of descriptors, most likely. Without a pause the loop would spin until some are free.
                reporter.count("accept_errors", 1);
                tracing::debug!("a connection could not be accepted: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    // Nobody new comes in; those inside see the stop themselves and leave within the grace time.
    drop(listener);
    let all = u32::try_from(connections).expect("a few hundred connections fit in u32");
    let _ = tokio::time::timeout(door.limits.grace, places.acquire_many(all)).await;
}

#[cfg(test)]
pub(crate) mod tests;
