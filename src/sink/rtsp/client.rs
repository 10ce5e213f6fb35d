//! The library's server and client with one rule changed: the query of a URL says nothing about the stream.
//!
//! Players and proxies add queries (`/live?x=1`). The library looks streams up with the query in SETUP, PLAY and
//! TEARDOWN but without it in DESCRIBE, so that such a URL is described and then not found.

use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::subclass::prelude::*;

/// The largest body of a request: parameters, of which we have none.
const MAX_BODY_BYTES: u32 = 4 << 10;

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Client;

    #[glib::object_subclass]
    impl ObjectSubclass for Client {
        const NAME: &'static str = "WindhoverRtspClient";
        type Type = super::Client;
        type ParentType = gst_rtsp_server::RTSPClient;
    }

    impl ObjectImpl for Client {}

    impl RTSPClientImpl for Client {
        fn make_path_from_uri(&self, url: &gst_rtsp::RTSPUrl) -> Option<glib::GString> {
            let text = self.parent_make_path_from_uri(url)?;
            Some(super::path_without_query(&text).into())
        }

        /// gstreamer-rtsp-server 0.25.2 answers 200 for the missing default of the C class, so that every refusal (404,
        /// 453, 503) would go out as an empty success.
        fn adjust_error_code(
            &self,
            _: &gst_rtsp_server::RTSPContext,
            code: gst_rtsp::RTSPStatusCode,
        ) -> gst_rtsp::RTSPStatusCode {
            code
        }
    }

    #[derive(Default)]
    pub struct Server;

    #[glib::object_subclass]
    impl ObjectSubclass for Server {
        const NAME: &'static str = "WindhoverRtspServer";
        type Type = super::Server;
        type ParentType = gst_rtsp_server::RTSPServer;
    }

    impl ObjectImpl for Server {}

    impl RTSPServerImpl for Server {
        fn create_client(&self) -> Option<gst_rtsp_server::RTSPClient> {
            Some(super::Client::of(self.obj().upcast_ref()))
        }
    }
}

glib::wrapper! {
    /// A connection.
    pub struct Client(ObjectSubclass<imp::Client>) @extends gst_rtsp_server::RTSPClient;
}

glib::wrapper! {
    /// A server whose connections are `Client`s.
    pub struct Server(ObjectSubclass<imp::Server>) @extends gst_rtsp_server::RTSPServer;
}

impl Client {
    /// A connection of this server, whoever accepts it.
    pub(super) fn of(server: &gst_rtsp_server::RTSPServer) -> gst_rtsp_server::RTSPClient {
        let client = glib::Object::new::<Self>();
        client.set_session_pool(server.session_pool().as_ref());
        client.set_mount_points(server.mount_points().as_ref());
        client.set_auth(server.auth().as_ref());
        client.set_thread_pool(server.thread_pool().as_ref());
        // No request of a viewer has a body worth mentioning; the library's default is 4 GiB.
        client.set_content_length_limit(MAX_BODY_BYTES);
        client.upcast()
    }
}

impl Server {
    pub(super) fn make() -> gst_rtsp_server::RTSPServer {
        glib::Object::new::<Self>().upcast()
    }
}

/// `/live?x=1` is `/live`. Clients that append the control name to the whole URL make `/live?x=1/stream=0`, which is
/// `/live/stream=0`.
fn path_without_query(text: &str) -> String {
    let Some((path, query)) = text.split_once('?') else { return text.to_owned() };
    match query.rfind("/stream=") {
        Some(control) => format!("{path}{}", &query[control..]),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_query_says_nothing_about_the_stream() {
        let table = [
            ("/live", "/live"),
            ("/live?x=1", "/live"),
            ("/live/?x=1", "/live/"),
            ("/live?x=1/stream=0", "/live/stream=0"),
            ("/live/stream=0?x=1", "/live/stream=0"),
            ("/?", "/"),
        ];
        for (text, want) in table {
            assert_eq!(super::path_without_query(text), want, "{text}");
        }
    }
}
