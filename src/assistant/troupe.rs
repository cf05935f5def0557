//! The personas that belong to servers: who may play them and where, and whom members have chosen in direct messages.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use super::Assistant;
use crate::chat::prompt::{Prompt, Segment};
use crate::chat::settings::ServerPersona;
use crate::chat::{ChannelId, MemberId, Place, ServerId};
use crate::persona::lint::{self, Report};
use crate::persona::{Persona, PersonaId};
use crate::store::{ChosenAlone, Playable, Store, StoreError};

/// What stands between a persona's id and its server's where a member is alone with the bot.
const OF_SERVER: char = '@';

/// A persona that belongs to a server, as it is played there.
#[derive(Debug, Clone)]
pub struct Own {
    /// The server.
    pub server: ServerId,
    /// Who may play it.
    pub standing: ServerPersona,
    /// As it is played.
    pub persona: Arc<Persona>,
}

/// The personas of one server.
pub(super) type Troupe = BTreeMap<PersonaId, Own>;

/// A persona that a member has named.
#[derive(Debug, Clone)]
pub enum Found {
    /// It comes with the bot.
    Common(Arc<Persona>),
    /// It belongs to a server.
    Own(Own),
}

impl Found {
    /// The persona itself.
    #[must_use]
    pub fn persona(&self) -> &Arc<Persona> {
        match self {
            Self::Common(persona) => persona,
            Self::Own(own) => &own.persona,
        }
    }

    /// Whether it is its creator's alone.
    #[must_use]
    pub fn is_private(&self) -> bool {
        matches!(self, Self::Own(own) if !own.standing.shared)
    }

    /// Whether it plays in age-restricted channels only.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        matches!(self, Self::Own(own) if !own.standing.plays_everywhere())
    }
}

impl Assistant {
    /// Has at hand whom members have chosen in direct messages.
    pub(super) async fn recall_chosen(&self, store: &Store) -> Result<(), StoreError> {
        for chosen in store.chosen_alone().await? {
            self.alone.insert(chosen.channel, chosen);
        }
        Ok(())
    }

    /// Has the personas of a server at hand.
    pub(super) async fn learn_troupe(&self, store: &Store, server: ServerId) -> Result<(), StoreError> {
        let playable = store.playable_personas_of(server).await?;
        // Large lorebooks take a moment to be made ready.
        let read = tokio::task::spawn_blocking(move || {
            playable.into_iter().filter_map(|playable| own_or_none(server, playable)).collect::<Troupe>()
        });
        match read.await {
            Ok(troupe) => {
                self.troupes.insert(server, Arc::new(troupe));
            }
            Err(_) => tracing::error!("the personas of a server were not read: the program ends"),
        }
        Ok(())
    }

    /// Has at hand what is set where a place is, and the persona that was chosen for it.
    pub async fn learn_for(&self, place: Place) {
        let chosen = || self.alone.get(&place.channel).and_then(|chosen| chosen.server);
        if let Some(server) = place.server.or_else(chosen) {
            self.learn(server).await;
        }
    }

    /// The personas that belong to a server.
    #[must_use]
    pub fn troupe(&self, server: ServerId) -> Vec<Own> {
        self.troupes.get(&server).map(|troupe| troupe.values().cloned().collect()).unwrap_or_default()
    }

    /// Whether a persona that has spoken in a place was made by a member.
    #[must_use]
    pub fn is_by(&self, place: Place, id: &PersonaId, member: MemberId) -> bool {
        let chosen = || self.alone.get(&place.channel).and_then(|chosen| chosen.server);
        let server = place.server.or_else(chosen);
        server.and_then(|server| self.own(server, id)).is_some_and(|own| own.standing.creator == Some(member))
    }

    /// The persona with this id that comes with the bot, if there is one.
    pub(super) fn common(&self, id: &PersonaId) -> Option<Arc<Persona>> {
        self.cast.read().unwrap_or_else(PoisonError::into_inner).library.get(id).map(Arc::clone)
    }

    /// Whether a persona that comes with the bot has this id.
    #[must_use]
    pub fn is_common(&self, id: &PersonaId) -> bool {
        self.common(id).is_some()
    }

    /// An id for a new persona of a server: what its name makes, with a number where that is taken.
    #[must_use]
    pub fn free_id(&self, server: ServerId, name: &str) -> PersonaId {
        let id = PersonaId::of_name(name).unwrap_or_else(|| PersonaId("persona".to_owned()));
        let is_taken = |id: &PersonaId| self.is_common(id) || self.own(server, id).is_some();
        let numbered = (2..).map(|number| id.numbered(number));
        std::iter::once(id.clone()).chain(numbered).find(|id| !is_taken(id)).unwrap_or(id)
    }

