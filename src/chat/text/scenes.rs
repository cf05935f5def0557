//! What commands answer about scenes.

use std::fmt::{Display, Formatter, Result};

use super::lists::{as_many_as_fit, counted};
use super::{Editing, Text};
use crate::chat::markdown::escaped;
use crate::chat::scene::{CAST_MAX, PLAYERS_MAX, Refused, Scene, SceneState, TEXT_MAX};
use crate::chat::{ChannelId, sanitize};
use crate::persona::lorebook::USUAL_DEPTH;

/// Most characters of what a scene is about that are shown with it.
const SHOWN: usize = 400;

/// So many players are told by name: a message has room for no more.
const PLAYERS_SHOWN: usize = 10;

/// Nothing is made of the cards of an archive.
pub const NO_CARDS: &str = "its character cards are not taken in: `/personas import` makes personas of them";

/// A character of a scene has a persona here, and that may not play where the scene is.
#[must_use]
pub fn may_not_play(name: &str) -> String {
    format!(
        "{} is a persona here that may not play in this channel: an admin has to share it, or to say that it is not for adults",
        shown_name(name)
    )
}

/// Several personas have the name of a character.
#[must_use]
pub fn several_have_it(name: &str) -> String {
    format!("several personas here are called {}: name one of them with `persona`", shown_name(name))
}

/// So many of those who could play are too many.
#[must_use]
pub fn too_many_play(surplus: usize) -> String {
    format!(
        "{surplus} of its personas do not play, though their lines are kept: a scene has at most {CAST_MAX}"
    )
}

/// So many messages have come that are hidden from models.
#[must_use]
pub fn hidden_too(hidden: usize) -> String {
    let messages =
        if hidden == 1 { "1 hidden message".to_owned() } else { format!("{hidden} hidden messages") };
    format!("{messages} came along, which no persona reads, and which stand in every export of the scene")
}

/// A text of a scene from elsewhere is too long to be kept as a whole.
#[must_use]
pub fn cut_short(what: &str) -> String {
    format!("{} is kept up to {TEXT_MAX} characters", shown_name(what))
}

/// The card of a character is not taken in.
#[must_use]
pub fn card_refused(name: &str, why: &Text) -> String {
    format!("the card of {} is not taken in: {why}", shown_name(name))
}

/// What commands answer about scenes.
#[derive(Debug, Clone, PartialEq)]
pub enum Staging {
    /// A scene begins.
    Opened {
        /// Who has opened it.
        who: String,
        /// Who plays in it.
        persona: String,
        /// Its title.
        title: String,
        /// What it is about.
        about: Option<String>,
        /// Whether all that players write is read.
        reads_everything: bool,
    },
    /// A member plays.
    Joined(String),
    /// A member plays as somebody.
    Plays {
        /// The member.
        who: String,
        /// As whom.
        name: String,
    },
    /// A member does not play any more.
    Left(String),
    /// The scene is about this now, or about nothing in particular.
    About(Option<String>),
    /// The scene has this note now, or none.
    Noted(bool),
    /// A persona plays too.
    Added(String),
    /// A persona does not play any more.
    Removed(String),
    /// The scene waits.
    Paused(String),
    /// The scene goes on.
    Resumed(String),
    /// The scene is over.
    Stopped(String),
    /// Somebody is about to speak.
    WordGiven,
    /// What happens in the scene, told by a member.
    Narrated(String),
    /// The scenes that there are: the channel of each, and whether it is here.
    Scenes(Vec<(String, ChannelId, SceneState)>),
    /// The scene as it is.
    Shown(Box<Scene>),
    /// It is done, and all see it.
    Done,
    /// There is no room for one more scene.
    TooMany,
    /// A scene is played here already.
    Occupied,
    /// No scene is played here.
    NoScene,
    /// There is no scene that could go on.
    NothingToResume,
    /// Something of the scene is refused.
    Refused(Refused),
    /// There are no threads where the command is used.
    NoThreads,
    /// The scene is for all who see the channel, and goes on nowhere else.
    ForAll,
    /// The bot may not make threads.
    MayNotThread,
    /// A character must have a name with a letter or digit.
    Nameless,
    /// No persona can tell what happens.
    NoNarrator,
    /// Whether a scene is really to be deleted.
    MayDrop(String),
    /// A scene is deleted.
    Dropped(String),
    /// What was said is in the file.
    TakenHome {
        /// The title of the scene; empty where it is none.
        title: String,
        /// Personas whose cards are not in it.
        kept_back: usize,
    },
    /// A scene from elsewhere goes on here.
    TakenIn {
        /// How many lines it has.
        lines: usize,
        /// Characters whom nobody plays.
        guests: Vec<String>,
        /// The personas that were made of its cards.
        made: Vec<Editing>,
        /// What of it was not kept.
        remarks: Vec<String>,
    },
    /// The same for all to see.
    BroughtAlong {
        /// Who has brought it.
        who: String,
        /// Its title.
        title: String,
        /// Who plays in it.
        cast: Vec<String>,
        /// The characters that wait for somebody to play them.
        waiting: Vec<String>,
    },
    /// A scene from elsewhere was not opened.
    NotOpened {
        /// What was made of its cards.
        made: Vec<Editing>,
        /// What of it was not kept.
        remarks: Vec<String>,
        /// Why it was not.
        why: Box<Text>,
    },
    /// Those of a scene who were made of its cards may not play yet.
    NobodyYet,
    /// Nobody can play any of the characters.
    NobodyKnown(Vec<String>),
    /// Nothing was said where the command is used.
    NothingHere,
    /// The thread of a scene is gone.
    ThreadLost(String),
}

