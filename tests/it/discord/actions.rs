//! What each REST call does to the world, under the rules that Discord has beyond those that its
//! published description of the API can express.

use serde_json::{Value, json};
use serenity::model::Permissions;
use serenity::model::gateway::GatewayIntents;
use tokio::time::Instant;

use super::answers::Answer;
use super::events::Event;
use super::ids::{ChannelId, GuildId, MessageId, RoleId, UserId};
use super::interactions;
pub(super) use super::message::File;
use super::message::{Edit, Message, Pingable, Pings, Post, Reply};
use super::payloads::{self, Reader};
use super::routes::Route;
use super::state::State;
use super::threads;
use super::webhooks;
use super::world::{ChannelKind, UserKind};

/// Unicode scalar values in a message.
const CONTENT_MAX: usize = 2000;
/// Rows of buttons and menus under a message.
const ROWS_MAX: usize = 5;
/// Messages in one page of a channel's history, unless the bot says otherwise.
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 100;

/// What a request brings beside its route.
pub(super) struct Input {
    pub(super) query: String,
    /// The secret in the path of a webhook's call; empty in others.
    pub(super) secret: String,
    /// Null when there is no body.
    pub(super) body: Value,
    pub(super) files: Vec<File>,
}

pub(super) fn carry_out(state: &mut State, route: Route, input: &Input) -> Answer {
    let outcome = match route {
        Route::Gateway => Ok(Answer::ok(json!({"url": state.gateway.url()}))),
        Route::GatewayBot => Ok(gateway_for_bot(state)),
        Route::CurrentUser => Ok(Answer::ok(payloads::current_user(&state.world))),
        Route::CurrentApplication => Ok(Answer::ok(payloads::application(&state.world, &state.gateway))),
        Route::OpenDirect => open_direct(state, &input.body),
        Route::Channel(channel) => show_channel(state, channel),
        Route::EditChannel(channel) => threads::edit(state, channel, &input.body),
        Route::DeleteChannel(channel) => threads::delete(state, channel),
        Route::StartThread(channel) => threads::start(state, channel, &input.body),
        Route::StartThreadFrom(channel, message) => threads::start_from(state, channel, message, &input.body),
        Route::ThreadMember(channel, user) => threads::show_member(state, channel, user),
        Route::AddThreadMember(channel, user) => threads::add_member(state, channel, user),
        Route::RemoveThreadMember(channel, user) => threads::remove_member(state, channel, user),
        Route::Typing(channel) => type_in(state, channel),
        Route::ListMessages(channel) => list_messages(state, channel, &input.query),
        Route::SendMessage(channel) => send_message(state, channel, &input.body),
        Route::GetMessage(channel, message) => show_message(state, channel, message),
        Route::EditMessage(channel, message) => edit_message(state, channel, message, &input.body),
        Route::DeleteMessage(channel, message) => delete_message(state, channel, message),
        Route::DeleteMessages(channel) => delete_messages(state, channel, &input.body),
        Route::GetMember(guild, user) => show_member(state, guild, user),
        Route::RegisterCommands => Ok(register_commands(state, &input.body)),
        Route::ListWebhooks(channel) => webhooks::list(state, channel),
        Route::CreateWebhook(channel) => webhooks::create(state, channel, &input.body),
        Route::ExecuteWebhook(webhook) => webhooks::execute(state, webhook, &input.secret, input),
        Route::EditWebhookMessage(webhook, message) => {
            webhooks::edit(state, webhook, &input.secret, message, input)
        }
        Route::DeleteWebhookMessage(webhook, message) => {
            webhooks::delete(state, webhook, &input.secret, message, &input.query)
        }
        Route::ListEmoji => Ok(webhooks::list_emoji(state)),
        Route::CreateEmoji => webhooks::create_emoji(state, &input.body),
        Route::SearchMembers => Ok(webhooks::search(state, &input.query)),
        Route::Respond(interaction) => interactions::respond(state, interaction, input),
        Route::FollowUp(interaction) => interactions::follow_up(state, interaction, input),
        Route::GetAnswer(interaction, message) => interactions::show(state, interaction, message),
        Route::EditAnswer(interaction, message) => interactions::edit(state, interaction, message, input),
        Route::DeleteAnswer(interaction, message) => interactions::delete(state, interaction, message),
    };
    outcome.unwrap_or_else(|refusal| refusal)
}

