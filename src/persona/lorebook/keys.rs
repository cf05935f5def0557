//! The keys of a lorebook, made ready to be looked for all at once.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;
use regex::{Regex, RegexBuilder};

use super::{Entry, Part};

/// Longest key, in bytes.
const LONGEST_KEY: usize = 1_000;

/// Most regular expressions of a book, and most bytes that each may take when it is compiled and while it searches.
const MOST_PATTERNS: usize = 500;
const LARGEST_REGEX: usize = 256 << 10;

/// Most places at which keys are found in a text: a book may be made so that each letter finds thousands.
const MOST_MATCHES: usize = 200_000;

/// A key that never matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyProblem {
    /// The key.
    pub key: String,
    /// What is wrong with it.
    pub problem: String,
}

/// How a key is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// As it stands, in its case or in any; as a word or anywhere.
    Plain {
        /// The text, in small letters where case does not count.
        text: String,
        /// Whether case counts.
        exact: bool,
        /// Whether it must stand as a word.
        word: bool,
    },
    /// A regular expression `/…/flags`.
    Pattern(String),
}

/// Numbers of the keys of one entry.
#[derive(Debug, Clone, Default)]
pub(super) struct EntryKeys {
    pub(super) primary: Vec<usize>,
    pub(super) secondary: Vec<usize>,
    pub(super) excluding: Vec<usize>,
}

/// All keys of a book.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    entries: Vec<EntryKeys>,
    /// As their authors wrote them.
    written: Vec<String>,
    folded: Texts,
    exact: Texts,
    /// Regular expressions, each with the number of its key.
    patterns: Vec<(Regex, usize)>,
    problems: Vec<(usize, KeyProblem)>,
}

/// Keys that are texts.
#[derive(Debug, Clone, Default)]
struct Texts {
    automaton: Option<AhoCorasick>,
    /// For each pattern of the automaton the key's number, and whether it must stand as a word.
    keys: Vec<(usize, bool)>,
}

/// In which message each key was found, 0 being the newest.
#[derive(Debug, Clone)]
pub(super) struct Found(Vec<Option<usize>>);

impl Found {
    /// Whether the key stands in one of so many newest messages.
    pub(super) fn within(&self, key: usize, depth: usize) -> bool {
        self.0[key].is_some_and(|found| found < depth)
    }
}

impl Key {
    /// How a key that is written like this is looked for; nothing for one without text.
    fn of(written: &str, entry: &Entry) -> Option<Self> {
        let written = written.trim();
        if pattern(written).is_some() {
            return Some(Self::Pattern(written.to_owned()));
        }
        let text = if entry.case_sensitive { written.to_owned() } else { written.to_lowercase() };
        // Of several words together nobody asks where they begin.
        let word = entry.whole_words && !text.contains(char::is_whitespace);
        (!text.is_empty()).then_some(Self::Plain { text, exact: entry.case_sensitive, word })
    }
}

/// The expression and the flags of a key that is one.
fn pattern(key: &str) -> Option<(&str, &str)> {
    let (expression, flags) = key.strip_prefix('/')?.rsplit_once('/')?;
    let is_flag = |flag| matches!(flag, 'd' | 'g' | 'i' | 'm' | 's' | 'u' | 'v' | 'y');
    (!expression.is_empty() && flags.chars().all(is_flag)).then_some((expression, flags))
}

/// Compiles an expression. JavaScript's, from which cards come, has constructs that take exponential time; they are
/// refused here.
fn compile(key: &str) -> Result<Regex, String> {
    let (expression, flags) = pattern(key).ok_or("it is no regular expression")?;
    let compiled = RegexBuilder::new(expression)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .dot_matches_new_line(flags.contains('s'))
        .size_limit(LARGEST_REGEX)
        .dfa_size_limit(LARGEST_REGEX)
        .build();
    compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        // The last line says it; those before draw the place.
        error => {
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    })
}

