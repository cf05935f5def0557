//! Chooses the next token from logits, as [`Sampling`] documents it. Plain arithmetic: no model, no global
//! randomness.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::generation::Sampling;

/// How many likeliest tokens top-p looks at first; four times as many each time they are not enough.
const NUCLEUS_FIRST: usize = 64;

/// Logits that are off by more than this are not thought of, and how often the distance to it is halved.
const FARTHEST: f32 = 32.0;
const HALVINGS: usize = 24;

/// The choices of one request.
#[derive(Debug)]
pub(crate) struct Sampler {
    settings: Sampling,
    seed: u64,
    /// Rows that are never chosen, for any request.
    masked: Arc<[u32]>,
    candidates: Vec<Candidate>,
}

/// A token that may be chosen.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: u32,
    logit: f32,
    /// Probability, not normalised: the likeliest token has 1.
    weight: f64,
}

impl Sampler {
    /// A sampler whose every draw depends on `seed` and the index of the token alone.
    pub(crate) fn new(settings: Sampling, seed: u64, masked: Arc<[u32]>) -> Self {
        Self { settings, seed, masked, candidates: Vec::new() }
    }

    /// Chooses the token with this index (0 is the first new one). `history` is the prompt and what was
    /// chosen so far; `forbidden` is one more id that may not be chosen now. The logits (one for each row)
    /// are changed. `None` when no token is left to choose from.
    pub(crate) fn pick(
        &mut self,
        logits: &mut [f32],
        history: &[u32],
        index: u64,
        forbidden: Option<u32>,
    ) -> Option<u32> {
        self.prepare(logits, history, forbidden);
        self.choose(logits, index)
    }

