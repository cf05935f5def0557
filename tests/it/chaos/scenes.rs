//! The scenes of the storm: what members do in them, and what each of them must be afterwards.

use std::time::{Duration, Instant};

use mummer::chat::MemberId;
use mummer::chat::history::{Conversation, TurnKind};
use mummer::chat::notice;
use mummer::chat::request::Outcome;
use mummer::chat::scene::SceneState;
use mummer::chat::text::{Label, Staging, Text};
use serde_json::{Value, json};

use super::{Bot, Chaos, Fate, PATIENCE, concluded, is_ordinary, said};
use crate::discord::{ChannelId, FakeDiscord, InteractionId, Message, MessageId, UserId};
use crate::memory::on_disk;

/// Who plays in every scene, and who comes and goes.
const LEAD: (&str, &str) = ("crake", "Crake");
const GUEST: (&str, &str) = ("tallow", "Old Tallow");

/// What is written right after a scene goes on may be none of its lines: times are known to the second.
const BEGINNING: Duration = Duration::from_secs(2);

/// Most branches of all scenes together.
const BRANCHES: usize = 8;

/// The word of all that is out of character.
const ASIDE: &str = "aside";

/// What of a scene is directed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    has_guest: bool,
    note: Option<usize>,
    waits: bool,
}

/// What its host wants of a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Add,
    Remove,
    Note(usize),
    Pause,
    Resume,
}

impl Direction {
    fn command(self) -> (&'static str, Vec<(&'static str, Value)>) {
        match self {
            Self::Add => ("roleplay cast add", vec![("persona", json!(GUEST.0))]),
            Self::Remove => ("roleplay cast remove", vec![("persona", json!(GUEST.0))]),
            Self::Note(number) => ("roleplay note", vec![("text", json!(note(number)))]),
            Self::Pause => ("roleplay pause", Vec::new()),
            Self::Resume => ("roleplay resume", Vec::new()),
        }
    }

    /// What is said when it is done.
    fn done(self) -> String {
        let name = || GUEST.1.to_owned();
        let staging = match self {
            Self::Add => Staging::Added(name()),
            Self::Remove => Staging::Removed(name()),
            Self::Note(_) => Staging::Noted(true),
            Self::Pause | Self::Resume => Staging::Done,
        };
        Text::from(staging).to_string()
    }

    fn follow(self, standing: &mut Standing) {
        match self {
            Self::Add | Self::Remove => standing.has_guest = self == Self::Add,
            Self::Note(number) => standing.note = Some(number),
            Self::Pause | Self::Resume => standing.waits = self == Self::Pause,
        }
    }

    fn is_about_waiting(self) -> bool {
        matches!(self, Self::Pause | Self::Resume)
    }
}

fn note(number: usize) -> String {
    format!("Bear {number} in mind.")
}

/// What somebody has asked for in the menu of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Menu {
    /// The form of a line.
    Form,
    /// The question whether everything from a message on is to be forgotten.
    Question(MessageId),
    /// The question is answered with yes.
    Forgetting,
}

/// The scene of a room.
pub(super) struct Scene {
    title: String,
    /// All that it may be: more than one thing where nobody has heard what became of a direction.
    possible: Vec<Standing>,
    /// What its host wants of it, until that is answered.
    direction: Option<(InteractionId, Direction)>,
    /// Since when it goes on.
    since: Instant,
    menu: Option<(InteractionId, Menu)>,
    /// What was forgotten by hand, from the first to the last message.
    forgotten: Vec<(MessageId, MessageId)>,
}

impl Scene {
    pub(super) fn new(title: String) -> Self {
        let possible = vec![Standing { has_guest: true, note: None, waits: false }];
        let since = Instant::now();
        Self { title, possible, direction: None, since, menu: None, forgotten: Vec::new() }
    }

    /// Whether what is written now is a line of it, and answered as such.
    pub(super) fn hears(&self) -> bool {
        let may_wait = self.possible.iter().any(|standing| standing.waits)
            || self.direction.is_some_and(|(_, direction)| direction.is_about_waiting());
        !may_wait && !self.forgets() && self.since.elapsed() > BEGINNING
    }

    /// Whether everything from a message on is being forgotten.
    fn forgets(&self) -> bool {
        matches!(self.menu, Some((_, Menu::Forgetting)))
    }

