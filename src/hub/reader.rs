//! A reader with a bounded queue of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::media::access_unit::AccessUnit;

use super::{Offered, Outlet};

/// What happens when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// For people watching now: everything queued is dropped, and reading goes on at the next keyframe.
    Live {
        /// Longest queue, in time.
        depth: Duration,
    },
    /// For recorders: what is queued is kept, newer access units are dropped up to the next keyframe that fits, and
    /// the reader is told of the gap. A slate is nothing to record: it is passed over.
    Lossless {
        /// Longest queue, in time.
        depth: Duration,
        /// Longest queue, in bytes: time alone does not bound memory.
        bytes: usize,
    },
}

/// What a reader gets.
#[derive(Debug)]
pub enum Received {
    /// The next access unit.
    Unit(Arc<AccessUnit>),
    /// So many access units are missing before the next one.
    Gap(u64),
    /// Nothing came in time.
    TimedOut,
}

/// The reading end. Dropping it ends the subscription.
pub struct Reader(Arc<Queue>);

struct Queue {
    state: Mutex<QueueState>,
    arrived: Condvar,
}

struct QueueState {
    policy: Policy,
    units: VecDeque<Arc<AccessUnit>>,
    bytes: usize,
    /// Reading can go on only at a keyframe. True at first: a newcomer cannot begin in the middle.
    needs_keyframe: bool,
    /// A slate was passed over, and what builds on it is no loss.
    after_slate: bool,
    /// Dropped since the newest queued unit, not yet told.
    gap: u64,
    /// Gaps to tell, each before the unit of this position from the front.
    gaps: VecDeque<(u64, u64)>,
    taken: u64,
    queued: u64,
    dropped: u64,
}

pub(super) struct QueueOutlet(std::sync::Weak<Queue>);

pub(super) fn pair(policy: Policy) -> (QueueOutlet, Reader) {
    let state = QueueState {
        policy,
        units: VecDeque::new(),
        bytes: 0,
        needs_keyframe: true,
        after_slate: false,
        gap: 0,
        gaps: VecDeque::new(),
        taken: 0,
        queued: 0,
        dropped: 0,
    };
    let queue = Arc::new(Queue { state: Mutex::new(state), arrived: Condvar::new() });
    (QueueOutlet(Arc::downgrade(&queue)), Reader(queue))
}

impl Outlet for QueueOutlet {
    fn offer(&mut self, unit: &Arc<AccessUnit>) -> Offered {
        let Some(queue) = self.0.upgrade() else { return Offered::Gone };
        let mut state = queue.state.lock().expect("nothing panics while it holds this lock");
        let offered = state.offer(unit);
        drop(state);
        if offered == Offered::Taken {
            queue.arrived.notify_one();
        }
        offered
    }
}

impl QueueState {
    fn offer(&mut self, unit: &Arc<AccessUnit>) -> Offered {
        if unit.slate && matches!(self.policy, Policy::Lossless { .. }) {
            (self.needs_keyframe, self.after_slate) = (true, true);
            return Offered::Taken;
        }
        // From here on nothing builds on the slate any more.
        self.after_slate &= !unit.keyframe;
        if self.is_full(unit) {
            if let Policy::Live { .. } = self.policy {
                self.drop_queued();
            }
            self.needs_keyframe = true;
        }
        if self.needs_keyframe && (!unit.keyframe || self.is_full(unit)) {
            return self.refuse();
        }
        self.needs_keyframe = false;
        if self.gap > 0 {
            self.gaps.push_back((self.queued, self.gap));
            self.gap = 0;
        }
        self.bytes += unit.data.len();
        self.units.push_back(unit.clone());
        self.queued += 1;
        Offered::Taken
    }

    fn refuse(&mut self) -> Offered {
        // A newcomer that has had nothing yet misses nothing.
        if self.queued > 0 && !self.after_slate {
            self.gap += 1;
            self.dropped += 1;
        }
        // A full recorder queue has no use for a keyframe now; it takes the next one after it has drained.
        if self.units.is_empty() { Offered::NeedsKeyframe } else { Offered::Taken }
    }

    fn is_full(&self, unit: &AccessUnit) -> bool {
        let Some(oldest) = self.units.front() else { return false };
        let held = unit.pts.saturating_sub(oldest.pts);
        match self.policy {
            Policy::Live { depth } => held > depth,
            Policy::Lossless { depth, bytes } => held > depth || self.bytes + unit.data.len() > bytes,
        }
    }

    fn drop_queued(&mut self) {
        let lost = self.units.len() as u64;
        self.gap += lost + self.gaps.drain(..).map(|(_, lost)| lost).sum::<u64>();
        self.dropped += lost;
        self.taken += lost;
        self.units.clear();
        self.bytes = 0;
    }

    fn take(&mut self) -> Option<Received> {
        if let Some(&(before, lost)) = self.gaps.front()
            && before == self.taken
        {
            self.gaps.pop_front();
            return Some(Received::Gap(lost));
        }
        let unit = self.units.pop_front()?;
        self.bytes -= unit.data.len();
        self.taken += 1;
        Some(Received::Unit(unit))
    }
}

impl Reader {
    /// Waits up to `timeout` for the next access unit or gap.
    pub fn recv(&self, timeout: Duration) -> Received {
        let state = self.0.state.lock().expect("nothing panics while it holds this lock");
        let waited = self.0.arrived.wait_timeout_while(state, timeout, |s| s.units.is_empty());
        let (mut state, _) = waited.expect("nothing panics while it holds this lock");
        state.take().unwrap_or(Received::TimedOut)
    }

    /// Access units dropped so far because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.0.state.lock().expect("nothing panics while it holds this lock").dropped
    }

    /// Access units waiting now.
    pub fn queued(&self) -> usize {
        self.0.state.lock().expect("nothing panics while it holds this lock").units.len()
    }
}
