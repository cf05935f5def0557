//! A message that was taken in, from its place in the line to what became of it.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::delivering::Delivering;
use super::limits::Share;
use super::line::{Busy, PlaceInLine};
use super::retelling::Retelling;
use super::rewriting::Rewriting;
use super::{Assistant, Outlet, Registration};
use crate::chat::addressing::Incoming;
use crate::chat::history::{Part, TurnId};
use crate::chat::markdown::Links;
use crate::chat::notice::Notice;
use crate::chat::request::{Asked, Concluded, Outcome};
use crate::chat::{MemberId, MessageId, Place};
use crate::persona::PersonaId;

/// A message that was taken in and waits to be answered. Dropping it gives its place up.
pub struct Accepted {
    pub(super) registration: Registration,
    pub(super) incoming: Incoming,
    pub(super) asked: Asked,
    pub(super) known: Known,
    pub(super) stop: CancellationToken,
    pub(super) edits: watch::Receiver<Option<String>>,
    pub(super) work: Work,
}

/// Whether it is written down that a message was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    New,
    WrittenDown,
}

/// What there is to do for a message.
pub(super) enum Work {
    /// It is to be answered.
    Answer { place: Result<PlaceInLine, Busy>, share: Share, cue: Option<Cue> },
    /// It exceeds a limit; its author is to be told, unless that was just said.
    Refuse(Option<Notice>),
    /// Its author does not want to be read; nothing of it is written down.
    Ignore(Option<Notice>),
    /// The reply to it was cut off when the last process ended, and is to be brought to an end.
    End(CutOff),
    /// A member wants something of the last reply.
    Retell(Retelling),
    /// A member wants a line to say something else.
    Rewrite(Rewriting),
}

/// A persona is to speak, though nobody has said anything to it.
pub(super) struct Cue {
    /// Which; without it whoever is the next one.
    pub(super) persona: Option<PersonaId>,
}

/// A reply that was cut off.
pub(super) struct CutOff {
    pub(super) turn: TurnId,
    pub(super) place: Result<PlaceInLine, Busy>,
    /// The messages that show it.
    pub(super) parts: Vec<Part>,
    /// What each of them shows.
    pub(super) contents: Vec<String>,
}

impl Accepted {
    /// The message that is answered, or the number of the wish that is granted.
    #[must_use]
    pub fn wanted_by(&self) -> MessageId {
        self.asked.message
    }

    /// The name of whoever asked; empty where it does not matter.
    #[must_use]
    pub fn asker_name(&self) -> &str {
        &self.incoming.author.name
    }

    /// Who posted it, when it is known.
    #[must_use]
    pub fn asker(&self) -> Option<MemberId> {
        Some(self.incoming.author.id).filter(|member| member.0 != 0)
    }

    /// The same, and a persona is to speak though nobody has said anything to it.
    pub(super) fn on_cue(mut self, persona: Option<PersonaId>) -> Self {
        if let Work::Answer { cue, .. } = &mut self.work {
            *cue = Some(Cue { persona });
        }
        self
    }

    /// Whether it has a place in the line.
    pub(super) fn waits(&self) -> bool {
        matches!(self.work, Work::Answer { place: Ok(_), .. })
    }

    /// Whether there is a message that is answered.
    #[must_use]
    pub fn answers_a_message(&self) -> bool {
        !matches!(self.work, Work::Answer { cue: Some(_), .. })
    }

    /// Where it is answered.
    #[must_use]
    pub fn place(&self) -> Place {
        self.registration.live.place
    }

