//! One camera assembled: source, newest picture, encoder, hub.
//!
//! A frame is made in `source`, on the source's streaming thread; `camera` puts it into the slot of the
//! newest picture and into the encoder's queue and returns; the encoder's thread brings it through `encode::Framer`
//! into the `hub`, which offers it to every reader. Nothing on this way waits for anything.
//!
//! While the source delivers nothing, `slate` feeds the encoder a picture that says so.
//!
//! Source and encoder are two pipelines, each kept alive by a thread of its own (`camera`, `encoder`): one that
//! fails is rebuilt, and the other one does not notice.

mod camera;
mod controls;
mod driver;
mod encoder;
mod ended;
mod find;
mod link;
mod rate;
mod slate;
mod stamps;
mod state;

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::base::clock::Clock;
use crate::base::health::{Condition, Health};
use crate::base::heartbeat::Heartbeat;
use crate::base::shutdown::Shutdown;
use crate::base::task;
use crate::hub::{Hub, PictureSlot};
use crate::media::access_unit::AccessUnit;
use crate::plan::{EncodePlan, StreamPlan};
use crate::probe::v4l2::Devices;

use link::{Link, Marks};

/// What a camera needs from the rest of the house.
pub struct Setup {
    /// What to run.
    pub plan: StreamPlan,
    /// Where encoded pictures go.
    pub hub: Hub,
    /// Where the newest raw picture goes.
    pub pictures: PictureSlot,
    /// The v4l2 devices, among which a camera is looked for each time it is opened.
    pub devices: Arc<dyn Devices>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The book of conditions and faults.
    pub health: Health,
    /// When to end.
    pub shutdown: Shutdown,
}

/// A running camera.
pub struct Handle {
    /// By what it shows that it advances.
    pub beats: Beats,
    wanted: Wanted,
    threads: Vec<JoinHandle<Option<()>>>,
}

/// By what a camera shows that it advances.
#[derive(Clone, Default)]
pub struct Beats {
    /// Beats with every picture of the source.
    pub frames: Heartbeat,
    /// Beats while encoded pictures come, if there is an encoder.
    pub encoded: Heartbeat,
    /// Beats while the thread that keeps the source alive goes round, whatever the source does.
    pub camera_alive: Heartbeat,
    /// The same for the encoder's.
    pub encoder_alive: Heartbeat,
}

/// What the encoder is to do from now on, until it has taken it.
type Wanted = Arc<Mutex<Option<EncodePlan>>>;

/// Starts a camera: it opens, watches and reopens its source and its encoder until the daemon ends.
pub fn start(setup: Setup) -> Handle {
    let setup = Arc::new(setup);
    let link = Link::default();
    let (beats, wanted) = (Beats::default(), Wanted::default());
    let mut threads = Vec::new();
    // The page may be that of a camera that was stopped to make way for this one.
    let page = |branch: &str| {
        let page = setup.health.reporter(format!("{}/{branch}", setup.plan.id));
        page.set(Condition::Starting, "");
        page
    };
    if let Some(plan) = setup.plan.encode.clone() {
        let mut keeper = encoder::Keeper::new(setup.clone(), plan, link.clone(), &beats, wanted.clone());
        threads.push(task::kept("encoder", page("encode"), setup.shutdown.clone(), move || keeper.run()));
    }
    if setup.plan.slate && setup.plan.encode.is_some() {
        let mut artist = slate::Artist::new(setup.clone(), link.clone(), &beats);
        threads.push(task::kept("slate", page("source"), setup.shutdown.clone(), move || artist.run()));
    }
    let mut keeper = camera::Keeper::new(setup.clone(), link, &beats);
    threads.push(task::kept("camera", page("source"), setup.shutdown.clone(), move || keeper.run()));
    Handle { beats, wanted, threads }
}

impl Setup {
    /// What makes access units of this camera for its hub. `marks` says which of them are slates; behind one, pictures of
    /// the camera are missing.
    fn framer(&self, marks: Marks) -> crate::encode::Framer {
        let hub = self.hub.clone();
        let mut was_slate = false;
        let deliver = Box::new(move |mut unit: AccessUnit| {
            unit.slate = marks.is_slate(unit.pts);
            unit.discontinuity |= was_slate && !unit.slate;
            was_slate = unit.slate;
            // Refused only if time went backwards, which a source that was reopened in the same frame may cause once.
            let _ = hub.publish(unit);
        });
        crate::encode::Framer::new(self.plan.rate, self.clock.clone(), self.hub.units() > 0, deliver)
    }
}

impl Handle {
    /// Asks the encoder for other work. Another bit rate alone is changed while it runs, and built anew where the encoder
    /// cannot do that or does not follow; anything else builds it anew. The source does not notice, and viewers see at
    /// most a short pause.
    pub fn set_encode(&self, plan: EncodePlan) {
        *self.wanted.lock().expect("nothing panics while it holds this lock") = Some(plan);
    }

    /// Waits for the threads to end after a stop was asked, for as long as a driver may need; one that hangs is left.
    pub fn join(self, limit: Duration) {
        task::join(self.threads, limit);
    }
}

#[cfg(test)]
mod tests;
