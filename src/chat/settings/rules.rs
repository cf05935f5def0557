//! The settings of a server: which there are, what their values are, and which of them holds where.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::Limits;
use crate::chat::{ChannelId, Place, RoleId};
use crate::persona::PersonaId;

const DAY: u64 = 86_400;

/// Most days for which a server may want it to be kept what was said: ten years.
const MOST_DAYS: u64 = 3_650;

/// Most that a limit can be.
const MOST_OF_A_LIMIT: u64 = 1_000_000;

/// Most roles whose members are admins.
const MOST_ROLES: usize = 25;

/// A setting of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Setting {
    /// The roles whose members may change settings too.
    AdminRoles,
    /// Which messages are answered.
    Answers,
    /// Most messages in a channel within an hour.
    ChannelPerHour,
    /// Most characters of a message.
    MessageLength,
    /// Who answers.
    Persona,
    /// Who may make personas.
    PersonaCreators,
    /// For how many days it is kept what was said.
    RetentionDays,
    /// Most messages in the server within an hour.
    ServerPerHour,
}

/// Who may make personas, beside the admins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Creators {
    /// Nobody.
    #[default]
    Admins,
    /// The members of these roles.
    Roles(BTreeSet<RoleId>),
    /// Everybody.
    Everyone,
}

/// How the choices among them are written.
const CREATORS: [&str; 2] = ["admins", "everyone"];

/// Which messages are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answers {
    /// None.
    Nothing,
    /// Mentions of the bot, and replies to it.
    #[default]
    Mentions,
    /// All that members write.
    Everything,
}

/// How the choices are written.
const ANSWERS: [(Answers, &str); 3] =
    [(Answers::Mentions, "mentions"), (Answers::Everything, "everything"), (Answers::Nothing, "nothing")];

impl Answers {
    /// How it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        ANSWERS.iter().find(|(answers, _)| *answers == self).map_or("", |(_, word)| word)
    }
}

impl Setting {
    /// All of them, by name.
    pub const ALL: [Self; 8] = [
        Self::AdminRoles,
        Self::Answers,
        Self::ChannelPerHour,
        Self::MessageLength,
        Self::Persona,
        Self::PersonaCreators,
        Self::RetentionDays,
        Self::ServerPerHour,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AdminRoles => "admin_roles",
            Self::Answers => "answers",
            Self::ChannelPerHour => "channel_per_hour",
            Self::MessageLength => "message_length",
            Self::Persona => "persona",
            Self::PersonaCreators => "persona_creators",
            Self::RetentionDays => "retention_days",
            Self::ServerPerHour => "server_per_hour",
        }
    }

    /// The setting with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| setting.name() == name.trim())
    }

    /// Whether it can be another one in a channel and its threads.
    #[must_use]
    pub fn holds_in_channels(self) -> bool {
        matches!(self, Self::Answers | Self::ChannelPerHour | Self::MessageLength | Self::Persona)
    }

    /// The values among which it is chosen, where there are so few.
    pub fn choices(self) -> impl Iterator<Item = &'static str> {
        let answers = ANSWERS.into_iter().filter(move |_| self == Self::Answers).map(|(_, word)| word);
        answers.chain(CREATORS.into_iter().filter(move |_| self == Self::PersonaCreators))
    }

    /// Reads a value as admins write it, where `find` finds personas. `None` when it makes no sense.
    #[must_use]
    pub fn read(self, words: &str, find: impl Fn(&str) -> Option<PersonaId>) -> Option<Value> {
        let words = words.trim();
        match self {
            Self::AdminRoles => read_roles(words),
            Self::PersonaCreators => {
                let word = words.to_lowercase();
                let known = CREATORS.iter().find(|known| **known == word).map(|known| json!(known));
                known.or_else(|| read_roles(words))
            }
            Self::Answers => {
                let word = words.to_lowercase();
                ANSWERS.iter().find(|(_, known)| *known == word).map(|(_, known)| json!(known))
            }
            Self::Persona => find(words).map(|id| json!(id.0)),
            Self::ChannelPerHour | Self::MessageLength | Self::RetentionDays | Self::ServerPerHour => {
                let most = if self == Self::RetentionDays { MOST_DAYS } else { MOST_OF_A_LIMIT };
                let number = words.parse().ok().filter(|number| (1..=most).contains(number));
                number.map(|number: u64| json!(number))
            }
        }
    }

    /// Shows a value.
    #[must_use]
    pub fn show(self, value: &Value) -> String {
        match self {
            Self::AdminRoles | Self::PersonaCreators if value.is_array() => {
                let roles = value.as_array().into_iter().flatten().filter_map(Value::as_str);
                roles.map(|role| format!("<@&{role}>")).collect::<Vec<_>>().join(" ")
            }
            Self::AdminRoles | Self::Answers | Self::Persona | Self::PersonaCreators => {
                value.as_str().unwrap_or_default().to_owned()
            }
            Self::ChannelPerHour | Self::MessageLength | Self::RetentionDays | Self::ServerPerHour => {
                value.to_string()
            }
        }
    }
}

