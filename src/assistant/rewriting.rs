//! A member writes a line anew: what a persona said says something else from then on, in the messages that show it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::accepted::{Accepted, Known, Work};
use super::delivering::Delivering;
use super::line::{Busy, PlaceInLine};
use super::live::{Live, now};
use super::{Assistant, Delivery, Outlet};
use crate::chat::addressing::{Author, Incoming};
use crate::chat::history::{Part, Speaker, Turn, TurnId, TurnKind, TurnState, Variant};
use crate::chat::notice::Notice;
use crate::chat::reply::{self, Reply, ReplyAction};
use crate::chat::request::{Asked, Outcome};
use crate::chat::settings::Answers;
use crate::chat::text::{LINE_MAX, Lines, Text};
use crate::chat::{MessageId, Place, sanitize, split};

/// What was said in a message, as its text can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub text: String,
    /// A number that follows from that: whoever changes it says with it what they have seen.
    pub mark: u64,
    /// Whether a persona said it, and not a member.
    pub by_persona: bool,
    /// The webhook that has posted it, if one has.
    pub webhook: Option<u64>,
}

/// Somebody who wants to change what was said.
#[derive(Debug, Clone)]
pub struct Hand {
    /// Who.
    pub author: Author,
    /// Whether they may take away what others have said.
    pub moderates: bool,
}

/// What a member wants a persona to have said.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// One of the messages that show it.
    pub message: MessageId,
    /// The mark of what they have seen there; without it whatever it says now.
    pub seen: Option<u64>,
    /// What it is to say.
    pub text: String,
    /// The number of the wish itself, which is unlike that of any message.
    pub id: MessageId,
    /// Whose it is.
    pub hand: Hand,
}

/// A line that is written anew when its turn comes.
pub(super) struct Rewriting {
    turn: TurnId,
    seen: u64,
    text: String,
    place: PlaceInLine,
    /// The messages that show it.
    pub(super) parts: Vec<Part>,
    /// Hears what has become of it.
    done: oneshot::Sender<Text>,
}

impl Assistant {
    /// What is remembered of a message, if somebody may change it: what a persona said, whoever it was said to, whoever has opened
    /// the scene, and moderators; what a member said, they themselves.
    ///
    /// # Errors
    /// What is said to them instead.
    pub async fn line_in(&self, place: Place, message: MessageId, hand: &Hand) -> Result<Line, Text> {
        let live = self.bring(place).await.ok_or(Lines::NoLine)?;
        let turn = self.line_of(&live, message, hand).await?;
        let webhook = turn.parts.iter().find(|part| part.message == message).and_then(|part| part.webhook);
        let (mark, by_persona) = (turn.mark(), turn.speaker.member().is_none());
        Ok(Line { text: turn.shown().text.clone(), mark, by_persona, webhook })
    }

