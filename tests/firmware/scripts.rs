//! The scripts of `systemd/libexec`, run by sh. What a board has and this machine has not (nvbootctrl, UEFI variables, RAUC,
//! configfs, a partition) is a stand-in: constructed from documentation, never captured from a board.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Said, run, stand_in, top};

/// A folder with stand-ins, first on the PATH of the script that runs.
pub(crate) struct Bench {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("bin")).expect("the folder is new");
        Self { folder, environment: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program; what it is called with is written to the file `calls`.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let calls = self.path("calls");
        let log = format!("echo {name} \"$@\" >>{}\n{script}", calls.display());
        stand_in(&self.path("bin"), name, &log);
    }

    pub(crate) fn set(&mut self, name: &str, value: impl AsRef<Path>) {
        self.environment.push((name.into(), value.as_ref().to_str().expect("UTF-8").into()));
    }

    pub(crate) fn folder(&mut self, variable: &str, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).expect("the folder is ours");
        self.set(variable, &path);
        path
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the folder is ours");
    }

    pub(crate) fn run(&self, script: &str, arguments: &[&str]) -> Said {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path("bin").display());
        let script = top().join("systemd/libexec").join(script);
        let mut command = Command::new(script);
        run(command.args(arguments).env_clear().env("PATH", path).envs(self.environment.clone()))
    }

    /// What the stand-ins were called with since the last question.
    pub(crate) fn calls(&self) -> String {
        let path = self.path("calls");
        let calls = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        calls
    }
}

/// nvbootctrl's words as NVIDIA's documentation of Jetson Linux shows them; the file `slots` holds the status of each slot.
const NVBOOTCTRL: &str = r#"
case $1 in
dump-slots-info)
  echo "Current version: 39.2.0"
  echo "Capsule update status: 0"
  echo "Current bootloader slot: A"
  echo "Active bootloader slot: $(cat "$SLOTS/active")"
  echo "num_slots: 2"
  echo "slot: 0,             status: $(cat "$SLOTS/0")"
  echo "slot: 1,             status: $(cat "$SLOTS/1")"
  ;;
set-active-boot-slot) if [ "$2" = 1 ]; then echo B; else echo A; fi >"$SLOTS/active" ;;
esac
"#;

fn jetson() -> Bench {
    let mut bench = Bench::new();
    let slots = bench.folder("SLOTS", "slots");
    bench.folder("WINDHOVER_EFIVARS", "efivars");
    for (name, text) in [("active", "A"), ("0", "normal"), ("1", "unbootable")] {
        std::fs::write(slots.join(name), text).expect("the folder is ours");
    }
    bench.program("nvbootctrl", NVBOOTCTRL);
    bench
}

