//! `/settings`: what admins decide for their server.

use serde_json::Value;
use serenity::all::{
    AutocompleteChoice, ChannelId, ChannelType, CreateAutocompleteResponse, ResolvedOption, ResolvedValue,
};

use super::super::components::What;
use super::super::events::Handler;
use super::super::reading;
use super::super::user::User;
use super::persona::{self, CHOICES};
use super::{Context, Problem, actor, confirm, defer, whisper};
use crate::admin::Actor;
use crate::assistant::Found;
use crate::chat;
use crate::chat::settings::Setting;
use crate::chat::text::{Editing, Limit, Text};

/// Most characters of a value that is offered.
const VALUE_MAX: usize = 100;

/// See and change what holds in this server, for admins.
#[poise::command(slash_command, subcommands("show", "set", "reset"), subcommand_required)]
#[expect(clippy::unused_async, reason = "it has only others under it")]
pub(super) async fn settings(_: Context<'_>) -> Result<(), Problem> {
    Ok(())
}

/// Tell what is set.
#[poise::command(slash_command)]
async fn show(
    context: Context<'_>,
    #[description = "The one that you want to see; without it all of them"]
    #[autocomplete = "names"]
    setting: Option<String>,
) -> Result<(), Problem> {
    let actor = actor(context)?;
    defer(context).await?;
    let rules = context.data().admin.rules(&actor).await?;
    let only = setting.map(|name| Setting::parse(&name).ok_or(Problem::Told(Text::NoSetting)));
    let only = only.transpose()?;
    let set = rules.iter().filter(|(_, setting, _)| only.is_none_or(|only| only == *setting));
    let set = set.map(|(channel, setting, value)| (channel, setting, setting.show(value)));
    whisper(context, &Text::Settings(set.collect())).await
}

/// Set what holds in the server, or in one channel and its threads.
#[poise::command(slash_command)]
async fn set(
    context: Context<'_>,
    #[description = "The name of the setting"]
    #[autocomplete = "names"]
    setting: String,
    #[description = "Its new value"]
    #[autocomplete = "values"]
    #[max_length = 1_000]
    value: String,
    #[description = "The channel in which it holds; without it the whole server"]
    #[channel_types("Text", "News", "Voice", "Forum", "PublicThread", "PrivateThread", "NewsThread")]
    channel: Option<ChannelId>,
) -> Result<(), Problem> {
    let (actor, setting) = admitted(context, &setting).await?;
    let assistant = &context.data().assistant;
    let found = if setting == Setting::Persona { chosen(context, &value, channel)? } else { None };
    let find = |_: &str| found.as_ref().map(|found| found.persona().id.clone());
    let value = setting.read(&value, find).ok_or(Problem::Told(Text::NoValue(setting)))?;
    // Everybody has the role with the server's own id.
    if setting.names_roles()
        && value.as_array().is_some_and(|ids| ids.contains(&Value::from(actor.server.to_string())))
    {
        return Err(Problem::Told(Text::NoValue(setting)));
    }
    if setting == Setting::RetentionDays
        && channel.is_none()
        && let Some(days) = value.as_u64()
    {
        let older = assistant.older_than(actor.server, days).await.map_err(Problem::broken)?;
        if older > 0 {
            let question = Text::MayForgetOlder { days, older };
            return confirm(context, &question, What::Keep(days)).await;
        }
    }
    let channel = channel.map(|channel| chat::ChannelId(channel.get()));
    let done = context.data().set(&actor, channel, setting, &value, found.as_ref()).await?;
    whisper(context, &done).await
}

/// The persona with this id or name, if it may be chosen for a channel, or with `None` for the server.
fn chosen(context: Context<'_>, wanted: &str, channel: Option<ChannelId>) -> Result<Option<Found>, Problem> {
    let assistant = &context.data().assistant;
    let user = User::of_command(context.interaction);
    let at = channel.unwrap_or(user.channel());
    let place = reading::place(context.serenity_context(), at, user.server());
    let found = match assistant.persona_named(wanted, place, user.id()) {
        Ok(found) => found,
        Err(namesakes) if namesakes.is_empty() => return Ok(None),
        Err(namesakes) => return Err(Problem::Told(Editing::Namesakes(namesakes).into())),
    };
    if found.is_private() {
        return Err(Problem::Told(Editing::Private.into()));
    }
    if channel.is_some() && !assistant.may_play_in(&found, place) {
        return Err(Problem::Told(Editing::AgeRestricted.into()));
    }
    match assistant.fits(found.persona()) {
        Ok(()) => Ok(Some(found)),
        Err(_) => Err(Problem::Told(Text::TooLarge)),
    }
}

/// Take back what was set.
#[poise::command(slash_command)]
async fn reset(
    context: Context<'_>,
    #[description = "The name of the setting"]
    #[autocomplete = "names"]
    setting: String,
    #[description = "The channel in which it holds; without it the whole server"]
    #[channel_types("Text", "News", "Voice", "Forum", "PublicThread", "PrivateThread", "NewsThread")]
    channel: Option<ChannelId>,
) -> Result<(), Problem> {
    let (actor, setting) = admitted(context, &setting).await?;
    let channel = channel.map(|channel| chat::ChannelId(channel.get()));
    context.data().change(&actor, channel, setting, None).await?;
    whisper(context, &Text::Set { setting, value: None, channel, limit: None }).await
}

