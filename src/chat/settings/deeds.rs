//! What stands in the audit list of a server: facts, which are put into words where they are shown.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Decision;
use crate::chat::MemberId;
use crate::persona::PersonaId;

/// What was decided. It is written down as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A setting was set.
    Set {
        /// Its name.
        setting: String,
        /// To what.
        value: Value,
        /// In which channel; `None` is the whole server.
        channel: Option<u64>,
    },
    /// A setting was taken back.
    Reset {
        /// Its name.
        setting: String,
        /// In which channel; `None` is the whole server.
        channel: Option<u64>,
    },
    /// A persona was made.
    Made(PersonaId),
    /// A persona was given another text.
    Changed(PersonaId),
    /// Another version of a persona plays.
    RolledBack(PersonaId, u64),
    /// It was said whether a persona is for adults.
    Rated(PersonaId, bool),
    /// A persona was given to everybody, or back to its creator alone.
    Shared(PersonaId, bool),
    /// A persona was given a picture, or none.
    Pictured(PersonaId, bool),
    /// A persona was deleted.
    Deleted(PersonaId),
}

impl Deed {
    /// The line of the audit list that says it.
    #[must_use]
    pub fn decided(&self, at: u64, member: MemberId) -> Decision {
        let what = match self {
            Self::Set { .. } => "set",
            Self::Reset { .. } => "reset",
            Self::Made(_) => "made",
            Self::Changed(_) => "changed",
            Self::RolledBack(..) => "rolled back",
            Self::Rated(..) => "rated",
            Self::Shared(..) => "shared",
            Self::Pictured(..) => "pictured",
            Self::Deleted(_) => "deleted",
        };
        let about = serde_json::to_string(self).unwrap_or_default();
        Decision { at, member: Some(member), what: what.to_owned(), about }
    }

    /// What a line of the audit list says; `None` for one of before, which is a sentence of its own.
    #[must_use]
    pub fn of(decision: &Decision) -> Option<Self> {
        serde_json::from_str(&decision.about).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_sentences_of_before_are_not_taken_for_it() {
        let ada = || PersonaId("ada".to_owned());
        for deed in [
            Deed::Set { setting: "persona".to_owned(), value: json!("ada"), channel: Some(u64::MAX) },
            Deed::Reset { setting: "persona".to_owned(), channel: None },
            Deed::Made(ada()),
            Deed::RolledBack(ada(), 3),
            Deed::Shared(ada(), false),
        ] {
            let decision = deed.decided(1, MemberId(2));
            assert_eq!(Deed::of(&decision), Some(deed));
        }
        let before = Decision {
            at: 1,
            member: None,
            what: "set".to_owned(),
            about: "persona to ada in <#5>".to_owned(),
        };
        assert_eq!(Deed::of(&before), None);
    }
}
