//! `/why` and *Why this reply?*: how a reply was made.

use poise::CreateReply;
use serenity::all::{ButtonStyle, CreateActionRow, CreateButton, Message};

use super::super::components::Press;
use super::super::user::User;
use super::{Context, Problem, defer, reply};
use crate::assistant::Told;
use crate::chat::MessageId;
use crate::chat::text::{Label, Text};

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
    if !user.reads_here() {
        return Err(Problem::Told(Text::NotReader));
    }
    let handler = context.data();
    handler.settle_first(context.serenity_context(), user.channel(), user.server()).await;
    let place = user.place(context.serenity_context());
    let known = handler.assistant.origin_of(place, message).await;
    let Told { name, persona, origin, shown_in } = known.ok_or(Problem::Told(Text::NoWhy))?;
    let in_full = handler.knows_all(user, place, &persona).await;
    let text = Text::Why { name, origin: Box::new(origin), in_full };
    let answer = CreateReply::default().content(text.to_string()).ephemeral(true);
    let answer = match shown_in.filter(|_| in_full) {
        Some(message) => answer.components(vec![bundle_row(message)]),
        None => answer,
    };
    reply(context, answer).await
}

fn bundle_row(message: MessageId) -> CreateActionRow {
    let button = CreateButton::new(Press::Bundle(message).to_string()).label(Label::Bundle.words());
    CreateActionRow::Buttons(vec![button.style(ButtonStyle::Secondary)])
}
