//! What admins decide: the settings of their server, who may change them, and the list of who changed what. It knows neither
//! Discord nor what follows from a setting.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::chat::request::Past;
use crate::chat::settings::{Decision, Rules, Setting};
use crate::chat::{ChannelId, MemberId, RoleId, ServerId};
use crate::store::{Store, StoreError};

/// Most lines of each audit list that are shown.
const LINES_SHOWN: u32 = 8;

/// Whoever wants to decide something in a server, with what Discord says of them.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Who.
    pub member: MemberId,
    /// The server.
    pub server: ServerId,
    /// Whether they may manage the server.
    pub manages: bool,
    /// Their roles.
    pub roles: Vec<RoleId>,
}

/// Why something is not decided.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// They are no admin.
    #[error("they are no admin")]
    NotAdmin,
    /// It takes somebody who may manage the server.
    #[error("they do not manage the server")]
    NotManager,
    /// The setting holds in the whole server.
    #[error("the setting holds in the whole server")]
    WholeServer,
    /// Nothing is written down, so nothing can be decided.
    #[error("nothing is written down")]
    NotKept,
    /// It could not be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The administration of all servers.
#[derive(Debug, Clone)]
pub struct Admin {
    store: Option<Store>,
}

impl Admin {
    /// The administration of the servers of which something is written down; without a store nothing can be decided.
    #[must_use]
    pub fn new(store: Option<Store>) -> Self {
        Self { store }
    }

    /// What is set in a server.
    ///
    /// # Errors
    /// A [`Refusal`] when they are no admin there.
    pub async fn rules(&self, actor: &Actor) -> Result<Rules, Refusal> {
        let (_, rules) = self.admitted(actor).await?;
        Ok(rules)
    }

    /// Sets what holds in a channel and its threads, or with `None` in the whole server. A value of `None` takes it back.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn set(
        &self,
        actor: &Actor,
        channel: Option<ChannelId>,
        setting: Setting,
        value: Option<&Value>,
    ) -> Result<(), Refusal> {
        let (store, _) = self.admitted(actor).await?;
        if setting == Setting::AdminRoles && !actor.manages {
            // A role must not make itself more powerful.
            return Err(Refusal::NotManager);
        }
        if channel.is_some() && !setting.holds_in_channels() {
            return Err(Refusal::WholeServer);
        }
        let what = if value.is_some() { "set" } else { "reset" };
        let place = channel.map_or(String::new(), |channel| format!(" in <#{channel}>"));
        let written = value;
        let value = value.map_or(String::new(), |value| format!(" to {}", setting.show(value)));
        let about = format!("{}{value}{place}", setting.name());
        let decision = Decision { at: now(), member: Some(actor.member), what: what.to_owned(), about };
        Ok(store.set(actor.server, channel, (setting.name(), written), &decision).await?)
    }

    /// What was decided and what was asked last, newest first.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn audit(&self, actor: &Actor) -> Result<(Vec<Decision>, Vec<Past>), Refusal> {
        let (store, _) = self.admitted(actor).await?;
        let decisions = store.decisions(actor.server, LINES_SHOWN).await?;
        Ok((decisions, store.requests_of(actor.server, LINES_SHOWN).await?))
    }

    /// Admins are those who may manage the server, and the members of the roles that those have named.
    async fn admitted(&self, actor: &Actor) -> Result<(&Store, Rules), Refusal> {
        let Some(store) = &self.store else {
            return Err(if actor.manages { Refusal::NotKept } else { Refusal::NotAdmin });
        };
        let rules = Rules::new(store.settings_of(actor.server).await?);
        let has_role = || {
            let admins = rules.admin_roles();
            actor.roles.iter().any(|role| admins.contains(role))
        };
        if actor.manages || has_role() { Ok((store, rules)) } else { Err(Refusal::NotAdmin) }
    }
}

/// The time, in seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
