//! The hardware watchdog (i6300esb): it resets a board whose kernel or first program hangs.

use std::time::Duration;

use crate::machine::{BOOT, Machine, Setup, figure};
use crate::support::wait::now;

/// The watchdog's 15 s, and what an emulated machine needs to notice.
const RESET: Duration = Duration::from_secs(90);

#[test]
fn a_board_that_hangs_is_reset_and_streams_again() {
    let folder = crate::folder();
    let mut board = Machine::boot(folder.path(), &Setup::default());
    for (what, hang) in [
        ("the first program freezes", "kill -SEGV 1"),
        ("the kernel crashes and does not restart itself", "sysctl -q kernel.panic=0; echo c > /proc/sysrq-trigger"),
    ] {
        board.watch(15, Duration::from_secs(60));
        let boot = board.boot_id();
        board.qmp.forget_events();
        // The answer may not come any more.
        let hung = now();
        let _ = board.try_sh(&format!("({hang}) & sleep 0.2"));
        let said = board.qmp.event("WATCHDOG", RESET).unwrap_or_else(|e| board.fail(&format!("{what}: {e}")));
        figure(&format!("{what}: reset after"), (now() - hung).as_secs_f64(), "s");
        assert_eq!(said["action"], "reset");
        board.wait(BOOT, "the boot after the reset", &format!("test $(cat /proc/sys/kernel/random/boot_id) != {boot}"));
        board.wait_boot();
        board.watch(15, Duration::from_secs(60));
        // Its exit code is 1: a board that was reset has something to tell.
        let status = board.try_sh("windhover status --socket /run/windhover/api.sock").expect("it answers").out;
        assert!(status.contains("last reset: watchdog"), "{what}: status does not name the watchdog:\n{status}");
    }
}
