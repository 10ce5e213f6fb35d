//! Scripts for the life of a board: its time, its disk, its factory reset. Run by sh, with stand-ins for what a board has and this
//! machine has not, constructed from the manual pages of the programs.

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
