//! `mummer persona import`, `export` and `lint`: cards come in, play, and go out again.

use std::path::Path;

use mummer::persona::Library;
use serde_json::{Value, json};

use crate::cli::{run, stdout};

fn card() -> Value {
    json!({
        "spec": "chara_card_v3", "spec_version": "3.0",
        "data": {
            "name": "Ada of the Mill", "nickname": "Ada", "description": "{{char}} counts everything.",
            "personality": "", "scenario": "", "first_mes": "Nine hundred and one. Yes, {{user}}?",
            "mes_example": "<START>\n{{user}}: Hi.\n{{char}}: Two letters.", "creator_notes": "Nobody plays this.",
            "system_prompt": "{{original}} Be brief.", "post_history_instructions": "Answer {{user}}.",
            "alternate_greetings": [], "tags": ["mill"], "creator": "us", "character_version": "1",
            "group_only_greetings": [], "extensions": {"depth_prompt": {"prompt": "It rains.", "depth": 1, "role": "system"}},
            "character_book": {"extensions": {}, "entries": [
                {"keys": ["wheel"], "content": "The wheel has forty blades.", "extensions": {}, "enabled": true,
                 "insertion_order": 1, "use_regex": true}]},
            "unknown": [null, {"deep": true}],
        },
    })
}

/// A directory with the card in a file whose name says nothing.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("download"), card().to_string()).expect("it is written");
    directory
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[test]
fn a_card_comes_in_plays_and_goes_out_unharmed() {
    let directory = directory();
    let (file, home) = (directory.path().join("download"), directory.path().join("personas"));
    let import = ["persona", "import", "--to", text(&home), text(&file)];
    let path = stdout(&run(&import, b"")).trim().to_owned();
    assert_eq!(Path::new(&path), home.join("ada-of-the-mill.toml"));
    let prompt = stdout(&run(&["persona", "show", "--prompt", &path], b""));
    for expected in [
        "deeds of anybody else. Be brief.",
        "Ada counts everything.",
        "User: Hi.\nAda: Two letters.",
        "[It rains.]\nRobin: Who are you?\n[Answer Robin.]",
    ] {
        assert!(prompt.contains(expected), "{expected:?} is not in {prompt}");
    }
    let out = stdout(&run(&["persona", "export", &path], b""));
    assert_eq!(serde_json::from_str::<Value>(&out).expect("it is JSON"), card());

    let again = run(&import, b"");
    let stderr = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.code() == Some(2) && stderr.contains("--force"), "{stderr}");
    stdout(&run(&[&import[..], &["--force"]].concat(), b""));
}

#[test]
fn a_picture_comes_back_as_it_was() {
    let directory = directory();
    let (file, home) = (directory.path().join("download"), directory.path().join("personas"));
    let picture = directory.path().join("picture");
    stdout(&run(&["persona", "export", "crake", "--format", "png", "--output", text(&picture)], b""));
    let path =
        stdout(&run(&["persona", "import", "--to", text(&home), text(&picture)], b"")).trim().to_owned();
    assert!(path.ends_with("halloran-crake.toml"), "{path}");
    let export = |persona: &str| stdout_bytes(&["persona", "export", persona, "--format", "png"]);
    let once = export(&path);
    std::fs::write(&picture, &once).expect("it is written");
    stdout(&run(&["persona", "import", "--force", "--to", text(&home), text(&picture)], b""));
    assert_eq!(export(&path), once, "what came in goes out, byte for byte");
    let shown = |persona: &str| stdout(&run(&["persona", "show", "--prompt", persona], b""));
    assert_eq!(shown(&path), shown("crake"));
    let v2 = stdout(&run(&["persona", "export", text(&file), "--format", "toml"], b""));
    assert!(v2.contains("name = \"Ada of the Mill\"") && v2.contains("[[lorebook.entries]]"), "{v2}");
}

