//! The command line: what the program is asked to do, and the wiring of the rooms to do it.
//!
//! Standard output carries results only; the log, progress and errors go to standard error. Exit codes: 0 it is done,
//! 1 it failed, 2 the command line, a setting or a persona has a mistake, 70 the model broke down and a new process is
//! needed (`EX_SOFTWARE` of sysexits.h).

mod bench;
mod chat;
mod complete;
mod loading;
mod persona;
mod replay;
mod run;
mod tokenize;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tracing::Level;

use crate::assistant::{Assistant, AtHand, Cast, Settings};
use crate::chat::reply::Manner;
use crate::config::{Config, ConfigError};
use crate::engine;
use crate::persona::{EXTENSIONS, Library, LibraryError, Persona, load_file, visible};
use crate::telemetry;

/// A Discord bot that puts on personas, with a language model of its own.
///
/// Without a command it runs the bot when there is a token, and a chat in the terminal when there is none.
#[derive(Debug, Parser)]
#[command(name = "mummer", version)]
struct Cli {
    /// Settings file instead of mummer.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Default, clap::Args)]
struct ModelArguments {
    /// GGUF model file, instead of the setting model.path; without either the built-in understudy plays
    #[arg(long, global = true, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Run or chat without a model: answers follow a script
    #[arg(long, global = true)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the Discord bot
    Run,
    /// Talk to a persona in the terminal; reads lines when standard input is no terminal
    Chat(chat::Arguments),
    /// Continue a text with the model, and nothing else
    Complete(complete::Arguments),
    /// Measure how fast the model runs on this machine
    Bench(bench::Arguments),
    /// Make a recorded reply once more, and say whether the same tokens would be chosen
    ///
    /// Exit codes: 0 the same would be chosen, 1 another one would be, 2 it cannot be replayed.
    Replay(replay::Arguments),
    /// Print the token ids of standard input as JSON
    Tokenize,
    /// Look at personas
    #[command(subcommand)]
    Persona(persona::Command),
}

/// Runs the program and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    engine::prepare_threads();
    std::panic::set_hook(Box::new(report_panic));
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            let is_mistake = error.chain().any(|cause| {
                cause.is::<ConfigError>() || cause.is::<Mistake>() || cause.is::<LibraryError>()
            });
            if !is_unread(&error) {
                report(&error);
            }
            ExitCode::from(match error {
                _ if is_mistake => 2,
                error if error.is::<replay::Unreplayable>() => 2,
                error if error.is::<Broken>() => 70,
                _ => 1,
            })
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let mut config = Config::load(cli.config.as_deref())?;
    if let Some(model) = cli.model.model {
        config.model.path = Some(model);
    }
    let dry_run = cli.model.dry_run;
    let command = cli.command.unwrap_or_else(|| {
        if config.discord.has_token() { Command::Run } else { Command::Chat(chat::Arguments::default()) }
    });
    // Beside a conversation or a result, what goes well needs no line in the log.
    let quiet = !matches!(command, Command::Run) && config.log.level == Level::INFO;
    telemetry::init(if quiet { Level::WARN } else { config.log.level })
        .context("the log could not be set up")?;
    match command {
        Command::Run => run::run(&config, dry_run),
        Command::Chat(arguments) => chat::run(&config, dry_run, &arguments),
        Command::Complete(_) | Command::Tokenize | Command::Bench(_) | Command::Replay(_) if dry_run => {
            Err(Mistake("--dry-run is for run and chat; this command needs a model".to_owned()).into())
        }
        Command::Bench(arguments) => bench::run(&config, &arguments),
        Command::Complete(arguments) => complete::run(&config, &arguments),
        Command::Replay(arguments) => replay::run(&config, &arguments),
        Command::Tokenize => tokenize::run(&config),
        Command::Persona(command) => persona::run(&config, &command),
    }
}

/// Prints an error as one line that says what went wrong, red on a terminal.
fn report(error: &anyhow::Error) {
    let mut stderr = std::io::stderr();
    let label = if stderr.is_terminal() { "\u{1b}[31merror:\u{1b}[0m" } else { "error:" };
    // Nobody is left to be told when standard error is gone.
    let _ = writeln!(stderr, "{label} {}", visible(&sentence(error)));
}

