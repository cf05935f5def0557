//! What commands answer about the personas of a server, and what their forms and buttons say.

use std::fmt::{Display, Formatter, Result};

use super::MESSAGE_MAX;
use super::lists::{as_many_as_fit, as_many_as_fit_into, counted};
use crate::chat::markdown::escaped;
use crate::chat::settings::PersonaVersion;
use crate::persona::form::Field;
use crate::persona::lint::{Finding, Severity};
use crate::persona::{PersonaId, visible};

/// Most characters of what is offered to be chosen.
const CHOICE_MAX: usize = 100;

/// Most characters of a line of a comparison that are shown.
pub const LINE_SHOWN: usize = 160;

/// What commands answer about the personas of a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Editing {
    /// A persona is saved.
    Saved {
        /// Its name.
        name: String,
        /// Under which it is found.
        id: PersonaId,
        /// The number of its version.
        version: u64,
        /// Whether it is its creator's alone.
        is_private: bool,
        /// Whether it plays in age-restricted channels only.
        is_restricted: bool,
        /// What was too long for the form, and is as it was.
        too_long: Vec<Field>,
    },
    /// What the linter says of a persona that may be saved, or may not.
    Report {
        /// Its name.
        name: String,
        /// Under which it would be found.
        id: PersonaId,
        /// Whether it would be a new one, and not a new version.
        is_new: bool,
        /// Whether the picture that there is would be another one.
        repictured: bool,
        /// Tokens that stand in every prompt.
        tokens: usize,
        /// What of the file is not taken in as it is.
        remarks: Vec<String>,
        /// What should be looked at.
        findings: Vec<Finding>,
    },
    /// What keeps a persona from being saved.
    Faults(Vec<Finding>),
    /// It cannot be saved, for this reason.
    Unsound(String),
    /// The file is no persona, for this reason.
    NoCard(String),
    /// The file is no chat, for this reason.
    NoChat(String),
    /// The file is a lorebook, and no persona.
    OnlyLore,
    /// The file is no picture that can be kept, for this reason.
    NoPicture(String),
    /// A file of the persona.
    Exported(String),
    /// It cannot be put into a file of that kind.
    NotExported,
    /// The versions of a persona.
    Versions {
        /// Its name.
        name: String,
        /// All that are kept, newest first.
        all: Vec<PersonaVersion>,
        /// The number of the one that plays.
        plays: u64,
        /// The number of one of them, and its lines that are new, or were there before.
        changed: Option<(u64, Vec<String>)>,
    },
    /// Another version plays.
    RolledBack {
        /// Its name.
        name: String,
        /// The number of the version.
        version: u64,
        /// Whether it plays in age-restricted channels only.
        is_restricted: bool,
    },
    /// It was said whether a persona is for adults.
    Rated {
        /// Its name.
        name: String,
        /// Under which it is found.
        id: PersonaId,
        /// Whether it is.
        adult: bool,
        /// Whether that is new.
        is_new: bool,
    },
    /// A persona is everybody's, or its creator's alone.
    Shared {
        /// Its name.
        name: String,
        /// Under which it is found.
        id: PersonaId,
        /// Whether it is everybody's.
        shared: bool,
        /// Whether that is new.
        is_new: bool,
    },
    /// A persona has another picture, or none.
    Pictured {
        /// Its name.
        name: String,
        /// Whether it has one.
        has_one: bool,
    },
    /// Whether a persona is really to be deleted.
    MayDelete {
        /// Its name.
        name: String,
        /// Under which it is found.
        id: PersonaId,
    },
    /// A persona was deleted.
    Deleted(PersonaId),
    /// Somebody was chosen to play here; `None` when that was taken back.
    Chosen {
        /// The name of whoever plays here now.
        plays: String,
        /// Whether that was chosen, and not taken back.
        chosen: bool,
        /// Whether it was chosen in direct messages.
        alone: bool,
    },
    /// A persona plays in age-restricted channels only.
    AgeRestricted,
    /// A persona is its creator's alone.
    Private,
    /// There is no such persona that is theirs.
    NoneOfYours,
    /// Several personas have that name, and are found under these ids.
    Namesakes(Vec<PersonaId>),
    /// An admin has said that the persona is for adults.
    RatedByAdmin,
    /// Its text came from a file, and an admin has to say that it is not for adults.
    FromFile,
    /// There is no such version.
    NoVersion,
    /// The persona was changed meanwhile.
    Changed,
    /// They may not make personas.
    NotCreator,
    /// They do not moderate the channel.
    NotModerator,
    /// The server has so many personas, and may have no more.
    TooMany(usize),
    /// They have made so many personas, and may make no more.
    TooManyOfYours(usize),
    /// The persona would take so many bytes, of so many.
    TooLong(usize, usize),
    /// All personas together would take so many bytes, of so many.
    TooMuch(usize, usize),
    /// The file does not come from Discord.
    NotFromDiscord,
    /// The file is larger than so many bytes.
    TooLargeAFile(usize),
    /// The file could not be fetched.
    NotFetched,
    /// There are other files to be looked at.
    Busy,
}

