//! Cutting a long text into messages, without breaking a word, an emoji, a link or a block of code.

use unicode_segmentation::UnicodeSegmentation as _;

use super::markdown::{self, FENCE, Links};

/// Most characters (Unicode scalar values) of a message's content, by Discord's message resource.
pub const MESSAGE_MAX: usize = 2_000;

/// Characters after which a message that is still growing only grows at the end of a sentence or line, so that
/// nothing that was shown has to move to the next message.
pub const MESSAGE_SOFT: usize = 1_600;

/// The share of a message that should be full before it is ended at a mere blank.
const FULL_ENOUGH: f64 = 0.6;

/// Content of the message that shows `text[start..end]`: a block of code that is open at its start or end is
/// reopened and closed, and white space around it goes.
#[must_use]
pub fn content(text: &str, start: usize, end: usize, links: Links) -> String {
    let mut content = String::new();
    let inside = match markdown::open_block(&text[..start]) {
        Some(language) => {
            content = format!("{FENCE}{language}\n");
            text[start..end].trim_matches('\n').trim_end()
        }
        None => text[start..end].trim(),
    };
    if inside.is_empty() {
        return String::new();
    }
    content.push_str(inside);
    if links == Links::Plain {
        content = markdown::unmask_links(&content);
    }
    if markdown::open_block(&content).is_some() {
        if !content.ends_with('\n') {
            content.push('\n');
        }
        content.push_str(FENCE);
    }
    content
}

/// Where in a text the message begins, not before `from`, that shows its end with this content; `None` when no message
/// does.
#[must_use]
pub fn start_of(text: &str, from: usize, shown: &str, links: Links) -> Option<usize> {
    let mut places = text.char_indices().map(|(at, _)| at).filter(|&at| at >= from);
    places.find(|&at| content(text, at, text.len(), links) == shown)
}

/// Where in a text the message ends that begins at `start` and has this content; `None` when no message has.
#[must_use]
pub fn end_of(text: &str, start: usize, shown: &str, links: Links) -> Option<usize> {
    let mut places = text.char_indices().map(|(at, _)| at).chain([text.len()]).filter(|&at| at >= start);
    places.find(|&at| content(text, start, at, links) == shown)
}

/// Length of a message's content as Discord counts it.
#[must_use]
pub fn length(content: &str) -> usize {
    content.chars().count()
}

/// How far the message that begins at `start` and shows up to `shown` may grow, when the text is decided up to
/// `end` but is not finished: all of it while the message is short, then only to the end of a sentence or line. It has
/// room for `room` characters.
#[must_use]
pub fn growth(text: &str, start: usize, shown: usize, end: usize, room: usize, links: Links) -> usize {
    let fits_softly = |at: usize| length(&content(text, start, at, links)) <= MESSAGE_SOFT;
    if fits_softly(end) {
        return end;
    }
    breaks(text, shown.max(start), end)
        .filter(|(at, quality)| *quality >= Quality::CodeLine || fits_softly(*at))
        .map(|(at, _)| at)
        .filter(|&at| length(&content(text, start, at, links)) <= room)
        .last()
        .unwrap_or(shown)
}

/// Where the message that begins at `start` and shows up to `shown` ends, when the text up to `end` does not fit into
/// `room` characters.
#[must_use]
pub fn cut(text: &str, start: usize, shown: usize, end: usize, room: usize, links: Links) -> usize {
    let fits = |at: usize| length(&content(text, start, at, links)) <= room;
    let full_enough = |at: usize| {
        let share = length(&content(text, start, at, links)) as f64 / room as f64;
        share >= FULL_ENOUGH
    };
    let from = shown.max(start);
    let fitting: Vec<(usize, Quality)> = breaks(text, from, end).take_while(|&(at, _)| fits(at)).collect();
    let best = |candidates: &mut dyn Iterator<Item = &(usize, Quality)>| {
        candidates.max_by_key(|&&(at, quality)| (quality, at)).map(|&(at, _)| at)
    };
    best(&mut fitting.iter().filter(|&&(at, _)| full_enough(at)))
        .or_else(|| best(&mut fitting.iter()))
        .or_else(|| (shown > start && fits(shown)).then_some(shown))
        .or_else(|| graphemes(text, start, end, true).take_while(|&at| fits(at)).last())
        .or_else(|| graphemes(text, start, end, false).take_while(|&at| fits(at)).last())
        .unwrap_or_else(|| next_char(text, start))
}

/// How good a place is to end a message, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Quality {
    CodeBlank,
    Word,
    CodeLine,
    Sentence,
    Line,
    Paragraph,
}

