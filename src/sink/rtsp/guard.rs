//! The answers to a client that depend on us: 503 while a stream has no frames yet, 453 when there are too many viewers,
//! 401 for whoever has to log in and did not, 454 for somebody else's session, 455 for a transport that is to be exchanged
//! while it plays, 461 for one that names no ports or would leave an encrypted connection, and a keyframe for everyone who
//! begins to play.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gst::prelude::*;
use gst_rtsp::{RTSPHeaderField, RTSPMethod, RTSPStatusCode as Code};
use gst_rtsp_server::prelude::*;
use gst_rtsp_server::{RTSPClient, RTSPContext, RTSPFilterResult};

use crate::auth::{self, Login, Verdict};
use crate::base::clock::Clock;
use crate::base::health::Reporter;
use crate::base::request::RequestKeyframe;

use super::connections::Connections;
use super::offenders::{self, Offenders};
use super::request::{self, Request};
use super::server::{Entry, Streams};
use super::socket;
use super::viewers::{Admission, Limits, Viewers};

/// A connection whose session is over is closed after so long.
const AFTER_SESSION_S: i32 = 10;

/// What is needed to answer. Cheap to clone: each callback holds one.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) streams: Streams,
    pub(super) viewers: Viewers,
    pub(super) connections: Connections,
    pub(super) offenders: Offenders,
    /// Who may watch; `None` for everybody.
    pub(super) login: Option<Login>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) max_viewers: Arc<AtomicU32>,
    pub(super) max_viewers_per_host: Arc<AtomicU32>,
    pub(super) report: Reporter,
}

