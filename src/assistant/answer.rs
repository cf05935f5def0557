//! One answer: what it is, the prompt that it needs, and how it leaves the history.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::accepted::{Cue, CutOff};
use super::casting::Next;
use super::delivering::{Delivering, Ending, Stopped};
use super::following::Change;
use super::line::{Busy, PlaceInLine};
use super::live::{now, speaker};
use super::{Assistant, Outlet};
use crate::chat::addressing::{Incoming, RepliedTo};
use crate::chat::budget::{self, Room, TooLong};
use crate::chat::history::{
    Conversation, ConversationId, Making, Origin, Part, Took, Turn, TurnId, TurnState, Variant,
};
use crate::chat::notice::{self, Notice};
use crate::chat::reply;
use crate::chat::request::Outcome;
use crate::chat::{MemberId, MessageId, ServerId, sanitize, slots};
use crate::generation::bundle::{ENDED_BY_MODEL, machine};
use crate::generation::{Class, Event, Finish, Finished, Full, Meta, Request, Sampling, Ticket};
use crate::persona::SamplingWish;
use crate::persona::macros::{self, Chance, Context};

/// The next message is expected to take one part in this many of the room for a prompt.
pub(super) const NEXT_MESSAGE_SHARE: usize = 8;

/// Whoever writes without a pause is answered after so many.
const PAUSES_MAX: u32 = 3;

/// A reply has at least so many tokens before it may end.
pub(super) const LEAST_TOKENS: usize = 1;

/// Most other greetings that are kept with the one that is shown, and the longest of them, in bytes.
const MOST_GREETINGS: usize = 50;
const LONGEST_GREETING: usize = 32 << 10;

/// The generator is ready for a reply.
pub(super) struct Admitted {
    pub(super) ticket: Ticket,
    pub(super) meta: Meta,
    /// How the model's context is shared.
    pub(super) room: Room,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    /// The member is told this.
    Refused(Notice),
    /// It was stopped.
    Stopped(Stopped),
}

/// Whether there is anything to answer: the message's own words, or those of somebody else that it replies to.
fn has_words(incoming: &Incoming) -> bool {
    let quotes = |reply: &RepliedTo| !reply.by_bot && !sanitize::is_blank(&reply.text);
    !sanitize::is_blank(&incoming.text) || incoming.reply_to.as_ref().is_some_and(quotes)
}

/// Whether the message may well have words that the bot is not allowed to read.
fn is_unreadable(assistant: &Assistant, incoming: &Incoming) -> bool {
    let readable = incoming.mentions_bot || incoming.server.is_none() || assistant.settings.reads_everything;
    !readable && !has_words(incoming)
}

/// The turns that what is answered brought into the history.
#[derive(Default)]
struct Heard {
    /// The first of those that must be in the prompt.
    keep: Option<TurnId>,
    /// Those that are new.
    new: Vec<TurnId>,
    /// That of the message that is answered.
    trigger: Option<TurnId>,
    /// The other messages that are answered with it.
    also: Vec<MessageId>,
}

