//! A scene: who plays in it, what it is about, what of a message belongs to it, and who speaks next.

use super::history::{Conversation, TurnKind};
use super::{ChannelId, MemberId, sanitize};
use crate::persona::lorebook::USUAL_DEPTH;
use crate::persona::{Persona, PersonaId};

/// Most personas that play in a scene.
pub const CAST_MAX: usize = 8;

/// Most members who play in a scene.
pub const PLAYERS_MAX: usize = 25;

/// Most characters of what a scene is about, of its note, and of what a member says of their character.
pub const TEXT_MAX: usize = 2_000;

/// The note of a scene stands before at most so many lines: `SillyTavern` knows no deeper place.
pub const DEEPEST_NOTE: usize = 9_999;

/// The title of a scene whose host is forgotten.
pub const UNTITLED: &str = "A scene";

/// Most characters of a scene's title.
pub const TITLE_MAX: usize = 80;

/// A word of a name calls somebody by itself when it has so many letters, and is none of these.
const CALLING_WORD: usize = 3;
const NOBODYS_WORDS: [&str; 24] = [
    "the", "and", "old", "big", "mrs", "miss", "lady", "lord", "sir", "dame", "doctor", "captain", "little",
    "young", "master", "mister", "madam", "saint", "king", "queen", "prince", "princess", "von", "van",
];

/// How the line for an attached file begins.
pub const ATTACHMENT: &str = "(attachment: ";

/// A scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// Under which it is found again.
    pub title: String,
    /// Whether it is played.
    pub state: SceneState,
    /// Who has opened it; unknown when they are forgotten.
    pub host: Option<MemberId>,
    /// The channel that keeps it when its thread is gone, because whoever sees the one sees the other; after that it is played in
    /// whichever of the channel's threads wants it.
    pub home: Option<ChannelId>,
    /// What it is about, in place of the personas' own scenarios.
    pub scenario: Option<Written>,
    /// What the model is to bear in mind (the author's note of other programs).
    pub note: Option<Written>,
    /// Before how many lines of the transcript that stands.
    pub note_depth: usize,
    /// The personas that play, in the order of their turns.
    pub cast: Vec<Actor>,
    /// Since when it is played, or over, in seconds since 1970: what was said before it was played is no part of it.
    pub since: u64,
    /// The members who play, in the order in which they have joined.
    pub players: Vec<Player>,
    /// The characters of a scene from elsewhere whom nobody plays yet.
    pub waiting: Vec<Waiting>,
    /// What another program says of it, as JSON: it is given back with it.
    pub carried: Option<Written>,
    /// So many have played and are forgotten, and the others were not told.
    pub departed: u32,
}

/// Whether a scene is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SceneState {
    /// It is.
    Running,
    /// It waits.
    Paused,
    /// It is over, and can be taken up again.
    Ended,
}

/// A text of a member's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What it says.
    pub text: String,
    /// Who has written it.
    pub by: MemberId,
}

/// A persona that plays in a scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Which.
    pub persona: PersonaId,
    /// The name under which it was seen last.
    pub name: String,
    /// The version in which it was seen last.
    pub version: String,
    /// Whether it was said that it cannot play any more.
    pub is_missing: bool,
}

/// A member who plays in a scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Player {
    /// Who.
    pub member: MemberId,
    /// As whom; without it under their own name.
    pub name: Option<String>,
    /// What they say of their character.
    pub description: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Who has brought the character along, when it has waited for whoever plays it: it waits again when they leave it.
    pub brought_by: Option<MemberId>,
}

/// A character of a scene from elsewhere: whoever plays under that name plays them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The name.
    pub name: String,
    /// What there is to know of them.
    pub description: String,
    /// Who has brought them along.
    pub by: MemberId,
}

/// What somebody wants to change of a scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direction {
    /// They want to play, and this is their own name: if a character waits that has it, they play that.
    Join(String),
    /// They want to play as somebody.
    Play {
        /// The name.
        name: String,
        /// What there is to know of them; without it what is known of the character that waits under that name.
        description: String,
    },
    /// They do not want to play any more.
    Leave,
    /// It is about this; about nothing when that is empty.
    About(String),
    /// The model is to bear something in mind.
    Note {
        /// What; nothing when that is empty.
        text: String,
        /// Before how many lines it stands; without it where it did.
        depth: Option<usize>,
    },
    /// This persona plays too.
    Add(Actor),
    /// This persona does not play any more.
    Remove(PersonaId),
    /// It waits.
    Pause,
    /// It goes on.
    Resume,
    /// It ends.
    Stop,
}

