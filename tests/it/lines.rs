//! The commands in the menu of a message: replies are said anew, lines are changed and forgotten. Who may, and what becomes of it
//! when something else happens meanwhile.

use std::sync::Arc;
use std::time::Duration;

use mummer::chat::history::{Conversation, TurnKind};
use mummer::chat::notice::{self, Notice};
use mummer::chat::text::{LINE_MAX, Label, Lines, Text, with_draft};
use mummer::generation::scripted::Step;
use serde_json::json;
use serenity::model::Permissions;
use tokio::sync::Semaphore;

use crate::buttons::{BACK, Scene, has};
use crate::chaos::compare;
use crate::discord::{Call, ChannelId, Failure, FakeDiscord, Form, Message, MessageId, UserId, Whom};
use crate::memory::{PATIENCE, on_disk, open};

const REGENERATE: &str = "Regenerate";
const EDIT: &str = "Edit line";
const FORGET: &str = "Forget from here";

fn lines(lines: Lines) -> String {
    Text::from(lines).to_string()
}

impl Scene {
    /// What is said to somebody who uses a command on a message.
    async fn told(&self, message: MessageId, user: UserId, command: &str) -> Message {
        self.stage.discord.answer_to(self.stage.discord.use_on_message(message, user, command)).await
    }

    async fn form(&self, message: MessageId, user: UserId) -> Form {
        self.stage.discord.form(self.stage.discord.use_on_message(message, user, EDIT)).await
    }

    /// What is said to whoever sends a form.
    async fn sent(&self, form: &Form, user: UserId) -> Message {
        self.stage.discord.answer_to(self.stage.discord.submit(self.general, user, form)).await
    }

    /// What is said to whoever writes something else into a line.
    async fn edited(&self, message: MessageId, text: &str) -> Message {
        let form = self.form(message, self.alice).await.with("text", text);
        self.sent(&form, self.alice).await
    }

    /// What is said to whoever sends a line as a file.
    async fn edited_by_file(&self, message: &str, bytes: &[u8]) -> Message {
        let discord = &self.stage.discord;
        let options = [("message", json!(message)), ("file", discord.upload("line.txt", bytes))];
        discord.answer_to(discord.use_command(self.general, self.alice, "roleplay edit", &options)).await
    }

    /// What is said once the question whether lines are to be forgotten is answered with yes.
    pub(crate) async fn forgotten(&self, message: MessageId, user: UserId) -> String {
        let asked = self.told(message, user, FORGET).await;
        self.confirmed(&asked, user).await
    }

    async fn confirmed(&self, asked: &Message, user: UserId) -> String {
        let press = self.stage.discord.press(asked.id, user, Label::ForgetLines.words());
        let working = Text::Working.to_string();
        let told = self.stage.discord.answer_such_that(press, |told| told.content() != working).await;
        told.content().to_owned()
    }

    /// What is remembered, oldest first.
    async fn said(&self) -> Vec<String> {
        self.stage.idle().await;
        let conversation = on_disk(&self.store, self.general).await;
        let turns = conversation.iter().flat_map(Conversation::turns);
        turns.map(|turn| turn.shown().text.clone()).collect()
    }

    /// Alice opens a scene.
    async fn opened(&self) {
        let discord = &self.stage.discord;
        let persona = [("persona", json!("mizzle"))];
        let opened = discord.use_command(self.general, self.alice, "roleplay start", &persona);
        discord.answer_to(opened).await;
        self.shown(|message| has(message, "Continue") || message.seen_as.is_some()).await;
        self.stage.idle().await;
    }

    /// What a persona shows in a message.
    fn content(&self, message: &Message) -> String {
        self.stage.discord.message(message.id).content().to_owned()
    }
}

/// The draft that is given back with what is said.
fn given_back(answer: &Message) -> &str {
    std::str::from_utf8(&answer.files[0].bytes).expect("it is text")
}

/// A text of so many characters at least.
fn long(characters: usize) -> String {
    let sentence = "A sentence of many that make this line long. ";
    sentence.repeat(characters.div_ceil(sentence.len())).trim().to_owned()
}

