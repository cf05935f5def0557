//! What goes into the scheduler and what comes out of it.

use super::super::cost::Load;
use super::super::pages::Page;
use super::super::prefix::Owner;
use crate::generation::Class;
use crate::generation::fairness::Claim;

/// A text whose tokens are to be computed.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    /// Number of the task: no two have the same, and earlier ones have lower numbers.
    pub(crate) key: u64,
    pub(crate) conversation: u64,
    /// Who asked; those who wait for pages get them in turns.
    pub(crate) member: u64,
    pub(crate) class: Class,
    /// At least one token.
    pub(crate) tokens: Vec<u32>,
    /// So many tokens of it are the persona's part.
    pub(crate) persona_end: usize,
    /// So many tokens of it begin the conversation's next prompt too.
    pub(crate) history_end: usize,
    /// Whether tokens are chosen after it; a task that says nothing is a hint, and ends with its prompt.
    pub(crate) speaks: bool,
}

impl Task {
    /// Who asks for its turn.
    pub(super) fn claim(&self) -> Claim {
        Claim { class: self.class, member: self.member, conversation: self.conversation }
    }

    /// Whose text it is that ends at this position, from the beginning on.
    pub(super) fn owner(&self, end: usize) -> Owner {
        if end <= self.persona_end { Owner::Persona } else { Owner::Conversation(self.conversation) }
    }
}

/// What the model is to do next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// To be done first, in this order.
    pub(crate) copies: Vec<PageCopy>,
    /// The tokens to compute.
    pub(crate) spans: Vec<Span>,
    /// What has changed for whom.
    pub(crate) news: Vec<News>,
}

/// The first tokens of a page go to another page as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageCopy {
    pub(crate) from: Page,
    pub(crate) to: Page,
    pub(crate) tokens: usize,
}

/// Neighbouring tokens of one task that are computed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) key: u64,
    /// Position of the first token; everything before it is computed.
    pub(crate) start: usize,
    /// The tokens.
    pub(crate) ids: Vec<u32>,
    /// The pages of the task's tokens, those of this span included.
    pub(crate) pages: Vec<Page>,
    /// Whether a token is to be chosen after the last one.
    pub(crate) chooses: bool,
}

impl Span {
    /// Position after the last token.
    pub(crate) fn end(&self) -> usize {
        self.start + self.ids.len()
    }
}

/// What a task's owner should hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// It has its pages; so many of its tokens were computed before. Said once.
    Admitted { key: u64, cached: usize },
    /// It waits for pages; it is the so-manieth of those who do.
    Waits { key: u64, place: usize },
}

/// The size of a step with these spans.
pub(super) fn load(spans: &[Span]) -> Load {
    spans.iter().map(|span| Load::of(span.start, span.ids.len())).fold(Load::default(), Load::and)
}
