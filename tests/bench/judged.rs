//! A soak that cannot fail proves nothing: each way in which a daemon may break must be seen.

use std::time::Duration;

use crate::soak::faults::{KINDS, Kind, Lane};
use crate::soak::schedule::{Planned, Schedule};
use crate::soak::verdict::{Account, Injected};
use crate::soak::watchers::{Book, Report};
use crate::support::process::Usage;

const HOUR: u64 = 3600;

fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn book(except: impl Fn(f64) -> bool) -> Book {
    let times = (0..HOUR * 10).map(|tenth| tenth as f64 / 10.0).filter(|at| !except(*at));
    let pictures: Vec<Duration> = times.map(|at| s(1000.0 + at)).collect();
    Book { ages_ms: vec![6.0; pictures.len()], pictures, ..Book::default() }
}

fn usage(memory_mib: u64, descriptors: u64) -> Usage {
    Usage { memory_kib: memory_mib << 10, threads: 40, descriptors, cpu: Duration::ZERO }
}

/// An hour without a flaw, in which the disk was away once and the camera once.
fn good() -> Account {
    let injected = |name, reports, from, to| Injected { name, reports, span: (s(from), s(to)), error: None };
    let fault = |branch: &str, code: &str, from, to| (branch.to_owned(), code.to_owned(), s(from), s(to));
    Account {
        span: (s(1000.0), s(1000.0 + HOUR as f64)),
        injected: vec![
            injected("disk-gone", &["REC-001"], 1100.0, 1110.0),
            injected("camera-gone", &["CAM-004"], 1200.0, 1210.0),
        ],
        player: book(|_| false),
        udp: book(|_| false),
        clip: book(|at| (201.0..211.0).contains(&at)),
        absences: vec![(s(1200.0), s(1212.0))],
        report: Report {
            faults: vec![fault("storage", "REC-001", 1101.0, 1112.0), fault("clip/source", "CAM-004", 1204.0, 1211.0)],
            answers: HOUR,
            ..Report::default()
        },
        lives: vec![(s(1000.0), (1..=12).map(|n| (s(1000.0 + 299.0 * f64::from(n)), usage(100, 70))).collect())],
        segments: 600,
        ended_well: true,
        ..Account::default()
    }
}

fn breaches(change: impl FnOnce(&mut Account)) -> String {
    let mut account = good();
    change(&mut account);
    let verdict = account.verdict();
    assert_eq!(verdict.json()["passed"].as_bool(), Some(verdict.breaches.is_empty()));
    assert_eq!(verdict.text().contains("PASSED"), verdict.breaches.is_empty());
    verdict.breaches.join("\n")
}

#[test]
fn an_hour_without_a_flaw_is_passed() {
    assert_eq!(breaches(|_| {}), "");
}

#[test]
fn silence_is_seen_on_each_watcher() {
    let silent = || book(|at| (500.0..540.0).contains(&at));
    assert!(breaches(|account| account.player = silent()).contains("live, decoded over TCP: available"));
    assert!(breaches(|account| account.udp = silent()).contains("live, raw over UDP: available"));
    assert!(breaches(|account| account.clip = silent()).contains("clip, outside its absence: available"));
    // To the end of the run, and from its beginning.
    assert!(breaches(|account| account.player = book(|at| at > 3590.0)).contains("available"));
    assert!(breaches(|account| account.player = book(|at| at < 10.0)).contains("available"));
    // A source that does not come back when its clip does.
    assert!(breaches(|account| account.clip = book(|at| (201.0..260.0).contains(&at))).contains("clip"));
}

#[test]
fn growth_is_seen_of_memory_descriptors_and_threads() {
    let last = |account: &mut Account, usage| account.lives[0].1.last_mut().expect("there are calms").1 = usage;
    assert!(breaches(|account| last(account, usage(115, 70))).contains("memory: growth"));
    assert!(breaches(|account| last(account, usage(100, 80))).contains("descriptors: growth"));
    assert!(breaches(|account| last(account, Usage { threads: 50, ..usage(100, 70) })).contains("threads: growth"));
    let creeping = |account: &mut Account| {
        account.lives[0].1.iter_mut().enumerate().for_each(|(n, calm)| calm.1 = usage(100 + n as u64, 70));
    };
    assert!(breaches(creeping).contains("memory: slope"));
}

#[test]
fn an_end_and_late_pictures_and_files_that_do_not_play_are_seen() {
    assert!(breaches(|account| account.deaths.push("signal 11".into())).contains("ended by itself: signal 11"));
    assert!(breaches(|account| account.ended_well = false).contains("asked to end"));
    assert!(breaches(|account| account.unplayable.push("x.mp4".into())).contains("do not play"));
    let late = |account: &mut Account| account.player.ages_ms.iter_mut().rev().take(5000).for_each(|age| *age = 90.0);
    assert!(breaches(late).contains("drift"));
}

#[test]
fn faults_must_have_a_cause_and_an_end() {
    let fault = |code: &str, from, to| ("storage".to_owned(), code.to_owned(), s(from), s(to));
    let early = fault("REC-001", 1050.0, 1052.0);
    assert!(breaches(|account| account.report.faults.push(early)).contains("nothing like it was injected"));
    let other = fault("REC-007", 1105.0, 1106.0);
    assert!(breaches(|account| account.report.faults.push(other)).contains("REC-007"));
    assert!(breaches(|account| account.report.faults[0].3 = s(1300.0)).contains("slowest to clear"));
    let left = ("storage".to_owned(), "REC-001".to_owned());
    assert!(breaches(|account| account.report.present.push(left)).contains("still there at the end"));
    assert!(
        breaches(|account| account.injected[0].error = Some("broken".into())).contains("disk-gone at 100 s: broken")
    );
}

#[test]
fn a_schedule_repeats_with_its_seed_and_leaves_calms_and_lanes_alone() {
    let kinds: Vec<&'static Kind> = KINDS.iter().collect();
    let schedule = Schedule::new(&kinds, 2 * HOUR, 7);
    assert_eq!(schedule.text(), Schedule::new(&kinds, 2 * HOUR, 7).text());
    assert_ne!(schedule.text(), Schedule::new(&kinds, 2 * HOUR, 8).text());
    for kind in KINDS {
        assert!(schedule.planned.iter().any(|planned| planned.kind.name == kind.name), "{} never comes", kind.name);
    }
    for planned in &schedule.planned {
        let mut seconds = planned.second..planned.second + planned.kind.lasts_s;
        assert!(!seconds.any(|second| schedule.is_calm(second)), "{planned:?} in a calm");
    }
    for lane in [Lane::Disk, Lane::Camera] {
        let alone: Vec<_> = schedule.planned.iter().filter(|planned| planned.kind.lane == lane).collect();
        let apart = |pair: &[&Planned]| pair[0].second + pair[0].kind.lasts_s < pair[1].second;
        assert!(alone.len() > 20 && alone.windows(2).all(apart));
    }
    assert_eq!((0..2 * HOUR).filter(|second| schedule.ends_calm(*second)).count(), 24);
}
