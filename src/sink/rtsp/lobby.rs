//! Where encrypted connections wait for their handshake. Pure.
//!
//! GIO makes a handshake in a thread of the process' one pool, which has ten and grows by some a second (GTask). Whoever
//! sends half a handshake holds one of them. So few are let in at once, those whose host has fewest of them first, or was
//! let in longest ago; and while others wait nobody may take long.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Less than the ten threads of the pool.
const AT_ONCE: usize = 8;
/// From the connection to the end of the handshake. Two round trips and a signature take well below a second.
const WITHIN: Duration = Duration::from_secs(5);
/// From the beginning of the handshake, while others wait.
const WITHIN_IN_A_CROWD: Duration = Duration::from_millis(1500);
/// Handshakes of one host: so many at once in a row, and so many a second. Each costs 11 ms of one thread and a signature;
/// fifty viewers behind one router are in within a second.
const BURST: f64 = 32.0;
const PER_S: f64 = 20.0;
/// Hosts remembered. With more, all are forgotten.
const MOST_HOSTS: usize = 1024;

/// Who waits, and who is in the middle of a handshake.
#[derive(Debug, Default)]
pub(super) struct Lobby {
    waiting: VecDeque<Guest>,
    inside: Vec<Guest>,
    /// How many more a host may have, as of when it was let in last.
    hosts: BTreeMap<IpAddr, (f64, Duration)>,
}

#[derive(Debug, Clone, Copy)]
struct Guest {
    id: usize,
    host: IpAddr,
    arrived: Duration,
    begun: Duration,
    /// Told to go already.
    late: bool,
}

impl Lobby {
    /// Somebody connected.
    pub(super) fn arrive(&mut self, id: usize, host: IpAddr, now: Duration) {
        self.waiting.push_back(Guest { id, host, arrived: now, begun: now, late: false });
    }

    /// Whose handshake begins now, if there is room.
    pub(super) fn next(&mut self, now: Duration) -> Option<usize> {
        if self.inside.len() >= AT_ONCE {
            return None;
        }
        let allowance = |host: IpAddr| {
            let (left, last) = self.hosts.get(&host).copied().unwrap_or((BURST, Duration::ZERO));
            ((left + now.saturating_sub(last).as_secs_f64() * PER_S).min(BURST), last)
        };
        let inside = |host: IpAddr| self.inside.iter().filter(|guest| guest.host == host).count();
        let may = self.waiting.iter().enumerate().filter(|(_, guest)| allowance(guest.host).0 >= 1.0);
        let (at, _) = may.min_by_key(|(_, guest)| (inside(guest.host), allowance(guest.host).1))?;
        let guest = self.waiting.remove(at)?;
        let (left, _) = allowance(guest.host);
        if self.hosts.len() >= MOST_HOSTS {
            self.hosts.clear();
        }
        self.hosts.insert(guest.host, (left - 1.0, now));
        self.inside.push(Guest { begun: now, ..guest });
        Some(guest.id)
    }

    /// A handshake is over, well or not, or will not be.
    pub(super) fn leave(&mut self, id: usize) {
        self.inside.retain(|guest| guest.id != id);
        self.waiting.retain(|guest| guest.id != id);
    }

    /// Whose handshake has not begun.
    pub(super) fn waiting(&self) -> Vec<usize> {
        self.waiting.iter().map(|guest| guest.id).collect()
    }

    /// Who has taken too long, each once: to be disconnected.
    pub(super) fn late(&mut self, now: Duration) -> Vec<usize> {
        let crowd = !self.waiting.is_empty();
        let too_long = |guest: &Guest, inside: bool| {
            let in_a_crowd = inside && crowd && now.saturating_sub(guest.begun) >= WITHIN_IN_A_CROWD;
            in_a_crowd || now.saturating_sub(guest.arrived) >= WITHIN
        };
        let inside = self.inside.iter_mut().map(|guest| (guest, true));
        let all = inside.chain(self.waiting.iter_mut().map(|guest| (guest, false)));
        let late = all.filter(|(guest, inside)| !guest.late && too_long(guest, *inside));
        late.map(|(guest, _)| {
            guest.late = true;
            guest.id
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn host(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn begun(lobby: &mut Lobby, now: u64) -> Vec<usize> {
        std::iter::from_fn(|| lobby.next(MS(now))).collect()
    }

    #[test]
    fn one_host_keeps_no_other_out() {
        let mut lobby = Lobby::default();
        (0..300).for_each(|id| lobby.arrive(id, host(1), MS(0)));
        assert_eq!(begun(&mut lobby, 0), (0..8).collect::<Vec<_>>());
        lobby.arrive(1000, host(2), MS(10));
        assert_eq!(lobby.next(MS(10)), None);
        assert_eq!(lobby.late(MS(1499)), [0; 0]);
        assert_eq!(lobby.late(MS(1500)), (0..8).collect::<Vec<_>>(), "others wait");
        assert_eq!(lobby.late(MS(1501)), [0; 0], "once");
        lobby.leave(3);
        assert_eq!(begun(&mut lobby, 1510), [1000], "before the 292 of the other host");
    }

    #[test]
    fn who_fails_at_once_waits_his_turn() {
        let mut lobby = Lobby::default();
        (0..300).for_each(|id| lobby.arrive(id, host(1), MS(1000)));
        let fails = |now: u64, lobby: &mut Lobby| lobby.next(MS(now)).inspect(|id| lobby.leave(*id));
        assert_eq!((0..300).filter_map(|_| fails(1000, &mut lobby)).count(), 32, "a burst");
        assert_eq!((0..300).filter_map(|_| fails(2000, &mut lobby)).count(), 20, "and 20 a second");
        lobby.arrive(1000, host(2), MS(2500));
        lobby.arrive(1001, host(2), MS(2500));
        let turns: Vec<_> = (0..4).filter_map(|n| lobby.next(MS(2510 + n))).collect();
        assert_eq!(turns, [1000, 52, 1001, 53], "hosts take turns");
    }

    #[test]
    fn who_is_alone_has_five_seconds() {
        let mut lobby = Lobby::default();
        lobby.arrive(1, host(1), MS(0));
        assert_eq!(lobby.next(MS(0)), Some(1));
        assert_eq!(lobby.late(MS(4999)), [0; 0]);
        assert_eq!(lobby.late(MS(5000)), [1]);
        lobby.leave(1);
        (2..30).for_each(|id| lobby.arrive(id, host(1), MS(6000)));
        assert_eq!(begun(&mut lobby, 6000).len(), 8);
        assert_eq!(lobby.late(MS(11_000)).len(), 28, "nor may anybody wait longer");
    }
}
