//! What servers have set, as far as it decides who answers what.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use super::live::Live;
use super::{Assistant, LEARNERS, Settings};
use crate::chat::addressing::Author;
use crate::chat::blocklist::Blocklist;
use crate::chat::history::{Speaker, Turn};
use crate::chat::reply::Manner;
use crate::chat::settings::{Answers, Limits, Rules, Style};
use crate::chat::{ChannelId, MemberId, Place, ServerId};
use crate::persona::{Persona, SamplingWish};
use crate::store::StoreError;

impl Assistant {
    /// Has at hand what is set in a server. To be called before anything is taken in there.
    pub async fn learn(&self, server: ServerId) {
        if self.is_known(server) {
            return;
        }
        let _one_at_a_time = self.learner(server).lock().await;
        // Many come at once after a start, and one has read it meanwhile.
        if self.is_known(server) {
            return;
        }
        match self.learn_anew(server).await {
            Ok(()) if self.outdated.remove(&server).is_some() => self.play_anew_in(server),
            Ok(()) => {}
            Err(error) => {
                tracing::error!("what a server has set could not be read, and does not hold: {error}");
            }
        }
    }

    /// Something was set in a server, or one of its personas has changed: it holds from the next reply on. When it cannot be read,
    /// what was set before holds until it can.
    pub async fn rules_changed(&self, server: ServerId) {
        let _one_at_a_time = self.learner(server).lock().await;
        if let Err(error) = self.learn_anew(server).await {
            tracing::error!("what was set in a server could not be read, and does not hold yet: {error}");
            self.outdated.insert(server);
            return;
        }
        self.outdated.remove(&server);
        self.play_anew_in(server);
    }

    /// Whether what is set in a server is at hand as it is written down.
    fn is_known(&self, server: ServerId) -> bool {
        self.rules.contains_key(&server) && !self.outdated.contains(&server)
    }

    /// Whoever reads what is set in a server waits for this. The lowest bits of an id are nearly always the same.
    fn learner(&self, server: ServerId) -> &tokio::sync::Mutex<()> {
        &self.learning[usize::try_from((server.0 >> 22) % LEARNERS as u64).unwrap_or_default()]
    }

    /// Whoever calls reads one at a time.
    async fn learn_anew(&self, server: ServerId) -> Result<(), StoreError> {
        let Some(store) = &self.store else { return Ok(()) };
        let written = store.settings_of(server).await?;
        self.learn_troupe(store, server).await?;
        self.rules.insert(server, Arc::new(Rules::new(written)));
        Ok(())
    }

    /// Where the personas of a server may play, those play from the next reply on who are to play there now.
    fn play_anew_in(&self, server: ServerId) {
        self.play_anew(|place| match place.server {
            Some(there) => there == server,
            None => self.is_chosen_alone(place.channel, server),
        });
    }

    /// What was set for a channel that is gone holds nowhere.
    pub(super) async fn forget_rules_of(&self, channel: ChannelId) {
        let Some(store) = &self.store else { return };
        if let Err(error) = store.forget_settings_of(channel).await {
            tracing::error!("what was set for a channel that is gone could not be deleted: {error}");
        }
    }

    /// Whether the bot can read what is not said to it.
    #[must_use]
    pub fn reads_everything(&self) -> bool {
        self.settings.reads_everything
    }

    /// Which messages are answered in a place: what its server has set, where the operator lets anything be answered.
    #[must_use]
    pub fn answers_in(&self, place: Place) -> Answers {
        let Settings { direct_messages, servers, .. } = &self.settings;
        let is_served = match place.server {
            None => *direct_messages,
            Some(server) => servers.is_empty() || servers.contains(&server),
        };
        if !is_served {
            return Answers::Nothing;
        }
        self.rules_of(place).map_or(Answers::default(), |rules| rules.answers(place))
    }

    /// Whether the admins of its server do not let somebody be answered in a place.
    #[must_use]
    pub fn is_denied(&self, place: Place, who: &Author) -> bool {
        self.rules_of(place).is_some_and(|rules| rules.is_denied(place, who))
    }

    /// Whether it depends on somebody's roles whether they are answered in a place.
    #[must_use]
    pub fn asks_for_roles(&self, place: Place) -> bool {
        self.rules_of(place).is_some_and(|rules| rules.asks_for_roles(place))
    }

    /// Whether it is heard in a place what members say to each other, as far as the bot can read it.
    #[must_use]
    pub fn listens_in(&self, place: Place) -> bool {
        self.reads_everything()
            && self.answers_in(place) != Answers::Nothing
            && self.rules_of(place).is_some_and(|rules| rules.listens(place))
    }

