//! Threads: how they are begun, who is in them, and when nothing more can be said in them. Those of a forum are its posts.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use serenity::model::Permissions;

use super::FakeDiscord;
use super::actions::{self, Outcome};
use super::answers::Answer;
use super::events::Event;
use super::ids::{ChannelId, MessageId, UserId, created_at};
use super::message::{KIND_THREAD_CREATED, KIND_THREAD_STARTER, Post, Reply};
use super::payloads;
use super::state::State;
use super::world::{Channel, ChannelKind, World};

/// Discord's numbers for the kinds of threads.
const PUBLIC: u64 = 11;
const PRIVATE: u64 = 12;

/// Most characters of a thread's name.
const NAME_MAX: usize = 100;

/// After so many minutes without a message a thread is archived, unless somebody says otherwise.
const ARCHIVED_AFTER: u64 = 1440;

/// Who sees a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Whoever sees the channel that it is in.
    Everybody,
    /// Only those who are in it, who may perhaps add others.
    Members { invitable: bool },
}

impl Audience {
    /// That of a new thread.
    fn of(is_private: bool) -> Self {
        if is_private { Self::Members { invitable: true } } else { Self::Everybody }
    }
}

/// What a thread is beside a channel.
#[derive(Clone, Debug)]
pub(crate) struct Thread {
    pub(crate) owner: UserId,
    pub(crate) audience: Audience,
    /// It wakes up when somebody writes.
    pub(crate) archived: bool,
    /// Only moderators may wake it up, or write.
    pub(crate) locked: bool,
    pub(crate) archived_after: u64,
    pub(crate) members: BTreeSet<UserId>,
}

impl Thread {
    /// A thread as it begins, with whoever begins it in it.
    fn of(owner: UserId, is_private: bool) -> Self {
        Self {
            owner,
            audience: Audience::of(is_private),
            archived: false,
            locked: false,
            archived_after: ARCHIVED_AFTER,
            members: BTreeSet::from([owner]),
        }
    }

    /// Discord's number for what it is.
    pub(super) fn number(&self) -> u64 {
        if self.is_private() { PRIVATE } else { PUBLIC }
    }

    pub(crate) fn is_private(&self) -> bool {
        self.audience != Audience::Everybody
    }

    pub(super) fn metadata(&self, id: ChannelId) -> Value {
        let mut metadata = json!({
            "archived": self.archived,
            "archive_timestamp": created_at(id.0),
            "auto_archive_duration": self.archived_after,
            "locked": self.locked,
            "create_timestamp": created_at(id.0),
        });
        if let Audience::Members { invitable } = self.audience {
            metadata["invitable"] = json!(invitable);
        }
        metadata
    }
}

/// What members and moderators do with them.
impl FakeDiscord {
    /// A new thread for everybody who sees the channel, without a message about it.
    pub(crate) fn thread(&self, parent: ChannelId, name: &str) -> ChannelId {
        self.begin(parent, name, |world| Thread::of(world.owner, false))
    }

    /// A thread that only its owner and these see. The bot is not in it unless it is among them.
    pub(crate) fn private_thread(
        &self,
        parent: ChannelId,
        name: &str,
        (owner, others): (UserId, &[UserId]),
    ) -> ChannelId {
        self.begin(parent, name, |_| {
            let mut thread = Thread::of(owner, true);
            thread.members.extend(others);
            thread
        })
    }

    /// A new forum, whose threads are its posts.
    pub(crate) fn forum(&self, name: &str) -> ChannelId {
        self.add_channel(name, ChannelKind::Forum)
    }

    /// A member adds somebody to a thread.
    pub(crate) fn add_to_thread(&self, thread: ChannelId, user: UserId) {
        self.inner.change(|state| add(state, thread, user));
    }

    /// Somebody leaves a thread, or is taken out of it.
    pub(crate) fn take_from_thread(&self, thread: ChannelId, user: UserId) {
        self.inner.change(|state| take(state, thread, user));
    }

    /// Nobody has written in a thread for long.
    pub(crate) fn archive(&self, thread: ChannelId) {
        self.update_thread(thread, |thread| thread.archived = true);
    }

    /// A moderator closes a thread for good.
    pub(crate) fn lock(&self, thread: ChannelId) {
        self.update_thread(thread, |thread| (thread.archived, thread.locked) = (true, true));
    }

