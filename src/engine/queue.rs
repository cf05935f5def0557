//! The bounded queue before the model: who is next, who hears what, who lost the place. Synchronous and
//! without a clock: the time is passed in. It runs nothing.
//!
//! Some requests at a time have their turn. Within a class turns are shared fairly between members and between
//! conversations (start-time fair queueing: Goyal, Vin and Cheng, 1996): whoever comes new is not behind the second
//! message of somebody who sent many. When no more may wait, the last in that order loses its place.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::generation::{Class, Full, Grant, Mailbox, Meta, Queued, Request, Started, Ticket, ticket};

/// How long a ticket whose turn has come may take to be started, before the place goes to the next one. The
/// prompt is built in this time, which takes a database query and no more.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// A reply that takes longer than others do is expected to take one part in so many of their time more.
pub(crate) const OVERDUE_SHARE: u32 = 8;

/// Members and conversations whose turns are remembered while it is busy; with more of them time goes on.
const MOST_REMEMBERED: usize = 4_096;

/// Share of the newest reply time in the running average: about the last five replies count.
const NEWEST_SHARE: f64 = 0.2;

/// The queue. At most `turns` requests of a class and those more urgent have their turn (they were granted, or they run): the
/// less urgent give way. At most `capacity` wait.
#[derive(Debug)]
pub(crate) struct Queue {
    capacity: usize,
    turns: usize,
    /// In the order of their turns.
    waiting: Vec<Waiting>,
    granted: Vec<Granted>,
    /// Started, but the worker has not come for them yet.
    started: Vec<Work>,
    /// The worker has them.
    running: Vec<Running>,
    next_key: u64,
    shares: Shares,
    /// Average time from the beginning of a turn that somebody waits for to its end.
    average: Option<Duration>,
}

/// A request whose ticket was started.
#[derive(Debug)]
pub(crate) struct Work {
    /// Number of its turn: no two have the same, and later turns have greater numbers.
    pub(crate) key: u64,
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
    /// Number of those that came before.
    arrival: u64,
    grant: Grant,
    reserved: Instant,
    /// The place it was told last.
    told: Option<usize>,
}

/// A ticket that may be started until the lease ends.
#[derive(Debug)]
struct Granted {
    key: u64,
    waiting: Waiting,
    lease_end: Instant,
}

#[derive(Debug)]
struct Running {
    key: u64,
    class: Class,
    since: Instant,
}