/// Why something of a scene is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is for whoever has opened it, and for moderators.
    #[error("it is for whoever has opened it")]
    NotTheirs,
    /// There are too many already.
    #[error("there are too many already")]
    Full,
    /// Somebody else has that name.
    #[error("somebody else has that name")]
    NameTaken,
    /// That persona does not play.
    #[error("that persona does not play")]
    NotThere,
    /// No other persona plays.
    #[error("no other persona plays")]
    LastOne,
}

impl Written {
    fn of(text: &str, by: MemberId) -> Option<Self> {
        let text = short(text);
        (!text.is_empty()).then_some(Self { text, by })
    }
}

impl Actor {
    /// A persona as it is now.
    #[must_use]
    pub fn of(persona: &Persona) -> Self {
        Self {
            persona: persona.id.clone(),
            name: sanitize::name(persona.char_name()),
            version: persona.version.clone(),
            is_missing: false,
        }
    }
}

impl Player {
    /// A member who plays under their own name from now on, in seconds since 1970.
    fn new(member: MemberId, now: u64) -> Self {
        Self { member, name: None, description: String::new(), since: now, brought_by: None }
    }
}

/// A text that is not longer than those of scenes may be.
fn short(text: &str) -> String {
    text.trim().chars().take(TEXT_MAX).collect()
}

impl Scene {
    /// A scene that begins now, in seconds since 1970.
    #[must_use]
    pub fn new(title: &str, host: MemberId, now: u64) -> Self {
        let players = vec![Player::new(host, now)];
        Self {
            title: sanitize::one_line(title).chars().take(TITLE_MAX).collect::<String>().trim().to_owned(),
            state: SceneState::Running,
            host: Some(host),
            home: None,
            scenario: None,
            note: None,
            note_depth: USUAL_DEPTH,
            cast: Vec::new(),
            since: now,
            players,
            waiting: Vec::new(),
            carried: None,
            departed: 0,
        }
    }

    /// As whom a member plays, if they do.
    #[must_use]
    pub fn player(&self, member: MemberId) -> Option<&Player> {
        self.players.iter().find(|player| player.member == member)
    }

    /// A member plays from now on, unless they do already or there are too many. Whether they do now.
    pub fn join(&mut self, member: MemberId, now: u64) -> bool {
        let plays = self.player(member).is_some();
        let has_room = self.players.len() < PLAYERS_MAX;
        if !plays && has_room {
            self.players.push(Player::new(member, now));
        }
        plays || has_room
    }

    /// Whether a persona plays in it.
    #[must_use]
    pub fn has(&self, persona: &PersonaId) -> bool {
        self.cast.iter().any(|actor| actor.persona == *persona)
    }

    /// A character from elsewhere waits for somebody to play them, unless their name says nothing or is somebody's, or there are too
    /// many.
    pub fn expect(&mut self, name: &str, description: &str, by: MemberId) {
        let name = sanitize::name(name);
        let is_known = self.cast.iter().any(|actor| is_alike(&actor.name, &name))
            || self
                .players
                .iter()
                .filter_map(|player| player.name.as_deref())
                .any(|one| is_alike(one, &name))
            || self.waiting.iter().any(|waiting| is_alike(&waiting.name, &name));
        if name.chars().any(char::is_alphanumeric) && !is_known && self.waiting.len() < PLAYERS_MAX {
            self.waiting.push(Waiting { name, description: short(description), by });
        }
    }

    /// A member who plays does so under this name, if it is that of a character that waits.
    fn take_over(&mut self, member: MemberId, name: &str) {
        let Some(place) = self.waiting.iter().position(|waiting| is_alike(&waiting.name, name)) else {
            return;
        };
        if let Some(player) = self.players.iter_mut().find(|player| player.member == member) {
            let waiting = self.waiting.remove(place);
            player.name = Some(waiting.name);
            // Who has words of their own for the character does not need the others'.
            if player.description.is_empty() {
                player.description = waiting.description;
                player.brought_by = Some(waiting.by);
            }
        }
    }

