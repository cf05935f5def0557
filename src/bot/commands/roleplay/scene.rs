//! `/roleplay join`, `as`, `scene`, `narrate`, `note`, `pause`, `resume`, `stop`, `delete`, `list`: what members do with a scene.

use serenity::all::{AutocompleteChoice, ChannelId, ChannelType, CreateAutocompleteResponse};

use super::super::super::components::What;
use super::super::super::rest::{self, Finality};
use super::super::super::user::User;
use super::super::persona::{CHOICES, cut};
use super::super::{Context, Problem, announce, confirm, defer, speak, whisper};
use super::start::named;
use super::{direct, place, speaks, undress, written};
use crate::assistant::{NARRATOR, Unstaged};
use crate::chat::Place;
use crate::chat::history::{ConversationId, TurnKind};
use crate::chat::scene::{Direction, Refused, SceneState, in_character};
use crate::chat::text::{Staging, Text};
use crate::persona::PersonaId;

/// Most threads about which Discord is asked at once.
const LOST_MAX: usize = 5;

/// What takes a text away.
const NONE: &str = "none";

/// Play in the scene here.
#[poise::command(slash_command)]
pub(super) async fn join(context: Context<'_>) -> Result<(), Problem> {
    let user = User::of_command(context.interaction);
    let scene = direct(context, Direction::Join(user.author().name)).await?;
    let who = user.name();
    let plays = match scene.player(user.id()).and_then(|player| player.name.clone()) {
        Some(name) => Staging::Plays { who, name },
        None => Staging::Joined(who),
    };
    announce(context, &plays.into()).await
}

/// Play in the scene here no more; what was said stays.
#[poise::command(slash_command)]
pub(super) async fn leave(context: Context<'_>) -> Result<(), Problem> {
    direct(context, Direction::Leave).await?;
    announce(context, &Staging::Left(User::of_command(context.interaction).name()).into()).await
}

/// Play as somebody in the scene here.
#[poise::command(slash_command, rename = "as")]
pub(super) async fn play_as(
    context: Context<'_>,
    #[description = "The name of your character"]
    #[max_length = 32]
    name: String,
    #[description = "What there is to know of them; without it what a scene from elsewhere knows"]
    #[max_length = 2_000]
    description: Option<String>,
) -> Result<(), Problem> {
    let name = named(&written(context, &name))?;
    let description = written(context, &description.unwrap_or_default());
    let scene = direct(context, Direction::Play { name: name.clone(), description }).await?;
    let user = User::of_command(context.interaction);
    let who = user.name();
    let name = scene.player(user.id()).and_then(|player| player.name.clone()).unwrap_or(name);
    announce(context, &Staging::Plays { who, name }.into()).await
}

/// Tell what the scene here is and who plays, or say what it is about.
#[poise::command(slash_command, rename = "scene")]
pub(super) async fn about(
    context: Context<'_>,
    #[description = "What it is about from now on; \"none\" takes it away"]
    #[max_length = 2_000]
    text: Option<String>,
) -> Result<(), Problem> {
    let Some(text) = text else {
        let scene = context.data().assistant.scene_of(place(context).await?).await?;
        return whisper(context, &Staging::Shown(Box::new(scene)).into()).await;
    };
    let text = or_none(&written(context, &text));
    let scene = direct(context, Direction::About(text)).await?;
    announce(context, &Staging::About(scene.scenario.map(|written| written.text)).into()).await
}

