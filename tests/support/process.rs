//! What the kernel says of a process, and signals to it.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use windhover::base::task;

/// Ticks per second in `/proc/<pid>/stat`: 100 on x86 and Arm, whatever the kernel's own rate.
const USER_HZ: f64 = 100.0;

/// What a process uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Resident memory in KiB.
    pub(crate) memory_kib: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Open descriptors.
    pub(crate) descriptors: u64,
    /// Processor time since its start, its own and the kernel's for it.
    pub(crate) cpu: Duration,
}

/// Reads `/proc/<pid>`; `None` if there is no such process any more.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces: count from behind it. utime and stime are fields 14 and 15 of proc(5).
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Usage {
        memory_kib: field("VmRSS")?,
        threads: field("Threads")?,
        descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64,
        cpu: Duration::from_secs_f64(ticks as f64 / USER_HZ),
    })
}

/// The names of its threads, sorted.
pub(crate) fn thread_names(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(Result::ok);
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    let mut names: Vec<String> = names.map(|name| name.trim_end().to_owned()).collect();
    names.sort();
    names
}

/// Sends a signal to a process that this one started.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a child has a process number");
    // It may be gone already; whoever cares waits for its end.
    let _ = kill_process(pid, signal);
}

/// The load average of the last minute.
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// Adds each line of an output to `log`, on a thread of its own.
pub(crate) fn collect(output: impl Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = log.clone();
    task::thread("daemon-log", move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut log = log.lock().expect("nobody panics while holding it");
            log.push_str(&line);
            log.push('\n');
        }
    });
}

#[test]
fn reads_this_process() {
    let usage = usage(std::process::id()).expect("this process runs");
    assert!(usage.memory_kib > 100 && usage.threads >= 1 && usage.descriptors >= 3, "{usage:?}");
    assert!(!thread_names(std::process::id()).is_empty());
}