    /// A member does not play a character any more that has waited for them: it waits again.
    fn leave_character(&mut self, member: MemberId) {
        let Some(player) = self.players.iter_mut().find(|player| player.member == member) else { return };
        if let (Some(by), Some(name)) = (player.brought_by.take(), player.name.take()) {
            let description = std::mem::take(&mut player.description);
            self.waiting.push(Waiting { name, description, by });
        }
    }

    /// What of it is a member's goes. Whether there was anything.
    pub fn forget_member(&mut self, member: MemberId) -> bool {
        let before = self.clone();
        self.players.retain(|player| player.member != member);
        self.departed += u32::from(self.players.len() < before.players.len());
        if self.host == Some(member) {
            self.host = None;
            UNTITLED.clone_into(&mut self.title);
        }
        self.waiting.retain(|waiting| waiting.by != member);
        for player in self.players.iter_mut().filter(|player| player.brought_by == Some(member)) {
            player.description.clear();
            player.brought_by = None;
        }
        for written in [&mut self.scenario, &mut self.note, &mut self.carried] {
            if written.as_ref().is_some_and(|written| written.by == member) {
                *written = None;
            }
        }
        *self != before
    }

    /// Bytes of memory that it takes, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        let written = [&self.scenario, &self.note, &self.carried];
        let written = written.into_iter().flatten().map(|written| written.text.len());
        let players = self.players.iter().map(|player| size_of_val(player) + player.description.len());
        let waiting = self.waiting.iter();
        let waiting = waiting.map(|one| size_of_val(one) + one.name.len() + one.description.len());
        let cast = self.cast.iter().map(|actor| size_of_val(actor) + actor.name.len());
        self.title.len() + written.chain(players).chain(waiting).chain(cast).sum::<usize>()
    }

    /// Whether what somebody wrote then is a line of it, though they did not say it to anybody.
    #[must_use]
    pub fn hears(&self, member: MemberId, posted: u64) -> bool {
        posted > self.since && self.player(member).is_some_and(|player| posted > player.since)
    }

    /// Somebody wants to change something of it now, in seconds since 1970.
    ///
    /// # Errors
    /// [`Refused`], and nothing has changed.
    pub fn direct(
        &mut self,
        who: MemberId,
        moderates: bool,
        direction: Direction,
        now: u64,
    ) -> Result<(), Refused> {
        let plays = self.player(who).is_some();
        let directs = moderates || self.host.map_or(plays, |host| host == who);
        match direction {
            Direction::Join(_) | Direction::Play { .. } if !self.join(who, now) => return Err(Refused::Full),
            Direction::Join(name) => {
                if self.player(who).is_some_and(|player| player.name.is_none())
                    && !self.has_name_of_another(&name, who)
                {
                    self.take_over(who, &name);
                }
            }
            Direction::Play { name, description } => {
                let name = sanitize::name(&name);
                if self.has_name_of_another(&name, who) {
                    return Err(Refused::NameTaken);
                }
                self.leave_character(who);
                if let Some(player) = self.players.iter_mut().find(|player| player.member == who) {
                    player.name = Some(name.clone());
                    player.description = short(&description);
                }
                self.take_over(who, &name);
            }
            Direction::Leave if !plays => return Err(Refused::NotTheirs),
            Direction::Leave => {
                self.leave_character(who);
                self.players.retain(|player| player.member != who);
                self.host = self.host.filter(|host| *host != who);
            }
            _ if !directs => return Err(Refused::NotTheirs),
            Direction::About(text) => self.scenario = Written::of(&text, who),
            Direction::Note { text, depth } => {
                self.note = Written::of(&text, who);
                self.note_depth = match self.note {
                    Some(_) => depth.unwrap_or(self.note_depth).min(DEEPEST_NOTE),
                    None => USUAL_DEPTH,
                };
            }
            Direction::Add(actor) => {
                if let Some(known) = self.cast.iter_mut().find(|known| known.persona == actor.persona) {
                    *known = actor;
                } else if self.cast.len() >= CAST_MAX {
                    return Err(Refused::Full);
                } else {
                    self.cast.push(actor);
                }
            }
            Direction::Remove(persona) if !self.has(&persona) => return Err(Refused::NotThere),
            Direction::Remove(_) if self.cast.len() == 1 => return Err(Refused::LastOne),
            Direction::Remove(persona) => self.cast.retain(|actor| actor.persona != persona),
            Direction::Pause => self.state = SceneState::Paused,
            Direction::Resume => {
                self.state = SceneState::Running;
                self.since = now;
            }
            Direction::Stop => {
                self.state = SceneState::Ended;
                self.since = now;
            }
        }
        Ok(())
    }

    /// Whether a name is that of a persona or of another player.
    #[must_use]
    pub fn has_name_of_another(&self, name: &str, who: MemberId) -> bool {
        let others = self.players.iter().filter(|player| player.member != who);
        let others = others.filter_map(|player| player.name.as_deref());
        let mut all = self.cast.iter().map(|actor| actor.name.as_str()).chain(others);
        all.any(|other| is_alike(other, name))
    }

    /// The personas in the order in which they would speak now: those whom the last line names, in the order in which it does, then
    /// the others after the one that has spoken last.
    #[must_use]
    pub fn order(&self, last_line: &str, last_spoken: Option<&PersonaId>) -> Vec<&Actor> {
        let mut called: Vec<(usize, &Actor)> = self
            .cast
            .iter()
            .filter_map(|actor| calls(last_line, &actor.name).map(|place| (place, actor)))
            .collect();
        called.sort_by_key(|(place, _)| *place);
        let spoke = last_spoken.and_then(|id| self.cast.iter().position(|actor| actor.persona == *id));
        let first = spoke.map_or(0, |spoke| spoke + 1);
        let mut order: Vec<&Actor> = called.into_iter().map(|(_, actor)| actor).collect();
        let others = self.cast.iter().cycle().skip(first).take(self.cast.len());
        for actor in others {
            if !order.iter().any(|one| one.persona == actor.persona) {
                order.push(actor);
            }
        }
        order
    }
}