impl Keys {
    pub(super) fn new<'a>(entries: impl Iterator<Item = (&'a Entry, &'a Part)>) -> Self {
        let mut keys = Self::default();
        let mut numbers: HashMap<Key, usize> = HashMap::new();
        let mut texts: [(Vec<String>, Texts); 2] = Default::default();
        for (number, (entry, part)) in entries.enumerate() {
            let mut add = |written: &[String]| -> Vec<usize> {
                written
                    .iter()
                    .filter_map(|key| keys.add(key, number, entry, &mut numbers, &mut texts))
                    .collect()
            };
            let mut primary = add(&entry.keys);
            primary.extend(add(&part.decorators.additional_keys));
            let secondary = if entry.selective { add(&entry.secondary_keys) } else { Vec::new() };
            let excluding = add(&part.decorators.exclude_keys);
            keys.entries.push(EntryKeys { primary, secondary, excluding });
        }
        let [folded, exact] = texts.map(|(patterns, texts)| {
            // It fails only with more keys than a machine has memory for.
            let automaton = AhoCorasick::new(&patterns).ok().filter(|_| !patterns.is_empty());
            Texts { automaton, ..texts }
        });
        Self { folded, exact, ..keys }
    }

    /// The number of a key of an entry; nothing when it can never match.
    fn add(
        &mut self,
        written: &str,
        entry_number: usize,
        entry: &Entry,
        numbers: &mut HashMap<Key, usize>,
        texts: &mut [(Vec<String>, Texts); 2],
    ) -> Option<usize> {
        let mut problem = |problem: &str| {
            let problem = KeyProblem { key: written.to_owned(), problem: problem.to_owned() };
            self.problems.push((entry_number, problem));
        };
        if written.len() > LONGEST_KEY {
            problem(&format!("it is longer than {LONGEST_KEY} bytes"));
            return None;
        }
        let Some(key) = Key::of(written, entry) else {
            problem("it is empty");
            return None;
        };
        if let Some(&number) = numbers.get(&key) {
            return Some(number);
        }
        let number = self.written.len();
        match &key {
            Key::Plain { text, exact, word } => {
                let (patterns, texts) = &mut texts[usize::from(*exact)];
                patterns.push(text.clone());
                texts.keys.push((number, *word));
            }
            Key::Pattern(_) if self.patterns.len() == MOST_PATTERNS => {
                problem(&format!("the book has more than {MOST_PATTERNS} regular expressions"));
                return None;
            }
            Key::Pattern(pattern) => match compile(pattern) {
                Ok(regex) => self.patterns.push((regex, number)),
                Err(what) => {
                    problem(&what);
                    return None;
                }
            },
        }
        self.written.push(written.trim().to_owned());
        numbers.insert(key, number);
        Some(number)
    }

    pub(super) fn of(&self, entry: usize) -> &EntryKeys {
        &self.entries[entry]
    }

    /// A key as its author wrote it.
    pub(super) fn written(&self, key: usize) -> &str {
        &self.written[key]
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = (usize, &KeyProblem)> {
        self.problems.iter().map(|(entry, problem)| (*entry, problem))
    }

    /// Looks for all keys in messages, newest last.
    pub(super) fn search(&self, messages: &[&str]) -> Found {
        let mut found = Found(vec![None; self.written.len()]);
        for (depth, message) in messages.iter().rev().enumerate() {
            self.search_in(message, depth, &mut found);
        }
        found
    }

    /// Looks for all keys in one more text, which counts as a message at this depth.
    pub(super) fn search_in(&self, text: &str, depth: usize, found: &mut Found) {
        let mut find = |key: usize| {
            found.0[key].get_or_insert(depth);
        };
        self.folded.search(&text.to_lowercase(), &mut find);
        self.exact.search(text, &mut find);
        for (regex, key) in &self.patterns {
            if regex.is_match(text) {
                find(*key);
            }
        }
    }
}

impl Texts {
    fn search(&self, text: &str, find: &mut impl FnMut(usize)) {
        let Some(automaton) = &self.automaton else { return };
        for at in automaton.find_overlapping_iter(text).take(MOST_MATCHES) {
            let (key, word) = self.keys[at.pattern().as_usize()];
            let part_of_a_word =
                |neighbour: Option<char>| neighbour.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let stands_alone = || {
                !part_of_a_word(text[..at.start()].chars().next_back())
                    && !part_of_a_word(text[at.end()..].chars().next())
            };
            if !word || stands_alone() {
                find(key);
            }
        }
    }
}
