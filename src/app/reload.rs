//! Reading the configuration again: what is different becomes a list of changes, and only what they concern is touched.
//!
//! First everything that can be refused: the files, the Plan, the world where the new Plan asks more of it, the ports.
//! After that nothing fails any more: a part that does not come up says so by a fault and tries again, as at any start.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::base::error::Chain;
use crate::base::id::StreamId;
use crate::base::task;
use crate::board::Board;
use crate::config::problem::{Class, Problem, Problems};
use crate::config::{self, Config, Inputs};
use crate::control::{Error, Reloaded};
use crate::plan::diff::{Change, Part, diff};
use crate::plan::inventory::Inventory;
use crate::plan::{self, Plan, StreamPlan};
use crate::sink::rtsp;

use super::daemon::{Daemon, Running};
use super::stream::Stream;
use super::world;

/// Looking at the machine may take so long: a driver that hangs must not keep the daemon from ending.
const LOOK_WITHIN: Duration = Duration::from_secs(10);
/// A storage that makes way for another one gives its lock back within this time, unless its disk hangs.
const STORAGE_ENDS_WITHIN: Duration = Duration::from_secs(2);

/// What is to run.
struct Next {
    config: Config,
    board: Board,
    inventory: Inventory,
    plan: Plan,
    changes: Vec<Change>,
}

impl Daemon {
    /// Reads the configuration again and follows it; where anything is wrong, nothing changes and a fault says so.
    pub(super) fn reload(&mut self, runtime: &Runtime) -> Result<Reloaded, Error> {
        self.systemd.reloading(self.parts.clock.monotonic());
        let result = self.look(runtime).and_then(|next| self.move_doors(runtime, &next).map(|()| next));
        let result = result.map(|next| self.follow(next));
        match &result {
            Ok(reloaded) if reloaded.changes.is_empty() => tracing::info!("reload: nothing is different"),
            Ok(reloaded) => reloaded.changes.iter().for_each(|change| tracing::info!("reload: {change}")),
            Err(e) => {
                tracing::error!("reload: {}", Chain(e));
                if let Error::Refused { problems } = e {
                    problems.iter().for_each(|problem| tracing::error!("reload: {problem}"));
                    self.parts.tell_configuration(&self.running, Some(problems));
                }
            }
        }
        self.systemd.reloaded();
        result
    }

    /// What is to run, found out on a thread that may hang.
    fn look(&self, runtime: &Runtime) -> Result<Next, Error> {
        let (inputs, running) = (self.inputs.clone(), self.running.clone());
        let not_prepared = |why: String| Error::NotPrepared { why };
        runtime.block_on(async {
            let looking = task::blocking("reload", move || next(&inputs, &running));
            tokio::select! {
                biased;
                () = self.parts.shutdown.asked_async() => Err(Error::Ending),
                done = tokio::time::timeout(LOOK_WITHIN, looking) => match done {
                    Ok(Ok(next)) => next,
                    Ok(Err(e)) => Err(not_prepared(e.to_string())),
                    Err(_) => Err(not_prepared(format!("looking at the machine took longer than {LOOK_WITHIN:?}"))),
                },
            }
        })
    }

    /// Ports are the one thing that another program may deny: they come first, and all of them or none.
    fn move_doors(&self, runtime: &Runtime, next: &Next) -> Result<(), Error> {
        let doors = [Part::RtspListen, Part::RtspsListen, Part::HttpListen, Part::Socket];
        let changed: Vec<&Part> = doors.iter().filter(|door| next.concerns(door)).collect();
        for (n, door) in changed.iter().enumerate() {
            let Err(why) = self.move_door(runtime, door, &next.plan) else { continue };
            for back in &changed[..n] {
                if let Err(why) = self.move_door(runtime, back, &self.running.plan) {
                    tracing::error!("reload: the {back} address before is lost: {why}");
                }
            }
            let key = match door {
                Part::RtspListen => "rtsp.listen",
                Part::RtspsListen => "rtsp.tls_listen",
                Part::HttpListen => "http.listen",
                _ => "http.socket",
            };
            return Err(refused(Problem::world(next.config.origins.place(key), key, why)));
        }
        Ok(())
    }

