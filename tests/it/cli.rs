//! The binary as somebody at a terminal or a script uses it: what comes out, where, and with which exit code.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::tiny_model::{Eos, TinyModel};

/// The binary in an empty directory and environment, so that no settings of this machine reach it.
pub(crate) fn mummer(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mummer"));
    command.current_dir(directory).env_clear();
    command
}

/// Runs the binary with these arguments and this standard input.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    run_with(arguments, input, &[])
}

fn run_with(arguments: &[&str], input: &[u8], variables: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = mummer(directory.path())
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // It may end without reading its input.
    let _ = child.stdin.take().expect("it is piped").write_all(input);
    child.wait_with_output().expect("it ends")
}

pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("it is text")
}

/// The one line on standard error of a run that fails with this exit code and prints no result.
pub(crate) fn complaint(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(!stderr.contains("panicked") && !stderr.contains('\u{1b}'), "{stderr}");
    stderr
}

#[test]
fn a_dry_run_answers_line_by_line_and_ends_with_its_input() {
    let said = stdout(&run(&["chat", "--dry-run", "--as", "Ann"], b"Hello.\n\nHow are you?\n"));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].ends_with("The prompt ends with: Hello."), "{said}");
    assert!(lines[1].ends_with("The prompt ends with: Ann: How are you?"), "{said}");
}

#[test]
fn without_a_command_and_a_token_it_is_a_chat() {
    let said = stdout(&run(&["--dry-run"], b"Hello.\n"));
    assert!(said.contains("dry run"), "{said}");
    let once = stdout(&run(&["chat", "--dry-run", "--once", "Well?", "--persona", "crake"], b""));
    assert!(once.contains("The prompt ends with: You: Well?"), "{once}");
}

#[test]
fn a_model_answers_in_the_terminal_and_the_seed_decides() {
    let file = TinyModel { context_length: 4_096, eos: Eos::Never, ..TinyModel::new(3) }.write();
    let model = file.path().to_str().expect("a path");
    let persona = tempfile::Builder::new().suffix(".toml").tempfile().expect("a file");
    std::fs::write(
        persona.path(),
        "name = 'Ada'\ndescription = 'An engineer.'\n[sampling]\nmax_tokens = 12\n",
    )
    .expect("it can be written");
    let persona = persona.path().to_str().expect("a path");
    let say = |seed: &str| {
        stdout(&run(&["chat", "--model", model, "--persona", persona, "--seed", seed, "--once", "Hi"], b""))
    };
    let one = say("1");
    assert_eq!(one, say("1"));
    assert_ne!(one, say("2"));
}

#[test]
fn complete_prints_the_text_and_nothing_else() {
    let file = TinyModel::saying(&["▁the", "▁time", "▁you"]).write();
    let model = file.path().to_str().expect("a path");
    let prompt = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(prompt.path(), "### Response:\n").expect("it can be written");
    let prompt = prompt.path().to_str().expect("a path");
    let arguments =
        ["complete", "--model", model, "--prompt-file", prompt, "--temperature", "0", "--max-tokens", "9"];
    let output = run(&arguments, b"");
    assert_eq!(stdout(&output), " the time you");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));

    let json = stdout(&run(&[&arguments[..], &["--json"]].concat(), b""));
    let report: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(report["text"], " the time you");
    assert_eq!(report["finish_reason"], "eos");
    assert_eq!(report["ids"].as_array().map(Vec::len), Some(3));
    assert!(report["prefill_seconds"].is_f64() && report["decode_seconds"].is_f64(), "{json}");
}

#[test]
fn tokenize_takes_every_byte() {
    let file = TinyModel::new(1).write();
    let model = file.path().to_str().expect("a path");
    let ids = |input: &[u8]| -> Vec<u64> {
        serde_json::from_str(&stdout(&run(&["tokenize", "--model", model], input))).expect("it is JSON")
    };
    assert_eq!(ids(b""), [1]);
    // The first token is the beginning of text, byte tokens begin at 3, and the newline at the end is one of them.
    let newline = 3 + u64::from(b'\n');
    assert_eq!(ids(b"the\n").last(), Some(&newline));
    assert_eq!(ids(b"the\r\n")[ids(b"the\r\n").len() - 2], 3 + u64::from(b'\r'));
    assert!(ids(b"\xff\xfe").ends_with(&[3 + 0xff, 3 + 0xfe]));
    assert!(!ids(b"a</s>").contains(&2), "no special token is parsed");
}

