//! The REST routes that the bot may call. Whatever is not here does not exist on the fake Discord.

use axum::http::Method;

use super::BOT;
use super::ids::{ChannelId, GuildId, InteractionId, MessageId, UserId};

/// A route with its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Gateway,
    GatewayBot,
    CurrentUser,
    CurrentApplication,
    OpenDirect,
    Channel(ChannelId),
    EditChannel(ChannelId),
    DeleteChannel(ChannelId),
    StartThread(ChannelId),
    StartThreadFrom(ChannelId, MessageId),
    ThreadMember(ChannelId, UserId),
    AddThreadMember(ChannelId, UserId),
    RemoveThreadMember(ChannelId, UserId),
    Typing(ChannelId),
    ListMessages(ChannelId),
    SendMessage(ChannelId),
    GetMessage(ChannelId, MessageId),
    EditMessage(ChannelId, MessageId),
    DeleteMessage(ChannelId, MessageId),
    DeleteMessages(ChannelId),
    GetMember(GuildId, UserId),
    RegisterCommands,
    ListWebhooks(ChannelId),
    CreateWebhook(ChannelId),
    ExecuteWebhook(UserId),
    EditWebhookMessage(UserId, MessageId),
    DeleteWebhookMessage(UserId, MessageId),
    ListEmoji,
    CreateEmoji,
    SearchMembers,
    Respond(InteractionId),
    FollowUp(InteractionId),
    /// The message is the first answer where none is named.
    GetAnswer(InteractionId, Option<MessageId>),
    EditAnswer(InteractionId, Option<MessageId>),
    DeleteAnswer(InteractionId, Option<MessageId>),
}

/// What a request asks for, without saying of which channel or message. Tests name calls by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    /// `GET /gateway` and `GET /gateway/bot`.
    Gateway,
    CurrentUser,
    CurrentApplication,
    OpenDirect,
    GetChannel,
    EditChannel,
    DeleteChannel,
    StartThread,
    StartThreadFrom,
    GetThreadMember,
    AddThreadMember,
    RemoveThreadMember,
    Typing,
    ListMessages,
    SendMessage,
    GetMessage,
    EditMessage,
    DeleteMessage,
    DeleteMessages,
    GetMember,
    RegisterCommands,
    ListWebhooks,
    CreateWebhook,
    ExecuteWebhook,
    EditWebhookMessage,
    DeleteWebhookMessage,
    ListEmoji,
    CreateEmoji,
    SearchMembers,
    Respond,
    FollowUp,
    GetAnswer,
    EditAnswer,
    DeleteAnswer,
}

