//! What to leave out when the prompt does not fit: examples block by block, then old turns, deep and at once.

use super::history::{Conversation, Cut, TurnId};
use super::prompt::Prompt;
use super::slots::Slots;
use super::template;
use crate::persona::Persona;

/// Examples that go leave at least one part in this many of the room free, if there are enough of them: whatever
/// changes near the prompt's beginning has all of it read again.
const FREED_SHARE: usize = 8;

/// A prompt that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// The prompt.
    pub prompt: Prompt,
    /// Its tokens, counted on the whole.
    pub tokens: usize,
    /// Whether the two-part form was used.
    pub direct: bool,
}

/// The newest message alone does not fit beside the persona.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the prompt has {have} tokens without any history, and there is room for {room}")]
pub struct TooLong {
    /// Tokens of the smallest possible prompt.
    pub have: usize,
    /// Most tokens that it may have.
    pub room: usize,
}

/// Builds the prompt of the persona's next reply in at most `room` tokens, as `count` counts them.
///
/// While everything fits, the cut stays where it is, so that one prompt begins with the last one. When it does not,
/// blocks of examples go first, as many as make room for some turns. When that is not enough, the history is cut at a
/// turn, so deep that what stays takes at most half of the room that it could have; the examples come back as far as
/// they fit in the other half; and the cut is remembered in the conversation. The turn `keep` and those after it stay
/// if they can.
///
/// # Errors
/// [`TooLong`] when the newest turn alone does not fit; the cut then stays as it was.
pub fn fit(
    persona: &Persona,
    conversation: &mut Conversation,
    model: &str,
    room: usize,
    keep: TurnId,
    count: impl Fn(&Prompt) -> usize,
) -> Result<Fitted, TooLong> {
    let old = conversation.cut;
    let blocks = persona.card.examples.len();
    let starts: Vec<u64> = conversation.window().iter().map(|turn| turn.id.0).collect();
    let mut attempt = |first_turn: u64, examples_dropped: usize| {
        conversation.cut = Cut { first_turn, examples_dropped };
        let slots = Slots::fill(persona, conversation, model);
        let prompt = template::alpaca(&slots);
        Fitted { tokens: count(&prompt), prompt, direct: slots.direct }
    };
    let spare = room - room / FREED_SHARE;
    for examples_dropped in old.examples_dropped.min(blocks)..=blocks {
        let fitted = attempt(old.first_turn, examples_dropped);
        let suffices = examples_dropped == old.examples_dropped || examples_dropped == blocks;
        if fitted.tokens <= if suffices { room } else { spare } {
            return Ok(fitted);
        }
    }
    let newest = starts.last().copied().unwrap_or(old.first_turn);
    let smallest = attempt(newest, blocks);
    if smallest.tokens > room {
        conversation.cut = old;
        return Err(TooLong { have: smallest.tokens, room });
    }
    let half = smallest.tokens + (room - smallest.tokens) / 2;
    let too_early = starts.partition_point(|&first_turn| attempt(first_turn, blocks).tokens > half);
    let first_turn = starts.get(too_early).copied().unwrap_or(newest);
    let first_turn =
        if keep.0 < first_turn && keep.0 >= old.first_turn && attempt(keep.0, blocks).tokens <= room {
            keep.0
        } else {
            first_turn
        };
    let with_examples = half + (room - half) / 2;
    let restored =
        (0..blocks).map(|dropped| attempt(first_turn, dropped)).find(|f| f.tokens <= with_examples);
    Ok(match restored {
        Some(fitted) => fitted,
        None => attempt(first_turn, blocks),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chat::history::{ConversationId, Speaker};
    use crate::chat::{MemberId, MessageId};
    use crate::persona::PersonaId;

    /// A persona with three blocks of examples of about 20 words each.
    fn persona() -> Persona {
        let block = format!("'{}'", "word ".repeat(20));
        let text =
            format!("name = 'Ada'\ndescription = 'An engineer.'\nexamples = [{block}, {block}, {block}]\n");
        Persona::from_toml("ada", &text).expect("it parses")
    }

    fn conversation() -> Conversation {
        let speaker = Speaker::Persona { id: PersonaId("ada".to_owned()), version: String::new() };
        Conversation::new(ConversationId(1), 0, 0, speaker, "Ada")
    }

    /// A tokenizer of a sort: words.
    fn words(prompt: &Prompt) -> usize {
        prompt.render().split_whitespace().count()
    }

    /// The prompt in which only the newest turn must be.
    fn fit_newest(conversation: &mut Conversation, room: usize) -> Result<Fitted, TooLong> {
        let newest = conversation.turns().last().expect("somebody has spoken").id;
        fit(&persona(), conversation, "", room, newest, words)
    }

    fn say(conversation: &mut Conversation, number: u64, words: usize) {
        let text = format!("{number} {}", "word ".repeat(words));
        conversation.hear(MemberId(1), "Bob", &text, Some(MessageId(number)));
    }

    #[test]
    fn examples_go_before_history() {
        let mut conversation = conversation();
        say(&mut conversation, 1, 20);
        let all = fit_newest(&mut conversation, 1_000).expect("it fits").tokens;
        let fitted = fit_newest(&mut conversation, all - 1).expect("it fits");
        assert_eq!(conversation.cut, Cut { first_turn: 0, examples_dropped: 1 });
        assert_eq!(fitted.tokens, all - 20);
    }

    #[test]
    fn examples_do_not_go_again_at_each_turn() {
        let mut conversation = conversation();
        say(&mut conversation, 0, 20);
        let room = fit_newest(&mut conversation, 1_000).expect("it fits").tokens;
        let mut dropped = Vec::new();
        for number in 1..=8 {
            say(&mut conversation, number, 3);
            fit_newest(&mut conversation, room).expect("it fits");
            dropped.push(conversation.cut.examples_dropped);
        }
        assert_eq!(conversation.cut.first_turn, 0, "the history is whole");
        dropped.dedup();
        assert!(dropped.len() <= 2, "examples went at {} turns of eight: {dropped:?}", dropped.len());
    }

    #[test]
    fn history_is_cut_deep_and_then_grows_for_many_turns() {
        let mut conversation = conversation();
        let mut cuts = Vec::new();
        for number in 0..200 {
            say(&mut conversation, number, 8);
            let fitted = fit_newest(&mut conversation, 300).expect("it fits");
            assert!(fitted.tokens <= 300);
            assert!(
                fitted.prompt.render().contains(&format!("Bob: {number} word")),
                "the newest turn is there"
            );
            if cuts.last() != Some(&conversation.cut.first_turn) {
                cuts.push(conversation.cut.first_turn);
            }
        }
        assert!(cuts.len() < 200 / 8, "{} cuts in 200 turns: {cuts:?}", cuts.len());
    }

    #[test]
    fn prompts_are_append_only_between_cuts() {
        let mut conversation = conversation();
        let mut last = String::new();
        let mut last_cut = conversation.cut;
        for number in 0..100 {
            say(&mut conversation, number, 8);
            let fitted = fit_newest(&mut conversation, 300).expect("it fits");
            let history: String = fitted.prompt.segments[..fitted.prompt.marks.history_end]
                .iter()
                .map(crate::chat::prompt::Segment::text)
                .collect();
            if conversation.cut == last_cut {
                assert!(history.starts_with(&last), "turn {number} changed what stood before it");
            }
            last = history;
            last_cut = conversation.cut;
        }
    }

    #[test]
    fn a_message_that_is_replied_to_stays_when_the_history_is_cut() {
        let mut conversation = conversation();
        for number in 0..8 {
            say(&mut conversation, number, 30);
        }
        say(&mut conversation, 8, 130);
        let quoted = conversation.turns()[8].id;
        say(&mut conversation, 9, 8);
        let fitted = fit(&persona(), &mut conversation, "", 250, quoted, words).expect("it fits");
        assert!(fitted.prompt.render().contains("Bob: 8 word"), "{}", fitted.prompt.render());
        assert!(fitted.tokens <= 250);
    }

    #[test]
    fn a_message_that_can_never_fit_is_refused_and_changes_nothing() {
        let mut conversation = conversation();
        say(&mut conversation, 1, 8);
        say(&mut conversation, 2, 500);
        let error = fit_newest(&mut conversation, 300).expect_err("it is too long");
        assert!(error.have > 500 && error.room == 300);
        assert_eq!(conversation.cut, Cut::default());
    }

    proptest! {
        #[test]
        fn whatever_is_said_the_prompt_fits(sizes in proptest::collection::vec(0_usize..120, 1..60)) {
            let mut conversation = conversation();
            for (number, size) in (0..).zip(sizes) {
                say(&mut conversation, number, size);
                let fitted = fit_newest(&mut conversation, 250).expect("one message always fits");
                prop_assert!(fitted.tokens <= 250);
                prop_assert_eq!(fitted.tokens, words(&fitted.prompt));
            }
        }
    }
}
