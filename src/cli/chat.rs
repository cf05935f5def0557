//! `mummer chat`: the same assistant in a terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::{Broken, assistant_settings, cast, library, loading, named_persona, refuse_misfit, remark};
use crate::assistant::{Assistant, Delivery, Look, Outlet, Settings};
use crate::chat::addressing::{Author, Incoming};
use crate::chat::buttons::Row;
use crate::chat::history::TurnState;
use crate::chat::markdown::{FENCE, Links};
use crate::chat::reply::{Manner, ReplyAction};
use crate::chat::settings::{Limits, Style};
use crate::chat::{ChannelId, MemberId, MessageId, notice, sanitize};
use crate::config::Config;
use crate::engine::Engine;
use crate::persona::Persona;

#[derive(Debug, Default, clap::Args)]
pub(super) struct Arguments {
    /// Persona by id, name or alias, or a persona file
    #[arg(long, value_name = "NAME|FILE")]
    persona: Option<String>,
    /// Your name in the conversation
    #[arg(long = "as", value_name = "NAME", default_value = "You")]
    member: String,
    /// Say this, print the answer and end
    #[arg(long, value_name = "TEXT")]
    once: Option<String>,
    /// Seed of everything random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// The terminal as a place where messages are posted.
const HERE: ChannelId = ChannelId(1);

/// Whoever sits at the terminal.
const MEMBER: MemberId = MemberId(1);

/// Text appears at once here, and nothing hides an address.
const MANNER: Manner = Manner {
    between_edits: Duration::ZERO,
    between_typing: Duration::from_hours(1),
    links: Links::AsWritten,
    streaming: true,
};

/// Talks until the input ends. Where nobody sits at the terminal, a message that was not answered is a failure (exit
/// code 1).
pub(super) fn run(config: &Config, dry_run: bool, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let library = library(config)?;
    let mut cast = cast(config, &library)?;
    let settings = Settings {
        manner: MANNER,
        seed: arguments.seed,
        // Whoever sits before it may ask as much as they like.
        limits: Limits::default(),
        ..assistant_settings(config)
    };
    let understudy = loading::is_understudy(config, dry_run);
    let given = understudy && config.personas.default == loading::WORST_PART;
    let wanted = arguments.persona.as_deref().or(given.then_some(loading::BEST_PART));
    if given && arguments.persona.is_none() {
        remark(loading::OTHER_PART);
    }
    if let Some(wanted) = wanted {
        let wanted = named_persona(&library, wanted, "--persona")?;
        cast.default = loading::playable(config, wanted);
    }
    let persona = Arc::clone(&cast.default);
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not be started")?;
    let _in_runtime = runtime.enter();
    let (generator, engine) = loading::generator(config, dry_run, remark)?;
    let assistant = Assistant::new(generator, cast, settings, None);
    refuse_misfit(&assistant)?;
    let mut terminal = Terminal {
        assistant,
        engine,
        member: sanitize::name(&arguments.member),
        messages: 0,
        shown: Shown::default(),
    };

    let all_answered = match &arguments.once {
        Some(text) => runtime.block_on(terminal.say(text))?,
        None if std::io::stdin().is_terminal() => {
            converse(&runtime, &mut terminal, &persona, understudy)?;
            true
        }
        None => answer_lines(&runtime, &mut terminal)?,
    };
    Ok(if all_answered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A conversation with somebody at the terminal.
fn converse(
    runtime: &tokio::runtime::Runtime,
    terminal: &mut Terminal,
    persona: &Persona,
    understudy: bool,
) -> anyhow::Result<()> {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "You are talking to {}. Ctrl-D ends.", persona.card.name)?;
    writeln!(stderr, "{}", if understudy { loading::TO_TRY } else { "" })?;
    if !persona.card.greeting.trim().is_empty() {
        runtime.block_on(terminal.say(""))?;
    }
    let mut lines = std::io::stdin().lock().lines();
    loop {
        write!(stderr, "\n{}: ", terminal.member)?;
        stderr.flush()?;
        let Some(line) = lines.next() else {
            writeln!(stderr)?;
            return Ok(());
        };
        let line = line.context("standard input is not readable text")?;
        if !line.trim().is_empty() {
            runtime.block_on(terminal.say(&line))?;
        }
    }
}

/// One answer for each line of the input.
fn answer_lines(runtime: &tokio::runtime::Runtime, terminal: &mut Terminal) -> anyhow::Result<bool> {
    let mut all_answered = true;
    for line in std::io::stdin().lock().lines() {
        let line = line.context("standard input is not readable text")?;
        if !line.trim().is_empty() {
            all_answered &= runtime.block_on(terminal.say(&line))?;
        }
    }
    Ok(all_answered)
}

struct Terminal {
    assistant: Arc<Assistant>,
    engine: Option<Engine>,
    member: String,
    messages: u64,
    shown: Shown,
}

impl Terminal {
    /// Says something and prints the answer as it comes. Returns whether there was a whole one.
    async fn say(&mut self, text: &str) -> anyhow::Result<bool> {
        self.messages += 1;
        let message = MessageId(self.messages);
        let incoming = Incoming {
            message,
            channel: HERE,
            parent: None,
            server: None,
            author: Author { id: MEMBER, name: self.member.clone(), automated: false, roles: Vec::new() },
            text: text.to_owned(),
            mentions_bot: false,
            names_bot: false,
            reply_to: None,
            posted: 0,
            edited: false,
        };
        self.shown = Shown::default();
        if let Some(accepted) = self.assistant.accept(incoming) {
            accepted.answer(self).await;
        }
        let rest = self.shown.rest();
        if !self.shown.content.is_empty() {
            let mut stdout = std::io::stdout();
            writeln!(stdout, "{rest}").and_then(|()| stdout.flush()).context("standard output is gone")?;
        }
        if let Some(error) = self.shown.error.take() {
            return Err(error).context("standard output is gone");
        }
        if let Some(engine) = self.engine.as_ref().filter(|engine| engine.is_broken()) {
            engine.shutdown();
            return Err(Broken.into());
        }
        let conversation = self.assistant.conversation(HERE);
        Ok(conversation.is_some_and(|conversation| {
            let answers = |turn: &&crate::chat::history::Turn| turn.trigger == Some(message);
            let last = conversation.turns().iter().rfind(answers);
            last.is_some_and(|turn| {
                turn.state == TurnState::Complete
                    && turn.speaker != crate::chat::history::Speaker::Member(MEMBER)
            })
        }))
    }
}

impl Outlet for Terminal {
    async fn appear(&mut self, _: &Arc<Persona>, _: &str, _: Style) -> Look {
        Look::Itself
    }

    async fn act(&mut self, action: ReplyAction, _: Option<Row>) -> Delivery {
        let (is_new, content) = match action {
            ReplyAction::Typing | ReplyAction::Delete { .. } | ReplyAction::Dress { .. } => {
                return Delivery::Done;
            }
            ReplyAction::Send { content, .. } => (true, content),
            ReplyAction::Edit { content, .. } => (false, content),
            ReplyAction::Tell { content, .. } | ReplyAction::Aside { content, .. } => return note(&content),
        };
        let more = self.shown.grow(is_new, &content);
        let mut stdout = std::io::stdout();
        if let Err(error) = stdout.write_all(more.as_bytes()).and_then(|()| stdout.flush()) {
            self.shown.error = Some(error);
            return Delivery::Gone;
        }
        if !is_new {
            return Delivery::Done;
        }
        // Numbers from above, so that they never meet those of the member's messages.
        self.shown.parts += 1;
        let message = MessageId(u64::MAX - self.messages * 1_000 - self.shown.parts);
        Delivery::Sent { message, webhook: None }
    }
}

/// A notice is no result: it goes to standard error.
fn note(notice: &str) -> Delivery {
    let plain = notice.trim_start_matches(notice::MARK);
    match writeln!(std::io::stderr(), "{plain}") {
        Ok(()) => Delivery::Done,
        Err(_) => Delivery::Gone,
    }
}

/// What stands on the terminal of the reply that is being printed. Messages are edited, paper is not: a fence that
/// may only be there because the block is still open is printed when it is sure.
#[derive(Default)]
struct Shown {
    /// The content of the growing message that is printed.
    printed: String,
    /// The content of the growing message.
    content: String,
    parts: u64,
    error: Option<std::io::Error>,
}

impl Shown {
    /// Takes new content and returns what must be printed for it.
    fn grow(&mut self, is_new: bool, content: &str) -> String {
        let mut print = String::new();
        if is_new {
            if self.parts > 0 {
                print = format!("{}\n", self.rest());
            }
            self.printed.clear();
        }
        content.clone_into(&mut self.content);
        let sure = self.content.strip_suffix(&format!("\n{FENCE}")).unwrap_or(&self.content);
        if let Some(more) = sure.strip_prefix(self.printed.as_str()) {
            print.push_str(more);
            self.printed = sure.to_owned();
        }
        print
    }

    /// What is still unprinted of the content.
    fn rest(&mut self) -> String {
        let rest = self.content.strip_prefix(self.printed.as_str()).unwrap_or_default().to_owned();
        self.printed.push_str(&rest);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_printed_once() {
        let mut shown = Shown::default();
        let mut paper = String::new();
        for (is_new, content) in [
            (true, "Look:"),
            (false, "Look:\n```rust\nlet\n```"),
            (false, "Look:\n```rust\nlet x\n```"),
            (false, "Look:\n```rust\nlet x\n```\nSee [here](https://x.y)"),
        ] {
            paper.push_str(&shown.grow(is_new, content));
            shown.parts = 1;
        }
        paper.push_str(&shown.rest());
        assert_eq!(paper, "Look:\n```rust\nlet x\n```\nSee [here](https://x.y)");
    }

    #[test]
    fn a_second_message_begins_a_line() {
        let mut shown = Shown::default();
        let mut paper = shown.grow(true, "```\na\n```");
        shown.parts = 1;
        paper.push_str(&shown.grow(true, "b"));
        paper.push_str(&shown.rest());
        assert_eq!(paper, "```\na\n```\nb");
    }
}
