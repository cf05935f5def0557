//! A table for each rule: entries, what was said, and which entries come.

use super::super::{Lorebook, Recursion, Timing};
use super::*;

/// An entry that is called by one key and is called by it itself.
fn entry(key: &str) -> Entry {
    Entry {
        name: key.to_owned(),
        keys: vec![key.to_owned()],
        content: format!("about {key}"),
        ..Entry::default()
    }
}

fn lore(entries: &[Entry]) -> Lore {
    Lore::new(Lorebook { entries: entries.to_vec(), ..Lorebook::default() })
}

fn recursive(entries: &[Entry]) -> Lore {
    Lore::new(Lorebook { entries: entries.to_vec(), recursive: true, ..Lorebook::default() })
}

/// Every entry has two tokens.
fn two(_: usize) -> usize {
    2
}

fn scan<'a>(messages: &'a [&'a str], before: &'a Timed) -> Scan<'a> {
    Scan { messages, number: 10, spoken: 5, greeting: None, seed: 1, before, budget: 1_000, count: &two }
}

/// The names of the entries that come.
fn fired(lore: &Lore, activation: &Activation) -> Vec<String> {
    activation.fired.iter().map(|fired| lore.entry(fired.entry).name.clone()).collect()
}

/// The names of the entries that these messages call up.
fn called(lore: &Lore, messages: &[&str]) -> Vec<String> {
    fired(lore, &lore.activate(scan(messages, &Timed::default())))
}

#[test]
fn a_key_calls_its_entry() {
    for (key, message, comes) in [
        ("moon", "Bob: Look, the moon!", true),
        ("moon", "Bob: Look, the MOON!", true),
        ("Moon", "Bob: a moonlit night", true),
        ("moon", "Bob: Look, the sun!", false),
        ("old mill", "Bob: By the old mill.", true),
        ("ÄRGER", "Bob: so viel ärger", true),
        ("Bob", "Bob: hi", true),
        (" moon ", "Bob: moon", true),
        ("", "Bob: hi", false),
    ] {
        assert_eq!(called(&lore(&[entry(key)]), &[message]).len(), usize::from(comes), "{key} in {message}");
    }
}

#[test]
fn case_and_whole_words_count_where_they_should() {
    let with = |key: &str, case_sensitive, whole_words| Entry { case_sensitive, whole_words, ..entry(key) };
    for (entry, message, comes) in [
        (with("Moon", true, false), "x: the Moon", true),
        (with("Moon", true, false), "x: the moon", false),
        (with("moon", false, true), "x: moonlight", false),
        (with("moon", false, true), "x: the moon.", true),
        (with("moon", false, true), "x: amoon moon", true),
        (with("moon", false, true), "x: moon_base", false),
        (with("Moon", true, true), "x: Moonlight Moon", true),
        // Of several words together nobody asks where they begin.
        (with("new moon", false, true), "x: a renew moonlight", true),
    ] {
        let shown = format!("{entry:?} in {message}");
        assert_eq!(called(&lore(&[entry]), &[message]).len(), usize::from(comes), "{shown}");
    }
}

#[test]
fn a_key_between_slashes_is_an_expression() {
    for (key, message, comes) in [
        ("/mo+n/", "x: mooon", true),
        ("/mo+n/", "x: MOON", false),
        ("/mo+n/i", "x: MOON", true),
        ("/^Bob: hi$/", "Bob: hi", true),
        (r"/a\/b/", "x: a/b", true),
        // Without slashes it is none, whatever `use_regex` says.
        ("mo+n", "x: moon", false),
        ("mo+n", "x: mo+n", true),
        ("/unfinished", "x: /unfinished", true),
        // What takes exponential time is not there, and matches nothing.
        ("/(?=moon)/", "x: moon", false),
        (r"/(m)\1/", "x: mm", false),
        ("/(/", "x: (", false),
    ] {
        assert_eq!(called(&lore(&[entry(key)]), &[message]).len(), usize::from(comes), "{key} in {message}");
    }
    let lore =
        lore(&[entry("moon"), entry("/(?=moon)/"), entry("/a{1000}{1000}/"), entry(&"x".repeat(2_000))]);
    let problems: Vec<String> =
        lore.problems().map(|(number, problem)| format!("{number}: {}", problem.problem)).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].starts_with("1: ") && problems[0].contains("look-around"), "{problems:?}");
    assert!(problems[1].contains("too large") && problems[2].contains("longer"), "{problems:?}");
}

