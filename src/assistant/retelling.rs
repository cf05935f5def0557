//! What members do with the last reply of a channel: they stop it, have it said anew or gone on with, look at the other ways
//! to say it, or take it back.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::accepted::{Accepted, Known, Work};
use super::answer::{Admitted, Unanswered};
use super::delivering::{Before, Coming, Delivering, Ending};
use super::limits::{Share, TooMuch};
use super::line::{Busy, PlaceInLine};
use super::live::{Live, now};
use super::{Assistant, Delivery, Outlet};
use crate::chat::addressing::{Author, Incoming};
use crate::chat::buttons::{Row, Steer};
use crate::chat::history::{Begun, Conversation, Part, Speaker, Tokens, Turn, TurnId, TurnKind, Variant};
use crate::chat::notice::Notice;
use crate::chat::reply::{Reply, ReplyAction};
use crate::chat::request::{Asked, Outcome};
use crate::chat::settings::Answers;
use crate::chat::{MemberId, MessageId, Place, split};

/// Most ways to say a thing.
const MOST_VARIANTS: usize = 32;

/// How long the end of a reply may take after its last buttons are there.
const BETWEEN_BUTTONS_AND_END: Duration = Duration::from_secs(1);

/// What a member wants of a reply.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What.
    pub steer: Steer,
    /// Of which turn, and of which way to say it, as it was shown to them.
    pub turn: TurnId,
    /// Which way that is, counted from 0.
    pub selected: usize,
    /// The message that the button stood under, or would stand under.
    pub under: MessageId,
    /// Whether it was a button, and not a command that does the same where there are none.
    pub by_button: bool,
    /// The number of the wish itself, which is unlike that of any message.
    pub id: MessageId,
    /// Whose it is.
    pub author: Author,
    /// Whether they may take away what others have said.
    pub moderates: bool,
}

/// Why a wish is not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwilling {
    /// The reply is not the last one any more, or not what it was.
    Stale,
    /// The reply was made for somebody else.
    NotTheirs,
    /// They do not want to be read.
    NotRead,
    /// Nothing is answered there.
    NotAnswered,
    /// They are not answered there.
    Denied,
    /// It exceeds a limit.
    TooMuch(Option<Notice>),
}

/// A wish that is granted when its turn comes.
pub(super) struct Retelling {
    steer: Steer,
    turn: TurnId,
    selected: usize,
    place: PlaceInLine,
    share: Option<Share>,
    /// The messages that show the reply.
    pub(super) parts: Vec<Part>,
}

impl Assistant {
    /// A member wants something of the last reply of a channel. What is left to do is done by [`Accepted::answer`]; nothing is
    /// when a reply was stopped.
    ///
    /// # Errors
    /// [`Unwilling`], and nothing has changed.
    pub async fn retell(self: &Arc<Self>, place: Place, wish: Wish) -> Result<Option<Accepted>, Unwilling> {
        let live = self.bring(place).await.ok_or(Unwilling::Stale)?;
        let turn = last_reply(&live, &wish).ok_or(Unwilling::Stale)?;
        let asked = self.who_asked(&live, &turn).await;
        let is_host = live.lock().scene().and_then(|scene| scene.host) == Some(wish.author.id);
        if !wish.moderates && !is_host && !asked.contains(&wish.author.id) {
            return Err(Unwilling::NotTheirs);
        }
        if wish.steer == Steer::Stop {
            // Those that wait behind it are wanted still.
            let is_meant =
                live.is_at_work_on(turn.id) && self.halt(turn.trigger.unwrap_or(wish.under), wish.author.id);
            return if is_meant { Ok(None) } else { Err(Unwilling::Stale) };
        }
        self.until_over(turn.trigger.unwrap_or(wish.under)).await;
        let turn = last_reply(&live, &wish).ok_or(Unwilling::Stale)?;
        // An id can be forged, and a button can be one of before.
        let row = if wish.by_button {
            self.row_of(&live, turn.id, false)
        } else {
            ways_of(&live.lock(), turn.id, false)
        };
        let row = row.filter(|row| row.selected == wish.selected);
        let buttons = row.map(|row| row.buttons()).unwrap_or_default();
        let can_be_pressed = buttons.iter().any(|button| button.steer == wish.steer && button.enabled);
        if !can_be_pressed || live.is_at_work_on(turn.id) || turn.state.is_unfinished() {
            return Err(Unwilling::Stale);
        }
        self.take_up_wish(live, &turn, &wish, asked.first().copied()).map(Some)
    }

