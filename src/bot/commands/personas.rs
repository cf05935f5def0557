//! `/personas`: making and changing the personas of a server.

use poise::CreateReply;
use serenity::all::{
    Attachment, AutocompleteChoice, ButtonStyle, CreateActionRow, CreateAttachment,
    CreateAutocompleteResponse, CreateButton,
};

use super::super::attachments::Fetched;
use super::super::components::{Press, What};
use super::super::editing::{LARGEST_IMPORT, form};
use super::super::errands::{Errand, Task};
use super::super::user::User;
use super::persona::CHOICES;
use super::{Context, Problem, actor, defer, open_form, reply, whisper};
use crate::admin::{Actor, changes};
use crate::assistant::Own;
use crate::chat::settings::Mark;
use crate::chat::text::{Editing, Label, Text, choice};
use crate::persona::import::{self, Spec};
use crate::persona::portrait::{LARGEST_PICTURE, portrait};

/// Make and change the personas of this server.
#[poise::command(
    slash_command,
    subcommands(
        "create", "edit", "import", "export", "versions", "rollback", "avatar", "adult", "share", "delete"
    ),
    subcommand_required
)]
#[expect(clippy::unused_async, reason = "it has only others under it")]
pub(super) async fn personas(_: Context<'_>) -> Result<(), Problem> {
    Ok(())
}

/// Make a persona, in a form.
#[poise::command(slash_command)]
async fn create(
    context: Context<'_>,
    #[description = "Whether it is for adults; without it, it is not"] adult: Option<bool>,
) -> Result<(), Problem> {
    let actor = actor(context)?;
    context.data().may_create(&actor).await?;
    let task = Task::Make { adult: adult.unwrap_or_default() };
    open(context, Errand { asker: actor.member, task }, None).await
}

/// Change the texts of a persona, in a form.
#[poise::command(slash_command)]
async fn edit(
    context: Context<'_>,
    #[description = "The persona"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: String,
) -> Result<(), Problem> {
    let actor = actor(context)?;
    let own = context.data().own_persona(&actor, &persona, Actor::may_edit).await?;
    context.data().may_create(&actor).await?;
    let task = Task::Change(own.persona.id.clone(), own.standing.version);
    open(context, Errand { asker: actor.member, task }, Some(&own.persona.card)).await
}

/// Make a persona of a file. I tell what I see in it first.
#[poise::command(slash_command)]
async fn import(
    context: Context<'_>,
    #[description = "A character card (JSON, PNG, CHARX) or a persona file (TOML)"] file: Attachment,
    #[description = "The persona that gets this text; without it, it is a new one"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: Option<String>,
) -> Result<(), Problem> {
    let actor = actor(context)?;
    defer(context).await?;
    let handler = context.data();
    handler.may_create(&actor).await?;
    let own = match persona {
        Some(wanted) => Some(handler.own_persona(&actor, &wanted, Actor::may_edit).await?),
        None => None,
    };
    let fetched = fetched(context, &file, LARGEST_IMPORT).await?;
    let (draft, fetched) = handler.look_at_file(fetched).await?;
    let is_sound = draft.is_sound();
    let repictured = own.is_some() && draft.persona.avatar.is_some();
    let name = draft.persona.card.name;
    let (id, over) = match own {
        Some(own) => (own.persona.id.clone(), Some(own.standing.version)),
        None => (handler.assistant.free_id(actor.server, &name), None),
    };
    let report = Text::from(Editing::Report {
        name,
        id: id.clone(),
        is_new: over.is_none(),
        repictured,
        tokens: draft.report.always,
        remarks: draft.remarks,
        findings: draft.report.findings,
    });
    if !is_sound {
        return whisper(context, &report).await;
    }
    let task = match over {
        Some(version) => Task::TakeOver(id, version),
        None => Task::TakeIn(id),
    };
    let errand = Errand { asker: actor.member, task };
    // The file itself is kept by Discord, above the button.
    let question = question(&report, &errand, Label::Save, ButtonStyle::Success);
    reply(context, question.attachment(CreateAttachment::bytes(fetched.bytes, file.filename))).await
}

/// In which form a persona is given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, poise::ChoiceParameter)]
enum Form {
    #[name = "JSON card"]
    Json,
    #[name = "PNG card, with its picture"]
    Png,
    #[name = "TOML file of Mummer"]
    Toml,
}

