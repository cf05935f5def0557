//! Keys and values in pages, and the attention over them. [`Slabs`] is the fast way on CPUs; [`Tensors`] is made of
//! candle's operations, runs on any device, and is what faster ways are compared with.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{CpuStorage, D, DType, Device, Result, Storage, Tensor, bail};
use half::f16;
use half::slice::{HalfBitsSliceExt as _, HalfFloatSliceExt as _};
use multiversion::multiversion;

use super::pages::PAGE;
use super::scheduler::{PageCopy, Span};

/// Tokens whose queries one task of the pool handles: enough to use a page that was widened to f32 many times.
const QUERY_BLOCK: usize = 16;

/// With fewer multiplications than this a step is done before other threads have woken up.
const WORTH_SHARING: usize = 200_000;

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

/// Memory of the process, laid out `[page][kv_head][token][width]` for each layer, so that a head reads pages without
/// gaps. It becomes resident only where it is used.
pub(crate) struct Slabs {
    shape: KvShape,
    keys: Vec<Vec<u16>>,
    values: Vec<Vec<u16>>,
}

impl Slabs {
    pub(crate) fn new(shape: KvShape) -> Self {
        let slab = || vec![0u16; shape.pages * shape.kv_heads * PAGE * shape.width];
        let slabs = || (0..shape.layers).map(|_| slab()).collect();
        Self { shape, keys: slabs(), values: slabs() }
    }

    /// Where the token's keys and values of a head begin.
    fn offset(&self, span: &Span, head: usize, position: usize) -> usize {
        let page = span.pages[position / PAGE].index();
        ((page * self.shape.kv_heads + head) * PAGE + position % PAGE) * self.shape.width
    }

    fn store(&mut self, layer: usize, k: &[f32], v: &[f32], spans: &[Span]) {
        let KvShape { kv_heads, width, .. } = self.shape;
        let mut rows = k.chunks_exact(width).zip(v.chunks_exact(width));
        for span in spans {
            for position in span.start..span.end() {
                for (head, (key, value)) in (0..kv_heads).zip(&mut rows) {
                    let at = self.offset(span, head, position);
                    let keys = &mut self.keys[layer][at..at + width];
                    keys.reinterpret_cast_mut::<f16>().convert_from_f32_slice(key);
                    let values = &mut self.values[layer][at..at + width];
                    values.reinterpret_cast_mut::<f16>().convert_from_f32_slice(value);
                }
            }
        }
    }

    /// A page's keys and values of a head, the first `count` tokens.
    fn tile(&self, layer: usize, span: &Span, head: usize, page: usize, count: usize) -> (&[f16], &[f16]) {
        let at = self.offset(span, head, page * PAGE);
        let range = at..at + count * self.shape.width;
        (self.keys[layer][range.clone()].reinterpret_cast(), self.values[layer][range].reinterpret_cast())
    }

    /// What the queries of a block see. `out` is `[tokens of the block][group][width]`.
    fn attend_block(&self, layer: usize, q: &[f32], block: &QueryBlock, out: &mut [f32]) {
        let KvShape { heads, width, .. } = self.shape;
        let group = self.shape.group();
        let mut queries = vec![0.0; block.count * group * width];
        for (token, queries) in queries.chunks_exact_mut(group * width).enumerate() {
            let at = ((block.first_row + token) * heads + block.head * group) * width;
            for (scaled, value) in queries.iter_mut().zip(&q[at..]) {
                *scaled = value * self.shape.scale();
            }
        }
        let row = |number: usize| Row {
            visible: block.position + number / group + 1,
            greatest: f32::NEG_INFINITY,
            sum: 0.0,
        };
        let mut rows: Vec<Row> = (0..block.count * group).map(row).collect();
        let end = block.position + block.count;
        let (mut keys, mut values) = (vec![0.0; PAGE * width], vec![0.0; PAGE * width]);
        for page in 0..end.div_ceil(PAGE) {
            let start = page * PAGE;
            let count = PAGE.min(end - start);
            let (page_keys, page_values) = self.tile(layer, block.span, block.head, page, count);
            let (keys, values) = (&mut keys[..count * width], &mut values[..count * width]);
            page_keys.convert_to_f32_slice(keys);
            page_values.convert_to_f32_slice(values);
            see_page(&mut rows, &queries, start, keys, values, width, out);
        }
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(width)) {
            for value in out {
                *value /= row.sum;
            }
        }
    }
}

