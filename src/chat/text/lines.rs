//! What the commands on messages answer, by which lines are said anew, changed and forgotten, and branched off from.

use std::fmt::{Display, Formatter, Result};

use super::lists::counted;
use super::{MESSAGE_MAX, Staging};
use crate::chat::markdown::{Links, escaped};
use crate::chat::notice::MARK;
use crate::chat::{ChannelId, MessageId, Place, sanitize, split};

/// Most characters of a line that is written by a member.
pub const LINE_MAX: usize = 16_000;

/// Most characters of the name of a thread.
const THREAD_NAME_MAX: usize = 60;

/// What stands on the form for a line, and above its only field.
pub const LINE_FORM: (&str, &str) = ("Edit a line", "What it says");

/// What commands on messages answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lines {
    /// The message shows nothing that is remembered.
    NoLine,
    /// The message is no reply.
    NoReply,
    /// A reply is said anew.
    SaysAnew,
    /// The message is a member's own.
    Own,
    /// A persona said it to somebody else.
    NotTheirs,
    /// A member said it, and somebody else wants to change it.
    OthersWords,
    /// It is being said, or answered.
    Unfinished,
    /// It is not what it was.
    Changed,
    /// A line says something else now.
    Edited,
    /// Of a line only some messages say something else now.
    HalfEdited,
    /// The line is in the file, because it is longer than a form takes.
    ByFile(MessageId),
    /// The line would have so many characters, of so many.
    TooLong(usize, usize),
    /// The file has no text in it.
    NoText,
    /// The line would take more messages than it has, and others come after it.
    NoRoom,
    /// The message can be changed no more.
    Unchangeable,
    /// Whoever said it may not play here any more.
    PlaysNoMore,
    /// It was stopped before anything was done.
    Stopped,
    /// What was left undone here is being looked at.
    NotReady,
    /// There is no such message here.
    NoMessage,
    /// Whether so many lines are really to be forgotten.
    MayForget(usize),
    /// So many lines are forgotten.
    Forgotten {
        /// How many.
        lines: usize,
        /// How many messages of theirs are there still.
        left: usize,
    },
    /// So many lines are forgotten, and it takes a while until their messages are gone.
    Sweeping(usize),
    /// Others have spoken since.
    OthersToo,
    /// More was said since they were asked.
    MoreSince,
    /// There can be no threads here.
    NoThreads,
    /// The bot may not make a thread, or write in it.
    MayNotBranch,
    /// They may not make a thread themselves, or write in it.
    NoThreadOfTheirs,
    /// Nothing is written down.
    NotKept,
    /// It goes on in a thread.
    Branched(ChannelId),
    /// The first message in a thread: where what was said before it stands, and the last of that when a persona has said it.
    BranchesFrom {
        /// Where it was said.
        place: Place,
        /// In which message.
        message: MessageId,
        /// Who said it, and what.
        last: Option<(String, String)>,
    },
}

impl Display for Lines {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let words = match self {
            Self::NoLine => "I do not remember that message, so there is nothing that I could do with it.",
            Self::NoReply => "That is not my last reply here, and only that can be said anew.",
            Self::SaysAnew => "I say it anew.",
            Self::Own => "That message is your own. Edit it in Discord, and I follow.",
            Self::NotTheirs => {
                "That is not yours to change. Whoever it was said to can do that, whoever has opened the scene, and whoever may \
                 manage messages here."
            }
            Self::OthersWords => "Those are somebody else's words, and only they can change them.",
            Self::Unfinished => "That is being said or answered. Wait until it is over, or stop it.",
            Self::Changed => "That line is not what it was when you began. Look at it, and edit it anew.",
            Self::Edited => "The line is changed.",
            Self::HalfEdited => {
                "I could change only some of the messages of that line, and remember what they show. Please try again."
            }
            Self::ByFile(message) => {
                return write!(
                    formatter,
                    "That line is longer than a form takes, so it is in the file. Change it there, and send it with \
                     `/roleplay edit message:{message}`."
                );
            }
            Self::TooLong(have, most) => {
                return write!(
                    formatter,
                    "That has {have} characters, and a line has room for {most}. Shorten it."
                );
            }
            Self::NoText => "That file is no text. Save it as plain text (UTF-8), and attach it again.",
            Self::NoRoom => {
                "That takes more messages than the line has, and others come after it. Shorten it until it fits."
            }
            Self::Unchangeable => {
                "I can change that message no more. Ask a moderator to delete it if it disturbs."
            }
            Self::PlaysNoMore => {
                "Whoever said that does not play here any more. It can be forgotten, and not be changed."
            }
            Self::Stopped => {
                "I was stopped before it was your turn, and nothing has changed. Please try again."
            }
            Self::NotReady => {
                "I am still looking at what was left undone here. Please try again in a moment."
            }
            Self::NoMessage => {
                "There is no such message here. Copy the link of one in this channel, or its id, and try again."
            }
            Self::MayForget(lines) => {
                return write!(
                    formatter,
                    "I would forget {} from this one on, for good, and delete their messages as far as I may. Shall I?",
                    counted(*lines, "line", "lines")
                );
            }
            Self::Forgotten { lines, left } => {
                write!(formatter, "I have forgotten {}.", counted(*lines, "line", "lines"))?;
                return match left {
                    0 => Ok(()),
                    left => write!(
                        formatter,
                        " Of their messages I could not delete {left}; ask a moderator to do it if they disturb."
                    ),
                };
            }
            Self::Sweeping(lines) => {
                return write!(
                    formatter,
                    "I have forgotten {}. Deleting their messages takes a while; I go on with it as far as I may.",
                    counted(*lines, "line", "lines")
                );
            }
            Self::MoreSince => {
                "More was said here since I asked. Use *Forget from here* again, and I tell how much goes."
            }
            Self::OthersToo => {
                "Others have spoken since. Ask whoever has opened the scene, or somebody who may manage messages here."
            }
            Self::NoThreads => {
                "I branch off into threads, and there can be none here. Use it in a text channel of a server, or in a thread \
                 of one."
            }
            Self::MayNotBranch => {
                "I may not make a thread here, or write in it. Ask an admin to let me create threads and send messages in them."
            }
            Self::NoThreadOfTheirs => {
                "You may not create threads here and write in them yourself, so I do not do it for you. Ask an admin to let you."
            }
            Self::NotKept => {
                "I write nothing down here, so nothing can branch off. Whoever runs me can change that."
            }
            Self::Branched(thread) => return write!(formatter, "It goes on in <#{thread}>."),
            Self::BranchesFrom { place, message, last } => {
                return branches_from(formatter, *place, *message, last.as_ref());
            }
        };
        formatter.write_str(words)
    }
}

