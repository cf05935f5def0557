//! The engine's tokenizer against golden cases, against SentencePiece's algorithm, and from a
//! `tokenizer.json`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::Write as _;

use mummer::engine::{Engine, EngineOptions, ModelTokenizer};
use mummer::generation::Prompt;
use proptest::prelude::*;

use crate::engine::{load, text_prompt};
use crate::tiny_model::{CONTROL, TinyModel, id_of, vocabulary};

const BOS: u32 = 1;
const EOS: u32 = 2;

fn engine() -> Engine {
    load(TinyModel::new(1).write().path())
}

fn ids(pieces: &[&str]) -> Vec<u32> {
    std::iter::once(BOS).chain(pieces.iter().map(|piece| id_of(piece))).collect()
}

#[test]
fn text_becomes_the_pieces_that_score_highest() {
    let engine = engine();
    let check = |text: &str, pieces: &[&str]| {
        assert_eq!(engine.encode(&text_prompt(text)), ids(pieces), "{text:?}");
        assert_eq!(engine.encode_bytes(text.as_bytes()), ids(pieces), "{text:?}");
    };
    check("the", &["▁the"]);
    check(" the", &["▁▁", "t", "h", "e"]);
    check("Hello there", &["▁Hello", "▁there"]);
    check("a\nthe", &["▁a", "<0x0A>", "t", "h", "e"]);
    check("###\n###", &["▁###", "<0x0A>", "###"]);
    check("日本", &["▁", "日", "<0xE6>", "<0x9C>", "<0xAC>"]);
    check("é😀", &["▁", "é", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]);
    check("x     y", &["▁", "x", "▁▁▁▁", "▁y"]);
    check("<0x0A>", &["▁", "<", "0", "x", "0", "A", ">"]);
    check("", &[]);
}

#[test]
fn bytes_that_are_not_text_become_byte_tokens() {
    let engine = engine();
    assert_eq!(engine.encode_bytes(b"the\xFFthe"), ids(&["▁the", "<0xFF>", "t", "h", "e"]));
    assert_eq!(engine.encode_bytes(b"\xF0\x9F"), ids(&["▁", "<0xF0>", "<0x9F>"]));
    assert_eq!(engine.encode_bytes(b"</s>"), ids(&["▁", "<", "/", "s", ">"]));
}

#[test]
fn bytes_are_encoded_without_loading_the_model() {
    let file = TinyModel::new(1).write();
    let tokenizer =
        ModelTokenizer::open(file.path(), &EngineOptions::default()).expect("it has a vocabulary");
    let ids = engine().encode_bytes(b"the\xFFthe");
    assert_eq!(tokenizer.encode_bytes(b"the\xFFthe"), ids);
    assert_eq!(tokenizer.context_length(), engine().info().context_length);
    assert_eq!(tokenizer.count(""), 0);
}

#[test]
fn special_tokens_are_parsed_where_the_template_writes_them_and_nowhere_else() {
    let engine = engine();
    let mut prompt = Prompt::default();
    prompt.template("the</s>");
    prompt.text(format!("the</s>{CONTROL}"));
    prompt.template(CONTROL);
    let text = ["t", "h", "e", "<", "/", "s", ">", "<", "|", "en", "d", "|", ">"];
    let mut expected = ids(&["▁the", "</s>"]);
    expected.extend(text.map(id_of));
    expected.push(id_of(CONTROL));
    assert_eq!(engine.encode(&prompt), expected);

    // Not even across the edge of two pieces.
    let mut prompt = Prompt::default();
    prompt.template("<");
    prompt.text("/s");
    prompt.template(">");
    assert!(!engine.encode(&prompt).contains(&EOS));
}

#[test]
fn there_is_one_beginning_of_text() {
    let engine = engine();
    let mut prompt = Prompt::default();
    prompt.template("<s>the");
    assert_eq!(engine.encode(&prompt), ids(&["▁the"]));
}

