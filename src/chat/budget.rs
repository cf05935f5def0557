//! What to leave out when the prompt does not fit: examples block by block, then old turns, deep and at once, then lore.

use super::explanation::Explanation;
use super::history::{Conversation, Cut, Turn, TurnId};
use super::lore;
use super::memory::Memory;
use super::prompt::Prompt;
use super::slots::{self, Slots};
use super::template;
use crate::persona::Persona;
use crate::persona::lorebook::{Activation, Timed};

/// Examples that go leave at least one part in this many of the room free, if there are enough of them: whatever
/// changes near the prompt's beginning has all of it read again.
const FREED_SHARE: usize = 8;

/// Memories take at most one part in this many of the room, newest ones first.
const MEMORY_SHARE: usize = 4;

/// How a model's context is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Most tokens of a prompt.
    pub prompt: usize,
    /// Most tokens of a reply.
    pub reply: usize,
}

impl Room {
    /// The reply gets the tokens that it is allowed, and half of the context at most.
    #[must_use]
    pub fn in_context(context_length: usize, max_tokens: Option<usize>) -> Self {
        let most = (context_length / 2).max(1);
        let reply = max_tokens.unwrap_or(most).clamp(1, most);
        Self { prompt: context_length.saturating_sub(reply), reply }
    }
}

/// No token has more bytes.
const LONGEST_TOKEN: usize = 64;

/// A prompt that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// The prompt.
    pub prompt: Prompt,
    /// Its tokens, counted on the whole.
    pub tokens: usize,
    /// Whether the two-part form was used.
    pub direct: bool,
    /// What of the lorebook is to be remembered with the reply.
    pub lore: Timed,
    /// What went in and what did not.
    pub explanation: Explanation,
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
/// if they can. Of the lorebook comes what its budget allows, and less only where the newest turn would not fit; of the
/// memories what has its share of the room, and less, before lore goes, where the newest turn would not fit.
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
    let mut budget = persona.lore.as_ref().map_or(0, |lore| lore.book().budget(room));
    let mut memories = memories_told(conversation, room / MEMORY_SHARE, &count);
    loop {
        let conversation = &mut *conversation;
        let mut draft = Draft { persona, conversation, model, count: &count, budget, memories };
        let lore = draft.activate();
        let old = draft.conversation.cut;
        let newest = draft.conversation.window().last().map_or(old.first_turn, |turn| turn.id.0);
        match draft.fit(&lore, room, keep.0) {
            Ok(attempt) => return Ok(draft.explained(attempt, lore)),
            Err(_) if memories > 0 => memories /= 2,
            Err(TooLong { have, .. }) if budget > 0 => {
                // Without lore there may be room for some of it; what was too much must go, and a little for the joints.
                let bare = draft.attempt(&Activation::default(), newest, persona.card.examples.len()).tokens;
                draft.conversation.cut = old;
                let used: usize = lore.fired.iter().map(|fired| fired.tokens).sum();
                let excess = have.saturating_sub(room).max(1);
                budget =
                    if bare > room { 0 } else { used.saturating_sub(excess + excess / 2).min(budget - 1) };
            }
            Err(error) => return Err(error),
        }
    }
}

/// How many of the memories, newest ones first, have room in so many tokens.
fn memories_told(conversation: &Conversation, room: usize, count: impl Fn(&Prompt) -> usize) -> usize {
    let mut left = Some(room);
    let fits = |memory: &&Memory| {
        let mut prompt = Prompt::default();
        prompt.text(&memory.text);
        left = left.and_then(|left| left.checked_sub(count(&prompt)));
        left.is_some()
    };
    conversation.told().rev().take_while(fits).count()
}