impl Display for Editing {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self.words() {
            Some(words) => formatter.write_str(words),
            None => self.composed(formatter),
        }
    }
}

impl Editing {
    /// The sentences that are always the same.
    fn words(&self) -> Option<&'static str> {
        Some(match self {
            Self::OnlyLore => {
                "That file is a lorebook, and no persona. Attach a character card that has it, or a persona file."
            }
            Self::NotExported => "That persona does not fit into a file of that form here. Try another form.",
            Self::AgeRestricted => {
                "That persona plays in age-restricted channels only. An admin can say with `/personas adult` that it is not for \
                 adults, and so can whoever made it in a form."
            }
            Self::Private => {
                "That persona is yours alone. An admin can share it with `/personas share`; then it may play here for all."
            }
            Self::NoneOfYours => {
                "There is no persona of this server by that name that is yours. Those that come with me cannot be changed here."
            }
            Self::NoVersion => "There is no such version. `/personas versions` tells which there are.",
            Self::Changed => {
                "Somebody has changed that persona meanwhile, so nothing is saved. Use the command again."
            }
            Self::RatedByAdmin => {
                "An admin has said that that persona is for adults, so it takes an admin to say that it is not."
            }
            Self::FromFile => {
                "That persona came from a file, so it takes an admin to say that it is not for adults. Ask one."
            }
            Self::NotCreator => {
                "You may not make or change personas here. An admin can let you, with the setting `persona_creators`."
            }
            Self::NotModerator => {
                "That is for those who may manage messages in this channel, and for admins."
            }
            Self::NotFromDiscord => "I take files from Discord alone. Attach the file to the command.",
            Self::NotFetched => "I could not fetch that file from Discord. Attach it once more, please.",
            Self::Busy => "I am busy with other files. Please try again in a moment.",
            _ => return None,
        })
    }

    fn composed(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::Saved { name, id, version, is_private, is_restricted, too_long } => {
                write!(formatter, "**{}** `{id}` is saved as version {version}.", shown(name))?;
                formatter.write_str(if *is_private { PRIVATE } else { "" })?;
                formatter.write_str(if *is_restricted { RESTRICTED } else { "" })?;
                if too_long.is_empty() {
                    return Ok(());
                }
                write!(formatter, " {} and stays as it is. {EXPORT_IT}", too_long_for_a_form(too_long))
            }
            Self::Report { name, id, is_new, repictured, tokens, remarks, findings } => {
                let what = if *is_new { "a new persona" } else { "a new version of" };
                let picture = if *repictured { " Its picture would be replaced too." } else { "" };
                let tokens = counted(*tokens as u64, "token", "tokens");
                let name = shown(name);
                let intro =
                    format!("**{name}** would be {what} `{id}`, and take {tokens} of every prompt.{picture}");
                report(formatter, intro, remarks, findings)
            }
            Self::Faults(findings) => {
                let intro = "It is not saved. Mend this first:".to_owned();
                formatter.write_str(&as_many_as_fit(intro, findings.iter().map(finding)))
            }
            Self::Unsound(why) => write!(formatter, "It is not saved: {}.", line(why)),
            Self::NoChat(why) => write!(
                formatter,
                "I cannot make a scene of that file: {}. Attach a chat of SillyTavern (JSON Lines), or an archive of `/roleplay export`.",
                line(why)
            ),
            Self::NoCard(why) => write!(
                formatter,
                "I cannot make a persona of that file: {}. Attach a character card (JSON, PNG or CHARX) or a persona file \
                 (TOML).",
                line(why)
            ),
            Self::NoPicture(why) => {
                write!(
                    formatter,
                    "I cannot use that picture: {}. Attach a PNG, JPEG or WebP file.",
                    line(why)
                )
            }
            Self::Versions { name, all, plays, changed } => {
                versions(formatter, name, all, *plays, changed.as_ref())
            }
            Self::TooMany(most) => write!(
                formatter,
                "This server has {} already, and may have no more. Delete one first.",
                counted(*most as u64, "persona", "personas")
            ),
            Self::TooManyOfYours(most) => write!(
                formatter,
                "You have made {} here already, and may make no more. Delete one first.",
                counted(*most as u64, "persona", "personas")
            ),
            Self::TooLong(have, most) => write!(
                formatter,
                "It is not saved: it would take {} kB, and may take {} kB. Make it shorter.",
                have.div_ceil(1 << 10),
                most >> 10
            ),
            Self::Namesakes(ids) => {
                let intro = "Several personas have that name. Say which one you mean by its id:".to_owned();
                formatter.write_str(&as_many_as_fit(intro, ids.iter().map(|id| format!("- `{id}`"))))
            }
            Self::TooMuch(have, most) => write!(
                formatter,
                "All versions of this server's personas would take {} kB, and may take {} kB. Make this one shorter, or \
                 delete another one.",
                have.div_ceil(1 << 10),
                most >> 10
            ),
            Self::TooLargeAFile(most) => {
                write!(formatter, "That file is too large. I take files of up to {} MB.", most >> 20)
            }
            _ => self.done(formatter),
        }
    }

    /// What has become of a persona.
    fn done(&self, formatter: &mut Formatter<'_>) -> Result {
        let (name, what) = match self {
            Self::Exported(name) => return write!(formatter, "This is **{}**.", shown(name)),
            Self::MayDelete { name, id } => {
                let name = shown(name);
                return write!(
                    formatter,
                    "I would delete **{name}** `{id}` with all of its versions, for good. Shall I?"
                );
            }
            Self::Deleted(id) => return write!(formatter, "`{id}` is deleted."),
            Self::Chosen { plays, chosen, alone } => {
                let place = if *alone { "for you" } else { "here" };
                let before = if *chosen { "" } else { "Nobody is chosen here any more. " };
                return write!(
                    formatter,
                    "{before}I play **{}** {place} from the next reply on.",
                    shown(plays)
                );
            }
            Self::RolledBack { name, version, is_restricted } => {
                let restricted = if *is_restricted { RESTRICTED } else { "" };
                let name = shown(name);
                return write!(
                    formatter,
                    "**{name}** plays in version {version} from the next reply on.{restricted}"
                );
            }
            Self::Rated { name, id, adult, is_new } => {
                let what = if *adult {
                    "is for adults, and plays in age-restricted channels only"
                } else {
                    "is not for adults, and plays everywhere"
                };
                return marked(formatter, name, id, what, *is_new);
            }
            Self::Shared { name, id, shared, is_new } => {
                let what =
                    if *shared { "is everybody's in this server" } else { "is for whoever made it alone" };
                return marked(formatter, name, id, what, *is_new);
            }
            Self::Pictured { name, has_one: true } => (name, "has that picture now".to_owned()),
            Self::Pictured { name, has_one: false } => (name, "has no picture any more".to_owned()),
            _ => return Ok(()),
        };
        write!(formatter, "**{}** {what}.", shown(name))
    }
}