    fn move_door(&self, runtime: &Runtime, door: &Part, plan: &Plan) -> Result<(), String> {
        let http = |e: crate::http::Error| Chain(&e).to_string();
        match (door, self.rtsp.as_ref().zip(plan.rtsp.as_ref())) {
            (Part::RtspListen, Some((server, to))) => {
                server.listen(to.listen).map_err(|e: rtsp::Error| Chain(&e).to_string())
            }
            (Part::RtspsListen, Some((server, rtsp))) => match &rtsp.secure {
                Some(to) => server.listen_secure(to.listen).map_err(|e: rtsp::Error| Chain(&e).to_string()),
                None => Ok(()),
            },
            (Part::HttpListen, _) => runtime.block_on(self.doors.listen(plan.http.listen)).map_err(http),
            (Part::Socket, _) => runtime.block_on(self.doors.listen_socket(plan.http.socket.clone())).map_err(http),
            _ => Ok(()),
        }
    }

    fn follow(&mut self, next: Next) -> Reloaded {
        super::prepare::make_home(&next.config);
        // Closed before anything else, opened with everything else done.
        if next.plan.http.login {
            self.doors.set_login(true);
        }
        if next.concerns(&Part::Rtsp) {
            self.rtsp.take().into_iter().for_each(rtsp::Handle::stop);
            self.parts.health.forget(|page| page == "rtsp" || page.ends_with("/rtsp"));
        }
        self.end_streams(&next);
        self.change_storage(&next);
        self.change_streams(&next);
        self.serve_streams(&next);
        self.doors.set_login(next.plan.http.login);
        let Next { config, board, inventory, plan, changes } = next;
        let since_unix = self.parts.clock.wall().as_secs();
        self.running = Arc::new(Running { config, board, inventory, plan, since_unix });
        self.show();
        self.parts.tell_configuration(&self.running, None);
        if self.last_good {
            self.running.keep(self.parts.clock.as_ref());
        }
        Reloaded { changes }
    }

