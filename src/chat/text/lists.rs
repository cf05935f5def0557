//! What commands answer that has several lines or parts.

use std::fmt::{Display, Formatter, Result, Write as _};

use super::personas::shown;
use super::{Limit, MESSAGE_MAX};
use crate::chat::history::Origin;
use crate::chat::markdown::unmask_links;
use crate::chat::notice::{estimate, people};
use crate::chat::request::{Concluded, Outcome, Past, Standing};
use crate::chat::settings::{Decision, Deed, Setting};
use crate::chat::{ChannelId, MemberId};
use crate::persona::PersonaId;
use crate::persona::dice::Dice;

pub(super) fn help(formatter: &mut Formatter<'_>, commands: &[(String, String)]) -> Result {
    let intro = "Mention me, reply to me, or write to me directly, and I answer. And there is:".to_owned();
    let lines = commands.iter().map(|(name, what)| format!("`/{name}` {what}"));
    formatter.write_str(&as_many_as_fit(intro, lines))
}

pub(super) fn rolled(
    formatter: &mut Formatter<'_>,
    who: &str,
    dice: &Dice,
    shown: &[u64],
    total: i64,
) -> Result {
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

/// In one channel, or everywhere.
struct Where(Option<ChannelId>);

impl Display for Where {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self.0 {
            Some(channel) => write!(formatter, "in <#{channel}> and its threads"),
            None => formatter.write_str("in the whole server"),
        }
    }
}

pub(super) fn settings(
    formatter: &mut Formatter<'_>,
    set: &[(Option<ChannelId>, Setting, String)],
) -> Result {
    if set.is_empty() {
        return formatter.write_str("Nothing is set. `/settings set` changes that.");
    }
    let lines = set
        .iter()
        .map(|(channel, setting, value)| format!("`{}` is {value} {}.", setting.name(), Where(*channel)));
    formatter.write_str(&as_many_as_fit(String::new(), lines))
}

pub(super) fn set(
    formatter: &mut Formatter<'_>,
    setting: Setting,
    value: Option<&str>,
    channel: Option<ChannelId>,
    limit: Option<Limit>,
) -> Result {
    let place = Where(channel);
    match value {
        Some(value) => write!(formatter, "`{}` is {value} now {place}.", setting.name())?,
        None => write!(formatter, "`{}` is not set any more {place}.", setting.name())?,
    }
    match limit {
        None => Ok(()),
        Some(Limit::CannotRead) => formatter.write_str(
            " But I cannot read what is not said to me, until whoever runs me switches Message Content on.",
        ),
        Some(Limit::AgeRestricted) => formatter.write_str(
            " But that persona plays in age-restricted channels only; elsewhere I go on as before.",
        ),
        Some(Limit::KeptFor(days)) => {
            write!(formatter, " But whoever runs me keeps it for {} at most.", counted(days, "day", "days"))
        }
    }
}

pub(super) fn may_forget_older(formatter: &mut Formatter<'_>, days: u64, older: usize) -> Result {
    let (days, older) =
        (counted(days, "day", "days"), counted(older, "message or reply", "messages and replies"));
    write!(
        formatter,
        "I would keep what was said here for {days} only, and forget {older} from before that, for good. Shall I?"
    )
}

pub(super) fn no_setting(formatter: &mut Formatter<'_>) -> Result {
    let names = Setting::ALL.map(|setting| format!("`{}`", setting.name()));
    write!(formatter, "There is no such setting. There are {}.", names.join(", "))
}

pub(super) fn what_it_takes(setting: Setting) -> &'static str {
    match setting {
        Setting::AdminRoles | Setting::AllowedRoles | Setting::DeniedRoles => {
            "Name up to 25 roles: `@Moderators @Helpers`."
        }
        Setting::AllowedChannels | Setting::DeniedChannels => "Name up to 25 channels: `#tavern #market`.",
        Setting::Answers => {
            "I can answer `mentions` of me and replies to me, `mentions_only` without the replies, all in `threads` and \
             mentions elsewhere, `everything` that is written, or `nothing`."
        }
        Setting::BlockedPhrases => {
            "Write up to 50 phrases with commas between them, each with a letter or sign to see and up to 100 characters."
        }
        Setting::DeniedMembers => "Name up to 25 members: `@Alice @Bob`.",
        Setting::Links => {
            "Links can be shown `plain`, with their address in sight, or be `allowed` as they are written."
        }
        Setting::Buttons | Setting::Listening | Setting::Memory | Setting::Streaming => {
            "That can be `on` or `off`."
        }
        Setting::Persona => "There is no such persona. `/persona list` tells whom I can play.",
        Setting::PersonaCreators => "Say `admins`, `everyone`, or name up to 25 roles: `@Writers @Helpers`.",
        Setting::Proxies => {
            "Name up to 25 programs: `PluralKit`, `Tupperbox`, or the application ids of others, as digits."
        }
        Setting::Sampling => "Replies can be `precise`, `balanced`, `creative` or `wild`.",
        Setting::RetentionDays => "Give a number of days from 1 to 3650.",
        Setting::ChannelPerHour | Setting::ServerPerHour => {
            "Give a number of messages from 1 to 1,000,000, as digits."
        }
        Setting::MessageLength => "Give a number of characters from 1 to 1,000,000, as digits.",
        Setting::Style => {
            "Personas can speak under their `own` name and with their own picture, or as the `bot` with their name above."
        }
    }
}

