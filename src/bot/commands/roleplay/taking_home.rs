//! `/roleplay export` and `/roleplay import`: a scene is taken home, and brought along.

use std::sync::Arc;

use poise::CreateReply;
use serenity::all::{Attachment, CreateAttachment};

use super::super::super::user::User;
use super::super::personas::fetched;
use super::super::{Context, Problem, announce, defer, reply, whisper};
use super::scene::{chosen, scenes};
use super::{place, written};
use crate::assistant::Unstaged;
use crate::chat::Place;
use crate::chat::scene::TITLE_MAX;
use crate::chat::tavern::{Chat, Line};
use crate::chat::text::{Editing, Staging, Text};
use crate::persona::archive::Scene as Archive;
use crate::persona::lorebook::USUAL_DEPTH;
use crate::persona::{Note, Persona};

/// Largest file of a scene that is taken in, in bytes.
const LARGEST: usize = 24 << 20;

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
    let scene = conversation.scene();
    let title = scene.map_or_else(String::new, |scene| scene.title.clone());
    let scenario = scene.and_then(|scene| scene.scenario.as_ref()).map_or("", |it| it.text.as_str());
    let note = scene.and_then(|scene| scene.note.as_ref());
    let note = note.map(|note| Note { text: note.text.clone(), depth: USUAL_DEPTH });
    let chat = Chat::of(&conversation, scenario, note);
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

/// Open a scene here with what was said elsewhere.
#[poise::command(slash_command)]
pub(super) async fn import(
    context: Context<'_>,
    #[description = "A chat of SillyTavern, or an archive that I have made"] file: Attachment,
    #[description = "Who plays the character; without it whoever has its name"]
    #[autocomplete = "super::super::persona::names"]
    #[max_length = 100]
    persona: Option<String>,
    #[description = "Under which title it is found again"]
    #[max_length = 80]
    title: Option<String>,
) -> Result<(), Problem> {
    let here = place(context).await?;
    let (handler, user) = (context.data(), User::of_command(context.interaction));
    let assistant = &handler.assistant;
    if assistant.scene_of(here).await.is_ok() {
        return Err(Unstaged::Occupied.into());
    }
    let wanted = match persona {
        Some(wanted) => Some(super::actor(context, &wanted).await?),
        None => None,
    };
    defer(context).await?;
    let fetched = fetched(context, &file, LARGEST).await?;
    let read = move || {
        let archive = Archive::unpack(&fetched.bytes).map_err(|error| Editing::NoChat(error.to_string()))?;
        let (chat, remarks) =
            Chat::parse(&archive.chat).map_err(|error| Editing::NoChat(error.to_string()))?;
        Ok((chat, remarks, archive.cards.len()))
    };
    let (mut chat, mut remarks, cards) = handler.beside(read).await?;
    for line in &mut chat.lines {
        assistant.drop_blocked(here, &mut line.name);
        for way in &mut line.ways {
            assistant.drop_blocked(here, way);
        }
    }
    let mut cast: Vec<(&Line, Arc<Persona>)> = Vec::new();
    let mut guests: Vec<String> = Vec::new();
    let characters = chat.characters();
    for &line in &characters {
        let by_name = cast.is_empty().then(|| wanted.clone()).flatten();
        match by_name.or_else(|| known(context, here, line)) {
            Some(persona) => cast.push((line, persona)),
            None => guests.push(line.name.clone()),
        }
    }
    if cast.is_empty() {
        return Err(Problem::Told(Staging::NobodyKnown(guests).into()));
    }
    if cards > 0 && !guests.is_empty() {
        remarks.push(
            "its character cards are not taken in: `/personas import` makes personas of them".to_owned(),
        );
    }
    let title = title.unwrap_or_else(|| chat.character.clone());
    let title: String = written(context, &title).chars().take(TITLE_MAX).collect();
    assistant.take_in_scene(here, &user.author(), &chat, &cast, &title).await?;
    let lines = assistant.remembered(here, None).await?.turns().len();
    whisper(context, &Staging::TakenIn { lines, guests, remarks }.into()).await?;
    let cast = cast.iter().map(|(_, persona)| persona.char_name().to_owned()).collect();
    announce(context, &Staging::BroughtAlong { who: user.name(), title, cast }.into()).await
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

/// Whoever plays a character of a chat: that of its id, or of its name.
fn known(context: Context<'_>, here: Place, line: &Line) -> Option<Arc<Persona>> {
    let (assistant, user) = (&context.data().assistant, User::of_command(context.interaction));
    let ids = line.persona.iter().map(|id| id.0.as_str());
    ids.chain([line.name.as_str()]).find_map(|wanted| {
        let found = assistant.persona_named(wanted, here, user.id()).ok()?;
        let plays = assistant.may_play_in(&found, here) && !(here.server.is_some() && found.is_private());
        plays.then(|| Arc::clone(found.persona()))
    })
}
