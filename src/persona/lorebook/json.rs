//! Lorebooks in the forms in which other programs write them: the `character_book` of cards V2 and V3 (with
//! SillyTavern's `extensions`), the standalone `lorebook_v3`, and SillyTavern's world files.

use serde_json::{Map, Value, json};

use super::{Entry, Logic, Lorebook, Position, Recursion, Timing, USUAL_DEPTH};
use crate::persona::fields::{FieldError, Fields};

/// Most entries that a book may have.
const MOST_ENTRIES: usize = 20_000;

/// Where an entry stands whose book says nothing of it: of cards behind the persona, of world files before it.
#[derive(Clone, Copy)]
enum Dialect {
    Card,
    World,
}

impl Lorebook {
    /// Reads a book: `entries` is a list in cards, and an object in world files.
    ///
    /// # Errors
    /// [`FieldError`] for the first field that cannot be read.
    pub fn from_json(book: &Map<String, Value>, path: &str) -> Result<Self, FieldError> {
        let fields = Fields::new(book, path);
        let (dialect, entries): (Dialect, Vec<(String, &Value)>) = match book.get("entries") {
            None | Some(Value::Null) => (Dialect::Card, Vec::new()),
            Some(Value::Array(list)) => (
                Dialect::Card,
                list.iter().enumerate().map(|(number, entry)| (number.to_string(), entry)).collect(),
            ),
            Some(Value::Object(named)) => {
                let mut entries: Vec<_> = named.iter().map(|(name, entry)| (name.clone(), entry)).collect();
                // They are numbered, and 10 comes after 9.
                entries.sort_by_key(|(name, _)| name.parse::<u64>().unwrap_or(u64::MAX));
                (Dialect::World, entries)
            }
            Some(_) => return Err(fields.error("entries", "is neither a list nor an object")),
        };
        if entries.len() > MOST_ENTRIES {
            return Err(fields.error("entries", &format!("has more than {MOST_ENTRIES} entries")));
        }
        let entry = |(name, entry): (String, &Value)| {
            let path = format!("{}[{name}]", fields.path("entries"));
            let Value::Object(entry) = entry else {
                return Err(FieldError { field: path, problem: "is no object".to_owned() });
            };
            match dialect {
                Dialect::Card => card_entry(entry, &path),
                Dialect::World => world_entry(entry, &path),
            }
        };
        Ok(Self {
            name: fields.text("name")?,
            scan_depth: fields.count("scan_depth")?,
            token_budget: fields.count("token_budget")?.filter(|budget| *budget > 0),
            recursive: fields.flag("recursive_scanning")?.unwrap_or(false),
            entries: entries.into_iter().map(entry).collect::<Result<_, _>>()?,
        })
    }

    /// The book as a card's `character_book`. Of the book that it came from is kept what Mummer does not play, and every
    /// entry that is as it was.
    #[must_use]
    pub fn to_json(&self, came_with: Option<&Map<String, Value>>) -> Map<String, Value> {
        let came = came_with.and_then(|book| Self::from_json(book, "").ok().map(|read| (read, book)));
        let objects = came.as_ref().and_then(|(_, book)| book.get("entries")).and_then(Value::as_array);
        let known: Vec<(&Entry, &Value)> =
            came.iter().flat_map(|(read, _)| &read.entries).zip(objects.into_iter().flatten()).collect();
        let entry = |(id, entry): (usize, &Entry)| {
            // One that stayed where it was, or moved; else what stands in its place was changed into it.
            let here = known.get(id).copied();
            let same = here.into_iter().chain(known.iter().copied()).find(|(known, _)| *known == entry);
            match (same, here) {
                (Some((_, object)), _) => object.clone(),
                (None, Some((was, object))) => changed(object, &entry_json(id, was), entry_json(id, entry)),
                (None, None) => entry_json(id, entry),
            }
        };
        let entries: Vec<Value> = self.entries.iter().enumerate().map(entry).collect();
        let mut book = match &came {
            Some((read, book)) => changed(&json!(book), &json!(read.head()), json!(self.head())),
            None => json!(self.head()),
        };
        if let Some(book) = book.as_object_mut() {
            book.entry("extensions").or_insert_with(|| json!({}));
            book.insert("entries".to_owned(), Value::Array(entries));
            let is_none = |value: &Value| value.is_null();
            book.retain(|key, value| !is_none(value) || came_with.is_some_and(|book| book.contains_key(key)));
        }
        book.as_object().cloned().unwrap_or_default()
    }

