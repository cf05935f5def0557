//! What is written is what is read, and what goes wrong is said.

use proptest::prelude::*;

use super::*;
use crate::chat::history::{
    Conversation, ConversationId, Origin, Part, Speaker, Tokens, Took, TurnId, TurnKind, TurnState, Variant,
};
use crate::chat::memory::{Chapter, Memory, Next};
use crate::chat::request::{Asked, Concluded, Outcome};
use crate::chat::scene::{Scene, SceneState, Written};
use crate::chat::{ChannelId, MemberId, MessageId, Place, ServerId};
use crate::persona::PersonaId;

const CHANNEL: ChannelId = ChannelId(5);
const PLACE: Place = Place { channel: CHANNEL, parent: None, server: Some(ServerId(u64::MAX)) };

fn persona() -> Speaker {
    Speaker::Persona { id: PersonaId("crake".to_owned()), version: "1".to_owned() }
}

fn conversation(id: u64) -> Conversation {
    Conversation::new(ConversationId(id), u64::MAX - id, 7, persona(), "Crake")
}

async fn open(directory: &tempfile::TempDir) -> Store {
    Store::open(&directory.path().join("mummer.db")).await.expect("it opens")
}

/// Writes down what has changed.
async fn write(store: &Store, conversation: &mut Conversation) {
    store.write(PLACE, &conversation.take_changes()).await.expect("it is written");
}

async fn read(store: &Store) -> Conversation {
    store.conversation_in(CHANNEL).await.expect("it is read").expect("it is there")
}

/// Both have the same in them; what has changed does not count.
fn assert_equal(one: &Conversation, other: &Conversation) {
    let shown = |conversation: &Conversation| {
        let mut conversation = conversation.clone();
        let head = conversation.take_changes().head;
        format!("{head:#?}\n{:#?}", conversation.turns())
    };
    assert_eq!(shown(one), shown(other));
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("there is room")
}

#[tokio::test]
async fn a_conversation_is_what_it_was() {
    let directory = directory();
    let store = open(&directory).await;
    assert!(store.conversation_in(CHANNEL).await.expect("it is read").is_none());
    let mut conversation = conversation(1);
    conversation.user = Some("Bob".to_owned());
    conversation.hear(MemberId(u64::MAX), "Bob", "Hello\nthere", Some(MessageId(10)));
    let reply = conversation.begin_reply(persona(), "Crake", Some(MessageId(10)));
    write(&store, &mut conversation).await;
    let turn = conversation.turn_mut(reply).expect("it is there");
    turn.state = TurnState::Complete;
    turn.also.extend([8, 9].map(MessageId));
    turn.parts.extend([11, 12].map(|message| Part {
        message: MessageId(message),
        webhook: Some(message),
        start: 7,
    }));
    let origin = Origin {
        model: "m".to_owned(),
        seed: 3,
        sampling: crate::persona::SamplingWish { temperature: Some(0.7), ..Default::default() },
        prompt_tokens: 1,
        cached_tokens: 2,
        new_tokens: 3,
        took: Took { queued: 1, prefill: 2, decode: u64::MAX },
        explanation: crate::chat::explanation::Explanation { tokens: 9, ..Default::default() },
        making: Some(crate::chat::history::Making {
            machine: "here".to_owned(),
            prompt: u64::MAX,
            finish: Some("eos".to_owned()),
            begun: Some(crate::chat::history::Begun { text: 2, ids: None }),
        }),
    };
    let tokens = Tokens { model: "m".to_owned(), ids: vec![0, 1, u32::MAX], leading_space: true };
    let other = Variant { text: "Hm.".to_owned(), ..Variant::default() };
    *turn.shown_mut() =
        Variant { text: "Aye.".to_owned(), tokens: Some(tokens), origin: Some(origin), ..Variant::default() };
    turn.variants.push(other);
    turn.selected = 1;
    conversation.greet(reply);
    conversation.cut.first_turn = 1;
    write(&store, &mut conversation).await;
    assert_equal(&read(&store).await, &conversation);
    store.close().await;
    drop(store);
    let store = open(&directory).await;
    assert_equal(&read(&store).await, &conversation);
    assert_eq!([store.new_conversation(), store.new_conversation()].map(|id| id.0), [2, 3]);
}

