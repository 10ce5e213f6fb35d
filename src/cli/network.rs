//! `windhover network`: hostname and addresses of the board, from a console.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, Subcommand};

use super::{CliError, complain, say};
use crate::base::file;
use crate::board::network::{self, Address, Applied, Network, Places, Port};

/// The board's network: hostname, and fixed addresses or DHCP for each port.
///
/// The same stands in the file windhover/network.toml on the boot partition, which counts more. Port usb0 (the USB cable) always
/// is 192.168.55.1.
#[derive(Debug, Args)]
pub(super) struct NetworkArgs {
    #[command(subcommand)]
    what: What,
    /// The root of the board, for tests.
    #[arg(long, value_name = "DIRECTORY", default_value = "/", hide = true, global = true)]
    machine: PathBuf,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say what is set, and where.
    Show,
    /// Put in force what is set, as each start does. To be run as root.
    Apply,
    Set(SetArgs),
}

/// Set the hostname, or one port, and put that in force. To be run as root.
///
/// A port that was set before is replaced, others stay. Without --address it uses DHCP.
#[derive(Debug, Args)]
struct SetArgs {
    /// The board's name: HOSTNAME.local on the network.
    #[arg(long)]
    hostname: Option<String>,
    /// The port, such as eth0 or en*; without it, every wired one.
    #[arg(long)]
    port: Option<String>,
    /// Use DHCP on that port.
    #[arg(long, conflicts_with_all = ["address", "gateway"])]
    dhcp: bool,
    /// A fixed address with the length of its network: 192.168.1.10/24. May be given several times.
    #[arg(long, value_name = "ADDRESS/BITS")]
    address: Vec<Address>,
    /// Who passes on what is not for this network.
    #[arg(long, requires = "address")]
    gateway: Option<IpAddr>,
    /// A name server. May be given several times.
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<IpAddr>,
}

impl SetArgs {
    /// The settings with these changes.
    fn change(&self, mut network: Network) -> Network {
        if self.hostname.is_some() {
            network.hostname.clone_from(&self.hostname);
        }
        if self.dhcp || !self.address.is_empty() || !self.dns.is_empty() {
            network.ports.retain(|port| port.name != self.port);
            network.ports.push(Port {
                name: self.port.clone(),
                address: self.address.clone(),
                gateway: self.gateway,
                dns: self.dns.clone(),
            });
        }
        network
    }
}

pub(super) fn network(args: &NetworkArgs) -> Result<ExitCode, CliError> {
    let places = Places::below(&args.machine);
    let applied = match &args.what {
        What::Show => places.look(),
        What::Apply => put_in_force(&places, &args.machine)?,
        What::Set(wanted) => {
            set(&places, wanted)?;
            let applied = put_in_force(&places, &args.machine)?;
            if applied.from.as_deref().is_some_and(|from| from != places.own_file()) {
                complain("it is kept, but the file on the boot partition counts more");
            }
            applied
        }
    };
    say(&shown(&applied));
    if let Some(problem) = &applied.problem {
        complain(&format!("not in force: {problem}"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Keeps the change, if what comes of it is good.
fn set(places: &Places, wanted: &SetArgs) -> Result<(), CliError> {
    let path = places.own_file();
    let read = |path: &Path| file::read(path, 64 << 10).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    // What is there and wrong is replaced.
    let before = read(&path).and_then(|text| network::parse(&text).ok()).unwrap_or_default();
    let text = network::text(&wanted.change(before));
    network::parse(&text)?;
    file::replace(&path, text.as_bytes())
        .map_err(|source| CliError::System { doing: format!("writing {}", path.display()), source })
}

fn put_in_force(places: &Places, machine: &Path) -> Result<Applied, CliError> {
    let applied = network::apply(places)?;
    // At a start networkd reads the files by itself a moment later; where it does not run there is nobody to tell.
    if machine.join("run/systemd/netif").exists() {
        match Command::new("networkctl").arg("reload").output() {
            Ok(out) if out.status.success() => {}
            Ok(out) => complain(&format!("networkctl reload: {}", String::from_utf8_lossy(&out.stderr).trim())),
            Err(e) => complain(&format!("networkctl cannot be run, a restart is needed: {e}")),
        }
    }
    Ok(applied)
}

fn shown(applied: &Applied) -> String {
    let Some(from) = &applied.from else {
        return "nothing is set: every wired port uses DHCP, with an address 169.254.x.y where nobody answers\n".into();
    };
    let mut out = format!("# {}\n", from.display());
    let _ = write!(out, "{}", network::text(&applied.network));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(machine: &Path, set: SetArgs) -> Result<ExitCode, CliError> {
        network(&NetworkArgs { what: What::Set(set), machine: machine.into() })
    }

    fn nothing() -> SetArgs {
        SetArgs { hostname: None, port: None, dhcp: false, address: vec![], gateway: None, dns: vec![] }
    }

    #[test]
    fn ports_are_set_one_by_one_and_a_bad_one_is_not_kept() {
        let machine = tempfile::tempdir().unwrap();
        let places = Places::below(machine.path());
        std::fs::create_dir_all(places.hostname.parent().unwrap()).unwrap();
        let eth = |address: &str, gateway: Option<&str>| SetArgs {
            port: Some("eth0".into()),
            address: vec![address.parse().unwrap()],
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
            ..nothing()
        };
        run(machine.path(), eth("10.0.0.7/8", None)).unwrap();
        run(machine.path(), SetArgs { dhcp: true, hostname: Some("kestrel".into()), ..nothing() }).unwrap();
        run(machine.path(), eth("10.0.0.8/8", Some("10.0.0.1"))).unwrap();
        let kept = || std::fs::read_to_string(places.own_file()).unwrap();
        let network = network::parse(&kept()).unwrap();
        assert_eq!((network.hostname.as_deref(), network.ports.len()), (Some("kestrel"), 2));
        assert_eq!(network.ports[1].address[0].to_string(), "10.0.0.8/8");
        let before = kept();
        let refused = run(machine.path(), eth("10.0.0.8/8", Some("11.0.0.1"))).unwrap_err().to_string();
        assert!(kept() == before && !refused.is_empty());
        assert!(run(machine.path(), SetArgs { hostname: Some("Two Words".into()), ..nothing() }).is_err());
        assert_eq!(std::fs::read_dir(&places.units).unwrap().count(), 2);
    }
}
