//! A chat from elsewhere becomes the history of a scene.

use super::{Chat, LARGEST_CHAT, LARGEST_TEXT, Line, Who};
use crate::chat::history::{Conversation, Speaker, TurnKind, TurnState, Variant};
use crate::chat::{MemberId, sanitize};
use crate::persona::macros::{self, Context};

impl Chat {
    /// Whether somebody's lines are in it beside those of its head's user, and of whom this is so.
    #[must_use]
    pub fn characters(&self) -> Vec<&Line> {
        let mut characters: Vec<&Line> = Vec::new();
        for line in self.lines.iter().filter(|line| line.who == Who::Character) {
            if !characters.iter().any(|known| known.name == line.name && known.persona == line.persona) {
                characters.push(line);
            }
        }
        characters
    }

    /// Writes the chat into an empty conversation: the lines of its user are the member's who has brought it along, those of
    /// characters whom `known` knows, with their names, are theirs, and all others are guests'. Each was said when the chat says it, but not after
    /// `now`; with `is_new` everything is said now. What is hidden from models is left out.
    pub fn take_in(
        &self,
        conversation: &mut Conversation,
        by: MemberId,
        known: impl Fn(&Line) -> Option<(Speaker, String)>,
        (now, is_new): (u64, bool),
    ) {
        let user = sanitize::name(&self.user);
        // Whatever stands for somebody's name is longer than the name: no more is written down than could be read.
        let mut room = LARGEST_CHAT;
        for line in self.lines.iter().filter(|line| line.who != Who::Hidden) {
            let guest = || (Speaker::Guest { by, name: sanitize::name(&line.name) }, line.name.clone());
            // Whoever tells what happens has no name of their own.
            let own = || (Speaker::Member(by), self.user.clone());
            let (kind, (speaker, name)) = match line.who {
                Who::User if line.name == self.user => (TurnKind::Member, own()),
                Who::User => (TurnKind::Member, guest()),
                Who::Character => (TurnKind::Persona, known(line).unwrap_or_else(guest)),
                Who::Narrator => (TurnKind::Narrator, own()),
                Who::Note | Who::Hidden => (TurnKind::Note, own()),
            };
            let character = sanitize::name(&line.name);
            let names = Context::of_names(&character, &user);
            let mut variant = |text: &String| {
                let expanded = macros::expand(text, names);
                let fits = expanded.len() <= LARGEST_TEXT && expanded.len() <= room;
                let text = if fits { expanded.trim() } else { text.trim() };
                room = room.saturating_sub(text.len());
                Variant { text: text.to_owned(), ..Variant::default() }
            };
            conversation.now = if is_new { now } else { line.said.min(now) };
            let first = conversation.turns().is_empty();
            let id = conversation.push(
                kind,
                speaker,
                &name,
                Variant::default(),
                TurnState::Complete,
                None,
                Vec::new(),
            );
            if let Some(turn) = conversation.turn_mut(id) {
                turn.variants = line.ways.iter().map(&mut variant).collect();
                turn.selected = line.selected.min(turn.variants.len().saturating_sub(1));
                if turn.variants.is_empty() {
                    turn.variants.push(Variant::default());
                }
            }
            if first && kind == TurnKind::Persona {
                conversation.greet(id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::history::ConversationId;
    use crate::persona::PersonaId;

    const CHAT: &str = concat!(
        r#"{"user_name":"Mira","character_name":"Ada","create_date":"2024-01-05T12:30:00Z","chat_metadata":{}}"#,
        "\n",
        r#"{"name":"Ada","is_user":false,"send_date":"2024-01-05T12:30:00Z","mes":"Hello, {{user}}.","swipes":["Hello, {{user}}.","Hm."],"swipe_id":0}"#,
        "\n",
        r#"{"name":"Mira","is_user":true,"send_date":"2024-01-05T12:31:00Z","mes":"Hi."}"#,
        "\n",
        r#"{"name":"Zoe","is_user":true,"send_date":"2024-01-05T12:32:00Z","mes":"Me too."}"#,
        "\n",
        r#"{"name":"Bob","is_user":false,"send_date":"2024-01-05T12:33:00Z","mes":"Who?"}"#,
        "\n",
        r#"{"name":"Mira","is_user":true,"is_system":true,"send_date":"2024-01-05T12:34:00Z","mes":"secret"}"#,
    );

    fn taken_in() -> Conversation {
        let (chat, _) = Chat::parse(CHAT.as_bytes()).expect("it is a chat");
        let ada = Speaker::Persona { id: PersonaId("ada".to_owned()), version: "1".to_owned() };
        let mut conversation = Conversation::new(ConversationId(1), 1, 0, ada.clone(), "Ada");
        let known = |line: &Line| (line.name == "Ada").then(|| (ada.clone(), "Ada".to_owned()));
        chat.take_in(&mut conversation, MemberId(7), known, (2_000_000_000, false));
        conversation
    }

    #[test]
    fn whoever_is_here_speaks_and_the_others_are_guests() {
        let conversation = taken_in();
        let said: Vec<(TurnKind, Option<MemberId>, &str, &str)> = conversation
            .turns()
            .iter()
            .map(|turn| (turn.kind, turn.speaker.member(), turn.name.as_str(), turn.shown().text.as_str()))
            .collect();
        let member = Some(MemberId(7));
        assert_eq!(
            said,
            [
                (TurnKind::Persona, None, "Ada", "Hello, Mira."),
                (TurnKind::Member, member, "Mira", "Hi."),
                (TurnKind::Member, member, "Zoe", "Me too."),
                (TurnKind::Persona, member, "Bob", "Who?"),
            ]
        );
        assert_eq!((conversation.turns()[0].variants.len(), conversation.greeting()), (2, Some(0)));
    }

    #[test]
    fn what_was_taken_in_goes_out_as_it_came() {
        let (came, _) = Chat::parse(CHAT.as_bytes()).expect("it is a chat");
        let goes = Chat::of(&taken_in(), "", None);
        let lines = |chat: &Chat| -> Vec<(String, Who, u64, usize)> {
            let shown = chat.lines.iter().filter(|line| line.who != Who::Hidden);
            shown.map(|line| (line.name.clone(), line.who, line.said, line.ways.len())).collect()
        };
        assert_eq!(lines(&came), lines(&goes));
        assert_eq!((goes.user.as_str(), goes.character.as_str()), ("Mira", "Ada"));
    }

    #[test]
    fn long_names_do_not_make_a_small_file_large() {
        let head = format!(
            r#"{{"user_name":"{}","character_name":"Ada","chat_metadata":{{}}}}"#,
            "x".repeat(100_000)
        );
        let line = r#"{"name":"Ada","is_user":false,"mes":"{{user}}{{user}}{{user}}"}"#;
        let text = std::iter::once(head.as_str())
            .chain(std::iter::repeat_n(line, 500))
            .collect::<Vec<_>>()
            .join("\n");
        let (chat, _) = Chat::parse(text.as_bytes()).expect("it is a chat");
        let ada = Speaker::Persona { id: PersonaId("ada".to_owned()), version: "1".to_owned() };
        let mut conversation = Conversation::new(ConversationId(1), 1, 0, ada, "Ada");
        chat.take_in(&mut conversation, MemberId(7), |_| None, (1, true));
        assert!(conversation.weight() < 1 << 20, "{} bytes", conversation.weight());
    }

    #[test]
    fn whoever_is_forgotten_takes_the_guests_along() {
        let mut conversation = taken_in();
        assert!(conversation.forget_member(MemberId(7), &std::collections::BTreeSet::new()));
        assert_eq!(conversation.turns().len(), 1);
    }
}
