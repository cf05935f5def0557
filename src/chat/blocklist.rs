//! Phrases that must not be shown, found in a text that is still being written. Pure.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::sanitize::is_ignorable;

/// What stands in the place of a phrase.
pub const MARK: &str = "[\u{2026}]";

/// Phrases that must not be shown. One is found whatever the case, width and composition of its letters, however much white
/// space is between its words, and through the marks that make words bold; but not within a longer word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blocklist {
    /// As a reader sees them.
    phrases: Vec<Vec<char>>,
}

/// A character as a reader sees it, and where it stands.
#[derive(Debug, Clone, Copy)]
struct Seen {
    character: char,
    start: usize,
    end: usize,
}

/// The first phrase in a text.
enum Found {
    /// There is none, and what comes will not make one of what is there.
    Nothing,
    /// What stands from here on may yet become one.
    Open(usize),
    /// It is here.
    Phrase(Range<usize>),
}

impl Blocklist {
    /// These phrases, without those in which there is nothing to see.
    #[must_use]
    pub fn new<'a>(phrases: impl IntoIterator<Item = &'a str>) -> Self {
        let as_seen = |phrase: &str| seen(phrase.trim(), 0).map(|seen| seen.character).collect();
        let phrases = phrases.into_iter().map(as_seen).map(without_blanks_around);
        Self { phrases: phrases.filter(|phrase| !phrase.is_empty()).collect() }
    }

    /// Whether there is no phrase.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.phrases.is_empty()
    }

    /// Puts [`MARK`] in the place of each phrase. Of a text that is being written everything before `from` was looked at before;
    /// `is_whole` when no more of it will come. Returns how much of the text is decided, and whether something was replaced.
    #[must_use]
    pub fn replace(&self, text: &mut String, from: usize, is_whole: bool) -> (usize, bool) {
        if self.is_empty() {
            return (text.len(), false);
        }
        // What a reader sees is looked through once, however much of it is replaced.
        let all: Vec<Seen> = seen(&text[from..], from).collect();
        let before = text[..from].chars().rev().find(|c| !is_passed_over(*c));
        let mut left = before.and_then(|c| folded(c).last());
        let (mut rest, mut copied, mut clean) = (&all[..], 0, String::new());
        let open = loop {
            match self.first(rest, left, is_whole) {
                Found::Nothing => break None,
                Found::Open(start) => break Some(start),
                Found::Phrase(range) => {
                    clean.push_str(&text[copied..range.start]);
                    clean.push_str(MARK);
                    copied = range.end;
                    left = MARK.chars().next_back();
                    // One character can be seen as several.
                    rest = &rest[rest.partition_point(|seen| seen.start < range.end)..];
                }
            }
        };
        let decided = open.map(|start| clean.len() + start - copied);
        let replaced = copied > 0;
        if replaced {
            clean.push_str(&text[copied..]);
            *text = clean;
        }
        (decided.unwrap_or(text.len()), replaced)
    }

    /// Where to end before `end` so that no word is cut off, of which the beginning could be a phrase.
    #[must_use]
    pub fn whole_words(&self, text: &str, end: usize) -> usize {
        let goes_on = seen(&text[end..], end).next().is_some_and(|seen| is_of_a_word(seen.character));
        if self.is_empty() || !goes_on {
            return end;
        }
        text[..end].trim_end_matches(|c| is_of_a_word(c) || is_passed_over(c)).len()
    }

    /// The first phrase among these characters, behind this one.
    fn first(&self, all: &[Seen], before: Option<char>, is_whole: bool) -> Found {
        for at in 0..all.len() {
            let (left, rest) =
                (at.checked_sub(1).map_or(before, |left| Some(all[left].character)), &all[at..]);
            let (mut longest, mut may_become_one) = (None, false);
            for phrase in self.phrases.iter().filter(|phrase| !is_within_a_word(left, phrase.first())) {
                let same =
                    phrase.iter().zip(rest).take_while(|(one, other)| **one == other.character).count();
                let right = rest.get(same).map(|seen| seen.character);
                if same < phrase.len() {
                    may_become_one |= right.is_none() && !is_whole;
                } else if right.is_none() && !is_whole && phrase.last().copied().is_some_and(is_of_a_word) {
                    // The word may go on.
                    may_become_one = true;
                } else if !is_within_a_word(right, phrase.last()) {
                    longest = longest.max(Some(same));
                }
            }
            if may_become_one {
                return Found::Open(rest[0].start);
            }
            if let Some(length) = longest {
                return Found::Phrase(rest[0].start..rest[length - 1].end);
            }
        }
        Found::Nothing
    }
}

