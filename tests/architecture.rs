//! The room table of DESIGN.md as a test: no room uses a room or a crate that the table does not give it.
//! It reads tokens, so comments and strings do not count, and macro bodies do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs, slice};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// One row of the table.
struct Room {
    name: &'static str,
    /// The rooms that it may use beside itself, or the one part of a room; `*` stands for all.
    may_use: &'static [&'static str],
    /// Crates that are used in no other room, unless that room lists them too. A `*` at the end stands for anything.
    only_place_for: &'static [&'static str],
    /// The only crates that it may use beside the standard library; `None` leaves it free.
    crates: Option<&'static [&'static str]>,
    /// Names that it may not use outside of its tests.
    never: &'static [&'static str],
    /// A file that may use one of those names all the same.
    except: &'static [(&'static str, &'static str)],
    /// The design's words for what this room must not do.
    quote: &'static str,
}

/// A room that uses nothing of ours, and any crate that no other room has for itself.
const ROOM: Room =
    Room { name: "", may_use: &[], only_place_for: &[], crates: None, never: &[], except: &[], quote: "" };

/// The table, to be compared with "Rooms" in DESIGN.md.
const ROOMS: &[Room] = &[
    Room { name: "main", may_use: &["cli"], ..ROOM },
    Room { name: "lib", ..ROOM },
    Room { name: "cli", may_use: &["*"], only_place_for: &["anyhow", "clap", "indicatif"], ..ROOM },
    Room {
        name: "bot",
        may_use: &["assistant", "admin", "chat", "persona"],
        only_place_for: &["serenity", "poise", "reqwest"],
        ..ROOM
    },
    Room {
        name: "assistant",
        may_use: &["chat", "persona", "store", "generation"],
        only_place_for: &["dashmap"],
        ..ROOM
    },
    Room {
        name: "chat",
        may_use: &["persona"],
        crates: Some(&["serde", "serde_json", "thiserror", "unicode_normalization", "unicode_segmentation"]),
        never: &[
            "std::*",
            "std::env",
            "std::fs",
            "std::io",
            "std::net",
            "std::os",
            "std::process",
            "std::thread",
            "Instant::now",
            "SystemTime::now",
            "elapsed",
            "RandomState",
        ],
        quote: "no tokio, no fs, no clock, no serenity, no candle; \
                in chat only those without I/O, clock or global randomness",
        ..ROOM
    },
    Room {
        name: "persona",
        only_place_for: &["image", "png", "zip"],
        crates: Some(&[
            "aho_corasick",
            "base64",
            "crc32fast",
            "image",
            "png",
            "regex",
            "serde",
            "serde_json",
            "sha2",
            "thiserror",
            "time",
            "toml",
            "zip",
        ]),
        never: &["std::*", "std::fs"],
        except: &[("src/persona/library.rs", "std::fs")],
        quote: "the library (built-in + directory + per-server); \
                macros may be used anywhere but in `chat` and `persona`",
        ..ROOM
    },
    Room { name: "admin", may_use: &["store", "persona", "chat"], ..ROOM },
    Room { name: "generation", may_use: &["chat::prompt"], ..ROOM },
    Room {
        name: "engine",
        may_use: &["generation"],
        only_place_for: &["candle_*", "tokenizers"],
        never: &["tokio", "tokio_util"],
        quote: "one thread owns device, weights, KV pages, prefix tree and RNGs",
        ..ROOM
    },
    Room { name: "remote", may_use: &["generation"], only_place_for: &["reqwest"], ..ROOM },
    Room { name: "server", may_use: &["generation", "persona", "chat"], only_place_for: &["axum"], ..ROOM },
    Room { name: "hub", only_place_for: &["hf_hub"], ..ROOM },
    Room { name: "store", may_use: &["chat", "persona"], only_place_for: &["sqlx"], ..ROOM },
    Room { name: "config", may_use: &["chat", "persona"], only_place_for: &["config"], ..ROOM },
    Room { name: "telemetry", only_place_for: &["tracing_subscriber", "metrics_exporter_*", "axum"], ..ROOM },
];

/// Crates that the tests inside any room may use, whatever its own list says.
const FREE_IN_TESTS: &[&str] = &["futures_util", "insta", "proptest", "tempfile", "tokio"];

// The source of this repository.

