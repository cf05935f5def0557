//! The engine's thread: takes work, drives the model step by step, and survives its failures. It never waits
//! for a reader, and between steps it looks whether anybody still wants the replies.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand_chacha::rand_core::{OsRng, TryRngCore as _};

use super::admission::{Admission, Forget, Hint, Orders};
use super::llama::{Model, StepError};
use super::queue::Work;
use super::sampling::Sampler;
use super::scheduler::{News, Scheduler, Span, Step, Task};
use super::sequence::{BROKEN, Limits, Sequence, fault, invalid, validate};
use super::tokenizer::{Encoded, Tokenizer};
use crate::generation::{
    Class, Event, Failure, FailureKind, Finish, Finished, Mailbox, Meta, Queued, Request, Timings, Usage,
};

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
    pub(crate) meter: Arc<Mutex<Meter>>,
    pub(crate) scheduler: Scheduler,
    /// The replies in the making, by the keys of their turns.
    pub(crate) replies: BTreeMap<u64, Reply>,
    /// Those of them that wait for pages.
    pub(crate) resting: Vec<u64>,
    /// Steps that failed since a reply ended well.
    pub(crate) faults: usize,
    /// Since when work was not counted yet.
    pub(crate) lap: Instant,
}

/// What the thread has done since its start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meter {
    /// Steps of the model.
    pub steps: u64,
    /// Time in the model.
    pub computed: Duration,
    /// Time in which there was something to do, that in the model included.
    pub worked: Duration,
    /// Whether there is nothing to do now.
    pub idle: bool,
}

/// A reply in the making: where it goes, and what is known of it.
pub(crate) struct Reply {
    request: u64,
    mailbox: Mailbox,
    sequence: Sequence,
    usage: Usage,
    /// Tokens of the prompt that were computed for it before its first token, again after a set-back included. All others were
    /// there, or came from another's work.
    computed: usize,
    timings: Timings,
    /// When its place was taken, when it got its pages, and when its first token was chosen.
    reserved: Instant,
    admitted: Option<Instant>,
    first_token: Option<Instant>,
    seed: u64,
}