#[test]
fn neighbouring_pieces_are_one_string_and_ids_stand_as_they_are() {
    let engine = engine();
    let mut prompt = Prompt::default();
    prompt.template("He");
    prompt.text("llo th");
    prompt.text("ere");
    assert_eq!(engine.encode(&prompt), ids(&["▁Hello", "▁there"]));

    let mut prompt = Prompt::default();
    prompt.template("Hello");
    prompt.generated(" there", vec![300, 301]);
    prompt.text("the");
    prompt.generated(" the", Vec::new());
    let mut expected = ids(&["▁Hello"]);
    expected.extend([300, 301]);
    expected.extend(["t", "h", "e", "▁the"].map(id_of));
    assert_eq!(engine.encode(&prompt), expected);
}

#[test]
fn a_tokenizer_file_gives_the_same_ids_as_the_model_file() {
    let own = engine();
    for metaspace in [false, true] {
        let file = tokenizer_json(metaspace);
        let mut options = EngineOptions::default();
        options.tokenizer = Some(file.path().to_owned());
        let other = Engine::load(TinyModel::new(1).write().path(), options, |_| {}).expect("it loads");
        for text in ["Hello there, 日本!", "  ### Input:\nthe", "</s>", "é\u{FFFD}"] {
            assert_eq!(own.encode(&text_prompt(text)), other.encode(&text_prompt(text)), "{text:?}");
        }
        let mut prompt = Prompt::default();
        prompt.template("</s>Hello");
        assert_eq!(own.encode(&prompt), other.encode(&prompt));
        assert_ne!(own.info().id, other.info().id);
    }
}

/// The tiny vocabulary as a `tokenizer.json`, the space before the text in the old or the new form.
fn tokenizer_json(metaspace: bool) -> tempfile::NamedTempFile {
    let pieces = vocabulary();
    let vocab: serde_json::Map<String, serde_json::Value> =
        pieces.iter().zip(0u32..).map(|(piece, id)| (piece.text.clone(), id.into())).collect();
    let mut merges: Vec<(f32, usize, usize)> = Vec::new();
    let known = by_text();
    for piece in pieces.iter().filter(|piece| piece.kind == 1) {
        for (at, _) in piece.text.char_indices().skip(1) {
            let (left, right) = piece.text.split_at(at);
            if let (Some(&(left, _)), Some(&(right, _))) = (known.get(left), known.get(right)) {
                merges.push((piece.score, left, right));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let merges: Vec<serde_json::Value> = merges
        .iter()
        .map(|&(_, left, right)| {
            let (left, right) = (&pieces[left].text, &pieces[right].text);
            if metaspace { serde_json::json!([left, right]) } else { format!("{left} {right}").into() }
        })
        .collect();
    let added: Vec<serde_json::Value> = pieces
        .iter()
        .zip(0u32..)
        .filter(|(piece, _)| matches!(piece.kind, 2 | 3))
        .map(|(piece, id)| serde_json::json!({ "id": id, "content": piece.text, "special": true }))
        .collect();
    let normalizer = serde_json::json!({ "type": "Sequence", "normalizers": [
        { "type": "Prepend", "prepend": "▁" },
        { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
    ] });
    let pre_tokenizer = serde_json::json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false });
    let json = serde_json::json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": if metaspace { serde_json::Value::Null } else { normalizer },
        "pre_tokenizer": if metaspace { pre_tokenizer } else { serde_json::Value::Null },
        "model": { "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": merges },
    });
    let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
    file.write_all(json.to_string().as_bytes()).expect("it can be written");
    file
}

/// Ids and scores of the pieces that text can become by merging.
fn by_text() -> HashMap<String, (usize, f32)> {
    let pieces = vocabulary().into_iter().enumerate().filter(|(_, piece)| piece.kind == 1);
    pieces.map(|(id, piece)| (piece.text, (id, piece.score))).collect()
}

