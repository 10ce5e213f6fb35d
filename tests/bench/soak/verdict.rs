//! What a soak comes to: one table, the same as JSON, and the limits that were broken.

use std::time::Duration;

use serde_json::{Value, json};

use super::gaps::{Span, gaps, overlap, slope_per_h};
use super::watchers::{Book, Report};
use crate::support::process::{Usage, load};
use crate::table::percentile;

/// A picture older than this is no live video: the whole time up to the next one counts as an outage.
pub(super) const OUTAGE: Duration = Duration::from_millis(500);

/// A consequence shows within this time after an injection's end.
const AFTERMATH: Duration = Duration::from_secs(10);

/// A fault whose cause was taken away is gone from the report after so long: a recorder shows a gap for a minute.
const CLEARED_WITHIN: Duration = Duration::from_secs(90);

const AVAILABLE: f64 = 99.9;
/// Of the median over the whole run: latency must not accumulate. A busy machine needs some slack.
const DRIFT_MS: f64 = 50.0;
/// A daemon that has just begun still grows into its caches.
const WARM: Duration = Duration::from_secs(45);
const GROWTH_MIB: f64 = 12.0;
const SLOPE_MIB_PER_H: f64 = 6.0;
/// Slopes of shorter lives say nothing.
const SLOPE_FROM: Duration = Duration::from_secs(40 * 60);
const GROWTH_COUNT: i64 = 4;

/// An injection that happened.
#[derive(Debug, Clone)]
pub(crate) struct Injected {
    pub(crate) name: &'static str,
    pub(crate) reports: &'static [&'static str],
    pub(crate) span: Span,
    pub(crate) error: Option<String>,
}

/// Everything that was written down.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) seed: u64,
    pub(crate) span: Span,
    pub(crate) injected: Vec<Injected>,
    pub(crate) skipped: Vec<String>,
    pub(crate) player: Book,
    pub(crate) udp: Book,
    pub(crate) clip: Book,
    pub(crate) absences: Vec<Span>,
    pub(crate) report: Report,
    /// When the daemon of a life began, and what it used at the end of each calm.
    pub(crate) lives: Vec<(Duration, Vec<(Duration, Usage)>)>,
    /// Each end that nobody asked for.
    pub(crate) deaths: Vec<String>,
    pub(crate) segments: u64,
    pub(crate) unplayable: Vec<String>,
    /// How the last one ended when asked to.
    pub(crate) end: String,
    pub(crate) ended_well: bool,
}

/// One line of the table.
struct Line {
    key: String,
    value: f64,
    unit: &'static str,
    limit: Option<(char, f64)>,
    note: String,
}

impl Line {
    /// What cannot be measured is broken, too: no picture has no latency.
    fn broken(&self) -> bool {
        match self.limit {
            Some(('<', most)) => self.value.is_nan() || self.value > most,
            Some((_, least)) => self.value.is_nan() || self.value < least,
            None => false,
        }
    }
}

/// The table and its JSON.
pub(crate) struct Verdict {
    lines: Vec<Line>,
    kinds: Vec<Value>,
    skipped: Vec<String>,
    /// What was broken, in words; empty when the soak was passed.
    pub(crate) breaches: Vec<String>,
    whole: Value,
}