/// The error is an answer as well: a refusal in Discord's words.
pub(super) type Outcome = Result<Answer, Answer>;

fn gateway_for_bot(state: &State) -> Answer {
    Answer::ok(json!({
        "url": state.gateway.url(),
        "shards": 1,
        "session_start_limit": {
            "total": 1000,
            "remaining": 1000,
            "reset_after": 86_400_000,
            "max_concurrency": 1,
        },
    }))
}

fn show_member(state: &State, guild: GuildId, user: UserId) -> Outcome {
    if state.world.gone.contains(&user) {
        return Err(Answer::unknown_member());
    }
    let mut members = state.world.members().filter(|_| state.world.guild == guild);
    let member = members.find(|member| member.id == user).ok_or_else(Answer::unknown_user)?;
    Ok(Answer::ok(payloads::member(member)))
}

/// Registers all commands anew, and says how Discord would keep them.
fn register_commands(state: &mut State, body: &Value) -> Answer {
    state.commands = list(body);
    let kept = (1u64..).zip(&state.commands).map(|(number, command)| {
        let mut kept = without_blanks(command);
        kept["id"] = json!(number.to_string());
        kept["application_id"] = json!(state.world.bot);
        kept["version"] = json!("1");
        kept["description"] = json!(command["description"].as_str().unwrap_or_default());
        kept["type"] = json!(command["type"].as_u64().unwrap_or(1));
        kept["default_member_permissions"] = command["default_member_permissions"].clone();
        kept
    });
    Answer::ok(kept.collect())
}

/// Leaves out what says nothing.
fn without_blanks(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(without_blanks).collect(),
        Value::Object(fields) => {
            let says_something = |value: &Value| !value.is_null() && *value != json!([]);
            let fields = fields.iter().filter(|(_, value)| says_something(value));
            fields.map(|(name, value)| (name.clone(), without_blanks(value))).collect()
        }
        other => other.clone(),
    }
}

fn open_direct(state: &mut State, body: &Value) -> Outcome {
    let world = &mut state.world;
    let recipient = snowflake(&body["recipient_id"]).map(UserId);
    let user = recipient
        .and_then(|id| world.users.get(&id))
        .filter(|user| user.kind == UserKind::Human)
        .ok_or_else(Answer::unknown_user)?;
    let channel = world.direct_channel(user.id);
    show_channel(state, channel)
}

pub(super) fn show_channel(state: &State, channel: ChannelId) -> Outcome {
    check_visible(state, channel)?;
    let channel = &state.world.channels[&channel];
    Ok(Answer::ok(payloads::channel(&state.world, channel)))
}

fn type_in(state: &mut State, channel: ChannelId) -> Outcome {
    check_may_send(state, channel)?;
    if let Some(channel) = state.world.channels.get_mut(&channel) {
        channel.typing.push(Instant::now());
    }
    Ok(Answer::no_content())
}

