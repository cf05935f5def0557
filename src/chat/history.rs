//! What was said in a conversation: turns, their variants, their states, and the names of the speakers.

mod branching;
mod carrying;
mod changes;
mod past;
mod remembering;
mod weight;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::explanation::Explanation;
use super::memory::Memory;
use super::scene::Scene;
use super::{MemberId, MessageId, sanitize};
use crate::persona::lorebook::Timed;
use crate::persona::{PersonaId, SamplingWish};

pub use carrying::Carried;
pub use changes::{Changes, Head};
pub use past::{Begun, Making};

/// Most turns that a conversation keeps; older ones are dropped.
pub const TURNS_MAX: usize = 1_000;

/// Id of a conversation. It is its own: channels point to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationId(pub u64);

/// Id of a turn within its conversation; later turns have greater ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TurnId(pub u64);

/// One conversation: what was said, and what its prompts must remember to stay append-only.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Seed of everything random in it.
    pub seed: u64,
    /// When it began, in seconds since 1970.
    pub created: u64,
    /// Where its prompts begin, for the persona that speaks at present.
    pub cut: Cut,
    /// That persona, once it is known, and how many blocks of examples are left out for the others.
    examples_of: Option<PersonaId>,
    examples_dropped: BTreeMap<PersonaId, usize>,
    /// Whom `{{user}}` means where the prompt is the same from turn to turn; in a place that many share nobody.
    pub user: Option<String>,
    /// What time it is now, in seconds since 1970: set by whoever adds a turn.
    pub now: u64,
    /// The turn that is a greeting, and which of them was selected when it was seen last.
    greeting: Option<(TurnId, usize)>,
    /// The turn under which the buttons stand.
    row: Option<TurnId>,
    /// In how many turns that are not kept any more a persona has spoken.
    spoken_before: u64,
    /// What it has when it is a scene.
    scene: Option<Scene>,
    /// What is remembered of turns before those that prompts contain, oldest first.
    memories: Vec<Memory>,
    turns: Vec<Turn>,
    next_turn: u64,
    names: Vec<(Speaker, String)>,
    /// The turns that are not as they were written down last.
    changed: BTreeSet<TurnId>,
    /// Whether something beside the turns is not as it was written down last, though no turn need have changed with it.
    head_changed: bool,
    /// Whether what is remembered is not as it was written down last.
    memories_changed: bool,
}

/// Where the prompts of a conversation begin. It moves rarely and far, so that one prompt begins with the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// Turns before this id are not in the prompt any more.
    pub first_turn: u64,
    /// So many blocks of the persona's examples are left out, first ones first.
    pub examples_dropped: usize,
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// A member.
    Member(MemberId),
    /// A persona, in the version that spoke.
    Persona {
        /// Which persona.
        id: PersonaId,
        /// Which version of it.
        version: String,
    },
    /// Somebody who is not here, in a scene from elsewhere.
    Guest {
        /// The member who has brought the scene along.
        by: MemberId,
        /// What tells them apart from others: their name there.
        name: String,
    },
}

impl Speaker {
    /// The member whose words these are, or who has brought them along.
    #[must_use]
    pub fn member(&self) -> Option<MemberId> {
        match self {
            Self::Member(member) | Self::Guest { by: member, .. } => Some(*member),
            Self::Persona { .. } => None,
        }
    }

    /// The persona, if it is one.
    #[must_use]
    pub fn persona(&self) -> Option<&PersonaId> {
        match self {
            Self::Persona { id, .. } => Some(id),
            Self::Member(_) | Self::Guest { .. } => None,
        }
    }
}

/// Kind of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnKind {
    /// A member said it.
    Member,
    /// A persona said it.
    Persona,
    /// It tells what happens.
    Narrator,
    /// An instruction to the model, between brackets.
    Note,
    /// What another program hides from its model: it is kept where it stood and given back, and no prompt knows of it.
    Hidden,
}

