//! `/stop`: an answer ends where it is.

use super::super::user::User;
use super::{Context, Problem, whisper};
use crate::chat::text::Text;

/// Stop what I am answering you here, or everybody if you may manage messages.
#[poise::command(slash_command)]
pub(super) async fn stop(context: Context<'_>) -> Result<(), Problem> {
    let user = User::of_command(context.interaction);
    let whose = Some(user.id()).filter(|_| !user.moderates());
    let channel = user.place(context.serenity_context()).channel;
    whisper(context, &Text::Stopped(context.data().assistant.stop(channel, whose))).await
}
