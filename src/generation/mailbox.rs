//! The stream of one generation: a mailbox that coalesces, so that a slow reader never stalls the writer.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::{Event, Failure, FailureKind};

/// Makes the two ends of a generation: events are put into the mailbox and come out of the stream.
#[must_use]
pub fn mailbox() -> (Mailbox, Generation) {
    let shared = Arc::new(Mutex::new(Shared::default()));
    (Mailbox(Arc::clone(&shared)), Generation(shared))
}

/// The writing end. Never blocks: what the reader has not taken yet is merged with what comes.
#[derive(Debug)]
pub struct Mailbox(Arc<Mutex<Shared>>);

impl Mailbox {
    /// Delivers an event. After `Finished` or `Failed`, or when the reader is gone, it goes nowhere.
    pub fn send(&self, event: Event) {
        let mut shared = lock(&self.0);
        if shared.writer_done || shared.reader_gone {
            return;
        }
        shared.writer_done = matches!(event, Event::Finished(_) | Event::Failed(_));
        shared.push(event);
        if let Some(reader) = shared.reader.take() {
            reader.wake();
        }
    }

    /// Whether nobody reads any more: the generation is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        lock(&self.0).reader_gone
    }

    /// Waits until nobody reads any more.
    pub async fn cancelled(&self) {
        poll_fn(|context| {
            let mut shared = lock(&self.0);
            if shared.reader_gone {
                return Poll::Ready(());
            }
            shared.writer = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Mailbox {
    /// A writer that dies without a last word is reported to the reader as a fault.
    fn drop(&mut self) {
        self.send(Event::Failed(Failure {
            kind: FailureKind::EngineFault,
            retryable: true,
            detail: "the generator went away in the middle of a reply".to_owned(),
        }));
    }
}

/// The reading end: a stream of events that ends after `Finished` or `Failed`. Dropping it cancels.
#[derive(Debug)]
pub struct Generation(Arc<Mutex<Shared>>);

impl Stream for Generation {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut shared = lock(&self.0);
        if let Some(event) = shared.pending.pop_front() {
            return Poll::Ready(Some(event));
        }
        if shared.writer_done {
            return Poll::Ready(None);
        }
        shared.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.reader_gone = true;
        shared.pending.clear();
        if let Some(writer) = shared.writer.take() {
            writer.wake();
        }
    }
}

/// What waits here is in the order of its arrival, and neighbours of one kind are merged, so that the size is bounded by
/// the text of the reply and the number of times that it was set back.
#[derive(Debug, Default)]
struct Shared {
    pending: std::collections::VecDeque<Event>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    writer_done: bool,
    reader_gone: bool,
}

impl Shared {
    /// Appends the event, or merges it into the last one of its kind.
    fn push(&mut self, event: Event) {
        match (self.pending.back_mut(), event) {
            (Some(Event::Delta { text, ids }), Event::Delta { text: more, ids: more_ids }) => {
                text.push_str(&more);
                ids.extend(more_ids);
            }
            (Some(last @ Event::Queued(_)), event @ Event::Queued(_))
            | (Some(last @ Event::Prefill { .. }), event @ Event::Prefill { .. }) => *last = event,
            (_, event) => self.pending.push_back(event),
        }
    }
}

/// A panic elsewhere leaves no half-written state here, so a poisoned lock is as good as any.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;
    use crate::generation::{Finish, Finished, Timings, Usage};

    fn delta(text: &str, id: u32) -> Event {
        Event::Delta { text: text.to_owned(), ids: vec![id] }
    }

    fn finished() -> Event {
        Event::Finished(Finished {
            reason: Finish::Eos,
            ids: vec![1, 2],
            usage: Usage::default(),
            timings: Timings::default(),
        })
    }

    #[tokio::test]
    async fn deltas_that_were_not_read_yet_become_one() {
        let (mailbox, generation) = mailbox();
        mailbox.send(Event::Prefill { done: 1, total: 3 });
        mailbox.send(Event::Prefill { done: 3, total: 3 });
        mailbox.send(delta("a", 1));
        mailbox.send(delta("b", 2));
        mailbox.send(finished());
        let events: Vec<Event> = generation.collect().await;
        assert_eq!(
            events,
            [
                Event::Prefill { done: 3, total: 3 },
                Event::Delta { text: "ab".to_owned(), ids: vec![1, 2] },
                finished()
            ]
        );
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let (mailbox, mut generation) = mailbox();
        let reader = tokio::spawn(async move { generation.next().await });
        tokio::task::yield_now().await;
        mailbox.send(delta("a", 1));
        assert_eq!(reader.await.expect("the reader ends"), Some(delta("a", 1)));
    }

    #[tokio::test]
    async fn a_writer_that_dies_is_a_failure_that_may_be_retried() {
        let (mailbox, mut generation) = mailbox();
        drop(mailbox);
        let event = generation.next().await;
        assert!(matches!(
            event,
            Some(Event::Failed(Failure { kind: FailureKind::EngineFault, retryable: true, .. }))
        ));
        assert_eq!(generation.next().await, None);
    }

    #[test]
    fn dropping_the_reader_cancels() {
        let (mailbox, generation) = mailbox();
        assert!(!mailbox.is_cancelled());
        drop(generation);
        assert!(mailbox.is_cancelled());
        mailbox.send(delta("nobody reads this", 1));
    }

    #[tokio::test]
    async fn a_writer_that_waits_for_the_reader_to_leave_is_woken() {
        let (mailbox, generation) = mailbox();
        let writer = tokio::spawn(async move { mailbox.cancelled().await });
        tokio::task::yield_now().await;
        drop(generation);
        writer.await.expect("the writer ends");
    }

    #[tokio::test]
    async fn nothing_follows_the_end() {
        let (mailbox, generation) = mailbox();
        mailbox.send(finished());
        mailbox.send(delta("late", 1));
        drop(mailbox);
        assert_eq!(generation.collect::<Vec<_>>().await, [finished()]);
    }
}
