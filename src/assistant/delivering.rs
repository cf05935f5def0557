//! One reply on its way to the outlet, and what of it goes into the history.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::answer::finish_name;
use super::following::Change;
use super::live::{Live, speaker};
use super::steering::Progress;
use super::{Assistant, Delivery, Look, Outlet, Registration};
use crate::chat::addressing::Incoming;
use crate::chat::blocklist::Blocklist;
use crate::chat::buttons::Row;
use crate::chat::history::{Part, Tokens, Took, Turn, TurnId, TurnState, Variant};
use crate::chat::notice::Notice;
use crate::chat::reply::{Manner, Reply, ReplyAction};
use crate::chat::request::Outcome;
use crate::chat::settings::Style;
use crate::chat::{MessageId, sanitize, split};
use crate::generation::{Event, Failure, FailureKind, Finish, Finished, Generation, Timings};
use crate::persona::Persona;

/// So often an answer begins again because its trigger was changed.
const BEGINNINGS_MAX: usize = 3;

/// Why an answer ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Its trigger or its channel is gone.
    Unwanted,
    /// A member has heard enough.
    Halted,
    /// Its trigger says something else now, and nothing of the reply is shown.
    Edited,
    /// It cannot be delivered.
    Undeliverable,
    /// It may have been delivered, and nobody knows.
    Uncertain,
    /// The program ends.
    Closing,
}

/// How a reply ended.
pub(super) enum Ending {
    /// The generation ended, and all of it was shown.
    Generated(Event),
    /// There was no generation, and all of the text was shown.
    Said,
    /// The program ended in the middle; what was there was shown.
    Closed,
    /// It was stopped.
    Stopped(Stopped),
}

/// What the persona's turn shows from when something new is shown.
pub(super) enum Coming {
    /// Another way to say it.
    New(Box<Variant>),
    /// One of the ways that there are.
    Known(usize),
}

/// What a reply goes on with.
pub(super) struct Before {
    /// The tokens that stand for it, if any do.
    pub(super) tokens: Option<Tokens>,
}

/// A reply on its way to the outlet and into the history.
pub(super) struct Delivering<'a, O> {
    pub(super) outlet: &'a mut O,
    pub(super) manner: Manner,
    pub(super) blocklist: Blocklist,
    stop: CancellationToken,
    pub(super) progress: Arc<Progress>,
    /// What its trigger says now, when that has changed.
    pub(super) edits: watch::Receiver<Option<String>>,
    /// How often it may begin again.
    beginnings: usize,
    pub(super) assistant: Arc<Assistant>,
    pub(super) reply: Reply,
    pub(super) live: Arc<Live>,
    /// Who speaks, in the version of this reply.
    pub(super) persona: Arc<Persona>,
    /// The persona's name where it is seen as another one.
    pub(super) heading: Option<String>,
    /// The persona's turn that the reply is written into.
    pub(super) turn: Option<TurnId>,
    /// Whether it is known already what it says.
    is_known: bool,
    /// What takes the place of what that turn shows; nothing of it is shown yet.
    pub(super) coming: Option<Coming>,
    /// What the reply goes on with, when it does.
    pub(super) goes_on: Option<Before>,
    /// The messages that are answered together with the one that is answered.
    pub(super) together: Vec<Incoming>,
    /// What stands under its last message.
    pub(super) row: Option<Row>,
    /// What the reader has certainly seen.
    pub(super) delivered: String,
    /// What has become of the trigger by now.
    pub(super) outcome: Outcome,
    /// How many tokens were generated.
    pub(super) tokens: usize,
    /// Whether nothing gets through to Discord.
    pub(super) unreachable: bool,
}

impl<'a, O: Outlet> Delivering<'a, O> {
    /// An empty reply of the persona that answers here.
    pub(super) fn new(
        outlet: &'a mut O,
        registration: &Registration,
        stop: CancellationToken,
        edits: watch::Receiver<Option<String>>,
    ) -> Self {
        let live = Arc::clone(&registration.live);
        let manner = registration.assistant.manner_in(live.place);
        let blocklist = registration.assistant.blocklist_in(live.place);
        let persona = live.persona();
        Self {
            outlet,
            reply: blank(&persona, manner).without(blocklist.clone()),
            manner,
            blocklist,
            stop,
            progress: Arc::clone(&registration.progress),
            edits,
            beginnings: BEGINNINGS_MAX,
            assistant: Arc::clone(&registration.assistant),
            live,
            persona,
            heading: None,
            turn: None,
            is_known: false,
            coming: None,
            goes_on: None,
            together: Vec::new(),
            row: None,
            delivered: String::new(),
            outcome: Outcome::Dropped,
            tokens: 0,
            unreachable: false,
        }
    }

