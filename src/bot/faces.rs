//! As whom personas speak in servers: through a webhook of the channel, under their own name and with their own picture.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serenity::all::{
    ChannelId, Context, CreateWebhook, EmojiId, GuildId, Permissions, UserId, Webhook, WebhookId,
};
use serenity::http::Http;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::quiet::Quiet;
use super::reading;
use super::rest::{self, Trouble};
use crate::chat::sanitize;
use crate::persona::Persona;

/// The name of the webhooks themselves; nobody sees it but admins.
const WEBHOOK_NAME: &str = "Mummer";

/// Most channels whose webhooks are known at a time, most names of which it is known whether members have them, and most pictures
/// of which it is known what became of them.
const KNOWN_MAX: usize = 10_000;

/// How long it is believed that nobody has a name.
const NAMES_KEPT: Duration = Duration::from_mins(10);

/// So many names are tried for a persona.
const NAMES_TRIED: usize = 5;

/// How long a reply waits for the picture of its persona; the next one finds it.
const PICTURE_PATIENCE: Duration = Duration::from_secs(3);

/// After a picture could not be brought to Discord, how long none is.
const BETWEEN_PICTURES: Duration = Duration::from_mins(10);

/// Channels in which webhooks are looked for at the same time.
const LOOKERS: usize = 16;

/// So often it is tried to make a webhook, which must not become two.
const MAKINGS: u32 = 3;

/// Where a persona speaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    pub(super) server: GuildId,
    /// The channel that has the webhook.
    pub(super) home: ChannelId,
    /// The thread of it, when it is one.
    pub(super) thread: Option<ChannelId>,
}

/// The face of a persona in a channel.
#[derive(Debug, Clone)]
pub(super) struct Face {
    pub(super) webhook: Webhook,
    pub(super) name: String,
    pub(super) picture: Option<String>,
}

/// What is known of the faces of all channels.
#[derive(Debug, Default)]
pub(super) struct Faces {
    webhooks: Mutex<HashMap<ChannelId, Webhook>>,
    /// Where the bot can have no webhook.
    refused: Quiet,
    /// One who looks for the webhook of a channel at a time, so that it gets no second one.
    looking: [tokio::sync::Mutex<()>; LOOKERS],
    pictures: Arc<Pictures>,
    /// Whether members have these names, and since when that is known.
    names: Mutex<HashMap<(GuildId, String), (bool, Instant)>>,
}

/// The pictures that are emoji of the application, by their names; those that cannot be are `None`.
#[derive(Debug, Default)]
struct Pictures {
    known: Mutex<HashMap<String, Option<EmojiId>>>,
    /// One is brought there at a time.
    bringing: tokio::sync::Mutex<Bringing>,
}

#[derive(Debug, Default)]
struct Bringing {
    /// Whether those are known that were brought there before.
    listed: bool,
    /// Nothing is brought there until then.
    pause: Option<Instant>,
}

impl Faces {
    /// The face of a persona with this name, where the bot can have a webhook. `asker` is the name of whoever is answered.
    pub(super) async fn of(
        &self,
        context: &Context,
        stage: Stage,
        persona: &Arc<Persona>,
        name: &str,
        asker: &str,
    ) -> Option<Face> {
        let webhook = self.webhook(context, stage, true).await?;
        let name = self.free_name(context, stage.server, name, asker).await;
        let picture = self.picture(context, persona).await;
        Some(Face { webhook, name, picture })
    }

    /// The webhook of a channel: the one that is there, else a new one if it is to be made.
    pub(super) async fn webhook(&self, context: &Context, stage: Stage, make: bool) -> Option<Webhook> {
        if let Some(known) = self.known(stage.home) {
            return Some(known);
        }
        if self.refused.is_quiet(stage.home) || !may_have(context, stage) {
            return None;
        }
        // The lowest bits of an id are nearly always the same: above them it counts milliseconds.
        let looker = usize::try_from((stage.home.get() >> 22) % LOOKERS as u64).unwrap_or_default();
        let _one_at_a_time = self.looking[looker].lock().await;
        if let Some(known) = self.known(stage.home) {
            return Some(known);
        }
        match find_or_make(&context.http, stage.home, make).await {
            Ok(None) => None,
            Ok(Some(webhook)) => {
                self.refused.forget(stage.home);
                let mut webhooks = lock(&self.webhooks);
                if webhooks.len() >= KNOWN_MAX {
                    webhooks.clear();
                }
                webhooks.insert(stage.home, webhook.clone());
                Some(webhook)
            }
            Err(trouble) => {
                warn!(channel = stage.home.get(), %trouble, "personas speak as the bot here: there can be no webhook");
                self.refused.refused(stage.home, Some(stage.server));
                None
            }
        }
    }

