//! Which conversations are at hand: they are found, read, begun and dropped here.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use super::Assistant;
use super::live::{Live, Memory, TAKEN_MAX, Weight};
use crate::chat::addressing::Incoming;
use crate::chat::history::{Conversation, ConversationId};
use crate::chat::{ChannelId, MessageId, Place, sanitize};
use crate::persona::Persona;

/// Most of the conversations that are at hand; beyond it those that were unused for the longest time are dropped. Where
/// nothing is written down they are lost then.
#[derive(Debug, Clone, Copy)]
pub struct AtHand {
    /// How many.
    pub conversations: usize,
    /// Memory that they take, about, in bytes.
    pub bytes: usize,
}

impl Default for AtHand {
    fn default() -> Self {
        Self { conversations: 10_000, bytes: 256 << 20 }
    }
}

/// What is written down of a channel.
struct Stored {
    conversation: Option<Conversation>,
    /// The last messages that were taken in, newest first.
    taken: Vec<MessageId>,
}

impl Assistant {
    /// Has the conversation of a channel at hand that was written down. To be called before a message is taken in there.
    pub async fn recall(&self, place: Place) {
        self.bring(place).await;
    }

    /// The conversation of a channel, read from where it is written down when it is not at hand. What the last process has left
    /// undone in it is given up: nobody could find out what the channel shows.
    pub(super) async fn bring(&self, place: Place) -> Option<Arc<Live>> {
        let is_undone = self.undone.contains_key(&place.channel);
        self.load(place, is_undone).await
    }

    pub(super) async fn load(&self, place: Place, interrupted: bool) -> Option<Arc<Live>> {
        if let Some(live) = self.live_in(place.channel) {
            return Some(live);
        }
        self.learn_for(place).await;
        // Nobody forgets anything of it between the reading and its being at hand.
        let _nobody_forgets = self.forgetting.read().await;
        let stored = self.read(place.channel).await?;
        let mut conversation = stored.conversation?;
        let interrupted =
            interrupted && conversation.interrupt(|message| self.running.contains_key(&message));
        let live = self.put(place, conversation, stored.taken);
        if interrupted {
            live.save().await;
        }
        Some(live)
    }

    /// Reads what is written down of a channel; nothing when that fails.
    async fn read(&self, channel: ChannelId) -> Option<Stored> {
        let store = self.store.as_ref().filter(|_| !self.unreadable.contains(&channel))?;
        let most = u32::try_from(TAKEN_MAX).unwrap_or(u32::MAX);
        let read = async {
            let conversation = store.conversation_in(channel).await?;
            let requests = store.requests_in(channel, most).await?;
            Ok(Stored { conversation, taken: requests.into_iter().map(|(message, _)| message).collect() })
        };
        match read.await {
            Ok(stored) => Some(stored),
            Err::<_, crate::store::StoreError>(error) => {
                tracing::error!(
                    "a conversation could not be read; a new one goes on in its place until mummer starts again: {error}"
                );
                self.unreadable.insert(channel);
                None
            }
        }
    }

    /// Puts a conversation at hand that was written down, unless its channel has one by now.
    pub(super) fn put(&self, place: Place, conversation: Conversation, taken: Vec<MessageId>) -> Arc<Live> {
        let _one_at_a_time = self.taking_in();
        if let Some(live) = self.live_in(place.channel) {
            return live;
        }
        self.make_room(None);
        let id = conversation.id;
        let persona = self.lead_of(place, &conversation);
        let live = self.restored(place, conversation, &persona);
        live.took(taken);
        self.keep(id, Arc::new(live))
    }

    /// A conversation of a place as it was written down, with the persona that speaks in it from now on.
    pub(super) fn restored(&self, place: Place, conversation: Conversation, persona: &Arc<Persona>) -> Live {
        let weight = Weight::new(Arc::clone(&self.weight));
        let memory = self.memory(place.channel);
        let live = Live::restore(conversation, Arc::clone(persona), place, weight, memory);
        // It may have become another version since.
        live.adopt(persona);
        live
    }

    /// The conversation that a channel points to, when it is at hand.
    pub(super) fn live_in(&self, channel: ChannelId) -> Option<Arc<Live>> {
        let id = *self.channels.get(&channel)?;
        self.conversations.get(&id).map(|live| Arc::clone(&*live))
    }