/// Most characters that are shown of what something was done to.
const ABOUT_MAX: usize = 200;

pub(super) fn audit(formatter: &mut Formatter<'_>, decisions: &[Decision], requests: &[Past]) -> Result {
    let who =
        |member: &Option<MemberId>| member.map_or("Somebody".to_owned(), |member| format!("<@{member}>"));
    let decided = decisions.iter().map(|decision| {
        let Decision { at, member, what, about } = decision;
        // What is long may not keep the others out.
        let plain = || format!("{what} {}", about.chars().take(ABOUT_MAX).collect::<String>());
        let done = Deed::of(decision).map_or_else(plain, |deed| done(&deed));
        format!("<t:{at}:f> {} {done}", who(member))
    });
    let asked = requests.iter().map(|past| {
        let Past { channel, member, at, concluded: Concluded { outcome, took, tokens } } = past;
        let became = match outcome {
            Outcome::Waiting => "waits".to_owned(),
            Outcome::Answered => {
                format!("answered in {}.{} s, {tokens} tokens", took / 1_000, took % 1_000 / 100)
            }
            Outcome::Told => "told why not".to_owned(),
            Outcome::Refused => "refused".to_owned(),
            Outcome::Dropped => "dropped".to_owned(),
        };
        format!("<t:{at}:f> {} in <#{channel}>: {became}", who(member))
    });
    let nothing = |lines: &[String]| lines.is_empty().then(|| "Nothing.".to_owned());
    let (decided, asked): (Vec<String>, Vec<String>) = (decided.collect(), asked.collect());
    let (none_decided, none_asked) = (nothing(&decided), nothing(&asked));
    let text = as_many_as_fit("**Decided lately**".to_owned(), decided.into_iter().chain(none_decided));
    let asked = asked.into_iter().chain(none_asked);
    formatter.write_str(&as_many_as_fit(format!("{text}\n**Asked lately**"), asked))
}

/// What was decided, in words.
fn done(deed: &Deed) -> String {
    let place = |channel: &Option<u64>| channel.map_or(String::new(), |channel| format!(" in <#{channel}>"));
    match deed {
        Deed::Set { setting, value, channel } => {
            let value = Setting::parse(setting).map_or_else(String::new, |setting| setting.show(value));
            format!("set {setting} to {value}{}", place(channel))
        }
        Deed::Reset { setting, channel } => format!("reset {setting}{}", place(channel)),
        Deed::Made(id) => format!("made the persona `{id}`"),
        Deed::Changed(id) => format!("changed the persona `{id}`"),
        Deed::RolledBack(id, version) => format!("went to version {version} of the persona `{id}`"),
        Deed::Rated(id, true) => format!("said that the persona `{id}` is for adults"),
        Deed::Rated(id, false) => format!("said that the persona `{id}` is not for adults"),
        Deed::Shared(id, true) => format!("shared the persona `{id}`"),
        Deed::Shared(id, false) => format!("made the persona `{id}` private"),
        Deed::Pictured(id, true) => format!("gave the persona `{id}` a picture"),
        Deed::Pictured(id, false) => format!("took the picture of the persona `{id}` away"),
        Deed::Deleted(id) => format!("deleted the persona `{id}`"),
    }
}

pub(super) fn personas(
    formatter: &mut Formatter<'_>,
    all: &[(PersonaId, String)],
    here: &PersonaId,
    missing: Option<&PersonaId>,
) -> Result {
    let lines = all.iter().map(|(id, name)| {
        let mark = if id == here { " (answers here)" } else { "" };
        format!("{} `{id}`{mark}", shown(name))
    });
    let missing = missing.map(|id| {
        format!("`{id}` was chosen for here and cannot play here: it is gone, private, or for age-restricted channels.")
    });
    let missing = missing.map_or(String::new(), |line| format!("{line}\n"));
    formatter.write_str(&as_many_as_fit(format!("{missing}I can play:"), lines))
}

