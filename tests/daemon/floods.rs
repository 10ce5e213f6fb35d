//! Clients that send without end, or hardly anything: each is answered or cut off in bounded time and memory, and those
//! who watch miss nothing.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::support::daemon::{Daemon, Setup};
use crate::support::wait::{now, wait_until};
use crate::support::wire::{TCP, Wire};
use crate::support::witness::Witnesses;

/// A host that does no good. Each of its kind has an address of its own, because a host that floods is kept out.
fn villain(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 9, number)
}

/// What a flood begins with, and what it repeats.
fn floods() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let request = |method: &str| format!("{method} rtsp://x/live RTSP/1.0\r\nCSeq: 1\r\n\r\n").into_bytes();
    let packet = |channel: u8, bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).expect("a short packet").to_be_bytes();
        [&[b'$', channel], &length[..], bytes].concat()
    };
    // A receiver report of one member, and the next one of another.
    let report = |n: u32| [&[0x80, 201, 0, 1][..], &n.to_be_bytes()].concat();
    let reports: Vec<u8> = (0..1000).flat_map(|n| packet(1, &report(n * 77_777))).collect();
    let header = b"OPTIONS rtsp://x/live RTSP/1.0\r\nCSeq: 1\r\n".to_vec();
    vec![
        ("a line without end", b"OPTIONS ".to_vec(), vec![b'a'; 60_000]),
        ("headers without end", header, b"X-Header: of no use\r\n".repeat(3000)),
        ("requests, no answer read", Vec::new(), request("OPTIONS").repeat(1000)),
        ("descriptions, no answer read", Vec::new(), request("DESCRIBE").repeat(1000)),
        ("packets for nobody", Vec::new(), packet(9, &[b'x'; 60_000])),
        ("media packets", TCP.into(), packet(0, &[0x80; 1300]).repeat(50)),
        ("forged reports", TCP.into(), reports),
    ]
}

#[test]
fn floods_are_cut_off_and_viewers_miss_nothing() {
    let mut daemon = Daemon::start(&Setup::live_only());
    let witnesses = Witnesses::of(&daemon);
    let before = daemon.usage().memory_kib;
    // What is no request is answered with 400, or with nothing, and closed.
    let garbage: Vec<u8> = (0..60_000_u32).map(|n| ((n * 7919) >> 5) as u8).collect();
    assert!(Wire::connect_from(villain(99), &daemon).flood(&garbage) < 64 << 20);
    let floods = floods();
    for (number, (what, beginning, block)) in (1..).zip(&floods) {
        let mut wire = Wire::connect_from(villain(number), &daemon);
        if beginning == TCP.as_bytes() {
            wire.play(TCP);
        } else {
            wire.send(beginning);
        }
        let sent = wire.flood(block);
        // Mostly what the kernels hold: the daemon takes 16 KiB, and what comes in 25 ms.
        assert!(sent < 64 << 20, "{what}: {sent} bytes went");
        assert!(Wire::connect_from(villain(number), &daemon).closes_within(Duration::from_secs(5)), "{what}: kept out");
        let begun = now();
        assert_eq!(Wire::connect(&daemon).ask("DESCRIBE", "", ""), 200, "{what}: others get in");
        assert!(now() - begun < Duration::from_secs(5), "{what}: a newcomer waited {:?}", now() - begun);
    }
    wait_until(Duration::from_secs(5), "all to be counted", || {
        daemon.counter("rtsp", "floods") >= Some(floods.len() as u64)
    });
    let after = daemon.usage().memory_kib;
    assert!(after < before + (20 << 10), "{before} KiB before, {after} after");
    witnesses.missed_nothing();
    daemon.assert_running();
}

