//! The door: what Discord tells becomes our own words, here and nowhere else.

use std::sync::Arc;

use serenity::all::{
    ChannelId, Context, EventHandler, Guild, GuildChannel, GuildId, Message, MessageId, MessageType,
    PartialGuildChannel, Ready, ResumedEvent, ShardStageUpdateEvent, UnavailableGuild, User,
};
use serenity::async_trait;
use tracing::{debug, info};

use super::arrivals::Arrivals;
use super::sender::Sender;
use crate::assistant::Assistant;
use crate::chat::addressing::{self, Author, Incoming, RepliedTo};
use crate::chat::{self, MemberId, ServerId};

/// Receives events and passes on what concerns the assistant.
pub(super) struct Handler {
    assistant: Arc<Assistant>,
    me: MemberId,
    arrivals: Arrivals<Incoming>,
}

impl Handler {
    pub(super) fn new(assistant: Arc<Assistant>, me: MemberId) -> Self {
        Self { assistant, me, arrivals: Arrivals::new() }
    }
}

#[async_trait]
impl EventHandler for Handler {
    async fn message(&self, context: Context, message: Message) {
        let Some(incoming) = self.incoming(&context, &message) else { return };
        let channel = incoming.channel;
        self.assistant.recall(&incoming).await;
        let accept = |incoming| self.assistant.accept(incoming);
        let accepted = self.arrivals.in_order(channel, incoming.message, incoming, accept).await;
        if let Some(accepted) = accepted.flatten() {
            let trigger = MessageId::new(accepted.trigger().0);
            let mut sender = Sender::new(Arc::clone(&context.http), message.channel_id, trigger);
            accepted.answer(&mut sender).await;
        }
    }

    async fn message_delete(&self, _: Context, channel: ChannelId, message: MessageId, _: Option<GuildId>) {
        self.deleted(channel, message);
    }

    async fn message_delete_bulk(
        &self,
        _: Context,
        channel: ChannelId,
        all: Vec<MessageId>,
        _: Option<GuildId>,
    ) {
        for message in all {
            self.deleted(channel, message);
        }
    }

    async fn channel_delete(&self, _: Context, channel: GuildChannel, _: Option<Vec<Message>>) {
        self.channel_gone(channel.id);
    }

    async fn thread_delete(&self, _: Context, thread: PartialGuildChannel, _: Option<GuildChannel>) {
        self.channel_gone(thread.id);
    }

    async fn guild_delete(&self, _: Context, gone: UnavailableGuild, guild: Option<Guild>) {
        // A server that is merely unreachable for a while comes back.
        let Some(guild) = guild.filter(|_| !gone.unavailable) else { return };
        let threads = guild.threads.iter().map(|thread| thread.id);
        for channel in guild.channels.keys().copied().chain(threads) {
            self.channel_gone(channel);
        }
    }

    async fn ready(&self, context: Context, ready: Ready) {
        info!(shard = context.shard_id.0, servers = ready.guilds.len(), "connected");
    }

    async fn resume(&self, context: Context, _: ResumedEvent) {
        info!(shard = context.shard_id.0, "connection resumed");
    }

    async fn shard_stage_update(&self, _: Context, stage: ShardStageUpdateEvent) {
        debug!(shard = stage.shard_id.0, old = %stage.old, new = %stage.new, "gateway");
    }
}

impl Handler {
    fn deleted(&self, channel: ChannelId, message: MessageId) {
        let message = chat::MessageId(message.get());
        self.arrivals.withdraw(chat::ChannelId(channel.get()), message);
        self.assistant.message_deleted(message);
    }

    fn channel_gone(&self, channel: ChannelId) {
        let channel = chat::ChannelId(channel.get());
        self.arrivals.withdraw_channel(channel);
        self.assistant.channel_gone(channel);
    }

