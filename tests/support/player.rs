//! A GStreamer player that reads the time stamp in each decoded picture: latency as a viewer has it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;
use gst_video::prelude::*;
use windhover::base::clock::{Clock, SystemClock};
use windhover::media::stamp;

use super::rtsp::Transport;
use super::wait::{now, wait_for};

/// What one player saw.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Decoded pictures.
    pub(crate) pictures: u64,
    /// Pictures without a readable stamp: damaged, or of a source that draws none.
    pub(crate) unreadable: u64,
    /// Time from the stamp to the decoded picture, one for each readable picture.
    pub(crate) latencies: Vec<Duration>,
    /// When the first picture was decoded.
    pub(crate) first: Option<Duration>,
    /// The stamps, in the order of their arrival.
    pub(crate) stamps: Vec<Duration>,
    /// How far the capture time by the sender reports is from the stamp, for each picture that has both, in seconds.
    pub(crate) report_errors: Vec<f64>,
    /// The first error of the pipeline, or that the stream ended.
    pub(crate) error: Option<String>,
}

impl Seen {
    /// Pictures that are missing between others, by their stamps at this rate.
    pub(crate) fn missing(&self, fps: u32) -> u64 {
        let interval = 1.0 / f64::from(fps);
        let steps = self.stamps.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).as_secs_f64() / interval);
        steps.map(|step| (step.round() as u64).saturating_sub(1)).sum()
    }
}

/// A running player; dropping it stops it.
pub(crate) struct Player {
    pipeline: gst::Pipeline,
    seen: Arc<Mutex<Seen>>,
    /// When it began to connect.
    pub(crate) begun: Duration,
}

impl Player {
    /// Plays `url` without a jitter buffer and without waiting for any clock.
    pub(crate) fn play(url: &str, transport: Transport) -> Self {
        let protocols = match transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        // The avc caps keep rtph264depay 1.22 from breaking slices of multi-slice pictures; max-threads=1 keeps the
        // decoder from holding one picture back for each thread.
        Self::launch(&format!(
            "rtspsrc location={url} latency=0 protocols={protocols} \
             add-reference-timestamp-meta=true ! rtph264depay ! video/x-h264,stream-format=avc,alignment=au ! h264parse ! avdec_h264 max-threads=1 \
             ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false max-buffers=1 drop=true"
        ))
    }

    /// Plays `url` as a person's first try would: `rtspsrc` and `decodebin` as they come.
    pub(crate) fn play_by_defaults(url: &str) -> Self {
        Self::launch(&format!(
            "rtspsrc location={url} ! decodebin ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false"
        ))
    }

    /// Plays `url` with a name and a password; such a player begins with a request that has neither.
    pub(crate) fn play_as(url: &str, name: &str, password: &str) -> Self {
        Self::launch(&format!(
            "rtspsrc location={url} user-id={name} user-pw={password} ! decodebin ! videoconvert \
             ! video/x-raw,format=I420 ! appsink name=out sync=false"
        ))
    }

    /// Plays `url`, which is rtsps, and trusts who is in `authority` alone. More of rtspsrc's properties in `with`.
    pub(crate) fn play_encrypted(url: &str, with: &str, authority: &Path) -> Self {
        gst::init().expect("GStreamer is installed");
        let trusted = gio::TlsFileDatabase::new(authority).expect("a PEM file");
        Self::launch_with(
            &format!(
                "rtspsrc name=source location={url} latency=0 {with} ! decodebin ! videoconvert \
                 ! video/x-raw,format=I420 ! appsink name=out sync=false"
            ),
            |pipeline| {
                let source = pipeline.by_name("source").expect("it is in the description");
                source.set_property("tls-database", &trusted);
            },
        )
    }

    fn launch(description: &str) -> Self {
        Self::launch_with(description, |_| {})
    }

    fn launch_with(description: &str, prepare: impl FnOnce(&gst::Pipeline)) -> Self {
        gst::init().expect("GStreamer is installed");
        let pipeline = gst::parse::launch(description).expect("the elements are installed: tools/test does it");
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("several elements make a pipeline");
        prepare(&pipeline);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let out = pipeline.by_name("out").expect("it is in the description");
        let out = out.downcast::<gst_app::AppSink>().expect("it is an appsink");
        let book = seen.clone();
        let callbacks = gst_app::AppSinkCallbacks::builder();
        let on_picture = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            note(&mut book.lock().expect("nobody panics while holding it"), &sample);
            Ok(gst::FlowSuccess::Ok)
        };
        out.set_callbacks(callbacks.new_sample(on_picture).build());
        let begun = now();
        // Errors, also of this call, arrive on the bus and are found by `seen`.
        let _ = pipeline.set_state(gst::State::Playing);
        Self { pipeline, seen, begun }
    }

    /// What it saw so far.
    pub(crate) fn seen(&self) -> Seen {
        let mut seen = self.seen.lock().expect("nobody panics while holding it");
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let message = bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos]);
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(e)) => drop(seen.error.get_or_insert_with(|| e.error().to_string())),
            Some(gst::MessageView::Eos(_)) => drop(seen.error.get_or_insert_with(|| "the stream ended".to_owned())),
            _ => {}
        }
        seen.clone()
    }

    /// What it saw since the last call: for a run of hours.
    pub(crate) fn take(&self) -> Seen {
        let error = self.seen().error;
        let mut seen = std::mem::take(&mut *self.seen.lock().expect("nobody panics while holding it"));
        seen.error = error;
        seen
    }

    /// Waits for so many pictures; what was seen, or why not.
    pub(crate) fn wait_pictures(&self, count: u64, limit: Duration) -> Result<Seen, String> {
        let seen = wait_for(limit, || Some(self.seen()).filter(|seen| seen.pictures >= count || seen.error.is_some()));
        match seen {
            Some(seen) if seen.pictures >= count => Ok(seen),
            Some(seen) => Err(seen.error.unwrap_or_default()),
            None => Err(format!("{} of {count} pictures in {limit:?}", self.seen().pictures)),
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn note(seen: &mut Seen, sample: &gst::Sample) {
    let arrived = now();
    seen.pictures += 1;
    seen.first.get_or_insert(arrived);
    let read = || {
        let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
        let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
        let stride = usize::try_from(frame.plane_stride()[0]).ok()?;
        stamp::read(frame.plane_data(0).ok()?, stride)
    };
    match read() {
        Some(time) => {
            seen.latencies.push(arrived.saturating_sub(time));
            seen.stamps.push(time);
            seen.report_errors.extend(report_error(sample, time));
        }
        None => seen.unreadable += 1,
    }
}

/// The NTP time of capture that the receiver worked out from the sender reports, less the stamp, both as wall time.
fn report_error(sample: &gst::Sample, stamp: Duration) -> Option<f64> {
    // NTP counts from 1900 (RFC 5905, section 6).
    const NTP_TO_UNIX: u64 = 2_208_988_800;
    let reported = sample.buffer()?.meta::<gst::ReferenceTimestampMeta>()?.timestamp();
    let reported = Duration::from_nanos(reported.nseconds()).checked_sub(Duration::from_secs(NTP_TO_UNIX))?;
    let wall = SystemClock.wall() - SystemClock.monotonic() + stamp;
    Some(reported.as_secs_f64() - wall.as_secs_f64())
}