impl<O: Outlet> Delivering<'_, O> {
    pub(super) async fn answer(
        &mut self,
        assistant: &Assistant,
        incoming: &mut Incoming,
        place: Result<PlaceInLine, Busy>,
        cue: Option<Cue>,
    ) {
        let place = match place {
            Ok(place) => place,
            Err(Busy { ahead }) => return self.tell(Notice::ConversationBusy { place: ahead }).await,
        };
        if is_unreadable(assistant, incoming) {
            // Whoever comes after need not wait until a notice has arrived.
            drop(place);
            if assistant.hinted.insert(incoming.channel) {
                self.tell(Notice::Unreadable).await;
            }
            return;
        }
        let speaking = match self.while_typing(place.turn()).await {
            Ok(Ok(speaking)) => speaking,
            Ok(Err(Busy { ahead })) => return self.tell(Notice::ConversationBusy { place: ahead }).await,
            // Nobody asks for it again.
            Err(Stopped::Closing) if cue.is_some() => return self.tell(Notice::Closing).await,
            Err(stopped) => return self.tell_why(stopped, assistant).await,
        };
        let gathers = self.live.waits_together(incoming.message);
        if self.live.lock().is_played() && cue.is_none() && !gathers {
            // It was answered together with one before it.
            return self.outcome = Outcome::Answered;
        }
        if gathers && let Err(stopped) = self.until_quiet(assistant.settings.pause).await {
            return self.tell_why(stopped, assistant).await;
        }
        // Who speaks may have changed meanwhile.
        let last = self.live.last_line().filter(|_| gathers);
        let wanted = cue.as_ref().and_then(|cue| cue.persona.as_ref());
        let next = assistant.next_to_speak(&self.live, wanted, last.as_ref().unwrap_or(incoming)).await;
        let Some(Next { persona, before }) = next else {
            drop(speaking);
            return self.tell(Notice::NobodyPlays).await;
        };
        self.persona = persona;
        self.refresh();
        for (number, words) in before.into_iter().enumerate() {
            self.say_aside(number, words).await;
        }
        self.appear().await;
        let goes_on = self.live.lock().is_played() && !self.is_opening();
        loop {
            self.read_again(incoming);
            assistant.leave_unread(incoming);
            let answered = if has_words(incoming) || goes_on {
                self.generate(assistant, incoming).await
            } else {
                self.greet(incoming).await
            };
            if self.delivered.is_empty() {
                // Whoever was to be answered with it still waits.
                let mut lines = std::mem::take(&mut self.together);
                lines.retain(|line| {
                    let is_unread = assistant.is_unread(line.author.id, line.posted);
                    !is_unread && assistant.change_of(line.message) != Some(Change::Deleted)
                });
                self.live.wait_again(lines);
            }
            // Nobody need wait until a notice has arrived.
            match answered {
                Ok(()) => return,
                Err(Unanswered::Stopped(Stopped::Edited)) => self.begin_again(),
                Err(Unanswered::Refused(notice)) => {
                    drop(speaking);
                    return self.tell(notice).await;
                }
                Err(Unanswered::Stopped(stopped)) => {
                    drop(speaking);
                    return self.tell_why(stopped, assistant).await;
                }
            }
        }
    }

    /// Whether nothing was said yet, and the persona has something to open with.
    fn is_opening(&self) -> bool {
        self.live.lock().turns().is_empty() && !sanitize::is_blank(&self.persona.card.greeting)
    }

    /// Waits until nobody has written for a while: what many say at once is answered once.
    async fn until_quiet(&mut self, pause: Duration) -> Result<(), Stopped> {
        let latest = Instant::now() + pause * PAUSES_MAX;
        loop {
            let until = (self.live.last_came() + pause).min(latest);
            if until <= Instant::now() {
                return Ok(());
            }
            self.while_typing(sleep_until(until)).await?;
        }
    }

    /// Takes over what the author has changed.
    fn read_again(&mut self, incoming: &mut Incoming) {
        if let Some(text) = self.edits.borrow_and_update().clone() {
            incoming.text = self.live.lock().said_in(&text);
        }
    }

    /// Brings a reply to an end that was cut off when the last process ended.
    pub(super) async fn end(&mut self, cut_off: CutOff) {
        let CutOff { turn, place, mut contents, .. } = cut_off;
        let Ok(place) = place else { return self.outcome = Outcome::Waiting };
        let turn_to_speak = self.undisturbed(place.turn()).await;
        let Some(mut said) = self.live.lock().turn(turn).cloned() else { return };
        let assistant = Arc::clone(&self.assistant);
        self.speak_as(&assistant, &said).await;
        if let Some(first) = contents.first_mut() {
            *first = reply::without_heading(first, &said.name).to_owned();
        }
        let last = contents.pop().unwrap_or_default();
        if matches!(turn_to_speak, Ok(Ok(_))) {
            said = self.bring_up_to_date(said, &contents).await;
        }
        self.resume(turn, &said.shown().text, &said.parts, &last);
        self.reply.finish_with(Notice::Interrupted);
        let ending = match turn_to_speak {
            Err(Stopped::Closing) => return self.outcome = Outcome::Waiting,
            Err(stopped) => Ending::Stopped(stopped),
            Ok(Err(Busy { .. })) => Ending::Stopped(Stopped::Unwanted),
            Ok(Ok(_speaking)) => match self.deliver(None).await {
                Ending::Said => Ending::Closed,
                other => other,
            },
        };
        self.remember(&ending);
    }

    /// Posts the greeting as the persona's turn, when nobody has spoken yet.
    async fn greet(&mut self, incoming: &Incoming) -> Result<(), Unanswered> {
        let name = sanitize::name(self.persona.char_name());
        let member = sanitize::name(self.live.lock().speaks_as(incoming.author.id, &incoming.author.name));
        let (seed, created) = {
            let conversation = self.live.lock();
            (conversation.seed, conversation.created)
        };
        let persona = Arc::clone(&self.persona);
        let card = &persona.card;
        let chance = Chance { passing: seed, lasting: seed }.at("greeting");
        let names = Context::of_names(&name, &member);
        let context = Context { card: Some(card), chance, now: created, ..names };
        let said = |text: &String| macros::expand(text, context).trim().to_owned();
        let greeting = said(&card.greeting);
        if !self.live.lock().turns().is_empty() || sanitize::is_blank(&greeting) {
            return Err(Unanswered::Refused(Notice::Nothing));
        }
        let turn = {
            let mut conversation = self.live.lock();
            conversation.now = now();
            conversation.begin_reply(speaker(&self.persona), &name, Some(incoming.message))
        };
        // The other greetings are other ways to begin, in the place of this one.
        let others: Vec<String> = card
            .alternate_greetings
            .iter()
            .take(MOST_GREETINGS)
            .map(said)
            .filter(|text| text.len() <= LONGEST_GREETING && !sanitize::is_blank(text))
            .collect();
        {
            let mut conversation = self.live.lock();
            conversation.greet(turn);
            if let Some(turn) = conversation.turn_mut(turn) {
                turn.variants.extend(others.into_iter().map(|text| Variant { text, ..Variant::default() }));
            }
        }
        self.turn = Some(turn);
        self.live.work_on(turn);
        self.reply.write(&greeting);
        self.reply.finish();
        let ending = self.deliver(None).await;
        if self.delivered.is_empty() {
            self.live.lock().forget(turn);
        } else {
            self.remember(&ending);
        }
        Ok(())
    }

    /// Waits for the generator, builds the prompt when its turn has come, and delivers what is generated. Whoever calls has the
    /// turn to speak and keeps it until the reply is over: the next prompt contains it.
    async fn generate(&mut self, assistant: &Assistant, incoming: &mut Incoming) -> Result<(), Unanswered> {
        let admitted = self.admitted(assistant, incoming.author.id, incoming.server).await?;
        let Admitted { ticket, meta, room } = admitted;
        self.read_again(incoming);
        assistant.leave_unread(incoming);
        let heard = self.hear_all(assistant, incoming);
        let history = self.live.lock().clone();
        let last = history.turns().last().map(|turn| turn.id);
        let keep = heard.keep.or(last).unwrap_or(history.next_turn());
        let fitted = match self.fit(assistant, history, None, room.prompt, keep).await {
            Ok(fitted) => fitted,
            Err(notice) => {
                self.forget(&heard);
                return Err(Unanswered::Refused(notice));
            }
        };
        info!(
            request = meta.request,
            conversation = meta.conversation,
            prompt_tokens = fitted.tokens,
            "generating"
        );
        debug!(request = meta.request, "the prompt:\n{}", fitted.explanation);
        // Whoever begins to speak now is not among those whose line ends the reply.
        let next = self.live.lock().next_turn();
        let (request, variant) = self.request(assistant, fitted, room.reply, next, 0);
        {
            let mut conversation = self.live.lock();
            let name = self.persona.char_name();
            let id = conversation.begin_reply(speaker(&self.persona), name, Some(incoming.message));
            self.turn = Some(id);
            self.live.work_on(id);
            if let Some(turn) = conversation.turn_mut(id) {
                *turn.shown_mut() = variant;
                turn.also.clone_from(&heard.also);
            }
        }
        let ending = self.deliver(Some(ticket.start(request))).await;
        self.conclude(&ending, &heard, meta.request);
        self.afterwards(assistant, &ending, meta.conversation, room.prompt).await;
        match ending {
            Ending::Stopped(stopped @ Stopped::Edited) => Err(Unanswered::Stopped(stopped)),
            Ending::Stopped(stopped) if self.delivered.is_empty() => Err(Unanswered::Stopped(stopped)),
            _ => Ok(()),
        }
    }

    /// Waits for the generator, while the reader sees that somebody is typing.
    pub(super) async fn admitted(
        &mut self,
        assistant: &Assistant,
        member: MemberId,
        server: Option<ServerId>,
    ) -> Result<Admitted, Unanswered> {
        let room = assistant.room(&self.persona);
        let meta = Meta {
            request: assistant.next_request.fetch_add(1, Ordering::Relaxed),
            conversation: self.live.lock().id.0,
            member: member.0,
            server: server.map_or(0, |server| server.0),
            class: Class::Interactive,
            deadline: None,
            estimated_tokens: room.reply,
        };
        let mut ticket = match assistant.generator.reserve(meta) {
            Ok(ticket) => ticket,
            Err(full) => return Err(refused(full)),
        };
        let progress = Arc::clone(&self.progress);
        let turn = async {
            while let Some(queued) = ticket.queued().await {
                progress.queued(queued);
            }
            ticket.turn().await
        };
        let turn = self.while_typing(turn).await;
        self.progress.answering();
        match turn {
            Ok(Ok(())) => Ok(Admitted { ticket, meta, room }),
            Ok(Err(full)) => Err(refused(full)),
            Err(stopped) => Err(Unanswered::Stopped(stopped)),
        }
    }

    /// What is asked of the generator for a turn, and the variant that will hold it; `number` tells the variants of a turn apart.
    pub(super) fn request(
        &self,
        assistant: &Assistant,
        fitted: budget::Fitted,
        most: usize,
        turn: TurnId,
        number: u64,
    ) -> (Request, Variant) {
        let wish = assistant.sampling_in(self.live.place, &self.persona);
        let conversation = self.live.lock();
        let stop = slots::stop_strings(&self.persona, &conversation, fitted.direct);
        let seed = conversation.seed.wrapping_add(turn.0).wrapping_add(number << 32);
        let origin = Origin {
            model: assistant.generator.info().id.clone(),
            seed,
            sampling: wish,
            prompt_tokens: fitted.tokens,
            cached_tokens: 0,
            new_tokens: 0,
            took: Took::default(),
            explanation: fitted.explanation,
            making: Some(Making {
                machine: machine(assistant.generator.info()),
                prompt: fitted.prompt.fingerprint(),
                finish: None,
                begun: None,
            }),
        };
        let variant = Variant { lore: fitted.lore, origin: Some(origin), ..Variant::default() };
        let sampling = sampling(wish, seed);
        let min_tokens = LEAST_TOKENS;
        (Request { prompt: fitted.prompt, min_tokens, max_tokens: most, sampling, stop }, variant)
    }

    /// Gets the next prompt ready, or sees to it that nothing is left of what is forgotten.
    pub(super) async fn afterwards(
        &self,
        assistant: &Assistant,
        ending: &Ending,
        conversation: u64,
        room: usize,
    ) {
        let goes_on = || assistant.conversations.contains_key(&ConversationId(conversation));
        if matches!(ending, Ending::Generated(Event::Finished(_))) && goes_on() {
            self.look_ahead(assistant, room).await;
        }
        if self.live.is_stale() || !goes_on() {
            // It was dropped meanwhile, or somebody was forgotten, and what was computed for it since must go too.
            assistant.generator.forget(conversation);
        }
    }

    /// Decides where the history of the next prompt begins, and lets the generator read what is known of that prompt,
    /// so that the next message waits for neither. Whoever waits already is not kept waiting by it.
    async fn look_ahead(&self, assistant: &Assistant, room: usize) {
        let (id, newest) = {
            let conversation = self.live.lock();
            (conversation.id, conversation.window().last().map(|turn| turn.id))
        };
        let (Some(newest), false) = (newest, self.live.line.is_awaited()) else { return };
        // What does not fit without the next message is found out with it.
        let room = room - room / NEXT_MESSAGE_SHARE;
        let history = self.live.lock().clone();
        let Ok(fitted) = self.fit(assistant, history, None, room, newest).await else { return };
        // The prompt is turned into tokens there, which takes a moment.
        let generator = Arc::clone(&assistant.generator);
        let hinted = tokio::task::spawn_blocking(move || generator.prefill(id.0, fitted.prompt)).await;
        if hinted.is_err() {
            warn!(conversation = id.0, "reading ahead panicked");
        }
    }

    /// Builds the prompt that follows a history; with a turn that `goes_on` it ends in the middle of that. Counting the tokens of a
    /// long history takes a while, so it is done beside the async threads, on a copy; only the reply whose turn it is changes
    /// what the copy has, so it stays true. What is overheard meanwhile is for the next one.
    pub(super) async fn fit(
        &self,
        assistant: &Assistant,
        mut history: Conversation,
        goes_on: Option<&Turn>,
        room: usize,
        keep: TurnId,
    ) -> Result<budget::Fitted, Notice> {
        let (generator, persona) = (Arc::clone(&assistant.generator), Arc::clone(&self.persona));
        let goes_on = goes_on.cloned();
        history.turn_to(&persona.id);
        let fitting = tokio::task::spawn_blocking(move || {
            let count = |prompt: &_| generator.count(prompt).tokens();
            let model = &generator.info().id;
            let fitted = match &goes_on {
                None => budget::fit(&persona, &mut history, model, room, keep, count),
                Some(turn) => budget::fit_begun(&persona, &mut history, model, room, turn, count),
            };
            fitted.map(|fitted| (fitted, history.cut))
        });
        match fitting.await {
            Ok(Ok((fitted, cut))) => {
                let mut conversation = self.live.lock();
                conversation.turn_to(&self.persona.id);
                conversation.cut = cut;
                Ok(fitted)
            }
            Ok(Err(TooLong { have, room })) => Err(Notice::TooLong { have, room }),
            Err(_) => Err(Notice::Broken { retryable: false }),
        }
    }

    /// Writes what is answered into the history: the message, and in a scene those that wait to be answered together with it.
    fn hear_all(&mut self, assistant: &Assistant, incoming: &Incoming) -> Heard {
        let mut heard = Heard::default();
        drop(self.live.waits_no_more(incoming.message));
        if self.live.lock().is_played() {
            self.together = self.live.gather_with(incoming.message);
        }
        let mut all = self.together.clone();
        if has_words(incoming) {
            all.push(incoming.clone());
        }
        all.sort_by_key(|incoming| incoming.message);
        for one in &mut all {
            match assistant.change_of(one.message) {
                Some(Change::Deleted) => continue,
                Some(Change::Edited(text)) => one.text = self.live.lock().said_in(&text),
                None => {}
            }
            assistant.leave_unread(one);
            if has_words(one) && !assistant.is_unread(one.author.id, one.posted) {
                self.hear(one, incoming.message, &mut heard);
            }
        }
        heard
    }

    /// Writes a message, and the one that it replies to unless it is there already, into the history.
    fn hear(&mut self, incoming: &Incoming, trigger: MessageId, heard: &mut Heard) {
        let mut conversation = self.live.lock();
        // Whoever deletes it looks in here after that is known, so this sees it, or they find what was heard.
        if self.assistant.change_of(incoming.message) == Some(Change::Deleted) {
            return;
        }
        conversation.now = now();
        let is_notice = |reply: &RepliedTo| reply.by_bot && notice::is_notice(&reply.text);
        let reply = incoming.reply_to.as_ref();
        let reply = reply.filter(|reply| !sanitize::is_blank(&reply.text) && !is_notice(reply));
        let known = reply.and_then(|reply| {
            let shown_in = |turn: &&Turn| turn.parts.iter().any(|part| part.message == reply.message);
            conversation.window().iter().find(shown_in).map(|turn| turn.id)
        });
        // What was said before a scene, or out of character, is no part of it.
        let is_scene = conversation.scene().is_some();
        let new = reply.filter(|_| known.is_none() && !is_scene).map(|reply| match &reply.author {
            Some(author) if !reply.by_bot => {
                conversation.hear(author.id, &author.name, &reply.text, Some(reply.message))
            }
            // The bot's own words from before its memory begins.
            _ => {
                let name = self.persona.char_name();
                let id = conversation.begin_reply(speaker(&self.persona), name, None);
                if let Some(turn) = conversation.turn_mut(id) {
                    turn.state = TurnState::Complete;
                    turn.parts.push(Part { message: reply.message, webhook: None, start: 0 });
                    reply.text.trim().clone_into(&mut turn.shown_mut().text);
                }
                id
            }
        });
        // A process before may have heard it, and ended before anything was said to it.
        let there = conversation.turn_of(incoming.message).map(|turn| turn.id);
        let author = &incoming.author;
        let name = conversation.speaks_as(author.id, &author.name).to_owned();
        let said = there
            .unwrap_or_else(|| conversation.hear(author.id, &name, &incoming.text, Some(incoming.message)));
        heard.keep = [heard.keep, known, new, Some(said)].into_iter().flatten().min();
        heard.new.extend([new, Some(said)].into_iter().flatten());
        if incoming.message == trigger {
            heard.trigger = Some(said);
        } else {
            heard.also.push(incoming.message);
        }
    }

    /// Takes the message and its reply out of the history again, so that it can be asked anew.
    fn forget(&mut self, heard: &Heard) {
        let mut conversation = self.live.lock();
        if conversation.scene().is_some() {
            // What was said in a scene was said, whatever comes of it.
            if let Some(turn) = self.turn.take() {
                conversation.forget(turn);
            }
            return;
        }
        for &turn in heard.new.iter().chain(&self.turn.take()) {
            conversation.forget(turn);
        }
    }

    /// Leaves the history as it should be after a generation: what was shown is remembered, and a message to which
    /// nothing was shown can be asked anew.
    fn conclude(&mut self, ending: &Ending, heard: &Heard, request: u64) {
        self.log_ending(ending, request);
        if self.delivered.is_empty() {
            return self.forget(heard);
        }
        if matches!(ending, Ending::Stopped(Stopped::Unwanted))
            && let Some(trigger) = heard.trigger
        {
            self.live.lock().forget(trigger);
        }
        self.remember(ending);
    }

    /// Says in the log how a generation ended, and counts its tokens.
    pub(super) fn log_ending(&mut self, ending: &Ending, request: u64) {
        match ending {
            Ending::Generated(Event::Finished(Finished { reason, usage, timings, .. })) => {
                self.tokens = usage.new_tokens;
                info!(
                    request,
                    reason = finish_name(reason),
                    cached_tokens = usage.cached_tokens,
                    new_tokens = usage.new_tokens,
                    queued_ms = timings.queued.as_millis(),
                    prefill_ms = timings.prefill.as_millis(),
                    decode_ms = timings.decode.as_millis(),
                    "finished"
                );
            }
            Ending::Generated(Event::Failed(failure)) => {
                warn!(request, kind = ?failure.kind, detail = failure.detail, "the generation failed");
            }
            Ending::Generated(_) | Ending::Said | Ending::Closed => {}
            Ending::Stopped(stopped) => info!(request, ?stopped, "stopped"),
        }
    }
}