/// The same for a reply that has begun with what a turn shows, which is not in the conversation: the prompt ends with that.
///
/// # Errors
/// [`TooLong`] as for [`fit`].
pub fn fit_begun(
    persona: &Persona,
    conversation: &mut Conversation,
    model: &str,
    room: usize,
    begun: &Turn,
    count: impl Fn(&Prompt) -> usize,
) -> Result<Fitted, TooLong> {
    let line = slots::line(begun, &[], model);
    let mut alone = Prompt::default();
    template::go_on(&mut alone, &line);
    let taken = count(&alone);
    let keep = conversation.turns().last().map_or(begun.id, |turn| turn.id);
    let fitted = fit(persona, conversation, model, room.saturating_sub(taken), keep, &count);
    let mut fitted = fitted.map_err(|TooLong { have, .. }| TooLong { have: have + taken, room })?;
    template::go_on(&mut fitted.prompt, &line);
    fitted.tokens = count(&fitted.prompt);
    Ok(fitted)
}

/// A prompt that may be too long.
struct Attempt {
    slots: Slots,
    prompt: Prompt,
    tokens: usize,
}

/// A conversation whose cut is being sought.
struct Draft<'a, C> {
    persona: &'a Persona,
    conversation: &'a mut Conversation,
    model: &'a str,
    count: &'a C,
    budget: usize,
    /// How many memories are told, newest ones first.
    memories: usize,
}

