//! What is remembered when the bot is started again, compared with what Discord shows.

use std::sync::Arc;
use std::time::Duration;

use mummer::assistant::AtHand;
use mummer::chat::Place;
use mummer::chat::addressing::{Author, Incoming};
use mummer::chat::history::{Conversation, TurnKind, TurnState};
use mummer::chat::notice::{self, Notice};
use mummer::chat::request::Outcome;
use mummer::generation::scripted::Step;
use mummer::store::Store;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::discord::{Call, ChannelId, Failure, FakeDiscord, MessageId, State, UserId};
use crate::stage::{Setting, Stage};

/// Generous, because a loaded machine is no error.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A database in a directory of its own.
pub(crate) async fn open(directory: &TempDir) -> Store {
    Store::open(&directory.path().join("mummer.db")).await.expect("it opens")
}

pub(crate) async fn on_stage(discord: FakeDiscord, store: &Store) -> Stage {
    Stage::set(discord, Setting { store: Some(store.clone()), ..Setting::default() }).await
}

/// The bot ends, and begins again with what it has written down.
pub(crate) async fn restarted(stage: Stage, store: Store, directory: &TempDir) -> (Stage, Store) {
    let (discord, ended) = stage.close().await;
    ended.expect("it ends well");
    store.close().await;
    drop(store);
    let store = open(directory).await;
    (on_stage(discord, &store).await, store)
}

pub(crate) async fn on_disk(store: &Store, channel: ChannelId) -> Option<Conversation> {
    store.conversation_in(mummer::chat::ChannelId(channel.0)).await.expect("it is read")
}

/// The conversation on disk once its last reply is over.
pub(crate) async fn settled(store: &Store, channel: ChannelId) -> Conversation {
    let is_over = |conversation: &Option<Conversation>| {
        let last = conversation.as_ref().and_then(|conversation| conversation.turns().last());
        last.is_some_and(|last| last.kind == TurnKind::Persona && last.state == TurnState::Complete)
    };
    on_disk_once(store, channel, is_over).await.expect("it is there")
}

/// How many messages of a channel were taken in and wait for an answer.
async fn waiting_in(store: &Store, channel: ChannelId) -> usize {
    let requests = store.requests_in(mummer::chat::ChannelId(channel.0), 100).await.expect("it is read");
    requests.iter().filter(|(_, outcome)| *outcome == Outcome::Waiting).count()
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
    let said = shown.iter().filter(|message| !notice::is_notice(message.content()));
    let shown: Vec<(u64, String)> =
        said.map(|message| (message.id.0, message.content().to_owned())).collect();
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
    let again = mention(trigger.0, general, alice);
    stage.assistant.recall(Place::from(&again)).await;
    assert!(stage.assistant.accept(again.clone()).is_none(), "it was answered before the restart");
    let new = Incoming { message: mummer::chat::MessageId(trigger.0 + 1_000), ..again };
    assert!(stage.assistant.accept(new).is_some());
}

/// A message that mentions the bot, as the bot takes it in.
fn mention(message: u64, channel: ChannelId, author: UserId) -> Incoming {
    Incoming {
        message: mummer::chat::MessageId(message),
        channel: mummer::chat::ChannelId(channel.0),
        parent: None,
        server: None,
        author: Author {
            id: mummer::chat::MemberId(author.0),
            name: "Alice".to_owned(),
            automated: false,
            roles: Vec::new(),
        },
        text: "once".to_owned(),
        mentions_bot: true,
        names_bot: true,
        reply_to: None,
        posted: 0,
        edited: false,
    }
}

#[tokio::test]
async fn what_was_deleted_stays_deleted_in_whatever_order_it_is_heard_of() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let message = mention(1, general, alice);
    let (place, id) = (Place::from(&message), message.message);
    stage.assistant.message_deleted(place, id).await;
    stage.assistant.message_edited(place, id, "twice".to_owned()).await;
    assert!(stage.assistant.accept(message).is_none());
    assert!(stage.assistant.accept(mention(2, general, alice)).is_some());
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

