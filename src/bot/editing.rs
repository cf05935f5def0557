//! How texts become personas of a server: they come by a form or in a file, the linter looks at them, and they are saved.

use std::sync::Arc;

use serenity::all::{
    ActionRowComponent, ComponentInteraction, Context, CreateActionRow, CreateAttachment, CreateInputText,
    CreateInteractionResponse, CreateInteractionResponseMessage, CreateModal, EditInteractionResponse,
    InputTextStyle, ModalInteraction,
};
use tracing::{error, warn};

use super::attachments::Fetched;
use super::commands::Problem;
use super::components;
use super::errands::{Errand, Task};
use super::events::Handler;
use super::lines::Rewritten;
use super::rest;
use super::sender::no_mentions;
use super::user::User;
use crate::admin::Actor;
use crate::assistant::{Assistant, Own};
use crate::chat::ServerId;
use crate::chat::settings::{PersonaDraft, Rules, ServerPersona};
use crate::chat::text::{Editing, Text, field_label, form_title, no_room, with_draft};
use crate::persona::form::{FIELD_MAX, Field};
use crate::persona::import;
use crate::persona::lint::{Report, Severity};
use crate::persona::portrait::portrait;
use crate::persona::{Card, Persona, PersonaId};

/// Largest file that a persona may be made of, in bytes. It has to fit into a message of the bot's too.
pub(super) const LARGEST_IMPORT: usize = 8 << 20;

/// Characters of a name in a form.
const NAME_IN_FORM: usize = 80;

/// A text that may become a persona.
pub(super) struct Draft {
    /// As it would be played.
    pub(super) persona: Persona,
    /// As it would be written down.
    definition: String,
    /// What of its file is not taken in as it is.
    pub(super) remarks: Vec<String>,
    /// What the linter says of it.
    pub(super) report: Report,
}

impl Draft {
    /// Looks at what a card would be.
    fn of(
        assistant: &Assistant,
        card: &Card,
        avatar: Option<Vec<u8>>,
        remarks: Vec<String>,
    ) -> Result<Self, Editing> {
        let unsound = |error: import::ImportError| Editing::Unsound(error.to_string());
        let definition = import::to_toml(card).map_err(unsound)?;
        // What is played is what can be read again.
        let mut persona = Persona::from_toml("", &definition).map_err(unsound)?;
        persona.avatar = avatar.map(Arc::from);
        let mut report = assistant.lint(&persona);
        if let (Err(misfit), None | Some(Severity::Warning)) = (assistant.fits(&persona), report.worst()) {
            report.findings.push(no_room(misfit.have, misfit.room));
        }
        Ok(Self { persona, definition, remarks, report })
    }

    /// Reads a file of whatever form.
    fn of_file(assistant: &Assistant, bytes: &[u8]) -> Result<Self, Editing> {
        let read = Persona::from_file("", bytes);
        let (persona, mut remarks) = read.map_err(|error| match error {
            import::ImportError::OnlyLore => Editing::OnlyLore,
            error => Editing::NoCard(error.to_string()),
        })?;
        let avatar = persona.avatar.as_deref().map(portrait).and_then(|kept| {
            kept.map_err(|error| remarks.push(format!("its picture is not kept: {error}"))).ok()
        });
        Self::of(assistant, &persona.card, avatar, remarks)
    }

    /// Whether it may be saved.
    pub(super) fn is_sound(&self) -> bool {
        self.report.worst() != Some(Severity::Error)
    }
}

/// What is said of a draft beside its text when it is saved.
struct Saving {
    /// Under which it is to be found; of a new one, what its name makes, unless it is said.
    id: Option<PersonaId>,
    /// The number of the version that it was made from; `None` for a persona that is new.
    over: Option<u64>,
    /// Whether it is for adults, when that is known of a new one.
    adult: Option<bool>,
    /// Whether it comes from a file.
    from_file: bool,
    /// What was too long for its form.
    too_long: Vec<Field>,
}

