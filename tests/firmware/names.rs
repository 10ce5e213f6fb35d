//! Names, labels and identifiers of partitions agree: disk image, Jetson's flash layout, RAUC, mounts, udev, U-Boot.

use std::collections::BTreeMap;

use crate::text;

const LAYER: &str = "yocto/meta-windhover";
const ESP: &str = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
const LINUX: &str = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";

/// A partition: its name, its type, and its label where it is made with a file system.
#[derive(Debug, PartialEq, Eq)]
struct Partition {
    name: String,
    kind: String,
    label: Option<String>,
}

/// The value after `--option` in a line of a wks file.
fn option<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_whitespace().skip_while(|word| *word != name).nth(1)
}

fn wks() -> Vec<Partition> {
    let text = text(&format!("{LAYER}/files/wic/windhover-ab.wks.in"));
    let parts = text.lines().filter(|line| line.starts_with("part "));
    let part = |line: &str| Partition {
        name: option(line, "--part-name").unwrap_or_default().into(),
        kind: option(line, "--part-type").unwrap_or_default().into(),
        label: option(line, "--label").map(Into::into),
    };
    parts.map(part).collect()
}

/// The elements `<tag> value </tag>` of one partition of the flash layout.
fn element(body: &str, tag: &str) -> Option<String> {
    let rest = body.split_once(&format!("<{tag}>"))?.1;
    Some(rest.split_once(&format!("</{tag}>"))?.0.trim().to_owned())
}

fn xml() -> BTreeMap<String, String> {
    let text = text(&format!("{LAYER}/dynamic-layers/tegra/recipes-bsp/tegra-binaries/files/windhover-nvme.xml"));
    let parts = text.split("<partition name=\"").skip(1);
    parts
        .map(|part| part.split_once('"').expect("a name ends"))
        .map(|(name, body)| (name.into(), body.into()))
        .collect()
}

/// `NAME = "value"`, `NAME ?= "value"` of a distribution's file.
fn setting(name: &str) -> String {
    let text = text(&format!("{LAYER}/conf/distro/include/windhover-slots.inc"));
    let value = |line: &str| {
        let (left, right) = line.split_once('=')?;
        (left.trim_end_matches(['?', ' ']) == name).then(|| right.trim().trim_matches('"').to_owned())
    };
    text.lines().find_map(value).unwrap_or_else(|| panic!("windhover-slots.inc sets no {name}"))
}

/// The device label a mount unit names.
fn mounted(unit: &str) -> String {
    let text = text(unit);
    let what = text.lines().find_map(|line| line.strip_prefix("What=/dev/disk/by-label/")).expect("mounted by label");
    let escaped = what.replace('-', "\\x2d");
    assert!(
        text.contains(&format!("BindsTo=dev-disk-by\\x2dlabel-{escaped}.device\n")),
        "{unit} binds to another device"
    );
    assert!(
        text.contains(&format!("systemd-fsck@dev-disk-by\\x2dlabel-{escaped}.service")),
        "{unit} checks another one"
    );
    what.to_owned()
}

#[test]
fn the_disk_image_has_the_slots_state_and_recordings() {
    let (a, b) = (setting("WINDHOVER_SLOT_A"), setting("WINDHOVER_SLOT_B"));
    let (state, data) = (mounted("systemd/system/var-lib-windhover.mount"), mounted("systemd/system/data.mount"));
    let want = [("boot", ESP), (&a, LINUX), (&b, LINUX), (&state, LINUX), (&data, LINUX)];
    let want = want.map(|(name, kind)| Partition { name: name.into(), kind: kind.into(), label: Some(name.into()) });
    assert_eq!(wks(), want);
    // U-Boot loads the kernel by number.
    let script = text(&format!("{LAYER}/recipes-bsp/u-boot/u-boot_%.bbappend"));
    assert!(script.contains("s/@@PART_A@@/2/") && script.contains("s/@@PART_B@@/3/"));
    let script =
        text(&format!("{LAYER}/dynamic-layers/raspberrypi/recipes-bsp/rpi-u-boot-scr/rpi-u-boot-scr.bbappend"));
    assert!(script.contains("s/@@PART_A@@/2/") && script.contains("s/@@PART_B@@/3/"));
}

