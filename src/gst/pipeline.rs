//! A pipeline on the common clock: built, played and stopped with a deadline.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use gst::prelude::*;

use crate::base::task;

use super::{Error, Fault};

/// A pipeline whose running time is `CLOCK_MONOTONIC`. Dropping it stops it.
#[derive(Debug)]
pub struct Pipeline {
    inner: gst::Pipeline,
    stopped: bool,
}

/// A pipeline that does not stop: a thread waits for it.
#[derive(Debug)]
pub struct Stuck(JoinHandle<Option<()>>);

impl Stuck {
    /// True when it has stopped after all.
    pub fn has_ended(&self) -> bool {
        self.0.is_finished()
    }
}

/// How long a stop waits for the elements. A vendor driver may hang for ever on its way to NULL (nvargus, USB cameras
/// pulled in mid-transfer).
const STOP_WITHIN: Duration = Duration::from_secs(2);

impl Pipeline {
    /// An empty pipeline; `name` appears in faults.
    pub fn new(name: &str) -> Self {
        let inner = gst::Pipeline::with_name(name);
        inner.use_clock(Some(&gst::SystemClock::obtain()));
        // With start time NONE the pipeline keeps the base time it is given.
        inner.set_start_time(gst::ClockTime::NONE);
        inner.set_base_time(gst::ClockTime::ZERO);
        Self { inner, stopped: false }
    }

    /// Makes running time begin at 0 now, for a clip whose time stamps do: its sink then paces it in real time.
    pub fn begin_now(&self) {
        // A tenth of a second to open the clip, so that its first pictures are not late.
        let lead = gst::ClockTime::from_mseconds(100);
        self.inner.set_base_time(gst::SystemClock::obtain().time() + lead);
    }

    /// Adds elements and links each to the next.
    pub fn chain(&self, elements: &[&gst::Element]) -> Result<(), Error> {
        self.inner.add_many(elements).expect("each element is new, so it has no parent and its name is its own");
        for pair in elements.windows(2) {
            pair[0].link(pair[1]).map_err(|_| link_error(pair[0], pair[1]))?;
        }
        Ok(())
    }

    /// Goes to PLAYING, or says why not within `within`.
    pub fn play(&self, within: Duration) -> Result<(), Error> {
        let name = self.inner.name().to_string();
        // A change of state may hang in a driver, so it is asked for on a thread that may be left behind.
        let (done, answer) = mpsc::sync_channel(1);
        let pipeline = self.inner.clone();
        task::thread("gst-play", move || {
            let _ = done.send(pipeline.set_state(gst::State::Playing));
        });
        match answer.recv_timeout(within) {
            Err(_) => Err(Error::Timeout { pipeline: name, within }),
            Ok(Err(_)) => {
                let reason = self.posted_error().map_or_else(String::new, |fault| fault.to_string());
                Err(Error::State { pipeline: name, reason })
            }
            Ok(Ok(_)) => Ok(()),
        }
    }

    /// Stops it. A vendor driver may hang for ever on the way; then a thread is left waiting for it.
    pub fn stop(mut self) -> Result<(), Stuck> {
        self.stop_within(STOP_WITHIN)
    }

    fn stop_within(&mut self, within: Duration) -> Result<(), Stuck> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        let (done, answer) = mpsc::sync_channel(1);
        let pipeline = self.inner.clone();
        let thread = task::thread("gst-stop", move || {
            let _ = pipeline.set_state(gst::State::Null);
            let _ = done.send(());
        });
        match answer.recv_timeout(within) {
            Ok(()) => Ok(()),
            Err(_) => {
                tracing::warn!(pipeline = %self.inner.name(), "does not stop within {within:?}");
                Err(Stuck(thread))
            }
        }
    }

    /// Waits up to `timeout` for something that ends the pipeline; `None` may come early.
    pub fn wait_fault(&self, timeout: Duration) -> Option<Fault> {
        let bus = self.inner.bus().expect("a pipeline always has a bus");
        let timeout = gst::ClockTime::try_from(timeout).unwrap_or(gst::ClockTime::MAX);
        let types = [gst::MessageType::Error, gst::MessageType::Eos, gst::MessageType::Latency];
        let message = bus.timed_pop_filtered(timeout, &types)?;
        if message.type_() == gst::MessageType::Latency {
            let _ = self.inner.recalculate_latency();
        }
        Fault::from_message(&message)
    }

    /// The first error that is on the bus already.
    fn posted_error(&self) -> Option<Fault> {
        let bus = self.inner.bus().expect("a pipeline always has a bus");
        let message = bus.pop_filtered(&[gst::MessageType::Error])?;
        Fault::from_message(&message)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // Stuck: the thread is left behind.
        let _ = self.stop_within(STOP_WITHIN);
    }
}

fn link_error(from: &gst::Element, to: &gst::Element) -> Error {
    Error::Link { from: from.name().to_string(), to: to.name().to_string() }
}

/// Capture time of a sample on `CLOCK_MONOTONIC`. Always through running time, never the raw time stamp: x264enc
/// shifts those by 1000 hours and takes it back in the segment.
pub fn running_time(sample: &gst::Sample, base: Option<gst::ClockTime>) -> Option<Duration> {
    let pts = sample.buffer()?.pts()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let running = segment.to_running_time(pts)?;
    Some(Duration::from_nanos((running + base.unwrap_or(gst::ClockTime::ZERO)).nseconds()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gst::{make, set};

    #[test]
    fn faults_name_the_element_and_the_end_is_told() {
        gst::init().unwrap();
        let pipeline = Pipeline::new("test");
        let source = make("videotestsrc", "source").unwrap();
        set(&source, "num-buffers", 2i32).unwrap();
        let sink = make("fakesink", "sink").unwrap();
        pipeline.chain(&[&source, &sink]).unwrap();
        pipeline.play(Duration::from_secs(5)).unwrap();
        let fault = (0..50).find_map(|_| pipeline.wait_fault(Duration::from_millis(100)));
        assert_eq!(fault, Some(Fault::End));

        let pipeline = Pipeline::new("test");
        let source = make("filesrc", "clip").unwrap();
        set(&source, "location", "/no/such/clip").unwrap();
        pipeline.chain(&[&source, &make("fakesink", "sink").unwrap()]).unwrap();
        let error = pipeline.play(Duration::from_secs(5)).unwrap_err().to_string();
        assert!(error.contains("clip: ") && error.contains("/no/such/clip"), "{error}");
    }
}