fn list_messages(state: &mut State, channel: ChannelId, query: &str) -> Outcome {
    check_visible(state, channel)?;
    let mut page = PAGE_DEFAULT;
    let mut before = None;
    let mut after = None;
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (name, value.parse::<u64>()) {
            ("limit", Ok(limit)) => page = usize::try_from(limit).unwrap_or(usize::MAX),
            ("before", Ok(id)) => before = Some(MessageId(id)),
            ("after", Ok(id)) => after = Some(MessageId(id)),
            _ => {
                let complaint = format!("list messages: the fake does not know {name}={value}");
                state.violations.push(complaint);
            }
        }
    }
    if !(1..=PAGE_MAX).contains(&page) {
        let complaint = format!("list messages: a page of {page} is not between 1 and {PAGE_MAX}");
        state.violations.push(complaint);
        let message = "int value should be between 1 and 100.";
        return Err(Answer::invalid_form("limit", "NUMBER_TYPE_MAX", message));
    }

    let mut matching: Vec<&Message> = state
        .world
        .shown(channel)
        .filter(|it| before.is_none_or(|before| it.id < before))
        .filter(|it| after.is_none_or(|after| it.id > after))
        .collect();
    // `after` asks for the messages next to it, everything else for the newest ones.
    if after.is_some() {
        matching.truncate(page);
    } else {
        matching.drain(..matching.len().saturating_sub(page));
    }
    let newest_first: Vec<Value> =
        matching.into_iter().rev().map(|message| message_payload(state, message)).collect();
    Ok(Answer::ok(Value::Array(newest_first)))
}

fn show_message(state: &State, channel: ChannelId, message: MessageId) -> Outcome {
    check_visible(state, channel)?;
    let message = find_message(state, channel, message)?;
    Ok(Answer::ok(message_payload(state, message)))
}

fn send_message(state: &mut State, channel: ChannelId, body: &Value) -> Outcome {
    check_may_send(state, channel)?;
    check_form(state, body)?;
    if let Some(first) = sent_before(state, body) {
        return Ok(Answer::ok(message_payload(state, first)));
    }
    let reply = find_reply(state, channel, &body["message_reference"])?;

    let content = body["content"].as_str().unwrap_or_default().trim();
    let mut post = Post::new(channel, state.world.bot, content);
    post.reply = reply;
    dress(&mut post, body);
    post.nonce = Some(body["nonce"].clone()).filter(|nonce| !nonce.is_null());
    post.enforce_nonce = body["enforce_nonce"] == true;
    if content.is_empty() && post.embeds.is_empty() && post.components.is_empty() {
        state.violations.push("an empty message".to_owned());
        return Err(Answer::empty_message());
    }

    threads::wake(state, channel)?;
    let id = state.world.add_message(post);
    let event = Event::message("MESSAGE_CREATE", &state.world, id);
    state.announce(&event);
    Ok(Answer::ok(message_payload(state, &state.world.messages[&id])))
}

fn edit_message(state: &mut State, channel: ChannelId, id: MessageId, body: &Value) -> Outcome {
    check_visible(state, channel)?;
    if find_message(state, channel, id)?.author != state.world.bot {
        return Err(Answer::not_the_author());
    }
    threads::check_awake(state, channel)?;
    check_form(state, body)?;

    apply(state, id, body)?;
    let event = Event::message("MESSAGE_UPDATE", &state.world, id);
    state.announce(&event);
    Ok(Answer::ok(message_payload(state, &state.world.messages[&id])))
}

/// Gives a message that is about to be posted what its body says beside the text.
pub(super) fn dress(post: &mut Post, body: &Value) {
    post.pings = pings(&body["allowed_mentions"]);
    post.embeds = embeds(&body["embeds"]);
    post.components = components(&body["components"]);
    post.flags = body["flags"].as_u64().unwrap_or_default();
    post.allowed_mentions = Some(body["allowed_mentions"].clone());
}

/// Changes a message as the body says.
pub(super) fn apply(state: &mut State, id: MessageId, body: &Value) -> Result<(), Answer> {
    // What the body does not name stays as it is; null empties it.
    let message = &state.world.messages[&id];
    let mut edit = Edit::of_text(message, message.content());
    if let Some(content) = body.get("content") {
        content.as_str().unwrap_or_default().trim().clone_into(&mut edit.content);
    }
    if let Some(sent) = body.get("embeds") {
        edit.embeds = embeds(sent);
    }
    if let Some(sent) = body.get("components") {
        edit.components = components(sent);
    }
    if let Some(flags) = body["flags"].as_u64() {
        edit.flags = flags;
    }
    edit.pings = pings(&body["allowed_mentions"]);
    edit.allowed_mentions = Some(body["allowed_mentions"].clone());
    if edit.content.is_empty() && edit.embeds.is_empty() && edit.components.is_empty() {
        state.violations.push("an edit that leaves nothing".to_owned());
        return Err(Answer::empty_message());
    }
    state.world.edit_message(id, edit);
    Ok(())
}

