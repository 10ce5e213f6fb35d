//! The answers to a client that depend on us: 503 while a stream has no frames yet, 453 when there are too many viewers,
//! 455 for a transport that is to be exchanged while it plays, and a keyframe for everyone who begins to play.

use std::sync::Arc;

use gst::prelude::*;
use gst_rtsp::RTSPStatusCode as Code;
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::{RTSPClient, RTSPContext};

use crate::base::health::Reporter;
use crate::base::request::RequestKeyframe;

use super::connections::Connections;
use super::server::Entry;
use super::socket;
use super::viewers::{Admission, Viewers};

/// A connection whose session is over is closed after so long.
const AFTER_SESSION_S: i32 = 10;

/// What is needed to answer. Cheap to clone: each callback holds one.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) streams: Arc<Vec<Entry>>,
    pub(super) viewers: Viewers,
    pub(super) connections: Connections,
    pub(super) max_viewers: u32,
    pub(super) report: Reporter,
}

impl Guard {
    /// Receives a new connection.
    pub(super) fn receive(&self, client: &RTSPClient) {
        let Some(socket) = socket::tune(client) else { return };
        if !self.connections.open(id(client), socket) {
            self.report.count("refused", 1);
            return;
        }
        client.set_post_session_timeout(AFTER_SESSION_S);
        self.answer_requests(client);
        self.follow_state(client);
        let guard = self.clone();
        client.connect_closed(move |client| guard.part(client));
    }

    /// The library keeps a session for a minute after its connection broke, which would count as a viewer all the while.
    fn part(&self, client: &RTSPClient) {
        self.connections.closed(id(client));
        let Some(pool) = client.session_pool() else { return };
        for session in self.viewers.of_connection(id(client)) {
            // Removing it calls `session-removed`, where the viewer is taken from the list.
            let _ = pool.find(&session).map(|session| pool.remove(&session));
        }
    }

    fn answer_requests(&self, client: &RTSPClient) {
        let guard = self.clone();
        client.connect_pre_describe_request(move |_, context| match guard.find(context) {
            Some(entry) if !entry.paths.is_ready() => Code::ServiceUnavailable,
            _ => Code::Ok,
        });
        let guard = self.clone();
        client.connect_pre_setup_request(move |_, context| guard.admit(context));
    }

    fn admit(&self, context: &RTSPContext) -> Code {
        let Some(entry) = self.find(context) else { return Code::Ok };
        let (session, stream) = (session(context), &entry.stream);
        match self.viewers.admits(session.as_deref(), &stream.id, stream.max_viewers, self.max_viewers) {
            Admission::Admitted => Code::Ok,
            Admission::TooMany => Code::NotEnoughBandwidth,
            Admission::Playing => Code::MethodNotValidInThisState,
        }
    }

    /// Keeps the list of viewers as the library answers their requests.
    fn follow_state(&self, client: &RTSPClient) {
        let guard = self.clone();
        client.connect_setup_request(move |client, context| {
            guard.note(context, |viewers, session, entry| viewers.add(session, &entry.stream.id, id(client)));
        });
        let guard = self.clone();
        client.connect_play_request(move |_, context| {
            guard.note(context, |viewers, session, entry| {
                viewers.set_playing(session, &entry.stream.id, true);
                entry.stream.hub.request_keyframe("play");
            });
        });
        let guard = self.clone();
        client.connect_pause_request(move |_, context| {
            guard.note(context, |viewers, session, entry| viewers.set_playing(session, &entry.stream.id, false));
        });
        let guard = self.clone();
        client.connect_teardown_request(move |_, context| {
            guard.note(context, |viewers, session, entry| viewers.remove(session, &entry.stream.id));
        });
    }

    fn note(&self, context: &RTSPContext, note: impl FnOnce(&Viewers, &str, &Entry)) {
        if let (Some(entry), Some(session)) = (self.find(context), session(context)) {
            note(&self.viewers, &session, entry);
        }
    }

    fn find(&self, context: &RTSPContext) -> Option<&Entry> {
        let request = context.uri()?.request_uri();
        let path = request.strip_prefix("rtsp://").and_then(|r| r.find('/').map(|at| &r[at..]))?;
        let path = path.split('?').next()?;
        self.streams.iter().find(|entry| entry.paths.covers(path))
    }
}

fn session(context: &RTSPContext) -> Option<String> {
    context.session()?.sessionid().map(Into::into)
}

/// Tells connections apart while they live.
fn id(client: &RTSPClient) -> usize {
    client.as_ptr() as usize
}
