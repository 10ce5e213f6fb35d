//! Between the source and the encoder: hands on the pictures of the camera, and in their place those of the slate.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::base::heartbeat::Heartbeat;
use crate::base::request::RequestKeyframe;
use crate::encode::Input;

/// An encoder that runs.
pub(super) struct Fed {
    /// Where raw pictures enter it.
    pub(super) input: Input,
    /// Asks it for a keyframe.
    pub(super) keyframes: Arc<dyn RequestKeyframe>,
}

/// Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Link {
    state: Arc<Mutex<State>>,
    marks: Marks,
    /// The source delivers an encoded stream: there is nothing to encode.
    native: Arc<AtomicBool>,
    /// Beats with every picture for the encoder.
    fed: Heartbeat,
}

#[derive(Default)]
struct State {
    encoder: Option<Fed>,
    /// What the camera's pictures look like.
    caps: Option<gst::Caps>,
    last: Option<Duration>,
    slate: bool,
    /// When a keyframe of the slate was asked for.
    asked: Duration,
}

impl Link {
    pub(super) fn set_encoder(&self, encoder: Option<Fed>) {
        let old = std::mem::replace(&mut self.lock().encoder, encoder);
        // Dropped after the lock is free: the source must not wait for it.
        drop(old);
    }

    pub(super) fn set_native(&self, native: bool) {
        self.native.store(native, Ordering::Release);
    }

    /// True while the source delivers an encoded stream.
    pub(super) fn is_native(&self) -> bool {
        self.native.load(Ordering::Acquire)
    }

    /// Beats with every picture for the encoder, of the camera or a slate.
    pub(super) fn fed(&self) -> &Heartbeat {
        &self.fed
    }

    /// What the last pictures of the camera looked like.
    pub(super) fn caps(&self) -> Option<gst::Caps> {
        self.lock().caps.clone()
    }

    /// Which pictures are no camera's.
    pub(super) fn marks(&self) -> Marks {
        self.marks.clone()
    }

    /// A picture of the camera, on the source's streaming thread. It takes over from the slate at once, with a keyframe.
    pub(super) fn push(&self, sample: &gst::Sample, pts: Duration, now: Duration) {
        let mut state = self.lock();
        let caps = sample.caps_owned();
        if state.caps != caps {
            state.caps = caps;
        }
        // Taken before the last slate was drawn, and on its way since then.
        if state.slate && state.last.is_some_and(|last| pts <= last) {
            return;
        }
        self.hand_on(&mut state, sample, pts, now, false);
    }

    /// A slate, unless `returned` says that the camera is back.
    pub(super) fn push_slate(
        &self,
        sample: &gst::Sample,
        now: Duration,
        keyframe_every: Duration,
        returned: impl Fn() -> bool,
    ) {
        let mut state = self.lock();
        if returned() || self.is_native() || state.last.is_some_and(|last| now <= last) {
            return;
        }
        // The encoder counts pictures, and of slates there are few: it would make one every few seconds.
        if state.slate && now.saturating_sub(state.asked) >= keyframe_every {
            state.asked = now;
            state.ask("slate");
        }
        self.hand_on(&mut state, sample, now, now, true);
    }

    fn hand_on(&self, state: &mut State, sample: &gst::Sample, pts: Duration, now: Duration, slate: bool) {
        if std::mem::replace(&mut state.slate, slate) != slate {
            self.marks.turn(pts, slate);
            state.asked = now;
            state.ask(if slate { "slate" } else { "live again" });
        }
        state.last = Some(pts);
        self.fed.tick(now);
        if let Some(encoder) = &mut state.encoder {
            encoder.input.push(sample, pts);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl State {
    fn ask(&self, why: &'static str) {
        if let Some(encoder) = &self.encoder {
            encoder.keyframes.request_keyframe(why);
        }
    }
}

/// From when on pictures are slates or the camera's again. Shared with what comes out of the encoder.
#[derive(Clone, Default)]
pub(super) struct Marks(Arc<Mutex<VecDeque<(Duration, bool)>>>);

/// More turns than can be in an encoder at once.
const MOST_TURNS: usize = 16;
/// Drivers count time stamps in microseconds; pictures are 4 ms apart or more.
const ROUNDED: Duration = Duration::from_millis(1);

impl Marks {
    fn turn(&self, pts: Duration, slate: bool) {
        let mut turns = self.0.lock().expect("nothing panics while it holds this lock");
        if turns.len() >= MOST_TURNS {
            turns.pop_front();
        }
        turns.push_back((pts, slate));
    }

    /// True if the picture of this time is a slate.
    pub(super) fn is_slate(&self, pts: Duration) -> bool {
        let turns = self.0.lock().expect("nothing panics while it holds this lock");
        turns.iter().rev().find(|(from, _)| *from <= pts + ROUNDED).is_some_and(|(_, slate)| *slate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> gst::Sample {
        gst::init().unwrap();
        let caps = "video/x-raw,format=I420,width=16,height=16,framerate=30/1".parse().unwrap();
        gst::Sample::builder().buffer(&gst::Buffer::with_size(384).unwrap()).caps(&caps).build()
    }

    const EVERY: Duration = Duration::from_secs(1);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn marks_say_which_pictures_are_slates() {
        let (link, sample) = (Link::default(), sample());
        link.push(&sample, ms(1000), ms(1030));
        link.push_slate(&sample, ms(2100), EVERY, || false);
        link.push_slate(&sample, ms(2300), EVERY, || false);
        // One that was on its way when the slate was drawn is not put behind it.
        link.push(&sample, ms(2290), ms(2320));
        link.push(&sample, ms(2323), ms(2353));
        let marks = link.marks();
        let slates: Vec<u64> =
            [999, 1000, 2099, 2100, 2300, 2323, 9000].into_iter().filter(|n| marks.is_slate(ms(*n))).collect();
        assert_eq!(slates, [2099, 2100, 2300], "2099: within what drivers round");
        assert_eq!(link.fed().count(), 4);
        assert!(link.caps().is_some());
    }

    #[test]
    fn a_slate_that_comes_late_stays_away() {
        let (link, sample) = (Link::default(), sample());
        link.push(&sample, ms(1000), ms(1030));
        link.push_slate(&sample, ms(2100), EVERY, || true);
        link.push_slate(&sample, ms(900), EVERY, || false);
        link.set_native(true);
        link.push_slate(&sample, ms(2200), EVERY, || false);
        assert!(!link.marks().is_slate(ms(2300)));
        assert_eq!(link.fed().count(), 1);
    }
}
