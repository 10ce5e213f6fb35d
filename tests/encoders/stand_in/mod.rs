//! Stand-ins for vendors' encoders and cameras, made from the project's fact sheet of their source code, not captured from hardware.
//!
//! Each is a bin around x264enc under the vendor's element name, with the vendor's names, types and defaults of
//! properties, its caps, and its way to make a keyframe: where the real one ignores GstForceKeyUnit, so does this one.
//! What they cannot show: drivers that fail, hang or do not follow, and whether the fact sheet is right.

// The macros that define a GObject class expand to unsafe code.
#![allow(unsafe_code)]

pub(crate) mod camera;
pub(crate) mod memory;
pub(crate) mod nvidia;
pub(crate) mod v4l2;
pub(crate) mod va;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;

/// Properties that were set on the newest stand-in, in order, as text.
static SETTINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// An element name stands for one class at a time, so tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// What the newest stand-in was told since the last call, each as `property=value`.
pub(crate) fn told() -> Vec<String> {
    std::mem::take(&mut *SETTINGS.lock().unwrap())
}

/// Registers a stand-in under a vendor's name for as long as the guard lives.
pub(crate) fn register(name: &str, class: glib::Type) -> MutexGuard<'static, ()> {
    register_all(&[(name, class)])
}

/// The same for several.
pub(crate) fn register_all(classes: &[(&str, glib::Type)]) -> MutexGuard<'static, ()> {
    windhover::gst::init().unwrap();
    // A test that failed may have left it poisoned; the next one registers its own class.
    let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let converters = ["nvvidconv", "nvvideoconvert"].map(|name| (name, memory::Converter::static_type()));
    for (name, class) in classes.iter().chain(&converters) {
        gst::Element::register(None, name, gst::Rank::NONE, *class).unwrap();
    }
    camera::die(&[]);
    told();
    turn
}

/// The encoders stand still for as long as this lives.
pub(crate) struct Stuck;

static STUCK: AtomicBool = AtomicBool::new(false);

pub(crate) fn stuck() -> Stuck {
    STUCK.store(true, Ordering::SeqCst);
    Stuck
}

impl Drop for Stuck {
    fn drop(&mut self) {
        STUCK.store(false, Ordering::SeqCst);
    }
}

/// The values that were set, as text.
#[derive(Default)]
pub(crate) struct Values(Mutex<BTreeMap<String, String>>);

impl Values {
    pub(crate) fn store(&self, value: &glib::Value, spec: &glib::ParamSpec) {
        let text = match (value.get::<gst::Structure>(), value.get::<String>()) {
            (Ok(controls), _) => controls.to_string(),
            (_, Ok(text)) => text,
            _ => value.serialize().expect("every type of property here has a text").to_string(),
        };
        SETTINGS.lock().unwrap().push(format!("{}={text}", spec.name()));
        self.0.lock().unwrap().insert(spec.name().into(), text);
    }

    pub(crate) fn load(&self, spec: &glib::ParamSpec) -> glib::Value {
        match self.text(spec.name()) {
            Some(text) => glib::Value::deserialize_with_pspec(&text, spec).expect("it was written from such a value"),
            None => spec.default_value().clone(),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap().get(name).cloned()
    }
}

/// What every encoder holds: the values that were set, and the encoder that does the work.
pub(crate) struct Core {
    pub(crate) values: Values,
    pub(crate) encoder: gst::Element,
}

impl Default for Core {
    fn default() -> Self {
        let encoder = gst::ElementFactory::make("x264enc").build().unwrap();
        encoder.set_property_from_str("tune", "zerolatency");
        encoder.set_property_from_str("speed-preset", "ultrafast");
        Self { values: Values::default(), encoder }
    }
}

impl Core {
    /// Makes the next picture a keyframe.
    pub(crate) fn keyframe(&self) {
        let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        self.encoder.static_pad("src").unwrap().send_event(event);
    }

    /// Fills the bin: elements in the vendor's caps, x264enc, H.264 byte stream.
    pub(crate) fn fill(&self, bin: &gst::Bin, raw: &str, deaf: bool) {
        let filter = |caps: &str| {
            let filter = gst::ElementFactory::make("capsfilter").build().unwrap();
            filter.set_property_from_str("caps", caps);
            filter
        };
        let takes = filter(raw);
        let memory: gst::Element = glib::Object::new::<memory::AnyMemory>().upcast();
        let gives = filter("video/x-h264,stream-format=byte-stream,alignment=au");
        let elements = [&takes, &memory, &self.encoder, &gives];
        bin.add_many(elements).unwrap();
        gst::Element::link_many(elements).unwrap();
        let sink = gst::GhostPad::with_target(&takes.static_pad("sink").unwrap()).unwrap();
        let src = gst::GhostPad::with_target(&gives.static_pad("src").unwrap()).unwrap();
        sink.add_probe(gst::PadProbeType::BUFFER, |_, _| {
            while STUCK.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            gst::PadProbeReturn::Ok
        });
        if deaf {
            src.add_probe(gst::PadProbeType::EVENT_UPSTREAM, |_, probe| {
                let forces = probe.event().is_some_and(|event| gst_video::ForceKeyUnitEvent::is(event));
                if forces { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
            });
        }
        bin.add_pad(&sink).unwrap();
        bin.add_pad(&src).unwrap();
    }
}

/// Defines the class of one stand-in. `$effect` is told the property's name and value after it was stored.
macro_rules! stand_in {
    ($name:ident, $module:ident, $class:literal, raw: $raw:expr, deaf: $deaf:expr, properties: $properties:expr,
     signals: $signals:expr, effect: $effect:expr) => {
        mod $module {
            use super::*;
            use gst::subclass::prelude::*;

            #[derive(Default)]
            pub(crate) struct Imp(pub(in crate::stand_in) crate::stand_in::Core);

            #[glib::object_subclass]
            impl ObjectSubclass for Imp {
                const NAME: &'static str = $class;
                type Type = super::$name;
                type ParentType = gst::Bin;
            }

            impl ObjectImpl for Imp {
                fn properties() -> &'static [glib::ParamSpec] {
                    static ALL: std::sync::OnceLock<Vec<glib::ParamSpec>> = std::sync::OnceLock::new();
                    ALL.get_or_init(|| $properties)
                }

                fn signals() -> &'static [glib::subclass::Signal] {
                    static ALL: std::sync::OnceLock<Vec<glib::subclass::Signal>> = std::sync::OnceLock::new();
                    ALL.get_or_init(|| $signals)
                }

                fn constructed(&self) {
                    self.parent_constructed();
                    self.0.fill(self.obj().upcast_ref(), $raw, $deaf);
                }

                fn set_property(&self, _: usize, value: &glib::Value, spec: &glib::ParamSpec) {
                    self.0.values.store(value, spec);
                    let effect: fn(&crate::stand_in::Core, &str, &glib::Value) = $effect;
                    effect(&self.0, spec.name(), value);
                }

                fn property(&self, _: usize, spec: &glib::ParamSpec) -> glib::Value {
                    self.0.values.load(spec)
                }
            }

            impl GstObjectImpl for Imp {}
            impl ElementImpl for Imp {}
            impl BinImpl for Imp {}
        }

        glib::wrapper! {
            pub(crate) struct $name(ObjectSubclass<$module::Imp>) @extends gst::Bin, gst::Element, gst::Object;
        }
    };
}
pub(crate) use stand_in;
