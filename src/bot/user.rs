//! Whoever uses a command, presses a button or fills in a form, and what they may do there. Discord tells it with each of them; nothing of it
//! is remembered.

use serenity::all::{
    ChannelId, ChannelType, CommandInteraction, ComponentInteraction, Context, GuildId, Member,
    ModalInteraction, PartialChannel, Permissions, User as Account,
};

use crate::admin::Actor;
use crate::assistant::Hand;
use crate::chat::addressing::Author;
use crate::chat::{self, MemberId, Place, RoleId, ServerId};

use super::reading;

/// Whoever uses a command, presses a button or fills in a form.
#[derive(Debug, Clone, Copy)]
pub(super) struct User<'a> {
    account: &'a Account,
    member: Option<&'a Member>,
    channel: ChannelId,
    /// The channel that the thread belongs to, when it is one.
    parent: Option<ChannelId>,
    /// Whether a thread is only for those who were asked into it.
    is_private: bool,
    server: Option<GuildId>,
}

impl<'a> User<'a> {
    pub(super) fn of_command(interaction: &'a CommandInteraction) -> Self {
        Self {
            account: &interaction.user,
            member: interaction.member.as_deref(),
            channel: interaction.channel_id,
            parent: interaction.channel.as_ref().and_then(parent),
            is_private: interaction.channel.as_ref().is_none_or(is_private),
            server: interaction.guild_id,
        }
    }

    pub(super) fn of_press(interaction: &'a ComponentInteraction) -> Self {
        Self {
            account: &interaction.user,
            member: interaction.member.as_ref(),
            channel: interaction.channel_id,
            parent: interaction.channel.as_ref().and_then(parent),
            is_private: interaction.channel.as_ref().is_none_or(is_private),
            server: interaction.guild_id,
        }
    }

    pub(super) fn of_form(interaction: &'a ModalInteraction) -> Self {
        Self {
            account: &interaction.user,
            member: interaction.member.as_ref(),
            channel: interaction.channel_id,
            parent: interaction.channel.as_ref().and_then(parent),
            is_private: interaction.channel.as_ref().is_none_or(is_private),
            server: interaction.guild_id,
        }
    }

    pub(super) fn id(self) -> MemberId {
        MemberId(self.account.id.get())
    }

    pub(super) fn channel(self) -> ChannelId {
        self.channel
    }

    pub(super) fn server(self) -> Option<GuildId> {
        self.server
    }

    /// As whom they speak there.
    pub(super) fn author(self) -> Author {
        let (name, roles) = (self.display_name().to_owned(), self.roles());
        Author { id: self.id(), name, automated: self.account.bot, roles }
    }

    fn roles(self) -> Vec<RoleId> {
        self.member.map(|member| reading::roles(&member.roles)).unwrap_or_default()
    }

    fn display_name(self) -> &'a str {
        self.member.map_or_else(|| self.account.display_name(), |member| member.display_name())
    }

    /// Their name as it may stand in a message: as it is, and as nothing else.
    pub(super) fn name(self) -> String {
        chat::markdown::escaped(&chat::sanitize::name(self.display_name()))
    }

    /// Where they are.
    pub(super) fn place(self, context: &Context) -> Place {
        let place = reading::place(context, self.channel, self.server);
        // Threads that sleep are not among those that are known.
        Place { parent: place.parent.or(self.parent.map(|parent| chat::ChannelId(parent.get()))), ..place }
    }

    /// The channel that sees what is said where they are: that of a thread that is not private.
    pub(super) fn home(self) -> Option<chat::ChannelId> {
        self.parent.filter(|_| !self.is_private).map(|parent| chat::ChannelId(parent.get()))
    }

    /// Whether the bot itself is in the server, or they are alone with it.
    pub(super) fn is_here(self, context: &Context) -> bool {
        let is_known = |server: GuildId| {
            context.cache.guild(server).is_some() || context.cache.unavailable_guilds().get(&server).is_some()
        };
        self.server.is_none_or(is_known)
    }

    /// As whom they decide something in a server.
    pub(super) fn actor(self) -> Option<Actor> {
        Some(Actor {
            member: self.id(),
            server: ServerId(self.server?.get()),
            manages: self.may(Permissions::MANAGE_GUILD),
            roles: self.roles(),
        })
    }

    /// Whether they may take away what others have said here.
    pub(super) fn moderates(self) -> bool {
        self.server.is_none() || self.may(Permissions::MANAGE_MESSAGES)
    }

    /// Whether they see this channel, and may read what was said in it before.
    pub(super) fn reads_here(self) -> bool {
        self.server.is_none()
            || self.may(Permissions::VIEW_CHANNEL) && self.may(Permissions::READ_MESSAGE_HISTORY)
    }

    /// Whether they may make such a thread here themselves, and write in it.
    pub(super) fn makes_threads_here(self, private: bool) -> bool {
        let create =
            if private { Permissions::CREATE_PRIVATE_THREADS } else { Permissions::CREATE_PUBLIC_THREADS };
        self.may(create) && self.may(Permissions::SEND_MESSAGES_IN_THREADS)
    }

    /// As whom they change what was said.
    pub(super) fn hand(self) -> Hand {
        Hand { author: self.author(), moderates: self.moderates() }
    }

    fn may(self, what: Permissions) -> bool {
        let permissions = self.member.and_then(|member| member.permissions).unwrap_or_default();
        permissions.intersects(what | Permissions::ADMINISTRATOR)
    }
}

/// The channel that a thread belongs to. That of an ordinary channel is a category.
fn parent(channel: &PartialChannel) -> Option<ChannelId> {
    use ChannelType::{NewsThread, PrivateThread, PublicThread};
    channel.parent_id.filter(|_| matches!(channel.kind, NewsThread | PrivateThread | PublicThread))
}

fn is_private(channel: &PartialChannel) -> bool {
    channel.kind == ChannelType::PrivateThread
}