fn delete_message(state: &mut State, channel: ChannelId, id: MessageId) -> Outcome {
    check_visible(state, channel)?;
    let author = find_message(state, channel, id)?.author;
    let moderates = state.world.bot_may(&state.world.channels[&channel], Permissions::MANAGE_MESSAGES);
    // Nobody moderates direct messages.
    if author != state.world.bot && (!moderates || state.world.is_direct(channel)) {
        return Err(Answer::missing_permissions());
    }
    state.world.delete_message(id);
    let event = Event::message_delete(&state.world, id);
    state.announce(&event);
    Ok(Answer::no_content())
}

/// Between 2 and 100 at once, by whoever may manage messages. Those that are gone already do not matter.
fn delete_messages(state: &mut State, channel: ChannelId, body: &Value) -> Outcome {
    check_visible(state, channel)?;
    if !state.world.bot_may(&state.world.channels[&channel], Permissions::MANAGE_MESSAGES) {
        return Err(Answer::missing_permissions());
    }
    let ids: Vec<MessageId> = list(&body["messages"]).iter().filter_map(snowflake).map(MessageId).collect();
    if !(2..=100).contains(&ids.len()) {
        let message = "Must be between 2 and 100 in length.";
        return Err(Answer::invalid_form("messages", "BASE_TYPE_BAD_LENGTH", message));
    }
    let standing = |id: &MessageId| state.world.standing(*id).is_some_and(|it| it.channel == channel);
    let ids: Vec<MessageId> = ids.into_iter().filter(standing).collect();
    for id in &ids {
        state.world.delete_message(*id);
    }
    let event = Event::messages_delete(&state.world, channel, &ids);
    state.announce(&event);
    Ok(Answer::no_content())
}

pub(super) fn check_visible(state: &State, channel: ChannelId) -> Result<(), Answer> {
    let channel = state.world.channel(channel).ok_or_else(Answer::unknown_channel)?;
    if state.world.bot_may_view(channel) { Ok(()) } else { Err(Answer::missing_access()) }
}

fn check_may_send(state: &State, channel: ChannelId) -> Result<(), Answer> {
    check_visible(state, channel)?;
    let channel = &state.world.channels[&channel];
    let needed = match channel.kind {
        // Nothing is said in a forum but in its posts.
        ChannelKind::Forum => return Err(Answer::wrong_kind_of_channel()),
        ChannelKind::Thread { .. } => Permissions::SEND_MESSAGES_IN_THREADS,
        ChannelKind::Text | ChannelKind::Direct { .. } => Permissions::SEND_MESSAGES,
    };
    if state.world.bot_may(channel, needed) { Ok(()) } else { Err(Answer::missing_permissions()) }
}

/// What holds for every text that the bot shows, sent or edited. A bot that breaks a limit has a
/// mistake in it, whatever it then makes of the refusal.
pub(super) fn check_form(state: &mut State, body: &Value) -> Result<(), Answer> {
    if !body["allowed_mentions"].is_object() {
        let violation = format!("allowed_mentions is missing in {body}");
        state.violations.push(violation);
    }
    let length = body["content"].as_str().map_or(0, |it| it.chars().count());
    if length > CONTENT_MAX {
        let violation = format!("a text of {length} characters, of {CONTENT_MAX} allowed");
        state.violations.push(violation);
        let message = "Must be 2000 or fewer in length.";
        return Err(Answer::invalid_form("content", "BASE_TYPE_MAX_LENGTH", message));
    }
    let rows = body["components"].as_array().map_or(0, Vec::len);
    if rows > ROWS_MAX {
        let violation = format!("{rows} rows of components, of {ROWS_MAX} allowed");
        state.violations.push(violation);
        let message = "Must be 5 or fewer in length.";
        return Err(Answer::invalid_form("components", "BASE_TYPE_BAD_LENGTH", message));
    }
    Ok(())
}

