//! `mummer replay`: a bug bundle goes in, and whether the same tokens would be chosen now comes out.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{is_unread, loading, remark, sentence};
use crate::config::Config;
use crate::engine::{EngineOptions, NOISE, Otherwise, Replay, Replayed};
use crate::generation::bundle::{Bundle, MOST_BYTES, machine};
use crate::persona::visible;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The bug bundle that the bot gives; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Go on when another model made the reply than the one that runs here
    #[arg(long)]
    any_model: bool,
    /// Print an object instead of sentences
    #[arg(long)]
    json: bool,
}

/// It cannot be replayed, and a script must not take that for a difference.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreplayable(String);

/// Replays a bug bundle, and prints what comes of it on standard output.
pub(super) fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let replayed = replay(config, arguments);
    replayed.map_err(|error| if is_unread(&error) { error } else { Unreplayable(sentence(&error)).into() })
}

fn replay(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let bundle = Bundle::read(&read(&arguments.file)?)
        .with_context(|| format!("{} cannot be replayed", arguments.file.display()))?;
    // It must have room for what it had room for then, and for no more.
    let context_length = Some(bundle.context_length);
    let options = EngineOptions { context_length, ..loading::options(config) };
    let replay = Replay::open(loading::origin(config, remark), options)?;
    let info = replay.info();
    if info.id != bundle.model && !arguments.any_model {
        let (wanted, here) = (&bundle.model, &info.id);
        anyhow::bail!(
            "the model {wanted} made the reply, and {here} ({}) runs here: name its file with --model, or say --any-model",
            info.name
        );
    }
    let Some(recorded) = bundle.chosen(info.eos) else {
        anyhow::bail!("the tokens of the reply are not in the bundle, so there is nothing to compare");
    };
    let replayed = made_again(&replay, &bundle, &recorded)?;
    let outcome = Outcome { replay: &replay, bundle: &bundle, replayed: &replayed };
    let text = if arguments.json { format!("{:#}\n", outcome.report()) } else { outcome.sentences() };
    std::io::stdout().write_all(text.as_bytes()).context("standard output is gone")?;
    Ok(if replayed.first.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn made_again(replay: &Replay, bundle: &Bundle, recorded: &[u32]) -> anyhow::Result<Replayed> {
    let loading = loading::bar("Loading {wide_bar} {bytes}/{total_bytes}, {eta} left");
    let reading = loading::bar("Reading {wide_bar} {pos}/{len} tokens, {eta} left");
    let replayed = replay.run(
        &bundle.request(),
        recorded,
        |progress| {
            loading.set_length(progress.total);
            loading.set_position(progress.done);
        },
        |done, total| {
            loading.finish_and_clear();
            reading.set_length(total as u64);
            reading.set_position(done as u64);
        },
    );
    loading.finish_and_clear();
    reading.finish_and_clear();
    Ok(replayed?)
}

/// The bytes of the file, and a few more than it may have when it has more.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let most = MOST_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("the file {} cannot be read; check the path", path.display()))?;
    Ok(bytes)
}

/// What came of a bundle.
struct Outcome<'a> {
    replay: &'a Replay,
    bundle: &'a Bundle,
    replayed: &'a Replayed,
}

impl Outcome<'_> {
    /// For people.
    fn sentences(&self) -> String {
        let Replayed { compared, others, first, .. } = self.replayed;
        let said = match first {
            None => format!("The sampler chooses the same {compared} tokens."),
            Some(first) => self.otherwise(first, *compared, *others),
        };
        let (then, now) = (&self.bundle.machine, machine(self.replay.info()));
        let machines = if *then == now {
            format!("Made and replayed by {now}.")
        } else {
            format!("Made by {then}; replayed by {now}.")
        };
        let lines = [said, machines].into_iter().chain(self.remarks());
        let lines: Vec<String> = lines.map(|line| visible(&line)).collect();
        lines.join("\n") + "\n"
    }

    fn otherwise(&self, first: &Otherwise, compared: usize, others: usize) -> String {
        let Otherwise { index, recorded, chosen, lead, reach } = *first;
        let named = |id: u32| {
            if id == self.replay.info().eos {
                return format!("{id}, the end of the text,");
            }
            format!("{id} {:?}", self.replay.text_of(id))
        };
        let chosen = chosen.map_or_else(|| "nothing".to_owned(), named);
        let lead = match lead {
            Some(lead) if lead < 0.0 => {
                format!("the lot falls on it, though its logit after penalties is less by {:.4}", -lead)
            }
            Some(lead) => format!("its logit after penalties is greater by {lead:.4}"),
            None => format!("{recorded} may not be chosen there"),
        };
        let reach = match reach {
            Some(reach) if first.is_noise() => format!(
                "Logits that are off by {reach:.4} would choose the recorded one: another device may well have done so."
            ),
            Some(reach) => format!(
                "Logits would have to be off by {reach:.4} for the recorded one, more than devices differ ({NOISE})."
            ),
            None => "Nothing that devices differ in would choose the recorded one.".to_owned(),
        };
        format!(
            "The sampler chooses otherwise at token {} of {compared}: {chosen} instead of the recorded {}; {lead}. {reach} \
             Tokens that would be others, the recorded ones before them given: {others}.",
            index + 1,
            named(recorded).trim_end_matches(','),
        )
    }

    /// What should be known before anything is concluded.
    fn remarks(&self) -> Vec<String> {
        let (read, was) = (self.replayed.prompt_tokens, self.bundle.prompt_tokens);
        let reads = (read != was && self.bundle.is_exact)
            .then(|| format!("This Mummer reads the prompt as {read} tokens, and it was {was}."));
        let other_model = (self.replay.info().id != self.bundle.model)
            .then(|| "Another model made the reply than the one that was asked now.".to_owned());
        self.bundle.remarks.iter().cloned().chain(reads).chain(other_model).collect()
    }

    /// For scripts.
    fn report(&self) -> Value {
        let Replayed { prompt_tokens, compared, others, first } = self.replayed;
        let token = |id: u32| json!({"id": id, "text": self.replay.text_of(id)});
        let first = first.map(|first| {
            json!({
                "index": first.index,
                "recorded": token(first.recorded),
                "chosen": first.chosen.map(token),
                "lead": first.lead,
                "reach": first.reach,
                "is_noise": first.is_noise(),
            })
        });
        json!({
            "same": first.is_none(),
            "compared": compared,
            "others": others,
            "first": first,
            "prompt_tokens": prompt_tokens,
            "is_exact": self.bundle.is_exact,
            "model": self.replay.info().id,
            "made_by": self.bundle.machine,
            "replayed_by": machine(self.replay.info()),
            "remarks": self.remarks(),
        })
    }
}