impl Conversation {
    /// The persona that has spoken last of those who play, if one has.
    #[must_use]
    pub fn last_spoken(&self) -> Option<&PersonaId> {
        let plays = |id: &&PersonaId| self.scene().is_some_and(|scene| scene.has(id));
        let spoken = self.turns().iter().rev().filter(|turn| turn.kind == TurnKind::Persona);
        spoken.filter_map(|turn| turn.speaker.persona()).find(plays)
    }

    /// Whether it is a scene that is played.
    #[must_use]
    pub fn is_played(&self) -> bool {
        self.scene().is_some_and(|scene| scene.state == SceneState::Running)
    }

    /// As whom a member speaks in it, whose name is otherwise this.
    #[must_use]
    pub fn speaks_as<'a>(&'a self, member: MemberId, name: &'a str) -> &'a str {
        let player = self.scene().and_then(|scene| scene.player(member));
        player.and_then(|player| player.name.as_deref()).unwrap_or(name)
    }

    /// What of a text is said in it: in a scene, what is in character.
    #[must_use]
    pub fn said_in(&self, text: &str) -> String {
        if self.scene().is_some() { in_character(text) } else { text.to_owned() }
    }
}

/// Whether two names are the same to whoever reads them.
fn is_alike(one: &str, other: &str) -> bool {
    sanitize::folded_name(one) == sanitize::folded_name(other)
}

/// Where a text calls somebody by name: by the whole of it, or by a word of it that is not too short.
fn calls(text: &str, name: &str) -> Option<usize> {
    let text = text.to_lowercase();
    let name = name.to_lowercase();
    let calls = |word: &&str| word.chars().count() >= CALLING_WORD && !NOBODYS_WORDS.contains(word);
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(calls);
    let place = |wanted: &str| {
        let ends = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        text.match_indices(wanted).map(|(place, _)| place).find(|&place| {
            ends(text[..place].chars().next_back()) && ends(text[place + wanted.len()..].chars().next())
        })
    };
    std::iter::once(name.trim()).filter(|name| !name.is_empty()).chain(words).filter_map(place).min()
}

