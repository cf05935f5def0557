//! The personas of a server: who may make and change them, and what becomes of them.

use std::time::Duration;

use similar::{DiffTag, TextDiff};

use super::{Actor, Admin, Refusal, now};
use crate::chat::ChannelId;
use crate::chat::settings::{
    Caps, Creators, Deed, Mark, PersonaDraft, PersonaVersion, Rules, ServerPersona, Setting,
};
use crate::chat::text::LINE_SHOWN;
use crate::persona::PersonaId;
use crate::store::{Saved, Store};

/// How long two versions may be compared; then what is left is shown as if all of it had changed.
const COMPARING: Duration = Duration::from_millis(500);

/// Characters of a long line that are shown before the place on where it differs.
const BEFORE_DIFFERENCE: usize = 40;

impl Actor {
    /// Whether they may make personas: admins always, and whom the admins let.
    #[must_use]
    pub fn may_create(&self, rules: &Rules) -> bool {
        let is_let = match rules.persona_creators() {
            Creators::Admins => false,
            Creators::Everyone => true,
            Creators::Roles(named) => self.roles.iter().any(|role| named.contains(role)),
        };
        is_let || self.is_admin(rules)
    }

    /// Whether a persona is theirs, to be looked at and deleted: they have made it, or they are an admin.
    #[must_use]
    pub fn has(&self, rules: &Rules, persona: &ServerPersona) -> bool {
        persona.creator == Some(self.member) || self.is_admin(rules)
    }

    /// Whether they may change a persona: it is theirs, and they may make personas still.
    #[must_use]
    pub fn may_edit(&self, rules: &Rules, persona: &ServerPersona) -> bool {
        self.has(rules, persona) && self.may_create(rules)
    }
}