    /// Whether a message was forgotten by hand. What the bot could not delete then stays where it is, as members' messages do.
    pub(super) fn has_forgotten(&self, message: u64) -> bool {
        self.forgotten.iter().any(|(first, last)| (first.0..=last.0).contains(&message))
    }

    /// Something was wanted of it, and this was done or not, as far as that is known.
    fn conclude(&mut self, direction: Direction, is_done: Option<bool>) {
        let mut followed = self.possible.clone();
        for standing in &mut followed {
            direction.follow(standing);
        }
        match is_done {
            Some(true) => self.possible = followed,
            Some(false) => {}
            None => self.possible.extend(followed),
        }
        self.possible.dedup();
        if direction.is_about_waiting() {
            self.since = Instant::now();
        }
    }

    /// Members hear what became of what they wanted, and go on with it. The writing of it is theirs who want it.
    fn listen(&mut self, discord: &FakeDiscord, room: ChannelId, host: UserId) {
        if let Some((wanted, direction)) = self.direction
            && let Some(answer) = discord.answer_now(wanted)
        {
            self.direction = None;
            self.conclude(direction, Some(answer.content() == direction.done()));
        }
        let Some((wanted, menu)) = self.menu else { return };
        let answer = discord.answer_now(wanted);
        self.menu = match menu {
            Menu::Form => match discord.form_now(wanted) {
                Some(form) => {
                    let length = usize::try_from(wanted.0 % 4).expect("a few");
                    let story = "A phrase that somebody prefers to what was said. ".repeat(1 + 25 * length);
                    discord.submit(room, host, &form.with("text", &format!("{story}{wanted}")));
                    None
                }
                None => self.menu.filter(|_| answer.is_none()),
            },
            Menu::Question(from) => match answer {
                Some(question) if !question.components.is_empty() => {
                    self.forgotten.push((from, MessageId(u64::MAX)));
                    let press = discord.press(question.id, host, Label::ForgetLines.words());
                    Some((press, Menu::Forgetting))
                }
                Some(_) => None,
                None => self.menu,
            },
            Menu::Forgetting => {
                let working = Text::Working.to_string();
                if answer.is_some_and(|answer| answer.content() != working) {
                    self.close_forgotten(discord, room);
                    None
                } else {
                    self.menu
                }
            }
        };
    }

    /// Nothing after this was forgotten.
    fn close_forgotten(&mut self, discord: &FakeDiscord, room: ChannelId) {
        let newest = discord.shown(room).last().map_or(MessageId(0), |message| message.id);
        for (_, last) in &mut self.forgotten {
            *last = (*last).min(newest);
        }
    }

    /// Whoever was asked is gone: nobody answers any more.
    pub(super) fn give_up(&mut self, discord: &FakeDiscord, room: ChannelId, host: UserId) {
        // Nobody answers questions that nobody hears.
        self.menu = self.menu.filter(|_| self.forgets());
        self.listen(discord, room, host);
        self.menu = None;
        self.close_forgotten(discord, room);
        if let Some((_, direction)) = self.direction.take() {
            self.conclude(direction, None);
        }
    }

    /// It is what was directed, and what nobody wanted to change is as it was.
    pub(super) fn check(&self, conversation: &Conversation, members: [UserId; 2]) {
        let scene = conversation.scene().expect("it is a scene still");
        assert_eq!(scene.title, self.title);
        assert_eq!(scene.host, Some(MemberId(members[0].0)), "{}", self.title);
        let players: Vec<MemberId> = scene.players.iter().map(|player| player.member).collect();
        assert_eq!(players, members.map(|member| MemberId(member.0)), "{}", self.title);
        let cast: Vec<&str> = scene.cast.iter().map(|actor| actor.persona.0.as_str()).collect();
        let is_it = |standing: &Standing| {
            let others = if standing.has_guest { vec![LEAD.0, GUEST.0] } else { vec![LEAD.0] };
            let written = scene.note.as_ref().map(|note| note.text.clone());
            cast == others
                && written == standing.note.map(note)
                && (scene.state == SceneState::Paused) == standing.waits
        };
        assert!(self.possible.iter().any(is_it), "{scene:?} is none of {:?}", self.possible);
    }
}

