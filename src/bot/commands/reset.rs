//! `/reset`: a conversation begins anew.

use super::super::components::Press;
use super::super::events::Handler;
use super::super::user::User;
use super::{Context, Problem, confirm};
use crate::chat::Place;
use crate::chat::text::Text;

/// Forget what was said here, and begin anew.
#[poise::command(slash_command)]
pub(super) async fn reset(context: Context<'_>) -> Result<(), Problem> {
    let user = User::of_command(context.interaction);
    context.data().may_reset(user, user.place(context.serenity_context())).await?;
    confirm(context, &Text::MayReset, Press::reset(user.id())).await
}

impl Handler {
    /// A conversation belongs to those who have spoken in it: whoever is the only one may begin it anew, and whoever may
    /// delete the messages of all.
    pub(in crate::bot) async fn may_reset(&self, user: User<'_>, place: Place) -> Result<(), Problem> {
        if user.moderates() || self.assistant.is_theirs_alone(place, user.id()).await {
            return Ok(());
        }
        Err(Problem::Told(Text::OthersHaveSpoken))
    }
}