    /// An empty reply again, in place of one of which nothing was shown.
    pub(super) fn begin_again(&mut self) {
        self.beginnings -= 1;
        self.reply = self.blank();
        self.turn = None;
    }

    /// It does not begin again, whatever becomes of its trigger.
    pub(super) fn begins_once(&mut self) {
        self.beginnings = 0;
    }

    /// An empty reply of the persona.
    pub(super) fn blank(&self) -> Reply {
        let mut reply = blank(&self.persona, self.manner).without(self.blocklist.clone());
        if let Some(name) = &self.heading {
            reply.head(name);
        }
        reply
    }

    /// Its turn has come: what holds now in the place holds for it.
    pub(super) fn refresh(&mut self) {
        let place = self.live.place;
        self.manner = self.assistant.manner_in(place);
        self.blocklist = self.assistant.blocklist_in(place);
        let mut reply = self.blank();
        reply.go_on_typing(&self.reply);
        self.reply = reply;
    }

    /// From now on the persona speaks, seen as what the place allows.
    pub(super) async fn appear(&mut self) {
        let name = self.live.lock().name_of(&speaker(&self.persona), self.persona.char_name());
        let style = self.assistant.style_in(self.live.place);
        self.appear_as(name, style).await;
        self.head();
    }

    /// The same as whoever has said this.
    pub(super) async fn speak_as(&mut self, assistant: &Assistant, said: &Turn) {
        self.persona = assistant.speaker_of(&self.live, said).unwrap_or_else(|| self.live.persona());
        // What is there already is seen as what it is.
        let webhook = said.parts.first().map(|part| part.webhook);
        let style = match webhook {
            Some(None) => Style::Bot,
            Some(Some(_)) => Style::Own,
            None => assistant.style_in(self.live.place),
        };
        self.appear_as(said.name.clone(), style).await;
        if matches!(webhook, Some(Some(_))) {
            self.heading = None;
        }
        self.head();
    }

    async fn appear_as(&mut self, name: String, style: Style) {
        let look = self.outlet.appear(&self.persona, &name, style).await;
        self.heading = (look == Look::Another).then_some(name);
    }

    /// Puts the name above the reply where it is needed.
    pub(super) fn head(&mut self) {
        if let Some(name) = &self.heading {
            self.reply.head(name);
        }
    }

    /// Goes on with a reply that was cut off, of which these messages show something.
    pub(super) fn resume(&mut self, turn: TurnId, text: &str, parts: &[Part], content: &str) {
        let starts: Vec<usize> = parts.iter().map(|part| part.start).collect();
        let now = Instant::now().into_std();
        self.reply = Reply::begun(text, &starts, content, self.manner, now).without(self.blocklist.clone());
        self.head();
        self.turn = Some(turn);
        let last = text.floor_char_boundary(starts.last().copied().unwrap_or_default());
        self.delivered = match split::end_of(text, last, content, self.manner.links) {
            Some(shown) => text[..shown].trim_end().to_owned(),
            // It is about to be written over, and shows something else until it is.
            None => format!("{}{content}", &text[..last]),
        };
        self.outcome = Outcome::Answered;
    }

    /// Only tells the member something.
    pub(super) async fn tell(&mut self, notice: Notice) {
        self.reply.finish_with(notice);
        // Whether a notice arrives changes nothing; the outlet has logged it.
        drop(self.deliver(None).await);
    }

    /// Tells the member why there is no answer and there will be none, when they could not know: because the program ends, or
    /// because somebody else has stopped it.
    pub(super) async fn tell_why(&mut self, stopped: Stopped, assistant: &Assistant) {
        match stopped {
            Stopped::Closing if assistant.answers_later() => self.outcome = Outcome::Waiting,
            Stopped::Closing => self.tell(Notice::Closing).await,
            Stopped::Halted if self.progress.is_halted_by_another() => {
                // What stopped the answer does not stop the word about it, and nothing of the answer is said with it.
                self.stop = CancellationToken::new();
                self.reply = self.blank();
                self.turn = None;
                self.tell(Notice::Halted).await;
            }
            Stopped::Halted
            | Stopped::Unwanted
            | Stopped::Edited
            | Stopped::Undeliverable
            | Stopped::Uncertain => {}
        }
    }

