//! Loading the model, with progress on a terminal. It decides which model that is.

use std::sync::Arc;

use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::info;

use crate::config::{Config, Model};
use crate::engine::{Engine, EngineOptions, Origin, UNDERSTUDY};
use crate::generation::Generator;
use crate::generation::scripted::Scripted;

/// How many scripted answers a dry run makes at a time.
const DRY_RUN_PARALLEL: usize = 4;

/// The generator that the settings ask for; `tell` is as for [`origin`]. Must be called inside of a tokio runtime.
pub(super) fn generator(
    config: &Config,
    dry_run: bool,
    tell: impl FnOnce(&str),
) -> anyhow::Result<Arc<dyn Generator>> {
    if dry_run {
        info!("dry run: answers follow a script, no model is loaded");
        return Ok(Arc::new(Scripted::new(config.generation.queue, DRY_RUN_PARALLEL)));
    }
    Ok(Arc::new(engine(config, options(config), tell)?))
}

/// Loads the model and starts its thread; `tell` is as for [`origin`].
pub(super) fn engine(
    config: &Config,
    options: EngineOptions,
    tell: impl FnOnce(&str),
) -> anyhow::Result<Engine> {
    let origin = origin(config, tell);
    // Drawn on standard error, and only where that is a terminal.
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("Loading {wide_bar} {bytes}/{total_bytes}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let loaded = Engine::load(origin, options, |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    let engine = loaded?;
    let model = engine.info();
    info!(model = model.name, id = model.id, context_length = model.context_length, "model loaded");
    Ok(engine)
}

/// The model that the settings name, or else the understudy. Whoever did not choose that one is told, in one line, so
/// that nobody takes it for what Mummer can do.
pub(super) fn origin(config: &Config, tell: impl FnOnce(&str)) -> Origin {
    if let Some(path) = &config.model.path {
        return Origin::File(path.clone());
    }
    tell(&format!(
        "No model is set, so the understudy plays: a built-in model of {} that knows a closed set of phrases and \
         copies names and facts from its prompt. It is there to try Mummer out, not to converse with. For the real \
         one: --model nous-hermes-llama2-13b.Q4_K_M.gguf (see README)",
        DecimalBytes(UNDERSTUDY.len() as u64)
    ));
    Origin::Understudy
}

/// How the settings want the model to be loaded.
pub(super) fn options(config: &Config) -> EngineOptions {
    let Model { tokenizer, context_length, .. } = config.model.clone();
    EngineOptions {
        tokenizer,
        context_length,
        queue_capacity: config.generation.queue,
        ..EngineOptions::default()
    }
}
