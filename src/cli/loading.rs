//! Loading the model, with progress on a terminal. It decides which model that is, and what the understudy needs to play.

use std::sync::Arc;

use indicatif::{DecimalBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::info;

use crate::config::{Config, Model};
use crate::engine::{Engine, EngineOptions, Origin, UNDERSTUDY};
use crate::generation::Generator;
use crate::generation::scripted::Scripted;
use crate::persona::{Persona, SamplingWish};

/// How many scripted answers a dry run makes at a time.
const DRY_RUN_PARALLEL: usize = 4;

/// The generator that the settings ask for, and the engine when it is one; `tell` is as for [`origin`]. Must be called
/// inside of a tokio runtime.
pub(super) fn generator(
    config: &Config,
    dry_run: bool,
    tell: impl FnOnce(&str),
) -> anyhow::Result<(Arc<dyn Generator>, Option<Engine>)> {
    if dry_run {
        info!("dry run: answers follow a script, no model is loaded");
        return Ok((Arc::new(Scripted::new(config.generation.queue, DRY_RUN_PARALLEL)), None));
    }
    let engine = engine(config, options(config), tell)?;
    Ok((Arc::new(engine.clone()), Some(engine)))
}

/// Loads the model and starts its thread; `tell` is as for [`origin`].
pub(super) fn engine(
    config: &Config,
    options: EngineOptions,
    tell: impl FnOnce(&str),
) -> anyhow::Result<Engine> {
    let origin = origin(config, tell);
    let bar = bar("Loading {wide_bar} {bytes}/{total_bytes}, {eta} left");
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

/// How far something has come. It is drawn on standard error, and only where that is a terminal.
pub(super) fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
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

/// Whether the understudy plays.
pub(super) fn is_understudy(config: &Config, dry_run: bool) -> bool {
    config.model.path.is_none() && !dry_run
}

/// What the understudy understands, for whoever meets it in a terminal.
pub(super) const TO_TRY: &str = "Try: What is your name?  Where do you live?  My name is Ada.  What is my name?  \
                                 *hands you a lantern*  Tell me a joke.";

/// The part that it knows best among those that are shipped.
pub(super) const BEST_PART: &str = "pomfret";

/// Why it is not the one that the settings name.
pub(super) const OTHER_PART: &str =
    "Mrs. Pomfret answers, the part that it plays best; --persona hermes brings Hermes.";

/// The part that it can do nothing with: a helper of whom there is nothing to say.
pub(super) const WORST_PART: &str = "hermes";

/// The understudy is unsure of much; above this temperature it says what it does not mean.
const UNDERSTUDY_TEMPERATURE: f32 = 0.5;

/// The persona as the model that plays can play it. The understudy copies names and facts from its prompt, which the
/// penalties that keep large models from repeating themselves would forbid.
pub(super) fn playable(config: &Config, persona: Arc<Persona>) -> Arc<Persona> {
    if config.model.path.is_some() {
        return persona;
    }
    let mut persona = Arc::unwrap_or_clone(persona);
    persona.card.sampling = understudied(persona.card.sampling.or(config.sampling)).or(persona.card.sampling);
    Arc::new(persona)
}

/// How replies are sampled where a persona does not say it, such as one that members have made.
pub(super) fn sampling(config: &Config) -> SamplingWish {
    match &config.model.path {
        Some(_) => config.sampling,
        None => understudied(config.sampling).or(config.sampling),
    }
}

/// What the understudy needs where this is wished.
fn understudied(wish: SamplingWish) -> SamplingWish {
    SamplingWish {
        temperature: wish.temperature.map(|temperature| temperature.min(UNDERSTUDY_TEMPERATURE)),
        repetition_penalty: Some(1.0),
        frequency_penalty: Some(0.0),
        presence_penalty: Some(0.0),
        ..SamplingWish::default()
    }
}

/// Whether what is cut from the history is summed up. The understudy could not do it.
pub(super) fn remembers(config: &Config) -> bool {
    config.generation.memory.unwrap_or(config.model.path.is_some())
}

/// How the settings want the model to be loaded.
pub(super) fn options(config: &Config) -> EngineOptions {
    let Model { tokenizer, context_length, cache_tokens, .. } = config.model.clone();
    EngineOptions {
        tokenizer,
        context_length,
        queue_capacity: config.generation.queue,
        batch: config.generation.batch,
        cache_tokens,
        ..EngineOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn persona(sampling: &str) -> Arc<Persona> {
        let text = format!("name = 'Ada'\ndescription = 'An engineer.'\n[sampling]\n{sampling}");
        Arc::new(Persona::from_toml("ada", &text).expect("it parses"))
    }

    #[test]
    fn the_understudy_is_not_punished_for_copying_and_keeps_its_temper() {
        let config = Config::load(None).expect("the defaults are sound");
        let played = |sampling| playable(&config, persona(sampling)).card.sampling;
        let hot = played("temperature = 1.1\nrepetition_penalty = 1.2\nmax_tokens = 50\n");
        assert_eq!((hot.temperature, hot.repetition_penalty), (Some(UNDERSTUDY_TEMPERATURE), Some(1.0)));
        assert_eq!((hot.presence_penalty, hot.max_tokens), (Some(0.0), Some(50)));
        assert_eq!(played("temperature = 0.1\n").temperature, Some(0.1));
        assert_eq!(
            played("").temperature,
            config.sampling.temperature.map(|t| t.min(UNDERSTUDY_TEMPERATURE))
        );
    }

    #[test]
    fn personas_that_members_make_suit_the_understudy_too() {
        let mut config = Config::load(None).expect("the defaults are sound");
        let wish = sampling(&config);
        assert_eq!((wish.temperature, wish.repetition_penalty), (Some(UNDERSTUDY_TEMPERATURE), Some(1.0)));
        assert_eq!(wish.max_tokens, config.sampling.max_tokens);
        config.model.path = Some("model.gguf".into());
        assert_eq!(sampling(&config), config.sampling);
    }

    #[test]
    fn the_understudy_sums_up_nothing_unless_it_must() {
        let mut config = Config::load(None).expect("the defaults are sound");
        assert!(!remembers(&config));
        config.generation.memory = Some(true);
        assert!(remembers(&config));
        config.model.path = Some("model.gguf".into());
        config.generation.memory = None;
        assert!(remembers(&config));
        config.generation.memory = Some(false);
        assert!(!remembers(&config));
    }

    #[test]
    fn another_model_plays_personas_as_they_are() {
        let mut config = Config::load(None).expect("the defaults are sound");
        config.model.path = Some("model.gguf".into());
        let persona = persona("repetition_penalty = 1.2\n");
        assert_eq!(playable(&config, Arc::clone(&persona)), persona);
    }
}
