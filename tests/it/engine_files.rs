//! Files that are not what they should be: each is refused with words that help, none ends in a panic.

use std::io::{Cursor, Write as _};
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use mummer::engine::{Engine, EngineOptions, LoadError};
use proptest::prelude::*;

use crate::tiny_model::{TinyModel, vocabulary};

fn refused(path: &Path) -> LoadError {
    match Engine::load(path, EngineOptions::default(), |_| {}) {
        Ok(_) => panic!("it was loaded"),
        Err(error) => error,
    }
}

fn refused_bytes(bytes: &[u8]) -> LoadError {
    refused(file(bytes).path())
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
    file.write_all(bytes).expect("it can be written");
    file
}

fn good() -> Vec<u8> {
    std::fs::read(TinyModel::new(1).write().path()).expect("it can be read")
}

/// Where the name of the tensor ends in the list of tensors: after it come the number of dimensions (4
/// bytes), the dimensions (8 each), the type (4) and the offset (8).
fn after_name(bytes: &[u8], name: &str) -> usize {
    // With its length before it: some names end like others.
    let listed = [&(name.len() as u64).to_le_bytes(), name.as_bytes()].concat();
    let at = bytes.windows(listed.len()).position(|window| window == listed);
    at.expect("the tensor is listed") + listed.len()
}

