//! `mummer persona`: looking at personas, and taking them in and giving them out.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use super::{Mistake, loading, named_persona, remark};
use crate::chat::MemberId;
use crate::chat::budget::{self, Fitted, Room, TooLong};
use crate::chat::explanation::{Called, reason};
use crate::chat::history::{Conversation, ConversationId, Speaker, TurnState};
use crate::chat::prompt::Prompt;
use crate::config::Config;
use crate::engine::ModelTokenizer;
use crate::persona::import::{self, Spec};
use crate::persona::lint::{Report, Setting, Severity, lint};
use crate::persona::lorebook::Lorebook;
use crate::persona::macros::{self, Context};
use crate::persona::{EXTENSIONS, Kind, Library, Persona, PersonaId, load_file, load_lorebook, visible};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the personas that there are
    List,
    /// Show a persona
    Show {
        /// Show the exact prompt of a short sample conversation instead, and on standard error what went into it
        #[arg(long)]
        prompt: bool,
        /// The newest message of that conversation
        #[arg(long, value_name = "TEXT", default_value = "Who are you?", requires = "prompt")]
        say: String,
        /// Print the prompt and what went into it as an object
        #[arg(long, requires = "prompt")]
        json: bool,
        /// Persona by id, name or alias, or a persona file
        #[arg(value_name = "NAME|FILE")]
        persona: String,
    },
    /// Say what of a persona will not be as its author meant: exit code 0 nothing, 1 warnings, 2 errors
    Lint {
        /// Print an object instead of lines
        #[arg(long)]
        json: bool,
        /// Personas by id, name or alias, or persona files
        #[arg(value_name = "NAME|FILE", required = true)]
        personas: Vec<String>,
    },
    /// Make a persona file of a character card: V1, V2 or V3, in JSON, PNG or CHARX
    Import {
        /// Where to write it, instead of the directory of the settings
        #[arg(long, value_name = "DIRECTORY")]
        to: Option<PathBuf>,
        /// Replace files that are there
        #[arg(long)]
        force: bool,
        /// Lorebooks and world files whose entries go into each of them
        #[arg(long, value_name = "FILE")]
        lorebook: Vec<PathBuf>,
        /// Character cards
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Write a persona as a character card
    Export {
        /// In which form
        #[arg(long, value_enum, default_value = "v3")]
        format: Format,
        /// Where to write it, instead of standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Persona by id, name or alias, or a persona file
        #[arg(value_name = "NAME|FILE")]
        persona: String,
    },
}

/// A form in which a persona can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// JSON, version 2
    V2,
    /// JSON, version 3
    V3,
    /// A picture with both
    Png,
    /// A persona file of Mummer
    Toml,
}

