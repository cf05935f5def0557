//! What Discord makes of the marks in a message, as far as the bot and its members use them, and how wide text is. For the
//! pictures alone: widths are those of a wide sans-serif font, so that lines do not run out of the picture.

use std::collections::BTreeSet;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Bold,
    Italic,
    Underlined,
    Struck,
    Code,
    /// It names a member.
    Member,
    /// It names a channel.
    Channel,
}

/// A piece of text that looks the same from end to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) marks: BTreeSet<Mark>,
}

/// A line of a message, or the code in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Text(Vec<Span>),
    Quote(Vec<Span>),
    /// With the sign before it.
    Item(String, Vec<Span>),
    Heading(Vec<Span>),
    Small(Vec<Span>),
    Code(Vec<String>),
}

/// How a mention is read, if it is known what it mentions.
pub(super) type Readable<'a> = &'a dyn Fn(Mark, u64) -> Option<String>;

/// The marks that stand on both sides of what they mark, the longer ones first.
const PAIRS: [(&str, &[Mark]); 7] = [
    ("***", &[Mark::Bold, Mark::Italic]),
    ("**", &[Mark::Bold]),
    ("__", &[Mark::Underlined]),
    ("~~", &[Mark::Struck]),
    ("*", &[Mark::Italic]),
    ("_", &[Mark::Italic]),
    ("`", &[Mark::Code]),
];

const FENCE: &str = "```";

pub(super) fn blocks(content: &str, readable: Readable) -> Vec<Block> {
    // Every other piece stands between fences; what is not closed is no code.
    let pieces: Vec<&str> = content.split(FENCE).collect();
    let closed = (pieces.len() - 1) / 2 * 2;
    let mut blocks = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        if number % 2 == 1 && number < closed {
            let code = piece.split_once('\n').map_or(*piece, |(_, code)| code);
            blocks.push(Block::Code(code.trim_end().lines().map(str::to_owned).collect()));
        } else if number % 2 == 1 {
            blocks.extend(format!("{FENCE}{piece}").lines().map(|line| block(line, readable)));
        } else {
            let piece = piece.strip_prefix('\n').filter(|_| number > 0).unwrap_or(piece);
            blocks.extend(piece.lines().map(|line| block(line, readable)));
        }
    }
    blocks
}

/// One line, by what it begins with.
fn block(line: &str, readable: Readable) -> Block {
    let spans = |text: &str| spans(text, readable);
    if let Some(text) = line.strip_prefix("> ") {
        return Block::Quote(spans(text));
    }
    if let Some(text) = line.strip_prefix("-# ") {
        return Block::Small(spans(text));
    }
    if let Some(text) = line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")) {
        return Block::Item("\u{2022}".to_owned(), spans(text));
    }
    if let Some(text) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')) {
        return Block::Heading(spans(text));
    }
    match line.split_once(". ") {
        Some((number, text)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            Block::Item(format!("{number}."), spans(text))
        }
        _ => Block::Text(spans(line)),
    }
}

/// A line in its pieces.
fn spans(text: &str, readable: Readable) -> Vec<Span> {
    let mut spans = Vec::new();
    read(text, &BTreeSet::new(), readable, &mut spans);
    spans
}

fn read(mut text: &str, marks: &BTreeSet<Mark>, readable: Readable, spans: &mut Vec<Span>) {
    while let Some(first) = text.chars().next() {
        let escaped = text.strip_prefix('\\').and_then(|rest| rest.chars().next());
        if let Some(escaped) = escaped.filter(char::is_ascii_punctuation) {
            push(spans, marks, escaped.encode_utf8(&mut [0; 4]));
            text = &text[2..];
            continue;
        }
        if let Some((kind, number, rest)) = mention(text)
            && let Some(name) = readable(kind, number)
        {
            push(spans, &with(marks, &[kind]), &name);
            text = rest;
            continue;
        }
        if let Some((channel, rest)) = link(text)
            && let Some(name) = readable(Mark::Channel, channel)
        {
            push(spans, &with(marks, &[Mark::Channel]), &format!("{name} \u{203a} message"));
            text = rest;
            continue;
        }
        if let Some((inside, added, rest)) = paired(text) {
            let marks = with(marks, added);
            if added == [Mark::Code] {
                push(spans, &marks, inside);
            } else {
                read(inside, &marks, readable, spans);
            }
            text = rest;
            continue;
        }
        push(spans, marks, first.encode_utf8(&mut [0; 4]));
        text = &text[first.len_utf8()..];
    }
}

fn with(marks: &BTreeSet<Mark>, added: &[Mark]) -> BTreeSet<Mark> {
    marks.iter().chain(added).copied().collect()
}

/// Adds text to the last piece, if it looks like it.
fn push(spans: &mut Vec<Span>, marks: &BTreeSet<Mark>, text: &str) {
    match spans.last_mut() {
        Some(last) if last.marks == *marks => last.text.push_str(text),
        _ => spans.push(Span { text: text.to_owned(), marks: marks.clone() }),
    }
}

