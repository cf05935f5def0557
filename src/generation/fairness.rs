//! Fair turns between members and between conversations: start-time fair queueing (Goyal, Vin and Cheng, 1996). Whoever
//! comes new is not behind the second turn of somebody who asked for many. It knows neither what a turn is nor a clock; all
//! that queue before a generator share by it.

use std::collections::HashMap;

use super::{Class, Meta};

/// Members and conversations whose turns are remembered while it is busy; with more of them time goes on.
const MOST_REMEMBERED: usize = 4_096;

/// Who asks for a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The more urgent go first.
    pub class: Class,
    /// Who asks.
    pub member: u64,
    /// For which conversation.
    pub conversation: u64,
}

impl From<&Meta> for Claim {
    fn from(&Meta { class, member, conversation, .. }: &Meta) -> Self {
        Self { class, member, conversation }
    }
}

/// Who has had how many turns, in virtual time, which goes on with the turns.
#[derive(Debug, Clone, Default)]
pub struct Shares {
    now: u64,
    members: HashMap<u64, u64>,
    conversations: HashMap<u64, u64>,
}

impl Shares {
    /// When the next turn of this member in this conversation is due.
    fn due(&self, claim: &Claim) -> u64 {
        let member = self.members.get(&claim.member).copied().unwrap_or(0);
        let conversation = self.conversations.get(&claim.conversation).copied().unwrap_or(0);
        self.now.max(member).max(conversation)
    }

    /// Counts a turn.
    pub fn serve(&mut self, claim: &Claim) {
        let due = self.due(claim);
        self.now = self.now.max(due);
        self.members.insert(claim.member, due + 1);
        self.conversations.insert(claim.conversation, due + 1);
        // Who is not ahead of the others is as good as new.
        self.now += u64::from(self.members.len().max(self.conversations.len()) > MOST_REMEMBERED);
        let now = self.now;
        self.members.retain(|_, due| *due > now);
        self.conversations.retain(|_, due| *due > now);
    }

    /// A turn that was counted was taken away before its end.
    pub fn take_back(&mut self, claim: &Claim) {
        let member = self.members.get_mut(&claim.member);
        let conversation = self.conversations.get_mut(&claim.conversation);
        for due in [member, conversation].into_iter().flatten() {
            *due = due.saturating_sub(1);
        }
    }

    /// Whether a member has had turns that are not forgotten yet.
    #[cfg(test)]
    pub(crate) fn has_had_turns(&self, member: u64) -> bool {
        self.members.contains_key(&member)
    }

    /// In which order claims have their turns, each with its rank among equals: by class, and within a class by what is due,
    /// then by rank.
    #[must_use]
    pub fn order<R: Ord + Copy>(&self, claims: &[(Claim, R)]) -> Vec<usize> {
        let mut left: Vec<usize> = (0..claims.len()).collect();
        if left.len() < 2 {
            return left;
        }
        let mut shares = self.clone();
        let mut order = Vec::with_capacity(claims.len());
        let rank = |shares: &Self, (claim, rank): &(Claim, R)| (claim.class, shares.due(claim), *rank);
        while let Some(first) = (0..left.len()).min_by_key(|&place| rank(&shares, &claims[left[place]])) {
            let next = left.remove(first);
            shares.serve(&claims[next].0);
            order.push(next);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(member: u64, conversation: u64) -> Claim {
        Claim { class: Class::Interactive, member, conversation }
    }

    #[test]
    fn a_turn_that_was_taken_back_is_due_again_before_a_newcomers() {
        let mut shares = Shares::default();
        let (old, new) = (claim(1, 1), claim(2, 2));
        shares.serve(&old);
        assert_eq!(shares.order(&[(old, 0), (new, 1)]), [1, 0]);
        shares.take_back(&old);
        assert_eq!(shares.order(&[(old, 0), (new, 1)]), [0, 1]);
    }

    proptest! {
        #[test]
        fn nobody_who_is_owed_a_turn_is_behind_two_of_a_member(
            turns in prop::collection::vec((0u64..3, any::<bool>()), 0..30),
            asked in prop::collection::vec(0u64..3, 1..12),
        ) {
            let mut shares = Shares::default();
            for &(member, taken_back) in &turns {
                shares.serve(&claim(member, 100 + member));
                if taken_back {
                    shares.take_back(&claim(member, 100 + member));
                }
            }
            let claims: Vec<(Claim, usize)> =
                asked.iter().enumerate().map(|(rank, &member)| (claim(member, rank as u64), rank)).collect();
            let order = shares.order(&claims);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..asked.len()).collect::<Vec<_>>());
            // Whoever had no turn ahead of the others, however many there were before.
            for member in (0..3).filter(|&member| !shares.has_had_turns(member)) {
                let Some(first) = order.iter().position(|&at| asked[at] == member) else { continue };
                for other in 0..3 {
                    let before = order[..first].iter().filter(|&&at| asked[at] == other).count();
                    prop_assert!(before <= 1, "member {} waits for {} of {}", member, before, other);
                }
            }
        }

        #[test]
        fn a_regular_is_not_behind_two_of_a_newcomer(had in 0usize..50, other in 1usize..10) {
            let mut shares = Shares::default();
            // Two regulars have had turns in turn, since somebody always waited.
            for turn in 0..had {
                shares.serve(&claim(turn as u64 % 2, turn as u64 % 2));
            }
            let newcomer = (0..other).map(|rank| (claim(9, 100 + rank as u64), rank));
            let claims: Vec<(Claim, usize)> = newcomer.chain([(claim(0, 0), other)]).collect();
            let order = shares.order(&claims);
            let place = order.iter().position(|&at| at == other).expect("it is there");
            prop_assert!(place <= 2, "{} of the newcomer's go before a regular", place);
        }
    }
}
