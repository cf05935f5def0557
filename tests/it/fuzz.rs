//! Fuzz targets for whatever strangers bring: cards, pictures, archives, lorebooks, macros. Each begins with something
//! that is right and spoils it; nothing may panic, take long, or grow without bounds. `PROPTEST_CASES` says how often each
//! is tried (256 times unless told); a failing seed is printed, and kept beside the test.

use std::io::{Cursor, Write as _};

use base64::Engine as _;
use image::{ImageFormat, RgbImage};
use mummer::chat::MemberId;
use mummer::chat::history::{Conversation, ConversationId, Speaker};
use mummer::chat::tavern::{Chat, LATEST};
use mummer::generation::bundle::Bundle;
use mummer::persona::Persona;
use mummer::persona::archive::{Scene, pack};
use mummer::persona::import::{Imported, Spec, import, to_json, to_png, to_toml};
use mummer::persona::lorebook::{Entry, Logic, Lore, Lorebook, Position, Recursion, Scan, Timed, Timing};
use mummer::persona::macros::{self, Chance, Context};
use mummer::persona::portrait::portrait;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

/// Something that happens to bytes.
#[derive(Debug, Clone)]
enum Harm {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, Index),
    Repeat(Index, Index, usize),
}

/// What parsers stumble over.
const DICTIONARY: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"null",
    b"-1",
    b"1e999",
    b"\\u0000",
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"{{",
    b"}}",
    b"<START>",
    b"###",
    b"@@",
    b"/(a|b)*/",
    b"IEND",
    b"tEXt",
    b"chara\0",
    b"ccv3\0",
    b"\xff\xff\xff\xff",
    b"../",
    b"\0",
];

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Harm::Set(at, byte)),
        (any::<Index>(), select(&DICTIONARY[..])).prop_map(|(at, word)| Harm::Insert(at, word.to_vec())),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Harm::Cut(from, to)),
        (any::<Index>(), any::<Index>(), 1..200usize)
            .prop_map(|(from, to, times)| Harm::Repeat(from, to, times)),
    ]
}

fn harms() -> impl Strategy<Value = Vec<Harm>> {
    prop::collection::vec(harm(), 1..6)
}

