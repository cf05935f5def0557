//! Bug bundles: from the reply in Discord through the button under its explanation to `mummer replay`, and back to a human.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use mummer::chat::text::{Bundling, Remark, Text};
use mummer::engine::{Engine, EngineOptions, Origin};
use mummer::generation::bundle::{Bundle, ENDED_BY_MODEL, FORMAT, machine};
use mummer::generation::scripted::{Scripted, Step};
use mummer::generation::{FailureKind, Finish, Sampling, Segment};
use mummer::store::Store;
use serde_json::{Value, json};
use serenity::model::Permissions;
use tempfile::{NamedTempFile, TempDir};
use tokio::sync::Semaphore;

use crate::cli::{complaint, run, stdout};
use crate::discord::{FakeDiscord, Message, MessageId, UserId, Whom};
use crate::engine::{ask, load, request};
use crate::memory::{on_stage, open, restarted};
use crate::stage::{Setting, Stage};
use crate::tiny_model::{Eos, TinyModel};

const BUNDLE: &str = "Bug bundle";

fn understudy() -> Engine {
    Engine::load(Origin::Understudy, EngineOptions::default(), |_| {}).expect("it loads")
}

/// A bot with this model, and an admin of its server.
async fn played_by(engine: Engine) -> (TempDir, Store, Stage, UserId) {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let setting =
        Setting { persona: "pomfret", buttons: true, store: Some(store.clone()), ..Setting::default() };
    let stage =
        Stage::with_generator(FakeDiscord::start().await, setting, Arc::new(engine), Scripted::new(1, 1))
            .await;
    let admin = admin(&stage);
    (directory, store, stage, admin)
}

async fn scripted() -> (TempDir, Store, Stage, UserId) {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    let admin = admin(&stage);
    (directory, store, stage, admin)
}

fn admin(stage: &Stage) -> UserId {
    let admin = stage.discord.member("Admin");
    stage.discord.empower(admin, Permissions::MANAGE_GUILD);
    admin
}

/// Asks why a reply is as it is.
async fn explained(stage: &Stage, reply: MessageId, user: UserId) -> Message {
    stage.discord.answer_to(stage.discord.use_on_message(reply, user, "Why this reply?")).await
}

/// Presses the button under an explanation.
async fn pressed(stage: &Stage, reply: MessageId, user: UserId) -> Message {
    let told = explained(stage, reply, user).await;
    stage.discord.answer_to(stage.discord.press(told.id, user, BUNDLE)).await
}

/// The bug bundle of a reply, which only whoever asks sees.
async fn bundled(stage: &Stage, reply: MessageId, user: UserId) -> Vec<u8> {
    let given = pressed(stage, reply, user).await;
    assert_eq!(
        (given.content(), given.only_for),
        (Text::Bundling(Bundling::Given).to_string().as_str(), Some(user))
    );
    assert_eq!(given.files[0].name, "bundle.json");
    given.files[0].bytes.clone()
}

fn read(bytes: &[u8]) -> Bundle {
    Bundle::read(bytes).expect("it is a bug bundle")
}

fn file(bytes: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("it can be written");
    file
}

/// Replays a bundle with a model, or with the understudy.
fn replay(bytes: &[u8], model: Option<&Path>, more: &[&str]) -> Output {
    let file = file(bytes);
    let mut arguments = vec!["replay", file.path().to_str().expect("a path")];
    if let Some(model) = model {
        arguments.extend(["--model", model.to_str().expect("a path")]);
    }
    run(&[&arguments[..], more].concat(), b"")
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&output.stderr)))
}

/// What a tiny model says to something, as the bot would write it down.
async fn recorded(model: &Path, sampling: Sampling) -> Bundle {
    let engine = load(model);
    let wanted = request("### Instruction:\nSay what you like.\n\n### Response:\n", 24);
    let wanted = mummer::generation::Request { sampling, min_tokens: 1, ..wanted };
    let finished = ask(&engine, wanted.clone()).await.end.expect("it ends well");
    let info = engine.info();
    Bundle {
        format: FORMAT,
        machine: machine(info),
        model: info.id.clone(),
        context_length: info.context_length,
        remarks: Vec::new(),
        explanation: String::new(),
        text: engine.decode(&finished.ids),
        finish: (finished.reason == Finish::Eos).then(|| ENDED_BY_MODEL.to_owned()),
        ids: Some(finished.ids),
        sampling: wanted.sampling,
        min_tokens: wanted.min_tokens,
        max_tokens: wanted.max_tokens,
        stop: wanted.stop,
        is_exact: true,
        prompt_tokens: finished.usage.prompt_tokens,
        prompt: wanted.prompt.segments,
    }
}

