//! A place in a generator's queue: the waiting side ([`Ticket`]) and the queue's side ([`Grant`]).

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::{Event, Failure, FailureKind, Full, Generation, Mailbox, Queued, Request, mailbox};

/// Makes the two sides of a place in a queue. `changed` is called after the ticket was started or dropped, so that
/// a queue's thread can sleep until then; it must not block.
#[must_use]
pub fn ticket(place: Queued, changed: impl Fn() + Send + Sync + 'static) -> (Grant, Ticket) {
    let shared = Arc::new(Mutex::new(Shared {
        place,
        is_news: true,
        turn: Turn::Waiting,
        waker: None,
        started: None,
        ticket_gone: false,
    }));
    let changed: Changed = Arc::new(changed);
    (Grant(Arc::clone(&shared)), Ticket { shared, changed })
}

type Changed = Arc<dyn Fn() + Send + Sync>;

/// A place in the queue. Dropping it gives the place up.
pub struct Ticket {
    shared: Arc<Mutex<Shared>>,
    changed: Changed,
}

impl Ticket {
    /// The next news of the place: where it stands now, or `None` when it waits no longer.
    pub async fn queued(&mut self) -> Option<Queued> {
        poll_fn(|context| {
            let mut shared = lock(&self.shared);
            if shared.turn != Turn::Waiting {
                return Poll::Ready(None);
            }
            if std::mem::take(&mut shared.is_news) {
                return Poll::Ready(Some(shared.place));
            }
            shared.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Waits, whatever the news, until the turn has come and the ticket can be started.
    ///
    /// # Errors
    /// [`Full`] when the queue took the place away: for a request that goes before it, or because its deadline passed.
    pub async fn turn(&mut self) -> Result<(), Full> {
        while self.queued().await.is_some() {}
        let shared = lock(&self.shared);
        match (shared.turn, shared.place) {
            (Turn::Lost, Queued { place, wait }) => Err(Full { place, wait }),
            (Turn::Granted | Turn::Waiting, _) => Ok(()),
        }
    }

    /// Hands the request over. Before its turn, or when the queue gave the place to somebody else because the
    /// ticket was not started in time, the generation fails at once.
    #[must_use]
    pub fn start(self, request: Request) -> Generation {
        let (mailbox, generation) = mailbox();
        {
            let mut shared = lock(&self.shared);
            match shared.turn {
                Turn::Granted => shared.started = Some((request, mailbox)),
                Turn::Waiting => mailbox.send(Event::Failed(Failure {
                    kind: FailureKind::Invalid,
                    retryable: false,
                    detail: "a ticket was started before its turn".to_owned(),
                })),
                Turn::Lost => mailbox.send(Event::Failed(Failure {
                    kind: FailureKind::Overloaded,
                    retryable: true,
                    detail: "the ticket's turn has passed".to_owned(),
                })),
            }
        }
        generation
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.shared).ticket_gone = true;
        (self.changed)();
    }
}

/// The queue's side of a place. Dropping it takes the place away from the ticket.
#[derive(Debug)]
pub struct Grant(Arc<Mutex<Shared>>);

/// What the queue finds when it looks at a place whose turn has come.
#[derive(Debug)]
pub enum Started {
    /// Not started yet.
    NotYet,
    /// Here is the work.
    Work(Box<Request>, Mailbox),
    /// The ticket was dropped.
    Gone,
}

impl Grant {
    /// Tells the ticket where it stands now.
    pub fn moved(&self, place: Queued) {
        let mut shared = lock(&self.0);
        shared.place = place;
        shared.is_news = true;
        shared.wake();
    }

    /// Its turn has come.
    pub fn grant(&self) {
        let mut shared = lock(&self.0);
        shared.turn = Turn::Granted;
        shared.wake();
    }

    /// Whether the ticket was started since its turn came.
    #[must_use]
    pub fn started(&self) -> Started {
        let mut shared = lock(&self.0);
        match shared.started.take() {
            Some((request, mailbox)) => Started::Work(Box::new(request), mailbox),
            None if shared.ticket_gone => Started::Gone,
            None => Started::NotYet,
        }
    }

    /// Whether nobody holds the ticket any more (it may have been started before).
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let shared = lock(&self.0);
        shared.ticket_gone && shared.started.is_none()
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.turn = Turn::Lost;
        shared.wake();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Waiting,
    Granted,
    Lost,
}

#[derive(Debug)]
struct Shared {
    /// Where it stood last, and whether the ticket has yet to hear of it.
    place: Queued,
    is_news: bool,
    turn: Turn,
    waker: Option<Waker>,
    started: Option<(Request, Mailbox)>,
    ticket_gone: bool,
}

impl Shared {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A panic elsewhere leaves no half-written state here, so a poisoned lock is as good as any.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::StreamExt as _;

    use super::*;
    use crate::generation::{Prompt, Sampling};

    const THIRD: Queued = Queued { place: 2, wait: None };
    const FIRST: Queued = Queued { place: 0, wait: None };

    fn request() -> Request {
        Request {
            prompt: Prompt::default(),
            min_tokens: 0,
            max_tokens: 1,
            sampling: Sampling::default(),
            stop: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_ticket_hears_of_its_place_until_its_turn_comes() {
        let (grant, mut ticket) = ticket(THIRD, || {});
        assert_eq!(ticket.queued().await, Some(THIRD));
        grant.moved(FIRST);
        assert_eq!(ticket.queued().await, Some(FIRST));
        grant.grant();
        assert_eq!(ticket.queued().await, None);
    }

    #[test]
    fn starting_hands_the_work_over_and_wakes_the_queue() {
        static CHANGES: AtomicUsize = AtomicUsize::new(0);
        let (grant, ticket) = ticket(FIRST, || {
            CHANGES.fetch_add(1, Ordering::Relaxed);
        });
        grant.grant();
        assert!(matches!(grant.started(), Started::NotYet));
        let _generation = ticket.start(request());
        assert_eq!(CHANGES.load(Ordering::Relaxed), 1);
        assert!(!grant.is_gone());
        assert!(matches!(grant.started(), Started::Work(..)));
    }

    #[test]
    fn dropping_the_ticket_gives_the_place_up() {
        let (grant, ticket) = ticket(FIRST, || {});
        drop(ticket);
        assert!(grant.is_gone());
        assert!(matches!(grant.started(), Started::Gone));
    }

    #[tokio::test]
    async fn starting_too_early_or_too_late_fails() {
        let (_grant, early) = ticket(FIRST, || {});
        assert!(matches!(
            early.start(request()).next().await,
            Some(Event::Failed(Failure { kind: FailureKind::Invalid, .. }))
        ));
        let (grant, mut late) = ticket(FIRST, || {});
        drop(grant);
        assert_eq!(late.turn().await, Err(Full { place: 0, wait: None }));
        assert!(matches!(
            late.start(request()).next().await,
            Some(Event::Failed(Failure { kind: FailureKind::Overloaded, retryable: true, .. }))
        ));
    }
}
