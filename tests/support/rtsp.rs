//! One RTSP viewer as a state machine over a non-blocking socket: light enough for hundreds in one thread.
//!
//! It speaks DESCRIBE, SETUP, PLAY, GET_PARAMETER and TEARDOWN (RFC 2326), takes the packets over TCP (interleaved) or
//! UDP, counts them and throws them away.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

use super::rtp::Received;
use super::wait::now;

/// gst-rtsp-server drops a session after 60 s of silence.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// How the packets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Inside the RTSP connection.
    Tcp,
    /// Beside it.
    Udp,
}

/// Where a viewer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Waits for the TCP connection.
    Connecting,
    /// Asked to describe, to set up or to play.
    Asking(&'static str),
    /// Receives.
    Playing,
    /// Said goodbye.
    Leaving,
    /// Ended: by itself, by the server's status code, or by a lost connection.
    Ended(String),
}

/// One viewer.
pub(crate) struct Viewer {
    /// Where it stands.
    pub(crate) step: Step,
    /// What came.
    pub(crate) received: Received,
    /// When it began to connect.
    pub(crate) begun: Duration,
    /// When the server had described the stream.
    pub(crate) described: Option<Duration>,
    url: String,
    transport: Transport,
    stream: TcpStream,
    udp: Option<[UdpSocket; 2]>,
    inbox: Vec<u8>,
    number: u32,
    session: String,
    spoken: Duration,
}

