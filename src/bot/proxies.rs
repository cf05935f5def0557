//! Members who speak under other names by programs such as `PluralKit` and Tupperbox: the program deletes a member's message and
//! posts it anew by webhook. Where the admins have named such programs, a message waits a moment for that, and what is posted
//! anew counts as the member's. Other webhooks are programs like all others.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::chat::addressing::{Author, Incoming};
use crate::chat::{MessageId, sanitize};

/// How long a message waits for its deletion, and how far apart its deletion and its being posted anew may be.
const PATIENCE: Duration = Duration::from_secs(3);

/// Most messages that wait at a time; beyond it they are taken as they are.
const WAITING_MAX: usize = 1_000;

/// So many of the last deletions and of the last messages by such programs are remembered.
const REMEMBERED_MAX: usize = 1_000;

/// Most characters of the marks by which such a program is told who speaks.
const TAGS_MAX: usize = 64;

/// What such programs have done lately.
pub(super) struct Proxies {
    lately: Mutex<Lately>,
    /// Told of everything that is new.
    news: Notify,
    places: Semaphore,
}

#[derive(Default)]
struct Lately {
    /// Newest last.
    deleted: VecDeque<(MessageId, Instant)>,
    /// Newest last.
    reposted: VecDeque<(Repost, Instant)>,
}

/// A message that such a program has posted.
struct Repost {
    incoming: Incoming,
    /// What it says, as it was written.
    written: String,
}

impl Proxies {
    pub(super) fn new() -> Self {
        Self { lately: Mutex::default(), news: Notify::new(), places: Semaphore::new(WAITING_MAX) }
    }

    /// A message was deleted where such programs are.
    pub(super) fn deleted(&self, message: MessageId) {
        remember(&mut self.lock().deleted, message);
        self.news.notify_waiters();
    }

    /// Such a program has posted this, which says what was `written`.
    pub(super) fn reposted(&self, incoming: Incoming, written: String) {
        if !sanitize::is_blank(&written) {
            remember(&mut self.lock().reposted, Repost { incoming, written });
            self.news.notify_waiters();
        }
    }

    /// A member has posted this, which says what was `written`: waits whether it is deleted and posted anew, and returns what counts
    /// as theirs; nothing when it is merely deleted.
    pub(super) async fn settle(&self, incoming: Incoming, written: &str) -> Option<Incoming> {
        let Ok(_place) = self.places.try_acquire() else { return Some(incoming) };
        let until = Instant::now() + PATIENCE;
        let Some(deleted) = self.find(until, |lately| lately.deletion_of(incoming.message)).await else {
            return Some(incoming);
        };
        let repost = |lately: &mut Lately| lately.take_repost(&incoming, written, deleted);
        let repost = self.find(deleted + PATIENCE, repost).await?;
        let author = Author { name: repost.author.name, ..incoming.author };
        let Incoming { message, text, posted, .. } = repost;
        Some(Incoming { message, author, text, posted, ..incoming })
    }