    /// Whether it was taken in before a restart, and may have been answered then.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.known == Known::WrittenDown
    }

    /// Whether links in the answer are shown as they are.
    #[must_use]
    pub fn shows_links(&self) -> bool {
        let Registration { assistant, live, .. } = &self.registration;
        assistant.manner_in(live.place).links == Links::AsWritten
    }

    /// Whether it is only said that an answer was cut off, of which something may be shown already.
    #[must_use]
    pub fn is_afterthought(&self) -> bool {
        self.is_again() && matches!(self.work, Work::Refuse(_))
    }

    /// The messages that show a part of the answer already.
    #[must_use]
    pub fn shown(&self) -> &[Part] {
        match &self.work {
            Work::End(cut_off) => &cut_off.parts,
            Work::Retell(retelling) => &retelling.parts,
            Work::Rewrite(rewriting) => &rewriting.parts,
            Work::Answer { .. } | Work::Refuse(_) | Work::Ignore(_) => &[],
        }
    }

    /// Nothing can be said where it was posted: in a scene it is a line all the same.
    pub async fn pass_over(self) {
        let Registration { assistant, live, .. } = &self.registration;
        assistant.hear_last(live);
        live.save().await;
    }

    /// Answers: waits for its turn, makes the reply and hands it to the outlet piece by piece.
    pub async fn answer(self, outlet: &mut impl Outlet) {
        let Self { registration, mut incoming, asked, known, stop, edits, work } = self;
        let (assistant, live) = (Arc::clone(&registration.assistant), Arc::clone(&registration.live));
        let is_kept = !matches!(work, Work::Ignore(_));
        if is_kept && known == Known::New && !assistant.write_down(&asked).await {
            return;
        }
        let began = Instant::now();
        let mut delivering = Delivering::new(outlet, &registration, stop, edits);
        let share = match work {
            Work::Answer { place, share, cue } => {
                delivering.answer(&assistant, &mut incoming, place, cue).await;
                Some(share)
            }
            Work::Refuse(notice) | Work::Ignore(notice) => {
                if let Some(notice) = notice {
                    delivering.tell(notice).await;
                }
                delivering.outcome = Outcome::Refused;
                None
            }
            Work::End(cut_off) => {
                delivering.end(cut_off).await;
                None
            }
            Work::Retell(retelling) => delivering.retell(&assistant, &asked, retelling).await,
            Work::Rewrite(rewriting) => {
                delivering.rewrite(&assistant, rewriting).await;
                None
            }
        };
        if let Some(turn) = delivering.turn {
            live.done_with(turn);
        }
        if let Some(line) = live.waits_no_more(asked.message)
            && delivering.outcome != Outcome::Waiting
        {
            assistant.hear_unanswered(&live, &line);
        }
        delivering.dress(false).await;
        let (outcome, tokens, unreachable) = (delivering.outcome, delivering.tokens, delivering.unreachable);
        live.delete_now();
        // The registration is there until then, so that the program does not end before.
        live.save().await;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if is_kept {
            assistant.conclude(asked.message, Concluded { outcome, took, tokens }).await;
        }
        drop((share, registration));
        if unreachable {
            // Whoever settles the channel from now on does not find it running any more.
            assistant.leave_undone(live.place);
        }
        assistant.sum_up_later(&live);
    }
}

impl Assistant {
    /// Writes down that a message was taken in. Whether it is to be answered, because it was not taken in before.
    async fn write_down(&self, asked: &Asked) -> bool {
        let Some(store) = &self.store else { return true };
        match store.take_in(asked).await {
            Ok(new) => new,
            Err(error) => {
                tracing::error!("that a message was taken in could not be written down: {error}");
                true
            }
        }
    }

    /// Writes down what became of a message. One that waits still is answered when the bot is back.
    pub(super) async fn conclude(&self, message: MessageId, concluded: Concluded) {
        let Some(store) = &self.store else { return };
        if concluded.outcome == Outcome::Waiting {
            return;
        }
        if let Err(error) = store.conclude(message, concluded).await {
            tracing::error!("what became of a message could not be written down: {error}");
        }
    }

    /// Whether a message that is not answered now is answered when the bot is back.
    pub(super) fn answers_later(&self) -> bool {
        self.store.is_some() && !self.settings.answer_within.is_zero()
    }
}