/// What follows when a persona that was saved is its creator's alone.
const PRIVATE: &str = " It is yours alone, for `/ask` and for our direct messages, until an admin shares it with \
                       `/personas share`.";

/// What follows when a persona may be for adults.
const RESTRICTED: &str = " It plays in age-restricted channels only, until it is said with `/personas adult` that it is not for \
                          adults; of one that came from a file, an admin has to say it.";

/// What holds of a persona now, or has held before.
fn marked(formatter: &mut Formatter<'_>, name: &str, id: &PersonaId, what: &str, is_new: bool) -> Result {
    let already = if is_new { "" } else { " It was so already." };
    write!(formatter, "**{}** `{id}` {what}.{already}", shown(name))
}

/// A persona where it is offered to be chosen: those of one name differ. Discord takes up to 100 characters.
#[must_use]
pub fn choice(name: &str, id: &PersonaId, is_private: bool) -> String {
    let which = format!(" ({id}{})", if is_private { ", private" } else { "" });
    let room = CHOICE_MAX.saturating_sub(which.chars().count());
    let name: String = name.chars().take(room).collect();
    name + &which
}

/// What to do with texts that are too long for a form.
const EXPORT_IT: &str =
    "Get it with `/personas export`, change the file, and give it back with `/personas import`.";

