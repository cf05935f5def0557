//! A scene goes elsewhere and comes back: from one server to another, and to `SillyTavern` and back.

use mummer::chat::history::TurnKind;
use mummer::chat::scene::{Scene, SceneState};
use mummer::chat::text::{Staging, Text};
use mummer::chat::{MemberId, ServerId};
use mummer::persona::Persona;
use mummer::persona::archive::Scene as Archive;
use serde_json::{Value, json};
use serenity::model::Permissions;

use crate::discord::UserId;
use crate::roleplay::Theatre;
use crate::server_personas::make;

/// The forms of an export, in the order in which they are offered.
const TEXT: u8 = 0;
const CHAT: u8 = 1;
const ARCHIVE: u8 = 2;

impl Theatre {
    async fn exported(&self, form: u8) -> Vec<u8> {
        let exported = self.uses(self.alice, "export", &[("form", json!(form))]).await;
        exported.files.first().expect("a file").bytes.clone()
    }

    /// The chat of what is going on, as text.
    async fn chat(&self) -> String {
        String::from_utf8(self.exported(CHAT).await).expect("it is text")
    }

    /// Somebody brings a file along, and is told this.
    async fn brings(&self, who: UserId, file: &[u8]) -> String {
        let file = self.stage.discord.upload("scene.zip", file);
        self.uses(who, "import", &[("file", file)]).await.content().to_owned()
    }

    async fn scene(&self) -> Scene {
        self.on_disk().await.scene().expect("it is one").clone()
    }

    /// The ids of the personas that the server has.
    async fn personas(&self) -> Vec<String> {
        let server = ServerId(self.stage.discord.guild_id().0);
        let personas = self.store.personas_of(server).await.expect("they are read");
        personas.into_iter().map(|persona| persona.id.0).collect()
    }

    /// Alice is an admin, and her server has three personas, of whom two have spoken in a scene and one has not. She and Bob play
    /// characters.
    async fn of_a_server() -> Self {
        let theatre = Self::new().await;
        let (discord, general, alice) = (&theatre.stage.discord, theatre.general, theatre.alice);
        discord.empower(alice, Permissions::MANAGE_GUILD);
        for name in ["Ada of Hull", "Cy", "Eva"] {
            make(&theatre.stage, general, alice, name).await;
        }
        theatre.stage.script.then_say("Who is there?");
        let about = [("title", json!("Storm")), ("scene", json!("A storm is coming."))];
        theatre.opened("Ada of Hull", &about).await;
        for name in ["Cy", "Eva"] {
            theatre.uses(alice, "cast add", &[("persona", json!(name))]).await;
        }
        for (who, name, description) in
            [(alice, "Mira", "She is late."), (theatre.bob, "Bertram", "A ferryman.")]
        {
            let options = [("name", json!(name)), ("description", json!(description))];
            theatre.uses(who, "as", &options).await;
        }
        theatre.uses(alice, "note", &[("text", json!("Be brief.")), ("depth", json!(1))]).await;
        theatre.says(alice, "Me, Ada.", "It drizzles.").await;
        theatre.says(theatre.bob, "I row, Cy.", "Row on.").await;
        let rolled = discord.use_command(general, alice, "roll", &[("dice", json!("2d1+3"))]);
        discord.answer_to(rolled).await;
        theatre.uses(alice, "narrate", &[("text", json!("Thunder."))]).await;
        theatre.remembered("Thunder.").await;
        theatre
    }
}

