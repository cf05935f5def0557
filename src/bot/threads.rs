//! Threads in which something goes on: scenes that have one of their own, and branches.

use serenity::all::{
    AutoArchiveDuration, ChannelId, ChannelType, Context, CreateThread, EditThread, GuildId, MessageId,
    Permissions,
};
use tracing::warn;

use super::reading;
use super::rest::{self, Trouble};
use crate::chat::{self, Place};

/// Where a thread can grow: the channel that its thread belongs to, and of which kind that is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Soil {
    server: GuildId,
    home: ChannelId,
    kind: ChannelType,
}

impl Soil {
    /// Whether its threads are for those alone who were asked into them.
    pub(super) fn is_private(self) -> bool {
        self.kind == ChannelType::PrivateThread
    }

    /// The channel that the threads belong to.
    pub(super) fn home(self) -> chat::ChannelId {
        chat::ChannelId(self.home.get())
    }

    /// Whether the bot may make a thread there, as far as is known.
    pub(super) fn may_grow(self, context: &Context) -> bool {
        let create = if self.is_private() {
            Permissions::CREATE_PRIVATE_THREADS
        } else {
            Permissions::CREATE_PUBLIC_THREADS
        };
        let needed = Permissions::SEND_MESSAGES_IN_THREADS | create;
        let may = reading::permissions(context, self.server, self.home);
        may.is_none_or(|may| may.contains(needed) || may.contains(Permissions::ADMINISTRATOR))
    }

    /// A thread with this name. One that was made without anybody hearing of it stays empty.
    pub(super) async fn grow(self, context: &Context, name: &str) -> Result<ChannelId, Trouble> {
        let mut thread = CreateThread::new(name).kind(self.kind);
        if self.is_private() {
            thread = thread.invitable(false);
        }
        let made = rest::once("create thread", self.home.create_thread(&context.http, thread)).await;
        made.map(|made| made.id)
    }

    /// A thread with this name that begins with a message.
    pub(super) async fn grow_from(
        self,
        context: &Context,
        from: MessageId,
        name: &str,
    ) -> Result<ChannelId, Trouble> {
        let thread = CreateThread::new(name).auto_archive_duration(AutoArchiveDuration::OneWeek);
        let made = rest::retry("start a thread", || {
            let thread = thread.clone();
            async { self.home.create_thread_from_message(&context.http, from, thread).await }
        });
        match made.await {
            Ok(made) => Ok(made.id),
            // The first try has arrived, though its answer has not; a thread has the id of the message that it begins with.
            Err(trouble) if trouble.has_thread_already() => Ok(ChannelId::new(from.get())),
            Err(trouble) => Err(trouble),
        }
    }
}

/// Where what was said in a place of this kind can go on, so that nobody sees it who could not see it there. `None` where there
/// can be no threads.
pub(super) fn soil(context: &Context, place: Place, kind: Option<ChannelType>) -> Option<Soil> {
    use ChannelType::{News, NewsThread, PrivateThread, PublicThread, Text};
    let (home, kind) = match (kind?, place.parent) {
        (Text, _) => (place.channel, PublicThread),
        (News, _) => (place.channel, NewsThread),
        (kind @ (PublicThread | NewsThread | PrivateThread), Some(parent)) => (parent, kind),
        _ => return None,
    };
    let (server, home) = (GuildId::new(place.server?.0.max(1)), ChannelId::new(home.0.max(1)));
    // The threads of forums are posts.
    let is_text = context.cache.guild(server).and_then(|guild| {
        let home = guild.channels.get(&home)?;
        Some(matches!(home.kind, Text | News))
    });
    is_text.unwrap_or(true).then_some(Soil { server, home, kind })
}

/// A thread in which nothing goes on is deleted; where the bot may not do that, it is archived, which whoever has begun it may.
pub(super) async fn clear_away(context: &Context, thread: ChannelId) {
    if rest::retry("delete thread", || thread.delete(&context.http)).await.is_ok() {
        return;
    }
    let archive = || thread.edit_thread(&context.http, EditThread::new().archived(true));
    if let Err(trouble) = rest::retry("archive thread", archive).await {
        warn!(channel = thread.get(), %trouble, "a thread with nothing in it could not be taken away");
    }
}
