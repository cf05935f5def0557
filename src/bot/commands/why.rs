//! `/why` and *Why this reply?*: how a reply was made.

use serenity::all::Message;

use super::super::user::User;
use super::{Context, Problem, defer, whisper};
use crate::chat::MessageId;
use crate::chat::text::Text;

/// Tell how my last reply here was made.
#[poise::command(slash_command)]
pub(super) async fn why(context: Context<'_>) -> Result<(), Problem> {
    tell(context, None).await
}

#[poise::command(context_menu_command = "Why this reply?")]
pub(super) async fn why_this_reply(context: Context<'_>, message: Message) -> Result<(), Problem> {
    tell(context, Some(MessageId(message.id.get()))).await
}

async fn tell(context: Context<'_>, message: Option<MessageId>) -> Result<(), Problem> {
    defer(context).await?;
    let user = User::of_command(context.interaction);
    let handler = context.data();
    let place = user.place(context.serenity_context());
    let known = handler.assistant.origin_of(place, message).await;
    let (name, persona, origin) = known.ok_or(Problem::Told(Text::NoWhy))?;
    // What stands in a lorebook is for those who may change it.
    let is_admin = match user.actor() {
        Some(actor) => handler.admin.rules(&actor).await.is_ok(),
        None => false,
    };
    let in_full = is_admin || handler.assistant.is_by(place, &persona, user.id());
    whisper(context, &Text::Why { name, origin: Box::new(origin), in_full }).await
}
