//! The fake Discord is tested itself, with serenity as the bot: what serenity cannot parse, no bot
//! built on it would ever see.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Method, StatusCode};
use serde_json::{Value, json};
use serenity::all::{
    ChannelId as SerenityChannel, ChannelType, ClientBuilder, Context, CreateAllowedMentions,
    CreateForumPost, CreateMessage, CreateThread, EditMessage, EditThread, Event, GatewayError,
    GatewayIntents, GetMessages, GuildChannel, GuildId, Http, HttpBuilder, MessageId as SerenityMessage,
    MessageReference, MessageReferenceKind, Permissions, RawEventHandler, UserId as SerenityUser, WebhookId,
};
use serenity::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::discord::{
    Call, ChannelId, Failure, FakeDiscord, InteractionId, Message, MessageId, Outcome, Post, Reply, UserId,
    Whom,
};

const EVERYTHING: GatewayIntents = GatewayIntents::all();

/// A bot that does what the test says and tells what it hears.
struct Bot {
    http: Arc<Http>,
    events: mpsc::Receiver<Event>,
    run: JoinHandle<serenity::Result<()>>,
}

struct Ears(mpsc::Sender<Event>);

#[async_trait]
impl RawEventHandler for Ears {
    async fn raw_event(&self, _context: Context, event: Event) {
        // Once the test is over, nobody listens.
        let _ = self.0.send(event).await;
    }
}

impl Bot {
    async fn start(discord: &FakeDiscord, intents: GatewayIntents) -> Self {
        let http =
            HttpBuilder::new(discord.token()).proxy(discord.api_base()).ratelimiter_disabled(true).build();
        Self::start_with(http, intents).await
    }

    async fn start_with(http: Http, intents: GatewayIntents) -> Self {
        let (sender, events) = mpsc::channel(100);
        let mut client = ClientBuilder::new_with_http(http, intents)
            .raw_event_handler(Ears(sender))
            .await
            .expect("a client");
        Self {
            http: Arc::clone(&client.http),
            events,
            run: tokio::spawn(async move { client.start().await }),
        }
    }

    /// The next event that is looked for; others are passed over, unless serenity could not parse
    /// them.
    async fn hears<T>(&mut self, what: &str, find: impl Fn(Event) -> Option<T>) -> T {
        let search = async {
            loop {
                match self.events.recv().await.expect("the bot runs") {
                    Event::Unknown(event) => panic!("serenity cannot parse {event:?}"),
                    event => {
                        if let Some(found) = find(event) {
                            return found;
                        }
                    }
                }
            }
        };
        timeout(Duration::from_secs(30), search).await.unwrap_or_else(|_| panic!("{what} was not heard"))
    }

    async fn hears_message(&mut self) -> serenity::all::Message {
        self.hears("a message", |event| match event {
            Event::MessageCreate(event) => Some(event.message),
            _ => None,
        })
        .await
    }

    async fn says(&self, channel: ChannelId, message: CreateMessage) -> Result<MessageId, Refusal> {
        let sent = SerenityChannel::new(channel.0)
            .send_message(&self.http, message.allowed_mentions(nobody()))
            .await;
        sent.map(|message| MessageId(message.id.get())).map_err(Refusal::from)
    }

    async fn edits(&self, message: &Message, content: &str) -> Result<(), Refusal> {
        let edit = EditMessage::new().content(content).allowed_mentions(nobody());
        SerenityChannel::new(message.channel.0)
            .edit_message(&self.http, message.id.0, edit)
            .await
            .map(drop)
            .map_err(Refusal::from)
    }
}

/// What it does with threads.
impl Bot {
    async fn begins(&self, channel: ChannelId, thread: CreateThread<'_>) -> Result<ChannelId, Refusal> {
        let begun = SerenityChannel::new(channel.0).create_thread(&self.http, thread).await;
        begun.map(|thread| ChannelId(thread.id.get())).map_err(Refusal::from)
    }

    async fn begins_from(&self, message: &Message, name: &str) -> Result<GuildChannel, Refusal> {
        let thread = CreateThread::new(name);
        SerenityChannel::new(message.channel.0)
            .create_thread_from_message(&self.http, message.id.0, thread)
            .await
            .map_err(Refusal::from)
    }

    async fn changes(&self, thread: ChannelId, edit: EditThread<'_>) -> Result<(), Refusal> {
        let changed = SerenityChannel::new(thread.0).edit_thread(&self.http, edit).await;
        changed.map(drop).map_err(Refusal::from)
    }

    async fn deletes(&self, channel: ChannelId) -> Result<(), Refusal> {
        SerenityChannel::new(channel.0).delete(&self.http).await.map(drop).map_err(Refusal::from)
    }

    async fn invites(&self, thread: ChannelId, user: UserId) -> Result<(), Refusal> {
        let (thread, user) = (SerenityChannel::new(thread.0), SerenityUser::new(user.0));
        thread.add_thread_member(&self.http, user).await.map_err(Refusal::from)
    }

    async fn finds(&self, thread: ChannelId, user: UserId) -> Result<(), Refusal> {
        let (thread, user) = (SerenityChannel::new(thread.0), SerenityUser::new(user.0));
        thread.get_thread_member(&self.http, user, false).await.map(drop).map_err(Refusal::from)
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.run.abort();
    }
}

/// What remains of an error: the status and Discord's code, or that there was no answer.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Answered(u16, isize),
    Unanswered,
}

impl From<serenity::Error> for Refusal {
    fn from(error: serenity::Error) -> Self {
        let serenity::Error::Http(error) = error else {
            panic!("not an error of HTTP: {error}");
        };
        match error {
            serenity::http::HttpError::UnsuccessfulRequest(response) => {
                Self::Answered(response.status_code.as_u16(), response.error.code)
            }
            serenity::http::HttpError::Request(_) => Self::Unanswered,
            other => panic!("an error that the fake does not provoke: {other}"),
        }
    }
}

