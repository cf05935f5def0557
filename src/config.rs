//! Settings: what was written (`RawConfig`) becomes what is meant ([`Config`]), checked and filled with defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Environment, File, FileFormat};
use secrecy::SecretString;
use serde::Deserialize;

use crate::chat::settings::Limits;
use crate::chat::{ChannelId, ServerId};
use crate::persona::{SamplingWish, located};

/// The defaults, with a comment for every setting.
pub const DEFAULT: &str = include_str!("../config/default.toml");

/// Name of the settings file that is read from the working directory when none is named.
pub const FILE_NAME: &str = "mummer.toml";

/// Name of the environment variable that holds the bot's token.
pub const TOKEN_VARIABLE: &str = "DISCORD_TOKEN";

/// Beginning of the environment variables that change settings.
const PREFIX: &str = "MUMMER";

/// All settings, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The model.
    pub model: Model,
    /// Queues.
    pub generation: Generation,
    /// How replies are chosen where a persona does not say it.
    pub sampling: SamplingWish,
    /// Personas.
    pub personas: Personas,
    /// Discord.
    pub discord: Discord,
    /// What is kept.
    pub store: Store,
    /// For how long.
    pub privacy: Privacy,
    /// How much may be asked.
    pub limits: Limits,
    /// The log.
    pub log: Log,
}

/// Which model runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// A GGUF file; without one the understudy plays.
    pub path: Option<PathBuf>,
    /// A `tokenizer.json`.
    pub tokenizer: Option<PathBuf>,
    /// Most tokens of prompt and reply together, when lower than the model's own limit.
    pub context_length: Option<usize>,
    /// Tokens whose keys and values stay in memory; `None` lets the engine choose.
    pub cache_tokens: Option<usize>,
}

/// What is kept when the program ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The database; without one conversations end with the program.
    pub path: Option<PathBuf>,
}

/// For how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privacy {
    /// What was said; `None` is for ever.
    pub retention: Option<Duration>,
    /// Everything of a server that the bot was taken out of.
    pub leave_grace: Duration,
}

/// How many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// For the model.
    pub queue: usize,
    /// How many replies the model makes at a time.
    pub batch: usize,
    /// For one conversation.
    pub queue_per_conversation: usize,
    /// How long running replies may go on when the program ends.
    pub closing: Duration,
    /// Whether what is cut from the history is summed up; `None` lets the model decide it.
    pub memory: Option<bool>,
}

/// More than any machine has memory for.
const MOST_CACHED_TOKENS: usize = 10_000_000;

/// Where personas come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Personas {
    /// Directory of the operator's own.
    pub directory: Option<PathBuf>,
    /// Who answers where no other persona is set.
    pub default: String,
}

/// How Discord is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discord {
    /// File with the token.
    pub token_file: Option<PathBuf>,
    /// Base address instead of Discord's.
    pub api_base: Option<String>,
    /// Whether to ask for the Message Content intent.
    pub message_content: bool,
    /// Whether buttons stand under the last reply, where a server has not said it.
    pub buttons: bool,
    /// Whether direct messages are answered.
    pub direct_messages: bool,
    /// The servers in which anything is answered; none stands for all.
    pub servers: BTreeSet<ServerId>,
    /// Messages that came while the bot was away are answered when they are not older.
    pub answer_within: Duration,
    /// In a scene nobody is answered before nobody has written for so long.
    pub pause: Duration,
    /// Personas of channels.
    pub channels: BTreeMap<ChannelId, String>,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is logged.
    pub level: tracing::Level,
}

/// Settings that make no sense. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the settings file {} cannot be read ({source}); check the path", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file does not parse.
    #[error("the settings file {} has a mistake: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Which mistake, in which line.
        message: String,
    },
    /// An environment variable makes no sense.
    #[error("an environment variable that begins with MUMMER__ has a mistake: {0}")]
    Environment(String),
    /// A value makes no sense.
    #[error("the setting {0}")]
    Value(String),
    /// There is no token.
    #[error(
        "there is no bot token: put it into the environment variable DISCORD_TOKEN, or into a file named by \
         discord.token_file (make one at https://discord.com/developers/applications, under Bot)"
    )]
    NoToken,
    /// The token file cannot be read.
    #[error("the token file {} cannot be read ({source}); check discord.token_file", path.display())]
    TokenFile {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The token cannot be one.
    #[error("the bot token contains white space or other characters that no token has; copy it again")]
    BadToken,
}