#[tokio::test]
async fn the_menu_says_the_last_reply_anew_where_there_are_no_buttons() {
    let scene = Scene::new().await;
    let (trigger, first) = scene.answered("One.").await;
    let (_, said) = scene.answered("Two.").await;
    let discord = &scene.stage.discord;
    discord.post(scene.general, discord.member("Bob"), "by the way");
    scene.shown(|message| message.id == said.id && message.components.is_empty()).await;
    for other in [trigger, first.id] {
        let told = scene.told(other, scene.alice, REGENERATE).await;
        assert_eq!(told.content(), lines(Lines::NoReply));
    }
    let told = scene.told(said.id, discord.member("Mallory"), REGENERATE).await;
    assert_eq!(told.content(), Text::NotYourReply.to_string());
    scene.stage.script.then([Step::Say("Three.".to_owned())]);
    let told = scene.told(said.id, scene.alice, REGENERATE).await;
    assert_eq!((told.content(), told.only_for), (lines(Lines::SaysAnew).as_str(), Some(scene.alice)));
    let again = scene.shown(|message| message.content() == "Three.").await;
    assert_eq!(again.id, said.id);
    let turn = scene.turn().await;
    assert_eq!((turn.variants.len(), turn.shown().text.as_str()), (2, "Three."));
}

#[tokio::test]
async fn a_line_says_what_a_member_writes() {
    for faces in [true, false] {
        let scene = Scene::with_faces(faces).await;
        let (_, said) = scene.answered("One.").await;
        let form = scene.form(said.id, scene.alice).await;
        assert_eq!(form.field("text"), Some("One."));
        let told = scene.sent(&form.with("text", " Uno. "), scene.alice).await;
        assert_eq!((told.content(), told.only_for), (lines(Lines::Edited).as_str(), Some(scene.alice)));
        let shown = scene.shown(|message| message.content() == "Uno.").await;
        assert!(shown.id == said.id && has(&shown, "Continue"), "its buttons stay");
        let turn = scene.turn().await;
        let variant = turn.shown();
        assert_eq!((variant.text.as_str(), &variant.tokens, &variant.origin), ("Uno.", &None, &None));
        scene.answered("Two.").await;
        let prompt = scene.stage.prompt(1);
        assert!(prompt.contains("Uno.") && !prompt.contains("One."), "{prompt}");
    }
}

#[tokio::test]
async fn an_older_line_is_changed_and_what_came_since_stays() {
    let scene = Scene::new().await;
    let (_, first) = scene.answered("One.").await;
    let (_, second) = scene.answered("Two.").await;
    assert_eq!(scene.edited(first.id, "Uno.").await.content(), lines(Lines::Edited));
    assert_eq!((scene.content(&first), scene.content(&second)), ("Uno.".to_owned(), "Two.".to_owned()));
    assert!(has(&scene.stage.discord.message(second.id), "Regenerate"));
    let said = scene.said().await;
    assert_eq!((said[1].as_str(), said[3].as_str()), ("Uno.", "Two."));
    // There is no room for more messages.
    let story = long(2_500);
    let told = scene.edited(first.id, &story).await;
    assert_eq!(told.content(), with_draft(&Text::from(Lines::NoRoom)));
    assert_eq!((given_back(&told), scene.content(&first)), (story.as_str(), "Uno.".to_owned()));
    assert_eq!(scene.stage.discord.said_by_webhook(scene.general).len(), 2);
}

