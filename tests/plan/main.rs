//! Golden Plans: saved inventories of boards and machines, with configurations, give exactly these texts.
//!
//! `WINDHOVER_BLESS=1 cargo test --test plan` writes them anew; read the difference before committing it.

mod command;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use windhover::config::{Environment, Inputs, load};
use windhover::plan;
use windhover::plan::inventory::Inventory;

/// Inventory and configuration of each golden text.
const CASES: &[(&str, &str)] = &[
    ("laptop-bare", "none"),
    ("laptop-bare", "board"),
    ("laptop-bare", "two"),
    ("laptop-uvc", "none"),
    ("laptop-uvc", "board"),
    ("laptop-uvc", "native"),
    ("laptop-uvc", "too-fast"),
    ("laptop-uvc", "too-large"),
    ("laptop-uvc", "sim"),
    ("laptop-uvc", "controls"),
    ("laptop-no-encoder", "none"),
    ("laptop-no-encoder", "two"),
    ("orin-nano", "none"),
    ("orin-nano", "board"),
    ("orin-nano", "upside-down-4k"),
    ("agx-orin", "none"),
    ("agx-orin", "upside-down-4k"),
    ("orin-nx", "none"),
    ("orin-nx-broken", "none"),
    ("thor", "none"),
    ("raspberry-pi-4", "none"),
    ("raspberry-pi-4", "upside-down-4k"),
    ("raspberry-pi-5", "none"),
    ("agx-orin-csi", "none"),
    ("agx-orin-csi", "sensor"),
    ("agx-orin-csi", "sensors"),
    ("orin-nx-csi", "none"),
    ("orin-nano-csi", "none"),
    ("orin-nano-csi", "sensor"),
    ("thor-csi", "none"),
    ("raspberry-pi-4-csi", "none"),
    ("raspberry-pi-4-csi", "sensor"),
    ("raspberry-pi-5-csi", "none"),
    ("laptop-uvc", "sensor"),
    ("qemuarm64", "none"),
    ("sim", "sim"),
    ("sim-range", "none"),
    ("sim-range", "too-fast"),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan").join(name)
}

fn inventory(name: &str) -> Inventory {
    let text = std::fs::read_to_string(folder("inventories").join(format!("{name}.json"))).expect("it is committed");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The Plan as `check` prints it, and below it what is wrong; paths of this machine taken out.
fn text(inventory_name: &str, config_name: &str) -> String {
    let file = folder("configs").join(format!("{config_name}.toml"));
    let environment: Environment =
        [("HOME", "/u/pilot"), ("XDG_RUNTIME_DIR", "/run/user/1000")].map(|(k, v)| (k.into(), v.into())).into();
    let (config, mut problems) = load(&Inputs { named: Some(file.clone()), layers: vec![], environment });
    let inventory = inventory(inventory_name);
    let (board, more) = plan::board(&config, &inventory.compatible);
    problems.add_unless_known(more);
    let resolution = plan::resolve(&config, &board, &inventory);
    problems.add_unless_known(resolution.problems);
    let text = format!("{}\n{problems}", plan::text(&resolution.plan));
    let text = text.replace(&file.display().to_string(), &format!("{config_name}.toml"));
    format!("{}\n", text.trim_end())
}

#[test]
fn every_plan_is_the_golden_one() {
    let mut wrong = Vec::new();
    for (inventory, config) in CASES {
        let path = folder("golden").join(format!("{inventory}.{config}.txt"));
        let found = text(inventory, config);
        if std::env::var_os("WINDHOVER_BLESS").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        if golden != found {
            wrong.push(format!("--- {}\n{golden}\n+++ now\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_is_used_and_says_where_it_comes_from() {
    let files = |name: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(folder(name)).unwrap();
        entries.map(|e| e.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    let of = |part: fn(&(&str, &str)) -> String| -> BTreeSet<String> { CASES.iter().map(part).collect() };
    assert_eq!(files("inventories"), of(|(inventory, _)| (*inventory).to_owned()));
    assert_eq!(files("configs"), of(|(_, config)| (*config).to_owned()));
    assert_eq!(files("golden"), of(|(inventory, config)| format!("{inventory}.{config}")));
    for name in files("inventories") {
        let provenance = inventory(&name).provenance;
        assert!(provenance.starts_with("captured") || provenance.starts_with("constructed"), "{name}: {provenance}");
    }
}

#[test]
fn boards_without_an_encoder_say_why_they_use_the_processor() {
    for (board, why) in
        [("orin-nano", "this module has no NVENC"), ("raspberry-pi-5", "this chip has no H.264 encoder")]
    {
        let plan = text(board, "none").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plan.contains("encoder x264enc because ") && plan.contains(why), "{plan}");
    }
}

#[test]
fn an_inventory_survives_its_file() {
    for (name, _) in CASES {
        let inventory = inventory(name);
        let again: Inventory = serde_json::from_str(&serde_json::to_string(&inventory).unwrap()).unwrap();
        assert_eq!(again, inventory, "{name}");
    }
}
