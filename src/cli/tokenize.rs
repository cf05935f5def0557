//! `mummer tokenize`: bytes go in, token ids come out.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

use super::{loading, remark};
use crate::config::Config;
use crate::engine::ModelTokenizer;

/// Prints the token ids of every byte of standard input as a JSON array, the beginning-of-text token first.
pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let origin = loading::origin(config, remark);
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?;
    let ids = ModelTokenizer::open(origin, &loading::options(config))?.encode_bytes(&bytes);
    writeln!(std::io::stdout(), "{}", serde_json::json!(ids)).context("standard output is gone")?;
    Ok(ExitCode::SUCCESS)
}
