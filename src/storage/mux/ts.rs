//! MPEG transport stream, as far as we must know it: packets of 188 bytes (ISO 13818-1, 2.4.3).

use std::io;

use crate::storage::disk::DiskFile;
use crate::storage::mark::Plate;

use super::Walk;

const PACKET: usize = 188;
/// So many packets are read at once.
const AT_ONCE: u64 = 4096;
/// Packets that say nothing, which every player passes over.
const NULL_PID: u16 = 0x1fff;

/// Bytes of the header of a packet.
pub(super) const CARRIER: usize = 4;

/// The packet that carries the plate: a null packet.
pub(super) fn carry(plate: &Plate) -> Vec<u8> {
    let pid = NULL_PID.to_be_bytes();
    let mut out = vec![0x47, pid[0], pid[1], 0x10];
    out.extend(plate.bytes());
    out.resize(PACKET, 0xff);
    out
}

/// Goes through the packets up to the first that is none. It can be played with a program table and a picture.
pub(super) fn walk(file: &dyn DiskFile) -> io::Result<Walk> {
    let len = file.size()?;
    let (mut end, mut pictures, mut table) = (0, 0, false);
    'file: while end + PACKET as u64 <= len {
        let packets = ((len - end) / PACKET as u64).min(AT_ONCE);
        let mut data = vec![0; usize::try_from(packets).expect("at most 4096") * PACKET];
        file.read_at(&mut data, end)?;
        for packet in data.chunks_exact(PACKET) {
            // The sync byte, and no transport error.
            if packet[0] != 0x47 || packet[1] & 0x80 != 0 {
                break 'file;
            }
            table |= pid(packet) == 0;
            pictures += usize::from(begins_picture(packet));
            end += PACKET as u64;
        }
    }
    Ok(Walk { end, pictures: if table { pictures } else { 0 } })
}

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// True if a PES packet of video begins here: each carries one picture.
fn begins_picture(packet: &[u8]) -> bool {
    let starts = packet[1] & 0x40 != 0 && pid(packet) != NULL_PID;
    let payload = match packet[3] >> 4 & 3 {
        1 => 4,
        3 => 5 + usize::from(packet[4]),
        _ => PACKET,
    };
    starts && packet.get(payload..payload + 4).is_some_and(|pes| pes[..3] == [0, 0, 1] && pes[3] & 0xf0 == 0xe0)
}
