//! The pictures in the guides: what a member sees at the end of real flows, played with the real bot. `MUMMER_PICTURES=write`
//! draws them anew.
//!
//! A further picture is a flow of its own, which ends with [`Guide::shows`], and its line in [`pictures_of_the_guide`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mummer::generation::scripted::Step;
use serde_json::json;
use tempfile::TempDir;

use crate::discord::{ChannelId, FakeDiscord, Message, MessageId, UserId};
use crate::memory::{self, PATIENCE};
use crate::roleplay::Theatre;
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

    /// The same without what stands above a message.
    fn shows_since(
        &mut self,
        picture: &str,
        discord: &FakeDiscord,
        (channel, viewer): (ChannelId, UserId),
        first: MessageId,
    ) {
        self.0.insert(format!("{picture}.svg"), discord.drawn_since(channel, viewer, first));
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
        let guides = read("docs/commands.md") + &read("docs/roleplay.md");
        for name in &kept {
            assert!(guides.contains(&format!("](pictures/{name})")), "no guide shows {name}");
        }
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the file is there")
}

#[tokio::test]
async fn pictures_of_the_guide() {
    let mut guide = Guide::default();
    a_mention_is_answered(&mut guide).await;
    a_greeting_has_another_way(&mut guide).await;
    a_scene_is_opened(&mut guide).await;
    several_play(&mut guide).await;
    dice_fall_and_it_is_told_what_happens(&mut guide).await;
    a_line_is_changed_and_branched_off_from(&mut guide).await;
    a_scene_without_the_intent(&mut guide).await;
    guide.close();
}

