//! The linter: what of a persona will not be as its author meant, what it costs, and what Discord would refuse.

use std::collections::BTreeSet;

use serde_json::Value;

use super::lorebook::{Entry, Logic, Lore};
use super::{Card, macros};

/// Names that Discord refuses to webhooks, in small letters.
const REFUSED_IN_NAMES: [&str; 2] = ["clyde", "discord"];

/// Most characters of a webhook's name.
const LONGEST_NAME: usize = 80;

/// Tags, in small letters, of cards for adults.
const ADULT_TAGS: [&str; 10] =
    ["nsfw", "adult", "18+", "r18", "r-18", "erotic", "erotica", "explicit", "lewd", "smut"];

/// What other programs' prompts are made of. Mummer makes it harmless, and a model may imitate it all the same.
const TEMPLATE_TEXT: [&str; 10] =
    ["###", "<|", "[INST]", "[/INST]", "<<SYS>>", "</s>", "<s>", "<START>", "USER:", "ASSISTANT:"];

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It plays, though not quite as meant.
    Warning,
    /// It does not play, or Discord refuses it.
    Error,
}

/// One thing that should be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// Where it is.
    pub field: String,
    /// What it is and what to do, in a sentence.
    pub message: String,
}

/// What the findings depend on beside the card.
pub struct Setting<'a> {
    /// Tokens that a prompt may have.
    pub room: usize,
    /// Tokens of a text.
    pub count: &'a dyn Fn(&str) -> usize,
}

/// What the linter says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What each part takes, in tokens, in the order of the prompt. Parts that are empty are left out.
    pub costs: Vec<(String, usize)>,
    /// Tokens that stand in every prompt: all but examples, which go where room is short, greetings, and lore that is called.
    pub always: usize,
    /// What should be looked at.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The gravest finding.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    fn add(&mut self, severity: Severity, field: &str, message: impl Into<String>) {
        self.findings.push(Finding { severity, field: field.to_owned(), message: message.into() });
    }
}

/// Looks at a persona. `lore` is the card's lorebook made ready, `avatar` the bytes of its picture.
#[must_use]
pub fn lint(card: &Card, lore: Option<&Lore>, avatar: Option<&[u8]>, setting: &Setting<'_>) -> Report {
    let mut report = Report::default();
    let texts = texts(card);
    for (field, text) in &texts {
        let tokens = if text.trim().is_empty() { 0 } else { (setting.count)(text) };
        if tokens > 0 {
            report.costs.push((field.clone(), tokens));
        }
        check_text(&mut report, field, text);
    }
    check_cost(&mut report, card, lore, setting);
    check_examples(&mut report, card);
    if card.greeting.trim().is_empty() {
        report.add(Severity::Warning, "greeting", "is missing: the persona has no first words of its own");
    }
    check_discord(&mut report, card, avatar);
    check_tags(&mut report, card);
    if let Some(lore) = lore {
        check_lore(&mut report, lore, setting);
    }
    report
}

/// The texts of a card that may stand in a prompt.
fn texts(card: &Card) -> Vec<(String, &str)> {
    let mut texts: Vec<(String, &str)> = [
        ("system_prompt", &card.system_prompt),
        ("description", &card.description),
        ("personality", &card.personality),
        ("scenario", &card.scenario),
    ]
    .map(|(field, text)| (field.to_owned(), text.as_str()))
    .into();
    let numbered = |field: &str, texts: &'_ [String]| -> Vec<String> {
        (0..texts.len()).map(|number| format!("{field}[{number}]")).collect()
    };
    let fields = numbered("examples", &card.examples);
    texts.extend(fields.into_iter().zip(card.examples.iter().map(String::as_str)));
    texts.extend(card.note.iter().map(|note| ("note".to_owned(), note.text.as_str())));
    texts.push(("post_history".to_owned(), &card.post_history));
    texts.push(("summary_prompt".to_owned(), &card.summary_prompt));
    texts.push(("greeting".to_owned(), &card.greeting));
    let fields = numbered("alternate_greetings", &card.alternate_greetings);
    texts.extend(fields.into_iter().zip(card.alternate_greetings.iter().map(String::as_str)));
    texts
}