/// How far a turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnState {
    /// Nothing of it is there yet.
    Pending,
    /// It is being written.
    Streaming,
    /// It is whole.
    Complete,
    /// It was stopped; what is there was shown.
    Interrupted,
    /// It failed; what is there was shown.
    Failed,
    /// Its last message may have been posted, and nobody knows.
    Uncertain,
}

/// One thing that somebody said.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Its id.
    pub id: TurnId,
    /// Its kind.
    pub kind: TurnKind,
    /// Who said it.
    pub speaker: Speaker,
    /// The speaker's name in the conversation at that time.
    pub name: String,
    /// What was said, in one or more versions; never empty.
    pub variants: Vec<Variant>,
    /// Which variant is shown and remembered.
    pub selected: usize,
    /// How far it has come.
    pub state: TurnState,
    /// The message that made the persona speak, or in which the member spoke.
    pub trigger: Option<MessageId>,
    /// The other messages that the persona answers together with that one.
    pub also: Vec<MessageId>,
    /// The messages in which it is shown.
    pub parts: Vec<Part>,
    /// When it was said, in seconds since 1970.
    pub said: u64,
    /// The message in which it was said where it was branched off.
    pub copy_of: Option<MessageId>,
    /// What another program says of it.
    pub carried: Option<Carried>,
}

impl TurnState {
    /// Whether there may be more of the turn than is remembered.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Pending | Self::Streaming | Self::Uncertain)
    }
}

impl Turn {
    /// The variant that is shown and remembered.
    #[must_use]
    pub fn shown(&self) -> &Variant {
        &self.variants[self.selected]
    }

    /// The messages that it answers; of what a member said, the message in which they said it.
    pub fn answers(&self) -> impl Iterator<Item = MessageId> {
        self.trigger.into_iter().chain(self.also.iter().copied())
    }

    /// A number that follows from what it says: as long as that is the same, so is the text, but for an accident in a world
    /// of them.
    #[must_use]
    pub fn mark(&self) -> u64 {
        text_mark(&self.shown().text)
    }

    /// The variant that is shown and remembered, to be changed.
    pub fn shown_mut(&mut self) -> &mut Variant {
        &mut self.variants[self.selected]
    }
}

/// A number that follows from a text, and is the same in every version: FNV-1a.
pub(super) fn text_mark(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// One message in which (a part of) a turn is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The message.
    pub message: MessageId,
    /// The webhook that posted it, if one did.
    pub webhook: Option<u64>,
    /// Where in the text that is shown it begins, in bytes.
    pub start: usize,
}

/// One version of what was said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variant {
    /// What is shown and remembered, without white space at its ends.
    pub text: String,
    /// The tokens that a model wrote it in, when they decode to exactly this text.
    pub tokens: Option<Tokens>,
    /// How it was made; absent for what members said.
    pub origin: Option<Origin>,
    /// What of the persona's lorebook is remembered for the turns after it.
    pub lore: Timed,
}

/// The tokens of a generated text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Id of the model that they belong to.
    pub model: String,
    /// The ids.
    pub ids: Vec<u32>,
    /// Whether they begin with a space that the text does not have.
    pub leading_space: bool,
}

/// How a generated variant came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Id of the model.
    pub model: String,
    /// Seed of its random numbers.
    pub seed: u64,
    /// How it was sampled.
    pub sampling: SamplingWish,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// How many of them were not computed again.
    pub cached_tokens: usize,
    /// Tokens of the reply.
    pub new_tokens: usize,
    /// How long its parts took.
    #[serde(default)]
    pub took: Took,
    /// What went into the prompt.
    pub explanation: Explanation,
    /// What else decides whether it would be made once more as it is; absent for what an older Mummer has made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub making: Option<Making>,
}

/// How long the parts of a generation took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Took {
    /// Until it began.
    pub queued: u64,
    /// Until its prompt was read.
    pub prefill: u64,
    /// Until it was written.
    pub decode: u64,
}