pub(super) fn persona(
    formatter: &mut Formatter<'_>,
    name: &str,
    id: &PersonaId,
    creator: &str,
    notes: &str,
) -> Result {
    write!(formatter, "**{}** `{id}`", shown(name))?;
    if !creator.trim().is_empty() {
        write!(formatter, " by {}", shown(creator.trim()))?;
    }
    let notes: String = unmask_links(notes.trim()).chars().take(1_000).collect();
    if notes.is_empty() { Ok(()) } else { write!(formatter, "\n{notes}") }
}

pub(super) fn why(formatter: &mut Formatter<'_>, name: &str, origin: &Origin, in_full: bool) -> Result {
    let Origin { model, seed, sampling, prompt_tokens, cached_tokens, new_tokens, took, explanation, .. } =
        origin;
    let model: String = model.chars().take(60).collect();
    let seconds = |ms: u64| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100);
    let dropped = match explanation.turns_dropped {
        0 => String::new(),
        dropped => format!("; {} left out", counted(dropped, "earlier turn", "earlier turns")),
    };
    let read = seconds(took.prefill);
    let mut lines = vec![
        format!("model `{model}`, seed `{seed}`"),
        format!("{prompt_tokens} tokens of prompt, {cached_tokens} of them read before, in {read}"),
        format!("{} tokens of it what was said{dropped}", explanation.history_tokens),
        format!(
            "{new_tokens} tokens of reply in {}{}",
            seconds(took.decode),
            speed(*new_tokens, took.decode)
        ),
        format!("{} of waiting before", seconds(took.queued)),
    ];
    let wished = serde_json::to_value(sampling).unwrap_or_default();
    let wished = wished.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let wished: Vec<String> = wished.map(|(name, value)| format!("{name} {value}")).collect();
    if !wished.is_empty() {
        lines.push(format!("sampling: {}", wished.join(", ")));
    }
    if in_full {
        // Its names come from cards, and must not end the block.
        lines.push(format!("```\n{}```", explanation.to_string().replace('`', "'")));
    } else if !explanation.lore.is_empty() {
        lines.push(format!("{} of the lorebook", counted(explanation.lore.len(), "entry", "entries")));
    }
    formatter.write_str(&as_many_as_fit(format!("**{name}** said that with"), lines.into_iter()))
}

/// Tokens a second, where there is something to divide by.
fn speed(tokens: usize, ms: u64) -> String {
    let tenths = u64::try_from(tokens).unwrap_or(u64::MAX).saturating_mul(10_000).checked_div(ms);
    tenths.map_or(String::new(), |tenths| format!(", {}.{} a second", tenths / 10, tenths % 10))
}

/// Adds lines as long as they fit into a message, and says how many do not.
pub(super) fn as_many_as_fit(text: String, lines: impl Iterator<Item = String>) -> String {
    as_many_as_fit_into(MESSAGE_MAX - 50, text, lines)
}

/// The same where there is room for so many characters, and for saying how many do not fit.
pub(super) fn as_many_as_fit_into(
    room: usize,
    mut text: String,
    lines: impl Iterator<Item = String>,
) -> String {
    let mut left_out = 0;
    let mut length = text.chars().count();
    for line in lines {
        let longer = length + line.chars().count() + 1;
        if longer > room || left_out > 0 {
            left_out += 1;
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text += &line;
        length = longer;
    }
    if left_out > 0 {
        text += "\n… and ";
        text += &left_out.to_string();
        text += " more";
    }
    text
}

pub(super) fn standing(formatter: &mut Formatter<'_>, standings: &[(ChannelId, Standing)]) -> Result {
    if standings.is_empty() {
        return formatter.write_str("Nothing of yours waits or is being answered.");
    }
    let lines = standings.iter().map(|(channel, standing)| match *standing {
        Standing::Answering | Standing::InLine { ahead: 0 } => format!("<#{channel}>: I am answering."),
        Standing::InLine { ahead } => format!("<#{channel}>: {} before you here.", people(ahead)),
        Standing::Queued { ahead, wait } => {
            format!("<#{channel}>: {} before you{}.", people(ahead), estimate(wait))
        }
    });
    formatter.write_str(&as_many_as_fit(String::new(), lines))
}

/// So many of something.
pub(super) fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let word = if count == N::from(1) { one } else { many };
    format!("{count} {word}")
}