    /// The book as a world file of `SillyTavern`. What that has no field for stands under the names that cards have for it.
    #[must_use]
    pub fn to_world(&self) -> Map<String, Value> {
        let entry = |(id, entry): (usize, &Entry)| (id.to_string(), world_json(id, entry));
        let entries: Map<String, Value> = self.entries.iter().enumerate().map(entry).collect();
        let mut world = self.head();
        world.insert("entries".to_owned(), Value::Object(entries));
        world.retain(|_, value| !value.is_null());
        world
    }

    /// What it says of all of it.
    fn head(&self) -> Map<String, Value> {
        let mut head = Map::new();
        head.insert("name".to_owned(), json!(self.name));
        head.insert("recursive_scanning".to_owned(), json!(self.recursive));
        head.insert("scan_depth".to_owned(), json!(self.scan_depth));
        head.insert("token_budget".to_owned(), json!(self.token_budget));
        head
    }
}

/// An object in which is written what has changed, and nothing else.
fn changed(object: &Value, was: &Value, is: Value) -> Value {
    match (object, was, is) {
        (Value::Object(object), Value::Object(was), Value::Object(is)) => {
            let mut written = object.clone();
            for (key, value) in is {
                let before = was.get(&key).unwrap_or(&Value::Null);
                if *before != value {
                    let kept = object.get(&key).unwrap_or(&Value::Null);
                    written.insert(key, changed(kept, before, value));
                }
            }
            Value::Object(written)
        }
        (_, _, is) => is,
    }
}

/// An entry of a card. What SillyTavern adds stands in its `extensions`.
fn card_entry(entry: &Map<String, Value>, path: &str) -> Result<Entry, FieldError> {
    let fields = Fields::new(entry, path);
    let empty = Map::new();
    let more = fields.object("extensions")?.unwrap_or(&empty);
    let more = Fields::new(more, &fields.path("extensions"));
    let order = fields.whole("insertion_order")?.unwrap_or(100);
    let position = match (more.count("position")?, entry.get("position").and_then(Value::as_str)) {
        (Some(number), _) => place(number, more.count("depth")?),
        (None, Some("before_char")) => Position::BeforePersona,
        (None, _) => Position::AfterPersona,
    };
    let name = fields.text("name")?;
    let comment = fields.text("comment")?;
    let case_sensitive = more.flag("case_sensitive")?.or(fields.flag("case_sensitive")?).unwrap_or(false);
    let shared = Shared { fields: &more, names: &CARD_NAMES };
    Ok(Entry {
        name: if name.is_empty() { comment } else { name },
        keys: fields.texts("keys")?,
        secondary_keys: fields.texts("secondary_keys")?,
        selective: fields.flag("selective")?.unwrap_or(false),
        content: fields.text("content")?,
        enabled: fields.flag("enabled")?.unwrap_or(true),
        constant: fields.flag("constant")?.unwrap_or(false),
        case_sensitive,
        order,
        priority: fields.whole("priority")?.unwrap_or(0),
        position,
        ..shared.read()?
    })
}

