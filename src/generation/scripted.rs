//! A generator without a model, for tests and dry runs: it says what its script says, and echoes without one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::{
    Count, Event, Failure, FailureKind, Finish, Finished, Full, Generator, Grant, Mailbox, Meta, ModelInfo,
    Prompt, Queued, Request, Started, Ticket, Timings, Usage, ticket,
};

/// One step of a scripted answer.
#[derive(Debug, Clone)]
pub enum Step {
    /// Say this.
    Say(String),
    /// Wait for this long.
    Wait(Duration),
    /// Wait until the semaphore has a permit, and take it.
    Hold(Arc<Semaphore>),
    /// Fail in this way.
    Fail(FailureKind, bool),
}

/// A generator that follows a script: one list of steps for each request, in order. A request for which there is
/// none is answered with an echo.
#[derive(Clone)]
pub struct Scripted {
    info: Arc<ModelInfo>,
    runtime: Handle,
    queue_capacity: usize,
    parallel: usize,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    script: VecDeque<Vec<Step>>,
    waiting: VecDeque<Grant>,
    granted: Vec<Grant>,
    running: usize,
    requests: Vec<Request>,
    /// When they came.
    times: Vec<Instant>,
    hints: Vec<(u64, Prompt)>,
    forgotten: Vec<u64>,
    cancelled: usize,
}

impl Scripted {
    /// A generator that answers `parallel` requests at a time and lets `queue_capacity` wait.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(queue_capacity: usize, parallel: usize) -> Self {
        let info = ModelInfo {
            id: "scripted".to_owned(),
            name: "a script".to_owned(),
            device: "nothing".to_owned(),
            context_length: 4_096,
            template: None,
            vocabulary: 0,
            eos: 0,
        };
        let state = Arc::new(Mutex::new(State::default()));
        let (runtime, changed) = (Handle::current(), Arc::default());
        Self { info: Arc::new(info), runtime, queue_capacity, parallel, state, changed }
    }

    /// The same with another context length.
    #[must_use]
    pub fn with_context_length(self, context_length: usize) -> Self {
        let info = ModelInfo { context_length, ..(*self.info).clone() };
        Self { info: Arc::new(info), ..self }
    }

    /// Adds the answer to one more request.
    pub fn then(&self, steps: impl IntoIterator<Item = Step>) {
        self.lock().script.push_back(steps.into_iter().collect());
    }

    /// Adds an answer that is said at once.
    pub fn then_say(&self, text: &str) {
        self.then([Step::Say(text.to_owned())]);
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    /// When the requests so far came.
    #[must_use]
    pub fn times(&self) -> Vec<Instant> {
        self.lock().times.clone()
    }

    /// The prompts of all requests so far.
    #[must_use]
    pub fn prompts(&self) -> Vec<Prompt> {
        self.lock().requests.iter().map(|request| request.prompt.clone()).collect()
    }

    /// The first hints, with their conversations, once there are so many.
    pub async fn hints(&self, count: usize) -> Vec<(u64, Prompt)> {
        loop {
            let changed = self.changed.notified();
            let hints = self.lock().hints.clone();
            if hints.len() >= count {
                return hints;
            }
            changed.await;
        }
    }

    /// Until so many requests have begun.
    pub async fn started(&self, count: usize) {
        loop {
            let changed = self.changed.notified();
            if self.lock().requests.len() >= count {
                return;
            }
            changed.await;
        }
    }

    /// The conversations that were to be forgotten.
    #[must_use]
    pub fn forgotten(&self) -> Vec<u64> {
        self.lock().forgotten.clone()
    }

    /// Takes the last place away, as a full queue does when somebody comes who goes before. Whether there was one.
    #[must_use]
    pub fn displace(&self) -> bool {
        let last = self.lock().waiting.pop_back();
        last.is_some()
    }

    /// How many generations were dropped before their end.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        self.lock().cancelled
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the queue on: forgets who is gone, begins what was started, grants what may begin.
    fn advance(&self) {
        self.advance_in(&mut self.lock());
    }

    fn advance_in(&self, state: &mut State) {
        let mut granted = std::mem::take(&mut state.granted);
        granted.retain(|grant| match grant.started() {
            Started::NotYet => true,
            Started::Gone => false,
            Started::Work(request, mailbox) => {
                let steps = state.script.pop_front().unwrap_or_else(|| echo(&request.prompt));
                state.requests.push((*request).clone());
                state.times.push(Instant::now());
                self.changed.notify_waiters();
                state.running += 1;
                let this = self.clone();
                self.runtime.spawn(async move { this.perform(steps, &request, &mailbox).await });
                false
            }
        });
        state.waiting.retain(|grant| !grant.is_gone());
        while state.running + granted.len() < self.parallel
            && let Some(grant) = state.waiting.pop_front()
        {
            grant.grant();
            granted.push(grant);
        }
        for (place, grant) in state.waiting.iter().enumerate() {
            grant.moved(Queued { place: place + 1, wait: None });
        }
        state.granted = granted;
    }

    async fn perform(self, steps: Vec<Step>, request: &Request, mailbox: &Mailbox) {
        let end = self.play(steps, request, mailbox).await;
        {
            let mut state = self.lock();
            state.running -= 1;
            state.cancelled += usize::from(mailbox.is_cancelled());
        }
        mailbox.send(end);
        self.advance();
    }

    /// Plays the steps and returns the event that ends them.
    async fn play(&self, steps: Vec<Step>, request: &Request, mailbox: &Mailbox) -> Event {
        let began = Instant::now();
        let prompt_tokens = self.count(&request.prompt).tokens();
        let seed = request.sampling.seed.unwrap_or_default();
        mailbox.send(Event::Admitted { prompt_tokens, cached_tokens: 0, seed });
        let mut ids = Vec::new();
        for step in steps {
            match step {
                Step::Say(text) => {
                    let id = u32::try_from(ids.len()).unwrap_or(u32::MAX);
                    ids.push(id);
                    mailbox.send(Event::Delta { text, ids: vec![id] });
                }
                Step::Wait(time) => wait(tokio::time::sleep(time), mailbox).await,
                Step::Hold(permits) => {
                    let released = async { permits.acquire().await.map(SemaphorePermit::forget).is_ok() };
                    wait(released, mailbox).await;
                }
                Step::Fail(kind, retryable) => {
                    return Event::Failed(Failure {
                        kind,
                        retryable,
                        detail: "as the script says".to_owned(),
                    });
                }
            }
            if mailbox.is_cancelled() {
                break;
            }
        }
        Event::Finished(Finished {
            reason: if mailbox.is_cancelled() { Finish::Cancelled } else { Finish::Eos },
            usage: Usage { prompt_tokens, cached_tokens: 0, new_tokens: ids.len() },
            ids,
            timings: Timings { decode: began.elapsed(), ..Timings::default() },
        })
    }
}

