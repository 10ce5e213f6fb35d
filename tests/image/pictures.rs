//! Encoded pictures, known again by their content: which of those that a viewer saw live are in a file?

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;

use crate::support::wait::{now, wait_for};

/// A picture's slices, as one number.
pub(crate) type Picture = u64;

/// The slices (NAL units of types 1 to 5) of an access unit in Annex B form; parameter sets come and go with the container.
fn picture(unit: &[u8]) -> Picture {
    let starts: Vec<usize> = (0..unit.len().saturating_sub(3)).filter(|&at| unit[at..at + 3] == [0, 0, 1]).collect();
    let mut hasher = DefaultHasher::new();
    for (number, &start) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(unit.len());
        let nal = &unit[start + 3..end];
        if nal.first().is_some_and(|head| (1..=5).contains(&(head & 0x1f))) {
            // The zero before the next start code belongs to neither.
            let length = nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            nal[..length].hash(&mut hasher);
        }
    }
    hasher.finish()
}

const TAIL: &str = "h264parse ! video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=out sync=false";

/// Runs a pipeline and gives each picture to `take`.
fn pipeline(head: &str, take: impl Fn(Picture) + Send + Sync + 'static) -> gst::Pipeline {
    gst::init().expect("GStreamer is installed");
    let pipeline = gst::parse::launch(&format!("{head} ! {TAIL}")).expect("the elements are installed");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("several elements make a pipeline");
    let out = pipeline.by_name("out").and_downcast::<gst_app::AppSink>().expect("it is in the description");
    let on_unit = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let map = sample.buffer().and_then(|buffer| buffer.map_readable().ok()).ok_or(gst::FlowError::Error)?;
        take(picture(&map));
        Ok(gst::FlowSuccess::Ok)
    };
    out.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(on_unit).build());
    // Errors arrive on the bus.
    let _ = pipeline.set_state(gst::State::Playing);
    pipeline
}

/// A viewer who notes when each picture came.
pub(crate) struct Witness {
    pipeline: gst::Pipeline,
    seen: Arc<Mutex<HashMap<Picture, Duration>>>,
}

impl Witness {
    pub(crate) fn of(url: &str) -> Self {
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let book = seen.clone();
        let note = move |picture| {
            book.lock().expect("nobody panics while holding it").insert(picture, now());
        };
        let head = format!("rtspsrc location={url} protocols=tcp latency=0 ! rtph264depay");
        Self { pipeline: pipeline(&head, note), seen }
    }

    /// When each picture came.
    pub(crate) fn seen(&self) -> HashMap<Picture, Duration> {
        self.seen.lock().expect("nobody panics while holding it").clone()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The pictures of a file, finished or not, in their order.
pub(crate) fn of_file(file: &Path) -> Vec<Picture> {
    let read = Arc::new(Mutex::new(Vec::new()));
    let book = read.clone();
    let note = move |picture| book.lock().expect("nobody panics while holding it").push(picture);
    let pipeline = pipeline(&format!("filesrc location={} ! qtdemux", file.display()), note);
    let bus = pipeline.bus().expect("a pipeline has a bus");
    // A torn file ends with an error, after the last picture that can be read.
    let ended =
        wait_for(Duration::from_secs(60), || bus.pop_filtered(&[gst::MessageType::Eos, gst::MessageType::Error]));
    let _ = pipeline.set_state(gst::State::Null);
    assert!(ended.is_some(), "{} is not read to its end", file.display());
    std::mem::take(&mut *read.lock().expect("nobody panics while holding it"))
}
