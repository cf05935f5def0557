//! `/help`: which commands there are.

use super::{Command, Context, Problem, whisper};
use crate::chat::text::Text;

/// Tell what I can do.
#[poise::command(slash_command)]
pub(super) async fn help(context: Context<'_>) -> Result<(), Problem> {
    let mut commands = Vec::new();
    list(&context.framework.options.commands, &mut commands);
    whisper(context, &Text::Help(commands)).await
}

/// The commands that can be used: those that have others under them cannot.
fn list(commands: &[Command], listed: &mut Vec<(String, String)>) {
    // What stands in menus is found there.
    for command in commands.iter().filter(|command| command.slash_action.is_some()) {
        if command.subcommands.is_empty() {
            let what = command.description.as_deref().unwrap_or_default().to_owned();
            listed.push((command.qualified_name.to_string(), what));
        } else {
            list(&command.subcommands, listed);
        }
    }
}
