//! A chat from elsewhere becomes the history of a scene.

use serde_json::{Map, Value, json};

use super::{Chat, LARGEST_CHAT, LARGEST_TEXT, Line, OURS, Role, Who, put_object, take_object};
use crate::chat::blocklist::Blocklist;
use crate::chat::history::{Conversation, Speaker, TurnKind, TurnState, Variant};
use crate::chat::{MemberId, sanitize};
use crate::persona::PersonaId;
use crate::persona::macros::{self, Context};

impl Chat {
    /// Whom personas would play, in the order of their turns. Where no Mummer has written the file, the head's character comes first.
    #[must_use]
    pub fn roles(&self) -> Vec<Role> {
        let lead = Role { name: self.character.clone(), persona: None };
        let lead = self.cast.is_empty().then_some(lead);
        let spoken = self.lines.iter().filter(|line| line.who == Who::Character).map(Line::role);
        let mut roles: Vec<Role> = Vec::new();
        for role in self.cast.iter().cloned().chain(lead).chain(spoken) {
            match roles.iter_mut().find(|known| known.is_same(&role)) {
                // What is known of one of its lines is known of it.
                Some(known) => known.persona = known.persona.take().or(role.persona),
                None => roles.push(role),
            }
        }
        roles
    }

    /// Lets something change all that Mummer will show of it.
    pub fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        let Self { user, character, scenario, note, title, cast, players, lines, .. } = self;
        for text in
            [user, character, scenario, title].into_iter().chain(note.iter_mut().map(|note| &mut note.text))
        {
            change(text);
        }
        for role in cast {
            change(&mut role.name);
        }
        for player in players {
            change(&mut player.name);
            change(&mut player.description);
        }
        for line in lines {
            change(&mut line.name);
            line.ways.iter_mut().for_each(&mut change);
        }
    }

    /// Writes the chat into an empty conversation: the lines of its user are the member's who has brought it along, those of
    /// characters whom `known` knows, with their names, are theirs, and all others are guests'. Each was said when the chat says it, but not after
    /// `now`; with `is_new` everything is said now. What is hidden from models stays so, where it stands. What macros bring about is
    /// not said where it is blocked.
    pub fn take_in(
        &self,
        conversation: &mut Conversation,
        (by, blocklist): (MemberId, &Blocklist),
        known: impl Fn(&Role) -> Option<(Speaker, String)>,
        (now, is_new): (u64, bool),
    ) {
        if !is_new && self.created > 0 {
            conversation.created = self.created.min(now);
        }
        let user = sanitize::name(&self.user);
        // Whatever stands for somebody's name is longer than the name: no more is written down than could be read.
        let mut room = LARGEST_CHAT;
        for line in &self.lines {
            let guest = || (Speaker::Guest { by, name: sanitize::name(&line.name) }, line.name.clone());
            let own =
                || Some((Speaker::Member(by), self.user.clone())).filter(|(_, name)| *name == line.name);
            let (kind, speaker) = match line.who {
                Who::User => (TurnKind::Member, own()),
                Who::Character => (TurnKind::Persona, known(&line.role())),
                // It is whoever has brought it along who says it here, and takes it along.
                Who::Narrator => (TurnKind::Narrator, own()),
                Who::Note => (TurnKind::Note, own()),
                Who::Hidden => (TurnKind::Hidden, own()),
            };
            let (speaker, name) = speaker.unwrap_or_else(guest);
            let character = sanitize::name(&line.name);
            let names = Context::of_names(&character, &user);
            let mut variant = |text: &String| {
                // What nobody here reads is given back as it came.
                let text = if kind == TurnKind::Hidden {
                    text.clone()
                } else {
                    let mut expanded = macros::expand(text, names);
                    if expanded != *text {
                        let _ = blocklist.replace(&mut expanded, 0, true);
                    }
                    let fits = expanded.len() <= LARGEST_TEXT && expanded.len() <= room;
                    let text = if fits { expanded.trim() } else { text.trim() };
                    text.to_owned()
                };
                room = room.saturating_sub(text.len());
                Variant { text, ..Variant::default() }
            };
            conversation.now = if is_new { now } else { line.said.min(now) };
            let first = conversation.turns().iter().all(|turn| turn.kind == TurnKind::Hidden);
            let rest = line.carried(speaker.persona().is_some());
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
                if !rest.is_empty() {
                    turn.carry(json!(rest).to_string(), by);
                }
                // What prompts do not name keeps the name that it has elsewhere.
                if !matches!(kind, TurnKind::Member | TurnKind::Persona) {
                    turn.name.clone_from(&line.name);
                }
            }
            if first && kind == TurnKind::Persona && !self.is_cut {
                conversation.greet(id);
            }
        }
    }
}

impl Line {
    /// What is to be given back with it; also whose it was, where no persona of Mummer's `is_known` to have said it.
    fn carried(&self, is_known: bool) -> Map<String, Value> {
        let mut rest = self.rest.clone();
        if let Some(PersonaId(id)) = self.persona.as_ref().filter(|_| !is_known) {
            let mut extra = take_object(&mut rest, "extra");
            let mut ours = take_object(&mut extra, OURS);
            ours.insert("persona".to_owned(), json!(id));
            put_object(&mut extra, OURS, ours);
            put_object(&mut rest, "extra", extra);
        }
        rest
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
        let known = |role: &Role| (role.name == "Ada").then(|| (ada.clone(), "Ada".to_owned()));
        chat.take_in(&mut conversation, (MemberId(7), &Blocklist::default()), known, (2_000_000_000, false));
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
                (TurnKind::Hidden, member, "Mira", "secret"),
            ]
        );
        assert_eq!((conversation.turns()[0].variants.len(), conversation.greeting()), (2, Some(0)));
    }

    #[test]
    fn what_was_taken_in_goes_out_as_it_came() {
        let (came, _) = Chat::parse(CHAT.as_bytes()).expect("it is a chat");
        let goes = Chat::of(&taken_in());
        let lines = |chat: &Chat| -> Vec<(String, Who, u64, usize)> {
            chat.lines.iter().map(|line| (line.name.clone(), line.who, line.said, line.ways.len())).collect()
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
        chat.take_in(&mut conversation, (MemberId(7), &Blocklist::default()), |_| None, (1, true));
        assert!(conversation.weight() < 1 << 20, "{} bytes", conversation.weight());
    }

    #[test]
    fn whoever_is_forgotten_takes_the_guests_along() {
        let mut conversation = taken_in();
        assert!(conversation.forget_member(MemberId(7), &std::collections::BTreeSet::new()));
        assert_eq!(conversation.turns().len(), 1);
    }
}
