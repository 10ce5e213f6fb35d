//! A disk that writes down every operation, and a model of what a power cut leaves of them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::storage::disk::{Disk, DiskFile, Item};
use crate::storage::mp4;
use crate::storage::mux::{self, Wrap};

/// One operation. Files are known by the number of their creation, whatever they are called later.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Create(PathBuf, usize),
    Write {
        file: usize,
        at: u64,
        data: Vec<u8>,
    },
    SetLen(usize, u64),
    /// With the number of pictures that are safe from now on.
    Sync(usize, usize),
    Rename(PathBuf, PathBuf),
    SyncDir(PathBuf),
    Link(PathBuf),
    Remove(PathBuf),
}

impl Op {
    pub(super) fn kind(&self) -> String {
        match self {
            Op::Write { at, data, .. } => format!("write {} at {at}", data.len()),
            other => format!("{other:?}"),
        }
    }
}

/// Files in memory: what a state is made of, and what recovery works on. Implements exactly the durable-in-order
/// semantics of no crash at all; crashes are made by `states`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Files {
    pub(super) names: BTreeMap<PathBuf, usize>,
    pub(super) contents: BTreeMap<usize, Vec<u8>>,
}

impl Files {
    pub(super) fn content(&self, path: &Path) -> &[u8] {
        &self.contents[&self.names[path]]
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Create(path, file) => {
                self.names.insert(path.clone(), *file);
                self.contents.entry(*file).or_default();
            }
            Op::Write { file, at, data } => {
                let content = self.contents.entry(*file).or_default();
                let (at, end) = (*at as usize, *at as usize + data.len());
                // What was never written reads as zeros.
                content.resize(content.len().max(end), 0);
                content[at..end].copy_from_slice(data);
            }
            Op::SetLen(file, len) => self.contents.entry(*file).or_default().resize(*len as usize, 0),
            Op::Rename(from, to) => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            Op::Remove(path) => {
                self.names.remove(path);
            }
            Op::Sync(..) | Op::SyncDir(_) | Op::Link(_) => {}
        }
    }
}

/// The disk. Works in memory, or passes everything on to a real one too.
#[derive(Clone, Default)]
pub(super) struct Journal {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    files: Files,
    ops: Vec<Op>,
}