    fn take_up_wish(
        self: &Arc<Self>,
        live: Arc<Live>,
        turn: &Turn,
        wish: &Wish,
        whose: Option<MemberId>,
    ) -> Result<Accepted, Unwilling> {
        let place = live.place;
        let message = turn.trigger.unwrap_or(wish.under);
        let incoming = Incoming::wordless(message, place, wish.author.clone(), now());
        let asked = Asked {
            message: wish.id,
            channel: place.channel,
            server: place.server,
            member: wish.author.id,
            at: now(),
        };
        let generates = matches!(wish.steer, Steer::Again | Steer::GoOn);
        if generates && self.is_opted_out(wish.author.id) {
            return Err(Unwilling::NotRead);
        }
        if generates && self.answers_in(place) == Answers::Nothing {
            return Err(Unwilling::NotAnswered);
        }
        if generates && self.is_denied(place, &wish.author) {
            return Err(Unwilling::Denied);
        }
        // What a persona says that may not play here any more can only be taken back.
        if wish.steer != Steer::Delete && self.speaker_of(&live, turn).is_none() {
            return Err(Unwilling::Stale);
        }
        let _one_at_a_time = self.taking_in();
        if self.closing.is_cancelled() || self.running.contains_key(&incoming.message) {
            return Err(Unwilling::Stale);
        }
        let in_line = live.line.take(wish.author.id, self.settings.queue_per_conversation);
        let busy = |Busy { ahead }| Unwilling::TooMuch(Some(Notice::ConversationBusy { place: ahead }));
        let in_line = in_line.map_err(busy)?;
        let share = if generates {
            let admitted = self.asking.admit(&self.limits_in(place), &asked, 0, self.steady_now());
            Some(admitted.map_err(|TooMuch(notice)| Unwilling::TooMuch(notice))?)
        } else {
            None
        };
        // Whoever it was said to is the one whose words are in it; whoever presses may stop it too.
        let registered =
            self.register(incoming.message, whose.unwrap_or(wish.author.id), Some(wish.author.id), live);
        let (registration, stop, edits) = registered.ok_or(Unwilling::Stale)?;
        let Wish { steer, turn: id, selected, .. } = *wish;
        let parts = turn.parts.clone();
        let work = Work::Retell(Retelling { steer, turn: id, selected, place: in_line, share, parts });
        // What generates nothing is no request.
        let known = if generates { Known::New } else { Known::WrittenDown };
        Ok(Accepted { registration, incoming, asked, known, stop, edits, work })
    }

    /// Waits a little until the answer to a message is over: its last buttons are there a moment before.
    async fn until_over(&self, message: MessageId) {
        let over = self.running.get(&message).map(|running| running.over.clone());
        if let Some(over) = over {
            // Discord waits for an answer to the press, so it is not waited for much longer.
            let _ = tokio::time::timeout(BETWEEN_BUTTONS_AND_END, over.cancelled()).await;
        }
    }

    /// For whom a reply was made, as far as that is known.
    pub(super) async fn who_asked(&self, live: &Live, turn: &Turn) -> Vec<MemberId> {
        let mut members = Vec::new();
        for message in turn.answers() {
            members.extend(self.who_said(live, message).await.filter(|member| !members.contains(member)));
        }
        members
    }

    /// Who has said something in a message, or has asked for something with it.
    async fn who_said(&self, live: &Live, message: MessageId) -> Option<MemberId> {
        let speaker = live.lock().turn_of(message).map(|turn| turn.speaker.clone());
        if let Some(Speaker::Member(member)) = speaker {
            return Some(member);
        }
        let Some(store) = &self.store else { return None };
        let asked = store.who_asked(message).await;
        asked.unwrap_or_else(|error| {
            tracing::error!("who has asked for a reply could not be read: {error}");
            None
        })
    }

    /// The buttons that are to stand under a turn, if any are: it must be the last one, and nothing posted after it.
    pub(super) fn row_of(&self, live: &Live, turn: TurnId, growing: bool) -> Option<Row> {
        let id = live.lock().id;
        if !self.buttons_in(live.place) || !self.conversations.contains_key(&id) {
            return None;
        }
        let conversation = live.lock();
        let row = ways_of(&conversation, turn, growing)?;
        let last = conversation.turn(turn)?.parts.last();
        last.is_none_or(|part| live.is_newest(part.message)).then_some(row)
    }

    /// The last reply of a place, if a message shows it: the turn, which way to say it is shown, and its last message.
    pub async fn last_reply_in(
        &self,
        place: Place,
        message: MessageId,
    ) -> Option<(TurnId, usize, MessageId)> {
        let live = self.bring(place).await?;
        let conversation = live.lock();
        let last = conversation.turns().last().filter(|last| last.kind == TurnKind::Persona)?;
        let shows = last.parts.iter().any(|part| part.message == message);
        let under = last.parts.last().filter(|_| shows)?.message;
        Some((last.id, last.selected, under))
    }

