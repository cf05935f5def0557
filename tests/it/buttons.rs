//! The buttons under the last reply: what they do, who may press them, and when they go.

use std::sync::Arc;

use mummer::chat::history::{Turn, TurnKind, TurnState};
use mummer::chat::notice::Notice;
use mummer::chat::text::{Label, Text};
use mummer::generation::FailureKind;
use mummer::generation::scripted::Step;
use mummer::store::Store;
use serde_json::{Value, json};
use serenity::model::Permissions;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::discord::{Call, ChannelId, FakeDiscord, Message, MessageId, UserId};
use crate::memory::{on_disk, open};
use crate::stage::{Setting, Stage};

/// A bot whose personas speak by webhook, with buttons under what they say.
pub(crate) struct Scene {
    pub(crate) directory: TempDir,
    pub(crate) store: Store,
    pub(crate) stage: Stage,
    pub(crate) general: ChannelId,
    pub(crate) alice: UserId,
}

pub(crate) const BACK: &str = "\u{25c0}";

/// What stands on the button to the next way to say it.
pub(crate) fn forth(way: usize, ways: usize) -> String {
    format!("{way}/{ways} \u{25b6}")
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with_faces(true).await
    }

    pub(crate) async fn with_faces(faces: bool) -> Self {
        let directory = tempfile::tempdir().expect("there is room");
        let store = open(&directory).await;
        let discord = FakeDiscord::start().await;
        discord.let_bot_have_webhooks(faces);
        let (general, alice) = (discord.channel("general"), discord.member("Alice"));
        let stage = Self::on_stage(discord, &store).await;
        Self { directory, store, stage, general, alice }
    }

    pub(crate) async fn on_stage(discord: FakeDiscord, store: &Store) -> Stage {
        let setting = Setting {
            message_content: true,
            buttons: true,
            store: Some(store.clone()),
            ..Setting::default()
        };
        Stage::set(discord, setting).await
    }

    pub(crate) async fn restarted(self) -> Self {
        let Self { directory, store, stage, general, alice } = self;
        let (discord, ended) = stage.close().await;
        ended.expect("it ends well");
        store.close().await;
        drop(store);
        let store = open(&directory).await;
        let stage = Self::on_stage(discord, &store).await;
        Self { directory, store, stage, general, alice }
    }

    /// Alice asks, and this is answered.
    pub(crate) async fn answered(&self, text: &str) -> (MessageId, Message) {
        self.stage.script.then([Step::Say(text.to_owned())]);
        let mention = self.stage.discord.mention_bot();
        let trigger = self.stage.discord.post(self.general, self.alice, format!("{mention} hello"));
        let said = self.shown(|message| message.content() == text && has(message, "Continue")).await;
        self.stage.idle().await;
        (trigger, said)
    }

    /// What the persona shows, once it is as described.
    pub(crate) async fn shown(&self, fits: impl Fn(&Message) -> bool) -> Message {
        let general = self.general;
        self.stage
            .discord
            .wait_for("a fitting reply", |state| {
                let own = |message: &&Message| message.seen_as.is_some() || message.author == state.world.bot;
                state.world.shown(general).filter(own).find(|message| fits(message)).cloned()
            })
            .await
    }

    /// Alice presses a button, and nothing is said to that.
    pub(crate) fn press(&self, under: &Message, words: &str) {
        self.stage.discord.press(under.id, self.alice, words);
    }

    /// The last thing that a persona said, as it is on disk.
    pub(crate) async fn turn(&self) -> Turn {
        self.stage.idle().await;
        let conversation = on_disk(&self.store, self.general).await.expect("it is there");
        conversation
            .turns()
            .iter()
            .rfind(|turn| turn.kind == TurnKind::Persona)
            .expect("it has spoken")
            .clone()
    }

    /// What is said to somebody who presses a button in vain.
    async fn refused(&self, under: MessageId, user: UserId, custom_id: &str) -> String {
        let press = self.stage.discord.press_id(under, user, custom_id);
        self.stage.discord.answer_to(press).await.content().to_owned()
    }
}

fn buttons(message: &Message) -> Vec<Value> {
    let rows = message.components.iter().filter_map(|row| row["components"].as_array().cloned());
    rows.flatten().collect()
}