#[test]
fn no_room_uses_what_the_table_does_not_give_it() {
    let sources = sources();
    let test_modules: Vec<Vec<String>> =
        sources.iter().flat_map(|source| test_modules(&source.tokens(), &source.module())).collect();
    let crates = Crates::of_this_package();
    let violations: Vec<String> = sources
        .iter()
        .flat_map(|source| check(source, &crates, &test_modules))
        .map(|violation| violation.to_string())
        .collect();
    assert!(violations.is_empty(), "the rooms do not keep to DESIGN.md:\n{}", violations.join("\n"));
}

#[test]
fn every_room_has_a_row_in_the_table() {
    for source in sources() {
        assert!(room(source.room()).is_some(), "{} is in no room of the table in {}", source.path, file!());
    }
    for name in ROOMS.iter().flat_map(|room| room.may_use).filter(|&&name| name != "*") {
        let name = name.split("::").next().unwrap_or_default();
        assert!(room(name).is_some(), "the table speaks of {name}, which has no row");
    }
}

#[test]
fn every_file_says_first_what_it_is_for() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{} does not begin with a `//!` line", source.path);
    }
}

/// Every file below `src`, sorted by path.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect_rust_files(&root.join("src"), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "there is no source");
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a source file can be read");
        let path = path.strip_prefix(root).expect("it lies below the root");
        Source { path: path.to_string_lossy().replace('\\', "/"), text }
    };
    paths.iter().map(read).collect()
}

