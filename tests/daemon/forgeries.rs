//! Clients that ask for what is not theirs, or for what nobody gives.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use crate::support::daemon::{Daemon, Setup};
use crate::support::process::thread_names;
use crate::support::wait::{Dice, now, wait_until};
use crate::support::wire::{TCP, UDP, Wire};
use crate::support::witness::Witnesses;

/// The library lets whoever knows its name use a session, and ends it with any connection that named it once.
#[test]
fn a_session_belongs_to_its_connection() {
    let daemon = Daemon::start(&Setup::live_only());
    for transport in [TCP, UDP] {
        let mut victim = Wire::connect(&daemon);
        victim.play(transport);
        for method in ["OPTIONS", "GET_PARAMETER", "SETUP", "PLAY", "PAUSE", "TEARDOWN"] {
            let mut thief = Wire::connect(&daemon);
            thief.session.clone_from(&victim.session);
            let (below, headers) = if method == "SETUP" { ("/stream=0", TCP) } else { ("", "") };
            assert_eq!(thief.ask(method, below, headers), 454, "{method}");
        }
        // All thieves are gone, and seen to be gone; the victim may still do everything.
        wait_until(Duration::from_secs(5), "the thieves to be gone", || {
            daemon.counter("rtsp", "connections") == Some(1) && daemon.counter("rtsp", "viewers") == Some(1)
        });
        assert_eq!([victim.ask("PAUSE", "", ""), victim.ask("PLAY", "", "")], [200, 200]);
        assert_eq!(victim.ask("TEARDOWN", "", ""), 200);
        drop(victim);
        wait_until(Duration::from_secs(5), "it to be gone", || daemon.counter("rtsp", "connections") == Some(0));
    }
    let mut guess = Wire::connect(&daemon);
    guess.session = Some("0123456789abcdef".into());
    assert_eq!(guess.ask("PLAY", "", ""), 454);
}

#[test]
fn what_nobody_gives_is_refused_by_its_code() {
    let mut daemon = Daemon::start(&Setup::live_only());
    let witnesses = Witnesses::of(&daemon);
    let body = |length: &str| format!("Content-Length: {length}\r\n");
    let transport = |text: &str| format!("Transport: {text}\r\n");
    let table: &[(&str, &str, String, u32)] = &[
        ("BREW", "", String::new(), 501),
        ("REDIRECT", "", String::new(), 501),
        ("ANNOUNCE", "", String::new(), 405),
        ("RECORD", "", String::new(), 405),
        ("PLAY", "", String::new(), 454),
        ("TEARDOWN", "", String::new(), 454),
        ("OPTIONS", "", body("-5"), 400),
        ("OPTIONS", "", body("2147483648"), 413),
        ("OPTIONS", "", body("99999999999999999999"), 400),
        ("SET_PARAMETER", "", body("60000"), 413),
        ("DESCRIBE", &"/x".repeat(3000), String::new(), 400),
        ("DESCRIBE", "/../../etc/passwd", String::new(), 404),
        ("DESCRIBE", "%00%n%s", String::new(), 404),
        ("DESCRIBE", &format!("?{}", "a=b&".repeat(500)), String::new(), 200),
        ("SETUP", "/stream=0", String::new(), 461),
        ("SETUP", "/stream=0", transport("RTP/AVP;multicast"), 461),
        ("SETUP", "/stream=0", transport("RTP/AVP;multicast;destination=224.1.1.1;port=5000-5001;ttl=9"), 461),
        ("SETUP", "/stream=0", transport("RTP/SAVP;unicast;client_port=5000-5001"), 461),
        ("SETUP", "/stream=0", transport("RTP/AVP/TCP;unicast;mode=record;interleaved=0-1"), 461),
        ("SETUP", "/stream=0", transport("RTP/AVP/TCP;interleaved=300-301"), 461),
        ("SETUP", "/stream=0", transport("RTP/AVP;unicast"), 461),
        ("SETUP", "/stream=0", transport("RTP/AVP;unicast;client_port=53-54"), 461),
    ];
    for (method, below, headers, code) in table {
        assert_eq!(Wire::connect(&daemon).ask(method, below, headers), *code, "{method} {below:.40} {headers}");
    }
    let mut wire = Wire::connect(&daemon);
    wire.send(b"OPTIONS rtsp://x/live RTSP/2.0\r\nCSeq: 1\r\n\r\n");
    assert_eq!(wire.answer(), 505);
    for wish in ["Range: npt=10-20", "Range: nonsense", "Scale: -2", "Scale: nan", "Speed: 1e308", "Blocksize: 1"] {
        let mut wire = Wire::connect(&daemon);
        assert_eq!(wire.ask("SETUP", "/stream=0", TCP), 200);
        assert!([200, 400, 457].contains(&wire.ask("PLAY", "", &format!("{wish}\r\n"))), "{wish}");
    }
    witnesses.missed_nothing();
    daemon.assert_running();
}

