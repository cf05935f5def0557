//! As much of Discord's markdown as streaming and splitting must know: code, links, marks, and what is still open.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

/// What opens and closes a block of code.
pub const FENCE: &str = "```";

/// How masked links (`[label](address)`) are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// As the plain text that they are written in, so that nobody is led where a label does not say.
    Plain,
    /// As they are.
    AsWritten,
}

/// A stretch of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code<'a> {
    /// Where it stands, its marks included; to the end of the text when it is not closed.
    pub range: Range<usize>,
    /// Whether it is a block (three marks) and not inline.
    pub block: bool,
    /// Whether its closing mark is there.
    pub closed: bool,
    /// Language of a block, empty when it names none.
    pub language: &'a str,
}

/// The text so that Discord shows it as it is: no mark in it means anything.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\\' | '*' | '_' | '~' | '|' | '`' | '<' | '>' | '[' | ']' | '#') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// All code in the text, in order. An inline mark that is never closed is no code.
#[must_use]
pub fn code(text: &str) -> Vec<Code<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = text[at..].find('`') {
        let start = at + offset;
        if is_escaped(text, start) {
            at = start + 1;
            continue;
        }
        let marks = run_of_marks(&text[start..]);
        let inside = start + marks;
        let block = marks >= FENCE.len();
        let closing = closing_marks(&text[inside..], marks).map(|offset| inside + offset);
        at = inside;
        if block || closing.is_some() {
            let end = closing
                .map_or(text.len(), |closing| closing + marks_of_closing(&text[closing..], block, marks));
            let language = if block { language(&text[inside..]) } else { "" };
            found.push(Code { range: start..end, block, closed: closing.is_some(), language });
            at = end;
        }
    }
    found
}

/// Language of the block of code that is open at the end of the text, if one is.
#[must_use]
pub fn open_block(text: &str) -> Option<&str> {
    code(text).pop().filter(|code| code.block && !code.closed).map(|code| code.language)
}

