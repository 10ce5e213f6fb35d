//! Which encoder, with how many threads, and why. Pure.

use crate::board::{Most, Profile, RankedEncoder, is_named};
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
    /// True when it takes pictures only from surfaces.
    pub(crate) surfaces: bool,
    /// True when it passed its self-test, and the picture is not more than it can do.
    pub(crate) works: bool,
    /// When none works: why not, one after the other.
    pub(crate) failures: String,
    /// When none works: what to do.
    pub(crate) advice: String,
}

/// Why an encoder is passed over.
struct PassedOver {
    why: String,
    /// It works, only not for such pictures.
    too_small: bool,
}

/// Walks down the profile's table to the first encoder that is not denied, passed its self-test and can do pictures of
/// `size` at `rate`.
pub(crate) fn choose(profile: &Profile, found: &[Encoder], size: Size, rate: FrameRate) -> EncoderChoice {
    let mut passed_over = Vec::new();
    for (ranked, element) in candidates(profile, found) {
        match verdict(profile, ranked, &element, found, (size, rate)) {
            Ok(first_frame_ms) => {
                let test = format!("its self-test passed, first frame after {first_frame_ms} ms");
                let reason = if passed_over.is_empty() {
                    format!("best of this board's table; {test}")
                } else {
                    format!("because {}; {test}", reasons(&passed_over))
                };
                let (failures, advice) = (String::new(), String::new());
                let element = Chosen { value: element, reason };
                let &RankedEncoder { hardware, surfaces, .. } = ranked;
                return EncoderChoice { element, hardware, surfaces, works: true, failures, advice };
            }
            Err(why_not) => passed_over.push(why_not),
        }
    }
    let fits = |ranked: &RankedEncoder| ranked.most.is_none_or(|most| most.holds(size, rate));
    let usable =
        || profile.encoders.iter().filter(|e| !e.element.contains('#') && profile.denial(&e.element).is_none());
    let best = usable().find(|ranked| fits(ranked)).or_else(|| usable().next());
    let best = best.expect("every profile has an encoder that may be used: tested");
    let packages: Vec<_> =
        usable().filter(|e| fits(e)).map(|e| format!("{} (package {})", e.element, e.package)).collect();
    let mut advice = Vec::new();
    if passed_over.iter().any(|one| one.too_small) {
        advice.push("take a smaller size or a lower rate".to_owned());
    }
    if !packages.is_empty() {
        advice.push(format!("install {}", packages.join(" or ")));
    }
    let lead = match passed_over.iter().any(|one| one.too_small) {
        true => format!("no encoder can do {size} at {rate} frames per second"),
        false => "no encoder works".to_owned(),
    };
    let failures = format!("{lead}: {}", reasons(&passed_over));
    EncoderChoice {
        element: Chosen { value: best.element.clone(), reason: failures.clone() },
        hardware: best.hardware,
        surfaces: best.surfaces,
        works: false,
        failures,
        advice: advice.join(", or "),
    }
}

fn reasons(passed_over: &[PassedOver]) -> String {
    let list: Vec<&str> = passed_over.iter().map(|one| one.why.as_str()).collect();
    list.join(", and ")
}

/// The table with the elements of this machine in place of names with `#`; of those that are not here nothing is said,
/// because few machines have any.
fn candidates<'a>(profile: &'a Profile, found: &[Encoder]) -> Vec<(&'a RankedEncoder, String)> {
    let mut all = Vec::new();
    for ranked in &profile.encoders {
        if ranked.element.contains('#') {
            let named = found.iter().filter(|one| is_named(&ranked.element, &one.element));
            all.extend(named.map(|one| (ranked, one.element.clone())));
        } else {
            all.push((ranked, ranked.element.clone()));
        }
    }
    all
}

/// The milliseconds to its first frame, or why it is passed over.
fn verdict(
    profile: &Profile,
    ranked: &RankedEncoder,
    element: &str,
    found: &[Encoder],
    (size, rate): (Size, FrameRate),
) -> Result<u64, PassedOver> {
    let no = |why: String| PassedOver { why, too_small: false };
    if let Some(denial) = profile.denial(element) {
        return Err(no(format!("{element} is on the denylist of this board ({})", denial.reason)));
    }
    let first_frame_ms = match found.iter().find(|e| e.element == *element).map(|e| &e.test) {
        None => return Err(no(format!("{element} is not installed"))),
        Some(SelfTest::Failed { reason }) => return Err(no(format!("{element} failed its self-test ({reason})"))),
        Some(SelfTest::Passed { first_frame_ms }) => *first_frame_ms,
    };
    match ranked.most.filter(|most| !most.holds(size, rate)) {
        Some(Most { size, fps }) => {
            let why = format!("{element} can do {size} at {fps} frames per second at most");
            Err(PassedOver { why, too_small: true })
        }
        None => Ok(first_frame_ms),
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

    const HD: Size = Size::new(1280, 720);

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
                "no encoder works: x264enc is not installed, and openh264enc is not installed, and vah264enc is not installed, \
                 and vah264lpenc is not installed"
                    .into(),
            ),
        ];
        for (board, found, element, works, reason) in table {
            let choice = choose(&profile(board), &found, HD, FrameRate::whole(30));
            assert_eq!((choice.element.value.as_str(), choice.works), (element, works), "{found:?}");
            assert_eq!(choice.element.reason, reason);
        }
        let advice = choose(&profile("laptop"), &[], HD, FrameRate::whole(30)).advice;
        assert!(advice.contains("x264enc (package gstreamer1.0-plugins-ugly)"), "{advice}");
    }

    #[test]
    fn what_is_too_much_for_one_goes_to_the_next_or_is_a_problem() {
        let pi = profile("raspberry-pi-4");
        let (first, second) = (passed("v4l2h264enc"), passed("v4l2video11h264enc"));
        let choose = |found: &[Encoder], size: &str| choose(&pi, found, size.parse().unwrap(), FrameRate::whole(30));
        let chosen = |found: &[Encoder], size: &str| choose(found, size).element.value;
        let all = [first.clone(), second.clone(), passed("x264enc")];
        assert_eq!(chosen(&all, "1920x1080"), "v4l2h264enc");
        assert_eq!(
            chosen(&[failed("v4l2h264enc"), second.clone(), passed("x264enc")], "1920x1080"),
            "v4l2video11h264enc"
        );
        assert_eq!(chosen(std::slice::from_ref(&second), "1080x1920"), "v4l2video11h264enc");
        let large = choose(&all, "3840x2160");
        assert_eq!((large.element.value.as_str(), large.works), ("x264enc", true));
        let most = "can do 1920x1080 at 30 frames per second at most";
        let why = format!("because v4l2h264enc {most}, and v4l2video11h264enc {most}; its self-test passed");
        assert!(large.element.reason.starts_with(&why), "{}", large.element.reason);
        // Alone it is too small: the daemon goes on trying one that is not installed yet rather than one that cannot.
        let none = choose(&[first], "3840x2160");
        assert_eq!((none.element.value.as_str(), none.works), ("x264enc", false));
        let advice = "take a smaller size or a lower rate, or install x264enc (package gstreamer1.0-plugins-ugly) or \
                      openh264enc (package gstreamer1.0-plugins-bad)";
        assert_eq!(none.advice, advice);
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
