//! Which entries a conversation calls up: round after round, until the text of those that came calls up no more.

use serde::{Deserialize, Serialize};

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::super::random;
use super::keys::Found;
use super::{Entry, Logic, Lore, Position, Timed, USUAL_SCAN_DEPTH};

/// What is scanned, and by what rules.
#[derive(Clone, Copy)]
pub struct Scan<'a> {
    /// What was said, newest last, each with its speaker's name in front.
    pub messages: &'a [&'a str],
    /// How many messages the conversation has, those that are not given counted too.
    pub number: u64,
    /// How often the persona has spoken in it, its greeting counted too.
    pub spoken: u64,
    /// Which greeting it began with, if it did; 0 is the first.
    pub greeting: Option<u64>,
    /// Seed of chance.
    pub seed: u64,
    /// What was called up before.
    pub before: &'a Timed,
    /// Most tokens of all entries together.
    pub budget: usize,
    /// Tokens that the text of an entry takes, by the entry's number.
    pub count: &'a dyn Fn(usize) -> usize,
}

/// What a scan calls up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Activation {
    /// The entries that come, in the order in which they stand.
    pub fired: Vec<Fired>,
    /// Those that were called and did not come.
    pub dropped: Vec<Dropped>,
    /// Whether the search came to an end before everything was looked through.
    pub is_cut_short: bool,
    /// What is to be remembered for the next message.
    pub after: Timed,
}

/// An entry that comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// Its number in the book.
    pub entry: usize,
    /// What called it.
    pub cause: Cause,
    /// In which round: 0 is the messages', later ones are those of other entries' texts.
    pub round: usize,
    /// Where it stands.
    pub position: Position,
    /// Its tokens.
    pub tokens: usize,
}

/// What calls an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its decorator `@@activate`.
    Decorator,
    /// It came before, and stays.
    Sticky,
    /// It needs no key.
    Constant,
    /// This key, as its author wrote it.
    Key(String),
}

/// An entry that was called and does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Its number in the book.
    pub entry: usize,
    /// Why.
    pub why: Why,
}

/// Why an entry that was called does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Another of its group comes.
    Group,
    /// The lot fell against it.
    Chance,
    /// There is no room for its tokens.
    Budget,
}

/// An entry that is called in a round.
struct Called {
    entry: usize,
    cause: Cause,
}

impl Lore {
    /// Calls entries up. Each comes once, so that entries that call each other come to an end.
    #[must_use]
    pub fn activate(&self, scan: Scan<'_>) -> Activation {
        let mut activation = Activation::default();
        let mut found = self.keys.search(scan.messages);
        let mut open: Vec<usize> = (0..self.book.entries.len()).collect();
        let mut room = scan.budget;
        for round in 0.. {
            let mut called: Vec<Called> = Vec::new();
            open.retain(|&entry| match self.cause(entry, round, &found, &scan) {
                Some(cause) => {
                    called.push(Called { entry, cause });
                    false
                }
                None => true,
            });
            self.choose_of_groups(&mut called, &scan, &mut activation);
            self.draw_lots(&mut called, &scan, &mut activation);
            // What is worth most gets its room first.
            called.sort_by_key(|called| {
                let entry = self.entry(called.entry);
                (Reverse(entry.priority), Reverse(entry.order), called.entry)
            });
            let mut texts = Vec::new();
            for Called { entry, cause } in called {
                let text = self.text(entry);
                // Where there is no room at all, nothing needs to be counted.
                let tokens = if room == 0 { usize::MAX } else { (scan.count)(entry) };
                if tokens > room {
                    activation.dropped.push(Dropped { entry, why: Why::Budget });
                    continue;
                }
                room -= tokens;
                if !self.entry(entry).recursion.prevent {
                    texts.push(text);
                }
                let position = self.position(entry);
                activation.fired.push(Fired { entry, cause, round, position, tokens });
            }
            if !self.book.recursive || texts.is_empty() {
                break;
            }
            for text in texts {
                self.keys.search_in(text, 0, &mut found);
            }
        }
        activation.fired.sort_by_key(|fired| (self.entry(fired.entry).order, fired.entry));
        activation.dropped.sort_by_key(|dropped| dropped.entry);
        activation.is_cut_short = found.is_cut_short();
        activation.after = self.remember(&scan, &activation.fired);
        activation
    }

    fn entry(&self, number: usize) -> &Entry {
        &self.book.entries[number]
    }