/// The text with masked links (`[label](address)`) as the plain text that they are written in: the opening bracket
/// is escaped, which Discord does not show. Code is left alone.
#[must_use]
pub fn unmask_links(text: &str) -> String {
    let code = code(text);
    let in_code = |at: usize| code.iter().any(|code| code.range.contains(&at));
    let Some(last) = text.rmatch_indices("](").map(|(at, _)| at).find(|&at| !in_code(at)) else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(text.len() + 8);
    for (at, c) in text.char_indices() {
        if c == '[' && at < last && !is_escaped(text, at) && !in_code(at) {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

/// Longest inside of a mark such as `<:name:id>` or `<t:time:R>`, in bytes; names of emoji have at most 32.
const MARK_MAX: usize = 100;

/// Stretches that must not be broken: links, masked links, and marks such as `<@1>` or `<:smile:1>`.
#[must_use]
pub fn unbreakable(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for (start, _) in text.match_indices('<') {
        let inside = &text[start + 1..];
        if inside.starts_with(['@', '#', ':', 'a', 't', '/', 'h'])
            && let Some(end) = inside.bytes().take(MARK_MAX).position(|byte| byte == b'>')
            && !inside[..end].contains('\n')
        {
            ranges.push(start..start + 1 + end + 1);
        }
    }
    for (start, _) in text.match_indices("http") {
        let address = &text[start..];
        if address.starts_with("http://") || address.starts_with("https://") {
            let end = address.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(address.len());
            ranges.push(start..start + end);
        }
    }
    for (middle, _) in text.match_indices("](") {
        let before = &text[..middle];
        let start = before.rfind('[').filter(|&start| !before[start..].contains('\n'));
        let end = text[middle..].find([')', '\n']).map(|end| middle + end + 1);
        if let (Some(start), Some(end)) = (start, end) {
            ranges.push(start..end);
        }
    }
    ranges
}

/// How much of a text that is still being written may be shown: the rest could yet become part of a mark, a link,
/// a code fence or a longer character.
#[must_use]
pub fn decided(text: &str) -> usize {
    let mut end = text.len();
    if let Some(open) = code(text).last().filter(|code| code.block && !code.closed) {
        let opening = &text[open.range.clone()];
        if !opening.contains('\n') {
            end = open.range.start;
        }
    }
    end = end.min(text.trim_end_matches('`').len());
    let token = text[..end].rfind(|c: char| c.is_whitespace()).map_or(0, |at| at + 1);
    let token =
        token + text[token..end].chars().take_while(|c| c.is_whitespace()).map(char::len_utf8).sum::<usize>();
    let tail = &text[token..end];
    if let Some(mark) = tail.rfind('<').filter(|&mark| !tail[mark..].contains('>')) {
        end = token + mark;
    }
    if let Some(link) = text[token..end].find("http") {
        end = token + link;
    }
    if text[..end].ends_with('\\') {
        end -= 1;
    }
    match text[..end].graphemes(true).next_back() {
        Some(last) if !last.is_ascii() => end - last.len(),
        _ => end,
    }
}

fn run_of_marks(text: &str) -> usize {
    text.bytes().take_while(|&byte| byte == b'`').count()
}

/// Offset of the marks that close code opened by `marks` marks.
fn closing_marks(text: &str, marks: usize) -> Option<usize> {
    let block = marks >= FENCE.len();
    let mut at = 0;
    while let Some(offset) = text[at..].find('`') {
        let run = run_of_marks(&text[at + offset..]);
        if (block && run >= FENCE.len()) || (!block && run == marks) {
            return Some(at + offset);
        }
        at += offset + run;
    }
    None
}

fn marks_of_closing(text: &str, block: bool, marks: usize) -> usize {
    if block { run_of_marks(text) } else { marks }
}

/// Whether a backslash takes the meaning of what stands here.
fn is_escaped(text: &str, at: usize) -> bool {
    text[..at].bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

/// Longest name of a language; a longer word is text.
const LANGUAGE_MAX: usize = 32;

/// The language named after an opening fence: a single word that ends the line.
fn language(after_fence: &str) -> &str {
    let word = after_fence
        .find(|c: char| !(c.is_ascii_alphanumeric() || "+#._-".contains(c)))
        .map_or(after_fence, |end| &after_fence[..end]);
    let ends_the_line = after_fence[word.len()..].starts_with('\n');
    if ends_the_line && word.len() <= LANGUAGE_MAX { word } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found() {
        let check = |text: &str, expected: &[(&str, bool, bool, &str)]| {
            let found: Vec<_> = code(text)
                .into_iter()
                .map(|code| (&text[code.range], code.block, code.closed, code.language))
                .collect();
            assert_eq!(found, expected, "{text:?}");
        };
        check("a `b` c", &[("`b`", false, true, "")]);
        check("a `b c", &[]);
        check("``a`b``", &[("``a`b``", false, true, "")]);
        check("x\n```rust\nfn\n```\ny", &[("```rust\nfn\n```", true, true, "rust")]);
        check("```\nfn", &[("```\nfn", true, false, "")]);
        check("```c++\nx", &[("```c++\nx", true, false, "c++")]);
        check("```not a language\nx", &[("```not a language\nx", true, false, "")]);
        check("```a``` ```b", &[("```a```", true, true, ""), ("```b", true, false, "")]);
    }

    #[test]
    fn masked_links_are_shown_as_they_are_written() {
        let check = |text: &str, expected: &str| assert_eq!(unmask_links(text), expected, "{text:?}");
        check("see [here](https://x.y)", r"see \[here](https://x.y)");
        check("[[a](b)](c) [d]", r"\[\[a](b)](c) [d]");
        check(r"\`[free](x)\`", r"\`\[free](x)\`");
        check(r"\[here](x)", r"\[here](x)");
        check("`a[0](1)` [x]", "`a[0](1)` [x]");
        check("[two\nlines](x)", "\\[two\nlines](x)");
    }

    #[test]
    fn what_is_open_is_held() {
        let check = |text: &str, expected: &str| assert_eq!(&text[..decided(text)], expected, "{text:?}");
        check("hello wor", "hello wor");
        check("hello <@12", "hello ");
        check("hello <@12>", "hello <@12>");
        check("1 < 2 and", "1 < 2 and");
        check("see https://exa", "see ");
        check("see (https://exa", "see (");
        check("see https://example.com now", "see https://example.com now");
        check("code `", "code ");
        check("x\n``", "x\n");
        check("x\n```ru", "x\n");
        check("x\n```rust\nfn", "x\n```rust\nfn");
        check("x\n```rust\nfn\n``", "x\n```rust\nfn\n");
        check("ok \u{1f44d}", "ok ");
        check("ok \u{1f44d} y", "ok \u{1f44d} y");
        check("a\\", "a");
    }

    #[test]
    fn links_and_marks_are_unbreakable() {
        let text = "a <@1> <:smile:2> https://x.y/z [two words](https://x.y) b";
        let found: Vec<&str> = unbreakable(text).into_iter().map(|range| &text[range]).collect();
        for expected in ["<@1>", "<:smile:2>", "https://x.y/z", "[two words](https://x.y)"] {
            assert!(found.contains(&expected), "{expected} in {found:?}");
        }
    }
}