fn spoilt(mut bytes: Vec<u8>, harms: &[Harm]) -> Vec<u8> {
    for harm in harms {
        let place = |index: &Index| index.index(bytes.len() + 1);
        match harm {
            Harm::Set(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Harm::Set(..) => {}
            Harm::Insert(at, word) => {
                let at = place(at);
                bytes.splice(at..at, word.iter().copied());
            }
            Harm::Cut(one, other) | Harm::Repeat(one, other, _) => {
                let (from, to) = (place(one).min(place(other)), place(one).max(place(other)));
                let part = bytes[from..to].to_vec();
                let times = if let Harm::Repeat(.., times) = harm { *times } else { 0 };
                // Enough to be a nuisance, and not more than a test has time for.
                let times = times.min((64 << 10) / part.len().max(1));
                bytes.splice(from..to, part.repeat(times));
            }
        }
    }
    bytes
}

fn card() -> serde_json::Value {
    json!({
        "spec": "chara_card_v3", "spec_version": "3.0",
        "data": {
            "name": "Ada", "nickname": "A", "description": "{{char}} counts.", "first_mes": "Hello, {{user}}.",
            "mes_example": "<START>\n{{user}}: Hi.\n{{char}}: Hm.", "alternate_greetings": ["Oh."],
            "extensions": {"depth_prompt": {"prompt": "It rains.", "depth": 2, "role": "system"}, "mummer": {"kind": "roleplay"}},
            "assets": [{"type": "icon", "uri": "embeded://assets/main.png", "name": "main", "ext": "png"}],
            "character_book": {"scan_depth": 3, "entries": [
                {"keys": ["moon", "/m[ao]+n/i"], "content": "@@depth 2\nIt is full.", "enabled": true, "insertion_order": 3,
                 "extensions": {"position": 4, "depth": 1, "probability": 50, "selectiveLogic": 2, "sticky": 3}}]},
        },
    })
}

/// Reads bytes that may be anything; what can be read can be written, and read again.
fn check(bytes: &[u8]) {
    let Ok(Imported::Persona { card, avatar, .. }) = import(bytes) else { return };
    for spec in [Spec::V2, Spec::V3] {
        assert!(import(to_json(&card, spec).as_bytes()).is_ok(), "what was written cannot be read: {card:?}");
    }
    assert!(import(&to_png(&card, avatar.as_deref()).expect("it is drawn")).is_ok());
    // What TOML cannot hold is refused in a sentence.
    if let Ok(toml) = to_toml(&card) {
        assert!(Persona::from_toml("id", &toml).is_ok(), "what was written cannot be read: {toml}");
    }
}

/// A chat as another program writes it.
fn chat() -> String {
    let lines = [
        json!({"user_name": "Bob", "character_name": "Ada", "create_date": "2024-1-5@12h30m15s123ms",
               "chat_metadata": {"note_prompt": "It rains.", "note_depth": 2, "note_interval": 1, "integrity": "a",
                                 "mummer": {"title": "Storm", "cast": [{"name": "Ada", "persona": "ada"}],
                                            "players": [{"name": "Bob", "description": "A ferryman."}]}}}),
        json!({"name": "Ada", "is_user": false, "is_system": false, "send_date": "January 5, 2024 12:30pm", "mes": "Yes?",
               "swipes": ["Hello.", "Yes?"], "swipe_id": 1, "swipe_info": [{"extra": {}}, {}],
               "extra": {"mummer": {"persona": "ada"}, "api": "x"}}),
        json!({"name": "Bob", "is_user": true, "is_system": false, "send_date": 1_704_457_900_123_u64, "mes": "Hi."}),
        json!({"name": "System", "send_date": "2024-01-05T12:32:00+02:00", "mes": "It gets dark.",
               "extra": {"type": "narrator"}}),
        json!({"name": "Note", "is_system": true, "mes": "Bob rolled 17.", "extra": {"mummer": {"kind": "note"}}}),
        json!({"name": "Bob", "is_system": true, "is_user": true, "mes": "Hidden.", "extra": {"bookmark": 1}}),
    ];
    lines.map(|line| line.to_string()).join("\n")
}

/// A chunk of a picture, whose checksum is right.
fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("it is small").to_be_bytes();
    let body = [&kind[..], data].concat();
    [&length[..], &body, &crc32fast::hash(&body).to_be_bytes()].concat()
}

fn entry() -> impl Strategy<Value = Entry> {
    let key = || {
        prop_oneof![
            "[a-c ]{0,4}",
            "/[a-c.*+?()|]{0,8}/[imsu]{0,2}",
            Just("/(a*)*b/".to_owned()),
            Just("/(?=a)/".to_owned()),
            Just("ÄÖ".to_owned()),
        ]
    };
    let keys = || prop::collection::vec(key(), 0..4);
    let content = "(@@(activate|dont_activate|depth [0-9]|only_every 0|is_greeting 1|@x|additional_keys a,b)\n){0,3}[a-c \n]{0,20}";
    let position = prop_oneof![
        Just(Position::BeforePersona),
        Just(Position::NoteTop),
        (0..9usize).prop_map(Position::AtDepth)
    ];
    let numbers = (any::<i64>(), any::<i64>(), -10.0..110.0f64, any::<u32>(), prop::option::of(0..9usize));
    let flags = prop::collection::vec(any::<bool>(), 7);
    let times =
        (prop_oneof![0..4u64, Just(u64::MAX)], prop_oneof![0..4u64, Just(u64::MAX)], 0..4u64, 0..4usize);
    let logic = select(&[Logic::AndAny, Logic::NotAll, Logic::NotAny, Logic::AndAll][..]);
    (keys(), keys(), content, position, numbers, flags, times, logic, prop::collection::vec("[gh]", 0..3))
        .prop_map(|(keys, secondary_keys, content, position, numbers, flags, times, logic, groups)| {
            let (order, priority, probability, group_weight, scan_depth) = numbers;
            let (sticky, cooldown, delay, delay_until) = times;
            Entry {
                name: String::new(),
                keys,
                secondary_keys,
                selective: flags[0],
                logic,
                content,
                enabled: true,
                constant: flags[1],
                case_sensitive: flags[2],
                whole_words: flags[3],
                order,
                priority,
                position,
                probability,
                groups,
                group_override: flags[4],
                group_weight,
                scan_depth,
                recursion: Recursion { exclude: flags[5], prevent: flags[6], delay_until },
                timing: Timing { sticky, cooldown, delay },
            }
        })
}