fn nobody() -> CreateAllowedMentions {
    CreateAllowedMentions::new().replied_user(false)
}

fn text(content: &str) -> CreateMessage {
    CreateMessage::new().content(content)
}

fn reply(channel: ChannelId, to: MessageId, fail_if_not_exists: bool) -> MessageReference {
    MessageReference::new(MessageReferenceKind::Default, SerenityChannel::new(channel.0))
        .message_id(SerenityMessage::new(to.0))
        .fail_if_not_exists(fail_if_not_exists)
}

/// A request that serenity would not make.
async fn request(discord: &FakeDiscord, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let url = format!("{}/api/v10{path}", discord.api_base());
    let response = reqwest::Client::new()
        .request(method, url)
        .header("authorization", format!("Bot {}", discord.token()))
        .json(&body)
        .send()
        .await
        .expect("an answer");
    let status = response.status();
    (status, response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn a_message_is_heard_answered_and_edited() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let alice = discord.member("alice");
    discord.set_nick(alice, Some("Alice"));
    let mut bot = Bot::start(&discord, EVERYTHING).await;
    discord.connected().await;

    let trigger = discord.post(general, alice, format!("{} hi", discord.mention_bot()));
    let heard = bot.hears_message().await;
    assert_eq!(heard.id.get(), trigger.0);
    assert_eq!(heard.content, format!("{} hi", discord.mention_bot()));
    assert!(heard.mentions.iter().any(|user| user.id.get() == discord.bot_id().0));
    assert_eq!(heard.guild_id.map(GuildId::get), Some(discord.guild_id().0));
    let member = heard.member.expect("messages on a server say who the member is");
    assert_eq!(member.nick.as_deref(), Some("Alice"));

    let answer = text(" Hel ").reference_message(reply(general, trigger, false));
    bot.says(general, answer).await.expect("an answer");
    let first = discord.reply_to(trigger).await;
    bot.edits(&first, "Hello!\n").await.expect("an edit");

    let last = discord.reply_such_that(trigger, |reply| reply.content() == "Hello!").await;
    assert_eq!(last.history(), ["Hel", "Hello!"]);
    assert!(last.versions[0].at <= last.versions[1].at);
    let (to, fail_if_not_exists) = (trigger, false);
    assert_eq!(last.reply, Some(Reply { to, fail_if_not_exists }));
    assert_eq!(
        last.allowed_mentions,
        Some(json!({"parse": [], "users": [], "roles": [], "replied_user": false}))
    );
    assert_eq!(discord.replies_to(trigger).len(), 1);
    assert_eq!(discord.said_by_bot(general).len(), 1);
    assert_eq!(discord.shown(general).len(), 2);
    assert!(discord.picture().contains("Hello!"));
    assert_eq!(discord.intents(), Some(EVERYTHING));
}

#[tokio::test]
async fn silence_is_certain_once_something_later_was_answered() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let other = discord.other_bot("Other");
    let mut bot = Bot::start(&discord, EVERYTHING).await;
    discord.connected().await;

    let ignored = discord.post(general, other, "beep");
    let marker = discord.post(general, discord.bot_id(), "marker");
    discord.caught_up().await;
    assert!(bot.hears_message().await.author.bot);
    let answer = text("!").reference_message(reply(general, marker, true));
    bot.says(general, answer).await.expect("an answer");

    discord.reply_to(marker).await;
    discord.assert_no_reply(ignored);
}

#[tokio::test]
async fn without_the_intent_only_what_is_addressed_to_the_bot_can_be_read() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let alice = discord.member("alice");
    let direct = discord.direct(alice);
    let proxied = discord.webhook("Proxied");
    let intents = GatewayIntents::non_privileged();
    let mut bot = Bot::start(&discord, intents).await;
    discord.connected().await;
    let own = bot.says(general, text("mine")).await.expect("sent");
    assert_eq!(bot.hears_message().await.content, "mine");

    discord.send(
        Post::new(general, alice, "not for you @everyone")
            .pinging_everyone()
            .with_attachment("cat.png")
            .with_embed(json!({"type": "rich", "title": "A cat"})),
    );
    let overheard = bot.hears_message().await;
    assert_eq!(overheard.content, "");
    assert!(overheard.mention_everyone);
    assert!(overheard.attachments.is_empty() && overheard.embeds.is_empty());

    discord.post_reply(own, alice, false, "reply without ping");
    let quiet = bot.hears_message().await;
    assert_eq!(quiet.content, "");
    let original = quiet.referenced_message.expect("the bot's own message");
    assert_eq!(original.content, "mine");

    let from_webhook = discord.post(general, proxied, "by webhook");
    let heard = bot.hears_message().await;
    assert_eq!(heard.content, "");
    assert_eq!(heard.webhook_id.map(WebhookId::get), Some(proxied.0));
    discord.post_reply(from_webhook, alice, true, "nobody to ping");
    assert_eq!(bot.hears_message().await.content, "");

    discord.post_reply(own, alice, true, "reply with ping");
    assert_eq!(bot.hears_message().await.content, "reply with ping");
    discord.post(direct, alice, "in private");
    let private = bot.hears_message().await;
    assert_eq!(private.content, "in private");
    assert_eq!(private.guild_id, None);

    discord.forbid_intents(GatewayIntents::MESSAGE_CONTENT);
    let page = SerenityChannel::new(general.0).messages(&bot.http, GetMessages::new());
    let page = page.await.expect("a page of history");
    assert_eq!(page[0].content, "reply with ping");
    assert_eq!(page[1].content, "");
}

