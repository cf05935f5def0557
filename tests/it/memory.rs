//! What is remembered when the bot is started again, compared with what Discord shows.

use std::sync::Arc;
use std::time::Duration;

use mummer::chat::addressing::{Author, Incoming};
use mummer::chat::history::{Conversation, TurnKind, TurnState};
use mummer::generation::scripted::Step;
use mummer::store::Store;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::discord::{ChannelId, FakeDiscord, MessageId};
use crate::stage::{Setting, Stage};

/// Generous, because a loaded machine is no error.
const PATIENCE: Duration = Duration::from_mins(1);

/// A database in a directory of its own.
async fn open(directory: &TempDir) -> Store {
    Store::open(&directory.path().join("mummer.db")).await.expect("it opens")
}

async fn on_stage(discord: FakeDiscord, store: &Store) -> Stage {
    Stage::set(discord, Setting { store: Some(store.clone()), ..Setting::default() }).await
}

/// The bot ends, and begins again with what it has written down.
async fn restarted(stage: Stage, store: Store, directory: &TempDir) -> (Stage, Store) {
    let (discord, ended) = stage.close().await;
    ended.expect("it ends well");
    store.close().await;
    drop(store);
    let store = open(directory).await;
    (on_stage(discord, &store).await, store)
}

async fn on_disk(store: &Store, channel: ChannelId) -> Option<Conversation> {
    store.conversation_in(mummer::chat::ChannelId(channel.0)).await.expect("it is read")
}

/// The conversation on disk once its last reply is over.
async fn settled(store: &Store, channel: ChannelId) -> Conversation {
    let is_over = |conversation: &Option<Conversation>| {
        let last = conversation.as_ref().and_then(|conversation| conversation.turns().last());
        last.is_some_and(|last| last.kind == TurnKind::Persona && last.state == TurnState::Complete)
    };
    on_disk_once(store, channel, is_over).await.expect("it is there")
}

/// What is on disk as soon as it is as described.
async fn on_disk_once(
    store: &Store,
    channel: ChannelId,
    fits: impl Fn(&Option<Conversation>) -> bool,
) -> Option<Conversation> {
    let reading = async {
        loop {
            let conversation = on_disk(store, channel).await;
            if fits(&conversation) {
                return conversation;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("it becomes so in time")
}

/// What the persona has said on disk is what Discord shows, message by message.
fn assert_shown(discord: &FakeDiscord, channel: ChannelId, conversation: &Conversation) {
    let shown = discord.said_by_bot(channel);
    let shown: Vec<(u64, String)> =
        shown.iter().map(|message| (message.id.0, message.content().to_owned())).collect();
    let written = conversation.turns().iter().filter(|turn| turn.kind == TurnKind::Persona);
    let written: Vec<(u64, String)> = written
        .flat_map(|turn| turn.parts.iter().map(|part| (part.message.0, turn.shown().text.clone())))
        .collect();
    assert_eq!(written, shown);
}

#[tokio::test]
async fn a_conversation_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.script.then_say("Nice to meet you, Ada.");
    let trigger =
        stage.discord.post(general, alice, format!("{} my name is Ada", stage.discord.mention_bot()));
    stage.discord.reply_to(trigger).await;
    settled(&store, general).await;
    let (stage, store) = restarted(stage, store, &directory).await;
    assert_shown(&stage.discord, general, &on_disk(&store, general).await.expect("it is there"));

    stage.script.then_say("You are Ada.");
    let again = stage.discord.post(general, alice, format!("{} who am I?", stage.discord.mention_bot()));
    stage.discord.reply_to(again).await;
    settled(&store, general).await;
    let prompt = stage.prompt(0);
    assert!(prompt.contains("my name is Ada") && prompt.contains("Nice to meet you, Ada."), "{prompt}");
    // A reply that does not ping is known to be to the bot's own words from before.
    let first = on_disk(&store, general).await.expect("it is there").turns()[1].parts[0].message;
    let reply = stage.discord.post_reply(MessageId(first.0), alice, true, "really?");
    stage.discord.reply_to(reply).await;
    settled(&store, general).await;
    let (stage, store) = restarted(stage, store, &directory).await;
    let conversation = on_disk(&store, general).await.expect("it is there");
    assert_eq!(conversation.turns().len(), 6);
    assert!(conversation.turns().iter().all(|turn| turn.state == TurnState::Complete));
    assert_shown(&stage.discord, general, &conversation);
}

#[tokio::test]
async fn a_message_that_comes_again_after_a_restart_is_not_answered_again() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let trigger = stage.discord.post(general, alice, format!("{} once", stage.discord.mention_bot()));
    stage.discord.reply_to(trigger).await;
    settled(&store, general).await;
    let (stage, _store) = restarted(stage, store, &directory).await;
    let again = Incoming {
        message: mummer::chat::MessageId(trigger.0),
        channel: mummer::chat::ChannelId(general.0),
        parent: None,
        server: None,
        author: Author { id: mummer::chat::MemberId(alice.0), name: "Alice".to_owned(), automated: false },
        text: "once".to_owned(),
        mentions_bot: true,
        reply_to: None,
    };
    stage.assistant.recall(&again).await;
    assert!(stage.assistant.accept(again.clone()).is_none(), "it was answered before the restart");
    let new = Incoming { message: mummer::chat::MessageId(trigger.0 + 1_000), ..again };
    assert!(stage.assistant.accept(new).is_some());
}

#[tokio::test]
async fn a_reply_that_the_end_cut_off_is_remembered_as_it_was_shown() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let never = Arc::new(Semaphore::new(0));
    stage.script.then([
        Step::Say("Once upon".to_owned()),
        Step::Hold(never),
        Step::Say(" a time.".to_owned()),
    ]);
    let trigger = stage.discord.post(general, alice, format!("{} a story", stage.discord.mention_bot()));
    stage.discord.reply_such_that(trigger, |message| message.content() == "Once upon").await;
    let (stage, store) = restarted(stage, store, &directory).await;
    let conversation = on_disk(&store, general).await.expect("it is there");
    assert_eq!(conversation.turns()[1].state, TurnState::Interrupted);
    assert_shown(&stage.discord, general, &conversation);
}

#[tokio::test]
async fn what_is_on_disk_while_a_reply_grows_is_what_is_shown() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let more = Arc::new(Semaphore::new(0));
    let words = ["One", " two", " three"];
    stage
        .script
        .then(words.iter().flat_map(|word| [Step::Say((*word).to_owned()), Step::Hold(Arc::clone(&more))]));
    let trigger = stage.discord.post(general, alice, format!("{} count", stage.discord.mention_bot()));
    for shown in ["One", "One two", "One two three"] {
        stage.discord.reply_such_that(trigger, |message| message.content() == shown).await;
        let conversation = on_disk(&store, general).await.expect("it is there");
        assert_eq!(conversation.turns()[1].shown().text, shown);
        more.add_permits(1);
    }
}

#[tokio::test]
async fn a_channel_that_is_deleted_is_forgotten_on_disk_too() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let trigger = stage.discord.post(general, alice, format!("{} hello", stage.discord.mention_bot()));
    stage.discord.reply_to(trigger).await;
    assert!(on_disk(&store, general).await.is_some());
    stage.discord.delete_channel(general);
    on_disk_once(&store, general, Option::is_none).await;
    let (stage, store) = restarted(stage, store, &directory).await;
    assert!(on_disk(&store, general).await.is_none());
    drop(stage);
}
