//! What commands and buttons answer: every such sentence stands here, plain and short.

mod bundles;
mod lines;
mod lists;
mod memories;
mod personas;
mod scenes;

use std::fmt::{Display, Formatter, Result};

pub use self::bundles::{Bundling, Remark};
pub use self::lines::{LINE_FORM, LINE_MAX, Lines, branch_name, said_anew};
use self::lists::counted;
pub use self::memories::{MEMORY_FIELD, MEMORY_FORM, Moment, Recall, Recalled};
pub use self::personas::{Editing, LINE_SHOWN, choice, field_label, form_title, no_room, with_draft};
pub use self::scenes::{
    NO_CARDS, Staging, card_refused, cut_short, hidden_too, may_not_play, several_have_it, too_many_play,
};
use super::ChannelId;
use super::history::Origin;
use super::notice::{self, Notice};
use super::request::{Counts, Past, Standing};
use super::settings::{Decision, Setting};
use crate::persona::PersonaId;
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
    /// What a member asks a persona by itself.
    Asked {
        /// Who.
        who: String,
        /// Whom.
        whom: String,
        /// What.
        text: String,
    },
    /// There is nothing in it.
    NothingSaid,
    /// Its author does not want to be read.
    NotRead,
    /// Nothing is answered here.
    NotAnswered,
    /// The admins do not let them be answered.
    Denied,
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
    /// Nothing is written down at all.
    NothingWritten,
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
    /// What is set in a server, and where (`None` everywhere).
    Settings(Vec<(Option<ChannelId>, Setting, String)>),
    /// Something is set now.
    Set {
        /// What.
        setting: Setting,
        /// To what; `None` when it was taken back.
        value: Option<String>,
        /// Where; `None` is everywhere.
        channel: Option<ChannelId>,
        /// What keeps it from holding as it was set.
        limit: Option<Limit>,
    },
    /// Whether what was said is really to be kept for so many days only.
    MayForgetOlder {
        /// For how many.
        days: u64,
        /// Messages and replies that are older.
        older: usize,
    },
    /// There is no such setting.
    NoSetting,
    /// The setting has no such value.
    NoValue(Setting),
    /// The setting holds in the whole server.
    WholeServer,
    /// The persona leaves no room for a conversation.
    TooLarge,
    /// What was decided and asked lately.
    Audit {
        /// By admins.
        decisions: Vec<Decision>,
        /// By members.
        requests: Vec<Past>,
    },
    /// Who can be played, and who is played here.
    Personas {
        /// Ids and names.
        all: Vec<(PersonaId, String)>,
        /// Who answers here.
        here: PersonaId,
        /// Who was chosen for here, and cannot play here.
        missing: Option<PersonaId>,
    },
    /// Something about the personas of a server.
    Editing(Editing),
    /// Something about scenes.
    Staging(Staging),
    /// Something about lines that were said.
    Lines(Lines),
    /// Something about long memory.
    Recall(Recall),
    /// A persona introduces itself.
    Persona {
        /// Its name.
        name: String,
        /// Its id.
        id: PersonaId,
        /// Who made it.
        creator: String,
        /// What they say of it.
        notes: String,
    },
    /// There is no such persona.
    NoPersona,
    /// How a reply was made.
    Why {
        /// As whom it was said.
        name: String,
        /// How.
        origin: Box<Origin>,
        /// Whether the reader may know what the persona's lorebook has to do with it.
        in_full: bool,
    },
    /// Nothing is known of how it was made.
    NoWhy,
    /// Something about a bug bundle.
    Bundling(Bundling),
    /// It takes somebody who may read what was said in the channel.
    NotReader,
    /// It takes a server.
    ServersOnly,
    /// It takes an admin.
    NotAdmin,
    /// It takes somebody who may manage the server.
    NotManager,
    /// Nothing is written down, so nothing can be set.
    NotKept,
    /// It is being done.
    Working,
    /// Nothing was done.
    Cancelled,
    /// The button is somebody else's.
    NotYours,
    /// The button is of another time.
    Stale,
    /// The reply is not the last one any more, or not what it was.
    StaleReply,
    /// The reply was made for somebody else.
    NotYourReply,
    /// It is more than they may ask; nothing more is said when they know.
    TooMuch(Option<Notice>),
    /// The bot itself is not in the server.
    NotHere,
    /// It cannot be understood.
    Misunderstood,
    /// It went wrong.
    Broken,
}

/// What keeps a setting from holding as it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The bot cannot read what is not said to it.
    CannotRead,
    /// The operator keeps what was said for so many days only.
    KeptFor(u64),
    /// The persona plays in age-restricted channels only.
    AgeRestricted,
}