#[tokio::test]
async fn events_are_for_sessions_with_the_intent() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let alice = discord.member("alice");
    let direct = discord.direct(alice);
    let mut bot = Bot::start(&discord, GatewayIntents::DIRECT_MESSAGES).await;
    discord.connected().await;
    discord.post(general, alice, "on the server");
    discord.set_global_name(alice, "Alice");
    discord.post(direct, alice, "in private");
    let first = bot
        .hears("anything after READY", |event| match event {
            Event::Ready(_) => None,
            event => Some(event),
        })
        .await;
    let Event::MessageCreate(first) = first else {
        panic!("an event without an intent: {first:?}");
    };
    assert_eq!(first.message.content, "in private");
    assert_eq!(first.message.author.global_name.as_deref(), Some("Alice"));
}

#[tokio::test]
async fn serenity_understands_every_event() {
    let discord = FakeDiscord::start().await;
    let old = discord.channel("old");
    discord.thread(old, "old thread");
    discord.emoji("old_emoji");
    let mut bot = Bot::start(&discord, EVERYTHING).await;
    let guild = bot
        .hears("GUILD_CREATE", |event| match event {
            Event::GuildCreate(event) => Some(event.guild),
            _ => None,
        })
        .await;
    assert_eq!(guild.channels.len(), 1);
    assert_eq!(guild.threads.len(), 1);
    assert_eq!(guild.emojis.len(), 1);
    assert_eq!(guild.members.len(), 2);
    discord.connected().await;

    let alice = discord.member("alice");
    let role = discord.role("Readers");
    discord.give_role(alice, role);
    let emoji = discord.emoji("wave");
    let general = discord.channel("general");
    let thread = discord.thread(general, "thread");
    let content = format!("<@&{role}> <:wave:{emoji}> {}", discord.mention_bot_nick());
    let post = discord.post(thread, alice, content);
    discord.edit(post, "changed");
    discord.delete(post);
    let notice = discord.send(Post::new(general, alice, "").of_kind(7));
    discord.delete_all(general, &[notice]);
    discord.let_bot_send(general, false);
    discord.delete_channel(thread);
    discord.delete_channel(general);
    discord.kick_bot();

    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != "GUILD_DELETE") {
        let event = bot.hears("any event", Some).await;
        if let Event::MessageCreate(created) = &event
            && created.message.id.get() == post.0
        {
            assert_eq!(created.message.mention_roles[0].get(), role.0);
            assert_eq!(created.message.mentions[0].id.get(), discord.bot_id().0);
        }
        names.push(event.name().expect("a name"));
    }
    // serenity dispatches each event in a task of its own, so their order is not certain.
    names.sort();
    assert_eq!(
        names,
        [
            "CHANNEL_CREATE",
            "CHANNEL_DELETE",
            "CHANNEL_UPDATE",
            "GUILD_DELETE",
            "GUILD_EMOJIS_UPDATE",
            "GUILD_MEMBER_ADD",
            "GUILD_MEMBER_UPDATE",
            "GUILD_ROLE_CREATE",
            "MESSAGE_CREATE",
            "MESSAGE_CREATE",
            "MESSAGE_DELETE",
            "MESSAGE_DELETE_BULK",
            "MESSAGE_UPDATE",
            "THREAD_CREATE",
            "THREAD_DELETE",
        ]
    );
    assert!(discord.message(post).deleted.is_some());
}

#[tokio::test]
async fn a_broken_connection_resumes_and_hears_what_it_missed() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let alice = discord.member("alice");
    let mut bot = Bot::start(&discord, EVERYTHING).await;
    discord.connected().await;

    discord.drop_connections();
    discord.post(general, alice, "missed");
    assert_eq!(bot.hears_message().await.content, "missed");
    discord.close_connections(4000);
    discord.until("a second resume", |state| state.gateway.resumes == 2).await;
    discord.connected().await;
    discord.request_reconnect();
    discord.until("a third resume", |state| state.gateway.resumes == 3).await;
    discord.connected().await;
    discord.invalidate_session(true);
    discord.until("a fourth resume", |state| state.gateway.resumes == 4).await;
    discord.caught_up().await;
    assert_eq!(discord.identifies(), 1);

    discord.post(general, alice, "heard");
    assert_eq!(bot.hears_message().await.content, "heard");
}

#[tokio::test]
async fn an_invalid_session_identifies_anew() {
    let discord = FakeDiscord::start().await;
    let _bot = Bot::start(&discord, EVERYTHING).await;
    discord.connected().await;
    discord.invalidate_session(false);
    discord.until("a second session", |state| state.gateway.identifies == 2).await;
    discord.connected().await;
    assert_eq!(discord.resumes(), 0);
}

#[tokio::test]
async fn a_bot_whose_heartbeats_stay_unanswered_connects_anew() {
    let discord = FakeDiscord::start().await;
    discord.set_heartbeat_interval(Duration::from_millis(10));
    discord.acknowledge_heartbeats(false);
    let _bot = Bot::start(&discord, EVERYTHING).await;
    discord.connected().await;
    discord.until("a second session", |state| state.gateway.identifies == 2).await;
    discord.until("a heartbeat", |state| state.gateway.heartbeats > 0).await;
}

#[tokio::test]
async fn close_codes_that_mean_the_end_end_the_bot() {
    let discord = FakeDiscord::start().await;
    discord.refuse_next_identify(4004);
    let mut bot = Bot::start(&discord, EVERYTHING).await;
    let error = (&mut bot.run).await.expect("no panic").expect_err("an error");
    assert!(matches!(error, serenity::Error::Gateway(GatewayError::InvalidAuthentication)));

    discord.forbid_intents(GatewayIntents::MESSAGE_CONTENT);
    let mut bot = Bot::start(&discord, EVERYTHING).await;
    let error = (&mut bot.run).await.expect("no panic").expect_err("an error");
    assert!(matches!(error, serenity::Error::Gateway(GatewayError::DisallowedGatewayIntents)));

    let http =
        HttpBuilder::new("MTEw.AAAAAA.wrong").proxy(discord.api_base()).ratelimiter_disabled(true).build();
    let refusal = http.get_current_user().await.map(drop).map_err(Refusal::from);
    assert_eq!(refusal, Err(Refusal::Answered(401, 0)));
    let mut bot = Bot::start_with(http, GatewayIntents::GUILDS).await;
    assert!((&mut bot.run).await.expect("no panic").is_err());
}

