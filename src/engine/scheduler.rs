//! Decides what each step computes: one token of every reply that is growing, and as much of the waiting prompts as
//! keeps those replies flowing. It owns the pages and the prefix tree, and knows neither model nor clock nor text.

mod entry;
mod step;

use std::collections::BTreeMap;
use std::time::Duration;

use entry::{Entry, Running};
use step::work;
pub(crate) use step::{News, PageCopy, Span, Step, Task};

use super::cost::{Cost, Load};
use super::pages::{PAGE, Page, Pages, pages_for};
use super::prefix::{Owner, Prefixes};
use crate::generation::Class;

/// How many times as long as without them a step may take that also reads prompts.
const PATIENCE: f64 = 2.5;

/// The longest step, in seconds, while no reply is growing: whoever comes or goes waits for its end.
const LONGEST_STEP: f64 = 0.5;

/// The same for work that nobody waits for.
const LONGEST_IDLE_STEP: f64 = 0.15;

/// Tokens of prompts in a step before anything was measured.
const FIRST_CHUNK: usize = 16;

/// Most tokens of prompts in a step: more need memory and gain nothing.
const LARGEST_CHUNK: usize = 512;

/// Hints that may wait to be computed; the oldest goes when there are more.
pub(crate) const MOST_HINTS: usize = 32;

/// The tasks, the pages and what is known of the machine's speed.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pages: Pages,
    prefixes: Prefixes,
    /// In the order of their ranks.
    entries: Vec<Entry>,
    cost: Cost,
    /// Copies that the next step begins with.
    copies: Vec<PageCopy>,
}

