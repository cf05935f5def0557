//! A whole small Discord on loopback, for tests: a REST API, a websocket gateway, one server with
//! its people, and what can go wrong with them. The bot under test talks to it as it talks to
//! Discord; a test acts as the members, and reads what a member would see.
//!
//! Nothing here sleeps or polls: every wait ends at the event it waits for, or fails the test with
//! a picture of everything that happened. What Discord does not allow, such as a route the bot has
//! no business with, fails the test when the fake is dropped.

mod actions;
mod answers;
mod events;
mod faults;
mod files;
mod gateway;
mod ids;
mod interactions;
mod limits;
mod markup;
mod message;
mod payloads;
mod people;
mod picture;
mod rest;
mod rights;
mod routes;
mod socket;
mod spec;
mod state;
mod threads;
mod trouble;
mod webhooks;
mod wire;
mod world;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use serenity::model::gateway::GatewayIntents;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use self::wire::{CuttableListener, Scissors, TestCertificate};

pub(crate) use self::faults::Failure;
pub(crate) use self::ids::{ChannelId, GuildId, InteractionId, MessageId, UserId};
pub(crate) use self::interactions::Form;
pub(crate) use self::message::{KIND_DEFAULT, KIND_REPLY, Message, Post, Reply};
pub(crate) use self::rights::Whom;
pub(crate) use self::routes::Call;
pub(crate) use self::state::{LoggedRequest, Outcome, State};

/// How long a wait may take before the test fails. Generous, because a loaded machine is no error.
const PATIENCE: Duration = Duration::from_secs(30);

/// The bot's id, which its token begins with in base 64, as all bots' tokens do.
const BOT: UserId = UserId(1_100_000_000_000_000_001);
const TOKEN: &str = "MTEwMDAwMDAwMDAwMDAwMDAwMQ.Gfake0.not-a-secret-only-for-tests-0000000000";
/// The name of the persona that plays in most tests: so none stands above what it says.
const BOT_NAME: &str = "Hermes";

/// The path of the websocket.
const SOCKET: &str = "/socket";

/// The fake, and the test's hold on it.
pub(crate) struct FakeDiscord {
    inner: Arc<Inner>,
    address: SocketAddr,
    tls: Option<Tls>,
    servers: Vec<JoinHandle<()>>,
    /// Shared by all connections that are open.
    open: Weak<()>,
}

struct Tls {
    address: SocketAddr,
    authority_pem: String,
}

/// What the servers' tasks and the test share.
struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

impl FakeDiscord {
    /// Starts an empty server on a free port. The bot belongs to it and may write everywhere.
    pub(crate) async fn start() -> Self {
        let listener = CuttableListener::bind(None).await;
        let (address, open) = (local_address(&listener), listener.open());
        let gateway = gateway::Gateway::new(format!("ws://{address}{SOCKET}"));
        let mut world = world::World::new(BOT, BOT_NAME);
        world.files_at = format!("http://{address}");
        let state = State::new(world, gateway);
        let inner = Arc::new(Inner { state: Mutex::new(state), changed: watch::Sender::new(()) });
        let servers = vec![serve(listener, Arc::clone(&inner))];
        Self { inner, address, tls: None, servers, open }
    }

    /// As [`start`](Self::start), and serves the same at [`tls_address`](Self::tls_address) as
    /// `discord.com`, so that a bot need not know that it talks to a fake.
    pub(crate) async fn start_tls() -> Self {
        let mut discord = Self::start().await;
        let certificate = TestCertificate::issue();
        let listener = CuttableListener::bind(Some(certificate.acceptor)).await;
        discord.tls =
            Some(Tls { address: local_address(&listener), authority_pem: certificate.authority_pem });
        let inner = Arc::clone(&discord.inner);
        discord.servers.push(serve(listener, inner));
        discord
    }

