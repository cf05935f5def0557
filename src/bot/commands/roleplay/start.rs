//! `/roleplay start`: a scene is opened.

use std::sync::Arc;

use poise::CreateReply;
use serenity::all::{MessageId, PartialChannel};
use tracing::warn;

use super::super::super::threads::{self, Soil};
use super::super::super::user::User;
use super::super::super::{reading, rest};
use super::super::persona::names;
use super::super::{Context, Problem, arrived, reply};
use super::{actor, place, undress, written};
use crate::assistant::Unstaged;
use crate::chat::scene::{Actor, Direction, Scene, TEXT_MAX, Written};
use crate::chat::text::Staging;
use crate::chat::{self, Place, sanitize};
use crate::persona::Persona;

/// Open a scene here, or in a thread of its own.
#[poise::command(slash_command)]
pub(super) async fn start(
    context: Context<'_>,
    #[description = "Who plays in it"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: String,
    #[description = "What it is about; without it what the persona brings"]
    #[max_length = 2_000]
    scene: Option<String>,
    #[description = "Whether it gets a thread of its own"] thread: Option<bool>,
    #[description = "The name of the character that you play"]
    #[rename = "as"]
    #[max_length = 32]
    character: Option<String>,
    #[description = "Under which title it is found again"]
    #[max_length = 80]
    title: Option<String>,
) -> Result<(), Problem> {
    let here = place(context).await?;
    let (handler, user) = (context.data(), User::of_command(context.interaction));
    let assistant = &handler.assistant;
    let persona = actor(context, &persona).await?;
    let soil = if thread.unwrap_or_default() { Some(may_thread(context, here)?) } else { None };
    if soil.is_none() && assistant.scene_of(here).await.is_ok() {
        return Err(Unstaged::Occupied.into());
    }
    let who = user.author();
    let now = reading::seconds(context.interaction.id.created_at());
    let title = title.map(|title| written(context, &title)).filter(|title| !sanitize::is_blank(title));
    let mut opened = Scene::new(title.as_deref().unwrap_or(persona.char_name()), who.id, now);
    let about = scene.map(|text| written(context, &text)).filter(|text| !sanitize::is_blank(text));
    opened.home = soil.map(Soil::home).or(user.home());
    opened.scenario = about.as_ref().map(|text| Written { text: cut(text), by: who.id });
    if let Some(character) = character.map(|name| written(context, &name)) {
        opened.cast = vec![Actor::of(&persona)];
        let play = Direction::Play { name: named(&character)?, description: String::new() };
        opened.direct(who.id, true, play, now).map_err(Unstaged::from)?;
    }
    // Whatever speaks there comes to rest first, for which Discord does not wait.
    let deferred = rest::retry("defer a command", || context.defer()).await;
    arrived(context, deferred)?;
    let text = Staging::Opened {
        who: user.name(),
        persona: persona.char_name().to_owned(),
        title: opened.title.clone(),
        about,
        reads_everything: assistant.reads_everything() || here.server.is_none(),
    };
    let serenity = context.serenity_context();
    if soil.is_none() {
        undress(context, here).await;
        assistant.open_scene(here, &persona, opened.clone()).await?;
    }
    reply(context, CreateReply::default().content(chat::text::Text::from(text).to_string())).await?;
    let shown = rest::retry("find what is said", || context.interaction.get_response(&serenity.http));
    let announced = shown.await.map_err(Problem::broken)?.id;
    let place = match soil {
        Some(soil) => in_thread(context, soil, announced, &persona, opened).await?,
        None => here,
    };
    let id = chat::MessageId(announced.get());
    let persona = Some(persona.id.clone());
    if let Some(accepted) = assistant.give_the_word(place, &who, true, persona, id).await? {
        handler.answer(serenity, accepted, user.server()).await;
    }
    Ok(())
}

/// A name for a character.
pub(super) fn named(wanted: &str) -> Result<String, Problem> {
    if wanted.chars().any(char::is_alphanumeric) {
        Ok(sanitize::name(wanted))
    } else {
        Err(Problem::Told(Staging::Nameless.into()))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

/// Whether there can be a thread where the command is used, and the bot may make one.
fn may_thread(context: Context<'_>, here: Place) -> Result<Soil, Problem> {
    let channel = context.interaction.channel.as_ref().filter(|_| here.parent.is_none());
    let kind = channel.map(|PartialChannel { kind, .. }| *kind);
    let soil = threads::soil(context.serenity_context(), here, kind);
    let soil = soil.ok_or(Problem::Told(Staging::NoThreads.into()))?;
    if soil.may_grow(context.serenity_context()) {
        Ok(soil)
    } else {
        Err(Problem::Told(Staging::MayNotThread.into()))
    }
}

/// Opens a scene in a thread that begins with its announcement, which is taken back when that fails.
async fn in_thread(
    context: Context<'_>,
    soil: Soil,
    announced: MessageId,
    persona: &Arc<Persona>,
    scene: Scene,
) -> Result<Place, Problem> {
    let (serenity, assistant) = (context.serenity_context(), &context.data().assistant);
    let grown = soil.grow_from(serenity, announced, &scene.title).await;
    let thread = grown.map_err(|trouble| match trouble.finality() {
        Some(_) => Problem::Told(Staging::MayNotThread.into()),
        None => trouble.into(),
    });
    let opened = match thread {
        Ok(thread) => {
            let server = User::of_command(context.interaction).place(serenity).server;
            let place = Place { channel: chat::ChannelId(thread.get()), parent: Some(soil.home()), server };
            let opened = assistant.open_scene(place, persona, scene).await;
            if opened.is_err() {
                threads::clear_away(serenity, thread).await;
            }
            opened.map(|()| place).map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    if opened.is_err() {
        let take_back = || context.interaction.delete_response(&serenity.http);
        if let Err(trouble) = rest::retry("take an announcement back", take_back).await {
            warn!(%trouble, "a scene that is not there is announced");
        }
    }
    opened
}
