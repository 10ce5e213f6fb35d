//! `windhover probe`: what is there.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use crate::base::clock::SystemClock;
use crate::plan;
use crate::plan::camera::NoMode;
use crate::plan::control::range;
use crate::plan::inventory::{Camera, CsiCamera, Inventory};
use crate::probe::elements::describe;
use crate::probe::self_test::Command;
use crate::probe::{Depth, Probe, compatible};

use super::{CliError, ConfigArgs, say};

/// Show what this machine has: cameras with their formats, encoders with the result of their self-test.
///
/// Saved as JSON, the inventory is the input of `windhover check --inventory` on any other machine.
#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the inventory as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn probe(args: &ProbeArgs) -> Result<ExitCode, CliError> {
    // A configuration with problems still names a board, and the cameras are of interest in any case.
    let (config, _) = args.config.load();
    let compatible = compatible();
    let (board, _) = plan::board(&config, &compatible);
    let inventory = Probe {
        profile: &board.profile,
        stack: plan::stack(&config, &board),
        compatible,
        state_dir: &config.directories.state,
        command: Command::own().map_err(CliError::Executable)?,
        clock: Arc::new(SystemClock),
        depth: Depth::All,
    }
    .inventory()?;
    if args.json {
        say(&format!("{}\n", serde_json::to_string_pretty(&inventory).expect("an inventory is plain data")));
    } else {
        let head = format!("board         {} ({})", board.profile.name, board.reason);
        say(&format!("{head}\n{}", text(&inventory)));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(inventory: &Inventory) -> String {
    let mut lines = vec![format!("cores         {}", inventory.cores)];
    if !inventory.compatible.is_empty() {
        lines.push(format!("device tree   {}", inventory.compatible.join(", ")));
    }
    for encoder in &inventory.encoders {
        lines.push(format!("encoder       {}: {}", encoder.element, describe(&encoder.test)));
    }
    if inventory.encoders.is_empty() {
        lines.push("encoder       none of this board's table is installed".into());
    }
    let unreadable = &inventory.unreadable;
    lines.extend((!unreadable.is_empty()).then(|| format!("camera        {}", NoMode::Unreadable(unreadable.clone()))));
    if inventory.cameras.is_empty() && unreadable.is_empty() && inventory.csi.is_empty() {
        lines.push("camera        none".into());
    }
    inventory.csi.iter().for_each(|camera| lines.extend(sensor_lines(camera, &inventory.elements)));
    inventory.cameras.iter().for_each(|camera| lines.extend(camera_lines(camera)));
    lines.push(String::new());
    lines.join("\n")
}

fn sensor_lines(camera: &CsiCamera, installed: &[String]) -> Vec<String> {
    let (stack, element) = (camera.stack, camera.stack.element());
    let there = installed.iter().any(|one| one == element);
    let by = if there { format!("by {element}") } else { format!("but {element} is not installed") };
    let head = format!("camera        csi sensor {}: {} ({stack}, {by})", camera.number, camera.name);
    let node = camera.node.iter().map(|node| format!("  node        {}", node.display()));
    let modes = camera.modes.iter().map(|mode| {
        let smallest = mode.range.map(|range| format!("{} to ", range.smallest)).unwrap_or_default();
        let rates: Vec<_> = mode.rates.iter().map(ToString::to_string).collect();
        let rates = if rates.is_empty() { String::new() } else { format!(" up to {}", rates.join(", ")) };
        format!("  mode        {smallest}{}{rates}", mode.size)
    });
    std::iter::once(head).chain(node).chain(modes).collect()
}

fn camera_lines(camera: &Camera) -> Vec<String> {
    let head = format!("camera        {} {} ({}, {})", camera.node.display(), camera.name, camera.driver, camera.bus);
    let links = [&camera.by_id, &camera.by_path].into_iter().flatten().chain(&camera.links);
    let links = links.map(|link| format!("  link        {}", link.display()));
    let modes = camera.modes.iter().map(|mode| {
        let smallest = mode.range.map(|range| format!("{} to ", range.smallest)).unwrap_or_default();
        let rates: Vec<_> = mode.rates.iter().map(ToString::to_string).collect();
        let rates = if rates.is_empty() { "rates unknown".to_owned() } else { format!("at {}", rates.join(", ")) };
        format!("  mode        {:<5} {smallest}{} {rates}", mode.format.to_string(), mode.size)
    });
    let controls = camera.controls.iter().map(|control| {
        let now = control.current.map(|now| format!(", now {now}")).unwrap_or_default();
        let inactive = if control.inactive { ", without effect now" } else { "" };
        let read_only = if control.read_only { ", read only" } else { "" };
        format!("  control     {}, default {}{now}{inactive}{read_only}", range(control), control.default)
    });
    std::iter::once(head).chain(links).chain(modes).chain(controls).collect()
}
