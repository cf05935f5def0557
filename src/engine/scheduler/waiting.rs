//! Who waits for pages, and gets them.

use std::collections::BTreeSet;

use super::super::pages::{Page, pages_for};
use super::Scheduler;
use super::entry::{Entry, Running};
use super::step::{News, PageCopy, Step};
use crate::generation::Class;

impl Scheduler {
    /// Those who wait for pages, in the order in which they get them: in fair turns, and of equals whoever was set back.
    pub(super) fn waiting(&self) -> Vec<u64> {
        let rank = |Entry { task, prompt, .. }: &Entry| (task.tokens.len() == *prompt, task.key);
        let waiting = self.active().filter(|entry| entry.running.is_none());
        let claims: Vec<_> = waiting.map(|entry| (entry.task.claim(), rank(entry))).collect();
        self.turns.order(&claims).into_iter().map(|index| claims[index].1.1).collect()
    }

    /// Gives pages to those who wait, as long as there are enough, and no more speak at a time than may.
    pub(super) fn admit(&mut self, step: &mut Step) {
        for key in self.waiting() {
            let Some(index) = self.index(key) else { continue };
            let entry = &self.entries[index];
            let (class, length) = (entry.task.class, entry.length());
            if entry.task.speaks && self.speaking(class) >= self.batch {
                continue;
            }
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
                self.turns.serve(&entry.task.claim());
            }
            entry.running = Some(Running { pages, computed: cached, kept, at: found.at });
            entry.told = None;
            if !std::mem::replace(&mut entry.admitted, true) {
                step.news.push(News::Admitted { key, cached });
            }
        }
    }

    /// How many replies of this class or a more urgent one have their pages.
    fn speaking(&self, class: Class) -> usize {
        let speaks =
            |entry: &&Entry| entry.running.is_some() && entry.task.speaks && entry.task.class <= class;
        self.entries.iter().filter(speaks).count()
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

    /// Tells those who wait for pages where they stand.
    pub(super) fn tell_places(&mut self, step: &mut Step) {
        for (place, key) in (1..).zip(self.waiting()) {
            let Some(index) = self.index(key) else { continue };
            let entry = &mut self.entries[index];
            if entry.task.speaks && entry.told.replace(place) != Some(place) {
                step.news.push(News::Waits { key, place });
            }
        }
    }
}