/// Whether a button with these words can be pressed.
pub(crate) fn has(message: &Message, words: &str) -> bool {
    buttons(message).iter().any(|button| button["label"] == words && button["disabled"] != true)
}

fn id(message: &Message, words: &str) -> String {
    let button = buttons(message).into_iter().find(|button| button["label"] == words);
    button.expect("it is there")["custom_id"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn a_reply_that_grows_can_be_stopped_and_nothing_else() {
    let scene = Scene::new().await;
    let never = Arc::new(Semaphore::new(0));
    scene.stage.script.then([Step::Say("I could go on".to_owned()), Step::Hold(never)]);
    let discord = &scene.stage.discord;
    discord.post(scene.general, scene.alice, format!("{} hello", discord.mention_bot()));
    let growing = scene.shown(|message| message.content() == "I could go on").await;
    assert_eq!(buttons(&growing).len(), 1);
    scene.press(&growing, "Stop");
    scene.shown(|message| message.content() == "I could go on" && has(message, "Continue")).await;
    assert_eq!(scene.turn().await.state, TurnState::Interrupted);
}

#[tokio::test]
async fn a_reply_is_said_anew_and_all_ways_to_say_it_are_kept() {
    for faces in [true, false] {
        let scene = Scene::with_faces(faces).await;
        let (_, said) = scene.answered("One.").await;
        assert!(!has(&said, BACK) && !has(&said, &forth(1, 1)));
        scene.stage.script.then([Step::Say("Two.".to_owned())]);
        scene.press(&said, "Regenerate");
        let again = scene.shown(|message| message.content() == "Two." && has(message, BACK)).await;
        assert_eq!(again.id, said.id, "it takes its place");
        let prompts = scene.stage.script.prompts();
        assert_eq!(prompts[0], prompts[1], "the reply itself is not in the prompt");
        let turn = scene.turn().await;
        let ways: Vec<&str> = turn.variants.iter().map(|variant| variant.text.as_str()).collect();
        assert_eq!((ways, turn.selected, turn.state), (vec!["One.", "Two."], 1, TurnState::Complete));
        let seed = |way: usize| turn.variants[way].origin.as_ref().expect("it was generated").seed;
        assert_ne!(seed(0), seed(1));
        // Back and forth, and what is shown is what is remembered.
        scene.press(&again, BACK);
        let back = scene.shown(|message| message.content() == "One." && has(message, &forth(1, 2))).await;
        assert_eq!(scene.turn().await.shown().text, "One.");
        scene.press(&back, &forth(1, 2));
        scene.shown(|message| message.content() == "Two." && has(message, BACK)).await;
        assert_eq!(scene.turn().await.shown().text, "Two.");
    }
}

#[tokio::test]
async fn messages_come_and_go_with_the_length_of_the_ways() {
    let scene = Scene::new().await;
    let long = "A sentence of many that make this reply long. ".repeat(60).trim().to_owned();
    scene.stage.script.then([Step::Say(long.clone())]);
    let discord = &scene.stage.discord;
    discord.post(scene.general, scene.alice, format!("{} hello", discord.mention_bot()));
    let second = scene.shown(|message| has(message, "Regenerate")).await;
    let parts = discord.said_by_webhook(scene.general);
    assert_eq!((parts.len(), parts[1].id), (2, second.id));
    // One row, under the last message.
    scene.shown(|message| message.id == parts[0].id && buttons(message).is_empty()).await;
    scene.stage.script.then([Step::Say("Short.".to_owned())]);
    scene.press(&second, "Regenerate");
    let short = scene.shown(|message| message.content() == "Short." && has(message, BACK)).await;
    assert_eq!(short.id, parts[0].id);
    assert_eq!(discord.said_by_webhook(scene.general).len(), 1);
    assert_eq!(scene.turn().await.parts.len(), 1);
    scene.press(&short, BACK);
    let last = scene.shown(|message| has(message, &forth(1, 2))).await;
    assert_ne!(last.id, short.id);
    let shown: Vec<String> =
        discord.said_by_webhook(scene.general).iter().map(|message| message.content().to_owned()).collect();
    assert_eq!(shown.join(" "), long);
    let turn = scene.turn().await;
    assert_eq!((turn.shown().text == long, turn.parts.len()), (true, 2));
}

#[tokio::test]
async fn a_reply_goes_on_where_it_ended() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("Once upon").await;
    scene.stage.script.then([Step::Say(" a time.".to_owned())]);
    scene.press(&said, "Continue");
    let more = scene.shown(|message| message.content() == "Once upon a time.").await;
    assert_eq!(more.id, said.id);
    assert!(scene.stage.prompt(1).ends_with("### Response:\nOnce upon"), "{}", scene.stage.prompt(1));
    assert_eq!(scene.turn().await.shown().text, "Once upon a time.");
}

#[tokio::test]
async fn a_reply_is_taken_back() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("I take that back").await;
    scene.press(&said, "Delete");
    scene.stage.discord.requested(Call::DeleteWebhookMessage, 1).await;
    scene.stage.idle().await;
    assert_eq!(scene.stage.discord.said_by_webhook(scene.general).len(), 0);
    let conversation = on_disk(&scene.store, scene.general).await.expect("it is there");
    let kinds: Vec<TurnKind> = conversation.turns().iter().map(|turn| turn.kind).collect();
    assert_eq!(kinds, [TurnKind::Member]);
}

