//! Who is next, who hears what, and who loses the place.

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
fn the_urgent_go_before_the_others_but_not_before_an_equal_that_has_the_turn() {
    let now = Instant::now();
    let mut queue = Queue::new(8, 1);
    let _first = enter(&mut queue, Class::Interactive, now);
    let mut idle = enter(&mut queue, Class::Idle, now);
    let mut background = enter(&mut queue, Class::Background, now);
    let mut interactive = enter(&mut queue, Class::Interactive, now);
    assert_eq!(news(&mut interactive), Ok(Some(1)));
    assert_eq!(news(&mut background), Ok(Some(2)));
    assert_eq!(news(&mut idle), Ok(Some(3)));
}

#[test]
fn what_nobody_waits_for_takes_no_turn_from_a_member() {
    let now = Instant::now();
    let mut queue = Queue::new(1, 1);
    let _running = start(enter(&mut queue, Class::Idle, now));
    assert!(queue.take(now).is_some());
    let mut waits = enter(&mut queue, Class::Idle, now);
    let mut background = enter(&mut queue, Class::Background, now);
    // Nor does it when no more may wait.
    let mut interactive = enter(&mut queue, Class::Interactive, now);
    assert_eq!([news(&mut background), news(&mut interactive)], [Err(()), Err(())]);
    assert_eq!(news(&mut waits), Ok(Some(1)));
}

#[test]
fn a_full_queue_says_so() {
    let now = Instant::now();
    let mut queue = Queue::new(2, 1);
    let _kept: Vec<Ticket> = (0..3).map(|_| enter(&mut queue, Class::Idle, now)).collect();
    let refused = queue.reserve(meta(Class::Idle), now, || {});
    assert_eq!(refused.err(), Some(Full { place: 2, wait: None }));
}

#[test]
fn a_full_queue_makes_room_for_what_goes_before() {
    let now = Instant::now();
    let mut queue = Queue::new(2, 1);
    let of = |member, class| Meta { member, conversation: member, ..meta(class) };
    let _running = start(enter(&mut queue, Class::Interactive, now));
    let mut first = queue.reserve(of(1, Class::Interactive), now, || {}).expect("a place");
    let mut second = queue.reserve(of(1, Class::Interactive), now, || {}).expect("a place");
    // The same member's third waits behind both, and another's first before the second.
    assert_eq!(queue.reserve(of(1, Class::Interactive), now, || {}).err().map(|full| full.place), Some(2));
    let mut other = queue.reserve(of(2, Class::Interactive), now, || {}).expect("the second makes room");
    assert_eq!(second.turn().now_or_never(), Some(Err(Full { place: 2, wait: None })));
    // Nobody's summary comes before a reply that is waited for.
    assert!(queue.reserve(of(3, Class::Background), now, || {}).is_err());
    assert_eq!((first.turn().now_or_never(), other.turn().now_or_never()), (None, None));
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
    assert_eq!(
        wait(&mut queue, now + 40 * SECOND),
        Some(10 * SECOND / OVERDUE_SHARE),
        "soon, and not at once"
    );
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
fn those_that_rest_keep_nobody_else_from_a_first_turn() {
    let now = Instant::now();
    let mut queue = Queue::new(8, 3);
    let from = |queue: &mut Queue, member, conversation| {
        let meta = Meta { conversation, member, ..meta(Class::Interactive) };
        queue.reserve(meta, now, || {}).expect("there is a place")
    };
    let begin = |queue: &mut Queue, member, conversation| {
        let mut ticket = from(queue, member, conversation);
        if news(&mut ticket).is_err() {
            drop(start(ticket));
            return Ok(queue.take(now).expect("work").key);
        }
        Err(ticket)
    };
    let keys: Vec<u64> = (0..3).map(|number| begin(&mut queue, 1, number).ok().expect("a turn")).collect();
    let mut fourth = begin(&mut queue, 1, 3).expect_err("all turns are taken");
    let mut other = begin(&mut queue, 2, 4).expect_err("all turns are taken");
    queue.rest(&keys[1..], now);
    // Of the three turns two are member 1's at rest, beside one that is not.
    assert_eq!(news(&mut other), Err(()));
    assert!(news(&mut fourth).is_ok(), "a member that has turns waits for another");
    drop(start(other));
    queue.take(now).expect("work");
    let third = begin(&mut queue, 3, 5).ok().expect("a turn");
    assert!(begin(&mut queue, 4, 6).is_err(), "three are at work");
    // Whoever rests with the only turn counts, or else there would be no end to them.
    queue.rest(&[keys[1], keys[2], third], now);
    assert!(begin(&mut queue, 5, 7).is_err());
}

#[test]
fn waiting_for_memory_says_nothing_about_how_long_a_reply_takes() {
    let now = Instant::now();
    let mut queue = Queue::new(8, 2);
    let begin = |queue: &mut Queue| {
        drop(start(enter(queue, Class::Interactive, now)));
        queue.take(now).expect("work").key
    };
    let (first, second) = (begin(&mut queue), begin(&mut queue));
    queue.rest(&[second], now);
    queue.rest(&[], now + 9 * SECOND);
    queue.finished(first, now + 10 * SECOND, true);
    queue.finished(second, now + 30 * SECOND, true);
    assert_eq!(queue.wait_for_memory(2, 1), Some(20 * SECOND));
    assert_eq!(queue.wait_for_memory(1, 2), Some(5 * SECOND));
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
    Rest(usize),
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
        1 => (0usize..4).prop_map(Step::Rest),
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
        let mut running: Vec<(u64, Class)> = Vec::new();
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
                        prop_assert!(running.iter().all(|(key, _)| *key != work.key));
                        running.push((work.key, work.meta.class));
                        for each in [Class::Interactive, Class::Background, Class::Idle] {
                            let count = running.iter().filter(|(_, class)| *class == each).count();
                            prop_assert!(count < 2 * turns || count == turns, "too many at a time");
                        }
                        prop_assert!(tickets.iter().all(|(number, _)| *number != work.meta.request));
                    }
                }
                Step::Rest(from) => {
                    let keys: Vec<u64> = running.iter().skip(from).map(|(key, _)| *key).collect();
                    queue.rest(&keys, now);
                }
                Step::Finish if !running.is_empty() => queue.finished(running.remove(0).0, now, true),
                Step::Pass(seconds) => now += u32::from(seconds) * SECOND,
                Step::Drop(_) | Step::Finish => {}
            }
            queue.update(now);
            prop_assert!(queue.waiting.len() <= CAPACITY);
            prop_assert!(queue.waiting.is_sorted_by_key(|waiting| waiting.meta.class));
            for (index, waiting) in queue.waiting.iter().enumerate() {
                prop_assert!(!queue.has_turn(&waiting.meta), "somebody waits for nothing");
                prop_assert_eq!(waiting.told, Some(index + 1));
                // Nobody's first message is behind two of somebody else.
                let same_class = |other: &&Waiting| other.meta.class == waiting.meta.class;
                let before: Vec<u64> =
                    queue.waiting[..index].iter().filter(same_class).map(|other| other.meta.member).collect();
                let waits = queue.waiting[..index].iter().any(|other| other.meta.member == waiting.meta.member);
                if !waits && !queue.shares.has_had_turns(waiting.meta.member) {
                    let most = (0..3).map(|member| before.iter().filter(|other| **other == member).count()).max();
                    prop_assert!(most <= Some(1), "{:?}", before);
                }
            }
        }
    }
}
