//! Tests of the door with raw sockets: what a client gets, and what it cannot do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};

use super::connection::Peer;
use super::*;
use crate::base::fault::FaultCode;
use crate::base::health::Condition;
use crate::base::heartbeat::Heartbeat;
use crate::config::problem::{Place, Problem, Problems};
use crate::control::tests::picture;
use crate::control::{self, NoSnapshot, Reloaded, Snapshot};
use crate::plan::diff::diff;

mod eject;
pub(crate) mod house;
use house::{Answer, House, PATIENCE, wait_for};

/// How many of these connections the server has left open.
fn count_open(guests: &mut [TcpStream]) -> usize {
    let open = |guest: &mut TcpStream| {
        guest.set_nonblocking(true).unwrap();
        matches!(guest.read(&mut [0; 256]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
    };
    guests.iter_mut().map(open).filter(|open| *open).count()
}

#[test]
fn every_path_answers() {
    let house = House::open();
    house.bench.health.reporter("rtsp").set(Condition::Running, "");
    assert_eq!(house.get("/healthz").body, b"ok\n");
    assert_eq!(house.get("/readyz").body, b"ready\n");
    for path in ["/api/v1/health", "/health"] {
        let health = house.get(path).json();
        assert_eq!((&health["status"], &health["ready"]), (&"ok".into(), &true.into()), "{path}");
        assert_eq!(health["branches"][0]["name"], "http", "{path}");
    }
    assert_eq!(house.get("/api/v1/plan").json()["streams"][0]["id"], "live");
    for path in ["/api/v1/streams", "/streams"] {
        assert_eq!(house.get(path).json()[0]["urls"]["rtsp"], "rtsp://drone:8554/live", "{path}");
    }
    for path in ["/api/v1/streams/live", "/streams/live"] {
        let snapshot = "http://drone:8080/api/v1/streams/live/snapshot.jpg";
        assert_eq!(house.get(path).json()["urls"]["snapshot"], snapshot, "{path}");
    }
    let answer = house.ask("HEAD /healthz HTTP/1.1\r\nHost: drone");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

/// HTTP over TCP knows no login; the unix socket is for whoever may administrate.
#[test]
fn where_watching_needs_a_login_only_the_socket_shows_pictures() {
    let house = House::closed();
    for path in ["/api/v1/streams/live/snapshot.jpg", "/streams/live/snapshot.jpg"] {
        let answer = house.get(path);
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("login"), "{path}");
        let mut socket = UnixStream::connect(house.socket()).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        assert_eq!(Answer::read(&mut socket).status, 200, "{path}");
    }
    assert_eq!(house.get("/api/v1/health").status, 200);
}

#[test]
fn a_snapshot_is_a_jpeg_with_its_time() {
    let house = House::open();
    let answer = house.get("/api/v1/streams/live/snapshot.jpg");
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"\xff\xd8\xff\xd9"[..]));
    for header in [
        "content-type: image/jpeg",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "last-modified: fri, 20 nov 2026 08:00:00 gmt",
        "capture-time: 2026-11-20t08:00:00.000z",
    ] {
        assert!(answer.head.contains(header), "{header} in\n{}", answer.head);
    }
}

#[test]
fn problems_say_what_is_wrong_with_its_code() {
    let house = House::new(Limits::default(), || Err(NoSnapshot::NoPicture));
    house.await_condition("http", Condition::Running);
    let source = house.bench.health.reporter("live/source");
    source.set(Condition::Absent, "waiting for a camera");
    source.raise(FaultCode::CameraAbsent, "unplugged");
    let answer = house.get("/streams/live/snapshot.jpg");
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("content-type: application/problem+json"), "{}", answer.head);
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    let want = serde_json::json!({
        "type": "about:blank", "title": "Service Unavailable", "status": 503,
        "detail": "stream \"live\" has no picture now: it is absent (waiting for a camera)",
        "fault": { "code": "CAM-001", "title": "the camera is not there" },
    });
    assert_eq!(answer.json(), want);
    let table = [
        ("/", 404, "there is nothing at /"),
        ("/api/v1/streams/rear", 404, "there is no stream \"rear\": there is live"),
        ("/api/v1/streams/..%2fetc/snapshot.jpg", 404, "is no stream id"),
        ("/api/v1/streams/%ff", 404, "UTF-8"),
        ("/readyz", 503, "RTSP"),
    ];
    for (path, status, detail) in table {
        let answer = house.get(path);
        assert_eq!(answer.status, status, "{path}");
        let said = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(said.contains(detail), "{path}: {said}");
    }
}

