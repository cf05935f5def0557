//! What a message is to the bot: whether it is addressed, and how it reads.

use super::settings::Answers;
use super::{ChannelId, MemberId, MessageId, Place, RoleId, ServerId, sanitize};

/// A message as it came in, in our own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Its id.
    pub message: MessageId,
    /// Where it was posted.
    pub channel: ChannelId,
    /// The channel that the thread belongs to, when it was posted in a thread.
    pub parent: Option<ChannelId>,
    /// The server, when it is not a direct message.
    pub server: Option<ServerId>,
    /// Who posted it.
    pub author: Author,
    /// What it says: readable, without the bot's own mention.
    pub text: String,
    /// Whether it mentions the bot itself (not merely everyone, or a role).
    pub mentions_bot: bool,
    /// Whether it does so in its own words, and not merely because it replies with a ping.
    pub names_bot: bool,
    /// The message that it replies to.
    pub reply_to: Option<RepliedTo>,
    /// When it was posted, in seconds since 1970.
    pub posted: u64,
    /// Whether its author has changed it since.
    pub edited: bool,
}

impl Incoming {
    /// What is wanted of the bot without a word, as if it stood in this message.
    #[must_use]
    pub fn wordless(message: MessageId, place: Place, author: Author, posted: u64) -> Self {
        Self {
            message,
            channel: place.channel,
            parent: place.parent,
            server: place.server,
            author,
            text: String::new(),
            mentions_bot: true,
            names_bot: true,
            reply_to: None,
            posted,
            edited: false,
        }
    }
}

impl From<&Incoming> for Place {
    fn from(incoming: &Incoming) -> Self {
        Self { channel: incoming.channel, parent: incoming.parent, server: incoming.server }
    }
}

/// Who posted a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Its id.
    pub id: MemberId,
    /// The name shown where the message was posted.
    pub name: String,
    /// Whether it is a program: a bot, a webhook, the system.
    pub automated: bool,
    /// The roles that they have in the server, as far as they are known.
    pub roles: Vec<RoleId>,
}

/// The message that another one replies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepliedTo {
    /// Its id.
    pub message: MessageId,
    /// Who posted it; unknown when the message could not be seen.
    pub author: Option<Author>,
    /// Whether the bot itself posted it.
    pub by_bot: bool,
    /// What it says, readable; empty when it could not be seen.
    pub text: String,
}

/// Whether the bot should answer: a mention, a reply to one of its messages (`is_ours` knows them by id), or a
/// direct message; where the server wants it everything that can be read, mentions alone, or nothing. Programs are never
/// answered, so that nothing loops.
#[must_use]
pub fn is_addressed(incoming: &Incoming, answers: Answers, is_ours: impl Fn(MessageId) -> bool) -> bool {
    if !may_be_addressed(incoming, answers) {
        return false;
    }
    let direct = incoming.server.is_none();
    if direct || matches!(answers, Answers::Everything | Answers::MentionsOnly) {
        return true;
    }
    incoming.mentions_bot || incoming.reply_to.as_ref().is_some_and(|reply| is_ours(reply.message))
}

/// Whether a message may be addressed to the bot, as far as it says itself.
#[must_use]
pub fn may_be_addressed(incoming: &Incoming, answers: Answers) -> bool {
    let speaks_to_somebody = incoming.mentions_bot || incoming.reply_to.is_some();
    let may = match answers {
        Answers::Nothing => false,
        _ if incoming.server.is_none() => true,
        Answers::MentionsOnly => incoming.names_bot,
        Answers::Mentions => speaks_to_somebody,
        // What cannot be read is not worth an answer.
        Answers::Everything => speaks_to_somebody || !sanitize::is_blank(&incoming.text),
    };
    may && !incoming.author.automated
}

/// What the marks in a message's text stand for.
pub trait Names {
    /// The name of a mentioned member, or `None` when it is not known.
    fn member(&self, id: MemberId) -> Option<String>;
    /// The name of a channel.
    fn channel(&self, id: ChannelId) -> Option<String>;
    /// The name of a role.
    fn role(&self, id: u64) -> Option<String>;
}

/// Whether a text mentions somebody in so many words.
#[must_use]
pub fn names(text: &str, member: MemberId) -> bool {
    text.contains(&format!("<@{member}>")) || text.contains(&format!("<@!{member}>"))
}

/// The text with names instead of marks: `<@1>` becomes `@Name`, `<#1>` `#channel`, `<@&1>` `@role`, `<:name:1>`
/// `:name:`, `</command:1>` `/command`; the bot's own mention goes, and a comma or colon after it at the very
/// beginning goes with it. The marks are those of Discord's message formatting reference.
#[must_use]
pub fn readable(text: &str, me: MemberId, names: &impl Names) -> String {
    let mut readable = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        readable.push_str(&rest[..start]);
        rest = &rest[start..];
        let mark = rest.find('>').and_then(|end| Some((reading(&rest[1..end], me, names)?, end)));
        match mark {
            Some((Reading::Name(name), end)) => {
                readable.push_str(&name);
                rest = &rest[end + 1..];
            }
            Some((Reading::OwnMention, end)) => {
                rest = &rest[end + 1..];
                if readable.trim().is_empty() {
                    rest = rest.trim_start().trim_start_matches([',', ':']).trim_start();
                } else {
                    let end = readable.trim_end_matches(' ').len();
                    rest = rest.trim_start_matches(' ');
                    if rest.starts_with(['.', '!', '?', ';', ':', ',', '\n']) {
                        readable.truncate(end);
                    }
                    if readable.ends_with(',') {
                        rest = rest.strip_prefix(',').unwrap_or(rest);
                    }
                }
            }
            None => {
                readable.push('<');
                rest = &rest[1..];
            }
        }
    }
    readable.push_str(rest);
    readable.trim().to_owned()
}

