//! Every connection to the server, so that their number and what each may hold up are bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::conduct::{Conduct, Verdict};
use super::socket;

/// A viewer whose socket stayed more than half full of unsent data for so long is slower than the stream. The library
/// would collect ten seconds for it and then stop sending without a word.
const SLOW_AFTER: Duration = Duration::from_secs(3);

/// Shared by the server's callbacks and its timers.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    max: Arc<AtomicUsize>,
    list: Arc<Mutex<BTreeMap<usize, Connection>>>,
}

/// A connection. The descriptor is a copy of ours.
#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    peer: IpAddr,
    /// Encrypted.
    secure: bool,
    opened: Duration,
    conduct: Conduct,
    /// Sessions that were made over this connection. They belong to it alone.
    sessions: BTreeSet<String>,
    full_since: Option<Duration>,
    ended: bool,
    /// What is asked of whoever wants to log in.
    nonce: Option<String>,
}

/// What a look at the conduct of all connections led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Policed {
    /// Peers whose connections were ended as floods.
    pub(super) floods: Vec<IpAddr>,
    /// Connections ended because they did not say what they want.
    pub(super) slow: u64,
}

impl Connection {
    fn end(&mut self) {
        self.ended = true;
        socket::end(&self.socket);
    }
}

impl Connections {
    /// Room for `max` connections at once.
    pub(super) fn new(max: usize) -> Self {
        Self { max: Arc::new(AtomicUsize::new(max)), list: Arc::default() }
    }

    /// Room for so many from now on; who is in stays.
    pub(super) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// A client connected. With no room left, one that is nobody's viewer makes way; false if there is none, and the
    /// newcomer is disconnected.
    pub(super) fn open(&self, id: usize, socket: OwnedFd, peer: IpAddr, secure: bool, now: Duration) -> bool {
        let mut list = self.lock();
        if list.len() >= self.max.load(Ordering::Relaxed) {
            match least_needed(&list) {
                Some(least) => {
                    let mut least = list.remove(&least).expect("it was found in this list");
                    least.end();
                }
                None => {
                    socket::end(&socket);
                    return false;
                }
            }
        }
        let (conduct, sessions) = (Conduct::new(now), BTreeSet::new());
        let (full_since, ended, nonce) = (None, false, None);
        list.insert(id, Connection { socket, peer, secure, opened: now, conduct, sessions, full_since, ended, nonce });
        true
    }

    /// A client is gone; the sessions that were its own.
    pub(super) fn closed(&self, id: usize) -> BTreeSet<String> {
        self.lock().remove(&id).map(|connection| connection.sessions).unwrap_or_default()
    }

    /// A whole request came.
    pub(super) fn heard(&self, id: usize) {
        if let Some(connection) = self.lock().get_mut(&id) {
            connection.conduct.heard(socket::received_bytes(connection.socket.as_raw_fd()));
        }
    }

    /// A session was made over this connection.
    pub(super) fn own(&self, id: usize, session: &str) {
        if let Some(connection) = self.lock().get_mut(&id) {
            connection.sessions.insert(session.to_owned());
        }
    }

    /// Whether a session was made over this connection. Whoever learns the name of another's may do nothing with it.
    pub(super) fn owns(&self, id: usize, session: &str) -> bool {
        self.lock().get(&id).is_some_and(|connection| connection.sessions.contains(session))
    }

    /// A session is over.
    pub(super) fn disown(&self, session: &str) {
        self.lock().values_mut().for_each(|connection| {
            connection.sessions.remove(session);
        });
    }

    /// The address behind a connection.
    pub(super) fn peer(&self, id: usize) -> Option<IpAddr> {
        self.lock().get(&id).map(|connection| connection.peer)
    }

    /// Whether a connection is encrypted.
    pub(super) fn is_secure(&self, id: usize) -> bool {
        self.lock().get(&id).is_some_and(|connection| connection.secure)
    }

    /// The nonce of a connection, the same for its whole life: what answers it is worth nothing elsewhere.
    pub(super) fn nonce(&self, id: usize) -> Option<String> {
        Some(self.lock().get_mut(&id)?.nonce.get_or_insert_with(crate::auth::new_nonce).clone())
    }

    /// Whether a host has a connection.
    pub(super) fn is_peer(&self, host: IpAddr) -> bool {
        self.lock().values().any(|connection| connection.peer == host)
    }

    /// False once a connection was ended from here, or made way.
    pub(super) fn is_open(&self, id: usize) -> bool {
        self.lock().get(&id).is_some_and(|connection| !connection.ended)
    }

