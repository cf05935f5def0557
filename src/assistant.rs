//! The conductor: a message comes in, a prompt goes to the generator, a reply goes out. It owns the live
//! conversations and sees to it that each of them has one reply at a time. It knows neither Discord nor models.

mod answer;
mod delivering;
mod line;
mod live;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use dashmap::{DashMap, DashSet, Entry};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::chat::addressing::{Incoming, is_addressed};
use crate::chat::budget::{self, Room, TooLong};
use crate::chat::history::{Conversation, ConversationId, Turn};
use crate::chat::reply::{Manner, ReplyAction};
use crate::chat::{ChannelId, MemberId, MessageId, sanitize};
use crate::generation::Generator;
use crate::persona::{Persona, SamplingWish};
use crate::store::Store;

pub use answer::Accepted;
use live::{Live, Memory};

/// Most conversations that are kept; beyond it the one that was unused for the longest time is dropped.
const CONVERSATIONS_MAX: usize = 10_000;

/// How long running answers may take to show what they have when the program ends.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// What the assistant is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How replies are sampled where the persona does not say it.
    pub sampling: SamplingWish,
    /// How replies are shown.
    pub manner: Manner,
    /// Most messages that wait for a reply in one conversation.
    pub queue_per_conversation: usize,
    /// Whether messages that do not mention the bot can be read.
    pub reads_everything: bool,
    /// Seed of everything random; `None` draws one for each conversation.
    pub seed: Option<u64>,
}

/// Who answers where.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Who answers where no other persona is set.
    pub default: Arc<Persona>,
    /// Who answers in these channels and their threads.
    pub channels: BTreeMap<ChannelId, Arc<Persona>>,
}

/// A persona that alone takes more tokens than there is room for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the persona {persona} alone takes {have} tokens, and this model has room for {room} beside the reply: choose a \
     model with a longer context, a shorter persona, or a lower sampling.max_tokens"
)]
pub struct Misfit {
    /// Its name.
    pub persona: String,
    /// Tokens of the smallest prompt.
    pub have: usize,
    /// Tokens that a prompt may have.
    pub room: usize,
}

/// Carries out what a reply asks for.
pub trait Outlet: Send {
    /// Carries out one action.
    fn act(&mut self, action: ReplyAction) -> impl Future<Output = Delivery> + Send;
}

/// What became of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is done.
    Done,
    /// A new message is there.
    Sent(MessageId),
    /// It could not be done, in spite of all tries.
    Failed,
    /// The place is gone, or nothing may be said there any more.
    Gone,
}

/// The conductor.
pub struct Assistant {
    generator: Arc<dyn Generator>,
    settings: Settings,
    /// Where conversations are written down; without it they end with the process.
    store: Option<Store>,
    cast: RwLock<Cast>,
    conversations: DashMap<ConversationId, Arc<Live>>,
    channels: DashMap<ChannelId, ConversationId>,
    /// The messages that are being answered.
    running: DashMap<MessageId, Running>,
    /// Channels in which the bot has said that it cannot read everything.
    hinted: DashSet<ChannelId>,
    /// Channels whose conversations are written down and could not be read: nothing is written over them.
    unreadable: DashSet<ChannelId>,
    taking_in: Mutex<()>,
    next_conversation: AtomicU64,
    next_request: AtomicU64,
    next_use: AtomicU64,
    closing: CancellationToken,
    answers: TaskTracker,
}

/// A message that is being answered: where, and what stops it.
struct Running {
    channel: ChannelId,
    parent: Option<ChannelId>,
    stop: CancellationToken,
}

impl Assistant {
    /// An assistant that knows the conversations of the store, or none.
    #[must_use]
    pub fn new(
        generator: Arc<dyn Generator>,
        cast: Cast,
        settings: Settings,
        store: Option<Store>,
    ) -> Arc<Self> {
        Arc::new(Self {
            generator,
            settings,
            store,
            cast: RwLock::new(cast),
            conversations: DashMap::new(),
            channels: DashMap::new(),
            running: DashMap::new(),
            hinted: DashSet::new(),
            unreadable: DashSet::new(),
            taking_in: Mutex::new(()),
            next_conversation: AtomicU64::new(1),
            next_request: AtomicU64::new(1),
            next_use: AtomicU64::new(1),
            closing: CancellationToken::new(),
            answers: TaskTracker::new(),
        })
    }

