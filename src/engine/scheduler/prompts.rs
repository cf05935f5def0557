//! The parts of prompts that a step reads: as much as keeps the growing replies flowing.

use super::super::cost::Load;
use super::super::pages::PAGE;
use super::Scheduler;
use super::entry::Entry;
use super::step::{Span, Step, load};
use crate::generation::Class;

/// How many times as long as without them a step may take that also reads prompts.
pub(super) const PATIENCE: f64 = 2.7;

/// The longest step, in seconds, while no reply is growing: whoever comes or goes waits for its end.
const LONGEST_STEP: f64 = 0.5;

/// The same for work that nobody waits for.
const LONGEST_IDLE_STEP: f64 = 0.15;

/// How many times as long as one with a single token a step may take that only reads, though it be the longest: where
/// reading the weights takes a second, shorter steps would do little else.
const READING: f64 = 5.0;

/// Tokens of prompts in a step before anything was measured.
const FIRST_CHUNK: usize = 16;

/// Most tokens of prompts in a step: more need memory and gain nothing.
pub(crate) const LARGEST_CHUNK: usize = 512;

impl Scheduler {
    /// Parts of the prompts that are being read, in equal shares.
    pub(super) fn plan_prompts(&mut self, step: &mut Step) {
        let reading = self.readers();
        let Some(&first) = reading.first() else { return };
        let beside = load(&step.spans);
        let least = if step.spans.is_empty() { Load::of(self.entries[first].computed(), 1) } else { beside };
        let least = self.cost.seconds(least).unwrap_or(0.0);
        let class = self.entries[first].task.class;
        // What is less urgent than the prompt need not keep flowing.
        let flows =
            |span: &Span| self.index(span.key).is_some_and(|index| self.entries[index].task.class <= class);
        let limit = if step.spans.iter().any(flows) {
            PATIENCE * least
        } else if class == Class::Idle {
            LONGEST_IDLE_STEP.max(PATIENCE * least)
        } else {
            LONGEST_STEP.max(READING * least)
        };
        let load = |budget| {
            let shares = reading.iter().zip(self.split(&reading, budget));
            shares
                .map(|(&index, count)| Load::of(self.entries[index].computed(), count))
                .fold(beside, Load::and)
        };
        let budget = self.cost.tokens_within(limit, self.most, self.grain, load);
        let budget = budget.unwrap_or(FIRST_CHUNK.min(self.most)).max(1);
        let tokens = load(budget).tokens;
        // What is left makes a step of its own.
        let rounded = self.grain.round(tokens).saturating_sub(beside.tokens).min(self.most);
        let budget = if rounded > 0 { rounded } else { budget };
        for (&index, count) in reading.iter().zip(self.split(&reading, budget)) {
            if count > 0 {
                step.spans.extend(self.span(index, count, None));
            }
        }
    }

    /// How many tokens each of these prompts gets of a step's: equal shares, as far as there are so many.
    fn split(&self, reading: &[usize], mut budget: usize) -> Vec<usize> {
        let share = |(number, &index): (usize, &usize)| {
            let entry = &self.entries[index];
            let count = budget.div_ceil(reading.len() - number).min(entry.length() - entry.computed());
            budget -= count;
            count
        };
        reading.iter().enumerate().map(share).collect()
    }

    /// The prompts that are read now: those of the most urgent class, and of each member's (hints are one's) the first
    /// alone, since one that is done is worth more than many that are not. Whoever would compute a page that another
    /// is about to compute waits and shares it.
    fn readers(&mut self) -> Vec<usize> {
        let reads = |entry: &Entry| entry.running.is_some() && !entry.grows();
        let class = self.active().filter(|entry| reads(entry)).map(|entry| entry.task.class).min();
        let Some(class) = class else { return Vec::new() };
        let mut readers: Vec<usize> = Vec::new();
        for index in 0..self.entries.len() {
            let entry = &self.entries[index];
            let member = |&other: &usize| self.entries[other].task.member == entry.task.member;
            if entry.task.class != class || !reads(entry) || readers.iter().any(member) {
                continue;
            }
            self.catch_up(index);
            let next = self.entries[index].page_to_come();
            let comes = |&other: &usize| self.entries[other].page_at_work() == next;
            if next.is_none() || !readers.iter().any(comes) {
                readers.push(index);
            }
        }
        readers
    }

    /// Takes over whole pages that others have computed since the task was admitted.
    fn catch_up(&mut self, index: usize) {
        while let Some((at, start, tokens)) = self.entries[index].page_to_come() {
            let Some((node, page)) = self.prefixes.next(at, tokens) else { return };
            let Entry { task, running: Some(running), .. } = &mut self.entries[index] else { return };
            self.prefixes.join(node, task.owner(start + PAGE), &self.pages);
            self.pages.share(page);
            self.pages.release(std::mem::replace(&mut running.pages[start / PAGE], page));
            running.computed += PAGE;
            running.kept += 1;
            running.at = Some(node);
        }
    }
}