    /// Whether it is this conversation that is at hand, and not another reading of it, or none.
    pub(super) fn is_at_hand(&self, live: &Live) -> bool {
        let id = live.lock().id;
        self.conversations.get(&id).is_some_and(|there| std::ptr::eq(&raw const **there, live))
    }

    /// Whether the bot posted the message in that channel.
    pub(super) fn said_here(&self, channel: ChannelId, message: MessageId) -> bool {
        self.live_in(channel).is_some_and(|live| live.posted(message))
    }

    /// The conversation that the message's channel points to; a new one when it points to none. Whoever calls takes in one
    /// at a time.
    pub(super) fn conversation_of(&self, incoming: &Incoming) -> Arc<Live> {
        let place = Place::from(incoming);
        if let Some(live) = self.live_in(place.channel) {
            live.used(self.next_use.fetch_add(1, Ordering::Relaxed));
            self.make_room(Some(place.channel));
            return live;
        }
        self.make_room(None);
        let id = self.new_conversation();
        let live = self.begin(id, self.persona_of(place), place, self.memory(place.channel));
        if incoming.server.is_none() {
            // Where two are alone, the persona's texts speak of the one who is there.
            live.lock().user = Some(sanitize::name(&incoming.author.name));
        }
        self.keep(id, Arc::new(live))
    }

    pub(super) fn new_conversation(&self) -> ConversationId {
        match &self.store {
            Some(store) => store.new_conversation(),
            None => ConversationId(self.next_conversation.fetch_add(1, Ordering::Relaxed)),
        }
    }

    pub(super) fn begin(
        &self,
        id: ConversationId,
        persona: Arc<Persona>,
        place: Place,
        memory: Option<Memory>,
    ) -> Live {
        let seed = self.settings.seed.unwrap_or_else(|| ChaCha8Rng::from_os_rng().next_u64());
        Live::new(id, seed, persona, place, Weight::new(Arc::clone(&self.weight)), memory)
    }

    pub(super) fn keep(&self, id: ConversationId, live: Arc<Live>) -> Arc<Live> {
        let channel = live.place.channel;
        live.used(self.next_use.fetch_add(1, Ordering::Relaxed));
        self.conversations.insert(id, Arc::clone(&live));
        self.channels.insert(channel, id);
        live
    }

    /// Drops the conversations that were unused for the longest time, but for the one that is about to be used, when there are
    /// too many or they take too much memory: so many at once that this is seldom, and so few that the generator can forget
    /// each of them by itself.
    fn make_room(&self, needed: Option<ChannelId>) {
        let most = self.settings.at_hand;
        let (mut number, mut bytes) = (self.conversations.len(), self.weight.load(Ordering::Relaxed));
        if number < most.conversations && bytes < most.bytes {
            return;
        }
        let idle = self.conversations.iter().filter(|live| {
            Some(live.place.channel) != needed && live.line.is_empty() && live.lock().is_written()
        });
        let mut idle: Vec<(u64, usize, ChannelId)> =
            idle.map(|live| (live.last_used(), live.weight(), live.place.channel)).collect();
        idle.sort_unstable();
        for (_, weight, channel) in idle {
            if number < most.conversations - most.conversations / 32 && bytes < most.bytes - most.bytes / 32 {
                break;
            }
            self.drop_conversation_in(channel);
            self.hinted.remove(&channel);
            number -= 1;
            bytes = bytes.saturating_sub(weight);
        }
    }

    /// Forgets the conversation that a channel points to, here and in the generator.
    pub(super) fn drop_conversation_in(&self, channel: ChannelId) -> Option<Arc<Live>> {
        let (_, id) = self.channels.remove(&channel)?;
        let live = self.conversations.remove(&id).map(|(_, live)| live);
        if let Some(live) = &live {
            // Nor is anything of it summed up any more.
            live.line.disturb();
        }
        self.generator.forget(id.0);
        live
    }

    /// Where the conversation of a channel is written down.
    pub(super) fn memory(&self, channel: ChannelId) -> Option<Memory> {
        if self.unreadable.contains(&channel) {
            return None;
        }
        self.store.clone().map(Memory::new)
    }
}