#[tokio::test]
async fn greetings_are_ways_to_begin() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let discord = FakeDiscord::start().await;
    discord.let_bot_have_webhooks(true);
    let (general, alice) = (discord.channel("general"), discord.member("Alice"));
    let setting = Setting {
        persona: "crake",
        message_content: true,
        buttons: true,
        store: Some(store.clone()),
        ..Setting::default()
    };
    let stage = Stage::set(discord, setting).await;
    let scene = Scene { directory, store, stage, general, alice };
    scene.stage.discord.post(general, alice, scene.stage.discord.mention_bot());
    let greeting = scene.shown(|message| has(message, "Continue")).await;
    let ways = scene.turn().await.variants.len();
    assert!(ways > 1);
    assert!(!has(&greeting, "Regenerate"), "nothing was said that it could answer");
    scene.press(&greeting, &forth(1, ways));
    let other = scene.shown(|message| has(message, &forth(2, ways)) || has(message, BACK)).await;
    assert_ne!(other.content(), greeting.content());
    assert_eq!(scene.turn().await.selected, 1);
}

#[tokio::test]
async fn the_row_stands_under_the_last_message_only() {
    let scene = Scene::new().await;
    let (_, first) = scene.answered("One.").await;
    let discord = &scene.stage.discord;
    // Whoever posts something, be it to others.
    discord.post(scene.general, discord.member("Bob"), "by the way");
    scene.shown(|message| message.id == first.id && buttons(message).is_empty()).await;
    let (_, second) = scene.answered("Two.").await;
    let (_, third) = scene.answered("Three.").await;
    for old in [&first, &second] {
        scene.shown(|message| message.id == old.id && buttons(message).is_empty()).await;
    }
    assert!(has(&discord.message(third.id), "Regenerate"));
    // What was posted while nobody looked counts too, when it is heard of.
    let scene = scene.restarted().await;
    scene.stage.discord.post(scene.general, scene.alice, "by the way");
    scene.shown(|message| message.id == third.id && buttons(message).is_empty()).await;
}

#[tokio::test]
async fn buttons_work_after_a_restart() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    let scene = scene.restarted().await;
    scene.stage.script.then([Step::Say("Two.".to_owned())]);
    scene.press(&said, "Regenerate");
    scene.shown(|message| message.content() == "Two." && has(message, BACK)).await;
    let turn = scene.turn().await;
    assert_eq!((turn.variants.len(), turn.shown().text.as_str()), (2, "Two."));
}

#[tokio::test]
async fn what_fails_leaves_the_reply_as_it_was() {
    for words in ["Regenerate", "Continue"] {
        let scene = Scene::new().await;
        let (_, said) = scene.answered("One.").await;
        scene.stage.script.then([Step::Fail(FailureKind::EngineFault, true)]);
        let before = scene.stage.discord.count(Call::SendMessage);
        scene.press(&said, words);
        scene.stage.discord.requested(Call::SendMessage, before + 1).await;
        scene.stage.idle().await;
        let turn = scene.turn().await;
        assert_eq!((turn.variants.len(), turn.shown().text.as_str()), (1, "One."), "{words}");
        assert_eq!(turn.state, TurnState::Complete);
        assert_eq!(scene.stage.discord.message(said.id).content(), "One.");
    }
}

