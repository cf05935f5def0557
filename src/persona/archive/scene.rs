//! A scene in an archive: its chat, the cards of its personas with their pictures, and their lorebooks as world files,
//! in the directories where `SillyTavern` keeps its own.

use std::sync::Arc;

use super::{ArchiveError, is_archive, pack, unpack};
use crate::persona::{Persona, import};

/// How the name of a chat ends, and where it lies.
const CHAT: &str = ".jsonl";
const CHATS: &str = "chats";

/// Where the cards lie, and how their names may end.
const CHARACTERS: &str = "characters";
const CARDS: [&str; 3] = [".png", ".charx", ".json"];

/// Where the lorebooks lie, and how their names end.
const WORLDS: &str = "worlds";
const WORLD: &str = ".json";

/// What a scene without personas is called.
const NAMELESS: &str = "scene";

/// What lies in the archive of a scene. What the files hold has not been looked at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scene {
    /// The chat, in JSON lines.
    pub chat: Vec<u8>,
    /// Files with a card, each with the name that its persona goes by there: for [`import::import`].
    pub cards: Vec<(String, Vec<u8>)>,
    /// World files, the same way. The card of a persona has its lorebook in it too.
    pub worlds: Vec<(String, Vec<u8>)>,
    /// How many other files lie there.
    pub others: usize,
}

impl Scene {
    /// A chat with the personas that play in it.
    ///
    /// # Errors
    /// [`ArchiveError::Card`] when a card cannot be written.
    pub fn new(chat: String, personas: &[Arc<Persona>]) -> Result<Self, ArchiveError> {
        let mut scene = Self { chat: chat.into_bytes(), ..Self::default() };
        for persona in personas {
            let card = &persona.card;
            let png = import::to_png(card, persona.avatar.as_deref());
            // One whose picture is damaged gets a plain one.
            let png = png.or_else(|_| import::to_png(card, None)).map_err(|error| ArchiveError::Card {
                persona: card.name.clone(),
                problem: error.to_string(),
            })?;
            let name = scene.free_name(&persona.id.0);
            if let Some(book) = &card.lorebook {
                let world = serde_json::json!(book.to_world());
                scene.worlds.push((name.clone(), format!("{world:#}\n").into_bytes()));
            }
            scene.cards.push((name, png));
        }
        Ok(scene)
    }

    /// A name for the files of a persona that no other one has.
    fn free_name(&self, id: &str) -> String {
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
        let plain: String = id.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
        let name = if plain.trim().is_empty() { NAMELESS } else { plain.trim() };
        let is_taken = |name: &String| self.cards.iter().any(|(taken, _)| taken == name);
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        std::iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(name)).unwrap_or_default()
    }

    /// The archive of the scene.
    ///
    /// # Errors
    /// [`ArchiveError`] when it would be too large.
    pub fn pack(&self) -> Result<Vec<u8>, ArchiveError> {
        let name = self.cards.first().map_or(NAMELESS, |(name, _)| name);
        let chat = [(format!("{CHATS}/{name}{CHAT}"), self.chat.clone())];
        let within = |directory: &'static str, ending: &'static str, files: &[(String, Vec<u8>)]| {
            let file =
                |(name, bytes): &(String, Vec<u8>)| (format!("{directory}/{name}{ending}"), bytes.clone());
            files.iter().map(file).collect::<Vec<_>>()
        };
        let cards = within(CHARACTERS, ".png", &self.cards);
        let worlds = within(WORLDS, WORLD, &self.worlds);
        pack(&[&chat[..], &cards, &worlds].concat())
    }

    /// What lies in an archive; bytes that are none are a chat alone. Files are told by their names, wherever they lie but
    /// for world files, and what a system hides is left out.
    ///
    /// # Errors
    /// [`ArchiveError`] when it cannot be read, and when there is no chat in it, or more than one.
    pub fn unpack(bytes: &[u8]) -> Result<Self, ArchiveError> {
        if !is_archive(bytes) {
            return Ok(Self { chat: bytes.to_vec(), ..Self::default() });
        }
        let mut scene = Self::default();
        let mut chats = Vec::new();
        for (path, bytes) in unpack(bytes)? {
            let mut parts: Vec<&str> = path.split('/').collect();
            let is_of_a_system = parts.iter().any(|part| part.starts_with(['.']) || *part == "__MACOSX");
            let file = parts.pop().unwrap_or_default();
            let stem = |ending: &str| stem(file, ending);
            if is_of_a_system {
                scene.others += 1;
            } else if stem(CHAT).is_some() {
                chats.push(bytes);
            } else if let Some(name) = stem(WORLD).filter(|_| parts.contains(&WORLDS)) {
                scene.worlds.push((name, bytes));
            } else if let Some(name) = CARDS.into_iter().find_map(stem) {
                scene.cards.push((name, bytes));
            } else {
                scene.others += 1;
            }
        }
        let count = chats.len();
        scene.chat = chats.pop().ok_or(ArchiveError::NoChat)?;
        if count > 1 { Err(ArchiveError::ManyChats(count)) } else { Ok(scene) }
    }
}

