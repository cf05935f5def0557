//! One reply on its way to the outlet, and what of it goes into the history.

use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Delivery, Live, Outlet};
use crate::chat::history::{Part, Tokens, Turn, TurnId, TurnState};
use crate::chat::notice::Notice;
use crate::chat::reply::{Reply, ReplyAction};
use crate::chat::sanitize;
use crate::generation::{Event, Failure, FailureKind, Finish, Finished, Generation};

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
    pub(super) outlet: &'a mut O,
    pub(super) reply: Reply,
    pub(super) stop: CancellationToken,
    pub(super) closing: CancellationToken,
    pub(super) live: Arc<Live>,
    /// The persona's turn that the reply is written into.
    pub(super) turn: Option<TurnId>,
    /// What the reader has certainly seen.
    pub(super) delivered: String,
}

impl<O: Outlet> Delivering<'_, O> {
    /// Only tells the member something.
    pub(super) async fn tell(&mut self, notice: Notice) {
        self.reply.finish_with(notice);
        // Whether a notice arrives changes nothing; the outlet has logged it.
        drop(self.deliver(None).await);
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
                    self.reply.finish();
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
                    None => generation = None,
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
        while let Some(action) = self.reply.due(Instant::now().into_std()) {
            let is_typing = action == ReplyAction::Typing;
            if !is_typing {
                self.record(|turn, reply| {
                    turn.state = TurnState::Streaming;
                    reply.shown_text().clone_into(&mut turn.shown_mut().text);
                });
            }
            match self.outlet.act(action).await {
                Delivery::Gone => return Err(Stopped::Undeliverable),
                Delivery::Failed if !is_typing => return Err(Stopped::Undeliverable),
                Delivery::Sent(message) => {
                    self.record(|turn, _| turn.parts.push(Part { message, webhook: None }));
                }
                Delivery::Done | Delivery::Failed => {}
            }
            if !is_typing {
                let now = Instant::now();
                self.live.shown_at(now);
                self.reply.shown_at(now.into_std());
                self.reply.shown_text().clone_into(&mut self.delivered);
            }
        }
        Ok(())
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
