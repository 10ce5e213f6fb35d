//! Viewers who watch while something is done to the daemon, and tell afterwards what they missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use windhover::base::task;

use super::crowd::Crowd;
use super::daemon::Daemon;
use super::rtsp::Transport;

/// One viewer over TCP and one over UDP, in a thread of their own.
pub(crate) struct Witnesses {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Option<Crowd>>,
}

impl Witnesses {
    /// Both see a picture when this returns.
    pub(crate) fn of(daemon: &Daemon) -> Self {
        let mut crowd = daemon.crowd();
        crowd.join(1, "/live", Transport::Tcp);
        crowd.join(1, "/live", Transport::Udp);
        crowd.everybody_sees(Duration::from_secs(10)).expect("both see");
        let over = Arc::new(AtomicBool::new(false));
        let end = over.clone();
        let thread = task::thread("witnesses", move || {
            while !end.load(Ordering::Acquire) {
                crowd.turn(Duration::from_millis(20));
            }
            crowd
        });
        Self { over, thread }
    }

    /// Panics if one of them lost a packet or the connection; both must see another second of video now.
    pub(crate) fn missed_nothing(self) {
        self.over.store(true, Ordering::Release);
        let mut crowd = self.thread.join().expect("it does not panic").expect("it does not panic");
        let before: Vec<u64> = crowd.viewers.iter().map(|viewer| viewer.received.frames).collect();
        let goes_on = crowd.until(Duration::from_secs(10), |viewers| {
            viewers.iter().zip(&before).all(|(viewer, before)| viewer.received.frames > before + 30)
        });
        let steps: Vec<_> = crowd.viewers.iter().map(|viewer| viewer.step.clone()).collect();
        assert!(goes_on, "video does not go on: {steps:?}");
        assert_eq!(crowd.lost(), 0, "packets were lost");
    }
}
