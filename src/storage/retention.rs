//! Decides which segments go. Pure: it is told what is there, what time it is and how much is free.
//!
//! Space: when less than `keep_free` is free, the oldest go until a tenth more than that is free again. Age: only
//! while the clock is known to be right, and only what a right clock has dated (see [`age`](super::age)). Whatever the
//! reason, the newest `min_keep` of each stream stay, and so does at least one file of each. Where all that may go would
//! not bring `keep_free` back, the space was taken by something else: then nothing goes to make room.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::id::StreamId;

use super::catalog::{Catalog, Shelf};
use super::layout::Name;

/// At most so many files are considered in one pass; the next one comes soon.
const PASS: usize = 64;
/// The recorder stops with less than this, so that open segments can always be finished: enough for the closing moov
/// of every stream, and for what other programs write between two looks.
const FLOOR: u64 = 16 << 20;

/// What to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that are to stay free.
    pub keep_free: u64,
    /// Older segments go.
    pub max_age: Option<Duration>,
    /// The newest recordings of each stream that always stay, in time.
    pub min_keep: Duration,
}

/// A segment that may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its stream.
    pub stream: StreamId,
    /// Its name.
    pub name: Name,
    /// Its size.
    pub bytes: u64,
    /// True if it is too old.
    pub aged: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// These go, oldest first.
    pub delete: Vec<(StreamId, Name)>,
    /// Deleting goes on with the next pass.
    pub cleaning: bool,
    /// Less than `keep_free` is free, and nothing that may be deleted brings it back.
    pub stuck: bool,
    /// So little is free that recording must wait.
    pub full: bool,
}

/// The time since the Unix epoch before which a segment is too old, in seconds; `None` if age is no reason now. `now`
/// is the time, if the clock is known to be right.
pub fn too_old(limits: &Limits, now: Option<Duration>) -> Option<u64> {
    now.zip(limits.max_age).map(|(now, age)| now.saturating_sub(age).as_secs())
}

/// The segments of which must be read whether their clock was right, oldest first, for one pass.
pub fn undated(catalog: &mut Catalog, too_old: u64) -> Vec<(StreamId, Vec<Name>)> {
    let mut left = PASS;
    let mut all = Vec::new();
    for (stream, shelf) in &mut catalog.streams {
        let unread = shelf.ages.unread(&shelf.videos, too_old, left);
        left -= unread.len();
        all.push((stream.clone(), unread));
    }
    all
}

/// The newest segments whose length must be read to know what `min_keep` covers, for one pass; none while nothing would
/// go anyway. With `low` space is short, with `by_age` age is a reason.
pub fn unmeasured(catalog: &Catalog, limits: &Limits, low: bool, by_age: bool) -> Vec<(StreamId, Name)> {
    let mut all = Vec::new();
    for (stream, shelf) in &catalog.streams {
        let aged = by_age && shelf.videos.front().is_some_and(|name| shelf.ages.is_aged(name));
        if low || aged {
            all.extend(kept(shelf, limits.min_keep).unmeasured.into_iter().map(|name| (stream.clone(), name)));
        }
    }
    all.truncate(PASS);
    all
}

/// The oldest segments that may go, oldest first, without their sizes. With `by_age` those that are too old are marked.
pub fn candidates(catalog: &Catalog, limits: &Limits, by_age: bool) -> Vec<Candidate> {
    let mut all = Vec::new();
    for (stream, shelf) in &catalog.streams {
        // Grows in the order of making: a clock that jumped back does not make the newest files look oldest.
        let mut latest = 0;
        let free_to_go = shelf.videos.len() - kept(shelf, limits.min_keep).files;
        for name in shelf.videos.iter().take(free_to_go.min(PASS)) {
            let aged = by_age && shelf.ages.is_aged(name);
            latest = name.unix.max(latest);
            all.push((latest, Candidate { stream: stream.clone(), name: *name, bytes: 0, aged }));
        }
    }
    // Stable: in each stream the order of making stays.
    all.sort_by_key(|(latest, _)| *latest);
    all.into_iter().map(|(_, candidate)| candidate).take(PASS).collect()
}