    fn known(&self, home: ChannelId) -> Option<Webhook> {
        lock(&self.webhooks).get(&home).cloned()
    }

    /// The webhook of a channel is gone.
    pub(super) fn lost(&self, home: ChannelId, webhook: WebhookId) {
        let mut webhooks = lock(&self.webhooks);
        if webhooks.get(&home).is_some_and(|known| known.id == webhook) {
            webhooks.remove(&home);
        }
    }

    /// What the bot may do in a server has changed.
    pub(super) fn forget_server(&self, server: GuildId) {
        self.refused.forget_server(server);
    }

    /// The name under which a persona speaks, which is no member's.
    async fn free_name(&self, context: &Context, server: GuildId, name: &str, asker: &str) -> String {
        let own = allowed(name);
        let others = (2..=NAMES_TRIED).map(|number| format!("{own} (persona {number})"));
        let names = [own.clone(), format!("{own} (persona)")].into_iter().chain(others);
        for wanted in names {
            let is_askers = sanitize::folded_name(&sanitize::name(asker)) == sanitize::folded_name(&wanted);
            if !is_askers && !self.is_taken(context, server, &wanted).await {
                return wanted;
            }
        }
        // Whoever goes so far is seen to be no persona: what a webhook posts has a mark.
        format!("{own} (persona)")
    }

    /// Somebody in a server is seen under a name.
    pub(super) fn heard(&self, server: GuildId, name: &str) {
        self.note_name((server, sanitize::folded_name(&sanitize::name(name))), true);
    }

    fn note_name(&self, key: (GuildId, String), taken: bool) {
        let mut names = lock(&self.names);
        if names.len() >= KNOWN_MAX {
            names.clear();
        }
        names.insert(key, (taken, Instant::now()));
    }

    /// Whether a member of the server is seen under a name.
    async fn is_taken(&self, context: &Context, server: GuildId, name: &str) -> bool {
        let folded = sanitize::folded_name(name);
        let me = context.cache.current_user().id;
        let is_it =
            |id: UserId, shown: &str| id != me && sanitize::folded_name(&sanitize::name(shown)) == folded;
        let is_known = context.cache.guild(server).is_some_and(|guild| {
            guild.members.values().any(|member| is_it(member.user.id, member.display_name()))
        });
        if is_known {
            return true;
        }
        let key = (server, folded.clone());
        if let Some((taken, _)) =
            lock(&self.names).get(&key).filter(|(_, since)| since.elapsed() < NAMES_KEPT)
        {
            return *taken;
        }
        let found = rest::once("search members", context.http.search_guild_members(server, name, Some(100)));
        let taken = match found.await {
            Ok(members) => members.iter().any(|member| is_it(member.user.id, member.display_name())),
            Err(trouble) => {
                debug!(%trouble, "whether a member has a name could not be found out");
                return false;
            }
        };
        self.note_name(key, taken);
        taken
    }

    /// The address of a persona's picture, if Discord has it or takes it soon.
    async fn picture(&self, context: &Context, persona: &Arc<Persona>) -> Option<String> {
        let name = picture_name(persona);
        let known = lock(&self.pictures.known).get(&name).copied();
        let emoji = match known {
            Some(known) => known?,
            None => {
                let (pictures, http) = (Arc::clone(&self.pictures), Arc::clone(&context.http));
                let persona = Arc::clone(persona);
                // It goes on when the reply does not wait any longer.
                let bringing =
                    tokio::spawn(async move { bring_picture(&pictures, &http, name, persona).await });
                tokio::time::timeout(PICTURE_PATIENCE, bringing).await.ok()?.ok()??
            }
        };
        let host = context.http.proxy.as_deref().unwrap_or("https://cdn.discordapp.com");
        Some(format!("{}/emojis/{emoji}.png", host.trim_end_matches('/')))
    }
}

/// Whether the bot may have webhooks in a channel, as far as is known.
fn may_have(context: &Context, stage: Stage) -> bool {
    reading::permissions(context, stage.server, stage.home)
        .is_none_or(|may| may.contains(Permissions::MANAGE_WEBHOOKS))
}

