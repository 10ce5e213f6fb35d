//! One door: opened, tried again while somebody else has its place, moved while guests are inside.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::listen::{self, Entrance, Listener};
use super::{Door, Error, routes};
use crate::base::backoff::Backoff;
use crate::base::error::Chain;
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Reporter};
use crate::base::task;

/// One who wants the door elsewhere.
pub(super) struct Move {
    to: Entrance,
    reply: oneshot::Sender<Result<(), Error>>,
}

impl Move {
    pub(super) async fn ask(gate: &mpsc::Sender<Move>, to: Entrance) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        gate.send(Move { to, reply }).await.map_err(|_| Error::Gone)?;
        answer.await.unwrap_or(Err(Error::Gone))
    }
}

pub(super) struct Gate<'a> {
    door: &'a Door,
    entrance: Entrance,
    /// Watching needs a login, which HTTP over TCP does not have.
    login: Arc<AtomicBool>,
    reporter: Reporter,
    places: Arc<Semaphore>,
    connections: usize,
}

impl<'a> Gate<'a> {
    pub(super) fn new(
        door: &'a Door,
        entrance: Entrance,
        login: Arc<AtomicBool>,
        page: &str,
        connections: usize,
    ) -> Self {
        let (reporter, places) = (door.health.reporter(page), Arc::new(Semaphore::new(connections)));
        Self { door, entrance, login, reporter, places, connections }
    }

    /// Opens the door and lets guests in until a stop is asked.
    pub(super) async fn keep_open(mut self, mut moves: mpsc::Receiver<Move>) {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        loop {
            match self.entrance.open().await {
                Ok(listener) => {
                    self.opened(&listener);
                    if self.accept(listener, &mut moves).await {
                        return self.reporter.set(Condition::Stopped, "");
                    }
                }
                Err(e) => {
                    self.reporter.raise(FaultCode::HttpListen, Chain(&e).to_string());
                    self.reporter.set(Condition::Recovering, "tries again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.after(Duration::ZERO)) => {}
                Some(wanted) = moves.recv() => self.move_closed(wanted).await,
                () = self.door.shutdown.asked_async() => return self.reporter.set(Condition::Stopped, ""),
            }
        }
    }

    fn opened(&self, listener: &Listener) {
        self.reporter.clear(FaultCode::HttpListen);
        if let Some(port) = listener.port() {
            self.reporter.gauge("port", u64::from(port));
        }
        self.reporter.set(Condition::Running, format!("listens on {listener}"));
    }

    /// Lets guests in: until a stop is asked (true), or until there is no door any more (false).
    async fn accept(&mut self, mut listener: Listener, moves: &mut mpsc::Receiver<Move>) -> bool {
        let router = routes::router(self.door.control.clone());
        loop {
            let guest = tokio::select! {
                guest = listener.accept() => guest,
                Some(wanted) = moves.recv() => match self.move_open(listener, wanted).await {
                    Some(moved) => {
                        listener = moved;
                        continue;
                    }
                    None => return false,
                },
                () = self.door.shutdown.asked_async() => break,
            };
            match guest {
                Ok(guest) => match self.places.clone().try_acquire_owned() {
                    Ok(place) => {
                        self.reporter.count("connections", 1);
                        let serving = guest.serve(
                            router.clone(),
                            self.door.limits,
                            self.login.clone(),
                            self.door.shutdown.clone(),
                        );
                        task::task("http connection", async move {
                            serving.await;
                            drop(place);
                        });
                    }
                    Err(_) => {
                        self.reporter.count("refused", 1);
                        guest.refuse();
                    }
                },
                Err(e) => {
                    // Out of descriptors, most likely. Without a pause the loop would spin until some are free.
                    self.reporter.count("accept_errors", 1);
                    tracing::debug!("a connection could not be accepted: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        // Nobody new comes in; those inside see the stop themselves and leave within the grace time.
        drop(listener);
        let all = u32::try_from(self.connections).expect("a few hundred connections fit in u32");
        let _ = tokio::time::timeout(self.door.limits.grace, self.places.acquire_many(all)).await;
        true
    }

    /// Opens the new place before the old one is closed. Where the old one is in the way, because both are one port, it
    /// goes first, and comes back if there is no new one. `None` if that fails, too: it is tried again then.
    async fn move_open(&mut self, listener: Listener, wanted: Move) -> Option<Listener> {
        let Move { to, reply } = wanted;
        let mut opened = to.open().await;
        let mut present = Some(listener);
        if opened.is_err() && to.is_same_port(&self.entrance, present.as_ref().and_then(Listener::port)) {
            drop(present.take());
            opened = to.open().await;
        }
        match opened {
            Ok(listener) => {
                self.entrance = to;
                self.opened(&listener);
                present = Some(listener);
                let _ = reply.send(Ok(()));
            }
            Err(e) => {
                if present.is_none() {
                    present = self.entrance.open().await.ok();
                }
                let _ = reply.send(Err(not_moved(&e)));
            }
        }
        present
    }

    /// Nothing is open: the next attempt is at the new place, if that can be opened.
    async fn move_closed(&mut self, wanted: Move) {
        let opened = wanted.to.open().await.map(drop);
        if opened.is_ok() {
            self.entrance = wanted.to;
        }
        let _ = wanted.reply.send(opened.map_err(|e| not_moved(&e)));
    }
}

fn not_moved(e: &listen::Error) -> Error {
    Error::NotMoved(Chain(e).to_string())
}
