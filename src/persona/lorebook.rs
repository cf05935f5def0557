//! Lorebooks: what a persona's world knows, and which of it a conversation calls up. Pure: text goes in, entries come
//! out, and what must be remembered for the next time is handed back.
//!
//! Sources: the specifications of character cards V2 and V3, and SillyTavern's behaviour where those say nothing.

mod activation;
mod decorators;
mod json;
mod keys;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::visible;
pub use activation::{Activation, Cause, Dropped, Fired, Scan, Why};
use keys::Keys;
pub use keys::{Key, KeyProblem};

/// Messages that are scanned unless a book or an entry says otherwise.
pub const USUAL_SCAN_DEPTH: usize = 2;

/// All entries together take at most one part in so many of the room for a prompt, unless the book says otherwise.
const USUAL_SHARE: usize = 4;

/// And whatever the book says, no more than one part in so many: the conversation needs the rest.
const LARGEST_SHARE: usize = 2;

/// No entry looks further back than so many messages.
const DEEPEST_SCAN: usize = 100;

/// Longest name of an entry where it is told, in characters.
const LONGEST_NAME: usize = 80;

/// Where an entry that stands in the transcript stands unless it says otherwise: before so many messages.
pub const USUAL_DEPTH: usize = 4;

/// A lorebook as its author wrote it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lorebook {
    /// What it is called.
    pub name: String,
    /// How many messages are scanned for keys, newest first.
    pub scan_depth: Option<usize>,
    /// Most tokens of all entries together.
    pub token_budget: Option<usize>,
    /// Whether the text of entries is scanned for keys too.
    pub recursive: bool,
    /// What it knows.
    pub entries: Vec<Entry>,
}

impl Lorebook {
    /// Takes the entries of another book in; what that says of the whole book counts where this one says nothing.
    pub fn add(&mut self, other: &Self) {
        if self.name.is_empty() {
            other.name.clone_into(&mut self.name);
        }
        self.scan_depth = self.scan_depth.or(other.scan_depth);
        self.token_budget = self.token_budget.or(other.token_budget);
        self.recursive |= other.recursive;
        self.entries.extend_from_slice(&other.entries);
    }

    /// Most tokens of all entries together, where a prompt may have `room` tokens.
    #[must_use]
    pub fn budget(&self, room: usize) -> usize {
        self.token_budget.unwrap_or(room / USUAL_SHARE).min(room / LARGEST_SHARE)
    }
}

/// One thing that a lorebook knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "cards have these flags")]
pub struct Entry {
    /// What its author calls it.
    pub name: String,
    /// One of these calls it up.
    pub keys: Vec<String>,
    /// Which of these must be there as well, by `logic`.
    pub secondary_keys: Vec<String>,
    /// Whether the secondary keys count.
    pub selective: bool,
    /// How the secondary keys count.
    pub logic: Logic,
    /// What it says, leading decorators included.
    pub content: String,
    /// Whether it can be called up at all.
    pub enabled: bool,
    /// Whether it needs no key.
    pub constant: bool,
    /// Whether keys must be written in the same case.
    pub case_sensitive: bool,
    /// Whether keys of one word must stand as words.
    pub whole_words: bool,
    /// Where it stands among others: lower is higher up.
    pub order: i64,
    /// What goes first when there are too many tokens: the lowest.
    pub priority: i64,
    /// Where it stands in the prompt.
    pub position: Position,
    /// How likely it comes when it is called, in percent.
    pub probability: f64,
    /// Of the entries of a group one comes.
    pub groups: Vec<String>,
    /// Whether it comes before the others of its groups without drawing lots.
    pub group_override: bool,
    /// Its lots in its groups.
    pub group_weight: u32,
    /// How many messages are scanned for its keys.
    pub scan_depth: Option<usize>,
    /// How it takes part in recursion.
    pub recursion: Recursion,
    /// How the past counts.
    pub timing: Timing,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            name: String::new(),
            keys: Vec::new(),
            secondary_keys: Vec::new(),
            selective: false,
            logic: Logic::default(),
            content: String::new(),
            enabled: true,
            constant: false,
            case_sensitive: false,
            whole_words: false,
            order: 100,
            priority: 0,
            position: Position::default(),
            probability: 100.0,
            groups: Vec::new(),
            group_override: false,
            group_weight: 100,
            scan_depth: None,
            recursion: Recursion::default(),
            timing: Timing::default(),
        }
    }
}

/// How secondary keys count, when there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Logic {
    /// One of them must be there.
    #[default]
    AndAny,
    /// One of them must not be there.
    NotAll,
    /// None of them may be there.
    NotAny,
    /// All of them must be there.
    AndAll,
}

/// Where an entry stands in the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// Before the persona's text.
    #[default]
    BeforePersona,
    /// After the persona's text.
    AfterPersona,
    /// Before the author's note.
    NoteTop,
    /// After the author's note.
    NoteBottom,
    /// In the transcript, before so many messages.
    AtDepth(usize),
    /// Before the examples.
    ExamplesTop,
    /// After the examples.
    ExamplesBottom,
}

