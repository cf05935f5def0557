//! Macros in the texts of cards and lorebooks, as SillyTavern and the specification of cards V3 have them. Member text
//! never comes here, and what a macro stands for is not looked at again.

use time::OffsetDateTime;

use super::Card;
use super::dice::Dice;

/// Texts of a card may stand in each other, so deep and no deeper.
const DEEPEST: usize = 4;

/// Macros may stand in each other, so deep and no deeper.
const MOST_NESTED: usize = 32;

/// Longest text that macros may make, in bytes; what would be longer stays as it is written.
const LONGEST: usize = 256 << 10;

/// Most macros of a text, those in texts that macros stand for counted too, and the longest of them, in bytes.
const MOST_MACROS: usize = 10_000;
const LONGEST_MACRO: usize = 16 << 10;

/// What macros stand for.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The persona's name: `{{char}}`.
    pub char: &'a str,
    /// The member's name: `{{user}}`.
    pub user: &'a str,
    /// Names of the personas that play together, with commas: `{{group}}`. For one that plays alone it is its own.
    pub group: &'a str,
    /// The card whose texts `{{description}}` and others stand for.
    pub card: Option<&'a Card>,
    /// What stands here when the card says nothing: `{{original}}`.
    pub original: &'a str,
    /// The newest message: `{{lastMessage}}`.
    pub last_message: &'a str,
    /// What chance follows. The same seed rolls the same dice.
    pub chance: Chance,
    /// The time, in seconds since 1970: clocks are read in UTC.
    pub now: u64,
}

/// Seeds for a text. Equal texts in two places of a prompt draw differently.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chance {
    /// For `{{random}}` and `{{roll}}`.
    pub passing: u64,
    /// For `{{pick}}`, which stays the same in a conversation.
    pub lasting: u64,
}

impl<'a> Context<'a> {
    /// Where two names are all that is known.
    #[must_use]
    pub fn of_names(char: &'a str, user: &'a str) -> Self {
        let (card, chance) = (None, Chance::default());
        Self { char, user, group: char, card, original: "", last_message: "", chance, now: 0 }
    }
}

impl Chance {
    /// The seeds for a place of the prompt.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        let digest = |seed: u64| place.bytes().fold(seed, |sum, byte| super::random(sum ^ u64::from(byte)));
        Self { passing: digest(self.passing), lasting: digest(self.lasting) }
    }
}

/// Replaces all macros that are known. The others stay as they are written.
#[must_use]
pub fn expand(text: &str, context: Context<'_>) -> String {
    Expansion::new(context).expand(text, 0)
}

/// Whether a text draws lots, reads a clock or names others who play: in another conversation it would be another one.
#[must_use]
pub fn varies(text: &str, card: &Card) -> bool {
    let mut expansion = Expansion::new(Context { card: Some(card), ..Context::of_names("", "") });
    expansion.expand(text, 0);
    expansion.varies
}

/// The macros of a text that are not known, as they are written.
#[must_use]
pub fn unknown(text: &str) -> Vec<String> {
    let mut expansion = Expansion::new(Context::of_names("", ""));
    expansion.expand(text, 0);
    expansion.unknown
}

/// One text that is being expanded.
struct Expansion<'a> {
    context: Context<'a>,
    /// Bytes that may still be written, and macros that may still be read.
    room: usize,
    left: usize,
    /// How many macros stand around what is being expanded.
    nested: usize,
    /// Whether it could be another text in another conversation with the same persona.
    varies: bool,
    /// How many macros have drawn a lot.
    drawn: u64,
    unknown: Vec<String>,
}

impl<'a> Expansion<'a> {
    fn new(context: Context<'a>) -> Self {
        let unknown = Vec::new();
        Self { context, room: LONGEST, left: MOST_MACROS, nested: 0, varies: false, drawn: 0, unknown }
    }

    fn expand(&mut self, text: &str, depth: usize) -> String {
        if self.nested > MOST_NESTED {
            return text.to_owned();
        }
        self.nested += 1;
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(['{', '<']) {
            let (before, at) = rest.split_at(start);
            expanded.push_str(before);
            rest = match self.macro_at(at, depth) {
                Some((value, after)) if value == TRIM => {
                    expanded.truncate(expanded.trim_end_matches('\n').len());
                    after.trim_start_matches('\n')
                }
                Some((value, after)) if value.len() <= self.room => {
                    self.room -= value.len();
                    expanded.push_str(&value);
                    after
                }
                _ => {
                    expanded.push_str(&at[..1]);
                    &at[1..]
                }
            };
        }
        expanded.push_str(rest);
        self.nested -= 1;
        expanded
    }