#[test]
fn floods_over_ipv6_are_cut_off() {
    let daemon = Daemon::start(&Setup { host: Ipv6Addr::LOCALHOST.into(), ..Setup::live_only() });
    let witnesses = Witnesses::of(&daemon);
    let mut wire = Wire::connect(&daemon);
    wire.send(b"OPTIONS ");
    assert!(wire.flood(&[b'a'; 60_000]) < 64 << 20);
    assert!(Wire::connect(&daemon).closes_within(Duration::from_secs(5)), "the host is kept out");
    witnesses.missed_nothing();
}

#[test]
fn who_does_not_say_what_he_wants_is_disconnected() {
    let daemon = Daemon::start(&Setup::live_only());
    let witnesses = Witnesses::of(&daemon);
    let tunnel = |method: &str| format!("{method} /live HTTP/1.0\r\nx-sessioncookie: abc\r\n\r\n");
    let beginnings =
        ["", "OPTIONS rtsp://x/live RTSP/1.0\r\nCSeq: 1\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "$\x01"];
    // A POST and a GET with the same cookie would be joined to a tunnel by the library.
    let beginnings =
        beginnings.into_iter().map(str::to_owned).chain(["POST", "GET"].map(tunnel)).chain(["\0".repeat(99)]);
    let mut wires: Vec<Wire> = beginnings
        .map(|beginning| {
            let mut wire = Wire::connect(&daemon);
            wire.send(beginning.as_bytes());
            wire
        })
        .collect();
    // One byte in a while, for as long as it is taken.
    let mut drip = Wire::connect(&daemon);
    let begun = now();
    let stream = drip.stream.get_mut();
    for byte in b"OPTIONS rtsp://127.0.0.1/live".iter().cycle() {
        if stream.write_all(&[*byte]).is_err() {
            break;
        }
        assert!(now() - begun < Duration::from_secs(30), "one byte in a while was taken for half a minute");
        std::thread::sleep(Duration::from_millis(200));
    }
    for (number, wire) in wires.iter_mut().enumerate() {
        assert!(wire.closes_within(Duration::from_secs(15)), "number {number} is still there");
    }
    wait_until(Duration::from_secs(5), "eight to be counted", || daemon.counter("rtsp", "slow_requests") == Some(8));
    witnesses.missed_nothing();
}

/// Hundreds who connect and say nothing keep nobody out: they make way.
#[test]
fn idle_connections_make_way_for_viewers() {
    let daemon = Daemon::start(&Setup { max_viewers: 4, ..Setup::live_only() });
    let witnesses = Witnesses::of(&daemon);
    let before = daemon.usage();
    let idle: Vec<Wire> = (0..300).map(|_| Wire::connect_from(villain(1), &daemon)).collect();
    let mut wire = Wire::connect(&daemon);
    assert_eq!(wire.ask("DESCRIBE", "", ""), 200);
    wire.play(TCP);
    let after = daemon.usage();
    assert!(after.memory_kib < before.memory_kib + (20 << 10), "{before:?}, then {after:?}");
    assert!(after.descriptors < before.descriptors + 300, "{before:?}, then {after:?}");
    drop(idle);
    witnesses.missed_nothing();
}

#[test]
fn resets_in_every_state_leave_nothing_behind() {
    let mut daemon = Daemon::start(&Setup::live_only());
    let witnesses = Witnesses::of(&daemon);
    for round in 0..60 {
        let mut wire = Wire::connect(&daemon);
        match round % 6 {
            0 => {}
            1 => wire.send(b"OPTIO"),
            2 => wire.send(b"DESCRIBE rtsp://x/live RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
            3 => assert_eq!(wire.ask("SETUP", "/stream=0", TCP), 200),
            4 => wire.play(TCP),
            _ => {
                wire.play(TCP);
                wire.send(b"TEARDOWN rtsp://x/live RTSP/1.0\r\nCSeq: 9\r\n\r\n");
            }
        }
        wire.reset();
    }
    wait_until(Duration::from_secs(10), "only the two who watch to be left", || {
        daemon.counter("rtsp", "connections") == Some(2) && daemon.counter("rtsp", "viewers") == Some(2)
    });
    witnesses.missed_nothing();
    daemon.assert_running();
}
