//! What a form or a button is for that belongs to a persona, or to a memory. It stands in the `custom_id`, so that it works after a restart and
//! says from which version something was made; whether whoever sends it may do it is asked anew, because such an id can be
//! forged.

use crate::chat::MemberId;
use crate::chat::history::TurnId;
use crate::persona::PersonaId;

/// What a form or a button is for, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Errand {
    pub(super) asker: MemberId,
    pub(super) task: Task,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Task {
    /// A new persona, of which is said whether it is for adults.
    Make { adult: bool },
    /// Another text for a persona, made from this version.
    Change(PersonaId, u64),
    /// The file above is to be a new persona, found under this id: pressed twice, it is made once.
    TakeIn(PersonaId),
    /// The file above is to be another text for a persona, which was at this version then.
    TakeOver(PersonaId, u64),
    /// A persona goes, which was at this version then.
    Delete(PersonaId, u64),
    /// Another text for the memory that ends with this turn, which had this mark then.
    Reword(TurnId, u64),
}

impl Errand {
    /// What is written, if it is one.
    pub(super) fn parse(written: &str) -> Option<Self> {
        let (word, rest) = written.split_once(':')?;
        let (asker, rest) = rest.split_once(':')?;
        let asker = MemberId(asker.parse().ok()?);
        let versioned = || {
            let (version, id) = rest.split_once(':')?;
            Some((persona(id)?, version.parse().ok()?))
        };
        let task = match (word, rest) {
            ("persona-make", "adult") => Task::Make { adult: true },
            ("persona-make", "all") => Task::Make { adult: false },
            ("persona-change", _) => versioned().map(|(id, version)| Task::Change(id, version))?,
            ("persona-take-in", id) => Task::TakeIn(persona(id)?),
            ("persona-take-over", _) => versioned().map(|(id, version)| Task::TakeOver(id, version))?,
            ("persona-delete", _) => versioned().map(|(id, version)| Task::Delete(id, version))?,
            ("memory-reword", _) => {
                let (until, mark) = rest.split_once(':')?;
                Task::Reword(TurnId(until.parse().ok()?), mark.parse().ok()?)
            }
            _ => return None,
        };
        Some(Self { asker, task })
    }
}

/// An id as we make them.
fn persona(id: &str) -> Option<PersonaId> {
    PersonaId::of_name(id).filter(|made| made.0 == id)
}

impl std::fmt::Display for Errand {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let asker = self.asker;
        match &self.task {
            Task::Make { adult: true } => write!(formatter, "persona-make:{asker}:adult"),
            Task::Make { adult: false } => write!(formatter, "persona-make:{asker}:all"),
            Task::Change(id, version) => write!(formatter, "persona-change:{asker}:{version}:{id}"),
            Task::TakeIn(id) => write!(formatter, "persona-take-in:{asker}:{id}"),
            Task::TakeOver(id, version) => write!(formatter, "persona-take-over:{asker}:{version}:{id}"),
            Task::Delete(id, version) => write!(formatter, "persona-delete:{asker}:{version}:{id}"),
            Task::Reword(until, mark) => write!(formatter, "memory-reword:{asker}:{}:{mark}", until.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(asker: u64, version: u64, name in "[a-zé ]{1,80}z", adult: bool, which in 0..6) {
            let id = PersonaId::of_name(&name).expect("it has letters");
            let task = match which {
                0 => Task::Make { adult },
                1 => Task::Change(id, version),
                2 => Task::TakeIn(id),
                3 => Task::TakeOver(id, version),
                4 => Task::Reword(TurnId(version), asker),
                _ => Task::Delete(id, version),
            };
            let errand = Errand { asker: MemberId(asker), task };
            prop_assert!(errand.to_string().chars().count() <= 100, "Discord takes no longer ones");
            prop_assert_eq!(Errand::parse(&errand.to_string()), Some(errand));
        }

        #[test]
        fn whatever_is_sent_is_read_or_is_nothing(id: String) {
            let _ = Errand::parse(&id);
        }
    }

    #[test]
    fn forged_ids_are_nothing() {
        for id in [
            "",
            "persona-make",
            "persona-make:1",
            "persona-make:x:all",
            "persona-make:1:some",
            "persona-change:1:ada",
            "persona-change:1:x:ada",
            "persona-change:1:2:",
            "persona-take-in:1:",
            "persona-take-in:1:Ada of Hull",
            "persona-take-in:1:a:b",
            "persona-delete:1:",
            "persona-delete:1:ada",
            "persona-share:1:ada",
            "memory-reword:1:2",
            "memory-reword:1:2:x",
            "reset:1",
        ] {
            assert_eq!(Errand::parse(id), None, "{id}");
        }
    }
}
