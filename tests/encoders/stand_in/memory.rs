//! Pictures in "memory:NVMM" without a Tegra: the caps say so, the bytes stay where they are.

use gst::glib;
use gst::subclass::prelude::*;
use gst_base::subclass::prelude::*;

mod any {
    use super::*;

    #[derive(Default)]
    pub(crate) struct Imp;

    #[glib::object_subclass]
    impl ObjectSubclass for Imp {
        const NAME: &'static str = "StandInAnyMemory";
        type Type = super::AnyMemory;
        type ParentType = gst_base::BaseTransform;
    }

    impl ObjectImpl for Imp {}
    impl GstObjectImpl for Imp {}

    impl ElementImpl for Imp {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static ALL: std::sync::OnceLock<Vec<gst::PadTemplate>> = std::sync::OnceLock::new();
            ALL.get_or_init(|| {
                let caps = "video/x-raw;video/x-raw(memory:NVMM)".parse().unwrap();
                let pad =
                    |name, direction| gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).unwrap();
                vec![pad("sink", gst::PadDirection::Sink), pad("src", gst::PadDirection::Src)]
            })
        }
    }

    impl BaseTransformImpl for Imp {
        const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = true;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        /// Each picture as it is, in either memory.
        fn transform_caps(
            &self,
            _: gst::PadDirection,
            caps: &gst::Caps,
            filter: Option<&gst::Caps>,
        ) -> Option<gst::Caps> {
            let mut either = gst::Caps::new_empty();
            for feature in ["memory:SystemMemory", "memory:NVMM"] {
                for structure in caps.iter() {
                    let features = gst::CapsFeatures::new([feature]);
                    either.get_mut().unwrap().append_structure_full(structure.to_owned(), Some(features));
                }
            }
            Some(
                filter
                    .map_or_else(|| either.clone(), |f| f.intersect_with_mode(&either, gst::CapsIntersectMode::First)),
            )
        }

        fn transform_ip(&self, _: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
            Ok(gst::FlowSuccess::Ok)
        }
    }
}

glib::wrapper! {
    /// Takes and gives pictures of either memory.
    pub(crate) struct AnyMemory(ObjectSubclass<any::Imp>) @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

mod converter {
    use super::*;
    use gst::prelude::*;

    /// The numbers are those of both vendor elements.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
    #[enum_type(name = "StandInNvFlip")]
    enum Flip {
        #[default]
        #[enum_value(name = "none", nick = "none")]
        None = 0,
        #[enum_value(name = "left", nick = "counterclockwise")]
        Left = 1,
        #[enum_value(name = "over", nick = "rotate-180")]
        Over = 2,
        #[enum_value(name = "right", nick = "clockwise")]
        Right = 3,
        #[enum_value(name = "horizontal", nick = "horizontal-flip")]
        Horizontal = 4,
        #[enum_value(name = "ur-ll", nick = "upper-right-diagonal")]
        UpperRight = 5,
        #[enum_value(name = "vertical", nick = "vertical-flip")]
        Vertical = 6,
        #[enum_value(name = "ul-lr", nick = "upper-left-diagonal")]
        UpperLeft = 7,
    }

    pub(crate) struct Imp {
        values: crate::stand_in::Values,
        turn: gst::Element,
    }

    impl Default for Imp {
        fn default() -> Self {
            let turn = gst::ElementFactory::make("videoflip").build().unwrap();
            Self { values: crate::stand_in::Values::default(), turn }
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Imp {
        const NAME: &'static str = "StandInNvvidconv";
        type Type = super::Converter;
        type ParentType = gst::Bin;
    }

    /// No packed RGB in 24 bits.
    const TAKES: &str = "video/x-raw(memory:NVMM),format={NV12,I420};\
                         video/x-raw,format={NV12,I420,YUY2,UYVY,GRAY8,BGRx,RGBA}";

    impl ObjectImpl for Imp {
        fn properties() -> &'static [glib::ParamSpec] {
            static ALL: std::sync::OnceLock<Vec<glib::ParamSpec>> = std::sync::OnceLock::new();
            ALL.get_or_init(|| {
                vec![
                    glib::ParamSpecEnum::builder_with_default("flip-method", Flip::None).build(),
                    glib::ParamSpecUInt::builder("output-buffers").default_value(4).build(),
                ]
            })
        }

        fn set_property(&self, _: usize, value: &glib::Value, spec: &glib::ParamSpec) {
            self.values.store(value, spec);
            if let Ok(flip) = value.get::<Flip>() {
                let method = match flip {
                    Flip::None => "none",
                    Flip::Left => "counterclockwise",
                    Flip::Over => "rotate-180",
                    Flip::Right => "clockwise",
                    Flip::Horizontal => "horizontal-flip",
                    Flip::UpperRight => "upper-right-diagonal",
                    Flip::Vertical => "vertical-flip",
                    Flip::UpperLeft => "upper-left-diagonal",
                };
                self.turn.set_property_from_str("method", method);
            }
        }

        fn property(&self, _: usize, spec: &glib::ParamSpec) -> glib::Value {
            self.values.load(spec)
        }

        fn constructed(&self) {
            self.parent_constructed();
            let bin = self.obj();
            let takes = gst::ElementFactory::make("capsfilter").build().unwrap();
            takes.set_property_from_str("caps", TAKES);
            let enter: gst::Element = glib::Object::new::<AnyMemory>().upcast();
            let convert = gst::ElementFactory::make("videoconvert").build().unwrap();
            let leave: gst::Element = glib::Object::new::<AnyMemory>().upcast();
            bin.add_many([&takes, &enter, &convert, &self.turn, &leave]).unwrap();
            let formats: gst::Caps = "video/x-raw,format={NV12,I420}".parse().unwrap();
            gst::Element::link_many([&takes, &enter, &convert]).unwrap();
            convert.link_filtered(&self.turn, &formats).unwrap();
            self.turn.link(&leave).unwrap();
            let sink = gst::GhostPad::with_target(&takes.static_pad("sink").unwrap()).unwrap();
            let src = gst::GhostPad::with_target(&leave.static_pad("src").unwrap()).unwrap();
            bin.add_pad(&sink).unwrap();
            bin.add_pad(&src).unwrap();
        }
    }

    impl GstObjectImpl for Imp {}
    impl ElementImpl for Imp {}
    impl BinImpl for Imp {}
}

glib::wrapper! {
    /// Stands in for nvvidconv and nvvideoconvert: converts, turns, and brings pictures into the other memory.
    pub(crate) struct Converter(ObjectSubclass<converter::Imp>) @extends gst::Bin, gst::Element, gst::Object;
}