impl Saving {
    /// Of a file nobody has said yet whether it is for adults.
    fn of_file(id: Option<PersonaId>, over: Option<u64>) -> Self {
        Self { id, over, adult: None, from_file: true, too_long: Vec::new() }
    }
}

/// What a form is for.
enum Form {
    Persona(Task),
    Line(Rewritten),
}

/// An answer that may have a file with it.
struct Answer {
    text: String,
    file: Option<CreateAttachment>,
}

impl Handler {
    /// Looks at what a card would be, beside everything else.
    async fn look_at(&self, card: Card) -> Result<Draft, Problem> {
        let assistant = Arc::clone(&self.assistant);
        self.beside(move || Draft::of(&assistant, &card, None, Vec::new())).await
    }

    /// Reads a file of whatever form, beside everything else.
    pub(super) async fn look_at_file(&self, file: Fetched) -> Result<(Draft, Fetched), Problem> {
        let assistant = Arc::clone(&self.assistant);
        self.beside(move || Ok((Draft::of_file(&assistant, &file.bytes)?, file))).await
    }

    /// Does what takes long beside everything else, a few at a time, and tells whoever waits for it why it fails.
    pub(super) async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Editing> + Send + 'static,
    ) -> Result<T, Problem> {
        let _one_of_few = self.editors.acquire().await.map_err(Problem::broken)?;
        let done = tokio::task::spawn_blocking(work).await.map_err(Problem::broken)?;
        done.map_err(|editing| Problem::Told(editing.into()))
    }

    /// The personas of a server that are somebody's, and what is set there.
    pub(super) async fn theirs(&self, actor: &Actor) -> (Vec<Own>, Arc<Rules>) {
        self.assistant.learn(actor.server).await;
        let rules = self.assistant.rules_at_hand(actor.server);
        let mut theirs = self.assistant.troupe(actor.server);
        theirs.retain(|own| actor.has(&rules, &own.standing));
        (theirs, rules)
    }

    /// A persona of the server with this id or name with which somebody may do what they want to. It is asked of what is at
    /// hand, for it may have to be quick; whoever changes something is asked once more.
    pub(super) async fn own_persona(
        &self,
        actor: &Actor,
        wanted: &str,
        may: impl Fn(&Actor, &Rules, &ServerPersona) -> bool,
    ) -> Result<Own, Problem> {
        if !self.admin.is_kept() {
            return Err(Problem::Told(Text::NotKept));
        }
        let (theirs, rules) = self.theirs(actor).await;
        let wanted = wanted.trim().to_lowercase();
        let by_id = theirs.iter().find(|own| own.persona.id.0.to_lowercase() == wanted);
        let is_named = |own: &&Own| own.persona.card.name.trim().to_lowercase() == wanted;
        let named: Vec<&Own> = match by_id {
            Some(own) => vec![own],
            None => theirs.iter().filter(is_named).collect(),
        };
        let own = match named.as_slice() {
            [] => return Err(Problem::Told(Editing::NoneOfYours.into())),
            [own] => *own,
            _ => {
                let ids = named.iter().map(|own| own.persona.id.clone()).collect();
                return Err(Problem::Told(Editing::Namesakes(ids).into()));
            }
        };
        if may(actor, &rules, &own.standing) {
            Ok(own.clone())
        } else {
            Err(Problem::Told(Editing::NotCreator.into()))
        }
    }

    /// Whether somebody may make personas, and may be read at all.
    pub(super) async fn may_create(&self, actor: &Actor) -> Result<(), Problem> {
        if !self.admin.is_kept() {
            return Err(Problem::Told(Text::NotKept));
        }
        if self.assistant.is_opted_out(actor.member) {
            return Err(Problem::Told(Text::NotRead));
        }
        self.assistant.learn(actor.server).await;
        if actor.may_create(&self.assistant.rules_at_hand(actor.server)) {
            Ok(())
        } else {
            Err(Problem::Told(Editing::NotCreator.into()))
        }
    }

    /// Saves a draft, which is then played. What it says, is said to whoever wanted it.
    async fn save(
        &self,
        actor: &Actor,
        draft: Draft,
        saving: Saving,
    ) -> Result<(PersonaId, Editing), Problem> {
        self.may_create(actor).await?;
        if !draft.is_sound() {
            let mut faults = draft.report.findings;
            faults.retain(|finding| finding.severity == Severity::Error);
            return Err(Problem::Told(Editing::Faults(faults).into()));
        }
        let Draft { persona, definition, .. } = draft;
        let Saving { id, over, adult, from_file, too_long } = saving;
        let name = persona.card.name.clone();
        let id = id.unwrap_or_else(|| self.assistant.free_id(actor.server, &name));
        if over.is_none() && self.assistant.is_common(&id) {
            return Err(Problem::Told(Editing::Changed.into()));
        }
        let avatar = persona.avatar.map(|avatar| avatar.to_vec());
        let draft = PersonaDraft { id, over, definition, avatar, shared: false, adult, from_file };
        let id = draft.id.clone();
        let version = self.admin.save_persona(actor, draft).await?;
        self.assistant.rules_changed(actor.server).await;
        let is_private = self.standing(actor.server, &id).is_some_and(|standing| !standing.shared);
        let is_restricted = self.is_restricted(actor.server, &id);
        let saved = Editing::Saved { name, id: id.clone(), version, is_private, is_restricted, too_long };
        Ok((id, saved))
    }

    /// Makes a persona of a card that has come with something else, which is then played. What is to be said of it, and its id.
    pub(super) async fn take_card(
        &self,
        actor: &Actor,
        card: Vec<u8>,
    ) -> Result<(PersonaId, Editing), Problem> {
        self.may_create(actor).await?;
        if card.len() > LARGEST_IMPORT {
            return Err(Problem::Told(Editing::TooLargeAFile(LARGEST_IMPORT).into()));
        }
        let assistant = Arc::clone(&self.assistant);
        let draft = self.beside(move || Draft::of_file(&assistant, &card)).await?;
        self.save(actor, draft, Saving::of_file(None, None)).await
    }

    /// Whether a server's persona plays in age-restricted channels only.
    pub(super) fn is_restricted(&self, server: ServerId, id: &PersonaId) -> bool {
        self.standing(server, id).is_some_and(|standing| !standing.plays_everywhere())
    }

    fn standing(&self, server: ServerId, id: &PersonaId) -> Option<ServerPersona> {
        let troupe = self.assistant.troupe(server).into_iter();
        troupe.map(|own| own.standing).find(|standing| standing.id == *id)
    }

    /// A form was filled in.
    pub(super) async fn submitted(&self, context: &Context, interaction: &ModalInteraction) {
        let user = User::of_form(interaction);
        let id = &interaction.data.custom_id;
        let refused = match Errand::parse(id) {
            _ if !user.is_here(context) => Err(Text::NotHere),
            None => Rewritten::parse(id).map(Form::Line).ok_or(Text::Misunderstood),
            Some(errand) if errand.asker != user.id() => Err(Text::NotYours),
            Some(errand) => Ok(Form::Persona(errand.task)),
        };
        let answered = match refused {
            Ok(Form::Persona(task)) => self.take_form(context, interaction, task).await,
            // It holds a lot while it waits, and so would everybody who waits for it.
            Ok(Form::Line(line)) => Box::pin(self.take_line(context, interaction, line)).await,
            Err(text) => {
                let message =
                    CreateInteractionResponseMessage::new().content(text.to_string()).ephemeral(true);
                let message = message.allowed_mentions(no_mentions());
                respond(context, interaction, CreateInteractionResponse::Message(message)).await
            }
        };
        if let Err(problem) = answered {
            warn!("a form could not be answered: {problem}");
        }
    }

    async fn take_form(
        &self,
        context: &Context,
        interaction: &ModalInteraction,
        task: Task,
    ) -> Result<(), Problem> {
        let later = CreateInteractionResponseMessage::new().ephemeral(true);
        respond(context, interaction, CreateInteractionResponse::Defer(later)).await?;
        let user = User::of_form(interaction);
        let answer = match task {
            Task::Reword(until, mark) => {
                let (place, fields) = (user.place(context), fields(interaction));
                self.settle_first(context, user.channel(), user.server()).await;
                let reworded = self.reword(user, place, (until, mark), &fields).await;
                let draft = fields.into_iter().map(|(_, text)| text.into_bytes()).next();
                given_back(reworded, draft.map(|text| CreateAttachment::bytes(text, "memory.txt")))
            }
            task => self.filled_in(user, task, written(interaction)).await,
        };
        let mut edit = EditInteractionResponse::new().content(answer.text).allowed_mentions(no_mentions());
        if let Some(file) = answer.file {
            edit = edit.new_attachment(file);
        }
        rest::retry("edit an answer", || interaction.edit_response(context, edit.clone())).await?;
        Ok(())
    }

    /// Saves what was written into a form. What is not saved, for whatever reason, is given back.
    async fn filled_in(&self, user: User<'_>, task: Task, written: Vec<(Field, String)>) -> Answer {
        let actor = user.actor();
        // Whoever may not even see the persona, or comes when it is gone, gets back what they wrote and nothing of it.
        let own = match (&actor, &task) {
            (Some(actor), Task::Change(id, _)) => self.own_persona(actor, &id.0, Actor::has).await.map(Some),
            _ => Ok(None),
        };
        let mut card = match &own {
            Ok(Some(own)) => own.persona.card.clone(),
            _ => Card::default(),
        };
        let too_long = Field::ALL.into_iter().filter(|field| !field.fits(&card)).collect();
        for (field, text) in written {
            // What was not in the form stays, whatever somebody sends.
            if field.fits(&card) {
                field.write(&mut card, text);
            }
        }
        let saved = async {
            let actor = actor.ok_or(Problem::Told(Text::ServersOnly))?;
            self.may_create(&actor).await?;
            own?;
            let (id, over, adult) = match task {
                Task::Make { adult } => (None, None, Some(adult)),
                Task::Change(id, version) => (Some(id), Some(version), None),
                Task::TakeIn(_) | Task::TakeOver(..) | Task::Delete(..) | Task::Reword(..) => {
                    return Err(Problem::Told(Text::Misunderstood));
                }
            };
            let draft = self.look_at(card.clone()).await?;
            let saving = Saving { id, over, adult, from_file: false, too_long };
            self.save(&actor, draft, saving).await.map(|(_, saved)| saved.into())
        };
        let saved = saved.await;
        given_back(saved, toml_of(&card).map(|toml| CreateAttachment::bytes(toml, "persona.toml")))
    }

    /// A button was pressed that belongs to a persona.
    pub(super) async fn pressed_for_persona(
        &self,
        context: &Context,
        interaction: &ComponentInteraction,
        errand: Errand,
    ) -> Result<(), Problem> {
        let user = User::of_press(interaction);
        let done = async {
            let actor = user.actor().ok_or(Problem::Told(Text::ServersOnly))?;
            match errand.task {
                Task::Delete(id, version) => {
                    self.admin.delete_persona(&actor, &id, version).await?;
                    self.assistant.rules_changed(actor.server).await;
                    Ok(Editing::Deleted(id).into())
                }
                Task::TakeIn(id) => self.take_file(&actor, interaction, id, None).await,
                Task::TakeOver(id, version) => self.take_file(&actor, interaction, id, Some(version)).await,
                Task::Make { .. } | Task::Change(..) | Task::Reword(..) => Err(Problem::Told(Text::Stale)),
            }
        };
        components::carried_out(context, interaction, done).await
    }

    /// Saves the file that the message with the button has shown.
    async fn take_file(
        &self,
        actor: &Actor,
        interaction: &ComponentInteraction,
        id: PersonaId,
        over: Option<u64>,
    ) -> Result<Text, Problem> {
        self.may_create(actor).await?;
        let file = interaction.message.attachments.first().ok_or(Problem::Told(Text::Stale))?;
        let fetched = self.attachments.fetch(file, LARGEST_IMPORT).await;
        let fetched = fetched.map_err(|unfetched| Problem::Told(Editing::from(unfetched).into()))?;
        let (draft, _) = self.look_at_file(fetched).await?;
        let (_, saved) = self.save(actor, draft, Saving::of_file(Some(id), over)).await?;
        Ok(saved.into())
    }
}