fn check_text(report: &mut Report, field: &str, text: &str) {
    let unknown: BTreeSet<String> = macros::unknown(text).into_iter().collect();
    for written in unknown {
        report.add(
            Severity::Warning,
            field,
            format!("has the macro {written}, which is not known and stays as it is"),
        );
    }
    for piece in TEMPLATE_TEXT {
        if text.lines().any(|line| line.trim_start().starts_with(piece)) {
            report.add(
                Severity::Warning,
                field,
                format!("has a line that begins with {piece}: that is a prompt's own text"),
            );
        }
    }
}

fn check_cost(report: &mut Report, card: &Card, lore: Option<&Lore>, setting: &Setting<'_>) {
    if card.description.trim().is_empty() {
        report.add(Severity::Warning, "description", "is missing: nothing says who the persona is");
    }
    let fixed =
        [&card.system_prompt, &card.description, &card.personality, &card.scenario, &card.post_history];
    let fixed = fixed.into_iter().chain(card.note.as_ref().map(|note| &note.text));
    let core: usize = fixed.filter(|text| !text.trim().is_empty()).map(|text| (setting.count)(text)).sum();
    let constant = lore.map_or(0, |lore| {
        let entries = lore.book().entries.iter().enumerate();
        let always =
            entries.filter(|(number, entry)| entry.constant && entry.enabled && lore.can_be_called(*number));
        let tokens = always.map(|(number, _)| (setting.count)(lore.text(number))).sum::<usize>();
        tokens.min(lore.book().budget(setting.room))
    });
    if let Some(lore) = lore {
        if constant > 0 {
            report.costs.push(("lorebook, always".to_owned(), constant));
        }
        report.costs.push(("lorebook, at most".to_owned(), lore.book().budget(setting.room)));
    }
    report.always = core + constant;
    if core >= setting.room {
        let message = format!("takes {core} tokens, and a prompt may have {}: shorten it", setting.room);
        report.add(Severity::Error, "description", message);
    } else if core > setting.room / 2 {
        let message = format!(
            "takes {core} tokens with what goes with it, more than half of the {} that there are",
            setting.room
        );
        report.add(Severity::Warning, "description", message);
    }
}

/// Example dialogue is the persona's and a member's, and nobody else's.
fn check_examples(report: &mut Report, card: &Card) {
    let known = ["{{char}}", "{{user}}", "<char>", "<bot>", "<user>", "user", "you"];
    let is_known = |name: &str| {
        let name = name.trim().to_lowercase();
        known.contains(&name.as_str())
            || name == card.name.to_lowercase()
            || name == card.nickname.to_lowercase()
    };
    for (number, block) in card.examples.iter().enumerate() {
        let field = format!("examples[{number}]");
        let speakers: Vec<&str> = block.lines().filter_map(speaker).collect();
        let others: BTreeSet<&str> = speakers.iter().copied().filter(|name| !is_known(name)).collect();
        for name in others {
            let message = format!(
                "has a line of {name}: write {{{{char}}}} or {{{{user}}}}, or it will speak for others"
            );
            report.add(Severity::Warning, &field, message);
        }
        if !speakers.iter().any(|name| {
            is_known(name) && !matches!(name.to_lowercase().as_str(), "{{user}}" | "<user>" | "user" | "you")
        }) {
            report.add(
                Severity::Warning,
                &field,
                "has no line of {{char}}, from which it could learn to speak",
            );
        }
    }
}

/// Who speaks in a line: a name before a colon, short and without an end of a sentence.
fn speaker(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(':')?;
    let name = name.trim();
    let is_name = !name.is_empty() && name.len() <= 40 && name.split_whitespace().count() <= 4;
    let first = name.chars().next()?;
    (is_name
        && (first.is_uppercase() || matches!(first, '{' | '<'))
        && !name.contains(['.', '!', '?', '*', '"']))
    .then_some(name)
}

