//! What the admins of a server decide, as records: its settings, its personas in their versions, and its audit list.

mod rules;
mod values;

use super::MemberId;
use crate::persona::PersonaId;

pub use rules::{Answers, Rules, Setting, Style};

/// How much may be asked. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Most messages of a member that are answered or wait at a time.
    pub member_at_a_time: Option<usize>,
    /// Most messages of a server's members that are answered or wait at a time.
    pub server_at_a_time: Option<usize>,
    /// Most messages of a member within an hour.
    pub member_per_hour: Option<usize>,
    /// Most messages in a channel within an hour.
    pub channel_per_hour: Option<usize>,
    /// Most messages in a server within an hour.
    pub server_per_hour: Option<usize>,
    /// Most characters of a message.
    pub message_length: Option<usize>,
}

impl Limits {
    /// Of each limit the tighter one.
    #[must_use]
    pub fn tightened(self, other: Self) -> Self {
        let tighter = |one: Option<usize>, other: Option<usize>| [one, other].into_iter().flatten().min();
        Self {
            member_at_a_time: tighter(self.member_at_a_time, other.member_at_a_time),
            server_at_a_time: tighter(self.server_at_a_time, other.server_at_a_time),
            member_per_hour: tighter(self.member_per_hour, other.member_per_hour),
            channel_per_hour: tighter(self.channel_per_hour, other.channel_per_hour),
            server_per_hour: tighter(self.server_per_hour, other.server_per_hour),
            message_length: tighter(self.message_length, other.message_length),
        }
    }
}

/// One text of a persona that members of a server made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonaVersion {
    /// Its number. The first version of a persona is 1, and a later one has a greater number.
    pub version: u64,
    /// Who wrote it; `None` when that member was forgotten.
    pub author: Option<MemberId>,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// The persona, as its author wrote it.
    pub definition: String,
}

/// A persona that belongs to one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPersona {
    /// Under which it is found in its server.
    pub id: PersonaId,
    /// Who made its first version; `None` when that member was forgotten.
    pub creator: Option<MemberId>,
    /// The number of the version that is played.
    pub version: u64,
}

/// One line of a server's audit list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// When it was decided, in seconds since 1970.
    pub at: u64,
    /// Who decided it; `None` when that member was forgotten.
    pub member: Option<MemberId>,
    /// What was done, in a word.
    pub what: String,
    /// What it was done to, such as the name of a setting or the id of a persona.
    pub about: String,
}

/// How much room the personas of one server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Most personas.
    pub personas: usize,
    /// Most versions of each persona. The oldest ones go, but never the one that is played.
    pub versions: usize,
    /// Most bytes of all definitions of all versions together.
    pub bytes: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { personas: 50, versions: 20, bytes: 4 * 1024 * 1024 }
    }
}