#[test]
fn slots_of_jetson_speak_raucs_language() {
    let bench = jetson();
    let variable = |slot| bench.path(&format!("efivars/RootfsStatusSlot{slot}-781e084c-a330-417c-b678-38e696380cb9"));
    for (arguments, want) in [
        (&["get-current"][..], "A\n"),
        (&["get-primary"], "A\n"),
        (&["get-state", "A"], "good\n"),
        (&["get-state", "B"], "bad\n"),
    ] {
        assert_eq!(bench.run("slot-nvbootctrl", arguments).ok(), want, "{arguments:?}");
    }
    // An installation: the other slot is marked bad, written, then made primary.
    bench.run("slot-nvbootctrl", &["set-state", "B", "bad"]).ok();
    assert_eq!(std::fs::read(variable("B")).expect("written"), [7, 0, 0, 0, 0xff, 0, 0, 0]);
    bench.run("slot-nvbootctrl", &["set-primary", "B"]).ok();
    assert_eq!(std::fs::read(variable("B")).expect("written"), [7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bench.run("slot-nvbootctrl", &["get-primary"]).ok(), "B\n");
    bench.calls();
    // The running slot is confirmed by NVIDIA's own command, another one by its variable.
    bench.run("slot-nvbootctrl", &["set-state", "A", "good"]).ok();
    assert!(bench.calls().ends_with("nvbootctrl verify\n"));
    bench.run("slot-nvbootctrl", &["set-state", "B", "good"]).ok();
    assert!(!bench.calls().contains("verify"));
}

#[test]
fn slots_that_cannot_be_told_are_errors() {
    let bench = jetson();
    for arguments in [&["get-state", "C"][..], &["set-state", "A", "fine"], &["set-primary", "0"], &["dance"], &[]] {
        let said = bench.run("slot-nvbootctrl", arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{arguments:?}: {}", said.err);
    }
    bench.program("nvbootctrl", "echo 'no such device'");
    for arguments in [&["get-current"][..], &["get-primary"], &["get-state", "A"]] {
        let said = bench.run("slot-nvbootctrl", arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(said.err.contains("nvbootctrl dump-slots-info"), "{}", said.err);
    }
}

/// A board that runs from the partition in the file `root`, and whose daemon reports with the given exit status.
fn board(report: &str, status: u8) -> Bench {
    let mut bench = Bench::new();
    bench.folder("WINDHOVER_UPDATE_STATE", "update");
    bench.folder("WINDHOVER_STATE", "state");
    let root = bench.path("root");
    bench.write("root", "APP\n");
    bench.program("findmnt", &format!("cat {}", root.display()));
    bench.program("windhover", &format!("printf '%s' '{report}'; exit {status}"));
    bench.program("systemctl", "");
    bench.program("rauc", "");
    // The real one waits for every disk of the machine.
    bench.program("sync", "");
    bench
}

#[test]
fn an_update_without_video_goes_back() {
    let bench = board("{\"streams\":[]}", 1);
    bench.run("before-update", &[]).ok();
    assert_eq!(std::fs::read_to_string(bench.path("update/before.json")).expect("noted"), "{\"streams\":[]}");
    bench.write("root", "APP_b\n");
    bench.calls();
    bench.run("fall-back", &[]).ok();
    let calls = bench.calls();
    assert!(calls.contains("rauc status mark-bad booted\n") && calls.ends_with("systemctl reboot\n"), "{calls}");
    let reason = std::fs::read_to_string(bench.path("state/reboot-reason")).expect("noted");
    assert_eq!(reason, "the update on APP_b brought no video: back to APP\n");
    // Back on the old slot without video (the camera broke in the meantime): it stays up.
    bench.write("root", "APP\n");
    bench.run("fall-back", &[]).ok();
    assert!(!bench.calls().contains("reboot"));
    let said = bench.run("after-update", &[]);
    assert!(said.err.contains("was not kept"), "{}", said.err);
    assert!(!bench.path("update/from").exists() && !bench.path("update/before.json").exists());
    let last = std::fs::read_to_string(bench.path("update/last")).expect("noted for update status");
    assert!(last.contains("Z, the last update was not kept"), "{last}");
}

#[test]
fn a_board_without_an_update_on_trial_stays_up() {
    let bench = board("{}", 0);
    assert!(bench.run("fall-back", &[]).ok().contains("no update is on trial"));
    assert_eq!(bench.calls(), "", "nothing was asked for");
    bench.run("before-update", &[]).ok();
    bench.write("root", "APP_b\n");
    assert!(bench.run("after-update", &[]).ok().contains("the update is confirmed: APP_b runs, before it was APP"));
    bench.calls();
    bench.run("fall-back", &[]).ok();
    assert!(!bench.calls().contains("reboot"), "confirmed is confirmed");
}

#[test]
fn nothing_is_installed_while_it_is_not_known_what_works() {
    let bench = board("", 3);
    bench.write("update/from", "stale");
    let said = bench.run("before-update", &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("gives no report"), "{}", said.err);
    let left = std::fs::read_dir(bench.path("update")).expect("it is there").count();
    assert_eq!(left, 0, "neither old nor half notes");
}

#[test]
fn five_crashes_reboot_twice_and_then_wait() {
    let mut bench = Bench::new();
    bench.folder("WINDHOVER_STATE", "state");
    bench.set("WINDHOVER_PAUSE", "0");
    // What systemd 257 says after a fifth crash; found in the test image.
    bench.set("MONITOR_SERVICE_RESULT", "signal");
    bench.program("systemctl", "[ $1 != show ] || echo failed");
    bench.program("sync", "");
    for n in ["1", "2"] {
        bench.run("after-crashes", &[]).ok();
        assert!(bench.calls().contains("systemctl reboot\n"));
        assert_eq!(std::fs::read_to_string(bench.path("state/limit-reboots")).expect("counted").trim(), n);
        let reason = std::fs::read_to_string(bench.path("state/reboot-reason")).expect("noted");
        assert_eq!(reason, format!("windhover.service crashed five times: reboot {n} of 2\n"));
    }
    bench.run("after-crashes", &[]).ok();
    let calls = bench.calls();
    assert!(
        calls.contains("reset-failed") && calls.contains("start --no-block") && !calls.contains("reboot"),
        "{calls}"
    );
    // A damaged count is no licence to reboot for ever, and no reason to fail.
    bench.write("state/limit-reboots", "\u{1b}zz");
    bench.run("after-crashes", &[]).ok();
    assert_eq!(std::fs::read_to_string(bench.path("state/limit-reboots")).expect("counted").trim(), "1");
}

#[test]
fn a_wrong_configuration_never_reboots() {
    let mut bench = Bench::new();
    bench.folder("WINDHOVER_STATE", "state");
    bench.set("MONITOR_SERVICE_RESULT", "exit-code");
    bench.set("MONITOR_EXIT_CODE", "exited");
    bench.set("MONITOR_EXIT_STATUS", "2");
    bench.program("systemctl", "[ $1 != show ] || echo failed");
    assert!(bench.run("after-crashes", &[]).ok().contains("a wrong configuration: no reboot"));
    assert_eq!(bench.calls(), "");
}

#[test]
fn a_crash_after_which_systemd_tries_again_never_reboots() {
    let mut bench = Bench::new();
    bench.folder("WINDHOVER_STATE", "state");
    bench.set("MONITOR_SERVICE_RESULT", "signal");
    bench.program("systemctl", "[ $1 != show ] || echo activating");
    assert!(bench.run("after-crashes", &[]).ok().contains("ended by signal and is activating: no reboot"));
    assert!(!bench.calls().contains("reboot"));
}

#[test]
fn recordings_are_never_formatted_away() {
    let mut bench = Bench::new();
    bench.folder("WINDHOVER_STATE", "state");
    bench.set("WINDHOVER_DEVICES", "/devices");
    bench.set("WINDHOVER_MAKEFS", "makefs");
    bench.program("makefs", "");
    bench.run("format-partition", &["windhover-data"]).ok();
    assert_eq!(bench.calls(), "makefs ext4 /devices/windhover-data\n");
    let again = bench.run("format-partition", &["windhover-data"]);
    assert_eq!((again.code, bench.calls().as_str()), (Some(1), ""), "a damaged superblock looks like an empty disk");
    bench.run("format-partition", &["windhover-state"]).ok();
    assert_eq!(bench.calls(), "makefs ext4 /devices/windhover-state\n");
    assert_eq!(bench.run("format-partition", &["APP"]).code, Some(2));
    assert_eq!(bench.calls(), "");
}

#[test]
fn a_file_on_the_boot_partition_sets_the_network() {
    let mut bench = Bench::new();
    let to = bench.path("run");
    bench.set("WINDHOVER_NETWORK_TO", &to);
    let from = format!("{} {}", bench.path("state").display(), bench.path("boot").display());
    bench.set("WINDHOVER_NETWORK_FROM", from);
    bench.program("windhover", "exit 1");
    bench.run("network-files", &[]).ok();
    assert_eq!(bench.calls(), "", "nothing to read, nothing started");
    for (folder, text) in [("state", "old"), ("boot", "new")] {
        std::fs::create_dir(bench.path(folder)).expect("the folder is ours");
        bench.write(&format!("{folder}/10-static.network"), text);
    }
    bench.write("boot/huge.network", &"#".repeat(65537));
    bench.write("boot/notes.txt", "not for networkd");
    bench.write("boot/network.toml", "wrong");
    bench.write("state/network.toml", "");
    bench.run("network-files", &[]).ok();
    assert_eq!(bench.calls(), "windhover network apply\n", "once, and a wrong one stops nothing else");
    let names: Vec<_> = std::fs::read_dir(&to).expect("made").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["10-static.network"]);
    assert_eq!(
        std::fs::read_to_string(to.join("10-static.network")).expect("listed"),
        "new",
        "the card in the hand wins"
    );
}

#[test]
fn the_gadget_keeps_the_first_port_for_diagnosis() {
    let mut bench = Bench::new();
    let config = bench.folder("WINDHOVER_CONFIGFS", "configfs");
    let controllers = bench.folder("WINDHOVER_UDC", "udc");
    bench.set("WINDHOVER_DEV_IMAGE", bench.path("dev-image"));
    bench.program("modprobe", "");
    assert!(bench.run("gadget", &["up"]).ok().contains("no USB device controller"));
    assert!(!config.join("windhover").exists());
    std::fs::create_dir(controllers.join("3550000.usb")).expect("the folder is ours");
    let functions = |bench: &Bench| {
        bench.run("gadget", &["up"]).ok();
        let folder = std::fs::read_dir(config.join("windhover/functions")).expect("made").flatten();
        let mut names: Vec<String> = folder.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    };
    assert_eq!(functions(&bench), ["acm.diagnosis", "ncm.usb0"], "no login on a board that flies");
    let controller = std::fs::read_to_string(config.join("windhover/UDC")).expect("bound");
    assert_eq!(controller, "3550000.usb\n");
    std::fs::remove_dir_all(config.join("windhover")).expect("the folder is ours");
    bench.write("dev-image", "");
    assert_eq!(functions(&bench), ["acm.diagnosis", "acm.login", "ncm.usb0"]);
    assert_eq!(bench.run("gadget", &["sideways"]).code, Some(2));
}
