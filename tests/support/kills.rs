//! `kill -9` or a power cut at any moment: what is on the disk must play, and little of the open segment may be missing.

use std::time::Duration;

use super::daemon::{Daemon, Setup};
use super::media_file;
use super::wait::now;

/// What one end cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// From the last picture on the disk to the moment of the end.
    pub(crate) lost: Duration,
    /// Finished segments that were there, and all played.
    pub(crate) finished: usize,
    /// Pictures in all segments.
    pub(crate) pictures: usize,
}

/// Lets a daemon record for `time`, kills it, reads what it left, starts another on the same storage, and reads again.
/// The error says what does not play, or has a hole.
pub(crate) fn once(setup: &Setup, time: Duration) -> Result<Cost, String> {
    once_by(setup, time, |daemon| {
        daemon.kill();
        Ok(())
    })
}

/// The same for another end than a kill; after it the storage must be there to be read, as it was left.
pub(crate) fn once_by(
    setup: &Setup,
    time: Duration,
    end: impl FnOnce(&mut Daemon) -> Result<(), String>,
) -> Result<Cost, String> {
    let mut daemon = Daemon::start(setup);
    std::thread::sleep(time);
    let killed = now();
    end(&mut daemon)?;
    let finished = media_file::segments(daemon.storage());
    let open = media_file::open_segments(daemon.storage());
    let mut stamps = Vec::new();
    for file in finished.iter().chain(&open) {
        stamps.extend(media_file::stamps(file)?);
    }
    let Some(last) = stamps.last() else { return Err("nothing was recorded".into()) };
    holes(&stamps, setup.fps)?;
    let mut again = daemon.spawn_beside(setup);
    again.wait_ready();
    let repaired = media_file::segments(daemon.storage());
    if repaired.len() < finished.len() + open.len() {
        return Err(format!("{} of {} segments after the restart", repaired.len(), finished.len() + open.len()));
    }
    let mut after = Vec::new();
    for file in &repaired[..finished.len() + open.len()] {
        after.extend(media_file::stamps(file)?);
        let probed = media_file::probe(file)?;
        if !probed.begins_with_keyframe {
            return Err(format!("{} does not begin with a keyframe", file.display()));
        }
    }
    if after != stamps {
        return Err(format!("{} pictures after the restart, {} before", after.len(), stamps.len()));
    }
    Ok(Cost { lost: killed.saturating_sub(*last), finished: finished.len(), pictures: stamps.len() })
}

/// Pictures missing between others. A busy test machine may make the source miss a beat or several; a writer that loses
/// some loses at least a fragment, which is 0.35 s.
fn holes(stamps: &[Duration], fps: u32) -> Result<(), String> {
    let limit = Duration::from_secs(1) * 9 / fps;
    match stamps.windows(2).find(|pair| pair[1] <= pair[0] || pair[1] - pair[0] > limit) {
        Some(pair) => Err(format!("pictures {:?} and {:?} follow each other", pair[0], pair[1])),
        None => Ok(()),
    }
}