#[tokio::test]
async fn a_channel_that_is_forgotten_leaves_nothing_behind() {
    let directory = directory();
    let store = open(&directory).await;
    let mut conversation = conversation(1);
    conversation.hear(MemberId(1), "Bob", "an unlikely sentence about herons", None);
    write(&store, &mut conversation).await;
    store.forget_channel(CHANNEL).await.expect("it is forgotten");
    assert!(store.conversation_in(CHANNEL).await.expect("it is read").is_none());
    store.close().await;
    for entry in std::fs::read_dir(directory.path()).expect("a directory") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a file");
        let found = bytes.windows(6).any(|window| window == b"herons");
        assert!(!found, "{} still has it", path.display());
    }
}

#[tokio::test]
async fn a_thread_stays_one_where_it_is_not_known_any_more() {
    let directory = directory();
    let store = open(&directory).await;
    let mut conversation = conversation(1);
    for parent in [Some(ChannelId(9)), None] {
        conversation.hear(MemberId(1), "Bob", "hello", None);
        let place = Place { parent, ..PLACE };
        store.write(place, &conversation.take_changes()).await.expect("it is written");
    }
    assert_eq!(store.forget_threads(ChannelId(0)).await.expect("nothing is no parent"), []);
    assert_eq!(store.forget_threads(ChannelId(9)).await.expect("it is forgotten"), [conversation.id]);
}

#[tokio::test]
async fn nobody_is_named_of_whom_nothing_is_left() {
    let directory = directory();
    let store = open(&directory).await;
    let mut conversation = conversation(1);
    for (member, name, now) in [(1, "Bob", 10), (2, "Ann", 20)] {
        conversation.now = now;
        conversation.hear(MemberId(member), name, "hello", None);
    }
    write(&store, &mut conversation).await;
    assert_eq!(store.expired(PLACE.server, 15).await.expect("it is read"), [conversation.id]);
    store.expire(&[conversation.id], 15).await.expect("it expires");
    let names = read(&store).await.take_changes().head.names;
    assert_eq!(names.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["Crake", "Ann"]);
}

#[tokio::test]
async fn what_waits_in_a_channel_that_is_gone_waits_no_more() {
    let directory = directory();
    let store = open(&directory).await;
    let asked =
        Asked { message: MessageId(1), channel: CHANNEL, server: PLACE.server, member: MemberId(1), at: 1 };
    store.take_in(&asked).await.expect("it is written");
    store.forget_channel(CHANNEL).await.expect("it is forgotten");
    assert_eq!(store.undone().await.expect("it is read"), []);
}

#[tokio::test]
async fn what_is_written_comes_from_the_log_into_the_file_by_itself() {
    let directory = directory();
    let store = open(&directory).await;
    let mut conversation = conversation(1);
    conversation.hear(MemberId(1), "Bob", "an unlikely sentence about herons", None);
    write(&store, &mut conversation).await;
    let copied = async {
        let is_there = || {
            let bytes = std::fs::read(directory.path().join("mummer.db")).expect("a file");
            bytes.windows(6).any(|window| window == b"herons")
        };
        while !is_there() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), copied).await.expect("it is copied in time");
}

#[tokio::test]
async fn much_that_has_expired_goes_in_pieces() {
    let directory = directory();
    let store = open(&directory).await;
    let asked = |number| Asked {
        message: MessageId(number),
        channel: CHANNEL,
        server: PLACE.server,
        member: MemberId(1),
        at: number,
    };
    for number in 1..=2_100 {
        store.take_in(&asked(number)).await.expect("it is written");
        let concluded = Concluded { outcome: Outcome::Answered, took: 0, tokens: 0 };
        store.conclude(MessageId(number), concluded).await.expect("it is written");
    }
    store.expire_requests(PLACE.server, 1_050).await.expect("they expire");
    let kept = store.asked_by(MemberId(1)).await.expect("it is read");
    assert_eq!((kept.len(), kept.first()), (1_051, Some(&MessageId(1_050))));
    store.forget_requests(2_100).await.expect("they are forgotten");
    assert_eq!(store.asked_by(MemberId(1)).await.expect("it is read"), [MessageId(2_100)]);
}