    /// The threads of a channel, oldest first.
    pub(crate) fn threads_of(&self, channel: ChannelId) -> Vec<ChannelId> {
        self.inner.look(|state| state.world.threads_of(channel).map(|thread| thread.id).collect())
    }

    /// The thread of this name in a channel, as soon as there is one.
    pub(crate) async fn thread_in(&self, channel: ChannelId, name: &str) -> ChannelId {
        let what = format!("a thread {name:?}");
        self.wait_for(&what, |state| {
            let mut threads = state.world.threads_of(channel);
            threads.find(|thread| thread.name == name).map(|thread| thread.id)
        })
        .await
    }

    /// What a thread is now.
    pub(crate) fn thread_as_it_is(&self, thread: ChannelId) -> Thread {
        self.inner.look(|state| state.world.threads[&thread].clone())
    }

    fn begin(&self, parent: ChannelId, name: &str, thread: impl FnOnce(&World) -> Thread) -> ChannelId {
        self.inner.change(|state| {
            let id = ChannelId(state.world.number());
            let thread = thread(&state.world);
            begin(state, id, (parent, name), thread);
            id
        })
    }

    fn update_thread(&self, thread: ChannelId, update: impl FnOnce(&mut Thread)) {
        self.inner.change(|state| change(state, thread, update));
    }
}

impl World {
    pub(super) fn threads_of(&self, parent: ChannelId) -> impl Iterator<Item = &Channel> {
        let kind = ChannelKind::Thread { parent };
        self.channels.values().filter(move |channel| channel.kind == kind && !channel.deleted)
    }

    /// The thread that was begun from a message, which has the message's number.
    pub(super) fn thread_from(&self, message: MessageId) -> Option<&Channel> {
        self.channel(ChannelId(message.0))
    }
}

/// Begins a thread from a message.
pub(super) fn start_from(state: &mut State, channel: ChannelId, from: MessageId, body: &Value) -> Outcome {
    actions::check_visible(state, channel)?;
    check_may(state, channel, Permissions::CREATE_PUBLIC_THREADS)?;
    let message = actions::find_message(state, channel, from)?.id;
    if state.world.channels[&channel].kind != ChannelKind::Text {
        return Err(Answer::wrong_kind_of_channel());
    }
    if state.world.threads.contains_key(&ChannelId(message.0)) {
        return Err(Answer::error(400, 160_004, "A thread has already been created for this message"));
    }
    let name = name(state, body)?;
    let (id, bot) = (ChannelId(message.0), state.world.bot);
    begin(state, id, (channel, &name), as_wished(Thread::of(bot, false), body));
    // The message is told anew, with its thread; its text has not changed.
    let event = Event::message("MESSAGE_UPDATE", &state.world, message);
    state.announce(&event);
    let mut first = Post::new(id, bot, "").of_kind(KIND_THREAD_STARTER);
    first.reply = Some(Reply { to: message, fail_if_not_exists: true });
    tell(state, first);
    Ok(created(state, id))
}

/// Begins a thread, or a post of a forum with its first message.
pub(super) fn start(state: &mut State, channel: ChannelId, body: &Value) -> Outcome {
    actions::check_visible(state, channel)?;
    let (id, bot) = (ChannelId(state.world.number()), state.world.bot);
    match state.world.channels[&channel].kind {
        ChannelKind::Forum => {
            check_may(state, channel, Permissions::SEND_MESSAGES)?;
            let name = name(state, body)?;
            let message = &body["message"];
            actions::check_form(state, message)?;
            let content = message["content"].as_str().unwrap_or_default().trim();
            if content.is_empty() {
                state.violations.push("a post without a text".to_owned());
                return Err(Answer::empty_message());
            }
            begin(state, id, (channel, &name), as_wished(Thread::of(bot, false), body));
            let mut post = Post::new(id, bot, content);
            actions::dress(&mut post, message);
            // The first message of a post has the number of the post.
            state.world.insert_message(MessageId(id.0), post);
            let event = Event::message("MESSAGE_CREATE", &state.world, MessageId(id.0));
            state.announce(&event);
        }
        ChannelKind::Text => {
            // Discord makes them private where nothing is said.
            let is_private = body["type"].as_u64().unwrap_or(PRIVATE) == PRIVATE;
            let needed = if is_private {
                Permissions::CREATE_PRIVATE_THREADS
            } else {
                Permissions::CREATE_PUBLIC_THREADS
            };
            check_may(state, channel, needed)?;
            let name = name(state, body)?;
            begin(state, id, (channel, &name), as_wished(Thread::of(bot, is_private), body));
            if !is_private {
                tell(state, Post::new(channel, bot, name).of_kind(KIND_THREAD_CREATED));
            }
        }
        ChannelKind::Thread { .. } | ChannelKind::Direct { .. } => {
            return Err(Answer::wrong_kind_of_channel());
        }
    }
    Ok(created(state, id))
}

