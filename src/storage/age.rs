//! Tells which segments of a stream are too old, though the clock of a board without a battery starts weeks behind.
//!
//! A name holds the time that the clock said, which proves nothing. What counts is a time that its file calls right (see
//! [`Mark::clock_right`](super::mark::Mark)): the file itself and every file made before it are at least that old. So a
//! file of a wrong clock is judged by the next one that was made with a right clock, and stays while there is none. The
//! marks are read from the oldest file on, and no further than to the first that is known to be young.

use std::collections::VecDeque;

use super::layout::Name;

/// What is known of the ages of one stream's segments. It stays true whatever is deleted or added: an older right time
/// is never found behind a later one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// The last file whose mark was read, by the order of making.
    read: Option<(u32, u32)>,
    /// Files up to this one are too old.
    aged: Option<(u32, u32)>,
    /// The first file with a right time that was not too old.
    young: Option<Name>,
}

impl Ages {
    /// The segments of `files` whose marks are to be read, oldest first, at most `max`: until one is young. What began
    /// before `limit` (seconds since the Unix epoch) is too old.
    pub fn unread(&mut self, files: &VecDeque<Name>, limit: u64, max: usize) -> Vec<Name> {
        match self.young {
            Some(young) if young.unix >= limit => return Vec::new(),
            Some(young) => (self.aged, self.young) = (Some(young.order()), None),
            None => {}
        }
        let from = files.partition_point(|name| Some(name.order()) <= self.read);
        files.range(from..).take(max).copied().collect()
    }

    /// Takes note of what the mark of the next one says; true if no further one need be read.
    pub fn learn(&mut self, name: &Name, clock_right: bool, limit: u64) -> bool {
        self.read = Some(name.order());
        match clock_right {
            true if name.unix < limit => self.aged = Some(name.order()),
            true => self.young = Some(*name),
            false => {}
        }
        self.young.is_some()
    }

    /// True if a segment is known to be too old.
    pub fn is_aged(&self, name: &Name) -> bool {
        Some(name.order()) <= self.aged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1_795_161_600;

    /// Reads the marks of files with these times, of which those with `true` are right, three at a time.
    fn read(times: &[(u64, bool)]) -> (Ages, VecDeque<Name>, usize) {
        let files: VecDeque<_> = (0..).zip(times).map(|(seq, (unix, _))| Name::new(*unix, 1, seq)).collect();
        let mut ages = Ages::default();
        let mut reads = 0;
        loop {
            let unread = ages.unread(&files, LIMIT, 3);
            if unread.is_empty() {
                return (ages, files, reads);
            }
            for name in unread {
                reads += 1;
                if ages.learn(&name, times[name.seq as usize].1, LIMIT) {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_file_is_as_old_as_the_next_right_time_at_least() {
        let (old, young) = (LIMIT - 1, LIMIT);
        for (times, aged, reads) in [
            (&[(old, true), (old, true), (young, true), (young, true)][..], 2, 3),
            (&[(old, false), (old, false)], 0, 2),
            // Months behind, then set: what the clock said before proves nothing.
            (&[(7, false), (old, false), (young, true)], 0, 3),
            (&[(7, false), (u64::MAX, false), (old, true), (old, false), (young, true)], 3, 5),
            (&[(old, true), (old, false), (old, false), (old, false), (old, false)], 1, 5),
            (&[], 0, 0),
        ] {
            let (ages, files, read) = read(times);
            assert_eq!((files.iter().filter(|n| ages.is_aged(n)).count(), read), (aged, reads), "{times:?}");
        }
    }

    #[test]
    fn the_young_grow_old_and_files_come_and_go() {
        let (mut ages, mut files, _) = read(&[(LIMIT - 1, true), (3, false), (LIMIT, true), (LIMIT + 5, true)]);
        assert!(ages.unread(&files, LIMIT, 3).is_empty() && !ages.is_aged(&files[1]));
        assert_eq!(ages.unread(&files, LIMIT + 1, 3), [files[3]]);
        assert!(ages.is_aged(&files[2]) && !ages.is_aged(&files[3]));
        files.drain(..3);
        assert!(ages.learn(&files[0].clone(), true, LIMIT + 1));
        // One from an earlier run that was recovered only now.
        assert!(ages.is_aged(&Name::new(u64::MAX, 0, 7)) && !ages.is_aged(&files[0]));
        assert!(ages.unread(&VecDeque::new(), LIMIT + 6, 3).is_empty() && ages.is_aged(&files[0]));
    }
}