/// A stage whose bot was killed, so to say: its tasks are gone, and what it had on disk is there.
async fn killed(stage: Stage, store: Store) -> FakeDiscord {
    let discord = stage.kill().await;
    drop(store);
    discord
}

#[tokio::test]
async fn a_reply_that_a_crash_cut_off_is_brought_to_an_end() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.script.then([Step::Say("Once upon".to_owned()), Step::Hold(Arc::new(Semaphore::new(0)))]);
    let trigger = stage.discord.post(general, alice, format!("{} a story", stage.discord.mention_bot()));
    stage.discord.reply_such_that(trigger, |message| message.content() == "Once upon").await;
    on_disk_once(&store, general, |conversation| {
        conversation.as_ref().is_some_and(|conversation| !conversation.turns()[1].parts.is_empty())
    })
    .await;
    let discord = killed(stage, store).await;
    let store = open(&directory).await;
    let stage = on_stage(discord, &store).await;
    let interrupted = Notice::Interrupted.to_string();
    let says_so = |state: &State| state.world.said_by_bot(general).any(|said| said.content() == interrupted);
    stage.discord.until("a word about the interruption", says_so).await;
    let conversation = on_disk_once(&store, general, |conversation| {
        conversation
            .as_ref()
            .is_some_and(|conversation| conversation.turns()[1].state == TurnState::Interrupted)
    })
    .await
    .expect("it is there");
    assert_shown(&stage.discord, general, &conversation);
    assert_eq!(conversation.turns()[1].shown().text, "Once upon");
    // It is not said again.
    let (stage, _store) = restarted(stage, store, &directory).await;
    stage.script.then_say("Still here.");
    let again = stage.discord.post(general, alice, format!("{} and then?", stage.discord.mention_bot()));
    stage.discord.reply_to(again).await;
    assert_eq!(stage.discord.said_by_bot(general).len(), 3, "{}", stage.discord.picture());
}

#[tokio::test]
async fn a_message_of_which_the_bot_did_not_hear_any_more_is_taken_for_its_own() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.script.then_say("Here I am.");
    // It is sent, and the bot is gone before it hears of that.
    stage.discord.fail_next(1, Call::SendMessage, Failure::Slow(PATIENCE));
    let trigger = stage.discord.post(general, alice, format!("{} hello", stage.discord.mention_bot()));
    stage.discord.requested(Call::SendMessage, 1).await;
    let discord = killed(stage, store).await;
    discord.answer_as_bot(trigger, "Here I am.");
    let store = open(&directory).await;
    let stage = on_stage(discord, &store).await;
    let ended = |conversation: &Option<Conversation>| {
        let last = conversation.as_ref().and_then(|conversation| conversation.turns().last());
        last.is_some_and(|last| last.state == TurnState::Interrupted)
    };
    let conversation = on_disk_once(&store, general, ended).await.expect("it is there");
    assert_shown(&stage.discord, general, &conversation);
    assert_eq!(stage.script.requests().len(), 0, "it is not made again");
}

