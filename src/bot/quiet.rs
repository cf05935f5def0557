//! Where the bot may not speak: it finds out once, says so once where that can be said, and then asks no more for a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serenity::all::{ChannelId, GuildId};
use tokio::time::Instant;

/// How long nothing is tried in a place where something was refused; the next time twice as long.
const FIRST_SILENCE: Duration = Duration::from_mins(1);

/// The longest silence.
const LONGEST_SILENCE: Duration = Duration::from_hours(1);

/// Most places that are remembered; the first to be spoken in again is forgotten.
const PLACES_MAX: usize = 10_000;

/// The places where the bot may not speak.
#[derive(Debug, Default)]
pub(super) struct Quiet(Mutex<BTreeMap<ChannelId, Silence>>);

#[derive(Debug, Clone, Copy)]
struct Silence {
    server: Option<GuildId>,
    until: Instant,
    length: Duration,
}

impl Quiet {
    /// Whether nothing is to be tried in a place.
    pub(super) fn is_quiet(&self, channel: ChannelId) -> bool {
        self.lock().get(&channel).is_some_and(|silence| silence.until > Instant::now())
    }

    /// Something was refused in a place. Whether that is new.
    pub(super) fn refused(&self, channel: ChannelId, server: Option<GuildId>) -> bool {
        let now = Instant::now();
        let mut places = self.lock();
        if places.len() >= PLACES_MAX
            && let Some(first) = places.iter().min_by_key(|(_, silence)| silence.until).map(|(id, _)| *id)
        {
            places.remove(&first);
        }
        let before = places.get(&channel).copied();
        let length = before.map_or(FIRST_SILENCE, |before| {
            // What was on its way when it was refused the first time says nothing new.
            if before.until > now { before.length } else { (before.length * 2).min(LONGEST_SILENCE) }
        });
        places.insert(channel, Silence { server, until: now + length, length });
        before.is_none()
    }

    /// Something was allowed in a place, or its rules have changed.
    pub(super) fn forget(&self, channel: ChannelId) {
        self.lock().remove(&channel);
    }

    /// The rules of a server have changed.
    pub(super) fn forget_server(&self, server: GuildId) {
        self.lock().retain(|_, silence| silence.server != Some(server));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChannelId, Silence>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: ChannelId = ChannelId::new(1);
    const SERVER: GuildId = GuildId::new(9);

    #[tokio::test(start_paused = true)]
    async fn silence_grows_and_ends() {
        let quiet = Quiet::default();
        assert!(!quiet.is_quiet(HERE));
        assert!(quiet.refused(HERE, Some(SERVER)), "it is new");
        assert!(!quiet.refused(HERE, Some(SERVER)), "it is known");
        assert!(quiet.is_quiet(HERE) && !quiet.is_quiet(ChannelId::new(2)));
        tokio::time::advance(FIRST_SILENCE).await;
        assert!(!quiet.is_quiet(HERE));
        assert!(!quiet.refused(HERE, Some(SERVER)));
        tokio::time::advance(FIRST_SILENCE).await;
        assert!(quiet.is_quiet(HERE), "twice as long");
    }

    #[tokio::test(start_paused = true)]
    async fn new_rules_end_the_silence() {
        let quiet = Quiet::default();
        let _ = quiet.refused(HERE, Some(SERVER));
        quiet.forget_server(GuildId::new(8));
        assert!(quiet.is_quiet(HERE));
        quiet.forget_server(SERVER);
        assert!(!quiet.is_quiet(HERE));
        assert!(quiet.refused(HERE, None), "it is new again");
        quiet.forget(HERE);
        assert!(!quiet.is_quiet(HERE));
    }
}
