//! A board switched on: what runs, as whom, and what is open.

use std::time::Duration;

use crate::machine::{BOOT, Machine, Setup, condition, figure};
use crate::support::wait::now;

#[test]
fn a_board_boots_streams_and_records() {
    let folder = crate::folder();
    let mut board = Machine::switch_on(folder.path(), &Setup::default());
    let (player, seen) = board.watch(1, BOOT);
    let first = seen.first.expect("one picture came") - board.started;
    figure("QEMU switched on to the first picture at a client", first.as_secs_f64(), "s");
    drop(player);
    board.wait_boot();
    figure("QEMU switched on to boot-complete.target", (now() - board.started).as_secs_f64(), "s");
    first_frame_is_fast(&mut board);
    everything_started(&mut board);
    file_systems_are_as_they_should_be(&mut board);
    nothing_listens_that_is_not_ours(&mut board);
    used_memory_is_small(&mut board);
    usb_cable_is_there(&mut board);
}

/// From the start of the service to the first frame from the camera, beside all else that a boot does.
fn first_frame_is_fast(board: &mut Machine) {
    let started = board.sh("systemctl show --property ExecMainStartTimestampMonotonic --value windhover");
    let started = started.parse::<f64>().expect("microseconds") / 1e6;
    let log = "journalctl --boot --unit windhover --output short-monotonic --no-pager";
    let line = board.sh(&format!("{log} | grep -m 1 'live/source is running'"));
    let seconds = line.trim_start_matches(['[', ' ']).split(']').next().and_then(|time| time.parse::<f64>().ok());
    let seconds = seconds.unwrap_or_else(|| panic!("no time in {line}")) - started;
    figure("start of the daemon to the first frame inside, while booting", seconds, "s");
}

fn everything_started(board: &mut Machine) {
    assert_eq!(board.sh("systemctl --failed --no-legend --plain"), "", "failed units");
    board.wait(Duration::from_secs(60), "all units", "test $(systemctl is-system-running) = running");
    assert_eq!(board.restarts(), 0);
    let pid = board.pid();
    assert_eq!(board.sh(&format!("stat --format %U:%G /proc/{pid}")), "windhover:windhover");
    assert_eq!(condition(&board.branch("live/record")), "running");
}

fn file_systems_are_as_they_should_be(board: &mut Machine) {
    assert!(board.sh("findmnt --noheadings --output OPTIONS /").split(',').any(|option| option == "ro"));
    assert_ne!(board.try_sh("touch /etc/x").expect("it answers").code, 0, "the root file system can be written");
    let data = board.sh("findmnt --noheadings --output FSTYPE,OPTIONS /data");
    assert!(data.starts_with("ext4") && data.contains("rw"), "{data}");
    assert_eq!(board.sh("stat --format %U /data/video /var/lib/windhover"), "windhover\nwindhover");
    assert_eq!(board.sh("findmnt --noheadings --output FSTYPE /var/lib/windhover"), "ext4");
}

fn nothing_listens_that_is_not_ours(board: &mut Machine) {
    let ours = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (host, port) = fields[4].rsplit_once(':').expect("an address has a port");
        let daemon = line.contains("(\"windhover\",");
        match (fields[0], port) {
            ("tcp", "8554" | "8080") => daemon,
            // mDNS, the addresses of DHCP, and the USB cable's DHCP server.
            ("udp", "5353" | "68" | "546" | "67") => true,
            // systemd-resolved for programs on the board.
            (_, "53") => host.starts_with("127.0.0.5"),
            // Where RTP leaves and viewers report to.
            ("udp", _) => daemon,
            _ => false,
        }
    };
    let said = board.sh("ss --no-header --listening --tcp --udp --numeric --processes");
    let foreign: Vec<&str> = said.lines().filter(|line| !ours(line)).collect();
    assert!(foreign.is_empty() && said.contains(":8554"), "{foreign:?}");
}

fn used_memory_is_small(board: &mut Machine) {
    let pid = board.pid();
    let said = board.sh(&format!("grep VmHWM /proc/{pid}/status"));
    let resident = said.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
    let resident = resident.unwrap_or_else(|| panic!("no number in {said}")) / 1024.0;
    figure("most resident memory of the daemon", resident, "MiB");
    let said = board.sh("systemctl show --property MemoryCurrent --value windhover");
    let unit = said.parse::<f64>().unwrap_or_else(|e| panic!("{said}: {e}")) / f64::from(1 << 20);
    figure("memory of the service, with its pages of files", unit, "MiB");
    assert!(resident < 64.0, "{resident} MiB");
}

fn usb_cable_is_there(board: &mut Machine) {
    // dummy_hcd: the machine is its own computer at the other end.
    board.wait(Duration::from_secs(30), "the serial port on the USB cable", "test -c /dev/ttyGS0 -a -c /dev/ttyACM0");
    assert_eq!(board.sh("stat --format %G:%a /dev/ttyGS0"), "windhover:660");
    assert_ne!(board.try_sh("test -e /dev/ttyGS1").expect("it answers").code, 0, "a login port on a production image");
}