impl Route {
    /// Reads a path such as `/api/v10/channels/1/messages`.
    pub(super) fn parse(method: &Method, path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix("/api/v10/")?.split('/').collect();
        let route = match (method.as_str(), segments.as_slice()) {
            ("GET", ["gateway"]) => Self::Gateway,
            ("GET", ["gateway", "bot"]) => Self::GatewayBot,
            ("GET", ["users", "@me"]) => Self::CurrentUser,
            ("GET", ["applications", "@me"] | ["oauth2", "applications", "@me"]) => Self::CurrentApplication,
            ("POST", ["users", "@me", "channels"]) => Self::OpenDirect,
            (method, ["channels", channel]) => {
                let channel = channel_id(channel)?;
                match method {
                    "GET" => Self::Channel(channel),
                    "PATCH" => Self::EditChannel(channel),
                    "DELETE" => Self::DeleteChannel(channel),
                    _ => return None,
                }
            }
            ("POST", ["channels", channel, "threads"]) => Self::StartThread(channel_id(channel)?),
            ("POST", ["channels", channel, "messages", message, "threads"]) => {
                Self::StartThreadFrom(channel_id(channel)?, MessageId(message.parse().ok()?))
            }
            (method, ["channels", channel, "thread-members", user]) => {
                let channel = channel_id(channel)?;
                let user = if *user == "@me" { BOT } else { UserId(user.parse().ok()?) };
                match method {
                    "GET" => Self::ThreadMember(channel, user),
                    "PUT" => Self::AddThreadMember(channel, user),
                    "DELETE" => Self::RemoveThreadMember(channel, user),
                    _ => return None,
                }
            }
            ("POST", ["channels", channel, "typing"]) => Self::Typing(channel_id(channel)?),
            ("GET", ["channels", channel, "messages"]) => Self::ListMessages(channel_id(channel)?),
            ("POST", ["channels", channel, "messages"]) => Self::SendMessage(channel_id(channel)?),
            ("POST", ["channels", channel, "messages", "bulk-delete"]) => {
                Self::DeleteMessages(channel_id(channel)?)
            }
            (method, ["channels", channel, "messages", message]) => {
                let channel = channel_id(channel)?;
                let message = MessageId(message.parse().ok()?);
                match method {
                    "GET" => Self::GetMessage(channel, message),
                    "PATCH" => Self::EditMessage(channel, message),
                    "DELETE" => Self::DeleteMessage(channel, message),
                    _ => return None,
                }
            }
            ("GET", ["channels", channel, "webhooks"]) => Self::ListWebhooks(channel_id(channel)?),
            ("POST", ["channels", channel, "webhooks"]) => Self::CreateWebhook(channel_id(channel)?),
            (method, ["applications", application, "emojis"]) if *application == BOT.to_string() => {
                match method {
                    "GET" => Self::ListEmoji,
                    "POST" => Self::CreateEmoji,
                    _ => return None,
                }
            }
            ("GET", ["guilds", _, "members", "search"]) => Self::SearchMembers,
            ("GET", ["guilds", guild, "members", user]) => {
                Self::GetMember(GuildId(guild.parse().ok()?), UserId(user.parse().ok()?))
            }
            ("PUT", ["applications", application, "commands"]) if *application == BOT.to_string() => {
                Self::RegisterCommands
            }
            ("POST", ["interactions", interaction, token, "callback"]) => {
                let interaction = InteractionId(interaction.parse().ok()?);
                (*token == interaction.token()).then_some(Self::Respond(interaction))?
            }
            ("POST", ["webhooks", application, token]) if *application == BOT.to_string() => {
                Self::FollowUp(InteractionId::of_token(token)?)
            }
            (method, ["webhooks", application, token, "messages", message])
                if *application == BOT.to_string() =>
            {
                let interaction = InteractionId::of_token(token)?;
                let message = match *message {
                    "@original" => None,
                    message => Some(MessageId(message.parse().ok()?)),
                };
                match method {
                    "GET" => Self::GetAnswer(interaction, message),
                    "PATCH" => Self::EditAnswer(interaction, message),
                    "DELETE" => Self::DeleteAnswer(interaction, message),
                    _ => return None,
                }
            }
            ("POST", ["webhooks", webhook, _]) => Self::ExecuteWebhook(UserId(webhook.parse().ok()?)),
            (method, ["webhooks", webhook, _, "messages", message]) => {
                let (webhook, message) = (UserId(webhook.parse().ok()?), MessageId(message.parse().ok()?));
                match method {
                    "PATCH" => Self::EditWebhookMessage(webhook, message),
                    "DELETE" => Self::DeleteWebhookMessage(webhook, message),
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(route)
    }

    pub(super) fn call(self) -> Call {
        match self {
            Self::Gateway | Self::GatewayBot => Call::Gateway,
            Self::CurrentUser => Call::CurrentUser,
            Self::CurrentApplication => Call::CurrentApplication,
            Self::OpenDirect => Call::OpenDirect,
            Self::Channel(_) => Call::GetChannel,
            Self::EditChannel(_) => Call::EditChannel,
            Self::DeleteChannel(_) => Call::DeleteChannel,
            Self::StartThread(_) => Call::StartThread,
            Self::StartThreadFrom(..) => Call::StartThreadFrom,
            Self::ThreadMember(..) => Call::GetThreadMember,
            Self::AddThreadMember(..) => Call::AddThreadMember,
            Self::RemoveThreadMember(..) => Call::RemoveThreadMember,
            Self::Typing(_) => Call::Typing,
            Self::ListMessages(_) => Call::ListMessages,
            Self::SendMessage(_) => Call::SendMessage,
            Self::GetMessage(..) => Call::GetMessage,
            Self::EditMessage(..) => Call::EditMessage,
            Self::DeleteMessage(..) => Call::DeleteMessage,
            Self::DeleteMessages(_) => Call::DeleteMessages,
            Self::GetMember(..) => Call::GetMember,
            Self::RegisterCommands => Call::RegisterCommands,
            Self::ListWebhooks(_) => Call::ListWebhooks,
            Self::CreateWebhook(_) => Call::CreateWebhook,
            Self::ExecuteWebhook(_) => Call::ExecuteWebhook,
            Self::EditWebhookMessage(..) => Call::EditWebhookMessage,
            Self::DeleteWebhookMessage(..) => Call::DeleteWebhookMessage,
            Self::ListEmoji => Call::ListEmoji,
            Self::CreateEmoji => Call::CreateEmoji,
            Self::SearchMembers => Call::SearchMembers,
            Self::Respond(_) => Call::Respond,
            Self::FollowUp(_) => Call::FollowUp,
            Self::GetAnswer(..) => Call::GetAnswer,
            Self::EditAnswer(..) => Call::EditAnswer,
            Self::DeleteAnswer(..) => Call::DeleteAnswer,
        }
    }

    /// Whether it can be called without the bot's token: the secret stands in the path.
    pub(super) fn is_open(self) -> bool {
        matches!(
            self,
            Self::Gateway
                | Self::ExecuteWebhook(_)
                | Self::EditWebhookMessage(..)
                | Self::DeleteWebhookMessage(..)
                | Self::Respond(_)
                | Self::FollowUp(_)
                | Self::GetAnswer(..)
                | Self::EditAnswer(..)
                | Self::DeleteAnswer(..)
        )
    }

    /// The channel that the call is about, which is what Discord counts calls by.
    pub(super) fn channel(self) -> Option<ChannelId> {
        match self {
            Self::Channel(channel)
            | Self::EditChannel(channel)
            | Self::DeleteChannel(channel)
            | Self::StartThread(channel)
            | Self::StartThreadFrom(channel, _)
            | Self::ThreadMember(channel, _)
            | Self::AddThreadMember(channel, _)
            | Self::RemoveThreadMember(channel, _)
            | Self::Typing(channel)
            | Self::ListMessages(channel)
            | Self::SendMessage(channel)
            | Self::GetMessage(channel, _)
            | Self::EditMessage(channel, _)
            | Self::DeleteMessage(channel, _)
            | Self::DeleteMessages(channel)
            | Self::ListWebhooks(channel)
            | Self::CreateWebhook(channel) => Some(channel),
            Self::Gateway
            | Self::GatewayBot
            | Self::CurrentUser
            | Self::CurrentApplication
            | Self::OpenDirect
            | Self::GetMember(..)
            | Self::RegisterCommands
            | Self::ExecuteWebhook(_)
            | Self::EditWebhookMessage(..)
            | Self::DeleteWebhookMessage(..)
            | Self::ListEmoji
            | Self::CreateEmoji
            | Self::SearchMembers
            | Self::Respond(_)
            | Self::FollowUp(_)
            | Self::GetAnswer(..)
            | Self::EditAnswer(..)
            | Self::DeleteAnswer(..) => None,
        }
    }
}

fn channel_id(segment: &str) -> Option<ChannelId> {
    segment.parse().ok().map(ChannelId)
}