#[tokio::test]
async fn lines_take_as_many_messages_as_they_need() {
    let scene = Scene::new().await;
    let discord = &scene.stage.discord;
    let whole = || {
        let shown = discord.said_by_webhook(scene.general);
        shown.iter().map(|message| message.content().to_owned()).collect::<Vec<_>>()
    };
    scene.stage.script.then([Step::Say(long(2_800))]);
    discord.post(scene.general, scene.alice, format!("{} hello", discord.mention_bot()));
    let second = scene.shown(|message| has(message, "Regenerate")).await;
    scene.stage.idle().await;
    let first = discord.said_by_webhook(scene.general).remove(0);
    assert_eq!(scene.edited(second.id, "Short.").await.content(), lines(Lines::Edited));
    let short = scene.shown(|message| message.content() == "Short." && has(message, "Continue")).await;
    assert_eq!((short.id, whole().len()), (first.id, 1));
    assert_eq!(scene.turn().await.parts.len(), 1);
    // More than a form takes comes and goes in a file.
    let story = long(6_000);
    let told = scene.edited_by_file(&short.id.to_string(), story.as_bytes()).await;
    assert_eq!(told.content(), lines(Lines::Edited));
    assert_eq!(whole().join(" "), story);
    let last = scene.shown(|message| has(message, "Continue")).await;
    assert_ne!(last.id, first.id);
    let turn = scene.turn().await;
    assert_eq!((turn.shown().text == story, turn.parts.len()), (true, whole().len()));
    let by_file = scene.told(last.id, scene.alice, EDIT).await;
    let message = mummer::chat::MessageId(last.id.0);
    assert_eq!((by_file.content(), given_back(&by_file)), (lines(Lines::ByFile(message)).as_str(), &*story));
    // An older one is written over where it stands.
    let before: Vec<MessageId> =
        discord.said_by_webhook(scene.general).iter().map(|message| message.id).collect();
    scene.answered("Two.").await;
    let other = story.replace("sentence", "phrase");
    let link = format!("https://discord.com/channels/{}/{}/{}", discord.guild_id(), scene.general, last.id);
    assert_eq!(scene.edited_by_file(&link, other.as_bytes()).await.content(), lines(Lines::Edited));
    let shown = whole();
    assert_eq!(shown[..shown.len() - 1].join(" "), other);
    let there: Vec<MessageId> =
        discord.said_by_webhook(scene.general).iter().map(|message| message.id).collect();
    assert!(there.iter().filter(|message| before.contains(message)).count() + 1 == there.len());
    assert_eq!(scene.said().await[1], other);
}

#[tokio::test]
async fn what_is_no_line_is_refused() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    let refused = |told: Message| told.content().to_owned();
    let id = said.id.to_string();
    assert_eq!(refused(scene.edited_by_file(&id, b"\xff\xfe").await), lines(Lines::NoText));
    assert_eq!(refused(scene.edited_by_file(&id, b" \n").await), Text::NothingSaid.to_string());
    let endless = "x".repeat(LINE_MAX + 1);
    let told = refused(scene.edited_by_file(&id, endless.as_bytes()).await);
    assert_eq!(told, lines(Lines::TooLong(LINE_MAX + 1, LINE_MAX)));
    for elsewhere in ["what?", "https://discord.com/channels/1/2/3"] {
        assert_eq!(refused(scene.edited_by_file(elsewhere, b"Uno.").await), lines(Lines::NoMessage));
    }
    assert_eq!(refused(scene.edited_by_file("7", b"Uno.").await), lines(Lines::NoLine));
    let told = scene.edited(said.id, " \u{200b} ").await;
    assert_eq!(told.content(), with_draft(&Text::NothingSaid));
    assert_eq!(scene.content(&said), "One.");
}

