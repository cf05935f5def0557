//! The real program is killed at random points of its work, and begins again: nobody is answered twice or not at all, and what
//! is on disk is what Discord shows.
//!
//! `MUMMER_CRASHES` says how often it is killed, `MUMMER_CRASH_SEED` replays the points at which.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::chaos::compare;
use crate::discord::{ChannelId, FakeDiscord, MessageId};
use crate::main_job::Running;
use crate::memory::{PATIENCE, on_disk, open};
use crate::tiny_model::TinyModel;

/// Each costs some seconds. Fifty were run by hand.
const CRASHES: usize = 4;

const CHANNELS: usize = 4;

/// Messages before each crash.
const AT_A_TIME: usize = 2;

/// The program is killed after at most so many requests: each message makes three, to type, to send and to edit.
const REQUESTS_MAX: usize = 3 * AT_A_TIME - 1;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|number| number.parse().ok())
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
    ];
    let arguments = ["--model", path];
    let channels: Vec<ChannelId> =
        (0..CHANNELS).map(|number| discord.channel(&format!("room-{number}"))).collect();
    discord.let_bot_have_webhooks(true);
    for &channel in channels.iter().step_by(2) {
        discord.forbid_webhooks_in(channel);
    }
    let alice = discord.member("Alice");
    let faced: Vec<ChannelId> = channels.iter().skip(1).step_by(2).copied().collect();
    let mut triggers: Vec<MessageId> = Vec::new();
    let ask = |triggers: &mut Vec<MessageId>, random: &mut ChaCha8Rng, many: usize| {
        let first = random.next_u32() as usize;
        for &channel in channels.iter().cycle().skip(first % CHANNELS).take(many) {
            let text = format!("{} message {}", discord.mention_bot(), random.next_u32() % 100);
            triggers.push(discord.post(channel, alice, text));
        }
    };
    let answered = |triggers: &[MessageId]| {
        let (triggers, faced) = (triggers.to_vec(), faced.clone());
        move |state: &crate::discord::State| {
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
    // So that every channel is known.
    ask(&mut triggers, &mut random, CHANNELS);
    discord.until_within("all to be answered", PATIENCE, answered(&triggers)).await;
    for _ in 0..crashes {
        ask(&mut triggers, &mut random, AT_A_TIME);
        let requests = discord.requests().len() + 1 + random.next_u32() as usize % REQUESTS_MAX;
        let many = |state: &crate::discord::State| state.requests.len() >= requests;
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
    program.terminate().await;
    let store = open(&directory).await;
    for &channel in &faced {
        let asked = triggers.iter().filter(|trigger| discord.message(**trigger).channel == channel).count();
        assert_eq!(discord.said_by_webhook(channel).len(), asked, "{}", discord.picture());
    }
    for trigger in triggers.iter().filter(|trigger| !faced.contains(&discord.message(**trigger).channel)) {
        assert_eq!(discord.ever_replied_to(*trigger), 1, "{trigger}\n{}", discord.picture());
    }
    for channel in channels {
        let conversation = on_disk(&store, channel).await.expect("it is there");
        compare(&discord, channel, &conversation);
    }
}
