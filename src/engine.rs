//! The generator in this process: one thread that owns the model, behind a handle that can be cloned. It never knows
//! Discord; nobody else knows candle.

mod admission;
mod detokenize;
mod error;
mod gguf;
mod llama;
mod queue;
mod sampling;
mod sequence;
mod stop;
mod threads;
mod tokenizer;
mod vocabulary;
mod weights;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::generation::{Count, Full, Generator, Meta, ModelInfo, Prompt, Ticket};
use admission::Admission;
use gguf::{Header, Value};
use llama::{Llama, Model};
use tokenizer::{Tokenizer, masked_rows};
use vocabulary::Vocabulary;
use worker::Worker;

pub use error::LoadError;
pub use threads::prepare_threads;

/// Progress messages that may wait while the caller of [`Engine::load`] is busy.
const PROGRESS_QUEUE: usize = 4;

/// A model that is loaded and its thread. Clones are the same engine; it ends with [`Engine::shutdown`] or with the
/// last clone.
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
    /// How many requests may wait while one is answered.
    pub queue_capacity: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { tokenizer: None, context_length: None, queue_capacity: 32 }
    }
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
    /// Loads a GGUF file and starts the engine's thread. Blocks until the model is ready; `progress` is called on
    /// this thread meanwhile.
    ///
    /// # Errors
    /// A [`LoadError`], which says what is wrong with the file and what to do about it.
    pub fn load(
        path: &Path,
        options: EngineOptions,
        mut progress: impl FnMut(LoadProgress) + Send,
    ) -> Result<Self, LoadError> {
        let header = Header::read(path)?;
        weights::check_architecture(&header)?;
        let (tokenizer, id) = match &options.tokenizer {
            None => (Tokenizer::new(Vocabulary::from_gguf(&header)?, path)?, weights::model_id(&header, None)?),
            Some(json) => {
                gguf::open(json)?;
                let bytes = std::fs::read(json).map_err(|source| gguf::io(json, source))?;
                let vocabulary = Vocabulary::from_json(json, &bytes, &header)?;
                (Tokenizer::new(vocabulary, json)?, weights::model_id(&header, Some(&bytes))?)
            }
        };
        let model = weights::check(&header)?;
        if tokenizer.len() > model.vocabulary {
            let problem = format!("it has {} pieces for {} rows", tokenizer.len(), model.vocabulary);
            return Err(LoadError::Tokenizer { path: options.tokenizer.unwrap_or(header.path), problem });
        }
        let trained = model.context_length.min(llama::MAX_CONTEXT);
        let context_length = options.context_length.map_or(trained, |asked| asked.min(trained));
        if context_length < 2 {
            return Err(LoadError::ContextLength { asked: context_length });
        }
        let text = |key: &str| match header.metadata.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let file_name = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let info = ModelInfo {
            id,
            name: text("general.name").unwrap_or_else(file_name),
            context_length,
            template: text("tokenizer.chat_template"),
            vocabulary: model.vocabulary,
            eos: tokenizer.eos(),
        };
        let total = weights::total_bytes(&header);
        let load = move |report: &mut dyn FnMut(u64)| Llama::load(&header, &model, report);
        let progress = move |done| progress(LoadProgress { done, total });
        Self::start(load, tokenizer, info, options.queue_capacity, path, progress)
    }

    /// What is running.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    /// The token ids of a prompt, the beginning-of-text token first.
    #[must_use]
    pub fn encode(&self, prompt: &Prompt) -> Vec<u32> {
        self.0.tokenizer.encode(prompt)
    }

    /// The token ids of raw bytes, the beginning-of-text token first. Special tokens are not parsed, and what is not
    /// UTF-8 becomes byte tokens.
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

    /// Ends the engine, for all clones: the reply that is being made ends after its current step, those that wait are
    /// told, both with [`crate::generation::Finish::Shutdown`]. Returns when the thread has ended.
    pub fn shutdown(&self) {
        self.0.shutdown();
    }

    /// Starts the thread. `load` makes the model there, where it stays.
    fn start<M: Model>(
        load: impl FnOnce(&mut dyn FnMut(u64)) -> Result<M, LoadError> + Send + 'static,
        tokenizer: Tokenizer,
        info: ModelInfo,
        queue_capacity: usize,
        path: &Path,
        mut progress: impl FnMut(u64),
    ) -> Result<Self, LoadError> {
        let admission = Admission::new(queue_capacity);
        let tokenizer = Arc::new(tokenizer);
        let (report, reports) = sync_channel(PROGRESS_QUEUE);
        let body = {
            let (tokenizer, admission) = (Arc::clone(&tokenizer), Arc::clone(&admission));
            let masked: Arc<[u32]> = masked_rows(&tokenizer, info.vocabulary).into();
            let (vocabulary, context_length) = (info.vocabulary, info.context_length);
            move || {
                if let Some(model) = load_and_report(load, &report) {
                    drop(report);
                    Worker { model, tokenizer, masked, vocabulary, context_length, admission }.run();
                }
            }
        };
        let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(body);
        let thread = Mutex::new(Some(thread.map_err(|source| LoadError::Thread { source })?));
        // From here on, leaving by an error ends the thread.
        let engine = Self(Arc::new(Handle { admission, tokenizer, info, thread }));
        loop {
            match reports.recv() {
                Ok(Loading::Bytes(done)) => progress(done),
                Ok(Loading::Ready) => return Ok(engine),
                Ok(Loading::Failed(error)) => return Err(error),
                Err(_) => {
                    let detail = "loading it panicked".to_owned();
                    return Err(LoadError::Backend { path: path.to_owned(), detail });
                }
            }
        }
    }
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

    /// Does nothing yet: one sequence at a time leaves no room for work ahead.
    fn prefill(&self, _prompt: &Prompt) {}

    /// Does nothing yet: nothing is kept between requests.
    fn forget(&self, _conversation: u64) {}
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Engine").field("info", &self.0.info).finish_non_exhaustive()
    }
}

/// What all clones share.
struct Handle {
    admission: Arc<Admission>,
    tokenizer: Arc<Tokenizer>,
    info: ModelInfo,
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