    /// What calls an entry in this round.
    fn cause(&self, number: usize, round: usize, found: &Found, scan: &Scan<'_>) -> Option<Cause> {
        let (entry, decorators) = (self.entry(number), &self.parts[number].decorators);
        if !entry.enabled || decorators.dont_activate {
            return None;
        }
        if decorators.activate {
            return Some(Cause::Decorator);
        }
        let since = self.since(number, scan);
        let timing = entry.timing;
        let is_sticky = since.is_some_and(|since| since <= timing.sticky);
        let rests =
            since.is_some_and(|since| since <= timing.sticky.saturating_add(timing.cooldown)) && !is_sticky;
        let too_early = scan.number < timing.delay
            || decorators.only_after.is_some_and(|after| scan.spoken < after)
            || decorators.only_every.is_some_and(|every| !scan.spoken.is_multiple_of(every))
            || decorators.is_greeting.is_some_and(|greeting| scan.greeting != Some(greeting));
        if too_early || rests {
            return None;
        }
        if is_sticky {
            return Some(Cause::Sticky);
        }
        let recursion = entry.recursion;
        if round < recursion.delay_until || round > 0 && recursion.exclude {
            return None;
        }
        let depth =
            decorators.scan_depth.or(entry.scan_depth).or(self.book.scan_depth).unwrap_or(USUAL_SCAN_DEPTH);
        let keys = self.keys.of(number);
        let stands = |key: &usize| found.within(*key, depth);
        if keys.excluding.iter().any(stands) {
            return None;
        }
        if entry.constant {
            return Some(Cause::Constant);
        }
        let key = *keys.primary.iter().find(|key| stands(key))?;
        if !keys.additional.is_empty() && !keys.additional.iter().any(stands) {
            return None;
        }
        let secondary = &keys.secondary;
        let fits = secondary.is_empty()
            || match entry.logic {
                Logic::AndAny => secondary.iter().any(stands),
                Logic::NotAll => !secondary.iter().all(stands),
                Logic::NotAny => !secondary.iter().any(stands),
                Logic::AndAll => secondary.iter().all(stands),
            };
        fits.then(|| Cause::Key(self.keys.written(key).to_owned()))
    }

    /// How many messages ago an entry was called up, if that is remembered.
    fn since(&self, number: usize, scan: &Scan<'_>) -> Option<u64> {
        let at = scan.before.0.get(&self.parts[number].fingerprint)?;
        scan.number.checked_sub(*at)
    }

    /// Of each group one comes: what came in an earlier round, else what stays from before, else what goes before the
    /// others, else whoever draws the lot.
    fn choose_of_groups(&self, called: &mut Vec<Called>, scan: &Scan<'_>, activation: &mut Activation) {
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for Called { entry, .. } in called.iter() {
            for group in &self.entry(*entry).groups {
                groups.entry(group).or_default().push(*entry);
            }
        }
        let mut losers: Vec<usize> = Vec::new();
        for (group, members) in groups {
            let in_group = |entry: usize| self.entry(entry).groups.iter().any(|other| other == group);
            let left: Vec<usize> =
                members.iter().copied().filter(|member| !losers.contains(member)).collect();
            if activation.fired.iter().any(|fired| in_group(fired.entry)) {
                losers.extend(left);
                continue;
            }
            let stays = |entry: &&usize| {
                called.iter().any(|called| called.entry == **entry && called.cause == Cause::Sticky)
            };
            let first = left.iter().filter(|entry| self.entry(**entry).group_override);
            let winner = left.iter().find(stays).copied();
            let winner = winner.or_else(|| first.max_by_key(|entry| self.entry(**entry).order).copied());
            let winner = winner.or_else(|| self.draw(group, &left, scan));
            losers.extend(left.into_iter().filter(|entry| Some(*entry) != winner));
        }
        called.retain(|called| !losers.contains(&called.entry));
        activation.dropped.extend(losers.into_iter().map(|entry| Dropped { entry, why: Why::Group }));
    }

    /// One of the entries, each with as many lots as its weight.
    fn draw(&self, group: &str, entries: &[usize], scan: &Scan<'_>) -> Option<usize> {
        let lots: u64 = entries.iter().map(|entry| u64::from(self.entry(*entry).group_weight)).sum();
        let salt = group.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut lot = if lots == 0 { 0 } else { random(scan.seed ^ salt) % lots };
        for entry in entries {
            let weight = u64::from(self.entry(*entry).group_weight);
            if lot < weight || lots == 0 {
                return Some(*entry);
            }
            lot -= weight;
        }
        None
    }

    /// Lets those go against whom the lot falls. What stays from before has had its luck.
    fn draw_lots(&self, called: &mut Vec<Called>, scan: &Scan<'_>, activation: &mut Activation) {
        called.retain(|Called { entry, cause }| {
            let probability = self.entry(*entry).probability;
            let lot = random(scan.seed ^ self.parts[*entry].fingerprint) % 10_000;
            #[expect(clippy::cast_precision_loss, reason = "it is below 10,000")]
            let comes = *cause == Cause::Sticky || (lot as f64) < probability * 100.0;
            if !comes {
                activation.dropped.push(Dropped { entry: *entry, why: Why::Chance });
            }
            comes
        });
    }

    /// When those entries came for which it matters later.
    fn remember(&self, scan: &Scan<'_>, fired: &[Fired]) -> Timed {
        let matters = |number: usize| {
            let timing = self.entry(number).timing;
            timing.sticky.saturating_add(timing.cooldown) > 0
        };
        let mut after = Timed::default();
        for number in (0..self.book.entries.len()).filter(|&number| matters(number)) {
            let timing = self.entry(number).timing;
            if let Some(since) = self
                .since(number, scan)
                .filter(|since| *since <= timing.sticky.saturating_add(timing.cooldown))
            {
                after.0.insert(self.parts[number].fingerprint, scan.number - since);
            }
        }
        for Fired { entry, cause, .. } in fired.iter().filter(|fired| matters(fired.entry)) {
            if *cause != Cause::Sticky {
                after.0.insert(self.parts[*entry].fingerprint, scan.number);
            }
        }
        after
    }
}

#[cfg(test)]
mod tests;
