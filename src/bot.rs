//! Discord: events in, actions out. It translates; what is said and to whom is decided elsewhere.

mod arrivals;
mod attachments;
mod bundles;
mod catching_up;
mod commands;
mod components;
mod editing;
mod errands;
mod events;
mod faces;
mod ground;
mod lines;
mod proxies;
mod quiet;
mod reading;
mod rest;
mod sender;
mod threads;
mod user;

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use serenity::all::{Client, ClientBuilder, GatewayError, GatewayIntents};
use serenity::http::{Http, HttpBuilder};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::admin::Admin;
use crate::assistant::Assistant;
use crate::chat::MemberId;
pub use rest::Trouble;

/// Why the bot does not run (any more). Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// Discord does not know the token.
    #[error(
        "Discord refuses the bot token: make a new one at https://discord.com/developers/applications, under Bot, \
         and put it where the old one was"
    )]
    WrongToken,
    /// The bot may not have the intents that it asks for.
    #[error(
        "Discord refuses the Message Content intent: switch it on at https://discord.com/developers/applications, \
         under Bot, or set discord.message_content = false (mentions, replies and direct messages work without it)"
    )]
    IntentRefused,
    /// No connection.
    #[error(
        "Discord cannot be reached at {address} ({trouble}): check the network, and discord.api_base if it is set"
    )]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What happened.
        trouble: Trouble,
    },
    /// The gateway ended the connection for good.
    #[error(
        "the Discord gateway ended the connection for good ({0}); start the bot again, and update it if that does not help"
    )]
    Gateway(String),
}

/// The client for Discord's REST interface. With an `api_base`, every call goes there, and serenity's rate limiter,
/// which knows only Discord, is off.
#[must_use]
pub fn http(token: &SecretString, api_base: Option<&str>) -> Http {
    let builder = HttpBuilder::new(token.expose_secret()).default_allowed_mentions(sender::no_mentions());
    match api_base {
        Some(base) => builder.proxy(base).ratelimiter_disabled(true).build(),
        None => builder.build(),
    }
}

/// Runs the bot until `shutdown` is cancelled: then it takes nothing more in, lets running answers show what they
/// have, and leaves.
///
/// # Errors
/// [`BotError`] when Discord cannot be reached at the start, or ends the connection for good.
pub async fn run(
    http: Http,
    assistant: Arc<Assistant>,
    admin: Admin,
    message_content: bool,
    shutdown: CancellationToken,
) -> Result<(), BotError> {
    let connecting = connect(http, Arc::clone(&assistant), admin, message_content);
    let (mut client, shards) = tokio::select! {
        connected = connecting => connected?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let manager = Arc::clone(&client.shard_manager);
    let ended = tokio::select! {
        ended = start(&mut client, shards) => ended,
        () = shutdown.cancelled() => Ok(()),
    };
    info!("closing");
    assistant.close().await;
    manager.shutdown_all().await;
    ended
}

/// Looks for Discord and makes a client for it, which does not listen yet. Returns the number of shards too.
async fn connect(
    http: Http,
    assistant: Arc<Assistant>,
    admin: Admin,
    message_content: bool,
) -> Result<(Client, u32), BotError> {
    let address = http.proxy.clone().unwrap_or_else(|| "https://discord.com".to_owned());
    let unreachable = |trouble: Trouble| match trouble {
        Trouble::Refused { status: 401, .. } => BotError::WrongToken,
        trouble => BotError::Unreachable { address: address.clone(), trouble },
    };
    let gateway = rest::retry("get gateway", || http.get_bot_gateway()).await.map_err(unreachable)?;
    let me = rest::retry("get current user", || http.get_current_user()).await.map_err(unreachable)?;
    info!(bot = me.name, shards = gateway.shards, "connecting");

    let attachments = attachments::Attachments::new(http.proxy.as_deref());
    let attachments = attachments.ok_or_else(|| unreachable(Trouble::Confused))?;
    let handler = events::Handler::new(assistant, admin, MemberId(me.id.get()), attachments);
    let client = ClientBuilder::new_with_http(http, intents(message_content))
        .framework(commands::framework(handler.clone()))
        .event_handler(handler)
        .await;
    let client = client.map_err(|error| BotError::Gateway(Trouble::from(&error).to_string()))?;
    // The builder asks for the address once more, and would quietly go to Discord itself if that failed.
    *client.ws_url.lock().await = gateway.url;
    Ok((client, gateway.shards.max(1)))
}

async fn start(client: &mut Client, shards: u32) -> Result<(), BotError> {
    client.start_shards(shards).await.map_err(|error| {
        warn!("the gateway connection ended");
        match error {
            serenity::Error::Gateway(GatewayError::InvalidAuthentication) => BotError::WrongToken,
            serenity::Error::Gateway(
                GatewayError::DisallowedGatewayIntents | GatewayError::InvalidGatewayIntents,
            ) => BotError::IntentRefused,
            serenity::Error::Gateway(error) => BotError::Gateway(error.to_string()),
            error => BotError::Gateway(Trouble::from(&error).to_string()),
        }
    })
}

/// What the bot listens to. The Message Content intent is privileged, and asked for only when the operator says so.
fn intents(message_content: bool) -> GatewayIntents {
    let intents = GatewayIntents::GUILDS | GatewayIntents::GUILD_MESSAGES | GatewayIntents::DIRECT_MESSAGES;
    if message_content { intents | GatewayIntents::MESSAGE_CONTENT } else { intents }
}
