//! Loading the model, with progress on a terminal.

use std::path::Path;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::info;

use super::Mistake;
use crate::config::{Config, Model};
use crate::engine::{Engine, EngineOptions};
use crate::generation::Generator;
use crate::generation::scripted::Scripted;

/// How many scripted answers a dry run makes at a time.
const DRY_RUN_PARALLEL: usize = 4;

/// The generator that the settings ask for. Must be called inside of a tokio runtime.
pub(super) fn generator(config: &Config, dry_run: bool) -> anyhow::Result<Arc<dyn Generator>> {
    if dry_run {
        info!("dry run: answers follow a script, no model is loaded");
        return Ok(Arc::new(Scripted::new(config.generation.queue, DRY_RUN_PARALLEL)));
    }
    Ok(Arc::new(engine(config, options(config))?))
}

/// Loads the model and starts its thread.
pub(super) fn engine(config: &Config, options: EngineOptions) -> anyhow::Result<Engine> {
    let path = model_path(config)?;
    // Drawn on standard error, and only where that is a terminal.
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("Loading {wide_bar} {bytes}/{total_bytes}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let loaded = Engine::load(path, options, |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    let engine = loaded?;
    let model = engine.info();
    info!(model = model.name, id = model.id, context_length = model.context_length, "model loaded");
    Ok(engine)
}

/// The model file that the settings name.
pub(super) fn model_path(config: &Config) -> anyhow::Result<&Path> {
    config.model.path.as_deref().ok_or_else(|| {
        Mistake(
            "there is no model: name a GGUF file with --model FILE or the setting model.path (for example \
             nous-hermes-llama2-13b.Q4_K_M.gguf); run and chat also work with --dry-run"
                .to_owned(),
        )
        .into()
    })
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
