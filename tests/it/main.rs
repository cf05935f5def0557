//! Integration tests: the bot against a fake Discord.

mod discord;
mod fake_discord;
