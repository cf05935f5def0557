//! A message that was taken in, and what became of it.

use std::time::Duration;

use super::{ChannelId, MemberId, MessageId, ServerId};

/// A message that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The message.
    pub message: MessageId,
    /// Where it was posted.
    pub channel: ChannelId,
    /// The server, when it is not a direct message.
    pub server: Option<ServerId>,
    /// Who posted it.
    pub member: MemberId,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// What became of a message that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing yet.
    Waiting,
    /// A persona said something.
    Answered,
    /// The member was told why not.
    Told,
    /// It exceeded a limit.
    Refused,
    /// Nobody wants an answer any more, or it cannot be delivered.
    Dropped,
}

/// What became of a message, and what it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concluded {
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took, in milliseconds.
    pub took: u64,
    /// How many tokens were generated.
    pub tokens: usize,
}

/// How much is kept of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages of theirs.
    pub messages: usize,
    /// Replies to them.
    pub replies: usize,
    /// Notes that they have asked something.
    pub requests: usize,
    /// Personas that they have made.
    pub personas: usize,
}

/// A message that was taken in some time, without what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// Where it was posted.
    pub channel: ChannelId,
    /// Who posted it; `None` when that member was forgotten.
    pub member: Option<MemberId>,
    /// When, in seconds since 1970.
    pub at: u64,
    /// What became of it.
    pub concluded: Concluded,
}

/// Where a message stands that is not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Others are answered before it where it was posted.
    InLine {
        /// How many, the one that is being answered included.
        ahead: usize,
    },
    /// It waits for the model.
    Queued {
        /// How many are before it, wherever they were posted.
        ahead: usize,
        /// How long that takes, about.
        wait: Option<Duration>,
    },
    /// It is being answered.
    Answering,
}
