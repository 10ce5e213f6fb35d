//! Who watches all the time, and what came when.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use windhover::base::task;

use super::faults::Ground;
use crate::support::crowd::Crowd;
use crate::support::http::http_get;
use crate::support::player::Player;
use crate::support::rtsp::Transport;
use crate::support::wait::now;

/// A person whose picture stands for so long connects anew.
const PATIENCE: Duration = Duration::from_secs(3);

/// A person, or an application, that was thrown out tries again after this.
const AGAIN: Duration = Duration::from_millis(100);

/// What one watcher saw.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    /// When each picture came.
    pub(crate) pictures: Vec<Duration>,
    /// Its age then, in milliseconds, where it bears a stamp: one for each picture, or none at all.
    pub(crate) ages_ms: Vec<f32>,
    /// Connections made after the first.
    pub(crate) reconnects: u64,
    /// Packets missing between others.
    pub(crate) lost: u64,
    /// Pictures that came damaged.
    pub(crate) damaged: u64,
}

/// Which faults were reported when.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// Branch and code, from when to when it was seen.
    pub(crate) faults: Vec<(String, String, Duration, Duration)>,
    /// The branches and codes of now.
    pub(crate) present: Vec<(String, String)>,
    /// Questions that were answered, and those that were not in 5 s.
    pub(crate) answers: u64,
    pub(crate) silences: u64,
}

/// All watchers; dropping them lets them go.
pub(crate) struct Watchers {
    /// GStreamer's player on `/live` over TCP: decoded pictures.
    pub(crate) player: Arc<Mutex<Book>>,
    /// A raw client on `/live` over UDP.
    pub(crate) udp: Arc<Mutex<Book>>,
    /// A raw client on `/clip` over TCP.
    pub(crate) clip: Arc<Mutex<Book>>,
    /// Health over HTTP.
    pub(crate) report: Arc<Mutex<Report>>,
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Option<()>>>,
}

impl Watchers {
    /// Begins to watch.
    pub(crate) fn start(ground: &Ground) -> Self {
        let (rtsp, http) = (ground.rtsp, ground.http);
        let mut all = Self {
            player: Arc::default(),
            udp: Arc::default(),
            clip: Arc::default(),
            report: Arc::default(),
            end: Arc::default(),
            threads: Vec::new(),
        };
        let (book, end) = (all.player.clone(), all.end.clone());
        all.threads.push(task::thread("soak-player", move || play(&format!("rtsp://{rtsp}/live"), &book, &end)));
        for (path, transport, book) in [("/live", Transport::Udp, &all.udp), ("/clip", Transport::Tcp, &all.clip)] {
            let (book, end) = (book.clone(), all.end.clone());
            let crowd = Crowd::new(rtsp);
            all.threads.push(task::thread("soak-viewer", move || view(crowd, path, transport, &book, &end)));
        }
        let (report, end) = (all.report.clone(), all.end.clone());
        all.threads.push(task::thread("soak-health", move || {
            while !end.load(Ordering::Relaxed) {
                ask(http, &report);
                std::thread::sleep(Duration::from_millis(500));
            }
        }));
        all
    }

    /// Ends the watching.
    pub(crate) fn stop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn play(url: &str, book: &Mutex<Book>, end: &AtomicBool) {
    let mut player = Player::play(url, Transport::Tcp);
    let mut last = now();
    while !end.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
        let seen = player.take();
        let mut book = book.lock().expect("nobody panics while holding it");
        book.damaged += seen.unreadable;
        for (stamp, age) in seen.stamps.iter().zip(&seen.latencies) {
            book.pictures.push(*stamp + *age);
            book.ages_ms.push(age.as_secs_f32() * 1e3);
            last = *stamp + *age;
        }
        if seen.error.is_some() || now().saturating_sub(last.max(player.begun)) > PATIENCE {
            book.reconnects += 1;
            drop(book);
            drop(player);
            std::thread::sleep(AGAIN);
            player = Player::play(url, Transport::Tcp);
        }
    }
}

fn view(mut crowd: Crowd, path: &str, transport: Transport, book: &Mutex<Book>, end: &AtomicBool) {
    crowd.join(1, path, transport);
    let mut last = None;
    while !end.load(Ordering::Relaxed) {
        crowd.turn(Duration::from_millis(20));
        let viewer = &mut crowd.viewers[0];
        let newest = viewer.received.last_frame;
        let mut book = book.lock().expect("nobody panics while holding it");
        if newest != last
            && let Some(at) = newest
        {
            book.pictures.push(at);
        }
        last = newest;
        let stands = now().saturating_sub(newest.unwrap_or_default().max(viewer.begun)) > PATIENCE;
        if stands {
            viewer.vanish();
        }
        if !viewer.alive() {
            book.reconnects += 1;
            book.lost += viewer.received.lost;
            drop(book);
            std::thread::sleep(AGAIN);
            crowd.forget_ended();
            crowd.join(1, path, transport);
            last = None;
        }
    }
    book.lock().expect("nobody panics while holding it").lost += crowd.lost();
}

fn ask(server: SocketAddr, report: &Mutex<Report>) {
    let answer = http_get(server, "/api/v1/health")
        .and_then(|body| serde_json::from_slice::<serde_json::Value>(&body).map_err(|e| e.to_string()));
    let time = now();
    let mut report = report.lock().expect("nobody panics while holding it");
    let Ok(health) = answer else {
        report.silences += 1;
        return;
    };
    report.answers += 1;
    let found = faults_of(&health);
    for (branch, code) in &found {
        let was = report.present.contains(&(branch.clone(), code.clone()));
        let same = report.faults.iter_mut().rev().find(|(b, c, _, _)| b == branch && c == code);
        match same {
            Some(fault) if was => fault.3 = time,
            _ => report.faults.push((branch.clone(), code.clone(), time, time)),
        }
    }
    report.present = found;
}

fn faults_of(health: &serde_json::Value) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value, key: &str| value.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    let branches = health.get("branches").and_then(|list| list.as_array()).into_iter().flatten();
    branches
        .flat_map(|branch| {
            let faults = branch.get("faults").and_then(|list| list.as_array()).into_iter().flatten();
            faults.filter_map(|fault| Some((text(branch, "name")?, text(fault, "code")?)))
        })
        .collect()
}
