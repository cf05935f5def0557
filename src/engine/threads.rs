//! The threads of the arithmetic: how many there are, and work of our own on them.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The variables by which candle and rayon learn their number of threads. Neither has another way for the
/// pools that candle makes itself, and without them candle counts the host's cores, whatever this process may
/// use.
const VARIABLES: [&str; 2] = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];

/// Lets candle and rayon use as many threads as this process has processors (container limits and affinity
/// counted), unless the environment already says otherwise. Call it first in `main`, before a runtime is
/// started: it does nothing, and returns false, when other threads run already or when that cannot be known
/// (outside of Linux).
pub fn prepare_threads() -> bool {
    if VARIABLES.iter().all(|name| std::env::var_os(name).is_some()) {
        return true;
    }
    if !is_only_thread() {
        return false;
    }
    let count = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).to_string();
    for name in VARIABLES {
        if std::env::var_os(name).is_none() {
            // SAFETY: changing the environment is sound while no other thread can read it, and this is the
            // only one.
            #[expect(unsafe_code, reason = "candle has no other way to set its number of threads")]
            unsafe {
                std::env::set_var(name, &count);
            }
        }
    }
    true
}

/// Fills parts of a result, each as its task says, on candle's threads where there is so much to do that they are worth waking.
///
/// # Errors
/// When `what` was done in a task panicked. On a thread of candle's a panic would end all of its work for ever.
pub(crate) fn fill<T: Sync>(
    what: &str,
    parts: Vec<(T, &mut [f32])>,
    worth_sharing: bool,
    run: impl Fn(&T, &mut [f32]) + Sync,
) -> candle_core::Result<()> {
    let parts: Vec<(T, Mutex<&mut [f32]>)> =
        parts.into_iter().map(|(task, part)| (task, Mutex::new(part))).collect();
    let panicked = AtomicBool::new(false);
    let fill = |range: std::ops::Range<usize>| {
        for (task, part) in &parts[range] {
            let done = catch_unwind(AssertUnwindSafe(|| {
                if let Ok(mut part) = part.lock() {
                    run(task, &mut part);
                }
            }));
            panicked.fetch_or(done.is_err(), Ordering::Relaxed);
        }
    };
    if worth_sharing {
        candle_core::utils::barrier_pool().execute_chunked(parts.len(), fill);
    } else {
        fill(0..parts.len());
    }
    if panicked.into_inner() {
        candle_core::bail!("the {what} panicked");
    }
    Ok(())
}

/// Whether the kernel knows of no other thread of this process.
fn is_only_thread() -> bool {
    cfg!(target_os = "linux") && std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_other_threads_the_environment_stays_as_it_is() {
        // The harness's main thread is there beside this one.
        assert!(!is_only_thread());
        let before = VARIABLES.map(std::env::var_os);
        prepare_threads();
        assert_eq!(VARIABLES.map(std::env::var_os), before);
    }
}