impl Generator for Scripted {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Four bytes a token.
    fn count(&self, prompt: &Prompt) -> Count {
        let bytes: usize = prompt.segments.iter().map(|segment| segment.text().len()).sum();
        Count::Estimate(bytes.div_ceil(4) + 1)
    }

    fn reserve(&self, _: Meta) -> Result<Ticket, Full> {
        let this = self.clone();
        let mut state = self.lock();
        let place = state.waiting.len();
        if place >= self.queue_capacity {
            return Err(Full { place, wait: None });
        }
        let (grant, ticket) = ticket(Queued { place, wait: None }, move || this.advance());
        state.waiting.push_back(grant);
        // Nobody sees the new place before it has its number.
        self.advance_in(&mut state);
        Ok(ticket)
    }

    fn prefill(&self, conversation: u64, prompt: Prompt) {
        self.lock().hints.push((conversation, prompt));
        self.changed.notify_waiters();
    }

    fn forget(&self, conversation: u64) {
        self.lock().forgotten.push(conversation);
    }
}

/// Waits for the future, or until the generation is cancelled.
async fn wait(future: impl Future, mailbox: &Mailbox) {
    tokio::select! {
        _ = future => {}
        () = mailbox.cancelled() => {}
    }
}

/// Repeats the last thing that stands in the prompt's transcript (or instruction).
fn echo(prompt: &Prompt) -> Vec<Step> {
    let rendered = prompt.render();
    let asked = rendered.rsplit_once("\n### Response:").map_or(rendered.as_str(), |(before, _)| before);
    let last = asked.trim().lines().last().unwrap_or_default();
    vec![Step::Say(format!("This is a dry run without a model. The prompt ends with: {last}"))]
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;
    use crate::generation::{Class, Generation, Sampling};

    const META: Meta = Meta {
        request: 0,
        conversation: 0,
        member: 0,
        server: 0,
        class: Class::Interactive,
        deadline: None,
        estimated_tokens: 0,
    };

    fn request(text: &str) -> Request {
        let mut prompt = Prompt::default();
        prompt.text(text);
        Request { prompt, min_tokens: 0, max_tokens: 9, sampling: Sampling::default(), stop: Vec::new() }
    }

    async fn text(generation: Generation) -> String {
        generation
            .filter_map(async |event| match event {
                Event::Delta { text, .. } => Some(text),
                _ => None,
            })
            .collect()
            .await
    }

    #[tokio::test]
    async fn answers_follow_the_script_and_then_echo() {
        let scripted = Scripted::new(4, 1);
        scripted.then_say("Hello.");
        for expected in ["Hello.", "This is a dry run without a model. The prompt ends with: Bob: hi"] {
            let mut ticket = scripted.reserve(META).expect("there is room");
            ticket.turn().await.expect("its turn comes");
            assert_eq!(text(ticket.start(request("Bob: hi"))).await, expected);
        }
        assert_eq!(scripted.prompts().len(), 2);
    }

    #[tokio::test]
    async fn the_queue_says_no_when_it_is_full_and_moves_on_when_a_place_is_free() {
        let scripted = Scripted::new(1, 1);
        let first = scripted.reserve(META).expect("it may begin");
        let mut second = scripted.reserve(META).expect("it may wait");
        assert_eq!(scripted.reserve(META).err(), Some(Full { place: 1, wait: None }));
        drop(first);
        second.turn().await.expect("its turn comes");
        assert!(scripted.reserve(META).is_ok());
    }

    #[tokio::test]
    async fn dropping_a_generation_makes_room_for_the_next() {
        let scripted = Scripted::new(1, 1);
        scripted.then([Step::Say("a".to_owned()), Step::Hold(Arc::new(Semaphore::new(0)))]);
        let mut first = scripted.reserve(META).expect("it may begin");
        first.turn().await.expect("its turn comes");
        let generation = first.start(request("x"));
        let mut second = scripted.reserve(META).expect("it may wait");
        drop(generation);
        second.turn().await.expect("its turn comes");
        assert_eq!(scripted.cancelled(), 1);
    }
}
