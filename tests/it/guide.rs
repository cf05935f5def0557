//! The pictures in the guides: what a member sees at the end of real flows, played with the real bot. `MUMMER_PICTURES=write`
//! draws them anew.
//!
//! A further picture is a flow of its own, which ends with [`Guide::shows`], and its line in [`pictures_of_the_guide`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use mummer::generation::scripted::Step;
use tempfile::TempDir;

use crate::discord::{ChannelId, FakeDiscord, Message, UserId};
use crate::memory;
use crate::stage::{Setting, Stage};

/// What draws the pictures anew.
const WRITE: &str = "MUMMER_PICTURES";

/// The pictures as they are drawn now, by their names.
#[derive(Default)]
pub(crate) struct Guide(BTreeMap<String, String>);

impl Guide {
    /// What a member sees in a channel now is the picture of this name.
    pub(crate) fn shows(
        &mut self,
        picture: &str,
        discord: &FakeDiscord,
        (channel, viewer): (ChannelId, UserId),
    ) {
        self.0.insert(format!("{picture}.svg"), discord.drawn(channel, viewer));
    }

    /// Compares them all with those of the guide, or writes those.
    fn close(self) {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/pictures");
        if std::env::var_os(WRITE).is_some_and(|value| value == "write") {
            std::fs::create_dir_all(&directory).expect("there is room");
            for (name, picture) in &self.0 {
                std::fs::write(directory.join(name), picture).expect("there is room");
            }
        }
        let kept = std::fs::read_dir(&directory).expect("there are pictures");
        let kept: BTreeSet<String> = kept
            .map(|entry| entry.expect("it is read").file_name().into_string().expect("a plain name"))
            .collect();
        let is_new =
            |name: &String| std::fs::read_to_string(directory.join(name)).ok() != self.0.get(name).cloned();
        let new: Vec<&String> = kept.iter().chain(self.0.keys()).filter(|name| is_new(name)).collect();
        assert!(
            new.is_empty(),
            "docs/pictures does not show what members see: {new:?}. If that is meant, draw them anew with \
             `{WRITE}=write cargo test --test it pictures_of_the_guide`, look at them, and delete those that no \
             flow ends with"
        );
    }
}

#[tokio::test]
async fn pictures_of_the_guide() {
    let mut guide = Guide::default();
    a_mention_is_answered(&mut guide).await;
    a_greeting_has_another_way(&mut guide).await;
    guide.close();
}

async fn a_mention_is_answered(guide: &mut Guide) {
    let Scene { stage, general, alice, .. } = &Scene::of("hermes").await;
    let discord = &stage.discord;
    let said = "A simile says that one thing is *like* another: \"the exam was like a siege\".\n\
                A metaphor says that it **is** the other: \"the exam was a siege\".";
    stage.script.then([Step::Say(said.to_owned())]);
    discord.post(*general, *alice, format!("{} what is a metaphor?", discord.mention_bot()));
    offered(stage, *general, "Regenerate").await;
    guide.shows("mention", discord, (*general, *alice));
}

async fn a_greeting_has_another_way(guide: &mut Guide) {
    let Scene { stage, general, alice, .. } = &Scene::of("crake").await;
    let discord = &stage.discord;
    discord.post(*general, *alice, discord.mention_bot());
    let greeting = offered(stage, *general, "Continue").await;
    discord.press(greeting.id, *alice, "1/2 \u{25b6}");
    offered(stage, *general, "\u{25c0}").await;
    guide.shows("greeting", discord, (*general, *alice));
}

/// A bot that plays a persona with a face and buttons, and a member who talks to it.
struct Scene {
    stage: Stage,
    general: ChannelId,
    alice: UserId,
    /// Where it writes down what was said.
    _directory: TempDir,
}

impl Scene {
    async fn of(persona: &'static str) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let store = Some(memory::open(&directory).await);
        let discord = FakeDiscord::start().await;
        discord.let_bot_have_webhooks(true);
        let (general, alice) = (discord.channel("general"), discord.member("Alice"));
        let setting = Setting { persona, message_content: true, buttons: true, store, ..Setting::default() };
        Self { stage: Stage::set(discord, setting).await, general, alice, _directory: directory }
    }
}

/// What the persona has said, once it is over and this button stands under it.
async fn offered(stage: &Stage, channel: ChannelId, button: &str) -> Message {
    let is_there = |message: &Message| {
        let rows = message.components.iter().filter_map(|row| row["components"].as_array());
        rows.flatten().any(|it| it["label"] == button && it["disabled"] != true)
    };
    let said = stage.discord.webhook_message_such_that(channel, is_there).await;
    stage.idle().await;
    said
}
