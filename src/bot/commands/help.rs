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

/// The commands that can be used; those that have others under them with all of these.
fn list(commands: &[Command], listed: &mut Vec<(String, String)>) {
    // What stands in menus is found there.
    for command in commands.iter().filter(|command| command.slash_action.is_some()) {
        let what = command.description.as_deref().unwrap_or_default().to_owned();
        let mut name = command.name.to_string();
        if !command.subcommands.is_empty() {
            name = format!("{name} {}", under(command).join(" | "));
        }
        listed.push((name, what));
    }
}

/// The names of what stands under a command.
fn under(command: &Command) -> Vec<String> {
    let named = |command: &Command| {
        let names = under(command);
        if names.is_empty() {
            vec![command.name.to_string()]
        } else {
            names.into_iter().map(|name| format!("{} {name}", command.name)).collect()
        }
    };
    command.subcommands.iter().flat_map(named).collect()
}
