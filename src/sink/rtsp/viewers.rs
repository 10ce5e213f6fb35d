//! Who watches what: counts sessions by stream, so that limits can be kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::base::id::StreamId;

/// Shared by the server's callbacks: sessions by their id.
#[derive(Debug, Clone, Default)]
pub(super) struct Viewers(Arc<Mutex<BTreeMap<String, Viewer>>>);

#[derive(Debug)]
struct Viewer {
    stream: StreamId,
    connection: usize,
}

impl Viewers {
    /// True if one more viewer of `stream` is within the limits.
    pub(super) fn admits(&self, stream: &StreamId, of_stream: Option<u32>, in_all: u32) -> bool {
        let sessions = self.lock();
        let watching = sessions.values().filter(|v| v.stream == *stream).count() as u64;
        (sessions.len() as u64) < u64::from(in_all) && of_stream.is_none_or(|max| watching < u64::from(max))
    }

    /// A session watches a stream from now on; it was set up over this connection.
    pub(super) fn add(&self, session: &str, stream: &StreamId, connection: usize) {
        self.lock().insert(session.to_owned(), Viewer { stream: stream.clone(), connection });
    }

    /// The sessions of a connection.
    pub(super) fn of_connection(&self, connection: usize) -> Vec<String> {
        let sessions = self.lock();
        sessions.iter().filter(|(_, v)| v.connection == connection).map(|(id, _)| id.clone()).collect()
    }

    /// A session is over.
    pub(super) fn remove(&self, session: &str) {
        self.lock().remove(session);
    }

    /// Viewers of all streams.
    pub(super) fn count(&self) -> u64 {
        self.lock().len() as u64
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Viewer>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_by_stream_and_in_all() {
        let (a, b) = (StreamId::new("a").unwrap(), StreamId::new("b").unwrap());
        let viewers = Viewers::default();
        viewers.add("1", &a, 7);
        viewers.add("2", &a, 8);
        viewers.add("2", &a, 8);
        assert_eq!(viewers.of_connection(8), ["2"]);
        assert!(!viewers.admits(&a, Some(2), 10));
        assert!(viewers.admits(&b, Some(2), 10));
        assert!(!viewers.admits(&b, None, 2));
        viewers.remove("1");
        assert!(viewers.admits(&a, Some(2), 2));
    }
}