/// Get a persona as a file.
#[poise::command(slash_command)]
async fn export(
    context: Context<'_>,
    #[description = "The persona"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: String,
    #[description = "In which form; without it a JSON card"] form: Option<Form>,
) -> Result<(), Problem> {
    let actor = actor(context)?;
    defer(context).await?;
    let persona = context.data().own_persona(&actor, &persona, Actor::has).await?.persona;
    let form = form.unwrap_or(Form::Json);
    let ending = match form {
        Form::Json => "json",
        Form::Png => "png",
        Form::Toml => "toml",
    };
    let (name, file) = (persona.card.name.clone(), format!("{}.{ending}", persona.id));
    let most = usize::try_from(context.interaction.attachment_size_limit).unwrap_or(usize::MAX);
    let written = move || {
        let card = &persona.card;
        let bytes = match form {
            Form::Json => Ok(import::to_json(card, Spec::V3).into_bytes()),
            Form::Png => import::to_png(card, persona.avatar.as_deref()),
            Form::Toml => import::to_toml(card).map(String::into_bytes),
        };
        bytes.ok().filter(|bytes| bytes.len() <= most).ok_or(Editing::NotExported)
    };
    let file = CreateAttachment::bytes(context.data().beside(written).await?, file);
    let answer = CreateReply::default().content(Text::from(Editing::Exported(name)).to_string());
    reply(context, answer.ephemeral(true).attachment(file)).await
}

/// Tell which versions of a persona there are, and what one of them has changed.
#[poise::command(slash_command)]
async fn versions(
    context: Context<'_>,
    #[description = "The persona"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: String,
    #[description = "The number of the version that is compared with the one before; without it the newest"]
    #[min = 1]
    version: Option<u64>,
) -> Result<(), Problem> {
    let actor = actor(context)?;
    defer(context).await?;
    let handler = context.data();
    let own = handler.own_persona(&actor, &persona, Actor::has).await?;
    let (all, plays) = handler.admin.persona_versions(&actor, &own.persona.id).await?;
    let at = match version {
        Some(wanted) => all.iter().position(|version| version.version == wanted),
        None => Some(0),
    };
    let at = at.ok_or(Problem::Told(Editing::NoVersion.into()))?;
    let changed = match all.get(at).zip(all.get(at + 1)) {
        Some((after, before)) => {
            let (number, after, before) =
                (after.version, after.definition.clone(), before.definition.clone());
            Some((number, handler.beside(move || Ok(changes(&before, &after))).await?))
        }
        None => None,
    };
    let name = own.persona.card.name.clone();
    whisper(context, &Editing::Versions { name, all, plays, changed }.into()).await
}

/// Let another version of a persona play.
#[poise::command(slash_command)]
async fn rollback(
    context: Context<'_>,
    #[description = "The persona"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: String,
    #[description = "The number of the version"]
    #[min = 1]
    version: u64,
) -> Result<(), Problem> {
    let actor = actor(context)?;
    defer(context).await?;
    let handler = context.data();
    let own = handler.own_persona(&actor, &persona, Actor::may_edit).await?;
    handler.admin.play_version(&actor, &own.persona.id, version).await?;
    handler.assistant.rules_changed(actor.server).await;
    let name = own.persona.card.name.clone();
    let is_restricted = handler.is_restricted(actor.server, &own.persona.id);
    whisper(context, &Editing::RolledBack { name, version, is_restricted }.into()).await
}

/// Give a persona a picture, or take it away.
#[poise::command(slash_command)]
async fn avatar(
    context: Context<'_>,
    #[description = "The persona"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: String,
    #[description = "A PNG, JPEG or WebP file; without it the picture goes"] picture: Option<Attachment>,
) -> Result<(), Problem> {
    let actor = actor(context)?;
    defer(context).await?;
    let own = context.data().own_persona(&actor, &persona, Actor::may_edit).await?;
    let kept = match &picture {
        Some(picture) => {
            let fetched = fetched(context, picture, LARGEST_PICTURE).await?;
            let kept =
                move || portrait(&fetched.bytes).map_err(|error| Editing::NoPicture(error.to_string()));
            Some(context.data().beside(kept).await?)
        }
        None => None,
    };
    mark(context, &actor, &own, Mark::Avatar(kept)).await?;
    let (name, has_one) = (own.persona.card.name.clone(), picture.is_some());
    whisper(context, &Editing::Pictured { name, has_one }.into()).await
}

