//! The understudy through the real binary: whoever names no model meets it, and is told so. And the text that it was
//! trained on is laid out as Mummer lays out prompts.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use mummer::chat::history::{Conversation, ConversationId, Speaker, TurnState};
use mummer::chat::slots::Slots;
use mummer::chat::{MemberId, template};
use mummer::engine::{Engine, EngineOptions, Origin, UNDERSTUDY};
use mummer::persona::lorebook::Activation;
use mummer::persona::{Library, Persona};
use serde_json::{Value, json};

use crate::cli::{mummer, run, stdout};
use crate::discord::{ChannelId, FakeDiscord, UserId};
use crate::engine;
use crate::main_job::Running;

/// Standard output of a run that says once on standard error that the understudy plays.
fn played(output: &Output) -> String {
    notice(output);
    stdout(output)
}

/// The one line on standard error that names the understudy, its size, and the way to a real model.
fn notice(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.lines().filter(|line| line.contains("the understudy plays")).collect();
    let [line] = lines[..] else { panic!("{stderr}") };
    assert!(line.contains(" MB ") && line.contains("--model"), "{line}");
    line.to_owned()
}

#[test]
fn without_a_command_and_a_model_it_answers_line_by_line() {
    // An answer may have several lines; two answers begin with the first of them.
    let one = played(&run(&["chat", "--seed", "1"], b"Hello.\n"));
    let two = played(&run(&["chat", "--seed", "1"], b"Hello.\n\nWho are you?\n"));
    assert!(!one.trim().is_empty() && two.starts_with(&one) && two.len() > one.len(), "{one:?} {two:?}");
    assert!(!played(&run(&[], b"Hello.\n")).trim().is_empty());
}

#[test]
fn what_it_says_to_try_works() {
    let lines =
        b"What is your name?\nWhere do you live?\nMy name is Ada.\nWhat is my name?\n*hands you a lantern*\n";
    let said = played(&run(&["chat", "--seed", "1"], lines));
    let answers: Vec<&str> = said.lines().collect();
    for (number, expected) in [(0, "Mrs. Pomfret"), (1, "Port Lorne"), (3, "Ada"), (4, "lantern")] {
        assert!(answers[number].contains(expected), "{expected:?} is not answer {number} of {said}");
    }
}

#[test]
fn results_stay_clean_beside_the_notice() {
    let arguments = ["complete", "--prompt-file", "-", "--max-tokens", "8", "--json"];
    let report: Value = serde_json::from_str(&played(&run(&arguments, b"Hello"))).expect("it is JSON");
    assert!(report["text"].is_string() && report["ids"].is_array(), "{report}");
    let ids: Vec<u64> = serde_json::from_str(&played(&run(&["tokenize"], b"a\n"))).expect("it is JSON");
    assert_eq!((ids.first(), ids.last()), (Some(&1), Some(&(3 + u64::from(b'\n')))));
}

#[test]
fn the_binary_alone_is_enough() {
    let directory = tempfile::tempdir().expect("a directory");
    let alone = directory.path().join("mummer");
    std::fs::copy(env!("CARGO_BIN_EXE_mummer"), &alone).expect("it can be copied");
    let mut command = Command::new(alone);
    command.args(["chat", "--once", "Hello."]).current_dir(&directory).env_clear();
    assert!(!played(&command.output().expect("it runs")).trim().is_empty());
}

#[test]
fn every_shipped_persona_fits() {
    for persona in Library::load(None).expect("they load").iter() {
        // Without input, it loads, sees whether the persona fits, and has nothing to answer.
        assert_eq!(played(&run(&["chat", "--persona", &persona.id.0], b"")), "", "{}", persona.id.0);
    }
}

