//! A bot on a stage: the real Discord room and assistant, connected to the fake Discord, with a generator of the
//! test's choice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mummer::assistant::{Assistant, Cast, Settings};
use mummer::bot::{self, BotError};
use mummer::chat::history::{Conversation, Turn, TurnKind};
use mummer::chat::markdown::Links;
use mummer::chat::reply::Manner;
use mummer::generation::Generator;
use mummer::generation::scripted::Scripted;
use mummer::persona::{Library, Persona, SamplingWish};
use mummer::store::Store;
use secrecy::SecretString;
use serenity::http::Http;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::discord::{ChannelId, FakeDiscord};

/// Edits follow each other quickly, so that tests do not wait for them.
const QUICK: Manner = Manner {
    between_edits: Duration::from_millis(30),
    between_typing: Duration::from_secs(8),
    links: Links::Plain,
};

/// A running bot.
pub(crate) struct Stage {
    pub(crate) discord: FakeDiscord,
    pub(crate) script: Scripted,
    pub(crate) assistant: Arc<Assistant>,
    shutdown: CancellationToken,
    bot: JoinHandle<Result<(), BotError>>,
}

/// What may differ from one stage to the next.
pub(crate) struct Setting {
    pub(crate) persona: &'static str,
    pub(crate) channels: BTreeMap<ChannelId, &'static str>,
    pub(crate) manner: Manner,
    pub(crate) message_content: bool,
    pub(crate) queue: usize,
    pub(crate) queue_per_conversation: usize,
    pub(crate) context_length: usize,
    pub(crate) store: Option<Store>,
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
        let stage = Self::open(discord, setting, generator, script, http);
        stage.discord.connected().await;
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
        let Setting { persona, channels, manner, message_content, queue_per_conversation, store, .. } =
            setting;
        let channels = channels.into_iter().map(|(id, name)| (mummer::chat::ChannelId(id.0), find(name)));
        let cast = Cast { default: find(persona), channels: channels.collect() };
        let settings = Settings {
            sampling: SamplingWish::default(),
            manner,
            queue_per_conversation,
            reads_everything: message_content,
            seed: Some(7),
        };
        let assistant = Assistant::new(generator, cast, settings, store);
        let shutdown = CancellationToken::new();
        let bot = tokio::spawn(bot::run(http, Arc::clone(&assistant), message_content, shutdown.clone()));
        Self { discord, script, assistant, shutdown, bot }
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

    /// Asks the bot to end, and waits for it.
    pub(crate) async fn close(self) -> (FakeDiscord, Result<(), BotError>) {
        self.shutdown.cancel();
        (self.discord, self.bot.await.expect("the bot does not panic"))
    }

    /// Waits for the bot to end by itself.
    pub(crate) async fn ended(self) -> (FakeDiscord, Result<(), BotError>) {
        (self.discord, self.bot.await.expect("the bot does not panic"))
    }
}
