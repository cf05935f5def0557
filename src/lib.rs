//! Mummer: a Discord bot that puts on personas.

pub mod assistant;
pub mod bot;
pub mod chat;
pub mod config;
pub mod engine;
pub mod generation;
pub mod persona;
