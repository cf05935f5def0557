//! Character cards in JSON: V1, V2 and V3, and the keys that Pygmalion used before them.
//!
//! Sources: the specifications of character cards V1, V2 and V3.

use serde_json::{Map, Value, json};

use super::{Card, Kind, Note, SamplingWish};
use crate::persona::fields::{FieldError, Fields};
use crate::persona::lorebook::{Lorebook, USUAL_DEPTH};

/// The newest version of cards whose meaning is known.
const NEWEST: f64 = 3.0;

/// Where examples begin.
const START: &str = "<START>";

/// Key of what Mummer adds, among a card's extensions.
const OURS: &str = "mummer";

/// Old names of fields, and what they are called now.
const PYGMALION: [(&str, &str); 5] = [
    ("char_name", "name"),
    ("char_persona", "description"),
    ("char_greeting", "first_mes"),
    ("world_scenario", "scenario"),
    ("example_dialogue", "mes_example"),
];

/// A version of cards that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spec {
    /// `chara_card_v2`.
    V2,
    /// `chara_card_v3`.
    V3,
}

/// Whether an object looks like a card.
pub(in crate::persona) fn is_card(document: &Map<String, Value>) -> bool {
    let is_named = |key: &str| document.get(key).is_some_and(Value::is_string);
    let has_data =
        document.get("data").and_then(Value::as_object).is_some_and(|data| data.contains_key("name"));
    let has_text =
        ["description", "first_mes", "personality", "scenario", "mes_example"].into_iter().any(is_named);
    has_data || is_named("char_name") || is_named("name") && has_text
}

/// Reads a card, and says what of it will not be as its author meant.
///
/// # Errors
/// [`FieldError`] for the first field that cannot be read.
pub(in crate::persona) fn read(document: Map<String, Value>) -> Result<(Card, Vec<String>), FieldError> {
    let outer = Fields::new(&document, "");
    let mut remarks = Vec::new();
    // Some write a letter before it.
    let version = outer.text("spec_version")?.trim_start_matches(['v', 'V']).parse::<f64>().ok();
    if let Some(version) = version.filter(|version| *version > NEWEST) {
        remarks.push(format!("it is a card of version {version}, and what is new in that is not known"));
    }
    let mut card = match document.get("data") {
        Some(Value::Object(data)) if !data.is_empty() => read_data(data, "data")?,
        _ => read_data(&document, "")?,
    };
    card.original = Some(document);
    Ok((card, remarks))
}

fn read_data(data: &Map<String, Value>, at: &str) -> Result<Card, FieldError> {
    let fields = Fields::new(data, at);
    let text = |key: &str| -> Result<String, FieldError> {
        let old = PYGMALION.iter().find(|(_, new)| *new == key).map(|(old, _)| *old);
        let text = fields.text(key)?;
        match old {
            Some(old) if text.is_empty() => fields.text(old),
            _ => Ok(text),
        }
    };
    let extensions = fields.object("extensions")?.cloned().unwrap_or_default();
    let note = {
        let fields = Fields::new(&extensions, &fields.path("extensions"));
        let empty = Map::new();
        let note =
            Fields::new(fields.object("depth_prompt")?.unwrap_or(&empty), &fields.path("depth_prompt"));
        let text = note.text("prompt")?;
        let depth = note.count("depth")?.unwrap_or(USUAL_DEPTH);
        (!text.trim().is_empty()).then_some(Note { text, depth })
    };
    let lorebook = match fields.object("character_book")? {
        Some(book) => Some(Lorebook::from_json(book, &fields.path("character_book"))?),
        None => None,
    };
    let mut card = Card {
        name: text("name")?,
        description: text("description")?,
        personality: text("personality")?,
        scenario: text("scenario")?,
        greeting: text("first_mes")?,
        alternate_greetings: fields.list("alternate_greetings")?,
        examples: blocks(&text("mes_example")?),
        system_prompt: text("system_prompt")?,
        post_history: text("post_history_instructions")?,
        nickname: text("nickname")?,
        note,
        lorebook,
        ..Card::default()
    };
    if let Some(ours) = extensions.get(OURS).and_then(Value::as_object) {
        let path = fields.path("extensions.mummer");
        let wrong = |key: &str, error: &serde_json::Error| FieldError {
            field: format!("{path}.{key}"),
            problem: format!("cannot be read ({error})"),
        };
        card.aliases = Fields::new(ours, &path).texts("aliases")?;
        card.summary_prompt = Fields::new(ours, &path).text("summary_prompt")?;
        if let Some(kind) = ours.get("kind") {
            card.kind = serde_json::from_value(kind.clone()).map_err(|error| wrong("kind", &error))?;
        }
        if let Some(sampling) = ours.get("sampling") {
            card.sampling =
                serde_json::from_value(sampling.clone()).map_err(|error| wrong("sampling", &error))?;
        }
    }
    card.extensions = extensions;
    Ok(card)
}

/// The extensions of a card as it came.
pub(in crate::persona) fn extensions_of(original: &Map<String, Value>) -> Map<String, Value> {
    let nested = original.get("data").and_then(Value::as_object).filter(|data| !data.is_empty());
    let extensions = nested.unwrap_or(original).get("extensions").and_then(Value::as_object);
    extensions.cloned().unwrap_or_default()
}

