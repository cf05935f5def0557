//! The understudy through the real binary: whoever names no model meets it, and is told so. What it says is not
//! looked at here.

use std::process::Output;

use mummer::engine::{Engine, EngineOptions, Origin, UNDERSTUDY};
use mummer::persona::Library;
use serde_json::Value;

use crate::cli::{mummer, run, stdout};
use crate::discord::FakeDiscord;

/// Standard output of a run that says once on standard error that the understudy plays.
fn played(output: &Output) -> String {
    notice(output);
    stdout(output)
}

/// The one line on standard error that names the understudy, its size, and the way to a real model.
fn notice(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.lines().filter(|line| line.contains("understudy")).collect();
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
    let mut command = std::process::Command::new(alone);
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
    command.arg("run").env("DISCORD_TOKEN", "x").env("MUMMER__DISCORD__API_BASE", discord.api_base());
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
