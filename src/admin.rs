//! What admins decide: the settings of their server, who may change them, and the list of who changed what. It knows neither
//! Discord nor what follows from a setting.

mod personas;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::chat::request::Past;
use crate::chat::settings::{Decision, Deed, Rules, Setting};
use crate::chat::{ChannelId, MemberId, RoleId, ServerId};
use crate::store::{Store, StoreError};

pub use personas::changes;

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
    /// It takes somebody who moderates the channel.
    #[error("they do not moderate the channel")]
    NotModerator,
    /// They may not make personas.
    #[error("they may not make personas")]
    NotCreator,
    /// There is no such persona of the server that is theirs.
    #[error("there is no such persona of theirs")]
    NoPersona,
    /// There is no such version of the persona.
    #[error("there is no such version")]
    NoVersion,
    /// The persona is another one than it was.
    #[error("the persona was changed meanwhile")]
    Changed,
    /// The server has as many personas as it may have.
    #[error("the server has {most} personas")]
    TooManyPersonas {
        /// Most personas.
        most: usize,
    },
    /// They have made as many personas as one may.
    #[error("they have made {most} personas")]
    TooManyOfTheirs {
        /// Most personas.
        most: usize,
    },
    /// An admin has said that the persona is for adults.
    #[error("an admin has said that it is for adults")]
    RatedByAdmin,
    /// A text of the persona came from a file, and it takes an admin to say that it is not for adults.
    #[error("it came from a file")]
    FromFile,
    /// The persona would be too long.
    #[error("the persona would take {have} bytes")]
    TooLong {
        /// Its bytes.
        have: usize,
        /// Most bytes.
        most: usize,
    },
    /// The personas of the server would take too much room.
    #[error("the personas of the server would take {have} bytes")]
    TooManyBytes {
        /// Bytes of all of them together.
        have: usize,
        /// Most bytes.
        most: usize,
    },
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
        let decision = deed(setting.name(), value, channel).decided(now(), actor.member);
        Ok(store.set(actor.server, channel, (setting.name(), value), &decision).await?)
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

    /// What is set in their server, if they are an admin there.
    async fn admitted(&self, actor: &Actor) -> Result<(&Store, Rules), Refusal> {
        if self.store.is_none() && !actor.manages {
            return Err(Refusal::NotAdmin);
        }
        let (store, rules) = self.known(actor).await?;
        if actor.is_admin(&rules) { Ok((store, rules)) } else { Err(Refusal::NotAdmin) }
    }

    /// What is set in their server.
    async fn known(&self, actor: &Actor) -> Result<(&Store, Rules), Refusal> {
        let store = self.store.as_ref().ok_or(Refusal::NotKept)?;
        Ok((store, Rules::new(store.settings_of(actor.server).await?)))
    }
}

impl Actor {
    /// Admins are those who may manage the server, and the members of the roles that those have named.
    #[must_use]
    pub fn is_admin(&self, rules: &Rules) -> bool {
        let has_role = || {
            let admins = rules.admin_roles();
            self.roles.iter().any(|role| admins.contains(role))
        };
        self.manages || has_role()
    }
}

/// That something was set, or with `None` taken back.
fn deed(setting: &str, value: Option<&Value>, channel: Option<ChannelId>) -> Deed {
    let (setting, channel) = (setting.to_owned(), channel.map(|channel| channel.0));
    match value.cloned() {
        Some(value) => Deed::Set { setting, value, channel },
        None => Deed::Reset { setting, channel },
    }
}

/// The time, in seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