/// The generator has no place for the message, or no longer.
fn refused(Full { place, wait }: Full) -> Unanswered {
    Unanswered::Refused(Notice::QueueFull { place, wait })
}

/// The reason without the stop string, which may be a member's name.
pub(super) fn finish_name(reason: &Finish) -> &'static str {
    match reason {
        Finish::Eos => ENDED_BY_MODEL,
        Finish::Stop(_) => "stop",
        Finish::Length => "length",
        Finish::ContextFull => "context full",
        Finish::Cancelled => "cancelled",
        Finish::Shutdown => "shutdown",
    }
}

/// The wish as the generator wants it.
pub(super) fn sampling(wish: SamplingWish, seed: u64) -> Sampling {
    let default = Sampling::default();
    Sampling {
        temperature: wish.temperature.unwrap_or(default.temperature),
        top_k: wish.top_k.unwrap_or(default.top_k),
        top_p: wish.top_p.unwrap_or(default.top_p),
        min_p: wish.min_p.unwrap_or(default.min_p),
        repetition_penalty: wish.repetition_penalty.unwrap_or(default.repetition_penalty),
        repetition_window: wish.repetition_window.unwrap_or(default.repetition_window),
        frequency_penalty: wish.frequency_penalty.unwrap_or(default.frequency_penalty),
        presence_penalty: wish.presence_penalty.unwrap_or(default.presence_penalty),
        banned: Vec::new(),
        seed: Some(seed),
    }
}