/// Tell what happens in the scene here, or let a narrator do it.
#[poise::command(slash_command)]
pub(super) async fn narrate(
    context: Context<'_>,
    #[description = "What happens; without it a narrator tells it"]
    #[max_length = 1_800]
    text: Option<String>,
) -> Result<(), Problem> {
    let here = place(context).await?;
    let (assistant, user) = (&context.data().assistant, User::of_command(context.interaction));
    let Some(text) = text else {
        let id = crate::chat::MessageId(context.interaction.id.get());
        let narrator = PersonaId(NARRATOR.to_owned());
        let given = assistant.give_the_word(here, &user.author(), user.moderates(), Some(narrator), id).await;
        let accepted = match given {
            Err(Unstaged::Refused(Refused::NotThere)) => {
                return Err(Problem::Told(Staging::NoNarrator.into()));
            }
            given => given?,
        };
        return speaks(context, accepted).await;
    };
    if assistant.scene_of(here).await?.state != SceneState::Running {
        return Err(Problem::Told(Staging::NoScene.into()));
    }
    if assistant.player_in(here, &user.author()).await.is_none() {
        return Err(Problem::Told(Staging::Refused(Refused::NotTheirs).into()));
    }
    // What is out of character is told to nobody.
    let text = in_character(&text);
    let (incoming, _) = speak(context, &text, |_, text| Staging::Narrated(text).into()).await?;
    let (text, message) = (incoming.text, incoming.message);
    assistant.tell_in_scene(here, &user.author(), TurnKind::Narrator, &text, message).await;
    Ok(())
}

/// Give me something to bear in mind with every reply in the scene here.
#[poise::command(slash_command)]
pub(super) async fn note(
    context: Context<'_>,
    #[description = "What; \"none\" takes it away"]
    #[max_length = 2_000]
    text: String,
    #[description = "Before how many of the last lines it stands; without it where the last one stood, or 4"]
    #[min = 0]
    #[max = 9_999]
    depth: Option<u16>,
) -> Result<(), Problem> {
    let text = or_none(&written(context, &text));
    let scene = direct(context, Direction::Note { text, depth: depth.map(usize::from) }).await?;
    whisper(context, &Staging::Noted(scene.note.is_some()).into()).await
}

/// Let the scene here wait.
#[poise::command(slash_command)]
pub(super) async fn pause(context: Context<'_>) -> Result<(), Problem> {
    // What is being said comes to rest first, for which Discord does not wait.
    defer(context).await?;
    let scene = direct(context, Direction::Pause).await?;
    whisper(context, &Staging::Done.into()).await?;
    announce(context, &Staging::Paused(scene.title).into()).await
}

/// Let a scene go on here.
#[poise::command(slash_command)]
pub(super) async fn resume(
    context: Context<'_>,
    #[description = "Which; without it the one that waits here, or the last one"]
    #[autocomplete = "scenes"]
    #[max_length = 100]
    scene: Option<String>,
) -> Result<(), Problem> {
    let here = place(context).await?;
    let user = User::of_command(context.interaction);
    let assistant = &context.data().assistant;
    defer(context).await?;
    let which = match chosen(context, here, scene.as_deref()).await {
        Err(Problem::Told(_)) => {
            find_lost(context, here, scene.as_deref()).await?;
            chosen(context, here, scene.as_deref()).await?
        }
        chosen => chosen?,
    };
    undress(context, here).await;
    let by = (&user.author(), user.moderates());
    let scene = assistant.resume_scene(here, user.home(), by, which).await?;
    whisper(context, &Staging::Done.into()).await?;
    announce(context, &Staging::Resumed(scene.title).into()).await
}

/// End the scene here; it is kept.
#[poise::command(slash_command)]
pub(super) async fn stop(context: Context<'_>) -> Result<(), Problem> {
    defer(context).await?;
    undress(context, place(context).await?).await;
    let scene = direct(context, Direction::Stop).await?;
    whisper(context, &Staging::Done.into()).await?;
    announce(context, &Staging::Stopped(scene.title).into()).await
}

/// Forget a scene that is over, for good, after you have confirmed it.
#[poise::command(slash_command)]
pub(super) async fn delete(
    context: Context<'_>,
    #[description = "Which"]
    #[autocomplete = "scenes"]
    #[max_length = 100]
    scene: String,
) -> Result<(), Problem> {
    let here = User::of_command(context.interaction).place(context.serenity_context());
    let which = chosen(context, here, Some(&scene)).await?;
    let title = context.data().assistant.remembered(here, Some(which)).await?;
    let title = title.scene().map_or_else(String::new, |scene| scene.title.clone());
    confirm(context, &Staging::MayDrop(title).into(), What::Drop(which)).await
}

