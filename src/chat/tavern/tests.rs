//! A scene goes to `SillyTavern` and back.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::chat::history::{Conversation, ConversationId, Speaker, TurnState, Variant};
use crate::chat::scene::{Actor, Direction, Scene, Written};
use crate::chat::{MemberId, MessageId};
use crate::persona::lorebook::Activation;

/// The smallest chat with this message in it.
fn with(message: &Value) -> String {
    format!("{}\n{message}", json!({"user_name": "Bob", "character_name": "Ada", "chat_metadata": {}}))
}

fn read(text: &str) -> Chat {
    let (chat, remarks) = Chat::parse(text.as_bytes()).expect("it is a chat");
    assert!(remarks.is_empty(), "{remarks:?}");
    chat
}

fn only_line(message: &Value) -> Line {
    read(&with(message)).lines.remove(0)
}

fn refused(bytes: &[u8]) -> String {
    Chat::parse(bytes).expect_err("it is refused").to_string()
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
}

/// A chat as `SillyTavern` writes one, in all its forms.
fn of_theirs() -> Vec<Value> {
    vec![
        json!({"user_name": "Bob", "character_name": "Ada", "create_date": "2024-1-5@12h30m15s123ms", "vendor": [null],
               "chat_metadata": {"note_prompt": "It rains.", "note_depth": 2, "note_position": 1, "note_interval": 3,
                                 "note_role": 0, "scenario": "An office.", "integrity": "a-b", "timedWorldInfo": {}}}),
        json!({"name": "Ada", "is_user": false, "is_system": false, "send_date": "January 5, 2024 12:30pm",
               "mes": "Yes?", "swipes": ["Hello.", "Yes?"], "swipe_id": 1, "gen_started": "2024-01-05T12:30:00.500Z",
               "swipe_info": [{"send_date": 3, "extra": {"api": "x"}}, {"extra": {}}],
               "extra": {"api": "novel", "token_count": 2}}),
        json!({"name": "Bob", "is_user": true, "is_system": false, "send_date": 1_704_457_900_123_u64, "mes": "Hi.",
               "swipes": ["Hi."], "swipe_id": 0, "extra": {}, "force_avatar": "User Avatars/bob.png"}),
        json!({"name": "System", "is_user": false, "is_system": false, "send_date": "2024-01-05T12:32:00.000Z",
               "mes": "The light goes out.", "swipes": ["The light goes out."], "swipe_id": 0,
               "force_avatar": "img/five.png", "extra": {"type": "narrator", "gen_id": 7, "bias": null}}),
        json!({"name": "Note", "is_user": false, "is_system": true, "send_date": "2024-1-5 @12h 33m 0s 4ms",
               "mes": "for readers", "swipes": ["for readers"], "swipe_id": 0, "extra": {"type": "comment"}}),
        json!({"name": "Bob", "is_user": true, "is_system": true, "send_date": "some day", "mes": "hidden",
               "swipes": ["hidden"], "swipe_id": 0, "extra": {}}),
        json!({"name": "Cy", "is_user": false, "is_system": false, "send_date": "2024-01-05T12:34:00.000Z",
               "mes": "Me too.", "swipes": ["Me too."], "swipe_id": 0, "extra": {},
               "original_avatar": "Cy.png", "force_avatar": "/thumbnail?type=avatar&file=Cy.png"}),
    ]
}

