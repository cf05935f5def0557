//! The fields of a persona that fit into a form: short texts that somebody writes by hand.

use super::Card;

/// Most characters of a field of a form.
pub const FIELD_MAX: usize = 4_000;

/// A field of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Its name.
    Name,
    /// Who it is.
    Description,
    /// How it behaves.
    Personality,
    /// Where the conversation takes place.
    Scenario,
    /// Its first words.
    Greeting,
}

impl Field {
    /// All of them, in the order of the form.
    pub const ALL: [Self; 5] =
        [Self::Name, Self::Description, Self::Personality, Self::Scenario, Self::Greeting];

    /// Its key in a persona file.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Description => "description",
            Self::Personality => "personality",
            Self::Scenario => "scenario",
            Self::Greeting => "greeting",
        }
    }

    /// The field with this key.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.key() == key)
    }

    /// What a card says in it.
    #[must_use]
    pub fn of(self, card: &Card) -> &str {
        match self {
            Self::Name => &card.name,
            Self::Description => &card.description,
            Self::Personality => &card.personality,
            Self::Scenario => &card.scenario,
            Self::Greeting => &card.greeting,
        }
    }

    /// Whether what a card says in it fits into a form.
    #[must_use]
    pub fn fits(self, card: &Card) -> bool {
        self.of(card).chars().count() <= FIELD_MAX
    }

    /// Writes something else into a card.
    pub fn write(self, card: &mut Card, text: String) {
        let field = match self {
            Self::Name => &mut card.name,
            Self::Description => &mut card.description,
            Self::Personality => &mut card.personality,
            Self::Scenario => &mut card.scenario,
            Self::Greeting => &mut card.greeting,
        };
        *field = text;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_by_its_key_and_is_its_own() {
        let mut card = Card::default();
        for field in Field::ALL {
            assert_eq!(Field::parse(field.key()), Some(field));
            field.write(&mut card, field.key().to_owned());
        }
        for field in Field::ALL {
            assert_eq!(field.of(&card), field.key());
        }
        assert_eq!(Field::parse("system_prompt"), None);
    }

    #[test]
    fn characters_count_and_not_bytes() {
        let mut card = Card { name: "ä".repeat(FIELD_MAX), ..Card::default() };
        assert!(Field::Name.fits(&card));
        card.name.push('ä');
        assert!(!Field::Name.fits(&card));
    }
}
