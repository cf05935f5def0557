//! `mummer bench`: how fast the engine is on this machine, alone and with many channels.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use serde_json::json;

use super::{Broken, Mistake, loading, remark};
use crate::config::Config;
use crate::engine::random::{self, Mixture, Shape};
use crate::engine::{Engine, Meter};
use crate::generation::{
    Class, Event, Finished, Generation, Generator as _, Meta, Prompt, Request, Sampling,
};

/// Bytes that the bandwidth is measured with: more than the caches of most machines hold.
const BANDWIDTH_BYTES: usize = 256 << 20;

/// Tokens of the parts of a conversation's turns.
const PERSONA: usize = 600;
const REPLY: usize = 200;
const MESSAGE: usize = 50;
/// Tokens before this are marks and bytes.
const FIRST_WORD: u32 = 259;
/// Tokens before the replies of channels that speak together or beside a long prompt.
const BESIDE: usize = 256;
/// The shortest history with a persona and a message in it.
const LEAST_HISTORY: usize = 4 * MESSAGE;
/// What stands behind the history and is never kept, as `### Response:` is.
const CUE: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Random weights of this shape instead of a model
    #[arg(long, value_name = "SHAPE", value_parser = PossibleValuesParser::new(Shape::KNOWN.map(|shape| shape.name)))]
    shape: Option<String>,
    /// Types of the random weights
    #[arg(long, value_name = "MIXTURE", default_value = "q4_k_m", requires = "shape",
          value_parser = PossibleValuesParser::new(Mixture::KNOWN.map(|mixture| mixture.name)))]
    quant: String,
    /// Write the random weights into this file, and measure nothing
    #[arg(long, value_name = "FILE", requires = "shape")]
    write: Option<PathBuf>,
    /// Tokens of the prompt whose reading is measured
    #[arg(long, value_name = "N", default_value_t = 256)]
    prompt: usize,
    /// New tokens of the replies that are measured
    #[arg(long, value_name = "N", default_value_t = 64)]
    generate: usize,
    /// Channels that are answered together
    #[arg(long, value_name = "N", default_value_t = 8)]
    channels: usize,
    /// Tokens of the long conversation; less when the model's context is shorter
    #[arg(long, value_name = "N", default_value_t = 3_000)]
    history: usize,
    /// Tokens before the reply of the single channel
    #[arg(long, value_name = "N", default_value_t = 128)]
    before: usize,
    /// Measure only how fast one channel reads and speaks
    #[arg(long)]
    only_rates: bool,
    /// Print an object instead of a table
    #[arg(long)]
    json: bool,
}

/// Measures, and prints the figures on standard output.
pub(super) fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if [arguments.prompt, arguments.channels, arguments.before].contains(&0) || arguments.generate < 2 {
        let rule = "--prompt, --channels and --before must be at least 1, and --generate at least 2";
        return Err(Mistake(rule.to_owned()).into());
    }
    if let (Some(path), Some(shape)) = (&arguments.write, &arguments.shape) {
        write_random_model(path, shape, &arguments.quant)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut config = config.clone();
    config.generation.batch = config.generation.batch.max(arguments.channels);
    let _file = match &arguments.shape {
        None => None,
        Some(shape) => {
            let file = tempfile::Builder::new().prefix("mummer-").suffix(".gguf").tempfile();
            let file = file.context("no temporary file can be made; set TMPDIR to a directory with room")?;
            write_random_model(file.path(), shape, &arguments.quant)?;
            config.model.path = Some(file.path().to_owned());
            Some(file)
        }
    };
    let engine = loading::engine(&config, loading::options(&config), remark)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.context("the runtime could not be started")?;
    let measured = match Bench::new(engine.clone(), arguments) {
        Ok(bench) => runtime.block_on(bench.measure()),
        Err(mistake) => Err(mistake.into()),
    };
    engine.shutdown();
    if engine.is_broken() {
        return Err(Broken.into());
    }
    let report = measured?;
    let text = if arguments.json { format!("{report:#}\n") } else { table(&report) };
    std::io::stdout().write_all(text.as_bytes()).context("standard output is gone")?;
    Ok(ExitCode::SUCCESS)
}

