//! Tests of the watchdog's judgement, of its loop on a clock that the test owns, and of the messages to systemd.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::systemd::Systemd;
use super::watchdog::{Judge, Pulse, Watchdog, Watched, Watchlist};
use crate::base::clock::{Clock, SimClock, SystemClock};
use crate::base::heartbeat::Heartbeat;
use crate::base::shutdown::{Shutdown, Stop};
use crate::base::task;

const LIMIT: Duration = Duration::from_secs(5);

/// A stand-in for systemd's end of the socket.
fn manager(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn hear(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 1024];
    let n = socket.recv(&mut buffer).expect("a message within ten seconds");
    String::from_utf8(buffer[..n].to_vec()).unwrap()
}

fn silent(socket: &UnixDatagram) -> bool {
    socket.set_nonblocking(true).unwrap();
    let nothing = socket.recv(&mut [0; 64]).is_err();
    socket.set_nonblocking(false).unwrap();
    nothing
}

#[test]
fn the_judge_knows_a_stall_from_an_absence() {
    /// Second, running, beats, stuck?
    type Steps<'a> = &'a [(u64, bool, u64, bool)];
    let tables: [(&str, Steps<'_>); 6] = [
        ("advances", &[(0, true, 1, false), (4, true, 2, false), (8, true, 3, false), (12, true, 4, false)]),
        (
            "stalls and advances again",
            &[(0, true, 1, false), (5, true, 1, false), (6, true, 1, true), (7, true, 2, false)],
        ),
        ("never beats", &[(0, true, 0, false), (5, true, 0, false), (6, true, 0, true)]),
        ("absent", &[(0, true, 9, false), (1, false, 9, false), (600, false, 9, false)]),
        (
            "absent and back",
            &[(0, false, 9, false), (600, true, 9, false), (605, true, 9, false), (606, true, 9, true)],
        ),
        ("absent while stuck", &[(0, true, 9, false), (6, true, 9, true), (7, false, 9, false), (8, true, 9, false)]),
    ];
    for (what, steps) in tables {
        let mut judge = Judge::default();
        for &(second, running, beats, stuck) in steps {
            let pulse = Pulse { name: "live/source", running, beats, limit: LIMIT };
            let found = judge.stuck(Duration::from_secs(second), &[pulse]);
            assert_eq!(!found.is_empty(), stuck, "{what}, second {second}");
        }
    }
}

#[test]
fn one_stuck_branch_is_named_and_the_others_are_not() {
    let mut judge = Judge::default();
    let pulse = |name, beats| Pulse { name, running: true, beats, limit: LIMIT };
    assert!(judge.stuck(Duration::ZERO, &[pulse("control", 1), pulse("live/source", 1)]).is_empty());
    let later = judge.stuck(Duration::from_secs(6), &[pulse("control", 2), pulse("live/source", 1)]);
    assert_eq!(later, ["live/source"]);
}

#[test]
fn the_watchdog_is_fed_only_while_everything_advances() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = manager(&path);
    let systemd = Systemd::to(Some(path.as_os_str()), Some(LIMIT)).unwrap();
    let clock = SimClock::at(Duration::ZERO);
    let (control, camera) = (Heartbeat::new(), Heartbeat::new());
    let running = Arc::new(AtomicBool::new(true));
    let flag = running.clone();
    let watched = vec![
        Watched { name: "control".into(), heartbeat: control.clone(), limit: LIMIT, running: Box::new(|| true) },
        Watched {
            name: "live/source".into(),
            heartbeat: camera,
            limit: LIMIT,
            running: Box::new(move || flag.load(Ordering::SeqCst)),
        },
    ];
    let list = Watchlist::default();
    list.set(watched);
    let mut watchdog = Watchdog { systemd, watched: list.clone(), judge: Judge::default(), was_stuck: false };
    let step = |watchdog: &mut Watchdog| {
        clock.advance(Duration::from_secs(6));
        control.tick(clock.monotonic());
        watchdog.look(clock.monotonic());
    };
    step(&mut watchdog);
    assert_eq!(hear(&manager), "WATCHDOG=1\n");
    step(&mut watchdog);
    assert!(silent(&manager), "the source is stuck");
    running.store(false, Ordering::SeqCst);
    step(&mut watchdog);
    assert_eq!(hear(&manager), "WATCHDOG=1\n", "an absent camera is not judged");
    running.store(true, Ordering::SeqCst);
    step(&mut watchdog);
    assert_eq!(hear(&manager), "WATCHDOG=1\n");
    step(&mut watchdog);
    assert!(silent(&manager), "the source is stuck again");
    list.set(Vec::new());
    step(&mut watchdog);
    assert_eq!(hear(&manager), "WATCHDOG=1\n", "its stream was removed");
}

