//! How glibc keeps what was freed.

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
