//! nvarguscamerasrc and libcamerasrc: a moving picture under the vendors' names, properties and caps.
//!
//! Made from the project's fact sheet and libcamera's source, not captured. What they cannot show: whether sensors start,
//! what a picture looks like, and how a stack behaves under load.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;

use super::{Values, memory};

/// Surfaces of the pool, as many as a stack has; it waits for one when all are held.
const POOL: usize = 6;
/// A camera that dies does so with this picture.
const LIVES_FOR: usize = 10;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST_HELD: AtomicUsize = AtomicUsize::new(0);
static DEATHS: Mutex<VecDeque<Death>> = Mutex::new(VecDeque::new());

/// The most surfaces that were held at once since the last call.
pub(crate) fn most_held() -> usize {
    MOST_HELD.swap(HELD.load(Ordering::SeqCst), Ordering::SeqCst)
}

/// How a camera ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// It delivers nothing any more and says nothing.
    Silence,
    /// It says that the stream ended.
    End,
    /// It reports an error.
    Error,
}

/// The next cameras that are opened die so, one after the other; those after them live.
pub(crate) fn die(deaths: &[Death]) {
    *DEATHS.lock().unwrap() = deaths.iter().copied().collect();
}

/// Memory that counts as one of the pool for as long as anybody holds it.
struct Surface(Vec<u8>);

impl Surface {
    /// Waits for a free one; `None` after 5 s.
    fn take(pixels: &[u8]) -> Option<Self> {
        for _ in 0..5000 {
            if HELD.load(Ordering::SeqCst) < POOL {
                let held = HELD.fetch_add(1, Ordering::SeqCst) + 1;
                MOST_HELD.fetch_max(held, Ordering::SeqCst);
                return Some(Self(pixels.to_vec()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }
}

impl AsRef<[u8]> for Surface {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Surface {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What each of the two holds.
pub(crate) struct Source {
    values: Values,
    picture: gst::Element,
}

impl Default for Source {
    fn default() -> Self {
        let picture = gst::ElementFactory::make("videotestsrc").build().unwrap();
        picture.set_property("is-live", true);
        Self { values: Values::default(), picture }
    }
}

impl Source {
    fn fill(&self, bin: &gst::Bin, caps: &str, surfaces: bool) {
        let raw = filter("video/x-raw,format=NV12,colorimetry=bt709");
        let memory: gst::Element = glib::Object::new::<memory::AnyMemory>().upcast();
        let gives = filter(caps);
        let elements = [&self.picture, &raw, &memory, &gives];
        bin.add_many(elements).unwrap();
        gst::Element::link_many(elements).unwrap();
        let death = DEATHS.lock().unwrap().pop_front();
        let (owner, count) = (bin.downgrade(), AtomicUsize::new(0));
        let pad = gives.static_pad("src").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            if let Some(death) = death.filter(|_| number >= LIVES_FOR) {
                if let Some(bin) = owner.upgrade().filter(|_| number == LIVES_FOR) {
                    end(&bin, pad, death);
                }
                return gst::PadProbeReturn::Drop;
            }
            if surfaces && !into_surface(info) {
                return gst::PadProbeReturn::Drop;
            }
            gst::PadProbeReturn::Ok
        });
        bin.add_pad(&gst::GhostPad::with_target(&pad).unwrap()).unwrap();
    }

    /// Live from now on, on the clock of the pipeline.
    fn begin(&self) {
        let now = i64::try_from(gst::SystemClock::obtain().time().nseconds()).unwrap();
        self.picture.set_property("timestamp-offset", now);
    }
}

fn end(bin: &gst::Bin, pad: &gst::Pad, death: Death) {
    match death {
        Death::Silence => {}
        Death::End => {
            pad.push_event(gst::event::Eos::new());
        }
        Death::Error => gst::element_error!(bin, gst::ResourceError::Failed, ("InvalidState"), ["the daemon died"]),
    }
}

fn into_surface(info: &mut gst::PadProbeInfo<'_>) -> bool {
    let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else { return false };
    let Some(surface) = Surface::take(&buffer.map_readable().unwrap()) else { return false };
    let mut surface = gst::Buffer::from_slice(surface);
    let new = surface.get_mut().unwrap();
    new.set_pts(buffer.pts());
    new.set_duration(buffer.duration());
    *buffer = surface;
    true
}

fn filter(caps: &str) -> gst::Element {
    let filter = gst::ElementFactory::make("capsfilter").build().unwrap();
    filter.set_property_from_str("caps", caps);
    filter
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "StandInArgusWhite")]
enum White {
    #[enum_value(name = "off", nick = "off")]
    Off = 0,
    #[default]
    #[enum_value(name = "auto", nick = "auto")]
    Auto = 1,
    #[enum_value(name = "incandescent", nick = "incandescent")]
    Incandescent = 2,
    #[enum_value(name = "fluorescent", nick = "fluorescent")]
    Fluorescent = 3,
    #[enum_value(name = "warm", nick = "warm-fluorescent")]
    Warm = 4,
    #[enum_value(name = "daylight", nick = "daylight")]
    Daylight = 5,
    #[enum_value(name = "cloudy", nick = "cloudy-daylight")]
    Cloudy = 6,
    #[enum_value(name = "twilight", nick = "twilight")]
    Twilight = 7,
    #[enum_value(name = "shade", nick = "shade")]
    Shade = 8,
    #[enum_value(name = "manual", nick = "manual")]
    Manual = 9,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "StandInArgusNoise")]
enum Noise {
    #[enum_value(name = "off", nick = "NoiseReduction_Off")]
    Off = 0,
    #[default]
    #[enum_value(name = "fast", nick = "NoiseReduction_Fast")]
    Fast = 1,
    #[enum_value(name = "best", nick = "NoiseReduction_HighQuality")]
    Best = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "StandInArgusEdge")]
enum Edge {
    #[enum_value(name = "off", nick = "EdgeEnhancement_Off")]
    Off = 0,
    #[default]
    #[enum_value(name = "fast", nick = "EdgeEnhancement_Fast")]
    Fast = 1,
    #[enum_value(name = "best", nick = "EdgeEnhancement_HighQuality")]
    Best = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "StandInLibcameraMode")]