#[tokio::test]
async fn rest_answers_what_discord_answers() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let thread = discord.thread(general, "thread");
    let alice = discord.member("alice");
    let bot = Bot::start(&discord, EVERYTHING).await;

    let me = bot.http.get_current_user().await.expect("the bot's account");
    assert_eq!(me.id.get(), discord.bot_id().0);
    let application = bot.http.get_current_application_info().await;
    assert_eq!(application.expect("the application").name, "Hermes");
    assert_eq!(bot.http.get_bot_gateway().await.expect("a gateway").shards, 1);
    for channel in [general, thread] {
        let id = SerenityChannel::new(channel.0);
        assert_eq!(bot.http.get_channel(id).await.expect("it exists").id(), id);
    }
    let user = serenity::all::UserId::new(alice.0);
    let direct = user.create_dm_channel(&bot.http).await.expect("direct messages");
    assert_eq!(direct.id.get(), discord.direct(alice).0);

    let channel = SerenityChannel::new(general.0);
    channel.broadcast_typing(&bot.http).await.expect("it types");
    assert_eq!(discord.typing(general).len(), 1);
    assert!(discord.typing(general)[0] <= Instant::now());

    let posts: Vec<MessageId> =
        (0..5).map(|number| discord.post(general, alice, number.to_string())).collect();
    let pages = [
        (GetMessages::new().limit(2), vec!["4", "3"]),
        (GetMessages::new().before(posts[2].0), vec!["1", "0"]),
        (GetMessages::new().after(posts[1].0).limit(2), vec!["3", "2"]),
    ];
    for (page, expected) in pages {
        let messages = channel.messages(&bot.http, page).await.expect("a page");
        let contents: Vec<&str> = messages.iter().map(|it| it.content.as_str()).collect();
        assert_eq!(contents, expected);
    }

    let own = bot.says(general, text("mine")).await.expect("sent");
    let got = channel.message(&bot.http, own.0).await.expect("a message");
    assert_eq!(got.content, "mine");
    channel.delete_message(&bot.http, own.0).await.expect("deleted");
    let gone = channel.message(&bot.http, own.0).await.map(drop);
    assert_eq!(gone.map_err(Refusal::from), Err(Refusal::Answered(404, 10_008)));
    let not_mine = channel.delete_message(&bot.http, posts[0].0).await;
    assert_eq!(not_mine.map_err(Refusal::from), Err(Refusal::Answered(403, 50_013)));
    let not_mine = bot.edits(&discord.message(posts[0]), "changed").await;
    assert_eq!(not_mine, Err(Refusal::Answered(403, 50_005)));
}

#[tokio::test]
async fn a_nonce_makes_no_second_message() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let bot = Bot::start(&discord, EVERYTHING).await;
    let message = text("once").nonce(serenity::all::Nonce::String("n1".into())).enforce_nonce(true);
    let first = bot.says(general, message.clone()).await;
    let second = bot.says(general, message).await;
    assert_eq!(first, second);
    let shown = discord.shown(general);
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].nonce, Some(json!("n1")));
    assert!(shown[0].enforce_nonce);
}

#[tokio::test]
async fn a_reply_to_what_is_gone_fails_or_becomes_an_ordinary_message() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let alice = discord.member("alice");
    let bot = Bot::start(&discord, EVERYTHING).await;
    let trigger = discord.post(general, alice, "never mind");
    discord.delete(trigger);
    let strict = text("a").reference_message(reply(general, trigger, true));
    let refused = bot.says(general, strict).await;
    assert_eq!(refused, Err(Refusal::Answered(400, 50_035)));
    let lenient = text("b").reference_message(reply(general, trigger, false));
    let sent = bot.says(general, lenient).await.expect("sent");
    assert_eq!(discord.message(sent).reply, None);
    discord.assert_no_reply(trigger);
}

#[tokio::test]
async fn what_is_taken_from_the_bot_it_cannot_use() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let thread = discord.thread(general, "thread");
    let bot = Bot::start(&discord, EVERYTHING).await;
    let own = bot.says(general, text("mine")).await.expect("sent");

    discord.let_bot_send(general, false);
    for channel in [general, thread] {
        let refused = bot.says(channel, text("more")).await;
        assert_eq!(refused, Err(Refusal::Answered(403, 50_013)));
    }
    let own = discord.message(own);
    assert_eq!(bot.edits(&own, "still mine").await, Ok(()));
    discord.let_bot_send(general, true);
    discord.let_bot_view(general, false);
    let refused = bot.edits(&own, "unseen").await;
    assert_eq!(refused, Err(Refusal::Answered(403, 50_001)));
    discord.let_bot_view(general, true);
    bot.says(thread, text("back")).await.expect("sent");
    discord.delete_channel(general);
    let refused = bot.says(thread, text("gone")).await;
    assert_eq!(refused, Err(Refusal::Answered(404, 10_003)));

    let other = discord.channel("other");
    discord.kick_bot();
    let refused = bot.says(other, text("kicked")).await;
    assert_eq!(refused, Err(Refusal::Answered(403, 50_001)));
}

