//! One RTSP connection, spoken by hand: also what no player would say.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, ipproto, socket};

use super::daemon::Daemon;
use super::wait::now;

/// Nobody waits longer for an answer.
const SOON: Duration = Duration::from_secs(10);

/// `Transport` for packets inside the connection.
pub(crate) const TCP: &str = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
/// `Transport` for packets beside it.
pub(crate) const UDP: &str = "Transport: RTP/AVP;unicast;client_port=50000-50001\r\n";

/// A connection.
pub(crate) struct Wire {
    /// What comes, and through `get_mut` what goes.
    pub(crate) stream: BufReader<TcpStream>,
    /// The session that the server named last; sent along with each request.
    pub(crate) session: Option<String>,
    /// The header lines of the last answer.
    pub(crate) headers: Vec<String>,
    url: String,
    sequence: u32,
}

/// A connection from another address of this machine.
pub(crate) fn connection_from(host: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let stream = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::TCP)).expect("there are sockets");
    bind(&stream, &SocketAddr::new(IpAddr::V4(host), 0)).expect("the address is this machine's");
    connect(&stream, &to).expect("the daemon listens");
    stream.into()
}

impl Wire {
    pub(crate) fn connect(daemon: &Daemon) -> Self {
        Self::over(TcpStream::connect(daemon.rtsp()).expect("the daemon listens"), daemon)
    }

    /// Connects from another address of this machine (127.0.0.0/8 are all its own), as another host would.
    pub(crate) fn connect_from(host: Ipv4Addr, daemon: &Daemon) -> Self {
        assert!(daemon.rtsp().is_ipv4(), "only IPv4 has so many loopback addresses");
        Self::over(connection_from(host, daemon.rtsp()), daemon)
    }

    fn over(stream: TcpStream, daemon: &Daemon) -> Self {
        stream.set_read_timeout(Some(SOON)).expect("a socket takes a time limit");
        stream.set_write_timeout(Some(SOON)).expect("a socket takes a time limit");
        let stream = BufReader::new(stream);
        Self { stream, url: daemon.url(), sequence: 0, session: None, headers: Vec::new() }
    }

    /// Sends whatever it is given.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the daemon reads");
    }

    /// Sends a request and returns the status code of its answer; interleaved packets before it are passed over.
    pub(crate) fn ask(&mut self, method: &str, below: &str, headers: &str) -> u32 {
        self.sequence += 1;
        let session = self.session.as_ref().map_or(String::new(), |id| format!("Session: {id}\r\n"));
        let (url, sequence) = (&self.url, self.sequence);
        let text = format!("{method} {url}{below} RTSP/1.0\r\nCSeq: {sequence}\r\n{session}{headers}\r\n");
        self.send(text.as_bytes());
        self.answer()
    }

    /// Sets up and plays.
    pub(crate) fn play(&mut self, transport: &str) {
        assert_eq!(self.ask("SETUP", "/stream=0", transport), 200);
        assert_eq!(self.ask("PLAY", "", ""), 200);
    }

    /// The status code of the next answer.
    pub(crate) fn answer(&mut self) -> u32 {
        while self.stream.fill_buf().expect("the daemon answers").first() == Some(&b'$') {
            let mut head = [0; 4];
            self.stream.read_exact(&mut head).expect("a packet's head");
            let mut packet = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            self.stream.read_exact(&mut packet).expect("a packet");
        }
        self.headers.clear();
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("a header line");
            let line = line.trim_end();
            match line.split_once(": ") {
                _ if line.is_empty() => break,
                _ if status.is_none() => status = line.split(' ').nth(1).and_then(|code| code.parse().ok()),
                Some(("Session", id)) => self.session = Some(id.split(';').next().expect("one part").into()),
                Some(("Content-Length", n)) => length = n.parse().expect("a number"),
                _ => {}
            }
            self.headers.push(line.to_owned());
        }
        self.stream.read_exact(&mut vec![0; length]).expect("the body");
        status.expect("a status line")
    }

    /// The value of a field of the last answer.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Sends the same again and again without reading, until the daemon closes the connection; the bytes that went.
    pub(crate) fn flood(&mut self, block: &[u8]) -> u64 {
        let (begun, mut sent) = (now(), 0);
        let stream = self.stream.get_mut();
        stream.set_write_timeout(Some(Duration::from_millis(100))).expect("a socket takes a time limit");
        loop {
            assert!(now() - begun < SOON, "still connected after {SOON:?} and {sent} bytes");
            match stream.write(block) {
                Ok(bytes) => sent += bytes as u64,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return sent,
            }
        }
    }

    /// True once the daemon has closed the connection; waits no longer than `limit` for that. What comes is thrown away.
    pub(crate) fn closes_within(&mut self, limit: Duration) -> bool {
        let begun = now();
        let stream = self.stream.get_mut();
        stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a socket takes a time limit");
        let mut some = [0; 1 << 16];
        loop {
            match stream.read(&mut some) {
                Ok(0) => return true,
                Err(e) if !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return true,
                _ if now() - begun > limit => return false,
                _ => {}
            }
        }
    }

    /// Ends the connection by a reset, as a crash or a firewall does.
    pub(crate) fn reset(self) {
        let stream = self.stream.into_inner();
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket lingers");
    }
}
