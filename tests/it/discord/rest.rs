//! The way of a REST request through the fake: it is logged, checked, perhaps made to fail, counted
//! against the rate limits, carried out, and its answer checked and logged in turn.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{HeaderMap, Response, header};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::actions::{File, Input, carry_out};
use super::answers::Answer;
use super::faults::Failure;
use super::limits::Standing;
use super::routes::{Call, Route};
use super::spec::{self, Shape};
use super::state::{LoggedRequest, Outcome, State};
use super::wire::Scissors;
use super::{Inner, TOKEN};

/// More than any message is long, with the files that may come with it.
const BODY_LIMIT: usize = 12 << 20;

pub(super) async fn answer(
    Shared(inner): Shared<Arc<Inner>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let route = Route::parse(&head.method, &path);
    let (body, files) = match to_bytes(body, BODY_LIMIT).await {
        Ok(bytes) if bytes.is_empty() => (Some(Value::Null), Vec::new()),
        Ok(bytes) => match boundary(&head.headers) {
            Some(boundary) => parts(bytes, boundary).await,
            None => (serde_json::from_slice(&bytes).ok(), Vec::new()),
        },
        Err(_) => (None, Vec::new()),
    };

    let number = inner.change(|state| {
        state.requests.push(LoggedRequest {
            method: head.method.clone(),
            path: head.uri.path_and_query().map_or(path, ToString::to_string),
            call: route.map(Route::call),
            body: body.clone().unwrap_or_default(),
            outcome: Outcome::Pending,
            at: Instant::now(),
        });
        state.requests.len() - 1
    });

    let answer = match (route, body) {
        (Some(_), _) if !is_authorized(route, &head.headers) => Some(Answer::unauthorized()),
        (Some(route), Some(body)) => {
            let query = head.uri.query().unwrap_or_default().to_owned();
            let secret = head.uri.path().split('/').nth(5).unwrap_or_default().to_owned();
            respond(&inner, route, Input { query, secret, body, files }).await
        }
        (Some(_), None) => {
            inner.change(|state| state.object(number, "the body is not JSON"));
            Some(Answer::error(400, 50_109, "The request body contains invalid JSON."))
        }
        (None, _) => {
            inner.change(|state| state.object(number, "the bot has no business with this route"));
            Some(Answer::no_such_route())
        }
    };

    let Some(answer) = answer else {
        inner.change(|state| state.requests[number].outcome = Outcome::ConnectionCut);
        scissors.cut().await
    };
    inner.change(|state| state.requests[number].outcome = Outcome::Answered(answer.status));
    answer.into_response()
}

/// Returns nothing when the connection shall break instead.
async fn respond(inner: &Inner, route: Route, input: Input) -> Option<Answer> {
    match inner.change(|state| state.faults.strike(route.call())) {
        None => {}
        Some(Failure::RateLimited { retry_after }) => {
            return Some(turn_away(&Standing::exhausted(retry_after)));
        }
        Some(Failure::Status(status)) => return Some(Answer::bare(status)),
        Some(Failure::Refused { status, code }) => {
            return Some(Answer::error(status, code, "Refused by the test"));
        }
        Some(Failure::ConnectionLost) => return None,
        Some(Failure::AnswerLost) => {
            inner.change(|state| serve(state, route, &input));
            return None;
        }
        Some(Failure::Slow(duration)) => sleep(duration).await,
        Some(Failure::Held(held)) => held.released().await,
    }
    Some(inner.change(|state| serve(state, route, &input)))
}

fn serve(state: &mut State, route: Route, input: &Input) -> Answer {
    let standing = state.limits.count(route);
    if let Some(standing) = standing.as_ref().filter(|standing| !standing.allowed) {
        return turn_away(standing);
    }
    if let Some(shape) = request_shape(route.call()).or_else(|| shape_of_kind(route, &input.body)) {
        let parts = match &input.body {
            Value::Array(parts) => parts.as_slice(),
            single => std::slice::from_ref(single),
        };
        state.violations.extend(parts.iter().flat_map(|part| spec::complaints(shape, part)));
    }
    let answer = carry_out(state, route, input);
    if matches!(answer.status, 200 | 201) {
        check_answer(state, route, &answer.body);
    }
    match standing {
        Some(standing) => answer.with_headers(standing.headers()),
        None => answer,
    }
}

fn turn_away(standing: &Standing) -> Answer {
    Answer::rate_limited(standing.reset_after).with_headers(standing.headers())
}

