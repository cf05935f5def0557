//! The named places of a prompt and what goes into them. How they are written down is the template's business.

use std::collections::HashSet;

use super::history::{Conversation, Speaker, Turn, TurnKind};
use super::sanitize;
use crate::persona::macros::{self, Names};
use crate::persona::{Kind, Persona};

/// What `{{user}}` reads in the fixed sections of a prompt, so that they are the same for everyone.
const USER_IN_FIXED_SECTIONS: &str = "User";

/// The instruction of a persona that brings none of its own.
const ROLEPLAY_INSTRUCTION: &str = "You are {{char}}. Stay in character as {{char}} in the conversation below \
    and write only what {{char}} says and does next, in the style of the examples. Never write the words or \
    deeds of anybody else.";

/// What goes into a prompt. An empty slot prints nothing, not even a blank line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slots {
    /// Before the persona.
    pub before: Vec<String>,
    /// The persona: instruction, description, personality, scenario.
    pub persona: Vec<String>,
    /// After the persona.
    pub after: Vec<String>,
    /// Blocks of example dialogue.
    pub examples: Vec<String>,
    /// What was said, oldest first.
    pub transcript: Vec<Line>,
    /// Notes and the number of transcript lines that follow each.
    pub at_depth: Vec<(usize, String)>,
    /// After the transcript.
    pub post_history: Vec<String>,
    /// The name with which the reply begins; `None` for an assistant.
    pub cue: Option<String>,
    /// Whether the transcript is a single message to an assistant, which needs no transcript.
    pub direct: bool,
}

/// One turn of the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Somebody said this.
    Said {
        /// Who.
        name: String,
        /// What.
        text: String,
    },
    /// The model said this, in these tokens.
    Generated {
        /// As whom.
        name: String,
        /// The text that the ids decode to, without a leading space that they may begin with.
        text: String,
        /// Whether the ids begin with a space.
        leading_space: bool,
        /// The ids.
        ids: Vec<u32>,
    },
    /// What happens, told by nobody in particular.
    Told(String),
    /// An instruction to the model.
    Note(String),
}

impl Slots {
    /// The slots for the persona's next reply in the conversation. `model` is the id of the model that will read
    /// the prompt: the token ids of other models are ignored.
    #[must_use]
    pub fn fill(persona: &Persona, conversation: &Conversation, model: &str) -> Self {
        let card = &persona.card;
        let char_name = sanitize::name(persona.char_name());
        let names = Names { char: &char_name, user: USER_IN_FIXED_SECTIONS };
        let section = |label: &str, text: &str| {
            let text = macros::expand(text.trim(), names);
            (!text.is_empty()).then(|| format!("{label}{text}"))
        };
        let instruction = match (card.system_prompt.trim(), card.kind) {
            ("", Kind::Roleplay) => ROLEPLAY_INSTRUCTION,
            (own, _) => own,
        };
        let window: Vec<&Turn> =
            conversation.window().iter().filter(|turn| !sanitize::is_blank(&turn.shown().text)).collect();
        let speakers = live_speakers(&window);
        let examples = card.examples.iter().skip(conversation.cut.examples_dropped);
        let earlier = conversation.window().len() > 1 || conversation.cut.first_turn > 0;
        Self {
            before: Vec::new(),
            persona: [
                section("", instruction),
                section("", &card.description),
                section("Personality: ", &card.personality),
                section("Scenario: ", &card.scenario),
            ]
            .into_iter()
            .flatten()
            .collect(),
            after: Vec::new(),
            examples: examples.filter_map(|block| section("", block)).collect(),
            transcript: window.iter().map(|turn| line(turn, &speakers, model)).collect(),
            at_depth: Vec::new(),
            post_history: section("", &card.post_history).into_iter().collect(),
            cue: (card.kind == Kind::Roleplay).then_some(char_name),
            direct: card.kind == Kind::Assistant && !earlier,
        }
    }
}

/// The strings that end a reply: the prompt's structure, and another speaker's line.
#[must_use]
pub fn stop_strings(conversation: &Conversation, direct: bool) -> Vec<String> {
    let mut stops: Vec<String> =
        ["\n### Instruction:", "\n### Input:", "\n### Response:"].map(str::to_owned).into();
    if !direct {
        let mut seen = HashSet::new();
        let others = conversation.window().iter().filter(|turn| matches!(turn.speaker, Speaker::Member(_)));
        stops.extend(
            others
                .map(|turn| turn.name.as_str())
                .filter(|name| seen.insert(*name))
                .map(|name| format!("\n{name}:")),
        );
    }
    stops
}

/// The names that stand at the beginning of lines.
fn live_speakers<'a>(window: &[&'a Turn]) -> Vec<&'a str> {
    let names: HashSet<&str> = window.iter().map(|turn| turn.name.as_str()).collect();
    names.into_iter().collect()
}

fn line(turn: &Turn, speakers: &[&str], model: &str) -> Line {
    let shown = turn.shown();
    let text = shown.text.clone();
    let name = turn.name.clone();
    match turn.kind {
        TurnKind::Narrator => Line::Told(text),
        TurnKind::Note => Line::Note(text),
        TurnKind::Member | TurnKind::Persona => match &shown.tokens {
            Some(tokens) if tokens.model == model && !sanitize::a_line_names_a_speaker(&text, speakers) => {
                Line::Generated { name, text, leading_space: tokens.leading_space, ids: tokens.ids.clone() }
            }
            _ => Line::Said { name, text },
        },
    }
}
