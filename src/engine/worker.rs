//! The engine's thread: takes work, drives the model step by step, and survives its failures. It never waits
//! for a reader, and between steps it looks whether anybody still wants the reply.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::rand_core::{OsRng, TryRngCore as _};

use super::admission::Admission;
use super::llama::Model;
use super::queue::Work;
use super::sampling::Sampler;
use super::sequence::{Limits, Sequence, fault, invalid, validate};
use super::tokenizer::Tokenizer;
use crate::generation::{Event, Failure, FailureKind, Finish, Finished, Mailbox, Request, Timings, Usage};

/// Tokens of a prompt that are computed in one step: enough to keep the arithmetic busy, few enough that a
/// cancelled request is noticed soon.
const PREFILL_CHUNK: usize = 128;

/// After so many faults in a row it is no use to try again.
const MAX_FAULTS: usize = 3;

/// What the thread owns.
pub(crate) struct Worker<M> {
    pub(crate) model: M,
    pub(crate) tokenizer: Arc<Tokenizer>,
    /// Rows of the output matrix that are never chosen.
    pub(crate) masked: Arc<[u32]>,
    /// Number of rows.
    pub(crate) vocabulary: usize,
    pub(crate) context_length: usize,
    pub(crate) admission: Arc<Admission>,
}

/// What a request says of the engine's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It works.
    Answered,
    /// It broke down.
    Fault,
    /// Nothing: the request was refused or cancelled.
    Unused,
}

/// How far a request got, for what is said when it fails.
#[derive(Debug, Default)]
struct Account {
    usage: Usage,
    timings: Timings,
    prefilled: usize,
}

impl<M: Model> Worker<M> {
    /// Works until the end.
    pub(crate) fn run(mut self) {
        // Should this thread ever die, nobody may wait for it.
        let _close = CloseOnDrop(Arc::clone(&self.admission));
        let mut faults = 0;
        while let Some(work) = self.admission.next() {
            match self.answer(work, faults) {
                Outcome::Answered => faults = 0,
                Outcome::Fault => faults += 1,
                Outcome::Unused => {}
            }
        }
    }

    /// Answers one request, whatever happens.
    fn answer(&mut self, work: Work, faults_before: usize) -> Outcome {
        let Work { meta, request, mailbox, reserved } = work;
        let mut account = Account::default();
        account.timings.queued = reserved.elapsed();
        // The model is cleared afterwards, and nothing else outlives a panic.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.reply(*request, &mailbox, &mut account)));
        self.model.clear();
        let outcome = outcome.unwrap_or_else(|_| {
            let Account { prefilled, usage, .. } = &account;
            // What the panic says may contain text of members.
            Err(fault(format!(
                "a step panicked after {prefilled} tokens of the prompt and {} new ones",
                usage.new_tokens
            )))
        });
        let result;
        match outcome {
            Ok(mut finished) => {
                finished.timings = account.timings;
                result = match finished.reason {
                    Finish::Cancelled | Finish::Shutdown => Outcome::Unused,
                    _ => Outcome::Answered,
                };
                tracing::debug!(
                    request = meta.request,
                    prompt_tokens = finished.usage.prompt_tokens,
                    new_tokens = finished.usage.new_tokens,
                    timings = ?finished.timings,
                    "a reply has ended"
                );
                mailbox.send(Event::Finished(finished));
            }
            Err(mut failure) => {
                let at_fault = failure.kind == FailureKind::EngineFault;
                result = if at_fault { Outcome::Fault } else { Outcome::Unused };
                failure.retryable &= faults_before + 1 < MAX_FAULTS;
                if at_fault {
                    tracing::error!(request = meta.request, detail = failure.detail, "a reply has failed");
                } else {
                    tracing::debug!(request = meta.request, detail = failure.detail, "a request was refused");
                }
                mailbox.send(Event::Failed(failure));
            }
        }
        self.admission.finished(result == Outcome::Answered);
        result
    }