/// Which of a persona's texts are too long.
fn too_long_for_a_form(fields: &[Field]) -> String {
    let names: Vec<String> = fields.iter().map(|field| format!("`{}`", field.key())).collect();
    format!("What is longer than a form takes was not in it ({}),", names.join(", "))
}

/// That a persona leaves no room for a conversation.
#[must_use]
pub fn no_room(have: usize, room: usize) -> Finding {
    let message =
        format!("takes {have} tokens with what goes with it, and a prompt may have {room}: shorten it");
    Finding { severity: Severity::Error, field: "description".to_owned(), message }
}

/// What was wrong with a draft, and that it is in the file beside this.
#[must_use]
pub fn with_draft(text: &impl Display) -> String {
    format!("{text}\n-# What you wrote is in the file.")
}

fn report(formatter: &mut Formatter<'_>, intro: String, remarks: &[String], findings: &[Finding]) -> Result {
    let remarks = remarks.iter().map(|remark| format!("- {}", line(remark)));
    let is_sound = findings.iter().all(|finding| finding.severity != Severity::Error);
    let question = if is_sound {
        "Shall I save it?"
    } else {
        "So it cannot be saved. Mend what is an error, and import it again."
    };
    let list = as_many_as_fit(intro, remarks.chain(findings.iter().map(finding)));
    write!(formatter, "{list}\n{question}")
}

fn finding(finding: &Finding) -> String {
    let mark = if finding.severity == Severity::Error { "error: " } else { "" };
    format!("- {mark}{} {}", line(&finding.field), line(&finding.message))
}

fn versions(
    formatter: &mut Formatter<'_>,
    name: &str,
    all: &[PersonaVersion],
    plays: u64,
    changed: Option<&(u64, Vec<String>)>,
) -> Result {
    let lines = all.iter().map(|version| {
        let PersonaVersion { version, author, made, .. } = version;
        let who = author.map_or("somebody".to_owned(), |author| format!("<@{author}>"));
        let mark = if *version == plays { " (plays)" } else { "" };
        format!("{version}{mark}: <t:{made}:f> {who}")
    });
    let intro = format!("**{}** has these versions:", shown(name));
    let Some((version, changed)) = changed else {
        return formatter.write_str(&as_many_as_fit(intro, lines));
    };
    // What has changed is to be seen beside them.
    let text = as_many_as_fit_into(MESSAGE_MAX / 3, intro, lines);
    let lines = changed;
    if lines.is_empty() {
        return write!(formatter, "{text}\nVersion {version} is the same as the one before.");
    }
    let intro = format!("{text}\nWhat version {version} has changed:\n```diff");
    let lines = lines.iter().map(|line| {
        // Nothing of it may end the block.
        let line: String = visible(line).replace('`', "'").chars().take(LINE_SHOWN).collect();
        line.replace('\n', " ")
    });
    write!(formatter, "{}\n```", as_many_as_fit(intro, lines))
}

/// A text of a card as one line that means nothing to Discord.
fn line(text: &str) -> String {
    let text: String = visible(text).chars().take(300).collect();
    escaped(&text.replace('\n', " "))
}

/// A name as one line that means nothing to Discord.
pub(super) fn shown(name: &str) -> String {
    let name: String = visible(name).chars().take(80).collect();
    escaped(&name.replace('\n', " "))
}

