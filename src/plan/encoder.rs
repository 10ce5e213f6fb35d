//! Which encoder, with how many threads, and why. Pure.

use crate::board::{Profile, RankedEncoder};
use crate::media::format::{FrameRate, Size};

use super::Chosen;
use super::inventory::{Encoder, SelfTest};

/// The answer of the ranked table and the self-tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncoderChoice {
    /// The element. When none works, the best that may be used, so that the daemon can go on trying it.
    pub(crate) element: Chosen<String>,
    /// True when something other than the processor encodes.
    pub(crate) hardware: bool,
    /// True when it passed its self-test.
    pub(crate) works: bool,
    /// When none works: why not, one after the other.
    pub(crate) failures: String,
    /// When none works: what to install.
    pub(crate) advice: String,
}

/// Walks down the profile's table to the first encoder that is not denied and passed its self-test.
pub(crate) fn choose(profile: &Profile, found: &[Encoder]) -> EncoderChoice {
    let mut passed_over = Vec::new();
    for ranked in &profile.encoders {
        match verdict(profile, ranked, found) {
            Ok(first_frame_ms) => {
                let test = format!("its self-test passed, first frame after {first_frame_ms} ms");
                let reason = if passed_over.is_empty() {
                    format!("best of this board's table; {test}")
                } else {
                    format!("because {}; {test}", passed_over.join(", and "))
                };
                let element = Chosen { value: ranked.element.clone(), reason };
                let (failures, advice) = (String::new(), String::new());
                return EncoderChoice { element, hardware: ranked.hardware, works: true, failures, advice };
            }
            Err(why_not) => passed_over.push(why_not),
        }
    }
    let usable = || profile.encoders.iter().filter(|e| profile.denial(&e.element).is_none());
    let best = usable().next().expect("every profile has an encoder that may be used: tested");
    let packages: Vec<_> = usable().map(|e| format!("{} (package {})", e.element, e.package)).collect();
    let failures = passed_over.join(", and ");
    EncoderChoice {
        element: Chosen { value: best.element.clone(), reason: format!("none works now: {failures}") },
        hardware: best.hardware,
        works: false,
        failures,
        advice: format!("install {}", packages.join(" or ")),
    }
}

/// The milliseconds to its first frame, or why it is passed over.
fn verdict(profile: &Profile, ranked: &RankedEncoder, found: &[Encoder]) -> Result<u64, String> {
    let element = &ranked.element;
    if let Some(denial) = profile.denial(element) {
        return Err(format!("{element} is on the denylist of this board ({})", denial.reason));
    }
    match found.iter().find(|e| e.element == *element).map(|e| &e.test) {
        None => Err(format!("{element} is not installed")),
        Some(SelfTest::Failed { reason }) => Err(format!("{element} failed its self-test ({reason})")),
        Some(SelfTest::Passed { first_frame_ms }) => Ok(*first_frame_ms),
    }
}

/// Pixels per second of 1080p30: x264 (ultrafast) encodes that on one core of the machines we know.
const ONE_THREAD: u64 = 1920 * 1080 * 30;

/// Encoder threads. More than one means several slices per picture, which the rtph264depay of GStreamer 1.22 tears in
/// the live client (measured 2026-11-20), so there is one thread as long as one core keeps up.
pub(crate) fn threads(size: Size, rate: FrameRate, cores: u32, hardware: bool) -> Chosen<u32> {
    if hardware {
        return Chosen { value: 1, reason: "the encoder is hardware and takes none of the processor's".into() };
    }
    let per_second = size.pixels() * u64::from(rate.num) / u64::from(rate.den);
    let wanted = u32::try_from(per_second.div_ceil(ONE_THREAD)).unwrap_or(u32::MAX);
    if wanted <= 1 {
        let reason = "one slice per picture, which every client decodes; one core keeps up to 1080p30".into();
        return Chosen { value: 1, reason };
    }
    let value = wanted.min(cores.max(1));
    let mut reason = format!("{:.1} times the pixels of 1080p30", per_second as f64 / ONE_THREAD as f64);
    if value < wanted {
        reason.push_str(&format!(", bounded by {cores} cores"));
    }
    Chosen { value, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::profiles;

    fn profile(name: &str) -> Profile {
        profiles().into_iter().find(|p| p.name == name).unwrap()
    }

    fn passed(element: &str) -> Encoder {
        Encoder { element: element.into(), test: SelfTest::Passed { first_frame_ms: 20 } }
    }

    fn failed(element: &str) -> Encoder {
        Encoder { element: element.into(), test: SelfTest::Failed { reason: "no frame in 5 s".into() } }
    }

    #[test]
    fn table_and_tests_decide() {
        let ok = "its self-test passed, first frame after 20 ms";
        let denied = "nvv4l2h264enc is on the denylist of this board (this module has no NVENC, yet the plugin registers the \
                      element without looking for the device)";
        let table = [
            (
                "laptop",
                vec![passed("openh264enc"), passed("x264enc")],
                "x264enc",
                true,
                format!("best of this board's table; {ok}"),
            ),
            (
                "laptop",
                vec![passed("openh264enc")],
                "openh264enc",
                true,
                format!("because x264enc is not installed; {ok}"),
            ),
            (
                "laptop",
                vec![failed("x264enc"), passed("openh264enc")],
                "openh264enc",
                true,
                format!("because x264enc failed its self-test (no frame in 5 s); {ok}"),
            ),
            (
                "orin-nano",
                vec![passed("nvv4l2h264enc"), passed("x264enc")],
                "x264enc",
                true,
                format!("because {denied}; {ok}"),
            ),
            (
                "laptop",
                vec![],
                "x264enc",
                false,
                "none works now: x264enc is not installed, and openh264enc is not installed, and vah264enc is not installed, \
                 and vah264lpenc is not installed"
                    .into(),
            ),
        ];
        for (board, found, element, works, reason) in table {
            let choice = choose(&profile(board), &found);
            assert_eq!((choice.element.value.as_str(), choice.works), (element, works), "{found:?}");
            assert_eq!(choice.element.reason, reason);
        }
        let advice = choose(&profile("laptop"), &[]).advice;
        assert!(advice.contains("x264enc (package gstreamer1.0-plugins-ugly)"), "{advice}");
    }

    #[test]
    fn threads_by_pixels_and_cores() {
        let table = [
            ("1280x720", 30, 8, 1),
            ("1920x1080", 30, 8, 1),
            ("1920x1080", 60, 8, 2),
            ("3840x2160", 30, 8, 4),
            ("3840x2160", 60, 6, 6),
            ("3840x2160", 30, 1, 1),
            ("3840x2160", 30, 0, 1),
        ];
        for (size, fps, cores, want) in table {
            assert_eq!(
                threads(size.parse().unwrap(), FrameRate::whole(fps), cores, false).value,
                want,
                "{size} {fps} {cores}"
            );
        }
        assert_eq!(threads(Size::new(3840, 2160), FrameRate::whole(60), 8, true).value, 1);
    }
}
