//! Carries a reply's actions out in a channel: typing, sending, editing, deleting, as the persona itself where that can be.

use std::sync::Arc;
use std::time::Duration;

use serenity::all::{
    ChannelId, Context, CreateAllowedMentions, CreateMessage, ExecuteWebhook, GetMessages, GuildId, Message,
    MessageFlags, MessageId, MessageReference, MessageReferenceKind, Nonce, Permissions, UserId, WebhookId,
};
use tracing::{debug, warn};

use super::catching_up::PAGE;
use super::events::Handler;
use super::faces::{Face, Faces, Stage};
use super::ground::{Ground, Posted, components};
use super::quiet::Quiet;
use super::reading;
use super::rest::{self, Finality, Trouble};
use crate::assistant::{Accepted, Delivery, Look, Outlet};
use crate::chat::buttons::Row;
use crate::chat::notice::Notice;
use crate::chat::reply::{self, ReplyAction};
use crate::chat::settings::Style;
use crate::chat::{self, sanitize, split};
use crate::persona::Persona;

/// How long a typing sign, or a word by direct message, may take: the reply waits for it.
const TYPING_PATIENCE: Duration = Duration::from_secs(3);

/// How long a reply waits for the face of its persona.
const FACE_PATIENCE: Duration = Duration::from_secs(8);

/// One reply's way into its channel.
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
pub(super) struct Sender {
    context: Context,
    quiet: Arc<Quiet>,
    faces: Arc<Faces>,
    channel: ChannelId,
    server: Option<GuildId>,
    /// Where personas have faces; nowhere in direct messages.
    stage: Option<Stage>,
    /// Who posted the message that is answered, and their name.
    asker: Option<UserId>,
    asker_name: String,
    /// Whether the message was taken in before a restart, and may have been answered then.
    again: bool,
    /// Whether only a word is said that an answer was cut off.
    afterthought: bool,
    /// The channel was not there any more.
    gone: bool,
    /// The message that is answered, or the number of what somebody wanted.
    trigger: MessageId,
    /// Whether there is such a message.
    has_trigger: bool,
    /// Who speaks, and under which name.
    persona: Option<(Arc<Persona>, String)>,
    /// As whom they are seen; as the bot without one.
    face: Option<Face>,
    /// The messages of the reply, by part.
    messages: Vec<Posted>,
    /// Whether the name stands above the first of them though the reply does not know it.
    headed: bool,
    flags: MessageFlags,
}

