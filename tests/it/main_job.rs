//! The main job, with nothing replaced but Discord and the weights: the real binary connects, reads a mention, and
//! a Llama model of random weights answers.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::json;

use crate::cli::mummer;
use crate::discord::{Call, Failure, FakeDiscord};
use crate::memory::PATIENCE;
use crate::tiny_model::TinyModel;

/// The running binary; killed when a test fails before it ended.
pub(crate) struct Running(Child);

impl Running {
    /// Starts `mummer run` with these arguments in the directory, which gets its log, and waits until it is connected.
    pub(crate) async fn start(directory: &Path, arguments: &[&str], discord: &FakeDiscord) -> Self {
        Self::start_with(directory, arguments, &[], discord).await
    }

    /// The same, with these variables in its environment.
    pub(crate) async fn start_with(
        directory: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
        discord: &FakeDiscord,
    ) -> Self {
        let log = std::fs::File::create(directory.join("log")).expect("it can be written");
        let before = discord.identifies();
        let child = mummer(directory)
            .arg("run")
            .env("MUMMER__STORE__PATH", "")
            .args(arguments)
            .envs(variables.iter().copied())
            .env("DISCORD_TOKEN", discord.token())
            .env("MUMMER__DISCORD__API_BASE", discord.api_base())
            .env("MUMMER__LOG__LEVEL", "trace")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn();
        let running = Self(child.expect("it starts"));
        discord.connected_anew(before).await;
        running
    }
}

impl Running {
    /// Kills the program where it stands.
    pub(crate) async fn kill(mut self) {
        let ending = tokio::task::spawn_blocking(move || {
            self.0.kill().expect("it runs");
            self.0.wait().expect("it ends")
        });
        ending.await.expect("no panic");
    }