impl Account {
    /// Adds it all up.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut lines = Vec::new();
        let mut breaches = Vec::new();
        self.availability(&mut lines);
        self.drift(&mut lines);
        self.growth(&mut lines);
        self.media(&mut lines, &mut breaches);
        self.faults(&mut lines, &mut breaches);
        let broken = lines.iter().filter(|line| line.broken());
        breaches.extend(broken.map(|line| format!("{}: {:.3} {} {}", line.key, line.value, line.unit, line.note)));
        let kinds = self.kinds();
        let whole = json!({
            "seed": self.seed,
            "seconds": (self.span.1 - self.span.0).as_secs_f64(),
            "load": load(),
            "passed": breaches.is_empty(),
            "breaches": breaches,
            "skipped": self.skipped,
            "rows": lines.iter().map(|line| json!({
                "name": line.key, "value": line.value, "unit": line.unit, "note": line.note, "broken": line.broken(),
                "limit": line.limit.map(|(sign, value)| format!("{sign}= {value}")),
            })).collect::<Vec<_>>(),
            "kinds": kinds,
            "outages": self.outages(),
            "calms": self.lives.iter().enumerate().flat_map(|(life, (_, calms))| calms.iter().map(move |(at, usage)| json!({
                "life": life, "second": (*at - self.span.0).as_secs(), "memory_kib": usage.memory_kib,
                "descriptors": usage.descriptors, "threads": usage.threads, "cpu_s": usage.cpu.as_secs_f64(),
            }))).collect::<Vec<_>>(),
            "faults": self.report.faults.iter().map(|(branch, code, from, to)| json!({
                "branch": branch, "code": code, "from": self.second(*from), "to": self.second(*to),
            })).collect::<Vec<_>>(),
        });
        Verdict { lines, kinds, skipped: self.skipped.clone(), breaches, whole }
    }

    fn second(&self, at: Duration) -> f64 {
        at.as_secs_f64() - self.span.0.as_secs_f64()
    }

    fn availability(&self, lines: &mut Vec<Line>) {
        let kills: Vec<Span> = self.of_kind("kill").map(|i| (i.span.0, i.span.1 + AFTERMATH)).collect();
        let watchers = [
            ("live, decoded over TCP", &self.player, &[][..], AVAILABLE),
            ("live, raw over UDP", &self.udp, &[], AVAILABLE),
            // What a clip's end costs is the file source's own way; a camera has none.
            ("clip, outside its absence", &self.clip, &self.absences, 99.0),
        ];
        for (name, book, absences, least) in watchers {
            let gaps = gaps(&book.pictures, self.span, absences);
            let whole = (self.span.1 - self.span.0).as_secs_f64() - overlap(self.span, absences).as_secs_f64();
            let out = |gaps: &[Span]| gaps.iter().map(|gap| (gap.1 - gap.0).as_secs_f64()).fold(0.0, |sum, s| sum + s);
            let long: Vec<Span> = gaps.iter().copied().filter(|gap| gap.1 - gap.0 > OUTAGE).collect();
            let unkilled: Vec<Span> = long.iter().copied().filter(|gap| overlap(*gap, &kills).is_zero()).collect();
            let share = |gaps: &[Span]| 100.0 * (1.0 - out(gaps) / whole.max(1.0));
            let longest = |gaps: &[Span]| gaps.iter().map(|gap| (gap.1 - gap.0).as_secs_f64()).fold(0.0, f64::max);
            let note = format!("{} outages, {:.1} s of {whole:.0} s", long.len(), out(&long));
            push(lines, format!("{name}: available"), share(&long), "%", Some(('>', least)), &note);
            push(lines, format!("{name}: the same without the kills"), share(&unkilled), "%", None, "");
            push(lines, format!("{name}: longest without a picture, but for kills"), longest(&unkilled), "s", None, "");
            let note = format!("{} packets lost, {} pictures damaged", book.lost, book.damaged);
            push(lines, format!("{name}: reconnects"), book.reconnects as f64, "", None, &note);
        }
    }

    /// Every outage with its second, for whoever looks for its cause.
    fn outages(&self) -> Vec<Value> {
        let none: &[Span] = &[];
        let watchers =
            [("live-tcp", &self.player, none), ("live-udp", &self.udp, none), ("clip", &self.clip, &self.absences)];
        let of = |(name, book, absences): (&'static str, &Book, &[Span])| {
            let long = gaps(&book.pictures, self.span, absences).into_iter().filter(|gap| gap.1 - gap.0 > OUTAGE);
            long.map(|gap| json!({ "watcher": name, "from": self.second(gap.0), "to": self.second(gap.1) }))
                .collect::<Vec<_>>()
        };
        watchers.into_iter().flat_map(of).collect()
    }

    fn drift(&self, lines: &mut Vec<Line>) {
        let tenth = (self.span.1 - self.span.0) / 10;
        let ages = |from: Duration, to: Duration| -> Vec<f64> {
            let pairs = self.player.pictures.iter().zip(&self.player.ages_ms);
            pairs.filter(|(at, _)| (from..to).contains(*at)).map(|(_, age)| f64::from(*age)).collect()
        };
        let first = ages(self.span.0, self.span.0 + tenth);
        let last = ages(self.span.1 - tenth, self.span.1);
        for (name, ages) in [("first", &first), ("last", &last)] {
            for p in [50.0, 99.0] {
                push(lines, format!("latency, {name} tenth of the run, p{p}"), percentile(ages, p), "ms", None, "");
            }
        }
        let drift = percentile(&last, 50.0) - percentile(&first, 50.0);
        push(lines, "latency: drift of the median".into(), drift, "ms", Some(('<', DRIFT_MS)), "");
    }

    /// Of the longest life: what it uses in its last calm against its first one after a minute.
    fn growth(&self, lines: &mut Vec<Line>) {
        let warm = |(begun, calms): &(Duration, Vec<(Duration, Usage)>)| -> Vec<(Duration, Usage)> {
            calms.iter().copied().filter(|(at, _)| *at > *begun + WARM).collect()
        };
        let lives: Vec<Vec<(Duration, Usage)>> = self.lives.iter().map(warm).collect();
        let Some(calms) = lives.iter().max_by_key(|calms| calms.len()) else { return };
        let (Some((from, first)), Some((to, last))) = (calms.first(), calms.last()) else { return };
        let time = *to - *from;
        let note = format!("{} calms in {} s", calms.len(), time.as_secs());
        let mib = |usage: &Usage| usage.memory_kib as f64 / 1024.0;
        push(lines, "memory at start, warm".into(), mib(first), "MiB", None, "");
        push(lines, "memory at end".into(), mib(last), "MiB", None, &note);
        push(lines, "memory: growth".into(), mib(last) - mib(first), "MiB", Some(('<', GROWTH_MIB)), "");
        let slope = slope_per_h(&calms.iter().map(|(at, usage)| (at.as_secs_f64(), mib(usage))).collect::<Vec<_>>());
        let limit = (time > SLOPE_FROM).then_some(('<', SLOPE_MIB_PER_H));
        push(lines, "memory: slope".into(), slope, "MiB/h", limit, "");
        for (name, first, last) in
            [("descriptors", first.descriptors, last.descriptors), ("threads", first.threads, last.threads)]
        {
            let growth = last as i64 - first as i64;
            let note = format!("{first} at start, {last} at end");
            push(lines, format!("{name}: growth"), growth as f64, "", Some(('<', GROWTH_COUNT as f64)), &note);
        }
    }

    fn media(&self, lines: &mut Vec<Line>, breaches: &mut Vec<String>) {
        push(lines, "recordings seen".into(), self.segments as f64, "", Some(('>', 1.0)), "");
        let note = self.unplayable.first().cloned().unwrap_or_default();
        push(lines, "recordings that do not play".into(), self.unplayable.len() as f64, "", Some(('<', 0.0)), &note);
        breaches.extend(self.deaths.iter().map(|death| format!("the daemon ended by itself: {death}")));
        if !self.ended_well {
            breaches.push(format!("asked to end: {}", self.end));
        }
    }

    fn faults(&self, lines: &mut Vec<Line>, breaches: &mut Vec<String>) {
        let explains = |fault: &(String, String, Duration, Duration)| {
            self.injected.iter().any(|i| {
                i.reports.contains(&fault.1.as_str())
                    && fault.2 + Duration::from_secs(2) > i.span.0
                    && fault.2 < i.span.1 + AFTERMATH
            })
        };
        for fault in self.report.faults.iter().filter(|fault| !explains(fault)) {
            breaches.push(format!(
                "{} on {} at {:.0} s, where nothing like it was injected",
                fault.1,
                fault.0,
                self.second(fault.2)
            ));
        }
        // What was injected a moment ago may still be shown.
        let fresh = |code: &str| {
            self.injected.iter().any(|i| i.reports.contains(&code) && i.span.1 + CLEARED_WITHIN > self.span.1)
        };
        for (branch, code) in self.report.present.iter().filter(|(_, code)| !fresh(code)) {
            breaches.push(format!("{code} on {branch} is still there at the end"));
        }
        for failed in &self.injected {
            if let Some(e) = &failed.error {
                breaches.push(format!("{} at {:.0} s: {e}", failed.name, self.second(failed.span.0)));
            }
        }
        let slowest = self.injected.iter().map(|i| self.recovery(i)).max().unwrap_or_default();
        push(lines, "faults raised".into(), self.report.faults.len() as f64, "", None, "");
        push(
            lines,
            "slowest to clear after its cause".into(),
            slowest.as_secs_f64(),
            "s",
            Some(('<', CLEARED_WITHIN.as_secs_f64())),
            "",
        );
        let asked = self.report.answers + self.report.silences;
        let note = format!("of {asked} questions");
        push(
            lines,
            "health: not answered".into(),
            self.report.silences as f64,
            "",
            Some(('<', asked as f64 / 100.0)),
            &note,
        );
    }

    /// From the end of an injection to the last sight of a fault that it explains. Where the next one of its like came
    /// before that, it is the next one's.
    fn recovery(&self, injected: &Injected) -> Duration {
        let next = |code: &str, until: Duration| {
            let later = |i: &&Injected| i.span.0 > injected.span.0 && i.span.0 <= until && i.reports.contains(&code);
            self.injected.iter().any(|i| later(&i))
        };
        let theirs = self.report.faults.iter().filter(|(_, code, from, to)| {
            let code = code.as_str();
            let near = *from < injected.span.1 + AFTERMATH && *to >= injected.span.0;
            near && injected.reports.contains(&code) && !next(code, *to)
        });
        theirs.map(|fault| fault.3.saturating_sub(injected.span.1)).max().unwrap_or_default()
    }

    fn of_kind<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Injected> {
        self.injected.iter().filter(move |injected| injected.name == name)
    }

    /// What each kind of fault cost those who watch.
    fn kinds(&self) -> Vec<Value> {
        let mut names: Vec<&str> = self.injected.iter().map(|injected| injected.name).collect();
        names.sort_unstable();
        names.dedup();
        let live = gaps(&self.player.pictures, self.span, &[]);
        let udp = gaps(&self.udp.pictures, self.span, &[]);
        let clip = gaps(&self.clip.pictures, self.span, &self.absences);
        let kind = |name: &str| {
            let spans: Vec<Span> = self.of_kind(name).map(|i| (i.span.0, i.span.1 + Duration::from_secs(2))).collect();
            let worst = |gaps: &[Span]| {
                let met = gaps.iter().filter(|gap| !overlap(**gap, &spans).is_zero());
                met.map(|gap| (gap.1 - gap.0).as_secs_f64()).fold(0.0, f64::max)
            };
            let mut codes: Vec<&str> = Vec::new();
            for i in self.of_kind(name) {
                let theirs = |f: &&(String, String, Duration, Duration)| f.2 < i.span.1 + AFTERMATH && f.3 >= i.span.0;
                codes.extend(
                    self.report
                        .faults
                        .iter()
                        .filter(theirs)
                        .map(|fault| fault.1.as_str())
                        .filter(|c| i.reports.contains(c)),
                );
            }
            codes.sort_unstable();
            codes.dedup();
            json!({
                "kind": name, "times": spans.len(), "worst_live_tcp_s": worst(&live), "worst_live_udp_s": worst(&udp),
                "worst_clip_s": worst(&clip), "reported": codes,
                "slowest_to_clear_s": self.of_kind(name).map(|i| self.recovery(i)).max().unwrap_or_default().as_secs_f64(),
            })
        };
        names.into_iter().map(kind).collect()
    }
}

