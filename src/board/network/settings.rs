//! `network.toml`: what it may say, and the systemd.network(5) files that come of it. Pure.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// No board has more.
const MOST_PORTS: usize = 16;
/// For one port.
const MOST_ADDRESSES: usize = 8;
/// The port on the USB cable (`60-windhover-usb.network`).
const USB: &str = "usb0";

/// What is wrong in a `network.toml`.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// It is no TOML, or has another key or kind of value than there is. The line itself is not repeated: a file that is not
    /// meant for this may hold a secret.
    #[error("line {line}: {message}")]
    Form {
        /// Where, from 1.
        line: usize,
        /// What.
        message: String,
    },
    /// What it says cannot be.
    #[error("{}", .0.join("; "))]
    Content(Vec<String>),
}

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The board's name: `<hostname>.local` by mDNS. Without it, the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Ports that are not to do what the image says.
    #[serde(default, rename = "port", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
}

/// One port, or several of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its name, such as `eth0`, or a pattern, `en*`. Without it: every wired port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Fixed addresses with the length of their network. Without one: DHCP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<Address>,
    /// Who passes on what is not for this network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
}

/// `192.168.1.10/24`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The address of this board.
    pub ip: IpAddr,
    /// So many bits of it are the network's.
    pub prefix: u8,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{}\" is no address with its network, such as \"192.168.1.10/24\"", short(text));
        let (ip, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let (ip, prefix): (IpAddr, u8) = (ip.parse().map_err(|_| wrong())?, prefix.parse().map_err(|_| wrong())?);
        let most = if ip.is_ipv4() { 32 } else { 128 };
        if !(1..=most).contains(&prefix) || ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
            return Err(wrong());
        }
        Ok(Self { ip, prefix })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

impl Address {
    /// True if `other` can be reached without a gateway.
    fn holds(&self, other: IpAddr) -> bool {
        let bits = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let shift = 128 - u32::from(self.prefix);
        self.ip.is_ipv4() == other.is_ipv4() && bits(self.ip) >> shift == bits(other) >> shift
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// Reads a `network.toml`.
pub fn parse(text: &str) -> Result<Network, NetworkError> {
    let network: Network = toml::from_str(text).map_err(|e| {
        let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        NetworkError::Form {
            line: before.matches('\n').count() + 1,
            message: e.message().chars().filter(|c| !c.is_control()).take(200).collect(),
        }
    })?;
    let problems = network.problems();
    if problems.is_empty() { Ok(network) } else { Err(NetworkError::Content(problems)) }
}

/// The `network.toml` that says this.
pub fn text(network: &Network) -> String {
    toml::to_string(network).expect("strings and lists of strings are always TOML")
}

impl Network {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(name) = &self.hostname
            && !is_hostname(name)
        {
            problems.push(format!(
                "hostname: \"{}\" is none: 1 to 63 of a-z, 0-9 and '-', neither first nor last",
                short(name)
            ));
        }
        if self.ports.len() > MOST_PORTS {
            problems.push(format!("port: {} of them, at most {MOST_PORTS} may be", self.ports.len()));
            return problems;
        }
        for (n, port) in self.ports.iter().enumerate() {
            problems.extend(port.problems().into_iter().map(|problem| format!("port[{n}].{problem}")));
            if self.ports[..n].iter().any(|other| other.name == port.name) {
                let name = port.name.as_deref().unwrap_or("every wired port");
                problems.push(format!("port[{n}].name: {} is there twice", short(name)));
            }
        }
        problems
    }

    /// The files for systemd-networkd, by name. They come before what the image has, the port with a name before the others.
    pub fn files(&self) -> Vec<(String, String)> {
        let file = |(n, port): (usize, &Port)| {
            let order = if port.name.is_some() { 10 } else { 19 };
            (format!("{order}-windhover-{n:02}.network"), port.unit())
        };
        self.ports.iter().enumerate().map(file).collect()
    }
}

impl Port {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(name) = &self.name {
            // IFNAMSIZ is 16 with the final NUL.
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
            if name.is_empty() || name.len() > 15 || !name.chars().all(fits) {
                problems.push(format!("name: \"{}\" is no name of a port, such as eth0 or en*", short(name)));
            } else if name == USB || name == "lo" || name == "*" {
                problems.push(format!("name: {name} stays as it is: the USB cable must always lead in"));
            }
        }
        if self.address.len() > MOST_ADDRESSES || self.dns.len() > MOST_ADDRESSES {
            problems.push(format!("address, dns: at most {MOST_ADDRESSES} of each"));
        }
        if let Some(gateway) = self.gateway {
            if self.address.is_empty() {
                problems.push("gateway: DHCP names it; with an address of your own it may stand here".into());
            } else if !self.address.iter().any(|address| address.holds(gateway) && address.ip != gateway) {
                problems.push(format!("gateway: {gateway} is in none of the networks of address"));
            }
        }
        problems
    }

