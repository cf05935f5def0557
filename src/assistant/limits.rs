//! How much members, channels and servers may ask: at a time, and within an hour. Who asks too much hurts nobody else.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::chat::notice::Notice;
use crate::chat::request::Asked;
use crate::chat::settings::Limits;
use crate::chat::{ChannelId, MemberId, ServerId};

/// What counts as lately, in seconds.
pub(super) const HOUR: u64 = 3_600;

/// After this time, in seconds, a member is told once more that it is too much.
const BETWEEN_REFUSALS: u64 = 60;

/// Whose share something counts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    Member(MemberId),
    Channel(ChannelId),
    Server(ServerId),
}

/// What is asked and was asked.
#[derive(Debug, Default)]
pub(super) struct Asking {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    at_a_time: HashMap<Whose, usize>,
    /// When messages were taken in within the last hour, in seconds since 1970, oldest first.
    lately: HashMap<Whose, VecDeque<u64>>,
    /// Until when members need not be told again.
    told: HashMap<MemberId, u64>,
    /// The latest time that was heard of: a clock that is set back does not count.
    now: u64,
    /// When old entries were thrown away last.
    swept: u64,
}

/// A message that counts as being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    asking: Arc<Asking>,
    whose: Vec<Whose>,
}

/// Why a message is not taken in, and what its author is told; nothing when that was said just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch(pub(super) Option<Notice>);

impl Asking {
    /// Counts what was asked before now, when this process begins; oldest first.
    pub(super) fn recount(&self, asked: &[Asked], now: u64) {
        let mut counts = self.lock();
        for asked in asked {
            // The clock may have been ahead then.
            counts.count(&Asked { at: asked.at.min(now), ..*asked });
        }
    }

    /// Lets a message in within these limits, which then counts, at a time in seconds since 1970.
    ///
    /// # Errors
    /// [`TooMuch`] when it exceeds a limit; then it does not count.
    pub(super) fn admit(
        self: &Arc<Self>,
        limits: &Limits,
        asked: &Asked,
        length: usize,
        now: u64,
    ) -> Result<Share, TooMuch> {
        self.count(limits, asked, length, now)?;
        Ok(self.admit_again(asked))
    }

    /// The same of a message that is answered together with another one of its author's: at a time the two are one.
    ///
    /// # Errors
    /// [`TooMuch`] when it exceeds a limit; then it does not count.
    pub(super) fn admit_along(
        self: &Arc<Self>,
        limits: &Limits,
        asked: &Asked,
        length: usize,
        now: u64,
    ) -> Result<Share, TooMuch> {
        let limits = Limits { member_at_a_time: None, server_at_a_time: None, ..*limits };
        self.count(&limits, asked, length, now)?;
        Ok(self.admit_along_again())
    }

    /// Counts a message within the hour, unless it exceeds a limit. Whoever calls takes in one at a time.
    fn count(&self, limits: &Limits, asked: &Asked, length: usize, now: u64) -> Result<(), TooMuch> {
        let mut counts = self.lock();
        let now = counts.advance(now);
        if let Some(notice) = counts.complaint(limits, asked, length) {
            return Err(TooMuch(counts.may_tell(asked.member).then_some(notice)));
        }
        counts.count(&Asked { at: now, ..*asked });
        Ok(())
    }

    /// Whether a member may be told that a message is not answered, which is not done each time.
    pub(super) fn may_tell(&self, member: MemberId, now: u64) -> bool {
        let mut counts = self.lock();
        counts.advance(now);
        counts.may_tell(member)
    }

    /// Lets a message in that was let in before, and was counted then.
    pub(super) fn admit_again(self: &Arc<Self>, asked: &Asked) -> Share {
        self.share(whose(asked))
    }

    /// The same of one that is answered together with another one of its author's.
    pub(super) fn admit_along_again(self: &Arc<Self>) -> Share {
        self.share(Vec::new())
    }

    fn share(self: &Arc<Self>, whose: Vec<Whose>) -> Share {
        let mut counts = self.lock();
        for one in &whose {
            *counts.at_a_time.entry(*one).or_default() += 1;
        }
        drop(counts);
        Share { asking: Arc::clone(self), whose }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.asking.lock();
        for whose in &self.whose {
            if let Entry::Occupied(mut count) = counts.at_a_time.entry(*whose) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }
}

impl Counts {
    /// The time goes on, and what is too old is thrown away now and then.
    fn advance(&mut self, now: u64) -> u64 {
        self.now = self.now.max(now);
        let now = self.now;
        if now >= self.swept + BETWEEN_REFUSALS {
            self.swept = now;
            self.told.retain(|_, until| *until > now);
            self.lately.retain(|_, times| times.back().is_some_and(|last| last + HOUR > now));
        }
        now
    }

    fn may_tell(&mut self, member: MemberId) -> bool {
        let until = self.told.entry(member).or_insert(0);
        let may_tell = *until <= self.now;
        if may_tell {
            *until = self.now + BETWEEN_REFUSALS;
        }
        may_tell
    }

    fn count(&mut self, asked: &Asked) {
        for whose in whose(asked) {
            let times = self.lately.entry(whose).or_default();
            while times.front().is_some_and(|first| first + HOUR <= asked.at) {
                times.pop_front();
            }
            times.push_back(times.back().map_or(asked.at, |last| asked.at.max(*last)));
        }
    }

