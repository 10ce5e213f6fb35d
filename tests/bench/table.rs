//! The one table that everything measured ends in: medians of the runs, beside what is to be reached.

use crate::support::process::load;

/// One number of one run.
pub(crate) struct Measured {
    name: String,
    unit: &'static str,
    value: f64,
    reach: Reach,
}

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
}

struct Line {
    name: String,
    unit: &'static str,
    reach: Reach,
    values: Vec<f64>,
}

impl Line {
    fn median(&self) -> f64 {
        percentile(&self.values, 50.0)
    }

    fn reached(&self) -> Option<bool> {
        match self.reach {
            Reach::Most(most) => Some(self.median() <= most),
            Reach::Least(least) => Some(self.median() >= least),
            Reach::Seen => None,
        }
    }

    fn aim(&self) -> String {
        match self.reach {
            Reach::Most(most) => format!("<= {most}"),
            Reach::Least(least) => format!(">= {least}"),
            Reach::Seen => String::new(),
        }
    }
}

impl Table {
    /// Takes the numbers of one run.
    pub(crate) fn add(&mut self, run: Vec<Measured>) {
        for Measured { name, unit, value, reach } in run {
            match self.lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.values.push(value),
                None => self.lines.push(Line { name, unit, reach, values: vec![value] }),
            }
        }
    }

    /// Says that a row could not be measured, and why.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        self.skips.push(format!("{name}: not measured: {why}"));
    }

    /// True if something could not be measured.
    pub(crate) fn has_skips(&self) -> bool {
        !self.skips.is_empty()
    }

    /// For people.
    pub(crate) fn text(&self, repeat: u64) -> String {
        let mut text = format!("medians of {repeat}; load average {}\n\n", load());
        let width = self.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0).max(4);
        text +=
            &format!("{:width$} {:>10} {:>10} {:>10}  {:6} {:>8}\n", "what", "median", "best", "worst", "", "reach");
        for line in &self.lines {
            let [low, high] = [0.0, 100.0].map(|p| percentile(&line.values, p));
            let verdict = line.reached().map_or("", |reached| if reached { "reached" } else { "NOT REACHED" });
            text += &format!(
                "{:width$} {:>10.2} {low:>10.2} {high:>10.2}  {:6} {:>8}  {verdict}\n",
                line.name,
                line.median(),
                line.unit,
                line.aim(),
            );
        }
        self.skips.iter().for_each(|skip| text += &format!("{skip}\n"));
        text
    }

    /// For machines.
    pub(crate) fn json(&self) -> String {
        let lines = self.lines.iter().map(|line| {
            serde_json::json!({
                "name": line.name, "unit": line.unit, "median": line.median(), "values": line.values,
                "reach": line.aim(), "reached": line.reached(),
            })
        });
        let lines: Vec<serde_json::Value> = lines.collect();
        serde_json::json!({ "load": load(), "rows": lines, "not_measured": self.skips }).to_string()
    }
}
