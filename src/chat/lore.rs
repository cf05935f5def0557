//! What a conversation calls up of the persona's lorebook.

use std::cell::Cell;

use super::history::{Conversation, Speaker, Turn};
use super::slots::{Voice, seen};
use crate::persona::Persona;
use crate::persona::lorebook::{Activation, Scan, Timed};

/// Most bytes of all entries that are considered.
const MOST_BYTES: usize = 1 << 20;

/// The entries that come into the prompt of the persona's next reply and together take at most `budget` tokens, as `count`
/// counts them.
#[must_use]
pub fn activate(
    persona: &Persona,
    conversation: &Conversation,
    budget: usize,
    count: &dyn Fn(&str) -> usize,
) -> Activation {
    let Some(lore) = &persona.lore else { return Activation::default() };
    let newest: Vec<String> = seen(conversation).rev().take(lore.deepest_scan()).map(line).collect();
    let messages: Vec<&str> = newest.iter().rev().map(String::as_str).collect();
    let voice = Voice::of(persona, conversation);
    // A text takes as many tokens as what its macros stand for. Beyond so many bytes nothing would fit any more.
    let left = Cell::new(MOST_BYTES);
    let count = |entry: usize| {
        if left.get() == 0 {
            return usize::MAX;
        }
        let piece = voice.of_entry(lore, entry);
        left.set(left.get().saturating_sub(piece.as_ref().map_or(0, |piece| piece.text.len())));
        piece.map_or(0, |piece| count(&piece.text))
    };
    let forgotten = Timed::default();
    lore.activate(Scan {
        messages: &messages,
        number: conversation.next_turn().0,
        spoken: conversation.spoken(),
        greeting: conversation.greeting().map(|greeting| greeting as u64),
        seed: conversation.seed.wrapping_add(conversation.next_turn().0),
        before: last_words(persona, conversation).map_or(&forgotten, |turn| &turn.shown().lore),
        budget,
        count: &count,
    })
}

/// A message as keys see it: with its speaker.
fn line(turn: &Turn) -> String {
    format!("{}: {}", turn.name, turn.shown().text)
}

/// The last turn in which this persona has said something: what it remembers of its lorebook stands there.
fn last_words<'a>(persona: &Persona, conversation: &'a Conversation) -> Option<&'a Turn> {
    let is_its_own = |turn: &&Turn| matches!(&turn.speaker, Speaker::Persona { id, .. } if *id == persona.id);
    conversation.turns().iter().rfind(is_its_own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::MemberId;
    use crate::chat::history::{ConversationId, Variant};
    use crate::persona::PersonaId;
    use crate::persona::lorebook::Cause;

    const BOOK: &str = "name = 'Ada'\ndescription = 'x'\n[lorebook]\nscan_depth = 1\n";

    fn persona(entries: &str) -> Persona {
        Persona::from_toml("ada", &format!("{BOOK}{entries}")).expect("it parses")
    }

    fn speaker() -> Speaker {
        Speaker::Persona { id: PersonaId("ada".to_owned()), version: String::new() }
    }

    fn conversation() -> Conversation {
        Conversation::new(ConversationId(1), 0, 0, speaker(), "Ada")
    }

    fn called(persona: &Persona, conversation: &Conversation) -> Activation {
        activate(persona, conversation, 1_000, &str::len)
    }

    /// Somebody speaks and the persona answers; what is remembered of the lorebook stands with the answer.
    fn exchange(persona: &Persona, conversation: &mut Conversation, text: &str) -> bool {
        conversation.hear(MemberId(1), "Bob", text, None);
        let activation = called(persona, conversation);
        let came = !activation.fired.is_empty();
        let id = conversation.begin_reply(speaker(), "Ada", None);
        *conversation.turn_mut(id).expect("it is there").shown_mut() =
            Variant { text: "Hm.".to_owned(), lore: activation.after, ..Variant::default() };
        came
    }

    #[test]
    fn names_of_speakers_are_seen_and_no_further_than_the_depth() {
        let persona = persona("[[lorebook.entries]]\nkeys = ['bob: hi']\ncontent = 'x'\n");
        let mut conversation = conversation();
        conversation.hear(MemberId(1), "Bob", "Hi!", None);
        let cause = &called(&persona, &conversation).fired[0].cause;
        assert_eq!(*cause, Cause::Key("bob: hi".to_owned()));
        conversation.hear(MemberId(1), "Bob", "Well.", None);
        assert_eq!(called(&persona, &conversation).fired, []);
    }

    #[test]
    fn what_is_remembered_belongs_to_the_turn() {
        let entry = "[[lorebook.entries]]\nkeys = ['moon']\ncontent = 'x'\ntiming = { sticky = 4 }\n";
        let persona = persona(entry);
        let mut conversation = conversation();
        assert!(exchange(&persona, &mut conversation, "The moon!"));
        assert!(exchange(&persona, &mut conversation, "Well."), "it stays");
        let mut branch = conversation.clone();
        assert!(exchange(&persona, &mut conversation, "Well."), "it is there still");
        assert!(!exchange(&persona, &mut conversation, "Well."), "and goes");
        assert!(exchange(&persona, &mut branch, "Well."), "a branch goes on where it left");

        // Another answer instead of the first one: it had not called anything.
        let mut other = branch.clone();
        for id in [1, 3] {
            let turn = other.turn_mut(crate::chat::history::TurnId(id)).expect("it is there");
            turn.variants.push(Variant { text: "Oh.".to_owned(), ..Variant::default() });
            turn.selected = 1;
        }
        let last = other.turns().last().expect("it is there").id;
        other.forget(last);
        assert_eq!(called(&persona, &other).fired, []);
    }

    #[test]
    fn the_greeting_that_is_shown_counts() {
        let entry = "[[lorebook.entries]]\ncontent = \"@@is_greeting 1\\nx\"\nconstant = true\n";
        let persona = persona(entry);
        let mut conversation = conversation();
        let id = conversation.begin_reply(speaker(), "Ada", None);
        let comes = |conversation: &Conversation| !called(&persona, conversation).fired.is_empty();
        conversation.turn_mut(id).expect("it is there").variants.push(Variant::default());
        assert!(!comes(&conversation), "it is no greeting");
        conversation.greet(id);
        assert!(!comes(&conversation), "it is the first one");
        conversation.turn_mut(id).expect("it is there").selected = 1;
        assert!(comes(&conversation));
        for number in 0..1_100 {
            conversation.hear(MemberId(1), "Bob", &number.to_string(), None);
        }
        assert!(conversation.turn(id).is_none() && comes(&conversation), "it is remembered");
        assert_eq!(conversation.spoken(), 1);
    }
}
