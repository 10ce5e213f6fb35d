//! Keeps the media of one stream up: makes it when the first frame has come, makes it anew should it fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gst::prelude::*;
use gst_rtsp_server::prelude::*;

use crate::base::backoff::Backoff;
use crate::base::clock::Clock;
use crate::base::error::Chain;
use crate::base::fault::FaultCode;
use crate::base::health::{Condition, Reporter};
use crate::base::request::RequestKeyframe;
use crate::base::shutdown::Shutdown;
use crate::hub::{Hub, Policy, Received};

use super::delay::Delay;
use super::factory::OneMediaFactory;
use super::feed::Feed;
use super::reports::Reports;
use super::server::{Entry, Paths, Server};
use super::{Error, Served, viewer_zero};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Without a frame for so long, nothing flows to viewers.
const SILENT_AFTER: Duration = Duration::from_secs(2);

/// A media and the viewer that it must not outlive.
type Made = (gst_rtsp_server::RTSPMedia, gst_rtsp_server::RTSPStreamTransport);

pub(super) struct Keeper {
    stream: Served,
    server: Arc<Server>,
    paths: Paths,
    clock: Arc<dyn Clock>,
    report: Reporter,
    shutdown: Shutdown,
    delay: Delay,
    dropped: Arc<AtomicU64>,
    reports: Reports,
}

impl Keeper {
    pub(super) fn new(entry: &Entry, server: Arc<Server>, shutdown: Shutdown) -> Self {
        Self {
            stream: entry.stream.clone(),
            paths: entry.paths.clone(),
            clock: server.clock.clone(),
            report: server.health.reporter(format!("{}/rtsp", entry.stream.id)),
            shutdown,
            delay: Delay::default(),
            dropped: Arc::default(),
            reports: server.reports(),
            server,
        }
    }

    /// Runs until the stream or the server ends.
    pub(super) fn run(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
        while self.shutdown.asked().is_none() {
            let began = self.clock.monotonic();
            let over = Arc::new(AtomicBool::new(false));
            let result = self.run_once(&over);
            // The feed of this media leaves the hub, whichever way the run ended.
            over.store(true, Ordering::Release);
            self.unmount();
            if let Err(e) = result {
                self.report.set(Condition::Recovering, Chain(&e).to_string());
                self.report.raise(FaultCode::RtspMediaFailed, Chain(&e).to_string());
                self.shutdown.wait(backoff.after(self.clock.monotonic().saturating_sub(began)));
            }
        }
        self.report.set(Condition::Stopped, "");
    }

    fn run_once(&self, over: &Arc<AtomicBool>) -> Result<(), Error> {
        if !self.first_frame_came() {
            return Ok(());
        }
        let factory = OneMediaFactory::new();
        let (media, viewer_zero) = self.make(&factory, over)?;
        for path in self.paths.all() {
            self.server.mounts().add_factory(path, factory.clone());
        }
        self.paths.set_ready(true);
        self.report.set(Condition::Running, format!("rtsp path {}", self.paths.all().join(", ")));
        self.report.clear_all();
        let result = self.watch(&media, over);
        self.unmount();
        self.server.disconnect(&self.stream.id);
        if result.is_ok() {
            self.server.wait_for_goodbyes(&self.stream.id);
        }
        // Its transports leave the media's list first, then the count that `prepare` took: the library takes the media
        // down when its last viewer has gone.
        media.set_state(gst::State::Null, std::slice::from_ref(&viewer_zero));
        let _ = media.unprepare();
        result
    }

    /// The session description needs the stream's parameter sets, so nothing can be offered before the first frame.
    fn first_frame_came(&self) -> bool {
        self.report.set(Condition::Starting, "waits for the first frame");
        let reader = self.stream.hub.subscribe(Policy::Live { depth: Duration::from_secs(1) }, true);
        while self.shutdown.asked().is_none() {
            if let Received::Unit(_) = reader.recv(LOOK_EVERY) {
                return true;
            }
        }
        false
    }

    fn make(&self, factory: &OneMediaFactory, over: &Arc<AtomicBool>) -> Result<Made, Error> {
        let (hub, delay) = (self.stream.hub.clone(), self.delay.clone());
        let (dropped, over) = (self.dropped.clone(), over.clone());
        let reports = self.reports.clone();
        factory.connect_media_configure(move |_, media| configure(media, &hub, &delay, &dropped, &over, &reports));
        let media = factory.media()?;
        media.prepare(None).map_err(|_| Error::Media("preparing it"))?;
        let (delay, clock) = (self.delay.clone(), self.clock.clone());
        let viewer_zero = viewer_zero::admit(&media, move |packet| {
            if let Some(pts) = packet.pts() {
                delay.leaves(pts.into(), clock.monotonic());
            }
        });
        match viewer_zero {
            Ok(viewer_zero) => Ok((media, viewer_zero)),
            Err(e) => {
                // A prepared media is held by its own bus watch until it is unprepared.
                let _ = media.unprepare();
                Err(e)
            }
        }
    }

