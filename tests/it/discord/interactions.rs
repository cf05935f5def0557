//! Interactions: members use commands and press buttons, and the bot answers. What Discord demands of the answers is checked
//! here: in time, once, and with the secret that came with the interaction.

use std::time::Duration;

use serde_json::{Value, json};
use serenity::model::gateway::GatewayIntents;
use tokio::time::Instant;

use super::FakeDiscord;
use super::actions::{self, Input, Outcome};
use super::answers::Answer;
use super::events::Event;
use super::ids::{ChannelId, InteractionId, MessageId, UserId};
use super::message::{Message, Post};
use super::payloads::{self, Reader};
use super::state::State;
use super::threads;

/// How long Discord waits for the first answer.
const DEADLINE: Duration = Duration::from_secs(3);

/// How long the secret is good.
const VALID: Duration = Duration::from_mins(15);

/// Message flag: only whoever used the command sees it.
const EPHEMERAL: u64 = 1 << 6;

/// The type of messages that answer a command.
const KIND_COMMAND: u8 = 20;

/// The kinds of interactions, in Discord's numbering.
const COMMAND: u8 = 2;
const COMPONENT: u8 = 3;
const AUTOCOMPLETE: u8 = 4;
const FORM: u8 = 5;

/// Most characters of the title of a form, and most fields in it.
const TITLE_MAX: usize = 45;
const FIELDS_MAX: usize = 5;

/// The use of a command or of a button.
#[derive(Clone, Debug)]
pub(crate) struct Interaction {
    pub(crate) channel: ChannelId,
    pub(crate) user: UserId,
    /// The command that was used, as it is written.
    used: Option<String>,
    began: Instant,
    /// The flags of the message that was promised.
    promised: Option<u64>,
    acknowledged: bool,
    /// The message that answers first; for a button the one that it stands under, once that was changed.
    original: Option<MessageId>,
    /// The message that the button stands under.
    under: Option<MessageId>,
    /// All messages that answer, in their order.
    answers: Vec<MessageId>,
    /// What was offered for the option that is being written.
    offered: Option<Vec<String>>,
    /// The form that was opened.
    pub(super) form: Option<Form>,
}

impl Interaction {
    /// The command that was used, if this message is the first to answer it.
    pub(super) fn used_for(&self, message: MessageId) -> Option<&str> {
        self.used.as_deref().filter(|_| self.original == Some(message))
    }
}

/// A form, with what stands in its fields.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Form {
    pub(crate) custom_id: String,
    /// The fields by their ids.
    pub(crate) fields: Vec<(String, String)>,
    /// The message that the button stands under that opened it.
    pub(crate) under: Option<MessageId>,
    pub(crate) title: String,
    /// What stands above the fields.
    pub(crate) labels: Vec<String>,
}

impl Form {
    /// What stands in a field, if there is such a field.
    pub(crate) fn field(&self, id: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == id).map(|(_, text)| text.as_str())
    }

    /// Writes something else into a field.
    pub(crate) fn with(mut self, id: &str, text: &str) -> Self {
        match self.fields.iter_mut().find(|(field, _)| field == id) {
            Some((_, field)) => text.clone_into(field),
            None => self.fields.push((id.to_owned(), text.to_owned())),
        }
        self
    }
}

/// What members do.
impl FakeDiscord {
    /// Uses a command, such as `privacy show`, with these options.
    pub(crate) fn use_command(
        &self,
        channel: ChannelId,
        user: UserId,
        command_name: &str,
        options: &[(&str, Value)],
    ) -> InteractionId {
        let data = self.inner.look(|state| command(state, user, command_name, options, None));
        self.interact(COMMAND, channel, user, None, &data)
    }

    /// Uses a command on a message.
    pub(crate) fn use_on_message(&self, message: MessageId, user: UserId, command: &str) -> InteractionId {
        let channel = self.message(message).channel;
        let data = self.inner.look(|state| {
            let reader = Reader { over_gateway: false, reads_everything: true };
            let payload = payloads::message(&state.world, &state.world.messages[&message], reader);
            json!({
                "id": "1",
                "name": command,
                "type": 3,
                "target_id": message,
                "resolved": {"messages": {message.to_string(): payload}},
            })
        });
        self.interact(COMMAND, channel, user, None, &data)
    }