/// SentencePiece's BPE (`bpe_model.cc`): of all neighbours that make a piece, those with the highest score
/// merge first, of equals the leftmost; what is no piece in the end is written in bytes.
fn sentencepiece(known: &HashMap<String, (usize, f32)>, text: &str) -> Vec<u32> {
    #[derive(PartialEq)]
    struct Score(f32);
    impl Eq for Score {}
    impl PartialOrd for Score {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Score {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.0.total_cmp(&other.0)
        }
    }

    let text = format!("▁{}", text.replace(' ', "▁"));
    // A merged symbol is empty; `next` and `previous` go round those.
    let mut symbols: Vec<String> = text.chars().map(String::from).collect();
    let count = symbols.len();
    let mut next: Vec<usize> = (1..=count).collect();
    let mut previous: Vec<Option<usize>> = (0..count).map(|at| at.checked_sub(1)).collect();
    let mut heap = BinaryHeap::new();
    let consider = |heap: &mut BinaryHeap<_>, symbols: &[String], left: usize, right: usize| {
        if right < symbols.len() {
            let joined = format!("{}{}", symbols[left], symbols[right]);
            if let Some(&(_, score)) = known.get(&joined) {
                heap.push((Score(score), Reverse(left), right, joined));
            }
        }
    };
    for left in 0..count {
        consider(&mut heap, &symbols, left, left + 1);
    }
    while let Some((_, Reverse(left), right, joined)) = heap.pop() {
        if symbols[left].is_empty()
            || symbols[right].is_empty()
            || format!("{}{}", symbols[left], symbols[right]) != joined
        {
            continue;
        }
        symbols[left] = joined;
        symbols[right].clear();
        next[left] = next[right];
        if next[left] < count {
            previous[next[left]] = Some(left);
        }
        consider(&mut heap, &symbols, left, next[left]);
        if let Some(before) = previous[left] {
            consider(&mut heap, &symbols, before, left);
        }
    }
    let mut ids = vec![BOS];
    for symbol in symbols.iter().filter(|symbol| !symbol.is_empty()) {
        match known.get(symbol) {
            Some(&(id, _)) => ids.push(u32::try_from(id).expect("it is small")),
            None => ids.extend(symbol.bytes().map(|byte| 3 + u32::from(byte))),
        }
    }
    ids
}

#[test]
fn any_text_is_encoded_as_sentencepiece_would_and_decodes_to_itself() {
    let engine = engine();
    let known = by_text();
    let text = prop::collection::vec(
        prop_oneof![
            "[a-z]{1,6}",
            "[ -~\n]{1,4}",
            prop::sample::select(vec![
                " the", " Hello", "there", " would", "###", "    ", "ing", "日", "é", "😀", "\u{0}"
            ])
            .prop_map(str::to_owned),
            any::<char>().prop_map(String::from),
        ],
        1..24,
    );
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
    runner
        .run(&text, |parts| {
            let text = parts.concat();
            let ids = engine.encode(&text_prompt(&text));
            prop_assert_eq!(&ids, &sentencepiece(&known, &text), "{:?}", text);
            prop_assert_eq!(engine.decode(&ids[1..]), format!(" {}", text.replace('▁', " ")));
            prop_assert_eq!(engine.encode_bytes(text.as_bytes()), ids);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn any_bytes_decode_to_themselves() {
    let engine = engine();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    runner
        .run(&prop::collection::vec(any::<u8>(), 1..60), |bytes| {
            let ids = engine.encode_bytes(&bytes);
            let decoded: Vec<u8> = ids.iter().flat_map(|&id| engine.token_bytes(id).to_vec()).collect();
            let expected = [b" ", bytes.as_slice()].concat();
            // `▁` and the space are the same piece.
            if !bytes.windows(3).any(|window| window == "▁".as_bytes()) {
                prop_assert_eq!(decoded, expected);
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