/// How an entry takes part in recursion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recursion {
    /// The text of other entries does not call it up.
    pub exclude: bool,
    /// Its text calls no others up.
    pub prevent: bool,
    /// Only the text of other entries calls it up, and not before so many rounds; 0 is no such thing.
    pub delay_until: usize,
}

/// How the past counts, in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// Once called up, it stays for so many messages.
    pub sticky: u64,
    /// When it is gone, it does not come again for so many messages.
    pub cooldown: u64,
    /// It does not come before the conversation has so many messages.
    pub delay: u64,
}

/// A lorebook made ready to be searched for.
#[derive(Debug, Clone)]
pub struct Lore {
    book: Lorebook,
    parts: Vec<Part>,
    keys: Keys,
}

/// What was read out of an entry's content.
#[derive(Debug, Clone)]
struct Part {
    /// The content without decorators.
    text: String,
    decorators: decorators::Decorators,
    /// What it is remembered by between two messages.
    fingerprint: u64,
}

/// Which entries were called up when: what belongs to a turn, so that another try or a branch begins with the same.
/// The numbers are those of messages in the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timed(BTreeMap<u64, u64>);

impl Lore {
    /// Makes a book ready.
    #[must_use]
    pub fn new(book: Lorebook) -> Self {
        let parts: Vec<Part> = book.entries.iter().map(Part::of).collect();
        let keys = Keys::new(book.entries.iter().zip(&parts));
        Self { book, parts, keys }
    }

    /// The book as its author wrote it.
    #[must_use]
    pub fn book(&self) -> &Lorebook {
        &self.book
    }

    /// What an entry is called: by its author, else by its first key, else by its number. It is cut where it is long, and
    /// has nothing in it that cannot be seen.
    #[must_use]
    pub fn name(&self, entry: usize) -> String {
        let names = self.book.entries.get(entry).map(|entry| [Some(&entry.name), entry.keys.first()]);
        let name = names.into_iter().flatten().flatten().find(|name| !name.trim().is_empty());
        name.map_or_else(
            || entry.to_string(),
            |name| visible(name.trim()).replace('\n', " ").chars().take(LONGEST_NAME).collect(),
        )
    }

    /// Where an entry stands.
    #[must_use]
    pub fn position(&self, entry: usize) -> Position {
        let own = self.book.entries.get(entry).map_or_else(Position::default, |entry| entry.position);
        self.parts.get(entry).map_or(own, |part| part.decorators.place(own))
    }

    /// Decorators of an entry that are not known, or make no sense.
    #[must_use]
    pub fn unknown_decorators(&self, entry: usize) -> &[String] {
        self.parts.get(entry).map_or(&[], |part| &part.decorators.unknown)
    }

    /// What an entry says, decorators left out.
    #[must_use]
    pub fn text(&self, entry: usize) -> &str {
        self.parts.get(entry).map_or("", |part| &part.text)
    }

    /// Whether anything can call an entry up.
    #[must_use]
    pub fn can_be_called(&self, entry: usize) -> bool {
        let decorators = self.parts.get(entry).map(|part| &part.decorators);
        let has = |what: fn(&decorators::Decorators) -> bool| decorators.is_some_and(what);
        let of_itself = |book: &Entry| book.constant || has(|decorators| decorators.activate);
        let by_key = || !self.keys.of(entry).primary.is_empty();
        let entry = self.book.entries.get(entry);
        entry.is_some_and(|entry| of_itself(entry) || by_key()) && !has(|decorators| decorators.dont_activate)
    }

    /// How many messages must be given to a scan: no entry looks further back.
    #[must_use]
    pub fn deepest_scan(&self) -> usize {
        let own = self.book.entries.iter().zip(&self.parts);
        let own = own.filter_map(|(entry, part)| part.decorators.scan_depth.or(entry.scan_depth));
        own.max().unwrap_or(0).max(self.book.scan_depth.unwrap_or(USUAL_SCAN_DEPTH)).min(DEEPEST_SCAN)
    }

    /// Keys that never match, with the numbers of their entries.
    pub fn problems(&self) -> impl Iterator<Item = (usize, &KeyProblem)> {
        self.keys.problems()
    }
}

/// What is made of a book follows from it.
impl PartialEq for Lore {
    fn eq(&self, other: &Self) -> bool {
        self.book == other.book
    }
}

impl Part {
    fn of(entry: &Entry) -> Self {
        let (decorators, text) = decorators::split(&entry.content);
        let mut digest = Sha256::new();
        for key in &entry.keys {
            digest.update(key.as_bytes());
            digest.update([0]);
        }
        digest.update(entry.content.as_bytes());
        let digest = digest.finalize();
        let fingerprint = digest.iter().take(8).fold(0, |sum: u64, &byte| sum << 8 | u64::from(byte));
        Self { text: text.to_owned(), decorators, fingerprint }
    }
}