#[test]
fn secondary_keys_count_by_their_logic() {
    let with = |logic| Entry {
        selective: true,
        secondary_keys: vec!["cat".to_owned(), "dog".to_owned()],
        logic,
        ..entry("moon")
    };
    for (logic, alone, one, both) in [
        (Logic::AndAny, false, true, true),
        (Logic::NotAll, true, true, false),
        (Logic::NotAny, true, false, false),
        (Logic::AndAll, false, false, true),
    ] {
        let lore = lore(&[with(logic)]);
        let comes = |message| !called(&lore, &[message]).is_empty();
        assert_eq!(
            [comes("moon"), comes("moon cat"), comes("moon cat dog")],
            [alone, one, both],
            "{logic:?}"
        );
        assert!(!comes("cat dog") && !comes("cat"), "{logic:?}");
    }
    // A key that can never match is one that is not there.
    for (logic, comes) in
        [(Logic::AndAny, false), (Logic::NotAll, true), (Logic::NotAny, true), (Logic::AndAll, false)]
    {
        let never = Entry { secondary_keys: vec!["/(?=x)/".to_owned()], ..with(logic) };
        assert_eq!(called(&lore(&[never]), &["moon"]).len(), usize::from(comes), "{logic:?}");
    }
    let not_selective = Entry { selective: false, ..with(Logic::AndAll) };
    assert_eq!(called(&lore(&[not_selective]), &["moon"]).len(), 1);
    let without = Entry { secondary_keys: Vec::new(), ..with(Logic::AndAll) };
    assert_eq!(called(&lore(&[without]), &["moon"]).len(), 1);
}

#[test]
fn an_entry_that_is_off_never_comes_and_a_constant_one_always() {
    let off = Entry { enabled: false, ..entry("moon") };
    let constant = Entry { constant: true, keys: Vec::new(), name: "constant".to_owned(), ..entry("") };
    assert_eq!(called(&lore(&[off.clone(), constant.clone()]), &["moon"]), ["constant"]);
    assert_eq!(called(&lore(&[Entry { constant: true, ..off }, constant]), &[]), ["constant"]);
}

#[test]
fn so_many_messages_are_scanned() {
    let messages = ["moon", "sun", "rain"];
    let own = |scan_depth| Entry { scan_depth, ..entry("moon") };
    for (own_depth, book_depth, decorator, comes) in [
        (None, None, "", false),
        (Some(3), None, "", true),
        (None, Some(3), "", true),
        (Some(2), Some(3), "", false),
        (Some(2), None, "@@scan_depth 3\n", true),
        (Some(3), None, "@@scan_depth 0\n", false),
    ] {
        let entry = Entry { content: format!("{decorator}text"), ..own(own_depth) };
        let book = Lorebook { scan_depth: book_depth, entries: vec![entry], ..Lorebook::default() };
        let shown = format!("{book:?}");
        assert_eq!(called(&Lore::new(book), &messages).len(), usize::from(comes), "{shown}");
    }
}

