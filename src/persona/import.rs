//! Personas from files of other programs, and back: whatever form a card has is told from its content, never from the
//! name of its file. Nothing is fetched, and nothing is taken in that is larger than it may be.

use std::io::Cursor;

use serde_json::{Map, Value};

use super::card::Card;
use super::card::json as card_json;
pub use super::card::json::Spec;
use super::fields::FieldError;
use super::lorebook::Lorebook;
use super::{archive, is_hidden, picture};

/// Largest file, in bytes.
pub const LARGEST_FILE: usize = 32 << 20;

/// Largest card within it, in bytes of JSON.
pub const LARGEST_CARD: usize = 8 << 20;

/// Characters without width, which names are better without.
const ZERO_WIDTH: [char; 4] = ['\u{200b}', '\u{200c}', '\u{200d}', '\u{feff}'];

/// How an address begins that holds what it points to.
const DATA: &str = "data:";

/// Where a card stands in a CHARX archive.
const CARD_IN_CHARX: &str = "card.json";

/// How the addresses of what lies in the archive begin.
const EMBEDDED: &str = "embeded://";

/// What a file held.
#[derive(Debug, Clone, PartialEq)]
pub enum Imported {
    /// A persona.
    Persona {
        /// What its author wrote.
        card: Box<Card>,
        /// Its picture, a PNG file.
        avatar: Option<Vec<u8>>,
        /// What of it will not be as its author meant.
        remarks: Vec<String>,
    },
    /// A lorebook that belongs to nobody.
    Lorebook(Lorebook),
}

/// A file that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// More bytes than there may be.
    #[error("{what} is larger than {} MB", .limit >> 20)]
    TooLarge {
        /// What is.
        what: &'static str,
        /// Bytes that there may be.
        limit: usize,
    },
    /// The bytes are those of no known form.
    #[error("it is neither JSON nor PNG nor CHARX nor TOML")]
    Unknown,
    /// The JSON does not parse.
    #[error("its JSON does not parse: {0}")]
    Json(String),
    /// It is JSON, but no card.
    #[error("its JSON is neither a character card nor a lorebook")]
    NotACard,
    /// A field that cannot be read.
    #[error("its field {0}")]
    Field(#[from] FieldError),
    /// The picture cannot be read, or holds no card.
    #[error("{0}")]
    Picture(String),
    /// The archive cannot be read, or holds no card.
    #[error("its archive cannot be read: {0}")]
    Archive(String),
    /// The TOML does not parse: the message names the line.
    #[error("it does not parse: {0}")]
    Toml(String),
    /// A number that makes no sense.
    #[error("{0}")]
    Value(String),
    /// It is a lorebook without a persona.
    #[error("it is a lorebook and no persona; `mummer persona import --lorebook` gives it to one")]
    OnlyLore,
    /// It is a persona without a lorebook.
    #[error("it holds no lorebook")]
    NoLore,
}

/// Reads whatever there is in a file.
///
/// # Errors
/// [`ImportError`] in a sentence for whoever brought the file.
pub fn import(bytes: &[u8]) -> Result<Imported, ImportError> {
    if bytes.len() > LARGEST_FILE {
        return Err(ImportError::TooLarge { what: "the file", limit: LARGEST_FILE });
    }
    if picture::is_png(bytes) {
        // Where the better card cannot be read, the other one may.
        let cards = picture::cards(bytes).map_err(ImportError::Picture)?;
        let read = |json: Result<Vec<u8>, String>| {
            from_json(&json.map_err(ImportError::Picture)?, Some(bytes.to_vec()))
        };
        let mut tried = cards.into_iter().map(read);
        let first = tried.next().ok_or(ImportError::NotACard)?;
        return first.or_else(|error| tried.find_map(Result::ok).ok_or(error));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return from_charx(bytes);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ImportError::Unknown)?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('{') { from_json(text.as_bytes(), None) } else { from_toml(text) }
}

