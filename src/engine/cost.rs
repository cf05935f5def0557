//! What a step costs, learned from the steps that were taken: a fixed part (all weights are read), a part for each
//! token, and a part for each pair of a token and one that it attends to. Arithmetic alone: times are passed in.

use std::time::Duration;

/// The parts that are learned: a step, a token of the first few, a token of the others, a pair.
const PARTS: usize = 4;

/// Kernels gain from many rows at once, so that the first tokens of a step cost more than those after them.
const FEW: usize = 16;

/// Pairs are counted in a unit in which all parts are of like size.
const PAIR_UNIT: f64 = 16_384.0;

/// How far the first steps may move the estimate.
const UNCERTAINTY: f64 = 1e4;

/// What a step's time scatters by, as a share of it.
const NOISE: f64 = 0.1;

/// How far a part wanders from one step to the next, as a share of it: machines get busy, warm and free again.
const DRIFT: f64 = 0.003;

/// The size of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Load {
    /// Tokens computed.
    pub(crate) tokens: usize,
    /// Sum, over these tokens, of the tokens they attend to.
    pub(crate) pairs: usize,
}

impl Load {
    /// `count` tokens of one sequence from a position on.
    pub(crate) fn of(position: usize, count: usize) -> Self {
        Self { tokens: count, pairs: count * position + count * (count + 1) / 2 }
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { tokens: self.tokens + other.tokens, pairs: self.pairs + other.pairs }
    }

    fn features(self) -> [f64; PARTS] {
        let few = self.tokens.min(FEW);
        [1.0, few as f64 / FEW as f64, (self.tokens - few) as f64 / FEW as f64, self.pairs as f64 / PAIR_UNIT]
    }
}

/// The estimate: a Kalman filter for parts that wander slowly (Kalman, "A New Approach to Linear Filtering and
/// Prediction Problems", 1960), each step weighed by its own length, so that short steps count as much as long ones.
#[derive(Debug)]
pub(crate) struct Cost {
    /// Seconds for one of each feature.
    weights: [f64; PARTS],
    covariance: [[f64; PARTS]; PARTS],
    /// Tokens of the largest step.
    largest: usize,
}

impl Default for Cost {
    fn default() -> Self {
        let mut covariance = [[0.0; PARTS]; PARTS];
        (0..PARTS).for_each(|at| covariance[at][at] = UNCERTAINTY);
        Self { weights: [0.0; PARTS], covariance, largest: 0 }
    }
}

impl Cost {
    /// A step of this size took so long.
    pub(crate) fn learn(&mut self, work: Load, took: Duration) {
        if work.tokens == 0 {
            return;
        }
        let took = took.as_secs_f64().max(1e-6);
        // Relative errors are what counts: everything is divided by the time.
        let features = work.features().map(|feature| feature / took);
        let direction = self.covariance.map(|row| dot(&row, &features));
        let scale = 1.0 / (NOISE * NOISE + dot(&features, &direction));
        let error = 1.0 - dot(&self.weights, &features);
        for (weight, direction) in self.weights.iter_mut().zip(direction) {
            *weight += direction * scale * error;
        }
        for (row, line) in self.covariance.iter_mut().enumerate() {
            for (column, value) in line.iter_mut().enumerate() {
                *value -= direction[row] * direction[column] * scale;
            }
        }
        // A part of which nothing is known yet wanders like a small one.
        let least = 0.01 * self.weights.iter().fold(0.0f64, |most, weight| most.max(weight.abs()));
        for (at, weight) in self.weights.iter().enumerate() {
            self.covariance[at][at] += (DRIFT * weight.abs().max(least)).powi(2);
        }
        self.largest = self.largest.max(work.tokens);
        if !self.weights.iter().chain(self.covariance.iter().flatten()).all(|number| number.is_finite()) {
            *self = Self::default();
        }
    }

    /// How long a step of this size takes, in seconds; `None` before anything was measured.
    pub(crate) fn seconds(&self, work: Load) -> Option<f64> {
        (self.largest > 0).then(|| dot(&self.weights.map(|weight| weight.max(0.0)), &work.features()))
    }