/// The places after white space in `text[from..to]` at which a message may end, in order.
fn breaks(text: &str, from: usize, to: usize) -> impl Iterator<Item = (usize, Quality)> {
    let unbreakable = markdown::unbreakable(text);
    let code = markdown::code(text);
    let mut found = Vec::new();
    let mut at = from;
    while let Some(offset) = text[at..to].find(char::is_whitespace) {
        let blank = at + offset;
        let after = &text[blank..to];
        let width = after.find(|c: char| !c.is_whitespace()).unwrap_or(after.len());
        at = blank + width;
        let in_code = code.iter().find(|code| code.block && blank > code.range.start && at < code.range.end);
        let newlines = text[blank..at].matches('\n').count();
        let sentence = text[..blank].ends_with(['.', '!', '?', '\u{2026}', '*', '"', '\u{201d}']);
        let quality = match (in_code, newlines) {
            (Some(_), 0) => Quality::CodeBlank,
            (Some(_), _) => Quality::CodeLine,
            (None, 0) if sentence => Quality::Sentence,
            (None, 0) => Quality::Word,
            (None, 1) => Quality::Line,
            (None, _) => Quality::Paragraph,
        };
        let cuts_a_whole = unbreakable.iter().any(|range| blank > range.start && at < range.end);
        let empties_a_block = in_code.is_some_and(|code| {
            let opening = code.range.start + text[code.range.clone()].find('\n').unwrap_or(0);
            blank <= opening || text[at..].starts_with(FENCE)
        });
        if !cuts_a_whole && !empties_a_block && at > from {
            // Indentation of the next line of code belongs to that line.
            let keeps = in_code.and_then(|_| text[blank..at].rfind('\n')).map_or(at, |line| blank + line + 1);
            found.push((keeps, quality));
        }
    }
    found.into_iter()
}

/// The places between characters, as a reader sees them; those inside of links and marks only if `whole` is false.
fn graphemes(text: &str, from: usize, to: usize, whole: bool) -> impl Iterator<Item = usize> {
    let unbreakable = if whole { markdown::unbreakable(text) } else { Vec::new() };
    text[from..to]
        .grapheme_indices(true)
        .map(move |(at, grapheme)| from + at + grapheme.len())
        .filter(move |&at| !unbreakable.iter().any(|range| at > range.start && at < range.end))
}

fn next_char(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All messages of a text that arrives at once.
    fn messages(text: &str) -> Vec<String> {
        let mut messages = Vec::new();
        let mut start = 0;
        while start < text.len() {
            let whole = content(text, start, text.len(), Links::Plain);
            let end = if length(&whole) <= MESSAGE_MAX {
                text.len()
            } else {
                cut(text, start, start, text.len(), MESSAGE_MAX, Links::Plain)
            };
            let content = content(text, start, end, Links::Plain);
            assert!(end > start && length(&content) <= MESSAGE_MAX, "{} at {start}", length(&content));
            if !content.is_empty() {
                messages.push(content);
            }
            start = end;
        }
        messages
    }

    #[test]
    fn short_texts_are_one_message() {
        assert_eq!(messages(" hello \n"), ["hello"]);
        assert_eq!(messages(""), Vec::<String>::new());
    }

    #[test]
    fn paragraphs_lines_sentences_and_words_stay_whole() {
        let paragraphs = format!("{}\n\n{}", "a ".repeat(800), "b ".repeat(800));
        assert_eq!(messages(&paragraphs)[0], "a ".repeat(800).trim());
        let sentences = format!("{}. {}", "a ".repeat(900).trim(), "b ".repeat(900).trim());
        assert!(messages(&sentences)[0].ends_with('.'));
        for message in messages(&"word ".repeat(1_000)) {
            assert!(message.split(' ').all(|word| word == "word"));
        }
    }

    #[test]
    fn emoji_and_links_are_not_broken() {
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
        for message in messages(&family.repeat(900)) {
            assert_eq!(message.replace(family, ""), "");
        }
        let custom = "<:smile:123456789012345678>";
        for message in messages(&custom.repeat(300)) {
            assert_eq!(message.replace(custom, ""), "");
        }
        let link = format!("https://example.com/{}", "x".repeat(100));
        let text = format!("{}{link} end", "word ".repeat(390));
        assert!(messages(&text)[1].starts_with(&link));
        let endless = format!("https://example.com/{}", "x".repeat(5_000));
        assert_eq!(messages(&endless).concat(), endless);
    }

    #[test]
    fn blocks_of_code_are_closed_and_reopened_with_their_language() {
        let code = "    let x = 1;\n".repeat(300);
        let text = format!("Look:\n```rust\n{code}```\nDone.");
        let messages = messages(&text);
        assert!(messages.len() > 2);
        for message in &messages {
            assert_eq!(message.matches(FENCE).count() % 2, 0, "{message}");
        }
        assert!(messages[0].starts_with("Look:\n```rust\n    let"));
        assert!(messages[1].starts_with("```rust\n    let x = 1;"), "{}", &messages[1][..40]);
        assert!(messages.last().expect("one").ends_with("Done."));
    }

    #[test]
    fn where_a_message_stands_in_its_text_is_found_again() {
        let text =
            format!("{}\n```rust\n{}```\nDone.", "Some words. ".repeat(200), "let x = 1;\n".repeat(200));
        let first = cut(&text, 0, 0, text.len(), MESSAGE_MAX, Links::Plain);
        let message = content(&text, 0, first, Links::Plain);
        let end = end_of(&text, 0, &message, Links::Plain).expect("it is found");
        assert_eq!(content(&text, 0, end, Links::Plain), message);
        let rest = content(&text, first, text.len(), Links::Plain);
        let start = start_of(&text, 1, &rest, Links::Plain).expect("it is found");
        assert_eq!(content(&text, start, text.len(), Links::Plain), rest);
        assert_eq!(start_of(&text, 0, "something else", Links::Plain), None);
    }

    #[test]
    fn a_growing_message_stops_at_sentences_before_it_is_full() {
        let text = format!("{}end. more and more", "a ".repeat(850));
        let sentence = text.find("more").expect("it is there");
        assert_eq!(growth(&text, 0, 100, text.len(), MESSAGE_MAX, Links::Plain), sentence);
        assert_eq!(growth(&text, 0, 100, 900, MESSAGE_MAX, Links::Plain), 900);
    }
}
