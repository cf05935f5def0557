//! The line before a conversation: one message is answered at a time, and members take turns, so that nobody's first
//! message waits for more than one of another member's many.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::chat::MemberId;
use crate::generation::Class;
use crate::generation::fairness::{Claim, Shares};

/// The line. It is empty in the beginning.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The place that is being answered.
    answered: Option<u64>,
    /// In the order of their arrival.
    waiting: Vec<Waiting>,
    /// Who has had how many turns since somebody began to wait.
    turns: Shares,
    /// Number of the place that is taken next.
    next: u64,
    /// Cancelled when the next place is taken.
    taken: CancellationToken,
}

#[derive(Debug)]
struct Waiting {
    place: u64,
    member: MemberId,
    /// Hears when the turn has come, or that it is lost.
    turn: oneshot::Sender<Result<(), Busy>>,
}

/// The line is too long for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy {
    /// How many are before it, the one that is being answered included.
    pub(super) ahead: usize,
}

/// A place in a line. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct PlaceInLine {
    in_line: InLine,
    turn: oneshot::Receiver<Result<(), Busy>>,
}

/// A turn to be answered. Dropping it lets the next one on.
#[derive(Debug)]
pub(super) struct Speaking {
    _in_line: InLine,
}

/// Leaves the line when it is dropped.
#[derive(Debug)]
struct InLine {
    line: Arc<Line>,
    place: u64,
}

impl Line {
    /// Whether nobody is being answered here.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().answered.is_none()
    }

    /// Whether somebody waits for the answer that is being made to be over.
    pub(super) fn is_awaited(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// As long as nobody is here: what is cancelled when somebody comes.
    pub(super) fn quiet(&self) -> Option<CancellationToken> {
        let state = self.lock();
        state.answered.is_none().then(|| state.taken.clone())
    }

    /// Whoever waits for nobody to come need not wait any more.
    pub(super) fn disturb(&self) {
        std::mem::take(&mut self.lock().taken).cancel();
    }

    /// Takes a place, while at most so many wait beside the one that is being answered.
    ///
    /// # Errors
    /// [`Busy`] when more would wait and this place would be the last; otherwise the last one loses its place.
    pub(super) fn take(self: &Arc<Self>, member: MemberId, most: usize) -> Result<PlaceInLine, Busy> {
        let mut state = self.lock();
        let place = state.next;
        state.next += 1;
        std::mem::take(&mut state.taken).cancel();
        let (turn, receiver) = oneshot::channel();
        state.waiting.push(Waiting { place, member, turn });
        if state.answered.is_none() {
            state.call_next();
        } else if let ahead = state.waiting.len()
            && ahead > most
            && let Some(&last) = state.order().last()
        {
            let lost = state.waiting.remove(last);
            if lost.place == place {
                return Err(Busy { ahead });
            }
            // Whoever does not listen is gone anyway.
            let _ = lost.turn.send(Err(Busy { ahead }));
        }
        Ok(PlaceInLine { in_line: InLine { line: Arc::clone(self), place }, turn: receiver })
    }

    /// How many are answered before this place, the one that is being answered included.
    pub(super) fn ahead_of(&self, place: u64) -> usize {
        let state = self.lock();
        let order = state.order();
        let waiting = order.iter().position(|&index| state.waiting[index].place == place);
        waiting.map_or(0, |waiting| waiting + usize::from(state.answered.is_some()))
    }

    fn leave(&self, place: u64) {
        let mut state = self.lock();
        state.waiting.retain(|waiting| waiting.place != place);
        if state.answered == Some(place) {
            state.answered = None;
            state.call_next();
        }
    }

    /// A panic elsewhere leaves no half-written state here, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Those who wait, in the order of their turns.
    fn order(&self) -> Vec<usize> {
        let claims: Vec<(Claim, u64)> =
            self.waiting.iter().map(|waiting| (claim(waiting.member), waiting.place)).collect();
        self.turns.order(&claims)
    }

    /// Gives the turn to the next one that still listens.
    fn call_next(&mut self) {
        while let Some(&next) = self.order().first() {
            let Waiting { place, member, turn } = self.waiting.remove(next);
            if turn.send(Ok(())).is_ok() {
                self.answered = Some(place);
                self.turns.serve(&claim(member));
                return;
            }
        }
        // Nobody is owed anything.
        self.turns = Shares::default();
    }
}

