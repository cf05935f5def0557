//! The generator in this process: one thread that owns the model, behind a handle that can be cloned. It
//! never knows Discord; nobody else knows candle.

mod admission;
mod attention;
mod cost;
mod detokenize;
mod device;
mod error;
mod gate;
mod gguf;
mod lanes;
mod llama;
mod matmul;
pub mod memory;
mod origin;
mod pages;
mod prefix;
mod queue;
pub mod random_model;
mod replay;
mod sampling;
mod scheduler;
mod sequence;
mod stop;
mod threads;
mod tokenizer;
mod vocabulary;
mod weights;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::generation::{Count, Full, Generator, Meta, ModelInfo, Prompt, Ticket};
use admission::Admission;
use gguf::{Header, Value};
use llama::{Llama, Model};
use pages::pages_for;
use scheduler::Scheduler;
use tokenizer::{Tokenizer, masked_rows};
use vocabulary::Vocabulary;
use weights::Hyperparameters;
use worker::Worker;

pub use error::LoadError;
#[cfg(debug_assertions)]
pub use llama::PANIC_VARIABLE;
pub use origin::{Origin, UNDERSTUDY};
pub use replay::{NOISE, Otherwise, Replay, ReplayError, Replayed};
pub use threads::prepare_threads;
pub use worker::Meter;

/// Progress messages that may wait while the caller of [`Engine::load`] is busy.
const PROGRESS_QUEUE: usize = 4;

/// The context of a model that was made for more, unless more is asked for.
const USUAL_CONTEXT: usize = 8_192;

/// Memory for keys and values, unless it is set: so many bytes, but at least the first number of whole contexts and at
/// most the second.
const USUAL_CACHE_BYTES: u64 = 2 << 30;
const CACHED_CONTEXTS: std::ops::RangeInclusive<usize> = 2..=16;

/// A model that is loaded and its thread. Clones are the same engine; it ends with [`Engine::shutdown`] or
/// with the last clone.
#[derive(Clone)]
pub struct Engine(Arc<Handle>);

/// How a model is loaded and run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EngineOptions {
    /// A `tokenizer.json` of the Llama kind that is used instead of the model file's own vocabulary.
    pub tokenizer: Option<PathBuf>,
    /// Most tokens of prompt and reply together, if fewer than the model was made for.
    pub context_length: Option<usize>,
    /// How many requests may wait while others are answered.
    pub queue_capacity: usize,
    /// How many requests are answered at a time; those that nobody waits for go on beside the others.
    pub batch: usize,
    /// How many tokens' keys and values are kept in memory, at least one context; `None` is about 2 GiB, at least two
    /// contexts where there is memory for them.
    pub cache_tokens: Option<usize>,
    /// Whether a reply may contain control tokens beside the end of text, as the bare model would have it. Not for
    /// conversations: a second beginning of text in a prompt confuses a model.
    pub control_tokens: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            tokenizer: None,
            context_length: None,
            queue_capacity: 32,
            batch: 8,
            cache_tokens: None,
            control_tokens: false,
        }
    }
}

/// What a step reads from memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of all matrices; an embedding that only looks up is none.
    pub weight_bytes: u64,
    /// Bytes of keys and values for each token that is attended to.
    pub kv_bytes_per_token: u64,
}

/// How far loading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadProgress {
    /// Bytes of weights that are loaded.
    pub done: u64,
    /// Bytes of weights in the file.
    pub total: u64,
}