enum Automatic {
    #[default]
    #[enum_value(name = "auto", nick = "auto")]
    Auto = 0,
    #[enum_value(name = "manual", nick = "manual")]
    Manual = 1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "StandInLibcameraAwb")]
enum Awb {
    #[default]
    #[enum_value(name = "auto", nick = "auto")]
    Auto = 0,
    #[enum_value(name = "incandescent", nick = "incandescent")]
    Incandescent = 1,
    #[enum_value(name = "tungsten", nick = "tungsten")]
    Tungsten = 2,
    #[enum_value(name = "fluorescent", nick = "fluorescent")]
    Fluorescent = 3,
    #[enum_value(name = "indoor", nick = "indoor")]
    Indoor = 4,
    #[enum_value(name = "daylight", nick = "daylight")]
    Daylight = 5,
    #[enum_value(name = "cloudy", nick = "cloudy")]
    Cloudy = 6,
}

fn text(name: &'static str) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name).build()
}

fn switch(name: &'static str) -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder(name).build()
}

fn number(name: &'static str, least: i32, most: i32, default: i32) -> glib::ParamSpec {
    glib::ParamSpecInt::builder(name).minimum(least).maximum(most).default_value(default).build()
}

fn argus() -> Vec<glib::ParamSpec> {
    vec![
        number("sensor-id", 0, 255, 0),
        number("sensor-mode", -1, 255, -1),
        glib::ParamSpecEnum::builder_with_default("wbmode", White::Auto).build(),
        text("exposuretimerange"),
        text("gainrange"),
        text("ispdigitalgainrange"),
        glib::ParamSpecEnum::builder_with_default("tnr-mode", Noise::Fast).build(),
        glib::ParamSpecEnum::builder_with_default("ee-mode", Edge::Fast).build(),
        switch("aelock"),
        switch("awblock"),
        glib::ParamSpecUInt64::builder("event-wait").default_value(3_000_000_000).build(),
    ]
}

