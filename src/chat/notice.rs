//! What the bot says of itself where it was to answer: every such sentence stands here, plain and short. What commands
//! answer stands in [`text`](super::text).

use std::time::Duration;

use super::markdown::escaped;

/// Something that the bot tells a member instead of, or after, an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The model had nothing to say.
    Empty,
    /// The queue is full.
    QueueFull {
        /// How many are waiting.
        place: usize,
        /// How long they will take.
        wait: Option<Duration>,
    },
    /// Too many wait in this conversation.
    ConversationBusy {
        /// How many are waiting.
        place: usize,
    },
    /// The member has too many messages that are answered or wait.
    TooManyAtATime {
        /// How many there may be.
        most: usize,
    },
    /// The members of the server together have.
    ServerBusy,
    /// Too much was asked within an hour.
    TooManyPerHour {
        /// After how long there is room for one more.
        wait: Duration,
    },
    /// The message is longer than messages may be.
    TooManyCharacters {
        /// Characters that there are.
        have: usize,
        /// Characters that there may be.
        most: usize,
    },
    /// The bot may not speak where it was asked.
    MayNotSpeak {
        /// The channel.
        channel: u64,
    },
    /// The admins of the server do not let the member be answered.
    Denied,
    /// Somebody else has stopped the answer before anything of it was shown.
    Halted,
    /// The member does not want to be read.
    OptedOut,
    /// The message is too long for the model.
    TooLong {
        /// Tokens that there are.
        have: usize,
        /// Tokens that there may be.
        room: usize,
    },
    /// The engine broke down before anything was shown.
    Broken {
        /// Whether asking again may help.
        retryable: bool,
    },
    /// The engine broke down in the middle.
    CutOff,
    /// A message can be changed and deleted no more: its webhook is gone.
    Unchangeable,
    /// Whoever said it may not play here any more.
    PlaysNoMore,
    /// A reply came whose text the bot may not read.
    Unreadable,
    /// The program ended in the middle of a reply, and is back.
    Interrupted,
    /// The bot was mentioned without a word, and there is nothing to greet with.
    Nothing,
    /// The program ends before there is an answer.
    Closing,
    /// The scene waits.
    ScenePaused,
    /// No persona can play in the scene any more, so that it waits.
    NobodyPlays,
    /// Somebody who played in the scene is forgotten.
    Departed,
}

/// What every notice begins with: Discord shows such lines small.
pub const MARK: &str = "-# ";

/// What is said once when a persona cannot play in a scene any more.
#[must_use]
pub fn plays_no_more(name: &str) -> String {
    format!(
        "{MARK}{} can play here no more, and the scene goes on without. `/roleplay cast add` brings somebody else in.",
        escaped(name)
    )
}

/// What is said once when a persona plays in another version.
#[must_use]
pub fn plays_anew(name: &str) -> String {
    format!("{MARK}{} was changed by those who look after it, and plays on as it is now.", escaped(name))
}

/// Whether a message of the bot's is a notice, and not something that a persona said.
#[must_use]
pub fn is_notice(text: &str) -> bool {
    text.starts_with(MARK)
}

impl std::fmt::Display for Notice {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(MARK)?;
        match *self {
            Self::Empty => formatter.write_str("I have no answer to that. Try to say it differently."),
            Self::QueueFull { place, wait } => {
                write!(formatter, "I am busy: {} waiting before you{}. Please try again later.",
                    people(place), estimate(wait))
            }
            Self::ConversationBusy { place } => write!(
                formatter,
                "I am still answering here: {} waiting before you. Please try again in a moment.",
                people(place)
            ),
            Self::TooManyAtATime { most: 1 } => {
                formatter.write_str("I am still answering you. Please wait for that.")
            }
            Self::TooManyAtATime { most } => {
                write!(formatter, "I am still answering {most} of your messages. Please wait for one of them.")
            }
            Self::ServerBusy => {
                formatter.write_str("I am answering as much here as I may at a time. Please try again in a moment.")
            }
            Self::TooManyPerHour { wait } => write!(
                formatter,
                "That is more than I may answer in an hour. There is room again in{}.",
                estimate(Some(wait)).trim_start_matches(',')
            ),
            Self::TooManyCharacters { have, most } => {
                write!(formatter, "That has {have} characters, and I read {most}. Please shorten it.")
            }
            Self::MayNotSpeak { channel } => write!(
                formatter,
                "I may not write in <#{channel}>. Ask an admin of the server to let me view it and send messages there."
            ),
            Self::Denied => formatter.write_str("The admins of this server do not let me answer you here. Ask one of them."),
            Self::Halted => formatter.write_str("A moderator has stopped me before I could answer you. Ask again later."),
            Self::OptedOut => formatter.write_str(
                "You asked me not to read what you write, so I have not. `/privacy opt-in` changes that.",
            ),
            Self::TooLong { have, room } => write!(
                formatter,
                "That is too long for me: it makes {have} tokens, and I can read {room}. Please shorten it."
            ),
            Self::Broken { retryable: true } => {
                formatter.write_str("Something went wrong on my side. Please ask again.")
            }
            Self::Broken { retryable: false } => {
                formatter.write_str("I cannot answer that. Whoever runs me finds the reason in my log.")
            }
            Self::CutOff => formatter.write_str("My answer was cut off by a fault on my side. Ask again for a whole one."),
            Self::PlaysNoMore => {
                formatter.write_str("I do not play here any more whoever said that. Ask me anew.")
            }
            Self::Unchangeable => formatter.write_str(
                "I can change that message no more. Ask me anew, and ask a moderator to delete it if it disturbs.",
            ),
            Self::Unreadable => formatter.write_str(
                "I can only read messages that mention me. Mention me, or reply with the mention switched on.",
            ),
            Self::Closing => formatter.write_str("I am being switched off. Please ask again when I am back."),
            Self::Interrupted => formatter.write_str("I was interrupted here. Ask again for a whole answer."),
            Self::ScenePaused => {
                formatter.write_str("The scene waits here. `/roleplay resume` lets it go on, and `/roleplay stop` ends it.")
            }
            Self::NobodyPlays => formatter.write_str(
                "None of the personas of this scene can play here any more, so it waits. Bring one in with `/roleplay cast add`, then use \
                 `/roleplay resume`.",
            ),
            Self::Departed => formatter.write_str(
                "Somebody who played here has asked me to forget them. Their lines are gone, and the scene goes on.",
            ),
            Self::Nothing => formatter.write_str("Yes? Write something after my name."),
        }
    }
}

pub(super) fn people(count: usize) -> String {
    match count {
        1 => "1 is".to_owned(),
        count => format!("{count} are"),
    }
}

pub(super) fn estimate(wait: Option<Duration>) -> String {
    match wait.map(|wait| wait.as_secs()) {
        None => String::new(),
        Some(seconds @ 0..=89) => format!(", about {} seconds", seconds.max(1)),
        Some(seconds) => format!(", about {} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_told_from_what_personas_say() {
        assert!(is_notice(&Notice::Empty.to_string()));
        assert!(!is_notice("- a list"));
    }

    #[test]
    fn a_full_queue_says_how_long() {
        let check = |wait: Option<u64>, expected: &str| {
            let notice = Notice::QueueFull { place: 3, wait: wait.map(Duration::from_secs) };
            assert!(notice.to_string().contains(expected), "{notice}");
        };
        check(None, "3 are waiting before you. Please");
        check(Some(40), "about 40 seconds");
        check(Some(100), "about 2 minutes");
    }
}