impl Viewer {
    /// Begins to connect; `path` as in the URL, with its slash and query.
    pub(crate) fn begin(server: SocketAddr, path: &str, transport: Transport) -> std::io::Result<Self> {
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        match rustix::net::connect(&socket, &server) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(e) => return Err(e.into()),
        }
        Ok(Self {
            step: Step::Connecting,
            received: Received::default(),
            begun: now(),
            described: None,
            url: format!("rtsp://{server}{path}"),
            transport,
            stream: TcpStream::from(socket),
            udp: None,
            inbox: Vec::new(),
            number: 0,
            session: String::new(),
            spoken: now(),
        })
    }

    /// True until it ended.
    pub(crate) fn alive(&self) -> bool {
        !matches!(self.step, Step::Ended(_))
    }

    /// The time from connecting to the first complete keyframe.
    pub(crate) fn first_picture_after(&self) -> Option<Duration> {
        self.received.first_keyframe.map(|at| at.saturating_sub(self.begun))
    }

    /// The sockets to wait for, the connection first.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.stream.as_fd()).chain(self.udp.iter().flatten().map(|socket| socket.as_fd()))
    }

    /// Says goodbye; the server answers and the viewer ends.
    pub(crate) fn leave(&mut self) {
        if self.step == Step::Playing {
            self.step = Step::Leaving;
            self.ask("TEARDOWN", "");
        } else {
            self.end("left");
        }
    }

    /// Is gone without a word, as a crashed player or a lost radio link is.
    pub(crate) fn vanish(&mut self) {
        self.end("vanished");
    }

    /// Does whatever can be done now, without waiting.
    pub(crate) fn turn(&mut self, scratch: &mut [u8]) {
        if self.step == Step::Connecting {
            match self.stream.take_error() {
                Ok(None) if self.stream.peer_addr().is_ok() => self.describe(),
                Ok(None) => return,
                Ok(Some(e)) | Err(e) => return self.end(&format!("not connected: {e}")),
            }
        }
        self.read_connection(scratch);
        if let Some([rtp, rtcp]) = &self.udp {
            while let Ok(length) = rtp.recv(scratch) {
                self.received.packet(&scratch[..length], now());
            }
            while rtcp.recv(scratch).is_ok() {}
        }
        if self.step == Step::Playing && now() > self.spoken + KEEPALIVE {
            self.ask("GET_PARAMETER", "");
        }
    }

    fn describe(&mut self) {
        // Small requests must not wait for the acknowledgement of the one before.
        let _ = self.stream.set_nodelay(true);
        self.step = Step::Asking("DESCRIBE");
        self.ask("DESCRIBE", "Accept: application/sdp\r\n");
    }

    fn read_connection(&mut self, scratch: &mut [u8]) {
        while self.alive() {
            match self.stream.read(scratch) {
                Ok(0) => self.end("the server closed the connection"),
                Ok(length) => {
                    self.inbox.extend_from_slice(&scratch[..length]);
                    self.parse();
                    if length < scratch.len() {
                        return;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => self.end(&format!("connection lost: {e}")),
            }
        }
    }

    /// Takes whole packets and replies from the inbox.
    fn parse(&mut self) {
        let inbox = std::mem::take(&mut self.inbox);
        let time = now();
        let mut at = 0;
        while self.alive() {
            let rest = &inbox[at..];
            at += match rest {
                [b'$', channel, high, low, data @ ..] => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    let Some(packet) = data.get(..length) else { break };
                    if *channel == 0 {
                        self.received.packet(packet, time);
                    }
                    4 + length
                }
                [b'$', ..] => break,
                _ => match self.reply(rest) {
                    Some(length) => length,
                    None => break,
                },
            };
        }
        self.inbox = inbox[at..].to_vec();
    }

    /// Takes one reply; `None` while it is not complete.
    fn reply(&mut self, data: &[u8]) -> Option<usize> {
        let end = data.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&data[..end]).into_owned();
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        let length = header("Content-Length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let body = data.get(end..end + length)?;
        let status = head.split_whitespace().nth(1).unwrap_or("no status");
        match (self.step.clone(), status) {
            (Step::Leaving, _) => self.end("left"),
            (Step::Asking("DESCRIBE"), "200") => {
                let base = header("Content-Base").unwrap_or_else(|| format!("{}/", self.url));
                self.set_up(&base, &String::from_utf8_lossy(body));
            }
            (Step::Asking("SETUP"), "200") => {
                let session = header("Session").unwrap_or_default();
                self.session = session.split(';').next().unwrap_or_default().to_owned();
                self.step = Step::Asking("PLAY");
                self.ask("PLAY", "Range: npt=0.000-\r\n");
            }
            (Step::Asking("PLAY"), "200") => self.step = Step::Playing,
            (Step::Asking(what), status) => self.end(&format!("{what}: {status}")),
            _ => {}
        }
        Some(end + length)
    }

    fn set_up(&mut self, base: &str, sdp: &str) {
        let media = sdp.lines().skip_while(|line| !line.starts_with("m=video"));
        let Some(control) = media.filter_map(|line| line.strip_prefix("a=control:")).next() else {
            return self.end("DESCRIBE: no video in the description");
        };
        self.described = Some(now());
        let aggregate = std::mem::take(&mut self.url);
        self.url = if control.contains("://") { control.to_owned() } else { format!("{base}{control}") };
        let transport = match self.transport {
            Transport::Tcp => "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n".to_owned(),
            Transport::Udp => match self.stream.local_addr().ok().and_then(|own| udp_pair(own.ip())) {
                Some((pair, port)) => {
                    self.udp = Some(pair);
                    format!("Transport: RTP/AVP;unicast;client_port={port}-{}\r\n", port + 1)
                }
                None => return self.end("no two UDP ports in a row are free"),
            },
        };
        self.step = Step::Asking("SETUP");
        self.ask("SETUP", &transport);
        self.url = aggregate;
    }

    fn ask(&mut self, method: &str, headers: &str) {
        self.number += 1;
        self.spoken = now();
        let session = if self.session.is_empty() { String::new() } else { format!("Session: {}\r\n", self.session) };
        let request = format!("{method} {} RTSP/1.0\r\nCSeq: {}\r\n{session}{headers}\r\n", self.url, self.number);
        if let Err(e) = self.stream.write_all(request.as_bytes()) {
            self.end(&format!("{method}: {e}"));
        }
    }

    fn end(&mut self, why: &str) {
        self.step = Step::Ended(why.to_owned());
        // Closing with unread data resets the connection, as a crash does; shutting down is what makes it happen now.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        self.udp = None;
    }
}

/// Two UDP sockets of this address on ports that follow each other, as RTP and RTCP want them.
fn udp_pair(own: IpAddr) -> Option<([UdpSocket; 2], u16)> {
    (0..100).find_map(|_| {
        let first = UdpSocket::bind((own, 0)).ok()?;
        let port = first.local_addr().ok()?.port();
        let second = UdpSocket::bind((own, port.checked_add(1)?)).ok()?;
        first.set_nonblocking(true).and_then(|()| second.set_nonblocking(true)).ok()?;
        (port % 2 == 0).then_some(([first, second], port))
    })
}