fn written(bundle: &Bundle) -> Vec<u8> {
    bundle.write().expect("it is written")
}

/// Two replies and what these buttons make of the second one: each has its bug bundle, which names nobody, and with which the
/// same tokens are chosen. The bundles in that order.
async fn said_again(engine: Engine, model: Option<&Path>, presses: &[&str]) -> Vec<Bundle> {
    let (_directory, _store, stage, admin) = played_by(engine).await;
    let discord = &stage.discord;
    let (general, alice, bob) = (discord.channel("general"), discord.member("Alice"), discord.member("Bob"));
    let emoji = discord.emoji("newt");
    let ask = async |text: String| {
        let trigger = discord.post(general, alice, format!("{} {text}", discord.mention_bot()));
        let reply = discord.reply_to(trigger).await.id;
        stage.idle().await;
        (trigger, reply)
    };
    let (first, answered) = ask(format!("What is your name? <@{bob}> <#{general}> <:newt:{emoji}>")).await;
    let (second, reply) = ask("Where do you live?".to_owned()).await;
    let mut files = vec![bundled(&stage, answered, admin).await, bundled(&stage, reply, admin).await];
    for words in presses {
        discord.answer_to(discord.press(reply, alice, words)).await;
        stage.idle().await;
        files.push(bundled(&stage, reply, admin).await);
    }
    let accounts = [discord.bot_id(), alice, bob, admin].map(|account| account.0);
    let messages = [first, answered, second, reply].map(|message| message.0);
    let numbers = [&accounts[..], &messages, &[discord.guild_id().0, general.0, emoji.0]].concat();
    for file in &files {
        let (bundle, text) = (read(file), String::from_utf8_lossy(file));
        assert!(bundle.is_exact && bundle.remarks.is_empty(), "{bundle:?}");
        for number in &numbers {
            assert!(!text.contains(&number.to_string()), "{number} is in {text}");
        }
        let report = report(&replay(file, model, &["--json"]));
        assert_eq!((&report["same"], &report["is_exact"]), (&json!(true), &json!(true)), "{report}");
        assert_eq!(
            (&report["prompt_tokens"], &report["remarks"]),
            (&json!(bundle.prompt_tokens), &json!([]))
        );
    }
    files.iter().map(|file| read(file)).collect()
}

#[tokio::test]
async fn what_the_understudy_has_said_is_said_again_token_by_token() {
    let bundles = said_again(understudy(), None, &["Regenerate"]).await;
    assert!(bundles.iter().all(|bundle| bundle.sampling.temperature > 0.0), "lots are drawn");
    assert_eq!(bundles[1].prompt, bundles[2].prompt, "the reply itself is not in the prompt");
    assert_ne!(bundles[1].sampling.seed, bundles[2].sampling.seed);
}

#[tokio::test]
async fn what_was_gone_on_with_is_said_again_from_there_on() {
    let model = TinyModel { context_length: 4_096, ..TinyModel::saying(&["▁the", "▁time", "▁you"]) }.write();
    let bundles =
        said_again(load(model.path()), Some(model.path()), &["Continue", "Continue", "Regenerate"]).await;
    for went_on in [&bundles[1..3], &bundles[2..4]] {
        let [before, after] = went_on else { unreachable!() };
        let said = before.ids.as_ref().expect("they are known").len();
        assert!(after.text.starts_with(&before.text) && after.text.len() > before.text.len(), "{after:?}");
        assert!(after.prompt_tokens > before.prompt_tokens && said > 0, "it is read with the prompt");
    }
    assert_eq!(bundles[4].prompt, bundles[1].prompt);
}

#[tokio::test]
async fn the_same_choices_are_the_same_greedy_and_by_lot() {
    let sampled = Sampling {
        temperature: 1.0,
        top_k: 50,
        top_p: 0.95,
        repetition_penalty: 1.1,
        seed: Some(u64::MAX),
        ..Sampling::default()
    };
    for sampling in [Sampling { seed: Some(0), ..Sampling::default() }, sampled] {
        let model = TinyModel::new(3).write();
        let bundle = recorded(model.path(), sampling).await;
        let said = stdout(&replay(&written(&bundle), Some(model.path()), &[]));
        assert!(
            said.starts_with("The sampler chooses the same 24 tokens.\nMade and replayed by Mummer "),
            "{said}"
        );
    }
    let model = TinyModel::saying(&["▁the", "▁time", "▁you"]).write();
    let bundle = recorded(model.path(), Sampling { seed: Some(0), ..Sampling::default() }).await;
    let said = stdout(&replay(&written(&bundle), Some(model.path()), &[]));
    assert!(said.starts_with("The sampler chooses the same 4 tokens."), "the end counts: {said}");
}

