//! How much memory a conversation takes, so that there are never too many at hand.

use super::{Conversation, Turn, Variant};
use crate::chat::memory::Memory;
use crate::chat::scene::Scene;

/// Bytes that an explanation takes, about: it is a list of numbers and of a few short names.
const EXPLANATION: usize = 512;

impl Conversation {
    /// Bytes of memory that it takes, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        let names: usize = self.names.iter().map(|(_, name)| size_of_val(name) + name.len()).sum();
        let scene = self.scene().map_or(0, Scene::weight);
        let memories: usize = self.memories().iter().map(Memory::weight).sum();
        size_of::<Self>() + names + scene + memories + self.turns.iter().map(Turn::weight).sum::<usize>()
    }
}

impl Turn {
    fn weight(&self) -> usize {
        let variants: usize = self.variants.iter().map(Variant::weight).sum();
        let carried = self.carried.as_ref().map_or(0, |carried| carried.json.len());
        size_of::<Self>() + self.name.len() + size_of_val(self.parts.as_slice()) + variants + carried
    }
}

impl Variant {
    fn weight(&self) -> usize {
        let tokens = self.tokens.as_ref().map_or(0, |tokens| size_of_val(tokens.ids.as_slice()));
        let origin = self.origin.as_ref().map_or(0, |_| EXPLANATION);
        size_of::<Self>() + self.text.len() + tokens + origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::MemberId;
    use crate::chat::history::{ConversationId, Speaker};

    #[test]
    fn what_is_said_weighs_at_least_its_bytes_and_what_is_forgotten_nothing() {
        let mut conversation =
            Conversation::new(ConversationId(1), 1, 0, Speaker::Member(MemberId(1)), "Hermes");
        let empty = conversation.weight();
        let turn = conversation.hear(MemberId(2), "Bob", &"a".repeat(10_000), None);
        assert!(conversation.weight() >= empty + 10_000);
        conversation.forget(turn);
        let names = conversation.weight() - empty;
        assert!(names < 200, "only a name is left: {names}");
    }
}
