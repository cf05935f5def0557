//! Discord's rate limits: one bucket for each route and channel, refilled when its window ends.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::ids::ChannelId;
use super::routes::{Call, Route};

/// The limiter, which is off until a test asks for it.
#[derive(Debug, Default)]
pub(super) struct Limits {
    rule: Option<Rule>,
    buckets: BTreeMap<(Call, ChannelId), Bucket>,
    /// How many calls had to be turned away.
    pub(super) refusals: usize,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    calls: u32,
    window: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    used: u32,
    ends: Instant,
}

/// Where a call stands with its bucket, as the `X-RateLimit` headers tell it.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) allowed: bool,
    pub(super) reset_after: Duration,
    limit: u32,
    remaining: u32,
    bucket: String,
}

impl Limits {
    pub(super) fn enforce(&mut self, calls: u32, window: Duration) {
        self.rule = Some(Rule { calls, window });
        self.buckets.clear();
    }

    /// Counts a call; nothing when no limit applies to it.
    pub(super) fn count(&mut self, route: Route) -> Option<Standing> {
        let Rule { calls, window } = self.rule?;
        let channel = route.channel()?;
        let now = Instant::now();
        let fresh = Bucket { used: 0, ends: now + window };
        let bucket = self.buckets.entry((route.call(), channel)).or_insert(fresh);
        if bucket.ends <= now {
            *bucket = fresh;
        }

        let allowed = bucket.used < calls;
        if allowed {
            bucket.used += 1;
        } else {
            self.refusals += 1;
        }
        Some(Standing {
            allowed,
            limit: calls,
            remaining: calls - bucket.used,
            reset_after: bucket.ends - now,
            bucket: format!("{:?}", route.call()).to_lowercase(),
        })
    }
}

impl Standing {
    /// An empty bucket, of which nobody has counted how it became so.
    pub(super) fn exhausted(reset_after: Duration) -> Self {
        Self { allowed: false, reset_after, limit: 5, remaining: 0, bucket: "exhausted".to_owned() }
    }

    /// The headers that Discord sends with every answer.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let resets_at =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO) + self.reset_after;
        vec![
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.remaining.to_string()),
            ("x-ratelimit-reset", seconds(resets_at)),
            ("x-ratelimit-reset-after", seconds(self.reset_after)),
            ("x-ratelimit-bucket", self.bucket.clone()),
        ]
    }
}

/// Seconds with milliseconds behind the point, rounded up so that nobody comes back too early.
fn seconds(duration: Duration) -> String {
    let ms = duration.as_micros().div_ceil(1000);
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
