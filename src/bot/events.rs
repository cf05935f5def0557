//! The door: what Discord tells is passed on to the assistant, in our own words.

use std::sync::{Arc, Mutex, PoisonError};

use serenity::all::{
    ChannelId, ChannelType, Context, EventHandler, Guild, GuildChannel, GuildId, Interaction, Member,
    Message, MessageId, MessageUpdateEvent, PartialGuildChannel, Ready, ResumedEvent, Role,
    ShardStageUpdateEvent, UnavailableGuild,
};
use serenity::async_trait;
use tokio::sync::Semaphore;
use tracing::{debug, info};

use super::arrivals::Arrivals;
use super::attachments::Attachments;
use super::faces::Faces;
use super::ground::Ground;
use super::proxies::Proxies;
use super::quiet::Quiet;
use super::reading;
use crate::admin::Admin;
use crate::assistant::Assistant;
use crate::chat::addressing::{self, Incoming};
use crate::chat::text::Staging;
use crate::chat::{self, MemberId, Place, ServerId};

/// How many channels are read at a time.
const READERS: usize = 4;

/// How many texts and pictures are looked at at a time.
const EDITORS: usize = 2;

/// Receives events and passes on what concerns the assistant.
#[derive(Clone)]
pub(super) struct Handler {
    pub(super) assistant: Arc<Assistant>,
    pub(super) admin: Admin,
    pub(super) me: MemberId,
    pub(super) quiet: Arc<Quiet>,
    pub(super) faces: Arc<Faces>,
    pub(super) attachments: Attachments,
    arrivals: Arc<Arrivals<Incoming>>,
    proxies: Arc<Proxies>,
    /// One whose rating is learnt at a time.
    rating: Arc<Mutex<()>>,
    /// Channels are read a few at a time, so that answering goes on beside it.
    pub(super) readers: Arc<Semaphore>,
    /// The same for looking at what is to be a persona.
    pub(super) editors: Arc<Semaphore>,
}

impl Handler {
    pub(super) fn new(
        assistant: Arc<Assistant>,
        admin: Admin,
        me: MemberId,
        attachments: Attachments,
    ) -> Self {
        Self {
            assistant,
            admin,
            me,
            quiet: Arc::default(),
            faces: Arc::default(),
            attachments,
            arrivals: Arc::new(Arrivals::new()),
            proxies: Arc::new(Proxies::new()),
            rating: Arc::default(),
            readers: Arc::new(Semaphore::new(READERS)),
            editors: Arc::new(Semaphore::new(EDITORS)),
        }
    }
}

#[async_trait]
impl EventHandler for Handler {
    async fn message(&self, context: Context, message: Message) {
        let server = message.guild_id;
        let place = reading::place(&context, message.channel_id, server);
        self.heard_of(&context, place, chat::MessageId(message.id.get()));
        let Some(incoming) = reading::incoming(&context, &message, server, self.me) else { return };
        if let Some(server) = incoming.server {
            self.assistant.learn(server).await;
        }
        if let Some(server) = server.filter(|_| !incoming.author.automated) {
            self.faces.heard(server, &incoming.author.name);
        }
        let programs = self.assistant.proxies_in(place);
        let is_own = reading::is_own(&context, &message, self.me);
        let by_program = message.application_id.is_some_and(|id| programs.contains(&id.get()));
        if by_program && message.webhook_id.is_some() && !is_own {
            return self.proxies.reposted(incoming, message.content);
        }
        let may_be_addressed = addressing::may_be_addressed(&incoming, self.assistant.hears_in(place));
        let is_overheard = !incoming.author.automated && self.assistant.listens_in(place);
        if !may_be_addressed && !is_overheard {
            return;
        }
        let incoming = if programs.is_empty() {
            Some(incoming)
        } else {
            tokio::select! {
                settled = self.proxies.settle(incoming.clone(), &message.content) => settled,
                // What was not settled is left to the next start as it is.
                () = self.assistant.closes() => Some(incoming),
            }
        };
        if let Some(incoming) = incoming {
            self.take_in(&context, incoming, server).await;
        }
    }