fn push(lines: &mut Vec<Line>, key: String, value: f64, unit: &'static str, limit: Option<(char, f64)>, note: &str) {
    lines.push(Line { key, value, unit, limit, note: note.to_owned() });
}

impl Verdict {
    /// For machines.
    pub(crate) fn json(&self) -> &Value {
        &self.whole
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let width = self.lines.iter().map(|line| line.key.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for line in &self.lines {
            let limit = line.limit.map_or(String::new(), |(sign, value)| format!("{sign}= {value:.1}"));
            let verdict = if line.broken() { "BROKEN " } else { "" };
            text += &format!(
                "{:width$} {:>10.3} {:5} {limit:>9}  {verdict}{}\n",
                line.key, line.value, line.unit, line.note
            );
        }
        text += &format!(
            "\n{:20} {:>5} {:>10} {:>10} {:>10} {:>10}  {}\n",
            "fault", "times", "live TCP", "live UDP", "clip", "cleared", "reported"
        );
        for kind in &self.kinds {
            let number = |key: &str| kind[key].as_f64().unwrap_or(0.0);
            let reported: Vec<&str> =
                kind["reported"].as_array().into_iter().flatten().filter_map(|code| code.as_str()).collect();
            text += &format!(
                "{:20} {:>5} {:>8.2} s {:>8.2} s {:>8.2} s {:>8.1} s  {}\n",
                kind["kind"].as_str().unwrap_or_default(),
                number("times"),
                number("worst_live_tcp_s"),
                number("worst_live_udp_s"),
                number("worst_clip_s"),
                number("slowest_to_clear_s"),
                reported.join(" ")
            );
        }
        self.skipped.iter().for_each(|skipped| text += &format!("{skipped}: skipped\n"));
        self.breaches.iter().for_each(|breach| text += &format!("BREACH: {breach}\n"));
        text += if self.breaches.is_empty() { "soak: PASSED\n" } else { "soak: FAILED\n" };
        text
    }
}
