//! A scene in `SillyTavern`'s form, and back: a file of JSON lines, the head first, then one message a line. What the file
//! has beside that and Mummer knows nothing of is kept where it stood, so that a file that was read is written whole.
//!
//! Sources: `SillyTavern`'s chats as it writes them, and its own readers of older ones.

mod dates;
mod ours;
mod taking_in;
mod taking_out;

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::history::{TURNS_MAX, TurnKind};
use super::sanitize;
use crate::persona::lorebook::USUAL_DEPTH;
use crate::persona::{Note, PersonaId};

pub use dates::LATEST;
pub use ours::{Character, Role};

/// Largest chat, in bytes.
pub const LARGEST_CHAT: usize = 8 << 20;

/// Largest text of a message, in bytes.
pub const LARGEST_TEXT: usize = 64 << 10;

/// Most ways to say one thing.
pub const MOST_WAYS: usize = 50;

/// Most bytes of what another program says of a message beside its text, and of the whole chat, as JSON.
pub const LARGEST_REST: usize = 16 << 10;

/// Where only Mummer knows what it means: in a message's `extra`, and in `chat_metadata`.
const OURS: &str = "mummer";

/// What `extra` calls narration, and what Mummer calls a note there.
const NARRATOR: &str = "narrator";
const NOTE: &str = "note";

/// What newer versions write for a name in the head.
const UNUSED: &str = "unused";

/// Most names under which lines of a chat are said.
pub const NAMES_MAX: usize = 100;

/// What stands for names that a chat does not tell, and for those that are too many.
const SOMEBODY: &str = "Somebody";
const USER: &str = "User";
const CHARACTER: &str = "Character";

/// The pictures that `SillyTavern` has for whoever tells the story, and for what is said beside it.
const NARRATORS_PICTURE: &str = "img/five.png";
const NOTES_PICTURE: &str = "img/quill.png";

/// Keys that make the first line a head.
const OF_THE_HEAD: [&str; 4] = ["user_name", "character_name", "create_date", "chat_metadata"];

/// A scene as it can be taken home.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// Name of the member that it is about.
    pub user: String,
    /// Name of the persona that it is about.
    pub character: String,
    /// When it began, in seconds since 1970.
    pub created: u64,
    /// Where it takes place; empty where the persona's own scenario counts.
    pub scenario: String,
    /// The author's note.
    pub note: Option<Note>,
    /// Under which title it is found; empty where no Mummer has written the file.
    pub title: String,
    /// Who plays, in the order of their turns, also those who have not spoken yet; empty where no Mummer has written the file.
    pub cast: Vec<Role>,
    /// Characters that members play, and what there is to know of them. Of the head's user there is nothing where nothing is known.
    pub players: Vec<Character>,
    /// What was said, oldest first.
    pub lines: Vec<Line>,
    /// Whether its beginning is not kept.
    pub is_cut: bool,
    /// What else the head has. What Mummer does not know of `chat_metadata` stands under that key.
    pub rest: Map<String, Value>,
}

/// One thing that was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Name of whoever said it.
    pub name: String,
    /// In which part.
    pub who: Who,
    /// The persona that said it, if one of Mummer's did: what a file says of it need not be true.
    pub persona: Option<PersonaId>,
    /// When it was said, in seconds since 1970.
    pub said: u64,
    /// The ways to say it; never empty.
    pub ways: Vec<String>,
    /// Which of them is shown.
    pub selected: usize,
    /// What else it has. What Mummer does not know of `extra` stands under that key.
    pub rest: Map<String, Value>,
}

/// In which part something was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A member said it.
    User,
    /// A character said it.
    Character,
    /// It tells what happens.
    Narrator,
    /// A fact for Mummer's model. Other programs hide it from theirs.
    Note,
    /// What somebody has hidden from the model in another program, or said to readers alone.
    Hidden,
}

/// A file that is no chat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// More bytes than there may be.
    #[error("the chat is larger than {} MB; leave out its oldest messages", LARGEST_CHAT >> 20)]
    TooLarge,
    /// There is nothing in it.
    #[error("the chat is empty; export it again")]
    Empty,
    /// A line is not JSON.
    #[error("line {line} of the chat is not JSON ({problem}); export it again")]
    Json {
        /// Which line.
        line: usize,
        /// What the parser says.
        problem: String,
    },
    /// A line is no message.
    #[error("line {line} of the chat is no message: it has no text `mes`")]
    NoMessage {
        /// Which line.
        line: usize,
    },
    /// A way to say something is no text.
    #[error("line {line} of the chat cannot be read: one of its `swipes` is no text")]
    NoText {
        /// Which line.
        line: usize,
    },
    /// More bytes of text than there may be.
    #[error("line {line} of the chat has a text of more than {} KB; shorten it", LARGEST_TEXT >> 10)]
    TooLong {
        /// Which line.
        line: usize,
    },
}

