//! Messages: what they are, how they are written, and whom they ping.

use serde_json::Value;
use tokio::time::Instant;

use super::ids::{ChannelId, InteractionId, MessageId, RoleId, UserId, now};

/// The message flag that hides link previews, the only one that a message's author can change.
const SUPPRESS_EMBEDS: u64 = 1 << 2;

/// An ordinary message, in Discord's numbering of message types.
pub(crate) const KIND_DEFAULT: u8 = 0;
/// A reply, in Discord's numbering of message types.
pub(crate) const KIND_REPLY: u8 = 19;
/// The notice in a channel that a thread was begun in it.
pub(super) const KIND_THREAD_CREATED: u8 = 18;
/// What stands first in a thread that was begun from a message, and points to it.
pub(super) const KIND_THREAD_STARTER: u8 = 21;

/// A message with everything that it ever said.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) channel: ChannelId,
    pub(crate) author: UserId,
    /// Discord's number for the type of message: 0 is ordinary, 19 a reply, others are notices.
    pub(crate) kind: u8,
    /// Never empty: the message as it was sent, then after each edit.
    pub(crate) versions: Vec<Version>,
    pub(crate) edited_at: Option<String>,
    pub(crate) reply: Option<Reply>,
    pub(crate) mentions: Vec<UserId>,
    pub(crate) mention_roles: Vec<RoleId>,
    pub(crate) mention_everyone: bool,
    pub(crate) attachments: Vec<String>,
    pub(crate) embeds: Vec<Value>,
    pub(crate) components: Vec<Value>,
    pub(crate) flags: u64,
    pub(crate) nonce: Option<Value>,
    pub(crate) enforce_nonce: bool,
    /// The bot's latest word on who may be pinged; `None` in messages of others.
    pub(crate) allowed_mentions: Option<Value>,
    pub(crate) deleted: Option<Instant>,
    /// Nobody else sees it.
    pub(crate) only_for: Option<UserId>,
    /// The use of a command that it answers, and whose.
    pub(crate) answers: Option<(InteractionId, UserId)>,
    /// What is in the files that it came with.
    pub(crate) files: Vec<File>,
    /// The name and the picture under which a webhook has posted it.
    pub(crate) seen_as: Option<(String, Option<String>)>,
    pub(super) pings: Pings,
}

/// A file that the bot has sent.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Version {
    pub(crate) content: String,
    /// When the fake received it.
    pub(crate) at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) to: MessageId,
    /// What the sender asked for; Discord's own default is true.
    pub(crate) fail_if_not_exists: bool,
}

impl Version {
    fn now(content: String) -> Self {
        Self { content, at: Instant::now() }
    }
}

impl Message {
    /// What the message says now.
    pub(crate) fn content(&self) -> &str {
        self.versions.last().map_or("", |latest| &latest.content)
    }

    /// Everything that it said, from the first version to the present one.
    pub(crate) fn history(&self) -> Vec<&str> {
        self.versions.iter().map(|version| version.content.as_str()).collect()
    }

    pub(crate) fn suppresses_embeds(&self) -> bool {
        self.flags & SUPPRESS_EMBEDS != 0
    }

    /// The number of the first attachment of which there is a file; the others follow it.
    pub(super) fn first_file(&self) -> u64 {
        self.id.0 + (self.attachments.len() - self.files.len()) as u64
    }

    /// Changes it, all but the mentions, for which one has to know who exists.
    pub(super) fn apply(&mut self, edit: Edit) {
        self.versions.push(Version::now(edit.content));
        self.edited_at = Some(now());
        self.embeds = edit.embeds;
        self.components = edit.components;
        self.flags = edit.flags;
        self.allowed_mentions = edit.allowed_mentions;
        self.pings = edit.pings;
    }
}

/// A message about to be posted, by whomever.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    channel: ChannelId,
    author: UserId,
    content: String,
    pub(super) kind: Option<u8>,
    attachments: Vec<String>,
    pub(super) only_for: Option<UserId>,
    pub(super) answers: Option<(InteractionId, UserId)>,
    pub(super) files: Vec<File>,
    pub(super) seen_as: Option<(String, Option<String>)>,
    pub(super) reply: Option<Reply>,
    pub(super) pings: Pings,
    pub(super) embeds: Vec<Value>,
    pub(super) components: Vec<Value>,
    pub(super) flags: u64,
    pub(super) nonce: Option<Value>,
    pub(super) enforce_nonce: bool,
    pub(super) allowed_mentions: Option<Value>,
}

