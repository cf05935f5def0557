//! What members do to answers and conversations: they stop them, ask where they stand, and begin anew.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Assistant;
use crate::chat::history::{ConversationId, Origin, Speaker, Turn};
use crate::chat::request::Standing;
use crate::chat::{ChannelId, MemberId, MessageId, Place};
use crate::generation::Queued;
use crate::persona::PersonaId;
use crate::store::StoreError;

/// How a reply was made.
#[derive(Debug, Clone)]
pub struct Told {
    /// As whom it was said.
    pub name: String,
    /// By which persona.
    pub persona: PersonaId,
    /// How.
    pub origin: Origin,
    /// The last of the messages that show it, if any do.
    pub shown_in: Option<MessageId>,
}

/// How far an answer is.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    step: Step,
    /// Who wants no more of it, though what it answers is still wanted.
    halted: Option<HaltedBy>,
}

/// Who wants no more of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HaltedBy {
    Asker,
    Moderator,
}

#[derive(Debug, Default)]
enum Step {
    /// It is taken in.
    #[default]
    Begun,
    /// It has this place in the line of its conversation.
    InLine(u64),
    /// It waits for the generator.
    Queued(Queued),
    /// It is being made.
    Answering,
}

impl Progress {
    /// It has this place in the line of its conversation.
    pub(super) fn in_line(&self, place: u64) {
        self.lock().step = Step::InLine(place);
    }

    /// It waits for the generator, and stands there.
    pub(super) fn queued(&self, queued: Queued) {
        self.lock().step = Step::Queued(queued);
    }

    /// It is being made.
    pub(super) fn answering(&self) {
        self.lock().step = Step::Answering;
    }

    /// Whether a member wants no more of it.
    pub(super) fn is_halted(&self) -> bool {
        self.lock().halted.is_some()
    }

    /// Whether it was somebody else than whoever asked.
    pub(super) fn is_halted_by_another(&self) -> bool {
        self.lock().halted == Some(HaltedBy::Moderator)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Assistant {
    /// Stops what is being answered in a channel, or waits there: of this member who wants it, or of everybody because a
    /// moderator does. How many answers that were not stopped before.
    pub fn stop(&self, channel: ChannelId, member: Option<MemberId>) -> usize {
        self.stop_those(|running| {
            let mut state = running.progress.lock();
            let is_meant = running.live.place.channel == channel
                && member.is_none_or(|member| running.is_of(member))
                && state.halted.is_none();
            if is_meant {
                state.halted = Some(member.map_or(HaltedBy::Moderator, |_| HaltedBy::Asker));
            }
            is_meant
        })
    }

    /// Stops what is being answered of one message, because a member has heard enough. Whether it was.
    pub(super) fn halt(&self, message: MessageId, member: MemberId) -> bool {
        let Some(running) = self.running.get(&message) else { return false };
        let by = if running.is_of(member) { HaltedBy::Asker } else { HaltedBy::Moderator };
        running.progress.lock().halted = Some(by);
        running.stop.cancel();
        true
    }

    /// What is being answered of a member, or waits, and where: oldest first.
    #[must_use]
    pub fn standings(&self, member: MemberId) -> Vec<(ChannelId, Standing)> {
        let theirs = self.running.iter().filter(|running| running.is_of(member));
        let mut standings: Vec<_> = theirs
            .map(|running| {
                let standing = match running.progress.lock().step {
                    Step::InLine(place) => Standing::InLine { ahead: running.live.line.ahead_of(place) },
                    Step::Queued(Queued { place, wait }) => Standing::Queued { ahead: place, wait },
                    Step::Begun | Step::Answering => Standing::Answering,
                };
                (*running.key(), running.live.place.channel, standing)
            })
            .collect();
        standings.sort_unstable_by_key(|(message, ..)| *message);
        standings.into_iter().map(|(_, channel, standing)| (channel, standing)).collect()
    }

    /// How a reply was made that is shown in a message, or the last one in the channel. `None` when it is no reply, or was not
    /// generated.
    pub async fn origin_of(&self, place: Place, message: Option<MessageId>) -> Option<Told> {
        let live = self.bring(place).await?;
        let conversation = live.lock();
        let generated = |turn: &&Turn| turn.shown().origin.is_some();
        let turn = match message {
            Some(message) => conversation.turn_of(message),
            None => conversation.turns().iter().rfind(generated),
        };
        let turn = turn?;
        let Speaker::Persona { id, .. } = &turn.speaker else { return None };
        Some(Told {
            name: turn.name.clone(),
            persona: id.clone(),
            origin: turn.shown().origin.clone()?,
            shown_in: turn.parts.last().map(|part| part.message),
        })
    }

    /// Whether nobody but this member has spoken in the conversation of a channel, or waits to be answered there. What cannot
    /// be read belongs to nobody alone.
    pub async fn is_theirs_alone(&self, place: Place, member: MemberId) -> bool {
        let live = self.bring(place).await;
        let others_wait = || {
            let mut there = self.running.iter().filter(|running| running.live.place.channel == place.channel);
            there.any(|running| running.member != member)
        };
        if self.unreadable.contains(&place.channel) || others_wait() {
            return false;
        }
        let Some(live) = live else { return true };
        let conversation = live.lock();
        if let Some(scene) = conversation.scene() {
            return scene.host == Some(member);
        }
        let of_another = |speaker: &Speaker| speaker.member().is_some_and(|other| other != member);
        !conversation.turns().iter().any(|turn| of_another(&turn.speaker))
    }

    /// Begins the conversation of a channel anew: what is being answered there stops, and what was said there is forgotten.
    /// Returns the message under which buttons stand, which mean nothing any more, and the webhook that has posted it.
    ///
    /// # Errors
    /// A [`StoreError`]; then what was said may come back with the next start.
    pub async fn reset(&self, place: Place) -> Result<Option<(MessageId, Option<u64>)>, StoreError> {
        let dressed = self.dressed.remove(&place.channel).is_some();
        let live = if dressed { self.bring(place).await } else { None };
        let row = live.and_then(|live| live.lock().row()?.parts.last().copied());
        let row = row.map(|part| (part.message, part.webhook));
        let _nobody_reads = self.forgetting.write().await;
        let dropped = {
            let _one_at_a_time = self.taking_in();
            self.stop_those(|running| running.live.place.channel == place.channel);
            self.scenes.remove(&place.channel);
            self.drop_conversation_in(place.channel)
        };
        if let Some(live) = dropped {
            live.cease().await;
        }
        if let Some(store) = &self.store {
            self.forget_computed_of(store.forget_current(place.channel).await?);
        }
        Ok(row)
    }

    /// Deletes what was written down of a channel, for good.
    pub(super) async fn erase(&self, channel: ChannelId) {
        let Some(store) = &self.store else { return };
        self.erased(store.forget_channel(channel).await);
    }

    /// Deletes what was written down of a channel's threads, for good.
    pub(super) async fn erase_threads(&self, parent: ChannelId) {
        let Some(store) = &self.store else { return };
        self.erased(store.forget_threads(parent).await);
    }

    fn erased(&self, forgotten: Result<Vec<ConversationId>, StoreError>) {
        match forgotten {
            Ok(conversations) => self.forget_computed_of(conversations),
            Err(error) => {
                tracing::error!("what was said in a channel that is gone could not be deleted: {error}");
            }
        }
    }

    fn forget_computed_of(&self, conversations: Vec<ConversationId>) {
        for ConversationId(id) in conversations {
            self.generator.forget(id);
        }
    }
}
