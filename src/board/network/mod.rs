//! The board's network as one small file says it: hostname, and for each port DHCP or fixed addresses. It comes from the boot
//! partition, where a card reader reaches it, or from the state directory, where `windhover network set` puts it; what comes
//! of it are files for systemd-networkd. A wrong file changes nothing: the last good one stays in force, and a fault says so.

mod apply;
mod settings;

pub use apply::{Applied, ApplyError, PROBLEM, Places, apply, problem};
pub use settings::{Address, Network, NetworkError, Port, parse, text};