    /// Disconnects a client.
    pub(super) fn end(&self, id: usize) {
        if let Some(connection) = self.lock().get_mut(&id) {
            connection.end();
        }
    }

    /// Disconnects those that send too much, and those that do not say what they want.
    pub(super) fn police(&self, now: Duration) -> Policed {
        let mut policed = Policed::default();
        for connection in self.lock().values_mut().filter(|connection| !connection.ended) {
            let received = socket::received_bytes(connection.socket.as_raw_fd());
            match connection.conduct.judge(received, !connection.sessions.is_empty(), now) {
                Verdict::Fine => continue,
                Verdict::Flood => policed.floods.push(connection.peer),
                Verdict::Slow => policed.slow += 1,
            }
            connection.end();
        }
        policed
    }

    /// Disconnects those that are slower than the stream; says how many.
    pub(super) fn end_slow(&self, now: Duration) -> u64 {
        let mut ended = 0;
        for connection in self.lock().values_mut() {
            let unsent = socket::unsent_bytes(connection.socket.as_raw_fd());
            if judge(&mut connection.full_since, unsent > socket::SEND_BUFFER_BYTES / 2, now) {
                connection.end();
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

/// The oldest connection without a session, of the host that has most of them: somebody who opens hundreds and asks for
/// nothing keeps nobody out but himself.
fn least_needed(list: &BTreeMap<usize, Connection>) -> Option<usize> {
    let idle = || list.iter().filter(|(_, connection)| connection.sessions.is_empty());
    let mut by_host: BTreeMap<IpAddr, usize> = BTreeMap::new();
    idle().for_each(|(_, connection)| *by_host.entry(connection.peer).or_default() += 1);
    let (host, _) = by_host.into_iter().max_by_key(|(_, count)| *count)?;
    let oldest = idle().filter(|(_, connection)| connection.peer == host).min_by_key(|(_, c)| c.opened);
    oldest.map(|(id, _)| *id)
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
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn only_a_socket_that_stays_full_is_slow() {
        let mut since = None;
        let looks = [(true, 0), (true, 2), (false, 3), (true, 4), (true, 6), (true, 7), (true, 8)];
        let slow: Vec<bool> = looks.iter().map(|(full, at)| judge(&mut since, *full, S(*at))).collect();
        assert_eq!(slow, [false, false, false, false, false, true, false]);
    }

    /// The two ends of a connection: the client's, and ours.
    fn connect(listener: &TcpListener) -> (TcpStream, OwnedFd) {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0.into())
    }

    #[test]
    fn who_watches_nothing_makes_way() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = |n: u8| IpAddr::from([10, 0, 0, n]);
        let connections = Connections::new(4);
        let mut ends = Vec::new();
        for (id, owner) in [(1, 1), (2, 2), (3, 2), (4, 2)] {
            let (client, ours) = connect(&listener);
            assert!(connections.open(id, ours, host(owner), false, S(id as u64)));
            ends.push(client);
        }
        connections.own(2, "a");
        assert!(connections.open(5, connect(&listener).1, host(3), false, S(5)), "the oldest idle one of host 2 goes");
        assert_eq!(ends[2].read(&mut [0]).unwrap(), 0);
        assert!(connections.owns(2, "a") && !connections.owns(1, "a"));
        [1, 4, 5].iter().for_each(|id| connections.own(*id, "b"));
        assert!(!connections.open(6, connect(&listener).1, host(4), false, S(6)), "all are viewers");
        connections.disown("b");
        assert!(connections.open(6, connect(&listener).1, host(4), false, S(6)));
        assert_eq!((connections.closed(2), connections.count()), (BTreeSet::from(["a".to_owned()]), 3));
        assert!(connections.is_peer(host(4)) && !connections.is_peer(host(9)));
    }

    #[test]
    fn a_flood_is_seen_by_what_the_kernel_counts_and_thrown_away() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut client, ours) = connect(&listener);
        let mut reader = TcpStream::from(ours.try_clone().unwrap());
        let (connections, host) = (Connections::new(1), IpAddr::from([10, 0, 0, 1]));
        assert!(connections.open(1, ours, host, false, S(0)));
        client.write_all(&[b'x'; 1000]).unwrap();
        assert_eq!(connections.police(S(0)), Policed::default());
        client.write_all(&[b'x'; 60_000]).unwrap();
        assert_eq!(connections.police(S(0)), Policed { floods: vec![host], slow: 0 });
        assert_eq!(reader.read(&mut [0; 100]).unwrap(), 0, "nothing of it is left to read");
        assert_eq!(connections.police(S(0)), Policed::default(), "once is enough");
    }
}