impl Conversation {
    /// An empty conversation in which `persona_name` is taken by the persona.
    #[must_use]
    pub fn new(id: ConversationId, seed: u64, created: u64, persona: Speaker, persona_name: &str) -> Self {
        Self {
            id,
            seed,
            created,
            cut: Cut::default(),
            examples_of: None,
            examples_dropped: BTreeMap::new(),
            user: None,
            now: created,
            greeting: None,
            row: None,
            spoken_before: 0,
            scene: None,
            memories: Vec::new(),
            turns: Vec::new(),
            next_turn: 0,
            names: vec![(persona, sanitize::name(persona_name))],
            changed: BTreeSet::new(),
            head_changed: false,
            memories_changed: false,
        }
    }

    /// What it has when it is a scene.
    #[must_use]
    pub fn scene(&self) -> Option<&Scene> {
        self.scene.as_ref()
    }

    /// What it has when it is a scene, to be changed.
    pub fn scene_mut(&mut self) -> Option<&mut Scene> {
        self.head_changed |= self.scene.is_some();
        self.scene.as_mut()
    }

    /// It is this scene from now on.
    pub fn stage(&mut self, scene: Scene) {
        self.scene = Some(scene);
        self.head_changed = true;
    }

    /// This turn is a persona's greeting, its variants the greetings that there are.
    pub fn greet(&mut self, turn: TurnId) {
        self.greeting = Some((turn, 0));
    }

    /// With which of its greetings the conversation began, if it began with one.
    #[must_use]
    pub fn greeting(&self) -> Option<usize> {
        let (turn, seen) = self.greeting?;
        Some(self.turn(turn).map_or(seen, |turn| turn.selected))
    }

    /// The turn under which the buttons stand, when it is there still.
    #[must_use]
    pub fn row(&self) -> Option<&Turn> {
        self.row.and_then(|turn| self.turn(turn))
    }

    /// From now on the buttons stand under this turn.
    pub fn put_row(&mut self, turn: TurnId) {
        if self.row.replace(turn) != Some(turn) {
            // With one of the turns all of this is written down.
            self.changed.insert(turn);
        }
    }

    /// The buttons do not stand under this turn any more.
    pub fn take_row(&mut self, turn: TurnId) {
        if self.row == Some(turn) {
            self.row = None;
            self.changed.insert(turn);
        }
    }

    /// How often a persona has spoken.
    #[must_use]
    pub fn spoken(&self) -> u64 {
        self.spoken_before + spoken_in(&self.turns)
    }

    /// The number of the turn that comes next: no turn has it, or had it.
    #[must_use]
    pub fn next_turn(&self) -> TurnId {
        TurnId(self.next_turn)
    }

    /// All turns, oldest first.
    #[must_use]
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// The turns that prompts contain, oldest first.
    #[must_use]
    pub fn window(&self) -> &[Turn] {
        let start = self.turns.partition_point(|turn| turn.id.0 < self.cut.first_turn);
        &self.turns[start..]
    }

    /// Appends a member's complete turn and returns its id.
    pub fn hear(&mut self, member: MemberId, name: &str, text: &str, message: Option<MessageId>) -> TurnId {
        let parts = message.map(|message| Part { message, webhook: None, start: 0 }).into_iter().collect();
        let variant = Variant { text: text.trim().to_owned(), ..Variant::default() };
        let speaker = Speaker::Member(member);
        self.push(TurnKind::Member, speaker, name, variant, TurnState::Complete, message, parts)
    }

    /// Appends what a member tells, or a fact for the model that they have brought about, and returns its id.
    pub fn tell(
        &mut self,
        kind: TurnKind,
        member: MemberId,
        name: &str,
        text: &str,
        message: Option<MessageId>,
    ) -> TurnId {
        let turn = self.hear(member, name, text, message);
        if let Some(turn) = self.turn_mut(turn) {
            turn.kind = kind;
        }
        turn
    }

    /// Appends an empty turn of a persona that is about to speak and returns its id.
    pub fn begin_reply(&mut self, persona: Speaker, name: &str, trigger: Option<MessageId>) -> TurnId {
        let variant = Variant::default();
        self.push(TurnKind::Persona, persona, name, variant, TurnState::Pending, trigger, Vec::new())
    }