enum Reading {
    Name(String),
    OwnMention,
}

/// What stands for the inside of `<…>`, or `None` when it is no mark.
fn reading(inside: &str, me: MemberId, names: &impl Names) -> Option<Reading> {
    let id = |digits: &str| digits.parse::<u64>().ok();
    let signed = |sign: &str, name: Option<String>, unknown: &str| {
        Reading::Name(format!("{sign}{}", name.unwrap_or_else(|| unknown.to_owned())))
    };
    if let Some(role) = inside.strip_prefix("@&") {
        return Some(signed("@", names.role(id(role)?), "role"));
    }
    if let Some(member) = inside.strip_prefix("@!").or_else(|| inside.strip_prefix('@')) {
        let member = MemberId(id(member)?);
        let name = || signed("@", names.member(member), "someone");
        return Some(if member == me { Reading::OwnMention } else { name() });
    }
    if let Some(channel) = inside.strip_prefix('#') {
        return Some(signed("#", names.channel(ChannelId(id(channel)?)), "channel"));
    }
    if let Some(command) = inside.strip_prefix('/') {
        let (name, digits) = command.rsplit_once(':')?;
        id(digits)?;
        return Some(Reading::Name(format!("/{name}")));
    }
    let emoji = inside.strip_prefix("a:").or_else(|| inside.strip_prefix(':'))?;
    let (name, digits) = emoji.split_once(':')?;
    id(digits)?;
    Some(Reading::Name(format!(":{name}:")))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known;

    impl Names for Known {
        fn member(&self, id: MemberId) -> Option<String> {
            (id.0 == 7).then(|| "Ann".to_owned())
        }
        fn channel(&self, id: ChannelId) -> Option<String> {
            (id.0 == 8).then(|| "general".to_owned())
        }
        fn role(&self, id: u64) -> Option<String> {
            (id == 9).then(|| "mods".to_owned())
        }
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(readable(text, MemberId(1), &Known), expected, "{text:?}");
    }

    #[test]
    fn the_own_mention_goes_wherever_it_stands() {
        check("<@1> hello", "hello");
        check("<@!1>, hello", "hello");
        check("hello <@1>", "hello");
        check("well <@1> hello", "well hello");
        check("well, <@!1>, hello", "well, hello");
        check("hello <@1>!", "hello!");
        check("<@1><@1>", "");
    }

    #[test]
    fn other_marks_become_names() {
        check("<@7> and <@!7> and <@2>", "@Ann and @Ann and @someone");
        check("<#8> <#2> <@&9> <@&2>", "#general #channel @mods @role");
        check("<:smile:3> <a:dance:4> </roleplay start:5>", ":smile: :dance: /roleplay start");
    }

    #[test]
    fn what_is_no_mark_stays() {
        check("1 < 2 > 0 <@x> <:a> <3 </b> <@", "1 < 2 > 0 <@x> <:a> <3 </b> <@");
        check("<<@7>>", "<@Ann>");
    }

    fn incoming() -> Incoming {
        Incoming {
            message: MessageId(1),
            channel: ChannelId(1),
            parent: None,
            server: Some(ServerId(1)),
            author: Author { id: MemberId(2), name: "Bob".to_owned(), automated: false, roles: Vec::new() },
            text: "hi".to_owned(),
            mentions_bot: false,
            names_bot: false,
            reply_to: None,
            posted: 0,
            edited: false,
        }
    }

    fn reply_to(message: u64) -> RepliedTo {
        RepliedTo { message: MessageId(message), author: None, by_bot: true, text: String::new() }
    }

    #[test]
    fn mentions_replies_and_direct_messages_are_addressed() {
        let ours = |message: MessageId| message.0 == 50;
        assert!(!is_addressed(&incoming(), Answers::Mentions, ours));
        assert!(is_addressed(&Incoming { mentions_bot: true, ..incoming() }, Answers::Mentions, ours));
        assert!(is_addressed(&Incoming { server: None, ..incoming() }, Answers::Mentions, ours));
        assert!(is_addressed(
            &Incoming { reply_to: Some(reply_to(50)), ..incoming() },
            Answers::Mentions,
            ours
        ));
        assert!(!is_addressed(
            &Incoming { reply_to: Some(reply_to(51)), ..incoming() },
            Answers::Mentions,
            ours
        ));
    }

    #[test]
    fn where_mentions_alone_are_answered_a_reply_with_a_ping_is_none() {
        let ours = |_| true;
        let pinged = Incoming { mentions_bot: true, reply_to: Some(reply_to(50)), ..incoming() };
        assert!(!is_addressed(&pinged, Answers::MentionsOnly, ours));
        assert!(is_addressed(&Incoming { names_bot: true, ..pinged.clone() }, Answers::MentionsOnly, ours));
        assert!(is_addressed(&Incoming { server: None, ..pinged }, Answers::MentionsOnly, ours));
        assert!(names("well, <@!7>", MemberId(7)) && names("<@7>", MemberId(7)));
        assert!(!names("<@77> <@&7> @7", MemberId(7)));
    }

    #[test]
    fn programs_are_never_answered() {
        let author = Author { automated: true, ..incoming().author };
        let loud =
            Incoming { author, mentions_bot: true, server: None, reply_to: Some(reply_to(50)), ..incoming() };
        assert!(!is_addressed(&loud, Answers::Mentions, |_| true));
    }
}
