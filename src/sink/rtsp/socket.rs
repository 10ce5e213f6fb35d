//! Bounds what a stuck TCP viewer can cost: its socket.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use gst::glib::translate::ToGlibPtr;

/// What the kernel may queue for one viewer (the kernel doubles it for its own bookkeeping). Without a bound it grew
/// to 3.9 MB for a stopped viewer, 10 s of video at 3 Mbit/s.
const SEND_BUFFER_BYTES: usize = 128 << 10;
/// Data that is not acknowledged for so long ends the connection.
const USER_TIMEOUT: Duration = Duration::from_secs(4);

/// Sets the bounds on a client's connection.
pub(super) fn tune(client: &gst_rtsp_server::RTSPClient) {
    let result = with_fd(client, |fd| {
        rustix::net::sockopt::set_socket_send_buffer_size(fd, SEND_BUFFER_BYTES)?;
        rustix::net::sockopt::set_tcp_nodelay(fd, true)?;
        let timeout = u32::try_from(USER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
        rustix::net::sockopt::set_tcp_user_timeout(fd, timeout)
    });
    if let Some(Err(e)) = result {
        tracing::debug!("a viewer's socket takes no bounds: {e}");
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
