//! Long memory: what is cut from the history is summed up while nobody waits, and members see and change what is remembered.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Assistant;
use super::answer::{NEXT_MESSAGE_SHARE, finish_name, sampling};
use super::live::Live;
use crate::chat::budget::{self, Room};
use crate::chat::history::{Conversation, ConversationId, TurnId, TurnKind};
use crate::chat::memory::{Chapter, Link, Memory, Next, condensed, summary_tokens};
use crate::chat::prompt::Prompt;
use crate::chat::{MemberId, MessageId, Place, sanitize};
use crate::generation::{Class, Event, Finish, Finished, Full, Generator, Meta, Request};
use crate::persona::{Persona, SamplingWish};

/// A summary is to be true, and not daring.
const TEMPERATURE: f32 = 0.3;

/// Why there is no summary.
#[derive(Debug, thiserror::Error)]
enum Unsaid {
    #[error(transparent)]
    Full(#[from] Full),
    #[error("it failed ({0})")]
    Failed(String),
    #[error("it was stopped ({0})")]
    Stopped(&'static str),
    #[error("it never ended")]
    Endless,
    #[error("the model said nothing")]
    Nothing,
}

impl Unsaid {
    /// Whether it would be no different the next time.
    fn is_failure(&self) -> bool {
        !matches!(self, Self::Full(_) | Self::Stopped(_))
    }
}

/// Sees to it that nothing that was computed for a summary stays.
struct Computed<'a> {
    generator: &'a dyn Generator,
    conversation: ConversationId,
}

impl Drop for Computed<'_> {
    fn drop(&mut self) {
        self.generator.forget(self.conversation.0);
    }
}

/// A memory, as members see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The last turn that it tells of: under that number it is found.
    pub until: TurnId,
    /// What it says.
    pub text: String,
    /// Of how many turns it tells.
    pub turns: usize,
    /// When the first and the last of them were said, in seconds since 1970.
    pub said: (u64, u64),
    /// The messages that show the first and the last of them, when they are known still.
    pub shown: (Option<MessageId>, Option<MessageId>),
    /// Whether a member has written it.
    pub is_edited: bool,
    /// A number that is another one when it says something else.
    pub mark: u64,
}

/// Why a memory is not shown or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// They have not spoken here.
    NotTheirs,
    /// It tells of others.
    OfOthers,
    /// There is no such memory.
    Unknown,
    /// It says something else by now.
    Changed,
    /// It would say nothing.
    Blank,
    /// They do not want to be read.
    NotRead,
}

impl Assistant {
    /// Sums up what was cut from a history, once nobody waits there. Whoever comes ends that, and it is tried again after the next
    /// reply.
    pub(super) fn sum_up_later(self: &Arc<Self>, live: &Arc<Live>) {
        let id = live.lock().id;
        // Nobody holds a conversation while they look for one.
        let goes_on = self.conversations.contains_key(&id);
        let is_due = || {
            let conversation = live.lock();
            !live.has_given_up(conversation.cut) && conversation.due().is_some()
        };
        if goes_on && self.remembers_in(live.place) && !self.closing.is_cancelled() && is_due() {
            let (assistant, live) = (Arc::clone(self), Arc::clone(live));
            // The end of the program waits until it is written down, or given up.
            self.answers.spawn(async move { assistant.sum_up(&live).await });
        }
    }

    async fn sum_up(&self, live: &Live) {
        let _one_at_a_time = live.summing_up.lock().await;
        let Some(disturbed) = live.line.quiet() else { return };
        let mut any = false;
        while let Some((chapter, text)) = self.undisturbed(&disturbed, self.sum_up_next(live)).await.flatten()
        {
            // Nobody forgets anything between the looking and the writing.
            let _nobody_forgets = self.forgetting.read().await;
            if !self.is_at_hand(live) {
                return;
            }
            let is_as_it_was = match text {
                Some(text) => live.lock().remember(&chapter, &text),
                None => live.lock().pass_over(&chapter),
            };
            if !is_as_it_was {
                break;
            }
            any = true;
            // What is being written down is written to the end, whoever comes.
            live.save().await;
        }
        if any {
            self.undisturbed(&disturbed, self.read_ahead(live, &disturbed)).await;
        }
    }

