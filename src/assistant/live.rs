//! A conversation in which somebody may be speaking right now: its line, its pace, and where it is written down.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::line::Line;
use crate::chat::addressing::Incoming;
use crate::chat::history::{Conversation, ConversationId, Cut, Speaker, Turn, TurnId, TurnKind};
use crate::chat::reply::{Manner, Reply, ReplyAction};
use crate::chat::{MemberId, MessageId, Place};
use crate::persona::Persona;
use crate::store::Store;

/// Most of its own notices that the bot remembers in a conversation.
const NOTICES_MAX: usize = 32;

/// So many of the last messages are known that the bot itself has deleted: twice as many as it deletes at once, and some.
const REPLACED_MAX: usize = 256;

/// So many of the last messages of the channel are known.
const NEWEST_MAX: usize = 16;

/// So many of the last messages are known to have been taken in, whatever became of them.
pub(super) const TAKEN_MAX: usize = 256;

/// A conversation that somebody may be speaking in right now.
pub(super) struct Live {
    /// In the version in which it speaks next.
    persona: Mutex<Arc<Persona>>,
    state: Mutex<Conversation>,
    /// Where it is shown.
    pub(super) place: Place,
    /// The messages that wait to be answered here.
    pub(super) line: Arc<Line>,
    /// When something may next be shown here: the pace is the channel's, not the reply's.
    next_edit: Mutex<Instant>,
    /// The last messages in which the bot spoke for itself.
    notices: Mutex<VecDeque<MessageId>>,
    /// The last messages that were taken in, newest first.
    taken: Mutex<VecDeque<MessageId>>,
    /// Messages of the reply that is being made which were deleted: they are taken out when it is over.
    deleted: Mutex<Vec<MessageId>>,
    /// The last messages that the bot itself has deleted, because another way to say it takes their place.
    replaced: Mutex<VecDeque<MessageId>>,
    /// The last messages that were posted in the channel, by anybody, and are there still, as far as it was heard of.
    newest: Mutex<VecDeque<MessageId>>,
    /// The turn that is being said, or said anew.
    at_work: Mutex<Option<TurnId>>,
    /// What is answered together, and waits for it.
    together: Mutex<Together>,
    /// Number of the last message that was taken in here; the least of all is the longest unused.
    last_used: AtomicU64,
    /// Whether what was computed of it must go, because somebody was forgotten.
    stale: AtomicBool,
    /// Held by whoever sums up what was cut.
    pub(super) summing_up: tokio::sync::Mutex<()>,
    /// Where the history was cut when that failed last; it is not tried again before the next cut.
    gave_up_at: AtomicU64,
    weight: Weight,
    memory: Option<Memory>,
}

/// The messages that are answered together.
struct Together {
    /// Those that wait for it.
    waiting: BTreeMap<MessageId, Incoming>,
    /// When the last of them came.
    last_came: Instant,
    /// Those that are being answered with another one, and whose they are.
    answered: BTreeMap<MessageId, MemberId>,
    /// That one, which has made the persona speak.
    trigger: Option<MessageId>,
    /// Whether the author of one of them is forgotten since.
    withdrawn: bool,
}

/// Memory that a conversation takes, about, in bytes, as a part of what all that are at hand take.
pub(super) struct Weight {
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
}

impl Weight {
    /// Nothing yet.
    pub(super) fn new(all: Arc<AtomicUsize>) -> Self {
        Self { own: AtomicUsize::new(0), all }
    }

