//! `/persona`: who can be played.

use serenity::all::{AutocompleteChoice, CreateAutocompleteResponse};

use super::super::user::User;
use super::{Context, Problem, whisper};
use crate::chat::text::Text;

/// Most choices that Discord shows.
pub(super) const CHOICES: usize = 25;

/// See whom I can play.
#[poise::command(slash_command, subcommands("list", "show"), subcommand_required)]
#[expect(clippy::unused_async, reason = "it has only others under it")]
pub(super) async fn persona(_: Context<'_>) -> Result<(), Problem> {
    Ok(())
}

/// Tell whom I can play, and whom I play here.
#[poise::command(slash_command)]
async fn list(context: Context<'_>) -> Result<(), Problem> {
    let assistant = &context.data().assistant;
    let here = assistant.who_answers(User::of_command(context.interaction).place(context.serenity_context()));
    whisper(context, &Text::Personas { all: assistant.personas(), here: here.id.clone() }).await
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
    let persona = context.data().assistant.persona_named(&persona).ok_or(Problem::Told(Text::NoPersona))?;
    let card = &persona.card;
    let (name, id) = (card.name.clone(), persona.id.clone());
    let (creator, notes) = (card.told("creator").to_owned(), card.told("creator_notes").to_owned());
    let introduced = Text::Persona { name, id, creator, notes };
    whisper(context, &introduced).await
}

/// The personas that are named somehow like that.
pub(super) async fn names(context: Context<'_>, partial: &str) -> CreateAutocompleteResponse {
    CreateAutocompleteResponse::new().set_choices(alike(context, partial))
}

/// The same as choices.
pub(super) fn alike(context: Context<'_>, partial: &str) -> Vec<AutocompleteChoice> {
    let wanted = partial.trim().to_lowercase();
    let all = context.data().assistant.personas();
    let alike = all
        .into_iter()
        .filter(|(id, name)| id.0.to_lowercase().contains(&wanted) || name.to_lowercase().contains(&wanted));
    alike.take(CHOICES).map(|(id, name)| AutocompleteChoice::new(cut(&name), id.0)).collect()
}

/// Discord takes up to 100 characters.
pub(super) fn cut(name: &str) -> String {
    name.chars().take(100).collect()
}