    /// This persona's prompts come next: of its examples those are left out that were left out of the last one.
    pub fn turn_to(&mut self, persona: &PersonaId) {
        if self.examples_of.as_ref() == Some(persona) {
            return;
        }
        // Whose prompts there were before a start is not known; mostly it is the only one's.
        if let Some(before) = self.examples_of.replace(persona.clone()) {
            self.examples_dropped.insert(before, self.cut.examples_dropped);
            self.cut.examples_dropped = self.examples_dropped.get(persona).copied().unwrap_or(0);
        }
    }

    /// A persona is another version: nothing of its examples is left out.
    pub fn renew_examples(&mut self, persona: &PersonaId) {
        self.examples_dropped.remove(persona);
        if self.examples_of.as_ref().is_none_or(|current| current == persona) {
            self.cut.examples_dropped = 0;
        }
    }

    /// The turn with this id, if it is still there.
    pub fn turn_mut(&mut self, id: TurnId) -> Option<&mut Turn> {
        // Whatever is changed of it, it is not what was told of it.
        self.forget_memories(|link| link.turn == id);
        let turn = self.turns.iter_mut().find(|turn| turn.id == id);
        if turn.is_some() {
            self.changed.insert(id);
        }
        turn
    }

    /// The turn with this id, if it is still there.
    #[must_use]
    pub fn turn(&self, id: TurnId) -> Option<&Turn> {
        self.turns.iter().find(|turn| turn.id == id)
    }

    /// The turn that is shown in this message.
    #[must_use]
    pub fn turn_of(&self, message: MessageId) -> Option<&Turn> {
        self.turns.iter().rev().find(|turn| turn.parts.iter().any(|part| part.message == message))
    }

    /// What shows it is gone, and it is kept all the same.
    pub fn leave_place(&mut self) {
        for turn in &mut self.turns {
            turn.copy_of = turn.parts.first().map(|part| part.message).or(turn.copy_of);
            turn.parts.clear();
            self.changed.insert(turn.id);
        }
        self.row = None;
    }

    /// Takes a turn out of the history.
    pub fn forget(&mut self, id: TurnId) {
        let before = self.turns.len();
        self.turns.retain(|turn| turn.id != id);
        if self.turns.len() < before {
            self.changed.insert(id);
            self.forget_memories(|link| link.turn == id);
        }
    }

    /// Takes all turns out of the history that are as described. Whether there were any.
    pub fn forget_all(&mut self, mut which: impl FnMut(&Turn) -> bool) -> bool {
        let gone: Vec<TurnId> = self.turns.iter().filter(|turn| which(turn)).map(|turn| turn.id).collect();
        self.turns.retain(|turn| gone.binary_search(&turn.id).is_err());
        let any = !gone.is_empty();
        self.forget_memories(|link| gone.binary_search(&link.turn).is_ok());
        self.changed.extend(gone);
        self.forget_names();
        any
    }

    /// A message in which something was shown is gone, and what it showed goes with it: the turn, or the part of it
    /// that the message showed. Whether there was such a turn.
    pub fn unsay(&mut self, message: MessageId) -> bool {
        let Some(turn) = self.turn_of(message) else { return false };
        let id = turn.id;
        if turn.parts.len() == 1 || turn.kind != TurnKind::Persona {
            self.forget(id);
            return true;
        }
        let Some(turn) = self.turn_mut(id) else { return false };
        let Some(place) = turn.parts.iter().position(|part| part.message == message) else { return false };
        let Part { start, .. } = turn.parts.remove(place);
        let text = &turn.shown().text;
        let end = turn.parts.get(place).map_or(text.len(), |next| next.start);
        let (start, end) = (text.floor_char_boundary(start), text.floor_char_boundary(end));
        let kept = format!("{}{}", &text[..start], &text[end.max(start)..]);
        let lead = kept.len() - kept.trim_start().len();
        for part in &mut turn.parts[place..] {
            part.start = part.start.saturating_sub(end - start);
        }
        for part in &mut turn.parts {
            part.start = part.start.saturating_sub(lead);
        }
        let variant = turn.shown_mut();
        kept.trim().clone_into(&mut variant.text);
        variant.tokens = None;
        true
    }

