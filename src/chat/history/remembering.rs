//! What a conversation remembers of turns that its prompts have no room for, and what takes that away.

use std::collections::BTreeSet;

use super::{Conversation, Turn, TurnId, TurnKind};
use crate::chat::memory::{Chapter, Due, Link, MEMORIES_KEPT, MEMORIES_MAX, MEMORY_MAX, Memory, thinned};
use crate::chat::{MemberId, sanitize};

impl Conversation {
    /// What is remembered, oldest first; also what nobody wants told.
    #[must_use]
    pub fn memories(&self) -> &[Memory] {
        &self.memories
    }

    /// What is remembered and told, oldest first.
    #[must_use]
    pub fn told(&self) -> impl DoubleEndedIterator<Item = &Memory> {
        self.memories.iter().filter(|memory| memory.is_told())
    }

    /// The memory that ends with this turn.
    #[must_use]
    pub fn memory(&self, until: TurnId) -> Option<&Memory> {
        self.told().find(|memory| memory.until == until)
    }

    /// What is to be summed up next, if anything is: two memories where there are too many, else the first turns in a row of which
    /// prompts and memories know nothing.
    #[must_use]
    pub fn due(&self) -> Option<Due> {
        let made: Vec<TurnId> =
            self.told().filter(|memory| memory.editor.is_none()).map(|memory| memory.until).collect();
        if let [first, second, ..] = made[..]
            && made.len() > MEMORIES_MAX
        {
            return Some(Due::Memories([first, second]));
        }
        let known: BTreeSet<TurnId> =
            self.memories.iter().flat_map(|memory| &memory.links).map(|link| link.turn).collect();
        let cut = self.turns.iter().take_while(|turn| turn.id.0 < self.cut.first_turn);
        let is_told = |turn: &&Turn| turn.kind != TurnKind::Hidden && !sanitize::is_blank(&turn.shown().text);
        let cut = cut.filter(|turn| !turn.state.is_unfinished()).filter(is_told);
        let is_known = |turn: &TurnId| known.contains(turn);
        let unknown = cut.map(|turn| turn.id).skip_while(is_known).take_while(|turn| !is_known(turn));
        Some(unknown.collect()).filter(|turns: &Vec<TurnId>| !turns.is_empty()).map(Due::Turns)
    }

    /// Writes down what a chapter is summed up as, if all of it is still what it was. Whether it is.
    pub fn remember(&mut self, chapter: &Chapter, text: &str) -> bool {
        let is_as_it_was = Chapter::of(self, chapter.due.clone()).as_ref() == Some(chapter);
        let Some(until) = chapter.until().filter(|_| is_as_it_was && !text.is_empty()) else { return false };
        if let Due::Memories(ends) = &chapter.due {
            self.memories.retain(|memory| !ends.contains(&memory.until));
        }
        let first_kept = self.turns.first().map(|turn| turn.id);
        let links = thinned(chapter.links.clone(), first_kept);
        let place = self.memories.partition_point(|memory| memory.until < until);
        self.memories.insert(place, Memory { until, text: text.to_owned(), links, editor: None });
        if self.told().count() > MEMORIES_KEPT
            && let Some(oldest) = self.memories.iter_mut().find(|memory| memory.is_told())
        {
            hush(oldest);
        }
        let is_kept = |link: &Link| first_kept.is_some_and(|first| link.turn >= first);
        self.memories.retain(|memory| memory.is_told() || memory.links.iter().any(is_kept));
        self.memories_changed = true;
        true
    }

    /// What fits into no prompt is not told, and is not due any more: of turns it is known that they are passed over, and of two memories
    /// the older one says nothing from then on. Whether all of it is still what it was.
    pub fn pass_over(&mut self, chapter: &Chapter) -> bool {
        if Chapter::of(self, chapter.due.clone()).as_ref() != Some(chapter) {
            return false;
        }
        match &chapter.due {
            Due::Memories([older, _]) => return self.dismiss(*older),
            Due::Turns(_) => {
                let Some(until) = chapter.until() else { return false };
                let place = self.memories.partition_point(|memory| memory.until < until);
                let links = chapter.links.clone();
                self.memories.insert(place, Memory { until, text: String::new(), links, editor: None });
                self.memories_changed = true;
            }
        }
        true
    }

    /// A member lets a memory say this. Whether there was one.
    pub fn reword(&mut self, until: TurnId, text: &str, editor: MemberId) -> bool {
        let Some(memory) = self.memory_mut(until) else { return false };
        memory.text = text.chars().take(MEMORY_MAX).collect();
        memory.editor = Some(editor);
        true
    }

    /// Nobody wants this memory, and what it told is not summed up anew. Whether there was one.
    pub fn dismiss(&mut self, until: TurnId) -> bool {
        self.memory_mut(until).map(hush).is_some()
    }

    /// Whether a member may see what is remembered: they have spoken here, or play.
    #[must_use]
    pub fn may_see_memories(&self, member: MemberId) -> bool {
        let theirs = |one: Option<MemberId>| one == Some(member);
        let has_spoken = self.turns.iter().any(|turn| theirs(turn.speaker.member()));
        let links = self.memories.iter().flat_map(|memory| &memory.links);
        has_spoken
            || links.into_iter().any(|link| theirs(link.member))
            || self.scene().is_some_and(|scene| theirs(scene.host) || scene.player(member).is_some())
    }

    /// Whether a member may change a memory: it is of their scene, or tells of nobody else.
    #[must_use]
    pub fn may_change_memory(&self, memory: &Memory, member: MemberId) -> bool {
        let mut others = memory.links.iter().filter_map(|link| link.member).chain(memory.editor);
        let is_host = self.scene().is_some_and(|scene| scene.host == Some(member));
        is_host || others.clone().next().is_some() && others.all(|other| other == member)
    }

    /// What is told of something like this goes. Whether there was anything.
    pub fn forget_memories(&mut self, which: impl Fn(&Link) -> bool) -> bool {
        let before = self.memories.len();
        let mut any = false;
        for memory in self.memories.iter_mut().filter(|memory| !memory.is_told()) {
            let links = memory.links.len();
            memory.links.retain(|link| !which(link));
            any |= memory.links.len() < links;
        }
        let is_gone =
            |memory: &Memory| memory.links.is_empty() || memory.is_told() && memory.links.iter().any(&which);
        self.memories.retain(|memory| !is_gone(memory));
        any |= self.memories.len() < before;
        self.memories_changed |= any;
        any
    }

    /// What a member has written of it goes, and what is told of them.
    pub(super) fn forget_memories_of(&mut self, member: MemberId) -> bool {
        let before = self.memories.len();
        self.memories.retain(|memory| memory.editor != Some(member));
        let any = self.memories.len() < before;
        self.memories_changed |= any;
        self.forget_memories(|link| link.member == Some(member)) || any
    }

    fn memory_mut(&mut self, until: TurnId) -> Option<&mut Memory> {
        let memory = self.memories.iter_mut().find(|memory| memory.until == until && memory.is_told());
        self.memories_changed |= memory.is_some();
        memory
    }
}

/// It says nothing any more.
fn hush(memory: &mut Memory) {
    memory.text.clear();
    memory.editor = None;
}
