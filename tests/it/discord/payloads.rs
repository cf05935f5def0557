//! The world in Discord's JSON: complete enough for serenity, which silently drops what it cannot
//! parse, and true to Discord's published description of its API.

use serde_json::{Value, json};
use serenity::model::Permissions;
use serenity::model::gateway::GatewayIntents;

use super::gateway::Gateway;
use super::ids::{RoleId, created_at};
use super::message::Message;
use super::rights::{Overwrite, Whom};
use super::threads;
use super::world::{Channel, ChannelKind, User, UserKind, World};

/// Message flag: a thread was begun from it.
const HAS_THREAD: u64 = 1 << 5;

/// Application flag: the message content intent is switched on, for a bot on few servers.
const GATEWAY_MESSAGE_CONTENT_LIMITED: u64 = 1 << 19;

/// Who reads a message, which decides what it contains.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    /// Gateway events say in which server a message is and as whom its author is a member there;
    /// REST answers do not.
    pub(super) over_gateway: bool,
    /// Whether the bot may read what is not addressed to it.
    pub(super) reads_everything: bool,
}

pub(super) fn ready(world: &World, gateway: &Gateway, session: &str, shard: &Value) -> Value {
    let guilds =
        if world.bot_is_member { vec![json!({"id": world.guild, "unavailable": true})] } else { Vec::new() };
    json!({
        "v": 10,
        "user": current_user(world),
        "user_settings": {},
        "private_channels": [],
        "relationships": [],
        "guilds": guilds,
        "session_id": session,
        "session_type": "normal",
        "resume_gateway_url": gateway.url(),
        "shard": shard,
        "application": {"id": world.bot, "flags": application_flags(gateway)},
    })
}

/// The server as a session with these intents is shown it at first.
pub(super) fn guild(world: &World, intents: GatewayIntents) -> Value {
    // Without the presence intent, Discord leaves out everybody but the bot itself.
    let sees_members = intents.contains(GatewayIntents::GUILD_PRESENCES);
    let members: Vec<Value> =
        world.members().filter(|user| sees_members || user.id == world.bot).map(member).collect();
    let channels = |threads: bool| -> Vec<Value> {
        world
            .channels
            .values()
            .filter(|it| !it.deleted && !world.is_direct(it.id))
            .filter(|it| matches!(it.kind, ChannelKind::Thread { .. }) == threads)
            // Bots are told of channels that they may not view, but not of threads.
            .filter(|it| !threads || world.bot_may_view(it))
            .map(|it| channel(world, it))
            .collect()
    };
    let mut guild = guild_settings(world);
    guild["members"] = json!(members);
    guild["member_count"] = json!(world.members().count());
    guild["channels"] = json!(channels(false));
    guild["threads"] = json!(channels(true));
    let roles = world.roles.keys().map(|id| role(world, *id));
    guild["roles"] = roles.collect();
    guild["emojis"] = json!(emojis(world));
    for unused in [
        "features",
        "stickers",
        "voice_states",
        "presences",
        "stage_instances",
        "guild_scheduled_events",
        "soundboard_sounds",
    ] {
        guild[unused] = json!([]);
    }
    guild
}

/// What an admin sets, as it is on a new server.
fn guild_settings(world: &World) -> Value {
    json!({
        "id": world.guild,
        "name": "Test server",
        "icon": null,
        "splash": null,
        "discovery_splash": null,
        "owner_id": world.owner,
        "afk_channel_id": null,
        "afk_timeout": 300,
        "verification_level": 0,
        "default_message_notifications": 1,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "application_id": null,
        "system_channel_id": null,
        "system_channel_flags": 0,
        "rules_channel_id": null,
        "vanity_url_code": null,
        "description": null,
        "banner": null,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "preferred_locale": "en-US",
        "public_updates_channel_id": null,
        "nsfw_level": 0,
        "premium_progress_bar_enabled": false,
        "safety_alerts_channel_id": null,
        "joined_at": created_at(world.bot.0),
        "large": false,
        "unavailable": false,
    })
}

