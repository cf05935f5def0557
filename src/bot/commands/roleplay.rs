//! `/roleplay`: scenes in a channel or in a thread of its own.

mod bringing_along;
mod cast;
mod scene;
mod start;
mod taking_home;

use std::sync::Arc;

use serenity::all::{AutocompleteChoice, CreateAutocompleteResponse};

use super::super::ground::Ground;
use super::super::user::User;
use super::persona::{CHOICES, cut, playable};
use super::{Context, Problem, whisper};
use crate::assistant::{Accepted, Found, Unstaged};
use crate::chat::scene::{Direction, Scene};
use crate::chat::settings::Answers;
use crate::chat::text::{Editing, Staging, Text};
use crate::chat::{MessageId, Place};
use crate::persona::Persona;

/// Play a scene.
#[poise::command(
    slash_command,
    subcommands(
        "start::start",
        "scene::join",
        "scene::leave",
        "scene::play_as",
        "scene::about",
        "scene::narrate",
        "cast::cast",
        "cast::turn",
        "scene::note",
        "scene::pause",
        "scene::resume",
        "scene::stop",
        "scene::list",
        "scene::delete",
        "super::memory::memory",
        "super::lines::edit_line_by_file",
        "taking_home::export",
        "bringing_along::import"
    ),
    subcommand_required
)]
#[expect(clippy::unused_async, reason = "it has only others under it")]
pub(super) async fn roleplay(_: Context<'_>) -> Result<(), Problem> {
    Ok(())
}

impl From<Unstaged> for Problem {
    fn from(unstaged: Unstaged) -> Self {
        match unstaged {
            Unstaged::NotKept => Self::Told(Text::NotKept),
            Unstaged::Occupied => Self::Told(Staging::Occupied.into()),
            Unstaged::NoScene => Self::Told(Staging::NoScene.into()),
            Unstaged::ForAll => Self::Told(Staging::ForAll.into()),
            Unstaged::TooMany => Self::Told(Staging::TooMany.into()),
            Unstaged::Refused(refused) => Self::Told(Staging::Refused(refused).into()),
            Unstaged::Store(error) => Self::broken(error),
        }
    }
}

/// Where the command is used, if whoever uses it may be answered there. What the last process has left undone there is brought to an
/// end first.
async fn place(context: Context<'_>) -> Result<Place, Problem> {
    let handler = context.data();
    let user = User::of_command(context.interaction);
    let place = user.place(context.serenity_context());
    if handler.assistant.is_opted_out(user.id()) {
        return Err(Problem::Told(Text::NotRead));
    }
    let is_quiet = handler.quiet.is_quiet(context.interaction.channel_id);
    if is_quiet || handler.assistant.answers_in(place) == Answers::Nothing {
        return Err(Problem::Told(Text::NotAnswered));
    }
    if handler.assistant.is_denied(place, &user.author()) {
        return Err(Problem::Told(Text::Denied));
    }
    handler.settle_first(context.serenity_context(), user.channel(), user.server()).await;
    Ok(place)
}

/// Changes something of the scene that is played where the command is used.
async fn direct(context: Context<'_>, direction: Direction) -> Result<Scene, Problem> {
    let place = place(context).await?;
    let user = User::of_command(context.interaction);
    let handler = context.data();
    Ok(handler.assistant.direct(place, &user.author(), user.moderates(), direction).await?)
}

/// The buttons go that stand under the last reply here: another conversation goes on.
async fn undress(context: Context<'_>, place: Place) {
    let handler = context.data();
    let newest = MessageId(context.interaction.id.get());
    if let Some((message, webhook)) = handler.assistant.take_row(place, newest).await {
        Ground::new(context.serenity_context(), &handler.faces, place).undress(message, webhook).await;
    }
}

/// A persona that everybody may see where the command is used, and that leaves room for a conversation.
async fn actor(context: Context<'_>, wanted: &str) -> Result<Arc<Persona>, Problem> {
    let found = playable(context, wanted).await?;
    let place = User::of_command(context.interaction).place(context.serenity_context());
    if place.server.is_some() && found.is_private() {
        return Err(Problem::Told(Editing::Private.into()));
    }
    if context.data().assistant.fits(found.persona()).is_err() {
        return Err(Problem::Told(Text::TooLarge));
    }
    let (Found::Common(persona) | Found::Own(crate::assistant::Own { persona, .. })) = found;
    Ok(persona)
}

/// A persona speaks, because whoever uses the command wants it.
async fn speaks(context: Context<'_>, accepted: Option<Accepted>) -> Result<(), Problem> {
    whisper(context, &Staging::WordGiven.into()).await?;
    if let Some(accepted) = accepted {
        let server = User::of_command(context.interaction).server();
        context.data().answer(context.serenity_context(), accepted, server).await;
    }
    Ok(())
}

/// What a member writes into a scene, without what must not be shown in the place.
fn written(context: Context<'_>, text: &str) -> String {
    let place = User::of_command(context.interaction).place(context.serenity_context());
    let mut text = text.trim().to_owned();
    context.data().assistant.drop_blocked(place, &mut text);
    text
}

/// The personas of the scene that are named somehow like that.
async fn in_cast(context: Context<'_>, partial: &str) -> CreateAutocompleteResponse {
    let place = User::of_command(context.interaction).place(context.serenity_context());
    let wanted = partial.trim().to_lowercase();
    let scene = context.data().assistant.scene_at_hand(place);
    let alike = scene.into_iter().flat_map(|scene| scene.cast).filter(|actor| {
        actor.name.to_lowercase().contains(&wanted) || actor.persona.0.to_lowercase().contains(&wanted)
    });
    let choices = alike.take(CHOICES).map(|actor| AutocompleteChoice::new(cut(&actor.name), actor.persona.0));
    CreateAutocompleteResponse::new().set_choices(choices.collect())
}
