//! The bounded queue before the model: who is next, who hears what, who lost the place. Synchronous and
//! without a clock: the time is passed in. It runs nothing.
//!
//! Some requests at a time have their turn. Within a class turns are shared fairly between members and between
//! conversations (start-time fair queueing: Goyal, Vin and Cheng, 1996): whoever comes new is not behind the second
//! message of somebody who sent many.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::generation::{Class, Full, Grant, Mailbox, Meta, Queued, Request, Started, Ticket, ticket};

/// How long a ticket whose turn has come may take to be started, before the place goes to the next one. The
/// prompt is built in this time, which takes a database query and no more.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// Members and conversations whose turns are remembered while it is busy; with more of them time goes on.
const MOST_REMEMBERED: usize = 4_096;

/// Share of the newest reply time in the running average: about the last five replies count.
const NEWEST_SHARE: f64 = 0.2;

/// The queue. At most `turns` requests have their turn (they were granted, or they run); at most `capacity` wait.
#[derive(Debug)]
pub(crate) struct Queue {
    capacity: usize,
    turns: usize,
    /// In the order of their turns.
    waiting: Vec<Waiting>,
    granted: Vec<Granted>,
    /// Started, but the worker has not come for them yet.
    started: Vec<Work>,
    /// The worker has them since then, by their keys.
    running: Vec<(u64, Instant)>,
    next_key: u64,
    shares: Shares,
    /// Average time from the beginning of a turn to its end.
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

    /// Sorts by class, and within a class by what is due, then by arrival.
    fn sort(&self, waiting: &mut Vec<Waiting>) {
        let mut shares = self.clone();
        let mut sorted = Vec::with_capacity(waiting.len());
        let rank = |shares: &Self, each: &Waiting| -> (Class, u64, u64) {
            (each.meta.class, shares.due(&each.meta), each.arrival)
        };
        while let Some(next) = (0..waiting.len()).min_by_key(|&index| rank(&shares, &waiting[index])) {
            let next = waiting.remove(next);
            shares.serve(&next.meta);
            sorted.push(next);
        }
        *waiting = sorted;
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
        if self.waiting.len() >= self.capacity && !self.has_turns() {
            let place = self.waiting.len();
            return Err(Full { place, wait: self.wait(place + 1, now) });
        }
        // Its place is said when the others' are.
        let (grant, ticket) = ticket(Queued { place: self.waiting.len(), wait: None }, changed);
        let arrival = self.take_key();
        self.waiting.push(Waiting { meta, arrival, grant, reserved: now, told: None });
        self.shares.sort(&mut self.waiting);
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
            self.shares.sort(&mut self.waiting);
        }
        while self.has_turns() && !self.waiting.is_empty() {
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
                let wait = self.wait(place, now);
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
        self.running.push((work.key, now));
        Some(work)
    }

