//! `/roleplay export`: a scene is taken home.

use poise::CreateReply;
use serenity::all::CreateAttachment;

use super::super::super::user::User;
use super::super::{Context, Problem, defer, reply};
use super::scene::{chosen, scenes};
use crate::assistant::Unstaged;
use crate::chat::Place;
use crate::chat::tavern::Chat;
use crate::chat::text::{Editing, Staging, Text};
use crate::persona::Persona;
use crate::persona::archive::Scene as Archive;

/// In which form a scene is given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, poise::ChoiceParameter)]
enum Form {
    #[name = "text, for reading"]
    Text,
    #[name = "SillyTavern chat (JSON Lines)"]
    Chat,
    #[name = "archive: chat, character cards, world files"]
    Archive,
}

/// Get what was said here as a file.
#[poise::command(slash_command)]
pub(super) async fn export(
    context: Context<'_>,
    #[description = "In which form; without it as text"] form: Option<Form>,
    #[description = "Which scene of this channel; without it what is going on here"]
    #[autocomplete = "scenes"]
    #[max_length = 100]
    scene: Option<String>,
) -> Result<(), Problem> {
    let user = User::of_command(context.interaction);
    if !user.reads_here() {
        return Err(Problem::Told(Text::NotReader));
    }
    defer(context).await?;
    let handler = context.data();
    let here = user.place(context.serenity_context());
    handler.settle_first(context.serenity_context(), user.channel(), user.server()).await;
    let which = match scene {
        Some(wanted) => Some(chosen(context, here, Some(&wanted)).await?),
        None => None,
    };
    let conversation = match handler.assistant.remembered(here, which).await {
        Err(Unstaged::NoScene) => return Err(Problem::Told(Staging::NothingHere.into())),
        known => known?,
    };
    let form = form.unwrap_or(Form::Text);
    let personas = match form {
        Form::Archive => handler.assistant.personas_of(here, &conversation),
        Form::Text | Form::Chat => Vec::new(),
    };
    let (all, mut theirs) = (personas.len(), Vec::new());
    for persona in personas {
        if may_have(context, here, &persona).await {
            theirs.push(persona);
        }
    }
    let kept_back = all - theirs.len();
    let title = conversation.scene().map_or_else(String::new, |scene| scene.title.clone());
    let chat = Chat::of(&conversation);
    let most = usize::try_from(context.interaction.attachment_size_limit).unwrap_or(usize::MAX);
    let packed = move || {
        let bytes = match form {
            Form::Text => chat.to_text().into_bytes(),
            Form::Chat => chat.to_jsonl().into_bytes(),
            Form::Archive => {
                let packed = Archive::new(chat.to_jsonl(), &theirs).and_then(|scene| scene.pack());
                packed.map_err(|_| Editing::NotExported)?
            }
        };
        if bytes.len() <= most { Ok(bytes) } else { Err(Editing::NotExported) }
    };
    let ending = match form {
        Form::Text => "txt",
        Form::Chat => "jsonl",
        Form::Archive => "zip",
    };
    let file = CreateAttachment::bytes(handler.beside(packed).await?, format!("scene.{ending}"));
    let answer =
        CreateReply::default().content(Text::from(Staging::TakenHome { title, kept_back }).to_string());
    reply(context, answer.ephemeral(true).attachment(file)).await
}

/// Whether whoever uses the command may have the card of a persona.
async fn may_have(context: Context<'_>, here: Place, persona: &Persona) -> bool {
    let (handler, user) = (context.data(), User::of_command(context.interaction));
    let is_admin = match user.actor() {
        Some(actor) => handler.admin.rules(&actor).await.is_ok(),
        None => false,
    };
    is_admin || handler.assistant.is_by(here, &persona.id, user.id())
}