impl Attention for Slabs {
    fn begin(&mut self, _spans: &[Span]) -> Result<()> {
        Ok(())
    }

    fn attend(&mut self, layer: usize, q: &Tensor, k: &Tensor, v: &Tensor, spans: &[Span]) -> Result<Tensor> {
        with_numbers(k, |k| with_numbers(v, |v| self.store(layer, k, v, spans)))??;
        let KvShape { heads, kv_heads, width, .. } = self.shape;
        let group = self.shape.group();
        let rows: usize = spans.iter().map(|span| span.ids.len()).sum();
        let mut out = vec![0.0f32; rows * heads * width];
        let mut rest = out.as_mut_slice();
        let mut blocks = Vec::new();
        let mut work = 0;
        for head in 0..kv_heads {
            let mut first_row = 0;
            for span in spans {
                for offset in (0..span.ids.len()).step_by(QUERY_BLOCK) {
                    let count = QUERY_BLOCK.min(span.ids.len() - offset);
                    let position = span.start + offset;
                    let (mine, others) = rest.split_at_mut(count * group * width);
                    rest = others;
                    work += count * (position + count) * group * width;
                    let block = QueryBlock { span, head, first_row: first_row + offset, position, count };
                    blocks.push((block, Mutex::new(mine)));
                }
                first_row += span.ids.len();
            }
        }
        let panicked = AtomicBool::new(false);
        let this = &*self;
        with_numbers(q, |q| {
            let run = |range: std::ops::Range<usize>| {
                for (block, out) in &blocks[range] {
                    // A panic on a thread of candle's pool would end all of its work for ever.
                    let done = catch_unwind(AssertUnwindSafe(|| {
                        if let Ok(mut out) = out.lock() {
                            this.attend_block(layer, q, block, &mut out);
                        }
                    }));
                    panicked.fetch_or(done.is_err(), Ordering::Relaxed);
                }
            };
            if work < WORTH_SHARING {
                run(0..blocks.len());
            } else {
                candle_core::utils::barrier_pool().execute_chunked(blocks.len(), run);
            }
        })?;
        drop(blocks);
        if panicked.into_inner() {
            bail!("the attention panicked");
        }
        // From `[kv_heads, N, group, width]`.
        Tensor::from_vec(out, (kv_heads, rows, group * width), &Device::Cpu)?
            .transpose(0, 1)?
            .reshape((rows, heads * width))
    }

    fn copy(&mut self, copy: PageCopy) -> Result<()> {
        let KvShape { kv_heads, width, .. } = self.shape;
        for slab in self.keys.iter_mut().chain(&mut self.values) {
            for head in 0..kv_heads {
                let at = |page: usize| (page * kv_heads + head) * PAGE * width;
                let from = at(copy.from.index());
                slab.copy_within(from..from + copy.tokens * width, at(copy.to.index()));
            }
        }
        Ok(())
    }
}

/// Queries of neighbouring tokens of a span, for one key-value head.
struct QueryBlock<'a> {
    span: &'a Span,
    head: usize,
    /// Row of the first token in the step.
    first_row: usize,
    /// Position of the first token in its text.
    position: usize,
    count: usize,
}

/// The softmax of a query so far.
struct Row {
    /// Number of tokens that it sees.
    visible: usize,
    greatest: f32,
    sum: f32,
}

