//! `/audit`: what was decided in a server, and what was asked.

use super::{Context, Problem, actor, defer, whisper};
use crate::chat::text::Text;

/// Tell what was decided and asked here lately, to admins.
#[poise::command(slash_command)]
pub(super) async fn audit(context: Context<'_>) -> Result<(), Problem> {
    let actor = actor(context)?;
    defer(context).await?;
    let (decisions, requests) = context.data().admin.audit(&actor).await?;
    whisper(context, &Text::Audit { decisions, requests }).await
}