    fn end_streams(&mut self, next: &Next) {
        let (stay, go): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.streams).into_iter().partition(|stream| next.planned(stream.id()).is_some());
        self.streams = stay;
        go.iter().for_each(Stream::ask_to_finish);
        for stream in go {
            let id = stream.id().clone();
            if let Some(rtsp) = &mut self.rtsp {
                rtsp.remove(&id);
            }
            stream.stop();
            self.parts.health.forget(|page| page.split_once('/').is_some_and(|(of, _)| of == id.as_str()));
        }
    }

    /// Ends the recorders and snapshots that are to change, and all of them where the storage itself does.
    fn change_storage(&mut self, next: &Next) {
        let moves = next.moves_storage();
        let recorder = |stream: &Stream| moves || next.concerns(&Part::Recorder(stream.id().clone()));
        self.streams.iter().filter(|stream| recorder(stream)).for_each(Stream::ask_to_finish);
        for stream in &mut self.streams {
            if recorder(stream) {
                stream.stop_recorder();
            }
            // Another camera may leave its pictures in another memory.
            let parts = [Part::Snapshots(stream.id().clone()), Part::Camera(stream.id().clone())];
            if moves || parts.iter().any(|part| next.concerns(part)) {
                stream.stop_snapshots();
            }
        }
        if moves {
            if let Some(storage) = self.storage.take()
                && !storage.stop(STORAGE_ENDS_WITHIN)
            {
                tracing::warn!("the disk of the storage before does not answer: it is left behind");
            }
            self.storage = next.plan.storage.clone().map(|plan| self.parts.storage(plan, &next.plan, &next.config));
            if self.storage.is_none() {
                self.parts.health.forget(|page| page == "storage");
            }
        } else if let (Some(storage), Some(plan)) = (&self.storage, &next.plan.storage) {
            storage.set_limits(plan.clone());
        }
    }

    /// A camera may be handed from one stream to another: all end before any begins.
    fn change_streams(&mut self, next: &Next) {
        for stream in &mut self.streams {
            if next.concerns(&Part::Camera(stream.id().clone())) {
                stream.stop_camera();
            }
        }
        let mut before = std::mem::take(&mut self.streams);
        for plan in &next.plan.streams {
            let storage = self.storage.as_ref();
            let stream = match before.iter().position(|stream| *stream.id() == plan.id) {
                Some(at) => {
                    let mut stream = before.swap_remove(at);
                    stream.change(plan.clone(), &self.parts, storage);
                    stream
                }
                None => Stream::start(plan.clone(), &self.parts, storage),
            };
            self.streams.push(stream);
        }
    }

    fn serve_streams(&mut self, next: &Next) {
        let Some(plan) = &next.plan.rtsp else { return };
        let Some(rtsp) = &mut self.rtsp else {
            self.rtsp = Some(self.parts.rtsp(plan.clone(), &self.streams));
            return;
        };
        rtsp.set_max_viewers(plan.max_viewers, plan.max_viewers_per_host);
        rtsp.set_secure(plan.secure.as_ref());
        let first = |plan: &Plan| plan.streams.first().map(|stream| stream.id.clone());
        let (was, is) = (first(&self.running.plan), first(&next.plan));
        for (n, stream) in self.streams.iter().enumerate() {
            let id = Some(stream.id().clone());
            // The path /live goes from one to the other.
            let moves = was != is && (id == was || id == is);
            if moves {
                rtsp.remove(stream.id());
            }
            if moves || next.concerns(&Part::Added(stream.id().clone())) {
                rtsp.add(stream.served(n == 0));
            } else {
                rtsp.set_stream_viewers(stream.id(), next.planned(stream.id()).and_then(|plan| plan.max_viewers));
            }
        }
    }
}

impl Next {
    fn concerns(&self, part: &Part) -> bool {
        self.changes.iter().any(|change| change.part == *part)
    }

    fn planned(&self, id: &StreamId) -> Option<&StreamPlan> {
        self.plan.streams.iter().find(|plan| plan.id == *id)
    }

    /// The links to the newest files are those of the first stream: another first one is another storage.
    fn moves_storage(&self) -> bool {
        self.concerns(&Part::Storage) || self.concerns(&Part::First)
    }
}

/// Loads and plans; what is wrong comes back with all of it.
fn next(inputs: &Inputs, running: &Running) -> Result<Next, Error> {
    let (config, mut problems) = config::load(inputs);
    if problems.refuse() {
        return Err(Error::Refused { problems });
    }
    let (board, unknown) = plan::board(&config, &running.inventory.compatible);
    problems.append(unknown);
    // Encoders and sensors are not tested again: one that is in use may not bear a second user.
    let (cameras, unreadable) = crate::probe::cameras();
    let inventory = Inventory { cameras, unreadable, ..running.inventory.clone() };
    // Both from what is there now, so that only what the configuration changes is a change.
    let old = plan::resolve(&running.config, &running.board, &inventory);
    let new = plan::resolve(&config, &board, &inventory);
    let before = as_it_runs(running, old.plan, &config);
    let changes = diff(&before, &new.plan);
    if let Some(board) = changes.iter().find(|change| change.part == Part::Board) {
        let message = format!("{} -> {} needs a restart", board.old, board.new);
        let advice = "restart the daemon (systemctl restart windhover); until then nothing else of it is changed";
        problems.push(Problem::config(config.origins.place("board"), "board", message).advise(advice));
    }
    let mut worse = new.problems;
    worse.append(world::of_streams_and_storage(&config, &new.plan));
    let mut known = old.problems;
    known.append(world::of_streams_and_storage(&running.config, &before));
    problems.append(only_new(worse, &known));
    if !problems.is_empty() {
        return Err(Error::Refused { problems });
    }
    let plan = merged(&running.plan, new.plan, &changes);
    Ok(Next { config, board, inventory, plan, changes })
}

