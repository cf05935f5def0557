//! Who may do what where. Everybody may what is usual on a new server, some may more, and a channel can give and take;
//! its threads follow it.

use serenity::model::Permissions;

use super::FakeDiscord;
use super::events::Event;
use super::ids::{ChannelId, UserId};
use super::world::{Channel, ChannelKind, World};

/// All permissions that there are.
pub(super) const ALL: u64 = u64::MAX >> 11;

/// What everyone may do at first: view, send, link, attach, read the history, react, and make and use threads.
const EVERYONE_MAY: Permissions = Permissions::VIEW_CHANNEL
    .union(Permissions::SEND_MESSAGES)
    .union(Permissions::SEND_MESSAGES_IN_THREADS)
    .union(Permissions::CREATE_PUBLIC_THREADS)
    .union(Permissions::CREATE_PRIVATE_THREADS)
    .union(Permissions::ADD_REACTIONS)
    .union(Permissions::EMBED_LINKS)
    .union(Permissions::ATTACH_FILES)
    .union(Permissions::READ_MESSAGE_HISTORY);

/// For whom a channel gives or takes something; what it says of one goes before what it says of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whom {
    Everyone,
    Member(UserId),
}

/// What a channel gives and takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overwrite {
    pub(super) allow: Permissions,
    pub(super) deny: Permissions,
}

/// What admins give and take in a channel and its threads.
impl FakeDiscord {
    pub(crate) fn allow(&self, channel: ChannelId, whom: Whom, what: Permissions) {
        self.overwrite(channel, whom, |it| Overwrite { allow: it.allow | what, deny: it.deny - what });
    }

    pub(crate) fn deny(&self, channel: ChannelId, whom: Whom, what: Permissions) {
        self.overwrite(channel, whom, |it| Overwrite { allow: it.allow - what, deny: it.deny | what });
    }

    /// Whether the bot may send in a channel and its threads, which it may at first.
    pub(crate) fn let_bot_send(&self, channel: ChannelId, may: bool) {
        self.let_bot(channel, Permissions::SEND_MESSAGES | Permissions::SEND_MESSAGES_IN_THREADS, may);
    }

    /// Whether the bot sees a channel and its threads, which it does at first.
    pub(crate) fn let_bot_view(&self, channel: ChannelId, may: bool) {
        self.let_bot(channel, Permissions::VIEW_CHANNEL, may);
    }

    /// Whether a member sees a channel or a thread, and what is in it.
    pub(crate) fn sees(&self, member: UserId, channel: ChannelId) -> bool {
        self.inner
            .look(|state| state.world.channel(channel).is_some_and(|it| state.world.may_view(member, it)))
    }

    fn let_bot(&self, channel: ChannelId, what: Permissions, may: bool) {
        let bot = Whom::Member(self.bot_id());
        if may { self.allow(channel, bot, what) } else { self.deny(channel, bot, what) }
    }

    fn overwrite(&self, channel: ChannelId, whom: Whom, change: impl FnOnce(Overwrite) -> Overwrite) {
        self.inner.change(|state| {
            let world = &mut state.world;
            let saw = world.may_view(world.bot, &world.channels[&channel]);
            let overwrite = world.overwrites.entry(channel).or_default().entry(whom);
            let overwrite =
                overwrite.or_insert(Overwrite { allow: Permissions::empty(), deny: Permissions::empty() });
            *overwrite = change(*overwrite);
            let world = &state.world;
            let event = Event::channel_update(world, &world.channels[&channel]);
            // Whoever comes to see a channel is told of the threads in it.
            let sync = (!saw).then(|| Event::thread_list_sync(world, channel));
            state.announce(&event);
            if let Some(sync) = sync {
                state.announce(&sync);
            }
        });
    }
}

impl World {
    /// What everybody may do on the server. In this world everybody may have webhooks when the bot may.
    pub(super) fn everyone_may(&self) -> Permissions {
        let webhooks = Permissions::MANAGE_WEBHOOKS;
        if self.bot_may_have_webhooks { EVERYONE_MAY | webhooks } else { EVERYONE_MAY }
    }

    /// What a member may do in a channel.
    pub(super) fn rights(&self, member: UserId, channel: &Channel) -> Permissions {
        let powers = Permissions::from_bits_truncate(self.powers_of(member));
        let above_all = member == self.owner || powers.contains(Permissions::ADMINISTRATOR);
        if above_all || matches!(channel.kind, ChannelKind::Direct { .. }) {
            return Permissions::all();
        }
        let parent = match channel.kind {
            ChannelKind::Thread { parent } => Some(parent),
            ChannelKind::Text | ChannelKind::Forum | ChannelKind::Direct { .. } => None,
        };
        let places = parent.into_iter().chain([channel.id]);
        let overwrites = places.filter_map(|place| self.overwrites.get(&place));
        overwrites.fold(self.everyone_may() | powers, |rights, overwrites| {
            let of = [Whom::Everyone, Whom::Member(member)].into_iter();
            of.filter_map(|whom| overwrites.get(&whom))
                .fold(rights, |rights, it| (rights - it.deny) | it.allow)
        })
    }

    /// Whether a member sees the channel at all. Private threads are for those who are in them, and for moderators.
    pub(super) fn may_view(&self, member: UserId, channel: &Channel) -> bool {
        if let ChannelKind::Direct { with } = channel.kind {
            return [with, self.bot].contains(&member);
        }
        let is_there = if member == self.bot { self.bot_is_member } else { !self.gone.contains(&member) };
        let rights = self.rights(member, channel);
        let is_let_in = self.threads.get(&channel.id).is_none_or(|thread| {
            !thread.is_private()
                || thread.members.contains(&member)
                || rights.contains(Permissions::MANAGE_THREADS)
        });
        is_there && is_let_in && rights.contains(Permissions::VIEW_CHANNEL)
    }

    /// Whether the bot sees the channel at all: Discord says "Missing Access" where it does not.
    pub(super) fn bot_may_view(&self, channel: &Channel) -> bool {
        self.may_view(self.bot, channel)
    }

    /// Whether the bot has this permission.
    pub(super) fn bot_may(&self, channel: &Channel, what: Permissions) -> bool {
        self.rights(self.bot, channel).contains(what)
    }
}
