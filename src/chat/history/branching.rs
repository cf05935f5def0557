//! Where a conversation is cut short, and where another one branches off.

use super::{Conversation, ConversationId, Turn, TurnId, TurnState};
use crate::chat::scene::SceneState;
use crate::chat::{MemberId, MessageId};

impl Conversation {
    /// Takes a turn and all that came after it out of the history, and returns them, oldest first. What prompts had left out
    /// before it may be in them again.
    pub fn forget_from(&mut self, id: TurnId) -> Vec<Turn> {
        let gone: Vec<Turn> = self.turns.iter().filter(|turn| turn.id >= id).cloned().collect();
        self.forget_all(|turn| turn.id >= id);
        if self.cut.first_turn >= id.0 {
            self.cut.first_turn = 0;
        }
        gone
    }

    /// Another conversation that has everything of this one up to a turn, and goes on from there by itself. When it is a scene,
    /// `host` has opened it. `None` when there is no such turn.
    #[must_use]
    pub fn branch(&self, id: ConversationId, seed: u64, to: TurnId, host: MemberId) -> Option<Self> {
        self.turn(to)?;
        let turns: Vec<Turn> = self.turns.iter().filter(|turn| turn.id <= to).map(copied).collect();
        let changed = turns.iter().map(|turn| turn.id).collect();
        let mut branch = Self {
            id,
            seed,
            row: None,
            next_turn: to.0 + 1,
            turns,
            changed,
            head_changed: true,
            memories_changed: true,
            ..self.clone()
        };
        branch.forget_memories(|link| link.turn > to);
        // What is not told has lost the turns that come later, and one of the branch's own will have the number of the last of them.
        for memory in &mut branch.memories {
            memory.until = memory.links.last().map_or(memory.until, |link| link.turn);
        }
        if branch.cut.first_turn > to.0 {
            branch.cut.first_turn = 0;
        }
        if let Some(scene) = &mut branch.scene {
            scene.state = SceneState::Running;
            scene.host = Some(host);
        }
        branch.forget_names();
        Some(branch)
    }

    /// What was said in a message is gone where it was said, and what was copied from there goes too. Whether there was anything.
    pub fn forget_copy(&mut self, message: MessageId) -> bool {
        self.forget_all(|turn| turn.copy_of == Some(message))
    }

    /// A member has changed what a message says from which something was copied. Whether that changes anything.
    pub fn restate_copy(&mut self, message: MessageId, text: &str) -> bool {
        let copy = self.turns.iter().find(|turn| turn.copy_of == Some(message)).map(|turn| turn.id);
        copy.is_some_and(|copy| self.restate_turn(copy, text))
    }
}

