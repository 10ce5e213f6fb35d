//! What one viewer learns from RTP packets: what came, what is missing, when the first keyframe was complete.

use std::time::Duration;

use windhover::media::nal;

/// Counters of one viewer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    /// RTP packets.
    pub(crate) packets: u64,
    /// Packets that should have come between others (gaps in the sequence numbers).
    pub(crate) lost: u64,
    /// Complete access units (marker bits).
    pub(crate) frames: u64,
    /// Access units that hold an IDR slice.
    pub(crate) keyframes: u64,
    /// Bytes of payload.
    pub(crate) bytes: u64,
    /// When the first packet came.
    pub(crate) first_packet: Option<Duration>,
    /// When the first keyframe was complete: decoding can begin.
    pub(crate) first_keyframe: Option<Duration>,
    /// When the last access unit was complete.
    pub(crate) last_frame: Option<Duration>,
    /// The longest time between two complete access units.
    pub(crate) longest_gap: Duration,
    sequence: Option<u16>,
    in_keyframe: bool,
}

impl Received {
    /// Takes one RTP packet (RFC 3550 5.1, RFC 6184 5.4). Packets that are none are passed over.
    pub(crate) fn packet(&mut self, packet: &[u8], now: Duration) {
        let Some(payload) = payload(packet) else { return };
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let marker = packet[1] & 0x80 != 0;
        if let Some(last) = self.sequence {
            let ahead = sequence.wrapping_sub(last);
            // Half of the circle behind is a late packet, not 65,000 lost ones.
            if ahead == 0 || ahead > 0x8000 {
                return;
            }
            self.lost += u64::from(ahead - 1);
        }
        self.sequence = Some(sequence);
        self.packets += 1;
        self.bytes += payload.len() as u64;
        self.first_packet.get_or_insert(now);
        self.in_keyframe |= holds_idr(payload);
        if marker {
            self.frame(now);
        }
    }

    fn frame(&mut self, now: Duration) {
        self.frames += 1;
        if std::mem::take(&mut self.in_keyframe) {
            self.keyframes += 1;
            self.first_keyframe.get_or_insert(now);
        }
        if let Some(last) = self.last_frame.replace(now) {
            self.longest_gap = self.longest_gap.max(now.saturating_sub(last));
        }
    }
}

fn payload(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    if packet.len() < 12 || first >> 6 != 2 {
        return None;
    }
    let mut start = 12 + usize::from(first & 0x0f) * 4;
    if first & 0x10 != 0 {
        let words = packet.get(start + 2..start + 4)?;
        start += 4 + usize::from(u16::from_be_bytes([words[0], words[1]])) * 4;
    }
    packet.get(start..)
}

/// True if the payload is, begins or contains a slice of an IDR picture.
fn holds_idr(payload: &[u8]) -> bool {
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;
    match nal::kind(payload) {
        nal::IDR => true,
        FU_A => payload.get(1).is_some_and(|header| header & 0x1f == nal::IDR),
        STAP_A => {
            let mut rest = &payload[1..];
            while let [high, low, tail @ ..] = rest {
                if nal::kind(tail) == nal::IDR {
                    return true;
                }
                rest = tail.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
            }
            false
        }
        _ => false,
    }
}

/// A packet for the tests below.
#[cfg(test)]
fn packet(sequence: u16, marker: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, 96 | u8::from(marker) << 7];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend(payload);
    bytes
}

#[test]
fn counts_losses_across_the_wrap_and_passes_over_late_packets() {
    let mut received = Received::default();
    for sequence in [65_534, 65_535, 0, 3, 1, 4] {
        received.packet(&packet(sequence, true, &[0x61]), Duration::ZERO);
    }
    assert_eq!((received.packets, received.lost, received.frames, received.keyframes), (5, 2, 5, 0));
}

#[test]
fn finds_keyframes_in_every_packing() {
    let single: &[u8] = &[0x65, 1];
    let fragment: &[u8] = &[0x7c, 0x85, 1];
    let together: &[u8] = &[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1, 0, 1, 0x65];
    for payload in [single, fragment, together] {
        assert!(holds_idr(payload), "{payload:x?}");
    }
    let slice: &[u8] = &[0x61, 5];
    for payload in [slice, &[], &[0x78], &[0x78, 0], &[0x78, 0, 9, 0x61], &[0x7c]] {
        assert!(!holds_idr(payload), "{payload:x?}");
    }
    let mut received = Received::default();
    received.packet(&packet(1, false, fragment), Duration::from_millis(1));
    received.packet(&packet(2, true, &[0x7c, 0x45, 1]), Duration::from_millis(2));
    assert_eq!(received.first_keyframe, Some(Duration::from_millis(2)));
}
