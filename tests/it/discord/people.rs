//! What people do on the fake Discord: the test speaks for all of them. Each act takes effect at
//! once, and its event is on its way when the call returns.

use super::FakeDiscord;
use super::events::Event;
use super::ids::{ChannelId, EmojiId, MessageId, RoleId, UserId};
use super::message::{Edit, Post};
use super::threads;
use super::world::{ChannelKind, User, UserKind};

/// Who and what is there.
impl FakeDiscord {
    pub(crate) fn member(&self, name: &str) -> UserId {
        self.inner.change(|state| {
            let id = state.world.add_user(name, UserKind::Human);
            let event = Event::member("GUILD_MEMBER_ADD", &state.world, id);
            state.announce(&event);
            id
        })
    }

    pub(crate) fn other_bot(&self, name: &str) -> UserId {
        self.inner.change(|state| state.world.add_user(name, UserKind::Bot))
    }

    /// Somebody who writes by webhook, as proxied members do. The id is the webhook's.
    pub(crate) fn webhook(&self, name: &str) -> UserId {
        self.inner.change(|state| state.world.add_user(name, UserKind::Webhook))
    }

    /// The same by a webhook of another program, such as one that proxies members.
    pub(crate) fn webhook_of(&self, application: UserId, name: &str) -> UserId {
        self.inner.change(|state| {
            let id = state.world.add_user(name, UserKind::Webhook);
            if let Some(user) = state.world.users.get_mut(&id) {
                user.application = Some(application);
            }
            id
        })
    }

    /// A member leaves the server. Only sessions with the intent for members hear of it.
    pub(crate) fn leave(&self, member: UserId) {
        self.inner.change(|state| {
            state.world.gone.insert(member);
            for thread in state.world.threads.values_mut() {
                thread.members.remove(&member);
            }
            let event = Event::member_remove(&state.world, member);
            state.announce(&event);
        });
    }

    /// The name that an account shows everywhere, in place of its user name.
    pub(crate) fn set_global_name(&self, user: UserId, name: &str) {
        self.update_member(user, |user| user.global_name = Some(name.to_owned()));
    }

    /// The name that a member has on this server only.
    pub(crate) fn set_nick(&self, user: UserId, nick: Option<&str>) {
        self.update_member(user, |user| user.nick = nick.map(str::to_owned));
    }

    pub(crate) fn give_role(&self, user: UserId, role: RoleId) {
        self.update_member(user, |user| user.roles.push(role));
    }

    pub(crate) fn take_role(&self, user: UserId, role: RoleId) {
        self.update_member(user, |user| user.roles.retain(|own| *own != role));
    }

    pub(crate) fn role(&self, name: &str) -> RoleId {
        self.inner.change(|state| {
            let id = state.world.add_role(name);
            let event = Event::role_create(&state.world, id);
            state.announce(&event);
            id
        })
    }

    pub(crate) fn emoji(&self, name: &str) -> EmojiId {
        self.inner.change(|state| {
            let id = state.world.add_emoji(name);
            let event = Event::emojis_update(&state.world);
            state.announce(&event);
            id
        })
    }

    /// A new text channel.
    pub(crate) fn channel(&self, name: &str) -> ChannelId {
        self.add_channel(name, ChannelKind::Text)
    }

    /// The direct messages between a user and the bot.
    pub(crate) fn direct(&self, with: UserId) -> ChannelId {
        self.inner.change(|state| state.world.direct_channel(with))
    }

    pub(super) fn add_channel(&self, name: &str, kind: ChannelKind) -> ChannelId {
        self.inner.change(|state| {
            let id = state.world.add_channel(name, kind);
            let event = Event::channel_create(&state.world, &state.world.channels[&id]);
            if let Some(event) = event {
                state.announce(&event);
            }
            id
        })
    }