    fn reply(
        &mut self,
        request: Request,
        mailbox: &Mailbox,
        account: &mut Account,
    ) -> Result<Finished, Failure> {
        validate(&request)?;
        let prompt = self.tokenizer.encode(&request.prompt);
        self.check_tokens(&prompt)?;
        let seed = request.sampling.seed.unwrap_or_else(random_seed);
        let prompt_tokens = prompt.len();
        account.usage.prompt_tokens = prompt_tokens;
        mailbox.send(Event::Admitted { prompt_tokens, cached_tokens: 0, seed });

        let mut sequence = Sequence::new(
            Arc::clone(&self.tokenizer),
            Sampler::new(request.sampling, seed, Arc::clone(&self.masked)),
            prompt,
            request.prompt.ends_at_line_start(),
            request.stop,
            Limits {
                min_tokens: request.min_tokens,
                max_tokens: request.max_tokens,
                context_length: self.context_length,
            },
        );
        let reason = self.generate(&mut sequence, mailbox, account)?;
        Ok(Finished { reason, ids: sequence.kept(), usage: account.usage, timings: account.timings })
    }

    fn check_tokens(&self, prompt: &[u32]) -> Result<(), Failure> {
        let (have, limit) = (prompt.len(), self.context_length - 1);
        if have > limit {
            let detail = format!("the prompt has {have} tokens and may have {limit}");
            return Err(Failure { kind: FailureKind::TooLong { have, limit }, retryable: false, detail });
        }
        if prompt.iter().any(|&id| id as usize >= self.vocabulary) {
            return Err(invalid("the prompt has token ids that this model does not know"));
        }
        Ok(())
    }

    /// Reads the prompt, then chooses token after token.
    fn generate(
        &mut self,
        sequence: &mut Sequence,
        mailbox: &Mailbox,
        account: &mut Account,
    ) -> Result<Finish, Failure> {
        let begin = Instant::now();
        let total = account.usage.prompt_tokens;
        let mut logits = Vec::new();
        while account.prefilled < total {
            if let Some(finish) = self.interrupted(mailbox) {
                return Ok(sequence.end(finish, mailbox));
            }
            let end = total.min(account.prefilled + PREFILL_CHUNK);
            logits = self.forward(&sequence.tokens()[account.prefilled..end], account.prefilled)?;
            account.prefilled = end;
            account.timings.prefill = begin.elapsed();
            mailbox.send(Event::Prefill { done: end, total });
        }
        loop {
            if let Some(finish) = self.interrupted(mailbox) {
                return Ok(sequence.end(finish, mailbox));
            }
            let finish = sequence.advance(&mut logits, mailbox)?;
            account.usage.new_tokens = sequence.new_tokens().len();
            account.timings.decode = decode_time(begin, account);
            if let Some(finish) = finish {
                return Ok(finish);
            }
            let position = sequence.tokens().len() - 1;
            logits = self.forward(&sequence.tokens()[position..], position)?;
        }
    }

    fn forward(&mut self, ids: &[u32], position: usize) -> Result<Vec<f32>, Failure> {
        let logits = self.model.forward(ids, position).map_err(|error| fault(error.to_string()))?;
        if logits.len() == self.vocabulary {
            Ok(logits)
        } else {
            Err(fault(format!("{} logits for {} rows", logits.len(), self.vocabulary)))
        }
    }

    /// Whether to stop now.
    fn interrupted(&self, mailbox: &Mailbox) -> Option<Finish> {
        if self.admission.tick() {
            Some(Finish::Shutdown)
        } else if mailbox.is_cancelled() {
            Some(Finish::Cancelled)
        } else {
            None
        }
    }
}

fn decode_time(begin: Instant, account: &Account) -> Duration {
    begin.elapsed().saturating_sub(account.timings.prefill)
}

/// A seed for a request that brings none.
fn random_seed() -> u64 {
    // Without a source of randomness the clock has to do.
    OsRng.try_next_u64().unwrap_or_else(|_| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |time| u64::from(time.subsec_nanos()) ^ time.as_secs().rotate_left(32))
    })
}

struct CloseOnDrop(Arc<Admission>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}
