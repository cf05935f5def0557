//! `/roleplay cast` and `/roleplay turn`: which personas play in a scene, and who of them speaks.

use super::super::super::user::User;
use super::super::persona::names;
use super::super::{Context, Problem, announce};
use super::{actor, direct, in_cast, place, speaks};
use crate::chat::scene::{Actor, Direction};
use crate::chat::text::Staging;
use crate::persona::PersonaId;

/// Say which personas play in the scene here.
#[poise::command(slash_command, subcommands("add", "remove"), subcommand_required)]
#[expect(clippy::unused_async, reason = "it has only others under it")]
pub(super) async fn cast(_: Context<'_>) -> Result<(), Problem> {
    Ok(())
}

/// Bring a persona into the scene here.
#[poise::command(slash_command)]
async fn add(
    context: Context<'_>,
    #[description = "The persona"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: String,
) -> Result<(), Problem> {
    let persona = actor(context, &persona).await?;
    direct(context, Direction::Add(Actor::of(&persona))).await?;
    announce(context, &Staging::Added(persona.char_name().to_owned()).into()).await
}

/// Take a persona out of the scene here.
#[poise::command(slash_command)]
async fn remove(
    context: Context<'_>,
    #[description = "The persona"]
    #[autocomplete = "in_cast"]
    #[max_length = 100]
    persona: String,
) -> Result<(), Problem> {
    let (id, name) = cast_as(context, &persona).await?;
    direct(context, Direction::Remove(id)).await?;
    announce(context, &Staging::Removed(name).into()).await
}

/// Let a persona of the scene here speak next, though nobody has said anything.
#[poise::command(slash_command)]
pub(super) async fn turn(
    context: Context<'_>,
    #[description = "The persona; without it the next one"]
    #[autocomplete = "in_cast"]
    #[max_length = 100]
    persona: Option<String>,
) -> Result<(), Problem> {
    let here = place(context).await?;
    let (handler, user) = (context.data(), User::of_command(context.interaction));
    let persona = match persona {
        Some(wanted) => Some(cast_as(context, &wanted).await?.0),
        None => None,
    };
    let id = crate::chat::MessageId(context.interaction.id.get());
    let accepted =
        handler.assistant.give_the_word(here, &user.author(), user.moderates(), persona, id).await?;
    speaks(context, accepted).await
}

/// The id and the name of a persona of the scene; what nobody has is nobody's.
async fn cast_as(context: Context<'_>, wanted: &str) -> Result<(PersonaId, String), Problem> {
    let wanted = wanted.trim().to_lowercase();
    let scene = context.data().assistant.scene_of(place(context).await?).await?;
    let is_it = |name: &str| name.to_lowercase() == wanted;
    let actor = scene.cast.into_iter().find(|actor| is_it(&actor.persona.0) || is_it(&actor.name));
    Ok(match actor {
        Some(actor) => (actor.persona, actor.name),
        None => (PersonaId(wanted.clone()), wanted),
    })
}
