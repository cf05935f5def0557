//! Bug bundles: what a reply was made of, built once more from what is remembered.

use std::sync::Arc;

use super::Assistant;
use super::answer::sampling;
use crate::chat::budget::{self, Fitted, Room};
use crate::chat::history::{Conversation, Cut, Origin, Speaker, Turn, TurnId};
use crate::chat::slots::{self, Source};
use crate::chat::text::Remark;
use crate::chat::{MessageId, Place};
use crate::generation::Generator;
use crate::generation::bundle::{Bundle, FORMAT, machine};
use crate::persona::Persona;

/// Why there is no bug bundle of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbundled {
    /// It is no reply, was not generated, or is not remembered.
    Unknown,
    /// It is being made still.
    Unfinished,
    /// The persona that has said it cannot play here any more.
    PlaysNoMore,
    /// Its prompt cannot be built any more.
    Unbuilt,
}

impl Assistant {
    /// The file of the bug bundle of the reply that is shown in a message.
    ///
    /// # Errors
    /// [`Unbundled`] when there can be none.
    pub async fn bundle_of(&self, place: Place, message: MessageId) -> Result<Vec<u8>, Unbundled> {
        let live = self.bring(place).await.ok_or(Unbundled::Unknown)?;
        let conversation = live.lock().clone();
        let said = conversation.turn_of(message).cloned().ok_or(Unbundled::Unknown)?;
        let origin = said.shown().origin.clone().ok_or(Unbundled::Unknown)?;
        if said.state.is_unfinished() || live.is_at_work_on(said.id) {
            return Err(Unbundled::Unfinished);
        }
        let persona = self.speaker_of(&live, &said).ok_or(Unbundled::PlaysNoMore)?;
        let generator = Arc::clone(&self.generator);
        let made = Made { conversation, said, origin, persona, generator };
        // Counting the tokens of a long history takes a while.
        let written = tokio::task::spawn_blocking(move || made.bundle()?.write().ok());
        written.await.ok().flatten().ok_or(Unbundled::Unbuilt)
    }
}

/// A reply that was made, and what it was made of as far as that is remembered.
struct Made {
    conversation: Conversation,
    said: Turn,
    origin: Origin,
    persona: Arc<Persona>,
    generator: Arc<dyn Generator>,
}

impl Made {
    fn bundle(self) -> Option<Bundle> {
        let Origin { sampling: wish, seed, prompt_tokens, explanation, .. } = &self.origin;
        let info = self.generator.info();
        let room = Room::in_context(info.context_length, wish.max_tokens);
        let (fitted, stop) = self.prompt(room)?;
        let making = self.origin.making.as_ref();
        let is_exact = making.is_some_and(|making| making.prompt == fitted.prompt.fingerprint());
        let ids = self.ids();
        let speaks_as = match &self.said.speaker {
            Speaker::Persona { version, .. } => version.as_str(),
            Speaker::Member(_) | Speaker::Guest { .. } => "",
        };
        let remarks = [
            (self.origin.model != info.id).then_some(Remark::OtherModel),
            making.is_none().then_some(Remark::Old),
            (making.is_some() && !is_exact)
                .then_some(Remark::OtherPrompt { have: fitted.tokens, had: *prompt_tokens }),
            (!is_exact && speaks_as != self.persona.version).then_some(Remark::OtherPersona),
            ids.is_none().then_some(Remark::NoTokens),
        ];
        Some(Bundle {
            format: FORMAT,
            machine: making.map_or_else(|| machine(info), |making| making.machine.clone()),
            model: self.origin.model.clone(),
            context_length: info.context_length,
            remarks: remarks.into_iter().flatten().map(|remark| remark.to_string()).collect(),
            explanation: explanation.to_string(),
            text: self.said.shown().text.clone(),
            ids,
            finish: making.and_then(|making| making.finish.clone()),
            sampling: sampling(*wish, *seed),
            min_tokens: super::answer::LEAST_TOKENS,
            max_tokens: room.reply,
            stop,
            is_exact,
            prompt_tokens: *prompt_tokens,
            prompt: fitted.prompt.segments,
        })
    }

    /// The prompt and the stop strings as they were.
    fn prompt(&self, room: Room) -> Option<(Fitted, Vec<String>)> {
        let Origin { model, explanation, .. } = &self.origin;
        let (first, last) = explanation.turns?;
        let first_turn = if explanation.turns_dropped == 0 { 0 } else { first.0 };
        let cut = Cut { first_turn, examples_dropped: explanation.examples_dropped };
        // A reply that was said anew, or gone on with, was there already, and nothing that came after it.
        let begun = self.origin.begun();
        let was_there = self.said.selected > 0 || begun.is_some();
        let next = if was_there { TurnId(self.said.id.0 + 1) } else { TurnId(last.0 + 1) };
        // The newest one that was told is the last of them.
        let told = explanation.pieces.iter().filter_map(|(source, _)| match source {
            Source::Memory(number) => Some(number + 1),
            _ => None,
        });
        let memories = told.max().unwrap_or(0);
        let mut before = self.conversation.as_of(last, next, cut, memories);
        let count = |prompt: &_| self.generator.count(prompt).tokens();
        let fitted = match begun {
            None => budget::fit(&self.persona, &mut before, model, room.prompt, last, count),
            Some(begun) => {
                let beginning = self.said.shown().beginning(begun)?;
                let begun = Turn { variants: vec![beginning], selected: 0, ..self.said.clone() };
                budget::fit_begun(&self.persona, &mut before, model, room.prompt, &begun, count)
            }
        };
        let fitted = fitted.ok()?;
        let newest = if was_there { self.said.id } else { last };
        let there = self.conversation.as_of(newest, next, before.cut, memories);
        let stop = slots::stop_strings(&self.persona, &there, fitted.direct);
        Some((fitted, stop))
    }

    /// The tokens that were chosen, when they are known.
    fn ids(&self) -> Option<Vec<u32>> {
        let tokens = self.said.shown().tokens.as_ref()?;
        let before = match self.origin.begun() {
            None => 0,
            Some(begun) => begun.ids?,
        };
        let is_its = tokens.model == self.origin.model;
        tokens.ids.get(before..).filter(|_| is_its).map(<[u32]>::to_vec)
    }
}
