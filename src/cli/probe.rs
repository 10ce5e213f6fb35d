//! `windhover probe`: what is there.

use std::process::ExitCode;

use clap::Args;

use crate::app::prepare::{self, Resolved};
use crate::plan::camera::NoMode;
use crate::plan::control::range;
use crate::plan::inventory::{Camera, CsiCamera, Inventory};
use crate::probe::Depth;
use crate::probe::elements::describe;

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
    let Resolved { board, inventory, .. } = prepare::resolve(&config, None, Depth::All)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::csi::CameraStack;
    use crate::media::format::{FrameRate, PixelFormat, Size};
    use crate::plan::inventory::Mode;

    #[test]
    fn sensors_are_listed_with_what_opens_them() {
        let mode = |size, rates: &[u32]| Mode {
            format: PixelFormat::NV12,
            size,
            range: None,
            rates: rates.iter().map(|rate| FrameRate::whole(*rate)).collect(),
        };
        let mut inventory = Inventory {
            csi: vec![CsiCamera {
                stack: CameraStack::Argus,
                number: 1,
                name: "vi-output, imx477 10-001a".into(),
                node: Some("/dev/video1".into()),
                modes: vec![mode(Size::new(3840, 2160), &[30]), mode(Size::new(640, 480), &[])],
            }],
            ..Inventory::default()
        };
        let lines = |inventory: &Inventory| text(inventory).lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
        let head = "camera        csi sensor 1: vi-output, imx477 10-001a (argus, ";
        let missing = format!("{head}but nvarguscamerasrc is not installed)");
        let rest = ["  node        /dev/video1", "  mode        3840x2160 up to 30", "  mode        640x480"];
        assert_eq!(lines(&inventory)[0], missing);
        inventory.elements.push("nvarguscamerasrc".into());
        let found = lines(&inventory);
        assert_eq!(found[0], format!("{head}by nvarguscamerasrc)"));
        assert_eq!(found[1..], rest);
    }
}