fn check_discord(report: &mut Report, card: &Card, avatar: Option<&[u8]>) {
    for (field, name) in [("name", &card.name), ("nickname", &card.nickname)] {
        let folded = name.to_lowercase();
        for word in REFUSED_IN_NAMES.into_iter().filter(|word| folded.contains(word)) {
            let message =
                format!("has the word {word:?}, which Discord refuses in the names of webhooks: change it");
            report.add(Severity::Error, field, message);
        }
        let length = name.chars().count();
        if length > LONGEST_NAME {
            let message = format!("has {length} characters, and Discord allows {LONGEST_NAME}: shorten it");
            report.add(Severity::Error, field, message);
        }
    }
    let Some(avatar) = avatar else { return };
    let kinds: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF"];
    if !kinds.iter().any(|kind| avatar.starts_with(kind)) {
        report.add(
            Severity::Error,
            "avatar",
            "is no PNG, JPEG, GIF or WebP picture, which Discord would take",
        );
    }
    if avatar.len() > LARGEST_AVATAR {
        let message = format!(
            "has {} kB, and Discord takes {}: make it smaller",
            avatar.len() >> 10,
            LARGEST_AVATAR >> 10
        );
        report.add(Severity::Warning, "avatar", message);
    }
}

/// Most bytes of a picture, which is an emoji of the application.
const LARGEST_AVATAR: usize = 256 << 10;

fn check_tags(report: &mut Report, card: &Card) {
    let original = card.original.as_ref();
    let data =
        original.and_then(|original| original.get("data").and_then(Value::as_object).or(Some(original)));
    let tags = data.and_then(|data| data.get("tags")).and_then(Value::as_array);
    let tags: Vec<&str> = tags.into_iter().flatten().filter_map(Value::as_str).collect();
    for tag in tags.iter().filter(|tag| ADULT_TAGS.contains(&tag.trim().to_lowercase().as_str())) {
        report.add(
            Severity::Warning,
            "tags",
            format!("has {tag}: let it play in age-restricted channels only"),
        );
    }
}

/// Entries that can never come, and keys that call nothing.
fn check_lore(report: &mut Report, lore: &Lore, setting: &Setting<'_>) {
    let book = lore.book();
    let budget = book.budget(setting.room);
    for (number, problem) in lore.problems() {
        let message = format!("has the key {:?}, which never matches: {}", problem.key, problem.problem);
        report.add(Severity::Warning, &entry_field(number, &book.entries[number]), message);
    }
    for (number, entry) in book.entries.iter().enumerate().filter(|(_, entry)| entry.enabled) {
        let field = entry_field(number, entry);
        let text = lore.text(number);
        check_text(report, &field, text);
        let mut dead = |why: &str| report.add(Severity::Warning, &field, format!("can never come: {why}"));
        if text.is_empty() {
            dead("it says nothing");
        } else if !lore.can_be_called(number) {
            dead("it has no key that can match, and is not constant, or says @@dont_activate");
        } else if entry.scan_depth == Some(0) && !entry.constant && !book.recursive {
            dead("it looks at no message");
        } else if excludes_itself(entry) {
            dead("its secondary keys forbid what its keys ask for");
        } else if entry.recursion.exclude && entry.recursion.delay_until > 0 {
            dead("it waits for other entries' texts, and does not listen to them");
        } else if entry.probability <= 0.0 {
            dead("its probability is 0");
        } else if entry.recursion.delay_until > 0 && !book.recursive {
            dead("it waits for other entries' texts, and the book does not scan those");
        } else if (setting.count)(text) > budget {
            dead(&format!("it has more tokens than the {budget} that all entries together may have"));
        }
        for decorator in lore.unknown_decorators(number) {
            let message = format!("has the decorator @@{decorator}, which is not known and changes nothing");
            report.add(Severity::Warning, &field, message);
        }
        for key in entry.keys.iter().chain(&entry.secondary_keys).filter(|key| key.contains("{{")) {
            let message = format!("has a macro in the key {key:?}, which is looked for as it is written");
            report.add(Severity::Warning, &field, message);
        }
        for (key, wider) in shadowed(entry) {
            let message =
                format!("has the key {key:?}, which adds nothing: {wider:?} matches wherever it does");
            report.add(Severity::Warning, &field, message);
        }
    }
}

