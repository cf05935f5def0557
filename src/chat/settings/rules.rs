//! The settings of a server: which there are, what their values are, and which of them holds where.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::Limits;
use super::values::{ANSWERS, ON_OR_OFF, PRESETS, application, application_name, id, phrases};
use crate::chat::addressing::Author;
use crate::chat::blocklist::Blocklist;
use crate::chat::markdown::Links;
use crate::chat::{ChannelId, MemberId, Place, RoleId};
use crate::persona::{PersonaId, SamplingWish};

const DAY: u64 = 86_400;

/// Most days for which a server may want it to be kept what was said: ten years.
const MOST_DAYS: u64 = 3_650;

/// Most that a limit can be.
const MOST_OF_A_LIMIT: u64 = 1_000_000;

/// Most roles, channels, members or programs that a list has.
const MOST_LISTED: usize = 25;

/// No channel in particular.
const NOWHERE: Place = Place { channel: ChannelId(0), parent: None, server: None };

/// How it is written where links are shown as they are.
const LINKS: [(Links, &str); 2] = [(Links::Plain, "plain"), (Links::AsWritten, "allowed")];

/// A setting of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Setting {
    /// The roles whose members may change settings too.
    AdminRoles,
    /// The only channels in which anything is answered.
    AllowedChannels,
    /// The roles whose members alone are answered.
    AllowedRoles,
    /// Which messages are answered.
    Answers,
    /// What is not shown of what personas say.
    BlockedPhrases,
    /// Whether buttons stand under the last reply.
    Buttons,
    /// Most messages in a channel within an hour.
    ChannelPerHour,
    /// Channels in which nothing is answered.
    DeniedChannels,
    /// Members who are not answered.
    DeniedMembers,
    /// The roles whose members are not answered.
    DeniedRoles,
    /// How the links in replies are shown.
    Links,
    /// Whether it is heard what members say to each other.
    Listening,
    /// Whether what is cut from the history is summed up.
    Memory,
    /// Most characters of a message.
    MessageLength,
    /// Who answers.
    Persona,
    /// Who may make personas.
    PersonaCreators,
    /// The programs that post members' messages anew under other names.
    Proxies,
    /// For how many days it is kept what was said.
    RetentionDays,
    /// How daring replies are.
    Sampling,
    /// Most messages in the server within an hour.
    ServerPerHour,
    /// Whether replies are shown while they are made.
    Streaming,
    /// As whom personas speak.
    Style,
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
    /// Mentions of the bot.
    MentionsOnly,
    /// Mentions of the bot, and replies to it.
    #[default]
    Mentions,
    /// All that members write.
    Everything,
}

/// As whom personas speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Under their own name and with their own picture, by webhook.
    Own,
    /// As the bot, with their name above what they say.
    Bot,
}

/// How the choices are written.
const STYLES: [(Style, &str); 2] = [(Style::Own, "own"), (Style::Bot, "bot")];

impl Setting {
    /// All of them, by name.
    pub const ALL: [Self; 22] = [
        Self::AdminRoles,
        Self::AllowedChannels,
        Self::AllowedRoles,
        Self::Answers,
        Self::BlockedPhrases,
        Self::Buttons,
        Self::ChannelPerHour,
        Self::DeniedChannels,
        Self::DeniedMembers,
        Self::DeniedRoles,
        Self::Links,
        Self::Listening,
        Self::Memory,
        Self::MessageLength,
        Self::Persona,
        Self::PersonaCreators,
        Self::Proxies,
        Self::RetentionDays,
        Self::Sampling,
        Self::ServerPerHour,
        Self::Streaming,
        Self::Style,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AdminRoles => "admin_roles",
            Self::AllowedChannels => "allowed_channels",
            Self::AllowedRoles => "allowed_roles",
            Self::Answers => "answers",
            Self::BlockedPhrases => "blocked_phrases",
            Self::Buttons => "buttons",
            Self::ChannelPerHour => "channel_per_hour",
            Self::DeniedChannels => "denied_channels",
            Self::DeniedMembers => "denied_members",
            Self::DeniedRoles => "denied_roles",
            Self::Links => "links",
            Self::Listening => "listening",
            Self::Memory => "memory",
            Self::MessageLength => "message_length",
            Self::Persona => "persona",
            Self::PersonaCreators => "persona_creators",
            Self::Proxies => "proxies",
            Self::RetentionDays => "retention_days",
            Self::Sampling => "sampling",
            Self::ServerPerHour => "server_per_hour",
            Self::Streaming => "streaming",
            Self::Style => "style",
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
        !matches!(
            self,
            Self::AdminRoles
                | Self::AllowedChannels
                | Self::DeniedChannels
                | Self::Proxies
                | Self::RetentionDays
                | Self::ServerPerHour
        )
    }

