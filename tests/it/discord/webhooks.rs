//! Webhooks: messages are posted under any name and with any picture by whoever knows the secret. And what belongs to that: the
//! emoji of the application, whose pictures have lasting addresses, and the search for members by name.

use serde_json::{Value, json};
use serenity::model::Permissions;

use super::FakeDiscord;
use super::actions::{self, Input, Outcome};
use super::answers::Answer;
use super::events::Event;
use super::ids::{ChannelId, EmojiId, MessageId, UserId};
use super::message::{Message, Post};
use super::payloads;
use super::rights::Whom;
use super::state::State;
use super::threads;
use super::world::{ChannelKind, UserKind};

/// Webhooks that a channel may have.
const WEBHOOKS_MAX: usize = 15;

/// Bytes of an emoji's picture.
const PICTURE_MAX: usize = 256 << 10;

/// A webhook of the bot's.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) channel: ChannelId,
    pub(crate) deleted: bool,
}

/// The secret of a webhook, which no log may hold.
pub(super) fn token(webhook: UserId) -> String {
    format!("webhook-secret-{webhook}")
}

impl FakeDiscord {
    /// Whether the bot may have webhooks, which it may not at first.
    pub(crate) fn let_bot_have_webhooks(&self, may: bool) {
        self.inner.change(|state| {
            state.world.bot_may_have_webhooks = may;
            let event = Event::role_update(&state.world);
            state.announce(&event);
        });
    }

    /// In one channel it may not have any.
    pub(crate) fn forbid_webhooks_in(&self, channel: ChannelId) {
        self.deny(channel, Whom::Member(self.bot_id()), Permissions::MANAGE_WEBHOOKS);
    }

    /// An admin deletes the webhooks of a channel.
    pub(crate) fn delete_webhooks(&self, channel: ChannelId) {
        self.inner.change(|state| {
            for webhook in state.world.webhooks.values_mut().filter(|webhook| webhook.channel == channel) {
                webhook.deleted = true;
            }
        });
    }

    /// How many webhooks a channel has, and had.
    pub(crate) fn webhooks_of(&self, channel: ChannelId) -> usize {
        self.inner
            .look(|state| state.world.webhooks.values().filter(|webhook| webhook.channel == channel).count())
    }

    /// What the bot's webhooks have posted in a channel, oldest first, as members see it.
    pub(crate) fn said_by_webhook(&self, channel: ChannelId) -> Vec<Message> {
        let is_own = |message: &Message| message.seen_as.is_some();
        self.shown(channel).into_iter().filter(is_own).collect()
    }

    /// A message that a webhook has posted in a channel, once it is as described.
    pub(crate) async fn webhook_message_such_that(
        &self,
        channel: ChannelId,
        fits: impl Fn(&Message) -> bool,
    ) -> Message {
        self.wait_for("a fitting message of a webhook", |state| {
            let mut posted = state.world.shown(channel).filter(|message| message.seen_as.is_some());
            posted.find(|message| fits(message)).cloned()
        })
        .await
    }
}

fn home(state: &State, channel: ChannelId) -> ChannelId {
    match state.world.channels.get(&channel).map(|channel| channel.kind) {
        Some(ChannelKind::Thread { parent }) => parent,
        _ => channel,
    }
}

fn check_may(state: &State, channel: ChannelId) -> Result<(), Answer> {
    let channel = state.world.channel(channel).ok_or_else(Answer::unknown_channel)?;
    if state.world.bot_may(channel, Permissions::MANAGE_WEBHOOKS) {
        Ok(())
    } else {
        Err(Answer::missing_permissions())
    }
}

fn payload(state: &State, id: UserId) -> Value {
    let (webhook, user) = (&state.world.webhooks[&id], &state.world.users[&id]);
    json!({
        "id": id,
        "type": 1,
        "guild_id": state.world.guild,
        "channel_id": webhook.channel,
        "name": user.name,
        "avatar": null,
        "application_id": user.application,
        "token": token(id),
        "user": payloads::user(&state.world.users[&state.world.bot]),
    })
}