/// Example dialogue in blocks: `<START>`, in whatever case, stands before each.
fn blocks(examples: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = examples;
    let folded = examples.to_ascii_uppercase();
    let mut at = 0;
    while let Some(start) = folded[at..].find(START) {
        blocks.push(&examples[at..at + start]);
        at += start + START.len();
        rest = &examples[at..];
    }
    blocks.push(rest);
    blocks.into_iter().map(str::trim).filter(|block| !block.is_empty()).map(str::to_owned).collect()
}

/// Writes a card. What it came from is kept, field by field, but for what has changed since.
pub(in crate::persona) fn write(card: &Card, spec: Spec) -> Value {
    let mut document = card.original.clone().unwrap_or_default();
    let (mut data, came) = match document.remove("data") {
        Some(Value::Object(data)) if !data.is_empty() => {
            let came = read_data(&data, "");
            (data, came)
        }
        // All of a flat card is data, and nothing stands beside it.
        _ => {
            let data = std::mem::take(&mut document);
            let came = read_data(&data, "");
            (data, came)
        }
    };
    let before = came.ok().filter(|_| card.original.is_some()).map(|came| fields_of(&came, &data));
    for (number, (key, now)) in fields_of(card, &data).into_iter().enumerate() {
        let same = before.as_ref().is_some_and(|before| before[number].1 == now);
        match now {
            _ if same && data.contains_key(key) => {}
            // What may be absent stays away.
            None => drop(data.remove(key)),
            Some(now) => drop(data.insert(key.to_owned(), now)),
        }
    }
    let mut required =
        vec![("creator_notes", json!("")), ("creator", json!("")), ("character_version", json!(""))];
    required.push(("tags", json!([])));
    if spec == Spec::V3 {
        required.push(("group_only_greetings", json!([])));
    }
    for (key, empty) in required {
        data.entry(key).or_insert(empty);
    }
    let (name, version) = match spec {
        Spec::V2 => ("chara_card_v2", "2.0"),
        Spec::V3 => ("chara_card_v3", "3.0"),
    };
    document.insert("spec".to_owned(), json!(name));
    document.insert("spec_version".to_owned(), json!(version));
    document.insert("data".to_owned(), Value::Object(data));
    Value::Object(document)
}

/// What Mummer plays, by the names of fields; nothing for what is absent.
fn fields_of(card: &Card, data: &Map<String, Value>) -> Vec<(&'static str, Option<Value>)> {
    let mut examples = String::new();
    for block in &card.examples {
        examples.extend([START, "\n", block, "\n"]);
    }
    let text = |text: &str| Some(json!(text));
    vec![
        ("name", text(&card.name)),
        ("description", text(&card.description)),
        ("personality", text(&card.personality)),
        ("scenario", text(&card.scenario)),
        ("first_mes", text(&card.greeting)),
        ("mes_example", text(&examples)),
        ("system_prompt", text(&card.system_prompt)),
        ("post_history_instructions", text(&card.post_history)),
        ("alternate_greetings", Some(json!(card.alternate_greetings))),
        ("nickname", text(&card.nickname).filter(|_| !card.nickname.is_empty())),
        ("character_book", card.lorebook.as_ref().map(|book| Value::Object(book.to_json(came_with(data))))),
        ("extensions", Some(Value::Object(extensions(card, data)))),
    ]
}

/// The book that a card came with.
fn came_with(data: &Map<String, Value>) -> Option<&Map<String, Value>> {
    data.get("character_book").and_then(Value::as_object)
}

/// The extensions of the card, with what Mummer plays written into them.
fn extensions(card: &Card, data: &Map<String, Value>) -> Map<String, Value> {
    let mut extensions = card.extensions.clone();
    let note_in = |extensions: &Map<String, Value>| {
        let note = extensions.get("depth_prompt").and_then(Value::as_object)?;
        let fields = Fields::new(note, "");
        let text = fields.text("prompt").ok().filter(|text| !text.trim().is_empty())?;
        Some(Note { text, depth: fields.count("depth").ok().flatten().unwrap_or(USUAL_DEPTH) })
    };
    if note_in(&extensions) != card.note {
        match &card.note {
            None => drop(extensions.remove("depth_prompt")),
            Some(note) => {
                let prompt = json!({"prompt": note.text, "depth": note.depth, "role": "system"});
                extensions.insert("depth_prompt".to_owned(), prompt);
            }
        }
    }
    let mut ours = Map::new();
    if !card.aliases.is_empty() {
        ours.insert("aliases".to_owned(), json!(card.aliases));
    }
    if card.kind != Kind::default() {
        ours.insert("kind".to_owned(), json!(card.kind));
    }
    if card.sampling != SamplingWish::default() {
        ours.insert("sampling".to_owned(), json!(card.sampling));
    }
    if !card.summary_prompt.is_empty() {
        ours.insert("summary_prompt".to_owned(), json!(card.summary_prompt));
    }
    let theirs = data.get("extensions").and_then(|extensions| extensions.get(OURS));
    if !ours.is_empty() || theirs.is_some() {
        let mut merged = theirs.and_then(Value::as_object).cloned().unwrap_or_default();
        for key in ["aliases", "kind", "sampling", "summary_prompt"] {
            merged.remove(key);
        }
        merged.extend(ours);
        extensions.insert(OURS.to_owned(), Value::Object(merged));
    }
    extensions
}