/// Lets the queries see one page more: the online softmax (Milakov and Gimelshein, "Online normalizer calculation for
/// softmax", 2018). `queries` are scaled, `[rows][width]`; `keys` and `values` are `[tokens][width]`, of the positions
/// from `start` on; `out` collects the values, not yet divided by the sum.
#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn see_page(
    rows: &mut [Row],
    queries: &[f32],
    start: usize,
    keys: &[f32],
    values: &[f32],
    width: usize,
    out: &mut [f32],
) {
    let mut scores = [0.0f32; PAGE];
    let queries = queries.chunks_exact(width);
    for ((row, query), out) in rows.iter_mut().zip(queries).zip(out.chunks_exact_mut(width)) {
        let visible = row.visible.saturating_sub(start).min(keys.len() / width);
        if visible == 0 {
            continue;
        }
        let mut greatest = row.greatest;
        for (score, key) in scores[..visible].iter_mut().zip(keys.chunks_exact(width)) {
            *score = dot(query, key);
            greatest = greatest.max(*score);
        }
        let shrink = (row.greatest - greatest).exp();
        row.greatest = greatest;
        row.sum *= shrink;
        for value in out.iter_mut() {
            *value *= shrink;
        }
        for (score, values) in scores[..visible].iter().zip(values.chunks_exact(width)) {
            let weight = (score - greatest).exp();
            row.sum += weight;
            for (out, value) in out.iter_mut().zip(values) {
                *out += weight * value;
            }
        }
    }
}

/// A dot product in as many partial sums as a wide register has numbers.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "it must be compiled for the processor that its caller is compiled for"
)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (mut a_parts, mut b_parts) = (a.chunks_exact(16), b.chunks_exact(16));
    for (a, b) in (&mut a_parts).zip(&mut b_parts) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_parts.remainder().iter().zip(b_parts.remainder()).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// Calls `f` with the numbers of a tensor in f32 that lies in the process's memory without gaps.
fn with_numbers<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(CpuStorage::F32(numbers)) = &*storage else { bail!("numbers are not f32 on the CPU") };
    let start = layout.start_offset();
    Ok(f(&numbers[start..start + layout.shape().elem_count()]))
}

/// Tensors `[pages * PAGE, kv_heads * width]` for each layer, on any device.
pub(crate) struct Tensors {
    shape: KvShape,
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
    device: Device,
    /// Where the step's new keys and values go, `[N, kv_heads * width]`.
    new_slots: Option<Tensor>,
    /// For each span where all of its keys and values lie, `[end]`, and which of them its tokens do not see,
    /// `[count, end]`.
    views: Vec<(Tensor, Tensor)>,
}

impl Tensors {
    pub(crate) fn new(shape: KvShape, device: &Device) -> Result<Self> {
        let slab = || Tensor::zeros((shape.pages * PAGE, shape.kv_heads * shape.width), DType::F16, device);
        let slabs = || (0..shape.layers).map(|_| slab()).collect::<Result<Vec<_>>>();
        let (device, new_slots, views) = (device.clone(), None, Vec::new());
        Ok(Self { shape, keys: slabs()?, values: slabs()?, device, new_slots, views })
    }

    /// The rows of the first `count` tokens of a span.
    fn slots(span: &Span, count: usize) -> Result<Vec<u32>> {
        let slot = |position: usize| span.pages[position / PAGE].index() * PAGE + position % PAGE;
        let slots = (0..count).map(|position| u32::try_from(slot(position)));
        slots.collect::<std::result::Result<_, _>>().map_err(candle_core::Error::wrap)
    }