fn collect_rust_files(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the directory can be listed") {
        let path = entry.expect("the directory can be listed").path();
        if path.is_dir() {
            collect_rust_files(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

// The checker itself, on sources made up for it.

#[test]
fn a_room_is_found_however_it_is_named() {
    found("bot", "use crate::engine::Engine;", &["1 crate::engine"]);
    found(
        "bot",
        "use crate::{\n    chat::{self, reply},\n    engine::{Engine, queue::Queue},\n};",
        &["3 crate::engine"],
    );
    found("bot", "use ::mummer::engine;", &["1 crate::engine"]);
    found("bot", "fn f(_: &crate::engine::Engine) {}", &["1 crate::engine"]);
    found("bot", "type T = <u8 as crate::engine::Trait>::Item;", &["1 crate::engine"]);
    found(
        "bot",
        "fn f() { g::<crate::engine::Engine>()::h(); 0..crate::store::MAX; }",
        &["1 crate::engine", "1 crate::store"],
    );
    found("bot", "pub(in crate::bot) use crate::store as chat;", &["1 crate::store"]);
    found("bot", "macro_rules! m { ($x:expr) => { $crate::engine::start($x) } }", &["1 crate::engine"]);
    found("bot", "fn f() { m! { let _ = crate::engine::START; } }", &["1 crate::engine"]);
    found("bot", "#[derive(crate::engine::Macro)] struct S;", &["1 crate::engine"]);
    found("generation", "use crate::chat::{MemberId, prompt::Prompt};", &["1 crate::chat"]);
    found("main", "fn main() { mummer::cli::main(); mummer::bot::run(); }", &["1 crate::bot"]);
    found("lib", "pub mod engine;\npub use engine::Engine;", &["2 crate::engine"]);
}

#[test]
fn nobody_escapes_by_super() {
    found("chat", "use super::super::engine;", &["1 crate::engine"]);
    found("chat", "use super::budget;", &[]);
    found("chat", "mod inner { use super::super::super::engine; }", &["1 crate::engine"]);
    found("chat", "mod inner { use super::super::budget; use self::super::x; }", &[]);
    found("chat", "fn f() { super::super::engine::start(); }", &["1 crate::engine"]);
    found("chat", "use super::super::*;", &["1 crate::*"]);
    found("chat", "use crate::*;", &["1 crate::*"]);
    found("chat", "use crate as root;\nfn f() { root::engine::start(); }", &["2 crate::engine"]);
    found("chat", "use super::super as root;\nuse root::engine;", &["2 crate::engine"]);
    found("chat", "#[path = \"../engine.rs\"] mod inner;", &["1 #[path]"]);
    found("chat", "include!(\"../engine.rs\");", &["1 include!"]);
}

#[test]
fn a_crate_of_another_room_is_found_however_it_is_named() {
    found("assistant", "use serenity::all::Message;", &["1 serenity"]);
    found("assistant", "fn f() -> ::serenity::Error { match x { _ => ::serenity::f() } }", &["1 serenity"]);
    found("assistant", "use candle_core as c;\nfn f() { c::zeros(); }", &["1 candle_core"]);
    found("assistant", "extern crate candle_nn as c;", &["1 candle_nn"]);
    found("assistant", "use dashmap::{self, DashMap};", &[]);
    found("store", "use dashmap::{self, DashMap};", &["1 dashmap"]);
    found("store", "use {dashmap::DashMap, std::sync::Arc};", &["1 dashmap"]);
    found("store", "type E = dyn ::anyhow::Trait;", &["1 anyhow"]);
    found("store", "#[cfg(test)] mod tests { use clap::Parser; }", &["1 clap"]);
    found("assistant", "fn f(_: reqwest::Client) {}", &["1 reqwest"]);
    for room in ["bot", "remote"] {
        found(room, "fn f(_: reqwest::Client) {}", &[]);
    }
    found("config", "use config::File;\nfn f() { config::Config::builder(); }", &[]);
    found("telemetry", "use config::File;", &["1 config"]);
    found("cli", "use crate::config;\nfn f() { config::load(); }", &[]);
    found("cli", "mod config {}\nfn f() { config::load(); }", &[]);
    found("cli", "use crate::config;\nmod inner { fn f() { config::load(); } }", &["2 config"]);
    found("cli", "use crate::config;\nmod inner { use super::*; fn f() { config::load(); } }", &[]);
}

#[test]
fn chat_is_pure() {
    found("chat", "use std::time::{Duration, Instant};\nfn f(now: Instant) {}", &[]);
    found("chat", "use std::time::Instant;\nfn f() { Instant::now(); }", &["2 Instant::now"]);
    found("chat", "use std::time::SystemTime as T;\nfn f() { T::now(); }", &["2 SystemTime::now"]);
    found("chat", "use super::*;\nfn f() { Instant::now(); }", &["2 Instant::now"]);
    found("chat", "fn f(began: Instant) { began.elapsed(); self.elapsed; }", &["1 elapsed"]);
    found("chat", "use std::{collections::HashMap, fs, net::IpAddr};", &["1 std::fs", "1 std::net"]);
    found("chat", "use std as s;\nfn f() { s::process::exit(1); core::mem::take(x); }", &["2 std::process"]);
    found("chat", "fn f() { std::thread::yield_now(); }", &["1 std::thread"]);
    found("chat", "use std::hash::RandomState;", &["1 RandomState"]);
    found("chat", "use std::*;", &["1 std::*"]);
    found("chat", "use tokio::sync::Mutex;\nuse rand_chacha::ChaCha8Rng;", &["1 tokio", "2 rand_chacha"]);
    found("chat", "fn f() { tracing::info!(\"x\"); }", &["1 tracing"]);
    found("chat", "use unicode_normalization::UnicodeNormalization as _;\nuse thiserror::Error;", &[]);
}

#[test]
fn persona_and_engine_keep_to_their_means() {
    found("persona", "fn f() { std::fs::read(p); }", &["1 std::fs"]);
    found("persona/library", "fn f() { std::fs::read(p); }", &[]);
    found("persona", "use tracing::warn;\nuse tokenizers::Tokenizer;", &["1 tracing", "2 tokenizers"]);
    found("persona", "use crate::chat::MemberId;", &["1 crate::chat"]);
    found("engine", "use tokio::sync::Notify;\nuse candle_core::Tensor;", &["1 tokio"]);
}

#[test]
fn tests_may_use_more_crates_but_no_more_rooms() {
    let tests = "#[cfg(test)]\nmod tests {\n use super::*; use proptest::prelude::*; use std::time::Instant;\n \
                 #[tokio::test] async fn f() { Instant::now(); std::fs::read(p); }\n use crate::engine::E;\n}\n\
                 use proptest::x;";
    found("chat", tests, &["5 crate::engine", "7 proptest"]);
    found("chat", "#[cfg(test)] use proptest::x; use insta::y;", &["1 insta"]);
    found("chat", "#[cfg(all(test, unix))] fn f() { tempfile::tempdir(); }", &[]);
    found("chat", "#![cfg(test)]\nuse tempfile::tempdir;", &[]);
    found("chat", "#[cfg(not(test))] mod m { use tempfile::tempdir; }", &["1 tempfile"]);
    found("chat", "#[cfg(any(test, unix))] mod m { use tempfile::tempdir; }", &["1 tempfile"]);
    found("chat", "#[cfg(test)] mod m { use rand_chacha::rand_core; }", &["1 rand_chacha"]);
}

#[test]
fn a_file_is_a_test_when_its_module_is() {
    let parent = Source::new("src/chat.rs", "#[cfg(test)]\nmod tests;\nmod budget;");
    let modules = test_modules(&parent.tokens(), &parent.module());
    assert_eq!(modules, [["crate", "chat", "tests"]]);
    let crates = Crates::of_this_package();
    for (path, count) in [("src/chat/tests.rs", 0), ("src/chat/tests/more.rs", 0), ("src/chat/budget.rs", 1)]
    {
        assert_eq!(check(&Source::new(path, "use insta::x;"), &crates, &modules).len(), count, "{path}");
    }
}

#[test]
fn what_only_looks_like_a_path_is_none() {
    found(
        "chat",
        "//! `crate::engine`, std::fs\n/// [`crate::engine::X`] serenity::all\nfn f<'std>() {\n \
         let (engine, tokio) = (\"crate::engine\", 1); // serenity::all\n \
         let a: u8 = engine; f(tokio, std); self.fs; x.tokio(); Self::serenity(); T::<u8>::tokio(); u8::MAX;\n}",
        &[],
    );
    found("chat", "macro_rules! m { ($tokio:ident) => { $tokio::x(); } }", &[]);
    found(
        "chat",
        "fn f<'a>(x: &'a u8) -> impl Sized + use<'a> { x }\nfn g() { crate::engine::x(); }",
        &["2 crate::engine"],
    );
}

#[test]
fn a_message_quotes_the_rule() {
    let message = |path: &str, text: &str| {
        let violations = check(&Source::new(path, text), &Crates::of_this_package(), &[]);
        violations.first().expect("a violation").to_string()
    };
    assert_eq!(
        message("src/bot/x.rs", "\n\nuse crate::engine::Engine;"),
        "src/bot/x.rs:3 uses crate::engine, but bot may only use assistant, admin, chat, persona \
         (DESIGN: the column \"may use (ours)\")"
    );
    assert_eq!(
        message("src/store.rs", "use serenity::all::Message;"),
        "src/store.rs:1 uses serenity, but only bot may (DESIGN: \"a crate named there is used nowhere else\")"
    );
    assert_eq!(
        message("src/engine.rs", "use tokio::sync::Notify;"),
        "src/engine.rs:1 uses tokio, but engine may not \
         (DESIGN: \"one thread owns device, weights, KV pages, prefix tree and RNGs\")"
    );
    assert!(message("src/chat.rs", "use rand_chacha::ChaCha8Rng;").starts_with(
        "src/chat.rs:1 uses rand_chacha, but chat may only use the crates serde, serde_json, thiserror, \
             unicode_normalization, unicode_segmentation (DESIGN: \"no tokio, no fs, no clock"
    ));
}

/// Checks that in a file of `room` (or the very file `room/file`) exactly these violations are found, each written
/// as its line and what is used there.
#[track_caller]
fn found(room: &str, text: &str, expected: &[&str]) {
    let path = match room {
        "main" | "lib" | "config" => format!("src/{room}.rs"),
        _ if room.contains('/') => format!("src/{room}.rs"),
        _ => format!("src/{room}/x.rs"),
    };
    let violations = check(&Source::new(&path, text), &Crates::of_this_package(), &[]);
    let found: Vec<String> =
        violations.iter().map(|violation| format!("{} {}", violation.line, violation.used)).collect();
    assert_eq!(found, expected, "in {path}:\n{text}");
}

// How it is checked.

/// One file, by its path from the root of the repository.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// `src/chat/budget.rs` is the module `crate::chat::budget`; `lib.rs` and `main.rs` are `crate`.
    fn module(&self) -> Vec<String> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let names = inner.split('/').filter(|name| !["lib", "main", "mod"].contains(name));
        std::iter::once("crate").chain(names).map(str::to_owned).collect()
    }

    /// `src/chat.rs` and everything in `src/chat/` is in the room `chat`.
    fn room(&self) -> &str {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inner.split('/').next().unwrap_or_default()
    }

    fn tokens(&self) -> Vec<Token> {
        let stream = self.text.parse().unwrap_or_else(|error| panic!("{} is no Rust: {error}", self.path));
        tokens(stream)
    }
}

/// Something that the table does not allow.
struct Violation {
    path: String,
    line: usize,
    used: String,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, used, rule } = self;
        write!(formatter, "{path}:{line} uses {used}, but {rule}")
    }
}