    /// The most tokens, of at most `most`, that keep a step below a time, `load` being the size of a step with so many;
    /// and no more than come next to the largest step so far: beyond that the estimate is a guess. Unknown before anything
    /// was measured.
    pub(crate) fn tokens_within(
        &self,
        seconds: f64,
        most: usize,
        grain: Grain,
        load: impl Fn(usize) -> Load,
    ) -> Option<usize> {
        self.seconds(load(0))?;
        // The time grows with the tokens, so halving finds the last that fits.
        let fits = |count: usize| self.seconds(load(count)).is_some_and(|time| time <= seconds);
        let (mut low, mut high) = (0, most.min(grain.next(self.largest)) + 1);
        while low + 1 < high {
            let middle = usize::midpoint(low, high);
            if fits(middle) { low = middle } else { high = middle }
        }
        Some(low)
    }
}

/// The numbers of tokens that a step computes without waste: kernels take so many rows at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grain {
    /// Rows that cost hardly more than one of them.
    pub(crate) few: usize,
    /// Where steps are computed in large blocks from one block on, each by one thread: the rows of a block, and how many
    /// threads there are.
    pub(crate) blocks: Option<(usize, usize)>,
}

impl Grain {
    /// Every number of tokens is as good as any other.
    pub(crate) const FINE: Self = Self { few: 1, blocks: None };

    /// How large a step may be after the largest one: twice as large, or one block for each thread where that would not fill
    /// them.
    fn next(self, largest: usize) -> usize {
        match self.blocks {
            Some((rows, threads)) if (rows..rows * threads).contains(&(2 * largest)) => rows * threads,
            _ => 2 * largest,
        }
    }

    /// A number of tokens near this one, of which each costs little.
    pub(crate) fn round(self, tokens: usize) -> usize {
        let mut most = usize::MAX;
        if let Some((rows, threads)) = self.blocks {
            let whole = rows * threads;
            if tokens >= whole {
                return tokens - tokens % whole;
            }
            // A block for some of the threads takes as long as one for each of them.
            most = rows - 1;
        }
        let near = (tokens + self.few / 2).min(most);
        let near = near - near % self.few;
        if near > 0 { near } else { tokens }
    }
}

