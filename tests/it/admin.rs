//! What admins decide in Discord, and what follows from it.

use mummer::chat::notice::{Notice, is_notice};
use mummer::chat::settings::{Limits, Setting};
use mummer::chat::text::Text;
use mummer::chat::{ChannelId as Ours, MemberId, Place, ServerId};
use mummer::store::Store;
use serde_json::{Value, json};
use serenity::model::Permissions;
use tempfile::TempDir;

use crate::discord::{ChannelId, FakeDiscord, Message, UserId};
use crate::memory::{on_stage, open, restarted, settled};
use crate::stage::{Setting as Scene, Stage};

async fn began() -> (TempDir, Store, Stage) {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    (directory, store, stage)
}

fn admin(stage: &Stage) -> UserId {
    let admin = stage.discord.member("Admin");
    stage.discord.empower(admin, Permissions::MANAGE_GUILD);
    admin
}

/// Sets something, in a channel or everywhere.
async fn set(stage: &Stage, user: UserId, setting: &str, value: &str, at: Option<ChannelId>) -> Message {
    let mut options = vec![("setting", json!(setting)), ("value", json!(value))];
    options.extend(at.map(|channel| ("channel", json!({ "channel": channel.0 }))));
    used(stage, user, "settings set", &options).await
}

async fn reset(stage: &Stage, user: UserId, setting: &str, at: Option<ChannelId>) -> Message {
    let mut options = vec![("setting", json!(setting))];
    options.extend(at.map(|channel| ("channel", json!({ "channel": channel.0 }))));
    used(stage, user, "settings reset", &options).await
}

/// Uses a command in a channel of its own.
async fn used(stage: &Stage, user: UserId, command: &str, options: &[(&str, Value)]) -> Message {
    let office = stage.discord.channel("office");
    stage.discord.answer_to(stage.discord.use_command(office, user, command, options)).await
}

/// Somebody speaks to the bot; returns the prompt of the answer.
async fn prompt_for(stage: &Stage, store: &Store, channel: ChannelId, user: UserId, text: &str) -> String {
    let trigger = stage.discord.post(channel, user, format!("{} {text}", stage.discord.mention_bot()));
    stage.discord.reply_to(trigger).await;
    settled(store, channel).await;
    stage.idle().await;
    stage.script.prompts().last().expect("there is one").render()
}

#[tokio::test]
async fn who_answers_is_chosen_for_the_server_and_for_channels_and_holds_at_once() {
    let (directory, store, stage) = began().await;
    let (general, aside) = (stage.discord.channel("general"), stage.discord.channel("aside"));
    let (alice, admin) = (stage.discord.member("Alice"), admin(&stage));
    let before = prompt_for(&stage, &store, general, alice, "I keep herons").await;
    assert!(before.contains("You are Hermes"), "{before}");
    let said = set(&stage, admin, "persona", "Crake", None).await;
    assert_eq!(said.content(), "`persona` is crake now in the whole server.");
    let said = set(&stage, admin, "persona", "hermes", Some(aside)).await;
    assert_eq!(said.content(), format!("`persona` is hermes now in <#{aside}> and its threads."));
    // The conversation goes on with another one in it.
    let after = prompt_for(&stage, &store, general, alice, "what do I keep?").await;
    assert!(after.contains("Crake") && after.contains("I keep herons"), "{after}");
    assert!(!after.contains("You are Hermes"), "{after}");
    let thread = stage.discord.thread(aside, "thread");
    let (stage, store) = restarted(stage, store, &directory).await;
    assert!(prompt_for(&stage, &store, thread, alice, "hello").await.contains("You are Hermes"));
    let again = prompt_for(&stage, &store, general, alice, "and now?").await;
    assert!(again.contains("Crake") && !again.contains("You are Hermes"), "{again}");
    let said = reset(&stage, admin, "persona", None).await;
    assert_eq!(said.content(), "`persona` is not set any more in the whole server.");
    assert!(prompt_for(&stage, &store, general, alice, "hello").await.contains("You are Hermes"));
}

