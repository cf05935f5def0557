//! How many threads the arithmetic uses. To be called before anything else runs.

use std::num::NonZeroUsize;

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