    fn watch(&self, media: &gst_rtsp_server::RTSPMedia, over: &AtomicBool) -> Result<(), Error> {
        let (mut units, mut since) = (self.stream.hub.units(), self.clock.monotonic());
        while !self.shutdown.wait(LOOK_EVERY) {
            let good = media.status() == gst_rtsp_server::RTSPMediaStatus::Prepared;
            if !good || over.load(Ordering::Acquire) {
                return Err(Error::Media("keeping it up"));
            }
            let now = self.clock.monotonic();
            if self.stream.hub.units() != units {
                (units, since) = (self.stream.hub.units(), now);
                self.report.set(Condition::Running, format!("rtsp path {}", self.paths.all().join(", ")));
            } else if now.saturating_sub(since) > SILENT_AFTER {
                self.report.set(Condition::Idle, "no frames come");
            }
            if let Some((p50, p99)) = self.delay.percentiles_us() {
                self.report.gauge("delay_p50_us", p50);
                self.report.gauge("delay_p99_us", p99);
            }
            self.report.gauge("dropped", self.dropped.load(Ordering::Relaxed));
        }
        Ok(())
    }

    fn unmount(&self) {
        self.paths.set_ready(false);
        for path in self.paths.all() {
            self.server.mounts().remove_factory(path);
        }
    }
}

/// Puts the media on the common clock and connects it to the hub.
pub(super) fn configure(
    media: &gst_rtsp_server::RTSPMedia,
    hub: &Hub,
    delay: &Delay,
    dropped: &Arc<AtomicU64>,
    over: &Arc<AtomicBool>,
    reports: &Reports,
) {
    let bin = media.element().downcast::<gst::Bin>().expect("a launch line in parentheses makes a bin");
    let pipeline = bin.parent().and_downcast::<gst::Pipeline>().expect("the factory puts the bin into a pipeline");
    pipeline.set_start_time(gst::ClockTime::NONE);
    pipeline.set_base_time(gst::ClockTime::ZERO);
    let own = reports.clone();
    let session_added = move |element: &gst::Element| {
        if is_a(element, "rtpbin") {
            send_capture_time(element);
            own.guard(element);
        }
    };
    pipeline.children().iter().for_each(&session_added);
    pipeline.connect_element_added(move |_, element| session_added(element));
    pipeline.connect_deep_element_added(|_, _, element| {
        send_at_once(element);
        if is_a(element, "appsrc") {
            bound_reports(element);
        }
    });
    let unprepared = over.clone();
    media.connect_unprepared(move |_| unprepared.store(true, Ordering::Release));
    let source = bin.by_name("feed").and_downcast::<gst_app::AppSrc>().expect("the launch line names an appsrc");
    forward_keyframe_requests(&source, hub);
    hub.attach(Box::new(Feed::new(source, delay.clone(), dropped.clone(), over.clone())), true);
}

/// A sink of a live pipeline waits for 20 ms after the time of capture (`processing-deadline` of GstBaseSink), so that
/// slow pictures come out as evenly as fast ones. Measured: 20.1 ms from stamp to first packet, always.
fn send_at_once(element: &gst::Element) {
    if element.find_property("processing-deadline").is_some() {
        element.set_property("processing-deadline", gst::ClockTime::ZERO);
    }
}

/// Reports that viewers send over TCP wait here for the RTP session. The element's own bound only tells whoever feeds
/// it to stop, and the library does not listen.
fn bound_reports(source: &gst::Element) {
    for (property, value) in [("max-buffers", "64"), ("leaky-type", "downstream")] {
        if let Err(e) = crate::gst::set_from_text(source, property, value) {
            tracing::warn!("receiver reports over TCP have no bound: {}", Chain(&e));
        }
    }
}

fn is_a(element: &gst::Element, factory: &str) -> bool {
    element.factory().is_some_and(|f| f.name() == factory)
}

/// Sender reports carry the time of capture in NTP time, not the time of sending: otherwise a receiver cannot tell the
/// daemon's own delay from none.
fn send_capture_time(rtpbin: &gst::Element) {
    for (property, value) in [("rtcp-sync-send-time", "false"), ("ntp-time-source", "ntp")] {
        if let Err(e) = crate::gst::set_from_text(rtpbin, property, value) {
            tracing::warn!("sender reports carry no capture time: {}", Chain(&e));
        }
    }
}

/// A viewer's picture-loss report arrives as an event that travels upstream to the appsrc.
fn forward_keyframe_requests(source: &gst_app::AppSrc, hub: &Hub) {
    let pad = source.static_pad("src").expect("an appsrc has a source pad");
    let hub = hub.clone();
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, probe| {
        if probe.event().is_some_and(|e| gst_video::UpstreamForceKeyUnitEvent::parse(e).is_ok()) {
            hub.request_keyframe("picture loss");
        }
        gst::PadProbeReturn::Ok
    });
}