    /// The programs that post members' messages anew in a place, by their application ids.
    #[must_use]
    pub fn proxies_in(&self, place: Place) -> BTreeSet<u64> {
        self.rules_of(place).map(|rules| rules.proxies()).unwrap_or_default()
    }

    /// How replies are shown in a place.
    pub(super) fn manner_in(&self, place: Place) -> Manner {
        let manner = self.settings.manner;
        let Some(rules) = self.rules_of(place) else { return manner };
        let links = rules.links(place).unwrap_or(manner.links);
        Manner { links, streaming: manner.streaming && rules.streams(place), ..manner }
    }

    /// What is not shown in a place of what personas say.
    #[must_use]
    pub fn blocklist_in(&self, place: Place) -> Blocklist {
        self.rules_of(place).map(|rules| rules.blocklist(place)).unwrap_or_default()
    }

    /// Takes out of a text what is not shown in a place.
    pub fn drop_blocked(&self, place: Place, text: &mut String) {
        let _ = self.blocklist_in(place).replace(text, 0, true);
    }

    /// How replies are sampled in a place: as its server has chosen it, else as the persona wishes, else as the operator does.
    pub(super) fn sampling_in(&self, place: Place, persona: &Persona) -> SamplingWish {
        let chosen = self.rules_of(place).map(|rules| rules.sampling(place)).unwrap_or_default();
        chosen.or(persona.card.sampling).or(self.settings.sampling)
    }

    /// How much may be asked in a place: the operator's limits, and the server's where they are tighter.
    pub(super) fn limits_in(&self, place: Place) -> Limits {
        let own = self.rules_of(place).map(|rules| rules.limits(place)).unwrap_or_default();
        self.settings.limits.tightened(own)
    }

    /// As whom personas speak in a place. Replies to other accounts than the bot's can be read with the intent only.
    pub(super) fn style_in(&self, place: Place) -> Style {
        let usual = if self.settings.reads_everything { Style::Own } else { Style::Bot };
        self.rules_of(place).and_then(|rules| rules.style(place)).unwrap_or(usual)
    }

    /// Whether a server has denied one member, whatever their roles are.
    pub(super) fn rules_deny(&self, place: Place, member: MemberId) -> bool {
        self.rules_of(place).is_some_and(|rules| rules.denies_member(place, member))
    }

    /// Whether buttons stand under the last reply in a place.
    pub(super) fn buttons_in(&self, place: Place) -> bool {
        self.rules_of(place).and_then(|rules| rules.buttons(place)).unwrap_or(self.settings.buttons)
    }

    /// Whether what is cut from the history is summed up in a place.
    #[must_use]
    pub fn remembers_in(&self, place: Place) -> bool {
        self.rules_of(place).and_then(|rules| rules.remembers(place)).unwrap_or(self.settings.memory)
    }

    /// Whoever has said a turn, if that persona can be played.
    pub(super) fn speaker_of(&self, live: &Live, turn: &Turn) -> Option<Arc<Persona>> {
        let Speaker::Persona { id, .. } = &turn.speaker else { return None };
        let here = live.persona();
        if here.id == *id {
            return Some(here);
        }
        let host = live.lock().scene().and_then(|scene| scene.host);
        self.actor(live.place, host, id)
    }

    /// Who answers in a place.
    #[must_use]
    pub fn who_answers(&self, place: Place) -> Arc<Persona> {
        self.live_in(place.channel).map_or_else(|| self.persona_of(place), |live| live.persona())
    }

    /// Who answers in a place from its next conversation on: whom somebody has chosen for it, else whom the operator has.
    pub(super) fn persona_of(&self, place: Place) -> Arc<Persona> {
        if let Some(chosen) = self.chosen_in(place) {
            return chosen;
        }
        let cast = self.cast.read().unwrap_or_else(PoisonError::into_inner);
        let own = || cast.channels.get(&place.channel).or_else(|| cast.channels.get(&place.parent?));
        Arc::clone(own().unwrap_or(&cast.default))
    }

    /// What is set in a server, as far as it is known by now.
    #[must_use]
    pub fn rules_at_hand(&self, server: ServerId) -> Arc<Rules> {
        self.rules.get(&server).map(|rules| Arc::clone(&*rules)).unwrap_or_default()
    }

    pub(super) fn rules_of(&self, place: Place) -> Option<Arc<Rules>> {
        self.rules.get(&place.server?).map(|rules| Arc::clone(&*rules))
    }
}