/// Say whether a persona is for adults.
#[poise::command(slash_command)]
async fn adult(
    context: Context<'_>,
    #[description = "The persona"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: String,
    #[description = "Whether it is"] adult: bool,
) -> Result<(), Problem> {
    let actor = actor(context)?;
    defer(context).await?;
    let own = context.data().own_persona(&actor, &persona, Actor::may_edit).await?;
    let is_new = mark(context, &actor, &own, Mark::Adult(adult)).await?;
    let (name, id) = (own.persona.card.name.clone(), own.persona.id.clone());
    whisper(context, &Editing::Rated { name, id, adult, is_new }.into()).await
}

/// Give a member's persona to everybody, or back to them alone; for admins.
#[poise::command(slash_command)]
async fn share(
    context: Context<'_>,
    #[description = "The persona"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: String,
    #[description = "Whether everybody may play it; without it, they may"] shared: Option<bool>,
) -> Result<(), Problem> {
    let actor = actor(context)?;
    defer(context).await?;
    // Whoever is no admin need not be told of it first.
    context.data().admin.rules(&actor).await?;
    let shared = shared.unwrap_or(true);
    let own = context.data().own_persona(&actor, &persona, Actor::may_edit).await?;
    let is_new = mark(context, &actor, &own, Mark::Shared(shared)).await?;
    let (name, id) = (own.persona.card.name.clone(), own.persona.id.clone());
    whisper(context, &Editing::Shared { name, id, shared, is_new }.into()).await
}

/// Delete a persona, after you have confirmed it.
#[poise::command(slash_command)]
async fn delete(
    context: Context<'_>,
    #[description = "The persona"]
    #[autocomplete = "names"]
    #[max_length = 100]
    persona: String,
) -> Result<(), Problem> {
    let actor = actor(context)?;
    let own = context.data().own_persona(&actor, &persona, Actor::has).await?;
    let task = Task::Delete(own.persona.id.clone(), own.standing.version);
    let errand = Errand { asker: actor.member, task };
    let text = Editing::MayDelete { name: own.persona.card.name.clone(), id: own.persona.id.clone() }.into();
    reply(context, question(&text, &errand, Label::Delete, ButtonStyle::Danger)).await
}

/// Says something of a persona beside its text, which holds when this returns. Whether that has changed something.
async fn mark(context: Context<'_>, actor: &Actor, own: &Own, mark: Mark) -> Result<bool, Problem> {
    let handler = context.data();
    let has_changed = handler.admin.mark_persona(actor, &own.persona.id, &mark).await?;
    if has_changed {
        handler.assistant.rules_changed(actor.server).await;
    }
    Ok(has_changed)
}

/// Opens a form, which has to be the first answer.
async fn open(
    context: Context<'_>,
    errand: Errand,
    card: Option<&crate::persona::Card>,
) -> Result<(), Problem> {
    open_form(context, form(&errand, card)).await
}

/// A question with a button that does it, and one that does not.
fn question(text: &Text, errand: &Errand, label: Label, style: ButtonStyle) -> CreateReply {
    let cancel = Press::Of(What::Cancel, errand.asker);
    let buttons = vec![
        CreateButton::new(errand.to_string()).label(label.words()).style(style),
        CreateButton::new(cancel.to_string()).label(What::Cancel.label().words()).style(What::Cancel.style()),
    ];
    let question = CreateReply::default().content(text.to_string()).ephemeral(true);
    question.components(vec![CreateActionRow::Buttons(buttons)])
}

pub(super) async fn fetched(
    context: Context<'_>,
    file: &Attachment,
    most: usize,
) -> Result<Fetched, Problem> {
    let fetched = context.data().attachments.fetch(file, most).await;
    fetched.map_err(|unfetched| Problem::Told(Editing::from(unfetched).into()))
}

/// The personas of the server that are theirs, and are named somehow like that.
async fn names(context: Context<'_>, partial: &str) -> CreateAutocompleteResponse {
    let Some(actor) = User::of_command(context.interaction).actor() else {
        return CreateAutocompleteResponse::new();
    };
    let wanted = partial.trim().to_lowercase();
    let (theirs, _) = context.data().theirs(&actor).await;
    let is_alike = |own: &Own| {
        own.persona.id.0.contains(&wanted) || own.persona.card.name.to_lowercase().contains(&wanted)
    };
    let choices = theirs.into_iter().filter(is_alike).take(CHOICES).map(|own| {
        let id = &own.persona.id;
        AutocompleteChoice::new(choice(&own.persona.card.name, id, !own.standing.shared), id.0.clone())
    });
    CreateAutocompleteResponse::new().set_choices(choices.collect())
}
