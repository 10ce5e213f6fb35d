//! Calls into drivers that may not come back: each on a thread of its own, which can be left waiting.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::base::task;

/// A call that has been made.
pub(super) struct Call<T>(mpsc::Receiver<T>);

/// What is known of a call.
pub(super) enum Answer<T> {
    /// It came back.
    Here(T),
    /// It has not come back yet.
    Waiting,
    /// It never will: it panicked, which is logged.
    Lost,
}

/// Makes a call. `name` is that of the thread.
pub(super) fn call<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> Call<T> {
    let (done, answer) = mpsc::sync_channel(1);
    task::thread(name, move || {
        // Whoever asked may have ended.
        let _ = done.send(body());
    });
    Call(answer)
}

impl<T> Call<T> {
    /// Waits up to `timeout`.
    pub(super) fn wait(&self, timeout: Duration) -> Answer<T> {
        match self.0.recv_timeout(timeout) {
            Ok(answer) => Answer::Here(answer),
            Err(RecvTimeoutError::Timeout) => Answer::Waiting,
            Err(RecvTimeoutError::Disconnected) => Answer::Lost,
        }
    }
}
