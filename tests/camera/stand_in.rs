//! Stands in for v4l2src: constructed after the source of GStreamer 1.22 (its properties, when it opens and closes the
//! device, what it posts when the device is gone), not captured from a camera. The pictures are videotestsrc's.

// The macros that define a GObject class expand to unsafe code.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, Once};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

/// What the camera behind a node does with the pictures that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// Delivers them.
    Flows,
    /// Delivers none, without an error.
    Freezes,
    /// Fails as when it is unplugged.
    Fails,
    /// Cannot go on with the format that was asked for: what v4l2src does when the driver tells of another one.
    ChangesFormat,
    /// Marks all of them as damaged.
    Spoils,
    /// Cuts all of them short, without a mark.
    Cuts,
    /// Delivers every other one.
    Halves,
    /// Stamps every tenth with a time an hour ahead.
    StampsWrongly,
}

/// The hands of a test on one node.
#[derive(Debug)]
pub(crate) struct Hands {
    state: Mutex<(Does, Option<gst::StateChange>)>,
    changed: Condvar,
    /// In which format it delivers.
    format: [u8; 4],
}

static NODES: Mutex<BTreeMap<String, Arc<Hands>>> = Mutex::new(BTreeMap::new());

impl Hands {
    /// Puts a camera behind the node of this path.
    pub(crate) fn on(path: &str, format: [u8; 4]) -> Arc<Self> {
        let hands = Arc::new(Self { state: Mutex::new((Does::Flows, None)), changed: Condvar::new(), format });
        NODES.lock().unwrap().insert(path.to_owned(), hands.clone());
        hands
    }

    pub(crate) fn let_it(&self, does: Does) {
        self.state.lock().unwrap().0 = does;
    }

    /// The driver does not come back from this change of state until it is told to.
    pub(crate) fn hold(&self, change: Option<gst::StateChange>) {
        self.state.lock().unwrap().1 = change;
        self.changed.notify_all();
    }

    fn wait(&self, change: gst::StateChange) {
        let state = self.state.lock().unwrap();
        drop(self.changed.wait_while(state, |(_, held)| *held == Some(change)).unwrap());
    }

    fn does(&self) -> Does {
        self.state.lock().unwrap().0
    }
}

/// Takes the place of the real element in this process.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        windhover::gst::init().unwrap();
        gst::Element::register(None, "v4l2src", gst::Rank::NONE, V4l2Src::static_type()).unwrap();
    });
}

mod imp {
    use super::*;

    #[derive(Default)]
    pub(crate) struct V4l2Src {
        device: Mutex<(String, Option<Arc<Hands>>)>,
        pictures: Mutex<Option<gst::Element>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for V4l2Src {
        const NAME: &'static str = "StandInV4l2Src";
        type Type = super::V4l2Src;
        type ParentType = gst::Bin;
    }

    impl ObjectImpl for V4l2Src {
        fn properties() -> &'static [glib::ParamSpec] {
            static ALL: std::sync::OnceLock<Vec<glib::ParamSpec>> = std::sync::OnceLock::new();
            ALL.get_or_init(|| {
                vec![
                    glib::ParamSpecString::builder("device").default_value(Some("/dev/video0")).build(),
                    glib::ParamSpecBoxed::builder::<gst::Structure>("extra-controls").build(),
                ]
            })
        }

        fn set_property(&self, _: usize, value: &glib::Value, spec: &glib::ParamSpec) {
            if spec.name() == "device" {
                let path: String = value.get().unwrap();
                let hands = NODES.lock().unwrap().get(&path).cloned();
                if let Some(hands) = &hands {
                    self.fill(hands);
                }
                *self.device.lock().unwrap() = (path, hands);
            }
        }

        fn property(&self, _: usize, spec: &glib::ParamSpec) -> glib::Value {
            match spec.name() {
                "device" => self.device.lock().unwrap().0.to_value(),
                _ => None::<gst::Structure>.to_value(),
            }
        }

        fn constructed(&self) {
            self.parent_constructed();
            let pad = gst::GhostPad::builder(gst::PadDirection::Src).name("src").build();
            self.obj().add_pad(&pad).unwrap();
        }
    }