/// Who wants to change something, and what. Whoever may not is told so first.
async fn admitted(context: Context<'_>, setting: &str) -> Result<(Actor, Setting), Problem> {
    let actor = actor(context)?;
    defer(context).await?;
    context.data().admin.rules(&actor).await?;
    let setting = Setting::parse(setting).ok_or(Problem::Told(Text::NoSetting))?;
    Ok((actor, setting))
}

impl Handler {
    /// Changes a setting, which holds when this returns.
    async fn change(
        &self,
        actor: &Actor,
        channel: Option<chat::ChannelId>,
        setting: Setting,
        value: Option<&Value>,
    ) -> Result<(), Problem> {
        self.admin.set(actor, channel, setting, value).await?;
        self.assistant.rules_changed(actor.server).await;
        Ok(())
    }

    /// Sets something, and tells what holds now.
    async fn set(
        &self,
        actor: &Actor,
        channel: Option<chat::ChannelId>,
        setting: Setting,
        value: &Value,
        persona: Option<&Found>,
    ) -> Result<Text, Problem> {
        self.change(actor, channel, setting, Some(value)).await?;
        let kept = || self.assistant.retention_days(Some(actor.server));
        let limit = match (setting, value.as_u64()) {
            (Setting::RetentionDays, Some(wanted)) => {
                kept().filter(|kept| *kept < wanted).map(Limit::KeptFor)
            }
            (Setting::Persona, _) if channel.is_none() && persona.is_some_and(Found::is_restricted) => {
                Some(Limit::AgeRestricted)
            }
            _ => (setting.wants_to_read(value) && !self.assistant.reads_everything())
                .then_some(Limit::CannotRead),
        };
        Ok(Text::Set { setting, value: Some(setting.show(value)), channel, limit })
    }

    /// What was said is kept for so many days only, as was asked before.
    pub(in crate::bot) async fn keep_for(&self, user: User<'_>, days: u64) -> Result<Text, Problem> {
        let actor = user.actor().ok_or(Problem::Told(Text::ServersOnly))?;
        let setting = Setting::RetentionDays;
        let value = setting.read(&days.to_string(), |_| None).ok_or(Problem::Told(Text::Stale))?;
        self.set(&actor, None, setting, &value, None).await
    }
}

#[expect(clippy::unused_async, reason = "poise waits for it")]
async fn names(_: Context<'_>, partial: &str) -> CreateAutocompleteResponse {
    let names = Setting::ALL.map(Setting::name).into_iter().filter(|name| name.contains(partial.trim()));
    offered(names)
}

async fn values(context: Context<'_>, partial: &str) -> CreateAutocompleteResponse {
    // Nobody else need know which channels and roles there are.
    let admits = match actor(context) {
        Ok(actor) => context.data().admin.rules(&actor).await.is_ok(),
        Err(_) => false,
    };
    if !admits {
        return CreateAutocompleteResponse::new();
    }
    let chosen = context.args.iter().find_map(|option| match option {
        ResolvedOption { name: "setting", value: ResolvedValue::String(setting), .. } => {
            Setting::parse(setting)
        }
        _ => None,
    });
    match chosen {
        Some(Setting::Persona) => {
            CreateAutocompleteResponse::new().set_choices(persona::alike(context, partial).await)
        }
        Some(
            setting @ (Setting::AdminRoles
            | Setting::AllowedChannels
            | Setting::AllowedRoles
            | Setting::DeniedChannels
            | Setting::DeniedRoles),
        ) => listed(context, setting, partial),
        Some(setting) => offered(setting.choices().into_iter().filter(|choice| alike(choice, partial))),
        None => CreateAutocompleteResponse::new(),
    }
}

fn alike(known: &str, partial: &str) -> bool {
    known.to_lowercase().contains(&partial.trim().to_lowercase())
}

fn offered(words: impl Iterator<Item = &'static str>) -> CreateAutocompleteResponse {
    let choices = words.map(|word| AutocompleteChoice::new(word, word)).collect();
    CreateAutocompleteResponse::new().set_choices(choices)
}

/// The server's roles or channels that are named like what is written after the last comma, with what stands before it.
fn listed(context: Context<'_>, setting: Setting, partial: &str) -> CreateAutocompleteResponse {
    let (before, wanted) = partial.rsplit_once(',').unwrap_or(("", partial));
    let server = context.interaction.guild_id.and_then(|id| id.to_guild_cached(context.serenity_context()));
    let Some(server) = server else { return CreateAutocompleteResponse::new() };
    let mut known: Vec<(&str, String)> = match setting {
        Setting::AllowedChannels | Setting::DeniedChannels => {
            let channels = server.channels.values().filter(|channel| channel.kind != ChannelType::Category);
            channels.map(|channel| (channel.name.as_str(), format!("<#{}>", channel.id))).collect()
        }
        // Everybody has the one with the server's own id.
        _ => {
            let roles = server.roles.values().filter(|role| role.id.get() != server.id.get());
            roles.map(|role| (role.name.as_str(), format!("<@&{}>", role.id))).collect()
        }
    };
    known.retain(|(name, _)| alike(name, wanted));
    known.sort_unstable();
    let before = if before.trim().is_empty() { String::new() } else { format!("{}, ", before.trim()) };
    let choices = known.into_iter().map(|(name, mention)| (name, format!("{before}{mention}")));
    let choices = choices.filter(|(_, value)| value.len() <= VALUE_MAX).take(CHOICES);
    let choices = choices.map(|(name, value)| AutocompleteChoice::new(persona::cut(name), value)).collect();
    CreateAutocompleteResponse::new().set_choices(choices)
}
