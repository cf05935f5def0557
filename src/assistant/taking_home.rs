//! What a channel remembers, to be taken elsewhere, and a chat from elsewhere as a scene.

use std::sync::Arc;

use super::live::{now, speaker};
use super::{Assistant, Unstaged};
use crate::chat::addressing::Author;
use crate::chat::history::{Conversation, ConversationId};
use crate::chat::scene::{Actor, CAST_MAX, Direction, Scene, Written};
use crate::chat::tavern::{Chat, Role};
use crate::chat::{ChannelId, Place, sanitize};
use crate::persona::{Note, Persona};

impl Assistant {
    /// A conversation of a place: the one to which the channel points, or another one of its own.
    ///
    /// # Errors
    /// [`Unstaged`] when there is none, or it cannot be read.
    pub async fn remembered(
        &self,
        place: Place,
        which: Option<ConversationId>,
    ) -> Result<Conversation, Unstaged> {
        let live = self.bring(place).await;
        let current = live.map(|live| live.lock().clone());
        let is_meant = |known: &Conversation| which.is_none_or(|which| which == known.id);
        if let Some(current) = current.filter(is_meant) {
            return Ok(current);
        }
        let (_, conversation) = self.staged_for(place, which.ok_or(Unstaged::NoScene)?).await?;
        Ok(conversation)
    }

    /// The personas that have spoken in a conversation of a place, or play in it, as far as they can be played there.
    #[must_use]
    pub fn personas_of(&self, place: Place, conversation: &Conversation) -> Vec<Arc<Persona>> {
        let scene = conversation.scene();
        let host = scene.and_then(|scene| scene.host);
        let cast = scene.into_iter().flat_map(|scene| &scene.cast).map(|actor| &actor.persona);
        let spoken = conversation.turns().iter().filter_map(|turn| turn.speaker.persona());
        let mut personas: Vec<Arc<Persona>> = Vec::new();
        for id in cast.chain(spoken) {
            let is_new = personas.iter().all(|known| known.id != *id);
            personas.extend(self.actor(place, host, id).filter(|_| is_new));
        }
        personas
    }

    /// Opens a scene in a place that begins with what was said in a chat from elsewhere, with these personas for its characters. Whoever
    /// has brought it plays its user; the characters of others wait for them.
    ///
    /// # Errors
    /// [`Unstaged`], and the channel points to what it did.
    pub async fn take_in_scene(
        &self,
        place: Place,
        home: Option<ChannelId>,
        who: &Author,
        chat: &Chat,
        cast: &[(Role, Arc<Persona>)],
    ) -> Result<(), Unstaged> {
        let lead = cast.first().map_or_else(|| self.persona_of(place), |(_, persona)| Arc::clone(persona));
        let mut scene = Scene { home, ..Scene::new(&chat.title, who.id, now()) };
        for (_, persona) in cast.iter().take(CAST_MAX) {
            scene.direct(who.id, true, Direction::Add(Actor::of(persona)), now())?;
        }
        scene.direct(who.id, true, Direction::About(chat.scenario.clone()), now())?;
        if let Some(Note { text, depth }) = chat.note.clone() {
            scene.direct(who.id, true, Direction::Note { text, depth: Some(depth) }, now())?;
        }
        for player in &chat.players {
            scene.expect(&player.name, &player.description, who.id);
        }
        let name = sanitize::name(&chat.user);
        if name.chars().any(char::is_alphanumeric) && !scene.has_name_of_another(&name, who.id) {
            let description = String::new();
            scene.direct(who.id, true, Direction::Play { name, description }, now())?;
        }
        scene.carried = (!chat.rest.is_empty())
            .then(|| Written { text: serde_json::json!(chat.rest).to_string(), by: who.id });
        let blocklist = self.blocklist_in(place);
        let is_new = self.retention_days(place.server).is_some();
        self.open_scene_with(place, &lead, scene, |conversation| {
            let known = |role: &Role| {
                let persona = cast.iter().find(|(known, _)| known.is_same(role));
                persona.map(|(_, persona)| (speaker(persona), persona.char_name().to_owned()))
            };
            // Where what is old goes by itself, all of it would go at once.
            chat.take_in(conversation, (who.id, &blocklist), known, (now(), is_new));
        })
        .await
    }
}