/// What must hold of what is said in a scene, and in what branches off.
pub(crate) fn check_lines(conversation: &Conversation) {
    let turns = conversation.turns();
    for turn in turns {
        assert!(!turn.shown().text.contains(ASIDE), "{turn:?}");
    }
    // Between a line and what is said to it nobody has answered, for that was said to this line as well.
    let spoken = turns.iter().filter(|turn| turn.kind == TurnKind::Persona);
    for reply in spoken.clone() {
        let line = turns.iter().find(|turn| turn.kind == TurnKind::Member && turn.trigger == reply.trigger);
        if let Some(line) = line.filter(|_| reply.trigger.is_some()) {
            let between = spoken.clone().find(|turn| turn.id > line.id && turn.id < reply.id);
            assert!(between.is_none(), "{line:?} was answered twice, by {between:?} and {reply:?}");
        }
    }
}

/// What personas say in a room, oldest first.
pub(crate) fn spoken(discord: &FakeDiscord, room: ChannelId) -> Vec<Message> {
    let mut spoken = said(discord, room);
    spoken.retain(|message| is_ordinary(message) && !notice::is_notice(message.content()));
    spoken.sort_by_key(|message| message.id);
    spoken
}

impl Chaos {
    /// Opens the scenes, with all who play in them.
    pub(super) async fn open(&self, bot: &Bot) {
        let discord = &bot.stage.discord;
        for (who, command, persona) in
            [(0, "start", Some(LEAD.0)), (0, "cast add", Some(GUEST.0)), (1, "join", None)]
        {
            let used = self.rooms.iter().filter_map(|room| {
                let scene = room.scene.as_ref()?;
                let persona = persona.map(|persona| ("persona", json!(persona)));
                let title = (command == "start").then(|| ("title", json!(scene.title)));
                let options: Vec<(&str, Value)> = persona.into_iter().chain(title).collect();
                Some(discord.use_command(
                    room.id,
                    room.members[who],
                    &format!("roleplay {command}"),
                    &options,
                ))
            });
            for used in used.collect::<Vec<_>>() {
                discord.answer_to(used).await;
            }
            bot.stage.idle().await;
        }
    }

    /// Some lines in a scene, and what members do in it beside.
    pub(super) fn play(&mut self, bot: &Bot, at: usize) {
        let discord = &bot.stage.discord;
        let (room, [host, other]) = (self.rooms[at].id, self.rooms[at].members);
        if let Some(scene) = &mut self.rooms[at].scene {
            scene.listen(discord, room, host);
            if scene.forgets() {
                // What waits stops before that.
                self.rooms[at].leave_unheard();
            }
        }
        self.direct(discord, at);
        let lines = if self.happens(40) { 2 + self.pick(2) } else { 1 };
        self.script(&bot.stage.script);
        for _ in 0..lines {
            self.line(discord, at);
        }
        if !self.begun {
            return;
        }
        if self.happens(15) {
            self.number += 1;
            discord.post(room, other, format!("(({ASIDE} {}))", self.number));
        }
        if self.happens(6) {
            discord.use_command(room, other, "roll", &[("dice", json!("2d6"))]);
        }
        if self.happens(4) {
            self.number += 1;
            let text = format!("It rains for the time {}.", self.number);
            discord.use_command(room, host, "roleplay narrate", &[("text", json!(text))]);
        }
        if self.happens(5) {
            self.script(&bot.stage.script);
            discord.use_command(room, host, "roleplay turn", &[]);
        }
        let spoken = spoken(discord, room);
        let Some(last) = spoken.last() else { return };
        if self.happens(4) {
            self.script(&bot.stage.script);
            discord.use_on_message(last.id, host, "Regenerate");
        }
        let menu = self.rooms[at].scene.as_ref().is_some_and(|scene| scene.menu.is_none());
        let line = spoken[spoken.len() - 1 - self.pick(spoken.len().min(3))].id;
        let asked = match self.pick(16) {
            0 if menu => Some((discord.use_on_message(line, host, "Edit line"), Menu::Form)),
            1 if menu && self.happens(40) => {
                Some((discord.use_on_message(line, host, "Forget from here"), Menu::Question(line)))
            }
            2 if self.branches < BRANCHES && self.happens(50) => {
                self.branches += 1;
                discord.use_on_message(line, host, "Branch into a thread");
                None
            }
            _ => None,
        };
        if let (Some(asked), Some(scene)) = (asked, &mut self.rooms[at].scene) {
            scene.menu = Some(asked);
        }
    }