/// Reads roles as admins write them.
fn read_roles(words: &str) -> Option<Value> {
    let roles = words.split([' ', ',']).filter(|word| !word.is_empty());
    let id = |word: &str| word.trim_start_matches("<@&").trim_end_matches('>').parse::<u64>().ok();
    let roles: BTreeSet<u64> = roles.map(id).collect::<Option<_>>()?;
    let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
    (1..=MOST_ROLES).contains(&roles.len()).then(|| json!(roles))
}

/// The roles that a value names.
fn roles_in(value: Option<&Value>) -> BTreeSet<RoleId> {
    let roles = value.and_then(Value::as_array).into_iter().flatten();
    roles.filter_map(|role| role.as_str()?.parse().ok().map(RoleId)).collect()
}

/// What is set in a server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    set: Vec<(Option<ChannelId>, Setting, Value)>,
}

impl Rules {
    /// From what was written down: where something holds (`None` for the whole server), its name and its value. What this
    /// version does not know is left out.
    #[must_use]
    pub fn new(written: Vec<(Option<ChannelId>, String, Value)>) -> Self {
        let known =
            |(channel, name, value): (_, String, _)| Setting::parse(&name).map(|it| (channel, it, value));
        Self { set: written.into_iter().filter_map(known).collect() }
    }

    /// All that is set: where (`None` for the whole server), what, and to what.
    pub fn iter(&self) -> impl Iterator<Item = (Option<ChannelId>, Setting, &Value)> {
        self.set.iter().map(|(channel, setting, value)| (*channel, *setting, value))
    }

    /// What holds in a place: what is set in the channel, else in the one that it belongs to, else in the server.
    fn in_place(&self, setting: Setting, place: Place) -> Option<&Value> {
        let own = |channel: Option<ChannelId>| {
            let mut set = self.set.iter();
            set.find(|(where_, what, _)| *where_ == channel && *what == setting).map(|(_, _, value)| value)
        };
        let parent = || place.parent.and_then(|parent| own(Some(parent)));
        own(Some(place.channel)).or_else(parent).or_else(|| own(None))
    }

    fn in_server(&self, setting: Setting) -> Option<&Value> {
        self.in_place(setting, Place { channel: ChannelId(0), parent: None, server: None })
    }

    /// Who answers in a place, if the admins have said it.
    #[must_use]
    pub fn persona(&self, place: Place) -> Option<PersonaId> {
        let id = self.in_place(Setting::Persona, place)?.as_str()?;
        Some(PersonaId(id.to_owned()))
    }

    /// Which messages are answered in a place.
    #[must_use]
    pub fn answers(&self, place: Place) -> Answers {
        let word = self.in_place(Setting::Answers, place).and_then(Value::as_str);
        ANSWERS
            .iter()
            .find(|(_, known)| Some(*known) == word)
            .map_or(Answers::default(), |(answers, _)| *answers)
    }

    /// How much may be asked in a place, as far as the admins have said it.
    #[must_use]
    pub fn limits(&self, place: Place) -> Limits {
        let limit = |setting| usize::try_from(self.in_place(setting, place)?.as_u64()?).ok();
        Limits {
            channel_per_hour: limit(Setting::ChannelPerHour),
            server_per_hour: limit(Setting::ServerPerHour),
            message_length: limit(Setting::MessageLength),
            ..Limits::default()
        }
    }

    /// For how long it is kept what was said in the server, if the admins have said it.
    #[must_use]
    pub fn retention(&self) -> Option<Duration> {
        let days = self.in_server(Setting::RetentionDays)?.as_u64()?;
        Some(Duration::from_secs(days.saturating_mul(DAY)))
    }