/// What stands above a form: for a new persona, or for one of which all texts are in it, or not.
#[must_use]
pub fn form_title(is_new: bool, is_whole: bool) -> &'static str {
    match (is_new, is_whole) {
        (true, _) => "Make a persona",
        (false, true) => "Change a persona",
        (false, false) => "Change a persona; long texts go by file",
    }
}

/// What stands above a field of a form.
#[must_use]
pub fn field_label(field: Field) -> &'static str {
    match field {
        Field::Name => "Its name",
        Field::Description => "Who it is",
        Field::Personality => "How it behaves",
        Field::Scenario => "Where the conversation takes place",
        Field::Greeting => "Its first words",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::MemberId;

    fn findings(count: usize, severity: Severity) -> Vec<Finding> {
        let message = "has `[a](b)`\n@everyone ".repeat(10);
        vec![Finding { severity, field: "description".to_owned(), message }; count]
    }

    #[test]
    fn whatever_a_card_says_it_fits_into_a_message_and_means_nothing() {
        let long = "*x* `y`\n```".repeat(200);
        let version = |version| PersonaVersion {
            version,
            author: Some(MemberId(u64::MAX)),
            made: u64::MAX,
            definition: String::new(),
        };
        let texts = [
            Editing::Faults(findings(100, Severity::Error)),
            Editing::Report {
                name: long.clone(),
                id: PersonaId("x".to_owned()),
                is_new: true,
                repictured: true,
                tokens: 7,
                remarks: vec![long.clone(); 50],
                findings: findings(100, Severity::Warning),
            },
            Editing::NoCard(long.clone()),
            Editing::Namesakes(vec![PersonaId("x".repeat(40)); 50]),
            Editing::Versions {
                name: long.clone(),
                all: (1..=20).map(version).collect(),
                plays: 3,
                changed: Some((4, vec![format!("+{long}"); 100])),
            },
        ];
        for text in texts {
            let text = text.to_string();
            assert!(text.chars().count() <= MESSAGE_MAX, "{} characters", text.chars().count());
            assert!(text.matches("```").count() % 2 == 0, "{text}");
        }
    }

    #[test]
    fn what_has_an_error_is_not_offered_to_be_saved() {
        let report = |severity| {
            let (name, findings) = ("Ada".to_owned(), findings(1, severity));
            let id = PersonaId("ada".to_owned());
            let remarks = Vec::new();
            Editing::Report { name, id, is_new: true, repictured: false, tokens: 1, remarks, findings }
                .to_string()
        };
        assert!(report(Severity::Warning).ends_with("Shall I save it?"));
        assert!(report(Severity::Error).contains("cannot be saved"));
    }

    #[test]
    fn what_a_version_has_changed_is_seen_however_many_there_are() {
        let version = |version| PersonaVersion {
            version,
            author: Some(MemberId(u64::MAX)),
            made: u64::MAX,
            definition: String::new(),
        };
        let changed = Some((20, vec![format!("+{}", "x".repeat(LINE_SHOWN)); 6]));
        let all = (1..=20).map(version).collect();
        let text = Editing::Versions { name: "Ada".to_owned(), all, plays: 20, changed }.to_string();
        assert_eq!(text.matches("\n+x").count(), 6, "{text}");
    }

    #[test]
    fn those_of_one_name_are_told_apart_where_they_are_offered() {
        let id = PersonaId("ada-2".to_owned());
        assert_eq!(choice("Ada", &id, false), "Ada (ada-2)");
        assert_eq!(choice("Ada", &id, true), "Ada (ada-2, private)");
        let long = choice(&"ä".repeat(200), &id, true);
        assert!(long.ends_with(" (ada-2, private)") && long.chars().count() == CHOICE_MAX, "{long}");
        let longest = choice("Ada", &PersonaId("x".repeat(80)), true);
        assert!(longest.chars().count() <= CHOICE_MAX, "{longest}");
    }

    #[test]
    fn labels_are_as_long_as_discord_takes_them() {
        for field in Field::ALL {
            assert!(field_label(field).chars().count() <= 45);
        }
        for (is_new, is_whole) in [(true, true), (false, true), (false, false)] {
            assert!(form_title(is_new, is_whole).chars().count() <= 45);
        }
    }
}