fn text_of(lines: &[Value]) -> String {
    lines.iter().map(Value::to_string).collect::<Vec<String>>().join("\n")
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

#[test]
fn a_chat_of_theirs_is_read() {
    let chat = read(&text_of(&of_theirs()));
    assert_eq!((chat.user.as_str(), chat.character.as_str()), ("Bob", "Ada"));
    assert_eq!((chat.created, chat.scenario.as_str()), (1_704_457_815, "An office."));
    assert_eq!(chat.note, Some(Note { text: "It rains.".to_owned(), depth: 2 }));
    let whose: Vec<(&str, Who, u64)> =
        chat.lines.iter().map(|line| (line.name.as_str(), line.who, line.said)).collect();
    assert_eq!(
        whose,
        [
            ("Ada", Who::Character, 1_704_457_800),
            ("Bob", Who::User, 1_704_457_900),
            ("System", Who::Narrator, 1_704_457_920),
            ("Note", Who::Hidden, 1_704_457_980),
            ("Bob", Who::Hidden, 1_704_457_980),
            ("Cy", Who::Character, 1_704_458_040),
        ]
    );
    assert_eq!((chat.lines[0].ways.len(), chat.lines[0].shown()), (2, "Yes?"));
}

#[test]
fn a_chat_of_theirs_goes_back_with_all_that_it_had() {
    let lines = of_theirs();
    let written = objects(&read(&text_of(&lines)).to_jsonl());
    assert_eq!(written.len(), lines.len());
    for (line, written) in lines.iter().zip(&written) {
        assert_kept(line, written);
    }
}

#[test]
fn careless_files_are_read_all_the_same() {
    let text = text_of(&of_theirs());
    let chat = read(&text);
    assert_eq!(read(&format!("\u{feff}{}\r\n\r\n", text.replace('\n', "\r\n\r\n"))), chat);
    // Without a head it tells itself what it is about.
    let headless = read(&text_of(&of_theirs()[1..]));
    assert_eq!((headless.user.as_str(), headless.character.as_str()), ("Bob", "Ada"));
    assert_eq!((&headless.lines, headless.created), (&chat.lines, chat.lines[0].said));
    let nameless = read(&text_of(&[
        json!({"user_name": "unused", "character_name": "unused"}),
        json!({"mes": "Hi.", "is_user": true}),
        json!({"mes": "Yes?", "name": " "}),
    ]));
    let names: Vec<&str> = nameless.lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!((nameless.user.as_str(), names), ("User", vec!["User", "Character"]));
    assert_eq!(read("{\"chat_metadata\": {}}").lines, []);
}

#[test]
fn what_is_shown_counts() {
    let ways = |message: Value| {
        let line = only_line(&message);
        (line.ways.join(" "), line.selected)
    };
    assert_eq!(ways(json!({"mes": "c", "swipes": ["a", "b"], "swipe_id": 0})), ("c b".to_owned(), 0));
    assert_eq!(ways(json!({"mes": "b", "swipes": ["a", "b"], "swipe_id": 7})), ("a b".to_owned(), 1));
    assert_eq!(ways(json!({"mes": "c", "swipes": ["a", "b"], "swipe_id": -1})), ("a b c".to_owned(), 2));
    assert_eq!(ways(json!({"mes": "b", "swipes": ["a", "b"]})), ("a b".to_owned(), 1));
    assert_eq!(ways(json!({"swipes": ["a", null], "swipe_id": 0})), ("a ".to_owned(), 0));
    assert_eq!(ways(json!({"mes": "a", "swipes": {}, "swipe_id": "x"})), ("a".to_owned(), 0));
    // What is said of each way stays with its way.
    let about = json!([{"n": 0}, {"n": 1}, {"n": 2}]);
    let line = only_line(&json!({"mes": "b", "swipes": ["a", "b"], "swipe_id": 1, "swipe_info": about}));
    assert_eq!(line.rest["swipe_info"], json!([{"n": 0}, {"n": 1}]));
}

#[test]
fn of_too_much_the_newest_is_kept_and_the_rest_is_told() {
    let message = |number: usize| json!({"mes": number.to_string(), "is_user": true});
    let lines: Vec<Value> = (0..TURNS_MAX + 7).map(message).collect();
    let (chat, remarks) = Chat::parse(text_of(&lines).as_bytes()).expect("it is a chat");
    assert_eq!((chat.lines.len(), chat.lines[0].shown()), (TURNS_MAX, "7"));
    assert_eq!(remarks, ["its oldest 7 messages are not kept: a scene has at most 1000"]);

    let ways: Vec<String> = (0..MOST_WAYS + 10).map(|way| way.to_string()).collect();
    let about: Vec<Value> = (0..ways.len()).map(|way| json!({"n": way})).collect();
    for (selected, first) in [(0, 0), (MOST_WAYS, 1), (MOST_WAYS + 9, 10)] {
        let message =
            json!({"mes": ways[selected], "swipes": ways, "swipe_id": selected, "swipe_info": about});
        let (chat, remarks) = Chat::parse(with(&message).as_bytes()).expect("it is a chat");
        let line = &chat.lines[0];
        assert_eq!((line.ways.len(), line.shown()), (MOST_WAYS, selected.to_string().as_str()));
        assert_eq!((&line.ways[0], &line.rest["swipe_info"][0]["n"]), (&first.to_string(), &json!(first)));
        assert_eq!(remarks, ["10 of its swipes are not kept: a message has at most 50"]);
    }
}

#[test]
fn what_is_not_kept_of_a_long_chat_does_not_count() {
    let line = |name: &str, text: &str| json!({"name": name, "mes": text}).to_string();
    let old = line("Old", &"x".repeat(LARGEST_TEXT));
    let kept = (0..TURNS_MAX).map(|number| line(&format!("Ada {number}"), "y"));
    let all: Vec<String> = std::iter::repeat_n(old, 200).chain(kept).collect();
    let (chat, remarks) = Chat::parse(all.join("\n").as_bytes()).expect("what is kept is small");
    assert_eq!((chat.lines.len(), chat.is_cut, remarks.len()), (TURNS_MAX, true, 2), "{remarks:?}");
    let names: HashSet<&str> = chat.lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names.len(), NAMES_MAX + 1);
}