/// Changes a thread.
pub(super) fn edit(state: &mut State, id: ChannelId, body: &Value) -> Outcome {
    let thread = own_business(state, id)?;
    let moderates = state.world.bot_may(&state.world.channels[&id], Permissions::MANAGE_THREADS);
    let wakes = body["archived"] == false;
    let only_wakes = wakes && body.as_object().is_some_and(|fields| fields.len() == 1);
    let may = moderates
        || !thread.locked && body["locked"].is_null() && (only_wakes || thread.owner == state.world.bot);
    if !may {
        return Err(Answer::missing_permissions());
    }
    if thread.archived && !wakes {
        return Err(Answer::archived(400));
    }
    if body["name"].is_string() {
        let name = name(state, body)?;
        if let Some(channel) = state.world.channels.get_mut(&id) {
            channel.name = name;
        }
    }
    change(state, id, |thread| *thread = as_wished(thread.clone(), body));
    actions::show_channel(state, id)
}

/// Deletes a thread, which takes a moderator.
pub(super) fn delete(state: &mut State, id: ChannelId) -> Outcome {
    own_business(state, id)?;
    check_may(state, id, Permissions::MANAGE_THREADS)?;
    let shown = actions::show_channel(state, id)?;
    let event = Event::channel_delete(&state.world, &state.world.channels[&id]);
    state.world.delete_channel(id);
    state.announce(&event);
    Ok(shown)
}

/// Says whether somebody is in a thread.
pub(super) fn show_member(state: &State, id: ChannelId, user: UserId) -> Outcome {
    let thread = find(state, id)?;
    if thread.members.contains(&user) {
        Ok(Answer::ok(member(id, user)))
    } else {
        Err(Answer::unknown_member())
    }
}

/// Adds somebody to a thread; the bot adds itself where it sees it.
pub(super) fn add_member(state: &mut State, id: ChannelId, user: UserId) -> Outcome {
    let thread = find(state, id)?.clone();
    if thread.archived {
        return Err(Answer::archived(400));
    }
    let (world, channel) = (&state.world, &state.world.channels[&id]);
    let is_other = user != world.bot;
    if is_other && !world.members().any(|member| member.id == user) {
        return Err(Answer::unknown_member());
    }
    let may_invite = thread.audience != (Audience::Members { invitable: false })
        || thread.owner == world.bot
        || world.bot_may(channel, Permissions::MANAGE_THREADS);
    if is_other && !(may_invite && world.bot_may(channel, Permissions::SEND_MESSAGES_IN_THREADS)) {
        return Err(Answer::missing_permissions());
    }
    // Whoever does not see the channel does not come to see its threads.
    if !world.rights(user, channel).contains(Permissions::VIEW_CHANNEL) {
        return Err(Answer::missing_access());
    }
    add(state, id, user);
    Ok(Answer::no_content())
}

/// Takes somebody out of a thread; the bot leaves by itself.
pub(super) fn remove_member(state: &mut State, id: ChannelId, user: UserId) -> Outcome {
    let thread = find(state, id)?;
    if thread.archived {
        return Err(Answer::archived(400));
    }
    let owns = thread.is_private() && thread.owner == state.world.bot;
    if user != state.world.bot && !owns {
        check_may(state, id, Permissions::MANAGE_THREADS)?;
    }
    take(state, id, user);
    Ok(Answer::no_content())
}

/// Before anything is said in a channel: an archived thread wakes up, a locked one stays closed.
pub(super) fn wake(state: &mut State, channel: ChannelId) -> Result<(), Answer> {
    let locked = state.world.threads.get(&channel).filter(|thread| thread.locked);
    let moderates = || state.world.bot_may(&state.world.channels[&channel], Permissions::MANAGE_THREADS);
    match locked.filter(|_| !moderates()) {
        Some(thread) if thread.archived => Err(Answer::archived(400)),
        Some(_) => Err(Answer::error(403, 160_005, "Thread is locked")),
        None => {
            rouse(state, channel);
            Ok(())
        }
    }
}