#[tokio::test]
async fn calls_fail_as_told() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let bot = Bot::start(&discord, EVERYTHING).await;
    let outcome = |failure| {
        discord.fail_next(1, Call::SendMessage, failure);
        bot.says(general, text("x"))
    };

    let retry_after = Duration::from_millis(1500);
    let limited = outcome(Failure::RateLimited { retry_after }).await;
    assert!(matches!(limited, Err(Refusal::Answered(429, _))));
    let broken = outcome(Failure::Status(503)).await;
    assert!(matches!(broken, Err(Refusal::Answered(503, _))));
    let (status, code) = (403, 50_013);
    let refused = outcome(Failure::Refused { status, code }).await;
    assert_eq!(refused, Err(Refusal::Answered(403, 50_013)));
    let lost = outcome(Failure::ConnectionLost).await;
    assert_eq!(lost, Err(Refusal::Unanswered));
    assert!(discord.shown(general).is_empty());

    let lost = outcome(Failure::AnswerLost).await;
    assert_eq!(lost, Err(Refusal::Unanswered));
    assert_eq!(discord.shown(general).len(), 1);
    let cut = discord.requests().pop().expect("a request");
    assert_eq!(cut.outcome, Outcome::ConnectionCut);
    assert_eq!((cut.method.as_str(), cut.body["content"].as_str()), ("POST", Some("x")));
    assert_eq!(cut.path, format!("/api/v10/channels/{general}/messages"));
    assert!(cut.at <= Instant::now());

    let delay = Duration::from_millis(20);
    let asked = Instant::now();
    assert!(outcome(Failure::Slow(delay)).await.is_ok());
    assert!(asked.elapsed() >= delay);
    assert_eq!(discord.count(Call::SendMessage), 6);

    let gate = discord.hold_next(Call::SendMessage);
    let (sent, ()) = tokio::join!(bot.says(general, text("held")), async {
        discord.requested(Call::SendMessage, 7).await;
        assert_eq!(discord.shown(general).len(), 2);
        gate.open();
    });
    assert_eq!(discord.message(sent.expect("sent")).content(), "held");

    discord.fail_next(2, Call::Gateway, Failure::Status(500));
    assert!(bot.http.get_gateway().await.is_err());
    assert!(bot.http.get_bot_gateway().await.is_err());
    assert!(bot.http.get_gateway().await.is_ok());
}

#[tokio::test]
async fn rate_limits_turn_away_what_exceeds_them() {
    let discord = FakeDiscord::start().await;
    let (one, two) = (discord.channel("one"), discord.channel("two"));
    let bot = Bot::start(&discord, EVERYTHING).await;
    discord.enforce_rate_limits(2, Duration::from_mins(1));
    for channel in [one, two, one, two] {
        bot.says(channel, text("x")).await.expect("within the limit");
    }
    let refused = bot.says(one, text("x")).await;
    assert!(matches!(refused, Err(Refusal::Answered(429, _))));
    assert_eq!(discord.rate_limit_refusals(), 1);
    let own = &discord.shown(one)[0];
    assert_eq!(bot.edits(own, "edits have their own bucket").await, Ok(()));
}

#[tokio::test]
async fn serenitys_own_rate_limiter_is_content_with_the_headers() {
    let discord = FakeDiscord::start_tls().await;
    let general = discord.channel("general");
    let authority = Certificate::from_pem(discord.tls_authority().as_bytes());
    let client = reqwest::Client::builder()
        .add_root_certificate(authority.expect("a certificate"))
        .resolve("discord.com", discord.tls_address())
        .build()
        .expect("a client");
    let http = HttpBuilder::new(discord.token()).client(client).build();
    let bot = Bot::start_with(http, EVERYTHING).await;
    discord.connected().await;

    discord.enforce_rate_limits(2, Duration::from_millis(200));
    for _ in 0..5 {
        bot.says(general, text("x")).await.expect("in due time");
    }
    assert_eq!(discord.rate_limit_refusals(), 0);
    let retry_after = Duration::from_millis(20);
    discord.fail_next(1, Call::SendMessage, Failure::RateLimited { retry_after });
    bot.says(general, text("x")).await.expect("a second attempt");
    assert_eq!(discord.shown(general).len(), 6);
}

#[tokio::test]
async fn what_discord_does_not_allow_is_a_violation() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let messages = format!("/channels/{general}/messages");
    let none = json!({"parse": []});
    let rows = vec![json!({"type": 1, "components": []}); 6];
    // The method, the path, the body, the status that Discord would answer, and the complaint.
    let cases = [
        (Method::GET, "/guilds/1", Value::Null, 404, "no business"),
        (Method::POST, &messages, json!({"content": "x"}), 200, "allowed_mentions is missing"),
        (
            Method::POST,
            &messages,
            json!({"content": "é".repeat(2001), "allowed_mentions": none}),
            400,
            "2001 characters",
        ),
        (Method::POST, &messages, json!({"content": " \n", "allowed_mentions": none}), 400, "empty"),
        (
            Method::POST,
            &messages,
            json!({"content": "x", "components": rows, "allowed_mentions": none}),
            400,
            "6 rows",
        ),
        (Method::GET, &format!("{messages}?limit=101"), Value::Null, 400, "a page of 101"),
    ];
    for (method, path, body, status, complaint) in cases {
        let (answered, _) = request(&discord, method, path, body).await;
        assert_eq!(answered.as_u16(), status, "{path}");
        let violations = discord.take_violations();
        assert!(
            violations.iter().any(|violation| violation.contains(complaint)),
            "{complaint} is not in {violations:?}"
        );
    }
    let full = json!({"content": "é".repeat(2000), "allowed_mentions": none});
    let (answered, _) = request(&discord, Method::POST, &messages, full).await;
    assert_eq!(answered.as_u16(), 200);

    let button = json!({"type": 2, "style": 1, "label": "Stop", "custom_id": "stop"});
    let decorated = json!({
        "embeds": [{"title": "A title"}],
        "components": [{"type": 1, "components": [button]}],
        "allowed_mentions": none,
    });
    let (answered, message) = request(&discord, Method::POST, &messages, decorated).await;
    assert_eq!(answered.as_u16(), 200);
    let path = format!("{messages}/{}", message["id"].as_str().expect("an id"));
    let plain = json!({"content": "x", "embeds": [], "components": null, "allowed_mentions": none});
    let (answered, message) = request(&discord, Method::PATCH, &path, plain).await;
    assert_eq!((answered.as_u16(), &message["embeds"]), (200, &json!([])));
    let nothing = json!({"content": "", "allowed_mentions": none});
    let (answered, _) = request(&discord, Method::PATCH, &path, nothing).await;
    assert_eq!(answered.as_u16(), 400);
    assert_eq!(discord.take_violations(), ["an edit that leaves nothing"]);

    // The OpenAPI document is not everywhere, and without it nothing is found.
    let wrong = json!({"content": "x", "tts": "loudly", "allowed_mentions": none});
    request(&discord, Method::POST, &messages, wrong).await;
    for violation in discord.take_violations() {
        assert!(violation.starts_with("MessageCreateRequest/tts"), "{violation}");
    }

    request(&discord, Method::DELETE, &format!("/channels/{general}"), Value::Null).await;
    let outcome = catch_unwind(AssertUnwindSafe(|| drop(discord)));
    assert!(outcome.is_err(), "an unnoticed violation fails the test");
}