impl Waiting {
    fn is_too_late(&self, now: Instant) -> bool {
        self.meta.deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// Who has had how many turns, in virtual time, which goes on with the turns.
#[derive(Debug, Clone, Default)]
struct Shares {
    now: u64,
    members: HashMap<u64, u64>,
    conversations: HashMap<u64, u64>,
}

impl Shares {
    /// When the next turn of this member in this conversation is due.
    fn due(&self, meta: &Meta) -> u64 {
        let member = self.members.get(&meta.member).copied().unwrap_or(0);
        let conversation = self.conversations.get(&meta.conversation).copied().unwrap_or(0);
        self.now.max(member).max(conversation)
    }

    /// Counts a turn.
    fn serve(&mut self, meta: &Meta) {
        let due = self.due(meta);
        self.now = self.now.max(due);
        self.members.insert(meta.member, due + 1);
        self.conversations.insert(meta.conversation, due + 1);
        // Who is not ahead of the others is as good as new.
        self.now += u64::from(self.members.len().max(self.conversations.len()) > MOST_REMEMBERED);
        let now = self.now;
        self.members.retain(|_, due| *due > now);
        self.conversations.retain(|_, due| *due > now);
    }

    /// In which order requests, each with the number of its arrival, have their turns: by class, and within a class by
    /// what is due, then by arrival.
    fn order(&self, requests: &[(Meta, u64)]) -> Vec<usize> {
        let mut shares = self.clone();
        let mut left: Vec<usize> = (0..requests.len()).collect();
        let mut order = Vec::with_capacity(requests.len());
        let rank = |shares: &Self, (meta, arrival): &(Meta, u64)| -> (Class, u64, u64) {
            (meta.class, shares.due(meta), *arrival)
        };
        while let Some(first) = (0..left.len()).min_by_key(|&place| rank(&shares, &requests[left[place]])) {
            let next = left.remove(first);
            shares.serve(&requests[next].0);
            order.push(next);
        }
        order
    }
}

impl Queue {
    pub(crate) fn new(capacity: usize, turns: usize) -> Self {
        Self {
            capacity,
            turns: turns.max(1),
            waiting: Vec::new(),
            granted: Vec::new(),
            started: Vec::new(),
            running: Vec::new(),
            next_key: 1,
            shares: Shares::default(),
            average: None,
        }
    }

    /// Takes a place. `changed` is the ticket's call when it was started or dropped. When `capacity` requests wait
    /// already, the last in the order of turns loses its place.
    ///
    /// # Errors
    /// [`Full`] when that is the request itself.
    pub(crate) fn reserve(
        &mut self,
        meta: Meta,
        now: Instant,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Ticket, Full> {
        self.update(now);
        let (arrival, place) = (self.take_key(), self.waiting.len());
        if place >= self.capacity && !self.has_turns(meta.class) {
            let mut requests = self.requests();
            requests.push((meta, arrival));
            match self.shares.order(&requests).last() {
                Some(&last) if last < place => drop(self.waiting.remove(last)),
                _ => return Err(Full { place, wait: self.wait(meta.class, place + 1, now) }),
            }
        }
        // Its place is said when the others' are.
        let (grant, ticket) = ticket(Queued { place: place + 1, wait: None }, changed);
        self.waiting.push(Waiting { meta, arrival, grant, reserved: now, told: None });
        self.sort();
        self.update(now);
        Ok(ticket)
    }

    /// Brings everything up to date: places that were given up or came too late are freed, the next ones get
    /// their turns, and those whose place has changed hear of it.
    pub(crate) fn update(&mut self, now: Instant) {
        for Granted { key, waiting, lease_end } in std::mem::take(&mut self.granted) {
            match waiting.grant.started() {
                Started::Work(request, mailbox) => {
                    let Waiting { meta, reserved, .. } = waiting;
                    self.started.push(Work { key, meta, request, mailbox, reserved });
                }
                Started::NotYet if lease_end > now && !waiting.is_too_late(now) => {
                    self.granted.push(Granted { key, waiting, lease_end });
                }
                Started::NotYet | Started::Gone => {}
            }
        }
        let before = self.waiting.len();
        self.waiting.retain(|waiting| !waiting.grant.is_gone() && !waiting.is_too_late(now));
        if self.waiting.len() < before {
            self.sort();
        }
        // Where the first has no turn, the less urgent behind it have none either.
        while self.waiting.first().is_some_and(|first| self.has_turns(first.meta.class)) {
            let waiting = self.waiting.remove(0);
            self.shares.serve(&waiting.meta);
            waiting.grant.grant();
            let key = self.take_key();
            self.granted.push(Granted { key, waiting, lease_end: now + LEASE });
        }
        if self.granted.is_empty() && self.started.is_empty() && self.running.is_empty() {
            // Nobody is owed anything.
            self.shares = Shares::default();
        }
        for index in 0..self.waiting.len() {
            let place = index + 1;
            if self.waiting[index].told != Some(place) {
                let wait = self.wait(self.waiting[index].meta.class, place, now);
                self.waiting[index].told = Some(place);
                self.waiting[index].grant.moved(Queued { place, wait });
            }
        }
    }

    /// Work that was started. Its turn lasts until [`Queue::finished`].
    pub(crate) fn take(&mut self, now: Instant) -> Option<Work> {
        self.update(now);
        if self.started.is_empty() {
            return None;
        }
        let work = self.started.remove(0);
        self.running.push(Running { key: work.key, class: work.meta.class, since: now });
        Some(work)
    }

    /// The running request with this key has ended. `measured`: its time says something about the next ones.
    pub(crate) fn finished(&mut self, key: u64, now: Instant, measured: bool) {
        let Some(index) = self.running.iter().position(|running| running.key == key) else { return };
        let Running { class, since, .. } = self.running.remove(index);
        // The others rest now and then, which says nothing.
        if measured && class == Class::Interactive {
            let took = now.saturating_duration_since(since);
            self.average = Some(match self.average {
                None => took,
                Some(average) => average.mul_f64(1.0 - NEWEST_SHARE) + took.mul_f64(NEWEST_SHARE),
            });
        }
        self.update(now);
    }

    /// When [`Queue::update`] must be called even if nobody calls: the next end of a lease or deadline.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let granted = self.granted.iter();
        let deadlines = self.waiting.iter().chain(granted.clone().map(|granted| &granted.waiting));
        let deadlines = deadlines.filter_map(|waiting| waiting.meta.deadline);
        deadlines.chain(granted.map(|granted| granted.lease_end)).min()
    }

    /// Ends the queue: the work that was started and not taken, and all other places. Those get their turn,
    /// so that whoever holds the ticket can start it and be told.
    pub(crate) fn close(&mut self, now: Instant) -> (Vec<Work>, Vec<Grant>) {
        self.update(now);
        let granted = std::mem::take(&mut self.granted).into_iter().map(|granted| granted.waiting);
        let places = granted.chain(std::mem::take(&mut self.waiting));
        let grants: Vec<Grant> = places.map(|place| place.grant).collect();
        grants.iter().for_each(Grant::grant);
        (std::mem::take(&mut self.started), grants)
    }

    /// Brings those that wait into the order of their turns.
    fn sort(&mut self) {
        let order = self.shares.order(&self.requests());
        let mut waiting: Vec<Option<Waiting>> = self.waiting.drain(..).map(Some).collect();
        self.waiting.extend(order.into_iter().filter_map(|index| waiting[index].take()));
    }

    /// What waits, each with the number of its arrival.
    fn requests(&self) -> Vec<(Meta, u64)> {
        self.waiting.iter().map(|waiting| (waiting.meta, waiting.arrival)).collect()
    }

    /// Whether there is a turn for this class: less urgent requests that have one are no hindrance.
    fn has_turns(&self, class: Class) -> bool {
        let granted = self.granted.iter().map(|granted| granted.waiting.meta.class);
        let started = self.started.iter().map(|work| work.meta.class);
        let running = self.running.iter().map(|running| running.class);
        granted.chain(started).chain(running).filter(|&other| other <= class).count() < self.turns
    }

    /// A number that nothing else has.
    pub(crate) fn take_key(&mut self) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        key
    }

    /// Estimated time until so many turns have ended while so many go on at a time.
    pub(crate) fn estimate(&self, place: usize, at_a_time: usize) -> Option<Duration> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Some(self.average?.saturating_mul(count(place)) / count(at_a_time.max(1)))
    }

    /// The same for a turn of this class: the one that runs longest ends next, and the others evenly after it.
    fn wait(&self, class: Class, place: usize, now: Instant) -> Option<Duration> {
        let average = self.average?;
        let running = self.running.iter().filter(|running| running.class <= class);
        let had = running.map(|running| now.saturating_duration_since(running.since)).max();
        let had = had.unwrap_or(Duration::ZERO).min(average);
        let later = self.estimate(place.saturating_sub(1), self.turns)?;
        // One that is overdue ends soon, and not at once.
        let next = average.saturating_sub(had).max(average / OVERDUE_SHARE);
        Some(next.saturating_add(later))
    }
}

#[cfg(test)]
mod tests;
