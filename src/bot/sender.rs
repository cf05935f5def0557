//! Carries a reply's actions out in a channel: typing, sending, editing.

use std::sync::Arc;
use std::time::Duration;

use serenity::all::{
    ChannelId, CreateAllowedMentions, CreateMessage, EditMessage, GuildId, MessageFlags, MessageId,
    MessageReference, MessageReferenceKind, Nonce, UserId,
};
use serenity::http::Http;
use tracing::{debug, warn};

use super::quiet::Quiet;
use super::rest::{self, Finality, Trouble};
use crate::assistant::{Accepted, Delivery, Outlet};
use crate::chat::notice::Notice;
use crate::chat::reply::ReplyAction;

/// How long a typing sign, or a word by direct message, may take: the reply waits for it.
const TYPING_PATIENCE: Duration = Duration::from_secs(3);

/// One reply's way into its channel.
pub(super) struct Sender {
    http: Arc<Http>,
    quiet: Arc<Quiet>,
    channel: ChannelId,
    server: Option<GuildId>,
    /// Who posted the message that is answered.
    asker: Option<UserId>,
    /// Whether the message was taken in before a restart, and may have been answered then.
    again: bool,
    /// The channel was not there any more.
    gone: bool,
    /// The message that is answered.
    trigger: MessageId,
    /// The messages of the reply, by part.
    messages: Vec<MessageId>,
    flags: MessageFlags,
}

impl Sender {
    /// The way of an answer to a message in a server, or in direct messages.
    pub(super) fn new(
        http: Arc<Http>,
        quiet: Arc<Quiet>,
        server: Option<GuildId>,
        accepted: &Accepted,
    ) -> Self {
        Self {
            http,
            quiet,
            channel: ChannelId::new(accepted.channel().0.max(1)),
            server,
            asker: accepted.asker().map(|member| UserId::new(member.0)),
            again: accepted.is_again(),
            gone: false,
            trigger: MessageId::new(accepted.trigger().0.max(1)),
            messages: accepted.shown().iter().map(|message| MessageId::new(message.0.max(1))).collect(),
            flags: if accepted.shows_links() { MessageFlags::empty() } else { MessageFlags::SUPPRESS_EMBEDS },
        }
    }

    pub(super) fn channel(&self) -> ChannelId {
        self.channel
    }

    /// Whether the channel was not there any more.
    pub(super) fn channel_is_gone(&self) -> bool {
        self.gone
    }

    async fn send(&mut self, part: usize, content: String) -> Result<Delivery, Trouble> {
        let mut message = CreateMessage::new()
            .content(content.as_str())
            .allowed_mentions(no_mentions())
            .flags(self.flags)
            .nonce(Nonce::String(format!("{:x}-{part}", self.trigger.get())))
            .enforce_nonce(true);
        if self.messages.is_empty() {
            let reference = MessageReference::new(MessageReferenceKind::Default, self.channel)
                .message_id(self.trigger)
                .fail_if_not_exists(false);
            message = message.reference_message(reference);
        }
        let sent = rest::retry("create message", || {
            let message = message.clone();
            async { self.channel.send_message(&self.http, message).await }
        });
        let sent = sent.await?;
        self.messages.push(sent.id);
        if self.again && sent.content != content.trim() {
            // It is the one that was sent with this nonce before a restart.
            match self.edit(self.messages.len() - 1, content).await {
                Err(trouble) if trouble.finality() == Some(Finality::Message) => return Err(trouble),
                // It is there all the same.
                Err(trouble) => warn!(%trouble, "a message of before could not be brought up to date"),
                Ok(_) => {}
            }
        }
        Ok(Delivery::Sent(crate::chat::MessageId(sent.id.get())))
    }

    async fn edit(&self, part: usize, content: String) -> Result<Delivery, Trouble> {
        let Some(&message) = self.messages.get(part) else { return Ok(Delivery::Failed) };
        let edit = EditMessage::new().content(content).allowed_mentions(no_mentions());
        rest::retry("edit message", || {
            let edit = edit.clone();
            async { self.channel.edit_message(&self.http, message, edit).await }
        })
        .await?;
        Ok(Delivery::Done)
    }

    /// The bot may not speak here: nothing more is tried for a while, and whoever asked is told once, by direct message.
    async fn refused(&self) {
        let is_new = self.quiet.refused(self.channel, self.server);
        let (Some(asker), true, Some(_)) = (self.asker, is_new, self.server) else { return };
        let told = async {
            let direct = asker.create_dm_channel(&self.http).await?;
            let text = Notice::MayNotSpeak { channel: self.channel.get() }.to_string();
            let message = CreateMessage::new().content(text).allowed_mentions(no_mentions());
            direct.id.send_message(&self.http, message).await
        };
        // Many take no direct messages, and the log has said it.
        match tokio::time::timeout(TYPING_PATIENCE, told).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!(trouble = %Trouble::from(&error), "whoever asked could not be told"),
            Err(_) => debug!(trouble = %Trouble::NoAnswer, "whoever asked could not be told"),
        }
    }

    /// One try: a typing sign that comes late is worth nothing.
    async fn typing(&self) -> Result<Delivery, Trouble> {
        match tokio::time::timeout(TYPING_PATIENCE, self.http.broadcast_typing(self.channel)).await {
            Ok(Ok(())) => Ok(Delivery::Done),
            Ok(Err(error)) => Err(Trouble::from(&error)),
            Err(_) => Err(Trouble::NoAnswer),
        }
    }
}

impl Outlet for Sender {
    async fn act(&mut self, action: ReplyAction) -> Delivery {
        if self.quiet.is_quiet(self.channel) {
            return Delivery::Gone;
        }
        let (route, outcome) = match action {
            ReplyAction::Typing => ("trigger typing", self.typing().await),
            ReplyAction::Send { part, content, .. } => ("create message", self.send(part, content).await),
            ReplyAction::Edit { part, content } => ("edit message", self.edit(part, content).await),
        };
        match outcome {
            Ok(delivery) => {
                self.quiet.forget(self.channel);
                delivery
            }
            Err(trouble) => {
                warn!(route, channel = self.channel.get(), %trouble, "a reply could not be delivered");
                match trouble.finality() {
                    Some(Finality::Channel) => self.gone = true,
                    Some(Finality::Permission) => self.refused().await,
                    Some(Finality::Message) => return Delivery::Deleted,
                    None => return Delivery::Failed,
                }
                Delivery::Gone
            }
        }
    }
}

/// Nobody is pinged, not even the author of the message that is answered.
pub(super) fn no_mentions() -> CreateAllowedMentions {
    CreateAllowedMentions::new().replied_user(false)
}
