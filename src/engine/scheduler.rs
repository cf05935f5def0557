//! Decides what each step computes: one token of every reply that is growing, and as much of the waiting prompts as
//! keeps those replies flowing. It owns the pages and the prefix tree, and knows neither model nor clock nor text.

mod entry;
mod keeping;
mod prompts;
mod step;
mod waiting;

use std::time::Duration;

use entry::Entry;
pub(crate) use prompts::LARGEST_CHUNK;
use step::load;
pub(crate) use step::{News, PageCopy, Span, Step, Task};

use super::cost::{Cost, Grain};
use super::pages::{Page, Pages, pages_for};
use super::prefix::Prefixes;
use crate::generation::Class;
use crate::generation::fairness::Shares;

/// Hints that may wait to be computed; the oldest goes when there are more.
pub(crate) const MOST_HINTS: usize = 32;

/// After so many steps that went well as much is read at a time again as before memory was short.
const TRUST: usize = 256;

/// A conversation whose tasks cannot be planned, for tests of what happens then.
#[cfg(test)]
pub(crate) const PANICS: u64 = u64::MAX;

/// The tasks, the pages and what is known of the machine's speed.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pages: Pages,
    prefixes: Prefixes,
    /// In the order of their ranks.
    entries: Vec<Entry>,
    /// Who has had pages how often while others waited for some.
    turns: Shares,
    cost: Cost,
    grain: Grain,
    /// How many replies of a class and those more urgent speak at a time.
    batch: usize,
    /// Most tokens of prompts in a step, and how many steps went well since it was made less.
    most: usize,
    went_well: usize,
    /// Copies that the next step begins with.
    copies: Vec<PageCopy>,
}

impl Scheduler {
    /// A scheduler with so many pages, at least as many as the longest text takes.
    pub(crate) fn new(pages: usize, grain: Grain, batch: usize) -> Self {
        Self {
            pages: Pages::new(pages),
            prefixes: Prefixes::default(),
            entries: Vec::new(),
            turns: Shares::default(),
            cost: Cost::default(),
            grain,
            batch,
            most: LARGEST_CHUNK,
            went_well: 0,
            copies: Vec::new(),
        }
    }

    /// Takes a task. A hint of the same conversation that waits is done with: its computed part is in the tree. A hint that
    /// comes when its conversation speaks already is too late.
    pub(crate) fn add(&mut self, task: Task) {
        let speaks = |entry: &Entry| entry.task.speaks && entry.task.conversation == task.conversation;
        if !task.speaks && self.entries.iter().any(speaks) {
            return;
        }
        debug_assert!(!task.tokens.is_empty(), "a task has at least one token");
        debug_assert!(task.persona_end <= task.history_end, "a persona's part is a part of the history");
        debug_assert!(pages_for(task.tokens.len() + 1) <= self.pages.total(), "it fits when it is alone");
        let is_hint = |entry: &Entry| !entry.task.speaks;
        let outdated = |entry: &&Entry| is_hint(entry) && entry.task.conversation == task.conversation;
        if let Some(key) = self.entries.iter().find(outdated).map(|entry| entry.task.key) {
            self.remove(key);
        }
        if !task.speaks && self.entries.iter().filter(|entry| is_hint(entry)).count() >= MOST_HINTS {
            let oldest = self.entries.iter().find(|entry| is_hint(entry)).map(|entry| entry.task.key);
            if let Some(key) = oldest {
                self.remove(key);
            }
        }
        let prompt = task.tokens.len();
        let entry = Entry { task, prompt, running: None, admitted: false, told: None, keeps: true };
        let index = self.entries.partition_point(|other| other.rank() < entry.rank());
        self.entries.insert(index, entry);
    }