    /// Types into an option of a command, and returns what is offered.
    pub(crate) async fn offered(
        &self,
        (channel, user): (ChannelId, UserId),
        command_name: &str,
        options: &[(&str, Value)],
        typed_into: &str,
    ) -> Vec<String> {
        let id = self.type_into((channel, user), command_name, options, typed_into);
        self.wait_for("something to be offered", |state| state.interactions[&id].offered.clone()).await
    }

    /// The same without waiting.
    pub(crate) fn type_into(
        &self,
        (channel, user): (ChannelId, UserId),
        command_name: &str,
        options: &[(&str, Value)],
        typed_into: &str,
    ) -> InteractionId {
        let data = self.inner.look(|state| command(state, user, command_name, options, Some(typed_into)));
        self.interact(AUTOCOMPLETE, channel, user, None, &data)
    }

    /// Presses the button with these words under a message, which need not be the presser's own.
    pub(crate) fn press(&self, under: MessageId, user: UserId, words: &str) -> InteractionId {
        let message = self.message(under);
        let rows = message.components.iter().filter_map(|row| row["components"].as_array().cloned());
        let button = rows.flatten().find(|button| button["label"] == words);
        let button = button.unwrap_or_else(|| panic!("no button {words:?} in {:?}", message.components));
        self.press_id(under, user, button["custom_id"].as_str().expect("a text"))
    }

    /// Presses a button with any `custom_id`, as a forger does.
    pub(crate) fn press_id(&self, under: MessageId, user: UserId, custom_id: &str) -> InteractionId {
        let channel = self.message(under).channel;
        let data = json!({"custom_id": custom_id, "component_type": 2});
        self.interact(COMPONENT, channel, user, Some(under), &data)
    }

    /// The form that is opened for whoever used a command.
    pub(crate) async fn form(&self, interaction: InteractionId) -> Form {
        self.wait_for("a form to be opened", |state| state.interactions[&interaction].form.clone()).await
    }

    /// The same, as soon as there is one or something is said instead.
    pub(crate) async fn form_if_any(&self, interaction: InteractionId) -> Option<Form> {
        self.wait_for("a form to be opened, or something to be said", |state| {
            let Interaction { form, original, .. } = &state.interactions[&interaction];
            (form.is_some() || original.is_some()).then(|| form.clone())
        })
        .await
    }

    /// The same, if it was opened by now.
    pub(crate) fn form_now(&self, interaction: InteractionId) -> Option<Form> {
        self.inner.look(|state| state.interactions[&interaction].form.clone())
    }

    /// Sends a form as it is filled in now.
    pub(crate) fn submit(&self, channel: ChannelId, user: UserId, form: &Form) -> InteractionId {
        let row = |(id, text): &(String, String)| json!({"type": 1, "components": [{"type": 4, "custom_id": id, "value": text}]});
        let rows: Vec<Value> = form.fields.iter().map(row).collect();
        let data = json!({"custom_id": form.custom_id, "components": rows});
        self.interact(FORM, channel, user, form.under, &data)
    }

    /// Gives a member permissions beside those of everybody.
    pub(crate) fn empower(&self, user: UserId, permissions: serenity::model::Permissions) {
        self.inner.change(|state| state.world.empower(user, permissions.bits()));
    }

    fn interact(
        &self,
        kind: u8,
        channel: ChannelId,
        user: UserId,
        under: Option<MessageId>,
        data: &Value,
    ) -> InteractionId {
        self.inner.change(|state| {
            assert!(!state.world.gone.contains(&user), "{user} has left, and uses nothing any more");
            let id = InteractionId(state.world.number());
            let payload = payload(state, (kind, id), channel, user, under, data);
            let interaction = Interaction {
                channel,
                user,
                used: (kind == COMMAND).then(|| written(data)),
                began: Instant::now(),
                promised: None,
                acknowledged: false,
                original: None,
                under,
                answers: Vec::new(),
                offered: None,
                form: None,
            };
            state.interactions.insert(id, interaction);
            state.announce(&Event::new("INTERACTION_CREATE", GatewayIntents::empty(), payload));
            id
        })
    }

