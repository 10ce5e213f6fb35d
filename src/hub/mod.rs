//! One encoded stream, many readers.
//!
//! The inlet runs on the encoder's streaming thread and never waits: each reader has its own bounded queue and a
//! stated policy, and what a slow reader misses is its own loss. Access units are shared, never copied.

mod keyframe;
mod picture;
mod reader;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::base::clock::Clock;
use crate::base::request::RequestKeyframe;
use crate::media::access_unit::{AccessUnit, EncodedFormat};

use keyframe::KeyframeGate;
pub use picture::{Picture, PictureSlot};
pub use reader::{Policy, Reader, Received};

/// A group of pictures larger than this is not cached: a newcomer then waits for the next keyframe. 16 MiB is one
/// second at 128 Mbit/s.
const MAX_CACHED_BYTES: usize = 16 << 20;

/// Takes access units on the encoder's thread. Must return at once.
pub trait Outlet: Send {
    /// Offers one access unit; the answer decides what happens next.
    fn offer(&mut self, unit: &Arc<AccessUnit>) -> Offered;
}

/// What an outlet did with an access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// Took it.
    Taken,
    /// Could not use it and can go on only from a keyframe.
    NeedsKeyframe,
    /// Is gone and wants no more.
    Gone,
}

/// One encoded stream. Cheap to clone; the stream lives as long as the daemon, whether or not a source feeds it.
#[derive(Clone)]
pub struct Hub(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    encoder: Mutex<Option<Arc<dyn RequestKeyframe>>>,
    units: AtomicU64,
    slates: AtomicU64,
}

struct State {
    /// The newest keyframe and everything after it.
    gop: Vec<Arc<AccessUnit>>,
    gop_bytes: usize,
    outlets: Vec<Box<dyn Outlet>>,
    gate: KeyframeGate,
    last: Option<Arc<AccessUnit>>,
}

impl Hub {
    /// A stream without frames and readers.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state =
            State { gop: Vec::new(), gop_bytes: 0, outlets: Vec::new(), gate: KeyframeGate::default(), last: None };
        Self(Arc::new(Shared {
            clock,
            state: Mutex::new(state),
            encoder: Mutex::new(None),
            units: AtomicU64::new(0),
            slates: AtomicU64::new(0),
        }))
    }

    /// Names the encoder that answers keyframe requests; `None` while there is none.
    pub fn set_encoder(&self, encoder: Option<Arc<dyn RequestKeyframe>>) {
        *self.0.encoder.lock().expect("nothing panics while it holds this lock") = encoder;
    }

    /// Hands one access unit to every outlet. Called on the encoder's streaming thread. A unit that is not later
    /// than the one before it is refused (returns false): readers rely on strictly increasing time.
    pub fn publish(&self, unit: AccessUnit) -> bool {
        let now = self.0.clock.monotonic();
        let (slate, unit) = (unit.slate, Arc::new(unit));
        let mut state = self.lock();
        if state.last.as_ref().is_some_and(|last| unit.pts <= last.pts) {
            return false;
        }
        state.remember(&unit);
        let mut wants_keyframe = false;
        state.outlets.retain_mut(|outlet| {
            let offered = outlet.offer(&unit);
            wants_keyframe |= offered == Offered::NeedsKeyframe;
            offered != Offered::Gone
        });
        if unit.keyframe {
            state.gate.keyframe(now);
        }
        if wants_keyframe {
            state.gate.ask();
        }
        let due = state.gate.due(now);
        drop(state);
        self.0.slates.fetch_add(u64::from(slate), Ordering::Relaxed);
        self.0.units.fetch_add(1, Ordering::Relaxed);
        if due {
            self.ask_encoder("reader");
        }
        true
    }

    /// Adds an outlet that runs on the encoder's thread. With `replay` it first gets the cached group of pictures.
    pub fn attach(&self, mut outlet: Box<dyn Outlet>, replay: bool) {
        let mut state = self.lock();
        if replay {
            for unit in &state.gop {
                outlet.offer(unit);
            }
        }
        state.outlets.push(outlet);
    }

    /// Adds a reader with a queue of its own. With `replay` the queue begins with the cached group of pictures, so
    /// that the newcomer has a picture at once.
    pub fn subscribe(&self, policy: Policy, replay: bool) -> Reader {
        let (outlet, reader) = reader::pair(policy);
        self.attach(Box::new(outlet), replay);
        reader
    }

    /// The format of the stream, once a keyframe has come.
    pub fn format(&self) -> Option<Arc<EncodedFormat>> {
        self.lock().last.as_ref().map(|unit| unit.format.clone())
    }

    /// The newest keyframe and everything after it, oldest first.
    pub fn cached(&self) -> Vec<Arc<AccessUnit>> {
        self.lock().gop.clone()
    }

    /// How many of them no camera took.
    pub fn slates(&self) -> u64 {
        self.0.slates.load(Ordering::Relaxed)
    }

    /// Access units so far.
    pub fn units(&self) -> u64 {
        self.0.units.load(Ordering::Relaxed)
    }

    /// Outlets attached now.
    pub fn outlets(&self) -> usize {
        self.lock().outlets.len()
    }

    fn ask_encoder(&self, why: &'static str) {
        let encoder = self.0.encoder.lock().expect("nothing panics while it holds this lock").clone();
        if let Some(encoder) = encoder {
            encoder.request_keyframe(why);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl RequestKeyframe for Hub {
    /// Asks at once if the last keyframe is long enough ago, else with the first access unit after that.
    fn request_keyframe(&self, why: &'static str) {
        let now = self.0.clock.monotonic();
        let due = {
            let mut state = self.lock();
            state.gate.ask();
            state.gate.due(now)
        };
        if due {
            self.ask_encoder(why);
        }
    }
}

impl State {
    fn remember(&mut self, unit: &Arc<AccessUnit>) {
        self.last = Some(unit.clone());
        if unit.keyframe {
            self.gop.clear();
            self.gop_bytes = 0;
        } else if self.gop.is_empty() {
            return;
        }
        self.gop_bytes += unit.data.len();
        if self.gop_bytes > MAX_CACHED_BYTES {
            self.gop = Vec::new();
            self.gop_bytes = 0;
        } else {
            self.gop.push(unit.clone());
        }
    }
}

#[cfg(test)]
mod tests;