    /// What the macro at the beginning of a text stands for, and what follows it.
    fn macro_at<'t>(&mut self, text: &'t str, depth: usize) -> Option<(String, &'t str)> {
        if let Some(after) = text.strip_prefix("{{") {
            self.left = self.left.checked_sub(1)?;
            let end = closing(after)?;
            let value = self.value(&after[..end], depth);
            if value.is_none() && !after.starts_with('{') {
                self.unknown.push(text[..end + 4].to_owned());
            }
            return Some((value?, &after[end + 2..]));
        }
        let names =
            [("<bot>", self.context.char), ("<char>", self.context.char), ("<user>", self.context.user)];
        names.into_iter().find_map(|(written, name)| {
            let head = text.get(..written.len())?;
            head.eq_ignore_ascii_case(written).then(|| (name.to_owned(), &text[written.len()..]))
        })
    }

    /// What stands for the macro with these words between its braces.
    fn value(&mut self, inner: &str, depth: usize) -> Option<String> {
        let inner = inner.trim();
        if inner.starts_with("//") {
            return Some(String::new());
        }
        let end = inner.find(|c: char| c == ':' || c.is_whitespace()).unwrap_or(inner.len());
        let (name, arguments) = inner.split_at(end);
        let name = name.to_ascii_lowercase();
        if arguments.is_empty() {
            return self.plain(&name, depth);
        }
        let argument = arguments.trim_start_matches(|c: char| c == ':' || c.is_whitespace());
        match name.as_str() {
            "comment" | "hidden_key" => Some(String::new()),
            "reverse" => Some(self.expand(argument, depth).chars().rev().collect()),
            "random" | "pick" => {
                let seed =
                    if name == "pick" { self.context.chance.lasting } else { self.context.chance.passing };
                let choices = choices(arguments);
                let count = choices.len() as u64;
                let lot = usize::try_from(self.draw(seed) % count).unwrap_or(0);
                Some(self.expand(choices.get(lot)?.trim(), depth))
            }
            "roll" => self.roll(argument).map(|sum| sum.to_string()),
            _ => None,
        }
    }

    /// A macro without arguments.
    fn plain(&mut self, name: &str, depth: usize) -> Option<String> {
        let context = self.context;
        let of_card = |text: fn(&Card) -> String| context.card.map(text).unwrap_or_default();
        let text = match name {
            "char" => return Some(context.char.to_owned()),
            "user" => return Some(context.user.to_owned()),
            "group" | "charifnotgroup" => {
                self.varies = true;
                return Some(context.group.to_owned());
            }
            "lastmessage" => return Some(context.last_message.to_owned()),
            "newline" => return Some("\n".to_owned()),
            "trim" => return Some(TRIM.to_owned()),
            "time" | "date" | "weekday" | "isotime" | "isodate" => {
                self.varies = true;
                return clock(name, context.now);
            }
            "original" => context.original.to_owned(),
            "description" => of_card(|card| card.description.clone()),
            "personality" => of_card(|card| card.personality.clone()),
            "scenario" => of_card(|card| card.scenario.clone()),
            "mesexamples" => of_card(|card| card.examples.join("\n")),
            // What a member says of their own character; nobody has one yet.
            "persona" => String::new(),
            _ => return None,
        };
        (depth < DEEPEST && text.len() <= self.room).then(|| self.expand(&text, depth + 1))
    }

    /// The sum of dice `2d6+1`; a number alone is that many sides.
    fn roll(&mut self, dice: &str) -> Option<i64> {
        let dice = Dice::parse(dice)?;
        let seed = self.context.chance.passing;
        let shown = dice.roll(|| self.draw(seed));
        dice.total(&shown)
    }

    /// The next lot.
    fn draw(&mut self, seed: u64) -> u64 {
        self.drawn += 1;
        self.varies = true;
        super::random(seed ^ super::random(self.drawn))
    }
}

/// What `{{trim}}` stands for until the line breaks around it are gone. No text has it.
const TRIM: &str = "\0trim";

/// Where the braces close that were opened before this text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    let mut at = 0;
    loop {
        let braces = at + text[at..].find(['{', '}']).filter(|_| at <= LONGEST_MACRO)?;
        let here = &text[braces..];
        if here.starts_with("{{") {
            open += 1;
            at = braces + 2;
        } else if here.starts_with("}}") {
            open -= 1;
            if open == 0 {
                return Some(braces);
            }
            at = braces + 2;
        } else {
            at = braces + 1;
        }
    }
}

