//! The generator in this process: one thread that owns the model, behind a handle that can be cloned. It
//! never knows Discord; nobody else knows candle.

mod admission;
mod attention;
mod cost;
mod detokenize;
mod error;
mod gguf;
mod llama;
mod matmul;
mod origin;
mod pages;
mod prefix;
mod queue;
pub mod random;
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
use candle_core::Device;
use gguf::{Header, Value};
use llama::{Llama, Model};
use pages::pages_for;
use scheduler::Scheduler;
use tokenizer::{Tokenizer, masked_rows};
use vocabulary::Vocabulary;
use worker::Worker;

pub use error::LoadError;
#[cfg(debug_assertions)]
pub use llama::PANIC_VARIABLE;
pub use origin::{Origin, UNDERSTUDY};
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
    /// How many requests are answered at a time.
    pub batch: usize,
    /// How many tokens' keys and values are kept in memory, at least one context; `None` is about 2 GiB, and at least two
    /// contexts.
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
        let header = Header::read(origin.into())?;
        weights::check_architecture(&header)?;
        let (tokenizer, json) = load_tokenizer(&header, &options)?;
        let id = weights::model_id(&header, json.as_deref())?;
        let tokenizer = if options.control_tokens { tokenizer.with_control_tokens() } else { tokenizer };
        let model = weights::check(&header)?;
        if tokenizer.len() > model.vocabulary {
            let problem = format!("it has {} pieces for {} rows", tokenizer.len(), model.vocabulary);
            let origin = options.tokenizer.map_or(header.origin, Origin::File);
            return Err(LoadError::Tokenizer { origin, problem });
        }
        let trained = model.context_length;
        let context_length = options.context_length.unwrap_or(USUAL_CONTEXT).min(trained);
        if context_length < 2 {
            return Err(LoadError::ContextLength { asked: context_length });
        }
        let text = |key: &str| match header.metadata.get(key) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let origin = header.origin.clone();
        let info = ModelInfo {
            id,
            name: text("general.name").unwrap_or_else(|| origin.name()),
            context_length,
            template: text("tokenizer.chat_template"),
            vocabulary: model.vocabulary,
            eos: tokenizer.eos(),
        };
        let total = weights::total_bytes(&header);
        let footprint = Footprint {
            weight_bytes: weights::step_bytes(&header),
            kv_bytes_per_token: 2
                * (size_of::<u16>() * model.layers * model.kv_heads * model.head_dim()) as u64,
        };
        let usual = usize::try_from(USUAL_CACHE_BYTES / footprint.kv_bytes_per_token).unwrap_or(usize::MAX);
        let usual =
            usual.clamp(CACHED_CONTEXTS.start() * context_length, CACHED_CONTEXTS.end() * context_length);
        let cached = options.cache_tokens.unwrap_or(usual).max(context_length);
        let pages = pages_for(cached);
        let needed = footprint.kv_bytes_per_token.saturating_mul(cached as u64);
        if let Some(has) = memory().filter(|has| needed > *has) {
            return Err(LoadError::Memory { tokens: cached, needed, has });
        }
        tracing::info!(tokens = cached, megabytes = needed >> 20, "the cache has room for so much");
        let load = move |report: &mut dyn FnMut(u64)| {
            let device = Device::cuda_if_available(0)
                .map_err(|error| LoadError::Device { detail: error.to_string() })?;
            Llama::load(&header, &model, device, context_length, pages, report)
        };
        let progress = move |done| progress(LoadProgress { done, total });
        let room = Room { waiting: options.queue_capacity, batch: options.batch, pages };
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
                    let worker = Worker {
                        model,
                        tokenizer,
                        masked,
                        vocabulary,
                        context_length,
                        admission,
                        meter,
                        scheduler: Scheduler::new(room.pages),
                        replies: BTreeMap::new(),
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
                Err(_) => {
                    let detail = "loading it panicked".to_owned();
                    return Err(LoadError::Backend { origin, detail });
                }
            }
        }
    }
}

