//! `mummer persona`: looking at personas.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use super::chat::persona_file;
use super::{find_persona, library};
use crate::chat::history::{Conversation, ConversationId, Speaker, TurnState};
use crate::chat::{MemberId, slots, template};
use crate::config::Config;
use crate::persona::macros::{self, Names};
use crate::persona::{Kind, Persona, load_file};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the personas that there are
    List,
    /// Show a persona
    Show {
        /// Show the exact prompt of a short sample conversation instead
        #[arg(long)]
        prompt: bool,
        /// Persona by id, name or alias, or a persona file
        #[arg(value_name = "NAME|FILE")]
        persona: String,
    },
}

pub(super) fn run(config: &Config, command: &Command) -> anyhow::Result<ExitCode> {
    let library = library(config)?;
    let mut stdout = std::io::stdout().lock();
    match command {
        Command::List => {
            for persona in library.iter() {
                let card = &persona.card;
                let aliases = if card.aliases.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", card.aliases.join(", "))
                };
                writeln!(stdout, "{:<12} {:<10} {}{aliases}", persona.id, kind_name(card.kind), card.name)?;
            }
        }
        Command::Show { prompt, persona } => {
            let persona = match persona_file(persona) {
                Some(path) => Arc::new(load_file(path)?),
                None => find_persona(&library, persona, "the command line")?,
            };
            if *prompt {
                // Byte for byte what the model reads: no newline of our own.
                write!(stdout, "{}", sample_prompt(&persona))?;
            } else {
                write!(stdout, "{}", description(&persona))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
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
    let names = Names { char: persona.char_name(), user: "User" };
    let mut text = format!("{} ({}, version {})\n", card.name, kind_name(card.kind), persona.version);
    let mut section = |label: &str, written: &str| {
        if !written.trim().is_empty() {
            text.extend(["\n", label, macros::expand(written.trim(), names).as_str(), "\n"]);
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
    section("After the transcript: ", &card.post_history);
    text
}

/// The prompt of a short sample conversation, as the bot would build it.
fn sample_prompt(persona: &Persona) -> String {
    let speaker = Speaker::Persona { id: persona.id.clone(), version: persona.version.clone() };
    let name = persona.char_name();
    let mut conversation = Conversation::new(ConversationId(1), 0, 0, speaker.clone(), name);
    conversation.hear(MemberId(1), "Robin", "Hello.", None);
    let reply = conversation.begin_reply(speaker, name, None);
    if let Some(turn) = conversation.turn_mut(reply) {
        turn.state = TurnState::Complete;
        "Hello, Robin.".clone_into(&mut turn.shown_mut().text);
    }
    conversation.hear(MemberId(1), "Robin", "Who are you?", None);
    template::alpaca(&slots::Slots::fill(persona, &conversation, "")).render()
}
