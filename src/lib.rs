//! Mummer: a Discord bot that puts on personas.

pub mod assistant;
pub mod bot;
pub mod chat;
pub mod cli;
pub mod config;
pub mod engine;
pub mod generation;
pub mod persona;
pub mod telemetry;
