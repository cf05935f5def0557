//! What the gateway tells about a change in the world, and which intents a session needs to hear.

use serde_json::{Value, json};
use serenity::model::gateway::GatewayIntents;

use super::ids::{ChannelId, MessageId, RoleId, UserId};
use super::payloads::{self, Reader};
use super::threads;
use super::world::{Channel, ChannelKind, World};

/// An event, before it is numbered for a session.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) name: &'static str,
    /// Only who sees this channel hears of it.
    pub(super) within: Option<ChannelId>,
    /// A session needs this intent.
    pub(super) intent: GatewayIntents,
    pub(super) data: Value,
    /// What sessions without the message content intent get instead.
    pub(super) without_content: Option<Value>,
}

impl Event {
    pub(super) fn new(name: &'static str, intent: GatewayIntents, data: Value) -> Self {
        Self { name, within: None, intent, data, without_content: None }
    }

    /// `MESSAGE_CREATE` or `MESSAGE_UPDATE`, which both carry the whole message.
    pub(super) fn message(name: &'static str, world: &World, id: MessageId) -> Self {
        let message = &world.messages[&id];
        let payload = |reads_everything| {
            let reader = Reader { over_gateway: true, reads_everything };
            payloads::message(world, message, reader)
        };
        Self {
            name,
            within: Some(message.channel),
            intent: messages_intent(world, message.channel),
            data: payload(true),
            without_content: Some(payload(false)),
        }
    }

    pub(super) fn message_delete(world: &World, id: MessageId) -> Self {
        let channel = world.messages[&id].channel;
        let data = located(world, channel, json!({"id": id, "channel_id": channel}));
        Self { within: Some(channel), ..Self::new("MESSAGE_DELETE", messages_intent(world, channel), data) }
    }

    pub(super) fn messages_delete(world: &World, channel: ChannelId, ids: &[MessageId]) -> Self {
        let data = located(world, channel, json!({"ids": ids, "channel_id": channel}));
        Self {
            within: Some(channel),
            ..Self::new("MESSAGE_DELETE_BULK", messages_intent(world, channel), data)
        }
    }

    /// A channel or thread was made. Direct channels appear without an event.
    pub(super) fn channel_create(world: &World, channel: &Channel) -> Option<Self> {
        let name = match channel.kind {
            ChannelKind::Text | ChannelKind::Forum => "CHANNEL_CREATE",
            ChannelKind::Thread { .. } => "THREAD_CREATE",
            ChannelKind::Direct { .. } => return None,
        };
        let mut data = payloads::channel(world, channel);
        if name == "THREAD_CREATE" {
            data["newly_created"] = json!(true);
        }
        Some(Self::about_channel(name, channel, data))
    }

    pub(super) fn channel_update(world: &World, channel: &Channel) -> Self {
        let name = match channel.kind {
            ChannelKind::Thread { .. } => "THREAD_UPDATE",
            ChannelKind::Text | ChannelKind::Forum | ChannelKind::Direct { .. } => "CHANNEL_UPDATE",
        };
        Self::about_channel(name, channel, payloads::channel(world, channel))
    }

    pub(super) fn channel_delete(world: &World, channel: &Channel) -> Self {
        let (name, data) = match channel.kind {
            ChannelKind::Thread { parent } => (
                "THREAD_DELETE",
                json!({
                    "id": channel.id,
                    "guild_id": world.guild,
                    "parent_id": parent,
                    "type": world.threads[&channel.id].number(),
                }),
            ),
            ChannelKind::Text | ChannelKind::Forum | ChannelKind::Direct { .. } => {
                ("CHANNEL_DELETE", payloads::channel(world, channel))
            }
        };
        Self::about_channel(name, channel, data)
    }

    /// The bot is in a thread now, which it may not have seen before.
    pub(super) fn thread_joined(world: &World, thread: ChannelId) -> Self {
        let thread = &world.channels[&thread];
        Self::about_channel("THREAD_CREATE", thread, payloads::channel(world, thread))
    }

