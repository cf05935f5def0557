//! `/ask`: a question by itself, outside of the channel's conversation.

use std::sync::Arc;

use super::super::user::User;
use super::persona::{names, playable};
use super::{Context, Problem, speak};
use crate::chat::markdown::escaped;
use crate::chat::text::Text;

/// Ask me something by itself, outside of what is said here.
#[poise::command(slash_command)]
pub(super) async fn ask(
    context: Context<'_>,
    #[description = "What you want to know"]
    #[max_length = 1_800]
    question: String,
    #[description = "The persona that you ask; without it the one that answers here"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: Option<String>,
) -> Result<(), Problem> {
    let handler = context.data();
    let assistant = &handler.assistant;
    let persona = match persona {
        Some(wanted) => Arc::clone(playable(context, &wanted).await?.persona()),
        None => {
            assistant.who_answers(User::of_command(context.interaction).place(context.serenity_context()))
        }
    };
    if assistant.fits(&persona).is_err() {
        return Err(Problem::Told(Text::TooLarge));
    }
    let whom = escaped(persona.char_name());
    let asked = |who, text| Text::Asked { who, whom, text };
    let (incoming, server) = speak(context, &question, asked).await?;
    if let Some(accepted) = assistant.accept_alone(incoming, Arc::clone(&persona)) {
        handler.answer(context.serenity_context(), accepted, server).await;
    }
    Ok(())
}