/// The message that was sent with this nonce, when it is enforced.
fn sent_before<'a>(state: &'a State, body: &Value) -> Option<&'a Message> {
    if body["enforce_nonce"] != true || body["nonce"].is_null() {
        return None;
    }
    state.world.sent_with(&body["nonce"])
}

/// A reply to a message that is gone is refused, or becomes an ordinary message when the bot asked
/// for that.
fn find_reply(state: &State, channel: ChannelId, reference: &Value) -> Result<Option<Reply>, Answer> {
    if reference.is_null() {
        return Ok(None);
    }
    let fail_if_not_exists = reference["fail_if_not_exists"].as_bool().unwrap_or(true);
    let original = snowflake(&reference["message_id"])
        .and_then(|id| state.world.standing(MessageId(id)))
        .filter(|original| original.channel == channel);
    match original {
        Some(original) => Ok(Some(Reply { to: original.id, fail_if_not_exists })),
        None if fail_if_not_exists => {
            Err(Answer::invalid_form("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message"))
        }
        None => Ok(None),
    }
}

pub(super) fn find_message(state: &State, channel: ChannelId, id: MessageId) -> Result<&Message, Answer> {
    state.world.standing(id).filter(|message| message.channel == channel).ok_or_else(Answer::unknown_message)
}

/// A message as REST shows it to this bot.
pub(super) fn message_payload(state: &State, message: &Message) -> Value {
    let reader = Reader {
        over_gateway: false,
        // Without the privilege, REST hides what the gateway hides.
        reads_everything: !state.gateway.forbids(GatewayIntents::MESSAGE_CONTENT),
    };
    payloads::message(&state.world, message, reader)
}

pub(super) fn pings(allowed: &Value) -> Pings {
    if !allowed.is_object() {
        // Without any word on it, everything pings.
        return Pings { everyone: true, users: Pingable::All, roles: Pingable::All, replied_user: true };
    }
    let parsed = list(&allowed["parse"]);
    let named = |kind: &str| list(&allowed[kind]).iter().filter_map(snowflake).collect();
    let users: Vec<u64> = named("users");
    let roles: Vec<u64> = named("roles");
    Pings {
        everyone: parsed.contains(&json!("everyone")),
        users: if parsed.contains(&json!("users")) {
            Pingable::All
        } else {
            Pingable::Only(users.into_iter().map(UserId).collect())
        },
        roles: if parsed.contains(&json!("roles")) {
            Pingable::All
        } else {
            Pingable::Only(roles.into_iter().map(RoleId).collect())
        },
        replied_user: allowed["replied_user"] == true,
    }
}

/// Embeds as they come back: of the type that bots can send.
pub(super) fn embeds(sent: &Value) -> Vec<Value> {
    let mut embeds = list(sent);
    for embed in &mut embeds {
        embed["type"] = json!("rich");
    }
    embeds
}

/// Components as they come back: each with a number, in reading order.
pub(super) fn components(sent: &Value) -> Vec<Value> {
    fn number(components: &mut [Value], last: &mut u64) {
        for component in components {
            *last += 1;
            component["id"] = json!(*last);
            if let Some(inner) = component["components"].as_array_mut() {
                number(inner, last);
            }
        }
    }
    let mut components = list(sent);
    number(&mut components, &mut 0);
    components
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// An id in a body: a string by the book, though Discord takes numbers too.
fn snowflake(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    }
}