    /// The first message that answers, as soon as there is one.
    pub(crate) async fn answer_to(&self, interaction: InteractionId) -> Message {
        self.answer_such_that(interaction, |_| true).await
    }

    /// The first message that answers, as soon as it is as described.
    pub(crate) async fn answer_such_that(
        &self,
        interaction: InteractionId,
        fits: impl Fn(&Message) -> bool,
    ) -> Message {
        let what = format!("a fitting answer to interaction {interaction}");
        self.wait_for(&what, |state| {
            let original = state.interactions[&interaction].original?;
            state.world.messages.get(&original).filter(|message| fits(message)).cloned()
        })
        .await
    }

    /// The first message that answers, if there is one by now.
    pub(crate) fn answer_now(&self, interaction: InteractionId) -> Option<Message> {
        self.inner.look(|state| {
            let original = state.interactions[&interaction].original?;
            state.world.messages.get(&original).cloned()
        })
    }

    /// The commands as they are registered.
    pub(crate) async fn registered(&self) -> Vec<Value> {
        self.wait_for("the commands to be registered", |state| {
            (!state.commands.is_empty()).then(|| state.commands.clone())
        })
        .await
    }
}

/// A command as it is written: those on messages stand in a menu, the others begin with a stroke.
fn written(data: &Value) -> String {
    let mut words = vec![data["name"].as_str().unwrap_or_default()];
    let mut options = &data["options"];
    while let Some(inner) = options.get(0).filter(|option| option["options"].is_array()) {
        words.push(inner["name"].as_str().unwrap_or_default());
        options = &inner["options"];
    }
    let stroke = if data["type"] == 1 { "/" } else { "" };
    format!("{stroke}{}", words.join(" "))
}

/// What is said of a command, such as `privacy show`, and its options. A channel is given as `{"channel": id}`, a file as
/// `{"attachment": payload}`.
fn command(
    state: &State,
    user: UserId,
    command: &str,
    options: &[(&str, Value)],
    typed_into: Option<&str>,
) -> Value {
    let mut words: Vec<&str> = command.split(' ').collect();
    let name = words.remove(0);
    let mut resolved = json!({});
    let mut option = |name: &str, value: &Value| {
        let mut option = match value {
            Value::Object(fields) if fields.contains_key("attachment") => {
                let file = &fields["attachment"];
                let id = file["id"].as_str().expect("an id");
                resolved["attachments"][id] = file.clone();
                json!({"name": name, "type": 11, "value": id})
            }
            Value::Object(fields) => {
                let id = fields["channel"].as_u64().expect("an id");
                let place = &state.world.channels[&ChannelId(id)];
                let channel = payloads::channel(&state.world, place);
                resolved["channels"][id.to_string()] = json!({
                    "id": id.to_string(),
                    "name": channel["name"],
                    "type": channel["type"],
                    "permissions": state.world.rights(user, place).bits().to_string(),
                });
                json!({"name": name, "type": 7, "value": id.to_string()})
            }
            Value::Bool(_) => json!({"name": name, "type": 5, "value": value}),
            Value::Number(_) => json!({"name": name, "type": 4, "value": value}),
            value => json!({"name": name, "type": 3, "value": value}),
        };
        if typed_into == Some(name) {
            option["focused"] = json!(true);
        }
        option
    };
    let mut given: Value = options.iter().map(|(name, value)| option(name, value)).collect();
    for (depth, word) in words.iter().rev().enumerate() {
        given = json!([{"name": word, "type": 1 + depth, "options": given}]);
    }
    json!({"id": "1", "name": name, "type": 1, "options": given, "resolved": resolved})
}