/// Fills a file with random weights.
fn write_random_model(path: &Path, shape: &str, quant: &str) -> anyhow::Result<()> {
    let shape = Shape::KNOWN.iter().find(|known| known.name == shape).context("the shape is not known")?;
    let mixture = Mixture::KNOWN.into_iter().find(|known| known.name == quant);
    let mixture = mixture.context("the mixture of types is not known")?;
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("Making weights {wide_bar} {bytes}/{total_bytes}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let written = random::write(path, shape, mixture, 1, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    written.with_context(|| {
        format!(
            "the random weights cannot be written to {}; is there room, and may it be written?",
            path.display()
        )
    })
}

/// The engine, and what is asked of it.
struct Bench<'a> {
    engine: Engine,
    arguments: &'a Arguments,
    /// Tokens of the long conversation, its last message included.
    history: usize,
    random: ChaCha8Rng,
    conversations: u64,
}

/// A conversation whose prompts grow as real ones do.
#[derive(Clone)]
struct Talk {
    conversation: u64,
    persona: Vec<u32>,
    history: Vec<u32>,
}

/// When the tokens of a reply came.
struct Reply {
    asked: Instant,
    tokens: Vec<Instant>,
    end: Finished,
}

impl Reply {
    fn first_token(&self) -> f64 {
        self.tokens.first().map_or(0.0, |first| (*first - self.asked).as_secs_f64())
    }

    /// Milliseconds between neighbouring tokens.
    fn gaps(&self) -> Vec<f64> {
        self.tokens.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3).collect()
    }
}

impl<'a> Bench<'a> {
    /// Sees whether all that is to be measured fits into the model's context.
    fn new(engine: Engine, arguments: &'a Arguments) -> Result<Self, Mistake> {
        let Arguments { prompt, before, generate, history, only_rates, .. } = *arguments;
        let context = engine.info().context_length;
        let most = prompt.max(before).max(BESIDE + CUE) + generate;
        if most > context {
            let rule = "choose a lower --prompt, --before or --generate";
            return Err(Mistake(format!(
                "{most} tokens do not fit into the model's context of {context}; {rule}"
            )));
        }
        let growth = 2 * REPLY + 2 * MESSAGE + CUE;
        let history = history.min(context.saturating_sub(growth));
        if history < LEAST_HISTORY && !only_rates {
            let rule = format!("it needs {LEAST_HISTORY} at least, and a context of {growth} more");
            return Err(Mistake(format!(
                "a history of {history} tokens is too short to measure turns; {rule}"
            )));
        }
        Ok(Self { engine, arguments, history, random: ChaCha8Rng::seed_from_u64(1), conversations: 0 })
    }

    async fn measure(mut self) -> anyhow::Result<serde_json::Value> {
        let Arguments { prompt, generate, channels, before, .. } = *self.arguments;
        // The first steps also warm caches and the estimate of costs.
        self.alone(before, 4).await?;
        let read = self.alone(prompt, 1).await?;
        let prefill = rate(prompt, read.end.timings.prefill);
        let single = self.alone(before, generate).await?;
        let decode = rate(generate - 1, single.end.timings.decode);
        if self.arguments.only_rates {
            return Ok(json!({
                "model": self.engine.info().name,
                "prefill_tokens_per_second": prefill,
                "decode_tokens_per_second": decode,
            }));
        }
        let (total, overhead) = self.together(channels, generate).await?;
        let turns = self.turns().await?;
        let (alone, beside, slowed) = self.beside_a_long_prompt().await?;
        // Before the bandwidth takes memory of its own.
        let peak = peak_memory();
        let (one_thread, all_threads) = bandwidth();
        let footprint = self.engine.footprint();
        let read = footprint.weight_bytes + footprint.kv_bytes_per_token * (before + generate / 2) as u64;
        let share = read as f64 * decode / 1e9 / all_threads;
        Ok(json!({
            "model": self.engine.info().name,
            "context_length": self.engine.info().context_length,
            "prompt": prompt, "generate": generate, "channels": channels, "before": before,
            "history": self.history,
            "prefill_tokens_per_second": prefill,
            "decode_tokens_per_second": decode,
            "decode_tokens_per_second_total": total,
            "ttft_seconds": turns.seconds,
            "same_persona_computed_tokens": turns.same_persona_computed,
            "inter_token_ms": { "alone": percentiles(alone), "during_prefill": percentiles(beside) },
            "prefill_rate_kept": slowed,
            "peak_memory_bytes": peak,
            "overhead_share": overhead,
            "read_bandwidth_gb_per_second": { "one_thread": one_thread, "all_threads": all_threads },
            "bandwidth_share": share,
        }))
    }