    /// Looks again with all that is new, until then.
    async fn find<T>(&self, until: Instant, mut look: impl FnMut(&mut Lately) -> Option<T>) -> Option<T> {
        let found = async {
            loop {
                let mut news = std::pin::pin!(self.news.notified());
                // From here on nothing that is new is missed.
                news.as_mut().enable();
                let found = look(&mut self.lock());
                if found.is_some() {
                    return found;
                }
                news.await;
            }
        };
        timeout_at(until, found).await.ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, Lately> {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lately {
    fn deletion_of(&self, message: MessageId) -> Option<Instant> {
        self.deleted.iter().find(|(deleted, _)| *deleted == message).map(|(_, at)| *at)
    }

    /// What was posted anew of a message that was deleted then: what says a part of it, as the marks go by which the program was
    /// told who speaks. It is one member's only.
    fn take_repost(&mut self, of: &Incoming, written: &str, deleted: Instant) -> Option<Incoming> {
        let fits = |(repost, at): &(Repost, Instant)| {
            let apart = at.saturating_duration_since(deleted).max(deleted.saturating_duration_since(*at));
            let says = repost.written.trim();
            let tags = written.chars().count().saturating_sub(says.chars().count());
            repost.incoming.channel == of.channel
                && repost.incoming.message > of.message
                && apart <= PATIENCE
                && tags <= TAGS_MAX
                && written.contains(says)
        };
        let fitting = self.reposted.iter().enumerate().filter(|(_, repost)| fits(repost));
        let (place, _) = fitting.max_by_key(|(_, (repost, _))| repost.written.len())?;
        self.reposted.remove(place).map(|(repost, _)| repost.incoming)
    }
}

/// Adds what is new, and forgets the oldest when there is too much.
fn remember<T>(lately: &mut VecDeque<(T, Instant)>, new: T) {
    let is_over = |at: &Instant| at.elapsed() > 2 * PATIENCE;
    while lately.len() >= REMEMBERED_MAX || lately.front().is_some_and(|(_, at)| is_over(at)) {
        lately.pop_front();
    }
    lately.push_back((new, Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ChannelId, MemberId, RoleId, ServerId};

    const HERE: ChannelId = ChannelId(1);

    fn message(id: u64, name: &str, text: &str) -> Incoming {
        Incoming {
            message: MessageId(id),
            channel: HERE,
            parent: None,
            server: Some(ServerId(1)),
            author: Author {
                id: MemberId(id),
                name: name.to_owned(),
                automated: id > 10,
                roles: vec![RoleId(id)],
            },
            text: text.to_owned(),
            mentions_bot: id < 10,
            names_bot: true,
            reply_to: None,
            posted: id,
            edited: false,
        }
    }

    /// A second later.
    async fn later(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    fn repost(proxies: &Proxies, id: u64, text: &str) {
        proxies.reposted(message(id, "Luna", text), text.to_owned());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_posted_anew_counts_as_the_members() {
        for deleted_first in [true, false] {
            let proxies = Proxies::new();
            let program = async {
                later(1).await;
                if deleted_first {
                    proxies.deleted(MessageId(1));
                    later(1).await;
                    repost(&proxies, 11, "hello");
                } else {
                    repost(&proxies, 11, "hello");
                    later(1).await;
                    proxies.deleted(MessageId(1));
                }
            };
            let (settled, ()) =
                tokio::join!(proxies.settle(message(1, "Alice", "L: hello"), "L: hello"), program);
            let settled = settled.expect("it is hers");
            assert_eq!((settled.message, settled.text.as_str()), (MessageId(11), "hello"));
            let Author { id, name, automated, roles } = settled.author;
            assert_eq!((id, name.as_str(), automated), (MemberId(1), "Luna", false));
            assert!(settled.mentions_bot && roles == [RoleId(1)]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_is_taken_as_it_is_after_a_moment() {
        let proxies = Proxies::new();
        let began = Instant::now();
        repost(&proxies, 11, "hello");
        let settled = proxies.settle(message(1, "Alice", "L: hello"), "L: hello").await.expect("it is hers");
        assert_eq!((settled.message, began.elapsed()), (MessageId(1), PATIENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_merely_deleted_goes() {
        let proxies = Proxies::new();
        // What is said elsewhere, says something else, or comes too late is not hers.
        repost(&proxies, 11, "good morning");
        proxies
            .reposted(Incoming { channel: ChannelId(2), ..message(12, "Luna", "hello") }, "hello".to_owned());
        repost(&proxies, 13, " ");
        proxies.deleted(MessageId(1));
        let late = async {
            later(4).await;
            repost(&proxies, 14, "hello");
        };
        let (settled, ()) = tokio::join!(proxies.settle(message(1, "Alice", "hello"), "hello"), late);
        assert_eq!(settled, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_one_members_only() {
        let proxies = Proxies::new();
        for id in [1, 2] {
            proxies.deleted(MessageId(id));
        }
        repost(&proxies, 11, "hello");
        let (one, other) = tokio::join!(
            proxies.settle(message(1, "Alice", "hello"), "hello"),
            proxies.settle(message(2, "Bob", "hello"), "hello"),
        );
        assert_eq!((one.map(|it| it.author.id), other), (Some(MemberId(1)), None));
    }
}
