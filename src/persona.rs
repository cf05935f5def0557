//! Who the bot can be: the persona type and how it is read. Pure but for the library's directory reader.

mod library;
pub mod macros;
mod shipped;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use library::{Library, LibraryError, load_file};

/// Id of a persona: the stem of the file that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PersonaId(pub String);

impl std::fmt::Display for PersonaId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(&self.0)
    }
}

/// A character that the bot plays, as its author wrote it: macros stand unexpanded in every text.
#[derive(Debug, Clone, PartialEq)]
pub struct Persona {
    /// Under which it is found.
    pub id: PersonaId,
    /// First 16 hexadecimal digits of the SHA-256 of the file: another text is another version.
    pub version: String,
    /// What its author wrote.
    pub card: Card,
}

/// The keys of a persona file. Only `name` and `description` are required; unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Its name, as members see it.
    pub name: String,
    /// Who it is; the heart of the prompt.
    pub description: String,
    /// How it behaves.
    #[serde(default)]
    pub personality: String,
    /// Where the conversation takes place.
    #[serde(default)]
    pub scenario: String,
    /// The first message that it posts when nobody has said anything yet.
    #[serde(default)]
    pub greeting: String,
    /// Other first messages.
    #[serde(default)]
    pub alternate_greetings: Vec<String>,
    /// Example dialogue, one block a string, lines `{{user}}: …` and `{{char}}: …`.
    #[serde(default)]
    pub examples: Vec<String>,
    /// Replaces Mummer's own instruction to stay in the role.
    #[serde(default)]
    pub system_prompt: String,
    /// A reminder that stands after the transcript.
    #[serde(default)]
    pub post_history: String,
    /// Stands for `{{char}}` instead of the name.
    #[serde(default)]
    pub nickname: String,
    /// Other names under which it is found.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Whether it plays a role or helps.
    #[serde(default)]
    pub kind: Kind,
    /// Data of other programs, kept as it is.
    #[serde(default)]
    pub extensions: serde_json::Map<String, serde_json::Value>,
    /// How its replies are sampled, where it differs from the operator's settings.
    #[serde(default)]
    pub sampling: SamplingWish,
}

/// Whether a persona plays a role or helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Speaks in character: the prompt ends with its name.
    #[default]
    Roleplay,
    /// Answers as an assistant.
    Assistant,
}

/// Sampling as a persona or an operator wishes it; what is absent is decided by whoever stands behind.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplingWish {
    /// 0 takes the likeliest token always.
    pub temperature: Option<f32>,
    /// Only this many likeliest tokens; 0 is no limit.
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together have this probability.
    pub top_p: Option<f32>,
    /// Only tokens with this share of the likeliest token's probability.
    pub min_p: Option<f32>,
    /// Weakens tokens that stand in the window; 1 is off.
    pub repetition_penalty: Option<f32>,
    /// How many of the last tokens the penalties look at.
    pub repetition_window: Option<usize>,
    /// Subtracted for each time a token stands in the window.
    pub frequency_penalty: Option<f32>,
    /// Subtracted once for a token that stands in the window.
    pub presence_penalty: Option<f32>,
    /// Most tokens of a reply.
    pub max_tokens: Option<usize>,
}

impl SamplingWish {
    /// This wish where it says something, else the other one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            temperature: self.temperature.or(other.temperature),
            top_k: self.top_k.or(other.top_k),
            top_p: self.top_p.or(other.top_p),
            min_p: self.min_p.or(other.min_p),
            repetition_penalty: self.repetition_penalty.or(other.repetition_penalty),
            repetition_window: self.repetition_window.or(other.repetition_window),
            frequency_penalty: self.frequency_penalty.or(other.frequency_penalty),
            presence_penalty: self.presence_penalty.or(other.presence_penalty),
            max_tokens: self.max_tokens.or(other.max_tokens),
        }
    }

    /// The first number that makes no sense, as a sentence that says what it may be.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let ranges = [
            ("temperature", self.temperature, 0.0, 5.0),
            ("top_p", self.top_p, 0.01, 1.0),
            ("min_p", self.min_p, 0.0, 1.0),
            ("repetition_penalty", self.repetition_penalty, 0.5, 3.0),
            ("frequency_penalty", self.frequency_penalty, -2.0, 2.0),
            ("presence_penalty", self.presence_penalty, -2.0, 2.0),
        ];
        let out_of_range = ranges.iter().find_map(|&(key, value, low, high)| {
            let value = value.filter(|value| !(low..=high).contains(value))?;
            Some(format!("sampling.{key} is {value}; it must be {low} to {high}"))
        });
        out_of_range.or_else(|| {
            (self.max_tokens == Some(0)).then(|| "sampling.max_tokens is 0; it must be at least 1".to_owned())
        })
    }
}