impl Journal {
    /// A disk that begins with `files`.
    pub(super) fn with(files: Files) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { files, ops: Vec::new() })) }
    }

    pub(super) fn ops(&self) -> Vec<Op> {
        self.inner.lock().unwrap().ops.clone()
    }

    pub(super) fn files(&self) -> Files {
        self.inner.lock().unwrap().files.clone()
    }

    fn op(&self, op: Op) {
        let mut inner = self.inner.lock().unwrap();
        inner.files.apply(&op);
        inner.ops.push(op);
    }

    fn file(&self, number: usize) -> Box<dyn DiskFile> {
        Box::new(JournalFile { journal: self.clone(), number })
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Disk for Journal {
    fn make_dirs(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let number = {
            let inner = self.inner.lock().unwrap();
            assert!(!inner.files.names.contains_key(path), "{path:?} exists");
            inner.files.contents.len()
        };
        self.op(Op::Create(path.to_owned(), number));
        Ok(self.file(number))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let number = self.inner.lock().unwrap().files.names.get(path).copied();
        number.map(|number| self.file(number)).ok_or_else(not_found)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.op(Op::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.op(Op::SyncDir(dir.to_owned()));
        Ok(())
    }

    fn switch_link(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.op(Op::Link(link.parent().unwrap().join(target)));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.op(Op::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        panic!("nobody removes {dir:?}")
    }

    fn list(&self, _: &Path) -> io::Result<Vec<Item>> {
        Ok(Vec::new())
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let inner = self.inner.lock().unwrap();
        inner.files.names.get(path).map(|n| inner.files.contents[n].len() as u64).ok_or_else(not_found)
    }

    fn free(&self) -> io::Result<u64> {
        Ok(1 << 40)
    }
}

struct JournalFile {
    journal: Journal,
    number: usize,
}

impl DiskFile for JournalFile {
    fn write_at(&mut self, data: &[u8], at: u64) -> io::Result<()> {
        self.journal.op(Op::Write { file: self.number, at, data: data.to_vec() });
        Ok(())
    }

    fn read_at(&self, data: &mut [u8], at: u64) -> io::Result<()> {
        let inner = self.journal.inner.lock().unwrap();
        let content = &inner.files.contents[&self.number];
        let part = content.get(at as usize..at as usize + data.len());
        data.copy_from_slice(part.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.journal.inner.lock().unwrap().files.contents[&self.number].len() as u64)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.journal.op(Op::SetLen(self.number, len));
        Ok(())
    }

    fn datasync(&mut self) -> io::Result<()> {
        self.journal.op(Op::Sync(self.number, self.pictures()));
        Ok(())
    }
}

impl JournalFile {
    fn pictures(&self) -> usize {
        let mut start = [0; 4];
        self.read_at(&mut start, 0).unwrap();
        let wrap = match start {
            [0x47, ..] => Wrap::Ts,
            [0x1a, 0x45, 0xdf, 0xa3] => Wrap::Mkv,
            _ => {
                let found = mp4::read(self).unwrap();
                // What was safe before stays safe while the closing moov is appended and the header switched.
                return if let mp4::Found::Fragments(found) = found { found.samples.len() } else { usize::MAX };
            }
        };
        match mux::read(self, wrap).unwrap() {
            mux::Found::Plays { pictures, .. } => pictures,
            other => panic!("{other:?} was flushed"),
        }
    }
}

/// A state that a power cut may leave.
pub(super) struct State {
    pub(super) files: Files,
    /// Operations issued before the cut.
    pub(super) after: usize,
    /// True if no write is torn but at the boundary of a sector, where disks and kernels tear them.
    pub(super) plausible: bool,
}

/// Hands to `see` every state that a power cut after the first `after` operations may leave: what was flushed is
/// there; of the rest, any subset (of more than four operations: all or none, but for one), and any one write of it torn
/// in any of several ways.
pub(super) fn states(before: &Files, ops: &[Op], after: usize, mut see: impl FnMut(State)) {
    let loose: Vec<usize> = (0..after).filter(|i| !is_durable(ops, *i, after)).collect();
    let count = u32::try_from(loose.len()).unwrap();
    assert!(count <= 12, "operations pile up unflushed: {loose:?}");
    let few = |subset: &u32| count <= 4 || subset.count_ones() <= 1 || subset.count_ones() + 1 >= count;
    for subset in (0..1u32 << count).filter(few) {
        let applied = |i: usize| loose.iter().position(|l| *l == i).is_none_or(|bit| subset >> bit & 1 == 1);
        let build = |replace: Option<(usize, &Op)>| {
            let mut files = before.clone();
            for (i, op) in ops.iter().enumerate().take(after) {
                match replace {
                    Some((at, torn)) if at == i => files.apply(torn),
                    _ if applied(i) => files.apply(op),
                    _ => {}
                }
            }
            files
        };
        see(State { files: build(None), after, plausible: true });
        for i in loose.iter().copied().filter(|i| applied(*i)) {
            for (torn, plausible) in tears(&ops[i]) {
                see(State { files: build(Some((i, &torn))), after, plausible });
            }
        }
    }
}

fn is_durable(ops: &[Op], i: usize, after: usize) -> bool {
    let later = &ops[i + 1..after];
    match &ops[i] {
        Op::Write { file, .. } | Op::SetLen(file, _) => {
            later.iter().any(|op| matches!(op, Op::Sync(f, _) if f == file))
        }
        Op::Create(path, _) | Op::Rename(_, path) | Op::Remove(path) => {
            later.iter().any(|op| matches!(op, Op::SyncDir(dir) if path.parent() == Some(dir)))
        }
        Op::Sync(..) | Op::SyncDir(_) | Op::Link(_) => true,
    }
}

/// A write that did not get to its end: cut off at some byte; its size there but its bytes still zero; a sector of it
/// missing; only its end there. With each, whether it was torn at the boundary of a sector.
fn tears(op: &Op) -> Vec<(Op, bool)> {
    let Op::Write { file, at, data } = op else { return Vec::new() };
    let len = data.len();
    let to_sector = 512 - *at as usize % 512;
    let sectors = [0, 1, 2, 8, len / 1024].map(|n| to_sector + n * 512);
    let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 100, 512, len / 3, len / 2, len.saturating_sub(29), len - 1];
    let mut cuts: Vec<usize> = sectors.into_iter().chain(bytes).filter(|cut| (1..len).contains(cut)).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut torn = Vec::new();
    for cut in cuts {
        let plausible = cut % 512 == to_sector % 512;
        let mut push = |data: Vec<u8>| torn.push((Op::Write { file: *file, at: *at, data }, plausible));
        push(data[..cut].to_vec());
        if len > 16 {
            push([vec![0; cut], data[cut..].to_vec()].concat());
            let mut hole = data.clone();
            hole[cut..(cut + 512).min(len)].fill(0);
            push(hole);
            push([data[..cut].to_vec(), vec![0; len - cut]].concat());
        }
    }
    torn
}