    /// What stands for `https://discord.com`, without a slash at the end.
    pub(crate) fn api_base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where `discord.com` has to be resolved to.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.tls().address
    }

    /// The authority that a client has to trust, as PEM.
    pub(crate) fn tls_authority(&self) -> &str {
        &self.tls().authority_pem
    }

    #[expect(clippy::unused_self, reason = "tests ask the fake for all they need")]
    pub(crate) fn token(&self) -> &'static str {
        TOKEN
    }

    pub(crate) fn bot_id(&self) -> UserId {
        self.inner.look(|state| state.world.bot)
    }

    pub(crate) fn guild_id(&self) -> GuildId {
        self.inner.look(|state| state.world.guild)
    }

    /// `<@id>`, which is what clients write today.
    pub(crate) fn mention_bot(&self) -> String {
        format!("<@{}>", self.bot_id())
    }

    /// `<@!id>`, which some clients wrote for members with nicknames.
    pub(crate) fn mention_bot_nick(&self) -> String {
        format!("<@!{}>", self.bot_id())
    }
}

/// Waiting. Each wait fails the test after [`PATIENCE`].
impl FakeDiscord {
    /// Until the bot has identified or resumed and was sent all events so far.
    pub(crate) async fn connected(&self) {
        self.until("the bot to connect", |state| state.gateway.is_connected()).await;
    }

    /// The same of a bot that was started when bots had identified so often: that the one before it is gone may not have been noticed.
    pub(crate) async fn connected_anew(&self, before: usize) {
        // One whose first calls fail tries again after a while.
        let identified = |state: &State| state.gateway.identifies > before;
        self.until_within("the bot to identify", 4 * PATIENCE, identified).await;
        self.connected().await;
    }

    /// Until the bot has read every event so far, which it proves with a heartbeat. What it then
    /// does about them may still be going on.
    pub(crate) async fn caught_up(&self) {
        self.connected().await;
        self.inner.change(|state| state.gateway.request_heartbeat());
        self.until("a heartbeat with the latest sequence number", |state| state.gateway.is_caught_up()).await;
    }

    /// The bot's first reply to a message, as it stands now: a streamed reply goes on growing.
    pub(crate) async fn reply_to(&self, message: MessageId) -> Message {
        self.reply_such_that(message, |_| true).await
    }

    /// A reply of the bot to a message, once it has become as described.
    pub(crate) async fn reply_such_that(
        &self,
        message: MessageId,
        fits: impl Fn(&Message) -> bool,
    ) -> Message {
        let what = format!("a fitting reply to {message}");
        self.wait_for(&what, |state| {
            let mut replies = state.world.replies_to(message);
            replies.find(|reply| fits(reply)).cloned()
        })
        .await
    }

    /// Until so many requests of a kind have arrived since the start, answered or not.
    pub(crate) async fn requested(&self, call: Call, times: usize) {
        let what = format!("{times} times {call:?}");
        self.until(&what, |state| state.count(call) >= times).await;
    }

    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        self.until_within(what, PATIENCE, holds).await;
    }

    /// The same with another patience.
    pub(crate) async fn until_within(&self, what: &str, patience: Duration, holds: impl Fn(&State) -> bool) {
        self.wait_within(what, patience, |state| holds(state).then_some(())).await;
    }

    /// Until there is something to return.
    pub(crate) async fn wait_for<T>(&self, what: &str, find: impl Fn(&State) -> Option<T>) -> T {
        self.wait_within(what, PATIENCE, find).await
    }

    async fn wait_within<T>(&self, what: &str, patience: Duration, find: impl Fn(&State) -> Option<T>) -> T {
        let mut changes = self.inner.changes();
        let search = async {
            loop {
                changes.mark_unchanged();
                if let Some(found) = self.inner.look(&find) {
                    return found;
                }
                changes.changed().await.expect("the fake outlives those who watch it");
            }
        };
        timeout(patience, search)
            .await
            .unwrap_or_else(|_| panic!("waited in vain for {what}\n{}", self.picture()))
    }
}

/// Looking. Everything is a copy of the moment.
impl FakeDiscord {
    /// What a member sees in a channel, oldest first.
    pub(crate) fn shown(&self, channel: ChannelId) -> Vec<Message> {
        self.inner.look(|state| state.world.shown(channel).cloned().collect())
    }

    /// What a member sees of the bot in a channel, oldest first.
    pub(crate) fn said_by_bot(&self, channel: ChannelId) -> Vec<Message> {
        self.inner.look(|state| state.world.said_by_bot(channel).cloned().collect())
    }

