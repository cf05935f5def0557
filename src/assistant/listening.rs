//! What members say to each other where the bot listens: it goes into the history, so that the persona knows the scene when it
//! is asked, and it is not answered.

use std::sync::Arc;

use super::Assistant;
use super::following::Change;
use super::live::now;
use crate::chat::addressing::Incoming;
use crate::chat::{Place, sanitize};

impl Assistant {
    /// Hears what somebody says to others, where the admins want it, unless it is somebody who does not want to be read or is not
    /// to be answered. What is longer than messages may be is passed over.
    pub(super) fn overhear(self: &Arc<Self>, incoming: &Incoming) {
        let (place, author) = (Place::from(incoming), &incoming.author);
        let is_heard = !author.automated && self.listens_in(place) && !self.is_denied(place, author);
        if !is_heard || self.closing.is_cancelled() {
            return;
        }
        let is_too_long =
            |text: &str| self.limits_in(place).message_length.is_some_and(|most| text.chars().count() > most);
        let _one_at_a_time = self.taking_in();
        let live = self.conversation_of(incoming);
        if live.lock().scene().is_some() || !live.take(incoming.message) {
            return;
        }
        {
            // Whoever forgets or deletes it looks in here after that is known, so this sees it, or they find what was heard.
            let mut conversation = live.lock();
            let text = match self.change_of(incoming.message) {
                Some(Change::Deleted) => return,
                Some(Change::Edited(text)) => text,
                None => incoming.text.clone(),
            };
            if self.is_unread(author.id, incoming.posted) || sanitize::is_blank(&text) || is_too_long(&text) {
                return;
            }
            conversation.now = now();
            conversation.hear(author.id, &author.name, &text, Some(incoming.message));
        }
        // Whoever brings messages in does not wait for it, and the end of the program does.
        self.answers.spawn(async move { live.save().await });
    }
}
