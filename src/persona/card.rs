//! What the author of a persona wrote: the fields that Mummer plays, and the card that they came from.

pub(super) mod json;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::lorebook::Lorebook;

/// The keys of a persona file. Only `name` and `description` are required; unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
    /// How what happened is to be summed up, in place of Mummer's own instruction for that.
    #[serde(default)]
    pub summary_prompt: String,
    /// Stands for `{{char}}` instead of the name.
    #[serde(default)]
    pub nickname: String,
    /// Other names under which it is found.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Whether it plays a role or helps.
    #[serde(default)]
    pub kind: Kind,
    /// A note that stands in the transcript.
    #[serde(default)]
    pub note: Option<Note>,
    /// What its world knows.
    #[serde(default)]
    pub lorebook: Option<Lorebook>,
    /// Data of other programs, kept as it is.
    #[serde(default)]
    pub extensions: Map<String, Value>,
    /// How its replies are sampled, where it differs from the operator's settings.
    #[serde(default)]
    pub sampling: SamplingWish,
    /// The card that it was imported from, whole, so that what Mummer does not play can be given back; in a persona file a
    /// text of JSON.
    #[serde(default, with = "json_text")]
    pub original: Option<Map<String, Value>>,
}

impl Card {
    /// What the card that it was imported from says for readers in a field like `creator`; nothing where it was not imported.
    #[must_use]
    pub fn told(&self, field: &str) -> &str {
        let Some(original) = &self.original else { return "" };
        let data = original.get("data").and_then(Value::as_object).unwrap_or(original);
        data.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

/// A note in the transcript: SillyTavern's depth prompt, an author's note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// What it says.
    pub text: String,
    /// Before so many messages.
    pub depth: usize,
}

/// An object as a text of JSON: TOML has no null.
mod json_text {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use serde_json::{Map, Value};

    #[expect(clippy::ref_option, reason = "serde calls it like this")]
    pub(super) fn serialize<S: Serializer>(
        original: &Option<Map<String, Value>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        original.as_ref().map(|original| serde_json::json!(original).to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Map<String, Value>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| serde_json::from_str(&text).map_err(D::Error::custom)).transpose()
    }
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
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
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