#[tokio::test]
async fn what_pings_is_what_the_bot_allows() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let (alice, bob) = (discord.member("alice"), discord.member("bob"));
    let role = discord.role("Readers");
    let trigger = discord.post(general, alice, "hello");
    let messages = format!("/channels/{general}/messages");
    let content = format!("<@{bob}> <@&{role}> @everyone");
    let reference = json!({"message_id": trigger.to_string()});

    let quiet = json!({"parse": [], "replied_user": true});
    let body =
        json!({"content": content, "message_reference": reference, "allowed_mentions": quiet, "flags": 4});
    request(&discord, Method::POST, &messages, body).await;
    let reply = discord.reply_to(trigger).await;
    assert_eq!(reply.mentions, [alice]);
    assert!(reply.mention_roles.is_empty() && !reply.mention_everyone);
    assert!(reply.suppresses_embeds());

    let loud = json!({"parse": ["everyone", "roles"], "users": [bob]});
    let body = json!({"content": content, "allowed_mentions": loud});
    request(&discord, Method::POST, &messages, body).await;
    let last = discord.shown(general).pop().expect("a message");
    assert_eq!(last.mentions, [bob]);
    assert_eq!(last.mention_roles, [role]);
    assert!(last.mention_everyone);
}

#[tokio::test]
async fn what_the_bot_cannot_see_it_does_not_hear() {
    let discord = FakeDiscord::start().await;
    let (hidden, open) = (discord.channel("hidden"), discord.channel("open"));
    let thread = discord.thread(hidden, "thread");
    let alice = discord.member("alice");
    discord.let_bot_view(hidden, false);
    let mut bot = Bot::start(&discord, EVERYTHING).await;
    discord.connected().await;

    for channel in [hidden, thread, open] {
        discord.post(channel, alice, "where am I?");
    }
    assert_eq!(bot.hears_message().await.channel_id.get(), open.0);
    discord.kick_bot();
    discord.post(open, alice, "it is gone");
    discord.post(discord.direct(alice), alice, "in private");
    assert_eq!(bot.hears_message().await.content, "in private");
}

#[tokio::test]
async fn a_thread_begins_from_a_message_and_has_its_number() {
    let discord = FakeDiscord::start().await;
    let (general, alice) = (discord.channel("general"), discord.member("alice"));
    let mut bot = Bot::start(&discord, EVERYTHING).await;
    discord.connected().await;
    let from = discord.message(discord.post(general, alice, "and then?"));
    let thread = bot.begins_from(&from, "A branch").await.expect("a thread");
    assert_eq!((thread.id.get(), thread.kind), (from.id.0, ChannelType::PublicThread));
    assert_eq!(thread.owner_id.map(SerenityUser::get), Some(discord.bot_id().0));
    assert!(thread.member.is_some(), "whoever begins it is in it");
    let place = ChannelId(thread.id.get());
    assert_eq!(discord.thread_in(general, "A branch").await, place);
    assert_eq!(discord.threads_of(general), [place]);
    // The message is told anew, as it was but for the thread.
    let told = bot.hears("the message", |event| match event {
        Event::MessageUpdate(event) => Some(event),
        _ => None,
    });
    let told = told.await;
    assert_eq!((told.content.as_deref(), told.edited_timestamp), (Some("and then?"), None));
    let shown = SerenityChannel::new(general.0).message(&bot.http, from.id.0).await.expect("it is there");
    assert_eq!(shown.thread.map(|thread| thread.id.get()), Some(place.0));
    // What stands in it first is a notice that points to the message.
    let first = discord.shown(place).remove(0);
    assert_eq!((first.kind, first.content()), (21, ""));
    assert!(discord.replies_to(from.id).is_empty());
    assert_eq!(bot.begins_from(&from, "Again").await.map(drop), Err(Refusal::Answered(400, 160_004)));
    let inside = discord.message(discord.post(place, alice, "inside"));
    assert_eq!(bot.begins_from(&inside, "Deeper").await.map(drop), Err(Refusal::Answered(400, 50_024)));
    // The thread outlives its message.
    discord.delete(from.id);
    bot.says(place, text("still here")).await.expect("sent");
    discord.delete_channel(place);
    assert!(discord.threads_of(general).is_empty());
    assert_eq!(bot.says(place, text("gone")).await, Err(Refusal::Answered(404, 10_003)));
}