impl From<Staging> for Text {
    fn from(staging: Staging) -> Self {
        Self::Staging(staging)
    }
}

impl Display for Staging {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        if let Some(words) = self.words() {
            return formatter.write_str(words);
        }
        match self {
            Self::Opened { who, persona, title, about, reads_everything } => {
                let (title, persona) = (escaped(title), escaped(persona));
                write!(formatter, "**{title}**\n{who} opens a scene with **{persona}**.")?;
                quoted(formatter, about.as_deref())?;
                let how = if *reads_everything {
                    "Whoever uses `/roleplay join` plays, and need not mention anybody."
                } else {
                    "Whoever mentions me, replies to me with a ping, or uses `/say` plays."
                };
                write!(formatter, "\n-# {how} ((Like this)) or // like this is out of character.")
            }
            Self::Joined(who) => write!(formatter, "{who} joins the scene."),
            Self::Plays { who, name } => write!(formatter, "{who} plays **{}**.", escaped(name)),
            Self::Left(who) => write!(formatter, "{who} leaves the scene. What was said stays."),
            Self::About(about) => {
                formatter.write_str("The scene changes.")?;
                quoted(formatter, about.as_deref())
            }
            Self::Added(name) => write!(formatter, "**{}** enters the scene.", escaped(name)),
            Self::Removed(name) => write!(formatter, "**{}** leaves the scene.", escaped(name)),
            Self::Paused(title) => {
                write!(formatter, "**{}** waits. `/roleplay resume` lets it go on.", escaped(title))
            }
            Self::Resumed(title) => write!(formatter, "**{}** goes on.", escaped(title)),
            Self::Stopped(title) => write!(
                formatter,
                "**{}** is over. I keep it: `/roleplay resume` takes it up again, `/roleplay export` gives it to you.",
                escaped(title)
            ),
            Self::Narrated(text) => write!(formatter, "*{}*", text.trim_matches('*').trim()),
            Self::Scenes(scenes) => {
                formatter.write_str(&as_many_as_fit(String::new(), scenes.iter().map(listed)))
            }
            Self::Shown(scene) => shown(formatter, scene),
            Self::Refused(Refused::Full) => write!(
                formatter,
                "A scene has room for {CAST_MAX} personas and {PLAYERS_MAX} players, and this one is full."
            ),
            Self::MayDrop(title) => write!(
                formatter,
                "I would forget **{}** for good; what stands in Discord stays. Shall I?",
                escaped(title)
            ),
            Self::Dropped(title) => write!(formatter, "I have forgotten **{}**.", escaped(title)),
            Self::ThreadLost(title) => write!(
                formatter,
                "-# The thread of **{}** is gone, and I have kept the scene: `/roleplay resume` goes on with it here.",
                escaped(title)
            ),
            other => other.carried(formatter),
        }
    }
}

