//! Discord's messages in our own words.

use serenity::all::{
    Attachment, ChannelId, Context, GuildId, Message, MessageInteractionMetadata, MessageType, Permissions,
    Timestamp, User,
};

use crate::chat::addressing::{self, Author, Incoming, RepliedTo};
use crate::chat::{self, MemberId, Place, RoleId, ServerId};

/// Where a message was posted. What is read over REST does not say the server.
pub(super) fn place(context: &Context, channel: ChannelId, server: Option<GuildId>) -> Place {
    Place {
        channel: chat::ChannelId(channel.get()),
        parent: parent(context, channel, server),
        server: server.map(|server| ServerId(server.get())),
    }
}

/// The message in our own words, or `None` when it is none that somebody wrote.
pub(super) fn incoming(
    context: &Context,
    message: &Message,
    server: Option<GuildId>,
    me: MemberId,
) -> Option<Incoming> {
    if !matches!(message.kind, MessageType::Regular | MessageType::InlineReply) {
        return None;
    }
    let nick = message.member.as_ref().and_then(|member| member.nick.clone());
    let nick = nick.or_else(|| known_nick(context, server, &message.author));
    let place = place(context, message.channel_id, server);
    Some(Incoming {
        message: chat::MessageId(message.id.get()),
        channel: place.channel,
        parent: place.parent,
        server: place.server,
        author: author(message, nick.as_deref()),
        text: text(context, &message.content, &message.mentions, &message.attachments, server, me),
        mentions_bot: message.mentions.iter().any(|user| user.id.get() == me.0),
        names_bot: addressing::names(&message.content, me),
        reply_to: replied_to(context, message, server, me),
        posted: posted(message),
        edited: message.edited_timestamp.is_some(),
    })
}

/// When a message was posted, in seconds since 1970.
pub(super) fn posted(message: &Message) -> u64 {
    seconds(message.id.created_at())
}

/// A time in seconds since 1970.
pub(super) fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.unix_timestamp()).unwrap_or(0)
}

/// The text of a message, with names for marks and a line for each attachment.
pub(super) fn text(
    context: &Context,
    written: &str,
    mentions: &[User],
    attachments: &[Attachment],
    server: Option<GuildId>,
    me: MemberId,
) -> String {
    let mut text = addressing::readable(written, me, &KnownNames { context, mentions, server });
    for attachment in attachments {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(chat::scene::ATTACHMENT);
        text.push_str(&chat::sanitize::name(&attachment.filename));
        text.push(')');
    }
    text
}

fn replied_to(
    context: &Context,
    message: &Message,
    server: Option<GuildId>,
    me: MemberId,
) -> Option<RepliedTo> {
    if message.kind != MessageType::InlineReply {
        return None;
    }
    let id = message.message_reference.as_ref()?.message_id?;
    let Some(replied) = message.referenced_message.as_deref() else {
        // Deleted in the meantime, or kept from us.
        let message = chat::MessageId(id.get());
        return Some(RepliedTo { message, author: None, by_bot: false, text: String::new() });
    };
    if let Some(user) = speaks_through(replied, me) {
        // Their own words, whoever has posted them.
        let author = of_user(context, server, user);
        let words = chat::text::said(&replied.content).unwrap_or_default();
        let text = text(context, words, &[], &[], server, me);
        let message = chat::MessageId(replied.id.get());
        return Some(RepliedTo { message, author: Some(author), by_bot: false, text });
    }
    let nick = known_nick(context, server, &replied.author);
    Some(RepliedTo {
        message: chat::MessageId(replied.id.get()),
        author: Some(author(replied, nick.as_deref())),
        by_bot: is_own(context, replied, me),
        text: text(context, &replied.content, &replied.mentions, &replied.attachments, server, me),
    })
}

/// What the bot may do in a channel that is no thread, as far as is known.
pub(super) fn permissions(context: &Context, server: GuildId, channel: ChannelId) -> Option<Permissions> {
    let me = context.cache.current_user().id;
    let guild = context.cache.guild(server)?;
    let (channel, member) = (guild.channels.get(&channel)?, guild.members.get(&me)?);
    Some(guild.user_permissions_in(channel, member))
}