impl Admin {
    /// Whether anything is written down, so that something can be decided.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.store.is_some()
    }

    /// Saves a text as a new version of a server's persona, or as a new one, which is everybody's when an admin makes it, else its
    /// creator's alone. Returns the number of the version.
    ///
    /// # Errors
    /// A [`Refusal`]; then nothing has changed.
    pub async fn save_persona(&self, actor: &Actor, mut draft: PersonaDraft) -> Result<u64, Refusal> {
        let (store, rules) = self.known(actor).await?;
        draft.shared = actor.is_admin(&rules);
        let deed = if draft.over.is_some() {
            self.found(store, actor, &rules, &draft.id, Actor::may_edit).await?;
            Deed::Changed(draft.id.clone())
        } else if actor.may_create(&rules) {
            Deed::Made(draft.id.clone())
        } else {
            return Err(Refusal::NotCreator);
        };
        let of_member = if draft.shared { usize::MAX } else { Caps::default().of_member };
        let caps = Caps { of_member, ..Caps::default() };
        match store.save_persona(actor.server, &draft, caps, &deed.decided(now(), actor.member)).await? {
            Saved::Version(version) => Ok(version),
            Saved::Taken | Saved::Changed => Err(Refusal::Changed),
            Saved::TooManyPersonas { most } => Err(Refusal::TooManyPersonas { most }),
            Saved::TooManyOfTheirs { most } => Err(Refusal::TooManyOfTheirs { most }),
            Saved::TooLong { have, most } => Err(Refusal::TooLong { have, most }),
            Saved::TooManyBytes { have, most } => Err(Refusal::TooManyBytes { have, most }),
        }
    }

    /// The versions of a persona that are kept, newest first, and the number of the one that plays.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn persona_versions(
        &self,
        actor: &Actor,
        id: &PersonaId,
    ) -> Result<(Vec<PersonaVersion>, u64), Refusal> {
        let (store, rules) = self.known(actor).await?;
        let persona = self.found(store, actor, &rules, id, Actor::has).await?;
        Ok((store.persona_versions(actor.server, id).await?, persona.version))
    }

    /// Lets another version of a persona play.
    ///
    /// # Errors
    /// A [`Refusal`]; then nothing has changed.
    pub async fn play_version(&self, actor: &Actor, id: &PersonaId, version: u64) -> Result<(), Refusal> {
        let (store, rules) = self.known(actor).await?;
        self.found(store, actor, &rules, id, Actor::may_edit).await?;
        let decision = Deed::RolledBack(id.clone(), version).decided(now(), actor.member);
        let plays = store.play_version(actor.server, id, version, &decision).await?;
        if plays { Ok(()) } else { Err(Refusal::NoVersion) }
    }

    /// Says something of a persona beside its text. Whether it is everybody's, admins alone say. Whether that has changed something;
    /// what is so already stands in no list.
    ///
    /// # Errors
    /// A [`Refusal`]; then nothing has changed.
    pub async fn mark_persona(&self, actor: &Actor, id: &PersonaId, mark: &Mark) -> Result<bool, Refusal> {
        let (store, rules) = self.known(actor).await?;
        let by_admin = actor.is_admin(&rules);
        let may_mark = async || {
            let persona = self.found(store, actor, &rules, id, Actor::may_edit).await?;
            match mark {
                _ if by_admin => Ok(()),
                Mark::Shared(_) => Err(Refusal::NotAdmin),
                Mark::Adult(false) if persona.adult_by_admin => Err(Refusal::RatedByAdmin),
                Mark::Adult(false) if persona.from_file && !persona.plays_everywhere() => {
                    Err(Refusal::FromFile)
                }
                _ => Ok(()),
            }
        };
        may_mark().await?;
        let deed = match mark {
            Mark::Adult(adult) => Deed::Rated(id.clone(), *adult),
            Mark::Shared(shared) => Deed::Shared(id.clone(), *shared),
            Mark::Avatar(avatar) => Deed::Pictured(id.clone(), avatar.is_some()),
        };
        let decision = deed.decided(now(), actor.member);
        let has_changed = store.mark_persona(actor.server, id, mark, by_admin, &decision).await?;
        if !has_changed {
            // It is so already, unless somebody was quicker and they may not say it any more.
            may_mark().await?;
        }
        Ok(has_changed)
    }

    /// Deletes a persona with all of its versions.
    ///
    /// # Errors
    /// A [`Refusal`]; then nothing has changed.
    pub async fn delete_persona(&self, actor: &Actor, id: &PersonaId, version: u64) -> Result<(), Refusal> {
        let (store, rules) = self.known(actor).await?;
        self.found(store, actor, &rules, id, Actor::has).await?;
        let decision = Deed::Deleted(id.clone()).decided(now(), actor.member);
        let deleted = store.delete_persona(actor.server, id, version, &decision).await?;
        if deleted { Ok(()) } else { Err(Refusal::Changed) }
    }

    /// Chooses who plays in a channel; `None` takes it back. It takes an admin, or somebody who moderates the channel.
    ///
    /// # Errors
    /// A [`Refusal`]; then nothing has changed.
    pub async fn use_persona(
        &self,
        actor: &Actor,
        moderates: bool,
        channel: ChannelId,
        id: Option<&PersonaId>,
    ) -> Result<(), Refusal> {
        let (store, rules) = self.known(actor).await?;
        if !moderates && !actor.is_admin(&rules) {
            return Err(Refusal::NotModerator);
        }
        let (name, value) = (Setting::Persona.name(), id.map(|id| serde_json::json!(id.0)));
        let deed = super::deed(name, value.as_ref(), Some(channel)).decided(now(), actor.member);
        Ok(store.set(actor.server, Some(channel), (name, value.as_ref()), &deed).await?)
    }

    /// A persona of the server with which they may do what they want to; whoever may not is not told whether there is one.
    async fn found(
        &self,
        store: &Store,
        actor: &Actor,
        rules: &Rules,
        id: &PersonaId,
        may: impl Fn(&Actor, &Rules, &ServerPersona) -> bool,
    ) -> Result<ServerPersona, Refusal> {
        let all = store.personas_of(actor.server).await?;
        let persona = all.into_iter().find(|persona| persona.id == *id && actor.has(rules, persona));
        let persona = persona.ok_or(Refusal::NoPersona)?;
        if may(actor, rules, &persona) { Ok(persona) } else { Err(Refusal::NotCreator) }
    }
}

