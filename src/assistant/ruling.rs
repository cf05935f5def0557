//! What servers have set, as far as it decides who answers what.

use std::sync::{Arc, PoisonError};

use super::{Assistant, Settings};
use crate::chat::settings::{Answers, Limits, Rules};
use crate::chat::{ChannelId, Place, ServerId};
use crate::persona::Persona;
use crate::store::StoreError;

impl Assistant {
    /// Has at hand what is set in a server. To be called before anything is taken in there.
    pub async fn learn(&self, server: ServerId) {
        if self.rules.contains_key(&server) {
            return;
        }
        let _one_at_a_time = self.learning.lock().await;
        // Many come at once after a start, and one has read it meanwhile.
        if self.rules.contains_key(&server) {
            return;
        }
        if let Err(error) = self.learn_anew(server).await {
            tracing::error!("what a server has set could not be read, and does not hold: {error}");
        }
    }

    /// Something was set in a server, or one of its personas has changed: it holds from the next reply on.
    ///
    /// # Errors
    /// A [`StoreError`]; then it holds from the next start on.
    pub async fn rules_changed(&self, server: ServerId) -> Result<(), StoreError> {
        {
            let _one_at_a_time = self.learning.lock().await;
            self.learn_anew(server).await?;
        }
        self.play_anew(|place| match place.server {
            Some(there) => there == server,
            None => self.is_chosen_alone(place.channel, server),
        });
        Ok(())
    }

    /// Whoever calls reads one at a time.
    async fn learn_anew(&self, server: ServerId) -> Result<(), StoreError> {
        let Some(store) = &self.store else { return Ok(()) };
        let written = store.settings_of(server).await?;
        self.learn_troupe(store, server).await?;
        self.rules.insert(server, Arc::new(Rules::new(written)));
        Ok(())
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

    /// How much may be asked in a place: the operator's limits, and the server's where they are tighter.
    pub(super) fn limits_in(&self, place: Place) -> Limits {
        let own = self.rules_of(place).map(|rules| rules.limits(place)).unwrap_or_default();
        self.settings.limits.tightened(own)
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
