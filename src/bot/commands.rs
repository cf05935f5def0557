//! Slash commands: which there are, and what happens around each of them. Each has a file of its own.

mod ask;
mod audit;
mod help;
mod lines;
mod memory;
mod persona;
mod personas;
mod privacy;
mod queue;
mod reset;
mod roleplay;
mod roll;
mod say;
mod settings;
mod stop;
mod why;

use std::sync::atomic::Ordering;

use poise::{CreateReply, FrameworkError, FrameworkOptions};
use serenity::all::{
    Command as Registered, CreateActionRow, CreateButton, CreateInteractionResponse, CreateModal, GuildId,
};
use serenity::builder::CreateCommand;
use serenity::http::Http;
use tracing::{error, info, warn};

use super::components::{Press, What};
use super::events::Handler;
use super::reading;
use super::rest::{self, Trouble};
use super::sender;
use super::user::User;
use crate::admin::{Actor, Refusal};
use crate::chat::addressing::Incoming;
use crate::chat::markdown::escaped;
use crate::chat::sanitize;
use crate::chat::settings::Answers;
use crate::chat::text::{Editing, Text};

/// What commands know: the same as whoever receives events.
pub(super) type Context<'a> = poise::ApplicationContext<'a, Handler, Problem>;
type Command = poise::Command<Handler, Problem>;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// Whoever used it is told this.
    #[error("told why not")]
    Told(Text),
    /// Discord did not do what it was asked.
    #[error("{0}")]
    Discord(#[from] Trouble),
    /// Something of ours is broken.
    #[error("{0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl Problem {
    pub(super) fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Broken(Box::new(error))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotAdmin => Self::Told(Text::NotAdmin),
            Refusal::NotManager => Self::Told(Text::NotManager),
            Refusal::WholeServer => Self::Told(Text::WholeServer),
            Refusal::NotKept => Self::Told(Text::NotKept),
            Refusal::NotModerator => Self::Told(Editing::NotModerator.into()),
            Refusal::NotCreator => Self::Told(Editing::NotCreator.into()),
            Refusal::NoPersona => Self::Told(Editing::NoneOfYours.into()),
            Refusal::NoVersion => Self::Told(Editing::NoVersion.into()),
            Refusal::Changed => Self::Told(Editing::Changed.into()),
            Refusal::TooManyPersonas { most } => Self::Told(Editing::TooMany(most).into()),
            Refusal::TooManyOfTheirs { most } => Self::Told(Editing::TooManyOfYours(most).into()),
            Refusal::RatedByAdmin => Self::Told(Editing::RatedByAdmin.into()),
            Refusal::FromFile => Self::Told(Editing::FromFile.into()),
            Refusal::TooLong { have, most } => Self::Told(Editing::TooLong(have, most).into()),
            Refusal::TooManyBytes { have, most } => Self::Told(Editing::TooMuch(have, most).into()),
            Refusal::Store(error) => Self::broken(error),
        }
    }
}

fn all() -> Vec<Command> {
    vec![
        ask::ask(),
        audit::audit(),
        help::help(),
        persona::persona(),
        personas::personas(),
        privacy::privacy(),
        queue::queue(),
        reset::reset(),
        roleplay::roleplay(),
        roll::roll(),
        say::say(),
        settings::settings(),
        stop::stop(),
        why::why(),
        why::why_this_reply(),
        lines::regenerate(),
        lines::edit_line(),
        lines::forget_from_here(),
        lines::branch_into_a_thread(),
    ]
}

/// What carries the commands out, and makes them known to Discord when it is connected.
pub(super) fn framework(handler: Handler) -> poise::Framework<Handler, Problem> {
    let options = FrameworkOptions {
        commands: all(),
        on_error: |error| Box::pin(failed(error)),
        command_check: Some(|context| Box::pin(async move { is_here(context).await })),
        allowed_mentions: Some(sender::no_mentions()),
        initialize_owners: false,
        ..FrameworkOptions::default()
    };
    poise::Framework::builder()
        .options(options)
        .setup(move |context, _, framework| {
            let commands = poise::builtins::create_application_commands(&framework.options().commands);
            let http = std::sync::Arc::clone(&context.http);
            Box::pin(async move {
                // Those of the last start are there meanwhile, and nobody waits for this.
                tokio::spawn(async move { register(&http, commands).await });
                Ok(handler)
            })
        })
        .build()
}

async fn register(http: &Http, commands: Vec<CreateCommand>) {
    let registered =
        rest::retry("register commands", || Registered::set_global_commands(http, commands.clone())).await;
    match registered {
        Ok(commands) => info!(commands = commands.len(), "the commands are registered"),
        Err(trouble) => warn!(%trouble, "the commands could not be registered; those of before stay"),
    }
}

/// A command may come from a server that has installed the commands without the bot.
async fn is_here(context: poise::Context<'_, Handler, Problem>) -> Result<bool, Problem> {
    let poise::Context::Application(context) = context else { return Ok(false) };
    let user = User::of_command(context.interaction);
    if user.is_here(context.serenity_context()) {
        context.data().assistant.learn_for(user.place(context.serenity_context())).await;
        return Ok(true);
    }
    whisper(context, &Text::NotHere).await?;
    Ok(false)
}