/// The names under which this package can use other crates, and what those crates are called in the table.
struct Crates(BTreeMap<String, String>);

impl Crates {
    fn of_this_package() -> Self {
        let manifest: toml::Table = include_str!("../Cargo.toml").parse().expect("the manifest is TOML");
        let targets =
            manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
        let sections = targets.filter_map(toml::Value::as_table).chain([&manifest]);
        let dependencies = sections
            .flat_map(|section| ["dependencies", "dev-dependencies"].map(|kind| section.get(kind)))
            .filter_map(|dependencies| dependencies?.as_table())
            .flatten();
        let written = dependencies.map(|(name, dependency)| {
            let package = dependency.get("package").and_then(toml::Value::as_str).unwrap_or(name);
            (name.replace('-', "_"), package.replace('-', "_"))
        });
        let named_in_table =
            ROOMS.iter().flat_map(|room| room.only_place_for.iter().chain(room.crates.into_iter().flatten()));
        let themselves = named_in_table.map(|&name| (name.to_owned(), name.to_owned()));
        let standard = ["alloc", "core", "std"].map(|name| (name.to_owned(), "std".to_owned()));
        Self(themselves.chain(standard).chain(written).collect())
    }
}

fn room(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

/// Finds everything in a file that the table does not allow. A file outside the table may not use anything.
fn check(source: &Source, crates: &Crates, test_modules: &[Vec<String>]) -> Vec<Violation> {
    let module = source.module();
    let mut reader = Reader {
        path: &source.path,
        room: room(source.room()).unwrap_or(&ROOM),
        crates,
        scopes: Vec::new(),
        in_test: test_modules.iter().any(|tests| module.starts_with(tests)),
        violations: Vec::new(),
    };
    reader.block(&source.tokens(), Some(module));
    reader.violations
}

/// The modules that a file declares for tests only and that have files of their own.
fn test_modules(tokens: &[Token], module: &[String]) -> Vec<Vec<String>> {
    let declared = tokens.windows(5).filter_map(|window| match window {
        [
            Token::Sign('#'),
            Token::Group(_, attribute),
            Token::Word(word, _),
            Token::Word(name, _),
            Token::Sign(';'),
        ] if word == "mod" && is_for_tests(attribute) => Some([module, slice::from_ref(name)].concat()),
        _ => None,
    });
    declared.collect()
}

/// A walk through the tokens of one file.
struct Reader<'a> {
    path: &'a str,
    room: &'static Room,
    crates: &'a Crates,
    /// The blocks around the place that is read, the innermost last.
    scopes: Vec<Scope>,
    /// Whether that place is compiled for tests only.
    in_test: bool,
    violations: Vec<Violation>,
}