/// The form in which the texts of a card are written, as far as they fit; of a new persona they are empty. A name always fits.
pub(super) fn form(errand: &Errand, card: Option<&Card>) -> CreateModal {
    let empty = Card::default();
    let shown = card.unwrap_or(&empty);
    let rows: Vec<CreateActionRow> =
        Field::ALL.into_iter().filter(|field| field.fits(shown)).map(|field| input(field, shown)).collect();
    let is_whole = rows.len() == Field::ALL.len();
    CreateModal::new(errand.to_string(), form_title(card.is_none(), is_whole)).components(rows)
}

fn input(field: Field, card: &Card) -> CreateActionRow {
    let text = field.of(card);
    let (style, most) = match field {
        // Discord takes no text that is longer than it allows.
        Field::Name => (InputTextStyle::Short, NAME_IN_FORM.max(text.chars().count())),
        _ => (InputTextStyle::Paragraph, FIELD_MAX),
    };
    let input = CreateInputText::new(style, field_label(field), field.key())
        .required(field == Field::Name)
        .max_length(u16::try_from(most).unwrap_or(u16::MAX));
    CreateActionRow::InputText(if text.is_empty() { input } else { input.value(text) })
}

/// Says what has become of what was written into a form. What is not saved, for whatever reason, comes back as a file.
fn given_back(saved: Result<Text, Problem>, draft: Option<CreateAttachment>) -> Answer {
    let refused = match saved {
        Ok(text) => return Answer { text: text.to_string(), file: None },
        Err(Problem::Told(text)) => text,
        Err(problem) => {
            error!("what a form says could not be saved: {problem}");
            Text::Broken
        }
    };
    let text = if draft.is_some() { with_draft(&refused) } else { refused.to_string() };
    Answer { text, file: draft }
}