#[tokio::test]
async fn lines_are_changed_by_those_whose_they_are() {
    let scene = Scene::new().await;
    let (trigger, said) = scene.answered("One.").await;
    let discord = &scene.stage.discord;
    let (mallory, judge) = (discord.member("Mallory"), discord.member("Judge"));
    let notice = discord.post(scene.general, mallory, "by the way");
    for (message, user, expected) in [
        (said.id, mallory, Lines::NotTheirs),
        (trigger, mallory, Lines::OthersWords),
        (trigger, scene.alice, Lines::Own),
        (notice, scene.alice, Lines::NoLine),
    ] {
        assert_eq!(scene.told(message, user, EDIT).await.content(), lines(expected));
    }
    // Whoever may change it when the form is opened may not when it is sent.
    discord.empower(judge, Permissions::MANAGE_MESSAGES);
    let form = scene.form(said.id, judge).await.with("text", "Uno.");
    discord.empower(judge, Permissions::empty());
    let told = scene.sent(&form, judge).await;
    assert_eq!(told.content(), with_draft(&Text::from(Lines::NotTheirs)));
    for forged in ["edit-line", "edit-line:x:1", "edit-line:1"] {
        let form = Form { custom_id: forged.to_owned(), ..form.clone() };
        assert_eq!(scene.sent(&form, scene.alice).await.content(), Text::Misunderstood.to_string());
    }
    // The form of one channel is not for another.
    let aside = discord.channel("aside");
    let elsewhere = discord.answer_to(discord.submit(aside, scene.alice, &form)).await;
    assert_eq!(elsewhere.content(), with_draft(&Text::from(Lines::NoLine)));
    assert_eq!(scene.content(&said), "One.");
    discord.empower(judge, Permissions::MANAGE_MESSAGES);
    assert_eq!(scene.sent(&form, judge).await.content(), lines(Lines::Edited));
    assert_eq!(scene.content(&said), "Uno.");
}

#[tokio::test]
async fn what_was_changed_meanwhile_is_not_changed_and_the_draft_is_given_back() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    let form = scene.form(said.id, scene.alice).await.with("text", "Uno.");
    scene.stage.script.then([Step::Say("Two.".to_owned())]);
    scene.press(&said, "Regenerate");
    scene.shown(|message| message.content() == "Two." && has(message, BACK)).await;
    scene.stage.idle().await;
    let told = scene.sent(&form, scene.alice).await;
    assert_eq!(told.content(), with_draft(&Text::from(Lines::Changed)));
    assert_eq!((given_back(&told), scene.content(&said)), ("Uno.", "Two.".to_owned()));
    // The other way is what it was, and can be changed when it is shown.
    let two = scene.shown(|message| message.content() == "Two." && has(message, BACK)).await;
    scene.press(&two, BACK);
    scene.shown(|message| message.content() == "One." && has(message, "Continue")).await;
    scene.stage.idle().await;
    assert_eq!(scene.sent(&form, scene.alice).await.content(), lines(Lines::Edited));
    let ways: Vec<String> = scene.turn().await.variants.iter().map(|way| way.text.clone()).collect();
    assert_eq!(ways, ["Uno.", "Two."]);
    // A line that is gone has no text.
    let form = scene.form(said.id, scene.alice).await.with("text", "Eins.");
    scene.stage.discord.delete(said.id);
    let gone = async {
        while scene.said().await.len() > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it goes");
    let told = scene.sent(&form, scene.alice).await;
    assert_eq!((told.content(), given_back(&told)), (&*with_draft(&Text::from(Lines::NoLine)), "Eins."));
}

#[tokio::test]
async fn what_is_blocked_is_not_written_either_and_no_link_hides_its_address() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    let discord = &scene.stage.discord;
    let admin = discord.member("Admin");
    discord.empower(admin, Permissions::MANAGE_GUILD);
    let options = [("setting", json!("blocked_phrases")), ("value", json!("bad word"))];
    let set = discord.use_command(scene.general, admin, "settings set", &options);
    discord.answer_such_that(set, |answer| answer.content().starts_with("`blocked_phrases` is")).await;
    scene.edited(said.id, "<@1> [here](https://example.com) A bad word.").await;
    let shown = scene.stage.discord.message(said.id);
    assert_eq!(shown.content(), "<@1> \\[here](https://example.com) A [\u{2026}].");
    assert!(shown.mentions.is_empty() && shown.suppresses_embeds());
    assert!(scene.turn().await.shown().text.ends_with("A [\u{2026}]."));
}

#[tokio::test]
async fn a_form_outlives_a_restart() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    let form = scene.form(said.id, scene.alice).await.with("text", "Uno.");
    let scene = scene.restarted().await;
    assert_eq!(scene.sent(&form, scene.alice).await.content(), lines(Lines::Edited));
    assert_eq!(scene.said().await, ["hello", "Uno."]);
    assert!(has(&scene.stage.discord.message(said.id), "Continue"));
}

