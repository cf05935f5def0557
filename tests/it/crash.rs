//! The real program is killed at random points of its work, and begins again: nobody is answered twice or not at all, what is on
//! disk is what Discord shows, and scenes go on where they stood.
//!
//! `MUMMER_CRASHES` says how often it is killed, `MUMMER_CRASH_SEED` replays the points at which.

use std::time::Duration;

use mummer::chat::history::Conversation;
use mummer::chat::request::Outcome;
use mummer::store::Store;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use serde_json::json;

use crate::buttons::has;
use crate::chaos::compare;
use crate::chaos::scenes::{check_lines, spoken};
use crate::discord::{ChannelId, FakeDiscord, MessageId, State, UserId};
use crate::main_job::Running;
use crate::memory::{PATIENCE, on_disk, open};
use crate::tiny_model::TinyModel;

/// Each costs some seconds. Fifty were run by hand.
const CRASHES: usize = 4;

const CHANNELS: usize = 4;

/// In the last ones scenes are played.
const SCENES: usize = 2;

/// Messages before each crash.
const AT_A_TIME: usize = 2;

/// The program is killed after at most so many requests: each message makes three, to type, to send and to edit.
const REQUESTS_MAX: usize = 3 * AT_A_TIME - 1;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|number| number.parse().ok())
}

/// Somebody opens a scene for two personas.
async fn open_scene(discord: &FakeDiscord, channel: ChannelId, host: UserId) {
    let start = [("persona", json!("crake")), ("title", json!("The case"))];
    let second = [("persona", json!("tallow"))];
    for (command, options) in [("roleplay start", &start[..]), ("roleplay cast add", &second)] {
        discord.answer_to(discord.use_command(channel, host, command, options)).await;
    }
    discord.until("a greeting", |state| state.world.shown(channel).any(|said| has(said, "Continue"))).await;
}

/// Somebody wants something else of what was said last in a scene: it is written anew, in more messages than one, or a button under it is
/// pressed.
async fn meddle(discord: &FakeDiscord, channel: ChannelId, who: UserId, random: &mut ChaCha8Rng) {
    let Some(last) = spoken(discord, channel).pop() else { return };
    let buttons: Vec<&str> = last
        .components
        .iter()
        .flat_map(|row| row["components"].as_array().into_iter().flatten())
        .filter(|button| button["disabled"] != true)
        .filter_map(|button| button["custom_id"].as_str())
        .collect();
    let chance = random.next_u32() as usize;
    if chance.is_multiple_of(2) && !buttons.is_empty() {
        discord.press_id(last.id, who, buttons[chance / 2 % buttons.len()]);
        return;
    }
    let asked = discord.use_on_message(last.id, who, "Edit line");
    if let Some(form) = discord.form_if_any(asked).await {
        let text = format!("Phrase {chance} of many that make this line a long one. ").repeat(60);
        discord.submit(channel, who, &form.with("text", &text));
    }
}

/// Until what was said last in the channel of each of these lines is all of an answer to it.
async fn until_over(discord: &FakeDiscord, lines: &[MessageId]) {
    for &line in lines {
        let channel = discord.message(line).channel;
        let is_over = |state: &State| {
            state.world.shown(channel).last().is_some_and(|last| last.id > line && has(last, "Continue"))
        };
        discord.until("a line to be answered", is_over).await;
    }
}

/// The scene of a channel is the one that was opened, and each of its lines was answered once.
async fn check_scene(
    store: &Store,
    conversation: &Conversation,
    channel: ChannelId,
    lines: impl Iterator<Item = &MessageId>,
) {
    check_lines(conversation);
    let scene = conversation.scene().expect("it is a scene");
    let cast: Vec<&str> = scene.cast.iter().map(|actor| actor.persona.0.as_str()).collect();
    assert_eq!((scene.title.as_str(), cast), ("The case", vec!["crake", "tallow"]));
    let requests = store.requests_in(mummer::chat::ChannelId(channel.0), 10_000).await.expect("it is read");
    for line in lines {
        let outcome = requests.iter().find(|(message, _)| message.0 == line.0).map(|(_, outcome)| *outcome);
        assert!(matches!(outcome, Some(Outcome::Answered | Outcome::Told)), "{line}: {outcome:?}");
    }
}

