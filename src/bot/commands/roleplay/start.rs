//! `/roleplay start`: a scene is opened.

use poise::CreateReply;
use serenity::all::{
    AutoArchiveDuration, ChannelId, Context as Discord, CreateThread, GuildId, MessageId, Permissions,
};

use super::super::super::user::User;
use super::super::super::{reading, rest};
use super::super::persona::names;
use super::super::{Context, Problem, arrived, reply};
use super::{actor, place, undress, written};
use crate::assistant::Unstaged;
use crate::chat::scene::{Actor, Direction, Scene, TEXT_MAX, Written};
use crate::chat::text::Staging;
use crate::chat::{self, Place, sanitize};

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
    let in_thread = thread.unwrap_or_default();
    if in_thread {
        may_thread(context, here)?;
    } else if assistant.scene_of(here).await.is_ok() {
        return Err(Unstaged::Occupied.into());
    }
    let who = user.author();
    let now = reading::seconds(context.interaction.id.created_at());
    let title = title.map(|title| written(context, &title)).filter(|title| !sanitize::is_blank(title));
    let mut opened = Scene::new(title.as_deref().unwrap_or(persona.char_name()), who.id, now);
    let about = scene.map(|text| written(context, &text)).filter(|text| !sanitize::is_blank(text));
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
    if !in_thread {
        undress(context, here).await;
        assistant.open_scene(here, &persona, opened.clone()).await?;
    }
    reply(context, CreateReply::default().content(chat::text::Text::from(text).to_string())).await?;
    let shown = rest::retry("find what is said", || context.interaction.get_response(&serenity.http));
    let announced = shown.await.map_err(Problem::broken)?.id;
    let place = if in_thread {
        let thread = make_thread(serenity, user.channel(), announced, &opened.title).await?;
        let place = Place { channel: chat::ChannelId(thread.get()), parent: Some(here.channel), ..here };
        assistant.open_scene(place, &persona, opened).await?;
        place
    } else {
        here
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
fn may_thread(context: Context<'_>, here: Place) -> Result<(), Problem> {
    if here.server.is_none() || here.parent.is_some() {
        return Err(Problem::Told(Staging::NoThreads.into()));
    }
    let needed = Permissions::CREATE_PUBLIC_THREADS | Permissions::SEND_MESSAGES_IN_THREADS;
    let may = may(context.serenity_context(), here);
    match may {
        Some(may) if !may.contains(needed) => Err(Problem::Told(Staging::MayNotThread.into())),
        _ => Ok(()),
    }
}

fn may(context: &Discord, here: Place) -> Option<Permissions> {
    let server = GuildId::new(here.server?.0.max(1));
    reading::permissions(context, server, ChannelId::new(here.channel.0.max(1)))
}

async fn make_thread(
    context: &Discord,
    channel: ChannelId,
    from: MessageId,
    title: &str,
) -> Result<ChannelId, Problem> {
    let thread = CreateThread::new(title).auto_archive_duration(AutoArchiveDuration::OneWeek);
    let made = rest::retry("start a thread", || {
        let thread = thread.clone();
        async { channel.create_thread_from_message(&context.http, from, thread).await }
    });
    match made.await {
        Ok(made) => Ok(made.id),
        // The first try has arrived, though its answer has not; a thread has the id of the message that it begins with.
        Err(trouble) if trouble.has_thread_already() => Ok(ChannelId::new(from.get())),
        Err(trouble) if trouble.finality().is_some() => Err(Problem::Told(Staging::MayNotThread.into())),
        Err(trouble) => Err(trouble.into()),
    }
}