/// Where somebody says something else of a source, what runs counts, not what the words before would mean now: a test
/// picture that stands in for a camera (`auto`) gives way to the camera that is named.
fn as_it_runs(running: &Running, mut old: Plan, config: &Config) -> Plan {
    let said = |config: &Config, id: &StreamId| {
        config.settings.stream.iter().find(|stream| stream.id == *id).map(|stream| stream.source.clone())
    };
    for plan in &mut old.streams {
        let runs = running.plan.streams.iter().find(|runs| runs.id == plan.id);
        if let Some(runs) = runs.filter(|_| said(&running.config, &plan.id) != said(config, &plan.id)) {
            plan.source.kind = runs.source.kind.clone();
        }
    }
    old
}

/// What the world gets wrong already is no reason to keep the old configuration: a camera that is unplugged now must not
/// keep anybody from changing a bit rate.
fn only_new(mut worse: Problems, known: &Problems) -> Problems {
    let known: BTreeSet<&str> = known.iter().map(|problem| problem.message.as_str()).collect();
    worse.retain(|problem| problem.class == Class::Config || !known.contains(problem.message.as_str()));
    worse
}

fn refused(problem: Problem) -> Error {
    let mut problems = Problems::default();
    problems.push(problem);
    Error::Refused { problems }
}

/// What will run: a part that does not change stays as it runs, whatever the machine would offer it now.
fn merged(running: &Plan, mut new: Plan, changes: &[Change]) -> Plan {
    let concerns = |part: Part| changes.iter().any(|change| change.part == part);
    new.board = running.board.clone();
    for plan in &mut new.streams {
        let Some(runs) = running.streams.iter().find(|runs| runs.id == plan.id) else { continue };
        let id = || plan.id.clone();
        if concerns(Part::Camera(id())) {
            continue;
        }
        if !(concerns(Part::Encoder(id())) || concerns(Part::Bitrate(id()))) || runs.encode.is_none() {
            plan.encode.clone_from(&runs.encode);
        }
        if !concerns(Part::Snapshots(id())) {
            plan.snapshot.clone_from(&runs.snapshot);
        }
        plan.source.clone_from(&runs.source);
        plan.slate = runs.slate;
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Place;
    use crate::control::tests::plan;

    #[test]
    fn what_is_wrong_already_refuses_nothing() {
        let world = |message: &str| Problem::world(Place::Machine, "k", message);
        let (mut old, mut new) = (Problems::default(), Problems::default());
        old.push(world("no camera at /dev/video0"));
        new.push(world("no camera at /dev/video0"));
        new.push(world("no camera at /dev/vidoe1"));
        new.push(Problem::config(Place::Machine, "k", "no camera at /dev/video0"));
        let found: Vec<_> = only_new(new, &old).into_iter().map(|p| (p.class, p.message)).collect();
        let want = [(Class::World, "no camera at /dev/vidoe1"), (Class::Config, "no camera at /dev/video0")];
        assert_eq!(found, want.map(|(class, message)| (class, message.to_owned())));
    }

    #[test]
    fn a_stream_that_does_not_change_stays_as_it_runs() {
        let mut running = plan(&["a", "b"]);
        running.streams[0].source.reason = "as it was at the start".into();
        let mut new = plan(&["b", "a"]);
        new.streams[0].source.reason = "the camera that came since".into();
        new.streams[1].source.reason = "the camera that came since".into();
        let camera = |id: &str| Part::Camera(StreamId::new(id).unwrap());
        let change = Change { part: camera("b"), what: "", old: String::new(), new: String::new(), effect: "" };
        let merged = merged(&running, new, &[change]);
        let reasons: Vec<_> = merged.streams.iter().map(|s| s.source.reason.as_str()).collect();
        assert_eq!(reasons, ["the camera that came since", "as it was at the start"]);
    }
}