    /// Has the conversation of a message's channel at hand that was written down, where the message may concern it. To be
    /// called before the message is taken in.
    pub async fn recall(&self, incoming: &Incoming) {
        let channel = incoming.channel;
        let Some(store) = &self.store else { return };
        let concerns = incoming.mentions_bot || incoming.server.is_none() || incoming.reply_to.is_some();
        if !concerns || self.channels.contains_key(&channel) {
            return;
        }
        let conversation = match store.conversation_in(channel).await {
            Ok(Some(conversation)) => conversation,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(
                    "a conversation could not be read; a new one goes on in its place until mummer starts again: {error}"
                );
                self.unreadable.insert(channel);
                return;
            }
        };
        let _one_at_a_time = self.taking_in.lock().unwrap_or_else(PoisonError::into_inner);
        if self.channels.contains_key(&channel) {
            return;
        }
        self.make_room();
        let id = conversation.id;
        let persona = self.persona_of(channel, incoming.parent);
        let live = Live::restore(conversation, Arc::clone(&persona), self.memory(channel));
        // It may have become another version since.
        live.adopt(&persona);
        live.used(self.next_use.fetch_add(1, Ordering::Relaxed));
        self.conversations.insert(id, Arc::new(live));
        self.channels.insert(channel, id);
    }

    /// Takes a message in, if it is addressed to the bot and was not taken before. Its place in the conversation is
    /// decided by the order of these calls; the answer is made by [`Accepted::answer`].
    pub fn accept(self: &Arc<Self>, incoming: Incoming) -> Option<Accepted> {
        let is_ours = |message| self.said_here(incoming.channel, message);
        if self.closing.is_cancelled() || !is_addressed(&incoming, is_ours) {
            return None;
        }
        // So that two first messages of a channel do not begin two conversations, and none is dropped that is about
        // to be spoken in.
        let _one_at_a_time = self.taking_in.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.conversation_of(&incoming);
        let taken_before = |turn: &Turn| turn.trigger == Some(incoming.message);
        if live.lock().turns().iter().any(taken_before) {
            return None;
        }
        let stop = CancellationToken::new();
        match self.running.entry(incoming.message) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(vacant) => vacant.insert(Running {
                channel: incoming.channel,
                parent: incoming.parent,
                stop: stop.clone(),
            }),
        };
        let place = live.line.take(incoming.author.id, self.settings.queue_per_conversation);
        let assistant = Arc::clone(self);
        let registration =
            Registration { assistant, live, message: incoming.message, _token: self.answers.token() };
        Some(Accepted { registration, incoming, stop, place })
    }

    /// A message was deleted: an answer to it stops.
    pub fn message_deleted(&self, message: MessageId) {
        if let Some(running) = self.running.get(&message) {
            running.stop.cancel();
        }
    }

    /// A channel is gone: all answers in it and in its threads stop, and its conversation is dropped.
    pub fn channel_gone(&self, channel: ChannelId) {
        let _one_at_a_time = self.taking_in.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = |running: &Running| running.channel == channel || running.parent == Some(channel);
        for running in self.running.iter().filter(|running| is_there(running)) {
            running.stop.cancel();
        }
        self.hinted.remove(&channel);
        let known = self.channels.remove(&channel).map(|(_, id)| id);
        let live = known.and_then(|id| self.conversations.get(&id).map(|live| Arc::clone(&*live)));
        if let Some(id) = known {
            self.drop_conversation(id);
        }
        if let Some(memory) = self.memory(channel) {
            // The event is not kept waiting by it, and the end of the program is.
            self.answers.spawn(async move {
                match live {
                    Some(live) => live.erase().await,
                    None => memory.erase().await,
                }
            });
        }
    }

    /// The conversation that a channel points to, as it stands.
    #[must_use]
    pub fn conversation(&self, channel: ChannelId) -> Option<Conversation> {
        let id = *self.channels.get(&channel)?;
        let live = Arc::clone(&*self.conversations.get(&id)?);
        let conversation = live.lock().clone();
        Some(conversation)
    }

    /// The first of the personas that leaves no room for a conversation in the model's context.
    #[must_use]
    pub fn misfit(&self) -> Option<Misfit> {
        let cast = self.cast.read().unwrap_or_else(PoisonError::into_inner).clone();
        std::iter::once(&cast.default)
            .chain(cast.channels.values())
            .find_map(|persona| self.fits(persona).err())
    }

    /// Whoever plays this persona plays it in this version from the next reply on.
    ///
    /// # Errors
    /// [`Misfit`] when it leaves no room for a conversation; then everybody stays with the version that they have.
    pub fn adopt(&self, persona: &Arc<Persona>) -> Result<(), Misfit> {
        self.fits(persona)?;
        // A conversation that begins now begins with it too.
        let _one_at_a_time = self.taking_in.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut cast = self.cast.write().unwrap_or_else(PoisonError::into_inner);
            let Cast { default, channels } = &mut *cast;
            for known in channels.values_mut().chain([default]).filter(|known| known.id == persona.id) {
                *known = Arc::clone(persona);
            }
        }
        for live in &self.conversations {
            live.adopt(persona);
        }
        Ok(())
    }

    fn fits(&self, persona: &Arc<Persona>) -> Result<(), Misfit> {
        let live = self.begin(ConversationId(0), Arc::clone(persona), None);
        let mut conversation = live.lock();
        let greeting = conversation.hear(MemberId(0), "Somebody", "Hello.", None);
        let room = self.room(persona);
        let count = |prompt: &_| self.generator.count(prompt).tokens();
        let fitted = budget::fit(persona, &mut conversation, "", room.prompt, greeting, count);
        let persona = || persona.card.name.clone();
        fitted.map(drop).map_err(|TooLong { have, room }| Misfit { persona: persona(), have, room })
    }

    /// How the model's context is shared between prompt and reply.
    fn room(&self, persona: &Persona) -> Room {
        let wish = persona.card.sampling.or(self.settings.sampling);
        Room::in_context(self.generator.info().context_length, wish.max_tokens)
    }

    /// Takes nothing more in, lets running answers show what they have, and waits for them, but not for ever.
    pub async fn close(&self) {
        self.closing.cancel();
        self.answers.close();
        if tokio::time::timeout(CLOSING_TIME, self.answers.wait()).await.is_err() {
            tracing::warn!(
                answers = self.answers.len(),
                "some answers could not be brought to an end in time"
            );
        }
    }

    /// Whether the bot posted the message in that channel.
    fn said_here(&self, channel: ChannelId, message: MessageId) -> bool {
        let id = self.channels.get(&channel).map(|id| *id);
        let live = id.and_then(|id| self.conversations.get(&id).map(|live| Arc::clone(&*live)));
        live.is_some_and(|live| live.posted(message))
    }

    /// The conversation that the message's channel points to; a new one when it points to none.
    fn conversation_of(&self, incoming: &Incoming) -> Arc<Live> {
        let channel = incoming.channel;
        let known = self.channels.get(&channel).map(|id| *id);
        let live = known.and_then(|id| self.conversations.get(&id).map(|live| Arc::clone(&*live)));
        let live = live.unwrap_or_else(|| {
            self.make_room();
            let id = match &self.store {
                Some(store) => store.new_conversation(),
                None => ConversationId(self.next_conversation.fetch_add(1, Ordering::Relaxed)),
            };
            let live = self.begin(id, self.persona_of(channel, incoming.parent), self.memory(channel));
            if incoming.server.is_none() {
                // Where two are alone, the persona's texts speak of the one who is there.
                live.lock().user = Some(sanitize::name(&incoming.author.name));
            }
            let live = Arc::new(live);
            self.conversations.insert(id, Arc::clone(&live));
            self.channels.insert(channel, id);
            live
        });
        live.used(self.next_use.fetch_add(1, Ordering::Relaxed));
        live
    }

    /// Drops the conversation that was unused for the longest time, when there are too many.
    fn make_room(&self) {
        if self.conversations.len() < CONVERSATIONS_MAX {
            return;
        }
        let idle = self.conversations.iter().filter(|live| live.line.is_empty());
        let oldest = idle.min_by_key(|live| live.last_used()).map(|live| *live.key());
        if let Some(id) = oldest {
            self.drop_conversation(id);
            self.channels.retain(|channel, current| {
                let stays = *current != id;
                if !stays {
                    self.hinted.remove(channel);
                }
                stays
            });
        }
    }

    /// Forgets a conversation, here and in the generator.
    fn drop_conversation(&self, id: ConversationId) {
        self.conversations.remove(&id);
        self.generator.forget(id.0);
    }

    fn persona_of(&self, channel: ChannelId, parent: Option<ChannelId>) -> Arc<Persona> {
        let cast = self.cast.read().unwrap_or_else(PoisonError::into_inner);
        let own = cast.channels.get(&channel).or_else(|| cast.channels.get(&parent?));
        Arc::clone(own.unwrap_or(&cast.default))
    }

    /// Where the conversation of a channel is written down.
    fn memory(&self, channel: ChannelId) -> Option<Memory> {
        if self.unreadable.contains(&channel) {
            return None;
        }
        self.store.clone().map(|store| Memory::new(store, channel))
    }

    fn begin(&self, id: ConversationId, persona: Arc<Persona>, memory: Option<Memory>) -> Live {
        let seed = self.settings.seed.unwrap_or_else(|| ChaCha8Rng::from_os_rng().next_u64());
        Live::new(id, seed, persona, memory)
    }
}

/// A message that is being answered. Dropping this ends that.
struct Registration {
    assistant: Arc<Assistant>,
    live: Arc<Live>,
    message: MessageId,
    _token: TaskTrackerToken,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.assistant.running.remove(&self.message);
    }
}