    /// Its host wants something of the scene, now and then. One that waits goes on the next time.
    fn direct(&mut self, discord: &FakeDiscord, at: usize) {
        let wanted = [Direction::Add, Direction::Remove, Direction::Note(self.number), Direction::Pause];
        let wanted = wanted[self.pick(4)];
        let begins = self.happens(10);
        let room = &mut self.rooms[at];
        let Some(scene) = room.scene.as_mut().filter(|scene| scene.direction.is_none()) else { return };
        let may_wait = scene.possible.iter().any(|standing| standing.waits);
        if !begins && !may_wait {
            return;
        }
        let wanted = if may_wait { Direction::Resume } else { wanted };
        let (command, options) = wanted.command();
        scene.direction = Some((discord.use_command(room.id, room.members[0], command, &options), wanted));
        if wanted == Direction::Pause {
            room.leave_unheard();
        }
    }

    /// Somebody writes a line, and may change or delete it.
    fn line(&mut self, discord: &FakeDiscord, at: usize) {
        self.number += 1;
        let (number, who) = (self.number, self.pick(2));
        let text = match self.pick(8) {
            0 => format!("line {number} (({ASIDE} {number}))"),
            1 => format!("{}, line {number}", LEAD.1),
            _ => format!("line {number}"),
        };
        let room = &self.rooms[at];
        let unheard = room.scene.as_ref().is_some_and(|scene| !scene.hears());
        let message = discord.post(room.id, room.members[who], text);
        let mut fate = Fate { muted: room.muted, unheard, ..Fate::default() };
        if self.happens(4) {
            discord.edit(message, &format!("changed {number}"));
        } else if self.happens(2) {
            discord.edit(message, &format!("(({ASIDE} {number}))"));
            fate.unheard = true;
        }
        if self.happens(4) {
            discord.delete(message);
            fate.deleted = true;
        }
        self.rooms[at].posted.insert(message, fate);
    }

    /// The process has ended in which members wanted something of their scenes.
    pub(super) fn give_up(&mut self, discord: &FakeDiscord) {
        for room in self.rooms.iter_mut().filter(|room| !room.gone) {
            if let Some(scene) = &mut room.scene {
                scene.give_up(discord, room.id, room.members[0]);
            }
        }
    }

    /// Every scene goes on, and what branched off: a last line in it is answered by one of those who play.
    pub(super) async fn curtain(&mut self, bot: &Bot) {
        let discord = &bot.stage.discord;
        let mut lines = Vec::new();
        for room in self.rooms.iter_mut().filter(|room| !room.gone) {
            let Some(scene) = &mut room.scene else { continue };
            if scene.possible.iter().any(|standing| standing.waits) {
                let resumed = discord.use_command(room.id, room.members[0], "roleplay resume", &[]);
                let answer = discord.answer_to(resumed).await;
                scene.conclude(Direction::Resume, Some(answer.content() == Direction::Resume.done()));
            }
            let mut places = vec![room.id];
            for branch in discord.threads_of(room.id) {
                // One of which nobody has heard that it was made stays empty.
                if on_disk(&bot.store, branch).await.is_some() {
                    places.push(branch);
                }
            }
            for place in places {
                bot.stage.script.then_say("The last reply.");
                lines.push((place, discord.post(place, room.members[1], "the last line")));
            }
        }
        for (place, line) in lines {
            let answered = async {
                while concluded(bot, place).await.get(&line.0) != Some(&Outcome::Answered) {
                    tokio::task::yield_now().await;
                }
            };
            let is_answered = tokio::time::timeout(PATIENCE, answered).await.is_ok();
            assert!(is_answered, "in {place} nobody has answered {line}\n{}", discord.picture());
            let conversation = on_disk(&bot.store, place).await.expect("it is there");
            let scene = conversation.scene().expect("it is a scene");
            let last = conversation.turns().last().expect("something was said");
            let plays = last.speaker.persona().is_some_and(|speaker| scene.has(speaker));
            assert!(plays && last.trigger.is_some_and(|trigger| trigger.0 == line.0), "{last:?}");
            check_lines(&conversation);
        }
    }
}
