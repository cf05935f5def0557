//! A conversation as members have it, for measuring its turns: a persona of random words, and prompts that are rendered
//! from its history as those of the bot are.

use std::fmt::Write as _;

use anyhow::Context as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::chat::history::{Conversation, ConversationId, Speaker, Tokens, TurnState, Variant};
use crate::chat::slots::Slots;
use crate::chat::{MemberId, budget, template};
use crate::engine::Engine;
use crate::generation::{Generator as _, Prompt};
use crate::persona::Persona;
use crate::persona::lorebook::Activation;

/// Texts of random words, whatever the vocabulary.
pub(super) struct Words {
    engine: Engine,
    random: ChaCha8Rng,
}

impl Words {
    pub(super) fn new(engine: Engine) -> Self {
        Self { engine, random: ChaCha8Rng::seed_from_u64(1) }
    }

    /// A text of about so many tokens. It begins with a space, as words within a text do.
    pub(super) fn text(&mut self, tokens: usize) -> String {
        let mut text = String::new();
        while self.engine.encode_bytes(text.as_bytes()).len() <= tokens {
            // Writing into memory does not fail.
            let _ = write!(text, " {}", self.random.next_u32() % 1_000);
        }
        text
    }
}

/// A persona whose part of the prompt has about so many tokens.
pub(super) fn persona(words: &mut Words, tokens: usize) -> anyhow::Result<Persona> {
    let text = format!("name = \"Ada\"\ndescription = \"{}\"\n", words.text(tokens).trim());
    Persona::from_toml("ada", &text).context("the persona of the bench is not sound")
}

/// The conversation.
pub(super) struct Talk<'a> {
    engine: &'a Engine,
    persona: &'a Persona,
    conversation: Conversation,
}

impl<'a> Talk<'a> {
    pub(super) fn new(engine: &'a Engine, persona: &'a Persona, id: u64) -> Self {
        let conversation =
            Conversation::new(ConversationId(id), 0, 0, Self::speaker(persona), persona.char_name());
        Self { engine, persona, conversation }
    }

    fn speaker(persona: &Persona) -> Speaker {
        Speaker::Persona { id: persona.id.clone(), version: persona.version.clone() }
    }

    /// Number of the conversation.
    pub(super) fn id(&self) -> u64 {
        self.conversation.id.0
    }

    /// A member says something.
    pub(super) fn hear(&mut self, text: &str) {
        self.conversation.hear(MemberId(1), "Robin", text, None);
    }

    /// The persona has said something, in the tokens of this text.
    pub(super) fn say(&mut self, text: &str) {
        let speaker = Self::speaker(self.persona);
        let id = self.conversation.begin_reply(speaker, self.persona.char_name(), None);
        let ids = self.engine.encode_bytes(text.as_bytes()).split_off(1);
        if let Some(turn) = self.conversation.turn_mut(id) {
            turn.state = TurnState::Complete;
            let tokens = Tokens { model: self.engine.info().id.clone(), ids, leading_space: true };
            *turn.shown_mut() =
                Variant { text: text.trim().to_owned(), tokens: Some(tokens), ..Variant::default() };
        }
    }

    /// Both say things, in parts of about so many tokens, until the prompt has nearly as many as `tokens`. The member has the
    /// last word.
    pub(super) fn go_on(&mut self, words: &mut Words, tokens: usize, reply: usize, message: usize) {
        self.hear(&words.text(message));
        while self.tokens() + reply + message <= tokens {
            self.say(&words.text(reply));
            self.hear(&words.text(message));
        }
    }

    /// The prompt for the next reply.
    pub(super) fn prompt(&self) -> Prompt {
        template::alpaca(&Slots::fill(
            self.persona,
            &self.conversation,
            &self.engine.info().id,
            &Activation::default(),
        ))
    }

    /// Tokens of the prompt.
    pub(super) fn tokens(&self) -> usize {
        self.engine.count(&self.prompt()).tokens()
    }

    /// Tokens of the persona's part of it.
    pub(super) fn persona_tokens(&self) -> usize {
        let mut prompt = self.prompt();
        prompt.segments.truncate(prompt.marks.persona_end);
        self.engine.count(&prompt).tokens()
    }

    /// Cuts the history as if it had just become too long.
    pub(super) fn cut(&mut self) -> anyhow::Result<()> {
        let room = self.tokens() - 1;
        let newest = self.conversation.window().last().context("nobody has said anything")?.id;
        let (engine, model) = (self.engine, &self.engine.info().id);
        let count = |prompt: &Prompt| engine.count(prompt).tokens();
        let fitted = budget::fit(self.persona, &mut self.conversation, model, room, newest, count);
        fitted.ok().context("the history cannot be cut")?;
        Ok(())
    }
}
