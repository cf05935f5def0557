//! What goes wrong at Discord and on the way there, at a test's command.

use std::time::Duration;

use serenity::model::gateway::GatewayIntents;

use super::FakeDiscord;
use super::faults::{Failure, Gate, Weather};
use super::gateway::Disorder;
use super::routes::Call;

/// With REST calls.
impl FakeDiscord {
    /// The next calls of a kind fail, after those that were lined up before.
    pub(crate) fn fail_next(&self, times: usize, call: Call, failure: Failure) {
        self.inner.change(|state| state.faults.line_up(times, call, failure));
    }

    /// The next call of a kind waits until the gate is opened or dropped.
    pub(crate) fn hold_next(&self, call: Call) -> Gate {
        let (gate, held) = Gate::new();
        self.fail_next(1, call, Failure::Held(held));
        gate
    }

    /// Turns away what exceeds so many calls of one kind in one channel during a window. Discord's
    /// own limit for messages is about five in five seconds.
    pub(crate) fn enforce_rate_limits(&self, calls: u32, window: Duration) {
        self.inner.change(|state| state.limits.enforce(calls, window));
    }
}

/// By chance.
impl FakeDiscord {
    /// From now on so many of a thousand calls fail in a way that passes, and as many events come twice or one too late.
    pub(crate) fn storm(&self, seed: u64, per_mille: u32) {
        self.inner.change(|state| {
            state.faults.weather = Some(Weather::new(seed, per_mille));
            state.gateway.disorder = Some(Disorder::new(seed, per_mille));
        });
    }

    /// From now on everything goes well.
    pub(crate) fn calm(&self) {
        self.inner.change(|state| {
            state.faults.weather = None;
            state.gateway.calm();
        });
    }
}

/// With the gateway.
impl FakeDiscord {
    /// Connections from now on are asked for heartbeats this often.
    pub(crate) fn set_heartbeat_interval(&self, interval: Duration) {
        self.inner.change(|state| state.gateway.heartbeat_interval = interval);
    }

    /// A bot whose heartbeats stay unanswered has to connect anew.
    pub(crate) fn acknowledge_heartbeats(&self, acknowledge: bool) {
        self.inner.change(|state| state.gateway.acknowledges_heartbeats = acknowledge);
    }

    /// Switches privileged intents off in the application's settings. Asking for one of them ends
    /// the connection with code 4014; without the one for content, REST hides it as well.
    pub(crate) fn forbid_intents(&self, intents: GatewayIntents) {
        self.inner.change(|state| state.gateway.forbidden = intents);
    }

    /// The next attempt to identify ends with this close code.
    pub(crate) fn refuse_next_identify(&self, code: u16) {
        self.inner.change(|state| state.gateway.refusals.push_back(code));
    }

    /// Breaks the connections without a word. Events are kept until the bot resumes.
    pub(crate) fn drop_connections(&self) {
        self.inner.change(|state| state.gateway.drop_connections());
    }

    /// Ends the connections with a close code.
    pub(crate) fn close_connections(&self, code: u16) {
        self.inner.change(|state| state.gateway.close_connections(code));
    }

    /// Asks the bot to connect anew and resume (op 7).
    pub(crate) fn request_reconnect(&self) {
        self.inner.change(|state| state.gateway.request_reconnect());
    }

    /// Declares the session invalid (op 9), for good or to be resumed.
    pub(crate) fn invalidate_session(&self, resumable: bool) {
        self.inner.change(|state| state.gateway.invalidate_sessions(resumable));
    }
}
