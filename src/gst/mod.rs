//! The one room with generic GStreamer words: elements, pipelines, bus messages as typed faults.
//!
//! Every pipeline of ours runs on the system's monotonic clock with base time 0, so that running time *is*
//! `CLOCK_MONOTONIC` and buffers pass from one pipeline to another without new time stamps.

mod bus;
mod element;
mod muxer;
mod pipeline;

use crate::base::error::{Coded, Kind};

pub use bus::Fault;
pub use element::{connect_frames, make, set, set_from_text};
pub use muxer::{Muxer, Picture, Piece, h264};
pub use pipeline::{Pipeline, Stuck, running_time};

/// What can go wrong before a frame flows.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library itself does not start.
    #[error("GStreamer does not start")]
    Init(#[source] gst::glib::Error),
    /// An element is not installed.
    #[error("the GStreamer element \"{element}\" is not installed{}", package_advice(element))]
    Missing {
        /// The factory name.
        element: String,
    },
    /// An element lacks a property or refuses its value.
    #[error("{element} does not take {property}={value}")]
    Property {
        /// The factory name.
        element: String,
        /// The property.
        property: String,
        /// The value, as text.
        value: String,
    },
    /// Two elements do not fit together.
    #[error("cannot link {from} to {to}")]
    Link {
        /// Upstream element.
        from: String,
        /// Downstream element.
        to: String,
    },
    /// A muxer does not do its work.
    #[error("{element} {what}")]
    Muxer {
        /// The element's name.
        element: String,
        /// What it does not do.
        what: String,
    },
    /// A pipeline does not reach a state.
    #[error("{pipeline} does not start{}", if reason.is_empty() { String::new() } else { format!(": {reason}") })]
    State {
        /// The pipeline's name.
        pipeline: String,
        /// The first error on its bus.
        reason: String,
    },
    /// A pipeline does not reach a state in time.
    #[error("{pipeline} did not start within {} ms", within.as_millis())]
    Timeout {
        /// The pipeline's name.
        pipeline: String,
        /// The limit.
        within: std::time::Duration,
    },
}

impl Coded for Error {
    fn kind(&self) -> Kind {
        Kind::Failed
    }
}

/// Starts the library. With a warm registry this takes some 20 ms.
pub fn init() -> Result<(), Error> {
    // The RTSP library starts a thread for each DESCRIBE and ends it at once; GLib would keep eight of them idle, and
    // the number of threads would seem to grow with the number of viewers.
    gst::glib::ThreadPool::set_max_unused_threads(Some(0));
    gst::init().map_err(Error::Init)
}

/// Gives up what the library holds, so that its leaks tracer (`GST_TRACERS=leaks`) lists what is left of ours. The last
/// thing in a process; one that is not traced need not do it.
#[allow(unsafe_code)]
pub fn end() {
    // SAFETY: nothing of GStreamer is used afterwards; the daemon has ended, and the process is about to.
    unsafe { gst::deinit() }
}

/// The version in use, for `--version`, the log and the key of the self-test cache.
pub fn version() -> String {
    gst::version_string().to_string()
}

/// The Debian package, or for NVIDIA's the one of meta-tegra, that brings an element, for the elements that we ask for.
fn package_advice(element: &str) -> String {
    let package = match element {
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "openh264enc" | "vah264enc" | "vah264lpenc" | "h264parse" | "jpegparse" | "mpegtsmux" => {
            "gstreamer1.0-plugins-bad"
        }
        "v4l2src" | "v4l2h264enc" | "jpegdec" | "jpegenc" | "rtph264pay" | "rtpbin" | "udpsink" | "videoflip"
        | "matroskamux" => "gstreamer1.0-plugins-good",
        "videotestsrc" | "videoconvert" | "videoscale" | "videorate" | "appsrc" | "appsink" | "decodebin3" => {
            "gstreamer1.0-plugins-base"
        }
        "nvv4l2h264enc" => "gstreamer1.0-plugins-nvvideo4linux2",
        "nvvidconv" => "gstreamer1.0-plugins-nvvidconv",
        "nvarguscamerasrc" => "gstreamer1.0-plugins-nvarguscamerasrc",
        "libcamerasrc" => "gstreamer1.0-libcamera",
        _ => return String::new(),
    };
    format!(": install the package {package}")
}