fn payload(
    state: &State,
    (kind, id): (u8, InteractionId),
    channel: ChannelId,
    user: UserId,
    under: Option<MessageId>,
    data: &Value,
) -> Value {
    let world = &state.world;
    let rights = |of: UserId| json!(world.rights(of, &world.channels[&channel]).bits().to_string());
    let mut payload = json!({
        "id": id,
        "application_id": world.bot,
        "type": kind,
        "data": data,
        "channel_id": channel,
        "channel": payloads::channel(world, &world.channels[&channel]),
        "token": id.token(),
        "version": 1,
        "app_permissions": rights(world.bot),
        "locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": {"0": world.guild},
        "context": 0,
        "attachment_size_limit": 10 << 20,
    });
    if world.is_direct(channel) {
        payload["user"] = payloads::user(&world.users[&user]);
        payload["context"] = json!(1);
    } else {
        payload["guild_id"] = json!(world.guild);
        payload["guild_locale"] = json!("en-US");
        payload["channel"]["permissions"] = rights(user);
        payload["member"] = payloads::member(&world.users[&user]);
        payload["member"]["permissions"] = rights(user);
    }
    if let Some(under) = under {
        let reader = Reader { over_gateway: false, reads_everything: true };
        payload["message"] = payloads::message(world, &world.messages[&under], reader);
    }
    payload
}

/// The first answer.
pub(super) fn respond(state: &mut State, id: InteractionId, input: &Input) -> Outcome {
    let interaction = state.interactions.get(&id).ok_or_else(Answer::unknown_interaction)?.clone();
    if interaction.acknowledged {
        return Err(Answer::answered_already());
    }
    if interaction.began.elapsed() > DEADLINE {
        state.violations.push(format!("interaction {id} was answered too late"));
        return Err(Answer::unknown_interaction());
    }
    let (kind, data) = (input.body["type"].as_u64(), &input.body["data"]);
    match kind {
        Some(4) => {
            post(state, id, data, input, data["flags"].as_u64().unwrap_or_default())?;
        }
        Some(5) => change(state, id, |it| it.promised = Some(data["flags"].as_u64().unwrap_or_default())),
        Some(8) => {
            let choices = data["choices"].as_array().cloned().unwrap_or_default();
            let offered = choices.iter().filter_map(|choice| choice["value"].as_str().map(str::to_owned));
            let offered = offered.collect();
            change(state, id, |it| it.offered = Some(offered));
        }
        Some(9) => {
            let form = Form { under: interaction.under, ..opened(state, data) };
            change(state, id, |it| it.form = Some(form));
        }
        Some(6) => change(state, id, |it| it.original = it.under),
        Some(7) => {
            let under = interaction.under.ok_or_else(Answer::unknown_message)?;
            actions::check_form(state, data)?;
            actions::apply(state, under, data)?;
            announce_update(state, under);
            change(state, id, |it| it.original = it.under);
        }
        other => state.violations.push(format!("the fake does not know answers of the type {other:?}")),
    }
    change(state, id, |it| it.acknowledged = true);
    Ok(Answer::no_content())
}

/// A form as it is opened, under the rules that the published description does not have.
fn opened(state: &mut State, data: &Value) -> Form {
    let rows = data["components"].as_array().cloned().unwrap_or_default();
    let inputs: Vec<Value> =
        rows.iter().filter_map(|row| row["components"].as_array().cloned()).flatten().collect();
    let title = data["title"].as_str().unwrap_or_default().chars().count();
    if !(1..=TITLE_MAX).contains(&title) || !(1..=FIELDS_MAX).contains(&inputs.len()) {
        state.violations.push(format!("a form that Discord does not open: {data}"));
    }
    let field = |input: &Value| {
        let text = input["value"].as_str().unwrap_or_default().to_owned();
        (input["custom_id"].as_str().unwrap_or_default().to_owned(), text)
    };
    for input in &inputs {
        let length = input["value"].as_str().unwrap_or_default().chars().count() as u64;
        if input["max_length"].as_u64().is_some_and(|most| length > most) {
            state.violations.push(format!("a field with more than it takes: {}", input["custom_id"]));
        }
    }
    let custom_id = data["custom_id"].as_str().unwrap_or_default().to_owned();
    let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Form {
        custom_id,
        fields: inputs.iter().map(field).collect(),
        under: None,
        title: words(&data["title"]),
        labels: inputs.iter().map(|input| words(&input["label"])).collect(),
    }
}