    /// A member has changed what a message says. Whether that changes anything.
    pub fn restate(&mut self, message: MessageId, text: &str) -> bool {
        let turn = self.turn_of(message).map(|turn| turn.id);
        turn.is_some_and(|turn| self.restate_turn(turn, text))
    }

    /// The same of what was said in a turn.
    fn restate_turn(&mut self, id: TurnId, text: &str) -> bool {
        let is_new = |turn: &Turn| turn.speaker.member().is_some() && turn.shown().text != text.trim();
        if !self.turn(id).is_some_and(is_new) {
            return false;
        }
        if let Some(turn) = self.turn_mut(id) {
            *turn.shown_mut() = Variant { text: text.trim().to_owned(), ..Variant::default() };
        }
        true
    }

    /// What was unfinished when its process ended: a reply of which something was shown was interrupted; one of which nothing
    /// was shown goes, and outside of scenes what it was to answer with it, so that it can be asked anew. Those that answer a message for which
    /// `is_running` holds are not over. Whether there was anything.
    pub fn interrupt(&mut self, is_running: impl Fn(MessageId) -> bool) -> bool {
        let runs = |turn: &Turn| turn.trigger.is_some_and(&is_running);
        let unfinished = |turn: &&Turn| turn.state.is_unfinished() && !runs(turn);
        let unfinished: Vec<TurnId> = self.turns.iter().filter(unfinished).map(|turn| turn.id).collect();
        for &id in &unfinished {
            let Some(turn) = self.turn_mut(id) else { continue };
            if turn.parts.is_empty() {
                let trigger = turn.trigger.filter(|_| self.scene.is_none());
                let asked = trigger.and_then(|trigger| self.turn_of(trigger)).map(|turn| turn.id);
                self.forget(id);
                if let Some(asked) = asked {
                    self.forget(asked);
                }
            } else {
                turn.state = TurnState::Interrupted;
            }
        }
        !unfinished.is_empty()
    }

    /// Takes a member out of the history: what they said, what was said to that or to these messages of theirs, and their
    /// name. Whether there was anything.
    pub fn forget_member(&mut self, member: MemberId, asked: &BTreeSet<MessageId>) -> bool {
        let theirs: BTreeSet<MessageId> = self
            .turns
            .iter()
            .filter(|turn| turn.speaker.member() == Some(member))
            .flat_map(|turn| turn.parts.iter().map(|part| part.message).chain(turn.copy_of))
            .collect();
        let is_theirs = |trigger| theirs.contains(&trigger) || asked.contains(&trigger);
        let said_to_them = |turn: &Turn| turn.answers().any(is_theirs);
        let any = self.forget_all(|turn| turn.speaker.member() == Some(member) || said_to_them(turn));
        self.names.retain(|(one, _)| one.member() != Some(member));
        let plays = self.scene.as_mut().is_some_and(|scene| scene.forget_member(member));
        self.head_changed |= plays;
        // Not all turns that memories tell of are kept.
        let told = self.forget_memories_of(member);
        let mut brought = false;
        for turn in &mut self.turns {
            if turn.carried.take_if(|carried| carried.by == member).is_some() {
                self.changed.insert(turn.id);
                brought = true;
            }
        }
        any || plays || told || brought
    }

    /// The name that the persona has in this conversation, if it is known here.
    #[must_use]
    pub fn persona_name(&self, persona: &PersonaId) -> Option<&str> {
        let is_it = |speaker: &Speaker| matches!(speaker, Speaker::Persona { id, .. } if id == persona);
        self.names.iter().find(|(speaker, _)| is_it(speaker)).map(|(_, name)| name.as_str())
    }

