//! What members do to messages afterwards: they change and delete them, and the history follows.

use std::sync::PoisonError;

use super::Assistant;
use super::live::Live;
use crate::chat::{MessageId, Place, sanitize};

/// So many of the last changes are remembered.
const CHANGES_MAX: usize = 1_024;

/// What became of a message after it was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// It reads like this now.
    Edited(String),
    /// It is gone.
    Deleted,
}

impl Assistant {
    /// A message was deleted: an answer to it stops, and what it showed goes, here and wherever else that is remembered.
    pub async fn message_deleted(&self, place: Place, message: MessageId) {
        let origin = self.origin_in(place, message);
        self.unsay(place, message).await;
        // What the bot itself deletes, because another way to say it takes its place, was said all the same.
        if !self.live_in(place.channel).is_some_and(|live| live.is_replaced(message)) {
            self.forget_elsewhere(origin).await;
        }
    }

    /// The first message of what a message shows a part of, as far as that is at hand: branches know what was said by it.
    fn origin_in(&self, place: Place, message: MessageId) -> MessageId {
        let first = self.live_in(place.channel).and_then(|live| {
            let first = live.lock().turn_of(message)?.parts.first()?.message;
            Some(first)
        });
        first.unwrap_or(message)
    }

    async fn unsay(&self, place: Place, message: MessageId) {
        self.remember_change(message, Change::Deleted);
        if let Some(live) = self.live_in(place.channel) {
            live.heard_gone(message);
        }
        if let Some(running) = self.running.get(&message) {
            running.stop.cancel();
        }
        if !self.shows(place, message).await {
            return;
        }
        let Some(live) = self.bring(place).await else { return };
        if live.is_replaced(message) {
            return;
        }
        let trigger = live.lock().turn_of(message).and_then(|turn| turn.trigger);
        let being_made = trigger.filter(|&trigger| trigger != message);
        if let Some(running) = being_made.and_then(|trigger| self.running.get(&trigger)) {
            // What is left of it is known when it is over.
            live.delete_later(message);
            running.stop.cancel();
            return;
        }
        let changed = live.lock().unsay(message);
        if changed {
            live.save().await;
        }
        self.answer_anew(&live, message);
    }

    /// What is being answered together with another message says something else now: a reply of which nothing is shown begins again.
    pub(super) fn answer_anew(&self, live: &Live, message: MessageId) {
        if let Some(running) = live.answered_with(message).and_then(|trigger| self.running.get(&trigger)) {
            running.edit.send_modify(|_| ());
        }
    }

    /// A member has changed a message, which reads like this now: the turn changes, and a reply to it of which nothing is
    /// shown begins again.
    pub async fn message_edited(&self, place: Place, message: MessageId, text: String) {
        if sanitize::is_blank(&text) {
            // More likely the bot is not shown what it says.
            return;
        }
        self.remember_change(message, Change::Edited(text.clone()));
        if let Some(running) = self.running.get(&message) {
            running.edit.send_replace(Some(text.clone()));
        }
        if self.shows(place, message).await
            && let Some(live) = self.bring(place).await
        {
            let changed = {
                let mut conversation = live.lock();
                let said = conversation.said_in(&text);
                // What is out of character now was not said.
                if said.is_empty() {
                    conversation.unsay(message)
                } else {
                    conversation.restate(message, &said)
                }
            };
            if changed {
                live.save().await;
                self.answer_anew(&live, message);
            }
        }
        self.restate_elsewhere(message, &text).await;
    }

    /// What became of a message lately.
    pub(super) fn change_of(&self, message: MessageId) -> Option<Change> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.iter().find(|(changed, _)| *changed == message).map(|(_, change)| change.clone())
    }

    fn remember_change(&self, message: MessageId, change: Change) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        // A change that is heard of after the deletion was made before it.
        if !changes.contains(&(message, Change::Deleted)) {
            changes.truncate(CHANGES_MAX - 1);
            changes.push_front((message, change));
        }
    }

    /// Whether a message shows something that is remembered.
    async fn shows(&self, place: Place, message: MessageId) -> bool {
        if let Some(live) = self.live_in(place.channel) {
            return live.lock().turn_of(message).is_some();
        }
        let Some(store) = &self.store else { return false };
        match store.is_shown_in(place.channel, message).await {
            Ok(shown) => shown,
            Err(error) => {
                tracing::error!("whether a message is remembered could not be read: {error}");
                false
            }
        }
    }
}
