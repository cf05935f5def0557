//! Scenes: they are opened, changed, ended and taken up again here, and a channel points to them meanwhile.

use std::sync::Arc;

use super::accepted::{Accepted, Known};
use super::following::Change;
use super::live::{Live, now};
use super::troupe::Found;
use super::{Assistant, LEARNERS};
use crate::chat::addressing::{Author, Incoming};
use crate::chat::history::{Conversation, ConversationId, TurnKind};
use crate::chat::notice::{self, Notice};
use crate::chat::scene::{Actor, Direction, Refused, Scene, SceneState};
use crate::chat::settings::Answers;
use crate::chat::{ChannelId, MemberId, MessageId, Place, sanitize};
use crate::persona::{Persona, PersonaId};
use crate::store::{Staged, Store, StoreError};

/// The persona that tells what happens, and need not be among those who play.
pub const NARRATOR: &str = "narrator";

/// Most scenes of a channel that are kept.
const SCENES_MAX: usize = 50;

/// Why something of a scene cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Unstaged {
    /// Nothing is written down, so no scene can be kept.
    #[error("nothing is written down")]
    NotKept,
    /// Another scene is played there.
    #[error("another scene is played there")]
    Occupied,
    /// No scene is played there.
    #[error("no scene is played there")]
    NoScene,
    /// So many scenes are kept there that there is no room for one more.
    #[error("{SCENES_MAX} scenes are kept there")]
    TooMany,
    /// It is refused by the scene itself.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The database has failed.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// What a message is where a scene is.
pub(super) enum Part {
    /// There is none.
    NoScene,
    /// It is no part of the scene, and nothing is done with it.
    None,
    /// It is said to a persona while the scene waits.
    Early,
    /// It is a line of the scene.
    Line,
}

/// Who speaks next.
pub(super) struct Next {
    /// The persona.
    pub(super) persona: Arc<Persona>,
    /// What is said before, once.
    pub(super) before: Vec<String>,
}

impl Assistant {
    /// Has at hand which channels point to scenes.
    pub(super) async fn recall_scenes(&self, store: &Store) -> Result<(), StoreError> {
        for (channel, state) in store.on_stage().await? {
            self.scenes.insert(channel, state);
        }
        Ok(())
    }

    /// Which messages are listened to in a place: where a scene is played, and the bot can read them, all of them.
    #[must_use]
    pub fn hears_in(&self, place: Place) -> Answers {
        match self.answers_in(place) {
            Answers::Nothing => Answers::Nothing,
            _ if self.reads_everything() && self.is_played_in(place.channel) => Answers::Everything,
            answers => answers,
        }
    }

    /// Whether a message is a line of the scene of its channel, though it is not said to anybody. What was written before somebody
    /// played is none.
    pub(super) fn is_line_of_scene(&self, incoming: &Incoming) -> bool {
        let live = self.live_in(incoming.channel).filter(|_| self.is_played_in(incoming.channel));
        let hears = |live: Arc<Live>| {
            live.lock().scene().is_some_and(|scene| scene.hears(incoming.author.id, incoming.posted))
        };
        live.is_some_and(hears)
    }

    /// Whether a scene is played in a channel.
    pub(super) fn is_played_in(&self, channel: ChannelId) -> bool {
        self.scenes.get(&channel).is_some_and(|state| *state == SceneState::Running)
    }

    /// What a message is for the scene of its channel; what is out of character is taken out of it. Where the bot cannot read
    /// everything, whoever speaks to a persona plays from then on.
    pub(super) fn part_of(&self, live: &Live, incoming: &mut Incoming, is_spoken_to: bool) -> Part {
        let mut conversation = live.lock();
        let Some(scene) = conversation.scene() else { return Part::NoScene };
        let said = conversation.said_in(&incoming.text);
        let is_aside = said.is_empty() && !incoming.text.trim().is_empty();
        let author = incoming.author.id;
        let plays = scene.player(author).is_some();
        match scene.state {
            _ if is_aside => return Part::None,
            SceneState::Ended => return Part::NoScene,
            SceneState::Paused => return if is_spoken_to { Part::Early } else { Part::None },
            SceneState::Running if !plays && !is_spoken_to => return Part::None,
            SceneState::Running => {}
        }
        let may_play = !self.is_opted_out(author) && !self.is_denied(live.place, &incoming.author);
        let joins = !plays && may_play && (!self.reads_everything() || live.place.server.is_none());
        if joins && let Some(scene) = conversation.scene_mut() {
            // Where there are too many the others go on, and this is answered all the same.
            let _ = scene.direct(author, false, Direction::Join(incoming.author.name.clone()), now());
        }
        incoming.text = said;
        Part::Line
    }