#[test]
fn a_silent_control_loop_is_seen_from_outside() {
    let house = House::open();
    let heartbeat: &Heartbeat = &house.bench.heartbeat;
    heartbeat.tick(Duration::ZERO);
    assert_eq!(house.get("/healthz").status, 503);
}

#[test]
fn only_reading_without_a_body_is_possible() {
    let house = House::open();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let answer = house.ask(&format!("{method} /api/v1/streams/live HTTP/1.1\r\nHost: drone"));
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
    }
    for body in ["Content-Length: 9999999999", "Transfer-Encoding: chunked"] {
        let mut stream = house.connect();
        stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: drone\r\n{body}\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(Answer::read(&mut stream).status, 413, "{body}");
    }
}

/// The answer to a request over the unix socket.
fn ask_socket(house: &House, head: &str) -> Answer {
    let mut stream = UnixStream::connect(house.socket()).unwrap();
    stream.write_all(format!("{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    Answer::read(&mut stream)
}

#[test]
fn only_the_socket_reloads() {
    let mut house = House::open();
    let refused = house.ask("POST /api/v1/reload HTTP/1.1\r\nHost: drone");
    assert_eq!(refused.status, 403);
    assert!(refused.json()["detail"].as_str().unwrap().contains("windhover reload"), "it says how");
    let mut problems = Problems::default();
    problems.push(Problem::config(Place::Machine, "k", "no").advise("yes"));
    let changes = diff(&control::tests::plan(&["live"]), &control::tests::plan(&["live", "b"]));
    let results = [Ok(Reloaded { changes }), Err(control::Error::Refused { problems })];
    let mut taken = house.bench.reloads.take().unwrap();
    let answering = house.runtime.spawn(async move {
        for result in results {
            taken.recv().await.unwrap().answer(result);
        }
    });
    let answer = ask_socket(&house, "POST /api/v1/reload");
    let change = &answer.json()["changes"][0];
    assert_eq!((answer.status, &change["part"], &change["effect"]), (200, &"b".into(), &"started".into()));
    let answer = ask_socket(&house, "POST /api/v1/reload");
    let want = serde_json::json!(["this machine: k: no\n    yes"]);
    assert_eq!((answer.status, &answer.json()["problems"]), (400, &want));
    assert_eq!(answer.json()["fault"]["code"], "SYS-002");
    house.runtime.block_on(answering).unwrap();
    for answer in [ask_socket(&house, "GET /api/v1/reload"), house.get("/api/v1/reload")] {
        assert_eq!(answer.status, 405);
        assert!(answer.head.contains("allow: post"), "{}", answer.head);
    }
    assert_eq!(ask_socket(&house, "POST /api/v1/plan").status, 405);
}

#[test]
fn root_and_the_own_user_may_change_what_runs() {
    let own = rustix::process::geteuid().as_raw();
    assert!(Peer::Local { uid: own }.may_change() && Peer::Local { uid: 0 }.may_change());
    assert!(!Peer::Remote.may_change() && !Peer::Local { uid: own + 1 }.may_change());
}

#[test]
fn doors_move_while_guests_are_inside() {
    let house = House::open();
    let old = u16::try_from(house.counter("http", "port")).unwrap();
    let mut guest = house.connect();
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (to, holder) = (free(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let listen = |to: SocketAddr| house.runtime.block_on(house.handle.listen(to));
    let why = listen(holder.local_addr().unwrap()).unwrap_err().to_string();
    assert!(why.contains("another program"), "{why}");
    assert_eq!(house.get("/healthz").status, 200, "still where it was");
    listen(to).unwrap();
    assert_eq!(house.counter("http", "port"), u64::from(to.port()));
    assert_eq!(house.get("/healthz").status, 200);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, old)).is_err(), "nobody is there any more");
    guest.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&mut guest).status, 200, "who was inside stays");
    // The same port on all addresses: the old door has to go first.
    listen((Ipv4Addr::UNSPECIFIED, to.port()).into()).unwrap();
    assert_eq!(house.get("/healthz").status, 200);
    let none: SocketAddr = "192.0.2.1:0".parse().unwrap();
    assert!(listen(SocketAddr::new(none.ip(), to.port())).is_err(), "no address of this machine");
    wait_for("the door is open again", || house.lets_in());
    let path = house.dir.path().join("run/other.sock");
    house.runtime.block_on(house.handle.listen_socket(path.clone())).unwrap();
    UnixStream::connect(path).unwrap();
    assert!(!house.socket().exists());
}

