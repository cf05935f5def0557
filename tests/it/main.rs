//! Integration tests: the bot against a fake Discord, the engine on tiny models.

mod discord;
mod engine;
mod engine_files;
mod engine_tokenizer;
mod fake_discord;
mod tiny_model;
