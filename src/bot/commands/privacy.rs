//! `/privacy`: what the bot keeps of the asker, and what is to become of it.

use poise::CreateReply;
use serde_json::Value;
use serenity::all::CreateAttachment;

use super::super::components::What;
use super::super::user::User;
use super::{Context, Problem, confirm, defer, reply, whisper};
use crate::chat::MemberId;
use crate::chat::settings::Answers;
use crate::chat::text::{Kept, Text};

/// Decide what I keep of you.
#[poise::command(
    slash_command,
    subcommands("show", "export", "forget_me", "opt_out", "opt_in"),
    subcommand_required
)]
#[expect(clippy::unused_async, reason = "it has only others under it")]
pub(super) async fn privacy(_: Context<'_>) -> Result<(), Problem> {
    Ok(())
}

/// Tell what I keep of you.
#[poise::command(slash_command)]
async fn show(context: Context<'_>) -> Result<(), Problem> {
    defer(context).await?;
    let counts = context.data().assistant.count_member(asker(context)).await.map_err(Problem::broken)?;
    let counts = counts.ok_or(Problem::Told(Text::NothingWritten))?;
    let user = User::of_command(context.interaction);
    let (assistant, place) = (&context.data().assistant, user.place(context.serenity_context()));
    let kept = Kept {
        opted_out: assistant.is_opted_out(asker(context)),
        counts,
        everything: assistant.answers_in(place) == Answers::Everything || assistant.listens_in(place),
        days: assistant.retention_days(place.server),
    };
    whisper(context, &Text::Kept(kept)).await
}

/// Get everything that I keep of you as a file.
#[poise::command(slash_command)]
async fn export(context: Context<'_>) -> Result<(), Problem> {
    defer(context).await?;
    let export = export_of(context, asker(context)).await?;
    let bytes = serde_json::to_vec_pretty(&export).map_err(Problem::broken)?;
    if u32::try_from(bytes.len()).is_ok_and(|size| size <= context.interaction.attachment_size_limit) {
        let file = CreateAttachment::bytes(bytes, "mummer-export.json");
        let answer = CreateReply::default().content(Text::Exported.to_string()).ephemeral(true);
        return reply(context, answer.attachment(file)).await;
    }
    Err(Problem::Told(Text::TooMuchToExport))
}

/// Have me forget you.
#[poise::command(slash_command, rename = "forget-me")]
async fn forget_me(context: Context<'_>) -> Result<(), Problem> {
    confirm(context, &Text::MayForget, What::Forget).await
}

/// Have me forget you, and read nothing more that you write.
#[poise::command(slash_command, rename = "opt-out")]
async fn opt_out(context: Context<'_>) -> Result<(), Problem> {
    confirm(context, &Text::MayOptOut, What::OptOut).await
}

/// Have me read what you write to me.
#[poise::command(slash_command, rename = "opt-in")]
async fn opt_in(context: Context<'_>) -> Result<(), Problem> {
    defer(context).await?;
    context.data().assistant.opt_in(asker(context)).await.map_err(Problem::broken)?;
    whisper(context, &Text::OptedIn).await
}

fn asker(context: Context<'_>) -> MemberId {
    User::of_command(context.interaction).id()
}

async fn export_of(context: Context<'_>, member: MemberId) -> Result<Value, Problem> {
    let export = context.data().assistant.export_member(member).await.map_err(Problem::broken)?;
    if export.is_null() { Err(Problem::Told(Text::NothingWritten)) } else { Ok(export) }
}