    fn update_member(&self, user: UserId, update: impl FnOnce(&mut User)) {
        self.inner.change(|state| {
            let member = state.world.users.get_mut(&user);
            update(member.expect("a user of this fake"));
            let event = Event::member("GUILD_MEMBER_UPDATE", &state.world, user);
            state.announce(&event);
        });
    }
}

/// What they say.
impl FakeDiscord {
    pub(crate) fn post(&self, channel: ChannelId, author: UserId, content: impl Into<String>) -> MessageId {
        self.send(Post::new(channel, author, content))
    }

    /// Replies to a message in its channel, with the client's ping switch on or off.
    pub(crate) fn post_reply(
        &self,
        to: MessageId,
        author: UserId,
        ping: bool,
        content: impl Into<String>,
    ) -> MessageId {
        let channel = self.message(to).channel;
        self.send(Post::new(channel, author, content).replying_to(to, ping))
    }

    /// Posts a message with all that [`Post`] can say about it.
    pub(crate) fn send(&self, post: Post) -> MessageId {
        self.inner.change(|state| {
            let id = state.world.add_message(post);
            threads::rouse(state, state.world.messages[&id].channel);
            let event = Event::message("MESSAGE_CREATE", &state.world, id);
            state.announce(&event);
            id
        })
    }

    /// The bot has answered a message, though it has not heard of that: its process ended in between.
    pub(crate) fn answer_as_bot(&self, to: MessageId, content: &str) -> MessageId {
        let post = Post::new(self.message(to).channel, self.bot_id(), content);
        self.send(post.replying_to(to, false))
    }

    pub(crate) fn edit(&self, message: MessageId, content: &str) {
        self.inner.change(|state| {
            let edit = Edit::of_text(&state.world.messages[&message], content);
            state.world.edit_message(message, edit);
            let event = Event::message("MESSAGE_UPDATE", &state.world, message);
            state.announce(&event);
        });
    }

    pub(crate) fn delete(&self, message: MessageId) {
        self.inner.change(|state| {
            state.world.delete_message(message);
            let event = Event::message_delete(&state.world, message);
            state.announce(&event);
        });
    }

    /// A moderator sweeps messages of one channel away at once.
    pub(crate) fn delete_all(&self, channel: ChannelId, messages: &[MessageId]) {
        self.inner.change(|state| {
            for message in messages {
                state.world.delete_message(*message);
            }
            let event = Event::messages_delete(&state.world, channel, messages);
            state.announce(&event);
        });
    }
}

/// What admins do.
impl FakeDiscord {
    /// Deletes a channel or a thread.
    pub(crate) fn delete_channel(&self, channel: ChannelId) {
        self.inner.change(|state| {
            let event = Event::channel_delete(&state.world, &state.world.channels[&channel]);
            state.world.delete_channel(channel);
            state.announce(&event);
        });
    }

    /// A channel is deleted, and nobody is told.
    pub(crate) fn lose_channel(&self, channel: ChannelId) {
        self.inner.change(|state| state.world.delete_channel(channel));
    }

    /// Whether a channel and its threads are for adults only, which they are not at first.
    pub(crate) fn restrict_by_age(&self, channel: ChannelId, is_restricted: bool) {
        self.inner.change(|state| {
            let restricted = &mut state.world.age_restricted;
            let _ = if is_restricted { restricted.insert(channel) } else { restricted.remove(&channel) };
            let event = Event::channel_update(&state.world, &state.world.channels[&channel]);
            state.announce(&event);
        });
    }

    pub(crate) fn kick_bot(&self) {
        self.inner.change(|state| {
            state.world.bot_is_member = false;
            let event = Event::guild_delete(&state.world);
            state.announce(&event);
        });
    }

    /// The bot is invited again.
    pub(crate) fn invite_bot(&self) {
        self.inner.change(|state| {
            state.world.bot_is_member = true;
            let event = Event::guild_create(&state.world);
            state.announce(&event);
        });
    }
}