    fn unit(&self) -> String {
        let mut text = String::from("# Made by \"windhover network apply\" at each start.\n[Match]\n");
        let line = |text: &mut String, key: &str, value: &dyn fmt::Display| {
            let _ = writeln!(text, "{key}={value}");
        };
        match &self.name {
            Some(name) => line(&mut text, "Name", name),
            None => text.push_str("Type=ether\nKind=!*\n"),
        }
        text.push_str("\n[Network]\nLinkLocalAddressing=yes\nMulticastDNS=yes\nLLMNR=no\n");
        line(&mut text, "DHCP", &if self.address.is_empty() { "yes" } else { "no" });
        self.address.iter().for_each(|address| line(&mut text, "Address", address));
        self.gateway.iter().for_each(|gateway| line(&mut text, "Gateway", gateway));
        self.dns.iter().for_each(|dns| line(&mut text, "DNS", dns));
        // As in the image's own file: the same lease after every boot of a read-only root.
        text.push_str("\n[DHCPv4]\nClientIdentifier=mac\n\n[Link]\nRequiredForOnline=no\n");
        text
    }
}

fn is_hostname(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('-') && !name.ends_with('-')
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_file_becomes_units() {
        let network = parse(
            "hostname = \"kestrel-7\"\n[[port]]\nname = \"eth0\"\naddress = [\"192.168.1.10/24\", \"fd00::7/64\"]\n\
             gateway = \"192.168.1.1\"\ndns = [\"192.168.1.1\", \"fd00::1\"]\n[[port]]\n",
        )
        .unwrap();
        let files = network.files();
        assert_eq!((files[0].0.as_str(), files[1].0.as_str()), ("10-windhover-00.network", "19-windhover-01.network"));
        for line in [
            "[Match]\nName=eth0\n",
            "DHCP=no\nAddress=192.168.1.10/24\nAddress=fd00::7/64\nGateway=192.168.1.1\nDNS=192.168.1.1\nDNS=fd00::1\n",
        ] {
            assert!(files[0].1.contains(line), "{}", files[0].1);
        }
        assert!(files[1].1.contains("[Match]\nType=ether\nKind=!*\n") && files[1].1.contains("DHCP=yes\n"));
        assert_eq!(parse(&text(&network)).unwrap(), network, "what is written is read");
        assert_eq!(parse("").unwrap(), Network::default());
    }

    #[test]
    fn every_problem_is_named() {
        for (file, want) in [
            ("\nhostnam = \"x\"", "line 2: unknown field `hostnam`, expected `hostname` or `port`"),
            ("[[port]]\nadress = []", "unknown field `adress`"),
            ("[[port]]\naddress = [\"192.168.1.10\"]", "is no address with its network"),
            ("[[port]]\naddress = [\"192.168.1.10/33\"]", "is no address with its network"),
            ("[[port]]\naddress = [\"127.0.0.1/8\"]", "is no address with its network"),
            ("[[port]]\naddress = \"dhcp\"", "invalid type"),
            ("[[port]]\ndns = [\"resolver\"]", "invalid IP address"),
            ("hostname = \"-x\"", "hostname: \"-x\" is none"),
            ("hostname = \"x\\ny\"", "hostname: \"xy\" is none"),
            ("[[port]]\nname = \"eth0\\n[Network]\"", "port[0].name: \"eth0[Network]\" is no name"),
            ("[[port]]\nname = \"usb0\"", "port[0].name: usb0 stays as it is"),
            ("[[port]]\n[[port]]", "port[1].name: every wired port is there twice"),
            ("[[port]]\ngateway = \"10.0.0.1\"", "port[0].gateway: DHCP names it"),
            ("[[port]]\naddress = [\"10.0.0.2/8\"]\ngateway = \"11.0.0.1\"", "port[0].gateway: 11.0.0.1 is in none"),
            ("[[port]]\naddress = [\"fd00::2/64\"]\ngateway = \"fd00::2\"", "is in none of the networks"),
            ("\u{fffd}", "key"),
        ] {
            let e = parse(file).unwrap_err().to_string();
            assert!(e.contains(want), "{file:?}: {e}");
        }
        let both = parse("hostname = \"\"\n[[port]]\nname = \"\"").unwrap_err().to_string();
        assert!(both.contains("hostname") && both.contains("port[0].name"), "all at once: {both}");
        let many = "[[port]]\n".repeat(17);
        assert!(parse(&many).unwrap_err().to_string().contains("at most 16"));
    }
}
