//! What has changed in a conversation since it was written down last, and a conversation as it was written down.

use std::collections::{BTreeMap, BTreeSet};

use super::{Conversation, ConversationId, Cut, Speaker, Turn, TurnId};
use crate::chat::memory::Memory;
use crate::chat::scene::Scene;

/// What a conversation has beside its turns.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// Its id.
    pub id: ConversationId,
    /// Seed of everything random in it.
    pub seed: u64,
    /// When it began, in seconds since 1970.
    pub created: u64,
    /// Where its prompts begin.
    pub cut: Cut,
    /// Whom `{{user}}` means where two are alone.
    pub user: Option<String>,
    /// The turn that is a greeting, and which of its variants was selected when it was seen last.
    pub greeting: Option<(TurnId, usize)>,
    /// The turn under which the buttons stand.
    pub row: Option<TurnId>,
    /// In how many turns that are not kept any more a persona has spoken.
    pub spoken_before: u64,
    /// The number of the turn that comes next.
    pub next_turn: u64,
    /// The names that speakers have in it.
    pub names: Vec<(Speaker, String)>,
    /// What it has when it is a scene.
    pub scene: Option<Scene>,
}

/// What has changed.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Everything but the turns, as it is now.
    pub head: Head,
    /// The turns that are new or not what they were, oldest first.
    pub turns: Vec<Turn>,
    /// The turns that are gone.
    pub gone: Vec<TurnId>,
    /// Whether something beside the turns has changed by itself.
    pub head_changed: bool,
    /// All that is remembered, when that has changed.
    pub memories: Option<Vec<Memory>>,
}

impl Changes {
    /// Whether there is nothing to be written down. Most of what a conversation has beside its turns changes with one of them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty() && self.gone.is_empty() && !self.head_changed && self.memories.is_none()
    }
}

impl Conversation {
    /// What has changed since this was asked last. Whoever asks writes it down, or gives it back.
    pub fn take_changes(&mut self) -> Changes {
        let changed = std::mem::take(&mut self.changed);
        let (there, gone): (Vec<TurnId>, Vec<TurnId>) =
            changed.into_iter().partition(|&id| self.turn(id).is_some());
        let turns = there.into_iter().filter_map(|id| self.turn(id).cloned()).collect();
        let head_changed = std::mem::take(&mut self.head_changed);
        let memories = std::mem::take(&mut self.memories_changed).then(|| self.memories.clone());
        Changes { head: self.head(), turns, gone, head_changed, memories }
    }

    /// Whether everything is written down.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.changed.is_empty() && !self.head_changed && !self.memories_changed
    }

    /// These changes could not be written down, so they are changes still.
    pub fn give_back(&mut self, changes: &Changes) {
        self.changed.extend(changes.turns.iter().map(|turn| turn.id).chain(changes.gone.iter().copied()));
        self.head_changed |= changes.head_changed;
        self.memories_changed |= changes.memories.is_some();
    }

    /// A conversation as it was written down; the turns oldest first.
    #[must_use]
    pub fn restore(head: Head, turns: Vec<Turn>) -> Self {
        let Head { id, seed, created, cut, user, greeting, row, spoken_before, next_turn, names, scene } =
            head;
        let changed = BTreeSet::new();
        Self {
            id,
            seed,
            created,
            cut,
            examples_of: None,
            examples_dropped: BTreeMap::new(),
            user,
            now: created,
            greeting,
            row,
            spoken_before,
            scene,
            memories: Vec::new(),
            turns,
            next_turn,
            names,
            changed,
            head_changed: false,
            memories_changed: false,
        }
    }

    /// The same with what was written down of its memories, oldest first.
    #[must_use]
    pub fn remembering(mut self, memories: Vec<Memory>) -> Self {
        self.memories = memories;
        self
    }

    fn head(&self) -> Head {
        Head {
            id: self.id,
            seed: self.seed,
            created: self.created,
            cut: self.cut,
            user: self.user.clone(),
            greeting: self.greeting,
            row: self.row,
            spoken_before: self.spoken_before,
            next_turn: self.next_turn,
            names: self.names.clone(),
            scene: self.scene.clone(),
        }
    }
}