    /// The roles whose members may change settings.
    #[must_use]
    pub fn admin_roles(&self) -> BTreeSet<RoleId> {
        roles_in(self.in_server(Setting::AdminRoles))
    }

    /// Who may make personas, beside the admins.
    #[must_use]
    pub fn persona_creators(&self) -> Creators {
        let value = self.in_server(Setting::PersonaCreators);
        match value.and_then(Value::as_str) {
            Some("everyone") => Creators::Everyone,
            Some(_) => Creators::Admins,
            None => Some(roles_in(value))
                .filter(|roles| !roles.is_empty())
                .map_or(Creators::Admins, Creators::Roles),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { channel: ChannelId(3), parent: Some(ChannelId(2)), server: None };

    fn find(wanted: &str) -> Option<PersonaId> {
        (wanted == "Ada").then(|| PersonaId("ada".to_owned()))
    }

    #[test]
    fn values_are_read_as_admins_write_them_and_shown_as_they_are() {
        for (setting, written, shown) in [
            (Setting::AdminRoles, "<@&7>, 8", "<@&7> <@&8>"),
            (Setting::Answers, " Everything ", "everything"),
            (Setting::Persona, "Ada", "ada"),
            (Setting::PersonaCreators, "Everyone", "everyone"),
            (Setting::PersonaCreators, "<@&7>", "<@&7>"),
            (Setting::RetentionDays, "30", "30"),
            (Setting::MessageLength, " 500 ", "500"),
        ] {
            let value = setting.read(written, find).expect("it makes sense");
            assert_eq!(setting.show(&value), shown, "{}", setting.name());
            assert_eq!(Setting::parse(setting.name()), Some(setting));
        }
        for (setting, nonsense) in [
            (Setting::AdminRoles, "the wizards"),
            (Setting::AdminRoles, ""),
            (Setting::Answers, "sometimes"),
            (Setting::Persona, "nobody"),
            (Setting::PersonaCreators, "nobody"),
            (Setting::RetentionDays, "0"),
            (Setting::RetentionDays, "3651"),
            (Setting::RetentionDays, "-1"),
            (Setting::ChannelPerHour, "0"),
            (Setting::ServerPerHour, "many"),
        ] {
            assert_eq!(setting.read(nonsense, find), None, "{} {nonsense}", setting.name());
        }
    }

    #[test]
    fn what_is_nearest_holds() {
        let set =
            |channel: Option<u64>, name: &str, value: Value| (channel.map(ChannelId), name.to_owned(), value);
        let mut written = vec![set(None, "persona", json!("ada")), set(None, "of tomorrow", json!(1))];
        let persona = |written: &[_]| Rules::new(written.to_vec()).persona(PLACE).map(|id| id.0);
        assert_eq!(persona(&written).as_deref(), Some("ada"));
        written.push(set(Some(2), "persona", json!("eve")));
        assert_eq!(persona(&written).as_deref(), Some("eve"));
        written.push(set(Some(3), "persona", json!("bob")));
        assert_eq!(persona(&written).as_deref(), Some("bob"));
        assert_eq!(Rules::new(written).answers(PLACE), Answers::Mentions);
    }

    #[test]
    fn nobody_makes_personas_but_whom_the_admins_let() {
        let creators =
            |value: Value| Rules::new(vec![(None, "persona_creators".to_owned(), value)]).persona_creators();
        assert_eq!(Rules::default().persona_creators(), Creators::Admins);
        assert_eq!(creators(json!("admins")), Creators::Admins);
        assert_eq!(creators(json!("everyone")), Creators::Everyone);
        assert_eq!(creators(json!(["7"])), Creators::Roles(BTreeSet::from([RoleId(7)])));
        assert_eq!(creators(json!([])), Creators::Admins);
    }

    #[test]
    fn values_of_another_kind_are_as_if_they_were_not_set() {
        let nonsense = Setting::ALL.map(|setting| (None, setting.name().to_owned(), json!({ "x": [1] })));
        let rules = Rules::new(nonsense.to_vec());
        assert_eq!((rules.persona(PLACE), rules.answers(PLACE)), (None, Answers::Mentions));
        assert_eq!((rules.retention(), rules.admin_roles()), (None, BTreeSet::new()));
        assert_eq!(rules.persona_creators(), Creators::Admins);
        assert_eq!(rules.limits(PLACE), Limits::default());
    }
}