#[expect(clippy::print_stderr, reason = "a failing seed must be known to be replayed")]
#[tokio::test]
async fn a_program_that_is_killed_goes_on_where_it_stood() {
    let crashes =
        number("MUMMER_CRASHES").map_or(CRASHES, |crashes| usize::try_from(crashes).expect("a number"));
    let seed = number("MUMMER_CRASH_SEED").unwrap_or_else(|| ChaCha8Rng::from_os_rng().next_u64());
    eprintln!("MUMMER_CRASH_SEED={seed} replays this");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // The first word is shown at once, and the others a second later.
    let words = ["▁the", "▁time", "▁you"];
    let model = TinyModel { context_length: 4_096, ..TinyModel::saying(&words) }.write();
    let discord = FakeDiscord::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let database = directory.path().join("mummer.db");
    let path = model.path().to_str().expect("a path");
    // More comes at a time than members may ask.
    let variables = [
        ("MUMMER__STORE__PATH", database.to_str().expect("a path")),
        ("MUMMER__LIMITS__MEMBER_AT_A_TIME", "0"),
        ("MUMMER__LIMITS__SERVER_AT_A_TIME", "0"),
        ("MUMMER__GENERATION__QUEUE_PER_CONVERSATION", "1000"),
        ("MUMMER__GENERATION__QUEUE", "1000"),
        // Half of the channels have webhooks.
        ("MUMMER__DISCORD__MESSAGE_CONTENT", "true"),
        ("MUMMER__DISCORD__SCENE_PAUSE_MS", "50"),
    ];
    let arguments = ["--model", path];
    let channels: Vec<ChannelId> =
        (0..CHANNELS).map(|number| discord.channel(&format!("room-{number}"))).collect();
    discord.let_bot_have_webhooks(true);
    for &channel in channels.iter().step_by(2) {
        discord.forbid_webhooks_in(channel);
    }
    let alice = discord.member("Alice");
    let (alone, scenes) = channels.split_at(CHANNELS - SCENES);
    let faced: Vec<ChannelId> = alone.iter().skip(1).step_by(2).copied().collect();
    let mut triggers: Vec<MessageId> = Vec::new();
    let ask = |triggers: &mut Vec<MessageId>, random: &mut ChaCha8Rng, many: usize| {
        let first = random.next_u32() as usize;
        for &channel in channels.iter().cycle().skip(first % CHANNELS).take(many) {
            let text = format!("message {}", random.next_u32() % 100);
            // In a scene nobody needs to mention anybody.
            let text =
                if scenes.contains(&channel) { text } else { format!("{} {text}", discord.mention_bot()) };
            triggers.push(discord.post(channel, alice, text));
        }
    };
    let lines = |triggers: &[MessageId]| -> (Vec<MessageId>, Vec<MessageId>) {
        triggers.iter().partition(|trigger| scenes.contains(&discord.message(**trigger).channel))
    };
    let answered = |triggers: &[MessageId]| {
        let (triggers, faced) = (lines(triggers).1, faced.clone());
        move |state: &State| {
            let replied = |message: &MessageId| state.world.ever_replied_to(*message).count() > 0;
            let by_face = |channel: ChannelId| {
                let asked = triggers.iter().filter(|it| state.world.messages[it].channel == channel).count();
                state.world.shown(channel).filter(|message| message.seen_as.is_some()).count() >= asked
            };
            let is_faced = |message: &MessageId| faced.contains(&state.world.messages[message].channel);
            faced.iter().all(|channel| by_face(*channel))
                && triggers.iter().filter(|message| !is_faced(message)).all(replied)
        }
    };
    let mut program = Running::start_with(directory.path(), &arguments, &variables, &discord).await;
    for &scene in scenes {
        open_scene(&discord, scene, alice).await;
    }
    // So that every channel is known.
    ask(&mut triggers, &mut random, CHANNELS);
    discord.until_within("all to be answered", PATIENCE, answered(&triggers)).await;
    until_over(&discord, &lines(&triggers).0).await;
    for _ in 0..crashes {
        let scene = scenes[random.next_u32() as usize % SCENES];
        meddle(&discord, scene, alice, &mut random).await;
        ask(&mut triggers, &mut random, AT_A_TIME);
        let requests = discord.requests().len() + 1 + random.next_u32() as usize % REQUESTS_MAX;
        let many = |state: &State| state.requests.len() >= requests;
        discord.until_within("some requests", PATIENCE, many).await;
        program.kill().await;
        // Somebody writes, changes and deletes while nobody is there.
        if random.next_u32().is_multiple_of(2) {
            ask(&mut triggers, &mut random, 1);
        }
        program = Running::start_with(directory.path(), &arguments, &variables, &discord).await;
    }
    let patience = PATIENCE + Duration::from_secs(2) * u32::try_from(crashes).expect("few");
    discord.until_within("all to be answered", patience, answered(&triggers)).await;
    let last: Vec<MessageId> =
        scenes.iter().map(|&scene| discord.post(scene, alice, "the last line")).collect();
    until_over(&discord, &last).await;
    triggers.extend(last);
    program.terminate().await;
    let store = open(&directory).await;
    for &channel in &faced {
        let asked = triggers.iter().filter(|trigger| discord.message(**trigger).channel == channel).count();
        assert_eq!(discord.said_by_webhook(channel).len(), asked, "{}", discord.picture());
    }
    let (lines, others) = lines(&triggers);
    for trigger in others.iter().filter(|trigger| !faced.contains(&discord.message(**trigger).channel)) {
        assert_eq!(discord.ever_replied_to(*trigger), 1, "{trigger}\n{}", discord.picture());
    }
    for &channel in &channels {
        let conversation = on_disk(&store, channel).await.expect("it is there");
        compare(&discord, channel, &conversation);
        if scenes.contains(&channel) {
            let of_it = lines.iter().filter(|line| discord.message(**line).channel == channel);
            check_scene(&store, &conversation, channel, of_it).await;
        }
    }
}
