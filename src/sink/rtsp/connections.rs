//! Every connection to the server, so that their number and what each may hold up are bounded.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::socket;

/// A viewer whose socket stayed more than half full of unsent data for so long is slower than the stream. The library
/// would collect ten seconds for it and then stop sending without a word.
const SLOW_AFTER: Duration = Duration::from_secs(3);

/// Shared by the server's callbacks and its timer.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    max: usize,
    list: Arc<Mutex<BTreeMap<usize, Connection>>>,
}

/// A connection. The descriptor is a copy of ours: shutting it down makes the library see the end of the stream and
/// close in its own way, on its own thread.
#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    full_since: Option<Duration>,
}

impl Connections {
    /// Room for `max` connections at once.
    pub(super) fn new(max: usize) -> Self {
        Self { max, list: Arc::default() }
    }

    /// A client connected. False if there are too many; it is then disconnected.
    pub(super) fn open(&self, id: usize, socket: OwnedFd) -> bool {
        let mut list = self.lock();
        if list.len() >= self.max {
            end(&socket);
            return false;
        }
        list.insert(id, Connection { socket, full_since: None });
        true
    }

    /// A client is gone.
    pub(super) fn closed(&self, id: usize) {
        self.lock().remove(&id);
    }

    /// Disconnects a client.
    pub(super) fn end(&self, id: usize) {
        if let Some(connection) = self.lock().get(&id) {
            end(&connection.socket);
        }
    }

    /// Disconnects those that are slower than the stream; says how many.
    pub(super) fn end_slow(&self, now: Duration) -> u64 {
        let mut ended = 0;
        for connection in self.lock().values_mut() {
            let unsent = socket::unsent_bytes(connection.socket.as_raw_fd());
            if judge(&mut connection.full_since, unsent > socket::SEND_BUFFER_BYTES / 2, now) {
                end(&connection.socket);
                ended += 1;
            }
        }
        ended
    }

    /// Connections now.
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Connection>> {
        self.list.lock().expect("nothing panics while it holds this lock")
    }
}

fn end(socket: &OwnedFd) {
    // It fails only if the peer was faster.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}

/// True when the socket has been full for too long; begins to count anew then.
fn judge(full_since: &mut Option<Duration>, full: bool, now: Duration) -> bool {
    if !full {
        *full_since = None;
        return false;
    }
    let since = *full_since.get_or_insert(now);
    let slow = now.saturating_sub(since) >= SLOW_AFTER;
    if slow {
        *full_since = None;
    }
    slow
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn only_a_socket_that_stays_full_is_slow() {
        let s = Duration::from_secs;
        let mut since = None;
        let looks = [(true, 0), (true, 2), (false, 3), (true, 4), (true, 6), (true, 7), (true, 8)];
        let slow: Vec<bool> = looks.iter().map(|(full, at)| judge(&mut since, *full, s(*at))).collect();
        assert_eq!(slow, [false, false, false, false, false, true, false]);
    }

    #[test]
    fn the_number_of_connections_is_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || OwnedFd::from(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let connections = Connections::new(1);
        assert!(connections.open(1, connect()));
        assert!(!connections.open(2, connect()));
        connections.closed(1);
        assert!(connections.open(3, connect()));
        assert_eq!(connections.count(), 1);
    }
}
