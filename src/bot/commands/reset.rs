//! `/reset`: a conversation begins anew.

use serenity::all::Context as Discord;

use super::super::components::What;
use super::super::events::Handler;
use super::super::user::User;
use super::{Context, Problem, confirm, defer};
use crate::chat::Place;
use crate::chat::text::Text;

/// Forget what was said here, and begin anew.
#[poise::command(slash_command)]
pub(super) async fn reset(context: Context<'_>) -> Result<(), Problem> {
    defer(context).await?;
    let user = User::of_command(context.interaction);
    context.data().may_reset(context.serenity_context(), user).await?;
    confirm(context, &Text::MayReset, What::Reset).await
}

impl Handler {
    /// A conversation belongs to those who have spoken in it: whoever is the only one may begin it anew, and whoever may
    /// delete the messages of all.
    pub(in crate::bot) async fn may_reset(
        &self,
        context: &Discord,
        user: User<'_>,
    ) -> Result<Place, Problem> {
        let place = user.place(context);
        // What the last process has left undone there is brought to an end first.
        self.settle_first(context, user.channel(), user.server()).await;
        if user.moderates() || self.assistant.is_theirs_alone(place, user.id()).await {
            return Ok(place);
        }
        Err(Problem::Told(Text::OthersHaveSpoken))
    }
}