/// A thread is archived no more, if it was.
pub(super) fn rouse(state: &mut State, channel: ChannelId) {
    if state.world.threads.get(&channel).is_some_and(|thread| thread.archived) {
        change(state, channel, |thread| thread.archived = false);
    }
}

/// What stands in an archived thread cannot be changed.
pub(super) fn check_awake(state: &State, channel: ChannelId) -> Result<(), Answer> {
    let asleep = state.world.threads.get(&channel).is_some_and(|thread| thread.archived);
    if asleep { Err(Answer::archived(400)) } else { Ok(()) }
}

/// A member of a thread, in Discord's JSON.
pub(super) fn member(thread: ChannelId, user: UserId) -> Value {
    json!({"id": thread, "user_id": user, "join_timestamp": created_at(thread.0), "flags": 0})
}

fn begin(state: &mut State, id: ChannelId, (parent, name): (ChannelId, &str), thread: Thread) {
    state.world.insert_channel(id, name, ChannelKind::Thread { parent });
    state.world.threads.insert(id, thread);
    let event = Event::channel_create(&state.world, &state.world.channels[&id]);
    if let Some(event) = event {
        state.announce(&event);
    }
}

/// Posts a notice of Discord's own.
fn tell(state: &mut State, notice: Post) {
    let message = state.world.add_message(notice);
    let event = Event::message("MESSAGE_CREATE", &state.world, message);
    state.announce(&event);
}

fn change(state: &mut State, id: ChannelId, change: impl FnOnce(&mut Thread)) {
    if let Some(thread) = state.world.threads.get_mut(&id) {
        change(thread);
    }
    let event = Event::channel_update(&state.world, &state.world.channels[&id]);
    state.announce(&event);
}

/// The bot is told of a thread when it comes to be in it, and of nobody else.
fn add(state: &mut State, id: ChannelId, user: UserId) {
    let is_new = state.world.threads.get_mut(&id).is_some_and(|thread| thread.members.insert(user));
    if is_new && user == state.world.bot {
        let event = Event::thread_joined(&state.world, id);
        state.announce(&event);
    }
}

fn take(state: &mut State, id: ChannelId, user: UserId) {
    let was_in = state.world.threads.get_mut(&id).is_some_and(|thread| thread.members.remove(&user));
    if was_in && user == state.world.bot {
        let event = Event::thread_left(&state.world, id);
        state.gateway.dispatch(&event);
    }
}

/// The body's wishes about a thread.
fn as_wished(thread: Thread, body: &Value) -> Thread {
    let wish = |name: &str, now: bool| body[name].as_bool().unwrap_or(now);
    let audience = match thread.audience {
        Audience::Members { invitable } => Audience::Members { invitable: wish("invitable", invitable) },
        Audience::Everybody => Audience::Everybody,
    };
    Thread {
        audience,
        archived: wish("archived", thread.archived),
        locked: wish("locked", thread.locked),
        archived_after: body["auto_archive_duration"].as_u64().unwrap_or(thread.archived_after),
        ..thread
    }
}

fn name(state: &mut State, body: &Value) -> Result<String, Answer> {
    let name = body["name"].as_str().unwrap_or_default().trim();
    if (1..=NAME_MAX).contains(&name.chars().count()) {
        return Ok(name.to_owned());
    }
    state.violations.push(format!("a thread may not be called {name:?}"));
    Err(Answer::invalid_form("name", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length."))
}

/// A thread; to change and to delete other channels is no business of the bot's.
fn own_business(state: &mut State, id: ChannelId) -> Result<Thread, Answer> {
    actions::check_visible(state, id)?;
    let thread = state.world.threads.get(&id).cloned();
    if thread.is_none() {
        state.violations.push(format!("{id} is no thread, and none of the bot's business"));
    }
    thread.ok_or_else(Answer::missing_permissions)
}

fn find(state: &State, id: ChannelId) -> Result<&Thread, Answer> {
    actions::check_visible(state, id)?;
    state.world.threads.get(&id).ok_or_else(Answer::wrong_kind_of_channel)
}

fn check_may(state: &State, channel: ChannelId, what: Permissions) -> Result<(), Answer> {
    let may = state.world.bot_may(&state.world.channels[&channel], what);
    if may { Ok(()) } else { Err(Answer::missing_permissions()) }
}

fn created(state: &State, id: ChannelId) -> Answer {
    let world = &state.world;
    Answer::created(payloads::channel(world, &world.channels[&id]))
}