/// A further answer; the first one, when that was only promised.
pub(super) fn follow_up(state: &mut State, id: InteractionId, input: &Input) -> Outcome {
    let interaction = live(state, id)?;
    let flags = interaction.promised.unwrap_or_else(|| input.body["flags"].as_u64().unwrap_or_default());
    let message = post(state, id, &input.body, input, flags)?;
    change(state, id, |it| it.promised = None);
    Ok(Answer::ok(actions::message_payload(state, &state.world.messages[&message])))
}

pub(super) fn show(state: &State, id: InteractionId, message: Option<MessageId>) -> Outcome {
    let message = find(state, id, message)?;
    Ok(Answer::ok(actions::message_payload(state, &state.world.messages[&message])))
}

pub(super) fn edit(
    state: &mut State,
    id: InteractionId,
    message: Option<MessageId>,
    input: &Input,
) -> Outcome {
    let interaction = live(state, id)?;
    if let (None, None, Some(flags)) = (message, interaction.original, interaction.promised) {
        let message = post(state, id, &input.body, input, flags)?;
        change(state, id, |it| it.promised = None);
        return Ok(Answer::ok(actions::message_payload(state, &state.world.messages[&message])));
    }
    let message = find(state, id, message)?;
    actions::check_form(state, &input.body)?;
    actions::apply(state, message, &input.body)?;
    announce_update(state, message);
    Ok(Answer::ok(actions::message_payload(state, &state.world.messages[&message])))
}

pub(super) fn delete(state: &mut State, id: InteractionId, message: Option<MessageId>) -> Outcome {
    live(state, id)?;
    let message = find(state, id, message)?;
    state.world.delete_message(message);
    Ok(Answer::no_content())
}

/// An interaction that was acknowledged, and whose secret is good still.
fn live(state: &State, id: InteractionId) -> Result<Interaction, Answer> {
    let interaction = state.interactions.get(&id).filter(|it| it.acknowledged && it.began.elapsed() < VALID);
    interaction.cloned().ok_or_else(Answer::unknown_webhook)
}

fn find(state: &State, id: InteractionId, message: Option<MessageId>) -> Result<MessageId, Answer> {
    let interaction = live(state, id)?;
    let known = match message {
        None => interaction.original,
        Some(message) => Some(message).filter(|message| interaction.answers.contains(message)),
    };
    known.filter(|message| state.world.standing(*message).is_some()).ok_or_else(Answer::unknown_message)
}

fn post(
    state: &mut State,
    id: InteractionId,
    body: &Value,
    input: &Input,
    flags: u64,
) -> Result<MessageId, Answer> {
    actions::check_form(state, body)?;
    let interaction = state.interactions[&id].clone();
    let content = body["content"].as_str().unwrap_or_default().trim();
    let mut post = Post::new(interaction.channel, state.world.bot, content);
    actions::dress(&mut post, body);
    post.kind = Some(KIND_COMMAND);
    post.flags = flags;
    post.answers = Some((id, interaction.user));
    post.only_for = Some(interaction.user).filter(|_| flags & EPHEMERAL != 0);
    post.files.clone_from(&input.files);
    if content.is_empty() && post.embeds.is_empty() && post.components.is_empty() && post.files.is_empty() {
        state.violations.push("an empty answer".to_owned());
        return Err(Answer::empty_message());
    }
    let hidden = post.only_for.is_some();
    if !hidden {
        threads::wake(state, interaction.channel).map_err(|_| Answer::archived(403))?;
    }
    let message = state.world.add_message(post);
    if !hidden {
        let event = Event::message("MESSAGE_CREATE", &state.world, message);
        state.announce(&event);
    }
    change(state, id, |it| {
        it.original.get_or_insert(message);
        it.answers.push(message);
    });
    Ok(message)
}

fn announce_update(state: &mut State, message: MessageId) {
    if state.world.messages[&message].only_for.is_none() {
        let event = Event::message("MESSAGE_UPDATE", &state.world, message);
        state.announce(&event);
    }
}

fn change(state: &mut State, id: InteractionId, change: impl FnOnce(&mut Interaction)) {
    if let Some(interaction) = state.interactions.get_mut(&id) {
        change(interaction);
    }
}