/// The plans of what is asked at a start, for each message and for each deletion look at no table as a whole.
#[tokio::test]
async fn a_start_reads_no_more_of_a_large_database_than_of_a_small_one() {
    let directory = directory();
    let store = open(&directory).await;
    for select in requests::UNDONE
        .into_iter()
        .chain([
            requests::ACTIVE,
            conversations::SHOWN_IN,
            scenes::SHOWN_ELSEWHERE,
            scenes::SCENES_IN,
            privacy::SAID_TO,
            privacy::EXPIRED,
        ])
        .chain(privacy::FORGET)
        .chain(memories::FORGET)
        .chain(memories::EXPIRE)
    {
        let explained = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {select}"));
        let plan = sqlx::query(explained).fetch_all(&store.writer).await.expect("a plan");
        let steps: Vec<String> =
            plan.iter().map(|step| sqlx::Row::try_get(step, "detail").expect("a step")).collect();
        let whole = |step: &String| {
            // What is partial is small, and so is what is known of one channel.
            let small = ["turns_unfinished", "requests_waiting", "SCAN known"];
            let scans = step.starts_with("SCAN") && !small.iter().any(|small| step.contains(small));
            scans || step.contains("AUTOMATIC")
        };
        assert!(!steps.iter().any(whole), "{select}: {steps:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_what_people_said() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = directory();
    let store = open(&directory).await;
    write(&store, &mut conversation(1)).await;
    for entry in std::fs::read_dir(directory.path()).expect("a directory") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn one_database_is_one_processs() {
    let directory = directory();
    let _store = open(&directory).await;
    let error = Store::open(&directory.path().join("mummer.db")).await.expect_err("it is in use");
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let directory = directory();
    let store = open(&directory).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'the future', 1, x'00', 0)";
    sqlx::query(newer).execute(&store.writer).await.expect("it is written");
    drop(store);
    let error = Store::open(&directory.path().join("mummer.db")).await.expect_err("it is newer");
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
}

#[tokio::test]
async fn files_that_are_no_databases_are_refused() {
    let directory = directory();
    let path = directory.path().join("mummer.db");
    std::fs::write(&path, "this is a letter, and not a database at all".repeat(40)).expect("it is written");
    let error = Store::open(&path).await.expect_err("it is a letter");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    let nowhere = directory.path().join("nowhere/mummer.db");
    let error = Store::open(&nowhere).await.expect_err("there is no directory");
    assert!(matches!(error, StoreError::Unusable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_full_disk_leaves_what_was_there() {
    let directory = directory();
    let path = directory.path().join("mummer.db");
    let options = SqliteConnectOptions::new().pragma("max_page_count", "100");
    let store = Store::open_with(&path, options).await.expect("it opens");
    let mut conversation = conversation(1);
    conversation.hear(MemberId(1), "Bob", "Hello.", None);
    write(&store, &mut conversation).await;
    let before = read(&store).await;
    for _ in 0..100 {
        conversation.hear(MemberId(1), "Bob", &"x".repeat(4_000), None);
    }
    let changes = conversation.take_changes();
    let error = store.write(PLACE, &changes).await.expect_err("there is no room");
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert_equal(&read(&store).await, &before);
    // What could not be written is to be written still.
    conversation.give_back(&changes);
    let again: Vec<_> = conversation.take_changes().turns.iter().map(|turn| turn.id).collect();
    assert_eq!(again, changes.turns.iter().map(|turn| turn.id).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_database_that_somebody_else_has_locked_is_said_and_waited_for() {
    let directory = directory();
    let path = directory.path().join("mummer.db");
    let store = Store::open_with(&path, SqliteConnectOptions::new()).await.expect("it opens");
    let mut said = conversation(1);
    said.hear(MemberId(1), "Bob", "Hello.", None);
    let changes = said.take_changes();
    // Another program that does not know the lock file, such as sqlite3 in a shell.
    let options = SqliteConnectOptions::new().filename(&path).busy_timeout(BUSY);
    let other = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.expect("it opens");
    let locked = other.begin_with("BEGIN IMMEDIATE").await.expect("it is locked");
    sqlx::query("PRAGMA busy_timeout = 0").execute(&store.writer).await.expect("it is impatient");
    let error = store.write(PLACE, &changes).await.expect_err("it is locked");
    assert!(matches!(error, StoreError::Failed { .. }), "{error:?}");
    assert!(
        store.conversation_in(CHANNEL).await.expect("it is read").is_none(),
        "readers are not kept waiting"
    );
    drop(locked);
    other.close().await;
    store.write(PLACE, &changes).await.expect("it is free");
    assert_equal(&read(&store).await, &said);
}

#[derive(Debug, Clone)]
enum Act {
    Hear(u64, String),
    Reply(String),
    Change(usize, String),
    Forget(usize),
    Write,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => (0u64..4, ".{0,20}").prop_map(|(member, text)| Act::Hear(member, text)),
        3 => ".{0,20}".prop_map(Act::Reply),
        2 => (any::<usize>(), ".{0,20}").prop_map(|(turn, text)| Act::Change(turn, text)),
        1 => any::<usize>().prop_map(Act::Forget),
        2 => Just(Act::Write),
    ];
    prop::collection::vec(act, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_changes_is_there_when_it_is_written(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let directory = directory();
            let store = open(&directory).await;
            let mut conversation = conversation(3);
            for act in acts {
                let ids: Vec<_> = conversation.turns().iter().map(|turn| turn.id).collect();
                match act {
                    Act::Hear(member, text) => {
                        conversation.hear(MemberId(member), "Bob", &text, None);
                    }
                    Act::Reply(text) => {
                        let id = conversation.begin_reply(persona(), "Crake", None);
                        conversation.turn_mut(id).expect("it is there").shown_mut().text = text;
                    }
                    Act::Change(turn, text) if !ids.is_empty() => {
                        let turn = conversation.turn_mut(ids[turn % ids.len()]).expect("it is there");
                        turn.variants.push(Variant { text, ..Variant::default() });
                        turn.selected = turn.variants.len() - 1;
                        turn.state = TurnState::Complete;
                    }
                    Act::Forget(turn) if !ids.is_empty() => conversation.forget(ids[turn % ids.len()]),
                    Act::Write => write(&store, &mut conversation).await,
                    Act::Change(..) | Act::Forget(_) => {}
                }
            }
            write(&store, &mut conversation).await;
            assert_equal(&read(&store).await, &conversation);
        });
    }
}

/// Bob and Ann have spoken, what each has said was summed up, and somebody has rewritten one of two more.
async fn remembered(store: &Store) -> Conversation {
    let mut conversation = conversation(1);
    for number in 0..4 {
        conversation.now = 10 * (number + 1);
        let name = if number % 2 == 0 { "Bob" } else { "Ann" };
        conversation.hear(MemberId(number % 2), name, "hello", Some(MessageId(number)));
        conversation.cut.first_turn = number + 1;
        let due = Chapter::next(&ada(), &conversation, usize::MAX, |_| 0);
        let Some(Next::Sum(chapter, _)) = due else { panic!("something is due") };
        assert!(conversation.remember(&chapter, &format!("An unlikely heron {number}.")));
    }
    conversation.reword(TurnId(2), "Egrets.", MemberId(7));
    conversation.dismiss(TurnId(3));
    write(store, &mut conversation).await;
    conversation
}

fn ada() -> crate::persona::Persona {
    crate::persona::Persona::from_toml("ada", "name = 'Ada'\ndescription = 'x'").expect("it parses")
}

/// What is told, by the numbers of the turns.
async fn told(store: &Store) -> Vec<u64> {
    read(store).await.told().map(|memory| memory.until.0).collect()
}

#[tokio::test]
async fn what_is_remembered_is_what_it_was() {
    let directory = directory();
    let store = open(&directory).await;
    let mut conversation = remembered(&store).await;
    assert_eq!(read(&store).await.memories(), conversation.memories());
    conversation.forget(TurnId(1));
    let changes = conversation.take_changes();
    conversation.give_back(&changes);
    write(&store, &mut conversation).await;
    assert_eq!(read(&store).await.memories(), conversation.memories());
    assert_eq!(told(&store).await, [0, 2]);
    // Whatever else is written leaves it as it is.
    conversation.hear(MemberId(1), "Ann", "and now?", None);
    write(&store, &mut conversation).await;
    assert_eq!(told(&store).await, [0, 2]);
    store.forget_channel(CHANNEL).await.expect("it is forgotten");
    for table in ["memories", "memory_links"] {
        let count = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) AS number FROM {table}"));
        let row = sqlx::query(count).fetch_one(&store.reader).await.expect("it is read");
        assert_eq!(row.try_get::<i64, _>("number").expect("a number"), 0, "{table}");
    }
}

#[tokio::test]
async fn members_get_what_they_have_written_of_memories_and_scenes() {
    let directory = directory();
    let store = open(&directory).await;
    let mut conversation = remembered(&store).await;
    let mut scene = Scene::new("A storm", MemberId(7), 0);
    scene.scenario = Some(Written { text: "It rains.".to_owned(), by: MemberId(7) });
    scene.note = Some(Written { text: "Briefly.".to_owned(), by: MemberId(1) });
    conversation.stage(scene);
    write(&store, &mut conversation).await;
    let export = |member| store.export_member(MemberId(member));
    let (host, other) = (export(7).await.expect("it is read"), export(1).await.expect("it is read"));
    assert_eq!(host["memories_written"], serde_json::json!([{ "channel": "5", "text": "Egrets." }]));
    assert_eq!(other["memories_written"], serde_json::json!([]));
    let scenes = serde_json::json!([
        [{ "channel": "5", "title": "A storm", "scenario": "It rains.", "note": null, "of_another_program": null }],
        [{ "channel": "5", "title": null, "scenario": null, "note": "Briefly.", "of_another_program": null }],
    ]);
    assert_eq!(serde_json::json!([host["scenes"], other["scenes"]]), scenes);
}

/// A scene that Bob has brought along, with all that such a scene has.
fn brought_along() -> Conversation {
    const BOB: MemberId = MemberId(1);
    let mut conversation = conversation(1);
    let mut scene = Scene::new("A storm", MemberId(7), 0);
    scene.note_depth = 2;
    scene.expect("Mira", "She keeps herons.", BOB);
    scene.carried = Some(Written { text: r#"{"vendor":"herons"}"#.to_owned(), by: BOB });
    conversation.stage(scene);
    let turn = conversation.hear(BOB, "Bob", "hidden herons", None);
    let turn = conversation.turn_mut(turn).expect("it is there");
    turn.kind = TurnKind::Hidden;
    turn.carry(r#"{"is_user":true}"#.to_owned(), BOB);
    conversation.hear(MemberId(7), "Ann", "hello", None);
    conversation
}

#[tokio::test]
async fn what_has_come_along_with_a_scene_is_what_it_was() {
    let directory = directory();
    let store = open(&directory).await;
    let mut conversation = brought_along();
    write(&store, &mut conversation).await;
    assert_equal(&read(&store).await, &conversation);
    assert!(read(&store).await.turns()[0].is_as_carried());
    let theirs = store.export_member(MemberId(1)).await.expect("it is read");
    assert_eq!(theirs["characters"][0]["description"], "She keeps herons.");
    assert_eq!(theirs["scenes"][0]["of_another_program"], r#"{"vendor":"herons"}"#);
    assert_eq!(theirs["messages"][0]["of_another_program"], r#"{"is_user":true}"#);
}

#[tokio::test]
async fn whoever_is_forgotten_takes_along_what_they_have_brought() {
    let directory = directory();
    let store = open(&directory).await;
    let mut conversation = brought_along();
    write(&store, &mut conversation).await;
    let forgotten = store.forget_member(MemberId(1)).await.expect("they are forgotten");
    assert_eq!(forgotten, [conversation.id]);
    conversation.forget_member(MemberId(1), &std::collections::BTreeSet::new());
    assert_equal(&read(&store).await, &conversation);
    let left = format!("{:?}", read(&store).await);
    assert!(left.contains("hello") && !left.contains("herons"), "{left}");
}

#[tokio::test]
async fn what_is_remembered_of_whoever_is_forgotten_goes_and_what_they_have_written_of_it() {
    for (member, left) in [(0, vec![1]), (1, vec![0, 2]), (7, vec![0, 1])] {
        let directory = directory();
        let store = open(&directory).await;
        let conversation = remembered(&store).await;
        let forgotten = store.forget_member(MemberId(member)).await.expect("they are forgotten");
        assert_eq!(forgotten, [conversation.id], "{member}");
        assert_eq!(told(&store).await, left, "{member}");
        let theirs = |memory: &Memory| memory.links.iter().any(|link| link.member == Some(MemberId(member)));
        assert!(!read(&store).await.memories().iter().any(theirs), "{member}");
        assert_eq!(store.forget_member(MemberId(member)).await.expect("nothing is left"), []);
    }
}

#[tokio::test]
async fn what_was_said_to_somebody_elsewhere_takes_what_is_remembered_of_it_along() {
    let directory = directory();
    let store = open(&directory).await;
    let mut conversation = conversation(1);
    let asked =
        Asked { message: MessageId(9), channel: CHANNEL, server: PLACE.server, member: MemberId(3), at: 1 };
    store.take_in(&asked).await.expect("it is written");
    let reply = conversation.begin_reply(persona(), "Crake", Some(MessageId(9)));
    let turn = conversation.turn_mut(reply).expect("it is there");
    (turn.state, turn.shown_mut().text) = (TurnState::Complete, "Aye.".to_owned());
    conversation.hear(MemberId(1), "Bob", "hello", None);
    conversation.cut.first_turn = 1;
    let next = Chapter::next(&ada(), &conversation, usize::MAX, |_| 0);
    let Some(Next::Sum(chapter, _)) = next else { panic!("something is due") };
    assert!(conversation.remember(&chapter, "Herons."));
    write(&store, &mut conversation).await;
    assert_eq!(told(&store).await, [0]);
    store.forget_member(MemberId(3)).await.expect("they are forgotten");
    assert_eq!(told(&store).await, Vec::<u64>::new());
}

#[tokio::test]
async fn a_scene_that_is_over_and_in_which_nothing_was_said_expires_too() {
    let directory = directory();
    let store = open(&directory).await;
    let mut conversation = conversation(1);
    conversation.stage(Scene { state: SceneState::Paused, ..Scene::new("A storm", MemberId(7), 100) });
    write(&store, &mut conversation).await;
    let expired = async |before| store.expired(PLACE.server, before).await.expect("it is read");
    assert_eq!(expired(200).await, [], "it may go on");
    conversation.stage(Scene { state: SceneState::Ended, ..Scene::new("A storm", MemberId(7), 100) });
    write(&store, &mut conversation).await;
    assert_eq!(expired(100).await, []);
    assert_eq!(expired(101).await, [conversation.id]);
    store.expire(&expired(101).await, 101).await.expect("it expires");
    assert_eq!(store.scenes_in(PLACE).await.expect("it is read"), []);
}

#[tokio::test]
async fn what_is_remembered_expires_with_the_oldest_of_it() {
    let directory = directory();
    let store = open(&directory).await;
    let conversation = remembered(&store).await;
    assert_eq!(store.expired(PLACE.server, 10).await.expect("it is read"), []);
    assert_eq!(store.expired(PLACE.server, 25).await.expect("it is read"), [conversation.id]);
    store.expire(&[conversation.id], 25).await.expect("it expires");
    assert_eq!(told(&store).await, [2]);
    // What nobody wants told is still known to be so.
    assert_eq!(read(&store).await.memories().len(), 2);
    assert_eq!(store.expired(PLACE.server, 25).await.expect("it is read"), []);
}