    fn set(&self, bytes: usize) {
        let before = self.own.swap(bytes, Ordering::Relaxed);
        self.all.fetch_add(bytes, Ordering::Relaxed);
        self.all.fetch_sub(before, Ordering::Relaxed);
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Where a conversation is written down.
pub(super) struct Memory {
    store: Store,
    /// One who writes at a time, so that nothing older is written over it.
    writing: tokio::sync::Mutex<()>,
    /// Whether the channel is gone, and nothing of it may be written any more.
    gone: AtomicBool,
}

impl Memory {
    pub(super) fn new(store: Store) -> Self {
        Self { store, writing: tokio::sync::Mutex::default(), gone: AtomicBool::new(false) }
    }
}

impl Live {
    /// An empty conversation with this persona.
    pub(super) fn new(
        id: ConversationId,
        seed: u64,
        persona: Arc<Persona>,
        place: Place,
        weight: Weight,
        memory: Option<Memory>,
    ) -> Self {
        let created = now();
        let conversation = Conversation::new(id, seed, created, speaker(&persona), persona.char_name());
        Self::restore(conversation, persona, place, weight, memory)
    }

    /// A conversation that was written down, with the persona that speaks in it from now on.
    pub(super) fn restore(
        conversation: Conversation,
        persona: Arc<Persona>,
        place: Place,
        weight: Weight,
        memory: Option<Memory>,
    ) -> Self {
        weight.set(conversation.weight());
        Self {
            persona: Mutex::new(persona),
            state: Mutex::new(conversation),
            place,
            line: Arc::default(),
            next_edit: Mutex::new(Instant::now()),
            notices: Mutex::default(),
            taken: Mutex::default(),
            deleted: Mutex::default(),
            replaced: Mutex::default(),
            newest: Mutex::default(),
            at_work: Mutex::default(),
            together: Mutex::new(Together {
                waiting: BTreeMap::new(),
                last_came: Instant::now(),
                answered: BTreeMap::new(),
                trigger: None,
                withdrawn: false,
            }),
            last_used: AtomicU64::new(0),
            stale: AtomicBool::new(false),
            summing_up: tokio::sync::Mutex::default(),
            gave_up_at: AtomicU64::new(0),
            weight,
            memory,
        }
    }

    /// Writes down what has changed. What cannot be written now is written the next time. Whether it is written.
    pub(super) async fn save(&self) -> bool {
        self.weight.set(self.lock().weight());
        let Some(Memory { store, writing, gone }) = &self.memory else {
            drop(self.lock().take_changes());
            return true;
        };
        let _one_at_a_time = writing.lock().await;
        if gone.load(Ordering::Relaxed) {
            return true;
        }
        let changes = self.lock().take_changes();
        if changes.is_empty() {
            return true;
        }
        let written = store.write(self.place, &changes).await;
        if let Err(error) = &written {
            tracing::error!("what was said could not be written down, and will be tried again: {error}");
            self.lock().give_back(&changes);
        }
        written.is_ok()
    }

    /// Nothing is written down any more, from when this returns.
    pub(super) async fn cease(&self) {
        if let Some(Memory { writing, gone, .. }) = &self.memory {
            gone.store(true, Ordering::Relaxed);
            drop(writing.lock().await);
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

    /// Memory that it takes, about, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.weight.own.load(Ordering::Relaxed)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Conversation> {
        lock(&self.state)
    }

    /// What the reply has to do now, if the channel's pace allows it; showing something takes the channel's turn.
    pub(super) fn due(&self, reply: &mut Reply, manner: Manner) -> Option<ReplyAction> {
        let now = Instant::now();
        let mut next_edit = lock(&self.next_edit);
        reply.not_before(next_edit.into_std());
        let action = reply.due(now.into_std());
        let shows =
            |action: &ReplyAction| !matches!(action, ReplyAction::Typing | ReplyAction::Delete { .. });
        if action.as_ref().is_some_and(shows) {
            *next_edit = now + manner.between_edits;
        }
        action
    }

    /// Something has been shown: the pace counts from here, not from the asking.
    pub(super) fn shown(&self, manner: Manner) {
        *lock(&self.next_edit) = Instant::now() + manner.between_edits;
    }

    /// The bot has spoken for itself in this message.
    pub(super) fn noticed(&self, message: MessageId) {
        remember(&self.notices, message, NOTICES_MAX);
    }

    /// A message is taken in here. Whether it was not before.
    pub(super) fn take(&self, message: MessageId) -> bool {
        let taken_before = lock(&self.taken).contains(&message)
            || self.lock().turns().iter().any(|turn| turn.answers().any(|answered| answered == message));
        if !taken_before {
            remember(&self.taken, message, TAKEN_MAX);
        }
        !taken_before
    }

    /// These messages were taken in before; newest first.
    pub(super) fn took(&self, messages: impl IntoIterator<Item = MessageId>) {
        lock(&self.taken).extend(messages);
    }

    /// Whether the bot posted the message here, as its persona or for itself.
    pub(super) fn posted(&self, message: MessageId) -> bool {
        let persona = |turn: &Turn| turn.kind == TurnKind::Persona;
        lock(&self.notices).contains(&message) || self.lock().turn_of(message).is_some_and(persona)
    }

    /// This message of the reply that is being made is gone.
    pub(super) fn delete_later(&self, message: MessageId) {
        lock(&self.deleted).push(message);
    }

    /// The bot itself is about to delete a message that it has posted.
    pub(super) fn will_delete(&self, message: MessageId) {
        remember(&self.replaced, message, REPLACED_MAX);
    }

    /// It could not.
    pub(super) fn did_not_delete(&self, message: MessageId) {
        lock(&self.replaced).retain(|replaced| *replaced != message);
    }

    /// Whether the bot itself has deleted it, so that nothing follows from that.
    pub(super) fn is_replaced(&self, message: MessageId) -> bool {
        lock(&self.replaced).contains(&message)
    }

    /// Somebody has posted a message in the channel.
    pub(super) fn heard_of(&self, message: MessageId) {
        remember(&self.newest, message, NEWEST_MAX);
    }

    /// A message of the channel is gone.
    pub(super) fn heard_gone(&self, message: MessageId) {
        lock(&self.newest).retain(|heard| *heard != message);
    }

    /// Whether nothing was posted in the channel after a message, as far as it was heard of.
    pub(super) fn is_newest(&self, message: MessageId) -> bool {
        lock(&self.newest).iter().all(|heard| *heard <= message || self.is_replaced(*heard))
    }

    /// A message waits to be answered together with others.
    pub(super) fn wait_together(&self, incoming: Incoming) {
        let mut together = lock(&self.together);
        together.waiting.insert(incoming.message, incoming);
        together.last_came = Instant::now();
    }

    /// These messages wait again.
    pub(super) fn wait_again(&self, all: impl IntoIterator<Item = Incoming>) {
        let mut together = lock(&self.together);
        together.answered.clear();
        together.withdrawn = false;
        together.waiting.extend(all.into_iter().map(|incoming| (incoming.message, incoming)));
    }

    /// A message does not wait any more. What it says, if it did.
    pub(super) fn waits_no_more(&self, message: MessageId) -> Option<Incoming> {
        lock(&self.together).waiting.remove(&message)
    }

    /// Whether a message waits to be answered together with others.
    pub(super) fn waits_together(&self, message: MessageId) -> bool {
        lock(&self.together).waiting.contains_key(&message)
    }

    /// Whether anything of a member's waits to be answered together with others.
    pub(super) fn has_line_of(&self, member: MemberId) -> bool {
        lock(&self.together).waiting.values().any(|incoming| incoming.author.id == member)
    }

    /// What the last message that waits says, if any waits.
    pub(super) fn last_line(&self) -> Option<Incoming> {
        lock(&self.together).waiting.last_key_value().map(|(_, incoming)| incoming.clone())
    }

    /// All that wait to be answered together, in the order in which they were posted: they are answered with this one from now on.
    pub(super) fn gather_with(&self, trigger: MessageId) -> Vec<Incoming> {
        let mut together = lock(&self.together);
        let gathered = std::mem::take(&mut together.waiting);
        together.answered = gathered.iter().map(|(message, line)| (*message, line.author.id)).collect();
        together.trigger = Some(trigger);
        together.withdrawn = false;
        gathered.into_values().collect()
    }

    /// All that wait to be answered together, in the order in which they were posted; they wait no more.
    pub(super) fn gather(&self) -> Vec<Incoming> {
        std::mem::take(&mut lock(&self.together).waiting).into_values().collect()
    }

    /// The message with which this one is being answered.
    pub(super) fn answered_with(&self, message: MessageId) -> Option<MessageId> {
        let together = lock(&self.together);
        together.trigger.filter(|_| together.answered.contains_key(&message))
    }

    /// A member is forgotten: the message with which something of theirs is being answered, if anything is.
    pub(super) fn withdraw(&self, member: MemberId) -> Option<MessageId> {
        let mut together = lock(&self.together);
        let is_theirs = together.answered.values().any(|author| *author == member);
        together.withdrawn |= is_theirs;
        together.trigger.filter(|_| is_theirs)
    }

    /// Whether something is being answered whose author is forgotten.
    pub(super) fn is_withdrawn(&self) -> bool {
        lock(&self.together).withdrawn
    }

    /// When the last message came that waits to be answered together with others.
    pub(super) fn last_came(&self) -> Instant {
        lock(&self.together).last_came
    }

    /// This turn is being said.
    pub(super) fn work_on(&self, turn: TurnId) {
        *lock(&self.at_work) = Some(turn);
    }

    /// This turn is not being said any more.
    pub(super) fn done_with(&self, turn: TurnId) {
        let mut at_work = lock(&self.at_work);
        if *at_work == Some(turn) {
            *at_work = None;
        }
    }

    /// Whether this turn is being said.
    pub(super) fn is_at_work_on(&self, turn: TurnId) -> bool {
        *lock(&self.at_work) == Some(turn)
    }

    /// Takes out what was deleted while the reply was made.
    pub(super) fn delete_now(&self) {
        // The loop must not hold the one lock while it waits for the other.
        let deleted = std::mem::take(&mut *lock(&self.deleted));
        for message in deleted {
            self.lock().unsay(message);
        }
    }

    /// What was computed of it must go when the reply that is being made is over.
    pub(super) fn make_stale(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    /// Whether what was computed of it must go now.
    pub(super) fn is_stale(&self) -> bool {
        self.stale.swap(false, Ordering::Relaxed)
    }

    /// What was cut here could not be summed up.
    pub(super) fn give_up(&self, cut: Cut) {
        self.gave_up_at.store(cut.first_turn, Ordering::Relaxed);
    }

    /// Whether that was so at the same cut.
    pub(super) fn has_given_up(&self, cut: Cut) -> bool {
        self.gave_up_at.load(Ordering::Relaxed) == cut.first_turn
    }

    /// Who speaks here.
    pub(super) fn persona(&self) -> Arc<Persona> {
        Arc::clone(&lock(&self.persona))
    }

    /// From the next reply on this persona speaks here, in this version.
    pub(super) fn play(&self, persona: &Arc<Persona>) {
        let mut current = lock(&self.persona);
        if !Arc::ptr_eq(&current, persona) && *current != *persona {
            *current = Arc::clone(persona);
            drop(current);
            self.name_persona(persona);
        }
    }

    /// If it is this persona that speaks here, then from the next reply on in this version.
    pub(super) fn adopt(&self, persona: &Arc<Persona>) {
        let mut current = lock(&self.persona);
        if current.id == persona.id {
            *current = Arc::clone(persona);
            drop(current);
            self.name_persona(persona);
        }
    }

    /// Its name is taken by it, and all of its examples are there.
    fn name_persona(&self, persona: &Persona) {
        let mut conversation = self.lock();
        conversation.name_of(&speaker(persona), persona.char_name());
        conversation.renew_examples(&persona.id);
    }
}

/// Puts a message before the others, of which the last ones are forgotten.
fn remember(messages: &Mutex<VecDeque<MessageId>>, message: MessageId, most: usize) {
    let mut messages = lock(messages);
    messages.truncate(most - 1);
    messages.push_front(message);
}

/// A panic elsewhere leaves nothing half-written here, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time, in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The persona as a speaker.
pub(super) fn speaker(persona: &Persona) -> Speaker {
    Speaker::Persona { id: persona.id.clone(), version: persona.version.clone() }
}