    fn complaint(&mut self, limits: &Limits, asked: &Asked, length: usize) -> Option<Notice> {
        if let Some(most) = limits.message_length.filter(|&most| length > most) {
            return Some(Notice::TooManyCharacters { have: length, most });
        }
        let (member, channel) = (Whose::Member(asked.member), Whose::Channel(asked.channel));
        let server = asked.server.map(Whose::Server);
        let at_a_time = |whose| self.at_a_time.get(&whose).copied().unwrap_or(0);
        if let Some(most) = limits.member_at_a_time.filter(|&most| at_a_time(member) >= most) {
            return Some(Notice::TooManyAtATime { most });
        }
        if let Some(server) = server
            && let Some(most) = limits.server_at_a_time
            && at_a_time(server) >= most
        {
            return Some(Notice::ServerBusy);
        }
        let mut until = |whose, limit: Option<usize>| self.until(whose, limit?);
        let wait = until(member, limits.member_per_hour)
            .or_else(|| until(channel, limits.channel_per_hour))
            .or_else(|| until(server?, limits.server_per_hour))?;
        Some(Notice::TooManyPerHour { wait })
    }

    /// How long it takes until one more is within the limit; `None` when it is now.
    fn until(&mut self, whose: Whose, most: usize) -> Option<Duration> {
        let now = self.now;
        let times = self.lately.get_mut(&whose)?;
        while times.front().is_some_and(|first| first + HOUR <= now) {
            times.pop_front();
        }
        // As many must become old as are too many.
        let first = times.len().checked_sub(most.max(1))?;
        Some(Duration::from_secs((times[first] + HOUR).saturating_sub(now)))
    }
}

fn whose(asked: &Asked) -> Vec<Whose> {
    let server = asked.server.map(Whose::Server);
    [Whose::Member(asked.member), Whose::Channel(asked.channel)].into_iter().chain(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::MessageId;

    fn asked(member: u64, channel: u64) -> Asked {
        Asked {
            message: MessageId(0),
            channel: ChannelId(channel),
            server: Some(ServerId(1)),
            member: MemberId(member),
            at: 0,
        }
    }

    fn refusal(limits: Limits, before: &[(u64, u64)], now: u64) -> Result<(), TooMuch> {
        let asking = Arc::<Asking>::default();
        let _shares: Vec<Share> = before
            .iter()
            .filter_map(|&(member, at)| asking.admit(&limits, &asked(member, member), 1, at).ok())
            .collect();
        asking.admit(&limits, &asked(1, 1), 1, now).map(drop)
    }

    #[test]
    fn nothing_is_limited_without_limits() {
        assert_eq!(refusal(Limits::default(), &[(1, 0); 50], 0), Ok(()));
    }

    #[test]
    fn a_members_many_at_a_time_are_refused_and_no_others() {
        let limits = Limits { member_at_a_time: Some(2), ..Limits::default() };
        assert_eq!(refusal(limits, &[(1, 0), (2, 0), (2, 0)], 0), Ok(()));
        assert_eq!(
            refusal(limits, &[(1, 0), (1, 0)], 0),
            Err(TooMuch(Some(Notice::TooManyAtATime { most: 2 })))
        );
        let asking = Arc::<Asking>::default();
        let shares = [(); 2].map(|()| asking.admit(&limits, &asked(1, 1), 1, 0).expect("it is let in"));
        assert!(asking.admit(&limits, &asked(1, 1), 1, 0).is_err());
        drop(shares);
        asking.admit(&limits, &asked(1, 1), 1, 0).expect("they are over");
    }

    #[test]
    fn an_hour_has_a_limit_and_ends() {
        let limits = Limits { member_per_hour: Some(3), ..Limits::default() };
        let before = [(1, 100), (1, 200), (1, 300), (2, 300)];
        let wait = Duration::from_secs(HOUR - 250);
        assert_eq!(refusal(limits, &before, 350), Err(TooMuch(Some(Notice::TooManyPerHour { wait }))));
        assert_eq!(refusal(limits, &before, 100 + HOUR), Ok(()));
        // A clock that is set back ends nothing sooner or later.
        let wait = Duration::from_secs(HOUR - 200);
        assert_eq!(refusal(limits, &before, 5), Err(TooMuch(Some(Notice::TooManyPerHour { wait }))));
    }

    #[test]
    fn channels_and_servers_have_limits_too() {
        let limits = Limits { channel_per_hour: Some(1), ..Limits::default() };
        assert!(refusal(limits, &[(1, 0)], 0).is_err() && refusal(limits, &[(2, 0)], 0).is_ok());
        let limits = Limits { server_per_hour: Some(2), ..Limits::default() };
        assert!(refusal(limits, &[(2, 0), (3, 0)], 0).is_err() && refusal(limits, &[(2, 0)], 0).is_ok());
        let limits = Limits { server_at_a_time: Some(1), ..Limits::default() };
        assert_eq!(refusal(limits, &[(2, 0)], 0), Err(TooMuch(Some(Notice::ServerBusy))));
        let limits = Limits { message_length: Some(0), ..Limits::default() };
        assert_eq!(
            refusal(limits, &[], 0),
            Err(TooMuch(Some(Notice::TooManyCharacters { have: 1, most: 0 })))
        );
    }

    #[test]
    fn whoever_goes_on_is_not_told_each_time() {
        let limits = Limits { member_at_a_time: Some(0), ..Limits::default() };
        let asking = Arc::<Asking>::default();
        let told = |now| asking.admit(&limits, &asked(1, 1), 1, now).expect_err("too many").0.is_some();
        assert_eq!([0, 1, 59, 60, 61].map(told), [true, false, false, true, false]);
    }

    #[test]
    fn what_was_asked_before_a_restart_counts() {
        let limits = Limits { member_per_hour: Some(2), ..Limits::default() };
        let asking = Arc::<Asking>::default();
        asking.recount(&[100, 2_000_000].map(|at| Asked { at, ..asked(1, 1) }), 300);
        assert!(asking.admit(&limits, &asked(1, 1), 1, 300).is_err());
        assert!(asking.admit(&limits, &asked(2, 1), 1, 300).is_ok());
    }
}
