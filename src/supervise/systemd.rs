//! What the daemon tells systemd over `NOTIFY_SOCKET` (sd_notify(3)); says nothing where there is no systemd.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// A status line is cut to so many characters: `systemctl status` shows one line.
const MAX_STATUS: usize = 200;

/// The line to the service manager. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Systemd {
    socket: Option<Arc<UnixDatagram>>,
    watchdog: Option<Duration>,
    /// READY was said: only then may a reload be told.
    was_ready: Arc<AtomicBool>,
}

/// Why the service manager cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach the service manager at {address:?} (NOTIFY_SOCKET)")]
pub struct Error {
    address: OsString,
    #[source]
    source: io::Error,
}

impl Systemd {
    /// Takes `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` out of the environment, so that children (encoder
    /// tests, `windhover infer`) do not inherit the right to speak for the daemon.
    ///
    /// Call it first in `main`: with a second thread running, the variables are read but stay, because changing the
    /// environment then is unsound (getenv in C libraries takes no lock).
    pub fn from_environment() -> Result<Self, Error> {
        #[allow(clippy::disallowed_methods)]
        let address = std::env::var_os("NOTIFY_SOCKET");
        let watchdog = sd_notify::watchdog_enabled();
        clear_environment();
        Self::to(address.as_deref(), watchdog)
    }

    /// Speaks to `address` (a path, or `@name` in the abstract namespace), or to nobody. `watchdog` is the time
    /// within which systemd wants to hear `WATCHDOG=1`.
    pub fn to(address: Option<&OsStr>, watchdog: Option<Duration>) -> Result<Self, Error> {
        let Some(address) = address.filter(|a| !a.is_empty()) else {
            return Ok(Self::default());
        };
        let socket = connect(address).map_err(|source| Error { address: address.to_owned(), source })?;
        Ok(Self { socket: Some(Arc::new(socket)), watchdog, was_ready: Arc::default() })
    }

    /// The time within which systemd wants to hear from the watchdog, if it does.
    pub fn watchdog_period(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Control and RTSP answer, camera or not.
    pub fn ready(&self) {
        self.was_ready.store(true, Ordering::Release);
        self.send(&[NotifyState::Ready]);
    }

    /// Another configuration is being read, since `now` on the monotonic clock (Type=notify-reload, systemd.service(5)).
    pub fn reloading(&self, now: Duration) {
        if self.was_ready.load(Ordering::Acquire) {
            let now = i128::try_from(now.as_micros()).unwrap_or(i128::MAX);
            self.send(&[NotifyState::Reloading, NotifyState::MonotonicUsec(now)]);
        }
    }

    /// The reload is over, whether anything has changed or not.
    pub fn reloaded(&self) {
        if self.was_ready.load(Ordering::Acquire) {
            self.send(&[NotifyState::Ready]);
        }
    }

    /// One line for `systemctl status`; line breaks and control characters become spaces.
    pub fn status(&self, line: &str) {
        let line: String = line.chars().take(MAX_STATUS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.send(&[NotifyState::Status(&line)]);
    }

    /// Everything that should advance does.
    pub fn watchdog(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    /// The daemon is ending.
    pub fn stopping(&self) {
        self.send(&[NotifyState::Stopping]);
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let message: String = states.iter().map(|state| format!("{state}\n")).collect();
        if let Err(e) = socket.send(message.as_bytes()) {
            tracing::warn!("the service manager did not take a message: {e}");
        }
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match address.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(address)?,
    }
    // A service manager that hangs must not hang the daemon: the message is lost after this time.
    socket.set_write_timeout(Some(Duration::from_secs(1)))?;
    Ok(socket)
}

#[allow(unsafe_code)]
fn clear_environment() {
    let alone = std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1);
    if !alone {
        return;
    }
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        // SAFETY: this is the only thread of the process (counted above), so nobody reads the environment meanwhile
        // and nobody else can start a thread.
        unsafe { std::env::remove_var(name) };
    }
}