/// A viewer's address is the one it connects from: nobody can have packets sent to somebody else.
#[test]
fn packets_go_to_nobody_but_who_asked() {
    let daemon = Daemon::start(&Setup::live_only());
    // An even port and the next one, on two addresses: the asker's, and somebody else's.
    let pair = |host: [u8; 4], port: u16| {
        [port, port + 1].map(|port| UdpSocket::bind((Ipv4Addr::from(host), port)).expect("the port is free"))
    };
    let free = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port is free");
    let port = free.local_addr().expect("it is bound").port() & !1;
    drop(free);
    let (asker, other) = (pair([127, 0, 0, 1], port), pair([127, 0, 9, 1], port));
    let mut wire = Wire::connect(&daemon);
    let ports = format!("client_port={port}-{}", port + 1);
    wire.play(&format!("Transport: RTP/AVP;unicast;destination=127.0.9.1;{ports}\r\n"));
    let limit = |socket: &UdpSocket, time| socket.set_read_timeout(Some(time)).expect("a socket takes a time limit");
    limit(&asker[0], Duration::from_secs(10));
    for _ in 0..30 {
        asker[0].recv(&mut [0; 2000]).expect("the asker gets packets");
    }
    limit(&other[0], Duration::from_millis(1));
    assert!(other[0].recv(&mut [0; 2000]).is_err(), "somebody else got packets");
}

#[test]
fn one_connection_takes_one_place() {
    let daemon = Daemon::start(&Setup { max_viewers: 3, ..Setup::live_only() });
    let mut wire = Wire::connect(&daemon);
    wire.play(TCP);
    for _ in 0..5 {
        wire.session = None;
        assert_eq!(wire.ask("SETUP", "/stream=0", TCP), 455);
    }
    let mut others: Vec<Wire> = (0..2).map(|_| Wire::connect(&daemon)).collect();
    others.iter_mut().for_each(|other| other.play(TCP));
    assert_eq!(Wire::connect(&daemon).ask("SETUP", "/stream=0", TCP), 453);
}

/// Each SSRC that the library's RTP session believes in is a member, and with a sender report a branch of elements.
#[test]
fn forged_reports_make_nobody_a_member() {
    let mut daemon = Daemon::start(&Setup::live_only());
    let witnesses = Witnesses::of(&daemon);
    let mut viewer = Wire::connect(&daemon);
    assert_eq!(viewer.ask("SETUP", "/stream=0", UDP), 200);
    let transport = viewer.header("Transport").expect("SETUP was answered with 200");
    let ports = transport.split("server_port=").nth(1).and_then(|rest| rest.split(';').next());
    let (_, rtcp) = ports.and_then(|ports| ports.split_once('-')).expect("two ports");
    let rtcp = (Ipv4Addr::LOCALHOST, rtcp.parse::<u16>().expect("a number"));
    let (before, threads) = (daemon.usage().memory_kib, thread_names(daemon.pid()).len());
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let (begun, mut dice) = (now(), Dice::new(1));
    while now() - begun < Duration::from_secs(3) {
        let ssrc = (dice.below(u64::from(u32::MAX)) as u32).to_be_bytes();
        let sender = [&[0x80, 200, 0, 6][..], &ssrc, &[0; 20]].concat();
        let goodbye = [&[0x80, 201, 0, 1][..], &ssrc, &[0x81, 203, 0, 1], &ssrc].concat();
        let receivers: Vec<u8> =
            (0..150_u32).flat_map(|n| [0x80C9_0001, n ^ u32::from_be_bytes(ssrc)]).flat_map(u32::to_be_bytes).collect();
        for packet in [sender, goodbye, receivers, [&[0x80, 201, 0, 1][..], &ssrc].concat(), ssrc.to_vec()] {
            // A full buffer of the kernel is as good as a packet that arrived.
            let _ = socket.send_to(&packet, rtcp);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let after = daemon.usage().memory_kib;
    assert!(after < before + (10 << 10), "{before} KiB before, {after} after");
    let threads_after = thread_names(daemon.pid()).len();
    assert!(threads_after <= threads + 2, "{threads} threads before, {threads_after} after");
    witnesses.missed_nothing();
    daemon.assert_running();
}
