//! Everything goes wrong at once, by chance and from a seed, and afterwards everything is as it should be: whoever asked was
//! answered once or told why not, and what is on disk is what Discord shows.
//!
//! `MUMMER_CHAOS_SEED` replays a seed, `MUMMER_CHAOS_MESSAGES` changes how many messages are posted.

pub(crate) mod scenes;

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use mummer::chat::history::{Conversation, Turn, TurnKind};
use mummer::chat::markdown::Links;
use mummer::chat::reply::{self, Manner};
use mummer::chat::request::Outcome;
use mummer::chat::scene::in_character;
use mummer::chat::{notice, split};
use mummer::generation::FailureKind;
use mummer::generation::scripted::{Scripted, Step};
use mummer::store::Store;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use tempfile::TempDir;

use self::scenes::{Scene, check_lines};

use crate::ALLOCATOR;
use crate::discord::{ChannelId, FakeDiscord, KIND_DEFAULT, KIND_REPLY, Message, MessageId, State, UserId};
use crate::memory::{on_disk, open};
use crate::stage::{Setting, Stage};

/// Conversations.
const CHANNELS: usize = 200;

/// Messages, unless the environment says otherwise.
const MESSAGES: usize = 5_000;

/// Bytes that may be in use afterwards beside those that were before: a leak of one word for each message would be a
/// sixth of it.
const LEFT_OVER: usize = 256 << 10;

/// Calls that fail and events that come twice or late, of a thousand.
const TROUBLE: u32 = 30;

/// Generous, because a loaded machine is no error.
const PATIENCE: Duration = Duration::from_mins(1);

/// Edits follow each other so fast that many of them happen.
const MANNER: Manner = Manner {
    between_edits: Duration::from_millis(5),
    between_typing: Duration::from_secs(8),
    links: Links::Plain,
    streaming: true,
};

/// What was done with a message that somebody posted.
#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    /// Its author has deleted it.
    deleted: bool,
    /// The bot was not allowed to speak where it was posted.
    muted: bool,
    /// It may be no line of the scene that is played there.
    unheard: bool,
}

impl Fate {
    /// Whether it must be answered.
    fn is_due(self) -> bool {
        !self.deleted && !self.muted && !self.unheard
    }
}

/// A channel and what was posted there.
struct Room {
    id: ChannelId,
    members: [UserId; 2],
    posted: BTreeMap<MessageId, Fate>,
    muted: bool,
    gone: bool,
    /// Whether personas have their own faces here.
    faces: bool,
    /// What is played here.
    scene: Option<Scene>,
}

impl Room {
    /// Whether a reply replies to the message that it answers, so that Discord shows which are answered.
    fn shows_what_is_answered(&self) -> bool {
        !self.faces && self.scene.is_none()
    }

    /// What is not answered yet may never be.
    fn leave_unheard(&mut self) {
        self.posted.values_mut().for_each(|fate| fate.unheard = true);
    }
}

struct Chaos {
    random: ChaCha8Rng,
    rooms: Vec<Room>,
    number: usize,
    /// How often somebody wanted a scene to branch off.
    branches: usize,
    /// Whether the storm has begun.
    begun: bool,
}

/// A bot, with what it has on disk.
struct Bot {
    stage: Stage,
    store: Store,
}

async fn start(discord: FakeDiscord, directory: &TempDir) -> Bot {
    let store = open(directory).await;
    let setting = Setting {
        manner: MANNER,
        store: Some(store.clone()),
        message_content: true,
        buttons: true,
        queue_per_conversation: 100,
        grace: Duration::from_secs(2),
        pause: Duration::from_millis(20),
        ..Setting::default()
    };
    let script = Scripted::new(1_000, 32);
    let stage = Stage::with_generator(discord, setting, Arc::new(script.clone()), script).await;
    Bot { stage, store }
}

impl Chaos {
    /// Whether something happens that has so many chances of a hundred; before the storm nothing does.
    fn happens(&mut self, percent: u32) -> bool {
        self.random.next_u32() % 100 < percent && self.begun
    }

