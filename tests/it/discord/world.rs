//! What exists on the fake Discord and how it changes. Pure state: no network, no waiting, and no
//! idea of what a bot may do or see.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::time::Instant;

use super::ids::{ChannelId, EmojiId, GuildId, MessageId, RoleId, Snowflakes, UserId};
use super::message::{Edit, KIND_THREAD_STARTER, Message, Post};
use super::rights::{self, Whom};
use super::threads::Thread;
use super::webhooks::Webhook;

/// One server with its people and channels, and the direct messages beside it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) guild: GuildId,
    pub(crate) bot: UserId,
    /// False once the bot has been kicked.
    pub(crate) bot_is_member: bool,
    pub(crate) owner: UserId,
    pub(crate) users: BTreeMap<UserId, User>,
    pub(crate) roles: BTreeMap<RoleId, String>,
    pub(crate) emojis: BTreeMap<EmojiId, String>,
    /// The emoji of the application: their names and their pictures.
    pub(crate) pictures: BTreeMap<EmojiId, (String, Vec<u8>)>,
    /// The webhooks that the bot has made.
    pub(crate) webhooks: BTreeMap<UserId, Webhook>,
    pub(crate) bot_may_have_webhooks: bool,
    pub(crate) channels: BTreeMap<ChannelId, Channel>,
    /// What the channels that are threads are beside that.
    pub(crate) threads: BTreeMap<ChannelId, Thread>,
    /// Those that are for adults only; their threads are then too.
    pub(crate) age_restricted: BTreeSet<ChannelId>,
    /// All messages that ever were, oldest first; deleted ones are marked.
    pub(crate) messages: BTreeMap<MessageId, Message>,
    /// The messages of the bot that are replies, by what they reply to; deleted ones too.
    replies: BTreeMap<MessageId, Vec<MessageId>>,
    /// The messages of the bot that were sent with an enforced nonce.
    nonces: BTreeMap<String, MessageId>,
    /// What members may do beside what everybody may, in Discord's bits.
    powers: BTreeMap<UserId, u64>,
    /// What is given and taken in single channels.
    pub(super) overwrites: BTreeMap<ChannelId, BTreeMap<Whom, rights::Overwrite>>,
    /// Those who were members and have left.
    pub(super) gone: BTreeSet<UserId>,
    /// Where the files lie that can be fetched, without a slash at the end.
    pub(super) files_at: String,
    /// What can be fetched there, by the number of the attachment.
    pub(super) files: BTreeMap<u64, Vec<u8>>,
    /// How many files were asked for.
    pub(super) fetched: usize,
    snowflakes: Snowflakes,
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) kind: UserKind,
    pub(crate) name: String,
    pub(crate) global_name: Option<String>,
    pub(crate) nick: Option<String>,
    pub(crate) roles: Vec<RoleId>,
    /// The application that a webhook belongs to.
    pub(crate) application: Option<UserId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserKind {
    Human,
    Bot,
    Webhook,
}

#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) id: ChannelId,
    pub(crate) kind: ChannelKind,
    pub(crate) name: String,
    pub(crate) deleted: bool,
    /// When the bot's typing indicator was set off.
    pub(crate) typing: Vec<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelKind {
    Text,
    /// It has threads, and no messages of its own.
    Forum,
    Thread {
        parent: ChannelId,
    },
    Direct {
        with: UserId,
    },
}

impl World {
    /// A server with its owner and the bot, whose id is given because its token contains it.
    pub(super) fn new(bot: UserId, bot_name: &str) -> Self {
        let mut snowflakes = Snowflakes::default();
        let guild = GuildId(snowflakes.next());
        let owner = UserId(snowflakes.next());
        let mut world = Self {
            guild,
            bot,
            bot_is_member: true,
            owner,
            users: BTreeMap::new(),
            // The role of everyone has the server's id.
            roles: BTreeMap::from([(RoleId(guild.0), "@everyone".to_owned())]),
            emojis: BTreeMap::new(),
            pictures: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            bot_may_have_webhooks: false,
            channels: BTreeMap::new(),
            threads: BTreeMap::new(),
            age_restricted: BTreeSet::new(),
            messages: BTreeMap::new(),
            replies: BTreeMap::new(),
            nonces: BTreeMap::new(),
            powers: BTreeMap::new(),
            overwrites: BTreeMap::new(),
            gone: BTreeSet::new(),
            files_at: String::new(),
            files: BTreeMap::new(),
            fetched: 0,
            snowflakes,
        };
        world.insert_user(owner, "Owner", UserKind::Human);
        world.insert_user(bot, bot_name, UserKind::Bot);
        world
    }

