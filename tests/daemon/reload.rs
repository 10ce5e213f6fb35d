//! Another configuration while the daemon runs: only what is different is touched.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use windhover::base::task;

use crate::support::crowd::Crowd;
use crate::support::daemon::{Daemon, Setup};
use crate::support::media_file;
use crate::support::rtsp::{Transport, Viewer};
use crate::support::wait::{Dice, now, wait_for, wait_until};

const SOON: Duration = Duration::from_secs(15);

/// A second stream, small.
const SECOND: &str = "[[stream]]\nid = \"b\"\nsource = { kind = \"test\" }\nsize = \"320x240\"\nfps = 15\n\
                      record.enabled = false\nsnapshot.enabled = false\n";

/// Two viewers of a path who take their packets all the time, whatever the test does meanwhile.
struct Audience {
    crowd: Arc<Mutex<Crowd>>,
    over: Arc<AtomicBool>,
}

impl Audience {
    fn of(daemon: &Daemon, path: &str) -> Self {
        let mut crowd = daemon.crowd();
        crowd.join(1, path, Transport::Tcp);
        crowd.join(1, path, Transport::Udp);
        crowd.everybody_sees(SOON).expect("both see");
        let (crowd, over) = (Arc::new(Mutex::new(crowd)), Arc::new(AtomicBool::new(false)));
        let (theirs, end) = (crowd.clone(), over.clone());
        task::thread("audience", move || {
            while !end.load(Ordering::Relaxed) {
                theirs.lock().expect("nobody panics while holding it").turn(Duration::from_millis(5));
                // A mutex is not fair: the test wants it, too.
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { crowd, over }
    }

    fn ask<T>(&self, of: impl Fn(&Viewer) -> T) -> Vec<T> {
        self.crowd.lock().expect("nobody panics while holding it").viewers.iter().map(of).collect()
    }

    fn frames(&self) -> Vec<u64> {
        self.ask(|viewer| viewer.received.frames)
    }

    /// Everybody sees more pictures, nobody was disconnected or lost a packet.
    fn goes_on(&self) {
        let before = self.frames();
        let more =
            wait_for(SOON, || self.frames().iter().zip(&before).all(|(now, then)| *now > then + 20).then_some(()));
        assert!(more.is_some(), "no more pictures come: {:?}", self.ask(|viewer| viewer.step.clone()));
        assert_eq!(self.ask(|viewer| viewer.received.lost), [0, 0]);
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Reads the configuration again, which must succeed, and say all of this.
fn reloaded(daemon: &Daemon, parts: &[&str]) {
    let (code, said) = daemon.reload();
    assert_eq!(code, Some(0), "{said}");
    parts.iter().for_each(|part| assert!(said.contains(part), "no {part:?} in {said}"));
    assert_eq!(said.lines().count(), parts.len(), "nothing else: {said}");
}

#[test]
fn a_bit_rate_changes_while_viewers_watch() {
    let daemon = Daemon::start(&Setup::live_only());
    let crowd = Audience::of(&daemon, "/live");
    let frames = |daemon: &Daemon| wait_for(SOON, || daemon.counter("live/source", "frames")).expect("it is counted");
    let (source, seen) = (frames(&daemon), crowd.frames()[0]);
    daemon.configure(&Setup { bitrate: "600 kbit/s", ..Setup::live_only() });
    daemon.signal(Signal::HUP);
    let now_at = |detail: &str| daemon.health().to_string().contains(detail);
    wait_until(SOON, "another bit rate", || now_at("x264enc at 600 kbit/s"));
    crowd.goes_on();
    assert!(daemon.log().contains("reload: live/encode: bit rate: 2 Mbit/s -> 600 kbit/s (changed while running"));
    assert_eq!(daemon.counter("live/encode", "restarts"), None);
    // Every picture of the source reached the viewer, but for those on their way.
    let (source, seen) = (frames(&daemon) - source, crowd.frames()[0] - seen);
    assert!(source.abs_diff(seen) < 15, "{source} pictures of the source, {seen} seen");
    reloaded(&daemon, &["nothing is different"]);
}

#[test]
fn recording_changes_and_moves_alone() {
    let on = Setup { snapshot: false, ..Setup::default() };
    let daemon = Daemon::start(&on);
    let crowd = Audience::of(&daemon, "/live");
    let open = || media_file::open_segments(daemon.storage());
    let recording = || wait_until(SOON, "a segment", || !open().is_empty());
    recording();
    daemon.configure(&Setup { record: false, ..on.clone() });
    reloaded(&daemon, &["live/record: recording: on -> off", "storage: place: "]);
    assert_eq!(open().len(), 0, "it is finished");
    let segments = media_file::segments(daemon.storage());
    let last = segments.last().expect("it was finished");
    assert_eq!(media_file::decode(last), media_file::probe(last).map(|probed| probed.frames));
    assert_eq!(daemon.condition("live/record"), None);
    daemon.configure(&on);
    reloaded(&daemon, &["live/record: recording: off -> on", "storage: place: none -> "]);
    recording();
    // Limits follow without touching the recorder; another place finishes what is open.
    let segment = open();
    let text = std::fs::read_to_string(daemon.config()).expect("it is ours");
    std::fs::write(daemon.config(), text.replace("64 MiB", "48 MiB")).expect("the folder is ours");
    reloaded(&daemon, &["storage: kept free: 64.0 MiB -> 48.0 MiB (changed while running)"]);
    assert!(open() == segment || open().len() == 1, "it records on");
    let elsewhere = daemon.folder().join("elsewhere");
    daemon.configure(&Setup { storage: Some(elsewhere.clone()), ..on });
    let (code, said) = daemon.reload();
    assert!(code == Some(0) && said.contains("/video -> ") && said.contains("/elsewhere ("), "{said}");
    assert_eq!(open().len(), 0);
    wait_until(SOON, "a segment in the other place", || !media_file::open_segments(&elsewhere).is_empty());
    crowd.goes_on();
}

#[test]
fn streams_come_and_go_without_a_trace() {
    let one = Setup::live_only();
    let two = Setup { more: SECOND.into(), ..one.clone() };
    let daemon = Daemon::start(&one);
    let crowd = Audience::of(&daemon, "/live");
    let round = |number: u32| {
        daemon.configure(&two);
        reloaded(&daemon, &["b: stream: none -> test picture (started)"]);
        wait_until(SOON, "the new stream", || daemon.condition("b/rtsp").as_deref() == Some("running"));
        let second = Audience::of(&daemon, "/b");
        daemon.configure(&one);
        // In every other round its viewers leave before, else they are still there.
        if number.is_multiple_of(2) {
            second.crowd.lock().expect("nobody panics while holding it").leave(0);
        }
        reloaded(&daemon, &["b: stream: b -> none"]);
        wait_until(SOON, "nobody on a stream that is gone", || second.ask(Viewer::alive).iter().all(|alive| !alive));
        assert_eq!(daemon.condition("b/source"), None);
        let mut late = daemon.crowd();
        late.join(1, "/b", Transport::Tcp);
        assert!(late.until(SOON, |viewers| !viewers[0].alive()), "the path is gone");
        crowd.goes_on();
    };
    (0..3).for_each(round);
    let before = daemon.usage();
    (0..20).for_each(round);
    // Connections of the rounds are closed by the server's clock; pools of GLib keep a thread for a while.
    let settled = || {
        let after = daemon.usage();
        after.threads <= before.threads + 2 && after.descriptors <= before.descriptors + 4
    };
    wait_until(Duration::from_secs(30), "threads and descriptors to be as few as before", settled);
}

#[test]
fn another_size_keeps_the_viewers_of_all_streams() {
    let setup = Setup { more: SECOND.into(), ..Setup::live_only() };
    let daemon = Daemon::start(&setup);
    let live = Audience::of(&daemon, "/live");
    wait_until(SOON, "the second stream", || daemon.condition("b/rtsp").as_deref() == Some("running"));
    let second = Audience::of(&daemon, "/b");
    let keyframes = || second.ask(|viewer| viewer.received.keyframes).into_iter().min().unwrap_or(0);
    daemon.configure(&Setup { more: SECOND.replace("320x240", "640x480"), ..setup.clone() });
    reloaded(&daemon, &["b/source: size: 320x240 -> 640x480 (the camera and its encoder restarted"]);
    let before = keyframes();
    wait_until(SOON, "keyframes of the new size", || keyframes() > before + 1);
    second.goes_on();
    live.goes_on();
    let keyed = Setup { keyframe_every: "2s", more: SECOND.replace("320x240", "640x480"), ..setup };
    daemon.configure(&keyed);
    reloaded(&daemon, &["live/encode: pictures from keyframe to keyframe: 30 -> 60 (the encoder restarted"]);
    live.goes_on();
    second.goes_on();
    // The other one becomes /live.
    let text = std::fs::read_to_string(daemon.config()).expect("it is ours");
    let (head, streams) = text.split_once("[[stream]]").expect("there are streams");
    let (first, other) = streams.split_once("[[stream]]").expect("there are two");
    let first = first.replace("\"live\"", "\"a\"");
    std::fs::write(daemon.config(), format!("{head}[[stream]]{other}\n[[stream]]{first}")).expect("the folder is ours");
    let (code, said) = daemon.reload();
    assert!(code == Some(0) && said.contains("streams: served as /live: live -> b"), "{said}");
    wait_until(SOON, "/live to be the other one", || daemon.describes());
    let file = daemon.folder().join("seen.mp4");
    media_file::save_stream(&daemon.url(), Some("tcp"), "1", &file).expect("ffmpeg plays");
    assert_eq!(media_file::probe(&file).map(|probed| probed.size), Ok((640, 480)));
}

#[test]
fn what_is_wrong_changes_nothing_and_ports_move() {
    let mut daemon = Daemon::start(&Setup::live_only());
    let crowd = Audience::of(&daemon, "/live");
    let good = std::fs::read_to_string(daemon.config()).expect("it is ours");
    let holder = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let taken = format!("127.0.0.1:{}", holder.local_addr().expect("it is bound").port());
    let rtsp = format!("{}", daemon.rtsp());
    let table = [
        ("[[stream]]\nfps = 0\n".to_owned(), ":2:7: stream[0].fps: "),
        (good.replace(&rtsp, &taken), "rtsp.listen: cannot listen on"),
        (format!("board = \"sim\"\n{good}"), "-> sim needs a restart"),
        (
            good.replace("{ kind = \"test\" }", "{ kind = \"file\", path = \"/nowhere.mp4\" }"),
            "/nowhere.mp4 is not found",
        ),
    ];
    for (text, problem) in table {
        std::fs::write(daemon.config(), &text).expect("the folder is ours");
        let (code, said) = daemon.reload();
        assert!(code == Some(2) && said.contains(problem) && said.contains("nothing was changed"), "{said}");
        assert_eq!(daemon.faults("config"), ["SYS-002"]);
        assert!(daemon.health().to_string().contains("running the configuration of 20"), "{}", daemon.health());
        crowd.goes_on();
    }
    // The same by signal.
    daemon.signal(Signal::HUP);
    wait_until(SOON, "a fifth refusal in the log", || daemon.log().matches("nothing was changed").count() == 5);
    let (old_rtsp, old_http) = daemon.choose_other_ports();
    daemon.configure(&Setup { max_viewers: 3, ..Setup::live_only() });
    let (code, said) = daemon.reload();
    assert!(code == Some(0) && said.contains("rtsp: viewers in all: at most 256 -> at most 3"), "{said}");
    assert_eq!(daemon.faults("config"), [""; 0]);
    for (name, old) in [("rtsp", old_rtsp), ("http", old_http)] {
        assert!(said.contains(&format!("{name}: address: {old} -> 127.0.0.1:")), "{said}");
        assert!(TcpStream::connect(old).is_err(), "nobody listens at {old} any more");
    }
    crowd.goes_on();
    assert!(daemon.describes(), "the new port answers");
    let mut more = daemon.crowd();
    more.join(1, "/live", Transport::Tcp);
    more.everybody_sees(SOON).expect("the third may watch");
    more.join(1, "/live", Transport::Tcp);
    assert!(more.until(SOON, |viewers| !viewers[1].alive()), "the fourth may not");
    daemon.assert_running();
}

#[test]
fn a_daemon_killed_in_a_reload_starts_again() {
    let setups = [
        Setup { last_good: true, ..Setup::default() },
        Setup { last_good: true, record: false, bitrate: "1 Mbit/s", more: SECOND.into(), ..Setup::default() },
    ];
    let mut daemon = Daemon::start(&setups[0]);
    let mut dice = Dice::new(now().subsec_nanos().into());
    for setup in setups.iter().rev().cycle().take(6) {
        daemon.configure(setup);
        daemon.signal(Signal::HUP);
        std::thread::sleep(Duration::from_millis(dice.below(80)));
        daemon.kill();
        daemon.start_again(setup);
        daemon.wait_ready();
        assert_eq!(daemon.faults("config"), [""; 0]);
    }
    assert!(media_file::segments(daemon.storage()).iter().all(|path| media_file::probe(path).is_ok()));
}
