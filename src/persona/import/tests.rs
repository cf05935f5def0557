//! Each form in, and back out unharmed.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::persona::lorebook::{Entry, Position};
use crate::persona::{Kind, Note, SamplingWish};

fn persona(bytes: &[u8]) -> (Card, Option<Vec<u8>>, Vec<String>) {
    match import(bytes).expect("it is imported") {
        Imported::Persona { card, avatar, remarks } => (*card, avatar, remarks),
        Imported::Lorebook(book) => panic!("{book:?}"),
    }
}

fn of_json(json: &Value) -> Card {
    persona(json.to_string().as_bytes()).0
}

fn refused(bytes: &[u8]) -> String {
    import(bytes).expect_err("it is refused").to_string()
}

/// The smallest picture: one grey pixel.
fn pixel() -> Vec<u8> {
    let mut bytes = picture::SIGNATURE.to_vec();
    for (kind, data) in [
        (b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0][..]),
        (b"IDAT", &[0x78, 0x9c, 0x63, 0x68, 0, 0, 0, 0x82, 0, 0x81]),
        (b"IEND", &[]),
    ] {
        bytes.extend(u32::try_from(data.len()).expect("it is small").to_be_bytes());
        let mut crc = crc32fast::Hasher::new();
        for part in [&kind[..], data] {
            crc.update(part);
            bytes.extend(part);
        }
        bytes.extend(crc.finalize().to_be_bytes());
    }
    bytes
}

fn charx(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).expect("a file");
        archive.write_all(bytes).expect("it is written");
    }
    archive.finish().expect("an archive").into_inner()
}

fn v3() -> Value {
    json!({
        "spec": "chara_card_v3", "spec_version": "3.0", "beside": [1, null],
        "data": {
            "name": "Ada", "description": "An engineer.", "personality": "Dry.", "scenario": "An office.",
            "first_mes": "Hello.", "mes_example": "<START>\n{{user}}: Hi.\n{{char}}: Hm.\n<start>\n{{char}}: Well.",
            "creator_notes": "For tests.", "system_prompt": "{{original}} Be dry.", "post_history_instructions": "Dry!",
            "alternate_greetings": ["Yes?"], "tags": ["a", "b"], "creator": "us", "character_version": "7",
            "nickname": "Countess", "group_only_greetings": [], "creation_date": 3, "source": null,
            "assets": [{"type": "icon", "uri": "ccdefault:", "name": "main", "ext": "png"}],
            "extensions": {"depth_prompt": {"prompt": "It rains.", "depth": 2, "role": "user"},
                           "fav": false, "other/thing": {"x": [null, {"y": 1.5}]}},
            "character_book": {"extensions": {}, "entries": [
                {"keys": ["engine"], "content": "It computes.", "extensions": {"z": 1}, "enabled": true,
                 "insertion_order": 1, "use_regex": false, "unknown": null}]},
            "future": {"field": null},
        },
    })
}

#[test]
fn every_field_that_is_played_is_read() {
    let card = of_json(&v3());
    assert_eq!(card.nickname, "Countess");
    assert_eq!(card.examples, ["{{user}}: Hi.\n{{char}}: Hm.", "{{char}}: Well."]);
    assert_eq!(card.note, Some(Note { text: "It rains.".to_owned(), depth: 2 }));
    assert_eq!(card.alternate_greetings, ["Yes?"]);
    assert_eq!((card.system_prompt.as_str(), card.post_history.as_str()), ("{{original}} Be dry.", "Dry!"));
    let entry = Entry {
        keys: vec!["engine".to_owned()],
        content: "It computes.".to_owned(),
        order: 1,
        position: Position::AfterPersona,
        ..Entry::default()
    };
    assert_eq!(card.lorebook.expect("a book").entries, [entry]);
}

#[test]
fn older_forms_are_read() {
    let v1 = json!({"name": "Ada", "description": "D", "personality": "P", "scenario": "S", "first_mes": "F",
                    "mes_example": "E"});
    let pygmalion = json!({"char_name": "Ada", "char_persona": "D", "char_greeting": "F", "world_scenario": "S",
                           "example_dialogue": "E", "personality": "P"});
    for document in [v1, pygmalion] {
        let card = of_json(&document);
        let texts = [&card.name, &card.description, &card.personality, &card.scenario, &card.greeting];
        assert_eq!(texts, ["Ada", "D", "P", "S", "F"]);
        assert_eq!(card.examples, ["E"]);
    }
    let mut v2 = v3();
    v2["spec"] = json!("chara_card_v2");
    v2["spec_version"] = json!("2.0");
    assert_eq!(of_json(&v2).name, "Ada");
}