    /// The speaker's name in this conversation: the wanted one made harmless, and unlike everybody else's.
    pub fn name_of(&mut self, speaker: &Speaker, wanted: &str) -> String {
        let wanted = sanitize::name(wanted);
        let same_speaker = |one: &Speaker| match (one, speaker) {
            (Speaker::Persona { id: one, .. }, Speaker::Persona { id: other, .. }) => one == other,
            (one, other) => one == other,
        };
        let folded = sanitize::folded_name(&wanted);
        let mine = self.names.iter().find(|(one, _)| same_speaker(one)).map(|(_, name)| name.clone());
        if let Some(mine) = mine.filter(|mine| is_numbered(mine, &wanted)) {
            return mine;
        }
        let taken = |name: &str| {
            let name = sanitize::folded_name(name);
            let now = self.names.iter().map(|(one, other)| (one, other.as_str()));
            // What prompts do not name, names nobody.
            let is_named = |turn: &&Turn| matches!(turn.kind, TurnKind::Member | TurnKind::Persona);
            let before = self.turns.iter().filter(is_named);
            let before = before.map(|turn| (&turn.speaker, turn.name.as_str()));
            // A guest does not speak any more, and whoever takes their name goes on for them.
            let is_past =
                |one: &Speaker| matches!((one, speaker), (Speaker::Guest { .. }, Speaker::Member(_)));
            let mut others = now.chain(before).filter(|(one, _)| !same_speaker(one) && !is_past(one));
            others.any(|(_, other)| sanitize::folded_name(other) == name)
        };
        let free = if folded.is_empty() || taken(&wanted) {
            (2..usize::MAX)
                .map(|number| numbered(&wanted, number))
                .find(|name| !taken(name))
                .unwrap_or(wanted)
        } else {
            wanted
        };
        self.names.retain(|(one, _)| !same_speaker(one));
        self.names.push((speaker.clone(), free.clone()));
        free
    }

    /// Forgets the names of members of whom there is nothing any more.
    fn forget_names(&mut self) {
        let turns = &self.turns;
        let speaks = |speaker: &Speaker| turns.iter().any(|turn| turn.speaker == *speaker);
        self.names.retain(|(speaker, _)| matches!(speaker, Speaker::Persona { .. }) || speaks(speaker));
    }

    #[expect(clippy::too_many_arguments, reason = "the few callers give every field of a turn")]
    pub(super) fn push(
        &mut self,
        kind: TurnKind,
        speaker: Speaker,
        name: &str,
        variant: Variant,
        state: TurnState,
        trigger: Option<MessageId>,
        parts: Vec<Part>,
    ) -> TurnId {
        let id = TurnId(self.next_turn);
        self.next_turn += 1;
        let name = self.name_of(&speaker, name);
        let variants = vec![variant];
        // No turn is older than the one before it, whatever the clock does.
        let said = self.turns.last().map_or(self.now, |last| last.said.max(self.now));
        self.changed.insert(id);
        self.turns.push(Turn {
            id,
            kind,
            speaker,
            name,
            variants,
            selected: 0,
            state,
            trigger,
            also: Vec::new(),
            parts,
            said,
            copy_of: None,
            carried: None,
        });
        let surplus = self.turns.len().saturating_sub(TURNS_MAX);
        if surplus > 0 {
            self.greeting = self.greeting.map(|(turn, seen)| (turn, self.greeting().unwrap_or(seen)));
            self.spoken_before += spoken_in(&self.turns[..surplus]);
            self.changed.extend(self.turns.drain(..surplus).map(|turn| turn.id));
            self.forget_names();
        }
        id
    }
}

fn spoken_in(turns: &[Turn]) -> u64 {
    turns.iter().filter(|turn| turn.kind == TurnKind::Persona).count() as u64
}

/// The name with a number, within the length that names may have.
fn numbered(name: &str, number: usize) -> String {
    let suffix = format!(" {number}");
    let room = sanitize::NAME_MAX - suffix.len();
    let short: String = name.chars().take(room).collect();
    format!("{}{suffix}", short.trim_end())
}

