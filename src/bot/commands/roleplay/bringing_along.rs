//! `/roleplay import`: a scene is brought along.

use std::sync::Arc;

use serenity::all::Attachment;
use tracing::error;

use super::super::super::user::User;
use super::super::personas::fetched;
use super::super::{Context, Problem, announce, defer, whisper};
use super::{place, written};
use crate::assistant::Unstaged;
use crate::chat::blocklist::Blocklist;
use crate::chat::scene::{CAST_MAX, TEXT_MAX};
use crate::chat::tavern::{Chat, Role, Who};
use crate::chat::text::{
    Editing, NO_CARDS, Staging, Text, card_refused, cut_short, hidden_too, may_not_play, several_have_it,
    too_many_play,
};
use crate::chat::{Place, sanitize};
use crate::persona::Persona;
use crate::persona::archive::Scene as Archive;

/// Largest file of a scene that is taken in, in bytes.
const LARGEST: usize = 24 << 20;

/// What has come in a file.
struct Brought {
    chat: Chat,
    /// What of it is not kept.
    remarks: Vec<String>,
    cards: Vec<Card>,
}

/// A card of an archive.
struct Card {
    /// What its file is called.
    file: String,
    /// What its character is called, and what the card itself is.
    name: String,
    own_name: String,
    bytes: Vec<u8>,
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
    #[description = "Under which title it is found again; without it that of the file"]
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
    let blocklist = assistant.blocklist_in(here);
    let brought = handler.beside(move || Brought::of(&fetched.bytes, &blocklist)).await?;
    let Brought { mut chat, mut remarks, cards } = brought;
    let title = title.map(|title| written(context, &title));
    let titles = [title, Some(chat.title), Some(chat.character.clone())].into_iter().flatten();
    let mut titles = titles.filter(|title| !sanitize::is_blank(title));
    chat.title = titles.next().unwrap_or_default();
    let mut roles: Vec<(Role, Option<Arc<Persona>>)> = Vec::new();
    for role in chat.roles() {
        let first = wanted.clone().filter(|_| roles.is_empty());
        let persona = first.or_else(|| plays(context, here, &role));
        roles.push((role, persona));
    }
    let note = chat.note.as_ref().map(|note| ("its note", &note.text));
    let texts = [("what it is about", &chat.scenario)].into_iter().chain(note);
    let texts = texts.chain(chat.players.iter().map(|player| (player.name.as_str(), &player.description)));
    let long = texts.filter(|(_, text)| text.trim().chars().count() > TEXT_MAX);
    remarks.extend(long.map(|(what, _)| cut_short(what)));
    let made = from_cards(context, here, &mut roles, cards, &mut remarks).await?;
    let guests = roles.iter().filter(|(_, persona)| persona.is_none());
    let guests: Vec<String> = guests.map(|(role, _)| role.name.clone()).collect();
    let cast = roles.into_iter().filter_map(|(role, persona)| Some((role, persona?)));
    let cast: Vec<(Role, Arc<Persona>)> = cast.collect();
    if cast.len() > CAST_MAX {
        remarks.push(too_many_play(cast.len() - CAST_MAX));
    }
    let staged = match cast.is_empty() {
        true if !made.is_empty() || guests.iter().any(|name| is_here(context, here, name).is_some()) => {
            Err(Problem::Told(Staging::NobodyYet.into()))
        }
        true => Err(Problem::Told(Staging::NobodyKnown(guests.clone()).into())),
        false => {
            let opened = assistant.take_in_scene(here, user.home(), &user.author(), &chat, &cast).await;
            opened.map_err(Problem::from)
        }
    };
    match staged {
        // What was made stays, and they are told of it.
        Err(problem) if !made.is_empty() || !remarks.is_empty() => {
            let why = Box::new(match problem {
                Problem::Told(why) => why,
                problem => {
                    error!("a scene could not be brought along: {problem}");
                    Text::Broken
                }
            });
            return Err(Problem::Told(Staging::NotOpened { made, remarks, why }.into()));
        }
        staged => staged?,
    }
    let hidden = chat.lines.iter().filter(|line| line.who == Who::Hidden).count();
    if hidden > 0 {
        remarks.push(hidden_too(hidden));
    }
    let lines = chat.lines.iter().filter(|line| line.who != Who::Hidden).count();
    whisper(context, &Staging::TakenIn { lines, guests, made, remarks }.into()).await?;
    let cast = cast.iter().map(|(_, persona)| persona.char_name().to_owned()).collect();
    // Somebody may have ended it meanwhile.
    let Ok(scene) = assistant.scene_of(here).await else { return Ok(()) };
    let waiting = scene.waiting.into_iter().map(|waiting| waiting.name).collect();
    let (who, title) = (user.name(), scene.title);
    announce(context, &Staging::BroughtAlong { who, title, cast, waiting }.into()).await
}