    /// Shows the reply as it grows, until it is over or stops.
    pub(super) async fn deliver(&mut self, mut generation: Option<Generation>) -> Ending {
        let mut ending = Ending::Said;
        loop {
            if let Err(stopped) = self.act_on_due().await {
                return Ending::Stopped(stopped);
            }
            if self.reply.is_over() {
                self.dress(false).await;
                return ending;
            }
            let generating = generation.is_some();
            let next = async {
                match &mut generation {
                    Some(generation) => generation.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ending::Stopped(self.why_stopped()),
                Ok(()) = self.edits.changed() => {
                    let is_shown = self.outcome != Outcome::Dropped;
                    if generating && self.beginnings > 0 && !is_shown {
                        return Ending::Stopped(Stopped::Edited);
                    }
                    // Of what answers somebody who is forgotten there is no more.
                    if self.live.is_withdrawn() {
                        return Ending::Stopped(Stopped::Halted);
                    }
                }
                () = self.assistant.ending.cancelled(), if generating => {
                    generation = None;
                    if sanitize::is_blank(self.reply.text()) {
                        self.reply.finish_with(Notice::Closing);
                    } else {
                        self.reply.finish();
                    }
                    ending = Ending::Closed;
                }
                event = next => match event {
                    Some(Event::Delta { text, .. }) => self.reply.write(&text),
                    Some(end @ (Event::Finished(_) | Event::Failed(_))) => {
                        generation = None;
                        self.finish_reply(&end);
                        ending = Ending::Generated(end);
                    }
                    Some(_) => {}
                    // It never ends without a last word; if it did, that would be a fault.
                    None => {
                        generation = None;
                        self.reply.finish_with(Notice::CutOff);
                    }
                },
                () = until(self.reply.next_due()) => {}
            }
        }
    }

    /// Waits for the future, while the reader sees that somebody is typing.
    pub(super) async fn while_typing<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Stopped> {
        let mut future = pin!(future);
        loop {
            self.act_on_due().await?;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(self.why_stopped()),
                () = self.assistant.closing.cancelled() => return Err(Stopped::Closing),
                output = &mut future => return Ok(output),
                () = until(self.reply.next_due()) => {}
            }
        }
    }

