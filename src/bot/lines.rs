//! Lines that were said, in Discord: they are changed in a form, forgotten with their messages, and go on in threads.

use std::time::Duration;

use serenity::all::{
    ActionRowComponent, ChannelId, Context, CreateActionRow, CreateAttachment, CreateInputText,
    CreateInteractionResponse, CreateInteractionResponseMessage, CreateMessage, CreateModal,
    EditInteractionResponse, InputTextStyle, MessageFlags, ModalInteraction, Permissions, Timestamp, UserId,
};
use tracing::{debug, error};

use super::commands::Problem;
use super::editing;
use super::events::Handler;
use super::ground::{Ground, Posted};
use super::reading;
use super::rest::{self, Finality, Trouble};
use super::sender::no_mentions;
use super::threads::{self, Soil};
use super::user::User;
use crate::assistant::{Branch, Delivery, Rewrite, Unplanted, Unwilling};
use crate::chat::history::TurnId;
use crate::chat::text::{LINE_FORM, Lines, Text, branch_name, said_anew, with_draft};
use crate::chat::{self, MessageId, Place};

/// How long a form may wait for what was left undone.
const SOON: Duration = Duration::from_secs(1);

/// How long whoever wants lines forgotten waits until their messages are gone; after that they are told that it goes on.
const SWEEPING: Duration = Duration::from_secs(20);

/// So many messages Discord deletes at once, and none that are older than two weeks, in seconds; an hour is for the clocks.
const SWEPT_TOGETHER: usize = 100;
const OLDEST_SWEPT_TOGETHER: i64 = (14 * 24 - 1) * 3_600;

/// What stands before the ids of the form for a line.
const REWRITE: &str = "edit-line";

/// The only field of that form.
const FIELD: &str = "text";

/// Which line a form is for. It stands in its `custom_id`, so that it works after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rewritten {
    /// A message that shows it.
    pub(super) message: MessageId,
    /// The mark of what it said when the form was opened.
    pub(super) seen: u64,
}

impl Rewritten {
    /// What is written, if it is one.
    pub(super) fn parse(written: &str) -> Option<Self> {
        let (message, seen) = written.strip_prefix(REWRITE)?.strip_prefix(':')?.split_once(':')?;
        Some(Self { message: MessageId(message.parse().ok()?), seen: seen.parse().ok()? })
    }
}

impl std::fmt::Display for Rewritten {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{REWRITE}:{}:{}", self.message, self.seen)
    }
}

/// The form in which a line is changed.
pub(super) fn form(rewritten: Rewritten, text: &str) -> CreateModal {
    let (title, label) = LINE_FORM;
    let input = CreateInputText::new(InputTextStyle::Paragraph, label, FIELD).value(text);
    CreateModal::new(rewritten.to_string(), title).components(vec![CreateActionRow::InputText(input)])
}

impl From<Unwilling> for Text {
    fn from(unwilling: Unwilling) -> Self {
        match unwilling {
            Unwilling::Stale => Self::StaleReply,
            Unwilling::NotTheirs => Self::NotYourReply,
            Unwilling::NotRead => Self::NotRead,
            Unwilling::NotAnswered => Self::NotAnswered,
            Unwilling::Denied => Self::Denied,
            Unwilling::TooMuch(notice) => Self::TooMuch(notice),
        }
    }
}