    fn pick(&mut self, among: usize) -> usize {
        usize::try_from(self.random.next_u32()).expect("64 bits") % among
    }

    /// What the generator does for the next message: mostly a short reply, sometimes a long or a broken one.
    fn script(&mut self, script: &Scripted) {
        self.number += 1;
        let say = |text: String| Step::Say(text);
        let pause = Step::Wait(Duration::from_millis(u64::from(self.random.next_u32() % 15)));
        let number = self.number;
        let mut steps = vec![say(format!("Reply {number}.")), pause.clone(), say(" And more.".to_owned())];
        if self.happens(5) {
            let long = "A sentence of many that make this reply long. ".repeat(60);
            steps.extend([pause.clone(), say(format!(" {long}")), pause.clone(), say(long)]);
        }
        if self.happens(3) {
            steps.insert(self.pick(3), Step::Fail(FailureKind::EngineFault, true));
        }
        script.then(steps);
    }

    /// One message in each of the rooms from one to another one, with what members and moderators do to messages meanwhile.
    fn act(&mut self, bot: &Bot, rooms: std::ops::Range<usize>) {
        let discord = &bot.stage.discord;
        for at in rooms {
            if self.rooms[at].gone {
                continue;
            }
            if self.rooms[at].scene.is_some() {
                self.play(bot, at);
            } else {
                self.ask(bot, at);
            }
            if self.happens(3) {
                let said = said(discord, self.rooms[at].id);
                if !said.is_empty() {
                    discord.delete(said[self.pick(said.len())].id);
                }
            }
            if self.happens(10) {
                self.press(bot, at);
            }
        }
    }

    /// Somebody asks the bot something, and may change or delete that.
    fn ask(&mut self, bot: &Bot, at: usize) {
        let discord = &bot.stage.discord;
        self.script(&bot.stage.script);
        let (number, who) = (self.number, self.pick(2));
        let room = &self.rooms[at];
        let text = format!("{} message {number}", discord.mention_bot());
        let message = discord.post(room.id, room.members[who], text);
        let mut fate = Fate { muted: room.muted, ..Fate::default() };
        if self.happens(4) {
            discord.edit(message, &format!("{} changed {number}", discord.mention_bot()));
        }
        if self.happens(4) {
            discord.delete(message);
            fate.deleted = true;
        }
        self.rooms[at].posted.insert(message, fate);
    }

    /// Somebody presses a button, whoever may.
    fn press(&mut self, bot: &Bot, at: usize) {
        let discord = &bot.stage.discord;
        let said = said(discord, self.rooms[at].id);
        let rows = said.iter().flat_map(|message| message.components.iter().map(|row| (message.id, row)));
        let buttons: Vec<(MessageId, String)> = rows
            .flat_map(|(id, row)| row["components"].as_array().into_iter().flatten().map(move |it| (id, it)))
            .filter(|(_, button)| button["disabled"] != true)
            .filter_map(|(id, button)| Some((id, button["custom_id"].as_str()?.to_owned())))
            .collect();
        if !buttons.is_empty() {
            let (under, id) = &buttons[self.pick(buttons.len())];
            // What it has generated, if it has to.
            self.script(&bot.stage.script);
            let who = self.pick(2);
            discord.press_id(*under, self.rooms[at].members[who], id);
        }
    }

    /// Trouble with the gateway, and with what the bot may do.
    fn trouble(&mut self, discord: &FakeDiscord) {
        match self.random.next_u32() % 8 {
            0 => discord.drop_connections(),
            1 => discord.request_reconnect(),
            2 => discord.invalidate_session(true),
            3 => discord.invalidate_session(false),
            4 => discord.close_connections(4_000),
            _ => {}
        }
        let at = self.pick(CHANNELS);
        if !self.rooms[at].gone && self.happens(50) {
            self.mute(discord, at, true);
        }
        if self.happens(30) {
            let at = self.pick(CHANNELS);
            discord.delete_webhooks(self.rooms[at].id);
        }
        if self.happens(15) {
            let at = self.pick(CHANNELS);
            self.rooms[at].gone = true;
            discord.delete_channel(self.rooms[at].id);
        }
    }

