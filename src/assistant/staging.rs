//! Scenes: they are opened, changed, ended and taken up again here, and a channel points to them meanwhile.

use std::sync::Arc;

use super::following::Change;
use super::live::{Live, now};
use super::{Assistant, LEARNERS};
use crate::chat::addressing::{Author, Incoming};
use crate::chat::history::{Conversation, ConversationId, TurnKind};
use crate::chat::scene::{Actor, Direction, Refused, Scene, SceneState};
use crate::chat::settings::Answers;
use crate::chat::{ChannelId, MemberId, MessageId, Place, sanitize};
use crate::persona::Persona;
use crate::store::{Staged, Store, StoreError};

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
    /// The scene is kept for all who see a channel, and the place is not for all of them.
    #[error("the scene is for all who see the channel")]
    ForAll,
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
        let kept = store.scenes_in(place).await?.into_iter();
        let is_own = |staged: &Staged| {
            let there = staged.place.channel;
            // What is kept for its threads is no burden of the channel's own.
            there == place.channel && staged.home != Some(there)
        };
        if kept.filter(is_own).count() >= SCENES_MAX {
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

    /// Takes a scene up again in a place, of which this channel keeps it.
    ///
    /// # Errors
    /// [`Unstaged`], and nothing has changed.
    pub async fn resume_scene(
        &self,
        place: Place,
        home: Option<ChannelId>,
        (who, moderates): (&Author, bool),
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
        let mut from = place.channel;
        let live = match here {
            Some(live) => live,
            None => {
                let (there, conversation) = self.staged_for(place, which).await?;
                from = there;
                // Whoever could see it must see it still.
                if there != place.channel && home.is_none() {
                    return Err(Unstaged::ForAll);
                }
                let persona = self.lead_of(place, &conversation);
                Arc::new(self.restored(place, conversation, &persona))
            }
        };
        let scene = {
            let mut conversation = live.lock();
            let mut scene = conversation.scene().cloned().ok_or(Unstaged::NoScene)?;
            scene.direct(who.id, moderates, Direction::Resume, now())?;
            scene.home = home;
            conversation.stage(scene.clone());
            scene
        };
        if is_here {
            live.save().await;
            self.scenes.insert(place.channel, scene.state);
        } else {
            let changes = live.lock().take_changes();
            // It may go on in another thread by now.
            if !store.resume_scene(place, from, &changes).await? {
                return Err(Unstaged::NoScene);
            }
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
        let mut known = store.scenes_in(place).await?.into_iter().filter(|staged| staged.is_for(place));
        let scene = known.find(|staged| staged.conversation == which).ok_or(Unstaged::NoScene)?;
        if scene.state != SceneState::Ended {
            return Err(Unstaged::Occupied);
        }
        if !moderates && scene.host != Some(who) {
            return Err(Refused::NotTheirs.into());
        }
        // It may go on in another thread by now.
        if !store.forget_scene(which, scene.place.channel).await? {
            return Err(Unstaged::NoScene);
        }
        self.generator.forget(which.0);
        Ok(scene.title)
    }

    /// A conversation that can be played in a place, though its channel need not point to it, and the channel to which it belongs.
    /// Another place's is not for this one.
    ///
    /// # Errors
    /// [`Unstaged`] when there is none, or it cannot be read.
    pub(super) async fn staged_for(
        &self,
        place: Place,
        which: ConversationId,
    ) -> Result<(ChannelId, Conversation), Unstaged> {
        let store = self.store.as_ref().ok_or(Unstaged::NoScene)?;
        let (there, conversation) = store.conversation(which).await?.ok_or(Unstaged::NoScene)?;
        let is_kept = conversation.scene().is_some_and(|scene| scene.home == Some(there.channel));
        let is_for = there.channel == place.channel || (Some(there.channel) == place.parent && is_kept);
        if is_for { Ok((there.channel, conversation)) } else { Err(Unstaged::NoScene) }
    }

    /// The scenes of a channel and of its threads, and those that the channel of a thread keeps for it, newest first.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub async fn scenes_of(&self, place: Place) -> Result<Vec<Staged>, StoreError> {
        match &self.store {
            Some(store) => store.scenes_in(place).await,
            None => Ok(Vec::new()),
        }
    }

    /// A channel is gone, and nothing of it is at hand any more: its scenes are kept by the channels that they have for that, or else
    /// by this one. Returns the titles of those that were not over, and where they are kept.
    ///
    /// # Errors
    /// A [`StoreError`] when one of them could not be kept; the others are.
    pub(super) async fn keep_scenes(
        &self,
        gone: ChannelId,
        home: Option<ChannelId>,
    ) -> (Vec<(Place, String)>, Result<(), StoreError>) {
        let Some(store) = &self.store else { return (Vec::new(), Ok(())) };
        let there = Place { channel: gone, parent: None, server: None };
        let known = match store.scenes_in(there).await {
            Ok(known) => known,
            Err(error) => return (Vec::new(), Err(error)),
        };
        let (mut lost, mut outcome) = (Vec::new(), Ok(()));
        for staged in known.into_iter().filter(|staged| staged.place.channel == gone) {
            let Some(home) = staged.home.or(home).filter(|home| *home != gone) else { continue };
            let home = Place { channel: home, parent: None, server: staged.place.server };
            match self.keep_scene(store, home, staged.conversation).await {
                Ok(()) if staged.state != SceneState::Ended => lost.push((home, staged.title)),
                Ok(()) => {}
                Err(error) => outcome = Err(error),
            }
        }
        (lost, outcome)
    }

    async fn keep_scene(&self, store: &Store, home: Place, which: ConversationId) -> Result<(), StoreError> {
        let Some((_, mut conversation)) = store.conversation(which).await? else { return Ok(()) };
        conversation.leave_place();
        if let Some(scene) = conversation.scene_mut() {
            scene.state = SceneState::Ended;
            scene.since = now();
            scene.home = Some(home.channel);
        }
        store.keep_beside(home, &conversation.take_changes()).await
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

    /// The live conversation of a place, when it is a scene.
    pub(super) async fn scene_in(&self, place: Place) -> Result<Arc<Live>, Unstaged> {
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

    /// What waits to be answered in a scene is a line of it, also when nobody will answer it.
    pub(super) fn hear_last(&self, live: &Live) {
        for incoming in live.gather() {
            self.hear_unanswered(live, &incoming);
        }
    }

    /// A line that nobody has answered, and nobody will, was said all the same.
    pub(super) fn hear_unanswered(&self, live: &Live, incoming: &Incoming) {
        // Whoever forgets or deletes it looks in here after that is known, so this sees it, or they find what was heard.
        let mut conversation = live.lock();
        let text = match self.change_of(incoming.message) {
            Some(Change::Deleted) => return,
            Some(Change::Edited(text)) => conversation.said_in(&text),
            None => incoming.text.clone(),
        };
        let (author, is_known) = (&incoming.author, conversation.turn_of(incoming.message).is_some());
        if is_known || self.is_unread(author.id, incoming.posted) || sanitize::is_blank(&text) {
            return;
        }
        conversation.now = now();
        let name = conversation.speaks_as(author.id, &author.name).to_owned();
        conversation.hear(author.id, &name, &text, Some(incoming.message));
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