    async fn interaction_create(&self, context: Context, interaction: Interaction) {
        // The rest is the commands' own.
        match interaction {
            Interaction::Component(interaction) => self.pressed(&context, &interaction).await,
            Interaction::Modal(interaction) => self.submitted(&context, &interaction).await,
            _ => {}
        }
    }

    async fn message_update(
        &self,
        context: Context,
        _: Option<Message>,
        _: Option<Message>,
        update: MessageUpdateEvent,
    ) {
        // Without a time of editing it is not the author who has changed it: Discord has found a preview for a link.
        let (Some(written), Some(_)) = (&update.content, update.edited_timestamp) else { return };
        let is_own = update.author.as_ref().is_some_and(|author| author.id.get() == self.me.0);
        // Members change what was posted anew for them by the program that has posted it.
        let place = reading::place(&context, update.channel_id, update.guild_id);
        let programs = self.assistant.proxies_in(place);
        let by_program = update.application_id.flatten().is_some_and(|id| programs.contains(&id.get()));
        if is_own || (update.webhook_id.flatten().is_some() && !by_program) {
            return;
        }
        let mentions = update.mentions.as_deref().unwrap_or_default();
        let attachments = update.attachments.as_deref().unwrap_or_default();
        let server = update.guild_id;
        let text = reading::text(&context, written, mentions, attachments, server, self.me);
        let message = chat::MessageId(update.id.get());
        self.settle_first(&context, update.channel_id, server).await;
        let place = reading::place(&context, update.channel_id, server);
        self.assistant.message_edited(place, message, text).await;
    }

    async fn message_delete(
        &self,
        context: Context,
        channel: ChannelId,
        message: MessageId,
        server: Option<GuildId>,
    ) {
        self.deleted(&context, channel, message, server).await;
    }

    async fn message_delete_bulk(
        &self,
        context: Context,
        channel: ChannelId,
        all: Vec<MessageId>,
        server: Option<GuildId>,
    ) {
        for message in all {
            self.deleted(&context, channel, message, server).await;
        }
    }

    async fn channel_create(&self, context: Context, channel: GuildChannel) {
        self.rated(&context, &channel);
    }

    async fn channel_update(&self, context: Context, _: Option<GuildChannel>, channel: GuildChannel) {
        self.rated(&context, &channel);
        self.quiet.forget(channel.id);
        // Its threads have no rules of their own.
        self.allowed_anew(channel.guild_id);
    }

    async fn guild_role_update(&self, _: Context, _: Option<Role>, role: Role) {
        self.allowed_anew(role.guild_id);
    }

    async fn guild_member_update(
        &self,
        _: Context,
        _: Option<Member>,
        _: Option<Member>,
        update: serenity::all::GuildMemberUpdateEvent,
    ) {
        if update.user.id.get() == self.me.0 {
            self.allowed_anew(update.guild_id);
        }
    }

    async fn channel_delete(&self, context: Context, channel: GuildChannel, _: Option<Vec<Message>>) {
        self.channel_gone(&context, channel.id, None).await;
    }

    async fn thread_delete(&self, context: Context, thread: PartialGuildChannel, _: Option<GuildChannel>) {
        // What was said in a private one is not for those who see its parent.
        let is_public = matches!(thread.kind, ChannelType::PublicThread | ChannelType::NewsThread);
        let parent = is_public.then_some(chat::ChannelId(thread.parent_id.get()));
        self.channel_gone(&context, thread.id, parent).await;
    }

    async fn guild_create(&self, context: Context, guild: Guild, _: Option<bool>) {
        self.allowed_anew(guild.id);
        for channel in guild.channels.values() {
            self.rated(&context, channel);
        }
        self.assistant.left(ServerId(guild.id.get()), false).await;
        self.assistant.learn(ServerId(guild.id.get())).await;
        self.catch_up(&context, Some(guild.id)).await;
    }

    async fn guild_delete(&self, _: Context, gone: UnavailableGuild, _: Option<Guild>) {
        // A server that is merely unreachable for a while comes back.
        if !gone.unavailable {
            self.assistant.left(ServerId(gone.id.get()), true).await;
        }
    }

