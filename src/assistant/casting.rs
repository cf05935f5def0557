//! Who speaks next: in a scene whom somebody wants, or whom the last line names, or the next one of those who play and can.

use std::sync::Arc;

use super::accepted::{Accepted, Known};
use super::live::{Live, now};
use super::troupe::Found;
use super::{Assistant, Unstaged};
use crate::chat::addressing::{Author, Incoming};
use crate::chat::history::Conversation;
use crate::chat::notice::{self, Notice};
use crate::chat::scene::{Actor, Refused, SceneState};
use crate::chat::{MemberId, MessageId, Place};
use crate::persona::{Persona, PersonaId};

/// The persona that tells what happens, and need not be among those who play.
pub const NARRATOR: &str = "narrator";

/// Who speaks next.
pub(super) struct Next {
    /// The persona.
    pub(super) persona: Arc<Persona>,
    /// What is said before, once.
    pub(super) before: Vec<String>,
}

impl Assistant {
    /// A persona is to speak in the scene of a place, because a member who plays there, or moderates, wants it; `id` is a number that
    /// no message has. Without a persona it is the next one.
    ///
    /// # Errors
    /// [`Unstaged`] when nobody is to speak there; what else there is to say is told by [`Accepted::answer`].
    pub async fn give_the_word(
        self: &Arc<Self>,
        place: Place,
        who: &Author,
        moderates: bool,
        persona: Option<PersonaId>,
        id: MessageId,
    ) -> Result<Option<Accepted>, Unstaged> {
        let live = self.scene_in(place).await?;
        {
            let conversation = live.lock();
            let scene = conversation.scene().ok_or(Unstaged::NoScene)?;
            if !moderates && scene.player(who.id).is_none() {
                return Err(Refused::NotTheirs.into());
            }
            // Whoever tells what happens need not play.
            let is_there = |persona: &PersonaId| {
                scene.has(persona)
                    || (persona.0 == NARRATOR && self.actor(place, scene.host, persona).is_some())
            };
            if !persona.as_ref().is_none_or(is_there) {
                return Err(Refused::NotThere.into());
            }
            if scene.state != SceneState::Running {
                return Err(Unstaged::NoScene);
            }
        }
        if self.closing.is_cancelled() {
            return Ok(None);
        }
        let _one_at_a_time = self.taking_in();
        let incoming = Incoming::wordless(id, place, who.clone(), now());
        let accepted = self.begin_answer(incoming, live, Known::New, true, None);
        Ok(accepted.map(|accepted| accepted.on_cue(persona)))
    }

    /// Who speaks next in a conversation: in a scene whom somebody wants, or whom the last line names, or the next one of those who
    /// play and can. `None` when nobody can; the scene waits then.
    pub(super) async fn next_to_speak(
        &self,
        live: &Live,
        wanted: Option<&PersonaId>,
        last: &Incoming,
    ) -> Option<Next> {
        let (scene, order) = {
            let conversation = live.lock();
            let Some(scene) = conversation.scene() else {
                return Some(Next { persona: live.persona(), before: Vec::new() });
            };
            let answered = last.reply_to.as_ref().and_then(|reply| conversation.turn_of(reply.message));
            let answered = answered.and_then(|turn| turn.speaker.persona());
            let order = scene.order(&last.text, conversation.last_spoken());
            let mut order: Vec<Actor> = order.into_iter().cloned().collect();
            if let Some(narrator) = wanted.filter(|wanted| !scene.has(wanted))
                && let Some(narrator) = self.actor(live.place, scene.host, narrator)
            {
                order.insert(0, Actor::of(&narrator));
            }
            // The sort is stable: whoever is meant comes first, and the others stay as they are.
            order.sort_by_key(|actor| Some(&actor.persona) != wanted.or(answered));
            (scene.clone(), order)
        };
        let found: Vec<(Actor, Option<Arc<Persona>>)> = order
            .into_iter()
            .map(|actor| {
                let persona = self.actor(live.place, scene.host, &actor.persona);
                (actor, persona)
            })
            .collect();
        let next = found.iter().find_map(|(_, persona)| persona.clone());
        let mut before = Vec::new();
        let changed: Vec<Actor> = found
            .iter()
            .filter_map(|(actor, persona)| match persona {
                None if !actor.is_missing => {
                    before.push(notice::plays_no_more(&actor.name));
                    Some(Actor { is_missing: true, ..actor.clone() })
                }
                // Only of whoever speaks now it matters how they are.
                Some(persona) if Some(persona) == next.as_ref() && *actor != Actor::of(persona) => {
                    if actor.version != persona.version {
                        before.push(notice::plays_anew(&actor.name));
                    }
                    Some(Actor::of(persona))
                }
                _ => None,
            })
            .collect();
        if scene.departed > 0 {
            before.push(Notice::Departed.to_string());
        }
        if !before.is_empty() || !changed.is_empty() || next.is_none() {
            self.note_cast(live, changed, next.is_none());
            live.save().await;
        }
        next.map(|persona| Next { persona, before })
    }

    /// Notes how those who play are seen now, and that the others were told of those who do not play any more. Where nobody plays the
    /// scene waits.
    fn note_cast(&self, live: &Live, changed: Vec<Actor>, nobody_plays: bool) {
        let mut conversation = live.lock();
        let Some(scene) = conversation.scene_mut() else { return };
        for actor in changed {
            if let Some(known) = scene.cast.iter_mut().find(|known| known.persona == actor.persona) {
                *known = actor;
            }
        }
        scene.departed = 0;
        if nobody_plays {
            scene.state = SceneState::Paused;
            self.scenes.insert(live.place.channel, SceneState::Paused);
        }
    }

    /// A persona that plays in a scene of a place, if it can be played there.
    pub(super) fn actor(&self, place: Place, host: Option<MemberId>, id: &PersonaId) -> Option<Arc<Persona>> {
        let own = match place.server {
            Some(server) => self.own(server, id),
            None => host.and_then(|host| self.made_by(host).into_iter().find(|own| own.persona.id == *id)),
        };
        let Some(own) = own else { return self.common(id) };
        let found = Found::Own(own);
        let is_for_all = place.server.is_none() || !found.is_private();
        (is_for_all && self.may_play_in(&found, place)).then(|| Arc::clone(found.persona()))
    }

    /// Who plays in a conversation where nobody is to speak yet.
    pub(super) fn lead_of(&self, place: Place, conversation: &Conversation) -> Arc<Persona> {
        let lead = conversation.scene().and_then(|scene| {
            scene.cast.iter().find_map(|actor| self.actor(place, scene.host, &actor.persona))
        });
        lead.unwrap_or_else(|| self.persona_of(place))
    }
}
