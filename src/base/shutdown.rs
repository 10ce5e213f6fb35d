//! One token, cloned everywhere: the first signal asks for a clean end, the second for an immediate one.

use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

/// How the daemon is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Finish the open segment, say goodbye, leave within two seconds.
    Graceful,
    /// Leave at once.
    Now,
}

/// Cheap to clone; threads wait on it, tasks await it.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Default)]
struct Inner {
    asked: Mutex<Option<Stop>>,
    changed: Condvar,
    notify: tokio::sync::Notify,
    children: Mutex<Vec<Weak<Inner>>>,
}

impl Shutdown {
    /// A token that nobody has triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everybody to stop. `Now` overrides `Graceful`, never the other way round.
    pub fn trigger(&self, how: Stop) {
        let mut asked = self.0.asked.lock().expect("nothing panics while it holds this lock");
        *asked = (*asked).max(Some(how));
        drop(asked);
        self.0.changed.notify_all();
        self.0.notify.notify_waiters();
        let children = self.children().iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
        children.into_iter().for_each(|child| Self(child).trigger(how));
    }

    /// A token for one part: it stops with this one, and can be asked to stop alone.
    pub fn child(&self) -> Self {
        let child = Self::new();
        let mut children = self.children();
        children.retain(|child| child.strong_count() > 0);
        children.push(Arc::downgrade(&child.0));
        drop(children);
        // Asked after it is in the list: whoever triggers meanwhile reaches it one way or the other.
        if let Some(how) = self.asked() {
            child.trigger(how);
        }
        child
    }

    fn children(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Inner>>> {
        self.0.children.lock().expect("nothing panics while it holds this lock")
    }

    /// What was asked, if anything.
    pub fn asked(&self) -> Option<Stop> {
        *self.0.asked.lock().expect("nothing panics while it holds this lock")
    }

    /// Sleeps for `time` unless a stop is asked first. Returns true when it is time to stop.
    pub fn wait(&self, time: Duration) -> bool {
        let asked = self.0.asked.lock().expect("nothing panics while it holds this lock");
        let wait = self.0.changed.wait_timeout_while(asked, time, |asked| asked.is_none());
        wait.expect("nothing panics while it holds this lock").0.is_some()
    }

    /// Completes when a stop is asked.
    pub async fn asked_async(&self) {
        loop {
            let notified = self.0.notify.notified();
            if self.asked().is_some() {
                return;
            }
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_stops_with_its_parent_or_alone() {
        let parent = Shutdown::new();
        let (one, other) = (parent.child(), parent.child());
        one.trigger(Stop::Graceful);
        assert_eq!((one.asked(), other.asked(), parent.asked()), (Some(Stop::Graceful), None, None));
        for _ in 0..9 {
            parent.child();
        }
        assert!(parent.children().len() <= 3, "those that are gone are forgotten");
        parent.trigger(Stop::Now);
        assert_eq!((one.asked(), other.asked()), (Some(Stop::Now), Some(Stop::Now)));
        assert_eq!(parent.child().asked(), Some(Stop::Now), "a late one, too");
    }

    #[test]
    fn the_harder_stop_wins() {
        let token = Shutdown::new();
        assert!(!token.wait(Duration::ZERO));
        token.trigger(Stop::Now);
        token.trigger(Stop::Graceful);
        assert_eq!(token.asked(), Some(Stop::Now));
        assert!(token.wait(Duration::from_secs(60)));
    }
}