    /// The bot is in a thread no more, which it may not see any more.
    pub(super) fn thread_left(world: &World, thread: ChannelId) -> Self {
        let data = json!({
            "id": thread,
            "guild_id": world.guild,
            "member_count": world.threads[&thread].members.len(),
            "removed_member_ids": [world.bot],
        });
        Self::new("THREAD_MEMBERS_UPDATE", GatewayIntents::GUILDS, data)
    }

    /// The bot sees a channel now, and the threads that are in it.
    pub(super) fn thread_list_sync(world: &World, channel: ChannelId) -> Self {
        let threads = || world.threads_of(channel).filter(|thread| world.bot_may_view(thread));
        let joined = threads().filter(|thread| world.threads[&thread.id].members.contains(&world.bot));
        let data = json!({
            "guild_id": world.guild,
            "channel_ids": [channel],
            "threads": threads().map(|thread| payloads::channel(world, thread)).collect::<Vec<Value>>(),
            "members": joined.map(|thread| threads::member(thread.id, world.bot)).collect::<Vec<Value>>(),
        });
        Self { within: Some(channel), ..Self::new("THREAD_LIST_SYNC", GatewayIntents::GUILDS, data) }
    }

    /// Bots are told of channels that they may not view, but not of threads.
    fn about_channel(name: &'static str, channel: &Channel, data: Value) -> Self {
        let within = matches!(channel.kind, ChannelKind::Thread { .. }).then_some(channel.id);
        Self { within, ..Self::new(name, GatewayIntents::GUILDS, data) }
    }

    pub(super) fn member(name: &'static str, world: &World, user: UserId) -> Self {
        let mut data = payloads::member(&world.users[&user]);
        data["guild_id"] = json!(world.guild);
        Self::new(name, GatewayIntents::GUILD_MEMBERS, data)
    }

    /// A member has left the server.
    pub(super) fn member_remove(world: &World, user: UserId) -> Self {
        let data = json!({"guild_id": world.guild, "user": payloads::user(&world.users[&user])});
        Self::new("GUILD_MEMBER_REMOVE", GatewayIntents::GUILD_MEMBERS, data)
    }

    pub(super) fn role_create(world: &World, role: RoleId) -> Self {
        let data = json!({"guild_id": world.guild, "role": payloads::role(world, role)});
        Self::new("GUILD_ROLE_CREATE", GatewayIntents::GUILDS, data)
    }

    /// What everybody may has changed.
    pub(super) fn role_update(world: &World) -> Self {
        let everyone = payloads::role(world, RoleId(world.guild.0));
        let data = json!({"guild_id": world.guild, "role": everyone});
        Self::new("GUILD_ROLE_UPDATE", GatewayIntents::GUILDS, data)
    }

    pub(super) fn emojis_update(world: &World) -> Self {
        let data = json!({"guild_id": world.guild, "emojis": payloads::emojis(world)});
        Self::new("GUILD_EMOJIS_UPDATE", GatewayIntents::GUILD_EMOJIS_AND_STICKERS, data)
    }

    /// The bot was invited.
    pub(super) fn guild_create(world: &World) -> Self {
        let data = payloads::guild(world, GatewayIntents::non_privileged());
        Self::new("GUILD_CREATE", GatewayIntents::GUILDS, data)
    }

    /// The bot was removed: unlike in an outage, the server is not marked as unavailable.
    pub(super) fn guild_delete(world: &World) -> Self {
        let data = json!({"id": world.guild});
        Self::new("GUILD_DELETE", GatewayIntents::GUILDS, data)
    }
}

fn messages_intent(world: &World, channel: ChannelId) -> GatewayIntents {
    if world.is_direct(channel) { GatewayIntents::DIRECT_MESSAGES } else { GatewayIntents::GUILD_MESSAGES }
}

/// Adds the server, which events in direct messages do not have.
fn located(world: &World, channel: ChannelId, mut data: Value) -> Value {
    if !world.is_direct(channel) {
        data["guild_id"] = json!(world.guild);
    }
    data
}
