//! The engine as its users see it, with tiny models: what it says, and that it agrees with candle's own loop.

use std::path::Path;
use std::time::Duration;

use candle_core::quantized::{GgmlDType, gguf_file};
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;
use futures_util::StreamExt as _;
use mummer::engine::{Engine, EngineOptions, LoadProgress};
use mummer::generation::{
    Class, Count, Event, Failure, FailureKind, Finish, Finished, Generation, Generator, Meta, Prompt,
    Request, Sampling,
};

use crate::cli::mummer;
use crate::tiny_model::{Eos, Piece, TinyModel, vocabulary};

/// Steps whose two likeliest tokens are nearer than this may go either way: the engine keeps keys and values in f16 and
/// reads the prompt in chunks, and matrices that are quantised round what differs in the last bits. The widest lead that
/// was ever lost to that is 0.24, in the logits of these random models.
const MARGIN: f32 = 0.5;

pub(crate) fn load(path: &Path) -> Engine {
    Engine::load(path, EngineOptions::default(), |_| {}).expect("the model loads")
}

pub(crate) fn text_prompt(text: &str) -> Prompt {
    let mut prompt = Prompt::default();
    prompt.text(text);
    prompt
}

pub(crate) fn request(prompt: &str, max_tokens: usize) -> Request {
    Request {
        prompt: text_prompt(prompt),
        min_tokens: 0,
        max_tokens,
        sampling: Sampling::default(),
        stop: Vec::new(),
    }
}

