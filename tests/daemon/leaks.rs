//! What is left of GStreamer's objects when viewers, sources and the daemon itself are gone: its own leaks tracer counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::clips;
use crate::support::daemon::{Daemon, Setup};
use crate::support::rtsp::Transport;
use crate::support::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// Viewers per round: half of them over UDP, half of them leaving without a word.
const VIEWERS: usize = 8;

/// Living objects by their type.
type Alive = BTreeMap<String, usize>;

/// The log of the tracer. On SIGUSR1, and at the end, it lists what lives.
struct Trace(PathBuf);

impl Trace {
    fn listings(&self) -> Vec<Alive> {
        // A child that tests an encoder writes into the same file: bytes of it may be missing.
        let text = String::from_utf8_lossy(&std::fs::read(&self.0).unwrap_or_default()).into_owned();
        let (mut listings, mut open) = (Vec::new(), Alive::new());
        for line in text.lines() {
            if let Some((_, rest)) = line.split_once("object-alive, type-name=(string)") {
                *open.entry(rest.split(',').next().unwrap_or_default().to_owned()).or_default() += 1;
            } else if line.contains("> listed ") {
                listings.push(std::mem::take(&mut open));
            }
        }
        listings
    }

    fn ask(&self, daemon: &Daemon) -> Alive {
        let before = self.listings().len();
        daemon.signal(Signal::USR1);
        wait_for(SOON, || self.listings().into_iter().nth(before)).expect("the tracer lists on SIGUSR1")
    }
}

/// Viewers come and go, the clip goes and comes back.
fn round(daemon: &Daemon, clip: &Path) {
    for transport in [Transport::Tcp, Transport::Udp] {
        let mut crowd = daemon.crowd();
        crowd.join(VIEWERS / 2, "/live", transport);
        crowd.everybody_sees(SOON).unwrap_or_else(|e| panic!("{e}"));
        crowd.leave(2);
    }
    let away = clip.with_extension("away");
    std::fs::rename(clip, &away).expect("the folder is ours");
    wait_until(SOON, "the source to miss its clip", || daemon.condition("live/source").as_deref() != Some("running"));
    std::fs::rename(&away, clip).expect("the folder is ours");
    wait_until(SOON, "the source to be back", || daemon.condition("live/source").as_deref() == Some("running"));
}

/// Rounds after the first.
const ROUNDS: usize = 3;

/// Types of which there are more than before; of messages, one for each round: fewer may just wait on some bus.
fn more(now: &Alive, before: &Alive) -> Vec<String> {
    let slack = |name: &str| if name == "GstMessage" { ROUNDS - 1 } else { 0 };
    let grown = now.iter().filter(|(name, count)| **count > before.get(*name).copied().unwrap_or(0) + slack(name));
    grown.map(|(name, count)| format!("{name}: {} -> {count}", before.get(name).copied().unwrap_or(0))).collect()
}

#[test]
fn no_object_outlives_its_viewer_its_source_or_the_daemon() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clip = clips::make(folder.path(), "clip.mp4", "640x360", 2);
    let trace = Trace(folder.path().join("trace.log"));
    let environment = vec![
        ("GST_TRACERS", "leaks".into()),
        ("GST_LEAKS_TRACER_SIG", "1".into()),
        ("GST_DEBUG", "GST_TRACER:7,leaks:7".into()),
        ("GST_DEBUG_NO_COLOR", "1".into()),
        ("GST_DEBUG_FILE", trace.0.display().to_string()),
    ];
    let source = format!("{{ kind = \"file\", path = {clip:?} }}");
    let mut daemon = Daemon::start(&Setup { source, environment, ..Setup::default() });
    // What is made at first use stays. How much is in flight varies: the most of some listings counts.
    round(&daemon, &clip);
    let mut usual = Alive::new();
    for _ in 0..10 {
        for (name, count) in trace.ask(&daemon) {
            let most = usual.entry(name).or_default();
            *most = count.max(*most);
        }
    }
    assert!(usual.contains_key("GstPipeline") && usual.contains_key("GstPad"), "the tracer sees the daemon: {usual:?}");
    for _ in 0..ROUNDS {
        round(&daemon, &clip);
    }
    // Each type for itself: hardly ever is little of everything in flight at once.
    let mut least = trace.ask(&daemon);
    let back = wait_for(SOON, || {
        let now = trace.ask(&daemon);
        least.retain(|name, _| now.contains_key(name));
        least.iter_mut().for_each(|(name, count)| *count = now[name].min(*count));
        more(&least, &usual).is_empty().then_some(())
    });
    let grown = more(&least, &usual);
    assert!(back.is_some(), "after three more rounds there are always more objects than after the first: {grown:?}");

    let asked = trace.listings().len();
    daemon.signal(Signal::TERM);
    assert!(daemon.wait_exit(SOON).is_some_and(|status| status.success()), "{}", daemon.log());
    let left = wait_for(SOON, || trace.listings().into_iter().nth(asked)).expect("the tracer lists at the end");
    assert!(left.is_empty(), "left when the daemon has ended: {left:?}");
}