    /// Waits for the future, and shows nothing meanwhile.
    pub(super) async fn undisturbed<T>(&self, future: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(self.why_stopped()),
            () = self.assistant.closing.cancelled() => Err(Stopped::Closing),
            output = future => Ok(output),
        }
    }

    fn why_stopped(&self) -> Stopped {
        if self.progress.is_halted() { Stopped::Halted } else { Stopped::Unwanted }
    }

    /// Does what is due. What will be shown is written into the history before it is shown.
    async fn act_on_due(&mut self) -> Result<(), Stopped> {
        while let Some(action) = self.live.due(&mut self.reply, self.manner) {
            let (part, start) = match action {
                ReplyAction::Typing => {
                    match self.outlet.act(action, None).await {
                        Delivery::Gone | Delivery::Deleted => return Err(Stopped::Undeliverable),
                        // A typing sign that is missing costs nothing.
                        _ => continue,
                    }
                }
                ReplyAction::Delete { part } => {
                    self.take_away(part).await?;
                    continue;
                }
                ReplyAction::Tell { .. } => {
                    let delivery = self.outlet.act(action, None).await;
                    self.live.shown(self.manner);
                    match delivery {
                        Delivery::Sent { message, .. } => self.noticed(message),
                        Delivery::Failed => return Err(self.failed().await),
                        _ => return Err(Stopped::Undeliverable),
                    }
                    continue;
                }
                ReplyAction::Send { part, start, .. } => (part, start),
                ReplyAction::Edit { part, .. } => (part, 0),
                // A reply knows nothing of buttons, nor of what is said beside it.
                ReplyAction::Dress { .. } | ReplyAction::Aside { .. } => continue,
            };
            self.begin_to_show();
            let is_known = self.is_known;
            self.record(|turn, reply| {
                turn.state = TurnState::Streaming;
                if !is_known {
                    say(turn.shown_mut(), reply.shown_text());
                }
            });
            let row = self.row_now(!self.reply.is_over());
            let elsewhere = self.put_row(row);
            self.live.save().await;
            let delivery = self.outlet.act(action, row).await;
            self.live.shown(self.manner);
            match delivery {
                Delivery::Done => {
                    self.row = row;
                    self.outcome = Outcome::Answered;
                }
                Delivery::Sent { message, webhook } => {
                    self.row = row;
                    self.posted(Part { message, webhook, start });
                    self.live.save().await;
                    self.undress(elsewhere).await;
                }
                // Nothing goes on after what is something else.
                Delivery::Frozen
                    if self.delivered.is_empty() || !self.reply.text().starts_with(&self.delivered) =>
                {
                    self.tell_at_once(Notice::Unchangeable).await;
                    return Err(Stopped::Undeliverable);
                }
                Delivery::Frozen => {
                    self.reply.go_on_after(&self.delivered);
                    continue;
                }
                Delivery::Uncertain => {
                    self.reply.shown_text().clone_into(&mut self.delivered);
                    self.outcome = Outcome::Waiting;
                    self.unreachable = true;
                    return Err(Stopped::Uncertain);
                }
                Delivery::Deleted => {
                    self.lose(part);
                    return Err(Stopped::Undeliverable);
                }
                Delivery::Gone => return Err(Stopped::Undeliverable),
                Delivery::Failed => return Err(self.failed().await),
            }
            self.reply.shown_text().clone_into(&mut self.delivered);
        }
        Ok(())
    }

    /// Something could not be shown.
    async fn failed(&mut self) -> Stopped {
        self.apologise().await;
        Stopped::Undeliverable
    }

    /// What comes takes the place of what the turn has shown.
    fn begin_to_show(&mut self) {
        let Some(coming) = self.coming.take() else { return };
        let mut conversation = self.live.lock();
        let Some(turn) = self.turn.and_then(|turn| conversation.turn_mut(turn)) else { return };
        match coming {
            Coming::New(variant) => {
                turn.variants.push(*variant);
                turn.selected = turn.variants.len() - 1;
            }
            Coming::Known(variant) => {
                turn.selected = variant.min(turn.variants.len() - 1);
                self.is_known = true;
            }
        }
        turn.parts.truncate(1);
        for part in &mut turn.parts {
            part.start = 0;
        }
    }

    /// Deletes a message of the turn, because what it shows is not said any more.
    async fn take_away(&mut self, part: usize) -> Result<(), Stopped> {
        let message = self.message_of(part);
        if let Some(message) = message {
            self.live.will_delete(message);
        }
        let delivery = self.outlet.act(ReplyAction::Delete { part }, None).await;
        self.live.shown(self.manner);
        if matches!(delivery, Delivery::Done | Delivery::Deleted) {
            return Ok(());
        }
        if let Some(message) = message {
            self.live.did_not_delete(message);
        }
        self.tell_at_once(Notice::Unchangeable).await;
        Err(Stopped::Undeliverable)
    }

    /// The message that shows a part of the turn.
    fn message_of(&self, part: usize) -> Option<MessageId> {
        let conversation = self.live.lock();
        let turn = self.turn.and_then(|turn| conversation.turn(turn))?;
        turn.parts.get(part).map(|part| part.message)
    }

    /// The message of a part was deleted: what it showed goes when the reply is over.
    pub(super) fn lose(&self, part: usize) {
        if let Some(lost) = self.message_of(part) {
            self.live.delete_later(lost);
        }
    }

    /// Something could not be shown, though there is a place to show it: the member is told, if that can be shown.
    async fn apologise(&mut self) {
        let notice =
            if self.delivered.is_empty() { Notice::Broken { retryable: true } } else { Notice::CutOff };
        self.tell_at_once(notice).await;
    }

    /// Says something for the bot itself before the reply. Whether it arrives changes nothing; the outlet has logged it.
    pub(super) async fn say_aside(&mut self, number: usize, content: String) {
        let delivery = self.outlet.act(ReplyAction::Aside { number, content }, None).await;
        self.live.shown(self.manner);
        if let Delivery::Sent { message, .. } = delivery {
            self.live.noticed(message);
        }
    }

    /// Tells the member something beside what is being shown.
    async fn tell_at_once(&mut self, notice: Notice) {
        let part = self.reply.parts();
        let action = ReplyAction::Tell { part, content: notice.to_string() };
        match self.outlet.act(action, None).await {
            Delivery::Sent { message, .. } => self.noticed(message),
            Delivery::Failed if self.outcome == Outcome::Dropped && self.assistant.answers_later() => {
                // Nothing gets through at present.
                self.outcome = Outcome::Waiting;
                self.unreachable = true;
            }
            _ => {}
        }
    }

    /// A message was posted that shows a part of the turn.
    fn posted(&mut self, part: Part) {
        self.outcome = Outcome::Answered;
        self.record(|turn, _| turn.parts.push(part));
        if self.assistant.change_of(part.message) == Some(Change::Deleted) {
            // That was heard of before it was known whose it is.
            self.live.delete_later(part.message);
            self.stop.cancel();
        }
    }

    /// A message was posted in which the bot speaks for itself.
    fn noticed(&mut self, message: MessageId) {
        self.live.noticed(message);
        if self.outcome == Outcome::Dropped {
            self.outcome = Outcome::Told;
        }
    }

    /// Changes the persona's turn in the history, when there is one.
    fn record(&self, change: impl FnOnce(&mut Turn, &Reply)) {
        let mut conversation = self.live.lock();
        if let Some(turn) = self.turn.and_then(|id| conversation.turn_mut(id)) {
            change(turn, &self.reply);
        }
    }

    /// The generation has ended: the reply ends too, with a word of explanation where one is due.
    fn finish_reply(&mut self, event: &Event) {
        let blank = sanitize::is_blank(self.reply.text());
        match event {
            Event::Failed(Failure { kind: FailureKind::TooLong { have, limit }, .. }) if blank => {
                self.reply.finish_with(Notice::TooLong { have: *have, room: *limit });
            }
            Event::Failed(failure) if blank => {
                self.reply.finish_with(Notice::Broken { retryable: failure.retryable });
            }
            Event::Failed(_) => self.reply.finish_with(Notice::CutOff),
            Event::Finished(Finished { reason: Finish::Shutdown, .. }) if blank => {
                self.reply.finish_with(Notice::Broken { retryable: true });
            }
            _ if blank => self.reply.finish_with(Notice::Empty),
            _ => self.reply.finish(),
        }
    }

    /// Writes the reply as it ended into its turn.
    pub(super) fn remember(&self, ending: &Ending) {
        if self.coming.is_some() {
            // The turn is as it was.
            return;
        }
        let state = match ending {
            Ending::Said => TurnState::Complete,
            Ending::Generated(Event::Finished(finished)) => match finished.reason {
                Finish::Cancelled | Finish::Shutdown => TurnState::Interrupted,
                _ => TurnState::Complete,
            },
            Ending::Generated(_) | Ending::Stopped(Stopped::Undeliverable) => TurnState::Failed,
            Ending::Stopped(Stopped::Uncertain) => TurnState::Uncertain,
            Ending::Closed | Ending::Stopped(_) => TurnState::Interrupted,
        };
        self.record(|turn, reply| {
            turn.state = state;
            let variant = turn.shown_mut();
            say(variant, &self.delivered);
            let (Some(origin), Ending::Generated(Event::Finished(finished))) = (&mut variant.origin, ending)
            else {
                return;
            };
            origin.prompt_tokens = finished.usage.prompt_tokens;
            origin.cached_tokens = finished.usage.cached_tokens;
            origin.new_tokens = finished.usage.new_tokens;
            let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let Timings { queued, prefill, decode, .. } = finished.timings;
            origin.took = Took { queued: ms(queued), prefill: ms(prefill), decode: ms(decode) };
            if let Some(making) = &mut origin.making {
                making.finish = Some(finish_name(&finished.reason).to_owned());
            }
            // The ids stand for the text only as long as it is exactly what the model wrote.
            let verbatim =
                reply.verbatim().filter(|_| variant.text == reply.text() && !finished.ids.is_empty());
            let model = origin.model.clone();
            let tokens = |leading_space| match &self.goes_on {
                None => Some(Tokens { model, ids: finished.ids.clone(), leading_space }),
                Some(before) => {
                    let Tokens { ids, leading_space, .. } = before.tokens.as_ref()?;
                    Some(Tokens { model, ids: [ids, &*finished.ids].concat(), leading_space: *leading_space })
                }
            };
            variant.tokens = verbatim.and_then(tokens);
        });
    }
}

/// A variant says this from now on. The tokens of what it said before do not stand for anything else.
fn say(variant: &mut Variant, text: &str) {
    if variant.text != text {
        text.clone_into(&mut variant.text);
        variant.tokens = None;
    }
}

/// An empty reply of a persona.
fn blank(persona: &Persona, manner: Manner) -> Reply {
    Reply::new(&sanitize::name(persona.char_name()), manner, Instant::now().into_std())
}

/// Waits until then; for ever when there is no such time.
async fn until(time: Option<std::time::Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
