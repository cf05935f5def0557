//! Everything that the fake knows at one moment, and how it is written out when a test fails.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use axum::http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::events::Event;
use super::faults::Faults;
use super::gateway::Gateway;
use super::ids::InteractionId;
use super::interactions::Interaction;
use super::limits::Limits;
use super::message::Message;
use super::routes::Call;
use super::world::{ChannelKind, World};

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) gateway: Gateway,
    /// Every REST request, in the order of arrival.
    pub(crate) requests: Vec<LoggedRequest>,
    /// The commands as the bot has registered them.
    pub(crate) commands: Vec<Value>,
    pub(crate) interactions: BTreeMap<InteractionId, Interaction>,
    pub(super) faults: Faults,
    pub(super) limits: Limits,
    pub(super) violations: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct LoggedRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Nothing for a route that the fake does not have.
    pub(crate) call: Option<Call>,
    /// The JSON body, or null.
    pub(crate) body: Value,
    pub(crate) outcome: Outcome,
    pub(crate) at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pending,
    Answered(u16),
    /// The connection was broken on purpose.
    ConnectionCut,
}

impl State {
    pub(super) fn new(world: World, gateway: Gateway) -> Self {
        Self {
            world,
            gateway,
            requests: Vec::new(),
            commands: Vec::new(),
            interactions: BTreeMap::new(),
            faults: Faults::default(),
            limits: Limits::default(),
            violations: Vec::new(),
        }
    }

    /// Tells the bot's sessions of a change, unless it is in a channel that the bot does not see.
    pub(super) fn announce(&mut self, event: &Event) {
        let world = &self.world;
        let channel = event.within.and_then(|id| world.channels.get(&id));
        if channel.is_none_or(|channel| world.bot_may_view(channel)) {
            self.gateway.dispatch(event);
        }
    }

    /// How many requests of a kind have arrived, answered or not.
    pub(crate) fn count(&self, call: Call) -> usize {
        self.requests.iter().filter(|request| request.call == Some(call)).count()
    }
}

impl Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.gateway)?;
        for channel in self.world.channels.values() {
            let deleted = if channel.deleted { " (deleted)" } else { "" };
            match channel.kind {
                ChannelKind::Text => writeln!(f, "#{}{deleted}", channel.name)?,
                ChannelKind::Forum => writeln!(f, "forum {}{deleted}", channel.name)?,
                ChannelKind::Thread { .. } => writeln!(f, "thread {}{deleted}", channel.name)?,
                ChannelKind::Direct { with } => {
                    writeln!(f, "direct messages with {}", self.world.users[&with].name)?;
                }
            }
            let messages = self.world.messages.values();
            for message in messages.filter(|it| it.channel == channel.id) {
                self.write_message(f, message)?;
            }
        }
        writeln!(f, "requests:")?;
        for request in &self.requests {
            let LoggedRequest { method, path, body, outcome, .. } = request;
            writeln!(f, "    {method} {path} {body} -> {outcome:?}")?;
        }
        for violation in &self.violations {
            writeln!(f, "violation: {violation}")?;
        }
        Ok(())
    }
}

impl State {
    fn write_message(&self, f: &mut fmt::Formatter<'_>, message: &Message) -> fmt::Result {
        let author = &self.world.users[&message.author].name;
        write!(f, "    {} {author}", message.id)?;
        if let Some(reply) = message.reply {
            write!(f, " (to {})", reply.to)?;
        }
        if let Some(user) = message.only_for {
            write!(f, " (only for {})", self.world.users[&user].name)?;
        }
        if message.deleted.is_some() {
            write!(f, " (deleted)")?;
        }
        writeln!(f, ": {:?}", message.history())
    }
}
