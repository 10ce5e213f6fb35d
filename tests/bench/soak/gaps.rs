//! Times without a picture, and other sums over time.

use std::time::Duration;

/// From when to when.
pub(super) type Span = (Duration, Duration);

/// The times between one picture and the next, without those parts that lie in `absences`.
pub(super) fn gaps(pictures: &[Duration], span: Span, absences: &[Span]) -> Vec<Span> {
    let inside = pictures.iter().copied().filter(|at| (span.0..span.1).contains(at));
    let mut edges: Vec<Duration> = std::iter::once(span.0).chain(inside).chain([span.1]).collect();
    edges.sort_unstable();
    edges.windows(2).flat_map(|pair| without((pair[0], pair[1]), absences)).collect()
}

fn without(gap: Span, absences: &[Span]) -> Vec<Span> {
    let mut left = vec![gap];
    for (from, to) in absences {
        let cut =
            |part: Span| [(part.0, part.1.min(*from)), (part.0.max(*to), part.1)].into_iter().filter(|p| p.1 > p.0);
        left = left.into_iter().flat_map(cut).collect();
    }
    left
}

/// How much of a gap lies in the spans.
pub(super) fn overlap(gap: Span, spans: &[Span]) -> Duration {
    spans.iter().map(|span| gap.1.min(span.1).saturating_sub(gap.0.max(span.0))).sum()
}

/// Least squares, of points in seconds.
pub(super) fn slope_per_h(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let above: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let below: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    if below > 0.0 { above / below * 3600.0 } else { 0.0 }
}