/// The name of a file without this ending, in whatever case.
fn stem(file: &str, ending: &str) -> Option<String> {
    let (stem, found) = file.split_at_checked(file.len().checked_sub(ending.len())?)?;
    (found.eq_ignore_ascii_case(ending) && !stem.is_empty()).then(|| stem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persona::import::Imported;
    use crate::persona::lorebook::{Entry, Lorebook};
    use crate::persona::{Card, PersonaId};

    fn persona(id: &str, avatar: Option<Vec<u8>>) -> Arc<Persona> {
        let entry =
            Entry { keys: vec!["moon".to_owned()], content: "It is full.".to_owned(), ..Entry::default() };
        let card = Card {
            name: id.to_owned(),
            description: "Who?".to_owned(),
            lorebook: (id == "ada").then(|| Lorebook { entries: vec![entry], ..Lorebook::default() }),
            ..Card::default()
        };
        let avatar = avatar.map(Arc::from);
        Arc::new(Persona { id: PersonaId(id.to_owned()), version: String::new(), card, lore: None, avatar })
    }

    fn named(files: &[(String, Vec<u8>)]) -> Vec<&str> {
        files.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
        pack(&files.collect::<Vec<_>>()).expect("it is packed")
    }

    #[test]
    fn a_scene_goes_into_an_archive_and_comes_out_of_it() {
        let personas = [persona("ada", None), persona("cy", Some(b"no picture".to_vec()))];
        let scene = Scene::new("{}\n{}".to_owned(), &personas).expect("it is made");
        let packed = scene.pack().expect("it is packed");
        let files = unpack(&packed).expect("it is unpacked");
        let paths = ["chats/ada.jsonl", "characters/ada.png", "characters/cy.png", "worlds/ada.json"];
        assert_eq!(named(&files), paths);
        let back = Scene::unpack(&packed).expect("it is unpacked");
        assert_eq!(back, scene);
        for ((name, bytes), persona) in back.cards.iter().zip(&personas) {
            let imported = import::import(bytes).expect("it is a card");
            let Imported::Persona { card, avatar, .. } = imported else { panic!("{imported:?}") };
            assert_eq!((name, &card.name), (&persona.id.0, &persona.card.name));
            assert_eq!(card.lorebook, persona.card.lorebook);
            assert!(avatar.is_some());
        }
        let world = import::import(&back.worlds[0].1).expect("it is a world");
        let Imported::Lorebook(book) = world else { panic!("{world:?}") };
        assert_eq!(Some(book), personas[0].card.lorebook);
    }

    #[test]
    fn a_chat_alone_is_a_scene() {
        let scene = Scene::unpack(b"{\"mes\": \"x\"}").expect("it is a chat");
        assert_eq!(scene, Scene { chat: b"{\"mes\": \"x\"}".to_vec(), ..Scene::default() });
        assert_eq!(
            named(&unpack(&scene.pack().expect("it is packed")).expect("it is unpacked")),
            ["chats/scene.jsonl"]
        );
    }

    #[test]
    fn no_two_personas_share_a_file() {
        let ids = ["a/b", "a:b", "a-b", "..", " "];
        let personas: Vec<Arc<Persona>> = ids.iter().map(|id| persona(id, None)).collect();
        let scene = Scene::new(String::new(), &personas).expect("it is made");
        assert_eq!(named(&scene.cards), ["a-b", "a-b-2", "a-b-3", "--", "scene"]);
        assert_eq!(Scene::unpack(&scene.pack().expect("it is packed")).expect("it is unpacked"), scene);
    }

    #[test]
    fn archives_that_somebody_packed_by_hand_are_read() {
        let scene = Scene::unpack(&zip(&[
            ("My Scene/group chats/2024-1-5@12h.JSONL", b"chat"),
            ("My Scene/Ada.PNG", b"card"),
            ("My Scene/Cy.charx", b"card"),
            ("My Scene/worlds/Sea.json", b"world"),
            ("My Scene/Bob.json", b"card"),
            ("__MACOSX/My Scene/._Ada.jsonl", b"x"),
            ("My Scene/.jsonl", b"x"),
            ("My Scene/readme.txt", b"x"),
        ]))
        .expect("it is unpacked");
        assert_eq!(scene.chat, b"chat");
        assert_eq!((named(&scene.cards), named(&scene.worlds)), (vec!["Ada", "Cy", "Bob"], vec!["Sea"]));
        assert_eq!(scene.others, 3);
    }

    #[test]
    fn an_archive_has_one_chat() {
        let refused = |bytes: &[u8]| Scene::unpack(bytes).expect_err("it is refused");
        assert_eq!(refused(&zip(&[])), ArchiveError::NoChat);
        assert_eq!(refused(&zip(&[("worlds/a.json", b"x")])), ArchiveError::NoChat);
        assert_eq!(refused(&zip(&[("a.jsonl", b"x"), ("b.jsonl", b"x")])), ArchiveError::ManyChats(2));
        assert!(matches!(refused(b"PK\x03\x04"), ArchiveError::Broken(_)));
    }
}