#[tokio::test]
async fn a_line_that_a_crash_caught_in_the_middle_is_shown_as_it_is_remembered() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    let gate = scene.stage.discord.hold_next(Call::EditWebhookMessage);
    let before = scene.stage.discord.count(Call::EditWebhookMessage);
    let form = scene.form(said.id, scene.alice).await.with("text", "Uno.");
    scene.stage.discord.submit(scene.general, scene.alice, &form);
    scene.stage.discord.requested(Call::EditWebhookMessage, before + 1).await;
    let Scene { directory, store, stage, general, alice } = scene;
    let discord = stage.kill().await;
    drop(store);
    let store = open(&directory).await;
    let stage = Scene::on_stage(discord, &store).await;
    let scene = Scene { directory, store, stage, general, alice };
    scene.shown(|message| message.content() == Notice::Interrupted.to_string()).await;
    assert_eq!(
        (scene.content(&said), scene.said().await.pop()),
        ("Uno.".to_owned(), Some("Uno.".to_owned()))
    );
    drop(gate);
}

/// A reply of two messages, of which a crash catches the change of the first one; what is there when the bot is back.
async fn caught_in_the_middle(faces: bool, meanwhile: impl FnOnce(&FakeDiscord, ChannelId)) -> Scene {
    let scene = Scene::with_faces(faces).await;
    scene.stage.script.then([Step::Say(long(2_800))]);
    let discord = &scene.stage.discord;
    discord.post(scene.general, scene.alice, format!("{} hello", discord.mention_bot()));
    let last = scene.shown(|message| has(message, "Regenerate")).await;
    scene.stage.idle().await;
    let other = long(2_800).replace("sentence", "phrase");
    let form = scene.form(last.id, scene.alice).await.with("text", &other);
    let edits = if faces { Call::EditWebhookMessage } else { Call::EditMessage };
    let before = discord.count(edits);
    // It never arrives.
    discord.fail_next(1, edits, Failure::Slow(Duration::from_mins(10)));
    discord.submit(scene.general, scene.alice, &form);
    discord.requested(edits, before + 1).await;
    let Scene { directory, store, stage, general, alice } = scene;
    let discord = stage.kill().await;
    meanwhile(&discord, general);
    drop(store);
    let store = open(&directory).await;
    let stage = Scene::on_stage(discord, &store).await;
    stage
        .discord
        .until("the bot to say something", |state| {
            state.world.shown(general).any(|message| notice::is_notice(message.content()))
        })
        .await;
    stage.idle().await;
    let scene = Scene { directory, store, stage, general, alice };
    let conversation = on_disk(&scene.store, general).await.expect("it is there");
    compare(&scene.stage.discord, general, &conversation);
    scene
}

#[tokio::test]
async fn a_line_of_several_messages_that_a_crash_caught_is_shown_as_it_is_remembered() {
    for faces in [true, false] {
        let scene = caught_in_the_middle(faces, |_, _| ()).await;
        let said = scene.turn().await.shown().text.clone();
        assert!(said.starts_with("A phrase") && said.ends_with("this line long."), "{said}");
    }
}

#[tokio::test]
async fn a_line_that_a_crash_caught_and_nobody_can_change_is_remembered_as_it_is_shown() {
    let scene = caught_in_the_middle(true, FakeDiscord::delete_webhooks).await;
    assert_eq!(scene.turn().await.shown().text, long(2_800));
}

#[tokio::test]
async fn a_way_that_a_crash_caught_and_nobody_can_show_is_not_remembered_as_shown() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    scene.stage.script.then([Step::Say("Two.".to_owned())]);
    scene.press(&said, "Regenerate");
    let two = scene.shown(|message| message.content() == "Two." && has(message, BACK)).await;
    scene.stage.idle().await;
    let before = scene.stage.discord.count(Call::EditWebhookMessage);
    let never = Failure::Slow(Duration::from_mins(10));
    scene.stage.discord.fail_next(1, Call::EditWebhookMessage, never);
    scene.press(&two, BACK);
    scene.stage.discord.requested(Call::EditWebhookMessage, before + 1).await;
    let Scene { directory, store, stage, general, alice } = scene;
    let discord = stage.kill().await;
    discord.delete_webhooks(general);
    drop(store);
    let store = open(&directory).await;
    let stage = Scene::on_stage(discord, &store).await;
    let scene = Scene { directory, store, stage, general, alice };
    scene.shown(|message| message.content() == Notice::Unchangeable.to_string()).await;
    assert_eq!(scene.turn().await.shown().text, "Two.");
}

