//! The queue as threads share it: places are taken on any thread, the worker sleeps here until there is work,
//! and at the end everybody is told. It computes nothing.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::queue::{Queue, Work};
use crate::generation::{
    Event, Finish, Finished, Full, Grant, Mailbox, Meta, Started, Ticket, Timings, Usage, ticket,
};

/// The door to the worker.
#[derive(Debug)]
pub(crate) struct Admission {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    capacity: usize,
    closed: bool,
    /// Tickets that are still out there after the end. When they are started they learn of it.
    stragglers: Vec<Grant>,
}

impl Admission {
    /// A door with a queue of this capacity.
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        let queue = Queue::new(capacity);
        let state = State { queue, capacity, closed: false, stragglers: Vec::new() };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
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
        if place > state.capacity {
            return Err(Full { place, wait: None });
        }
        let (grant, ticket) = ticket(crate::generation::Queued { place: 0, wait: None }, changed);
        grant.grant();
        state.stragglers.push(grant);
        Ok(ticket)
    }

    /// Sleeps until there is work; `None` at the end.
    pub(crate) fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            if let Some(work) = state.queue.take(now) {
                return Some(work);
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

    /// Keeps the queue up to date while the worker works. Whether the end has come.
    pub(crate) fn tick(&self) -> bool {
        let mut state = self.lock();
        if !state.closed {
            state.queue.update(Instant::now());
        }
        state.closed
    }

    /// The work that [`Admission::next`] gave has ended. `measured`: its time says something about the next
    /// ones.
    pub(crate) fn finished(&self, measured: bool) {
        let mut state = self.lock();
        if !state.closed {
            state.queue.finished(Instant::now(), measured);
        }
    }

    /// The end: no more work, and everybody who waits is told.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.closed, true) {
            let (work, grants) = state.queue.close(Instant::now());
            state.stragglers = grants;
            if let Some(work) = work {
                tell_the_end(&work.mailbox);
            }
        }
        state.sweep();
        drop(state);
        self.changed.notify_all();
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
    /// Tells the stragglers that have started, and forgets them and those that are gone.
    fn sweep(&mut self) {
        self.stragglers.retain(|grant| match grant.started() {
            Started::NotYet => true,
            Started::Gone => false,
            Started::Work(_, mailbox) => {
                tell_the_end(&mailbox);
                false
            }
        });
    }
}

fn tell_the_end(mailbox: &Mailbox) {
    mailbox.send(Event::Finished(Finished {
        reason: Finish::Shutdown,
        ids: Vec::new(),
        usage: Usage::default(),
        timings: Timings::default(),
    }));
}