    /// Waits for the future as long as nobody comes and the program does not end.
    async fn undisturbed<T>(
        &self,
        disturbed: &CancellationToken,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => None,
            () = disturbed.cancelled() => None,
            output = future => Some(output),
        }
    }

    /// Sums up the next that is due; without a text it is passed over.
    async fn sum_up_next(&self, live: &Live) -> Option<(Chapter, Option<String>)> {
        let history = live.lock().clone();
        let (cut, seed) = (history.cut, history.seed);
        if live.has_given_up(cut) {
            return None;
        }
        let persona = self.narrator(live, &history);
        let (generator, teller) = (Arc::clone(&self.generator), Arc::clone(&persona));
        let most = summary_tokens(self.room(&persona).prompt);
        let room = Room::in_context(generator.info().context_length, Some(most));
        let next = tokio::task::spawn_blocking(move || {
            let count = |prompt: &_| generator.count(prompt).tokens();
            Chapter::next(&teller, &history, room.prompt, count)
        });
        let Ok(next) = next.await else {
            live.give_up(cut);
            warn!("what was cut from a history could not be looked through");
            return None;
        };
        let (chapter, prompt) = match next {
            Some(Next::Sum(chapter, prompt)) => (chapter, prompt),
            Some(Next::PassOver(chapter)) => return Some((chapter, None)),
            None => {
                if live.lock().due().is_some() {
                    live.give_up(cut);
                }
                return None;
            }
        };
        let seed = seed.wrapping_add(chapter.until().map_or(0, |until| until.0));
        match self.summary(live.place, &persona, prompt, room.reply, seed).await {
            Ok(text) => Some((chapter, Some(text))),
            // It is tried again after the next reply.
            Err(problem) if !problem.is_failure() => None,
            Err(problem) => {
                live.give_up(cut);
                warn!("what was cut from a history is not summed up before the next cut: {problem}");
                None
            }
        }
    }

    /// Whoever has spoken last sums it up, in the manner of their author.
    fn narrator(&self, live: &Live, history: &Conversation) -> Arc<Persona> {
        let last = history.turns().iter().rfind(|turn| turn.kind == TurnKind::Persona);
        last.and_then(|turn| self.speaker_of(live, turn)).unwrap_or_else(|| live.persona())
    }

    async fn summary(
        &self,
        place: Place,
        persona: &Persona,
        prompt: Prompt,
        most: usize,
        seed: u64,
    ) -> Result<String, Unsaid> {
        // It is a conversation of its own: nobody reads its prompt again, and what was computed of it goes.
        let conversation = self.new_conversation();
        let _goes = Computed { generator: &*self.generator, conversation };
        let meta = Meta {
            request: self.next_request.fetch_add(1, Ordering::Relaxed),
            conversation: conversation.0,
            member: 0,
            server: place.server.map_or(0, |server| server.0),
            class: Class::Idle,
            deadline: None,
            estimated_tokens: most,
        };
        let mut ticket = self.generator.reserve(meta)?;
        ticket.turn().await?;
        let wish = self.sampling_in(place, persona);
        let temperature = wish.temperature.map(|temperature| temperature.min(TEMPERATURE));
        let wish = SamplingWish { temperature, ..wish };
        let stop = ["\n### Instruction:", "\n### Input:", "\n### Response:"].map(str::to_owned).into();
        let sampling = sampling(wish, seed);
        let mut generation =
            ticket.start(Request { prompt, min_tokens: 1, max_tokens: most, sampling, stop });
        let mut text = String::new();
        let Finished { reason, usage, .. } = loop {
            match generation.next().await {
                Some(Event::Delta { text: more, .. }) => text += &more,
                Some(Event::Finished(finished)) => break finished,
                Some(Event::Failed(failure)) => return Err(Unsaid::Failed(format!("{:?}", failure.kind))),
                Some(_) => {}
                // It never ends without a last word; if it did, that would be a fault.
                None => return Err(Unsaid::Endless),
            }
        };
        if matches!(reason, Finish::Cancelled | Finish::Shutdown) {
            return Err(Unsaid::Stopped(finish_name(&reason)));
        }
        info!(
            request = meta.request,
            prompt_tokens = usage.prompt_tokens,
            new_tokens = usage.new_tokens,
            "what was cut is summed up"
        );
        let is_cut_off = matches!(reason, Finish::Length | Finish::ContextFull);
        let text = self.unblocked(place, &text, is_cut_off);
        if sanitize::is_blank(&text) { Err(Unsaid::Nothing) } else { Ok(text) }
    }

    /// A text as it is remembered: without what is blocked, and then not too long.
    fn unblocked(&self, place: Place, text: &str, is_cut_off: bool) -> String {
        let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.drop_blocked(place, &mut text);
        condensed(&text, is_cut_off)
    }

    /// Lets the generator read what is known of the next prompt, which has something new in it, as long as nobody comes.
    async fn read_ahead(&self, live: &Live, disturbed: &CancellationToken) {
        // Nobody forgets anything between the looking and the hint.
        let _nobody_forgets = self.forgetting.read().await;
        let mut history = live.lock().clone();
        let Some(newest) = history.window().last().map(|turn| turn.id) else { return };
        let (generator, persona) = (Arc::clone(&self.generator), live.persona());
        let (room, speaker) = (self.room(&persona).prompt, persona.id.clone());
        history.turn_to(&speaker);
        let fitting = tokio::task::spawn_blocking(move || {
            let count = |prompt: &_| generator.count(prompt).tokens();
            let (model, room) = (&generator.info().id, room - room / NEXT_MESSAGE_SHARE);
            let fitted = budget::fit(&persona, &mut history, model, room, newest, count);
            fitted.ok().map(|fitted| (fitted.prompt, history.id, history.cut))
        });
        let Ok(Some((prompt, id, cut))) = fitting.await else { return };
        {
            let mut conversation = live.lock();
            // Whoever has come decides by themselves where the history begins.
            if disturbed.is_cancelled() {
                return;
            }
            conversation.turn_to(&speaker);
            conversation.cut = cut;
        }
        let generator = Arc::clone(&self.generator);
        if tokio::task::spawn_blocking(move || generator.prefill(id.0, prompt)).await.is_err() {
            warn!(conversation = id.0, "reading ahead panicked");
        }
    }

    /// What is remembered in the conversation of a channel, oldest first, for somebody who has spoken in it, or moderates it.
    ///
    /// # Errors
    /// [`Withheld`] when it is not for them.
    pub async fn memories(
        &self,
        place: Place,
        member: MemberId,
        moderates: bool,
    ) -> Result<Vec<Remembered>, Withheld> {
        let Some(live) = self.bring(place).await else { return Ok(Vec::new()) };
        let conversation = live.lock();
        if !moderates && !conversation.may_see_memories(member) {
            return Err(Withheld::NotTheirs);
        }
        Ok(conversation.told().map(|memory| remembered(&conversation, memory)).collect())
    }

    /// A memory that somebody may change.
    ///
    /// # Errors
    /// [`Withheld`] when there is none, or they may not.
    pub async fn memory_of(
        &self,
        place: Place,
        until: TurnId,
        member: MemberId,
        moderates: bool,
    ) -> Result<Remembered, Withheld> {
        let live = self.bring(place).await.ok_or(Withheld::Unknown)?;
        let conversation = live.lock();
        changeable(&conversation, until, member, moderates).map(|memory| remembered(&conversation, memory))
    }

    /// Lets a memory say what somebody has written, if it says still what they have seen.
    ///
    /// # Errors
    /// [`Withheld`], and nothing has changed.
    pub async fn reword(
        &self,
        place: Place,
        (until, mark): (TurnId, u64),
        text: &str,
        member: MemberId,
        moderates: bool,
    ) -> Result<(), Withheld> {
        if self.is_opted_out(member) {
            return Err(Withheld::NotRead);
        }
        let live = self.bring(place).await.ok_or(Withheld::Unknown)?;
        let text = self.unblocked(place, text, false);
        if sanitize::is_blank(&text) {
            return Err(Withheld::Blank);
        }
        {
            let mut conversation = live.lock();
            let memory = changeable(&conversation, until, member, moderates)?;
            if remembered(&conversation, memory).mark != mark {
                return Err(Withheld::Changed);
            }
            conversation.reword(until, &text, member);
        }
        live.save().await;
        Ok(())
    }

    /// Somebody does not want a memory any more; what it tells of is not summed up again.
    ///
    /// # Errors
    /// [`Withheld`], and nothing has changed.
    pub async fn dismiss(
        &self,
        place: Place,
        until: TurnId,
        member: MemberId,
        moderates: bool,
    ) -> Result<(), Withheld> {
        let live = self.bring(place).await.ok_or(Withheld::Unknown)?;
        {
            let mut conversation = live.lock();
            changeable(&conversation, until, member, moderates)?;
            conversation.dismiss(until);
        }
        live.save().await;
        Ok(())
    }
}

/// The memory that ends with this turn, if somebody may change it. Whoever may not see it is not told that there is one.
fn changeable(
    conversation: &Conversation,
    until: TurnId,
    member: MemberId,
    moderates: bool,
) -> Result<&Memory, Withheld> {
    if !moderates && !conversation.may_see_memories(member) {
        return Err(Withheld::NotTheirs);
    }
    let memory = conversation.memory(until).ok_or(Withheld::Unknown)?;
    let may_change = moderates || conversation.may_change_memory(memory, member);
    may_change.then_some(memory).ok_or(Withheld::OfOthers)
}

fn remembered(conversation: &Conversation, memory: &Memory) -> Remembered {
    let (first, last) = (memory.links.first(), memory.links.last());
    let said = |link: Option<&Link>| link.map_or(0, |link| link.said);
    let shown = |link: Option<&Link>| {
        let turn = conversation.turn(link?.turn)?;
        turn.parts.first().map(|part| part.message).or(turn.copy_of)
    };
    Remembered {
        until: memory.until,
        text: memory.text.clone(),
        turns: memory.links.len(),
        said: (said(first), said(last)),
        shown: (shown(first), shown(last)),
        is_edited: memory.editor.is_some(),
        mark: memory.mark(),
    }
}