#[tokio::test]
async fn buttons_are_for_whoever_asked_and_for_moderators_and_old_ones_for_nobody() {
    let scene = Scene::new().await;
    let (_, first) = scene.answered("One.").await;
    let (_, said) = scene.answered("Two.").await;
    let discord = &scene.stage.discord;
    let (mallory, judge) = (discord.member("Mallory"), discord.member("Judge"));
    for words in ["Regenerate", "Continue", "Delete", BACK] {
        let refused = scene.refused(said.id, mallory, &id(&said, words)).await;
        assert_eq!(refused, Text::NotYourReply.to_string(), "{words}");
    }
    let stale = Text::StaleReply.to_string();
    let own = id(&said, "Delete");
    let other_turn = own.replace(own.split(':').nth(1).expect("a number"), "77");
    for (under, forged) in [
        (first.id, id(&first, "Delete")),
        (first.id, own.clone()),
        (said.id, other_turn),
        (said.id, own.replace(":0", ":5")),
        (said.id, own.replace("delete", "stop")),
    ] {
        assert_eq!(scene.refused(under, scene.alice, &forged).await, stale, "{forged}");
    }
    assert_eq!(scene.refused(said.id, scene.alice, "delete:x:0").await, Text::Stale.to_string());
    scene.stage.idle().await;
    assert_eq!(discord.said_by_webhook(scene.general).len(), 2, "nothing has changed");
    discord.empower(judge, Permissions::MANAGE_MESSAGES);
    discord.press(said.id, judge, "Delete");
    discord.requested(Call::DeleteWebhookMessage, 1).await;
    scene.stage.idle().await;
    assert_eq!(discord.said_by_webhook(scene.general).len(), 1);
}

#[tokio::test]
async fn an_admin_can_do_without_buttons() {
    let scene = Scene::new().await;
    let discord = &scene.stage.discord;
    let admin = discord.member("Admin");
    discord.empower(admin, Permissions::MANAGE_GUILD);
    let options = [("setting", json!("buttons")), ("value", json!("off"))];
    let set = discord.use_command(scene.general, admin, "settings set", &options);
    discord.answer_such_that(set, |answer| answer.content().starts_with("`buttons` is off")).await;
    scene.stage.script.then([Step::Say("One.".to_owned())]);
    discord.post(scene.general, scene.alice, format!("{} hello", discord.mention_bot()));
    scene.shown(|message| message.content() == "One.").await;
    scene.stage.idle().await;
    let said = discord.said_by_webhook(scene.general);
    assert!(said.iter().all(|message| buttons(message).is_empty()));
}

#[tokio::test]
async fn a_reply_is_stopped_and_those_that_wait_behind_it_are_not() {
    let scene = Scene::new().await;
    let discord = &scene.stage.discord;
    scene.stage.script.then([Step::Say("I could go on".to_owned()), Step::Hold(Arc::new(Semaphore::new(0)))]);
    scene.stage.script.then([Step::Say("Hello, Bob.".to_owned())]);
    discord.post(scene.general, scene.alice, format!("{} hello", discord.mention_bot()));
    let growing = scene.shown(|message| message.content() == "I could go on").await;
    let bob = discord.member("Bob");
    // It stands there still, for its reply is being made.
    discord.post(scene.general, bob, format!("{} me too", discord.mention_bot()));
    scene.stage.running(2).await;
    scene.press(&growing, "Stop");
    scene.shown(|message| message.content() == "Hello, Bob.").await;
}

