//! Paths to queries, replies to responses. Each handler asks control one question.

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::connection::Peer;
use super::problem::Problem;
use crate::base::id::StreamId;
use crate::control::{Command, Control, Query, Reached, Reply, Snapshot};

/// `Last-Modified` (RFC 9110, 5.6.7).
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
/// `Capture-Time`: the same moment to the millisecond.
const CAPTURE_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

type Answer = Result<Response, Problem>;
type Id = Result<Path<String>, PathRejection>;

/// The paths that change something.
pub(super) const CHANGES: [&str; 2] = [RELOAD, EJECT];
const RELOAD: &str = "/api/v1/reload";
const EJECT: &str = "/api/v1/storage/eject";

/// Whether the one who asks may see what the cameras see, now.
#[derive(Clone, Copy)]
pub(super) struct Pictures(pub(super) bool);

/// All paths. The short ones without prefix are those of earlier systems.
pub(super) fn router(control: Control) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/health", get(health))
        .route("/streams", get(streams))
        .route("/streams/{id}", get(stream))
        .route("/streams/{id}/snapshot.jpg", get(snapshot))
        .route("/api/v1/health", get(health))
        .route("/api/v1/plan", get(plan))
        .route("/api/v1/streams", get(streams))
        .route("/api/v1/streams/{id}", get(stream))
        .route("/api/v1/streams/{id}/snapshot.jpg", get(snapshot))
        .route(RELOAD, post(reload))
        .route(EJECT, post(eject))
        .fallback(nothing)
        .method_not_allowed_fallback(only_post)
        .with_state(control)
}

async fn alive(State(control): State<Control>) -> Answer {
    if control.alive() {
        return Ok("ok\n".into_response());
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the control loop does not advance"))
}

async fn ready(State(control): State<Control>) -> Answer {
    if control.health().ready {
        return Ok("ready\n".into_response());
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the RTSP port is not open: /api/v1/health says why"))
}

async fn health(State(control): State<Control>) -> Answer {
    ask(&control, Query::Health).await
}

async fn plan(State(control): State<Control>) -> Answer {
    ask(&control, Query::Plan).await
}

async fn streams(State(control): State<Control>, Extension(reached): Extension<Reached>) -> Answer {
    ask(&control, Query::Streams { reached }).await
}

async fn stream(State(control): State<Control>, Extension(reached): Extension<Reached>, id: Id) -> Answer {
    ask(&control, Query::Stream { stream: stream_id(id)?, reached }).await
}

async fn snapshot(State(control): State<Control>, Extension(pictures): Extension<Pictures>, id: Id) -> Answer {
    if !pictures.0 {
        let detail =
            "watching needs a login (access.watch), which HTTP does not have: watch by RTSP, or ask the unix socket";
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    ask(&control, Query::Snapshot { stream: stream_id(id)? }).await
}

async fn reload(State(control): State<Control>, Extension(peer): Extension<Peer>) -> Answer {
    order(&control, peer, Command::Reload, "run \"windhover reload\" there, or send the process SIGHUP").await
}

async fn eject(State(control): State<Control>, Extension(peer): Extension<Peer>) -> Answer {
    order(&control, peer, Command::Eject, "run \"windhover storage eject\" there").await
}

async fn order(control: &Control, peer: Peer, command: Command, instead: &str) -> Answer {
    if !peer.may_change() {
        let detail =
            format!("only root and the daemon's own user change anything, and over its unix socket: {instead}");
        return Err(Problem::new(StatusCode::FORBIDDEN, detail));
    }
    Ok(Json(control.order(command).await?).into_response())
}

/// Whatever else is asked of a path that exists is a question to the one that changes something: the connection lets
/// no other method through.
async fn only_post() -> Response {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path changes something: use POST");
    ([(header::ALLOW, "POST")], problem).into_response()
}

async fn nothing(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(100).collect();
    let detail = format!("there is nothing at {path}: see /api/v1/streams, /api/v1/health and /api/v1/plan");
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn ask(control: &Control, query: Query) -> Answer {
    match control.ask(query).await? {
        Reply::Snapshot(snapshot) => Ok(jpeg(snapshot)),
        reply => Ok(Json(reply).into_response()),
    }
}

fn stream_id(id: Id) -> Result<StreamId, Problem> {
    let not_found = |detail| Problem::new(StatusCode::NOT_FOUND, detail);
    let Path(text) = id.map_err(|e| not_found(e.body_text()))?;
    StreamId::new(&text).map_err(|e| not_found(e.to_string()))
}

fn jpeg(snapshot: Snapshot) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "image/jpeg")], snapshot.jpeg).into_response();
    let times = [("last-modified", HTTP_DATE), ("capture-time", CAPTURE_TIME)];
    for (name, format) in times {
        // A clock that is wrong by more than the calendar holds leaves a picture without a time, not no picture.
        if let Some(text) = date(snapshot.taken_wall, format).and_then(|t| t.parse().ok()) {
            response.headers_mut().insert(name, text);
        }
    }
    response
}

fn date(wall: Duration, format: &[BorrowedFormatItem<'_>]) -> Option<String> {
    let nanos = i128::try_from(wall.as_nanos()).ok()?;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?.format(format).ok()
}