impl Chat {
    /// Reads a chat, and says what of it is not kept.
    ///
    /// # Errors
    /// [`ChatError`] in a sentence that names the line.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Vec<String>), ChatError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).zip(1..);
        let lines: Vec<(&[u8], usize)> = lines.filter(|(line, _)| !line.is_empty()).collect();
        let &(first, number) = lines.first().ok_or(ChatError::Empty)?;
        if first.len() > LARGEST_CHAT {
            return Err(ChatError::TooLarge);
        }
        let first = object(first, number)?;
        let has_head = !first.contains_key("mes") && OF_THE_HEAD.iter().any(|key| first.contains_key(*key));
        let (head, messages) = if has_head { (first, &lines[1..]) } else { (Map::new(), &lines[..]) };

        let mut remarks = Vec::new();
        let surplus = messages.len().saturating_sub(TURNS_MAX);
        if surplus > 0 {
            remarks
                .push(format!("its oldest {surplus} messages are not kept: a scene has at most {TURNS_MAX}"));
        }
        // What is not kept may be as large as it likes.
        let kept = messages[surplus..].iter().map(|(line, _)| line.len()).sum::<usize>();
        if kept + lines[0].0.len() > LARGEST_CHAT {
            return Err(ChatError::TooLarge);
        }
        let mut chat = Self::of_head(head, &mut remarks);
        chat.is_cut = surplus > 0;
        let created = chat.rest.get("create_date").and_then(dates::read);
        // What does not say when it was said was said with what stands before it.
        let mut before = created.unwrap_or(0);
        let (mut lost, mut cut) = (0, 0);
        for &(line, number) in &messages[surplus..] {
            let (mut line, surplus) = Line::read(object(line, number)?, number, before)?;
            before = line.said;
            lost += surplus;
            cut += usize::from(line.lighten());
            chat.lines.push(line);
        }
        if lost > 0 {
            remarks.push(format!("{lost} of its swipes are not kept: a message has at most {MOST_WAYS}"));
        }
        let most = LARGEST_REST >> 10;
        if cut > 0 {
            remarks.push(format!(
                "of {cut} of its messages only the text is kept: what another program says of them is larger than {most} KB"
            ));
        }
        chat.created = created.or(chat.lines.first().map(|line| line.said)).unwrap_or(0);
        forget_usual(&mut chat.rest, &usual_of_heads(chat.created));
        if is_too_large(&chat.rest) {
            chat.rest.clear();
            remarks.push(format!(
                "what another program says of the whole chat is not kept: it is larger than {most} KB"
            ));
        }
        chat.name_everybody();
        let unnamed = chat.bound_names();
        if unnamed > 0 {
            remarks.push(format!(
                "who has said {unnamed} of its messages is not kept: a scene from elsewhere has at most {NAMES_MAX} names"
            ));
        }
        Ok((chat, remarks))
    }

    /// What a head says, but for when it began.
    fn of_head(mut head: Map<String, Value>, remarks: &mut Vec<String>) -> Self {
        let mut more = take_object(&mut head, "chat_metadata");
        let mut ours = take_object(&mut more, OURS);
        let title = ours::take_title(&mut ours);
        let (cast, players) = (ours::take_cast(&mut ours, remarks), ours::take_players(&mut ours, remarks));
        put_object(&mut more, OURS, ours);
        let mut name = |key: &str| {
            let name = take_text(&mut head, key).unwrap_or_default();
            head.remove(key);
            if name == UNUSED { String::new() } else { name }
        };
        let (user, character) = (name("user_name"), name("character_name"));
        let scenario = take_text(&mut more, "scenario").unwrap_or_default();
        let is_used = more.get("note_interval").and_then(Value::as_u64) != Some(0);
        let is_said =
            more.get("note_prompt").and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
        let note = (is_used && is_said).then(|| {
            let depth = more.remove("note_depth").and_then(|depth| usize::try_from(depth.as_u64()?).ok());
            forget_usual(&mut more, &usual_of_notes());
            let text = take_text(&mut more, "note_prompt").unwrap_or_default();
            Note { text, depth: depth.unwrap_or(USUAL_DEPTH) }
        });
        put_object(&mut head, "chat_metadata", more);
        let (lines, created) = (Vec::new(), 0);
        let is_cut = false;
        Self { user, character, created, scenario, note, title, cast, players, lines, is_cut, rest: head }
    }

    /// Gives a name to whoever has none.
    fn name_everybody(&mut self) {
        for (name, who) in [(&mut self.user, Who::User), (&mut self.character, Who::Character)] {
            if name.trim().is_empty() {
                *name = name_of(who, &self.lines);
            }
        }
        for line in self.lines.iter_mut().filter(|line| line.name.trim().is_empty()) {
            let name = if line.who == Who::User { &self.user } else { &self.character };
            line.name.clone_from(name);
        }
    }

    /// Lets those who speak first keep their names, and gives one to all who are too many. How many messages those have.
    fn bound_names(&mut self) -> usize {
        let mut names = HashSet::new();
        let mut unnamed = 0;
        for line in &mut self.lines {
            if !names.contains(&line.name) {
                if names.len() < NAMES_MAX {
                    names.insert(line.name.clone());
                } else {
                    SOMEBODY.clone_into(&mut line.name);
                    unnamed += 1;
                }
            }
        }
        unnamed
    }

    /// The chat as a file of `SillyTavern`.
    #[must_use]
    pub fn to_jsonl(&self) -> String {
        let mut head = self.rest.clone();
        let mut more = take_object(&mut head, "chat_metadata");
        if !self.scenario.is_empty() {
            more.insert("scenario".to_owned(), json!(self.scenario));
        }
        if let Some(Note { text, depth }) = &self.note {
            // One that is off is another one.
            if more.get("note_interval") == Some(&json!(0)) {
                more.remove("note_interval");
            }
            more.extend([("note_prompt".to_owned(), json!(text)), ("note_depth".to_owned(), json!(depth))]);
            add_usual(&mut more, usual_of_notes());
        }
        let mut ours = take_object(&mut more, OURS);
        self.put_ours(&mut ours);
        put_object(&mut more, OURS, ours);
        head.extend([
            ("user_name".to_owned(), json!(self.user)),
            ("character_name".to_owned(), json!(self.character)),
            ("chat_metadata".to_owned(), Value::Object(more)),
        ]);
        forget_other_date(&mut head, "create_date", self.created);
        add_usual(&mut head, usual_of_heads(self.created));
        let lines = self.lines.iter().map(Line::write);
        let lines: Vec<String> =
            [head].into_iter().chain(lines).map(|line| json!(line).to_string()).collect();
        lines.join("\n")
    }

    /// The chat as it is read: who said what, narration without a name, and notes in brackets.
    #[must_use]
    pub fn to_text(&self) -> String {
        let says_something = |line: &&Line| !sanitize::is_blank(line.shown());
        let lines = self.lines.iter().filter(says_something).map(|line| {
            let text = line.shown().trim();
            match line.who {
                Who::User | Who::Character | Who::Hidden => format!("{}: {text}\n", line.name),
                Who::Narrator => format!("{text}\n"),
                Who::Note => format!("[{text}]\n"),
            }
        });
        lines.collect::<Vec<String>>().join("\n")
    }
}