#[tokio::test]
async fn a_channel_hears_nothing_or_answers_everything() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let scene = Scene { store: Some(store.clone()), message_content: true, ..Scene::default() };
    let stage = Stage::set(FakeDiscord::start().await, scene).await;
    let (quiet, loud) = (stage.discord.channel("quiet"), stage.discord.channel("loud"));
    let (alice, admin) = (stage.discord.member("Alice"), admin(&stage));
    set(&stage, admin, "answers", "nothing", Some(quiet)).await;
    set(&stage, admin, "answers", "everything", Some(loud)).await;
    let ignored = stage.discord.post(quiet, alice, format!("{} hello", stage.discord.mention_bot()));
    let heard = stage.discord.post(loud, alice, "just talking");
    stage.discord.reply_to(heard).await;
    stage.discord.assert_no_reply(ignored);
    // What programs write is answered nowhere.
    let program = stage.discord.other_bot("Beep");
    let beep = stage.discord.post(loud, program, "beep");
    let heard = stage.discord.post(loud, alice, "still talking");
    stage.discord.reply_to(heard).await;
    stage.discord.assert_no_reply(beep);
    reset(&stage, admin, "answers", Some(quiet)).await;
    let heard = stage.discord.post(quiet, alice, format!("{} hello", stage.discord.mention_bot()));
    stage.discord.reply_to(heard).await;
}

#[tokio::test]
async fn a_server_says_how_long_it_is_remembered() {
    let (_directory, store, stage) = began().await;
    let (alice, admin) = (stage.discord.member("Alice"), admin(&stage));
    let general = stage.discord.channel("general");
    prompt_for(&stage, &store, general, alice, "I keep herons").await;
    assert_eq!(
        set(&stage, admin, "retention_days", "7", None).await.content(),
        "`retention_days` is 7 now in the whole server."
    );
    let kept = used(&stage, alice, "privacy show", &[]).await;
    assert!(kept.content().ends_with("What is said here goes by itself after 7 days."), "{}", kept.content());
    // Something that is older, and something that is not.
    let mut conversation = crate::memory::on_disk(&store, general).await.expect("it is there");
    let old = conversation.hear(MemberId(alice.0), "Alice", "I kept herons long ago", None);
    conversation.turn_mut(old).expect("it is there").said = 1_000;
    let place =
        Place { channel: Ours(general.0), parent: None, server: Some(ServerId(stage.discord.guild_id().0)) };
    store.write(place, &conversation.take_changes()).await.expect("it is written");
    stage.assistant.keep_house().await.expect("it is done");
    let kept = crate::memory::on_disk(&store, general).await.expect("it is there");
    assert_eq!(kept.turns().iter().filter(|turn| turn.shown().text.contains("long ago")).count(), 0);
    assert_eq!(kept.turns().len(), 2);
}

#[tokio::test]
async fn servers_are_stricter_than_the_operator_and_never_less_strict() {
    let directory = tempfile::tempdir().expect("there is room");
    let limits = Limits { message_length: Some(40), ..Limits::default() };
    let scene = Scene { store: Some(open(&directory).await), limits, ..Scene::default() };
    let stage = Stage::set(FakeDiscord::start().await, scene).await;
    let (general, aside) = (stage.discord.channel("general"), stage.discord.channel("aside"));
    let admin = admin(&stage);
    set(&stage, admin, "message_length", "20", Some(general)).await;
    set(&stage, admin, "message_length", "4000", Some(aside)).await;
    set(&stage, admin, "channel_per_hour", "1", Some(general)).await;
    let ask = async |channel, text: &str| {
        let member = stage.discord.member("Somebody");
        let asked = format!("{} {text}", stage.discord.mention_bot());
        let reply = stage.discord.reply_to(stage.discord.post(channel, member, asked)).await;
        stage.idle().await;
        reply.content().to_owned()
    };
    let long = "a".repeat(30);
    assert_eq!(ask(general, &long).await, Notice::TooManyCharacters { have: 30, most: 20 }.to_string());
    assert!(!is_notice(&ask(aside, &long).await));
    let longer = "a".repeat(50);
    assert_eq!(ask(aside, &longer).await, Notice::TooManyCharacters { have: 50, most: 40 }.to_string());
    assert!(!is_notice(&ask(general, "hello").await));
    assert!(ask(general, "hello").await.contains("more than I may answer in an hour"));
    assert!(!is_notice(&ask(aside, "hello").await));
}