/// An entry of a world file.
fn world_entry(entry: &Map<String, Value>, path: &str) -> Result<Entry, FieldError> {
    let fields = Fields::new(entry, path);
    let shared = Shared { fields: &fields, names: &WORLD_NAMES };
    Ok(Entry {
        name: fields.text("comment")?,
        keys: fields.texts("key")?,
        secondary_keys: fields.texts("keysecondary")?,
        selective: fields.flag("selective")?.unwrap_or(false),
        content: fields.text("content")?,
        enabled: !fields.flag("disable")?.unwrap_or(false),
        constant: fields.flag("constant")?.unwrap_or(false),
        case_sensitive: fields.flag("caseSensitive")?.unwrap_or(false),
        order: fields.whole("order")?.unwrap_or(100),
        priority: fields.whole("priority")?.unwrap_or(0),
        position: place(fields.count("position")?.unwrap_or(0), fields.count("depth")?),
        ..shared.read()?
    })
}

/// SillyTavern's number of a position.
fn place(number: usize, depth: Option<usize>) -> Position {
    match number {
        0 => Position::BeforePersona,
        2 => Position::NoteTop,
        3 => Position::NoteBottom,
        4 => Position::AtDepth(depth.unwrap_or(USUAL_DEPTH)),
        5 => Position::ExamplesTop,
        6 => Position::ExamplesBottom,
        _ => Position::AfterPersona,
    }
}

/// What SillyTavern calls the fields that both of its forms have.
struct Names {
    logic: &'static str,
    whole_words: &'static str,
    probability: &'static str,
    use_probability: &'static str,
    group: &'static str,
    group_override: &'static str,
    group_weight: &'static str,
    scan_depth: &'static str,
    exclude: &'static str,
    prevent: &'static str,
    delay_until: &'static str,
}

const CARD_NAMES: Names = Names {
    logic: "selectiveLogic",
    whole_words: "match_whole_words",
    probability: "probability",
    use_probability: "useProbability",
    group: "group",
    group_override: "group_override",
    group_weight: "group_weight",
    scan_depth: "scan_depth",
    exclude: "exclude_recursion",
    prevent: "prevent_recursion",
    delay_until: "delay_until_recursion",
};

const WORLD_NAMES: Names = Names {
    logic: "selectiveLogic",
    whole_words: "matchWholeWords",
    probability: "probability",
    use_probability: "useProbability",
    group: "group",
    group_override: "groupOverride",
    group_weight: "groupWeight",
    scan_depth: "scanDepth",
    exclude: "excludeRecursion",
    prevent: "preventRecursion",
    delay_until: "delayUntilRecursion",
};

/// The fields that both forms have.
struct Shared<'a> {
    fields: &'a Fields<'a>,
    names: &'a Names,
}

impl Shared<'_> {
    fn read(&self) -> Result<Entry, FieldError> {
        let Self { fields, names } = self;
        let logic = match fields.count(names.logic)? {
            Some(1) => Logic::NotAll,
            Some(2) => Logic::NotAny,
            Some(3) => Logic::AndAll,
            _ => Logic::AndAny,
        };
        let by_chance = fields.flag(names.use_probability)?.unwrap_or(true);
        let probability = fields.number(names.probability)?.filter(|_| by_chance).unwrap_or(100.0);
        let groups = fields.text(names.group)?;
        let groups =
            groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect();
        let weight = fields.count(names.group_weight)?.unwrap_or(100);
        let messages = |key| Ok(fields.count(key)?.unwrap_or(0) as u64);
        Ok(Entry {
            logic,
            whole_words: fields.flag(names.whole_words)?.unwrap_or(false),
            probability: probability.clamp(0.0, 100.0),
            groups,
            group_override: fields.flag(names.group_override)?.unwrap_or(false),
            group_weight: u32::try_from(weight).unwrap_or(u32::MAX),
            scan_depth: fields.count(names.scan_depth)?,
            recursion: Recursion {
                exclude: fields.flag(names.exclude)?.unwrap_or(false),
                prevent: fields.flag(names.prevent)?.unwrap_or(false),
                // Once it was a flag, now it is a number of rounds.
                delay_until: fields.count(names.delay_until)?.unwrap_or(0),
            },
            timing: Timing {
                sticky: messages("sticky")?,
                cooldown: messages("cooldown")?,
                delay: messages("delay")?,
            },
            ..Entry::default()
        })
    }
}