#[test]
fn a_dry_run_does_not_speak_of_it() {
    let output = run(&["chat", "--dry-run"], b"Hello.\n");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_bot_logs_once_that_it_plays() {
    let discord = FakeDiscord::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    // Discord refuses this token, so that the bot ends by itself.
    let mut command = mummer(directory.path());
    command
        .arg("run")
        .env("MUMMER__STORE__PATH", "")
        .env("DISCORD_TOKEN", "x")
        .env("MUMMER__DISCORD__API_BASE", discord.api_base());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.expect("no panic").expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(notice(&output).contains("WARN"));
}

#[test]
fn it_is_the_same_model_as_its_file() {
    let file = tempfile::Builder::new().suffix(".gguf").tempfile().expect("a file");
    std::fs::write(file.path(), UNDERSTUDY).expect("it can be written");
    let load = |origin: Origin| Engine::load(origin, EngineOptions::default(), |_| {}).expect("it loads");
    assert_eq!(load(Origin::Understudy).info(), load(file.path().into()).info());
}

/// How the golden scenes are made. This seed has all forms: assistants with and without a transcript, notes behind it,
/// messages of several lines, shipped personas with and without their greeting.
const GENERATE: [&str; 5] = ["--count", "24", "--seed", "1", "--json"];

/// Scenes that `tools/understudy/generate` has written.
const GOLDEN: &str = include_str!("../../tools/understudy/golden.jsonl");

#[test]
fn the_text_it_learns_from_is_laid_out_as_prompts_are() {
    for scene in GOLDEN.lines() {
        let scene: Value = serde_json::from_str(scene).expect("it is JSON");
        let wanted = scene["prompt"].as_str().expect("there is a prompt");
        assert_eq!(prompt_of(&scene), wanted);
    }
}

/// The prompt that Mummer builds from the parts of a scene.
fn prompt_of(scene: &Value) -> String {
    let toml = toml::to_string(&scene["persona"]).expect("it is a table");
    let persona = Persona::from_toml("golden", &toml).expect("it is a persona");
    let speaker = Speaker::Persona { id: persona.id.clone(), version: persona.version.clone() };
    let name = persona.char_name();
    let mut conversation = Conversation::new(ConversationId(1), 0, 0, speaker.clone(), name);
    let mut members: Vec<&str> = Vec::new();
    for line in scene["transcript"].as_array().expect("there is a transcript") {
        let (who, text) = (line["name"].as_str().expect("a name"), line["text"].as_str().expect("a text"));
        if who == name {
            let reply = conversation.begin_reply(speaker.clone(), name, None);
            let turn = conversation.turn_mut(reply).expect("it is there");
            turn.state = TurnState::Complete;
            text.clone_into(&mut turn.shown_mut().text);
        } else {
            let member = members.iter().position(|known| *known == who).unwrap_or_else(|| {
                members.push(who);
                members.len() - 1
            });
            conversation.hear(MemberId(member as u64 + 1), who, text, None);
        }
    }
    template::alpaca(&Slots::fill(&persona, &conversation, "", &Activation::default())).render()
}

#[test]
#[expect(clippy::print_stderr, reason = "whoever runs the tests should know what was not checked")]
fn the_generator_still_writes_the_golden_scenes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = |arguments: &[&str]| {
        // Without -B it would leave files in the source tree.
        Command::new("python3").arg("-B").args(arguments).current_dir(root.join("tools/understudy")).output()
    };
    let is_new_enough = python(&["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]);
    if is_new_enough.is_ok_and(|output| output.status.success()) {
        let output = python(&[&["generate"][..], &GENERATE].concat()).expect("it ran before");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), GOLDEN);
    } else {
        eprintln!("not checked: there is no Python 3.11 or newer here");
    }
}

/// Two characters that nobody has trained for.
const PERSONAS: [(&str, &str); 2] = [
    (
        "bravik",
        "name = \"Bravik\"\ndescription = \"Bravik is a clockmaker. He lives in Tarnholm. Yolanth, the baker, lives in \
         Gorsewick. Bravik is afraid of geese. His dog is called Zilla.\"\npersonality = \"Bravik is calm and patient.\"\n",
    ),
    (
        "oshenna",
        "name = \"Oshenna\"\ndescription = \"Drimm the miller comes from Gorsewick. Oshenna lives in Quenwick. She is afraid \
         of thunder. Her cat is called Mubo.\"\npersonality = \"Oshenna is merry and warm.\"\n",
    ),
];

/// The bot with the understudy and both characters, the second in a channel of its own, always taking the likeliest
/// token.
async fn two_characters(directory: &Path, discord: &FakeDiscord, second: ChannelId) -> Running {
    for (id, text) in PERSONAS {
        std::fs::write(directory.join(format!("{id}.toml")), text).expect("it can be written");
    }
    let settings = format!(
        "[personas]\ndirectory = \".\"\ndefault = \"bravik\"\n[sampling]\ntemperature = 0.0\n\
         [discord.channels.{}]\npersona = \"oshenna\"\n",
        second.0
    );
    std::fs::create_dir(directory.join("settings")).expect("it can be made");
    let file = directory.join("settings/mummer.toml");
    std::fs::write(&file, settings).expect("it can be written");
    let (file, database) = (file.to_str().expect("a path"), directory.join("mummer.db"));
    let store = [("MUMMER__STORE__PATH", database.to_str().expect("a path"))];
    Running::start_with(directory, &["--config", file], &store, discord).await
}

/// Says something to the bot, and gives the whole answer: the next message there is answered only when it is over.
async fn answer(discord: &FakeDiscord, channel: ChannelId, member: UserId, message: &str) -> String {
    let say = |text: &str| discord.post(channel, member, format!("{} {text}", discord.mention_bot()));
    let reply = discord.reply_to(say(message)).await;
    discord.reply_to(say("Thank you.")).await;
    discord.message(reply.id).content().to_owned()
}

