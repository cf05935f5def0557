//! The bot as a whole: against a fake Discord, with tiny models, through its command line. One program, so that it is
//! linked once.

use std::alloc::System;

use cap::Cap;

mod admin;
mod answering;
mod bench;
mod branching;
mod buttons;
mod chaos;
mod cli;
mod commands;
mod crash;
mod discord;
mod engine;
mod engine_files;
mod engine_tokenizer;
mod faces;
mod fake_discord;
mod faults;
mod fuzz;
mod guide;
mod lines;
mod long_memory;
mod main_job;
mod memory;
mod personas;
mod privacy;
mod replay;
mod roleplay;
mod server_personas;
mod settings;
mod stage;
mod taking_home;
mod tiny_model;
mod understudy;

/// Counts what is allocated; it limits nothing.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);
