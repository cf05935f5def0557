//! What members and servers may ask of what is kept, and what the files hold afterwards.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mummer::chat::history::{Conversation, ConversationId, Speaker};
use mummer::chat::notice::Notice;
use mummer::chat::settings::{Decision, Limits, Setting as Rule};
use mummer::chat::{ChannelId, MemberId, MessageId, Place, ServerId};
use mummer::generation::scripted::Step;
use mummer::persona::PersonaId;
use mummer::store::Store;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::discord::{self, FakeDiscord, Message};
use crate::memory::{PATIENCE, on_disk, on_stage, open, restarted, settled};
use crate::stage::{Setting, Stage};

/// Which of the words is in one of the files.
fn found_in(directory: &Path, words: &[&'static str]) -> Vec<&'static str> {
    let files = std::fs::read_dir(directory).expect("a directory");
    let bytes: Vec<Vec<u8>> =
        files.map(|entry| std::fs::read(entry.expect("an entry").path()).expect("it is read")).collect();
    let is_in = |word: &&&str| {
        bytes.iter().any(|bytes| bytes.windows(word.len()).any(|window| window == word.as_bytes()))
    };
    words.iter().filter(is_in).copied().collect()
}

fn ours(channel: discord::ChannelId) -> ChannelId {
    ChannelId(channel.0)
}

fn member(user: discord::UserId) -> MemberId {
    MemberId(user.0)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Asks, and waits until the reply is over.
async fn ask(
    stage: &Stage,
    store: &Store,
    channel: discord::ChannelId,
    who: discord::UserId,
    words: [&str; 2],
) {
    stage.script.then_say(words[1]);
    let text = format!("{} {}", stage.discord.mention_bot(), words[0]);
    let trigger = stage.discord.post(channel, who, text);
    stage.discord.reply_such_that(trigger, |message| message.content() == words[1]).await;
    settled(store, channel).await;
}

async fn began() -> (TempDir, Store, Stage) {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    (directory, store, stage)
}

#[tokio::test]
async fn whoever_is_forgotten_is_in_no_file_and_in_no_prompt() {
    let (directory, store, stage) = began().await;
    let discord = &stage.discord;
    let (general, alice, bob) =
        (discord.channel("general"), discord.member("Alizarine"), discord.member("Bob"));
    let (other, direct) = (discord.channel("other"), discord.direct(alice));
    ask(&stage, &store, general, alice, ["I keep herons", "Herons, Alizarine?"]).await;
    ask(&stage, &store, general, bob, ["I keep bees", "Bees are fine."]).await;
    ask(&stage, &store, other, alice, ["and newts", "Newts, then."]).await;
    ask(&stage, &store, direct, alice, ["between us: toads", "Toads are safe with me."]).await;
    let words = ["herons", "Herons", "Alizarine", "newts", "Newts", "toads", "Toads", "bees", "Bees"];
    assert_eq!(found_in(directory.path(), &words), words);
    // In the middle of an answer to her, which stops.
    stage.script.then([Step::Say("Egrets".to_owned()), Step::Hold(Arc::new(Semaphore::new(0)))]);
    let trigger = discord.post(general, alice, format!("{} and egrets", discord.mention_bot()));
    discord.reply_such_that(trigger, |message| message.content() == "Egrets").await;
    let asked = on_disk(&store, general).await.expect("it is there").id;

    stage.assistant.forget_member(member(alice)).await.expect("she is forgotten");
    assert_eq!(stage.script.cancelled(), 1);
    assert!(stage.script.forgotten().contains(&asked.0), "what was computed is forgotten too");
    let words = [&words[..], &["egrets", "Egrets"]].concat();
    assert_eq!(found_in(directory.path(), &words), ["bees", "Bees"]);
    ask(&stage, &store, general, bob, ["what do I keep?", "Bees."]).await;
    let prompt = stage.prompt(stage.script.prompts().len() - 1);
    assert!(prompt.contains("I keep bees") && !prompt.contains("herons"), "{prompt}");
    // And not by a bot that has just begun.
    let (stage, store) = restarted(stage, store, &directory).await;
    ask(&stage, &store, other, alice, ["hello newly", "Hello."]).await;
    assert!(!stage.prompt(0).contains("newts"), "{}", stage.prompt(0));
    let words: Vec<&str> = words.into_iter().filter(|word| *word != "Alizarine").collect();
    assert_eq!(found_in(directory.path(), &words), ["bees", "Bees"]);
}

#[tokio::test]
async fn members_get_everything_that_is_kept_of_them_and_nothing_of_others() {
    let (_directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let bob = stage.discord.member("Bob");
    ask(&stage, &store, general, alice, ["I keep herons", "Herons?"]).await;
    ask(&stage, &store, general, bob, ["I keep bees", "Bees?"]).await;
    let concluded = async {
        loop {
            let export = stage.assistant.export_member(member(alice)).await.expect("it is read");
            if export["requests"][0]["outcome"] == "answered" {
                return export;
            }
            tokio::task::yield_now().await;
        }
    };
    let export = tokio::time::timeout(PATIENCE, concluded).await.expect("it is concluded");
    assert_eq!(export["member"], alice.0.to_string());
    assert_eq!(export["messages"].as_array().map(Vec::len), Some(1));
    let message = &export["messages"][0];
    assert_eq!((&message["text"], &message["name"]), (&"I keep herons".into(), &"Alice".into()));
    assert_eq!(message["channel"], general.0.to_string());
    assert_eq!(export["requests"].as_array().map(Vec::len), Some(1));
    assert_eq!(export["names"], serde_json::json!(["Alice"]));
    let replies = export["replies"].as_array().expect("a list");
    assert_eq!(replies.iter().map(|reply| &reply["text"]).collect::<Vec<_>>(), ["Herons?"]);
    assert_eq!(replies[0]["answers"], message["message"]);
    assert!(!export.to_string().to_lowercase().contains("bees"), "{export}");
}

#[tokio::test]
async fn whoever_does_not_want_to_be_read_is_not_read() {
    let (directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let bob = stage.discord.member("Bob");
    ask(&stage, &store, general, alice, ["I keep herons", "Herons?"]).await;
    stage.assistant.opt_out(member(alice)).await.expect("she is out");
    assert_eq!(found_in(directory.path(), &["herons", "Herons"]), Vec::<&str>::new());
    // Neither now nor after a restart.
    let (stage, store) = restarted(stage, store, &directory).await;
    let hers = stage.discord.post(general, alice, format!("{} about egrets", stage.discord.mention_bot()));
    let told = stage.discord.reply_to(hers).await;
    assert_eq!(told.content(), Notice::OptedOut.to_string());
    // Nor when somebody else replies to what she wrote.
    stage.script.then_say("Hm.");
    let his = stage.discord.post_reply(hers, bob, true, format!("{} well?", stage.discord.mention_bot()));
    stage.discord.reply_to(his).await;
    settled(&store, general).await;
    assert!(!stage.prompt(0).contains("egrets"), "{}", stage.prompt(0));
    assert_eq!(found_in(directory.path(), &["egrets"]), Vec::<&str>::new());
    stage.assistant.opt_in(member(alice)).await.expect("she is in");
    ask(&stage, &store, general, alice, ["I am back", "Good."]).await;
    assert!(stage.prompt(1).contains("I am back"), "{}", stage.prompt(1));
}

/// Writes down something that was said long ago.
async fn said_in_1970(store: &Store, channel: discord::ChannelId, server: Option<ServerId>) {
    let persona = Speaker::Persona { id: PersonaId("hermes".to_owned()), version: "1".to_owned() };
    let id: ConversationId = store.new_conversation();
    let mut conversation = Conversation::new(id, 0, 1_000, persona, "Hermes");
    conversation.hear(MemberId(1), "Bob", "I keep herons", Some(MessageId(1)));
    store
        .write(Place { channel: ours(channel), parent: None, server }, &conversation.take_changes())
        .await
        .expect("it is written");
}

#[tokio::test]
async fn what_is_older_than_a_server_wants_is_forgotten() {
    let (directory, store, stage) = began().await;
    let server = Some(ServerId(stage.discord.guild_id().0));
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    said_in_1970(&store, general, server).await;
    // One that is at hand, and another one that is not.
    ask(&stage, &store, general, alice, ["I keep bees", "Bees?"]).await;
    assert!(stage.prompt(0).contains("herons"));
    let elsewhere = stage.discord.channel("elsewhere");
    said_in_1970(&store, elsewhere, server).await;
    stage.assistant.keep_house().await.expect("it is done");
    assert_eq!(found_in(directory.path(), &["herons"]), ["herons"], "nothing is too old by itself");
    let days = serde_json::json!(30);
    let (server, setting) = (ServerId(stage.discord.guild_id().0), (Rule::RetentionDays.name(), Some(&days)));
    let decision = Decision { at: 1, member: None, what: "set".to_owned(), about: "days".to_owned() };
    store.set(server, None, setting, &decision).await.expect("it is set");
    stage.assistant.rules_changed(server).await;
    stage.assistant.keep_house().await.expect("it is done");
    assert_eq!(found_in(directory.path(), &["herons", "bees"]), ["bees"]);
    ask(&stage, &store, general, alice, ["and now?", "Now."]).await;
    assert!(!stage.prompt(1).contains("herons"), "{}", stage.prompt(1));
}

#[tokio::test]
async fn a_server_that_was_left_is_forgotten_after_a_while() {
    let (directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    ask(&stage, &store, general, alice, ["I keep herons", "Herons?"]).await;
    stage.discord.kick_bot();
    let left = async {
        while !store.servers().await.expect("it is read").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, left).await.expect("it is written down");
    stage.assistant.keep_house().await.expect("it is done");
    assert_eq!(found_in(directory.path(), &["herons"]), ["herons"], "the bot may come back");
    let (server, long_ago) = (store.servers_left(now() + 1).await.expect("it is read")[0], Some(1));
    store.left(server, None).await.expect("it is back");
    store.left(server, long_ago).await.expect("it was left");
    stage.assistant.keep_house().await.expect("it is done");
    assert_eq!(store.servers_left(now() + 1).await.expect("it is read"), []);
    assert_eq!(found_in(directory.path(), &["herons", "Herons"]), Vec::<&str>::new());
}

#[tokio::test]
async fn a_bot_that_is_taken_out_while_it_is_away_learns_of_it_and_one_that_is_back_keeps_what_it_had() {
    let (directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    ask(&stage, &store, general, alice, ["I keep herons", "Herons?"]).await;
    let (discord, ended) = stage.close().await;
    ended.expect("it ends well");
    discord.kick_bot();
    let stage = on_stage(discord, &store).await;
    let servers = |number: usize| {
        let store = store.clone();
        async move {
            while store.servers().await.expect("it is read").len() != number {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, servers(0)).await.expect("it is known to be left");
    stage.discord.invite_bot();
    tokio::time::timeout(PATIENCE, servers(1)).await.expect("it is known to be back");
    ask(&stage, &store, general, alice, ["what do I keep?", "Herons."]).await;
    assert!(stage.prompt(0).contains("I keep herons"), "{}", stage.prompt(0));
    drop(directory);
}

#[tokio::test]
async fn a_flooder_is_throttled_and_hurts_nobody_else() {
    let limits = Limits { member_at_a_time: Some(2), ..Limits::default() };
    let setting = Setting { limits, ..Setting::default() };
    let stage = Stage::set(FakeDiscord::start().await, setting).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let (other, bob) = (stage.discord.channel("other"), stage.discord.member("Bob"));
    let go = Arc::new(Semaphore::new(0));
    stage.script.then([Step::Hold(Arc::clone(&go))]);
    let flood: Vec<discord::MessageId> = (0..20)
        .map(|number| stage.discord.post(general, alice, format!("{} {number}", stage.discord.mention_bot())))
        .collect();
    let refused = Notice::TooManyAtATime { most: 2 }.to_string();
    stage.discord.reply_such_that(flood[2], |message| message.content() == refused).await;
    let his = stage.discord.post(other, bob, format!("{} hello?", stage.discord.mention_bot()));
    stage.discord.reply_to(his).await;
    go.add_permits(1);
    for trigger in &flood[..2] {
        stage.discord.reply_such_that(*trigger, |message| message.content() != refused).await;
    }
    let told: Vec<Message> =
        flood[3..].iter().flat_map(|trigger| stage.discord.replies_to(*trigger)).collect();
    assert!(told.is_empty(), "told once: {told:?}");
}

#[tokio::test]
async fn what_was_asked_within_the_hour_counts_after_a_restart() {
    let directory = tempfile::tempdir().expect("there is room");
    let limits = Limits { member_per_hour: Some(2), ..Limits::default() };
    let mut discord = FakeDiscord::start().await;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    for round in 0..2 {
        let store = open(&directory).await;
        let setting = Setting { limits, store: Some(store.clone()), ..Setting::default() };
        let stage = Stage::set(discord, setting).await;
        let ask = || stage.discord.post(general, alice, format!("{} hello", stage.discord.mention_bot()));
        if round == 0 {
            for _ in 0..2 {
                stage.discord.reply_to(ask()).await;
            }
        } else {
            let told = stage.discord.reply_to(ask()).await;
            assert!(told.content().starts_with("-# That is more than I may answer in an hour."), "{told:?}");
            assert_eq!(stage.script.requests().len(), 0);
        }
        let ended;
        (discord, ended) = stage.close().await;
        ended.expect("it ends well");
        store.close().await;
    }
}

#[tokio::test]
async fn replies_that_run_when_the_bot_ends_may_go_on_for_a_while() {
    let setting = Setting { grace: Duration::from_mins(1), ..Setting::default() };
    let stage = Stage::set(FakeDiscord::start().await, setting).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let go = Arc::new(Semaphore::new(0));
    stage.script.then([
        Step::Say("One".to_owned()),
        Step::Hold(Arc::clone(&go)),
        Step::Say(" and two.".to_owned()),
    ]);
    let trigger = stage.discord.post(general, alice, format!("{} count", stage.discord.mention_bot()));
    stage.discord.reply_such_that(trigger, |message| message.content() == "One").await;
    let (closing, more) = tokio::join!(stage.close(), async {
        // It is told to end before there is more to say.
        tokio::task::yield_now().await;
        go.add_permits(1);
    });
    let ((discord, ended), ()) = (closing, more);
    ended.expect("it ends well");
    assert_eq!(discord.replies_to(trigger)[0].content(), "One and two.");
}