    pub(super) fn add_user(&mut self, name: &str, kind: UserKind) -> UserId {
        let id = UserId(self.snowflakes.next());
        self.insert_user(id, name, kind);
        id
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.snowflakes.next()
    }

    /// Gives a member these permissions beside those of everybody, and takes others away.
    pub(super) fn empower(&mut self, user: UserId, permissions: u64) {
        self.powers.insert(user, permissions);
    }

    /// What a member may do beside what everybody may.
    pub(super) fn powers_of(&self, user: UserId) -> u64 {
        if user == self.owner { rights::ALL } else { self.powers.get(&user).copied().unwrap_or_default() }
    }

    pub(super) fn add_role(&mut self, name: &str) -> RoleId {
        let id = RoleId(self.snowflakes.next());
        self.roles.insert(id, name.to_owned());
        id
    }

    pub(super) fn add_emoji(&mut self, name: &str) -> EmojiId {
        let id = EmojiId(self.snowflakes.next());
        self.emojis.insert(id, name.to_owned());
        id
    }

    pub(super) fn add_channel(&mut self, name: &str, kind: ChannelKind) -> ChannelId {
        let id = ChannelId(self.snowflakes.next());
        self.insert_channel(id, name, kind);
        id
    }

    pub(super) fn insert_channel(&mut self, id: ChannelId, name: &str, kind: ChannelKind) {
        let name = name.to_owned();
        self.channels.insert(id, Channel { id, kind, name, deleted: false, typing: Vec::new() });
    }

    /// The direct messages between the bot and a user; there is one such channel for each user.
    pub(super) fn direct_channel(&mut self, with: UserId) -> ChannelId {
        let kind = ChannelKind::Direct { with };
        let existing = self.channels.values().find(|channel| channel.kind == kind);
        match existing {
            Some(channel) => channel.id,
            None => self.add_channel("", kind),
        }
    }

    pub(super) fn add_message(&mut self, post: Post) -> MessageId {
        let id = MessageId(self.snowflakes.next());
        self.insert_message(id, post);
        id
    }

    pub(super) fn insert_message(&mut self, id: MessageId, post: Post) {
        let mut message = post.into_message(id);
        for (file, number) in message.files.iter().zip(message.first_file()..) {
            self.files.insert(number, file.bytes.clone());
        }
        self.resolve_mentions(&mut message);
        if message.author == self.bot {
            if let Some(reply) = message.reply.filter(|_| message.kind != KIND_THREAD_STARTER) {
                self.replies.entry(reply.to).or_default().push(id);
            }
            if let Some(nonce) = message.nonce.as_ref().filter(|_| message.enforce_nonce) {
                self.nonces.insert(nonce.to_string(), id);
            }
        }
        // Whoever writes in a thread or is mentioned there is in it from then on.
        if let Some(thread) = self.threads.get_mut(&message.channel) {
            let writes = Some(message.author).filter(|author| self.users[author].kind != UserKind::Webhook);
            thread.members.extend(message.mentions.iter().copied().chain(writes));
        }
        self.messages.insert(id, message);
    }

    /// Changes a message; who it mentions follows from the new text.
    pub(super) fn edit_message(&mut self, id: MessageId, edit: Edit) {
        if let Some(mut message) = self.messages.remove(&id) {
            message.apply(edit);
            self.resolve_mentions(&mut message);
            self.messages.insert(id, message);
        }
    }