/// Why a request does not reach the library.
enum Refusal {
    /// Answered by this code.
    Code(Code),
    /// Answered by 401 and this question.
    Login(String),
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl Guard {
    /// Whether somebody may connect.
    pub(super) fn lets_in(&self, context: &RTSPContext) -> bool {
        request::peer(context).is_none_or(|peer| self.lets_in_from(peer))
    }

    /// Whether somebody may connect from there.
    pub(super) fn lets_in_from(&self, peer: IpAddr) -> bool {
        let out = self.offenders.is_out(peer, self.clock.monotonic());
        if out {
            self.report.count("refused", 1);
        }
        !out
    }

    /// Receives a connection that the library has accepted.
    pub(super) fn receive(&self, client: &RTSPClient) {
        let Some((socket, peer)) = socket::tune(client) else { return };
        if self.counts(client, socket, peer, false) {
            self.answer(client);
        }
    }

    /// Takes a connection into the book; false if there is no room for it, and it was ended.
    pub(super) fn counts(&self, client: &RTSPClient, socket: OwnedFd, peer: IpAddr, secure: bool) -> bool {
        let room = self.connections.open(id(client), socket, peer, secure, self.clock.monotonic());
        if !room {
            self.report.count("refused", 1);
        }
        room
    }

    /// Answers what comes on a connection from now on.
    pub(super) fn answer(&self, client: &RTSPClient) {
        socket::refuse_tunnels(client);
        client.set_post_session_timeout(AFTER_SESSION_S);
        self.answer_requests(client);
        self.follow_state(client);
        let guard = self.clone();
        client.connect_new_session(move |client, session| {
            if let Some(name) = session.sessionid() {
                guard.connections.own(id(client), &name);
            }
        });
        let guard = self.clone();
        client.connect_closed(move |client| guard.part(client));
    }

    /// The library keeps a session for a minute after its connection broke, which would count as a viewer all the while.
    pub(super) fn part(&self, client: &RTSPClient) {
        let sessions = self.connections.closed(id(client));
        let Some(pool) = client.session_pool() else { return };
        for session in sessions {
            // Removing it calls `session-removed`, where the viewer is taken from the list.
            let _ = pool.find(&session).map(|session| pool.remove(&session));
        }
    }

    /// Whether a request may go to the library; otherwise it is answered here.
    pub(super) fn lets_pass(&self, context: &RTSPContext) -> bool {
        let (Some(client), Some(request)) = (context.client(), Request::of(context)) else { return false };
        self.connections.heard(id(client));
        let Err(refusal) = self.judge(client, context, &request) else { return true };
        self.report.count("refused_requests", 1);
        if let Some(response) = context.response() {
            match refusal {
                Refusal::Code(code) => response.init_response(code, context.request()),
                Refusal::Login(challenge) => {
                    response.init_response(Code::Unauthorized, context.request());
                    response.add_header(RTSPHeaderField::WwwAuthenticate, &challenge);
                }
            }
            client.send_message(response, None);
        }
        false
    }

    fn judge(&self, client: &RTSPClient, context: &RTSPContext, request: &Request<'_>) -> Result<(), Refusal> {
        // The library makes something else of version 2.0, which no player speaks.
        if !request.is_version_1 {
            return Err(Code::RtspVersionNotSupported.into());
        }
        self.own_session(client, context)?;
        // Whatever else needs a session, and that is made by SETUP over the same connection.
        if matches!(request.method, RTSPMethod::DESCRIBE | RTSPMethod::SETUP) {
            self.identify(id(client), request)?;
        }
        match request.method {
            RTSPMethod::SETUP => {
                let transports = request.header(RTSPHeaderField::Transport).unwrap_or_default();
                // Packets of RTP over UDP would go in the clear, whatever the requests go through.
                let stays = !self.connections.is_secure(id(client)) || request::is_interleaved(transports);
                if stays && !transports.is_empty() && request::names_its_ports(transports) {
                    return Ok(());
                }
                Err(Code::UnsupportedTransport.into())
            }
            RTSPMethod::OPTIONS
            | RTSPMethod::DESCRIBE
            | RTSPMethod::PLAY
            | RTSPMethod::PAUSE
            | RTSPMethod::TEARDOWN
            | RTSPMethod::GET_PARAMETER
            | RTSPMethod::SET_PARAMETER => Ok(()),
            RTSPMethod::ANNOUNCE | RTSPMethod::RECORD => Err(Code::MethodNotAllowed.into()),
            _ => Err(Code::NotImplemented.into()),
        }
    }

    /// Asks who does not say who he is, and keeps out who tries passwords. What was sent is written nowhere.
    fn identify(&self, connection: usize, request: &Request<'_>) -> Result<(), Refusal> {
        let Some(login) = &self.login else { return Ok(()) };
        let (Some(nonce), Some(peer)) = (self.connections.nonce(connection), self.connections.peer(connection)) else {
            return Err(Code::Forbidden.into());
        };
        let Some(authorization) = request.header(RTSPHeaderField::Authorization) else {
            return Err(Refusal::Login(auth::challenge(&nonce, false)));
        };
        let method = if request.method == RTSPMethod::SETUP { "SETUP" } else { "DESCRIBE" };
        // Credentials that cannot be read are nobody's; the fault says so.
        let credentials = login.credentials().unwrap_or_default();
        match credentials.judge(authorization, method, &nonce) {
            Verdict::Right => Ok(()),
            Verdict::Stale => Err(Refusal::Login(auth::challenge(&nonce, true))),
            Verdict::Wrong => {
                self.report.count("wrong_credentials", 1);
                let now = self.clock.monotonic();
                if self.offenders.note_wrong(peer, now) {
                    if !self.offenders.is_out(peer, now) {
                        tracing::warn!(%peer, "{peer} tries wrong passwords: kept out for a while");
                    }
                    self.offenders.note(peer, now);
                    self.connections.end(connection);
                }
                Err(Refusal::Login(auth::challenge(&nonce, false)))
            }
        }
    }

    /// A session belongs to the connection that made it. The library lets everybody use it who knows its name, and ends
    /// it with any connection that named it once.
    fn own_session(&self, client: &RTSPClient, context: &RTSPContext) -> Result<(), Refusal> {
        let Some(name) = session(context) else { return Ok(()) };
        if self.connections.owns(id(client), &name) {
            return Ok(());
        }
        // This client watches the session by now, and would take it along when it leaves.
        client.session_filter(Some(&mut |_, watched| match watched.sessionid() {
            Some(watched) if watched == name.as_str() => RTSPFilterResult::Remove,
            _ => RTSPFilterResult::Keep,
        }));
        Err(Code::SessionNotFound.into())
    }

    fn answer_requests(&self, client: &RTSPClient) {
        let guard = self.clone();
        client.connect_pre_describe_request(move |_, context| match guard.find(context) {
            Some(entry) if !entry.paths.is_ready() => Code::ServiceUnavailable,
            _ => Code::Ok,
        });
        let guard = self.clone();
        client.connect_pre_setup_request(move |client, context| guard.admit(id(client), context));
    }

    fn admit(&self, connection: usize, context: &RTSPContext) -> Code {
        let Some(entry) = self.find(context) else { return Code::Ok };
        let session = session(context);
        let limits = Limits {
            of_stream: entry.max_viewers(),
            of_host: self.max_viewers_per_host.load(Ordering::Relaxed),
            in_all: self.max_viewers.load(Ordering::Relaxed),
        };
        match self.viewers.admits(session.as_deref(), connection, self.host(connection), &entry.stream.id, limits) {
            Admission::Admitted => Code::Ok,
            Admission::TooMany => Code::NotEnoughBandwidth,
            Admission::Playing => Code::MethodNotValidInThisState,
        }
    }

    /// Keeps the list of viewers as the library answers their requests.
    fn follow_state(&self, client: &RTSPClient) {
        let guard = self.clone();
        client.connect_setup_request(move |client, context| {
            let (connection, host) = (id(client), guard.host(id(client)));
            guard.note(context, |viewers, session, entry| viewers.add(session, &entry.stream.id, connection, host));
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

    fn host(&self, connection: usize) -> Option<IpAddr> {
        self.connections.peer(connection).map(offenders::host)
    }

    fn note(&self, context: &RTSPContext, note: impl FnOnce(&Viewers, &str, &Entry)) {
        if let (Some(entry), Some(session)) = (self.find(context), session(context)) {
            note(&self.viewers, &session, &entry);
        }
    }

    fn find(&self, context: &RTSPContext) -> Option<Arc<Entry>> {
        let request = context.uri()?.request_uri();
        let (_, place) = request.split_once("://")?;
        let path = place.find('/').map(|at| &place[at..])?;
        let path = path.split('?').next()?;
        self.streams.at(path)
    }
}

fn session(context: &RTSPContext) -> Option<String> {
    context.session()?.sessionid().map(Into::into)
}

/// Tells connections apart while they live.
pub(super) fn id(client: &RTSPClient) -> usize {
    client.as_ptr() as usize
}