/// A mention that the text begins with.
fn mention(text: &str) -> Option<(Mark, u64, &str)> {
    let (inside, rest) = text.strip_prefix('<')?.split_once('>')?;
    let (kind, number) = match inside.strip_prefix('#') {
        Some(number) => (Mark::Channel, number),
        None => (Mark::Member, inside.strip_prefix('@')?.trim_start_matches('!')),
    };
    Some((kind, number.parse().ok()?, rest))
}

/// The channel of a message whose link the text begins with. Discord shows such a link by the channel's name.
fn link(text: &str) -> Option<(u64, &str)> {
    let (_server, rest) = text.strip_prefix("https://discord.com/channels/")?.split_once('/')?;
    let (channel, rest) = rest.split_once('/')?;
    let (_message, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    Some((channel.parse().ok()?, rest))
}

/// What stands between two marks at the beginning of the text.
fn paired(text: &str) -> Option<(&str, &'static [Mark], &str)> {
    PAIRS.iter().find_map(|(mark, marks)| {
        let rest = text.strip_prefix(mark)?;
        let end = rest.find(mark).filter(|end| *end > 0)?;
        let (inside, after) = (&rest[..end], &rest[end + mark.len()..]);
        let stands_alone = marks != &[Mark::Italic]
            || (!inside.starts_with(char::is_whitespace) && !inside.ends_with(char::is_whitespace));
        let within_a_word = *mark == "_" && after.starts_with(char::is_alphanumeric);
        (stands_alone && !within_a_word).then_some((inside, *marks, after))
    })
}

/// The text in one line, without its marks.
pub(super) fn plain(content: &str, readable: Readable) -> String {
    let line = |line: &str| spans(line, readable).into_iter().map(|span| span.text).collect::<String>();
    content
        .lines()
        .map(line)
        .collect::<Vec<String>>()
        .join(" ")
        .split_whitespace()
        .collect::<Vec<&str>>()
        .join(" ")
}

/// Lines of text in which no mark means anything.
pub(super) fn unmarked(text: &str) -> Vec<Vec<Span>> {
    let line = |line: &str| vec![Span { text: line.to_owned(), marks: BTreeSet::new() }];
    if text.is_empty() { vec![line(" ")] } else { text.lines().map(line).collect() }
}

/// The pieces on as many lines as they take, broken between words, and inside of those that are wider than a line.
pub(super) fn wrapped(spans: &[Span], room: u32, size: u32) -> Vec<Vec<Span>> {
    let room = room * 1_000;
    let mut lines: Vec<Vec<Span>> = vec![Vec::new()];
    let mut used = 0;
    for (word, wide) in words(spans, size) {
        let blank = word.iter().all(|(letter, _)| letter.is_whitespace());
        if used + wide > room && used > 0 && !blank {
            lines.push(Vec::new());
            used = 0;
        }
        for (letter, marks) in word {
            let wide = thousandths(letter, &marks) * size;
            if used + wide > room {
                // The blank at which a line ends is not shown on the next.
                if letter.is_whitespace() {
                    continue;
                }
                lines.push(Vec::new());
                used = 0;
            }
            used += wide;
            let line = lines.last_mut().expect("there is one at least");
            push(line, &marks, letter.encode_utf8(&mut [0; 4]));
        }
    }
    lines
}

/// A word or a stretch of blanks: its letters with their looks, and how wide it is.
type Word = (Vec<(char, BTreeSet<Mark>)>, u32);

fn words(spans: &[Span], size: u32) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut was_blank = None;
    for span in spans {
        for letter in span.text.chars() {
            if was_blank != Some(letter.is_whitespace()) {
                words.push((Vec::new(), 0));
            }
            was_blank = Some(letter.is_whitespace());
            let word = words.last_mut().expect("one was just begun");
            word.1 += thousandths(letter, &span.marks) * size;
            word.0.push((letter, span.marks.clone()));
        }
    }
    words
}

/// How wide a text is.
pub(super) fn width(text: &str, size: u32) -> u32 {
    let none = BTreeSet::new();
    text.chars().map(|letter| thousandths(letter, &none) * size).sum::<u32>().div_ceil(1_000)
}

/// The text, cut with dots where it is too wide.
pub(super) fn cut(text: &str, room: u32, size: u32) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut kept = text.to_owned();
    while width(&kept, size) + size > room && kept.pop().is_some() {}
    format!("{}\u{2026}", kept.trim_end())
}

/// How many letters of code stand in a line.
pub(super) fn columns(room: u32, size: u32) -> usize {
    usize::try_from(room * 1_000 / (size * FIXED)).expect("few columns")
}

/// A line of code on as many lines as it takes.
pub(super) fn folded(line: &str, columns: usize) -> Vec<String> {
    let letters: Vec<char> = line.chars().collect();
    if letters.is_empty() {
        return vec![String::new()];
    }
    letters.chunks(columns.max(1)).map(|chunk| chunk.iter().collect()).collect()
}

/// The width of a letter of code, in thousandths of its size.
const FIXED: u32 = 610;

