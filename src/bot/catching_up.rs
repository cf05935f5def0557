//! What happened while the bot was not connected: it is read from the channels.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serenity::all::{ChannelId, Context, GetMessages, GuildId, Message, Permissions, UserId, WebhookId};
use tracing::{error, info, warn};

use super::events::Handler;
use super::reading;
use super::rest::{self, Finality, Trouble};
use super::sender::Sender;
use crate::assistant::{Accepted, Page, Shown};
use crate::chat::addressing::{self, Incoming};
use crate::chat::{self, MemberId, Place, RoleId, ServerId};

/// Most messages that Discord gives at a time.
pub(super) const PAGE: u8 = 100;

/// Most pages that are read of a channel.
const PAGES_MAX: usize = 3;

impl Handler {
    /// Looks at the channels of a server, or at the direct messages, in which something may have been missed.
    pub(super) async fn catch_up(&self, context: &Context, server: Option<GuildId>) {
        let missed = match self.assistant.missed(server.map(|server| ServerId(server.get()))).await {
            Ok(missed) => missed,
            Err(error) => return error!("what was missed could not be found out: {error}"),
        };
        let catching_up = missed.into_iter().map(|channel| async move {
            // It is closed with the program only.
            let _reader = self.readers.acquire().await;
            let channel = ChannelId::new(channel.0.max(1));
            let accepted = self.catch_up_in(context, channel, server).await;
            self.answer_beside(context, accepted, server);
        });
        futures_util::future::join_all(catching_up).await;
    }

    /// Looks at a channel in which the last process has left something undone, before anything else happens there.
    pub(super) async fn settle_first(&self, context: &Context, channel: ChannelId, server: Option<GuildId>) {
        if !self.assistant.is_undone(chat::ChannelId(channel.get())) {
            return;
        }
        // They have their places in the line before the message that comes now, which does not wait for them here.
        let accepted = self.catch_up_in(context, channel, server).await;
        self.answer_beside(context, accepted, server);
    }

    fn answer_beside(&self, context: &Context, accepted: Vec<Accepted>, server: Option<GuildId>) {
        if !accepted.is_empty() {
            info!(messages = accepted.len(), "answering what came meanwhile");
        }
        for accepted in accepted {
            let (this, context) = (self.clone(), context.clone());
            tokio::spawn(async move { this.answer(&context, accepted, server).await });
        }
    }

    /// Answers a message that was taken in.
    pub(super) async fn answer(&self, context: &Context, accepted: Accepted, server: Option<GuildId>) {
        let mut sender = Sender::new(context, self, server, &accepted);
        // It holds a lot while it waits, and so would everybody who waits for it.
        Box::pin(accepted.answer(&mut sender)).await;
        if sender.channel_is_gone() {
            self.channel_gone(context, sender.channel(), None).await;
        }
    }

    async fn catch_up_in(
        &self,
        context: &Context,
        channel: ChannelId,
        server: Option<GuildId>,
    ) -> Vec<Accepted> {
        let place = reading::place(context, channel, server);
        let home = place.parent.map_or(channel, |parent| ChannelId::new(parent.0.max(1)));
        let may = server.and_then(|server| reading::permissions(context, server, home));
        if may.is_some_and(|may| !may.contains(Permissions::READ_MESSAGE_HISTORY)) {
            // Discord shows an empty channel then, which proves nothing.
            return self.assistant.settle(place, Page::unseen()).await;
        }
        let known = self.assistant.last_known(place.channel).await;
        match self.read(context, channel, server, known).await {
            Ok(mut page) => {
                self.find_roles(context, place, &mut page.others).await;
                let newest = page.newest();
                let accepted = self.assistant.settle(place, page).await;
                if let Some(newest) = newest {
                    self.heard_of(context, place, newest);
                }
                accepted
            }
            Err(trouble) => {
                warn!(channel = channel.get(), %trouble, "what was missed in a channel could not be read");
                match trouble.finality() {
                    Some(Finality::Channel) => self.channel_gone(context, channel, None).await,
                    // Nobody will see what it shows, so it is as it was.
                    Some(Finality::Permission) => return self.assistant.settle(place, Page::unseen()).await,
                    Some(Finality::Message | Finality::Webhook) | None => {}
                }
                Vec::new()
            }
        }
    }

