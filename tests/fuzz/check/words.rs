//! Short texts with a form: quantities, names of recordings, mount tables, URLs, network settings.

use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;

use windhover::base::id::StreamId;
use windhover::base::redact;
use windhover::base::units::{Bitrate, ByteSize, Span};
use windhover::board::network;
use windhover::media::format::{FrameRate, Size};
use windhover::storage::layout::{self, Completeness, Kind};
use windhover::storage::mounts::Mounts;

/// What can be read is printed so that it reads as the same again; what cannot is refused in few words.
pub fn units(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    round_trip::<Bitrate>(text);
    if let Ok(size) = text.parse::<ByteSize>() {
        // Printed for people, with one decimal: near the value, and what is printed is understood.
        let printed: ByteSize = size.to_string().parse().unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert!(printed.bytes().abs_diff(size.bytes()) <= size.bytes() / 19, "{text:?} is printed as {size}");
    }
    round_trip::<Span>(text);
    round_trip::<Size>(text);
    if let Some(rate) = round_trip::<FrameRate>(text) {
        assert!(rate.num > 0 && rate.den > 0 && (1.0..=240.0).contains(&rate.as_f64()), "{rate}");
        assert!(rate.period().as_nanos() >= 4_000_000);
    }
    match StreamId::new(text) {
        Ok(id) => assert_eq!(id.as_str(), text),
        Err(e) => assert!(e.to_string().chars().count() < 300),
    }
}

fn round_trip<T: FromStr<Err: Display> + Display + Debug + PartialEq>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(value) => {
            let printed = value.to_string();
            let again = printed.parse::<T>().unwrap_or_else(|e| panic!("{text:?}: {e}"));
            assert_eq!(again, value, "{text:?} is printed as {printed:?}");
            Some(value)
        }
        Err(e) => {
            assert!(e.to_string().chars().count() < 300, "{e}");
            None
        }
    }
}

/// A name is understood only if it is, letter by letter, the one that we would give.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let (Some(stream), Some(day), Some(file)) = (lines.next(), lines.next(), lines.next()) else { return };
    let Ok(stream) = StreamId::new(stream) else { return };
    for kind in Kind::ALL {
        if let Some((name, completeness)) = layout::parse(&stream, kind, day, file) {
            let path = match completeness {
                Completeness::Open => layout::open(&stream, kind, &name),
                Completeness::Finished => layout::finished(&stream, kind, &name),
            };
            assert_eq!(path, layout::kind_folder(&stream, kind).join(day).join(file));
        }
    }
    if let Some(name) = layout::parse_quarantined(&stream, file) {
        let open = layout::quarantined(&stream, &name);
        assert_eq!(open.to_str().expect("our names are text").trim_end_matches(".part"), {
            let path = layout::quarantine_folder(&stream).join(file);
            path.to_str().expect("made from text").trim_end_matches(".part").to_owned()
        });
    }
}

/// Mount tables of any content: nothing but what they name is ever called missing.
pub fn mounts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut parts = text.split('\u{1f}');
    let mut part = || parts.next().unwrap_or_default();
    let (path, fstab, units, mountinfo) = (part(), part(), part(), part());
    let mounts = Mounts::of(fstab, units.lines(), mountinfo);
    if let Some(point) = mounts.missing_for(Path::new(path)) {
        assert!(point.is_absolute() && Path::new(path).starts_with(point), "{point:?} of {path:?}");
    }
    // What is mounted is not missing.
    let root = Mounts::of("", std::iter::empty(), mountinfo);
    assert_eq!(root.missing_for(Path::new(path)), None);
}

/// No user info is left in any URL, nothing else changes, and twice is as good as once.
pub fn redact(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let once = redact::urls(text);
    assert_eq!(redact::urls(&once), once);
    for (at, _) in once.match_indices("://") {
        let authority = once[at + 3..].split(|c: char| "/?#\"".contains(c) || c.is_whitespace()).next();
        let (user, _) = authority.and_then(|a| a.rsplit_once('@')).unwrap_or(("***", ""));
        assert_eq!(user, "***", "{once}");
    }
    if !text.contains("s3cret") {
        assert!(!redact::urls(&format!("{text} rtsp://pilot:s3cret@camera/1 {text}")).contains("s3cret"));
    }
}

/// A `network.toml`: refused in few words, or followed by units that say what it may say and no more.
pub fn network(data: &[u8]) {
    const LINES: [&str; 15] = [
        "# Made by \"windhover network apply\" at each start.",
        "[Match]",
        "Type=ether",
        "Kind=!*",
        "[Network]",
        "LinkLocalAddressing=yes",
        "MulticastDNS=yes",
        "LLMNR=no",
        "DHCP=yes",
        "DHCP=no",
        "[DHCPv4]",
        "ClientIdentifier=mac",
        "[Link]",
        "RequiredForOnline=no",
        "",
    ];
    let Ok(text) = std::str::from_utf8(data) else { return };
    let settings = match network::parse(text) {
        Ok(settings) => settings,
        Err(e) => return assert!(e.to_string().len() < 16 << 10, "{e}"),
    };
    assert_eq!(network::parse(&network::text(&settings)).expect("it was good before"), settings);
    for (name, unit) in settings.files() {
        assert!(name.ends_with(".network") && !name.contains('/'), "{name}");
        assert_eq!(unit.matches('[').count(), 4, "four sections, and nothing smuggled in: {unit}");
        let value = |line: &str, key: &str| line.strip_prefix(key).map(str::to_owned);
        for line in unit.lines().filter(|line| !LINES.contains(line)) {
            let ip = |text: String| text.split('/').next().is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_ok());
            let addressed = ["Address=", "Gateway=", "DNS="].iter().any(|key| value(line, key).is_some_and(ip));
            let named = value(line, "Name=").is_some_and(|name| !name.contains(char::is_whitespace) && name != "usb0");
            assert!(addressed || named, "{line:?} in {unit}");
        }
    }
    assert!(settings.hostname.is_none_or(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')));
}