impl Line {
    /// The way that is shown.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.ways.get(self.selected).or(self.ways.last()).map_or("", String::as_str)
    }

    /// Leaves out what another program says of it, but for whose it is, where that is too large. Whether it was.
    fn lighten(&mut self) -> bool {
        let is_too_large = is_too_large(&self.rest);
        if is_too_large {
            self.rest.retain(|key, value| key == "is_user" && value.is_boolean());
        }
        is_too_large
    }

    /// Reads a message, and says how many of its ways are not kept.
    fn read(mut object: Map<String, Value>, number: usize, before: u64) -> Result<(Self, usize), ChatError> {
        let Ways { texts, selected, lost } = take_ways(&mut object, number)?;
        let mut extra = take_object(&mut object, "extra");
        let mut ours = take_object(&mut extra, OURS);
        let is = |key: &str| object.get(key) == Some(&json!(true));
        let has = |map: &Map<String, Value>, key: &str, word: &str| map.get(key) == Some(&json!(word));
        let who = match () {
            () if has(&ours, "kind", NOTE) => Who::Note,
            () if is("is_system") => Who::Hidden,
            () if is("is_user") => Who::User,
            () if has(&extra, "type", NARRATOR) => Who::Narrator,
            () => Who::Character,
        };
        let said = object.get("send_date").and_then(dates::read).unwrap_or(before);
        let name = take_text(&mut object, "name").unwrap_or_default();
        let persona = take_text(&mut ours, "persona").and_then(ours::persona_id);
        for key in ["name", "is_system"] {
            object.remove(key);
        }
        // Of what is hidden it is kept whose it was.
        if who != Who::Hidden {
            object.remove("is_user");
        }
        if who == Who::Note {
            ours.remove("kind");
        }
        let mut line = Self { name, who, persona, said, ways: texts, selected, rest: object };
        forget_usual(&mut extra, &line.usual_extra());
        put_object(&mut extra, OURS, ours);
        put_object(&mut line.rest, "extra", extra);
        let usual = line.usual();
        forget_usual(&mut line.rest, &usual);
        Ok((line, lost))
    }

    fn write(&self) -> Map<String, Value> {
        let mut object = self.rest.clone();
        let extra = self.extra(take_object(&mut object, "extra"));
        object.extend([
            ("name".to_owned(), json!(self.name)),
            ("is_system".to_owned(), json!(matches!(self.who, Who::Note | Who::Hidden))),
            ("mes".to_owned(), json!(self.shown())),
            ("swipes".to_owned(), json!(self.ways)),
            ("swipe_id".to_owned(), json!(self.selected)),
            ("extra".to_owned(), Value::Object(extra)),
        ]);
        if self.who != Who::Hidden {
            object.insert("is_user".to_owned(), json!(self.who == Who::User));
        }
        fit_about_ways(&mut object, 0, self.ways.len());
        forget_other_date(&mut object, "send_date", self.said);
        add_usual(&mut object, self.usual());
        object
    }

    /// What a message has that says nothing else.
    fn usual(&self) -> Vec<(&'static str, Value)> {
        let date = dates::write(self.said);
        let own = match (self.who, &self.persona) {
            (Who::Hidden, _) => Some(("is_user", json!(false))),
            (Who::Narrator, _) => Some(("force_avatar", json!(NARRATORS_PICTURE))),
            (Who::Note, _) => Some(("force_avatar", json!(NOTES_PICTURE))),
            (Who::Character, Some(persona)) => Some(("original_avatar", json!(format!("{persona}.png")))),
            (Who::Character | Who::User, _) => None,
        };
        // Whoever shows another way takes the `extra` of that way.
        let about_ways = vec![json!({"send_date": date, "extra": self.extra(Map::new())}); self.ways.len()];
        let always = [("send_date", json!(date)), ("swipe_info", Value::Array(about_ways))];
        always.into_iter().chain(own).collect()
    }

    /// Its `extra`, with what else stands there.
    fn extra(&self, mut rest: Map<String, Value>) -> Map<String, Value> {
        let mut ours = take_object(&mut rest, OURS);
        if let Some(PersonaId(id)) = &self.persona {
            ours.insert("persona".to_owned(), json!(id));
        }
        if self.who == Who::Note {
            ours.insert("kind".to_owned(), json!(NOTE));
        }
        put_object(&mut rest, OURS, ours);
        add_usual(&mut rest, self.usual_extra());
        rest
    }

    /// What its `extra` has that says nothing else.
    fn usual_extra(&self) -> Vec<(&'static str, Value)> {
        match self.who {
            Who::Narrator => vec![("type", json!(NARRATOR))],
            Who::Note => vec![("type", json!("comment"))],
            Who::User | Who::Character | Who::Hidden => Vec::new(),
        }
    }
}

