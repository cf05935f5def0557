//! A recorded reply once more: one text alone, in which the recorded token comes next whatever would be chosen. It has no
//! queue and no thread, and computes where it is called.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::llama::{Llama, Model};
use super::pages::{Page, Pages, pages_for};
use super::sampling::Sampler;
use super::scheduler::{LARGEST_CHUNK, Span, Step};
use super::sequence::validate;
use super::tokenizer::masked_rows;
use super::weights;
use super::{EngineOptions, Known, LoadError, LoadProgress, Origin, device};
use crate::generation::{ModelInfo, Request};

/// Logits that another device computes, or the same one in another order, may be off by so much: in tests the widest lead that
/// was ever lost to that is a little less than twice of it.
pub const NOISE: f32 = 0.125;

/// A model in which a reply is made once more.
pub struct Replay(Known);

/// A reply that was made once more.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// Tokens of the prompt, as it is read now.
    pub prompt_tokens: usize,
    /// How many tokens were compared.
    pub compared: usize,
    /// How many of them would be others.
    pub others: usize,
    /// The first of those.
    pub first: Option<Otherwise>,
}

/// A token that would be another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Otherwise {
    /// Which, counted from 0.
    pub index: usize,
    /// The recorded one.
    pub recorded: u32,
    /// The one that would be chosen now; `None` when there is nothing to choose from.
    pub chosen: Option<u32>,
    /// By how much its logit is greater than that of the recorded one, after penalties; less than 0 where a lot is drawn that
    /// falls on a less likely one. `None` when the recorded one may not be chosen at all.
    pub lead: Option<f32>,
    /// By how much the logits would have to be off for the recorded one to be chosen, if that would do.
    pub reach: Option<f32>,
}

impl Otherwise {
    /// Whether another device may well have chosen the recorded one.
    #[must_use]
    pub fn is_noise(&self) -> bool {
        self.reach.is_some_and(|reach| reach <= NOISE)
    }
}

/// Why a reply cannot be made once more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The model cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It makes no sense.
    #[error("what was asked makes no sense: {0}")]
    Invalid(String),
    /// It does not fit into the model's context.
    #[error("prompt and reply take {have} tokens, and this model reads {most} at most")]
    TooLong {
        /// Tokens of both.
        have: usize,
        /// Most tokens.
        most: usize,
    },
    /// It has tokens that the model does not have.
    #[error("it has tokens that this model does not know")]
    UnknownTokens,
    /// The model does not work.
    #[error("the model could not compute it: {0}")]
    Model(String),
}

impl Replay {
    /// Reads what a model's file tells of it; its weights are not loaded yet.
    ///
    /// # Errors
    /// A [`LoadError`] when the file is no model that runs here.
    pub fn open(origin: impl Into<Origin>, options: EngineOptions) -> Result<Self, LoadError> {
        Known::read(origin.into(), options).map(Self)
    }

    /// What would run.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    /// The text of one token; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn text_of(&self, id: u32) -> String {
        self.0.tokenizer.decode(&[id])
    }

    /// Loads the model, reads the prompt and the recorded tokens, and chooses each of them once more. `loading` hears of bytes
    /// of weights, `reading` of the tokens that are done and of all of them.
    ///
    /// # Errors
    /// A [`ReplayError`], which says why that cannot be.
    pub fn run(
        &self,
        request: &Request,
        recorded: &[u32],
        mut loading: impl FnMut(LoadProgress),
        mut reading: impl FnMut(usize, usize),
    ) -> Result<Replayed, ReplayError> {
        let Known { header, tokenizer, shape, info, .. } = &self.0;
        validate(request).map_err(|failure| ReplayError::Invalid(failure.detail))?;
        let prompt = tokenizer.encode(&request.prompt).ids;
        let have = prompt.len() + recorded.len();
        if have > info.context_length {
            return Err(ReplayError::TooLong { have, most: info.context_length });
        }
        if prompt.iter().chain(recorded).any(|&id| id as usize >= info.vocabulary) {
            return Err(ReplayError::UnknownTokens);
        }
        self.0.cache_bytes(have)?;
        let total = weights::total_bytes(header);
        let mut report = |done| loading(LoadProgress { done, total });
        let pages = pages_for(have);
        let model = Llama::load(header, shape, device::open()?, info.context_length, pages, &mut report);
        let settings = request.sampling.clone();
        let seed = settings.seed.unwrap_or_default();
        let sampler = Sampler::new(settings, seed, masked_rows(tokenizer, info.vocabulary).into());
        let follow = Following {
            model: model?,
            sampler,
            known: tokenizer.len(),
            unended: (tokenizer.eos(), request.min_tokens),
            tokens: prompt,
        };
        follow.run(recorded, &mut reading)
    }
}

/// A text that is computed token by token.
struct Following<M> {
    model: M,
    sampler: Sampler,
    /// Rows of the vocabulary; what is behind them says nothing.
    known: usize,
    /// The end-of-text token, and before which new token it is not chosen.
    unended: (u32, usize),
    /// The prompt.
    tokens: Vec<u32>,
}