impl Engine {
    /// Loads a model, from a GGUF file or the one that is built in, and starts the engine's thread. Blocks until the
    /// model is ready; `progress` is called on this thread meanwhile.
    ///
    /// # Errors
    /// A [`LoadError`], which says what is wrong with the file and what to do about it.
    pub fn load(
        origin: impl Into<Origin>,
        options: EngineOptions,
        mut progress: impl FnMut(LoadProgress) + Send,
    ) -> Result<Self, LoadError> {
        let EngineOptions { queue_capacity, batch, cache_tokens, .. } = options;
        let known = Known::read(origin.into(), options)?;
        let Footprint { kv_bytes_per_token, .. } = known.footprint;
        let context_length = known.info.context_length;
        let usual = usize::try_from(USUAL_CACHE_BYTES / kv_bytes_per_token).unwrap_or(usize::MAX);
        let usual =
            usual.clamp(CACHED_CONTEXTS.start() * context_length, CACHED_CONTEXTS.end() * context_length);
        // What nobody asked for is not what the model fails for.
        let usual = usual.min(known.most_cached());
        let cached = cache_tokens.unwrap_or(usual).max(context_length);
        let cache_bytes = known.cache_bytes(cached)?;
        tracing::info!(tokens = cached, megabytes = cache_bytes >> 20, "the cache has room for so much");
        let pages = pages_for(cached);
        let Known { header, tokenizer, shape, info, footprint } = known;
        let (origin, total) = (header.origin.clone(), weights::total_bytes(&header));
        let load = move |report: &mut dyn FnMut(u64)| {
            // A graphics card's memory belongs to the thread that computes.
            Llama::load(&header, &shape, device::open()?, context_length, pages, report)
        };
        let progress = move |done| progress(LoadProgress { done, total });
        let room = Room { waiting: queue_capacity, batch, pages };
        Self::start(load, tokenizer, info, footprint, room, origin, progress)
    }

    /// What is running.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    /// What a step reads.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        self.0.footprint
    }

    /// What the engine's thread has done so far.
    #[must_use]
    pub fn meter(&self) -> Meter {
        *self.0.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token ids of a prompt, the beginning-of-text token first.
    #[must_use]
    pub fn encode(&self, prompt: &Prompt) -> Vec<u32> {
        self.0.tokenizer.encode(prompt).ids
    }

    /// The token ids of raw bytes, the beginning-of-text token first. Special tokens are not parsed, and what
    /// is not UTF-8 becomes byte tokens.
    #[must_use]
    pub fn encode_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        self.0.tokenizer.encode_bytes(bytes)
    }

    /// The text of token ids, verbatim; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        self.0.tokenizer.decode(ids)
    }

    /// The bytes that one token adds to a text: none for control tokens and ids that do not exist.
    #[must_use]
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.0.tokenizer.bytes(id)
    }

    /// Ends the engine, for all clones: the reply that is being made ends after its current step, those that
    /// wait are told, both with [`crate::generation::Finish::Shutdown`]. Returns when the thread has ended.
    pub fn shutdown(&self) {
        self.0.shutdown();
    }

    /// Blocks until the engine has ended, and says whether it broke down: its model computes nothing any more, as after a
    /// panic inside of candle's own threads. A new process helps then, and nothing else does.
    #[must_use]
    pub fn wait(&self) -> bool {
        self.0.admission.wait()
    }

    /// Whether it broke down.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.0.admission.is_broken()
    }

    /// Starts the thread. `load` makes the model there, where it stays.
    fn start<M: Model>(
        load: impl FnOnce(&mut dyn FnMut(u64)) -> Result<M, LoadError> + Send + 'static,
        tokenizer: Tokenizer,
        info: ModelInfo,
        footprint: Footprint,
        room: Room,
        origin: Origin,
        mut progress: impl FnMut(u64),
    ) -> Result<Self, LoadError> {
        let admission = Admission::new(room.waiting, room.batch);
        let meter = Arc::default();
        let tokenizer = Arc::new(tokenizer);
        let (report, reports) = sync_channel(PROGRESS_QUEUE);
        let body = {
            let (tokenizer, admission) = (Arc::clone(&tokenizer), Arc::clone(&admission));
            let meter = Arc::clone(&meter);
            let masked: Arc<[u32]> = masked_rows(&tokenizer, info.vocabulary).into();
            let (vocabulary, context_length) = (info.vocabulary, info.context_length);
            move || {
                if let Some(model) = load_and_report(load, &report) {
                    drop(report);
                    let grain = model.grain();
                    let worker = Worker {
                        model,
                        tokenizer,
                        masked,
                        vocabulary,
                        context_length,
                        admission,
                        meter,
                        scheduler: Scheduler::new(room.pages, grain, room.batch),
                        replies: BTreeMap::new(),
                        resting: Vec::new(),
                        faults: 0,
                        lap: Instant::now(),
                    };
                    worker.run();
                }
            }
        };
        let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(body);
        let thread = Mutex::new(Some(thread.map_err(|source| LoadError::Thread { source })?));
        // From here on, leaving by an error ends the thread.
        let engine = Self(Arc::new(Handle { admission, meter, tokenizer, info, footprint, thread }));
        loop {
            match reports.recv() {
                Ok(Loading::Bytes(done)) => progress(done),
                Ok(Loading::Ready) => return Ok(engine),
                Ok(Loading::Failed(error)) => return Err(error),
                // Loading it panicked.
                Err(_) => return Err(LoadError::Fault { origin }),
            }
        }
    }
}