/// What a block of braces brings into scope.
struct Scope {
    /// The module that it belongs to.
    module: Vec<String>,
    /// Whether it is the whole of that module, so that the names around it do not count in it.
    is_module: bool,
    names: BTreeMap<String, Meaning>,
}

/// What a name stands for.
struct Meaning {
    path: Vec<String>,
    /// Whether it was imported, and so has been judged where that happened; else it is a module declared here.
    is_import: bool,
}

impl Scope {
    /// `use super::*` brings in what the parent module imports.
    fn sees_parent(&self) -> bool {
        let parent = self.module.split_last().map(|(_, parent)| parent);
        self.names
            .values()
            .filter_map(|meaning| meaning.path.split_last())
            .any(|(last, path)| last == "*" && Some(path) == parent)
    }
}

impl Reader<'_> {
    /// Reads a block of braces, or a whole module when its path is given.
    fn block(&mut self, tokens: &[Token], module: Option<Vec<String>>) {
        let is_module = module.is_some();
        let module = module.unwrap_or_else(|| self.module().to_vec());
        self.scopes.push(Scope { module, is_module, names: BTreeMap::new() });
        // A name counts in the whole block, also before it is declared.
        let names = self.declared(tokens);
        if let Some(scope) = self.scopes.last_mut() {
            scope.names = names;
        }
        self.read(tokens);
        self.scopes.pop();
    }

    /// The path of the module that is read.
    fn module(&self) -> &[String] {
        self.scopes.last().map_or(&[], |scope| &scope.module)
    }

    fn declared(&self, tokens: &[Token]) -> BTreeMap<String, Meaning> {
        let mut names = BTreeMap::new();
        for (at, token) in tokens.iter().enumerate() {
            let Token::Word(word, _) = token else { continue };
            match (word.as_str(), &tokens[at + 1..]) {
                ("use", rest) => {
                    for Import { name, path, .. } in imports(item(rest)) {
                        names.insert(name, Meaning { path: self.written_from_root(&path), is_import: true });
                    }
                }
                ("mod", [Token::Word(name, _), ..]) => {
                    let path = [self.module(), slice::from_ref(name)].concat();
                    names.insert(name.clone(), Meaning { path, is_import: false });
                }
                _ => {}
            }
        }
        names
    }

    fn read(&mut self, tokens: &[Token]) {
        use Token::{Group, Separator, Sign, Word};
        let in_test_before = self.in_test;
        let mut in_test_around = self.in_test;
        let mut at = 0;
        while at < tokens.len() {
            at += match &tokens[at..] {
                [Sign('#'), Sign('!'), Group(_, attribute), ..] if is_for_tests(attribute) => {
                    in_test_around = true;
                    self.in_test = true;
                    3
                }
                [Sign('#'), Group(_, attribute), ..] => {
                    self.in_test |= is_for_tests(attribute);
                    self.read_attribute(attribute);
                    2
                }
                [Word(word, _), rest @ ..] if word == "use" && !matches!(rest, [Sign('<'), ..]) => {
                    for import in imports(item(rest)) {
                        self.judge(&import.path, import.line);
                    }
                    1 + item(rest).len()
                }
                [Word(r#extern, _), Word(word, _), Word(name, line), ..]
                    if r#extern == "extern" && word == "crate" =>
                {
                    self.judge(&[String::new(), name.clone()], *line);
                    3
                }
                [Word(word, _), Word(name, _), Group(Delimiter::Brace, body), ..] if word == "mod" => {
                    self.block(body, Some([self.module(), slice::from_ref(name)].concat()));
                    self.in_test = in_test_around;
                    3
                }
                [Word(word, line), Sign('!'), ..] if word == "include" => {
                    self.report_foreign_file("include!", *line);
                    2
                }
                [Group(Delimiter::Brace, body), ..] => {
                    self.block(body, None);
                    self.in_test = in_test_around;
                    1
                }
                [Group(_, inner), ..] => {
                    self.read(inner);
                    1
                }
                [Sign(';'), ..] => {
                    self.in_test = in_test_around;
                    1
                }
                // The type of what a method is called on is unknown; its name must do.
                [Sign('.'), Word(method, line), Group(Delimiter::Parenthesis, _), ..] => {
                    self.judge(&["Self".to_owned(), method.clone()], *line);
                    2
                }
                [Sign('.'), Word(..), ..] => 2,
                // A variable of a macro, and what belongs to a type.
                [Sign('$'), rest @ ..] => 1 + path_at(rest).length,
                [Sign('>'), Separator, ..] => 1 + path_at(&tokens[at + 1..]).length,
                [Word(word, _), ..] if BEFORE_PATHS.contains(&word.as_str()) => 1,
                rest @ [Word(..) | Separator, ..] => {
                    let path = path_at(rest);
                    if path.segments.len() > 1 {
                        self.judge(&path.segments, path.line);
                    }
                    path.length
                }
                _ => 1,
            };
        }
        self.in_test = in_test_before;
    }

    fn read_attribute(&mut self, attribute: &[Token]) {
        if let [Token::Word(word, line), Token::Sign('='), ..] = attribute
            && word == "path"
        {
            self.report_foreign_file("#[path]", *line);
        }
        self.read(attribute);
    }

    fn report_foreign_file(&mut self, used: &str, line: usize) {
        let rule = "a file belongs to the room that its own place says (DESIGN: the column \"room\")";
        self.report(line, used.to_owned(), rule.to_owned());
    }

    fn judge(&mut self, path: &[String], line: usize) {
        let path = self.written_from_root(path);
        let import = path.first().and_then(|name| self.meaning(name)).filter(|meaning| meaning.is_import);
        let judged_before = import.is_some_and(|import| {
            import.path.first() != path.first() && self.complaint(&self.resolve(&import.path)).is_some()
        });
        if !judged_before && let Some((used, rule)) = self.complaint(&self.resolve(&path)) {
            self.report(line, used, rule);
        }
    }

    fn report(&mut self, line: usize, used: String, rule: String) {
        if self.violations.last().is_some_and(|last| last.line == line && last.used == used) {
            return;
        }
        self.violations.push(Violation { path: self.path.to_owned(), line, used, rule });
    }

    /// Writes a path that begins with `crate`, `self`, `super` or the crate's own name from the crate's root; one
    /// that begins elsewhere stays as it is.
    fn written_from_root(&self, path: &[String]) -> Vec<String> {
        let root = ["crate".to_owned()];
        match path {
            [first, rest @ ..] if first == "crate" || first == "mummer" => [&root, rest].concat(),
            [first, second, rest @ ..] if first.is_empty() && second == "mummer" => [&root, rest].concat(),
            _ => {
                let steps = path.iter().take_while(|&step| step == "self" || step == "super").count();
                let up = path[..steps].iter().filter(|&step| step == "super").count();
                let module = if steps == 0 { &[] } else { self.module() };
                [&module[..module.len().saturating_sub(up)], &path[steps..]].concat()
            }
        }
    }

    /// Puts what its first name stands for in the place of that name.
    fn resolve(&self, path: &[String]) -> Vec<String> {
        let path = self.written_from_root(path);
        let Some((first, rest)) = path.split_first() else { return path };
        match self.meaning(first) {
            Some(meaning) if meaning.path.first() != Some(first) => {
                self.resolve(&[&meaning.path, rest].concat())
            }
            Some(meaning) => [&meaning.path, rest].concat(),
            None => path,
        }
    }

    fn meaning(&self, name: &str) -> Option<&Meaning> {
        for scope in self.scopes.iter().rev() {
            if let Some(meaning) = scope.names.get(name) {
                return Some(meaning);
            }
            if scope.is_module && !scope.sees_parent() {
                return None;
            }
        }
        None
    }

    /// What is used by a resolved path, and which rule forbids it.
    fn complaint(&self, path: &[String]) -> Option<(String, String)> {
        let room = self.room;
        let (first, rest) = path.split_first()?;
        if first == "crate" {
            return complaint_about_room(room, rest);
        }
        let known = if first.is_empty() { rest.first() } else { self.crates.0.get(first) };
        let name = known.map(|name| self.crates.0.get(name).unwrap_or(name));
        let of_crate = name.and_then(|name| self.complaint_about_crate(name));
        let rest = if first.is_empty() { rest.get(1..).unwrap_or_default() } else { rest };
        of_crate.or_else(|| {
            let path = [slice::from_ref(name.unwrap_or(first)), rest].concat();
            let forbidden = room.never.iter().find(|&&never| {
                let words: Vec<&str> = never.split("::").collect();
                !room.except.contains(&(self.path, never))
                    && path.windows(words.len()).any(|part| part == words)
            })?;
            let rule = format!("{} may not (DESIGN: {:?})", room.name, room.quote);
            (!self.in_test).then(|| ((*forbidden).to_owned(), rule))
        })
    }

    fn complaint_about_crate(&self, name: &str) -> Option<(String, String)> {
        let room = self.room;
        let has = |room: &Room| room.only_place_for.iter().any(|pattern| matches(pattern, name));
        let owners: Vec<&str> = ROOMS.iter().filter(|room| has(room)).map(|room| room.name).collect();
        if !owners.is_empty() && !has(room) {
            let rule = "DESIGN: \"a crate named there is used nowhere else\"";
            return Some((name.to_owned(), format!("only {} may ({rule})", owners.join(" and "))));
        }
        let listed = room.crates?;
        if name == "std" || listed.contains(&name) || self.in_test && FREE_IN_TESTS.contains(&name) {
            return None;
        }
        let rule =
            format!("{} may only use the crates {} (DESIGN: {:?})", room.name, listed.join(", "), room.quote);
        Some((name.to_owned(), rule))
    }
}

/// What a room uses with a path below the crate's root, and the rule when it may not.
fn complaint_about_room(room: &Room, path: &[String]) -> Option<(String, String)> {
    let target = path.first()?;
    let allowed = |&may: &&str| may == "*" || may.split("::").eq(path.iter().take(may.split("::").count()));
    if target == room.name || room.may_use.iter().any(allowed) {
        return None;
    }
    let may = if room.may_use.is_empty() {
        "use no other room".to_owned()
    } else {
        format!("only use {}", room.may_use.join(", "))
    };
    let rule = format!("{} may {may} (DESIGN: the column \"may use (ours)\")", room.name);
    Some((format!("crate::{target}"), rule))
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

/// Whether an attribute is a `cfg` that holds in tests only.
fn is_for_tests(attribute: &[Token]) -> bool {
    fn any_needs_test(predicates: &[Token]) -> bool {
        predicates.split(|token| *token == Token::Sign(',')).any(|predicate| match predicate {
            [Token::Word(word, _)] => word == "test",
            [Token::Word(word, _), Token::Group(_, inner)] => word == "all" && any_needs_test(inner),
            _ => false,
        })
    }
    matches!(attribute, [Token::Word(word, _), Token::Group(_, inner)] if word == "cfg" && any_needs_test(inner))
}

/// One leaf of a `use` item. A glob's name is its path.
struct Import {
    name: String,
    path: Vec<String>,
    line: usize,
}

/// What stands between a keyword and its semicolon.
fn item(tokens: &[Token]) -> &[Token] {
    tokens.split(|token| *token == Token::Sign(';')).next().unwrap_or_default()
}

fn imports(tree: &[Token]) -> Vec<Import> {
    let mut found = Vec::new();
    collect_imports(&[], 0, tree, &mut found);
    found
}

fn collect_imports(prefix: &[String], line: usize, tree: &[Token], found: &mut Vec<Import>) {
    use Token::{Group, Separator, Sign, Word};
    let own = path_at(tree);
    let line = own.line.max(line);
    let mut path = [prefix, &own.segments].concat();
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    match &tree[own.length..] {
        [Separator, Group(_, trees)] | [Group(_, trees)] => {
            for tree in trees.split(|token| *token == Sign(',')) {
                collect_imports(&path, line, tree, found);
            }
        }
        [Separator, Sign('*')] | [Sign('*')] => {
            path.push("*".to_owned());
            found.push(Import { name: path.join("::"), path, line });
        }
        [Word(word, _), Word(name, _)] if word == "as" => {
            found.push(Import { name: name.clone(), path, line });
        }
        [] if own.length > 0 => {
            let name = path.last().cloned().unwrap_or_default();
            found.push(Import { name, path, line });
        }
        _ => {}
    }
}

/// A path without generic arguments. Its first segment is empty when it begins with `::`.
struct TokenPath {
    segments: Vec<String>,
    line: usize,
    /// How many tokens it has.
    length: usize,
}

fn path_at(tokens: &[Token]) -> TokenPath {
    let mut path = TokenPath { segments: Vec::new(), line: 0, length: 0 };
    if let [Token::Separator, ..] = tokens {
        path.segments.push(String::new());
        path.length = 1;
    }
    while let Some(Token::Word(word, line)) = tokens.get(path.length) {
        path.segments.push(word.clone());
        path.line = path.line.max(*line);
        path.length += 1;
        match &tokens[path.length..] {
            [Token::Separator, Token::Word(..), ..] => path.length += 1,
            _ => break,
        }
    }
    path
}

/// Keywords after which a path may begin with `::`.
const BEFORE_PATHS: &[&str] = &[
    "as", "await", "break", "const", "dyn", "else", "for", "if", "impl", "in", "let", "match", "move", "mut",
    "ref", "return", "static", "unsafe", "where", "while",
];

/// Rust's tokens, as far as paths need them.
#[derive(PartialEq)]
enum Token {
    /// An identifier or a keyword, with its line.
    Word(String, usize),
    /// `::`
    Separator,
    /// Any other character. `..`, arrows, literals and lifetimes are one sign each.
    Sign(char),
    Group(Delimiter, Vec<Token>),
}

fn tokens(stream: TokenStream) -> Vec<Token> {
    let mut found = Vec::new();
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let token = match tree {
            TokenTree::Group(group) => Token::Group(group.delimiter(), tokens(group.stream())),
            TokenTree::Literal(_) => Token::Sign('"'),
            TokenTree::Ident(ident) => {
                let text = ident.to_string();
                if text == "crate" && found.last() == Some(&Token::Sign('$')) {
                    found.pop();
                }
                Token::Word(text.trim_start_matches("r#").to_owned(), ident.span().start().line)
            }
            TokenTree::Punct(punct) => {
                let is_joint = punct.spacing() == Spacing::Joint;
                let next = match trees.peek() {
                    Some(TokenTree::Punct(next)) if is_joint => Some(next.as_char()),
                    _ => None,
                };
                let (token, is_pair) = match (punct.as_char(), next) {
                    (':', Some(':')) => (Token::Separator, true),
                    ('.', Some('.')) => (Token::Sign('…'), true),
                    ('-' | '=', Some('>')) => (Token::Sign('→'), true),
                    (sign, _) => (Token::Sign(sign), sign == '\''),
                };
                if is_pair {
                    trees.next();
                }
                token
            }
        };
        found.push(token);
    }
    found
}