#[tokio::test]
async fn what_was_gone_on_with_and_stopped_is_remembered_as_it_is_shown() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("Once upon").await;
    scene.stage.script.then([Step::Say(" a time".to_owned()), Step::Hold(Arc::new(Semaphore::new(0)))]);
    scene.press(&said, "Continue");
    let more = scene.shown(|message| message.content() == "Once upon a time" && has(message, "Stop")).await;
    scene.press(&more, "Stop");
    scene.shown(|message| message.content() == "Once upon a time" && has(message, "Continue")).await;
    let turn = scene.turn().await;
    assert_eq!((turn.shown().text.as_str(), turn.state), ("Once upon a time", TurnState::Interrupted));
    assert_eq!(turn.shown().tokens, None, "those of before do not stand for all of it");
    let (_, _) = scene.answered("And then.").await;
    assert!(scene.stage.prompt(2).contains("Once upon a time"), "{}", scene.stage.prompt(2));
}

#[tokio::test]
async fn what_can_be_changed_no_more_stays_as_it_is_and_that_is_said() {
    for words in ["Regenerate", "Delete"] {
        let scene = Scene::new().await;
        let (_, said) = scene.answered("One.").await;
        scene.stage.discord.delete_webhooks(scene.general);
        scene.stage.script.then([Step::Say("Two.".to_owned())]);
        scene.press(&said, words);
        let told = Notice::Unchangeable.to_string();
        scene.shown(|message| message.content() == told).await;
        let turn = scene.turn().await;
        assert_eq!((turn.variants.len(), turn.shown().text.as_str()), (1, "One."), "{words}");
        assert_eq!(scene.stage.discord.message(said.id).content(), "One.");
    }
}

#[tokio::test]
async fn whoever_wants_to_be_forgotten_is_not_answered_anew() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    let discord = &scene.stage.discord;
    let judge = discord.member("Judge");
    discord.empower(judge, Permissions::MANAGE_MESSAGES);
    scene.stage.script.then([Step::Hold(Arc::new(Semaphore::new(0)))]);
    discord.press(said.id, judge, "Regenerate");
    scene.shown(|message| message.id == said.id && has(message, "Stop")).await;
    let alice = mummer::chat::MemberId(scene.alice.0);
    scene.stage.assistant.forget_member(alice).await.expect("it is written");
    scene.stage.idle().await;
    let conversation = on_disk(&scene.store, scene.general).await;
    assert!(conversation.is_none_or(|it| it.turns().is_empty()));
    assert_eq!(discord.message(said.id).content(), "One.");
}

#[tokio::test]
async fn where_everything_begins_anew_no_buttons_stay() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    let discord = &scene.stage.discord;
    let asked = discord.answer_to(discord.use_command(scene.general, scene.alice, "reset", &[])).await;
    discord.press(asked.id, scene.alice, Label::Reset.words());
    scene.shown(|message| message.id == said.id && buttons(message).is_empty()).await;
}

#[tokio::test]
async fn what_is_blocked_comes_back_by_no_button() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    scene.stage.script.then([Step::Say("A bad word.".to_owned())]);
    scene.press(&said, "Regenerate");
    let again = scene.shown(|message| message.content() == "A bad word." && has(message, BACK)).await;
    scene.stage.idle().await;
    let discord = &scene.stage.discord;
    let admin = discord.member("Admin");
    discord.empower(admin, Permissions::MANAGE_GUILD);
    let options = [("setting", json!("blocked_phrases")), ("value", json!("bad word"))];
    let set = discord.use_command(scene.general, admin, "settings set", &options);
    discord.answer_such_that(set, |answer| answer.content().starts_with("`blocked_phrases` is")).await;
    scene.press(&again, BACK);
    let back = scene.shown(|message| message.content() == "One." && has(message, &forth(1, 2))).await;
    scene.stage.idle().await;
    scene.press(&back, &forth(1, 2));
    scene.shown(|message| message.content() == "A [\u{2026}]." && has(message, BACK)).await;
    assert_eq!(scene.turn().await.shown().text, "A [\u{2026}].");
    // Nor does it come about where two pieces meet.
    let (_, said) = scene.answered("A bad").await;
    scene.stage.script.then([Step::Say(" word and more.".to_owned())]);
    scene.press(&said, "Continue");
    let more =
        scene.shown(|message| message.content().ends_with("and more.") && has(message, "Continue")).await;
    assert_eq!(more.content(), "A [\u{2026}] and more.");
    assert!(more.history().iter().all(|version| !version.contains("bad word")), "{:?}", more.history());
    assert_eq!(scene.turn().await.shown().text, "A [\u{2026}] and more.");
}
