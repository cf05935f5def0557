//! `/persona`: who can be played, and who plays here.

use serenity::all::{AutocompleteChoice, CreateAutocompleteResponse};

use super::super::user::User;
use super::{Context, Problem, actor, defer, whisper};
use crate::assistant::Found;
use crate::chat::Place;
use crate::chat::text::{Editing, Text, choice};

/// Most choices that Discord shows.
pub(super) const CHOICES: usize = 25;

/// See whom I can play, and choose one.
#[poise::command(slash_command, subcommands("list", "show", "use_persona"), subcommand_required)]
#[expect(clippy::unused_async, reason = "it has only others under it")]
pub(super) async fn persona(_: Context<'_>) -> Result<(), Problem> {
    Ok(())
}

/// Tell whom I can play here, and whom I play.
#[poise::command(slash_command)]
async fn list(context: Context<'_>) -> Result<(), Problem> {
    let assistant = &context.data().assistant;
    let user = User::of_command(context.interaction);
    let place = known(context).await;
    let all = assistant.personas(place, user.id()).into_iter();
    let all = all.map(|(id, found)| (id, found.persona().card.name.clone())).collect();
    let here = assistant.who_answers(place).id.clone();
    whisper(context, &Text::Personas { all, here, missing: assistant.missing_in(place) }).await
}

/// Introduce a persona.
#[poise::command(slash_command)]
async fn show(
    context: Context<'_>,
    #[description = "The name of the persona"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: String,
) -> Result<(), Problem> {
    let found = playable(context, &persona).await?;
    let card = &found.persona().card;
    let (name, id) = (card.name.clone(), found.persona().id.clone());
    let (creator, notes) = (card.told("creator").to_owned(), card.told("creator_notes").to_owned());
    let introduced = Text::Persona { name, id, creator, notes };
    whisper(context, &introduced).await
}

/// Choose who plays in this channel.
#[poise::command(slash_command, rename = "use")]
async fn use_persona(
    context: Context<'_>,
    #[description = "The name of the persona; without it the one that plays where nobody is chosen"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: Option<String>,
) -> Result<(), Problem> {
    defer(context).await?;
    let handler = context.data();
    let assistant = &handler.assistant;
    let user = User::of_command(context.interaction);
    let place = known(context).await;
    let found = match persona {
        Some(wanted) => Some(playable(context, &wanted).await?),
        None => None,
    };
    if let Some(found) = &found
        && assistant.fits(found.persona()).is_err()
    {
        return Err(Problem::Told(Text::TooLarge));
    }
    match place.server {
        Some(server) => {
            let actor = actor(context)?;
            if found.as_ref().is_some_and(Found::is_private) {
                return Err(Problem::Told(Editing::Private.into()));
            }
            let id = found.as_ref().map(|found| &found.persona().id);
            handler.admin.use_persona(&actor, user.moderates(), place.channel, id).await?;
            assistant.rules_changed(server).await;
        }
        None => {
            assistant.choose_alone(place, user.id(), found.as_ref()).await.map_err(Problem::broken)?;
        }
    }
    let plays = assistant.who_answers(place).card.name.clone();
    let (chosen, alone) = (found.is_some(), place.server.is_none());
    whisper(context, &Editing::Chosen { plays, chosen, alone }.into()).await
}

/// The persona with this id or name, if whoever uses the command may play it here.
pub(super) async fn playable(context: Context<'_>, wanted: &str) -> Result<Found, Problem> {
    let assistant = &context.data().assistant;
    let user = User::of_command(context.interaction);
    let place = known(context).await;
    let found = assistant.persona_named(wanted, place, user.id());
    let found = found.map_err(|namesakes| match namesakes.as_slice() {
        [] => Problem::Told(Text::NoPersona),
        _ => Problem::Told(Editing::Namesakes(namesakes).into()),
    })?;
    if assistant.may_play_in(&found, place) {
        Ok(found)
    } else {
        Err(Problem::Told(Editing::AgeRestricted.into()))
    }
}

/// Where the command is used, with what its server has set at hand.
async fn known(context: Context<'_>) -> Place {
    let place = User::of_command(context.interaction).place(context.serenity_context());
    context.data().assistant.learn_for(place).await;
    place
}

/// The personas that are named somehow like that.
pub(super) async fn names(context: Context<'_>, partial: &str) -> CreateAutocompleteResponse {
    CreateAutocompleteResponse::new().set_choices(alike(context, partial).await)
}

/// The same as choices.
pub(super) async fn alike(context: Context<'_>, partial: &str) -> Vec<AutocompleteChoice> {
    let wanted = partial.trim().to_lowercase();
    let user = User::of_command(context.interaction);
    let all = context.data().assistant.personas(known(context).await, user.id());
    let name = |found: &Found| found.persona().card.name.clone();
    let alike = all.into_iter().filter(|(id, found)| {
        id.0.to_lowercase().contains(&wanted) || name(found).to_lowercase().contains(&wanted)
    });
    let choices = alike.take(CHOICES);
    choices
        .map(|(id, found)| AutocompleteChoice::new(choice(&name(&found), &id, found.is_private()), id.0))
        .collect()
}

/// Discord takes up to 100 characters.
pub(super) fn cut(name: &str) -> String {
    name.chars().take(100).collect()
}