/// What is kept of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Whether they do not want to be read.
    pub opted_out: bool,
    /// How much it is.
    pub counts: Counts,
    /// Whether all that is written is read where they ask.
    pub everything: bool,
    /// After how many days it goes by itself where they ask.
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
    /// Forget what is older.
    ForgetOlder,
    /// Forget lines.
    ForgetLines,
    /// Save a persona.
    Save,
    /// Delete a persona.
    Delete,
    /// Give a bug bundle.
    Bundle,
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
            Self::ForgetOlder => "Forget what is older",
            Self::ForgetLines => "Forget them",
            Self::Save => "Save",
            Self::Delete => "Delete it",
            Self::Bundle => "Bug bundle",
            Self::Cancel => "Cancel",
        }
    }
}

impl From<Editing> for Text {
    fn from(editing: Editing) -> Self {
        Self::Editing(editing)
    }
}

impl From<Lines> for Text {
    fn from(lines: Lines) -> Self {
        Self::Lines(lines)
    }
}

impl From<Recall> for Text {
    fn from(recall: Recall) -> Self {
        Self::Recall(recall)
    }
}

impl Display for Text {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let words = match self {
            Self::Help(commands) => return lists::help(formatter, commands),
            Self::Rolled { who, dice, shown, total } => {
                return lists::rolled(formatter, who, dice, shown, *total);
            }
            Self::Said { who, text } => return write!(formatter, "**{who}:** {text}"),
            Self::Asked { who, whom, text } => return write!(formatter, "**{who}** asks **{whom}:** {text}"),
            Self::Stopped(0) => "There is nothing here that you could stop.",
            Self::Stopped(1) => "I have stopped.",
            Self::Stopped(count) => return write!(formatter, "I have stopped {count} answers."),
            Self::Standings(standings) => return lists::standing(formatter, standings),
            Self::Kept(kept) => return kept.fmt(formatter),
            Self::Settings(set) => return lists::settings(formatter, set),
            Self::Set { setting, value, channel, limit } => {
                return lists::set(formatter, *setting, value.as_deref(), *channel, *limit);
            }
            Self::MayForgetOlder { days, older } => {
                return lists::may_forget_older(formatter, *days, *older);
            }
            Self::NoSetting => return lists::no_setting(formatter),
            Self::NoValue(setting) => lists::what_it_takes(*setting),
            Self::WholeServer => "That holds in the whole server. Leave the channel away.",
            Self::TooLarge => "That persona leaves my model no room for a conversation. Choose another one.",
            Self::Audit { decisions, requests } => return lists::audit(formatter, decisions, requests),
            Self::Personas { all, here, missing } => {
                return lists::personas(formatter, all, here, missing.as_ref());
            }
            Self::Editing(editing) => return editing.fmt(formatter),
            Self::Staging(staging) => return staging.fmt(formatter),
            Self::Bundling(bundling) => bundling.words(),
            Self::Lines(lines) => return lines.fmt(formatter),
            Self::Recall(recall) => return recall.fmt(formatter),
            Self::Persona { name, id, creator, notes } => {
                return lists::persona(formatter, name, id, creator, notes);
            }
            Self::Why { name, origin, in_full } => return lists::why(formatter, name, origin, *in_full),
            Self::NoWhy => "That is no reply that I have generated, or I do not remember it any more.",
            Self::NotReader => "You may not read what was said here before. Ask an admin of this server.",
            Self::NoPersona => "There is no such persona. `/persona list` tells whom I can play.",
            Self::ServersOnly => "That is for servers. Use it in one.",
            Self::NotAdmin => {
                "That is for those who may manage this server, and for the roles that they have named as `admin_roles`."
            }
            Self::NotManager => "Only those who may manage this server say who is an admin.",
            Self::NotKept => "I keep nothing here, so nothing can be set. Whoever runs me can change that.",
            Self::NoDice => {
                "Write dice like `2d6+1` or `d20`: up to 100 of them, with up to 1,000,000 sides."
            }
            Self::NotAnswered => "I am not to answer here. Try another channel, or ask an admin.",
            Self::Denied => "The admins of this server do not let me answer you here. Ask one of them.",
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
            Self::NothingWritten => "I write nothing down. What was said I remember until I am switched off.",
            Self::MayForget => {
                "I would forget what you wrote to me, what I answered, and your name, everywhere and for good. \
                 Messages in Discord stay until they are deleted there; those of `/say` and `/ask` moderators can delete. \
                 Shall I?"
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
            Self::StaleReply => {
                "That is not the last reply here any more, or it has changed. Look at the last one."
            }
            Self::NotYourReply => {
                "That reply was made for somebody else. They can do that, and whoever may manage messages here."
            }
            Self::TooMuch(Some(notice)) => {
                return formatter.write_str(notice.to_string().trim_start_matches(notice::MARK));
            }
            Self::TooMuch(None) => "That is more than I may answer at present. Please wait a little.",
            Self::NotHere => "I am not a member of this server. Ask an admin to invite me.",
            Self::Misunderstood => "I do not understand that. Reload Discord, and use the command again.",
            Self::Broken => {
                "Something went wrong on my side, and whoever runs me finds it in my log. Please try again."
            }
        };
        formatter.write_str(words)
    }
}

