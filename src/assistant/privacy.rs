//! What members and servers may ask: to have what is kept of them, to have it forgotten, and not to be read. And what is
//! forgotten by itself when its time has come.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Assistant;
use super::live::{Live, now};
use crate::chat::addressing::Incoming;
use crate::chat::history::ConversationId;
use crate::chat::request::Counts;
use crate::chat::{MemberId, MessageId, Place, ServerId};
use crate::store::{Store, StoreError};

/// For how long it is kept who asked when, where nothing shorter is set.
const REQUESTS_KEPT: Duration = Duration::from_hours(30 * 24);

const DAY: u64 = 86_400;

/// So many conversations lose what has expired at a time, so that nobody who reads or writes waits for long.
const AT_A_TIME: usize = 4;

impl Assistant {
    /// Forgets a member: what they said, what was said to it, their names, and what was computed of all that. What is being
    /// answered of theirs stops first.
    ///
    /// # Errors
    /// A [`StoreError`]; then some of it may still be written down.
    pub async fn forget_member(&self, member: MemberId) -> Result<(), StoreError> {
        self.forgotten.insert(member, now());
        let mut asked = self.stop_member(member).await;
        if let Some(store) = &self.store {
            asked.extend(store.asked_by(member).await?);
        }
        let _nobody_reads = self.forgetting.write().await;
        let at_hand: Vec<Arc<Live>> = self.conversations.iter().map(|live| Arc::clone(&*live)).collect();
        for live in at_hand {
            let changed = live.lock().forget_member(member, &asked);
            // What is being said to others together with them begins again without their words, or stops.
            if let Some(running) = live.withdraw(member).and_then(|trigger| self.running.get(&trigger)) {
                running.edit.send_modify(|_| ());
            }
            if !changed {
                continue;
            }
            if live.place.server.is_some() {
                live.save().await;
                self.forget_computed(&live);
            } else {
                // There is nobody else in it.
                live.cease().await;
                self.scenes.remove(&live.place.channel);
                self.drop_conversation_in(live.place.channel);
                self.erase(live.place.channel).await;
            }
        }
        let Some(store) = &self.store else { return Ok(()) };
        for conversation in store.forget_member(member).await? {
            self.generator.forget(conversation.0);
        }
        self.forget_creator(member).await;
        store.leave_no_trace().await
    }