#[test]
fn newer_cards_are_taken_with_a_remark() {
    let mut newer = v3();
    newer["spec_version"] = json!("3.1");
    let (card, _, remarks) = persona(newer.to_string().as_bytes());
    assert!(card.name == "Ada" && remarks.len() == 1 && remarks[0].contains("3.1"), "{remarks:?}");
}

#[test]
fn what_came_in_goes_out() {
    for spec in [Spec::V2, Spec::V3] {
        let card = of_json(&v3());
        let out: Value = serde_json::from_str(&to_json(&card, spec)).expect("it is JSON");
        let mut expected = v3();
        if spec == Spec::V2 {
            expected["spec"] = json!("chara_card_v2");
            expected["spec_version"] = json!("2.0");
        }
        assert_eq!(out, expected);
    }
}

#[test]
fn only_what_was_changed_is_changed() {
    let mut card = of_json(&v3());
    card.description = "A countess.".to_owned();
    card.nickname.clear();
    card.note = None;
    card.kind = Kind::Assistant;
    let out: Value = serde_json::from_str(&to_json(&card, Spec::V3)).expect("it is JSON");
    let mut expected = v3();
    let data = expected["data"].as_object_mut().expect("an object");
    data.insert("description".to_owned(), json!("A countess."));
    data.remove("nickname");
    let extensions = data["extensions"].as_object_mut().expect("an object");
    extensions.remove("depth_prompt");
    extensions.insert("mummer".to_owned(), json!({"kind": "assistant"}));
    assert_eq!(out, expected);
    assert_eq!(Card { original: None, ..of_json(&out) }.kind, Kind::Assistant);
}

#[test]
fn a_picture_keeps_its_pixels_and_holds_both_versions() {
    let card = of_json(&v3());
    let once = to_png(&card, Some(&pixel())).expect("it is written");
    let twice = to_png(&card, Some(&once)).expect("it is written");
    assert_eq!(once, twice, "old cards go");
    let (back, avatar, _) = persona(&once);
    assert_eq!(back, card);
    assert_eq!(picture::with_cards(&avatar.expect("a picture"), &[]).expect("it is one"), pixel());
    let (back, avatar, _) = persona(&to_png(&card, None).expect("it is written"));
    assert!(
        back == card && avatar.is_some_and(|avatar| avatar.len() > once.len() / 2),
        "a plain square is one too"
    );
    let only_v2 =
        picture::with_cards(&pixel(), &[("Chara", to_json(&card, Spec::V2))]).expect("it is written");
    assert_eq!(persona(&only_v2).0.name, "Ada");
}

#[test]
fn a_charx_archive_brings_its_card_and_its_avatar() {
    let mut document = v3();
    document["data"]["assets"] = json!([
        {"type": "icon", "uri": "embeded://assets/other.png", "name": "other", "ext": "png"},
        {"type": "icon", "uri": "embeded://assets/icon.png", "name": "main", "ext": "png"},
    ]);
    let json = document.to_string();
    let bytes = charx(&[("card.json", json.as_bytes()), ("assets/icon.png", &pixel()), ("../../evil", b"x")]);
    let (card, avatar, remarks) = persona(&bytes);
    assert_eq!((card.name.as_str(), avatar), ("Ada", Some(pixel())));
    assert_eq!(remarks, ["1 more files lie in the archive, and are not kept"]);
    document["data"]["assets"][1]["uri"] = json!("https://example.org/icon.png");
    let (_, avatar, remarks) = persona(&charx(&[("card.json", document.to_string().as_bytes())]));
    let [elsewhere, absent] = &remarks[..] else { panic!("{remarks:?}") };
    assert!(avatar.is_none() && elsewhere.contains("https://example.org") && absent.contains("other.png"));
    let within = format!("data:image/png;base64,{}", general_purpose::STANDARD_NO_PAD.encode(pixel()));
    document["data"]["assets"][1]["uri"] = json!(within);
    let (_, avatar, remarks) = persona(&charx(&[("card.json", document.to_string().as_bytes())]));
    assert_eq!((avatar, remarks), (Some(pixel()), Vec::new()));
}

