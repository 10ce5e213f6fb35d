//! Errors as `application/problem+json` (RFC 9457), with the fault code to look up.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::base::error::{Chain, Coded, Kind};
use crate::base::fault::FaultCode;
use crate::config::problem::Problems;
use crate::control;

/// What went wrong.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    fault: Option<FaultCode>,
    problems: Problems,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<Fault>,
    /// What is wrong with a configuration, each as the command line says it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Fault {
    code: FaultCode,
    title: &'static str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), fault: None, problems: Problems::default() }
    }
}

impl From<control::Error> for Problem {
    fn from(e: control::Error) -> Self {
        let status = match e.kind() {
            Kind::Config => StatusCode::BAD_REQUEST,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Unavailable | Kind::Exhausted => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let (detail, fault) = (Chain(&e).to_string(), e.fault());
        let problems = match e {
            control::Error::Refused { problems } => problems,
            _ => Problems::default(),
        };
        Self { status, detail, fault, problems }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            // "No meaning beyond the status" (RFC 9457, 4.2.1); `fault` is our extension.
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            fault: self.fault.map(|code| Fault { code, title: code.title() }),
            problems: self.problems.iter().map(ToString::to_string).collect(),
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