    /// The values among which it is chosen, where there are so few.
    #[must_use]
    pub fn choices(self) -> Vec<&'static str> {
        match self {
            Self::Answers => ANSWERS.iter().map(|(word, ..)| *word).collect(),
            Self::Links => LINKS.iter().map(|(_, word)| *word).collect(),
            Self::Buttons | Self::Listening | Self::Memory | Self::Streaming => ON_OR_OFF.to_vec(),
            Self::PersonaCreators => CREATORS.to_vec(),
            Self::Proxies => vec!["PluralKit", "Tupperbox", "PluralKit, Tupperbox"],
            Self::Sampling => PRESETS.iter().map(|(word, _)| *word).collect(),
            Self::Style => STYLES.iter().map(|(_, word)| *word).collect(),
            _ => Vec::new(),
        }
    }

    /// With what its values name something that is listed, where they do.
    fn mark(self) -> Option<&'static str> {
        match self {
            Self::AdminRoles | Self::AllowedRoles | Self::DeniedRoles | Self::PersonaCreators => Some("<@&"),
            Self::AllowedChannels | Self::DeniedChannels => Some("<#"),
            Self::DeniedMembers => Some("<@"),
            _ => None,
        }
    }

    /// Whether its values name roles.
    #[must_use]
    pub fn names_roles(self) -> bool {
        self.mark() == Some("<@&")
    }

    /// Whether it takes to read what is not said to the bot.
    #[must_use]
    pub fn wants_to_read(self, value: &Value) -> bool {
        match self {
            Self::Answers => ANSWERS.iter().any(|(word, _, in_thread)| {
                value.as_str() == Some(word) && *in_thread == Answers::Everything
            }),
            Self::Listening => value == "on",
            _ => false,
        }
    }

    /// Reads a value as admins write it, where `find` finds personas. `None` when it makes no sense.
    #[must_use]
    pub fn read(self, words: &str, find: impl Fn(&str) -> Option<PersonaId>) -> Option<Value> {
        let words = words.trim();
        let list = |read: &dyn Fn(&str) -> Option<u64>| {
            let listed = words.split([' ', ',', '>']).filter(|word| !word.is_empty());
            let ids: BTreeSet<u64> = listed.map(read).collect::<Option<_>>()?;
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            (1..=MOST_LISTED).contains(&ids.len()).then(|| json!(ids))
        };
        match self {
            Self::AdminRoles
            | Self::AllowedChannels
            | Self::AllowedRoles
            | Self::DeniedChannels
            | Self::DeniedMembers
            | Self::DeniedRoles => list(&|word| id(word, self.mark()?)),
            Self::PersonaCreators => {
                let word = words.to_lowercase();
                let known = CREATORS.iter().find(|known| **known == word).map(|known| json!(known));
                known.or_else(|| list(&|word| id(word, "<@&")))
            }
            Self::Proxies => list(&application),
            Self::BlockedPhrases => phrases(words).map(|phrases| json!(phrases)),
            Self::Answers
            | Self::Buttons
            | Self::Links
            | Self::Listening
            | Self::Memory
            | Self::Sampling
            | Self::Streaming
            | Self::Style => {
                let word = words.to_lowercase();
                self.choices().into_iter().find(|known| *known == word).map(|known| json!(known))
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
        let listed = || value.as_array().into_iter().flatten().filter_map(Value::as_str);
        match self {
            Self::Proxies => listed().map(application_name).collect::<Vec<_>>().join(", "),
            Self::BlockedPhrases => {
                let phrases = listed().map(|phrase| format!("`{}`", phrase.replace('`', "'")));
                phrases.collect::<Vec<_>>().join(", ")
            }
            Self::ChannelPerHour | Self::MessageLength | Self::RetentionDays | Self::ServerPerHour => {
                value.to_string()
            }
            _ => match self.mark() {
                Some(mark) if value.is_array() => {
                    listed().map(|id| format!("{mark}{id}>")).collect::<Vec<_>>().join(" ")
                }
                _ => value.as_str().unwrap_or_default().to_owned(),
            },
        }
    }
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

    /// What is set for a place: in the channel, in the one that it belongs to, in the server; the nearest first.
    fn around(&self, setting: Setting, place: Place) -> impl Iterator<Item = &Value> {
        let parent = place.parent.map(Some);
        [Some(Some(place.channel)), parent, Some(None)].into_iter().flatten().filter_map(move |channel| {
            let mut set = self.set.iter();
            set.find(|(where_, what, _)| *where_ == channel && *what == setting).map(|(_, _, value)| value)
        })
    }

    /// What holds in a place: the nearest.
    fn in_place(&self, setting: Setting, place: Place) -> Option<&Value> {
        self.around(setting, place).next()
    }

    fn in_server(&self, setting: Setting) -> Option<&Value> {
        self.in_place(setting, NOWHERE)
    }

    /// The lists of ids that are set for a place, the nearest first.
    fn lists(&self, setting: Setting, place: Place) -> impl Iterator<Item = Vec<u64>> {
        let ids = |list: &Value| {
            let ids = list.as_array()?.iter().filter_map(|id| id.as_str()?.parse().ok());
            Some(ids.collect()).filter(|ids: &Vec<u64>| !ids.is_empty())
        };
        self.around(setting, place).filter_map(ids)
    }

    fn list_in_server(&self, setting: Setting) -> Option<Vec<u64>> {
        self.lists(setting, NOWHERE).next()
    }

    fn word_in(&self, setting: Setting, place: Place) -> Option<&str> {
        self.in_place(setting, place)?.as_str()
    }

    /// Who answers in a place, if the admins have said it.
    #[must_use]
    pub fn persona(&self, place: Place) -> Option<PersonaId> {
        let id = self.in_place(Setting::Persona, place)?.as_str()?;
        Some(PersonaId(id.to_owned()))
    }

    /// Which messages are answered in a place. Threads belong to their channel.
    #[must_use]
    pub fn answers(&self, place: Place) -> Answers {
        let is_here = |id: &u64| *id == place.channel.0 || place.parent.is_some_and(|parent| *id == parent.0);
        let lists_it = |list: Vec<u64>| list.iter().any(is_here);
        let is_allowed = self.list_in_server(Setting::AllowedChannels).is_none_or(lists_it);
        if !is_allowed || self.list_in_server(Setting::DeniedChannels).is_some_and(lists_it) {
            return Answers::Nothing;
        }
        let word = self.word_in(Setting::Answers, place);
        let known = ANSWERS.into_iter().find(|(known, ..)| Some(*known) == word);
        known.map_or(
            Answers::default(),
            |(_, in_channel, in_thread)| {
                if place.parent.is_some() { in_thread } else { in_channel }
            },
        )
    }

    /// Whether somebody is not to be answered in a place. What denies them anywhere around it does.
    #[must_use]
    pub fn is_denied(&self, place: Place, who: &Author) -> bool {
        let has_one_of = |list: Vec<u64>| list.into_iter().any(|id| who.roles.contains(&RoleId(id)));
        let is_allowed = self.lists(Setting::AllowedRoles, place).next().is_none_or(has_one_of);
        !is_allowed
            || self.lists(Setting::DeniedRoles, place).any(has_one_of)
            || self.denies_member(place, who.id)
    }

    /// Whether a member is denied in a place by name.
    #[must_use]
    pub fn denies_member(&self, place: Place, member: MemberId) -> bool {
        self.lists(Setting::DeniedMembers, place).any(|list| list.contains(&member.0))
    }

    /// Whether it depends on their roles who is answered in a place.
    #[must_use]
    pub fn asks_for_roles(&self, place: Place) -> bool {
        let mut asks = [Setting::AllowedRoles, Setting::DeniedRoles].into_iter();
        asks.any(|setting| self.lists(setting, place).next().is_some())
    }

    /// How replies are sampled in a place, as far as the admins have said it.
    #[must_use]
    pub fn sampling(&self, place: Place) -> SamplingWish {
        let word = self.word_in(Setting::Sampling, place);
        let preset = PRESETS.into_iter().find(|(known, _)| Some(*known) == word);
        preset.map(|(_, wish)| wish).unwrap_or_default()
    }

    /// How links are shown in a place, if the admins have said it.
    #[must_use]
    pub fn links(&self, place: Place) -> Option<Links> {
        let word = self.word_in(Setting::Links, place)?;
        LINKS.into_iter().find(|(_, known)| *known == word).map(|(links, _)| links)
    }

    /// Whether replies are shown in a place while they are made.
    #[must_use]
    pub fn streams(&self, place: Place) -> bool {
        self.word_in(Setting::Streaming, place) != Some("off")
    }

    /// Whether it is heard in a place what members say to each other.
    #[must_use]
    pub fn listens(&self, place: Place) -> bool {
        self.word_in(Setting::Listening, place) == Some("on")
    }

    /// What is not shown in a place of what personas say: what is blocked anywhere around it.
    #[must_use]
    pub fn blocklist(&self, place: Place) -> Blocklist {
        let lists = self.around(Setting::BlockedPhrases, place);
        Blocklist::new(lists.filter_map(Value::as_array).flatten().filter_map(Value::as_str))
    }

    /// The programs that post members' messages anew under other names, by their application ids.
    #[must_use]
    pub fn proxies(&self) -> BTreeSet<u64> {
        self.list_in_server(Setting::Proxies).into_iter().flatten().collect()
    }

    /// Whether buttons stand under the last reply in a place, if the admins have said it.
    #[must_use]
    pub fn buttons(&self, place: Place) -> Option<bool> {
        self.is_on(Setting::Buttons, place)
    }

    /// Whether what is cut from the history is summed up in a place, if the admins have said it.
    #[must_use]
    pub fn remembers(&self, place: Place) -> Option<bool> {
        self.is_on(Setting::Memory, place)
    }

    fn is_on(&self, setting: Setting, place: Place) -> Option<bool> {
        match self.word_in(setting, place)? {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        }
    }

    /// As whom personas speak in a place, if the admins have said it.
    #[must_use]
    pub fn style(&self, place: Place) -> Option<Style> {
        let word = self.word_in(Setting::Style, place);
        STYLES.iter().find(|(_, known)| Some(*known) == word).map(|(style, _)| *style)
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
        self.list_in_server(Setting::AdminRoles).into_iter().flatten().map(RoleId).collect()
    }

    /// Who may make personas, beside the admins.
    #[must_use]
    pub fn persona_creators(&self) -> Creators {
        let value = self.in_server(Setting::PersonaCreators);
        match value.and_then(Value::as_str) {
            Some("everyone") => Creators::Everyone,
            Some(_) => Creators::Admins,
            None => {
                let roles = self.list_in_server(Setting::PersonaCreators).filter(|roles| !roles.is_empty());
                let roles = roles.map(|roles| roles.into_iter().map(RoleId).collect());
                roles.map_or(Creators::Admins, Creators::Roles)
            }
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
            (Setting::AllowedChannels, "<#7><#8>", "<#7> <#8>"),
            (Setting::DeniedMembers, "<@!7> <@8>", "<@7> <@8>"),
            (Setting::Answers, " Everything ", "everything"),
            (Setting::Answers, "mentions_only", "mentions_only"),
            (Setting::BlockedPhrases, " bad word,, b`ad ", "`bad word`, `b'ad`"),
            (Setting::Links, "allowed", "allowed"),
            (Setting::Listening, "On", "on"),
            (Setting::Memory, "off", "off"),
            (Setting::Proxies, "pluralkit, 431544605209788416 7", "7, Tupperbox, PluralKit"),
            (Setting::Sampling, "wild", "wild"),
            (Setting::Streaming, "off", "off"),
            (Setting::Persona, "Ada", "ada"),
            (Setting::PersonaCreators, "Everyone", "everyone"),
            (Setting::PersonaCreators, "<@&7>", "<@&7>"),
            (Setting::RetentionDays, "30", "30"),
            (Setting::MessageLength, " 500 ", "500"),
            (Setting::Style, "BOT", "bot"),
        ] {
            let value = setting.read(written, find).expect("it makes sense");
            assert_eq!(setting.show(&value), shown, "{}", setting.name());
            assert_eq!(Setting::parse(setting.name()), Some(setting));
        }
        let too_many = (1..=26).map(|id| id.to_string()).collect::<Vec<_>>().join(" ");
        let (too_many_phrases, too_long) = ("bad,".repeat(51), "a".repeat(101));
        for (setting, nonsense) in [
            (Setting::AdminRoles, "the wizards"),
            (Setting::AdminRoles, ""),
            (Setting::AdminRoles, "<@7>"),
            (Setting::AllowedChannels, "tavern"),
            (Setting::AllowedRoles, "0"),
            (Setting::DeniedMembers, "<@&7>"),
            (Setting::DeniedMembers, too_many.as_str()),
            (Setting::BlockedPhrases, ","),
            (Setting::BlockedPhrases, "well, **"),
            (Setting::BlockedPhrases, too_many_phrases.as_str()),
            (Setting::BlockedPhrases, too_long.as_str()),
            (Setting::Links, "some"),
            (Setting::Listening, "sometimes"),
            (Setting::Proxies, "PluralKat"),
            (Setting::Sampling, "mad"),
            (Setting::Streaming, ""),
            (Setting::Answers, "sometimes"),
            (Setting::Persona, "nobody"),
            (Setting::PersonaCreators, "nobody"),
            (Setting::RetentionDays, "0"),
            (Setting::RetentionDays, "3651"),
            (Setting::RetentionDays, "-1"),
            (Setting::ChannelPerHour, "0"),
            (Setting::ServerPerHour, "many"),
            (Setting::Style, "mentions"),
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

    fn rules(written: &[(Option<u64>, &str, Value)]) -> Rules {
        let written = written.iter().cloned();
        Rules::new(written.map(|(at, name, value)| (at.map(ChannelId), name.to_owned(), value)).collect())
    }

    fn member(id: u64, roles: &[u64]) -> Author {
        let roles = roles.iter().copied().map(RoleId).collect();
        Author { id: MemberId(id), name: "Ada".to_owned(), automated: false, roles }
    }

    #[test]
    fn threads_belong_to_their_channel_and_are_answered_as_such() {
        let channel = Place { channel: ChannelId(2), parent: None, server: None };
        let elsewhere = Place { channel: ChannelId(9), parent: None, server: None };
        let in_threads = rules(&[(None, "answers", json!("threads"))]);
        assert_eq!(in_threads.answers(PLACE), Answers::Everything);
        assert_eq!(in_threads.answers(channel), Answers::Mentions);
        let allowed = rules(&[(None, "allowed_channels", json!(["2", "4"]))]);
        assert_eq!([PLACE, channel].map(|place| allowed.answers(place)), [Answers::Mentions; 2]);
        assert_eq!(allowed.answers(elsewhere), Answers::Nothing);
        let both = [
            (None, "allowed_channels", json!(["2"])),
            (None, "denied_channels", json!(["3"])),
            (Some(3), "answers", json!("everything")),
        ];
        assert_eq!(rules(&both).answers(PLACE), Answers::Nothing, "whoever denies wins");
        assert_eq!(rules(&both).answers(channel), Answers::Mentions);
    }

    #[test]
    fn whoever_denies_wins_and_what_denies_adds_up() {
        let written = [
            (None, "allowed_roles", json!(["1", "2"])),
            (None, "denied_roles", json!(["3"])),
            (Some(2), "denied_roles", json!(["4"])),
            (Some(3), "denied_members", json!(["70"])),
        ];
        let rules = rules(&written);
        let denied = |id, roles: &[u64]| rules.is_denied(PLACE, &member(id, roles));
        assert!(!denied(7, &[1]) && !denied(7, &[9, 2]));
        assert!(denied(7, &[]) && denied(7, &[9]), "they have none of the roles");
        assert!(denied(7, &[1, 3]) && denied(7, &[1, 4]) && denied(70, &[1]));
        assert!(rules.asks_for_roles(PLACE) && !Rules::default().asks_for_roles(PLACE));
        assert!(!Rules::default().is_denied(PLACE, &member(7, &[])));
    }

    #[test]
    fn what_is_blocked_adds_up_too() {
        let written =
            [(None, "blocked_phrases", json!(["bad"])), (Some(3), "blocked_phrases", json!(["worse"]))];
        let mut text = "bad, worse".to_owned();
        let (_, replaced) = rules(&written).blocklist(PLACE).replace(&mut text, 0, true);
        assert!(replaced && text == "[…], […]", "{text}");
    }

    #[test]
    fn presets_leave_the_rest_open_and_make_sense() {
        for (word, wish) in PRESETS {
            let set = rules(&[(None, "sampling", json!(word))]).sampling(PLACE);
            assert_eq!((set, wish.complaint(), wish.max_tokens), (wish, None, None), "{word}");
        }
        assert_eq!(rules(&[(None, "sampling", json!("balanced"))]).sampling(PLACE), SamplingWish::default());
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
        assert_eq!((rules.style(PLACE), rules.buttons(PLACE), rules.remembers(PLACE)), (None, None, None));
        assert_eq!((rules.retention(), rules.admin_roles()), (None, BTreeSet::new()));
        assert_eq!((rules.proxies(), rules.links(PLACE)), (BTreeSet::new(), None));
        assert!(rules.streams(PLACE) && !rules.listens(PLACE) && rules.blocklist(PLACE).is_empty());
        assert_eq!(rules.persona_creators(), Creators::Admins);
        assert_eq!(rules.limits(PLACE), Limits::default());
    }
}
