//! Does an encoder encode? Being registered proves nothing: Orin Nano registers one that it does not have. So ten frames
//! are encoded (`encode::encode_ten`), in a child process, because a vendor's library may hang or crash.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use crate::base::clock::Clock;
use crate::base::task;
use crate::plan::inventory::{SelfTest, SelfTestReport};

/// The child is killed when it is not done by then. x264enc needs 0.1 s on an idle PC; hardware takes up to 2 s to open.
const DEADLINE: Duration = Duration::from_secs(5);
/// A killed process is gone within milliseconds, unless it sits in a driver.
const FUNERAL: Duration = Duration::from_secs(1);
/// The report of the child is one line; more is noise of a library.
const LONGEST_REPORT: u64 = 1 << 16;

/// The hidden subcommand of this program that tests one encoder in a child process.
pub const SUBCOMMAND: &str = "self-test-encoder";

/// The program that tests the encoder named behind its arguments, with what carries pictures into surfaces behind that.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program.
    pub program: PathBuf,
    /// What stands before the encoder's name.
    pub arguments: Vec<OsString>,
}

impl Command {
    /// This program, by its hidden subcommand.
    pub fn own() -> std::io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, arguments: vec![SUBCOMMAND.into()] })
    }
}

/// Tests `element` in a child process. Returns within 5 s (and what a killed process needs to go). `converter` carries
/// pictures into surfaces, where the element takes no others.
pub fn in_child(command: &Command, element: &str, converter: Option<&str>, clock: &dyn Clock) -> SelfTest {
    match run_child(command, element, converter, clock) {
        Ok(report) => report.verdict(),
        Err(reason) => SelfTest::Failed { reason },
    }
}

fn run_child(
    command: &Command,
    element: &str,
    converter: Option<&str>,
    clock: &dyn Clock,
) -> Result<SelfTestReport, String> {
    let mut child = std::process::Command::new(&command.program);
    child.args(&command.arguments).arg(element).args(converter);
    // GStreamer's own log would fill the pipe before the child ends.
    child.env_remove("GST_DEBUG");
    child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().map_err(|e| format!("the test process does not start: {e}"))?;
    if !wait(&child, DEADLINE, clock) {
        let within = format!("no result within {} s", DEADLINE.as_secs());
        // It may have ended this very moment: then there is nobody to kill, and it is reaped below all the same.
        let _ = child.kill();
        if !wait(&child, FUNERAL, clock) {
            // It sits in a driver, where no signal reaches it; whoever waits for it must not be the start.
            task::thread("reaper", move || child.wait());
            return Err(format!("{within}, and the test process cannot be killed: its driver hangs"));
        }
        let _ = child.wait();
        return Err(within);
    }
    let status = child.wait().map_err(|e| format!("the test process is lost: {e}"))?;
    if !status.success() {
        let said = child.stderr.take().map(|stderr| last_line(&drain(stderr))).unwrap_or_default();
        return Err(if said.is_empty() { how_it_ended(status) } else { said });
    }
    let output = child.stdout.take().expect("standard output is piped");
    // Libraries print on standard output too: the report is the last line.
    serde_json::from_str(&last_line(&drain(output))).map_err(|_| "the test process ended without a report".to_owned())
}

