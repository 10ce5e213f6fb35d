//! Keeps the encoder of a camera alive: starts it, watches it, starts it again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::base::backoff::Backoff;
use crate::base::error::{Chain, Coded};
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Reporter};
use crate::base::heartbeat::Heartbeat;
use crate::encode;
use crate::plan::EncodePlan;

use super::{Beats, Link, Setup};

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
    frames: Heartbeat,
    encoded: Heartbeat,
    alive: Heartbeat,
    report: Reporter,
}

impl Keeper {
    pub(super) fn new(setup: Arc<Setup>, link: Link, beats: &Beats) -> Self {
        let report = setup.health.reporter(format!("{}/encode", setup.plan.id));
        let Beats { frames, encoded, encoder_alive: alive, .. } = beats.clone();
        Self { setup, link, frames, encoded, alive, report }
    }

    /// Runs until the daemon ends.
    pub(super) fn run(self) {
        let Some(plan) = self.setup.plan.encode.clone() else { return };
        let mut backoff = Backoff::new(FIRST_RETRY, self.setup.plan.source.retry_every_max);
        while self.setup.shutdown.asked().is_none() {
            let began = self.setup.clock.monotonic();
            self.alive.tick(began);
            if self.is_not_needed() {
                self.setup.shutdown.wait(LOOK_EVERY);
                continue;
            }
            let result = self.run_once(&plan);
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
        let native = self.link.native.load(Ordering::Acquire);
        if native {
            self.report.set(Condition::Idle, "the camera encodes by itself");
            self.report.clear_all();
        }
        native
    }

    fn run_once(&self, plan: &EncodePlan) -> Result<(), Ended> {
        let setup = &self.setup;
        let started = encode::start(plan, setup.plan.rate, setup.framer());
        let (encoder, input) =
            started.map_err(|e| (e.fault().unwrap_or(FaultCode::EncoderFailed), Chain(&e).to_string()))?;
        setup.hub.set_encoder(Some(encoder.keyframes()));
        self.link.set_input(Some(input));
        self.watch(plan, &encoder).map_err(|detail| (FaultCode::EncoderFailed, detail))
    }

    fn disconnect(&self) {
        self.setup.hub.set_encoder(None);
        self.link.set_input(None);
    }

    fn watch(&self, plan: &EncodePlan, encoder: &encode::Encoder) -> Result<(), String> {
        let setup = &self.setup;
        let running = format!("{} at {}", plan.element.value, plan.bitrate);
        // Three pictures late is no picture; never less than a second, which a busy machine may take.
        let silence = Duration::from_secs(1).max(setup.plan.rate.period() * 3);
        let (mut units, mut out) = (setup.hub.units(), setup.clock.monotonic());
        while setup.shutdown.asked().is_none() && !self.link.native.load(Ordering::Acquire) {
            if let Some(fault) = encoder.wait_fault(LOOK_EVERY) {
                return Err(fault.to_string());
            }
            let now = setup.clock.monotonic();
            self.alive.tick(now);
            let units_now = setup.hub.units();
            if units_now > units {
                (units, out) = (units_now, now);
                self.encoded.tick(now);
                self.report.set(Condition::Running, running.as_str());
                self.report.clear_all();
                self.report.gauge("frames", units);
            } else if self.frames.age(now).is_none_or(|age| age > silence) {
                // No picture in, none out: the source says what is wrong, and nothing is wrong here.
                out = now;
                self.report.set(Condition::Idle, "waits for pictures");
                self.report.clear_all();
            } else if now.saturating_sub(out) > SILENT_FOR {
                return Err(format!("{} gave out nothing for {SILENT_FOR:?}", plan.element.value));
            }
        }
        Ok(())
    }
}
