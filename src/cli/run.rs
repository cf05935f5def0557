//! `mummer run`: the Discord bot.

use std::process::ExitCode;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{assistant_settings, library, loading, refuse_misfit};
use crate::assistant::Assistant;
use crate::bot;
use crate::config::Config;

/// Runs the bot until it is told to stop (Ctrl-C, or SIGTERM), or until Discord ends the connection for good.
pub(super) fn run(config: &Config, dry_run: bool) -> anyhow::Result<ExitCode> {
    // What is cheap to check is checked before the model is loaded.
    let token = config.discord.token()?;
    let settings = assistant_settings(config, &library(config)?)?;
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not be started")?;
    let _in_runtime = runtime.enter();
    let generator = loading::generator(config, dry_run, |line| warn!("{line}"))?;
    let http = bot::http(&token, config.discord.api_base.as_deref());
    let assistant = Assistant::new(generator, settings);
    refuse_misfit(&assistant)?;
    runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let signals = tokio::spawn(stop_on_signal(shutdown.clone()));
        let ended = bot::run(http, assistant, config.discord.message_content, shutdown).await;
        signals.abort();
        ended
    })?;
    info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The first signal asks for an orderly end; a second one ends the program at once.
async fn stop_on_signal(shutdown: CancellationToken) {
    signal().await;
    shutdown.cancel();
    signal().await;
    std::process::exit(1);
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn signal() {
    drop(tokio::signal::ctrl_c().await);
}