/// Says what went wrong: to whoever used the command in words, to the operator in the log.
async fn failed(error: FrameworkError<'_, Handler, Problem>) {
    let (context, text) = match error {
        FrameworkError::Command { error, ctx, .. } => match error {
            Problem::Told(text) => (ctx, text),
            Problem::Discord(trouble) => {
                warn!(command = %ctx.command().qualified_name, %trouble, "a command could not be answered");
                return;
            }
            Problem::Broken(problem) => {
                error!(command = %ctx.command().qualified_name, "a command failed: {problem}");
                (ctx, Text::Broken)
            }
        },
        FrameworkError::CommandPanic { ctx, .. } => {
            error!(command = %ctx.command().qualified_name, "a command panicked");
            (ctx, Text::Broken)
        }
        FrameworkError::ArgumentParse { ctx, .. } => (ctx, Text::Misunderstood),
        FrameworkError::CommandStructureMismatch { ctx, .. } => (ctx.into(), Text::Misunderstood),
        FrameworkError::CommandCheckFailed { error: Some(problem), ctx, .. } => {
            warn!(command = %ctx.command().qualified_name, "a command could not be answered: {problem}");
            return;
        }
        FrameworkError::UnknownInteraction { interaction, .. } => {
            warn!(command = interaction.data.name, "a command that is not known");
            return;
        }
        _ => return,
    };
    if let poise::Context::Application(context) = context
        && let Err(problem) = whisper(context, &text).await
    {
        warn!(command = %context.command().qualified_name, "what went wrong could not be said: {problem}");
    }
}

/// As whom they decide something, which is only for servers.
fn actor(context: Context<'_>) -> Result<Actor, Problem> {
    User::of_command(context.interaction).actor().ok_or(Problem::Told(Text::ServersOnly))
}

/// Answers so that only whoever used the command sees it.
async fn whisper(context: Context<'_>, text: &Text) -> Result<(), Problem> {
    reply(context, CreateReply::default().content(text.to_string()).ephemeral(true)).await
}

/// Answers so that all see it.
async fn announce(context: Context<'_>, text: &Text) -> Result<(), Problem> {
    reply(context, CreateReply::default().content(text.to_string())).await
}

/// Shows for all what somebody says through the bot, and returns it as a message of theirs.
async fn speak(
    context: Context<'_>,
    text: &str,
    show: impl FnOnce(String, String) -> Text,
) -> Result<(Incoming, Option<GuildId>), Problem> {
    if sanitize::is_blank(text) {
        return Err(Problem::Told(Text::NothingSaid));
    }
    let user = User::of_command(context.interaction);
    let handler = context.data();
    if handler.assistant.is_opted_out(user.id()) {
        return Err(Problem::Told(Text::NotRead));
    }
    let serenity = context.serenity_context();
    let place = user.place(serenity);
    if let Some(server) = place.server {
        handler.assistant.learn(server).await;
    }
    let channel = context.interaction.channel_id;
    if handler.assistant.answers_in(place) == Answers::Nothing || handler.quiet.is_quiet(channel) {
        return Err(Problem::Told(Text::NotAnswered));
    }
    if handler.assistant.is_denied(place, &user.author()) {
        return Err(Problem::Told(Text::Denied));
    }
    // Who they are here is known when what the last process has left undone is brought to an end.
    handler.settle_first(serenity, user.channel(), user.server()).await;
    // One line, so that nobody can put another one under another name.
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    handler.assistant.drop_blocked(place, &mut text);
    // In a scene they are who they play.
    let plays = handler.assistant.player_in(place, &user.author()).await;
    let who = plays.map_or_else(|| user.name(), |name| escaped(&sanitize::name(&name)));
    announce(context, &show(who, text.clone())).await?;
    let shown = rest::retry("find what is said", || context.interaction.get_response(&serenity.http));
    let message = shown.await.map_err(Problem::broken)?;
    let text = reading::text(serenity, &text, &[], &[], user.server(), handler.me);
    Ok((reading::said_in(&message, place, user.author(), text), user.server()))
}

/// Asks whoever used the command whether it is meant, and lets them press a button.
async fn confirm(context: Context<'_>, text: &Text, what: What) -> Result<(), Problem> {
    let asker = User::of_command(context.interaction).id();
    let button = |what: What| {
        let press = Press::Of(what, asker);
        CreateButton::new(press.to_string()).label(what.label().words()).style(what.style())
    };
    let buttons = vec![button(what), button(What::Cancel)];
    let row = CreateActionRow::Buttons(buttons);
    let question = CreateReply::default().content(text.to_string()).ephemeral(true);
    reply(context, question.components(vec![row])).await
}

async fn reply(context: Context<'_>, reply: CreateReply) -> Result<(), Problem> {
    let sent = rest::retry("answer a command", || async {
        poise::send_application_reply(context, reply.clone()).await.map(drop)
    });
    arrived(context, sent.await)
}

/// Discord waits longer for the answer, which only whoever used the command will see.
async fn defer(context: Context<'_>) -> Result<(), Problem> {
    arrived(context, rest::retry("defer a command", || context.defer_response(true)).await)
}

/// Opens a form, which has to be the first answer.
async fn open_form(context: Context<'_>, form: CreateModal) -> Result<(), Problem> {
    let opened = rest::retry("open a form", || {
        let form = CreateInteractionResponse::Modal(form.clone());
        context.interaction.create_response(context.serenity_context(), form)
    });
    arrived(context, opened.await)
}

/// A try whose own answer was lost has arrived, though nobody said so; what comes after it is a further answer.
fn arrived(context: Context<'_>, sent: Result<(), Trouble>) -> Result<(), Problem> {
    match sent {
        Ok(()) => {}
        Err(trouble) if trouble.is_answered_already() => {}
        Err(trouble) => return Err(Problem::Discord(trouble)),
    }
    context.has_sent_initial_response.store(true, Ordering::SeqCst);
    Ok(())
}
