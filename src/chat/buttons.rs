//! The buttons under the last reply of a channel: which there are, and what stands on them.

use super::history::TurnId;

/// What a button under a reply does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Steer {
    /// Stops the reply that is being made.
    Stop,
    /// Says it anew, in another way.
    Again,
    /// Shows the way before.
    Back,
    /// Shows the way after.
    Forth,
    /// Says more.
    GoOn,
    /// Takes it back.
    Delete,
}

impl Steer {
    /// All of them, as they stand in a row.
    pub const ALL: [Self; 6] = [Self::Stop, Self::Again, Self::Back, Self::Forth, Self::GoOn, Self::Delete];

    /// How it is written in ids.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Again => "again",
            Self::Back => "back",
            Self::Forth => "forth",
            Self::GoOn => "go-on",
            Self::Delete => "delete",
        }
    }
}

/// The row of buttons under a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The turn that the reply is.
    pub turn: TurnId,
    /// The way that is shown, counted from 0.
    pub selected: usize,
    /// How many ways there are to say it.
    pub variants: usize,
    /// Whether it is being made.
    pub growing: bool,
    /// Whether it can be said anew.
    pub again: bool,
}

/// One button of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// What it does.
    pub steer: Steer,
    /// What stands on it.
    pub label: String,
    /// Whether it can be pressed.
    pub enabled: bool,
}

impl Row {
    /// Its buttons, from left to right: while the reply is being made nothing can be done but to stop it.
    #[must_use]
    pub fn buttons(&self) -> Vec<Button> {
        let button = |steer, label: &str, enabled| Button { steer, label: label.to_owned(), enabled };
        if self.growing {
            return vec![button(Steer::Stop, "Stop", true)];
        }
        let place = format!("{}/{} \u{25b6}", self.selected + 1, self.variants);
        vec![
            button(Steer::Again, "Regenerate", self.again),
            button(Steer::Back, "\u{25c0}", self.selected > 0),
            button(Steer::Forth, &place, self.selected + 1 < self.variants),
            button(Steer::GoOn, "Continue", true),
            button(Steer::Delete, "Delete", true),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row = Row { turn: TurnId(7), selected: 1, variants: 3, growing: false, again: true };

    fn labels(row: Row) -> Vec<String> {
        row.buttons().into_iter().filter(|button| button.enabled).map(|button| button.label).collect()
    }

    #[test]
    fn what_can_be_done_can_be_pressed() {
        assert_eq!(labels(ROW), ["Regenerate", "\u{25c0}", "2/3 \u{25b6}", "Continue", "Delete"]);
        assert_eq!(labels(Row { selected: 0, variants: 1, ..ROW }), ["Regenerate", "Continue", "Delete"]);
        assert_eq!(labels(Row { selected: 2, again: false, ..ROW }), ["\u{25c0}", "Continue", "Delete"]);
        assert_eq!(labels(Row { growing: true, ..ROW }), ["Stop"]);
    }
}
