//! Why the board was reset is known after it. The board's files are constructed.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::daemon::{Daemon, Setup};
use crate::support::http::find_branch;
use crate::support::wait::wait_until;

const SOON: Duration = Duration::from_secs(15);

fn write(machine: &Path, file: &str, text: &str) {
    let path = machine.join(file);
    std::fs::create_dir_all(path.parent().expect("it has one")).expect("the folder is ours");
    std::fs::write(path, text).expect("the folder is ours");
}

fn board(daemon: &Daemon) -> String {
    let said = || {
        let page = find_branch(&daemon.health(), "board").cloned()?;
        (page["condition"] == "running").then(|| page["detail"].as_str().unwrap_or_default().to_owned())
    };
    wait_until(SOON, "the page of the board", || said().is_some());
    said().expect("just seen")
}

#[test]
fn the_last_reset_is_told_until_the_next() {
    let machine = tempfile::tempdir().expect("a temporary folder");
    let boot = |id: &str, status: &str| {
        write(machine.path(), "proc/sys/kernel/random/boot_id", id);
        write(machine.path(), "sys/class/watchdog/watchdog0/bootstatus", status);
        write(machine.path(), "sys/class/watchdog/watchdog0/identity", "i6300ESB timer\n");
    };
    boot("one\n", "0\n");
    let setup = Setup { last_good: true, machine: Some(machine.path().to_owned()), ..Setup::live_only() };
    let mut daemon = Daemon::start(&setup);
    assert!(board(&daemon).starts_with("last reset: not known"), "{}", board(&daemon));
    daemon.kill();
    boot("two\n", "32\n");
    daemon.start_again(&setup);
    daemon.wait_ready();
    let told = "last reset: watchdog (bootstatus 0x20 of i6300ESB timer); watchdog: i6300ESB timer, not started";
    assert_eq!(board(&daemon), told);
    assert_eq!(daemon.faults("board"), ["SYS-003"]);
    // The daemon crashes in the same boot: that is no other reset.
    daemon.kill();
    boot("two\n", "0\n");
    daemon.start_again(&setup);
    daemon.wait_ready();
    assert_eq!(board(&daemon), told);
    assert_eq!(daemon.counter("board", "boots_watchdog"), Some(1));
    daemon.signal(Signal::TERM);
    assert!(daemon.wait_exit(SOON).is_some_and(|status| status.success()));
    boot("three\n", "0\n");
    daemon.start_again(&setup);
    daemon.wait_ready();
    assert!(board(&daemon).starts_with("last reset: restarted or switched off in order; "), "{}", board(&daemon));
    assert_eq!(daemon.faults("board"), [""; 0]);
}
