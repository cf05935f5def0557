//! Conversation as plain types and pure functions: no clock, no files, no network, no model.

pub mod prompt;
