//! The only place that starts threads and tasks: each has a name, and a panic in one is logged and contained.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

/// Starts a named thread. The kernel shows the first 15 bytes of the name (`ps -T`).
///
/// # Panics
/// When the kernel refuses a new thread: the daemon cannot do its work then, and systemd restarts it.
#[allow(clippy::disallowed_methods)]
pub fn thread<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<Option<T>> {
    let label = name.to_owned();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(body));
            if result.is_err() {
                tracing::error!(thread = %label, "thread panicked: this is a bug");
            }
            result.ok()
        })
        .expect("the kernel starts a thread while the daemon starts")
}

/// Starts a task on the control runtime.
#[allow(clippy::disallowed_methods)]
pub fn task<F>(name: &'static str, body: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tracing::trace!(task = name, "starts");
    tokio::spawn(body)
}

/// Runs work that may block (encoding a picture, waiting for an answer) on a pool thread of the control runtime. The
/// pool is shared and grows: whoever calls this bounds how much runs at once.
pub fn blocking<T: Send + 'static>(
    name: &'static str,
    body: impl FnOnce() -> T + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tracing::trace!(task = name, "starts");
    tokio::task::spawn_blocking(body)
}