    fn mute(&mut self, discord: &FakeDiscord, at: usize, muted: bool) {
        let room = &mut self.rooms[at];
        room.muted = muted;
        discord.let_bot_send(room.id, !muted);
        // What is not answered yet may not be answerable now.
        let is_unknown = !room.shows_what_is_answered();
        for (message, fate) in &mut room.posted {
            fate.muted |= is_unknown || discord.ever_replied_to(*message) == 0;
        }
    }

    /// Messages that are posted, changed and deleted while there is no bot.
    fn missed(&mut self, discord: &FakeDiscord) {
        self.give_up(discord);
        for _ in 0..CHANNELS / 10 {
            let at = self.pick(CHANNELS);
            let room = &mut self.rooms[at];
            if room.gone {
                continue;
            }
            // In a scene nobody needs to mention anybody.
            let said = |text: &str| match room.scene {
                Some(_) => text.to_owned(),
                None => format!("{} {text}", discord.mention_bot()),
            };
            let changed = said("changed meanwhile");
            let message = discord.post(room.id, room.members[0], said("posted meanwhile"));
            let unheard = room.scene.as_ref().is_some_and(|scene| !scene.hears());
            room.posted.insert(message, Fate { muted: room.muted, unheard, ..Fate::default() });
            let before: Vec<MessageId> = room.posted.keys().copied().collect();
            let (first, second) = (before[self.pick(before.len())], before[self.pick(before.len())]);
            if self.happens(30) && discord.message(first).deleted.is_none() {
                discord.edit(first, &changed);
            }
            if self.happens(30) {
                discord.delete(second);
                if let Some(fate) = self.rooms[at].posted.get_mut(&second) {
                    fate.deleted = true;
                }
            }
        }
    }

    /// The messages that must have been answered when everything is over, where a reply shows to which it is one.
    fn due(&self) -> Vec<MessageId> {
        let rooms = self.rooms.iter().filter(|room| !room.gone && room.shows_what_is_answered());
        let fates = rooms.flat_map(|room| &room.posted);
        fates.filter(|(_, fate)| fate.is_due()).map(|(message, _)| *message).collect()
    }