    /// A line of a persona is to say something else. What is left to do is done by [`Accepted::answer`]; then it is said what has
    /// become of it.
    ///
    /// # Errors
    /// What is said to whoever wants it, and nothing has changed.
    pub async fn rewrite(
        self: &Arc<Self>,
        place: Place,
        rewrite: Rewrite,
    ) -> Result<(Accepted, oneshot::Receiver<Text>), Text> {
        let Rewrite { message, seen, text, id, hand } = rewrite;
        let live = self.bring(place).await.ok_or(Lines::NoLine)?;
        let turn = self.line_of(&live, message, &hand).await?;
        let mut text = text.trim().to_owned();
        self.drop_blocked(place, &mut text);
        check_text(&text)?;
        if turn.speaker.member().is_some() {
            return Err(Lines::NoLine.into());
        }
        if seen.is_some_and(|seen| seen != turn.mark()) {
            return Err(Lines::Changed.into());
        }
        if self.speaker_of(&live, &turn).is_none() {
            return Err(Lines::PlaysNoMore.into());
        }
        let incoming = Incoming::wordless(turn.trigger.unwrap_or(message), place, hand.author.clone(), now());
        let author = hand.author.id;
        let asked =
            Asked { message: id, channel: place.channel, server: place.server, member: author, at: now() };
        let whose = self.who_asked(&live, &turn).await.first().copied().unwrap_or(author);
        let _one_at_a_time = self.taking_in();
        if self.closing.is_cancelled() || live.is_at_work_on(turn.id) || turn.state.is_unfinished() {
            return Err(Lines::Unfinished.into());
        }
        let in_line = live.line.take(author, self.settings.queue_per_conversation);
        let busy = |Busy { ahead }| Text::TooMuch(Some(Notice::ConversationBusy { place: ahead }));
        let in_line = in_line.map_err(busy)?;
        let registered = self.register(incoming.message, whose, Some(author), live);
        let (registration, stop, edits) = registered.ok_or(Lines::Unfinished)?;
        let (done, heard) = oneshot::channel();
        let (seen, parts) = (turn.mark(), turn.parts.clone());
        let work = Work::Rewrite(Rewriting { turn: turn.id, seen, text, place: in_line, parts, done });
        // What generates nothing is no request.
        let known = Known::WrittenDown;
        Ok((Accepted { registration, incoming, asked, known, stop, edits, work }, heard))
    }

    /// The turn that is shown in a message, if somebody may change it.
    async fn line_of(&self, live: &Live, message: MessageId, hand: &Hand) -> Result<Turn, Text> {
        self.may_write(live.place, hand)?;
        let turn = live.lock().turn_of(message).filter(|turn| turn.kind != TurnKind::Note).cloned();
        let turn = turn.ok_or(Lines::NoLine)?;
        match self.may_change(live, &turn, hand).await {
            true => Ok(turn),
            false if turn.speaker.member().is_some() => Err(Lines::OthersWords.into()),
            false => Err(Lines::NotTheirs.into()),
        }
    }

    /// Whether what somebody writes goes into what is remembered in a place.
    pub(super) fn may_write(&self, place: Place, hand: &Hand) -> Result<(), Text> {
        if self.is_opted_out(hand.author.id) {
            return Err(Text::NotRead);
        }
        if self.answers_in(place) == Answers::Nothing {
            return Err(Text::NotAnswered);
        }
        if self.is_denied(place, &hand.author) { Err(Text::Denied) } else { Ok(()) }
    }

    async fn may_change(&self, live: &Live, turn: &Turn, hand: &Hand) -> bool {
        let id = hand.author.id;
        match &turn.speaker {
            Speaker::Persona { .. } => rules(live, hand) || self.who_asked(live, turn).await.contains(&id),
            said => said.member() == Some(id),
        }
    }
}

/// Whether somebody may do as they like with what was said: moderators, and whoever has opened the scene.
pub(super) fn rules(live: &Live, hand: &Hand) -> bool {
    hand.moderates || live.lock().scene().and_then(|scene| scene.host) == Some(hand.author.id)
}

/// Whether a text can be a line.
fn check_text(text: &str) -> Result<(), Text> {
    let have = text.chars().count();
    if sanitize::is_blank(text) {
        return Err(Text::NothingSaid);
    }
    if have > LINE_MAX { Err(Lines::TooLong(have, LINE_MAX).into()) } else { Ok(()) }
}

