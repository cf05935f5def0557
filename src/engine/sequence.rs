//! One reply in the making: from logits to tokens, from tokens to text, from text to events, until something
//! ends it. It knows no model and no thread.

use std::sync::Arc;

use super::detokenize::Detokenizer;
use super::sampling::Sampler;
use super::stop::{Matched, StopMatcher};
use super::tokenizer::Tokenizer;
use crate::generation::{Event, Failure, FailureKind, Finish, Mailbox, Request, Sampling, Segment};

/// Checks what does not need the tokenizer.
pub(crate) fn validate(request: &Request) -> Result<(), Failure> {
    let Sampling { temperature, top_p, min_p, repetition_penalty, .. } = request.sampling;
    let Sampling { frequency_penalty, presence_penalty, .. } = request.sampling;
    let is_empty = |segment: &Segment| {
        segment.text().is_empty() && !matches!(segment, Segment::Generated { ids, .. } if !ids.is_empty())
    };
    let problem = if request.prompt.segments.iter().all(is_empty) {
        "the prompt is empty"
    } else if request.max_tokens == 0 {
        "no new tokens are asked for"
    } else if request.stop.iter().any(String::is_empty) {
        "a stop string is empty"
    } else if !(temperature >= 0.0 && temperature.is_finite()) {
        "the temperature is not a number from 0 up"
    } else if !(0.0..=1.0).contains(&top_p) {
        "top-p is not from 0 to 1"
    } else if !(0.0..=1.0).contains(&min_p) {
        "min-p is not from 0 to 1"
    } else if !(repetition_penalty > 0.0 && repetition_penalty.is_finite()) {
        "the repetition penalty is not a number above 0"
    } else if !(frequency_penalty.is_finite() && presence_penalty.is_finite()) {
        "a frequency or presence penalty is not a number"
    } else {
        return Ok(());
    };
    Err(invalid(problem))
}

/// The failure of a request that makes no sense.
pub(crate) fn invalid(problem: &str) -> Failure {
    Failure { kind: FailureKind::Invalid, retryable: false, detail: problem.to_owned() }
}

/// What is said of a model that can compute nothing any more.
pub(crate) const BROKEN: &str = "the model broke down and computes nothing any more";

/// The failure of the engine in the middle of a request.
pub(crate) fn fault(detail: impl Into<String>) -> Failure {
    Failure { kind: FailureKind::EngineFault, retryable: true, detail: detail.into() }
}

/// A stop string at which a reply panics, for tests of what happens then.
#[cfg(test)]
pub(crate) const PANICS: &str = "a reply that panics";

/// The limits of a reply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// No end-of-text token before this many new tokens.
    pub(crate) min_tokens: usize,
    /// Most new tokens.
    pub(crate) max_tokens: usize,
    /// Most tokens with the prompt.
    pub(crate) context_length: usize,
}

/// A reply in the making.
pub(crate) struct Sequence {
    tokenizer: Arc<Tokenizer>,
    sampler: Sampler,
    detokenizer: Detokenizer,
    matcher: StopMatcher,
    stops: Vec<String>,
    limits: Limits,
    /// The prompt's tokens and the new ones.
    tokens: Vec<u32>,
    prompt_tokens: usize,
    /// How many new tokens stand in deltas already.
    sent: usize,
    /// The text of all deltas.
    text: String,
}

impl Sequence {
    pub(crate) fn new(
        tokenizer: Arc<Tokenizer>,
        sampler: Sampler,
        prompt: Vec<u32>,
        at_line_start: bool,
        stops: Vec<String>,
        limits: Limits,
    ) -> Self {
        Self {
            tokenizer,
            sampler,
            detokenizer: Detokenizer::default(),
            matcher: StopMatcher::new(&stops, at_line_start),
            stops,
            limits,
            prompt_tokens: prompt.len(),
            tokens: prompt,
            sent: 0,
            text: String::new(),
        }
    }

    /// The tokens that were chosen.
    pub(crate) fn new_tokens(&self) -> &[u32] {
        &self.tokens[self.prompt_tokens..]
    }

    /// Chooses the next token from the logits after the last one, and sends what text is certain. `Some` when
    /// the reply ends here.
    pub(crate) fn advance(
        &mut self,
        logits: &mut [f32],
        mailbox: &Mailbox,
    ) -> Result<Option<Finish>, Failure> {
        #[cfg(test)]
        assert!(!self.stops.iter().any(|stop| stop == PANICS), "secret text");
        let known = logits.len().min(self.tokenizer.len());
        if !logits[..known].iter().all(|logit| logit.is_finite()) {
            return Err(fault("the model gave numbers that are not finite"));
        }
        let eos = self.tokenizer.eos();
        let index = self.new_tokens().len();
        let forbidden = (index < self.limits.min_tokens).then_some(eos);
        let id = self
            .sampler
            .pick(logits, &self.tokens, index as u64, forbidden)
            .ok_or_else(|| invalid("every token is banned"))?;
        if id == eos {
            return Ok(Some(self.end(Finish::Eos, mailbox)));
        }
        self.tokens.push(id);
        let text = self.detokenizer.push(self.tokenizer.bytes(id));
        let step = self.matcher.push(&text);
        if let Some(finish) = self.deliver(step, mailbox) {
            return Ok(Some(finish));
        }
        if self.new_tokens().len() >= self.limits.max_tokens {
            return Ok(Some(self.end(Finish::Length, mailbox)));
        }
        if self.tokens.len() >= self.limits.context_length {
            return Ok(Some(self.end(Finish::ContextFull, mailbox)));
        }
        Ok(None)
    }

    /// Ends the reply. Text that was held is text after all, unless it completes a stop string.
    pub(crate) fn end(&mut self, finish: Finish, mailbox: &Mailbox) -> Finish {
        let step = self.matcher.push(self.detokenizer.finish());
        let stopped = self.deliver(step, mailbox).or_else(|| {
            let step = self.matcher.finish();
            self.deliver(step, mailbox)
        });
        stopped.unwrap_or(finish)
    }

    /// The new tokens that decode to exactly the text of all deltas, or none.
    pub(crate) fn kept(&self) -> Vec<u32> {
        let mut detokenizer = Detokenizer::default();
        let mut length = 0;
        let mut kept = 0;
        for (count, &id) in self.new_tokens().iter().enumerate() {
            length += detokenizer.push(self.tokenizer.bytes(id)).len();
            if length + detokenizer.clone().finish().len() == self.text.len() {
                kept = count + 1;
            }
            if length > self.text.len() {
                break;
            }
        }
        let ids = &self.new_tokens()[..kept];
        if self.tokenizer.decode(ids) == self.text { ids.to_vec() } else { Vec::new() }
    }

    fn deliver(&mut self, step: Matched, mailbox: &Mailbox) -> Option<Finish> {
        if !step.text.is_empty() {
            self.text.push_str(&step.text);
            let ids = self.new_tokens()[self.sent..].to_vec();
            self.sent = self.new_tokens().len();
            mailbox.send(Event::Delta { text: step.text, ids });
        }
        step.stop.map(|index| Finish::Stop(self.stops[index].clone()))
    }
}
