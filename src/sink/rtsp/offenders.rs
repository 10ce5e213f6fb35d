//! Hosts that are kept out for a while, because a connection of theirs was a flood or tried out passwords.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Long enough that reconnecting at once is worth nothing; short enough that somebody behind the same address, who did
/// nothing, gets in soon. Viewers who are inside stay.
const OUT_FOR: Duration = Duration::from_secs(10);
/// Wrong passwords that a host may send before it is kept out: a player asks again by itself, a person mistypes.
const TRIES: u32 = 5;
/// They are forgotten after so long.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// Hosts remembered. With more, the one whose time is up first is forgotten.
const MAX_HOSTS: usize = 1024;

/// Shared by the server's callbacks and its timer.
#[derive(Debug, Clone, Default)]
pub(super) struct Offenders(Arc<Mutex<Hosts>>);

#[derive(Debug, Default)]
struct Hosts {
    /// Until when who is kept out.
    out: BTreeMap<IpAddr, Duration>,
    /// Wrong passwords, and the time of the first.
    wrong: BTreeMap<IpAddr, (u32, Duration)>,
}

impl Offenders {
    /// A connection of this peer was a flood.
    pub(super) fn note(&self, peer: IpAddr, now: Duration) {
        let out = &mut self.lock().out;
        out.retain(|_, until| *until > now);
        if out.len() >= MAX_HOSTS
            && let Some(first) = out.iter().min_by_key(|(_, until)| **until).map(|(host, _)| *host)
        {
            out.remove(&first);
        }
        out.insert(host(peer), now + OUT_FOR);
    }

    /// This peer sent a wrong password; true if it has done so too often and is kept out now.
    pub(super) fn note_wrong(&self, peer: IpAddr, now: Duration) -> bool {
        let wrong = &mut self.lock().wrong;
        wrong.retain(|_, (_, first)| now.saturating_sub(*first) < FORGIVEN_AFTER);
        if wrong.len() >= MAX_HOSTS
            && let Some(oldest) = wrong.iter().min_by_key(|(_, (_, first))| *first).map(|(host, _)| *host)
        {
            wrong.remove(&oldest);
        }
        let (count, _) = wrong.entry(host(peer)).or_insert((0, now));
        *count += 1;
        *count >= TRIES
    }

    /// True while this peer is kept out.
    pub(super) fn is_out(&self, peer: IpAddr, now: Duration) -> bool {
        self.lock().out.get(&host(peer)).is_some_and(|until| *until > now)
    }

    fn lock(&self) -> MutexGuard<'_, Hosts> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

/// An IPv6 host may take any address of its /64 (RFC 4291, 2.5.4).
pub(super) fn host(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_out_for_a_while_whatever_its_address() {
        let (s, ip) = (Duration::from_secs, |text: &str| text.parse::<IpAddr>().unwrap());
        let offenders = Offenders::default();
        offenders.note(ip("::ffff:10.0.0.1"), s(5));
        offenders.note(ip("2001:db8::1"), s(5));
        let out = |text, at| offenders.is_out(ip(text), s(at));
        assert!(out("10.0.0.1", 14) && !out("10.0.0.1", 15) && !out("10.0.0.2", 6));
        assert!(out("2001:db8::ffff", 6) && !out("2001:db8:0:1::1", 6));
    }

    #[test]
    fn passwords_are_not_tried_out() {
        let (s, offenders) = (Duration::from_secs, Offenders::default());
        let wrong = |host, at| offenders.note_wrong(IpAddr::from([10, 0, 0, host]), s(at));
        assert_eq!([0, 1, 2, 3, 4, 5].map(|at| wrong(1, at)), [false, false, false, false, true, true]);
        assert!(!wrong(2, 5), "another host");
        assert!(!wrong(1, 60), "forgiven");
        for n in 0..3000_u32 {
            offenders.note_wrong(IpAddr::from(n.to_be_bytes()), s(60));
        }
        assert_eq!(offenders.lock().wrong.len(), MAX_HOSTS);
    }

    #[test]
    fn the_list_is_bounded() {
        let offenders = Offenders::default();
        for n in 0..3000_u32 {
            offenders.note(IpAddr::from(n.to_be_bytes()), Duration::from_millis(n.into()));
        }
        assert_eq!(offenders.lock().out.len(), MAX_HOSTS);
        assert!(offenders.is_out(IpAddr::from(2999_u32.to_be_bytes()), Duration::from_secs(3)));
    }
}
