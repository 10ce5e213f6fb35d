//! Bounds what a stuck or slow TCP viewer can cost: its socket.

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use gst::glib::translate::ToGlibPtr;

/// What the kernel may queue for one viewer (the kernel doubles it for its own bookkeeping). Without a bound it grew
/// to 3.9 MB for a stopped viewer, 10 s of video at 3 Mbit/s.
pub(super) const SEND_BUFFER_BYTES: usize = 128 << 10;
/// Data that is not acknowledged for so long ends the connection.
const USER_TIMEOUT: Duration = Duration::from_secs(4);

/// Sets the bounds on a client's connection, and returns a descriptor of our own for it.
pub(super) fn tune(client: &gst_rtsp_server::RTSPClient) -> Option<OwnedFd> {
    with_fd(client, |fd| {
        if let Err(e) = bound(fd) {
            tracing::debug!("a viewer's socket takes no bounds: {e}");
        }
        fd.try_clone_to_owned().ok()
    })?
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
