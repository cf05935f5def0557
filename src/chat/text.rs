//! What commands and buttons answer: every such sentence stands here, plain and short.

use std::fmt::{Display, Formatter, Result, Write as _};

use super::ChannelId;
use super::notice::{estimate, people};
use super::request::Standing;
use crate::persona::dice::Dice;

/// Characters that a message may have, by Discord's documentation.
const MESSAGE_MAX: usize = 2_000;

/// What a command or a button answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Text {
    /// The commands that there are, each with what it does.
    Help(Vec<(String, String)>),
    /// What dice have shown.
    Rolled {
        /// Who rolled them.
        who: String,
        /// Which.
        dice: Dice,
        /// What each shows.
        shown: Vec<u64>,
        /// The sum.
        total: i64,
    },
    /// That is no dice.
    NoDice,
    /// What a member says through the bot.
    Said {
        /// Who.
        who: String,
        /// What.
        text: String,
    },
    /// There is nothing in it.
    NothingSaid,
    /// Its author does not want to be read.
    NotRead,
    /// So many answers were stopped.
    Stopped(usize),
    /// Where a member's messages stand.
    Standings(Vec<(ChannelId, Standing)>),
    /// Whether the conversation is really to begin anew.
    MayReset,
    /// The conversation begins anew.
    Reset,
    /// It takes somebody else to do that.
    OthersHaveSpoken,
    /// What is kept of a member.
    Kept(Kept),
    /// Everything that is kept is in the file.
    Exported,
    /// Everything that is kept does not fit into a file.
    TooMuchToExport,
    /// Whether a member is really to be forgotten.
    MayForget,
    /// A member was forgotten.
    Forgotten,
    /// Whether a member really does not want to be read.
    MayOptOut,
    /// A member is not read any more.
    OptedOut,
    /// A member is read.
    OptedIn,
    /// It is being done.
    Working,
    /// Nothing was done.
    Cancelled,
    /// The button is somebody else's.
    NotYours,
    /// The button is of another time.
    Stale,
    /// The bot itself is not in the server.
    NotHere,
    /// It cannot be understood.
    Misunderstood,
    /// It went wrong.
    Broken,
}

/// What is kept of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Whether they do not want to be read.
    pub opted_out: bool,
    /// Messages of theirs.
    pub messages: usize,
    /// Replies to them.
    pub replies: usize,
    /// Notes that they have asked something.
    pub requests: usize,
    /// After how many days it goes by itself.
    pub days: Option<u64>,
}

/// What stands on a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Begin the conversation anew.
    Reset,
    /// Forget a member.
    Forget,
    /// Do not read a member.
    OptOut,
    /// Do nothing.
    Cancel,
}

impl Label {
    /// The words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Reset => "Begin anew",
            Self::Forget => "Forget me",
            Self::OptOut => "Do not read me",
            Self::Cancel => "Cancel",
        }
    }
}

impl Display for Text {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let words = match self {
            Self::Help(commands) => return help(formatter, commands),
            Self::Rolled { who, dice, shown, total } => return rolled(formatter, who, dice, shown, *total),
            Self::Said { who, text } => return write!(formatter, "**{who}:** {text}"),
            Self::Stopped(0) => "Nothing of yours is being answered here.",
            Self::Stopped(1) => "I have stopped.",
            Self::Stopped(count) => return write!(formatter, "I have stopped {count} answers."),
            Self::Standings(standings) => return standing(formatter, standings),
            Self::Kept(kept) => return kept.fmt(formatter),
            Self::NoDice => {
                "Write dice like `2d6+1` or `d20`: up to 100 of them, with up to 1,000,000 sides."
            }
            Self::NotRead => "You asked me not to read what you write. `/privacy opt-in` changes that.",
            Self::NothingSaid => "There is nothing in it. Write what you want to say.",
            Self::MayReset => {
                "I would forget everything that was said here, for good, and begin anew. Shall I?"
            }
            Self::Reset => "I have forgotten what was said here. Write to me, and we begin anew.",
            Self::OthersHaveSpoken => {
                "Others have spoken here too. Ask somebody who may manage messages in this channel to do it."
            }
            Self::Exported => "This is everything that I keep of you.",
            Self::TooMuchToExport => {
                "I keep more of you than fits into a file here. Ask whoever runs me to send it to you."
            }
            Self::MayForget => {
                "I would forget what you wrote to me, what I answered, and your name, everywhere and for good. \
                 Messages in Discord stay until you delete them. Shall I?"
            }
            Self::Forgotten => "I have forgotten you.",
            Self::MayOptOut => {
                "I would forget you, and from now on read nothing that you write, not even when somebody replies to it. \
                 `/privacy opt-in` changes that again. Shall I?"
            }
            Self::OptedOut => {
                "I have forgotten you, and I do not read you any more. `/privacy opt-in` changes that."
            }
            Self::OptedIn => "I read what you write to me.",
            Self::Working => "One moment.",
            Self::Cancelled => "Nothing has changed.",
            Self::NotYours => "That button is not yours. Use the command yourself.",
            Self::Stale => "That button does nothing any more. Use the command again.",
            Self::NotHere => "I am not a member of this server. Ask an admin to invite me.",
            Self::Misunderstood => "I do not understand that. Reload Discord, and use the command again.",
            Self::Broken => {
                "Something went wrong on my side, and whoever runs me finds it in my log. Please try again."
            }
        };
        formatter.write_str(words)
    }
}