impl Staging {
    /// What is always the same sentence.
    fn words(&self) -> Option<&'static str> {
        Some(match self {
            Self::About(None) => "The scene is about nothing in particular now.",
            Self::Noted(true) => "I bear that in mind with every reply.",
            Self::Noted(false) => "The note is gone.",
            Self::WordGiven => "They have the word.",
            Self::Scenes(scenes) if scenes.is_empty() => {
                "There are no scenes here yet. `/roleplay start` opens one."
            }
            Self::Done => "Done.",
            Self::TooMany => {
                "So many scenes are kept here that there is no room for one more. `/roleplay delete` makes room."
            }
            Self::ForAll => {
                "That scene is for everybody who sees the channel. Go on with it there, or in a thread that is not private."
            }
            Self::Occupied => {
                "A scene is played here already. End it with `/roleplay stop`, or open yours in a thread of its own."
            }
            Self::NoScene => "No scene is played here. `/roleplay start` opens one.",
            Self::NothingToResume => {
                "There is no scene here that could go on. `/roleplay list` tells which there are."
            }
            Self::Refused(Refused::NotTheirs) => {
                "That is for whoever has opened this scene, and for those who may manage messages here. To play, use `/roleplay join`."
            }
            Self::Refused(Refused::NameTaken) => {
                "Somebody else in this scene has that name. Choose another one."
            }
            Self::Refused(Refused::NotThere) => {
                "That persona does not play in this scene. `/roleplay scene` tells who does."
            }
            Self::Refused(Refused::LastOne) => {
                "That is the only persona of this scene. Bring another one in first, or use `/roleplay stop`."
            }
            Self::NoThreads => "There can be no thread here. Leave `thread` away.",
            Self::MayNotThread => {
                "I may not make threads here. Leave `thread` away, or ask an admin to let me create public threads and write in them."
            }
            Self::Nameless => "A character needs a name with a letter or a digit.",
            Self::NoNarrator => {
                "I have no persona that could tell what happens. Write it yourself: `/roleplay narrate` takes a text."
            }
            Self::NobodyYet => {
                "None of them may play here yet. Use `/roleplay import` again when they may, or name somebody with `persona`."
            }
            Self::NothingHere => "Nothing was said here yet that I remember.",
            _ => return None,
        })
    }

    /// What is said of scenes that are taken home and brought along.
    fn carried(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::TakenHome { title, kept_back } => {
                match title.as_str() {
                    "" => formatter.write_str("This is what was said here, as far as I remember it.")?,
                    title => write!(formatter, "This is **{}**.", escaped(title))?,
                }
                match kept_back {
                    0 => Ok(()),
                    count => write!(
                        formatter,
                        " {} not in it: only admins, and whoever has made a persona, get its card.",
                        if *count == 1 { "One card is".to_owned() } else { format!("{count} cards are") }
                    ),
                }
            }
            Self::TakenIn { lines, guests, made, remarks } => {
                let text = format!("The scene goes on here with {}.", counted(*lines, "line", "lines"));
                let guests = guests.iter().map(|name| {
                    format!("I know nobody who plays {} here; what they have said stays.", shown_name(name))
                });
                let more = made.iter().map(Editing::to_string).chain(guests).chain(listed_remarks(remarks));
                formatter.write_str(&as_many_as_fit(text, more))
            }
            Self::BroughtAlong { who, title, cast, waiting } => {
                let cast: Vec<String> = cast.iter().take(CAST_MAX).map(|name| escaped(name)).collect();
                let (title, cast) = (escaped(title), cast.join(", "));
                write!(formatter, "**{title}**\n{who} brings a scene along, with {cast}. It goes on here.")?;
                if waiting.is_empty() {
                    return Ok(());
                }
                write!(
                    formatter,
                    "\n-# `/roleplay as` plays those who wait for somebody: {}.",
                    some_of(waiting)
                )
            }
            Self::NotOpened { made, remarks, why } => {
                let more = made.iter().map(Editing::to_string).chain(listed_remarks(remarks));
                formatter.write_str(&as_many_as_fit(why.to_string(), more))
            }
            Self::NobodyKnown(guests) => {
                let guests = guests.iter().take(CAST_MAX).map(|name| shown_name(name));
                let guests: Vec<String> = guests.collect();
                let names = if guests.is_empty() { "anybody in it".to_owned() } else { guests.join(", ") };
                write!(
                    formatter,
                    "I have no persona that could play {names}. Name one with `persona`, or make one with `/personas import`."
                )
            }
            _ => Ok(()),
        }
    }
}

