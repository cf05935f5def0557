//! The order of arrival. serenity hands every event to a task of its own, so that two messages posted one after the
//! other may overtake each other by some microseconds; here they are put back in order.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::chat::{ChannelId, MessageId};

/// How long a message waits for one that was posted before it: long for a task to be scheduled, short for a reader.
const SETTLE: Duration = Duration::from_millis(4);

/// Messages that have just arrived.
pub(super) struct Arrivals<T>(Mutex<BTreeMap<(ChannelId, MessageId), T>>);

impl<T> Arrivals<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Puts a message in, waits a moment and until its channel is ready, and takes the oldest one of the channel out with
    /// `take`, while no other task can: what `take` does happens in the order of message ids. Returns `None` when another task
    /// has taken this one's part already, or the channel is gone.
    pub(super) async fn in_order<R>(
        &self,
        channel: ChannelId,
        message: MessageId,
        arrived: T,
        ready: impl Future<Output = ()>,
        take: impl FnOnce(T) -> R,
    ) -> Option<R> {
        self.lock().insert((channel, message), arrived);
        tokio::join!(tokio::time::sleep(SETTLE), ready);
        let mut waiting = self.lock();
        let oldest = waiting.range((channel, MessageId(0))..=(channel, MessageId(u64::MAX))).next();
        let key = *oldest?.0;
        waiting.remove(&key).map(take)
    }

    /// Takes all messages of a channel back, because it is gone.
    pub(super) fn withdraw_channel(&self, channel: ChannelId) {
        self.lock().retain(|(place, _), _| *place != channel);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(ChannelId, MessageId), T>> {
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
        let take = |number: u64| taken.lock().expect("no panic").push(number);
        tokio::join!(
            arrivals.in_order(HERE, MessageId(2), 2, std::future::ready(()), take),
            arrivals.in_order(THERE, MessageId(9), 9, std::future::ready(()), take),
            arrivals.in_order(HERE, MessageId(1), 1, std::future::ready(()), take),
        );
        let taken = taken.lock().expect("no panic");
        let here: Vec<u64> = taken.iter().copied().filter(|&number| number < 9).collect();
        assert_eq!(here, [1, 2]);
        assert_eq!(taken.len(), 3);
    }
}
