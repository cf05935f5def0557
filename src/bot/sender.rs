//! Carries a reply's actions out in a channel: typing, sending, editing.

use std::sync::Arc;
use std::time::Duration;

use serenity::all::{
    ChannelId, CreateAllowedMentions, CreateMessage, EditMessage, MessageFlags, MessageId, MessageReference,
    MessageReferenceKind, Nonce,
};
use serenity::http::Http;
use tracing::warn;

use super::rest::{self, Trouble};
use crate::assistant::{Delivery, Outlet};
use crate::chat::reply::ReplyAction;

/// How long a typing sign may take: the reply waits for it.
const TYPING_PATIENCE: Duration = Duration::from_secs(3);

/// One reply's way into its channel.
pub(super) struct Sender {
    http: Arc<Http>,
    channel: ChannelId,
    /// The message that is answered.
    trigger: MessageId,
    /// The messages of the reply, by part.
    messages: Vec<MessageId>,
}

impl Sender {
    pub(super) fn new(http: Arc<Http>, channel: ChannelId, trigger: MessageId) -> Self {
        Self { http, channel, trigger, messages: Vec::new() }
    }

    async fn send(&mut self, part: usize, content: String) -> Result<Delivery, Trouble> {
        let mut message = CreateMessage::new()
            .content(content)
            .allowed_mentions(no_mentions())
            .flags(MessageFlags::SUPPRESS_EMBEDS)
            .nonce(Nonce::String(format!("{:x}-{part}", self.trigger.get())))
            .enforce_nonce(true);
        if part == 0 {
            let reference = MessageReference::new(MessageReferenceKind::Default, self.channel)
                .message_id(self.trigger)
                .fail_if_not_exists(false);
            message = message.reference_message(reference);
        }
        let sent = rest::retry("create message", || {
            let message = message.clone();
            async { self.channel.send_message(&self.http, message).await }
        });
        let id = sent.await?.id;
        self.messages.push(id);
        Ok(Delivery::Sent(crate::chat::MessageId(id.get())))
    }

    async fn edit(&mut self, part: usize, content: String) -> Result<Delivery, Trouble> {
        let Some(&message) = self.messages.get(part) else { return Ok(Delivery::Failed) };
        let edit = EditMessage::new().content(content).allowed_mentions(no_mentions());
        rest::retry("edit message", || {
            let edit = edit.clone();
            async { self.channel.edit_message(&self.http, message, edit).await }
        })
        .await?;
        Ok(Delivery::Done)
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
        let (route, outcome) = match action {
            ReplyAction::Typing => ("trigger typing", self.typing().await),
            ReplyAction::Send { part, content } => ("create message", self.send(part, content).await),
            ReplyAction::Edit { part, content } => ("edit message", self.edit(part, content).await),
        };
        outcome.unwrap_or_else(|trouble| {
            warn!(route, channel = self.channel.get(), %trouble, "a reply could not be delivered");
            if trouble.is_final() { Delivery::Gone } else { Delivery::Failed }
        })
    }
}

/// Nobody is pinged, not even the author of the message that is answered.
pub(super) fn no_mentions() -> CreateAllowedMentions {
    CreateAllowedMentions::new().replied_user(false)
}