    /// Somebody has posted a message in a channel. Whether there may be buttons that must go because of it, see
    /// [`Self::take_row`].
    pub fn heard_of(&self, place: Place, message: MessageId) -> bool {
        if let Some(live) = self.live_in(place.channel) {
            live.heard_of(message);
        }
        // Where something was left undone it is settled first, and this is asked once more then.
        self.dressed.contains(&place.channel) && !self.is_undone(place.channel)
    }

    /// The buttons go that stand under a message before this one. Returns under which, and the webhook that has posted it.
    pub async fn take_row(&self, place: Place, message: MessageId) -> Option<(MessageId, Option<u64>)> {
        let Some(live) = self.bring(place).await else {
            self.dressed.remove(&place.channel);
            return None;
        };
        live.heard_of(message);
        let part = {
            let mut conversation = live.lock();
            let Some(turn) = conversation.row() else {
                self.dressed.remove(&place.channel);
                return None;
            };
            let (id, last) = (turn.id, turn.parts.last().copied());
            let part = last.filter(|part| part.message < message && !live.is_at_work_on(id))?;
            conversation.take_row(id);
            self.dressed.remove(&place.channel);
            part
        };
        live.save().await;
        Some((part.message, part.webhook))
    }
}

/// What can be done with a turn, when it is the last one.
fn ways_of(conversation: &Conversation, turn: TurnId, growing: bool) -> Option<Row> {
    let turns = conversation.turns();
    let last = turns.last().filter(|last| last.id == turn)?;
    let (selected, variants) = (last.selected, last.variants.len());
    let again = turns.len() > 1 && variants < MOST_VARIANTS;
    Some(Row { turn, selected, variants, growing, again })
}

/// The reply that a wish is about, when it is the last one and shown where the button stood.
fn last_reply(live: &Live, wish: &Wish) -> Option<Turn> {
    let conversation = live.lock();
    let last = conversation.turns().last()?;
    let is_meant = last.id == wish.turn
        && last.kind == TurnKind::Persona
        && last.parts.last().is_some_and(|part| part.message == wish.under);
    is_meant.then(|| last.clone())
}