#[tokio::test]
async fn a_channel_that_is_gone_takes_its_settings_along() {
    let (_directory, store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    set(&stage, admin, "answers", "nothing", Some(general)).await;
    stage.discord.delete_channel(general);
    let server = ServerId(stage.discord.guild_id().0);
    let gone = async {
        while !store.settings_of(server).await.expect("they are read").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::memory::PATIENCE, gone).await.expect("they go");
}

#[tokio::test]
async fn what_cannot_hold_as_it_is_set_is_said() {
    let (_directory, _store, stage) = began().await;
    let admin = admin(&stage);
    let said = set(&stage, admin, "answers", "everything", None).await;
    assert!(said.content().contains("But I cannot read"), "{}", said.content());
}

#[tokio::test]
async fn where_everything_is_answered_whoever_speaks_to_others_is_not_disturbed() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let scene = Scene { store: Some(store.clone()), message_content: true, ..Scene::default() };
    let stage = Stage::set(FakeDiscord::start().await, scene).await;
    let (loud, alice) = (stage.discord.channel("loud"), stage.discord.member("Alice"));
    let (bob, admin) = (stage.discord.member("Bob"), admin(&stage));
    set(&stage, admin, "answers", "everything", Some(loud)).await;
    stage.assistant.opt_out(MemberId(alice.0)).await.expect("she is out");
    let hers = stage.discord.post(loud, alice, "just talking to Bob");
    let his = stage.discord.post(loud, bob, "just talking to Alice");
    stage.discord.reply_to(his).await;
    stage.discord.assert_no_reply(hers);
}

#[tokio::test]
async fn roles_are_made_admins_but_not_by_themselves() {
    let (_directory, _store, stage) = began().await;
    let (helpers, wizards) = (stage.discord.role("Helpers"), stage.discord.role("Wizards"));
    let (admin, helper) = (admin(&stage), stage.discord.member("Helper"));
    stage.discord.give_role(helper, helpers);
    let refused = set(&stage, helper, "answers", "nothing", None).await;
    assert_eq!(refused.content(), Text::NotAdmin.to_string());
    let named = set(&stage, admin, "admin_roles", &format!("<@&{helpers}>"), None).await;
    assert_eq!(named.content(), format!("`admin_roles` is <@&{helpers}> now in the whole server."));
    assert!(named.mention_roles.is_empty(), "nobody is pinged");
    let done = set(&stage, helper, "answers", "nothing", None).await;
    assert_eq!(done.content(), "`answers` is nothing now in the whole server.");
    for change in [
        set(&stage, helper, "admin_roles", &wizards.to_string(), None).await,
        reset(&stage, helper, "admin_roles", None).await,
    ] {
        assert_eq!(change.content(), Text::NotManager.to_string());
    }
    reset(&stage, admin, "admin_roles", None).await;
    let refused = set(&stage, helper, "answers", "mentions", None).await;
    assert_eq!(refused.content(), Text::NotAdmin.to_string());
}

