//! What the kernel does for us: bounds what a stuck or slow TCP viewer can cost, counts what a client sends.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use gst::glib::translate::ToGlibPtr;

/// What the kernel may queue for one viewer (the kernel doubles it for its own bookkeeping). Without a bound it grew
/// to 3.9 MB for a stopped viewer, 10 s of video at 3 Mbit/s.
pub(super) const SEND_BUFFER_BYTES: usize = 128 << 10;
/// Data that is not acknowledged for so long ends the connection.
const USER_TIMEOUT: Duration = Duration::from_secs(4);

/// Sets the bounds on a client's connection, and returns a descriptor of our own for it, and the peer's address.
pub(super) fn tune(client: &gst_rtsp_server::RTSPClient) -> Option<(OwnedFd, IpAddr)> {
    with_fd(client, |fd| {
        let peer = SocketAddr::try_from(rustix::net::getpeername(fd).ok()??).ok()?;
        Some((tune_fd(fd)?, peer.ip().to_canonical()))
    })?
}

/// The same for a connection that is nobody's yet.
pub(super) fn tune_fd(fd: BorrowedFd<'_>) -> Option<OwnedFd> {
    if let Err(e) = bound(fd) {
        tracing::debug!("a viewer's socket takes no bounds: {e}");
    }
    fd.try_clone_to_owned().ok()
}

/// Ends a connection. The library sees the end of the stream and closes in its own way, on its own thread; what has
/// come and was not read yet is thrown away, so that it need not take that apart first. Closing then resets the
/// connection: a peer that neither reads nor stops sending would not notice anything else.
pub(super) fn end(socket: &OwnedFd) {
    // Both fail only if the peer was faster.
    let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
    drain(socket.as_raw_fd());
}

#[allow(unsafe_code)]
fn drain(fd: RawFd) {
    const AT_ONCE: usize = 1 << 30;
    // SAFETY: with MSG_TRUNC a TCP socket copies nothing (tcp(7)), so that no memory is needed; a socket that is shut
    // down does not wait, and MSG_DONTWAIT says so besides.
    while unsafe { libc::recv(fd, std::ptr::null_mut(), AT_ONCE, libc::MSG_TRUNC | libc::MSG_DONTWAIT) } > 0 {}
}

fn bound(fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    rustix::net::sockopt::set_socket_send_buffer_size(fd, SEND_BUFFER_BYTES)?;
    rustix::net::sockopt::set_tcp_nodelay(fd, true)?;
    let timeout = u32::try_from(USER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(fd, timeout)
}

/// Bytes that wait in the socket and were not even sent once. What is on its way on a slow link does not count.
#[allow(unsafe_code)]
pub(super) fn unsent_bytes(fd: RawFd) -> usize {
    /// linux/sockios.h; the libc crate does not name it.
    const SIOCOUTQNSD: libc::c_ulong = 0x894b;
    let mut bytes: libc::c_int = 0;
    // SAFETY: this request writes one int to the address it is given, and nothing else; a wrong descriptor is an error.
    let done = unsafe { libc::ioctl(fd, SIOCOUTQNSD as _, &mut bytes) };
    if done == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// Bytes that have come since the connection was opened, read or not (`tcpi_bytes_received`, Linux 4.1).
#[allow(unsafe_code)]
pub(super) fn received_bytes(fd: RawFd) -> u64 {
    /// Its place in `struct tcp_info` of linux/tcp.h; the libc crate's ends before it.
    const AT: usize = 128;
    let mut info = [0_u8; AT + 8];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the call writes at most `length` bytes to `info`, which has as many.
    let done =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &mut length) };
    let bytes = info.last_chunk().copied().map_or(0, u64::from_ne_bytes);
    if done == 0 && length as usize == info.len() { bytes } else { 0 }
}

/// Keeps the library from joining an HTTP GET and POST to a tunnel: what comes through it is not counted here.
#[allow(unsafe_code)]
pub(super) fn refuse_tunnels(client: &gst_rtsp_server::RTSPClient) {
    // SAFETY: the client owns its connection; both live through this call, which sets one flag, before the client's
    // first byte is read.
    unsafe {
        let connection = gst_rtsp_server_sys::gst_rtsp_client_get_connection(client.to_glib_none().0);
        if !connection.is_null() {
            gst_rtsp_sys::gst_rtsp_connection_set_http_mode(connection, gst::glib::ffi::GTRUE);
        }
    }
}

#[allow(unsafe_code)]
fn with_fd<R>(client: &gst_rtsp_server::RTSPClient, body: impl FnOnce(BorrowedFd<'_>) -> R) -> Option<R> {
    // SAFETY: the client owns its connection, the connection its socket, and the socket its descriptor; all live
    // through this call, which is made from the signal that introduces the client.
    unsafe {
        let connection = gst_rtsp_server_sys::gst_rtsp_client_get_connection(client.to_glib_none().0);
        if connection.is_null() {
            return None;
        }
        let socket = gst_rtsp_sys::gst_rtsp_connection_get_write_socket(connection);
        if socket.is_null() {
            return None;
        }
        let fd = gio_sys::g_socket_get_fd(socket);
        (fd >= 0).then(|| body(BorrowedFd::borrow_raw(fd)))
    }
}
