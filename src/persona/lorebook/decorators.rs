//! Decorators: lines `@@name value` at the head of an entry's content, as character cards V3 have them.

use super::Position;

/// What the decorators of an entry say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Decorators {
    pub(super) activate: bool,
    pub(super) dont_activate: bool,
    pub(super) depth: Option<usize>,
    pub(super) position: Option<Position>,
    pub(super) scan_depth: Option<usize>,
    /// Not before the persona has spoken so many times.
    pub(super) only_after: Option<u64>,
    /// Only at each so-manieth time that it has spoken.
    pub(super) only_every: Option<u64>,
    /// One of these must be there beside one of the entry's own.
    pub(super) additional_keys: Vec<String>,
    /// None of these may be there.
    pub(super) exclude_keys: Vec<String>,
    /// Only while the conversation began with the so-manieth greeting; 0 is the first.
    pub(super) is_greeting: Option<u64>,
    /// Those that are not known, or make no sense.
    pub(super) unknown: Vec<String>,
}

/// The decorators and the content behind them. A line `@@@…` stands in for the one before it where that is not known;
/// what is not known is left out.
pub(super) fn split(content: &str) -> (Decorators, &str) {
    let mut decorators = Decorators::default();
    let mut rest = content;
    // Whether the decorator that a fallback would stand in for was understood.
    let mut understood = true;
    while let Some(line) = rest.trim_start().strip_prefix("@@") {
        let end = line.find('\n').map_or(line.len(), |end| end + 1);
        let text = line[..end].trim();
        match text.strip_prefix('@') {
            Some(fallback) if !understood => understood = decorators.read(fallback),
            Some(_) => {}
            None => understood = decorators.read(text),
        }
        if !understood {
            decorators.unknown.push(text.trim_start_matches('@').to_owned());
        }
        rest = &line[end..];
    }
    (decorators, rest.trim())
}

impl Decorators {
    /// Takes one decorator in: of two with one name the first counts. Whether it is one that is known and makes sense.
    fn read(&mut self, decorator: &str) -> bool {
        let (name, value) = decorator.split_once(char::is_whitespace).unwrap_or((decorator, ""));
        let value = value.trim();
        let number = value.parse::<u64>().ok();
        let count = number.and_then(|number| usize::try_from(number).ok());
        let list =
            || value.split(',').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect();
        match name {
            "activate" => self.activate = true,
            "dont_activate" => self.dont_activate = true,
            "additional_keys" if self.additional_keys.is_empty() => self.additional_keys = list(),
            "exclude_keys" if self.exclude_keys.is_empty() => self.exclude_keys = list(),
            "additional_keys" | "exclude_keys" => {}
            "depth" if count.is_some() => self.depth = self.depth.or(count),
            "scan_depth" if count.is_some() => self.scan_depth = self.scan_depth.or(count),
            "activate_only_after" if number.is_some() => self.only_after = self.only_after.or(number),
            "activate_only_every" if number.is_some_and(|number| number > 0) => {
                self.only_every = self.only_every.or(number);
            }
            "is_greeting" if number.is_some() => self.is_greeting = self.is_greeting.or(number),
            "position" => {
                let position = match value {
                    "before_desc" => Position::BeforePersona,
                    "after_desc" | "personality" | "scenario" => Position::AfterPersona,
                    _ => return false,
                };
                self.position = self.position.or(Some(position));
            }
            // Notes in the transcript are instructions, whoever they are ascribed to.
            "role" => return matches!(value, "system" | "user" | "assistant"),
            _ => return false,
        }
        true
    }

    /// Where an entry stands whose own position is this.
    pub(super) fn place(&self, own: Position) -> Position {
        match (self.depth, self.position) {
            (_, Some(position)) => position,
            (Some(depth), None) => Position::AtDepth(depth),
            (None, None) => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_lines_are_decorators_and_the_rest_is_content() {
        let (decorators, text) =
            split("@@activate\n@@depth 3\n@@exclude_keys cat, dog ,\n The Moon.\n@@not one");
        assert_eq!(text, "The Moon.\n@@not one");
        assert!(decorators.activate && !decorators.dont_activate);
        assert_eq!(decorators.exclude_keys, ["cat", "dog"]);
        assert_eq!(decorators.place(Position::BeforePersona), Position::AtDepth(3));
        assert_eq!(split("@@activate"), (Decorators { activate: true, ..Decorators::default() }, ""));
        assert_eq!(split("no @@activate").0, Decorators::default());
    }

    #[test]
    fn a_fallback_stands_in_for_what_is_not_known() {
        assert_eq!(
            split("@@sparkle 3\n@@@glitter\n@@@scan_depth 7\n@@@scan_depth 9\nx").0.scan_depth,
            Some(7)
        );
        assert_eq!(split("@@scan_depth 7\n@@@scan_depth 9\nx").0.scan_depth, Some(7));
        assert_eq!(split("@@depth many\n@@@depth 2\nx").0.depth, Some(2));
        assert_eq!(split("@@sparkle 3\n@@@glitter\nx").0.unknown, ["sparkle 3", "glitter"]);
    }

    #[test]
    fn the_first_counts_and_empty_lines_do_not() {
        let (decorators, text) =
            split("\n@@depth 0\n\n@@depth 5\n@@additional_keys a\n@@additional_keys b\n\nx\n");
        assert_eq!((decorators.depth, text), (Some(0), "x"));
        assert_eq!(decorators.additional_keys, ["a"]);
        let place = |content: &str| split(content).0.place(Position::NoteTop);
        assert_eq!(place("@@depth 3\n@@position before_desc\nx"), Position::BeforePersona);
        assert_eq!([place("@@depth 3\nx"), place("x")], [Position::AtDepth(3), Position::NoteTop]);
    }
}