fn stdout_bytes(arguments: &[&str]) -> Vec<u8> {
    let output = run(arguments, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn personas_of_a_directory_may_be_cards() {
    let home = tempfile::tempdir().expect("a directory");
    std::fs::write(home.path().join("mill.json"), card().to_string()).expect("it is written");
    let picture = home.path().join("inquirer.png");
    stdout(&run(&["persona", "export", "crake", "--format", "png", "--output", text(&picture)], b""));
    let library = Library::load(Some(home.path())).expect("they load");
    let name = |wanted: &str| library.find(wanted).map(|persona| persona.card.name.clone());
    assert_eq!(name("mill").as_deref(), Some("Ada of the Mill"));
    assert_eq!(name("inquirer").as_deref(), Some("Halloran Crake"));
    assert!(library.find("inquirer").is_some_and(|persona| persona.avatar.is_some()));
}

#[test]
fn what_is_shipped_is_clean() {
    let library = Library::load(None).expect("they load");
    let ids: Vec<&str> = library.iter().map(|persona| persona.id.0.as_str()).collect();
    let output = run(&[&["persona", "lint"], &ids[..]].concat(), b"");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_linter_says_how_grave_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let lint = |text: &str, arguments: &[&str]| {
        let path = directory.path().join("ada.json");
        std::fs::write(&path, text).expect("it is written");
        let output = run(&[&["persona", "lint"], arguments, &[self::text(&path)]].concat(), b"");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = lint(r#"{"name": "Ada", "description": "{{what}}", "first_mes": "Hm."}"#, &[]);
    assert!(code == Some(1) && said.contains("warning: description has the macro {{what}}"), "{said}");
    let (code, said) = lint(r#"{"name": "Discord", "description": "x", "first_mes": "Hm."}"#, &[]);
    assert!(code == Some(2) && said.contains("error: name"), "{said}");
    let (code, said) = lint(r#"{"name": 3"#, &[]);
    assert!(code == Some(2) && said.contains("does not parse"), "{said}");
    let (code, said) = lint(&card().to_string(), &["--json"]);
    let report: Value = serde_json::from_str(&said).expect("it is JSON");
    let report = report.as_object().and_then(|reports| reports.values().next()).expect("a report");
    assert_eq!((code, report["findings"].as_array().map(Vec::len)), (Some(0), Some(0)), "{said}");
    assert!(report["costs"].as_array().is_some_and(|costs| costs.len() > 4), "{said}");
}

#[test]
fn a_prompt_is_explained_where_it_is_shown() {
    let directory = directory();
    let file = directory.path().join("download");
    let show = |arguments: &[&str]| {
        let output = run(&[&["persona", "show", "--prompt"], arguments, &[text(&file)]].concat(), b"");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (stdout(&output), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (bare, said) = show(&[]);
    assert!(bare.ends_with("### Response:\nAda:") && !bare.contains("forty"), "{bare}");
    for expected in ["tokens\n", "description\n", "example 1\n", "turns 0 to 2\n"] {
        assert!(said.contains(expected), "{expected:?} is not in {said}");
    }
    let (bare, said) = show(&["--say", "How big is the WHEEL?"]);
    assert!(bare.contains("The wheel has forty blades."), "{bare}");
    assert!(said.contains("lore: wheel, called by \"wheel\""), "{said}");
    let (json, said) = show(&["--json", "--say", "How big is the WHEEL?"]);
    let shown: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!((shown["prompt"].as_str(), said.as_str()), (Some(bare.as_str()), ""));
    assert_eq!(shown["lore"], json!([{"entry": "wheel", "why": "called by \"wheel\""}]));
    let section = |name: &str| {
        let sections = shown["sections"].as_array().into_iter().flatten();
        sections
            .filter(|section| section["section"] == name)
            .filter_map(|section| section["tokens"].as_u64())
            .sum::<u64>()
    };
    assert!(section("description") > 2 && section("lore: wheel") > 4 && section("history") > 10, "{json}");
}

/// A golden file in `cards/`.
fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cards").join(name)
}

#[test]
fn each_form_is_read_and_given_back() {
    let home = tempfile::tempdir().expect("a directory");
    for form in ["v1", "pygmalion", "v2", "v3"] {
        let file = golden(&format!("{form}.json"));
        let (directory, came) =
            (home.path().join(form), std::fs::read_to_string(&file).expect("it is there"));
        let path = stdout(&run(&["persona", "import", "--to", text(&directory), text(&file)], b""));
        let path = path.trim();
        let toml = std::fs::read_to_string(path).expect("it was written");
        let (played, _) = toml.split_once("original = ").expect("the card is kept");
        insta::assert_snapshot!(format!("card_{form}"), played);
        let prompt =
            stdout(&run(&["persona", "show", "--prompt", "--say", "A storm! The ferry drowns.", path], b""));
        insta::assert_snapshot!(format!("card_{form}_prompt"), prompt);

        let out: Value =
            serde_json::from_str(&stdout(&run(&["persona", "export", path], b""))).expect("it is JSON");
        let came: Value = serde_json::from_str(&came).expect("it is JSON");
        let data = came.get("data").unwrap_or(&came).as_object().expect("an object");
        for (key, value) in data {
            assert_eq!(out["data"][key], *value, "{key} of {form}");
        }
    }
}

#[test]
fn a_lorebook_of_its_own_is_given_to_a_persona() {
    let home = tempfile::tempdir().expect("a directory");
    let [world, book, card] = ["world.json", "lorebook_v3.json", "v1.json"].map(golden);
    let alone = run(&["persona", "lint", text(&world)], b"");
    let said = String::from_utf8_lossy(&alone.stdout).into_owned();
    assert!(alone.status.code() == Some(2) && said.contains("--lorebook"), "{said}");
    let path = stdout(&run(
        &[
            "persona",
            "import",
            "--to",
            text(home.path()),
            "--lorebook",
            text(&world),
            "--lorebook",
            text(&book),
            text(&card),
        ],
        b"",
    ));
    let toml = std::fs::read_to_string(path.trim()).expect("it was written");
    let lore = toml.find("[lorebook]").expect("it has one");
    let (lore, _) = toml[lore..].split_once("original = ").unwrap_or((&toml[lore..], ""));
    insta::assert_snapshot!("lorebooks", lore);
}
