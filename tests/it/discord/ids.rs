//! Discord's ids: snowflakes that grow and carry the time at which they were made.

use std::fmt::{self, Display};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use serenity::model::Timestamp;

/// The first millisecond of 2015, from which Discord counts.
const DISCORD_EPOCH_MS: u64 = 1_420_070_400_000;

/// Hands out ids that are unique and always larger than the one before.
#[derive(Debug, Default)]
pub(super) struct Snowflakes {
    last: u64,
}

impl Snowflakes {
    pub(super) fn next(&mut self) -> u64 {
        let since_epoch_ms = unix_ms() - DISCORD_EPOCH_MS;
        self.last = (since_epoch_ms << 22).max(self.last + 1);
        self.last
    }
}

/// The moment that an id was made, as Discord writes times (RFC 3339).
pub(super) fn created_at(id: u64) -> String {
    rfc3339((id >> 22) + DISCORD_EPOCH_MS)
}

/// The present moment, as Discord writes times.
pub(super) fn now() -> String {
    rfc3339(unix_ms())
}

fn rfc3339(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).expect("a time before the year 292 million");
    Timestamp::from_millis(ms).expect("a time that the calendar knows").to_string()
}

fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since_1970.as_millis()).expect("a time that fits 64 bits")
}

/// Declares an id type that prints as the bare number and is a string in JSON.
macro_rules! id {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(pub(crate) u64);

        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }
    };
}

id!(GuildId, "A server.");
id!(UserId, "Whoever can write: a member, a bot or a webhook (whose id is the webhook's).");
id!(ChannelId, "A text channel, a thread or a direct message.");
id!(MessageId, "A message.");
id!(RoleId, "A role.");
id!(EmojiId, "A custom emoji.");
id!(InteractionId, "The use of a command, or of what an answer offers.");

impl InteractionId {
    /// The secret with which it can be answered.
    pub(super) fn token(self) -> String {
        format!("interaction-secret-{self}")
    }

    pub(super) fn of_token(token: &str) -> Option<Self> {
        token.strip_prefix("interaction-secret-")?.parse().ok().map(Self)
    }
}