/// True if space is short: only then are the sizes of the candidates needed.
pub fn is_low(limits: &Limits, free: u64, cleaning: bool) -> bool {
    let (keep_free, target) = bounds(limits);
    free < keep_free || cleaning && free < target
}

/// Deleting begins below the first and ends at the second.
fn bounds(limits: &Limits) -> (u64, u64) {
    let keep_free = limits.keep_free.max(2 * FLOOR);
    (keep_free, keep_free.saturating_add(keep_free / 10))
}

/// All segments that may go to make room.
pub fn spare(catalog: &Catalog, limits: &Limits) -> Vec<(StreamId, Vec<Name>)> {
    let spare = |shelf: &Shelf| {
        let count = shelf.videos.len() - kept(shelf, limits.min_keep).files;
        shelf.videos.iter().take(count).copied().collect()
    };
    catalog.streams.iter().map(|(stream, shelf)| (stream.clone(), spare(shelf))).collect()
}

/// Bytes that must be freed before deleting to make room can be of use: 0 if enough are free.
pub fn missing(limits: &Limits, free: u64) -> u64 {
    bounds(limits).0.saturating_sub(free)
}

/// What to do about `candidates` with `free` bytes left; `cleaning` is the answer of the last pass. `helps` says
/// whether deleting can free what is [`missing`].
pub fn decide(candidates: &[Candidate], limits: &Limits, free: u64, cleaning: bool, helps: bool) -> Decision {
    let target = bounds(limits).1;
    let low = helps && is_low(limits, free, cleaning);
    let stuck = missing(limits, free) > 0 && (!helps || candidates.is_empty());
    let mut decision = Decision { full: free < FLOOR, stuck, ..Decision::default() };
    let mut expected = free;
    for candidate in candidates {
        if candidate.aged || low && expected < target {
            expected = expected.saturating_add(candidate.bytes);
            decision.delete.push((candidate.stream.clone(), candidate.name));
        }
    }
    decision.cleaning = low && expected < target && !decision.delete.is_empty();
    decision
}

/// The newest files of a stream that stay.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kept {
    /// How many.
    files: usize,
    /// Those of them, or the first 64, of unknown length. They count as nothing: rather one more is kept.
    unmeasured: Vec<Name>,
}

/// The newest files that cover `min_keep`; at least one.
fn kept(shelf: &Shelf, min_keep: Duration) -> Kept {
    let longest = usual_length(&shelf.videos).map_or(0, |usual| 2 * usual + 1);
    let mut covered = Duration::ZERO;
    let mut kept = Kept::default();
    let mut later: Option<&Name> = None;
    for name in shelf.videos.iter().rev() {
        if kept.files > 0 && covered >= min_keep {
            break;
        }
        covered += match (later.and_then(|later| length(name, later)), shelf.lengths.get(&name.order())) {
            (Some(length), _) => Duration::from_secs(length.min(longest)),
            (None, Some(measured)) => *measured,
            (None, None) => {
                if kept.unmeasured.len() < PASS {
                    kept.unmeasured.push(*name);
                }
                Duration::ZERO
            }
        };
        kept.files += 1;
        later = Some(name);
    }
    kept
}

/// Seconds from one file to the next of its run; the last of a run has none.
fn length(name: &Name, later: &Name) -> Option<u64> {
    (name.run == later.run).then(|| later.unix.saturating_sub(name.unix))
}