/// A name from elsewhere, as it may stand in a message.
fn shown_name(name: &str) -> String {
    escaped(&sanitize::name(name))
}

fn listed_remarks(remarks: &[String]) -> impl Iterator<Item = String> {
    remarks.iter().map(|remark| format!("- {remark}"))
}

/// As many names as a message has room for.
fn some_of(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(PLAYERS_SHOWN).map(|name| escaped(name)).collect();
    let more = if shown.len() < names.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// A scene in a list of them.
fn listed((title, channel, state): &(String, ChannelId, SceneState)) -> String {
    let state = match state {
        SceneState::Running => "is played",
        SceneState::Paused => "waits",
        SceneState::Ended => "is over",
    };
    format!("**{}** in <#{channel}> {state}.", escaped(title))
}

fn quoted(formatter: &mut Formatter<'_>, text: Option<&str>) -> Result {
    let Some(text) = text else { return Ok(()) };
    let short: String = text.chars().take(SHOWN).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    let line = short.split_whitespace().collect::<Vec<_>>().join(" ");
    write!(formatter, "\n> {line}{more}")
}

fn shown(formatter: &mut Formatter<'_>, scene: &Scene) -> Result {
    let state = match scene.state {
        SceneState::Running => "",
        SceneState::Paused => " (it waits)",
        SceneState::Ended => " (it is over)",
    };
    write!(formatter, "**{}**{state}", escaped(&scene.title))?;
    quoted(formatter, scene.scenario.as_ref().map(|written| written.text.as_str()))?;
    let cast = scene.cast.iter().map(|actor| {
        let missing = if actor.is_missing { " (cannot play here)" } else { "" };
        format!("{}{missing}", escaped(&actor.name))
    });
    write!(formatter, "\nPersonas: {}.", cast.collect::<Vec<_>>().join(", "))?;
    let players = scene.players.iter().map(|player| match &player.name {
        Some(name) => format!("<@{}> as {}", player.member, escaped(name)),
        None => format!("<@{}>", player.member),
    });
    let players: Vec<String> = players.take(PLAYERS_SHOWN).collect();
    if !players.is_empty() {
        let many = counted(scene.players.len(), "player", "players");
        let more = if players.len() < scene.players.len() { ", …" } else { "" };
        write!(formatter, "\n{many}: {}{more}.", players.join(", "))?;
    }
    if !scene.waiting.is_empty() {
        let waiting: Vec<String> = scene.waiting.iter().map(|waiting| waiting.name.clone()).collect();
        write!(formatter, "\nWaiting for a player: {}.", some_of(&waiting))?;
    }
    if let Some(note) = &scene.note {
        match scene.note_depth {
            USUAL_DEPTH => write!(formatter, "\nNote:")?,
            0 => write!(formatter, "\nNote, after the last line:")?,
            1 => write!(formatter, "\nNote, before the last line:")?,
            depth => write!(formatter, "\nNote, before the last {depth} lines:")?,
        }
        quoted(formatter, Some(&note.text))?;
    }
    Ok(())
}
