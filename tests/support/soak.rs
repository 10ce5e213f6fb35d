//! Viewers come and go by the dozen, in every unlucky moment: just as the last one leaves, during a change of size,
//! during a restart of the source.
//!
//! This is what killed gst-rtsp-server 1.22's own test server in 2 of 2 runs (`gst_rtsp_media_get_rates: assertion
//! failed`): tens of clients joining just as the last one leaves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clips;
use super::crowd::Crowd;
use super::daemon::{Daemon, Setup};
use super::rtsp::Transport;
use super::wait::{Dice, ms};

/// Viewers who leave, and as many who join meanwhile.
const VIEWERS: usize = 50;

/// Everybody who joins sees a complete keyframe within this time.
const PICTURE_WITHIN: Duration = Duration::from_secs(2);

/// Every so many rounds the source is made to fail and to come back.
const RESTART_EVERY: u64 = 5;

/// What happened in a soak.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Rounds done.
    pub(crate) rounds: u64,
    /// Viewers who joined.
    pub(crate) joined: u64,
    /// Rounds in which the source was restarted.
    pub(crate) restarts: u64,
    /// Time from connect to the first complete keyframe, of every joiner.
    pub(crate) first_pictures_ms: Vec<f64>,
}

/// Runs `rounds` rounds against one daemon that plays clips of two sizes in turn, two seconds each. The first breach is
/// the error: a joiner without a picture in time, or a daemon that ended.
pub(crate) fn run(rounds: u64, seed: u64, mut tell: impl FnMut(&Outcome)) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let large = clips::make(folder.path(), "large.mp4", "1280x720", 2);
    let small = clips::make(folder.path(), "small.mp4", "640x360", 2);
    let setup = Setup { source: source(&[&large, &small]), ..Setup::live_only() };
    let mut daemon = Daemon::start(&setup);
    let mut dice = Dice::new(seed);
    let mut outcome = Outcome::default();
    let mut here = daemon.crowd();
    joined(&mut here, &mut dice);
    here.everybody_sees(PICTURE_WITHIN)?;
    for round in 1..=rounds {
        let restart = round % RESTART_EVERY == 0;
        let away = restart.then(|| Away::take(&[&large, &small]));
        if away.is_some() {
            source_fails(&daemon, &mut here)?;
        }
        let next = change_of_viewers(&mut here, &daemon, &mut dice, away);
        daemon.assert_running();
        here = next.map_err(|e| format!("round {round} of seed {seed}: {e}"))?;
        outcome.rounds = round;
        outcome.restarts += u64::from(restart);
        outcome.joined += here.viewers.len() as u64;
        outcome.first_pictures_ms.extend(here.viewers.iter().filter_map(|v| v.first_picture_after()).map(ms));
        tell(&outcome);
    }
    here.leave(2);
    daemon.assert_running();
    Ok(outcome)
}

fn source(paths: &[&PathBuf]) -> String {
    format!("{{ kind = \"file\", path = {paths:?} }}")
}

/// As some leave, half of them without a word, as many join; all who join must see a picture.
fn change_of_viewers(here: &mut Crowd, daemon: &Daemon, dice: &mut Dice, away: Option<Away>) -> Result<Crowd, String> {
    let mut next = daemon.crowd();
    let before = dice.below(2) == 0;
    let abruptly = dice.below(2);
    for (number, viewer) in here.viewers.iter_mut().enumerate() {
        // Joiners are spread over the leaving ones, or come just behind the last of them.
        if before && number % 10 == 0 {
            next.join(VIEWERS / 5 / 2, "/live", pick(dice));
        }
        if number as u64 % 2 == abruptly {
            viewer.vanish()
        } else {
            viewer.leave()
        }
        if number % 8 == 0 {
            next.turn(Duration::ZERO);
        }
    }
    here.until(Duration::from_millis(dice.below(30)), |viewers| viewers.iter().all(|viewer| !viewer.alive()));
    joined(&mut next, dice);
    if let Some(away) = away {
        // Within this time some have set up, and none can see anything.
        next.watch(Duration::from_millis(dice.below(400)));
        away.give_back();
    }
    next.everybody_sees(PICTURE_WITHIN)?;
    // A round takes as long as it takes to meet every phase of the clips.
    next.watch(Duration::from_millis(dice.below(300)));
    Ok(next)
}

/// Waits until the source has met the missing clip: at the end of the one that plays.
fn source_fails(daemon: &Daemon, here: &mut Crowd) -> Result<(), String> {
    for _ in 0..100 {
        here.watch(Duration::from_millis(50));
        if daemon.condition("live/source").as_deref() != Some("running") {
            return Ok(());
        }
    }
    Err("the source goes on without its clips".into())
}

fn joined(crowd: &mut Crowd, dice: &mut Dice) {
    while crowd.viewers.len() < VIEWERS {
        let some = (1 + dice.below(20) as usize).min(VIEWERS - crowd.viewers.len());
        crowd.join(some, "/live", pick(dice));
        crowd.turn(Duration::ZERO);
    }
}

fn pick(dice: &mut Dice) -> Transport {
    if dice.one_in(3) { Transport::Udp } else { Transport::Tcp }
}

/// Clips that were taken away, so that the source fails; given back when dropped, too.
struct Away(Vec<PathBuf>);

impl Away {
    fn take(clips: &[&PathBuf]) -> Self {
        let clips: Vec<PathBuf> = clips.iter().map(|clip| (*clip).clone()).collect();
        clips.iter().for_each(|clip| rename(clip, &hidden(clip)));
        Self(clips)
    }

    fn give_back(self) {
        drop(self);
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.0.iter().for_each(|clip| rename(&hidden(clip), clip));
    }
}

fn hidden(clip: &Path) -> PathBuf {
    clip.with_extension("away")
}

fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).expect("the temporary folder is ours");
}