/// What there is to choose from: `::a::b`, or `:a,b` in which `\,` is no border. Macros within are left whole.
fn choices(arguments: &str) -> Vec<String> {
    let (arguments, border) = match arguments.strip_prefix("::") {
        Some(arguments) => (arguments, "::"),
        None => (arguments.trim_start_matches(|c: char| c == ':' || c.is_whitespace()), ","),
    };
    let mut choices = vec![String::new()];
    let mut rest = arguments;
    let mut open = 0_usize;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        let mut text = &rest[..taken];
        if rest.starts_with("{{") || rest.starts_with("}}") {
            open = if c == '{' { open + 1 } else { open.saturating_sub(1) };
            taken = 2;
            text = &rest[..2];
        } else if open == 0 && border == "," && rest.starts_with("\\,") {
            taken = 2;
            text = ",";
        } else if open == 0 && rest.starts_with(border) {
            choices.push(String::new());
            rest = &rest[border.len()..];
            continue;
        }
        if let Some(last) = choices.last_mut() {
            last.push_str(text);
        }
        rest = &rest[taken..];
    }
    choices
}

/// The clock and the calendar.
fn clock(name: &str, now: u64) -> Option<String> {
    let now = OffsetDateTime::from_unix_timestamp(i64::try_from(now).ok()?).ok()?;
    let (hour, minute) = (now.hour(), now.minute());
    Some(match name {
        "time" => {
            let half = if hour < 12 { "AM" } else { "PM" };
            format!("{}:{minute:02} {half}", (hour + 11) % 12 + 1)
        }
        "date" => format!("{} {}, {}", now.month(), now.day(), now.year()),
        "weekday" => now.weekday().to_string(),
        "isotime" => format!("{hour:02}:{minute:02}"),
        _ => now.date().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The twenty-seventh of November 2026, a Friday, at five past three in the afternoon.
    const NOW: u64 = 1_795_791_900;

    fn context(card: Option<&Card>) -> Context<'_> {
        Context {
            char: "Hermes",
            user: "{{char}} Bob",
            group: "Hermes, Ada",
            card,
            original: "Be kind, {{char}}.",
            last_message: "hi {{char}}",
            chance: Chance { passing: 1, lasting: 2 },
            now: NOW,
        }
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(expand(text, context(None)), expected, "{text}");
    }

    #[test]
    fn names_are_inserted_whatever_the_case() {
        check("{{char}}, {{ CHAR }} and {{Char}}", "Hermes, Hermes and Hermes");
        check("<BOT> <char> <User>", "Hermes Hermes {{char}} Bob");
        check("{{group}} {{charIfNotGroup}}", "Hermes, Ada Hermes, Ada");
        check("<bo <b> < {", "<bo <b> < {");
    }

    #[test]
    fn what_was_inserted_is_not_expanded_again() {
        check("{{user}}!", "{{char}} Bob!");
        check("{{lastMessage}}", "hi {{char}}");
        check("{{random::{{user}}}}", "{{char}} Bob");
        check("{{reverse:{{user}}}}", "boB }}rahc{{");
    }

    #[test]
    fn unknown_and_broken_macros_stay() {
        check("{{getvar::x}} {{char {{{char}}}} }} {{", "{{getvar::x}} {{char {Hermes}} }} {{");
        check("{{roll:2d}} {{roll:0d6}} {{roll:d6d6}}", "{{roll:2d}} {{roll:0d6}} {{roll:d6d6}}");
        check("{{unknown {{char}}}}", "{{unknown Hermes}}");
        assert_eq!(
            unknown("{{char}} {{getvar::x}} {{ What? }} {{roll:x}}"),
            ["{{getvar::x}}", "{{ What? }}", "{{roll:x}}"]
        );
        assert_eq!(unknown("{{random::a::b}} <USER> {not} {{// {{x}} }}"), [""; 0]);
    }

    #[test]
    fn macros_in_each_other_end_somewhere() {
        let nested = |depth: usize| format!("{}x{}", "{{reverse:".repeat(depth), "}}".repeat(depth));
        check(&nested(30), "x");
        let deep = "{{pick::".repeat(1_700);
        let text = format!("{deep}{{{{personality}}}}{}", "}}".repeat(1_700));
        let card = Card {
            description: text.replace("personality", "scenario"),
            personality: text.replace("personality", "mesExamples"),
            scenario: text.clone(),
            ..Card::default()
        };
        // No thread has less.
        let small = std::thread::Builder::new().stack_size(1 << 20);
        let expanded = small.spawn(move || expand(&card.description, context(Some(&card))).len());
        assert!(expanded.expect("it starts").join().expect("it ends") > 0);
    }

    #[test]
    fn what_may_differ_is_known() {
        let card = Card { scenario: "{{random::a::b}}".to_owned(), ..Card::default() };
        for text in [
            "{{random::a}}",
            "{{roll:d6}}",
            "{{time}}",
            "{{group}}",
            "{{scenario}}",
            "{{reverse:{{pick::a}}}}",
        ] {
            assert!(varies(text, &card), "{text}");
        }
        assert!(!varies("{{char}} {{user}} {{newline}} {{description}}", &card));
    }

    #[test]
    fn comments_go_and_white_space_is_made_and_taken() {
        check("a{{// nobody sees this }}b{{comment: nor this}}c{{hidden_key:x}}d", "abcd");
        check("a{{newline}}b", "a\nb");
        check("a\n\n{{trim}}\n\nb", "ab");
        check("{{reverse:abc}}", "cba");
    }

    #[test]
    fn texts_of_the_card_stand_in_others() {
        let card = Card {
            description: "{{char}} is dry.".to_owned(),
            personality: "{{description}} Very.".to_owned(),
            scenario: "{{scenario}}".to_owned(),
            examples: vec!["a".to_owned(), "b".to_owned()],
            ..Card::default()
        };
        let expanded = |text: &str| expand(text, context(Some(&card)));
        assert_eq!(expanded("{{personality}} {{original}}"), "Hermes is dry. Very. Be kind, Hermes.");
        assert_eq!(expanded("{{mesExamples}}{{persona}}"), "a\nb");
        assert_eq!(expanded("{{scenario}}"), "{{scenario}}", "it would never end");
    }

    #[test]
    fn the_time_is_told() {
        check("{{time}} {{isotime}}", "3:05 PM 15:05");
        check("{{date}} {{isodate}} {{weekday}}", "November 27, 2026 2026-11-27 Friday");
    }

    #[test]
    fn chance_follows_its_seeds() {
        let with = |text: &str, passing, lasting| {
            expand(text, Context { chance: Chance { passing, lasting }, ..context(None) })
        };
        let all = |text: &str, vary: &dyn Fn(u64) -> (u64, u64)| {
            let mut seen: Vec<String> = (0..200).map(vary).map(|(p, l)| with(text, p, l)).collect();
            seen.sort();
            seen.dedup();
            seen
        };
        let passing = |seed| (seed, 0);
        let lasting = |seed| (0, seed);
        assert_eq!(all("{{random:a,b\\,c, d}}", &passing), ["a", "b,c", "d"]);
        assert_eq!(all("{{random::a, b::c}}", &passing), ["a, b", "c"]);
        assert_eq!(all("{{random::{{char}}::{{random:x,y}}}}", &passing), ["Hermes", "x", "y"]);
        assert_eq!(all("{{random::a::b}}", &lasting).len(), 1);
        assert_eq!(all("{{pick::a::b}}", &lasting), ["a", "b"]);
        assert_eq!(all("{{pick::a::b}}", &passing).len(), 1);
        assert_eq!(all("{{roll:d4}}", &passing), ["1", "2", "3", "4"]);
        assert_eq!(all("{{roll 3}}", &passing), ["1", "2", "3"]);
        assert_eq!(all("{{roll:2d2 + 1}}", &passing), ["3", "4", "5"]);
        assert_eq!(all("{{roll:1d1-5}}", &passing), ["-4"]);
        assert_eq!(all("{{random:a,b}}{{random:a,b}}", &passing).len(), 4, "each draws its own");
        let chance = Chance { passing: 1, lasting: 1 };
        assert_ne!(chance.at("description").lasting, chance.at("scenario").lasting);
    }

    proptest! {
        #[test]
        fn whatever_is_written_comes_to_an_end(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "{{", "}}", "{", "}", "char", "random::", "::", ",", "\\,", "pick:", "roll:", "d6", "reverse:", "trim",
                "description", "scenario", "//", "<user>", "é", "\n",
            ]), 0..40),
        ) {
            let text = pieces.concat();
            let card = Card { description: text.clone(), scenario: text.clone(), ..Card::default() };
            let expanded = expand(&text, context(Some(&card)));
            prop_assert!(expanded.len() <= 2 * LONGEST);
            prop_assert!(!expanded.contains('\0'));
        }
    }

    #[test]
    fn texts_that_call_each_other_many_times_take_little_time() {
        let card = Card {
            description: "{{personality}}".repeat(1_000),
            personality: "{{scenario}}".repeat(1_000),
            scenario: "{{// nothing }}".repeat(1_000),
            ..Card::default()
        };
        assert!(expand("{{description}}", context(Some(&card))).len() <= 2 * LONGEST);
        assert!(expand(&"{{".repeat(1_000_000), context(None)).starts_with("{{"));
        assert!(!expand(&card.description.repeat(100), context(Some(&card))).is_empty());
    }
}