    /// Asks the program to end, and waits for it.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        let asked =
            Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().expect("kill runs");
        assert!(asked.success());
        let ending = tokio::task::spawn_blocking(move || self.0.wait().expect("it ends"));
        ending.await.expect("no panic")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only fails when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_binary_answers_mentions_and_ends_on_a_signal() {
    let model = TinyModel { context_length: 4_096, ..TinyModel::saying(&["▁the", "▁time", "▁you"]) }.write();
    let discord = FakeDiscord::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = model.path().to_str().expect("a path");
    let bot = Running::start(directory.path(), &["--model", path], &discord).await;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    for number in 0..2 {
        let trigger = discord.post(general, alice, format!("{} swordfish {number}", discord.mention_bot()));
        discord.reply_such_that(trigger, |message| message.content() == "the time you").await;
    }

    assert_eq!(bot.terminate().await.code(), Some(0));
    let log = std::fs::read_to_string(directory.path().join("log")).expect("there is a log");
    assert!(log.contains("connected") && log.contains("finished"), "{log}");
    // Other crates' lines carry addresses with secrets, and whole requests.
    for secret in [discord.token(), "swordfish", "the time you", "serenity", "hyper", "tungstenite"] {
        assert!(!log.contains(secret), "{secret:?} was logged: {log}");
    }
}

#[tokio::test]
async fn the_secrets_of_commands_and_what_is_said_with_them_are_in_no_log() {
    let discord = FakeDiscord::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let bot = Running::start(directory.path(), &["--dry-run"], &discord).await;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    discord.registered().await;
    for failure in [
        Failure::ConnectionLost,
        Failure::AnswerLost,
        Failure::Status(503),
        Failure::Refused { status: 404, code: 10_062 },
    ] {
        let before = discord.count(Call::Respond);
        for (command, options) in [
            ("say", vec![("text", json!("swordfish"))]),
            ("privacy show", vec![]),
            ("roll", vec![("dice", json!("swordfish"))]),
        ] {
            discord.fail_next(1, Call::Respond, failure.clone());
            discord.use_command(general, alice, command, &options);
            let what = "an answer to be tried";
            discord.until(what, |state| state.count(Call::Respond) > before).await;
        }
        let typed = [("persona", json!("swordfish"))];
        discord.fail_next(1, Call::Respond, failure);
        discord.type_into((general, alice), "persona show", &typed, "persona");
        discord.until("all answers to be tried", |state| state.count(Call::Respond) >= before + 4).await;
    }
    assert_eq!(bot.terminate().await.code(), Some(0));
    let log = std::fs::read_to_string(directory.path().join("log")).expect("there is a log");
    assert!(log.contains("could not be answered") && log.contains("trying again"), "{log}");
    for secret in [discord.token(), "swordfish", "interaction-secret", "serenity", "poise"] {
        assert!(!log.contains(secret), "{secret:?} was logged: {log}");
    }
}

#[tokio::test]
async fn the_secrets_of_webhooks_are_in_no_log() {
    let discord = FakeDiscord::start().await;
    discord.let_bot_have_webhooks(true);
    let directory = tempfile::tempdir().expect("a directory");
    let variables = [("MUMMER__DISCORD__MESSAGE_CONTENT", "true"), ("MUMMER__LOG__LEVEL", "debug")];
    let bot = Running::start_with(directory.path(), &["--dry-run"], &variables, &discord).await;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    for (number, (call, failure)) in [
        (Call::ExecuteWebhook, Failure::ConnectionLost),
        (Call::ExecuteWebhook, Failure::AnswerLost),
        (Call::ExecuteWebhook, Failure::Status(503)),
        (Call::EditWebhookMessage, Failure::Status(503)),
        (Call::EditWebhookMessage, Failure::Refused { status: 404, code: 10_015 }),
        (Call::ExecuteWebhook, Failure::Refused { status: 400, code: 50_035 }),
    ]
    .into_iter()
    .enumerate()
    {
        discord.fail_next(1, call, failure);
        let before = discord.count(call);
        discord.post(general, alice, format!("{} swordfish {number}", discord.mention_bot()));
        discord.until("the call to be tried", |state| state.count(call) > before).await;
    }
    assert_eq!(bot.terminate().await.code(), Some(0));
    let log = std::fs::read_to_string(directory.path().join("log")).expect("there is a log");
    assert!(log.contains("execute webhook") && log.contains("edit webhook message"), "{log}");
    for secret in [discord.token(), "swordfish", "webhook-secret", "serenity", "hyper"] {
        assert!(!log.contains(secret), "{secret:?} was logged: {log}");
    }
}

/// A step panics inside of candle's own threads; two of them, so that there is somebody to poison.
const POISON: [(&str, &str); 3] =
    [("MUMMER_PANIC_AT_STEP", "3"), ("CANDLE_NUM_THREADS", "2"), ("RAYON_NUM_THREADS", "2")];

#[tokio::test]
async fn a_bot_whose_model_broke_down_begins_again() {
    let model = TinyModel { context_length: 4_096, ..TinyModel::saying(&["▁the", "▁time", "▁you"]) }.write();
    let discord = FakeDiscord::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = model.path().to_str().expect("a path");
    let bot = Running::start_with(directory.path(), &["--model", path], &POISON, &discord).await;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    let trigger = discord.post(general, alice, format!("{} hello?", discord.mention_bot()));
    let told = discord.reply_such_that(trigger, |message| !message.content().is_empty()).await;
    assert!(told.content() != "the time you", "{}", told.content());
    discord.until("the bot has identified again", |state| state.gateway.identifies == 2).await;
    discord.caught_up().await;
    let trigger = discord.post(general, alice, format!("{} hello again?", discord.mention_bot()));
    discord.reply_such_that(trigger, |message| message.content() == "the time you").await;
    drop(bot);
}

#[tokio::test]
async fn a_bot_that_breaks_down_again_at_once_ends() {
    let model = TinyModel { context_length: 4_096, ..TinyModel::saying(&["▁the", "▁time", "▁you"]) }.write();
    let discord = FakeDiscord::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = model.path().to_str().expect("a path");
    let variables = [&POISON[..], &[("MUMMER_BEGAN_AGAIN", "1")]].concat();
    let mut bot = Running::start_with(directory.path(), &["--model", path], &variables, &discord).await;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    discord.post(general, alice, format!("{} hello?", discord.mention_bot()));
    let status = tokio::task::spawn_blocking(move || bot.0.wait()).await.expect("no panic").expect("it ends");
    assert_eq!(status.code(), Some(70));
}

#[tokio::test]
async fn a_turn_computes_what_is_new_and_a_channel_shares_its_persona() {
    let model = TinyModel { context_length: 4_096, ..TinyModel::saying(&["▁the", "▁time", "▁you"]) }.write();
    let discord = FakeDiscord::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = model.path().to_str().expect("a path");
    let _bot = Running::start(directory.path(), &["--model", path], &discord).await;
    let (general, other, alice) =
        (discord.channel("general"), discord.channel("other"), discord.member("Alice"));
    for (number, channel) in (1..).zip([general, general, general, other]) {
        let trigger = discord.post(channel, alice, format!("{} number {number}", discord.mention_bot()));
        discord.reply_such_that(trigger, |message| message.content() == "the time you").await;
    }
    // The next message is answered when the reply before it is over and logged.
    let trigger = discord.post(other, alice, format!("{} goodbye", discord.mention_bot()));
    discord.reply_such_that(trigger, |message| message.content() == "the time you").await;
    let log = std::fs::read_to_string(directory.path().join("log")).expect("there is a log");
    let numbers = |line: &str, name: &str| -> Vec<usize> {
        let lines = log.lines().filter(|each| each.contains(line));
        let fields = lines.flat_map(|each| each.split(' ').filter_map(|field| field.strip_prefix(name)));
        fields.map(|number| number.parse().expect("a number")).collect()
    };
    let prompts = numbers(" generating", "prompt_tokens=");
    let cached = numbers(" finished", "cached_tokens=");
    assert!(prompts.len() >= 4 && cached.len() >= 4, "{log}");
    // A prompt ends with what the next one does not have there: `### Response:` and the name, some forty bytes.
    let cue = 60;
    assert_eq!(cached[0], 0);
    assert!(cached[1] + cue > prompts[0] && cached[2] + cue > prompts[1], "{prompts:?} {cached:?}");
    assert!(cached[3] > 0 && cached[3] < prompts[0], "the persona's part: {prompts:?} {cached:?}");
}

#[tokio::test]
async fn a_second_signal_ends_the_program_at_once() {
    let model = TinyModel { context_length: 4_096, ..TinyModel::saying(&["▁the", "▁time", "▁you"]) }.write();
    let discord = FakeDiscord::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = model.path().to_str().expect("a path");
    let bot = Running::start(directory.path(), &["--model", path], &discord).await;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    // An answer that Discord does not let through keeps the first signal waiting.
    let _gate = discord.hold_next(Call::SendMessage);
    discord.post(general, alice, format!("{} hello?", discord.mention_bot()));
    discord.requested(Call::SendMessage, 1).await;
    let process = bot.0.id().to_string();
    let signal = || Command::new("kill").args(["-TERM", &process]).status().expect("kill runs").success();
    assert!(signal());
    let log = directory.path().join("log");
    let closes = async {
        while !std::fs::read_to_string(&log).expect("there is a log").contains("closing") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, closes).await.expect("it begins to end");
    assert_eq!(bot.terminate().await.code(), Some(1));
}

#[test]
fn a_command_whose_model_broke_down_ends_with_a_code_of_its_own() {
    let model = TinyModel { context_length: 4_096, ..TinyModel::saying(&["▁the", "▁time", "▁you"]) }.write();
    let directory = tempfile::tempdir().expect("a directory");
    let path = model.path().to_str().expect("a path");
    std::fs::write(directory.path().join("prompt"), "Hello.").expect("it can be written");
    for arguments in [["chat", "--once", "Hello."], ["complete", "--prompt-file", "prompt"]] {
        let mut command = mummer(directory.path());
        let output = command.args(arguments).args(["--model", path]).envs(POISON).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(70), "{arguments:?}: {stderr}");
        assert!(stderr.contains("start mummer again"), "{stderr}");
    }
}