#[test]
fn decorators_decide_where_they_speak() {
    let with = |decorators: &str, key: &str| Entry { content: format!("{decorators}\ntext"), ..entry(key) };
    for (decorators, key, message, comes) in [
        ("@@activate", "moon", "sun", true),
        ("@@dont_activate", "moon", "moon", false),
        ("@@activate\n@@dont_activate", "moon", "moon", false),
        ("@@additional_keys star, sun", "moon", "the sun", false),
        ("@@additional_keys star, sun", "moon", "the moon", false),
        ("@@additional_keys star, sun", "moon", "sun and moon", true),
        ("@@exclude_keys cat", "moon", "moon", true),
        ("@@exclude_keys cat", "moon", "moon and cat", false),
        // The persona has spoken five times, and the conversation began with no greeting of its own.
        ("@@activate_only_after 5", "moon", "moon", true),
        ("@@activate_only_after 6", "moon", "moon", false),
        ("@@activate_only_every 5", "moon", "moon", true),
        ("@@activate_only_every 2", "moon", "moon", false),
        ("@@is_greeting 0", "moon", "moon", false),
        ("@@unknown thing", "moon", "moon", true),
    ] {
        let lore = lore(&[with(decorators, key)]);
        assert_eq!(called(&lore, &[message]).len(), usize::from(comes), "{decorators}");
        assert_eq!(lore.text(0), "text");
    }
    let second_greeting = lore(&[with("@@is_greeting 1", "moon")]);
    let before = Timed::default();
    let with_greeting = |greeting| Scan { greeting, ..scan(&["moon"], &before) };
    assert_eq!(second_greeting.activate(with_greeting(Some(1))).fired.len(), 1);
    assert_eq!(second_greeting.activate(with_greeting(Some(0))).fired.len(), 0);
}

#[test]
fn what_is_sticky_stays_and_what_rests_does_not_come() {
    let with = |sticky, cooldown, delay| {
        lore(&[Entry { timing: Timing { sticky, cooldown, delay }, ..entry("moon") }])
    };
    // Called up by message 10; then neither, with the key and without it.
    for (lore, number, with_key, without) in [
        (with(0, 0, 0), 11, true, false),
        (with(2, 0, 0), 11, true, true),
        (with(2, 0, 0), 12, true, true),
        (with(2, 0, 0), 13, true, false),
        (with(0, 2, 0), 11, false, false),
        (with(0, 2, 0), 12, false, false),
        (with(0, 2, 0), 13, true, false),
        (with(2, 2, 0), 12, true, true),
        (with(2, 2, 0), 13, false, false),
        (with(2, 2, 0), 14, false, false),
        (with(2, 2, 0), 15, true, false),
        (with(0, 0, 12), 11, false, false),
        (with(0, 0, 12), 12, true, false),
    ] {
        let first = lore.activate(scan(&["moon"], &Timed::default()));
        let comes = |message: &str| {
            let messages = [message];
            !lore.activate(Scan { number, ..scan(&messages, &first.after) }).fired.is_empty()
        };
        assert_eq!(
            (comes("moon"), comes("sun")),
            (with_key, without),
            "{:?} at {number}",
            lore.entry(0).timing
        );
    }
}

#[test]
fn what_is_remembered_is_the_turns_own() {
    let lore = lore(&[Entry { timing: Timing { sticky: 2, cooldown: 3, delay: 0 }, ..entry("moon") }]);
    let at = |number, message: &str, before: &Timed| {
        let messages = [message];
        lore.activate(Scan { number, ..scan(&messages, before) })
    };
    let called = at(10, "moon", &Timed::default()).after;
    // Being there still is no new call.
    assert_eq!(at(11, "moon", &called).after, called);
    // In its rest it is remembered, and then no more.
    assert_eq!(at(15, "sun", &called).after, called);
    assert_eq!(at(16, "sun", &called).after, Timed::default());
    // Another try begins with what was before.
    assert_eq!(at(10, "moon", &Timed::default()).after, called);
    // What was forgotten may lie in what now is the future.
    assert_eq!(at(9, "moon", &called).fired.len(), 1);
}