impl From<TurnKind> for Who {
    fn from(kind: TurnKind) -> Self {
        match kind {
            TurnKind::Member => Self::User,
            TurnKind::Persona => Self::Character,
            TurnKind::Narrator => Self::Narrator,
            TurnKind::Note => Self::Note,
            TurnKind::Hidden => Self::Hidden,
        }
    }
}

/// Whether this is more of what another program says than is kept.
fn is_too_large(rest: &Map<String, Value>) -> bool {
    json!(rest).to_string().len() > LARGEST_REST
}

/// The name of the first that spoke in this part.
fn name_of(who: Who, lines: &[Line]) -> String {
    let named = lines.iter().find(|line| line.who == who && !line.name.trim().is_empty());
    named.map_or_else(|| if who == Who::User { USER } else { CHARACTER }.to_owned(), |line| line.name.clone())
}

/// A head that does not say when its chat began says when it did.
fn usual_of_heads(created: u64) -> Vec<(&'static str, Value)> {
    vec![("create_date", json!(dates::write(created)))]
}

/// An author's note stands in the transcript, and always.
fn usual_of_notes() -> Vec<(&'static str, Value)> {
    vec![("note_position", json!(1)), ("note_interval", json!(1))]
}

/// What stands in a line.
fn object(line: &[u8], number: usize) -> Result<Map<String, Value>, ChatError> {
    let value = serde_json::from_slice(line).map_err(|error| {
        // The parser counts lines within this one.
        let problem = error.to_string();
        let problem = problem.split(" at line ").next().unwrap_or_default().to_owned();
        ChatError::Json { line: number, problem }
    })?;
    if let Value::Object(object) = value { Ok(object) } else { Err(ChatError::NoMessage { line: number }) }
}

