//! The one table that everything measured ends in: medians of the runs, beside what is to be reached and what peers do.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::machine::Machine;
use crate::subject::{OURS, Subject};

/// One number of one run.
pub(crate) struct Measured {
    name: String,
    unit: &'static str,
    value: f64,
    reach: Reach,
}

/// What was measured so far: what came before a failure is kept.
pub(crate) type Found = Vec<Measured>;

/// What is to be reached.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    /// At most this.
    Most(f64),
    /// At least this.
    Least(f64),
    /// Nothing; the number is there to be seen.
    Seen,
}

/// A number with its name, unit and aim.
pub(crate) fn measured(name: impl Into<String>, value: f64, unit: &'static str, reach: Reach) -> Measured {
    Measured { name: name.into(), unit, value, reach }
}

/// The value below which `percent` of all lie (nearest rank); NaN of nothing.
pub(crate) fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// All numbers of all runs, in the order of their first coming.
#[derive(Default)]
pub(crate) struct Table {
    lines: Vec<Line>,
    skips: Vec<String>,
    failed: bool,
}

struct Line {
    name: String,
    unit: &'static str,
    reach: Reach,
    /// The values of each subject, one for each run.
    values: BTreeMap<&'static str, Vec<f64>>,
}

impl Line {
    fn of(&self, subject: &str) -> &[f64] {
        self.values.get(subject).map_or(&[], Vec::as_slice)
    }

    fn median(&self, subject: &str) -> f64 {
        percentile(self.of(subject), 50.0)
    }

    /// Whether we reached it; what a peer reaches is its own affair.
    fn reached(&self) -> Option<bool> {
        if self.of(OURS).is_empty() {
            return None;
        }
        match self.reach {
            Reach::Most(most) => Some(self.median(OURS) <= most),
            Reach::Least(least) => Some(self.median(OURS) >= least),
            Reach::Seen => None,
        }
    }

    fn aim(&self) -> String {
        match self.reach {
            Reach::Most(most) => format!("<= {most:.0$}", decimals(most)),
            Reach::Least(least) => format!(">= {least:.0$}", decimals(least)),
            Reach::Seen => String::new(),
        }
    }

    /// Ours by theirs: what we need for one of what they need. None where that says nothing.
    fn ratio(&self, peer: &str) -> Option<f64> {
        let (ours, theirs) = (self.median(OURS), self.median(peer));
        (ours > 0.0 && theirs > 0.0).then_some(ours / theirs)
    }
}

fn decimals(value: f64) -> usize {
    usize::from(value.fract() != 0.0)
}

/// As many digits as a measurement has.
fn short(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "-".into(),
        large if large >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl Table {
    /// Takes the numbers of one run of one subject.
    pub(crate) fn add(&mut self, subject: &'static str, run: Vec<Measured>) {
        for Measured { name, unit, value, reach } in run {
            let known = self.lines.iter().position(|line| line.name == name);
            let at = known.unwrap_or_else(|| {
                self.lines.push(Line { name, unit, reach, values: BTreeMap::new() });
                self.lines.len() - 1
            });
            self.lines[at].values.entry(subject).or_default().push(value);
        }
    }

    /// Says that a row could not be measured, or not to its end, and why.
    pub(crate) fn skip(&mut self, row: &str, subject: &'static str, why: &str) {
        self.failed |= subject == OURS;
        self.skips.push(format!("{row} of {subject}: not measured to its end: {why}"));
    }

    /// True if something of ours could not be measured; what becomes of a peer is its own affair.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    /// What could not be measured, a line each.
    pub(crate) fn skips(&self) -> &[String] {
        &self.skips
    }

    /// For people.
    pub(crate) fn text(&self, peers: &[Subject]) -> String {
        let mut text = String::new();
        let width = self.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0).max(4);
        text += &format!(
            "{:width$} {:>9} {:>9} {:>9}  {:6} {:>8}  {:11}",
            "what", "median", "best", "worst", "", "reach", ""
        );
        peers.iter().for_each(|peer| text += &format!("  {:>24}", peer.name));
        for line in &self.lines {
            let [low, high] = [0.0, 100.0].map(|p| short(percentile(line.of(OURS), p)));
            let median = short(line.median(OURS));
            let verdict = if line.reached() == Some(false) { "NOT REACHED" } else { "" };
            let (name, unit, aim) = (&line.name, line.unit, line.aim());
            text += &format!("\n{name:width$} {median:>9} {low:>9} {high:>9}  {unit:6} {aim:>8}  {verdict:11}");
            for peer in peers {
                let ratio = line.ratio(peer.name).map_or(String::new(), |ratio| format!("(ours x{ratio:.2})"));
                text += &format!("  {:>24}", format!("{} {ratio:>12}", short(line.median(peer.name))));
            }
        }
        text.push('\n');
        text
    }

    /// For README: what was measured, what is to be reached, and each peer with the ratio of our number to its.
    pub(crate) fn markdown(&self, peers: &[Subject]) -> String {
        let mut text = "| What | Windhover | reach |".to_owned();
        peers.iter().for_each(|peer| text += &format!(" {} | ratio |", peer.name));
        text += &format!("\n|---|---|---|{}\n", "---|---|".repeat(peers.len()));
        for line in &self.lines {
            let with_unit = |value: f64| format!("{} {}", short(value), line.unit).trim_end().to_owned();
            let missed = if line.reached() == Some(false) { " (not reached)" } else { "" };
            text += &format!("| {} | {}{missed} | {} |", line.name, with_unit(line.median(OURS)), line.aim());
            for peer in peers {
                let value = line.median(peer.name);
                let value = if value.is_nan() { String::new() } else { with_unit(value) };
                let ratio = line.ratio(peer.name).map_or(String::new(), |ratio| format!("{ratio:.2}"));
                text += &format!(" {value} | {ratio} |");
            }
            text.push('\n');
        }
        text
    }

    /// For machines.
    pub(crate) fn json(&self, machine: &Machine, peers: &[Subject], absent: &[String], repeat: u64) -> Value {
        let row = |line: &Line| {
            let beside = peers.iter().filter(|peer| !line.of(peer.name).is_empty()).map(|peer| {
                let values = json!({
                    "median": line.median(peer.name), "values": line.of(peer.name), "ratio": line.ratio(peer.name),
                });
                (peer.name.to_owned(), values)
            });
            json!({
                "name": line.name, "unit": line.unit, "median": line.median(OURS), "values": line.of(OURS),
                "reach": line.aim(), "reached": line.reached(), "peers": beside.collect::<serde_json::Map<_, _>>(),
            })
        };
        json!({
            "machine": machine.json(), "repeat": repeat,
            "peers": peers.iter().map(|peer| json!({ "name": peer.name, "version": peer.version, "note": peer.note }))
                .collect::<Vec<_>>(),
            "rows": self.lines.iter().map(row).collect::<Vec<_>>(),
            "absent": absent, "not_measured": self.skips,
        })
    }
}
