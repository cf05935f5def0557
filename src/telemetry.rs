//! The log: what goes to standard error, and what never does.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer as _, fmt};

/// Writes our own log lines of this level and the more severe ones to standard error, in colour on a terminal.
///
/// Other crates' lines are left out whatever the level: serenity's spans record requests with tokens and bodies, and
/// the addresses in its and reqwest's messages carry webhook and interaction tokens.
///
/// # Errors
/// When a log was set up before.
pub fn init(level: Level) -> Result<(), TryInitError> {
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(lines.with_filter(filter_fn(move |line| is_ours(line, level))))
        .try_init()
}

fn is_ours(line: &Metadata<'_>, level: Level) -> bool {
    let ours = env!("CARGO_CRATE_NAME");
    let target = line.target();
    let room = target.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    room && *line.level() <= level
}