    /// The running request with this key has ended. `measured`: its time says something about the next ones.
    pub(crate) fn finished(&mut self, key: u64, now: Instant, measured: bool) {
        let Some(index) = self.running.iter().position(|(running, _)| *running == key) else { return };
        let (_, since) = self.running.remove(index);
        if measured {
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

    /// Whether a turn is nobody's.
    fn has_turns(&self) -> bool {
        self.granted.len() + self.started.len() + self.running.len() < self.turns
    }

    /// A number that nothing else has.
    pub(crate) fn take_key(&mut self) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        key
    }

    /// Estimated wait until so many turns have ended: the one that runs longest ends next, and the others evenly after it.
    fn wait(&self, place: usize, now: Instant) -> Option<Duration> {
        let average = self.average?;
        let had = self.running.iter().map(|(_, since)| now.saturating_duration_since(*since)).max();
        let had = had.unwrap_or(Duration::ZERO).min(average);
        let later = u32::try_from(place.saturating_sub(1)).unwrap_or(u32::MAX);
        let turns = u32::try_from(self.turns).unwrap_or(u32::MAX);
        Some(average.saturating_sub(had).saturating_add(average.saturating_mul(later) / turns))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;
    use crate::generation::{Generation, Prompt, Sampling};

    const SECOND: Duration = Duration::from_secs(1);

    fn meta(class: Class) -> Meta {
        Meta { request: 0, conversation: 0, member: 0, server: 0, class, deadline: None, estimated_tokens: 0 }
    }

    fn enter(queue: &mut Queue, class: Class, now: Instant) -> Ticket {
        queue.reserve(meta(class), now, || {}).expect("there is a place")
    }

    fn start(ticket: Ticket) -> Generation {
        ticket.start(Request {
            prompt: Prompt::default(),
            min_tokens: 0,
            max_tokens: 1,
            sampling: Sampling::default(),
            stop: Vec::new(),
        })
    }

    /// The latest news of a ticket: `Err` when its turn has come (or is lost), `Ok(None)` when there are
    /// none.
    fn news(ticket: &mut Ticket) -> Result<Option<usize>, ()> {
        let mut latest = None;
        while let Some(news) = ticket.queued().now_or_never() {
            latest = Some(news.ok_or(())?.place);
        }
        Ok(latest)
    }

    #[test]
    fn the_first_has_its_turn_at_once_and_the_others_one_after_the_other() {
        let now = Instant::now();
        let mut queue = Queue::new(8, 1);
        let mut tickets: Vec<Ticket> = (0..3).map(|_| enter(&mut queue, Class::Interactive, now)).collect();
        assert_eq!(news(&mut tickets[0]), Err(()));
        assert_eq!(news(&mut tickets[1]), Ok(Some(1)));
        assert_eq!(news(&mut tickets[2]), Ok(Some(2)));
        assert!(queue.take(now).is_none());
        let _generation = start(tickets.remove(0));
        let work = queue.take(now).expect("it was started");
        assert_eq!(news(&mut tickets[0]), Ok(None));
        queue.finished(work.key, now, true);
        assert_eq!(news(&mut tickets[0]), Err(()));
        assert_eq!(news(&mut tickets[1]), Ok(Some(1)));
    }

    #[test]
    fn the_urgent_go_before_the_others_but_not_before_whoever_has_the_turn() {
        let now = Instant::now();
        let mut queue = Queue::new(8, 1);
        let mut idle = enter(&mut queue, Class::Idle, now);
        let mut background = enter(&mut queue, Class::Background, now);
        let mut interactive = enter(&mut queue, Class::Interactive, now);
        assert_eq!(news(&mut idle), Err(()));
        assert_eq!(news(&mut interactive), Ok(Some(1)));
        assert_eq!(news(&mut background), Ok(Some(2)));
    }

    #[test]
    fn a_full_queue_says_so() {
        let now = Instant::now();
        let mut queue = Queue::new(2, 1);
        let _kept: Vec<Ticket> = (0..3).map(|_| enter(&mut queue, Class::Idle, now)).collect();
        let refused = queue.reserve(meta(Class::Interactive), now, || {});
        assert_eq!(refused.err(), Some(Full { place: 2, wait: None }));
    }

    #[test]
    fn dropped_tickets_leave_and_the_rest_move_up() {
        let now = Instant::now();
        let mut queue = Queue::new(2, 1);
        let first = enter(&mut queue, Class::Interactive, now);
        let second = enter(&mut queue, Class::Interactive, now);
        let mut third = enter(&mut queue, Class::Interactive, now);
        assert_eq!(news(&mut third), Ok(Some(2)));
        drop(second);
        queue.update(now);
        assert_eq!(news(&mut third), Ok(Some(1)));
        drop(first);
        queue.update(now);
        assert_eq!(news(&mut third), Err(()));
    }

    #[test]
    fn a_turn_that_is_not_used_goes_to_the_next() {
        let now = Instant::now();
        let mut queue = Queue::new(2, 1);
        let _late = enter(&mut queue, Class::Interactive, now);
        let mut next = enter(&mut queue, Class::Interactive, now);
        assert_eq!(queue.wake_at(), Some(now + LEASE));
        queue.update(now + (LEASE / 2));
        assert_eq!(news(&mut next), Ok(Some(1)));
        queue.update(now + LEASE);
        assert_eq!(news(&mut next), Err(()));
    }

    #[test]
    fn what_was_started_in_time_is_kept_though_the_worker_comes_late() {
        let now = Instant::now();
        let mut queue = Queue::new(2, 1);
        let ticket = enter(&mut queue, Class::Interactive, now);
        let _generation = start(ticket);
        assert!(queue.take(now + 2 * LEASE).is_some());
    }

    #[test]
    fn who_waits_too_long_is_dropped() {
        let now = Instant::now();
        let mut queue = Queue::new(2, 1);
        let _first = enter(&mut queue, Class::Interactive, now);
        let impatient = Meta { deadline: Some(now + SECOND), ..meta(Class::Interactive) };
        let mut impatient = queue.reserve(impatient, now, || {}).expect("a place");
        let mut patient = enter(&mut queue, Class::Interactive, now);
        assert_eq!(queue.wake_at(), Some(now + SECOND));
        assert_eq!(news(&mut patient), Ok(Some(2)));
        queue.update(now + SECOND);
        assert_eq!(news(&mut impatient), Err(()));
        assert_eq!(news(&mut patient), Ok(Some(1)));
    }

    #[test]
    fn the_wait_is_estimated_from_replies_that_were_measured() {
        let now = Instant::now();
        let mut queue = Queue::new(1, 1);
        let wait = |queue: &mut Queue, now| {
            let mut ticket = enter(queue, Class::Interactive, now);
            ticket.queued().now_or_never().flatten().expect("it waits").wait
        };
        let begin = |queue: &mut Queue, now| {
            drop(start(enter(queue, Class::Interactive, now)));
            queue.take(now).expect("work").key
        };
        let first = begin(&mut queue, now);
        assert_eq!(wait(&mut queue, now), None);
        queue.finished(first, now + 10 * SECOND, false);
        let second = begin(&mut queue, now);
        assert_eq!(wait(&mut queue, now), None);
        queue.finished(second, now + 10 * SECOND, true);
        begin(&mut queue, now);
        assert_eq!(wait(&mut queue, now), Some(10 * SECOND));
        assert_eq!(wait(&mut queue, now + 4 * SECOND), Some(6 * SECOND));
        assert_eq!(wait(&mut queue, now + 40 * SECOND), Some(Duration::ZERO));
    }

    #[test]
    fn several_have_their_turns_at_a_time_and_the_wait_is_shorter_for_it() {
        let now = Instant::now();
        let mut queue = Queue::new(8, 2);
        let mut tickets: Vec<Ticket> = (0..4).map(|_| enter(&mut queue, Class::Interactive, now)).collect();
        assert_eq!(
            tickets.iter_mut().map(news).collect::<Vec<_>>(),
            [Err(()), Err(()), Ok(Some(1)), Ok(Some(2))]
        );
        let _generations = [start(tickets.remove(0)), start(tickets.remove(0))];
        let keys = [queue.take(now).expect("work").key, queue.take(now).expect("work").key];
        assert!(queue.take(now).is_none() && keys[0] < keys[1]);
        queue.finished(keys[1], now + 10 * SECOND, true);
        assert_eq!(tickets.iter_mut().map(news).collect::<Vec<_>>(), [Err(()), Ok(Some(1))]);
        let mut last = enter(&mut queue, Class::Interactive, now);
        assert_eq!(last.queued().now_or_never().flatten().expect("it waits").wait, Some(15 * SECOND));
    }

    #[test]
    fn a_member_with_many_messages_lets_the_first_of_another_pass() {
        let now = Instant::now();
        let mut queue = Queue::new(8, 1);
        let from = |queue: &mut Queue, member, conversation| {
            let meta = Meta { conversation, member, ..meta(Class::Interactive) };
            queue.reserve(meta, now, || {}).expect("there is a place")
        };
        let mut many: Vec<Ticket> = (0..3).map(|conversation| from(&mut queue, 1, conversation)).collect();
        let mut other = from(&mut queue, 2, 7);
        let mut same_conversation = from(&mut queue, 3, 7);
        assert_eq!(news(&mut other), Ok(Some(1)));
        assert_eq!(many.iter_mut().map(news).collect::<Vec<_>>(), [Err(()), Ok(Some(2)), Ok(Some(4))]);
        assert_eq!(news(&mut same_conversation), Ok(Some(3)));
    }

    #[test]
    fn who_spoke_long_ago_is_owed_nothing_less() {
        let now = Instant::now();
        let mut queue = Queue::new(8, 1);
        let from = |queue: &mut Queue, member| {
            let meta = Meta { member, conversation: member, ..meta(Class::Interactive) };
            queue.reserve(meta, now, || {}).expect("there is a place")
        };
        let _generation = start(from(&mut queue, 1));
        let key = queue.take(now).expect("work").key;
        queue.finished(key, now, true);
        let _running = from(&mut queue, 2);
        let mut old = from(&mut queue, 1);
        let mut new = from(&mut queue, 3);
        assert_eq!([news(&mut old), news(&mut new)], [Ok(Some(1)), Ok(Some(2))]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Enter(Class, Option<u8>, u64),
        Drop(usize),
        Start,
        Take,
        Finish,
        Pass(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let class = prop::sample::select(vec![Class::Interactive, Class::Background, Class::Idle]);
        let step = prop_oneof![
            4 => (class, prop::option::of(0u8..40), 0u64..3)
                .prop_map(|(class, deadline, member)| Step::Enter(class, deadline, member)),
            1 => any::<usize>().prop_map(Step::Drop),
            3 => Just(Step::Start),
            3 => Just(Step::Take),
            3 => Just(Step::Finish),
            1 => (0u8..20).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 0..60)
    }

    proptest! {
        #[test]
        fn whatever_happens_turns_follow_class_and_fairness(steps in steps(), turns in 1usize..4) {
            const CAPACITY: usize = 4;
            let mut now = Instant::now();
            let mut queue = Queue::new(CAPACITY, turns);
            let mut tickets: Vec<(u64, Ticket)> = Vec::new();
            let mut number = 0;
            let mut running: Vec<u64> = Vec::new();
            for step in steps {
                match step {
                    Step::Enter(class, deadline, member) => {
                        number += 1;
                        let deadline = deadline.map(|seconds| now + u32::from(seconds) * SECOND);
                        let meta = Meta { request: number, deadline, member, conversation: number, ..meta(class) };
                        match queue.reserve(meta, now, || {}) {
                            Ok(ticket) => tickets.push((number, ticket)),
                            Err(full) => prop_assert_eq!(full.place, CAPACITY),
                        }
                    }
                    Step::Drop(at) if !tickets.is_empty() => {
                        let at = at % tickets.len();
                        tickets.remove(at);
                    }
                    Step::Start => {
                        if let Some(at) = (0..tickets.len()).find(|&at| news(&mut tickets[at].1).is_err()) {
                            drop(start(tickets.remove(at).1));
                        }
                    }
                    Step::Take => {
                        if let Some(work) = queue.take(now) {
                            prop_assert!(!running.contains(&work.key));
                            running.push(work.key);
                            prop_assert!(running.len() <= turns, "too many at a time");
                            prop_assert!(tickets.iter().all(|(number, _)| *number != work.meta.request));
                        }
                    }
                    Step::Finish if !running.is_empty() => queue.finished(running.remove(0), now, true),
                    Step::Pass(seconds) => now += u32::from(seconds) * SECOND,
                    Step::Drop(_) | Step::Finish => {}
                }
                queue.update(now);
                prop_assert!(queue.waiting.len() <= CAPACITY);
                prop_assert!(queue.waiting.is_sorted_by_key(|waiting| waiting.meta.class));
                prop_assert!(queue.waiting.is_empty() || !queue.has_turns(), "somebody waits for nothing");
                for (index, waiting) in queue.waiting.iter().enumerate() {
                    prop_assert_eq!(waiting.told, Some(index + 1));
                    // Nobody's first message is behind two of somebody else.
                    let same_class = |other: &&Waiting| other.meta.class == waiting.meta.class;
                    let before: Vec<u64> =
                        queue.waiting[..index].iter().filter(same_class).map(|other| other.meta.member).collect();
                    let waits = queue.waiting[..index].iter().any(|other| other.meta.member == waiting.meta.member);
                    if !waits && !queue.shares.members.contains_key(&waiting.meta.member) {
                        let most = (0..3).map(|member| before.iter().filter(|other| **other == member).count()).max();
                        prop_assert!(most <= Some(1), "{:?}", before);
                    }
                }
            }
        }
    }
}