/// What is in the pipe of a process that ended. Not until its end: a process that a library started may hold it open.
fn drain(pipe: impl Read + AsFd) -> String {
    let mut bytes = Vec::new();
    if rustix::fs::fcntl_setfl(&pipe, rustix::fs::OFlags::NONBLOCK).is_ok() {
        // Ends in "would block" when somebody holds the other end; what was read until then stays in `bytes`.
        let _ = pipe.take(LONGEST_REPORT).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until the child ends or the time is over. Its output is read afterwards: a report fits into the pipe, and a
/// library that fills the pipe with noise runs into the deadline.
fn wait(child: &Child, time: Duration, clock: &dyn Clock) -> bool {
    let end = clock.monotonic() + time;
    let pid = rustix::process::Pid::from_child(child);
    let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok();
    let output = child.stdout.as_ref().expect("standard output is piped");
    loop {
        // Containers with an old system call filter have no pidfd; there the end of the output tells.
        let mut fds = [match &process {
            Some(process) => PollFd::new(process, PollFlags::IN),
            None => PollFd::new(output, PollFlags::empty()),
        }];
        let left = end.saturating_sub(clock.monotonic());
        let timeout = rustix::event::Timespec::try_from(left).expect("five seconds fit into a timespec");
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(0) if left.is_zero() => return false,
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.trim().chars().take(300).collect()
}

fn how_it_ended(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("the test process was killed by signal {signal}"),
        None => format!("the test process ended with {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;

    /// A shell in place of the test process: `$1` is the element.
    fn shell(script: &str) -> Command {
        Command { program: "/bin/sh".into(), arguments: ["-c", script, "sh"].map(OsString::from).into() }
    }

    #[test]
    fn what_the_child_does_decides() {
        let good = r#"{"access_units":10,"starts_with_keyframe":true,"first_frame_ms":7}"#;
        let table = [
            (format!("echo noise; echo '{good}'"), "passed 7"),
            (format!("test \"$1 $2\" = 'x264enc nvvidconv' && echo '{good}'"), "passed 7"),
            (format!("echo '{}'", good.replace("10", "7")), "only 7 of 10 frames came out"),
            (format!("echo '{}'", good.replace("true", "false")), "the first frame was no keyframe"),
            ("echo oops".into(), "the test process ended without a report"),
            ("exit 0".into(), "the test process ended without a report"),
            ("echo 'no such device' >&2; exit 1".into(), "no such device"),
            ("exit 3".into(), "the test process ended with exit status: 3"),
            ("kill -SEGV $$".into(), "the test process was killed by signal 11"),
        ];
        for (script, want) in table {
            let found = match in_child(&shell(&script), "x264enc", Some("nvvidconv"), &SystemClock) {
                SelfTest::Passed { first_frame_ms } => format!("passed {first_frame_ms}"),
                SelfTest::Failed { reason } => reason,
            };
            assert_eq!(found, want, "{script}");
        }
        // What a library started and left behind holds the pipes open for 3 s; nobody waits for it.
        let before = SystemClock.monotonic();
        let orphan = shell(&format!("sleep 3 & echo '{good}'"));
        assert!(matches!(in_child(&orphan, "x", None, &SystemClock), SelfTest::Passed { .. }));
        assert!(SystemClock.monotonic() - before < Duration::from_secs(2));
        let missing = Command { program: "/nonexistent".into(), arguments: vec![] };
        assert!(matches!(in_child(&missing, "x", None, &SystemClock), SelfTest::Failed { .. }));
    }

    /// A clock that jumps to the deadline after its first answer and stands still there.
    #[derive(Default)]
    struct Hasty(std::sync::atomic::AtomicBool);

    impl Clock for Hasty {
        fn monotonic(&self) -> Duration {
            if self.0.swap(true, std::sync::atomic::Ordering::SeqCst) { DEADLINE } else { Duration::ZERO }
        }
        fn wall(&self) -> Duration {
            Duration::ZERO
        }
        fn wall_is_right(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_child_that_hangs_is_killed_and_reaped() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        // Announced whole or not at all, because the kill may come before it.
        let script = format!("echo $$ > {0}.new && mv {0}.new {0}; exec sleep 600", pid_file.display());
        let found = in_child(&shell(&script), "x", None, &Hasty::default());
        assert_eq!(found, SelfTest::Failed { reason: "no result within 5 s".into() });
        if let Ok(pid) = std::fs::read_to_string(&pid_file) {
            assert!(!std::path::Path::new(&format!("/proc/{}", pid.trim())).exists(), "it lives or is a zombie");
        }
    }
}
