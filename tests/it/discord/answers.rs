//! REST answers, with Discord's own words for what went wrong.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Null for an answer without a body.
    pub(super) body: Value,
    headers: Vec<(&'static str, String)>,
}

impl Answer {
    pub(super) fn ok(body: Value) -> Self {
        Self::new(200, body)
    }

    pub(super) fn created(body: Value) -> Self {
        Self::new(201, body)
    }

    pub(super) fn no_content() -> Self {
        Self::new(204, Value::Null)
    }

    pub(super) fn error(status: u16, code: u64, message: &str) -> Self {
        Self::new(status, json!({"code": code, "message": message}))
    }

    pub(super) fn unauthorized() -> Self {
        Self::error(401, 0, "401: Unauthorized")
    }

    pub(super) fn no_such_route() -> Self {
        Self::error(404, 0, "404: Not Found")
    }

    pub(super) fn unknown_channel() -> Self {
        Self::error(404, 10_003, "Unknown Channel")
    }

    pub(super) fn unknown_message() -> Self {
        Self::error(404, 10_008, "Unknown Message")
    }

    pub(super) fn unknown_interaction() -> Self {
        Self::error(404, 10_062, "Unknown interaction")
    }

    pub(super) fn unknown_webhook() -> Self {
        Self::error(404, 10_015, "Unknown Webhook")
    }

    pub(super) fn answered_already() -> Self {
        Self::error(400, 40_060, "Interaction has already been acknowledged.")
    }

    pub(super) fn unknown_user() -> Self {
        Self::error(404, 10_013, "Unknown User")
    }

    pub(super) fn unknown_member() -> Self {
        Self::error(404, 10_007, "Unknown Member")
    }

    pub(super) fn missing_access() -> Self {
        Self::error(403, 50_001, "Missing Access")
    }

    pub(super) fn not_the_author() -> Self {
        Self::error(403, 50_005, "Cannot edit a message authored by another user")
    }

    pub(super) fn empty_message() -> Self {
        Self::error(400, 50_006, "Cannot send an empty message")
    }

    pub(super) fn missing_permissions() -> Self {
        Self::error(403, 50_013, "Missing Permissions")
    }

    pub(super) fn wrong_kind_of_channel() -> Self {
        Self::error(400, 50_024, "Cannot execute action on this channel type")
    }

    /// REST says so with 400, the answer to an interaction with 403.
    pub(super) fn archived(status: u16) -> Self {
        Self::error(status, 50_083, "Thread is archived")
    }

    /// A field of the body that Discord does not take.
    pub(super) fn invalid_form(field: &str, code: &str, message: &str) -> Self {
        let mut answer = Self::error(400, 50_035, "Invalid Form Body");
        answer.body["errors"] = json!({field: {"_errors": [{"code": code, "message": message}]}});
        answer
    }

    /// The header has whole seconds, rounded up, and the body the exact time.
    pub(super) fn rate_limited(retry_after: Duration) -> Self {
        let whole_seconds = retry_after.as_millis().div_ceil(1000);
        let body = json!({
            "message": "You are being rate limited.",
            "retry_after": retry_after.as_secs_f64(),
            "global": false,
        });
        Self::new(429, body).with_headers(vec![
            ("retry-after", whole_seconds.to_string()),
            ("x-ratelimit-scope", "user".to_owned()),
        ])
    }

    /// An error that comes from in front of Discord and has no JSON.
    pub(super) fn bare(status: u16) -> Self {
        Self::new(status, Value::Null)
    }

    pub(super) fn with_headers(mut self, headers: Vec<(&'static str, String)>) -> Self {
        self.headers.extend(headers);
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let body = if self.body.is_null() { Body::empty() } else { Body::from(self.body.to_string()) };
        let mut response = Response::builder()
            .status(StatusCode::from_u16(self.status).expect("a status that HTTP knows"))
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(body).expect("headers that HTTP allows")
    }

    fn new(status: u16, body: Value) -> Self {
        Self { status, body, headers: Vec::new() }
    }
}
