//! Long memory: what is told of turns that prompts have no room for any more, in a few sentences, with links to those turns.
//! A memory goes with each of the turns that it tells of.

use std::collections::HashSet;

use super::MemberId;
use super::history::{Conversation, Turn, TurnId, text_mark};
use super::prompt::Prompt;
use super::slots::{self, Line, Slots};
use super::template;
use crate::persona::Persona;

/// Most characters of a memory.
pub const MEMORY_MAX: usize = 1_000;

/// Where there are more memories that nobody has written, the two oldest become one: so nothing is lost at once, and what was long
/// ago takes the least room.
pub const MEMORIES_MAX: usize = 6;

/// Most memories, those included that members have written, which stay as they are; the oldest ones go.
pub const MEMORIES_KEPT: usize = 24;

/// A summary has at most one part in so many of the room for a prompt, within these bounds, in tokens.
const SUMMARY_SHARE: usize = 32;
const SUMMARY_LEAST: usize = 48;
const SUMMARY_MOST: usize = 200;

/// What is summed up has at least one part in so many of the room.
const LINES_SHARE: usize = 4;

/// What is told of some turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The last turn that it tells of; no other memory tells of that one.
    pub until: TurnId,
    /// What it says. Nothing when nobody wants these turns told.
    pub text: String,
    /// The turns that it tells of, oldest first. Of those that are not kept any more, one of each member.
    pub links: Vec<Link>,
    /// Whose words it has, when a member has written them.
    pub editor: Option<MemberId>,
}

/// A turn that a memory tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Which.
    pub turn: TurnId,
    /// Who said it, or to whom it was said.
    pub member: Option<MemberId>,
    /// When it was said, in seconds since 1970.
    pub said: u64,
}

impl Memory {
    /// Whether it says anything.
    #[must_use]
    pub fn is_told(&self) -> bool {
        !self.text.is_empty()
    }

    /// A number that follows from what it says, as that of a turn does.
    #[must_use]
    pub fn mark(&self) -> u64 {
        text_mark(&self.text)
    }

    /// Bytes of memory that it takes, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.text.len() + size_of_val(self.links.as_slice())
    }
}

/// What is to be summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// These turns, oldest first.
    Turns(Vec<TurnId>),
    /// The memories that end with these turns; they become one.
    Memories([TurnId; 2]),
}

/// What is to be done next about what was cut.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// This is summed up by that prompt.
    Sum(Chapter, Prompt),
    /// This fits into no prompt, and is passed over.
    PassOver(Chapter),
}

/// What is to be summed up, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    pub(super) due: Due,
    pub(super) links: Vec<Link>,
    lines: Vec<Line>,
}

impl Chapter {
    /// The next one that is due, with so many turns that its prompt has at most `room` tokens. `None` when nothing is due, or not even
    /// the instruction leaves room for much. A persona's own one that does not is not used.
    #[must_use]
    pub fn next(
        persona: &Persona,
        conversation: &Conversation,
        room: usize,
        count: impl Fn(&Prompt) -> usize,
    ) -> Option<Next> {
        let due = conversation.due()?;
        let prompt = |own: &str, lines| template::alpaca(&Slots::summary(persona, conversation, own, lines));
        let leaves_room = |own: &&str| count(&prompt(own, Vec::new())) <= room - room / LINES_SHARE;
        let own = [persona.card.summary_prompt.as_str(), ""].into_iter().find(leaves_room)?;
        let fitting = |due: Due| {
            let chapter = Self::of(conversation, due)?;
            let prompt = prompt(own, chapter.lines.clone());
            (count(&prompt) <= room).then_some(Next::Sum(chapter, prompt))
        };
        let due = match due {
            Due::Turns(turns) => {
                let first = |most: usize| Due::Turns(turns[..most].to_vec());
                let lengths: Vec<usize> = (1..=turns.len()).collect();
                let most = lengths.partition_point(|&most| fitting(first(most)).is_some());
                first(most.max(1))
            }
            due @ Due::Memories(_) => due,
        };
        fitting(due.clone()).or_else(|| Self::of(conversation, due).map(Next::PassOver))
    }

    /// What is to be summed up, if all of it is there.
    pub(super) fn of(conversation: &Conversation, due: Due) -> Option<Self> {
        let (told, links) = match &due {
            Due::Turns(turns) => {
                let turns: Option<Vec<&Turn>> = turns.iter().map(|turn| conversation.turn(*turn)).collect();
                let turns = turns?;
                let told = turns.iter().map(|turn| slots::line(turn, &[], "")).collect();
                (told, turns.iter().map(|turn| link(conversation, turn)).collect())
            }
            Due::Memories(ends) => {
                let memories: Option<Vec<&Memory>> =
                    ends.iter().map(|until| conversation.memory(*until)).collect();
                let memories = memories?;
                let told = memories.iter().map(|memory| Line::Told(memory.text.clone())).collect();
                (told, memories.iter().flat_map(|memory| memory.links.iter().copied()).collect())
            }
        };
        Some(Self { due, links, lines: told })
    }

    /// The last turn that it has.
    #[must_use]
    pub fn until(&self) -> Option<TurnId> {
        match &self.due {
            Due::Turns(turns) => turns.last().copied(),
            Due::Memories([_, until]) => Some(*until),
        }
    }
}

/// Most tokens of a summary where a prompt has so much room.
#[must_use]
pub fn summary_tokens(room: usize) -> usize {
    (room / SUMMARY_SHARE).clamp(SUMMARY_LEAST, SUMMARY_MOST)
}

/// A summary as it is remembered: without line breaks, and not longer than [`MEMORY_MAX`]. One that `is_cut_off` ends with its last
/// whole sentence, if it has one.
#[must_use]
pub fn condensed(text: &str, is_cut_off: bool) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = words.chars().take(MEMORY_MAX).collect();
    let is_whole = !is_cut_off && short.len() == words.len();
    let end = short.char_indices().rfind(|(_, c)| matches!(c, '.' | '!' | '?' | '…'));
    match end.filter(|_| !is_whole) {
        Some((end, c)) => short[..end + c.len_utf8()].to_owned(),
        None => short.trim_end().to_owned(),
    }
}

/// The links of a memory: of turns before the first that is kept, one of each member is enough, the oldest.
pub(super) fn thinned(mut links: Vec<Link>, first_kept: Option<TurnId>) -> Vec<Link> {
    let mut members = HashSet::new();
    links.sort_unstable_by_key(|link| link.turn);
    links.retain(|link| first_kept.is_some_and(|first| link.turn >= first) || members.insert(link.member));
    links
}

fn link(conversation: &Conversation, turn: &Turn) -> Link {
    let asked = || {
        let trigger = turn.trigger?;
        let asked = conversation.turns().iter().filter(|other| other.trigger == Some(trigger));
        asked.into_iter().find_map(|other| other.speaker.member())
    };
    Link { turn: turn.id, member: turn.speaker.member().or_else(asked), said: turn.said }
}

#[cfg(test)]
mod tests;