/// An error and its causes as one sentence. Many name their cause themselves.
fn sentence(error: &anyhow::Error) -> String {
    let causes = error.chain().skip(1).map(ToString::to_string);
    causes.fold(error.to_string(), |sentence, cause| {
        if sentence.contains(&cause) { sentence } else { format!("{sentence}: {cause}") }
    })
}

/// Whether whoever read standard output has gone, and wants to hear no more.
fn is_unread(error: &anyhow::Error) -> bool {
    let io = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.into_iter().any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Says something beside a conversation or a result, where the log would be out of place.
fn remark(line: &str) {
    // Nobody is left to be told when standard error is gone.
    let _ = writeln!(std::io::stderr(), "{}", visible(line));
}

/// Says where a panic happened and not what it says: its text may quote what members wrote.
fn report_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    // Nobody is left to be told when standard error is gone.
    let _ = writeln!(std::io::stderr(), "error: a fault in the program, at {place}; please report it");
}

/// A mistake of whoever typed the command or wrote the settings.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Mistake(String);

/// The model computes nothing any more, as after a panic inside of candle's threads.
#[derive(Debug, thiserror::Error)]
#[error(
    "the model broke down and computes nothing any more; start mummer again, and report it if that happens often"
)]
struct Broken;

/// Says at the start, and not at every message, when a persona leaves no room for a conversation.
fn refuse_misfit(assistant: &Assistant) -> anyhow::Result<()> {
    assistant.misfit().map_or(Ok(()), |misfit| Err(Mistake(misfit.to_string()).into()))
}

/// The personas that the settings allow.
fn library(config: &Config) -> anyhow::Result<Library> {
    let library = Library::load(config.personas.directory.as_deref())?;
    for line in library.remarks() {
        tracing::warn!("{}", visible(line));
    }
    Ok(library)
}

/// Finds a persona, or says which ones there are.
fn find_persona(library: &Library, wanted: &str, asked_by: &str) -> anyhow::Result<Arc<Persona>> {
    library.find(wanted).cloned().ok_or_else(|| {
        let ids: Vec<&str> = library.iter().map(|persona| persona.id.0.as_str()).collect();
        Mistake(format!(
            "{asked_by} names the persona {wanted:?}, which does not exist; there are: {}",
            ids.join(", ")
        ))
        .into()
    })
}

/// The persona of a name, or of a file.
fn named_persona(library: &Library, wanted: &str, asked_by: &str) -> anyhow::Result<Arc<Persona>> {
    let path = Path::new(wanted);
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_file =
        EXTENSIONS.contains(&extension.as_str()) || library.find(wanted).is_none() && path.is_file();
    if !is_file {
        return find_persona(library, wanted, asked_by);
    }
    let (persona, remarks) = load_file(path)?;
    for line in remarks {
        remark(&format!("{wanted}: {line}"));
    }
    Ok(Arc::new(persona))
}

/// Who answers where, from the settings.
fn cast(config: &Config, library: &Library) -> anyhow::Result<Cast> {
    let channels = config.discord.channels.iter().map(|(channel, wanted)| {
        let asked_by = format!("the setting discord.channels.{channel}.persona");
        Ok((*channel, loading::playable(config, find_persona(library, wanted, &asked_by)?)))
    });
    let default = find_persona(library, &config.personas.default, "the setting personas.default")?;
    let default = loading::playable(config, default);
    let library = library.iter().map(|persona| loading::playable(config, Arc::clone(persona)));
    let library = library.map(|persona| (persona.id.clone(), persona)).collect();
    Ok(Cast { default, channels: channels.collect::<anyhow::Result<_>>()?, library })
}

/// What the assistant must know, from the settings.
fn assistant_settings(config: &Config) -> Settings {
    Settings {
        sampling: loading::sampling(config),
        manner: Manner::default(),
        queue_per_conversation: config.generation.queue_per_conversation,
        buttons: config.discord.buttons,
        memory: loading::remembers(config),
        reads_everything: config.discord.message_content,
        direct_messages: config.discord.direct_messages,
        servers: config.discord.servers.clone(),
        seed: None,
        limits: config.limits,
        grace: config.generation.closing,
        answer_within: config.discord.answer_within,
        retention: config.privacy.retention,
        leave_grace: config.privacy.leave_grace,
        at_hand: AtHand::default(),
        pause: config.discord.pause,
    }
}
