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
    pub(super) additional_keys: Vec<String>,
    /// None of these may be there.
    pub(super) exclude_keys: Vec<String>,
    /// Only while the conversation began with the so-manieth greeting; 0 is the first.
    pub(super) is_greeting: Option<u64>,
}

/// The decorators and the content behind them. A line `@@@…` stands in for the one before it where that is not known;
/// what is not known is left out.
pub(super) fn split(content: &str) -> (Decorators, &str) {
    let mut decorators = Decorators::default();
    let mut rest = content;
    // Whether the decorator that a fallback would stand in for was understood.
    let mut understood = true;
    while let Some(line) = rest.strip_prefix("@@") {
        let end = line.find('\n').map_or(line.len(), |end| end + 1);
        let line_text = line[..end].trim();
        match line_text.strip_prefix('@') {
            Some(fallback) if !understood => understood = decorators.read(fallback),
            Some(_) => {}
            None => understood = decorators.read(line_text),
        }
        rest = &line[end..];
    }
    (decorators, rest.trim())
}

impl Decorators {
    /// Takes one decorator in. Whether it is one that is known and makes sense.
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
            "additional_keys" => self.additional_keys = list(),
            "exclude_keys" => self.exclude_keys = list(),
            "depth" if count.is_some() => self.depth = count,
            "scan_depth" if count.is_some() => self.scan_depth = count,
            "activate_only_after" if number.is_some() => self.only_after = number,
            "activate_only_every" if number.is_some_and(|number| number > 0) => self.only_every = number,
            "is_greeting" if number.is_some() => self.is_greeting = number,
            "position" => match value {
                "before_desc" => self.position = Some(Position::BeforePersona),
                "after_desc" | "personality" | "scenario" => self.position = Some(Position::AfterPersona),
                _ => return false,
            },
            // Notes in the transcript are instructions, whoever they are ascribed to.
            "role" => return matches!(value, "system" | "user" | "assistant"),
            _ => return false,
        }
        true
    }

    /// Where an entry stands whose own position is this.
    pub(super) fn place(&self, own: Position) -> Position {
        match (self.depth, self.position) {
            (Some(depth), _) => Position::AtDepth(depth),
            (None, Some(position)) => position,
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
    }
}