#[test]
fn a_huge_header_is_refused() {
    let house = House::open();
    let long = format!("GET /healthz HTTP/1.1\r\nHost: drone\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    let many = format!("GET /healthz HTTP/1.1\r\nHost: drone\r\n{}\r\n", "A: b\r\n".repeat(100));
    for request in [long, many] {
        let mut stream = house.connect();
        // The server answers before it has read everything: the rest may be refused.
        let _ = stream.write_all(request.as_bytes());
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 431");
    }
}

#[test]
fn slow_and_idle_clients_are_closed() {
    let limits = Limits { header: Duration::from_millis(200), ..Limits::default() };
    let house = House::new(limits, || Ok(picture()));
    house.await_condition("http", Condition::Running);
    let (mut silent, mut slow, mut idle) = (house.connect(), house.connect(), house.connect());
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: dr").unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: drone\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).expect("closed by the server");
    slow.read_to_end(&mut rest).expect("closed by the server");
    assert_eq!(Answer::read(&mut idle).body, b"ok\n", "the answer came, then the connection was closed");
}

#[test]
fn a_client_that_never_reads_loses_its_place() {
    let limits = Limits { write: Duration::from_millis(300), tcp_connections: 1, ..Limits::default() };
    // More than the socket buffers of both sides hold.
    let house = House::new(limits, || {
        let jpeg = bytes::Bytes::from(vec![0; 32 << 20]);
        Ok(Snapshot { jpeg, ..picture() })
    });
    house.await_condition("http", Condition::Running);
    let mut stream = house.connect();
    stream.write_all(b"GET /streams/live/snapshot.jpg HTTP/1.1\r\nHost: drone\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 1]).unwrap();
    assert!(!house.lets_in(), "the only place is taken");
    wait_for("the server gives the place to another", || house.lets_in());
}

#[test]
fn three_hundred_connections_are_bounded_and_the_socket_stays_reachable() {
    // The places must be kept by the limit, not freed by the time limit of silent guests.
    let limits = Limits { header: PATIENCE * 10, ..Limits::default() };
    let house = House::new(limits, || Ok(picture()));
    house.await_condition("http", Condition::Running);
    house.await_condition("http-socket", Condition::Running);
    let mut guests: Vec<TcpStream> = (0..300).map(|_| house.connect()).collect();
    let limit = Limits::default().tcp_connections;
    wait_for("all were seen", || house.counter("http", "connections") + house.counter("http", "refused") == 300);
    assert_eq!(house.counter("http", "refused"), 300 - limit as u64);
    wait_for("the others are closed", || count_open(&mut guests) <= limit);
    let mut local = UnixStream::connect(house.socket()).unwrap();
    local.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&mut local).body, b"ok\n");
    drop(guests);
    wait_for("places are free again", || house.lets_in());
}

#[test]
fn the_socket_is_for_owner_and_group_and_goes_with_the_daemon() {
    let mut house = House::open();
    let found = std::fs::metadata(house.socket()).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o660);
    house.stop();
    assert!(!house.socket().exists());
}

fn with_run() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("run/api.sock");
    std::fs::create_dir(socket.parent().unwrap()).unwrap();
    (dir, socket)
}

