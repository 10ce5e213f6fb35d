//! What a viewer feels: latency, and the time to the first picture.

use std::time::Duration;

use crate::support::daemon::{Daemon, Setup};
use crate::support::player::Player;
use crate::support::rtsp::Transport;
use crate::support::wait::{Dice, ms, now, wait_for};
use crate::table::{Measured, Reach, measured, percentile};

const BOTH: [(&str, Transport); 2] = [("UDP", Transport::Udp), ("TCP", Transport::Tcp)];

/// The first two seconds are connecting and warming up.
const WARM_UP: usize = 60;

/// Frame creation to decoded picture at a client without jitter buffer, 300 pictures each.
pub(crate) fn latency(_: u64) -> Result<Vec<Measured>, String> {
    let daemon = Daemon::start(&Setup::default());
    let mut found = Vec::new();
    for (name, transport) in BOTH {
        let player = Player::play(&daemon.url(), transport);
        let seen = player.wait_pictures(WARM_UP as u64 + 300, Duration::from_secs(30))?;
        let samples: Vec<f64> = seen.latencies.iter().skip(WARM_UP).map(|latency| ms(*latency)).collect();
        found.push(measured(format!("latency {name} p50"), percentile(&samples, 50.0), "ms", Reach::Most(9.0)));
        found.push(measured(format!("latency {name} p99"), percentile(&samples, 99.0), "ms", Reach::Most(15.0)));
        let missing = seen.missing(30) + seen.unreadable;
        found.push(measured(format!("latency {name}: pictures missing"), missing as f64, "", Reach::Most(0.0)));
    }
    Ok(found)
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

/// Connect to first picture at random phases of the group of pictures: complete keyframe at a raw client, and decoded
/// picture at GStreamer's player, 20 connects each.
pub(crate) fn connect(seed: u64) -> Result<Vec<Measured>, String> {
    let mut dice = Dice::new(seed);
    let mut found = Vec::new();
    for every in ["1s", "10s"] {
        let daemon = Daemon::start(&Setup { keyframe_every: every, ..Setup::default() });
        let (mut raw, mut decoded) = (Vec::new(), Vec::new());
        for turn in 0..20 {
            let transport = BOTH[turn % 2].1;
            std::thread::sleep(Duration::from_millis(100 + dice.below(1000)));
            let mut crowd = daemon.crowd();
            crowd.join(1, "/live", transport);
            crowd.everybody_sees(Duration::from_secs(12))?;
            raw.extend(crowd.viewers[0].first_picture_after().map(ms));
            crowd.leave(0);
            std::thread::sleep(Duration::from_millis(100 + dice.below(1000)));
            let player = Player::play(&daemon.url(), transport);
            let seen = player.wait_pictures(1, Duration::from_secs(12))?;
            decoded.extend(seen.first.map(|at| ms(at.saturating_sub(player.begun))));
        }
        let key = |what: &str| format!("connect to {what}, keyframe every {every}, p95");
        found.push(measured(key("keyframe"), percentile(&raw, 95.0), "ms", Reach::Most(150.0)));
        found.push(measured(key("decoded"), percentile(&decoded, 95.0), "ms", Reach::Most(150.0)));
    }
    Ok(found)
}

/// Exec to DESCRIBE answered with a stream behind it.
pub(crate) fn start(_: u64) -> Result<Vec<Measured>, String> {
    let time = |setup: &Setup| {
        let daemon = Daemon::spawn(setup);
        let described = wait_for(Duration::from_secs(20), || daemon.describes().then(now));
        described.map(|at| ms(at.saturating_sub(daemon.started))).ok_or("DESCRIBE is not answered in 20 s".to_owned())
    };
    let warm = Setup::default();
    // Once for the registry and the encoder test, in case nothing ran before.
    time(&warm)?;
    let cold = Setup { cold: true, ..Setup::default() };
    Ok(vec![
        measured("exec to DESCRIBE, warm", time(&warm)?, "ms", Reach::Most(400.0)),
        measured("exec to DESCRIBE, cold", time(&cold)?, "ms", Reach::Seen),
    ])
}