#[tokio::test]
async fn a_line_that_can_be_changed_no_more_stays_as_it_is() {
    let scene = Scene::new().await;
    let (_, said) = scene.answered("One.").await;
    scene.stage.discord.delete_webhooks(scene.general);
    let told = scene.edited(said.id, "Uno.").await;
    assert_eq!(told.content(), with_draft(&Text::from(Lines::Unchangeable)));
    assert_eq!(given_back(&told), "Uno.");
    assert_eq!(
        (scene.content(&said), scene.said().await.pop()),
        ("One.".to_owned(), Some("One.".to_owned()))
    );
}

#[tokio::test]
async fn members_change_what_they_have_said_through_the_bot() {
    let scene = Scene::new().await;
    let discord = &scene.stage.discord;
    let said = discord.use_command(scene.general, scene.alice, "say", &[("text", json!("I keep herons"))]);
    let shown = discord.answer_to(said).await;
    scene.shown(|message| has(message, "Continue")).await;
    scene.stage.idle().await;
    let judge = discord.member("Judge");
    discord.empower(judge, Permissions::MANAGE_MESSAGES);
    let told = scene.told(shown.id, judge, EDIT).await;
    assert_eq!(told.content(), lines(Lines::OthersWords), "nobody speaks for another one");
    let form = scene.form(shown.id, scene.alice).await;
    assert_eq!(form.field("text"), Some("I keep herons"));
    let told = scene.sent(&form.with("text", "I keep\nbees"), scene.alice).await;
    assert_eq!(told.content(), lines(Lines::Edited));
    let now = discord.message(shown.id);
    assert_eq!((now.content(), now.mentions.len()), ("**Alice:** I keep bees", 0));
    assert_eq!(scene.said().await[0], "I keep bees");
    let told = scene.edited(shown.id, &"x".repeat(1_994)).await;
    assert!(told.content().starts_with("That has 2005 characters"), "{}", told.content());
}

#[tokio::test]
async fn members_change_what_they_have_told_in_a_scene() {
    let scene = Scene::new().await;
    let discord = &scene.stage.discord;
    scene.opened().await;
    let text = [("text", json!("It rains."))];
    let told = discord.use_command(scene.general, scene.alice, "roleplay narrate", &text);
    let told = discord.answer_to(told).await;
    assert_eq!(told.content(), "*It rains.*");
    // It is remembered a moment after it is shown.
    let remembered = async {
        while scene.said().await.last().map(String::as_str) != Some("It rains.") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, remembered).await.expect("it comes to that");
    assert_eq!(scene.edited(told.id, "It pours.").await.content(), lines(Lines::Edited));
    assert_eq!(scene.content(&told), "*It pours.*");
    discord.caught_up().await;
    assert_eq!(scene.said().await.last().map(String::as_str), Some("It pours."));
}

#[tokio::test]
async fn a_line_of_which_some_messages_are_changed_says_so() {
    let scene = Scene::new().await;
    let discord = &scene.stage.discord;
    scene.stage.script.then([Step::Say(long(2_800))]);
    discord.post(scene.general, scene.alice, format!("{} hello", discord.mention_bot()));
    let last = scene.shown(|message| has(message, "Regenerate")).await;
    scene.stage.idle().await;
    discord.fail_next(1, Call::EditWebhookMessage, Failure::Refused { status: 403, code: 50_013 });
    let told = scene.edited(last.id, "Short.").await;
    assert_eq!(told.content(), with_draft(&Text::from(Lines::HalfEdited)));
    let shown = discord.said_by_webhook(scene.general);
    assert_eq!(shown.len(), 1, "what was too much is gone");
    assert_eq!(scene.said().await[1], shown[0].content(), "what is shown is remembered");
}