#[tokio::test]
async fn what_waited_when_the_bot_ended_is_answered_when_it_is_back() {
    for ends_well in [true, false] {
        let directory = tempfile::tempdir().expect("there is room");
        let store = open(&directory).await;
        let stage = on_stage(FakeDiscord::start().await, &store).await;
        let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
        stage.script.then([Step::Hold(Arc::new(Semaphore::new(0)))]);
        let triggers: Vec<MessageId> = (0..3)
            .map(|number| {
                let text = format!("{} number {number}", stage.discord.mention_bot());
                stage.discord.post(general, alice, text)
            })
            .collect();
        let waiting = async {
            while waiting_in(&store, general).await < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("they are written down");
        let discord = if ends_well {
            let (discord, ended) = stage.close().await;
            ended.expect("it ends well");
            store.close().await;
            drop(store);
            discord
        } else {
            killed(stage, store).await
        };
        // The first was about to be answered; the others had not begun.
        let missed = discord.post(general, alice, format!("{} number 3", discord.mention_bot()));
        let store = open(&directory).await;
        let stage = on_stage(discord, &store).await;
        for trigger in triggers.into_iter().chain([missed]) {
            stage.discord.reply_to(trigger).await;
            let replies = stage.discord.replies_to(trigger);
            assert_eq!(replies.len(), 1, "{}", stage.discord.picture());
        }
    }
}

/// It takes as long as the bot tries, half a minute.
#[tokio::test]
async fn what_could_not_be_answered_in_an_outage_is_answered_after_it() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    // The answer and the apology.
    stage.discord.fail_next(12, Call::SendMessage, Failure::Status(503));
    let trigger = stage.discord.post(general, alice, format!("{} hello?", stage.discord.mention_bot()));
    let tried = |state: &State| state.count(Call::SendMessage) == 12;
    stage.discord.until_within("all tries", 2 * PATIENCE, tried).await;
    stage.idle().await;
    assert_eq!(waiting_in(&store, general).await, 1);
    stage.discord.invalidate_session(false);
    stage.discord.reply_to(trigger).await;
    stage.idle().await;
    assert_eq!((stage.discord.replies_to(trigger).len(), waiting_in(&store, general).await), (1, 0));
}

#[tokio::test]
async fn what_comes_while_the_bot_ends_is_answered_when_it_is_back() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let setting = Setting { store: Some(store.clone()), grace: PATIENCE, ..Setting::default() };
    let stage = Stage::set(FakeDiscord::start().await, setting).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let quiet = stage.discord.channel("quiet");
    let go = Arc::new(Semaphore::new(0));
    stage.script.then([Step::Say("One".to_owned()), Step::Hold(Arc::clone(&go))]);
    let trigger = stage.discord.post(general, alice, format!("{} count", stage.discord.mention_bot()));
    stage.discord.reply_to(trigger).await;
    stage.begin_to_close();
    let late = stage.discord.post(quiet, alice, format!("{} too late?", stage.discord.mention_bot()));
    let waiting = async {
        while waiting_in(&store, quiet).await < 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it is written down");
    go.add_permits(1);
    let (stage, _store) = restarted(stage, store, &directory).await;
    stage.discord.reply_to(late).await;
    assert_eq!(stage.discord.replies_to(late).len(), 1, "{}", stage.discord.picture());
}

#[tokio::test]
async fn what_was_missed_while_a_session_was_lost_is_read() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let ask =
        |text: &str| stage.discord.post(general, alice, format!("{} {text}", stage.discord.mention_bot()));
    for reply in ["First.", "Second."] {
        stage.script.then_say(reply);
    }
    let [changed, deleted] = ["changed", "deleted"].map(ask);
    for trigger in [changed, deleted] {
        stage.discord.reply_to(trigger).await;
    }
    settled(&store, general).await;
    stage.discord.invalidate_session(false);
    let missed = ask("missed");
    stage.discord.edit(changed, &format!("{} another text", stage.discord.mention_bot()));
    stage.discord.delete(deleted);
    stage.discord.reply_to(missed).await;
    assert_eq!(stage.discord.replies_to(missed).len(), 1);
    let prompt = stage.prompt(2);
    assert!(prompt.contains("another text") && !prompt.contains("Alice: changed"), "{prompt}");
    assert!(!prompt.contains("Alice: deleted"), "{prompt}");
}

#[tokio::test]
async fn what_is_deleted_in_discord_is_deleted_on_disk() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let ask =
        |text: &str| stage.discord.post(general, alice, format!("{} {text}", stage.discord.mention_bot()));
    let trigger = ask("one");
    let reply = stage.discord.reply_to(trigger).await.id;
    settled(&store, general).await;
    // Also by a bot that has just begun, and has nothing at hand.
    let (stage, store) = restarted(stage, store, &directory).await;
    stage.discord.edit(trigger, &format!("{} two", stage.discord.mention_bot()));
    let is_two = |conversation: &Option<Conversation>| {
        conversation.as_ref().is_some_and(|conversation| conversation.turns()[0].shown().text == "two")
    };
    on_disk_once(&store, general, is_two).await;
    stage.discord.delete(reply);
    let left = |number: usize| {
        move |conversation: &Option<Conversation>| {
            conversation.as_ref().is_some_and(|conversation| conversation.turns().len() == number)
        }
    };
    on_disk_once(&store, general, left(1)).await;
    stage.discord.delete(trigger);
    on_disk_once(&store, general, left(0)).await;
}

