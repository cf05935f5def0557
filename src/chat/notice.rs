//! What the bot says of itself to members: every such sentence stands here, plain and short.

use std::time::Duration;

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
    /// A reply came whose text the bot may not read.
    Unreadable,
    /// The bot was mentioned without a word, and there is nothing to greet with.
    Nothing,
    /// The program ends before there is an answer.
    Closing,
}

/// What every notice begins with: Discord shows such lines small.
pub const MARK: &str = "-# ";

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
            Self::Unreadable => formatter.write_str(
                "I can only read messages that mention me. Mention me, or reply with the mention switched on.",
            ),
            Self::Closing => formatter.write_str("I am being switched off. Please ask again when I am back."),
            Self::Nothing => formatter.write_str("Yes? Write something after my name."),
        }
    }
}

fn people(count: usize) -> String {
    match count {
        1 => "1 is".to_owned(),
        count => format!("{count} are"),
    }
}

fn estimate(wait: Option<Duration>) -> String {
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