#[test]
fn of_a_group_one_comes() {
    let in_group = |key: &str, groups: &[&str], group_weight, group_override, order| Entry {
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        group_weight,
        group_override,
        order,
        ..entry(key)
    };
    let lots =
        lore(&[in_group("a", &["g"], 100, false, 1), in_group("b", &["g"], 300, false, 2), entry("c")]);
    let before = Timed::default();
    let mut wins = [0, 0];
    for seed in 0..1_000 {
        let activation = lots.activate(Scan { seed, ..scan(&["a b c"], &before) });
        assert_eq!(activation.fired.len(), 2);
        assert_eq!(activation.dropped.len(), 1);
        assert_eq!(activation.dropped[0].why, Why::Group);
        wins[activation.fired[0].entry] += 1;
        assert_eq!(activation, lots.activate(Scan { seed, ..scan(&["a b c"], &before) }), "the seed decides");
    }
    assert!((200..300).contains(&wins[0]), "{wins:?}");
    assert_eq!(called(&lots, &["a"]), ["a"], "alone it needs no lot");

    let first = lore(&[
        in_group("a", &["g"], 100, true, 1),
        in_group("b", &["g"], 100, true, 2),
        in_group("c", &["g"], 900, false, 3),
    ]);
    assert_eq!(called(&first, &["a b c"]), ["b"], "the highest of those that go before");
    let weightless = lore(&[in_group("a", &["g"], 0, false, 1), in_group("b", &["g"], 0, false, 2)]);
    assert_eq!(called(&weightless, &["a b"]).len(), 1);
    let two_groups = lore(&[in_group("a", &["g", "h"], 1, true, 1), in_group("b", &["h"], 1, false, 2)]);
    assert_eq!(called(&two_groups, &["a b"]), ["a"]);

    let mut stays = in_group("a", &["g"], 1, false, 1);
    stays.timing.sticky = 3;
    let stays = lore(&[stays, in_group("b", &["g"], 1_000_000, true, 2)]);
    let after = stays.activate(scan(&["a"], &before)).after;
    assert_eq!(fired(&stays, &stays.activate(Scan { number: 11, ..scan(&["b"], &after) })), ["a"]);
}

#[test]
fn chance_is_the_seeds() {
    let seldom = lore(&[Entry { probability: 25.0, ..entry("moon") }]);
    let before = Timed::default();
    let comes = (0..1_000).filter(|&seed| {
        let activation = seldom.activate(Scan { seed, ..scan(&["moon"], &before) });
        assert_eq!(activation.fired.len() + activation.dropped.len(), 1);
        !activation.fired.is_empty()
    });
    assert!((200..300).contains(&comes.count()));
    for (probability, comes) in [(0.0, 0), (100.0, 1)] {
        let certain = lore(&[Entry { probability, ..entry("moon") }]);
        let fired = |seed| certain.activate(Scan { seed, ..scan(&["moon"], &before) }).fired.len();
        assert!((0..100).all(|seed| fired(seed) == comes));
    }
}

#[test]
fn the_least_worth_goes_first_when_there_is_no_room() {
    let with =
        |key: &str, priority, order| Entry { priority, order, content: "two words".to_owned(), ..entry(key) };
    let entries = [with("a", 1, 9), with("b", 3, 1), with("c", 2, 5)];
    let lore = lore(&entries);
    for (budget, expected) in [(6, &["b", "c", "a"][..]), (5, &["b", "c"]), (2, &["b"]), (1, &[])] {
        let before = Timed::default();
        let activation = lore.activate(Scan { budget, ..scan(&["a b c"], &before) });
        assert_eq!(fired(&lore, &activation), expected, "{budget}");
        assert!(activation.dropped.iter().all(|dropped| dropped.why == Why::Budget));
        assert_eq!(activation.fired.len() + activation.dropped.len(), 3);
    }
}

#[test]
fn a_book_may_ask_for_more_room_and_not_for_all_of_it() {
    let budget = |token_budget| Lorebook { token_budget, ..Lorebook::default() }.budget(1_000);
    assert_eq!([None, Some(100), Some(400), Some(2_000)].map(budget), [250, 100, 400, 500]);
}

#[test]
fn lower_orders_stand_higher() {
    let with = |key: &str, order| Entry { order, ..entry(key) };
    assert_eq!(
        called(&lore(&[with("a", 30), with("b", -1), with("c", 7), with("d", 7)]), &["a b c d"]),
        ["b", "c", "d", "a"]
    );
}

