//! Which encoders of the profile's table exist as elements, and which of them work.

use gst::prelude::*;

use crate::board::{RankedEncoder, is_named};
use crate::media::csi::CameraStack;
use crate::plan::inventory::{Encoder, SelfTest};

use super::cache::{Cache, Key};
use super::{Depth, Probe, self_test};

/// More of them than any machine has.
const MOST_SIBLINGS: usize = 8;

/// The encoders that exist, best first, each with the result of its self-test. Denied ones are not tested: some hang.
pub(super) fn encoders(probe: &Probe<'_>) -> Vec<Encoder> {
    let mut cache = Cache::open(probe.state_dir);
    let mut found = Vec::new();
    for ranked in &probe.profile.encoders {
        let tested: Vec<_> =
            installed(&ranked.element).into_iter().map(|one| test(probe, ranked, one, &mut cache)).collect();
        let works = tested.iter().any(|encoder| matches!(encoder.test, SelfTest::Passed { .. }));
        found.extend(tested);
        // One with a limit may be too small for a stream of the configuration, which is not known here.
        if works && ranked.most.is_none() && probe.depth == Depth::UntilOneWorks {
            break;
        }
    }
    cache.save();
    found
}

/// The elements of this name, or those with a number where it has `#`, in the order of the numbers.
fn installed(pattern: &str) -> Vec<gst::ElementFactory> {
    if !pattern.contains('#') {
        return gst::ElementFactory::find(pattern).into_iter().collect();
    }
    let all = gst::Registry::get().features(gst::ElementFactory::static_type());
    let mut all: Vec<_> = all.into_iter().filter_map(|one| one.downcast::<gst::ElementFactory>().ok()).collect();
    all.retain(|factory| is_named(pattern, &factory.name()));
    all.sort_by_key(|factory| (factory.name().len(), factory.name()));
    all.truncate(MOST_SIBLINGS);
    all
}

/// Of the elements that the board needs besides its encoders those that exist.
pub(super) fn besides(probe: &Probe<'_>) -> Vec<String> {
    let source = probe.stack.map(CameraStack::element);
    let converters = probe.profile.surfaces.converters.iter().map(String::as_str);
    let all = source.into_iter().chain(converters);
    all.filter(|element| gst::ElementFactory::find(element).is_some()).map(str::to_owned).collect()
}

fn test(probe: &Probe<'_>, ranked: &RankedEncoder, factory: gst::ElementFactory, cache: &mut Cache) -> Encoder {
    let element = factory.name().to_string();
    if let Some(denial) = probe.profile.denial(&element) {
        let reason = format!("not tested, denied on this board: {}", denial.reason);
        return Encoder { element, test: SelfTest::Failed { reason } };
    }
    let converters = &probe.profile.surfaces.converters;
    let converter = converters.iter().filter(|_| ranked.surfaces).find(|one| gst::ElementFactory::find(one).is_some());
    if ranked.surfaces && converter.is_none() {
        let reason = format!("not tested: nothing brings pictures to it: {} is not installed", converters.join(" or "));
        return Encoder { element, test: SelfTest::Failed { reason } };
    }
    let converter = converter.map(String::as_str);
    let tested: Vec<&str> = [element.as_str()].into_iter().chain(converter).collect();
    let key = Key::of(&tested.join(" "), &factory, &probe.command);
    let test = cache.get(&key).unwrap_or_else(|| {
        let test = self_test::in_child(&probe.command, &element, converter, &*probe.clock);
        tracing::info!(element = %element, "self-test of {element}: {}", describe(&test));
        cache.put(key, &test);
        test
    });
    Encoder { element, test }
}

/// A result in words.
pub fn describe(test: &SelfTest) -> String {
    match test {
        SelfTest::Passed { first_frame_ms } => format!("passed, first frame after {first_frame_ms} ms"),
        SelfTest::Failed { reason } => format!("failed: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_number_are_found_in_the_registry() {
        gst::init().unwrap();
        let names = |pattern| installed(pattern).iter().map(|one| one.name().to_string()).collect::<Vec<_>>();
        assert_eq!(names("x264enc"), ["x264enc"]);
        assert_eq!(names("openh#enc"), ["openh264enc"]);
        assert!(names("v4l2video#nonsense").is_empty() && names("openh264#enc").is_empty());
    }
}
