//! A media factory that has one media, whatever the query of the URL.

use gst::glib;
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::subclass::prelude::*;

use super::Error;

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct OneMediaFactory;

    #[glib::object_subclass]
    impl ObjectSubclass for OneMediaFactory {
        const NAME: &'static str = "WindhoverOneMediaFactory";
        type Type = super::OneMediaFactory;
        type ParentType = gst_rtsp_server::RTSPMediaFactory;
    }

    impl ObjectImpl for OneMediaFactory {}

    impl RTSPMediaFactoryImpl for OneMediaFactory {
        /// The library shares by URL with its query, so that `?x=1` would make a second media and payloader. Here
        /// every URL of the mount is the same media.
        fn gen_key(&self, _url: &gst_rtsp::RTSPUrl) -> Option<glib::GString> {
            Some("the one".into())
        }
    }
}

glib::wrapper! {
    /// One media for every viewer of a stream.
    pub struct OneMediaFactory(ObjectSubclass<imp::OneMediaFactory>) @extends gst_rtsp_server::RTSPMediaFactory;
}

/// Largest RTP packet: fits an Ethernet frame with IPv6 and a tunnel's header.
const MTU_BYTES: u32 = 1400;
/// Kernel buffer of the UDP sockets: a keyframe leaves in one burst, and the default of 208 KiB may cut it.
const UDP_BUFFER_BYTES: u32 = 1 << 20;

impl OneMediaFactory {
    /// A factory whose media takes access units from an appsrc named `feed`.
    pub(super) fn new() -> Self {
        let factory: Self = glib::Object::new();
        factory.set_launch(&format!(
            "( appsrc name=feed ! rtph264pay name=pay0 pt=96 config-interval=-1 aggregate-mode=zero-latency \
             mtu={MTU_BYTES} )"
        ));
        factory.set_shared(true);
        factory.set_suspend_mode(gst_rtsp_server::RTSPSuspendMode::None);
        factory.set_stop_on_disconnect(true);
        factory.set_latency(0);
        factory.set_protocols(gst_rtsp::RTSPLowerTrans::UDP | gst_rtsp::RTSPLowerTrans::TCP);
        factory.set_buffer_size(UDP_BUFFER_BYTES);
        factory.set_clock(Some(&gst::SystemClock::obtain()));
        factory
    }

    /// The media, made at the first call.
    pub(super) fn media(&self) -> Result<gst_rtsp_server::RTSPMedia, Error> {
        // Any URL will do: there is one media for all.
        let (_, url) = gst_rtsp::RTSPUrl::parse("rtsp://127.0.0.1/");
        let media =
            self.construct(&url.ok_or(Error::Media("its URL"))?).map_err(|_| Error::Media("constructing it"))?;
        // Since 1.23.1 it comes locked (gst_rtsp_media_factory_construct): the first DESCRIBE would wait for ever.
        if gst::version() >= (1, 23, 1, 0) {
            media.unlock();
        }
        Ok(media)
    }
}
