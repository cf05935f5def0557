//! Decides what each step computes: one token of every reply that is growing, and as much of the waiting prompts as
//! keeps those replies flowing. It owns the pages and the prefix tree, and knows neither model nor clock nor text.

mod entry;
mod step;

use std::collections::BTreeSet;
use std::time::Duration;

use entry::{Entry, Running};
use step::load;
pub(crate) use step::{News, PageCopy, Span, Step, Task};

use super::cost::{Cost, Load};
use super::fairness::{Claim, Shares};
use super::pages::{PAGE, Page, Pages, pages_for};
use super::prefix::{Owner, Prefixes};
use crate::generation::Class;

/// How many times as long as without them a step may take that also reads prompts.
const PATIENCE: f64 = 2.7;

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
const LARGEST_CHUNK: usize = 512;

/// Hints that may wait to be computed; the oldest goes when there are more.
pub(crate) const MOST_HINTS: usize = 32;

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
    shares: Shares,
    cost: Cost,
    /// Steps that read prompts have a multiple of so many tokens, if they have that many.
    grain: usize,
    /// Most tokens of prompts in a step.
    most: usize,
    /// Copies that the next step begins with.
    copies: Vec<PageCopy>,
}

impl Scheduler {
    /// A scheduler with so many pages: at least as many as the longest text takes.
    pub(crate) fn new(pages: usize, grain: usize) -> Self {
        Self {
            pages: Pages::new(pages),
            prefixes: Prefixes::default(),
            entries: Vec::new(),
            shares: Shares::default(),
            cost: Cost::default(),
            grain,
            most: LARGEST_CHUNK,
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
        Self { most: self.most, ..Self::new(self.pages.total(), self.grain) }
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
                self.shares = Shares::default();
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

    /// The step was not taken, for want of memory: from now on steps read at most half as much of prompts. False when they
    /// cannot read less.
    pub(crate) fn read_less(&mut self, step: &Step) -> bool {
        let read: usize = step.spans.iter().map(|span| span.ids.len()).filter(|&count| count > 1).sum();
        let less = read.min(self.most) / 2;
        if less == 0 {
            return false;
        }
        self.most = less;
        self.copies.splice(0..0, step.copies.iter().copied());
        true
    }

    /// The step has failed: no page can be relied on. All tasks begin again, but for those that the caller removes.
    pub(crate) fn reset(&mut self) {
        self.copies.clear();
        for entry in &mut self.entries {
            let running = entry.running.take();
            running.into_iter().flat_map(|running| running.pages).for_each(|page| self.pages.release(page));
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

    /// Those who wait for pages, in the order in which they get them: in fair turns, and of equals whoever was set back.
    fn waiting(&self) -> Vec<u64> {
        let waiting = self.active().filter(|entry| entry.running.is_none());
        let is_new = |entry: &Entry| entry.task.tokens.len() == entry.prompt;
        let claims: Vec<(Claim, (bool, u64))> =
            waiting.map(|entry| (entry.task.claim(), (is_new(entry), entry.task.key))).collect();
        self.shares.order(&claims).into_iter().map(|index| claims[index].1.1).collect()
    }

    /// Gives pages to those who wait, as long as there are enough.
    fn admit(&mut self, step: &mut Step) {
        for key in self.waiting() {
            let Some(index) = self.index(key) else { continue };
            let entry = &self.entries[index];
            let (class, length) = (entry.task.class, entry.length());
            let known = &entry.task.tokens[..entry.prompt.min(length - 1)];
            let found = self.prefixes.find(known, |end| entry.task.owner(end), &mut self.pages);
            let needed = pages_for(length + 1) - found.pages.len();
            // What is less urgent gives way if that helps; everybody else keeps what it has.
            let yields = |entry: &Entry| entry.running.is_some() && entry.task.class > class;
            while !self.has_room(needed)
                && self.could_have_room(needed, class, &found.pages)
                && let Some(last) = self.entries.iter().rposition(yields)
            {
                // Its pages may be another's in this very step.
                let key = self.entries[last].task.key;
                step.spans.retain(|span| span.key != key);
                self.set_back(last);
            }
            if !self.has_room(needed) {
                found.pages.into_iter().for_each(|page| self.pages.release(page));
                return;
            }
            let (cached, kept) = (found.tokens(), found.pages.len());
            let mut pages = found.pages;
            pages.extend((0..needed).map_while(|_| self.take_page()));
            if let (Some((from, tokens)), Some(&to)) = (found.partial, pages.get(kept)) {
                step.copies.push(PageCopy { from, to, tokens });
            }
            let entry = &mut self.entries[index];
            if entry.task.speaks {
                self.shares.serve(&entry.task.claim());
            }
            entry.running = Some(Running { pages, computed: cached, kept, at: found.at });
            entry.told = None;
            if !std::mem::replace(&mut entry.admitted, true) {
                step.news.push(News::Admitted { key, cached });
            }
        }
    }

    /// Whether so many pages are there, beside one for every reply that grows and may need it soon.
    fn has_room(&self, pages: usize) -> bool {
        let reserve = self.entries.iter().filter(|entry| entry.grows()).count();
        self.pages.free() + self.prefixes.evictable(&self.pages) >= pages + reserve
    }

    /// The same if what is less urgent than this class had none, beside those that were found already.
    fn could_have_room(&self, pages: usize, class: Class, found: &[Page]) -> bool {
        let others = self.entries.iter().filter(|entry| entry.task.class <= class);
        let reserve = others.clone().filter(|entry| entry.grows()).count();
        let held = others.filter_map(|entry| entry.running.as_ref()).flat_map(|running| &running.pages);
        let held: BTreeSet<&Page> = held.chain(found).collect();
        self.pages.total() - held.len() >= pages + reserve
    }

    /// Parts of the prompts that are being read, in equal shares.
    fn plan_prompts(&mut self, step: &mut Step) {
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
            let shares = reading.iter().zip(self.shares(&reading, budget));
            shares
                .map(|(&index, count)| Load::of(self.entries[index].computed(), count))
                .fold(beside, Load::and)
        };
        let budget = self.cost.tokens_within(limit, self.most, load);
        let budget = budget.unwrap_or(FIRST_CHUNK.min(self.most)).max(1);
        let tokens = load(budget).tokens;
        // The rest makes a step of its own, which is a small one.
        let rounded = (tokens - tokens % self.grain).saturating_sub(beside.tokens);
        let budget = if rounded > 0 { rounded } else { budget };
        for (&index, count) in reading.iter().zip(self.shares(&reading, budget)) {
            if count > 0 {
                step.spans.extend(self.span(index, count, None));
            }
        }
    }

    /// How many tokens each of these prompts gets of a step's: equal shares, as far as there are so many.
    fn shares(&self, reading: &[usize], mut budget: usize) -> Vec<usize> {
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

    /// Tells those who wait for pages where they stand.
    fn tell_places(&mut self, step: &mut Step) {
        for (place, key) in (1..).zip(self.waiting()) {
            let Some(index) = self.index(key) else { continue };
            let entry = &mut self.entries[index];
            if entry.task.speaks && entry.told.replace(place) != Some(place) {
                step.news.push(News::Waits { key, place });
            }
        }
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

    /// Gives the whole pages of a task that begin its conversation's next prompt to the tree, and the end of its
    /// persona's part.
    fn keep(&mut self, index: usize) {
        loop {
            self.keep_persona_end(index);
            let Entry { task, running: Some(running), keeps: true, .. } = &mut self.entries[index] else {
                return;
            };
            let start = running.kept * PAGE;
            let end = start + PAGE;
            if end > running.computed.min(task.history_end) {
                return;
            }
            let own = running.pages[running.kept];
            let (at, tokens, owner) = (running.at, &task.tokens[start..end], task.owner(end));
            let node = self.prefixes.insert(at, tokens, own, owner, &mut self.pages);
            let Some((node, page)) = node.and_then(|node| Some((node, self.prefixes.page(node)?))) else {
                return;
            };
            if page != own {
                // Somebody else computed the same.
                self.pages.share(page);
                self.pages.release(own);
                running.pages[running.kept] = page;
            }
            running.kept += 1;
            running.at = Some(node);
        }
    }

    /// Where a persona's part ends within the page that a task gives to the tree next, that part gets a page for itself:
    /// what stands behind it on the task's own page is a conversation's.
    fn keep_persona_end(&mut self, index: usize) {
        let Entry { task, running: Some(running), keeps: true, .. } = &self.entries[index] else { return };
        let (start, end) = (running.kept * PAGE, task.persona_end);
        if end <= start || end >= start + PAGE || end > running.computed {
            return;
        }
        let (at, tokens, from) = (running.at, task.tokens[start..end].to_vec(), running.pages[running.kept]);
        if self.prefixes.next(at, &tokens).is_some() {
            self.prefixes.insert(at, &tokens, from, Owner::Persona, &mut self.pages);
        } else if let Some(page) = self.take_page() {
            self.copies.push(PageCopy { from, to: page, tokens: tokens.len() });
            self.prefixes.insert(at, &tokens, page, Owner::Persona, &mut self.pages);
            self.pages.release(page);
        }
    }

    /// Takes a task's pages away before its end: it is to get others, as if it had not had any.
    fn set_back(&mut self, index: usize) {
        let task = &self.entries[index].task;
        if task.speaks {
            self.shares.take_back(&task.claim());
        }
        self.release(index);
    }

    /// Takes a task's pages away. What begins its conversation's next prompt stays in the tree.
    fn release(&mut self, index: usize) {
        let Entry { task, running, keeps, .. } = &mut self.entries[index];
        let Some(running) = running.take() else { return };
        let (start, end) = (running.kept * PAGE, running.computed.min(task.history_end));
        if *keeps && start < end && end < start + PAGE {
            let owner = Owner::Conversation(task.conversation);
            let page = running.pages[running.kept];
            self.prefixes.insert(running.at, &task.tokens[start..end], page, owner, &mut self.pages);
        }
        running.pages.into_iter().for_each(|page| self.pages.release(page));
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
