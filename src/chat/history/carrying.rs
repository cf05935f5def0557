//! What another program says of a turn beside its text: it means nothing here, and is given back with the turn.

use super::{Turn, text_mark};
use crate::chat::MemberId;

/// What another program says of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// That, as JSON.
    pub json: String,
    /// Who has brought it along: it goes with them.
    pub by: MemberId,
    /// A number that follows from what the turn said then.
    pub of: u64,
}

impl Turn {
    /// Another program says this of it as it is now.
    pub fn carry(&mut self, json: String, by: MemberId) {
        self.carried = Some(Carried { json, by, of: self.ways_mark() });
    }

    /// Whether it says what it said when another program spoke of it.
    #[must_use]
    pub fn is_as_carried(&self) -> bool {
        self.carried.as_ref().is_some_and(|carried| carried.of == self.ways_mark())
    }

    /// A number that follows from all ways to say it, and from which of them is shown.
    fn ways_mark(&self) -> u64 {
        let marks = self.variants.iter().map(|variant| text_mark(&variant.text));
        marks.fold(self.selected as u64, |mark, next| mark.rotate_left(7) ^ next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Conversation, ConversationId, Speaker, Variant};
    use crate::chat::MemberId;
    use crate::persona::PersonaId;

    #[test]
    fn it_goes_with_whoever_has_brought_it_along() {
        let speaker = Speaker::Persona { id: PersonaId("ada".to_owned()), version: "1".to_owned() };
        let mut conversation = Conversation::new(ConversationId(1), 0, 0, speaker.clone(), "Ada");
        let id = conversation.begin_reply(speaker, "Ada", None);
        conversation.turn_mut(id).expect("it is there").carry("{}".to_owned(), MemberId(2));
        assert!(!conversation.forget_member(MemberId(1), &BTreeSet::new()));
        assert!(conversation.forget_member(MemberId(2), &BTreeSet::new()));
        assert_eq!(conversation.turns()[0].carried, None);
    }

    #[test]
    fn what_is_said_of_a_turn_is_said_of_its_text() {
        let speaker = Speaker::Member(MemberId(1));
        let mut conversation = Conversation::new(ConversationId(1), 0, 0, speaker, "Hermes");
        let id = conversation.hear(MemberId(2), "Bob", "hi", None);
        let turn = conversation.turn_mut(id).expect("it is there");
        assert!(!turn.is_as_carried());
        turn.variants.push(Variant { text: "ho".to_owned(), ..Variant::default() });
        turn.carry("{}".to_owned(), MemberId(2));
        assert!(turn.is_as_carried());
        turn.selected = 1;
        assert!(!turn.is_as_carried(), "it shows something else");
        turn.selected = 0;
        assert!(turn.is_as_carried());
        turn.shown_mut().text.push('!');
        assert!(!turn.is_as_carried());
        turn.shown_mut().text.pop();
        turn.variants.swap(0, 1);
        assert!(!turn.is_as_carried(), "it is said in another order");
    }
}