/// The bot's own webhook of a channel. One that was made without anybody hearing of it is found the next time.
async fn find_or_make(http: &Http, home: ChannelId, make: bool) -> Result<Option<Webhook>, Trouble> {
    let mut makings = 0;
    loop {
        let there = rest::retry("list webhooks", || http.get_channel_webhooks(home)).await?;
        let is_ours = |webhook: &Webhook| {
            webhook.application_id.is_some()
                && webhook.application_id == http.application_id()
                && webhook.token.is_some()
        };
        if let Some(ours) = there.into_iter().find(is_ours) {
            return Ok(Some(ours));
        }
        if !make {
            return Ok(None);
        }
        makings += 1;
        match rest::once("create webhook", home.create_webhook(http, CreateWebhook::new(WEBHOOK_NAME))).await
        {
            Ok(webhook) => {
                info!(channel = home.get(), "a webhook was made");
                return Ok(Some(webhook));
            }
            Err(trouble) if trouble.may_pass() && makings < MAKINGS => rest::pause(makings).await,
            Err(trouble) => return Err(trouble),
        }
    }
}

/// Sees to it that the picture of a persona is an emoji of the application, of which Discord keeps the address for good.
async fn bring_picture(
    pictures: &Pictures,
    http: &Http,
    name: String,
    persona: Arc<Persona>,
) -> Option<EmojiId> {
    let Ok(mut bringing) = pictures.bringing.try_lock() else {
        // The next reply finds what is being brought.
        return None;
    };
    if bringing.pause.is_some_and(|until| until > Instant::now()) {
        return None;
    }
    let brought = async {
        if !bringing.listed {
            let there = rest::retry("list emoji", || http.get_application_emojis()).await?;
            lock(&pictures.known).extend(there.into_iter().map(|emoji| (emoji.name, Some(emoji.id))));
            bringing.listed = true;
        }
        if let Some(known) = lock(&pictures.known).get(&name).copied() {
            return Ok(known);
        }
        let portrait = tokio::task::spawn_blocking(move || {
            let portrait = persona.portrait();
            portrait
                .map_err(|problem| warn!(persona = %persona.id, "it is shown without its picture: {problem}"))
        });
        let Ok(Ok(portrait)) = portrait.await else { return Ok(None) };
        let image = serenity::all::CreateAttachment::bytes(portrait, "portrait.png").to_base64();
        let emoji = serde_json::json!({ "name": name, "image": image });
        match rest::retry("create emoji", || http.create_application_emoji(&emoji)).await {
            Ok(emoji) => Ok(Some(emoji.id)),
            // Others may be taken all the same.
            Err(trouble) if trouble.has_done_nothing() && !trouble.may_pass() => {
                warn!(%trouble, picture = name, "a picture is not taken, and its persona is shown without it");
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        }
    };
    match brought.await {
        Ok(emoji) => {
            let mut known = lock(&pictures.known);
            if known.len() >= KNOWN_MAX {
                known.clear();
                // Those that are there are found again.
                bringing.listed = false;
            }
            known.insert(name, emoji);
            emoji
        }
        Err(trouble) => {
            warn!(%trouble, "personas are shown without new pictures for a while");
            bringing.pause = Some(Instant::now() + BETWEEN_PICTURES);
            None
        }
    }
}

/// The name of the emoji that is a persona's picture: another picture has another one.
fn picture_name(persona: &Persona) -> String {
    let picture = match &persona.avatar {
        Some(avatar) => Sha256::digest(avatar),
        None => Sha256::digest(&persona.card.name),
    };
    let digits = format!("{picture:x}");
    format!("face_{}", &digits[..24])
}

/// A name as webhooks may have it: it has 1 to 80 characters and contains neither `clyde` nor `discord`, by Discord's
/// webhook resource. Where it does, a narrow blank divides them.
fn allowed(name: &str) -> String {
    let mut allowed = String::new();
    let mut rest = name.trim();
    while let Some(first) = rest.chars().next() {
        let begins =
            |word: &str| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        allowed.push(first);
        if begins("clyde") || begins("discord") {
            allowed.push('\u{200a}');
        }
        rest = &rest[first.len_utf8()..];
    }
    if allowed.is_empty() { "Persona".to_owned() } else { allowed }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_as_discord_takes_them() {
        assert_eq!(allowed("Ada"), "Ada");
        assert_eq!(allowed("Clyde of Discord"), "C\u{200a}lyde of D\u{200a}iscord");
        assert_eq!(allowed(""), "Persona");
    }

    proptest! {
        #[test]
        fn whatever_the_name_discord_takes_it(name in "(clyde|DISCORD|\\PC){0,6}") {
            let name = sanitize::name(&name);
            let taken = allowed(&name).to_lowercase();
            prop_assert!(!taken.contains("clyde") && !taken.contains("discord"));
            prop_assert!((1..=80).contains(&taken.chars().count()));
        }
    }
}
