//! Mummer: a Discord bot that puts on personas.

pub mod chat;
pub mod engine;
pub mod generation;
pub mod persona;