/// What a model's header tells, before anything large is read.
struct Known {
    header: Header,
    tokenizer: Tokenizer,
    shape: Hyperparameters,
    info: ModelInfo,
    footprint: Footprint,
}

impl Known {
    fn read(origin: Origin, options: EngineOptions) -> Result<Self, LoadError> {
        let header = Header::read(origin)?;
        weights::check_architecture(&header)?;
        let (tokenizer, json) = load_tokenizer(&header, &options)?;
        let id = weights::model_id(&header, json.as_deref())?;
        let tokenizer = if options.control_tokens { tokenizer.with_control_tokens() } else { tokenizer };
        let shape = weights::check(&header)?;
        if tokenizer.len() > shape.vocabulary {
            let problem = format!("it has {} pieces for {} rows", tokenizer.len(), shape.vocabulary);
            let origin = options.tokenizer.map_or(header.origin, Origin::File);
            return Err(LoadError::Tokenizer { origin, problem });
        }
        let context_length = options.context_length.unwrap_or(USUAL_CONTEXT).min(shape.context_length);
        if context_length < 2 {
            return Err(LoadError::ContextLength { asked: context_length });
        }
        let text = |key: &str| match header.metadata.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let info = ModelInfo {
            id,
            name: text("general.name").unwrap_or_else(|| header.origin.name()),
            device: device::name(),
            context_length,
            template: text("tokenizer.chat_template"),
            vocabulary: shape.vocabulary,
            eos: tokenizer.eos(),
        };
        let footprint = Footprint {
            weight_bytes: weights::step_bytes(&header),
            kv_bytes_per_token: 2
                * (size_of::<u16>() * shape.layers * shape.kv_heads * shape.head_dim()) as u64,
        };
        Ok(Self { header, tokenizer, shape, info, footprint })
    }

    /// For how many tokens there is memory beside the weights.
    fn most_cached(&self) -> usize {
        let limit = device::memory(&self.shape, self.info.context_length);
        let beside = limit.map_or(u64::MAX, |limit| {
            limit.saturating_sub(self.resident_bytes()) / self.footprint.kv_bytes_per_token
        });
        usize::try_from(beside).unwrap_or(usize::MAX)
    }

    /// Bytes of keys and values for so many tokens, if there is memory for them.
    fn cache_bytes(&self, tokens: usize) -> Result<u64, LoadError> {
        let bytes = self.footprint.kv_bytes_per_token.saturating_mul(tokens as u64);
        let needed = bytes.saturating_add(self.resident_bytes());
        match device::memory(&self.shape, self.info.context_length) {
            Some(has) if needed > has => Err(LoadError::Memory { tokens, needed, has }),
            _ => Ok(bytes),
        }
    }

    fn resident_bytes(&self) -> u64 {
        weights::resident_bytes(&self.header, device::processor())
    }
}

/// A model's tokenizer without the model: its weights are not loaded.
pub struct ModelTokenizer {
    tokenizer: Tokenizer,
    context_length: usize,
}

