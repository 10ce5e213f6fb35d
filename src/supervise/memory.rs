//! How glibc keeps what was freed, and when it is made to give it back.

use std::time::Duration;

use crate::base::shutdown::Shutdown;
use crate::base::task;

/// How often the kernel gets back what nobody uses. What a crowd of viewers or a rebuilt camera left behind need not go at
/// once; at a minute the page faults of taking it again are beneath what `tools/bench cpu` can see.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(60);

/// As many heaps as there is work for at once: more only lie about half empty.
#[cfg(target_env = "gnu")]
const HEAPS: libc::c_int = 2;

/// Lets all threads share two heaps. glibc gives each thread one of its own, up to eight for each processor
/// (mallopt(3), M_ARENA_MAX). Viewers, cameras and files come and go on other threads each time, so that all of them grow
/// to their peak and none shrinks: in the soak of two streams 118 MiB became 170 MiB in an hour, with nothing lost.
/// Call it before there are other threads; those that exist keep their heap.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub fn share_heaps() {
    // SAFETY: it takes two numbers and locks what it changes; it refuses (0) what it does not know.
    let done = unsafe { libc::mallopt(libc::M_ARENA_MAX, HEAPS) };
    if done == 0 {
        tracing::debug!("the number of heaps stays as it is");
    }
}

/// Other C libraries have one heap, or their own way.
#[cfg(not(target_env = "gnu"))]
pub fn share_heaps() {}

/// Gives the kernel back the pages of the heaps that hold nothing, until a stop is asked. By itself glibc returns only
/// what lies at a heap's end (mallopt(3), M_TRIM_THRESHOLD), and one small allocation there that lives long keeps all
/// before it: the daemon would hold what its busiest minute needed for as long as it flies.
pub async fn give_back(shutdown: Shutdown) {
    let mut interval = tokio::time::interval(GIVE_BACK_EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => task::blocking("give-back", trim),
            () = shutdown.asked_async() => return,
        };
    }
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
fn trim() {
    // SAFETY: it may be called at any time by any thread (malloc_trim(3), MT-Safe); the heaps lock themselves, and it
    // touches free memory only.
    let returned = unsafe { libc::malloc_trim(0) };
    tracing::trace!(returned = returned == 1, "free memory given back");
}

/// Other C libraries give back by themselves.
#[cfg(not(target_env = "gnu"))]
fn trim() {}

#[cfg(test)]
#[cfg(target_env = "gnu")]
mod tests {
    use super::trim;

    const BLOCKS: usize = 64 * 1024;
    const KIB: usize = 1024;

    /// What of this process lies in memory (proc_pid_statm(5), second field), in MiB.
    fn resident_mib() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4 / 1024
    }

    #[test]
    fn what_was_freed_before_a_living_block_goes_back() {
        let mut blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|_| vec![1; KIB]).collect();
        // It lies at the end of the heap: what is before it cannot be given back by making the heap shorter.
        let last = blocks.pop();
        blocks.clear();
        let before = resident_mib();
        trim();
        let after = resident_mib();
        // 64 MiB were freed; other tests of this process take and give at the same time.
        assert!(before >= after + 32, "{before} MiB before, {after} MiB after");
        drop(last);
    }
}