    async fn ready(&self, context: Context, ready: Ready) {
        info!(shard = context.shard_id.0, servers = ready.guilds.len(), "connected");
        let servers: Vec<ServerId> = ready.guilds.iter().map(|guild| ServerId(guild.id.get())).collect();
        // A shard has the servers that Discord's formula gives it.
        let (shard, shards) = ready.shard.map_or((0, 1), |shard| (shard.id.0, shard.total.max(1)));
        let is_ours = |server: ServerId| (server.0 >> 22) % u64::from(shards) == u64::from(shard);
        self.assistant.is_in(&servers, is_ours).await;
        // Direct messages come over the first one.
        if context.shard_id.0 == 0 {
            self.catch_up(&context, None).await;
        }
    }

    async fn resume(&self, context: Context, _: ResumedEvent) {
        info!(shard = context.shard_id.0, "connection resumed");
    }

    async fn shard_stage_update(&self, _: Context, stage: ShardStageUpdateEvent) {
        debug!(shard = stage.shard_id.0, old = %stage.old, new = %stage.new, "gateway");
    }
}

impl Handler {
    /// Takes a message in that may be addressed to the bot, and answers it.
    pub(super) async fn take_in(&self, context: &Context, incoming: Incoming, server: Option<GuildId>) {
        let (place, id) = (Place::from(&incoming), incoming.message);
        let channel = ChannelId::new(place.channel.0.max(1));
        let ready = async {
            self.settle_first(context, channel, server).await;
            self.assistant.recall(place).await;
        };
        let accept = |incoming| self.assistant.accept(incoming);
        let accepted = self.arrivals.in_order(place.channel, id, incoming, ready, accept).await;
        match accepted.flatten() {
            Some(accepted) if self.quiet.is_quiet(channel) => accepted.pass_over().await,
            Some(accepted) => self.answer(context, accepted, server).await,
            None => {}
        }
    }

    /// A message was posted in a channel: the buttons stand under the last one only.
    pub(super) fn heard_of(&self, context: &Context, place: Place, message: chat::MessageId) {
        if !self.assistant.heard_of(place, message) {
            return;
        }
        let (this, context) = (self.clone(), context.clone());
        // Nobody waits for it.
        tokio::spawn(async move {
            if let Some((message, webhook)) = this.assistant.take_row(place, message).await {
                Ground::new(&context, &this.faces, place).undress(message, webhook).await;
            }
        });
    }

    async fn deleted(
        &self,
        context: &Context,
        channel: ChannelId,
        message: MessageId,
        server: Option<GuildId>,
    ) {
        let message = chat::MessageId(message.get());
        let place = reading::place(context, channel, server);
        if !self.assistant.proxies_in(place).is_empty() {
            self.proxies.deleted(message);
        }
        self.settle_first(context, channel, server).await;
        self.assistant.message_deleted(place, message).await;
    }

    /// What the bot may do in a server has changed.
    fn allowed_anew(&self, server: GuildId) {
        self.quiet.forget_server(server);
        self.faces.forget_server(server);
    }

    /// A channel is for adults only, or not. Events are handled side by side, so that the last one counts, which is what is known.
    fn rated(&self, context: &Context, channel: &GuildChannel) {
        let _one_at_a_time = self.rating.lock().unwrap_or_else(PoisonError::into_inner);
        let known = context.cache.guild(channel.guild_id);
        let known = known.and_then(|guild| Some(guild.channels.get(&channel.id)?.nsfw));
        let channel_id = chat::ChannelId(channel.id.get());
        self.assistant.restrict_by_age(channel_id, known.unwrap_or(channel.nsfw));
    }

    /// A channel is gone, and where it was a thread this one may keep its scenes: that is said there.
    pub(super) async fn channel_gone(
        &self,
        context: &Context,
        channel: ChannelId,
        home: Option<chat::ChannelId>,
    ) {
        self.quiet.forget(channel);
        let channel = chat::ChannelId(channel.get());
        self.arrivals.withdraw_channel(channel);
        // Nobody hears of it where the program ends meanwhile.
        let lost = self.assistant.channel_gone(channel, home).await.unwrap_or_default();
        for (home, title) in lost {
            Ground::new(context, &self.faces, home).say(&Staging::ThreadLost(title).into()).await;
        }
    }
}