pub(super) fn list(state: &State, channel: ChannelId) -> Outcome {
    check_may(state, channel)?;
    let there = state.world.webhooks.iter().filter(|(_, it)| it.channel == channel && !it.deleted);
    Ok(Answer::ok(there.map(|(id, _)| payload(state, *id)).collect()))
}

pub(super) fn create(state: &mut State, channel: ChannelId, body: &Value) -> Outcome {
    check_may(state, channel)?;
    if !matches!(state.world.channels[&channel].kind, ChannelKind::Text | ChannelKind::Forum) {
        return Err(Answer::error(400, 10_003, "Unknown Channel"));
    }
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    check_name(state, &name)?;
    let there = state.world.webhooks.values().filter(|it| it.channel == channel && !it.deleted);
    if there.count() >= WEBHOOKS_MAX {
        return Err(Answer::error(400, 30_007, "Maximum number of webhooks reached (15)"));
    }
    let id = state.world.add_user(&name, UserKind::Webhook);
    let bot = state.world.bot;
    if let Some(user) = state.world.users.get_mut(&id) {
        user.application = Some(bot);
    }
    state.world.webhooks.insert(id, Webhook { channel, deleted: false });
    Ok(Answer::ok(payload(state, id)))
}

/// What Discord says of the names of webhooks.
fn check_name(state: &mut State, name: &str) -> Result<(), Answer> {
    let folded = name.to_lowercase();
    let is_allowed =
        (1..=80).contains(&name.chars().count()) && !folded.contains("clyde") && !folded.contains("discord");
    if is_allowed {
        return Ok(());
    }
    state.violations.push(format!("a webhook may not be called {name:?}"));
    Err(Answer::invalid_form("username", "USERNAME_INVALID_CONTAINS", "Username cannot contain that"))
}

/// The webhook, when it is there and the secret is its own.
fn live<'a>(state: &'a State, id: UserId, secret: &str) -> Result<&'a Webhook, Answer> {
    let webhook = state.world.webhooks.get(&id).filter(|webhook| !webhook.deleted);
    let webhook = webhook.ok_or_else(Answer::unknown_webhook)?;
    if token(id) == secret { Ok(webhook) } else { Err(Answer::error(401, 50_027, "Invalid Webhook Token")) }
}

/// Where a webhook posts: its channel, or the thread of it that is named.
fn place(state: &State, webhook: &Webhook, query: &str) -> Result<ChannelId, Answer> {
    let thread = query.split('&').find_map(|pair| pair.strip_prefix("thread_id="));
    let channel = match thread {
        Some(id) => ChannelId(id.parse().map_err(|_| Answer::unknown_channel())?),
        None => webhook.channel,
    };
    state.world.channel(channel).ok_or_else(Answer::unknown_channel)?;
    if home(state, channel) == webhook.channel { Ok(channel) } else { Err(Answer::unknown_channel()) }
}

pub(super) fn execute(state: &mut State, id: UserId, secret: &str, input: &Input) -> Outcome {
    let channel = place(state, live(state, id, secret)?, &input.query)?;
    let body = &input.body;
    actions::check_form(state, body)?;
    let name = body["username"].as_str().unwrap_or(&state.world.users[&id].name).to_owned();
    check_name(state, &name)?;
    for unknown in ["nonce", "enforce_nonce", "message_reference"] {
        if !body[unknown].is_null() {
            state.violations.push(format!("webhooks know no {unknown}"));
        }
    }
    let content = body["content"].as_str().unwrap_or_default().trim();
    let mut post = Post::new(channel, id, content);
    actions::dress(&mut post, body);
    post.seen_as = Some((name, body["avatar_url"].as_str().map(str::to_owned)));
    if content.is_empty() {
        state.violations.push("an empty message".to_owned());
        return Err(Answer::empty_message());
    }
    if state.world.channels[&channel].kind == ChannelKind::Forum {
        let message = "Webhooks posted to forum channels must have a thread_name or thread_id";
        return Err(Answer::error(400, 220_001, message));
    }
    threads::wake(state, channel)?;
    let message = state.world.add_message(post);
    let event = Event::message("MESSAGE_CREATE", &state.world, message);
    state.announce(&event);
    if input.query.split('&').any(|pair| pair == "wait=true") {
        Ok(Answer::ok(actions::message_payload(state, &state.world.messages[&message])))
    } else {
        Ok(Answer::no_content())
    }
}