fn dot(a: &[f64; PARTS], b: &[f64; PARTS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A machine whose steps cost what the model says.
    fn time(work: Load, [fixed, token, pair]: [f64; 3]) -> Duration {
        Duration::from_secs_f64(fixed + token * work.tokens as f64 + pair * work.pairs as f64)
    }

    #[test]
    fn steps_have_as_many_tokens_as_kernels_like() {
        let grain = Grain { few: 4, blocks: Some((32, 2)) };
        let rounded = |tokens| grain.round(tokens);
        assert_eq!([1, 2, 5, 6, 13, 14].map(rounded), [1, 4, 4, 8, 12, 16]);
        assert_eq!([31, 32, 63, 64, 127, 128].map(rounded), [28, 28, 28, 64, 64, 128]);
        assert_eq!([1, 2, 33, 64].map(|tokens| Grain::FINE.round(tokens)), [1, 2, 33, 64]);
    }

    #[test]
    fn work_counts_what_each_token_attends_to() {
        assert_eq!(Load::of(0, 3), Load { tokens: 3, pairs: 1 + 2 + 3 });
        assert_eq!(Load::of(10, 2), Load { tokens: 2, pairs: 11 + 12 });
        assert_eq!(Load::of(0, 3).and(Load::of(3, 2)), Load::of(0, 5));
    }

    #[test]
    fn nothing_is_known_before_the_first_step() {
        let cost = Cost::default();
        assert_eq!(cost.seconds(Load::of(0, 1)), None);
        assert_eq!(cost.tokens_within(1.0, 10, Grain::FINE, |count| Load::of(0, count)), None);
    }

    /// What is known of a machine that has read a few prompts and spoken for a long time.
    fn after_many_equal_steps(machine: [f64; 3]) -> Cost {
        let mut cost = Cost::default();
        for length in [64, 128, 7, 30] {
            cost.learn(Load::of(100, length), time(Load::of(100, length), machine));
        }
        for position in 0..5_000 {
            cost.learn(Load::of(position, 1), time(Load::of(position, 1), machine));
        }
        cost
    }

    #[test]
    fn many_equal_steps_do_not_spoil_the_estimate() {
        let machine = [0.05, 0.02, 1e-6];
        let mut cost = after_many_equal_steps(machine);
        cost.learn(Load::of(0, 64), time(Load::of(0, 64), machine));
        let seconds = cost.seconds(Load::of(0, 128)).expect("it has learned");
        let expected = time(Load::of(0, 128), machine).as_secs_f64();
        assert!((seconds / expected - 1.0).abs() < 0.2, "{seconds} {expected}");
    }

    #[test]
    fn a_machine_that_changes_after_many_equal_steps_is_learned_anew() {
        for factor in [0.4, 3.0] {
            let machine = [0.05, 0.02, 1e-6];
            let mut cost = after_many_equal_steps(machine);
            let machine = machine.map(|part| part * factor);
            for step in 0..100 {
                let load = Load::of(300, if step % 3 == 0 { 1 } else { 5 + step % 8 });
                cost.learn(load, time(load, machine));
            }
            for count in [1, 8] {
                let seconds = cost.seconds(Load::of(300, count)).expect("it has learned");
                let expected = time(Load::of(300, count), machine).as_secs_f64();
                assert!((seconds / expected - 1.0).abs() < 0.15, "{seconds} {expected} with {count}");
            }
        }
    }

    #[test]
    fn a_kernel_that_gains_from_many_rows_is_learned() {
        let seconds =
            |tokens: usize| 0.04 + 0.017 * tokens.min(FEW) as f64 + 0.006 * tokens.saturating_sub(FEW) as f64;
        let mut cost = Cost::default();
        for tokens in (0..200).map(|step| [1, 4, 200, 8, 60][step % 5]) {
            cost.learn(Load { tokens, pairs: 0 }, Duration::from_secs_f64(seconds(tokens)));
        }
        for tokens in [1, 6, 100] {
            let learned = cost.seconds(Load { tokens, pairs: 0 }).expect("it has learned");
            assert!((learned / seconds(tokens) - 1.0).abs() < 0.05, "{learned} with {tokens}");
        }
    }

    #[test]
    fn a_step_that_was_disturbed_or_empty_changes_little() {
        let machine = [0.05, 0.02, 1e-6];
        let mut cost = Cost::default();
        for count in (1..200).map(|number| 1 + number * 7 % 64) {
            cost.learn(Load::of(100, count), time(Load::of(100, count), machine));
        }
        cost.learn(Load::of(100, 1), Duration::from_secs(5));
        cost.learn(Load::default(), Duration::from_micros(1));
        for count in [1, 20, 60] {
            let seconds = cost.seconds(Load::of(100, count)).expect("it has learned");
            let expected = time(Load::of(100, count), machine).as_secs_f64();
            assert!((seconds / expected - 1.0).abs() < 0.1, "{seconds} {expected}");
        }
    }

    #[test]
    fn steps_grow_by_and_by() {
        let mut cost = Cost::default();
        cost.learn(Load::of(0, 4), Duration::from_micros(10));
        assert_eq!(cost.tokens_within(1.0, 512, Grain::FINE, |count| Load::of(0, count)), Some(8));
        let grain = Grain { few: 4, blocks: Some((8, 4)) };
        assert_eq!(cost.tokens_within(1.0, 512, grain, |count| Load::of(0, count)), Some(32));
    }

    proptest! {
        #[test]
        fn a_machine_that_keeps_to_the_model_is_learned(
            fixed in 0.001f64..0.2,
            token in 0.0001f64..0.05,
            pair in 0.0f64..1e-5,
            steps in prop::collection::vec((0usize..2_000, 1usize..256), 12..60),
        ) {
            let machine = [fixed, token, pair];
            let mut cost = Cost::default();
            for &(position, count) in &steps {
                cost.learn(Load::of(position, count), time(Load::of(position, count), machine));
            }
            for &(position, count) in &steps {
                let seconds = cost.seconds(Load::of(position, count)).expect("it has learned");
                let expected = time(Load::of(position, count), machine).as_secs_f64();
                prop_assert!((seconds / expected - 1.0).abs() < 0.15, "{} {}", seconds, expected);
            }
        }

        #[test]
        fn what_fits_within_a_time_fits_and_one_more_does_not(
            fixed in 0.001f64..0.2, token in 0.001f64..0.05, limit in 0.01f64..1.0, position in 0usize..1_000,
        ) {
            let token = token * FEW as f64;
            let weights = [fixed, token, token / 2.0, 1e-7 * PAIR_UNIT];
            let cost = Cost { weights, largest: 256, ..Cost::default() };
            let beside = Load::of(50, 1);
            let load = |count| beside.and(Load::of(position, count));
            let count = cost.tokens_within(limit, 256, Grain::FINE, load).expect("it has learned");
            let seconds = |count| cost.seconds(load(count)).expect("it has learned");
            prop_assert!(count == 0 || seconds(count) <= limit);
            prop_assert!(count == 256 || seconds(count + 1) > limit);
        }
    }
}