    /// Opens a scene in a place with this persona, which then speaks first. The channel points to it from then on.
    ///
    /// # Errors
    /// [`Unstaged`], and the channel points to what it did.
    pub async fn open_scene(
        &self,
        place: Place,
        persona: &Arc<Persona>,
        mut scene: Scene,
    ) -> Result<(), Unstaged> {
        scene.cast = vec![Actor::of(persona)];
        self.open_scene_with(place, persona, scene, |_| ()).await
    }

    /// The same with what was said in it before, which `prepare` writes down.
    pub(super) async fn open_scene_with(
        &self,
        place: Place,
        persona: &Arc<Persona>,
        scene: Scene,
        prepare: impl FnOnce(&mut Conversation) + Send,
    ) -> Result<(), Unstaged> {
        let Some(store) = &self.store else { return Err(Unstaged::NotKept) };
        let _one_at_a_time = self.stagehand(place.channel).lock().await;
        let kept = store.scenes_in(place.channel).await?.into_iter();
        if kept.filter(|staged| staged.place.channel == place.channel).count() >= SCENES_MAX {
            return Err(Unstaged::TooMany);
        }
        self.leave_stage(place).await?;
        let live =
            self.begin(self.new_conversation(), Arc::clone(persona), place, self.memory(place.channel));
        let changes = {
            let mut conversation = live.lock();
            conversation.stage(scene);
            prepare(&mut conversation);
            conversation.take_changes()
        };
        store.begin_scene(place, &changes).await?;
        self.enter(place.channel, Arc::new(live));
        Ok(())
    }

    /// Changes something of the scene of a place, and returns it as it is then. One that ends is left: the channel points to what it
    /// pointed to before.
    ///
    /// # Errors
    /// [`Unstaged`], and nothing has changed.
    pub async fn direct(
        &self,
        place: Place,
        who: &Author,
        moderates: bool,
        direction: Direction,
    ) -> Result<Scene, Unstaged> {
        let _one_at_a_time = self.stagehand(place.channel).lock().await;
        let live = self.scene_in(place).await?;
        let Some(store) = &self.store else { return Err(Unstaged::NotKept) };
        let scene = {
            // Whatever is taken in now is taken in by what holds now.
            let _one_at_a_time = self.taking_in();
            let mut conversation = live.lock();
            let mut scene = conversation.scene().cloned().ok_or(Unstaged::NoScene)?;
            scene.direct(who.id, moderates, direction, now())?;
            conversation.stage(scene.clone());
            self.scenes.insert(place.channel, scene.state);
            scene
        };
        if scene.state != SceneState::Running {
            self.hear_last(&live);
            self.still(&live).await;
        }
        live.save().await;
        if scene.state == SceneState::Ended {
            let changes = live.lock().take_changes();
            let ended = store.end_scene(place, &changes).await;
            if ended.is_err() {
                live.lock().give_back(&changes);
            }
            ended?;
            self.leave(place.channel);
            // The next message finds what was there before at hand.
            self.bring(place).await;
        } else {
            self.play_anew(|there| there.channel == place.channel);
        }
        Ok(scene)
    }