impl<O: Outlet> Delivering<'_, O> {
    /// Writes a line anew when its turn has come.
    pub(super) async fn rewrite(&mut self, assistant: &Assistant, rewriting: Rewriting) {
        let Rewriting { turn, seen, text, place, parts, done } = rewriting;
        self.begins_once();
        let Ok(Ok(_speaking)) = self.undisturbed(place.turn()).await else { return };
        // Somebody else may have changed it first.
        let said = self.live.lock().turn(turn).cloned();
        let is_same = |said: &Turn| said.mark() == seen && said.parts == parts && !said.state.is_unfinished();
        let told = match said.filter(is_same) {
            None => Lines::Changed,
            Some(said) if assistant.speaker_of(&self.live, &said).is_none() => Lines::PlaysNoMore,
            Some(said) => {
                self.live.work_on(turn);
                self.refresh();
                self.speak_as(assistant, &said).await;
                self.turn = Some(turn);
                self.write_over(&said, text).await
            }
        };
        // Whoever does not listen is gone.
        let _ = done.send(told.into());
    }

    /// Shows a text in the messages of a turn, in the place of what they show.
    async fn write_over(&mut self, said: &Turn, mut text: String) -> Lines {
        let _ = self.blocklist.replace(&mut text, 0, true);
        self.reply = Reply::begun(&text, &[], "", self.manner, tokio::time::Instant::now().into_std());
        self.head();
        self.reply.finish();
        let pages = self.reply.clone().pages();
        let is_last = self.live.lock().turns().last().is_some_and(|last| last.id == said.id);
        if pages.len() > said.parts.len() && !is_last {
            return Lines::NoRoom;
        }
        let there = said.parts.len().min(pages.len());
        // From the first message on that is changed the line is what it was no more.
        let half = |untouched| if untouched { Lines::Unchangeable } else { Lines::HalfEdited };
        if let Err(dropped) = self.drop_parts(said, there).await {
            return half(dropped == 0);
        }
        for (number, (_, content)) in pages.iter().enumerate().take(there) {
            if number > 0 {
                tokio::time::sleep(self.manner.between_edits).await;
            }
            let end = pages.get(number + 1).map_or(text.len(), |(start, _)| *start);
            if !self.write_part(said, number, content, &text[..end]).await {
                return half(number == 0 && there == said.parts.len());
            }
        }
        self.outcome = Outcome::Answered;
        let Some((more, _)) = pages.get(there) else {
            if let Some(turn) = self.live.lock().turn_mut(said.id) {
                turn.state = TurnState::Complete;
            }
            return Lines::Edited;
        };
        // The rest goes into further messages, as that of a reply does.
        let starts: Vec<usize> = pages[..there].iter().map(|(start, _)| *start).collect();
        let content = split::content(&text, starts.last().copied().unwrap_or(0), *more, self.manner.links);
        let now = tokio::time::Instant::now().into_std();
        self.reply = Reply::begun(&text, &starts, &content, self.manner, now);
        self.head();
        self.reply.finish();
        text[..*more].trim().clone_into(&mut self.delivered);
        let ending = self.deliver(None).await;
        self.remember(&ending);
        if self.delivered == text { Lines::Edited } else { Lines::HalfEdited }
    }

    /// Shows what is remembered of a turn in its messages before the last one, which show this: the last process may have ended between
    /// the writing down and the showing. Of what cannot be shown it is remembered what is there. Returns the turn as it is then.
    pub(super) async fn bring_up_to_date(&mut self, mut said: Turn, contents: &[String]) -> Turn {
        self.turn = Some(said.id);
        for (number, shown) in contents.iter().enumerate() {
            let (text, starts) = (&said.shown().text, said.parts.iter().map(|part| part.start));
            let starts: Vec<usize> = starts.map(|start| text.floor_char_boundary(start)).collect();
            let Some(&[start, end]) = starts.get(number..number + 2) else { break };
            let mut content = split::content(text, start, end, self.manner.links);
            // Of what could not be seen nothing can be said.
            if shown.is_empty() || *shown == content {
                continue;
            }
            if let Some(name) = self.heading.as_ref().filter(|_| number == 0) {
                content = reply::heading(name) + &content;
            }
            let delivery = self.outlet.act(ReplyAction::Edit { part: number, content }, None).await;
            match delivery {
                Delivery::Done => tokio::time::sleep(self.manner.between_edits).await,
                Delivery::Deleted => self.lose(number),
                _ => {
                    let gap = &text[text[..end].trim_end().len()..end];
                    let there = format!("{}{shown}{gap}", &text[..start]);
                    said = changed(said, number, &there);
                    if let Some(turn) = self.live.lock().turn_mut(said.id) {
                        turn.clone_from(&said);
                    }
                }
            }
        }
        said
    }

    /// Deletes the messages of a turn that are too many, and what they show with them; how many of them, when it cannot delete all.
    async fn drop_parts(&mut self, said: &Turn, kept: usize) -> Result<(), usize> {
        for (number, part) in said.parts.iter().enumerate().skip(kept).rev() {
            self.live.will_delete(part.message);
            let delivery = self.outlet.act(ReplyAction::Delete { part: number }, None).await;
            if !matches!(delivery, Delivery::Done | Delivery::Deleted) {
                self.live.did_not_delete(part.message);
                return Err(said.parts.len() - 1 - number);
            }
            self.live.lock().unsay(part.message);
            self.live.save().await;
        }
        Ok(())
    }

    /// Shows something else in one message of a turn: `text` is what the turn says up to its end. What it says after that is as it
    /// was. Whether it could.
    async fn write_part(&mut self, said: &Turn, number: usize, content: &str, text: &str) -> bool {
        let Some(before) = self.live.lock().turn(said.id).cloned() else { return false };
        let after = before.parts.get(number + 1).map(|part| part.start);
        if let Some(turn) = self.live.lock().turn_mut(said.id) {
            *turn = changed(before.clone(), number, text);
        }
        self.live.save().await;
        let row = if after.is_none() { self.row_now(false) } else { None };
        let action = ReplyAction::Edit { part: number, content: content.to_owned() };
        let delivery = self.outlet.act(action, row).await;
        self.live.shown(self.manner);
        if delivery == Delivery::Done {
            self.row = row;
            if row.is_some() {
                self.put_row(row);
            }
            return true;
        }
        if let Some(turn) = self.live.lock().turn_mut(said.id) {
            *turn = Turn { state: said.state, ..before };
        }
        false
    }
}