impl<M: Model> Following<M> {
    fn run(
        mut self,
        recorded: &[u32],
        reading: &mut dyn FnMut(usize, usize),
    ) -> Result<Replayed, ReplayError> {
        let prompt_tokens = self.tokens.len();
        let total = prompt_tokens + recorded.len();
        let mut all = Pages::new(pages_for(total));
        let pages: Vec<Page> = std::iter::from_fn(|| all.take()).collect();
        let mut replayed = Replayed { prompt_tokens, compared: recorded.len(), others: 0, first: None };
        let mut start = 0;
        for (index, &id) in recorded.iter().enumerate() {
            let mut logits = Vec::new();
            // All of the prompt at first, and then what was recorded last.
            while start < self.tokens.len() {
                let end = self.tokens.len().min(start + LARGEST_CHUNK);
                let chooses = end == self.tokens.len();
                let pages = pages[..pages_for(end)].to_vec();
                logits = self.compute(Span {
                    key: 0,
                    start,
                    ids: self.tokens[start..end].to_vec(),
                    pages,
                    chooses,
                })?;
                start = end;
                reading(start, total);
            }
            if let Some(otherwise) = self.choose(&mut logits, index, id) {
                replayed.others += 1;
                replayed.first.get_or_insert(otherwise);
            }
            self.tokens.push(id);
        }
        reading(total, total);
        Ok(replayed)
    }

    /// The logits after the last token of a span, if it chooses.
    fn compute(&mut self, span: Span) -> Result<Vec<f32>, ReplayError> {
        let chooses = span.chooses;
        let step = Step { spans: vec![span], ..Step::default() };
        let logits = catch_unwind(AssertUnwindSafe(|| self.model.forward(&step)))
            .map_err(|_| ReplayError::Model("it panicked".to_owned()))?
            .map_err(|error| ReplayError::Model(error.to_string()))?;
        let row = logits.into_iter().next().unwrap_or_default();
        let known = row.len().min(self.known);
        if chooses && !(known > 0 && row[..known].iter().all(|logit| logit.is_finite())) {
            return Err(ReplayError::Model("it gave numbers that are not finite".to_owned()));
        }
        Ok(row)
    }

    /// Chooses the token with this index, as a reply does. What is to be said when it is not the recorded one.
    fn choose(&mut self, logits: &mut [f32], index: usize, recorded: u32) -> Option<Otherwise> {
        let (eos, first) = self.unended;
        self.sampler.prepare(logits, &self.tokens, (index < first).then_some(eos));
        let chosen = self.sampler.choose(logits, index as u64);
        if chosen == Some(recorded) {
            return None;
        }
        let logit = |id: u32| logits.get(id as usize).copied().filter(|logit| logit.is_finite());
        let lead = chosen.and_then(logit).zip(logit(recorded)).map(|(chosen, recorded)| chosen - recorded);
        let reach = self.sampler.reach(logits, index as u64, recorded);
        Some(Otherwise { index, recorded, chosen, lead, reach })
    }
}

#[cfg(test)]
mod tests {
    use super::super::llama::StepError;
    use super::*;
    use crate::generation::Sampling;

    /// Always after a token comes the next one, by this lead over the one after that.
    struct Counting(f32, usize);

    impl Model for Counting {
        fn forward(&mut self, step: &Step) -> Result<Vec<Vec<f32>>, StepError> {
            let span = &step.spans[0];
            assert_eq!((step.spans.len(), span.start), (1, self.1), "each token is computed once");
            assert_eq!(span.pages.len(), pages_for(span.end()));
            self.1 = span.end();
            let last = *span.ids.last().expect("it has tokens") as usize;
            let mut row = vec![0.0; 2_000];
            (row[last + 1], row[last + 2]) = (5.0 + self.0, 5.0);
            Ok(if span.chooses { vec![row] } else { Vec::new() })
        }

        fn probe(&mut self) -> Result<(), StepError> {
            Ok(())
        }
    }

    fn followed(lead: f32, prompt: Vec<u32>, recorded: &[u32]) -> Replayed {
        let sampler = Sampler::new(Sampling::default(), 0, [0].into());
        let model = Counting(lead, 0);
        let follow = Following { model, sampler, known: 2_000, unended: (0, 0), tokens: prompt };
        let mut heard = Vec::new();
        let replayed = follow.run(recorded, &mut |done, total| heard.push((done, total))).expect("it works");
        assert!(heard.is_sorted() && heard.last().is_some_and(|(done, total)| done == total), "{heard:?}");
        replayed
    }

    #[test]
    fn a_long_prompt_is_read_in_parts_and_what_was_recorded_follows() {
        let prompt: Vec<u32> = (1..=1_200).collect();
        let replayed = followed(1.0, prompt, &[1_201, 1_202, 1_203]);
        assert_eq!(replayed, Replayed { prompt_tokens: 1_200, compared: 3, others: 0, first: None });
    }

    #[test]
    fn the_first_that_would_be_another_is_named_and_those_after_follow_what_was_recorded() {
        for (lead, is_noise) in [(0.125, true), (1.0, false)] {
            let replayed = followed(lead, vec![1, 2], &[3, 5, 6, 8, 9]);
            let first = replayed.first.expect("one is another");
            assert_eq!((replayed.others, first.index, first.recorded, first.chosen), (2, 1, 5, Some(4)));
            assert_eq!(first.lead.map(f32::to_bits), Some(lead.to_bits()));
            assert!((first.reach.expect("it is near") - lead / 2.0).abs() < 1e-3, "{first:?}");
            assert_eq!(first.is_noise(), is_noise);
        }
    }

    #[test]
    fn what_may_not_be_chosen_has_no_lead_and_cannot_be_reached() {
        let first = followed(1.0, vec![1], &[0]).first.expect("it is another");
        assert_eq!((first.lead, first.reach, first.is_noise()), (None, None, false));
    }
}
