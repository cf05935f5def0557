//! How long it takes from a message to the generator, with many channels at a time: `cargo bench --bench load`.
//!
//! The whole bot with its database stands between the tests' fake Discord and a script, all in this process: what is measured
//! contains the fake's work, the websocket and serenity.

#![expect(clippy::print_stdout, reason = "the figures are the result")]
#![expect(dead_code, unused_imports, reason = "the fake Discord can do more than is needed here")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mummer::chat::history::{Conversation, Part, Speaker, TurnState};
use mummer::chat::{self, MemberId, MessageId, Place, ServerId};
use mummer::generation::scripted::Scripted;
use mummer::persona::PersonaId;
use mummer::store::Store;

#[path = "../tests/it"]
mod it {
    pub(crate) mod discord;
    pub(crate) mod stage;
}

use it::discord::{self, ChannelId, FakeDiscord};
use it::stage::{Setting, Stage};

const CHANNELS: usize = 2_000;
/// Conversations that are stored and not spoken in.
const CONVERSATIONS: u64 = 100_000;

/// Every so many messages another one follows at once in the same channel, which has so much greater a number.
const PAIRS: usize = 10;
const FOLLOWS: usize = 1_000_000;

const PER_SECOND: u32 = 50;
const SECONDS: u32 = 60;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("there are threads").block_on(measure());
}

async fn measure() {
    let directory = tempfile::tempdir().expect("there is room");
    let database = directory.path().join("mummer.db");
    println!("opening an empty database: {:?}", opening(&database).await);
    fill(&database).await;
    println!("opening one with {CONVERSATIONS} conversations: {:?}", opening(&database).await);
    let discord = FakeDiscord::start().await;
    let alice = discord.member("Alice");
    let channels: Vec<ChannelId> =
        (0..CHANNELS).map(|number| discord.channel(&format!("room-{number}"))).collect();
    let store = Store::open(&database).await.expect("it opens");
    let setting = Setting { store: Some(store), ..Setting::default() };
    let script = Scripted::new(1_000, 32);
    let stage = Stage::with_generator(discord, setting, Arc::new(script.clone()), script).await;
    let memory_at_first = resident_bytes();
    let (mut posted, mut pairs) = (BTreeMap::new(), 0);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let mut memory_in_the_middle = 0;
    for number in 0..(PER_SECOND * SECONDS) as usize {
        ticks.tick().await;
        if number == (PER_SECOND * SECONDS) as usize / 2 {
            memory_in_the_middle = resident_bytes();
        }
        // Each of them in another channel than the one before, and all channels in turn.
        let channel = channels[number * 7 % CHANNELS];
        posted.insert(number, Instant::now());
        let post = |number: usize| {
            stage.discord.post(channel, alice, format!("{} number {number}.", stage.discord.mention_bot()));
        };
        post(number);
        if number % PAIRS == 0 {
            post(number + FOLLOWS);
            pairs += 1;
        }
    }
    stage.script.started(posted.len() + pairs).await;
    stage.idle().await;
    let order: Vec<usize> =
        stage.script.requests().iter().map(|request| number_in(&request.prompt.render())).collect();
    let submitted: BTreeMap<usize, Instant> = order.into_iter().zip(stage.script.times()).collect();
    let mut times: Vec<Duration> =
        posted.iter().map(|(number, posted)| submitted[number] - *posted).collect();
    times.sort_unstable();
    let overtaken = submitted
        .iter()
        .filter(|(number, submitted_at)| {
            number.checked_sub(FOLLOWS).is_some_and(|before| submitted[&before] > **submitted_at)
        })
        .count();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{} messages in {CHANNELS} channels, {PER_SECOND} a second", times.len());
    println!("from the post to the generator: median {:?}, 99 % {:?}, longest {:?}", at(50), at(99), at(100));
    println!("{overtaken} of {pairs} messages were answered before the one that was posted just before them");
    let megabytes = |bytes: u64| bytes / 1_000_000;
    println!(
        "memory: {} MB at first, {} MB in the middle, {} MB at the end",
        megabytes(memory_at_first),
        megabytes(memory_in_the_middle),
        megabytes(resident_bytes())
    );
}

/// How long it takes until a database can be used, and what the bot asks of it before its first message is known.
async fn opening(database: &Path) -> Duration {
    let begin = Instant::now();
    let store = Store::open(database).await.expect("it opens");
    store.undone().await.expect("it is read");
    store.opted_out().await.expect("it is read");
    store.asked_since(u64::MAX / 4).await.expect("it is read");
    let took = begin.elapsed();
    store.close().await;
    took
}

/// Writes many conversations that are over.
async fn fill(database: &Path) {
    let store = Store::open(database).await.expect("it opens");
    let persona = Speaker::Persona { id: PersonaId("hermes".to_owned()), version: "1".to_owned() };
    for number in 1..=CONVERSATIONS {
        let id = store.new_conversation();
        let mut conversation = Conversation::new(id, number, 1_000, persona.clone(), "Hermes");
        let message = MessageId(number * 2);
        conversation.hear(
            MemberId(number),
            "Bob",
            "A sentence of some length, as people write them.",
            Some(message),
        );
        let reply = conversation.begin_reply(persona.clone(), "Hermes", Some(message));
        if let Some(turn) = conversation.turn_mut(reply) {
            turn.state = TurnState::Complete;
            "Another sentence of some length, as models write them.".clone_into(&mut turn.shown_mut().text);
            turn.parts.push(Part { message: MessageId(number * 2 + 1), webhook: None, start: 0 });
        }
        let place = Place { channel: chat::ChannelId(number), parent: None, server: Some(ServerId(1)) };
        store.write(place, &conversation.take_changes()).await.expect("it is written");
    }
    store.close().await;
}

/// The number of the message that a prompt answers.
fn number_in(prompt: &str) -> usize {
    let last = prompt.rsplit("number ").next().expect("there is one");
    last.split('.').next().and_then(|number| number.parse().ok()).expect("it is a number")
}

/// Memory of this process, by the kernel; 0 where it does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1_024
}