/// A turn of which one message shows something else: `text` is what the turn says up to the end of it.
fn changed(mut turn: Turn, number: usize, text: &str) -> Turn {
    turn.state = TurnState::Streaming;
    let old = turn.shown();
    let next = turn.parts.get(number + 1).map_or(old.text.len(), |part| part.start);
    let rest = &old.text[old.text.floor_char_boundary(next)..];
    let whole = format!("{text}{rest}");
    let lore = old.lore.clone();
    // Nobody has generated this, and no tokens stand for it.
    *turn.shown_mut() = Variant { text: whole.trim().to_owned(), lore, ..Variant::default() };
    for part in turn.parts.iter_mut().skip(number + 1) {
        part.start = part.start.saturating_sub(next) + text.len();
    }
    turn
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::history::{Conversation, ConversationId};
    use crate::persona::PersonaId;

    #[test]
    fn one_message_after_the_other_shows_something_else() {
        let persona = Speaker::Persona { id: PersonaId("hermes".to_owned()), version: "1".to_owned() };
        let mut conversation = Conversation::new(ConversationId(1), 0, 0, persona.clone(), "Hermes");
        let id = conversation.begin_reply(persona, "Hermes", None);
        let mut turn = conversation.turn(id).expect("it is there").clone();
        turn.shown_mut().text = "One. Two. Three.".to_owned();
        turn.parts =
            [0, 5, 10].map(|start| Part { message: MessageId(start as u64), webhook: None, start }).into();
        let starts = |turn: &Turn| turn.parts.iter().map(|part| part.start).collect::<Vec<_>>();
        let turn = changed(turn, 0, "Eleven. ");
        assert_eq!((turn.shown().text.as_str(), starts(&turn)), ("Eleven. Two. Three.", vec![0, 8, 13]));
        let turn = changed(turn, 1, "Eleven. 12. ");
        assert_eq!((turn.shown().text.as_str(), starts(&turn)), ("Eleven. 12. Three.", vec![0, 8, 12]));
        let turn = changed(turn, 2, "Eleven. 12. 13.");
        assert_eq!((turn.shown().text.as_str(), starts(&turn)), ("Eleven. 12. 13.", vec![0, 8, 12]));
    }
}
