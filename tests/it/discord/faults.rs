//! What can go wrong with a REST call on purpose: tests line failures up, and the next matching
//! calls run into them.

use std::collections::VecDeque;
use std::iter::repeat_n;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use tokio::sync::watch;

use super::routes::Call;

#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// 429 with Discord's headers and body.
    RateLimited { retry_after: Duration },
    /// A server error such as 500 or 503, with no body that means anything.
    Status(u16),
    /// An error as Discord words it, such as 403 with code 50013.
    Refused { status: u16, code: u64 },
    /// The call is carried out and answered, but only after a while.
    Slow(Duration),
    /// The call is carried out, and then the connection breaks: the bot cannot know.
    AnswerLost,
    /// The connection breaks and nothing was done.
    ConnectionLost,
    /// The call waits in front of a [`Gate`], then is carried out and answered.
    Held(Held),
}

/// Holds a call until the test opens the gate or drops it.
#[derive(Debug)]
pub(crate) struct Gate {
    open: watch::Sender<bool>,
}

/// The waiting side of a [`Gate`].
#[derive(Clone, Debug)]
pub(crate) struct Held {
    open: watch::Receiver<bool>,
}

impl Gate {
    pub(super) fn new() -> (Self, Held) {
        let (sender, receiver) = watch::channel(false);
        (Self { open: sender }, Held { open: receiver })
    }

    pub(crate) fn open(self) {
        self.open.send_replace(true);
    }
}

impl Held {
    pub(super) async fn released(mut self) {
        // An error means that the gate was dropped, which opens it as well.
        let _ = self.open.wait_for(|open| *open).await;
    }
}

/// The failures that are lined up, in the order in which they will strike, and the weather beside them.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pending: VecDeque<(Call, Failure)>,
    pub(super) weather: Option<Weather>,
}

/// Calls fail by chance, in a way that passes.
#[derive(Debug)]
pub(super) struct Weather {
    random: ChaCha8Rng,
    /// How many of a thousand calls fail.
    per_mille: u32,
}

impl Weather {
    pub(super) fn new(seed: u64, per_mille: u32) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), per_mille }
    }

    fn strike(&mut self) -> Option<Failure> {
        if self.random.next_u32() % 1_000 >= self.per_mille {
            return None;
        }
        Some(match self.random.next_u32() % 6 {
            0 => Failure::RateLimited { retry_after: Duration::from_millis(20) },
            1 => Failure::Status(500),
            2 => Failure::Status(503),
            3 => Failure::Slow(Duration::from_millis(50)),
            4 => Failure::AnswerLost,
            _ => Failure::ConnectionLost,
        })
    }
}

impl Faults {
    pub(super) fn line_up(&mut self, times: usize, call: Call, failure: Failure) {
        self.pending.extend(repeat_n((call, failure), times));
    }

    pub(super) fn strike(&mut self, call: Call) -> Option<Failure> {
        let place = self.pending.iter().position(|(of, _)| *of == call);
        match place {
            Some(place) => self.pending.remove(place).map(|(_, failure)| failure),
            None => self.weather.as_mut()?.strike(),
        }
    }
}
