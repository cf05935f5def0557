//! Memory, as Linux tells of it; elsewhere nothing is known.

/// Bytes that this machine has.
pub(super) fn total() -> Option<u64> {
    bytes("/proc/meminfo", "MemTotal:")
}

/// The most bytes that this process has had resident.
#[must_use]
pub fn peak() -> Option<u64> {
    bytes("/proc/self/status", "VmHWM:")
}

/// The number that a file gives in kilobytes behind a name.
fn bytes(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let number = text.lines().find_map(|line| line.strip_prefix(name))?;
    number.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_less_than_the_machine_has() {
        if cfg!(target_os = "linux") {
            let (peak, total) = (peak().expect("a number"), total().expect("a number"));
            assert!(0 < peak && peak < total, "{peak} of {total}");
        }
    }
}
