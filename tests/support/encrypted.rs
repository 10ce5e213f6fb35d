//! One RTSP connection over TLS, spoken by hand.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use gio::prelude::*;

use super::daemon::Daemon;
use super::wait::wait_for;

/// Nobody waits longer for an answer, in seconds.
const SOON_S: u32 = 10;

/// The TLS port of a daemon, once it is open.
pub(crate) fn port_of(daemon: &Daemon) -> SocketAddr {
    let counted = || daemon.counter("rtsps", "port").and_then(|port| u16::try_from(port).ok());
    let port = wait_for(Duration::from_secs(20), counted);
    (daemon.rtsp().ip(), port.unwrap_or_else(|| panic!("there is no TLS port; the log:\n{}", daemon.log()))).into()
}

/// A connection after its handshake.
pub(crate) struct Encrypted {
    connection: gio::SocketConnection,
    session: Option<String>,
    sequence: u32,
    url: String,
}

impl Encrypted {
    /// Connects to a TLS port whose certificate `authority` has signed; why not, otherwise.
    pub(crate) fn connect(port: SocketAddr, authority: &Path) -> Result<Self, String> {
        let trusted = gio::TlsFileDatabase::new(authority).map_err(|e| e.to_string())?;
        let client = gio::SocketClient::new();
        client.set_timeout(SOON_S);
        client.set_tls(true);
        client.connect_event(move |_, event, _, connection| {
            if event == gio::SocketClientEvent::TlsHandshaking
                && let Some(tls) = connection.and_then(|connection| connection.downcast_ref::<gio::TlsConnection>())
            {
                tls.set_database(Some(&trusted));
            }
        });
        let (host, none) = (port.ip().to_string(), None::<&gio::Cancellable>);
        let connection = client.connect_to_host(&host, port.port(), none).map_err(|e| e.to_string())?;
        Ok(Self { connection, session: None, sequence: 0, url: format!("rtsps://{port}/live") })
    }

    /// The session that the server named.
    pub(crate) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// What the server showed.
    pub(crate) fn certificate(&self) -> String {
        let wrapped = self.connection.downcast_ref::<gio::TcpWrapperConnection>().expect("TLS is wrapped");
        let tls = wrapped.base_io_stream().downcast::<gio::TlsConnection>().expect("TLS is in it");
        tls.peer_certificate().and_then(|shown| shown.certificate_pem()).expect("a server shows one").into()
    }

    /// Sends whatever it is given; false once the server has closed.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.connection.output_stream().write_all(bytes, None::<&gio::Cancellable>).is_ok_and(|(_, e)| e.is_none())
    }

    /// Sends a request and returns the status code of its answer, 0 if there is none.
    pub(crate) fn ask(&mut self, method: &str, below: &str, headers: &str) -> u32 {
        self.sequence += 1;
        let session = self.session.as_ref().map_or(String::new(), |id| format!("Session: {id}\r\n"));
        let (url, sequence) = (&self.url, self.sequence);
        let request = format!("{method} {url}{below} RTSP/1.0\r\nCSeq: {sequence}\r\n{session}{headers}\r\n");
        if !self.send(request.as_bytes()) {
            return 0;
        }
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Some(byte) = self.read(1) else { return 0 };
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        if let Some(id) = value("Session") {
            self.session = id.split(';').next().map(str::to_owned);
        }
        let length = value("Content-Length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let _body = self.read(length);
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// So many bytes of what comes.
    pub(crate) fn read(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = self.connection.input_stream().read_all(&mut bytes, None::<&gio::Cancellable>).ok()?;
        (read.0 == length && read.1.is_none()).then_some(bytes)
    }
}

/// The certificate that a new connection is shown, asked until it is another than `before`.
pub(crate) fn another_certificate(port: SocketAddr, authority: &Path, before: &str) -> Option<String> {
    wait_for(Duration::from_secs(15), || {
        let shown = Encrypted::connect(port, authority).ok()?.certificate();
        (shown != before).then_some(shown)
    })
}
