//! Calls to Discord's REST interface: trying again where that makes sense, and errors that can be logged.
//!
//! serenity's and reqwest's own errors carry addresses, and some addresses carry secrets: none of them goes any
//! further than this file.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use serenity::http::HttpError;
use tracing::{debug, warn};

/// How often a call is tried.
pub(super) const TRIES: u32 = 6;

/// Wait before the second try; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(400);

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What went wrong with a call, without anything secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Discord answered with an error.
    Refused {
        /// HTTP status.
        status: u16,
        /// Discord's own error code, 0 when it gave none.
        code: isize,
    },
    /// There was no answer.
    NoAnswer,
    /// There was an answer that makes no sense, or the call itself makes none.
    Confused,
}

/// Discord's codes for what is not there (any more).
const UNKNOWN_CHANNEL: isize = 10_003;
const UNKNOWN_MESSAGE: isize = 10_008;
const UNKNOWN_WEBHOOK: isize = 10_015;

/// Discord's code for a webhook's secret that is not good any more.
const INVALID_WEBHOOK_TOKEN: isize = 50_027;

/// Discord's code for an interaction that was answered before.
const ANSWERED_ALREADY: isize = 40_060;
/// A thread was begun with the message before.
const THREAD_ALREADY: isize = 160_004;

/// Why the same call can never succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finality {
    /// There is no such channel any more.
    Channel,
    /// There is no such message any more.
    Message,
    /// There is no such webhook any more.
    Webhook,
    /// The bot may not do it.
    Permission,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { status, code: 0 | -1 } => write!(formatter, "status {status}"),
            Self::Refused { status, code } => write!(formatter, "status {status}, code {code}"),
            Self::NoAnswer => formatter.write_str("no answer"),
            Self::Confused => formatter.write_str("an answer that makes no sense"),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<&serenity::Error> for Trouble {
    fn from(error: &serenity::Error) -> Self {
        match error {
            serenity::Error::Http(HttpError::UnsuccessfulRequest(response)) => {
                Self::Refused { status: response.status_code.as_u16(), code: response.error.code }
            }
            serenity::Error::Http(HttpError::Request(_)) | serenity::Error::Io(_) => Self::NoAnswer,
            _ => Self::Confused,
        }
    }
}

impl Trouble {
    /// Whether the same call may succeed later: too many requests, a fault on Discord's side, no answer.
    pub(super) fn may_pass(self) -> bool {
        match self {
            Self::Refused { status, .. } => status == 429 || status >= 500,
            Self::NoAnswer => true,
            Self::Confused => false,
        }
    }

    /// Whether the call is sure to have changed nothing.
    pub(super) fn has_done_nothing(self) -> bool {
        matches!(self, Self::Refused { status, .. } if status < 500)
    }

    /// Whether an interaction was answered before, by a try whose own answer was lost.
    pub(super) fn is_answered_already(self) -> bool {
        matches!(self, Self::Refused { code: ANSWERED_ALREADY, .. })
    }

    /// Whether a message has a thread already.
    pub(super) fn has_thread_already(self) -> bool {
        matches!(self, Self::Refused { code: THREAD_ALREADY, .. })
    }

    /// What can never be done any more because of it, if there is something.
    pub(super) fn finality(self) -> Option<Finality> {
        match self {
            Self::Refused { status: 404, code: UNKNOWN_CHANNEL } => Some(Finality::Channel),
            Self::Refused { status: 404, code: UNKNOWN_MESSAGE } => Some(Finality::Message),
            Self::Refused { code: UNKNOWN_WEBHOOK | INVALID_WEBHOOK_TOKEN, .. } => Some(Finality::Webhook),
            Self::Refused { status: 401 | 403 | 404, .. } => Some(Finality::Permission),
            Self::Refused { .. } | Self::NoAnswer | Self::Confused => None,
        }
    }
}

/// Makes a call, and makes it again after a growing, jittered wait as long as that may help, [`TRIES`] times at most.
///
/// # Errors
/// The trouble of the last try.
pub(super) async fn retry<T, F>(route: &'static str, call: impl Fn() -> F) -> Result<T, Trouble>
where
    F: Future<Output = serenity::Result<T>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        let trouble = match once(route, call()).await {
            Ok(value) => return Ok(value),
            Err(trouble) => trouble,
        };
        if !trouble.may_pass() || tries == TRIES {
            return Err(trouble);
        }
        warn!(route, %trouble, tries, "trying again");
        pause(tries).await;
    }
}

/// Makes a call, once.
///
/// # Errors
/// The trouble.
pub(super) async fn once<T>(
    route: &'static str,
    call: impl Future<Output = serenity::Result<T>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer.map_err(|error| Trouble::from(&error)),
        Err(_) => {
            debug!(route, "no answer in time");
            Err(Trouble::NoAnswer)
        }
    }
}

/// Waits as long as is fit after so many tries.
pub(super) async fn pause(tries: u32) {
    tokio::time::sleep(backoff(tries)).await;
}

/// The wait after so many tries: doubling, and up to half as long again, so that not everybody returns at once.
fn backoff(tries: u32) -> Duration {
    let base = FIRST_WAIT * 2_u32.pow(tries - 1);
    let most = u64::try_from(base.as_millis() / 2).unwrap_or(u64::MAX);
    base + Duration::from_millis(ChaCha8Rng::from_os_rng().next_u64() % (most + 1))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn broken() -> serenity::Error {
        serenity::Error::Io(std::io::Error::other("broken"))
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_again() {
        let tries = Cell::new(0);
        let answer = retry("test", || {
            tries.set(tries.get() + 1);
            std::future::ready(if tries.get() < 3 { Err(broken()) } else { Ok(7) })
        });
        assert_eq!(answer.await, Ok(7));
        assert_eq!(tries.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let tries = Cell::new(0);
        let answer = retry("test", || {
            tries.set(tries.get() + 1);
            std::future::ready(Err::<(), _>(broken()))
        });
        assert_eq!(answer.await, Err(Trouble::NoAnswer));
        assert_eq!(tries.get(), TRIES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_is_given_up() {
        let answer = retry("test", std::future::pending::<serenity::Result<()>>);
        assert_eq!(answer.await, Err(Trouble::NoAnswer));
    }

    #[test]
    fn waits_grow_and_differ() {
        for tries in 1..TRIES {
            let wait = backoff(tries);
            let least = FIRST_WAIT * 2_u32.pow(tries - 1);
            assert!((least..=least * 3 / 2).contains(&wait), "{wait:?} after {tries}");
        }
    }
}
