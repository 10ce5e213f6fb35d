//! Sets the controls of a camera each time it delivers again, and sees whether it keeps them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Reporter};
use crate::config::controls::Controls;
use crate::plan::control::{Setting, settle};
use crate::probe::v4l2::{Devices, Node};

use super::Setup;
use super::driver::{self, Answer, Call};

/// A camera that refused a value is asked again: some answer with an error while they start.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// A driver that takes longer is said to hang. Setting one value takes milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What came of setting them.
#[derive(Debug, Default)]
struct Outcome {
    /// What the camera keeps, as `name value`.
    kept: Vec<String>,
    /// What is wrong and stays so with this camera.
    refused: Vec<String>,
    /// What may be better the next time.
    failed: Vec<String>,
}

/// Sets controls beside the frames: nothing waits for it.
pub(super) struct Setter {
    setup: Arc<Setup>,
    report: Reporter,
    /// A call on its way, and since when. Never a second one: a driver that hangs would pile up threads.
    call: Option<(Call<Outcome>, Duration)>,
    /// When to set them; `None` while there is nothing to do.
    due: Option<Duration>,
}

impl Setter {
    /// `None` where nothing is configured.
    pub(super) fn new(setup: &Arc<Setup>) -> Option<Self> {
        let page = || setup.health.reporter(format!("{}/controls", setup.plan.id));
        let wanted = !setup.plan.source.controls.is_empty();
        wanted.then(|| Self { setup: setup.clone(), report: page(), call: None, due: None })
    }

    /// The camera is opened anew: what it kept may be gone.
    pub(super) fn opened(&mut self, now: Duration) {
        self.due = Some(now);
    }

    /// The camera is away.
    pub(super) fn closed(&mut self) {
        self.due = None;
        self.report.set(Condition::Idle, "waits for the camera");
    }

    /// To be called again and again while the camera at `node` delivers.
    pub(super) fn look(&mut self, node: &Path, now: Duration) {
        if let Some((call, since)) = &self.call {
            match call.wait(Duration::ZERO) {
                Answer::Here(outcome) => {
                    self.call = None;
                    self.tell(&outcome, now);
                }
                Answer::Lost => self.call = None,
                Answer::Waiting if now.saturating_sub(*since) > ANSWER_WITHIN => {
                    self.wrong("the driver does not answer when controls are set".into());
                }
                Answer::Waiting => {}
            }
        } else if self.due.is_some_and(|due| now >= due) {
            self.due = None;
            let (devices, node) = (self.setup.devices.clone(), node.to_owned());
            let wishes = self.setup.plan.source.controls.clone();
            self.call = Some((driver::call("set-controls", move || set_all(&*devices, node, &wishes)), now));
        }
    }

    fn tell(&mut self, outcome: &Outcome, now: Duration) {
        let wrong: Vec<&str> = outcome.refused.iter().chain(&outcome.failed).map(String::as_str).collect();
        if !outcome.failed.is_empty() && self.due.is_none() {
            self.due = Some(now + AGAIN_AFTER);
        }
        if wrong.is_empty() {
            self.report.set(Condition::Running, outcome.kept.join(", "));
            self.report.clear_all();
        } else {
            self.wrong(wrong.join("; "));
        }
    }

    fn wrong(&self, detail: String) {
        self.report.raise(FaultCode::ControlRefused, detail.as_str());
        self.report.set(Condition::Recovering, detail);
    }
}

fn set_all(devices: &dyn Devices, node: PathBuf, wishes: &Controls) -> Outcome {
    let open = match devices.open(&node) {
        Ok(open) => open,
        Err(e) => return Outcome { failed: vec![format!("{}: {e}", node.display())], ..Outcome::default() },
    };
    let (settings, refused) = settle(wishes, &open.controls());
    let words = |r: crate::plan::control::Refused| match r.advice.is_empty() {
        true => format!("{}: {}", r.key, r.message),
        false => format!("{}: {}; {}", r.key, r.message, r.advice),
    };
    let mut outcome = Outcome { refused: refused.into_iter().map(words).collect(), ..Outcome::default() };
    let set = |setting: &Setting| open.set_control(setting.id, setting.value);
    let errors: Vec<_> = settings.iter().map(|setting| set(setting).err()).collect();
    // Read back when all are set: one may have changed another.
    for (setting, error) in settings.iter().zip(errors) {
        match verify(&*open, setting, error) {
            Ok(kept) => outcome.kept.push(kept),
            Err(failed) => outcome.failed.push(failed),
        }
    }
    outcome
}

fn verify(open: &dyn Node, setting: &Setting, error: Option<std::io::Error>) -> Result<String, String> {
    let Setting { key, control, id, value } = setting;
    if let Some(e) = error {
        return Err(format!("{key}: the camera does not take {value}: {e}"));
    }
    match open.control(*id) {
        Ok(kept) if kept == *value => Ok(format!("{control} {value}")),
        Ok(kept) => Err(format!("{key}: set to {value}, and the camera says {kept}")),
        Err(e) => Err(format!("{key}: set to {value}, but it cannot be read back: {e}")),
    }
}