fn house_in(dir: tempfile::TempDir) -> House {
    House::at((Ipv4Addr::LOCALHOST, 0).into(), dir, Limits::default(), || Ok(picture()))
}

#[test]
fn a_stale_socket_is_replaced() {
    let (dir, socket) = with_run();
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let house = house_in(dir);
    house.await_condition("http-socket", Condition::Running);
    UnixStream::connect(socket).unwrap();
}

#[test]
fn what_is_not_a_stale_socket_is_left_alone() {
    let make_file = |path: &Path| {
        std::fs::write(path, "precious").unwrap();
        None
    };
    let make_daemon = |path: &Path| Some(UnixListener::bind(path).unwrap());
    type Make<'a> = &'a dyn Fn(&Path) -> Option<UnixListener>;
    let table: [(Make<'_>, &str); 2] = [(&make_file, "is not a socket"), (&make_daemon, "another daemon answers")];
    for (make, why) in table {
        let (dir, socket) = with_run();
        let living = make(&socket);
        let house = house_in(dir);
        house.await_condition("http-socket", Condition::Recovering);
        let fault = house.branch("http-socket").unwrap().faults.remove(0);
        assert_eq!(fault.code, FaultCode::HttpListen);
        assert!(fault.detail.contains(why), "{}", fault.detail);
        assert!(socket.exists());
        house.await_condition("http", Condition::Running);
        drop(living);
    }
}

#[test]
fn a_port_in_use_is_a_fault_until_it_is_free() {
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = holder.local_addr().unwrap();
    let house = House::at(address, tempfile::tempdir().unwrap(), Limits::default(), || Ok(picture()));
    house.await_condition("http", Condition::Recovering);
    let fault = house.branch("http").unwrap().faults.remove(0);
    assert_eq!(fault.code, FaultCode::HttpListen);
    assert!(
        fault.detail.contains(&address.to_string()) && fault.detail.contains("another program"),
        "{}",
        fault.detail
    );
    drop(holder);
    house.await_condition("http", Condition::Running);
    assert!(house.branch("http").unwrap().faults.is_empty());
    assert_eq!(house.get("/healthz").status, 200);
}

#[test]
fn stopping_waits_for_open_requests_but_not_for_ever() {
    let limits = Limits { grace: Duration::from_millis(300), ..Limits::default() };
    let mut house = House::new(limits, || {
        std::thread::sleep(Duration::from_millis(100));
        Ok(picture())
    });
    house.await_condition("http", Condition::Running);
    let (mut asking, idle, mut slow) = (house.connect(), house.connect(), house.connect());
    asking.write_all(b"GET /streams/live/snapshot.jpg HTTP/1.1\r\nHost: drone\r\n\r\n").unwrap();
    slow.write_all(b"GET /hea").unwrap();
    wait_for("all are in", || house.counter("http", "connections") == 3);
    house.stop();
    assert_eq!(house.branch("http").unwrap().condition, Condition::Stopped);
    assert_eq!(Answer::read(&mut asking).status, 200);
    drop(idle);
}

#[test]
fn the_host_in_urls_is_the_one_the_guest_used() {
    let local: SocketAddr = "[::ffff:192.0.2.7]:8080".parse().unwrap();
    // (Host header, host in URLs, port)
    let table = [
        (Some("drone.local:8081"), "drone.local", 8081),
        (Some("drone.local"), "drone.local", 80),
        (Some("[2001:db8::1]:9000"), "[2001:db8::1]", 9000),
        (Some("user:secret@drone"), "drone", 80),
        (Some("not a host"), "192.0.2.7", 8080),
        (None, "192.0.2.7", 8080),
    ];
    for (host, want, port) in table {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert("host", HeaderValue::from_static(host));
        }
        let reached = connection::reached(&headers, Some(local));
        assert_eq!((reached.host.as_str(), reached.http_port), (want, Some(port)), "{host:?}");
    }
    assert_eq!(connection::reached(&HeaderMap::new(), None).host, "localhost");
}