#[test]
fn lorebooks_are_told_from_cards() {
    let entries = json!({"0": {"key": ["moon"], "content": "x"}});
    for document in [
        json!({"entries": entries}),
        json!({"spec": "lorebook_v3", "data": {"entries": [{"keys": ["moon"], "content": "x"}]}}),
    ] {
        let imported = import(document.to_string().as_bytes()).expect("it is imported");
        let Imported::Lorebook(book) = imported else { panic!("{imported:?}") };
        assert_eq!(book.entries[0].keys, ["moon"]);
    }
}

#[test]
fn persona_files_hold_all_of_it() {
    let with_everything = Card {
        sampling: SamplingWish { temperature: Some(0.5), ..SamplingWish::default() },
        aliases: vec!["Countess of Lovelace".to_owned()],
        summary_prompt: "As a diary. {{original}}".to_owned(),
        ..of_json(&v3())
    };
    let text = to_toml(&with_everything).expect("it is TOML");
    assert_eq!(persona(text.as_bytes()).0, with_everything);
    // A card holds it too, among the extensions.
    let card = of_json(&serde_json::from_str(&to_json(&with_everything, Spec::V2)).expect("it is JSON"));
    assert_eq!(
        (card.summary_prompt, card.aliases),
        (with_everything.summary_prompt, with_everything.aliases)
    );
    let small = persona(b"name = 'Ada'\ndescription = 'x'\n").0;
    assert_eq!(to_toml(&small).expect("it is TOML"), "name = \"Ada\"\ndescription = \"x\"\n");
}

