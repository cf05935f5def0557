//! What the admins of a server decide, as records: its settings, its personas in their versions, and its audit list.

mod deeds;
mod rules;
mod values;

use super::MemberId;
use crate::persona::PersonaId;

pub use deeds::Deed;
pub use rules::{Answers, Creators, Rules, Setting, Style};

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
    /// Whether everybody in the server may play it, and not its creator alone.
    pub shared: bool,
    /// Whether it is for adults; `None` as long as nobody has said it.
    pub adult: Option<bool>,
    /// Whether an admin has said that it is for adults.
    pub adult_by_admin: bool,
    /// Whether any of its texts came from a file.
    pub from_file: bool,
}

impl ServerPersona {
    /// Whether it may play where children may read: only when somebody has said that it is not for adults.
    #[must_use]
    pub fn plays_everywhere(&self) -> bool {
        self.adult == Some(false)
    }

    /// Whether a member may play it.
    #[must_use]
    pub fn is_for(&self, member: MemberId) -> bool {
        self.shared || self.creator == Some(member)
    }
}

/// A text that is to become a version of a server's persona.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonaDraft {
    /// Under which it is found.
    pub id: PersonaId,
    /// The number of the version that it was made from; `None` for a persona that is new.
    pub over: Option<u64>,
    /// The persona, as its author wrote it.
    pub definition: String,
    /// Its picture, a PNG file; `None` leaves the picture as it is.
    pub avatar: Option<Vec<u8>>,
    /// Of a new one, whether everybody in the server may play it.
    pub shared: bool,
    /// Of a new one, whether it is for adults, when its author has said it.
    pub adult: Option<bool>,
    /// Whether it comes from a file: then nobody has said of this text that it is not for adults.
    pub from_file: bool,
}

/// What may be said of a persona beside its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Whether it is for adults.
    Adult(bool),
    /// Whether everybody in the server may play it.
    Shared(bool),
    /// Its picture, a PNG file.
    Avatar(Option<Vec<u8>>),
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
    /// A [`Deed`]; in lines of before, what it was done to, in words.
    pub about: String,
}

/// How much room the personas of one server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Most personas.
    pub personas: usize,
    /// Most personas that one member may make.
    pub of_member: usize,
    /// Most versions of each persona. The oldest ones go, but never the one that is played.
    pub versions: usize,
    /// Most bytes of one definition.
    pub definition: usize,
    /// Most bytes of all definitions of all versions together.
    pub bytes: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { personas: 50, of_member: 5, versions: 20, definition: 512 * 1024, bytes: 4 * 1024 * 1024 }
    }
}
