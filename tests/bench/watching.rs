//! What a viewer feels: latency, and the time to the first picture.

use std::time::Duration;

use crate::subject::{OURS, Running, Subject};
use crate::support::daemon::{Daemon, Setup};
use crate::support::player::Player;
use crate::support::rtsp::Transport;
use crate::support::wait::{Dice, ms, now, wait_for};
use crate::table::{Found, Measured, Reach, measured, percentile};

const UDP: (&str, Transport) = ("UDP", Transport::Udp);
const TCP: (&str, Transport) = ("TCP", Transport::Tcp);

fn transports(subject: &Subject) -> &'static [(&'static str, Transport)] {
    if subject.udp { &[UDP, TCP] } else { &[TCP] }
}

/// The first two seconds are connecting and warming up.
const WARM_UP: usize = 60;

/// Frame creation to decoded picture at a client without jitter buffer, 300 pictures each.
pub(crate) fn latency(subject: &Subject, _: u64, found: &mut Found) -> Result<(), String> {
    let running = subject.start(1)?;
    for (name, transport) in transports(subject) {
        let player = Player::play(&running.url(), *transport);
        let seen = player.wait_pictures(WARM_UP as u64 + 300, Duration::from_secs(30))?;
        let samples: Vec<f64> = seen.latencies.iter().skip(WARM_UP).map(|latency| ms(*latency)).collect();
        found.push(measured(format!("latency {name} p50"), percentile(&samples, 50.0), "ms", Reach::Most(9.0)));
        found.push(measured(format!("latency {name} p99"), percentile(&samples, 99.0), "ms", Reach::Most(15.0)));
        let missing = seen.missing(30) + seen.unreadable;
        found.push(measured(format!("latency {name}: pictures missing"), missing as f64, "", Reach::Most(0.0)));
    }
    Ok(())
}

/// Encoder output to first RTP packet, as the daemon itself measures it while someone watches.
pub(crate) fn first_packet(_: u64) -> Result<Vec<Measured>, String> {
    let daemon = Daemon::start(&Setup::default());
    let mut crowd = daemon.crowd();
    crowd.join(1, "/live", Transport::Tcp);
    crowd.everybody_sees(Duration::from_secs(5))?;
    crowd.watch(Duration::from_secs(8));
    let counter = |name| daemon.counter("live/rtsp", name).ok_or(format!("live/rtsp has no counter {name}"));
    let [p50, p99] = [counter("delay_p50_us")?, counter("delay_p99_us")?].map(|us| us as f64 / 1e3);
    Ok(vec![
        measured("encoder to first RTP packet p50", p50, "ms", Reach::Most(0.7)),
        measured("encoder to first RTP packet p99", p99, "ms", Reach::Seen),
    ])
}

/// Connect to first picture at random phases of the group of pictures, while somebody else watches: complete keyframe at
/// a raw client, and decoded picture at GStreamer's player, 20 connects each.
pub(crate) fn connect(subject: &Subject, seed: u64, found: &mut Found) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    for every in [1, 10] {
        let running = subject.start(every)?;
        let somebody = Player::play(&running.url(), Transport::Tcp);
        somebody.wait_pictures(1, Duration::from_secs(20))?;
        let (mut raw, mut decoded) = (Vec::new(), Vec::new());
        for turn in 0..20 {
            let transport = transports(subject)[turn % transports(subject).len()].1;
            std::thread::sleep(Duration::from_millis(100 + dice.below(1000)));
            let mut crowd = running.crowd();
            crowd.join(1, "/live", transport);
            crowd.everybody_sees(Duration::from_secs(12))?;
            raw.extend(crowd.viewers[0].first_picture_after().map(ms));
            crowd.leave(0);
            std::thread::sleep(Duration::from_millis(100 + dice.below(1000)));
            let player = Player::play(&running.url(), transport);
            let seen = player.wait_pictures(1, Duration::from_secs(12))?;
            decoded.extend(seen.first.map(|at| ms(at.saturating_sub(player.begun))));
        }
        let key = |what: &str| format!("connect to {what}, keyframe every {every} s, p95");
        found.push(measured(key("keyframe"), percentile(&raw, 95.0), "ms", Reach::Most(150.0)));
        found.push(measured(key("decoded"), percentile(&decoded, 95.0), "ms", Reach::Most(150.0)));
    }
    Ok(())
}

/// Exec to DESCRIBE answered with a stream behind it, and to the first keyframe at a client who asks all the time.
pub(crate) fn start(subject: &Subject, _: u64, found: &mut Found) -> Result<(), String> {
    let since = |running: &Running| ms(now().saturating_sub(running.started));
    let time = |cold: bool| {
        let running = subject.spawn(1, cold)?;
        wait_for(Duration::from_secs(20), || running.describes().then_some(()))
            .ok_or("DESCRIBE is not answered in 20 s")?;
        let described = since(&running);
        let mut crowd = running.crowd();
        crowd.join(1, "/live", Transport::Tcp);
        crowd.everybody_sees(Duration::from_secs(12))?;
        Ok::<_, String>((described, since(&running)))
    };
    // Once for the registry and the encoder test, in case nothing ran before.
    time(false)?;
    let (described, seen) = time(false)?;
    found.push(measured("exec to DESCRIBE, warm", described, "ms", Reach::Most(400.0)));
    found.push(measured("exec to keyframe at a client, warm", seen, "ms", Reach::Most(500.0)));
    if subject.name == OURS {
        found.push(measured("exec to DESCRIBE, cold", time(true)?.0, "ms", Reach::Seen));
    }
    Ok(())
}
