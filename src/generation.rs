//! The seam between those who want text and those who make it. It knows neither Discord nor candle.
//!
//! The life of a reply: [`Generator::reserve`] takes a place in the queue; the [`Ticket`] says when its turn has
//! come; the prompt is built then, so that it is never stale, and [`Ticket::start`] hands it over; the
//! [`Generation`] is a stream of [`Event`]s. Dropping a ticket or a generation cancels it: there is no other way.

pub mod bundle;
pub mod fairness;
mod mailbox;
pub mod scripted;
mod ticket;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::chat::prompt::{Marks, Prompt, Segment};
pub use mailbox::{Generation, Mailbox, mailbox};
pub use ticket::{Grant, Started, Ticket, ticket};

/// Something that turns prompts into text: the engine in this process, a script, later a remote server.
pub trait Generator: Send + Sync {
    /// What is running.
    fn info(&self) -> &ModelInfo;

    /// Number of tokens that the prompt takes, the beginning-of-text token included.
    fn count(&self, prompt: &Prompt) -> Count;

    /// Takes a place in the bounded queue.
    ///
    /// # Errors
    /// [`Full`] when the queue has no place left.
    fn reserve(&self, meta: Meta) -> Result<Ticket, Full>;

    /// A hint: the conversation's next prompt begins like this one, up to the end of its history; compute that when
    /// there is nothing else to do. A newer hint takes its place.
    fn prefill(&self, conversation: u64, prompt: Prompt);

    /// Drops cached state of a conversation; what is shared between conversations stays.
    fn forget(&self, conversation: u64);
}

/// Identity and limits of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Hash that tells models apart: token ids of one model mean nothing to another.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// What it computes on, for people.
    pub device: String,
    /// Most tokens that prompt and reply may have together.
    pub context_length: usize,
    /// The chat template that the model's file carries, in its own language (Jinja), if any.
    pub template: Option<String>,
    /// Number of rows of the output matrix.
    pub vocabulary: usize,
    /// Id of the end-of-text token.
    pub eos: u32,
}

/// A number of tokens, and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Counted with the model's own tokenizer.
    Exact(usize),
    /// Estimated; the true number may differ.
    Estimate(usize),
}

impl Count {
    /// The number, sure or not.
    #[must_use]
    pub fn tokens(self) -> usize {
        match self {
            Self::Exact(n) | Self::Estimate(n) => n,
        }
    }
}

/// All that scheduling may know of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Number of the request, for logs.
    pub request: u64,
    /// Opaque id of the conversation.
    pub conversation: u64,
    /// Who asked.
    pub member: u64,
    /// Where it was asked; 0 outside of servers.
    pub server: u64,
    /// How urgent it is.
    pub class: Class,
    /// After this time nobody wants the answer any more.
    pub deadline: Option<std::time::Instant>,
    /// A guess at the tokens of prompt and reply together.
    pub estimated_tokens: usize,
}

/// Urgency, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A member waits for it.
    Interactive,
    /// Wanted, but nobody waits.
    Background,
    /// Only when there is nothing else to do.
    Idle,
}

/// The queue has no place for a request, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full: {place} requests are waiting")]
pub struct Full {
    /// Number of requests before the one that was refused.
    pub place: usize,
    /// Estimated wait, from measured speed; `None` before anything was measured.
    pub wait: Option<Duration>,
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// So many turns end before its own begins.
    pub place: usize,
    /// Estimated wait, from measured speed; `None` before anything was measured.
    pub wait: Option<Duration>,
}

/// What is asked of a generator.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What the model reads.
    pub prompt: Prompt,
    /// The end-of-text token is not chosen before this many new tokens.
    pub min_tokens: usize,
    /// Most new tokens.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Text that ends the reply and is not part of it. A stop string that begins with a newline also matches,
    /// without it, at the very start of a reply that starts a line.
    pub stop: Vec<String>,
}

/// How the next token is chosen: penalties → temperature → top-k → top-p and min-p → draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token always.
    pub temperature: f32,
    /// Only this many likeliest tokens; 0 is no limit.
    pub top_k: usize,
    /// Only the likeliest tokens that together have this probability; 1 is no limit.
    pub top_p: f32,
    /// Only tokens with at least this share of the likeliest token's probability; 0 is no limit.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of tokens in the window; 1 is off.
    pub repetition_penalty: f32,
    /// How many of the last tokens (prompt included) the penalties look at.
    pub repetition_window: usize,
    /// Subtracted from a logit for each time its token stands in the window.
    pub frequency_penalty: f32,
    /// Subtracted from a logit once when its token stands in the window.
    pub presence_penalty: f32,
    /// Tokens that are never chosen.
    pub banned: Vec<u32>,
    /// Seed of the request's own random numbers; `None` draws one and reports it.
    pub seed: Option<u64>,
}

impl Default for Sampling {
    /// Greedy, nothing penalised.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            repetition_window: 64,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            banned: Vec::new(),
            seed: None,
        }
    }
}

/// What happens to a generation, in order: `Queued`* `Admitted` `Prefill`* `Delta`* then `Finished` or `Failed`. A reply
/// that is set back to make room for others hears `Queued` again, whenever its place changes, and then goes on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// It waits (again) for memory.
    Queued(Queued),
    /// Work has begun.
    Admitted {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// How many of them need not be computed.
        cached_tokens: usize,
        /// Seed of its random numbers.
        seed: u64,
    },
    /// The prompt is being read.
    Prefill {
        /// Tokens computed so far.
        done: usize,
        /// Tokens to compute.
        total: usize,
    },
    /// More text. Text that may yet become part of a stop string is not in it.
    Delta {
        /// Whole characters.
        text: String,
        /// The tokens that were chosen since the last delta.
        ids: Vec<u32>,
    },
    /// The end, as it should be.
    Finished(Finished),
    /// The end, as it should not be. Text that came before stays valid.
    Failed(Failure),
}

/// How a generation ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Why it ended.
    pub reason: Finish,
    /// The tokens of the text that was kept: they decode to exactly the text of all deltas, or the list is empty
    /// when a stop string was cut out of the middle of a token.
    pub ids: Vec<u32>,
    /// What it cost.
    pub usage: Usage,
    /// How long it took.
    pub timings: Timings,
}

/// Why a generation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// The model ended its text.
    Eos,
    /// This stop string appeared.
    Stop(String),
    /// The most new tokens that were asked for are there.
    Length,
    /// The context is full.
    ContextFull,
    /// Nobody wants it any more.
    Cancelled,
    /// The program ends.
    Shutdown,
}

/// Token counts of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// How many of them were not computed again.
    pub cached_tokens: usize,
    /// Tokens chosen, the end-of-text token not counted.
    pub new_tokens: usize,
}

/// Wall-clock times of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// From the reservation to the beginning of work.
    pub queued: Duration,
    /// Reading the prompt.
    pub prefill: Duration,
    /// Choosing new tokens.
    pub decode: Duration,
}

/// A generation that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// What kind of failure it is: what a member is told depends on it.
    pub kind: FailureKind,
    /// Whether the same request may succeed when it is sent again.
    pub retryable: bool,
    /// For the log: never member text.
    pub detail: String,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The request makes no sense (a bug of the caller).
    Invalid,
    /// The prompt does not fit.
    TooLong {
        /// Tokens of the prompt.
        have: usize,
        /// Most tokens it may have.
        limit: usize,
    },
    /// Too much work.
    Overloaded,
    /// The engine broke down in the middle.
    EngineFault,
    /// The remote server answered with an error, or not at all.
    Remote,
}
