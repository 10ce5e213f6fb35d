//! The files as they lie on a board: staged by the install manifest, judged by systemd.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{run, text, top};

const SETS: [&str; 5] = ["daemon", "jetson", "firmware", "nvbootctrl", "dev"];
const UNITS: &str = "usr/lib/systemd/system";

/// Keys of a systemd newer than the one that may run this test (Debian 12: 252), each with the version it came with.
const NEWER: [(&str, u32); 2] = [("RestartSteps", 254), ("RestartMaxDelaySec", 254)];

/// A root with everything of the manifest in it, and the distribution's units that ours refer to.
fn stage() -> TempDir {
    let root = tempfile::tempdir().expect("a temporary folder can be made");
    let binary = root.path().join("binary");
    std::fs::write(&binary, "").expect("it is empty");
    let mut install = Command::new(top().join("tools/install"));
    install.args(["--destdir", root.path().to_str().expect("UTF-8"), "--enable", "--binary"]).arg(&binary);
    SETS.iter().for_each(|set| {
        install.args(["--set", set]);
    });
    run(&mut install).ok();
    let units = root.path().join(UNITS);
    // What exists there already is ours and stays.
    run(Command::new("cp").args(["-an", "/usr/lib/systemd/system/."]).arg(&units)).ok();
    // verify looks whether programs that are started are there.
    for program in ["bin/rm", "bin/kill", "usr/bin/install"] {
        let path = root.path().join(program);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("the root can be written");
        std::fs::copy("/bin/true", path).expect("/bin/true is everywhere");
    }
    root
}

fn own_units(root: &Path) -> Vec<String> {
    let names = std::fs::read_dir(root.join(UNITS)).expect("just staged").flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let ours = |name: &String| {
        let unit = [".service", ".timer", ".mount", ".socket"].iter().any(|ending| name.ends_with(ending));
        unit && (name.contains("windhover") || name == "data.mount")
    };
    names.filter(ours).map(|name| name.replace("@.", "@windhover-data.")).collect()
}

/// The version of the systemd that judges.
fn systemd() -> u32 {
    let said = run(Command::new("systemd-analyze").arg("--version")).ok();
    let word = said.split_whitespace().nth(1).expect("systemd 252 (...)");
    word.parse().unwrap_or_else(|e| panic!("{word}: {e}"))
}

/// Takes the keys out that are too new for the systemd that judges: it would say so, and that is known.
fn leave_out_newer(root: &Path) {
    let have = systemd();
    let unit = root.join(UNITS).join("windhover.service");
    let text = std::fs::read_to_string(&unit).expect("staged");
    for (key, _) in NEWER {
        assert_eq!(text.lines().filter(|line| line.starts_with(&format!("{key}="))).count(), 1, "{key} is used once");
    }
    let too_new = |line: &&str| NEWER.iter().any(|(key, since)| *since > have && line.starts_with(&format!("{key}=")));
    let kept: String = text.lines().filter(|line| !too_new(line)).flat_map(|line| [line, "\n"]).collect();
    std::fs::write(unit, kept).expect("it is a copy");
}

#[test]
fn systemd_takes_every_unit() {
    let root = stage();
    leave_out_newer(root.path());
    let units = own_units(root.path());
    assert!(units.len() > 10, "{units:?}");
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=yes", "--root"]).arg(root.path()).args(&units);
    let said = run(&mut verify);
    let ours = |line: &&str| line.contains("windhover") || line.contains("data.mount");
    let wrong: Vec<&str> = said.err.lines().filter(ours).collect();
    assert!(wrong.is_empty() && said.code == Some(0), "{}{}", said.err, said.out);
}

#[test]
fn the_sandbox_stays_tight() {
    let root = stage();
    for (unit, limit) in [("windhover.service", "21"), ("windhover-health.service", "12")] {
        let mut security = Command::new("systemd-analyze");
        security
            .args(["security", "--offline=yes", "--no-pager", "--threshold", limit, "--root"])
            .arg(root.path())
            .arg(unit);
        let said = run(&mut security);
        assert_eq!(said.code, Some(0), "{unit} is more exposed than {limit}/10:\n{}{}", said.out, said.err);
    }
    let unit = text("systemd/system/windhover.service");
    // Each takes cameras or GPUs away (systemd.exec(5)); a tighter score is not worth them.
    for key in ["PrivateDevices=", "DeviceAllow=", "DevicePolicy=", "ProtectClock=", "PrivateUsers=", "ProcSubset="] {
        assert!(!unit.lines().any(|line| line.starts_with(key)), "{key} in windhover.service");
    }
}