#[tokio::test]
async fn a_message_that_is_changed_before_anything_is_shown_is_answered_as_it_reads_now() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.script.then([Step::Hold(Arc::new(Semaphore::new(0)))]);
    let trigger = stage.discord.post(general, alice, format!("{} teh cat", stage.discord.mention_bot()));
    stage.script.started(1).await;
    stage.script.then_say("A cat.");
    stage.discord.edit(trigger, &format!("{} the cat", stage.discord.mention_bot()));
    stage.discord.reply_such_that(trigger, |message| message.content() == "A cat.").await;
    assert!(
        stage.prompt(1).contains("the cat") && !stage.prompt(1).contains("teh cat"),
        "{}",
        stage.prompt(1)
    );
    assert_eq!((stage.script.cancelled(), stage.discord.replies_to(trigger).len()), (1, 1));
    // Afterwards it changes what is remembered, and nothing that was said.
    stage.discord.edit(trigger, &format!("{} the dog", stage.discord.mention_bot()));
    stage.discord.caught_up().await;
    let next = stage.discord.post(general, alice, format!("{} and?", stage.discord.mention_bot()));
    stage.discord.reply_to(next).await;
    assert!(stage.prompt(2).contains("the dog") && stage.prompt(2).contains("A cat."), "{}", stage.prompt(2));
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

#[tokio::test]
async fn threads_of_a_deleted_channel_are_forgotten_too() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let thread = stage.discord.thread(general, "aside");
    for channel in [general, thread] {
        let trigger = stage.discord.post(channel, alice, format!("{} hello", stage.discord.mention_bot()));
        stage.discord.reply_to(trigger).await;
        settled(&store, channel).await;
    }
    // Nobody has spoken there since the start.
    let (stage, store) = restarted(stage, store, &directory).await;
    assert!(on_disk(&store, thread).await.is_some());
    stage.discord.delete_channel(general);
    on_disk_once(&store, thread, Option::is_none).await;
    on_disk_once(&store, general, Option::is_none).await;
}

#[tokio::test]
async fn what_is_unused_makes_room_and_is_read_again() {
    for at_hand in
        [AtHand { conversations: 2, ..AtHand::default() }, AtHand { bytes: 6_000, ..AtHand::default() }]
    {
        let directory = tempfile::tempdir().expect("there is room");
        let store = open(&directory).await;
        let setting = Setting { store: Some(store.clone()), at_hand, ..Setting::default() };
        let stage = Stage::set(FakeDiscord::start().await, setting).await;
        let alice = stage.discord.member("Alice");
        let rooms = ["one", "two", "three"].map(|name| stage.discord.channel(name));
        let ask = async |room, text: &str| {
            let asked = format!("{} {text} {}", stage.discord.mention_bot(), "and so on ".repeat(100));
            let trigger = stage.discord.post(room, alice, asked);
            stage.discord.reply_to(trigger).await;
            settled(&store, room).await;
        };
        for room in rooms {
            ask(room, "I keep herons").await;
            stage.idle().await;
        }
        let id = |room: ChannelId| mummer::chat::ChannelId(room.0);
        assert!(stage.assistant.conversation(id(rooms[0])).is_none(), "{at_hand:?}");
        assert!(stage.assistant.conversation(id(rooms[2])).is_some(), "{at_hand:?}");
        ask(rooms[0], "what do I keep?").await;
        assert!(stage.script.prompts()[3].render().contains("I keep herons"), "{at_hand:?}");
    }
}