    /// What is read over REST does not say which roles its authors have: where it depends on them who is answered, they are asked
    /// for. Whoever is not there any more has none.
    async fn find_roles(&self, context: &Context, place: Place, messages: &mut [Incoming]) {
        let Some(server) = place.server else { return };
        self.assistant.learn(server).await;
        if !self.assistant.asks_for_roles(place) {
            return;
        }
        let (answers, since) = (self.assistant.hears_in(place), self.assistant.answers_since());
        let matters = |incoming: &&mut Incoming| {
            incoming.posted > since && addressing::may_be_addressed(incoming, answers)
        };
        // `None` where they cannot be found out.
        let mut known: BTreeMap<MemberId, Option<Vec<RoleId>>> = BTreeMap::new();
        for Incoming { author, .. } in messages.iter_mut().filter(matters) {
            if let Entry::Vacant(unknown) = known.entry(author.id) {
                let (server, member) = (GuildId::new(server.0.max(1)), UserId::new(author.id.0.max(1)));
                let roles = match rest::once("get member", context.http.get_member(server, member)).await {
                    Ok(member) => Some(reading::roles(&member.roles)),
                    Err(Trouble::Refused { status: 404, .. }) => Some(Vec::new()),
                    Err(trouble) => {
                        warn!(%trouble, "the roles of a member could not be read");
                        None
                    }
                };
                unknown.insert(roles);
            }
            match known.get(&author.id).cloned().flatten() {
                Some(roles) => author.roles = roles,
                // Whoever may be denied is not answered, as programs are not.
                None => author.automated = true,
            }
        }
    }

    /// The last messages of a channel, back to those that are too old to be answered, as far as that is bearable.
    async fn read(
        &self,
        context: &Context,
        channel: ChannelId,
        server: Option<GuildId>,
        known: chat::MessageId,
    ) -> Result<Page, Trouble> {
        let mut messages: Vec<Message> = Vec::new();
        let mut from = chat::MessageId(0);
        let since = self.assistant.answers_since();
        for _ in 0..PAGES_MAX {
            let mut wanted = GetMessages::new().limit(PAGE);
            if let Some(oldest) = messages.last() {
                wanted = wanted.before(oldest.id);
            }
            let page = rest::retry("list messages", || channel.messages(&context.http, wanted)).await?;
            let is_last = page.len() < usize::from(PAGE);
            messages.extend(page);
            let Some(oldest) = messages.last().filter(|_| !is_last) else {
                from = chat::MessageId(0);
                break;
            };
            from = chat::MessageId(oldest.id.get());
            if reading::posted(oldest) < since {
                break;
            }
        }
        // Newest first, as Discord gives them.
        messages.reverse();
        let is_own = |message: &&Message| reading::is_own(context, message, self.me);
        let own = messages.iter().filter(is_own).map(shown).collect();
        let others = messages.iter().filter_map(|message| {
            if is_own(&message) {
                reading::said_through(context, message, server, self.me)
            } else {
                reading::incoming(context, message, server, self.me)
            }
        });
        Ok(Page { from, known, others: others.collect(), own })
    }
}

fn shown(message: &Message) -> Shown {
    let reference = message.message_reference.as_ref().and_then(|reference| reference.message_id);
    Shown {
        message: chat::MessageId(message.id.get()),
        reply_to: reference.map(|id| chat::MessageId(id.get())),
        content: message.content.clone(),
        webhook: message.webhook_id.map(WebhookId::get),
    }
}
