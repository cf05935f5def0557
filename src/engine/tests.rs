//! The engine from the outside, with models that are scripted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};

use super::llama::StepError;
use super::scheduler::{PANICS as PANICS_IN_PLANS, Step};
use super::sequence::PANICS;
use super::vocabulary::{Kind, Piece};
use super::*;
use crate::generation::{
    Class, Event, Failure, FailureKind, Finish, Finished, Generation, Queued, Request, Sampling, Segment,
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
    let mut pieces: Vec<Piece> = [("<unk>", Kind::Unknown), ("<s>", Kind::Control), ("</s>", Kind::Control)]
        .map(|(text, kind)| Piece { text: text.to_owned(), kind })
        .to_vec();
    pieces.extend((0..=255).map(|byte| Piece { text: format!("<0x{byte:02X}>"), kind: Kind::Byte(byte) }));
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
        device: String::new(),
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
    ticket.turn().await.expect("its turn comes");
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
        gate.recv_timeout(Duration::from_mins(1))
            .map_err(|_| StepError::Other("no step was due".to_owned()))?;
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
async fn a_panic_in_one_reply_costs_that_reply() {
    let (go, step) = stepwise();
    let room = Room { waiting: 4, batch: 2, pages: 100 };
    let Setting { engine, probed, .. } = engine_in(room, false, step);
    let goes_on = start(&engine, request("a", 5)).await;
    let panics = Request { stop: vec![PANICS.to_owned()], ..request("x", 5) };
    let panics = start(&engine, panics).await;
    (0..40).for_each(|_| go.send(()).expect("the model waits"));
    let failure = finish(panics).await.1.expect_err("it fails");
    assert!(is_fault(&failure) && failure.retryable, "{failure:?}");
    assert!(!failure.detail.contains("secret"), "{failure:?}");
    assert_eq!(finish(goes_on).await.0, "bcdef");
    // The model did nothing wrong.
    assert_eq!(probed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_error_of_a_step_costs_one_reply() {
    let mut calls = 0;
    let Setting { engine, .. } = engine_with(4, move |ids: &[u32], position| {
        calls += 1;
        if calls == 1 { Err(StepError::Other("out of memory".to_owned())) } else { next_byte(ids, position) }
    });
    let failure = ask(&engine, request("a", 3)).await.1.expect_err("it fails");
    assert!(
        is_fault(&failure) && failure.retryable && failure.detail.starts_with("out of memory"),
        "{failure:?}"
    );
    assert_eq!(ask(&engine, request("a", 3)).await.0, "bcd");
}

#[tokio::test]
async fn a_panic_between_two_steps_fails_all_replies_and_no_later_one() {
    let (go, step) = stepwise();
    let room = Room { waiting: 4, batch: 2, pages: 100 };
    let Setting { engine, probed, .. } = engine_in(room, false, step);
    go.send(()).expect("the model waits");
    let mut running = start(&engine, request("a", 900)).await;
    while !matches!(running.next().await, Some(Event::Delta { .. })) {}
    let mut ticket = engine.reserve(Meta { conversation: PANICS_IN_PLANS, ..meta() }).expect("a place");
    ticket.turn().await.expect("its turn comes");
    let panics = ticket.start(request("x", 5));
    go.send(()).expect("the model waits");
    for generation in [running, panics] {
        let failure = finish(generation).await.1.expect_err("it fails");
        assert!(is_fault(&failure) && failure.retryable, "{failure:?}");
        assert!(!failure.detail.contains("secret"), "{failure:?}");
    }
    // Both turns are free again, and the model did nothing wrong.
    (0..10).for_each(|_| go.send(()).expect("the model waits"));
    let (first, second) = (start(&engine, request("a", 3)).await, start(&engine, request("x", 3)).await);
    assert_eq!((finish(first).await.0.as_str(), finish(second).await.0.as_str()), ("bcd", "yz{"));
    assert_eq!(probed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_card_that_is_short_of_memory_reads_in_smaller_parts() {
    let longest = Arc::new(AtomicUsize::new(0));
    let step = {
        let longest = Arc::clone(&longest);
        move |ids: &[u32], position| {
            if ids.len() > 5 {
                return Err(StepError::OutOfMemory);
            }
            longest.fetch_max(ids.len(), Ordering::SeqCst);
            next_byte(ids, position)
        }
    };
    let Setting { engine, probed, .. } = engine_with(4, step);
    let (text, end) = ask(&engine, request(&"a".repeat(50), 3)).await;
    assert_eq!((text.as_str(), end.expect("it ends well").reason), ("bcd", Finish::Length));
    assert_eq!((longest.load(Ordering::SeqCst), probed.load(Ordering::SeqCst)), (4, 0));

    let Setting { engine, .. } = engine_with(4, |_: &[u32], _| Err(StepError::OutOfMemory));
    let failure = ask(&engine, request("abc", 3)).await.1.expect_err("it cannot read less than a token");
    assert!(is_fault(&failure) && failure.detail.contains("model.cache_tokens"), "{failure:?}");
}

#[tokio::test]
async fn one_member_in_many_channels_delays_anothers_first_by_one_reply_though_pages_are_few() {
    let (go, step) = stepwise();
    // One prompt and its reply fit at a time, and eight have their turns.
    let room = Room { waiting: 20, batch: 8, pages: 3 };
    let Setting { engine, .. } = engine_in(room, false, step);
    let ended = Arc::new(Mutex::new(Vec::new()));
    let begin = |member: u64, conversation: u8| {
        let meta = Meta { member, conversation: conversation.into(), ..meta() };
        let ticket = engine.reserve(meta).expect("a place");
        let text = char::from(b'a' + conversation).to_string().repeat(40);
        (ticket, request(&text, 20))
    };
    let many: Vec<_> = (1..=12).map(|conversation| begin(1, conversation)).collect();
    let many: Vec<_> = many
        .into_iter()
        .map(|(mut ticket, request)| {
            let ended = Arc::clone(&ended);
            tokio::spawn(async move {
                ticket.turn().await.expect("its turn comes");
                finish(ticket.start(request)).await.1.expect("it ends well");
                ended.lock().expect("a list").push(1);
            })
        })
        .collect();
    let last = Arc::clone(&ended);
    let step_once = async || {
        let before = engine.meter().steps;
        go.send(()).expect("the model waits");
        while engine.meter().steps == before {
            tokio::task::yield_now().await;
        }
    };
    step_once().await;
    let (mut ticket, request) = begin(2, 20);
    // As soon as it is known that the others wait for pages.
    while ticket.turn().now_or_never().is_none() {
        step_once().await;
    }
    let mut other = ticket.start(request);
    while !matches!(other.next().now_or_never(), Some(Some(Event::Queued(Queued { place: 1, .. })))) {
        step_once().await;
    }
    assert!(ended.lock().expect("a list").is_empty(), "the first is still speaking");
    let other = tokio::spawn(async move {
        finish(other).await.1.expect("it ends well");
        last.lock().expect("a list").push(2);
    });
    while !other.is_finished() {
        step_once().await;
        // Whoever heard the end of a reply notes it before the next step.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(*ended.lock().expect("a list"), [1, 2]);
    (0..2_000).for_each(|_| go.send(()).expect("the model waits"));
    for one in many {
        one.await.expect("it is answered");
    }
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
    let Setting { engine, .. } = engine_with(4, |_: &[u32], _| Err(StepError::Other("broken".to_owned())));
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
    next.turn().await.expect("its turn comes");
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
    waiting.turn().await.expect("its turn comes");
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
    assert_eq!(ticket.turn().await, Err(Full { place: 1, wait: None }));
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
            Err(StepError::Other("a test".to_owned()))
        } else {
            next_byte(ids, position)
        }
    });
    let fails = start(&engine, request(&"a".repeat(900), 20)).await;
    let goes_on = start(&engine, request(&"w".repeat(900), 3)).await;
    assert!(is_fault(&finish(fails).await.1.expect_err("it fails")));
    assert_eq!(finish(goes_on).await.0, "xyz");
}

/// Letters, each as likely as its place and the token before it say: the same whoever else is in the batch.
#[expect(clippy::unnecessary_wraps, reason = "it is a step of a model")]
fn letters(ids: &[u32], position: usize) -> Logits {
    let last = u64::from(*ids.last().expect("a step has tokens"));
    let place = (position + ids.len()) as u64;
    let mut logits = vec![-100.0; ROWS];
    for letter in b'a'..=b'z' {
        let mixed = (last << 40 ^ place << 8 ^ u64::from(letter)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        logits[(FIRST_BYTE + u32::from(letter)) as usize] = (mixed >> 60) as f32 / 4.0;
    }
    Ok(logits)
}

#[tokio::test]
async fn what_is_drawn_depends_on_the_seed_and_on_nobody_else() {
    const REPLIES: usize = 8;
    const TOKENS: usize = 200;
    let asked = |number: usize| {
        let seed = Some(number as u64);
        let sampling = Sampling { temperature: 1.0, top_p: 0.9, seed, ..Sampling::default() };
        let letter = char::from(b'a' + u8::try_from(number).expect("it is small"));
        Request { sampling, ..request(&letter.to_string(), TOKENS) }
    };
    let mut alone = Vec::new();
    let Setting { engine, .. } = engine_with(4, letters);
    for number in 0..REPLIES {
        alone.push(ask(&engine, asked(number)).await.0);
    }
    assert!(alone.iter().all(|text| text.len() == TOKENS) && alone[0] != alone[1], "{alone:?}");
    // Pages for less than half of them, so that some are set back.
    let computed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&computed);
    let room = Room { waiting: 8, batch: 8, pages: 3 * pages_for(TOKENS + 2) };
    let Setting { engine, .. } = engine_in(room, false, move |ids: &[u32], position| {
        counter.fetch_add(ids.len(), Ordering::SeqCst);
        letters(ids, position)
    });
    let mut replies = Vec::new();
    for number in 0..REPLIES {
        replies.push(start(&engine, asked(number)).await);
    }
    let together = futures_util::future::join_all(replies.into_iter().map(finish)).await;
    let together: Vec<String> = together.into_iter().map(|(text, _)| text).collect();
    assert_eq!(together, alone);
    let least = REPLIES * (TOKENS + 1);
    assert!(computed.load(Ordering::SeqCst) > least, "nobody was set back");
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
    waiting.turn().await.expect("its turn comes");
    assert!(is_fault(&finish(waiting.start(request("a", 1))).await.1.expect_err("it fails")));
    assert!(engine.wait() && engine.is_broken());
    engine.shutdown();
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

/// A prompt whose first parts are the same in others.
fn marked(persona: &str, history: &str, cue: &str) -> Prompt {
    let mut prompt = Prompt::default();
    prompt.text(persona);
    prompt.mark_persona_end();
    prompt.text(history);
    prompt.mark_history_end();
    prompt.text(cue);
    prompt
}

#[tokio::test]
async fn what_another_reply_has_read_meanwhile_counts_as_cached() {
    let (go, step) = stepwise();
    let room = Room { waiting: 4, batch: 2, pages: 100 };
    let Setting { engine, .. } = engine_in(room, false, step);
    let persona = "a".repeat(300);
    let asked = |history| Request { prompt: marked(&persona, history, "cue"), ..request("", 2) };
    // Both have begun when the first step ends.
    let [first, second] = [start(&engine, asked("x")).await, start(&engine, asked("y")).await];
    (0..40).for_each(|_| go.send(()).expect("the model waits"));
    let usage = async |generation| finish(generation).await.1.expect("it ends well").usage;
    assert_eq!(usage(first).await.cached_tokens, 0);
    let cached = usage(second).await.cached_tokens;
    assert!((256..=301).contains(&cached), "{cached}");
}

#[tokio::test]
async fn what_was_read_is_not_read_again() {
    let Setting { engine, .. } = engine_with(4, next_byte);
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
        device: String::new(),
        context_length: 10,
        template: None,
        vocabulary: ROWS,
        eos: EOS,
    };
    let load = |_: &mut dyn FnMut(u64)| -> Result<Llama, LoadError> { panic!("a test") };
    let room = Room { waiting: 1, batch: 1, pages: 1 };
    let error = Engine::start(load, bytes(), info, Footprint::default(), room, Origin::Understudy, |_| {})
        .expect_err("it fails");
    assert!(matches!(error, LoadError::Fault { .. }), "{error}");
}