/// It begins like a notice, so that it is not taken for something that the persona says.
fn branches_from(
    formatter: &mut Formatter<'_>,
    Place { channel, server, .. }: Place,
    message: MessageId,
    last: Option<&(String, String)>,
) -> Result {
    let server = server.map_or_else(|| "@me".to_owned(), |server| server.to_string());
    let head = format!(
        "{MARK}What was said before stands in https://discord.com/channels/{server}/{channel}/{message}."
    );
    let Some((name, text)) = last else { return formatter.write_str(&head) };
    let head = format!("{head} It ends with:\n> **{}:** ", escaped(name));
    let room = MESSAGE_MAX.saturating_sub(head.chars().count());
    // As the persona has said it.
    let quoted = split::content(text, 0, text.len(), Links::Plain).replace('\n', "\n> ");
    let cut = quoted.chars().count() > room;
    let quoted: String = quoted.chars().take(if cut { room.saturating_sub(1) } else { room }).collect();
    write!(formatter, "{head}{quoted}{}", if cut { "\u{2026}" } else { "" })
}

/// The name of a thread that branches off from a scene with this title, or from what a persona with this name says.
#[must_use]
pub fn branch_name(title: &str) -> String {
    let short: String = sanitize::one_line(title).chars().take(THREAD_NAME_MAX).collect();
    format!("Branch: {}", short.trim()).trim_end_matches([':', ' ']).to_owned()
}

/// What a message shows that the bot has posted for a member, once they say, or tell, something else in it; `None` when it is not
/// known where in it their words stand.
#[must_use]
pub fn said_anew(shown: &str, before: &str, text: &str) -> Option<String> {
    if let Some(told) = shown.strip_prefix('*').and_then(|rest| rest.strip_suffix('*'))
        && !told.is_empty()
        && !told.starts_with('*')
    {
        let is_told = text.trim_matches('*').chars().any(|c| !c.is_whitespace());
        return is_told.then(|| Staging::Narrated(text.to_owned()).to_string());
    }
    let words = super::said(shown).or_else(|| shown.ends_with(before).then_some(before))?;
    Some(format!("{}{text}", &shown[..shown.len() - words.len()]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chat::ServerId;
    use crate::chat::notice::is_notice;

    fn first(text: &str) -> String {
        let place = Place { channel: ChannelId(2), parent: None, server: Some(ServerId(1)) };
        let last = Some(("A*da".to_owned(), text.to_owned()));
        Lines::BranchesFrom { place, message: MessageId(3), last }.to_string()
    }

    #[test]
    fn a_branch_says_where_it_comes_from() {
        let shown = first("*Well?*\n[Well.](https://a.org)");
        let (head, said) = shown.split_once('\n').expect("two lines");
        assert!(head.contains("https://discord.com/channels/1/2/3"), "{head}");
        let plain = split::content("[Well.](https://a.org)", 0, 22, Links::Plain);
        assert_eq!(said, format!("> **A\\*da:** *Well?*\n> {plain}"));
        assert!(is_notice(&shown), "nobody takes it for what a persona says");
        let place = Place { channel: ChannelId(2), parent: None, server: Some(ServerId(1)) };
        let shown = Lines::BranchesFrom { place, message: MessageId(3), last: None }.to_string();
        assert!(shown.ends_with("https://discord.com/channels/1/2/3."), "a member's words are not repeated");
    }

    #[test]
    fn what_is_said_for_a_member_is_changed_where_it_stands() {
        assert_eq!(said_anew("**Ada:** one", "one", "two").as_deref(), Some("**Ada:** two"));
        assert_eq!(said_anew("*one*", "one", "*two*").as_deref(), Some("*two*"));
        assert_eq!(said_anew("It tells: one", "one", "two").as_deref(), Some("It tells: two"));
        assert_eq!(said_anew("something else", "one", "two"), None);
        for (before, after) in [("It rains.", "It pours."), ("*It rains*", "*It* pours")] {
            let [shown, anew] = [before, after].map(|text| Staging::Narrated(text.to_owned()).to_string());
            assert_eq!(said_anew(&shown, before, after), Some(anew), "what happens is told");
            assert_eq!(said_anew(&shown, before, "**"), None);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_discord_takes_the_first_message_and_the_name(text in "(\\PC|\\n|\\*){0,2500}") {
            prop_assert!(first(&text).chars().count() <= MESSAGE_MAX);
            prop_assert!((1..=100).contains(&branch_name(&text).chars().count()));
        }
    }

    #[test]
    fn threads_are_named_after_scenes_and_personas() {
        assert_eq!(branch_name(" A\n storm "), "Branch: A storm");
        assert_eq!(branch_name("\u{200b}"), "Branch");
    }
}
