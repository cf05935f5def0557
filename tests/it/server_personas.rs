//! Personas that are made inside Discord: who makes, changes and sees them, and where they play.

use mummer::chat::settings::{Caps, Deed, Mark, PersonaDraft};
use mummer::chat::text::{Editing, Label, Text, with_draft};
use mummer::chat::{MemberId, Place, ServerId};
use mummer::persona::import::{self, Spec};
use mummer::persona::{Card, Persona, PersonaId};
use mummer::store::Store;
use serde_json::{Value, json};
use serenity::model::Permissions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use crate::discord::{ChannelId, FakeDiscord, Form, Message, UserId};
use crate::memory::{PATIENCE, on_stage, open, restarted, settled};
use crate::stage::{Setting, Stage};

const WORKING: &str = "One moment.";

/// The forms of an export, in the order in which they are offered.
const JSON: u8 = 0;
const PNG: u8 = 1;
const TOML: u8 = 2;

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

/// Uses a command and returns the answer.
async fn used(
    stage: &Stage,
    at: ChannelId,
    user: UserId,
    command: &str,
    options: &[(&str, Value)],
) -> Message {
    stage.discord.answer_to(stage.discord.use_command(at, user, command, options)).await
}

/// The same with a persona and nothing else.
async fn used_on(stage: &Stage, at: ChannelId, user: UserId, command: &str, persona: &str) -> String {
    used(stage, at, user, command, &[("persona", json!(persona))]).await.content().to_owned()
}

/// Opens the form of a command.
async fn form(stage: &Stage, at: ChannelId, user: UserId, command: &str, options: &[(&str, Value)]) -> Form {
    stage.discord.form(stage.discord.use_command(at, user, command, options)).await
}

/// Sends a form and returns the answer.
async fn sent(stage: &Stage, at: ChannelId, user: UserId, form: &Form) -> Message {
    stage.discord.answer_to(stage.discord.submit(at, user, form)).await
}

/// Makes a persona that is not for adults.
pub(crate) async fn make(stage: &Stage, at: ChannelId, user: UserId, name: &str) -> Message {
    let form = form(stage, at, user, "personas create", &[]).await;
    let described = format!("{name} keeps the lighthouse.");
    sent(stage, at, user, &form.with("name", name).with("description", &described)).await
}

/// A form was refused like this, and what was written into it came back. Returns that.
fn assert_given_back(refused: &Message, why: &Text) -> String {
    assert_eq!(refused.content(), with_draft(why));
    String::from_utf8_lossy(&refused.files[0].bytes).into_owned()
}

/// Lets everybody make personas.
async fn open_to_all(stage: &Stage, at: ChannelId, admin: UserId) {
    let everyone = [("setting", json!("persona_creators")), ("value", json!("everyone"))];
    used(stage, at, admin, "settings set", &everyone).await;
}

/// Presses a button and returns what the message says at last.
async fn pressed(stage: &Stage, under: &Message, user: UserId, label: Label) -> String {
    let press = stage.discord.press(under.id, user, label.words());
    let answer = stage.discord.answer_such_that(press, |message| message.content() != WORKING).await;
    answer.content().to_owned()
}

/// Somebody speaks to the bot; returns the prompt of the answer.
async fn prompt_for(stage: &Stage, at: ChannelId, user: UserId) -> String {
    let trigger = stage.discord.post(at, user, format!("{} hello", stage.discord.mention_bot()));
    stage.discord.reply_to(trigger).await;
    stage.idle().await;
    stage.script.prompts().last().expect("there is one").render()
}

fn says(editing: Editing) -> String {
    Text::from(editing).to_string()
}

/// What is offered for the persona of a command.
async fn offered(stage: &Stage, at: ChannelId, user: UserId, command: &str) -> Vec<String> {
    stage.discord.offered((at, user), command, &[("persona", json!(""))], "persona").await
}

/// The lines of the audit list.
async fn decided(store: &Store, stage: &Stage) -> usize {
    store.decisions(ServerId(stage.discord.guild_id().0), 100).await.expect("they are read").len()
}

fn card(name: &str) -> Card {
    Card { name: name.to_owned(), description: format!("{name} keeps the lighthouse."), ..Card::default() }
}

fn json_card(name: &str) -> Vec<u8> {
    import::to_json(&card(name), Spec::V3).into_bytes()
}

/// Imports a file and returns the report.
async fn imported(stage: &Stage, at: ChannelId, user: UserId, name: &str, bytes: &[u8]) -> Message {
    let file = stage.discord.upload(name, bytes);
    used(stage, at, user, "personas import", &[("file", file)]).await
}

#[tokio::test]
async fn a_persona_is_made_in_a_form_plays_at_once_and_after_a_restart() {
    let (directory, store, stage) = began().await;
    let (general, alice) = (stage.discord.channel("general"), stage.discord.member("Alice"));
    let admin = admin(&stage);
    let empty = form(&stage, general, admin, "personas create", &[]).await;
    let fields: Vec<&str> = empty.fields.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["name", "description", "personality", "scenario", "greeting"]);
    let made = make(&stage, general, admin, "Ada of Hull").await;
    assert_eq!(made.content(), "**Ada of Hull** `ada-of-hull` is saved as version 1.");
    assert!(made.only_for.is_some(), "it concerns nobody else");
    let chosen = used_on(&stage, general, admin, "persona use", "Ada of Hull").await;
    assert_eq!(chosen, "I play **Ada of Hull** here from the next reply on.");
    assert!(prompt_for(&stage, general, alice).await.contains("Ada of Hull keeps the lighthouse."));
    settled(&store, general).await;
    let (stage, _store) = restarted(stage, store, &directory).await;
    assert!(prompt_for(&stage, general, alice).await.contains("Ada of Hull keeps the lighthouse."));
    let list = used(&stage, general, alice, "persona list", &[]).await;
    assert!(list.content().contains("Ada of Hull `ada-of-hull` (answers here)"), "{}", list.content());
    let audit = used(&stage, general, admin, "audit", &[]).await;
    for line in ["made the persona `ada-of-hull`", &format!("set persona to ada-of-hull in <#{general}>")] {
        assert!(audit.content().contains(line), "{line} in {}", audit.content());
    }
    // Without a name it is taken back.
    let back = used(&stage, general, admin, "persona use", &[]).await;
    assert_eq!(
        back.content(),
        "Nobody is chosen here any more. I play **Hermes** here from the next reply on."
    );
    assert!(prompt_for(&stage, general, alice).await.contains("You are Hermes"));
}