    /// Waits until all that must be answered is.
    async fn settle(&self, bot: &Bot) {
        self.settle_others(bot).await;
        let due = self.due();
        // Most are answered: the first that is not is looked for where it was the last time.
        let from = std::cell::Cell::new(0);
        let answered = |state: &State| {
            while due.get(from.get()).is_some_and(|message| state.world.ever_replied_to(*message).count() > 0)
            {
                from.set(from.get() + 1);
            }
            from.get() == due.len()
        };
        let discord = &bot.stage.discord;
        let waiting = discord.until_within("all to be answered", 2 * PATIENCE, answered);
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let unanswered = due.iter().filter(|message| discord.ever_replied_to(**message) == 0);
            let unanswered: Vec<&MessageId> = unanswered.collect();
            panic!("nobody has answered {unanswered:?}\n{}", discord.picture());
        }
    }

    /// The same of those whose answers are no replies, or replies to another one: the store knows of them.
    async fn settle_others(&self, bot: &Bot) {
        for room in self.rooms.iter().filter(|room| !room.shows_what_is_answered() && !room.gone) {
            let due = room.posted.iter().filter(|(_, fate)| fate.is_due());
            let mut left: Vec<MessageId> = due.map(|(message, _)| *message).collect();
            let answered = async {
                while !left.is_empty() {
                    let concluded = concluded(bot, room.id).await;
                    left.retain(|message| {
                        !concluded.get(&message.0).is_some_and(|it| *it != Outcome::Waiting)
                    });
                    tokio::task::yield_now().await;
                }
            };
            let is_answered = tokio::time::timeout(PATIENCE, answered).await.is_ok();
            let picture = || bot.stage.discord.picture();
            assert!(is_answered, "in {} nobody has answered {left:?}\n{}", room.id, picture());
        }
    }

    /// Everything is as it should be.
    async fn check(&self, bot: &Bot) {
        let discord = &bot.stage.discord;
        for room in &self.rooms {
            for (message, fate) in &room.posted {
                let replies = discord.ever_replied_to(*message);
                let excused = room.gone || !fate.is_due() || !room.shows_what_is_answered();
                assert!(
                    replies <= 1 && (replies == 1 || excused),
                    "{message} has {replies} replies: {fate:?}"
                );
            }
            let conversation = on_disk(&bot.store, room.id).await;
            if room.gone {
                assert!(conversation.is_none(), "{} is gone", room.id);
            } else {
                let conversation = conversation.expect("there is a conversation");
                let forgotten = |message| room.scene.as_ref().is_some_and(|it| it.has_forgotten(message));
                compare_but(discord, room.id, &conversation, forgotten);
                if let Some(scene) = &room.scene {
                    scene.check(&conversation, room.members);
                    check_lines(&conversation);
                }
                let requests = concluded(bot, room.id).await;
                let waiting = requests.iter().filter(|(_, outcome)| **outcome == Outcome::Waiting);
                let waiting: Vec<_> =
                    waiting.map(|(message, _)| (message, room.posted.get(&MessageId(*message)))).collect();
                assert!(waiting.is_empty(), "in {} these wait: {waiting:?}", room.id);
                let personas = conversation.turns().iter().filter(|turn| turn.kind == TurnKind::Persona);
                let triggers: Vec<_> = personas.filter_map(|turn| turn.trigger).collect();
                let once: BTreeSet<_> = triggers.iter().collect();
                assert_eq!(once.len(), triggers.len(), "in {} somebody was answered twice", room.id);
                for (message, fate) in room.posted.iter().filter(|_| !room.shows_what_is_answered()) {
                    let is_answered = matches!(
                        requests.get(&message.0),
                        Some(Outcome::Answered | Outcome::Told | Outcome::Refused)
                    );
                    assert!(is_answered || !fate.is_due(), "{message} was dropped: {fate:?}");
                }
            }
        }
    }
}

/// What became of the messages that were taken in in a room.
async fn concluded(bot: &Bot, room: ChannelId) -> BTreeMap<u64, Outcome> {
    let requests = bot.store.requests_in(mummer::chat::ChannelId(room.0), 10_000).await;
    requests.expect("they are read").into_iter().map(|(message, outcome)| (message.0, outcome)).collect()
}

/// What the personas show in a room, as themselves and as the bot, and what the bot says.
fn said(discord: &FakeDiscord, room: ChannelId) -> Vec<Message> {
    [discord.said_by_bot(room), discord.said_by_webhook(room)].concat()
}

/// Whether a message is no notice of Discord's, nor the answer to a command, in which is shown what members do and tell by it.
fn is_ordinary(message: &Message) -> bool {
    matches!(message.kind, KIND_DEFAULT | KIND_REPLY)
}

/// What is on disk of a room is what Discord shows there.
pub(crate) fn compare(discord: &FakeDiscord, room: ChannelId, conversation: &Conversation) {
    compare_but(discord, room, conversation, |_| false);
}

