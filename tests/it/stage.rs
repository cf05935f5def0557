//! A bot on a stage: the real Discord room and assistant, connected to the fake Discord, with a generator of the
//! test's choice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mummer::admin::Admin;
use mummer::assistant::{Assistant, AtHand, Cast, Settings};
use mummer::bot::{self, BotError};
use mummer::chat::ServerId;
use mummer::chat::history::{Conversation, Turn, TurnKind};
use mummer::chat::markdown::Links;
use mummer::chat::reply::Manner;
use mummer::chat::settings::Limits;
use mummer::generation::Generator;
use mummer::generation::scripted::Scripted;
use mummer::persona::{Library, Persona, SamplingWish};
use mummer::store::Store;
use secrecy::SecretString;
use serenity::http::Http;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::discord::{ChannelId, FakeDiscord};

/// Edits follow each other quickly, so that tests do not wait for them.
const QUICK: Manner = Manner {
    between_edits: Duration::from_millis(30),
    between_typing: Duration::from_secs(8),
    links: Links::Plain,
    streaming: true,
};

/// Generous, because a loaded machine is no error.
const KILLING_TIME: Duration = Duration::from_secs(30);

/// A running bot.
pub(crate) struct Stage {
    pub(crate) discord: FakeDiscord,
    pub(crate) script: Scripted,
    pub(crate) assistant: Arc<Assistant>,
    shutdown: CancellationToken,
    bot: JoinHandle<Result<(), BotError>>,
    /// Where all of the bot's tasks run.
    runtime: Body,
}

/// What may differ from one stage to the next.
#[expect(clippy::struct_excessive_bools, reason = "each is one of the operator's settings")]
pub(crate) struct Setting {
    pub(crate) persona: &'static str,
    pub(crate) channels: BTreeMap<ChannelId, &'static str>,
    pub(crate) manner: Manner,
    pub(crate) message_content: bool,
    pub(crate) queue: usize,
    pub(crate) queue_per_conversation: usize,
    pub(crate) context_length: usize,
    pub(crate) store: Option<Store>,
    pub(crate) limits: Limits,
    pub(crate) grace: Duration,
    pub(crate) at_hand: AtHand,
    pub(crate) pause: Duration,
    pub(crate) buttons: bool,
    pub(crate) memory: bool,
    pub(crate) direct_messages: bool,
    pub(crate) servers: BTreeSet<ServerId>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            persona: "hermes",
            channels: BTreeMap::new(),
            manner: QUICK,
            message_content: false,
            queue: 16,
            queue_per_conversation: 8,
            context_length: 4_096,
            store: None,
            limits: Limits::default(),
            grace: Duration::ZERO,
            at_hand: AtHand::default(),
            pause: Duration::ZERO,
            buttons: false,
            memory: false,
            direct_messages: true,
            servers: BTreeSet::new(),
        }
    }
}

/// The runtime of a bot, which ends with it.
struct Body(Option<Runtime>);

