use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::base::clock::SimClock;
use crate::media::codec::Codec;
use crate::media::format::{FrameRate, Size};

struct Encoder(Mutex<u32>);
impl RequestKeyframe for Encoder {
    fn request_keyframe(&self, _: &'static str) {
        *self.0.lock().unwrap() += 1;
    }
}

struct Camera {
    clock: Arc<SimClock>,
    hub: Hub,
    format: Arc<EncodedFormat>,
}

impl Camera {
    fn new() -> Self {
        let clock = Arc::new(SimClock::at(Duration::ZERO));
        let format = Arc::new(EncodedFormat {
            codec: Codec::H264,
            size: Size::new(64, 64),
            rate: FrameRate::whole(10),
            sps: Bytes::new(),
            pps: Bytes::new(),
        });
        Self { hub: Hub::new(clock.clone()), clock, format }
    }

    /// One access unit per letter, 100 ms apart: `K` a keyframe, `p` another picture; `S` and `s` the same of a slate.
    fn shoot(&self, kinds: &str) {
        for kind in kinds.chars() {
            self.clock.advance(Duration::from_millis(100));
            let unit = AccessUnit {
                data: Bytes::from_static(&[0; 100]),
                pts: self.clock.monotonic(),
                encoded: self.clock.monotonic(),
                keyframe: kind == 'K' || kind == 'S',
                discontinuity: false,
                slate: kind == 's' || kind == 'S',
                format: self.format.clone(),
            };
            assert!(self.hub.publish(unit));
        }
    }
}

/// What a reader gets, as the same letters; a gap of n is `n`.
fn read(reader: &Reader) -> String {
    let mut text = String::new();
    loop {
        match reader.recv(Duration::ZERO) {
            Received::Unit(unit) => text.push(match (unit.keyframe, unit.slate) {
                (true, false) => 'K',
                (false, false) => 'p',
                (true, true) => 'S',
                (false, true) => 's',
            }),
            Received::Gap(n) => text.push_str(&n.to_string()),
            Received::TimedOut => return text,
        }
    }
}

fn live(depth_ms: u64) -> Policy {
    Policy::Live { depth: Duration::from_millis(depth_ms) }
}

fn lossless(depth_ms: u64, bytes: usize) -> Policy {
    Policy::Lossless { depth: Duration::from_millis(depth_ms), bytes }
}

#[test]
fn a_newcomer_begins_at_a_keyframe() {
    let camera = Camera::new();
    camera.shoot("Kpp");
    let cold = camera.hub.subscribe(live(1000), false);
    let warm = camera.hub.subscribe(live(1000), true);
    camera.shoot("ppKp");
    assert_eq!(read(&cold), "Kp");
    assert_eq!(read(&warm), "KppppKp");
    assert_eq!(cold.dropped(), 0);
}

#[test]
fn a_stuck_viewer_drops_to_the_next_keyframe_and_hurts_nobody() {
    let camera = Camera::new();
    let stuck = camera.hub.subscribe(live(500), false);
    let well = camera.hub.subscribe(live(500), false);
    let mut seen = String::new();
    for _ in 0..3 {
        camera.shoot("Kppp");
        seen += &read(&well);
    }
    assert_eq!(seen, "KpppKpppKppp");
    // The queue held 0.5 s at most; what it lost is counted and told.
    assert_eq!(read(&stuck), "8Kppp");
    assert_eq!(stuck.dropped(), 8);
}

#[test]
fn a_recorder_keeps_what_is_queued_and_is_told_of_the_gap() {
    let camera = Camera::new();
    let recorder = camera.hub.subscribe(lossless(500, 1 << 20), false);
    camera.shoot("KpppppppKp");
    assert_eq!(read(&recorder), "Kppppp");
    camera.shoot("ppKp");
    assert_eq!(read(&recorder), "6Kp");
    assert_eq!(recorder.dropped(), 6);
}

#[test]
fn a_recorder_is_bounded_in_bytes_too() {
    let camera = Camera::new();
    let recorder = camera.hub.subscribe(lossless(60_000, 300), false);
    camera.shoot("Kppppp");
    assert_eq!(recorder.queued(), 3);
}

#[test]
fn a_dropped_reader_is_forgotten() {
    let camera = Camera::new();
    drop(camera.hub.subscribe(live(500), false));
    assert_eq!(camera.hub.outlets(), 1);
    camera.shoot("K");
    assert_eq!(camera.hub.outlets(), 0);
}

#[test]
fn requests_are_coalesced_and_answered_by_the_encoder() {
    let camera = Camera::new();
    let encoder = Arc::new(Encoder(Mutex::new(0)));
    camera.hub.set_encoder(Some(encoder.clone()));
    camera.shoot("K");
    for _ in 0..50 {
        camera.hub.request_keyframe("play");
    }
    assert_eq!(*encoder.0.lock().unwrap(), 1);
    camera.shoot("pK");
    camera.hub.request_keyframe("play");
    camera.shoot("ppp");
    assert_eq!(*encoder.0.lock().unwrap(), 2);
}

#[test]
fn a_slate_is_for_viewers_and_not_for_recorders() {
    let camera = Camera::new();
    let viewer = camera.hub.subscribe(live(5000), false);
    let recorder = camera.hub.subscribe(lossless(5000, 1 << 20), false);
    camera.shoot("KppSsssppKp");
    assert_eq!(read(&viewer), "KppSsssppKp");
    // What comes between the slate and the next keyframe of the camera builds on the slate; nothing was too slow.
    assert_eq!(read(&recorder), "KppKp");
    assert_eq!(recorder.dropped(), 0);
    assert_eq!((camera.hub.units(), camera.hub.slates()), (11, 4));
}

#[test]
fn a_slate_hides_no_gap_of_a_recorder() {
    let camera = Camera::new();
    let recorder = camera.hub.subscribe(lossless(200, 1 << 20), false);
    camera.shoot("KpppppSsssK");
    assert_eq!(read(&recorder), "Kpp");
    camera.shoot("ppK");
    assert_eq!(read(&recorder), "6K");
}

#[test]
fn time_only_goes_forward() {
    let camera = Camera::new();
    camera.shoot("Kp");
    let unit = (*camera.hub.cached()[0]).clone();
    assert!(!camera.hub.publish(unit));
    assert_eq!(camera.hub.units(), 2);
}

#[test]
fn a_group_of_pictures_too_large_is_not_cached() {
    let camera = Camera::new();
    camera.shoot("K");
    let mut big = (*camera.hub.cached()[0]).clone();
    big.data = Bytes::from(vec![0; MAX_CACHED_BYTES]);
    big.pts += Duration::from_secs(1);
    big.keyframe = false;
    assert!(camera.hub.publish(big));
    assert!(camera.hub.cached().is_empty());
}