fn entry_field(number: usize, entry: &Entry) -> String {
    if entry.name.trim().is_empty() {
        format!("lorebook.entries[{number}]")
    } else {
        format!("lorebook.entries[{number}] ({})", entry.name.trim())
    }
}

/// Whether whatever calls an entry also forbids it.
fn excludes_itself(entry: &Entry) -> bool {
    let folded = |key: &String| key.trim().to_lowercase();
    let forbidden: Vec<String> = entry.secondary_keys.iter().map(folded).collect();
    entry.selective
        && entry.logic == Logic::NotAny
        && !entry.constant
        && entry.keys.iter().map(folded).all(|key| forbidden.contains(&key))
}

/// Keys are compared with each other up to so many.
const MOST_COMPARED: usize = 200;

/// Keys in which another key of the same entry stands, and that key.
fn shadowed(entry: &Entry) -> Vec<(&str, &str)> {
    if entry.whole_words || entry.keys.len() > MOST_COMPARED {
        return Vec::new();
    }
    let folded: Vec<String> = entry
        .keys
        .iter()
        .map(|key| if entry.case_sensitive { key.trim().to_owned() } else { key.trim().to_lowercase() })
        .collect();
    let is_text = |key: &str| !key.is_empty() && !key.starts_with('/');
    let mut shadowed = Vec::new();
    for (number, key) in folded.iter().enumerate().filter(|(_, key)| is_text(key)) {
        let covers = |&other: &usize| {
            other != number
                && is_text(&folded[other])
                && key.contains(folded[other].as_str())
                // Of two that are the same the first one stays.
                && (folded[other] != *key || other < number)
        };
        if let Some(other) = (0..folded.len()).find(covers) {
            shadowed.push((entry.keys[number].as_str(), entry.keys[other].as_str()));
        }
    }
    shadowed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::persona::Note;
    use crate::persona::lorebook::{Lorebook, Recursion};

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn clean() -> Card {
        Card {
            name: "Ada".to_owned(),
            description: "{{char}} is an engineer.".to_owned(),
            greeting: "Good day.".to_owned(),
            examples: vec!["{{user}}: Hi.\n{{char}}: Hm.".to_owned()],
            ..Card::default()
        }
    }

    fn report(card: &Card, avatar: Option<&[u8]>) -> Report {
        let lore = card.lorebook.clone().map(Lore::new);
        lint(card, lore.as_ref(), avatar, &Setting { room: 100, count: &words })
    }

    fn check(card: &Card, severity: Severity, field: &str, message: &str) {
        let findings = report(card, None).findings;
        let found = findings
            .iter()
            .any(|f| f.severity == severity && f.field == field && f.message.contains(message));
        assert!(found, "{field} {message:?} is not in {findings:?}");
    }

    #[test]
    fn a_clean_card_has_costs_and_no_findings() {
        let report = report(&clean(), Some(b"\x89PNG\r\n\x1a\n"));
        assert_eq!(report.findings, []);
        assert_eq!(report.worst(), None);
        let costs: Vec<(&str, usize)> =
            report.costs.iter().map(|(field, tokens)| (field.as_str(), *tokens)).collect();
        assert_eq!(costs, [("description", 4), ("examples[0]", 4), ("greeting", 2)]);
    }

    #[test]
    fn what_will_not_be_as_meant_is_found() {
        use Severity::{Error, Warning};
        let with = |change: &dyn Fn(&mut Card)| {
            let mut card = clean();
            change(&mut card);
            card
        };
        check(&with(&|card| card.greeting.clear()), Warning, "greeting", "missing");
        check(&with(&|card| card.scenario = "{{getvar::x}}".into()), Warning, "scenario", "{{getvar::x}}");
        check(&with(&|card| card.personality = "x\n ### Instruction:".into()), Warning, "personality", "###");
        check(
            &with(&|card| card.note = Some(Note { text: "<|im_end|>".into(), depth: 4 })),
            Warning,
            "note",
            "<|",
        );
        check(&with(&|card| card.examples[0] += "\nBob: Hi."), Warning, "examples[0]", "line of Bob");
        check(
            &with(&|card| card.examples[0] = "{{user}}: Hi.".into()),
            Warning,
            "examples[0]",
            "no line of {{char}}",
        );
        check(
            &with(&|card| card.alternate_greetings = vec!["{{what}}".into()]),
            Warning,
            "alternate_greetings[0]",
            "what",
        );
        check(&with(&|card| card.name = "Clyde Barrow".into()), Error, "name", "clyde");
        check(&with(&|card| card.name = "A".repeat(81)), Error, "name", "81 characters");
        check(
            &with(&|card| card.description = "word ".repeat(60)),
            Warning,
            "description",
            "half of the 100",
        );
        check(&with(&|card| card.description = "word ".repeat(100)), Error, "description", "may have 100");
        let tagged = json!({"data": {"name": "Ada", "tags": ["cosy", "NSFW"]}}).as_object().cloned();
        check(&with(&|card| card.original.clone_from(&tagged)), Warning, "tags", "NSFW");
        let findings = report(&clean(), Some(b"BM")).findings;
        assert!(findings.iter().any(|finding| finding.field == "avatar" && finding.severity == Error));
        let findings =
            report(&clean(), Some(&[b"\x89PNG\r\n\x1a\n", &vec![0; 300 << 10][..]].concat())).findings;
        assert!(findings.iter().any(|finding| finding.field == "avatar" && finding.severity == Warning));
    }

    #[test]
    fn dead_lore_is_found() {
        let entry = |keys: &[&str], content: &str| Entry {
            keys: keys.iter().map(|&key| key.to_owned()).collect(),
            content: content.to_owned(),
            ..Entry::default()
        };
        for (entry, message) in [
            (entry(&["/(?=x)/"], "x"), "never matches"),
            (entry(&["/(?=x)/"], "x"), "can never come: it has no key"),
            (entry(&[], "x"), "no key that can match"),
            (entry(&["x"], "@@depth 3\n"), "says nothing"),
            (Entry { probability: 0.0, ..entry(&["x"], "x") }, "probability is 0"),
            (
                Entry {
                    recursion: Recursion { delay_until: 1, ..Recursion::default() },
                    ..entry(&["x"], "x")
                },
                "does not scan",
            ),
            (entry(&["x"], &"word ".repeat(26)), "more tokens than the 25"),
            (entry(&["Moonlight", "moon"], "x"), "\"Moonlight\", which adds nothing: \"moon\""),
            (entry(&["moon", "moon"], "x"), "adds nothing"),
            (entry(&["x"], "{{what}}"), "{{what}}"),
            (entry(&["x"], "@@dont_activate\nx"), "@@dont_activate"),
            (entry(&["x"], "@@sparkle 3\nx"), "@@sparkle 3, which is not known"),
            (entry(&["{{user}}"], "x"), "macro in the key"),
            (Entry { scan_depth: Some(0), ..entry(&["x"], "x") }, "no message"),
            (
                Entry {
                    selective: true,
                    logic: Logic::NotAny,
                    secondary_keys: vec!["X".to_owned()],
                    ..entry(&["x"], "x")
                },
                "forbid",
            ),
        ] {
            let card =
                Card { lorebook: Some(Lorebook { entries: vec![entry], ..Lorebook::default() }), ..clean() };
            check(&card, Severity::Warning, "lorebook.entries[0]", message);
        }
        let fine = [
            Entry { constant: true, ..entry(&[], "x") },
            entry(&[], "@@activate\nx"),
            Entry { enabled: false, ..entry(&[], "") },
            Entry { whole_words: true, ..entry(&["moonlight", "moon"], "x") },
            entry(&["moon", "sun"], "x"),
        ];
        let card =
            Card { lorebook: Some(Lorebook { entries: fine.into(), ..Lorebook::default() }), ..clean() };
        assert_eq!(report(&card, None).findings, []);
    }
}