    /// Takes a scene of a place up again.
    ///
    /// # Errors
    /// [`Unstaged`], and nothing has changed.
    pub async fn resume_scene(
        &self,
        place: Place,
        who: &Author,
        moderates: bool,
        which: ConversationId,
    ) -> Result<Scene, Unstaged> {
        let Some(store) = &self.store else { return Err(Unstaged::NotKept) };
        let _one_at_a_time = self.stagehand(place.channel).lock().await;
        let here = self.bring(place).await.filter(|live| live.lock().id == which);
        let is_here = here.is_some();
        if !is_here {
            self.leave_stage(place).await?;
        }
        // Nobody forgets anything of it between the reading and its being at hand.
        let _nobody_forgets = self.forgetting.read().await;
        let live = match here {
            Some(live) => live,
            None => {
                // Another place's scene is not for this one.
                let known =
                    store.conversation(which).await?.filter(|(there, _)| there.channel == place.channel);
                let (_, conversation) = known.ok_or(Unstaged::NoScene)?;
                let persona = self.lead_of(place, &conversation);
                Arc::new(self.restored(place, conversation, &persona))
            }
        };
        let scene = {
            let mut conversation = live.lock();
            let mut scene = conversation.scene().cloned().ok_or(Unstaged::NoScene)?;
            scene.direct(who.id, moderates, Direction::Resume, now())?;
            conversation.stage(scene.clone());
            scene
        };
        if is_here {
            live.save().await;
            self.scenes.insert(place.channel, scene.state);
        } else {
            let changes = live.lock().take_changes();
            store.resume_scene(place, &changes).await?;
            self.enter(place.channel, live);
        }
        Ok(scene)
    }

    /// Deletes a scene of a place that is over, for good, because whoever has opened it, or a moderator, wants it. Returns its title.
    ///
    /// # Errors
    /// [`Unstaged`], and nothing has changed.
    pub async fn drop_scene(
        &self,
        place: Place,
        who: MemberId,
        moderates: bool,
        which: ConversationId,
    ) -> Result<String, Unstaged> {
        let Some(store) = &self.store else { return Err(Unstaged::NotKept) };
        let _one_at_a_time = self.stagehand(place.channel).lock().await;
        if self.live_in(place.channel).is_some_and(|live| live.lock().id == which) {
            return Err(Unstaged::Occupied);
        }
        let known = store.scenes_in(place.channel).await?.into_iter();
        let scene = known.filter(|staged| staged.place.channel == place.channel);
        let scene = scene.into_iter().find(|staged| staged.conversation == which).ok_or(Unstaged::NoScene)?;
        if scene.state != SceneState::Ended {
            return Err(Unstaged::Occupied);
        }
        if !moderates && scene.host != Some(who) {
            return Err(Refused::NotTheirs.into());
        }
        store.forget_conversation(which).await?;
        self.generator.forget(which.0);
        Ok(scene.title)
    }

