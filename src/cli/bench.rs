//! `mummer bench`: how fast the engine is on this machine, alone and with many channels.

mod machine;
mod measure;
mod talk;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::measure::{Bench, sizes};
use super::{Broken, Mistake, loading, remark};
use crate::config::Config;
use crate::engine::random_model::{self, Mixture, Shape};

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
    if arguments.prompt.min(arguments.before).min(arguments.generate) < 2 || arguments.channels < 1 {
        let rule = "--prompt, --before and --generate must be at least 2, and --channels at least 1";
        return Err(Mistake(rule.to_owned()).into());
    }
    if let (Some(path), Some(shape)) = (&arguments.write, &arguments.shape) {
        write_random_model(path, shape, &arguments.quant)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut config = config.clone();
    config.generation.batch = config.generation.batch.max(arguments.channels);
    // It is needed until the weights are in memory.
    let file = match &arguments.shape {
        None => None,
        Some(shape) => {
            let context = known(shape)?.context_length;
            sizes(arguments, config.model.context_length.map_or(context, |asked| asked.min(context)))?;
            let file = tempfile::Builder::new().prefix("mummer-").suffix(".gguf").tempfile();
            let file = file.context("no temporary file can be made; set TMPDIR to a directory with room")?;
            write_random_model(file.path(), shape, &arguments.quant)?;
            config.model.path = Some(file.path().to_owned());
            Some(file)
        }
    };
    let engine = loading::engine(&config, loading::options(&config), remark)?;
    drop(file);
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

fn known(shape: &str) -> anyhow::Result<&'static Shape> {
    Shape::KNOWN.iter().find(|known| known.name == shape).context("the shape is not known")
}

/// Fills a file with random weights.
fn write_random_model(path: &Path, shape: &str, quant: &str) -> anyhow::Result<()> {
    let shape = known(shape)?;
    let mixture = Mixture::KNOWN.into_iter().find(|known| known.name == quant);
    let mixture = mixture.context("the mixture of types is not known")?;
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("Making weights {wide_bar} {bytes}/{total_bytes}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let written = random_model::write(path, shape, mixture, 1, |done, total| {
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

/// The report for people.
fn table(report: &serde_json::Value) -> String {
    let mut table = String::new();
    let mut row = |name: &str, path: &str, unit: &str, scale: f64| {
        // What was not measured has no row.
        let Some(value) = report.pointer(path) else { return };
        let shown = value.as_f64().map_or_else(|| "-".to_owned(), |number| format!("{:.3}", number * scale));
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