/// A turn as a branch has it: it is shown nowhere.
fn copied(turn: &Turn) -> Turn {
    let copy_of = turn.parts.first().map(|part| part.message).or(turn.copy_of);
    // Nobody goes on with it there.
    let state = if turn.state.is_unfinished() { TurnState::Interrupted } else { turn.state };
    Turn { parts: Vec::new(), copy_of, state, ..turn.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::history::{Part, Speaker};
    use crate::chat::memory::{Link, Memory};
    use crate::chat::scene::Scene;
    use crate::persona::PersonaId;

    fn persona() -> Speaker {
        Speaker::Persona { id: PersonaId("hermes".to_owned()), version: "1".to_owned() }
    }

    /// Bob says something, Hermes answers, Ann says something.
    fn conversation() -> Conversation {
        let mut conversation = Conversation::new(ConversationId(1), 7, 0, persona(), "Hermes");
        conversation.hear(MemberId(1), "Bob", "hi", Some(MessageId(10)));
        let reply = conversation.begin_reply(persona(), "Hermes", Some(MessageId(10)));
        let turn = conversation.turn_mut(reply).expect("it is there");
        turn.parts.push(Part { message: MessageId(11), webhook: None, start: 0 });
        turn.shown_mut().text = "Hello, Bob.".to_owned();
        turn.state = TurnState::Complete;
        conversation.hear(MemberId(2), "Ann", "me too", Some(MessageId(12)));
        conversation
    }

    fn said(conversation: &Conversation) -> Vec<&str> {
        conversation.turns().iter().map(|turn| turn.shown().text.as_str()).collect()
    }

    #[test]
    fn what_is_forgotten_from_a_turn_on_is_the_end() {
        let mut conversation = conversation();
        conversation.cut.first_turn = 1;
        let gone = conversation.forget_from(TurnId(1));
        assert_eq!(gone.iter().map(|turn| turn.id.0).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(said(&conversation), ["hi"]);
        assert_eq!(conversation.window().len(), 1, "it is in prompts again");
        assert_eq!(conversation.take_changes().gone.len(), 2);
        assert!(conversation.forget_from(TurnId(1)).is_empty());
    }

    #[test]
    fn a_branch_has_what_was_said_and_nothing_of_what_comes_later() {
        let mut conversation = conversation();
        conversation.stage(Scene { state: SceneState::Ended, ..Scene::new("A storm", MemberId(2), 0) });
        drop(conversation.take_changes());
        let mut branch =
            conversation.branch(ConversationId(2), 8, TurnId(1), MemberId(1)).expect("it is there");
        assert_eq!(said(&branch), ["hi", "Hello, Bob."]);
        let copies: Vec<_> = branch.turns().iter().map(|turn| turn.copy_of).collect();
        assert_eq!(copies, [Some(MessageId(10)), Some(MessageId(11))]);
        assert!(branch.turns().iter().all(|turn| turn.parts.is_empty()));
        let scene = branch.scene().expect("it is one");
        assert_eq!((scene.state, scene.host), (SceneState::Running, Some(MemberId(1))));
        let changes = branch.take_changes();
        assert_eq!((changes.turns.len(), changes.head.id, changes.head.seed), (2, ConversationId(2), 8));
        assert!(changes.head.names.iter().all(|(_, name)| name != "Ann"), "she has said nothing in it");
        assert_eq!(said(&conversation).len(), 3, "the source is as it was");
        assert!(conversation.branch(ConversationId(2), 8, TurnId(9), MemberId(1)).is_none());
    }

    #[test]
    fn what_is_not_told_ends_where_the_branch_begins() {
        let mut conversation = conversation();
        let link = |turn| Link { turn: TurnId(turn), member: Some(MemberId(1)), said: 0 };
        let links = (0..3).map(link).collect();
        conversation.memories = vec![Memory { until: TurnId(2), text: String::new(), links, editor: None }];
        let branch = conversation.branch(ConversationId(2), 8, TurnId(1), MemberId(1)).expect("it is there");
        let ends: Vec<TurnId> = branch.memories().iter().map(|memory| memory.until).collect();
        assert_eq!(ends, [TurnId(1)], "the next turn there has the number 2");
    }

    #[test]
    fn what_is_changed_or_deleted_at_the_source_is_in_the_branch_too() {
        let mut branch =
            conversation().branch(ConversationId(2), 8, TurnId(2), MemberId(1)).expect("it is there");
        assert!(branch.restate_copy(MessageId(12), "not me"));
        assert!(!branch.restate_copy(MessageId(12), "not me"), "that is what it says");
        assert!(!branch.restate_copy(MessageId(11), "Goodbye."), "members change their own words only");
        assert!(branch.forget_copy(MessageId(11)) && !branch.forget_copy(MessageId(11)));
        assert_eq!(said(&branch), ["hi", "not me"]);
        // A branch of a branch follows the first source.
        let again = branch.branch(ConversationId(3), 9, TurnId(2), MemberId(1)).expect("it is there");
        assert_eq!(again.turns()[1].copy_of, Some(MessageId(12)));
    }

    #[test]
    fn whoever_is_forgotten_leaves_nothing_in_a_branch() {
        let mut branch =
            conversation().branch(ConversationId(2), 8, TurnId(2), MemberId(1)).expect("it is there");
        assert!(branch.forget_member(MemberId(1), &std::collections::BTreeSet::new()));
        assert_eq!(said(&branch), ["me too"]);
    }
}
