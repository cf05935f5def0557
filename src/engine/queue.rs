//! The bounded queue before the model: who is next, who hears what, who lost the place. Synchronous and
//! without a clock: the time is passed in. It runs nothing.

use std::time::{Duration, Instant};

use crate::generation::{Full, Grant, Mailbox, Meta, Queued, Request, Started, Ticket, ticket};

/// How long a ticket whose turn has come may take to be started, before the place goes to the next one. The
/// prompt is built in this time, which takes a database query and no more.
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

    /// Brings everything up to date: places that were given up or came too late are freed, the next one gets
    /// its turn, and those whose place has changed hear of it.
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

    /// Ends the queue: the work that was started and not taken, and all other places. Those get their turn,
    /// so that whoever holds the ticket can start it and be told.
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;
    use crate::generation::{Class, Generation, Prompt, Sampling};

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
        let mut queue = Queue::new(8);
        let mut tickets: Vec<Ticket> = (0..3).map(|_| enter(&mut queue, Class::Interactive, now)).collect();
        assert_eq!(news(&mut tickets[0]), Err(()));
        assert_eq!(news(&mut tickets[1]), Ok(Some(1)));
        assert_eq!(news(&mut tickets[2]), Ok(Some(2)));
        assert!(queue.take(now).is_none());
        let _generation = start(tickets.remove(0));
        assert!(queue.take(now).is_some());
        assert_eq!(news(&mut tickets[0]), Ok(None));
        queue.finished(now, true);
        assert_eq!(news(&mut tickets[0]), Err(()));
        assert_eq!(news(&mut tickets[1]), Ok(Some(1)));
    }

    #[test]
    fn the_urgent_go_before_the_others_but_not_before_whoever_has_the_turn() {
        let now = Instant::now();
        let mut queue = Queue::new(8);
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
        let mut queue = Queue::new(2);
        let _kept: Vec<Ticket> = (0..3).map(|_| enter(&mut queue, Class::Idle, now)).collect();
        let refused = queue.reserve(meta(Class::Interactive), now, || {});
        assert_eq!(refused.err(), Some(Full { place: 3, wait: None }));
    }

    #[test]
    fn dropped_tickets_leave_and_the_rest_move_up() {
        let now = Instant::now();
        let mut queue = Queue::new(2);
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
        let mut queue = Queue::new(2);
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
        let mut queue = Queue::new(2);
        let ticket = enter(&mut queue, Class::Interactive, now);
        let _generation = start(ticket);
        assert!(queue.take(now + 2 * LEASE).is_some());
    }

    #[test]
    fn who_waits_too_long_is_dropped() {
        let now = Instant::now();
        let mut queue = Queue::new(2);
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
        let mut queue = Queue::new(1);
        let wait = |queue: &mut Queue, now| {
            let mut ticket = enter(queue, Class::Interactive, now);
            ticket.queued().now_or_never().flatten().expect("it waits").wait
        };
        drop(start(enter(&mut queue, Class::Interactive, now)));
        queue.take(now).expect("work");
        assert_eq!(wait(&mut queue, now), None);
        queue.finished(now + 10 * SECOND, false);
        drop(start(enter(&mut queue, Class::Interactive, now)));
        queue.take(now).expect("work");
        assert_eq!(wait(&mut queue, now), None);
        queue.finished(now + 10 * SECOND, true);
        drop(start(enter(&mut queue, Class::Interactive, now)));
        queue.take(now).expect("work");
        assert_eq!(wait(&mut queue, now), Some(10 * SECOND));
        assert_eq!(wait(&mut queue, now + 4 * SECOND), Some(6 * SECOND));
        assert_eq!(wait(&mut queue, now + 40 * SECOND), Some(Duration::ZERO));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Enter(Class, Option<u8>),
        Drop(usize),
        Start,
        Take,
        Finish,
        Pass(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let class = prop::sample::select(vec![Class::Interactive, Class::Background, Class::Idle]);
        let step = prop_oneof![
            4 => (class, prop::option::of(0u8..40)).prop_map(|(class, deadline)| Step::Enter(class, deadline)),
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
        fn whatever_happens_turns_follow_class_and_arrival(steps in steps()) {
            const CAPACITY: usize = 4;
            let mut now = Instant::now();
            let mut queue = Queue::new(CAPACITY);
            let mut tickets: Vec<(Class, u64, Ticket)> = Vec::new();
            let mut number = 0;
            let mut running = false;
            for step in steps {
                match step {
                    Step::Enter(class, deadline) => {
                        number += 1;
                        let deadline = deadline.map(|seconds| now + u32::from(seconds) * SECOND);
                        let meta = Meta { request: number, deadline, ..meta(class) };
                        match queue.reserve(meta, now, || {}) {
                            Ok(ticket) => tickets.push((class, number, ticket)),
                            Err(full) => prop_assert_eq!(full.place, CAPACITY + 1),
                        }
                    }
                    Step::Drop(at) if !tickets.is_empty() => {
                        let at = at % tickets.len();
                        tickets.remove(at);
                    }
                    Step::Start => {
                        if let Some(at) = (0..tickets.len()).find(|&at| news(&mut tickets[at].2).is_err()) {
                            drop(start(tickets.remove(at).2));
                        }
                    }
                    Step::Take => {
                        if let Some(work) = queue.take(now) {
                            prop_assert!(!running, "two at a time");
                            running = true;
                            prop_assert!(tickets.iter().all(|(_, number, _)| *number != work.meta.request));
                        }
                    }
                    Step::Finish if running => {
                        running = false;
                        queue.finished(now, true);
                    }
                    Step::Pass(seconds) => now += u32::from(seconds) * SECOND,
                    Step::Drop(_) | Step::Finish => {}
                }
                queue.update(now);
                prop_assert!(queue.waiting.len() <= CAPACITY);
                let order: Vec<(Class, u64)> =
                    queue.waiting.iter().map(|waiting| (waiting.meta.class, waiting.meta.request)).collect();
                prop_assert!(order.is_sorted(), "{:?}", order);
                prop_assert!(queue.waiting.is_empty() || !queue.is_free(), "somebody waits for nothing");
                for (index, waiting) in queue.waiting.iter().enumerate() {
                    prop_assert_eq!(waiting.told, index + 1);
                }
            }
        }
    }
}