    /// Everything that is kept of a member, as JSON.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn export_member(&self, member: MemberId) -> Result<Value, StoreError> {
        match &self.store {
            Some(store) => store.export_member(member).await,
            None => Ok(Value::Null),
        }
    }

    /// How much is kept of a member; `None` when nothing is written down at all.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn count_member(&self, member: MemberId) -> Result<Option<Counts>, StoreError> {
        match &self.store {
            Some(store) => store.count_member(member).await.map(Some),
            None => Ok(None),
        }
    }

    /// From now on nothing that the member writes is read, and what was kept of them is forgotten.
    ///
    /// # Errors
    /// A [`StoreError`]; then it holds until the program ends.
    pub async fn opt_out(&self, member: MemberId) -> Result<(), StoreError> {
        self.opted_out.insert(member);
        if let Some(store) = &self.store {
            store.opt_out(member, Some(now())).await?;
        }
        self.forget_member(member).await
    }

    /// From now on what the member writes to the bot is read again.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn opt_in(&self, member: MemberId) -> Result<(), StoreError> {
        if let Some(store) = &self.store {
            store.opt_out(member, None).await?;
        }
        self.opted_out.remove(&member);
        Ok(())
    }

    /// Whether the member does not want to be read.
    #[must_use]
    pub fn is_opted_out(&self, member: MemberId) -> bool {
        self.opted_out.contains(&member)
    }

    /// After how many days it is forgotten what was said in a server, or in direct messages, if it is.
    #[must_use]
    pub fn retention_days(&self, server: Option<ServerId>) -> Option<u64> {
        self.retention(server).map(|kept| kept.as_secs() / DAY)
    }

    /// How many messages and replies of a server would go if they were kept for so many days only.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn older_than(&self, server: ServerId, days: u64) -> Result<usize, StoreError> {
        let Some(store) = &self.store else { return Ok(0) };
        store.older_than(server, now().saturating_sub(days.saturating_mul(DAY))).await
    }

    /// For how long it is kept what was said: what the server wants, or the operator when that is shorter.
    fn retention(&self, server: Option<ServerId>) -> Option<Duration> {
        let own = server.and_then(|server| self.rules.get(&server)?.retention());
        [own, self.settings.retention].into_iter().flatten().min()
    }

    /// Takes out of a message what its author replies to, when that is by somebody who does not want to be read, or was
    /// forgotten since.
    pub(super) fn leave_unread(&self, incoming: &mut Incoming) {
        let place = Place::from(&*incoming);
        let author = incoming.reply_to.as_ref().and_then(|reply| reply.author.as_ref());
        let is_unread = |id| self.is_unread(id, incoming.posted) || self.rules_deny(place, id);
        if author.is_some_and(|author| is_unread(author.id))
            && let Some(reply) = &mut incoming.reply_to
        {
            reply.text.clear();
            reply.author = None;
        }
    }

    /// Whether what a member has posted then, in seconds since 1970, is not to be read: they do not want it, or were forgotten
    /// since.
    pub(super) fn is_unread(&self, member: MemberId, posted: u64) -> bool {
        let forgotten = self.forgotten.get(&member).is_some_and(|since| *since >= posted);
        forgotten || self.opted_out.contains(&member)
    }

    /// The bot was taken out of a server, or is back. What is kept of it is forgotten after a while, unless the bot comes back.
    pub async fn left(&self, server: ServerId, has_left: bool) {
        if has_left {
            let there: Vec<Arc<Live>> = self.conversations_of(server);
            for live in there {
                self.stop_in(live.place.channel);
            }
        }
        let Some(store) = &self.store else { return };
        let _nobody_forgets = self.forgetting.read().await;
        if let Err(error) = store.left(server, has_left.then(now)).await {
            tracing::error!("that a server was left, or not, could not be written down: {error}");
        }
    }

    /// Of the servers of which something is kept and that `would_be` among these, those that are not have been left meanwhile.
    pub async fn is_in(&self, servers: &[ServerId], would_be: impl Fn(ServerId) -> bool) {
        let Some(store) = &self.store else { return };
        match store.servers().await {
            Ok(known) => {
                for server in
                    known.into_iter().filter(|server| would_be(*server) && !servers.contains(server))
                {
                    self.left(server, true).await;
                }
            }
            Err(error) => {
                tracing::error!("the servers of which something is kept could not be read: {error}");
            }
        }
    }

    /// Forgets what is too old to be kept, and the servers that were left long ago.
    ///
    /// # Errors
    /// A [`StoreError`]; then the rest is forgotten the next time.
    pub async fn keep_house(&self) -> Result<(), StoreError> {
        let Some(store) = &self.store else { return Ok(()) };
        let now = now();
        self.forgotten.retain(|_, since| *since + DAY > now);
        let long_ago = now.saturating_sub(self.settings.leave_grace.as_secs());
        for server in store.servers_left(long_ago).await? {
            loop {
                // Nor is it said meanwhile that the bot is back, which it may be since.
                let _nobody_reads = self.forgetting.write().await;
                if !store.is_left(server, long_ago).await? {
                    break;
                }
                for live in self.conversations_of(server) {
                    live.cease().await;
                    self.scenes.remove(&live.place.channel);
                    self.drop_conversation_in(live.place.channel);
                }
                if store.forget_some_of(server).await? {
                    self.rules.remove(&server);
                    self.troupes.remove(&server);
                    self.outdated.remove(&server);
                    break;
                }
            }
        }
        let mut places: Vec<Option<ServerId>> = store.servers().await?.into_iter().map(Some).collect();
        places.push(None);
        for server in places {
            if let Some(server) = server {
                self.learn(server).await;
            }
            let Some(kept) = self.retention(server) else { continue };
            self.expire(store, server, now.saturating_sub(kept.as_secs())).await?;
        }
        store.forget_requests(now.saturating_sub(REQUESTS_KEPT.as_secs())).await?;
        store.leave_no_trace().await
    }

    async fn expire(&self, store: &Store, server: Option<ServerId>, before: u64) -> Result<(), StoreError> {
        for some in store.expired(server, before).await?.chunks(AT_A_TIME) {
            // Whoever reads waits for some of it, not for all.
            let _nobody_reads = self.forgetting.write().await;
            for id in some {
                let at_hand = self.conversations.get(id).map(|live| Arc::clone(&*live));
                let Some(live) = at_hand else {
                    self.generator.forget(id.0);
                    continue;
                };
                let changed = {
                    let mut conversation = live.lock();
                    // Of what memories tell not all is kept.
                    let told = conversation.forget_memories(|link| link.said < before);
                    conversation.forget_all(|turn| turn.said < before && !turn.state.is_unfinished()) || told
                };
                if changed {
                    live.save().await;
                    self.forget_computed(&live);
                }
            }
            store.expire(some, before).await?;
        }
        store.expire_requests(server, before).await
    }

    /// Stops what is being answered of a member, waits until it is over, and returns the messages.
    async fn stop_member(&self, member: MemberId) -> BTreeSet<MessageId> {
        let stopped = self.until_stopped(|running| running.is_of(member)).await;
        // What somebody else said is not theirs, whatever they wanted of the answer.
        stopped.into_iter().filter(|(_, whose)| *whose == member).map(|(message, _)| message).collect()
    }

    /// What was computed of a conversation is forgotten, now and once more when the reply that is being made is over.
    fn forget_computed(&self, live: &Live) {
        if !live.line.is_empty() {
            live.make_stale();
        }
        let ConversationId(id) = live.lock().id;
        self.generator.forget(id);
    }

    fn conversations_of(&self, server: ServerId) -> Vec<Arc<Live>> {
        let there = self.conversations.iter().filter(|live| live.place.server == Some(server));
        there.map(|live| Arc::clone(&*live)).collect()
    }
}