/// The same, but for messages of personas that may be there though they are not remembered.
fn compare_but(
    discord: &FakeDiscord,
    room: ChannelId,
    conversation: &Conversation,
    is_forgotten: impl Fn(u64) -> bool,
) {
    // What stands above what a persona says that is seen as another one is no part of that.
    let first = |turn: &Turn| Some((turn.parts.first()?.message.0, turn.name.clone()));
    let headed: BTreeMap<u64, String> = conversation.turns().iter().filter_map(first).collect();
    let said = said(discord, room).into_iter().filter(|said| !notice::is_notice(said.content()));
    let said = said.filter(is_ordinary);
    let bare = |message: &Message| match headed.get(&message.id.0) {
        Some(name) => reply::without_heading(message.content(), name).to_owned(),
        None => message.content().to_owned(),
    };
    let shown: BTreeMap<u64, String> = said.map(|message| (message.id.0, bare(&message))).collect();
    let turns = conversation.turns();
    assert!(turns.iter().all(|turn| !turn.state.is_unfinished()));
    let written: BTreeMap<u64, String> =
        turns.iter().filter(|turn| turn.kind == TurnKind::Persona).flat_map(contents).collect();
    let differing = |one: &BTreeMap<u64, String>, other: &BTreeMap<u64, String>| -> BTreeMap<u64, String> {
        one.iter()
            .filter(|(id, text)| other.get(id) != Some(text))
            .map(|(id, text)| (*id, text.clone()))
            .collect()
    };
    let (only_written, mut only_shown) = (differing(&written, &shown), differing(&shown, &written));
    only_shown.retain(|message, _| written.contains_key(message) || !is_forgotten(*message));
    assert_eq!(only_written, only_shown, "in {room}\n{}", discord.picture());
    let standing: BTreeMap<u64, String> = discord
        .shown(room)
        .into_iter()
        .map(|message| {
            let text = message.content().replace(&discord.mention_bot(), "");
            (message.id.0, text.trim().to_owned())
        })
        .collect();
    for turn in turns.iter().filter(|turn| turn.kind != TurnKind::Persona) {
        // What has branched off is shown where it was said.
        let Some(message) = turn.parts.first().map(|part| part.message.0) else { continue };
        let there = standing.get(&message);
        let text = &turn.shown().text;
        let is_shown = match turn.kind {
            TurnKind::Member if conversation.scene().is_some() => {
                there.is_some_and(|there| in_character(there) == *text)
            }
            TurnKind::Narrator => there.is_some_and(|there| *there == format!("*{text}*")),
            // Dice are a fact in other words.
            TurnKind::Note => there.is_some(),
            _ => there == Some(text),
        };
        assert!(is_shown, "{message} in {room} shows {there:?}, and {turn:?} is remembered");
    }
    let numbers: Vec<_> = turns.iter().map(|turn| turn.id).collect();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
}

/// What the messages of a turn must show.
fn contents(turn: &Turn) -> Vec<(u64, String)> {
    let text = &turn.shown().text;
    let ends = turn.parts.iter().skip(1).map(|part| part.start).chain([text.len()]);
    let parts = turn.parts.iter().zip(ends);
    parts.map(|(part, end)| (part.message.0, split::content(text, part.start, end, Links::Plain))).collect()
}