    /// One reply to a prompt of so many tokens that nobody has seen before.
    async fn alone(&mut self, prompt: usize, generate: usize) -> anyhow::Result<Reply> {
        let talk = self.talk(0, prompt.saturating_sub(1));
        self.ask(&talk, 0, generate).await
    }

    /// Tokens per second of all channels together, while all of them speak, and the share of the worker's time that was
    /// spent outside of the model.
    async fn together(&mut self, channels: usize, generate: usize) -> anyhow::Result<(f64, f64)> {
        let talks: Vec<Talk> = (0..channels).map(|_| self.talk(0, BESIDE)).collect();
        // Prompts are read first, so that all speak at the same time.
        for talk in &talks {
            self.ask(talk, CUE, 1).await?;
        }
        let before = self.rested().await;
        let replies = join_all(talks.iter().map(|talk| self.ask(talk, CUE, generate))).await;
        let replies = replies.into_iter().collect::<anyhow::Result<Vec<Reply>>>()?;
        let after = self.rested().await;
        // While all of them speak; where they take turns too quickly for that, all of the time.
        let firsts = replies.iter().filter_map(|reply| reply.tokens.first());
        let lasts = replies.iter().filter_map(|reply| reply.tokens.last());
        let together = (firsts.clone().max(), lasts.clone().min());
        let (start, end) = match (together, (firsts.min(), lasts.max())) {
            ((Some(&start), Some(&end)), _) if start < end => (start, end),
            (_, (Some(&start), Some(&end))) => (start, end),
            _ => anyhow::bail!("a channel said nothing"),
        };
        let within = |time: &&Instant| **time > start && **time <= end;
        let tokens: usize = replies.iter().map(|reply| reply.tokens.iter().filter(within).count()).sum();
        let Meter { worked, computed, .. } = after;
        let (worked, computed) =
            (worked.saturating_sub(before.worked), computed.saturating_sub(before.computed));
        let overhead = 1.0 - computed.as_secs_f64() / worked.as_secs_f64();
        Ok((rate(tokens, end - start), overhead))
    }

    /// Times to the first token in the turns of a long conversation.
    async fn turns(&mut self) -> anyhow::Result<Turns> {
        let mut talk = self.talk(PERSONA.min(self.history / 2), self.history - MESSAGE);
        let cold = self.ask(&talk, CUE, 1).await?.first_token();
        talk.history.extend(self.tokens(REPLY));
        talk.history.extend(self.tokens(MESSAGE));
        let warm = self.ask(&talk, CUE, 1).await?.first_token();
        // The same again, with the known part read while nothing else happens.
        talk.history.extend(self.tokens(REPLY));
        self.read_ahead(&talk).await;
        talk.history.extend(self.tokens(MESSAGE));
        let prefilled = self.ask(&talk, CUE, 1).await?.first_token();
        let mut other = self.talk(0, MESSAGE);
        other.persona.clone_from(&talk.persona);
        let before = self.rested().await.tokens;
        let same_persona = self.ask(&other, CUE, 1).await?.first_token();
        let computed = self.rested().await.tokens - before;
        // The cut leaves half of the history.
        talk.history.drain(..talk.history.len() / 2);
        self.read_ahead(&talk).await;
        talk.history.extend(self.tokens(MESSAGE));
        let after_cut = self.ask(&talk, CUE, 1).await?.first_token();
        let own = (MESSAGE + CUE) as u64;
        Ok(Turns {
            seconds: json!({
                "cold": cold,
                "warm_turn": warm,
                "warm_turn_prefilled": prefilled,
                "same_persona": same_persona,
                "after_cut": after_cut,
            }),
            same_persona_computed: computed.saturating_sub(own),
        })
    }