#[test]
fn texts_of_entries_call_others_up() {
    let says = |key: &str, content: &str| Entry { content: content.to_owned(), ..entry(key) };
    let flags = |entry: Entry, exclude, prevent, delay_until| Entry {
        recursion: Recursion { exclude, prevent, delay_until },
        ..entry
    };
    let chain = [says("a", "of b"), says("b", "of c"), says("c", "of a")];
    assert_eq!(called(&lore(&chain), &["a"]), ["a"], "only where the book says so");
    let book = recursive(&chain);
    let activation = book.activate(scan(&["a"], &Timed::default()));
    let rounds: Vec<usize> = activation.fired.iter().map(|fired| fired.round).collect();
    assert_eq!(
        (fired(&book, &activation), rounds),
        (vec!["a".into(), "b".into(), "c".into()], vec![0, 1, 2])
    );

    let [a, b, c] = chain;
    assert_eq!(called(&recursive(&[a.clone(), flags(b.clone(), true, false, 0), c.clone()]), &["a"]), ["a"]);
    assert_eq!(
        called(&recursive(&[a.clone(), flags(b.clone(), false, true, 0), c.clone()]), &["a"]),
        ["a", "b"]
    );
    let waits = [a.clone(), b.clone(), flags(c.clone(), false, false, 1)];
    assert_eq!(called(&recursive(&waits), &["c"]), [""; 0], "the messages alone do not call it");
    assert_eq!(called(&recursive(&waits), &["a"]), ["a", "b", "c"]);
    let late =
        [a.clone(), flags(b.clone(), false, false, 2), says("a", "and more"), flags(c, false, false, 1)];
    assert_eq!(called(&recursive(&late), &["a"]), ["a", "a"], "b would need a second round");
    assert_eq!(called(&recursive(&late), &["a c"]).len(), 4);
    // Texts count for whatever depth, and keys may be in a message and in a text.
    let both = Entry { selective: true, secondary_keys: vec!["of".to_owned()], ..says("x", "x") };
    assert_eq!(called(&recursive(&[a, both]), &["x a"]), ["a", "x"]);
}

#[test]
fn places_are_those_of_the_entry_or_its_decorators() {
    let place = |content: &str, position| {
        let lore = lore(&[Entry { content: content.to_owned(), position, ..entry("moon") }]);
        lore.activate(scan(&["moon"], &Timed::default())).fired[0].position
    };
    assert_eq!(place("x", Position::ExamplesTop), Position::ExamplesTop);
    assert_eq!(place("@@depth 2\nx", Position::ExamplesTop), Position::AtDepth(2));
    assert_eq!(place("@@position after_desc\nx", Position::BeforePersona), Position::AfterPersona);
}

#[test]
fn causes_and_tokens_are_told() {
    let mut sticky = entry("sun");
    sticky.timing.sticky = 5;
    let lore = lore(&[
        entry("moon"),
        sticky,
        Entry { constant: true, content: "one two three".to_owned(), ..entry("x") },
        Entry { content: "@@activate\ny".to_owned(), ..entry("y") },
    ]);
    let before = lore.activate(Scan { number: 9, ..scan(&["sun"], &Timed::default()) }).after;
    let words = |entry: usize| lore.text(entry).split_whitespace().count();
    let fired = lore.activate(Scan { count: &words, ..scan(&["The MOON"], &before) }).fired;
    let told: Vec<(Cause, usize)> = fired.into_iter().map(|fired| (fired.cause, fired.tokens)).collect();
    let key = Cause::Key("moon".to_owned());
    assert_eq!(told, [(key, 2), (Cause::Sticky, 2), (Cause::Constant, 3), (Cause::Decorator, 1)]);
}

#[test]
fn many_entries_take_little_time_and_loops_end() {
    let entries: Vec<Entry> = (0..2_000)
        .map(|number| Entry {
            content: format!("of key{}", (number + 1) % 2_000),
            ..entry(&format!("key{number}x"))
        })
        .map(|entry| Entry { content: format!("{}x", entry.content), ..entry })
        .collect();
    let lore = recursive(&entries);
    let before = Timed::default();
    let activation = lore.activate(Scan { budget: usize::MAX, ..scan(&["key0x"], &before) });
    assert_eq!(activation.fired.len(), 2_000);
}