#[tokio::test]
async fn a_private_thread_is_seen_by_those_in_it() {
    let discord = FakeDiscord::start().await;
    let general = discord.channel("general");
    let [alice, bob, judge] = ["alice", "bob", "judge"].map(|name| discord.member(name));
    discord.empower(judge, Permissions::MANAGE_THREADS);
    let bot = Bot::start(&discord, EVERYTHING).await;
    // Private is what it becomes where nothing is said.
    let branch = bot.begins(general, CreateThread::new("Branch")).await.expect("a thread");
    assert!(discord.thread_as_it_is(branch).is_private());
    assert!(discord.shown(general).is_empty(), "nobody else is told");
    bot.invites(branch, alice).await.expect("she is there");
    let seen = |channel| [alice, bob, judge].map(|member| discord.sees(member, channel));
    assert_eq!(seen(branch), [true, false, true]);
    assert_eq!(bot.finds(branch, alice).await, Ok(()));
    assert_eq!(bot.finds(branch, bob).await, Err(Refusal::Answered(404, 10_007)));
    // Whoever is mentioned is let in, unless nobody is pinged.
    bot.says(branch, text(&format!("<@{bob}>"))).await.expect("sent");
    assert!(!discord.sees(bob, branch));
    discord.post(branch, alice, format!("<@{bob}>"));
    assert!(discord.sees(bob, branch));
    // Nobody sees a thread of what they do not see.
    discord.deny(general, Whom::Member(alice), Permissions::VIEW_CHANNEL);
    assert_eq!(seen(branch), [false, true, true]);
    discord.take_from_thread(branch, alice);
    assert_eq!(bot.invites(branch, alice).await, Err(Refusal::Answered(403, 50_001)));
    discord.leave(bob);
    assert_eq!(bot.invites(branch, bob).await, Err(Refusal::Answered(404, 10_007)));
    assert!(!discord.sees(bob, branch));

    let everybodys = CreateThread::new("Open").kind(ChannelType::PublicThread);
    let everybodys = bot.begins(general, everybodys).await.expect("a thread");
    let notice = discord.shown(general).pop().expect("a notice");
    assert_eq!((notice.kind, notice.content()), (18, "Open"));
    assert_eq!(seen(everybodys), [false, false, true], "one does not see the channel, one has left");
}

#[tokio::test]
async fn the_bot_hears_of_threads_that_it_sees() {
    let discord = FakeDiscord::start().await;
    let (general, alice) = (discord.channel("general"), discord.member("alice"));
    let secret = discord.private_thread(general, "secret", (alice, &[]));
    let mut bot = Bot::start(&discord, EVERYTHING).await;
    let guild = bot.hears("GUILD_CREATE", |event| match event {
        Event::GuildCreate(event) => Some(event.guild),
        _ => None,
    });
    assert!(guild.await.threads.is_empty(), "it is not in it");
    discord.connected().await;
    assert_eq!(bot.says(secret, text("hello")).await, Err(Refusal::Answered(403, 50_001)));
    discord.post(secret, alice, "unheard");
    discord.add_to_thread(secret, discord.bot_id());
    let added = bot.hears("the thread", |event| match event {
        Event::ThreadCreate(event) => Some(event.thread),
        _ => None,
    });
    let added = added.await;
    assert_eq!((added.id.get(), added.kind), (secret.0, ChannelType::PrivateThread));
    bot.says(secret, text("hello")).await.expect("sent");
    assert_eq!(bot.hears_message().await.content, "hello");
    discord.take_from_thread(secret, discord.bot_id());
    let left = bot.hears("the end of that", |event| match event {
        Event::ThreadMembersUpdate(event) => Some(event),
        _ => None,
    });
    assert_eq!(left.await.removed_member_ids[0].get(), discord.bot_id().0);
    assert_eq!(bot.says(secret, text("hello")).await, Err(Refusal::Answered(403, 50_001)));

    discord.let_bot_view(general, false);
    let thread = discord.thread(general, "unheard of");
    discord.let_bot_view(general, true);
    let synced = bot.hears("the threads of the channel", |event| match event {
        Event::ThreadListSync(event) => Some(event),
        _ => None,
    });
    let synced = synced.await;
    assert_eq!(synced.threads.iter().map(|thread| thread.id.get()).collect::<Vec<_>>(), [thread.0]);
    assert!(synced.members.is_empty());
}

#[tokio::test]
async fn an_archived_thread_wakes_up_and_a_locked_one_does_not() {
    let discord = FakeDiscord::start().await;
    let (general, alice) = (discord.channel("general"), discord.member("alice"));
    let bot = Bot::start(&discord, EVERYTHING).await;
    let thread = CreateThread::new("Thread").kind(ChannelType::PublicThread);
    let thread = bot.begins(general, thread).await.expect("a thread");
    let said = bot.says(thread, text("one")).await.expect("sent");
    let said = discord.message(said);
    let archived = || discord.thread_as_it_is(thread).archived;

    discord.archive(thread);
    assert_eq!(bot.edits(&said, "changed").await, Err(Refusal::Answered(400, 50_083)));
    assert_eq!(bot.changes(thread, EditThread::new().name("x")).await, Err(Refusal::Answered(400, 50_083)));
    assert_eq!(bot.invites(thread, alice).await, Err(Refusal::Answered(400, 50_083)));
    bot.says(thread, text("two")).await.expect("it wakes up");
    assert!(!archived());
    discord.archive(thread);
    discord.post(thread, alice, "three");
    assert!(!archived());
    assert_eq!(bot.changes(thread, EditThread::new().name("Renamed").archived(true)).await, Ok(()));
    assert_eq!((discord.thread_in(general, "Renamed").await, archived()), (thread, true));

    discord.lock(thread);
    assert_eq!(bot.says(thread, text("four")).await, Err(Refusal::Answered(400, 50_083)));
    let wakes = || EditThread::new().archived(false);
    assert_eq!(bot.changes(thread, wakes()).await, Err(Refusal::Answered(403, 50_013)));
    assert_eq!(bot.deletes(thread).await, Err(Refusal::Answered(403, 50_013)));
    discord.empower(discord.bot_id(), Permissions::MANAGE_THREADS);
    bot.says(thread, text("five")).await.expect("moderators write everywhere");
    assert_eq!(bot.changes(thread, wakes().locked(false)).await, Ok(()));
    assert_eq!(bot.deletes(thread).await, Ok(()));
}