/// Settings as they are written, none of them required. `config/default.toml` explains each.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    model: RawModel,
    generation: RawGeneration,
    sampling: SamplingWish,
    personas: RawPersonas,
    discord: RawDiscord,
    store: RawStore,
    privacy: RawPrivacy,
    limits: RawLimits,
    log: RawLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawModel {
    path: String,
    tokenizer: String,
    context_length: usize,
    cache_tokens: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawGeneration {
    queue: usize,
    batch: usize,
    queue_per_conversation: usize,
    closing_seconds: u64,
    memory: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawPersonas {
    directory: String,
    default: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawDiscord {
    token_file: String,
    api_base: String,
    message_content: bool,
    buttons: bool,
    direct_messages: bool,
    servers: String,
    answer_within_minutes: u64,
    scene_pause_ms: u64,
    channels: BTreeMap<String, RawChannel>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawChannel {
    persona: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStore {
    path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawPrivacy {
    retention_days: u64,
    leave_days: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    member_at_a_time: usize,
    server_at_a_time: usize,
    member_per_hour: usize,
    channel_per_hour: usize,
    server_per_hour: usize,
    message_length: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLog {
    level: String,
}

impl Config {
    /// Reads the settings: defaults, under the file (`mummer.toml` in the working directory when none is named and
    /// it is there), under the environment.
    ///
    /// # Errors
    /// [`ConfigError`] when the file cannot be read, has unknown keys, or a value makes no sense.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let default = Path::new(FILE_NAME);
        let path = file.or_else(|| default.exists().then_some(default));
        let text = path.map(|path| read(path).map(|text| (path, text))).transpose()?;
        // A variable that is not Unicode cannot be one of ours.
        let variables = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::from_sources(text.as_ref().map(|(path, text)| (*path, text.as_str())), variables)
    }

    fn from_sources(
        file: Option<(&Path, &str)>,
        variables: std::collections::HashMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let defaults = config::Config::builder().add_source(File::from_str(DEFAULT, FileFormat::Toml));
        let with_file = match file {
            Some((path, text)) => {
                // Read on its own first: only then do mistakes come with their line.
                toml::from_str::<RawConfig>(text).map_err(|error| ConfigError::Syntax {
                    path: path.to_owned(),
                    message: hint_at_token(&located(&error, text)),
                })?;
                defaults.add_source(File::from_str(text, FileFormat::Toml))
            }
            None => defaults,
        };
        let environment =
            Environment::with_prefix(PREFIX).prefix_separator("__").separator("__").source(Some(variables));
        let raw: RawConfig = with_file
            .add_source(environment)
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| ConfigError::Environment(hint_at_token(&error.to_string())))?;
        raw.resolve()
    }
}

impl RawLimits {
    /// 0 is no limit.
    fn resolve(&self) -> Limits {
        let limit = |most: usize| Some(most).filter(|&most| most > 0);
        Limits {
            member_at_a_time: limit(self.member_at_a_time),
            server_at_a_time: limit(self.server_at_a_time),
            member_per_hour: limit(self.member_per_hour),
            channel_per_hour: limit(self.channel_per_hour),
            server_per_hour: limit(self.server_per_hour),
            message_length: limit(self.message_length),
        }
    }
}

fn minutes(number: u64) -> Duration {
    Duration::from_secs(number * 60)
}

fn days(number: u64) -> Duration {
    minutes(number * 24 * 60)
}

impl RawConfig {
    fn resolve(self) -> Result<Config, ConfigError> {
        let value = |message: String| Err(ConfigError::Value(message));
        for (key, number) in [
            ("generation.queue", self.generation.queue),
            ("generation.batch", self.generation.batch),
            ("generation.queue_per_conversation", self.generation.queue_per_conversation),
        ] {
            if !(1..=1_000).contains(&number) {
                return value(format!("{key} is {number}; it must be 1 to 1000"));
            }
        }
        if self.model.cache_tokens > MOST_CACHED_TOKENS {
            let asked = self.model.cache_tokens;
            return value(format!("model.cache_tokens is {asked}; it must be 0 to {MOST_CACHED_TOKENS}"));
        }
        for (key, number, most) in [
            ("generation.closing_seconds", self.generation.closing_seconds, 600),
            ("discord.answer_within_minutes", self.discord.answer_within_minutes, 1_440),
            ("discord.scene_pause_ms", self.discord.scene_pause_ms, 30_000),
            ("privacy.retention_days", self.privacy.retention_days, 36_500),
            ("privacy.leave_days", self.privacy.leave_days, 365),
        ] {
            if number > most {
                return value(format!("{key} is {number}; it must be 0 to {most}"));
            }
        }
        if let Some(complaint) = self.sampling.complaint() {
            return value(complaint);
        }
        let memory = match self.generation.memory.as_str() {
            "auto" => None,
            "on" => Some(true),
            "off" => Some(false),
            written => return value(format!("generation.memory is {written:?}; it must be auto, on or off")),
        };
        let Ok(level) = self.log.level.parse() else {
            let written = self.log.level;
            return value(format!("log.level is {written:?}; it must be error, warn, info, debug or trace"));
        };
        Ok(Config {
            model: Model {
                path: some_path(&self.model.path),
                tokenizer: some_path(&self.model.tokenizer),
                context_length: Some(self.model.context_length).filter(|&length| length > 0),
                cache_tokens: Some(self.model.cache_tokens).filter(|&tokens| tokens > 0),
            },
            generation: Generation {
                queue: self.generation.queue,
                batch: self.generation.batch,
                queue_per_conversation: self.generation.queue_per_conversation,
                closing: Duration::from_secs(self.generation.closing_seconds),
                memory,
            },
            sampling: self.sampling,
            personas: Personas {
                directory: some_path(&self.personas.directory),
                default: self.personas.default,
            },
            discord: self.discord.resolve()?,
            store: Store { path: some_path(&self.store.path) },
            privacy: Privacy {
                retention: Some(days(self.privacy.retention_days)).filter(|time| !time.is_zero()),
                leave_grace: days(self.privacy.leave_days),
            },
            limits: self.limits.resolve(),
            log: Log { level },
        })
    }
}

impl RawDiscord {
    fn resolve(self) -> Result<Discord, ConfigError> {
        let value = |message: String| Err(ConfigError::Value(message));
        let api_base = some_text(&self.api_base).map(|base| base.trim_end_matches('/').to_owned());
        if let Some(base) = &api_base
            && !["http://", "https://"]
                .iter()
                .any(|scheme| base.len() > scheme.len() && base.starts_with(scheme))
        {
            return value("discord.api_base must begin with http:// or https://".to_owned());
        }
        if looks_like_a_token(&self.token_file) {
            let message = "discord.token_file must name a file, and what stands there looks like a token itself; put \
                           it into a file of its own";
            return value(message.to_owned());
        }
        let mut servers = BTreeSet::new();
        for id in self.servers.split([',', ' ']).filter(|id| !id.is_empty()) {
            let Some(number) = id.parse().ok().filter(|&number: &u64| number > 0) else {
                return value(format!(
                    "discord.servers has {id:?}, which is no server: use the servers' numbers (Copy Server ID in Discord) \
                     with commas between them"
                ));
            };
            servers.insert(ServerId(number));
        }
        let mut channels = BTreeMap::new();
        for (id, channel) in self.channels {
            let Some(number) = id.parse().ok().filter(|&number: &u64| number > 0) else {
                return value(format!(
                    "discord.channels.{id} is no channel: use the channel's number (Copy Channel ID in Discord)"
                ));
            };
            if let Some(persona) = some_text(&channel.persona) {
                channels.insert(ChannelId(number), persona.to_owned());
            }
        }
        Ok(Discord {
            token_file: some_path(&self.token_file),
            api_base,
            message_content: self.message_content,
            buttons: self.buttons,
            direct_messages: self.direct_messages,
            servers,
            answer_within: minutes(self.answer_within_minutes),
            pause: Duration::from_millis(self.scene_pause_ms),
            channels,
        })
    }
}

impl Discord {
    /// The bot's token, from the environment or the token file.
    ///
    /// # Errors
    /// [`ConfigError`] when there is none, or what is there cannot be one.
    pub fn token(&self) -> Result<SecretString, ConfigError> {
        let written = match std::env::var(TOKEN_VARIABLE) {
            Ok(token) if !token.trim().is_empty() => token,
            _ => match &self.token_file {
                Some(path) => std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::TokenFile { path: path.clone(), source })?,
                None => return Err(ConfigError::NoToken),
            },
        };
        let token = written.trim().trim_start_matches("Bot ").trim();
        if token.is_empty() {
            return Err(ConfigError::NoToken);
        }
        if !token.chars().all(|c| c.is_ascii_graphic()) {
            return Err(ConfigError::BadToken);
        }
        Ok(SecretString::from(token.to_owned()))
    }

    /// Whether a token was given at all.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token_file.is_some() || std::env::var(TOKEN_VARIABLE).is_ok_and(|token| !token.trim().is_empty())
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// Whether this is a token in the place of something else: three parts with dots between them, and long.
fn looks_like_a_token(text: &str) -> bool {
    text.len() > 40 && text.split('.').count() == 3 && !text.contains(['/', '\\', ' '])
}

fn some_text(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

fn some_path(text: &str) -> Option<PathBuf> {
    some_text(text).map(PathBuf::from)
}

/// People look for a place for the token; the message says where it is.
fn hint_at_token(message: &str) -> String {
    if message.contains("unknown field `token`") {
        format!("{message} (the token comes from {TOKEN_VARIABLE} or discord.token_file, nowhere else)")
    } else {
        message.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;

    fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variables: HashMap<String, String> =
            variables.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Config::from_sources(Some((Path::new("mummer.toml"), file)), variables)
    }

    #[test]
    fn the_environment_stands_over_the_file_and_the_file_over_the_defaults() {
        let file = "[model]\npath = '/a.gguf'\n[personas]\ndefault = 'crake'\n";
        let config = load(file, &[("MUMMER__MODEL__PATH", "/b.gguf")]).expect("it loads");
        assert_eq!(config.model.path, Some(PathBuf::from("/b.gguf")));
        assert_eq!(config.personas.default, "crake");
        assert_eq!(config.sampling.max_tokens, Some(400));
        assert!(!config.discord.message_content);
    }

    #[test]
    fn channels_have_personas_from_file_and_environment() {
        let file = "[discord.channels.11]\npersona = 'crake'\n";
        let variables = [
            ("MUMMER__DISCORD__CHANNELS__12__PERSONA", "mizzle"),
            ("MUMMER__DISCORD__MESSAGE_CONTENT", "true"),
            ("MUMMER__DISCORD__API_BASE", "http://127.0.0.1:3100/"),
        ];
        let config = load(file, &variables).expect("it loads");
        let personas: Vec<_> =
            config.discord.channels.iter().map(|(id, name)| (id.0, name.as_str())).collect();
        assert_eq!(personas, [(11, "crake"), (12, "mizzle")]);
        assert!(config.discord.message_content);
        assert_eq!(config.discord.api_base.as_deref(), Some("http://127.0.0.1:3100"));
    }

    #[test]
    fn mistakes_say_where_they_are_and_what_to_do() {
        let check = |file: &str, variables: &[(&str, &str)], expected: &[&str]| {
            let error = load(file, variables).expect_err("it is wrong").to_string();
            for expected in expected {
                assert!(error.contains(expected), "{error:?} does not say {expected:?}");
            }
        };
        check("[model]\npaht = 'x'\n", &[], &["mummer.toml", "line 2", "paht", "path"]);
        check("[model\n", &[], &["mummer.toml", "line 1"]);
        check("[discord]\ntoken = 'x'\n", &[], &["line 2", "DISCORD_TOKEN", "discord.token_file"]);
        check("", &[("MUMMER__MODLE__PATH", "x")], &["MUMMER__", "modle"]);
        check("[log]\nlevel = 'loud'\n", &[], &["log.level", "loud", "debug"]);
        check("[discord]\napi_base = 'localhost'\n", &[], &["discord.api_base", "http://"]);
        check("[discord]\nservers = '12, here'\n", &[], &["discord.servers", "here", "number"]);
        check("[discord.channels.general]\npersona = 'x'\n", &[], &["discord.channels.general", "number"]);
        check("[generation]\nqueue = 0\n", &[], &["generation.queue", "1 to"]);
        check("[generation]\nmemory = 'some'\n", &[], &["generation.memory", "some", "auto, on or off"]);
        check("[model]\ncache_tokens = 100000000\n", &[], &["model.cache_tokens", "0 to"]);
        check("[sampling]\ntop_p = 0.0\n", &[], &["sampling.top_p"]);
    }

    #[test]
    fn a_token_in_the_wrong_place_is_not_repeated() {
        let token = "MTEwMDAwMDAwMDAwMDAwMDAwMQ.Gabcde.0123456789012345678901234567";
        for key in ["token", "token_file", "api_base"] {
            let error =
                load(&format!("[discord]\n{key} = '{token}'\n"), &[]).expect_err("it is wrong").to_string();
            assert!(!error.contains("Gabcde"), "{error}");
        }
    }

    #[test]
    fn every_default_is_a_setting_with_a_comment() {
        let raw: RawConfig = toml::from_str(DEFAULT).expect("the defaults parse");
        raw.resolve().expect("the defaults make sense");
        let lines: Vec<&str> = DEFAULT.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            if line.contains(" = ") && !line.starts_with('#') {
                assert!(lines[number - 1].starts_with("# "), "no comment before {line:?}");
            }
        }
    }

    #[test]
    fn every_setting_has_a_default() {
        // serde names all fields that it knows when it meets one that it does not.
        let known = |section: &str| -> BTreeSet<String> {
            let error =
                toml::from_str::<RawConfig>(&format!("[{section}]\nnobody = 1\n")).expect_err("unknown");
            let message = error.to_string();
            let fields = message.split("expected").nth(1).expect("the known fields").to_owned();
            fields.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let defaults: toml::Table = toml::from_str(DEFAULT).expect("the defaults parse");
        for (section, table) in &defaults {
            let written: BTreeSet<String> = table.as_table().expect("a section").keys().cloned().collect();
            let mut expected = known(section);
            expected.remove("channels");
            assert_eq!(written, expected, "[{section}]");
        }
    }
}
