//! Who watches what: counts by stream, so that limits can be kept.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::base::id::StreamId;

/// Shared by the server's callbacks: what each session watches. One session may watch several streams.
#[derive(Debug, Clone, Default)]
pub(super) struct Viewers(Arc<Mutex<BTreeMap<(String, StreamId), Viewer>>>);

#[derive(Debug)]
struct Viewer {
    connection: usize,
    /// Whose connection it is.
    host: Option<IpAddr>,
    playing: bool,
}

/// How many may watch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// One stream; `None` without a limit of its own.
    pub(super) of_stream: Option<u32>,
    /// From one host.
    pub(super) of_host: u32,
    /// All streams.
    pub(super) in_all: u32,
}

/// What may be answered to a SETUP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes.
    Admitted,
    /// It would be one viewer too many.
    TooMany,
    /// It plays already: the library exchanges the transport under the running stream and then trips over it. Or its
    /// connection watches this stream in another session: one connection could take every viewer's place.
    Playing,
}

impl Viewers {
    /// Whether a session (none yet, for a newcomer) may set up `stream`.
    pub(super) fn admits(
        &self,
        session: Option<&str>,
        connection: usize,
        host: Option<IpAddr>,
        stream: &StreamId,
        limits: Limits,
    ) -> Admission {
        let viewers = self.lock();
        if let Some(viewer) = session.and_then(|id| viewers.get(&(id.to_owned(), stream.clone()))) {
            return if viewer.playing { Admission::Playing } else { Admission::Admitted };
        }
        if viewers.iter().any(|((_, s), viewer)| s == stream && viewer.connection == connection) {
            return Admission::Playing;
        }
        let of_stream = viewers.keys().filter(|(_, s)| s == stream).count() as u64;
        let of_host = viewers.values().filter(|viewer| viewer.host == host).count() as u64;
        let room = (viewers.len() as u64) < u64::from(limits.in_all)
            && of_host < u64::from(limits.of_host)
            && limits.of_stream.is_none_or(|max| of_stream < u64::from(max));
        if room { Admission::Admitted } else { Admission::TooMany }
    }

    /// A session has set up a stream over this connection.
    pub(super) fn add(&self, session: &str, stream: &StreamId, connection: usize, host: Option<IpAddr>) {
        self.lock().insert((session.to_owned(), stream.clone()), Viewer { connection, host, playing: false });
    }

    /// A session plays or pauses a stream.
    pub(super) fn set_playing(&self, session: &str, stream: &StreamId, playing: bool) {
        if let Some(viewer) = self.lock().get_mut(&(session.to_owned(), stream.clone())) {
            viewer.playing = playing;
        }
    }

    /// A session no longer watches a stream.
    pub(super) fn remove(&self, session: &str, stream: &StreamId) {
        self.lock().remove(&(session.to_owned(), stream.clone()));
    }

    /// A session is over.
    pub(super) fn remove_session(&self, session: &str) {
        self.lock().retain(|(id, _), _| id != session);
    }

    /// The connections that watch a stream.
    pub(super) fn connections_of(&self, stream: &StreamId) -> Vec<usize> {
        self.lock().iter().filter(|((_, s), _)| s == stream).map(|(_, v)| v.connection).collect()
    }

    /// Viewers of all streams.
    pub(super) fn count(&self) -> u64 {
        self.lock().len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, StreamId), Viewer>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::Admission::{Admitted, Playing, TooMany};
    use super::*;

    fn host(n: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, n]))
    }

    fn limits(of_stream: Option<u32>, of_host: u32, in_all: u32) -> Limits {
        Limits { of_stream, of_host, in_all }
    }

    #[test]
    fn limits_hold_by_stream_by_host_and_in_all() {
        let (a, b) = (StreamId::new("a").unwrap(), StreamId::new("b").unwrap());
        let viewers = Viewers::default();
        viewers.add("1", &a, 7, host(1));
        viewers.add("2", &a, 8, host(1));
        viewers.add("2", &a, 8, host(1));
        assert_eq!(viewers.connections_of(&a), [7, 8]);
        assert_eq!(viewers.admits(None, 9, host(2), &a, limits(Some(2), 9, 10)), TooMany);
        assert_eq!(viewers.admits(None, 7, host(1), &a, limits(Some(9), 9, 10)), Playing, "twice on one connection");
        assert_eq!(viewers.admits(None, 9, host(2), &b, limits(Some(2), 9, 10)), Admitted);
        assert_eq!(viewers.admits(None, 9, host(2), &b, limits(None, 9, 2)), TooMany);
        assert_eq!(viewers.admits(None, 9, host(1), &b, limits(None, 2, 10)), TooMany, "the host has two");
        assert_eq!(viewers.admits(None, 9, host(2), &b, limits(None, 2, 10)), Admitted, "another has none");
        // A second stream in the same session is one more viewer.
        assert_eq!(viewers.admits(Some("1"), 7, host(1), &b, limits(None, 9, 2)), TooMany);
        viewers.remove_session("1");
        assert_eq!(viewers.admits(None, 9, host(1), &a, limits(Some(2), 2, 2)), Admitted);
    }

    #[test]
    fn a_transport_is_not_exchanged_while_it_plays() {
        let (a, one) = (StreamId::new("a").unwrap(), limits(Some(1), 1, 1));
        let viewers = Viewers::default();
        viewers.add("1", &a, 7, host(1));
        assert_eq!(viewers.admits(Some("1"), 7, host(1), &a, one), Admitted);
        viewers.set_playing("1", &a, true);
        assert_eq!(viewers.admits(Some("1"), 7, host(1), &a, one), Playing);
        viewers.set_playing("1", &a, false);
        assert_eq!(viewers.admits(Some("1"), 7, host(1), &a, one), Admitted);
        viewers.remove("1", &a);
        assert_eq!(viewers.count(), 0);
    }
}