/// The lines of a definition that are new, with a plus before them, and those that are not there any more, with a minus. Long ones
/// begin shortly before they differ. The card of another program that it came from is left out.
#[must_use]
pub fn changes(before: &str, after: &str) -> Vec<String> {
    let alike = without_original(before).zip(without_original(after));
    let (before, after) = alike.unwrap_or_else(|| (before.to_owned(), after.to_owned()));
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let difference = TextDiff::configure().timeout(COMPARING).diff_slices(&old, &new);
    let changed = difference.ops().iter().filter(|op| op.tag() != DiffTag::Equal);
    let lines = changed.flat_map(|op| {
        let (old, new) = (&old[op.old_range()], &new[op.new_range()]);
        let gone =
            old.iter().enumerate().map(|(at, line)| format!("-{}", from_difference(line, new.get(at))));
        let added =
            new.iter().enumerate().map(|(at, line)| format!("+{}", from_difference(line, old.get(at))));
        gone.chain(added).collect::<Vec<_>>()
    });
    lines.collect()
}

/// A definition without the card that it came from, if it can be read.
fn without_original(definition: &str) -> Option<String> {
    let mut table: toml::Table = definition.parse().ok()?;
    table.remove("original");
    toml::to_string_pretty(&table).ok()
}

/// A line from shortly before the place on where it differs from the one that it stands for or that stands for it, when it is too
/// long to be shown.
fn from_difference(line: &str, other: Option<&&str>) -> String {
    let same = other.map_or(0, |other| line.chars().zip(other.chars()).take_while(|(a, b)| a == b).count());
    if line.chars().count() < LINE_SHOWN || same <= BEFORE_DIFFERENCE {
        return line.to_owned();
    }
    std::iter::once('…').chain(line.chars().skip(same - BEFORE_DIFFERENCE)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_shown_line_by_line() {
        let before = "name = 'Ada'\ndescription = 'An engineer.'\noriginal = '{\"a\":1}'\n";
        let after = "name = 'Ada'\ndescription = 'A poet.'\noriginal = '{\"a\":2}'\ngreeting = 'Hello.'\n";
        let expected =
            ["-description = \"An engineer.\"", "+description = \"A poet.\"", "+greeting = \"Hello.\""];
        assert_eq!(changes(before, after), expected);
        assert_eq!(changes(before, before), Vec::<String>::new());
        // A line of a text that looks like the card is none.
        let text =
            |end: &str| format!("name = 'Ada'\ndescription = '''\nHer words:\noriginal = {end}\n'''\n");
        assert_eq!(changes(&text("one"), &text("two")), ["-original = one", "+original = two"]);
        // What cannot be read is compared as it is.
        assert_eq!(changes("a\n=", "b\n="), ["-a", "+b"]);
    }

    #[test]
    fn long_lines_begin_shortly_before_they_differ() {
        let text = |end: &str| format!("description = '{}{end}'\n", "Ada knows words. ".repeat(50));
        let expected =
            |end: &str| format!("…{}{end}\"", &"Ada knows words. ".repeat(3)[3 * 17 - BEFORE_DIFFERENCE..]);
        let [gone, added] = ["And bees.", "Or bees."].map(expected);
        assert_eq!(changes(&text("And bees."), &text("Or bees.")), [format!("-{gone}"), format!("+{added}")]);
        // What differs at once begins where it begins.
        let other = format!("Description = '{}'\n", "Ada knows words. ".repeat(50));
        assert!(changes(&text(""), &other)[0].starts_with("-description = \"Ada knows"));
    }
}