#[test]
fn a_boot_is_complete_only_after_the_health_check() {
    let root = stage();
    let wants = |path: &str| root.path().join("etc/systemd/system").join(path).symlink_metadata().is_ok();
    assert!(wants("boot-complete.target.requires/windhover-health.service"));
    assert!(wants("multi-user.target.wants/windhover.service"));
    assert!(wants("multi-user.target.wants/data.mount") && wants("data.mount.wants/windhover-data.service"));
    assert!(!wants("local-fs.target.requires/data.mount"), "a missing disk must not end in emergency mode");
    let health = text("systemd/system/windhover-health.service");
    assert!(health.contains("\nBefore=boot-complete.target\n"));
    // Both that confirm a slot wait for it: RAUC's own unit does (meta-rauc), NVIDIA's by the drop-in.
    let gate = root.path().join(UNITS).join("nv_update_verifier.service.d/windhover.conf");
    let gate = std::fs::read_to_string(gate).expect("staged");
    assert!(gate.contains("Requires=boot-complete.target") && gate.contains("After=boot-complete.target"));
    let seconds = |key: &str| {
        let line = health.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key}"));
        line.trim_end_matches('s').parse::<u32>().unwrap_or_else(|e| panic!("{key}{line}: {e}"))
    };
    assert!(seconds("TimeoutStartSec=") < 75, "UEFI resets a board that is not confirmed in some 120 s");
    let wait = health.split("--wait ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a bound is named");
    assert!(wait.trim_end_matches('s').parse::<u32>().expect("seconds") < seconds("TimeoutStartSec="));
}

#[test]
fn the_manifest_and_the_folder_name_the_same_files() {
    let manifest = text("systemd/manifest");
    let lines = manifest.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut listed = BTreeSet::new();
    for line in lines {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [set, kind, _, source, _] = fields[..] else { panic!("five fields, not: {line}") };
        assert!(SETS.contains(&set), "{line}");
        match kind {
            "file" if source.starts_with("systemd/") => {
                assert!(top().join(source).is_file(), "{source} is not there");
                listed.insert(PathBuf::from(source));
            }
            "file" | "dir" | "link" => {}
            "enable" => {
                let unit = text(&format!("systemd/system/{source}"));
                assert!(unit.contains("\n[Install]\n"), "{source} cannot be enabled");
            }
            _ => panic!("no kind of line: {line}"),
        }
    }
    let walk = walkdir::WalkDir::new(top().join("systemd")).into_iter().flatten();
    let files = walk.filter(|entry| entry.file_type().is_file());
    let files = files.map(|entry| entry.path().strip_prefix(top()).expect("below the top").to_owned());
    let there: BTreeSet<PathBuf> =
        files.filter(|path| !["manifest", "README.md"].iter().any(|n| path.ends_with(n))).collect();
    assert_eq!(listed, there);
}

#[test]
fn the_shipped_configuration_is_good() {
    use windhover::config::{Inputs, load};
    let (config, problems) = load(&Inputs { named: Some(top().join("systemd/windhover.toml")), ..Inputs::default() });
    assert!(problems.is_empty(), "{problems}");
    assert_eq!(config.storage_path(), Path::new("/data/video"), "what windhover-data.service makes");
    assert!(text("systemd/system/windhover-data.service").contains(" /data/video\n"));
}

#[test]
fn users_are_the_same_in_the_recipe() {
    let sysusers = text("systemd/conf/sysusers.conf");
    let groups: Vec<&str> = sysusers.lines().filter_map(|line| line.strip_prefix("m windhover ")).collect();
    let recipe = text("yocto/meta-windhover/recipes-multimedia/windhover/windhover_0.1.0.bb");
    assert!(recipe.contains(&format!("--groups {} windhover", groups.join(","))), "{groups:?}");
}

#[test]
fn a_set_that_is_not_there_is_refused() {
    let root = tempfile::tempdir().expect("a temporary folder can be made");
    let mut install = Command::new(top().join("tools/install"));
    let said = run(install.arg("--destdir").arg(root.path()).args(["--set", "no-such-set"]));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("knows no set \"no-such-set\""), "{}", said.err);
    assert_eq!(std::fs::read_dir(root.path()).expect("it is there").count(), 0, "nothing is half installed");
}

#[test]
fn the_container_is_small_and_runs_as_nobody_special() {
    let text = text("Containerfile");
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let instructions: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(' ')).collect();
    let of = |name: &str| instructions.iter().filter(|(i, _)| *i == name).map(|(_, rest)| *rest).collect::<Vec<_>>();
    let images = of("FROM");
    assert!(images.iter().all(|image| image.contains(':') && !image.contains(":latest")), "{images:?}");
    for run in of("RUN").iter().filter(|run| run.contains("apt-get")) {
        assert!(run.contains("--no-install-recommends") && run.contains("rm -rf /var/lib/apt/lists"), "{run}");
    }
    let last = instructions.iter().rposition(|(i, _)| *i == "FROM").expect("there is an image");
    let user = instructions[last..].iter().find(|(i, _)| *i == "USER").map(|(_, user)| *user);
    assert_eq!(user, Some("windhover"));
    let rust = text.split("rust:").nth(1).and_then(|rest| rest.split('-').next());
    assert_eq!(rust, Some(env!("CARGO_PKG_RUST_VERSION")), "the Rust of Cargo.toml");
}
