//! The library asks its `GstRTSPAuth` about every connection and every request, before anything else looks at them. Here
//! it asks our guard.

use std::sync::OnceLock;

use gst::glib;
use gst::glib::subclass::prelude::*;
use gst_rtsp_server::subclass::prelude::*;
use gst_rtsp_server::{RTSP_AUTH_CHECK_CONNECT, RTSP_AUTH_CHECK_TRANSPORT_CLIENT_SETTINGS, RTSP_AUTH_CHECK_URL};

use super::guard::Guard;

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Door {
        pub(super) guard: OnceLock<Guard>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Door {
        const NAME: &'static str = "WindhoverRtspDoor";
        type Type = super::Door;
        type ParentType = gst_rtsp_server::RTSPAuth;
    }

    impl ObjectImpl for Door {}

    impl RTSPAuthImpl for Door {
        /// True lets pass. Where a request does not, it has been answered.
        fn check(&self, context: &gst_rtsp_server::RTSPContext, check: &glib::GString) -> bool {
            let Some(guard) = self.guard.get() else { return false };
            if check == RTSP_AUTH_CHECK_CONNECT {
                guard.lets_in(context)
            } else if check == RTSP_AUTH_CHECK_URL {
                guard.lets_pass(context)
            } else {
                // Nobody chooses the address of a multicast; whose request passed may have what it asks for.
                check != RTSP_AUTH_CHECK_TRANSPORT_CLIENT_SETTINGS
            }
        }
    }
}

glib::wrapper! {
    /// The door of one server.
    pub struct Door(ObjectSubclass<imp::Door>) @extends gst_rtsp_server::RTSPAuth;
}

impl Door {
    /// A door that this guard keeps.
    pub(super) fn kept_by(guard: Guard) -> Self {
        let door: Self = glib::Object::new();
        let fresh = door.imp().guard.set(guard).is_ok();
        assert!(fresh, "a new door has no guard yet");
        door
    }
}