    /// The scenes of a channel and of its threads, newest first.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn scenes_of(&self, place: Place) -> Result<Vec<Staged>, StoreError> {
        match &self.store {
            Some(store) => store.scenes_in(place.channel).await,
            None => Ok(Vec::new()),
        }
    }

    /// A thread is gone, which everybody could see who sees its parent: its scenes are kept there. Returns the titles of those that
    /// were not over. To be called before everything else of the thread is forgotten.
    pub async fn keep_scenes_of(&self, thread: Place) -> Vec<String> {
        let (Some(store), Some(parent)) = (&self.store, thread.parent) else { return Vec::new() };
        let _one_at_a_time = self.stagehand(thread.channel).lock().await;
        if let Some(live) = self.live_in(thread.channel) {
            self.still(&live).await;
            live.save().await;
            live.cease().await;
        }
        // Nothing is forgotten of it between the reading and the writing.
        let _nobody_forgets = self.forgetting.read().await;
        let home = Place { channel: parent, parent: None, server: thread.server };
        let mut titles = Vec::new();
        let moved = async {
            for staged in store.scenes_in(thread.channel).await? {
                let Some((_, mut conversation)) = store.conversation(staged.conversation).await? else {
                    continue;
                };
                conversation.leave_place();
                if let Some(scene) = conversation.scene_mut() {
                    scene.state = SceneState::Ended;
                }
                store.keep_beside(home, &conversation.take_changes()).await?;
                if staged.state != SceneState::Ended {
                    titles.push(staged.title);
                }
            }
            Ok::<(), StoreError>(())
        };
        if let Err(error) = moved.await {
            tracing::error!("a scene of a thread that is gone could not be kept: {error}");
        }
        titles
    }

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

    /// A member tells something in the scene of a place, in this message, or brings a fact about. Whether it is part of a scene.
    pub async fn tell_in_scene(
        &self,
        place: Place,
        who: &Author,
        kind: TurnKind,
        text: &str,
        message: MessageId,
    ) -> bool {
        let Ok(live) = self.scene_in(place).await else { return false };
        {
            let mut conversation = live.lock();
            let plays = conversation.scene().is_some_and(|scene| scene.player(who.id).is_some());
            if !conversation.is_played() || !plays || self.is_opted_out(who.id) {
                return false;
            }
            conversation.now = now();
            let name = conversation.speaks_as(who.id, &who.name).to_owned();
            conversation.tell(kind, who.id, &name, text, Some(message));
        }
        live.save().await;
        true
    }

    /// As whom a member speaks in the scene that is played in a place, if they play in one.
    pub async fn player_in(&self, place: Place, who: &Author) -> Option<String> {
        let live = self.scene_in(place).await.ok()?;
        let conversation = live.lock();
        let plays = conversation.scene()?.player(who.id).is_some() && conversation.is_played();
        plays.then(|| conversation.speaks_as(who.id, &who.name).to_owned())
    }

    /// The scene to which a channel points, as it is, when it is at hand.
    #[must_use]
    pub fn scene_at_hand(&self, place: Place) -> Option<Scene> {
        self.live_in(place.channel)?.lock().scene().cloned()
    }

    /// The scene to which a channel points, as it is.
    ///
    /// # Errors
    /// [`Unstaged`] when there is none.
    pub async fn scene_of(&self, place: Place) -> Result<Scene, Unstaged> {
        let live = self.scene_in(place).await?;
        let scene = live.lock().scene().cloned();
        scene.ok_or(Unstaged::NoScene)
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

    /// The live conversation of a place, when it is a scene.
    async fn scene_in(&self, place: Place) -> Result<Arc<Live>, Unstaged> {
        let live = self.bring(place).await.ok_or(Unstaged::NoScene)?;
        let is_scene = live.lock().scene().is_some_and(|scene| scene.state != SceneState::Ended);
        if is_scene { Ok(live) } else { Err(Unstaged::NoScene) }
    }

    /// What is being said in the place's conversation comes to rest, and is written down, so that another one can take its place.
    async fn leave_stage(&self, place: Place) -> Result<(), Unstaged> {
        if self.scenes.contains_key(&place.channel) {
            return Err(Unstaged::Occupied);
        }
        if let Some(live) = self.bring(place).await {
            self.still(&live).await;
            live.save().await;
        }
        Ok(())
    }

    /// Nothing is said in a conversation any more when this returns.
    pub(super) async fn still(&self, live: &Arc<Live>) {
        self.until_stopped(|running| Arc::ptr_eq(&running.live, live)).await;
    }

    /// What waits to be answered in a scene that stops is a line of it all the same.
    fn hear_last(&self, live: &Live) {
        for incoming in live.gather() {
            let (author, posted) = (&incoming.author, incoming.posted);
            if self.is_unread(author.id, posted) || self.change_of(incoming.message) == Some(Change::Deleted)
            {
                continue;
            }
            let mut conversation = live.lock();
            if conversation.turn_of(incoming.message).is_none() && !sanitize::is_blank(&incoming.text) {
                conversation.now = now();
                let name = conversation.speaks_as(author.id, &author.name).to_owned();
                conversation.hear(author.id, &name, &incoming.text, Some(incoming.message));
            }
        }
    }

    /// The channel points to no scene any more.
    fn leave(&self, channel: ChannelId) {
        let _one_at_a_time = self.taking_in();
        self.drop_conversation_in(channel);
        self.dressed.remove(&channel);
        self.scenes.remove(&channel);
    }

    /// From now on this is the conversation to which a channel points.
    pub(super) fn enter(&self, channel: ChannelId, live: Arc<Live>) {
        let _one_at_a_time = self.taking_in();
        self.drop_conversation_in(channel);
        self.dressed.remove(&channel);
        let (id, state) = {
            let conversation = live.lock();
            (conversation.id, conversation.scene().map(|scene| scene.state))
        };
        match state {
            Some(state) => drop(self.scenes.insert(channel, state)),
            None => drop(self.scenes.remove(&channel)),
        }
        self.keep(id, live);
    }

    /// Whoever changes to what a channel points waits for this.
    pub(super) fn stagehand(&self, channel: ChannelId) -> &tokio::sync::Mutex<()> {
        &self.staging[usize::try_from((channel.0 >> 22) % LEARNERS as u64).unwrap_or_default()]
    }
}
