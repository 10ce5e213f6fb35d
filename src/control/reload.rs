//! Reading the configuration again: who asks, and who does it, one after the other.

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::Error;
use crate::plan::diff::Change;

/// So many may wait for the reload that is being done; more are told to come again.
const MOST_WAITING: usize = 4;

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// What is different from before; empty where nothing is.
    pub changes: Vec<Change>,
}

/// One who asks for a reload.
pub struct Reload(oneshot::Sender<Result<Reloaded, Error>>);

impl Reload {
    /// Tells what came of it. The one who asked may have gone.
    pub fn answer(self, result: Result<Reloaded, Error>) {
        let _ = self.0.send(result);
    }
}

/// Where reloads are asked for. Cheap to clone.
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<Reload>);

impl Reloads {
    /// Where they are asked for, and where they are taken, one after the other. Dropping the latter refuses them.
    pub fn channel() -> (Self, mpsc::Receiver<Reload>) {
        let (asks, asked) = mpsc::channel(MOST_WAITING);
        (Self(asks), asked)
    }

    /// Asks for a reload and waits for what comes of it.
    pub async fn reload(&self) -> Result<Reloaded, Error> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Reload(reply)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Error::Reloading,
            mpsc::error::TrySendError::Closed(_) => Error::Ending,
        })?;
        answer.await.unwrap_or(Err(Error::Ending))
    }

    /// Asks for a reload whose outcome is found in the log and on the page `config`. One that waits already will do.
    pub fn ask(&self) {
        let _ = self.0.try_send(Reload(oneshot::channel().0));
    }
}