    /// Leaves the logits as a token is chosen from them: those that are penalised lower, those that may not be chosen lowest.
    pub(crate) fn prepare(&self, logits: &mut [f32], history: &[u32], forbidden: Option<u32>) {
        self.penalise(logits, history);
        for &id in self.masked.iter().chain(&self.settings.banned).chain(&forbidden) {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }

    /// Chooses the token with this index from logits that are prepared.
    pub(crate) fn choose(&mut self, logits: &[f32], index: u64) -> Option<u32> {
        if self.settings.temperature == 0.0 { greedy(logits) } else { self.draw(logits, index) }
    }

    /// By how much prepared logits would have to be off, each of them at most, for another token to be chosen. `None` when
    /// it would not be chosen even then.
    pub(crate) fn reach(&mut self, logits: &[f32], index: u64, wanted: u32) -> Option<f32> {
        // It may be likelier itself; and where lots are drawn in the order of the ids, what stands before it or behind it
        // may be, which moves the lot to it.
        let alone = |id: u32| id == wanted;
        let upwards = |id: u32| id <= wanted;
        let downwards = |id: u32| id >= wanted;
        let ways: [&dyn Fn(u32) -> bool; 3] = [&alone, &upwards, &downwards];
        let reaches = ways.map(|gains| {
            let mut choice = |off: f32| {
                let moved =
                    (0u32..).zip(logits).map(|(id, logit)| if gains(id) { logit + off } else { logit - off });
                let moved: Vec<f32> = moved.collect();
                self.choose(&moved, index)
            };
            let (mut short, mut enough) = (0.0, FARTHEST);
            for _ in 0..HALVINGS {
                let middle = f32::midpoint(short, enough);
                if choice(middle).is_some_and(gains) { enough = middle } else { short = middle }
            }
            (choice(enough) == Some(wanted)).then_some(enough)
        });
        reaches.into_iter().flatten().min_by(f32::total_cmp)
    }

    fn penalise(&self, logits: &mut [f32], history: &[u32]) {
        let settings = &self.settings;
        let window = &history[history.len().saturating_sub(settings.repetition_window)..];
        let mut counts: HashMap<u32, f32> = HashMap::new();
        for &id in window {
            *counts.entry(id).or_default() += 1.0;
        }
        for (id, count) in counts {
            if let Some(logit) = logits.get_mut(id as usize) {
                let repeated = if *logit > 0.0 {
                    *logit / settings.repetition_penalty
                } else {
                    *logit * settings.repetition_penalty
                };
                // Infinities, which absurd penalties give, would turn into NaN.
                let penalty = finite(settings.frequency_penalty * count) + settings.presence_penalty;
                *logit = finite(finite(repeated) - finite(penalty));
            }
        }
    }

    fn draw(&mut self, logits: &[f32], index: u64) -> Option<u32> {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.settings;
        let candidates = &mut self.candidates;
        candidates.clear();
        let allowed = (0u32..).zip(logits).filter(|(_, logit)| **logit > f32::NEG_INFINITY);
        candidates.extend(allowed.map(|(id, &logit)| Candidate { id, logit, weight: 0.0 }));
        if top_k > 0 && top_k < candidates.len() {
            candidates.select_nth_unstable_by(top_k - 1, likelier);
            candidates.truncate(top_k);
        }
        let greatest = candidates.iter().map(|candidate| candidate.logit).fold(f32::NEG_INFINITY, f32::max);
        for candidate in candidates.iter_mut() {
            candidate.weight = f64::from((candidate.logit - greatest) / temperature).exp();
        }
        // Top-p and min-p both look at the distribution after top-k; each keeps a beginning of the ranking.
        let mass: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
        if top_p < 1.0 {
            let kept = nucleus(candidates, f64::from(top_p) * mass);
            candidates.truncate(kept);
        }
        candidates.retain(|candidate| candidate.weight >= f64::from(min_p));
        // By id, so that a draw does not depend on which of two likely tokens is a little likelier: kernels differ in the
        // last bits with the number of rows, and so with who else speaks.
        candidates.sort_unstable_by_key(|candidate| candidate.id);
        let mass: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
        let mut left = uniform(self.seed, index) * mass;
        for candidate in candidates.iter() {
            left -= candidate.weight;
            if left < 0.0 {
                return Some(candidate.id);
            }
        }
        // Rounding may leave a rest.
        candidates.iter().min_by(|one, other| likelier(one, other)).map(|candidate| candidate.id)
    }
}

/// The nearest finite number.
fn finite(number: f32) -> f32 {
    number.clamp(f32::MIN, f32::MAX)
}

/// The likeliest token; of equals the one with the lowest id.
fn greedy(logits: &[f32]) -> Option<u32> {
    let mut best: Option<(u32, f32)> = None;
    for (id, &logit) in (0u32..).zip(logits) {
        if logit > best.map_or(f32::NEG_INFINITY, |(_, best)| best) {
            best = Some((id, logit));
        }
    }
    best.map(|(id, _)| id)
}

/// How many of the likeliest candidates it takes to reach the target (at least one); they come to stand in
/// front.
fn nucleus(candidates: &mut [Candidate], target: f64) -> usize {
    let mut sum = 0.0;
    let mut start = 0;
    let mut size = NUCLEUS_FIRST;
    while start < candidates.len() {
        let end = candidates.len().min(start + size);
        if end < candidates.len() {
            candidates[start..].select_nth_unstable_by(end - start - 1, likelier);
        }
        candidates[start..end].sort_unstable_by(likelier);
        for (offset, candidate) in candidates[start..end].iter().enumerate() {
            sum += candidate.weight;
            if sum >= target {
                return start + offset + 1;
            }
        }
        start = end;
        size *= 4;
    }
    candidates.len()
}

/// The likelier first; of equals the lower id.
fn likelier(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

/// A number from 0 up to but not 1: the first 53 bits of the `index`-th stream of ChaCha8 under this seed.
fn uniform(seed: u64, index: u64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    let bits = (rng.next_u64() >> 11) as f64;
    bits / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sampler(settings: Sampling) -> Sampler {
        Sampler::new(settings, 7, Arc::from([]))
    }

    fn warm() -> Sampling {
        Sampling { temperature: 1.0, ..Sampling::default() }
    }

    /// Which tokens come out in many draws.
    fn drawn(settings: &Sampling, logits: &[f32]) -> Vec<u32> {
        let mut sampler = sampler(settings.clone());
        let mut ids: Vec<u32> =
            (0..400).filter_map(|index| sampler.pick(&mut logits.to_vec(), &[], index, None)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    #[test]
    fn greedy_takes_the_likeliest_and_of_equals_the_lowest_id() {
        let mut sampler = sampler(Sampling::default());
        assert_eq!(sampler.pick(&mut [0.0, 2.0, 2.0, 1.0], &[], 0, None), Some(1));
    }

    #[test]
    fn masked_banned_and_forbidden_tokens_are_never_chosen() {
        for temperature in [0.0, 1.0] {
            let settings = Sampling { temperature, banned: vec![1], ..Sampling::default() };
            let mut sampler = Sampler::new(settings, 7, Arc::from([2, 99]));
            assert_eq!(sampler.pick(&mut [0.0, 5.0, 5.0, 5.0], &[], 0, Some(3)), Some(0));
            let settings = Sampling { temperature, banned: vec![0, 1], ..Sampling::default() };
            let mut sampler = Sampler::new(settings, 7, Arc::from([2]));
            assert_eq!(sampler.pick(&mut [0.0, 5.0, 5.0, 5.0], &[], 0, Some(3)), None);
        }
    }

    #[test]
    fn penalties_look_at_the_window_only() {
        let settings = Sampling { repetition_penalty: 2.0, repetition_window: 2, ..Sampling::default() };
        let mut sampler = sampler(settings);
        assert_eq!(sampler.pick(&mut [3.0, 2.0, 1.0], &[1, 1, 0, 2], 0, None), Some(1));
        assert_eq!(sampler.pick(&mut [3.0, 2.0, 1.0], &[0, 1, 2], 0, None), Some(0));
    }

    #[test]
    fn the_repetition_penalty_lowers_negative_logits_too() {
        let mut logits = [-1.0, -1.5];
        let settings = Sampling { repetition_penalty: 2.0, ..Sampling::default() };
        assert_eq!(sampler(settings).pick(&mut logits, &[0], 0, None), Some(1));
        assert_eq!(logits.map(f32::to_bits), [-2.0, -1.5].map(f32::to_bits));
    }

    #[test]
    fn frequency_counts_and_presence_does_not() {
        let mut logits = [5.0, 5.0, 5.0];
        let settings = Sampling { frequency_penalty: 0.5, presence_penalty: 0.25, ..Sampling::default() };
        sampler(settings).pick(&mut logits, &[0, 1, 1], 0, None);
        assert_eq!(logits.map(f32::to_bits), [4.25, 3.75, 5.0].map(f32::to_bits));
    }

    #[test]
    fn top_k_top_p_and_min_p_cut_the_unlikely() {
        let logits = [0.5f32, 0.25, 0.15, 0.1].map(f32::ln);
        assert_eq!(drawn(&warm(), &logits), [0, 1, 2, 3]);
        assert_eq!(drawn(&Sampling { top_k: 2, ..warm() }, &logits), [0, 1]);
        assert_eq!(drawn(&Sampling { top_p: 0.7, ..warm() }, &logits), [0, 1]);
        assert_eq!(drawn(&Sampling { top_p: 0.8, ..warm() }, &logits), [0, 1, 2]);
        assert_eq!(drawn(&Sampling { top_p: 0.0, ..warm() }, &logits), [0]);
        assert_eq!(drawn(&Sampling { min_p: 0.4, ..warm() }, &logits), [0, 1]);
        // After top-k the two that are left have 2/3 and 1/3.
        assert_eq!(drawn(&Sampling { top_k: 2, top_p: 0.6, ..warm() }, &logits), [0]);
    }

    #[test]
    fn the_shares_of_many_draws_are_the_probabilities() {
        let logits = [0.5f32, 0.3, 0.2].map(f32::ln);
        let mut sampler = sampler(warm());
        let mut counts = [0u32; 3];
        for index in 0..20_000 {
            let id = sampler.pick(&mut logits.to_vec(), &[], index, None).expect("a token is chosen");
            counts[id as usize] += 1;
        }
        for (count, share) in counts.iter().zip([0.5, 0.3, 0.2]) {
            assert!((f64::from(*count) / 20_000.0 - share).abs() < 0.02, "{counts:?}");
        }
    }

    #[test]
    fn a_draw_depends_on_seed_and_index_alone() {
        assert!((uniform(1, 5) - uniform(1, 5)).abs() < f64::EPSILON);
        assert!((uniform(1, 5) - uniform(1, 6)).abs() > f64::EPSILON);
        assert!((uniform(1, 5) - uniform(2, 5)).abs() > f64::EPSILON);
    }

    #[test]
    fn what_leads_by_little_is_reached_by_half_of_that() {
        let mut greedy = sampler(Sampling::default());
        let reach = greedy.reach(&[1.0, 1.5, f32::NEG_INFINITY], 0, 0).expect("it can be reached");
        assert!((reach - 0.25).abs() < 1e-4, "{reach}");
        assert_eq!(greedy.reach(&[1.0, 1.5, f32::NEG_INFINITY], 0, 2), None);
    }

    #[test]
    fn a_lot_that_falls_close_by_is_reached_by_little() {
        let logits = [0.0f32; 8];
        let mut sampler = sampler(warm());
        for index in 0..50 {
            let chosen = sampler.choose(&logits, index).expect("a token is chosen");
            assert!(sampler.reach(&logits, index, chosen).expect("it is chosen") < 1e-4);
            let [near, far] = [(chosen + 1) % 8, (chosen + 4) % 8];
            let reach =
                |sampler: &mut Sampler, id| sampler.reach(&logits, index, id).expect("it can be reached");
            if near > chosen && far > chosen {
                assert!(reach(&mut sampler, near) <= reach(&mut sampler, far), "{chosen} at {index}");
            }
        }
    }

    #[test]
    fn what_top_k_cuts_is_reached_when_it_would_come_in() {
        let mut sampler = sampler(Sampling { top_k: 1, ..warm() });
        let reach = sampler.reach(&[2.0, 1.0, 0.0], 0, 1).expect("it can be reached");
        assert!((reach - 0.5).abs() < 1e-4, "{reach}");
    }

    #[test]
    fn the_smallest_temperature_is_as_good_as_none() {
        let settings = Sampling { temperature: f32::MIN_POSITIVE, ..Sampling::default() };
        assert_eq!(drawn(&settings, &[1.0, 1.1, -3.0]), [1]);
    }

    proptest! {
        #[test]
        fn what_is_drawn_is_in_every_kept_set(
            logits in prop::collection::vec(-10f32..10.0, 1..300),
            temperature in 0.05f32..3.0,
            top_k in 0usize..40,
            top_p in 0f32..=1.0,
            min_p in 0f32..=1.0,
            index in any::<u64>(),
        ) {
            let settings = Sampling { temperature, top_k, top_p, min_p, ..Sampling::default() };
            let chosen = sampler(settings).pick(&mut logits.clone(), &[], index, None);
            let chosen = chosen.expect("one is left") as usize;
            // The oracle sorts everything.
            let mut ranking: Vec<usize> = (0..logits.len()).collect();
            ranking.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
            ranking.truncate(if top_k == 0 { usize::MAX } else { top_k });
            let weight = |id: usize| f64::from((logits[id] - logits[ranking[0]]) / temperature).exp();
            let mass: f64 = ranking.iter().map(|&id| weight(id)).sum();
            let rank = ranking.iter().position(|&id| id == chosen).expect("top-k keeps it");
            let before: f64 = ranking[..rank].iter().map(|&id| weight(id)).sum();
            prop_assert!(rank == 0 || before < f64::from(top_p) * mass * 1.000_001);
            prop_assert!(weight(chosen) >= f64::from(min_p));
        }

        #[test]
        fn any_settings_and_logits_give_a_token(
            mut logits in prop::collection::vec(prop_oneof![-1e30f32..1e30, -5f32..5.0], 1..50),
            temperature in prop_oneof![Just(0.0f32), Just(1e-38), 0f32..10.0, Just(f32::MAX)],
            repetition_penalty in prop_oneof![Just(1e-38f32), 0.5f32..2.0, Just(f32::MAX)],
            frequency_penalty in prop_oneof![-2f32..2.0, Just(f32::MAX), Just(f32::MIN)],
            presence_penalty in prop_oneof![-2f32..2.0, Just(f32::MAX), Just(f32::MIN)],
            history in prop::collection::vec(0u32..60, 0..100),
            seed in any::<u64>(),
        ) {
            let settings =
                Sampling { temperature, repetition_penalty, frequency_penalty, presence_penalty, top_p: 0.9, ..Sampling::default() };
            let mut sampler = Sampler::new(settings, seed, Arc::from([]));
            prop_assert!(sampler.pick(&mut logits, &history, 0, None).is_some());
        }
    }
}