fn from_json(json: &[u8], avatar: Option<Vec<u8>>) -> Result<Imported, ImportError> {
    if json.len() > LARGEST_CARD {
        return Err(ImportError::TooLarge { what: "the card", limit: LARGEST_CARD });
    }
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    // The parser gives up where objects lie in each other too deep.
    let document = serde_json::from_slice(json).map_err(|error| ImportError::Json(error.to_string()))?;
    let Value::Object(document) = document else { return Err(ImportError::NotACard) };
    if let Some(book) = lorebook(&document) {
        return Ok(Imported::Lorebook(Lorebook::from_json(book, "")?));
    }
    if !card_json::is_card(&document) {
        return Err(ImportError::NotACard);
    }
    let (mut card, remarks) = card_json::read(document)?;
    check(&mut card)?;
    Ok(Imported::Persona { card: Box::new(card), avatar, remarks })
}

/// The book of a document that is a lorebook.
fn lorebook(document: &Map<String, Value>) -> Option<&Map<String, Value>> {
    match (document.get("spec").and_then(Value::as_str), document.get("data")) {
        (Some("lorebook_v3"), Some(Value::Object(book))) => Some(book),
        _ => (document.contains_key("entries") && !card_json::is_card(document)).then_some(document),
    }
}

fn from_charx(bytes: &[u8]) -> Result<Imported, ImportError> {
    let failed = |error: zip::result::ZipError| ImportError::Archive(error.to_string());
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(failed)?;
    let card = read_entry(&mut archive, CARD_IN_CHARX, LARGEST_CARD, "the card in the archive")?;
    let card = card.ok_or_else(|| ImportError::Archive(format!("it has no {CARD_IN_CHARX} at its root")))?;
    let mut imported = from_json(&card, None)?;
    if let Imported::Persona { card, avatar, remarks } = &mut imported {
        for asset in assets(card) {
            let bytes = match (asset.strip_prefix(EMBEDDED), asset.strip_prefix(DATA)) {
                (Some(name), _) => read_entry(&mut archive, name, LARGEST_FILE, "the avatar in the archive")?,
                (None, Some(data)) => {
                    data.split_once(";base64,").and_then(|(_, text)| picture::decoded(text))
                }
                (None, None) => None,
            };
            *avatar = bytes.filter(|bytes| picture::is_png(bytes));
            if avatar.is_some() {
                break;
            }
            let shown: String = super::visible(&asset).chars().take(80).collect();
            remarks.push(format!("its avatar {shown} is not kept: it is no PNG picture within the archive"));
        }
        let rest = archive.len().saturating_sub(1 + usize::from(avatar.is_some()));
        if rest > 0 {
            remarks.push(format!("{rest} more files lie in the archive, and are not kept"));
        }
    }
    Ok(imported)
}

/// The addresses of a card's avatars, the main one first.
fn assets(card: &Card) -> Vec<String> {
    let data = card.original.as_ref().and_then(|original| original.get("data"));
    let assets = data.and_then(|data| data.get("assets")).and_then(Value::as_array);
    let text =
        |asset: &Value, key: &str| asset.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut icons: Vec<&Value> =
        assets.into_iter().flatten().filter(|asset| text(asset, "type") == "icon").collect();
    icons.sort_by_key(|icon| text(icon, "name") != "main");
    icons.into_iter().map(|icon| text(icon, "uri")).filter(|uri| uri != "ccdefault:").collect()
}