impl Body {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self(Some(runtime.expect("there are threads")))
    }

    fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.0.as_ref().expect("it is alive").spawn(task)
    }

    /// Ends all tasks where they stand, and waits until they are gone.
    async fn kill(mut self) {
        let runtime = self.0.take().expect("it is alive");
        let ending = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(KILLING_TIME));
        ending.await.expect("no panic");
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // A runtime cannot wait for its end inside of another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Stage {
    /// A connected bot that plays Hermes and follows a script.
    pub(crate) async fn new() -> Self {
        Self::set(FakeDiscord::start().await, Setting::default()).await
    }

    /// A connected bot in this setting that follows a script.
    pub(crate) async fn set(discord: FakeDiscord, setting: Setting) -> Self {
        let script = Scripted::new(setting.queue, 2).with_context_length(setting.context_length);
        Self::with_generator(discord, setting, Arc::new(script.clone()), script).await
    }

    /// A connected bot in this setting with this generator.
    pub(crate) async fn with_generator(
        discord: FakeDiscord,
        setting: Setting,
        generator: Arc<dyn Generator>,
        script: Scripted,
    ) -> Self {
        let http = bot::http(&SecretString::from(discord.token()), Some(&discord.api_base()));
        let before = discord.identifies();
        let stage = Self::open(discord, setting, generator, script, http);
        stage.discord.connected_anew(before).await;
        stage
    }

    /// A bot that was started, whether or not it will ever be connected.
    pub(crate) fn open(
        discord: FakeDiscord,
        setting: Setting,
        generator: Arc<dyn Generator>,
        script: Scripted,
        http: Http,
    ) -> Self {
        let library = Library::load(None).expect("the shipped personas load");
        let find = |id: &str| -> Arc<Persona> { Arc::clone(library.find(id).expect("it is shipped")) };
        let Setting {
            persona,
            channels,
            manner,
            message_content,
            queue_per_conversation,
            store,
            limits,
            grace,
            at_hand,
            pause,
            buttons,
            memory,
            direct_messages,
            servers,
            ..
        } = setting;
        let channels = channels.into_iter().map(|(id, name)| (mummer::chat::ChannelId(id.0), find(name)));
        let all = library.iter().map(|persona| (persona.id.clone(), Arc::clone(persona)));
        let cast = Cast { default: find(persona), channels: channels.collect(), library: all.collect() };
        let admin = Admin::new(store.clone());
        let settings = Settings {
            sampling: SamplingWish::default(),
            manner,
            queue_per_conversation,
            buttons,
            memory,
            reads_everything: message_content,
            direct_messages,
            servers,
            seed: Some(7),
            limits,
            grace,
            answer_within: Duration::from_mins(15),
            retention: None,
            leave_grace: Duration::from_hours(24),
            at_hand,
            pause,
        };
        let assistant = Assistant::new(generator, cast, settings, store);
        let preparing = Arc::clone(&assistant);
        let shutdown = CancellationToken::new();
        let runtime = Body::new();
        let (running, stop) = (Arc::clone(&assistant), shutdown.clone());
        let bot = runtime.spawn(async move {
            preparing.prepare().await.expect("the database is read");
            bot::run(http, running, admin, message_content, stop).await
        });
        Self { discord, script, assistant, shutdown, bot, runtime }
    }

    /// What the bot remembers of a channel.
    pub(crate) fn conversation(&self, channel: ChannelId) -> Conversation {
        let channel = mummer::chat::ChannelId(channel.0);
        self.assistant.conversation(channel).expect("the channel has a conversation")
    }

    /// The last thing that the persona said in a channel, once that reply is over: the next one there begins only
    /// then, so one is asked for.
    pub(crate) async fn concluded(&self, channel: ChannelId) -> Turn {
        let persona_turns = |conversation: &Conversation| -> Vec<Turn> {
            conversation.turns().iter().filter(|turn| turn.kind == TurnKind::Persona).cloned().collect()
        };
        let before = persona_turns(&self.conversation(channel)).len();
        let marker = self.discord.member("Marker");
        let trigger = self.discord.post(channel, marker, format!("{} and then?", self.discord.mention_bot()));
        self.discord.reply_to(trigger).await;
        persona_turns(&self.conversation(channel)).swap_remove(before - 1)
    }

    /// The text of the prompt of the n-th request.
    pub(crate) fn prompt(&self, number: usize) -> String {
        self.script.prompts()[number].render()
    }

    /// Asks the bot to end.
    pub(crate) fn begin_to_close(&self) {
        self.shutdown.cancel();
    }

    /// Asks the bot to end, and waits for it.
    pub(crate) async fn close(self) -> (FakeDiscord, Result<(), BotError>) {
        self.shutdown.cancel();
        let ended = self.bot.await.expect("the bot does not panic");
        // As the end of the program does.
        self.runtime.kill().await;
        (self.discord, ended)
    }

    /// How many tasks the bot has.
    pub(crate) fn tasks(&self) -> usize {
        self.runtime.0.as_ref().expect("it is alive").metrics().num_alive_tasks()
    }

    /// Waits until nothing is being answered.
    pub(crate) async fn idle(&self) {
        self.running(0).await;
    }

    /// Waits until so many messages are being answered, or wait for it.
    pub(crate) async fn running(&self, messages: usize) {
        let running = async {
            while self.assistant.running() != messages {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(KILLING_TIME, running).await.expect("it comes to that");
    }

    /// Ends all of the bot's tasks where they stand.
    pub(crate) async fn kill(self) -> FakeDiscord {
        self.runtime.kill().await;
        self.discord
    }

    /// Waits for the bot to end by itself.
    pub(crate) async fn ended(self) -> (FakeDiscord, Result<(), BotError>) {
        (self.discord, self.bot.await.expect("the bot does not panic"))
    }
}