#[test]
fn the_thread_feeds_and_ends_with_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = manager(&path);
    let systemd = Systemd::to(Some(path.as_os_str()), Some(Duration::from_millis(40))).unwrap();
    let shutdown = Shutdown::new();
    let thread = super::watchdog::start(systemd, Arc::new(SystemClock), Watchlist::default(), shutdown.clone());
    for _ in 0..3 {
        assert_eq!(hear(&manager), "WATCHDOG=1\n");
    }
    shutdown.trigger(Stop::Graceful);
    thread.join().unwrap().expect("the watchdog does not panic");
}

#[test]
fn without_a_service_manager_nothing_is_said() {
    for nobody in [None, Some(OsStr::new(""))] {
        let systemd = Systemd::to(nobody, Some(LIMIT)).unwrap();
        assert_eq!(systemd.watchdog_period(), None);
        systemd.ready();
        systemd.reloading(LIMIT);
    }
    let error = Systemd::to(Some(OsStr::new("/nonexistent/notify")), None).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/notify"), "{error}");
}

#[test]
fn a_reload_is_told_once_the_daemon_was_ready() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = manager(&path);
    let systemd = Systemd::to(Some(path.as_os_str()), None).unwrap();
    systemd.reloading(Duration::from_secs(1));
    systemd.reloaded();
    assert!(silent(&manager), "systemd would take it for ready");
    systemd.ready();
    systemd.clone().reloading(Duration::from_micros(7_000_001));
    systemd.reloaded();
    let heard = [hear(&manager), hear(&manager), hear(&manager)];
    assert_eq!(heard, ["READY=1\n", "RELOADING=1\nMONOTONIC_USEC=7000001\n", "READY=1\n"]);
}

#[test]
fn an_abstract_address_is_understood() {
    let name = format!("windhover-test-{}", std::process::id());
    let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    Systemd::to(Some(OsStr::new(&format!("@{name}"))), None).unwrap().ready();
    assert_eq!(hear(&manager), "READY=1\n");
}

#[tokio::test]
async fn ready_status_and_stopping_are_announced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = manager(&path);
    let systemd = Systemd::to(Some(path.as_os_str()), None).unwrap();
    let (shutdown, ready) = (Shutdown::new(), Arc::new(AtomicBool::new(false)));
    let asked = ready.clone();
    let line = || "ok: live\nrunning".to_owned();
    let told = Arc::new(AtomicBool::new(false));
    let (tell, asked) = (told.clone(), move || asked.load(Ordering::SeqCst));
    let announcing =
        super::announce(systemd, shutdown.clone(), asked, move || tell.store(true, Ordering::SeqCst), line);
    let announcing = task::task("announce", announcing);
    let listening = task::blocking("listen", move || {
        assert_eq!(hear(&manager), "STATUS=ok: live running\n");
        ready.store(true, Ordering::SeqCst);
        assert_eq!(hear(&manager), "READY=1\n");
        shutdown.trigger(Stop::Graceful);
        assert_eq!(hear(&manager), "STOPPING=1\n");
    });
    listening.await.unwrap();
    announcing.await.unwrap();
    assert!(told.load(Ordering::SeqCst), "once it was ready");
}

#[tokio::test]
async fn the_control_loop_beats() {
    let (heartbeat, shutdown) = (Heartbeat::new(), Shutdown::new());
    let beating = task::task("beat", super::beat(Arc::new(SystemClock), heartbeat.clone(), shutdown.clone()));
    tokio::time::timeout(Duration::from_secs(10), async {
        while heartbeat.count() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("two beats within ten seconds");
    assert!(heartbeat.age(SystemClock.monotonic()).unwrap() < Duration::from_secs(1));
    shutdown.trigger(Stop::Graceful);
    beating.await.unwrap();
}
