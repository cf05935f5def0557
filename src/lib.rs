//! Mummer: a Discord bot that puts on personas, with a language model in the same process.
//!
//! ```text
//!  Discord gateway                                                 Discord REST
//!       │ event                                                          ▲ send, edit
//!       ▼                                                                │
//!  bot::events ──Incoming──▶ assistant ──Request──▶ Generator ──Event──▶ chat::reply ──ReplyAction──▶ bot::sender
//!  (translate)               (the conductor)         │                   (pure, clock passed in)
//!                              │         │           └── engine: one thread that owns the model
//!                     chat  persona  store
//! ```
//!
//! # Rooms
//!
//! | room | owns | may use |
//! | --- | --- | --- |
//! | [`cli`] | the command line, wiring, shutdown | all |
//! | [`bot`] | Discord: events in, actions out; a file for each slash command | assistant, admin, chat, persona |
//! | [`assistant`] | the conductor; live conversations; one reply at a time in each | chat, persona, store, generation |
//! | [`admin`] | what admins decide in Discord, and who may | store, chat, persona |
//! | [`chat`] | plain types and pure functions: addressing, history, budget, prompt, template, reply, split | persona |
//! | [`persona`] | the persona type, its files, character cards, lorebooks, macros, the library | |
//! | [`generation`] | the seam: requests, events, the [`generation::Generator`] trait | chat's prompt |
//! | [`engine`] | the generator in this process: queue, worker, scheduler, pages and prefix tree, model, tokenizer, sampling; the built-in model | generation |
//! | [`store`] | what survives a restart, in one `SQLite` file | types of chat and persona |
//! | [`config`] | settings, read and checked | types of chat and persona |
//! | [`telemetry`] | the log | |
//!
//! `tests/architecture.rs` holds the rooms apart.
//!
//! # What must never happen
//!
//! 1. The engine never knows Discord; Discord never knows candle.
//! 2. Only the template writes structure into a prompt: [`chat::template`], [`chat::sanitize`].
//! 3. Nothing shown is taken back: [`chat::reply`].
//! 4. Every queue is bounded, and a full one says no.
//! 5. Dropping a [`generation::Ticket`] or a [`generation::Generation`] cancels it; there are no cancel messages.
//! 6. One generation at a time in a conversation, and its prompt is built when its turn comes.
//! 7. A failure costs one reply and is said; the engine's thread survives it.
//! 8. What a member saw is what is remembered.
//! 9. Nobody is pinged, and no link hides where it leads.
//! 10. Neither the token nor message text is logged.

pub mod admin;
pub mod assistant;
pub mod bot;
pub mod chat;
pub mod cli;
pub mod config;
pub mod engine;
pub mod generation;
pub mod persona;
pub mod store;
pub mod telemetry;