/// SillyTavern's number of a position, and before how many messages it is.
fn number_of_place(position: Position) -> (usize, usize) {
    match position {
        Position::BeforePersona => (0, USUAL_DEPTH),
        Position::AfterPersona => (1, USUAL_DEPTH),
        Position::NoteTop => (2, USUAL_DEPTH),
        Position::NoteBottom => (3, USUAL_DEPTH),
        Position::AtDepth(depth) => (4, depth),
        Position::ExamplesTop => (5, USUAL_DEPTH),
        Position::ExamplesBottom => (6, USUAL_DEPTH),
    }
}

/// SillyTavern's number of a logic.
fn number_of_logic(logic: Logic) -> usize {
    match logic {
        Logic::AndAny => 0,
        Logic::NotAll => 1,
        Logic::NotAny => 2,
        Logic::AndAll => 3,
    }
}

fn entry_json(id: usize, entry: &Entry) -> Value {
    let (position, depth) = number_of_place(entry.position);
    json!({
        "id": id,
        "name": entry.name,
        "comment": entry.name,
        "keys": entry.keys,
        "secondary_keys": entry.secondary_keys,
        "selective": entry.selective,
        "content": entry.content,
        "enabled": entry.enabled,
        "constant": entry.constant,
        "case_sensitive": entry.case_sensitive,
        // Keys between slashes are expressions, as in SillyTavern, which says so of all its entries.
        "use_regex": true,
        "insertion_order": entry.order,
        "priority": entry.priority,
        "position": if position == 0 { "before_char" } else { "after_char" },
        "extensions": {
            "position": position,
            "depth": depth,
            "selectiveLogic": number_of_logic(entry.logic),
            "match_whole_words": entry.whole_words,
            "case_sensitive": entry.case_sensitive,
            "probability": entry.probability,
            "useProbability": true,
            "group": entry.groups.join(","),
            "group_override": entry.group_override,
            "group_weight": entry.group_weight,
            "scan_depth": entry.scan_depth,
            "exclude_recursion": entry.recursion.exclude,
            "prevent_recursion": entry.recursion.prevent,
            "delay_until_recursion": entry.recursion.delay_until,
            "sticky": entry.timing.sticky,
            "cooldown": entry.timing.cooldown,
            "delay": entry.timing.delay,
        },
    })
}