/// The middle one of the newest lengths: a clock that was set in the middle of a run makes one file look years long.
/// With fewer than three nobody knows.
fn usual_length(files: &VecDeque<Name>) -> Option<u64> {
    let pairs = files.iter().rev().zip(files.iter().rev().skip(1));
    let mut lengths: Vec<u64> = pairs.filter_map(|(later, name)| length(name, later)).take(PASS).collect();
    lengths.sort_unstable();
    if lengths.len() < 3 { None } else { lengths.get(lengths.len() / 2).copied() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::layout::Kind;

    const NOW: u64 = 1_795_161_600;
    const GIB: u64 = 1 << 30;

    fn limits(min_keep: u64) -> Limits {
        Limits {
            keep_free: 2 * GIB,
            max_age: Some(Duration::from_secs(86_400)),
            min_keep: Duration::from_secs(min_keep),
        }
    }

    fn names(candidates: &[Candidate]) -> Vec<String> {
        candidates.iter().map(|c| format!("{}{}{}", c.stream, c.name.seq, if c.aged { "!" } else { "" })).collect()
    }

    /// A stream with files of 5 s, the first of them `age` seconds old.
    fn fill(catalog: &mut Catalog, stream: &str, run: u32, count: u32, age: u64) {
        let stream = StreamId::new(stream).unwrap();
        for seq in 0..count {
            catalog.add(&stream, Kind::Video, Name::new(NOW - age + u64::from(seq) * 5, run, seq));
        }
    }

    fn sized(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
        candidates.iter_mut().for_each(|c| c.bytes = GIB / 10 + 1);
        candidates
    }

    #[test]
    fn the_oldest_of_all_streams_first_and_min_keep_of_each_stays() {
        let mut catalog = Catalog::default();
        fill(&mut catalog, "a", 1, 6, 100);
        fill(&mut catalog, "b", 2, 6, 98);
        let c = candidates(&catalog, &limits(10), false);
        // The newest counts as nothing, two before it make 10 s: three of six stay.
        assert_eq!(names(&c), ["a0", "b0", "a1", "b1", "a2", "b2"]);
        assert_eq!(candidates(&catalog, &limits(0), false).len(), 10);
        assert!(candidates(&catalog, &limits(1000), false).is_empty());
    }

    #[test]
    fn deletes_to_a_tenth_more_than_asked_and_then_rests() {
        let mut catalog = Catalog::default();
        fill(&mut catalog, "a", 1, 40, 1000);
        let c = sized(candidates(&catalog, &limits(10), false));
        let free = |tenths: u64| tenths * GIB / 10;
        assert_eq!(decide(&c, &limits(10), free(20), false, true), Decision::default());
        assert_eq!(decide(&c, &limits(10), free(19), false, true).delete.len(), 3);
        assert_eq!(decide(&c, &limits(10), free(21), true, true).delete.len(), 1);
        assert_eq!(decide(&c, &limits(10), free(22) + GIB, true, true), Decision::default());
        let far = decide(&c, &limits(10), 0, false, true);
        assert!(far.full && !far.stuck && !far.cleaning);
        assert_eq!(far.delete.len(), 22);
        assert!(decide(&c[..5], &limits(10), 0, false, true).cleaning);
    }

    #[test]
    fn foreign_data_is_no_reason_to_delete_below_min_keep() {
        let mut catalog = Catalog::default();
        fill(&mut catalog, "a", 1, 3, 100);
        let c = candidates(&catalog, &limits(600), false);
        let d = decide(&c, &limits(600), GIB, false, true);
        assert_eq!(d, Decision { stuck: true, ..Decision::default() });
        assert!(decide(&c, &limits(600), FLOOR - 1, false, true).full);
        // Nor to delete at all, if that does not make the room that is to be free.
        fill(&mut catalog, "b", 2, 10, 100);
        let c = sized(candidates(&catalog, &limits(10), false));
        assert!(!c.is_empty() && missing(&limits(10), GIB) == GIB);
        let d = decide(&c, &limits(10), GIB, true, false);
        assert_eq!(d, Decision { stuck: true, ..Decision::default() });
        let spare: Vec<_> = spare(&catalog, &limits(10)).iter().map(|(_, names)| names.len()).collect();
        assert_eq!(spare, [0, 7]);
    }

    #[test]
    fn by_age_only_while_the_clock_is_right() {
        let mut catalog = Catalog::default();
        fill(&mut catalog, "a", 1, 6, 90_000);
        fill(&mut catalog, "b", 2, 6, 70_000);
        let now = Some(Duration::from_secs(NOW));
        let limit = too_old(&limits(0), now).unwrap();
        for (stream, names) in undated(&mut catalog, limit) {
            let ages = &mut catalog.streams.get_mut(&stream).unwrap().ages;
            names.iter().take_while(|name| !ages.learn(name, true, limit)).count();
        }
        let told = names(&candidates(&catalog, &limits(0), true));
        assert_eq!(told, ["a0!", "a1!", "a2!", "a3!", "a4!", "b0", "b1", "b2", "b3", "b4"]);
        assert_eq!(decide(&candidates(&catalog, &limits(0), true), &limits(0), 100 * GIB, false, true).delete.len(), 5);
        assert!(names(&candidates(&catalog, &limits(0), false)).iter().all(|n| !n.ends_with('!')));
        assert_eq!(too_old(&limits(0), None), None);
        assert_eq!(too_old(&Limits { max_age: None, ..limits(0) }, now), None);
    }

    #[test]
    fn after_a_clock_jumped_back_the_oldest_still_go_first() {
        let mut catalog = Catalog::default();
        fill(&mut catalog, "a", 1, 4, 100);
        fill(&mut catalog, "a", 2, 4, 50_000_000);
        fill(&mut catalog, "b", 3, 3, 200);
        let told = candidates(&catalog, &limits(0), false);
        let told: Vec<_> = told.iter().map(|c| (c.name.run, c.name.seq)).collect();
        assert_eq!(told, [(3, 0), (3, 1), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1), (2, 2)]);
    }

    #[test]
    fn few_marks_are_read_in_one_pass() {
        let mut catalog = Catalog::default();
        fill(&mut catalog, "a", 1, 40, 90_000);
        fill(&mut catalog, "b", 2, 40, 90_000);
        let counts: Vec<_> = undated(&mut catalog, NOW).iter().map(|(_, names)| names.len()).collect();
        assert_eq!(counts, [40, 24]);
    }

    #[test]
    fn a_clock_that_is_set_in_the_middle_of_a_run_does_not_cover_years() {
        let mut catalog = Catalog::default();
        let a = StreamId::new("a").unwrap();
        for seq in 0..10u32 {
            let unix = if seq < 5 { 100 } else { NOW } + u64::from(seq) * 5;
            catalog.add(&a, Kind::Video, Name::new(unix, 1, seq));
        }
        // 30 s: the newest (0 s), four of 5 s, then the one that looks 56 years long counts for 11 s at most.
        assert_eq!(kept(&catalog.streams[&a], Duration::from_secs(30)).files, 6);
        assert_eq!(kept(&catalog.streams[&a], Duration::from_secs(33)).files, 7);
        assert_eq!(kept(&Shelf::default(), Duration::from_secs(33)), Kept::default());
    }

    #[test]
    fn runs_of_one_file_are_measured_when_something_is_to_go() {
        let mut catalog = Catalog::default();
        let a = StreamId::new("a").unwrap();
        for run in 0..100u32 {
            catalog.add(&a, Kind::Video, Name::new(NOW + u64::from(run) * 60, run, 0));
        }
        assert!(
            candidates(&catalog, &limits(10), false).is_empty()
                && unmeasured(&catalog, &limits(10), false, true).is_empty()
        );
        for _ in 0..2 {
            let asked = unmeasured(&catalog, &limits(10), true, false);
            assert!(asked.len() <= PASS);
            for (stream, name) in asked {
                let length = Duration::from_millis(2500);
                catalog.streams.get_mut(&stream).unwrap().lengths.insert(name.order(), length);
            }
        }
        assert_eq!(kept(&catalog.streams[&a], Duration::from_secs(10)), Kept { files: 4, unmeasured: Vec::new() });
        assert_eq!(candidates(&catalog, &limits(10), false).len(), PASS);
        catalog.forget(&a, Kind::Video, &Name::new(NOW + 99 * 60, 99, 0));
        assert!(!catalog.streams[&a].lengths.contains_key(&(99, 0)));
    }

    #[test]
    fn the_usual_length_comes_from_the_newest_runs_that_have_one() {
        let mut catalog = Catalog::default();
        fill(&mut catalog, "a", 1, 10, 10_000);
        let a = StreamId::new("a").unwrap();
        for run in 2..102u32 {
            catalog.add(&a, Kind::Video, Name::new(NOW + u64::from(run) * 60, run, 0));
        }
        assert_eq!(usual_length(&catalog.streams[&a].videos), Some(5));
    }
}
