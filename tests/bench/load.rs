//! What the daemon costs: processor time, memory, descriptors, threads.

use std::time::Duration;

use crate::subject::Subject;
use crate::support::crowd::Crowd;
use crate::support::daemon::{Daemon, Setup};
use crate::support::process::{Usage, thread_names};
use crate::support::rtsp::Transport;
use crate::support::wait::{Dice, ms, now};
use crate::table::{Found, Measured, Reach, measured};

const SOON: Duration = Duration::from_secs(10);
const WATCH: Duration = Duration::from_secs(10);

/// Processor time per second, in milliseconds, while the crowd watches.
fn cpu_while_watching(usage: impl Fn() -> Result<Usage, String>, crowd: &mut Crowd) -> Result<f64, String> {
    let (begin, before) = (now(), usage()?.cpu);
    crowd.watch(WATCH);
    Ok(ms(usage()?.cpu.saturating_sub(before)) / (now() - begin).as_secs_f64())
}

/// Everything on, one viewer.
pub(crate) fn whole(_: u64) -> Result<Vec<Measured>, String> {
    let daemon = Daemon::start(&Setup::default());
    let mut crowd = daemon.crowd();
    crowd.join(1, "/live", Transport::Tcp);
    crowd.everybody_sees(SOON)?;
    crowd.watch(Duration::from_secs(2));
    let cost = cpu_while_watching(|| Ok(daemon.usage()), &mut crowd)?;
    Ok(vec![measured("all on, one viewer, of one core", cost / 10.0, "%", Reach::Most(30.0))])
}

/// Each further TCP viewer: what it costs, and what it loses.
pub(crate) fn viewers(subject: &Subject, _: u64, found: &mut Found) -> Result<(), String> {
    let running = subject.start(1)?;
    let mut crowd = running.crowd();
    crowd.join(1, "/live", Transport::Tcp);
    crowd.everybody_sees(SOON)?;
    crowd.watch(Duration::from_secs(2));
    let alone = cpu_while_watching(|| running.usage(), &mut crowd)?;
    let memory_alone = running.usage()?.memory_kib as f64;
    found.push(measured("1 TCP viewer: memory", memory_alone / 1024.0, "MiB", Reach::Seen));
    for many in [10, 50, 200] {
        while crowd.viewers.len() < many {
            crowd.join(10.min(many - crowd.viewers.len()), "/live", Transport::Tcp);
            crowd.everybody_sees(SOON)?;
        }
        crowd.watch(Duration::from_secs(1));
        let before: Vec<u64> = crowd.viewers.iter().map(|viewer| viewer.received.frames).collect();
        let begin = now();
        let others = (many - 1) as f64;
        let cost = (cpu_while_watching(|| running.usage(), &mut crowd)? - alone) / others;
        let seconds = (now() - begin).as_secs_f64();
        let memory = (running.usage()?.memory_kib as f64 - memory_alone) / others;
        let frames = crowd.viewers.iter().zip(before).map(|(viewer, before)| viewer.received.frames - before);
        let slowest = frames.min().unwrap_or(0) as f64 / seconds;
        let name = |what: &str| format!("{many} TCP viewers: {what}");
        found.push(measured(name("processor, each further one"), cost, "ms/s", Reach::Most(1.2)));
        found.push(measured(name("memory, each further one"), memory, "KiB", Reach::Seen));
        found.push(measured(name("packets lost"), crowd.lost() as f64, "", Reach::Most(0.0)));
        found.push(measured(name("frame rate of the slowest"), slowest, "1/s", Reach::Least(29.7)));
    }
    Ok(())
}

/// 50 viewers; then 1,000 who come and go, a third of them without a word.
pub(crate) fn memory(seed: u64) -> Result<Vec<Measured>, String> {
    let daemon = Daemon::start(&Setup::default());
    let mut dice = Dice::new(seed);
    // The allocator keeps what the first crowd needed; what counts is whether the next ones need more.
    come_and_go(&daemon, 4, &mut dice)?;
    let mut crowd = daemon.crowd();
    crowd.join(50, "/live", Transport::Tcp);
    crowd.everybody_sees(SOON)?;
    crowd.watch(Duration::from_secs(3));
    let with_50 = daemon.usage().memory_kib;
    crowd.leave(0);
    let before = settled(&daemon);
    come_and_go(&daemon, 20, &mut dice)?;
    let after = settled(&daemon);
    let more = |after: u64, before: u64| after as f64 - before as f64;
    Ok(vec![
        measured("memory with 50 viewers", with_50 as f64 / 1024.0, "MiB", Reach::Most(80.0)),
        measured("memory before 1,000 connects", before.memory_kib as f64 / 1024.0, "MiB", Reach::Seen),
        measured("more memory after", more(after.memory_kib, before.memory_kib) / 1024.0, "MiB", Reach::Most(2.0)),
        measured("more descriptors after", more(after.descriptors, before.descriptors), "", Reach::Most(0.0)),
        measured("more threads after", more(after.threads, before.threads), "", Reach::Most(0.0)),
    ])
}

fn come_and_go(daemon: &Daemon, rounds: u64, dice: &mut Dice) -> Result<(), String> {
    for _ in 0..rounds {
        let mut crowd = daemon.crowd();
        for _ in 0..50 {
            crowd.join(1, "/live", if dice.one_in(3) { Transport::Udp } else { Transport::Tcp });
            crowd.turn(Duration::ZERO);
        }
        crowd.everybody_sees(SOON)?;
        crowd.leave(3);
    }
    Ok(())
}

/// What is in use once the last sessions were collected: the same descriptors three seconds long, or 20 s later.
fn settled(daemon: &Daemon) -> Usage {
    let mut last = daemon.usage();
    for _ in 0..6 {
        std::thread::sleep(Duration::from_secs(3));
        let next = daemon.usage();
        if next.descriptors == last.descriptors && next.threads == last.threads {
            return next;
        }
        last = next;
    }
    last
}

/// Threads at 1 and 50 viewers, some of them with a query in the URL.
pub(crate) fn one_encode(_: u64) -> Result<Vec<Measured>, String> {
    let daemon = Daemon::start(&Setup::default());
    let video = || thread_names(daemon.pid()).iter().filter(|name| !name.starts_with("pool-")).count() as f64;
    let mut crowd = daemon.crowd();
    crowd.join(1, "/live", Transport::Tcp);
    crowd.everybody_sees(SOON)?;
    crowd.watch(Duration::from_secs(2));
    let one = video();
    (1..=8).for_each(|number| crowd.join(1, &format!("/live?x={number}"), Transport::Tcp));
    crowd.join(41, "/live", Transport::Tcp);
    crowd.everybody_sees(SOON)?;
    crowd.watch(Duration::from_secs(2));
    Ok(vec![
        measured("threads with one viewer", one, "", Reach::Seen),
        measured("more threads with 50, 8 of them /live?x=", video() - one, "", Reach::Most(0.0)),
    ])
}
