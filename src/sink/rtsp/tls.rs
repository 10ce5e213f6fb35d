//! TLS under a connection of the library: what the Rust bindings leave out.

use std::ffi::CString;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use gio::glib;
use gio::glib::translate::{FromGlibPtrNone, ToGlibPtr, from_glib_full};
use gio::prelude::*;
use gst_rtsp_server::RTSPClient;

/// Gives a new client its connection, as an accepted socket with TLS on it that shows `certificate`.
#[allow(unsafe_code)]
pub(super) fn give(
    client: &RTSPClient,
    socket: OwnedFd,
    peer: IpAddr,
    certificate: &gio::TlsCertificate,
) -> Result<gio::TlsConnection, glib::Error> {
    let failed = |what: &str| glib::Error::new(gio::IOErrorEnum::Failed, what);
    let socket = gio::Socket::from_fd(socket)?;
    let text = CString::new(peer.to_string()).map_err(|_| failed("an address has no null byte"))?;
    let mut raw = std::ptr::null_mut();
    // SAFETY: the socket and the text live through the call, which takes a reference and a copy; on success `raw` is a
    // connection that is ours.
    let made = unsafe {
        gst_rtsp_sys::gst_rtsp_connection_create_from_socket(
            socket.to_glib_none().0,
            text.as_ptr(),
            0,
            std::ptr::null(),
            &mut raw,
        )
    };
    if made != gst_rtsp_sys::GST_RTSP_OK || raw.is_null() {
        return Err(failed("the library makes no connection of the socket"));
    }
    let tls = begin(raw);
    // SAFETY: the connection has no other owner; the client, which is new, takes it where the call succeeds, and where
    // not, or where TLS did not come up, it is freed here.
    unsafe {
        let client: *mut gst_rtsp_server_sys::GstRTSPClient = client.to_glib_none().0;
        if tls.is_err() || gst_rtsp_server_sys::gst_rtsp_client_set_connection(client, raw) == glib::ffi::GFALSE {
            gst_rtsp_sys::gst_rtsp_connection_free(raw);
            return Err(tls.err().unwrap_or_else(|| failed("the library does not take the connection")));
        }
    }
    tls.inspect(|tls| tls.set_certificate(certificate))
}

/// Puts TLS on a connection.
#[allow(unsafe_code)]
fn begin(connection: *mut gst_rtsp_sys::GstRTSPConnection) -> Result<gio::TlsConnection, glib::Error> {
    let mut error = std::ptr::null_mut();
    // SAFETY: the connection lives, by its owner in `give`; the result belongs to it and gets a reference of ours, or is
    // null and `error` is ours.
    unsafe {
        let tls = gst_rtsp_sys::gst_rtsp_connection_get_tls(connection, &mut error);
        if tls.is_null() { Err(from_glib_full(error)) } else { Ok(gio::TlsConnection::from_glib_none(tls)) }
    }
}