    pub(crate) fn replies_to(&self, message: MessageId) -> Vec<Message> {
        self.inner.look(|state| state.world.replies_to(message).cloned().collect())
    }

    /// How often the bot has replied to a message, replies that were deleted included.
    pub(crate) fn ever_replied_to(&self, message: MessageId) -> usize {
        self.inner.look(|state| state.world.ever_replied_to(message).count())
    }

    /// A message, even if it was deleted.
    pub(crate) fn message(&self, id: MessageId) -> Message {
        self.inner
            .look(|state| state.world.messages.get(&id).cloned())
            .unwrap_or_else(|| panic!("there never was a message {id}\n{}", self.picture()))
    }

    /// When the bot began to type in a channel.
    pub(crate) fn typing(&self, channel: ChannelId) -> Vec<Instant> {
        self.inner.look(|state| state.world.channels[&channel].typing.clone())
    }

    /// Every REST request so far.
    pub(crate) fn requests(&self) -> Vec<LoggedRequest> {
        self.inner.look(|state| state.requests.clone())
    }

    pub(crate) fn count(&self, call: Call) -> usize {
        self.inner.look(|state| state.count(call))
    }

    /// How many connections are open, without TLS.
    pub(crate) fn connections(&self) -> usize {
        self.open.strong_count()
    }

    /// How often a bot identified, refused attempts included.
    pub(crate) fn identifies(&self) -> usize {
        self.inner.look(|state| state.gateway.identifies)
    }

    /// How often a session was resumed.
    pub(crate) fn resumes(&self) -> usize {
        self.inner.look(|state| state.gateway.resumes)
    }

    /// What the bot asked for when it last identified.
    pub(crate) fn intents(&self) -> Option<GatewayIntents> {
        self.inner.look(|state| state.gateway.intents)
    }

    /// How many calls the enforced rate limits have turned away.
    pub(crate) fn rate_limit_refusals(&self) -> usize {
        self.inner.look(|state| state.limits.refusals)
    }

    /// Fails the test if the bot replied to a message. That nothing was said can only be known
    /// once something later was: answer a later message first.
    pub(crate) fn assert_no_reply(&self, message: MessageId) {
        let replies = self.replies_to(message);
        assert!(replies.is_empty(), "a reply to {message}, which nobody wanted\n{}", self.picture());
    }

    /// Everything that happened, to be read by whoever looks for the reason of a failure.
    pub(crate) fn picture(&self) -> String {
        self.inner.look(ToString::to_string)
    }

    /// What was not allowed so far. Whoever takes the list has dealt with it: it does not fail the
    /// test any more.
    pub(crate) fn take_violations(&self) -> Vec<String> {
        self.inner.change(|state| std::mem::take(&mut state.violations))
    }

    fn tls(&self) -> &Tls {
        self.tls.as_ref().expect("a fake made by start_tls")
    }
}

impl Drop for FakeDiscord {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
        // The connections' own tasks have to be told.
        self.inner.change(|state| state.gateway.drop_connections());
        if std::thread::panicking() {
            return;
        }
        let violations = self.take_violations();
        assert!(
            violations.is_empty(),
            "Discord would not have allowed this:\n{}\n{}",
            violations.join("\n"),
            self.picture()
        );
    }
}

impl Inner {
    /// Changes the state and wakes all who wait for a change.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.send_replace(());
        result
    }

    fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// A failed assertion inside a look must not hide behind a second failure in `Drop`.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn local_address(listener: &CuttableListener) -> SocketAddr {
    axum::serve::Listener::local_addr(listener).expect("a bound listener has an address")
}

fn serve(listener: CuttableListener, inner: Arc<Inner>) -> JoinHandle<()> {
    let app = Router::new()
        .route(SOCKET, get(socket::connect))
        .route("/attachments/{channel}/{id}/{name}", get(files::fetch))
        .fallback(rest::answer)
        .with_state(inner)
        .into_make_service_with_connect_info::<Scissors>();
    tokio::spawn(async move {
        // Serving ends when the task is aborted, and never with an error.
        let _ = axum::serve(listener, app).await;
    })
}
