//! On what, when and under what load something was measured: numbers mean nothing without.

use serde_json::{Value, json};
use windhover::base::clock::{Clock, SystemClock};

use crate::support::process::load;

/// The machine and the moment.
pub(crate) struct Machine {
    date: String,
    processor: String,
    cores: usize,
    memory_mib: u64,
    system: String,
    kernel: String,
    windhover: String,
    gstreamer: String,
    load_before: String,
}

impl Machine {
    /// Looks at it; before anything is measured, so that the load is that of others.
    pub(crate) fn look(windhover: &str) -> Self {
        let wall = i64::try_from(SystemClock.wall().as_secs()).unwrap_or(0);
        let date = time::OffsetDateTime::from_unix_timestamp(wall).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        let memory_kib = field("/proc/meminfo", "MemTotal").split(' ').next().and_then(|kib| kib.parse::<u64>().ok());
        let system = field("/etc/os-release", "PRETTY_NAME=").trim_matches('"').to_owned();
        Self {
            date: date.date().to_string(),
            // Arm has no such line; there the parts are numbers that only a table could name.
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory_kib.unwrap_or(0) / 1024,
            system,
            kernel: read("/proc/sys/kernel/osrelease"),
            windhover: windhover.to_owned(),
            gstreamer: gst::version_string().to_string(),
            load_before: load(),
        }
    }

    /// For people, in a line or two.
    pub(crate) fn text(&self) -> String {
        let Self { date, processor, cores, system, kernel, windhover, gstreamer, load_before, memory_mib } = self;
        format!(
            "{date}, {cores} cores of {processor}, {memory_mib} MiB, {system}, Linux {kernel}\n\
             {windhover}, {gstreamer}, load average {load_before} before and {} after\n",
            load()
        )
    }

    /// For machines.
    pub(crate) fn json(&self) -> Value {
        json!({
            "date": self.date, "processor": self.processor, "cores": self.cores, "memory_mib": self.memory_mib,
            "system": self.system, "kernel": self.kernel, "windhover": self.windhover, "gstreamer": self.gstreamer,
            "load_before": self.load_before, "load_after": load(),
        })
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// What stands behind the name at the beginning of a line.
fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let rest = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("unknown");
    rest.trim_start_matches([' ', '\t', ':']).trim().to_owned()
}