#[tokio::test]
async fn two_channels_talk_to_two_characters_who_know_who_they_are() {
    let (discord, directory) = (FakeDiscord::start().await, tempfile::tempdir().expect("a directory"));
    let (workshop, quay) = (discord.channel("workshop"), discord.channel("quay"));
    let member = discord.member("Robin");
    let _bot = two_characters(directory.path(), &discord, quay).await;
    for (channel, own) in [(workshop, "Bravik"), (quay, "Oshenna")] {
        let answer = answer(&discord, channel, member, "What is your name?").await;
        assert!(answer.contains(own), "{answer}");
    }
}

#[tokio::test]
async fn two_characters_know_where_they_live() {
    let (discord, directory) = (FakeDiscord::start().await, tempfile::tempdir().expect("a directory"));
    let (workshop, quay) = (discord.channel("workshop"), discord.channel("quay"));
    let member = discord.member("Robin");
    let _bot = two_characters(directory.path(), &discord, quay).await;
    for (channel, home) in [(workshop, "Tarnholm"), (quay, "Quenwick")] {
        let answer = answer(&discord, channel, member, "Where do you live?").await;
        assert!(answer.contains(home) && !answer.contains("Gorsewick"), "{answer}");
    }
}

#[tokio::test]
async fn what_a_member_has_told_is_remembered() {
    let (discord, directory) = (FakeDiscord::start().await, tempfile::tempdir().expect("a directory"));
    let (workshop, quay) = (discord.channel("workshop"), discord.channel("quay"));
    let member = discord.member("Robin");
    let _bot = two_characters(directory.path(), &discord, quay).await;
    answer(&discord, workshop, member, "My name is Jorrick.").await;
    let answer = answer(&discord, workshop, member, "What is my name?").await;
    assert!(answer.contains("Jorrick"), "{answer}");
}

#[tokio::test]
async fn two_characters_play_in_one_scene_and_stay_who_they_are() {
    let (discord, directory) = (FakeDiscord::start().await, tempfile::tempdir().expect("a directory"));
    let (workshop, quay) = (discord.channel("workshop"), discord.channel("quay"));
    let member = discord.member("Robin");
    let _bot = two_characters(directory.path(), &discord, quay).await;
    discord.registered().await;
    let used = async |command: &str, persona: &str| {
        let options = [("persona", json!(persona))];
        let command = format!("roleplay {command}");
        discord.answer_to(discord.use_command(workshop, member, &command, &options)).await
    };
    let opened = used("start", "bravik").await;
    assert!(opened.content().contains("opens a scene with **Bravik**"), "{}", opened.content());
    used("cast add", "oshenna").await;
    for (question, home, other) in [
        ("Oshenna, where do you live?", "Quenwick", "Tarnholm"),
        ("Bravik, where do you live?", "Tarnholm", "Quenwick"),
    ] {
        let answer = answer(&discord, workshop, member, question).await;
        assert!(answer.contains(home) && !answer.contains(other), "{question} {answer}");
    }
}

/// Where the two likeliest tokens are nearer than this, another order of the same sums may choose otherwise.
const MARGIN: f32 = 0.1;

/// Most tokens of an answer that are compared.
const STEPS: usize = 40;

/// A change in tokenizer, template, positions or sampling shows here at once.
#[tokio::test]
async fn greedy_answers_to_the_golden_scenes() {
    let file = tempfile::Builder::new().suffix(".gguf").tempfile().expect("a file");
    std::fs::write(file.path(), UNDERSTUDY).expect("it can be written");
    let engine = engine::load(file.path());
    let mut picture = String::new();
    let mut compared = 0;
    for scene in GOLDEN.lines() {
        let scene: Value = serde_json::from_str(scene).expect("it is JSON");
        let text = scene["prompt"].as_str().expect("there is a prompt");
        let message =
            &scene["transcript"].as_array().and_then(|lines| lines.last()).expect("it has lines")["text"];
        let reply = engine::ask(&engine, engine::request(text, STEPS)).await;
        let mut ids = reply.end.expect("it ends well").ids;
        // The engine never chooses a control token but the end.
        let clear =
            engine::reference(file.path(), &engine.encode(&engine::text_prompt(text)), STEPS, MARGIN, |id| {
                id > 1
            });
        let end = clear.iter().position(|id| *id == engine.info().eos);
        let (steps, cut) = match end {
            Some(end) => (end, "its end"),
            None if clear.len() == STEPS => (STEPS, "the last step"),
            None => (clear.len(), "unclear"),
        };
        compared += steps;
        assert_eq!(ids.get(..steps), clear.get(..steps), "{text}");
        ids.truncate(steps);
        writeln!(picture, "{message}\n    {:?}, {cut} after {steps} tokens", engine.decode(&ids))
            .expect("memory");
    }
    assert!(compared > 60, "the model is sure of {compared} steps only");
    insta::assert_snapshot!(picture);
}
