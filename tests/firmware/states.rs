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
