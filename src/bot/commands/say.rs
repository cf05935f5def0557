//! `/say`: speaking to the persona where the bot cannot read messages.

use super::super::user::User;
use super::super::{reading, rest};
use super::{Context, Problem};
use crate::chat::addressing::Incoming;
use crate::chat::text::Text;
use crate::chat::{self, sanitize};
use poise::CreateReply;

/// Say something to me here.
#[poise::command(slash_command)]
pub(super) async fn say(
    context: Context<'_>,
    #[description = "What you want to say"]
    #[max_length = 1_800]
    text: String,
) -> Result<(), Problem> {
    if sanitize::is_blank(&text) {
        return Err(Problem::Told(Text::NothingSaid));
    }
    let user = User::of_command(context.interaction);
    if context.data().assistant.is_opted_out(user.id()) {
        return Err(Problem::Told(Text::NotRead));
    }
    let said = Text::Said { who: user.name(), text: text.clone() };
    let me = context.data().me;
    let text = reading::text(context.serenity_context(), &text, &[], &[], user.server(), me);
    let shown = CreateReply::default().content(said.to_string());
    let shown =
        rest::retry("show what is said", || poise::send_application_reply(context, shown.clone())).await?;
    let message = rest::retry("find what is said", || shown.message()).await?;
    let handler = context.data();
    let place = user.place(context.serenity_context());
    let incoming = Incoming {
        message: chat::MessageId(message.id.get()),
        channel: place.channel,
        parent: place.parent,
        server: place.server,
        author: user.author(),
        text,
        mentions_bot: true,
        reply_to: None,
        posted: reading::posted(&message),
        edited: false,
    };
    handler.take_in(context.serenity_context(), incoming, user.server()).await;
    Ok(())
}
