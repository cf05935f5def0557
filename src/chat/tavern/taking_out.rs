//! What was said becomes a chat that can be taken elsewhere, with all that another program has said of it.

use serde_json::{Map, Value};

use super::{Character, Chat, LATEST, Line, OURS, Role, Who, name_of, put_object, take_object, take_text};
use crate::chat::history::{Conversation, Turn, TurnKind};
use crate::chat::sanitize;
use crate::chat::scene::{Actor, Scene, Written};
use crate::persona::{Note, PersonaId};

/// What another program says of the text of a message: where Mummer says something else, it is not true any more.
const OF_THE_TEXT: [&str; 3] = ["swipe_info", "gen_started", "gen_finished"];

impl Chat {
    /// What says something of a conversation. Its head names the first of those who play, and where nobody plays the first member and
    /// the first persona that speak. No member's id is in it.
    #[must_use]
    pub fn of(conversation: &Conversation) -> Self {
        let lines: Vec<Line> = conversation.turns().iter().filter_map(Line::of).collect();
        let mut chat = Self {
            user: name_of(Who::User, &lines),
            character: name_of(Who::Character, &lines),
            created: conversation.created.min(LATEST),
            scenario: String::new(),
            note: None,
            title: String::new(),
            cast: Vec::new(),
            players: Vec::new(),
            is_cut: false,
            lines,
            rest: Map::new(),
        };
        if let Some(scene) = conversation.scene() {
            chat.be_of(scene, |persona| conversation.persona_name(persona).map(str::to_owned));
        }
        chat
    }

    /// It is that of this scene, in which personas have these names.
    fn be_of(&mut self, scene: &Scene, name_of: impl Fn(&PersonaId) -> Option<String>) {
        self.title.clone_from(&scene.title);
        let text = |written: &Option<Written>| written.as_ref().map(|written| written.text.clone());
        self.scenario = text(&scene.scenario).unwrap_or_default();
        self.note = text(&scene.note).map(|text| Note { text, depth: scene.note_depth });
        self.rest = text(&scene.carried).map(|json| object_of(&json)).unwrap_or_default();
        let role = |actor: &Actor| Role {
            name: name_of(&actor.persona).unwrap_or_else(|| actor.name.clone()),
            persona: Some(actor.persona.clone()),
        };
        self.cast = scene.cast.iter().map(role).collect();
        if let Some(lead) = self.cast.first() {
            self.character.clone_from(&lead.name);
        }
        if let Some(first) = scene.players.first().and_then(|player| player.name.as_ref()) {
            self.user.clone_from(first);
        }
        let played =
            scene.players.iter().filter_map(|player| Some((player.name.as_ref()?, &player.description)));
        let waiting = scene.waiting.iter().map(|waiting| (&waiting.name, &waiting.description));
        // The head names the user anyway.
        let says_something =
            |(name, description): &(&String, &String)| **name != self.user || !description.is_empty();
        let characters = played.chain(waiting).filter(says_something);
        self.players = characters
            .map(|(name, description)| Character { name: name.clone(), description: description.clone() })
            .collect();
    }
}

impl Line {
    /// What says something of a turn, or of which another program says something.
    fn of(turn: &Turn) -> Option<Self> {
        let says_something = |text: &str| !sanitize::is_blank(text);
        let is_whole = turn.kind == TurnKind::Hidden || turn.carried.is_some();
        if !is_whole && !says_something(&turn.shown().text) {
            return None;
        }
        let all = turn.variants.iter().map(|variant| variant.text.as_str()).enumerate();
        let ways: Vec<(usize, &str)> = all.filter(|(_, text)| is_whole || says_something(text)).collect();
        let mut rest = turn.carried.as_ref().map(|carried| object_of(&carried.json)).unwrap_or_default();
        let mut extra = take_object(&mut rest, "extra");
        let mut ours = take_object(&mut extra, OURS);
        let told = take_text(&mut ours, "persona").map(PersonaId);
        if !turn.is_as_carried() {
            extra.clear();
            rest.retain(|key, _| !OF_THE_TEXT.contains(&key.as_str()));
        }
        put_object(&mut extra, OURS, ours);
        put_object(&mut rest, "extra", extra);
        Some(Self {
            name: turn.name.clone(),
            who: turn.kind.into(),
            persona: turn.speaker.persona().cloned().or(told),
            said: turn.said.min(LATEST),
            selected: ways.iter().position(|(place, _)| *place == turn.selected).unwrap_or(0),
            ways: ways.into_iter().map(|(_, text)| text.to_owned()).collect(),
            rest,
        })
    }
}

/// What another program has said, which was an object when it came.
fn object_of(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap_or_default()
}