    /// Whom a member may play in a place, each with the id under which it is found there.
    #[must_use]
    pub fn personas(&self, place: Place, member: MemberId) -> Vec<(PersonaId, Found)> {
        let all = self.known_to(place, member).into_iter();
        all.filter(|(_, found)| self.may_play_in(found, place)).collect()
    }

    /// The persona with this id or name, if a member may play it; not everywhere, see [`Self::may_play_in`].
    ///
    /// # Errors
    /// The ids of those who have that name, if several of a server's have it; none if nobody has it.
    pub fn persona_named(
        &self,
        wanted: &str,
        place: Place,
        member: MemberId,
    ) -> Result<Found, Vec<PersonaId>> {
        let wanted = wanted.trim().to_lowercase();
        let all = self.known_to(place, member);
        let own_id = |found: &Found| found.persona().id.0.to_lowercase();
        let by_id = all.iter().find(|(id, found)| id.0.to_lowercase() == wanted || own_id(found) == wanted);
        if let Some((_, found)) = by_id {
            return Ok(found.clone());
        }
        let is_named = |found: &Found| found.persona().card.name.trim().to_lowercase() == wanted;
        let named: Vec<&(PersonaId, Found)> = all.iter().filter(|(_, found)| is_named(found)).collect();
        // Those of the server stand first, and go before those that come with the bot.
        let theirs = named.iter().take_while(|(_, found)| matches!(found, Found::Own(_))).count();
        match named.first() {
            Some((_, found)) if theirs < 2 => Ok(found.clone()),
            _ => Err(named.into_iter().take(theirs).map(|(id, _)| id.clone()).collect()),
        }
    }

    /// Whether a persona may play in a place: one that is for adults, or of which nobody has said that it is not, plays in
    /// age-restricted channels and their threads only.
    #[must_use]
    pub fn may_play_in(&self, found: &Found, place: Place) -> bool {
        !found.is_restricted() || self.is_age_restricted(place)
    }

    /// Everybody whom a member may play somewhere, those of the server first, each with the id under which it is found there.
    fn known_to(&self, place: Place, member: MemberId) -> Vec<(PersonaId, Found)> {
        let own: Vec<(PersonaId, Own)> = match place.server {
            Some(server) => {
                let troupe = self.troupe(server).into_iter();
                let theirs = troupe.filter(|own| own.standing.is_for(member));
                theirs.map(|own| (own.persona.id.clone(), own)).collect()
            }
            // Two servers may have personas of one id.
            None => self
                .made_by(member)
                .into_iter()
                .map(|own| (PersonaId(format!("{}{OF_SERVER}{}", own.persona.id, own.server)), own))
                .collect(),
        };
        let cast = self.cast.read().unwrap_or_else(PoisonError::into_inner);
        let is_other = |id: &PersonaId| own.iter().all(|(own, _)| own != id);
        let common: Vec<(PersonaId, Found)> = cast
            .library
            .iter()
            .filter(|(id, _)| is_other(id))
            .map(|(id, persona)| (id.clone(), Found::Common(Arc::clone(persona))))
            .collect();
        own.into_iter().map(|(id, own)| (id, Found::Own(own))).chain(common).collect()
    }

    /// The personas that a member has made, in whatever server.
    pub(super) fn made_by(&self, member: MemberId) -> Vec<Own> {
        let theirs = |own: &&Own| own.standing.creator == Some(member);
        let mut made: Vec<Own> = self
            .troupes
            .iter()
            .flat_map(|troupe| troupe.values().filter(theirs).cloned().collect::<Vec<_>>())
            .collect();
        made.sort_by(|one, other| (one.server, &one.persona.id).cmp(&(other.server, &other.persona.id)));
        made
    }

    pub(super) fn own(&self, server: ServerId, id: &PersonaId) -> Option<Own> {
        self.troupes.get(&server)?.get(id).cloned()
    }

    /// Whom somebody has chosen for a place, though it may not play there now: the server to which it belongs, and its id.
    fn chosen_for(&self, place: Place) -> Option<(Option<ServerId>, PersonaId)> {
        match place.server {
            Some(server) => Some((Some(server), self.rules_of(place)?.persona(place)?)),
            None => {
                let chosen = self.alone.get(&place.channel)?;
                Some((chosen.server, chosen.persona.clone()))
            }
        }
    }

    /// Whom somebody has chosen for a place, if it may play there.
    pub(super) fn chosen_in(&self, place: Place) -> Option<Arc<Persona>> {
        let (server, id) = self.chosen_for(place)?;
        let own = server.and_then(|server| self.own(server, &id));
        let Some(own) = own else {
            // One of another server is not looked for among those that come with the bot.
            let is_common = server == place.server;
            return self.common(&id).filter(|_| is_common);
        };
        let is_theirs = match place.server {
            Some(_) => own.standing.shared,
            None => self.alone.get(&place.channel).is_some_and(|it| own.standing.creator == Some(it.member)),
        };
        let found = Found::Own(own);
        (is_theirs && self.may_play_in(&found, place)).then(|| Arc::clone(found.persona()))
    }

