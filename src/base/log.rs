//! Where log lines go: fields to journald under systemd, readable text anywhere else.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Installs the log for the whole process, once, from `main`. `filter` is a tracing filter such as `info` or
/// `windhover=debug`; an invalid one falls back to `info` and says so.
pub fn install(filter: &str) {
    let (filter, bad) = match EnvFilter::try_new(filter) {
        Ok(good) => (good, None),
        Err(e) => (EnvFilter::new("info"), Some(e)),
    };
    let registry = tracing_subscriber::registry().with(filter);
    match under_journald().then(tracing_journald::layer) {
        Some(Ok(journald)) => registry.with(journald).init(),
        _ => {
            let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
            registry.with(text.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))).init();
        }
    }
    if let Some(e) = bad {
        tracing::warn!("the log filter is not valid, using \"info\": {e}");
    }
}

/// systemd sets `JOURNAL_STREAM` to the device and inode of the standard error it connected to the journal
/// (systemd.exec(5)); comparing them tells a service from a shell that merely inherited the variable.
fn under_journald() -> bool {
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else { return false };
    #[allow(clippy::disallowed_methods)]
    let stream = std::env::var("JOURNAL_STREAM");
    stream.is_ok_and(|s| s == format!("{}:{}", stat.st_dev, stat.st_ino))
}