#[tokio::test]
async fn a_token_that_is_another_one_is_named_with_its_place_and_margin() {
    let model = TinyModel { eos: Eos::Never, ..TinyModel::new(3) }.write();
    for temperature in [0.0, 1.0] {
        let sampling = Sampling { temperature, seed: Some(5), ..Sampling::default() };
        let mut bundle = recorded(model.path(), sampling).await;
        let ids = bundle.ids.as_mut().expect("they are known");
        let (was, other) = (ids[7], if ids[7] == 300 { 301 } else { 300 });
        ids[7] = other;
        let output = replay(&written(&bundle), Some(model.path()), &["--json"]);
        assert_eq!(output.status.code(), Some(1));
        let report = report(&output);
        let first = &report["first"];
        assert_eq!((&report["same"], &report["compared"]), (&json!(false), &json!(24)));
        assert_eq!(
            (&first["index"], &first["recorded"]["id"], &first["chosen"]["id"]),
            (&json!(7), &json!(other), &json!(was))
        );
        assert!(first["reach"].as_f64().is_some_and(|reach| reach > 0.0), "{report}");
        if temperature == 0.0 {
            let (lead, reach) =
                (first["lead"].as_f64().expect("a number"), first["reach"].as_f64().expect("a number"));
            assert!(lead > 0.0 && (lead / 2.0 - reach).abs() < 1e-2, "{report}");
        }
        let output = replay(&written(&bundle), Some(model.path()), &[]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1));
        for expected in ["otherwise at token 8 of 24", &format!("recorded {other} "), "logit after penalties"]
        {
            assert!(said.contains(expected), "{expected:?} is not in {said}");
        }
    }
}

