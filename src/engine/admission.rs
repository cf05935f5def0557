//! The door between all threads and the worker: places are taken on any thread, the worker sleeps here until there is
//! work, and at the end everybody is told. It computes nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::queue::{Queue, Work};
use super::scheduler::MOST_HINTS;
use super::sequence::{BROKEN, fault};
use super::tokenizer::Encoded;
use crate::generation::{
    Event, Finish, Finished, Full, Grant, Mailbox, Meta, Started, Ticket, Timings, Usage, ticket,
};

/// Conversations that are to be forgotten and that the worker has not heard of yet. With more of them it forgets
/// everything, which is right too and no more than slow.
const MOST_FORGOTTEN: usize = 1_024;

/// The door to the worker.
#[derive(Debug)]
pub(crate) struct Admission {
    state: Mutex<State>,
    /// For the worker.
    changed: Condvar,
    /// For those who wait for the end.
    ended: Condvar,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    capacity: usize,
    closed: bool,
    /// Whether it ended because the model computes nothing any more.
    broken: bool,
    hints: VecDeque<Hint>,
    forgotten: Vec<u64>,
    /// Tickets that are still out there after the end. When they are started they learn of it.
    stragglers: Vec<Grant>,
}

/// A prompt that may be asked for soon.
#[derive(Debug)]
pub(crate) struct Hint {
    pub(crate) key: u64,
    pub(crate) conversation: u64,
    pub(crate) prompt: Encoded,
}

/// What the worker finds at the door.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Requests that begin now.
    pub(crate) works: Vec<Work>,
    /// What is to be forgotten, of these works too.
    pub(crate) forget: Forget,
    pub(crate) hints: Vec<Hint>,
}

/// What is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Forget {
    These(Vec<u64>),
    Everything,
}

impl Default for Forget {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl Orders {
    fn is_empty(&self) -> bool {
        self.works.is_empty() && self.hints.is_empty() && self.forget == Forget::default()
    }
}

impl Admission {
    /// A door where so many may wait while so many have their turn.
    pub(crate) fn new(capacity: usize, turns: usize) -> Arc<Self> {
        let state = State {
            queue: Queue::new(capacity, turns),
            capacity,
            closed: false,
            broken: false,
            hints: VecDeque::new(),
            forgotten: Vec::new(),
            stragglers: Vec::new(),
        };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new(), ended: Condvar::new() })
    }

    /// Takes a place. After the end there are places too, for as many as the queue has: what is started there
    /// ends with [`Finish::Shutdown`].
    pub(crate) fn reserve(self: &Arc<Self>, meta: Meta) -> Result<Ticket, Full> {
        let admission = Arc::clone(self);
        let changed = move || admission.ticket_changed();
        let mut state = self.lock();
        if !state.closed {
            let ticket = state.queue.reserve(meta, Instant::now(), changed);
            drop(state);
            self.changed.notify_one();
            return ticket;
        }
        let place = state.stragglers.len();
        if place >= state.capacity {
            return Err(Full { place, wait: None });
        }
        let (grant, ticket) = ticket(crate::generation::Queued { place: 0, wait: None }, changed);
        grant.grant();
        state.stragglers.push(grant);
        Ok(ticket)
    }

    /// Leaves a hint; the oldest is dropped when there are too many.
    pub(crate) fn hint(&self, conversation: u64, prompt: Encoded) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let key = state.queue.take_key();
        state.hints.retain(|hint| hint.conversation != conversation);
        state.hints.push_back(Hint { key, conversation, prompt });
        if state.hints.len() > MOST_HINTS {
            state.hints.pop_front();
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Has a conversation forgotten.
    pub(crate) fn forget(&self, conversation: u64) {
        let mut state = self.lock();
        state.hints.retain(|hint| hint.conversation != conversation);
        if state.forgotten.len() <= MOST_FORGOTTEN && !state.forgotten.contains(&conversation) {
            state.forgotten.push(conversation);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// What there is to do; `None` at the end. A worker that is not busy sleeps until there is something.
    pub(crate) fn next(&self, busy: bool) -> Option<Orders> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            let orders = state.orders(now);
            if busy || !orders.is_empty() {
                return Some(orders);
            }
            state = match state.queue.wake_at() {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let limit = at.saturating_duration_since(now);
                    self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// The work with this key has ended. `measured`: its time says something about the next ones.
    pub(crate) fn finished(&self, key: u64, measured: bool) {
        let mut state = self.lock();
        if !state.closed {
            state.queue.finished(key, Instant::now(), measured);
        }
    }

    /// All works that the worker had have ended, whatever they were.
    pub(crate) fn all_finished(&self) {
        let mut state = self.lock();
        if !state.closed {
            state.queue.all_finished(Instant::now());
        }
    }

    /// The end: no more work, and everybody who waits is told.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.closed, true) {
            let (works, grants) = state.queue.close(Instant::now());
            state.stragglers = grants;
            for work in works {
                tell_the_end(&work.mailbox, state.broken);
            }
        }
        state.sweep();
        drop(state);
        self.changed.notify_all();
        self.ended.notify_all();
    }

    /// The same, because the model computes nothing any more.
    pub(crate) fn break_down(&self) {
        self.lock().broken = true;
        self.close();
    }

    /// These works wait for pages, and no others.
    pub(crate) fn rest(&self, keys: &[u64]) {
        self.lock().queue.rest(keys, Instant::now());
    }

    /// Estimated wait of whoever is at this place among those who wait for pages, while so many have theirs.
    pub(crate) fn estimate(&self, place: usize, having: usize) -> Option<Duration> {
        self.lock().queue.wait_for_memory(place, having)
    }

    /// Blocks until the end; whether it was a break-down.
    pub(crate) fn wait(&self) -> bool {
        let state = self.ended.wait_while(self.lock(), |state| !state.closed);
        state.unwrap_or_else(PoisonError::into_inner).broken
    }

    /// Whether the model computes nothing any more.
    pub(crate) fn is_broken(&self) -> bool {
        self.lock().broken
    }

    /// A ticket was started or dropped.
    fn ticket_changed(&self) {
        let mut state = self.lock();
        if state.closed {
            state.sweep();
        } else {
            state.queue.update(Instant::now());
        }
        drop(state);
        self.changed.notify_one();
    }

    /// A panic elsewhere leaves no half-written state here, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn orders(&mut self, now: Instant) -> Orders {
        let forgotten = std::mem::take(&mut self.forgotten);
        let forget =
            if forgotten.len() > MOST_FORGOTTEN { Forget::Everything } else { Forget::These(forgotten) };
        let works = std::iter::from_fn(|| self.queue.take(now)).collect();
        Orders { works, hints: self.hints.drain(..).collect(), forget }
    }

    /// Tells the stragglers that have started, and forgets them and those that are gone.
    fn sweep(&mut self) {
        let broken = self.broken;
        self.stragglers.retain(|grant| match grant.started() {
            Started::NotYet => true,
            Started::Gone => false,
            Started::Work(_, mailbox) => {
                tell_the_end(&mailbox, broken);
                false
            }
        });
    }
}

fn tell_the_end(mailbox: &Mailbox, broken: bool) {
    if broken {
        return mailbox.send(Event::Failed(fault(BROKEN)));
    }
    mailbox.send(Event::Finished(Finished {
        reason: Finish::Shutdown,
        ids: Vec::new(),
        usage: Usage::default(),
        timings: Timings::default(),
    }));
}
