//! `/settings`: what admins decide for their server.

use serde_json::Value;
use serenity::all::{
    AutocompleteChoice, ChannelId, CreateAutocompleteResponse, ResolvedOption, ResolvedValue,
};

use super::super::reading;
use super::super::user::User;
use super::persona;
use super::{Context, Problem, actor, defer, whisper};
use crate::admin::Actor;
use crate::assistant::Found;
use crate::chat;
use crate::chat::settings::{Answers, Setting};
use crate::chat::text::{Editing, Limit, Text};

/// See and change what holds in this server, for admins.
#[poise::command(slash_command, subcommands("show", "set", "reset"), subcommand_required)]
#[expect(clippy::unused_async, reason = "it has only others under it")]
pub(super) async fn settings(_: Context<'_>) -> Result<(), Problem> {
    Ok(())
}

/// Tell what is set.
#[poise::command(slash_command)]
async fn show(context: Context<'_>) -> Result<(), Problem> {
    let actor = actor(context)?;
    defer(context).await?;
    let rules = context.data().admin.rules(&actor).await?;
    let set = rules.iter().map(|(channel, setting, value)| (channel, setting, setting.show(value)));
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
    let channel = change(context, &actor, channel, setting, Some(&value)).await?;
    let everything = value == Answers::Everything.word();
    let limit = match (setting, value.as_u64()) {
        (Setting::Answers, _) if everything && !assistant.reads_everything() => Some(Limit::CannotRead),
        (Setting::RetentionDays, Some(wanted)) => {
            let kept = assistant.retention_days(Some(actor.server)).filter(|kept| *kept < wanted);
            kept.map(Limit::KeptFor)
        }
        (Setting::Persona, _) if channel.is_none() && found.is_some_and(|found| found.is_restricted()) => {
            Some(Limit::AgeRestricted)
        }
        _ => None,
    };
    let value = Some(setting.show(&value));
    whisper(context, &Text::Set { setting, value, channel, limit }).await
}

/// The persona with this id or name, if it may be chosen for a channel, or with `None` for the server.
fn chosen(context: Context<'_>, wanted: &str, channel: Option<ChannelId>) -> Result<Option<Found>, Problem> {
    let assistant = &context.data().assistant;
    let user = User::of_command(context.interaction);
    let at = channel.unwrap_or(user.channel());
    let place = reading::place(context.serenity_context(), at, user.server());
    let Some(found) = assistant.persona_named(wanted, place, user.id()) else { return Ok(None) };
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
    let channel = change(context, &actor, channel, setting, None).await?;
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

/// Changes a setting, which holds when this returns. Returns where.
async fn change(
    context: Context<'_>,
    actor: &Actor,
    channel: Option<ChannelId>,
    setting: Setting,
    value: Option<&Value>,
) -> Result<Option<chat::ChannelId>, Problem> {
    let channel = channel.map(|channel| chat::ChannelId(channel.get()));
    let handler = context.data();
    handler.admin.set(actor, channel, setting, value).await?;
    handler.assistant.rules_changed(actor.server).await.map_err(Problem::broken)?;
    Ok(channel)
}

#[expect(clippy::unused_async, reason = "poise waits for it")]
async fn names(_: Context<'_>, partial: &str) -> CreateAutocompleteResponse {
    let names = Setting::ALL.map(Setting::name).into_iter().filter(|name| name.contains(partial.trim()));
    offered(names)
}

async fn values(context: Context<'_>, partial: &str) -> CreateAutocompleteResponse {
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
        Some(setting) => offered(setting.choices().filter(|choice| choice.contains(partial.trim()))),
        None => CreateAutocompleteResponse::new(),
    }
}

fn offered(words: impl Iterator<Item = &'static str>) -> CreateAutocompleteResponse {
    let choices = words.map(|word| AutocompleteChoice::new(word, word)).collect();
    CreateAutocompleteResponse::new().set_choices(choices)
}
