//! Who the bot can be: the persona type and how it is read. Pure but for the library's directory reader.

pub mod archive;
mod card;
pub mod dice;
mod fields;
pub mod form;
pub mod import;
mod library;
pub mod lint;
pub mod lorebook;
pub mod macros;
mod picture;
pub mod portrait;
mod shipped;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use card::{Card, Kind, Note, SamplingWish};
pub use fields::FieldError;
use import::{ImportError, Imported};
pub use library::{Changes, EXTENSIONS, Library, LibraryError, load_file, load_lorebook};
use lorebook::Lore;

/// Id of a persona: the stem of the file that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PersonaId(pub String);

/// Most characters of an id that is made of a name.
const LONGEST_ID: usize = 40;

impl PersonaId {
    /// An id made of a name: in small letters and hyphens. `None` where the name has no letter or digit.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let letters = name.to_lowercase().replace(|c: char| !c.is_alphanumeric(), " ");
        let words: Vec<&str> = letters.split_whitespace().collect();
        let id: String = words.join("-").chars().take(LONGEST_ID).collect();
        (!id.is_empty()).then(|| Self(id.trim_end_matches('-').to_owned()))
    }

    /// The same with a number, within the length that an id may have.
    #[must_use]
    pub fn numbered(&self, number: usize) -> Self {
        let suffix = format!("-{number}");
        let short: String = self.0.chars().take(LONGEST_ID - suffix.len().min(LONGEST_ID)).collect();
        Self(short + &suffix)
    }
}

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
    /// Its lorebook, ready to be searched for.
    pub lore: Option<Arc<Lore>>,
    /// Its picture, a PNG file.
    pub avatar: Option<Arc<[u8]>>,
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
    /// Reads a persona file of whatever form, and says what of it will not be as its author meant.
    ///
    /// # Errors
    /// [`ImportError`] when the bytes are not such a file, and when it makes no sense.
    pub fn from_file(id: &str, bytes: &[u8]) -> Result<(Self, Vec<String>), ImportError> {
        let Imported::Persona { card, avatar, remarks } = import::import(bytes)? else {
            return Err(ImportError::OnlyLore);
        };
        let version = format!("{:x}", Sha256::digest(bytes)).chars().take(16).collect();
        let id = PersonaId(id.to_owned());
        let lore = card.lorebook.clone().map(|book| Arc::new(Lore::new(book)));
        Ok((Self { id, version, card: *card, lore, avatar: avatar.map(Arc::from) }, remarks))
    }

    /// Reads a persona file in TOML.
    ///
    /// # Errors
    /// [`ImportError`] with the line when the text is not such a file, and when it makes no sense.
    pub fn from_toml(id: &str, text: &str) -> Result<Self, ImportError> {
        Self::from_file(id, text.as_bytes()).map(|(persona, _)| persona)
    }

    /// The picture that stands beside what it says, small and square, as a PNG file: its own, or one that follows from its name.
    ///
    /// # Errors
    /// A sentence when its picture cannot be read.
    pub fn portrait(&self) -> Result<Vec<u8>, String> {
        match &self.avatar {
            Some(avatar) => portrait::small(avatar).map_err(|error| error.to_string()),
            None => picture::plain(&self.card.name),
        }
    }

    /// The name that it goes by in a conversation: `{{char}}`.
    #[must_use]
    pub fn char_name(&self) -> &str {
        if self.card.nickname.trim().is_empty() { &self.card.name } else { &self.card.nickname }
    }
}

/// A text as it can be shown: what cannot be seen, or turns the direction of what stands around it, becomes a mark.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) && c != '\n' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Whether a character is a control, or turns the direction of what stands around it.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A number that depends on the seed alone (`SplitMix64`: Steele, Lea and Flood, 2014).
fn random(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
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
    fn ids_are_made_of_names_and_are_not_too_long() {
        let id = |name: &str| PersonaId::of_name(name).map(|id| id.0);
        assert_eq!(id("  Ada, of Hull! ").as_deref(), Some("ada-of-hull"));
        assert_eq!(id("Élodie 2").as_deref(), Some("élodie-2"));
        assert_eq!(id("!?"), None);
        let long = PersonaId::of_name(&"long name ".repeat(20)).expect("it has letters");
        assert!(long.0.chars().count() <= LONGEST_ID && !long.0.ends_with('-'), "{long}");
        let numbered = long.numbered(12);
        assert!(numbered.0.ends_with("-12") && numbered.0.chars().count() <= LONGEST_ID, "{numbered}");
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