#[tokio::test]
async fn a_scene_goes_to_another_server_with_all_that_it_has() {
    let home = Theatre::of_a_server().await;
    let (first, archive) = (home.chat().await, home.exported(ARCHIVE).await);
    for secret in [home.alice, home.bob] {
        assert!(!first.contains(&secret.to_string()), "{first}");
    }
    let abroad = Theatre::new().await;
    let (discord, alice, bob) = (&abroad.stage.discord, abroad.alice, abroad.bob);
    discord.empower(alice, Permissions::MANAGE_GUILD);
    // What is made of a card plays there as long as nobody has said that it is not for adults.
    discord.restrict_by_age(abroad.general, true);
    discord.caught_up().await;
    let told = abroad.brings(alice, &archive).await;
    assert!(told.starts_with("The scene goes on here with 7 lines."), "{told}");
    for id in ["ada-of-hull", "cy", "eva"] {
        assert!(told.contains(&format!("`{id}` is saved as version 1.")), "{told}");
    }
    assert!(!told.contains("I know nobody") && !told.contains("not taken in"), "{told}");
    assert_eq!(abroad.personas().await, ["ada-of-hull", "cy", "eva"]);
    let announced = abroad.shown("those who wait for somebody: Bertram.").await;
    assert!(announced.content().starts_with("**Storm**\n") && announced.content().contains("Eva"));
    let scene = abroad.scene().await;
    let cast: Vec<&str> = scene.cast.iter().map(|actor| actor.name.as_str()).collect();
    assert_eq!((scene.title.as_str(), scene.note_depth, scene.state), ("Storm", 1, SceneState::Running));
    assert_eq!(cast, ["Ada of Hull", "Cy", "Eva"]);
    let hers = scene.player(MemberId(alice.0)).expect("she plays").clone();
    assert_eq!((hers.name.as_deref(), hers.description.as_str()), (Some("Mira"), "She is late."));
    // Nothing must be otherwise: the ids of the personas follow from their names, and nobody's number is in it.
    assert_eq!(abroad.chat().await, first);
    let abroad = abroad.restarted().await;
    // Whoever plays a character that waits has its description, and is in the file as they were.
    let shown = abroad.uses(alice, "scene", &[]).await;
    assert!(shown.content().contains("Waiting for a player: Bertram."), "{}", shown.content());
    assert!(shown.content().contains("Note, before the last line:"), "{}", shown.content());
    let played = abroad.uses(bob, "as", &[("name", json!("bertram"))]).await;
    assert_eq!(played.content(), "Bob plays **Bertram**.");
    assert!(abroad.scene().await.waiting.is_empty());
    assert_eq!(abroad.chat().await, first);
    let names = |archive: &[u8]| {
        let cards = Archive::unpack(archive).expect("it is unpacked").cards.into_iter();
        cards
            .map(|(file, card)| (file, Persona::from_file("", &card).expect("a card").0.card.name))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&abroad.exported(ARCHIVE).await), names(&archive));
    let said = abroad.says(bob, "And now, Eva?", "Now it rains.").await;
    assert_eq!(said.seen_as.map(|(name, _)| name).as_deref(), Some("Eva"));
    let prompt = abroad.last_prompt();
    for words in [
        "Eva keeps the lighthouse.",
        "Mira: She is late.\n",
        "Bertram: A ferryman.\n",
        "Mira: Me, Ada.\nAda of Hull: It drizzles.\nBertram: I row, Cy.\n",
        "[Be brief.]\nBertram: And now, Eva?\n",
    ] {
        assert!(prompt.contains(words), "{words:?} is not in {prompt}");
    }
}

