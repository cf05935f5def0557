//! How fast this machine reads memory.

use std::time::Instant;

/// Bytes that the bandwidth is measured with: more than the caches of most machines hold.
const BANDWIDTH_BYTES: usize = 256 << 20;

/// Gigabytes that one thread and that all threads read from memory in a second.
pub(super) fn bandwidth() -> (f64, f64) {
    let numbers: Vec<u64> = (0..BANDWIDTH_BYTES as u64 / 8).collect();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let read = |threads: usize| {
        let begin = Instant::now();
        let sum: u64 = std::thread::scope(|scope| {
            let parts = numbers.chunks(numbers.len().div_ceil(threads));
            let sums: Vec<_> = parts.map(|part| scope.spawn(|| sum(part))).collect();
            sums.into_iter().filter_map(|sum| sum.join().ok()).fold(0, u64::wrapping_add)
        });
        std::hint::black_box(sum);
        BANDWIDTH_BYTES as f64 / 1e9 / begin.elapsed().as_secs_f64()
    };
    // The best of three: a machine that is disturbed reads no faster than it can.
    let best = |threads: usize| (0..3).map(|_| read(threads)).fold(0.0, f64::max);
    (best(1), best(threads))
}

/// A sum in eight parts, so that reading and not adding is what takes the time.
fn sum(numbers: &[u64]) -> u64 {
    let mut sums = [0u64; 8];
    for part in numbers.chunks_exact(8) {
        for (sum, number) in sums.iter_mut().zip(part) {
            *sum = sum.wrapping_add(*number);
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}
