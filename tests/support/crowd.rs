//! Many viewers in one thread.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::rtsp::{Step, Transport, Viewer};
use super::wait::now;

/// Viewers of one server.
pub(crate) struct Crowd {
    server: SocketAddr,
    /// The viewers, ended ones too until [`Crowd::forget_ended`].
    pub(crate) viewers: Vec<Viewer>,
    scratch: Vec<u8>,
}

impl Crowd {
    /// Nobody yet.
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self { server, viewers: Vec::new(), scratch: vec![0; 256 << 10] }
    }

    /// Lets `count` viewers of `path` begin to connect.
    pub(crate) fn join(&mut self, count: usize, path: &str, transport: Transport) {
        for _ in 0..count {
            let viewer = Viewer::begin(self.server, path, transport);
            self.viewers.push(viewer.expect("the kernel gives a socket: raise the limit of open files"));
        }
    }

    /// Waits until something comes, at most so long, and lets everybody concerned take it.
    pub(crate) fn turn(&mut self, wait: Duration) {
        let mut owners = Vec::new();
        let mut sockets = Vec::new();
        for (owner, viewer) in self.viewers.iter().enumerate().filter(|(_, viewer)| viewer.alive()) {
            let wanted = if viewer.step == Step::Connecting { PollFlags::OUT } else { PollFlags::IN };
            for socket in viewer.sockets() {
                owners.push(owner);
                sockets.push(PollFd::from_borrowed_fd(socket, wanted));
            }
        }
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.min(Duration::from_millis(999)).subsec_nanos().into() };
        if sockets.is_empty() || poll(&mut sockets, Some(&wait)).is_err() {
            return;
        }
        let mut ready: Vec<usize> = owners
            .into_iter()
            .zip(&sockets)
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|(owner, _)| owner)
            .collect();
        drop(sockets);
        ready.dedup();
        for owner in ready {
            self.viewers[owner].turn(&mut self.scratch);
        }
    }

    /// Goes on until `done` says so (true) or the limit has passed (false).
    pub(crate) fn until(&mut self, limit: Duration, mut done: impl FnMut(&[Viewer]) -> bool) -> bool {
        let end = now() + limit;
        while !done(&self.viewers) {
            if now() >= end {
                return false;
            }
            self.turn(Duration::from_millis(20));
        }
        true
    }

    /// Watches for a time. Packets are taken in bunches of some milliseconds, so that the crowd itself needs little of
    /// the processor that is being measured.
    pub(crate) fn watch(&mut self, time: Duration) {
        let end = now() + time;
        while now() < end {
            self.turn(Duration::from_millis(10));
            std::thread::sleep(Duration::from_millis(4));
        }
    }

    /// Waits until everybody has a picture. Says who has none, and where they stand.
    pub(crate) fn everybody_sees(&mut self, limit: Duration) -> Result<(), String> {
        let seen = |viewer: &Viewer| viewer.received.first_keyframe.is_some() || !viewer.alive();
        self.until(limit, |viewers| viewers.iter().all(seen));
        let blind: Vec<String> = self
            .viewers
            .iter()
            .filter(|viewer| viewer.received.first_keyframe.is_none())
            .map(|viewer| format!("{:?} with {} packets", viewer.step, viewer.received.packets))
            .collect();
        let Some(first) = blind.first() else { return Ok(()) };
        Err(format!("{} of {} saw nothing in {limit:?}, the first: {first}", blind.len(), self.viewers.len()))
    }

    /// Lets all leave, every `abrupt_every`-th without a word (0: none), and waits for the goodbyes.
    pub(crate) fn leave(&mut self, abrupt_every: usize) {
        for (number, viewer) in self.viewers.iter_mut().enumerate() {
            if abrupt_every > 0 && number % abrupt_every == 0 { viewer.vanish() } else { viewer.leave() }
        }
        self.until(Duration::from_secs(2), |viewers| viewers.iter().all(|viewer| !viewer.alive()));
        self.viewers.clear();
    }

    /// Forgets those who ended.
    pub(crate) fn forget_ended(&mut self) {
        self.viewers.retain(Viewer::alive);
    }

    /// Packets lost by anybody.
    pub(crate) fn lost(&self) -> u64 {
        self.viewers.iter().map(|viewer| viewer.received.lost).sum()
    }
}