#[test]
fn what_is_no_chat_is_refused_in_a_sentence() {
    let long = "x".repeat(LARGEST_TEXT + 1);
    let deep = format!("{{\"mes\": {}", "[".repeat(10_000));
    for (text, expected) in [
        ("", "the chat is empty"),
        (" \n\r\n", "the chat is empty"),
        ("\n\nhello", "line 3 of the chat is not JSON (expected value)"),
        ("{\"mes\": \"cut", "line 1 of the chat is not JSON (EOF while parsing a string)"),
        (&deep, "recursion limit"),
        ("[1]", "line 1 of the chat is no message"),
        ("{\"name\": \"Ada\", \"description\": \"a card\"}", "line 1 of the chat is no message"),
        (&with(&json!({"name": "Ada"})), "line 2 of the chat is no message"),
        (&with(&json!({"mes": 3})), "line 2 of the chat is no message"),
        (&with(&json!({"mes": "a", "swipes": [3]})), "line 2 of the chat cannot be read"),
        (&with(&json!({"mes": long})), "line 2 of the chat has a text of more than 64 KB"),
        (&with(&json!({"mes": "a", "swipes": [long], "swipe_id": 5})), "more than 64 KB"),
        (&"x".repeat(LARGEST_CHAT + 1), "the chat is larger than 8 MB"),
    ] {
        let error = refused(text.as_bytes());
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
    assert!(refused(b"{\"mes\": \"\xff\"}").contains("line 1 of the chat is not JSON"));
}

fn persona(id: &str) -> Speaker {
    Speaker::Persona { id: PersonaId(id.to_owned()), version: "1".to_owned() }
}

const MEMBER: MemberId = MemberId(41_234_567_890);

/// A scene with all that can be in one.
fn scene() -> Conversation {
    let mut scene = Conversation::new(ConversationId(1), 1, 1_704_457_800, persona("ada"), "Ada");
    let greeting = scene.begin_reply(persona("ada"), "Ada", None);
    let turn = scene.turn_mut(greeting).expect("it is there");
    let way = |text: &str| Variant { text: text.to_owned(), ..Variant::default() };
    turn.variants = vec![way("Hello."), way(""), way("Yes?")];
    turn.selected = 2;
    scene.now += 60;
    scene.hear(MEMBER, "Bob", "I open the door.\nIt creaks.", Some(MessageId(51_234_567_890)));
    for (kind, text) in [(TurnKind::Narrator, "It gets dark."), (TurnKind::Note, "Bob rolled 17.")] {
        let turn = scene.hear(MEMBER, "Bob", text, None);
        scene.turn_mut(turn).expect("it is there").kind = kind;
    }
    let reply = scene.begin_reply(persona("cy"), "Cy", Some(MessageId(51_234_567_890)));
    let turn = scene.turn_mut(reply).expect("it is there");
    turn.variants = vec![way("Shut it!")];
    turn.state = TurnState::Interrupted;
    scene.begin_reply(persona("ada"), "Ada", None);
    scene.stage(staged());
    scene
}

/// Three play in it, of whom one has not spoken yet, and a character waits for somebody.
fn staged() -> Scene {
    let mut scene = Scene::new("The door", MEMBER, 0);
    let direct = |scene: &mut Scene, direction| scene.direct(MEMBER, true, direction, 0).expect("they may");
    for (id, name) in [("ada", "Ada"), ("cy", "Cy"), ("eva", "Eva of Hull")] {
        let actor = Actor {
            persona: PersonaId(id.to_owned()),
            name: name.to_owned(),
            version: "1".to_owned(),
            is_missing: false,
        };
        direct(&mut scene, Direction::Add(actor));
    }
    direct(&mut scene, Direction::Play { name: "Bob".to_owned(), description: "He is late.".to_owned() });
    direct(&mut scene, Direction::About("An office.".to_owned()));
    direct(&mut scene, Direction::Note { text: "It rains.".to_owned(), depth: Some(2) });
    scene.expect("Zoe", "", MEMBER);
    scene
}

#[test]
fn a_scene_is_written_as_they_read_it() {
    let chat = Chat::of(&scene());
    let written = chat.to_jsonl();
    assert!(!written.contains("41234567890") && !written.contains("51234567890"), "{written}");
    insta::assert_snapshot!(written, @r#"
    {"character_name":"Ada","chat_metadata":{"mummer":{"cast":[{"name":"Ada","persona":"ada"},{"name":"Cy","persona":"cy"},{"name":"Eva of Hull","persona":"eva"}],"players":[{"description":"He is late.","name":"Bob"},{"description":"","name":"Zoe"}],"title":"The door"},"note_depth":2,"note_interval":1,"note_position":1,"note_prompt":"It rains.","scenario":"An office."},"create_date":"2024-01-05T12:30:00.000Z","user_name":"Bob"}
    {"extra":{"mummer":{"persona":"ada"}},"is_system":false,"is_user":false,"mes":"Yes?","name":"Ada","original_avatar":"ada.png","send_date":"2024-01-05T12:30:00.000Z","swipe_id":1,"swipe_info":[{"extra":{"mummer":{"persona":"ada"}},"send_date":"2024-01-05T12:30:00.000Z"},{"extra":{"mummer":{"persona":"ada"}},"send_date":"2024-01-05T12:30:00.000Z"}],"swipes":["Hello.","Yes?"]}
    {"extra":{},"is_system":false,"is_user":true,"mes":"I open the door.\nIt creaks.","name":"Bob","send_date":"2024-01-05T12:31:00.000Z","swipe_id":0,"swipe_info":[{"extra":{},"send_date":"2024-01-05T12:31:00.000Z"}],"swipes":["I open the door.\nIt creaks."]}
    {"extra":{"type":"narrator"},"force_avatar":"img/five.png","is_system":false,"is_user":false,"mes":"It gets dark.","name":"Bob","send_date":"2024-01-05T12:31:00.000Z","swipe_id":0,"swipe_info":[{"extra":{"type":"narrator"},"send_date":"2024-01-05T12:31:00.000Z"}],"swipes":["It gets dark."]}
    {"extra":{"mummer":{"kind":"note"},"type":"comment"},"force_avatar":"img/quill.png","is_system":true,"is_user":false,"mes":"Bob rolled 17.","name":"Bob","send_date":"2024-01-05T12:31:00.000Z","swipe_id":0,"swipe_info":[{"extra":{"mummer":{"kind":"note"},"type":"comment"},"send_date":"2024-01-05T12:31:00.000Z"}],"swipes":["Bob rolled 17."]}
    {"extra":{"mummer":{"persona":"cy"}},"is_system":false,"is_user":false,"mes":"Shut it!","name":"Cy","original_avatar":"cy.png","send_date":"2024-01-05T12:31:00.000Z","swipe_id":0,"swipe_info":[{"extra":{"mummer":{"persona":"cy"}},"send_date":"2024-01-05T12:31:00.000Z"}],"swipes":["Shut it!"]}
    "#);
    assert_eq!(read(&written), chat);
    insta::assert_snapshot!(chat.to_text(), @r"
    Ada: Yes?

    Bob: I open the door.
    It creaks.

    It gets dark.

    [Bob rolled 17.]

    Cy: Shut it!
    ");
}

#[test]
fn a_scene_that_nobody_has_spoken_in_is_one_too() {
    let empty = Conversation::new(ConversationId(1), 1, 0, persona("ada"), "Ada");
    let chat = Chat::of(&empty);
    assert_eq!((chat.user.as_str(), chat.character.as_str()), ("User", "Character"));
    assert_eq!(chat.to_text(), "");
    assert_eq!(read(&chat.to_jsonl()), chat);
}

#[test]
fn what_another_program_has_hidden_stays_hidden_and_our_notes_come_back() {
    let chat = Chat::of(&scene());
    let mut lines = objects(&chat.to_jsonl());
    // Somebody hides what Bob said, and shows the note to their model.
    lines[2]["is_system"] = json!(true);
    lines[4]["is_system"] = json!(false);
    let back = read(&text_of(&lines));
    let whose: Vec<Who> = back.lines.iter().map(|line| line.who).collect();
    assert_eq!(whose, [Who::Character, Who::Hidden, Who::Narrator, Who::Note, Who::Character]);
    assert_eq!(back.lines[4].persona, Some(PersonaId("cy".to_owned())));
    assert_kept(&lines[2], &objects(&back.to_jsonl())[2]);
}

#[test]
fn notes_that_are_off_are_none_and_stay_where_they_were() {
    let chat = |metadata: Value| read(&json!({"chat_metadata": metadata}).to_string());
    for metadata in [
        json!({"note_prompt": "It rains.", "note_interval": 0}),
        json!({"note_prompt": " ", "note_depth": 3}),
        json!({"note_prompt": ["It rains."]}),
    ] {
        let chat = chat(metadata.clone());
        assert_eq!(chat.note, None);
        assert_kept(&metadata, &objects(&chat.to_jsonl())[0]["chat_metadata"]);
    }
    // A note that is on takes the place of one that was off.
    let off = json!({"note_prompt": "It rains.", "note_interval": 0, "note_position": 2});
    let on = Chat { note: Some(Note { text: "Briefly.".to_owned(), depth: 4 }), ..chat(off) };
    assert_eq!(read(&on.to_jsonl()).note, on.note);
    let depth =
        |depth: Value| chat(json!({"note_prompt": "x", "note_depth": depth})).note.map(|note| note.depth);
    assert_eq!([depth(json!(0)), depth(json!(null)), depth(json!(-1))], [Some(0), Some(4), Some(4)]);
}

#[test]
fn what_was_changed_is_written_as_it_is_now() {
    let mut chat = read(&text_of(&of_theirs()));
    chat.created += 60;
    chat.lines[0].said += 60;
    chat.lines[0].ways.push("Well.".to_owned());
    let (again, _) = Chat::parse(chat.to_jsonl().as_bytes()).expect("it is a chat");
    assert_eq!((again.created, again.lines[0].said), (chat.created, chat.lines[0].said));
    assert_eq!(again.lines[0].ways, ["Hello.", "Yes?", "Well."]);
    assert_eq!(again.lines[0].rest["swipe_info"].as_array().map(Vec::len), Some(3));
}

#[test]
fn what_only_mummer_knows_is_bounded_and_need_not_make_sense() {
    let parse = |ours: Value| {
        let head = json!({"user_name": "Bob", "character_name": "Ada", "chat_metadata": {"mummer": ours}});
        Chat::parse(head.to_string().as_bytes()).expect("it is a chat")
    };
    for ours in [
        json!([1]),
        json!({"title": 3, "cast": "Ada", "players": {"name": "Bob"}}),
        json!({"cast": [null, 1, {"name": " "}, {"persona": "ada"}], "players": [[], {"description": "x"}]}),
    ] {
        let (chat, remarks) = parse(ours);
        assert_eq!((chat.title.as_str(), chat.cast, chat.players, remarks), ("", vec![], vec![], vec![]));
    }
    let many: Vec<Value> = (0..30).map(|number| json!({"name": number.to_string()})).collect();
    let (chat, remarks) = parse(json!({"cast": many, "players": many, "new": true}));
    assert_eq!((chat.cast.len(), chat.players.len()), (8, 25));
    assert_eq!(
        remarks,
        [
            "22 of its personas are not kept: a scene has at most 8",
            "5 of its players are not kept: a scene has at most 25"
        ]
    );
    // What a later Mummer knows comes back.
    assert_eq!(objects(&chat.to_jsonl())[0]["chat_metadata"]["mummer"]["new"], json!(true));
}

#[test]
fn too_much_of_what_another_program_says_is_left_out_and_that_is_told() {
    let long = "x".repeat(LARGEST_REST);
    let text = text_of(&[
        json!({"user_name": "Bob", "character_name": "Ada", "vendor": long}),
        json!({"name": "Bob", "mes": "hidden", "is_user": true, "is_system": true, "extra": {"x": long}}),
        json!({"name": "Ada", "mes": "Yes?", "extra": {"x": long[..LARGEST_REST / 2]}}),
    ]);
    let (chat, remarks) = Chat::parse(text.as_bytes()).expect("it is a chat");
    assert_eq!(
        remarks,
        [
            "of 1 of its messages only the text is kept: what another program says of them is larger than 16 KB",
            "what another program says of the whole chat is not kept: it is larger than 16 KB"
        ]
    );
    assert_eq!(
        chat.lines[0].rest,
        Map::from_iter([("is_user".to_owned(), json!(true))]),
        "it is still theirs"
    );
    assert!(chat.rest.is_empty() && chat.lines[1].rest.contains_key("extra"));
    assert_eq!(read(&chat.to_jsonl()), chat);
}

#[test]
fn a_line_that_says_something_else_loses_what_was_said_of_it() {
    let mut scene = scene();
    let rest = json!({"swipe_info": [{}, {}, {}], "gen_started": "x", "force_avatar": "a.png",
                      "extra": {"display_text": "Oui ?", "mummer": {"new": 1}}});
    let id = scene.turns()[0].id;
    let turn = scene.turn_mut(id).expect("it is there");
    turn.carry(rest.to_string(), MemberId(1));
    let kept = Chat::of(&scene).lines.remove(0);
    assert_eq!((json!(kept.rest), kept.ways.len()), (rest, 3), "blank ways are counted");
    let turn = scene.turn_mut(id).expect("it is there");
    turn.shown_mut().text = "No.".to_owned();
    let left = Chat::of(&scene).lines.remove(0);
    assert_eq!(json!(left.rest), json!({"force_avatar": "a.png", "extra": {"mummer": {"new": 1}}}));
}

#[test]
fn what_is_hidden_is_shown_to_whoever_reads_the_scene_and_to_no_model() {
    let mut scene = scene();
    let hidden = scene.hear(MEMBER, "Bob", "  A secret.\n", None);
    scene.turn_mut(hidden).expect("it is there").kind = TurnKind::Hidden;
    let chat = Chat::of(&scene);
    assert_eq!(chat.lines.last().map(|line| line.who), Some(Who::Hidden));
    assert!(chat.to_text().ends_with("Bob: A secret.\n"));
    let ada =
        crate::persona::Persona::from_toml("ada", "name = 'Ada'\ndescription = 'x'").expect("it parses");
    let slots = crate::chat::slots::Slots::fill(&ada, &scene, "", &Activation::default());
    let prompt = format!("{:?}", crate::chat::template::alpaca(&slots));
    assert!(prompt.contains("It creaks.") && !prompt.contains("secret"), "{prompt}");
    // Nor does a summary know of it.
    scene.cut.first_turn = hidden.0 + 1;
    let Some(crate::chat::memory::Due::Turns(due)) = scene.due() else { panic!("something is due") };
    assert!(due.len() > 2 && !due.contains(&hidden));
    assert_eq!(scene.last_spoken(), Some(&PersonaId("ada".to_owned())));
}

/// What Mummer does not know.
fn unknown() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        prop::collection::vec(any::<bool>(), 0..3).prop_map(Value::from),
    ];
    prop::collection::btree_map("[a-z]{14,16}", value, 0..3).prop_map(|map| map.into_iter().collect())
}

/// What Mummer does not know of an object, and of one in it.
fn unknown_within(key: &'static str) -> impl Strategy<Value = Map<String, Value>> {
    (unknown(), unknown()).prop_map(move |(mut outer, inner)| {
        put_object(&mut outer, key, inner);
        outer
    })
}

fn line() -> impl Strategy<Value = Line> {
    let who = select(&[Who::User, Who::Character, Who::Narrator, Who::Note, Who::Hidden][..]);
    let ways = prop::collection::vec("[^\u{0}]{0,20}|\\PC{0,9}\n\\PC{0,9}", 1..4);
    let persona = prop::option::of("[a-z/ü.-]{0,8}".prop_map(PersonaId));
    ("[a-zÄ:\" ]{0,5}[a-z]", who, persona, 0..=LATEST, ways, any::<Index>(), unknown_within("extra"))
        .prop_map(|(name, who, persona, said, ways, selected, rest)| {
            let selected = selected.index(ways.len());
            Line { name, who, persona, said, ways, selected, rest }
        })
}

fn chat() -> impl Strategy<Value = Chat> {
    let note = prop::option::of(("\\PC{0,9}[a-z]", 0..9usize).prop_map(|(text, depth)| Note { text, depth }));
    let lines = prop::collection::vec(line(), 0..5);
    let name = || "[A-Z]\\PC{0,9}";
    let role = (name(), prop::option::of("[a-z/ü.-]{0,8}".prop_map(PersonaId)))
        .prop_map(|(name, persona)| Role { name, persona });
    let player = (name(), "\\PC{0,9}").prop_map(|(name, description)| Character { name, description });
    let cast = prop::collection::vec(role, 0..8);
    let ours = ("\\PC{0,9}", cast, prop::collection::vec(player, 0..25));
    (name(), name(), 0..=LATEST, "\\PC{0,9}", note, lines, unknown_within("chat_metadata"), ours).prop_map(
        |(user, character, created, scenario, note, lines, rest, (title, cast, players))| Chat {
            user,
            character,
            created,
            scenario,
            note,
            title,
            cast,
            players,
            is_cut: false,
            lines,
            rest,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(chat in chat()) {
        let text = chat.to_jsonl();
        prop_assert_eq!(text.lines().count(), chat.lines.len() + 1, "a message is a line");
        prop_assert_eq!(Chat::parse(text.as_bytes()), Ok((chat, Vec::new())));
    }

    /// What is taken in and given back is what it was, where each name is one person's, no text begins or ends with white space,
    /// is blank or has macros in it, and no line is older than the one before it: all that Mummer does not take as it is.
    #[test]
    fn what_is_taken_in_is_given_back(mut chat in chat()) {
        let mut before = 0;
        for (number, line) in chat.lines.iter_mut().enumerate() {
            let names = match line.who {
                Who::User => ["Bob", "Zoe"],
                Who::Character => ["Ada", "Zed"],
                Who::Narrator | Who::Note | Who::Hidden => ["Bob", "Ada"],
            };
            names[number % 2].clone_into(&mut line.name);
            line.persona = (line.name == "Ada").then(|| PersonaId("ada".to_owned()));
            before = before.max(line.said);
            line.said = before;
            for way in &mut line.ways {
                *way = format!("{}.", way.replace(['{', '}', '<', '>'], "")).trim().to_owned();
            }
        }
        let (scenario, title) = (String::new(), String::new());
        chat = Chat { note: None, scenario, title, cast: Vec::new(), players: Vec::new(), ..chat };
        (chat.user, chat.character) = ("Bob".to_owned(), "Ada".to_owned());
        chat.created = chat.created.max(1);
        let ada = persona("ada");
        let mut scene = Conversation::new(ConversationId(1), 1, 0, ada.clone(), "Ada");
        let known = |role: &Role| (role.name == "Ada").then(|| (ada.clone(), "Ada".to_owned()));
        chat.take_in(&mut scene, (MEMBER, &crate::chat::blocklist::Blocklist::default()), known, (LATEST, false));
        let mut staged = Scene::new("", MEMBER, 0);
        staged.players[0].name = Some("Bob".to_owned());
        staged.carried = Some(Written { text: json!(chat.rest).to_string(), by: MEMBER });
        scene.stage(staged);
        let mut given_back = Chat::of(&scene);
        given_back.character.clone_from(&chat.character);
        prop_assert_eq!(given_back, chat);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Chat::parse(&[b"{\"mes\": \"x\"}\n", &bytes[..]].concat());
    }
}