impl<O: Outlet> Delivering<'_, O> {
    /// Grants a wish when its turn has come.
    pub(super) async fn retell(
        &mut self,
        assistant: &Assistant,
        asked: &Asked,
        retelling: Retelling,
    ) -> Option<Share> {
        let Retelling { steer, turn, selected, place, share, .. } = retelling;
        self.begins_once();
        let Ok(Ok(speaking)) = self.undisturbed(place.turn()).await else { return share };
        // Somebody else's wish may have come first.
        let said = self.live.lock().turns().last().filter(|last| last.id == turn).cloned();
        let Some(said) = said.filter(|said| said.selected == selected) else { return share };
        if steer != Steer::Delete && assistant.speaker_of(&self.live, &said).is_none() {
            drop(speaking);
            self.tell(Notice::PlaysNoMore).await;
            return share;
        }
        self.live.work_on(turn);
        self.refresh();
        self.speak_as(assistant, &said).await;
        self.turn = Some(turn);
        match steer {
            Steer::Stop => {}
            Steer::Back => self.show_way(&said, selected.wrapping_sub(1)).await,
            Steer::Forth => self.show_way(&said, selected + 1).await,
            Steer::Delete => self.take_back(&said).await,
            Steer::Again | Steer::GoOn => {
                if let Err(Unanswered::Refused(notice)) = self.say_more(assistant, asked, &said, steer).await
                {
                    self.dress(false).await;
                    drop(speaking);
                    self.tell(notice).await;
                }
            }
        }
        share
    }

    /// Shows another way to say it that is there already.
    async fn show_way(&mut self, said: &Turn, way: usize) {
        let Some(mut variant) = said.variants.get(way).cloned() else { return };
        // It may be older than what must not be shown.
        if self.blocklist.replace(&mut variant.text, 0, true).1 {
            variant.tokens = None;
            if let Some(turn) = self.live.lock().turn_mut(said.id) {
                turn.variants[way].clone_from(&variant);
            }
        }
        let now = tokio::time::Instant::now().into_std();
        self.reply = Reply::begun(&variant.text, &[], "", self.manner, now);
        self.head();
        self.reply.replace(said.parts.len());
        self.reply.finish();
        self.coming = Some(Coming::Known(way));
        let ending = self.deliver(None).await;
        if !self.delivered.is_empty() && self.delivered != variant.text {
            // The way itself stays whole, and what is shown of it is another one.
            let text = self.delivered.clone();
            let shown = Variant { text, lore: variant.lore.clone(), ..Variant::default() };
            if let Some(turn) = self.live.lock().turn_mut(said.id) {
                turn.variants.push(shown);
                turn.selected = turn.variants.len() - 1;
            }
        }
        self.keep_or_restore(said, "", &ending);
    }

    /// Remembers what is shown now; where nothing more is shown than `before`, the turn is what it was, as far as that is
    /// shown still.
    fn keep_or_restore(&mut self, said: &Turn, before: &str, ending: &Ending) {
        if self.delivered != before {
            self.outcome = Outcome::Answered;
            return self.remember(ending);
        }
        let mut conversation = self.live.lock();
        if let Some(turn) = conversation.turn_mut(said.id) {
            turn.clone_from(said);
            for part in said.parts.iter().filter(|part| self.live.is_replaced(part.message)) {
                conversation.unsay(part.message);
            }
        }
    }

    /// Deletes the messages of a reply, and forgets it.
    async fn take_back(&mut self, said: &Turn) {
        for (number, part) in said.parts.iter().enumerate().rev() {
            self.live.will_delete(part.message);
            let delivery = self.outlet.act(ReplyAction::Delete { part: number }, None).await;
            if !matches!(delivery, Delivery::Done | Delivery::Deleted) {
                self.live.did_not_delete(part.message);
                return self.tell(Notice::Unchangeable).await;
            }
            self.live.lock().unsay(part.message);
            self.live.save().await;
            self.assistant.forget_elsewhere(part.message).await;
        }
        self.outcome = Outcome::Answered;
    }

    /// Has the reply said anew, or gone on with.
    async fn say_more(
        &mut self,
        assistant: &Assistant,
        asked: &Asked,
        said: &Turn,
        steer: Steer,
    ) -> Result<(), Unanswered> {
        self.dress(true).await;
        let Admitted { ticket, meta, room } = self.admitted(assistant, asked.member, asked.server).await?;
        let before = {
            let mut conversation = self.live.lock().clone();
            // What was overheard since is not what it answers.
            conversation.forget_all(|turn| turn.id >= said.id);
            conversation
        };
        let keep = before.turns().last().map_or(said.id, |turn| turn.id);
        let goes_on = (steer == Steer::GoOn).then_some(said);
        let fitted =
            self.fit(assistant, before, goes_on, room.prompt, keep).await.map_err(Unanswered::Refused)?;
        info!(
            request = meta.request,
            conversation = meta.conversation,
            prompt_tokens = fitted.tokens,
            ?steer,
            "generating"
        );
        let number = u64::try_from(said.variants.len()).unwrap_or(u64::MAX);
        let (request, variant) = self.request(assistant, fitted, room.reply, said.id, number);
        if steer == Steer::GoOn {
            self.go_on_with(said, variant);
        } else {
            self.reply = self.blank();
            self.reply.replace(said.parts.len());
            self.coming = Some(Coming::New(Box::new(variant)));
        }
        let ending = self.deliver(Some(ticket.start(request))).await;
        self.log_ending(&ending, meta.request);
        let before = if steer == Steer::GoOn { said.shown().text.as_str() } else { "" };
        self.keep_or_restore(said, before, &ending);
        self.afterwards(assistant, &ending, meta.conversation, room.prompt).await;
        Ok(())
    }

    /// What comes is more of the same turn.
    fn go_on_with(&mut self, said: &Turn, variant: Variant) {
        let text = &said.shown().text;
        let starts: Vec<usize> = said.parts.iter().map(|part| part.start).collect();
        let last = starts.last().copied().unwrap_or_default();
        let content = split::content(text, text.floor_char_boundary(last), text.len(), self.manner.links);
        let now = tokio::time::Instant::now().into_std();
        let begun = Reply::begun(text, &starts, &content, self.manner, now);
        self.reply = begun.without(self.blocklist.clone()).shown_whole();
        self.head();
        text.clone_into(&mut self.delivered);
        let is_its =
            |tokens: &Tokens| variant.origin.as_ref().is_some_and(|origin| origin.model == tokens.model);
        self.goes_on = Some(Before { tokens: said.shown().tokens.clone().filter(is_its) });
        let ids = self.goes_on.as_ref().and_then(|before| Some(before.tokens.as_ref()?.ids.len()));
        let mut conversation = self.live.lock();
        if let Some(turn) = conversation.turn_mut(said.id) {
            let shown = turn.shown_mut();
            shown.origin = variant.origin;
            if let Some(making) = shown.origin.as_mut().and_then(|origin| origin.making.as_mut()) {
                making.begun = Some(Begun { text: text.len(), ids });
            }
            shown.lore = variant.lore;
        }
    }
}
