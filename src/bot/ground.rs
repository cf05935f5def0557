//! The messages that are there already: they are changed and deleted, and get the buttons under them.

use serenity::all::{
    ButtonStyle, ChannelId, Context, CreateActionRow, CreateButton, CreateMessage, EditMessage,
    EditWebhookMessage, GuildId, MessageFlags, MessageId, Webhook, WebhookId,
};
use tracing::debug;

use super::components::Press;
use super::faces::{Faces, Stage};
use super::rest::{self, Finality, Trouble};
use super::sender::no_mentions;
use crate::assistant::Delivery;
use crate::chat::buttons::{Button, Row, Steer};
use crate::chat::text::Text;
use crate::chat::{self, Place};

/// A message that the bot has posted, as itself or by webhook.
#[derive(Debug, Clone, Copy)]
pub(super) struct Posted {
    pub(super) message: MessageId,
    pub(super) webhook: Option<WebhookId>,
}

impl Posted {
    pub(super) fn new(message: chat::MessageId, webhook: Option<u64>) -> Self {
        let webhook = webhook.map(|webhook| WebhookId::new(webhook.max(1)));
        Self { message: MessageId::new(message.0.max(1)), webhook }
    }
}

/// A channel in which messages of the bot and of its personas are changed.
pub(super) struct Ground<'a> {
    pub(super) context: &'a Context,
    pub(super) faces: &'a Faces,
    pub(super) channel: ChannelId,
    /// Where personas have faces; nowhere in direct messages.
    pub(super) stage: Option<Stage>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(context: &'a Context, faces: &'a Faces, place: Place) -> Self {
        let id = |channel: chat::ChannelId| ChannelId::new(channel.0.max(1));
        let channel = id(place.channel);
        let (home, thread) = match place.parent {
            Some(parent) => (id(parent), Some(channel)),
            None => (channel, None),
        };
        let server = place.server.map(|server| GuildId::new(server.0.max(1)));
        Self { context, faces, channel, stage: server.map(|server| Stage { server, home, thread }) }
    }

    /// No buttons stand under a message any more. That may fail: those that do are told from their age.
    pub(super) async fn undress(&self, message: chat::MessageId, webhook: Option<u64>) {
        if let Err(trouble) = self.change(Posted::new(message, webhook), None, None).await {
            debug!(channel = self.channel.get(), %trouble, "buttons could not be taken away");
        }
    }

    /// Says something as the bot itself. That may fail: nobody waits for it.
    pub(super) async fn say(&self, text: &Text) {
        let message = CreateMessage::new().content(text.to_string()).allowed_mentions(no_mentions());
        let message = message.flags(MessageFlags::SUPPRESS_EMBEDS);
        let http = &self.context.http;
        let sent = rest::retry("create message", || self.channel.send_message(http, message.clone())).await;
        if let Err(trouble) = sent {
            debug!(channel = self.channel.get(), %trouble, "something could not be said");
        }
    }

    /// Changes a message and the buttons under it; without content those alone.
    pub(super) async fn change(
        &self,
        posted: Posted,
        content: Option<&str>,
        row: Option<Row>,
    ) -> Result<Delivery, Trouble> {
        let rows = row.map_or_else(Vec::new, components);
        let http = &self.context.http;
        let Some(webhook) = posted.webhook else {
            let mut edit = EditMessage::new().allowed_mentions(no_mentions()).components(rows);
            if let Some(content) = content {
                edit = edit.content(content);
            }
            rest::retry("edit message", || {
                let edit = edit.clone();
                async { self.channel.edit_message(http, posted.message, edit).await }
            })
            .await?;
            return Ok(Delivery::Done);
        };
        let Some(stage) = self.stage else { return Ok(Delivery::Frozen) };
        let Some(known) = self.webhook(stage, webhook).await else { return Ok(Delivery::Frozen) };
        let mut edit = EditWebhookMessage::new().allowed_mentions(no_mentions()).components(rows);
        if let Some(content) = content {
            edit = edit.content(content);
        }
        if let Some(thread) = stage.thread {
            edit = edit.in_thread(thread);
        }
        let edited =
            rest::retry("edit webhook message", || known.edit_message(http, posted.message, edit.clone()));
        match edited.await {
            Err(trouble) if trouble.finality() == Some(Finality::Webhook) => {
                self.faces.lost(stage.home, webhook);
                Ok(Delivery::Frozen)
            }
            edited => edited.map(|_| Delivery::Done),
        }
    }

    pub(super) async fn delete(&self, posted: Posted) -> Result<Delivery, Trouble> {
        let http = &self.context.http;
        let deleted = match (posted.webhook, self.stage) {
            (Some(webhook), Some(stage)) => {
                // Without it nobody but a moderator can.
                let Some(known) = self.webhook(stage, webhook).await else { return Ok(Delivery::Failed) };
                let delete = || known.delete_message(http, stage.thread, posted.message);
                rest::retry("delete webhook message", delete).await
            }
            _ => rest::retry("delete message", || self.channel.delete_message(http, posted.message)).await,
        };
        deleted.map(|()| Delivery::Done)
    }

    /// The webhook that has posted a message, if it is the channel's still.
    async fn webhook(&self, stage: Stage, wanted: WebhookId) -> Option<Webhook> {
        self.faces.webhook(self.context, stage, false).await.filter(|known| known.id == wanted)
    }
}

/// A row of buttons as Discord takes it.
pub(super) fn components(row: Row) -> Vec<CreateActionRow> {
    let button = |button: Button| {
        let style = match button.steer {
            Steer::Stop | Steer::Delete => ButtonStyle::Danger,
            _ => ButtonStyle::Secondary,
        };
        let press = Press::Under(button.steer, row.turn, row.selected);
        CreateButton::new(press.to_string()).label(button.label).style(style).disabled(!button.enabled)
    };
    vec![CreateActionRow::Buttons(row.buttons().into_iter().map(button).collect())]
}
