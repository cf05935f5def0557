//! One reply on its way to the outlet, and what of it goes into the history.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::following::Change;
use super::live::Live;
use super::steering::Progress;
use super::{Assistant, Delivery, Outlet, Registration};
use crate::chat::blocklist::Blocklist;
use crate::chat::history::{Part, Tokens, Took, Turn, TurnId, TurnState};
use crate::chat::notice::Notice;
use crate::chat::reply::{Manner, Reply, ReplyAction};
use crate::chat::request::Outcome;
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

/// A reply on its way to the outlet and into the history.
pub(super) struct Delivering<'a, O> {
    outlet: &'a mut O,
    manner: Manner,
    blocklist: Blocklist,
    stop: CancellationToken,
    pub(super) progress: Arc<Progress>,
    /// What its trigger says now, when that has changed.
    pub(super) edits: watch::Receiver<Option<String>>,
    /// How often it may begin again.
    beginnings: usize,
    assistant: Arc<Assistant>,
    pub(super) reply: Reply,
    pub(super) live: Arc<Live>,
    /// Who speaks, in the version of this reply.
    pub(super) persona: Arc<Persona>,
    /// The persona's turn that the reply is written into.
    pub(super) turn: Option<TurnId>,
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
            turn: None,
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

    /// An empty reply.
    fn blank(&self) -> Reply {
        blank(&self.persona, self.manner).without(self.blocklist.clone())
    }

    /// Goes on with a reply that was cut off, of which these messages show something.
    pub(super) fn resume(&mut self, turn: TurnId, text: &str, parts: &[Part], content: &str) {
        let starts: Vec<usize> = parts.iter().map(|part| part.start).collect();
        let now = Instant::now().into_std();
        self.reply = Reply::cut_off(text, &starts, content, Notice::Interrupted, self.manner, now);
        self.turn = Some(turn);
        let last = starts.last().copied().unwrap_or_default();
        let shown = split::end_of(text, last, content, self.manner.links).unwrap_or(text.len());
        text[..shown].trim_end().clone_into(&mut self.delivered);
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
            Stopped::Halted | Stopped::Unwanted | Stopped::Edited | Stopped::Undeliverable => {}
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
                Ok(()) = self.edits.changed(), if generating && self.beginnings > 0 && self.outcome == Outcome::Dropped => {
                    return Ending::Stopped(Stopped::Edited);
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
            if action == ReplyAction::Typing {
                match self.outlet.act(action).await {
                    Delivery::Gone | Delivery::Deleted => return Err(Stopped::Undeliverable),
                    // A typing sign that is missing costs nothing.
                    Delivery::Done | Delivery::Sent(_) | Delivery::Failed => continue,
                }
            }
            self.record(|turn, reply| {
                turn.state = TurnState::Streaming;
                reply.shown_text().clone_into(&mut turn.shown_mut().text);
            });
            self.live.save().await;
            let (part, start) = match action {
                ReplyAction::Send { part, start, .. } => (part, start),
                ReplyAction::Edit { part, .. } => (part, 0),
                ReplyAction::Typing => (0, 0),
            };
            let delivery = self.outlet.act(action).await;
            self.live.shown(self.manner);
            match delivery {
                Delivery::Done => {}
                Delivery::Sent(message) => {
                    self.posted(message, start);
                    self.live.save().await;
                }
                Delivery::Deleted => {
                    self.lose(part);
                    return Err(Stopped::Undeliverable);
                }
                Delivery::Gone => return Err(Stopped::Undeliverable),
                Delivery::Failed => {
                    self.apologise().await;
                    return Err(Stopped::Undeliverable);
                }
            }
            self.reply.shown_text().clone_into(&mut self.delivered);
        }
        Ok(())
    }

    /// The message of a part was deleted: what it showed goes when the reply is over.
    fn lose(&self, part: usize) {
        let turn = self.turn.and_then(|turn| self.live.lock().turn(turn).cloned());
        if let Some(lost) = turn.and_then(|turn| turn.parts.get(part).copied()) {
            self.live.delete_later(lost.message);
        }
    }

    /// Something could not be shown, though there is a place to show it: the member is told, if that can be shown.
    async fn apologise(&mut self) {
        let notice =
            if self.delivered.is_empty() { Notice::Broken { retryable: true } } else { Notice::CutOff };
        let part = self.reply.parts();
        let action = ReplyAction::Send { part, start: 0, content: notice.to_string() };
        match self.outlet.act(action).await {
            Delivery::Sent(message) => self.noticed(message),
            Delivery::Failed if self.outcome == Outcome::Dropped && self.assistant.answers_later() => {
                // Nothing gets through at present.
                self.outcome = Outcome::Waiting;
                self.unreachable = true;
            }
            Delivery::Done | Delivery::Failed | Delivery::Deleted | Delivery::Gone => {}
        }
    }

    /// A message was posted: it is a part of the turn, or, while the persona has said nothing, a notice.
    fn posted(&mut self, message: MessageId, start: usize) {
        // What comes after the text is a notice.
        let says = self.reply.shown_text();
        if self.turn.is_none() || sanitize::is_blank(says) || start >= says.len() {
            self.noticed(message);
        } else {
            self.outcome = Outcome::Answered;
            self.record(|turn, _| turn.parts.push(Part { message, webhook: None, start }));
            if self.assistant.change_of(message) == Some(Change::Deleted) {
                // That was heard of before it was known whose it is.
                self.live.delete_later(message);
                self.stop.cancel();
            }
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
        let state = match ending {
            Ending::Said => TurnState::Complete,
            Ending::Generated(Event::Finished(finished)) => match finished.reason {
                Finish::Cancelled | Finish::Shutdown => TurnState::Interrupted,
                _ => TurnState::Complete,
            },
            Ending::Generated(_) | Ending::Stopped(Stopped::Undeliverable) => TurnState::Failed,
            Ending::Closed | Ending::Stopped(_) => TurnState::Interrupted,
        };
        self.record(|turn, reply| {
            turn.state = state;
            let variant = turn.shown_mut();
            self.delivered.clone_into(&mut variant.text);
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
            // The ids stand for the text only as long as it is exactly what the model wrote.
            let verbatim =
                reply.verbatim().filter(|_| variant.text == reply.text() && !finished.ids.is_empty());
            variant.tokens = verbatim.map(|leading_space| Tokens {
                model: origin.model.clone(),
                ids: finished.ids.clone(),
                leading_space,
            });
        });
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