/// The error's words must contain these.
fn check(error: &LoadError, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` is not in `{text}`");
    }
    assert!(!text.contains('\n'), "{text}");
}

#[test]
fn a_file_that_is_not_there() {
    check(&refused(Path::new("/nowhere/model.gguf")), &["no file /nowhere/model.gguf", "check the path"]);
}

#[test]
fn a_folder_or_something_else_than_a_model() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    check(&refused(folder.path()), &["not a GGUF file"]);
    check(&refused_bytes(b"PK\x03\x04 a zip archive"), &["not a GGUF file", ".gguf"]);
    check(&refused_bytes(b""), &["not a GGUF file"]);
    check(&refused_bytes(b"GG"), &["not a GGUF file"]);
}

#[test]
fn versions_that_are_not_read() {
    for version in [0u32, 1, 4, 3 << 24] {
        let mut bytes = good();
        bytes[4..8].copy_from_slice(&version.to_le_bytes());
        check(&refused_bytes(&bytes), &[&format!("version {version}"), "2 and 3"]);
    }
}

#[test]
fn a_download_that_broke_off() {
    let bytes = good();
    for missing in [1000, bytes.len() / 2] {
        let error = refused_bytes(&bytes[..bytes.len() - missing]);
        // The file ends with padding, which nobody misses.
        let LoadError::Truncated { missing: found, .. } = error else { panic!("{error}") };
        assert!(found <= missing as u64 && found + 32 > missing as u64, "{found} of {missing}");
        check(&error, &["incomplete", "download it again"]);
    }
    // Even inside of the header, wherever it is.
    for end in (4..20_000).step_by(97) {
        let error = refused_bytes(&bytes[..end]);
        assert!(matches!(error, LoadError::Truncated { .. }), "{end}: {error}");
    }
}

#[test]
fn a_small_file_that_claims_the_same_bytes_many_times() {
    let mut bytes = good();
    let content = gguf_file::Content::read(&mut Cursor::new(&bytes)).expect("it is a good file");
    for (name, tensor) in &content.tensor_infos {
        let at = after_name(&bytes, name) + 4 + 8 * tensor.shape.rank() + 4;
        bytes[at..at + 8].copy_from_slice(&0u64.to_le_bytes());
    }
    bytes.truncate(bytes.len() - 1_024);
    check(&refused_bytes(&bytes), &["damaged", "overlap"]);
}

#[test]
fn pieces_without_end() {
    let mut pieces: Vec<String> = vocabulary().into_iter().map(|piece| piece.text).collect();
    let last = pieces.len() - 1;
    pieces[last] = "x".repeat(100_000);
    let tokens = Value::Array(pieces.into_iter().map(Value::String).collect());
    let file = TinyModel::new(1).with_metadata("tokenizer.ggml.tokens", Some(tokens)).write();
    check(&refused(file.path()), &["tokenizer.ggml.tokens", "100000 bytes"]);
}

#[test]
fn another_architecture() {
    let file = TinyModel::new(1)
        .with_metadata("general.architecture", Some(Value::String("qwen2".to_owned())))
        .write();
    check(&refused(file.path()), &["`qwen2`", "only `llama` runs"]);
}

#[test]
fn weights_of_a_type_that_does_not_run() {
    for (number, name) in
        [(23u32, "IQ4_XS"), (20, "IQ4_NL"), (35, "TQ2_0"), (9, "Q8_1"), (4242, "number 4242")]
    {
        let mut bytes = good();
        let at = after_name(&bytes, "blk.1.attn_q.weight") + 4 + 16;
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        check(&refused_bytes(&bytes), &[name, "F32, F16, BF16, Q4_0", "Q6_K"]);
    }
}

#[test]
fn another_kind_of_vocabulary() {
    let file = TinyModel::new(1)
        .with_metadata("tokenizer.ggml.model", Some(Value::String("gpt2".to_owned())))
        .write();
    check(&refused(file.path()), &["`gpt2`", "SentencePiece"]);
}

#[test]
fn metadata_that_are_missing() {
    for key in [
        "general.architecture",
        "llama.block_count",
        "llama.context_length",
        "llama.embedding_length",
        "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon",
        "tokenizer.ggml.model",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.scores",
        "tokenizer.ggml.token_type",
    ] {
        let file = TinyModel::new(1).with_metadata(key, None).write();
        check(&refused(file.path()), &[&format!("`{key}`"), "lacks"]);
    }
}

#[test]
fn metadata_that_have_defaults_may_be_missing() {
    for key in
        ["llama.rope.dimension_count", "llama.rope.freq_base", "tokenizer.ggml.bos_token_id", "general.name"]
    {
        let file = TinyModel::new(1).with_metadata(key, None).write();
        assert!(Engine::load(file.path(), EngineOptions::default(), |_| {}).is_ok(), "{key}");
    }
}

#[test]
fn metadata_that_make_no_sense() {
    let u32 = |value| Some(Value::U32(value));
    for (key, value) in [
        ("llama.attention.head_count", u32(0)),
        ("llama.attention.head_count", u32(3)),
        ("llama.attention.head_count", u32(u32::MAX)),
        ("llama.attention.head_count", Some(Value::String("4".to_owned()))),
        ("llama.attention.head_count_kv", u32(0)),
        ("llama.attention.head_count_kv", u32(3)),
        ("llama.attention.head_count_kv", Some(Value::Array(vec![Value::I32(2), Value::I32(2)]))),
        ("llama.block_count", u32(0)),
        ("llama.block_count", u32(u32::MAX)),
        ("llama.block_count", Some(Value::I32(-1))),
        ("llama.embedding_length", u32(0)),
        ("llama.context_length", u32(0)),
        ("llama.rope.dimension_count", u32(7)),
        ("llama.rope.freq_base", Some(Value::F32(f32::NAN))),
        ("llama.attention.layer_norm_rms_epsilon", Some(Value::F32(0.0))),
        ("tokenizer.ggml.token_type", Some(Value::Array(vec![Value::I32(1)]))),
        ("tokenizer.ggml.scores", Some(Value::Array(vec![Value::F32(1.0)]))),
    ] {
        let file = TinyModel::new(1).with_metadata(key, value.clone()).write();
        let error = refused(file.path());
        check(&error, &[&format!("`{key}`")]);
        assert!(matches!(error, LoadError::Metadata { .. }), "{key} {value:?}: {error}");
    }
}

#[test]
fn an_alignment_of_zero() {
    let file = TinyModel::new(1).with_metadata("general.alignment", Some(Value::U32(0))).write();
    check(&refused(file.path()), &["alignment"]);
}

#[test]
fn tensors_that_do_not_fit_the_metadata() {
    for (key, value, tensor) in [
        ("llama.block_count", 3, "blk.2.attn_norm.weight"),
        ("llama.attention.head_count_kv", 4, "blk.0.attn_k.weight"),
        ("llama.embedding_length", 128, "token_embd.weight"),
    ] {
        let model = TinyModel::new(1).with_metadata("llama.rope.dimension_count", None);
        let file = model.with_metadata(key, Some(Value::U32(value))).write();
        let error = refused(file.path());
        check(&error, &[tensor]);
        assert!(matches!(error, LoadError::Tensor { .. }), "{error}");
    }
    // One block too many would be left out silently.
    let file = TinyModel::new(1).with_metadata("llama.block_count", Some(Value::U32(1))).write();
    check(&refused(file.path()), &["blk.1."]);
}

#[test]
fn a_tensor_of_impossible_size() {
    let mut bytes = good();
    let at = after_name(&bytes, "blk.1.attn_q.weight") + 4;
    bytes[at..at + 8].copy_from_slice(&(1u64 << 62).to_le_bytes());
    let error = refused_bytes(&bytes);
    check(&error, &["blk.1.attn_q.weight", "impossible"]);
}

#[test]
fn what_would_be_computed_wrongly() {
    let scaled = TinyModel::new(1)
        .with_metadata("llama.rope.scaling.type", Some(Value::String("linear".to_owned())))
        .with_metadata("llama.rope.scaling.factor", Some(Value::F32(4.0)))
        .write();
    check(&refused(scaled.path()), &["rope scaling"]);
    let experts = TinyModel::new(1).with_metadata("llama.expert_count", Some(Value::U32(8))).write();
    check(&refused(experts.path()), &["mixture of experts"]);
}

#[test]
fn more_pieces_than_rows() {
    let mut options = EngineOptions::default();
    let json = serde_json::json!({
        "added_tokens": [
            { "id": 1, "content": "<s>", "special": true },
            { "id": 2, "content": "</s>", "special": true },
            { "id": 5000, "content": "<pad>", "special": true },
        ],
        "model": {
            "type": "BPE",
            "byte_fallback": true,
            "vocab": (0..256u32).map(|byte| (format!("<0x{byte:02X}>"), byte + 3)).collect::<std::collections::HashMap<_, _>>(),
            "merges": [],
        },
    });
    let tokenizer = file(json.to_string().as_bytes());
    options.tokenizer = Some(tokenizer.path().to_owned());
    let error = Engine::load(TinyModel::new(1).write().path(), options, |_| {}).expect_err("it is refused");
    check(&error, &["5001 pieces"]);
}

#[test]
fn tokenizer_files_that_cannot_be_used() {
    let model = TinyModel::new(1).write();
    for (text, words) in [
        ("{", "EOF"),
        ("{}", "byte fallback"),
        (r#"{"model":{"type":"Unigram","byte_fallback":true}}"#, "byte fallback"),
        (r#"{"model":{"type":"BPE","byte_fallback":true,"vocab":{"a":0},"merges":[]}}"#, "id 1"),
        (
            r#"{"model":{"type":"BPE","byte_fallback":true,"vocab":{"a":99999999999},"merges":[]}}"#,
            "sensible",
        ),
    ] {
        let tokenizer = file(text.as_bytes());
        let mut options = EngineOptions::default();
        options.tokenizer = Some(tokenizer.path().to_owned());
        let error = Engine::load(model.path(), options, |_| {}).expect_err("it is refused");
        check(&error, &[words]);
    }
    let mut options = EngineOptions::default();
    options.tokenizer = Some("/nowhere/tokenizer.json".into());
    let error = Engine::load(model.path(), options, |_| {}).expect_err("it is refused");
    check(&error, &["/nowhere/tokenizer.json"]);
}

#[test]
fn a_context_without_room() {
    let mut options = EngineOptions::default();
    options.context_length = Some(1);
    let error = Engine::load(TinyModel::new(1).write().path(), options, |_| {}).expect_err("it is refused");
    check(&error, &["at least 2"]);
}

#[test]
#[cfg(all(target_os = "linux", not(feature = "cuda")))]
fn a_cache_that_no_machine_has_room_for() {
    let mut options = EngineOptions::default();
    options.cache_tokens = Some(usize::MAX / 2);
    let error = Engine::load(TinyModel::new(1).write().path(), options, |_| {}).expect_err("it is refused");
    check(&error, &["MB", "MB for them", "model.cache_tokens"]);
}

#[test]
fn bytes_changed_at_random_never_cause_a_panic() {
    let good = good();
    let header = after_name(&good, "output.weight") + 64;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    let changes = prop::collection::vec((0..header, any::<u8>()), 1..4);
    runner
        .run(&changes, |changes| {
            let mut bytes = good.clone();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            let loaded = Engine::load(file(&bytes).path(), EngineOptions::default(), |_| {});
            if let Err(LoadError::Backend { detail, .. }) = loaded {
                prop_assert!(!detail.contains("panicked"), "{}", detail);
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
