//! Attention on CPUs: keys and values in memory of our own.

use candle_core::{CpuStorage, Device, Result, Storage, Tensor, bail};
use half::f16;
use half::slice::{HalfBitsSliceExt as _, HalfFloatSliceExt as _};
use multiversion::multiversion;

use super::super::lanes::{LANES, exp};
use super::super::pages::PAGE;
use super::super::scheduler::{PageCopy, Span};
use super::super::threads::fill;
use super::{Attention, KvShape};

/// Queries that one task of the pool handles, if they are of one head: enough to use keys that were widened to f32 many
/// times.
const QUERIES: usize = 128;

/// Tokens whose keys and values are widened at a time: they and their scores stay in a core's own cache.
const TILE: usize = 4 * PAGE;

/// With fewer multiplications than this a step is done before other threads have woken up.
const WORTH_SHARING: usize = 200_000;

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

    /// Widens the keys and values that a head has of positions from `start` on, `[tokens][width]`, into f32.
    fn widen(&self, layer: usize, block: &QueryBlock, start: usize, keys: &mut [f32], values: &mut [f32]) {
        let pages = (start / PAGE..).zip(keys.chunks_mut(PAGE * self.shape.width));
        for ((page, keys), values) in pages.zip(values.chunks_mut(PAGE * self.shape.width)) {
            let at = self.offset(block.span, block.head, page * PAGE);
            let range = at..at + keys.len();
            self.keys[layer][range.clone()].reinterpret_cast::<f16>().convert_to_f32_slice(keys);
            self.values[layer][range].reinterpret_cast::<f16>().convert_to_f32_slice(values);
        }
    }

    /// What the queries of a block see. `out` is zeros, `[tokens of the block][group][width]`.
    ///
    /// A tile of keys after the other: the scores are one matrix product, their exponentials times the values another,
    /// and the softmax is mended on the way (Dao and others, "`FlashAttention`", 2022).
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
        let longest = TILE.min(end);
        let (mut keys, mut values) = (vec![0.0; longest * width], vec![0.0; longest * width]);
        let mut scores = vec![0.0; rows.len() * longest];
        for start in (0..end).step_by(TILE) {
            let count = TILE.min(end - start);
            let (keys, values) = (&mut keys[..count * width], &mut values[..count * width]);
            let scores = &mut scores[..rows.len() * count];
            self.widen(layer, block, start, keys, values);
            product(&queries, width, Columns::InRows(keys), scores, false);
            soften(&mut rows, scores, start, count, out, width);
            product(scores, count, Columns::Across(values), out, true);
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
        let most = (QUERIES / group).max(1);
        let rows: usize = spans.iter().map(|span| span.ids.len()).sum();
        let mut out = vec![0.0f32; rows * heads * width];
        let mut rest = out.as_mut_slice();
        let mut blocks = Vec::new();
        let mut work = 0;
        for head in 0..kv_heads {
            let mut first_row = 0;
            for span in spans {
                for offset in (0..span.ids.len()).step_by(most) {
                    let count = most.min(span.ids.len() - offset);
                    let position = span.start + offset;
                    let (mine, others) = rest.split_at_mut(count * group * width);
                    rest = others;
                    work += count * (position + count) * group * width;
                    let block = QueryBlock { span, head, first_row: first_row + offset, position, count };
                    blocks.push((block, mine));
                }
                first_row += span.ids.len();
            }
        }
        let this = &*self;
        with_numbers(q, |q| {
            fill("attention", blocks, work >= WORTH_SHARING, |block, out| {
                this.attend_block(layer, q, block, out);
            })
        })??;
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

/// Turns the scores of a tile into weights, `[rows][count]`, 0 where a row does not see the token: the online softmax
/// (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018). `start` is the position of the tile;
/// `out` has what the rows saw of earlier tiles, `[rows][width]`, not yet divided by their sums.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
fn soften(rows: &mut [Row], scores: &mut [f32], start: usize, count: usize, out: &mut [f32], width: usize) {
    let parts = scores.chunks_exact_mut(count).zip(out.chunks_exact_mut(width));
    for (row, (scores, out)) in rows.iter_mut().zip(parts) {
        let (seen, unseen) = scores.split_at_mut(row.visible.saturating_sub(start).min(count));
        unseen.fill(0.0);
        if seen.is_empty() {
            continue;
        }
        // Whole registers first, whose number the compiler knows.
        let (whole, rest) = seen.as_chunks_mut::<LANES>();
        let mut lanes = [row.greatest; LANES];
        for scores in &*whole {
            for (greatest, score) in lanes.iter_mut().zip(scores) {
                *greatest = if *score > *greatest { *score } else { *greatest };
            }
        }
        let greatest = lanes.iter().chain(&*rest).fold(row.greatest, |greatest, score| score.max(greatest));
        let mut sums = [0.0; LANES];
        for scores in whole {
            for (sum, score) in sums.iter_mut().zip(scores) {
                *score = exp(*score - greatest);
                *sum += *score;
            }
        }
        for (sum, score) in sums.iter_mut().zip(rest) {
            *score = exp(*score - greatest);
            *sum += *score;
        }
        let shrink = (row.greatest - greatest).exp();
        row.greatest = greatest;
        row.sum = row.sum * shrink + sums.into_iter().sum::<f32>();
        for value in out {
            *value *= shrink;
        }
    }
}

/// The right side of a product, `[inner, columns]`.
#[derive(Clone, Copy)]
enum Columns<'a> {
    /// As it is written: `[inner][columns]`.
    Across(&'a [f32]),
    /// Turned: `[columns][inner]`.
    InRows(&'a [f32]),
}

/// `left` `[rows][inner]` times `right`, into `out` `[rows][columns]` or added to it, on this thread.
fn product(left: &[f32], inner: usize, right: Columns, out: &mut [f32], add: bool) {
    let rows = left.len() / inner;
    let columns = out.len() / rows;
    let (numbers, right_row, right_column) = match right {
        Columns::Across(numbers) => (numbers, columns, 1),
        Columns::InRows(numbers) => (numbers, 1, inner),
    };
    assert_eq!((left.len(), out.len(), numbers.len()), (rows * inner, rows * columns, inner * columns));
    let stride = usize::cast_signed;
    #[expect(unsafe_code, reason = "the library takes pointers; the lengths are checked above")]
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            stride(columns),
            add,
            left.as_ptr(),
            1,
            stride(inner),
            numbers.as_ptr(),
            stride(right_column),
            stride(right_row),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Calls `f` with the numbers of a tensor in f32 that lies in the process's memory without gaps.
fn with_numbers<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(CpuStorage::F32(numbers)) = &*storage else { bail!("numbers are not f32 on the CPU") };
    let start = layout.start_offset();
    Ok(f(&numbers[start..start + layout.shape().elem_count()]))
}