fn request_shape(call: Call) -> Option<Shape> {
    match call {
        Call::SendMessage => Some(Shape::MessageCreateRequest),
        Call::EditMessage => Some(Shape::MessageEditRequestPartial),
        Call::EditChannel => Some(Shape::UpdateThreadRequestPartial),
        Call::StartThreadFrom => Some(Shape::CreateTextThreadWithMessageRequest),
        Call::OpenDirect => Some(Shape::CreatePrivateChannelRequest),
        Call::RegisterCommands => Some(Shape::ApplicationCommandUpdateRequest),
        Call::FollowUp | Call::ExecuteWebhook => Some(Shape::IncomingWebhookRequestPartial),
        Call::EditWebhookMessage | Call::EditAnswer => Some(Shape::IncomingWebhookUpdateRequestPartial),
        _ => None,
    }
}

/// What an interaction is answered with has a shape for each kind of answer, and so have threads and posts.
fn shape_of_kind(route: Route, body: &Value) -> Option<Shape> {
    match route {
        Route::StartThread(_) if body["message"].is_object() => Some(Shape::CreateForumThreadRequest),
        Route::StartThread(_) => Some(Shape::CreateTextThreadWithoutMessageRequest),
        Route::Respond(_) => response_shape(body),
        _ => None,
    }
}

fn response_shape(body: &Value) -> Option<Shape> {
    match body["type"].as_u64()? {
        4 | 5 => Some(Shape::CreateMessageInteractionCallbackRequest),
        6 | 7 => Some(Shape::UpdateMessageInteractionCallbackRequest),
        8 => Some(Shape::ApplicationCommandAutocompleteCallbackRequest),
        9 => Some(Shape::ModalInteractionCallbackRequest),
        _ => None,
    }
}

/// What separates the parts of a body that has several.
fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    multer::parse_boundary(kind).ok()
}

/// The JSON and the files of a body that has several parts.
async fn parts(bytes: axum::body::Bytes, boundary: String) -> (Option<Value>, Vec<File>) {
    let whole = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)]);
    let mut multipart = multer::Multipart::new(whole, boundary);
    let (mut body, mut files) = (None, Vec::new());
    while let Ok(Some(part)) = multipart.next_field().await {
        let (name, file) = (part.name().map(str::to_owned), part.file_name().map(str::to_owned));
        let Ok(bytes) = part.bytes().await else { break };
        match (name.as_deref(), file) {
            (Some("payload_json"), _) => body = serde_json::from_slice(&bytes).ok(),
            (_, Some(name)) => files.push(File { name, bytes: bytes.to_vec() }),
            _ => {}
        }
    }
    (body, files)
}

/// The fake must keep to the document as well, or tests would pass against something that Discord
/// is not.
fn check_answer(state: &mut State, route: Route, body: &Value) {
    let shape = match (route, body["type"].as_u64()) {
        (Route::Gateway, _) => Shape::GatewayResponse,
        (Route::GatewayBot, _) => Shape::GatewayBotResponse,
        (Route::CurrentUser, _) => Shape::UserPIIResponse,
        (Route::CurrentApplication, _) => Shape::PrivateApplicationResponse,
        (Route::GetMember(..) | Route::SearchMembers, _) => Shape::GuildMemberResponse,
        (Route::RegisterCommands, _) => Shape::ApplicationCommandResponse,
        (Route::ListWebhooks(_) | Route::CreateWebhook(_), _) => Shape::GuildIncomingWebhookResponse,
        (Route::ListEmoji, _) => Shape::ListApplicationEmojisResponse,
        (Route::CreateEmoji, _) => Shape::EmojiResponse,
        (Route::OpenDirect, _) | (Route::Channel(_), Some(1)) => Shape::PrivateChannelResponse,
        (Route::StartThread(_), _) => Shape::CreatedThreadResponse,
        (Route::ThreadMember(..), _) => Shape::ThreadMemberResponse,
        (Route::StartThreadFrom(..) | Route::EditChannel(_), _)
        | (Route::Channel(_) | Route::DeleteChannel(_), Some(11 | 12)) => Shape::ThreadResponse,
        (Route::Channel(_) | Route::DeleteChannel(_), _) => Shape::GuildChannelResponse,
        _ => Shape::MessageResponse,
    };
    let parts = match body {
        Value::Array(parts) => parts.as_slice(),
        single => std::slice::from_ref(single),
    };
    for part in parts {
        let complaints = spec::complaints(shape, part);
        let complaints = complaints.iter().map(|it| format!("the fake's answer: {it}"));
        state.violations.extend(complaints);
    }
}

/// Most wants the bot's token.
fn is_authorized(route: Option<Route>, headers: &HeaderMap) -> bool {
    let expected = format!("Bot {TOKEN}");
    route.is_some_and(Route::is_open)
        || headers.get(header::AUTHORIZATION).is_some_and(|given| given.as_bytes() == expected.as_bytes())
}

impl State {
    fn object(&mut self, request: usize, complaint: &str) {
        let LoggedRequest { method, path, .. } = &self.requests[request];
        let violation = format!("{method} {path}: {complaint}");
        self.violations.push(violation);
    }
}