/// The width of a letter, in thousandths of its size.
fn thousandths(letter: char, marks: &BTreeSet<Mark>) -> u32 {
    if marks.contains(&Mark::Code) {
        return FIXED;
    }
    let plain = match letter {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 280,
        ' ' | 'I' | '/' | '\\' => 330,
        'f' | 't' | 'r' | '-' | '(' | ')' | '[' | ']' | '`' | '*' | '"' => 410,
        'm' | 'w' => 930,
        'M' | 'W' | '@' | '%' => 990,
        'A'..='Z' | '&' => 720,
        '\u{0300}'..='\u{036f}' | '\u{200b}'..='\u{200f}' | '\u{fe0f}' => 0,
        '\u{1100}'.. => match letter {
            '\u{2000}'..='\u{206f}' => 620,
            _ => 1_000,
        },
        _ => 615,
    };
    if marks.contains(&Mark::Bold) { plain * 11 / 10 } else { plain }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nobody(_: Mark, _: u64) -> Option<String> {
        None
    }

    fn alice(kind: Mark, number: u64) -> Option<String> {
        (kind == Mark::Member && number == 7).then(|| "@Alice".to_owned())
    }

    /// A line as its pieces with the first letters of their marks.
    fn looks(line: &str) -> Vec<(String, String)> {
        let name = |mark: &Mark| format!("{mark:?}").chars().next().expect("a letter");
        let spans = spans(line, &alice).into_iter();
        spans.map(|span| (span.text, span.marks.iter().map(name).collect())).collect()
    }

    #[test]
    fn marks_say_how_text_looks() {
        let cases: [(&str, &[(&str, &str)]); 9] = [
            ("plain", &[("plain", "")]),
            ("**a** *b* _c_", &[("a", "B"), (" ", ""), ("b", "I"), (" ", ""), ("c", "I")]),
            ("***a*** __b__ ~~c~~", &[("a", "BI"), (" ", ""), ("b", "U"), (" ", ""), ("c", "S")]),
            ("**a *b** c*", &[("a *b", "B"), (" c*", "")]),
            ("`**a**`", &[("**a**", "C")]),
            (r"\*a\* 2 * 3 * 4", &[("*a* 2 * 3 * 4", "")]),
            ("snake_case_name", &[("snake_case_name", "")]),
            ("<@7> <@!7> <@8>", &[("@Alice", "M"), (" ", ""), ("@Alice", "M"), (" <@8>", "")]),
            ("*never closed", &[("*never closed", "")]),
        ];
        for (line, expected) in cases {
            let found = looks(line);
            let found: Vec<(&str, &str)> =
                found.iter().map(|(text, marks)| (text.as_str(), marks.as_str())).collect();
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn a_link_to_a_message_is_read_as_its_channel() {
        let tavern =
            |kind: Mark, number: u64| (kind == Mark::Channel && number == 8).then(|| "#tavern".to_owned());
        let link = "in https://discord.com/channels/1/8/3. https://discord.com/channels/1/9/3";
        let shown = "in #tavern \u{203a} message. https://discord.com/channels/1/9/3";
        assert_eq!(plain(link, &tavern), shown);
    }

    #[test]
    fn lines_begin_blocks() {
        let kinds = |content: &str| -> Vec<String> {
            let blocks = blocks(content, &nobody).into_iter();
            let name = |block: Block| format!("{block:?}").split('(').next().expect("a name").to_owned();
            blocks.map(name).collect()
        };
        let content = "# a\n-# b\n> c\n- d\n2. e\nf";
        assert_eq!(kinds(content), ["Heading", "Small", "Quote", "Item", "Item", "Text"]);
        assert_eq!(kinds("a\n```rust\nb\n\nc\n```\nd"), ["Text", "Code", "Text"]);
        assert_eq!(kinds("a ``` b"), ["Text", "Text"], "what is not closed is no code");
        let code = blocks("```rust\nb\n\nc\n```", &nobody);
        assert_eq!(code, [Block::Code(["b", "", "c"].map(str::to_owned).to_vec())]);
    }

    #[test]
    fn what_is_too_wide_is_cut() {
        assert_eq!(cut("short", 100, 16), "short");
        let cut = cut("a rather long line of text", 100, 16);
        assert!(cut.ends_with('\u{2026}') && width(&cut, 16) <= 100, "{cut}");
        assert_eq!(folded("abcde", 2), ["ab", "cd", "e"]);
        assert_eq!(plain("**a**\n\n> b  c", &nobody), "a > b c");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_there_is_room_and_no_letter_is_lost(text in "[a-zA-Z*_ ]{0,80}", room in 40u32..200) {
            let spans = spans(&text, &nobody);
            let lines = wrapped(&spans, room, 16);
            for line in &lines {
                let wide: u32 = line.iter().flat_map(|span| {
                    span.text.chars().map(|letter| thousandths(letter, &span.marks) * 16)
                }).sum();
                prop_assert!(wide <= room * 1_000);
            }
            let letters = |spans: &[Span]| -> String {
                spans.iter().flat_map(|span| span.text.chars()).filter(|letter| !letter.is_whitespace()).collect()
            };
            prop_assert_eq!(letters(&lines.concat()), letters(&spans));
        }

        #[test]
        fn any_text_can_be_read(text in any::<String>()) {
            blocks(&text, &nobody);
            plain(&text, &nobody);
        }
    }
}
