//! Tests of control against a real book and a stand-in for the maker of snapshots.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc;

use super::*;
use crate::base::clock::SimClock;
use crate::base::error::{Chain, Coded, Kind};
use crate::base::fault::FaultCode;
use crate::base::health::Condition;
use crate::config::controls::Controls;
use crate::media::format::{Flip, FrameRate, Size};
use crate::plan::{Chosen, HttpPlan, RtspPlan, SourceKind, SourcePlan};

/// A plan of streams with these names.
pub(crate) fn plan(ids: &[&str]) -> Plan {
    let stream = |id: &&str| StreamPlan {
        id: StreamId::new(id).unwrap(),
        source: SourcePlan {
            kind: SourceKind::Test,
            reason: "test".into(),
            flip: Flip::None,
            controls: Controls::default(),
            frozen_after: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            restart_timeout: Duration::from_secs(3),
            retry_every_max: Duration::from_secs(1),
        },
        size: Size::new(1280, 720),
        rate: FrameRate::whole(30),
        encode: None,
        slate: false,
        record: None,
        snapshot: None,
        max_viewers: None,
    };
    Plan {
        board: Chosen { value: "sim".into(), reason: "test".into() },
        streams: ids.iter().map(stream).collect(),
        rtsp: Some(RtspPlan {
            listen: "[::]:8554".parse().unwrap(),
            max_viewers: 4,
            max_viewers_per_host: 2,
            login: None,
            secure: None,
        }),
        http: HttpPlan {
            listen: "[::]:8080".parse().unwrap(),
            socket: PathBuf::from("/run/windhover/api.sock"),
            login: false,
        },
        storage: None,
    }
}

type Make = dyn Fn() -> Result<Snapshot, NoSnapshot> + Send + Sync;

struct Maker(Box<Make>);

impl TakeSnapshot for Maker {
    fn snapshot(&self, _: &StreamId) -> Result<Snapshot, NoSnapshot> {
        (self.0)()
    }
}

/// A disk that nobody mounts here.
pub(crate) struct NoDisk;

impl EjectDisk for NoDisk {
    fn eject(&self) -> Result<Ejected, NotEjected> {
        Err(NotEjected::NoStorage)
    }
}

/// Control over a real book; the tests of `http` and `cli` use it too.
pub(crate) struct Bench {
    pub(crate) clock: Arc<SimClock>,
    pub(crate) health: Health,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) control: Control,
    pub(crate) reloads: Option<tokio::sync::mpsc::Receiver<Reload>>,
}

pub(crate) fn bench(ids: &[&str], make: impl Fn() -> Result<Snapshot, NoSnapshot> + Send + Sync + 'static) -> Bench {
    let clock = Arc::new(SimClock::at(Duration::from_secs(1_795_161_600)));
    let (health, heartbeat) = (Health::new(clock.clone()), Heartbeat::new());
    let (reloads, taken) = Reloads::channel();
    let control = Control::new(Parts {
        clock: clock.clone(),
        health: health.clone(),
        plan: watch::channel(Arc::new(plan(ids))).1,
        snapshots: Arc::new(Maker(Box::new(make))),
        disk: Arc::new(NoDisk),
        heartbeat: heartbeat.clone(),
        reloads,
    });
    Bench { clock, health, heartbeat, control, reloads: Some(taken) }
}

pub(crate) fn picture() -> Snapshot {
    Snapshot { jpeg: bytes::Bytes::from_static(b"\xff\xd8\xff\xd9"), taken_wall: Duration::from_secs(1_795_161_600) }
}

fn live() -> StreamId {
    StreamId::new("live").unwrap()
}

