//! What is said of bug bundles.

use std::fmt::{Display, Formatter, Result};

/// What comes of asking for a bug bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bundling {
    /// It is in the file.
    Given,
    /// It does not fit into a file.
    TooLarge,
    /// The reply is being made still.
    Unfinished,
    /// Whoever has said it cannot be played here any more.
    PlaysNoMore,
    /// The prompt of the reply cannot be built any more.
    Unbuilt,
    /// It takes somebody who may change the persona.
    NotEditor,
}

impl Bundling {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Given => {
                "This is what the reply was made of, also what was said before it. `mummer replay bundle.json` makes it once \
                 more; do not pass it on to those who may not read this channel."
            }
            Self::TooLarge => "What the reply was made of is more than fits into a file here.",
            Self::Unfinished => "That reply is being made still. Try again when it is over.",
            Self::PlaysNoMore => {
                "Whoever has said that cannot play here any more, so I cannot build what they have read."
            }
            Self::Unbuilt => "What was read for that reply is not there any more, so I cannot build it.",
            Self::NotEditor => "That is for whoever made the persona, and for the admins of this server.",
        }
    }
}

/// What should be known before anything is concluded from a bug bundle; it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// Another model runs now.
    OtherModel,
    /// It was made by a program that did not note enough.
    Old,
    /// The prompt is another one now.
    OtherPrompt {
        /// Tokens that it has now.
        have: usize,
        /// Tokens that it had.
        had: usize,
    },
    /// The persona has other texts now.
    OtherPersona,
    /// It is not known of which tokens the reply consists.
    NoTokens,
}

impl Display for Remark {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let words = match self {
            Self::OtherModel => "Another model made the reply than runs now: take that one to replay it.",
            Self::Old => {
                "An older Mummer made the reply and did not note how: prompt and machine are as they would be now."
            }
            Self::OtherPrompt { have, had } => {
                return write!(
                    formatter,
                    "The prompt is not the one that the model has read: it has {have} tokens and had {had}. What was said \
                     before the reply, the persona, names or settings have changed since."
                );
            }
            Self::OtherPersona => "The persona has other texts now than when the reply was made.",
            Self::NoTokens => {
                "The tokens of the reply are not known, so it cannot be replayed: it was cut off, or is shown otherwise than \
                 the model wrote it."
            }
        };
        formatter.write_str(words)
    }
}
