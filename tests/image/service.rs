//! The daemon under systemd: killed, stopped, crashing, and with a configuration that is wrong.

use std::time::Duration;

use crate::machine::{BOOT, Machine, Setup, figure};
use crate::support::wait::now;

#[test]
fn a_daemon_that_dies_or_hangs_is_started_again() {
    let folder = crate::folder();
    let mut board = Machine::boot(folder.path(), &Setup::default());
    let pid = board.pid();
    board.watch(15, Duration::from_secs(60));
    let killed = now();
    board.sh(&format!("kill -KILL {pid}"));
    let (player, seen) = board.watch(1, Duration::from_secs(60));
    figure(
        "kill -9 to the first picture of the next daemon",
        (seen.first.expect("one came") - killed).as_secs_f64(),
        "s",
    );
    drop(player);
    assert_ne!(board.pid(), pid, "another one");

    let pid = board.pid();
    board.sh(&format!("kill -STOP {pid}"));
    let stopped = now();
    let another = format!("p=$(systemctl show --property MainPID --value windhover); test $p -ne 0 -a $p -ne {pid}");
    board.wait(Duration::from_secs(90), "the service's watchdog", &another);
    figure("SIGSTOP to the next daemon", (now() - stopped).as_secs_f64(), "s");
    board.watch(15, Duration::from_secs(60));
    let log = board.sh("journalctl --boot --unit windhover --no-pager --output cat");
    assert!(log.contains("Watchdog timeout"), "{log}");
}

#[test]
fn five_crashes_reboot_the_board_and_a_bad_configuration_stops_nothing() {
    let folder = crate::folder();
    let mut board = Machine::boot(folder.path(), &Setup::default());
    let boot = board.boot_id();
    let mut crashed = 0;
    for _ in 0..5 {
        let another =
            format!("p=$(systemctl show --property MainPID --value windhover); test $p -ne 0 -a $p -ne {crashed}");
        board.wait(Duration::from_secs(60), "a daemon to crash", &another);
        crashed = board.pid();
        // What a failed assertion of a library ends in. (The first SEGV that is only sent passes Rust's own handler.)
        board.sh(&format!("kill -ABRT {crashed}"));
    }
    board.wait(BOOT, "another boot", &format!("test $(cat /proc/sys/kernel/random/boot_id) != {boot}"));
    board.wait_boot();
    assert_eq!(board.sh("cat /var/lib/windhover/limit-reboots"), "1", "what after-crashes keeps");
    board.watch(15, Duration::from_secs(60));

    let boot = board.boot_id();
    let folder = "/var/lib/windhover/config.d";
    board.sh(&format!("install -d -o windhover {folder}; echo 'bitrate = broken' > {folder}/wrong.toml; sync"));
    board.sh("systemctl reboot --no-block");
    board.wait(BOOT, "another boot", &format!("test $(cat /proc/sys/kernel/random/boot_id) != {boot}"));
    board.wait_boot();
    board.watch(15, Duration::from_secs(60));
    let health = board.health().expect("it answers").to_string();
    assert!(health.contains("SYS-002"), "{health}");
    board.sh("rm /var/lib/windhover/config.d/wrong.toml && windhover reload --socket /run/windhover/api.sock");
    let health = board.health().expect("it answers").to_string();
    assert!(!health.contains("SYS-002"), "{health}");
}