/// All is one conversation's, so that only members differ.
fn claim(member: MemberId) -> Claim {
    Claim { class: Class::Interactive, member: member.0, conversation: member.0 }
}

impl PlaceInLine {
    /// Its number: later places have greater ones.
    pub(super) fn number(&self) -> u64 {
        self.in_line.place
    }

    /// Waits for the turn.
    ///
    /// # Errors
    /// [`Busy`] when the place was lost.
    pub(super) async fn turn(self) -> Result<Speaking, Busy> {
        // The line is there as long as the place is, so that the turn comes or is lost.
        self.turn.await.unwrap_or(Ok(()))?;
        Ok(Speaking { _in_line: self.in_line })
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        self.line.leave(self.place);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const ALICE: MemberId = MemberId(1);
    const BOB: MemberId = MemberId(2);

    fn take(line: &Arc<Line>, member: MemberId) -> PlaceInLine {
        line.take(member, 3).expect("there is a place")
    }

    /// What has become of a place, if that is decided.
    fn now(place: PlaceInLine) -> Result<Speaking, Busy> {
        place.turn().now_or_never().expect("it is decided")
    }

    #[test]
    fn turns_come_one_after_the_other() {
        let line = Arc::default();
        let (first, second) = (take(&line, ALICE), take(&line, BOB));
        let speaking = now(first).expect("its turn");
        let mut second = Box::pin(second.turn());
        assert!(line.is_awaited() && (&mut second).now_or_never().is_none());
        assert_eq!([0, 1].map(|place| line.ahead_of(place)), [0, 1]);
        drop(speaking);
        drop(second.now_or_never().expect("it is decided").expect("its turn"));
        assert!(line.is_empty() && !line.is_awaited());
    }

    #[test]
    fn whoever_comes_ends_the_quiet() {
        let line = Arc::default();
        let quiet = Line::quiet(&line).expect("nobody is here");
        assert!(!quiet.is_cancelled());
        let speaking = now(take(&line, ALICE)).expect("its turn");
        assert!(quiet.is_cancelled() && line.quiet().is_none());
        drop(speaking);
        assert!(line.quiet().is_some_and(|quiet| !quiet.is_cancelled()));
    }

    #[test]
    fn a_members_first_waits_for_one_of_anothers_many() {
        let line = Arc::default();
        let speaking = now(take(&line, ALICE)).expect("its turn");
        let (second, third) = (take(&line, ALICE), take(&line, ALICE));
        let other = take(&line, BOB);
        drop(speaking);
        drop(now(other).expect("it goes before the second"));
        drop(now(second).expect("its turn"));
        drop(now(third).expect("its turn"));
        assert!(line.is_empty());
    }

    #[test]
    fn a_regular_is_not_behind_a_newcomers_many() {
        let line = Arc::default();
        let mut speaking = now(take(&line, ALICE)).expect("its turn");
        // Somebody always waits, and Alice has had many turns.
        for _ in 0..10 {
            let next = take(&line, ALICE);
            drop(speaking);
            speaking = now(next).expect("its turn");
        }
        let _many = [take(&line, BOB), take(&line, BOB)];
        let regular = take(&line, ALICE);
        // It is his third that has no place.
        assert_eq!(line.take(BOB, 3).err(), Some(Busy { ahead: 4 }));
        drop((speaking, regular));
    }

    #[test]
    fn the_last_loses_its_place_when_too_many_wait() {
        let line: Arc<Line> = Arc::default();
        let _speaking = now(take(&line, ALICE)).expect("its turn");
        let _waiting = [take(&line, ALICE), take(&line, ALICE)];
        let last = take(&line, ALICE);
        assert_eq!(line.take(ALICE, 3).err(), Some(Busy { ahead: 4 }));
        let other = Box::pin(take(&line, BOB).turn());
        assert_eq!(now(last).err(), Some(Busy { ahead: 4 }));
        assert!(other.now_or_never().is_none(), "it waits");
    }

    #[test]
    fn whoever_leaves_is_passed_over() {
        let line = Arc::default();
        let (first, second, third) = (take(&line, ALICE), take(&line, BOB), take(&line, ALICE));
        drop(second);
        // Its turn had come, and nobody has heard of it.
        drop(first);
        now(third).expect("its turn");
    }
}