/// What was written into a form of a persona.
fn written(interaction: &ModalInteraction) -> Vec<(Field, String)> {
    let known = |(field, text): (String, String)| Some((Field::parse(&field)?, text));
    fields(interaction).into_iter().filter_map(known).collect()
}

/// What was written into the fields of a form, which are named as whoever sends it names them.
fn fields(interaction: &ModalInteraction) -> Vec<(String, String)> {
    let inputs = interaction.data.components.iter().flat_map(|row| &row.components);
    let text = |component: &ActionRowComponent| match component {
        ActionRowComponent::InputText(input) => {
            Some((input.custom_id.clone(), input.value.clone().unwrap_or_default()))
        }
        _ => None,
    };
    inputs.filter_map(text).collect()
}

fn toml_of(card: &Card) -> Option<Vec<u8>> {
    import::to_toml(card).ok().map(String::into_bytes)
}

/// Answers a form.
pub(super) async fn respond(
    context: &Context,
    interaction: &ModalInteraction,
    response: CreateInteractionResponse,
) -> Result<(), Problem> {
    let sent = rest::retry("answer a form", || interaction.create_response(context, response.clone())).await;
    match sent {
        // The first try has arrived, though its answer has not.
        Err(trouble) if trouble.is_answered_already() => Ok(()),
        other => other.map_err(Problem::Discord),
    }
}