/// A persona file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonaError {
    /// Not TOML, a missing key, an unknown key: the message names the line.
    #[error("it does not parse: {0}")]
    Syntax(String),
    /// A value that makes no sense.
    #[error("{0}")]
    Value(String),
}

/// What is wrong with a TOML text and in which line, without repeating the line: it may hold a secret.
pub(crate) fn located(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', ", ");
    match error.span() {
        Some(span) => {
            let line = text.get(..span.start).map_or(0, |before| before.matches('\n').count()) + 1;
            format!("line {line}: {message}")
        }
        None => message,
    }
}

impl Persona {
    /// Reads a persona file.
    ///
    /// # Errors
    /// [`PersonaError`] with the line when the text is not such a file, and when a required text is empty or a
    /// number makes no sense.
    pub fn from_toml(id: &str, text: &str) -> Result<Self, PersonaError> {
        let card: Card = toml::from_str(text).map_err(|error| PersonaError::Syntax(located(&error, text)))?;
        for (key, value) in [("name", &card.name), ("description", &card.description)] {
            if value.trim().is_empty() {
                return Err(PersonaError::Value(format!("its {key} is empty; give it one")));
            }
        }
        for (key, value) in [("name", &card.name), ("nickname", &card.nickname)] {
            if !value.is_empty() && !value.chars().any(char::is_alphanumeric) {
                return Err(PersonaError::Value(format!(
                    "its {key} has no letter or digit; give it one that can be read"
                )));
            }
        }
        if let Some(complaint) = card.sampling.complaint() {
            return Err(PersonaError::Value(complaint));
        }
        let version = format!("{:x}", Sha256::digest(text.as_bytes())).chars().take(16).collect();
        Ok(Self { id: PersonaId(id.to_owned()), version, card })
    }

    /// The name that it goes by in a conversation: `{{char}}`.
    #[must_use]
    pub fn char_name(&self) -> &str {
        if self.card.nickname.trim().is_empty() { &self.card.name } else { &self.card.nickname }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "name = 'Ada'\ndescription = 'An engineer.'\n";

    #[test]
    fn a_name_and_a_description_are_enough() {
        let persona = Persona::from_toml("ada", SMALLEST).expect("it parses");
        assert_eq!(persona.char_name(), "Ada");
        assert_eq!(persona.card.kind, Kind::Roleplay);
        assert_eq!(persona.version.len(), 16);
    }

    #[test]
    fn another_text_is_another_version() {
        let one = Persona::from_toml("ada", SMALLEST).expect("it parses");
        let two = Persona::from_toml("ada", &format!("{SMALLEST}personality = 'Dry.'\n")).expect("it parses");
        assert_ne!(one.version, two.version);
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text: &str, expected: &str| {
            let error = Persona::from_toml("ada", text).expect_err("it does not parse").to_string();
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        };
        check("name = 'Ada'\n", "description");
        check(&format!("{SMALLEST}persnality = 'Dry.'\n"), "persnality");
        check(&format!("{SMALLEST}persnality = 'Dry.'\n"), "line 3");
        check("name = ' '\ndescription = 'x'\n", "name is empty");
        check("name = '###'\ndescription = 'x'\n", "name has no letter");
        check(&format!("{SMALLEST}[sampling]\ntop_p = 1.5\n"), "sampling.top_p is 1.5");
        check(&format!("{SMALLEST}[sampling]\ntemperature = nan\n"), "sampling.temperature is NaN");
        check(&format!("{SMALLEST}kind = 'helper'\n"), "helper");
    }

    #[test]
    fn extensions_of_other_programs_are_kept() {
        let text = format!("{SMALLEST}[extensions.depth_prompt]\nprompt = 'x'\ndepth = 4\n");
        let persona = Persona::from_toml("ada", &text).expect("it parses");
        assert_eq!(persona.card.extensions["depth_prompt"]["depth"], 4);
    }
}