impl Handler {
    /// What was left undone in a channel is brought to an end first, as far as that does not take long.
    pub(super) async fn settle_soon(&self, context: &Context, user: User<'_>) -> Result<(), Problem> {
        let (this, discord) = (self.clone(), context.clone());
        let (channel, server) = (user.channel(), user.server());
        let settled = tokio::spawn(async move { this.settle_first(&discord, channel, server).await });
        match tokio::time::timeout(SOON, settled).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Problem::Told(Lines::NotReady.into())),
        }
    }

    /// The form for a line was filled in. What is not taken is given back.
    pub(super) async fn take_line(
        &self,
        context: &Context,
        interaction: &ModalInteraction,
        Rewritten { message, seen }: Rewritten,
    ) -> Result<(), Problem> {
        let later = CreateInteractionResponseMessage::new().ephemeral(true);
        editing::respond(context, interaction, CreateInteractionResponse::Defer(later)).await?;
        let (user, text) = (User::of_form(interaction), written(interaction));
        self.settle_first(context, user.channel(), user.server()).await;
        let id = MessageId(interaction.id.get());
        let told = self.rewritten(context, user, id, (message, Some(seen)), text.clone()).await;
        let told = match told {
            Ok(told) | Err(Problem::Told(told)) => told,
            Err(problem) => {
                error!("a line could not be changed: {problem}");
                Text::Broken
            }
        };
        let mut edit = EditInteractionResponse::new().allowed_mentions(no_mentions());
        edit = if told == Text::from(Lines::Edited) || text.is_empty() {
            edit.content(told.to_string())
        } else {
            edit.content(with_draft(&told)).new_attachment(CreateAttachment::bytes(text, "line.txt"))
        };
        rest::retry("edit an answer", || interaction.edit_response(context, edit.clone())).await?;
        Ok(())
    }

    /// Lets a line say something else, and tells what has become of that: what a persona said waits for its turn, what a member
    /// said through the bot is changed as if they had changed it themselves.
    pub(super) async fn rewritten(
        &self,
        context: &Context,
        user: User<'_>,
        id: MessageId,
        (message, seen): (MessageId, Option<u64>),
        text: String,
    ) -> Result<Text, Problem> {
        let (place, hand) = (user.place(context), user.hand());
        if let Some(server) = place.server {
            self.assistant.learn(server).await;
        }
        let line = self.assistant.line_in(place, message, &hand).await.map_err(Problem::Told)?;
        if !line.by_persona {
            if seen.is_some_and(|seen| seen != line.mark) {
                return Ok(Lines::Changed.into());
            }
            return self.say_anew(context, user, Posted::new(message, line.webhook), &line.text, &text).await;
        }
        let rewrite = Rewrite { message, seen, text, id, hand };
        let (accepted, heard) = self.assistant.rewrite(place, rewrite).await.map_err(Problem::Told)?;
        self.answer(context, accepted, user.server()).await;
        Ok(heard.await.unwrap_or(Lines::Stopped.into()))
    }

    /// Changes what a member has said through the bot.
    async fn say_anew(
        &self,
        context: &Context,
        user: User<'_>,
        posted: Posted,
        before: &str,
        text: &str,
    ) -> Result<Text, Problem> {
        let place = user.place(context);
        // One line, as it was said.
        let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.assistant.drop_blocked(place, &mut text);
        if chat::sanitize::is_blank(&text) {
            return Ok(Text::NothingSaid);
        }
        let shown = rest::retry("get message", || user.channel().message(&context.http, posted.message));
        let shown = match shown.await {
            Ok(shown) => shown,
            Err(trouble) if trouble.finality().is_some() => return Ok(Lines::Unchangeable.into()),
            Err(trouble) => return Err(Problem::broken(trouble)),
        };
        let is_own = reading::is_own(context, &shown, self.me);
        let Some(anew) = said_anew(&shown.content, before, &text).filter(|_| is_own) else {
            return Ok(Lines::Unchangeable.into());
        };
        let have = chat::split::length(&anew);
        if have > chat::split::MESSAGE_MAX {
            return Ok(Lines::TooLong(have, chat::split::MESSAGE_MAX).into());
        }
        match Ground::new(context, &self.faces, place).change(posted, Some(&anew), None).await {
            Ok(Delivery::Done) => {}
            Ok(_) => return Ok(Lines::Unchangeable.into()),
            Err(trouble) if trouble.finality().is_some() => return Ok(Lines::Unchangeable.into()),
            Err(trouble) => return Err(Problem::broken(trouble)),
        }
        let text = reading::text(context, &text, &[], &[], user.server(), self.me);
        let message = MessageId(posted.message.get());
        self.assistant.message_edited(place, message, text).await;
        Ok(Lines::Edited.into())
    }

    /// Forgets what was said from a message on, deletes the messages of that, and tells what has become of it.
    pub(super) async fn rewind(
        &self,
        context: &Context,
        user: User<'_>,
        lines: (MessageId, TurnId),
    ) -> Result<Text, Problem> {
        let (place, asker, moderates) = (user.place(context), user.id(), user.moderates());
        self.settle_first(context, user.channel(), user.server()).await;
        let gone = self.assistant.rewind(place, lines, &user.hand()).await.map_err(Problem::Told)?;
        let may = user.server().and_then(|server| {
            let home = place.parent.unwrap_or(place.channel);
            reading::permissions(context, server, ChannelId::new(home.0.max(1)))
        });
        let manages = may.is_some_and(|may| may.contains(Permissions::MANAGE_MESSAGES));
        let (this, discord, lines) = (self.clone(), context.clone(), gone.len());
        let swept = tokio::spawn(async move {
            let ground = Ground::new(&discord, &this.faces, place);
            let (mut messages, mut left) = (Vec::new(), 0);
            // What a crash leaves is a beginning.
            for turn in gone.iter().rev() {
                let member = turn.speaker.member();
                // Who may not manage messages has nobody else's deleted.
                let is_theirs = moderates || member.is_none_or(|member| member == asker);
                for part in turn.parts.iter().rev() {
                    let posted = Posted::new(part.message, part.webhook);
                    let is_ours = manages || member.is_none() || this.is_posted_by_us(&ground, posted).await;
                    if is_theirs && is_ours {
                        messages.push(posted);
                    } else {
                        left += 1;
                    }
                }
            }
            left + this.sweep(&ground, place, messages, manages).await
        });
        Ok(match tokio::time::timeout(SWEEPING, swept).await {
            Ok(Ok(left)) => Lines::Forgotten { lines, left }.into(),
            _ => Lines::Sweeping(lines).into(),
        })
    }

    /// Deletes messages in this order, many at a time where the bot `manages` messages. How many of them stay.
    async fn sweep(&self, ground: &Ground<'_>, place: Place, messages: Vec<Posted>, manages: bool) -> usize {
        let oldest = Timestamp::now().unix_timestamp() - OLDEST_SWEPT_TOGETHER;
        let is_young = |posted: &Posted| posted.message.created_at().unix_timestamp() > oldest;
        let (together, mut alone): (Vec<Posted>, Vec<Posted>) =
            messages.into_iter().partition(|posted| manages && is_young(posted));
        for some in together.chunks(SWEPT_TOGETHER) {
            for posted in some {
                self.assistant.will_sweep(place, MessageId(posted.message.get())).await;
            }
            let ids = || some.iter().map(|posted| posted.message);
            let http = &ground.context.http;
            let swept = rest::retry("delete messages", || ground.channel.delete_messages(http, ids()));
            if let Err(trouble) = swept.await {
                debug!(channel = ground.channel.get(), %trouble, "forgotten messages are deleted one by one");
                alone.extend_from_slice(some);
            }
        }
        let mut left = 0;
        for posted in alone {
            let message = MessageId(posted.message.get());
            self.assistant.will_sweep(place, message).await;
            match ground.delete(posted).await {
                Ok(Delivery::Done) => continue,
                Err(trouble) if trouble.finality() == Some(Finality::Message) => continue,
                Ok(_) => {}
                Err(trouble) => {
                    debug!(channel = ground.channel.get(), %trouble, "a forgotten message could not be deleted");
                }
            }
            self.assistant.did_not_sweep(place, message);
            left += 1;
        }
        left
    }

    /// Whether the bot has posted a message for a member. What cannot be read is no message of its own.
    async fn is_posted_by_us(&self, ground: &Ground<'_>, posted: Posted) -> bool {
        let found =
            rest::retry("get message", || ground.channel.message(&ground.context.http, posted.message));
        found.await.is_ok_and(|message| reading::is_own(ground.context, &message, self.me))
    }

    /// Lets what was said up to a message go on in a thread of its own, and tells where that is.
    pub(super) async fn branch_off(
        &self,
        context: &Context,
        user: User<'_>,
        place: Place,
        soil: Soil,
        (message, id): (MessageId, MessageId),
    ) -> Result<Text, Problem> {
        if !user.makes_threads_here(soil.is_private()) {
            return Ok(Lines::NoThreadOfTheirs.into());
        }
        if !soil.may_grow(context) {
            return Ok(Lines::MayNotBranch.into());
        }
        let branch = self.assistant.branch(place, message, id, &user.hand()).await.map_err(Problem::Told)?;
        let thread = match soil.grow(context, &branch_name(&branch.title)).await {
            Ok(thread) => thread,
            Err(trouble) => return refused(trouble),
        };
        let grown = self.grow(context, user, (place, message), soil, thread, branch).await;
        if !matches!(grown, Ok(Text::Lines(Lines::Branched(_)))) {
            threads::clear_away(context, thread).await;
        }
        grown
    }

    /// Lets a branch go on in its thread, which is taken away again when that fails.
    async fn grow(
        &self,
        context: &Context,
        user: User<'_>,
        (place, message): (Place, MessageId),
        soil: Soil,
        thread: ChannelId,
        branch: Branch,
    ) -> Result<Text, Problem> {
        if soil.is_private() {
            let asker = UserId::new(user.id().0.max(1));
            let added = rest::retry("add thread member", || thread.add_thread_member(&context.http, asker));
            if let Err(trouble) = added.await {
                return refused(trouble);
            }
        }
        let last = branch.last.clone();
        let there =
            Place { channel: chat::ChannelId(thread.get()), parent: Some(soil.home()), server: place.server };
        let home = there.parent.filter(|_| !soil.is_private());
        match self.assistant.plant(there, home, branch).await {
            Ok(()) => {}
            Err(Unplanted::Gone(told)) => return Ok(told.into()),
            Err(Unplanted::Store(error)) => return Err(Problem::broken(error)),
        }
        let first = Text::from(Lines::BranchesFrom { place, message, last }).to_string();
        let first = CreateMessage::new()
            .content(first)
            .allowed_mentions(no_mentions())
            .flags(MessageFlags::SUPPRESS_EMBEDS);
        let sent = rest::retry("create message", || {
            let first = first.clone();
            async { thread.send_message(&context.http, first).await }
        });
        match sent.await {
            Ok(_) => Ok(Lines::Branched(there.channel).into()),
            Err(trouble) => refused(trouble),
        }
    }
}