#[tokio::test]
async fn more_than_was_asked_about_is_not_forgotten() {
    let scene = Scene::new().await;
    let (_, first) = scene.answered("One.").await;
    let question = scene.told(first.id, scene.alice, FORGET).await;
    scene.answered("Two.").await;
    assert_eq!(scene.confirmed(&question, scene.alice).await, lines(Lines::MoreSince));
    assert_eq!(scene.said().await.len(), 4);
    let told = scene.forgotten(first.id, scene.alice).await;
    assert!(told.starts_with("I have forgotten 3 lines."), "{told}");
}

#[tokio::test]
async fn whoever_has_opened_a_scene_has_nobody_elses_messages_deleted() {
    let scene = Scene::new().await;
    let discord = &scene.stage.discord;
    discord.allow(scene.general, Whom::Member(discord.bot_id()), Permissions::MANAGE_MESSAGES);
    discord.caught_up().await;
    scene.opened().await;
    let ask = |user, reply: &str| {
        scene.stage.script.then([Step::Say(reply.to_owned())]);
        discord.post(scene.general, user, format!("{} well?", discord.mention_bot()))
    };
    let hers = ask(scene.alice, "One.");
    scene.shown(|message| message.content() == "One." && has(message, "Continue")).await;
    scene.stage.idle().await;
    let bobs = ask(discord.member("Bob"), "Two.");
    scene.shown(|message| message.content() == "Two." && has(message, "Continue")).await;
    scene.stage.idle().await;
    let told = scene.forgotten(hers, scene.alice).await;
    assert_eq!(told, lines(Lines::Forgotten { lines: 4, left: 1 }));
    let is_deleted = |message| discord.message(message).deleted.is_some();
    assert!(is_deleted(hers) && !is_deleted(bobs));
}

#[tokio::test]
async fn everything_from_a_line_on_is_forgotten_and_deleted() {
    for moderates in [false, true] {
        let scene = Scene::new().await;
        let discord = &scene.stage.discord;
        if moderates {
            let bot = Whom::Member(discord.bot_id());
            discord.allow(scene.general, bot, Permissions::MANAGE_MESSAGES);
            discord.caught_up().await;
        }
        let (_, first) = scene.answered("One.").await;
        let (asked, _) = scene.answered("Two.").await;
        let question = scene.told(first.id, scene.alice, FORGET).await;
        assert_eq!(
            (question.content(), question.only_for),
            (&*lines(Lines::MayForget(3)), Some(scene.alice))
        );
        let cancelled = discord.press(question.id, scene.alice, Label::Cancel.words());
        discord.answer_such_that(cancelled, |told| told.content() == Text::Cancelled.to_string()).await;
        assert_eq!(scene.said().await.len(), 4);
        let left = usize::from(!moderates);
        let told = scene.forgotten(first.id, scene.alice).await;
        assert_eq!(told, lines(Lines::Forgotten { lines: 3, left }));
        // Where the bot may, they go at once.
        let calls = [Call::DeleteMessages, Call::DeleteMessage, Call::DeleteWebhookMessage];
        let calls = calls.map(|call| discord.count(call));
        assert_eq!(calls, if moderates { [1, 0, 0] } else { [0, 0, 2] });
        assert_eq!(discord.said_by_webhook(scene.general).len(), 0);
        assert_eq!(discord.message(asked).deleted.is_some(), moderates);
        assert_eq!(scene.said().await, ["hello"]);
        let told = scene.told(first.id, scene.alice, FORGET).await;
        assert_eq!(told.content(), lines(Lines::NoLine), "what is not remembered is older, or gone");
        scene.answered("Three.").await;
        assert!(!scene.stage.prompt(2).contains("One."), "{}", scene.stage.prompt(2));
    }
}