impl Post {
    pub(crate) fn new(channel: ChannelId, author: UserId, content: impl Into<String>) -> Self {
        Self {
            channel,
            author,
            content: content.into(),
            kind: None,
            attachments: Vec::new(),
            only_for: None,
            answers: None,
            files: Vec::new(),
            seen_as: None,
            reply: None,
            pings: Pings::of_member(),
            embeds: Vec::new(),
            components: Vec::new(),
            flags: 0,
            nonce: None,
            enforce_nonce: false,
            allowed_mentions: None,
        }
    }

    /// Replies to a message, with the client's ping switch on or off.
    pub(crate) fn replying_to(mut self, to: MessageId, ping: bool) -> Self {
        self.reply = Some(Reply { to, fail_if_not_exists: true });
        self.pings.replied_user = ping;
        self
    }

    /// Lets `@everyone` and `@here` ping: the author has the permission.
    pub(crate) fn pinging_everyone(mut self) -> Self {
        self.pings.everyone = true;
        self
    }

    pub(crate) fn with_attachment(mut self, file_name: &str) -> Self {
        self.attachments.push(file_name.to_owned());
        self
    }

    pub(crate) fn with_embed(mut self, embed: Value) -> Self {
        self.embeds.push(embed);
        self
    }

    /// Makes it one of Discord's notices, such as 7, "has joined the server".
    pub(crate) fn of_kind(mut self, kind: u8) -> Self {
        self.kind = Some(kind);
        self
    }

    /// The message that it becomes, with its mentions still to be found.
    pub(super) fn into_message(self, id: MessageId) -> Message {
        let usual_kind = if self.reply.is_some() { KIND_REPLY } else { KIND_DEFAULT };
        Message {
            id,
            channel: self.channel,
            author: self.author,
            kind: self.kind.unwrap_or(usual_kind),
            versions: vec![Version::now(self.content)],
            edited_at: None,
            reply: self.reply,
            mentions: Vec::new(),
            mention_roles: Vec::new(),
            mention_everyone: false,
            attachments: self
                .attachments
                .into_iter()
                .chain(self.files.iter().map(|file| file.name.clone()))
                .collect(),
            embeds: self.embeds,
            components: self.components,
            flags: self.flags,
            nonce: self.nonce,
            enforce_nonce: self.enforce_nonce,
            allowed_mentions: self.allowed_mentions,
            deleted: None,
            only_for: self.only_for,
            answers: self.answers,
            files: self.files,
            seen_as: self.seen_as,
            pings: self.pings,
        }
    }
}

/// What an edit leaves behind.
#[derive(Debug)]
pub(super) struct Edit {
    pub(super) content: String,
    pub(super) embeds: Vec<Value>,
    pub(super) components: Vec<Value>,
    pub(super) flags: u64,
    pub(super) allowed_mentions: Option<Value>,
    pub(super) pings: Pings,
}

impl Edit {
    /// Changes the text and nothing else.
    pub(super) fn of_text(message: &Message, content: &str) -> Self {
        Self {
            content: content.to_owned(),
            embeds: message.embeds.clone(),
            components: message.components.clone(),
            flags: message.flags,
            allowed_mentions: message.allowed_mentions.clone(),
            pings: message.pings.clone(),
        }
    }
}

/// Which of the mentions written in a message ping. Members ping whom they write; a bot says in
/// `allowed_mentions`.
#[derive(Clone, Debug)]
pub(super) struct Pings {
    pub(super) everyone: bool,
    pub(super) users: Pingable<UserId>,
    pub(super) roles: Pingable<RoleId>,
    pub(super) replied_user: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Pingable<Id> {
    All,
    Only(Vec<Id>),
}

impl<Id: PartialEq> Pingable<Id> {
    pub(super) fn includes(&self, id: &Id) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(id),
        }
    }
}

impl Pings {
    /// Those of a member without special permissions, who does not reply to anything.
    fn of_member() -> Self {
        Self { everyone: false, users: Pingable::All, roles: Pingable::All, replied_user: false }
    }
}