/// A message that the webhook has posted.
fn find(state: &State, id: UserId, secret: &str, message: MessageId, query: &str) -> Result<(), Answer> {
    let channel = place(state, live(state, id, secret)?, query)?;
    let posted = state.world.standing(message).filter(|it| it.author == id && it.channel == channel);
    posted.map(|_| ()).ok_or_else(Answer::unknown_message)
}

pub(super) fn edit(
    state: &mut State,
    id: UserId,
    secret: &str,
    message: MessageId,
    input: &Input,
) -> Outcome {
    find(state, id, secret, message, &input.query)?;
    threads::check_awake(state, state.world.messages[&message].channel)?;
    actions::check_form(state, &input.body)?;
    actions::apply(state, message, &input.body)?;
    let event = Event::message("MESSAGE_UPDATE", &state.world, message);
    state.announce(&event);
    Ok(Answer::ok(actions::message_payload(state, &state.world.messages[&message])))
}

pub(super) fn delete(
    state: &mut State,
    id: UserId,
    secret: &str,
    message: MessageId,
    query: &str,
) -> Outcome {
    find(state, id, secret, message, query)?;
    state.world.delete_message(message);
    let event = Event::message_delete(&state.world, message);
    state.announce(&event);
    Ok(Answer::no_content())
}

fn emoji(state: &State, id: EmojiId) -> Value {
    json!({
        "id": id,
        "name": state.world.pictures[&id].0,
        "roles": [],
        "require_colons": true,
        "managed": false,
        "animated": false,
        "available": true,
        "user": payloads::user(&state.world.users[&state.world.bot]),
    })
}

pub(super) fn list_emoji(state: &State) -> Answer {
    let items: Vec<Value> = state.world.pictures.keys().map(|id| emoji(state, *id)).collect();
    Answer::ok(json!({ "items": items }))
}

pub(super) fn create_emoji(state: &mut State, body: &Value) -> Outcome {
    use base64::Engine as _;
    let name = body["name"].as_str().unwrap_or_default();
    let is_allowed =
        (2..=32).contains(&name.len()) && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
    let image = body["image"].as_str().unwrap_or_default();
    let data = image.strip_prefix("data:image/png;base64,");
    let bytes = data.and_then(|data| base64::engine::general_purpose::STANDARD.decode(data).ok());
    let bytes =
        bytes.filter(|bytes| is_allowed && bytes.len() <= PICTURE_MAX && bytes.starts_with(b"\x89PNG"));
    let Some(bytes) = bytes else {
        state.violations.push(format!("an emoji {name:?} with a picture that Discord does not take"));
        return Err(Answer::invalid_form(
            "image",
            "BINARY_TYPE_MAX_SIZE",
            "File cannot be larger than 256.0 kb.",
        ));
    };
    let id = EmojiId(state.world.number());
    state.world.pictures.insert(id, (name.to_owned(), bytes));
    Ok(Answer::ok(emoji(state, id)))
}

/// Members whose name begins like that.
pub(super) fn search(state: &State, query: &str) -> Answer {
    let query = query.split('&').find_map(|pair| pair.strip_prefix("query=")).unwrap_or_default();
    let wanted = query.replace("%20", " ").replace('+', " ").to_lowercase();
    let begins = |name: &str| name.to_lowercase().starts_with(&wanted);
    let found =
        state.world.members().filter(|user| begins(&user.name) || user.nick.as_deref().is_some_and(begins));
    Answer::ok(found.map(payloads::member).collect())
}
