//! Scripts for the life of a board: its time, its disk, its factory reset. Run by sh, with stand-ins for what a board has and this
//! machine has not, constructed from the manual pages of the programs.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::scripts::Bench;

#[test]
fn the_clock_goes_on_where_it_was_and_never_back() {
    let mut bench = Bench::new();
    let file = bench.path("clock");
    bench.set("WINDHOVER_CLOCK", &file);
    // The board begins at 1970-01-01 00:00:40; what it is set to is written down.
    bench.program("date", r#"case "$*" in +%s) echo 40 ;; *) echo "some time" ;; esac"#);
    let set = |bench: &Bench| {
        bench.run("clock", &[]).ok();
        let calls = bench.calls();
        calls.lines().find_map(|line| line.strip_prefix("date -u -s ")).map(str::to_owned)
    };
    assert_eq!(set(&bench), None, "nothing was kept");
    let kept = |seconds: u64| {
        let file = std::fs::File::create(&file).expect("the folder is ours");
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        file.set_modified(time).expect("it is ours");
    };
    for (seconds, want) in [(1_795_161_600, Some("@1795161600")), (39, None), (4_102_444_800, None)] {
        kept(seconds);
        assert_eq!(set(&bench).as_deref(), want, "{seconds}");
    }
    // The daemon's directory must not point the clock elsewhere: a link has a time of its own, which is now.
    std::fs::remove_file(&file).expect("it is ours");
    std::os::unix::fs::symlink("/proc/1", &file).expect("the folder is ours");
    let now = std::fs::symlink_metadata(&file).and_then(|meta| meta.modified()).expect("just made");
    let now = now.duration_since(std::time::SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    assert_eq!(set(&bench), Some(format!("@{now}")));
}

/// A board with a disk at `/data`; `umount` fails as many times as the file `busy` has lines.
fn board_with_a_disk() -> Bench {
    let mut bench = Bench::new();
    bench.folder("WINDHOVER_FILE_SYSTEMS", "fs");
    bench.set("WINDHOVER_DATA", "/data");
    let (busy, mounted) = (bench.path("busy"), bench.path("mounted"));
    bench.write("mounted", "/dev/sda1\n");
    bench.write("busy", "");
    bench.program("findmnt", &format!("cat {} 2>/dev/null", mounted.display()));
    bench.program("sleep", "");
    let umount = format!(
        "if [ -s {busy} ]; then sed -i 1d {busy}; echo 'umount: /data: target is busy.' >&2; exit 32; fi; rm {mounted}",
        busy = busy.display(),
        mounted = mounted.display()
    );
    bench.program("umount", &umount);
    bench
}

#[test]
fn a_disk_is_safe_only_when_nothing_uses_it() {
    let bench = board_with_a_disk();
    bench.write("busy", "x\nx\n");
    assert_eq!(bench.run("eject", &[]).ok(), "safe\n", "a moment was enough");
    let calls = bench.calls();
    assert_eq!(calls.matches("umount /data\n").count(), 3, "{calls}");
    assert!(!calls.contains("-l"), "a lazy one says nothing of open files");
    assert_eq!(bench.run("eject", &[]).ok(), "safe\n", "nothing is mounted");
    let bench = board_with_a_disk();
    bench.write("busy", &"x\n".repeat(9));
    assert_eq!(bench.run("eject", &[]).ok().trim_end(), "busy: umount: /data: target is busy.");
    // Unmounted here, and mounted somewhere else: ext4 still shows it.
    let bench = board_with_a_disk();
    std::fs::create_dir_all(bench.path("fs/ext4/sda1")).expect("the folder is ours");
    let said = bench.run("eject", &[]).ok();
    assert_eq!(said, "busy: /dev/sda1 is unmounted from /data, and still in use elsewhere\n");
}

/// A board that was used for a while.
fn used_board() -> Bench {
    let mut bench = Bench::new();
    let state = bench.folder("WINDHOVER_STATE", "state");
    let boot = bench.folder("WINDHOVER_BOOT", "boot");
    let data = bench.folder("WINDHOVER_DATA", "data");
    for folder in [state.join("config.d"), state.join("network"), data.join("video/live"), data.join("mine")] {
        std::fs::create_dir_all(folder).expect("the folder is ours");
    }
    for file in [
        "state/config.d/10.toml",
        "state/network/network.toml",
        "state/credentials",
        "state/last-known-good",
        "state/data-made",
        "state/resets.toml",
        "data/video/windhover-storage.toml",
        "data/video/live/x.mp4",
        "data/mine/letter.txt",
    ] {
        bench.write(file, "x");
    }
    symlink(bench.path("data/mine"), data.join("video/link")).expect("the folder is ours");
    std::fs::create_dir_all(boot).expect("the folder is ours");
    for program in ["mount", "sync", "systemctl"] {
        bench.program(program, "");
    }
    bench
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("it is there").flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[test]
fn a_factory_reset_forgets_what_was_set_and_no_recording() {
    let bench = used_board();
    bench.run("factory-reset", &[]).ok();
    assert!(bench.path("state/credentials").exists(), "nobody ordered it");
    bench.write("boot/windhover-factory-reset", "");
    bench.run("factory-reset", &[]).ok();
    assert_eq!(names(&bench.path("state")), ["data-made", "resets.toml"]);
    assert_eq!(names(&bench.path("boot")), ["windhover-factory-reset.done"], "it is followed once");
    assert_eq!(names(&bench.path("data/video/live")), ["x.mp4"]);
    assert!(!bench.calls().contains("data.mount"));
}

#[test]
fn recordings_go_by_their_own_order_and_nothing_beside_them() {
    let bench = used_board();
    bench.write("state/factory-reset", "recordings\n");
    bench.run("factory-reset", &[]).ok();
    assert!(bench.calls().contains("systemctl start data.mount\n"));
    assert_eq!(names(&bench.path("data/video")), ["windhover-storage.toml"]);
    assert_eq!(names(&bench.path("data/mine")), ["letter.txt"], "neither a foreign folder nor what a link names");
    assert_eq!(names(&bench.path("state")), ["data-made", "resets.toml"]);
}

#[test]
fn a_factory_reset_that_is_cut_off_is_done_again_and_one_that_cannot_end_is_not_begun() {
    let bench = used_board();
    bench.write("boot/windhover-factory-reset", "");
    // The power goes when the order is on the disk.
    bench.program("sync", "kill -9 $PPID");
    assert_eq!(bench.run("factory-reset", &[]).code, None);
    assert!(bench.path("state/factory-reset").exists() && bench.path("state/credentials").exists());
    bench.program("sync", "");
    bench.run("factory-reset", &[]).ok();
    assert_eq!(names(&bench.path("state")), ["data-made", "resets.toml"]);
    let bench = used_board();
    bench.write("boot/windhover-factory-reset", "");
    bench.program("mv", "exit 1");
    let said = bench.run("factory-reset", &[]);
    assert!(said.err.contains("it would be at every start"), "{}", said.err);
    assert!(bench.path("state/credentials").exists());
}