    /// Milliseconds between the tokens of a reply, alone and while another channel's long prompt is read, and how much
    /// of its rate that reading keeps.
    async fn beside_a_long_prompt(&mut self) -> anyhow::Result<(Vec<f64>, Vec<f64>, f64)> {
        let long = self.talk(0, self.history);
        let undisturbed = self.ask(&long, CUE, 1).await?.first_token();
        let (speaking, long) = (self.talk(0, BESIDE), self.talk(0, self.history));
        let most = self.engine.info().context_length - BESIDE - CUE;
        let alone = self.ask(&speaking, CUE, most.min(64)).await?.gaps();
        let mut generation = self.start(&speaking, CUE, most).await?;
        let mut reading = std::pin::pin!(self.ask(&long, CUE, 1));
        let mut came = Vec::new();
        let read = loop {
            tokio::select! {
                read = &mut reading => break read?,
                event = generation.next() => match event {
                    Some(Event::Delta { ids, .. }) => came.extend(ids.iter().map(|_| Instant::now())),
                    Some(Event::Failed(failure)) => return Err(failure.into()),
                    Some(_) => {}
                    None => anyhow::bail!("the reply ended before the long prompt was read"),
                },
            }
        };
        let gaps = came.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3).collect();
        Ok((alone, gaps, undisturbed / read.first_token()))
    }

    fn talk(&mut self, persona: usize, all: usize) -> Talk {
        self.conversations += 1;
        let (persona, history) = (self.tokens(persona), self.tokens(all - persona));
        Talk { conversation: self.conversations, persona, history }
    }

    /// Random tokens that are text.
    fn tokens(&mut self, count: usize) -> Vec<u32> {
        let rows = u32::try_from(self.engine.info().vocabulary).unwrap_or(u32::MAX);
        let words = rows.saturating_sub(FIRST_WORD).max(1);
        (0..count).map(|_| (FIRST_WORD + self.random.next_u32() % words).min(rows - 1)).collect()
    }

    fn prompt(talk: &Talk, cue: usize) -> Prompt {
        let mut prompt = Prompt::default();
        let put = |prompt: &mut Prompt, ids: Vec<u32>| {
            if !ids.is_empty() {
                prompt.generated("", ids);
            }
        };
        put(&mut prompt, talk.persona.clone());
        prompt.mark_persona_end();
        put(&mut prompt, talk.history.clone());
        prompt.mark_history_end();
        put(&mut prompt, talk.history.iter().rev().copied().cycle().take(cue).collect());
        prompt
    }

    /// Has the beginning of the next prompt read, and waits for it.
    async fn read_ahead(&self, talk: &Talk) {
        let before = self.rested().await.steps;
        self.engine.prefill(talk.conversation, Self::prompt(talk, 0));
        while self.rested().await.steps == before && !self.engine.is_broken() {}
    }

    /// What the engine has done, once it has nothing to do.
    async fn rested(&self) -> Meter {
        loop {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let meter = self.engine.meter();
            if meter.idle || self.engine.is_broken() {
                return meter;
            }
        }
    }

    async fn ask(&self, talk: &Talk, cue: usize, generate: usize) -> anyhow::Result<Reply> {
        let asked = Instant::now();
        let mut generation = self.start(talk, cue, generate).await?;
        let mut tokens = Vec::new();
        while let Some(event) = generation.next().await {
            match event {
                // Those that were not read in time come together.
                Event::Delta { ids, .. } => tokens.extend(ids.iter().map(|_| Instant::now())),
                Event::Finished(end) => return Ok(Reply { asked, tokens, end }),
                Event::Failed(failure) => return Err(failure.into()),
                _ => {}
            }
        }
        anyhow::bail!("the generation ended without an end")
    }

    async fn start(&self, talk: &Talk, cue: usize, generate: usize) -> anyhow::Result<Generation> {
        let meta = Meta {
            request: talk.conversation,
            conversation: talk.conversation,
            member: talk.conversation,
            server: 0,
            class: Class::Interactive,
            deadline: None,
            estimated_tokens: generate,
        };
        // Bytes may wait for the rest of their character; every other token is heard of at once.
        let sampling = Sampling { banned: (0..FIRST_WORD).collect(), ..Sampling::default() };
        let request = Request {
            prompt: Self::prompt(talk, cue),
            min_tokens: generate,
            max_tokens: generate,
            sampling,
            stop: Vec::new(),
        };
        let mut ticket = self.engine.reserve(meta)?;
        ticket.turn().await;
        Ok(ticket.start(request))
    }
}