impl<M: Model> Worker<M> {
    /// Works until the end.
    pub(crate) fn run(mut self) {
        // Should this thread ever die, nobody may wait for it.
        let _close = CloseOnDrop(Arc::clone(&self.admission));
        while let Some(orders) = self.next_orders() {
            match catch_unwind(AssertUnwindSafe(|| self.work(orders))) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => self.begin_anew(),
            }
        }
        let keys: Vec<u64> = self.replies.keys().copied().collect();
        for key in keys {
            self.end(key, Finish::Shutdown);
        }
    }

    /// Does what was ordered and takes a step. Whether the model can still be used.
    fn work(&mut self, orders: Orders) -> bool {
        self.obey(orders);
        self.drop_unwanted();
        self.scheduler.is_empty() || self.step()
    }

    /// Something panicked that is neither the model's nor one reply's work, so that nothing that is noted can be relied on:
    /// all replies fail, and may be asked for again.
    fn begin_anew(&mut self) {
        self.faults += 1;
        self.scheduler = self.scheduler.anew();
        let keys: Vec<u64> = self.replies.keys().copied().collect();
        for key in keys {
            self.refuse(key, fault("the worker panicked between two steps"));
        }
        self.admission.all_finished();
        self.resting.clear();
    }

    /// What there is to do. The time until the next call is work, unless nothing was to be done.
    fn next_orders(&mut self) -> Option<Orders> {
        let busy = !self.scheduler.is_empty();
        self.meter(|meter| meter.idle = !busy);
        let orders = self.admission.next(busy);
        if !busy {
            self.lap = Instant::now();
        }
        self.meter(|meter| meter.idle = false);
        orders
    }

    fn obey(&mut self, orders: Orders) {
        for work in orders.works {
            match contained("reading the prompt", || self.read(&work.request)).flatten() {
                Ok(prompt) => self.begin(work, prompt),
                Err(failure) => {
                    log_failure(work.meta.request, &failure);
                    work.mailbox.send(Event::Failed(failure));
                    self.admission.finished(work.key, false);
                }
            }
        }
        match orders.forget {
            Forget::These(conversations) => {
                for conversation in conversations {
                    self.scheduler.forget(conversation);
                }
            }
            Forget::Everything => self.scheduler.forget_everything(),
        }
        for Hint { key, conversation, prompt } in orders.hints {
            let Encoded { ids, persona_end, history_end } = prompt;
            // Only what the next prompt begins with is worth it.
            let tokens = ids[..history_end].to_vec();
            if !tokens.is_empty() && self.check_tokens(&tokens).is_ok() {
                let class = Class::Idle;
                let member = 0;
                let task = Task {
                    key,
                    conversation,
                    member,
                    class,
                    tokens,
                    persona_end,
                    history_end,
                    speaks: false,
                };
                self.scheduler.add(task);
            }
        }
    }

    /// The prompt of a request that makes sense.
    fn read(&self, request: &Request) -> Result<Encoded, Failure> {
        validate(request)?;
        let prompt = self.tokenizer.encode(&request.prompt);
        self.check_tokens(&prompt.ids)?;
        Ok(prompt)
    }

    /// Takes a request into the schedule.
    fn begin(&mut self, work: Work, prompt: Encoded) {
        let Work { key, meta, request, mailbox, reserved } = work;
        let Encoded { ids, persona_end, history_end } = prompt;
        let seed = request.sampling.seed.unwrap_or_else(random_seed);
        let limits = Limits {
            min_tokens: request.min_tokens,
            max_tokens: request.max_tokens,
            context_length: self.context_length,
        };
        let usage = Usage { prompt_tokens: ids.len(), ..Usage::default() };
        let sampler = Sampler::new(request.sampling, seed, Arc::clone(&self.masked));
        let at_line_start = request.prompt.ends_at_line_start();
        let tokenizer = Arc::clone(&self.tokenizer);
        let sequence = Sequence::new(tokenizer, sampler, ids.clone(), at_line_start, request.stop, limits);
        let reply = Reply {
            request: meta.request,
            mailbox,
            sequence,
            usage,
            computed: 0,
            timings: Timings::default(),
            reserved,
            admitted: None,
            first_token: None,
            seed,
        };
        self.replies.insert(key, reply);
        let Meta { conversation, member, class, .. } = meta;
        self.scheduler.add(Task {
            key,
            conversation,
            member,
            class,
            tokens: ids,
            persona_end,
            history_end,
            speaks: true,
        });
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<(), Failure> {
        let (have, limit) = (tokens.len(), self.context_length - 1);
        if have > limit {
            let detail = format!("the prompt has {have} tokens and may have {limit}");
            return Err(Failure { kind: FailureKind::TooLong { have, limit }, retryable: false, detail });
        }
        if tokens.iter().any(|&id| id as usize >= self.vocabulary) {
            return Err(invalid("the prompt has token ids that this model does not know"));
        }
        Ok(())
    }

    /// Ends the replies that nobody waits for any more.
    fn drop_unwanted(&mut self) {
        let unwanted = self.replies.iter().filter(|(_, reply)| reply.mailbox.is_cancelled());
        let keys: Vec<u64> = unwanted.map(|(&key, _)| key).collect();
        for key in keys {
            self.end(key, Finish::Cancelled);
        }
    }

    /// Takes one step. Whether the model can still be used.
    fn step(&mut self) -> bool {
        let step = self.scheduler.plan();
        self.tell(&step.news);
        let resting = self.scheduler.without_pages();
        if resting != self.resting {
            self.admission.rest(&resting);
            self.resting = resting;
        }
        let begin = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.model.forward(&step)));
        let chosen = step.spans.iter().filter(|span| span.chooses).count();
        let rows_are_right = |logits: &Vec<Vec<f32>>| {
            logits.len() == chosen && logits.iter().all(|row| row.len() == self.vocabulary)
        };
        match outcome {
            Ok(Ok(logits)) if rows_are_right(&logits) => {
                let took = begin.elapsed();
                self.scheduler.computed(&step, took);
                self.measure(took);
                self.advance(&step.spans, logits);
                true
            }
            Ok(Ok(_)) => self.fail(&step, "the model gave other logits than it has rows"),
            Ok(Err(error @ StepError::OutOfMemory)) => {
                tracing::warn!("{error}");
                if let Some(key) = self.scheduler.short_of_memory(&step) {
                    self.faults += 1;
                    // It may be a hint, which nobody is told of.
                    self.scheduler.remove(key);
                    self.refuse(key, fault(error.to_string()));
                }
                true
            }
            Ok(Err(error)) => self.fail(&step, &error.to_string()),
            // What the panic says may contain text of members.
            Err(_) => self.fail(&step, "a step panicked"),
        }
    }

    /// Counts a step, and the work since the last one.
    fn measure(&mut self, took: Duration) {
        let worked = self.lap.elapsed();
        self.lap = Instant::now();
        self.meter(|meter| {
            meter.steps += 1;
            meter.computed += took;
            meter.worked += worked;
        });
    }

    fn meter(&self, change: impl FnOnce(&mut Meter)) {
        change(&mut self.meter.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Tells the replies what the plan says of them.
    fn tell(&mut self, news: &[News]) {
        if news.is_empty() {
            return;
        }
        let having = self.scheduler.having_pages();
        for &news in news {
            let (News::Admitted { key, .. } | News::Waits { key, .. }) = news;
            let Some(reply) = self.replies.get_mut(&key) else { continue };
            match news {
                News::Admitted { cached, .. } => {
                    reply.admitted = Some(Instant::now());
                    reply.timings.queued = reply.reserved.elapsed();
                    reply.usage.cached_tokens = cached;
                    let (prompt_tokens, seed) = (reply.usage.prompt_tokens, reply.seed);
                    reply.mailbox.send(Event::Admitted { prompt_tokens, cached_tokens: cached, seed });
                }
                News::Waits { place, .. } => {
                    let wait = self.admission.estimate(place, having);
                    reply.mailbox.send(Event::Queued(Queued { place, wait }));
                }
            }
        }
    }

    /// Goes on with every reply of the step.
    fn advance(&mut self, spans: &[Span], logits: Vec<Vec<f32>>) {
        let mut logits = logits.into_iter();
        let mut faulty = false;
        for span in spans {
            let logits = if span.chooses { logits.next() } else { None };
            let Some(reply) = self.replies.get_mut(&span.key) else { continue };
            let Usage { prompt_tokens, cached_tokens, new_tokens } = reply.usage;
            if new_tokens == 0 {
                reply.computed += span.ids.len();
                let (done, total) = (span.end().saturating_sub(cached_tokens), prompt_tokens - cached_tokens);
                reply.mailbox.send(Event::Prefill { done, total });
            }
            let Some(mut logits) = logits else { continue };
            if new_tokens == 0 {
                reply.usage.cached_tokens = prompt_tokens.saturating_sub(reply.computed);
            }
            let first_token = *reply.first_token.get_or_insert_with(Instant::now);
            if let Some(admitted) = reply.admitted {
                reply.timings.prefill = first_token - admitted;
            }
            let outcome = contained("choosing a token", || {
                let finish = reply.sequence.advance(&mut logits, &reply.mailbox);
                finish.map(|finish| (finish, reply.sequence.new_tokens().last().copied()))
            });
            reply.usage.new_tokens = reply.sequence.new_tokens().len();
            reply.timings.decode = first_token.elapsed();
            match outcome {
                Ok(Ok((Some(reason), _))) => self.finish(span.key, reason),
                Ok(Ok((None, Some(token)))) => self.scheduler.grow(span.key, token),
                Ok(Ok((None, None))) => {}
                // The model did nothing wrong.
                Err(panicked) => self.refuse(span.key, panicked),
                Ok(Err(failure)) => {
                    let is_fault = failure.kind == FailureKind::EngineFault;
                    self.faults += usize::from(is_fault && !faulty);
                    faulty |= is_fault;
                    self.refuse(span.key, failure);
                }
            }
        }
        if faulty {
            // What it computed may be in the tree, and would spoil everything after it.
            self.scheduler.reset();
        }
    }

    /// Ends a reply from outside.
    fn end(&mut self, key: u64, finish: Finish) {
        let Some(reply) = self.replies.get_mut(&key) else { return };
        match contained("ending a reply", || reply.sequence.end(finish, &reply.mailbox)) {
            Ok(reason) => self.finish(key, reason),
            Err(failure) => self.refuse(key, failure),
        }
    }

    /// Says the last word of a reply that has ended as it should.
    fn finish(&mut self, key: u64, reason: Finish) {
        let Some(reply) = self.replies.remove(&key) else { return };
        self.scheduler.remove(key);
        let answered = !matches!(reason, Finish::Cancelled | Finish::Shutdown);
        if answered {
            self.faults = 0;
        }
        let Reply { request, usage, timings, .. } = reply;
        let (prompt_tokens, new_tokens) = (usage.prompt_tokens, usage.new_tokens);
        tracing::debug!(request, prompt_tokens, new_tokens, ?timings, "a reply has ended");
        // A reply without ids is as good as one with them, only slower to go on from.
        let ids = contained("looking for the ids", || reply.sequence.kept()).unwrap_or_default();
        reply.mailbox.send(Event::Finished(Finished { reason, ids, usage, timings }));
        self.admission.finished(key, answered);
    }

    /// Says the last word of a reply that has failed.
    fn refuse(&mut self, key: u64, mut failure: Failure) {
        let Some(reply) = self.replies.remove(&key) else { return };
        self.scheduler.remove(key);
        failure.retryable &= self.faults < MAX_FAULTS;
        log_failure(reply.request, &failure);
        reply.mailbox.send(Event::Failed(failure));
        self.admission.finished(key, false);
    }

    /// Ends the replies of a step that failed; the others begin again. Whether the model can still be used.
    fn fail(&mut self, step: &Step, detail: &str) -> bool {
        self.faults += 1;
        self.scheduler.reset();
        let usable =
            catch_unwind(AssertUnwindSafe(|| self.model.probe())).is_ok_and(|outcome| outcome.is_ok());
        if !usable {
            tracing::error!(detail, "{BROKEN}");
            // Whoever hears of the failure may ask at once whether that is so.
            self.admission.break_down();
            for (_, reply) in std::mem::take(&mut self.replies) {
                reply.mailbox.send(Event::Failed(fault(BROKEN)));
            }
            return false;
        }
        for span in &step.spans {
            self.scheduler.remove(span.key);
            let Some(reply) = self.replies.get(&span.key) else { continue };
            let Usage { prompt_tokens, new_tokens, .. } = reply.usage;
            let place =
                format!("{detail} at {} of {prompt_tokens} tokens and {new_tokens} new ones", span.end());
            self.refuse(span.key, fault(place));
        }
        true
    }
}

/// Work for one request; a panic there is that request's failure alone. What the panic says may contain text of members.
fn contained<T>(what: &str, work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| fault(format!("{what} panicked")))
}

fn log_failure(request: u64, Failure { kind, detail, .. }: &Failure) {
    if *kind == FailureKind::EngineFault {
        tracing::error!(request, detail, "a reply has failed");
    } else {
        tracing::debug!(request, detail, "a request was refused");
    }
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
        if std::thread::panicking() {
            self.0.break_down();
        } else {
            self.0.close();
        }
    }
}