#[tokio::test]
async fn threads_can_be_taken_from_the_bot() {
    let discord = FakeDiscord::start().await;
    let (general, alice) = (discord.channel("general"), discord.member("alice"));
    let bot = Bot::start(&discord, EVERYTHING).await;
    let from = discord.message(discord.post(general, alice, "from here"));
    let own = Whom::Member(discord.bot_id());
    let public = || CreateThread::new("Public").kind(ChannelType::PublicThread);
    let thread = bot.begins(general, public()).await.expect("a thread");
    let forbidden = Err(Refusal::Answered(403, 50_013));

    discord.deny(general, own, Permissions::CREATE_PUBLIC_THREADS);
    assert_eq!(bot.begins_from(&from, "Branch").await.map(drop), Err(Refusal::Answered(403, 50_013)));
    assert_eq!(bot.begins(general, public()).await, forbidden);
    bot.begins(general, CreateThread::new("Private")).await.expect("it may");
    discord.deny(general, Whom::Everyone, Permissions::CREATE_PRIVATE_THREADS);
    assert_eq!(bot.begins(general, CreateThread::new("Private")).await, forbidden);
    // What is said of one goes before what is said of all.
    discord.allow(general, own, Permissions::CREATE_PRIVATE_THREADS);
    bot.begins(general, CreateThread::new("Private")).await.expect("it may");
    discord.deny(general, own, Permissions::SEND_MESSAGES_IN_THREADS);
    assert_eq!(bot.says(thread, text("x")).await, Err(Refusal::Answered(403, 50_013)));
    bot.says(general, text("not here")).await.expect("sent");
}

#[tokio::test]
async fn a_forum_has_posts() {
    let discord = FakeDiscord::start().await;
    let forum = discord.forum("stories");
    let bot = Bot::start(&discord, EVERYTHING).await;
    let channel = SerenityChannel::new(forum.0);
    let post = || CreateForumPost::new("A story", text("Once upon a time").allowed_mentions(nobody()));
    let begun = channel.create_forum_post(&bot.http, post()).await.expect("a post");
    let first = discord.message(MessageId(begun.id.get()));
    assert_eq!((first.channel.0, first.content()), (begun.id.get(), "Once upon a time"));
    assert_eq!(discord.threads_of(forum), [first.channel]);
    assert_eq!(bot.says(forum, text("x")).await, Err(Refusal::Answered(400, 50_024)));
    discord.let_bot_send(forum, false);
    let refused = channel.create_forum_post(&bot.http, post()).await.map(drop).map_err(Refusal::from);
    assert_eq!(refused, Err(Refusal::Answered(403, 50_013)));
}

#[tokio::test]
async fn interactions_say_what_a_member_may_where_they_are() {
    let discord = FakeDiscord::start().await;
    let (general, alice) = (discord.channel("general"), discord.member("alice"));
    let thread = discord.thread(general, "thread");
    let mut bot = Bot::start(&discord, EVERYTHING).await;
    discord.connected().await;
    discord.empower(alice, Permissions::MANAGE_MESSAGES);
    discord.deny(general, Whom::Member(alice), Permissions::READ_MESSAGE_HISTORY);
    let said = discord.send(Post::new(thread, discord.bot_id(), "one").with_attachment("story.txt"));
    discord.use_on_message(said, alice, "Why this reply?");
    let heard = bot.hears("the command", |event| match event {
        Event::InteractionCreate(event) => event.interaction.command(),
        _ => None,
    });
    let heard = heard.await;
    let may = heard.member.as_ref().and_then(|member| member.permissions).expect("what she may");
    assert!(may.contains(Permissions::MANAGE_MESSAGES | Permissions::VIEW_CHANNEL));
    assert!(!may.contains(Permissions::READ_MESSAGE_HISTORY));
    assert!(heard.app_permissions.is_some_and(|own| own.contains(Permissions::READ_MESSAGE_HISTORY)));
    let target = heard.data.resolved.messages.values().next().expect("the message");
    assert_eq!(target.attachments[0].filename, "story.txt");
    // A form that it opens is sent from where it was opened.
    let field = json!({"type": 4, "custom_id": "text", "style": 2, "label": "Text", "value": "one"});
    let form = json!({"type": 9, "data": {
        "custom_id": "edit", "title": "Edit", "components": [{"type": 1, "components": [field]}],
    }});
    let callback = format!("/interactions/{}/{}/callback", heard.id, heard.token);
    let (status, _) = request(&discord, Method::POST, &callback, form).await;
    assert_eq!(status.as_u16(), 204);
    let form = discord.form(InteractionId(heard.id.get())).await;
    discord.submit(thread, alice, &form.with("text", "two"));
    let sent = bot.hears("the form", |event| match event {
        Event::InteractionCreate(event) => event.interaction.modal_submit(),
        _ => None,
    });
    let sent = sent.await;
    assert_eq!((sent.data.custom_id.as_str(), sent.channel_id.get()), ("edit", thread.0));
    discord.lock(thread);
    let callback = format!("/interactions/{}/{}/callback", sent.id, sent.token);
    let answer = |flags: u64| json!({"type": 4, "data": {"content": "x", "flags": flags, "allowed_mentions": {"parse": []}}});
    let (status, refusal) = request(&discord, Method::POST, &callback, answer(0)).await;
    assert_eq!((status.as_u16(), &refusal["code"]), (403, &json!(50_083)));
    let (status, _) = request(&discord, Method::POST, &callback, answer(64)).await;
    assert_eq!(status.as_u16(), 204, "what only she sees disturbs nobody");
    // Whoever has left uses nothing.
    discord.leave(alice);
    let stopped = catch_unwind(AssertUnwindSafe(|| discord.use_command(thread, alice, "help", &[])));
    assert!(stopped.is_err());
}
