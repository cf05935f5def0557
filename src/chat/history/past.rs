//! What it takes to build the prompt of a reply once more: how it was made, and the conversation as it was then.

use serde::{Deserialize, Serialize};

use super::{Conversation, Cut, Origin, TurnId, Variant};

/// How a variant was made, as far as that is needed to make it once more. It holds nothing that anybody said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Making {
    /// The program that made it, and on what, for people.
    pub machine: String,
    /// The fingerprint of its prompt.
    pub prompt: u64,
    /// How it ended, when it has ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// What of it was there before; absent when all of it was made at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
}

/// The beginning of a variant that was gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Bytes of its text.
    pub text: usize,
    /// Tokens that stand for that, when some do.
    pub ids: Option<usize>,
}

impl Origin {
    /// What of the variant was there before, when it was gone on with.
    #[must_use]
    pub fn begun(&self) -> Option<Begun> {
        self.making.as_ref()?.begun
    }
}

impl Variant {
    /// As it was before it was gone on with; `None` when its text is not there any more.
    #[must_use]
    pub fn beginning(&self, begun: Begun) -> Option<Self> {
        let text = self.text.get(..begun.text)?.to_owned();
        let tokens = self.tokens.clone().zip(begun.ids).and_then(|(mut tokens, ids)| {
            (ids <= tokens.ids.len()).then(|| {
                tokens.ids.truncate(ids);
                tokens
            })
        });
        Some(Self { text, tokens, ..Self::default() })
    }
}

impl Conversation {
    /// As it was when `last` was the newest turn that a reply was to follow and `next` the number of the next one, its prompts
    /// beginning there, and so many `memories` at hand. What was changed or forgotten since is not as it was.
    #[must_use]
    pub fn as_of(&self, last: TurnId, next: TurnId, cut: Cut, memories: usize) -> Self {
        let mut past = self.clone();
        past.forget_all(|turn| turn.id > last);
        // The clock stands where it stood when the last of them was said.
        past.now = past.turns.last().map_or(past.created, |turn| turn.said);
        past.next_turn = next.0;
        past.cut = cut;
        past.memories.retain(|memory| memory.is_told() && memory.until.0 < cut.first_turn);
        past.memories.truncate(memories);
        past
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ConversationId, MemberId, Speaker, Tokens};
    use super::*;
    use crate::chat::memory::{Link, Memory};

    #[test]
    fn the_past_ends_where_it_is_asked_to() {
        let mut conversation =
            Conversation::new(ConversationId(1), 1, 0, Speaker::Member(MemberId(1)), "Hermes");
        for now in [100, 200, 300] {
            conversation.now = now;
            conversation.hear(MemberId(2), "Bob", "hi", None);
        }
        let cut = Cut { first_turn: 1, examples_dropped: 2 };
        let past = conversation.as_of(TurnId(1), TurnId(2), cut, 0);
        assert_eq!((past.turns().len(), past.now, past.next_turn(), past.cut), (2, 200, TurnId(2), cut));
        assert_eq!(past.window().len(), 1);
    }

    #[test]
    fn the_past_knew_nothing_of_what_was_remembered_since() {
        let mut conversation =
            Conversation::new(ConversationId(1), 1, 0, Speaker::Member(MemberId(1)), "Hermes");
        for number in 0..4 {
            let turn = conversation.hear(MemberId(2), "Bob", "hi", None);
            let link = Link { turn, member: Some(MemberId(2)), said: 0 };
            let text = format!("Told {number}.");
            conversation.memories.push(Memory { until: turn, text, links: vec![link], editor: None });
        }
        let told = |first_turn, memories| {
            let cut = Cut { first_turn, examples_dropped: 0 };
            conversation.as_of(TurnId(3), TurnId(4), cut, memories).memories().len()
        };
        assert_eq!([told(2, 9), told(2, 1), told(2, 0), told(0, 9)], [2, 1, 0, 0]);
    }

    #[test]
    fn a_beginning_is_what_stood_before() {
        let tokens = Tokens { model: "m".to_owned(), ids: vec![1, 2, 3], leading_space: true };
        let variant = Variant { text: "Aye, aye.".to_owned(), tokens: Some(tokens), ..Variant::default() };
        let before = variant.beginning(Begun { text: 3, ids: Some(2) }).expect("it is there");
        assert_eq!((before.text.as_str(), before.tokens.expect("they are there").ids), ("Aye", vec![1, 2]));
        assert_eq!(variant.beginning(Begun { text: 99, ids: None }), None);
        let untold = variant.beginning(Begun { text: 3, ids: Some(9) }).expect("it is there");
        assert_eq!(untold.tokens, None);
    }
}
