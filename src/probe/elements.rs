//! Which encoders of the profile's table exist as elements, and which of them work.

use crate::plan::inventory::{Encoder, SelfTest};

use super::cache::{Cache, Key};
use super::{Depth, Probe, self_test};

/// The encoders that exist, best first, each with the result of its self-test. Denied ones are not tested: some hang.
pub(super) fn encoders(probe: &Probe<'_>) -> Vec<Encoder> {
    let mut cache = Cache::open(probe.state_dir);
    let mut found = Vec::new();
    for ranked in &probe.profile.encoders {
        let element = &ranked.element;
        let Some(factory) = gst::ElementFactory::find(element) else { continue };
        if let Some(denial) = probe.profile.denial(element) {
            let reason = format!("not tested, denied on this board: {}", denial.reason);
            found.push(Encoder { element: element.clone(), test: SelfTest::Failed { reason } });
            continue;
        }
        let key = Key::of(element, &factory, &probe.command);
        let test = cache.get(&key).unwrap_or_else(|| {
            let test = self_test::in_child(&probe.command, element, &*probe.clock);
            tracing::info!(element = %element, "self-test of {element}: {}", describe(&test));
            cache.put(key, &test);
            test
        });
        let works = matches!(test, SelfTest::Passed { .. });
        found.push(Encoder { element: element.clone(), test });
        if works && probe.depth == Depth::UntilOneWorks {
            break;
        }
    }
    cache.save();
    found
}

/// A result in words.
pub fn describe(test: &SelfTest) -> String {
    match test {
        SelfTest::Passed { first_frame_ms } => format!("passed, first frame after {first_frame_ms} ms"),
        SelfTest::Failed { reason } => format!("failed: {reason}"),
    }
}
