//! `/say`: speaking to the persona where the bot cannot read messages.

use super::{Context, Problem, speak};
use crate::chat::text::Text;

/// Say something to me here.
#[poise::command(slash_command)]
pub(super) async fn say(
    context: Context<'_>,
    #[description = "What you want to say"]
    #[max_length = 1_800]
    text: String,
) -> Result<(), Problem> {
    let (incoming, server) = speak(context, &text, |who, text| Text::Said { who, text }).await?;
    context.data().take_in(context.serenity_context(), incoming, server).await;
    Ok(())
}