pub(super) fn channel(world: &World, channel: &Channel) -> Value {
    let last_message = world.shown(channel.id).next_back().map(|message| message.id);
    match channel.kind {
        ChannelKind::Text | ChannelKind::Forum => json!({
            "id": channel.id,
            "type": if channel.kind == ChannelKind::Forum { 15 } else { 0 },
            "guild_id": world.guild,
            "name": channel.name,
            "position": 0,
            "topic": null,
            "nsfw": world.age_restricted.contains(&channel.id),
            "parent_id": null,
            "flags": 0,
            "rate_limit_per_user": 0,
            "last_message_id": last_message,
            "permission_overwrites": overwrites(world, channel),
        }),
        ChannelKind::Thread { parent } => thread(
            world,
            channel,
            json!({
                "id": channel.id,
                "guild_id": world.guild,
                "parent_id": parent,
                "name": channel.name,
                "flags": 0,
                "rate_limit_per_user": 0,
                "last_message_id": last_message,
                "message_count": world.shown(channel.id).count(),
                "total_message_sent": world.shown(channel.id).count(),
            }),
        ),
        ChannelKind::Direct { with } => json!({
            "id": channel.id,
            "type": 1,
            "flags": 0,
            "last_message_id": last_message,
            "recipients": [user(&world.users[&with])],
        }),
    }
}

/// What a channel is shown with that is a thread. The bot is told when it is in it.
fn thread(world: &World, channel: &Channel, mut payload: Value) -> Value {
    let thread = &world.threads[&channel.id];
    payload["type"] = json!(thread.number());
    payload["owner_id"] = json!(thread.owner);
    payload["member_count"] = json!(thread.members.len());
    payload["thread_metadata"] = thread.metadata(channel.id);
    if thread.members.contains(&world.bot) {
        payload["member"] = threads::member(channel.id, world.bot);
    }
    payload
}

pub(super) fn role(world: &World, id: RoleId) -> Value {
    let is_everyone = id.0 == world.guild.0;
    let permissions = if is_everyone { world.everyone_may() } else { Permissions::empty() };
    json!({
        "id": id,
        "name": world.roles[&id],
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": null, "tertiary_color": null},
        "hoist": false,
        "icon": null,
        "unicode_emoji": null,
        "position": u8::from(!is_everyone),
        "permissions": permissions.bits().to_string(),
        "managed": false,
        "mentionable": !is_everyone,
        "flags": 0,
    })
}

pub(super) fn emojis(world: &World) -> Vec<Value> {
    let emoji = |(id, name)| {
        json!({
            "id": id,
            "name": name,
            "roles": [],
            "require_colons": true,
            "managed": false,
            "animated": false,
            "available": true,
        })
    };
    world.emojis.iter().map(emoji).collect()
}

pub(super) fn user(user: &User) -> Value {
    let discriminator = match user.kind {
        UserKind::Webhook => "0000",
        UserKind::Human | UserKind::Bot => "0",
    };
    json!({
        "id": user.id,
        "username": user.name,
        "discriminator": discriminator,
        "global_name": user.global_name,
        "avatar": null,
        "bot": user.kind != UserKind::Human,
        "flags": 0,
        "public_flags": 0,
        "primary_guild": null,
    })
}

/// The bot, with what only an account itself is told.
pub(super) fn current_user(world: &World) -> Value {
    let mut account = user(&world.users[&world.bot]);
    account["mfa_enabled"] = json!(false);
    account["locale"] = json!("en-US");
    account["verified"] = json!(true);
    account["email"] = json!(null);
    account
}

pub(super) fn member(of: &User) -> Value {
    let mut member = membership(of);
    member["user"] = user(of);
    member
}

/// How a user is a member of the server, without saying which user.
fn membership(of: &User) -> Value {
    json!({
        "nick": of.nick,
        "avatar": null,
        "banner": null,
        "roles": of.roles,
        "joined_at": created_at(of.id.0),
        "premium_since": null,
        "deaf": false,
        "mute": false,
        "flags": 0,
        "pending": false,
        "communication_disabled_until": null,
    })
}

pub(super) fn application(world: &World, gateway: &Gateway) -> Value {
    let flags = application_flags(gateway);
    json!({
        "id": world.bot,
        "name": world.users[&world.bot].name,
        "icon": null,
        "description": "",
        "type": null,
        "bot": user(&world.users[&world.bot]),
        "bot_public": true,
        "bot_require_code_grant": false,
        "verify_key": "0".repeat(64),
        "flags": flags,
        "flags_new": flags.to_string(),
        "redirect_uris": [],
        "interactions_endpoint_url": null,
        "role_connections_verification_url": null,
        "owner": user(&world.users[&world.owner]),
        "approximate_guild_count": u8::from(world.bot_is_member),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": null,
        "eligible_oauth2_scopes": ["bot"],
    })
}

fn application_flags(gateway: &Gateway) -> u64 {
    if gateway.forbids(GatewayIntents::MESSAGE_CONTENT) { 0 } else { GATEWAY_MESSAGE_CONTENT_LIMITED }
}

