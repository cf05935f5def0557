//! The bounded queue before the model: who is next, who hears what, who lost the place. Synchronous and without a
//! clock: the time is passed in. It runs nothing.

use std::time::{Duration, Instant};

use crate::generation::{Full, Grant, Mailbox, Meta, Queued, Request, Started, Ticket, ticket};

/// How long a ticket whose turn has come may take to be started, before the place goes to the next one. The prompt is
/// built in this time, which takes a database query and no more.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// Share of the newest reply time in the running average: about the last five replies count.
const NEWEST_SHARE: f64 = 0.2;

/// The queue. One request at a time has its turn (it was granted, or it runs); at most `capacity` wait.
#[derive(Debug)]
pub(crate) struct Queue {
    capacity: usize,
    /// In the order of their turns: by class, then by arrival.
    waiting: Vec<Waiting>,
    turn: Turn,
    /// Average time from a turn to the next.
    average: Option<Duration>,
}

/// A request whose ticket was started.
#[derive(Debug)]
pub(crate) struct Work {
    /// What scheduling knows of it.
    pub(crate) meta: Meta,
    /// What is asked.
    pub(crate) request: Box<Request>,
    /// Where the answer goes.
    pub(crate) mailbox: Mailbox,
    /// When its place was taken.
    pub(crate) reserved: Instant,
}

#[derive(Debug)]
struct Waiting {
    meta: Meta,
    grant: Grant,
    reserved: Instant,
    /// The place it was told last.
    told: usize,
}

#[derive(Debug)]
enum Turn {
    /// Nobody's.
    Free,
    /// The ticket may be started until the lease ends.
    Granted { waiting: Waiting, lease_end: Instant },
    /// The ticket was started; the worker has not come for it yet.
    Started(Work),
    /// The worker has it since then.
    Running { since: Instant },
}

impl Waiting {
    fn is_too_late(&self, now: Instant) -> bool {
        self.meta.deadline.is_some_and(|deadline| deadline <= now)
    }
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, waiting: Vec::new(), turn: Turn::Free, average: None }
    }

    /// Takes a place. `changed` is the ticket's call when it was started or dropped.
    ///
    /// # Errors
    /// [`Full`] when `capacity` requests wait already.
    pub(crate) fn reserve(
        &mut self,
        meta: Meta,
        now: Instant,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Ticket, Full> {
        self.update(now);
        if self.waiting.len() >= self.capacity && !self.is_free() {
            let place = self.waiting.len() + 1;
            return Err(Full { place, wait: self.wait(place, now) });
        }
        let index = self.waiting.partition_point(|other| other.meta.class <= meta.class);
        let place = self.place(index);
        let (grant, ticket) = ticket(Queued { place, wait: self.wait(place, now) }, changed);
        self.waiting.insert(index, Waiting { meta, grant, reserved: now, told: place });
        self.update(now);
        Ok(ticket)
    }

    /// Brings everything up to date: places that were given up or came too late are freed, the next one gets its turn,
    /// and those whose place has changed hear of it.
    pub(crate) fn update(&mut self, now: Instant) {
        self.turn = match std::mem::replace(&mut self.turn, Turn::Free) {
            Turn::Granted { waiting, lease_end } => match waiting.grant.started() {
                Started::Work(request, mailbox) => {
                    let Waiting { meta, reserved, .. } = waiting;
                    Turn::Started(Work { meta, request, mailbox, reserved })
                }
                Started::NotYet if lease_end > now && !waiting.is_too_late(now) => {
                    Turn::Granted { waiting, lease_end }
                }
                Started::NotYet | Started::Gone => Turn::Free,
            },
            turn => turn,
        };
        self.waiting.retain(|waiting| !waiting.grant.is_gone() && !waiting.is_too_late(now));
        if self.is_free() && !self.waiting.is_empty() {
            let waiting = self.waiting.remove(0);
            waiting.grant.grant();
            self.turn = Turn::Granted { waiting, lease_end: now + LEASE };
        }
        for index in 0..self.waiting.len() {
            let place = self.place(index);
            if self.waiting[index].told != place {
                let wait = self.wait(place, now);
                self.waiting[index].told = place;
                self.waiting[index].grant.moved(Queued { place, wait });
            }
        }
    }

    /// The work whose turn it is, if it was started. Until [`Queue::finished`] nobody else has a turn.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Work> {
        self.update(now);
        match std::mem::replace(&mut self.turn, Turn::Running { since: now }) {
            Turn::Started(work) => Some(work),
            turn => {
                self.turn = turn;
                None
            }
        }
    }

    /// The running request has ended. `measured`: its time says something about the next ones.
    pub(crate) fn finished(&mut self, now: Instant, measured: bool) {
        if let (Turn::Running { since }, true) = (&self.turn, measured) {
            let took = now.saturating_duration_since(*since);
            self.average = Some(match self.average {
                None => took,
                Some(average) => average.mul_f64(1.0 - NEWEST_SHARE) + took.mul_f64(NEWEST_SHARE),
            });
        }
        self.turn = Turn::Free;
        self.update(now);
    }

    /// When [`Queue::update`] must be called even if nobody calls: the next end of a lease or deadline.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let granted = match &self.turn {
            Turn::Granted { waiting, lease_end } => Some((waiting, lease_end)),
            _ => None,
        };
        let deadlines = self.waiting.iter().chain(granted.map(|(waiting, _)| waiting));
        deadlines.filter_map(|waiting| waiting.meta.deadline).chain(granted.map(|(_, end)| *end)).min()
    }

    /// Ends the queue: the work that was started and not taken, and all other places. Those get their turn, so that
    /// whoever holds the ticket can start it and be told.
    pub(crate) fn close(&mut self, now: Instant) -> (Option<Work>, Vec<Grant>) {
        let work = self.take(now);
        let mut places = std::mem::take(&mut self.waiting);
        match std::mem::replace(&mut self.turn, Turn::Free) {
            Turn::Granted { waiting, .. } => places.push(waiting),
            // It ends by itself.
            running @ Turn::Running { .. } if work.is_none() => self.turn = running,
            _ => {}
        }
        let grants: Vec<Grant> = places.into_iter().map(|place| place.grant).collect();
        grants.iter().for_each(Grant::grant);
        (work, grants)
    }

    fn is_free(&self) -> bool {
        matches!(self.turn, Turn::Free)
    }

    /// Number of requests before the one at this index.
    fn place(&self, index: usize) -> usize {
        index + usize::from(!self.is_free())
    }

    /// Estimated wait behind `place` requests: an average each, less what the one that runs has had already.
    fn wait(&self, place: usize, now: Instant) -> Option<Duration> {
        let average = self.average?;
        let since = match &self.turn {
            Turn::Running { since } => now.saturating_duration_since(*since).min(average),
            _ => Duration::ZERO,
        };
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        Some(average.saturating_mul(place).saturating_sub(if place > 0 { since } else { Duration::ZERO }))
    }
}
