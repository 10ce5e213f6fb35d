//! Does a running encoder follow a new bit rate? Some drivers take it and go on as before. Pure: fed with bytes and time.

use std::time::Duration;

use crate::base::units::Bitrate;

/// Bytes are counted over this time: long enough for a keyframe or two, which are several times larger than the rest.
const WINDOW: Duration = Duration::from_secs(2);
/// Per cent by which the rate of a window may differ from the target.
const TOLERANCE: u64 = 30;
/// So many windows off, one after the other, and the encoder does not follow. x264 takes two on its way up (measured).
const WINDOWS: u32 = 3;

/// What is known so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// Not known yet.
    Unknown,
    /// The new rate comes out.
    Yes,
    /// It does not: the encoder has to be built anew.
    No,
}

/// Watches one change of the bit rate.
#[derive(Debug)]
pub struct Follow {
    from: Bitrate,
    to: Bitrate,
    window: Option<(Duration, u64)>,
    off: u32,
}

impl Follow {
    /// The encoder was told to go `from` one target `to` another.
    pub fn new(from: Bitrate, to: Bitrate) -> Self {
        Self { from, to, window: None, off: 0 }
    }

    /// `bytes` is everything that the encoder has given out until `now`. To be asked several times in 2 s.
    pub fn look(&mut self, now: Duration, bytes: u64) -> Followed {
        let &mut (began, before) = self.window.get_or_insert((now, bytes));
        let took = now.saturating_sub(began);
        if took < WINDOW {
            return Followed::Unknown;
        }
        self.window = Some((now, bytes));
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let measured = bytes.saturating_sub(before).saturating_mul(8000) / millis;
        if near(measured, self.to) {
            return Followed::Yes;
        }
        // A still scene needs less than any target, and says nothing. Less than the target counts only where the
        // old one is evidently what bounds it.
        if measured < u64::from(self.to.bps()) && !near(measured, self.from) {
            self.off = 0;
            return Followed::Unknown;
        }
        self.off += 1;
        if self.off < WINDOWS { Followed::Unknown } else { Followed::No }
    }
}

fn near(measured: u64, target: Bitrate) -> bool {
    let target = u64::from(target.bps());
    measured.abs_diff(target) * 100 <= target * TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known after each window of these rates, in kbit/s.
    fn after(from: u32, to: u32, windows: &[u64]) -> Vec<Followed> {
        let rate = |kbps: u32| Bitrate::from_bps(kbps * 1000);
        let mut follow = Follow::new(rate(from), rate(to));
        let (mut now, mut bytes) = (Duration::from_secs(100), 12_345);
        assert_eq!(follow.look(now, bytes), Followed::Unknown);
        let mut window = |kbps: &u64| {
            let looks = [(); 4].map(|()| {
                now += Duration::from_millis(500);
                bytes += kbps * 1000 / 8 / 2;
                follow.look(now, bytes)
            });
            assert_eq!(looks[..3], [Followed::Unknown; 3], "within a window");
            looks[3]
        };
        windows.iter().map(&mut window).collect()
    }

    #[test]
    fn three_windows_off_and_the_encoder_does_not_follow() {
        use Followed::{No, Unknown, Yes};
        let table: [(u32, u32, &[u64], &[Followed]); 8] = [
            (4000, 1000, &[1200], &[Yes]),
            (4000, 1000, &[4000, 3900, 4100], &[Unknown, Unknown, No]),
            (4000, 1000, &[1310, 1301, 1300], &[Unknown, Unknown, Yes]),
            // x264 on its way up, as measured.
            (500, 4000, &[2507, 3474], &[Unknown, Yes]),
            (1000, 4000, &[1000, 1100, 950], &[Unknown, Unknown, No]),
            // A still scene: far below any target, for as long as it lasts, and then it moves.
            (1000, 4000, &[100, 100, 100, 100, 3900], &[Unknown, Unknown, Unknown, Unknown, Yes]),
            (4000, 1000, &[100, 100, 100, 100], &[Unknown; 4]),
            // One still window between begins the count anew.
            (1000, 4000, &[1000, 1000, 100, 1000, 1000, 1000], &[Unknown, Unknown, Unknown, Unknown, Unknown, No]),
        ];
        for (from, to, windows, want) in table {
            assert_eq!(after(from, to, windows), want, "{from} to {to}: {windows:?}");
        }
    }
}