/// A message with the one it replies to, if that is still there.
pub(super) fn message(world: &World, message: &Message, reader: Reader) -> Value {
    let mut payload = message_alone(world, message, reader);
    if let Some(reply) = message.reply {
        let original = world.standing(reply.to);
        payload["referenced_message"] = original.map_or(Value::Null, |it| message_alone(world, it, reader));
        payload["message_reference"] = json!({
            "type": 0,
            "channel_id": world.messages[&reply.to].channel,
            "message_id": reply.to,
        });
        if !world.is_direct(message.channel) {
            payload["message_reference"]["guild_id"] = json!(world.guild);
        }
    }
    payload
}

fn message_alone(world: &World, message: &Message, reader: Reader) -> Value {
    let author = &world.users[&message.author];
    let in_guild = !world.is_direct(message.channel);
    let mentions: Vec<Value> = message
        .mentions
        .iter()
        .map(|id| mentioned_user(&world.users[id], in_guild && reader.over_gateway))
        .collect();
    let mut payload = json!({
        "id": message.id,
        "type": message.kind,
        "channel_id": message.channel,
        "author": user(author),
        "content": message.content(),
        "timestamp": created_at(message.id.0),
        "edited_timestamp": message.edited_at,
        "tts": false,
        "pinned": false,
        "mention_everyone": message.mention_everyone,
        "mentions": mentions,
        "mention_roles": message.mention_roles,
        "attachments": attachments(world, message),
        "embeds": message.embeds,
        "components": message.components,
        "flags": message.flags,
    });
    if let Some(thread) = world.thread_from(message.id).filter(|thread| thread.id != message.channel) {
        payload["thread"] = channel(world, thread);
        payload["flags"] = json!(message.flags | HAS_THREAD);
    }
    if let Some(nonce) = &message.nonce {
        payload["nonce"] = nonce.clone();
    }
    if let Some((interaction, asker)) = message.answers {
        payload["interaction_metadata"] = json!({
            "id": interaction,
            "type": 2,
            "user": user(&world.users[&asker]),
            "authorizing_integration_owners": {"0": world.guild},
        });
    }
    if author.kind == UserKind::Webhook {
        payload["webhook_id"] = json!(author.id);
        if let Some((name, _)) = &message.seen_as {
            payload["author"]["username"] = json!(name);
        }
        if let Some(application) = author.application {
            payload["application_id"] = json!(application);
        }
    }
    if in_guild && reader.over_gateway {
        payload["guild_id"] = json!(world.guild);
        if author.kind != UserKind::Webhook {
            payload["member"] = membership(author);
        }
    }
    if !reader.reads_everything && !is_addressed_to_bot(world, message) {
        payload["content"] = json!("");
        for list in ["attachments", "embeds", "components"] {
            payload[list] = json!([]);
        }
    }
    payload
}

/// Whether the bot may read a message even without the message content intent.
fn is_addressed_to_bot(world: &World, message: &Message) -> bool {
    world.is_direct(message.channel) || message.author == world.bot || message.mentions.contains(&world.bot)
}

fn mentioned_user(mentioned: &User, with_membership: bool) -> Value {
    let mut payload = user(mentioned);
    if with_membership {
        payload["member"] = membership(mentioned);
    }
    payload
}

fn attachments(world: &World, message: &Message) -> Vec<Value> {
    // Its own id, which only has to be unique within the message's channel.
    let attachment = |(index, name): (u64, &String)| file(world, message.id.0 + index, name);
    (0..).zip(&message.attachments).map(attachment).collect()
}

/// An attachment. Where there is something to fetch it lies with the fake.
pub(super) fn file(world: &World, id: u64, name: &str) -> Value {
    let path = format!("attachments/1/{id}/{name}");
    let file = world.files.get(&id);
    let host = if file.is_some() { world.files_at.as_str() } else { "https://cdn.discordapp.com" };
    json!({
        "id": id.to_string(),
        "filename": name,
        "size": file.map_or(1024, Vec::len),
        "url": format!("{host}/{path}"),
        "proxy_url": format!("https://media.discordapp.net/{path}"),
        "content_type": "application/octet-stream",
    })
}

fn overwrites(world: &World, channel: &Channel) -> Vec<Value> {
    let overwrite = |(whom, it): (&Whom, &Overwrite)| {
        let (id, kind) = match whom {
            Whom::Everyone => (world.guild.0, 0),
            Whom::Member(member) => (member.0, 1),
        };
        json!({
            "id": id.to_string(),
            "type": kind,
            "allow": it.allow.bits().to_string(),
            "deny": it.deny.bits().to_string(),
        })
    };
    world.overwrites.get(&channel.id).into_iter().flatten().map(overwrite).collect()
}
