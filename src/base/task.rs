//! The only place that starts threads and tasks: each has a name, and a panic in one is logged and contained.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::Duration;

use super::fault::FaultCode;
use super::health::{Condition, Reporter};
use super::shutdown::Shutdown;

/// A bug that shows at once must not fill the log.
const AFTER_PANIC: Duration = Duration::from_secs(1);

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

/// Starts a thread whose work lasts as long as the daemon. A panic is a bug, but not the end: it is raised as SYS-001 on
/// the branch's page, and `body` begins anew after a second. The fault goes when the branch runs again; the counter
/// `panics` stays.
pub fn kept(
    name: &str,
    report: Reporter,
    shutdown: Shutdown,
    mut body: impl FnMut() + Send + 'static,
) -> JoinHandle<Option<()>> {
    let label = name.to_owned();
    thread(name, move || {
        while catch_unwind(AssertUnwindSafe(&mut body)).is_err() {
            report.count("panics", 1);
            report.set(Condition::Recovering, "");
            report.raise(FaultCode::TaskFailed, format!("the thread {label} panicked: this is a bug"));
            if shutdown.wait(AFTER_PANIC) {
                return;
            }
        }
    })
}

/// Waits for threads to end, for about `limit` in all. What hangs longer (in a driver, in a dead disk) is left behind,
/// which is a line in the log.
pub fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>, limit: Duration) {
    const STEP: Duration = Duration::from_millis(5);
    let mut steps = limit.as_millis() / STEP.as_millis();
    for thread in threads {
        while !thread.is_finished() && steps > 0 {
            steps -= 1;
            std::thread::sleep(STEP);
        }
        if thread.is_finished() {
            // A panic was logged where it happened.
            let _ = thread.join();
        } else {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            tracing::warn!(thread = %name, "the thread {name} did not end in {limit:?}: left behind");
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::clock::SystemClock;
    use crate::base::health::Health;

    #[test]
    fn a_thread_that_panics_is_begun_anew_and_told_of() {
        let health = Health::new(Arc::new(SystemClock));
        let mut runs = 0;
        let thread = kept("kept", health.reporter("branch"), Shutdown::new(), move || {
            runs += 1;
            assert!(runs > 1, "the first run fails");
        });
        assert_eq!(thread.join().unwrap(), Some(()));
        let branch = health.report().remove(0);
        assert_eq!((branch.faults[0].code, branch.counters["panics"]), (FaultCode::TaskFailed, 1));
        // The page is taken over as it stands, not begun anew.
        health.reporter("branch").clear_all();
        assert_eq!(health.report()[0].counters["panics"], 1);
    }
}
