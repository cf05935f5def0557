//! Keys and values in pages, and the attention over them. [`Slabs`] is the fast way on CPUs; [`Tensors`] is made of
//! candle's operations, runs on any device, and is what faster ways are compared with.

mod slabs;
mod tensors;

use candle_core::{Result, Tensor};

pub(crate) use slabs::Slabs;
pub(crate) use tensors::Tensors;

use super::scheduler::{PageCopy, Span};

/// The keys and values of all layers, in f16. N is the number of tokens of a step.
pub(crate) trait Attention: Send {
    /// Gets ready for a step with these spans.
    fn begin(&mut self, spans: &[Span]) -> Result<()>;

    /// Keeps the keys and values `[N, kv_heads, width]` of a step's spans, and gives what the queries
    /// `[N, heads, width]` see of the keys and values of their own and all earlier positions: `[N, heads * width]`.
    fn attend(&mut self, layer: usize, q: &Tensor, k: &Tensor, v: &Tensor, spans: &[Span]) -> Result<Tensor>;

    /// Copies the beginning of a page, in all layers.
    fn copy(&mut self, copy: PageCopy) -> Result<()>;
}

/// The numbers that make the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KvShape {
    pub(crate) layers: usize,
    /// Query heads; `kv_heads` divides them.
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    /// Width of a head.
    pub(crate) width: usize,
    pub(crate) pages: usize,
}

impl KvShape {
    /// Query heads that share a key-value head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// What queries are divided by before the softmax.
    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

    use super::super::pages::{PAGE, Page, Pages};
    use super::*;

    /// Both ways side by side, and numbers for them.
    struct Pair {
        shape: KvShape,
        slabs: Slabs,
        tensors: Tensors,
        random: ChaCha8Rng,
    }

    impl Pair {
        fn new(heads: usize, kv_heads: usize, width: usize, pages: usize, seed: u64) -> Self {
            let shape = KvShape { layers: 2, heads, kv_heads, width, pages };
            Self {
                shape,
                slabs: Slabs::new(shape),
                tensors: Tensors::new(shape, &Device::Cpu).expect("there is memory"),
                random: ChaCha8Rng::seed_from_u64(seed),
            }
        }

        fn numbers(&mut self, rows: usize, heads: usize) -> Tensor {
            let width = self.shape.width;
            let mut number = || (self.random.next_u32() as f32 / u32::MAX as f32 - 0.5) * 4.0;
            let numbers: Vec<f32> = (0..rows * heads * width).map(|_| number()).collect();
            Tensor::from_vec(numbers, (rows, heads, width), &Device::Cpu).expect("the numbers fit")
        }

        /// A step in all layers. Both ways see the same.
        fn step(&mut self, spans: &[Span]) {
            let rows = spans.iter().map(|span| span.ids.len()).sum();
            let KvShape { layers, heads, kv_heads, .. } = self.shape;
            self.tensors.begin(spans).expect("it can be computed");
            for layer in 0..layers {
                let (q, k, v) =
                    (self.numbers(rows, heads), self.numbers(rows, kv_heads), self.numbers(rows, kv_heads));
                let fast = self.slabs.attend(layer, &q, &k, &v, spans).expect("it can be computed");
                let reference = self.tensors.attend(layer, &q, &k, &v, spans).expect("it can be computed");
                assert_eq!(fast.dims(), reference.dims());
                let numbers = |tensor: Tensor| tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
                let (fast, reference) =
                    (numbers(fast).expect("numbers"), numbers(reference).expect("numbers"));
                for (at, (fast, reference)) in fast.iter().zip(&reference).enumerate() {
                    assert!((fast - reference).abs() < 1e-4, "{fast} {reference} at {at} of layer {layer}");
                }
            }
        }

        fn copy(&mut self, copy: PageCopy) {
            self.slabs.copy(copy).expect("it can be copied");
            self.tensors.copy(copy).expect("it can be copied");
        }
    }

    /// Pages in an order of their own.
    fn pages(count: usize, order: usize) -> Vec<Page> {
        let mut all = Pages::new(count);
        let mut taken: Vec<Page> = std::iter::from_fn(|| all.take()).collect();
        taken.rotate_left(order % count);
        taken.reverse();
        taken
    }

    fn span(start: usize, count: usize, pages: &[Page]) -> Span {
        Span { key: 0, start, ids: vec![0; count], pages: pages.to_vec(), chooses: false }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn slabs_see_what_tensors_see(
            (heads, kv_heads) in prop::sample::select(vec![(4, 2), (3, 3), (8, 1), (2, 2)]),
            width in prop::sample::select(vec![2usize, 16, 20, 64]),
            first in 1usize..400,
            second in 1usize..40,
            copied in 1usize..PAGE,
            seed in any::<u64>(),
        ) {
            let mut pair = Pair::new(heads, kv_heads, width, 20, seed);
            let pages = pages(20, usize::try_from(seed % 20).expect("small"));
            let (mine, other) = pages.split_at(14);
            pair.step(&[span(0, first, mine)]);
            // Two texts at a time, one of which goes on.
            pair.step(&[span(first, 1, mine), span(0, second, other)]);
            pair.step(&[span(first + 1, 3, mine), span(second, 1, other)]);
            // A third one shares the beginning of the first one's first page.
            let copied = copied.min(first);
            pair.copy(PageCopy { from: mine[0], to: other[5], tokens: copied });
            pair.step(&[span(copied, 5, &[other[5], other[4]]), span(first + 4, 1, mine)]);
        }
    }

    #[test]
    fn a_panic_on_a_thread_of_the_pool_is_an_error_and_the_pool_goes_on() {
        let mut pair = Pair::new(8, 2, 64, 20, 1);
        // The keys of the beginning lie on a page that there is not.
        let mut wrong = pages(40, 0);
        wrong.sort();
        wrong.rotate_right(1);
        let (q, k, v) = (pair.numbers(1, 8), pair.numbers(1, 2), pair.numbers(1, 2));
        let error = pair.slabs.attend(0, &q, &k, &v, &[span(600, 1, &wrong)]).expect_err("it panics");
        assert!(error.to_string().contains("the attention panicked"), "{error}");
        pair.step(&[span(0, 500, &pages(20, 0))]);
    }

    #[test]
    fn much_work_is_shared_between_threads() {
        let mut pair = Pair::new(8, 2, 64, 20, 1);
        let pages = pages(20, 0);
        pair.step(&[span(0, 500, &pages)]);
        pair.step(&[span(500, 1, &pages)]);
    }
}
