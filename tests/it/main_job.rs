//! The main job, with nothing replaced but Discord and the weights: the real binary connects, reads a mention, and
//! a Llama model of random weights answers.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::cli::mummer;
use crate::discord::FakeDiscord;
use crate::tiny_model::TinyModel;

/// The running binary; killed when a test fails before it ended.
pub(crate) struct Running(Child);

impl Running {
    /// Starts `mummer run` with these arguments in the directory, which gets its log, and waits until it is connected.
    pub(crate) async fn start(directory: &Path, arguments: &[&str], discord: &FakeDiscord) -> Self {
        let log = std::fs::File::create(directory.join("log")).expect("it can be written");
        let child = mummer(directory)
            .arg("run")
            .args(arguments)
            .env("DISCORD_TOKEN", discord.token())
            .env("MUMMER__DISCORD__API_BASE", discord.api_base())
            .env("MUMMER__LOG__LEVEL", "trace")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn();
        let running = Self(child.expect("it starts"));
        discord.connected().await;
        running
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
    let mut bot = Running::start(directory.path(), &["--model", path], &discord).await;
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    for number in 0..2 {
        let trigger = discord.post(general, alice, format!("{} swordfish {number}", discord.mention_bot()));
        discord.reply_such_that(trigger, |message| message.content() == "the time you").await;
    }

    let terminated =
        Command::new("kill").args(["-TERM", &bot.0.id().to_string()]).status().expect("kill runs");
    assert!(terminated.success());
    let status = tokio::task::spawn_blocking(move || bot.0.wait()).await.expect("no panic").expect("it ends");
    assert_eq!(status.code(), Some(0));
    let log = std::fs::read_to_string(directory.path().join("log")).expect("there is a log");
    assert!(log.contains("connected") && log.contains("finished"), "{log}");
    // Other crates' lines carry addresses with secrets, and whole requests.
    for secret in [discord.token(), "swordfish", "the time you", "serenity", "hyper", "tungstenite"] {
        assert!(!log.contains(secret), "{secret:?} was logged: {log}");
    }
}