    /// What a span's queries `[count, heads, width]` see, as `[count, heads * width]`.
    fn attend_span(&self, layer: usize, q: &Tensor, (slots, mask): &(Tensor, Tensor)) -> Result<Tensor> {
        let KvShape { heads, kv_heads, width, .. } = self.shape;
        let (group, (count, end)) = (self.shape.group(), mask.dims2()?);
        // `[kv_heads, end, width]`
        let gather = |slab: &Tensor| {
            slab.index_select(slots, 0)?
                .to_dtype(DType::F32)?
                .reshape((end, kv_heads, width))?
                .transpose(0, 1)?
                .contiguous()
        };
        let (keys, values) = (gather(&self.keys[layer])?, gather(&self.values[layer])?);
        let q = q.reshape((count, kv_heads, group, width))?.permute((1, 2, 0, 3))?;
        let q = q.reshape((kv_heads, group * count, width))?;
        let scores = (q.matmul(&keys.transpose(1, 2)?.contiguous()?)? * f64::from(self.shape.scale()))?;
        let scores = scores.reshape((kv_heads, group, count, end))?.broadcast_add(mask)?;
        let weights = candle_nn::ops::softmax(&scores, D::Minus1)?.reshape((kv_heads, group * count, end))?;
        let seen = weights.matmul(&values)?.reshape((kv_heads, group, count, width))?;
        seen.permute((2, 0, 1, 3))?.reshape((count, heads * width))
    }
}

impl Attention for Tensors {
    fn begin(&mut self, spans: &[Span]) -> Result<()> {
        let columns = self.shape.kv_heads * self.shape.width;
        let mut new_slots = Vec::new();
        self.views.clear();
        for span in spans {
            let (count, end) = (span.ids.len(), span.end());
            let slots = Self::slots(span, end)?;
            new_slots.extend_from_slice(&slots[span.start..]);
            let hidden = |row: usize, position: usize| {
                if position <= span.start + row { 0.0 } else { f32::NEG_INFINITY }
            };
            let mask = (0..count).flat_map(|row| (0..end).map(move |position| hidden(row, position)));
            let mask = Tensor::from_vec(mask.collect::<Vec<f32>>(), (count, end), &self.device)?;
            self.views.push((Tensor::from_vec(slots, end, &self.device)?, mask));
        }
        let rows = new_slots.len();
        let new_slots = Tensor::from_vec(new_slots, (rows, 1), &self.device)?;
        self.new_slots = Some(new_slots.broadcast_as((rows, columns))?.contiguous()?);
        Ok(())
    }

    fn attend(
        &mut self,
        layer: usize,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _spans: &[Span],
    ) -> Result<Tensor> {
        let Some(new_slots) = &self.new_slots else { bail!("the step was not begun") };
        for (slab, new) in [(&self.keys[layer], k), (&self.values[layer], v)] {
            slab.scatter_set(new_slots, &new.reshape(new_slots.dims())?.to_dtype(DType::F16)?, 0)?;
        }
        let mut first = 0;
        let mut seen = Vec::with_capacity(self.views.len());
        for view in &self.views {
            let count = view.1.dim(0)?;
            seen.push(self.attend_span(layer, &q.narrow(0, first, count)?, view)?);
            first += count;
        }
        Tensor::cat(&seen, 0)
    }

    fn copy(&mut self, copy: PageCopy) -> Result<()> {
        for slab in self.keys.iter().chain(&self.values) {
            let rows = slab.narrow(0, copy.from.index() * PAGE, copy.tokens)?.copy()?;
            slab.slice_set(&rows, 0, copy.to.index() * PAGE)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

    use super::super::pages::{Page, Pages};
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
            first in 1usize..100,
            second in 1usize..40,
            copied in 1usize..PAGE,
            seed in any::<u64>(),
        ) {
            let mut pair = Pair::new(heads, kv_heads, width, 12, seed);
            let pages = pages(12, usize::try_from(seed % 12).expect("small"));
            let (mine, other) = pages.split_at(6);
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
    fn much_work_is_shared_between_threads() {
        let mut pair = Pair::new(8, 2, 64, 20, 1);
        let pages = pages(20, 0);
        pair.step(&[span(0, 500, &pages)]);
        pair.step(&[span(500, 1, &pages)]);
    }
}
