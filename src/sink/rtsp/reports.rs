//! What viewers may tell us by RTCP, before the library's RTP session sees it.
//!
//! The session believes everybody: each SSRC that somebody makes up becomes a member, a sender report even a branch with
//! a jitter buffer, and members make our own reports rarer (RFC 3550, 6.2). Anybody can send to a UDP port. So only
//! hosts that have a connection are heard, only as often as viewers report, and only what viewers have to say.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;
use gst_rtsp_server::gio::prelude::*;
use gst_rtsp_server::{gio, gst_net};

use crate::base::clock::Clock;

use super::connections::Connections;
use super::request;

/// Types of RTCP packets (RFC 3550, 12.1; RFC 4585, 6.1; RFC 3611, 2).
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const APPLICATION: u8 = 204;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const EXTENDED_REPORT: u8 = 207;
/// A member that was not heard for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(60);
/// Reports of all viewers together: each sends one in some seconds, and feedback when it loses packets.
const PER_S: f64 = 500.0;
/// No report is longer than a packet on Ethernet.
const MAX_BYTES: usize = 1500;

/// Judges RTCP packets. Cheap to clone: each media holds one.
#[derive(Clone)]
pub(super) struct Reports {
    connections: Connections,
    clock: Arc<dyn Clock>,
    members: Arc<Mutex<Members>>,
}

impl Reports {
    /// At most `max_members` different SSRCs at a time.
    pub(super) fn new(connections: Connections, clock: Arc<dyn Clock>, max_members: usize) -> Self {
        let members = Members { max: max_members, seen: BTreeMap::new(), allowance: PER_S, at: clock.monotonic() };
        Self { connections, clock, members: Arc::new(Mutex::new(members)) }
    }

    /// Puts this judge before the RTP session of a media.
    pub(super) fn guard(&self, rtpbin: &gst::Element) {
        let reports = self.clone();
        rtpbin.connect_pad_added(move |_, pad| {
            if pad.name().starts_with("recv_rtcp_sink") {
                let reports = reports.clone();
                let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
                pad.add_probe(kinds, move |_, info| match info.buffer() {
                    Some(buffer) if reports.hears(buffer) => gst::PadProbeReturn::Ok,
                    _ => gst::PadProbeReturn::Drop,
                });
            }
        });
    }

    fn hears(&self, packet: &gst::BufferRef) -> bool {
        let hears = || {
            if !self.connections.is_peer(sender(packet)?) {
                return None;
            }
            let member = reporter(&packet.map_readable().ok()?)?;
            let mut members = self.members.lock().expect("nothing panics while it holds this lock");
            members.admit(member, self.clock.monotonic()).then_some(())
        };
        hears().is_some()
    }
}

fn sender(packet: &gst::BufferRef) -> Option<IpAddr> {
    let address = packet.meta::<gst_net::NetAddressMeta>()?.addr();
    let address = address.downcast::<gio::InetSocketAddress>().ok()?.address();
    request::address(&address.to_str())
}

/// The SSRC of a compound packet in which one receiver reports, describes itself or asks for something. `None` for all
/// else: broken packets, sender reports, goodbyes (TEARDOWN says that, and nobody can forge it).
fn reporter(packet: &[u8]) -> Option<u32> {
    let mut who = None;
    let mut rest = packet;
    if packet.len() > MAX_BYTES {
        return None;
    }
    while let [first, kind, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])) * 4;
        let body = after.get(..length)?;
        if first >> 6 != 2 {
            return None;
        }
        let ssrc = body.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        match *kind {
            RECEIVER_REPORT | TRANSPORT_FEEDBACK | PAYLOAD_FEEDBACK | EXTENDED_REPORT | APPLICATION => {
                if who.is_some_and(|who| Some(who) != ssrc) {
                    return None;
                }
                who = Some(ssrc?);
            }
            DESCRIPTION => {}
            _ => return None,
        }
        rest = &after[length..];
    }
    rest.is_empty().then_some(who)?
}

struct Members {
    max: usize,
    seen: BTreeMap<u32, Duration>,
    allowance: f64,
    at: Duration,
}

impl Members {
    fn admit(&mut self, member: u32, now: Duration) -> bool {
        let passed = now.saturating_sub(std::mem::replace(&mut self.at, now));
        self.allowance = (self.allowance + passed.as_secs_f64() * PER_S).min(PER_S);
        if self.allowance < 1.0 {
            return false;
        }
        self.allowance -= 1.0;
        if !self.seen.contains_key(&member) && self.seen.len() >= self.max {
            self.seen.retain(|_, last| now.saturating_sub(*last) < FORGET_AFTER);
            if self.seen.len() >= self.max {
                return false;
            }
        }
        self.seen.insert(member, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, words: &[u32]) -> Vec<u8> {
        let length = u16::try_from(words.len()).unwrap();
        let head = [0x81, kind].into_iter().chain(length.to_be_bytes());
        head.chain(words.iter().flat_map(|word| word.to_be_bytes())).collect()
    }

    #[test]
    fn one_receiver_reports_and_asks() {
        let report = packet(RECEIVER_REPORT, &[7, 1, 2, 3, 4, 5, 6]);
        assert_eq!(reporter(&report), Some(7));
        let whole = [report.clone(), packet(DESCRIPTION, &[7, 0]), packet(PAYLOAD_FEEDBACK, &[7, 9])].concat();
        assert_eq!(reporter(&whole), Some(7));
        let two = [report.clone(), packet(RECEIVER_REPORT, &[8])].concat();
        let sender = packet(200, &[7, 0, 0, 0, 0, 0]);
        let goodbye = [report.clone(), packet(203, &[7])].concat();
        let long = packet(RECEIVER_REPORT, &[7; 400]);
        let garbage: [&[u8]; 6] =
            [&[], &[0x81], &report[..10], &[0x41, 201, 0, 1, 0, 0, 0, 7], &[0x80, 201, 0, 0], &[0x80, 202, 0, 0]];
        for bad in [two, sender, goodbye, long].iter().map(Vec::as_slice).chain(garbage) {
            assert_eq!(reporter(bad), None, "{bad:x?}");
        }
    }

    #[test]
    fn members_and_their_reports_are_bounded() {
        let s = Duration::from_secs;
        let mut members = Members { max: 2, seen: BTreeMap::new(), allowance: PER_S, at: s(0) };
        assert!(members.admit(1, s(0)) && members.admit(2, s(0)) && !members.admit(3, s(1)));
        assert!(members.admit(1, s(50)) && members.admit(3, s(61)) && !members.admit(4, s(61)));
        let heard = (0..2000).filter(|_| members.admit(1, s(62))).count();
        assert!((490..=500).contains(&heard), "{heard}");
    }
}