/// A thread is not to be had.
fn refused(trouble: Trouble) -> Result<Text, Problem> {
    match trouble.finality() {
        Some(_) => Ok(Lines::MayNotBranch.into()),
        None => Err(Problem::broken(trouble)),
    }
}

/// What was written into the form.
fn written(interaction: &ModalInteraction) -> String {
    let mut inputs = interaction.data.components.iter().flat_map(|row| &row.components);
    let text = inputs.find_map(|component| match component {
        ActionRowComponent::InputText(input) if input.custom_id == FIELD => input.value.clone(),
        _ => None,
    });
    text.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(message: u64, seen: u64) {
            let rewritten = Rewritten { message: MessageId(message), seen };
            prop_assert!(rewritten.to_string().len() <= 100, "Discord takes no longer ones");
            prop_assert_eq!(Rewritten::parse(&rewritten.to_string()), Some(rewritten));
        }

        #[test]
        fn whatever_is_sent_is_read_or_is_nothing(id: String) {
            let _ = Rewritten::parse(&id);
        }
    }

    #[test]
    fn forged_ids_are_nothing() {
        for id in [
            "",
            "edit-line",
            "edit-line:",
            "edit-line:1",
            "edit-line:1:",
            "edit-line:x:1",
            "edit-line:1:2:3",
            "rewind:1:2",
        ] {
            assert_eq!(Rewritten::parse(id), None, "{id}");
        }
    }
}
