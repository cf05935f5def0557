//! Branches: what was said up to a line goes on somewhere else too, as a conversation of its own. Deletions and changes at the source
//! are followed there.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use super::Assistant;
use super::live::Live;
use super::rewriting::Hand;
use crate::chat::history::{Conversation, ConversationId};
use crate::chat::text::{Lines, Text};
use crate::chat::{MessageId, Place};
use crate::store::{Store, StoreError};

/// What was said up to a line, to go on somewhere else.
pub struct Branch {
    conversation: Conversation,
    /// Who has said the line.
    pub name: String,
    /// What it says.
    pub text: String,
    /// The title of the scene, when it is one.
    pub title: Option<String>,
}

impl Assistant {
    /// A copy of the conversation of a place up to the line in a message, which somebody wants to go on somewhere else. Whoever
    /// calls has asked whether they may read here.
    ///
    /// # Errors
    /// What is said to them instead.
    pub async fn branch(&self, place: Place, message: MessageId, hand: &Hand) -> Result<Branch, Text> {
        if self.store.is_none() {
            return Err(Lines::NotKept.into());
        }
        self.may_write(place, hand)?;
        let live = self.bring(place).await.ok_or(Lines::NoLine)?;
        let id = self.new_conversation();
        let own = ChaCha8Rng::from_os_rng().next_u64();
        let seed = self.settings.seed.map_or(own, |seed| seed.wrapping_add(id.0));
        let conversation = live.lock();
        let turn = conversation.turn_of(message).ok_or(Lines::NoLine)?;
        if turn.state.is_unfinished() || live.is_at_work_on(turn.id) {
            return Err(Lines::Unfinished.into());
        }
        let (name, mut text) = (turn.name.clone(), turn.shown().text.clone());
        let title = conversation.scene().map(|scene| scene.title.clone());
        let branch = conversation.branch(id, seed, turn.id, hand.author.id).ok_or(Lines::NoLine)?;
        self.drop_blocked(place, &mut text);
        Ok(Branch { conversation: branch, name, text, title })
    }

    /// Lets a branch go on in a place, which is new.
    ///
    /// # Errors
    /// A [`StoreError`]; then it does not go on there.
    pub async fn plant(&self, place: Place, branch: Branch) -> Result<(), StoreError> {
        let Branch { mut conversation, .. } = branch;
        let _nobody_forgets = self.forgetting.read().await;
        if let Some(store) = &self.store {
            store.begin_scene(place, &conversation.take_changes()).await?;
        }
        let state = conversation.scene().map(|scene| scene.state);
        self.put(place, conversation, Vec::new());
        if let Some(state) = state {
            self.scenes.insert(place.channel, state);
        }
        Ok(())
    }

    /// What a message said is gone: what conversations have of it to which no channel points now, and branches, goes too.
    pub(super) async fn forget_elsewhere(&self, message: MessageId) {
        self.change_elsewhere(message, |conversation| forget(conversation, message)).await;
    }

    /// The same when its author has changed what it says.
    pub(super) async fn restate_elsewhere(&self, message: MessageId, text: &str) {
        let restate = |conversation: &mut Conversation| {
            let said = conversation.said_in(text);
            // What is out of character now was not said.
            if said.is_empty() {
                return forget(conversation, message);
            }
            let shown = conversation.restate(message, &said);
            conversation.restate_copy(message, &said) || shown
        };
        self.change_elsewhere(message, restate).await;
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