/// The ways to say something.
struct Ways {
    texts: Vec<String>,
    selected: usize,
    /// How many of them were too many.
    lost: usize,
}

/// Takes the ways to say something out of a message: what it shows counts, whatever its list says. Of too many, those stay
/// that stand before the one that is shown.
fn take_ways(object: &mut Map<String, Value>, number: usize) -> Result<Ways, ChatError> {
    let listed = match object.remove("swipes") {
        Some(Value::Array(listed)) => listed,
        _ => Vec::new(),
    };
    let text = |way: Value| match way {
        Value::String(text) => Ok(text),
        Value::Null => Ok(String::new()),
        _ => Err(ChatError::NoText { line: number }),
    };
    let mut texts: Vec<String> = listed.into_iter().map(text).collect::<Result<_, _>>()?;
    let shown = take_text(object, "mes");
    let chosen = object.get("swipe_id").and_then(|id| usize::try_from(id.as_u64()?).ok());
    let chosen = chosen.filter(|&chosen| chosen < texts.len());
    for key in ["mes", "swipe_id"] {
        object.remove(key);
    }
    let selected = match (shown, chosen) {
        (Some(shown), Some(chosen)) => {
            texts[chosen] = shown;
            chosen
        }
        (Some(shown), None) => texts.iter().position(|text| *text == shown).unwrap_or_else(|| {
            texts.push(shown);
            texts.len() - 1
        }),
        (None, chosen) => {
            let last = texts.len().checked_sub(1).ok_or(ChatError::NoMessage { line: number })?;
            chosen.unwrap_or(last)
        }
    };
    if texts.iter().any(|text| text.len() > LARGEST_TEXT) {
        return Err(ChatError::TooLong { line: number });
    }
    let lost = texts.len().saturating_sub(MOST_WAYS);
    let first = if lost > 0 { (selected + 1).saturating_sub(MOST_WAYS) } else { 0 };
    let texts: Vec<String> = texts.into_iter().skip(first).take(MOST_WAYS).collect();
    fit_about_ways(object, first, texts.len());
    Ok(Ways { texts, selected: selected - first, lost })
}

/// Lets a message say something about each of its ways, or nothing.
fn fit_about_ways(object: &mut Map<String, Value>, first: usize, ways: usize) {
    let Some(about) = object.remove("swipe_info") else { return };
    if let Value::Array(about) = about {
        let mut about: Vec<Value> = about.into_iter().skip(first).collect();
        about.resize(ways, json!({}));
        object.insert("swipe_info".to_owned(), Value::Array(about));
    }
}

/// Takes an object out of another one; one that is not there, or is none, is empty.
fn take_object(from: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    if let Some(Value::Object(object)) = from.remove(key) { object } else { Map::new() }
}

/// Puts an object into another one, if there is anything in it.
fn put_object(into: &mut Map<String, Value>, key: &str, object: Map<String, Value>) {
    if !object.is_empty() {
        into.insert(key.to_owned(), Value::Object(object));
    }
}

/// Takes a text out of an object, if it is one.
fn take_text(from: &mut Map<String, Value>, key: &str) -> Option<String> {
    let text = from.get_mut(key).filter(|value| value.is_string())?.take();
    from.remove(key);
    if let Value::String(text) = text { Some(text) } else { None }
}

/// Leaves out what is as it is without saying.
fn forget_usual(object: &mut Map<String, Value>, usual: &[(&'static str, Value)]) {
    object.retain(|key, value| !usual.iter().any(|(name, usual)| name == key && usual == value));
}

/// Says what is as it is without saying, where nothing else is said.
fn add_usual(object: &mut Map<String, Value>, usual: Vec<(&'static str, Value)>) {
    for (key, value) in usual {
        object.entry(key).or_insert(value);
    }
}

/// Leaves a date out that is not this one any more. What cannot be read stays as it is.
fn forget_other_date(object: &mut Map<String, Value>, key: &str, date: u64) {
    if object.get(key).and_then(dates::read).is_some_and(|written| written != date) {
        object.remove(key);
    }
}

#[cfg(test)]
mod tests;