#[test]
fn what_others_write_carelessly_is_read() {
    for (text, name) in [
        ("{\"name\": \" Ada\\n\", \"description\": \"x\"}", "Ada"),
        ("{\"name\": \"A\u{200b}da\", \"description\": \"x\"}", "Ada"),
        ("\u{feff}{\"name\": \"Ada\", \"first_mes\": \"x\"}", "Ada"),
        ("{\"name\": \"Ada\", \"mes_example\": \"x\", \"data\": {}}", "Ada"),
        ("{\"spec_version\": \"v2.0\", \"name\": \"Ada\", \"description\": \"x\"}", "Ada"),
    ] {
        assert_eq!(persona(text.as_bytes()).0.name, name, "{text}");
    }
    let of = |text: &str| -> Value { serde_json::from_str(text).expect("it is JSON") };
    let one = of(r#"{"name": "Ada", "description": "x", "alternate_greetings": "Hello, there"}"#);
    assert_eq!(of_json(&one).alternate_greetings, ["Hello, there"]);
    let cards = [("chara", v3().to_string()), ("ccv3", "{".to_owned())];
    let picture = picture::with_cards(&pixel(), &cards).expect("a picture");
    assert_eq!(persona(&picture).0.name, "Ada", "the other card is whole");
}

#[test]
fn of_a_book_only_what_was_changed_is_changed() {
    let mut document = v3();
    document["data"]["character_book"]["description"] = json!("Kept.");
    document["data"]["character_book"]["entries"] = json!([
        {"keys": ["a"], "content": "one", "extensions": {"display_index": 4, "probability": 100}, "enabled": true,
         "insertion_order": 1, "id": 17},
        {"keys": ["b"], "content": "two", "extensions": {"role": 2}, "enabled": true, "insertion_order": 2, "vendor": null},
    ]);
    let toml =
        to_toml(&of_json(&document)).expect("it is TOML").replace("content = \"one\"", "content = \"three\"");
    let out: Value =
        serde_json::from_str(&to_json(&persona(toml.as_bytes()).0, Spec::V3)).expect("it is JSON");
    document["data"]["character_book"]["entries"][0]["content"] = json!("three");
    assert_eq!(out["data"]["character_book"], document["data"]["character_book"]);
}

#[test]
fn what_is_no_card_is_refused_in_a_sentence() {
    let deep = format!("{{\"name\": {}", "[".repeat(10_000));
    let cut = &to_png(&of_json(&v3()), Some(&pixel())).expect("a picture")[..100];
    let mut damaged = to_png(&of_json(&v3()), Some(&pixel())).expect("a picture");
    damaged[50] ^= 1;
    let not_base64 = {
        let mut bytes = picture::with_cards(&pixel(), &[("chara", "{}".to_owned())]).expect("a picture");
        let at = bytes.windows(4).position(|window| window == b"e30=").expect("it is there");
        bytes[at] = b'!';
        let start = at - "tEXtchara\0".len();
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[start..at + 4]);
        let sum = crc.finalize().to_be_bytes();
        bytes[at + 4..at + 8].copy_from_slice(&sum);
        bytes
    };
    let bomb = charx(&[("card.json", &vec![b' '; LARGEST_CARD + 1])]);
    for (bytes, expected) in [
        (&b"{}"[..], "neither a character card nor a lorebook"),
        (b"[1]", "does not parse"),
        (b"\xff\xfe", "neither JSON nor PNG"),
        (b"name = 'Ada'", "description"),
        (b"{\"name\": \"Ada\", \"description\":", "its JSON does not parse: EOF"),
        (deep.as_bytes(), "recursion limit"),
        (br#"{"name": "Ada", "description": "x", "personality": {}}"#, "personality is no text"),
        (br#"{"name": " ", "description": "x"}"#, "name is empty"),
        (b"{\"name\": \"###\", \"description\": \"x\"}", "no letter or digit"),
        ("{\"name\": \"A\u{202e}da\", \"description\": \"x\"}".as_bytes(), "cannot be seen"),
        (br#"{"name": "A\u0000da", "description": "x"}"#, "cannot be seen"),
        (&pixel(), "holds no character card"),
        (cut, "cut short"),
        (&damaged, "checksum"),
        (&not_base64, "is not base64"),
        (&charx(&[("other.json", b"{}")]), "no card.json"),
        (b"PK\x03\x04", "archive cannot be read"),
        (&bomb, "larger than 8 MB"),
        (&vec![b'x'; LARGEST_FILE + 1], "the file is larger than 32 MB"),
    ] {
        let error = refused(bytes);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

/// JSON of whatever shape.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1_000i64..1_000).prop_map(Value::from),
        "[a-z<>{} ]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_a_card_brings_it_takes_home(
        unknown in prop::collection::btree_map("[a-z]{9,12}", anything(), 0..4),
        extensions in prop::collection::btree_map("[a-z]{9,12}", anything(), 0..4),
        texts in prop::collection::btree_map(
            prop::sample::select(vec!["description", "personality", "scenario", "first_mes", "mes_example", "creator_notes"]),
            "[a-zA-Z<>{}\n ]{0,20}|<START>", 0..6),
        nested in any::<bool>(),
    ) {
        let mut data: Map<String, Value> = unknown.into_iter().collect();
        data.insert("name".to_owned(), json!("Ada"));
        data.insert("system_prompt".to_owned(), json!("Be dry."));
        data.insert("description".to_owned(), json!("x"));
        data.insert("extensions".to_owned(), Value::Object(extensions.into_iter().collect()));
        data.extend(texts.into_iter().map(|(key, text)| (key.to_owned(), json!(text))));
        let document = if nested { json!({"data": data, "beside": 1}) } else { Value::Object(data.clone()) };
        let card = of_json(&document);
        for spec in [Spec::V2, Spec::V3] {
            let text = to_json(&card, spec);
            let out: Value = serde_json::from_str(&text).expect("it is JSON");
            for (key, value) in &data {
                prop_assert_eq!(&out["data"][key], value, "{}", key);
            }
            prop_assert!(!nested || out["beside"] == 1);
            let again = of_json(&out);
            prop_assert_eq!(to_json(&again, spec), text);
            prop_assert_eq!(Card { original: None, ..again }, Card { original: None, ..card.clone() });
        }
        let toml = to_toml(&card).expect("it is TOML");
        let (again, ..) = persona(toml.as_bytes());
        prop_assert_eq!(to_json(&again, Spec::V3), to_json(&card, Spec::V3));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), form in 0..3usize) {
        let head: &[u8] = [&b"\x89PNG\r\n\x1a\n"[..], b"PK\x03\x04", b"{"][form];
        let _ = import(&[head, &bytes].concat());
    }
}