fn world_json(id: usize, entry: &Entry) -> Value {
    let (position, depth) = number_of_place(entry.position);
    json!({
        "uid": id,
        "displayIndex": id,
        "comment": entry.name,
        // Whether the comment is shown.
        "addMemo": !entry.name.is_empty(),
        "key": entry.keys,
        "keysecondary": entry.secondary_keys,
        "selective": entry.selective,
        "selectiveLogic": number_of_logic(entry.logic),
        "content": entry.content,
        "disable": !entry.enabled,
        "constant": entry.constant,
        "caseSensitive": entry.case_sensitive,
        "matchWholeWords": entry.whole_words,
        "order": entry.order,
        "priority": entry.priority,
        "position": position,
        "depth": depth,
        "probability": entry.probability,
        "useProbability": true,
        "group": entry.groups.join(","),
        "groupOverride": entry.group_override,
        "groupWeight": entry.group_weight,
        "scanDepth": entry.scan_depth,
        "excludeRecursion": entry.recursion.exclude,
        "preventRecursion": entry.recursion.prevent,
        "delayUntilRecursion": entry.recursion.delay_until,
        "sticky": entry.timing.sticky,
        "cooldown": entry.timing.cooldown,
        "delay": entry.timing.delay,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn read(book: Value) -> Lorebook {
        let Value::Object(book) = book else { panic!("it is an object") };
        Lorebook::from_json(&book, "book").expect("it can be read")
    }

    fn refused(book: Value) -> String {
        let Value::Object(book) = book else { panic!("it is an object") };
        Lorebook::from_json(&book, "book").expect_err("it is refused").to_string()
    }

    #[test]
    fn a_cards_book_is_read() {
        let book = read(json!({
            "name": "Sea", "scan_depth": 5, "token_budget": 300, "recursive_scanning": true, "extensions": {},
            "entries": [
                {"keys": ["moon", "tide"], "content": "x", "insertion_order": 3, "enabled": true, "extensions": {}},
                {"keys": [], "content": "y", "insertion_order": "7", "enabled": false, "constant": true,
                 "position": "before_char", "priority": 2, "name": "N", "comment": "C", "selective": true,
                 "secondary_keys": ["a"], "case_sensitive": true, "use_regex": true,
                 "extensions": {"selectiveLogic": 3, "probability": 30, "useProbability": true, "group": "g, h",
                                "group_override": true, "group_weight": 7, "scan_depth": null, "depth": 2,
                                "position": 4, "role": 0, "match_whole_words": true, "exclude_recursion": true,
                                "prevent_recursion": true, "delay_until_recursion": true, "sticky": 3,
                                "cooldown": null, "delay": 5}},
            ],
        }));
        assert_eq!((book.name.as_str(), book.scan_depth, book.token_budget), ("Sea", Some(5), Some(300)));
        assert!(book.recursive);
        let plain = Entry {
            keys: vec!["moon".to_owned(), "tide".to_owned()],
            content: "x".to_owned(),
            order: 3,
            position: Position::AfterPersona,
            ..Entry::default()
        };
        assert_eq!(book.entries[0], plain);
        let full = Entry {
            name: "N".to_owned(),
            keys: Vec::new(),
            secondary_keys: vec!["a".to_owned()],
            selective: true,
            logic: Logic::AndAll,
            content: "y".to_owned(),
            enabled: false,
            constant: true,
            case_sensitive: true,
            whole_words: true,
            order: 7,
            priority: 2,
            position: Position::AtDepth(2),
            probability: 30.0,
            groups: vec!["g".to_owned(), "h".to_owned()],
            group_override: true,
            group_weight: 7,
            scan_depth: None,
            recursion: Recursion { exclude: true, prevent: true, delay_until: 1 },
            timing: Timing { sticky: 3, cooldown: 0, delay: 5 },
        };
        assert_eq!(book.entries[1], full);
    }

    #[test]
    fn a_world_file_is_read() {
        let book = read(json!({"entries": {
            "0": {"uid": 0, "key": ["moon"], "keysecondary": [], "comment": "The moon", "content": "x", "constant": false,
                  "selective": true, "order": 50, "position": 0, "disable": false, "probability": 100,
                  "useProbability": true, "depth": 4, "caseSensitive": null, "matchWholeWords": true,
                  "excludeRecursion": false, "preventRecursion": false, "delayUntilRecursion": 2, "group": "",
                  "groupOverride": false, "groupWeight": 100, "scanDepth": 9, "sticky": 0, "cooldown": 0, "delay": 0},
            "1": {"uid": 1, "key": "sun, star", "content": "y", "position": 6, "disable": true, "probability": 10,
                  "useProbability": false},
        }}));
        let [moon, sun] = &book.entries[..] else { panic!("{book:?}") };
        assert_eq!((moon.name.as_str(), moon.order, moon.scan_depth), ("The moon", 50, Some(9)));
        assert!(moon.whole_words && moon.enabled && moon.recursion.delay_until == 2);
        assert_eq!(moon.position, Position::BeforePersona);
        assert_eq!(sun.keys, ["sun", "star"]);
        assert_eq!((sun.position, sun.enabled), (Position::ExamplesBottom, false));
        assert!((sun.probability - 100.0).abs() < 1e-9, "chance is off");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(refused(json!({"entries": 3})), "book.entries is neither a list nor an object");
        assert_eq!(refused(json!({"entries": [3]})), "book.entries[0] is no object");
        let entry = json!({"keys": [["moon"]]});
        assert_eq!(refused(json!({"entries": [entry]})), "book.entries[0].keys[0] is no text");
        let entry = json!({"keys": [], "extensions": {"sticky": "long"}});
        assert_eq!(refused(json!({"entries": [entry]})), "book.entries[0].extensions.sticky is no number");
        let many: Vec<Value> = (0..=MOST_ENTRIES).map(|_| json!({})).collect();
        assert!(refused(json!({"entries": many})).contains("more than 20000"));
    }

    #[test]
    fn a_world_file_goes_back_as_it_came() {
        let entry = json!({
            "uid": 0, "displayIndex": 0, "comment": "The moon", "addMemo": true, "key": ["moon", "/m[ao]+n/i"],
            "keysecondary": ["tide"], "selective": true, "selectiveLogic": 3, "content": "It is full.",
            "disable": false, "constant": false, "caseSensitive": false, "matchWholeWords": true, "order": 50,
            "priority": 0, "position": 4, "depth": 2, "probability": 30.0, "useProbability": true, "group": "g,h",
            "groupOverride": true, "groupWeight": 7, "scanDepth": 9, "excludeRecursion": true,
            "preventRecursion": false, "delayUntilRecursion": 2, "sticky": 3, "cooldown": 4, "delay": 5,
        });
        let world = json!({"entries": {"0": entry}, "name": "Sea", "recursive_scanning": true});
        assert_eq!(Value::Object(read(world.clone()).to_world()), world);
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let keys = || prop::collection::vec("[a-c,/ ]{0,4}", 0..3);
        let position = prop_oneof![
            select(
                &[
                    Position::BeforePersona,
                    Position::AfterPersona,
                    Position::NoteTop,
                    Position::NoteBottom,
                    Position::ExamplesTop,
                    Position::ExamplesBottom,
                ][..]
            ),
            (0..9usize).prop_map(Position::AtDepth),
        ];
        let logic = select(&[Logic::AndAny, Logic::NotAll, Logic::NotAny, Logic::AndAll][..]);
        let numbers = (-1_000..1_000i64, -1_000..1_000i64, 0..=100u8, any::<u32>());
        let more = (prop::option::of(0..9usize), 0..4u64, 0..4u64, 0..4u64, 0..4usize);
        let flags = prop::collection::vec(any::<bool>(), 8);
        let texts = ("[a-z ]{0,5}", "\\PC{0,9}", prop::collection::vec("[gh]{1,2}", 0..3));
        (keys(), keys(), texts, position, logic, numbers, more, flags).prop_map(
            |(keys, secondary_keys, (name, content, groups), position, logic, numbers, more, flags)| {
                let (order, priority, probability, group_weight) = numbers;
                let (scan_depth, sticky, cooldown, delay, delay_until) = more;
                Entry {
                    name,
                    keys,
                    secondary_keys,
                    selective: flags[0],
                    logic,
                    content,
                    enabled: flags[1],
                    constant: flags[2],
                    case_sensitive: flags[3],
                    whole_words: flags[4],
                    order,
                    priority,
                    position,
                    probability: f64::from(probability),
                    groups,
                    group_override: flags[5],
                    group_weight,
                    scan_depth,
                    recursion: Recursion { exclude: flags[6], prevent: flags[7], delay_until },
                    timing: Timing { sticky, cooldown, delay },
                }
            },
        )
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read(
            entries in prop::collection::vec(entry(), 0..13),
            name in "[a-z ]{0,5}",
            (scan_depth, token_budget) in (prop::option::of(0..9usize), prop::option::of(1..9usize)),
            recursive in any::<bool>(),
        ) {
            let book = Lorebook { name, scan_depth, token_budget, recursive, entries };
            prop_assert_eq!(&Lorebook::from_json(&book.to_world(), ""), &Ok(book.clone()));
            prop_assert_eq!(&Lorebook::from_json(&book.to_json(None), ""), &Ok(book.clone()));
        }
    }
}