impl ModelTokenizer {
    /// Reads the vocabulary of a model, or of the `tokenizer.json` of the options.
    ///
    /// # Errors
    /// A [`LoadError`] when there is no vocabulary that can be used.
    pub fn open(origin: impl Into<Origin>, options: &EngineOptions) -> Result<Self, LoadError> {
        let header = Header::read(origin.into())?;
        let (tokenizer, _) = load_tokenizer(&header, options)?;
        let trained = header.integer("llama.context_length").ok().flatten();
        let trained = trained.and_then(|trained| usize::try_from(trained).ok()).unwrap_or(USUAL_CONTEXT);
        Ok(Self { tokenizer, context_length: options.context_length.unwrap_or(USUAL_CONTEXT).min(trained) })
    }

    /// The token ids of raw bytes as the model would read them, the beginning-of-text token first.
    #[must_use]
    pub fn encode_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        self.tokenizer.encode_bytes(bytes)
    }

    /// How many tokens a text takes among others, the beginning-of-text token not counted.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.tokenizer.encode_bytes(text.as_bytes()).len().saturating_sub(1)
    }

    /// Most tokens that prompt and reply may have together.
    #[must_use]
    pub fn context_length(&self) -> usize {
        self.context_length
    }
}

/// The tokenizer of the model, or of the `tokenizer.json` of the options, of which the bytes come back too.
fn load_tokenizer(
    header: &Header,
    options: &EngineOptions,
) -> Result<(Tokenizer, Option<Vec<u8>>), LoadError> {
    let Some(json) = &options.tokenizer else {
        return Ok((Tokenizer::new(Vocabulary::from_gguf(header)?, &header.origin)?, None));
    };
    let origin = Origin::from(json.as_path());
    let unusable =
        |source: std::io::Error| LoadError::Tokenizer { origin: origin.clone(), problem: source.to_string() };
    let bytes = std::fs::read(json).map_err(unusable)?;
    let vocabulary = Vocabulary::from_json(&origin, &bytes, header)?;
    Ok((Tokenizer::new(vocabulary, &origin)?, Some(bytes)))
}

impl Generator for Engine {
    fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    fn count(&self, prompt: &Prompt) -> Count {
        Count::Exact(self.encode(prompt).len())
    }

    fn reserve(&self, meta: Meta) -> Result<Ticket, Full> {
        self.0.admission.reserve(meta)
    }

    fn prefill(&self, conversation: u64, prompt: Prompt) {
        self.0.admission.hint(conversation, self.0.tokenizer.encode(&prompt));
    }

    fn forget(&self, conversation: u64) {
        self.0.admission.forget(conversation);
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("info", &self.0.info).finish_non_exhaustive()
    }
}

/// What all clones share.
struct Handle {
    admission: Arc<Admission>,
    meter: Arc<Mutex<Meter>>,
    tokenizer: Arc<Tokenizer>,
    info: ModelInfo,
    footprint: Footprint,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    fn shutdown(&self) {
        self.admission.close();
        // Whoever comes second waits here for the first.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the engine's thread had died of a panic");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// How much there is room for.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// Requests that wait.
    waiting: usize,
    /// Requests that are answered at a time.
    batch: usize,
    /// Pages of keys and values.
    pages: usize,
}

/// What the thread says while it loads.
enum Loading {
    Bytes(u64),
    Ready,
    Failed(LoadError),
}

/// Makes the model. `None` when that failed, or when nobody waits for it any more.
fn load_and_report<M>(
    load: impl FnOnce(&mut dyn FnMut(u64)) -> Result<M, LoadError>,
    report: &SyncSender<Loading>,
) -> Option<M> {
    // An error of `send` means that the loading side is gone, which the last message notices.
    let loaded = load(&mut |done| drop(report.send(Loading::Bytes(done))));
    match loaded {
        Ok(model) => report.send(Loading::Ready).is_ok().then_some(model),
        Err(error) => {
            drop(report.send(Loading::Failed(error)));
            None
        }
    }
}

#[cfg(test)]
mod tests;