fn libcamera() -> Vec<glib::ParamSpec> {
    vec![
        text("camera-name"),
        switch("ae-enable"),
        glib::ParamSpecEnum::builder_with_default("exposure-time-mode", Automatic::Auto).build(),
        number("exposure-time", i32::MIN, i32::MAX, 0),
        glib::ParamSpecEnum::builder_with_default("analogue-gain-mode", Automatic::Auto).build(),
        glib::ParamSpecFloat::builder("analogue-gain").build(),
        switch("awb-enable"),
        glib::ParamSpecEnum::builder_with_default("awb-mode", Awb::Auto).build(),
    ]
}

/// Sizes of the sensor's modes, each at its rate and below.
const SENSOR: &str = "video/x-raw(memory:NVMM),format=NV12,width=1920,height=1080,framerate=[1/1,60/1];\
                      video/x-raw(memory:NVMM),format=NV12,width=1280,height=720,framerate=[1/1,120/1]";

/// The names that this libcamera knows; the real one reports an error for any other.
const NAMES: [&str; 2] = ["/base/soc/i2c0mux/i2c@1/imx708@1a", "/base/axi/pcie@120000/rp1/i2c@80000/imx708@1a"];

/// Defines the class of one stand-in.
macro_rules! source {
    ($name:ident, $module:ident, $class:literal, caps: $caps:expr, surfaces: $surfaces:expr, properties: $properties:expr) => {
        mod $module {
            use super::*;
            use gst::subclass::prelude::*;

            #[derive(Default)]
            pub(crate) struct Imp(Source);

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

                fn constructed(&self) {
                    self.parent_constructed();
                    self.0.fill(self.obj().upcast_ref(), $caps, $surfaces);
                }

                fn set_property(&self, _: usize, value: &glib::Value, spec: &glib::ParamSpec) {
                    self.0.values.store(value, spec);
                }

                fn property(&self, _: usize, spec: &glib::ParamSpec) -> glib::Value {
                    self.0.values.load(spec)
                }
            }

            impl GstObjectImpl for Imp {}
            impl ElementImpl for Imp {
                fn change_state(
                    &self,
                    transition: gst::StateChange,
                ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
                    let name = self.0.values.text("camera-name");
                    if let Some(name) = name.filter(|name| !NAMES.contains(&name.as_str())) {
                        let what = format!("Could not find a camera named '{name}'.");
                        gst::element_error!(self.obj(), gst::ResourceError::NotFound, ("{}", what));
                        return Err(gst::StateChangeError);
                    }
                    if transition == gst::StateChange::ReadyToPaused {
                        self.0.begin();
                    }
                    self.parent_change_state(transition)
                }
            }
            impl BinImpl for Imp {}
        }

        glib::wrapper! {
            pub(crate) struct $name(ObjectSubclass<$module::Imp>) @extends gst::Bin, gst::Element, gst::Object;
        }
    };
}

source!(Argus, argus_class, "StandInArgus", caps: SENSOR, surfaces: true, properties: argus());
source!(Libcamera, libcamera_class, "StandInLibcamera", caps: "video/x-raw", surfaces: false, properties: libcamera());

// Releases that do not exist: one that can be told nothing but the sensor, and one that cannot even be told that.
source!(Plain, plain_class, "StandInArgusPlain", caps: SENSOR, surfaces: true,
    properties: vec![number("sensor-id", 0, 255, 0)]);
source!(Blind, blind_class, "StandInArgusBlind", caps: SENSOR, surfaces: true, properties: vec![text("gainrange")]);