#[expect(clippy::print_stderr, reason = "a failing seed must be known to be replayed")]
fn seed() -> u64 {
    let given = std::env::var("MUMMER_CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| ChaCha8Rng::from_os_rng().next_u64());
    eprintln!("MUMMER_CHAOS_SEED={seed} replays this");
    seed
}

fn messages() -> usize {
    std::env::var("MUMMER_CHAOS_MESSAGES").ok().and_then(|number| number.parse().ok()).unwrap_or(MESSAGES)
}

/// The test that must be alone in its process, where nobody else takes memory.
const ALONE: &str = "chaos::whatever_goes_wrong_everybody_is_answered_once_and_what_is_shown_is_on_disk";

#[test]
#[expect(clippy::print_stderr, reason = "what the other process says belongs to this test")]
fn whatever_goes_wrong_everybody_is_answered_once_and_what_is_shown_is_on_disk() {
    if std::env::var_os("MUMMER_ALONE").is_some() {
        return alone();
    }
    let this = std::env::current_exe().expect("it runs");
    let mut that = Command::new(this);
    that.args([ALONE, "--exact", "--nocapture"]).env("MUMMER_ALONE", "1");
    let Output { status, stdout, stderr } = that.output().expect("it starts");
    eprintln!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let ran = String::from_utf8_lossy(&stdout).contains("1 passed");
    assert!(status.success() && ran, "{status}");
}

fn alone() {
    let seed = seed();
    // What is made once is made now.
    in_a_runtime(storm(seed, CHANNELS));
    let before = ALLOCATOR.allocated();
    in_a_runtime(storm(seed, messages()));
    let after = ALLOCATOR.allocated();
    assert!(after < before + LEFT_OVER, "{after} bytes are in use, and {before} were before");
}

/// All tasks have ended when it returns.
fn in_a_runtime(storm: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("there are threads");
    runtime.block_on(storm);
    runtime.shutdown_timeout(PATIENCE);
}

async fn storm(seed: u64, messages: usize) {
    let directory = tempfile::tempdir().expect("there is room");
    let discord = FakeDiscord::start().await;
    let members = [discord.member("Alice"), discord.member("Bob")];
    let rooms = (0..CHANNELS).map(|number| Room {
        id: discord.channel(&format!("room-{number}")),
        members,
        posted: BTreeMap::new(),
        muted: false,
        gone: false,
        faces: number % 2 == 1,
        scene: (number % 3 == 2).then(|| Scene::new(format!("Scene {number}"))),
    });
    discord.let_bot_have_webhooks(true);
    let random = ChaCha8Rng::seed_from_u64(seed);
    let mut chaos = Chaos { random, rooms: rooms.collect(), number: 0, branches: 0, begun: false };
    for room in chaos.rooms.iter().filter(|room| !room.faces) {
        discord.forbid_webhooks_in(room.id);
    }
    let mut bot = start(discord, &directory).await;
    chaos.open(&bot).await;
    // One in each, so that every channel is known.
    chaos.act(&bot, 0..CHANNELS);
    chaos.settle(&bot).await;
    let (tasks, rounds) = (bot.stage.tasks(), messages.div_ceil(CHANNELS));
    bot.stage.discord.storm(seed, TROUBLE);
    chaos.begun = true;
    for round in 1..=rounds {
        chaos.act(&bot, 0..CHANNELS / 2);
        chaos.trouble(&bot.stage.discord);
        if round % 7 == 3 {
            let discord = bot.stage.kill().await;
            drop(bot.store);
            chaos.missed(&discord);
            bot = start(discord, &directory).await;
        } else if round % 7 == 6 {
            let (discord, ended) = bot.stage.close().await;
            ended.expect("it ends well");
            bot.store.close().await;
            drop(bot.store);
            chaos.missed(&discord);
            bot = start(discord, &directory).await;
        }
        chaos.act(&bot, CHANNELS / 2..CHANNELS);
        if round % 4 == 0 {
            chaos.settle(&bot).await;
        }
        for at in 0..CHANNELS {
            if chaos.rooms[at].muted && !chaos.rooms[at].gone {
                chaos.mute(&bot.stage.discord, at, false);
            }
        }
    }
    bot.stage.discord.calm();
    // Whoever has lost the connection finds it again by itself.
    bot.stage.discord.connected().await;
    chaos.settle(&bot).await;
    bot.stage.idle().await;
    // What was deleted last has been read, and is followed.
    bot.stage.discord.caught_up().await;
    bot.stage.idle().await;
    assert_eq!(bot.stage.assistant.running(), 0);
    chaos.give_up(&bot.stage.discord);
    chaos.check(&bot).await;
    // Connections are kept for a while; answers are not.
    let (left, kept) = (bot.stage.tasks(), bot.stage.discord.connections());
    assert!(left <= tasks + 50 + kept, "{left} tasks with {kept} connections, and {tasks} at first");
    let (discord, ended) = bot.stage.close().await;
    ended.expect("it ends well");
    bot.store.close().await;
    drop(bot.store);
    let bot = start(discord, &directory).await;
    chaos.curtain(&bot).await;
    bot.stage.idle().await;
    chaos.check(&bot).await;
    let Bot { stage, store } = bot;
    let (discord, ended) = stage.close().await;
    ended.expect("it ends well");
    store.close().await;
    // Where calls fail and are tried again, presses may be answered too late for Discord; nothing else is forgiven.
    let violations: Vec<String> = discord.take_violations();
    let others = violations.iter().filter(|violation| !violation.ends_with("was answered too late"));
    assert_eq!(others.count(), 0, "{violations:?}");
}