/// What dice have shown, as a fact for a prompt.
#[must_use]
pub fn rolled_fact(who: &str, dice: &Dice, shown: &[u64], total: i64) -> String {
    let each = shown.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    if shown.len() == 1 && dice.bonus() == 0 {
        format!("{who} rolls {dice}: {total}")
    } else {
        format!("{who} rolls {dice}: {total} ({each})")
    }
}

/// What a member said through the bot, from what the bot has shown of it; `None` when it shows something else.
#[must_use]
pub fn said(shown: &str) -> Option<&str> {
    let (who, text) = shown.strip_prefix("**")?.split_once(":** ")?;
    // A name has no such marks, for they are escaped.
    (!who.contains("** asks **")).then_some(text)
}

/// Whether the bot has shown in a message what a member asks a persona by itself.
#[must_use]
pub fn is_asked(shown: &str) -> bool {
    let who = shown.strip_prefix("**").and_then(|rest| rest.split_once(":** "));
    who.is_some_and(|(who, _)| who.contains("** asks **"))
}

impl Display for Kept {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let Self { opted_out, counts, everything, days } = *self;
        let Counts { messages, replies, requests, personas } = counts;
        if opted_out {
            formatter.write_str("I do not read what you write. `/privacy opt-in` changes that.\n")?;
        } else {
            let what = if everything { "everything that is written here" } else { "what you write to me" };
            writeln!(
                formatter,
                "I read {what}, and what somebody replies to who writes to me. `/privacy opt-out` changes that for you.",
            )?;
        }
        writeln!(
            formatter,
            "I keep {} of yours, {} to you, and {} when you asked something; `/privacy export` gives them to you.",
            counted(messages, "message", "messages"),
            counted(replies, "reply", "replies"),
            counted(requests, "note of", "notes of"),
        )?;
        if personas > 0 {
            let personas = counted(personas, "persona", "personas");
            writeln!(formatter, "You have made {personas}; `/personas delete` takes them away.")?;
        }
        match days {
            Some(days) => {
                write!(formatter, "What is said here goes by itself after {}.", counted(days, "day", "days"))
            }
            None => formatter.write_str("It stays until you want it gone: `/privacy forget-me`."),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::chat::MemberId;
    use crate::chat::settings::Deed;

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
    fn what_is_said_through_the_bot_is_found_again() {
        for who in ["Ada", r"x\*\*", "a: b"] {
            let shown = Text::Said { who: who.replace(':', ""), text: "well:** yes".to_owned() }.to_string();
            assert_eq!(said(&shown), Some("well:** yes"), "{shown}");
        }
        let asked = Text::Asked { who: "Ada".to_owned(), whom: "Crake".to_owned(), text: "well?".to_owned() };
        assert_eq!(said(&asked.to_string()), None);
        assert!(is_asked(&asked.to_string()) && !is_asked("**Ada:** she ** asks **x:** y"));
        assert_eq!(said("Ada rolls 1d6: **3**"), None);
    }

    #[test]
    fn the_audit_list_puts_facts_into_words_and_shows_what_was_written_before() {
        let set = Deed::Set { setting: "admin_roles".to_owned(), value: json!(["7"]), channel: None };
        let choice = Deed::Set { setting: "persona".to_owned(), value: json!("ada"), channel: Some(5) };
        let rolled_back = Deed::RolledBack(PersonaId("ada".to_owned()), 2);
        let before = Decision { at: 1, member: None, what: "set".to_owned(), about: "answers".to_owned() };
        let mut decisions: Vec<Decision> =
            [set, choice, rolled_back].iter().map(|deed| deed.decided(1, MemberId(2))).collect();
        decisions.push(before);
        let text = Text::Audit { decisions, requests: Vec::new() }.to_string();
        for line in [
            "<t:1:f> <@2> set admin_roles to <@&7>",
            "<t:1:f> <@2> set persona to ada in <#5>",
            "<t:1:f> <@2> went to version 2 of the persona `ada`",
            "<t:1:f> Somebody set answers",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} in {text}");
        }
    }

    #[test]
    fn help_fits_into_a_message() {
        let commands = vec![("a".repeat(32), "b".repeat(100)); 100];
        assert!(Text::Help(commands).to_string().chars().count() <= MESSAGE_MAX);
    }
}
