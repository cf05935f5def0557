//! Branches: what was said up to a line goes on somewhere else too, as a conversation of its own. Deletions and changes at the source
//! are followed there.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use super::Assistant;
use super::following::Change;
use super::limits::{Share, TooMuch};
use super::live::{Live, now};
use super::rewriting::Hand;
use crate::chat::history::{Conversation, ConversationId, TurnId, TurnKind};
use crate::chat::request::Asked;
use crate::chat::text::{Lines, Text};
use crate::chat::{ChannelId, MemberId, MessageId, Place};
use crate::store::{Store, StoreError};

/// What is to go on somewhere else: everything up to a line. It is copied when there is a place for it, as it is then.
pub struct Branch {
    source: ConversationId,
    line: TurnId,
    host: MemberId,
    /// When they have asked for it, in seconds since 1970.
    at: u64,
    /// The title of the scene, or whose persona speaks.
    pub title: String,
    /// Who has said the line, and what, when a persona has. What members say they can take back where they have said it.
    pub last: Option<(String, String)>,
    /// It counts as being answered.
    _share: Share,
}

/// Why a branch does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Unplanted {
    /// The line is not what it was; this is said instead.
    #[error("the line is not there, or is being said")]
    Gone(Lines),
    /// It could not be read or written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Assistant {
    /// What was said in a place up to the line in a message is to go on somewhere else, as somebody asks in an interaction with the
    /// number `id`, which counts as a request. Whoever calls has asked whether they may read here.
    ///
    /// # Errors
    /// What is said to them instead.
    pub async fn branch(
        &self,
        place: Place,
        message: MessageId,
        id: MessageId,
        hand: &Hand,
    ) -> Result<Branch, Text> {
        if self.store.is_none() {
            return Err(Lines::NotKept.into());
        }
        self.may_write(place, hand)?;
        let live = self.bring(place).await.ok_or(Lines::NoLine)?;
        let (source, turn, title) = {
            let conversation = live.lock();
            let turn = conversation.turn_of(message).cloned().ok_or(Lines::NoLine)?;
            (conversation.id, turn, conversation.scene().map(|scene| scene.title.clone()))
        };
        if turn.state.is_unfinished() || live.is_at_work_on(turn.id) {
            return Err(Lines::Unfinished.into());
        }
        let (server, member) = (place.server, hand.author.id);
        let at = now();
        let asked = Asked { message: id, channel: place.channel, server, member, at };
        let admitted = self.asking.admit(&self.limits_in(place), &asked, 0, self.steady_now());
        let share = admitted.map_err(|TooMuch(notice)| Text::TooMuch(notice))?;
        let last = (turn.kind == TurnKind::Persona).then(|| {
            let mut text = turn.shown().text.clone();
            self.drop_blocked(place, &mut text);
            (turn.name.clone(), text)
        });
        let speaker =
            || last.as_ref().map_or_else(|| live.persona().char_name().to_owned(), |(name, _)| name.clone());
        let title = title.unwrap_or_else(speaker);
        Ok(Branch { source, line: turn.id, host: member, at, title, last, _share: share })
    }

    /// Lets a branch go on in a place, which is new: what has begun there meanwhile gives way to it. When it is a scene, it has this
    /// channel for when the place is gone.
    ///
    /// # Errors
    /// [`Unplanted`]; then it does not go on there.
    pub async fn plant(
        &self,
        place: Place,
        home: Option<ChannelId>,
        branch: Branch,
    ) -> Result<(), Unplanted> {
        let Some(store) = &self.store else { return Err(Unplanted::Gone(Lines::NotKept)) };
        let _one_at_a_time = self.stagehand(place.channel).lock().await;
        let early = {
            // Nobody forgets anything of it between the copying and its being at hand.
            let _nobody_forgets = self.forgetting.read().await;
            // Nor does it become the scene of somebody who is forgotten.
            if self.is_unread(branch.host, branch.at) {
                return Err(Unplanted::Gone(Lines::NoLine));
            }
            let (mut conversation, messages) = self.copy(store, &branch).await?;
            if let Some(scene) = conversation.scene_mut() {
                scene.home = home;
            }
            store.begin_scene(place, &conversation.take_changes()).await?;
            // Who changes something from now on finds the copy; what was changed before that is known.
            if self.follow(&mut conversation, &messages) {
                store.write(place, &conversation.take_changes()).await?;
            }
            let persona = self.lead_of(place, &conversation);
            let live = Arc::new(self.restored(place, conversation, &persona));
            let early = self.live_in(place.channel);
            self.enter(place.channel, live);
            early
        };
        if let Some(early) = early {
            early.cease().await;
            self.still(&early).await;
        }
        Ok(())
    }

    /// What a branch has of its source, and the messages that show it there, each with that by which the branch knows it.
    async fn copy(
        &self,
        store: &Store,
        branch: &Branch,
    ) -> Result<(Conversation, Vec<(MessageId, MessageId)>), Unplanted> {
        let live = self.conversations.get(&branch.source).map(|live| Arc::clone(&*live));
        let is_at_work = live.as_ref().is_some_and(|live| live.is_at_work_on(branch.line));
        let source = match &live {
            Some(live) => Some(live.lock().clone()),
            None => store.conversation(branch.source).await?.map(|(_, conversation)| conversation),
        };
        let source = source.ok_or(Unplanted::Gone(Lines::NoLine))?;
        if is_at_work || source.turn(branch.line).is_some_and(|turn| turn.state.is_unfinished()) {
            return Err(Unplanted::Gone(Lines::Unfinished));
        }
        let id = self.new_conversation();
        let own = ChaCha8Rng::from_os_rng().next_u64();
        let seed = self.settings.seed.map_or(own, |seed| seed.wrapping_add(id.0));
        let copy = source.branch(id, seed, branch.line, branch.host).ok_or(Unplanted::Gone(Lines::NoLine))?;
        let until = source.turns().iter().filter(|turn| turn.id <= branch.line);
        let messages = until.flat_map(|turn| {
            let shown = turn.parts.iter().map(|part| part.message);
            let known = turn.parts.first().map(|part| part.message).or(turn.copy_of);
            shown.chain(turn.copy_of).zip(std::iter::repeat(known))
        });
        let messages = messages.filter_map(|(message, known)| Some((message, known?)));
        // What the bot itself deletes for another way to say it was said all the same.
        let is_replaced = |message| live.as_ref().is_some_and(|live| live.is_replaced(message));
        Ok((copy, messages.filter(|(message, _)| !is_replaced(*message)).collect()))
    }

    /// What has lately become of these messages becomes of their copies. Whether that changes anything.
    fn follow(&self, conversation: &mut Conversation, messages: &[(MessageId, MessageId)]) -> bool {
        let follow = |(message, copy): &(MessageId, MessageId)| match self.change_of(*message) {
            Some(Change::Deleted) => forget(conversation, *copy),
            Some(Change::Edited(text)) => restate(conversation, *copy, &text),
            None => false,
        };
        messages.iter().map(follow).fold(false, |any, one| any | one)
    }

    /// What a message said is gone: what conversations have of it to which no channel points now, and branches, goes too.
    pub(super) async fn forget_elsewhere(&self, message: MessageId) {
        self.change_elsewhere(message, |conversation| forget(conversation, message)).await;
    }

    /// The same when its author has changed what it says.
    pub(super) async fn restate_elsewhere(&self, message: MessageId, text: &str) {
        self.change_elsewhere(message, |conversation| restate(conversation, message, text)).await;
    }

    async fn change_elsewhere(&self, message: MessageId, change: impl Fn(&mut Conversation) -> bool) {
        let Some(store) = &self.store else { return };
        let changed = async {
            let there = store.shown_elsewhere(message).await?;
            if there.is_empty() {
                return Ok(());
            }
            // Nobody has one of them at hand that is read and changed here.
            let _nobody_reads = self.forgetting.write().await;
            for (id, _) in there {
                let live = self.conversations.get(&id).map(|live| Arc::clone(&*live));
                match live {
                    Some(live) => change_at_hand(&live, &change).await,
                    None => change_on_disk(store, id, &change).await?,
                }
                self.generator.forget(id.0);
            }
            Ok(())
        };
        if let Err::<(), StoreError>(error) = changed.await {
            tracing::error!("what is remembered of a message elsewhere could not be changed: {error}");
        }
    }
}

fn forget(conversation: &mut Conversation, message: MessageId) -> bool {
    let shown = conversation.unsay(message);
    conversation.forget_copy(message) || shown
}

/// A message says this now. Whether that changes anything.
pub(super) fn restate(conversation: &mut Conversation, message: MessageId, text: &str) -> bool {
    let said = conversation.said_in(text);
    // What is out of character now was not said.
    if said.is_empty() {
        return forget(conversation, message);
    }
    let shown = conversation.restate(message, &said);
    conversation.restate_copy(message, &said) || shown
}

async fn change_at_hand(live: &Live, change: impl Fn(&mut Conversation) -> bool) {
    let changed = change(&mut live.lock());
    if changed {
        live.save().await;
    }
}

async fn change_on_disk(
    store: &Store,
    id: ConversationId,
    change: impl Fn(&mut Conversation) -> bool,
) -> Result<(), StoreError> {
    let Some((place, mut conversation)) = store.conversation(id).await? else { return Ok(()) };
    if change(&mut conversation) {
        store.write(place, &conversation.take_changes()).await?;
    }
    Ok(())
}
