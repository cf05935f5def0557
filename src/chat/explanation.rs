//! Why a prompt is as it is: what went in with how many tokens, what the lorebook gave and why, and what was left out.
//! Turns are named by their ids: nothing that members said is copied.

use serde::{Deserialize, Serialize};

use super::history::{Conversation, TurnId};
use super::prompt::Prompt;
use super::slots::{Piece, Slots, Source, seen};
use super::template;
use crate::persona::Persona;
use crate::persona::lorebook::{Activation, Cause, Position, Why};

/// Most entries of a lorebook that are told by name: an explanation is kept with every reply.
pub const MOST_TOLD: usize = 50;

/// What went into a prompt and what did not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// Tokens of the whole.
    pub tokens: usize,
    /// The texts of the persona's author in their order, each with its tokens.
    pub pieces: Vec<(Source, usize)>,
    /// Tokens of the turns.
    pub history_tokens: usize,
    /// The turns, from the first to the last one; `None` when there are none.
    pub turns: Option<(TurnId, TurnId)>,
    /// Turns that the conversation remembers and the prompt does not contain.
    pub turns_dropped: usize,
    /// Blocks of examples that were left out to make room.
    pub examples_dropped: usize,
    /// The entries of the lorebook that came, but not more than [`MOST_TOLD`].
    pub lore: Vec<Lore>,
    /// The entries that were called and did not come, but not more than [`MOST_TOLD`].
    pub lore_dropped: Vec<(String, Why)>,
    /// How many entries were called and did not come.
    pub lore_dropped_count: usize,
    /// Whether the lorebook's keys were too many, or too slow, to be looked for everywhere.
    pub lore_cut_short: bool,
}

/// An entry of the lorebook that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lore {
    /// Its number in the book.
    pub entry: usize,
    /// What its author calls it, else its first key, else its number.
    pub name: String,
    /// What called it.
    pub cause: Cause,
    /// In which round: 0 is that of the messages, later ones are those of other entries' texts.
    pub round: usize,
    /// Where it stands.
    pub position: Position,
}

impl Explanation {
    /// Explains the prompt that the slots make, which has `tokens` tokens; `count` counts those of its parts.
    pub(super) fn of(
        (persona, conversation): (&Persona, &Conversation),
        slots: Slots,
        activation: &Activation,
        tokens: usize,
        count: impl Fn(&Prompt) -> usize,
    ) -> Self {
        let name = |entry: usize| persona.lore.as_ref().map_or(String::new(), |lore| lore.name(entry));
        let of_piece = |piece: &Piece| {
            let mut prompt = Prompt::default();
            prompt.text(&piece.text);
            (piece.source, count(&prompt))
        };
        let at_depth = slots.at_depth.iter().map(|(_, piece)| piece);
        let fixed = [&slots.before, &slots.persona, &slots.after, &slots.examples].into_iter().flatten();
        let pieces = fixed.chain(at_depth).chain(&slots.post_history).map(of_piece).collect();
        let window = conversation.window();
        let mut read = seen(conversation).map(|turn| turn.id);
        let first = read.next();
        let turns = first.map(|first| (first, read.next_back().unwrap_or(first)));
        let without_history = count(&template::alpaca(&Slots { transcript: Vec::new(), ..slots }));
        Self {
            tokens,
            pieces,
            history_tokens: tokens.saturating_sub(without_history),
            turns,
            turns_dropped: conversation.turns().len() - window.len(),
            examples_dropped: conversation.cut.examples_dropped,
            lore: activation
                .fired
                .iter()
                .take(MOST_TOLD)
                .map(|fired| Lore {
                    entry: fired.entry,
                    name: name(fired.entry),
                    cause: fired.cause.clone(),
                    round: fired.round,
                    position: fired.position,
                })
                .collect(),
            lore_dropped: activation
                .dropped
                .iter()
                .take(MOST_TOLD)
                .map(|dropped| (name(dropped.entry), dropped.why))
                .collect(),
            lore_dropped_count: activation.dropped.len(),
            lore_cut_short: activation.is_cut_short,
        }
    }

    /// The name of a piece, for people.
    #[must_use]
    pub fn name(&self, source: Source) -> String {
        match source {
            Source::Instruction => "instruction".to_owned(),
            Source::Description => "description".to_owned(),
            Source::Personality => "personality".to_owned(),
            Source::Scenario => "scenario".to_owned(),
            Source::Example(number) => format!("example {}", number + 1),
            Source::Note => "note".to_owned(),
            Source::PostHistory => "post-history".to_owned(),
            Source::Scene => "scene".to_owned(),
            Source::Cast => "cast".to_owned(),
            Source::Player(number) => format!("character {}", number + 1),
            Source::SceneNote => "the scene's note".to_owned(),
            Source::Memory(number) => format!("memory {}", number + 1),
            Source::Lore(entry) => {
                let lore = self.lore.iter().find(|lore| lore.entry == entry);
                lore.map_or_else(|| "lore".to_owned(), |lore| format!("lore: {}", lore.name))
            }
        }
    }
}

/// A line for each part, its tokens in front.
impl std::fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{:>6}  tokens", self.tokens)?;
        for (source, tokens) in &self.pieces {
            write!(formatter, "{tokens:>6}  {}", self.name(*source))?;
            let called = self.lore.iter().find(|lore| Source::Lore(lore.entry) == *source);
            if let Some(lore) = called {
                write!(formatter, ", {}", Called(lore))?;
            }
            writeln!(formatter)?;
        }
        if let Some((first, last)) = self.turns {
            writeln!(formatter, "{:>6}  turns {} to {}", self.history_tokens, first.0, last.0)?;
        }
        if self.examples_dropped > 0 {
            writeln!(formatter, "{:>6}  blocks of examples left out: {}", "", self.examples_dropped)?;
        }
        if self.turns_dropped > 0 {
            writeln!(formatter, "{:>6}  earlier turns left out: {}", "", self.turns_dropped)?;
        }
        for (name, why) in &self.lore_dropped {
            writeln!(formatter, "{:>6}  lore left out: {name}, {}", "", reason(*why))?;
        }
        if self.lore_dropped_count > self.lore_dropped.len() {
            writeln!(formatter, "{:>6}  lore left out, all together: {}", "", self.lore_dropped_count)?;
        }
        if self.lore_cut_short {
            writeln!(formatter, "{:>6}  lore: its keys take too long, and not all were looked for", "")?;
        }
        Ok(())
    }
}

/// What called an entry, as part of a sentence.
pub struct Called<'a>(pub &'a Lore);

impl std::fmt::Display for Called<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0.cause {
            Cause::Decorator => write!(formatter, "called by @@activate"),
            Cause::Sticky => write!(formatter, "called earlier and still there"),
            Cause::Constant => write!(formatter, "always there"),
            Cause::Key(key) if self.0.round == 0 => write!(formatter, "called by {key:?}"),
            Cause::Key(key) => write!(formatter, "called by {key:?} in other lore"),
        }
    }
}

/// Why an entry did not come, as part of a sentence.
#[must_use]
pub fn reason(why: Why) -> &'static str {
    match why {
        Why::Group => "another of its group came",
        Why::Chance => "the lot fell against it",
        Why::Budget => "there was no room",
    }
}
