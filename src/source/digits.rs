//! A font of 5x7 dots, just for dates, times and numbers.

/// Rows from top to bottom, the leftmost dot in bit 4.
const FONT: &[(char, [u8; 7])] = &[
    ('0', [0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e]),
    ('1', [0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e]),
    ('2', [0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f]),
    ('3', [0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e]),
    ('4', [0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02]),
    ('5', [0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e]),
    ('6', [0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e]),
    ('7', [0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08]),
    ('8', [0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e]),
    ('9', [0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c]),
    ('-', [0x00, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x00]),
    (':', [0x00, 0x0c, 0x0c, 0x00, 0x0c, 0x0c, 0x00]),
    ('.', [0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c]),
    ('#', [0x0a, 0x0a, 0x1f, 0x0a, 0x1f, 0x0a, 0x0a]),
];

/// Pixels per dot, at most: legible from across a room at 720p.
const MAX_DOT: usize = 4;
/// A character with its margins, in dots.
const CELL: (usize, usize) = (6, 9);
const INK: u8 = 235;
const PAPER: u8 = 16;

/// Writes `text` white on black into a luma plane with its top left corner at `at` (x, y), as large as the width allows.
/// What does not fit is cut.
pub(super) fn write(luma: &mut [u8], stride: usize, at: (usize, usize), text: &str) {
    let width = stride.saturating_sub(at.0);
    let dot = (width / (CELL.0 * text.len().max(1))).clamp(1, MAX_DOT);
    for (i, character) in text.chars().take(width / (CELL.0 * dot)).enumerate() {
        let rows = FONT.iter().find(|(c, _)| *c == character).map_or([0; 7], |(_, rows)| *rows);
        draw(luma, stride, (at.0 + i * CELL.0 * dot, at.1), dot, &rows);
    }
}

fn draw(luma: &mut [u8], stride: usize, (x, y): (usize, usize), dot: usize, rows: &[u8; 7]) {
    for line in 0..CELL.1 * dot {
        let at = (y + line) * stride + x;
        let Some(pixels) = luma.get_mut(at..at + CELL.0 * dot) else { return };
        let dots = (line / dot).checked_sub(1).and_then(|row| rows.get(row)).copied().unwrap_or(0);
        for (i, pixels) in pixels.chunks_exact_mut(dot).enumerate() {
            let ink = i < 5 && dots >> (4 - i) & 1 == 1;
            pixels.fill(if ink { INK } else { PAPER });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_dots_and_cuts_what_does_not_fit() {
        let stride = 48;
        for (text, dot) in [("12", 4), ("1234", 2), ("123456789", 1)] {
            let mut luma = vec![90; stride * 48];
            write(&mut luma, stride, (0, 0), text);
            // The stem of the 1: third dot of its last row but one.
            assert_eq!(luma[6 * dot * stride + 2 * dot], INK, "{text}");
            assert_eq!((luma[6 * dot * stride], luma[47 * stride]), (PAPER, 90), "{text}");
        }
        write(&mut [90; 10], stride, (0, 0), "1");
    }
}