#[test]
fn the_disk_grows_by_the_same_partitions() {
    let folder = crate::top().join(LAYER).join("recipes-bsp/windhover-boot/files/repart.d");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("it is there").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| std::fs::read_to_string(path).expect("just listed");
    let found: Vec<(String, String)> = files
        .iter()
        .map(read)
        .map(|text| {
            let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
            (value("Label="), if value("Type=") == "esp" { ESP.into() } else { LINUX.into() })
        })
        .collect();
    let want: Vec<(String, String)> = wks().into_iter().map(|part| (part.name, part.kind)).collect();
    assert_eq!(found, want);
}

#[test]
fn the_flash_layout_of_jetson_agrees() {
    let parts = xml();
    let (a, b) = (&parts[&setting("WINDHOVER_SLOT_A:tegra")], &parts[&setting("WINDHOVER_SLOT_B:tegra")]);
    for tag in ["size", "filename", "partition_type_guid"] {
        assert_eq!(element(a, tag), element(b, tag), "{tag} of the slots");
    }
    assert_eq!(element(a, "size").as_deref(), Some("APPSIZE"));
    assert_eq!(element(a, "filename").as_deref(), Some("APPFILE"));
    assert_eq!(element(&parts["esp"], "partition_type_guid").as_deref(), Some(ESP));
    for name in [mounted("systemd/system/var-lib-windhover.mount"), mounted("systemd/system/data.mount")] {
        let part = parts.get(&name).unwrap_or_else(|| panic!("no partition {name}"));
        assert_eq!(element(part, "partition_type_guid").as_deref(), Some(LINUX), "{name}");
        // tegraparser stops at a file name that stands for nothing.
        assert_eq!(element(part, "filename"), None, "{name} is flashed empty");
    }
    let filling: Vec<&String> = parts
        .iter()
        .filter(|(_, body)| element(body, "allocation_attribute").as_deref() == Some("0x808"))
        .map(|(n, _)| n)
        .collect();
    assert_eq!(filling, ["windhover-data"], "one partition fills the disk");
    assert!(parts.keys().all(|name| name.len() <= 36), "GPT names have 36 characters");
}

#[test]
fn empty_partitions_get_the_label_that_is_mounted() {
    let rules = text("systemd/conf/udev.rules");
    let data = mounted("systemd/system/data.mount");
    let state = mounted("systemd/system/var-lib-windhover.mount");
    assert!(rules.contains(&format!("ENV{{ID_FS_LABEL}}==\"{data}\"")));
    assert!(rules.contains(&format!("ENV{{ID_PART_ENTRY_NAME}}==\"{data}|{state}\"")));
    let format = text("systemd/libexec/format-partition");
    assert!(format.contains(&format!("\n{data})\n")) && format.contains(&format!("\n{state}) ;;\n")));
    // systemd-makefs labels by the device's name; ext4 has room for 16 bytes.
    assert!(data.len() <= 16 && state.len() <= 16);
}

#[test]
fn rauc_writes_the_slots_that_are_booted() {
    let conf = text(&format!("{LAYER}/dynamic-layers/rauc/recipes-core/rauc/files/system.conf"));
    for (n, slot) in ["A", "B"].iter().enumerate() {
        let want =
            format!("[slot.rootfs.{n}]\ndevice=/dev/disk/by-partlabel/@SLOT_{slot}@\ntype=ext4\nbootname={slot}\n");
        assert!(conf.contains(&want), "{want}");
    }
    let bundle = text(&format!("{LAYER}/dynamic-layers/rauc/recipes-core/bundles/windhover-bundle.bb"));
    assert!(conf.contains("\ncompatible=windhover-@MACHINE@\n"));
    assert!(bundle.contains("\nRAUC_BUNDLE_COMPATIBLE = \"windhover-${MACHINE}\"\n"));
    let script = text(&format!("{LAYER}/recipes-bsp/u-boot/files/windhover-boot.cmd.in"));
    assert!(script.contains("root=PARTLABEL=${windhover_root}") && script.contains("rauc.slot=${windhover_slot}"));
    assert_eq!(setting("WINDHOVER_BOOTLOADER:tegra"), "custom", "slot-nvbootctrl is a custom backend");
    let manifest = text("systemd/manifest");
    for handler in ["rauc-pre-install", "slot-nvbootctrl"] {
        assert!(
            conf.contains(&format!("=/usr/libexec/windhover/{handler}\n")) && manifest.contains(handler),
            "{handler}"
        );
    }
}

