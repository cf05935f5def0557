//! A conversation in which somebody may be speaking right now: its line and its pace.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::line::Line;
use crate::chat::history::{Conversation, ConversationId, Speaker, Turn, TurnKind};
use crate::chat::reply::{Manner, Reply, ReplyAction};
use crate::chat::{ChannelId, MessageId};
use crate::persona::Persona;
use crate::store::Store;

/// Most of its own notices that the bot remembers in a conversation.
const NOTICES_MAX: usize = 32;

/// A conversation that somebody may be speaking in right now.
pub(super) struct Live {
    /// In the version in which it speaks next.
    persona: Mutex<Arc<Persona>>,
    state: Mutex<Conversation>,
    /// The messages that wait to be answered here.
    pub(super) line: Arc<Line>,
    /// When something may next be shown here: the pace is the channel's, not the reply's.
    next_edit: Mutex<Instant>,
    /// The last messages in which the bot spoke for itself.
    notices: Mutex<VecDeque<MessageId>>,
    /// Number of the last message that was taken in here; the least of all is the longest unused.
    last_used: AtomicU64,
    memory: Option<Memory>,
}

/// Where a conversation is written down.
pub(super) struct Memory {
    pub(super) store: Store,
    /// The channel that points to it.
    pub(super) channel: ChannelId,
    /// One who writes at a time, so that nothing older is written over it.
    writing: tokio::sync::Mutex<()>,
    /// Whether the channel is gone, and nothing of it may be written any more.
    gone: AtomicBool,
}

impl Memory {
    pub(super) fn new(store: Store, channel: ChannelId) -> Self {
        Self { store, channel, writing: tokio::sync::Mutex::default(), gone: AtomicBool::new(false) }
    }

    /// Deletes what was written down, for good.
    pub(super) async fn erase(&self) {
        self.gone.store(true, Ordering::Relaxed);
        let _one_at_a_time = self.writing.lock().await;
        if let Err(error) = self.store.forget_channel(self.channel).await {
            tracing::error!("the conversation of a channel that is gone could not be deleted: {error}");
        }
    }
}

impl Live {
    /// An empty conversation with this persona.
    pub(super) fn new(id: ConversationId, seed: u64, persona: Arc<Persona>, memory: Option<Memory>) -> Self {
        let created = now();
        let conversation = Conversation::new(id, seed, created, speaker(&persona), persona.char_name());
        Self::restore(conversation, persona, memory)
    }

    /// A conversation that was written down, with the persona that speaks in it from now on.
    pub(super) fn restore(conversation: Conversation, persona: Arc<Persona>, memory: Option<Memory>) -> Self {
        Self {
            persona: Mutex::new(persona),
            state: Mutex::new(conversation),
            line: Arc::default(),
            next_edit: Mutex::new(Instant::now()),
            notices: Mutex::default(),
            last_used: AtomicU64::new(0),
            memory,
        }
    }

    /// Writes down what has changed. What cannot be written now is written the next time.
    pub(super) async fn save(&self) {
        let Some(Memory { store, channel, writing, gone }) = &self.memory else {
            drop(self.lock().take_changes());
            return;
        };
        let _one_at_a_time = writing.lock().await;
        if gone.load(Ordering::Relaxed) {
            return;
        }
        let changes = self.lock().take_changes();
        if changes.is_empty() {
            return;
        }
        if let Err(error) = store.write(*channel, &changes).await {
            tracing::error!("what was said could not be written down, and will be tried again: {error}");
            self.lock().give_back(&changes);
        }
    }

    /// The channel is gone, and with it what was written down.
    pub(super) async fn erase(&self) {
        if let Some(memory) = &self.memory {
            memory.erase().await;
        }
    }

    /// A message with this number was taken in here.
    pub(super) fn used(&self, number: u64) {
        self.last_used.store(number, Ordering::Relaxed);
    }

    /// Number of the last message that was taken in here.
    pub(super) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Conversation> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the reply has to do now, if the channel's pace allows it; showing something takes the channel's turn.
    pub(super) fn due(&self, reply: &mut Reply, manner: Manner) -> Option<ReplyAction> {
        let now = Instant::now();
        let mut next_edit = self.next_edit.lock().unwrap_or_else(PoisonError::into_inner);
        reply.not_before(next_edit.into_std());
        let action = reply.due(now.into_std());
        if action.as_ref().is_some_and(|action| *action != ReplyAction::Typing) {
            *next_edit = now + manner.between_edits;
        }
        action
    }

    /// Something has been shown: the pace counts from here, not from the asking.
    pub(super) fn shown(&self, manner: Manner) {
        let mut next_edit = self.next_edit.lock().unwrap_or_else(PoisonError::into_inner);
        *next_edit = Instant::now() + manner.between_edits;
    }

    /// The bot has spoken for itself in this message.
    pub(super) fn noticed(&self, message: MessageId) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.truncate(NOTICES_MAX - 1);
        notices.push_front(message);
    }

    /// Whether the bot posted the message here, as its persona or for itself.
    pub(super) fn posted(&self, message: MessageId) -> bool {
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let persona = |turn: &Turn| turn.kind == TurnKind::Persona;
        notices.contains(&message) || self.lock().turn_of(message).is_some_and(persona)
    }

    /// Who speaks here.
    pub(super) fn persona(&self) -> Arc<Persona> {
        Arc::clone(&self.persona.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// If it is this persona that speaks here, then from the next reply on in this version.
    pub(super) fn adopt(&self, persona: &Arc<Persona>) {
        let mut current = self.persona.lock().unwrap_or_else(PoisonError::into_inner);
        if current.id == persona.id {
            *current = Arc::clone(persona);
            drop(current);
            let mut conversation = self.lock();
            conversation.name_of(&speaker(persona), persona.char_name());
            conversation.cut.examples_dropped = 0;
        }
    }
}

/// The time, in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The persona as a speaker.
pub(super) fn speaker(persona: &Persona) -> Speaker {
    Speaker::Persona { id: persona.id.clone(), version: persona.version.clone() }
}