#[tokio::test]
async fn another_model_is_refused_unless_any_will_do() {
    let (model, other) = (TinyModel::new(3).write(), TinyModel::new(4).write());
    let bundle = recorded(model.path(), Sampling { seed: Some(0), ..Sampling::default() }).await;
    let refused = complaint(&replay(&written(&bundle), Some(other.path()), &[]), 2);
    assert!(refused.contains(&bundle.model) && refused.contains("--any-model"), "{refused}");
    let output = replay(&written(&bundle), Some(other.path()), &["--any-model", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report = report(&output);
    assert!(report["others"].as_u64().is_some_and(|others| others > 1), "{report}");
    assert_eq!(report["remarks"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_cannot_be_replayed_is_one_clear_sentence() {
    let model = TinyModel::new(3).write();
    let bundle = recorded(model.path(), Sampling { seed: Some(0), ..Sampling::default() }).await;
    let check = |bytes: &[u8], model: &Path, expected: &str| {
        let said = complaint(&replay(bytes, Some(model), &[]), 2);
        assert!(said.starts_with("error: ") && said.trim_end().lines().count() == 1, "{said}");
        assert!(said.contains(expected), "{said:?} does not say {expected:?}");
    };
    let with = |change: &dyn Fn(&mut Bundle)| {
        let mut bundle = bundle.clone();
        change(&mut bundle);
        written(&bundle)
    };
    check(b"", model.path(), "no bug bundle");
    check(b"GGUF\0\0", model.path(), "no bug bundle");
    check(br#"{"format": 1, "ids": "x"}"#, model.path(), "damaged");
    check(&with(&|it| it.format = 9), model.path(), "format 9");
    check(&with(&|it| it.ids = None), model.path(), "nothing to compare");
    check(&with(&|it| it.ids = Some(Vec::new())), model.path(), "nothing to compare");
    check(&with(&|it| it.ids = Some(vec![u32::MAX])), model.path(), "does not know");
    check(&with(&|it| it.ids = Some(vec![5; 1_000])), model.path(), "at most");
    check(&with(&|it| it.prompt = vec![Segment::Text(String::new())]), model.path(), "the prompt is empty");
    check(&with(&|it| it.sampling.temperature = -1.0), model.path(), "temperature");
    check(&with(&|it| it.context_length = 0), model.path(), "context");
    check(&written(&bundle), Path::new("/nowhere.gguf"), "/nowhere.gguf");
    complaint(&run(&["replay", "/nowhere.json"], b""), 2);
    complaint(&run(&["replay", "-", "--dry-run"], b""), 2);
    let piped = run(&["replay", "-", "--model", model.path().to_str().expect("a path")], &written(&bundle));
    assert!(stdout(&piped).contains("the same 24 tokens"));
}

#[tokio::test]
async fn a_bundle_is_for_those_who_may_have_it_now() {
    let (_directory, _store, stage, admin) = scripted().await;
    let discord = &stage.discord;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    let trigger = discord.post(general, alice, format!("{} hello", discord.mention_bot()));
    let reply = discord.reply_to(trigger).await.id;
    stage.idle().await;
    // An ordinary member has no such button, and who forges its id gets nothing.
    assert!(explained(&stage, reply, alice).await.components.is_empty());
    let forged = format!("bundle:{reply}");
    let told = explained(&stage, reply, admin).await;
    let press = async |user: UserId, id: &str| discord.answer_to(discord.press_id(told.id, user, id)).await;
    let refused = async |user: UserId, id: &str, text: Text| {
        let answer = press(user, id).await;
        assert_eq!((answer.content(), answer.files.len()), (text.to_string().as_str(), 0));
    };
    refused(alice, &forged, Text::Bundling(Bundling::NotEditor)).await;
    refused(admin, &format!("bundle:{trigger}"), Text::NoWhy).await;
    refused(admin, "bundle:1", Text::NoWhy).await;
    assert_eq!(press(admin, &forged).await.files.len(), 1);
    // Whoever was an admin, or saw the channel, when the button was shown is asked anew.
    for taken in [Permissions::READ_MESSAGE_HISTORY, Permissions::VIEW_CHANNEL] {
        discord.deny(general, Whom::Member(admin), taken);
        refused(admin, &forged, Text::NotReader).await;
        assert_eq!(explained(&stage, reply, admin).await.content(), Text::NotReader.to_string());
        let why = discord.answer_to(discord.use_command(general, admin, "why", &[])).await;
        assert_eq!(why.content(), Text::NotReader.to_string());
        discord.allow(general, Whom::Member(admin), taken);
    }
    assert_eq!(press(admin, &forged).await.files.len(), 1);
    discord.empower(admin, Permissions::empty());
    refused(admin, &forged, Text::Bundling(Bundling::NotEditor)).await;
}

#[tokio::test]
async fn a_bundle_says_what_has_changed_since() {
    let (directory, store, stage, admin) = scripted().await;
    let discord = &stage.discord;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    let trigger = discord.post(general, alice, format!("{} hello", discord.mention_bot()));
    let reply = discord.reply_to(trigger).await.id;
    stage.idle().await;
    let then = read(&bundled(&stage, reply, admin).await);
    assert!(then.is_exact && then.prompt.iter().any(|segment| segment.text().contains("hello")), "{then:?}");
    // Later turns and a restart leave it as it was.
    let later = discord.post(general, alice, format!("{} and then?", discord.mention_bot()));
    discord.reply_to(later).await;
    stage.idle().await;
    let (stage, _store) = restarted(stage, store, &directory).await;
    let discord = &stage.discord;
    assert_eq!(read(&bundled(&stage, reply, admin).await), then);
    // As many letters, and so as many tokens.
    discord.edit(trigger, &format!("{} howdy", discord.mention_bot()));
    discord.caught_up().await;
    let now = read(&bundled(&stage, reply, admin).await);
    let (have, had) = (then.prompt_tokens, then.prompt_tokens);
    assert!(!now.is_exact && now.remarks.contains(&Remark::OtherPrompt { have, had }.to_string()), "{now:?}");
}

#[tokio::test]
async fn what_is_not_over_or_was_cut_off_has_no_tokens_to_replay() {
    let (_directory, _store, stage, admin) = scripted().await;
    let discord = &stage.discord;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    let more = Arc::new(Semaphore::new(0));
    let steps = [
        Step::Say("I could".to_owned()),
        Step::Hold(Arc::clone(&more)),
        Step::Fail(FailureKind::EngineFault, true),
    ];
    stage.script.then(steps);
    let trigger = discord.post(general, alice, format!("{} hello", discord.mention_bot()));
    let reply = discord.reply_such_that(trigger, |message| message.content().contains("I could")).await.id;
    let unfinished = pressed(&stage, reply, admin).await;
    assert_eq!(unfinished.content(), Text::Bundling(Bundling::Unfinished).to_string());
    more.add_permits(1);
    stage.idle().await;
    let bundle = read(&bundled(&stage, reply, admin).await);
    assert_eq!((bundle.ids, bundle.finish), (None, None));
    assert_eq!(bundle.remarks, [Remark::NoTokens.to_string()]);
}