/// The table of commands and the guide name the same ones for scenes.
#[test]
fn the_guide_names_every_command_for_scenes() {
    let (table, guide) = (read("docs/commands.md"), read("docs/roleplay.md"));
    let words = |written: &str| -> String {
        let words = written.split_whitespace();
        let words =
            words.take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'/'));
        words.collect::<Vec<&str>>().join(" ")
    };
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter(|row| row.starts_with("/roleplay ")).filter_map(|row| row.split('`').next());
    let known: BTreeSet<String> = rows.map(words).collect();
    // What stands between marks of code: every other piece.
    let code =
        guide.split('`').skip(1).step_by(2).map(str::trim).filter(|code| code.starts_with("/roleplay "));
    let named: Vec<String> = code.map(words).collect();
    let begins = |written: &str, with: &str| {
        written.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    for command in &known {
        assert!(named.iter().any(|named| begins(named, command)), "{command} is not in the guide");
    }
    for named in &named {
        assert!(known.iter().any(|command| begins(named, command)), "there is no {named}");
    }
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

async fn a_scene_is_opened(guide: &mut Guide) {
    let theatre = Theatre::new().await;
    let about = "A ring is gone from the laundrette, and somebody has left a feather in its place.";
    let options = [("scene", json!(about)), ("as", json!("Mira")), ("title", json!("The lost ring"))];
    theatre.opened("crake", &options).await;
    offered(&theatre.stage, theatre.general, "Continue").await;
    guide.shows("scene", &theatre.stage.discord, (theatre.general, theatre.alice));
}

async fn several_play(guide: &mut Guide) {
    let theatre = in_port_lorne().await;
    let Theatre { stage, general, alice, bob, .. } = &theatre;
    let character = [("name", json!("Bertram")), ("description", json!("A ferryman who asks no questions."))];
    let joined = theatre.uses(*bob, "as", &character).await;
    theatre.uses(*alice, "cast add", &[("persona", json!("pomfret"))]).await;
    let said =
        "*She puts the kettle on Gerald.* Rings don't get lost, dear. They get left. Sit, and eat something.";
    theatre.says(*alice, "I have lost my grandmother's ring.", said).await;
    stage.discord.post(*general, *bob, "((the door bell, back in a minute))");
    let said = "*He writes down a number and underlines it twice.* On Tuesday. Which hand?";
    theatre.says(*bob, "Crake, on Tuesday somebody took my ferry with a ring on her hand.", said).await;
    offered(stage, *general, "Continue").await;
    guide.shows_since("cast", &stage.discord, (*general, *alice), joined.id);
}

async fn dice_fall_and_it_is_told_what_happens(guide: &mut Guide) {
    let theatre = in_port_lorne().await;
    let Theatre { stage, general, alice, .. } = &theatre;
    let rolled = rolls(&theatre, "d6", 5).await;
    let happens = "The lock gives. Behind the door somebody stops humming.";
    theatre.uses(*alice, "narrate", &[("text", json!(happens))]).await;
    let said = "*He stays behind her, umbrella first.* After you. Doors that hum are eleven crowns extra.";
    theatre.says(*alice, "I push it open with one finger.", said).await;
    let told =
        "*Nobody is there. On the sill stands a cup of tea, still warm, and beside it lies a white feather.*";
    stage.script.then_say(told);
    theatre.uses(*alice, "narrate", &[]).await;
    theatre.shown(told).await;
    offered(stage, *general, "Continue").await;
    guide.shows_since("dice", &stage.discord, (*general, *alice), rolled.id);
}

async fn a_line_is_changed_and_branched_off_from(guide: &mut Guide) {
    let theatre = in_port_lorne().await;
    let Theatre { stage, general, alice, .. } = &theatre;
    let (discord, seen) = (&stage.discord, (*general, *alice));
    let said = "*He does not look up.* Rings are not lost, they are sold. Call it ninety crowns.";
    stage.script.then_say(said);
    let asked = discord.post(*general, *alice, "I have lost my grandmother's ring.");
    let said = theatre.shown(said).await;
    offered(stage, *general, "Continue").await;
    let form = discord.form(discord.use_on_message(said.id, *alice, "Edit line")).await;
    guide.shows_since("edit", discord, seen, asked);
    let form = form.with("text", "*He looks up for the first time.* Who wore it before her?");
    discord.answer_to(discord.submit(*general, *alice, &form)).await;
    offered(stage, *general, "Continue").await;
    guide.shows_since("edited", discord, seen, asked);

    discord.answer_to(discord.use_on_message(said.id, *alice, "Branch into a thread")).await;
    let thread = discord.threads_of(*general).pop().expect("there is a thread");
    let answer = "*The pencil stops.* The Admiral. I was hoping it would not be the Admiral.";
    stage.script.then_say(answer);
    discord.post(thread, *alice, "A goose, they say.");
    discord.webhook_message_such_that(thread, |message| message.content() == answer).await;
    offered(stage, thread, "Continue").await;
    guide.shows("branch", discord, (thread, *alice));

    theatre.uses(*alice, "stop", &[]).await;
    let over = theatre.shown("gives it to you.").await;
    theatre.uses(*alice, "list", &[]).await;
    theatre.uses(*alice, "export", &[("scene", json!("The lost ring"))]).await;
    guide.shows_since("export", discord, seen, over.id);
}

async fn a_scene_without_the_intent(guide: &mut Guide) {
    let theatre = Theatre::with(false, Duration::ZERO).await;
    theatre.opened("mizzle", &[("as", json!("Mira"))]).await;
    let Theatre { stage, general, alice, .. } = &theatre;
    let answer = "*It goes slate round the edges.* That was the train. I think. Shall I stay close?";
    stage.script.then_say(answer);
    let text = [("text", json!("Was that thunder? ((I am on my phone today))"))];
    let said = stage.discord.answer_to(stage.discord.use_command(*general, *alice, "say", &text)).await;
    theatre.shown(answer).await;
    offered(stage, *general, "Continue").await;
    guide.shows_since("say", &stage.discord, (*general, *alice), said.id);
}

/// A scene that Alice has opened with Crake, as Mira.
async fn in_port_lorne() -> Theatre {
    let theatre = Theatre::new().await;
    theatre.opened("crake", &[("as", json!("Mira")), ("title", json!("The lost ring"))]).await;
    theatre
}

/// Alice rolls dice until they show this: they fall as they like, and a picture is the same each time. What else they have shown is
/// deleted.
async fn rolls(theatre: &Theatre, dice: &str, wanted: u64) -> Message {
    let Theatre { stage, general, alice, .. } = theatre;
    let turns = || stage.conversation(*general).turns().len();
    let before = turns();
    let until = async |count: usize| {
        while turns() != count {
            tokio::task::yield_now().await;
        }
    };
    let rolling = async {
        loop {
            let used = stage.discord.use_command(*general, *alice, "roll", &[("dice", json!(dice))]);
            let rolled = stage.discord.answer_to(used).await;
            until(before + 1).await;
            if rolled.content().ends_with(&format!("**{wanted}**")) {
                return rolled;
            }
            stage.discord.delete(rolled.id);
            until(before).await;
        }
    };
    tokio::time::timeout(PATIENCE, rolling).await.expect("they fall like that some time")
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

/// What was said last, once it is over and this button stands under it, and none under what was said before.
async fn offered(stage: &Stage, channel: ChannelId, button: &str) -> Message {
    let offers = |message: &Message| {
        let rows = message.components.iter().filter_map(|row| row["components"].as_array());
        rows.flatten().any(|it| it["label"] == button && it["disabled"] != true)
    };
    let said = stage.discord.wait_for("buttons under the last line alone", |state| {
        let last = state.world.shown(channel).next_back().filter(|last| offers(last))?;
        let mut before = state.world.shown(channel).filter(|message| message.id != last.id);
        before.all(|message| message.components.is_empty()).then(|| last.clone())
    });
    let said = said.await;
    stage.idle().await;
    said
}