/// What of a text is in character: without what stands between double parentheses, and without the lines that begin with `//`.
/// What is left without words says nothing.
#[must_use]
pub fn in_character(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut depth, mut rest) = (0_usize, text);
    while let Some(c) = rest.chars().next() {
        let is_mark = if rest.starts_with("((") {
            depth += 1;
            true
        } else {
            let closes = depth > 0 && rest.starts_with("))");
            depth -= usize::from(closes);
            closes
        };
        let taken = if is_mark { 2 } else { c.len_utf8() };
        if !is_mark && depth == 0 {
            kept.push(c);
        }
        rest = &rest[taken..];
        // One blank stays of the two around it.
        if is_mark && depth == 0 && kept.ends_with(char::is_whitespace) {
            rest = rest.strip_prefix(' ').unwrap_or(rest);
        }
    }
    let lines = kept.lines().filter(|line| !line.trim_start().starts_with("//"));
    let said = lines.collect::<Vec<_>>().join("\n");
    let was_all_said = said.trim() == text.trim();
    let is_file = |line: &str| line.trim().is_empty() || line.starts_with(ATTACHMENT);
    // A file belongs to what was said with it.
    if !was_all_said && said.lines().all(is_file) {
        return String::new();
    }
    said.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_out_of_character_is_not_said() {
        for (text, said) in [
            ("She nods.", "She nods."),
            ("((brb)) She nods.", "She nods."),
            ("She ((brb)) nods.", "She nods."),
            ("She nods. ((brb", "She nods."),
            ("She ((a ((b)) c))nods.", "She nods."),
            ("// brb", ""),
            ("She nods.\n  // brb\nAnd smiles.", "She nods.\nAnd smiles."),
            ("See https://example.com", "See https://example.com"),
            ("(she nods) f(x))", "(she nods) f(x))"),
            ("((look))\n(attachment: x.png)", ""),
            ("Look.\n(attachment: x.png)", "Look.\n(attachment: x.png)"),
            ("(attachment: x.png)", "(attachment: x.png)"),
            ("(())", ""),
        ] {
            assert_eq!(in_character(text), said, "{text:?}");
        }
    }

    fn scene(names: &[&str]) -> Scene {
        let actor = |name: &&str| Actor {
            persona: PersonaId(name.to_lowercase()),
            name: (*name).to_owned(),
            version: String::new(),
            is_missing: false,
        };
        Scene { cast: names.iter().map(actor).collect(), ..Scene::new("A scene", MemberId(1), 0) }
    }

    #[test]
    fn whoever_is_named_speaks_first_and_then_the_next_one() {
        let scene = scene(&["Captain Crake", "Mizzle", "The Owl"]);
        let order = |line: &str, last: Option<&str>| {
            let last = last.map(|last| PersonaId(last.to_owned()));
            let order = scene.order(line, last.as_ref()).into_iter();
            order.map(|actor| actor.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(order("Hello.", None), ["Captain Crake", "Mizzle", "The Owl"]);
        assert_eq!(order("Hello.", Some("mizzle")), ["The Owl", "Captain Crake", "Mizzle"]);
        assert_eq!(order("Hello.", Some("somebody else")), ["Captain Crake", "Mizzle", "The Owl"]);
        assert_eq!(order("What say you, MIZZLE?", Some("mizzle"))[0], "Mizzle");
        assert_eq!(order("owl, tell crake", None), ["The Owl", "Captain Crake", "Mizzle"]);
        assert_eq!(order("It drizzles, mizzles even.", None)[0], "Captain Crake");
        assert_eq!(order("The captain of the ship", Some("captain crake"))[0], "Mizzle");
    }

    #[test]
    fn whoever_is_forgotten_leaves_nothing_in_a_scene() {
        let mut scene = scene(&["Crake"]);
        assert!(scene.join(MemberId(2), 0) && scene.join(MemberId(2), 0));
        scene.scenario = Some(Written { text: "A storm.".to_owned(), by: MemberId(2) });
        scene.note = Some(Written { text: "Be brief.".to_owned(), by: MemberId(1) });
        assert!(!scene.forget_member(MemberId(3)));
        assert!(scene.forget_member(MemberId(2)));
        assert_eq!((scene.players.len(), &scene.scenario), (1, &None));
        assert!(scene.note.is_some() && scene.host.is_some());
        scene.expect("Bertram", "A ferryman.", MemberId(1));
        scene.carried = Some(Written { text: "{}".to_owned(), by: MemberId(1) });
        assert!(scene.forget_member(MemberId(1)));
        assert_eq!((scene.waiting.len(), scene.carried), (0, None), "that has come along with them");
    }

    #[test]
    fn whoever_plays_under_the_name_of_a_character_that_waits_plays_them() {
        const HOST: MemberId = MemberId(1);
        let mut scene = scene(&["Crake"]);
        for (name, description) in [
            ("Bertram", "A ferryman."),
            ("bertram", "Another one."),
            ("Crake", "A persona."),
            ("Zoe", "She keeps bees."),
            ("Cy", ""),
            ("***", "Nobody."),
        ] {
            scene.expect(name, description, HOST);
        }
        let names = |scene: &Scene| {
            scene.waiting.iter().map(|waiting| waiting.name.clone()).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(names(&scene), "Bertram, Zoe, Cy");
        let mut play = |who: u64, name: &str, description: &str| {
            let (name, description) = (name.to_owned(), description.to_owned());
            scene.direct(MemberId(who), false, Direction::Play { name, description }, 0).expect("they play");
            let player = scene.player(MemberId(who)).expect("they do").clone();
            (player.name.expect("a name"), player.description)
        };
        assert_eq!(play(2, "BERTRAM", ""), ("Bertram".to_owned(), "A ferryman.".to_owned()));
        assert_eq!(play(3, "Cy", "A smith."), ("Cy".to_owned(), "A smith.".to_owned()), "their words count");
        assert_eq!(play(4, "Ann", ""), ("Ann".to_owned(), String::new()));
        assert_eq!(names(&scene), "Zoe");
        // Whoever joins has the name that they have; whoever plays somebody already stays that.
        let mut join = |who: u64, name: &str| {
            scene.direct(MemberId(who), false, Direction::Join(name.to_owned()), 0).expect("they play");
            scene.player(MemberId(who)).expect("they do").name.clone()
        };
        assert_eq!(join(4, "Zoe").as_deref(), Some("Ann"));
        assert_eq!(join(5, "Eve"), None);
        assert_eq!(join(6, "zoe").as_deref(), Some("Zoe"));
        assert!(scene.waiting.is_empty());
        // A character that nobody plays any more waits again, and goes with whoever has brought it along.
        scene.direct(MemberId(2), false, Direction::Leave, 0).expect("they do");
        assert_eq!(scene.waiting[0].description, "A ferryman.");
        let bertram = Direction::Play { name: "Bertram".to_owned(), description: String::new() };
        scene.direct(MemberId(4), false, bertram, 0).expect("they play");
        assert!(scene.waiting.is_empty());
        assert!(scene.forget_member(HOST));
        assert_eq!(scene.player(MemberId(4)).map(|player| player.description.as_str()), Some(""));
    }

    #[test]
    fn a_note_stands_where_it_stood_unless_somebody_says_otherwise() {
        let mut scene = scene(&["Crake"]);
        let mut note = |text: &str, depth: Option<usize>| {
            let direction = Direction::Note { text: text.to_owned(), depth };
            scene.direct(MemberId(1), false, direction, 0).expect("they are the host");
            scene.note_depth
        };
        assert_eq!(note("Briefly.", None), USUAL_DEPTH);
        assert_eq!(note("Briefly.", Some(0)), 0);
        assert_eq!(note("At length.", None), 0);
        assert_eq!(note("At length.", Some(usize::MAX)), DEEPEST_NOTE);
        assert_eq!(note("", Some(2)), USUAL_DEPTH, "there is none");
    }

    proptest! {
        #[test]
        fn nothing_is_added_to_what_is_said(text in ".{0,60}") {
            let said = in_character(&text);
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            prop_assert!(letters(&said).len() <= letters(&text).len());
            prop_assert!(!said.contains("((") || text.contains("(("));
        }

        #[test]
        fn what_is_named_out_of_character_is_never_said(before in "[a-z ]{0,9}", secret in "[A-Z]{3,9}", after in "[a-z ]{0,9}") {
            let text = format!("{before}(({secret})){after}");
            prop_assert!(!in_character(&text).contains(&secret));
        }
    }
}