    /// The message in our own words, or `None` when it is none that somebody wrote.
    fn incoming(&self, context: &Context, message: &Message) -> Option<Incoming> {
        if !matches!(message.kind, MessageType::Regular | MessageType::InlineReply) {
            return None;
        }
        let names = KnownNames { context, message };
        let nick = message.member.as_ref().and_then(|member| member.nick.as_deref());
        Some(Incoming {
            message: chat::MessageId(message.id.get()),
            channel: chat::ChannelId(message.channel_id.get()),
            parent: parent(context, message),
            server: message.guild_id.map(|guild| ServerId(guild.get())),
            author: author(message, nick),
            text: readable(message, self.me, &names),
            mentions_bot: message.mentions.iter().any(|user| user.id.get() == self.me.0),
            reply_to: self.replied_to(context, message),
        })
    }

    fn replied_to(&self, context: &Context, message: &Message) -> Option<RepliedTo> {
        if message.kind != MessageType::InlineReply {
            return None;
        }
        let id = message.message_reference.as_ref()?.message_id?;
        let Some(replied) = message.referenced_message.as_deref() else {
            // Deleted in the meantime, or kept from us.
            let message = chat::MessageId(id.get());
            return Some(RepliedTo { message, author: None, by_bot: false, text: String::new() });
        };
        let names = KnownNames { context, message: replied };
        let guild = message.guild_id.and_then(|guild| context.cache.guild(guild));
        let nick = guild.and_then(|guild| guild.members.get(&replied.author.id)?.nick.clone());
        Some(RepliedTo {
            message: chat::MessageId(replied.id.get()),
            author: Some(author(replied, nick.as_deref())),
            by_bot: replied.author.id.get() == self.me.0,
            text: readable(replied, self.me, &names),
        })
    }
}

fn author(message: &Message, nick: Option<&str>) -> Author {
    let user = &message.author;
    Author {
        id: MemberId(user.id.get()),
        name: nick.unwrap_or_else(|| user.display_name()).to_owned(),
        automated: user.bot || user.system || message.webhook_id.is_some(),
    }
}

/// The text of a message, with names for marks and a line for each attachment.
fn readable(message: &Message, me: MemberId, names: &KnownNames<'_>) -> String {
    let mut text = addressing::readable(&message.content, me, names);
    for attachment in &message.attachments {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str("(attachment: ");
        text.push_str(&chat::sanitize::name(&attachment.filename));
        text.push(')');
    }
    text
}

/// The channel that the message's thread belongs to, when it is in one.
fn parent(context: &Context, message: &Message) -> Option<chat::ChannelId> {
    let guild = context.cache.guild(message.guild_id?)?;
    let thread = guild.threads.iter().find(|thread| thread.id == message.channel_id)?;
    thread.parent_id.map(|parent| chat::ChannelId(parent.get()))
}

/// Names that the message itself brings, or that are known of its server.
struct KnownNames<'a> {
    context: &'a Context,
    message: &'a Message,
}

impl addressing::Names for KnownNames<'_> {
    fn member(&self, id: MemberId) -> Option<String> {
        let user: &User = self.message.mentions.iter().find(|user| user.id.get() == id.0)?;
        let nick = user.member.as_ref().and_then(|member| member.nick.clone());
        Some(chat::sanitize::name(&nick.unwrap_or_else(|| user.display_name().to_owned())))
    }

    fn channel(&self, id: chat::ChannelId) -> Option<String> {
        let guild = self.context.cache.guild(self.message.guild_id?)?;
        let id = ChannelId::new(id.0.max(1));
        let thread = || guild.threads.iter().find(|thread| thread.id == id).map(|thread| thread.name.clone());
        let name = guild.channels.get(&id).map(|channel| channel.name.clone()).or_else(thread)?;
        Some(chat::sanitize::name(&name))
    }

    fn role(&self, id: u64) -> Option<String> {
        let guild = self.context.cache.guild(self.message.guild_id?)?;
        let role = guild.roles.values().find(|role| role.id.get() == id)?;
        Some(chat::sanitize::name(&role.name))
    }
}
