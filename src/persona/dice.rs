//! Dice, as players write them: `2d6+1`.

/// Most dice, and most sides.
const MOST_DICE: u64 = 100;
const MOST_SIDES: u64 = 1_000_000;

/// Some dice with equally many sides, and what is added to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dice {
    count: u64,
    sides: u64,
    bonus: i64,
}

impl Dice {
    /// Reads `2d6+1`, `d20`, `3d6 - 2`; a number alone is one die with that many sides. `None` when it is nothing like that, or
    /// more than a hundred dice or a million sides.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let (dice, bonus) = match text.rfind(['+', '-']) {
            Some(at) => (text[..at].trim(), text[at..].replace(' ', "").parse().ok()?),
            None => (text.as_str(), 0),
        };
        let (count, sides) = dice.split_once('d').unwrap_or(("1", dice));
        let count: u64 = if count.trim().is_empty() { 1 } else { count.trim().parse().ok()? };
        let sides: u64 = sides.trim().parse().ok()?;
        let fits = (1..=MOST_DICE).contains(&count) && (1..=MOST_SIDES).contains(&sides);
        fits.then_some(Self { count, sides, bonus })
    }

    /// What each of them shows, where `draw` gives random numbers.
    pub fn roll(&self, mut draw: impl FnMut() -> u64) -> Vec<u64> {
        (0..self.count).map(|_| draw() % self.sides + 1).collect()
    }

    /// The sum of what they show and what is added; `None` when that is too much for a number.
    #[must_use]
    pub fn total(&self, shown: &[u64]) -> Option<i64> {
        i64::try_from(shown.iter().sum::<u64>()).ok()?.checked_add(self.bonus)
    }

    /// What is added to what they show.
    #[must_use]
    pub fn bonus(&self) -> i64 {
        self.bonus
    }
}

impl std::fmt::Display for Dice {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}d{}", self.count, self.sides)?;
        if self.bonus == 0 { Ok(()) } else { write!(formatter, "{:+}", self.bonus) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_are_read_as_players_write_them() {
        let read = |text: &str| Dice::parse(text).map(|dice| dice.to_string());
        for (written, meant) in
            [("2d6+1", "2d6+1"), ("d20", "1d20"), (" 3D6 - 2 ", "3d6-2"), ("6", "1d6"), ("1d1+0", "1d1")]
        {
            assert_eq!(read(written).as_deref(), Some(meant), "{written}");
        }
        for nonsense in
            ["", "d", "2d", "0d6", "d0", "101d6", "1d1000001", "d6d6", "2d6+", "two", "1d6+1+1", "-1d6"]
        {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn each_die_is_rolled_and_the_bonus_is_added_once() {
        let dice = Dice::parse("3d6-2").expect("dice");
        let mut next = 0..;
        let shown = dice.roll(|| next.next().expect("there are more"));
        assert_eq!((shown.as_slice(), dice.total(&shown)), ([1, 2, 3].as_slice(), Some(4)));
        let far = Dice::parse(&format!("1d1+{}", i64::MAX)).expect("dice");
        assert_eq!(far.total(&[1]), None);
    }
}
