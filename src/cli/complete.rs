//! `mummer complete`: a text goes in, its continuation comes out.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use serde_json::json;

use super::{Broken, Mistake, loading, remark};
use crate::config::Config;
use crate::engine::EngineOptions;
use crate::generation::{
    Class, Event, Failure, FailureKind, Finish, Finished, Generator as _, Meta, Prompt, Request, Sampling,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// File with the prompt, taken byte for byte; - is standard input
    #[arg(long, value_name = "FILE")]
    prompt_file: PathBuf,
    /// 0 takes the likeliest token always
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f32,
    /// Most new tokens
    #[arg(long, value_name = "N", default_value_t = 256)]
    max_tokens: usize,
    /// Seed of the random numbers
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print an object with text, ids, finish reason and times instead of the bare text
    #[arg(long)]
    json: bool,
}

/// Prints the continuation, and nothing else, on standard output.
pub(super) fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if !(0.0..=5.0).contains(&arguments.temperature) || arguments.max_tokens == 0 {
        return Err(Mistake("--temperature must be 0 to 5, and --max-tokens at least 1".to_owned()).into());
    }
    let bytes = read_prompt(&arguments.prompt_file)?;
    if bytes.is_empty() {
        return Err(Mistake(
            "the prompt file is empty; write the text into it that is to be continued".to_owned(),
        )
        .into());
    }
    // The bare model: what it would write is printed, control tokens included.
    let options = EngineOptions { control_tokens: true, ..loading::options(config) };
    let engine = loading::engine(config, options, remark)?;
    // The generator writes the beginning-of-text token itself.
    let ids = engine.encode_bytes(&bytes).split_off(1);
    let mut prompt = Prompt::default();
    prompt.generated(String::from_utf8_lossy(&bytes), ids);
    let sampling =
        Sampling { temperature: arguments.temperature, seed: arguments.seed, ..Sampling::default() };
    let request =
        Request { prompt, min_tokens: 0, max_tokens: arguments.max_tokens, sampling, stop: Vec::new() };
    let runtime =
        tokio::runtime::Builder::new_current_thread().build().context("the runtime could not be started")?;
    let print = |text: &str| {
        let mut stdout = std::io::stdout();
        if arguments.json { Ok(()) } else { stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) }
    };
    let mut text = String::new();
    let outcome = runtime.block_on(async {
        let mut ticket = engine.reserve(META)?;
        ticket.turn().await?;
        let mut generation = ticket.start(request);
        while let Some(event) = generation.next().await {
            match event {
                Event::Delta { text: more, .. } => {
                    print(&more).context("standard output is gone")?;
                    text.push_str(&more);
                }
                Event::Finished(finished) => return Ok(finished),
                Event::Failed(Failure { kind: FailureKind::TooLong { have, limit }, .. }) => {
                    bail!("the prompt takes {have} tokens, and this model reads {limit} at most; shorten it")
                }
                Event::Failed(failure) => return Err(failure.into()),
                _ => {}
            }
        }
        bail!("the generation ended without an end")
    });
    engine.shutdown();
    if engine.is_broken() {
        return Err(Broken.into());
    }
    let finished = outcome?;
    if arguments.json {
        writeln!(std::io::stdout(), "{}", report(&text, &finished)).context("standard output is gone")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The only request there is.
const META: Meta = Meta {
    request: 1,
    conversation: 1,
    member: 1,
    server: 0,
    class: Class::Interactive,
    deadline: None,
    estimated_tokens: 0,
};

fn read_prompt(path: &PathBuf) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?;
    } else {
        bytes = std::fs::read(path)
            .with_context(|| format!("the prompt file {} cannot be read; check the path", path.display()))?;
    }
    Ok(bytes)
}

fn report(text: &str, finished: &Finished) -> serde_json::Value {
    let reason = match &finished.reason {
        Finish::Eos => "eos",
        Finish::Stop(_) => "stop",
        Finish::Length => "length",
        Finish::ContextFull => "context_full",
        Finish::Cancelled => "cancelled",
        Finish::Shutdown => "shutdown",
    };
    json!({
        "text": text,
        "ids": finished.ids,
        "finish_reason": reason,
        "prompt_tokens": finished.usage.prompt_tokens,
        "prefill_seconds": finished.timings.prefill.as_secs_f64(),
        "decode_seconds": finished.timings.decode.as_secs_f64(),
    })
}
