//! Clients that do what no player does: each was once the end of the daemon, or of its memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::daemon::{Daemon, Setup};
use crate::support::rtsp::Transport;
use crate::support::wait::{now, wait_until};
use crate::support::wire::{TCP, UDP, Wire};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_transport_is_not_exchanged_under_a_playing_stream() {
    let mut daemon = Daemon::start(&Setup::live_only());
    for (first, second) in [(TCP, UDP), (UDP, TCP), (UDP, TCP)] {
        let mut wire = Wire::connect(&daemon);
        assert_eq!(wire.ask("SETUP", "/stream=0", first), 200);
        assert_eq!(wire.ask("PLAY", "", ""), 200);
        assert_eq!(wire.ask("SETUP", "/stream=0", second), 455);
        assert_eq!(wire.ask("PAUSE", "", ""), 200);
        assert_eq!(wire.ask("PLAY", "", ""), 200);
        assert_eq!(wire.ask("TEARDOWN", "", ""), 200);
    }
    let mut crowd = daemon.crowd();
    crowd.join(3, "/live", Transport::Tcp);
    crowd.everybody_sees(SOON).expect("everybody still sees");
    daemon.assert_running();
}

#[test]
fn a_body_of_a_request_takes_no_memory() {
    let daemon = Daemon::start(&Setup::live_only());
    let before = daemon.usage().memory_kib;
    let mut wire = Wire::connect(&daemon);
    let head = format!("OPTIONS {} RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 300000000\r\n\r\n", daemon.url());
    let stream = wire.stream.get_mut();
    stream.write_all(head.as_bytes()).expect("the daemon reads");
    let block = vec![b'x'; 1 << 16];
    // It may close at once; otherwise it may not keep what it is sent.
    let _ = (0..500).try_for_each(|_| stream.write_all(&block));
    let after = daemon.usage().memory_kib;
    assert!(after < before + (20 << 10), "{before} KiB before, {after} after");
}

#[test]
fn too_many_connections_are_closed_and_viewers_are_served() {
    let daemon = Daemon::start(&Setup { max_viewers: 4, ..Setup::live_only() });
    let mut crowd = daemon.crowd();
    crowd.join(2, "/live", Transport::Tcp);
    crowd.everybody_sees(SOON).expect("both see");
    let idle: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(daemon.rtsp()).expect("the kernel accepts")).collect();
    let closed = |stream: &TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a socket takes a time limit");
        matches!((&*stream).read(&mut [0]), Ok(0))
    };
    // Two for each viewer and 64 to spare stay open.
    wait_until(SOON, "the rest of 200 connections to be closed", || idle.iter().filter(|s| closed(s)).count() >= 120);
    let pictures = |crowd: &crate::support::crowd::Crowd| crowd.viewers.iter().map(|v| v.received.frames).sum::<u64>();
    let before = pictures(&crowd);
    crowd.watch(Duration::from_secs(1));
    assert!(pictures(&crowd) > before + 30);
    assert_eq!(crowd.lost(), 0);
}

/// At a quarter of the stream's rate it would be ten seconds behind before the library stops sending, without a word.
#[test]
fn a_viewer_slower_than_the_stream_is_disconnected() {
    let daemon = Daemon::start(&Setup::live_only());
    let mut wire = Wire::connect(&daemon);
    assert_eq!(wire.ask("SETUP", "/stream=0", TCP), 200);
    assert_eq!(wire.ask("PLAY", "", ""), 200);
    let begun = now();
    let stream = wire.stream.get_mut();
    let mut some = [0; 6_000];
    // 60 kB/s of some 250.
    while stream.read(&mut some).is_ok_and(|n| n > 0) {
        assert!(now() - begun < Duration::from_secs(60), "still connected after a minute");
        std::thread::sleep(Duration::from_millis(100));
    }
    wait_until(SOON, "the slow viewer to be counted", || daemon.counter("rtsp", "slow_viewers") == Some(1));
}
