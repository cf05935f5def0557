//! The bounded queue before the model: who is next, who hears what, who lost the place. Synchronous and
//! without a clock: the time is passed in. It runs nothing.
//!
//! Some requests at a time have their turn. Within a class turns are shared fairly between members and between
//! conversations. When no more may wait, the last in that order loses its place.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::generation::fairness::{Claim, Shares};
use crate::generation::{Class, Full, Grant, Mailbox, Meta, Queued, Request, Started, Ticket, ticket};

/// How long a ticket whose turn has come may take to be started, before the place goes to the next one. The
/// prompt is built in this time, which takes a database query and no more.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// A reply that takes longer than others do is expected to take one part in so many of their time more.
pub(crate) const OVERDUE_SHARE: u32 = 8;

/// Share of the newest reply time in the running average: about the last five replies count.
const NEWEST_SHARE: f64 = 0.2;

/// The queue. At most `turns` requests of a class and those more urgent have their turn (they were granted, or they run): the
/// less urgent give way, and those that rest keep nobody else from the first of theirs. At most `capacity` wait.
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
    /// How long turns take that somebody waits for, and how long those of them that had memory at once.
    average: Average,
    average_with_memory: Average,
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
    meta: Meta,
    since: Instant,
    /// Whether it waits for memory now, and whether it ever did.
    rests: bool,
    rested: bool,
}

/// The running average of times.
#[derive(Debug, Clone, Copy, Default)]
struct Average(Option<Duration>);

impl Average {
    fn learn(&mut self, took: Duration) {
        self.0 = Some(match self.0 {
            None => took,
            Some(average) => average.mul_f64(1.0 - NEWEST_SHARE) + took.mul_f64(NEWEST_SHARE),
        });
    }
}

impl Waiting {
    fn is_too_late(&self, now: Instant) -> bool {
        self.meta.deadline.is_some_and(|deadline| deadline <= now)
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
            average: Average::default(),
            average_with_memory: Average::default(),
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
        if place >= self.capacity && !self.has_turn(&meta) {
            let mut requests = self.requests();
            requests.push((Claim::from(&meta), arrival));
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
        while let Some(next) = self.waiting.iter().position(|waiting| self.has_turn(&waiting.meta)) {
            let waiting = self.waiting.remove(next);
            self.shares.serve(&Claim::from(&waiting.meta));
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
        let (key, meta) = (work.key, work.meta);
        self.running.push(Running { key, meta, since: now, rests: false, rested: false });
        Some(work)
    }

    /// The running request with this key has ended. `measured`: its time says something about the next ones.
    pub(crate) fn finished(&mut self, key: u64, now: Instant, measured: bool) {
        let Some(index) = self.running.iter().position(|running| running.key == key) else { return };
        let Running { meta, since, rested, .. } = self.running.remove(index);
        // The others make way now and then, which says nothing.
        if measured && meta.class == Class::Interactive {
            let took = now.saturating_duration_since(since);
            self.average.learn(took);
            if !rested {
                self.average_with_memory.learn(took);
            }
        }
        self.update(now);
    }

    /// Whatever ran has ended.
    pub(crate) fn all_finished(&mut self, now: Instant) {
        self.running.clear();
        self.update(now);
    }

    /// Of those that run, these wait for memory now.
    pub(crate) fn rest(&mut self, keys: &[u64], now: Instant) {
        for running in &mut self.running {
            running.rests = keys.contains(&running.key);
            running.rested |= running.rests;
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
    fn requests(&self) -> Vec<(Claim, u64)> {
        self.waiting.iter().map(|waiting| (Claim::from(&waiting.meta), waiting.arrival)).collect()
    }

    /// Whether there is a turn for this request: less urgent ones that have one are no hindrance. Nor are those that rest,
    /// beyond each member's first, where its own member has no turn: who waits for memory waits fairly there.
    fn has_turn(&self, request: &Meta) -> bool {
        let granted = self.granted.iter().map(|granted| (&granted.waiting.meta, false));
        let started = self.started.iter().map(|work| (&work.meta, false));
        let running = self.running.iter().map(|running| (&running.meta, running.rests));
        let turns = granted.chain(started).chain(running).filter(|(meta, _)| meta.class <= request.class);
        let turns: Vec<(u64, bool)> = turns.map(|(meta, rests)| (meta.member, rests)).collect();
        if turns.len() < self.turns {
            return true;
        }
        let members: HashSet<u64> = turns.iter().map(|&(member, _)| member).collect();
        let active: Vec<u64> = turns.iter().filter(|(_, rests)| !rests).map(|&(member, _)| member).collect();
        let at_work: HashSet<&u64> = active.iter().collect();
        // Of a member who only rests, one turn counts.
        !members.contains(&request.member) && active.len() + members.len() - at_work.len() < self.turns
    }

    /// A number that nothing else has.
    pub(crate) fn take_key(&mut self) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        key
    }

    /// Estimated wait of whoever is at this place among those who wait for memory, while so many have theirs.
    pub(crate) fn wait_for_memory(&self, place: usize, having: usize) -> Option<Duration> {
        Some(times(self.average_with_memory.0.or(self.average.0)?, place, having))
    }

    /// Estimated wait for a turn of this class: the one that runs longest ends next, and the others evenly after it.
    fn wait(&self, class: Class, place: usize, now: Instant) -> Option<Duration> {
        let average = self.average.0?;
        let running = self.running.iter().filter(|running| running.meta.class <= class);
        let had = running.map(|running| now.saturating_duration_since(running.since)).max();
        let had = had.unwrap_or(Duration::ZERO).min(average);
        let later = times(average, place.saturating_sub(1), self.turns);
        // One that is overdue ends soon, and not at once.
        let next = average.saturating_sub(had).max(average / OVERDUE_SHARE);
        Some(next.saturating_add(later))
    }
}

/// The time until so many turns have ended that take so long each, so many at a time.
fn times(average: Duration, count: usize, at_a_time: usize) -> Duration {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    average.saturating_mul(number(count)) / number(at_a_time.max(1))
}

#[cfg(test)]
mod tests;
