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

    #[derive(Default)]
    pub(crate) struct Imp;

    #[glib::object_subclass]
    impl ObjectSubclass for Imp {
        const NAME: &'static str = "StandInNvvidconv";
        type Type = super::Converter;
        type ParentType = gst::Bin;
    }

    impl ObjectImpl for Imp {
        fn constructed(&self) {
            self.parent_constructed();
            let bin = self.obj();
            let enter: gst::Element = glib::Object::new::<AnyMemory>().upcast();
            let convert = gst::ElementFactory::make("videoconvert").build().unwrap();
            let leave: gst::Element = glib::Object::new::<AnyMemory>().upcast();
            bin.add_many([&enter, &convert, &leave]).unwrap();
            let formats: gst::Caps = "video/x-raw,format={NV12,I420}".parse().unwrap();
            enter.link(&convert).unwrap();
            convert.link_filtered(&leave, &formats).unwrap();
            let sink = gst::GhostPad::with_target(&enter.static_pad("sink").unwrap()).unwrap();
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
    /// Stands in for nvvidconv: converts, and brings pictures into the other memory.
    pub(crate) struct Converter(ObjectSubclass<converter::Imp>) @extends gst::Bin, gst::Element, gst::Object;
}
