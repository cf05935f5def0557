//! Slash commands and buttons, as members use them.

use std::sync::Arc;

use mummer::chat::history::{TurnKind, TurnState};
use mummer::chat::notice::Notice;
use mummer::chat::text::{Editing, Label, Recall, Text};
use mummer::generation::scripted::Step;
use mummer::store::Store;
use serde_json::{Value, json};
use serenity::model::Permissions;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::discord::{Call, ChannelId, Failure, FakeDiscord, Message, UserId};
use crate::memory::{on_disk, on_stage, open, restarted, settled};
use crate::stage::{Setting, Stage};

/// Message flag: only whoever used the command sees it.
const EPHEMERAL: u64 = 1 << 6;

async fn began() -> (TempDir, Store, Stage) {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let stage = on_stage(FakeDiscord::start().await, &store).await;
    (directory, store, stage)
}

/// Uses a command that has no options and returns the answer.
async fn answer(stage: &Stage, channel: ChannelId, user: UserId, command: &str) -> Message {
    stage.discord.answer_to(stage.discord.use_command(channel, user, command, &[])).await
}

/// Presses a button and returns the message under which it stood, once it says something final.
async fn pressed(stage: &Stage, under: &Message, user: UserId, label: Label) -> String {
    let press = stage.discord.press(under.id, user, label.words());
    let working = Text::Working.to_string();
    let answer = stage.discord.answer_such_that(press, |message| message.content() != working).await;
    assert!(answer.components.is_empty(), "a button is pressed once");
    answer.content().to_owned()
}

/// Somebody says something to the bot, which answers.
async fn talk(stage: &Stage, store: &Store, channel: ChannelId, user: UserId, text: &str) {
    let trigger = stage.discord.post(channel, user, format!("{} {text}", stage.discord.mention_bot()));
    stage.discord.reply_to(trigger).await;
    settled(store, channel).await;
    stage.idle().await;
}

fn is_whispered(message: &Message) -> bool {
    message.flags & EPHEMERAL != 0
}

/// The names of all commands that can be used.
fn names(commands: &[Value]) -> Vec<String> {
    let mut names = Vec::new();
    for command in commands.iter().filter(|command| command["type"] != 3) {
        let name = command["name"].as_str().expect("a name").to_owned();
        let options = command["options"].as_array().cloned().unwrap_or_default();
        let under: Vec<Value> =
            options.into_iter().filter(|option| option["type"] == 1 || option["type"] == 2).collect();
        if under.is_empty() {
            names.push(name);
        } else {
            names.extend(self::names(&under).into_iter().map(|under| format!("{name} {under}")));
        }
    }
    names
}