/// Bytes of memory that this machine has, where the system tells (Linux).
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// The token ids of raw bytes as the model would read them, the beginning-of-text token first, without loading
/// its weights.
///
/// # Errors
/// A [`LoadError`] when the model (or the `tokenizer.json` of the options) has no vocabulary that can be used.
pub fn tokenize(
    origin: impl Into<Origin>,
    options: &EngineOptions,
    bytes: &[u8],
) -> Result<Vec<u32>, LoadError> {
    let header = Header::read(origin.into())?;
    let (tokenizer, _) = load_tokenizer(&header, options)?;
    Ok(tokenizer.encode_bytes(bytes))
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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender};
    use std::time::Duration;

    use futures_util::{FutureExt as _, StreamExt as _};

    use super::llama::StepError;
    use super::scheduler::Step;
    use super::vocabulary::{Kind, Piece};
    use super::*;
    use crate::generation::{
        Class, Event, Failure, FailureKind, Finish, Finished, Generation, Request, Sampling, Segment,
    };

    const EOS: u32 = 2;
    const FIRST_BYTE: u32 = 3;
    const ROWS: usize = 261;

    /// A model that makes each span of a step by a function of the test. It counts how often it was probed and dropped.
    struct Fake<F> {
        step: F,
        probed: Arc<AtomicUsize>,
        dropped: Arc<AtomicUsize>,
        /// Whether it computes nothing after a fault.
        fragile: bool,
    }

    impl<F: FnMut(&[u32], usize) -> Logits> Model for Fake<F> {
        fn forward(&mut self, step: &Step) -> Result<Vec<Vec<f32>>, StepError> {
            let mut logits = Vec::new();
            for span in &step.spans {
                let row = (self.step)(&span.ids, span.start)?;
                if span.chooses {
                    logits.push(row);
                }
            }
            Ok(logits)
        }

        fn probe(&mut self) -> Result<(), StepError> {
            self.probed.fetch_add(1, Ordering::SeqCst);
            assert!(!self.fragile, "the pool is poisoned");
            Ok(())
        }
    }

    impl<F> Drop for Fake<F> {
        fn drop(&mut self) {
            self.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Setting {
        engine: Engine,
        probed: Arc<AtomicUsize>,
        dropped: Arc<AtomicUsize>,
    }

    /// A tokenizer of bytes alone.
    fn bytes() -> Tokenizer {
        let mut pieces: Vec<Piece> =
            [("<unk>", Kind::Unknown), ("<s>", Kind::Control), ("</s>", Kind::Control)]
                .map(|(text, kind)| Piece { text: text.to_owned(), kind })
                .to_vec();
        pieces
            .extend((0..=255).map(|byte| Piece { text: format!("<0x{byte:02X}>"), kind: Kind::Byte(byte) }));
        let vocabulary = Vocabulary { pieces, merges: Vec::new(), bos: 1, eos: EOS, space_prefix: false };
        Tokenizer::new(vocabulary, &Origin::Understudy).expect("it is sound")
    }

    /// An engine that answers one request at a time.
    fn engine_with(capacity: usize, step: impl FnMut(&[u32], usize) -> Logits + Send + 'static) -> Setting {
        engine_in(Room { waiting: capacity, batch: 1, pages: pages_for(1000) }, false, step)
    }

    fn engine_in(
        room: Room,
        fragile: bool,
        step: impl FnMut(&[u32], usize) -> Logits + Send + 'static,
    ) -> Setting {
        let probed = Arc::new(AtomicUsize::new(0));
        let dropped = Arc::new(AtomicUsize::new(0));
        let fake = Fake { step, probed: Arc::clone(&probed), dropped: Arc::clone(&dropped), fragile };
        let info = ModelInfo {
            id: "fake".to_owned(),
            name: "fake".to_owned(),
            context_length: 1000,
            template: None,
            vocabulary: ROWS,
            eos: EOS,
        };
        let engine = Engine::start(
            move |_| Ok(fake),
            bytes(),
            info,
            Footprint::default(),
            room,
            Origin::Understudy,
            |_| {},
        );
        Setting { engine: engine.expect("it starts"), probed, dropped }
    }

    fn likeliest(id: u32) -> Vec<f32> {
        let mut logits = vec![0.0; ROWS];
        logits[id as usize] = 10.0;
        logits
    }

    type Logits = Result<Vec<f32>, StepError>;

    /// After each byte the next one: `a`, `b`, `c`, …
    #[expect(clippy::unnecessary_wraps, reason = "it is a step of a model")]
    fn next_byte(ids: &[u32], _position: usize) -> Logits {
        let last = ids.last().expect("a step has tokens");
        Ok(likeliest((last + 1).min(FIRST_BYTE + 255)))
    }

    fn meta() -> Meta {
        Meta {
            request: 1,
            conversation: 1,
            member: 1,
            server: 1,
            class: Class::Interactive,
            deadline: None,
            estimated_tokens: 1,
        }
    }

    fn request(text: &str, max_tokens: usize) -> Request {
        let mut prompt = Prompt::default();
        prompt.text(text);
        Request { prompt, min_tokens: 0, max_tokens, sampling: Sampling::default(), stop: Vec::new() }
    }

    async fn start(engine: &Engine, request: Request) -> Generation {
        let mut ticket = engine.reserve(meta()).expect("there is a place");
        ticket.turn().await;
        ticket.start(request)
    }

    async fn finish(generation: Generation) -> (String, Result<Finished, Failure>) {
        let events: Vec<Event> = generation.collect().await;
        let mut text = String::new();
        for event in events {
            match event {
                Event::Delta { text: more, .. } => text.push_str(&more),
                Event::Finished(finished) => return (text, Ok(finished)),
                Event::Failed(failure) => return (text, Err(failure)),
                _ => {}
            }
        }
        panic!("the stream ended without an end");
    }

    async fn ask(engine: &Engine, request: Request) -> (String, Result<Finished, Failure>) {
        finish(start(engine, request).await).await
    }

    /// A model that makes one step for each message, and the sender of those.
    fn stepwise() -> (Sender<()>, impl FnMut(&[u32], usize) -> Logits + Send) {
        #[expect(clippy::disallowed_methods, reason = "the test sends a handful of messages")]
        let (go, gate): (Sender<()>, Receiver<()>) = std::sync::mpsc::channel();
        let step = move |ids: &[u32], position| {
            gate.recv_timeout(Duration::from_mins(1)).map_err(|_| StepError("no step was due".to_owned()))?;
            next_byte(ids, position)
        };
        (go, step)
    }

    fn is_fault(failure: &Failure) -> bool {
        failure.kind == FailureKind::EngineFault
    }

    #[tokio::test]
    async fn a_panic_in_a_step_costs_one_reply() {
        let Setting { engine, probed, .. } = engine_with(4, |ids: &[u32], position| {
            assert!(ids != [FIRST_BYTE + u32::from(b'd')], "secret text");
            next_byte(ids, position)
        });
        let (text, end) = ask(&engine, request("a", 10)).await;
        let failure = end.expect_err("it fails");
        assert!(is_fault(&failure) && failure.retryable, "{failure:?}");
        assert!(!failure.detail.contains("secret"), "{failure:?}");
        assert_eq!(text, "bcd");
        let (text, end) = ask(&engine, request("w", 3)).await;
        assert_eq!((text.as_str(), end.expect("it ends well").reason), ("xyz", Finish::Length));
        assert_eq!(probed.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_error_of_a_step_costs_one_reply() {
        let mut calls = 0;
        let Setting { engine, .. } = engine_with(4, move |ids: &[u32], position| {
            calls += 1;
            if calls == 1 { Err(StepError("out of memory".to_owned())) } else { next_byte(ids, position) }
        });
        let failure = ask(&engine, request("a", 3)).await.1.expect_err("it fails");
        assert!(
            is_fault(&failure) && failure.retryable && failure.detail.starts_with("out of memory"),
            "{failure:?}"
        );
        assert_eq!(ask(&engine, request("a", 3)).await.0, "bcd");
    }

    #[tokio::test]
    async fn numbers_that_are_not_finite_are_a_fault() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let Setting { engine, .. } = engine_with(4, move |_: &[u32], _| {
                let mut logits = likeliest(FIRST_BYTE);
                logits[100] = bad;
                Ok(logits)
            });
            assert!(is_fault(&ask(&engine, request("a", 3)).await.1.expect_err("it fails")));
        }
        let Setting { engine, .. } = engine_with(4, |_: &[u32], _| Ok(vec![0.0; 3]));
        assert!(is_fault(&ask(&engine, request("a", 3)).await.1.expect_err("it fails")));
    }

    #[tokio::test]
    async fn an_engine_that_only_fails_does_not_ask_to_try_again_for_ever() {
        let Setting { engine, .. } = engine_with(4, |_: &[u32], _| Err(StepError("broken".to_owned())));
        let mut retryable = Vec::new();
        for _ in 0..4 {
            retryable.push(ask(&engine, request("a", 3)).await.1.expect_err("it fails").retryable);
        }
        assert_eq!(retryable, [true, true, false, false]);
    }

    #[tokio::test]
    async fn a_dropped_generation_stops_after_its_step() {
        let (go, step) = stepwise();
        let Setting { engine, .. } = engine_with(4, step);
        let step_once = || go.send(()).expect("the model waits");
        step_once();
        let mut generation = start(&engine, request("a", 900)).await;
        while !matches!(generation.next().await, Some(Event::Delta { .. })) {}
        // The worker is in, or before, its second step, and only that one is due for this reply.
        drop(generation);
        step_once();
        let mut next = engine.reserve(meta()).expect("a place");
        next.turn().await;
        let generation = next.start(request("x", 1));
        step_once();
        assert_eq!(finish(generation).await.0, "y");
    }

    #[tokio::test]
    async fn a_full_queue_answers_with_the_place() {
        let (go, step) = stepwise();
        let Setting { engine, .. } = engine_with(1, step);
        let running = start(&engine, request("a", 1)).await;
        let waiting = engine.reserve(meta()).expect("one may wait");
        assert_eq!(engine.reserve(meta()).err(), Some(Full { place: 1, wait: None }));
        drop(waiting);
        let _waiting = engine.reserve(meta()).expect("the place is free again");
        go.send(()).expect("the model waits");
        assert_eq!(finish(running).await.0, "b");
    }

    #[tokio::test]
    async fn shutting_down_tells_everybody() {
        let (go, step) = stepwise();
        let Setting { engine, dropped, .. } = engine_with(4, step);
        go.send(()).expect("the model waits");
        let mut running = start(&engine, request("a", 900)).await;
        while !matches!(running.next().await, Some(Event::Delta { .. })) {}
        let mut waiting = engine.reserve(meta()).expect("a place");
        assert!(waiting.queued().now_or_never().is_some());
        let other = engine.clone();
        // The thread is in its second step; the end comes after it.
        let shutdown = tokio::task::spawn_blocking(move || other.shutdown());
        waiting.turn().await;
        go.send(()).expect("the model waits");
        shutdown.await.expect("it ends");
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert_eq!(finish(running).await.1.expect("an end").reason, Finish::Shutdown);
        assert_eq!(finish(waiting.start(request("a", 1))).await.1.expect("an end").reason, Finish::Shutdown);
        assert_eq!(ask(&engine, request("a", 1)).await.1.expect("an end").reason, Finish::Shutdown);
        engine.shutdown();
    }

    #[tokio::test]
    async fn the_thread_ends_with_the_last_handle() {
        let Setting { engine, dropped, .. } = engine_with(4, next_byte);
        let generation = start(&engine, request("a", 900)).await;
        let other = engine.clone();
        drop(engine);
        assert_eq!(dropped.load(Ordering::SeqCst), 0);
        drop(other);
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert!(finish(generation).await.1.is_ok());
    }

    #[tokio::test]
    async fn a_reader_that_does_not_read_stalls_nobody() {
        let Setting { engine, .. } = engine_with(4, next_byte);
        let slow = start(&engine, request("a", 900)).await;
        let (text, _) = ask(&engine, request("a", 2)).await;
        assert_eq!(text, "bc");
        let events: Vec<Event> = slow.collect().await;
        // Admitted, the last Prefill, one Delta with everything, Finished.
        assert_eq!(events.len(), 4, "{events:?}");
    }

    #[tokio::test]
    async fn a_deadline_that_passed_drops_the_ticket() {
        let Setting { engine, .. } = engine_with(4, next_byte);
        let meta = Meta { deadline: Some(Instant::now()), ..meta() };
        let mut ticket = engine.reserve(meta).expect("a place");
        ticket.turn().await;
        let failure = finish(ticket.start(request("a", 1))).await.1.expect_err("it is too late");
        assert_eq!((failure.kind, failure.retryable), (FailureKind::Overloaded, true));
    }

    #[tokio::test]
    async fn a_long_prompt_is_read_in_chunks_and_every_token_once() {
        let mut expected = 0;
        let Setting { engine, .. } = engine_with(4, move |ids: &[u32], position| {
            assert!(ids.len() <= 512 && position == expected, "{} tokens at {position}", ids.len());
            expected += ids.len();
            next_byte(ids, position)
        });
        let (text, end) = ask(&engine, request(&"a".repeat(900), 2)).await;
        assert_eq!((text.as_str(), end.expect("it ends well").usage.prompt_tokens), ("bc", 901));
    }

    #[tokio::test]
    async fn several_are_answered_at_a_time() {
        let (go, step) = stepwise();
        let room = Room { waiting: 4, batch: 2, pages: 100 };
        let Setting { engine, .. } = engine_in(room, false, step);
        let mut first = start(&engine, request("a", 900)).await;
        go.send(()).expect("the model waits");
        while !matches!(first.next().await, Some(Event::Delta { .. })) {}
        // The first goes on, and the second has its turn beside it.
        let second = start(&engine, request("x", 2)).await;
        (0..20).for_each(|_| go.send(()).expect("the model waits"));
        assert_eq!(finish(second).await.0, "yz");
        // Else the model would wait for more.
        drop(go);
    }

    #[tokio::test]
    async fn a_fault_costs_the_replies_of_its_step_and_the_others_go_on() {
        let room = Room { waiting: 4, batch: 3, pages: 40 };
        // Two long texts do not fit at once, so one waits for pages while the other fails.
        let Setting { engine, .. } = engine_in(room, false, |ids: &[u32], position| {
            if ids == [FIRST_BYTE + u32::from(b'd')] {
                Err(StepError("a test".to_owned()))
            } else {
                next_byte(ids, position)
            }
        });
        let fails = start(&engine, request(&"a".repeat(900), 20)).await;
        let goes_on = start(&engine, request(&"w".repeat(900), 3)).await;
        assert!(is_fault(&finish(fails).await.1.expect_err("it fails")));
        assert_eq!(finish(goes_on).await.0, "xyz");
    }

    #[tokio::test]
    async fn a_model_that_computes_nothing_any_more_ends_everything() {
        let room = Room { waiting: 4, batch: 1, pages: 40 };
        let step = |_: &[u32], _| panic!("in the pool");
        let Setting { engine, dropped, .. } = engine_in(room, true, step);
        let failed = start(&engine, request("a", 3)).await;
        let mut waiting = engine.reserve(meta()).expect("a place");
        let failure = finish(failed).await.1.expect_err("it fails");
        assert!(is_fault(&failure), "{failure:?}");
        waiting.turn().await;
        assert!(is_fault(&finish(waiting.start(request("a", 1))).await.1.expect_err("it fails")));
        assert!(engine.wait() && engine.is_broken());
        engine.shutdown();
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_was_read_is_not_read_again() {
        let Setting { engine, .. } = engine_with(4, next_byte);
        let marked = |persona: &str, history: &str, cue: &str| {
            let mut prompt = Prompt::default();
            prompt.text(persona);
            prompt.mark_persona_end();
            prompt.text(history);
            prompt.mark_history_end();
            prompt.text(cue);
            prompt
        };
        let cached = async |prompt: Prompt| {
            let asked = Request { prompt, ..request("", 2) };
            ask(&engine, asked).await.1.expect("it ends well").usage.cached_tokens
        };
        // The beginning of text is a token too.
        let persona = "a".repeat(100);
        assert_eq!(cached(marked(&persona, "hello", "cue")).await, 0);
        assert_eq!(cached(marked(&persona, "hello,and-more", "cue")).await, 106);
        assert_eq!(cached(marked(&persona, "hello,and-more", "cue")).await, 115);
        engine.forget(1);
        assert_eq!(cached(marked(&persona, "hello,and-more", "cue")).await, 101);

        let history = "c".repeat(50);
        let before = engine.meter().steps;
        engine.prefill(7, marked("b", &history, "and-what-comes-then"));
        while engine.meter().steps == before || !engine.meter().idle {
            tokio::task::yield_now().await;
        }
        assert_eq!(cached(marked("b", &format!("{history}-and-more"), "cue")).await, 52);
    }

    #[tokio::test]
    async fn requests_that_make_no_sense_are_refused() {
        let Setting { engine, .. } = engine_with(4, next_byte);
        let with = |change: &dyn Fn(&mut Request)| {
            let mut asked = request("a", 5);
            change(&mut asked);
            asked
        };
        let sampling = |change: &dyn Fn(&mut Sampling)| with(&|asked| change(&mut asked.sampling));
        for bad in [
            with(&|asked| asked.prompt = Prompt::default()),
            with(&|asked| asked.prompt.segments = vec![Segment::Text(String::new())]),
            with(&|asked| {
                asked.prompt.segments = vec![Segment::Generated { text: "x".to_owned(), ids: vec![261] }];
            }),
            with(&|asked| asked.max_tokens = 0),
            with(&|asked| asked.stop = vec![String::new()]),
            sampling(&|sampling| sampling.temperature = f32::NAN),
            sampling(&|sampling| sampling.temperature = -0.1),
            sampling(&|sampling| sampling.temperature = f32::INFINITY),
            sampling(&|sampling| sampling.top_p = 1.1),
            sampling(&|sampling| sampling.top_p = f32::NAN),
            sampling(&|sampling| sampling.min_p = -0.1),
            sampling(&|sampling| sampling.repetition_penalty = 0.0),
            sampling(&|sampling| sampling.repetition_penalty = f32::NAN),
            sampling(&|sampling| sampling.frequency_penalty = f32::INFINITY),
            sampling(&|sampling| sampling.presence_penalty = f32::NAN),
            sampling(&|sampling| sampling.banned = (0..261).collect()),
        ] {
            let shown = format!("{bad:?}");
            let failure = ask(&engine, bad).await.1.expect_err("it is refused");
            assert_eq!((failure.kind, failure.retryable), (FailureKind::Invalid, false), "{shown}");
        }
        assert_eq!(ask(&engine, request("a", 2)).await.0, "bc");
    }

    #[test]
    fn a_panic_while_loading_is_an_error() {
        let info = ModelInfo {
            id: String::new(),
            name: String::new(),
            context_length: 10,
            template: None,
            vocabulary: ROWS,
            eos: EOS,
        };
        let load = |_: &mut dyn FnMut(u64)| -> Result<Llama, LoadError> { panic!("a test") };
        let room = Room { waiting: 1, batch: 1, pages: 1 };
        let error =
            Engine::start(load, bytes(), info, Footprint::default(), room, Origin::Understudy, |_| {})
                .expect_err("it fails");
        assert!(matches!(error, LoadError::Backend { .. }), "{error}");
    }
}