#[test]
fn secrets_and_open_doors_stay_out_of_the_production_image() {
    let image = text(&format!("{LAYER}/recipes-core/images/windhover-image.bb"))
        + &text(&format!("{LAYER}/recipes-core/images/windhover-image.inc"))
        + &text(&format!("{LAYER}/conf/distro/windhover.conf"))
        + &text(&format!("{LAYER}/conf/distro/include/windhover-slots.inc"));
    for word in
        ["empty-root-password", "allow-root-login", "allow-empty-password", "debug", "ssh-server", "windhover-login"]
    {
        let words = image.replace("debuginfod", "");
        assert!(!words.contains(word), "{word}");
    }
    assert!(!image.contains("LICENSE_FLAGS_ACCEPTED"), "a decision of whoever ships it");
    let layer = walkdir::WalkDir::new(crate::top().join("yocto")).into_iter().flatten();
    for file in layer.filter(|entry| entry.file_type().is_file()) {
        let name = file.file_name().to_string_lossy();
        assert!(
            ![".pem", ".key", ".crt", ".p12"].iter().any(|ending| name.ends_with(ending)),
            "{}",
            file.path().display()
        );
        let text = std::fs::read(file.path()).expect("just listed");
        assert!(!String::from_utf8_lossy(&text).contains("PRIVATE KEY"), "{}", file.path().display());
    }
}

#[test]
fn every_watchdog_can_wait_as_long_as_pid_1_feeds_it() {
    let conf = text("systemd/conf/system.conf");
    let line =
        conf.lines().find_map(|line| line.strip_prefix("RuntimeWatchdogSec=")).expect("PID 1 feeds the watchdog");
    let seconds: u32 = line.trim_end_matches('s').parse().expect("seconds");
    for profile in windhover::board::profiles() {
        assert!(profile.watchdog.longest_s.is_none_or(|longest| seconds <= longest), "{}", profile.name);
    }
}

#[test]
fn the_profiles_name_what_the_images_have() {
    let boot_mount = text(&format!("{LAYER}/recipes-bsp/windhover-boot/files/boot.mount"));
    let u_boot = text(&format!("{LAYER}/recipes-bsp/u-boot/u-boot_%.bbappend"));
    for profile in windhover::board::profiles() {
        let Some(firmware) = profile.firmware else { continue };
        let tegra = profile.camera.stack == Some(windhover::media::csi::CameraStack::Argus);
        let suffix = if tegra { ":tegra" } else { "" };
        let slots = ["A", "B"].map(|slot| setting(&format!("WINDHOVER_SLOT_{slot}{suffix}")));
        assert_eq!(firmware.slots, slots, "{}", profile.name);
        if tegra {
            assert!(xml().contains_key(&firmware.boot), "{}", profile.name);
        } else {
            let what = format!("What=/dev/disk/by-partlabel/{}\nWhere={}\n", firmware.boot, firmware.boot_at.display());
            assert!(boot_mount.contains(&what) && wks()[0].name == firmware.boot, "{}", profile.name);
        }
        if profile.name == "qemuarm64" {
            assert!(u_boot.contains(&format!("console={}/", firmware.uart)));
        }
    }
    // Where the boot partition is mounted is where its files are looked for.
    for unit in ["windhover-factory-reset.service", "windhover-network.service"] {
        let unit = text(&format!("systemd/system/{unit}"));
        assert!(unit.contains("boot.mount boot-efi.mount"), "{unit}");
    }
}

#[test]
fn the_disk_that_is_formatted_is_the_one_that_is_mounted() {
    use windhover::storage::format::{LABEL, MOUNT};
    assert_eq!(mounted("systemd/system/data.mount"), LABEL);
    assert!(text("systemd/system/data.mount").contains(&format!("\nWhere={MOUNT}\n")));
}