#[tokio::test]
async fn the_documentation_has_every_command_that_is_registered_and_help_too() {
    let stage = Stage::new().await;
    let registered = names(&stage.discord.registered().await);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md"));
    let page = page.expect("the page is there");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `/")?.split('`').next());
    let documented: Vec<String> = rows
        .map(|row| {
            let words = row.split(' ').take_while(|word| !word.starts_with(['[', '<']));
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert_eq!(documented, registered);
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let help = answer(&stage, general, alice, "help").await;
    assert!(is_whispered(&help));
    for name in registered {
        let (first, rest) = name.split_once(' ').unwrap_or((&name, ""));
        let line = help.content().lines().find(|line| line.starts_with(&format!("`/{first}")));
        let listed = line.and_then(|line| line.trim_start_matches('`').split('`').next()).unwrap_or_default();
        let mut under = listed.strip_prefix(&format!("/{first}")).unwrap_or_default().trim().split(" | ");
        assert!(under.any(|under| under == rest), "{name} in {}", help.content());
    }
}

#[tokio::test]
async fn dice_are_rolled_for_all_to_see() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let roll = |dice: &str| stage.discord.use_command(general, alice, "roll", &[("dice", json!(dice))]);
    let rolled = stage.discord.answer_to(roll("3d1 + 2")).await;
    assert_eq!(rolled.content(), "Alice rolls 3d1+2: 1 + 1 + 1 + 2 = **5**");
    assert!(!is_whispered(&rolled));
    let refused = stage.discord.answer_to(roll("two dice")).await;
    assert_eq!(refused.content(), Text::NoDice.to_string());
    assert!(is_whispered(&refused));
}

#[tokio::test]
async fn members_see_and_get_what_is_kept_of_them() {
    let (_directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    talk(&stage, &store, general, alice, "I keep herons").await;
    let kept = answer(&stage, general, alice, "privacy show").await;
    assert!(is_whispered(&kept));
    let expected = "I keep 1 message of yours, 1 reply to you, and 1 note of when you asked something";
    assert!(kept.content().contains(expected), "{}", kept.content());
    let export = answer(&stage, general, alice, "privacy export").await;
    assert!(is_whispered(&export) && export.content() == Text::Exported.to_string());
    let file: Value = serde_json::from_slice(&export.files[0].bytes).expect("it is JSON");
    assert_eq!(file["messages"][0]["text"], "I keep herons");
}

#[tokio::test]
async fn members_are_forgotten_when_they_say_so_twice() {
    let (_directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    talk(&stage, &store, general, alice, "I keep herons").await;
    let asked = answer(&stage, general, alice, "privacy forget-me").await;
    assert!(is_whispered(&asked) && asked.content() == Text::MayForget.to_string());
    assert_eq!(pressed(&stage, &asked, alice, Label::Cancel).await, Text::Cancelled.to_string());
    assert!(on_disk(&store, general).await.is_some_and(|conversation| !conversation.turns().is_empty()));
    let asked = answer(&stage, general, alice, "privacy forget-me").await;
    assert_eq!(pressed(&stage, &asked, alice, Label::Forget).await, Text::Forgotten.to_string());
    let kept = on_disk(&store, general).await;
    assert!(kept.is_none_or(|conversation| conversation.turns().is_empty()));
}

#[tokio::test]
async fn members_decide_whether_they_are_read() {
    let (_directory, _store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let mention = || stage.discord.post(general, alice, format!("{} hello", stage.discord.mention_bot()));
    let asked = answer(&stage, general, alice, "privacy opt-out").await;
    assert_eq!(pressed(&stage, &asked, alice, Label::OptOut).await, Text::OptedOut.to_string());
    assert_eq!(stage.discord.reply_to(mention()).await.content(), Notice::OptedOut.to_string());
    // What they say through the bot is not shown either.
    let said = stage.discord.use_command(general, alice, "say", &[("text", json!("hello"))]);
    assert_eq!(stage.discord.answer_to(said).await.content(), Text::NotRead.to_string());
    let kept = answer(&stage, general, alice, "privacy show").await;
    assert!(kept.content().contains("I do not read what you write."), "{}", kept.content());
    let back = answer(&stage, general, alice, "privacy opt-in").await;
    assert_eq!(back.content(), Text::OptedIn.to_string());
    stage.script.then_say("Hello again.");
    assert_eq!(stage.discord.reply_to(mention()).await.content(), "Hello again.");
}

#[tokio::test]
async fn buttons_are_for_those_who_asked_and_of_this_bot() {
    let (_directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let mallory = stage.discord.member("Mallory");
    talk(&stage, &store, general, alice, "I keep herons").await;
    let asked = answer(&stage, general, alice, "privacy forget-me").await;
    let theirs = stage.discord.press(asked.id, mallory, Label::Forget.words());
    let refused = stage.discord.answer_to(theirs).await;
    assert!(is_whispered(&refused) && refused.content() == Text::NotYours.to_string());
    for forged in ["", "forget", "forget:x", &format!("delete:{mallory}"), "ask:1:2"] {
        let press = stage.discord.press_id(asked.id, mallory, forged);
        assert_eq!(stage.discord.answer_to(press).await.content(), Text::Stale.to_string(), "{forged}");
    }
    assert_eq!(on_disk(&store, general).await.expect("it is there").turns().len(), 2);
}

#[tokio::test]
async fn buttons_work_after_a_restart() {
    let (directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    talk(&stage, &store, general, alice, "I keep herons").await;
    let asked = answer(&stage, general, alice, "reset").await;
    let (stage, store) = restarted(stage, store, &directory).await;
    assert_eq!(pressed(&stage, &asked, alice, Label::Reset).await, Text::Reset.to_string());
    assert!(on_disk(&store, general).await.is_none());
}

#[tokio::test]
async fn a_conversation_begins_anew_when_whoever_spoke_in_it_wants_it() {
    let (_directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    talk(&stage, &store, general, alice, "I keep herons").await;
    let asked = answer(&stage, general, alice, "reset").await;
    assert!(is_whispered(&asked) && asked.content() == Text::MayReset.to_string());
    assert_eq!(pressed(&stage, &asked, alice, Label::Reset).await, Text::Reset.to_string());
    assert!(on_disk(&store, general).await.is_none());
    talk(&stage, &store, general, alice, "what do I keep?").await;
    assert!(!stage.prompt(1).contains("herons"), "{}", stage.prompt(1));

    // Bob joins in, and then it is not hers alone.
    let asked = answer(&stage, general, alice, "reset").await;
    let bob = stage.discord.member("Bob");
    talk(&stage, &store, general, bob, "I keep bees").await;
    assert_eq!(pressed(&stage, &asked, alice, Label::Reset).await, Text::OthersHaveSpoken.to_string());
    let refused = answer(&stage, general, alice, "reset").await;
    assert!(is_whispered(&refused) && refused.content() == Text::OthersHaveSpoken.to_string());
    assert_eq!(on_disk(&store, general).await.expect("it is there").turns().len(), 4);
    stage.discord.empower(bob, Permissions::MANAGE_MESSAGES);
    let asked = answer(&stage, general, bob, "reset").await;
    // Whoever may not any more when the button is pressed may not.
    stage.discord.empower(bob, Permissions::empty());
    assert_eq!(pressed(&stage, &asked, bob, Label::Reset).await, Text::OthersHaveSpoken.to_string());
    stage.discord.empower(bob, Permissions::MANAGE_MESSAGES);
    let asked = answer(&stage, general, bob, "reset").await;
    assert_eq!(pressed(&stage, &asked, bob, Label::Reset).await, Text::Reset.to_string());
    assert!(on_disk(&store, general).await.is_none());
}

#[tokio::test]
async fn a_message_that_was_answered_before_the_reset_is_not_answered_again() {
    let (directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    talk(&stage, &store, general, alice, "I keep herons").await;
    let asked = answer(&stage, general, alice, "reset").await;
    pressed(&stage, &asked, alice, Label::Reset).await;
    // Everything is read again that was missed.
    let (stage, store) = restarted(stage, store, &directory).await;
    talk(&stage, &store, general, alice, "anything new?").await;
    assert_eq!(stage.script.prompts().len(), 1);
    assert!(!stage.prompt(0).contains("herons"), "{}", stage.prompt(0));
}

#[tokio::test]
async fn an_answer_that_is_stopped_stays_as_it_is_and_the_conversation_goes_on() {
    let (_directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let nothing = answer(&stage, general, alice, "stop").await;
    assert_eq!(nothing.content(), Text::Stopped(0).to_string());
    let never = Arc::new(Semaphore::new(0));
    stage.script.then([Step::Say("Once upon a time".to_owned()), Step::Hold(never)]);
    let trigger = stage.discord.post(general, alice, format!("{} a tale", stage.discord.mention_bot()));
    let reply = stage.discord.reply_such_that(trigger, |reply| reply.content() == "Once upon a time").await;
    let stopped = answer(&stage, general, alice, "stop").await;
    assert!(is_whispered(&stopped) && stopped.content() == Text::Stopped(1).to_string());
    stage.idle().await;
    let conversation = on_disk(&store, general).await.expect("it is there");
    let turns: Vec<_> = conversation.turns().iter().map(|turn| (turn.kind, turn.state)).collect();
    let expected = [(TurnKind::Member, TurnState::Complete), (TurnKind::Persona, TurnState::Interrupted)];
    assert_eq!(turns, expected, "what was asked is remembered too");
    assert_eq!(conversation.turns()[1].shown().text, stage.discord.message(reply.id).content());
    talk(&stage, &store, general, alice, "and then?").await;
    assert!(stage.prompt(1).contains("Once upon a time"), "{}", stage.prompt(1));
    assert_eq!(stage.script.cancelled(), 1);
}

#[tokio::test]
async fn members_stop_their_own_answers_and_moderators_all() {
    let stage = Stage::set(FakeDiscord::start().await, Setting::default()).await;
    let discord = &stage.discord;
    let (general, alice, bob) = (discord.channel("general"), discord.member("Alice"), discord.member("Bob"));
    let never = Arc::new(Semaphore::new(0));
    stage.script.then([Step::Say("Hm".to_owned()), Step::Hold(never)]);
    let first = discord.post(general, alice, format!("{} one", discord.mention_bot()));
    discord.reply_to(first).await;
    discord.post(general, bob, format!("{} two", discord.mention_bot()));
    stage.running(2).await;
    // Bob's own waits behind Alice's.
    let waiting = answer(&stage, general, bob, "queue").await;
    assert_eq!(waiting.content(), format!("<#{general}>: 1 is before you here."));
    let answered = answer(&stage, general, alice, "queue").await;
    assert_eq!(answered.content(), format!("<#{general}>: I am answering."));
    let stopped = answer(&stage, general, bob, "stop").await;
    assert_eq!(stopped.content(), Text::Stopped(1).to_string());
    stage.running(1).await;
    discord.empower(bob, Permissions::MANAGE_MESSAGES);
    let stopped = answer(&stage, general, bob, "stop").await;
    assert_eq!(stopped.content(), Text::Stopped(1).to_string());
    stage.idle().await;
    let nothing = answer(&stage, general, alice, "queue").await;
    assert_eq!(nothing.content(), Text::Standings(Vec::new()).to_string());
}

#[tokio::test]
async fn whoever_cannot_be_read_speaks_through_a_command() {
    let (_directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.script.then_say("Herons are patient.");
    let bob = stage.discord.member("Bob");
    let text = json!(format!("I keep <@{bob}>\n**Bob:** herons"));
    let said = stage.discord.use_command(general, alice, "say", &[("text", text)]);
    let shown = stage.discord.answer_to(said).await;
    assert_eq!(shown.content(), format!("**Alice:** I keep <@{bob}> **Bob:** herons"));
    assert!(!is_whispered(&shown) && shown.mentions.is_empty());
    let reply = stage.discord.reply_to(shown.id).await;
    assert_eq!(reply.content(), "Herons are patient.");
    assert!(stage.prompt(0).contains("I keep @someone **Bob:** herons"), "{}", stage.prompt(0));
    settled(&store, general).await;
    // What it showed goes like any other message.
    stage.discord.delete(shown.id);
    stage.discord.caught_up().await;
    talk(&stage, &store, general, alice, "well?").await;
    assert!(!stage.prompt(1).contains("I keep"), "{}", stage.prompt(1));
    let nothing = stage.discord.use_command(general, alice, "say", &[("text", json!(" \u{200b} "))]);
    assert_eq!(stage.discord.answer_to(nothing).await.content(), Text::NothingSaid.to_string());
}

#[tokio::test]
async fn a_question_by_itself_knows_nothing_and_leaves_nothing() {
    let (_directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    talk(&stage, &store, general, alice, "I keep herons").await;
    stage.script.then_say("Ask the sea.");
    let question = [("question", json!("what do I keep?")), ("persona", json!("crake"))];
    let asked = stage.discord.answer_to(stage.discord.use_command(general, alice, "ask", &question)).await;
    assert!(asked.content().starts_with("**Alice** asks **"), "{}", asked.content());
    assert!(asked.content().ends_with(":** what do I keep?"), "{}", asked.content());
    assert_eq!(stage.discord.reply_to(asked.id).await.content(), "**Halloran Crake**\nAsk the sea.");
    stage.idle().await;
    let prompt = stage.prompt(1);
    assert!(prompt.contains("Crake") && !prompt.contains("herons"), "{prompt}");
    assert_eq!(stage.script.forgotten().len(), 1, "nothing that was computed for it is kept");
    talk(&stage, &store, general, alice, "well?").await;
    let prompt = stage.prompt(2);
    assert!(prompt.contains("I keep herons") && !prompt.contains("Ask the sea"), "{prompt}");
    let nobody = [("question", json!("why?")), ("persona", json!("nobody"))];
    let refused = stage.discord.answer_to(stage.discord.use_command(general, alice, "ask", &nobody)).await;
    assert_eq!(refused.content(), Text::NoPersona.to_string());
}

#[tokio::test]
async fn what_was_said_through_a_command_survives_a_restart() {
    let (directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let said = stage.discord.use_command(general, alice, "say", &[("text", json!("I keep herons"))]);
    let shown = stage.discord.answer_to(said).await;
    stage.discord.reply_to(shown.id).await;
    settled(&store, general).await;
    let (stage, store) = restarted(stage, store, &directory).await;
    talk(&stage, &store, general, alice, "what do I keep?").await;
    assert!(stage.prompt(0).contains("Alice: I keep herons"), "{}", stage.prompt(0));
}

#[tokio::test]
async fn a_reply_is_explained_and_its_lore_to_admins_alone() {
    let (directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let nothing = answer(&stage, general, alice, "why").await;
    assert_eq!(nothing.content(), Text::NoWhy.to_string());
    stage.script.then_say("Herons are patient.");
    let trigger = stage.discord.post(general, alice, format!("{} herons?", stage.discord.mention_bot()));
    let reply = stage.discord.reply_to(trigger).await;
    talk(&stage, &store, general, alice, "and bees?").await;
    let (stage, _store) = restarted(stage, store, &directory).await;
    let whole = stage.discord.use_on_message(reply.id, alice, "Why this reply?");
    let told = stage.discord.answer_to(whole).await;
    assert!(is_whispered(&told));
    for expected in ["**Hermes** said that with", "model `", "seed `", "1 tokens of reply", "read before"] {
        assert!(told.content().contains(expected), "{expected} in {}", told.content());
    }
    assert!(!told.content().contains("```") && !told.content().contains("herons?"), "{}", told.content());
    let theirs = stage.discord.use_on_message(trigger, alice, "Why this reply?");
    assert_eq!(stage.discord.answer_to(theirs).await.content(), Text::NoWhy.to_string());
    let admin = stage.discord.member("Admin");
    stage.discord.empower(admin, Permissions::MANAGE_GUILD);
    let told = answer(&stage, general, admin, "why").await;
    assert!(told.content().contains("```") && told.content().contains("description"), "{}", told.content());
}

/// Everybody who may meet the bot; the creator has made the persona `ada`, and is an ordinary member beside that.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Who {
    Member,
    Moderator,
    Creator,
    Admin,
    Alone,
}

/// What each may do in a channel in which others have spoken, or alone with the bot.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a row for each command")]
async fn everybody_may_do_what_is_theirs() {
    let (_directory, store, stage) = began().await;
    let discord = &stage.discord;
    let (general, bob) = (discord.channel("general"), discord.member("Bob"));
    let writers = discord.role("Writers");
    discord.empower(bob, Permissions::MANAGE_GUILD);
    let let_them = [("setting", json!("persona_creators")), ("value", json!(format!("<@&{writers}>")))];
    discord.answer_to(discord.use_command(general, bob, "settings set", &let_them)).await;
    talk(&stage, &store, general, bob, "I keep bees").await;
    let ada = ("persona", json!("ada"));
    let on_ada = [ada.clone()];
    let card = b"name = 'Eve'\ndescription = 'An engineer.'\n";
    let commands: &[(&str, &[(&str, Value)])] = &[
        ("ask", &[("question", json!("why?"))]),
        ("audit", &[]),
        ("help", &[]),
        ("persona list", &[]),
        ("persona show", &[("persona", json!("hermes"))]),
        ("persona use", &[("persona", json!("hermes"))]),
        ("personas create", &[]),
        ("personas edit", &on_ada),
        ("personas import", &[("file", discord.upload("eve.toml", card))]),
        ("personas export", &on_ada),
        ("personas versions", &on_ada),
        ("personas rollback", &[ada.clone(), ("version", json!(1))]),
        ("personas avatar", &on_ada),
        ("personas adult", &[ada.clone(), ("adult", json!(false))]),
        ("personas share", &[ada.clone(), ("shared", json!(false))]),
        ("personas delete", &on_ada),
        ("privacy show", &[]),
        ("privacy export", &[]),
        ("privacy forget-me", &[]),
        ("privacy opt-out", &[]),
        ("privacy opt-in", &[]),
        ("queue", &[]),
        ("reset", &[]),
        ("roleplay start", &[("persona", json!("mizzle"))]),
        ("roleplay join", &[]),
        ("roleplay leave", &[]),
        ("roleplay as", &[("name", json!("Mira"))]),
        ("roleplay scene", &[]),
        ("roleplay narrate", &[("text", json!("It rains."))]),
        ("roleplay cast add", &[("persona", json!("tallow"))]),
        ("roleplay cast remove", &[("persona", json!("tallow"))]),
        ("roleplay turn", &[]),
        ("roleplay note", &[("text", json!("Be brief."))]),
        ("roleplay pause", &[]),
        ("roleplay resume", &[]),
        ("roleplay stop", &[]),
        ("roleplay list", &[]),
        ("roleplay delete", &[("scene", json!("Mizzle"))]),
        ("roleplay memory list", &[]),
        ("roleplay memory edit", &[("memory", json!(0))]),
        ("roleplay memory delete", &[("memory", json!(0))]),
        ("roleplay edit", &[("message", json!("7")), ("file", discord.upload("line.txt", b"Uno."))]),
        ("roleplay export", &[]),
        ("roleplay import", &[("file", discord.upload("chat.jsonl", b"{}"))]),
        ("roll", &[("dice", json!("d6"))]),
        ("say", &[("text", json!("hello"))]),
        ("settings show", &[]),
        ("settings set", &[("setting", json!("retention_days")), ("value", json!("30"))]),
        ("settings reset", &[("setting", json!("retention_days"))]),
        ("stop", &[]),
        ("why", &[]),
    ];
    let covered: Vec<String> = commands.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(covered, names(&discord.registered().await), "a command that nobody has tried");
    for who in [Who::Creator, Who::Member, Who::Moderator, Who::Admin, Who::Alone] {
        let user = discord.member(&format!("{who:?}"));
        let channel = if who == Who::Alone { discord.direct(user) } else { general };
        match who {
            Who::Moderator => discord.empower(user, Permissions::MANAGE_MESSAGES),
            Who::Admin => discord.empower(user, Permissions::ADMINISTRATOR),
            Who::Creator => {
                discord.give_role(user, writers);
                let form = discord.form(discord.use_command(channel, user, "personas create", &[])).await;
                let form = form.with("name", "Ada").with("description", "An engineer.");
                discord.answer_to(discord.submit(channel, user, &form)).await;
            }
            Who::Member | Who::Alone => {}
        }
        for (command, options) in commands {
            let interaction = discord.use_command(channel, user, command, options);
            let expected = expected(who, command);
            let opens_a_form = ["personas create", "personas edit"].contains(command);
            if opens_a_form && expected.is_none() {
                discord.form(interaction).await;
                continue;
            }
            let answer = discord.answer_to(interaction).await;
            let refusals = [
                Text::OthersHaveSpoken,
                Text::NotAdmin,
                Text::ServersOnly,
                Editing::NotModerator.into(),
                Editing::NotCreator.into(),
                Editing::NoneOfYours.into(),
                Recall::NotTheirs.into(),
                Recall::Unknown.into(),
            ];
            let refused = refusals.into_iter().find(|text| answer.content() == text.to_string());
            assert_eq!(refused, expected, "{who:?} {command}: {}", answer.content());
            let of_scenes = ["start", "join", "leave", "as", "narrate", "cast add", "cast remove"];
            let of_scene = command.strip_prefix("roleplay ").is_some_and(|name| of_scenes.contains(&name));
            let for_all = of_scene || ["ask", "roll", "say"].contains(command);
            assert_eq!(is_whispered(&answer), !for_all, "{who:?} {command}: {}", answer.content());
            stage.idle().await;
        }
    }
}

/// With what a command is refused, if it is.
fn expected(who: Who, command: &str) -> Option<Text> {
    let for_admins = command == "audit" || command == "personas share" || command.starts_with("settings");
    let for_creators = ["personas create", "personas import"].contains(&command);
    let for_editors = command.starts_with("personas") && !for_creators;
    match who {
        Who::Alone if for_admins || for_creators || for_editors => Some(Text::ServersOnly),
        Who::Member | Who::Moderator | Who::Creator if for_admins => Some(Text::NotAdmin),
        Who::Member | Who::Creator if command.starts_with("roleplay memory") => {
            Some(Recall::NotTheirs.into())
        }
        _ if ["roleplay memory edit", "roleplay memory delete"].contains(&command) => {
            Some(Recall::Unknown.into())
        }
        Who::Member | Who::Creator if command == "reset" => Some(Text::OthersHaveSpoken),
        Who::Member | Who::Creator if command == "persona use" => Some(Editing::NotModerator.into()),
        Who::Member | Who::Moderator if for_creators => Some(Editing::NotCreator.into()),
        Who::Member | Who::Moderator if for_editors => Some(Editing::NoneOfYours.into()),
        _ => None,
    }
}

#[tokio::test]
async fn a_server_without_the_bot_is_refused() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let asked = answer(&stage, general, alice, "reset").await;
    stage.discord.kick_bot();
    stage.discord.caught_up().await;
    let refused = answer(&stage, general, alice, "help").await;
    assert!(is_whispered(&refused) && refused.content() == Text::NotHere.to_string());
    let press = stage.discord.press(asked.id, alice, Label::Reset.words());
    assert_eq!(stage.discord.answer_to(press).await.content(), Text::NotHere.to_string());
}

#[tokio::test]
async fn an_answer_whose_own_answer_is_lost_is_given_once() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    for failure in [Failure::AnswerLost, Failure::Status(503)] {
        stage.discord.fail_next(1, Call::Respond, failure);
        let help = answer(&stage, general, alice, "help").await;
        assert!(help.content().contains("/help"), "{}", help.content());
    }
    // The second try for the first one was told that there is an answer already.
    stage.discord.requested(Call::Respond, 4).await;
    // Nor is what comes after the promise of an answer lost.
    stage.discord.fail_next(1, Call::Respond, Failure::AnswerLost);
    let kept = answer(&stage, general, alice, "privacy show").await;
    assert_eq!(kept.content(), Text::NothingWritten.to_string());
    // What is said is said once, and answered.
    stage.discord.fail_next(1, Call::Respond, Failure::AnswerLost);
    let said = stage.discord.use_command(general, alice, "say", &[("text", json!("hello"))]);
    let shown = stage.discord.answer_to(said).await;
    stage.discord.reply_to(shown.id).await;
    assert_eq!(
        stage.discord.shown(general).iter().filter(|it| it.content() == "**Alice:** hello").count(),
        1
    );
}

#[tokio::test]
async fn what_was_said_through_a_command_is_its_authors() {
    let (_directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let bob = stage.discord.member("Bob");
    let said = stage.discord.use_command(general, alice, "say", &[("text", json!("I keep herons"))]);
    let shown = stage.discord.answer_to(said).await;
    stage.discord.reply_to(shown.id).await;
    settled(&store, general).await;
    stage.idle().await;
    let asked = answer(&stage, general, alice, "reset").await;
    pressed(&stage, &asked, alice, Label::Reset).await;
    let reply_of_bob = async |text: &str| {
        let reply = format!("{} {text}", stage.discord.mention_bot());
        let reply = stage.discord.post_reply(shown.id, bob, true, reply);
        stage.discord.reply_to(reply).await;
        settled(&store, general).await;
        stage.idle().await;
        stage.script.prompts().last().expect("there is one").render()
    };
    // What she said is not the persona's, and not remembered under its name.
    let prompt = reply_of_bob("well?").await;
    assert!(prompt.contains("Alice: I keep herons") && !prompt.contains("**Alice"), "{prompt}");
    let asked = answer(&stage, general, alice, "privacy opt-out").await;
    pressed(&stage, &asked, alice, Label::OptOut).await;
    // Nor does anybody bring it back by replying to it.
    let prompt = reply_of_bob("and now?").await;
    assert!(!prompt.contains("herons") && !prompt.contains("Alice"), "{prompt}");
}

#[tokio::test]
async fn what_was_said_through_a_command_and_waits_is_answered_after_a_restart() {
    let (directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let never = Arc::new(Semaphore::new(0));
    for _ in 0..2 {
        stage.script.then([Step::Hold(Arc::clone(&never))]);
        let busy = stage.discord.channel("busy");
        stage.discord.post(busy, alice, format!("{} hello", stage.discord.mention_bot()));
    }
    stage.script.started(2).await;
    let said = stage.discord.use_command(general, alice, "say", &[("text", json!("I keep herons"))]);
    let shown = stage.discord.answer_to(said).await;
    stage.running(3).await;
    let (stage, _store) = restarted(stage, store, &directory).await;
    let reply = stage.discord.reply_to(shown.id).await;
    assert!(reply.content().contains("I keep herons"), "{}", reply.content());
}

#[tokio::test]
async fn a_name_is_a_name_and_nothing_else() {
    let stage = Stage::new().await;
    let (general, bob) = (stage.discord.channel("general"), stage.discord.member("Bob"));
    let mallory = stage.discord.member(&format!("<@{bob}>"));
    let rolled = stage.discord.use_command(general, mallory, "roll", &[("dice", json!("1d1"))]);
    let rolled = stage.discord.answer_to(rolled).await;
    assert_eq!(rolled.content(), format!(r"\<@{bob}\> rolls 1d1: **1**"));
}

#[tokio::test]
async fn nobody_begins_anew_while_another_one_waits() {
    let stage = Stage::new().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let bob = stage.discord.member("Bob");
    let never = Arc::new(Semaphore::new(0));
    stage.script.then([Step::Hold(never)]);
    stage.discord.post(general, bob, format!("{} hello", stage.discord.mention_bot()));
    stage.script.started(1).await;
    let refused = answer(&stage, general, alice, "reset").await;
    assert_eq!(refused.content(), Text::OthersHaveSpoken.to_string());
}

#[tokio::test]
async fn whoever_asked_by_themselves_hears_that_the_answer_was_cut_off() {
    let (directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    stage.script.then([Step::Say("The sea".to_owned()), Step::Hold(Arc::new(Semaphore::new(0)))]);
    let question = [("question", json!("what do I keep?"))];
    let asked = stage.discord.answer_to(stage.discord.use_command(general, alice, "ask", &question)).await;
    stage.discord.reply_such_that(asked.id, |message| message.content() == "The sea").await;
    let discord = stage.kill().await;
    drop(store);
    let store = open(&directory).await;
    let stage = on_stage(discord, &store).await;
    let cut_off = Notice::Interrupted.to_string();
    stage.discord.reply_such_that(asked.id, |message| message.content() == cut_off).await;
    stage.idle().await;
    // Once.
    drop(store);
    let (discord, ended) = stage.close().await;
    ended.expect("it ends well");
    let store = open(&directory).await;
    let stage = on_stage(discord, &store).await;
    stage.discord.caught_up().await;
    stage.idle().await;
    assert_eq!(stage.discord.ever_replied_to(asked.id), 2);
}
