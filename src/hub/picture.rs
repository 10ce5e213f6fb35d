//! The newest raw picture of a camera, for whoever wants one now and then: snapshots, detectors.

use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A raw picture: the sample holds the pixels and their format.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Pixels and caps; shared with the encoder, never copied.
    pub sample: gst::Sample,
    /// Capture time on `CLOCK_MONOTONIC`.
    pub pts: Duration,
}

/// Holds one picture; a newer one replaces it. Holding one buffer of a camera's pool is bounded and allowed for in
/// the number of buffers that sources ask for.
#[derive(Debug, Clone, Default)]
pub struct PictureSlot(Arc<Mutex<Option<Picture>>>);

impl PictureSlot {
    /// An empty slot.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the picture; called on the source's streaming thread.
    pub fn put(&self, picture: Picture) {
        let old = self.lock().replace(picture);
        // Dropped after the lock is free: giving a buffer back to a driver may take a moment.
        drop(old);
    }

    /// Empties the slot: the source is gone, and an old picture must not pass for a new one.
    pub fn clear(&self) {
        drop(self.lock().take());
    }

    /// The newest picture, if the source is there.
    pub fn newest(&self) -> Option<Picture> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Picture>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}