/// Whether the bot has posted a message, as itself or by a webhook of its own.
pub(super) fn is_own(context: &Context, message: &Message, me: MemberId) -> bool {
    let by_webhook = message.webhook_id.is_some()
        && message.application_id.is_some()
        && message.application_id == context.http.application_id();
    message.author.id.get() == me.0 || by_webhook
}

/// The member who has used the command that a message of the bot's answers.
fn speaks_through(message: &Message, me: MemberId) -> Option<&User> {
    if message.author.id.get() != me.0 {
        return None;
    }
    match message.interaction_metadata.as_deref()? {
        MessageInteractionMetadata::Command(command) => Some(&command.user),
        _ => None,
    }
}

/// What a member has said through the bot, as a message of theirs; `None` when the message is something else.
pub(super) fn said_through(
    context: &Context,
    message: &Message,
    server: Option<GuildId>,
    me: MemberId,
) -> Option<Incoming> {
    let user = speaks_through(message, me)?;
    let words = chat::text::said(&message.content)?;
    let text = text(context, words, &[], &[], server, me);
    Some(said_in(message, place(context, message.channel_id, server), of_user(context, server, user), text))
}

/// What a member says to the bot in a message that the bot has posted for them.
pub(super) fn said_in(message: &Message, place: Place, author: Author, text: String) -> Incoming {
    Incoming {
        message: chat::MessageId(message.id.get()),
        channel: place.channel,
        parent: place.parent,
        server: place.server,
        author,
        text,
        mentions_bot: true,
        names_bot: true,
        reply_to: None,
        posted: posted(message),
        edited: false,
    }
}

fn of_user(context: &Context, server: Option<GuildId>, user: &User) -> Author {
    let name = known_nick(context, server, user).unwrap_or_else(|| user.display_name().to_owned());
    Author { id: MemberId(user.id.get()), name, automated: user.bot, roles: Vec::new() }
}

fn author(message: &Message, nick: Option<&str>) -> Author {
    let user = &message.author;
    Author {
        id: MemberId(user.id.get()),
        name: nick.unwrap_or_else(|| user.display_name()).to_owned(),
        automated: user.bot || user.system || message.webhook_id.is_some(),
        roles: message.member.as_ref().map(|member| roles(&member.roles)).unwrap_or_default(),
    }
}

/// Roles in our own words.
pub(super) fn roles(roles: &[serenity::all::RoleId]) -> Vec<RoleId> {
    roles.iter().map(|role| RoleId(role.get())).collect()
}

fn known_nick(context: &Context, server: Option<GuildId>, user: &User) -> Option<String> {
    let guild = context.cache.guild(server?)?;
    guild.members.get(&user.id)?.nick.clone()
}

/// The channel that a thread belongs to, when it is one.
fn parent(context: &Context, channel: ChannelId, server: Option<GuildId>) -> Option<chat::ChannelId> {
    let guild = context.cache.guild(server?)?;
    let thread = guild.threads.iter().find(|thread| thread.id == channel)?;
    thread.parent_id.map(|parent| chat::ChannelId(parent.get()))
}

/// Names that the message itself brings, or that are known of its server.
struct KnownNames<'a> {
    context: &'a Context,
    mentions: &'a [User],
    server: Option<GuildId>,
}

impl addressing::Names for KnownNames<'_> {
    fn member(&self, id: MemberId) -> Option<String> {
        let user: &User = self.mentions.iter().find(|user| user.id.get() == id.0)?;
        let nick = user.member.as_ref().and_then(|member| member.nick.clone());
        let nick = nick.or_else(|| known_nick(self.context, self.server, user));
        Some(chat::sanitize::name(&nick.unwrap_or_else(|| user.display_name().to_owned())))
    }

    fn channel(&self, id: chat::ChannelId) -> Option<String> {
        let guild = self.context.cache.guild(self.server?)?;
        let id = ChannelId::new(id.0.max(1));
        let thread = || guild.threads.iter().find(|thread| thread.id == id).map(|thread| thread.name.clone());
        let name = guild.channels.get(&id).map(|channel| channel.name.clone()).or_else(thread)?;
        Some(chat::sanitize::name(&name))
    }

    fn role(&self, id: u64) -> Option<String> {
        let guild = self.context.cache.guild(self.server?)?;
        let role = guild.roles.values().find(|role| role.id.get() == id)?;
        Some(chat::sanitize::name(&role.name))
    }
}
