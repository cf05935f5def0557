//! The keys of a lorebook, made ready to be looked for all at once.

use std::collections::HashMap;

use aho_corasick::AhoCorasick;
use regex::{Regex, RegexBuilder};

use super::{Entry, Part};

/// Longest key, in bytes; most keys of an entry; and most bytes of all keys of a book.
const LONGEST_KEY: usize = 1_000;
const MOST_KEYS: usize = 500;
const MOST_BYTES: usize = 2 << 20;

/// Number of a key that never matches.
const NEVER: usize = usize::MAX;

/// Most regular expressions of a book, and most bytes that each may take when it is compiled and while it searches.
const MOST_PATTERNS: usize = 200;
const LARGEST_REGEX: usize = 256 << 10;

/// Most places at which keys are found in all texts of a scan, and most bytes that all expressions together look through: a
/// book may be made so that each letter finds thousands, or takes thousands of steps.
const MOST_MATCHES: usize = 2_000_000;
const MOST_SEARCHED: usize = 1 << 20;

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
    pub(super) additional: Vec<usize>,
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
    /// Of all of them together.
    bytes: usize,
}

/// Keys that are texts.
#[derive(Debug, Clone, Default)]
struct Texts {
    automaton: Option<AhoCorasick>,
    /// For each pattern of the automaton the key's number, and whether it must stand as a word.
    keys: Vec<(usize, bool)>,
}

/// What a scan has found so far.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// In which message each key was found first, 0 being the newest.
    depths: Vec<Option<usize>>,
    /// Matches that may still be looked at, and bytes that expressions may still look through.
    matches_left: usize,
    bytes_left: usize,
}

impl Found {
    /// Whether the key stands in one of so many newest messages.
    pub(super) fn within(&self, key: usize, depth: usize) -> bool {
        self.depths.get(key).copied().flatten().is_some_and(|found| found < depth)
    }

    /// Whether not everything could be looked through.
    pub(super) fn is_cut_short(&self) -> bool {
        self.matches_left == 0 || self.bytes_left == 0
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
            let mut left = MOST_KEYS;
            let mut add = |written: &[String]| -> Vec<usize> {
                let mut added = Vec::new();
                for key in written.iter().filter(|key| !key.trim().is_empty()) {
                    left = left.saturating_sub(1);
                    if left == 0 {
                        let problem = format!("the entry has more than {MOST_KEYS} keys");
                        keys.problems.push((number, KeyProblem { key: key.clone(), problem }));
                        break;
                    }
                    added.push(keys.add(key, number, entry, &mut numbers, &mut texts));
                }
                added
            };
            let mut primary = add(&entry.keys);
            primary.retain(|key| *key != NEVER);
            let secondary = if entry.selective { add(&entry.secondary_keys) } else { Vec::new() };
            let additional = add(&part.decorators.additional_keys);
            let excluding = add(&part.decorators.exclude_keys);
            keys.entries.push(EntryKeys { primary, secondary, additional, excluding });
        }
        let [folded, exact] = texts.map(|(patterns, texts)| {
            // It fails only with more keys than a machine has memory for.
            let automaton = AhoCorasick::new(&patterns).ok().filter(|_| !patterns.is_empty());
            Texts { automaton, ..texts }
        });
        Self { folded, exact, ..keys }
    }

    /// The number of a key of an entry; [`NEVER`] for one that cannot match.
    fn add(
        &mut self,
        written: &str,
        entry_number: usize,
        entry: &Entry,
        numbers: &mut HashMap<Key, usize>,
        texts: &mut [(Vec<String>, Texts); 2],
    ) -> usize {
        let key = match self.checked(written, entry) {
            Ok((key, regex)) => numbers.get(&key).copied().ok_or((key, regex)),
            Err(problem) => {
                self.problems.push((entry_number, KeyProblem { key: written.to_owned(), problem }));
                return NEVER;
            }
        };
        key.unwrap_or_else(|(key, regex)| {
            let number = self.written.len();
            self.bytes += written.len();
            self.written.push(written.trim().to_owned());
            self.patterns.extend(regex.map(|regex| (regex, number)));
            if let Key::Plain { text, exact, word } = &key {
                let (patterns, texts) = &mut texts[usize::from(*exact)];
                patterns.push(text.clone());
                texts.keys.push((number, *word));
            }
            numbers.insert(key, number);
            number
        })
    }

    /// How a key is looked for, compiled if it is an expression; a sentence when it never can match.
    fn checked(&self, written: &str, entry: &Entry) -> Result<(Key, Option<Regex>), String> {
        if written.len() > LONGEST_KEY {
            return Err(format!("it is longer than {LONGEST_KEY} bytes"));
        }
        if self.bytes > MOST_BYTES {
            return Err(format!("the book has more than {} kB of keys", MOST_BYTES >> 10));
        }
        let key = Key::of(written, entry).ok_or("it is empty")?;
        match &key {
            Key::Pattern(_) if self.patterns.len() == MOST_PATTERNS => {
                Err(format!("the book has more than {MOST_PATTERNS} regular expressions"))
            }
            Key::Pattern(pattern) => compile(pattern).map(|regex| (key.clone(), Some(regex))),
            Key::Plain { .. } => Ok((key, None)),
        }
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
        let depths = vec![None; self.written.len()];
        let mut found = Found { depths, matches_left: MOST_MATCHES, bytes_left: MOST_SEARCHED };
        for (depth, message) in messages.iter().rev().enumerate() {
            self.search_in(message, depth, &mut found);
        }
        found
    }

    /// Looks for all keys in one more text, which counts as a message at this depth.
    pub(super) fn search_in(&self, text: &str, depth: usize, found: &mut Found) {
        self.folded.search(&text.to_lowercase(), depth, found);
        self.exact.search(text, depth, found);
        for (regex, key) in
            self.patterns.iter().filter(|(_, key)| found.depths[*key].is_none()).collect::<Vec<_>>()
        {
            found.bytes_left = found.bytes_left.saturating_sub(text.len());
            if found.bytes_left > 0 && regex.is_match(text) {
                found.depths[*key] = Some(depth);
            }
        }
    }
}

impl Texts {
    fn search(&self, text: &str, depth: usize, found: &mut Found) {
        let Some(automaton) = &self.automaton else { return };
        for at in automaton.find_overlapping_iter(text) {
            found.matches_left = found.matches_left.saturating_sub(1);
            if found.matches_left == 0 {
                return;
            }
            let (key, word) = self.keys[at.pattern().as_usize()];
            let part_of_a_word =
                |neighbour: Option<char>| neighbour.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let stands_alone = || {
                !part_of_a_word(text[..at.start()].chars().next_back())
                    && !part_of_a_word(text[at.end()..].chars().next())
            };
            if found.depths[key].is_none() && (!word || stands_alone()) {
                found.depths[key] = Some(depth);
            }
        }
    }
}