impl Brought {
    /// What is in a file, without what is blocked where it is brought to.
    fn of(bytes: &[u8], blocklist: &Blocklist) -> Result<Self, Editing> {
        let archive = Archive::unpack(bytes).map_err(|error| Editing::NoChat(error.to_string()))?;
        let (mut chat, remarks) =
            Chat::parse(&archive.chat).map_err(|error| Editing::NoChat(error.to_string()))?;
        chat.each_text(|text| {
            let _ = blocklist.replace(text, 0, true);
        });
        let cards = archive.cards.into_iter().map(|(file, bytes)| Card::of(file, bytes)).collect();
        Ok(Self { chat, remarks, cards })
    }
}

impl Card {
    fn of(file: String, bytes: Vec<u8>) -> Self {
        // One that cannot be read is refused when it is looked at.
        let read = Persona::from_file("", &bytes).ok();
        let names = read.map(|(persona, _)| (sanitize::name(persona.char_name()), persona.card.name));
        let (name, own_name) = names.unwrap_or_default();
        Self { file, name, own_name, bytes }
    }

    /// How well it fits a role: by its name, by its file, by both, or not at all.
    fn fits(&self, role: &Role) -> u8 {
        let is_named = self.name == sanitize::name(&role.name);
        let is_filed = role.persona.as_ref().is_some_and(|id| id.0 == self.file);
        2 * u8::from(is_named) + u8::from(is_filed)
    }
}

/// Makes personas of the cards of those whom nobody plays, as `/personas import` does, where whoever uses the command may; those
/// that may play here do.
async fn from_cards(
    context: Context<'_>,
    here: Place,
    roles: &mut [(Role, Option<Arc<Persona>>)],
    mut cards: Vec<Card>,
    remarks: &mut Vec<String>,
) -> Result<Vec<Editing>, Problem> {
    let (handler, user) = (context.data(), User::of_command(context.interaction));
    let mut room = CAST_MAX.saturating_sub(roles.iter().filter(|(_, persona)| persona.is_some()).count());
    let mut made = Vec::new();
    if cards.is_empty() || roles.iter().all(|(_, persona)| persona.is_some()) {
        return Ok(made);
    }
    let actor = match user.actor() {
        Some(actor) if handler.may_create(&actor).await.is_ok() => actor,
        _ => {
            remarks.push(NO_CARDS.to_owned());
            return Ok(made);
        }
    };
    for (role, persona) in roles.iter_mut().filter(|(_, persona)| persona.is_none()) {
        if let Some(why) = is_here(context, here, &role.name) {
            remarks.push(why);
            continue;
        }
        let best = (0..cards.len()).max_by_key(|&place| cards[place].fits(role));
        let Some(best) = best.filter(|&place| room > 0 && cards[place].fits(role) > 0) else { continue };
        let Card { bytes, own_name, .. } = cards.swap_remove(best);
        // Whoever was made of it before has the card's own name, and not that by which it is called.
        *persona = plays(context, here, &Role { name: own_name.clone(), persona: None });
        if persona.is_some() {
            continue;
        }
        if let Some(why) = is_here(context, here, &own_name) {
            remarks.push(why);
            continue;
        }
        match handler.take_card(&actor, bytes).await {
            Ok((id, saved)) => {
                made.push(saved);
                *persona = plays(context, here, &Role { persona: Some(id), ..role.clone() });
                room -= 1;
            }
            Err(Problem::Told(why)) => remarks.push(card_refused(&role.name, &why)),
            Err(problem) => {
                error!("a card of a scene could not be taken in: {problem}");
                remarks.push(card_refused(&role.name, &Text::Broken));
                break;
            }
        }
    }
    Ok(made)
}

/// Whoever plays a character here: that of its id, or of its name.
fn plays(context: Context<'_>, here: Place, role: &Role) -> Option<Arc<Persona>> {
    let (assistant, user) = (&context.data().assistant, User::of_command(context.interaction));
    let ids = role.persona.iter().map(|id| id.0.as_str());
    ids.chain([role.name.as_str()]).find_map(|wanted| {
        let found = assistant.persona_named(wanted, here, user.id()).ok()?;
        let plays = assistant.may_play_in(&found, here) && !(here.server.is_some() && found.is_private());
        plays.then(|| Arc::clone(found.persona()))
    })
}

/// Why nobody of that name plays here, though there is somebody who has it.
fn is_here(context: Context<'_>, here: Place, name: &str) -> Option<String> {
    let user = User::of_command(context.interaction);
    match context.data().assistant.persona_named(name, here, user.id()) {
        Ok(_) => Some(may_not_play(name)),
        Err(several) if !several.is_empty() => Some(several_have_it(name)),
        Err(_) => None,
    }
}