/// Whether `name` is the wanted one, or was made from it by adding a number.
fn is_numbered(name: &str, wanted: &str) -> bool {
    let number = name.rsplit_once(' ').and_then(|(_, number)| number.parse().ok());
    name == wanted || number.is_some_and(|number| name == numbered(wanted, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn persona() -> Speaker {
        Speaker::Persona { id: PersonaId("hermes".to_owned()), version: "1".to_owned() }
    }

    fn conversation() -> Conversation {
        Conversation::new(ConversationId(1), 0, 0, persona(), "Hermes")
    }

    fn member(id: u64) -> Speaker {
        Speaker::Member(MemberId(id))
    }

    #[test]
    fn what_is_left_out_of_the_examples_is_each_personas_own() {
        let mut conversation = conversation();
        let [one, other] = ["hermes", "crake"].map(|id| PersonaId(id.to_owned()));
        let dropped = |conversation: &mut Conversation, persona: &PersonaId| {
            conversation.turn_to(persona);
            conversation.cut.examples_dropped
        };
        conversation.cut = Cut { first_turn: 3, examples_dropped: 2 };
        assert_eq!(dropped(&mut conversation, &one), 2, "as it was written down");
        assert_eq!(dropped(&mut conversation, &other), 0);
        conversation.cut.examples_dropped = 1;
        assert_eq!([&one, &other].map(|persona| dropped(&mut conversation, persona)), [2, 1]);
        conversation.renew_examples(&one);
        assert_eq!([&other, &one].map(|persona| dropped(&mut conversation, persona)), [1, 0]);
        assert_eq!(conversation.cut.first_turn, 3);
    }

    #[test]
    fn nobody_can_take_the_name_of_another() {
        let mut conversation = conversation();
        let mut check = |id: u64, wanted: &str, expected: &str| {
            assert_eq!(conversation.name_of(&member(id), wanted), expected, "{wanted:?}");
        };
        check(1, "hermes", "hermes 2");
        check(2, "H\u{200b}ER\u{ff2d}ES", "HER\u{ff2d}ES 3");
        check(3, "Bob", "Bob");
        check(4, "Bob", "Bob 2");
        check(4, "Bob", "Bob 2");
        check(5, "Bob 2", "Bob 2 2");
        check(3, "Robert", "Robert");
        check(6, "Bob", "Bob");
        check(7, &"x".repeat(40), &"x".repeat(32));
        check(8, &"x".repeat(40), &format!("{} 2", "x".repeat(30)));
        assert_eq!(conversation.name_of(&persona(), "Hermes"), "Hermes");
    }

    #[test]
    fn the_history_is_bounded() {
        let mut conversation = conversation();
        for number in 0..=TURNS_MAX as u64 {
            conversation.hear(MemberId(1), "Bob", "hi", Some(MessageId(number)));
        }
        assert_eq!(conversation.turns().len(), TURNS_MAX);
        assert!(conversation.turn_of(MessageId(0)).is_none());
        assert!(conversation.turn_of(MessageId(1)).is_some());
    }

    /// A turn of the persona in several messages.
    fn in_parts(conversation: &mut Conversation, texts: &[&str], first: u64) -> TurnId {
        let id = conversation.begin_reply(persona(), "Hermes", Some(MessageId(first - 1)));
        let turn = conversation.turn_mut(id).expect("it is there");
        let mut text = String::new();
        for (message, piece) in (first..).zip(texts) {
            turn.parts.push(Part { message: MessageId(message), webhook: None, start: text.len() });
            text.push_str(piece);
        }
        turn.shown_mut().text = text;
        id
    }

    #[test]
    fn what_is_deleted_goes_and_the_rest_stays() {
        let mut conversation = conversation();
        conversation.hear(MemberId(1), "Bob", "hi", Some(MessageId(1)));
        let reply = in_parts(&mut conversation, &["One. ", "Two. ", "Three."], 2);
        assert!(!conversation.unsay(MessageId(9)));
        assert!(conversation.unsay(MessageId(3)));
        let turn = conversation.turn(reply).expect("it is there");
        assert_eq!(turn.shown().text, "One. Three.");
        assert_eq!(turn.parts.iter().map(|part| part.start).collect::<Vec<_>>(), [0, 5]);
        assert!(conversation.unsay(MessageId(2)));
        assert_eq!(conversation.turn(reply).expect("it is there").shown().text, "Three.");
        assert_eq!(conversation.turn(reply).expect("it is there").parts[0].start, 0);
        assert!(conversation.unsay(MessageId(4)));
        assert!(conversation.turn(reply).is_none());
        assert!(conversation.unsay(MessageId(1)));
        assert!(conversation.turns().is_empty());
    }

    #[test]
    fn members_change_their_own_words_only() {
        let mut conversation = conversation();
        conversation.hear(MemberId(1), "Bob", "hi", Some(MessageId(1)));
        let reply = in_parts(&mut conversation, &["Hello."], 2);
        assert!(!conversation.restate(MessageId(1), " hi "), "that is what was said");
        assert!(conversation.restate(MessageId(1), "hello"));
        assert!(!conversation.restate(MessageId(2), "Goodbye."));
        assert_eq!(conversation.turns()[0].shown().text, "hello");
        assert_eq!(conversation.turn(reply).expect("it is there").shown().text, "Hello.");
    }

    #[test]
    fn what_was_being_shown_was_interrupted_and_what_was_not_goes() {
        let mut conversation = conversation();
        let asked = [1, 5].map(|message| {
            let asked = conversation.hear(MemberId(1), "Bob", "hi", Some(MessageId(message)));
            in_parts(&mut conversation, if message == 1 { &["Hel"] } else { &[] }, message + 1);
            asked
        });
        assert!(!conversation.interrupt(|_| true), "they run");
        assert!(conversation.interrupt(|_| false));
        assert!(!conversation.interrupt(|_| false));
        assert_eq!(conversation.turns().len(), 2);
        assert_eq!(conversation.turns()[1].state, TurnState::Interrupted);
        assert_eq!(asked.map(|turn| conversation.turn(turn).is_some()), [true, false]);
    }

    #[test]
    fn whoever_is_forgotten_leaves_no_turn_and_no_name() {
        let mut conversation = conversation();
        conversation.hear(MemberId(1), "Bob", "hi", Some(MessageId(1)));
        in_parts(&mut conversation, &["Hello, Bob."], 2);
        conversation.hear(MemberId(2), "Ann", "me too", Some(MessageId(5)));
        in_parts(&mut conversation, &["Hello, Ann."], 6);
        // What it was said to is not there any more.
        in_parts(&mut conversation, &["Bob?"], 9);
        let asked = BTreeSet::from([MessageId(8)]);
        assert!(conversation.forget_member(MemberId(1), &asked));
        assert!(!conversation.forget_member(MemberId(1), &asked));
        let said: Vec<&str> = conversation.turns().iter().map(|turn| turn.shown().text.as_str()).collect();
        assert_eq!(said, ["me too", "Hello, Ann."]);
        assert!(conversation.take_changes().head.names.iter().all(|(_, name)| name != "Bob"));
    }

    #[test]
    fn no_turn_is_older_than_the_one_before_it() {
        let mut conversation = conversation();
        for now in [100, 50, 200] {
            conversation.now = now;
            conversation.hear(MemberId(1), "Bob", "hi", None);
        }
        assert_eq!(conversation.turns().iter().map(|turn| turn.said).collect::<Vec<_>>(), [100, 100, 200]);
    }

    #[test]
    fn the_window_begins_at_the_cut() {
        let mut conversation = conversation();
        for number in 0..4 {
            conversation.hear(MemberId(1), "Bob", "hi", Some(MessageId(number)));
        }
        conversation.cut.first_turn = 2;
        assert_eq!(conversation.window().len(), 2);
        assert_eq!(conversation.window()[0].parts[0].message, MessageId(2));
    }
}