impl Scheduler {
    /// A scheduler with so many pages: at least as many as the longest text takes.
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            pages: Pages::new(pages),
            prefixes: Prefixes::default(),
            entries: Vec::new(),
            cost: Cost::default(),
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
        self.cost.learn(work(&step.spans), took);
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
                    self.release(last);
                }
                set_back = true;
            }
        }
        set_back
    }

    /// Those who wait for pages, in the order in which they get them: of a class, whoever was set back first, and then
    /// each member's first, everybody's second, and so on, those that run counted.
    fn waiting(&self) -> Vec<u64> {
        let mut had: BTreeMap<(Class, u64), usize> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.running.is_some()) {
            *had.entry((entry.task.class, entry.task.member)).or_default() += 1;
        }
        let mut waiting = Vec::new();
        for Entry { task, prompt, .. } in self.active().filter(|entry| entry.running.is_none()) {
            let turn = had.entry((task.class, task.member)).or_default();
            let is_new = task.tokens.len() == *prompt;
            waiting.push((task.class, is_new, *turn, task.key));
            *turn += 1;
        }
        waiting.sort_unstable();
        waiting.into_iter().map(|(.., key)| key).collect()
    }

    /// Gives pages to those who wait, as long as there are enough.
    fn admit(&mut self, step: &mut Step) {
        for key in self.waiting() {
            let Some(index) = self.index(key) else { continue };
            let entry = &self.entries[index];
            let (class, length) = (entry.task.class, entry.length());
            let known = &entry.task.tokens[..entry.prompt.min(length - 1)];
            let found = self.prefixes.find(known, entry.task.conversation, &mut self.pages);
            let needed = pages_for(length + 1) - found.pages.len();
            while !self.has_room(needed) {
                // Idle work gives way; everybody else keeps what it has.
                let idle = |entry: &Entry| entry.running.is_some() && entry.task.class == Class::Idle;
                let last = self.entries.iter().rposition(idle).filter(|_| class != Class::Idle);
                let Some(last) = last else {
                    found.pages.into_iter().for_each(|page| self.pages.release(page));
                    return;
                };
                self.release(last);
            }
            let (cached, kept) = (found.tokens(), found.pages.len());
            let mut pages = found.pages;
            pages.extend((0..needed).map_while(|_| self.take_page()));
            if let (Some((from, tokens)), Some(&to)) = (found.partial, pages.get(kept)) {
                step.copies.push(PageCopy { from, to, tokens });
            }
            let entry = &mut self.entries[index];
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

    /// Parts of the prompts that are being read, in equal shares.
    fn plan_prompts(&mut self, step: &mut Step) {
        let reading = self.readers();
        let Some(&first) = reading.first() else { return };
        let beside = work(&step.spans);
        let limit = match self.cost.seconds(beside) {
            Some(alone) if !step.spans.is_empty() => PATIENCE * alone,
            _ if self.entries[first].task.class == Class::Idle => LONGEST_IDLE_STEP,
            _ => LONGEST_STEP,
        };
        let load = |budget| {
            let shares = reading.iter().zip(self.shares(&reading, budget));
            shares
                .map(|(&index, count)| Load::of(self.entries[index].computed(), count))
                .fold(beside, Load::and)
        };
        let budget = self.cost.tokens_within(limit, LARGEST_CHUNK, load).unwrap_or(FIRST_CHUNK).max(1);
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

    /// The prompts that are read now: those of the most urgent class, and of hints the first alone, since one that is
    /// done is worth more than many that are not. Whoever would compute a page that another is about to compute waits
    /// and shares it.
    fn readers(&mut self) -> Vec<usize> {
        let reads = |entry: &Entry| entry.running.is_some() && !entry.grows();
        let class = self.active().filter(|entry| reads(entry)).map(|entry| entry.task.class).min();
        let Some(class) = class else { return Vec::new() };
        let mut readers: Vec<usize> = Vec::new();
        for index in 0..self.entries.len() {
            let entry = &self.entries[index];
            if entry.task.class != class || !reads(entry) || (class == Class::Idle && !readers.is_empty()) {
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
            self.prefixes.join(node, task.conversation);
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
            let owner =
                if end <= task.persona_end { Owner::Persona } else { Owner::Conversation(task.conversation) };
            let own = running.pages[running.kept];
            let node =
                self.prefixes.insert(running.at, &task.tokens[start..end], own, owner, &mut self.pages);
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A model whose keys and values are a digest of all tokens up to theirs, so that a wrong one shows.
    struct Machine {
        scheduler: Scheduler,
        cells: Vec<[u64; PAGE]>,
        texts: BTreeMap<u64, Text>,
        next_key: u64,
        computed_tokens: usize,
    }

    struct Text {
        tokens: Vec<u32>,
        prompt: usize,
        most: usize,
        cached: Option<usize>,
        waits: bool,
    }

    fn digest(before: u64, token: u32) -> u64 {
        (before ^ u64::from(token)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23) | 1
    }

    impl Machine {
        fn new(pages: usize) -> Self {
            Self {
                scheduler: Scheduler::new(pages),
                cells: vec![[0; PAGE]; pages],
                texts: BTreeMap::new(),
                next_key: 0,
                computed_tokens: 0,
            }
        }

        /// A task whose whole prompt but the last token belongs to the history.
        fn add(
            &mut self,
            conversation: u64,
            class: Class,
            tokens: Vec<u32>,
            persona_end: usize,
            most: usize,
        ) -> u64 {
            self.next_key += 1;
            let key = self.next_key;
            let speaks = most > 0;
            let history_end = tokens.len() - usize::from(speaks);
            let persona_end = persona_end.min(history_end);
            let prompt = tokens.len();
            self.scheduler.add(Task {
                key,
                conversation,
                member: conversation / 100 + conversation % 2,
                class,
                tokens: tokens.clone(),
                persona_end,
                history_end,
                speaks,
            });
            self.texts.insert(key, Text { tokens, prompt, most, cached: None, waits: false });
            self.drop_hints_that_are_gone();
            key
        }

        fn remove(&mut self, key: u64) {
            self.scheduler.remove(key);
            self.texts.remove(&key);
        }

        /// Takes a step, which takes so long for each token, and checks what the model would see.
        fn step(&mut self, fails: bool) -> Step {
            let step = self.scheduler.plan();
            for news in &step.news {
                match *news {
                    News::Admitted { key, cached } => {
                        let text = self.texts.get_mut(&key).expect("it is known");
                        assert!(text.cached.replace(cached).is_none(), "it is admitted once");
                    }
                    News::Waits { key, .. } => self.texts.get_mut(&key).expect("it is known").waits = true,
                }
            }
            if fails {
                self.scheduler.reset();
                self.cells.fill([0; PAGE]);
                step.spans.iter().for_each(|span| self.remove(span.key));
                return step;
            }
            for copy in &step.copies {
                let from = self.cells[copy.from.index()];
                self.cells[copy.to.index()][..copy.tokens].copy_from_slice(&from[..copy.tokens]);
            }
            for span in &step.spans {
                let text = &self.texts[&span.key];
                let mut before = 0;
                for (position, &token) in text.tokens[..span.end()].iter().enumerate() {
                    before = digest(before, token);
                    let cell = &mut self.cells[span.pages[position / PAGE].index()][position % PAGE];
                    if position >= span.start {
                        *cell = before;
                    }
                    assert_eq!(*cell, before, "task {} at {position}", span.key);
                }
                assert_eq!(span.chooses, text.most > 0 && span.end() == text.tokens.len());
                assert_eq!(span.ids, text.tokens[span.start..span.end()]);
                self.computed_tokens += span.ids.len();
            }
            // Nobody has written over what another relies on.
            for span in &step.spans {
                let text = &self.texts[&span.key];
                let mut before = 0;
                for (position, &token) in text.tokens[..span.end()].iter().enumerate() {
                    before = digest(before, token);
                    assert_eq!(self.cells[span.pages[position / PAGE].index()][position % PAGE], before);
                }
            }
            let tokens: usize = step.spans.iter().map(|span| span.ids.len()).sum();
            self.scheduler.computed(&step, Duration::from_millis(10 + 2 * tokens as u64));
            for span in step.spans.iter().filter(|span| span.chooses) {
                let text = self.texts.get_mut(&span.key).expect("it is known");
                let token = text.tokens.iter().fold(7, |sum: u32, token| sum.wrapping_mul(31) ^ token) % 50;
                text.tokens.push(token);
                if text.tokens.len() - text.prompt >= text.most {
                    self.remove(span.key);
                } else {
                    self.scheduler.grow(span.key, token);
                }
            }
            self.drop_hints_that_are_gone();
            step
        }

        fn drop_hints_that_are_gone(&mut self) {
            self.texts.retain(|&key, text| text.most > 0 || self.scheduler.index(key).is_some());
        }

        /// Steps until nothing is left to do.
        fn run(&mut self) {
            let mut steps = 0;
            while !self.scheduler.is_empty() {
                assert!(!self.step(false).spans.is_empty(), "a step gets on");
                steps += 1;
                assert!(steps < 100_000, "it ends");
            }
        }

        fn no_page_is_lost(&mut self) {
            assert!(self.scheduler.is_empty() && self.texts.is_empty() && self.scheduler.has_all_pages());
            self.scheduler.prefixes.clear(&mut self.scheduler.pages);
            assert_eq!(self.scheduler.pages.free(), self.scheduler.pages.total());
        }
    }

    /// A persona's text and a conversation's after it.
    fn text(persona: u32, persona_length: usize, conversation: u32, length: usize) -> Vec<u32> {
        let persona = (0..).map(|at| 100_000 + persona * 1_000 + at).take(persona_length);
        persona
            .chain((0..).map(|at| 200_000 + conversation * 10_000 + at))
            .take(persona_length + length)
            .collect()
    }

    #[test]
    fn replies_grow_together_and_prompts_are_read_beside_them() {
        let mut machine = Machine::new(64);
        let first = machine.add(1, Class::Interactive, text(1, 40, 1, 10), 40, 20);
        machine.step(false);
        machine.step(false);
        machine.step(false);
        let second = machine.add(2, Class::Interactive, text(2, 400, 2, 10), 400, 20);
        let step = machine.step(false);
        let counts: Vec<(u64, bool)> = step.spans.iter().map(|span| (span.key, span.ids.len() > 1)).collect();
        assert_eq!(counts, [(first, false), (second, true)]);
        machine.run();
        machine.no_page_is_lost();
    }

    #[test]
    fn a_step_with_prompts_takes_at_most_so_many_times_as_long() {
        let mut machine = Machine::new(256);
        machine.add(1, Class::Interactive, text(1, 40, 1, 200), 40, 500);
        for _ in 0..40 {
            machine.step(false);
        }
        machine.add(2, Class::Interactive, text(2, 3_000, 2, 10), 3_000, 1);
        for _ in 0..40 {
            let step = machine.step(false);
            let tokens: usize = step.spans.iter().map(|span| span.ids.len()).sum();
            let (with, without) = ((10 + 2 * tokens) as f64, 12.0);
            assert!(with <= PATIENCE * without * 1.1, "{tokens} tokens");
            assert!(with >= PATIENCE * without * 0.7, "{tokens} tokens");
        }
    }

    #[test]
    fn prompts_that_are_read_together_keep_to_the_time_too() {
        // On this machine attention is what takes time, so that a late token costs many times an early one.
        let time = |load: Load| 20e-3 + 1e-6 * load.pairs as f64;
        let mut scheduler = Scheduler::new(512);
        let mut step = |new: Option<(u64, usize)>| {
            if let Some((key, length)) = new {
                let (conversation, member, class) = (key, key, Class::Interactive);
                let tokens = text(0, 0, u32::try_from(key).expect("small"), length);
                let (persona_end, history_end, speaks) = (0, length - 1, true);
                scheduler.add(Task {
                    key,
                    conversation,
                    member,
                    class,
                    tokens,
                    persona_end,
                    history_end,
                    speaks,
                });
            }
            let step = scheduler.plan();
            scheduler.computed(&step, Duration::from_secs_f64(time(work(&step.spans))));
            step.spans.iter().filter(|span| span.chooses).for_each(|span| scheduler.grow(span.key, 1));
            step
        };
        step(Some((1, 300)));
        while !step(None).spans[0].chooses {}
        step(Some((2, 4_000)));
        while step(None).spans[1].end() < 3_000 {}
        step(Some((3, 4_000)));
        for _ in 0..3 {
            let step = step(None);
            assert_eq!(step.spans.len(), 3);
            let alone = time(work(&step.spans[..1]));
            assert!(time(work(&step.spans)) < PATIENCE * alone * 1.2, "{:?}", step.spans);
        }
    }

    #[test]
    fn pages_are_given_to_members_in_turns() {
        // Room for two.
        let mut machine = Machine::new(20);
        let texts = |conversation: u64| text(u32::try_from(conversation).expect("small"), 200, 1, 50);
        let rooms = (100..112).step_by(2);
        let first: Vec<u64> =
            rooms.map(|room| machine.add(room, Class::Interactive, texts(room), 0, 20)).collect();
        machine.step(false);
        let late = machine.add(200, Class::Interactive, texts(200), 0, 20);
        let admitted =
            |machine: &Machine, key: &u64| machine.texts.get(key).is_none_or(|text| text.cached.is_some());
        while machine.texts.contains_key(&late) {
            machine.step(false);
        }
        assert!(
            first.iter().filter(|key| admitted(&machine, key)).count() <= 3,
            "one more of the first member's at most"
        );
        machine.run();
        machine.no_page_is_lost();
    }

    #[test]
    fn the_next_turn_computes_what_is_new() {
        let mut machine = Machine::new(64);
        let mut prompt = text(1, 50, 1, 100);
        machine.add(1, Class::Interactive, prompt.clone(), 50, 5);
        machine.run();
        // The last token of the prompt was a cue that the next prompt does not have there.
        prompt.pop();
        let known = prompt.len();
        prompt.extend(text(9, 30, 9, 0));
        let before = machine.computed_tokens;
        let key = machine.add(1, Class::Interactive, prompt.clone(), 50, 1);
        machine.step(false);
        assert_eq!(machine.texts.get(&key).map_or(Some(known), |text| text.cached), Some(known));
        machine.run();
        assert_eq!(machine.computed_tokens - before, 30);
        machine.no_page_is_lost();
    }

    #[test]
    fn another_conversation_with_the_same_persona_computes_none_of_it() {
        for persona_length in [64, 50, 20, 33] {
            let mut machine = Machine::new(64);
            machine.add(1, Class::Interactive, text(1, persona_length, 1, 100), persona_length, 5);
            machine.run();
            // Not even when the first conversation is forgotten.
            machine.scheduler.forget(1);
            let before = machine.computed_tokens;
            machine.add(2, Class::Interactive, text(1, persona_length, 2, 10), persona_length, 1);
            machine.run();
            assert_eq!(machine.computed_tokens - before, 10, "{persona_length}");
            machine.no_page_is_lost();
        }
    }

    #[test]
    fn two_that_begin_together_share_what_the_first_has_read() {
        let mut machine = Machine::new(64);
        for conversation in 1..=2 {
            machine.add(conversation, Class::Interactive, text(1, 320, 1, 5), 320, 1);
        }
        machine.run();
        // The one token that is chosen from, and what stands behind the last whole page.
        assert_eq!(machine.computed_tokens, 325 + 5);
        machine.no_page_is_lost();
    }

    #[test]
    fn the_end_of_a_persona_is_kept_though_the_memory_is_full() {
        let mut machine = Machine::new(12);
        machine.add(1, Class::Interactive, text(1, 0, 1, 330), 0, 1);
        machine.run();
        assert_eq!(machine.scheduler.pages.free(), 12 - 11);
        for conversation in 2..4 {
            machine.add(
                conversation,
                Class::Interactive,
                text(2, 50, u32::try_from(conversation).expect("small"), 200),
                50,
                1,
            );
            machine.run();
        }
        machine.scheduler.forget(2);
        machine.scheduler.forget(3);
        let before = machine.computed_tokens;
        machine.add(4, Class::Interactive, text(2, 50, 4, 5), 50, 1);
        machine.run();
        assert_eq!(machine.computed_tokens - before, 5);
        machine.no_page_is_lost();
    }

    #[test]
    fn the_urgent_read_before_the_others_and_hints_one_after_the_other() {
        let mut machine = Machine::new(64);
        let hints = [1, 2].map(|number| {
            machine.add(number, Class::Idle, text(1, 0, u32::try_from(number).expect("small"), 200), 0, 0)
        });
        let readers = |step: &Step| step.spans.iter().map(|span| span.key).collect::<Vec<u64>>();
        assert_eq!(readers(&machine.step(false)), [hints[0]]);
        let background = machine.add(3, Class::Background, text(1, 0, 3, 200), 0, 1);
        let urgent = machine.add(4, Class::Interactive, text(1, 0, 4, 20), 0, 1);
        assert_eq!(readers(&machine.step(false)), [urgent]);
        machine.step(false);
        assert_eq!(readers(&machine.step(false)), [background]);
        machine.run();
        machine.no_page_is_lost();
    }

    #[test]
    fn hints_are_computed_when_there_is_nothing_else_and_give_way_at_once() {
        let mut machine = Machine::new(64);
        let hint = machine.add(1, Class::Idle, text(1, 50, 1, 800), 50, 0);
        machine.step(false);
        assert!(machine.texts.contains_key(&hint));
        let urgent = machine.add(2, Class::Interactive, text(1, 50, 2, 10), 50, 3);
        while machine.texts.contains_key(&urgent) {
            assert!(machine.step(false).spans.iter().all(|span| span.key == urgent));
        }
        machine.run();
        let before = machine.computed_tokens;
        machine.add(1, Class::Interactive, text(1, 50, 1, 810), 50, 1);
        machine.run();
        assert_eq!(machine.computed_tokens - before, 10);
        machine.no_page_is_lost();
    }

    #[test]
    fn a_conversation_has_one_hint_and_its_message_takes_the_hint_s_place() {
        let mut machine = Machine::new(64);
        machine.add(1, Class::Idle, text(1, 10, 1, 500), 10, 0);
        machine.step(false);
        machine.add(1, Class::Idle, text(1, 10, 1, 510), 10, 0);
        machine.add(1, Class::Interactive, text(1, 10, 1, 520), 10, 1);
        assert_eq!(machine.scheduler.entries.len(), 1);
        for conversation in 2..100 {
            machine.add(conversation, Class::Idle, text(1, 10, 2, 10), 10, 0);
        }
        assert_eq!(machine.scheduler.entries.len(), 1 + MOST_HINTS);
    }

    #[test]
    fn idle_work_leaves_its_pages_to_whoever_needs_them() {
        let mut machine = Machine::new(16);
        machine.add(1, Class::Idle, text(1, 0, 1, 480), 0, 0);
        machine.step(false);
        let urgent = machine.add(2, Class::Interactive, text(2, 0, 2, 450), 0, 3);
        machine.step(false);
        assert!(machine.texts[&urgent].cached.is_some());
        machine.run();
        machine.no_page_is_lost();
    }

    #[test]
    fn when_pages_run_out_the_last_reply_waits_and_begins_again() {
        let mut machine = Machine::new(12);
        let long = |conversation: u32| text(conversation, 0, conversation, 100);
        let first = machine.add(1, Class::Interactive, long(1), 0, 150);
        let second = machine.add(2, Class::Interactive, long(2), 0, 150);
        while machine.texts.contains_key(&first) {
            machine.step(false);
        }
        assert!(machine.texts[&second].waits, "it had to wait");
        assert!(machine.texts[&second].tokens.len() > 100, "it had begun");
        machine.run();
        machine.no_page_is_lost();
    }

    #[test]
    fn those_who_wait_for_pages_are_told_where_they_stand() {
        let mut machine = Machine::new(4);
        let keys = [1, 2, 3].map(|number| machine.add(number, Class::Interactive, text(0, 0, 1, 90), 0, 1));
        let news = machine.step(false).news;
        let expected = [
            News::Admitted { key: keys[0], cached: 0 },
            News::Waits { key: keys[1], place: 1 },
            News::Waits { key: keys[2], place: 2 },
        ];
        assert_eq!(news, expected);
        machine.run();
        machine.no_page_is_lost();
    }

    #[test]
    fn what_is_forgotten_while_it_is_computed_leaves_nothing_behind() {
        let mut machine = Machine::new(64);
        machine.add(1, Class::Interactive, text(1, 0, 1, 300), 0, 5);
        machine.step(false);
        machine.scheduler.forget(1);
        machine.run();
        assert_eq!(machine.scheduler.prefixes.len(), 0);
        machine.no_page_is_lost();
    }

    #[derive(Debug, Clone)]
    enum Act {
        Add {
            conversation: u64,
            class: Class,
            persona: u32,
            persona_length: usize,
            length: usize,
            most: usize,
        },
        Steps(u8),
        Cancel(usize),
        Forget(u64),
        Fail,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let class = prop::sample::select(vec![Class::Interactive, Class::Background, Class::Idle]);
        let add =
            (1u64..5, class, 1u32..3, prop::sample::select(vec![0, 20, 32, 45, 96]), 1usize..150, 0usize..60);
        let add = add.prop_map(|(conversation, class, persona, persona_length, length, most)| {
            let class = if most == 0 { Class::Idle } else { class };
            Act::Add { conversation, class, persona, persona_length, length, most }
        });
        let act = prop_oneof![
            5 => add,
            8 => (1u8..20).prop_map(Act::Steps),
            1 => any::<usize>().prop_map(Act::Cancel),
            1 => (1u64..5).prop_map(Act::Forget),
            1 => Just(Act::Fail),
        ];
        prop::collection::vec(act, 1..40)
    }

    proptest! {
        #[test]
        fn whatever_happens_every_token_sees_its_own_text_and_no_page_is_lost(
            acts in acts(),
            pages in 10usize..60,
        ) {
            let mut machine = Machine::new(pages);
            for act in acts {
                match act {
                    Act::Add { conversation, class, persona, persona_length, length, most } => {
                        let tokens = text(persona, persona_length, u32::try_from(conversation).expect("small"), length);
                        machine.add(conversation, class, tokens, persona_length, most);
                        machine.drop_hints_that_are_gone();
                    }
                    Act::Steps(count) => {
                        for _ in 0..count {
                            machine.step(false);
                        }
                    }
                    Act::Cancel(number) => {
                        let keys: Vec<u64> = machine.texts.keys().copied().collect();
                        if !keys.is_empty() {
                            machine.remove(keys[number % keys.len()]);
                        }
                    }
                    Act::Forget(conversation) => {
                        machine.scheduler.forget(conversation);
                        machine.drop_hints_that_are_gone();
                    }
                    Act::Fail => drop(machine.step(true)),
                }
            }
            machine.run();
            machine.no_page_is_lost();
        }
    }
}
