//! `mummer run`: the Discord bot.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Broken, assistant_settings, cast, library, loading, refuse_misfit};
use crate::admin::Admin;
use crate::assistant::Assistant;
use crate::bot;
use crate::config::Config;
#[cfg(debug_assertions)]
use crate::engine;
use crate::persona::Library;
use crate::store::Store;

/// Tells a process that it took the place of a broken one.
const BEGAN_AGAIN: &str = "MUMMER_BEGAN_AGAIN";

/// If the new process breaks down before it has worked for so long, beginning again does not help.
const BETWEEN_BEGINNINGS: Duration = Duration::from_mins(1);

/// How often the files of personas are looked at.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// How often it is looked for what is too old to be kept.
const BETWEEN_SWEEPS: Duration = Duration::from_hours(1);
const FIRST_SWEEP: Duration = Duration::from_mins(10);

/// Runs the bot until it is told to stop (Ctrl-C, or SIGTERM), or until Discord ends the connection for good.
pub(super) fn run(config: &Config, dry_run: bool) -> anyhow::Result<ExitCode> {
    // What is cheap to check is checked before the model is loaded.
    let token = config.discord.token()?;
    let library = library(config)?;
    let cast = cast(config, &library)?;
    let runtime = tokio::runtime::Runtime::new().context("the runtime could not be started")?;
    let _in_runtime = runtime.enter();
    // Scripted answers are nothing to remember.
    let store = match &config.store.path {
        Some(path) if !dry_run => Some(runtime.block_on(Store::open(path))?),
        _ => None,
    };
    let (generator, engine) = loading::generator(config, dry_run, |line| warn!("{line}"))?;
    let ready = Instant::now();
    let http = bot::http(&token, config.discord.api_base.as_deref());
    let assistant = Assistant::new(generator, cast, assistant_settings(config), store.clone());
    refuse_misfit(&assistant)?;
    runtime.block_on(assistant.prepare())?;
    let stopped = CancellationToken::new();
    let ended = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        let signals = tokio::spawn(stop_on_signal(shutdown.clone(), stopped.clone()));
        if let Some(engine) = engine.clone() {
            let shutdown = shutdown.clone();
            tokio::task::spawn_blocking(move || {
                if engine.wait() {
                    shutdown.cancel();
                }
            });
        }
        let refreshing = tokio::spawn(refresh(library, Arc::clone(&assistant), config.clone()));
        let keeping_house = tokio::spawn(keep_house(Arc::clone(&assistant)));
        let ended =
            bot::run(http, assistant, Admin::new(store.clone()), config.discord.message_content, shutdown)
                .await;
        signals.abort();
        refreshing.abort();
        keeping_house.abort();
        if let Some(store) = store {
            store.close().await;
        }
        ended
    });
    if let Some(engine) = engine {
        engine.shutdown();
        if engine.is_broken() && !stopped.is_cancelled() {
            return begin_again(ready);
        }
    }
    ended?;
    info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Forgets now and then what is too old to be kept.
async fn keep_house(assistant: Arc<Assistant>) {
    // Not at once: Discord has to say first which servers the bot is in.
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + FIRST_SWEEP, BETWEEN_SWEEPS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = assistant.keep_house().await {
            error!("what is too old could not be forgotten, and will be the next time: {error}");
        }
    }
}

/// Sees to it that personas are played as their files stand.
async fn refresh(mut library: Library, assistant: Arc<Assistant>, config: Config) {
    let mut ticks = tokio::time::interval(BETWEEN_LOOKS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while library.has_directory() {
        ticks.tick().await;
        let (assistant, config) = (Arc::clone(&assistant), config.clone());
        let looking = tokio::task::spawn_blocking(move || {
            let changes = library.refresh();
            for complaint in changes.complaints {
                warn!("{complaint}");
            }
            for id in changes.gone {
                warn!(
                    "the persona file of {id} is gone; where it is played it stays as it was until mummer starts again"
                );
            }
            for persona in changes.personas {
                match assistant.adopt(&loading::playable(&config, Arc::clone(&persona))) {
                    Ok(()) => info!(persona = %persona.id, version = persona.version, "read again"),
                    Err(misfit) => warn!("{misfit}; it stays as it was"),
                }
            }
            library
        });
        let Ok(same) = looking.await else {
            error!("reading the personas panicked; they stay as they are until mummer starts again");
            return;
        };
        library = same;
    }
}

/// Replaces this process, in which the model computes nothing any more, by a new one. `ready` is when its model was
/// loaded. It returns only when that does not help.
#[cfg(unix)]
fn begin_again(ready: Instant) -> anyhow::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;

    if std::env::var_os(BEGAN_AGAIN).is_some() && ready.elapsed() < BETWEEN_BEGINNINGS {
        return Err(Broken.into());
    }
    error!("the model broke down and computes nothing any more; mummer begins again");
    let failed = match std::env::current_exe() {
        Ok(program) => {
            let mut command = std::process::Command::new(program);
            command.args(std::env::args_os().skip(1)).env(BEGAN_AGAIN, "1");
            #[cfg(debug_assertions)]
            command.env_remove(engine::PANIC_VARIABLE);
            command.exec()
        }
        Err(failed) => failed,
    };
    error!(%failed, "mummer could not begin again");
    Err(Broken.into())
}

#[cfg(not(unix))]
fn begin_again(_ready: Instant) -> anyhow::Result<ExitCode> {
    Err(Broken.into())
}

/// The first signal asks for an orderly end, which `stopped` remembers; a second one ends the program at once.
async fn stop_on_signal(shutdown: CancellationToken, stopped: CancellationToken) {
    signal().await;
    stopped.cancel();
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