/// The text as a reader sees it: in compatibility decomposition, which is the same for two texts when their composition is,
/// without case, each stretch of white space as one blank, and without what is passed over.
fn seen(text: &str, offset: usize) -> impl Iterator<Item = Seen> {
    let mut after_blank = false;
    let visible = text.char_indices().filter(|(_, c)| !is_passed_over(*c));
    let visible = visible.filter(move |(_, c)| {
        let doubled = after_blank && c.is_whitespace();
        after_blank = c.is_whitespace();
        !doubled
    });
    visible.flat_map(move |(at, c)| {
        let (start, end) = (offset + at, offset + at + c.len_utf8());
        folded(c).map(move |character| Seen { character, start, end })
    })
}

/// A character without case, width and composition.
fn folded(c: char) -> impl Iterator<Item = char> {
    let c = if c.is_whitespace() { ' ' } else { c };
    // By way of the capital, as the German sharp s is two of them.
    std::iter::once(c).nfkd().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkd()
}

fn without_blanks_around(phrase: Vec<char>) -> Vec<char> {
    let phrase: String = phrase.into_iter().collect();
    phrase.trim().chars().collect()
}

/// Whether a reader does not see the character, or only what it does to others.
fn is_passed_over(c: char) -> bool {
    is_ignorable(c) || matches!(c, '*' | '_' | '~' | '|' | '`' | '\\')
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

/// Whether the edge of a phrase and what stands beside it belong to one word.
fn is_within_a_word(beside: Option<char>, edge: Option<&char>) -> bool {
    beside.is_some_and(is_of_a_word) && edge.copied().is_some_and(is_of_a_word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is shown of a text that comes in these pieces.
    fn shown<'a>(blocklist: &Blocklist, pieces: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let (mut text, mut decided, mut versions) = (String::new(), 0, Vec::new());
        for piece in pieces {
            text.push_str(piece);
            (decided, _) = blocklist.replace(&mut text, decided, false);
            versions.push(text[..decided].to_owned());
        }
        let _ = blocklist.replace(&mut text, decided, true);
        versions.push(text);
        versions
    }

    fn check(phrases: &[&str], text: &str, expected: &str) {
        let blocklist = Blocklist::new(phrases.iter().copied());
        assert_eq!(shown(&blocklist, [text]).last().map(String::as_str), Some(expected), "{text:?}");
    }

    #[test]
    fn a_text_that_is_nothing_else_is_looked_through_once() {
        let list = Blocklist::new(["x", "fi"]);
        let mut text = "x ".repeat(32 << 10);
        assert_eq!(list.replace(&mut text, 0, true), (text.len(), true));
        assert_eq!(text, format!("{MARK} ").repeat(32 << 10));
        // One character that is seen as two, and what stands behind a mark.
        let mut text = "\u{fb01} x\u{fb01} fi\u{fb01}".to_owned();
        let _ = list.replace(&mut text, 0, true);
        assert_eq!(text, format!("{MARK} x\u{fb01} fi\u{fb01}"));
    }

    #[test]
    fn phrases_are_found_in_every_dress() {
        let mark = MARK;
        check(&["bad word"], "A bad word.", &format!("A {mark}."));
        check(&["bad word"], "BAD\n  Word", mark);
        check(&["Bad  Word"], "b\u{200b}ad wo**r**d", mark);
        check(&["bad"], "**bad** \u{ff42}\u{ff41}\u{ff44}", &format!("**{mark}** {mark}"));
        check(&["caf\u{e9}"], "cafe\u{301}!", &format!("{mark}!"));
        check(&["stra\u{df}e"], "STRASSE", mark);
        check(&["b\u{e4}d", "bad"], "bad b\u{e4}d", &format!("{mark} {mark}"));
        check(&["!!"], "no!!!", &format!("no{mark}!"));
        check(&["bad", "bad word"], "bad word, bad", &format!("{mark}, {mark}"));
    }

    #[test]
    fn words_that_contain_a_phrase_stay() {
        for text in ["grass", "assess", "gr*ass*", "cafe\u{301}", "ass\u{e9}", "1ass", "a s s"] {
            check(&["ass", "cafe"], text, text);
        }
        check(&[], "anything", "anything");
        check(&[" ", "**", "\u{200b}"], "anything **", "anything **");
    }

    #[test]
    fn what_may_become_a_phrase_is_held_and_nothing_else() {
        let blocklist = Blocklist::new(["bad word"]);
        let versions = shown(&blocklist, ["a ba", "d", " w", "or", "ld, bad", " word", "s, bad word", "."]);
        let expected = format!("a bad world, bad words, {MARK}.");
        let held = ["a ", "a ", "a ", "a ", "a bad world, ", "a bad world, ", "a bad world, bad words, "];
        assert_eq!(versions[..7], held);
        assert_eq!(versions[7..], [expected.clone(), expected]);
    }

    #[test]
    fn no_word_is_cut_off() {
        let blocklist = Blocklist::new(["ass"]);
        assert_eq!(blocklist.whole_words("an ass\u{e9}", 6), 3);
        assert_eq!(blocklist.whole_words("an ass, yes", 6), 6);
        assert_eq!(Blocklist::default().whole_words("an ass\u{e9}", 6), 6);
    }

    fn words() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[abAB]",
            1 => Just("\u{e4}".to_owned()),
            1 => Just("\u{308}".to_owned()),
            1 => Just("\u{fb01}".to_owned()),
            2 => Just(" ".to_owned()),
            1 => Just("\n".to_owned()),
            1 => Just("*".to_owned()),
            1 => Just(",".to_owned()),
            1 => Just("\u{200b}".to_owned()),
        ];
        proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
    }

    /// Whether a phrase stands somewhere in what a reader sees, found in the plainest way.
    fn is_in(phrase: &str, text: &str) -> bool {
        let fold = |text: &str| seen(text, 0).map(|seen| seen.character).collect::<Vec<char>>();
        let (phrase, text) = (without_blanks_around(fold(phrase)), fold(text));
        !phrase.is_empty()
            && (0..text.len()).any(|at| {
                let end = at + phrase.len();
                text.get(at..end) == Some(&phrase)
                    && !is_within_a_word(at.checked_sub(1).map(|left| text[left]), phrase.first())
                    && !is_within_a_word(text.get(end).copied(), phrase.last())
            })
    }

    proptest! {
        #[test]
        fn no_phrase_is_ever_shown_wherever_the_text_is_cut(
            phrases in proptest::collection::vec(words(), 0..4),
            text in words(),
            sizes in proptest::collection::vec(0_usize..4, 1..40),
        ) {
            let blocklist = Blocklist::new(phrases.iter().map(String::as_str));
            let mut rest = text.as_str();
            let mut pieces = Vec::new();
            for size in sizes {
                let end = rest.char_indices().nth(size).map_or(rest.len(), |(at, _)| at);
                pieces.push(&rest[..end]);
                rest = &rest[end..];
            }
            pieces.push(rest);
            let versions = shown(&blocklist, pieces);
            for version in &versions {
                for phrase in &phrases {
                    prop_assert!(!is_in(phrase, version), "{phrase:?} in {version:?}");
                }
            }
            for pair in versions.windows(2) {
                prop_assert!(pair[1].starts_with(&pair[0]), "{pair:?}");
            }
            let at_once = shown(&blocklist, [text.as_str()]);
            prop_assert_eq!(versions.last(), at_once.last(), "wherever it is cut");
        }
    }
}