#[test]
fn personas_can_be_listed_and_shown() {
    let list = stdout(&run(&["persona", "list"], b""));
    assert!(list.lines().count() >= 5 && list.contains("hermes"), "{list}");
    let shown = stdout(&run(&["persona", "show", "CRAKE"], b""));
    assert!(shown.starts_with("Halloran Crake (roleplay, version "), "{shown}");
    assert!(!shown.contains("{{") && shown.contains("Example:"), "{shown}");
    let prompt = stdout(&run(&["persona", "show", "--prompt", "crake"], b""));
    insta::assert_snapshot!(prompt);
    let prompt = stdout(&run(&["persona", "show", "--prompt", "hermes"], b""));
    insta::assert_snapshot!(prompt);
}

#[test]
fn every_mistake_is_one_clear_sentence() {
    let check = |arguments: &[&str], variables: &[(&str, &str)], code: i32, expected: &[&str]| {
        let said = complaint(&run_with(arguments, b"Hello.\n", variables), code);
        assert!(said.starts_with("error: ") && said.trim_end().lines().count() == 1, "{said}");
        for expected in expected {
            assert!(said.contains(expected), "{said:?} does not say {expected:?}");
        }
    };
    let not_gguf = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(not_gguf.path(), "I am no model").expect("it can be written");
    let not_gguf = not_gguf.path().to_str().expect("a path");
    check(&["run"], &[], 2, &["DISCORD_TOKEN", "discord.token_file"]);
    check(&["run"], &[("DISCORD_TOKEN", "two words")], 2, &["white space"]);
    check(&["run"], &[("MUMMER__DISCORD__TOKEN_FILE", "/nowhere")], 2, &["/nowhere", "discord.token_file"]);
    check(&["chat", "--model", "/nowhere.gguf"], &[], 1, &["/nowhere.gguf"]);
    check(&["chat", "--model", not_gguf], &[], 1, &["not a GGUF file"]);
    check(&["tokenize", "--model", not_gguf], &[], 1, &["not a GGUF file"]);
    check(&["chat", "--dry-run", "--persona", "nobody"], &[], 2, &["nobody", "hermes"]);
    check(&["chat", "--dry-run", "--persona", "/nowhere.toml"], &[], 2, &["/nowhere.toml"]);
    check(
        &["chat", "--dry-run"],
        &[("MUMMER__PERSONAS__DEFAULT", "nobody")],
        2,
        &["personas.default", "crake"],
    );
    check(&["chat", "--dry-run"], &[("MUMMER__MODLE__PATH", "x")], 2, &["modle"]);
    check(&["--config", "/nowhere.toml", "chat"], &[], 2, &["/nowhere.toml"]);
    check(&["complete", "--model", not_gguf, "--prompt-file", "/nowhere"], &[], 1, &["/nowhere"]);
    check(&["tokenize", "--dry-run"], &[], 2, &["needs a model"]);
    let small = TinyModel::new(1).write();
    let small = small.path().to_str().expect("a path");
    let tokenizer = [("MUMMER__MODEL__TOKENIZER", "/nowhere.json")];
    check(&["chat", "--model", small], &tokenizer, 1, &["/nowhere.json", "model.tokenizer"]);
    check(&["chat", "--model", small], &[], 2, &["the persona Hermes alone takes", "longer context"]);
    check(
        &["complete", "--model", small, "--prompt-file", "-", "--max-tokens", "0"],
        &[],
        2,
        &["--max-tokens"],
    );
    check(
        &["run", "--dry-run"],
        &[("DISCORD_TOKEN", "x"), ("MUMMER__DISCORD__CHANNELS__1__PERSONA", "nobody")],
        2,
        &["discord.channels.1.persona", "nobody"],
    );
}

#[test]
fn the_command_line_explains_itself() {
    let help = stdout(&run(&["--help"], b""));
    for command in ["run", "chat", "complete", "replay", "tokenize", "persona"] {
        assert!(help.contains(command), "{help}");
    }
    assert_eq!(run(&["dance"], b"").status.code(), Some(2));
}
