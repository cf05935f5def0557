//! The commands in the menu of a message: a reply is said anew, a line is changed or forgotten with all that came after it, and what
//! was said up to it goes on in a thread.

use poise::CreateReply;
use serenity::all::{Attachment, CreateActionRow, CreateAttachment, CreateButton, CreateModal, Message};

use super::super::components::{Press, What};
use super::super::lines::{self, Rewritten};
use super::super::reading;
use super::super::threads;
use super::super::user::User;
use super::{Context, Problem, defer, open_form, reply, whisper};
use crate::assistant::Wish;
use crate::chat::buttons::Steer;
use crate::chat::text::{Editing, LINE_MAX, Label, Lines, Text};
use crate::chat::{MessageId, Place};
use crate::persona::form::FIELD_MAX;

/// Most bytes of a file with a line.
const LARGEST_LINE: usize = 4 * LINE_MAX;

#[poise::command(context_menu_command = "Regenerate")]
pub(super) async fn regenerate(context: Context<'_>, message: Message) -> Result<(), Problem> {
    let place = ready(context).await?;
    let (handler, user) = (context.data(), User::of_command(context.interaction));
    let last = handler.assistant.last_reply_in(place, MessageId(message.id.get())).await;
    let (turn, selected, under) = last.ok_or(Problem::Told(Lines::NoReply.into()))?;
    let wish = Wish {
        steer: Steer::Again,
        turn,
        selected,
        under,
        by_button: false,
        id: MessageId(context.interaction.id.get()),
        author: user.author(),
        moderates: user.moderates(),
    };
    let granted = handler.assistant.retell(place, wish).await;
    let granted = granted.map_err(|unwilling| Problem::Told(unwilling.into()))?;
    whisper(context, &Lines::SaysAnew.into()).await?;
    if let Some(accepted) = granted {
        handler.answer(context.serenity_context(), accepted, user.server()).await;
    }
    Ok(())
}

#[poise::command(context_menu_command = "Edit line")]
pub(super) async fn edit_line(context: Context<'_>, message: Message) -> Result<(), Problem> {
    let (handler, user) = (context.data(), User::of_command(context.interaction));
    let (place, id) = (user.place(context.serenity_context()), MessageId(message.id.get()));
    // A form has to be the first answer.
    handler.settle_soon(context.serenity_context(), user).await?;
    let is_ours = reading::is_own(context.serenity_context(), &message, handler.me);
    if !is_ours && message.author.id.get() == user.id().0 {
        return Err(Problem::Told(Lines::Own.into()));
    }
    let line = handler.assistant.line_in(place, id, &user.hand()).await.map_err(Problem::Told)?;
    if line.text.chars().count() <= FIELD_MAX {
        let form: CreateModal = lines::form(Rewritten { message: id, seen: line.mark }, &line.text);
        return open_form(context, form).await;
    }
    // Files take longer.
    defer(context).await?;
    let answer = CreateReply::default().content(Text::from(Lines::ByFile(id)).to_string()).ephemeral(true);
    reply(context, answer.attachment(CreateAttachment::bytes(line.text, "line.txt"))).await
}

/// Change a long line of mine.
#[poise::command(slash_command, rename = "edit")]
pub(in crate::bot::commands) async fn edit_line_by_file(
    context: Context<'_>,
    #[description = "The link of the message that shows it, or its id"]
    #[max_length = 200]
    message: String,
    #[description = "A text file with what it is to say"] file: Attachment,
) -> Result<(), Problem> {
    let place = ready(context).await?;
    let (handler, user) = (context.data(), User::of_command(context.interaction));
    let message = message_in(place, &message).ok_or(Problem::Told(Lines::NoMessage.into()))?;
    // Whoever may not change it need not be waited for.
    handler.assistant.line_in(place, message, &user.hand()).await.map_err(Problem::Told)?;
    let fetched = handler.attachments.fetch(&file, LARGEST_LINE).await;
    let fetched = fetched.map_err(|unfetched| Problem::Told(Editing::from(unfetched).into()))?;
    let text = std::str::from_utf8(&fetched.bytes).map_err(|_| Problem::Told(Lines::NoText.into()))?;
    let text = text.trim_start_matches('\u{feff}').to_owned();
    let id = MessageId(context.interaction.id.get());
    let told = handler.rewritten(context.serenity_context(), user, id, (message, None), text).await?;
    whisper(context, &told).await
}

#[poise::command(context_menu_command = "Forget from here")]
pub(super) async fn forget_from_here(context: Context<'_>, message: Message) -> Result<(), Problem> {
    let place = ready(context).await?;
    let (handler, user) = (context.data(), User::of_command(context.interaction));
    let message = MessageId(message.id.get());
    let going = handler.assistant.would_go(place, message, &user.hand()).await;
    let (lines, last) = going.map_err(Problem::Told)?;
    let button = |press: Press, label: Label, style| {
        CreateButton::new(press.to_string()).label(label.words()).style(style)
    };
    let cancel = What::Cancel;
    let buttons = vec![
        button(Press::Rewind(user.id(), message, last), Label::ForgetLines, What::Forget.style()),
        button(Press::Of(cancel, user.id()), cancel.label(), cancel.style()),
    ];
    let question = CreateReply::default().content(Text::from(Lines::MayForget(lines)).to_string());
    reply(context, question.ephemeral(true).components(vec![CreateActionRow::Buttons(buttons)])).await
}

#[poise::command(context_menu_command = "Branch into a thread")]
pub(super) async fn branch_into_a_thread(context: Context<'_>, message: Message) -> Result<(), Problem> {
    let place = ready(context).await?;
    let user = User::of_command(context.interaction);
    if !user.reads_here() {
        return Err(Problem::Told(Text::NotReader));
    }
    let kind = context.interaction.channel.as_ref().map(|channel| channel.kind);
    let serenity = context.serenity_context();
    let soil = threads::soil(serenity, place, kind).ok_or(Problem::Told(Lines::NoThreads.into()))?;
    let ids = (MessageId(message.id.get()), MessageId(context.interaction.id.get()));
    let told = context.data().branch_off(serenity, user, place, soil, ids).await?;
    whisper(context, &told).await
}

/// The answer may take longer than Discord waits. What the last process has left undone here is brought to an end first.
async fn ready(context: Context<'_>) -> Result<Place, Problem> {
    defer(context).await?;
    let user = User::of_command(context.interaction);
    context.data().settle_first(context.serenity_context(), user.channel(), user.server()).await;
    Ok(user.place(context.serenity_context()))
}

/// The message that a link or an id stands for, if it is of this place.
fn message_in(place: Place, written: &str) -> Option<MessageId> {
    let written = written.trim().trim_matches(['<', '>']).trim_end_matches('/');
    let mut from_behind = written.rsplit('/');
    let message = from_behind.next()?.parse().ok().map(MessageId)?;
    let is_here = from_behind.next().is_none_or(|channel| channel == place.channel.to_string());
    is_here.then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ChannelId, ServerId};

    #[test]
    fn a_link_is_to_a_message_of_its_channel() {
        let place = Place { channel: ChannelId(2), parent: None, server: Some(ServerId(1)) };
        let read = |written: &str| message_in(place, written).map(|message| message.0);
        for written in
            ["3", " 3 ", "https://discord.com/channels/1/2/3", "<https://discord.com/channels/1/2/3/>"]
        {
            assert_eq!(read(written), Some(3), "{written}");
        }
        for written in
            ["", "x", "https://discord.com/channels/1/9/3", "https://discord.com/channels/1/2/x", "-3"]
        {
            assert_eq!(read(written), None, "{written}");
        }
    }
}