    /// Drops all that was computed for conversations and personas and is not in use.
    pub(crate) fn forget_everything(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.keeps = false);
        let hints: Vec<u64> =
            self.entries.iter().filter(|entry| !entry.task.speaks).map(|entry| entry.task.key).collect();
        for key in hints {
            self.remove(key);
        }
        self.prefixes.clear(&mut self.pages);
    }

    /// A scheduler for the same pages that knows of nothing.
    pub(crate) fn anew(&self) -> Self {
        Self { most: self.most, ..Self::new(self.pages.total(), self.grain, self.batch) }
    }

    /// The replies that wait for pages.
    pub(crate) fn without_pages(&self) -> Vec<u64> {
        let waits = |entry: &&Entry| entry.running.is_none() && entry.task.speaks;
        self.entries.iter().filter(waits).map(|entry| entry.task.key).collect()
    }

    /// How many replies have their pages.
    pub(crate) fn having_pages(&self) -> usize {
        self.entries.iter().filter(|entry| entry.running.is_some() && entry.task.speaks).count()
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A token was chosen for the task.
    pub(crate) fn grow(&mut self, key: u64, token: u32) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.task.key == key) {
            entry.task.tokens.push(token);
        }
    }

    /// The task has ended, or nobody wants it any more.
    pub(crate) fn remove(&mut self, key: u64) {
        if let Some(index) = self.index(key) {
            self.release(index);
            self.entries.remove(index);
            if self.entries.is_empty() {
                // Nobody is owed anything.
                self.turns = Shares::default();
            }
        }
    }

    /// Drops what was computed for this conversation alone. Its tasks go on, and leave nothing behind.
    pub(crate) fn forget(&mut self, conversation: u64) {
        let own = |entry: &Entry| entry.task.conversation == conversation;
        self.entries.iter_mut().filter(|entry| own(entry)).for_each(|entry| entry.keeps = false);
        let hints: Vec<u64> = self
            .entries
            .iter()
            .filter(|entry| own(entry) && !entry.task.speaks)
            .map(|entry| entry.task.key)
            .collect();
        for key in hints {
            self.remove(key);
        }
        self.prefixes.forget(conversation, &mut self.pages);
    }

    /// Chooses what the next step computes. It is empty only when there is nothing to do.
    pub(crate) fn plan(&mut self) -> Step {
        #[cfg(test)]
        assert!(self.entries.iter().all(|entry| entry.task.conversation != PANICS), "secret text");
        let mut step = Step { copies: std::mem::take(&mut self.copies), ..Step::default() };
        let set_back = self.plan_replies(&mut step);
        if !set_back {
            self.admit(&mut step);
        }
        self.plan_prompts(&mut step);
        if step.spans.is_empty() {
            // Whoever found all of its prompt computed only has to go on speaking.
            self.plan_replies(&mut step);
        }
        self.tell_places(&mut step);
        step
    }

    /// The step was taken and took so long.
    pub(crate) fn computed(&mut self, step: &Step, took: Duration) {
        self.cost.learn(load(&step.spans), took);
        self.went_well += 1;
        if self.most < LARGEST_CHUNK && self.went_well >= TRUST {
            // Whatever else took the memory may be gone.
            (self.most, self.went_well) = ((2 * self.most).min(LARGEST_CHUNK), 0);
        }
        for span in &step.spans {
            let Some(index) = self.index(span.key) else { continue };
            let entry = &mut self.entries[index];
            if let Some(running) = &mut entry.running {
                running.computed = span.end();
            }
            self.keep(index);
            let entry = &self.entries[index];
            if !entry.task.speaks && entry.computed() == entry.length() {
                self.remove(span.key);
            }
        }
    }

    /// The step was not taken, or in part, for want of memory. All tasks begin again, and steps read at most half as much of
    /// prompts, for a while. Gives the task that has to end instead, where the step cannot be smaller.
    pub(crate) fn short_of_memory(&mut self, step: &Step) -> Option<u64> {
        let read: usize = step.spans.iter().map(|span| span.ids.len()).filter(|&count| count > 1).sum();
        let less = read.min(self.most) / 2;
        let last = step.spans.iter().max_by_key(|span| span.key).map(|span| span.key);
        if less > 0 {
            (self.most, self.went_well) = (less, 0);
        }
        self.reset();
        last.filter(|_| less == 0)
    }

    /// The step has failed: no page can be relied on. All tasks begin again, but for those that the caller removes.
    pub(crate) fn reset(&mut self) {
        self.copies.clear();
        for index in 0..self.entries.len() {
            if self.entries[index].running.is_some() {
                // Nothing of it may stay in the tree.
                let keeps = std::mem::replace(&mut self.entries[index].keeps, false);
                self.set_back(index);
                self.entries[index].keeps = keeps;
            }
        }
        self.prefixes.clear(&mut self.pages);
    }

    /// One token of every reply that grows, the first in rank first. Whether somebody lost the pages for it.
    fn plan_replies(&mut self, step: &mut Step) -> bool {
        let growing: Vec<u64> =
            self.active().filter(|entry| entry.grows()).map(|entry| entry.task.key).collect();
        let mut set_back = false;
        for key in growing {
            while let Some(index) = self.index(key).filter(|&index| self.entries[index].running.is_some()) {
                let entry = &self.entries[index];
                let missing = pages_for(entry.length())
                    > entry.running.as_ref().map_or(0, |running| running.pages.len());
                let page = if missing { self.take_page() } else { None };
                if !missing || page.is_some() {
                    step.spans.extend(self.span(index, 1, page));
                    break;
                }
                // The last in rank waits and begins again later. It may be this one; it has no span yet.
                let last = self.entries.iter().rposition(|entry| entry.running.is_some());
                if let Some(last) = last {
                    self.set_back(last);
                }
                set_back = true;
            }
        }
        set_back
    }

    /// The next tokens of a task that has its pages, `page` being one more.
    fn span(&mut self, index: usize, count: usize, page: Option<Page>) -> Option<Span> {
        let entry = &mut self.entries[index];
        let running = entry.running.as_mut()?;
        running.pages.extend(page);
        let end = running.computed + count;
        Some(Span {
            key: entry.task.key,
            start: running.computed,
            ids: entry.task.tokens[running.computed..end].to_vec(),
            pages: running.pages[..pages_for(end)].to_vec(),
            chooses: entry.task.speaks && end == entry.task.tokens.len(),
        })
    }

    /// A page that nobody uses, if need be one that the tree can spare.
    fn take_page(&mut self) -> Option<Page> {
        if self.pages.free() == 0 {
            self.prefixes.evict(&mut self.pages);
        }
        self.pages.take()
    }

    /// Whether every page is free or the tree's, as it must be when there is nothing to do.
    #[cfg(test)]
    pub(crate) fn has_all_pages(&self) -> bool {
        self.pages.free() + self.prefixes.len() == self.pages.total()
    }

    /// How many pages the tree gave back for others.
    #[cfg(test)]
    pub(crate) fn evicted(&self) -> usize {
        self.prefixes.evicted
    }

    fn index(&self, key: u64) -> Option<usize> {
        self.entries.iter().position(|entry| entry.task.key == key)
    }

    /// The tasks that may go on: idle work rests while there is any other.
    fn active(&self) -> impl Iterator<Item = &Entry> + '_ {
        let idle = self.entries.iter().all(|entry| entry.task.class == Class::Idle);
        self.entries.iter().filter(move |entry| idle || entry.task.class != Class::Idle)
    }
}

#[cfg(test)]
mod tests;
