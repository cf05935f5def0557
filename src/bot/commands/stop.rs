//! `/stop`: an answer ends where it is.

use super::super::user::User;
use super::{Context, Problem, whisper};
use crate::chat::text::Text;

/// Stop what I am answering you here, or everybody if you may manage messages.
#[poise::command(slash_command)]
pub(super) async fn stop(context: Context<'_>) -> Result<(), Problem> {
    let user = User::of_command(context.interaction);
    let (assistant, channel) = (&context.data().assistant, user.place(context.serenity_context()).channel);
    // Their own first: whoever else is stopped is told of it.
    let own = assistant.stop(channel, Some(user.id()));
    let others = if user.moderates() { assistant.stop(channel, None) } else { 0 };
    whisper(context, &Text::Stopped(own + others)).await
}