impl<C: Fn(&Prompt) -> usize> Draft<'_, C> {
    fn activate(&self) -> Activation {
        let count = |text: &str| {
            let mut prompt = Prompt::default();
            prompt.text(text);
            (self.count)(&prompt)
        };
        lore::activate(self.persona, self.conversation, self.budget, &count)
    }

    fn attempt(&mut self, lore: &Activation, first_turn: u64, examples_dropped: usize) -> Attempt {
        self.conversation.cut = Cut { first_turn, examples_dropped };
        let mut slots = Slots::fill(self.persona, self.conversation, self.model, lore);
        slots.keep_memories(self.memories);
        let prompt = template::alpaca(&slots);
        Attempt { tokens: (self.count)(&prompt), prompt, slots }
    }

    /// The prompt with this lore and as much of the rest as there is room for. On failure the cut stays as it was.
    fn fit(&mut self, lore: &Activation, room: usize, keep: u64) -> Result<Attempt, TooLong> {
        let old = self.conversation.cut;
        let blocks = self.persona.card.examples.len();
        let starts: Vec<u64> = self.conversation.window().iter().map(|turn| turn.id.0).collect();
        let spare = room - room / FREED_SHARE;
        // Whatever has more bytes than the room has tokens of the longest kind need not be tried.
        let mut bytes = 0;
        let hopeful = self.persona.card.examples.iter().rev().take_while(|block| {
            bytes += block.len();
            bytes / LONGEST_TOKEN <= room
        });
        let hopeful_blocks = hopeful.count();
        let least = old.examples_dropped.clamp(blocks - hopeful_blocks, blocks);
        let attempt = self.attempt(lore, old.first_turn, least);
        if attempt.tokens <= room {
            return Ok(attempt);
        }
        let more: Vec<usize> = (least + 1..=blocks).collect();
        let too_few =
            more.partition_point(|&dropped| self.attempt(lore, old.first_turn, dropped).tokens > spare);
        if let Some(&dropped) = more.get(too_few).or(more.last()) {
            let attempt = self.attempt(lore, old.first_turn, dropped);
            if attempt.tokens <= room {
                return Ok(attempt);
            }
        }
        let newest = starts.last().copied().unwrap_or(old.first_turn);
        let smallest = self.attempt(lore, newest, blocks);
        if smallest.tokens > room {
            self.conversation.cut = old;
            return Err(TooLong { have: smallest.tokens, room });
        }
        let half = smallest.tokens + (room - smallest.tokens) / 2;
        let too_early =
            starts.partition_point(|&first_turn| self.attempt(lore, first_turn, blocks).tokens > half);
        let first_turn = starts.get(too_early).copied().unwrap_or(newest);
        let kept =
            keep < first_turn && keep >= old.first_turn && self.attempt(lore, keep, blocks).tokens <= room;
        let first_turn = if kept { keep } else { first_turn };
        let with_examples = half + (room - half) / 2;
        let fewer: Vec<usize> = (blocks - hopeful_blocks..blocks).collect();
        let too_few =
            fewer.partition_point(|&dropped| self.attempt(lore, first_turn, dropped).tokens > with_examples);
        Ok(self.attempt(lore, first_turn, fewer.get(too_few).copied().unwrap_or(blocks)))
    }

    fn explained(&self, attempt: Attempt, lore: Activation) -> Fitted {
        let Attempt { slots, prompt, tokens } = attempt;
        let direct = slots.direct;
        let explanation =
            Explanation::of((self.persona, self.conversation), slots, &lore, tokens, self.count);
        Fitted { prompt, tokens, direct, lore: lore.after, explanation }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chat::history::{ConversationId, Speaker};
    use crate::chat::{MemberId, MessageId};
    use crate::persona::PersonaId;
    use crate::persona::lorebook::{Entry, Lore, Lorebook};

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

    /// The persona with two entries of ten words each, the second of which is worth more.
    fn with_lore() -> Persona {
        let entry = |key: &str, priority: i64| Entry {
            keys: vec![key.to_owned()],
            content: format!("{key} {}", "lore ".repeat(9)),
            priority,
            ..Entry::default()
        };
        let mut persona = persona();
        let book = Lorebook { entries: vec![entry("sun", 1), entry("moon", 2)], ..Lorebook::default() };
        persona.lore = Some(std::sync::Arc::new(Lore::new(book)));
        persona
    }

    #[test]
    fn lore_goes_when_the_newest_turn_would_not_fit() {
        let persona = with_lore();
        let came = |room| {
            let mut conversation = conversation();
            let text = format!("sun and moon {}", "word ".repeat(100));
            let newest = conversation.hear(MemberId(1), "Bob", &text, None);
            let fitted = fit(&persona, &mut conversation, "", room, newest, words).expect("it fits");
            assert!(fitted.tokens <= room);
            assert_eq!(fitted.tokens, words(&fitted.prompt));
            let names = fitted.explanation.lore.iter().map(|lore| lore.name.clone()).collect::<Vec<_>>();
            (fitted.tokens, names)
        };
        let (all, names) = came(1_000);
        assert_eq!(names, ["sun", "moon"]);
        // Without examples, which go before.
        let smallest = all - 60;
        assert_eq!(came(smallest).1, ["sun", "moon"]);
        assert_eq!(came(smallest - 1).1, ["moon"]);
        assert_eq!(came(smallest - 11).1, [""; 0]);
        assert_eq!(came(smallest - 20).1, [""; 0]);
    }

    #[test]
    fn a_prompt_is_explained() {
        let persona = with_lore();
        let mut conversation = conversation();
        for number in 0..30 {
            say(&mut conversation, number, 8);
        }
        let newest = conversation.hear(MemberId(1), "Bob", "The moon and the sun!", None);
        let fitted = fit(&persona, &mut conversation, "", 150, newest, words).expect("it fits");
        let why = &fitted.explanation;
        let pieces: usize = why.pieces.iter().map(|(_, tokens)| tokens).sum();
        assert!(pieces + why.history_tokens < why.tokens, "the rest is structure");
        assert_eq!(why.tokens, fitted.tokens);
        insta::assert_snapshot!(why.to_string(), @r#"
        121  tokens
         10  lore: sun, called by "sun"
         10  lore: moon, called by "moon"
         36  instruction
          2  description
         20  example 3
         36  turns 27 to 30
             blocks of examples left out: 2
             earlier turns left out: 27
        "#);
    }

    proptest! {
        #[test]
        fn with_lore_the_prompt_fits_too(sizes in proptest::collection::vec(0_usize..90, 1..40)) {
            let persona = with_lore();
            let mut conversation = conversation();
            for (number, size) in (0..).zip(sizes) {
                let text = format!("moon {}{}", if size % 2 == 0 { "sun " } else { "" }, "word ".repeat(size));
                let newest = conversation.hear(MemberId(1), "Bob", &text, Some(MessageId(number)));
                let fitted = fit(&persona, &mut conversation, "", 160, newest, words).expect("it always fits");
                prop_assert!(fitted.tokens <= 160);
                prop_assert_eq!(fitted.explanation.tokens, words(&fitted.prompt));
            }
        }

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
