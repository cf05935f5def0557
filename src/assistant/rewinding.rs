//! A conversation is taken back to before a line: that line and all that came after it are forgotten.

use super::live::Live;
use super::rewriting::{Hand, rules};
use super::{Assistant, STOPPING_TIME};
use crate::chat::history::{Turn, TurnId};
use crate::chat::text::{Lines, Text};
use crate::chat::{MemberId, MessageId, Place};

impl Assistant {
    /// How many lines go when a conversation is taken back to before the one in a message, and the last of them, if somebody may do
    /// that: moderators, whoever has opened the scene, and others when all of it is theirs or was said to them.
    ///
    /// # Errors
    /// What is said to them instead.
    pub async fn would_go(
        &self,
        place: Place,
        message: MessageId,
        hand: &Hand,
    ) -> Result<(usize, TurnId), Text> {
        let live = self.bring(place).await.ok_or(Lines::NoLine)?;
        let going = self.going(&live, message, hand).await?;
        let last = *going.last().ok_or(Lines::NoLine)?;
        Ok((going.len(), last))
    }

    /// Takes a conversation back to before the line in a message: what is being answered there stops, and what was said from it on
    /// is forgotten, and returned. That is what they were asked about: nothing after the turn `last`.
    ///
    /// # Errors
    /// What is said to whoever wants it, and nothing has changed.
    pub async fn rewind(
        &self,
        place: Place,
        (message, last): (MessageId, TurnId),
        hand: &Hand,
    ) -> Result<Vec<Turn>, Text> {
        let live = self.bring(place).await.ok_or(Lines::NoLine)?;
        if self.going(&live, message, hand).await?.last().is_none_or(|&newest| newest > last) {
            return Err(Lines::MoreSince.into());
        }
        let member = hand.author.id;
        self.stop(place.channel, Some(member).filter(|_| !rules(&live, hand)));
        // Whoever waits still is answered after it.
        let in_line = live.line.take(member, usize::MAX).map_err(|_| Lines::NotReady)?;
        let speaking = tokio::time::timeout(STOPPING_TIME, in_line.turn()).await;
        let Ok(Ok(_speaking)) = speaking else { return Err(Lines::NotReady.into()) };
        let going = self.going(&live, message, hand).await?;
        let rules = rules(&live, hand);
        let gone = {
            let mut conversation = live.lock();
            let from = *going.first().ok_or(Lines::NoLine)?;
            let mut since = conversation.turns().iter().map(|turn| turn.id).filter(|&turn| turn >= from);
            // What others were heard to say meanwhile is not theirs.
            if !rules && !since.clone().eq(going) {
                return Err(Lines::OthersToo.into());
            }
            if since.next_back().is_none_or(|newest| newest > last) {
                return Err(Lines::MoreSince.into());
            }
            conversation.forget_from(from)
        };
        live.save().await;
        Ok(gone)
    }

    /// The bot itself is about to delete a message of what was forgotten: what branches have of that stays.
    pub async fn will_sweep(&self, place: Place, message: MessageId) {
        if let Some(live) = self.bring(place).await {
            live.will_delete(message);
        }
    }

    /// It could not.
    pub fn did_not_sweep(&self, place: Place, message: MessageId) {
        if let Some(live) = self.live_in(place.channel) {
            live.did_not_delete(message);
        }
    }

    /// The turns from the one in a message on, if somebody may take them all away.
    async fn going(&self, live: &Live, message: MessageId, hand: &Hand) -> Result<Vec<TurnId>, Text> {
        let since: Vec<Turn> = {
            let conversation = live.lock();
            let from = conversation.turn_of(message).ok_or(Lines::NoLine)?.id;
            conversation.turns().iter().filter(|turn| turn.id >= from).cloned().collect()
        };
        if !rules(live, hand) {
            for turn in &since {
                if self.whose(live, turn).await != [hand.author.id] {
                    return Err(Lines::OthersToo.into());
                }
            }
        }
        Ok(since.into_iter().map(|turn| turn.id).collect())
    }

    /// Who said something, or to whom a persona said it, as far as that is known.
    async fn whose(&self, live: &Live, turn: &Turn) -> Vec<MemberId> {
        match turn.speaker.member() {
            Some(member) => vec![member],
            None => self.who_asked(live, turn).await,
        }
    }
}
