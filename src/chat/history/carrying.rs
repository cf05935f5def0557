//! What another program says of a turn beside its text: it means nothing here, and is given back with the turn.

use super::{Turn, text_mark};

/// What another program says of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// That, as JSON.
    pub json: String,
    /// A number that follows from what the turn said then.
    pub of: u64,
}

impl Turn {
    /// Another program says this of it as it is now.
    pub fn carry(&mut self, json: String) {
        self.carried = Some(Carried { json, of: self.ways_mark() });
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
    use super::super::{Conversation, ConversationId, Speaker, Variant};
    use crate::chat::MemberId;

    #[test]
    fn what_is_said_of_a_turn_is_said_of_its_text() {
        let speaker = Speaker::Member(MemberId(1));
        let mut conversation = Conversation::new(ConversationId(1), 0, 0, speaker, "Hermes");
        let id = conversation.hear(MemberId(2), "Bob", "hi", None);
        let turn = conversation.turn_mut(id).expect("it is there");
        assert!(!turn.is_as_carried());
        turn.variants.push(Variant { text: "ho".to_owned(), ..Variant::default() });
        turn.carry("{}".to_owned());
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
