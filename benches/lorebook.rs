//! How long a large lorebook takes to be made ready and to be searched: `cargo bench --bench lorebook`.

#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::time::{Duration, Instant};

use mummer::persona::lorebook::{Entry, Lore, Lorebook, Scan, Timed};

const ENTRIES: usize = 10_000;
const MESSAGES: usize = 50;
const ROUNDS: usize = 31;

fn main() {
    let entry = |number: usize| Entry {
        keys: vec![format!("place{number}"), format!("name {number}"), format!("thing{number}x")],
        content: format!("What is known of place{number}: it lies beside place{}. ", number + 1).repeat(3),
        // Some of the keys are regular expressions.
        secondary_keys: if number.is_multiple_of(100) {
            vec![format!("/thing{number}[xyz]+/i")]
        } else {
            Vec::new()
        },
        selective: number.is_multiple_of(100),
        scan_depth: Some(MESSAGES),
        whole_words: number.is_multiple_of(2),
        ..Entry::default()
    };
    let book =
        Lorebook { recursive: true, entries: (0..ENTRIES).map(entry).collect(), ..Lorebook::default() };
    let begin = Instant::now();
    let lore = Lore::new(book);
    let made = begin.elapsed();

    let texts: Vec<String> = (0..MESSAGES)
        .map(|number| {
            let filler =
                "somebody said something about the weather and the old road to the harbour. ".repeat(6);
            format!("Robin: {filler} place{} and name {} {filler}", number * 7, number * 11)
        })
        .collect();
    let messages: Vec<&str> = texts.iter().map(String::as_str).collect();
    let before = Timed::default();
    let count = |entry: usize| lore.text(entry).len() / 4;
    let (greeting, seed) = (None, 7);
    let scan = Scan {
        messages: &messages,
        number: 50,
        spoken: 25,
        greeting,
        seed,
        before: &before,
        budget: 2_000,
        count: &count,
    };
    let mut times: Vec<Duration> = Vec::new();
    let mut fired = 0;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        fired = lore.activate(scan).fired.len();
        times.push(begin.elapsed());
    }
    times.sort();
    println!("{ENTRIES} entries made ready in {made:.1?}");
    println!(
        "searched for in {MESSAGES} messages in {:.2?} (median of {ROUNDS}, {:.2?} to {:.2?}); {fired} came",
        times[ROUNDS / 2],
        times[0],
        times[ROUNDS - 1]
    );
}
