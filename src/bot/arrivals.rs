//! The order of arrival. serenity hands every event to a task of its own, so that two messages posted one after the
//! other may overtake each other by some microseconds; here they are put back in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::chat::{ChannelId, MessageId};

/// How long a message waits for one that was posted before it: long for a task to be scheduled, short for a reader.
const SETTLE: Duration = Duration::from_millis(15);

/// So many of the last changes are remembered, for messages that they have overtaken.
const CHANGES_MAX: usize = 256;

/// Messages that have just arrived.
pub(super) struct Arrivals<T>(Mutex<State<T>>);

struct State<T> {
    waiting: BTreeMap<(ChannelId, MessageId), T>,
    /// The last changes, newest first.
    changes: VecDeque<(MessageId, Change)>,
}

/// What became of a message after it was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// It reads like this now.
    Edited(String),
    /// It is gone.
    Deleted,
}

impl<T> Arrivals<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State { waiting: BTreeMap::new(), changes: VecDeque::new() }))
    }

    /// Puts a message in, waits a moment, and takes the oldest one of the channel out with `take`, while no other
    /// task can: what `take` does happens in the order of message ids. It hears of what became of the message meanwhile.
    /// Returns `None` when another task has taken this one's part already, or the channel is gone.
    pub(super) async fn in_order<R>(
        &self,
        channel: ChannelId,
        message: MessageId,
        arrived: T,
        take: impl FnOnce(T, Option<Change>) -> R,
    ) -> Option<R> {
        self.lock().waiting.insert((channel, message), arrived);
        tokio::time::sleep(SETTLE).await;
        let mut state = self.lock();
        let mut there = state.waiting.range((channel, MessageId(0))..=(channel, MessageId(u64::MAX)));
        let key = *there.next()?.0;
        let change =
            state.changes.iter().find(|(changed, _)| *changed == key.1).map(|(_, change)| change.clone());
        state.waiting.remove(&key).map(|arrived| take(arrived, change))
    }

    /// A message has changed, which may arrive only now.
    pub(super) fn changed(&self, message: MessageId, change: Change) {
        let mut state = self.lock();
        state.changes.truncate(CHANGES_MAX - 1);
        state.changes.push_front((message, change));
    }

    /// Takes all messages of a channel back, because it is gone.
    pub(super) fn withdraw_channel(&self, channel: ChannelId) {
        self.lock().waiting.retain(|(place, _), _| *place != channel);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: ChannelId = ChannelId(1);
    const THERE: ChannelId = ChannelId(2);

    #[tokio::test(start_paused = true)]
    async fn messages_that_overtook_each_other_come_in_order() {
        let arrivals = Arrivals::new();
        let taken = Mutex::new(Vec::new());
        let take = |number: u64, _| taken.lock().expect("no panic").push(number);
        tokio::join!(
            arrivals.in_order(HERE, MessageId(2), 2, take),
            arrivals.in_order(THERE, MessageId(9), 9, take),
            arrivals.in_order(HERE, MessageId(1), 1, take),
        );
        let taken = taken.lock().expect("no panic");
        let here: Vec<u64> = taken.iter().copied().filter(|&number| number < 9).collect();
        assert_eq!(here, [1, 2]);
        assert_eq!(taken.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_hears_of_what_has_overtaken_it() {
        let arrivals = Arrivals::new();
        arrivals.changed(MessageId(2), Change::Edited("early".to_owned()));
        let (first, second, ()) = tokio::join!(
            arrivals.in_order(HERE, MessageId(1), 1, |_, change| change),
            arrivals.in_order(HERE, MessageId(2), 2, |_, change| change),
            async { arrivals.changed(MessageId(1), Change::Deleted) }
        );
        assert_eq!(first, Some(Some(Change::Deleted)));
        assert_eq!(second, Some(Some(Change::Edited("early".to_owned()))));
    }
}
