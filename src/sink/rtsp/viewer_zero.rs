//! The viewer that every media always has: the daemon itself.
//!
//! It takes every packet of the TCP branch at once and drops it. So the media stays PLAYING for the daemon's life, is
//! never torn down as the last viewer leaves, and its TCP branch never waits for the slowest viewer alone. The UDP
//! branch is completed at the same time, with sockets for IPv4 and IPv6, because the library gives a UDP sink only the
//! sockets that exist when the sink is made.
//!
//! The Rust bindings leave out the three functions that take a `GstRTSPTransport`, hence the unsafe code.

use gst::glib;
use gst::glib::translate::{FromGlibPtrFull, ToGlibPtr};
use gst::prelude::*;
use gst_rtsp_server::prelude::*;

use super::Error;

/// Completes the pipeline of a prepared `media` and starts it for good. The media borrows the transport without
/// counting a reference: the caller keeps it for as long as the media lives. `packet` is told of every RTP packet, on
/// the thread that sends it to the TCP viewers.
pub(super) fn admit(
    media: &gst_rtsp_server::RTSPMedia,
    packet: impl Fn(&gst::Buffer) + 'static,
) -> Result<gst_rtsp_server::RTSPStreamTransport, Error> {
    let stream = media.stream(0).ok_or(Error::Media("finding the media's stream"))?;
    open_udp(&stream)?;
    let transport = tcp_transport(&stream)?;
    // The word that a packet is sent must come from whoever sends for the library. Its sending thread handles one packet,
    // RTCP first, and then sleeps until a new one comes or one is sent. Where both waited, the RTP packet would stay, and
    // its branch holds but one: everything stood still, for UDP viewers too, until a TCP viewer came.
    let (rtp, rtcp) = (transport.downgrade(), transport.downgrade());
    let sent = |transport: &glib::WeakRef<gst_rtsp_server::RTSPStreamTransport>| {
        if let Some(transport) = transport.upgrade() {
            transport.message_sent();
        }
        true
    };
    let take = move |buffer: &gst::Buffer, _channel| {
        packet(buffer);
        sent(&rtp)
    };
    transport.set_callbacks(take, move |_, _| sent(&rtcp));
    if !complete_pipeline(media, &transport) {
        return Err(Error::Media("completing the pipeline"));
    }
    if !media.set_state(gst::State::Playing, std::slice::from_ref(&transport)) {
        return Err(Error::Media("starting the pipeline"));
    }
    Ok(transport)
}

/// An owned `GstRTSPTransport`.
struct Transport(*mut gst_rtsp_sys::GstRTSPTransport);

impl Transport {
    #[allow(unsafe_code)]
    fn new(lower: gst_rtsp_sys::GstRTSPLowerTrans) -> Self {
        let mut raw = std::ptr::null_mut();
        // SAFETY: the call stores a new transport in `raw` (it can fail only on a null argument), whose plain fields
        // may then be written by its only owner.
        unsafe {
            gst_rtsp_sys::gst_rtsp_transport_new(&mut raw);
            (*raw).trans = gst_rtsp_sys::GST_RTSP_TRANS_RTP;
            (*raw).profile = gst_rtsp_sys::GST_RTSP_PROFILE_AVP;
            (*raw).lower_transport = lower;
            (*raw).mode_play = glib::ffi::GTRUE;
            (*raw).interleaved = gst_rtsp_sys::GstRTSPRange { min: 0, max: 1 };
        }
        Self(raw)
    }
}

impl Drop for Transport {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: `self.0` came from gst_rtsp_transport_new and was not given away.
        unsafe { gst_rtsp_sys::gst_rtsp_transport_free(self.0) };
    }
}

#[allow(unsafe_code)]
fn open_udp(stream: &gst_rtsp_server::RTSPStream) -> Result<(), Error> {
    let transport = Transport::new(gst_rtsp_sys::GST_RTSP_LOWER_TRANS_UDP);
    let allocate = |family: i32| {
        // SAFETY: both objects live through the call, which only reads the transport and locks the stream itself.
        unsafe {
            let stream = stream.to_glib_none().0;
            gst_rtsp_server_sys::gst_rtsp_stream_allocate_udp_sockets(stream, family, transport.0, 0) != 0
        }
    };
    let v4 = allocate(gio_sys::G_SOCKET_FAMILY_IPV4);
    // A kernel without IPv6 is no reason to go without IPv4, and the other way round.
    let v6 = allocate(gio_sys::G_SOCKET_FAMILY_IPV6);
    if !v4 && !v6 {
        return Err(Error::Media("opening UDP ports"));
    }
    // SAFETY: as above.
    let complete =
        unsafe { gst_rtsp_server_sys::gst_rtsp_stream_complete_stream(stream.to_glib_none().0, transport.0) != 0 };
    complete.then_some(()).ok_or(Error::Media("completing the UDP branch"))
}

#[allow(unsafe_code)]
fn tcp_transport(stream: &gst_rtsp_server::RTSPStream) -> Result<gst_rtsp_server::RTSPStreamTransport, Error> {
    let transport = Transport::new(gst_rtsp_sys::GST_RTSP_LOWER_TRANS_TCP);
    // SAFETY: the stream transport takes ownership of the plain transport, which is therefore forgotten here; the
    // result is a full reference.
    unsafe {
        let raw = gst_rtsp_server_sys::gst_rtsp_stream_transport_new(stream.to_glib_none().0, transport.0);
        std::mem::forget(transport);
        if raw.is_null() {
            return Err(Error::Media("making the TCP transport"));
        }
        Ok(gst_rtsp_server::RTSPStreamTransport::from_glib_full(raw))
    }
}

#[allow(unsafe_code)]
fn complete_pipeline(media: &gst_rtsp_server::RTSPMedia, transport: &gst_rtsp_server::RTSPStreamTransport) -> bool {
    // SAFETY: the array holds a borrowed pointer for the time of the call only; the media takes its own references.
    unsafe {
        let transports = glib::ffi::g_ptr_array_new();
        let raw: *mut gst_rtsp_server_sys::GstRTSPStreamTransport = transport.to_glib_none().0;
        glib::ffi::g_ptr_array_add(transports, raw.cast());
        let done = gst_rtsp_server_sys::gst_rtsp_media_complete_pipeline(media.to_glib_none().0, transports);
        glib::ffi::g_ptr_array_unref(transports);
        done != 0
    }
}