#[tokio::test]
async fn a_persona_is_played_as_its_file_stands() {
    let model = TinyModel { context_length: 4_096, ..TinyModel::saying(&["▁the"]) }.write();
    let discord = FakeDiscord::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let personas = directory.path().join("personas");
    std::fs::create_dir(&personas).expect("it can be made");
    let write = |text: &str| std::fs::write(personas.join("ada.toml"), text).expect("it can be written");
    write("name = 'Ada'\ndescription = 'x'\ngreeting = 'The first one.'\n");
    let variables = [
        ("MUMMER__PERSONAS__DIRECTORY", personas.to_str().expect("a path")),
        ("MUMMER__PERSONAS__DEFAULT", "ada"),
        // It is asked until it is read.
        ("MUMMER__LIMITS__MEMBER_PER_HOUR", "0"),
    ];
    let path = model.path().to_str().expect("a path");
    let bot = Running::start_with(directory.path(), &["--model", path], &variables, &discord).await;
    let alice = discord.member("Alice");
    let greeting = async |number: usize| {
        let channel = discord.channel(&format!("channel-{number}"));
        let trigger = discord.post(channel, alice, discord.mention_bot());
        discord.reply_such_that(trigger, |message| !message.content().is_empty()).await.content().to_owned()
    };
    assert_eq!(greeting(0).await, "**Ada**\nThe first one.");
    write("name = 'Ada");
    write("name = 'Ada'\ndescription = 'x'\ngreeting = 'Another one.'\n");
    let mut number = 0;
    let changed = async {
        while greeting({
            number += 1;
            number
        })
        .await
            != "**Ada**\nAnother one."
        {}
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), changed).await.expect("it is read again");
    drop(bot);
}
