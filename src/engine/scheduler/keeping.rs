//! What the prefix tree keeps of the tasks' pages.

use super::super::pages::PAGE;
use super::super::prefix::Owner;
use super::Scheduler;
use super::entry::Entry;
use super::step::{PageCopy, Task};

impl Scheduler {
    /// Gives the whole pages of a task that begin its conversation's next prompt to the tree, and the end of its
    /// persona's part.
    pub(super) fn keep(&mut self, index: usize) {
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

    /// Takes a task's pages away before its end. The turn that it had is its member's again, unless another one of theirs
    /// goes on: that is the turn which they have.
    pub(super) fn set_back(&mut self, index: usize) {
        self.release(index);
        let Task { member, speaks, .. } = self.entries[index].task;
        let goes_on = |entry: &Entry| entry.running.is_some() && entry.task.member == member;
        if speaks && !self.entries.iter().any(goes_on) {
            self.turns.take_back(&self.entries[index].task.claim());
        }
    }

    /// Takes a task's pages away. What begins its conversation's next prompt stays in the tree.
    pub(super) fn release(&mut self, index: usize) {
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
}