    /// Whom somebody has chosen for a place and who may not play there: it is gone, or private, or for adults.
    #[must_use]
    pub fn missing_in(&self, place: Place) -> Option<PersonaId> {
        let (_, id) = self.chosen_for(place)?;
        self.chosen_in(place).is_none().then_some(id)
    }

    /// A member chooses who plays in their direct messages, from the next reply on; `None` takes it back.
    ///
    /// # Errors
    /// A [`StoreError`]; then nothing has changed.
    pub async fn choose_alone(
        &self,
        place: Place,
        member: MemberId,
        found: Option<&Found>,
    ) -> Result<(), StoreError> {
        let channel = place.channel;
        if let Some(found) = found {
            let server = if let Found::Own(own) = found { Some(own.server) } else { None };
            let chosen = ChosenAlone { channel, member, server, persona: found.persona().id.clone() };
            if let Some(store) = &self.store {
                store.choose_alone(&chosen).await?;
            }
            self.alone.insert(channel, chosen);
        } else {
            if let Some(store) = &self.store {
                store.choose_nobody(channel).await?;
            }
            self.alone.remove(&channel);
        }
        self.play_anew(|there| there.channel == channel);
        Ok(())
    }

    /// What belonged to a member who was forgotten is nobody's.
    pub(super) async fn forget_creator(&self, member: MemberId) {
        self.alone.retain(|_, chosen| chosen.member != member);
        let servers = self.made_by(member).into_iter().map(|own| own.server);
        let servers: std::collections::BTreeSet<ServerId> = servers.collect();
        for server in servers {
            self.rules_changed(server).await;
        }
    }

    /// A channel is age-restricted, or is not any more; its threads are as it is.
    pub fn restrict_by_age(&self, channel: ChannelId, is_restricted: bool) {
        let has_changed = if is_restricted {
            self.age_restricted.insert(channel)
        } else {
            self.age_restricted.remove(&channel).is_some()
        };
        if has_changed {
            self.play_anew(|place| place.channel == channel || place.parent == Some(channel));
        }
    }

    /// Whether a place is for adults only.
    fn is_age_restricted(&self, place: Place) -> bool {
        let is_restricted = |channel| self.age_restricted.contains(&channel);
        is_restricted(place.channel) || place.parent.is_some_and(is_restricted)
    }

    /// In these places those play from the next reply on who are to play there now.
    pub(super) fn play_anew(&self, which: impl Fn(Place) -> bool) {
        // A conversation that begins now begins by the new rules too.
        let _one_at_a_time = self.taking_in();
        for live in self.conversations.iter().filter(|live| which(live.place)) {
            let persona = self.lead_of(live.place, &live.lock());
            live.play(&persona);
        }
    }

    /// Whether somebody has chosen a persona of this server in direct messages.
    pub(super) fn is_chosen_alone(&self, channel: ChannelId, server: ServerId) -> bool {
        self.alone.get(&channel).is_some_and(|chosen| chosen.server == Some(server))
    }

    /// What of a persona will not be as its author meant, with the model that plays it.
    #[must_use]
    pub fn lint(&self, persona: &Persona) -> Report {
        let count = |text: &str| {
            let segments = vec![Segment::Text(text.to_owned())];
            self.generator.count(&Prompt { segments, ..Prompt::default() }).tokens()
        };
        let setting = lint::Setting { room: self.room(persona).prompt, count: &count };
        lint::lint(&persona.card, persona.lore.as_deref(), persona.avatar.as_deref(), &setting)
    }
}

/// The same, and nothing when it cannot even be tried: the others play all the same.
fn own_or_none(server: ServerId, playable: Playable) -> Option<(PersonaId, Own)> {
    let id = playable.persona.id.clone();
    catch_unwind(AssertUnwindSafe(|| own(server, playable))).unwrap_or_else(|_| {
        tracing::error!(persona = %id, "reading a server's persona panicked, and it does not play");
        None
    })
}

/// A persona as it is played; nothing when what was written down makes no sense.
fn own(server: ServerId, playable: Playable) -> Option<(PersonaId, Own)> {
    let Playable { persona: standing, definition, avatar } = playable;
    match Persona::from_toml(&standing.id.0, &definition) {
        Ok(mut persona) => {
            persona.avatar = avatar.map(Arc::from);
            let id = standing.id.clone();
            Some((id, Own { server, standing, persona: Arc::new(persona) }))
        }
        Err(error) => {
            tracing::error!(persona = %standing.id, "a server's persona does not play: {error}");
            None
        }
    }
}
