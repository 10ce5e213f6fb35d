//! Keeps the encoder of a camera alive: starts it, watches it, starts it again.

use std::sync::Arc;
use std::time::Duration;

use crate::base::backoff::Backoff;
use crate::base::error::{Chain, Coded};
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Reporter};
use crate::base::heartbeat::Heartbeat;
use crate::encode::{self, Changed, Follow, Followed};
use crate::plan::EncodePlan;

use super::link::Fed;
use super::state::Limits;
use super::{Beats, Link, Setup, Wanted};

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// An encoder that is fed and gives out nothing for so long is rebuilt. A hardware encoder's first picture after a
/// cold start takes up to a second.
const SILENT_FOR: Duration = Duration::from_secs(3);

/// Why a run of the encoder ended.
type Ended = (FaultCode, String);

pub(super) struct Keeper {
    setup: Arc<Setup>,
    link: Link,
    encoded: Heartbeat,
    alive: Heartbeat,
    wanted: Wanted,
    /// What the encoder does now, or will when it starts.
    plan: EncodePlan,
    report: Reporter,
}

impl Keeper {
    pub(super) fn new(setup: Arc<Setup>, plan: EncodePlan, link: Link, beats: &Beats, wanted: Wanted) -> Self {
        let report = setup.health.reporter(format!("{}/encode", setup.plan.id));
        let Beats { encoded, encoder_alive: alive, .. } = beats.clone();
        Self { setup, link, encoded, alive, wanted, plan, report }
    }

    /// Runs until the daemon ends.
    pub(super) fn run(&mut self) {
        let mut backoff = Backoff::new(FIRST_RETRY, self.setup.plan.source.retry_every_max);
        while self.setup.shutdown.asked().is_none() {
            let began = self.setup.clock.monotonic();
            self.alive.tick(began);
            if self.is_not_needed() {
                self.setup.shutdown.wait(LOOK_EVERY);
                continue;
            }
            let result = self.run_once();
            self.disconnect();
            if let Err((code, detail)) = result {
                self.report.set(Condition::Recovering, detail.as_str());
                self.report.raise(code, detail);
                let wait = backoff.after(self.setup.clock.monotonic().saturating_sub(began));
                self.report.gauge("restarts", backoff.attempts().into());
                self.setup.shutdown.wait(wait);
            }
        }
        self.report.set(Condition::Stopped, "");
    }

    /// True, and said so, while the camera encodes by itself.
    fn is_not_needed(&self) -> bool {
        let native = self.link.is_native();
        if native {
            self.report.set(Condition::Idle, "the camera encodes by itself");
            self.report.clear_all();
        }
        native
    }

    /// One run of the encoder. `Ok` when it is to be built again at once, or at the daemon's end.
    fn run_once(&mut self) -> Result<(), Ended> {
        if let Some(wanted) = self.take_wanted() {
            self.plan = wanted;
        }
        let setup = self.setup.clone();
        let started = encode::start(&self.plan, setup.plan.rate, setup.framer(self.link.marks()));
        let (encoder, input) =
            started.map_err(|e| (e.fault().unwrap_or(FaultCode::EncoderFailed), Chain(&e).to_string()))?;
        setup.hub.set_encoder(Some(encoder.keyframes()));
        self.link.set_encoder(Some(Fed { input, keyframes: encoder.keyframes() }));
        self.watch(encoder).map_err(|detail| (FaultCode::EncoderFailed, detail))
    }

    fn disconnect(&self) {
        self.setup.hub.set_encoder(None);
        self.link.set_encoder(None);
    }

    fn take_wanted(&self) -> Option<EncodePlan> {
        self.wanted.lock().expect("nothing panics while it holds this lock").take()
    }

    /// Changes what is wanted, and sees whether the encoder follows; false when it has to be built anew.
    fn steer(&mut self, encoder: &mut encode::Encoder, follow: &mut Option<Follow>) -> bool {
        if let Some(wanted) = self.take_wanted() {
            let (from, to) = (std::mem::replace(&mut self.plan, wanted), &self.plan);
            if !from.is_same_encoder(to) {
                return false;
            }
            if from.bitrate != to.bitrate {
                if encoder.set_bitrate(to.bitrate) == Changed::NeedsRebuild {
                    return false;
                }
                *follow = Some(Follow::new(from.bitrate, to.bitrate));
            }
        }
        match follow.as_mut().map(|f| f.look(self.setup.clock.monotonic(), encoder.bytes())) {
            Some(Followed::Yes) => *follow = None,
            Some(Followed::No) => {
                let (element, bitrate) = (&self.plan.element.value, self.plan.bitrate);
                tracing::warn!("{element} does not follow to {bitrate}: it is built anew");
                return false;
            }
            Some(Followed::Unknown) | None => {}
        }
        true
    }

    fn watch(&mut self, mut encoder: encode::Encoder) -> Result<(), String> {
        let setup = self.setup.clone();
        let mut follow = None;
        // Three pictures late is no picture; never less than a second, which a busy machine may take.
        let starved = Duration::from_secs(1).max(setup.plan.rate.period() * 3);
        // The slate comes after a while only: until then there is nothing to say.
        let idle = Limits::of(&setup.plan.source, setup.plan.rate).frozen + starved;
        let (mut units, mut out) = (setup.hub.units(), setup.clock.monotonic());
        while setup.shutdown.asked().is_none() && !self.link.is_native() {
            if let Some(fault) = encoder.wait_fault(LOOK_EVERY) {
                return Err(fault.to_string());
            }
            if !self.steer(&mut encoder, &mut follow) {
                return Ok(());
            }
            let now = setup.clock.monotonic();
            self.alive.tick(now);
            let units_now = setup.hub.units();
            if units_now > units {
                (units, out) = (units_now, now);
                self.encoded.tick(now);
                self.report.set(Condition::Running, format!("{} at {}", self.plan.element.value, self.plan.bitrate));
                self.report.clear_all();
                let slates = setup.hub.slates();
                self.report.gauge("frames", units - slates);
                self.report.gauge("slates", slates);
                continue;
            }
            // No picture in, none out: the source says what is wrong, and nothing is wrong here.
            let hunger = self.link.fed().age(now).unwrap_or(Duration::MAX);
            if hunger > starved {
                out = now;
                if hunger > idle {
                    self.report.set(Condition::Idle, "waits for pictures");
                    self.report.clear_all();
                }
            } else if now.saturating_sub(out) > SILENT_FOR {
                return Err(format!("{} gave out nothing for {SILENT_FOR:?}", self.plan.element.value));
            }
        }
        Ok(())
    }
}