/// Tell which scenes there are here and in the threads of this channel.
#[poise::command(slash_command)]
pub(super) async fn list(context: Context<'_>) -> Result<(), Problem> {
    defer(context).await?;
    let here = User::of_command(context.interaction).place(context.serenity_context());
    let known = context.data().assistant.scenes_of(here).await.map_err(Problem::broken)?;
    // What is played in a private thread is nobody else's business.
    let is_for_all = |thread: Place| {
        let Some(server) = context.interaction.guild_id else { return true };
        let guild = context.serenity_context().cache.guild(server);
        guild.is_some_and(|guild| {
            let mut threads = guild.threads.iter();
            threads.any(|known| known.id.get() == thread.channel.0 && known.kind == ChannelType::PublicThread)
        })
    };
    let known = known.into_iter().filter(|staged| staged.is_for(here) || is_for_all(staged.place));
    let scenes = known.map(|staged| (staged.title, staged.place.channel, staged.state));
    whisper(context, &Text::from(Staging::Scenes(scenes.collect()))).await
}

/// A scene of the channel with this number or title; without one the one that waits, or the last one.
pub(super) async fn chosen(
    context: Context<'_>,
    here: Place,
    wanted: Option<&str>,
) -> Result<ConversationId, Problem> {
    let known = context.data().assistant.scenes_of(here).await.map_err(Problem::broken)?;
    let mut known = known.into_iter().filter(|staged| staged.is_for(here));
    let which = match wanted {
        Some(wanted) => known.find(|staged| is_meant(staged.conversation, &staged.title, wanted)),
        None => known.min_by_key(|staged| staged.state != SceneState::Paused),
    };
    which.map(|staged| staged.conversation).ok_or(Problem::Told(Staging::NothingToResume.into()))
}

/// Whether a scene has this number or title.
fn is_meant(ConversationId(id): ConversationId, title: &str, wanted: &str) -> bool {
    let wanted = wanted.trim().to_lowercase();
    id.to_string() == wanted || title.to_lowercase() == wanted
}

/// Asks Discord whether the threads of the wanted scenes are there still: it need not have told that they are gone.
async fn find_lost(context: Context<'_>, here: Place, wanted: Option<&str>) -> Result<(), Problem> {
    let (serenity, handler) = (context.serenity_context(), context.data());
    // In a thread it may be another one of the same channel that is lost.
    let all = here.parent.map_or(here, |parent| Place { channel: parent, parent: None, ..here });
    let known = handler.assistant.scenes_of(all).await.map_err(Problem::broken)?;
    let is_for_all = |home| here.parent.is_none() || home == here.parent;
    let elsewhere = known.into_iter().filter(|staged| !staged.is_for(here) && is_for_all(staged.home));
    let meant = elsewhere
        .filter(|staged| wanted.is_none_or(|wanted| is_meant(staged.conversation, &staged.title, wanted)));
    for staged in meant.take(LOST_MAX) {
        let thread = ChannelId::new(staged.place.channel.0.max(1));
        let found = rest::once("get channel", serenity.http.get_channel(thread)).await;
        if found.is_err_and(|trouble| trouble.finality() == Some(Finality::Channel)) {
            handler.channel_gone(serenity, thread, None).await;
        }
    }
    Ok(())
}

fn or_none(text: &str) -> String {
    if text.eq_ignore_ascii_case(NONE) { String::new() } else { text.to_owned() }
}

/// The scenes of the channel that are named somehow like that.
pub(super) async fn scenes(context: Context<'_>, partial: &str) -> CreateAutocompleteResponse {
    let here = User::of_command(context.interaction).place(context.serenity_context());
    let wanted = partial.trim().to_lowercase();
    let known = context.data().assistant.scenes_of(here).await.unwrap_or_default();
    let alike = known
        .into_iter()
        .filter(|staged| staged.is_for(here) && staged.title.to_lowercase().contains(&wanted));
    let choices = alike.take(CHOICES).map(|staged| {
        let ConversationId(id) = staged.conversation;
        AutocompleteChoice::new(cut(&staged.title), id.to_string())
    });
    CreateAutocompleteResponse::new().set_choices(choices.collect())
}