/// A file of an archive, found by exactly this name; nothing when it is not there.
fn read_entry(
    archive: &mut zip::ZipArchive<Cursor<&[u8]>>,
    name: &str,
    limit: usize,
    what: &'static str,
) -> Result<Option<Vec<u8>>, ImportError> {
    let entry = match archive.by_name(name) {
        Ok(entry) => entry,
        Err(zip::result::ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(ImportError::Archive(error.to_string())),
    };
    let read = archive::bounded(entry, limit).map_err(|error| ImportError::Archive(error.to_string()))?;
    read.map(Some).ok_or(ImportError::TooLarge { what, limit })
}

fn from_toml(text: &str) -> Result<Imported, ImportError> {
    let mut card: Card =
        toml::from_str(text).map_err(|error| ImportError::Toml(super::located(&error, text)))?;
    if let (Some(original), true) = (&card.original, card.extensions.is_empty()) {
        card.extensions = card_json::extensions_of(original);
    }
    check(&mut card)?;
    Ok(Imported::Persona { card: Box::new(card), avatar: None, remarks: Vec::new() })
}

/// What no persona can do without, and what none may have.
fn check(card: &mut Card) -> Result<(), ImportError> {
    for name in [&mut card.name, &mut card.nickname] {
        *name = name.trim().replace(ZERO_WIDTH, "");
    }
    let field = |field: &str, problem: &str| {
        ImportError::Field(FieldError { field: field.to_owned(), problem: problem.to_owned() })
    };
    if card.name.trim().is_empty() {
        return Err(field("name", "is empty; give it one"));
    }
    for (key, name) in [("name", &card.name), ("nickname", &card.nickname)] {
        if name.chars().any(is_hidden) {
            return Err(field(key, "has characters that cannot be seen; write it anew"));
        }
        if !name.is_empty() && !name.chars().any(char::is_alphanumeric) {
            return Err(field(key, "has no letter or digit; give it one that can be read"));
        }
    }
    let texts = [&card.description, &card.personality, &card.scenario, &card.system_prompt, &card.greeting];
    if texts.into_iter().chain(&card.examples).all(|text| text.trim().is_empty()) {
        return Err(field("description", "is empty, and nothing else says who it is; give it one"));
    }
    card.sampling.complaint().map_or(Ok(()), |complaint| Err(ImportError::Value(complaint)))
}

/// The card as JSON.
#[must_use]
pub fn to_json(card: &Card, spec: Spec) -> String {
    format!("{:#}\n", card_json::write(card, spec))
}

/// The card in a picture, in both versions. A persona without one gets a plain square.
///
/// # Errors
/// [`ImportError::Picture`] when the picture is damaged.
pub fn to_png(card: &Card, avatar: Option<&[u8]>) -> Result<Vec<u8>, ImportError> {
    let json = |spec| card_json::write(card, spec).to_string();
    let plain =
        if avatar.is_none() { picture::plain(&card.name).map_err(ImportError::Picture)? } else { Vec::new() };
    let cards = [("chara", json(Spec::V2)), ("ccv3", json(Spec::V3))];
    picture::with_cards(avatar.unwrap_or(&plain), &cards).map_err(ImportError::Picture)
}

/// The card as a persona file: what is as it is without saying is left out.
///
/// # Errors
/// [`ImportError`] when it cannot be written in TOML.
pub fn to_toml(card: &Card) -> Result<String, ImportError> {
    // Extensions may hold nulls, which TOML has not; those that the original has are read from there.
    let has_them =
        card.original.as_ref().is_some_and(|card_of| card_json::extensions_of(card_of) == card.extensions);
    let extensions = if has_them { Map::new() } else { card.extensions.clone() };
    let card = Card { extensions, ..card.clone() };
    let failed = |error: toml::ser::Error| ImportError::Toml(error.to_string());
    let mut table = toml::Table::try_from(&card).map_err(failed)?;
    let usual = toml::Table::try_from(Card::default()).map_err(failed)?;
    table.retain(|key, value| key == "description" || usual.get(key) != Some(value));
    if let Some(entries) = table.get_mut("lorebook").and_then(|book| book.get_mut("entries")) {
        let usual = toml::Table::try_from(super::lorebook::Entry::default()).map_err(failed)?;
        for entry in entries.as_array_mut().into_iter().flatten().filter_map(toml::Value::as_table_mut) {
            entry.retain(|key, value| usual.get(key) != Some(value));
        }
    }
    // Who it is comes first.
    let mut text = String::new();
    for key in ["name", "description"] {
        let first: toml::Table = table.remove(key).map(|value| (key.to_owned(), value)).into_iter().collect();
        text += &toml::to_string_pretty(&first).map_err(failed)?;
    }
    Ok(text + &toml::to_string_pretty(&table).map_err(failed)?)
}

#[cfg(test)]
mod tests;
