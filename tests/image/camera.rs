//! The camera as the kernel shows it: vivid, a driver without hardware.

use std::time::Duration;

use crate::machine::{Machine, Setup, condition, counter, figure};
use crate::support::wait::{now, wait_for};

/// What the board's profile asks of a camera when nobody says otherwise.
const FPS: f64 = 15.0;
const UNBIND: &str = "cd /sys/bus/platform/drivers/vivid && echo vivid.0 >";

#[test]
fn a_v4l2_camera_streams_is_listed_and_survives_its_driver() {
    let folder = crate::folder();
    let mut board = Machine::boot(folder.path(), &Setup::default());
    rate_is_as_configured(&mut board);
    formats_are_listed(&mut board);
    check_says_what_the_camera_can(&mut board);
    comes_back_with_its_driver(&mut board);
}

fn rate_is_as_configured(board: &mut Machine) {
    let (player, _) = board.watch(15, Duration::from_secs(60));
    let (begin, before) = (now(), player.seen().pictures);
    let source = counter(&board.branch("live/source"), "frames");
    let enough = wait_for(Duration::from_secs(60), || Some(player.seen()).filter(|seen| seen.pictures >= before + 150));
    let seen = enough.unwrap_or_else(|| board.fail("150 pictures do not come in a minute"));
    let seconds = (now() - begin).as_secs_f64();
    let rate = (seen.pictures - before) as f64 / seconds;
    let captured = (counter(&board.branch("live/source"), "frames") - source) as f64 / seconds;
    figure("pictures at the client", rate, "1/s");
    figure("pictures from the camera", captured, "1/s");
    assert!(captured > 0.9 * FPS && captured < 1.1 * FPS, "{captured} of {FPS} pictures a second");
    // The decoder here drops what comes while a busy machine keeps it from running.
    assert!(rate > 0.7 * FPS && rate < 1.1 * FPS, "{rate} of {FPS} pictures a second; {seen:?}");
}

fn formats_are_listed(board: &mut Machine) {
    let said = board.sh("cd /tmp && setpriv --reuid windhover --regid windhover --init-groups windhover probe");
    for word in ["/dev/video0", "vivid", "640x480", "1920x1080", "YUY2"] {
        assert!(said.contains(word), "probe does not list {word}:\n{said}");
    }
}

fn check_says_what_the_camera_can(board: &mut Machine) {
    let asked = "printf '[[stream]]\\nid = \"live\"\\nsource = { kind = \"v4l2\", device = \"auto\" }\\nsize = \"1234x568\"\\n' \
                 > /run/odd.toml && windhover check --config /run/odd.toml";
    let said = board.try_sh(asked).expect("it answers");
    assert_eq!(said.code, 2, "{}", said.out);
    assert!(said.out.contains("1234x568") && said.out.contains("640x480"), "{}", said.out);
}

fn comes_back_with_its_driver(board: &mut Machine) {
    let (pid, (player, _)) = (board.pid(), board.watch(15, Duration::from_secs(30)));
    for round in 0..3 {
        board.sh(&format!("{UNBIND} unbind"));
        board.wait_branch(Duration::from_secs(15), "live/source", "absent", |branch| condition(branch) == "absent");
        let before = player.seen().pictures;
        board.sh(&format!("{UNBIND} bind"));
        let bound = now();
        // The slate's pictures do not count: the camera's do.
        board.wait_branch(Duration::from_secs(15), "live/source", "running", |branch| condition(branch) == "running");
        let enough = wait_for(Duration::from_secs(15), || (player.seen().pictures > before + 15).then_some(now()));
        let Some(back) = enough else { board.fail("no pictures after the camera is back") };
        figure(
            &format!("camera's driver back to one second of video, round {round}"),
            (back - bound).as_secs_f64(),
            "s",
        );
        assert!(back - bound < Duration::from_secs(6), "{:?}", back - bound);
        assert_eq!(player.seen().error, None, "the viewer stays connected");
    }
    assert_eq!((board.pid(), board.restarts()), (pid, 0), "the daemon runs on");
}

#[test]
fn a_board_without_a_camera_waits_for_it() {
    let folder = crate::folder();
    let setup = Setup { append: "modprobe.blacklist=vivid", ..Setup::default() };
    let mut board = Machine::boot(folder.path(), &setup);
    let (pid, boot) = (board.pid(), board.boot_id());
    assert_eq!(condition(&board.branch("live/source")), "absent");
    // Four times the service's watchdog, twice the board's.
    let restarted = |board: &mut Machine| board.pid() != pid || board.boot_id() != boot;
    let gone = wait_for(Duration::from_secs(60), || restarted(&mut board).then_some(()));
    assert_eq!((gone, board.restarts()), (None, 0), "the daemon or the board was restarted");
    assert_eq!(condition(&board.branch("live/source")), "absent");
    assert_eq!(board.sh("systemctl --failed --no-legend --plain"), "");
    // The camera is plugged in.
    board.sh("modprobe vivid");
    board.watch(15, Duration::from_secs(30));
    assert_eq!(board.pid(), pid);
}