pub(super) fn run(config: &Config, command: &Command) -> anyhow::Result<ExitCode> {
    // Whoever takes cards in or looks for mistakes should not be stopped by another file.
    let library = || super::library(config);
    let mut stdout = std::io::stdout().lock();
    match command {
        Command::List => {
            for persona in library()?.iter() {
                let card = &persona.card;
                let aliases = if card.aliases.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", card.aliases.join(", "))
                };
                let names = line(&format!("{}{aliases}", card.name));
                writeln!(stdout, "{:<12} {:<10} {names}", persona.id, kind_name(card.kind))?;
            }
        }
        Command::Show { prompt, say, json, persona } => {
            let persona = named_persona(&library()?, persona, "the command line")?;
            if *prompt {
                let origin = loading::origin(config, |_| {});
                let tokenizer = ModelTokenizer::open(origin, &loading::options(config))
                    .map_err(|error| remark(&format!("tokens are not counted: {error}")))
                    .ok();
                let fitted = sample_prompt(config, &persona, say, tokenizer.as_ref())?;
                if *json {
                    writeln!(stdout, "{:#}", explained(&fitted))?;
                } else {
                    // Byte for byte what the model reads: no newline of our own.
                    write!(stdout, "{}", fitted.prompt.render())?;
                    stdout.flush()?;
                    if tokenizer.is_some() {
                        write!(std::io::stderr(), "\n\n{}", fitted.explanation)?;
                    }
                }
            } else {
                write!(stdout, "{}", visible(&description(&persona)))?;
            }
        }
        Command::Lint { json, personas } => return lint_all(config, &library()?, *json, personas),
        Command::Import { to, force, lorebook, files } => {
            let directory = to.as_deref().or(config.personas.directory.as_deref()).ok_or_else(|| {
                Mistake(
                    "there is no directory to write to: set personas.directory, or name one with --to"
                        .to_owned(),
                )
            })?;
            let books: Vec<Lorebook> =
                lorebook.iter().map(|file| load_lorebook(file)).collect::<Result<_, _>>()?;
            let library = library()?;
            let mut failed = 0;
            for file in files {
                match take_in(file, directory, &library, *force, &books) {
                    Ok(path) => writeln!(stdout, "{}", path.display())?,
                    Err(error) if files.len() > 1 => {
                        failed += 1;
                        remark(&format!("{}: {error:#}", file.display()));
                    }
                    Err(error) => return Err(error),
                }
            }
            if failed > 0 {
                return Err(Mistake(format!("{failed} of {} files were not taken in", files.len())).into());
            }
        }
        Command::Export { format, output, persona } => {
            let persona = named_persona(&library()?, persona, "the command line")?;
            let bytes = written(&persona, *format)?;
            match output {
                Some(path) => write_file(path, &bytes)?,
                None => stdout.write_all(&bytes).context("standard output is gone")?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a card's persona file, with its picture beside it, and gives its path.
fn take_in(
    file: &Path,
    directory: &Path,
    library: &Library,
    force: bool,
    books: &[Lorebook],
) -> anyhow::Result<PathBuf> {
    let (mut persona, remarks) = load_file(file)?;
    for book in books {
        persona.card.lorebook.get_or_insert_default().add(book);
    }
    for line in remarks {
        remark(&format!("{}: {line}", file.display()));
    }
    let id = id_of(&persona);
    let path = directory.join(format!("{id}.toml"));
    // In whatever form there is one of this id already, it is another persona, or what was made of it since.
    let there: Vec<PathBuf> =
        EXTENSIONS.iter().map(|ending| path.with_extension(ending)).filter(|path| path.exists()).collect();
    if let (Some(there), false) = (there.first(), force) {
        return Err(Mistake(format!("{} is there already; --force replaces it", there.display())).into());
    }
    if library.find(&id).is_some_and(|known| known.id.0 == id) && there.is_empty() && !force {
        return Err(Mistake(format!(
            "a persona that comes with mummer is called {id}; --force puts this one in its place"
        ))
        .into());
    }
    std::fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    write_file(&path, import::to_toml(&persona.card)?.as_bytes())?;
    if let Some(picture) = &persona.avatar {
        write_file(&path.with_extension("png"), picture)?;
    }
    let written = |old: &Path| old == path || persona.avatar.is_some() && old == path.with_extension("png");
    for old in there.iter().filter(|old| !written(old)) {
        std::fs::remove_file(old).with_context(|| format!("{} cannot be removed", old.display()))?;
    }
    Ok(path)
}

/// Writes a file beside its place and puts it there when it is whole.
fn write_file(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let context = || format!("{} cannot be written", path.display());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // What is left of it is of no use; that it cannot be removed changes nothing.
        drop(std::fs::remove_file(&beside));
    }
    written.with_context(context)
}

/// An id for a persona from elsewhere: its name in small letters and hyphens, or else that of its file.
fn id_of(persona: &Persona) -> String {
    PersonaId::of_name(&persona.card.name).map_or_else(|| persona.id.0.clone(), |id| id.0)
}

/// The persona in this form.
fn written(persona: &Persona, format: Format) -> anyhow::Result<Vec<u8>> {
    let card = &persona.card;
    Ok(match format {
        Format::V2 => import::to_json(card, Spec::V2).into_bytes(),
        Format::V3 => import::to_json(card, Spec::V3).into_bytes(),
        Format::Toml => import::to_toml(card)?.into_bytes(),
        Format::Png => import::to_png(card, persona.avatar.as_deref())?,
    })
}

/// Prints what the linter says of each, and gives the exit code for the gravest.
fn lint_all(config: &Config, library: &Library, json: bool, personas: &[String]) -> anyhow::Result<ExitCode> {
    let origin = loading::origin(config, |_| {});
    let tokenizer = ModelTokenizer::open(origin, &loading::options(config))?;
    let count = |text: &str| tokenizer.count(text);
    let mut reports: BTreeMap<String, Report> = BTreeMap::new();
    let mut unreadable: BTreeMap<String, String> = BTreeMap::new();
    for wanted in personas {
        match named_persona(library, wanted, "the command line") {
            Ok(persona) => {
                let most = persona.card.sampling.or(config.sampling).max_tokens;
                let room = Room::in_context(tokenizer.context_length(), most).prompt;
                let setting = Setting { room, count: &count };
                let report =
                    lint(&persona.card, persona.lore.as_deref(), persona.avatar.as_deref(), &setting);
                reports.insert(wanted.clone(), report);
            }
            // One that cannot be read is what it is for.
            Err(error) => drop(unreadable.insert(wanted.clone(), error.to_string())),
        }
    }
    let mut stdout = std::io::stdout().lock();
    if json {
        writeln!(stdout, "{:#}", as_json(&reports, &unreadable))?;
    } else {
        for (wanted, report) in &reports {
            let room = tokenizer.context_length();
            writeln!(
                stdout,
                "{}: {} tokens of {room} always, and these parts:",
                line(wanted),
                report.always
            )?;
            for (field, tokens) in &report.costs {
                writeln!(stdout, "  {tokens:>6}  {}", line(field))?;
            }
            for finding in &report.findings {
                writeln!(
                    stdout,
                    "  {}: {} {}",
                    severity_name(finding.severity),
                    line(&finding.field),
                    line(&finding.message)
                )?;
            }
        }
        for (wanted, error) in &unreadable {
            writeln!(stdout, "{}\n  error: {}", line(wanted), line(error))?;
        }
    }
    let worst = reports.values().filter_map(Report::worst).max();
    Ok(match worst {
        _ if !unreadable.is_empty() => ExitCode::from(2),
        Some(Severity::Error) => ExitCode::from(2),
        Some(Severity::Warning) => ExitCode::from(1),
        None => ExitCode::SUCCESS,
    })
}

fn as_json(reports: &BTreeMap<String, Report>, unreadable: &BTreeMap<String, String>) -> serde_json::Value {
    let report = |report: &Report| {
        let findings: Vec<serde_json::Value> = report
            .findings
            .iter()
            .map(|finding| {
                serde_json::json!({
                    "severity": severity_name(finding.severity),
                    "field": finding.field,
                    "message": finding.message,
                })
            })
            .collect();
        let costs: Vec<serde_json::Value> = report
            .costs
            .iter()
            .map(|(field, tokens)| serde_json::json!({"field": field, "tokens": tokens}))
            .collect();
        serde_json::json!({"always": report.always, "costs": costs, "findings": findings})
    };
    let mut all: serde_json::Map<String, serde_json::Value> =
        reports.iter().map(|(wanted, each)| (wanted.clone(), report(each))).collect();
    all.extend(
        unreadable.iter().map(|(wanted, error)| (wanted.clone(), serde_json::json!({"error": error}))),
    );
    serde_json::Value::Object(all)
}

/// A text of a card as one line that does no harm to a terminal.
fn line(text: &str) -> String {
    visible(text).replace('\n', " ")
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Roleplay => "roleplay",
        Kind::Assistant => "assistant",
    }
}

/// Everything that its author wrote, with names for the macros.
fn description(persona: &Persona) -> String {
    let card = &persona.card;
    let context = Context { card: Some(card), ..Context::of_names(persona.char_name(), "User") };
    let mut text = format!("{} ({}, version {})\n", card.name, kind_name(card.kind), persona.version);
    let mut section = |label: &str, written: &str| {
        if !written.trim().is_empty() {
            text.extend(["\n", label, macros::expand(written.trim(), context).as_str(), "\n"]);
        }
    };
    section("Nickname: ", &card.nickname);
    section("Aliases: ", &card.aliases.join(", "));
    section("Instruction: ", &card.system_prompt);
    section("", &card.description);
    section("Personality: ", &card.personality);
    section("Scenario: ", &card.scenario);
    section("Greeting: ", &card.greeting);
    for greeting in &card.alternate_greetings {
        section("Or: ", greeting);
    }
    for example in &card.examples {
        section("Example:\n", example);
    }
    if let Some(note) = &card.note {
        section(&format!("Before the last {} messages: ", note.depth), &note.text);
    }
    section("After the transcript: ", &card.post_history);
    section("When it sums up what happened: ", &card.summary_prompt);
    text
}

/// The prompt of a short sample conversation, as the bot would build it. Where a tokenizer is missing nothing is counted,
/// and everything fits.
fn sample_prompt(
    config: &Config,
    persona: &Persona,
    say: &str,
    tokenizer: Option<&ModelTokenizer>,
) -> anyhow::Result<Fitted> {
    let speaker = Speaker::Persona { id: persona.id.clone(), version: persona.version.clone() };
    let name = persona.char_name();
    let mut conversation = Conversation::new(ConversationId(1), 0, 0, speaker.clone(), name);
    conversation.now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    conversation.hear(MemberId(1), "Robin", "Hello.", None);
    let reply = conversation.begin_reply(speaker, name, None);
    if let Some(turn) = conversation.turn_mut(reply) {
        turn.state = TurnState::Complete;
        "Hello, Robin.".clone_into(&mut turn.shown_mut().text);
    }
    let newest = conversation.hear(MemberId(1), "Robin", say, None);
    let most = persona.card.sampling.or(config.sampling).max_tokens;
    let context = tokenizer.map_or(usize::MAX, ModelTokenizer::context_length);
    let room = Room::in_context(context, most).prompt;
    let count = |prompt: &Prompt| tokenizer.map_or(0, |tokenizer| tokenizer.count(&prompt.render()));
    budget::fit(persona, &mut conversation, "", room, newest, count).map_err(|TooLong { have, room }| {
        Mistake(format!("{name} takes {have} tokens, and a prompt may have {room}: shorten it")).into()
    })
}

/// A prompt and what went into it.
fn explained(fitted: &Fitted) -> serde_json::Value {
    let why = &fitted.explanation;
    let sections: Vec<serde_json::Value> = why
        .pieces
        .iter()
        .map(|(source, tokens)| serde_json::json!({"section": why.name(*source), "tokens": tokens}))
        .chain([serde_json::json!({"section": "history", "tokens": why.history_tokens})])
        .collect();
    let lore: Vec<serde_json::Value> = why
        .lore
        .iter()
        .map(|lore| serde_json::json!({"entry": lore.name, "why": Called(lore).to_string()}))
        .collect();
    let dropped: Vec<serde_json::Value> = why
        .lore_dropped
        .iter()
        .map(|(entry, why)| serde_json::json!({"entry": entry, "why": reason(*why)}))
        .collect();
    serde_json::json!({
        "prompt": fitted.prompt.render(),
        "tokens": fitted.tokens,
        "sections": sections,
        "lore": lore,
        "lore_dropped": dropped,
        "examples_dropped": why.examples_dropped,
    })
}
