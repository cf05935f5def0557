//! What only Mummer knows of a chat, under a key of its own in `chat_metadata`, which other programs keep: the title, who plays
//! though they may not have spoken yet, and what members say of their characters. No member's id is in it.

use serde_json::{Map, Value, json};

use super::{Chat, Line, take_text};
use crate::chat::scene::{CAST_MAX, PLAYERS_MAX};
use crate::persona::PersonaId;

const TITLE: &str = "title";
const CAST: &str = "cast";
const PLAYERS: &str = "players";

/// What is known of each of them.
const NAME: &str = "name";
const PERSONA: &str = "persona";
const DESCRIPTION: &str = "description";

/// Most bytes of a persona's id in a file.
const LONGEST_ID: usize = 128;

/// A character that a persona plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// The persona, if it is one of Mummer's: what a file says of it need not be true.
    pub persona: Option<PersonaId>,
}

/// A character that a member plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Character {
    /// Its name.
    pub name: String,
    /// What there is to know of it.
    pub description: String,
}

impl Role {
    /// Whether both are the same: by their personas where those are known, else by their names.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.persona, &other.persona) {
            (Some(one), Some(other)) => one == other,
            _ => self.name == other.name,
        }
    }
}

impl Line {
    /// As whom it was said.
    #[must_use]
    pub fn role(&self) -> Role {
        Role { name: self.name.clone(), persona: self.persona.clone() }
    }
}

impl Chat {
    /// Puts what Mummer alone knows where it stands.
    pub(super) fn put_ours(&self, into: &mut Map<String, Value>) {
        let role = |Role { name, persona }: &Role| {
            let persona = persona.iter().map(|PersonaId(id)| (PERSONA.to_owned(), json!(id)));
            persona.chain([(NAME.to_owned(), json!(name))]).collect::<Map<_, _>>()
        };
        let character =
            |Character { name, description }: &Character| json!({NAME: name, DESCRIPTION: description});
        let cast: Vec<_> = self.cast.iter().map(role).collect();
        let players: Vec<_> = self.players.iter().map(character).collect();
        let all = [
            (TITLE, json!(self.title), self.title.is_empty()),
            (CAST, json!(cast), cast.is_empty()),
            (PLAYERS, json!(players), players.is_empty()),
        ];
        into.extend(
            all.into_iter().filter(|(.., is_empty)| !is_empty).map(|(key, it, _)| (key.to_owned(), it)),
        );
    }
}

/// A persona's id, if it is no longer than those of personas.
pub(super) fn persona_id(id: String) -> Option<PersonaId> {
    (id.len() <= LONGEST_ID).then_some(PersonaId(id))
}

/// Takes the title out of what Mummer alone knows.
pub(super) fn take_title(from: &mut Map<String, Value>) -> String {
    let title = take_text(from, TITLE).unwrap_or_default();
    from.remove(TITLE);
    title
}

/// Takes those who play out of it, and says how many of them are too many.
pub(super) fn take_cast(from: &mut Map<String, Value>, remarks: &mut Vec<String>) -> Vec<Role> {
    let mut cast: Vec<Role> = named(from, CAST)
        .map(|(name, mut more)| Role { name, persona: take_text(&mut more, PERSONA).and_then(persona_id) })
        .collect();
    bound(&mut cast, CAST_MAX, "personas", remarks);
    cast
}

/// Takes the characters of members out of it, and says how many of them are too many.
pub(super) fn take_players(from: &mut Map<String, Value>, remarks: &mut Vec<String>) -> Vec<Character> {
    let mut players: Vec<Character> = named(from, PLAYERS)
        .map(|(name, mut more)| {
            let description = take_text(&mut more, DESCRIPTION).unwrap_or_default();
            Character { name, description }
        })
        .collect();
    bound(&mut players, PLAYERS_MAX, "players", remarks);
    players
}

/// The members of a list that have a name, and what else each of them has.
fn named(from: &mut Map<String, Value>, key: &str) -> impl Iterator<Item = (String, Map<String, Value>)> {
    let listed = match from.remove(key) {
        Some(Value::Array(listed)) => listed,
        _ => Vec::new(),
    };
    listed.into_iter().filter_map(|one| {
        let Value::Object(mut one) = one else { return None };
        let name = take_text(&mut one, NAME).filter(|name| !name.trim().is_empty())?;
        Some((name, one))
    })
}

fn bound<T>(all: &mut Vec<T>, most: usize, what: &str, remarks: &mut Vec<String>) {
    let surplus = all.len().saturating_sub(most);
    if surplus > 0 {
        all.truncate(most);
        remarks.push(format!("{surplus} of its {what} are not kept: a scene has at most {most}"));
    }
}