    impl GstObjectImpl for V4l2Src {}

    impl ElementImpl for V4l2Src {
        fn change_state(&self, change: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            let (path, hands) = self.device.lock().unwrap().clone();
            let Some(hands) = hands else { return Err(gst::StateChangeError) };
            hands.wait(change);
            if change == gst::StateChange::NullToReady && !std::path::Path::new(&path).exists() {
                let text = format!("Cannot identify device '{path}'.");
                gst::element_imp_error!(self, gst::ResourceError::NotFound, ("{text}"), ["system error: No such file"]);
                return Err(gst::StateChangeError);
            }
            if change == gst::StateChange::ReadyToPaused
                && let Some(pictures) = &*self.pictures.lock().unwrap()
            {
                let now = gst::SystemClock::obtain().time();
                pictures.set_property("timestamp-offset", i64::try_from(now.nseconds()).unwrap());
            }
            self.parent_change_state(change)
        }
    }

    impl BinImpl for V4l2Src {}

    impl V4l2Src {
        /// Pictures in the camera's format, and then the hands of the test.
        fn fill(&self, hands: &Arc<Hands>) {
            let make = |name: &str| gst::ElementFactory::make(name).build().unwrap();
            let pictures = make("videotestsrc");
            pictures.set_property("is-live", true);
            pictures.set_property_from_str("pattern", "snow");
            let encode = match &hands.format {
                b"MJPG" => make("jpegenc"),
                b"H264" => make("openh264enc"),
                _ => make("identity"),
            };
            let bin = self.obj();
            bin.add_many([&pictures, &encode]).unwrap();
            pictures.link(&encode).unwrap();
            let from = encode.static_pad("src").unwrap();
            let (bin_of, hands, mut count) = (bin.downgrade(), hands.clone(), 0u64);
            let handle = Mutex::new(move |buffer: &mut gst::Buffer| {
                count += 1;
                let Some(bin) = bin_of.upgrade() else { return gst::PadProbeReturn::Ok };
                touch(&bin, hands.does(), count, buffer)
            });
            from.add_probe(gst::PadProbeType::BUFFER, move |_, probe| match probe.buffer_mut() {
                Some(buffer) => (handle.lock().unwrap())(buffer),
                None => gst::PadProbeReturn::Ok,
            });
            let pad = bin.static_pad("src").and_downcast::<gst::GhostPad>().unwrap();
            pad.set_target(Some(&from)).unwrap();
            *self.pictures.lock().unwrap() = Some(pictures);
        }
    }

    fn touch(bin: &super::V4l2Src, does: Does, count: u64, buffer: &mut gst::Buffer) -> gst::PadProbeReturn {
        let hour = gst::ClockTime::from_seconds(3600);
        match does {
            Does::Flows => {}
            Does::Freezes => return gst::PadProbeReturn::Drop,
            Does::Halves if count.is_multiple_of(2) => return gst::PadProbeReturn::Drop,
            Does::Halves => {}
            Does::Fails => {
                let (says, errno) = ("Could not read from resource.", "poll error 1: No such device (19)");
                gst::element_error!(bin, gst::ResourceError::Read, ("{says}"), ["{errno}"]);
                return gst::PadProbeReturn::Drop;
            }
            Does::ChangesFormat => {
                let (says, why) = ("Internal data stream error.", "streaming stopped, reason not-negotiated (-4)");
                gst::element_error!(bin, gst::StreamError::Failed, ("{says}"), ["{why}"]);
                return gst::PadProbeReturn::Drop;
            }
            Does::Spoils => buffer.make_mut().set_flags(gst::BufferFlags::CORRUPTED),
            Does::Cuts => {
                let half = buffer.size() / 2;
                buffer.make_mut().set_size(half);
            }
            Does::StampsWrongly if count.is_multiple_of(10) => {
                let wrong = buffer.pts().map(|pts| pts + hour);
                buffer.make_mut().set_pts(wrong);
            }
            Does::StampsWrongly => {}
        }
        gst::PadProbeReturn::Ok
    }
}

glib::wrapper! {
    pub(crate) struct V4l2Src(ObjectSubclass<imp::V4l2Src>) @extends gst::Bin, gst::Element, gst::Object;
}
