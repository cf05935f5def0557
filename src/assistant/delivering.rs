//! One reply on its way to the outlet, and what of it goes into the history.

use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::live::Live;
use super::{Delivery, Outlet, Registration};
use crate::chat::history::{Part, Tokens, Turn, TurnId, TurnState};
use crate::chat::notice::Notice;
use crate::chat::reply::{Manner, Reply, ReplyAction};
use crate::chat::{MessageId, sanitize};
use crate::generation::{Event, Failure, FailureKind, Finish, Finished, Generation};
use crate::persona::Persona;

/// Why an answer ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// Its trigger or its channel is gone.
    Unwanted,
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
    stop: CancellationToken,
    closing: CancellationToken,
    pub(super) reply: Reply,
    pub(super) live: Arc<Live>,
    /// Who speaks, in the version of this reply.
    pub(super) persona: Arc<Persona>,
    /// The persona's turn that the reply is written into.
    pub(super) turn: Option<TurnId>,
    /// What the reader has certainly seen.
    pub(super) delivered: String,
}

impl<'a, O: Outlet> Delivering<'a, O> {
    /// An empty reply of the persona that answers here.
    pub(super) fn new(outlet: &'a mut O, registration: &Registration, stop: CancellationToken) -> Self {
        let live = Arc::clone(&registration.live);
        let manner = registration.assistant.settings.manner;
        let persona = live.persona();
        let name = sanitize::name(persona.char_name());
        Self {
            outlet,
            reply: Reply::new(&name, manner, Instant::now().into_std()),
            manner,
            stop,
            closing: registration.assistant.closing.clone(),
            live,
            persona,
            turn: None,
            delivered: String::new(),
        }
    }

    /// Only tells the member something.
    pub(super) async fn tell(&mut self, notice: Notice) {
        self.reply.finish_with(notice);
        // Whether a notice arrives changes nothing; the outlet has logged it.
        drop(self.deliver(None).await);
    }

    /// Tells the member that the program ends, when that is why there is no answer.
    pub(super) async fn tell_if_closing(&mut self, stopped: Stopped) {
        if stopped == Stopped::Closing {
            self.tell(Notice::Closing).await;
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
                () = self.stop.cancelled() => return Ending::Stopped(Stopped::Unwanted),
                () = self.closing.cancelled(), if generating => {
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
                () = self.stop.cancelled() => return Err(Stopped::Unwanted),
                () = self.closing.cancelled() => return Err(Stopped::Closing),
                output = &mut future => return Ok(output),
                () = until(self.reply.next_due()) => {}
            }
        }
    }

    /// Does what is due. What will be shown is written into the history before it is shown.
    async fn act_on_due(&mut self) -> Result<(), Stopped> {
        while let Some(action) = self.live.due(&mut self.reply, self.manner) {
            if action == ReplyAction::Typing {
                match self.outlet.act(action).await {
                    Delivery::Gone => return Err(Stopped::Undeliverable),
                    // A typing sign that is missing costs nothing.
                    Delivery::Done | Delivery::Sent(_) | Delivery::Failed => continue,
                }
            }
            self.record(|turn, reply| {
                turn.state = TurnState::Streaming;
                reply.shown_text().clone_into(&mut turn.shown_mut().text);
            });
            self.live.save().await;
            let delivery = self.outlet.act(action).await;
            self.live.shown(self.manner);
            match delivery {
                Delivery::Done => {}
                Delivery::Sent(message) => {
                    self.posted(message);
                    self.live.save().await;
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

    /// Something could not be shown, though there is a place to show it: the member is told, if that can be shown.
    async fn apologise(&mut self) {
        let notice =
            if self.delivered.is_empty() { Notice::Broken { retryable: true } } else { Notice::CutOff };
        let part = self.reply.parts();
        let action = ReplyAction::Send { part, content: notice.to_string() };
        if let Delivery::Sent(message) = self.outlet.act(action).await {
            self.live.noticed(message);
        }
    }

    /// A message was posted: it is a part of the turn, or, while the persona has said nothing, a notice.
    fn posted(&self, message: MessageId) {
        if self.turn.is_none() || sanitize::is_blank(self.reply.shown_text()) {
            self.live.noticed(message);
        } else {
            self.record(|turn, _| turn.parts.push(Part { message, webhook: None }));
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

/// Waits until then; for ever when there is no such time.
async fn until(time: Option<std::time::Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
