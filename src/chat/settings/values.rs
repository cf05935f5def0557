//! The values of settings, as admins write them.

use super::rules::Answers;
use crate::chat::blocklist::Blocklist;
use crate::persona::SamplingWish;

/// Most phrases that are blocked, and most characters of each.
const PHRASES_MAX: usize = 50;
const PHRASE_MAX: usize = 100;

/// Programs that post members' messages anew, and the ids under which Discord knows them.
const PROXIES: [(&str, u64); 2] =
    [("PluralKit", 466_378_653_216_014_359), ("Tupperbox", 431_544_605_209_788_416)];

pub(super) const ON_OR_OFF: [&str; 2] = ["on", "off"];

/// What is answered, as it is written: in channels, and in threads.
pub(super) const ANSWERS: [(&str, Answers, Answers); 5] = [
    ("mentions", Answers::Mentions, Answers::Mentions),
    ("mentions_only", Answers::MentionsOnly, Answers::MentionsOnly),
    ("threads", Answers::Mentions, Answers::Everything),
    ("everything", Answers::Everything, Answers::Everything),
    ("nothing", Answers::Nothing, Answers::Nothing),
];

/// How daring replies are. What a preset leaves open is the persona's, or the operator's.
pub(super) const PRESETS: [(&str, SamplingWish); 4] = [
    ("precise", preset(0.2, 40, 0.9, 0.1)),
    ("balanced", OPEN),
    ("creative", preset(1.1, 0, 1.0, 0.05)),
    ("wild", preset(1.5, 0, 1.0, 0.02)),
];

const OPEN: SamplingWish = SamplingWish {
    temperature: None,
    top_k: None,
    top_p: None,
    min_p: None,
    repetition_penalty: None,
    repetition_window: None,
    frequency_penalty: None,
    presence_penalty: None,
    max_tokens: None,
};

const fn preset(temperature: f32, top_k: usize, top_p: f32, min_p: f32) -> SamplingWish {
    SamplingWish {
        temperature: Some(temperature),
        top_k: Some(top_k),
        top_p: Some(top_p),
        min_p: Some(min_p),
        ..OPEN
    }
}

/// An id, bare or with the mark before it that makes it a mention. Some clients write members as `<@!1`.
pub(super) fn id(word: &str, mark: &str) -> Option<u64> {
    let marked = word.strip_prefix(mark);
    let bare = marked.map_or(word, |bare| if mark == "<@" { bare.trim_start_matches('!') } else { bare });
    bare.parse().ok().filter(|id| *id != 0)
}

/// The id of a program, which is written by its name when it is a known one.
pub(super) fn application(word: &str) -> Option<u64> {
    let known = PROXIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    known.map(|(_, id)| *id).or_else(|| id(word, "<@"))
}

/// A program by its name, or its id where it has none here.
pub(super) fn application_name(id: &str) -> String {
    let known = PROXIES.iter().find(|(_, known)| known.to_string() == id);
    known.map_or(id, |(name, _)| name).to_owned()
}

/// Phrases with commas between them; `None` when there is none, when there are too many, and when one is too long or has
/// nothing to see in it.
pub(super) fn phrases(words: &str) -> Option<Vec<String>> {
    let phrases = words.split([',', '\n']).map(str::trim).filter(|phrase| !phrase.is_empty());
    let phrases: Vec<String> = phrases.map(str::to_owned).collect();
    let makes_sense = |phrase: &String| {
        phrase.chars().count() <= PHRASE_MAX && !Blocklist::new([phrase.as_str()]).is_empty()
    };
    ((1..=PHRASES_MAX).contains(&phrases.len()) && phrases.iter().all(makes_sense)).then_some(phrases)
}
