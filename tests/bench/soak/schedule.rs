//! What is injected when: a pure function of the seed, the length and the table of faults.

use std::time::Duration;

use super::faults::{Kind, Lane, Often};
use crate::support::wait::Dice;

/// Nothing is injected at first: viewers connect, memory settles.
const WARM_UP_S: u64 = 10;

/// A disk or a camera that was away gets this long to be well again before its next fault.
const REST_S: u64 = 15;

/// One injection to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    /// Seconds from the beginning.
    pub(crate) second: u64,
    /// The row of the table.
    pub(crate) kind: &'static Kind,
    /// Of the dice that the injection throws.
    pub(crate) seed: u64,
}

/// The whole run.
pub(crate) struct Schedule {
    /// In the order of time.
    pub(crate) planned: Vec<Planned>,
    /// Its length in seconds.
    pub(crate) length: u64,
    calm_every: u64,
    calm: u64,
}

impl Schedule {
    /// The same arguments give the same schedule.
    pub(crate) fn new(kinds: &[&'static Kind], length: u64, seed: u64) -> Self {
        let calm_every = (length / 24).clamp(60, 300);
        let calm = (calm_every / 12).max(20);
        let mut schedule = Self { planned: Vec::new(), length, calm_every, calm };
        let mut dice = Dice::new(seed);
        schedule.place_rare(kinds, &mut dice);
        let mut second = WARM_UP_S;
        while second < length {
            let fit: Vec<&'static Kind> = kinds.iter().copied().filter(|kind| schedule.fits(kind, second)).collect();
            let whole: u64 = fit.iter().map(|kind| kind.often.weight()).sum();
            if whole > 0 {
                let mut ticket = dice.below(whole);
                let drawn = fit.iter().find(|kind| match ticket.checked_sub(kind.often.weight()) {
                    Some(rest) => {
                        ticket = rest;
                        false
                    }
                    None => true,
                });
                let kind = drawn.copied().expect("the ticket is below the sum of all weights");
                schedule.planned.push(Planned { second, kind, seed: dice.below(1 << 30) });
            }
            second += 2 + dice.below(4);
        }
        schedule.planned.sort_by_key(|planned| planned.second);
        schedule
    }

    /// Faults that come at stated parts of the run: at the first second from there on where they fit.
    fn place_rare(&mut self, kinds: &[&'static Kind], dice: &mut Dice) {
        for kind in kinds {
            let Often::At(parts) = kind.often else { continue };
            for part in parts {
                let from = (part * self.length as f64) as u64;
                let second = (from.max(WARM_UP_S)..self.length).find(|second| self.fits(kind, *second));
                let seed = dice.below(1 << 30);
                self.planned.extend(second.map(|second| Planned { second, kind, seed }));
            }
        }
    }

    /// True if the fault is over before the next calm, and meets no other in its lane.
    fn fits(&self, kind: &Kind, second: u64) -> bool {
        let end = second + kind.lasts_s;
        let calm = (second..=end + 2).any(|second| self.is_calm(second));
        let meets = |other: &Planned| {
            kind.lane != Lane::Free
                && other.kind.lane == kind.lane
                && second < other.second + other.kind.lasts_s + REST_S
                && other.second < end + REST_S
        };
        !calm && !self.planned.iter().any(meets)
    }

    /// In a calm nothing is injected; at its end what the daemon uses can be compared with other calms.
    pub(crate) fn is_calm(&self, second: u64) -> bool {
        second % self.calm_every >= self.calm_every - self.calm
    }

    /// True in the last second of a calm.
    pub(crate) fn ends_calm(&self, second: u64) -> bool {
        self.is_calm(second) && !self.is_calm(second + 1)
    }

    /// For people, and to compare two runs.
    pub(crate) fn text(&self) -> String {
        let line = |planned: &Planned| format!("{:6} s  {}\n", planned.second, planned.kind.name);
        self.planned.iter().map(line).collect()
    }

    /// When it ends.
    pub(crate) fn end(&self) -> Duration {
        Duration::from_secs(self.length)
    }
}