#[tokio::test]
async fn what_makes_no_sense_is_not_set() {
    let (_directory, _store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    for (setting, value, at, told) in [
        ("colour", "red", None, Text::NoSetting),
        ("answers", "sometimes", None, Text::NoValue(Setting::Answers)),
        ("persona", "nobody", None, Text::NoValue(Setting::Persona)),
        ("retention_days", "for ever", None, Text::NoValue(Setting::RetentionDays)),
        ("admin_roles", "@everyone", None, Text::NoValue(Setting::AdminRoles)),
        ("retention_days", "7", Some(general), Text::WholeServer),
    ] {
        let refused = set(&stage, admin, setting, value, at).await;
        assert_eq!(refused.content(), told.to_string(), "{setting} {value}");
    }
    let shown = used(&stage, admin, "settings show", &[]).await;
    assert_eq!(shown.content(), Text::Settings(Vec::new()).to_string());
}

#[tokio::test]
async fn admins_see_what_is_set_and_what_was_decided_and_asked() {
    let (_directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let admin = admin(&stage);
    prompt_for(&stage, &store, general, alice, "my secret is herons").await;
    set(&stage, admin, "persona", "crake", Some(general)).await;
    set(&stage, admin, "answers", "mentions", None).await;
    reset(&stage, admin, "answers", None).await;
    let shown = used(&stage, admin, "settings show", &[]).await;
    assert_eq!(shown.content(), format!("`persona` is crake in <#{general}> and its threads."));
    let audit = used(&stage, admin, "audit", &[]).await;
    for expected in [
        format!("<@{admin}> reset answers"),
        format!("<@{admin}> set answers to mentions"),
        format!("<@{admin}> set persona to crake in <#{general}>"),
        format!("<@{alice}> in <#{general}>: answered in 0."),
    ] {
        assert!(audit.content().contains(&expected), "{expected} in {}", audit.content());
    }
    assert!(!audit.content().contains("herons") && audit.mentions.is_empty());
}

#[tokio::test]
async fn what_can_be_written_is_offered() {
    let (_directory, _store, stage) = began().await;
    let who = (stage.discord.channel("general"), admin(&stage));
    let offered = async |setting: &str, value: &str, typed_into: &str| {
        let options = [("setting", json!(setting)), ("value", json!(value))];
        stage.discord.offered(who, "settings set", &options, typed_into).await
    };
    assert_eq!(offered("answ", "", "setting").await, ["answers"]);
    assert_eq!(offered("answers", "thing", "value").await, ["everything", "nothing"]);
    assert_eq!(offered("persona", "crA", "value").await, ["crake"]);
    assert_eq!(offered("retention_days", "", "value").await, Vec::<String>::new());
    let shown = stage.discord.offered(who, "persona show", &[("persona", json!("herm"))], "persona").await;
    assert_eq!(shown, ["hermes"]);
}

#[tokio::test]
async fn personas_are_listed_and_introduced() {
    let (_directory, _store, stage) = began().await;
    let alice = stage.discord.member("Alice");
    let list = used(&stage, alice, "persona list", &[]).await;
    assert!(list.content().contains("Hermes `hermes` (answers here)"), "{}", list.content());
    assert!(list.content().contains("`crake`"), "{}", list.content());
    let shown = used(&stage, alice, "persona show", &[("persona", json!("Hermes"))]).await;
    assert_eq!(shown.content(), "**Hermes** `hermes`");
    let nobody = used(&stage, alice, "persona show", &[("persona", json!("nobody"))]).await;
    assert_eq!(nobody.content(), Text::NoPersona.to_string());
}

#[tokio::test]
async fn the_operator_says_where_anything_is_answered() {
    let directory = tempfile::tempdir().expect("there is room");
    let scene = Scene {
        store: Some(open(&directory).await),
        direct_messages: false,
        servers: [ServerId(1)].into(),
        message_content: true,
        ..Scene::default()
    };
    let stage = Stage::set(FakeDiscord::start().await, scene).await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let alone = stage.discord.direct(alice);
    for place in [general, alone] {
        let ignored = stage.discord.post(place, alice, format!("{} hello", stage.discord.mention_bot()));
        for command in ["say", "ask"] {
            let option = if command == "say" { "text" } else { "question" };
            let used = stage.discord.use_command(place, alice, command, &[(option, json!("hello"))]);
            assert_eq!(stage.discord.answer_to(used).await.content(), Text::NotAnswered.to_string());
        }
        stage.discord.assert_no_reply(ignored);
        // What is kept of them can be asked for everywhere.
        let kept =
            stage.discord.answer_to(stage.discord.use_command(place, alice, "privacy show", &[])).await;
        assert!(kept.content().contains("I keep"), "{}", kept.content());
    }
    assert_eq!(stage.script.requests().len(), 0);
}

#[tokio::test]
async fn without_a_database_nothing_can_be_set() {
    let stage = Stage::new().await;
    let admin = admin(&stage);
    let refused = set(&stage, admin, "answers", "nothing", None).await;
    assert_eq!(refused.content(), Text::NotKept.to_string());
}

#[test]
fn the_documentation_has_every_setting() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md"));
    let page = page.expect("the page is there");
    let (_, table) = page.split_once("## Settings").expect("there is a table");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.collect::<Vec<_>>(), Setting::ALL.map(Setting::name));
}