proptest! {
    #[test]
    fn pictures_become_small_ones_of_ours_or_nothing(
        format in select(&[ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP][..]),
        harms in harms(),
    ) {
        let mut picture = Vec::new();
        RgbImage::from_fn(24, 16, |x, y| image::Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 7]))
            .write_to(&mut Cursor::new(&mut picture), format)
            .expect("it is drawn");
        if let Ok(kept) = portrait(&spoilt(picture, &harms)) {
            prop_assert!(kept.len() <= 256 << 10);
            prop_assert_eq!(portrait(&kept).expect("it is one of ours"), kept);
        }
    }

    #[test]
    fn bug_bundles(harms in harms()) {
        let bundle = json!({
            "format": 1, "machine": "Mummer", "model": "m", "context_length": 64, "remarks": [], "explanation": "",
            "text": "Aye.", "ids": [5, 6], "finish": "eos", "stop": ["\nBob:"], "min_tokens": 1, "max_tokens": 9,
            "sampling": {
                "temperature": 0.5, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0, "repetition_window": 64,
                "frequency_penalty": 0.0, "presence_penalty": 0.0, "banned": [], "seed": 7,
            },
            "is_exact": true, "prompt_tokens": 3,
            "prompt": [{"template": "###"}, {"text": "hi"}, {"generated": {"text": " Hm.", "ids": [7, 8]}}],
        });
        let bytes = bundle.to_string().into_bytes();
        prop_assert!(Bundle::read(&bytes).is_ok());
        match Bundle::read(&spoilt(bytes, &harms)) {
            // What overflows is written as nothing, and what is nothing is no number.
            Ok(read) if read.sampling.temperature.is_finite() => {
                let _ = read.request();
                let _ = read.chosen(2);
            }
            Ok(_) => {}
            Err(unreadable) => prop_assert_eq!(unreadable.to_string().lines().count(), 1),
        }
    }

    #[test]
    fn cards(harms in harms()) {
        check(&spoilt(card().to_string().into_bytes(), &harms));
    }

    #[test]
    fn persona_files(harms in harms()) {
        let Ok(Imported::Persona { card, .. }) = import(card().to_string().as_bytes()) else { unreachable!() };
        check(&spoilt(to_toml(&card).expect("it is TOML").into_bytes(), &harms));
    }

    /// Chunks in any order, each spoilt or not, and then perhaps the whole.
    #[test]
    fn pictures(
        order in prop::collection::vec((0..5usize, prop::option::weighted(0.3, harms())), 0..7),
        whole in prop::option::weighted(0.3, harms()),
    ) {
        let text = base64::engine::general_purpose::STANDARD.encode(card().to_string());
        let header = [0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0];
        let parts: [([u8; 4], Vec<u8>); 5] = [
            (*b"tEXt", [b"chara\0", text.as_bytes()].concat()),
            (*b"tEXt", [b"ccv3\0", text.as_bytes()].concat()),
            (*b"IHDR", header.to_vec()),
            (*b"IDAT", vec![0; 9]),
            (*b"IEND", Vec::new()),
        ];
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        for (part, harms) in order {
            let (kind, data) = &parts[part];
            bytes.extend(chunk(*kind, &spoilt(data.clone(), &harms.unwrap_or_default())));
        }
        bytes.extend(chunk(*b"IEND", &[]));
        check(&spoilt(bytes, &whole.unwrap_or_default()));
    }

    #[test]
    fn archives(
        name in "(card.json|\\.\\./card.json|/card.json|a{0,3}/?)",
        content in prop::option::weighted(0.5, harms()),
        whole in prop::option::weighted(0.5, harms()),
    ) {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (name, bytes) in [
            (name.as_str(), spoilt(card().to_string().into_bytes(), &content.unwrap_or_default())),
            ("assets/main.png", vec![0; 4_096]),
        ] {
            archive.start_file(name, options).expect("a file");
            archive.write_all(&bytes).expect("it is written");
        }
        let bytes = archive.finish().expect("an archive").into_inner();
        check(&spoilt(bytes, &whole.unwrap_or_default()));
    }

    #[test]
    fn chats(harms in harms()) {
        if let Ok((chat, _)) = Chat::parse(&spoilt(chat().into_bytes(), &harms)) {
            let again = Chat::parse(chat.to_jsonl().as_bytes()).expect("what was written can be read");
            prop_assert_eq!(again, (chat.clone(), Vec::new()));
            let speaker = Speaker::Member(MemberId(1));
            let mut conversation = Conversation::new(ConversationId(1), 1, 0, speaker, "Ada");
            chat.take_in(&mut conversation, (MemberId(1), &mummer::chat::blocklist::Blocklist::default()), |_| None, (LATEST, false));
            let given_back = Chat::of(&conversation);
            prop_assert!(Chat::parse(given_back.to_jsonl().as_bytes()).is_ok(), "{given_back:?}");
        }
    }

    #[test]
    fn scenes(
        names in prop::collection::vec("(chats/|characters/|worlds/|\\.\\./|\\.){0,2}[a-b]{0,2}(\\.jsonl|\\.png|\\.json)", 1..4),
        content in prop::option::weighted(0.5, harms()),
        whole in prop::option::weighted(0.5, harms()),
    ) {
        let bytes = spoilt(chat().into_bytes(), &content.unwrap_or_default());
        let files: Vec<(String, Vec<u8>)> = names.into_iter().map(|name| (name, bytes.clone())).collect();
        // Two of one name are refused.
        let Ok(packed) = pack(&files) else { return Ok(()) };
        if let Ok(scene) = Scene::unpack(&spoilt(packed, &whole.unwrap_or_default())) {
            let _ = Chat::parse(&scene.chat);
            for (name, file) in scene.cards.iter().chain(&scene.worlds) {
                prop_assert!(!name.contains(['/', '\\']) && !name.starts_with('.'), "{name}");
                let _ = import(file);
            }
        }
    }

    #[test]
    fn lorebooks(
        entries in prop::collection::vec(entry(), 0..12),
        messages in prop::collection::vec("[a-cÄÖ \n]{0,40}", 0..6),
        (budget, number, seed, recursive) in (0..60usize, 0..9u64, any::<u64>(), any::<bool>()),
    ) {
        let lore = Lore::new(Lorebook { recursive, entries, ..Lorebook::default() });
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        let count = |entry: usize| lore.text(entry).len();
        let mut before = Timed::default();
        for number in [number, number + 1, u64::MAX] {
            let scan = Scan { messages: &messages, number, spoken: number, greeting: Some(1), seed, before: &before, budget, count: &count };
            let activation = lore.activate(scan);
            let tokens: usize = activation.fired.iter().map(|fired| fired.tokens).sum();
            prop_assert!(tokens <= budget, "{tokens} of {budget}");
            let mut numbers: Vec<usize> = activation.fired.iter().map(|fired| fired.entry).collect();
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert_eq!(numbers.len(), activation.fired.len(), "each comes once");
            prop_assert_eq!(&lore.activate(scan), &activation, "the same calls up the same");
            before = activation.after;
        }
    }

    #[test]
    fn macros(
        pieces in prop::collection::vec(
            select(&[
                "{{", "}}", "{", "}", "char", "user", "random", "pick", "roll", "::", ":", ",", "\\,", "a", "d", "6", "99999999999", "//",
                "description", "personality", "scenario", "mesExamples", "original", "reverse", "trim", "newline", "<user>", "<", " ",
                "{{description}}", "{{random::a::{{char}}}}", "{{roll:2d6+1}}", "{{trim}}", "ÄÖ\u{202e}",
            ][..]),
            0..60,
        ),
        seed in any::<u64>(),
    ) {
        let text = pieces.concat();
        let Ok(Imported::Persona { mut card, .. }) = import(card().to_string().as_bytes()) else { unreachable!() };
        for field in [&mut card.description, &mut card.personality, &mut card.scenario] {
            text.repeat(3).clone_into(field);
        }
        let chance = Chance { passing: seed, lasting: seed };
        let context = Context { card: Some(&card), chance, original: &text, last_message: "hi", ..Context::of_names("Ada", "{{char}}") };
        let expanded = macros::expand(&text, context);
        prop_assert!(expanded.len() <= (1 << 20), "{} bytes", expanded.len());
        prop_assert_eq!(macros::expand(&text, context), expanded, "the same seed draws the same lots");
        let _ = macros::unknown(&text);
    }
}