    pub(super) fn delete_message(&mut self, id: MessageId) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.deleted.get_or_insert_with(Instant::now);
        }
    }

    /// Deletes a channel with what is in it: its messages, and its threads with theirs.
    pub(super) fn delete_channel(&mut self, id: ChannelId) {
        let doomed: Vec<ChannelId> = self
            .channels
            .values()
            .filter(|channel| channel.id == id || channel.kind == (ChannelKind::Thread { parent: id }))
            .map(|channel| channel.id)
            .collect();
        for channel in self.channels.values_mut() {
            channel.deleted |= doomed.contains(&channel.id);
        }
        for message in self.messages.values_mut() {
            if doomed.contains(&message.channel) {
                message.deleted.get_or_insert_with(Instant::now);
            }
        }
    }

    /// A channel that exists, or nothing when it never did or was deleted.
    pub(super) fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(&id).filter(|channel| !channel.deleted)
    }

    /// A message that is still there.
    pub(super) fn standing(&self, id: MessageId) -> Option<&Message> {
        self.messages.get(&id).filter(|message| message.deleted.is_none())
    }

    /// What a member sees in a channel, oldest first.
    pub(crate) fn shown(&self, channel: ChannelId) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.values().filter(move |message| {
            message.channel == channel && message.deleted.is_none() && message.only_for.is_none()
        })
    }

    /// What a member sees of the bot in a channel, oldest first.
    pub(crate) fn said_by_bot(&self, channel: ChannelId) -> impl Iterator<Item = &Message> {
        self.shown(channel).filter(|message| message.author == self.bot)
    }

    /// The bot's messages that are replies to the given one and are still shown.
    pub(crate) fn replies_to(&self, to: MessageId) -> impl Iterator<Item = &Message> {
        self.ever_replied_to(to).filter(|message| message.deleted.is_none())
    }

    /// The bot's messages that are or were replies to the given one.
    pub(crate) fn ever_replied_to(&self, to: MessageId) -> impl Iterator<Item = &Message> {
        self.replies.get(&to).into_iter().flatten().filter_map(|id| self.messages.get(id))
    }

    /// The message that an enforced nonce was first used for. Discord remembers for some minutes, the fake for ever.
    pub(super) fn sent_with(&self, nonce: &Value) -> Option<&Message> {
        self.nonces.get(&nonce.to_string()).and_then(|id| self.messages.get(id))
    }

    pub(super) fn is_direct(&self, channel: ChannelId) -> bool {
        matches!(self.channels.get(&channel).map(|channel| channel.kind), Some(ChannelKind::Direct { .. }))
    }

    /// Those who are members of the server, the bot among them; webhooks are not.
    pub(super) fn members(&self) -> impl Iterator<Item = &User> {
        let is_member = |user: &&User| user.kind != UserKind::Webhook && !self.gone.contains(&user.id);
        self.users.values().filter(is_member)
    }

    fn insert_user(&mut self, id: UserId, name: &str, kind: UserKind) {
        self.users.insert(
            id,
            User {
                id,
                kind,
                name: name.to_owned(),
                global_name: None,
                nick: None,
                roles: Vec::new(),
                application: None,
            },
        );
    }

    fn resolve_mentions(&self, message: &mut Message) {
        let content = message.content();
        let pings = &message.pings;
        let mut mentions: Vec<UserId> = numbers_after(content, "<@!")
            .chain(numbers_after(content, "<@"))
            .map(UserId)
            .filter(|user| pings.users.includes(user))
            .filter(|user| self.members().any(|member| member.id == *user))
            .collect();
        // A webhook's message can be replied to, but there is nobody behind it to ping.
        let replied_to = message
            .reply
            .filter(|_| pings.replied_user)
            .and_then(|reply| self.messages.get(&reply.to))
            .map(|original| original.author)
            .filter(|author| self.members().any(|member| member.id == *author));
        mentions.extend(replied_to);
        mentions.sort_unstable();
        mentions.dedup();

        let mut mention_roles: Vec<RoleId> = numbers_after(content, "<@&")
            .map(RoleId)
            .filter(|role| pings.roles.includes(role))
            .filter(|role| self.roles.contains_key(role))
            .collect();
        mention_roles.sort_unstable();
        mention_roles.dedup();

        let names_everyone = content.contains("@everyone") || content.contains("@here");
        message.mention_everyone = pings.everyone && names_everyone;
        message.mentions = mentions;
        message.mention_roles = mention_roles;
    }
}

/// The numbers in `<@123>`-like marks that begin with `opening`.
fn numbers_after(content: &str, opening: &'static str) -> impl Iterator<Item = u64> {
    content
        .split(opening)
        .skip(1)
        .filter_map(|rest| rest.split_once('>'))
        .filter_map(|(number, _)| number.parse().ok())
}