/// What the turns of a conversation took.
struct Turns {
    seconds: serde_json::Value,
    same_persona_computed: u64,
}

fn rate(tokens: usize, time: Duration) -> f64 {
    tokens as f64 / time.as_secs_f64()
}

/// The middle one and that which 95 in a hundred do not pass.
fn percentiles(mut values: Vec<f64>) -> serde_json::Value {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values.get((values.len() * share / 100).min(values.len().saturating_sub(1)));
    json!({ "p50": at(50), "p95": at(95) })
}

/// The most memory that this process has had resident, in bytes, where the system tells (Linux).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Gigabytes that one thread and that all threads read from memory in a second.
fn bandwidth() -> (f64, f64) {
    let numbers: Vec<u64> = (0..BANDWIDTH_BYTES as u64 / 8).collect();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let read = |threads: usize| {
        let begin = Instant::now();
        let sum: u64 = std::thread::scope(|scope| {
            let parts = numbers.chunks(numbers.len().div_ceil(threads));
            let sums: Vec<_> = parts.map(|part| scope.spawn(|| sum(part))).collect();
            sums.into_iter().filter_map(|sum| sum.join().ok()).fold(0, u64::wrapping_add)
        });
        std::hint::black_box(sum);
        BANDWIDTH_BYTES as f64 / 1e9 / begin.elapsed().as_secs_f64()
    };
    // The best of three: a machine that is disturbed reads no faster than it can.
    let best = |threads: usize| (0..3).map(|_| read(threads)).fold(0.0, f64::max);
    (best(1), best(threads))
}

/// A sum in eight parts, so that reading and not adding is what takes the time.
fn sum(numbers: &[u64]) -> u64 {
    let mut sums = [0u64; 8];
    for part in numbers.chunks_exact(8) {
        for (sum, number) in sums.iter_mut().zip(part) {
            *sum = sum.wrapping_add(*number);
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

/// The report for people.
fn table(report: &serde_json::Value) -> String {
    let mut table = String::new();
    let mut row = |name: &str, path: &str, unit: &str, scale: f64| {
        let number = report.pointer(path).and_then(serde_json::Value::as_f64);
        let shown = number.map_or_else(|| "-".to_owned(), |number| format!("{:.3}", number * scale));
        // Writing into memory does not fail.
        let _ = writeln!(table, "{name:<46}{shown:>12} {unit}");
    };
    row("reading a prompt", "/prefill_tokens_per_second", "tokens/s", 1.0);
    row("speaking, one channel", "/decode_tokens_per_second", "tokens/s", 1.0);
    row("speaking, all channels", "/decode_tokens_per_second_total", "tokens/s", 1.0);
    row("first token: cold", "/ttft_seconds/cold", "s", 1.0);
    row("first token: next turn", "/ttft_seconds/warm_turn", "s", 1.0);
    row("first token: next turn, read ahead", "/ttft_seconds/warm_turn_prefilled", "s", 1.0);
    row("first token: another channel, same persona", "/ttft_seconds/same_persona", "s", 1.0);
    row("first token: after a cut, read ahead", "/ttft_seconds/after_cut", "s", 1.0);
    row("persona tokens computed again", "/same_persona_computed_tokens", "", 1.0);
    row("between tokens: alone, median", "/inter_token_ms/alone/p50", "ms", 1.0);
    row("between tokens: alone, 95 %", "/inter_token_ms/alone/p95", "ms", 1.0);
    row("between tokens: beside a long prompt, median", "/inter_token_ms/during_prefill/p50", "ms", 1.0);
    row("between tokens: beside a long prompt, 95 %", "/inter_token_ms/during_prefill/p95", "ms", 1.0);
    row("rate that the long prompt keeps", "/prefill_rate_kept", "%", 100.0);
    row("most memory", "/peak_memory_bytes", "GB", 1e-9);
    row("worker's time outside of the model", "/overhead_share", "%", 100.0);
    row("memory read by one thread", "/read_bandwidth_gb_per_second/one_thread", "GB/s", 1.0);
    row("memory read by all threads", "/read_bandwidth_gb_per_second/all_threads", "GB/s", 1.0);
    row("of that used while one channel speaks", "/bandwidth_share", "%", 100.0);
    table
}