#[tokio::test]
async fn whoever_may_make_personas_makes_them_of_the_cards_of_a_scene() {
    let archive = Theatre::of_a_server().await.exported(ARCHIVE).await;
    let theatre = Theatre::new().await;
    let (discord, general, alice) = (&theatre.stage.discord, theatre.general, theatre.alice);
    discord.empower(alice, Permissions::MANAGE_GUILD);
    // Whoever may not is told so.
    let told = theatre.brings(theatre.bob, &archive).await;
    let names = ["Ada of Hull", "Cy", "Eva"].map(str::to_owned).to_vec();
    assert!(told.starts_with(&Text::from(Staging::NobodyKnown(names)).to_string()), "{told}");
    assert!(told.contains("its character cards are not taken in"), "{told}");
    assert_eq!(theatre.personas().await, Vec::<String>::new());
    // Where somebody plays, the scene goes on without the others.
    let file = discord.upload("scene.zip", &archive);
    let options = [("file", file), ("persona", json!("mizzle"))];
    let told = theatre.uses(theatre.bob, "import", &options).await;
    assert!(told.content().contains("its character cards are not taken in"), "{}", told.content());
    assert!(told.content().contains("I know nobody who plays Cy here"), "{}", told.content());
    theatre.uses(theatre.bob, "stop", &[]).await;
    // Nobody has said that they are not for adults: they are made, and the scene waits for that.
    let told = theatre.brings(alice, &archive).await;
    assert!(told.starts_with(&Text::from(Staging::NobodyYet).to_string()), "{told}");
    assert!(
        told.contains("**Cy** `cy` is saved as version 1. It plays in age-restricted channels only"),
        "{told}"
    );
    assert_eq!(theatre.personas().await, ["ada-of-hull", "cy", "eva"]);
    // Whoever tries again too early is told why.
    let told = theatre.brings(theatre.bob, &archive).await;
    assert!(told.starts_with(&Text::from(Staging::NobodyYet).to_string()), "{told}");
    let rate = async |persona: &str| {
        let options = [("persona", json!(persona)), ("adult", json!(false))];
        discord.answer_to(discord.use_command(general, alice, "personas adult", &options)).await
    };
    rate("cy").await;
    // They are not made again, and who may not play yet is told.
    let told = theatre.brings(alice, &archive).await;
    assert!(told.starts_with("The scene goes on here with 7 lines."), "{told}");
    assert!(told.contains("Eva is a persona here that may not play in this channel"), "{told}");
    assert_eq!(theatre.personas().await.len(), 3);
    let cast: Vec<String> = theatre.scene().await.cast.into_iter().map(|actor| actor.persona.0).collect();
    assert_eq!(cast, ["cy"]);
    // Whose the other lines were is known all the same when they go elsewhere.
    assert!(theatre.chat().await.contains(r#""mummer":{"persona":"ada-of-hull"}"#));
}

#[tokio::test]
async fn a_card_that_cannot_be_taken_in_is_told_and_the_others_play() {
    let archive = Theatre::of_a_server().await.exported(ARCHIVE).await;
    let mut broken = Archive::unpack(&archive).expect("it is unpacked");
    let (_, card) = broken.cards.iter_mut().find(|(file, _)| file == "cy").expect("it is there");
    *card = b"{}".to_vec();
    let theatre = Theatre::new().await;
    let discord = &theatre.stage.discord;
    discord.empower(theatre.alice, Permissions::MANAGE_GUILD);
    discord.restrict_by_age(theatre.general, true);
    discord.caught_up().await;
    let told = theatre.brings(theatre.alice, &broken.pack().expect("it is packed")).await;
    assert!(told.contains("- the card of Cy is not taken in: "), "{told}");
    assert!(told.contains("I know nobody who plays Cy here; what they have said stays."), "{told}");
    let cast: Vec<String> = theatre.scene().await.cast.into_iter().map(|actor| actor.persona.0).collect();
    assert_eq!(cast, ["ada-of-hull", "eva"]);
}

/// A chat as `SillyTavern` has it, with what Mummer knows nothing of.
fn of_theirs() -> Vec<Value> {
    vec![
        json!({"user_name": "Mira", "character_name": "Mizzle", "create_date": "2024-1-5@12h30m15s123ms", "vendor": [null],
               "chat_metadata": {"note_prompt": "It rains.", "note_depth": 2, "note_position": 1, "note_interval": 3,
                                 "scenario": "An office.", "integrity": "a-b", "timedWorldInfo": {}}}),
        json!({"name": "Mizzle", "is_user": false, "is_system": false, "send_date": "January 5, 2024 12:30pm",
               "mes": "Yes?", "swipes": ["Hello.", "Yes?"], "swipe_id": 1, "gen_started": "2024-01-05T12:30:00.500Z",
               "swipe_info": [{"send_date": 3, "extra": {"api": "x"}}, {"extra": {}}],
               "extra": {"api": "novel", "token_count": 2}}),
        json!({"name": "Mira", "is_user": true, "is_system": true, "send_date": "some day",
               "mes": " A heron of {{user}}.\n", "extra": {"reason": "boring"}}),
        json!({"name": "Mira", "is_user": true, "is_system": false, "send_date": 1_704_457_900_123_u64, "mes": "Hi.",
               "extra": {}, "force_avatar": "User Avatars/mira.png"}),
        json!({"name": "System", "is_user": false, "is_system": false, "send_date": "2024-01-05T12:32:00.000Z",
               "mes": "The light goes out.", "force_avatar": "img/five.png",
               "extra": {"type": "narrator", "gen_id": 7, "bias": null}}),
        json!({"name": "Note", "is_user": false, "is_system": true, "send_date": "2024-1-5 @12h 33m 0s 4ms",
               "mes": "for readers", "extra": {"type": "comment"}}),
        json!({"name": "Mizzle", "is_user": false, "is_system": true, "mes": "Another heron.", "extra": {}}),
        json!({"name": "Cy", "is_user": false, "is_system": false, "send_date": "2024-01-05T12:34:00.000Z",
               "mes": "", "extra": {"image": "cy.png"}, "original_avatar": "Cy.png"}),
    ]
}

/// What the first has the second has too.
fn assert_kept(kept: &Value, whole: &Value) {
    match (kept, whole) {
        (Value::Object(kept), Value::Object(whole)) => {
            for (key, value) in kept {
                assert_kept(value, whole.get(key).unwrap_or_else(|| panic!("{key} is lost")));
            }
        }
        _ => assert_eq!(kept, whole),
    }
}

#[tokio::test]
async fn a_chat_of_theirs_goes_back_with_all_that_it_had() {
    let theatre = Theatre::new().await;
    let theirs = of_theirs();
    let file = theirs.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let told = theatre.brings(theatre.alice, file.as_bytes()).await;
    assert!(told.starts_with("The scene goes on here with 4 lines."), "{told}");
    let hidden = theatre.on_disk().await;
    let hidden = hidden.turns().iter().filter(|turn| turn.kind == TurnKind::Hidden).count();
    assert_eq!(hidden, 3);
    let theatre = theatre.restarted().await;
    theatre.says(theatre.alice, "Who said that?", "Nobody.").await;
    let prompt = theatre.last_prompt();
    assert!(prompt.contains("Mira: Hi.\n") && prompt.contains("The light goes out."), "{prompt}");
    for words in ["heron", "for readers", "Cy:"] {
        assert!(!prompt.contains(words), "{words:?} is in {prompt}");
    }
    // What was said since stands behind it.
    let ours = theatre.chat().await;
    let ours: Vec<Value> = ours.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    assert_eq!(ours.len(), theirs.len() + 2);
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_kept(theirs, ours);
    }
    // Whoever reads it sees what is hidden from models, as they do there.
    let text = String::from_utf8(theatre.exported(TEXT).await).expect("it is text");
    assert!(text.contains("Mizzle: Another heron.\n") && !text.contains("Cy:"), "{text}");
}

#[tokio::test]
async fn what_is_too_long_for_a_scene_is_cut_short_and_that_is_told() {
    let theatre = Theatre::new().await;
    let long = "x".repeat(2_001);
    let head = json!({"user_name": "Mira", "character_name": "Mizzle", "chat_metadata": {"scenario": long,
        "note_prompt": long, "note_depth": 100_000, "mummer": {"players": [{"name": "Zoe", "description": long}]}}});
    let told = theatre.brings(theatre.alice, head.to_string().as_bytes()).await;
    for what in ["what it is about", "its note", "Zoe"] {
        assert!(told.contains(&format!("- {what} is kept up to 2000 characters")), "{told}");
    }
    let scene = theatre.scene().await;
    let lengths = [scene.scenario, scene.note].map(|it| it.map(|written| written.text.len()));
    assert_eq!((lengths, scene.note_depth), ([Some(2_000); 2], 9_999));
    assert_eq!(scene.waiting[0].description.len(), 2_000);
}

#[tokio::test]
async fn whoever_joins_under_the_name_of_a_character_that_waits_plays_it() {
    let theatre = Theatre::new().await;
    let head = json!({"user_name": "Mira", "character_name": "Mizzle", "chat_metadata": {"mummer": {
        "title": "Storm", "players": [{"name": "BOB", "description": "A ferryman."}, {"name": "Mizzle"}]}}});
    let line = json!({"name": "Mizzle", "mes": "Well?", "is_user": false});
    theatre.brings(theatre.alice, format!("{head}\n{line}").as_bytes()).await;
    let waiting: Vec<String> =
        theatre.scene().await.waiting.into_iter().map(|waiting| waiting.name).collect();
    assert_eq!(waiting, ["BOB"], "a persona plays the other one");
    let joined = theatre.uses(theatre.bob, "join", &[]).await;
    assert_eq!(joined.content(), "Bob plays **BOB**.");
    let player = theatre.scene().await.player(MemberId(theatre.bob.0)).expect("he plays").clone();
    assert_eq!(player.description, "A ferryman.");
    // It is his from then on.
    let export = theatre.store.export_member(MemberId(theatre.bob.0)).await.expect("it is read");
    assert_eq!(export["characters"][0]["description"], "A ferryman.");
}
