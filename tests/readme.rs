//! The README against what there is: the commands that it gives, and its tables.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the file is there")
}

/// The first cells of the table under this heading, without their marks of code.
fn first_cells(readme: &str, heading: &str) -> BTreeSet<String> {
    let section = readme.split(&format!("\n## {heading}\n")).nth(1).expect("the heading is there");
    let section = section.split("\n## ").next().expect("a section");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_start_matches("| `").split('`').next().expect("a cell").to_owned()).collect()
}

#[test]
fn ci_runs_the_test_command_that_the_readme_gives() {
    let readme = read("README.md");
    let commands: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert_eq!(commands[0], "cargo run --release");
    let tests = commands.iter().find(|command| command.starts_with("cargo test"));
    let quoted = format!("test_command=\"{}\"", tests.expect("the README says how to test"));
    assert!(read(".ci/run").lines().any(|line| line == quoted), "{quoted}");
}

#[test]
fn every_setting_is_in_the_table_and_every_row_is_a_setting() {
    let defaults: toml::Table = toml::from_str(&read("config/default.toml")).expect("it parses");
    let mut settings: BTreeSet<String> = defaults
        .iter()
        .filter(|(section, _)| *section != "sampling")
        .flat_map(|(section, table)| {
            let keys = table.as_table().expect("a section").keys();
            keys.map(move |key| format!("{section}.{key}")).collect::<Vec<_>>()
        })
        .collect();
    settings.extend(["sampling.*", "discord.channels.<id>.persona"].map(str::to_owned));
    assert_eq!(first_cells(&read("README.md"), "Settings"), settings);
}

#[test]
fn every_command_is_in_the_table_with_all_its_options() {
    let help = |arguments: &[&str]| -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_mummer")).args(arguments).arg("--help").output();
        String::from_utf8(output.expect("it runs").stdout).expect("it is text")
    };
    let subcommands = |arguments: &[&str]| -> Vec<String> {
        let help = help(arguments);
        let listed =
            help.split("Commands:\n").nth(1).map_or("", |rest| rest.split("\n\n").next().unwrap_or(rest));
        let names = listed.lines().filter_map(|line| line.split_whitespace().next());
        names.filter(|name| *name != "help").map(str::to_owned).collect()
    };
    let rows = first_cells(&read("README.md"), "Commands");
    for command in subcommands(&[]) {
        let nested = subcommands(&[&command]);
        let paths = if nested.is_empty() {
            vec![vec![command.clone()]]
        } else {
            nested.into_iter().map(|nested| vec![command.clone(), nested]).collect()
        };
        for path in paths {
            let name = format!("mummer {}", path.join(" "));
            let row = rows.iter().find(|row| **row == name || row.starts_with(&format!("{name} ")));
            let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
            let arguments: Vec<&str> = path.iter().map(String::as_str).collect();
            let help = help(&arguments);
            let options = help.split_whitespace().filter(|word| word.starts_with("--"));
            for option in options.map(|option| option.trim_end_matches([',', ';', '.', ']'])) {
                let global = ["--config", "--model", "--dry-run", "--help"].contains(&option);
                assert!(global || row.contains(option), "{option} is not in the row {row}");
            }
        }
    }
}
