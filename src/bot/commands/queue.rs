//! `/queue`: where the asker's messages stand.

use super::super::user::User;
use super::{Context, Problem, whisper};
use crate::chat::text::Text;

/// Tell where your messages stand that I have not answered yet.
#[poise::command(slash_command)]
pub(super) async fn queue(context: Context<'_>) -> Result<(), Problem> {
    let asker = User::of_command(context.interaction).id();
    whisper(context, &Text::Standings(context.data().assistant.standings(asker))).await
}
