//! A request as the library hands it over, before it looks at it: what the Rust bindings leave out.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::net::IpAddr;

use gst::glib::translate::{IntoGlib, ToGlibPtr};
use gst_rtsp::{RTSPHeaderField, RTSPMethod};
use gst_rtsp_server::RTSPContext;

/// Borrowed from the context of a request.
pub(super) struct Request<'a> {
    raw: *mut gst_rtsp_sys::GstRTSPMessage,
    /// What it wants; empty for a method that the library does not know.
    pub(super) method: RTSPMethod,
    /// True for RTSP/1.0.
    pub(super) is_version_1: bool,
    life: PhantomData<&'a RTSPContext>,
}

impl<'a> Request<'a> {
    #[allow(unsafe_code)]
    pub(super) fn of(context: &'a RTSPContext) -> Option<Self> {
        let raw: *mut gst_rtsp_sys::GstRTSPMessage = context.request()?.to_glib_none().0;
        let (mut method, mut version, mut url) = (0, 0, std::ptr::null());
        // SAFETY: the message lives as long as the context it is borrowed from; the call checks that it is a request
        // and only reads it.
        let parsed = unsafe { gst_rtsp_sys::gst_rtsp_message_parse_request(raw, &mut method, &mut url, &mut version) };
        (parsed == gst_rtsp_sys::GST_RTSP_OK).then(|| Self {
            raw,
            method: RTSPMethod::from_bits_truncate(method),
            is_version_1: version == gst_rtsp_sys::GST_RTSP_VERSION_1_0,
            life: PhantomData,
        })
    }

    /// The first value of a header field, unless it is no text.
    #[allow(unsafe_code)]
    pub(super) fn header(&self, field: RTSPHeaderField) -> Option<&str> {
        let mut value = std::ptr::null_mut();
        // SAFETY: as above; the value is a string that belongs to the message and lives as long.
        unsafe {
            let found = gst_rtsp_sys::gst_rtsp_message_get_header(self.raw, field.into_glib(), &mut value, 0);
            if found != gst_rtsp_sys::GST_RTSP_OK || value.is_null() {
                return None;
            }
            CStr::from_ptr(value).to_str().ok()
        }
    }
}

/// The address of who connects, of a context that has a connection and no client yet.
#[allow(unsafe_code)]
pub(super) fn peer(context: &RTSPContext) -> Option<IpAddr> {
    // SAFETY: the context lives through this call and owns a reference to its connection, whose address is a string
    // that lives as long.
    unsafe {
        let raw: *mut gst_rtsp_server_sys::GstRTSPContext = context.to_glib_none().0;
        let ip = gst_rtsp_sys::gst_rtsp_connection_get_ip((*raw).conn.as_ref()?);
        if ip.is_null() { None } else { address(CStr::from_ptr(ip).to_str().ok()?) }
    }
}

/// An address as the library writes it: with the interface for one that is local to a link (`fe80::1%eth0`).
pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.split('%').next()?.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

/// Whether every UDP transport that a client offers (`Transport`, RFC 2326, 12.39) says where it wants the packets. The
/// library would send to port -1, 0 or 22 as well. It sends to the peer's own address, whatever `destination` says.
pub(super) fn names_its_ports(transports: &str) -> bool {
    transports.split(',').all(|transport| {
        let mut parts = transport.split(';').map(str::trim);
        let udp = parts.next().is_some_and(|protocol| !protocol.to_ascii_uppercase().ends_with("/TCP"));
        let parts: Vec<&str> = parts.collect();
        if !udp || parts.iter().any(|part| part.eq_ignore_ascii_case("multicast")) {
            return true;
        }
        let ports = parts.iter().find_map(|part| part.strip_prefix("client_port=")?.split_once('-'));
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port >= 1024);
        ports.is_some_and(|(rtp, rtcp)| port(rtp).zip(port(rtcp)).is_some_and(|(rtp, rtcp)| rtp != rtcp))
    })
}

/// Whether every transport that a client offers stays on its connection: the library takes the first that it can serve.
pub(super) fn is_interleaved(transports: &str) -> bool {
    let protocol = |transport: &str| transport.split(';').next().unwrap_or_default().trim().to_ascii_uppercase();
    transports.split(',').all(|transport| protocol(transport).ends_with("/TCP") && !has_part(transport, "multicast"))
}

fn has_part(transport: &str, part: &str) -> bool {
    transport.split(';').any(|own| own.trim().eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tcp_stays_on_the_connection() {
        let good = ["RTP/AVP/TCP;unicast;interleaved=0-1", "rtp/avp/tcp", "RTP/AVP/TCP;interleaved=0-1, RTP/AVPF/TCP"];
        let bad = [
            "",
            "RTP/AVP;unicast;client_port=5000-5001",
            "RTP/AVP/TCP;interleaved=0-1,RTP/AVP;client_port=5000-5001",
            "RTP/AVP/TCP;multicast",
            "RTP/AVP/UDP",
        ];
        assert!(good.iter().all(|text| is_interleaved(text)));
        bad.iter().for_each(|text| assert!(!is_interleaved(text), "{text}"));
    }

    #[test]
    fn a_udp_transport_needs_two_ports_of_a_client() {
        let good = [
            "RTP/AVP;unicast;client_port=5000-5001",
            "RTP/AVP/UDP;unicast;client_port=65534-65535;mode=play",
            "RTP/AVP/TCP;unicast;interleaved=0-1",
            "RTP/AVP/TCP",
            "RTP/AVP;multicast",
            "RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=0-1",
        ];
        let bad = [
            "RTP/AVP",
            "RTP/AVP;unicast;client_port=0-1",
            "RTP/AVP;unicast;client_port=22-23",
            "RTP/AVP;unicast;client_port=5000",
            "RTP/AVP;unicast;client_port=5000-5000",
            "RTP/AVP;unicast;client_port=-5--4",
            "RTP/AVP;unicast;client_port=70000-70001",
            "RTP/AVP/TCP;interleaved=0-1,RTP/AVP;client_port=1-2",
        ];
        for text in good {
            assert!(names_its_ports(text), "{text}");
        }
        for text in bad {
            assert!(!names_its_ports(text), "{text}");
        }
    }

    #[test]
    fn an_address_is_read_with_its_interface() {
        assert_eq!(address("fe80::1%eth0"), "fe80::1".parse().ok());
        assert_eq!(address("::ffff:10.0.0.1"), "10.0.0.1".parse().ok());
        assert_eq!(address("nobody"), None);
    }
}