#[tokio::test]
async fn what_others_have_said_is_forgotten_by_those_who_may_manage_messages() {
    let scene = Scene::new().await;
    let (_, first) = scene.answered("One.").await;
    let discord = &scene.stage.discord;
    let (bob, judge) = (discord.member("Bob"), discord.member("Judge"));
    let question = scene.told(first.id, scene.alice, FORGET).await;
    scene.stage.script.then([Step::Say("Two.".to_owned())]);
    discord.post(scene.general, bob, format!("{} me too", discord.mention_bot()));
    scene.shown(|message| message.content() == "Two." && has(message, "Continue")).await;
    scene.stage.idle().await;
    let others = lines(Lines::OthersToo);
    assert_eq!(scene.confirmed(&question, scene.alice).await, others, "it is asked anew");
    for user in [scene.alice, bob] {
        assert_eq!(scene.told(first.id, user, FORGET).await.content(), others);
    }
    discord.empower(judge, Permissions::MANAGE_MESSAGES);
    let question = scene.told(first.id, judge, FORGET).await;
    let press = discord.press(question.id, bob, Label::ForgetLines.words());
    assert_eq!(discord.answer_to(press).await.content(), Text::NotYours.to_string());
    discord.empower(judge, Permissions::empty());
    assert_eq!(scene.confirmed(&question, judge).await, others, "and who may");
    assert_eq!(scene.said().await.len(), 4);
    discord.empower(judge, Permissions::MANAGE_MESSAGES);
    assert_eq!(scene.forgotten(first.id, judge).await, lines(Lines::Forgotten { lines: 3, left: 1 }));
    assert_eq!(scene.said().await, ["hello"]);
    // The greeting, or what was said first, goes as well.
    let (_, again) = scene.answered("Three.").await;
    let conversation = on_disk(&scene.store, scene.general).await.expect("it is there");
    let very_first = MessageId(conversation.turns()[0].parts[0].message.0);
    assert_eq!(scene.forgotten(very_first, scene.alice).await, lines(Lines::Forgotten { lines: 3, left: 2 }));
    assert!(discord.message(again.id).deleted.is_some());
    assert!(scene.said().await.is_empty());
}

#[tokio::test]
async fn what_is_being_said_stops_before_it_is_forgotten() {
    let scene = Scene::new().await;
    let (_, first) = scene.answered("One.").await;
    let discord = &scene.stage.discord;
    scene.stage.script.then([Step::Say("I could go on".to_owned()), Step::Hold(Arc::new(Semaphore::new(0)))]);
    discord.post(scene.general, scene.alice, format!("{} go on", discord.mention_bot()));
    scene.shown(|message| message.content() == "I could go on").await;
    assert_eq!(scene.forgotten(first.id, scene.alice).await, lines(Lines::Forgotten { lines: 3, left: 1 }));
    assert_eq!(scene.said().await, ["hello"]);
    assert_eq!(discord.said_by_webhook(scene.general).len(), 0);
    assert_eq!(scene.stage.script.cancelled(), 1);
}

#[tokio::test]
async fn in_direct_messages_lines_are_changed_and_forgotten_too() {
    let scene = Scene::new().await;
    let discord: &FakeDiscord = &scene.stage.discord;
    let direct = discord.direct(scene.alice);
    scene.stage.script.then([Step::Say("One.".to_owned())]);
    discord.post(direct, scene.alice, "hello");
    let said = discord
        .wait_for("a reply", |state| {
            state.world.said_by_bot(direct).find(|said| has(said, "Continue")).cloned()
        })
        .await;
    scene.stage.idle().await;
    let form = scene.form(said.id, scene.alice).await.with("text", "Uno.");
    let told = discord.answer_to(discord.submit(direct, scene.alice, &form)).await;
    assert_eq!((told.content(), scene.content(&said)), (&*lines(Lines::Edited), "Uno.".to_owned()));
    assert_eq!(scene.forgotten(said.id, scene.alice).await, lines(Lines::Forgotten { lines: 1, left: 0 }));
    let conversation = on_disk(&scene.store, direct).await.expect("it is there");
    let kinds: Vec<TurnKind> = conversation.turns().iter().map(|turn| turn.kind).collect();
    assert_eq!(kinds, [TurnKind::Member]);
}
