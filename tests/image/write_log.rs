//! What a disk holds after a power cut: QEMU's log of writes (blklogwrites) replayed onto the disk as it was before.
//!
//! Everything before the last flush is there. Of what was written after it, each write is there, gone or torn, as the dice
//! say: a disk may keep, lose and reorder what no flush covers.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::support::wait::Dice;

/// The format is that of Linux' dm-log-writes: a superblock, then for each write a header and its data, in sectors.
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
/// What a disk writes whole or not at all.
const ATOM: u64 = 512;

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where on the disk, in bytes.
    to: u64,
    length: u64,
    flags: u64,
    /// Where its data lie in the log.
    from: u64,
}

/// The log of one disk.
#[derive(Debug)]
pub(crate) struct WriteLog {
    file: File,
    entries: Vec<Entry>,
}

impl WriteLog {
    /// Reads what a killed QEMU left: the superblock's count may be old, and the last entry may be cut off.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let size = file.metadata().map_err(|e| e.to_string())?.len();
        let head = words(&file, 0)?;
        // In the fourth word the lower half is the size of a sector.
        let sector = head[3] & 0xffff_ffff;
        if head[0] != MAGIC || sector != 512 {
            return Err(format!("{} is no log of writes in sectors of 512 bytes: {head:x?}", path.display()));
        }
        let mut entries = Vec::new();
        let mut at = sector;
        while at + sector <= size {
            let [to, sectors, flags, _] = words(&file, at)?;
            if sectors == 0 && flags & FLUSH == 0 {
                break;
            }
            let length = sectors * sector;
            let entry = Entry { to: to * sector, length, flags, from: at + sector };
            at += sector + if flags & DISCARD == 0 { length } else { 0 };
            if at > size {
                break;
            }
            entries.push(entry);
        }
        Ok(Self { file, entries })
    }

    /// Entries in it.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number of the entry that was under way when the log had this length.
    pub(crate) fn entry_at(&self, length: u64) -> usize {
        self.entries.partition_point(|entry| entry.from < length)
    }

    /// How long the log was when this entry was written.
    pub(crate) fn length_at(&self, number: usize) -> u64 {
        self.entries.get(number).map_or(u64::MAX, |entry| entry.from)
    }

    /// Numbers of the flushes.
    pub(crate) fn flushes(&self) -> impl Iterator<Item = usize> + '_ {
        self.entries.iter().enumerate().filter(|(_, entry)| entry.flags & FLUSH != 0).map(|(number, _)| number)
    }

    /// Brings `disk`, as it was before, to what it holds when the power goes after the first `count` entries.
    /// Answers how many writes were lost or torn.
    pub(crate) fn replay(&self, disk: &Path, count: usize, dice: &mut Dice) -> Result<usize, String> {
        let disk = OpenOptions::new().write(true).open(disk).map_err(|e| format!("{}: {e}", disk.display()))?;
        let entries = &self.entries[..count];
        let safe = entries.iter().rposition(|entry| entry.flags & FLUSH != 0).unwrap_or(0);
        let mut lost = 0;
        for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.length > 0) {
            let kept = if number < safe || entry.flags & FUA != 0 {
                entry.length
            } else {
                match dice.below(4) {
                    0 | 1 => entry.length,
                    2 => 0,
                    _ => dice.below(entry.length / ATOM + 1) * ATOM,
                }
            };
            lost += usize::from(kept < entry.length);
            self.apply(entry, kept, &disk).map_err(|e| format!("entry {number}: {e}"))?;
        }
        Ok(lost)
    }

    fn apply(&self, entry: &Entry, kept: u64, disk: &File) -> std::io::Result<()> {
        // No write of a guest is so long that this does not fit.
        let mut data = vec![0; usize::try_from(kept).expect("64 bits")];
        if entry.flags & DISCARD == 0 {
            self.file.read_exact_at(&mut data, entry.from)?;
        }
        disk.write_all_at(&data, entry.to)
    }
}

/// Four little-endian numbers.
fn words(file: &File, at: u64) -> Result<[u64; 4], String> {
    let mut bytes = [0; 32];
    file.read_exact_at(&mut bytes, at).map_err(|e| format!("the log ends at {at}: {e}"))?;
    let word = |n: usize| u64::from_le_bytes(bytes[n * 8..n * 8 + 8].try_into().expect("eight bytes"));
    Ok([word(0), word(1), word(2), word(3)])
}

#[test]
fn what_no_flush_covers_may_be_lost_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (log, disk) = (folder.path().join("log"), folder.path().join("disk"));
    let mut bytes = vec![0; 512];
    bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[8] = 1;
    bytes[24..28].copy_from_slice(&512_u32.to_le_bytes());
    let mut put = |sector: u64, sectors: u64, flags: u64, fill: u8| {
        let mut head = vec![0; 512];
        for (place, word) in [sector, sectors, flags].into_iter().enumerate() {
            head[place * 8..place * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes.extend(head);
        bytes.extend(vec![fill; usize::try_from(sectors * 512).expect("small")]);
    };
    put(0, 1, 0, 1);
    put(0, 0, FLUSH, 0);
    put(1, 1, 0, 2);
    put(2, 1, FUA, 3);
    std::fs::write(&log, &bytes).expect("written");
    let log = WriteLog::open(&log).expect("it is one");
    assert_eq!((log.len(), log.flushes().collect::<Vec<_>>()), (4, vec![1]));
    let mut dice = Dice::new(1);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..64 {
        std::fs::write(&disk, [0; 2048]).expect("written");
        log.replay(&disk, 4, &mut dice).expect("replayed");
        let held = std::fs::read(&disk).expect("there");
        seen.insert((held[0], held[512], held[1024], held[1536]));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(1, 0, 3, 0), (1, 2, 3, 0)]);
}
