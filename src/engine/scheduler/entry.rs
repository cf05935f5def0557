//! A task in the schedule: how far it is, and the pages that it has.

use super::super::pages::{PAGE, Page};
use super::super::prefix::NodeId;
use super::Task;
use crate::generation::Class;

#[derive(Debug)]
pub(super) struct Entry {
    /// Tokens that are chosen are appended to those of the prompt.
    pub(super) task: Task,
    /// Number of tokens of the prompt.
    pub(super) prompt: usize,
    /// Its pages, while it has any.
    pub(super) running: Option<Running>,
    pub(super) admitted: bool,
    /// The place it was told last.
    pub(super) told: Option<usize>,
    /// Whether the tree may keep what it computes.
    pub(super) keeps: bool,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) pages: Vec<Page>,
    /// Number of computed tokens.
    pub(super) computed: usize,
    /// How many of its pages the tree has, and the node of the last of them.
    pub(super) kept: usize,
    pub(super) at: Option<NodeId>,
}

impl Entry {
    /// The more urgent first, then the earlier.
    pub(super) fn rank(&self) -> (Class, u64) {
        (self.task.class, self.task.key)
    }

    pub(super) fn computed(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.computed)
    }

    /// The page that the task computes and will give to the tree whole: the node before it, the position where it begins,
    /// and its tokens.
    pub(super) fn page_at_work(&self) -> Option<(Option<NodeId>, usize, &[u32])> {
        let running = self.running.as_ref().filter(|_| self.keeps)?;
        let (start, end) = (running.kept * PAGE, (running.kept + 1) * PAGE);
        (end <= self.task.history_end).then(|| (running.at, start, &self.task.tokens[start..end]))
    }

    /// The same if nothing of it is computed yet, so that it may be another's. The prompt's last token is never part of
    /// it, since somebody must compute that.
    pub(super) fn page_to_come(&self) -> Option<(Option<NodeId>, usize, &[u32])> {
        self.page_at_work()
            .filter(|(_, start, tokens)| self.computed() == *start && start + tokens.len() < self.prompt)
    }

    /// Whether its next token is computed from the one that was chosen last.
    pub(super) fn grows(&self) -> bool {
        self.running.is_some() && self.length() > self.prompt && self.computed() + 1 == self.length()
    }

    pub(super) fn length(&self) -> usize {
        self.task.tokens.len()
    }
}