fn meta() -> Meta {
    Meta {
        request: 1,
        conversation: 1,
        member: 1,
        server: 1,
        class: Class::Interactive,
        deadline: None,
        estimated_tokens: 100,
    }
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Reply {
    text: String,
    events: Vec<Event>,
    pub(crate) end: Result<Finished, Failure>,
}

async fn collect(mut generation: Generation) -> Reply {
    let mut text = String::new();
    let mut events = Vec::new();
    while let Some(event) = generation.next().await {
        match &event {
            Event::Delta { text: more, .. } => text.push_str(more),
            Event::Finished(finished) => return Reply { text, end: Ok(finished.clone()), events },
            Event::Failed(failure) => return Reply { text, end: Err(failure.clone()), events },
            _ => {}
        }
        events.push(event);
    }
    panic!("the stream ended without an end");
}

pub(crate) async fn ask(engine: &Engine, request: Request) -> Reply {
    let mut ticket = engine.reserve(meta()).expect("there is a place");
    ticket.turn().await.expect("its turn comes");
    collect(ticket.start(request)).await
}

/// candle's own loop.
struct Oracle {
    weights: ModelWeights,
    position: usize,
}

impl Oracle {
    fn load(path: &Path) -> Self {
        let mut file = std::fs::File::open(path).expect("the file is there");
        let content = gguf_file::Content::read(&mut file).expect("candle reads it");
        let weights = ModelWeights::from_gguf(content, &mut file, &Device::Cpu).expect("candle loads it");
        Self { weights, position: 0 }
    }

    /// The likeliest token after these that `may_choose` lets pass, and by how much it leads.
    fn next(&mut self, ids: &[u32], may_choose: impl Fn(u32) -> bool) -> (u32, f32) {
        let tensor = Tensor::new(ids, &Device::Cpu).and_then(|ids| ids.unsqueeze(0)).expect("ids");
        let logits = self.weights.forward(&tensor, self.position).and_then(|logits| logits.squeeze(0));
        self.position += ids.len();
        let logits = logits.and_then(|logits| logits.to_vec1::<f32>()).expect("numbers");
        let mut ranking: Vec<(u32, f32)> = (0..).zip(logits).filter(|&(id, _)| may_choose(id)).collect();
        ranking.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        (ranking[0].0, ranking[0].1 - ranking[1].1)
    }
}

/// The whole prompt at once, then token after token, always the likeliest of those that `may_choose` lets pass. Ends
/// before the first step whose two likeliest tokens are nearer than `margin`.
pub(crate) fn reference(
    path: &Path,
    prompt: &[u32],
    steps: usize,
    margin: f32,
    may_choose: impl Fn(u32) -> bool,
) -> Vec<u32> {
    let mut oracle = Oracle::load(path);
    let (mut ids, mut input) = (Vec::new(), prompt.to_vec());
    while ids.len() < steps {
        let (id, lead) = oracle.next(&input, &may_choose);
        if lead < margin {
            break;
        }
        ids.push(id);
        input = vec![id];
    }
    ids
}

/// Follows a reply with candle's own loop: wherever the likeliest token leads by more than [`MARGIN`], the reply has that
/// token. Returns in how many steps that is so.
fn agrees(path: &Path, prompt: &[u32], reply: &[u32], may_choose: impl Fn(u32) -> bool) -> usize {
    let mut oracle = Oracle::load(path);
    let mut input = prompt.to_vec();
    let mut clear = 0;
    for (step, &id) in reply.iter().enumerate() {
        let (likeliest, lead) = oracle.next(&input, &may_choose);
        if lead >= MARGIN {
            assert_eq!(id, likeliest, "step {step} of {reply:?}, where it leads by {lead}");
            clear += 1;
        }
        input = vec![id];
    }
    clear
}

/// Whether the tiny models' vocabulary has this id as a piece that `kind` lets pass; rows beyond it have none.
fn is_piece(id: u32, kind: impl Fn(&Piece) -> bool) -> bool {
    vocabulary().get(id as usize).is_some_and(kind)
}

#[tokio::test]
async fn greedy_replies_are_those_of_candles_own_loop() {
    // Longer than two chunks of the prefill.
    let text = "You are the one who would know. ### Hello there, 日本!\n".repeat(16);
    for dtype in [
        GgmlDType::F32,
        GgmlDType::F16,
        GgmlDType::Q8_0,
        GgmlDType::Q5_1,
        GgmlDType::Q4_0,
        GgmlDType::Q4K,
        GgmlDType::Q6K,
    ] {
        let mut compared = 0;
        for seed in 0..3 {
            let file = TinyModel::new(seed).with_dtype(dtype).write();
            let engine = load(file.path());
            let prompt = engine.encode(&text_prompt(&text));
            assert!(prompt.len() > 2 * 128, "{} tokens are too few", prompt.len());
            let reply = ask(&engine, request(&text, 24)).await;
            let ids = reply.end.expect("it ends well").ids;
            compared +=
                agrees(file.path(), &prompt, &ids, |id| is_piece(id, |piece| matches!(piece.kind, 1 | 6)));
            assert_eq!(engine.decode(&ids), reply.text);
        }
        assert!(compared >= 24, "{dtype:?}: only {compared} steps were clear");
    }
}

#[test]
fn the_complete_command_continues_as_candles_own_loop_does() {
    let text = "### Instruction:\nSay <s> what you like, 日本.\n\n### Response:\n";
    let prompt = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(prompt.path(), text).expect("it can be written");
    let mut compared = 0;
    for seed in 0..6 {
        let file = TinyModel::new(seed).with_dtype(GgmlDType::Q8_0).write();
        let output = mummer(std::env::temp_dir().as_path())
            .args(["complete", "--json", "--temperature", "0", "--max-tokens", "24", "--model"])
            .args([file.path(), Path::new("--prompt-file"), prompt.path()])
            .output()
            .expect("it runs");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        let ids: Vec<u32> = serde_json::from_value(report["ids"].clone()).expect("ids");
        let read = load(file.path()).encode_bytes(text.as_bytes());
        // Every row that has a piece, whatever its kind.
        compared += agrees(file.path(), &read, &ids, |id| is_piece(id, |_| true));
    }
    assert!(compared >= 24, "only {compared} steps were clear");
}

#[tokio::test]
async fn a_reply_tells_its_story_in_order() {
    let file = TinyModel::saying(&["▁Hello", "▁there", "!"]).write();
    let engine = load(file.path());
    let mut asked = request("Say it.", 10);
    asked.sampling.seed = Some(42);
    let prompt_tokens = engine.encode(&asked.prompt).len();
    assert_eq!(engine.count(&asked.prompt), Count::Exact(prompt_tokens));
    let reply = ask(&engine, asked).await;
    assert_eq!(reply.events[0], Event::Admitted { prompt_tokens, cached_tokens: 0, seed: 42 });
    assert!(
        matches!(reply.events[1], Event::Prefill { done, total } if done == total && total == prompt_tokens)
    );
    assert!(reply.events[2..].iter().all(|event| matches!(event, Event::Delta { .. })));
    assert_eq!(reply.text, " Hello there!");
    let finished = reply.end.expect("it ends well");
    assert_eq!(finished.reason, Finish::Eos);
    assert_eq!(engine.decode(&finished.ids), reply.text);
    assert_eq!(finished.usage.new_tokens, 3);
    assert_eq!(finished.usage.prompt_tokens, prompt_tokens);
    assert!(finished.timings.prefill > Duration::ZERO);
}

#[tokio::test]
async fn stop_strings_end_a_reply_and_are_not_in_it() {
    let file = TinyModel::saying(&["▁Hello", "!", "<0x0A>", "###", "▁Input", ":", "▁you"]).write();
    let engine = load(file.path());
    let stop = |text: &str| Request { stop: vec![text.to_owned()], ..request("Say it.", 20) };

    let reply = ask(&engine, stop("\n### Input:")).await;
    let finished = reply.end.expect("it ends well");
    assert_eq!(reply.text, " Hello!");
    assert_eq!(finished.reason, Finish::Stop("\n### Input:".to_owned()));
    assert_eq!(engine.decode(&finished.ids), " Hello!");
    assert_eq!(finished.usage.new_tokens, 6);

    // Cut out of the middle of a token: no ids have this text.
    let reply = ask(&engine, stop("lo!")).await;
    assert_eq!(reply.text, " Hel");
    assert_eq!(reply.end.expect("it ends well").ids, [0; 0]);

    // What only looked like a stop string comes in the end.
    let reply = ask(&engine, stop("you!")).await;
    assert_eq!(reply.text, " Hello!\n### Input: you");
    assert_eq!(reply.end.expect("it ends well").reason, Finish::Eos);
}

#[tokio::test]
async fn a_reply_that_starts_a_line_may_stop_without_the_newline() {
    let file = TinyModel::saying(&["###", "▁Input", ":"]).write();
    let engine = load(file.path());
    let stop = vec!["\n### Input:".to_owned()];
    let reply = ask(&engine, Request { stop: stop.clone(), ..request("### Response:\n", 20) }).await;
    assert_eq!((reply.text.as_str(), reply.end.expect("an end").reason), ("", Finish::Stop(stop[0].clone())));
    let reply = ask(&engine, Request { stop, ..request("### Response:\nBob", 20) }).await;
    assert_eq!((reply.text.as_str(), reply.end.expect("an end").reason), ("### Input:", Finish::Eos));
}

#[tokio::test]
async fn characters_are_whole_even_when_tokens_are_bytes() {
    let file = TinyModel::saying(&["<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "▁", "<0xFF>", "!"]).write();
    let engine = load(file.path());
    let reply = ask(&engine, request("Smile.", 20)).await;
    let texts: Vec<&str> = reply
        .events
        .iter()
        .filter_map(|event| if let Event::Delta { text, .. } = event { Some(text.as_str()) } else { None })
        .collect();
    assert!(texts.concat() == "😀 \u{FFFD}!", "{texts:?}");
    assert!(texts[0].starts_with('😀'), "{texts:?}");
    assert_eq!(engine.decode(&reply.end.expect("it ends well").ids), "😀 \u{FFFD}!");
}

#[tokio::test]
async fn replies_end_at_their_limits() {
    let file = TinyModel { context_length: 40, ..TinyModel::new(3) }.write();
    let engine = load(file.path());
    let prompt = engine.encode(&text_prompt("Hello there")).len();

    let finished = ask(&engine, request("Hello there", 5)).await.end.expect("it ends well");
    assert_eq!((finished.reason, finished.usage.new_tokens), (Finish::Length, 5));
    let finished = ask(&engine, request("Hello there", 500)).await.end.expect("it ends well");
    assert_eq!((finished.reason, finished.usage.new_tokens), (Finish::ContextFull, 40 - prompt));

    let long = "Hello there ".repeat(40);
    let have = engine.encode(&text_prompt(&long)).len();
    let failure = ask(&engine, request(&long, 5)).await.end.expect_err("it does not fit");
    assert_eq!(failure.kind, FailureKind::TooLong { have, limit: 39 });
}

#[tokio::test]
async fn the_context_is_what_is_asked_for_and_at_most_what_the_file_allows() {
    let file = TinyModel { context_length: 100_000, ..TinyModel::new(1) }.write();
    let context = |asked| {
        let mut options = EngineOptions::default();
        options.context_length = asked;
        Engine::load(file.path(), options, |_| {}).expect("it loads").info().context_length
    };
    assert_eq!(context(None), 8_192);
    assert_eq!(context(Some(64)), 64);
    assert_eq!(context(Some(20_000)), 20_000);
    let small = TinyModel { context_length: 512, ..TinyModel::new(1) }.write();
    assert_eq!(load(small.path()).info().context_length, 512);
}

#[tokio::test]
async fn the_end_of_text_waits_for_the_least_number_of_tokens() {
    let file = TinyModel { eos: Eos::Always, ..TinyModel::new(1) }.write();
    let engine = load(file.path());
    let finished = ask(&engine, request("Hello", 20)).await.end.expect("it ends well");
    assert_eq!((finished.reason, finished.usage.new_tokens), (Finish::Eos, 0));
    let asked = Request { min_tokens: 7, ..request("Hello", 20) };
    let finished = ask(&engine, asked).await.end.expect("it ends well");
    assert_eq!((finished.reason, finished.usage.new_tokens), (Finish::Eos, 7));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_reply_and_control_tokens_never_come() {
    let file = TinyModel::new(5).write();
    let engine = load(file.path());
    let warm = |seed| {
        let sampling = Sampling { temperature: 3.0, seed, ..Sampling::default() };
        Request { sampling, ..request("Hello", 200) }
    };
    let first = ask(&engine, warm(Some(9))).await.end.expect("it ends well").ids;
    let again = ask(&engine, warm(Some(9))).await.end.expect("it ends well").ids;
    let other = ask(&engine, warm(Some(10))).await.end.expect("it ends well").ids;
    assert_eq!(first, again);
    assert_ne!(first, other);
    let pieces = vocabulary();
    for id in first.iter().chain(&other) {
        assert!(matches!(pieces[*id as usize].kind, 1 | 6), "{id}");
    }
    // A seed that was drawn is told, and gives the same again.
    let drawn = ask(&engine, warm(None)).await;
    let Event::Admitted { seed, .. } = drawn.events[0] else { panic!("{:?}", drawn.events) };
    let again = ask(&engine, warm(Some(seed))).await;
    assert_eq!(drawn.text, again.text);
}

#[tokio::test]
async fn dropping_a_generation_frees_the_engine_for_the_next() {
    let file = TinyModel { context_length: 4096, ..TinyModel::new(2) }.write();
    let engine = load(file.path());
    let mut first = engine.reserve(meta()).expect("a place");
    let mut second = engine.reserve(meta()).expect("a place");
    first.turn().await.expect("its turn comes");
    let mut generation = first.start(request("Hello", 4000));
    while !matches!(generation.next().await, Some(Event::Delta { .. })) {}
    drop(generation);
    second.turn().await.expect("its turn comes");
    let reply = collect(second.start(request("Hello", 3))).await;
    assert_eq!(reply.end.expect("it ends well").usage.new_tokens, 3);
}

#[tokio::test]
async fn shutting_down_ends_what_runs_and_what_waits() {
    let file = TinyModel { context_length: 4096, ..TinyModel::new(2) }.write();
    let engine = load(file.path());
    let mut first = engine.reserve(meta()).expect("a place");
    let mut second = engine.reserve(meta()).expect("a place");
    first.turn().await.expect("its turn comes");
    let mut running = first.start(request("Hello", 4000));
    while !matches!(running.next().await, Some(Event::Delta { .. })) {}
    engine.shutdown();
    assert_eq!(collect(running).await.end.expect("an end").reason, Finish::Shutdown);
    second.turn().await.expect("its turn comes");
    assert_eq!(
        collect(second.start(request("Hello", 3))).await.end.expect("an end").reason,
        Finish::Shutdown
    );
    assert_eq!(ask(&engine, request("Hello", 3)).await.end.expect("an end").reason, Finish::Shutdown);
}

#[test]
fn loading_tells_how_far_it_is() {
    let file = TinyModel::new(1).write();
    let mut steps: Vec<LoadProgress> = Vec::new();
    let engine = Engine::load(file.path(), EngineOptions::default(), |progress| steps.push(progress));
    let engine = engine.expect("it loads");
    assert!(steps.len() > 10);
    assert!(steps.windows(2).all(|pair| pair[0].done <= pair[1].done));
    let last = steps.last().expect("there are steps");
    assert_eq!(last.done, last.total);
    assert_eq!(engine.info().name, "Tiny");
    assert_eq!(engine.info().vocabulary, TinyModel::new(1).rows());
    assert_eq!(engine.info().eos, 2);
}

#[test]
fn models_are_told_apart_by_their_ids() {
    let id = |model: TinyModel| load(model.write().path()).info().id.clone();
    assert_eq!(id(TinyModel::new(1)), id(TinyModel::new(1)));
    assert_ne!(id(TinyModel::new(1)), id(TinyModel::new(2)));
    assert_ne!(id(TinyModel::new(1)), id(TinyModel { context_length: 511, ..TinyModel::new(1) }));
}

/// A prompt in three parts: a persona's, a history's, and what ends it.
fn marked(persona: &str, history: &str, cue: &str) -> Prompt {
    let mut prompt = Prompt::default();
    prompt.template(persona);
    prompt.mark_persona_end();
    prompt.text(history);
    prompt.mark_history_end();
    prompt.template(cue);
    prompt
}

async fn ask_as(engine: &Engine, conversation: u64, request: Request) -> Reply {
    let meta = Meta { conversation, member: conversation, ..meta() };
    let mut ticket = engine.reserve(meta).expect("there is a place");
    ticket.turn().await.expect("its turn comes");
    collect(ticket.start(request)).await
}

#[tokio::test]
async fn another_conversation_reads_only_what_is_its_own() {
    let engine = load(TinyModel::new(2).write().path());
    let persona = "### Instruction:\nYou are the one who would know.\n\n### Input:\n";
    let shared = engine.encode(&text_prompt(persona)).len();
    let first =
        Request { prompt: marked(persona, "Alice: Hello there", "\n### Response:\n"), ..request("", 4) };
    let other =
        Request { prompt: marked(persona, "Bob: What time is it", "\n### Response:\n"), ..request("", 4) };
    let cached = |reply: Reply| reply.end.expect("it ends well").usage.cached_tokens;
    assert_eq!(cached(ask_as(&engine, 1, first.clone()).await), 0);
    assert_eq!(cached(ask_as(&engine, 2, other).await), shared);
    assert!(cached(ask_as(&engine, 1, first.clone()).await) > shared);
    engine.forget(1);
    assert_eq!(cached(ask_as(&engine, 1, first).await), shared);
}

#[tokio::test]
async fn replies_that_are_made_together_are_those_that_are_made_alone() {
    let file = TinyModel::new(4).with_dtype(GgmlDType::F32).write();
    let engine = load(file.path());
    let prompts: Vec<String> = (0..6).map(|number| format!("You are the {number} who would know.")).collect();
    let together = prompts.iter().zip(0..).map(|(text, number)| ask_as(&engine, number, request(text, 16)));
    let together = futures_util::future::join_all(together).await;
    let mut compared = 0;
    for (text, reply) in prompts.iter().zip(together) {
        let expected = reference(file.path(), &engine.encode(&text_prompt(text)), 16, 1e-2, |id| {
            is_piece(id, |piece| matches!(piece.kind, 1 | 6))
        });
        assert_eq!(reply.end.expect("it ends well").ids[..expected.len()], expected, "{text}");
        compared += expected.len();
    }
    assert!(compared >= 12, "only {compared} steps were clear");
}