fn help(formatter: &mut Formatter<'_>, commands: &[(String, String)]) -> Result {
    let mut text =
        String::from("Mention me, reply to me, or write to me directly, and I answer. And there is:");
    for (name, what) in commands {
        let line = format!("\n`/{name}` {what}");
        if text.len() + line.len() > MESSAGE_MAX {
            break;
        }
        text += &line;
    }
    formatter.write_str(&text)
}

fn rolled(formatter: &mut Formatter<'_>, who: &str, dice: &Dice, shown: &[u64], total: i64) -> Result {
    let mut sum = String::new();
    for (index, one) in shown.iter().enumerate() {
        if index > 0 {
            sum += " + ";
        }
        write!(sum, "{one}")?;
    }
    match dice.bonus() {
        0 => {}
        bonus @ 1.. => write!(sum, " + {bonus}")?,
        bonus => write!(sum, " - {}", bonus.unsigned_abs())?,
    }
    write!(formatter, "{who} rolls {dice}: ")?;
    if sum == total.to_string() {
        write!(formatter, "**{total}**")
    } else {
        write!(formatter, "{sum} = **{total}**")
    }
}

fn standing(formatter: &mut Formatter<'_>, standings: &[(ChannelId, Standing)]) -> Result {
    if standings.is_empty() {
        return formatter.write_str("Nothing of yours waits or is being answered.");
    }
    for (index, (channel, standing)) in standings.iter().enumerate() {
        if index > 0 {
            formatter.write_char('\n')?;
        }
        write!(formatter, "<#{channel}>: ")?;
        match *standing {
            Standing::Answering => formatter.write_str("I am answering.")?,
            Standing::InLine { ahead } => write!(formatter, "{} before you here.", people(ahead))?,
            Standing::Queued { ahead, wait } => {
                write!(formatter, "{} before you{}.", people(ahead), estimate(wait))?;
            }
        }
    }
    Ok(())
}

impl Display for Kept {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let Self { opted_out, messages, replies, requests, days } = *self;
        if opted_out {
            formatter.write_str("I do not read what you write. `/privacy opt-in` changes that.\n")?;
        } else {
            formatter.write_str(
                "I read what you write to me, and nothing else. `/privacy opt-out` changes that.\n",
            )?;
        }
        writeln!(
            formatter,
            "I keep {} of yours, {} to you, and {} when you asked something; `/privacy export` gives them to you.",
            counted(messages, "message", "messages"),
            counted(replies, "reply", "replies"),
            counted(requests, "note of", "notes of"),
        )?;
        match days {
            Some(days) => {
                write!(formatter, "What was said goes by itself after {}.", counted_u64(days, "day", "days"))
            }
            None => formatter
                .write_str("It stays until you or the server's admins want it gone: `/privacy forget-me`."),
        }
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn counted_u64(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dice_are_added_up_where_there_is_something_to_add() {
        let rolled = |written: &str, shown: &[u64], total: i64| {
            let dice = Dice::parse(written).expect("dice");
            Text::Rolled { who: "Ada".to_owned(), dice, shown: shown.to_vec(), total }.to_string()
        };
        assert_eq!(rolled("d20", &[7], 7), "Ada rolls 1d20: **7**");
        assert_eq!(rolled("2d6+1", &[3, 5], 9), "Ada rolls 2d6+1: 3 + 5 + 1 = **9**");
        assert_eq!(rolled("1d4-1", &[4], 3), "Ada rolls 1d4-1: 4 - 1 = **3**");
    }

    #[test]
    fn standings_say_who_is_before_and_for_how_long() {
        let wait = Some(Duration::from_secs(40));
        let text = Text::Standings(vec![
            (ChannelId(1), Standing::Answering),
            (ChannelId(2), Standing::InLine { ahead: 1 }),
            (ChannelId(3), Standing::Queued { ahead: 2, wait }),
        ]);
        let expected =
            "<#1>: I am answering.\n<#2>: 1 is before you here.\n<#3>: 2 are before you, about 40 seconds.";
        assert_eq!(text.to_string(), expected);
    }

    #[test]
    fn help_fits_into_a_message() {
        let commands = vec![("a".repeat(32), "b".repeat(100)); 100];
        assert!(Text::Help(commands).to_string().chars().count() <= MESSAGE_MAX);
    }
}