impl Sender {
    /// The way of an answer to a message in a server, or in direct messages.
    pub(super) fn new(
        context: &Context,
        handler: &Handler,
        server: Option<GuildId>,
        accepted: &Accepted,
    ) -> Self {
        let Ground { channel, stage, .. } = Ground::new(context, &handler.faces, accepted.place());
        let posted = accepted.shown().iter().map(|part| Posted::new(part.message, part.webhook));
        Self {
            context: context.clone(),
            quiet: Arc::clone(&handler.quiet),
            faces: Arc::clone(&handler.faces),
            channel,
            server,
            stage,
            asker: accepted.asker().map(|member| UserId::new(member.0)),
            asker_name: accepted.asker_name().to_owned(),
            again: accepted.is_again(),
            afterthought: accepted.is_afterthought(),
            gone: false,
            trigger: MessageId::new(accepted.wanted_by().0.max(1)),
            has_trigger: accepted.answers_a_message(),
            persona: None,
            face: None,
            messages: posted.collect(),
            headed: false,
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

    /// Posts a message as the bot. What has the same number is posted once.
    async fn send(&mut self, number: String, content: String, row: Option<Row>) -> Result<Delivery, Trouble> {
        let mut message = CreateMessage::new()
            .content(content.as_str())
            .allowed_mentions(no_mentions())
            .flags(self.flags)
            .nonce(Nonce::String(format!("{:x}-{number}", self.trigger.get())))
            .enforce_nonce(true);
        if let Some(row) = row {
            message = message.components(components(row));
        }
        if self.messages.is_empty() && self.has_trigger {
            let reference = MessageReference::new(MessageReferenceKind::Default, self.channel)
                .message_id(self.trigger)
                .fail_if_not_exists(false);
            message = message.reference_message(reference);
        }
        let sent = rest::retry("create message", || {
            let message = message.clone();
            async { self.channel.send_message(&self.context.http, message).await }
        });
        let sent = sent.await?;
        let delivery = self.posted(&sent, None);
        if self.again && sent.content != content.trim() {
            // It is the one that was sent with this nonce before a restart.
            match self.edit(self.messages.len() - 1, &content, row).await {
                Err(trouble) if trouble.finality() == Some(Finality::Message) => return Err(trouble),
                // It is there all the same.
                Err(trouble) => warn!(%trouble, "a message of before could not be brought up to date"),
                Ok(_) => {}
            }
        }
        Ok(delivery)
    }

    /// Posts a message as the bot that is no part of the reply. What has the same number is posted once.
    async fn say_aside(&self, number: usize, content: &str) -> Result<Delivery, Trouble> {
        let message = CreateMessage::new()
            .content(content)
            .allowed_mentions(no_mentions())
            .flags(MessageFlags::SUPPRESS_EMBEDS)
            .nonce(Nonce::String(format!("{:x}-a{number}", self.trigger.get())))
            .enforce_nonce(true);
        let sent = rest::retry("create message", || {
            let message = message.clone();
            async { self.channel.send_message(&self.context.http, message).await }
        });
        Ok(Delivery::Sent { message: chat::MessageId(sent.await?.id.get()), webhook: None })
    }

    fn posted(&mut self, sent: &Message, webhook: Option<WebhookId>) -> Delivery {
        self.messages.push(Posted { message: sent.id, webhook });
        let message = chat::MessageId(sent.id.get());
        Delivery::Sent { message, webhook: webhook.map(WebhookId::get) }
    }

    /// Posts a message as the persona itself; as the bot where it has lost its face.
    async fn send_as_itself(
        &mut self,
        part: usize,
        content: String,
        row: Option<Row>,
    ) -> Result<Delivery, Trouble> {
        let after = self.newest_known();
        let (mut renewed, mut tries) = (false, 0);
        while let Some(face) = self.face.clone() {
            tries += 1;
            let trouble = match rest::once("execute webhook", self.execute(&face, &content, row)).await {
                Ok(Some(sent)) if sent.channel_id == self.channel => {
                    return Ok(self.posted(&sent, Some(face.webhook.id)));
                }
                Ok(Some(sent)) => {
                    // An admin has moved the webhook to another channel, where nobody is to read this.
                    let elsewhere = Posted { message: sent.id, webhook: Some(face.webhook.id) };
                    self.take_from_elsewhere(&face, elsewhere).await;
                    self.lose_face(&face, renewed).await;
                    renewed = true;
                    continue;
                }
                Ok(None) => Trouble::Confused,
                Err(trouble) => trouble,
            };
            let thread = self.stage.and_then(|stage| stage.thread);
            match trouble.finality() {
                Some(Finality::Webhook) => {
                    self.lose_face(&face, renewed).await;
                    renewed = true;
                    continue;
                }
                Some(Finality::Channel) if thread.is_some() && !renewed => {
                    // The thread may be that of another channel now.
                    self.lose_face(&face, renewed).await;
                    renewed = true;
                    continue;
                }
                Some(_) => return Err(trouble),
                None if tries >= rest::TRIES => return Err(trouble),
                None if trouble.has_done_nothing() && !trouble.may_pass() => {
                    warn!(route = "execute webhook", %trouble, "the persona speaks as the bot");
                    self.face = None;
                    continue;
                }
                None => {}
            }
            warn!(route = "execute webhook", %trouble, tries, "trying again");
            rest::pause(tries).await;
            if trouble.has_done_nothing() {
                continue;
            }
            // A webhook knows no nonces, so the channel has to tell.
            match self.find(&face, &content, after).await {
                Ok(Some(sent)) => return Ok(self.posted(&sent, Some(face.webhook.id))),
                Ok(None) => {}
                Err(_) => return Ok(Delivery::Uncertain),
            }
        }
        let content = if part == 0 { self.headed(content) } else { content };
        self.send(part.to_string(), content, row).await
    }

    /// The newest message of the channel that is known of: what is posted now comes after it.
    fn newest_known(&self) -> MessageId {
        let own = self.messages.last().map_or(self.trigger, |posted| posted.message);
        let heard = self.server.and_then(|server| {
            let guild = self.context.cache.guild(server)?;
            match guild.channels.get(&self.channel) {
                Some(channel) => channel.last_message_id,
                None => guild.threads.iter().find(|thread| thread.id == self.channel)?.last_message_id,
            }
        });
        heard.into_iter().chain([own, self.trigger]).max().unwrap_or(own)
    }

    /// Deletes what a webhook has posted in another channel.
    async fn take_from_elsewhere(&self, face: &Face, posted: Posted) {
        warn!(channel = self.channel.get(), "a webhook posts in another channel now; it gets another one");
        let deleted = rest::retry("delete webhook message", || {
            face.webhook.delete_message(&self.context.http, None, posted.message)
        });
        if let Err(trouble) = deleted.await {
            warn!(channel = self.channel.get(), %trouble, "what it has posted there could not be deleted");
        }
    }

    fn execute(
        &self,
        face: &Face,
        content: &str,
        row: Option<Row>,
    ) -> impl Future<Output = serenity::Result<Option<Message>>> {
        let mut message = ExecuteWebhook::new()
            .content(content)
            .username(face.name.as_str())
            .allowed_mentions(no_mentions())
            .flags(self.flags);
        if let Some(picture) = &face.picture {
            message = message.avatar_url(picture);
        }
        if let Some(row) = row {
            message = message.components(components(row));
        }
        if let Some(thread) = self.stage.and_then(|stage| stage.thread) {
            message = message.in_thread(thread);
        }
        let (webhook, http) = (face.webhook.clone(), Arc::clone(&self.context.http));
        async move { webhook.execute(http, true, message).await }
    }

    /// The message with this content that the webhook has posted after another one, if it is there.
    ///
    /// # Errors
    /// A trouble when that cannot be found out.
    async fn find(&self, face: &Face, content: &str, after: MessageId) -> Result<Option<Message>, Trouble> {
        let may = self.stage.and_then(|stage| reading::permissions(&self.context, stage.server, stage.home));
        if may.is_some_and(|may| !may.contains(Permissions::READ_MESSAGE_HISTORY)) {
            // Discord shows an empty channel then, which proves nothing.
            return Err(Trouble::Confused);
        }
        let wanted = GetMessages::new().limit(PAGE);
        let there =
            rest::retry("list messages", || self.channel.messages(&self.context.http, wanted)).await?;
        let is_it = |message: &Message| {
            message.id > after
                && message.webhook_id == Some(face.webhook.id)
                && message.content == content.trim()
        };
        Ok(there.into_iter().find(is_it))
    }

    /// The webhook is not there any more: there may be another one, once.
    async fn lose_face(&mut self, face: &Face, renewed: bool) {
        let Some(stage) = self.stage else { return self.face = None };
        self.faces.lost(stage.home, face.webhook.id);
        let webhook = if renewed { None } else { self.faces.webhook(&self.context, stage, true).await };
        self.face = webhook.map(|webhook| Face { webhook, ..face.clone() });
    }

    /// The content with the persona's name above, as far as there is room for it.
    fn headed(&mut self, content: String) -> String {
        let Some((_, name)) = self.persona.as_ref().filter(|(_, name)| !self.is_called(name)) else {
            return content;
        };
        let headed = format!("{}{content}", reply::heading(name));
        self.headed = split::length(&headed) <= split::MESSAGE_MAX;
        if self.headed { headed } else { content }
    }

    /// Whether the bot itself has this name here.
    fn is_called(&self, name: &str) -> bool {
        let me = self.context.cache.current_user();
        let nick = self.server.and_then(|server| {
            let guild = self.context.cache.guild(server)?;
            guild.members.get(&me.id)?.nick.clone()
        });
        let shown = nick.unwrap_or_else(|| me.global_name.clone().unwrap_or_else(|| me.name.clone()));
        sanitize::folded_name(&sanitize::name(&shown)) == sanitize::folded_name(name)
    }

    async fn edit(&self, part: usize, content: &str, row: Option<Row>) -> Result<Delivery, Trouble> {
        let Some(&posted) = self.messages.get(part) else { return Ok(Delivery::Failed) };
        let above = self.persona.as_ref().filter(|_| self.headed && part == 0);
        let content = above.map_or(content.to_owned(), |(_, name)| reply::heading(name) + content);
        if split::length(&content) > split::MESSAGE_MAX {
            return Ok(Delivery::Frozen);
        }
        self.ground().change(posted, Some(&content), row).await
    }

    fn ground(&self) -> Ground<'_> {
        Ground { context: &self.context, faces: &self.faces, channel: self.channel, stage: self.stage }
    }

    /// Deletes a message of the reply.
    async fn delete(&mut self, part: usize) -> Result<Delivery, Trouble> {
        let Some(&posted) = self.messages.get(part) else { return Ok(Delivery::Done) };
        let deleted = self.ground().delete(posted).await;
        let is_gone = match &deleted {
            Ok(delivery) => *delivery == Delivery::Done,
            Err(trouble) => trouble.finality() == Some(Finality::Message),
        };
        if is_gone {
            self.messages.truncate(part);
        }
        deleted
    }

    /// The bot may not speak here: nothing more is tried for a while, and whoever asked is told once, by direct message.
    async fn refused(&self) {
        let is_new = self.quiet.refused(self.channel, self.server);
        let (Some(asker), true, Some(_)) = (self.asker, is_new, self.server) else { return };
        let told = async {
            let direct = asker.create_dm_channel(&self.context.http).await?;
            let text = Notice::MayNotSpeak { channel: self.channel.get() }.to_string();
            let message = CreateMessage::new().content(text).allowed_mentions(no_mentions());
            direct.id.send_message(&self.context.http, message).await
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
        match tokio::time::timeout(TYPING_PATIENCE, self.context.http.broadcast_typing(self.channel)).await {
            Ok(Ok(())) => Ok(Delivery::Done),
            Ok(Err(error)) => Err(Trouble::from(&error)),
            Err(_) => Err(Trouble::NoAnswer),
        }
    }
}

impl Outlet for Sender {
    async fn appear(&mut self, persona: &Arc<Persona>, name: &str, style: Style) -> Look {
        self.persona = Some((Arc::clone(persona), name.to_owned()));
        let faces = Arc::clone(&self.faces);
        self.face = match (style, self.stage) {
            (Style::Own, Some(stage)) => {
                let face = faces.of(&self.context, stage, persona, name, &self.asker_name);
                // Nobody waits for it longer than for a typing sign to fade.
                tokio::time::timeout(FACE_PATIENCE, face).await.ok().flatten()
            }
            _ => None,
        };
        if self.face.is_some() || self.is_called(name) { Look::Itself } else { Look::Another }
    }

    async fn act(&mut self, action: ReplyAction, row: Option<Row>) -> Delivery {
        if self.quiet.is_quiet(self.channel) {
            return Delivery::Gone;
        }
        let (route, outcome) = match action {
            ReplyAction::Typing => ("trigger typing", self.typing().await),
            ReplyAction::Send { part, content, .. } if self.face.is_some() => {
                ("execute webhook", self.send_as_itself(part, content, row).await)
            }
            ReplyAction::Send { part, content, .. } => {
                ("create message", self.send(part.to_string(), content, row).await)
            }
            ReplyAction::Tell { part, content } => {
                // Else it may take the place of what would have been said, should that be on its way still.
                let number = if self.afterthought { format!("n{part}") } else { part.to_string() };
                ("create message", self.send(number, content, None).await)
            }
            ReplyAction::Aside { number, content } => {
                ("create message", self.say_aside(number, &content).await)
            }
            ReplyAction::Edit { part, content } => ("edit message", self.edit(part, &content, row).await),
            ReplyAction::Dress { message, webhook } => {
                let changed = self.ground().change(Posted::new(message, webhook), None, row).await;
                // Whether it works says nothing of the reply.
                return changed.unwrap_or_else(|trouble| {
                    debug!(channel = self.channel.get(), %trouble, "buttons could not be changed");
                    Delivery::Failed
                });
            }
            ReplyAction::Delete { part } => ("delete message", self.delete(part).await),
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
                    Some(Finality::Webhook) | None => return Delivery::Failed,
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
