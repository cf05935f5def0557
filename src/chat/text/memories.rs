//! What is answered about long memory.

use std::fmt::{Display, Formatter, Result};

use super::lists::{as_many_as_fit, counted};
use crate::chat::markdown::escaped;
use crate::chat::memory::MEMORY_MAX;
use crate::chat::{MessageId, Place};
use crate::persona::visible;

/// Most characters of a memory that are shown beside others, so that as many as the model makes fit into a message, and by itself.
const SHOWN: usize = 120;
const SHOWN_WHOLE: usize = 1_600;

/// What is answered about long memory.
#[derive(Debug, Clone, PartialEq)]
pub enum Recall {
    /// All that is remembered here, oldest first, or a single one of it.
    List(Vec<Recalled>),
    /// There is nothing, and whether there will be.
    Nothing {
        /// Whether what does not fit into the model's context is summed up here.
        remembers: bool,
    },
    /// A memory says something else now.
    Reworded(u64),
    /// A memory is gone.
    Dismissed(u64),
    /// There is no such memory.
    Unknown,
    /// They have not spoken here.
    NotTheirs,
    /// It tells of others.
    OfOthers,
    /// It says something else by now.
    Changed,
    /// It would say nothing.
    Blank,
    /// It would be too long.
    TooLong,
}

/// A memory as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Recalled {
    /// Under which number it is found.
    pub number: u64,
    /// Of how many turns it tells.
    pub turns: usize,
    /// Where the first and the last of them are shown, or else when they were said.
    pub from: Moment,
    /// See there.
    pub to: Moment,
    /// Whether a member has written it.
    pub is_edited: bool,
    /// What it says.
    pub text: String,
}

/// Where or when something was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// In a message.
    Shown(Place, MessageId),
    /// Then, in seconds since 1970.
    Said(u64),
}

/// What stands above the form in which a memory is written.
pub const MEMORY_FORM: &str = "Change what I remember";

/// What stands above its field.
pub const MEMORY_FIELD: &str = "What happened";

impl Display for Moment {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::Shown(Place { server, channel, .. }, message) => {
                let server = server.map_or("@me".to_owned(), |server| server.to_string());
                write!(formatter, "https://discord.com/channels/{server}/{channel}/{message}")
            }
            Self::Said(then) => write!(formatter, "<t:{then}:f>"),
        }
    }
}

impl Recalled {
    /// As one among others.
    fn line(&self) -> String {
        let Self { number, from, text, .. } = self;
        format!("`{number}` {} from {from}: {}", self.turns(), shown(text, SHOWN))
    }

    /// By itself.
    fn whole(&self) -> String {
        let Self { number, from, to, is_edited, text, .. } = self;
        let edited = if *is_edited { ", written by a member" } else { "" };
        format!("`{number}` {} from {from} to {to}{edited}: {}", self.turns(), shown(text, SHOWN_WHOLE))
    }

    fn turns(&self) -> String {
        counted(self.turns, "message", "messages")
    }
}

/// So much of a text, so that nothing in it means anything to Discord.
fn shown(text: &str, most: usize) -> String {
    let text = escaped(&visible(text));
    match text.char_indices().nth(most) {
        // Half of an escape is none.
        Some((end, _)) => format!("{}…", text[..end].trim_end_matches('\\')),
        None => text,
    }
}

impl Display for Recall {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let words = match self {
            Self::List(memories) => {
                let lines = memories.iter().map(Recalled::line);
                return match memories.as_slice() {
                    [memory] => formatter.write_str(&memory.whole()),
                    _ => formatter.write_str(&as_many_as_fit(String::new(), lines)),
                };
            }
            Self::Nothing { remembers: true } => {
                "I have summed up nothing here yet. What does not fit into my head any more I sum up when nobody waits for me."
            }
            Self::Nothing { remembers: false } => {
                "I have summed up nothing here, and I do not. Admins can change that with the setting `memory`."
            }
            Self::Reworded(number) => {
                return write!(formatter, "I remember `{number}` like that from now on.");
            }
            Self::Dismissed(number) => {
                return write!(formatter, "I have forgotten `{number}`, and I do not sum that up again.");
            }
            Self::Unknown => {
                "I have no such memory. Look at the list, and give the number that stands before it."
            }
            Self::NotTheirs => {
                "That is for those who have spoken here, and for whoever may manage messages here."
            }
            Self::OfOthers => {
                "That tells of others too. Ask somebody who may manage messages here, or whoever has opened the scene."
            }
            Self::Changed => "That memory is not what it was when you began to write. Look at it again.",
            Self::Blank => "There is nothing in it. Write what happened, or delete the memory.",
            Self::TooLong => {
                return write!(formatter, "That is too long. A memory has at most {MEMORY_MAX} characters.");
            }
        };
        formatter.write_str(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::text::MESSAGE_MAX;
    use crate::chat::{ChannelId, ServerId};

    fn recalled(text: &str) -> Recalled {
        let place = Place { channel: ChannelId(5), parent: None, server: Some(ServerId(3)) };
        let (from, to) = (Moment::Shown(place, MessageId(7)), Moment::Said(9));
        Recalled { number: 40, turns: 1, from, to, is_edited: true, text: text.to_owned() }
    }

    #[test]
    fn a_memory_says_where_it_comes_from_and_means_nothing_to_discord() {
        let text = Recall::List(vec![recalled("They met. <@1> **x**")]).to_string();
        let expected = "`40` 1 message from https://discord.com/channels/3/5/7 to <t:9:f>, written by a member: \
                        They met. \\<@1\\> \\*\\*x\\*\\*";
        assert_eq!(text, expected);
        let place = Place { channel: ChannelId(5), parent: None, server: None };
        assert_eq!(Moment::Shown(place, MessageId(7)).to_string(), "https://discord.com/channels/@me/5/7");
    }

    #[test]
    fn however_much_is_remembered_it_fits_into_a_message() {
        for (count, shown) in [(1, 1), (7, 7), (24, 10)] {
            let text = Recall::List(vec![recalled(&"*".repeat(MEMORY_MAX)); count]).to_string();
            assert!(text.chars().count() <= MESSAGE_MAX, "{count}: {text}");
            assert_eq!(text.matches("`40`").count(), shown, "{text}");
            assert!(text.contains("\\*…"), "{text}");
        }
    }
}
