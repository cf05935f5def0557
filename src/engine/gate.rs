//! The gate of the feed-forward part, `SwiGLU` (Shazeer, "GLU Variants Improve Transformer", 2020).

use candle_core::{CpuStorage, Device, Result, Storage, Tensor, bail};
use multiversion::multiversion;

use super::lanes::exp;
use super::threads::fill;

/// With fewer numbers than this a step is done before other threads have woken up.
const WORTH_SHARING: usize = 100_000;

/// `gate` times its logistic function, times `up`; all are `[N, hidden]` in f32.
pub(crate) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if !gate.device().is_cpu() {
        return gate.silu()? * up;
    }
    let (count, hidden) = gate.dims2()?;
    if up.dims2()? != (count, hidden) {
        bail!("a gate of {:?} for {:?}", gate.dims(), up.dims());
    }
    let mut out = vec![0.0f32; count * hidden];
    let rows = (0..count).zip(out.chunks_exact_mut(hidden)).collect();
    with_rows(gate, |gates| {
        with_rows(up, |ups| {
            fill("gate", rows, count * hidden >= WORTH_SHARING, |&row, out| {
                gate_row(gates.row(row), ups.row(row), out);
            })
        })
    })???;
    Tensor::from_vec(out, (count, hidden), &Device::Cpu)
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2+fma", "aarch64+neon"))]
fn gate_row(gate: &[f32], up: &[f32], out: &mut [f32]) {
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + exp(-gate)) * up;
    }
}

/// Rows of one length, at equal distances.
struct Rows<'a> {
    numbers: &'a [f32],
    length: usize,
    stride: usize,
}

impl Rows<'_> {
    fn row(&self, number: usize) -> &[f32] {
        &self.numbers[number * self.stride..][..self.length]
    }
}

/// Calls `f` with the rows of a matrix in f32 in the process's memory, or of a part of its columns.
fn with_rows<T>(matrix: &Tensor, f: impl FnOnce(&Rows) -> T) -> Result<T> {
    let (storage, layout) = matrix.storage_and_layout();
    let Storage::Cpu(CpuStorage::F32(numbers)) = &*storage else { bail!("numbers are not f32 on the CPU") };
    let (&[_, length], &[stride, 1]) = (layout.dims(), layout.stride()) else {
        bail!("the rows of a gate have gaps");
    };
    Ok(f(&Rows { numbers: &numbers[layout.start_offset()..], length, stride }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both halves of the columns of one matrix.
    fn halves(count: usize, hidden: usize) -> (Tensor, Tensor) {
        let number = |at: usize| ((at * 7_919 % 4_001) as f32 - 2_000.0) / 50.0;
        let numbers: Vec<f32> = (0..count * 2 * hidden).map(number).collect();
        let both = Tensor::from_vec(numbers, (count, 2 * hidden), &Device::Cpu).expect("they fit");
        (both.narrow(1, 0, hidden).expect("a half"), both.narrow(1, hidden, hidden).expect("a half"))
    }

    #[test]
    fn it_is_what_candle_computes() {
        // The last is shared between threads.
        for (count, hidden) in [(1, 3), (5, 64), (40, 2_600)] {
            let (gate, up) = halves(count, hidden);
            let ours = swiglu(&gate, &up).and_then(|ours| ours.flatten_all()?.to_vec1::<f32>());
            let theirs = gate.silu().and_then(|gate| (gate * &up)?.flatten_all()?.to_vec1::<f32>());
            let (ours, theirs) = (ours.expect("numbers"), theirs.expect("numbers"));
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!((ours - theirs).abs() <= 1e-5 * theirs.abs().max(1e-3), "{ours} {theirs}");
            }
        }
    }

    #[test]
    fn matrices_that_do_not_fit_together_are_refused() {
        let (gate, _) = halves(2, 4);
        let (_, up) = halves(2, 6);
        assert!(swiglu(&gate, &up).is_err());
    }
}