#[test]
fn the_status_tells_failure_from_absence() {
    use Condition::{Absent, Idle, Recovering, Running, Starting};
    // (what, branches of a plan with streams a and b, status)
    type Branches<'a> = &'a [(&'a str, Condition, Option<FaultCode>)];
    let tables: [(&str, Branches<'_>, Status); 10] = [
        ("nothing has begun", &[], Status::Ok),
        ("starting", &[("a/source", Starting, None)], Status::Ok),
        ("all runs", &[("a/source", Running, None), ("b/source", Idle, None)], Status::Ok),
        ("camera absent", &[("a/source", Absent, Some(FaultCode::CameraAbsent))], Status::Degraded),
        ("one of two fails", &[("a/source", Recovering, None), ("b/source", Running, None)], Status::Degraded),
        ("a fails, b absent", &[("a/source", Recovering, None), ("b/source", Absent, None)], Status::Failed),
        (
            "no encoder",
            &[("a/source", Running, None), ("a/encode", Starting, Some(FaultCode::EncoderMissing))],
            Status::Failed,
        ),
        ("recorder fails", &[("a/source", Running, None), ("a/record", Recovering, None)], Status::Degraded),
        ("fault while running", &[("a/source", Running, Some(FaultCode::CameraStalled))], Status::Degraded),
        (
            "port taken",
            &[("a/source", Running, None), ("http", Recovering, Some(FaultCode::HttpListen))],
            Status::Degraded,
        ),
    ];
    for (what, branches, status) in tables {
        let bench = bench(&["a", "b"], || Ok(picture()));
        for (name, condition, fault) in branches {
            let reporter = bench.health.reporter(*name);
            reporter.set(*condition, "");
            if let Some(fault) = fault {
                reporter.raise(*fault, "");
            }
        }
        assert_eq!(bench.control.health().status, status, "{what}");
    }
}

#[test]
fn ready_means_that_rtsp_listens_camera_or_not() {
    let bench = bench(&["live"], || Ok(picture()));
    bench.health.reporter("live/source").set(Condition::Absent, "");
    assert!(!bench.control.health().ready);
    let rtsp = bench.health.reporter("rtsp");
    assert!(!bench.control.health().ready);
    rtsp.set(Condition::Running, "");
    assert!(bench.control.health().ready);
    bench.clock.advance(Duration::from_secs(3));
    assert!((bench.control.health().uptime_s - 3.0).abs() < 1e-6);
}

#[test]
fn the_line_names_streams_and_faults() {
    let bench = bench(&["live", "rear"], || Ok(picture()));
    let source = bench.health.reporter("live/source");
    source.set(Condition::Absent, "");
    source.raise(FaultCode::CameraAbsent, "unplugged");
    let line = bench.control.health().line();
    assert_eq!(line, "degraded: live absent, rear starting; CAM-001 the camera is not there");
}

#[test]
fn a_silent_control_loop_is_not_alive() {
    let bench = bench(&["live"], || Ok(picture()));
    assert!(bench.control.alive());
    bench.heartbeat.tick(bench.clock.monotonic());
    bench.clock.advance(Duration::from_secs(5));
    assert!(bench.control.alive());
    bench.clock.advance(Duration::from_secs(1));
    assert!(!bench.control.alive());
}

#[tokio::test]
async fn streams_carry_urls_that_work_from_where_one_asks() {
    let bench = bench(&["front", "rear"], || Ok(picture()));
    bench.health.reporter("rtsp").gauge("port", 40001);
    let reached = Reached { host: "[fe80::1]".into(), http_port: None };
    let Ok(Reply::Streams(streams)) = bench.control.ask(Query::Streams { reached }).await else { panic!("streams") };
    assert_eq!(streams[0].urls.rtsp.as_deref(), Some("rtsp://[fe80::1]:40001/live"));
    assert_eq!(streams[1].urls.rtsp.as_deref(), Some("rtsp://[fe80::1]:40001/rear"));
    assert_eq!(streams[0].urls.snapshot, "http://[fe80::1]:8080/api/v1/streams/front/snapshot.jpg");
    let reached = Reached { host: "drone".into(), http_port: Some(80) };
    let query = Query::Stream { stream: StreamId::new("rear").unwrap(), reached };
    let Ok(reply @ Reply::Stream(_)) = bench.control.ask(query).await else { panic!("a stream") };
    let json = serde_json::to_value(&reply).unwrap();
    assert_eq!(json["urls"]["stream"], "http://drone:80/api/v1/streams/rear");
    assert_eq!((&json["size"], &json["source"]), (&"1280x720".into(), &"test".into()));
}

#[tokio::test]
async fn an_unknown_stream_is_not_found_and_the_known_ones_are_named() {
    let bench = bench(&["live"], || panic!("nobody is asked"));
    let error = bench.control.ask(Query::Snapshot { stream: StreamId::new("x").unwrap() }).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(error.to_string(), "there is no stream \"x\": there is live");
}

#[tokio::test]
async fn without_a_picture_the_state_and_fault_of_the_source_are_told() {
    let bench = bench(&["live"], || Err(NoSnapshot::NoPicture));
    let source = bench.health.reporter("live/source");
    source.set(Condition::Absent, "waiting for a camera");
    source.raise(FaultCode::CameraAbsent, "unplugged");
    let error = bench.control.ask(Query::Snapshot { stream: live() }).await.unwrap_err();
    assert_eq!((error.kind(), error.fault()), (Kind::Unavailable, Some(FaultCode::CameraAbsent)));
    let want = "stream \"live\" has no picture now: it is absent (waiting for a camera)";
    assert_eq!(error.to_string(), want);
}

#[tokio::test]
async fn a_failed_snapshot_keeps_its_causes() {
    let bench = bench(&["live"], || Err(NoSnapshot::Failed("jpegenc refused the caps".into())));
    let error = bench.control.ask(Query::Snapshot { stream: live() }).await.unwrap_err();
    assert_eq!(error.fault(), Some(FaultCode::SnapshotFailed));
    assert_eq!(Chain(&error).to_string(), "the snapshot of stream \"live\" failed: jpegenc refused the caps");
}

#[tokio::test]
async fn a_maker_that_hangs_costs_the_asker_a_second_and_no_more_threads() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let bench = bench(&["live"], move || {
        let _ = gate.lock().unwrap().recv();
        Ok(picture())
    });
    let ask = || bench.control.ask(Query::Snapshot { stream: live() });
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    assert!(matches!(a, Err(Error::Late { .. })), "{a:?}");
    assert!(matches!(b, Err(Error::Late { .. })), "{b:?}");
    assert!(matches!(c, Err(Error::Busy)), "{c:?}");
    let answer = ask().await;
    assert!(matches!(answer, Err(Error::Busy)), "the threads that hang keep their places: {answer:?}");
    drop(release);
    let answer = ask().await;
    assert!(matches!(answer, Ok(Reply::Snapshot(_))), "{answer:?}");
}

#[tokio::test]
async fn reloads_wait_for_each_other_and_end_with_the_daemon() {
    let mut bench = bench(&["live"], || Ok(picture()));
    let mut taken = bench.reloads.take().unwrap();
    let order = || {
        let control = bench.control.clone();
        crate::base::task::task("order", async move { control.order(Command::Reload).await })
    };
    let first = order();
    taken.recv().await.unwrap().answer(Ok(Reloaded { changes: vec![] }));
    assert!(matches!(first.await.unwrap(), Ok(Done::Reloaded(reloaded)) if reloaded.changes.is_empty()));
    // Nobody takes them now: four wait, the fifth is told so.
    let waiting: Vec<_> = (0..4).map(|_| order()).collect();
    while taken.len() < 4 {
        tokio::task::yield_now().await;
    }
    let refused = bench.control.order(Command::Reload).await.unwrap_err();
    assert_eq!((refused.kind(), refused.to_string().contains("others wait")), (Kind::Exhausted, true));
    drop(taken);
    for order in waiting {
        assert!(matches!(order.await.unwrap(), Err(Error::Ending)));
    }
    assert!(matches!(bench.control.order(Command::Reload).await, Err(Error::Ending)));
}
