//! What a step costs, learned from the steps that were taken: a fixed part (all weights are read), a part for each
//! token, and a part for each pair of a token and one that it attends to. Arithmetic alone: times are passed in.

use std::time::Duration;

/// Share of what is known that each step leaves: about the last hundred count.
const MEMORY: f64 = 0.99;

/// How far the first steps may move the estimate.
const UNCERTAINTY: f64 = 1e4;

/// Tokens and pairs are counted in units in which the three parts are of like size.
const TOKEN_UNIT: f64 = 16.0;
const PAIR_UNIT: f64 = 16_384.0;

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

    fn features(self) -> [f64; 3] {
        [1.0, self.tokens as f64 / TOKEN_UNIT, self.pairs as f64 / PAIR_UNIT]
    }
}

/// The estimate: recursive least squares with exponential forgetting (Haykin, "Adaptive Filter Theory", chapter on
/// RLS), each step weighed by its own length, so that short steps count as much as long ones.
#[derive(Debug)]
pub(crate) struct Cost {
    weights: [f64; 3],
    covariance: [[f64; 3]; 3],
    /// Tokens of the largest step.
    largest: usize,
}

impl Default for Cost {
    fn default() -> Self {
        let mut covariance = [[0.0; 3]; 3];
        (0..3).for_each(|at| covariance[at][at] = UNCERTAINTY);
        Self { weights: [0.0; 3], covariance, largest: 0 }
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
        let mut direction = [0.0; 3];
        for (row, value) in self.covariance.iter().zip(&mut direction) {
            *value = dot(row, &features);
        }
        let scale = 1.0 / (MEMORY + dot(&features, &direction));
        let error = 1.0 - dot(&self.weights, &features);
        for (weight, direction) in self.weights.iter_mut().zip(direction) {
            *weight += direction * scale * error;
        }
        let before = self.covariance;
        for (row, line) in self.covariance.iter_mut().enumerate() {
            for (column, value) in line.iter_mut().enumerate() {
                *value = (before[row][column] - direction[row] * direction[column] * scale) / MEMORY;
            }
        }
        // Steps that are all alike leave two of the three directions unknown; their uncertainty must not grow for ever.
        let trace: f64 = (0..3).map(|at| self.covariance[at][at]).sum();
        let shrink = (3.0 * UNCERTAINTY / trace).min(1.0);
        self.covariance.iter_mut().flatten().for_each(|value| *value *= shrink);
        self.largest = self.largest.max(work.tokens);
        if !self.weights.iter().chain(self.covariance.iter().flatten()).all(|number| number.is_finite()) {
            *self = Self { largest: self.largest, ..Self::default() };
        }
    }

    /// How long a step of this size takes, in seconds; `None` before anything was measured.
    pub(crate) fn seconds(&self, work: Load) -> Option<f64> {
        (self.largest > 0).then(|| dot(&self.weights.map(|weight| weight.max(0.0)), &work.features()))
    }

    /// The most tokens of one sequence, from a position on, that keep a step with `beside` below a time, and at most
    /// twice as many as a step had so far: beyond that the estimate is a guess. Unknown before anything was measured.
    pub(crate) fn tokens_within(
        &self,
        seconds: f64,
        beside: Load,
        position: usize,
        most: usize,
    ) -> Option<usize> {
        self.seconds(beside)?;
        // The time grows with the tokens, so halving finds the last that fits.
        let fits = |count: usize| {
            self.seconds(beside.and(Load::of(position, count))).is_some_and(|time| time <= seconds)
        };
        let (mut low, mut high) = (0, most.min(2 * self.largest) + 1);
        while low + 1 < high {
            let middle = usize::midpoint(low, high);
            if fits(middle) { low = middle } else { high = middle }
        }
        Some(low)
    }
}

fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
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
    fn work_counts_what_each_token_attends_to() {
        assert_eq!(Load::of(0, 3), Load { tokens: 3, pairs: 1 + 2 + 3 });
        assert_eq!(Load::of(10, 2), Load { tokens: 2, pairs: 11 + 12 });
        assert_eq!(Load::of(0, 3).and(Load::of(3, 2)), Load::of(0, 5));
    }

    #[test]
    fn nothing_is_known_before_the_first_step() {
        let cost = Cost::default();
        assert_eq!(cost.seconds(Load::of(0, 1)), None);
        assert_eq!(cost.tokens_within(1.0, Load::default(), 0, 10), None);
    }

    #[test]
    fn many_equal_steps_do_not_spoil_the_estimate() {
        let machine = [0.05, 0.02, 1e-6];
        let mut cost = Cost::default();
        for length in [64, 128, 7, 30] {
            cost.learn(Load::of(100, length), time(Load::of(100, length), machine));
        }
        for position in 0..5_000 {
            cost.learn(Load::of(position, 1), time(Load::of(position, 1), machine));
        }
        cost.learn(Load::of(0, 64), time(Load::of(0, 64), machine));
        let seconds = cost.seconds(Load::of(0, 128)).expect("it has learned");
        let expected = time(Load::of(0, 128), machine).as_secs_f64();
        assert!((seconds / expected - 1.0).abs() < 0.2, "{seconds} {expected}");
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
        assert_eq!(cost.tokens_within(1.0, Load::default(), 0, 512), Some(8));
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
            let weights = [fixed, token * TOKEN_UNIT, 1e-7 * PAIR_UNIT];
            let cost = Cost { weights, largest: 256, ..Cost::default() };
            let beside = Load::of(50, 1);
            let count = cost.tokens_within(limit, beside, position, 256).expect("it has learned");
            let seconds = |count| cost.seconds(beside.and(Load::of(position, count))).expect("it has learned");
            prop_assert!(count == 0 || seconds(count) <= limit);
            prop_assert!(count == 256 || seconds(count + 1) > limit);
        }
    }
}