#[tokio::test]
async fn namesakes_get_numbers_and_those_that_come_with_the_bot_keep_theirs() {
    let (_directory, _store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    for (name, id) in [("Crake", "crake-2"), ("Ada", "ada"), ("Ada!", "ada-2")] {
        let made = make(&stage, general, admin, name).await;
        assert!(made.content().contains(&format!("`{id}` is saved as version 1.")), "{}", made.content());
    }
}

#[tokio::test]
async fn a_form_says_what_is_there_and_saves_what_it_says() {
    let (_directory, store, stage) = began().await;
    let (general, alice, admin) =
        (stage.discord.channel("general"), stage.discord.member("Alice"), admin(&stage));
    make(&stage, general, admin, "Ada").await;
    used_on(&stage, general, admin, "persona use", "ada").await;
    prompt_for(&stage, general, alice).await;
    let options = [("persona", json!("ada"))];
    let first = form(&stage, general, admin, "personas edit", &options).await;
    assert_eq!(first.field("description"), Some("Ada keeps the lighthouse."));
    let second = form(&stage, general, admin, "personas edit", &options).await;
    let first = first.with("description", "Ada keeps bees.").with("greeting", "Mind the bees.");
    assert_eq!(sent(&stage, general, admin, &first).await.content(), "**Ada** `ada` is saved as version 2.");
    // It plays at once, in the conversation that goes on.
    assert!(prompt_for(&stage, general, alice).await.contains("Ada keeps bees."));
    // Whoever had opened the form before is told, and keeps what they wrote.
    let lines = decided(&store, &stage).await;
    let late = sent(&stage, general, admin, &second.with("description", "Ada keeps newts.")).await;
    assert!(late.content().starts_with(&says(Editing::Changed)), "{}", late.content());
    assert!(String::from_utf8_lossy(&late.files[0].bytes).contains("Ada keeps newts."));
    assert!(prompt_for(&stage, general, alice).await.contains("Ada keeps bees."));
    assert_eq!(decided(&store, &stage).await, lines);
    let now = form(&stage, general, admin, "personas edit", &options).await;
    assert_eq!(
        (now.field("description"), now.field("greeting")),
        (Some("Ada keeps bees."), Some("Mind the bees."))
    );
}

#[tokio::test]
async fn what_the_linter_calls_an_error_is_not_saved() {
    let (_directory, store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let empty = form(&stage, general, admin, "personas create", &[]).await;
    let huge = "Ada knows words. ".repeat(235);
    for (form, expected) in [
        (empty.clone().with("name", "Discord Ada").with("description", "An engineer."), "Discord refuses"),
        (empty.clone().with("name", "Ada"), "nothing else says who it is"),
        (empty.clone().with("name", "\u{202e}Ada").with("description", "x"), "cannot be seen"),
        (
            empty
                .clone()
                .with("name", "Ada")
                .with("description", &huge)
                .with("personality", &huge)
                .with("scenario", &huge)
                .with("greeting", "Hello."),
            "shorten it",
        ),
    ] {
        let refused = sent(&stage, general, admin, &form).await;
        assert!(refused.content().contains(expected), "{expected} in {}", refused.content());
    }
    assert_eq!(decided(&store, &stage).await, 0);
    assert_eq!(offered(&stage, general, admin, "personas edit").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_text_that_is_longer_than_a_form_takes_is_not_in_it_and_stays() {
    let (_directory, _store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let long = Card { greeting: "Ahoy. ".repeat(700), ..card("Ada") };
    let report =
        imported(&stage, general, admin, "ada.json", import::to_json(&long, Spec::V3).as_bytes()).await;
    pressed(&stage, &report, admin, Label::Save).await;
    let form = form(&stage, general, admin, "personas edit", &[("persona", json!("ada"))]).await;
    assert_eq!(form.field("greeting"), None);
    // Nor does it go when somebody sends one all the same.
    let form = form.with("description", "Ada keeps bees.").with("greeting", "Hm.");
    let saved = sent(&stage, general, admin, &form).await;
    assert!(
        saved.content().contains("longer than a form takes was not in it (`greeting`)"),
        "{}",
        saved.content()
    );
    let options = [("persona", json!("ada")), ("form", json!(TOML))];
    let export = used(&stage, general, admin, "personas export", &options).await;
    let kept =
        Persona::from_toml("ada", &String::from_utf8_lossy(&export.files[0].bytes)).expect("a persona");
    assert_eq!(kept.card.greeting, long.greeting);
    assert_eq!(kept.card.description, "Ada keeps bees.");
}

#[tokio::test]
async fn a_persona_of_long_texts_has_a_form_for_its_name() {
    let directory = tempfile::tempdir().expect("there is room");
    let store = open(&directory).await;
    let setting = Setting { store: Some(store), context_length: 100_000, ..Setting::default() };
    let stage = Stage::set(FakeDiscord::start().await, setting).await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let name = "A".repeat(80);
    let long = "Ahoy. ".repeat(700);
    let card = Card {
        description: long.clone(),
        personality: long.clone(),
        scenario: long.clone(),
        greeting: long,
        ..card(&name)
    };
    let report =
        imported(&stage, general, admin, "a.json", import::to_json(&card, Spec::V3).as_bytes()).await;
    pressed(&stage, &report, admin, Label::Save).await;
    let form = form(&stage, general, admin, "personas edit", &[("persona", json!(name))]).await;
    assert_eq!(form.fields, [("name".to_owned(), name)]);
}

#[tokio::test]
async fn forged_and_foreign_forms_change_nothing() {
    let (_directory, store, stage) = began().await;
    let (general, alice, admin) =
        (stage.discord.channel("general"), stage.discord.member("Alice"), admin(&stage));
    make(&stage, general, admin, "Ada").await;
    let lines = decided(&store, &stage).await;
    let theirs = form(&stage, general, admin, "personas edit", &[("persona", json!("ada"))]).await;
    // Somebody else's form, and one that says it is theirs.
    let refused = sent(&stage, general, alice, &theirs).await;
    assert_eq!(refused.content(), Text::NotYours.to_string());
    for custom_id in [
        format!("persona-change:{alice}:1:ada"),
        format!("persona-change:{alice}:1:crake"),
        format!("persona-make:{alice}:all"),
    ] {
        let forged = Form { custom_id, ..theirs.clone() };
        assert_given_back(&sent(&stage, general, alice, &forged).await, &Editing::NotCreator.into());
    }
    for custom_id in ["", "persona-change", "forget:1"] {
        let forged = Form { custom_id: custom_id.to_owned(), ..theirs.clone() };
        let refused = sent(&stage, general, alice, &forged).await;
        assert_eq!(refused.content(), Text::Misunderstood.to_string(), "{custom_id}");
    }
    // Those who may make personas may not change those of others, nor learn what they say.
    open_to_all(&stage, general, admin).await;
    let lines = lines + 1;
    let mut forged = Form { custom_id: format!("persona-change:{alice}:1:ada"), ..theirs.clone() };
    forged.fields.retain(|(field, _)| field == "name");
    let refused = sent(&stage, general, alice, &forged).await;
    let given_back = assert_given_back(&refused, &Editing::NoneOfYours.into());
    assert!(!given_back.contains("lighthouse"), "{given_back}");
    let alone = stage.discord.direct(alice);
    let forged = Form { custom_id: format!("persona-make:{alice}:all"), ..theirs };
    assert_given_back(&sent(&stage, alone, alice, &forged).await, &Text::ServersOnly);
    // The same goes for buttons.
    let asked = used(&stage, general, admin, "personas delete", &[("persona", json!("ada"))]).await;
    for (custom_id, expected) in [
        (format!("persona-delete:{admin}:1:ada"), Text::NotYours.to_string()),
        (format!("persona-delete:{alice}:1:ada"), says(Editing::NoneOfYours)),
        (format!("persona-take-in:{alice}:eve"), Text::Stale.to_string()),
        (format!("persona-make:{alice}:all"), Text::Stale.to_string()),
    ] {
        let press = stage.discord.press_id(asked.id, alice, &custom_id);
        let answer = stage.discord.answer_such_that(press, |message| message.content() != WORKING).await;
        assert_eq!(answer.content(), expected, "{custom_id}");
    }
    assert_eq!(decided(&store, &stage).await, lines);
}

#[tokio::test]
async fn a_file_is_looked_at_first_and_saved_when_that_is_wanted() {
    let (directory, store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let odd = Card { post_history: "{{nonsense}}".to_owned(), ..card("Ada") };
    let bytes = import::to_json(&odd, Spec::V2).into_bytes();
    let report = imported(&stage, general, admin, "ada.json", &bytes).await;
    assert!(report.content().contains("**Ada** would be a new persona `ada`"), "{}", report.content());
    assert!(report.content().contains("nonsense") && report.content().ends_with("Shall I save it?"));
    assert!(report.only_for.is_some() && report.files[0].bytes == bytes);
    assert_eq!(pressed(&stage, &report, admin, Label::Cancel).await, Text::Cancelled.to_string());
    assert_eq!(decided(&store, &stage).await, 0);
    let report = imported(&stage, general, admin, "ada.json", &bytes).await;
    // It works after a restart too.
    let (stage, store) = restarted(stage, store, &directory).await;
    let saved = pressed(&stage, &report, admin, Label::Save).await;
    assert!(saved.starts_with("**Ada** `ada` is saved as version 1."), "{saved}");
    assert!(
        saved.contains("age-restricted channels only"),
        "nobody has said that it is not for adults: {saved}"
    );
    // Whoever presses twice has one.
    let twice = report.components[0]["components"][0]["custom_id"].as_str().expect("an id");
    let twice = stage.discord.press_id(report.id, admin, twice);
    let twice = stage.discord.answer_such_that(twice, |message| message.content() != WORKING).await;
    assert_eq!(twice.content(), says(Editing::Changed));
    // Nor is one made under the id of another one that comes with the bot.
    let forged = stage.discord.press_id(report.id, admin, &format!("persona-take-in:{admin}:crake"));
    let forged = stage.discord.answer_such_that(forged, |message| message.content() != WORKING).await;
    assert_eq!(forged.content(), says(Editing::Changed));
    assert_eq!(decided(&store, &stage).await, 1);
    // Over what there is it is a new version, but not when that has changed meanwhile.
    let options =
        |bytes: &[u8]| [("file", stage.discord.upload("ada.json", bytes)), ("persona", json!("ada"))];
    let other = json_card("Ada Two");
    let report = used(&stage, general, admin, "personas import", &options(&other)).await;
    assert!(report.content().contains("a new version of `ada`"), "{}", report.content());
    assert!(!report.content().contains("picture"), "{}", report.content());
    let pictured = import::to_png(&card("Ada Two"), None).expect("a picture");
    let later = used(&stage, general, admin, "personas import", &options(&pictured)).await;
    assert!(later.content().contains("Its picture would be replaced too."), "{}", later.content());
    // What was said of the text before is not said of this one.
    let harmless = [("persona", json!("ada")), ("adult", json!(false))];
    used(&stage, general, admin, "personas adult", &harmless).await;
    let saved = pressed(&stage, &report, admin, Label::Save).await;
    assert!(saved.starts_with("**Ada Two** `ada` is saved as version 2."), "{saved}");
    assert!(saved.contains("age-restricted channels only"), "{saved}");
    assert_eq!(pressed(&stage, &later, admin, Label::Save).await, says(Editing::Changed));
    assert_eq!(decided(&store, &stage).await, 3);
}

#[tokio::test]
async fn a_file_that_is_no_persona_is_refused_in_a_sentence() {
    let (_directory, store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    for (bytes, expected) in [
        (&b"hello"[..], "I cannot make a persona of that file"),
        (b"{\"name\": ", "does not parse"),
        (b"{\"x\": 1}", "neither a character card nor a lorebook"),
        (b"\x89PNG\r\n\x1a\nxx", "cut short"),
        (b"PK\x03\x04xx", "archive"),
        (b"name = 'Ada'\n", "description"),
        (b"{\"entries\": {}}", "That file is a lorebook"),
        (b"{\"name\":\"Clyde\",\"description\":\"x\"}", "So it cannot be saved"),
    ] {
        let refused = imported(&stage, general, admin, "ada.json", bytes).await;
        assert!(refused.content().contains(expected), "{expected} in {}", refused.content());
        assert!(refused.components.is_empty(), "there is nothing to save");
    }
    assert_eq!(decided(&store, &stage).await, 0);
}

#[tokio::test]
async fn files_are_fetched_from_discord_and_no_more_of_them_than_allowed() {
    let (_directory, store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let large = vec![b' '; (8 << 20) + 1];
    let too_large = says(Editing::TooLargeAFile(8 << 20));
    let try_file = async |file: Value| {
        used(&stage, general, admin, "personas import", &[("file", file)]).await.content().to_owned()
    };
    assert_eq!(try_file(stage.discord.upload("ada.json", &large)).await, too_large);
    assert_eq!(stage.discord.fetched(), 0, "what it says of its size is enough");
    // One that says that it is small.
    let mut lies = stage.discord.upload("ada.json", &large);
    lies["attachment"]["size"] = json!(10);
    assert_eq!(try_file(lies).await, too_large);
    assert_eq!(stage.discord.fetched(), 1);
    for url in
        ["https://example.com/ada.json", "http://127.0.0.1:1/ada.json", "https://cdn.discordapp.com/a", "x"]
    {
        let mut elsewhere = stage.discord.upload("ada.json", &json_card("Ada"));
        elsewhere["attachment"]["url"] = json!(url);
        assert_eq!(try_file(elsewhere).await, says(Editing::NotFromDiscord), "{url}");
    }
    assert_eq!(stage.discord.fetched(), 1);
    let mut gone = stage.discord.upload("ada.json", &json_card("Ada"));
    let url = gone["attachment"]["url"]
        .as_str()
        .expect("an address")
        .replace("/attachments/1/", "/attachments/1/9");
    gone["attachment"]["url"] = json!(url);
    assert_eq!(try_file(gone).await, says(Editing::NotFetched));
    assert_eq!(decided(&store, &stage).await, 0);
}

#[tokio::test]
async fn what_is_exported_comes_in_again_as_it_was() {
    let (_directory, _store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/cards/v3.json"));
    let Persona { card, .. } =
        Persona::from_file("v3", text.expect("it is there").as_bytes()).expect("a card").0;
    let png = import::to_png(&card, None).expect("a picture");
    let report = imported(&stage, general, admin, "v3.png", &png).await;
    pressed(&stage, &report, admin, Label::Save).await;
    let first = offered(&stage, general, admin, "personas export").await.swap_remove(0);
    let export = async |id: &str, form: u8| {
        let options = [("persona", json!(id)), ("form", json!(form))];
        let export = used(&stage, general, admin, "personas export", &options).await;
        assert!(export.only_for.is_some());
        export.files[0].clone()
    };
    let toml = export(&first, TOML).await;
    for form in [JSON, PNG, TOML] {
        let file = export(&first, form).await;
        let report = imported(&stage, general, admin, &file.name, &file.bytes).await;
        let saved = pressed(&stage, &report, admin, Label::Save).await;
        let id = saved.split('`').nth(1).expect("an id").to_owned();
        assert_ne!(id, first);
        let again = Persona::from_file("", &export(&id, TOML).await.bytes).expect("a persona").0;
        let before = Persona::from_file("", &toml.bytes).expect("a persona").0;
        assert_eq!(import::to_json(&again.card, Spec::V3), import::to_json(&before.card, Spec::V3), "{form}");
        if form == PNG {
            assert_eq!(export(&id, PNG).await.bytes, file.bytes, "with its picture");
        }
    }
}

#[tokio::test]
async fn versions_are_told_apart_and_played_again() {
    let (_directory, store, stage) = began().await;
    let (general, alice, admin) =
        (stage.discord.channel("general"), stage.discord.member("Alice"), admin(&stage));
    make(&stage, general, admin, "Ada").await;
    used_on(&stage, general, admin, "persona use", "ada").await;
    let options = [("persona", json!("ada"))];
    let edit = form(&stage, general, admin, "personas edit", &options).await;
    sent(&stage, general, admin, &edit.with("description", "Ada keeps bees.")).await;
    let told = used(&stage, general, admin, "personas versions", &options).await;
    for expected in [
        "2 (plays): <t:",
        &format!("<@{admin}>"),
        "What version 2 has changed:",
        "-description = \"Ada keeps the lighthouse.\"",
        "+description = \"Ada keeps bees.\"",
    ] {
        assert!(told.content().contains(expected), "{expected} in {}", told.content());
    }
    let of = |version: u64| [("persona", json!("ada")), ("version", json!(version))];
    let nothing = used(&stage, general, admin, "personas versions", &of(7)).await;
    assert_eq!(nothing.content(), says(Editing::NoVersion));
    let nothing = used(&stage, general, admin, "personas rollback", &of(7)).await;
    assert_eq!(nothing.content(), says(Editing::NoVersion));
    let back = used(&stage, general, admin, "personas rollback", &of(1)).await;
    assert_eq!(back.content(), "**Ada** plays in version 1 from the next reply on.");
    assert!(prompt_for(&stage, general, alice).await.contains("Ada keeps the lighthouse."));
    let told = used(&stage, general, admin, "personas versions", &options).await;
    assert!(told.content().contains("1 (plays): <t:"), "{}", told.content());
    let last = store.decisions(ServerId(stage.discord.guild_id().0), 1).await.expect("it is read");
    assert_eq!(Deed::of(&last[0]), Some(Deed::RolledBack(PersonaId("ada".to_owned()), 1)));
}

#[tokio::test]
async fn a_channel_goes_on_when_its_persona_is_deleted() {
    let (directory, store, stage) = began().await;
    let (general, alice, admin) =
        (stage.discord.channel("general"), stage.discord.member("Alice"), admin(&stage));
    make(&stage, general, admin, "Ada").await;
    used_on(&stage, general, admin, "persona use", "ada").await;
    prompt_for(&stage, general, alice).await;
    let asked = used(&stage, general, admin, "personas delete", &[("persona", json!("ada"))]).await;
    assert_eq!(
        asked.content(),
        says(Editing::MayDelete { name: "Ada".to_owned(), id: PersonaId("ada".to_owned()) })
    );
    assert_eq!(pressed(&stage, &asked, admin, Label::Cancel).await, Text::Cancelled.to_string());
    let asked = used(&stage, general, admin, "personas delete", &[("persona", json!("ada"))]).await;
    assert_eq!(pressed(&stage, &asked, admin, Label::Delete).await, "`ada` is deleted.");
    assert!(prompt_for(&stage, general, alice).await.contains("You are Hermes"));
    let list = used(&stage, general, alice, "persona list", &[]).await;
    assert!(
        list.content().starts_with("`ada` was chosen for here and cannot play here"),
        "{}",
        list.content()
    );
    assert!(list.content().contains("Hermes `hermes` (answers here)"), "{}", list.content());
    assert!(!list.content().contains("Ada `ada`"), "{}", list.content());
    // The button does nothing a second time, and a restart brings nothing back.
    let again = stage.discord.press_id(asked.id, admin, &format!("persona-delete:{admin}:1:ada"));
    let again = stage.discord.answer_such_that(again, |message| message.content() != WORKING).await;
    assert_eq!(again.content(), says(Editing::NoneOfYours));
    // Nor does it mean another one that takes the id.
    make(&stage, general, admin, "Ada").await;
    let old = stage.discord.press_id(asked.id, admin, &format!("persona-delete:{admin}:1:ada"));
    let old = stage.discord.answer_such_that(old, |message| message.content() != WORKING).await;
    assert_eq!(old.content(), says(Editing::Changed));
    let asked = used(&stage, general, admin, "personas delete", &[("persona", json!("ada"))]).await;
    assert_eq!(pressed(&stage, &asked, admin, Label::Delete).await, "`ada` is deleted.");
    let (stage, _store) = restarted(stage, store, &directory).await;
    assert!(prompt_for(&stage, general, alice).await.contains("You are Hermes"));
}

#[tokio::test]
async fn a_picture_is_kept_as_one_of_ours() {
    let (_directory, _store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    make(&stage, general, admin, "Ada").await;
    let picture = import::to_png(&card("Somebody"), None).expect("a picture");
    let give = async |file: Option<Value>| {
        let mut options = vec![("persona", json!("ada"))];
        options.extend(file.map(|file| ("picture", file)));
        used(&stage, general, admin, "personas avatar", &options).await.content().to_owned()
    };
    let avatar = || {
        let troupe = stage.assistant.troupe(ServerId(stage.discord.guild_id().0));
        troupe[0].persona.avatar.clone()
    };
    assert_eq!(
        give(Some(stage.discord.upload("ada.png", b"GIF89a"))).await,
        says(Editing::NoPicture("it is no PNG, JPEG or WebP picture, or damaged".to_owned()))
    );
    assert_eq!(avatar(), None);
    assert_eq!(give(Some(stage.discord.upload("ada.webp", &picture))).await, "**Ada** has that picture now.");
    let kept = avatar().expect("a picture");
    assert!(kept.starts_with(b"\x89PNG") && !kept.windows(5).any(|it| it == b"chara"));
    assert_eq!(give(None).await, "**Ada** has no picture any more.");
    assert_eq!(avatar(), None);
}

#[tokio::test]
async fn what_is_for_adults_plays_where_only_they_are() {
    let (_directory, store, stage) = began().await;
    let discord = &stage.discord;
    let (plain, alice, admin) = (discord.channel("plain"), discord.member("Alice"), admin(&stage));
    let late = discord.channel("late");
    discord.restrict_by_age(late, true);
    let thread = discord.thread(late, "thread");
    discord.caught_up().await;
    let report = imported(&stage, plain, admin, "ada.json", &json_card("Ada")).await;
    pressed(&stage, &report, admin, Label::Save).await;
    // Nobody has said that it is not for adults.
    let restricted = says(Editing::AgeRestricted);
    let lines = decided(&store, &stage).await;
    for command in ["persona use", "persona show"] {
        assert_eq!(used_on(&stage, plain, admin, command, "ada").await, restricted);
    }
    let asks = [("question", json!("why?")), ("persona", json!("ada"))];
    assert_eq!(used(&stage, plain, alice, "ask", &asks).await.content(), restricted);
    let sets = |channel: Option<ChannelId>| {
        let mut options = vec![("setting", json!("persona")), ("value", json!("ada"))];
        options.extend(channel.map(|channel| ("channel", json!({ "channel": channel.0 }))));
        options
    };
    assert_eq!(used(&stage, plain, admin, "settings set", &sets(Some(plain))).await.content(), restricted);
    assert!(!offered(&stage, plain, alice, "ask").await.contains(&"ada".to_owned()));
    assert_eq!(decided(&store, &stage).await, lines);
    // For the whole server it may be chosen, and plays where it may.
    let set = used(&stage, plain, admin, "settings set", &sets(None)).await;
    assert!(set.content().ends_with("elsewhere I go on as before."), "{}", set.content());
    assert!(prompt_for(&stage, plain, alice).await.contains("You are Hermes"));
    let list = used(&stage, plain, alice, "persona list", &[]).await;
    assert!(
        list.content().starts_with("`ada` was chosen for here and cannot play here"),
        "{}",
        list.content()
    );
    for place in [late, thread] {
        assert!(prompt_for(&stage, place, alice).await.contains("Ada keeps the lighthouse."));
        assert!(offered(&stage, place, alice, "ask").await.contains(&"ada".to_owned()));
    }
    // When the channel is not restricted any more, it plays there no more.
    discord.restrict_by_age(late, false);
    discord.caught_up().await;
    let gone = async { while offered(&stage, late, alice, "ask").await.contains(&"ada".to_owned()) {} };
    tokio::time::timeout(PATIENCE, gone).await.expect("it is not offered any more");
    for place in [late, thread] {
        assert!(prompt_for(&stage, place, alice).await.contains("You are Hermes"));
    }
    let rate = |adult: bool| [("persona", json!("ada")), ("adult", json!(adult))];
    let rated = used(&stage, plain, admin, "personas adult", &rate(false)).await;
    assert_eq!(rated.content(), "**Ada** `ada` is not for adults, and plays everywhere.");
    assert!(prompt_for(&stage, plain, alice).await.contains("Ada keeps the lighthouse."));
    used(&stage, plain, admin, "personas adult", &rate(true)).await;
    assert!(prompt_for(&stage, plain, alice).await.contains("You are Hermes"));
    // Its maker may say so from the first.
    let adult = form(&stage, plain, admin, "personas create", &[("adult", json!(true))]).await;
    let made = sent(&stage, plain, admin, &adult.with("name", "Eve").with("description", "x")).await;
    assert!(made.content().contains("age-restricted channels only"), "{}", made.content());
}

#[tokio::test]
async fn a_members_persona_is_theirs_alone_until_an_admin_shares_it() {
    let (directory, store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let (alice, bob) = (stage.discord.member("Alice"), stage.discord.member("Bob"));
    stage.discord.empower(bob, Permissions::MANAGE_MESSAGES);
    open_to_all(&stage, general, admin).await;
    let made = make(&stage, general, alice, "Ada").await;
    assert!(made.content().contains("It is yours alone"), "{}", made.content());
    // Nobody else finds it, whatever they try.
    let nobody = Text::NoPersona.to_string();
    let none = says(Editing::NoneOfYours);
    let asks = [("question", json!("why?")), ("persona", json!("ada"))];
    for name in ["ada", "Ada"] {
        for command in ["persona show", "persona use"] {
            assert_eq!(used_on(&stage, general, bob, command, name).await, nobody);
        }
        for command in ["personas edit", "personas export", "personas versions", "personas delete"] {
            assert_eq!(used_on(&stage, general, bob, command, name).await, none);
        }
    }
    assert_eq!(used(&stage, general, bob, "ask", &asks).await.content(), nobody);
    for command in ["persona show", "persona use", "ask", "personas edit", "personas delete"] {
        assert!(!offered(&stage, general, bob, command).await.contains(&"ada".to_owned()), "{command}");
    }
    assert!(!used(&stage, general, bob, "persona list", &[]).await.content().contains("Ada"));
    // She asks it, and cannot have it play for others.
    stage.script.then_say("Mind the lamp.");
    let asked = used(&stage, general, alice, "ask", &asks).await;
    stage.discord.reply_to(asked.id).await;
    stage.idle().await;
    assert!(stage.prompt(0).contains("Ada keeps the lighthouse."));
    stage.discord.empower(alice, Permissions::MANAGE_MESSAGES);
    assert_eq!(used_on(&stage, general, alice, "persona use", "ada").await, says(Editing::Private));
    stage.discord.empower(alice, Permissions::empty());
    // In direct messages it plays for her, also after a restart.
    let (hers, his) = (stage.discord.direct(alice), stage.discord.direct(bob));
    assert_eq!(used_on(&stage, his, bob, "persona use", "ada").await, nobody);
    let offers = offered(&stage, hers, alice, "persona use").await;
    assert_eq!(offers[0], format!("ada@{}", stage.discord.guild_id()));
    let chosen = used_on(&stage, hers, alice, "persona use", &offers[0]).await;
    assert_eq!(chosen, "I play **Ada** for you from the next reply on.");
    assert!(prompt_for(&stage, hers, alice).await.contains("Ada keeps the lighthouse."));
    let (stage, store) = restarted(stage, store, &directory).await;
    assert!(prompt_for(&stage, hers, alice).await.contains("Ada keeps the lighthouse."));
    assert!(prompt_for(&stage, his, bob).await.contains("You are Hermes"));
    // Members cannot share; an admin sees it, and can.
    let share = [("persona", json!("ada"))];
    let refused = used(&stage, general, alice, "personas share", &share).await;
    assert_eq!(refused.content(), Text::NotAdmin.to_string());
    assert_eq!(offered(&stage, general, admin, "personas share").await, ["ada"]);
    let shared = used(&stage, general, admin, "personas share", &share).await;
    assert_eq!(shared.content(), "**Ada** `ada` is everybody's in this server.");
    assert!(used_on(&stage, general, bob, "persona use", "ada").await.contains("I play **Ada** here"));
    assert!(prompt_for(&stage, general, bob).await.contains("Ada keeps the lighthouse."));
    // Nor may he change it now.
    assert_eq!(used_on(&stage, general, bob, "personas edit", "ada").await, none);
    let back = [("persona", json!("ada")), ("shared", json!(false))];
    used(&stage, general, admin, "personas share", &back).await;
    assert!(prompt_for(&stage, general, bob).await.contains("You are Hermes"));
    drop(store);
}

#[tokio::test]
async fn members_make_as_many_as_they_may_and_admins_more() {
    let (_directory, _store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let (alice, bob) = (stage.discord.member("Alice"), stage.discord.member("Bob"));
    open_to_all(&stage, general, admin).await;
    let most = Caps::default().of_member;
    let is_saved = |message: &Message| message.content().contains("is saved as version 1.");
    for number in 0..most {
        assert!(is_saved(&make(&stage, general, alice, &format!("Ada {number}")).await));
    }
    let refused = make(&stage, general, alice, "Ada again").await;
    assert!(refused.content().starts_with(&says(Editing::TooManyOfYours(most))), "{}", refused.content());
    assert!(is_saved(&make(&stage, general, bob, "Eve").await));
    for number in 0..=most {
        assert!(is_saved(&make(&stage, general, admin, &format!("Joe {number}")).await));
    }
    // When one goes there is room for another one.
    let asked = used(&stage, general, alice, "personas delete", &[("persona", json!("ada-0"))]).await;
    pressed(&stage, &asked, alice, Label::Delete).await;
    assert!(is_saved(&make(&stage, general, alice, "Ada again").await));
}

#[tokio::test]
async fn whoever_loses_the_role_makes_and_changes_nothing_more() {
    let (_directory, store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let (alice, role) = (stage.discord.member("Alice"), stage.discord.role("Writers"));
    let not_creator = says(Editing::NotCreator);
    assert_eq!(used(&stage, general, alice, "personas create", &[]).await.content(), not_creator);
    let roles = [("setting", json!("persona_creators")), ("value", json!(format!("<@&{role}>")))];
    let set = used(&stage, general, admin, "settings set", &roles).await;
    assert_eq!(set.content(), format!("`persona_creators` is <@&{role}> now in the whole server."));
    assert_eq!(used(&stage, general, alice, "personas create", &[]).await.content(), not_creator);
    stage.discord.give_role(alice, role);
    make(&stage, general, alice, "Ada").await;
    // While she fills in a form, and before she presses a button.
    let edit = form(&stage, general, alice, "personas edit", &[("persona", json!("ada"))]).await;
    let report = imported(&stage, general, alice, "eve.json", &json_card("Eve")).await;
    stage.discord.take_role(alice, role);
    let lines = decided(&store, &stage).await;
    let refused = sent(&stage, general, alice, &edit.with("description", "Ada keeps bees.")).await;
    let given_back = assert_given_back(&refused, &Editing::NotCreator.into());
    assert!(given_back.contains("Ada keeps bees."), "{given_back}");
    assert_eq!(pressed(&stage, &report, alice, Label::Save).await, not_creator);
    let on_ada = |more: &[(&'static str, Value)]| [&[("persona", json!("ada"))], more].concat();
    let file = stage.discord.upload("ada.json", &json_card("Ada"));
    for (command, options) in [
        ("personas create", Vec::new()),
        ("personas edit", on_ada(&[])),
        ("personas import", on_ada(&[("file", file)])),
        ("personas rollback", on_ada(&[("version", json!(1))])),
        ("personas avatar", on_ada(&[])),
        ("personas adult", on_ada(&[("adult", json!(true))])),
    ] {
        let refused = used(&stage, general, alice, command, &options).await;
        assert_eq!(refused.content(), not_creator, "{command}");
    }
    assert_eq!(decided(&store, &stage).await, lines);
    // What is hers she may have, and take away.
    assert_eq!(used(&stage, general, alice, "personas export", &on_ada(&[])).await.files.len(), 1);
    let asked = used(&stage, general, alice, "personas delete", &on_ada(&[])).await;
    assert_eq!(pressed(&stage, &asked, alice, Label::Delete).await, "`ada` is deleted.");
}

#[tokio::test]
async fn whoever_made_a_persona_says_of_their_own_texts_alone_that_they_are_not_for_adults() {
    let (_directory, store, stage) = began().await;
    let (general, alice, admin) =
        (stage.discord.channel("general"), stage.discord.member("Alice"), admin(&stage));
    open_to_all(&stage, general, admin).await;
    let rate = async |user: UserId, persona: &str, adult: bool| {
        let options = [("persona", json!(persona)), ("adult", json!(adult))];
        used(&stage, general, user, "personas adult", &options).await.content().to_owned()
    };
    let is_for_all = "`ada` is not for adults, and plays everywhere.";
    make(&stage, general, alice, "Ada").await;
    let lines = decided(&store, &stage).await;
    assert!(rate(alice, "ada", false).await.ends_with(&format!("{is_for_all} It was so already.")));
    assert_eq!(decided(&store, &stage).await, lines, "what changes nothing is not in the audit list");
    for adult in [true, false] {
        assert!(!rate(alice, "ada", adult).await.contains("already"));
    }
    // What an admin has said stays said.
    rate(admin, "ada", true).await;
    assert_eq!(rate(alice, "ada", false).await, says(Editing::RatedByAdmin));
    assert!(rate(admin, "ada", false).await.ends_with(is_for_all));
    // Of a file an admin says it, also when the text was changed in a form since.
    let report = imported(&stage, general, alice, "eve.json", &json_card("Eve")).await;
    let saved = pressed(&stage, &report, alice, Label::Save).await;
    assert!(saved.contains("an admin has to say it"), "{saved}");
    assert_eq!(rate(alice, "eve", false).await, says(Editing::FromFile));
    let edit = form(&stage, general, alice, "personas edit", &[("persona", json!("eve"))]).await;
    sent(&stage, general, alice, &edit.with("description", "Eve keeps bees.")).await;
    assert_eq!(rate(alice, "eve", false).await, says(Editing::FromFile));
    rate(admin, "eve", false).await;
    assert!(rate(alice, "eve", false).await.ends_with("It was so already."));
    // It was said of that version, and not of the one before.
    let back = [("persona", json!("eve")), ("version", json!(1))];
    let back = used(&stage, general, alice, "personas rollback", &back).await;
    assert!(back.content().contains("age-restricted channels only"), "{}", back.content());
    let asks = [("question", json!("why?")), ("persona", json!("eve"))];
    let refused = used(&stage, general, alice, "ask", &asks).await;
    assert_eq!(refused.content(), says(Editing::AgeRestricted));
    // The same goes for sharing what is shared.
    let share = [("persona", json!("ada"))];
    used(&stage, general, admin, "personas share", &share).await;
    let lines = decided(&store, &stage).await;
    let shared = used(&stage, general, admin, "personas share", &share).await;
    assert_eq!(shared.content(), "**Ada** `ada` is everybody's in this server. It was so already.");
    assert_eq!(decided(&store, &stage).await, lines);
}

#[tokio::test]
async fn whoever_names_several_is_asked_which() {
    let (_directory, _store, stage) = began().await;
    let (general, alice, admin) =
        (stage.discord.channel("general"), stage.discord.member("Alice"), admin(&stage));
    open_to_all(&stage, general, admin).await;
    make(&stage, general, admin, "Ada").await;
    let made = make(&stage, general, alice, "ADA").await;
    assert!(made.content().contains("`ada-2`"), "{}", made.content());
    make(&stage, general, admin, "Eve").await;
    // "ada" is an id, and no question.
    assert!(used_on(&stage, general, admin, "personas delete", "ada").await.contains("**Ada** `ada`"));
    let edit = form(&stage, general, admin, "personas edit", &[("persona", json!("eve"))]).await;
    sent(&stage, general, admin, &edit.with("name", "Ada of Hull")).await;
    let edit = form(&stage, general, admin, "personas edit", &[("persona", json!("ada"))]).await;
    sent(&stage, general, admin, &edit.with("name", "ada of hull")).await;
    let which = says(Editing::Namesakes(["ada", "eve"].map(|id| PersonaId(id.to_owned())).to_vec()));
    for command in ["personas edit", "personas delete", "personas export", "persona use", "persona show"] {
        assert_eq!(used_on(&stage, general, admin, command, "Ada of Hull").await, which, "{command}");
    }
    let set = [("setting", json!("persona")), ("value", json!("Ada of Hull"))];
    assert_eq!(used(&stage, general, admin, "settings set", &set).await.content(), which);
    // Whoever has one of them only is not told of the others.
    assert!(used_on(&stage, general, alice, "personas delete", "Ada").await.contains("`ada-2`"));
}

#[tokio::test]
async fn what_was_written_into_a_form_is_never_lost() {
    let (_directory, store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    make(&stage, general, admin, "Ada").await;
    let edit = form(&stage, general, admin, "personas edit", &[("persona", json!("ada"))]).await;
    let edit = edit.with("description", "Ada keeps bees.");
    let create = form(&stage, general, admin, "personas create", &[]).await;
    let asked = used(&stage, general, admin, "personas delete", &[("persona", json!("ada"))]).await;
    pressed(&stage, &asked, admin, Label::Delete).await;
    let refused = sent(&stage, general, admin, &edit).await;
    let given_back = assert_given_back(&refused, &Editing::NoneOfYours.into());
    assert!(given_back.contains("Ada keeps bees."), "{given_back}");
    store.close().await;
    let refused = sent(&stage, general, admin, &create.with("name", "Eve").with("description", "She.")).await;
    let given_back = assert_given_back(&refused, &Text::Broken);
    assert!(given_back.contains("She."), "{given_back}");
}

#[tokio::test]
async fn what_cannot_be_read_after_a_change_is_as_before_until_it_can() {
    let (directory, store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let (server, id) = (ServerId(stage.discord.guild_id().0), PersonaId("ada".to_owned()));
    make(&stage, general, admin, "Ada").await;
    used_on(&stage, general, admin, "persona use", "ada").await;
    let path = directory.path().join("mummer.db");
    let options = SqliteConnectOptions::new().filename(&path);
    let mut aside = SqliteConnection::connect_with(&options).await.expect("it opens");
    sqlx::query("ALTER TABLE settings RENAME TO hidden").execute(&mut aside).await.expect("it is hidden");
    let decision = Deed::Shared(id.clone(), false).decided(1, MemberId(admin.0));
    let marked = store.mark_persona(server, &id, &Mark::Shared(false), true, &decision).await;
    assert!(marked.expect("it is written"));
    stage.assistant.rules_changed(server).await;
    assert!(prompt_for(&stage, general, admin).await.contains("Ada keeps the lighthouse."));
    sqlx::query("ALTER TABLE hidden RENAME TO settings").execute(&mut aside).await.expect("it is back");
    // The next message finds it.
    assert!(prompt_for(&stage, general, admin).await.contains("You are Hermes"));
}

#[tokio::test]
async fn another_servers_persona_is_nowhere_to_be_found() {
    let (_directory, store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let alice = stage.discord.member("Alice");
    let (theirs, id) = (ServerId(2), PersonaId("ada".to_owned()));
    let draft = PersonaDraft {
        id: id.clone(),
        over: None,
        definition: import::to_toml(&card("Ada")).expect("it is written"),
        avatar: None,
        shared: true,
        adult: Some(false),
        from_file: false,
    };
    let decision = Deed::Made(id).decided(1, MemberId(alice.0));
    let _ = store.save_persona(theirs, &draft, Caps::default(), &decision).await.expect("it is written");
    stage.assistant.learn(theirs).await;
    assert_eq!(stage.assistant.troupe(theirs).len(), 1);
    let here = Place {
        channel: mummer::chat::ChannelId(general.0),
        parent: None,
        server: Some(ServerId(stage.discord.guild_id().0)),
    };
    for wanted in ["ada", "Ada", "ada@2"] {
        assert!(
            stage.assistant.persona_named(wanted, here, MemberId(alice.0)).is_err_and(|ids| ids.is_empty())
        );
        for command in ["persona show", "persona use"] {
            assert_eq!(used_on(&stage, general, admin, command, wanted).await, Text::NoPersona.to_string());
        }
        for command in ["personas edit", "personas export", "personas versions", "personas delete"] {
            assert_eq!(used_on(&stage, general, admin, command, wanted).await, says(Editing::NoneOfYours));
        }
    }
    // Nor does it play when it is set by force, where one of this server would.
    let set = Deed::Reset { setting: "persona".to_owned(), channel: None }.decided(1, MemberId(1));
    let server = ServerId(stage.discord.guild_id().0);
    store.set(server, None, ("persona", Some(&json!("ada"))), &set).await.expect("it is set");
    stage.assistant.rules_changed(server).await;
    assert!(prompt_for(&stage, general, alice).await.contains("You are Hermes"));
    // She who made it has it in direct messages.
    let alone = stage.discord.direct(alice);
    assert_eq!(offered(&stage, alone, alice, "persona use").await[0], "ada@2");
}

#[tokio::test]
async fn whoever_made_a_persona_learns_why_it_said_something() {
    let (_directory, _store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let (alice, bob) = (stage.discord.member("Alice"), stage.discord.member("Bob"));
    open_to_all(&stage, general, admin).await;
    make(&stage, general, alice, "Ada").await;
    used(&stage, general, admin, "personas share", &[("persona", json!("ada"))]).await;
    used_on(&stage, general, admin, "persona use", "ada").await;
    prompt_for(&stage, general, bob).await;
    for (user, in_full) in [(alice, true), (bob, false), (admin, true)] {
        let why = used(&stage, general, user, "why", &[]).await;
        assert_eq!(why.content().contains("```"), in_full, "{}", why.content());
        assert_eq!(why.components.is_empty(), !in_full, "the button to its bug bundle");
    }
}

#[tokio::test]
async fn a_creator_who_is_forgotten_has_nothing_more_and_what_was_shared_plays_on() {
    let (_directory, store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let alice = stage.discord.member("Alice");
    open_to_all(&stage, general, admin).await;
    make(&stage, general, alice, "Ada").await;
    make(&stage, general, alice, "Eve").await;
    used(&stage, general, admin, "personas share", &[("persona", json!("ada"))]).await;
    let alone = stage.discord.direct(alice);
    let eve = format!("eve@{}", stage.discord.guild_id());
    used_on(&stage, alone, alice, "persona use", &eve).await;
    let kept = used(&stage, general, alice, "privacy show", &[]).await;
    assert!(kept.content().contains("You have made 2 personas"), "{}", kept.content());
    let export = store.export_member(MemberId(alice.0)).await.expect("it is read");
    assert_eq!(export["personas_created"].as_array().map(Vec::len), Some(2));
    assert_eq!(export["personas_created"][0]["adult"], json!(false));
    assert_eq!(export["personas_chosen"][0]["persona"], "eve");
    stage.assistant.forget_member(MemberId(alice.0)).await.expect("she is forgotten");
    assert_eq!(offered(&stage, general, alice, "personas edit").await, Vec::<String>::new());
    assert!(!offered(&stage, alone, alice, "persona use").await.contains(&eve));
    assert!(prompt_for(&stage, alone, alice).await.contains("You are Hermes"));
    assert!(used_on(&stage, general, admin, "persona use", "ada").await.contains("I play **Ada** here"));
    assert_eq!(offered(&stage, general, admin, "personas delete").await, ["ada", "eve"]);
}

#[tokio::test]
async fn whoever_does_not_want_to_be_read_makes_no_personas() {
    let (_directory, store, stage) = began().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    let edit = form(&stage, general, admin, "personas create", &[]).await;
    stage.assistant.opt_out(MemberId(admin.0)).await.expect("they are out");
    let refused = sent(&stage, general, admin, &edit.with("name", "Ada").with("description", "x")).await;
    assert_given_back(&refused, &Text::NotRead);
    let refused = imported(&stage, general, admin, "ada.json", &json_card("Ada")).await;
    assert_eq!(refused.content(), Text::NotRead.to_string());
    assert_eq!((decided(&store, &stage).await, stage.discord.fetched()), (0, 0));
}

#[tokio::test]
async fn without_a_database_no_personas_are_made() {
    let stage = Stage::new().await;
    let (general, admin) = (stage.discord.channel("general"), admin(&stage));
    assert_eq!(
        used(&stage, general, admin, "personas create", &[]).await.content(),
        Text::NotKept.to_string()
    );
    assert_eq!(used_on(&stage, general, admin, "personas edit", "ada").await, Text::NotKept.to_string());
    let refused = used_on(&stage, general, admin, "persona use", "crake").await;
    assert_eq!(refused, Text::NotKept.to_string());
    // In direct messages it holds as long as the bot runs.
    let alone = stage.discord.direct(admin);
    used_on(&stage, alone, admin, "persona use", "crake").await;
    assert!(prompt_for(&stage, alone, admin).await.contains("Crake"));
}
